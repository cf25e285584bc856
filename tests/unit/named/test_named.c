/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * TLS handshakes through an engine and a provider by name, which pause in signatures: the
 * shared objects of tests/support. Each test is a process of its own, with OpenSSL's default
 * context as it is at a program's start.
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <criterion/criterion.h>
#include <pst_engine.h>
#include <pst_ossl_named.h>
#include <openssl/engine.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include "pair.h"

#define PATIENCE_NS (10 * PST_NS_PER_SEC)

/* A named engine and one lane that is this thread's. */
struct rig {
	struct pst_ossl_named *n;
	struct pst_engine *e;
	struct pst_lane *l;
	unsigned jobs; /* 0: the usual */
};

static void
nap(void)
{
	nanosleep(&(struct timespec){.tv_nsec = 50000}, NULL);
}

static void
begin(struct rig *r)
{
	struct pst_engine_conf conf = {.nlanes = 1,
		.jobs = r->jobs,
		.tuning = {.deadline_us = 50000, .breaker_after = 8, .probe_ms = 1000},
		.named = pst_ossl_named_get(r->n)};
	char err[256] = "";

	r->e = pst_engine_new(&conf, err, sizeof(err));
	cr_assert_not_null(r->e, "%s", err);
	cr_assert_eq(pst_engine_named(r->e), conf.named);
	r->l = pst_engine_lane(r->e, 0);
	cr_assert_eq(pst_lane_begin(r->l), PST_OK);
}

/* settings: "MODE=thread DELAY_US=5"; words are cut in place. */
static struct pst_ossl_named_conf
describe(bool engine, char *settings)
{
	struct pst_ossl_named_conf conf = {.engine = engine ? "pst-async" : NULL,
		.provider = engine ? NULL : "pst-test",
		.path = engine ? TEST_ENGINE : TEST_PROVIDER};

	for (char *at = NULL, *w = strtok_r(settings, " ", &at); w != NULL;
		w = strtok_r(NULL, " ", &at)) {
		char *eq = strchr(w, '=');

		if (eq != NULL)
			*eq++ = 0;
		conf.settings[conf.nsettings++] = (struct pst_cryptodrv_opt){w, eq};
	}
	return conf;
}

static struct rig
rig_open(bool engine, const char *settings, unsigned jobs)
{
	char buf[128], err[256] = "";
	struct rig r = {.jobs = jobs};
	struct pst_ossl_named_conf conf;

	snprintf(buf, sizeof(buf), "%s", settings);
	conf = describe(engine, buf);
	r.n = pst_ossl_named_open(&conf, err, sizeof(err));
	cr_assert_not_null(r.n, "%s", err);
	begin(&r);
	return r;
}

static void
rig_close(struct rig *r)
{
	pst_lane_end(r->l);
	pst_engine_free(r->e);
	pst_ossl_named_close(r->n);
}

static struct pst_lane_stats
stats(const struct rig *r)
{
	struct pst_lane_stats s;

	pst_lane_stats(r->l, &s);
	return s;
}

static void
poll_once(struct rig *r)
{
	if (!pst_lane_poll(r->l, pst_now_ns()))
		nap();
	while (pst_lane_next_ready(r->l) != NULL) /* every pair is called each time anyway */
		;
}

static void
pair_named(struct pair *p, struct rig *r)
{
	const struct pst_named *n = pst_engine_named(r->e);
	char err[256];
	struct pst_crypto *client = pst_crypto_new_named(n, err, sizeof(err));

	pair_init_in(p, client, pst_crypto_new_named(n, err, sizeof(err)));
}

static bool
is_over(const struct pair *p)
{
	return (p->client.rc == PST_OK && p->server.rc == PST_OK) || p->client.rc == PST_PEER ||
	       p->server.rc == PST_PEER;
}

/* Until done or failed: did both ends finish? */
static bool
shake(struct rig *r, struct pair *p)
{
	uint64_t until = pst_now_ns() + PATIENCE_NS;
	bool ok = pair_handshake(p);

	while (!is_over(p)) {
		cr_assert_lt(pst_now_ns(), until, "client %s, server %s", pst_rc_name(p->client.rc),
			pst_rc_name(p->server.rc));
		poll_once(r);
		ok = pair_handshake(p);
	}
	return ok;
}

