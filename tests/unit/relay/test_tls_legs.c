/* SPDX-License-Identifier: BSD-3-Clause */
/* TLS on both legs of the site: when it must begin, what must not survive it, how it ends. */
#include "site.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct site s;

static void
starttls(void)
{
	site_init(&s);
	site_tls(&s, PST_CONFIG_TLS_STARTTLS);
}

static void
implicit(void)
{
	site_init(&s);
	site_tls(&s, PST_CONFIG_TLS_IMPLICIT);
}

/* A client whose TLS is up and whose EHLO is still to be said. */
static struct peer *
tls_client(void)
{
	struct peer *c;

	if (s.listener.tls == PST_CONFIG_TLS_IMPLICIT) {
		c = site_connect(&s);
		peer_tls(c, s.far_client);
		cr_assert(peer_tls_up(c, 5000));
		peer_expect(c, "220 gw.example", 5000);
		return c;
	}
	c = site_client(&s);
	peer_send(c, "EHLO plain.example\r\n");
	peer_expect(c, "STARTTLS\r\n", 5000);
	peer_send(c, "STARTTLS\r\n");
	peer_expect(c, "220 2.0.0 ", 5000);
	peer_expect(c, "\r\n", 0);
	peer_tls(c, s.far_client);
	cr_assert(peer_tls_up(c, 5000));
	return c;
}

/* The next hop up to the question STARTTLS. */
static struct peer *
hop_offers_tls(uint16_t port)
{
	struct peer *h = site_accept(&s, port, 5000);

	cr_assert_not_null(h);
	peer_send(h, "220 hop ESMTP\r\n");
	peer_expect(h, "EHLO gw.example\r\n", 5000);
	peer_send(h, "250-hop\r\n250-PIPELINING\r\n250 STARTTLS\r\n");
	peer_expect(h, "STARTTLS\r\n", 5000);
	return h;
}

static struct peer *
tls_hop(uint16_t port)
{
	struct peer *h;

	if (s.far_implicit)
		return hop_serve(&s, port);
	h = hop_offers_tls(port);
	peer_send(h, "220 go\r\n");
	peer_tls(h, s.far_server);
	peer_expect(h, "EHLO gw.example\r\n", 5000);
	peer_send(h, "250-hop\r\n250 PIPELINING\r\n");
	return h;
}

static struct peer *
tls_body(struct peer *c, const char *rcpt, uint16_t port)
{
	struct peer *h;

	client_envelope(c, rcpt);
	h = tls_hop(port);
	peer_expect(h, "RCPT TO:", 5000);
	peer_send(h, "250 ok\r\n250 ok\r\n");
	peer_expect(c, "250 2.1.5", 5000);
	peer_send(c, "DATA\r\n");
	peer_expect(h, "DATA\r\n", 5000);
	peer_send(h, "354 go\r\n");
	peer_expect(c, "354 ", 5000);
	return h;
}

static void
check_mail(void)
{
	struct peer *c, *h;
	char *log;

	site_start(&s);
	c = tls_client();
	h = tls_body(c, "b@one.example", SITE_HOP_A);
	peer_send(c, "A: b\r\n\r\n..x\r\n.\r\n");
	peer_expect(h, "with ESMTPS id ", 5000);
	peer_expect(
		h, "\r\n\tfor <b@one.example>\r\n\ttls TLS_", 0); /* RFC 5321 4.4: in this order */
	peer_expect(h, "\r\nA: b\r\n\r\n..x\r\n.\r\n", 0);
	peer_send(h, "250 2.0.0 taken\r\n");
	peer_expect(c, "250 2.0.0 taken", 5000);
	peer_send(c, "QUIT\r\n");
	peer_expect(c, "221 ", 5000);
	cr_assert(peer_ends(c, 5000));
	site_run(&s, 1);
	cr_assert(c->tls_eof, "no close_notify");
	log = site_log(&s);
	cr_assert_not_null(strstr(log, "client_tls=TLSv1.3"), "%s", log);
	cr_assert_not_null(strstr(log, "server_tls=TLSv1.3"), "%s", log);
	free(log);
	site_fini(&s);
}

Test(tls_legs, a_mail_crosses_by_starttls_on_both, .init = starttls)
{
	check_mail();
}

Test(tls_legs, a_mail_crosses_by_implicit_tls_on_both, .init = implicit)
{
	check_mail();
}

Test(tls_legs, what_was_said_in_clear_is_forgotten, .init = starttls)
{
	struct peer *c;

	site_start(&s);
	c = tls_client();
	peer_send(c, "MAIL FROM:<a@x>\r\n");
	peer_expect(c, "503 5.5.1", 5000);
	peer_send(c, "EHLO x\r\n");
	peer_expect(c, "250 ", 5000);
	cr_assert_null(strstr(strstr(c->rx, "503"), "STARTTLS"), "offered again");
	site_fini(&s);
}

