/* SPDX-License-Identifier: BSD-3-Clause */
/* What a hostile or merely unusual peer does at the edges of windows. */
#include "world.h"

#include <string.h>

static const struct world_conf plain = {0};
static const struct world_conf scaled = {.wscale = 8, .ts = true};
static uint8_t bytes[1 << 16];

static void
write_bytes(struct world *w, size_t n)
{
	cr_assert_eq(pst_tcp_write(w->c, bytes, n), PST_OK);
}

static struct sent *
last(struct world *w)
{
	cr_assert_gt(w->nout, 0);
	return &w->out[w->nout - 1];
}

/* ---- the receive window ---- */

/* The field counts units of 8 bytes here: what rounding gives away must not add up. */
Test(edge, tiny_segments_do_not_hold_the_window_open)
{
	struct world *w = world_new(
		&(struct world_conf){.tcp = {.rcv_buf = 100000}, .wscale = 8, .ts = true});
	uint32_t sent = 0;

	open_passive(w);
	while (sent < 400000 && (w->nout == 0 || last(w)->wnd != 0)) {
		uint32_t n = sent < 80000 ? 799 : 1;

		w->nout = 0;
		put_next(w, ACK, n);
		if (w->nout == 0)
			pass_ms(w, 50);
		sent += n;
	}
	cr_assert_eq(last(w)->wnd, 0);
	cr_assert_leq(pst_tcp_readable(w->c), 100000 + 100000 / 8 + 8);
	pst_tcp_consume(w->c, pst_tcp_readable(w->c));
	w->nout = 0;
	turn(w);
	cr_assert_gt(last(w)->wnd, 10000, "and it opens again");
	world_free(w);
}

Test(edge, new_bytes_behind_old_ones_do_not_pass_a_closed_window)
{
	struct world *w = world_new(&(struct world_conf){.tcp = {.rcv_buf = 4000}});

	open_passive(w);
	for (int i = 0; i < 4; i++)
		put_next(w, ACK, 1000);
	cr_assert_eq(last(w)->wnd, 0);
	for (int i = 0; i < 5; i++) {
		put(w, ACK, w->snd - 1 + 1000u * (unsigned)i, w->rcv, 1001);
		cr_assert_eq(last(w)->ack, w->snd);
	}
	cr_assert_eq(pst_tcp_readable(w->c), 4000);
	world_free(w);
}

Test(edge, overlap_is_cut_at_both_ends_of_the_window)
{
	struct world *w = world_new(&(struct world_conf){.tcp = {.rcv_buf = 4000}});

	open_passive(w);
	for (int i = 0; i < 3; i++)
		put_next(w, ACK, 1000);
	put(w, ACK | FIN, w->snd - 100, w->rcv, 1200);
	cr_assert_eq(pst_tcp_readable(w->c), 4000);
	cr_assert_eq(last(w)->ack, w->snd + 1000);
	cr_assert_str_eq(state_of(w), "ESTABLISHED", "the FIN lies beyond the window");
	world_free(w);
}

/* The buffer is larger than an unscaled field can say: nothing is new about that. */
Test(edge, reading_does_not_make_an_ack_each_without_scaling)
{
	struct world *w = world_new(&plain);

	open_passive(w);
	for (int i = 0; i < 20; i++)
		put_next(w, ACK, 10);
	pst_tcp_consume(w->c, pst_tcp_readable(w->c));
	pass_ms(w, 100);
	w->nout = 0;
	put_next(w, ACK, 10);
	pst_tcp_consume(w->c, 10);
	turn(w);
	cr_assert_eq(w->nout, 0, "it is delayed");
	pass_ms(w, 40);
	cr_assert_eq(w->nout, 1);
	w->nout = 0;
	pst_tcp_consume(w->c, 0);
	turn(w);
	cr_assert_eq(w->nout, 0, "a duplicate from nothing");
	world_free(w);
}

Test(edge, acknowledgement_does_not_go_back_for_a_fin_among_the_bytes)
{
	struct world *w = world_new(&plain);
	uint32_t from;

	open_passive(w);
	from = w->snd;
	put(w, ACK | FIN, from + 10, w->rcv, 0);
	put(w, ACK, from, w->rcv, 1000);
	cr_assert_eq(last(w)->ack, from + 1000);
	cr_assert(w->events & PST_TCP_EV_EOF);
	world_free(w);
}

Test(edge, text_after_the_fin_is_counted)
{
	struct world *w = world_new(&plain);
	uint64_t before;

	open_passive(w);
	put_next(w, ACK | FIN, 0);
	before = drops(w);
	put_next(w, ACK, 100);
	cr_assert_eq(drops(w), before + 1);
	cr_assert_eq(pst_tcp_readable(w->c), 0);
	world_free(w);
}

/* ---- the send window ---- */

/* RFC 7323 2.2: the window of a segment with SYN is not scaled, of whichever. */
Test(edge, window_of_a_simultaneous_syn_ack_is_not_scaled)
{
	struct world *w = world_new(&scaled);

	connect_only(w);
	put_next(w, SYN, 0);
	put(w, SYN | ACK, PEER_ISS, w->rcv, 0);
	cr_assert_str_eq(state_of(w), "ESTABLISHED");
	cr_assert_leq(info_of(w).snd_wnd, PEER_WND);
	cr_assert_gt(info_of(w).snd_wnd, PEER_WND - 128);
	world_free(w);
}

