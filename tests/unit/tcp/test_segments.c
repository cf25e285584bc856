/* SPDX-License-Identifier: BSD-3-Clause */
/* Options and header lengths as outsiders may write them; blind attacks; ICMP. */
#include "world.h"

#include <string.h>

/* ---- options of a SYN ---- */

static const struct {
	const char *name;
	uint8_t n, bytes[40];
	bool taken;   /* answered with SYN,ACK; else dropped as malformed */
	uint16_t mss; /* expected of the connection, without timestamps */
	bool ts, ws;
} options[] = {
	{"none", 0, {0}, true, 536, false, false},
	{"mss", 4, {2, 4, 5, 180}, true, 1460, false, false},
	{"mss larger than the path", 4, {2, 4, 0x23, 0x28}, true, 1460, false, false},
	{"mss of zero", 4, {2, 4, 0, 0}, true, 88, false, false},
	{"mss of one", 4, {2, 4, 0, 1}, true, 88, false, false},
	{"mss too short", 4, {2, 3, 5, 1}, false, 0, false, false},
	{"mss too long", 8, {2, 6, 5, 180, 0, 0, 1, 1}, false, 0, false, false},
	{"mss twice: the last", 8, {2, 4, 5, 180, 2, 4, 4, 0}, true, 1024, false, false},
	{"wscale", 8, {2, 4, 5, 180, 1, 3, 3, 7}, true, 1460, false, true},
	{"wscale beyond 14", 8, {2, 4, 5, 180, 1, 3, 3, 255}, true, 1460, false, true},
	{"wscale too long", 4, {3, 4, 7, 0}, false, 0, false, false},
	{"timestamps", 12, {1, 1, 8, 10, 0, 0, 0, 9, 0, 0, 0, 0}, true, 524, true, false},
	{"timestamps too short", 12, {1, 1, 8, 9, 0, 0, 0, 9, 0, 0, 0, 0}, false, 0, false, false},
	{"end hides the rest", 8, {0, 2, 3, 5, 5, 5, 5, 5}, true, 536, false, false},
	{"only nops", 4, {1, 1, 1, 1}, true, 536, false, false},
	{"length of zero", 4, {8, 0, 0, 0}, false, 0, false, false},
	{"length of one", 4, {254, 1, 0, 0}, false, 0, false, false},
	{"length past the end", 4, {254, 5, 0, 0}, false, 0, false, false},
	{"kind on the last byte", 4, {1, 1, 1, 2}, false, 0, false, false},
	{"end on the last byte", 4, {1, 1, 1, 0}, true, 536, false, false},
	{"unknown", 8, {254, 8, 1, 2, 3, 4, 5, 6}, true, 536, false, false},
	{"sack permitted", 4, {1, 1, 4, 2}, true, 536, false, false},
	{"fast open cookie", 12, {34, 10, 1, 2, 3, 4, 5, 6, 7, 8, 1, 1}, true, 536, false, false},
};

static void
raw_syn(struct world *w, const uint8_t *o, uint8_t n)
{
	uint8_t h[60] = {(uint8_t)(w->their_port >> 8), (uint8_t)w->their_port, 0, OUR_PORT,
		PEER_ISS >> 24, (PEER_ISS >> 16) & 255, (PEER_ISS >> 8) & 255, PEER_ISS & 255};

	h[12] = (uint8_t)((20 + n) / 4 << 4);
	h[13] = SYN;
	h[14] = 0xff;
	memcpy(h + 20, o, n);
	put_raw(w, h, 20u + n);
	turn(w);
}

Test(options, of_a_syn_are_taken_or_refused_whole)
{
	for (size_t i = 0; i < PST_COUNT(options); i++) {
		struct world *w = world_new(&(struct world_conf){.ndata = 63, .nhead = 63});
		bool taken;

		listen_here(w);
		raw_syn(w, options[i].bytes, options[i].n);
		taken = w->nout == 1 && w->out[0].flags == (SYN | ACK);
		cr_expect_eq(taken, options[i].taken, "%s", options[i].name);
		cr_expect_eq(counters(w)->drop_malformed, !options[i].taken, "%s", options[i].name);
		if (taken) {
			cr_expect_eq(w->out[0].ts, options[i].ts, "%s", options[i].name);
			cr_expect_eq(w->out[0].wscale >= 0, options[i].ws, "%s", options[i].name);
			w->ts = options[i].ts;
			w->tsval = 10;
			put(w, ACK, PEER_ISS + 1, w->out[0].seq + 1, 0);
			cr_expect_eq(info_of(w).mss, options[i].mss, "%s: mss %u", options[i].name,
				info_of(w).mss);
		}
		world_free(w);
	}
}

