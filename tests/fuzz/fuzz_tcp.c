/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Segments, ICMP errors, the clock and the application's calls, in an order that
 * the input chooses. Numbers in segments are near those of the connection, so
 * that a few bytes reach deep. After each step the invariants of every
 * connection hold; in the end all are dropped and every pool is full.
 */
#include <fakenet.h>
#include <pst_tcp.h>
#include <pst_test.h>
#include <stdlib.h>
#include <string.h>

#include "tcb.h"

#define CONNS 8

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct pst_net *net;

struct fuzz {
	const uint8_t *p;
	size_t n;
	struct pst_tcp *t;
	uint64_t now;
	struct pst_tcp_conn *c[CONNS];
	struct pst_ip us, them;
	uint16_t our_port, their_port;
	uint32_t snd, rcv; /* the peer's next number, and ours as last seen */
};

#define CHECK(x)                                                                                   \
	do {                                                                                       \
		if (!(x))                                                                          \
			abort();                                                                   \
	} while (0)

static uint8_t
u8(struct fuzz *f)
{
	if (f->n == 0)
		return 0;
	f->n--;
	return *f->p++;
}

static uint16_t
u16(struct fuzz *f)
{
	uint8_t a = u8(f);

	return (uint16_t)(a << 8 | u8(f));
}

/* Mostly small, either sign; sometimes anywhere. */
static uint32_t
delta(struct fuzz *f)
{
	uint8_t kind = u8(f);

	if (kind < 128)
		return 0;
	if (kind < 192)
		return (uint32_t)(int8_t)u8(f);
	if (kind < 240)
		return (uint32_t)(int16_t)u16(f);
	return (uint32_t)u16(f) << 16 | u16(f);
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

/* ---- invariants ---- */

static uint32_t
check_ooo(const struct pst_tcp_conn *c)
{
	uint32_t n = 0, at = c->rcv_nxt;

	for (const struct rte_mbuf *m = c->ooo; m != NULL; m = m->next, n++) {
		CHECK(seq_ge(m->hash.usr, at) && (n > 0 || seq_gt(m->hash.usr, at)));
		CHECK(m->data_len > 0);
		at = m->hash.usr + m->data_len;
		CHECK(m->next != NULL || c->ooo_last == m);
	}
	/* RFC 9293: nothing is kept from beyond the window. */
	CHECK(n == 0 || seq_le(at, c->rcv_adv));
	return n;
}

static void
check_conn(const struct pst_tcp_conn *c)
{
	if (c->state == ST_CLOSED)
		return;
	CHECK(seq_le(c->snd_una, c->snd_nxt) && seq_le(c->snd_nxt, c->snd_max));
	CHECK(seq_le(c->rcv_nxt, c->rcv_adv));
	CHECK(c->rcv_adv - c->rcv_nxt <= c->t->conf.rcv_buf + 65535u);
	CHECK(mb_len(c->txq.head) == c->txq.len && mb_len(c->rxq.head) == c->rxq.len);
	CHECK(check_ooo(c) == c->ooo_n);
	if (c->state >= ST_ESTABLISHED) {
		CHECK(conn_flight(c) <= c->txq.len + 1);
		CHECK(c->cc.cwnd >= c->cc.mss && c->mss > 0);
		/* Whatever is unanswered has a timer. */
		CHECK(conn_flight(c) == 0 || c->fin_acked || c->due[T_RTX] != 0);
	}
}

/* ---- the peer ---- */

static void
take_output(struct fuzz *f)
{
	struct fake_out o;

	while ((o = fakenet_take(net)).m != NULL) {
		uint8_t copy[60];
		const uint8_t *h = rte_pktmbuf_read(o.m, 0, 20, copy);
		uint32_t hlen, end;

		CHECK(h != NULL && o.m->pkt_len <= net->mtu - 20u);
		hlen = (uint32_t)(h[12] >> 4) * 4;
		end = rd32(h + 4) + o.m->pkt_len - hlen + (h[13] & 1) + (h[13] >> 1 & 1);
		f->our_port = (uint16_t)(h[0] << 8 | h[1]);
		if (!(h[13] & TCP_RST))
			f->rcv = end;
		if ((h[13] & TCP_ACK) && !(h[13] & TCP_RST))
			f->snd = rd32(h + 8);
		rte_pktmbuf_free(o.m);
	}
}

static void
segment(struct fuzz *f)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(net->data);
	uint8_t flags = u8(f), olen = (u8(f) & 3) * 4, *h;
	uint16_t len = u16(f) % 1461;
	struct pst_pkt pkt = {.m = m, .src = f->them, .dst = f->us, .kind = PST_PKT_TCP};

	if (m == NULL)
		return;
	h = (uint8_t *)rte_pktmbuf_append(m, (uint16_t)(20 + olen + len));
	be32(h, (uint32_t)f->their_port << 16 | f->our_port);
	be32(h + 4, f->snd + delta(f));
	be32(h + 8, f->rcv + delta(f));
	h[12] = (uint8_t)((5 + olen / 4) << 4);
	h[13] = flags;
	h[14] = u8(f);
	h[15] = u8(f);
	be32(h + 16, 0);
	for (unsigned i = 0; i < olen; i++)
		h[20 + i] = u8(f);
	memset(h + 20 + olen, 0x55, len);
	pst_tcp_input(f->t, &pkt, f->now);
}