Test(edge, retransmission_brings_no_byte_beyond_the_window)
{
	struct world *w = world_new(&plain);

	open_passive(w);
	w->wnd = 100;
	put(w, ACK, w->snd, w->rcv, 0);
	for (int i = 0; i < 10; i++) {
		write_bytes(w, 10);
		turn(w);
	}
	write_bytes(w, 5000);
	drop_out(w);
	for (int i = 0; i < 3; i++)
		put(w, ACK, w->snd, w->rcv, 0);
	cr_assert_eq(counters(w)->fast_retrans, 1);
	for (unsigned i = 0; i < w->nout; i++)
		cr_assert_leq(w->out[i].seq + w->out[i].len, w->rcv + 100);
	world_free(w);
}

/*
 * RFC 9293 table 6: at a closed window only SEG.SEQ = RCV.NXT is acceptable. A pure
 * ACK behind the probe would be dropped, and the peer's own data never acknowledged.
 */
Test(edge, acks_stay_acceptable_while_a_closed_window_is_probed)
{
	struct world *w = world_new(&plain);

	open_passive(w);
	w->wnd = 0;
	put(w, ACK, w->snd, w->rcv, 0);
	write_bytes(w, 5000);
	pass_ms(w, 2000);
	cr_assert_gt(counters(w)->zero_window_probes, 0);
	w->nout = 0;
	put_next(w, ACK, 100);
	cr_assert_eq(w->nout, 1);
	cr_assert_eq(w->out[0].seq, w->rcv);
	cr_assert_eq(w->out[0].ack, w->snd);
	world_free(w);
}

/* An ACK that is news cannot be an old segment, whatever its sequence number. */
Test(edge, new_acknowledgement_brings_its_window_from_before_a_hole)
{
	struct world *w = world_new(&plain);

	open_passive(w);
	write_bytes(w, 2000);
	turn(w);
	put(w, ACK, w->snd + 1000, w->rcv, 100);
	w->wnd = 3000;
	put(w, ACK, w->snd, w->rcv + 2000, 1000);
	cr_assert_eq(info_of(w).snd_wnd, 3000);
	world_free(w);
}

Test(edge, closed_window_is_probed_while_memory_is_short)
{
	struct world *w = world_new(&(struct world_conf){.ndata = 511});
	static struct rte_mbuf *held[512];
	unsigned n = 0;

	open_passive(w);
	w->wnd = 0;
	put(w, ACK, w->snd, w->rcv, 0);
	write_bytes(w, 5000);
	while (rte_mempool_avail_count(w->net->data) > 40)
		held[n++] = rte_pktmbuf_alloc(w->net->data);
	cr_assert_eq(pst_tcp_send_space(w->c), 0);
	pass_ms(w, 5000);
	cr_assert_gt(counters(w)->zero_window_probes, 0);
	while (n > 0)
		rte_pktmbuf_free(held[--n]);
	world_free(w);
}

/* ---- attacks on others ---- */

/* Else one noisy peer makes every quiet one believe that we are gone. */
Test(edge, keepalives_are_answered_when_the_allowance_of_challenges_is_spent)
{
	struct world *w = world_new(&plain);

	open_passive(w);
	for (int i = 0; i < 1200; i++) {
		put(w, ACK, w->snd - 5000, w->rcv, 0);
		w->nout = 0;
	}
	cr_assert_gt(counters(w)->challenge_limited, 0);
	put(w, ACK, w->snd - 1, w->rcv, 0);
	cr_assert_eq(w->nout, 1);
	cr_assert_eq(w->out[0].ack, w->snd);
	world_free(w);
}

/* One peer's holes must not keep all others out for as long as it likes. */
Test(edge, holes_of_silent_peers_are_let_go_for_new_connections)
{
	struct world *w = world_new(&(struct world_conf){.ndata = 511});
	struct pst_tcp_conn *silent;
	static struct rte_mbuf *held[512];
	unsigned n = 0;

	open_passive(w);
	silent = w->c;
	for (unsigned i = 0; i < 400; i++) {
		put(w, ACK, w->snd + 2 + 2 * i, w->rcv, 1);
		w->nout = 0;
	}
	while (rte_mempool_avail_count(w->net->data) > 90)
		held[n++] = rte_pktmbuf_alloc(w->net->data);
	w->their_port = 40001;
	put(w, SYN, PEER_ISS, 0, 0);
	cr_assert_eq(w->nout, 1);
	cr_assert_eq(w->out[0].flags, SYN | ACK);
	pst_tcp_abort(silent);
	while (n > 0)
		rte_pktmbuf_free(held[--n]);
	world_free(w);
}

/* The peer's FIN may yet come again: a SYN that is not let in replaces nothing. */
Test(edge, refused_syn_leaves_time_wait_as_it_was)
{
	struct world *w = world_new(&plain);

	open_passive(w);
	pst_tcp_close(w->c);
	turn(w);
	put(w, FIN | ACK, w->snd, w->rcv + 1, 0);
	cr_assert_eq(usage(w).time_wait, 1);
	pst_tcp_refuse(w->t, true);
	put(w, SYN, w->snd + 100000, 0, 0);
	cr_assert_eq(counters(w)->drop_refused, 1);
	cr_assert_eq(usage(w).time_wait, 1);
	w->nout = 0;
	put(w, FIN | ACK, w->snd, w->rcv + 1, 0);
	cr_assert_eq(w->nout, 1);
	cr_assert_eq(w->out[0].flags, ACK);
	pst_tcp_refuse(w->t, false);
	put(w, SYN, w->snd + 100000, 0, 0);
	cr_assert_eq(usage(w).time_wait, 0);
	cr_assert_eq(usage(w).half_open, 1);
	world_free(w);
}
