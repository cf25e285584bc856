/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sessions whose handshakes are paused: what happens to a leg meanwhile, on either side, and
 * that mail goes through afterwards and all pools are full again.
 *
 * The back-end is a gate: while it is shut it keeps what it has, either untouched, so that it
 * can be taken back, or begun, so that it cannot.
 */
#include "site.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <pst_cryptodrv_fault.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <rte_mbuf.h>

static struct site s;

/* ---- the gate ---- */

#define DEPTH 256
#define MBUFS 16384

static struct {
	struct pst_op_done held[DEPTH];
	bool ran[DEPTH];
	unsigned n;
	atomic_bool shut;
	bool begins;             /* runs at once what it keeps */
	struct rte_mempool *dry; /* whose mbufs are all taken when a signature is asked for */
	struct rte_mbuf *mbufs[MBUFS];
	unsigned nmbufs;
} gate;

static struct pst_backend *
gate_open(const struct pst_cryptodrv_conf *conf, const struct pst_cryptodrv_env *env, char *err,
	size_t errlen)
{
	memset(&gate, 0, sizeof(gate));
	return (struct pst_backend *)&gate;
}

static void
gate_close(struct pst_backend *b)
{
}

static bool
gate_can(const struct pst_backend *b, enum pst_op_kind kind, enum pst_op_form form,
	enum pst_op_group group, unsigned bits)
{
	struct rte_mbuf *m;

	while (gate.dry != NULL && kind == PST_OP_ECDSA_SIGN && gate.nmbufs < MBUFS &&
		(m = rte_pktmbuf_alloc(gate.dry)) != NULL)
		gate.mbufs[gate.nmbufs++] = m;
	return form == PST_FORM_CALL;
}

static unsigned
gate_submit(struct pst_backend *b, unsigned lane, struct pst_op **ops, unsigned n)
{
	unsigned i;

	for (i = 0; i < n && gate.n < DEPTH; i++, gate.n++) {
		struct pst_op_done *d = &gate.held[gate.n];

		*d = (struct pst_op_done){.op = ops[i], .gen = ops[i]->gen};
		gate.ran[gate.n] = gate.begins;
		if (gate.begins)
			(void)pst_op_run(d->op, &d->ok);
	}
	return i;
}

static unsigned
gate_reap(struct pst_backend *b, unsigned lane, struct pst_op_done *done, unsigned n)
{
	unsigned i;

	for (i = 0; i < n && gate.n > 0 && !gate.shut; i++) {
		done[i] = gate.held[--gate.n];
		if (!gate.ran[gate.n])
			(void)pst_op_run(done[i].op, &done[i].ok);
	}
	return i;
}

static const struct pst_cryptodrv gate_driver = {
	.name = "gate",
	.options = "",
	.open = gate_open,
	.can = gate_can,
	.submit = gate_submit,
	.reap = gate_reap,
	.close = gate_close,
};

/* ---- the site ---- */

static void
engine(struct pst_engine_conf *conf)
{
	unsigned last = conf->nbackends - 1;
	char err[400] = "";

	conf->nlanes = 1;
	conf->ops = conf->jobs = DEPTH;
	conf->tuning.breaker_after = 1000000;
	conf->tuning.probe_ms = 1;
	for (unsigned k = 0; k < PST_OP_KINDS; k++) {
		conf->tuning.nroutes[k] = 1;
		conf->tuning.routes[k][0] = (uint8_t)last;
	}
	s.engine = pst_engine_new(conf, err, sizeof(err));
	cr_assert_not_null(s.engine, "%s", err);
}

/* No operation is late: what ends a pause is the gate, or the leg's own deadline. */
static void
paused_site(void)
{
	struct pst_engine_conf conf = {.nbackends = 1, .tuning.deadline_us = 1000000000};

	site_tls(&s, PST_CONFIG_TLS_STARTTLS);
	s.hops[0].nhosts = 1;
	conf.backends[0] = (struct pst_engine_backend){
		.drv = &gate_driver, .conf = {.name = "gate", .depth = DEPTH}};
	engine(&conf);
}

static void
setup(void)
{
	site_init(&s);
	paused_site();
}

static const struct pst_cryptodrv *
driver(const char *name)
{
	for (unsigned i = 0; pst_cryptodrvs[i] != NULL; i++)
		if (strcmp(pst_cryptodrvs[i]->name, name) == 0)
			return pst_cryptodrvs[i];
	cr_assert_fail("no driver %s", name);
	return NULL;
}

static struct pst_lane_stats
stats(void)
{
	struct pst_lane_stats st;

	pst_lane_stats(s.sh->lane, &st);
	return st;
}