static void
expect_all_is_back(struct rig *r)
{
	struct pst_lane_stats s = stats(r);

	cr_expect_eq(s.jobs_in_use, 0);
	cr_expect_eq(s.jobs_waiting, 0);
	cr_expect_not(errors_left());
}

/* ECDSA and RSA, both versions; static RSA decrypts. */
static void
handshakes(struct rig *r)
{
	const struct pki *k = pair_pki();
	struct pair p;

	for (unsigned v = PST_TLS_1_2; v <= PST_TLS_1_3; v++)
		for (unsigned rsa = 0; rsa < 2; rsa++) {
			uint64_t before = stats(r).c.paused;

			pair_named(&p, r);
			p.sconf.max_version = (uint16_t)v;
			if (rsa) {
				pst_cert_free(p.sconf.certs[0]);
				p.sconf.certs[0] = pair_cert(p.sc, k->rsa, "DNS:mx.example.com");
			}
			pair_contexts(&p);
			pair_sessions(&p);
			cr_expect(shake(r, &p), "TLS %#x, %s: %s", v, rsa ? "RSA" : "ECDSA",
				pst_tls_error(p.server.tls));
			cr_expect_eq(stats(r).c.paused, before + 1, "one signature, one pause");
			pair_fini(&p);
		}
	expect_all_is_back(r);
}

Test(named, handshakes_pause_in_an_engine_with_a_thread)
{
	struct rig r = rig_open(true, "MODE=thread DELAY_US=300", 0);

	handshakes(&r);
	rig_close(&r);
}

Test(named, an_engine_that_can_be_polled_is)
{
	struct rig r = rig_open(true, "MODE=poll", 0);

	cr_expect_not_null(pst_ossl_named_get(r.n)->poll);
	handshakes(&r);
	rig_close(&r);
}

Test(named, handshakes_pause_in_a_provider)
{
	struct rig r = rig_open(false, "mode=thread delay_us=300", 0);

	handshakes(&r);
	rig_close(&r);
}

Test(named, answers_that_come_more_than_once_harm_nothing)
{
	struct rig r = rig_open(true, "MODE=twice DELAY_US=100", 0);
	struct pair p;

	pair_named(&p, &r);
	pair_contexts(&p);
	for (unsigned i = 0; i < 30; i++) {
		pair_sessions(&p);
		cr_expect(shake(&r, &p), "%s", pst_tls_error(p.server.tls));
	}
	pair_fini(&p);
	expect_all_is_back(&r);
	rig_close(&r);
}

/* N at a time, for as many rounds. */
static void
crowd(struct rig *r, unsigned n, unsigned rounds)
{
	struct pair *p = calloc(n, sizeof(*p));
	uint64_t until = pst_now_ns() + PATIENCE_NS;

	for (unsigned i = 0; i < n; i++) {
		pair_named(&p[i], r);
		pair_contexts(&p[i]);
	}
	for (unsigned k = 0; k < rounds; k++) {
		unsigned done = 0;

		for (unsigned i = 0; i < n; i++)
			pair_sessions(&p[i]);
		while (done < n) {
			done = 0;
			for (unsigned i = 0; i < n; i++) {
				(void)pair_handshake(&p[i]);
				done += is_over(&p[i]);
			}
			cr_assert_lt(pst_now_ns(), until, "%u of %u", done, n);
			poll_once(r);
		}
		for (unsigned i = 0; i < n; i++)
			cr_expect_eq(p[i].server.rc, PST_OK, "%s", pst_tls_error(p[i].server.tls));
	}
	for (unsigned i = 0; i < n; i++)
		pair_fini(&p[i]);
	free(p);
}

Test(named, many_handshakes_pause_at_a_time)
{
	struct rig r = rig_open(true, "MODE=thread DELAY_US=3000", 0);

	crowd(&r, 40, 3);
	cr_expect_geq(stats(&r).c.paused, 120);
	expect_all_is_back(&r);
	rig_close(&r);
}

