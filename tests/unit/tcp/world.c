/* SPDX-License-Identifier: BSD-3-Clause */
#include "world.h"

#include <pst_test.h>
#include <stdlib.h>
#include <string.h>

static struct pst_ip
ip(const char *s)
{
	struct pst_ip a;

	cr_assert_eq(pst_ip_parse(s, &a), PST_OK);
	return a;
}

struct world *
world_new(const struct world_conf *conf)
{
	struct world *w = calloc(1, sizeof(*w));
	struct pst_tcp_conf tcp = conf->tcp;

	pst_test_eal();
	w->net = fakenet_new(conf->ndata ? conf->ndata : 2047, conf->nhead ? conf->nhead : 4095);
	w->net->ip4 = ip("192.0.2.1");
	w->net->ip6 = ip("2001:db8::1");
	w->v6 = conf->v6;
	w->us = conf->v6 ? w->net->ip6 : w->net->ip4;
	w->them = conf->v6 ? ip("2001:db8::2") : ip("192.0.2.2");
	w->now = 5000 * PST_NS_PER_SEC;
	w->our_port = OUR_PORT;
	w->their_port = 40000;
	w->snd = PEER_ISS;
	w->wnd = PEER_WND;
	w->ts = conf->ts;
	w->wscale = conf->wscale - 1;
	w->mss = conf->mss ? conf->mss : 1460;
	w->tsval = 777;
	if (tcp.seed == 0)
		tcp.seed = 42;
	w->t = pst_tcp_new(&tcp, w->net, w->now);
	cr_assert_not_null(w->t);
	return w;
}

void
world_free(struct world *w)
{
	drop_out(w);
	pst_tcp_free(w->t);
	cr_assert(fakenet_free(w->net), "an mbuf did not come back");
	free(w);
}

uint8_t
world_byte(uint32_t seq)
{
	return (uint8_t)(seq * 2654435761u >> 24);
}

static uint8_t *
be32(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 24);
	p[1] = (uint8_t)(v >> 16);
	p[2] = (uint8_t)(v >> 8);
	p[3] = (uint8_t)v;
	return p + 4;
}

static uint32_t
rd32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static unsigned
options(struct world *w, uint8_t flags, uint8_t *o)
{
	uint8_t *p = o;

	if ((flags & SYN) && w->mss != 0)
		p = be32(p, 2u << 24 | 4u << 16 | w->mss);
	if (w->ts && !(flags & RST)) {
		p = be32(p, 0x0101080a);
		p = be32(p, w->tsval);
		p = be32(p, w->tsecr);
	}
	if ((flags & SYN) && w->wscale >= 0)
		p = be32(p, 0x01030300u | (unsigned)w->wscale);
	return (unsigned)(p - o);
}

static void
give(struct world *w, struct rte_mbuf *m)
{
	struct pst_pkt pkt = {.m = m, .src = w->them, .dst = w->us, .kind = PST_PKT_TCP};

	pst_tcp_input(w->t, &pkt, w->now);
}

void
put_raw(struct world *w, const uint8_t *p, unsigned n)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(w->net->data);

	memcpy(rte_pktmbuf_append(m, (uint16_t)n), p, n);
	give(w, m);
}

void
put_only(struct world *w, uint8_t flags, uint32_t seq, uint32_t ack, uint32_t len)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(w->net->data);
	uint8_t opt[40], *h;
	unsigned olen = options(w, flags, opt);

	cr_assert_not_null(m);
	h = (uint8_t *)rte_pktmbuf_append(m, (uint16_t)(20 + olen + len));
	cr_assert_not_null(h);
	be32(h, (uint32_t)w->their_port << 16 | w->our_port);
	be32(h + 4, seq);
	be32(h + 8, ack);
	h[12] = (uint8_t)((20 + olen) / 4 << 4);
	h[13] = flags;
	h[14] = (uint8_t)(w->wnd >> 8);
	h[15] = (uint8_t)w->wnd;
	be32(h + 16, 0);
	memcpy(h + 20, opt, olen);
	for (uint32_t i = 0; i < len; i++)
		h[20 + olen + i] = world_byte(seq + ((flags & SYN) != 0) + i);
	give(w, m);
}

void
put(struct world *w, uint8_t flags, uint32_t seq, uint32_t ack, uint32_t len)
{
	put_only(w, flags, seq, ack, len);
	turn(w);
}

void
put_next(struct world *w, uint8_t flags, uint32_t len)
{
	uint32_t seq = w->snd;

	w->snd += len + ((flags & SYN) != 0) + ((flags & FIN) != 0);
	put(w, flags, seq, w->rcv, len);
}

void
put_icmp(struct world *w, uint8_t type, uint8_t code, uint16_t mtu, uint32_t quoted_seq)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(w->net->data);
	uint8_t *h = (uint8_t *)rte_pktmbuf_append(m, 8);
	struct pst_pkt pkt = {.m = m,
		.src = w->us,
		.dst = w->them,
		.kind = PST_PKT_ICMP_ERROR,
		.icmp_type = type,
		.icmp_code = code,
		.mtu = mtu};

	be32(h, (uint32_t)w->our_port << 16 | w->their_port);
	be32(h + 4, quoted_seq);
	pst_tcp_input(w->t, &pkt, w->now);
	turn(w);
}

