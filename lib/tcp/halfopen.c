/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Passive opens: LISTEN (RFC 9293 3.10.7.2) and what follows until the handshake
 * ends. A half-open connection costs 64 bytes and no mbuf; the TCB is made when
 * the last ACK proves that the peer is where it says.
 *
 * Records wait in one queue for each back-off step. All in a queue wait equally
 * long, so its head is the next to be served and one timer does for all.
 */
#include "tcb.h"

#include <stdlib.h>

#define SYN_RETRIES_PASSIVE 5

bool
half_init(struct pst_tcp *t)
{
	struct half_table *ht = &t->half;
	uint32_t n = 64;

	/* NONE16 is no index. */
	ht->max = PST_MIN(t->conf.max_half_open, (uint32_t)NONE16);
	while (n < ht->max)
		n *= 2;
	ht->mask = n - 1;
	ht->v = calloc(ht->max, sizeof(ht->v[0]));
	ht->heads = malloc(n * sizeof(ht->heads[0]));
	if (ht->v == NULL || ht->heads == NULL)
		return false;
	memset(ht->heads, 0xff, n * sizeof(ht->heads[0]));
	memset(ht->qhead, 0xff, sizeof(ht->qhead));
	memset(ht->qtail, 0xff, sizeof(ht->qtail));
	ht->free = NONE16;
	pst_timer_init(&ht->timer, TIMER_HALF);
	return true;
}

void
half_fini(struct pst_tcp *t)
{
	free(t->half.v);
	free(t->half.heads);
}

static struct tuple
half_tuple(const struct half *h)
{
	return (struct tuple){
		.remote = h->remote, .local = h->local, .rport = h->rport, .lport = h->lport};
}

struct half *
half_find(struct pst_tcp *t, const struct tuple *tu, uint32_t hash)
{
	struct half_table *ht = &t->half;

	for (uint16_t i = ht->heads[hash & ht->mask]; i != NONE16; i = ht->v[i].hnext) {
		struct half *h = &ht->v[i];

		if (h->rport == tu->rport && h->lport == tu->lport &&
			pst_ip_eq(&h->remote, &tu->remote) && pst_ip_eq(&h->local, &tu->local))
			return h;
	}
	return NULL;
}

/* ---- queues ---- */

static void
arm(struct pst_tcp *t)
{
	struct half_table *ht = &t->half;
	int32_t wait = INT32_MAX;

	for (unsigned q = 0; q < HALF_TRIES; q++)
		if (ht->qhead[q] != NONE16)
			wait = PST_MIN(
				wait, (int32_t)(ht->v[ht->qhead[q]].due - (uint32_t)t->now_ms));
	if (wait == INT32_MAX)
		pst_timer_cancel(&t->wheel, &ht->timer);
	else
		pst_timer_arm(&t->wheel, &ht->timer, t->now_ms + (uint64_t)PST_MAX(wait, 0));
}

static uint32_t
patience(const struct pst_tcp *t, unsigned tries)
{
	return (uint32_t)PST_MIN(
		(uint64_t)t->conf.rto_initial_ms << tries, (uint64_t)t->conf.rto_max_ms);
}

static void
enqueue(struct pst_tcp *t, struct half *h)
{
	struct half_table *ht = &t->half;
	uint16_t i = (uint16_t)(h - ht->v), q = h->tries;

	h->due = (uint32_t)t->now_ms + patience(t, q);
	h->qnext = NONE16;
	h->qprev = ht->qtail[q];
	if (h->qprev != NONE16)
		ht->v[h->qprev].qnext = i;
	else
		ht->qhead[q] = i;
	ht->qtail[q] = i;
	if (!pst_timer_armed(&ht->timer) || ht->timer.deadline_ms > t->now_ms + patience(t, q))
		arm(t);
}

static void
dequeue(struct half_table *ht, struct half *h)
{
	if (h->qprev != NONE16)
		ht->v[h->qprev].qnext = h->qnext;
	else
		ht->qhead[h->tries] = h->qnext;
	if (h->qnext != NONE16)
		ht->v[h->qnext].qprev = h->qprev;
	else
		ht->qtail[h->tries] = h->qprev;
}

static struct half *
half_new(struct pst_tcp *t, const struct seg *s)
{
	struct half_table *ht = &t->half;
	uint16_t i = ht->free, *head = &ht->heads[s->hash & ht->mask];
	struct half *h;

	if (i != NONE16)
		ht->free = ht->v[i].hnext;
	else
		i = (uint16_t)ht->fresh++;
	h = &ht->v[i];
	*h = (struct half){.remote = s->tuple.remote,
		.local = s->tuple.local,
		.rport = s->tuple.rport,
		.lport = s->tuple.lport,
		.hnext = *head};
	*head = i;
	ht->used++;
	return h;
}

