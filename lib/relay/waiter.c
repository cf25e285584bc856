/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Questions to DNS that sessions wait for. An answer comes with a cookie of slot and
 * generation, never with a pointer: a session that ended first is harmless.
 */
#include "relay.h"

#include <stdlib.h>

static bool
grow(struct waiting *w)
{
	unsigned cap = w->cap == 0 ? 64 : w->cap * 2;
	struct waiter **slots = realloc(w->slots, cap * sizeof(struct waiter *));

	if (slots == NULL)
		return false;
	for (unsigned i = w->cap; i < cap; i++)
		slots[i] = NULL;
	w->slots = slots;
	w->cap = cap;
	return true;
}

/* The next free slot after the last one given out: they are used in turn. */
static struct waiter *
waiter_new(struct waiting *w, struct session *s)
{
	struct waiter *q;
	unsigned i;

	if (w->n == w->cap && !grow(w))
		return NULL;
	q = calloc(1, sizeof(*q));
	if (q == NULL)
		return NULL;
	w->generation++;
	for (i = w->generation % w->cap; w->slots[i] != NULL; i = (i + 1) % w->cap)
		;
	*q = (struct waiter){.s = s, .slot = i, .generation = w->generation};
	w->slots[i] = q;
	w->n++;
	LIST_INSERT_HEAD(&s->waiters, q, link);
	return q;
}

static void
waiter_free(struct waiting *w, struct waiter *q)
{
	if (q->s != NULL)
		LIST_REMOVE(q, link);
	w->slots[q->slot] = NULL;
	w->n--;
	free(q);
}

enum pst_rc
waiter_ask(struct session *s, enum pst_names_kind kind, struct pst_span key)
{
	struct shard *sh = s->sh;
	struct waiter *q = waiter_new(&sh->waiting, s);
	enum pst_rc rc;

	if (q == NULL)
		return PST_NOMEM;
	rc = pst_names_ask(
		s->snap->names, sh->worker, kind, key, (uint64_t)q->generation << 32 | q->slot);
	if (rc != PST_OK)
		waiter_free(&sh->waiting, q);
	return rc;
}

static void
answered(struct shard *sh, const struct pst_names_done *done)
{
	struct waiting *w = &sh->waiting;
	uint32_t slot = (uint32_t)done->cookie;
	struct waiter *q = slot < w->cap ? w->slots[slot] : NULL;
	struct session *s;

	if (q == NULL || q->generation != (uint32_t)(done->cookie >> 32))
		return;
	s = q->s;
	waiter_free(w, q);
	if (s != NULL)
		session_named(s, done->answer);
}

void
waiter_poll(struct shard *sh)
{
	/* Set once, before the first snapshot that asks. */
	struct pst_names *names = __atomic_load_n(&sh->relay->names, __ATOMIC_ACQUIRE);
	struct pst_names_done done[16];
	unsigned n;

	if (names == NULL || sh->waiting.n == 0)
		return;
	n = pst_names_completed(names, sh->worker, done, PST_COUNT(done));
	for (unsigned i = 0; i < n; i++) {
		answered(sh, &done[i]);
		free(done[i].answer);
	}
}

void
waiter_forget(struct session *s)
{
	struct waiter *q;

	while ((q = LIST_FIRST(&s->waiters)) != NULL) {
		LIST_REMOVE(q, link);
		q->s = NULL; /* its slot stays taken until the answer comes */
	}
}

/* At the worker's end: answers that come later find nobody. */
void
waiting_fini(struct shard *sh)
{
	struct waiting *w = &sh->waiting;

	for (unsigned i = 0; i < w->cap; i++) {
		if (w->slots[i] != NULL)
			waiter_free(w, w->slots[i]);
	}
	free(w->slots);
	*w = (struct waiting){0};
}
