/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sessions that wait for a name or for a mirror's answer, with the real resolver against a
 * scripted DNS: what happens to the world meanwhile, and who ends the wait. The shard's clock is
 * virtual, the resolver's is not: DNS is waited for until it is there, however long it takes.
 */
#include "site.h"

#include <criterion/criterion.h>
#include <dnsd.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PTR "2.2.0.192.in-addr.arpa"

static struct site s;
static struct dnsd *dns;
static struct pst_config next;
static struct pst_config_next_hop next_hops[2];

static void
setup(void)
{
	site_init(&s);
	site_tls(&s, PST_CONFIG_TLS_STARTTLS);
	s.hops[0].nhosts = 1;
	s.hops[0].level = s.hops[1].level = PST_LEVEL_UNSET;
	s.cfg.nnext_hops = s.cfg.nroutes = 1;
	dns = NULL;
}

static void
names(const struct dnsd_rule *rules)
{
	dns = dnsd_new(rules);
	s.cfg.dns = (struct pst_config_dns){.on = true,
		.client_names = true,
		.names = {.nservers = 1, .servers = {dnsd_address(dns)}, .timeout_ms = 60000}};
}

static void
finish(void)
{
	site_fini(&s);
	if (dns != NULL)
		dnsd_free(dns);
}

/* Real time for the resolver, virtual time for all else. */
#define UNTIL(cond)                                                                                \
	do {                                                                                       \
		for (int turns = 0; turns < 10000 && !(cond); turns++) {                           \
			site_run(&s, 1);                                                           \
			usleep(1000);                                                              \
		}                                                                                  \
		cr_assert(cond);                                                                   \
	} while (0)

static void
no_report(void *arg, const char *pointer, const char *text)
{
	cr_assert_fail("%s: %s", pointer, text);
}

static void
prepare(void)
{
	next = s.cfg;
	memcpy(next_hops, s.hops, sizeof(next_hops));
	next.next_hops = next_hops;
}

static void
publish(void)
{
	cr_assert_eq(pst_relay_publish(s.relay, &next, no_report, NULL, NULL), PST_OK);
	site_run(&s, 1);
}

/* A next hop that a mirror asks; it says this to EHLO. */
static void
mirrored(struct peer *h, const char *keywords)
{
	peer_send(h, "220 hop ESMTP\r\n");
	peer_expect(h, "EHLO gw.example\r\n", 5000);
	peer_send(h, keywords);
}

static bool
invited(struct peer *c)
{
	peer_expect(c, "220 gw.example", 5000);
	peer_send(c, "EHLO c.example\r\n");
	return peer_hears(c, "STARTTLS\r\n", 1000);
}

/* ---- mirror_receiver ---- */

Test(waiting, a_mirror_asks_the_next_hop_of_its_session_though_the_present_one_has_no_host,
	.init = setup)
{
	static const struct dnsd_rule rules[] = {
		{PTR, "PTR", "c.example", DNSD_HELD}, {"c.example", "A", "192.0.2.2"}, {NULL}};
	struct peer *c, *h;

	names(rules);
	s.cfg.policy.mirror_receiver = true;
	site_start(&s);
	c = site_connect(&s);
	UNTIL(dnsd_asked(dns, PTR, "PTR") > 0);
	prepare();
	next_hops[0].mx = true;
	next_hops[0].nhosts = 0;
	next_hops[0].port = 25;
	publish();
	dnsd_release(dns);
	UNTIL(s.sh->probe != NULL);
	h = site_accept(&s, SITE_HOP_A, 1000);
	cr_assert_not_null(h);
	mirrored(h, "250-hop\r\n250 STARTTLS\r\n");
	cr_assert(invited(c));
	finish();
}

Test(waiting, what_a_mirror_learned_of_the_old_next_hop_is_not_said_of_the_new, .init = setup)
{
	struct peer *c, *h;

	s.cfg.policy.mirror_receiver = true;
	site_start(&s);
	c = site_connect(&s);
	h = site_accept(&s, SITE_HOP_A, 1000);
	cr_assert_not_null(h);
	prepare();
	next_hops[0].hosts = s.hosts[1];
	publish();
	mirrored(h, "250-hop\r\n250 SIZE\r\n");
	cr_assert_not(invited(c));
	c = site_connect(&s);
	h = site_accept(&s, SITE_HOP_C, 1000);
	cr_assert_not_null(h, "nobody asked the new next hop");
	mirrored(h, "250-hop\r\n250 STARTTLS\r\n");
	cr_assert(invited(c));
	finish();
}

