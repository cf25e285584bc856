/* SPDX-License-Identifier: BSD-3-Clause */
/* Limits by address and in total, and what the operator may ask and do about a session. */
#include "site.h"

#include <criterion/criterion.h>
#include <string.h>

static struct site s;

static void
setup(void)
{
	site_init(&s);
}

static uint64_t
refused(unsigned limit)
{
	return s.sh->labels.limit_refusals[limit];
}

Test(limits, one_address_may_hold_so_many_sessions_and_no_more, .init = setup)
{
	struct peer *a, *b;

	s.cfg.limits.sessions_per_address = 2;
	site_start(&s);
	a = site_client(&s);
	site_client(&s);
	b = site_connect(&s);
	peer_expect(b, "421 4.7.0", 5000);
	cr_assert(peer_ends(b, 5000));
	cr_assert_eq(refused(PST_LIMIT_SESSIONS_PER_ADDRESS), 1);
	peer_send(a, "QUIT\r\n");
	cr_assert(peer_ends(a, 5000));
	site_client(&s);
	site_fini(&s);
}

Test(limits, an_address_that_comes_too_often_waits_for_the_next_minute, .init = setup)
{
	struct peer *p;

	s.cfg.limits.connections_per_address_minute = 3;
	site_start(&s);
	for (int i = 0; i < 3; i++) {
		p = site_client(&s);
		peer_send(p, "QUIT\r\n");
		cr_assert(peer_ends(p, 5000));
	}
	p = site_connect(&s);
	peer_expect(p, "421", 5000);
	cr_assert_eq(refused(PST_LIMIT_CONNECTION_RATE), 1);
	site_run(&s, 60000);
	site_client(&s);
	site_fini(&s);
}

Test(limits, a_session_without_a_message_may_say_so_much, .init = setup)
{
	struct peer *p;

	s.cfg.limits.commands = 5;
	site_start(&s);
	p = site_client(&s);
	for (int i = 0; i < 5; i++) {
		peer_send(p, "EHLO x\r\n");
		peer_expect(p, "250 ", 5000);
	}
	peer_send(p, "EHLO x\r\n");
	peer_expect(p, "421 4.7.0", 5000);
	cr_assert(peer_ends(p, 5000));
	cr_assert_eq(refused(PST_LIMIT_COMMANDS), 1);
	site_fini(&s);
}

/* Up to 354 with a next hop that takes everything. */
static struct peer *
in_data(struct peer **hop)
{
	struct peer *c = site_client(&s), *h;

	client_envelope(c, "b@one.example");
	h = hop_serve(&s, SITE_HOP_A);
	peer_expect(h, "RCPT", 5000);
	peer_send(h, "250 ok\r\n250 ok\r\n");
	peer_expect(c, "250 2.1.5", 5000);
	peer_send(c, "DATA\r\n");
	peer_expect(h, "DATA\r\n", 5000);
	peer_send(h, "354 go\r\n");
	peer_expect(c, "354", 5000);
	*hop = h;
	return c;
}

static void
trickle(struct peer *c, const char *text, unsigned ms, unsigned times)
{
	for (unsigned i = 0; i < times && !c->eof && !c->error; i++) {
		peer_send(c, text);
		site_run(&s, ms);
	}
}

Test(limits, data_slower_than_the_floor_is_cut_without_a_dot, .init = setup)
{
	struct peer *c, *h;

	s.cfg.limits.data_rate = 10;
	site_start(&s);
	c = in_data(&h);
	trickle(c, "x", 1000, 40); /* 1 byte a second */
	peer_expect(c, "421", 5000);
	cr_assert(peer_ends(h, 5000));
	cr_assert_null(strstr(h->rx, "\r\n.\r\n"));
	cr_assert_eq(refused(PST_LIMIT_DATA_RATE), 1);
	site_fini(&s);
}

Test(limits, data_above_the_floor_may_take_its_time, .init = setup)
{
	struct peer *c, *h;

	s.cfg.limits.data_rate = 10;
	site_start(&s);
	c = in_data(&h);
	trickle(c, "twenty octets a sec\r", 1000, 0);
	trickle(c, "twenty octets a se\r\n", 1000, 300);
	peer_send(c, ".\r\n");
	peer_expect(h, "\r\n.\r\n", 5000);
	peer_send(h, "250 ok\r\n");
	peer_expect(c, "250 2.0.0", 5000);
	cr_assert_eq(refused(PST_LIMIT_DATA_RATE), 0);
	site_fini(&s);
}

Test(limits, a_client_held_up_by_the_next_hop_is_not_called_slow, .init = setup)
{
	struct peer *c, *h;
	static char line[8192];

	memset(line, 'x', sizeof(line));
	line[sizeof(line) - 2] = '\r';
	line[sizeof(line) - 1] = '\n';
	s.cfg.limits.data_rate = 1000;
	site_start(&s);
	c = in_data(&h);
	h->deaf = true;
	for (int i = 0; i < 400 && pst_tcp_send_space(c->conn) > 0; i++) {
		cr_assert_eq(pst_tcp_write(c->conn, line, sizeof(line)), PST_OK);
		site_run(&s, 10);
	}
	site_run(&s, 100000); /* three windows without an octet */
	cr_assert_not(c->eof || c->error);
	h->deaf = false;
	site_run(&s, 10000);
	peer_send(c, "\r\n.\r\n");
	peer_expect(h, "\r\n.\r\n", 60000);
	peer_send(h, "250 ok\r\n");
	peer_expect(c, "250 2.0.0", 5000);
	site_fini(&s);
}

