/* SPDX-License-Identifier: BSD-3-Clause */
/* The wire: a heap of frames by time of arrival, and the dice. */
#include "sim.h"

#include <stdlib.h>

/* splitmix64: quick, and only the dice depend on it. */
uint64_t
wire_random(struct wire *w)
{
	uint64_t z = w->rng += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

uint32_t
wire_below(struct wire *w, uint32_t bound)
{
	return (uint32_t)((wire_random(w) >> 32) * bound >> 32);
}

static bool
chance(struct wire *w, double percent)
{
	return percent > 0 && (double)(wire_random(w) >> 11) * 0x1p-53 * 100 < percent;
}

void
wire_init(struct wire *w, const struct wire_conf *conf, uint64_t seed)
{
	*w = (struct wire){.conf = *conf, .rng = seed};
}

void
wire_fini(struct wire *w)
{
	for (unsigned i = 0; i < w->n; i++)
		free(w->heap[i].bytes);
	for (unsigned i = 0; i < w->nspare; i++)
		free(w->spare[i]);
	free(w->heap);
	free(w->spare);
}

static void *
grown(void *p, unsigned n, unsigned *cap, size_t size)
{
	if (n < *cap)
		return p;
	*cap = *cap ? *cap * 2 : 256;
	p = realloc(p, *cap * size);
	if (p == NULL)
		abort();
	return p;
}

static bool
before(const struct frame *a, const struct frame *b)
{
	return a->at != b->at ? a->at < b->at : a->order < b->order;
}

static void
push(struct wire *w, struct frame f)
{
	unsigned i = w->n++;

	w->heap = grown(w->heap, i, &w->cap, sizeof(*w->heap));
	for (; i > 0 && before(&f, &w->heap[(i - 1) / 2]); i = (i - 1) / 2)
		w->heap[i] = w->heap[(i - 1) / 2];
	w->heap[i] = f;
}

bool
wire_pop(struct wire *w, uint64_t now, struct frame *f)
{
	struct frame last;
	unsigned i = 0, k;

	if (w->n == 0 || w->heap[0].at > now)
		return false;
	*f = w->heap[0];
	last = w->heap[--w->n];
	while ((k = 2 * i + 1) < w->n) {
		if (k + 1 < w->n && before(&w->heap[k + 1], &w->heap[k]))
			k++;
		if (!before(&w->heap[k], &last))
			break;
		w->heap[i] = w->heap[k];
		i = k;
	}
	w->heap[i] = last;
	return true;
}

uint64_t
wire_next(const struct wire *w)
{
	return w->n == 0 ? UINT64_MAX : w->heap[0].at;
}

static uint8_t *
buffer(struct wire *w)
{
	uint8_t *p = w->nspare > 0 ? w->spare[--w->nspare] : malloc(SIM_FRAME_MAX);

	if (p == NULL)
		abort();
	return p;
}

void
wire_release(struct wire *w, struct frame *f)
{
	w->spare = grown(w->spare, w->nspare, &w->spare_cap, sizeof(*w->spare));
	w->spare[w->nspare++] = f->bytes;
}

static void
copy_out(const struct rte_mbuf *m, uint8_t *to)
{
	for (; m != NULL; m = m->next) {
		memcpy(to, rte_pktmbuf_mtod(m, const void *), m->data_len);
		to += m->data_len;
	}
}

static void
send_copy(struct wire *w, uint64_t now, uint8_t to, const struct rte_mbuf *m)
{
	struct frame f = {.at = now + w->conf.delay,
		.order = w->order++,
		.to = to,
		.len = (uint16_t)m->pkt_len,
		.bytes = buffer(w)};

	copy_out(m, f.bytes);
	if (chance(w, w->conf.reorder)) {
		/* Late by up to one more delay: frames sent after it overtake it. */
		f.at += wire_random(w) % (w->conf.delay + 1);
		w->reordered++;
	}
	if (chance(w, w->conf.corrupt)) {
		uint32_t bit = wire_below(w, f.len * 8u);

		f.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		w->damaged++;
	}
	push(w, f);
}

static void
answer_too_big(struct wire *w, uint64_t now, uint8_t from, const struct rte_mbuf *m)
{
	struct frame f = {
		.at = now + w->conf.delay, .order = w->order++, .to = from, .bytes = buffer(w)};
	uint8_t copy[SIM_FRAME_MAX];

	copy_out(m, copy);
	f.len = too_big(copy, (uint16_t)m->pkt_len, w->conf.mtu, f.bytes);
	if (f.len != 0)
		push(w, f);
	else
		wire_release(w, &f);
}

void
wire_send(struct wire *w, uint64_t now, uint8_t to, const struct rte_mbuf *m)
{
	bool wide = w->conf.mtu != 0 && m->pkt_len > w->conf.mtu + 14u;

	w->sent++;
	if (w->conf.cut || wide || m->pkt_len > SIM_FRAME_MAX || chance(w, w->conf.loss)) {
		w->lost++;
		if (wide && w->tell && m->pkt_len <= SIM_FRAME_MAX)
			answer_too_big(w, now, !to, m);
		return;
	}
	send_copy(w, now, to, m);
	if (chance(w, w->conf.dup)) {
		w->doubled++;
		send_copy(w, now, to, m);
	}
}
