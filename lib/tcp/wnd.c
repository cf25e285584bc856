/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The receive window: how far the peer may send. Its right edge never moves
 * back, and moves forward only in steps worth a segment (RFC 9293 3.8.6.2.2).
 */
#include "tcb.h"

/* Room for bytes beyond rcv_nxt as of now. */
static uint32_t
room(const struct pst_tcp_conn *c)
{
	uint32_t buf = c->t->conf.rcv_buf;

	/* More than the header's field can say is no news to anyone. */
	return buf > c->rxq.len ? PST_MIN(buf - c->rxq.len, 65535u << c->rcv_wscale) : 0;
}

/* How far the right edge could move forward, 0 when not worth a step. */
static uint32_t
advance(const struct pst_tcp_conn *c)
{
	uint32_t left = c->rcv_adv - c->rcv_nxt, now = room(c);
	uint32_t mss = PST_MAX((uint32_t)c->rcv_mss, c->mss);

	/* "RCV.BUFF - RCV.USER - RCV.WND >= min (Fr * RCV.BUFF, Eff.snd.MSS)", Fr = 1/2. */
	if (now <= left || now - left < PST_MIN(c->t->conf.rcv_buf / 2, mss))
		return 0;
	return now - left;
}

static bool
keep_closed(struct pst_tcp_conn *c)
{
	enum pressure p = mem_pressure(c->t);

	/* Short of memory: what is promised stays, no more is; unless nothing is queued here. */
	return p >= MEM_RESERVE || (p == MEM_LOW && (c->rxq.len != 0 || c->ooo != NULL));
}

/*
 * In the units of the header, rounded up, so that the edge the peer computes is never left
 * of one it knew. Each rounding gives something away: a peer of tiny segments must not hold
 * the window open with it for ever. An eighth of the buffer beyond, the edge may appear to
 * move back by less than a unit (RFC 7323 2.4 allows that); what was promised stays good.
 */
static uint32_t
in_units(const struct pst_tcp_conn *c, uint32_t wnd)
{
	uint32_t up = (wnd + (1u << c->rcv_wscale) - 1) >> c->rcv_wscale;
	uint32_t buf = c->t->conf.rcv_buf;

	if (c->rxq.len + (up << c->rcv_wscale) > buf + buf / 8)
		up = wnd >> c->rcv_wscale;
	return PST_MIN(up, 65535u);
}

uint16_t
wnd_advertise(struct pst_tcp_conn *c)
{
	uint32_t step = advance(c), wnd;

	if (step != 0 && keep_closed(c)) {
		c->wnd_held = true;
		conn_starve(c);
		step = 0;
	}
	wnd = in_units(c, c->rcv_adv + step - c->rcv_nxt);
	c->rcv_adv = seq_max(c->rcv_adv, c->rcv_nxt + (wnd << c->rcv_wscale));
	return (uint16_t)wnd;
}

bool
wnd_update_due(struct pst_tcp_conn *c)
{
	uint32_t left = c->rcv_adv - c->rcv_nxt, step = advance(c);

	/* A peer that may be waiting is told at once; else the edge travels with the next ACK,
	 * or after two segments' worth. */
	if (step == 0 || (left >= c->mss && step < PST_MIN(2 * c->mss, c->t->conf.rcv_buf / 2)))
		return false;
	if (keep_closed(c)) {
		c->wnd_held = true;
		conn_starve(c);
		return false;
	}
	return true;
}

void
wnd_init(struct pst_tcp_conn *c)
{
	/* RFC 7323 2.2: "the window field in a segment where the SYN bit is set ... MUST NOT be
	 * scaled". */
	c->rcv_adv = c->rcv_nxt + c->t->conf.initial_window;
	c->rcv_wscale = c->wscale_on ? c->t->rcv_wscale : 0;
}
