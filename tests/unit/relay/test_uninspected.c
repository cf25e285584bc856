/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where TLS is demanded and something of ours stands in its way: an action that does not
 * inspect, the broken-TLS memory. And the field that finds circles, however long its parts.
 */
#include "site.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct site s;
static struct pst_config_map_entry entry;

static void
setup(void)
{
	site_init(&s);
	site_tls(&s, PST_CONFIG_TLS_STARTTLS);
	s.hops[0].nhosts = 1;
	s.hops[0].level = s.hops[1].level = PST_LEVEL_UNSET;
	entry = (struct pst_config_map_entry){.destination = "[a.one]:2525"};
}

/* ---- an action without inspection: next hops are not asked for TLS ---- */

/* What a client hears at RCPT, and explain says: the same code. */
static void
expect_rcpt(const char *reply, unsigned code, const char *name)
{
	static struct pst_explain e;
	struct pst_explain_query q = {.from = "a@client.example", .to = "b@one.example"};
	char err[200] = "";
	struct peer *c, *h;

	site_start(&s);
	cr_expect_eq(pst_relay_explain(s.relay, &q, &e, err, sizeof(err)), PST_OK, "%s", err);
	cr_expect_eq(e.rcpt.code, code, "%s: explain says %u", name, e.rcpt.code);
	c = site_client(&s);
	client_envelope(c, "b@one.example");
	h = site_accept(&s, SITE_HOP_A, 1000);
	cr_expect_eq(h != NULL, code == 250, "%s", name);
	if (h != NULL) {
		peer_send(h, "220 hop ESMTP\r\n");
		peer_expect(h, "EHLO", 5000);
		peer_send(h, "250-hop\r\n250-PIPELINING\r\n250 STARTTLS\r\n");
		cr_expect(peer_hears(h, "MAIL FROM", 1000), "%s: %s", name, h->rx);
		peer_send(h, "250 ok\r\n250 ok\r\n");
	}
	cr_expect(peer_hears(c, reply, 1000), "%s: \"%s\"", name, c->rx);
	site_fini(&s);
}

Test(uninspected, what_must_be_encrypted_does_not_go_on_in_clear_because_nobody_inspects)
{
	static const struct {
		enum pst_recipient_policy recipient;
		enum pst_level outbound, map;
		const char *reply;
		unsigned code;
		const char *name;
	} cases[] = {
		{PST_RECIPIENT_PREFERRED, PST_LEVEL_UNSET, PST_LEVEL_UNSET, "250 2.1.5", 250,
			"preferred"},
		{PST_RECIPIENT_REQUIRED, PST_LEVEL_UNSET, PST_LEVEL_UNSET, "451 4.7.5", 451,
			"required by the default rule"},
		{PST_RECIPIENT_UNSET, PST_LEVEL_ENCRYPT, PST_LEVEL_UNSET, "451 4.7.5", 451,
			"the global level"},
		{PST_RECIPIENT_UNSET, PST_LEVEL_UNSET, PST_LEVEL_ENCRYPT, "451 4.7.5", 451,
			"the map"},
		{PST_RECIPIENT_REQUIRED, PST_LEVEL_ENCRYPT, PST_LEVEL_MAY, "250 2.1.5", 250,
			"the map fills the gap with may"},
		{PST_RECIPIENT_REQUIRED, PST_LEVEL_ENCRYPT, PST_LEVEL_NONE, "250 2.1.5", 250,
			"the map exempts"},
	};

	for (unsigned i = 0; i < PST_COUNT(cases); i++) {
		setup();
		s.action.inspect = false;
		s.cfg.policy.default_recipient = cases[i].recipient;
		s.cfg.policy.outbound = cases[i].outbound;
		entry.level = cases[i].map;
		s.cfg.policy.nmap = cases[i].map != PST_LEVEL_UNSET;
		s.cfg.policy.map = &entry;
		expect_rcpt(cases[i].reply, cases[i].code, cases[i].name);
	}
}

/* ---- the broken-TLS memory on the client leg ---- */

static void
break_handshake(void)
{
	struct peer *c = site_client(&s);

	peer_send(c, "EHLO c.example\r\n");
	peer_expect(c, "STARTTLS\r\n", 5000);
	peer_send(c, "STARTTLS\r\n");
	peer_expect(c, "220 2.0.0 ", 5000);
	peer_send(c, "this is no ClientHello\r\n");
	cr_assert(peer_ends(c, 5000));
}

