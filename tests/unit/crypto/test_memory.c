/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The allocator is called directly: the test runner's libraries use OpenSSL before any test
 * does, so that the hooks are refused here. bench/micro/tls and the program run with them.
 */
#include <criterion/criterion.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include "crypto_int.h"

Test(memory, counting_that_begins_too_late_says_so)
{
	char err[256];
	struct pst_crypto *c = pst_crypto_new(err, sizeof(err));

	cr_expect_eq(pst_crypto_count_memory(), PST_INVAL);
	cr_expect_eq(pst_crypto_live_bytes(), 0);
	pst_crypto_free(c);
}

Test(memory, bytes_are_counted_to_the_last_one_for_every_size)
{
	uint64_t counted = 0;
	void *p, *all[1000];

	for (size_t n = 1; n < 40000; n += 1 + n / 50) {
		p = pst_mem_alloc(n);
		cr_assert_not_null(p);
		cr_expect_geq(malloc_usable_size(p), n);
		cr_expect_eq((uintptr_t)p % 16, 0);
		memset(p, 0xa5, n);
		cr_expect_eq(pst_crypto_live_bytes(), malloc_usable_size(p), "%zu bytes", n);
		pst_mem_free(p);
		cr_expect_eq(pst_crypto_live_bytes(), 0, "%zu bytes", n);
	}
	for (unsigned i = 0; i < PST_COUNT(all); i++) {
		all[i] = pst_mem_alloc(i * 13 + 1);
		counted += malloc_usable_size(all[i]);
	}
	cr_expect_eq(pst_crypto_live_bytes(), counted);
	for (unsigned i = 0; i < PST_COUNT(all); i++)
		pst_mem_free(all[i]);
	cr_expect_eq(pst_crypto_live_bytes(), 0);
}

Test(memory, a_size_finds_again_what_it_gave_back)
{
	if (PST_ASAN)
		cr_skip_test("every call goes to malloc there");
	for (size_t n = 1; n < 33000; n += 1 + n / 50) {
		void *p = pst_mem_alloc(n), *q;
		size_t usable = malloc_usable_size(p);

		pst_mem_free(p);
		cr_expect_eq(pst_crypto_cached_bytes(), usable, "%zu bytes", n);
		q = pst_mem_alloc(n);
		cr_expect_eq(p, q, "%zu bytes", n);
		cr_expect_eq(pst_crypto_cached_bytes(), 0);
		free(q); /* past the lists */
	}
}

Test(memory, rounding_adds_nothing_to_what_idle_sessions_hold)
{
	if (PST_ASAN)
		cr_skip_test("every call goes to malloc there");
	for (size_t n = 1; n <= 8200; n++) {
		void *p = pst_mem_alloc(n), *q = malloc(n);

		cr_expect_leq(malloc_usable_size(p), malloc_usable_size(q) + 16, "%zu bytes", n);
		free(p);
		free(q);
	}
}

Test(memory, what_a_thread_keeps_is_bounded)
{
	enum { N = 20000 };
	static void *p[N];

	for (size_t n = 16; n <= 32768; n *= 2) {
		unsigned count = n < 512 ? N : N / 50;

		for (unsigned i = 0; i < count; i++)
			cr_assert_not_null(p[i] = pst_mem_alloc(n));
		for (unsigned i = 0; i < count; i++)
			pst_mem_free(p[i]);
		cr_expect_leq(pst_crypto_cached_bytes(), PST_MEM_CACHED_MAX);
	}
	cr_expect_eq(pst_crypto_live_bytes(), 0);
	if (!PST_ASAN)
		cr_expect_gt(pst_crypto_cached_bytes(), 0);
}

Test(memory, a_block_keeps_its_bytes_over_every_change_of_size)
{
	static const size_t sizes[] = {1, 24, 25, 100, 1000, 999, 60, 8200, 8201, 20000, 9000,
		32776, 32777, 500000, 400000, 33000, 32000, 2000, 200, 1};
	uint8_t *p = NULL;
	size_t had = 0;

	for (unsigned i = 0; i < PST_COUNT(sizes); i++) {
		size_t kept = PST_MIN(had, sizes[i]);

		p = pst_mem_realloc(p, sizes[i]);
		cr_assert_not_null(p);
		cr_expect_eq(pst_crypto_live_bytes(), malloc_usable_size(p));
		for (size_t k = 0; k < kept; k++)
			cr_assert_eq(p[k], (uint8_t)(k * 7), "byte %zu of %zu", k, sizes[i]);
		for (size_t k = 0; k < sizes[i]; k++)
			p[k] = (uint8_t)(k * 7);
		had = sizes[i];
	}
	cr_expect_null(pst_mem_realloc(p, 0));
	cr_expect_eq(pst_crypto_live_bytes(), 0);
	if (!PST_ASAN) /* which ends the program for it */
		cr_expect_null(pst_mem_realloc(NULL, SIZE_MAX / 2));
	pst_mem_free(NULL);
	cr_expect_eq(pst_crypto_live_bytes(), 0);
}

