/* SPDX-License-Identifier: BSD-3-Clause */
/* Hosts, the virtual clock, and what is demanded when all is over. */
#include "sim.h"

#include <stdio.h>
#include <stdlib.h>

#define START         (1000 * PST_NS_PER_SEC)
#define MBUFS         8192
#define STEPS_AT_ONCE 100000 /* more without the clock moving is a livelock */
#define BURST         64

void
sim_fault(struct sim *s, const char *what)
{
	if (s->fault == NULL)
		s->fault = what;
}

struct pst_ip *
host_ip(struct host *h)
{
	return h->sim->v6 ? &h->ip6 : &h->ip4;
}

static struct pst_ip
address(const char *text, uint8_t last)
{
	struct pst_ip a;

	if (pst_ip_parse(text, &a) != PST_OK)
		abort();
	a.b[15] = last;
	return a;
}

static void
host_init(struct host *h, struct sim *s, uint8_t id, const struct sim_conf *conf)
{
	struct pst_port_conf port = {.name = id == 0 ? "west" : "east",
		.ethdev = -1,
		.mac = {{2, 0, 0, 0, 0, (uint8_t)(id + 1)}},
		.mtu = conf->mtu[id],
		.naddrs = 2};
	struct pst_fabric_conf fab = {.nworkers = 1,
		.nports = 1,
		.ports = &port,
		.mbufs_per_worker = conf->mbufs ? conf->mbufs : MBUFS,
		.seed = conf->seed + id};
	struct pst_tcp_conf tcp = conf->tcp[id];
	char err[256];

	*h = (struct host){.sim = s, .id = id, .busy = true};
	h->ip4 = address("10.0.0.0", (uint8_t)(id + 1));
	h->ip6 = address("fd00::", (uint8_t)(id + 1));
	port.addrs[0] = (struct pst_prefix){h->ip4, 24};
	port.addrs[1] = (struct pst_prefix){h->ip6, 64};
	h->fabric = pst_fabric_new(&fab, err, sizeof(err));
	if (h->fabric == NULL) {
		fprintf(stderr, "%s\n", err);
		abort();
	}
	if (tcp.seed == 0)
		tcp.seed = conf->seed * 2 + id + 1;
	h->net = pst_net_new(h->fabric, 0);
	h->tcp = h->net != NULL ? pst_tcp_new(&tcp, h->net, s->now) : NULL;
	if (h->tcp == NULL)
		abort();
}

struct sim *
sim_new(const struct sim_conf *conf)
{
	struct sim *s = calloc(1, sizeof(*s));

	if (s == NULL)
		abort();
	s->now = START;
	s->v6 = conf->v6;
	wire_init(&s->wire, &conf->wire, conf->seed * 0x9e3779b97f4a7c15ull + 1);
	for (uint8_t i = 0; i < 2; i++)
		host_init(&s->host[i], s, i, conf);
	return s;
}

static bool
pools_full(struct host *h)
{
	return rte_mempool_full(pst_net_pool_data(h->net)) &&
	       rte_mempool_full(pst_net_pool_head(h->net));
}

bool
sim_free(struct sim *s)
{
	bool ok = sim_idle(s);

	wire_fini(&s->wire);
	for (int i = 0; i < 2; i++) {
		struct host *h = &s->host[i];

		ok = ok && pools_full(h);
		pst_tcp_free(h->tcp);
		pst_net_free(h->net);
		pst_fabric_free(h->fabric);
	}
	free(s);
	return ok;
}

bool
sim_idle(struct sim *s)
{
	for (int i = 0; i < 2; i++) {
		struct pst_tcp_usage u;

		pst_tcp_usage(s->host[i].tcp, &u);
		if (u.conns + u.half_open + u.time_wait != 0)
			return false;
	}
	return true;
}

void
host_listen(struct host *h, uint16_t port)
{
	struct pst_endpoint at = {.port = port};

	if (pst_tcp_listen(h->tcp, &at, h) != PST_OK)
		abort();
}

