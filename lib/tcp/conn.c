/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Birth and death of connection records, the table that finds them by 4-tuple,
 * and the three lists they may be on:
 *   ready    has events for the application
 *   dirty    has something to send when the loop turn ends
 *   starved  could not send or open its window for want of memory
 *
 * Records come from chunks of 256 that are never given back before the stack
 * ends, up to max_conns; memory of records never used is never touched.
 */
#include "tcb.h"

#include <stdlib.h>

#define CHUNK 256

struct chunk {
	struct chunk *next;
	struct pst_tcp_conn v[CHUNK];
};

bool
table_init(struct pst_tcp *t)
{
	uint32_t n = 64;

	while (n < t->conf.max_conns)
		n *= 2;
	t->mask = n - 1;
	t->heads = calloc(n, sizeof(t->heads[0]));
	return t->heads != NULL;
}

void
table_fini(struct pst_tcp *t)
{
	struct chunk *k, *next;

	for (k = t->chunks; k != NULL; k = next) {
		next = k->next;
		for (unsigned i = 0; i < CHUNK; i++) {
			mbq_clear(&k->v[i].txq);
			mbq_clear(&k->v[i].rxq);
			mb_free_all(k->v[i].ooo);
		}
		free(k);
	}
	free(t->heads);
}

struct pst_tcp_conn *
table_find(const struct pst_tcp *t, const struct tuple *tu, uint32_t hash)
{
	struct pst_tcp_conn *c = t->heads[hash & t->mask];

	while (c != NULL && (c->hash != hash || memcmp(&c->tuple, tu, sizeof(*tu)) != 0))
		c = c->hnext;
	return c;
}

static void
table_add(struct pst_tcp_conn *c)
{
	struct pst_tcp_conn **head = &c->t->heads[c->hash & c->t->mask];

	c->hnext = *head;
	*head = c;
	c->listed = true;
}

static void
table_remove(struct pst_tcp_conn *c)
{
	struct pst_tcp_conn **link = &c->t->heads[c->hash & c->t->mask];

	while (*link != c)
		link = &(*link)->hnext;
	*link = c->hnext;
	c->hnext = NULL;
	c->listed = false;
}

static bool
grow(struct pst_tcp *t)
{
	struct chunk *k = calloc(1, sizeof(*k));

	if (k == NULL)
		return false;
	k->next = t->chunks;
	t->chunks = k;
	for (unsigned i = CHUNK; i-- > 0;) {
		k->v[i].hnext = t->free;
		t->free = &k->v[i];
	}
	return true;
}

struct pst_tcp_conn *
conn_new(struct pst_tcp *t, const struct tuple *tu, uint32_t hash)
{
	struct pst_tcp_conn *c;

	if (t->nconns >= t->conf.max_conns || (t->free == NULL && !grow(t)))
		return NULL;
	c = t->free;
	t->free = c->hnext;
	t->nconns++;
	*c = (struct pst_tcp_conn){.t = t, .tuple = *tu, .hash = hash, .held = true};
	c->quick_acks = QUICK_ACKS;
	c->heard_ms = t->now_ms;
	rto_init(&c->rto, t->conf.rto_initial_ms, t->conf.rto_min_ms, t->conf.rto_max_ms);
	pst_timer_init(&c->timer, TIMER_CONN);
	table_add(c);
	return c;
}

void
conn_unlist(struct pst_tcp_conn *c)
{
	struct pst_tcp *t = c->t;

	if (c->listed)
		table_remove(c);
	pst_timer_cancel(&t->wheel, &c->timer);
	memset(c->due, 0, sizeof(c->due));
	if (c->on_dirty)
		TAILQ_REMOVE(&t->dirty, c, dirty);
	if (c->on_starved)
		TAILQ_REMOVE(&t->starved, c, starved);
	c->on_dirty = c->on_starved = false;
	mbq_clear(&c->txq);
	c->tx_cur = NULL;
	rx_prune(c);
	c->state = ST_CLOSED;
}

void
conn_free(struct pst_tcp_conn *c)
{
	struct pst_tcp *t = c->t;

	conn_unlist(c);
	if (c->on_ready)
		TAILQ_REMOVE(&t->ready, c, ready);
	mbq_clear(&c->rxq);
	c->on_ready = false;
	c->hnext = t->free;
	t->free = c;
	t->nconns--;
}