/* The control thread's question, put and answered in one thread. */
static unsigned
ask(bool kill, uint64_t counter, struct pst_session_row *rows, unsigned max)
{
	struct mailbox *m = &s.sh->mail;

	*m = (struct mailbox){
		.kind = kill ? MAIL_KILL : MAIL_LIST, .counter = counter, .rows = rows, .max = max};
	atomic_store(&m->state, MAIL_ASKED);
	site_run(&s, 1);
	cr_assert_eq(atomic_load(&m->state), MAIL_DONE);
	atomic_store(&m->state, MAIL_FREE);
	return m->n;
}

Test(limits, sessions_are_listed_as_they_stand, .init = setup)
{
	struct pst_session_row rows[4];
	struct peer *c, *h;

	site_start(&s);
	c = in_data(&h);
	peer_send(c, "half");
	site_client(&s);
	site_run(&s, 10);
	cr_assert_eq(ask(false, 0, rows, 4), 2);
	cr_expect_str_eq(rows[0].id, "gw.1.0.1");
	cr_expect_str_eq(rows[0].state, "body");
	cr_expect_str_eq(rows[0].from, "<a@client.example>");
	cr_expect(strstr(rows[0].nexthop, "a.one[192.0.2.2]:2525") != NULL ||
			  strstr(rows[0].nexthop, "192.0.2.2") != NULL,
		"%s", rows[0].nexthop);
	cr_expect_str_eq(rows[0].client_tls, "none");
	cr_expect_eq(rows[0].generation, 1);
	cr_expect_str_eq(rows[1].state, "command");
	cr_assert_eq(ask(false, rows[0].counter, rows, 4), 1);
	cr_expect_str_eq(rows[0].id, "gw.1.0.2");
	cr_assert_eq(ask(false, 0, rows, 1), 1);
	site_fini(&s);
}

Test(limits, a_killed_session_hears_421_and_its_message_never_ends, .init = setup)
{
	struct peer *c, *h;

	site_start(&s);
	c = in_data(&h);
	peer_send(c, "half");
	site_run(&s, 10);
	cr_assert_eq(ask(true, 99, NULL, 0), 0);
	cr_assert_eq(ask(true, 1, NULL, 0), 1);
	peer_expect(c, "421 4.3.2", 5000);
	cr_assert(peer_ends(c, 15000));
	cr_assert(peer_ends(h, 5000));
	cr_assert_null(strstr(h->rx, "\r\n.\r\n"));
	cr_assert_eq(s.sh->c.transactions_aborted, 1);
	site_fini(&s);
}

Test(limits, undrain_opens_the_door_again, .init = setup)
{
	struct peer *p;

	site_start(&s);
	shard_drain(s.sh);
	p = site_connect(&s);
	cr_assert(peer_ends(p, 5000));
	shard_undrain(s.sh);
	site_client(&s);
	site_fini(&s);
}

Test(limits, replies_and_clear_messages_are_counted_by_label, .init = setup)
{
	struct peer *c, *h;

	site_start(&s);
	c = in_data(&h);
	peer_send(c, "x\r\n.\r\n");
	peer_expect(h, "\r\n.\r\n", 5000);
	peer_send(h, "250 ok\r\n");
	peer_expect(c, "250 2.0.0", 5000);
	cr_expect_eq(s.sh->labels.replies[2][PST_STAGE_CONNECT], 1);
	cr_expect_eq(s.sh->labels.replies[2][PST_STAGE_HELO], 1);
	cr_expect_eq(s.sh->labels.replies[2][PST_STAGE_RCPT], 1);
	cr_expect_eq(s.sh->labels.replies[3][PST_STAGE_DATA], 1);
	cr_expect_eq(s.sh->labels.replies[2][PST_STAGE_BODY], 1);
	cr_expect_eq(s.sh->labels.plaintext_transactions[PST_LEG_CLIENT], 1);
	cr_expect_eq(s.sh->labels.plaintext_transactions[PST_LEG_NEXTHOP], 1);
	site_fini(&s);
}

Test(limits, who_tries_address_after_address_is_shown_the_door, .init = setup)
{
	struct peer *c;

	s.cfg.limits.errors = 3;
	site_start(&s);
	c = site_client(&s);
	peer_send(c, "EHLO x\r\n");
	peer_expect(c, "250 ", 5000);
	peer_send(c, "MAIL FROM:<>\r\n");
	peer_expect(c, "250 2.1.0", 5000);
	for (int i = 0; i < 3; i++) {
		peer_send(c, "RCPT TO:<a@nowhere.example>\r\n");
		peer_expect(c, "550 5.7.1", 5000);
	}
	peer_send(c, "RCPT TO:<b@nowhere.example>\r\n");
	peer_expect(c, "421 4.7.0", 5000);
	cr_assert(peer_ends(c, 5000));
	site_fini(&s);
}
