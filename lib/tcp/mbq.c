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

/* Where a write is cut: `edge` bytes before the end of a segment, and then every `step`. */
struct cut {
	uint32_t edge, step;
	uint32_t whole; /* room of an empty mbuf */
};

/*
 * How many of n bytes go where there is room for so many; k moves on by them. A segment that
 * would not fit whole is left to the next mbuf, unless it has begun or fits in none.
 */
static uint32_t
cut_next(struct cut *k, uint32_t room, uint32_t n)
{
	uint32_t take = PST_MIN(room, n);

	if (n > room && k->step <= k->whole) {
		if (k->edge <= room)
			take = k->edge + (room - k->edge) / k->step * k->step;
		else if (k->edge == k->step)
			take = 0;
	}
	k->edge = take < k->edge ? k->edge - take : k->step - (take - k->edge) % k->step;
	return take;
}

static uint32_t
room_behind(const struct mbq *q)
{
	/* Clones of the bytes before may be in flight; those behind them are still ours. */
	return q->tail != NULL && RTE_MBUF_DIRECT(q->tail) ? rte_pktmbuf_tailroom(q->tail) : 0;
}

/* So many empty mbufs, linked; NULL when the pool has not as many. */
static struct rte_mbuf *
alloc_empty(struct rte_mempool *pool, uint32_t need)
{
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

/* How many of them n bytes need beyond the tail. */
static uint32_t
count_fresh(struct cut k, uint32_t room, uint32_t n)
{
	uint32_t need = 0;

	for (n -= cut_next(&k, room, n); n > 0; need++)
		n -= cut_next(&k, k.whole, n);
	return need;
}

bool
mbq_write(struct mbq *q, struct rte_mempool *pool, const uint8_t *p, uint32_t n, uint32_t edge,
	uint32_t step)
{
	uint32_t whole = (uint32_t)rte_pktmbuf_data_room_size(pool) - RTE_PKTMBUF_HEADROOM;
	struct cut k = {.edge = edge, .step = step, .whole = whole};
	uint32_t room = room_behind(q), need = count_fresh(k, room, n), take;
	struct rte_mbuf *fresh = NULL;

	if (need > 0 && (fresh = alloc_empty(pool, need)) == NULL)
		return false;
	if ((take = cut_next(&k, room, n)) > 0)
		copy_to_tail(q, p, take);
	while (fresh != NULL) {
		struct rte_mbuf *next = fresh->next;

		fresh->next = NULL;
		mbq_link(q, fresh);
		p += take;
		n -= take;
		take = cut_next(&k, whole, n);
		copy_to_tail(q, p, take);
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
