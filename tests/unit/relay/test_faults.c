/* SPDX-License-Identifier: BSD-3-Clause */
/* Death and silence at every stage: nothing is acknowledged that the next hop does not have. */
#include "site.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static struct site s;

static void
setup(void)
{
	site_init(&s);
}

enum stage { AT_CONNECT, AT_BANNER, AT_EHLO, AT_MAIL, AT_RCPT, AT_DATA, AT_BODY, AT_DOT, STAGES };
static const char *const stage_names[] = {
	"connect", "banner", "EHLO", "MAIL", "RCPT", "DATA", "body", "dot"};

enum way { BY_RST, BY_FIN, BY_421, BY_SILENCE, WAYS };
static const char *const way_names[] = {"RST", "FIN", "421", "silence"};

static void
strike(struct peer *h, enum way w)
{
	if (w == BY_RST)
		peer_abort(h);
	else if (w == BY_FIN)
		peer_close(h);
	else if (w == BY_421)
		peer_send(h, "421 4.3.2 going down\r\n");
}

/*
 * Plays one mail through `port` and strikes at `at`. Returns the next hop's peer (NULL if
 * it never came up) with the client's last command unanswered by us.
 */
static struct peer *
play(struct peer *c, uint16_t port, enum stage at, enum way w)
{
	struct peer *h = site_accept(&s, port, 60000);

	cr_assert_not_null(h);
	if (at == AT_BANNER)
		return strike(h, w), h;
	peer_send(h, "220 hop\r\n");
	peer_expect(h, "EHLO", 5000);
	if (at == AT_EHLO)
		return strike(h, w), h;
	peer_send(h, "250 hop\r\n");
	peer_expect(h, "MAIL", 5000);
	if (at == AT_MAIL)
		return strike(h, w), h;
	peer_send(h, "250 ok\r\n");
	peer_expect(h, "RCPT", 5000);
	if (at == AT_RCPT)
		return strike(h, w), h;
	peer_send(h, "250 ok\r\n");
	peer_expect(c, "250 2.1.5", 5000);
	peer_send(c, "DATA\r\n");
	peer_expect(h, "DATA\r\n", 5000);
	if (at == AT_DATA)
		return strike(h, w), h;
	peer_send(h, "354 go\r\n");
	peer_expect(c, "354", 5000);
	peer_send(c, "A: b\r\n\r\nhalf of it");
	peer_expect(h, "half", 5000);
	if (at == AT_BODY)
		return strike(h, w), h;
	peer_send(c, " and the rest\r\n.\r\n");
	peer_expect(h, "rest\r\n.\r\n", 5000);
	strike(h, w);
	return h;
}

/* What must be true after a next hop without a second host failed like this. */
static void
check_cell(enum stage at, enum way w)
{
	struct peer *c;
	char *log;

	site_init(&s);
	s.hops[0].nhosts = 1;
	if (at == AT_CONNECT && w == BY_SILENCE) /* nobody has this address */
		cr_assert_eq(pst_ip_parse("192.0.2.77", &s.hosts[0][0].address), PST_OK);
	site_start(&s);
	c = site_client(&s);
	if (at == AT_CONNECT && w == BY_RST)
		site_listen(&s, SITE_HOP_A, false);
	client_envelope(c, "b@one.example");
	if (at != AT_CONNECT)
		play(c, SITE_HOP_A, at, w);
	if (at == AT_BODY && w != BY_SILENCE) {
		cr_assert_not(peer_hears(c, "250", 1000));
		peer_send(c, "\r\n.\r\n");
	}
	if (at == AT_BODY && w == BY_SILENCE)
		peer_send(c, "\r\n.\r\n"); /* silence is then one after the dot */
	cr_assert(peer_hears(c, "\r\n4", 700000) || strstr(c->rx, "\r\n45") != NULL,
		"%s by %s: client has \"%s\"", stage_names[at], way_names[w], c->rx);
	cr_assert_null(strstr(c->rx, "250 2.0.0 "), "acknowledged");
	cr_assert_eq(s.sh->c.transactions_sent, 0);
	log = site_log(&s);
	cr_assert_not_null(strstr(log, "event=nexthop-fault"), "%s by %s: nothing in the log: %s",
		stage_names[at], way_names[w], log);
	if (at == AT_DOT)
		cr_assert_not_null(strstr(log, "status=uncertain"), "%s", log);
	free(log);
	site_fini(&s);
}

