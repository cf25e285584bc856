/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Output: what leaves when a loop turn ends, and single segments that cannot
 * wait. Payload stays in txq until acknowledged; each sending makes a header
 * mbuf and, for more than a few bytes, clones of the ranges it needs.
 *
 * There is no Nagle: the end of what was written always goes. SWS avoidance
 * (RFC 9293 3.8.6.2.1) holds back pieces that a small window would cut.
 */
#include "tcb.h"

#include <rte_memcpy.h>

#define COPY_MAX 256 /* bytes copied behind the header instead of cloned */

struct plan {
	uint32_t len;
	bool fin, push;
};

uint32_t
conn_flight(const struct pst_tcp_conn *c)
{
	return c->snd_max - c->snd_una;
}

/* ---- building ---- */

static struct emit
header(struct pst_tcp_conn *c, uint32_t seq, uint8_t flags)
{
	struct emit e = {.seq = seq, .flags = flags, .wscale = -1};

	e.ack = c->rcv_nxt;
	e.wnd = wnd_advertise(c);
	e.ts = c->ts_on;
	e.tsval = ts_now(c->t, c->ts_offset);
	e.tsecr = c->ts_recent;
	return e;
}

/* An acknowledgement left, alone or on data: nothing is owed any more. */
static void
ack_left(struct pst_tcp_conn *c)
{
	c->ack_now = false;
	c->last_ack_sent = c->rcv_nxt;
	conn_timer_off(c, T_ACK);
}

static struct rte_mbuf *
locate(struct pst_tcp_conn *c, uint32_t off)
{
	if (c->tx_cur == NULL || off < c->tx_cur_off) {
		c->tx_cur = c->txq.head;
		c->tx_cur_off = 0;
	}
	while (off - c->tx_cur_off >= c->tx_cur->data_len) {
		c->tx_cur_off += c->tx_cur->data_len;
		c->tx_cur = c->tx_cur->next;
	}
	return c->tx_cur;
}

static void
append_copy(struct pst_tcp_conn *c, struct rte_mbuf *m, uint32_t off, uint32_t len)
{
	const struct rte_mbuf *from = locate(c, off);
	uint32_t skip = off - c->tx_cur_off;

	for (; len > 0; from = from->next, skip = 0) {
		uint32_t n = PST_MIN(len, from->data_len - skip);

		rte_memcpy(rte_pktmbuf_append(m, (uint16_t)n),
			rte_pktmbuf_mtod_offset(from, const uint8_t *, skip), n);
		len -= n;
	}
}

static bool
append_clones(struct pst_tcp_conn *c, struct rte_mbuf *m, uint32_t off, uint32_t len)
{
	struct rte_mbuf *from = locate(c, off), *last = m;
	uint32_t skip = off - c->tx_cur_off;

	for (; len > 0; from = from->next, skip = 0) {
		uint32_t n = PST_MIN(len, from->data_len - skip);
		struct rte_mbuf *k = rte_pktmbuf_alloc(c->t->head);

		if (k == NULL)
			return false;
		rte_pktmbuf_attach(k, from);
		k->data_off = (uint16_t)(k->data_off + skip);
		k->data_len = (uint16_t)n;
		k->pkt_len = n;
		last->next = k;
		last = k;
		m->nb_segs++;
		m->pkt_len += n;
		len -= n;
	}
	return true;
}

static bool
append_payload(struct pst_tcp_conn *c, struct rte_mbuf *m, uint32_t off, uint32_t len)
{
	if (len == 0)
		return true;
	if (len > COPY_MAX || len > rte_pktmbuf_tailroom(m))
		return append_clones(c, m, off, len);
	append_copy(c, m, off, len);
	return true;
}

/* ---- sending a range of the stream ---- */

static void
count_sent(struct pst_tcp_conn *c, uint32_t seq, uint32_t len, uint32_t end)
{
	struct pst_tcp *t = c->t;

	if (seq_lt(seq, c->snd_max)) {
		t->cnt.retrans_segs++;
		c->retransmits++;
		/* Karn: "RTT samples MUST NOT be made using segments that were retransmitted". */
		c->rtt_timing = false;
	} else if (!c->rtt_timing) {
		c->rtt_timing = true;
		c->rtt_seq = end;
		c->rtt_at = t->now;
	}
	if (seq_gt(end, c->snd_max)) {
		uint32_t fresh = PST_MIN(end - c->snd_max, len);

		t->cnt.out_bytes += fresh;
		c->bytes_out += fresh;
		c->snd_max = end;
	}
	if (c->stalled_ms == 0)
		c->stalled_ms = t->now_ms;
	c->sent_ms = t->now_ms;
}

/* False: no memory; the stream's numbers are as before. */
static bool
send_range(struct pst_tcp_conn *c, uint32_t seq, const struct plan *p)
{
	struct emit e = header(
		c, seq, (uint8_t)(TCP_ACK | (p->push ? TCP_PSH : 0) | (p->fin ? TCP_FIN : 0)));
	struct rte_mbuf *m = seg_new(c->t, &e);

	if (m == NULL || !append_payload(c, m, seq - c->snd_una, p->len)) {
		if (m != NULL) {
			rte_pktmbuf_free(m);
			c->t->cnt.out_nomem++;
		}
		c->ack_now = true; /* the header's window counts as offered: it must yet leave */
		return false;
	}
	seg_send(c->t, m, &c->tuple);
	ack_left(c);
	count_sent(c, seq, p->len, seq + p->len + p->fin);
	return true;
}

