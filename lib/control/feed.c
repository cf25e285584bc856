/* SPDX-License-Identifier: BSD-3-Clause */
#include "feed.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define MASK (PST_FEED_BYTES - 1)
#define HEAD 2 /* bytes of a line's length before it */

bool
pst_feed_open(struct pst_feed *f, char *err, size_t errlen)
{
	*f = (struct pst_feed){.wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
	if (f->wake < 0)
		snprintf(err, errlen, "control socket: eventfd: %s", strerror(errno));
	return f->wake >= 0;
}

void
pst_feed_close(struct pst_feed *f, struct pst_logger *lg)
{
	pst_feed_follow(f, lg, false);
	close(f->wake);
}

bool
pst_feed_follow(struct pst_feed *f, struct pst_logger *lg, bool on)
{
	if (on == (f->ring != NULL))
		return true;
	if (on) {
		f->ring = malloc(PST_FEED_BYTES);
		if (f->ring == NULL)
			return false;
		f->head = f->tail = 0;
		f->lost = f->told = 0;
	}
	if (lg != NULL)
		pst_logger_tap(lg, on ? pst_feed_put : NULL, f);
	if (!on) {
		free(f->ring); /* the tap is off: nobody else looks */
		f->ring = NULL;
	}
	return true;
}

static void
copy_in(struct pst_feed *f, uint32_t at, const void *p, size_t n)
{
	size_t first = PST_MIN(n, (size_t)(PST_FEED_BYTES - (at & MASK)));

	memcpy(f->ring + (at & MASK), p, first);
	memcpy(f->ring, (const char *)p + first, n - first);
}

static void
copy_out(const struct pst_feed *f, uint32_t at, void *p, size_t n)
{
	size_t first = PST_MIN(n, (size_t)(PST_FEED_BYTES - (at & MASK)));

	memcpy(p, f->ring + (at & MASK), first);
	memcpy((char *)p + first, f->ring, n - first);
}

void
pst_feed_put(void *feed, struct pst_span line)
{
	struct pst_feed *f = feed;
	uint32_t tail = atomic_load_explicit(&f->tail, memory_order_relaxed); /* ours */
	uint32_t used = tail - atomic_load_explicit(&f->head, memory_order_acquire);
	uint8_t head[HEAD] = {(uint8_t)(line.n >> 8), (uint8_t)line.n};

	if (line.n == 0 || line.n >= PST_LOG_LINE_MAX || PST_FEED_BYTES - used < line.n + HEAD) {
		atomic_fetch_add_explicit(&f->lost, 1, memory_order_relaxed);
		return;
	}
	copy_in(f, tail, head, HEAD);
	copy_in(f, tail + HEAD, line.p, line.n);
	/*
	 * Partner: next(). Either it sees the new tail, or we see that it had read all
	 * before and wake it: both sides store one and then load the other, in one order.
	 */
	atomic_store(&f->tail, tail + HEAD + (uint32_t)line.n);
	if (atomic_load(&f->head) == tail)
		pst_feed_wake(f);
}

size_t
pst_feed_next(struct pst_feed *f, char buf[PST_LOG_LINE_MAX])
{
	uint32_t head = atomic_load_explicit(&f->head, memory_order_relaxed); /* ours */
	uint8_t len[HEAD];
	size_t n;

	if (f->ring == NULL || atomic_load(&f->tail) == head)
		return 0;
	copy_out(f, head, len, HEAD);
	n = (size_t)len[0] << 8 | len[1];
	copy_out(f, head + HEAD, buf, n);
	atomic_store(&f->head, head + HEAD + (uint32_t)n);
	return n;
}

uint64_t
pst_feed_lost(struct pst_feed *f)
{
	uint64_t lost = atomic_load_explicit(&f->lost, memory_order_relaxed), news = lost - f->told;

	f->told = lost;
	return news;
}

void
pst_feed_wake(struct pst_feed *f)
{
	uint64_t one = 1;
	int saved = errno;

	while (write(f->wake, &one, sizeof(one)) < 0 && errno == EINTR)
		; /* EAGAIN: it is awake as can be */
	errno = saved;
}

void
pst_feed_awake(struct pst_feed *f)
{
	uint64_t n;

	while (read(f->wake, &n, sizeof(n)) < 0 && errno == EINTR)
		;
}