Test(named, without_a_free_job_handshakes_wait_for_one)
{
	struct rig r = rig_open(true, "MODE=thread DELAY_US=3000", 4);

	crowd(&r, 24, 2);
	cr_expect_gt(stats(&r).c.no_job, 0);
	expect_all_is_back(&r);
	rig_close(&r);
}

/* Until the server pauses. */
static void
shake_halfway(struct pair *p)
{
	cr_assert_not(pair_handshake(p));
	cr_assert_eq(p->server.rc, PST_WANT_ASYNC);
}

static void
freed_while_paused(bool engine, const char *settings)
{
	struct rig r = rig_open(engine, settings, 0);
	struct pair p;

	pair_named(&p, &r);
	pair_contexts(&p);
	for (unsigned i = 0; i < 20; i++) {
		pair_sessions(&p);
		shake_halfway(&p);
		/* Repeated calls change nothing. */
		cr_expect_eq(end_handshake(&p.server), PST_WANT_ASYNC);
		if (i % 2 == 0) /* answered, but nobody has called since */
			for (unsigned k = 0; k < 20; k++)
				poll_once(&r);
		pair_hangup(&p);
	}
	cr_expect_gt(stats(&r).c.cancelled, 0);
	pair_sessions(&p);
	cr_expect(shake(&r, &p), "the next one is served");
	pair_fini(&p);
	for (uint64_t until = pst_now_ns() + PATIENCE_NS;
		stats(&r).jobs_in_use > 0 && pst_now_ns() < until;)
		poll_once(&r);
	expect_all_is_back(&r);
	rig_close(&r);
}

Test(named, a_connection_that_goes_while_an_engine_works_is_buried_when_it_answers)
{
	freed_while_paused(true, "MODE=thread DELAY_US=200");
}

Test(named, a_connection_that_goes_is_buried_when_the_poll_answers)
{
	freed_while_paused(true, "MODE=poll");
}

Test(named, a_connection_that_goes_while_a_provider_works_is_buried_when_it_answers)
{
	freed_while_paused(false, "mode=thread delay_us=200");
}

static uint64_t
ms_since(uint64_t start)
{
	return (pst_now_ns() - start) / PST_NS_PER_MS;
}

Test(named, an_engine_that_never_answers_holds_up_nobody)
{
	struct rig r = rig_open(true, "MODE=silent", 8);
	ENGINE *engine = pst_ossl_named_get(r.n)->arg;
	struct pair p;
	uint64_t start;

	pair_named(&p, &r);
	pair_contexts(&p);
	start = pst_now_ns();
	for (unsigned i = 0; i < 8; i++) {
		pair_sessions(&p);
		shake_halfway(&p);
		pair_hangup(&p);
	}
	cr_expect_lt(ms_since(start), 2000, "freeing waits for nothing");
	/* No job is left: the others wait, and they too can go. */
	pair_sessions(&p);
	cr_expect_not(pair_handshake(&p));
	cr_expect_eq(stats(&r).jobs_in_use, 8);
	pair_hangup(&p);
	start = pst_now_ns();
	pst_lane_end(r.l);
	cr_expect_lt(ms_since(start), 1500, "nor does the end");
	/* At last it answers those who are long gone. */
	cr_expect_eq(ENGINE_ctrl_cmd_string(engine, "RELEASE", NULL, 0), 1);
	pair_fini(&p);
	pst_engine_free(r.e);
}

Test(named, late_answers_bury_what_waited_for_them)
{
	struct rig r = rig_open(true, "MODE=silent", 0);
	ENGINE *engine = pst_ossl_named_get(r.n)->arg;
	struct pair p;

	pair_named(&p, &r);
	pair_contexts(&p);
	for (unsigned i = 0; i < 8; i++) {
		pair_sessions(&p);
		shake_halfway(&p);
		pair_hangup(&p);
	}
	cr_expect_eq(stats(&r).jobs_in_use, 8);
	cr_expect_eq(ENGINE_ctrl_cmd_string(engine, "RELEASE", NULL, 0), 1);
	poll_once(&r);
	expect_all_is_back(&r);
	pair_fini(&p);
	rig_close(&r);
}

