/* SPDX-License-Identifier: BSD-3-Clause */
/* Opens, data, closes: what every connection does. */
#include "world.h"

#include <string.h>

static const struct world_conf plain = {0}, modern = {.ts = true, .wscale = 8},
			       modern6 = {.ts = true, .wscale = 8, .v6 = true};

Test(open, passive_answers_with_every_option_the_peer_offered)
{
	struct world *w = world_new(&modern);

	listen_here(w);
	put_next(w, SYN, 0);
	cr_assert_eq(w->nout, 1);
	struct sent *s = &w->out[0];
	cr_assert_eq(s->flags, SYN | ACK);
	cr_assert_eq(s->ack, PEER_ISS + 1);
	cr_assert(s->ts && s->has_mss);
	cr_assert_eq(s->mss, 1460);
	cr_assert_eq(s->wscale, 3);
	cr_assert_eq(s->tsecr, 777);
	cr_assert_eq(s->wnd, 65535);
	cr_assert_eq(usage(w).half_open, 1);
	cr_assert_eq(usage(w).conns, 0, "no TCB before the handshake ends");
	world_free(w);
}

Test(open, passive_offers_nothing_the_peer_did_not)
{
	struct world *w = world_new(&plain);

	listen_here(w);
	put_next(w, SYN, 0);
	cr_assert_eq(w->out[0].wscale, -1);
	cr_assert_not(w->out[0].ts);
	world_free(w);
}

Test(open, mss_is_1440_over_ipv6)
{
	struct world *w = world_new(&modern6);

	connect_only(w);
	put_next(w, SYN | ACK, 0);
	cr_assert_eq(info_of(w).mss, 1440 - 12);
	world_free(w);
}

Test(open, accept_event_comes_once_with_the_listeners_argument)
{
	struct world *w = world_new(&modern);

	open_passive(w);
	cr_assert_eq(w->events, PST_TCP_EV_ACCEPT);
	cr_assert_eq(pst_tcp_conn_listener(w->c), w);
	cr_assert_null(pst_tcp_conn_user(w->c));
	cr_assert_eq(pst_tcp_remote(w->c).port, 40000);
	cr_assert_eq(pst_tcp_local(w->c).port, OUR_PORT);
	world_free(w);
}

Test(open, active_open_connects_and_acknowledges)
{
	struct world *w = world_new(&modern);

	connect_only(w);
	put_next(w, SYN | ACK, 0);
	cr_assert_eq(w->nout, 1);
	cr_assert_eq(w->out[0].flags, ACK);
	cr_assert_eq(w->out[0].seq, w->iss + 1);
	cr_assert_eq(w->out[0].ack, PEER_ISS + 1);
	cr_assert(w->events & PST_TCP_EV_CONNECTED);
	cr_assert_eq(pst_tcp_conn_user(w->c), w);
	world_free(w);
}

Test(open, active_open_is_refused_by_rst)
{
	struct world *w = world_new(&modern);

	connect_only(w);
	put(w, RST | ACK, 0, w->rcv, 0);
	cr_assert_eq(w->events, PST_TCP_EV_ERROR);
	cr_assert_eq(pst_tcp_error(w->c), PST_TCP_ERR_REFUSED);
	cr_assert_eq(pst_tcp_write(w->c, "x", 1), PST_EOF);
	pst_tcp_close(w->c);
	cr_assert_eq(usage(w).conns, 0);
	world_free(w);
}

Test(open, syn_is_repeated_with_backoff_and_then_given_up)
{
	struct world *w = world_new(&plain);

	connect_only(w);
	pass_ms(w, 999);
	cr_assert_eq(w->nout, 0);
	pass_ms(w, 1);
	cr_assert_eq(w->nout, 1);
	cr_assert_eq(w->out[0].flags, SYN);
	cr_assert_eq(w->out[0].seq, w->iss);
	pass_ms(w, 2000);
	cr_assert_eq(w->nout, 2);
	pass_ms(w, 4000);
	cr_assert_eq(w->nout, 3);
	pass_ms(w, 120000);
	cr_assert_eq(pst_tcp_error(w->c), PST_TCP_ERR_TIMEOUT);
	cr_assert_eq(w->nout, 6);
	pst_tcp_close(w->c);
	world_free(w);
}