/* What may be sent at snd_nxt now; false: nothing. */
static bool
plan_next(const struct pst_tcp_conn *c, struct plan *p)
{
	uint32_t off = c->snd_nxt - c->snd_una, avail, wnd, room;

	if (off > c->txq.len)
		return false; /* the FIN is out */
	avail = c->txq.len - off;
	wnd = PST_MIN(cc_window(&c->cc), c->snd_wnd);
	room = wnd > off ? wnd - off : 0;
	p->len = PST_MIN(PST_MIN(avail, room), c->mss);
	p->push = p->len == avail && p->len != 0;
	p->fin = p->len == avail && c->fin_queued && off + p->len < c->snd_wnd;
	if (p->len == 0)
		return p->fin;
	/* (1) a full segment; (2) all that is queued; (3) half the largest window. A piece that
	 * was sent before goes in any case. */
	return p->len == c->mss || p->push || p->len >= c->max_wnd / 2 ||
	       seq_lt(c->snd_nxt, c->snd_max);
}

/* A closed window has opened far enough: forget the probe, which may be lost. */
static bool
leave_persist(struct pst_tcp_conn *c)
{
	uint32_t saved = c->snd_nxt;
	struct plan p;

	c->snd_nxt = c->snd_una;
	if (!plan_next(c, &p)) {
		c->snd_nxt = saved;
		return false;
	}
	c->persist = false;
	c->persist_shift = 0;
	c->stalled_ms = 0;
	conn_timer_off(c, T_RTX);
	return true;
}

void
conn_arm_rtx(struct pst_tcp_conn *c)
{
	uint64_t at = c->t->now_ms + rto_ms(&c->rto);

	if (c->stalled_ms != 0)
		at = PST_MIN(at, c->stalled_ms + c->t->conf.user_timeout_ms);
	conn_timer_set(c, T_RTX, PST_MAX(at, c->t->now_ms + 1));
}

static void
arm_persist(struct pst_tcp_conn *c)
{
	uint64_t wait = (uint64_t)c->rto.base_ms << c->persist_shift;

	/* RFC 9293 3.8.6.1: probe after one RTO, "increase exponentially the interval". */
	c->persist = true;
	conn_timer_set(c, T_RTX, c->t->now_ms + PST_MIN(wait, (uint64_t)c->rto.max_ms));
}

static bool
may_send(const struct pst_tcp_conn *c)
{
	return c->state >= ST_ESTABLISHED && c->state != ST_FIN_WAIT_2 && c->state != ST_TIME_WAIT;
}

static bool
something_waits(const struct pst_tcp_conn *c)
{
	return c->txq.len != 0 || (c->fin_queued && !c->fin_acked);
}

/* Sends all that windows allow; true if at least one segment left. */
static bool
send_queue(struct pst_tcp_conn *c)
{
	bool sent = false, starved = false;
	struct plan p;

	if (!something_waits(c) || (c->persist && !leave_persist(c)))
		return false;
	if (conn_flight(c) == 0 && c->t->now_ms - c->sent_ms > rto_ms(&c->rto))
		cc_on_idle(&c->cc);
	while (plan_next(c, &p)) {
		if ((mem_control_only(c->t) && c->snd_nxt == c->snd_max) ||
			!send_range(c, c->snd_nxt, &p)) {
			conn_starve(c);
			starved = true;
			break;
		}
		c->snd_nxt += p.len + p.fin;
		sent = true;
	}
	if (conn_flight(c) != 0) {
		if (c->due[T_RTX] == 0)
			conn_arm_rtx(c);
	} else if (!starved) {
		arm_persist(c);
	}
	return sent;
}

void
conn_output(struct pst_tcp_conn *c)
{
	bool sent = may_send(c) && send_queue(c);

	if (c->ack_now && !sent && c->state >= ST_ESTABLISHED)
		conn_send_ack(c);
}

/* ---- single segments ---- */

bool
conn_retransmit(struct pst_tcp_conn *c)
{
	/* What was not sent before is held to the window like all that is new. */
	struct plan p = {.len = PST_MIN(PST_MIN(c->txq.len, c->mss), conn_flight(c))};
	uint32_t end;

	p.push = p.len == c->txq.len && p.len != 0;
	p.fin = p.len == c->txq.len && c->fin_queued && !c->fin_acked &&
		seq_gt(c->snd_max, c->snd_una + c->txq.len);
	if (p.len + p.fin == 0 || !send_range(c, c->snd_una, &p))
		return false;
	end = c->snd_una + p.len + p.fin;
	c->snd_nxt = seq_max(c->snd_nxt, end);
	return true;
}

