/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Received payload: in order it goes to rxq and the application hears of it;
 * ahead of its turn it waits in a sorted list without overlaps, bounded in
 * number, and is the first thing given up when memory is short (RFC 9293 3.4
 * keeps what is not acknowledged at our discretion).
 *
 * The mbufs of that list carry their first sequence number in hash.usr.
 */
#include "tcb.h"

#define OOO_MIN 64

static uint32_t
start(const struct rte_mbuf *m)
{
	return m->hash.usr;
}

static uint32_t
end(const struct rte_mbuf *m)
{
	return m->hash.usr + m->data_len;
}

/* Keeps the list of those that hold such data: they are asked for it when memory is short. */
static void
note_ahead(struct pst_tcp_conn *c)
{
	if ((c->ooo != NULL) == c->on_ahead)
		return;
	if (c->ooo != NULL)
		TAILQ_INSERT_TAIL(&c->t->ahead, c, ahead);
	else
		TAILQ_REMOVE(&c->t->ahead, c, ahead);
	c->on_ahead = !c->on_ahead;
}

void
rx_prune(struct pst_tcp_conn *c)
{
	mb_free_all(c->ooo);
	c->ooo = c->ooo_last = NULL;
	c->ooo_n = 0;
	note_ahead(c);
}

/* ---- in order ---- */

static void
deliver(struct pst_tcp_conn *c, struct rte_mbuf *m, uint32_t len)
{
	mbq_add_received(&c->rxq, m, c->t->data);
	c->rcv_nxt += len;
	c->bytes_in += len;
	c->t->cnt.in_bytes += len;
}

/* What waited and is now in order. */
static void
drain(struct pst_tcp_conn *c)
{
	while (c->ooo != NULL && seq_le(start(c->ooo), c->rcv_nxt)) {
		struct rte_mbuf *m = c->ooo;
		uint32_t known = c->rcv_nxt - start(m);

		c->ooo = m->next;
		c->ooo_n--;
		m->next = NULL;
		if (known >= m->data_len) {
			mb_free(m);
			continue;
		}
		m = mb_drop(m, known);
		deliver(c, m, m->data_len);
	}
	if (c->ooo == NULL)
		c->ooo_last = NULL;
	note_ahead(c);
}

/* RFC 9293 3.8.6.3: within 500 ms, and at least every second full-sized segment. */
static void
schedule_ack(struct pst_tcp_conn *c)
{
	if (c->quick_acks > 0 || c->rcv_nxt - c->last_ack_sent > c->rcv_mss) {
		c->ack_now = true;
		conn_dirty(c);
	} else if (c->due[T_ACK] == 0) {
		conn_timer_set(c, T_ACK, c->t->now_ms + c->t->conf.delack_ms);
	}
}

static void
rx_in_order(struct pst_tcp_conn *c, struct seg *s)
{
	bool gap = c->ooo != NULL;

	deliver(c, s->m, s->len);
	s->m = NULL;
	if (gap) {
		/* RFC 5681 4.2: "immediate ACK when ... fills in all or part of a gap". */
		drain(c);
		c->ack_now = true;
		conn_dirty(c);
	} else {
		schedule_ack(c);
	}
	conn_event(c, PST_TCP_EV_READ);
}

/* ---- out of order ---- */

static void
link_before(struct pst_tcp_conn *c, struct rte_mbuf **link, struct rte_mbuf *m)
{
	m->next = *link;
	*link = m;
	if (m->next == NULL)
		c->ooo_last = m;
	c->ooo_n++;
}

/* Puts one segment where it belongs; bytes already here stay, new ones lose the overlap. */
static void
insert(struct pst_tcp_conn *c, struct rte_mbuf *m)
{
	struct rte_mbuf **link = &c->ooo, *n;

	if (c->ooo_last != NULL && seq_ge(start(m), end(c->ooo_last)))
		link = &c->ooo_last->next;
	while (*link != NULL && seq_le(end(*link), start(m)))
		link = &(*link)->next;
	while ((n = *link) != NULL && seq_lt(start(n), end(m))) {
		if (seq_le(start(n), start(m))) {
			uint32_t known = end(n) - start(m);

			if (known >= m->data_len) {
				mb_free(m);
				return;
			}
			m->hash.usr += known;
			m->data_off = (uint16_t)(m->data_off + known);
			m->data_len = (uint16_t)(m->data_len - known);
			link = &n->next;
		} else if (seq_le(end(n), end(m))) {
			*link = n->next; /* covered whole by the new one */
			c->ooo_n--;
			mb_free(n);
		} else {
			m->data_len = (uint16_t)(start(n) - start(m));
		}
	}
	link_before(c, link, m);
}

static bool
ooo_allowed(struct pst_tcp_conn *c)
{
	struct pst_tcp *t = c->t;

	if (mem_pressure(t) != MEM_OK) {
		t->cnt.drop_nomem++;
		rx_prune(c);
		return false;
	}
	if (c->ooo_n >= OOO_MIN + t->conf.rcv_buf / 512) {
		t->cnt.drop_ooo_limit++;
		return false;
	}
	return true;
}

static void
rx_ahead(struct pst_tcp_conn *c, struct seg *s)
{
	struct rte_mbuf *m = s->m, *next;
	uint32_t seq = s->seq;

	if (ooo_allowed(c)) {
		c->t->cnt.ooo_segs++;
		s->m = NULL;
		for (; m != NULL; m = next) {
			uint32_t len = m->data_len;

			next = m->next;
			m->next = NULL;
			m->hash.usr = seq;
			seq += len;
			if (len != 0)
				insert(c, m);
			else
				mb_free(m);
		}
		note_ahead(c);
	}
	/* RFC 5681 4.2: "SHOULD send an immediate duplicate ACK", one each and never on data. */
	conn_send_ack(c);
}

void
rx_payload(struct pst_tcp_conn *c, struct seg *s)
{
	c->rcv_mss = (uint16_t)PST_MAX(c->rcv_mss, (uint16_t)PST_MIN(s->len, 65535u));
	if (mem_pressure(c->t) == MEM_CRITICAL) {
		c->t->cnt.drop_nomem++;
		rx_prune(c);
		return;
	}
	if (s->seq == c->rcv_nxt)
		rx_in_order(c, s);
	else
		rx_ahead(c, s);
}