Test(open, syn_ack_is_repeated_and_expires)
{
	struct world *w = world_new(&plain);

	listen_here(w);
	put_next(w, SYN, 0);
	pass_ms(w, 300000);
	cr_assert_eq(w->nout, 6, "once and five times more, not %u", w->nout);
	for (unsigned i = 0; i < w->nout; i++)
		cr_assert_eq(w->out[i].flags, SYN | ACK);
	cr_assert_eq(usage(w).half_open, 0);
	cr_assert_eq(pst_tcp_next_deadline(w->t), UINT64_MAX);
	world_free(w);
}

Test(open, simultaneous_open_establishes_both_ways)
{
	struct world *w = world_new(&modern);

	connect_only(w);
	put_next(w, SYN, 0);
	cr_assert_str_eq(state_of(w), "SYN-RECEIVED");
	cr_assert_eq(w->nout, 1);
	cr_assert_eq(w->out[0].flags, SYN | ACK);
	cr_assert_eq(w->out[0].seq, w->iss);
	/* RFC 9293 figure 8, line 6: the peer's own SYN, now acknowledging ours. */
	put(w, SYN | ACK, PEER_ISS, w->rcv, 0);
	cr_assert_str_eq(state_of(w), "ESTABLISHED");
	cr_assert(w->events & PST_TCP_EV_CONNECTED);
	world_free(w);
}

Test(data, a_write_leaves_at_the_flush_with_push)
{
	struct world *w = world_new(&modern);

	open_passive(w);
	cr_assert_eq(pst_tcp_write(w->c, "220 ", 4), PST_OK);
	cr_assert_eq(pst_tcp_write(w->c, "hello\r\n", 7), PST_OK);
	turn(w);
	cr_assert_eq(w->nout, 1);
	cr_assert_eq(w->out[0].flags, ACK | PSH);
	cr_assert_eq(w->out[0].len, 11);
	cr_assert_arr_eq(w->out[0].data, "220 hello\r\n", 11);
	cr_assert_eq(pst_tcp_unsent(w->c), 11);
	w->rcv += 11;
	put(w, ACK, w->snd, w->rcv, 0);
	cr_assert_eq(pst_tcp_unsent(w->c), 0);
	world_free(w);
}

Test(data, initial_window_of_ten_segments_leaves_in_one_turn)
{
	struct world *w = world_new(&modern);
	static uint8_t big[40000];

	open_passive(w);
	for (unsigned i = 0; i < sizeof(big); i++)
		big[i] = world_byte(w->iss + 1 + i);
	cr_assert_eq(pst_tcp_write(w->c, big, sizeof(big)), PST_OK);
	turn(w);
	cr_assert_eq(w->nout, 10);
	for (unsigned i = 0; i < 10; i++) {
		cr_assert_eq(w->out[i].len, 1448);
		cr_assert_eq(w->out[i].seq, w->rcv + i * 1448);
		cr_assert_arr_eq(w->out[i].data, big + i * 1448, 1448);
	}
	world_free(w);
}

Test(data, arrives_in_order_and_is_acknowledged)
{
	struct world *w = world_new(&modern);
	uint32_t first;

	open_passive(w);
	first = w->snd;
	put_next(w, ACK | PSH, 100);
	cr_assert(w->events & PST_TCP_EV_READ);
	cr_assert_eq(w->nout, 1, "quick ACK in the beginning");
	cr_assert_eq(w->out[0].ack, w->snd);
	cr_assert_eq(pst_tcp_readable(w->c), 100);
	struct pst_span s = pst_tcp_peek(w->c);
	cr_assert_eq(s.n, 100);
	for (uint32_t i = 0; i < 100; i++)
		cr_assert_eq(s.p[i], world_byte(first + i));
	pst_tcp_consume(w->c, 60);
	cr_assert_eq(pst_tcp_readable(w->c), 40);
	pst_tcp_consume(w->c, 40);
	cr_assert_eq(pst_tcp_peek(w->c).n, 0);
	world_free(w);
}

Test(data, is_seen_in_all_its_runs_in_order_and_no_more_of_them_than_asked_for)
{
	struct world *w = world_new(&modern);
	struct pst_span runs[4];
	uint32_t at;

	open_passive(w);
	at = w->snd;
	cr_assert_eq(pst_tcp_peek_runs(w->c, runs, 4), 0);
	for (unsigned i = 0; i < 3; i++)
		put_next(w, ACK, 1400);
	pst_tcp_consume(w->c, 100);
	at += 100;
	cr_assert_eq(pst_tcp_peek_runs(w->c, runs, 2), 2);
	cr_assert_eq(pst_tcp_peek_runs(w->c, runs, 4), 3);
	cr_assert_eq(runs[0].p, pst_tcp_peek(w->c).p);
	cr_assert_eq(runs[0].n + runs[1].n + runs[2].n, pst_tcp_readable(w->c));
	for (unsigned i = 0; i < 3; i++)
		for (size_t k = 0; k < runs[i].n; k++)
			cr_assert_eq(runs[i].p[k], world_byte(at++));
	world_free(w);
}

