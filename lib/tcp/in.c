/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A segment for a connection: the numbered steps of RFC 9293 3.10.7.4, one
 * function each, with RFC 5961 (blind attacks) and RFC 7323 (PAWS) where they
 * amend them. A step returns false when the segment is dealt with; the
 * connection may then be gone.
 */
#include "tcb.h"

static void
challenge(struct pst_tcp_conn *c, uint64_t *counter)
{
	(*counter)++;
	conn_challenge(c);
}

static void
cut_all(struct seg *s)
{
	rte_pktmbuf_free(s->m);
	s->m = NULL;
	s->len = 0;
	s->flags &= (uint8_t)~TCP_FIN;
}

/* ---- fourth and first: SYN, timestamps, sequence number ---- */

static bool
check_timestamp(struct pst_tcp_conn *c, struct seg *s)
{
	struct pst_tcp *t = c->t;

	if (!c->ts_on || (s->flags & TCP_RST))
		return true;
	if (!s->has_ts) {
		/* RFC 7323 3.2: "If a non-RST segment is received without a TSopt, a TCP SHOULD
		 * silently drop the segment." */
		t->cnt.drop_paws++;
		return false;
	}
	if (ts_older(s->tsval, c->ts_recent) &&
		(uint32_t)t->now_ms - c->ts_recent_ms < 24u * 86400 * 1000) {
		/* RFC 7323 5.3 R1: "Send an acknowledgment in reply ... and drop the segment". */
		challenge(c, &t->cnt.drop_paws);
		return false;
	}
	return true;
}

/* It begins before rcv_nxt. */
static bool
trim_old(struct pst_tcp_conn *c, struct seg *s)
{
	struct pst_tcp *t = c->t;
	uint32_t known = c->rcv_nxt - s->seq, len = seg_len(s);

	if (s->flags & TCP_RST) {
		t->cnt.drop_window++;
		return false;
	}
	if (known < len) {
		s->m = mb_drop(s->m, known);
		s->len -= known;
		s->seq = c->rcv_nxt;
		return true;
	}
	if (len == 0 && known == 1 && c->state >= ST_ESTABLISHED) {
		/* A keepalive (RFC 9293 3.8.4). It knows our number, so it needs none of the
		 * allowance that strangers may use up. */
		t->cnt.drop_window++;
		c->ack_now = true;
		conn_dirty(c);
		return false;
	}
	if (len == 0 || known > t->conf.rcv_buf + 65535) {
		challenge(c, &t->cnt.drop_window);
		return false;
	}
	/* A retransmission: our ACK was lost. Its own acknowledgement may still be news. */
	t->cnt.drop_duplicate++;
	cut_all(s);
	s->old = true;
	s->seq = c->rcv_nxt;
	c->ack_now = true;
	conn_dirty(c);
	if (c->state == ST_TIME_WAIT)
		conn_timer_idle(c); /* RFC 9293: "Restart the 2 MSL time-wait timeout" */
	return true;
}

/* It begins at or after rcv_nxt. */
static bool
trim_window(struct pst_tcp_conn *c, struct seg *s)
{
	struct pst_tcp *t = c->t;
	uint32_t wnd = c->rcv_adv - c->rcv_nxt, off = s->seq - c->rcv_nxt, len = seg_len(s);

	if (off > wnd || (off == wnd && off != 0 && len != 0)) {
		if (s->flags & TCP_RST)
			t->cnt.drop_window++;
		else
			challenge(c, &t->cnt.drop_window);
		return false;
	}
	if (s->len > wnd - off) {
		/* "segments with higher beginning sequence numbers SHOULD be held"; the bytes
		 * beyond the window are not ours to keep. With none at all, ACK and RST still
		 * count. */
		if (wnd == off) {
			t->cnt.drop_rcv_buf++;
			cut_all(s);
		} else {
			s->m = mb_keep(s->m, wnd - off);
			s->len = wnd - off;
			s->flags &= (uint8_t)~TCP_FIN;
		}
		c->ack_now = true;
		conn_dirty(c);
	}
	return true;
}

/* RFC 5961 4.2 puts the fourth step first: "irrespective of the sequence number". */
static bool
step_syn(struct pst_tcp_conn *c, struct seg *s)
{
	if (!(s->flags & TCP_SYN))
		return true;
	if (c->state == ST_SYN_RCVD && s->seq == c->irs) {
		/* Simultaneous open: the peer's SYN again, now with our ACK on it. */
		s->flags &= (uint8_t)~TCP_SYN;
		s->seq++;
		/* RFC 7323 2.2: the window of a SYN is not scaled; what follows scales it. */
		s->wnd >>= c->snd_wscale;
		return true;
	}
	challenge(c, &c->t->cnt.drop_syn);
	return false;
}

static bool
step_sequence(struct pst_tcp_conn *c, struct seg *s)
{
	s->stamps = seq_le(s->seq, c->last_ack_sent);
	if (!check_timestamp(c, s))
		return false;
	/* Text may hang over both edges. */
	if ((seq_lt(s->seq, c->rcv_nxt) && !trim_old(c, s)) || !trim_window(c, s))
		return false;
	c->heard_ms = c->t->now_ms;
	return true;
}

/* ---- second: RST ---- */