struct pst_tcp_conn *
host_connect(struct host *h, uint16_t port, void *user)
{
	struct pst_endpoint to = {.ip = *host_ip(&h->sim->host[!h->id]), .port = port};
	struct pst_tcp_conn *c = NULL;

	if (pst_tcp_connect(h->tcp, NULL, &to, user, h->sim->now, &c) != PST_OK)
		return NULL;
	h->busy = true;
	return c;
}

/* ---- one loop turn, as a worker's ---- */

static void
receive(struct host *h, uint64_t now)
{
	struct pst_pkt pkts[BURST];
	unsigned n;

	do {
		n = pst_net_rx(h->net, now, pkts, BURST);
		for (unsigned i = 0; i < n; i++)
			pst_tcp_input(h->tcp, &pkts[i], now);
	} while (n == BURST);
}

static void
transmit(struct host *h, uint64_t now)
{
	struct rte_mbuf *out[BURST];
	unsigned n;

	while ((n = pst_net_take(h->net, 0, out, BURST)) > 0)
		for (unsigned i = 0; i < n; i++) {
			wire_send(&h->sim->wire, now, !h->id, out[i]);
			rte_pktmbuf_free(out[i]);
		}
}

void
host_turn(struct host *h)
{
	uint64_t now = h->sim->now;
	struct pst_tcp_conn *c;
	uint32_t events;

	h->busy = false;
	receive(h, now);
	pst_tcp_tick(h->tcp, now);
	while ((c = pst_tcp_next_ready(h->tcp, &events)) != NULL)
		h->app(h, c, events);
	pst_tcp_flush(h->tcp, now);
	pst_net_tick(h->net, now);
	pst_net_flush(h->net);
	transmit(h, now);
}

static uint64_t
deadline(const struct host *h)
{
	uint64_t tcp = pst_tcp_next_deadline(h->tcp), net = pst_net_next_deadline(h->net);

	return h->busy ? 0 : PST_MIN(tcp, net);
}

static void
deliver(struct sim *s)
{
	struct frame f;

	while (wire_pop(&s->wire, s->now, &f)) {
		struct host *h = &s->host[f.to];
		struct rte_mbuf *m = rte_pktmbuf_alloc(pst_net_pool_data(h->net));

		/* No mbuf: the device would drop it as well. */
		if (m != NULL) {
			memcpy(rte_pktmbuf_append(m, f.len), f.bytes, f.len);
			pst_net_input(h->net, 0, m);
			h->busy = true;
		}
		wire_release(&s->wire, &f);
	}
}

bool
sim_step(struct sim *s)
{
	uint64_t next = wire_next(&s->wire);

	for (int i = 0; i < 2; i++)
		next = PST_MIN(next, deadline(&s->host[i]));
	if (next == UINT64_MAX)
		return false;
	if (next > s->now) {
		s->now = next;
		s->same_time = 0;
	} else if (++s->same_time > STEPS_AT_ONCE) {
		sim_fault(s, "the clock stands still");
		return false;
	}
	deliver(s);
	for (int i = 0; i < 2; i++)
		if (deadline(&s->host[i]) <= s->now)
			host_turn(&s->host[i]);
	return true;
}

bool
sim_until(struct sim *s, bool (*done)(struct sim *s), uint64_t limit)
{
	uint64_t end = s->now + limit;

	while (s->fault == NULL && !done(s)) {
		if (s->now > end || !sim_step(s))
			sim_fault(s, "did not come to its end");
	}
	return s->fault == NULL;
}

void
sim_pass(struct sim *s, uint64_t ns)
{
	uint64_t end = s->now + ns;

	for (;;) {
		uint64_t next = wire_next(&s->wire);

		for (int i = 0; i < 2; i++)
			next = PST_MIN(next, deadline(&s->host[i]));
		if (next > end || s->fault != NULL || !sim_step(s))
			break;
	}
	s->now = PST_MAX(s->now, end);
}
