/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Handshakes that pause: a lane whose back-end is `fault` around `sync`, and connections of
 * which both ends are offloaded, many at a time, on a clock of the test's own.
 *
 * PST_LONG in the environment: 10^5 handshakes for each class of fault instead of 10^3 (200 under
 * AddressSanitizer).
 */
#include "engine_int.h"
#include "pair.h"
#include "tls_int.h"

#include <criterion/criterion.h>
#include <pst_cryptodrv_fault.h>
#include <stdlib.h>
#include <openssl/async.h>
#include <openssl/err.h>

#define IN_FLIGHT 24
#define DEADLINE  (5 * PST_NS_PER_SEC) /* nobody is late because the machine is busy */
#define SOON      (20 * PST_NS_PER_MS) /* where lateness is what is tested */

struct rig {
	struct pst_engine *e;
	struct pst_lane *l;
	uint64_t now;
	struct pst_engine_conf conf;
};

static const struct pst_cryptodrv *
driver(const char *name)
{
	for (unsigned i = 0; pst_cryptodrvs[i] != NULL; i++)
		if (strcmp(pst_cryptodrvs[i]->name, name) == 0)
			return pst_cryptodrvs[i];
	cr_assert_fail("no driver %s", name);
	return NULL;
}

/* Back-end 0 is `sync`, 1 is `fault` around it with these options; everything goes to 1. */
static void
rig_init(struct rig *r, const struct pst_cryptodrv_opt *opts, unsigned nopts)
{
	*r = (struct rig){.now = pst_now_ns()};
	r->conf = (struct pst_engine_conf){.nlanes = 1, .ops = 256, .jobs = 256, .nbackends = 2};
	r->conf.backends[0] = (struct pst_engine_backend){
		.drv = driver("sync"), .conf = {.name = "cpu", .depth = 128}};
	r->conf.backends[1] = (struct pst_engine_backend){
		.drv = driver("fault"), .conf = {.name = "drill", .depth = 128}, .around = "cpu"};
	for (unsigned i = 0; i < nopts; i++)
		r->conf.backends[1].conf.opts[i] = opts[i];
	r->conf.backends[1].conf.nopts = nopts;
	r->conf.tuning = (struct pst_engine_tuning){
		.deadline_us = DEADLINE / 1000, .breaker_after = 1000000, .probe_ms = 1};
	for (unsigned k = 0; k < PST_OP_KINDS; k++) {
		r->conf.tuning.nroutes[k] = 1;
		r->conf.tuning.routes[k][0] = 1;
	}
}

/* Only numbers go there, as to a device; all else is inline. */
static void
rig_device(struct rig *r)
{
	r->conf.backends[0].conf.opts[0] = (struct pst_cryptodrv_opt){"typed", "1"};
	r->conf.backends[0].conf.nopts = 1;
}

static void
rig_start(struct rig *r)
{
	char err[400] = "";

	r->e = pst_engine_new(&r->conf, err, sizeof(err));
	cr_assert_not_null(r->e, "%s", err);
	r->l = pst_engine_lane(r->e, 0);
	cr_assert_eq(pst_lane_begin(r->l), PST_OK);
	pair_engine = r->e;
}

/* The time of the back-ends is the real one; the lane's may run ahead of it. */
static bool
rig_poll(struct rig *r)
{
	bool moved;

	r->now = PST_MAX(r->now, pst_now_ns());
	moved = pst_lane_poll(r->l, r->now);
	while (pst_lane_next_ready(r->l) != NULL)
		;
	return moved;
}

static struct pst_lane_stats
stats(const struct rig *r)
{
	struct pst_lane_stats s;

	pst_lane_stats(r->l, &s);
	return s;
}

static void
nothing_is_left(struct rig *r)
{
	static const uint8_t zero[PST_OP_BYTES];
	struct pst_lane_stats s;
	uint64_t until = pst_now_ns() + 10 * PST_NS_PER_SEC;

	do
		rig_poll(r);
	while (stats(r).ops_free < stats(r).ops_total && pst_now_ns() < until);
	s = stats(r);
	cr_expect_eq(s.ops_free, s.ops_total, "%u of %u operations, %u in quarantine", s.ops_free,
		s.ops_total, s.ops_quarantined);
	cr_expect_eq(s.jobs_in_use, 0);
	cr_expect_eq(s.jobs_waiting, 0);
	for (unsigned i = 0; i < s.ops_total; i++) {
		cr_expect_eq(memcmp(r->l->ops[i].in, zero, PST_OP_BYTES), 0);
		cr_expect_eq(memcmp(r->l->ops[i].out, zero, PST_OP_BYTES), 0);
		cr_expect_null(r->l->ops[i].key);
	}
}

