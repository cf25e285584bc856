/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The sleep and wake-up of crypto lcores (drivers/crypto/bell.h) on plain threads, without EAL
 * and its rings, for ThreadSanitizer.
 *
 * Givers put numbers into boxes of their own and mostly wait until the sleeper has taken them, so
 * that it lies down again and again just when something comes. A wake-up that is lost leaves all
 * of them waiting for each other, which the main thread sees.
 *
 *   tsan_bell                    must end with 0 and no report
 *   tsan_bell --without-looking  a sleeper that does not look again after it said that it dozes
 *   tsan_bell --ringing-first    givers that ring before they give
 *
 * The latter two must fail: they show that the former can.
 */
#include "bell.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#define GIVERS 3
#define GIFTS  20000
#define BOX    64

static bool without_looking, ringing_first;
static struct bell bell;
static _Atomic unsigned long progress;
static _Atomic unsigned finished;

/* One producer, one consumer, as between a lane and an lcore. */
struct box {
	unsigned gift[BOX]; /* plain: the indices order it */
	_Atomic unsigned given, taken;
	unsigned long sum;
};
static struct box boxes[GIVERS];

#define CHECK(cond)                                                                                \
	do {                                                                                       \
		if (!(cond)) {                                                                     \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #cond);         \
			_exit(1);                                                                  \
		}                                                                                  \
	} while (0)

/* ---- givers ---- */

static void
give(struct box *b, unsigned n)
{
	while (n - atomic_load_explicit(&b->taken, memory_order_acquire) >= BOX)
		sched_yield();
	if (ringing_first)
		bell_ring(&bell);
	if (ringing_first && n % 8 == 0)
		sched_yield();
	b->gift[n % BOX] = n * 7;
	atomic_store_explicit(&b->given, n + 1, memory_order_release);
	if (!ringing_first)
		bell_ring(&bell);
}

static void *
giver_main(void *arg)
{
	struct box *b = arg;

	for (unsigned n = 0; n < GIFTS; n++) {
		give(b, n);
		/* One in four at once, so that several lie in the box too. */
		while (n % 4 != 0 && atomic_load_explicit(&b->taken, memory_order_acquire) != n + 1)
			sched_yield();
	}
	atomic_fetch_add(&finished, 1);
	bell_ring(&bell);
	return NULL;
}

/* ---- the sleeper ---- */

static bool
take(struct box *b)
{
	unsigned given = atomic_load_explicit(&b->given, memory_order_acquire);
	unsigned n = atomic_load_explicit(&b->taken, memory_order_relaxed);

	if (n == given)
		return false;
	for (; n != given; n++) {
		CHECK(b->gift[n % BOX] == n * 7);
		b->sum += b->gift[n % BOX];
		atomic_fetch_add(&progress, 1);
	}
	atomic_store_explicit(&b->taken, n, memory_order_release);
	return true;
}

static bool
is_empty(void)
{
	for (unsigned i = 0; i < GIVERS; i++)
		if (atomic_load_explicit(&boxes[i].given, memory_order_acquire) !=
			atomic_load_explicit(&boxes[i].taken, memory_order_relaxed))
			return false;
	return atomic_load(&finished) < GIVERS;
}

static void *
sleeper_main(void *arg)
{
	unsigned *sleeps = arg, quiet = 0, rounds = 0;

	for (bool over = false; !over;) {
		bool found = false;

		over = atomic_load(&finished) == GIVERS;
		for (unsigned i = 0; i < GIVERS; i++)
			found |= take(&boxes[i]);
		/* Lies down after more or less patience, to meet the givers everywhere. */
		if (found || over || ++quiet % 8 < *sleeps % 8)
			continue;
		if (++rounds % 8 == 0)
			sched_yield(); /* something comes now, and must be seen */
		bell_doze(&bell);
		if (without_looking || is_empty()) {
			bell_sleep(&bell);
			++*sleeps;
		}
		bell_rise(&bell);
	}
	return NULL;
}

/* ---- the main thread ---- */

static void
watch(void)
{
	unsigned long seen = 0;
	unsigned still = 0;

	while (atomic_load(&finished) < GIVERS) {
		unsigned long now;

		usleep(10000);
		now = atomic_load(&progress);
		still = now == seen ? still + 1 : 0;
		seen = now;
		CHECK(still < 500 && "no wake-up is lost");
	}
}

int
main(int argc, char **argv)
{
	pthread_t givers[GIVERS], sleeper;
	unsigned sleeps = 0;

	for (int i = 1; i < argc; i++) {
		without_looking |= strcmp(argv[i], "--without-looking") == 0;
		ringing_first |= strcmp(argv[i], "--ringing-first") == 0;
	}
	CHECK(bell_init(&bell));
	CHECK(pthread_create(&sleeper, NULL, sleeper_main, &sleeps) == 0);
	for (unsigned i = 0; i < GIVERS; i++)
		CHECK(pthread_create(&givers[i], NULL, giver_main, &boxes[i]) == 0);
	watch();
	for (unsigned i = 0; i < GIVERS; i++)
		CHECK(pthread_join(givers[i], NULL) == 0);
	CHECK(pthread_join(sleeper, NULL) == 0);
	for (unsigned i = 0; i < GIVERS; i++)
		CHECK(boxes[i].taken == GIFTS && boxes[i].sum == 7ul * GIFTS * (GIFTS - 1) / 2);
	CHECK(sleeps > 100);
	printf("%u gifts, %u sleeps\n", GIVERS * GIFTS, sleeps);
	bell_fini(&bell);
	return 0;
}