/* The wire of the site has no delay: what waits for a delayed ACK (40 ms) shows. */
Test(tls_legs, tickets_and_the_next_reply_do_not_wait_for_each_other, .init = starttls)
{
	struct peer *c;
	uint64_t from;

	site_start(&s);
	c = site_client(&s);
	peer_send(c, "EHLO x\r\n");
	peer_expect(c, "250 ", 5000);
	peer_send(c, "STARTTLS\r\n");
	peer_expect(c, "220 2.0.0 ", 5000);
	peer_expect(c, "\r\n", 0);
	from = s.now;
	peer_tls(c, s.far_client);
	cr_assert(peer_tls_up(c, 100));
	peer_send(c, "EHLO x\r\n");
	site_run(&s, 2);
	peer_expect(c, "250 ", 0);
	cr_assert_leq(
		s.now - from, 10 * PST_NS_PER_MS, "%lu us", (unsigned long)((s.now - from) / 1000));
	site_fini(&s);
}

/* ---- T1, T2: injection ---- */

static void
check_injection(bool apart)
{
	struct peer *c;

	site_start(&s);
	c = site_client(&s);
	peer_send(c, "EHLO x\r\n");
	peer_expect(c, "250 ", 5000);
	if (apart) {
		peer_send(c, "STARTTLS\r\n"); /* two writes: two segments of one burst */
		pst_tcp_flush(s.far_tcp, s.now);
		peer_send(c, "EHLO evil\r\n");
	} else {
		peer_send(c, "STARTTLS\r\nEHLO evil\r\n");
	}
	peer_expect(c, "554 5.5.0", 5000);
	cr_assert(peer_ends(c, 5000));
	cr_assert_null(strstr(c->rx, "220 2.0.0"));
	cr_assert_eq(s.sh->c.starttls_injection, 1);
	site_fini(&s);
}

Test(tls_legs, text_behind_starttls_ends_the_session, .init = starttls)
{
	check_injection(false);
}

Test(tls_legs, text_behind_starttls_in_its_own_segment_ends_the_session, .init = starttls)
{
	check_injection(true);
}

Test(tls_legs, text_behind_the_next_hops_220_ends_the_attempt, .init = starttls)
{
	struct peer *c, *h;

	s.hops[0].nhosts = 1;
	site_start(&s);
	c = tls_client();
	client_envelope(c, "b@one.example");
	h = hop_offers_tls(SITE_HOP_A);
	peer_send(h, "220 go\r\n250-evil\r\n250 PIPELINING\r\n");
	peer_expect(c, "451 4.7.5", 5000);
	cr_assert_eq(s.sh->c.starttls_injection, 1);
	cr_assert(peer_ends(h, 5000));
	site_fini(&s);
}

/* ---- T3: stripping ---- */

enum strip { NOT_OFFERED, REFUSED, RST_IN_HANDSHAKE, FIN_IN_HANDSHAKE, TEXT_IN_HANDSHAKE };

static void
check_strip(enum strip way, const char *client_hears)
{
	struct peer *c, *h;

	starttls();
	s.hops[0].nhosts = 1;
	site_start(&s);
	c = tls_client();
	client_envelope(c, "b@one.example");
	if (way == NOT_OFFERED) {
		h = hop_serve(&s, SITE_HOP_A);
	} else {
		h = hop_offers_tls(SITE_HOP_A);
		peer_send(h, way == REFUSED ? "454 4.7.0 not now\r\n" : "220 go\r\n");
		if (way > REFUSED)
			site_run(&s, 1);
		if (way == RST_IN_HANDSHAKE)
			peer_abort(h);
		if (way == FIN_IN_HANDSHAKE)
			peer_close(h);
		if (way == TEXT_IN_HANDSHAKE)
			peer_send(h, "250 never mind\r\n");
	}
	peer_expect(c, client_hears, 5000);
	cr_assert_null(strstr(h->rx, "MAIL"));
	cr_assert_eq(s.sh->c.nexthop_handshake_failures, way > REFUSED);
	site_fini(&s);
}

Test(tls_legs, required_tls_that_is_not_offered_is_451_4_7_4)
{
	check_strip(NOT_OFFERED, "451 4.7.4 TLS is required, but was not offered");
}

Test(tls_legs, required_tls_that_is_refused_is_451_4_7_4)
{
	check_strip(REFUSED, "451 4.7.4");
}

Test(tls_legs, a_handshake_that_is_reset_is_451_4_7_5)
{
	check_strip(RST_IN_HANDSHAKE, "451 4.7.5");
}