static void
rig_fini(struct rig *r)
{
	nothing_is_left(r);
	pst_lane_end(r->l);
	pst_engine_free(r->e);
	pair_engine = NULL;
}

/* ---- many connections ---- */

struct crowd {
	struct rig *r;
	struct pair proto; /* contexts */
	struct pair pairs[IN_FLIGHT];
	unsigned finished, alerted, begun, want;
	unsigned hangup_every; /* that many-th connection goes away in the middle; 0: none */
};

static bool
over(const struct pair *p)
{
	return p->server.rc == PST_PEER || p->client.rc == PST_PEER ||
	       (p->server.rc == PST_OK && p->client.rc == PST_OK);
}

static void
begin(struct crowd *c, struct pair *p)
{
	p->cctx = c->proto.cctx;
	p->sctx = c->proto.sctx;
	p->name = c->proto.name;
	pair_sessions(p);
	p->server.rc = p->client.rc = PST_AGAIN;
	c->begun++;
}

static void
tally(struct crowd *c, struct pair *p)
{
	bool ok = p->server.rc == PST_OK && p->client.rc == PST_OK;

	/* Who failed said so: the other side has an alert, or this one its own reason. */
	if (!ok)
		cr_expect(strlen(pst_tls_error(p->server.tls)) > 0 ||
			  strlen(pst_tls_error(p->client.tls)) > 0);
	c->finished += ok;
	c->alerted += !ok;
	pair_hangup(p);
}

static bool
step(struct pair *p)
{
	if (p->client.rc != PST_OK && p->client.rc != PST_PEER)
		end_handshake(&p->client);
	if (p->server.rc != PST_OK && p->server.rc != PST_PEER)
		end_handshake(&p->server);
	/* One side's end is the other's, once what it said has been read. */
	if (p->client.rc == PST_PEER && wire_len(&p->to_server) == 0 && p->server.rc == PST_AGAIN)
		p->server.rc = PST_PEER;
	if (p->server.rc == PST_PEER && wire_len(&p->to_client) == 0 && p->client.rc == PST_AGAIN)
		p->client.rc = PST_PEER;
	return over(p);
}

static void
run(struct crowd *c)
{
	uint64_t until = pst_now_ns() + 300 * PST_NS_PER_SEC;
	unsigned gone = 0, steps = 0;

	while (c->finished + c->alerted + gone < c->want && pst_now_ns() < until) {
		for (unsigned i = 0; i < IN_FLIGHT; i++) {
			struct pair *p = &c->pairs[i];

			if (p->client.tls == NULL && c->begun < c->want)
				begin(c, p);
			if (p->client.tls == NULL)
				continue;
			if (step(p)) {
				tally(c, p);
			} else if (c->hangup_every != 0 && ++steps % c->hangup_every == 0) {
				pair_hangup(p);
				gone++;
			}
		}
		rig_poll(c->r);
	}
	cr_expect_eq(c->finished + c->alerted + gone, c->want, "%u finished, %u alerted, %u gone",
		c->finished, c->alerted, gone);
}

static struct crowd *
crowd_new(struct rig *r, unsigned want, EVP_PKEY *key)
{
	struct crowd *c = calloc(1, sizeof(*c));

	cr_assert_not_null(c);
	c->r = r;
	c->want = want;
	pair_init(&c->proto);
	if (key != NULL) {
		pst_cert_free(c->proto.sconf.certs[0]);
		c->proto.sconf.certs[0] = pair_cert(c->proto.sc, key, "DNS:mx.example.com");
	}
	pair_contexts(&c->proto);
	return c;
}

static void
crowd_free(struct crowd *c)
{
	for (unsigned i = 0; i < IN_FLIGHT; i++) {
		pair_hangup(&c->pairs[i]);
		free(c->pairs[i].to_client.p);
		free(c->pairs[i].to_server.p);
	}
	nothing_is_left(c->r);
	pair_fini(&c->proto);
	free(c);
}