/* The client up to the 220 of STARTTLS; its ClientHello is on the way. */
static struct peer *
begins_tls(void)
{
	struct peer *c = site_client(&s);

	peer_send(c, "EHLO plain.example\r\n");
	peer_expect(c, "STARTTLS\r\n", 5000);
	peer_send(c, "STARTTLS\r\n");
	peer_expect(c, "220 2.0.0 ", 5000);
	peer_expect(c, "\r\n", 0);
	peer_tls(c, s.far_client);
	peer_tls_read(c);
	return c;
}

static struct peer *
tls_client(void)
{
	struct peer *c = begins_tls();

	cr_assert(peer_tls_up(c, 5000));
	return c;
}

static struct peer *
hop_begins_tls(void)
{
	struct peer *h = site_accept(&s, SITE_HOP_A, 5000);

	cr_assert_not_null(h);
	peer_send(h, "220 hop ESMTP\r\n");
	peer_expect(h, "EHLO gw.example\r\n", 5000);
	peer_send(h, "250-hop\r\n250-PIPELINING\r\n250 STARTTLS\r\n");
	peer_expect(h, "STARTTLS\r\n", 5000);
	peer_send(h, "220 go\r\n");
	peer_tls(h, s.far_server);
	return h;
}

static void
mail_crosses(struct peer *c, struct peer *h)
{
	if (h == NULL) {
		client_envelope(c, "b@one.example");
		h = hop_begins_tls();
	}
	peer_expect(h, "EHLO gw.example\r\n", 5000);
	peer_send(h, "250-hop\r\n250 PIPELINING\r\n");
	peer_expect(h, "RCPT TO:", 5000);
	peer_send(h, "250 ok\r\n250 ok\r\n");
	peer_expect(c, "250 2.1.5", 5000);
	peer_send(c, "DATA\r\n");
	peer_expect(h, "DATA\r\n", 5000);
	peer_send(h, "354 go\r\n");
	peer_expect(c, "354 ", 5000);
	peer_send(c, "x\r\n.\r\n");
	peer_expect(h, "\r\nx\r\n.\r\n", 5000);
	peer_send(h, "250 ok\r\n");
	peer_expect(c, "250 2.0.0", 5000);
}

static void
pools_are_full(void)
{
	uint64_t until = pst_now_ns() + 10 * PST_NS_PER_SEC;
	struct pst_lane_stats st;

	gate.shut = false;
	do
		site_run(&s, 1);
	while (stats().ops_free < stats().ops_total && pst_now_ns() < until);
	st = stats();
	cr_expect_eq(st.ops_free, st.ops_total, "%u of %u, %u in quarantine", st.ops_free,
		st.ops_total, st.ops_quarantined);
	cr_expect_eq(st.jobs_in_use, 0);
	cr_expect_eq(st.jobs_waiting, 0);
	cr_expect(TAILQ_EMPTY(&s.sh->deferred));
}

/* It goes through, and nothing is missing. */
static void
as_good_as_new(void)
{
	pools_are_full();
	mail_crosses(tls_client(), NULL);
	pools_are_full();
	site_fini(&s);
}

/* ---- the client's leg ---- */

enum what { RST, FIN, TALK, LATE, KILLED, CUT, PUBLISHED, WHATS };

static struct peer *
client_pauses(bool begun)
{
	struct peer *c;

	setup();
	site_start(&s);
	gate.shut = true;
	gate.begins = begun;
	c = begins_tls();
	site_run(&s, 5);
	cr_assert_eq(stats().jobs_in_use, 1);
	cr_assert_eq(atomic_load(&s.relay->handshakes), 1, "it counts while it is paused");
	return c;
}

static void
publish(void)
{
	static struct pst_config next;
	static struct pst_config_listener ln;
	static struct pst_config_tls_profile profile;
	static struct pst_config_next_hop hops[2];

	next = s.cfg;
	ln = s.listener;
	profile = s.profile;
	memcpy(hops, s.hops, sizeof(hops));
	profile.name = "other"; /* other contexts; the old ones are the paused handshake's alone */
	hops[0].profile_max = PST_TLS_1_2;
	next.listeners = &ln;
	next.profiles = &profile;
	next.next_hops = hops;
	cr_assert_eq(pst_relay_publish(s.relay, &next, NULL, NULL, NULL), PST_OK);
	site_run(&s, 1);
	(void)pst_relay_reclaim(s.relay);
}

static void
happens(struct peer *p, enum what what)
{
	switch (what) {
	case RST:
		peer_abort(p);
		break;
	case FIN:
		peer_close(p);
		break;
	case TALK:
		cr_assert_eq(pst_tcp_write(p->conn, "NOOP\r\n", 6), PST_OK);
		break;
	case LATE:
		site_run(&s, 31000);
		break;
	case KILLED:
		session_kill(TAILQ_FIRST(&s.sh->sessions));
		break;
	case CUT:
		shard_drain(s.sh);
		site_run(&s, 5);
		cr_assert_eq(s.sh->nsessions, 1, "a drain waits for it");
		shard_cut(s.sh);
		shard_undrain(s.sh);
		break;
	case PUBLISHED:
		publish();
		break;
	case WHATS:
		break;
	}
	site_run(&s, 5);
}