Test(tls_legs, a_handshake_that_is_closed_is_451_4_7_5)
{
	check_strip(FIN_IN_HANDSHAKE, "451 4.7.5");
}

Test(tls_legs, a_handshake_answered_with_text_is_451_4_7_5)
{
	check_strip(TEXT_IN_HANDSHAKE, "451 4.7.5");
}

/* ---- ends ---- */

Test(tls_legs, a_body_truncated_without_close_notify_gets_no_dot, .init = starttls)
{
	struct peer *c, *h;

	site_start(&s);
	c = tls_client();
	h = tls_body(c, "b@one.example", SITE_HOP_A);
	peer_send(c, "half of it\r\n");
	peer_expect(h, "half of it\r\n", 5000);
	peer_close(c);
	cr_assert(peer_ends(h, 5000));
	cr_assert_null(strstr(h->rx, "\r\n.\r\n"));
	cr_assert_eq(s.sh->c.transactions_aborted, 1);
	site_fini(&s);
}

Test(tls_legs, a_body_ended_by_close_notify_gets_no_dot, .init = starttls)
{
	struct peer *c, *h;

	site_start(&s);
	c = tls_client();
	h = tls_body(c, "b@one.example", SITE_HOP_A);
	peer_send(c, "half of it\r\n");
	peer_tls_shutdown(c);
	cr_assert(peer_ends(h, 5000));
	site_run(&s, 1);
	cr_assert(h->tls_eof, "an aborted body ends in close_notify, then FIN");
	cr_assert_null(strstr(h->rx, "\r\n.\r\n"));
	site_fini(&s);
}

Test(tls_legs, a_verdict_lost_by_truncation_is_uncertain, .init = starttls)
{
	struct peer *c, *h;

	site_start(&s);
	c = tls_client();
	h = tls_body(c, "b@one.example", SITE_HOP_A);
	peer_send(c, "x\r\n.\r\n");
	peer_expect(h, "\r\n.\r\n", 5000);
	peer_close(h);
	peer_expect(c, "451 4.4.2", 5000);
	cr_assert_eq(s.sh->c.delivery_uncertain, 1);
	site_fini(&s);
}

/* ---- resumption ---- */

static void
deliver(struct peer *c, const char *rcpt, uint16_t port)
{
	struct peer *h = tls_body(c, rcpt, port);

	peer_send(c, "x\r\n.\r\n");
	peer_expect(h, "\r\n.\r\n", 5000);
	peer_send(h, "250 ok\r\n");
	peer_expect(c, "250 2.0.0", 5000);
}

Test(tls_legs, sessions_are_resumed_within_a_class_and_never_across, .init = starttls)
{
	struct peer *c;

	s.hops[0].reuse = s.hops[1].reuse = PST_REUSE_OFF;
	site_start(&s);
	c = tls_client();
	deliver(c, "b@one.example", SITE_HOP_A);
	cr_assert_eq(s.sh->c.nexthop_resumed, 0);
	deliver(c, "b@two.example", SITE_HOP_C);
	cr_assert_eq(s.sh->c.nexthop_resumed, 0);
	deliver(c, "b@one.example", SITE_HOP_A);
	cr_assert_eq(s.sh->c.nexthop_resumed, 1);
	site_fini(&s);
}

/* ---- a record full of commands ---- */

/* 15 octets asked, 60 and more answered: all of a record's replies exceed the leg's buffer. */
Test(tls_legs, every_command_of_a_full_record_is_answered, .init = starttls)
{
	static const char one[] = "RCPT TO:<a@c>\r\n";
	const unsigned n = 16380 / (sizeof(one) - 1);
	char *record = malloc(n * sizeof(one));
	unsigned heard = 0;
	struct peer *c;

	for (unsigned i = 0; i < n; i++)
		memcpy(record + i * (sizeof(one) - 1), one, sizeof(one));
	s.hops[0].nhosts = 1;
	s.routes[0].domain = "c";
	s.cfg.limits.recipients = 100000;
	site_start(&s);
	c = tls_client();
	client_envelope(c, "b@c");
	hop_serve(&s, SITE_HOP_A);
	peer_expect(c, "451 4.7.4 TLS is required", 5000);
	peer_send_bytes(c, record, n * (sizeof(one) - 1));
	free(record);
	peer_send(c, "NOOP\r\n");
	peer_expect(c, "250 2.0.0 ok\r\n", 5000);
	for (char *at = c->rx; (at = strstr(at, "451 4.7.4")) != NULL; at++)
		heard++;
	cr_assert_eq(heard, n + 1);
	site_fini(&s);
}