Test(waiting, a_mirror_that_knows_nothing_yet_counts_its_next_hop_as_one_that_offers, .init = setup)
{
	static struct pst_explain e, out;
	struct pst_explain_query q = {.from = "a@x.example", .to = "b@one.example", .tls = true};
	struct errand to = {.cls = NULL};
	struct target at = {.at = {.port = SITE_HOP_A}};
	struct probe p = {
		.to = &to, .target = &at, .helo = "gw.example", .ms = 10000, .out = &out.hosts[0]};
	char err[200] = "";

	s.cfg.policy.mirror_receiver = true;
	site_start(&s);
	cr_assert_eq(pst_relay_explain(s.relay, &q, &e, err, sizeof(err)), PST_OK, "%s", err);
	cr_assert(e.starttls_offered);
	/* The first client comes while an operator's probe is under way. */
	to.cls = &s.relay->snap->classes[0];
	at.at.ip = s.hosts[0][0].address;
	p.snap = s.relay->snap;
	probe_begin(s.sh, &p);
	cr_assert(invited(site_connect(&s)));
	probe_cut(s.sh);
	atomic_store(&s.sh->mail.state, MAIL_FREE);
	finish();
}

Test(waiting, a_next_hop_that_has_tls_at_once_lets_clients_have_it, .init = setup)
{
	struct peer *c, *h;

	site_tls_fini(&s);
	site_tls(&s, PST_CONFIG_TLS_IMPLICIT);
	s.hops[0].level = PST_LEVEL_UNSET;
	s.listener.tls = PST_CONFIG_TLS_STARTTLS;
	s.cfg.policy.mirror_receiver = true;
	site_start(&s);
	c = site_connect(&s);
	if ((h = site_accept(&s, SITE_HOP_A, 1000)) != NULL)
		mirrored(h, "250-hop\r\n250 SIZE\r\n"); /* in TLS nobody offers it again */
	cr_assert(invited(c));
	finish();
}

Test(waiting, a_mirrors_probe_outlives_those_who_waited_for_it_and_their_generation, .init = setup)
{
	struct peer *killed, *gone, *h;

	s.cfg.policy.mirror_receiver = true;
	site_start(&s);
	killed = site_connect(&s);
	gone = site_connect(&s);
	h = site_accept(&s, SITE_HOP_A, 1000);
	cr_assert_not_null(h);
	peer_abort(gone);
	site_run(&s, 10);
	cr_assert_eq(s.sh->nsessions, 1);
	session_kill(TAILQ_FIRST(&s.sh->sessions));
	peer_expect(killed, "421 4.3.2", 1000);
	cr_assert_eq(s.sh->nsessions, 0);
	prepare();
	next_hops[0].mx = true;
	next_hops[0].nhosts = 0;
	publish();
	cr_assert_eq(pst_relay_reclaim(s.relay), 1, "the probe's");
	mirrored(h, "250-hop\r\n250 SIZE\r\n");
	site_run(&s, 100);
	cr_assert_null(s.sh->probe);
	cr_assert_eq(pst_relay_reclaim(s.relay), 0);
	cr_assert(invited(site_connect(&s)));
	finish();
}

Test(waiting, a_silent_mirror_keeps_nobody_for_long_and_a_stop_keeps_nobody_at_all, .init = setup)
{
	struct peer *c;

	s.cfg.policy.mirror_receiver = true;
	site_start(&s);
	c = site_connect(&s);
	cr_assert_not_null(site_accept(&s, SITE_HOP_A, 1000));
	cr_assert(!peer_hears(c, "220 ", 4000));
	peer_expect(c, "220 ", 2000);
	peer_abort(c);
	site_run(&s, 6000);
	c = site_connect(&s);
	cr_assert_not_null(site_accept(&s, SITE_HOP_A, 1000));
	shard_drain(s.sh);
	shard_cut(s.sh);
	peer_expect(c, "421 4.3.2", 1000);
	cr_assert_null(s.sh->probe);
	finish();
}