#define CELL(stage, way)                                                                           \
	Test(faults, stage##_##way##_is_never_acknowledged)                                        \
	{                                                                                          \
		check_cell(stage, way);                                                            \
	}
#define ROW(stage) CELL(stage, BY_RST) CELL(stage, BY_FIN) CELL(stage, BY_SILENCE)
CELL(AT_CONNECT, BY_RST)
CELL(AT_CONNECT, BY_SILENCE)
ROW(AT_BANNER)
ROW(AT_EHLO)
ROW(AT_MAIL)
ROW(AT_RCPT)
ROW(AT_DATA)
ROW(AT_BODY)
ROW(AT_DOT)

/* Before DATA another host is told everything again, and the client notices nothing. */
static void
check_failover(enum stage at, enum way w)
{
	struct peer *c, *h;

	site_init(&s);
	site_start(&s);
	c = site_client(&s);
	if (at == AT_CONNECT)
		site_listen(&s, SITE_HOP_A, false);
	client_envelope(c, "b@one.example");
	if (at != AT_CONNECT)
		play(c, SITE_HOP_A, at, w);
	h = site_accept(&s, SITE_HOP_B, 200000);
	cr_assert_not_null(h, "no second host after %s by %s", stage_names[at], way_names[w]);
	peer_send(h, "220 b\r\n");
	peer_expect(h, "EHLO", 5000);
	peer_send(h, "250-b\r\n250 PIPELINING\r\n");
	peer_expect(h, "MAIL FROM:<a@client.example>\r\nRCPT TO:<b@one.example>\r\n", 5000);
	peer_send(h, "250 ok\r\n250 ok\r\n");
	if (at != AT_DATA) {
		peer_expect(c, "250 2.1.5", 5000);
		peer_send(c, "DATA\r\n");
	}
	peer_expect(h, "DATA\r\n", 5000);
	peer_send(h, "354 go\r\n");
	peer_expect(c, "354", 5000);
	peer_send(c, "x\r\n.\r\n");
	peer_expect(h, "x\r\n.\r\n", 5000);
	peer_send(h, "250 ok\r\n");
	peer_expect(c, "250 2.0.0", 5000);
	cr_assert_eq(s.sh->c.transactions_sent, 1);
	site_fini(&s);
}

#define FAILOVER(stage, way)                                                                       \
	Test(faults, stage##_##way##_is_healed_by_the_second_host)                                 \
	{                                                                                          \
		check_failover(stage, way);                                                        \
	}
FAILOVER(AT_CONNECT, BY_RST)
FAILOVER(AT_BANNER, BY_FIN)
FAILOVER(AT_BANNER, BY_421)
FAILOVER(AT_BANNER, BY_SILENCE)
FAILOVER(AT_EHLO, BY_RST)
FAILOVER(AT_MAIL, BY_FIN)
FAILOVER(AT_RCPT, BY_RST)
FAILOVER(AT_RCPT, BY_SILENCE)
FAILOVER(AT_EHLO, BY_421)
FAILOVER(AT_MAIL, BY_421)
FAILOVER(AT_RCPT, BY_421)
FAILOVER(AT_DATA, BY_RST)
FAILOVER(AT_DATA, BY_421)

Test(faults, a_second_host_that_refuses_an_accepted_recipient_defers_the_message, .init = setup)
{
	struct peer *c, *h;

	site_start(&s);
	c = site_client(&s);
	client_envelope(c, "b@one.example");
	play(c, SITE_HOP_A, AT_DATA, BY_RST);
	h = site_accept(&s, SITE_HOP_B, 5000);
	peer_send(h, "220 b\r\n");
	peer_expect(h, "EHLO", 5000);
	peer_send(h, "250 b\r\n");
	peer_expect(h, "MAIL", 5000);
	peer_send(h, "250 ok\r\n");
	peer_expect(h, "RCPT", 5000);
	peer_send(h, "550 5.1.1 not here\r\n");
	peer_expect(c, "451 4.4.2", 5000);
	cr_assert_not(peer_hears(h, "DATA", 1000));
	site_fini(&s);
}

Test(faults, a_stale_pooled_connection_is_replaced_unnoticed, .init = setup)
{
	struct peer *c, *h;

	site_start(&s);
	c = site_client(&s);
	client_envelope(c, "b@one.example");
	h = play(c, SITE_HOP_A, AT_DOT, BY_SILENCE);
	peer_send(h, "250 ok\r\n");
	peer_expect(c, "250 2.0.0", 5000);
	/* The next hop is gone, but its FIN never came: only RSET can show it. */
	peer_send(c, "MAIL FROM:<a@client.example>\r\nRCPT TO:<b@one.example>\r\n");
	peer_expect(h, "RSET\r\n", 5000);
	peer_abort(h);
	h = hop_serve(&s, SITE_HOP_A);
	peer_expect(h, "RCPT TO:<b@one.example>\r\n", 5000);
	peer_send(h, "250 ok\r\n250 ok\r\n");
	peer_expect(c, "250 2.1.5", 5000);
	cr_assert_eq(s.sh->c.nexthop_stale, 1);
	site_fini(&s);
}

/* The client's side: gone at each stage. */
static void
check_client_gone(enum stage at, bool rst)
{
	struct peer *c, *h = NULL;

	site_init(&s);
	site_start(&s);
	c = site_client(&s);
	client_envelope(c, "b@one.example");
	h = play(c, SITE_HOP_A, at, BY_SILENCE);
	if (rst)
		peer_abort(c);
	else
		peer_close(c);
	if (at == AT_DOT) {
		site_run(&s, 1000);
		peer_send(h, "250 ok\r\n");
		site_run(&s, 1000);
		cr_assert_eq(s.sh->c.transactions_sent, 1); /* in the log, whoever hears it */
	} else {
		if (at == AT_DATA && !rst)
			peer_send(h, "354 go\r\n"); /* a FIN is seen when its turn comes */
		site_run(&s, 200000);
		cr_assert(peer_ends(h, 1000) || at < AT_MAIL, "%s: next hop kept", stage_names[at]);
		cr_assert_null(strstr(h->rx, "\r\n.\r\n"), "%s: the dot was sent", stage_names[at]);
		cr_assert_eq(s.sh->c.transactions_sent, 0);
	}
	site_run(&s, 400000);
	site_fini(&s);
}

#define GONE(stage)                                                                                \
	Test(faults, client_reset_at_##stage##_leaves_no_dot)                                      \
	{                                                                                          \
		check_client_gone(stage, true);                                                    \
	}                                                                                          \
	Test(faults, client_close_at_##stage##_leaves_no_dot)                                      \
	{                                                                                          \
		check_client_gone(stage, false);                                                   \
	}
GONE(AT_EHLO)
GONE(AT_RCPT)
GONE(AT_DATA)
GONE(AT_BODY)
GONE(AT_DOT)

Test(faults, a_slow_client_meets_the_deadline_of_the_whole_command, .init = setup)
{
	struct peer *c;

	site_start(&s);
	c = site_client(&s);
	/* One byte a minute is progress of a read, not of a command. */
	for (int i = 0; i < 4; i++) {
		peer_send(c, "E");
		site_run(&s, 60000);
	}
	peer_expect(c, "421 4.4.2", 61000);
	cr_assert(peer_ends(c, 20000));
	site_fini(&s);
}

Test(faults, an_early_talker_is_told_and_closed, .init = setup)
{
	struct peer *c;

	site_start(&s);
	c = site_connect(&s);
	c->first = "EHLO spam\r\n"; /* leaves with the handshake's last ACK */
	peer_expect(c, "554 5.5.0", 20000);
	cr_assert_null(strstr(c->rx, "220"));
	cr_assert(peer_ends(c, 5000));
	site_fini(&s);
}

Test(faults, an_early_refusal_of_the_next_hop_stops_the_body, .init = setup)
{
	struct peer *c, *h;

	site_start(&s);
	c = site_client(&s);
	client_envelope(c, "b@one.example");
	h = play(c, SITE_HOP_A, AT_BODY, BY_SILENCE);
	peer_send(h, "552 5.3.4 too big\r\n");
	site_run(&s, 100);
	cr_assert(peer_ends(h, 1000));
	peer_send(c, "more\r\n.\r\n");
	peer_expect(c, "552 ", 5000);
	cr_assert_null(strstr(h->rx, "\r\n.\r\n"));
	site_fini(&s);
}