Test(header, of_impossible_length_is_dropped)
{
	struct world *w = world_new(&(struct world_conf){0});
	uint8_t h[64] = {0};

	listen_here(w);
	for (unsigned n = 0; n < 20; n++)
		put_raw(w, h, n);
	cr_assert_eq(counters(w)->drop_malformed, 20);
	for (unsigned doff = 0; doff < 16; doff++) {
		h[12] = (uint8_t)(doff << 4);
		h[13] = RST;
		put_raw(w, h, 24);
	}
	cr_assert_eq(counters(w)->drop_malformed, 20 + 14, "5 and 6 words fit into 24 bytes");
	turn(w);
	cr_assert_eq(w->nout, 0);
	world_free(w);
}

/* ---- timestamps ---- */

static const struct world_conf stamped = {.ts = true, .wscale = 8};

Test(paws, old_timestamp_is_acknowledged_and_dropped)
{
	struct world *w = world_new(&stamped);

	open_passive(w);
	w->tsval = 1000;
	put_next(w, ACK, 10);
	w->nout = 0;
	w->tsval = 999;
	put(w, ACK, w->snd, w->rcv, 10);
	cr_assert_eq(counters(w)->drop_paws, 1);
	cr_assert_eq(pst_tcp_readable(w->c), 10);
	cr_assert_eq(w->nout, 1);
	cr_assert_eq(w->out[0].ack, w->snd);
	cr_assert_eq(w->out[0].tsecr, 1000);
	world_free(w);
}

Test(paws, does_not_apply_to_rst)
{
	struct world *w = world_new(&stamped);

	open_passive(w);
	w->tsval = 1;
	put(w, RST, w->snd, 0, 0);
	cr_assert_eq(pst_tcp_error(w->c), PST_TCP_ERR_RESET);
	world_free(w);
}

Test(paws, segment_without_a_timestamp_is_dropped_silently)
{
	struct world *w = world_new(&stamped);

	open_passive(w);
	w->ts = false;
	put(w, ACK, w->snd, w->rcv, 10);
	cr_assert_eq(counters(w)->drop_paws, 1);
	cr_assert_eq(w->nout, 0);
	world_free(w);
}

Test(paws, gives_way_after_24_days_of_silence)
{
	struct world *w = world_new(&stamped);

	open_passive(w);
	w->now += 25ull * 86400 * PST_NS_PER_SEC;
	pst_tcp_tick(w->t, w->now);
	w->tsval = 776;
	put(w, ACK, w->snd, w->rcv, 10);
	cr_assert_eq(pst_tcp_readable(w->c), 10);
	world_free(w);
}

Test(paws, timestamp_of_a_segment_with_a_bad_ack_is_not_remembered)
{
	struct world *w = world_new(&stamped);

	open_passive(w);
	w->tsval += 1u << 30;
	put(w, ACK, w->snd, w->rcv + 100000, 0);
	w->tsval -= 1u << 30;
	put(w, ACK, w->snd, w->rcv, 10);
	cr_assert_eq(pst_tcp_readable(w->c), 10);
	world_free(w);
}

Test(paws, stamp_of_a_segment_ahead_is_not_echoed)
{
	struct world *w = world_new(&stamped);
	uint32_t first = w->tsval;

	/* RFC 7323 4.3: with a gap, the echo is that of the last in-order segment. */
	open_passive(w);
	w->tsval = first + 50;
	put(w, ACK, w->snd + 1000, w->rcv, 1000);
	cr_assert_eq(w->out[0].tsecr, first);
	world_free(w);
}

/* ---- blind attacks ---- */

