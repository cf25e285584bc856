/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * TIME-WAIT of connections the application has let go: 64 bytes each, in a
 * fixed array. All wait equally long, so one queue in order of entry and one
 * timer serve them; when the array is full the oldest makes room.
 */
#include "tcb.h"

#include <stdlib.h>

bool
tw_init(struct pst_tcp *t)
{
	struct tw_table *tt = &t->tw;
	uint32_t n = 64;

	tt->max = PST_MIN(t->conf.max_time_wait, NONE31 - 1);
	while (n < tt->max)
		n *= 2;
	tt->mask = n - 1;
	tt->v = calloc(tt->max, sizeof(tt->v[0]));
	tt->heads = malloc(n * sizeof(tt->heads[0]));
	if (tt->v == NULL || tt->heads == NULL)
		return false;
	for (uint32_t i = 0; i < n; i++)
		tt->heads[i] = NONE31;
	tt->free = tt->qhead = tt->qtail = NONE31;
	pst_timer_init(&tt->timer, TIMER_TIME_WAIT);
	return true;
}

void
tw_fini(struct pst_tcp *t)
{
	free(t->tw.v);
	free(t->tw.heads);
}

static struct tuple
tw_tuple(const struct tw *w)
{
	return (struct tuple){
		.remote = w->remote, .local = w->local, .rport = w->rport, .lport = w->lport};
}

struct tw *
tw_find(struct pst_tcp *t, const struct tuple *tu, uint32_t hash)
{
	struct tw_table *tt = &t->tw;

	for (uint32_t i = tt->heads[hash & tt->mask]; i != NONE31; i = tt->v[i].hnext) {
		struct tw *w = &tt->v[i];

		if (w->rport == tu->rport && w->lport == tu->lport &&
			pst_ip_eq(&w->remote, &tu->remote) && pst_ip_eq(&w->local, &tu->local))
			return w;
	}
	return NULL;
}

static void
enqueue(struct pst_tcp *t, struct tw *w)
{
	struct tw_table *tt = &t->tw;
	uint32_t i = (uint32_t)(w - tt->v);

	w->due = (uint32_t)t->now_ms + t->conf.time_wait_ms;
	w->qnext = NONE31;
	w->qprev = tt->qtail;
	if (w->qprev != NONE31)
		tt->v[w->qprev].qnext = i;
	else
		tt->qhead = i;
	tt->qtail = i;
	if (!pst_timer_armed(&tt->timer))
		pst_timer_arm(&t->wheel, &tt->timer, t->now_ms + t->conf.time_wait_ms);
}

static void
dequeue(struct tw_table *tt, struct tw *w)
{
	if (w->qprev != NONE31)
		tt->v[w->qprev].qnext = w->qnext;
	else
		tt->qhead = w->qnext;
	if (w->qnext != NONE31)
		tt->v[w->qnext].qprev = w->qprev;
	else
		tt->qtail = w->qprev;
}

static void
tw_remove(struct pst_tcp *t, struct tw *w)
{
	struct tw_table *tt = &t->tw;
	struct tuple tu = tw_tuple(w);
	uint32_t i = (uint32_t)(w - tt->v), bucket = tuple_hash(t, &tu) & tt->mask;
	uint32_t at = tt->heads[bucket];

	if (at == i) {
		tt->heads[bucket] = w->hnext;
	} else {
		while (tt->v[at].hnext != i)
			at = tt->v[at].hnext;
		tt->v[at].hnext = w->hnext;
	}
	dequeue(tt, w);
	w->hnext = tt->free & NONE31;
	tt->free = i;
	tt->used--;
}

void
tw_add(struct pst_tcp *t, const struct pst_tcp_conn *c)
{
	struct tw_table *tt = &t->tw;
	uint32_t bucket = c->hash & tt->mask, i;
	struct tw *w;

	if (tt->used == tt->max) {
		t->cnt.time_wait_recycled++;
		tw_remove(t, &tt->v[tt->qhead]);
	}
	i = tt->free;
	if (i != NONE31)
		tt->free = tt->v[i].hnext;
	else
		i = tt->fresh++;
	w = &tt->v[i];
	*w = (struct tw){.remote = c->tuple.remote,
		.local = c->tuple.local,
		.rport = c->tuple.rport,
		.lport = c->tuple.lport,
		.rcv_nxt = c->rcv_nxt,
		.snd_nxt = c->snd_max,
		.ts_recent = c->ts_recent,
		.ts_on = c->ts_on};
	w->hnext = tt->heads[bucket] & NONE31;
	tt->heads[bucket] = i;
	tt->used++;
	enqueue(t, w);
}

void
tw_tick(struct pst_tcp *t)
{
	struct tw_table *tt = &t->tw;

	while (tt->qhead != NONE31) {
		struct tw *w = &tt->v[tt->qhead];
		int32_t wait = (int32_t)(w->due - (uint32_t)t->now_ms);

		if (wait > 0) {
			pst_timer_arm(&t->wheel, &tt->timer, t->now_ms + (uint64_t)wait);
			return;
		}
		tw_remove(t, w);
	}
}

static void
answer(struct pst_tcp *t, const struct tw *w)
{
	struct tuple tu = tw_tuple(w);
	struct emit e = {.seq = w->snd_nxt, .ack = w->rcv_nxt, .flags = TCP_ACK, .wscale = -1};

	if (!challenge_allowed(t))
		return;
	e.wnd = UINT16_MAX;
	e.ts = w->ts_on;
	e.tsval = ts_now(t, secret_ts_offset(t, &tu));
	e.tsecr = w->ts_recent;
	seg_emit(t, &e, &tu);
}

/* RFC 6191 2: may this SYN begin a new incarnation? */
static bool
is_newer(const struct tw *w, const struct seg *s)
{
	if ((s->flags & (TCP_SYN | TCP_ACK | TCP_RST)) != TCP_SYN)
		return false;
	if (w->ts_on && s->has_ts && s->tsval != w->ts_recent)
		return ts_older(w->ts_recent, s->tsval);
	return seq_gt(s->seq, w->rcv_nxt);
}

void
tw_input(struct pst_tcp *t, struct tw *w, struct seg *s)
{
	uint32_t listener;

	if (is_newer(w, s) && (listener = listen_find(t, &s->tuple)) != NONE32) {
		/* "ISN ... larger than the last used": RFC 9293 3.6.1, RFC 6191 2. */
		uint32_t min_iss = (w->snd_nxt + 65537) | 1;

		listen_input(t, listener, s, min_iss);
		/* Refused for want of room, it replaces nothing. */
		if (half_find(t, &s->tuple, s->hash) != NULL)
			tw_remove(t, w);
		return;
	}
	t->cnt.drop_time_wait++;
	/* RFC 1337 F1: "Ignore RST segments in TIME-WAIT state". */
	if (s->flags & TCP_RST)
		return;
	if (!(s->flags & (TCP_ACK | TCP_SYN)))
		return;
	/* RFC 9293 3.10.7.4: what is not acceptable, and the retransmitted FIN, get an ACK. */
	if (seg_len(s) == 0 && s->seq == w->rcv_nxt && s->ack == w->snd_nxt)
		return;
	if ((s->flags & TCP_FIN) && s->seq + seg_len(s) == w->rcv_nxt) {
		dequeue(&t->tw, w);
		enqueue(t, w);
	}
	answer(t, w);
}
