/* SPDX-License-Identifier: BSD-3-Clause */
#include <criterion/criterion.h>
#include <pst_rand.h>
#include <pst_wheel.h>

static struct pst_wheel w;

static unsigned
expire_all(void)
{
	unsigned n = 0;

	while (pst_wheel_expire(&w) != NULL)
		n++;
	return n;
}

/* Distances that sit on and beside the borders of every level. */
static const uint64_t distances[] = {0, 1, 2, 254, 255, 256, 257, 511, 512, 65279, 65280, 65535,
	65536, 65537, 131072, 16777215, 16777216, 16777217, 33554432, 4294967294, 4294967295,
	4294967296, 5000000000, 10000000000};
static const uint64_t starts[] = {
	0, 1, 255, 256, 65535, 65536, 16777215, 16777216, 4294967295, 4294967296, 123456789012345};

Test(wheel, fires_each_timer_at_its_tick_and_not_one_before)
{
	for (size_t s = 0; s < PST_COUNT(starts); s++)
		for (size_t d = 0; d < PST_COUNT(distances); d++) {
			struct pst_timer t;
			uint64_t at = starts[s] + distances[d];

			pst_wheel_init(&w, starts[s]);
			pst_timer_init(&t, 3);
			pst_timer_arm(&w, &t, at);
			if (distances[d] > 0) {
				pst_wheel_advance(&w, at - 1);
				cr_assert_null(
					pst_wheel_expire(&w), "start %zu distance %zu", s, d);
			}
			pst_wheel_advance(&w, at);
			cr_assert_eq(pst_wheel_expire(&w), &t, "start %zu distance %zu", s, d);
			cr_assert_not(pst_timer_armed(&t));
			cr_assert_eq(w.armed, 0);
			cr_assert_eq(pst_wheel_next(&w), PST_TIMER_NONE);
		}
}

Test(wheel, next_walks_to_the_deadline_without_standing_still)
{
	for (size_t s = 0; s < PST_COUNT(starts); s++)
		for (size_t d = 1; d < PST_COUNT(distances); d++) {
			struct pst_timer t;
			uint64_t at = starts[s] + distances[d], now = starts[s];
			unsigned steps = 0;

			pst_wheel_init(&w, now);
			pst_timer_init(&t, 0);
			pst_timer_arm(&w, &t, at);
			while (now < at) {
				uint64_t next = pst_wheel_next(&w);

				cr_assert_gt(next, now);
				cr_assert_leq(next, at);
				if (distances[d] < 256)
					cr_assert_eq(next, at);
				pst_wheel_advance(&w, now = next);
				cr_assert_lt(++steps, 16);
			}
			cr_assert_eq(pst_wheel_expire(&w), &t);
		}
}

Test(wheel, a_past_deadline_fires_at_the_next_expire)
{
	struct pst_timer t;

	pst_wheel_init(&w, 1000);
	pst_timer_init(&t, 0);
	pst_timer_arm(&w, &t, 10);
	cr_assert_leq(pst_wheel_next(&w), 1000);
	cr_assert_eq(pst_wheel_expire(&w), &t);
}

Test(wheel, a_due_timer_can_still_be_cancelled_or_moved)
{
	struct pst_timer a, b;

	pst_wheel_init(&w, 0);
	pst_timer_init(&a, 0);
	pst_timer_init(&b, 0);
	pst_timer_arm(&w, &a, 5);
	pst_timer_arm(&w, &b, 5);
	pst_wheel_advance(&w, 9);
	pst_timer_cancel(&w, &a);
	pst_timer_cancel(&w, &a);
	pst_timer_arm(&w, &b, 20);
	cr_assert_eq(expire_all(), 0);
	cr_assert_eq(w.armed, 1);
	pst_wheel_advance(&w, 20);
	cr_assert_eq(pst_wheel_expire(&w), &b);
}

Test(wheel, time_never_runs_backwards)
{
	struct pst_timer t;

	pst_wheel_init(&w, 500);
	pst_timer_init(&t, 0);
	pst_timer_arm(&w, &t, 600);
	pst_wheel_advance(&w, 100);
	cr_assert_eq(w.now_ms, 500);
	pst_wheel_advance(&w, 600);
	cr_assert_eq(pst_wheel_expire(&w), &t);
}

/* ---- against a model that keeps an array and looks at every timer ---- */

#define NTIMERS 400

static uint64_t
random_distance(struct pst_rand *r)
{
	/* Each order of magnitude as likely as the next, so that all levels are met. */
	return pst_rand_u64(r) & ((1ull << pst_rand_below(r, 35)) - 1);
}

static void
model_step(struct pst_rand *r, struct pst_timer *t, uint64_t *model)
{
	unsigned i = pst_rand_below(r, NTIMERS);

	if (pst_rand_below(r, 4) == 0) {
		pst_timer_cancel(&w, &t[i]);
		model[i] = PST_TIMER_NONE;
	} else {
		model[i] = w.now_ms + random_distance(r);
		pst_timer_arm(&w, &t[i], model[i]);
	}
}

static void
compare_expiry(struct pst_timer *t, uint64_t *model)
{
	struct pst_timer *e;
	uint64_t armed = 0;

	while ((e = pst_wheel_expire(&w)) != NULL) {
		size_t i = (size_t)(e - t);

		cr_assert_leq(model[i], w.now_ms, "fired early");
		model[i] = PST_TIMER_NONE;
	}
	for (unsigned i = 0; i < NTIMERS; i++) {
		cr_assert_gt(model[i], w.now_ms, "timer %u did not fire", i);
		armed += model[i] != PST_TIMER_NONE;
	}
	cr_assert_eq(w.armed, armed);
}

Test(wheel, agrees_with_a_naive_model)
{
	static struct pst_timer t[NTIMERS];
	static uint64_t model[NTIMERS];

	for (uint64_t seed = 1; seed <= 20; seed++) {
		struct pst_rand r;

		pst_rand_seed(&r, seed);
		pst_wheel_init(&w, pst_rand_u64(&r) >> 20);
		for (unsigned i = 0; i < NTIMERS; i++) {
			pst_timer_init(&t[i], 0);
			model[i] = PST_TIMER_NONE;
		}
		for (int step = 0; step < 2000; step++) {
			for (int k = 0; k < 4; k++)
				model_step(&r, t, model);
			pst_wheel_advance(&w, w.now_ms + random_distance(&r));
			compare_expiry(t, model);
		}
	}
}
