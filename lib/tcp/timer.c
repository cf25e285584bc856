/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Timers of a connection. Each has up to three deadlines and one wheel timer
 * that stands at or before the earliest: moving a deadline later, or switching
 * it off, does not touch the wheel; when the wheel timer fires too early it is
 * armed again for what is left.
 *
 *   T_RTX   retransmission, SYN, or (persist) the probe of a closed window
 *   T_ACK   delayed acknowledgement
 *   T_LONG  by state: keepalive, FIN-WAIT-2 after close, TIME-WAIT while held
 */
#include "tcb.h"

#define SYN_RETRIES_ACTIVE 6
#define KEEPALIVE_STEP_MS  10000 /* between probes, if keepalive_ms is not shorter */

void
conn_timer_set(struct pst_tcp_conn *c, enum conn_timer k, uint64_t at_ms)
{
	c->due[k] = at_ms;
	if (!pst_timer_armed(&c->timer) || c->timer.deadline_ms > at_ms)
		pst_timer_arm(&c->t->wheel, &c->timer, at_ms);
}

void
conn_timer_off(struct pst_tcp_conn *c, enum conn_timer k)
{
	c->due[k] = 0;
}

void
conn_timer_idle(struct pst_tcp_conn *c)
{
	const struct pst_tcp_conf *conf = &c->t->conf;
	uint64_t now = c->t->now_ms;

	if (c->state == ST_TIME_WAIT)
		conn_timer_set(c, T_LONG, now + conf->time_wait_ms);
	else if (c->state == ST_FIN_WAIT_2 && !c->held)
		conn_timer_set(c, T_LONG, now + conf->fin_wait2_ms);
	else if (conf->keepalive_ms != 0 && c->state >= ST_ESTABLISHED)
		conn_timer_set(c, T_LONG, now + conf->keepalive_ms);
	else
		conn_timer_off(c, T_LONG);
}

/* Nothing was acknowledged, or no probe answered, for as long as the operator allows. */
static bool
gave_up(const struct pst_tcp_conn *c)
{
	return c->stalled_ms != 0 && c->t->now_ms >= c->stalled_ms + c->t->conf.user_timeout_ms;
}

static bool
fire_syn(struct pst_tcp_conn *c)
{
	uint32_t most = c->t->conf.syn_retries != 0 ? c->t->conf.syn_retries : SYN_RETRIES_ACTIVE;

	if (gave_up(c) || c->syn_tries >= most) {
		conn_die(c, PST_TCP_ERR_TIMEOUT);
		return false;
	}
	c->syn_tries++;
	c->syn_lost = true;
	c->rtt_timing = false;
	c->t->cnt.syn_retrans++;
	c->retransmits++;
	rto_backoff(&c->rto);
	conn_send_syn(c);
	return c->state != ST_CLOSED;
}

static bool
fire_rtx(struct pst_tcp_conn *c)
{
	bool first = c->rto.shift == 0;

	if (c->state == ST_SYN_SENT || c->state == ST_SYN_RCVD)
		return fire_syn(c);
	if (gave_up(c)) {
		conn_send_rst(c);
		conn_die(c, PST_TCP_ERR_TIMEOUT);
		return false;
	}
	if (c->persist) {
		conn_probe(c);
		return true;
	}
	if (c->snd_una == c->snd_max) {
		/* Nothing is in flight: an earlier send found no memory. */
		conn_dirty(c);
		return true;
	}
	c->t->cnt.rto_fired++;
	cc_on_timeout(&c->cc, c->snd_max, c->snd_max - c->snd_una, first);
	/* RFC 6298 5.4-5.6: retransmit the earliest segment, back off, restart the timer. What
	 * follows it is sent again as the window reopens (RFC 5681 3.1, loss window). */
	rto_backoff(&c->rto);
	if (c->rto.shift >= 2) /* perhaps the neighbour is another one now */
		pst_net_neigh_suspect(c->t->net, &c->tuple.remote, c->t->now);
	c->snd_nxt = c->snd_una;
	if (c->snd_wnd == 0)
		conn_retransmit(c); /* the peer took its window back: this probes it */
	conn_dirty(c);
	conn_arm_rtx(c);
	return true;
}

static bool
fire_long(struct pst_tcp_conn *c)
{
	const struct pst_tcp_conf *conf = &c->t->conf;
	uint64_t now = c->t->now_ms, idle = now - c->heard_ms;

	if (c->state == ST_TIME_WAIT || (c->state == ST_FIN_WAIT_2 && !c->held)) {
		conn_done(c);
		return false;
	}
	if (idle < conf->keepalive_ms) {
		conn_timer_set(c, T_LONG, c->heard_ms + conf->keepalive_ms);
		return true;
	}
	if (idle >= (uint64_t)conf->keepalive_ms + conf->user_timeout_ms) {
		conn_send_rst(c);
		conn_die(c, PST_TCP_ERR_TIMEOUT);
		return false;
	}
	/* RFC 9293 3.8.4: only when nothing is outstanding; retransmission asks otherwise. */
	if (c->snd_una == c->snd_max)
		conn_keepalive(c);
	conn_timer_set(c, T_LONG, now + PST_MIN(conf->keepalive_ms, (uint32_t)KEEPALIVE_STEP_MS));
	return true;
}

static bool
fire_ack(struct pst_tcp_conn *c)
{
	c->t->cnt.delayed_acks++;
	c->ack_now = true;
	conn_dirty(c);
	return true;
}

void
conn_timers_run(struct pst_tcp_conn *c)
{
	static bool (*const fire[T_N])(struct pst_tcp_conn *) = {
		[T_RTX] = fire_rtx, [T_ACK] = fire_ack, [T_LONG] = fire_long};
	uint64_t next = 0;

	for (int k = 0; k < T_N; k++)
		if (c->due[k] != 0 && c->due[k] <= c->t->now_ms) {
			c->due[k] = 0;
			if (!fire[k](c))
				return;
		}
	for (int k = 0; k < T_N; k++)
		if (c->due[k] != 0 && (next == 0 || c->due[k] < next))
			next = c->due[k];
	if (next != 0 && (!pst_timer_armed(&c->timer) || c->timer.deadline_ms > next))
		pst_timer_arm(&c->t->wheel, &c->timer, next);
}