/* Random blocks between two threads by a table of slots: taken, checked, freed, replaced. */

enum { SLOTS = 512, STEPS = 50000 };

struct block {
	size_t n;
	uint64_t seed;
};

static _Atomic(struct block *) slots[SLOTS];

static uint64_t
next(uint64_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	*x ^= *x << 17;
	return *x;
}

static struct block *
block_make(uint64_t *x)
{
	size_t n = sizeof(struct block) + next(x) % (next(x) % 16 == 0 ? 40000 : 600);
	struct block *b = pst_mem_alloc(n);

	cr_assert_not_null(b);
	b->n = n;
	b->seed = next(x);
	memset(b + 1, (uint8_t)b->seed, n - sizeof(*b));
	return b;
}

static void
block_free(struct block *b)
{
	const uint8_t *p = (const uint8_t *)(b + 1);

	for (size_t i = 0; i < b->n - sizeof(*b); i++)
		cr_assert_eq(p[i], (uint8_t)b->seed, "somebody else wrote here");
	pst_mem_free(b);
}

static void *
exchange(void *arg)
{
	uint64_t x = *(uint64_t *)arg;

	for (unsigned i = 0; i < STEPS; i++) {
		struct block *b = next(&x) % 3 == 0 ? NULL : block_make(&x);

		b = atomic_exchange(&slots[next(&x) % SLOTS], b);
		if (b != NULL && next(&x) % 8 == 0) {
			b = pst_mem_realloc(b, b->n + 100);
			cr_assert_not_null(b);
		}
		if (b != NULL)
			block_free(b);
	}
	return NULL;
}

Test(memory, threads_free_what_others_made)
{
	for (unsigned round = 0; round < 3; round++) {
		uint64_t seeds[3] = {11 + round, 22 + round, 33 + round};
		pthread_t t[3];

		for (unsigned i = 0; i < 3; i++)
			cr_assert_eq(pthread_create(&t[i], NULL, exchange, &seeds[i]), 0);
		for (unsigned i = 0; i < 3; i++)
			pthread_join(t[i], NULL);
	}
	cr_expect_eq(pst_crypto_cached_bytes(), 0, "ended threads gave all back");
	cr_expect_gt(pst_crypto_live_bytes(), 0);
	for (unsigned i = 0; i < SLOTS; i++)
		if (slots[i] != NULL)
			block_free(slots[i]);
	cr_expect_eq(pst_crypto_live_bytes(), 0);
}

static pthread_key_t later;

static void
free_later(void *p)
{
	pst_mem_free(p);
	pst_mem_free(pst_mem_alloc(100));
}

static void *
leave_something(void *arg)
{
	void *early = pst_mem_alloc(64);

	pst_mem_free(early); /* the thread has a heap */
	pthread_setspecific(later, pst_mem_alloc(5000));
	return NULL;
}

/* More threads than there ever are at a time, and OpenSSL's clean-up comes after ours. */
Test(memory, a_thread_may_free_after_its_lists_are_gone)
{
	/* Ours is made with the first heap, so this one's destructor runs behind it. */
	pst_mem_free(pst_mem_alloc(1));
	cr_assert_eq(pthread_key_create(&later, free_later), 0);
	for (unsigned i = 0; i < 300; i++) {
		pthread_t t;

		cr_assert_eq(pthread_create(&t, NULL, leave_something, NULL), 0);
		pthread_join(t, NULL);
	}
	cr_expect_eq(pst_crypto_live_bytes(), 0);
	cr_expect_leq(pst_crypto_cached_bytes(), 64, "only this thread's");
}

static void
free_twice(void)
{
	void *p = pst_mem_alloc(100);

	pst_mem_free(p);
	pst_mem_free(p);
}

Test(memory, a_block_freed_twice_ends_the_program, .signal = SIGABRT)
{
	if (PST_ASAN)
		abort(); /* its own report would be no SIGABRT */
	free_twice();
}