static void
half_remove(struct pst_tcp *t, struct half *h)
{
	struct half_table *ht = &t->half;
	struct tuple tu = half_tuple(h);
	uint16_t i = (uint16_t)(h - ht->v);
	uint16_t *link = &ht->heads[tuple_hash(t, &tu) & ht->mask];

	while (*link != i)
		link = &ht->v[*link].hnext;
	*link = h->hnext;
	dequeue(ht, h);
	h->hnext = ht->free;
	ht->free = i;
	ht->used--;
	if (ht->used == 0)
		pst_timer_cancel(&t->wheel, &ht->timer);
}

/* ---- answers ---- */

static void
send_synack(struct pst_tcp *t, const struct half *h)
{
	struct tuple tu = half_tuple(h);
	struct emit e = {.seq = h->iss, .ack = h->irs + 1, .flags = TCP_SYN | TCP_ACK};

	e.wnd = (uint16_t)t->conf.initial_window;
	e.mss = conn_path_mss(t, &tu);
	e.wscale = h->wscale_on ? (int8_t)t->rcv_wscale : -1;
	e.ts = h->ts_on;
	e.tsval = ts_now(t, secret_ts_offset(t, &tu));
	e.tsecr = h->ts_recent;
	seg_emit(t, &e, &tu);
}

static void
challenge(struct pst_tcp *t, const struct half *h, uint64_t *counter)
{
	struct tuple tu = half_tuple(h);
	struct emit e = {.seq = h->iss + 1, .ack = h->irs + 1, .flags = TCP_ACK, .wscale = -1};

	(*counter)++;
	if (!challenge_allowed(t))
		return;
	t->cnt.challenge_acks++;
	e.wnd = (uint16_t)(t->conf.initial_window >> (h->wscale_on ? t->rcv_wscale : 0));
	e.ts = h->ts_on;
	e.tsval = ts_now(t, secret_ts_offset(t, &tu));
	e.tsecr = h->ts_recent;
	seg_emit(t, &e, &tu);
}

void
half_tick(struct pst_tcp *t)
{
	struct half_table *ht = &t->half;
	unsigned most = t->conf.syn_retries != 0 ? t->conf.syn_retries : SYN_RETRIES_PASSIVE;

	/* From the longest wait down, so that a record moved up is not served twice. */
	for (unsigned q = HALF_TRIES; q-- > 0;)
		while (ht->qhead[q] != NONE16) {
			struct half *h = &ht->v[ht->qhead[q]];

			if ((int32_t)(h->due - (uint32_t)t->now_ms) > 0)
				break;
			if (q >= PST_MIN(most, HALF_TRIES - 1u)) {
				t->cnt.attempt_fails++;
				t->cnt.timeouts++;
				half_remove(t, h);
				continue;
			}
			dequeue(ht, h);
			h->tries++;
			enqueue(t, h);
			t->cnt.syn_retrans++;
			send_synack(t, h);
		}
	arm(t);
}

void
half_drop_listener(struct pst_tcp *t, uint32_t listener)
{
	struct half_table *ht = &t->half;

	for (unsigned q = 0; q < HALF_TRIES; q++)
		for (uint16_t i = ht->qhead[q], next; i != NONE16; i = next) {
			next = ht->v[i].qnext;
			if (ht->v[i].listener == listener)
				half_remove(t, &ht->v[i]);
		}
}

/* ---- LISTEN ---- */

/* Admission before the pools run dry; NULL when the SYN may come in, else its drop counter. */
static uint64_t *
refusal(struct pst_tcp *t)
{
	uint64_t live = (uint64_t)t->nconns + t->half.used;

	if (t->refuse)
		return &t->cnt.drop_refused;
	if (t->half.used >= t->half.max)
		return &t->cnt.drop_half_open_limit;
	if (live >= t->conf.max_conns - t->conf.max_conns / 10)
		return &t->cnt.drop_conn_limit;
	mem_relieve(t);
	if (mem_pressure(t) != MEM_OK || mem_control_only(t))
		return &t->cnt.drop_nomem;
	return NULL;
}

static void
take_syn(struct pst_tcp *t, uint32_t listener, const struct seg *s, uint32_t min_iss)
{
	struct half *h = half_new(t, s);
	bool v4 = pst_ip_is4(&h->remote);

	h->irs = s->seq;
	h->iss = secret_isn(t, &s->tuple);
	if (min_iss != 0 && seq_lt(h->iss, min_iss))
		h->iss = min_iss;
	h->listener = (uint16_t)listener;
	h->mss = s->has_mss ? s->mss : v4 ? MSS_DEFAULT_V4 : MSS_DEFAULT_V6;
	h->ts_on = s->has_ts && !t->conf.no_timestamps;
	h->ts_recent = s->tsval;
	h->wscale_on = s->has_wscale && !t->conf.no_wscale;
	h->wscale = s->wscale & 15;
	t->cnt.passive_opens++;
	enqueue(t, h);
	send_synack(t, h);
}

