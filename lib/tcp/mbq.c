/* SPDX-License-Identifier: BSD-3-Clause */
#include "mbq.h"

#include <pst_base.h>
#include <rte_memcpy.h>

#define SMALL      1024 /* received pieces below are copied into the tail when it has room */
#define WRITE_BULK 64   /* mbufs taken from the pool at a time */

void
mb_free(struct rte_mbuf *m)
{
	m->next = NULL;
	m->nb_segs = 1;
	rte_pktmbuf_free_seg(m);
}

void
mb_free_all(struct rte_mbuf *m)
{
	while (m != NULL) {
		struct rte_mbuf *next = m->next;

		mb_free(m);
		m = next;
	}
}

uint32_t
mb_len(const struct rte_mbuf *m)
{
	uint32_t n = 0;

	for (; m != NULL; m = m->next)
		n += m->data_len;
	return n;
}

struct rte_mbuf *
mb_drop(struct rte_mbuf *m, uint32_t n)
{
	while (m != NULL && n >= m->data_len) {
		struct rte_mbuf *next = m->next;

		n -= m->data_len;
		mb_free(m);
		m = next;
	}
	if (m != NULL) {
		m->data_off = (uint16_t)(m->data_off + n);
		m->data_len = (uint16_t)(m->data_len - n);
	}
	return m;
}

/* Unlinks empty segments: a driver or a peer's scatter list may hold some. */
static struct rte_mbuf *
drop_empty(struct rte_mbuf *m)
{
	struct rte_mbuf **link = &m;

	while (*link != NULL) {
		struct rte_mbuf *s = *link;

		if (s->data_len != 0) {
			link = &s->next;
			continue;
		}
		*link = s->next;
		mb_free(s);
	}
	return m;
}

struct rte_mbuf *
mb_keep(struct rte_mbuf *m, uint32_t n)
{
	for (struct rte_mbuf *s = m; s != NULL; s = s->next) {
		s->data_len = (uint16_t)PST_MIN((uint32_t)s->data_len, n);
		n -= s->data_len;
	}
	return drop_empty(m);
}

bool
mb_exclusive(const struct rte_mbuf *m)
{
	return RTE_MBUF_DIRECT(m) && rte_mbuf_refcnt_read(m) == 1;
}

void
mbq_link(struct mbq *q, struct rte_mbuf *m)
{
	if (m == NULL)
		return;
	if (q->head == NULL)
		q->head = m;
	else
		q->tail->next = m;
	for (; m != NULL; m = m->next) {
		q->len += m->data_len;
		q->tail = m;
	}
}

static bool
fits_tail(const struct mbq *q, uint32_t n)
{
	return q->tail != NULL && mb_exclusive(q->tail) && rte_pktmbuf_tailroom(q->tail) >= n;
}

static void
copy_to_tail(struct mbq *q, const void *p, uint32_t n)
{
	struct rte_mbuf *t = q->tail;

	rte_memcpy(rte_pktmbuf_mtod_offset(t, uint8_t *, t->data_len), p, n);
	t->data_len = (uint16_t)(t->data_len + n);
	q->len += n;
}

/* One segment, copied or linked. */
static void
add_segment(struct mbq *q, struct rte_mbuf *m, struct rte_mempool *pool)
{
	struct rte_mbuf *fresh;

	m->next = NULL;
	if (m->data_len > SMALL) {
		mbq_link(q, m);
		return;
	}
	if (!fits_tail(q, m->data_len)) {
		/* A shared buffer has no room that is ours: start one that has. */
		if (mb_exclusive(m) || (fresh = rte_pktmbuf_alloc(pool)) == NULL) {
			mbq_link(q, m);
			return;
		}
		mbq_link(q, fresh);
	}
	copy_to_tail(q, rte_pktmbuf_mtod(m, const void *), m->data_len);
	mb_free(m);
}

void
mbq_add_received(struct mbq *q, struct rte_mbuf *m, struct rte_mempool *pool)
{
	m = drop_empty(m);
	while (m != NULL) {
		struct rte_mbuf *next = m->next;

		add_segment(q, m, pool);
		m = next;
	}
}

static void
fill_tail(struct mbq *q, const uint8_t **p, uint32_t *n)
{
	uint32_t take;

	if (*n == 0 || q->tail == NULL || !RTE_MBUF_DIRECT(q->tail))
		return;
	/* Clones of the bytes before may be in flight; those behind them are still ours. */
	take = PST_MIN((uint32_t)rte_pktmbuf_tailroom(q->tail), *n);
	copy_to_tail(q, *p, take);
	*p += take;
	*n -= take;
}

/* Enough empty mbufs for n bytes, linked; NULL when the pool has not as many. */
static struct rte_mbuf *
alloc_room(struct rte_mempool *pool, uint32_t n)
{
	uint32_t room = (uint32_t)rte_pktmbuf_data_room_size(pool) - RTE_PKTMBUF_HEADROOM;
	uint32_t need = (n + room - 1) / room;
	struct rte_mbuf *head = NULL, *bulk[WRITE_BULK];

	while (need > 0) {
		unsigned k = PST_MIN(need, (uint32_t)WRITE_BULK);

		if (rte_pktmbuf_alloc_bulk(pool, bulk, k) != 0) {
			mb_free_all(head);
			return NULL;
		}
		for (unsigned i = 0; i < k; i++) {
			bulk[i]->next = head;
			head = bulk[i];
		}
		need -= k;
	}
	return head;
}

bool
mbq_write(struct mbq *q, struct rte_mempool *pool, const uint8_t *p, uint32_t n)
{
	uint32_t room = q->tail != NULL ? rte_pktmbuf_tailroom(q->tail) : 0;
	struct rte_mbuf *fresh = NULL;

	if (n > room && (fresh = alloc_room(pool, n - room)) == NULL)
		return false;
	fill_tail(q, &p, &n);
	while (fresh != NULL) {
		struct rte_mbuf *next = fresh->next;

		fresh->next = NULL;
		mbq_link(q, fresh);
		fill_tail(q, &p, &n);
		fresh = next;
	}
	return true;
}

void
mbq_drop(struct mbq *q, uint32_t n)
{
	q->len -= n;
	q->head = mb_drop(q->head, n);
	if (q->head == NULL)
		q->tail = NULL;
}

void
mbq_clear(struct mbq *q)
{
	mb_free_all(q->head);
	*q = (struct mbq){0};
}