/* Each third signature fails. */
static void
errors(bool engine, const char *settings)
{
	struct rig r = rig_open(engine, settings, 0);
	unsigned failed = 0;
	struct pair p;

	pair_named(&p, &r);
	pair_contexts(&p);
	for (unsigned i = 0; i < 30; i++) {
		pair_sessions(&p);
		if (!shake(&r, &p)) {
			cr_expect_eq(p.server.rc, PST_PEER);
			failed++;
		}
	}
	cr_expect_eq(failed, 10, "%u", failed);
	pair_fini(&p);
	expect_all_is_back(&r);
	rig_close(&r);
}

Test(named, errors_of_an_engine_fail_the_handshake_alone)
{
	errors(true, "MODE=thread DELAY_US=100 FAIL=3");
}

Test(named, errors_of_a_provider_fail_the_handshake_alone)
{
	errors(false, "mode=thread delay_us=100 fail=3");
}

Test(named, numbers_that_are_none_are_ignored)
{
	struct rig r = rig_open(true, "MODE=thread DELAY_US=100", 0);
	struct pst_waiter w = {0}, other = {0};
	uint64_t number = pst_named_begin(&w), again;

	cr_assert_neq(number, 0);
	for (unsigned i = 0; i < 64; i++)
		pst_named_answered(number ^ 1ull << i);
	pst_named_answered(0);
	pst_named_answered(UINT64_MAX);
	cr_expect_not(pst_lane_poll(r.l, pst_now_ns()), "nobody was answered");
	cr_expect(pst_named_paused(&w));
	cr_expect(pst_waiter_busy(&w));
	pst_named_answered(number);
	pst_named_answered(number);
	cr_expect(pst_lane_poll(r.l, pst_now_ns()));
	cr_expect_eq(pst_lane_next_ready(r.l), &w);
	cr_expect_null(pst_lane_next_ready(r.l), "once");
	/* Given up with an answer under way: the slot is another's only when that was seen. */
	pst_named_answered(number);
	pst_named_end(&w);
	again = pst_named_begin(&other);
	cr_expect_neq(again & 0xffff, number & 0xffff);
	(void)pst_lane_poll(r.l, pst_now_ns());
	pst_named_answered(number);
	cr_expect_not(pst_lane_poll(r.l, pst_now_ns()));
	pst_named_end(&other);
	pst_named_end(&other);
	cr_expect_not(pst_named_paused(&other));
	rig_close(&r);
}

/* ---- answers from many threads ---- */

enum { CROWD = 300, ANSWERERS = 3, ANSWERS = 30000 };

static _Atomic uint64_t numbers[CROWD];
static atomic_bool enough;

/* Whatever number is there, now and then one that has just gone. */
static void *
answer_all(void *arg)
{
	uint64_t before = 0;

	for (unsigned i = (unsigned)(uintptr_t)arg; !atomic_load(&enough); i += 7) {
		uint64_t n = atomic_load(&numbers[i % CROWD]);

		if (n != 0)
			pst_named_answered(n);
		if (i % 3 == 0)
			pst_named_answered(before);
		before = n;
	}
	return NULL;
}

