/* SPDX-License-Identifier: BSD-3-Clause */
/* Bounds: pools, tables, ports, buffers; and the calls an application makes. */
#include "world.h"

#include <string.h>

static const struct world_conf plain = {0};
static uint8_t bytes[1 << 20];

/* One whole handshake from another port of the peer; false if it was refused. */
static bool
one_more(struct world *w, uint16_t port)
{
	w->their_port = port;
	w->nout = 0;
	put(w, SYN, PEER_ISS, 0, 0);
	if (w->nout == 0)
		return false;
	w->rcv = w->out[0].seq + 1;
	w->c = NULL;
	put(w, ACK, PEER_ISS + 1, w->rcv, 0);
	w->nout = 0;
	return w->c != NULL;
}

Test(limits, syns_are_refused_at_nine_tenths_of_the_connections)
{
	struct world *w = world_new(&(struct world_conf){.tcp = {.max_conns = 100}});
	unsigned n = 0;

	listen_here(w);
	while (n < 200 && one_more(w, (uint16_t)(1000 + n)))
		n++;
	cr_assert_eq(n, 90);
	cr_assert_eq(counters(w)->drop_conn_limit, 1);
	world_free(w);
}

Test(limits, half_open_records_are_bounded_and_expire)
{
	struct world *w = world_new(&(struct world_conf){.tcp = {.max_half_open = 50}});

	listen_here(w);
	for (uint16_t i = 0; i < 80; i++) {
		w->their_port = (uint16_t)(2000 + i);
		put(w, SYN, 1, 0, 0);
		w->nout = 0;
	}
	cr_assert_eq(usage(w).half_open, 50);
	cr_assert_eq(counters(w)->drop_half_open_limit, 30);
	for (int s = 0; s < 100; s++) {
		pass_ms(w, 1000);
		w->nout = 0;
	}
	cr_assert_eq(usage(w).half_open, 0);
	cr_assert(one_more(w, 1000));
	world_free(w);
}

Test(limits, oldest_time_wait_makes_room)
{
	struct world *w = world_new(&(struct world_conf){.tcp = {.max_time_wait = 8}});

	listen_here(w);
	for (uint16_t i = 0; i < 20; i++) {
		cr_assert(one_more(w, (uint16_t)(3000 + i)));
		pst_tcp_close(w->c);
		turn(w);
		put(w, FIN | ACK, PEER_ISS + 1, w->rcv + 1, 0);
		w->nout = 0;
	}
	cr_assert_eq(usage(w).time_wait, 8);
	cr_assert_eq(usage(w).conns, 0);
	cr_assert_eq(counters(w)->time_wait_recycled, 12);
	world_free(w);
}

Test(limits, refusing_drops_syns_silently_until_it_is_over)
{
	struct world *w = world_new(&plain);

	listen_here(w);
	pst_tcp_refuse(w->t, true);
	cr_assert_not(one_more(w, 1));
	cr_assert_eq(counters(w)->drop_refused, 1);
	pst_tcp_refuse(w->t, false);
	cr_assert(one_more(w, 1));
	world_free(w);
}

Test(limits, syns_wait_while_the_mbuf_pool_is_low)
{
	struct world *w = world_new(&(struct world_conf){.ndata = 511});
	static struct rte_mbuf *held[512];
	unsigned n = 0;

	listen_here(w);
	while (rte_mempool_avail_count(w->net->data) > 60)
		held[n++] = rte_pktmbuf_alloc(w->net->data);
	cr_assert_not(one_more(w, 1));
	cr_assert_eq(counters(w)->drop_nomem, 1);
	while (n > 0)
		rte_pktmbuf_free(held[--n]);
	cr_assert(one_more(w, 1));
	world_free(w);
}

Test(limits, writes_wait_for_mbufs_and_are_told_when_they_are_back)
{
	struct world *w = world_new(&(struct world_conf){.ndata = 511});
	static struct rte_mbuf *held[512];
	unsigned n = 0;

	open_passive(w);
	while (rte_mempool_avail_count(w->net->data) > 40)
		held[n++] = rte_pktmbuf_alloc(w->net->data);
	cr_assert_eq(pst_tcp_write(w->c, "x", 1), PST_AGAIN);
	w->events = 0;
	pass_ms(w, 100);
	cr_assert_not(w->events & PST_TCP_EV_WRITE);
	while (n > 0)
		rte_pktmbuf_free(held[--n]);
	pass_ms(w, 10);
	cr_assert(w->events & PST_TCP_EV_WRITE);
	cr_assert_eq(pst_tcp_write(w->c, "x", 1), PST_OK);
	world_free(w);
}