Test(close, both_sides_close_and_time_wait_ends)
{
	struct world *w = world_new(&modern);

	open_passive(w);
	pst_tcp_close(w->c);
	turn(w);
	cr_assert_eq(w->nout, 1);
	cr_assert_eq(w->out[0].flags, ACK | FIN);
	w->rcv++;
	put(w, ACK, w->snd, w->rcv, 0);
	cr_assert_eq(usage(w).conns, 1);
	w->nout = 0;
	put_next(w, FIN | ACK, 0);
	cr_assert_eq(w->nout, 1);
	cr_assert_eq(w->out[0].ack, w->snd);
	cr_assert_eq(usage(w).conns, 0);
	cr_assert_eq(usage(w).time_wait, 1);
	pass_ms(w, 59999);
	cr_assert_eq(usage(w).time_wait, 1);
	pass_ms(w, 2);
	cr_assert_eq(usage(w).time_wait, 0);
	world_free(w);
}

Test(close, retransmits_fin_after_rto)
{
	struct world *w = world_new(&modern);

	open_passive(w);
	pst_tcp_close(w->c);
	turn(w);
	w->nout = 0;
	pass_ms(w, 1500);
	cr_assert_geq(w->nout, 1);
	cr_assert_eq(w->out[0].flags, ACK | FIN);
	cr_assert_eq(w->out[0].seq, w->iss + 1);
	world_free(w);
}

Test(close, half_close_keeps_reading)
{
	struct world *w = world_new(&modern);

	open_passive(w);
	pst_tcp_shutdown(w->c);
	turn(w);
	w->rcv++;
	put(w, ACK, w->snd, w->rcv, 0);
	cr_assert_str_eq(state_of(w), "FIN-WAIT-2");
	cr_assert_eq(pst_tcp_write(w->c, "x", 1), PST_EOF);
	pass_ms(w, 600000);
	for (int i = 0; i < 5; i++)
		put_next(w, ACK, 1000);
	cr_assert_eq(pst_tcp_readable(w->c), 5000);
	put_next(w, FIN | ACK, 0);
	cr_assert(w->events & PST_TCP_EV_EOF);
	cr_assert_not(pst_tcp_eof(w->c));
	pst_tcp_consume(w->c, 5000);
	cr_assert(pst_tcp_eof(w->c));
	pst_tcp_close(w->c);
	cr_assert_eq(usage(w).conns, 0);
	cr_assert_eq(usage(w).time_wait, 1);
	world_free(w);
}

Test(close, peer_closes_first_and_we_answer_in_our_time)
{
	struct world *w = world_new(&modern);

	open_passive(w);
	put_next(w, FIN | ACK, 10);
	cr_assert_str_eq(state_of(w), "CLOSE-WAIT");
	cr_assert(w->events & PST_TCP_EV_EOF);
	cr_assert_eq(pst_tcp_write(w->c, "221 bye\r\n", 9), PST_OK);
	pst_tcp_consume(w->c, 10);
	w->nout = 0;
	pst_tcp_close(w->c);
	turn(w);
	cr_assert_eq(w->nout, 1);
	cr_assert_eq(w->out[0].flags, ACK | PSH | FIN, "the tail and the FIN leave together");
	w->rcv += 10;
	put(w, ACK, w->snd, w->rcv, 0);
	cr_assert_eq(usage(w).conns, 0);
	cr_assert_eq(usage(w).time_wait, 0);
	world_free(w);
}

Test(close, unread_bytes_make_it_a_reset)
{
	struct world *w = world_new(&modern);

	open_passive(w);
	put_next(w, ACK, 10);
	w->nout = 0;
	pst_tcp_close(w->c);
	turn(w);
	cr_assert_eq(w->nout, 1);
	cr_assert(w->out[0].flags & RST);
	cr_assert_eq(usage(w).conns, 0);
	world_free(w);
}

Test(close, abort_sends_rst_at_the_peers_next_number)
{
	struct world *w = world_new(&modern);

	open_passive(w);
	pst_tcp_abort(w->c);
	turn(w);
	cr_assert_eq(w->nout, 1);
	cr_assert(w->out[0].flags & RST);
	cr_assert_eq(w->out[0].seq, w->rcv);
	cr_assert_eq(usage(w).conns, 0);
	world_free(w);
}