static unsigned
how_many(void)
{
	if (getenv("PST_LONG") != NULL)
		return 100000;
	return PST_ASAN ? 200 : 1000; /* each costs ten times as much */
}

/* ---- the tests ---- */

Test(async, every_kind_of_operation_leaves_the_thread_and_comes_back)
{
	static const char *const kinds[] = {"rsa2048", "p256", "p384", "ed25519"};
	struct rig r;

	rig_init(&r, NULL, 0);
	rig_start(&r);
	for (unsigned i = 0; i < PST_COUNT(kinds); i++) {
		EVP_PKEY *key = pki_key(kinds[i]);
		struct crowd *c = crowd_new(&r, 8, key);

		run(c);
		cr_expect_eq(c->finished, 8, "%s: %u", kinds[i], c->finished);
		crowd_free(c);
		EVP_PKEY_free(key);
	}
	for (unsigned k = 0; k < PST_OP_KINDS; k++) {
		/* Loading a certificate verifies too, where there is no handshake to pause. */
		uint64_t asked =
			stats(&r).kinds[k] - (k == PST_OP_VERIFY ? stats(&r).c.inline_ops : 0);

		cr_expect_eq(asked > 0, k != PST_OP_RSA_DECRYPT, "%s", pst_op_kind_names[k]);
		cr_expect_eq(stats(&r).offloaded[k], asked,
			"%s: %lu of %lu; %lu inline, %lu redone", pst_op_kind_names[k],
			stats(&r).offloaded[k], asked, stats(&r).c.inline_ops, stats(&r).c.redone);
	}
	/* Each handshake: a key pair and a secret on both sides, a signature, its verification
	 * and the certificate's. */
	cr_expect_eq(stats(&r).kinds[PST_OP_KEYGEN], 64);
	cr_expect_eq(stats(&r).kinds[PST_OP_DERIVE], 64);
	rig_fini(&r);
}

/* PFS None: there is no key exchange to ask for, and the key decrypts instead of signing. */
Test(async, without_forward_secrecy_only_decryption_is_asked_for)
{
	struct rig r;
	struct crowd *c;

	rig_init(&r, NULL, 0);
	rig_start(&r);
	c = crowd_new(&r, 8, pair_pki()->rsa);
	c->proto.sconf.pfs = c->proto.cconf.pfs = PST_TLS_PFS_NONE;
	pair_contexts(&c->proto);
	run(c);
	cr_expect_eq(c->finished, 8);
	cr_expect_eq(stats(&r).kinds[PST_OP_RSA_DECRYPT], 8);
	cr_expect_eq(stats(&r).offloaded[PST_OP_RSA_DECRYPT], 8);
	cr_expect_eq(stats(&r).kinds[PST_OP_KEYGEN], 0);
	cr_expect_eq(stats(&r).kinds[PST_OP_DERIVE], 0);
	cr_expect_eq(stats(&r).kinds[PST_OP_RSA_SIGN], 0);
	crowd_free(c);
	rig_fini(&r);
}

static void
typed(const char *kind, uint16_t version)
{
	EVP_PKEY *key = pki_key(kind);
	struct rig r;
	struct crowd *c;

	rig_init(&r, NULL, 0);
	rig_device(&r);
	rig_start(&r);
	c = crowd_new(&r, 8, key);
	c->proto.cconf.max_version = version;
	pair_contexts(&c->proto);
	run(c);
	cr_expect_eq(c->finished, 8, "%s, %x: %u", kind, version, c->finished);
	/* Signed by numbers, and nothing else went there: all else is a call. */
	cr_expect_eq(stats(&r).c.submitted, 8);
	cr_expect_eq(
		stats(&r).offloaded[PST_OP_RSA_SIGN] + stats(&r).offloaded[PST_OP_ECDSA_SIGN], 8);
	cr_expect_eq(stats(&r).c.redone, 0);
	cr_expect_eq(stats(&r).c.bad_results, 0);
	crowd_free(c);
	rig_fini(&r);
	EVP_PKEY_free(key);
}

Test(async, a_typed_operation_makes_signatures_that_verify)
{
	static const char *const kinds[] = {"rsa2048", "p256", "p384"};

	for (unsigned i = 0; i < PST_COUNT(kinds); i++) {
		typed(kinds[i], PST_TLS_1_2); /* PKCS#1 for RSA, if the client prefers it */
		typed(kinds[i], PST_TLS_1_3); /* PSS */
	}
}