static bool
step_rst(struct pst_tcp_conn *c, struct seg *s)
{
	if (!(s->flags & TCP_RST))
		return true;
	/* RFC 5961 3.2: only the exact next number resets; elsewhere in the window, challenge. */
	if (s->seq != c->rcv_nxt) {
		challenge(c, &c->t->cnt.drop_rst);
		return false;
	}
	switch (c->state) {
	case ST_SYN_RCVD:
		conn_die(c, PST_TCP_ERR_REFUSED);
		break;
	case ST_CLOSING:
	case ST_LAST_ACK:
	case ST_TIME_WAIT:
		/* Both streams have ended: nothing is lost but our wait. */
		if (c->fin_acked || c->txq.len == 0) {
			conn_done(c);
			break;
		}
		/* fall through */
	default:
		conn_die(c, PST_TCP_ERR_RESET);
	}
	return false;
}

/* ---- fifth: ACK ---- */

static bool
ack_synrcvd(struct pst_tcp_conn *c, struct seg *s)
{
	if (s->ack != c->snd_max) {
		/* "form a reset segment <SEQ=SEG.ACK><CTL=RST> and send it". */
		c->t->cnt.drop_ack++;
		seg_refuse(c->t, s);
		return false;
	}
	ack_rtt(c, s->ack, s);
	c->snd_una = c->snd_nxt = s->ack;
	c->snd_wnd = c->max_wnd = s->wnd << c->snd_wscale;
	c->snd_wl1 = s->seq;
	c->snd_wl2 = s->ack;
	conn_establish(c);
	return true;
}

static bool
after_fin_acked(struct pst_tcp_conn *c)
{
	switch (c->state) {
	case ST_FIN_WAIT_1:
		c->state = ST_FIN_WAIT_2;
		conn_timer_idle(c);
		return true;
	case ST_CLOSING:
		conn_time_wait(c);
		return false;
	case ST_LAST_ACK:
		conn_done(c);
		return false;
	default:
		return true;
	}
}

/*
 * RFC 7323 4.3 (2): TS.Recent follows segments with SEG.SEQ <= Last.ACK.sent. Only now that
 * the acknowledgement is known to be good: a forged segment with a stamp from the future
 * would make PAWS drop all that is genuine.
 */
static void
note_timestamp(struct pst_tcp_conn *c, const struct seg *s)
{
	if (!s->stamps || !c->ts_on || !s->has_ts)
		return;
	c->ts_recent = s->tsval;
	c->ts_recent_ms = (uint32_t)c->t->now_ms;
}

static bool
step_ack(struct pst_tcp_conn *c, struct seg *s)
{
	if (!(s->flags & TCP_ACK)) {
		c->t->cnt.drop_no_ack++;
		return false;
	}
	if (c->state == ST_SYN_RCVD) {
		if (!ack_synrcvd(c, s))
			return false;
		note_timestamp(c, s);
		return true;
	}
	/* RFC 5961 5.2: acceptable is SND.UNA - MAX.SND.WND <= SEG.ACK <= SND.NXT; anything else
	 * is answered with an ACK and dropped. */
	if (seq_gt(s->ack, c->snd_max) || seq_lt(s->ack, c->snd_una - c->max_wnd)) {
		challenge(c, &c->t->cnt.drop_ack);
		return false;
	}
	note_timestamp(c, s);
	ack_process(c, s);
	return !c->fin_acked || after_fin_acked(c);
}

/* ---- seventh and eighth: text and FIN ---- */

static bool
takes_text(const struct pst_tcp_conn *c)
{
	return c->state == ST_ESTABLISHED || c->state == ST_FIN_WAIT_1 || c->state == ST_FIN_WAIT_2;
}

static void
process_fin(struct pst_tcp_conn *c)
{
	c->fin_rcvd = true;
	/* Text beyond the FIN is a fault of the peer; what was acknowledged stays so. */
	c->rcv_nxt = seq_max(c->rcv_nxt, c->fin_seq + 1);
	c->rcv_adv = seq_max(c->rcv_adv, c->rcv_nxt);
	c->ack_now = true;
	rx_prune(c);
	conn_dirty(c);
	conn_event(c, PST_TCP_EV_EOF);
	switch (c->state) {
	case ST_ESTABLISHED:
		c->state = ST_CLOSE_WAIT;
		break;
	case ST_FIN_WAIT_1:
		c->state = ST_CLOSING; /* our FIN is not acknowledged, or step five had moved on */
		break;
	case ST_FIN_WAIT_2:
		conn_time_wait(c);
		break;
	default:
		break;
	}
}

void
step_text(struct pst_tcp_conn *c, struct seg *s)
{
	if (!takes_text(c)) {
		/* "This should not occur since a FIN has been received ... Ignore". */
		c->t->cnt.drop_window += s->len != 0;
		return;
	}
	if (s->len != 0 && !c->held) {
		/* RFC 9293 3.10.7.4 with RFC 1122 4.2.2.13: new data after CLOSE, "SHOULD send a
		 * RST". */
		c->t->cnt.drop_closed++;
		conn_send_rst(c);
		conn_free(c);
		return;
	}
	if ((s->flags & TCP_FIN) && !c->fin_seen) {
		c->fin_seen = true;
		c->fin_seq = s->seq + s->len;
	}
	if (s->len != 0)
		rx_payload(c, s);
	if (c->fin_seen && seq_ge(c->rcv_nxt, c->fin_seq))
		process_fin(c);
}

void
conn_input(struct pst_tcp_conn *c, struct seg *s)
{
	if (c->state == ST_SYN_SENT) {
		synsent_input(c, s);
		return;
	}
	/* Third (security) and sixth (urgent) have nothing to do here. */
	if (step_syn(c, s) && step_sequence(c, s) && step_rst(c, s) && step_ack(c, s))
		step_text(c, s);
}
