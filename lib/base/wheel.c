/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The timer wheel of pst_wheel.h.
 *
 * A timer whose deadline lies d ticks ahead sits on the lowest level k with
 * d < 256^(k+1), in slot (deadline >> 8k) & 255. So on level 0 a slot holds
 * timers of one tick; on a higher level it is emptied ("cascaded") when the
 * clock enters the tick that begins it, and its timers then fit a lower level.
 * One bit a slot lets advance and next jump over empty ones, so a virtual clock
 * may leap. Deadlines beyond the last level wait in its farthest slot and are
 * placed anew from there.
 */
#include <pst_wheel.h>

#define LEVELS   4
#define BITS     8
#define SLOTS    256
#define SLOT_DUE 0xfffe /* on the due list */
#define FARTHEST (((uint64_t)1 << (LEVELS * BITS)) - 1)

void
pst_wheel_init(struct pst_wheel *w, uint64_t now_ms)
{
	*w = (struct pst_wheel){.now_ms = now_ms};
	for (unsigned l = 0; l < LEVELS; l++)
		for (unsigned s = 0; s < SLOTS; s++)
			TAILQ_INIT(&w->slots[l][s]);
	TAILQ_INIT(&w->due);
}

static void
put_due(struct pst_wheel *w, struct pst_timer *t)
{
	t->slot = SLOT_DUE;
	TAILQ_INSERT_TAIL(&w->due, t, link);
}

/* Links a timer where its deadline belongs as seen from now_ms; does not count it. */
static void
place(struct pst_wheel *w, struct pst_timer *t)
{
	uint64_t at = t->deadline_ms;
	unsigned level = 0, slot;

	if (at <= w->now_ms) {
		put_due(w, t);
		return;
	}
	if (at - w->now_ms > FARTHEST)
		at = w->now_ms + FARTHEST;
	while ((at - w->now_ms) >> ((level + 1) * BITS) != 0)
		level++;
	slot = (unsigned)(at >> (level * BITS)) & (SLOTS - 1);
	t->slot = (uint16_t)(level * SLOTS + slot);
	TAILQ_INSERT_TAIL(&w->slots[level][slot], t, link);
	w->used[level][slot / 64] |= (uint64_t)1 << (slot % 64);
}

static void
unlink_timer(struct pst_wheel *w, struct pst_timer *t)
{
	unsigned level = t->slot / SLOTS, slot = t->slot % SLOTS;

	if (t->slot == SLOT_DUE) {
		TAILQ_REMOVE(&w->due, t, link);
	} else {
		TAILQ_REMOVE(&w->slots[level][slot], t, link);
		if (TAILQ_EMPTY(&w->slots[level][slot]))
			w->used[level][slot / 64] &= ~((uint64_t)1 << (slot % 64));
	}
	t->slot = PST_TIMER_IDLE;
}

void
pst_timer_arm(struct pst_wheel *w, struct pst_timer *t, uint64_t deadline_ms)
{
	if (pst_timer_armed(t))
		unlink_timer(w, t);
	else
		w->armed++;
	t->deadline_ms = deadline_ms;
	place(w, t);
}

void
pst_timer_cancel(struct pst_wheel *w, struct pst_timer *t)
{
	if (!pst_timer_armed(t))
		return;
	unlink_timer(w, t);
	w->armed--;
}

/* How many slots ahead of `from` (1..256, 256 being `from` itself) the next used one is; 0: none.
 */
static unsigned
slots_ahead(const uint64_t used[4], unsigned from)
{
	for (unsigned step = 1; step <= SLOTS;) {
		unsigned s = (from + step) % SLOTS;
		uint64_t word = used[s / 64] >> (s % 64);

		if (word != 0) {
			step += (unsigned)__builtin_ctzll(word);
			return step <= SLOTS ? step : 0;
		}
		step += 64 - s % 64;
	}
	return 0;
}

/* The next instant after now_ms at which a slot must be emptied. */
static uint64_t
next_turn(const struct pst_wheel *w)
{
	uint64_t best = PST_TIMER_NONE;

	for (unsigned l = 0; l < LEVELS; l++) {
		uint64_t base = w->now_ms >> (l * BITS);
		unsigned n = slots_ahead(w->used[l], (unsigned)(base % SLOTS));

		if (n != 0)
			best = PST_MIN(best, (base + n) << (l * BITS));
	}
	return best;
}

static void
empty_slot(struct pst_wheel *w, unsigned level, unsigned slot)
{
	struct pst_timer_list *list = &w->slots[level][slot];
	struct pst_timer *t;
	struct pst_timer_list moved = TAILQ_HEAD_INITIALIZER(moved);

	/* Detached first: a far deadline may be placed into this very slot again. */
	TAILQ_CONCAT(&moved, list, link);
	w->used[level][slot / 64] &= ~((uint64_t)1 << (slot % 64));
	while ((t = TAILQ_FIRST(&moved)) != NULL) {
		TAILQ_REMOVE(&moved, t, link);
		place(w, t);
	}
}

void
pst_wheel_advance(struct pst_wheel *w, uint64_t now_ms)
{
	while (w->now_ms < now_ms) {
		uint64_t turn = next_turn(w);

		if (turn > now_ms) {
			w->now_ms = now_ms;
			return;
		}
		w->now_ms = turn;
		for (unsigned l = LEVELS; l-- > 0;)
			if ((turn & (((uint64_t)1 << (l * BITS)) - 1)) == 0)
				empty_slot(w, l, (unsigned)(turn >> (l * BITS)) % SLOTS);
	}
}

struct pst_timer *
pst_wheel_expire(struct pst_wheel *w)
{
	struct pst_timer *t = TAILQ_FIRST(&w->due);

	if (t != NULL)
		pst_timer_cancel(w, t);
	return t;
}

uint64_t
pst_wheel_next(const struct pst_wheel *w)
{
	return TAILQ_EMPTY(&w->due) ? next_turn(w) : w->now_ms;
}