/* ---- names ---- */

static const struct dnsd_rule held_client[] = {
	{PTR, "PTR", "c.example", DNSD_HELD}, {"c.example", "A", "192.0.2.2"}, {NULL}};

Test(waiting, an_operator_who_ends_a_session_before_tls_says_nothing_in_clear, .init = setup)
{
	struct peer *c;

	names(held_client);
	s.listener.tls = PST_CONFIG_TLS_IMPLICIT;
	site_start(&s);
	c = site_connect(&s);
	UNTIL(s.sh->nsessions == 1 && dnsd_asked(dns, PTR, "PTR") > 0);
	session_kill(TAILQ_FIRST(&s.sh->sessions));
	cr_assert(peer_ends(c, 5000));
	cr_assert_eq(c->n, 0, "%s", c->rx);
	c = site_connect(&s);
	UNTIL(s.sh->nsessions == 1);
	session_cut(TAILQ_FIRST(&s.sh->sessions));
	cr_assert(peer_ends(c, 5000));
	cr_assert_eq(c->n, 0, "%s", c->rx);
	finish();
}

Test(waiting, a_client_that_leaves_before_it_has_a_name_leaves_nothing_behind, .init = setup)
{
	struct peer *c;

	names(held_client);
	site_start(&s);
	c = site_connect(&s);
	UNTIL(dnsd_asked(dns, PTR, "PTR") > 0);
	peer_abort(c);
	site_run(&s, 100);
	cr_assert_eq(s.sh->nsessions, 0);
	cr_assert_eq(s.sh->waiting.n, 1, "its question is still under way");
	dnsd_release(dns);
	UNTIL(s.sh->waiting.n == 0);
	finish();
}

Test(waiting, a_drain_ends_who_was_waiting_once_its_name_is_there, .init = setup)
{
	struct peer *c;

	names(held_client);
	site_start(&s);
	c = site_connect(&s);
	UNTIL(dnsd_asked(dns, PTR, "PTR") > 0);
	shard_drain(s.sh);
	cr_assert_eq(s.sh->nsessions, 1);
	dnsd_release(dns);
	UNTIL(s.sh->waiting.n == 0);
	shard_drain(s.sh);
	peer_expect(c, "421 4.3.2", 5000);
	cr_assert(peer_ends(c, 5000));
	finish();
}

static void
direct(void)
{
	s.routes[0].domain = "*";
	s.hops[0].mx = true;
	s.hops[0].nhosts = 0;
	s.hops[0].port = SITE_HOP_A;
}

static const struct dnsd_rule held_mx[] = {{"held.example", "MX", "10:mx.held.example", DNSD_HELD},
	{"mx.held.example", "A", "192.0.2.2"}, {PTR, "PTR", "c.example"},
	{"c.example", "A", "192.0.2.2"}, {NULL}};

Test(waiting, a_session_killed_while_its_next_hop_is_looked_up_ends_and_the_answer_finds_nobody,
	.init = setup)
{
	struct peer *c;

	names(held_mx);
	direct();
	site_start(&s);
	c = site_connect(&s);
	UNTIL(strstr(c->rx, "220 gw.example") != NULL);
	client_envelope(c, "b@held.example");
	UNTIL(dnsd_asked(dns, "held.example", "MX") > 0);
	session_kill(TAILQ_FIRST(&s.sh->sessions));
	peer_expect(c, "421 4.3.2", 5000);
	site_run(&s, 100);
	cr_assert_eq(s.sh->nsessions, 0);
	dnsd_release(dns);
	UNTIL(s.sh->waiting.n == 0);
	cr_assert_null(site_accept(&s, SITE_HOP_A, 1000));
	finish();
}

