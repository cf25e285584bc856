/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What an acknowledgement does: frees sent data, feeds the round-trip estimate
 * and congestion control, moves the send window. The number was already found
 * acceptable by in.c.
 */
#include "tcb.h"

void
ack_rtt(struct pst_tcp_conn *c, uint32_t ack, const struct seg *s)
{
	if (c->rtt_timing) {
		if (seq_ge(ack, c->rtt_seq)) {
			rto_sample(&c->rto, (uint32_t)((c->t->now - c->rtt_at) / 1000));
			c->rtt_timing = false;
		}
		return;
	}
	/* After a retransmission only an echoed timestamp tells which copy is acknowledged. */
	if (c->ts_on && s->has_ts) {
		uint32_t ms = ts_now(c->t, c->ts_offset) - s->tsecr;

		if (ms < 600 * 1000)
			rto_sample(&c->rto, ms * 1000);
	}
}

/* Drops what was acknowledged from txq; tells whether our FIN was. */
static void
free_acked(struct pst_tcp_conn *c, uint32_t acked)
{
	uint32_t data = PST_MIN(acked, c->txq.len);

	mbq_drop(&c->txq, data);
	if (c->tx_cur_off >= data)
		c->tx_cur_off -= data;
	else
		c->tx_cur = NULL;
	if (c->txq.head == NULL)
		c->tx_cur = NULL;
	if (acked > data)
		c->fin_acked = true;
}

static void
restart_timer(struct pst_tcp_conn *c, bool keep)
{
	if (c->snd_una == c->snd_max) {
		/* RFC 6298 5.2: all is acknowledged. A closed window keeps its probe timer. */
		if (!c->persist || (c->txq.len == 0 && (!c->fin_queued || c->fin_acked))) {
			c->persist = false;
			c->persist_shift = 0;
			conn_timer_off(c, T_RTX);
		}
		c->stalled_ms = 0;
		return;
	}
	c->stalled_ms = c->t->now_ms;
	/* RFC 6298 5.3; RFC 6582 3.2: in recovery only the first partial ACK restarts it. */
	if (!keep && !c->persist)
		conn_arm_rtx(c);
}

static void
offer_room(struct pst_tcp_conn *c)
{
	/* Not for each freed byte: a quarter of the buffer is worth a turn of the application. */
	if (!c->want_write || c->txq.len > c->t->conf.snd_buf / 4 * 3)
		return;
	if (pst_tcp_send_space(c) > 0) {
		c->want_write = false;
		conn_event(c, PST_TCP_EV_WRITE);
	}
}

static void
ack_new(struct pst_tcp_conn *c, const struct seg *s)
{
	uint32_t flight = c->snd_max - c->snd_una, acked = s->ack - c->snd_una;
	bool limited = flight + c->mss >= c->cc.cwnd;
	bool keep = c->cc.recovering && c->cc.partial_seen;
	enum cc_action todo;

	ack_rtt(c, s->ack, s);
	free_acked(c, acked);
	c->snd_una = s->ack;
	c->snd_nxt = seq_max(c->snd_nxt, c->snd_una);
	todo = cc_on_ack(&c->cc, c->snd_una, acked, flight, limited);
	restart_timer(c, keep && c->cc.recovering);
	if (todo == CC_RETRANSMIT)
		conn_retransmit(c);
	offer_room(c);
	conn_dirty(c);
}

/* RFC 5681 2: outstanding data, no payload, no SYN or FIN, same number, same window. */
static bool
is_duplicate(const struct pst_tcp_conn *c, const struct seg *s)
{
	return s->ack == c->snd_una && c->snd_una != c->snd_max && !s->had_data &&
	       !(s->flags & (TCP_SYN | TCP_FIN)) && s->wnd << c->snd_wscale == c->snd_wnd &&
	       !c->persist;
}

static void
ack_duplicate(struct pst_tcp_conn *c)
{
	enum cc_action todo;

	c->t->cnt.dup_acks++;
	todo = cc_on_dupack(&c->cc, c->snd_una, c->snd_max, c->snd_max - c->snd_una);
	if (todo == CC_RETRANSMIT) {
		c->t->cnt.fast_retrans++;
		conn_retransmit(c);
		conn_arm_rtx(c);
	}
	if (todo != CC_NOTHING)
		conn_dirty(c);
}

static void
ack_window(struct pst_tcp_conn *c, const struct seg *s, bool fresh)
{
	uint32_t wnd = s->wnd << c->snd_wscale;

	/* RFC 9293 3.10.7.4: "prevents using old segments to update the window". One that
	 * acknowledges news is not old, even where it fills a hole before later ones. */
	if (!fresh && !seq_lt(c->snd_wl1, s->seq) &&
		!(c->snd_wl1 == s->seq && seq_le(c->snd_wl2, s->ack)))
		return;
	c->snd_wl1 = s->seq;
	c->snd_wl2 = s->ack;
	if (wnd > c->snd_wnd)
		conn_dirty(c);
	c->snd_wnd = wnd;
	c->max_wnd = PST_MAX(c->max_wnd, wnd);
}

void
ack_process(struct pst_tcp_conn *c, const struct seg *s)
{
	bool fresh = seq_gt(s->ack, c->snd_una);

	if (fresh)
		ack_new(c, s);
	else if (is_duplicate(c, s))
		ack_duplicate(c);
	/* A closed window, or one taken back, may stay so for ever, as long as the peer answers
	 * (RFC 9293 3.8.6.1); once the application has left, only for the user timeout. */
	if (c->held && (c->persist || c->snd_wnd == 0) && c->stalled_ms != 0)
		c->stalled_ms = c->t->now_ms;
	if (fresh || (!s->old && seq_ge(s->ack, c->snd_una)))
		ack_window(c, s, fresh);
}
