/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Handshakes that somebody else has paused (pst_named.h): a lane's slots, and the queue of
 * those that were answered.
 *
 * A slot's word is its generation and one bit: answered, and on the queue or on the way
 * there. Who sets the bit (pst_named_answered, any thread) pushes the slot, and nobody else
 * does until the worker has taken it off and cleared the bit: so the queue is a stack whose
 * links are in the slots, never full, and taken whole. A slot that is given up while its bit
 * is set becomes free when the worker meets it there.
 *
 * Slots are made in chunks and kept: a number may come when its connection is long gone.
 */
#include "engine_int.h"
#include <stdlib.h>

#define CHUNK     256
#define CHUNKS    256 /* 65 536 handshakes at a time; more run without pausing */
#define SLOT_BITS 16
#define LANE_BITS 12
#define LANES     (1u << LANE_BITS)
#define GEN_BITS  (64 - SLOT_BITS - LANE_BITS)
#define GEN_MASK  ((1ull << GEN_BITS) - 1)
#define ANSWERED  1ull

struct pst_named_slot {
	_Atomic uint64_t word;       /* generation * 2 + ANSWERED */
	struct pst_named_slot *next; /* answered, or free */
	struct pst_waiter *w;        /* NULL: nobody's */
	unsigned index;
};

struct named_lane {
	_Alignas(64) _Atomic(struct pst_named_slot *) answered;
	_Alignas(64) struct pst_lane *lane;
	const struct pst_named *named;
	unsigned number;
	struct pst_named_slot *free;
	unsigned nchunks, npaused, norphans;
	struct waiter_list orphans; /* their owners are gone, their answers are awaited */
	_Atomic(struct pst_named_slot *) chunks[CHUNKS];
};

/* By number. One whose answers never came stays here, with all that it holds. */
static _Atomic(struct named_lane *) lanes[LANES];

/* ---- slots ---- */

static bool
more_slots(struct named_lane *nl)
{
	struct pst_named_slot *chunk;

	if (nl->nchunks == CHUNKS || (chunk = calloc(CHUNK, sizeof(*chunk))) == NULL)
		return false;
	for (unsigned i = CHUNK; i-- > 0;) {
		chunk[i].index = nl->nchunks * CHUNK + i;
		chunk[i].next = nl->free;
		nl->free = &chunk[i];
	}
	atomic_store_explicit(&nl->chunks[nl->nchunks], chunk, memory_order_release);
	nl->nchunks++;
	return true;
}

uint64_t
pst_named_begin(struct pst_waiter *w)
{
	struct named_lane *nl = pst_lane_here != NULL ? pst_lane_here->named : NULL;
	struct pst_named_slot *s;
	uint64_t gen;

	if (nl == NULL || (nl->free == NULL && !more_slots(nl)))
		return 0;
	s = nl->free;
	nl->free = s->next;
	s->w = w;
	w->slot = s;
	gen = (atomic_load_explicit(&s->word, memory_order_relaxed) / 2 + 1) & GEN_MASK;
	gen += gen == 0; /* so that no number is 0 */
	atomic_store(&s->word, gen * 2);
	return gen << (SLOT_BITS + LANE_BITS) | (uint64_t)nl->number << SLOT_BITS | s->index;
}

static void
slot_free(struct named_lane *nl, struct pst_named_slot *s)
{
	s->next = nl->free;
	nl->free = s;
}

/* From here on an answer to this generation finds another one. */
void
pst_named_end(struct pst_waiter *w)
{
	struct pst_named_slot *s = w->slot;
	struct named_lane *nl = pst_lane_here != NULL ? pst_lane_here->named : NULL;
	uint64_t word;

	if (s == NULL || nl == NULL)
		return;
	w->slot = NULL;
	s->w = NULL;
	word = atomic_load(&s->word);
	while ((word & ANSWERED) == 0 && !atomic_compare_exchange_weak(&s->word, &word, word + 2))
		;
	if ((word & ANSWERED) == 0)
		slot_free(nl, s);
}

/* ---- answers ---- */

static struct pst_named_slot *
find(struct named_lane *nl, unsigned index)
{
	struct pst_named_slot *chunk =
		atomic_load_explicit(&nl->chunks[index / CHUNK], memory_order_acquire);

	return chunk != NULL ? &chunk[index % CHUNK] : NULL;
}