Test(limits, window_stops_growing_while_the_pool_is_low)
{
	struct world *w = world_new(&(struct world_conf){.ndata = 511, .ts = true, .wscale = 8});
	static struct rte_mbuf *held[512];
	unsigned n = 0;
	uint32_t edge;

	open_passive(w);
	put_next(w, ACK, 100);
	edge = w->out[0].ack + ((uint32_t)w->out[0].wnd << 3);
	while (rte_mempool_avail_count(w->net->data) > 60)
		held[n++] = rte_pktmbuf_alloc(w->net->data);
	for (int i = 0; i < 20; i++) {
		put_next(w, ACK, 1400);
		w->nout = w->nout > 1 ? 1 : w->nout;
	}
	put_next(w, ACK, 1400);
	struct sent *s = &w->out[w->nout - 1];
	cr_assert_leq((int32_t)(s->ack + ((uint32_t)s->wnd << 3) - edge), 8);
	pst_tcp_consume(w->c, pst_tcp_readable(w->c));
	while (n > 0)
		rte_pktmbuf_free(held[--n]);
	w->nout = 0;
	pass_ms(w, 50);
	cr_assert_geq(w->nout, 1, "the window opens again by itself");
	s = &w->out[w->nout - 1];
	cr_assert_gt((int32_t)(s->ack + ((uint32_t)s->wnd << 3) - edge), 1400);
	world_free(w);
}

Test(limits, lost_ack_for_want_of_an_mbuf_is_sent_later)
{
	struct world *w = world_new(&(struct world_conf){.nhead = 127});
	static struct rte_mbuf *held[128];
	unsigned n = 0;

	open_passive(w);
	while ((held[n] = rte_pktmbuf_alloc(w->net->head)) != NULL)
		n++;
	put_next(w, ACK, 100);
	cr_assert_eq(w->nout, 0);
	cr_assert_gt(counters(w)->out_nomem, 0);
	while (n > 0)
		rte_pktmbuf_free(held[--n]);
	pass_ms(w, 10);
	cr_assert_geq(w->nout, 1);
	cr_assert_eq(w->out[0].ack, w->snd);
	world_free(w);
}

/* ---- send buffer ---- */

Test(sndbuf, is_soft_and_its_end_is_announced)
{
	struct world *w = world_new(&(struct world_conf){.tcp = {.snd_buf = 10000}});

	open_passive(w);
	cr_assert_eq(pst_tcp_send_space(w->c), 10000);
	cr_assert_eq(pst_tcp_write(w->c, bytes, 9999), PST_OK);
	cr_assert_eq(pst_tcp_send_space(w->c), 1);
	cr_assert_eq(pst_tcp_write(w->c, bytes, 5000), PST_OK, "taken whole: the limit is soft");
	cr_assert_eq(pst_tcp_write(w->c, bytes, 1), PST_AGAIN);
	turn(w);
	w->events = 0;
	w->rcv += 1460;
	put(w, ACK, w->snd, w->rcv, 0);
	cr_assert_not(w->events & PST_TCP_EV_WRITE);
	w->rcv += 14999 - 1460;
	put(w, ACK, w->snd, w->rcv, 0);
	cr_assert(w->events & PST_TCP_EV_WRITE);
	world_free(w);
}

Test(sndbuf, write_is_whole_or_not_at_all)
{
	struct world *w =
		world_new(&(struct world_conf){.ndata = 127, .tcp = {.snd_buf = 1 << 20}});

	open_passive(w);
	cr_assert_eq(pst_tcp_write(w->c, bytes, sizeof(bytes)), PST_NOMEM);
	cr_assert_eq(pst_tcp_unsent(w->c), 0);
	cr_assert_eq(pst_tcp_write(w->c, bytes, 1000), PST_OK);
	cr_assert_eq(pst_tcp_unsent(w->c), 1000);
	world_free(w);
}

Test(sndbuf, small_writes_share_buffers)
{
	struct world *w = world_new(&plain);
	unsigned before;

	w->wnd = 0;
	open_passive(w);
	before = rte_mempool_avail_count(w->net->data);
	for (int i = 0; i < 2000; i++)
		cr_assert_eq(pst_tcp_write(w->c, "a", 1), PST_OK);
	cr_assert_leq(before - rte_mempool_avail_count(w->net->data), 1);
	world_free(w);
}

Test(sndbuf, appending_behind_bytes_in_flight_does_not_change_them)
{
	struct world *w = world_new(&plain);
	struct fake_out o;

	open_passive(w);
	memset(bytes, 'a', 600);
	cr_assert_eq(pst_tcp_write(w->c, bytes, 600), PST_OK);
	pst_tcp_flush(w->t, w->now);
	o = fakenet_take(w->net);
	memset(bytes, 'b', 600);
	cr_assert_eq(pst_tcp_write(w->c, bytes, 600), PST_OK);
	turn(w);
	cr_assert_eq(o.m->pkt_len, 620);
	for (uint32_t i = 0; i < 600; i++) {
		uint8_t copy;
		cr_assert_eq(*(const uint8_t *)rte_pktmbuf_read(o.m, 20 + i, 1, &copy), 'a');
	}
	cr_assert_eq(w->out[0].len, 600);
	cr_assert_eq(w->out[0].data[0], 'b');
	rte_pktmbuf_free(o.m);
	world_free(w);
}

