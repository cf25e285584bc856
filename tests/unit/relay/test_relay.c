/* SPDX-License-Identifier: BSD-3-Clause */
/* What the relay does when everybody behaves, and what it never does. */
#include "site.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <rte_mempool.h>

static struct site s;

static void
setup(void)
{
	site_init(&s);
}

/* The next hop's part from MAIL to 354 for one recipient. */
static void
hop_takes_envelope(struct peer *h, const char *rcpt)
{
	char line[256];

	peer_expect(h, "MAIL FROM:<a@client.example>", 5000);
	snprintf(line, sizeof(line), "RCPT TO:<%s>\r\n", rcpt);
	peer_expect(h, line, 5000);
	peer_send(h, "250 2.1.0 ok\r\n250 2.1.5 ok\r\n");
}

static void
hop_opens_data(struct peer *h)
{
	peer_expect(h, "DATA\r\n", 5000);
	peer_send(h, "354 go\r\n");
}

/* Client and next hop up to the client's 354. */
static struct peer *
up_to_354(struct peer *c)
{
	struct peer *h;

	client_envelope(c, "b@one.example");
	h = hop_serve(&s, SITE_HOP_A);
	hop_takes_envelope(h, "b@one.example");
	peer_expect(c, "250 2.1.5", 5000);
	peer_send(c, "DATA\r\n");
	hop_opens_data(h);
	peer_expect(c, "354 ", 5000);
	return h;
}

Test(relay, acknowledges_only_after_the_next_hop, .init = setup)
{
	struct peer *c, *h;

	site_start(&s);
	c = site_client(&s);
	h = up_to_354(c);
	peer_send(c, "Subject: x\r\n\r\n..dot\r\nbody\r\n.\r\n");
	peer_expect(
		h, "Received: from client.example (unknown [192.0.2.2])\r\n\tby gw.example ", 5000);
	peer_expect(h, "\r\n\tfor <b@one.example>;\r\n\t", 0);
	peer_expect(h, "\r\nSubject: x\r\n\r\n..dot\r\nbody\r\n.\r\n", 0);
	site_run(&s, 100000);
	cr_assert_not(peer_hears(c, "250", 0), "acknowledged before the next hop did");
	peer_send(h, "250 2.0.0 queued as 1\r\n");
	peer_expect(c, "250 2.0.0 queued as 1\r\n", 5000);
	peer_send(c, "QUIT\r\n");
	peer_expect(c, "221 ", 5000);
	cr_assert(peer_ends(c, 5000));
	cr_assert_eq(s.sh->c.transactions_sent, 1);
	site_fini(&s);
}

Test(relay, never_says_354_before_the_next_hop, .init = setup)
{
	struct peer *c, *h;

	site_start(&s);
	c = site_client(&s);
	client_envelope(c, "b@one.example");
	h = hop_serve(&s, SITE_HOP_A);
	hop_takes_envelope(h, "b@one.example");
	peer_expect(c, "250 2.1.5", 5000);
	peer_send(c, "DATA\r\n");
	peer_expect(h, "DATA\r\n", 5000);
	cr_assert_not(peer_hears(c, "354", 30000));
	peer_send(h, "452 4.3.1 full\r\n");
	peer_expect(c, "452 4.3.1 full\r\n", 5000);
	site_fini(&s);
}

Test(relay, contacts_the_next_hop_at_the_first_recipient_and_not_before, .init = setup)
{
	struct peer *c;

	site_start(&s);
	c = site_client(&s);
	peer_send(c, "EHLO x\r\n");
	peer_expect(c, "250 ", 5000);
	peer_send(c, "MAIL FROM:<>\r\n");
	peer_expect(c, "250 2.1.0", 5000);
	cr_assert_null(site_accept(&s, SITE_HOP_A, 5000));
	peer_send(c, "RCPT TO:<x@nowhere.example>\r\n");
	peer_expect(c, "550 5.7.1", 5000);
	cr_assert_null(site_accept(&s, SITE_HOP_A, 5000));
	peer_send(c, "RCPT TO:<x@one.example>\r\n");
	cr_assert_not_null(site_accept(&s, SITE_HOP_A, 5000));
	site_fini(&s);
}

