/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Single connections through awkward moments. Each scene ends with both hosts
 * idle and every pool full, which sim_free checks.
 */
#include "scene.h"

static struct flow west, east;

/* Ends a scene: whatever is still to happen happens, then the books are balanced. */
const char *
scene_end(struct sim *s)
{
	const char *fault;

	sim_until(s, sim_idle, 24 * 3600 * SEC);
	sim_pass(s, 10 * SEC);
	fault = s->fault;
	if (!sim_free(s) && fault == NULL)
		fault = "a connection or an mbuf was left over";
	return fault;
}

static struct flow *
flow_of(struct host *h)
{
	return h->id == 0 ? &west : &east;
}

/* Reads all, writes all, closes when both directions ended. */
static void
orderly(struct host *h, struct pst_tcp_conn *c, uint32_t events)
{
	struct flow *f = flow_of(h);

	if (events & (PST_TCP_EV_ACCEPT | PST_TCP_EV_CONNECTED))
		f->c = c;
	if (events & PST_TCP_EV_ERROR) {
		sim_fault(h->sim, pst_tcp_error_name(pst_tcp_error(c)));
		pst_tcp_close(c);
		return;
	}
	flow_read(h->sim, f);
	flow_write(f);
	if (f->eof && f->shut) {
		pst_tcp_close(c);
		f->closed = true;
	}
}

static struct sim *
pair(const struct sim_conf *conf, uint64_t from_west, uint64_t from_east, host_app *a, host_app *b)
{
	struct sim *s = sim_new(conf);

	west = (struct flow){.send_key = stream_key(conf->seed, 0),
		.to_send = from_west,
		.recv_key = stream_key(conf->seed, 1)};
	east = (struct flow){.send_key = stream_key(conf->seed, 1),
		.to_send = from_east,
		.recv_key = stream_key(conf->seed, 0)};
	s->host[0].app = a;
	s->host[1].app = b;
	host_listen(&s->host[1], PORT);
	return s;
}

static void
go(struct sim *s)
{
	west.c = host_connect(&s->host[0], PORT, NULL);
	if (west.c == NULL)
		sim_fault(s, "connect failed");
}

static void
demand(struct sim *s, bool ok, const char *what)
{
	if (!ok)
		sim_fault(s, what);
}

static void
demand_all_arrived(struct sim *s)
{
	demand(s, west.closed && east.closed, "a side never closed");
	demand(s, east.read == west.to_send && west.read == east.to_send, "bytes are missing");
}

static struct sim_conf
rough(uint64_t seed, bool v6)
{
	return (struct sim_conf){.seed = seed,
		.v6 = v6,
		.wire = {.loss = 5, .dup = 2, .reorder = 3, .delay = 10 * MS}};
}

/* ---- half-close: the answer is only written after the question's end ---- */

static void
answer_after_eof(struct host *h, struct pst_tcp_conn *c, uint32_t events)
{
	struct flow *f = flow_of(h);

	f->c = c;
	flow_read(h->sim, f);
	if (!f->eof)
		return;
	flow_write(f);
	if (f->shut) {
		pst_tcp_close(c);
		f->closed = true;
	}
}

static const char *
half_close(uint64_t seed, bool v6)
{
	struct sim_conf conf = rough(seed, v6);
	struct sim *s = pair(&conf, 300000, 500000, orderly, answer_after_eof);

	go(s);
	sim_until(s, sim_idle, 3600 * SEC);
	demand_all_arrived(s);
	return scene_end(s);
}

/* ---- a window closed for minutes ---- */

static bool reading;

static void
slow_reader(struct host *h, struct pst_tcp_conn *c, uint32_t events)
{
	flow_of(h)->c = c;
	if (reading)
		orderly(h, c, events);
}

static const char *
zero_window(uint64_t seed, bool v6)
{
	struct sim_conf conf = rough(seed, v6);
	struct sim *s = pair(&conf, 1000000, 1000, orderly, slow_reader);
	uint64_t probes;

	reading = false;
	go(s);
	sim_pass(s, 1200 * SEC);
	probes = pst_tcp_counters(s->host[0].tcp)->zero_window_probes;
	demand(s, probes >= 15 && probes < 100, "probes are not as expected");
	demand(s, pst_tcp_counters(s->host[0].tcp)->timeouts == 0, "gave up on a live peer");
	reading = true;
	if (east.c != NULL)
		pst_tcp_conn_mark(east.c);
	sim_until(s, sim_idle, 3600 * SEC);
	demand_all_arrived(s);
	return scene_end(s);
}

/* ---- a peer that vanishes behind a closed window is given up ---- */

static void
tolerant(struct host *h, struct pst_tcp_conn *c, uint32_t events)
{
	flow_of(h)->c = c;
	if (events & PST_TCP_EV_ERROR) {
		pst_tcp_close(c);
		flow_of(h)->closed = true;
	} else {
		flow_write(flow_of(h));
	}
}