Test(sndbuf, acknowledged_while_the_device_still_holds_the_clone)
{
	struct world *w = world_new(&plain);
	struct fake_out o;

	open_passive(w);
	cr_assert_eq(pst_tcp_write(w->c, bytes, 1000), PST_OK);
	pst_tcp_flush(w->t, w->now);
	o = fakenet_take(w->net);
	put(w, ACK, w->snd, w->rcv + 1000, 0);
	cr_assert_eq(pst_tcp_unsent(w->c), 0);
	cr_assert_not(fakenet_full(w->net));
	rte_pktmbuf_free(o.m);
	cr_assert(fakenet_full(w->net));
	world_free(w);
}

/* ---- listeners and opens ---- */

static struct pst_ip
ip(const char *s)
{
	struct pst_ip a;

	cr_assert_eq(pst_ip_parse(s, &a), PST_OK);
	return a;
}

Test(listen, exact_address_wins_over_any_and_any_is_per_family)
{
	static const struct {
		const char *at;
		bool v6, found;
	} rows[] = {{"192.0.2.1", false, true}, {"192.0.2.9", false, false},
		{"0.0.0.0", false, true}, {"0.0.0.0", true, false}, {"::", false, true},
		{"::", true, true}, {"2001:db8::1", true, true}, {"2001:db8::1", false, false}};

	for (size_t i = 0; i < PST_COUNT(rows); i++) {
		struct world *w = world_new(&(struct world_conf){.v6 = rows[i].v6});
		struct pst_endpoint at = {.ip = ip(rows[i].at), .port = OUR_PORT};

		cr_assert_eq(pst_tcp_listen(w->t, &at, w), PST_OK);
		cr_assert_eq(pst_tcp_listen(w->t, &at, w), PST_INVAL, "twice");
		put(w, SYN, 1, 0, 0);
		cr_expect_eq(usage(w).half_open, rows[i].found, "row %zu", i);
		world_free(w);
	}
}

Test(listen, unlisten_forgets_half_opens_and_keeps_connections)
{
	struct world *w = world_new(&plain);
	struct pst_endpoint at = {.ip = w->us, .port = OUR_PORT};

	listen_here(w);
	cr_assert(one_more(w, 1));
	w->their_port = 2;
	put(w, SYN, 1, 0, 0);
	pst_tcp_unlisten(w->t, &at);
	cr_assert_eq(usage(w).half_open, 0);
	cr_assert_eq(usage(w).conns, 1);
	w->nout = 0;
	put(w, SYN, 1, 0, 0);
	cr_assert(w->out[0].flags & RST);
	world_free(w);
}

Test(connect, picks_ports_whose_answers_come_to_this_worker)
{
	struct world *w =
		world_new(&(struct world_conf){.tcp = {.port_min = 40000, .port_max = 40399}});
	struct pst_endpoint to = {.ip = w->them, .port = 25};
	bool seen[400] = {false};
	struct pst_tcp_conn *c;

	w->net->workers = 4;
	w->net->worker = 2;
	for (int i = 0; i < 100; i++) {
		cr_assert_eq(pst_tcp_connect(w->t, NULL, &to, NULL, w->now, &c), PST_OK, "%d", i);
		uint16_t p = pst_tcp_local(c).port;

		cr_assert(p >= 40000 && p < 40400);
		cr_assert_eq((25 + p) % 4, 2);
		cr_assert_not(seen[p - 40000]);
		seen[p - 40000] = true;
	}
	cr_assert_eq(pst_tcp_connect(w->t, NULL, &to, NULL, w->now, &c), PST_UNREACH);
	/* What is taken is the 4-tuple: to another port there is room again. */
	to.port = 26;
	cr_assert_eq(pst_tcp_connect(w->t, NULL, &to, NULL, w->now, &c), PST_OK);
	world_free(w);
}

