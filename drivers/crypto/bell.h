/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How one thread sleeps until any of several gives it work, with no wake-up lost and no system
 * call while it is awake.
 *
 *   sleeper: bell_doze; nothing to do still? bell_sleep; bell_rise
 *   giver:   put the work where the sleeper looks; bell_ring
 *
 * Each side writes one thing and then reads the other's: the giver its work, then `dozing`;
 * the sleeper `dozing`, then the work. Both touch `dozing` by an exchange, and exchanges on one
 * word have one order. If the giver's is first, the sleeper's sees (acquires) the work that
 * was there before it; if the sleeper's is first, the giver sees that it dozes and writes the
 * eventfd, which stays readable until it is read. Plain loads and stores would allow both to
 * miss each other, on x86 too.
 */
#ifndef BELL_H
#define BELL_H

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <unistd.h>
#include <sys/eventfd.h>

struct bell {
	atomic_bool dozing;
	int efd;
};

static inline bool
bell_init(struct bell *b)
{
	atomic_init(&b->dozing, false);
	b->efd = eventfd(0, EFD_CLOEXEC);
	return b->efd >= 0;
}

static inline void
bell_fini(struct bell *b)
{
	if (b->efd >= 0)
		close(b->efd);
	b->efd = -1;
}

/* Any thread. */
static inline void
bell_ring(struct bell *b)
{
	/* Pairs with the exchange in bell_doze. */
	if (!atomic_exchange_explicit(&b->dozing, false, memory_order_acq_rel))
		return;
	while (eventfd_write(b->efd, 1) != 0 && errno == EINTR)
		;
}

static inline void
bell_doze(struct bell *b)
{
	/* Pairs with the exchange in bell_ring. */
	atomic_exchange_explicit(&b->dozing, true, memory_order_acq_rel);
}

/* Returns when it was rung since bell_doze, at times without cause. */
static inline void
bell_sleep(struct bell *b)
{
	eventfd_t n;

	while (eventfd_read(b->efd, &n) != 0 && errno == EINTR)
		;
}

static inline void
bell_rise(struct bell *b)
{
	/* If it was rung meanwhile, the eventfd is readable: one sleep more without cause. */
	atomic_store_explicit(&b->dozing, false, memory_order_relaxed);
}

#endif