void
pst_named_answered(uint64_t number)
{
	struct named_lane *nl = atomic_load(&lanes[number >> SLOT_BITS & (LANES - 1)]);
	uint64_t word = (number >> (SLOT_BITS + LANE_BITS)) * 2;
	struct pst_named_slot *s;

	if (nl == NULL || (s = find(nl, number & ((1u << SLOT_BITS) - 1))) == NULL)
		return;
	/* Sequentially consistent, as the store of pst_lane_sleep's flag is. */
	if (!atomic_compare_exchange_strong(&s->word, &word, word | ANSWERED))
		return;
	s->next = atomic_load(&nl->answered);
	while (!atomic_compare_exchange_weak(&nl->answered, &s->next, s))
		;
	if (nl->lane->e != NULL)
		pst_engine_wake(nl->lane->e, nl->lane->index);
}

bool
pst_named_paused(struct pst_waiter *w)
{
	struct pst_lane *l = pst_lane_here;

	if (w->slot == NULL || l == NULL || l->named == NULL)
		return false;
	w->foreign = true;
	l->jobs_in_use++;
	l->c.paused++;
	l->named->npaused++;
	return true;
}

static void
answered(struct pst_lane *l, struct pst_waiter *w)
{
	if (!w->foreign)
		return; /* it was answered before it paused, and is being called anyway */
	w->foreign = false;
	l->jobs_in_use--;
	l->named->npaused--;
	l->c.completed++;
	if (w->bury == NULL) {
		pst_waiter_ready(l, w);
		return;
	}
	TAILQ_REMOVE(&l->named->orphans, w, link);
	l->named->norphans--;
	w->bury(w);
}

/* The stack has the last answer on top: turned round, so that nobody starves. */
static struct pst_named_slot *
take_all(struct named_lane *nl)
{
	struct pst_named_slot *s = atomic_exchange(&nl->answered, NULL), *first = NULL;

	while (s != NULL) {
		struct pst_named_slot *next = s->next;

		s->next = first;
		first = s;
		s = next;
	}
	return first;
}

bool
pst_named_poll(struct pst_lane *l)
{
	struct named_lane *nl = l->named;
	struct pst_named_slot *s, *next;
	bool polled = nl->npaused > 0 && nl->named->poll != NULL;

	if (polled)
		nl->named->poll(nl->named->arg);
	if (atomic_load_explicit(&nl->answered, memory_order_relaxed) == NULL)
		return polled; /* who must be polled lets no worker sleep */
	for (s = take_all(nl); s != NULL; s = next) {
		next = s->next;
		/* Cleared before the handshake is called: its next answer counts anew. */
		if (s->w == NULL) {
			atomic_store(&s->word, (atomic_load(&s->word) & ~ANSWERED) + 2);
			slot_free(nl, s);
			continue;
		}
		atomic_fetch_and(&s->word, ~ANSWERED);
		answered(l, s->w);
	}
	return true;
}

/* ---- owners that go ---- */

void
pst_named_orphan(struct pst_lane *l, struct pst_waiter *w)
{
	TAILQ_INSERT_TAIL(&l->named->orphans, w, link);
	l->named->norphans++;
}

unsigned
pst_named_orphans(const struct pst_lane *l)
{
	return l->named != NULL ? l->named->norphans : 0;
}

/* ---- life ---- */

static bool
take_number(struct named_lane *nl)
{
	for (unsigned i = 0; i < LANES; i++) {
		struct named_lane *none = NULL;

		nl->number = i;
		if (atomic_compare_exchange_strong(&lanes[i], &none, nl))
			return true;
	}
	return false;
}

bool
pst_named_lane_new(struct pst_lane *l, const struct pst_named *named)
{
	struct named_lane *nl = aligned_alloc(64, (sizeof(*nl) + 63) / 64 * 64);

	if (nl == NULL)
		return false;
	memset(nl, 0, sizeof(*nl));
	TAILQ_INIT(&nl->orphans);
	nl->lane = l;
	nl->named = named;
	if (!take_number(nl)) {
		free(nl);
		return false;
	}
	l->named = nl;
	return true;
}

/* False: answers are still out, and what they would find must stay. */
bool
pst_named_lane_free(struct pst_lane *l)
{
	struct named_lane *nl = l->named;

	if (nl == NULL)
		return true;
	if (nl->norphans > 0)
		return false;
	atomic_store(&lanes[nl->number], NULL);
	for (unsigned i = 0; i < nl->nchunks; i++)
		free(atomic_load(&nl->chunks[i]));
	free(nl);
	l->named = NULL;
	return true;
}