static void
client_leg(enum what what, bool begun)
{
	bool stays = what == FIN || what == TALK || what == PUBLISHED;
	struct peer *c = client_pauses(begun);

	happens(c, what);
	cr_expect_eq(s.sh->nsessions, stays, "%d: %u sessions", what, s.sh->nsessions);
	cr_expect_eq(atomic_load(&s.relay->handshakes), stays);
	/* A call that was begun is waited for; the rest is unwound at once. */
	cr_expect_eq(stats().jobs_in_use, stays || begun);
	if (what != PUBLISHED) {
		publish();
		cr_expect_eq(pst_relay_reclaim(s.relay), stays);
	}
	gate.shut = false;
	site_run(&s, 5);
	if (what == PUBLISHED) {
		cr_assert(peer_tls_up(c, 5000));
		mail_crosses(c, NULL);
	} else {
		cr_expect_eq(s.sh->nsessions, 0);
	}
	as_good_as_new();
}

Test(async, a_client_may_do_anything_while_its_handshake_is_paused)
{
	for (unsigned i = 0; i < WHATS; i++)
		client_leg((enum what)i, false);
}

Test(async, a_client_may_do_anything_while_its_operation_is_being_run)
{
	for (unsigned i = 0; i < WHATS; i++)
		client_leg((enum what)i, true);
}

/* A certificate of several KiB leaves OpenSSL before the signature that follows it is there. */
Test(async, a_flight_that_cannot_be_sent_before_a_pause_ends_the_session)
{
	static char san[8192];
	unsigned at = 0;

	for (unsigned i = 0; i < 200; i++)
		at += (unsigned)snprintf(san + at, sizeof(san) - at, "%sDNS:name%u.of.many.example",
			i > 0 ? "," : "", i);
	site_init(&s);
	s.san = san;
	paused_site();
	site_start(&s);
	gate.shut = true;
	(void)begins_tls();
	site_run(&s, 5);
	cr_assert_eq(stats().jobs_in_use, 1);
	gate.dry = pst_net_pool_data(s.sh->net);
	gate.shut = false;
	for (unsigned i = 0; i < 8; i++)
		shard_turn(s.sh, s.now);
	cr_assert(gate.nmbufs > 0 && gate.nmbufs < MBUFS, "%u", gate.nmbufs);
	rte_pktmbuf_free_bulk(gate.mbufs, gate.nmbufs);
	gate.dry = NULL;
	site_run(&s, 5);
	cr_expect_eq(s.sh->nsessions, 0, "its client would wait for what was lost");
	as_good_as_new();
}

/* ---- the next hop's ---- */

static void
hop_leg(enum what what, bool begun)
{
	bool stays = what == FIN || what == TALK || what == PUBLISHED;
	struct peer *c, *h;

	setup();
	site_start(&s);
	c = tls_client();
	client_envelope(c, "b@one.example");
	gate.shut = true;
	gate.begins = begun;
	h = hop_begins_tls();
	site_run(&s, 5);
	cr_assert_eq(stats().jobs_in_use, 1);
	happens(h, what);
	cr_expect_eq(stats().jobs_in_use, stays || begun, "%d", what);
	if (what == RST || what == LATE)
		peer_expect(c, "451 4.", 5000);
	gate.shut = false;
	site_run(&s, 5);
	if (what == FIN || what == TALK)
		peer_expect(c, "451 4.", 5000);
	if (what == PUBLISHED)
		mail_crosses(c, h);
	as_good_as_new();
}

Test(async, a_next_hop_may_do_anything_while_its_handshake_is_paused)
{
	for (unsigned i = 0; i < WHATS; i++)
		hop_leg((enum what)i, false);
}

Test(async, a_next_hop_may_do_anything_while_its_operation_is_being_run)
{
	for (unsigned i = 0; i < WHATS; i++)
		hop_leg((enum what)i, true);
}

Test(async, a_client_that_leaves_takes_the_paused_handshake_of_its_hop_with_it)
{
	for (unsigned begun = 0; begun < 2; begun++) {
		struct peer *c;

		setup();
		site_start(&s);
		c = tls_client();
		client_envelope(c, "b@one.example");
		gate.shut = true;
		gate.begins = begun != 0;
		(void)hop_begins_tls();
		site_run(&s, 5);
		cr_assert_eq(stats().jobs_in_use, 1);
		peer_abort(c);
		site_run(&s, 5);
		cr_expect_eq(s.sh->nsessions, 0);
		cr_expect_eq(stats().jobs_in_use, begun);
		as_good_as_new();
	}
}