Test(relay, passes_each_recipients_own_verdict_in_order, .init = setup)
{
	struct peer *c, *h;

	site_start(&s);
	c = site_client(&s);
	peer_send(c, "EHLO x\r\n");
	peer_expect(c, "250 ", 5000);
	peer_send(c, "MAIL FROM:<a@x>\r\nRCPT TO:<1@one.example>\r\nRCPT TO:<2@nowhere.example>\r\n"
		     "RCPT TO:<3@two.example>\r\nRCPT TO:<4@one.example>\r\nDATA\r\n");
	h = hop_serve(&s, SITE_HOP_A);
	peer_expect(h, "RCPT TO:<1@one.example>\r\nRCPT TO:<4@one.example>\r\n", 5000);
	peer_send(h, "250 ok\r\n550 5.1.1 no such user\r\n250 ok\r\n");
	peer_expect(c, "250 2.1.0 Ok\r\n550 5.1.1 no such user\r\n550 5.7.1", 5000);
	peer_expect(c, "\r\n452 4.5.3 ", 5000);
	peer_expect(c, "\r\n250 2.1.5 Ok\r\n", 5000);
	hop_opens_data(h);
	peer_expect(c, "354", 5000);
	cr_assert_eq(s.sh->c.recipients_other_class, 1);
	site_fini(&s);
}

Test(relay, answers_data_with_554_when_every_recipient_was_refused, .init = setup)
{
	struct peer *c, *h;

	site_start(&s);
	c = site_client(&s);
	client_envelope(c, "b@one.example");
	h = hop_serve(&s, SITE_HOP_A);
	peer_expect(h, "RCPT", 5000);
	peer_send(h, "250 ok\r\n550 5.1.1 unknown\r\n");
	peer_expect(c, "550 5.1.1 unknown", 5000);
	peer_send(c, "DATA\r\n");
	peer_expect(c, "554 5.5.1", 5000);
	cr_assert_not(peer_hears(h, "DATA", 5000));
	site_fini(&s);
}

Test(relay, joins_chunks_and_ends_the_last_line, .init = setup)
{
	struct peer *c, *h;

	site_start(&s);
	c = site_client(&s);
	client_envelope(c, "b@one.example");
	h = hop_serve(&s, SITE_HOP_A);
	hop_takes_envelope(h, "b@one.example");
	peer_expect(c, "250 2.1.5", 5000);
	peer_send(c, "BDAT 8\r\nA: b\r\n\r\n");
	hop_opens_data(h);
	peer_expect(c, "250 2.0.0", 5000);
	peer_send(c, "BDAT 3\r\n\r\n.BDAT 5 LAST\r\n\r\n.xy");
	peer_expect(c, "250 2.0.0", 5000);
	peer_expect(h, "A: b\r\n\r\n\r\n..\r\n..xy\r\n.\r\n", 5000);
	cr_assert_not(peer_hears(c, "250", 1000));
	peer_send(h, "250 2.0.0 taken\r\n");
	peer_expect(c, "250 2.0.0 taken", 5000);
	site_fini(&s);
}

Test(relay, does_not_pipeline_to_a_next_hop_that_cannot, .init = setup)
{
	struct peer *c, *h;

	site_start(&s);
	c = site_client(&s);
	client_envelope(c, "b@one.example");
	h = site_accept(&s, SITE_HOP_A, 5000);
	peer_send(h, "220 old\r\n");
	peer_expect(h, "EHLO", 5000);
	peer_send(h, "502 what?\r\n");
	peer_expect(h, "HELO gw.example\r\n", 5000);
	peer_send(h, "250 old\r\n");
	peer_expect(h, "MAIL FROM:<a@client.example>\r\n", 5000);
	cr_assert_not(peer_hears(h, "RCPT", 5000));
	peer_send(h, "250 ok\r\n");
	peer_expect(h, "RCPT TO:<b@one.example>\r\n", 5000);
	peer_send(h, "250 ok\r\n");
	peer_expect(c, "250 2.1.5", 5000);
	site_fini(&s);
}

