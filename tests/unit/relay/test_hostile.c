/* SPDX-License-Identifier: BSD-3-Clause */
/* Peers that lie, hurry, dawdle or flood: what they must not get the relay to do. */
#include "site.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct site s;

static void
setup(void)
{
	site_init(&s);
}

/* The next hop takes MAIL and the one recipient. */
static struct peer *
accepted(struct peer *c)
{
	struct peer *h;

	client_envelope(c, "b@one.example");
	h = hop_serve(&s, SITE_HOP_A);
	peer_expect(h, "RCPT TO:<b@one.example>\r\n", 5000);
	peer_send(h, "250 ok\r\n250 ok\r\n");
	peer_expect(c, "250 2.1.5", 5000);
	return h;
}

static struct peer *
in_body(struct peer *c)
{
	struct peer *h = accepted(c);

	peer_send(c, "DATA\r\n");
	peer_expect(h, "DATA\r\n", 5000);
	peer_send(h, "354 go\r\n");
	peer_expect(c, "354 ", 5000);
	return h;
}

/* ---- deadlines ---- */

Test(hostile, a_client_may_think_longer_than_a_next_hop_may, .init = setup)
{
	struct peer *c, *h;

	site_start(&s);
	c = site_client(&s);
	h = accepted(c);
	site_run(&s, 290000); /* its own deadline is 300 s a command */
	peer_send(c, "DATA\r\n");
	peer_expect(h, "DATA\r\n", 5000);
	cr_assert_eq(s.sh->c.timeouts, 0);
	site_fini(&s);
}

Test(hostile, each_recipient_has_a_deadline_of_its_own, .init = setup)
{
	struct peer *c, *h;

	site_start(&s);
	c = site_client(&s);
	peer_send(c, "EHLO x\r\n");
	peer_expect(c, "250 ", 5000);
	peer_send(c, "MAIL FROM:<a@x>\r\nRCPT TO:<1@one.example>\r\nRCPT TO:<2@one.example>\r\n"
		     "RCPT TO:<3@one.example>\r\n");
	h = hop_serve(&s, SITE_HOP_A);
	peer_expect(h, "RCPT TO:<3@one.example>\r\n", 5000);
	for (int i = 0; i < 4; i++) {
		site_run(&s, 100000); /* of 120 s */
		peer_send(h, "250 ok\r\n");
	}
	peer_expect(c, "250 2.1.5 Ok\r\n250 2.1.5 Ok\r\n250 2.1.5 Ok\r\n", 5000);
	cr_assert_eq(s.sh->c.timeouts, 0);
	site_fini(&s);
}

Test(hostile, a_silent_recipient_meets_its_deadline, .init = setup)
{
	struct peer *c, *h;

	s.hops[0].nhosts = 1;
	site_start(&s);
	c = site_client(&s);
	h = accepted(c);
	site_run(&s, 100000);
	peer_send(c, "RCPT TO:<2@one.example>\r\n");
	peer_expect(h, "RCPT TO:<2@one.example>\r\n", 5000);
	cr_assert_not(peer_hears(c, "451", 119000));
	peer_expect(c, "451 4.4.2", 2000);
	site_fini(&s);
}

Test(hostile, an_octet_now_and_then_does_not_keep_a_message_open, .init = setup)
{
	struct peer *c, *h;
	int i;

	site_start(&s);
	c = site_client(&s);
	h = in_body(c);
	for (i = 0; i < 60 && !peer_hears(c, "421 4.4.2", 0); i++) {
		peer_send(c, "x");
		site_run(&s, 20000);
	}
	cr_assert_lt(i, 12, "%d octets kept it open", i);
	cr_assert(peer_ends(h, 1000));
	cr_assert_null(strstr(h->rx, "\r\n.\r\n"));
	site_fini(&s);
}

Test(hostile, a_slow_client_that_does_send_is_served, .init = setup)
{
	struct peer *c, *h;
	char line[130];

	memset(line, 'x', sizeof(line) - 1);
	memcpy(line + 127, "\r\n", 3);
	site_start(&s);
	c = site_client(&s);
	h = in_body(c);
	for (int i = 0; i < 60; i++) {
		peer_send(c, line);
		site_run(&s, 30000);
	}
	peer_send(c, ".\r\n");
	peer_expect(h, "\r\n.\r\n", 5000);
	site_fini(&s);
}

/* ---- clients ---- */