static void
remember(void)
{
	setup();
	s.cfg.policy.broken_tls =
		(struct pst_config_broken_tls){.enabled = true, .ttl_ms = 3600000, .entries = 16};
}

Test(uninspected, a_clients_broken_handshake_is_not_learned_where_tls_may_be_demanded)
{
	remember();
	site_start(&s);
	break_handshake();
	cr_assert_eq(s.sh->c.broken_tls_learned, 1);
	site_fini(&s);

	remember();
	s.cfg.policy.default_sender = PST_SENDER_REQUIRED;
	site_start(&s);
	break_handshake();
	cr_assert_eq(s.sh->c.broken_tls_learned, 0);
	site_fini(&s);
}

Test(uninspected, a_listener_that_begins_with_tls_does_not_use_the_memory)
{
	struct pst_ip client;

	remember();
	s.listener.tls = PST_CONFIG_TLS_IMPLICIT;
	site_start(&s);
	cr_assert_eq(pst_ip_parse("192.0.2.2", &client), PST_OK);
	broken_note(s.relay->broken, &client, true, "test", s.now / PST_NS_PER_MS, 3600000, 16);
	site_connect(&s);
	site_run(&s, 100);
	cr_assert_eq(s.sh->nsessions, 1);
	cr_assert_eq(s.sh->c.broken_tls_used, 0);
	site_fini(&s);
}

/* ---- Received ---- */

static char *
long_name(size_t n)
{
	char *name = malloc(n + 1);

	for (size_t i = 0; i < n; i++)
		name[i] = i % 50 == 49 ? '.' : 'x';
	name[n] = '\0';
	return name;
}

/* T19: a circle is found by this field, so nothing that a client chooses may make it vanish. */
Test(uninspected, received_is_written_however_long_its_parts_are)
{
	static char token[96], to[256];
	struct session *session;
	struct peer *c, *h;

	setup();
	s.hops[0].level = PST_LEVEL_NONE;
	s.listener.hostname = long_name(253);
	site_start(&s);
	memset(s.relay->box, 'b', sizeof(s.relay->box) - 1);
	memset(s.relay->boot, 'f', sizeof(s.relay->boot) - 1);
	memset(token, 't', 60);
	memcpy(s.relay->token, token, sizeof(token));
	c = site_connect(&s);
	peer_expect(c, "220 ", 5000);
	session = TAILQ_FIRST(&s.sh->sessions);
	session->client_name = long_name(253);
	peer_send(c, "EHLO ");
	peer_send(c, s.listener.hostname);
	peer_send(c, "\r\n");
	peer_expect(c, "250 CHUNKING\r\n", 5000);
	peer_send(c, "MAIL FROM:<a@client.example>\r\n");
	peer_expect(c, "250 2.1.0", 5000);
	snprintf(to, sizeof(to), "RCPT TO:<%064d@one.example>\r\n", 7);
	peer_send(c, to);
	h = site_accept(&s, SITE_HOP_A, 1000);
	cr_assert_not_null(h);
	peer_send(h, "220 hop ESMTP\r\n");
	peer_expect(h, "EHLO", 5000);
	peer_send(h, "250-hop\r\n250 PIPELINING\r\n");
	peer_expect(h, "RCPT", 5000);
	peer_send(h, "250 ok\r\n250 ok\r\n");
	peer_expect(c, "250 2.1.5", 5000);
	/* As long as any path may be: 254 octets. */
	free(session->tx->rcpts[0].addr);
	session->tx->rcpts[0].addr = long_name(254);
	session->tx->rcpts[0].len = 254;
	peer_send(c, "DATA\r\n");
	peer_expect(h, "DATA\r\n", 5000);
	peer_send(h, "354 go\r\n");
	peer_expect(c, "354 ", 5000);
	peer_send(c, "Subject: x\r\n\r\nx\r\n.\r\n");
	peer_expect(h, "\r\n.\r\n", 5000);
	cr_assert_not_null(strstr(h->rx, "Received: from "), "%s", h->rx);
	cr_assert_not_null(strstr(h->rx, token));
	cr_assert_gt(strstr(h->rx, "Subject: x") - strstr(h->rx, "Received: from "), 1200);
	free((char *)(uintptr_t)s.listener.hostname);
	peer_abort(c);
	site_run(&s, 100);
	s.listener.hostname = "gw.example";
	site_fini(&s);
}
