/* SPDX-License-Identifier: BSD-3-Clause */
#include "kit.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <urcu-qsbr.h>

static struct cache cache;

static void
begin(uint32_t capacity)
{
	rcu_register_thread();
	cr_assert_eq(cache_init(&cache, capacity), PST_OK);
}

static void
end(void)
{
	cache_fini(&cache);
	rcu_barrier();
	rcu_unregister_thread();
}

static struct names_key
key(unsigned i)
{
	struct names_key k;
	char name[32];

	snprintf(name, sizeof(name), "n%u.example", i);
	cr_assert(names_key_make(&k, PST_NAMES_HOST, pst_span_str(name)));
	return k;
}

static void
put(unsigned i, uint32_t generation, uint64_t expires, const char *why)
{
	struct names_key k = key(i);

	cr_assert_eq(cache_put(&cache, &k, generation, expires, answer_new(PST_NAMES_NONE, why)),
		PST_OK);
}

static const char *
find(unsigned i, uint32_t generation, uint64_t now)
{
	struct names_key k = key(i);
	const struct pst_names_answer *a = cache_find(&cache, &k, generation, now);

	return a != NULL ? a->why : "-";
}

Test(cache, finds_what_is_fresh_and_of_this_generation)
{
	begin(10);
	cr_expect_str_eq(find(1, 0, 0), "-");
	put(1, 0, 100, "one");
	cr_expect_str_eq(find(1, 0, 0), "one");
	cr_expect_str_eq(find(1, 0, 99), "one");
	cr_expect_str_eq(find(1, 0, 100), "-");
	cr_expect_str_eq(find(1, 1, 0), "-");
	cr_expect_str_eq(find(2, 0, 0), "-");
	put(1, 1, 300, "again");
	cr_expect_str_eq(find(1, 1, 200), "again");
	cr_expect_str_eq(find(1, 0, 200), "-");
	cr_expect_eq(cache.n, 1);
	cr_expect_eq(cache.evictions, 0);
	end();
}

Test(cache, tells_kinds_and_prefixes_apart)
{
	struct names_key a, b, c;

	begin(10);
	cr_assert(names_key_make(&a, PST_NAMES_HOST, pst_span_str("ab.example")));
	cr_assert(names_key_make(&b, PST_NAMES_MX, pst_span_str("ab.example")));
	cr_assert(names_key_make(&c, PST_NAMES_HOST, pst_span_str("ab.exampl")));
	cache_put(&cache, &a, 0, 100, answer_new(PST_NAMES_NONE, "a"));
	cr_expect_null(cache_find(&cache, &b, 0, 0));
	cr_expect_null(cache_find(&cache, &c, 0, 0));
	cr_expect_not_null(cache_find(&cache, &a, 0, 0));
	end();
}

Test(cache, an_old_answer_stays_until_the_quiescent_state)
{
	struct names_key k = key(1);
	const struct pst_names_answer *old;

	begin(1);
	put(1, 0, 100, "old");
	old = cache_find(&cache, &k, 0, 0);
	put(1, 0, 100, "new");
	put(2, 0, 100, "other");           /* evicts it too */
	cr_expect_str_eq(old->why, "old"); /* ASan would tell */
	rcu_quiescent_state();
	end();
}

Test(cache, is_bounded_and_the_unused_go_first)
{
	begin(100);
	for (unsigned i = 0; i < 100; i++)
		put(i, 0, 100, "x");
	for (unsigned i = 0; i < 100; i += 2)
		cr_expect_str_eq(find(i, 0, 0), "x");
	/* Fifty more push out the fifty that nobody looked at. */
	for (unsigned i = 100; i < 150; i++)
		put(i, 0, 100, "x");
	cr_expect_eq(cache.n, 100);
	cr_expect_eq(cache.evictions, 50);
	for (unsigned i = 0; i < 100; i++)
		cr_expect_str_eq(find(i, 0, 0), i % 2 == 0 ? "x" : "-", "%u", i);
	end();
}

Test(cache, makes_room_when_all_are_in_use)
{
	begin(8);
	for (unsigned i = 0; i < 100; i++) {
		put(i, 0, 100, "x");
		for (unsigned k = 0; k <= i; k++)
			find(k, 0, 0);
		cr_expect_leq(cache.n, 8);
		cr_expect_str_eq(find(i, 0, 0), "x", "the newest is there");
	}
	end();
}

Test(cache, follows_its_capacity_both_ways)
{
	begin(10);
	for (unsigned i = 0; i < 10; i++)
		put(i, 0, 100, "x");
	cache_resize(&cache, 3);
	cr_expect_eq(cache.n, 3);
	cr_expect_str_eq(find(9, 0, 0), "x");
	cache_resize(&cache, 5000);
	for (unsigned i = 0; i < 5000; i++)
		put(i, 0, 100, "x");
	cr_expect_eq(cache.n, 5000);
	for (unsigned i = 0; i < 5000; i++)
		cr_assert_str_eq(find(i, 0, 0), "x");
	cache_flush(&cache);
	cr_expect_eq(cache.n, 0);
	cr_expect_str_eq(find(1, 0, 0), "-");
	put(1, 0, 100, "y");
	cr_expect_str_eq(find(1, 0, 0), "y");
	end();
}