Test(relay, reuses_a_clean_connection_after_rset, .init = setup)
{
	struct peer *c, *h;

	site_start(&s);
	c = site_client(&s);
	h = up_to_354(c);
	peer_send(c, "one\r\n.\r\n");
	peer_expect(h, "\r\n.\r\n", 5000);
	peer_send(h, "250 ok\r\n");
	peer_expect(c, "250 2.0.0", 5000);
	peer_send(c, "QUIT\r\n");
	c = site_client(&s);
	client_envelope(c, "c@one.example");
	peer_expect(h, "RSET\r\nMAIL FROM:<a@client.example>", 5000);
	peer_expect(h, "RCPT TO:<c@one.example>\r\n", 5000);
	peer_send(h, "250 reset\r\n250 ok\r\n250 ok\r\n");
	peer_expect(c, "250 2.1.5", 5000);
	cr_assert_null(site_accept(&s, SITE_HOP_A, 1000));
	cr_assert_eq(s.sh->c.nexthop_reused, 1);
	site_fini(&s);
}

Test(relay, never_shares_a_connection_between_classes, .init = setup)
{
	struct peer *c, *h;

	site_start(&s);
	c = site_client(&s);
	h = up_to_354(c);
	peer_send(c, ".\r\n");
	peer_expect(h, "\r\n.\r\n", 5000);
	peer_send(h, "250 ok\r\n");
	peer_expect(c, "250 2.0.0", 5000);
	peer_send(c, "MAIL FROM:<a@x>\r\nRCPT TO:<b@two.example>\r\n");
	cr_assert_not_null(site_accept(&s, SITE_HOP_C, 5000));
	cr_assert_eq(s.sh->c.nexthop_reused, 0);
	site_fini(&s);
}

Test(relay, closes_the_clients_window_when_the_next_hop_stops_reading, .init = setup)
{
	static char line[4096];
	struct peer *c, *h;
	size_t sent = 0;
	unsigned used;

	memset(line, 'x', sizeof(line));
	memcpy(line + sizeof(line) - 2, "\r\n", 2);
	site_start(&s);
	c = site_client(&s);
	h = up_to_354(c);
	h->deaf = true;
	for (int i = 0; i < 4000; i++) {
		if (pst_tcp_send_space(c->conn) == 0) {
			site_run(&s, 20);
			if (pst_tcp_send_space(c->conn) == 0)
				break;
		}
		cr_assert_eq(pst_tcp_write(c->conn, line, sizeof(line)), PST_OK);
		sent += sizeof(line);
	}
	cr_assert_lt(sent, 3 << 20, "no back-pressure: %zu bytes went in", sent);
	used = rte_mempool_in_use_count(pst_net_pool_data(s.sh->net));
	cr_assert_lt(used, 1200, "%u mbufs held", used);
	h->deaf = false;
	peer_send(c, "\r\n.\r\n");
	peer_expect(h, "\r\n.\r\n", 100000);
	peer_send(h, "250 ok\r\n");
	peer_expect(c, "250 2.0.0", 5000);
	cr_assert_geq(h->n, sent);
	site_fini(&s);
}

Test(relay, gives_the_same_message_for_every_way_the_bytes_arrive, .init = setup)
{
	static const char body[] = "A: 1\r\n\r\n..\r\n..a\r\n...\r\n\r\nend\r\n.\r\n";
	struct peer *c, *h;

	site_start(&s);
	c = site_client(&s);
	for (int step = 1; step < 8; step++) {
		client_envelope(c, "b@one.example");
		if (step == 1) {
			h = hop_serve(&s, SITE_HOP_A);
			peer_expect(h, "RCPT", 5000);
			peer_send(h, "250 ok\r\n250 ok\r\n");
		} else {
			peer_expect(h, "RSET\r\n", 5000);
			peer_expect(h, "RCPT", 5000);
			peer_send(h, "250 ok\r\n250 ok\r\n250 ok\r\n");
		}
		peer_expect(c, "250 2.1.5", 5000);
		peer_send(c, "DATA\r\n");
		hop_opens_data(h);
		peer_expect(c, "354 ", 5000);
		for (size_t at = 0; at < sizeof(body) - 1; at += (size_t)step) {
			peer_send_bytes(c, body + at, PST_MIN((size_t)step, sizeof(body) - 1 - at));
			site_run(&s, 1);
		}
		/* Dots doubled on the way in are doubled on the way out: the very same text. */
		peer_expect(h, body, 5000);
		peer_send(h, "250 ok\r\n");
		peer_expect(c, "250 2.0.0", 5000);
	}
	site_fini(&s);
}

