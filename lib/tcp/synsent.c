/* SPDX-License-Identifier: BSD-3-Clause */
/* A segment for a connection in SYN-SENT: RFC 9293 3.10.7.3. */
#include "tcb.h"

static void
take_options(struct pst_tcp_conn *c, const struct seg *s)
{
	const struct pst_tcp_conf *conf = &c->t->conf;
	bool v4 = pst_ip_is4(&c->tuple.remote);

	c->ts_on = s->has_ts && !conf->no_timestamps;
	c->wscale_on = s->has_wscale && !conf->no_wscale;
	c->ts_recent = s->tsval;
	c->ts_recent_ms = (uint32_t)c->t->now_ms;
	c->snd_wscale = c->wscale_on ? s->wscale : 0;
	/* MUST-15: without the option assume 536 (IPv4) or 1220 (IPv6). */
	conn_set_mss(c, s->has_mss ? s->mss : v4 ? MSS_DEFAULT_V4 : MSS_DEFAULT_V6);
}

static void
take_syn(struct pst_tcp_conn *c, struct seg *s)
{
	c->irs = s->seq;
	c->rcv_nxt = s->seq + 1;
	c->last_ack_sent = c->rcv_nxt;
	take_options(c, s);
	wnd_init(c);
	/* RFC 7323 2.2: the window of a segment with SYN is never scaled. */
	c->snd_wnd = c->max_wnd = s->wnd;
	c->snd_wl1 = s->seq;
	c->snd_wl2 = s->ack;
}

static void
open_finished(struct pst_tcp_conn *c, struct seg *s)
{
	ack_rtt(c, s->ack, s);
	c->snd_una = c->snd_nxt = s->ack;
	conn_establish(c);
	c->ack_now = true;
	/* "If there are other controls or text in the segment, then continue at the sixth step". */
	s->seq++;
	s->flags &= (uint8_t)~TCP_SYN;
	if (s->len > c->rcv_adv - c->rcv_nxt) {
		s->m = mb_keep(s->m, c->rcv_adv - c->rcv_nxt);
		s->len = c->rcv_adv - c->rcv_nxt;
		s->flags &= (uint8_t)~TCP_FIN;
	}
	step_text(c, s);
}

void
synsent_input(struct pst_tcp_conn *c, struct seg *s)
{
	struct pst_tcp *t = c->t;
	bool acked = (s->flags & TCP_ACK) != 0;

	if (acked && s->ack != c->snd_max) {
		/* "If SEG.ACK =< ISS or SEG.ACK > SND.NXT, send a reset (unless the RST bit is
		 * set)". */
		t->cnt.drop_ack++;
		seg_refuse(t, s);
		return;
	}
	if (s->flags & TCP_RST) {
		if (acked)
			conn_die(c, PST_TCP_ERR_REFUSED);
		else
			t->cnt.drop_rst++;
		return;
	}
	if (!(s->flags & TCP_SYN)) {
		t->cnt.drop_no_ack++;
		return;
	}
	take_syn(c, s);
	c->heard_ms = t->now_ms;
	if (acked) {
		open_finished(c, s);
		return;
	}
	/* Simultaneous open: <SEQ=ISS><ACK=RCV.NXT><CTL=SYN,ACK>; text is left to be sent again. */
	c->state = ST_SYN_RCVD;
	conn_send_syn(c);
}