Test(named, no_answer_is_lost_among_threads)
{
	struct rig r = rig_open(true, "MODE=poll", 0);
	static struct pst_waiter w[CROWD];
	uint64_t until = pst_now_ns() + 3 * PATIENCE_NS;
	pthread_t t[ANSWERERS];
	unsigned seen = 0;

	for (uintptr_t i = 0; i < ANSWERERS; i++)
		cr_assert_eq(pthread_create(&t[i], NULL, answer_all, (void *)(i * 5)), 0);
	while (seen < ANSWERS) {
		struct pst_waiter *ready;

		cr_assert_lt(pst_now_ns(), until, "%u answers", seen);
		for (unsigned i = 0; i < CROWD; i++) {
			if (w[i].slot == NULL)
				atomic_store(&numbers[i], pst_named_begin(&w[i]));
			if (!w[i].foreign && w[i].at == 0)
				cr_assert(pst_named_paused(&w[i]));
		}
		(void)pst_lane_poll(r.l, pst_now_ns());
		while ((ready = pst_lane_next_ready(r.l)) != NULL) {
			cr_assert_not(ready->foreign);
			/* Each fourth is over; the others pause once more under the same number. */
			if (++seen % 4 == 0) {
				atomic_store(&numbers[ready - w], 0);
				pst_named_end(ready);
			}
		}
	}
	atomic_store(&enough, true);
	for (unsigned i = 0; i < ANSWERERS; i++)
		pthread_join(t[i], NULL);
	for (unsigned i = 0; i < CROWD; i++)
		pst_named_end(&w[i]);
	(void)pst_lane_poll(r.l, pst_now_ns());
	rig_close(&r);
}

/* ---- what cannot be ---- */

static void
expect_fault(const struct pst_ossl_named_conf *conf, const char *name, const char *cause)
{
	char err[256] = "";

	cr_expect_null(pst_ossl_named_open(conf, err, sizeof(err)));
	cr_expect_not_null(strstr(err, name), "\"%s\" does not name %s", err, name);
	cr_expect_not_null(strstr(err, cause), "\"%s\" does not say %s", err, cause);
}

Test(named, an_engine_that_cannot_be_had_is_named)
{
	struct pst_ossl_named_conf conf = {.engine = "no-such-engine"};
	char settings[64];

	expect_fault(&conf, "engine no-such-engine", "cannot be loaded");
	conf.path = "/nonexistent/engine.so";
	expect_fault(&conf, "engine no-such-engine", "from /nonexistent/engine.so");
	conf.path = TEST_PROVIDER; /* a shared object, but no engine */
	expect_fault(&conf, "engine no-such-engine", "cannot be loaded");
	conf = describe(true, strcpy(settings, "COLOUR=red"));
	expect_fault(&conf, "engine pst-async", "it has no setting COLOUR");
	conf = describe(true, strcpy(settings, "MODE=sideways"));
	expect_fault(&conf, "engine pst-async", "setting MODE: it refused \"sideways\"");
	conf = describe(true, strcpy(settings, "DELAY_US=soon"));
	expect_fault(&conf, "engine pst-async", "setting DELAY_US");
	conf = describe(true, strcpy(settings, "BROKEN"));
	expect_fault(&conf, "engine pst-async", "it did not start");
}

Test(named, a_provider_that_cannot_be_had_is_named)
{
	struct pst_ossl_named_conf conf = {.provider = "nosuchprovider"};
	char settings[64];

	expect_fault(&conf, "provider nosuchprovider", "cannot be loaded");
	conf.path = "/nonexistent/provider.so";
	expect_fault(&conf, "provider nosuchprovider", "from /nonexistent/provider.so");
	conf = describe(false, strcpy(settings, "broken=1"));
	expect_fault(&conf, "provider pst-test", "cannot be loaded");
}

Test(named, what_is_asked_for_must_make_sense)
{
	struct pst_ossl_named_conf conf = {0};

	expect_fault(&conf, "", "one of an engine and a provider");
	conf.engine = conf.provider = "both";
	expect_fault(&conf, "", "one of an engine and a provider");
	conf.engine = NULL;
	conf.provider = "a b";
	expect_fault(&conf, "provider a b", "letters");
	conf.provider = "p";
	conf.settings[0] = (struct pst_cryptodrv_opt){"key", "a\nmodule = /tmp/x"};
	conf.nsettings = 1;
	expect_fault(&conf, "setting key", "letters");
}

Test(named, there_are_no_back_ends_beside_it)
{
	static const struct pst_named n = {.name = "engine x"};
	struct pst_engine_conf conf = {.nlanes = 1, .nbackends = 1, .named = &n};
	char err[256] = "";

	cr_expect_null(pst_engine_new(&conf, err, sizeof(err)));
	cr_expect_str_eq(err, "back-ends beside a named engine");
}