Test(connect, fails_at_once_where_there_is_no_way)
{
	struct world *w = world_new(&plain);
	struct pst_endpoint to = {.ip = w->them, .port = 25};
	struct pst_ip other = ip("2001:db8::1");
	struct pst_tcp_conn *c;

	w->net->unreachable = true;
	cr_assert_eq(pst_tcp_connect(w->t, NULL, &to, NULL, w->now, &c), PST_UNREACH);
	w->net->unreachable = false;
	cr_assert_eq(pst_tcp_connect(w->t, &other, &to, NULL, w->now, &c), PST_UNREACH);
	to.port = 0;
	cr_assert_eq(pst_tcp_connect(w->t, NULL, &to, NULL, w->now, &c), PST_UNREACH);
	to = (struct pst_endpoint){.ip = ip("224.0.0.1"), .port = 25};
	cr_assert_eq(pst_tcp_connect(w->t, NULL, &to, NULL, w->now, &c), PST_UNREACH);
	cr_assert_eq(usage(w).conns, 0);
	world_free(w);
}

Test(connect, neighbour_that_never_answers_is_unreachable)
{
	struct world *w = world_new(&plain);

	connect_only(w);
	w->net->unreachable = true;
	pass_ms(w, 1500);
	cr_assert_eq(pst_tcp_error(w->c), PST_TCP_ERR_UNREACH);
	world_free(w);
}

Test(connect, stops_at_the_limit_of_records)
{
	struct world *w = world_new(&(struct world_conf){.tcp = {.max_conns = 10}});
	struct pst_endpoint to = {.ip = w->them, .port = 25};
	struct pst_tcp_conn *c[11];

	for (int i = 0; i < 10; i++)
		cr_assert_eq(pst_tcp_connect(w->t, NULL, &to, NULL, w->now, &c[i]), PST_OK);
	cr_assert_eq(pst_tcp_connect(w->t, NULL, &to, NULL, w->now, &c[10]), PST_NOMEM);
	pst_tcp_close(c[3]);
	cr_assert_eq(pst_tcp_connect(w->t, NULL, &to, NULL, w->now, &c[3]), PST_OK);
	world_free(w);
}

/* ---- the ready list ---- */

Test(ready, closed_connection_leaves_the_list)
{
	struct world *w = world_new(&plain);
	struct pst_tcp_conn *c;
	uint32_t ev;

	open_passive(w);
	put_only(w, ACK, w->snd, w->rcv, 10);
	pst_tcp_conn_mark(w->c);
	pst_tcp_abort(w->c);
	w->c = NULL;
	cr_assert_null(pst_tcp_next_ready(w->t, &ev));
	(void)c;
	world_free(w);
}

Test(ready, is_in_order_and_marks_come_back_as_user_events)
{
	struct world *w = world_new(&plain);
	struct pst_tcp_conn *a, *b;
	uint32_t ev;

	listen_here(w);
	cr_assert(one_more(w, 1));
	a = w->c;
	cr_assert(one_more(w, 2));
	b = w->c;
	pst_tcp_conn_mark(b);
	pst_tcp_conn_mark(a);
	pst_tcp_conn_mark(b);
	cr_assert_leq(pst_tcp_next_deadline(w->t), w->now, "work is waiting");
	cr_assert_eq(pst_tcp_next_ready(w->t, &ev), b);
	cr_assert_eq(ev, PST_TCP_EV_USER);
	cr_assert_eq(pst_tcp_next_ready(w->t, &ev), a);
	cr_assert_null(pst_tcp_next_ready(w->t, &ev));
	world_free(w);
}

Test(counters, each_has_a_name_a_text_and_a_place)
{
	size_t n = 0;

	for (const struct pst_counter_desc *d = pst_tcp_counter_descs; d->name != NULL; d++, n++) {
		cr_assert_eq(d->offset, n * sizeof(uint64_t));
		cr_assert_gt(strlen(d->help), 3);
	}
	cr_assert_eq(n * sizeof(uint64_t), sizeof(struct pst_tcp_counters));
}

Test(records, are_small)
{
	struct world *w = world_new(&plain);

	cr_assert_leq(usage(w).tcb_bytes, 640, "%zu", usage(w).tcb_bytes);
	world_free(w);
}

/* The records are used again: one left on a list would be linked into it twice. */
Test(limits, connections_that_wait_for_memory_may_be_aborted, .timeout = 20)
{
	struct world *w = world_new(&(struct world_conf){.ndata = 511});
	static struct rte_mbuf *held[512];
	unsigned n = 0;

	listen_here(w);
	for (uint16_t round = 0; round < 4; round++) {
		cr_assert(one_more(w, (uint16_t)(1000 + round)));
		while (rte_mempool_avail_count(w->net->data) > 40)
			held[n++] = rte_pktmbuf_alloc(w->net->data);
		cr_assert_eq(pst_tcp_send_space(w->c), 0);
		pst_tcp_abort(w->c);
		w->c = NULL;
		drop_out(w);
		while (n > 0)
			rte_pktmbuf_free(held[--n]);
	}
	pass_ms(w, 100);
	cr_assert_eq(pst_tcp_next_deadline(w->t), UINT64_MAX);
	world_free(w);
}