static void
read_options(struct sent *s, const uint8_t *o, unsigned n)
{
	while (n > 0 && o[0] != 0) {
		unsigned len = o[0] == 1 ? 1 : o[1];

		if (o[0] == 2) {
			s->has_mss = true;
			s->mss = (uint16_t)(o[2] << 8 | o[3]);
		} else if (o[0] == 3) {
			s->wscale = o[2];
		} else if (o[0] == 8) {
			s->ts = true;
			s->tsval = rd32(o + 2);
			s->tsecr = rd32(o + 6);
		}
		o += len;
		n -= len;
	}
}

static void
read_sent(struct world *w, const struct fake_out *o)
{
	struct sent *s;
	uint8_t copy[4096];
	uint32_t total = rte_pktmbuf_pkt_len(o->m);
	const uint8_t *h = rte_pktmbuf_read(o->m, 0, total, copy);
	unsigned hlen;

	cr_assert_lt(w->nout, MAX_OUT);
	s = &w->out[w->nout++];
	*s = (struct sent){.wscale = -1};
	cr_assert_not_null(h);
	cr_assert(pst_ip_eq(&o->src, &w->us) && pst_ip_eq(&o->dst, &w->them));
	hlen = (unsigned)(h[12] >> 4) * 4;
	s->sport = (uint16_t)(h[0] << 8 | h[1]);
	s->dport = (uint16_t)(h[2] << 8 | h[3]);
	s->seq = rd32(h + 4);
	s->ack = rd32(h + 8);
	s->flags = h[13];
	s->wnd = (uint16_t)(h[14] << 8 | h[15]);
	cr_assert_eq(h[16] | h[17], 0, "checksum must be left to the layer below");
	read_options(s, h + 20, hlen - 20);
	s->len = total - hlen;
	s->mbufs = o->m->nb_segs;
	cr_assert_leq(s->len, sizeof(s->data));
	memcpy(s->data, h + hlen, s->len);
}

static void
take_output(struct world *w)
{
	struct fake_out o;

	while ((o = fakenet_take(w->net)).m != NULL) {
		read_sent(w, &o);
		rte_pktmbuf_free(o.m);
	}
}

void
turn(struct world *w)
{
	struct pst_tcp_conn *c;
	uint32_t ev;

	while ((c = pst_tcp_next_ready(w->t, &ev)) != NULL) {
		if (ev & PST_TCP_EV_ACCEPT)
			w->c = c;
		if (c == w->c)
			w->events |= ev;
	}
	pst_tcp_flush(w->t, w->now);
	take_output(w);
}

void
drop_out(struct world *w)
{
	take_output(w);
	w->nout = 0;
}

void
pass_ms(struct world *w, uint64_t ms)
{
	uint64_t until = w->now + ms * PST_NS_PER_MS, next;
	unsigned steps = 0;

	while ((next = pst_tcp_next_deadline(w->t)) <= until) {
		cr_assert_lt(++steps, 100000, "time does not advance");
		w->now = PST_MAX(w->now, next);
		pst_tcp_tick(w->t, w->now);
		turn(w);
	}
	w->now = until;
	pst_tcp_tick(w->t, w->now);
	turn(w);
}

void
listen_here(struct world *w)
{
	struct pst_endpoint at = {.ip = w->us, .port = w->our_port};

	cr_assert_eq(pst_tcp_listen(w->t, &at, w), PST_OK);
}

void
open_passive(struct world *w)
{
	listen_here(w);
	put_next(w, SYN, 0);
	cr_assert_eq(w->nout, 1);
	cr_assert_eq(w->out[0].flags, SYN | ACK);
	cr_assert_eq(w->out[0].ack, w->snd);
	w->iss = w->out[0].seq;
	w->rcv = w->iss + 1;
	w->tsecr = w->out[0].tsval;
	w->nout = 0;
	put_next(w, ACK, 0);
	cr_assert_not_null(w->c);
	cr_assert_str_eq(state_of(w), "ESTABLISHED");
	drop_out(w);
}

void
connect_only(struct world *w)
{
	struct pst_endpoint to = {.ip = w->them, .port = 2525};

	w->their_port = 2525;
	cr_assert_eq(pst_tcp_connect(w->t, NULL, &to, w, w->now, &w->c), PST_OK);
	turn(w);
	cr_assert_eq(w->nout, 1);
	cr_assert_eq(w->out[0].flags, SYN);
	w->our_port = w->out[0].sport;
	w->iss = w->out[0].seq;
	w->rcv = w->iss + 1;
	w->tsecr = w->out[0].tsval;
	w->nout = 0;
}

void
open_active(struct world *w)
{
	connect_only(w);
	put_next(w, SYN | ACK, 0);
	cr_assert_str_eq(state_of(w), "ESTABLISHED");
	cr_assert(w->events & PST_TCP_EV_CONNECTED);
	drop_out(w);
}

struct pst_tcp_info
info_of(struct world *w)
{
	struct pst_tcp_info i;

	pst_tcp_conn_info(w->c, &i);
	return i;
}

const char *
state_of(struct world *w)
{
	return info_of(w).state;
}

struct pst_tcp_counters *
counters(struct world *w)
{
	return pst_tcp_counters(w->t);
}

struct pst_tcp_usage
usage(struct world *w)
{
	struct pst_tcp_usage u;

	pst_tcp_usage(w->t, &u);
	return u;
}

uint64_t
drops(struct world *w)
{
	const uint8_t *base = (const uint8_t *)counters(w);
	uint64_t sum = 0;

	for (const struct pst_counter_desc *d = pst_tcp_counter_descs; d->name != NULL; d++)
		if (strncmp(d->name, "drop_", 5) == 0)
			sum += *(const uint64_t *)(base + d->offset);
	return sum;
}