static void *
opens_soon(void *arg)
{
	const struct timespec nap = {.tv_nsec = 50 * 1000 * 1000};

	nanosleep(&nap, NULL);
	gate.shut = false;
	return NULL;
}

/* What the begun call works on, and where it is to be told, may not go before it ends. */
Test(async, a_worker_that_ends_waits_for_calls_that_were_begun)
{
	struct peer *c = client_pauses(true);
	pthread_t t;

	peer_abort(c);
	cr_assert_eq(pthread_create(&t, NULL, opens_soon, NULL), 0);
	shard_fini(s.sh);
	pthread_join(t, NULL);
	cr_expect_eq(gate.n, 0);
	cr_expect_eq(atomic_load(&s.relay->handshakes), 0);
	memset(s.sh, 0, sizeof(*s.sh));
	cr_assert_eq(shard_init(s.sh, s.relay, 0, s.now), PST_OK);
	as_good_as_new();
}

/* ---- many at once ---- */

Test(async, a_turn_takes_few_steps_and_who_must_wait_may_go_away, .init = setup)
{
	struct peer *c[24];

	site_start(&s);
	for (unsigned i = 0; i < PST_COUNT(c); i++) {
		c[i] = site_client(&s);
		peer_send(c[i], "EHLO plain.example\r\n");
		peer_expect(c[i], "STARTTLS\r\n", 5000);
		peer_send(c[i], "STARTTLS\r\n");
		peer_expect(c[i], "220 2.0.0 ", 5000);
		peer_expect(c[i], "\r\n", 0);
		peer_tls(c[i], s.far_client);
	}
	s.most_begun = 0;
	for (unsigned i = 0; i < PST_COUNT(c); i++)
		peer_tls_read(c[i]);
	pst_tcp_flush(s.far_tcp, s.now);
	pst_net_flush(s.far_net);
	site_carry(&s);
	shard_turn(s.sh, s.now);
	cr_assert_not(TAILQ_EMPTY(&s.sh->deferred));
	cr_assert_leq(stats().jobs_in_use, 2);
	/* Both who waits for a step and who waits for the back-end; twice, by list and by hand. */
	while (!TAILQ_EMPTY(&s.sh->deferred)) {
		struct leg *l = TAILQ_FIRST(&s.sh->deferred);

		session_kill(pst_container_of(l, struct session, leg));
	}
	for (unsigned i = 0; i < PST_COUNT(c); i += 2)
		peer_abort(c[i]);
	site_run(&s, 100);
	cr_expect_gt(s.sh->c.handshakes_deferred, 0);
	cr_expect_leq(s.most_begun, 2);
	as_good_as_new();
}

static void
flaky(void)
{
	struct pst_engine_conf conf = {.nbackends = 2, .tuning.deadline_us = 50000};
	const struct pst_cryptodrv_opt opts[] = {{"seed", "11"}, {"error", "100"}, {"drop", "50"},
		{"late", "50"}, {"delay", "300"}, {"reorder", "100"}, {"double", "50"},
		{"full", "200"}, {"partial", "200"}, {"stall", "50"}, {"stall_us", "500"},
		{"delay_us", "500"}, {"lost_ms", "1"}};

	site_init(&s);
	site_tls(&s, PST_CONFIG_TLS_STARTTLS);
	s.hops[0].nhosts = 1;
	conf.backends[0] = (struct pst_engine_backend){
		.drv = driver("sync"), .conf = {.name = "cpu", .depth = DEPTH}};
	conf.backends[1] = (struct pst_engine_backend){
		.drv = driver("fault"), .conf = {.name = "drill", .depth = DEPTH}, .around = "cpu"};
	memcpy(conf.backends[1].conf.opts, opts, sizeof(opts));
	conf.backends[1].conf.nopts = PST_COUNT(opts);
	engine(&conf);
}

Test(async, behind_a_back_end_with_all_faults_every_mail_crosses, .init = flaky)
{
	site_start(&s);
	for (unsigned i = 0; i < 20; i++) {
		struct peer *gone[3], *c;

		for (unsigned k = 0; k < PST_COUNT(gone); k++)
			gone[k] = begins_tls();
		c = begins_tls();
		site_run(&s, i % 5);
		for (unsigned k = 0; k < PST_COUNT(gone); k++)
			(k == 0 ? peer_close : peer_abort)(gone[k]);
		cr_assert(peer_tls_up(c, 5000));
		client_envelope(c, "b@one.example");
		mail_crosses(c, hop_begins_tls());
		peer_send(c, "QUIT\r\n");
		peer_expect(c, "221 ", 5000);
		hop_pool_flush(s.sh);
	}
	cr_expect_gt(stats().c.redone, 0);
	cr_expect_gt(stats().c.cancelled, 0);
	as_good_as_new();
}