Test(hostile, a_connection_reset_as_it_comes_up_leaves_no_session, .init = setup)
{
	struct peer *c;

	site_start(&s);
	c = site_connect(&s);
	c->hit_and_run = true;
	site_run(&s, 1000);
	cr_assert_null(c->conn);
	cr_assert_eq(s.sh->nsessions, 0);
	cr_assert_eq(s.sh->c.sessions, s.sh->c.sessions_ended);
	site_fini(&s);
}

Test(hostile, a_message_before_354_is_refused, .init = setup)
{
	struct peer *c, *h;

	site_start(&s);
	c = site_client(&s);
	h = accepted(c);
	peer_send(c, "DATA\r\n");
	peer_expect(h, "DATA\r\n", 5000);
	peer_send(c, "Subject: early\r\n\r\nx\r\n.\r\n");
	peer_expect(c, "554 5.5.0", 5000);
	cr_assert(peer_ends(c, 5000));
	peer_send(h, "354 go\r\n");
	site_run(&s, 1000);
	cr_assert(peer_ends(h, 1000));
	cr_assert_null(strstr(h->rx, "early"));
	site_fini(&s);
}

Test(hostile, a_client_that_leaves_before_354_is_noticed, .init = setup)
{
	struct peer *c, *h;

	site_start(&s);
	c = site_client(&s);
	h = accepted(c);
	peer_send(c, "DATA\r\n");
	peer_expect(h, "DATA\r\n", 5000);
	peer_close(c);
	cr_assert(peer_ends(h, 1000));
	cr_assert_eq(s.sh->nsessions, 0);
	cr_assert_eq(s.sh->c.transactions_aborted, 1);
	site_fini(&s);
}

Test(hostile, refused_recipients_do_not_pile_up, .init = setup)
{
	struct peer *c;
	char line[64];

	s.cfg.limits.errors = 0; /* nobody is shown the door here */
	site_start(&s);
	c = site_client(&s);
	peer_send(c, "EHLO x\r\n");
	peer_expect(c, "250 ", 5000);
	peer_send(c, "MAIL FROM:<a@x>\r\n");
	peer_expect(c, "250 2.1.0", 5000);
	for (int i = 0; i < 500; i++) {
		snprintf(line, sizeof(line), "RCPT TO:<%d@nowhere.example>\r\n", i);
		peer_send(c, line);
		peer_expect(c, "550 5.7.1", 5000);
	}
	cr_assert_eq(TAILQ_FIRST(&s.sh->sessions)->tx->nrcpts, 0);
	peer_send(c, "RCPT TO:<good@one.example>\r\n");
	peer_expect(hop_serve(&s, SITE_HOP_A), "RCPT TO:<good@one.example>\r\n", 5000);
	site_fini(&s);
}

Test(hostile, recipients_the_next_hop_refuses_are_limited_too, .init = setup)
{
	struct peer *c, *h;
	int i;

	s.cfg.limits.recipients = 4;
	site_start(&s);
	c = site_client(&s);
	client_envelope(c, "0@one.example");
	h = hop_serve(&s, SITE_HOP_A);
	peer_expect(h, "MAIL FROM", 5000);
	peer_send(h, "250 ok\r\n");
	for (i = 0; i < 20 && peer_hears(h, "RCPT TO", 1000); i++) {
		peer_send(h, "550 5.1.1 no\r\n");
		peer_expect(c, "550 5.1.1", 5000);
		peer_send(c, "RCPT TO:<x@one.example>\r\n");
	}
	cr_assert_eq(i, 8);
	peer_expect(c, "452 4.5.3", 5000);
	cr_assert_leq(TAILQ_FIRST(&s.sh->sessions)->tx->nrcpts, 8);
	site_fini(&s);
}

Test(hostile, a_transaction_whose_every_recipient_was_refused_is_logged_as_rejected, .init = setup)
{
	struct peer *c;
	char *log;

	site_start(&s);
	c = site_client(&s);
	client_envelope(c, "b@nowhere.example");
	peer_expect(c, "550 5.7.1", 5000);
	peer_send(c, "QUIT\r\n");
	cr_assert(peer_ends(c, 5000));
	cr_assert_eq(s.sh->c.transactions_rejected, 1);
	cr_assert_eq(s.sh->c.transactions_aborted, 0);
	log = site_log(&s);
	cr_assert_not_null(strstr(log, "delays="));
	cr_assert_not_null(strstr(strstr(log, "delays="), "status=rejected"), "%s", log);
	free(log);
	site_fini(&s);
}

/* ---- next hops ---- */

