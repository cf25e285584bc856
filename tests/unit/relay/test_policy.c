/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Policy as the wire sees it: the matrix of features 1.3 in all its 96 cells, conflicts, the
 * lists, the broken-TLS memory. The golden table is written out, not computed. Every cell is
 * also foretold by explain, which must agree.
 */
#include "site.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct site s;
static struct pst_config_rule rule;

static void
setup(void)
{
	site_init(&s);
	site_tls(&s, PST_CONFIG_TLS_STARTTLS);
	s.hops[0].nhosts = 1;
	s.hops[0].level = s.hops[1].level = PST_LEVEL_UNSET;
	rule = (struct pst_config_rule){
		.id = "r", .from = "*", .to = "one.example", .enabled = true};
	s.cfg.policy.nrules = 1;
	s.cfg.policy.rules = &rule;
}

static struct peer *
client(bool tls)
{
	struct peer *c = site_client(&s);

	peer_send(c, "EHLO c.example\r\n");
	peer_expect(c, "STARTTLS\r\n", 5000);
	if (!tls)
		return c;
	peer_send(c, "STARTTLS\r\n");
	peer_expect(c, "220 2.0.0 ", 5000);
	peer_expect(c, "\r\n", 0);
	peer_tls(c, s.far_client);
	cr_assert(peer_tls_up(c, 5000));
	peer_send(c, "EHLO c.example\r\n");
	peer_expect(c, "250 ", 5000);
	peer_expect(c, "\r\n", 0);
	return c;
}

static void
envelope(struct peer *c)
{
	peer_send(c, "MAIL FROM:<a@client.example>\r\nRCPT TO:<b@one.example>\r\n");
}

/* The next hop's part; 'T' or 'P': how the envelope came, 0: it did not come. */
static char
serve(unsigned state)
{
	struct peer *h = site_accept(&s, SITE_HOP_A, 1000);

	if (h == NULL)
		return 0;
	peer_send(h, "220 hop ESMTP\r\n");
	peer_expect(h, "EHLO gw.example\r\n", 5000);
	peer_send(h, state == PST_HOP_NO_STARTTLS
			     ? "250-hop\r\n250 PIPELINING\r\n"
			     : "250-hop\r\n250-PIPELINING\r\n250 STARTTLS\r\n");
	if (peer_hears(h, "MAIL FROM", 1000)) {
		peer_expect(h, "RCPT", 5000);
		peer_send(h, "250 ok\r\n250 ok\r\n");
		return 'P';
	}
	if (!peer_hears(h, "STARTTLS\r\n", 1000))
		return 0;
	peer_send(h, "220 go\r\n");
	if (state == PST_HOP_BROKEN) {
		site_run(&s, 50); /* the ClientHello comes: what is sent now is no injection */
		peer_send(h, "this is no ServerHello\r\n");
		return 0;
	}
	peer_tls(h, s.far_server);
	peer_expect(h, "EHLO gw.example\r\n", 5000);
	peer_send(h, "250-hop\r\n250 PIPELINING\r\n");
	peer_expect(h, "RCPT", 5000);
	peer_send(h, "250 ok\r\n250 ok\r\n");
	return 'T';
}

/* What the client heard at MAIL or RCPT, as one letter. */
static char
heard(struct peer *c, char way)
{
	if (peer_hears(c, "250 2.1.5", 1000))
		return way;
	if (peer_hears(c, "530 5.7.0", 0))
		return 'S';
	if (peer_hears(c, "451 4.7.4", 0))
		return '4';
	return peer_hears(c, "451 4.7.5", 0) ? '5' : '?';
}

static char
foretold(bool tls, unsigned state)
{
	static struct pst_explain e;
	struct pst_explain_query q = {
		.from = "a@client.example", .to = "b@one.example", .tls = tls};
	char err[200] = "";
	const struct pst_explain_reply *r;

	cr_assert_eq(pst_relay_explain(s.relay, &q, &e, err, sizeof(err)), PST_OK, "%s", err);
	if (e.mail.code != 250 || e.nhosts == 0)
		return e.mail.code == 530 || e.rcpt.code == 530 ? 'S' : '?';
	r = &e.hosts[0].outcome[state].reply;
	if (r->code == 250)
		return e.hosts[0].outcome[state].channel[0] == 't' ? 'T' : 'P';
	return strcmp(r->enh, "4.7.4") == 0 ? '4' : '5';
}

static void
check_cell(bool tls, unsigned state, char want, const char *name)
{
	struct peer *c;
	char way, got, told;

	site_start(&s);
	told = foretold(tls, state);
	c = client(tls);
	peer_send(c, "MAIL FROM:<a@client.example>\r\n");
	peer_expect(c, "250 2.1.0", 5000);
	peer_send(c, "RCPT TO:<b@one.example>\r\n");
	way = serve(state);
	got = heard(c, way);
	cr_expect_eq(got, want, "%s: %c, not %c", name, got, want);
	cr_expect_eq(told, want, "%s: explain says %c, not %c", name, told, want);
	site_fini(&s);
}