void
conn_probe(struct pst_tcp_conn *c)
{
	/* At least one byte beyond a closed window; all that fits in a small one (3.8.6.2.1 (4)).
	 */
	uint32_t fit = PST_MAX(PST_MIN(c->snd_wnd, c->mss), 1u);
	struct plan p = {.len = PST_MIN(c->txq.len, fit)};

	p.push = p.len == c->txq.len;
	p.fin = c->txq.len == 0 && c->fin_queued && !c->fin_acked;
	if (p.len + p.fin == 0) {
		c->persist = false;
		return;
	}
	if (send_range(c, c->snd_una, &p)) {
		c->t->cnt.zero_window_probes++;
		c->snd_nxt = seq_max(c->snd_nxt, c->snd_una + p.len + p.fin);
		if ((uint64_t)c->rto.base_ms << c->persist_shift < c->rto.max_ms)
			c->persist_shift++;
	}
	arm_persist(c);
}

void
conn_send_syn(struct pst_tcp_conn *c)
{
	const struct pst_tcp_conf *conf = &c->t->conf;
	bool answer = c->state == ST_SYN_RCVD;
	struct emit e = {.seq = c->iss, .flags = TCP_SYN, .wscale = -1};
	enum pst_rc rc;

	e.wnd = (uint16_t)conf->initial_window;
	e.mss = conn_path_mss(c->t, &c->tuple);
	e.ts = answer ? c->ts_on : !conf->no_timestamps;
	e.tsval = ts_now(c->t, c->ts_offset);
	if (answer ? c->wscale_on : !conf->no_wscale)
		e.wscale = (int8_t)c->t->rcv_wscale;
	if (answer) {
		e.flags |= TCP_ACK;
		e.ack = c->rcv_nxt;
		e.tsecr = c->ts_recent;
	}
	rc = seg_emit(c->t, &e, &c->tuple);
	c->snd_nxt = c->snd_max = c->iss + 1;
	if (c->stalled_ms == 0)
		c->stalled_ms = c->t->now_ms;
	/* Twice no way to the peer, a retransmission apart, is enough for an open. */
	if (rc == PST_UNREACH && c->syn_tries > 0)
		conn_die(c, PST_TCP_ERR_UNREACH);
	else
		conn_arm_rtx(c);
}

/*
 * snd_max, not snd_nxt: after a timeout the latter lies in the peer's past. But not beyond
 * the peer's window, which a probe is and a window taken back leaves: the peer would drop
 * it (RFC 9293 table 6). Less than a unit beyond may be its rounding.
 */
static uint32_t
ack_seq(const struct pst_tcp_conn *c)
{
	uint32_t edge = c->snd_una + c->snd_wnd, beyond = c->snd_max - edge;

	if (seq_le(c->snd_max, edge) || (!c->persist && beyond < 1u << c->snd_wscale))
		return c->snd_max;
	return edge;
}

void
conn_send_ack(struct pst_tcp_conn *c)
{
	struct emit e = header(c, ack_seq(c), TCP_ACK);

	if (seg_emit(c->t, &e, &c->tuple) == PST_NOMEM) {
		c->ack_now = true;
		conn_starve(c);
		return;
	}
	if (c->quick_acks > 0)
		c->quick_acks--;
	ack_left(c);
}

void
conn_send_rst(struct pst_tcp_conn *c)
{
	struct emit e;

	if (c->state == ST_SYN_SENT)
		return; /* RFC 9293 3.10.5: nothing to reset at the peer yet */
	e = header(c, c->snd_max, TCP_RST | TCP_ACK);
	/* Inside the peer's window, else it would be ignored. */
	if (seq_gt(e.seq, c->snd_una + c->snd_wnd))
		e.seq = seq_max(c->snd_una, c->snd_una + c->snd_wnd);
	if (seg_emit(c->t, &e, &c->tuple) != PST_NOMEM)
		c->t->cnt.out_rsts++;
}

void
conn_keepalive(struct pst_tcp_conn *c)
{
	/* RFC 9293 3.8.4: SEG.SEQ = SND.NXT-1 makes the peer answer. */
	struct emit e = header(c, c->snd_una - 1, TCP_ACK);

	if (seg_emit(c->t, &e, &c->tuple) != PST_NOMEM)
		c->t->cnt.keepalive_probes++;
}

/* ---- challenge ACKs, RFC 5961 7 ---- */

#define CHALLENGE_BASE 500 /* a second */

bool
challenge_allowed(struct pst_tcp *t)
{
	uint64_t sec = t->now_ms / 1000;

	if (sec != t->challenge_sec) {
		/* Randomised, so that counting answers tells an outsider nothing. */
		t->challenge_sec = sec;
		t->challenge_left = CHALLENGE_BASE + pst_rand_below(&t->rand, CHALLENGE_BASE);
	}
	if (t->challenge_left == 0) {
		t->cnt.challenge_limited++;
		return false;
	}
	t->challenge_left--;
	return true;
}

void
conn_challenge(struct pst_tcp_conn *c)
{
	if (!challenge_allowed(c->t))
		return;
	c->t->cnt.challenge_acks++;
	conn_send_ack(c);
}