Test(hostile, a_yes_before_the_end_of_the_message_is_no_yes, .init = setup)
{
	static char line[1000];
	struct peer *c, *h;
	char *log;

	memset(line, 'x', sizeof(line));
	memcpy(line + sizeof(line) - 2, "\r\n", 2);
	site_start(&s);
	c = site_client(&s);
	h = in_body(c);
	h->deaf = true;
	for (int i = 0; i < 300; i++) /* its window is 256 KiB; the rest waits here with the dot */
		peer_send_bytes(c, line, sizeof(line));
	peer_send(c, ".\r\n");
	site_run(&s, 5000);
	cr_assert(TAILQ_FIRST(&s.sh->sessions)->tx->dot_sent);
	peer_send(h, "250 2.0.0 got it\r\n");
	peer_expect(c, "451 4.4.2", 5000);
	cr_assert_null(strstr(c->rx, "got it"));
	cr_assert_eq(s.sh->c.transactions_sent, 0);
	log = site_log(&s);
	cr_assert_not_null(strstr(log, "status=uncertain"));
	free(log);
	site_fini(&s);
}

/* What stands behind the verdict must not become the next session's first answer. */
static void
check_not_pooled(const char *verdict, bool fin, const char *client_hears)
{
	struct peer *c, *h;

	site_init(&s);
	site_start(&s);
	c = site_client(&s);
	h = in_body(c);
	peer_send(c, "x\r\n.\r\n");
	peer_expect(h, "\r\n.\r\n", 5000);
	peer_send(h, verdict);
	if (fin)
		peer_close(h);
	peer_expect(c, client_hears, 5000);
	cr_assert_eq(s.sh->npool, 0);
	peer_send(c, "MAIL FROM:<a@x>\r\nRCPT TO:<c@one.example>\r\n");
	hop_serve(&s, SITE_HOP_A);
	cr_assert_eq(s.sh->c.nexthop_reused, 0);
	site_fini(&s);
}

Test(hostile, bytes_behind_the_verdict_keep_a_connection_out_of_the_pool)
{
	check_not_pooled("250 ok\r\n250 and more\r\n", false, "250 2.0.0 ok\r\n");
}

Test(hostile, a_next_hop_that_closes_with_its_verdict_is_not_pooled)
{
	check_not_pooled("250 ok\r\n", true, "250 2.0.0 ok\r\n");
}

Test(hostile, a_next_hop_that_says_421_to_the_dot_is_not_pooled)
{
	check_not_pooled("421 4.3.2 going\r\n", false, "451 4.3.2 going\r\n");
}

Test(hostile, an_answer_to_starttls_before_the_question_is_injection, .init = setup)
{
	struct peer *c, *h;

	s.hops[0].nhosts = 1;
	s.hops[0].tls = PST_CONFIG_TLS_STARTTLS;
	s.hops[0].level = PST_LEVEL_ENCRYPT;
	s.action.inspect = true;
	s.hops[0].profile_min = 0x0303;
	s.hops[0].profile_max = 0x0304;
	site_start(&s);
	c = site_client(&s);
	client_envelope(c, "b@one.example");
	h = site_accept(&s, SITE_HOP_A, 5000);
	peer_send(h, "220 hop\r\n");
	peer_expect(h, "EHLO", 5000);
	peer_send(h, "250-hop\r\n250 STARTTLS\r\n220 go on\r\n");
	peer_expect(c, "451 4.7.5", 5000);
	cr_assert_null(strstr(h->rx, "STARTTLS"));
	cr_assert_eq(s.sh->c.starttls_injection, 1);
	site_fini(&s);
}

Test(hostile, a_next_hop_that_failed_at_data_is_let_go_at_once, .init = setup)
{
	struct peer *c, *h;

	site_start(&s);
	c = site_client(&s);
	h = accepted(c);
	peer_send(c, "DATA\r\n");
	peer_expect(h, "DATA\r\n", 5000);
	peer_abort(h);
	h = hop_serve(&s, SITE_HOP_B);
	peer_expect(h, "RCPT", 5000);
	peer_send(h, "550 5.7.1 not from you\r\n503 no\r\n");
	peer_expect(c, "550 5.7.1 not from you", 5000);
	site_run(&s, 250000); /* nobody is waited for */
	cr_assert_eq(s.sh->c.timeouts, 0);
	cr_assert_eq(s.sh->c.transactions_rejected, 1);
	site_fini(&s);
}

/* ---- a connection kept for its session ---- */