Test(waiting, an_old_generation_ends_only_after_the_names_its_session_waits_for, .init = setup)
{
	struct peer *c, *h;

	names(held_mx);
	direct();
	site_start(&s);
	c = site_connect(&s);
	UNTIL(strstr(c->rx, "220 gw.example") != NULL);
	client_envelope(c, "b@held.example");
	UNTIL(dnsd_asked(dns, "held.example", "MX") > 0);
	prepare();
	next_hops[0].mx = false;
	next_hops[0].nhosts = 1;
	next_hops[0].hosts = s.hosts[1];
	publish();
	cr_assert_eq(pst_relay_reclaim(s.relay), 1);
	dnsd_release(dns);
	UNTIL(s.sh->waiting.n == 0);
	h = hop_serve(&s, SITE_HOP_A);
	peer_expect(h, "RCPT TO:<b@held.example>", 5000);
	peer_send(h, "250 ok\r\n250 ok\r\n");
	peer_expect(c, "250 2.1.5", 5000);
	finish();
}

Test(waiting, a_domain_that_no_name_can_be_does_not_exist, .init = setup)
{
	struct peer *c;

	names(held_mx);
	direct();
	site_start(&s);
	c = site_connect(&s);
	UNTIL(strstr(c->rx, "220 gw.example") != NULL);
	peer_send(c, "EHLO c.example\r\n");
	peer_expect(c, "SMTPUTF8", 5000);
	peer_send(c, "MAIL FROM:<a@x.example> SMTPUTF8\r\n"
		     "RCPT TO:<b@\xd7\x90"
		     "1a.example>\r\n"); /* RFC 5893: both directions in one label */
	UNTIL(strstr(c->rx, " 5.1.2 ") != NULL || strstr(c->rx, "451 4.") != NULL);
	cr_assert_not_null(strstr(c->rx, "550 5.1.2"), "%s", c->rx);
	finish();
}

/* ---- explain ---- */

struct asked {
	struct pst_explain e;
	char err[200];
	enum pst_rc rc;
};

static void *
explain(void *arg)
{
	struct asked *a = arg;
	struct pst_explain_query q = {.from = "a@x.example", .to = "b@one.example"};

	a->rc = pst_relay_explain(s.relay, &q, &a->e, a->err, sizeof(a->err));
	return NULL;
}

static struct pst_config_host hosts[8];
static char host_names[8][32];

static void
eight_hosts(void)
{
	for (unsigned i = 0; i < 8; i++) {
		snprintf(host_names[i], sizeof(host_names[i]), "h%u.held.example", i);
		hosts[i] = (struct pst_config_host){.name = host_names[i], .port = 25};
	}
	s.hops[0].nhosts = 8;
	s.hops[0].hosts = hosts;
}

static bool
all_asked(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < 8; i++)
		n += dnsd_asked(dns, host_names[i], "A") > 0;
	return n == 8;
}

Test(waiting, explain_asks_for_all_names_at_once_and_not_for_one_after_the_other, .init = setup)
{
	static const struct dnsd_rule rules[] = {{"*.held.example", "A", "192.0.2.2", DNSD_HELD},
		{"*.held.example", "AAAA", "", DNSD_RIGHT}, {NULL}};
	static struct asked a;
	pthread_t t;

	names(rules);
	eight_hosts();
	site_start(&s);
	pthread_create(&t, NULL, explain, &a);
	UNTIL(all_asked());
	dnsd_release(dns);
	pthread_join(t, NULL);
	cr_assert_eq(a.rc, PST_OK, "%s", a.err);
	cr_assert_eq(a.e.nhosts, s.hops[0].max_tries);
	cr_assert_eq(a.e.rcpt.code, 250);
	finish();
}

Test(waiting, a_name_that_nobody_answers_does_not_hide_the_others_from_explain, .init = setup)
{
	static const struct dnsd_rule rules[] = {{"h7.held.example", "A", "192.0.2.2"},
		{"h7.held.example", "AAAA", "", DNSD_RIGHT},
		{"*.held.example", NULL, "", DNSD_SILENT}, {NULL}};
	static struct asked a;
	pthread_t t;

	names(rules);
	s.cfg.dns.names.timeout_ms = 1000;
	eight_hosts();
	site_start(&s);
	pthread_create(&t, NULL, explain, &a);
	pthread_join(t, NULL);
	cr_assert_eq(a.rc, PST_OK, "%s", a.err);
	cr_assert_eq(a.e.nhosts, 1);
	cr_assert_str_eq(a.e.hosts[0].name, "h7.held.example");
	cr_assert_eq(a.e.rcpt.code, 250);
	finish();
}
