/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Segments on the wire: header and options read into struct seg, and written
 * from struct emit. Nothing here knows a connection.
 */
#include "tcb.h"

#include <netinet/in.h>
#include <rte_byteorder.h>
#include <rte_tcp.h>

enum { OPT_END = 0, OPT_NOP = 1, OPT_MSS = 2, OPT_WSCALE = 3, OPT_TS = 8 };

static uint32_t
get32(const uint8_t *p)
{
	rte_be32_t v;

	memcpy(&v, p, sizeof(v));
	return rte_be_to_cpu_32(v);
}

static uint8_t *
put32(uint8_t *p, uint32_t v)
{
	rte_be32_t be = rte_cpu_to_be_32(v);

	memcpy(p, &be, sizeof(be));
	return p + sizeof(be);
}

/* One option that has a length byte. Wrong lengths of known kinds are malformed. */
static bool
parse_option(struct seg *s, const uint8_t *o, unsigned len)
{
	switch (o[0]) {
	case OPT_MSS:
		if (len != 4)
			return false;
		s->has_mss = true;
		s->mss = (uint16_t)(o[2] << 8 | o[3]);
		return true;
	case OPT_WSCALE:
		if (len != 3)
			return false;
		s->has_wscale = true;
		/* RFC 7323 2.3: a larger shift "MUST use 14 instead of the specified value". */
		s->wscale = PST_MIN(o[2], (uint8_t)WSCALE_MAX);
		return true;
	case OPT_TS:
		if (len != 10)
			return false;
		s->has_ts = true;
		s->tsval = get32(o + 2);
		s->tsecr = get32(o + 6);
		return true;
	default:
		/* RFC 9293 3.2: "MUST ... ignore without error any TCP Option it does not
		 * implement". */
		return true;
	}
}

static bool
parse_options(struct seg *s, const uint8_t *o, unsigned n)
{
	while (n > 0 && o[0] != OPT_END) {
		unsigned len = 1;

		if (o[0] != OPT_NOP) {
			/* MUST-7: "be prepared to handle an illegal option length". */
			if (n < 2 || o[1] < 2 || o[1] > n || !parse_option(s, o, o[1]))
				return false;
			len = o[1];
		}
		o += len;
		n -= len;
	}
	return true;
}

bool
seg_parse(struct seg *s, struct pst_pkt *pkt)
{
	uint8_t copy[TCP_HDR_MAX];
	const uint8_t *h;
	uint32_t total = rte_pktmbuf_pkt_len(pkt->m);
	unsigned hlen;

	*s = (struct seg){.m = pkt->m, .tuple = {.remote = pkt->src, .local = pkt->dst}};
	h = rte_pktmbuf_read(pkt->m, 0, TCP_HDR_MIN, copy);
	if (h == NULL)
		return false;
	hlen = (unsigned)(h[12] >> 4) * 4;
	if (hlen < TCP_HDR_MIN || hlen > total)
		return false;
	h = rte_pktmbuf_read(pkt->m, 0, hlen, copy);
	s->tuple.rport = (uint16_t)(h[0] << 8 | h[1]);
	s->tuple.lport = (uint16_t)(h[2] << 8 | h[3]);
	s->seq = get32(h + 4);
	s->ack = get32(h + 8);
	s->flags = h[13];
	s->wnd = (uint32_t)(h[14] << 8 | h[15]);
	s->len = total - hlen;
	s->had_data = s->len != 0;
	if (!parse_options(s, h + TCP_HDR_MIN, hlen - TCP_HDR_MIN))
		return false;
	s->m = mb_drop(pkt->m, hlen);
	return true;
}

uint32_t
seg_len(const struct seg *s)
{
	return s->len + ((s->flags & TCP_SYN) != 0) + ((s->flags & TCP_FIN) != 0);
}

static unsigned
options_len(const struct emit *e)
{
	return (e->mss != 0 ? 4 : 0) + (e->ts ? TCP_TS_LEN : 0) + (e->wscale >= 0 ? 4 : 0);
}

/* In Linux's order, so that traces compare: mss, (nop, nop,) timestamps, nop, wscale. */
static void
put_options(uint8_t *o, const struct emit *e)
{
	if (e->mss != 0)
		o = put32(o, (uint32_t)OPT_MSS << 24 | 4u << 16 | e->mss);
	if (e->ts) {
		o = put32(o, (uint32_t)OPT_NOP << 24 | OPT_NOP << 16 | OPT_TS << 8 | 10);
		o = put32(o, e->tsval);
		o = put32(o, e->tsecr);
	}
	if (e->wscale >= 0)
		put32(o, (uint32_t)OPT_NOP << 24 | OPT_WSCALE << 16 | 3u << 8 | (uint8_t)e->wscale);
}

struct rte_mbuf *
seg_new(struct pst_tcp *t, const struct emit *e)
{
	unsigned hlen = TCP_HDR_MIN + options_len(e);
	struct rte_mbuf *m = rte_pktmbuf_alloc(t->head);
	uint8_t *h;

	if (m == NULL || (h = (uint8_t *)rte_pktmbuf_append(m, (uint16_t)hlen)) == NULL) {
		rte_pktmbuf_free(m);
		t->cnt.out_nomem++;
		return NULL;
	}
	/* Ports are filled in by seg_send, the checksum below us. */
	put32(h + 4, e->seq);
	put32(h + 8, e->ack);
	h[12] = (uint8_t)(hlen / 4 << 4);
	h[13] = e->flags;
	h[14] = (uint8_t)(e->wnd >> 8);
	h[15] = (uint8_t)e->wnd;
	put32(h + 16, 0);
	put_options(h + TCP_HDR_MIN, e);
	return m;
}

enum pst_rc
seg_send(struct pst_tcp *t, struct rte_mbuf *m, const struct tuple *to)
{
	uint8_t *h = rte_pktmbuf_mtod(m, uint8_t *);

	put32(h, (uint32_t)to->lport << 16 | to->rport);
	t->cnt.out_segs++;
	return pst_net_output(t->net, m, &to->local, &to->remote, IPPROTO_TCP, 0, t->now);
}

enum pst_rc
seg_emit(struct pst_tcp *t, const struct emit *e, const struct tuple *to)
{
	struct rte_mbuf *m = seg_new(t, e);

	return m == NULL ? PST_NOMEM : seg_send(t, m, to);
}

void
seg_refuse(struct pst_tcp *t, const struct seg *s)
{
	struct emit e = {.flags = TCP_RST, .wscale = -1};

	if (s->flags & TCP_RST)
		return;
	/* RFC 9293 3.10.7.1: with ACK <SEQ=SEG.ACK><CTL=RST>, without
	 * <SEQ=0><ACK=SEG.SEQ+SEG.LEN><CTL=RST,ACK>. */
	if (s->flags & TCP_ACK) {
		e.seq = s->ack;
	} else {
		e.flags |= TCP_ACK;
		e.ack = s->seq + seg_len(s);
	}
	if (seg_emit(t, &e, &s->tuple) != PST_NOMEM)
		t->cnt.out_rsts++;
}