Test(relay, refuses_a_message_that_has_been_here_twice, .init = setup)
{
	struct peer *c, *h;
	char text[512];

	site_start(&s);
	c = site_client(&s);
	h = up_to_354(c);
	snprintf(text, sizeof(text),
		"Received: from x by gw.example %s\r\nReceived: from y\r\n\tby gw.example %s id "
		"1\r\n\r\nx\r\n.\r\n",
		s.relay->token, s.relay->token);
	peer_send(c, text);
	peer_expect(c, "554 5.4.6", 5000);
	cr_assert(peer_ends(h, 5000));
	cr_assert_null(strstr(h->rx, "\r\n.\r\n"), "the next hop saw the dot");
	site_fini(&s);
}

Test(relay, turns_sessions_away_over_the_limit, .init = setup)
{
	struct peer *a, *b;

	s.cfg.limits.sessions = 1;
	site_start(&s);
	a = site_client(&s);
	b = site_connect(&s);
	peer_expect(b, "421 4.3.2", 5000);
	cr_assert(peer_ends(b, 5000));
	peer_send(a, "QUIT\r\n");
	cr_assert(peer_ends(a, 5000));
	site_client(&s);
	cr_assert_eq(s.sh->c.sessions_refused, 1);
	site_fini(&s);
}

Test(relay, drain_ends_idle_sessions_and_lets_a_message_finish, .init = setup)
{
	struct peer *c, *idle, *h;

	site_start(&s);
	idle = site_client(&s);
	c = site_client(&s);
	h = up_to_354(c);
	shard_drain(s.sh);
	peer_expect(idle, "421 4.3.2", 5000);
	cr_assert(peer_ends(idle, 5000));
	peer_send(c, "x\r\n.\r\n");
	peer_expect(h, "\r\n.\r\n", 5000);
	peer_send(h, "250 ok\r\n");
	peer_expect(c, "250 2.0.0", 5000);
	shard_drain(s.sh);
	peer_expect(c, "421 4.3.2", 5000);
	cr_assert(peer_ends(c, 5000));
	site_fini(&s);
}

Test(relay, says_to_each_next_hop_the_name_of_the_listener_that_the_mail_came_by, .init = setup)
{
	static struct pst_config_listener two[2];
	struct pst_endpoint gw = {.port = 2025};
	struct pst_tcp_conn *conn;
	struct peer *c, *h;

	two[0] = two[1] = s.listener;
	two[1].at.port = 2025;
	two[1].hostname = "other.example";
	s.cfg.listeners = two;
	s.cfg.nlisteners = 2;
	site_start(&s);
	c = site_client(&s);
	h = up_to_354(c);
	peer_send(c, ".\r\n");
	peer_expect(h, "\r\n.\r\n", 5000);
	peer_send(h, "250 ok\r\n");
	peer_expect(c, "250 2.0.0", 5000);
	cr_assert_eq(pst_ip_parse("192.0.2.1", &gw.ip), PST_OK);
	cr_assert_eq(pst_tcp_connect(s.far_tcp, NULL, &gw, NULL, s.now, &conn), PST_OK);
	c = site_adopt(&s, conn);
	peer_expect(c, "220 other.example", 5000);
	client_envelope(c, "b@one.example");
	h = site_accept(&s, SITE_HOP_A, 5000);
	cr_assert_not_null(h, "the connection of another name was used");
	peer_send(h, "220 hop\r\n");
	peer_expect(h, "EHLO other.example\r\n", 5000);
	site_fini(&s);
}
