/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An attacker who knows addresses and ports but sees nothing: 10^5 forged
 * segments of every kind, in the middle of a transfer, to both ends. Neither
 * the bytes nor the connection may show it.
 */
#include "scene.h"

#include <rte_byteorder.h>

#define FORGED 100000

static struct flow flows[2];

static void
app(struct host *h, struct pst_tcp_conn *c, uint32_t events)
{
	struct flow *f = &flows[h->id];

	f->c = c;
	if (events & PST_TCP_EV_ERROR) {
		sim_fault(h->sim, "a forged segment ended the connection");
		return;
	}
	flow_read(h->sim, f);
	flow_write(f);
	if (f->eof && f->shut) {
		pst_tcp_close(c);
		f->closed = true;
	}
}

static uint8_t *
put(uint8_t *p, uint32_t v)
{
	rte_be32_t be = rte_cpu_to_be_32(v);

	memcpy(p, &be, sizeof(be));
	return p + sizeof(be);
}

/* Half of them carry a timestamp, for which a blind attacker must guess as well. */
static struct rte_mbuf *
forge(struct wire *w, struct host *h, uint16_t from, uint16_t to)
{
	static const uint8_t kinds[] = {0x04, 0x14, 0x02, 0x12, 0x10, 0x18, 0x11, 0x01, 0x00, 0x3f};
	struct rte_mbuf *m = rte_pktmbuf_alloc(pst_net_pool_data(h->net));
	bool ts = wire_below(w, 2);
	uint16_t len = wire_below(w, 2) ? (uint16_t)wire_below(w, 1400) : 0;
	unsigned hlen = ts ? 32 : 20;
	uint8_t *p;

	if (m == NULL || (p = (uint8_t *)rte_pktmbuf_append(m, (uint16_t)(hlen + len))) == NULL)
		return m;
	memset(p, 0x5a, hlen + len);
	put(p, (uint32_t)from << 16 | to);
	put(p + 4, (uint32_t)wire_random(w));
	put(p + 8, (uint32_t)wire_random(w));
	p[12] = (uint8_t)(hlen / 4 << 4);
	p[13] = kinds[wire_below(w, sizeof(kinds))];
	if (ts)
		put(put(put(p + 20, 0x0101080a), (uint32_t)wire_random(w)),
			(uint32_t)wire_random(w));
	return m;
}

static void
attack(struct sim *s, struct host *h, unsigned n)
{
	struct host *other = &s->host[!h->id];
	uint16_t mine = pst_tcp_local(flows[h->id].c).port;
	uint16_t theirs = pst_tcp_remote(flows[h->id].c).port;

	for (unsigned i = 0; i < n && s->fault == NULL; i++) {
		struct pst_pkt pkt = {.kind = PST_PKT_TCP,
			.src = *host_ip(other),
			.dst = *host_ip(h),
			.m = forge(&s->wire, h, theirs, mine)};

		if (pkt.m != NULL)
			pst_tcp_input(h->tcp, &pkt, s->now);
	}
	host_turn(h);
}

const char *
scene_forgery(uint64_t seed, bool v6)
{
	struct sim_conf conf = {.seed = seed, .v6 = v6, .wire = {.loss = 1, .delay = 10 * MS}};
	struct sim *s;

	/* Every other seed without timestamps: sequence numbers alone must do. */
	conf.tcp[0].no_timestamps = seed % 2;
	s = sim_new(&conf);

	for (unsigned i = 0; i < 2; i++) {
		flows[i] = (struct flow){.to_send = 3000000,
			.send_key = stream_key(seed, i),
			.recv_key = stream_key(seed, !i)};
		s->host[i].app = app;
	}
	host_listen(&s->host[1], PORT);
	flows[0].c = host_connect(&s->host[0], PORT, NULL);
	sim_pass(s, SEC);
	for (unsigned i = 0; i < FORGED / 500 && s->fault == NULL; i++) {
		for (unsigned k = 0; k < 2; k++)
			if (!flows[k].closed && flows[k].c != NULL)
				attack(s, &s->host[k], 250);
		sim_pass(s, 5 * MS);
	}
	sim_until(s, sim_idle, 3600 * SEC);
	if (flows[0].read != 3000000 || flows[1].read != 3000000)
		sim_fault(s, "bytes are missing");
	return scene_end(s);
}