static void
fault_class(const char *name, const char *permille, bool typed)
{
	const struct pst_cryptodrv_opt opts[] = {{"seed", "7"}, {name, permille}, {"lost_ms", "40"},
		{"stall_us", "3000"}, {"delay_us", "3000"}};
	struct rig r;
	struct crowd *c;
	unsigned i = 0;

	rig_init(&r, opts, PST_COUNT(opts));
	if (strcmp(name, "drop") == 0 || strcmp(name, "late") == 0)
		r.conf.tuning.deadline_us = SOON / 1000;
	if (typed)
		rig_device(&r);
	rig_start(&r);
	c = crowd_new(&r, typed ? PST_MAX(how_many() / 4, 250u) : how_many(),
		typed ? pair_pki()->rsa : NULL);
	run(c);
	while (i < PST_FAULT_NONE && strcmp(pst_fault_names[i], name) != 0)
		i++;
	cr_assert_lt(i, PST_FAULT_NONE);
	cr_expect_gt(pst_fault_count(r.e->backends[1].b, i), 0, "%s never happened", name);
	/* What was only late, lost or refused is done inline; what is wrong ends in an alert. */
	if (typed || strcmp(name, "wrong") != 0)
		cr_expect_eq(c->alerted, 0, "%s: %u alerted", name, c->alerted);
	else
		cr_expect_gt(c->finished, 0);
	/* An RSA signature is verified before it leaves: a faulty one would give away the key. */
	if (typed && strcmp(name, "wrong") == 0)
		cr_expect_eq(stats(&r).c.bad_results, pst_fault_count(r.e->backends[1].b, i));
	crowd_free(c);
	rig_fini(&r);
}