static struct peer *
one_mail_kept(struct peer *c)
{
	struct peer *h = in_body(c);

	peer_send(c, "x\r\n.\r\n");
	peer_expect(h, "\r\n.\r\n", 5000);
	peer_send(h, "250 ok\r\n");
	peer_expect(c, "250 2.0.0", 5000);
	cr_assert_eq(s.sh->npool, 0);
	return h;
}

Test(hostile, a_session_keeps_its_connection_and_nobody_else_gets_it, .init = setup)
{
	struct peer *c, *other, *h;

	s.hops[0].reuse = PST_REUSE_SESSION;
	site_start(&s);
	c = site_client(&s);
	h = one_mail_kept(c);
	other = site_client(&s);
	client_envelope(other, "b@one.example");
	cr_assert_not_null(site_accept(&s, SITE_HOP_A, 5000));
	peer_send(c, "MAIL FROM:<a@client.example>\r\nRCPT TO:<c@one.example>\r\n");
	peer_expect(h, "RCPT TO:<c@one.example>\r\n", 5000);
	peer_send(c, "QUIT\r\n");
	peer_send(h, "250 ok\r\n250 ok\r\n");
	peer_expect(c, "221 ", 5000);
	cr_assert(peer_ends(h, 5000));
	site_fini(&s);
}

Test(hostile, a_kept_connection_that_ends_between_mails_is_replaced, .init = setup)
{
	struct peer *c, *h;

	s.hops[0].reuse = PST_REUSE_SESSION;
	site_start(&s);
	c = site_client(&s);
	h = one_mail_kept(c);
	peer_send(h, "421 4.4.2 idle\r\n");
	peer_close(h);
	site_run(&s, 1000);
	peer_send(c, "MAIL FROM:<a@client.example>\r\nRCPT TO:<c@one.example>\r\n");
	h = hop_serve(&s, SITE_HOP_A);
	peer_expect(h, "RCPT TO:<c@one.example>\r\n", 5000);
	peer_send(h, "250 ok\r\n250 ok\r\n");
	peer_expect(c, "250 2.1.5", 5000);
	site_fini(&s);
}

/* ---- chunks ---- */

Test(hostile, a_next_hop_that_dies_between_chunks_is_told_at_the_next, .init = setup)
{
	struct peer *c, *h;

	site_start(&s);
	c = site_client(&s);
	h = accepted(c);
	peer_send(c, "BDAT 4\r\nab\r\n");
	peer_expect(h, "DATA\r\n", 5000);
	peer_send(h, "354 go\r\n");
	peer_expect(c, "250 2.0.0", 5000);
	peer_abort(h);
	site_run(&s, 1000);
	peer_send(c, "BDAT 2 LAST\r\ncd");
	peer_expect(c, "451 4.4.2", 5000);
	peer_send(c, "NOOP\r\n");
	peer_expect(c, "250 2.0.0", 5000);
	cr_assert_eq(s.sh->c.transactions_deferred, 1);
	site_fini(&s);
}

Test(hostile, rset_between_chunks_sends_no_dot, .init = setup)
{
	struct peer *c, *h;

	site_start(&s);
	c = site_client(&s);
	h = accepted(c);
	peer_send(c, "BDAT 4\r\nab\r\n");
	peer_expect(h, "DATA\r\n", 5000);
	peer_send(h, "354 go\r\n");
	peer_expect(c, "250 2.0.0", 5000);
	peer_send(c, "RSET\r\n");
	peer_expect(c, "250 2.0.0", 5000);
	cr_assert(peer_ends(h, 5000));
	cr_assert_null(strstr(h->rx, "\r\n.\r\n"));
	cr_assert_eq(s.sh->npool, 0);
	cr_assert_eq(s.sh->c.transactions_aborted, 1);
	site_fini(&s);
}

/* ---- the end ---- */

Test(hostile, what_runs_at_the_stop_is_cut_with_421, .init = setup)
{
	struct peer *c, *idle, *h;

	site_start(&s);
	idle = site_client(&s);
	c = site_client(&s);
	h = in_body(c);
	peer_send(c, "half");
	site_run(&s, 100);
	shard_drain(s.sh);
	shard_cut(s.sh);
	peer_expect(idle, "421 4.3.2", 5000);
	peer_expect(c, "421 4.3.2", 5000);
	cr_assert(peer_ends(h, 5000));
	cr_assert_null(strstr(h->rx, "\r\n.\r\n"));
	cr_assert_eq(s.sh->c.sessions, s.sh->c.sessions_ended);
	site_fini(&s);
}