Test(blind, acknowledgement_outside_the_window_of_sent_data_is_challenged)
{
	struct world *w = world_new(&(struct world_conf){0});

	open_passive(w);
	put(w, ACK, w->snd, w->rcv - PEER_WND - 10, 5);
	cr_assert_eq(counters(w)->drop_ack, 1);
	cr_assert_eq(pst_tcp_readable(w->c), 0);
	put(w, ACK, w->snd, w->rcv - 100, 5);
	cr_assert_eq(pst_tcp_readable(w->c), 5, "an old ACK within the window is no crime");
	world_free(w);
}

Test(blind, initial_numbers_differ_between_peers_and_grow_with_time)
{
	struct world *w = world_new(&(struct world_conf){0});
	uint32_t iss[3];

	listen_here(w);
	for (int i = 0; i < 2; i++) {
		w->their_port = (uint16_t)(1000 + i);
		put(w, SYN, 5, 0, 0);
		iss[i] = w->out[i].seq;
	}
	cr_assert_gt(iss[0] > iss[1] ? iss[0] - iss[1] : iss[1] - iss[0], 1000);
	w->their_port = 1000;
	put(w, RST, 6, 0, 0);
	w->now += 4000000000;
	put(w, SYN, 5, 0, 0);
	iss[2] = w->out[2].seq;
	cr_assert_eq(iss[2] - iss[0], 1000000, "RFC 6528: 4 microseconds a step");
	world_free(w);
}

/* ---- ICMP ---- */

static void
send_three(struct world *w)
{
	static uint8_t data[4000];

	cr_assert_eq(pst_tcp_write(w->c, data, sizeof(data)), PST_OK);
	turn(w);
	cr_assert_eq(w->nout, 3);
	w->nout = 0;
}

Test(icmp, too_big_lowers_the_segment_size_and_sends_again)
{
	struct world *w = world_new(&(struct world_conf){0});

	open_passive(w);
	send_three(w);
	put_icmp(w, 3, 4, 1000, w->rcv);
	cr_assert_eq(info_of(w).mss, 960);
	cr_assert_geq(w->nout, 4);
	for (unsigned i = 0; i < w->nout; i++)
		cr_assert_leq(w->out[i].len, 960);
	cr_assert_eq(w->out[0].seq, w->rcv);
	cr_assert_eq(info_of(w).cwnd, 14600, "no sign of congestion");
	world_free(w);
}

Test(icmp, error_that_quotes_nothing_in_flight_is_ignored)
{
	struct world *w = world_new(&(struct world_conf){0});

	open_passive(w);
	send_three(w);
	put_icmp(w, 3, 4, 1000, w->rcv + 4000);
	put_icmp(w, 3, 4, 1000, w->rcv - 1);
	cr_assert_eq(counters(w)->drop_icmp, 2);
	cr_assert_eq(info_of(w).mss, 1460);
	world_free(w);
}

Test(icmp, absurdly_small_mtu_is_clamped)
{
	struct world *w = world_new(&(struct world_conf){0});

	open_passive(w);
	send_three(w);
	put_icmp(w, 3, 4, 68, w->rcv);
	cr_assert_eq(info_of(w).mss, 512);
	world_free(w);
}

Test(icmp, unreachable_ends_an_open_but_not_a_connection)
{
	struct world *w = world_new(&(struct world_conf){0});

	open_passive(w);
	send_three(w);
	for (uint8_t code = 0; code < 16; code++)
		put_icmp(w, 3, code, 0, w->rcv);
	cr_assert_str_eq(state_of(w), "ESTABLISHED");
	world_free(w);

	w = world_new(&(struct world_conf){0});
	connect_only(w);
	put_icmp(w, 3, 3, 0, w->iss + 1);
	cr_assert_str_eq(state_of(w), "SYN-SENT", "not the number of our SYN");
	put_icmp(w, 3, 3, 0, w->iss);
	cr_assert_eq(pst_tcp_error(w->c), PST_TCP_ERR_UNREACH);
	world_free(w);
}

Test(icmp, shorter_than_eight_bytes_is_dropped)
{
	struct world *w = world_new(&(struct world_conf){0});
	struct rte_mbuf *m = rte_pktmbuf_alloc(w->net->data);
	struct pst_pkt pkt = {.m = m, .src = w->us, .dst = w->them, .kind = PST_PKT_ICMP_ERROR};

	rte_pktmbuf_append(m, 7);
	pst_tcp_input(w->t, &pkt, w->now);
	cr_assert_eq(counters(w)->drop_icmp, 1);
	world_free(w);
}