#define FAULT(name, permille)                                                                      \
	Test(async, connections_survive_a_back_end_with_##name, .timeout = 7200)                   \
	{                                                                                          \
		fault_class(#name, permille, false);                                               \
	}                                                                                          \
	Test(async, connections_survive_a_device_with_##name, .timeout = 7200)                     \
	{                                                                                          \
		fault_class(#name, permille, true);                                                \
	}
FAULT(stall, "50")
FAULT(full, "300")
FAULT(partial, "300")
FAULT(delay, "50")
FAULT(drop, "10")
FAULT(error, "100")
FAULT(wrong, "30")
FAULT(reorder, "300")
FAULT(double, "100")
FAULT(late, "10")

Test(async, connections_that_go_away_in_the_middle_leave_nothing_behind)
{
	const struct pst_cryptodrv_opt opts[] = {{"seed", "3"}, {"delay", "500"},
		{"delay_us", "500"}, {"drop", "20"}, {"lost_ms", "30"}};
	struct pst_lane_stats s;
	struct rig r;
	struct crowd *c;

	rig_init(&r, opts, PST_COUNT(opts));
	rig_start(&r);
	c = crowd_new(&r, 1000, NULL);
	c->hangup_every = 7;
	run(c);
	s = stats(&r);
	cr_expect_gt(s.c.cancelled, 100);
	crowd_free(c);
	rig_fini(&r);
}

/* Back-pressure: handshakes wait for a job, and each gets one. */
Test(async, with_two_jobs_all_handshakes_finish)
{
	struct rig r;
	struct crowd *c;

	rig_init(&r, NULL, 0);
	r.conf.jobs = 2;
	rig_start(&r);
	c = crowd_new(&r, 100, NULL);
	run(c);
	cr_expect_eq(c->finished, 100);
	cr_expect_gt(stats(&r).c.no_job, 0);
	/* Each side begins one before and one behind what it waits for from the other, or more. */
	cr_expect_geq(stats(&r).c.jobs_started, 400, "%lu", stats(&r).c.jobs_started);
	crowd_free(c);
	rig_fini(&r);
}

Test(async, without_a_free_operation_it_is_run_inline)
{
	struct rig r;
	struct crowd *c;

	rig_init(&r, NULL, 0);
	r.conf.ops = 1;
	rig_start(&r);
	c = crowd_new(&r, 50, NULL);
	run(c);
	cr_expect_eq(c->finished, 50);
	cr_expect_gt(stats(&r).c.no_op, 0);
	crowd_free(c);
	rig_fini(&r);
}

Test(async, a_breaker_opens_after_failures_in_a_row_and_closes_when_a_probe_succeeds)
{
	const struct pst_cryptodrv_opt opts[] = {{"error", "1000"}};
	struct pst_engine_tuning t;
	struct rig r;
	struct crowd *c;

	rig_init(&r, opts, 1);
	r.conf.tuning.breaker_after = 5;
	r.conf.tuning.probe_ms = 1000;
	rig_start(&r);
	c = crowd_new(&r, 20, NULL);
	run(c);
	cr_expect_eq(c->finished, 20);
	cr_expect_eq(stats(&r).c.breaker_opened, 1, "%lu, %lu failed", stats(&r).c.breaker_opened,
		stats(&r).backends[1].failed);
	cr_expect(stats(&r).backends[1].open);
	/* One a second at most goes there now. */
	cr_expect_leq(stats(&r).backends[1].failed, 5 + IN_FLIGHT);
	/* Everything to the CPU from now on: nothing is asked of it any more. */
	t = r.conf.tuning;
	for (unsigned k = 0; k < PST_OP_KINDS; k++)
		t.nroutes[k] = 0;
	cr_assert_eq(pst_engine_tune(r.e, &t), PST_OK);
	rig_poll(&r);
	cr_expect_not(pst_lane_async());
	crowd_free(c);
	rig_fini(&r);
}

/* One after another: each failure must still count when the next result comes. */
Test(async, a_breaker_opens_when_results_do_not_verify_and_a_cancelled_probe_does_not_jam_it)
{
	const struct pst_cryptodrv_opt opts[] = {{"wrong", "1000"}};
	EVP_PKEY *key = pki_key("rsa2048");
	struct rig r;
	struct crowd *c;

	rig_init(&r, opts, 1);
	rig_device(&r);
	for (unsigned k = 0; k < PST_OP_KINDS; k++)
		r.conf.tuning.nroutes[k] = k == PST_OP_RSA_SIGN;
	r.conf.tuning.breaker_after = 3;
	r.conf.tuning.probe_ms = 100000;
	rig_start(&r);
	c = crowd_new(&r, 0, key);
	for (c->want = 1; c->want <= 6; c->want++)
		run(c);
	cr_expect_eq(c->finished, 6, "%u", c->finished);
	cr_expect_eq(stats(&r).c.bad_results, 3, "%lu", stats(&r).c.bad_results);
	cr_expect_eq(stats(&r).c.breaker_opened, 1);
	cr_expect(stats(&r).backends[1].open);
	/* The probe's connection goes away when its result is there and not judged yet. */
	r.now += 200 * PST_NS_PER_SEC;
	rig_poll(&r);
	begin(c, &c->pairs[0]);
	while (r.l->b[1].nout + r.l->b[1].npending == 0)
		step(&c->pairs[0]);
	cr_expect(r.l->b[1].probing);
	while (pst_tls_paused(c->pairs[0].server.tls))
		rig_poll(&r);
	pair_hangup(&c->pairs[0]);
	cr_expect_not(r.l->b[1].probing, "the next one is the probe");
	c->want = 7;
	c->begun = 6;
	run(c);
	cr_expect_eq(stats(&r).c.bad_results, 4, "it was asked again");
	crowd_free(c);
	rig_fini(&r);
	EVP_PKEY_free(key);
}

static bool
noisy_can(const struct pst_backend *b, enum pst_op_kind kind, enum pst_op_form form,
	enum pst_op_group group, unsigned bits)
{
	ERR_raise(ERR_LIB_USER, ERR_R_OPERATION_FAIL);
	return driver("fault")->can(b, kind, form, group, bits);
}

/* A search that found nothing, a driver that forgot to clean up: no failure of the handshake. */
Test(async, an_error_left_in_the_queue_before_a_pause_fails_no_handshake)
{
	struct pst_cryptodrv noisy = *driver("fault");
	struct rig r;
	struct crowd *c;

	rig_init(&r, NULL, 0);
	noisy.can = noisy_can;
	r.conf.jobs = 2; /* waiting for a job is another way to pause */
	r.conf.backends[1].drv = &noisy;
	rig_start(&r);
	c = crowd_new(&r, 20, NULL);
	run(c);
	cr_expect_eq(c->finished, 20, "%u alerted", c->alerted);
	cr_expect_gt(stats(&r).c.paused, 0);
	crowd_free(c);
	rig_fini(&r);
}

/* As many as the table has places: each reload brings new ones and takes the old. */
Test(async, keys_that_come_and_go_leave_their_places)
{
	const unsigned n = 16384;
	EVP_PKEY **keys = calloc(n, sizeof(*keys));
	void **between = calloc(n, sizeof(*between)); /* so that addresses have no pattern */
	unsigned unknown = 0;
	struct rig r;
	struct crowd *c;

	cr_assert(keys != NULL && between != NULL);
	rig_init(&r, NULL, 0);
	rig_device(&r);
	rig_start(&r);
	c = crowd_new(&r, 1, NULL);
	for (unsigned i = 0; i < n; i++) { /* all live at once: at as many addresses */
		struct pst_crypto_key *k;

		between[i] = malloc(16 + i * 2654435761u % 4096);
		keys[i] = EVP_PKEY_dup(c->proto.sconf.certs[0]->key);
		cr_assert_not_null(keys[i]);
		k = pst_crypto_key_new(c->proto.sc, keys[i]);
		unknown += k == NULL;
		pst_crypto_key_put(k);
	}
	cr_expect_eq(unknown, 0, "%u keys found no place", unknown);
	for (unsigned i = 0; i < n; i++) {
		EVP_PKEY_free(keys[i]);
		free(between[i]);
	}
	free(keys);
	free(between);
	run(c);
	cr_expect_eq(c->finished, 1);
	crowd_free(c);
	rig_fini(&r);
}

static unsigned withdrawn;

static void
counted_key_del(struct pst_backend *b, struct pst_op_key *key)
{
	withdrawn++;
	driver("sync")->key_del(b, key);
}

/* The thread of a lane is a worker's: pst_cryptodrv.h promises back-ends another one. */
Test(async, a_key_is_never_withdrawn_by_a_worker)
{
	struct pst_cryptodrv counted = *driver("sync");
	struct pst_crypto_key *k;
	struct rig r;
	struct crowd *c;

	rig_init(&r, NULL, 0);
	rig_device(&r);
	counted.key_del = counted_key_del;
	r.conf.backends[0].drv = &counted;
	rig_start(&r);
	c = crowd_new(&r, 4, NULL);
	run(c);
	for (unsigned i = 0; i < IN_FLIGHT; i++)
		pair_hangup(&c->pairs[i]);
	k = pst_crypto_key_get(c->proto.sconf.certs[0]->known);
	cr_assert_not_null(k);
	pst_tls_ctx_put(c->proto.sctx);
	c->proto.sctx = NULL;
	pst_cert_free(c->proto.sconf.certs[0]);
	c->proto.sconf.ncerts = 0;
	pst_crypto_key_put(k); /* the last one */
	cr_expect_eq(withdrawn, 0);
	/* Its control thread makes another one. */
	pst_lane_here = NULL;
	c->proto.sconf.certs[0] = pair_cert(c->proto.sc, pair_pki()->rsa, "DNS:mx.example.com");
	c->proto.sconf.ncerts = 1;
	cr_expect_eq(withdrawn, 1, "%u", withdrawn);
	pst_lane_here = r.l;
	crowd_free(c);
	rig_fini(&r);
}

Test(async, routes_that_lead_nowhere_are_refused)
{
	struct pst_engine_tuning t;
	char err[400];
	struct rig r;

	rig_init(&r, NULL, 0);
	r.conf.tuning.routes[PST_OP_DERIVE][0] = 2;
	cr_expect_null(pst_engine_new(&r.conf, err, sizeof(err)));
	cr_expect_str_eq(err, "routes that lead nowhere, or a limit of 0");
	r.conf.tuning.routes[PST_OP_DERIVE][0] = 0; /* "drill" has it */
	cr_expect_null(pst_engine_new(&r.conf, err, sizeof(err)));
	r.conf.tuning.routes[PST_OP_DERIVE][0] = 1;
	r.conf.backends[1].around = "gpu";
	cr_expect_null(pst_engine_new(&r.conf, err, sizeof(err)));
	cr_expect_str_eq(err, "drill: there is no back-end \"gpu\" before it");
	r.conf.backends[1].around = "cpu";
	rig_start(&r);
	t = r.conf.tuning;
	t.deadline_us = 0;
	cr_expect_eq(pst_engine_tune(r.e, &t), PST_INVAL);
	rig_fini(&r);
}