static const char *
vanished_peer(uint64_t seed, bool v6)
{
	struct sim_conf conf = rough(seed, v6);
	struct sim *s;

	conf.tcp[1].keepalive_ms = 60000;
	s = pair(&conf, 1000000, 0, tolerant, tolerant);
	east.open = true;
	go(s);
	sim_pass(s, 60 * SEC);
	s->wire.conf.cut = true;
	sim_pass(s, 600 * SEC);
	demand(s, west.closed, "a dead peer was not given up");
	demand(s, east.closed, "keepalive did not find the peer dead");
	return scene_end(s);
}

/* ---- both ends at the same instant ---- */

static const char *
simultaneous_open(uint64_t seed, bool v6)
{
	struct sim_conf conf = rough(seed, v6);
	struct sim *s;
	struct pst_endpoint to[2];

	for (unsigned i = 0; i < 2; i++)
		conf.tcp[i].port_min = conf.tcp[i].port_max = (uint16_t)(5000 + i);
	s = pair(&conf, 200000, 300000, orderly, orderly);
	for (unsigned i = 0; i < 2; i++)
		to[i] = (struct pst_endpoint){
			.ip = *host_ip(&s->host[i]), .port = (uint16_t)(5000 + i)};
	demand(s, pst_tcp_connect(s->host[0].tcp, NULL, &to[1], NULL, s->now, &west.c) == PST_OK,
		"connect failed");
	demand(s, pst_tcp_connect(s->host[1].tcp, NULL, &to[0], NULL, s->now, &east.c) == PST_OK,
		"connect failed");
	sim_until(s, sim_idle, 3600 * SEC);
	demand_all_arrived(s);
	demand(s, pst_tcp_counters(s->host[1].tcp)->passive_opens == 0, "not simultaneous");
	return scene_end(s);
}

static void
keep(struct host *h, struct pst_tcp_conn *c, uint32_t events)
{
	flow_of(h)->c = c;
}

static const char *
simultaneous_close(uint64_t seed, bool v6)
{
	struct sim_conf conf = rough(seed, v6);
	struct sim *s = pair(&conf, 0, 0, keep, keep);

	go(s);
	sim_pass(s, 60 * SEC);
	demand(s, east.c != NULL, "not open");
	if (s->fault == NULL) {
		pst_tcp_close(west.c);
		pst_tcp_close(east.c);
	}
	sim_until(s, sim_idle, 3600 * SEC);
	return scene_end(s);
}

/* ---- no mbufs, again and again ---- */

#define GRAB 16384

static const char *
exhaustion(uint64_t seed, bool v6)
{
	static struct rte_mbuf *grabbed[4][GRAB];
	struct sim_conf conf = rough(seed, v6);
	struct sim *s;

	conf.mbufs = 1024;
	s = pair(&conf, 3000000, 3000000, orderly, orderly);
	go(s);
	for (int round = 0; round < 60 && s->fault == NULL; round++) {
		for (unsigned k = 0; k < 4; k++) {
			struct pst_net *net = s->host[k / 2].net;
			struct rte_mempool *mp =
				k % 2 ? pst_net_pool_data(net) : pst_net_pool_head(net);
			unsigned leave = wire_below(&s->wire, 3) * 20, n = 0;

			if (wire_below(&s->wire, 2))
				while (rte_mempool_avail_count(mp) > leave && n < GRAB - 1 &&
					(grabbed[k][n] = rte_pktmbuf_alloc(mp)) != NULL)
					n++;
			grabbed[k][n] = NULL;
		}
		sim_pass(s, wire_below(&s->wire, 3000) * MS);
		for (unsigned k = 0; k < 4; k++)
			for (unsigned n = 0; grabbed[k][n] != NULL; n++)
				rte_pktmbuf_free(grabbed[k][n]);
		sim_pass(s, wire_below(&s->wire, 1000) * MS);
	}
	sim_until(s, sim_idle, 24 * 3600 * SEC);
	demand_all_arrived(s);
	for (unsigned k = 0; k < 2; k++)
		demand(s, pst_tcp_counters(s->host[k].tcp)->out_nomem > 0,
			"memory was never short");
	return scene_end(s);
}

/* ---- the path narrows ---- */

static const char *
pmtu(uint64_t seed, bool v6, bool tell)
{
	struct sim_conf conf = rough(seed, v6);
	struct sim *s;

	conf.wire.loss = 1;
	s = pair(&conf, 4000000, 2000000, orderly, orderly);
	s->wire.tell = tell;
	go(s);
	sim_pass(s, 2 * SEC);
	s->wire.conf.mtu = 1300;
	sim_until(s, sim_idle, 3600 * SEC);
	demand_all_arrived(s);
	demand(s, pst_tcp_counters(s->host[0].tcp)->pmtu_lowered > 0, "nothing was narrowed");
	return scene_end(s);
}

static const char *
pmtu_drop(uint64_t seed, bool v6)
{
	return pmtu(seed, v6, true);
}

const struct scene scenes[] = {
	{"half-close", half_close},
	{"zero-window", zero_window},
	{"vanished-peer", vanished_peer},
	{"simultaneous-open", simultaneous_open},
	{"simultaneous-close", simultaneous_close},
	{"exhaustion", exhaustion},
	{"pmtu-drop", pmtu_drop},
	{"churn", scene_churn},
	{"overload", scene_overload},
	{"forgery", scene_forgery},
	{NULL, NULL},
};