void
listen_input(struct pst_tcp *t, uint32_t listener, struct seg *s, uint32_t min_iss)
{
	uint64_t *no;

	/* RFC 9293 3.10.7.2: RST is ignored, ACK is answered with RST, then SYN. */
	if (s->flags & TCP_RST) {
		t->cnt.drop_rst_no_conn++;
	} else if (s->flags & TCP_ACK) {
		t->cnt.drop_no_conn++;
		seg_refuse(t, s);
	} else if (!(s->flags & TCP_SYN) || (s->flags & TCP_FIN)) {
		t->cnt.drop_malformed++;
	} else if ((no = refusal(t)) != NULL) {
		(*no)++;
	} else {
		take_syn(t, listener, s, min_iss);
	}
}

/* ---- SYN-RECEIVED ---- */

static bool
acceptable(struct pst_tcp *t, struct half *h, const struct seg *s)
{
	if (s->flags & TCP_SYN) {
		if (s->seq == h->irs && !(s->flags & TCP_ACK)) {
			t->cnt.drop_duplicate++;
			send_synack(t, h);
		} else {
			/* Another incarnation, or a forgery: a peer that means it answers with RST.
			 */
			challenge(t, h, &t->cnt.drop_syn);
		}
		return false;
	}
	if (h->ts_on && !(s->flags & TCP_RST) && (!s->has_ts || ts_older(s->tsval, h->ts_recent))) {
		t->cnt.drop_paws++;
		return false;
	}
	if (s->seq - (h->irs + 1) > t->conf.initial_window) {
		if (s->flags & TCP_RST)
			t->cnt.drop_window++;
		else
			challenge(t, h, &t->cnt.drop_window);
		return false;
	}
	return true;
}

static struct pst_tcp_conn *
promote(struct pst_tcp *t, const struct half *h, const struct seg *s)
{
	struct pst_tcp_conn *c = conn_new(t, &s->tuple, s->hash);

	if (c == NULL)
		return NULL;
	c->state = ST_SYN_RCVD;
	c->listener = t->listeners[h->listener].arg;
	c->ts_on = h->ts_on;
	c->ts_offset = secret_ts_offset(t, &s->tuple);
	c->ts_recent = h->ts_recent;
	c->ts_recent_ms = (uint32_t)t->now_ms;
	c->wscale_on = h->wscale_on;
	c->snd_wscale = h->wscale_on ? h->wscale : 0;
	c->iss = h->iss;
	c->snd_una = c->snd_nxt = c->snd_max = h->iss + 1;
	c->irs = h->irs;
	c->rcv_nxt = c->last_ack_sent = h->irs + 1;
	wnd_init(c);
	c->snd_wl1 = h->irs;
	c->snd_wl2 = c->snd_una;
	c->snd_wnd = c->max_wnd = s->wnd << c->snd_wscale;
	conn_set_mss(c, h->mss);
	c->syn_lost = h->tries > 0;
	if (h->tries == 0) {
		/* One SYN-ACK, one answer: a round trip, known to the millisecond. */
		uint32_t sent = h->due - patience(t, 0);

		rto_sample(&c->rto, ((uint32_t)t->now_ms - sent) * 1000);
	}
	return c;
}

void
half_input(struct pst_tcp *t, struct half *h, struct seg *s)
{
	struct pst_tcp_conn *c;

	if (!acceptable(t, h, s))
		return;
	if (s->flags & TCP_RST) {
		/* RFC 5961 3.2 holds here as well. */
		if (s->seq != h->irs + 1) {
			challenge(t, h, &t->cnt.drop_rst);
			return;
		}
		t->cnt.attempt_fails++;
		half_remove(t, h);
		return;
	}
	if (!(s->flags & TCP_ACK)) {
		t->cnt.drop_no_ack++;
		return;
	}
	if (s->ack != h->iss + 1) {
		t->cnt.drop_ack++;
		seg_refuse(t, s);
		return;
	}
	/* No room: the peer's next segment, or our SYN-ACK's repetition, tries again. */
	if ((c = promote(t, h, s)) == NULL) {
		t->cnt.drop_conn_limit++;
		return;
	}
	half_remove(t, h);
	conn_establish(c);
	conn_input(c, s);
}