#define ROWS(sender, plain_, tls_)                                                                 \
	{PST_SENDER_##sender, PST_RECIPIENT_NONE, plain_ ? "SSSS" : "PPPP", "PPPP"},               \
		{PST_SENDER_##sender, PST_RECIPIENT_PREFERRED, plain_ ? "SSSS" : "PTT5", "PTT5"},  \
		{PST_SENDER_##sender, PST_RECIPIENT_ALLOWED, plain_ ? "SSSS" : "PPPP", "4TT5"},    \
	{                                                                                          \
		PST_SENDER_##sender, PST_RECIPIENT_REQUIRED, plain_ ? "SSSS" : "4TT5", "4TT5"      \
	}

/* Columns: the next hop lacks STARTTLS, is good, is untrusted, breaks the handshake. */
static const struct {
	enum pst_sender_policy sender;
	enum pst_recipient_policy recipient;
	const char *plain, *tls; /* the client came in clear, with TLS */
} matrix[] = {
	ROWS(REQUIRED, true, true),
	ROWS(NONE, false, true),
	ROWS(OPTIONAL, false, true),
};

static void
check_rows(unsigned from, unsigned n)
{
	char name[120];

	for (unsigned i = from; i < from + n; i++) {
		for (unsigned cell = 0; cell < 2 * PST_HOP_STATES; cell++) {
			bool tls = cell >= PST_HOP_STATES;
			unsigned state = cell % PST_HOP_STATES;

			setup();
			rule.sender = matrix[i].sender;
			rule.recipient = matrix[i].recipient;
			snprintf(name, sizeof(name), "%s/%s, client %s, next hop %s",
				pst_sender_name(rule.sender), pst_recipient_name(rule.recipient),
				tls ? "tls" : "plain", pst_relay_hop_state_names[state]);
			check_cell(
				tls, state, (tls ? matrix[i].tls : matrix[i].plain)[state], name);
		}
	}
}

Test(policy, the_matrix_where_senders_must_encrypt)
{
	check_rows(0, 4);
}

Test(policy, the_matrix_where_senders_are_not_asked)
{
	check_rows(4, 4);
}

Test(policy, the_matrix_where_senders_may_encrypt)
{
	check_rows(8, 4);
}

Test(policy, broken_tls_is_remembered_for_an_hour_and_only_for_what_may_go_in_clear, .init = setup)
{
	struct peer *c;

	rule.recipient = PST_RECIPIENT_PREFERRED;
	s.hops[0].reuse = PST_REUSE_OFF;
	s.cfg.policy.broken_tls =
		(struct pst_config_broken_tls){.enabled = true, .ttl_ms = 3600000, .entries = 16};
	site_start(&s);
	c = client(false);
	envelope(c);
	cr_assert_eq(serve(PST_HOP_BROKEN), 0);
	cr_assert_eq(serve(PST_HOP_GOOD), 'P', "a new connection, in clear");
	peer_expect(c, "250 2.1.5", 5000);
	cr_assert_eq(s.sh->c.broken_tls_learned, 1);
	peer_abort(c);
	site_run(&s, 100);

	c = client(false); /* within the hour: not even tried */
	envelope(c);
	cr_assert_eq(serve(PST_HOP_GOOD), 'P');
	peer_abort(c);
	site_run(&s, 3601 * 1000);

	c = client(false);
	envelope(c);
	cr_assert_eq(serve(PST_HOP_GOOD), 'T', "an hour later TLS again");
	site_fini(&s);
}

Test(policy, broken_tls_never_weakens_a_demand, .init = setup)
{
	struct pst_ip hop;
	struct peer *c;

	rule.recipient = PST_RECIPIENT_REQUIRED;
	s.cfg.policy.broken_tls =
		(struct pst_config_broken_tls){.enabled = true, .ttl_ms = 3600000, .entries = 16};
	site_start(&s);
	cr_assert_eq(pst_ip_parse("192.0.2.2", &hop), PST_OK);
	broken_note(s.relay->broken, &hop, false, "test", s.now / PST_NS_PER_MS, 3600000, 16);
	c = client(false);
	envelope(c);
	cr_assert_eq(serve(PST_HOP_BROKEN), 0);
	peer_expect(c, "451 4.7.5", 5000);
	cr_assert_null(site_accept(&s, SITE_HOP_A, 1000));
	cr_assert_eq(s.sh->c.broken_tls_overruled, 1);
	cr_assert_eq(s.sh->c.broken_tls_learned, 0, "nothing is learned where TLS is demanded");
	site_fini(&s);
}

Test(policy, an_exemption_against_a_demand_is_a_conflict_and_no_silent_winner, .init = setup)
{
	static const char *never[] = {"a.one"};
	struct peer *c;
	char *log;

	rule.recipient = PST_RECIPIENT_REQUIRED;
	s.cfg.policy.nnever = 1;
	s.cfg.policy.never = never;
	site_start(&s);
	c = client(false);
	envelope(c);
	peer_expect(c, "451 4.7.5", 5000);
	cr_assert_null(site_accept(&s, SITE_HOP_A, 1000));
	cr_assert_eq(s.sh->c.policy_conflicts, 1);
	site_run(&s, 100);
	log = site_log(&s);
	cr_assert_not_null(strstr(log, "policy_conflict"), "%s", log);
	free(log);
	site_fini(&s);
}

Test(policy, a_client_on_the_never_list_is_not_invited_and_one_on_the_other_must, .init = setup)
{
	static const char *list[] = {"192.0.2.2"};
	struct peer *c;

	s.cfg.policy.nnever = 1;
	s.cfg.policy.never = list;
	site_start(&s);
	c = site_client(&s);
	peer_send(c, "EHLO c.example\r\n");
	cr_assert(!peer_hears(c, "STARTTLS", 1000));
	peer_send(c, "STARTTLS\r\n");
	peer_expect(c, "502 5.5.1", 5000);
	site_fini(&s);

	setup();
	s.cfg.policy.nrequired = 1;
	s.cfg.policy.required = list;
	site_start(&s);
	c = client(false);
	peer_send(c, "MAIL FROM:<a@client.example>\r\nRCPT TO:<b@one.example>\r\n");
	peer_expect(c, "530 5.7.0", 5000);
	site_fini(&s);
}

Test(policy, with_tls_before_mail_not_even_the_sender_is_taken_in_clear, .init = setup)
{
	struct peer *c;

	rule.sender = PST_SENDER_REQUIRED;
	s.cfg.policy.tls_before_mail = true;
	site_start(&s);
	c = client(false);
	peer_send(c, "MAIL FROM:<a@client.example>\r\n");
	peer_expect(c, "530 5.7.0", 5000);
	peer_send(c, "RCPT TO:<b@one.example>\r\n");
	peer_expect(c, "503 5.5.1", 5000);
	site_fini(&s);
}

/* T18 in spirit: what was made for a weaker demand does not serve a stronger one. */
Test(policy, a_pooled_plain_connection_does_not_serve_who_demands_tls, .init = setup)
{
	static struct pst_config_rule rules[2];
	struct peer *c;

	rules[0] = (struct pst_config_rule){.id = "bank",
		.from = "bank.example",
		.to = "*",
		.recipient = PST_RECIPIENT_REQUIRED,
		.enabled = true};
	rules[1] = rule;
	s.cfg.policy.nrules = 2;
	s.cfg.policy.rules = rules;
	site_start(&s);
	c = client(false);
	envelope(c);
	cr_assert_eq(serve(PST_HOP_NO_STARTTLS), 'P');
	peer_expect(c, "250 2.1.5", 5000);
	peer_send(c, "RSET\r\n");
	peer_expect(c, "250 2.0.0", 5000);
	cr_assert_eq(s.sh->npool, 1);
	peer_send(c, "MAIL FROM:<a@bank.example>\r\nRCPT TO:<b@one.example>\r\n");
	cr_assert_eq(serve(PST_HOP_GOOD), 'T');
	peer_expect(c, "250 2.1.5", 5000);
	peer_send(c, "RSET\r\nMAIL FROM:<a@other.example>\r\nRCPT TO:<b@one.example>\r\n");
	cr_assert_null(site_accept(&s, SITE_HOP_A, 1000), "the plain one is there for this");
	site_fini(&s);
}

Test(policy, where_no_sender_is_asked_starttls_is_not_offered_but_to_who_must, .init = setup)
{
	static const char *list[] = {"192.0.2.2"};
	struct peer *c;

	rule.sender = PST_SENDER_NONE;
	s.cfg.policy.default_sender = PST_SENDER_NONE;
	site_start(&s);
	c = site_client(&s);
	peer_send(c, "EHLO c.example\r\n");
	cr_assert(!peer_hears(c, "STARTTLS", 1000));
	site_fini(&s);

	setup();
	rule.enabled = false;
	s.cfg.policy.default_sender = PST_SENDER_NONE;
	s.cfg.policy.nrequired = 1;
	s.cfg.policy.required = list;
	site_start(&s);
	(void)client(true);
	site_fini(&s);
}
