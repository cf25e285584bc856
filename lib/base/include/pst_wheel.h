/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Hierarchical timer wheel: 1 ms ticks, four levels of 256 slots (49 days),
 * intrusive links, O(1) arm and cancel (Varghese and Lauck 1987, scheme 6/7).
 *
 * Time is an argument, so the wheel runs on a virtual clock as well. A timer is
 * embedded in what it times. Expiry never calls back into a half-changed owner:
 * pst_wheel_expire hands out due timers one at a time, already disarmed.
 *
 *   pst_wheel_advance(w, now_ms);
 *   while ((t = pst_wheel_expire(w)) != NULL)
 *           ... pst_container_of(t, struct my, timer) ...
 *
 * A timer never fires early; it may fire late by a tick plus the caller's delay.
 * One owner, one thread.
 */
#ifndef PST_WHEEL_H
#define PST_WHEEL_H

#include <pst_base.h>
#include <sys/queue.h>

struct pst_timer {
	TAILQ_ENTRY(pst_timer) link;
	uint64_t deadline_ms; /* absolute; valid while armed */
	uint16_t slot;        /* private: level and slot, or PST_TIMER_IDLE */
	uint16_t kind;        /* the owner's: which of its timers this is */
};

#define PST_TIMER_IDLE 0xffff
#define PST_TIMER_NONE UINT64_MAX

TAILQ_HEAD(pst_timer_list, pst_timer);

struct pst_wheel {
	uint64_t now_ms;
	uint64_t armed; /* timers in the wheel or due */
	struct pst_timer_list slots[4][256];
	uint64_t used[4][4]; /* bitmap of slots that hold something */
	struct pst_timer_list due;
};

void pst_wheel_init(struct pst_wheel *w, uint64_t now_ms);

static inline void
pst_timer_init(struct pst_timer *t, uint16_t kind)
{
	*t = (struct pst_timer){.slot = PST_TIMER_IDLE, .kind = kind};
}

static inline bool
pst_timer_armed(const struct pst_timer *t)
{
	return t->slot != PST_TIMER_IDLE;
}

/* Arms or re-arms. A deadline in the past fires at the next expire. */
void pst_timer_arm(struct pst_wheel *w, struct pst_timer *t, uint64_t deadline_ms);
void pst_timer_cancel(struct pst_wheel *w, struct pst_timer *t); /* idle timers too */

void pst_wheel_advance(struct pst_wheel *w, uint64_t now_ms);
struct pst_timer *pst_wheel_expire(struct pst_wheel *w); /* NULL when none is due */

/*
 * The earliest instant at which advance might find something due: exact for
 * timers within 256 ms, a lower bound beyond. PST_TIMER_NONE when none is armed.
 */
uint64_t pst_wheel_next(const struct pst_wheel *w);

#endif