static void
raw(struct fuzz *f, enum pst_pkt_kind kind)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(net->data);
	uint16_t n = u8(f) % 80;
	struct pst_pkt pkt = {.m = m, .src = f->them, .dst = f->us, .kind = (uint8_t)kind};
	uint8_t *p;

	if (m == NULL)
		return;
	p = (uint8_t *)rte_pktmbuf_append(m, n);
	for (unsigned i = 0; i < n; i++)
		p[i] = u8(f);
	if (n >= 8 && kind == PST_PKT_ICMP_ERROR) {
		be32(p, (uint32_t)f->our_port << 16 | f->their_port);
		be32(p + 4, f->rcv - 1 + delta(f));
		pkt.src = f->us;
		pkt.dst = f->them;
		pkt.icmp_type = u8(f);
		pkt.icmp_code = u8(f);
		pkt.mtu = u16(f);
	}
	pst_tcp_input(f->t, &pkt, f->now);
}

/* ---- the application ---- */

static void
remember(struct fuzz *f, struct pst_tcp_conn *c)
{
	for (int i = 0; i < CONNS; i++)
		if (f->c[i] == c)
			return;
	for (int i = 0; i < CONNS; i++)
		if (f->c[i] == NULL) {
			f->c[i] = c;
			return;
		}
	pst_tcp_abort(c);
}

static void
connect_out(struct fuzz *f)
{
	struct pst_endpoint to = {.ip = f->them, .port = f->their_port};
	struct pst_tcp_conn *c;

	if (pst_tcp_connect(f->t, NULL, &to, NULL, f->now, &c) == PST_OK)
		remember(f, c);
}

static void
application(struct fuzz *f)
{
	static const uint8_t bytes[5000];
	uint8_t what = u8(f);
	struct pst_tcp_conn **slot = &f->c[what >> 4 & (CONNS - 1)];

	if (*slot == NULL)
		return;
	switch (what & 7) {
	case 0:
	case 1:
		(void)pst_tcp_write(*slot, bytes, u16(f) % sizeof(bytes));
		break;
	case 2:
	case 3:
		pst_tcp_consume(*slot, u16(f));
		break;
	case 4:
		pst_tcp_shutdown(*slot);
		break;
	case 5:
		pst_tcp_close(*slot);
		*slot = NULL;
		break;
	case 6:
		pst_tcp_abort(*slot);
		*slot = NULL;
		break;
	default:
		pst_tcp_conn_mark(*slot);
	}
}

static void
turn(struct fuzz *f)
{
	struct pst_tcp_conn *c;
	uint32_t ev;

	pst_tcp_tick(f->t, f->now);
	while ((c = pst_tcp_next_ready(f->t, &ev)) != NULL)
		if (ev & PST_TCP_EV_ACCEPT)
			remember(f, c);
	pst_tcp_flush(f->t, f->now);
	for (int i = 0; i < CONNS; i++)
		if (f->c[i] != NULL)
			check_conn(f->c[i]);
	take_output(f);
}

static void
step(struct fuzz *f)
{
	switch (u8(f) % 16) {
	case 0:
		raw(f, PST_PKT_TCP);
		break;
	case 1:
		raw(f, PST_PKT_ICMP_ERROR);
		break;
	case 2:
		f->now += (uint64_t)u8(f) * PST_NS_PER_MS;
		break;
	case 3:
		f->now += (uint64_t)u16(f) * 10 * PST_NS_PER_MS;
		break;
	case 4:
		connect_out(f);
		break;
	case 5:
		f->their_port = (uint16_t)(1000 + u8(f) % 4);
		f->our_port = 25;
		break;
	case 6:
	case 7:
	case 8:
		application(f);
		break;
	default:
		segment(f);
	}
	if (u8(f) & 1)
		turn(f);
}

static void
start(struct fuzz *f)
{
	struct pst_tcp_conf conf = {.seed = 1,
		.max_conns = CONNS,
		.max_half_open = 8,
		.max_time_wait = 4,
		.rcv_buf = 20000,
		.snd_buf = 20000};
	struct pst_endpoint at = {.port = 25};
	uint8_t how = u8(f);

	if (net == NULL) {
		pst_test_eal();
		net = fakenet_new(511, 1023);
		CHECK(pst_ip_parse("192.0.2.1", &net->ip4) == PST_OK);
		CHECK(pst_ip_parse("2001:db8::1", &net->ip6) == PST_OK);
	}
	net->mtu = 1500;
	f->us = how & 1 ? net->ip6 : net->ip4;
	CHECK(pst_ip_parse(how & 1 ? "2001:db8::2" : "192.0.2.2", &f->them) == PST_OK);
	conf.no_timestamps = how & 2;
	conf.keepalive_ms = how & 4 ? 5000 : 0;
	f->now = 1000 * PST_NS_PER_SEC;
	f->our_port = 25;
	f->their_port = 1000;
	f->t = pst_tcp_new(&conf, net, f->now);
	CHECK(f->t != NULL && pst_tcp_listen(f->t, &at, NULL) == PST_OK);
}

/* Nothing may stay behind: orphans, half-opens and TIME-WAIT all end by themselves. */
static void
finish(struct fuzz *f)
{
	struct pst_tcp_usage u;

	turn(f);
	for (int i = 0; i < CONNS; i++)
		if (f->c[i] != NULL)
			pst_tcp_abort(f->c[i]);
	for (int i = 0; i < 400; i++) {
		f->now += PST_NS_PER_SEC;
		memset(f->c, 0, sizeof(f->c));
		turn(f);
	}
	pst_tcp_usage(f->t, &u);
	CHECK(u.conns == 0 && u.half_open == 0 && u.time_wait == 0);
	CHECK(fakenet_full(net));
	pst_tcp_free(f->t);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz f = {.p = data, .n = size};

	start(&f);
	while (f.n > 0)
		step(&f);
	finish(&f);
	return 0;
}