void
conn_die(struct pst_tcp_conn *c, enum pst_tcp_error e)
{
	struct pst_tcp_counters *n = &c->t->cnt;

	/* RFC 4022: attempts that fail, and resets of established connections. */
	if (c->state == ST_SYN_SENT || c->state == ST_SYN_RCVD)
		n->attempt_fails++;
	else if (c->state == ST_ESTABLISHED || c->state == ST_CLOSE_WAIT)
		n->estab_resets++;
	n->timeouts += e == PST_TCP_ERR_TIMEOUT;
	if (!c->held) {
		conn_free(c);
		return;
	}
	conn_unlist(c);
	mbq_clear(&c->rxq);
	c->error = e;
	conn_event(c, PST_TCP_EV_ERROR);
}

void
conn_done(struct pst_tcp_conn *c)
{
	if (c->held)
		conn_unlist(c);
	else
		conn_free(c);
}

void
conn_event(struct pst_tcp_conn *c, unsigned ev)
{
	if (!c->held)
		return;
	c->events |= (uint8_t)ev;
	if (!c->on_ready) {
		TAILQ_INSERT_TAIL(&c->t->ready, c, ready);
		c->on_ready = true;
	}
}

void
conn_dirty(struct pst_tcp_conn *c)
{
	if (!c->on_dirty && c->state != ST_CLOSED) {
		TAILQ_INSERT_TAIL(&c->t->dirty, c, dirty);
		c->on_dirty = true;
	}
}

void
conn_starve(struct pst_tcp_conn *c)
{
	struct pst_tcp *t = c->t;

	if (c->on_starved || c->state == ST_CLOSED)
		return;
	TAILQ_INSERT_TAIL(&t->starved, c, starved);
	c->on_starved = true;
	if (!pst_timer_armed(&t->starved_timer))
		pst_timer_arm(&t->wheel, &t->starved_timer, t->now_ms + STARVED_POLL_MS);
}

/* The largest segment payload the way out allows, options not counted. */
uint16_t
conn_path_mss(struct pst_tcp *t, const struct tuple *tu)
{
	unsigned headers = TCP_HDR_MIN + (pst_ip_is4(&tu->remote) ? 20 : 40);
	struct pst_net_path path;

	if (pst_net_path(t->net, &tu->remote, &path) != PST_OK || path.mtu < headers + MSS_MIN)
		return pst_ip_is4(&tu->remote) ? MSS_DEFAULT_V4 : MSS_DEFAULT_V6;
	return (uint16_t)(path.mtu - headers);
}

void
conn_set_mss(struct pst_tcp_conn *c, uint32_t peer_mss)
{
	uint32_t mss = PST_MIN((uint32_t)conn_path_mss(c->t, &c->tuple), peer_mss);

	/* RFC 6691: options come out of the segment, the MSS option does not count them. */
	mss = PST_MAX(mss, (uint32_t)MSS_MIN);
	c->mss = mss - (c->ts_on ? TCP_TS_LEN : 0);
}

/* The handshake is over: congestion state, timers, and the news. */
void
conn_establish(struct pst_tcp_conn *c)
{
	cc_init(&c->cc, c->mss, c->syn_lost);
	/* RFC 6298 5.7: a SYN that was repeated without a sample makes the RTO 3 seconds. */
	if (c->syn_lost && c->rto.srtt_us == 0)
		rto_init(&c->rto, PST_MIN(3000u, c->rto.max_ms), c->rto.min_ms, c->rto.max_ms);
	c->rto.shift = 0;
	c->state = c->fin_queued ? ST_FIN_WAIT_1 : ST_ESTABLISHED;
	c->rcv_mss = (uint16_t)PST_MIN(c->mss, (uint32_t)MSS_DEFAULT_V4);
	c->stalled_ms = 0;
	conn_timer_off(c, T_RTX);
	conn_timer_idle(c);
	conn_event(c, c->active ? PST_TCP_EV_CONNECTED : PST_TCP_EV_ACCEPT);
	if (c->want_write && !c->fin_queued)
		conn_event(c, PST_TCP_EV_WRITE);
	c->want_write = false;
	conn_dirty(c);
}

void
conn_time_wait(struct pst_tcp_conn *c)
{
	c->state = ST_TIME_WAIT;
	conn_timer_off(c, T_RTX);
	if (c->ack_now)
		conn_send_ack(c);
	conn_timer_off(c, T_ACK);
	if (c->held) {
		conn_timer_idle(c);
		return;
	}
	tw_add(c->t, c);
	conn_free(c);
}
