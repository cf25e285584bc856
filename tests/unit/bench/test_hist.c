/* SPDX-License-Identifier: BSD-3-Clause */
/* The histogram against what it stands for: a sorted array of all values. */
#include <criterion/criterion.h>
#include <pst_rand.h>
#include <hist.h>

#include <jansson.h>
#include <math.h>
#include <stdlib.h>

#define MANY 20000

static struct pst_hist *h, *other;
static uint64_t values[MANY];

static void
setup(void)
{
	h = pst_hist_new();
	other = pst_hist_new();
	cr_assert_not_null(h);
	cr_assert_not_null(other);
}

static void
teardown(void)
{
	pst_hist_free(h);
	pst_hist_free(other);
}

TestSuite(hist, .init = setup, .fini = teardown);

static int
compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* Values over all magnitudes: a random number of random bits. */
static void
fill(unsigned n, uint64_t seed, unsigned bits)
{
	struct pst_rand r;

	pst_rand_seed(&r, seed);
	for (unsigned i = 0; i < n; i++)
		values[i] = pst_rand_u64(&r) >> (64 - bits + pst_rand_u64(&r) % bits);
}

static uint64_t
true_percentile(unsigned n, double percent)
{
	unsigned rank = (unsigned)ceil(percent / 100 * n - 1e-9 * n);

	return values[rank == 0 ? 0 : rank - 1];
}

static void
expect_like_sorted(unsigned n)
{
	static const double at[] = {0, 0.01, 1, 10, 25, 50, 75, 90, 99, 99.9, 99.99, 100};

	qsort(values, n, sizeof(values[0]), compare);
	cr_assert_eq(h->n, n);
	cr_assert_eq(h->min, values[0]);
	cr_assert_eq(h->max, values[n - 1]);
	for (unsigned i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
		uint64_t want = true_percentile(n, at[i]);
		uint64_t have = pst_hist_percentile(h, at[i]);

		cr_assert(have >= want && have - want <= want / 1000 + 1,
			"%g %% of %u: %llu, sorted %llu", at[i], n, (unsigned long long)have,
			(unsigned long long)want);
	}
}

Test(hist, percentiles_are_those_of_a_sorted_array_to_three_digits)
{
	for (unsigned bits = 1; bits <= PST_HIST_MAX_BITS; bits++) {
		unsigned n = bits % 2 == 0 ? MANY : 1 + bits * 37;

		pst_hist_reset(h);
		fill(n, bits, bits);
		for (unsigned i = 0; i < n; i++)
			pst_hist_record(h, values[i]);
		expect_like_sorted(n);
	}
}

Test(hist, merging_is_the_same_as_recording_in_one)
{
	struct pst_hist *parts[3] = {pst_hist_new(), pst_hist_new(), pst_hist_new()};

	fill(MANY, 7, 40);
	for (unsigned i = 0; i < MANY; i++) {
		pst_hist_record(other, values[i]);
		pst_hist_record(parts[i % 2], values[i]); /* the third stays empty */
	}
	for (unsigned i = 0; i < 3; i++) {
		pst_hist_merge(h, parts[i]);
		pst_hist_free(parts[i]);
	}
	cr_assert_arr_eq(h->counts, other->counts, sizeof(h->counts));
	cr_assert_float_eq(h->sum, other->sum, other->sum * 1e-12);
	expect_like_sorted(MANY);
}

Test(hist, buckets_follow_each_other_without_a_gap_and_are_narrow)
{
	uint64_t next = 0;

	for (unsigned b = 0; b < PST_HIST_BUCKETS; b++) {
		uint64_t low = pst_hist_bucket_low(b), high = pst_hist_bucket_high(b);

		cr_assert_eq(low, next, "bucket %u", b);
		cr_assert_eq(pst_hist_bucket(low), b);
		cr_assert_eq(pst_hist_bucket(high), b);
		cr_assert_leq(high - low, low / 1000, "bucket %u", b);
		next = high + 1;
	}
	cr_assert_eq(next, PST_HIST_MAX + 1);
}

Test(hist, what_is_beyond_the_range_is_counted_and_told)
{
	pst_hist_record(h, 5);
	pst_hist_record(h, UINT64_MAX);
	cr_assert_eq(h->clipped, 1);
	cr_assert_eq(h->max, UINT64_MAX);
	cr_assert_eq(h->counts[PST_HIST_BUCKETS - 1], 1);
	cr_assert_eq(pst_hist_percentile(h, 50), 5);
	cr_assert_eq(pst_hist_percentile(h, 100), UINT64_MAX);
}

Test(hist, one_value_is_every_percentile)
{
	pst_hist_record(h, 123456789);
	for (double p = -1; p < 102; p += 0.5)
		cr_assert_eq(pst_hist_percentile(h, p), 123456789);
	cr_assert_float_eq(pst_hist_mean(h), 123456789, 1e-6);
}

static json_t *
as_json(void)
{
	char text[65536];
	FILE *f = fmemopen(text, sizeof(text), "w");
	json_error_t e;
	json_t *j;

	cr_assert(pst_hist_json(h, f));
	fclose(f);
	j = json_loads(text, 0, &e);
	cr_assert_not_null(j, "%s in %s", e.text, text);
	return j;
}

Test(hist, json_of_nothing_is_null_not_zero)
{
	json_t *j = as_json();

	cr_assert_eq(json_integer_value(json_object_get(j, "n")), 0);
	cr_assert(json_is_null(json_object_get(j, "p99_us")));
	cr_assert(json_is_null(json_object_get(j, "max_us")));
	cr_assert_eq(json_array_size(json_object_get(j, "curve")), 0);
	json_decref(j);
}

Test(hist, json_has_microseconds_and_a_curve_that_only_rises)
{
	double last = 0, at = -1;
	json_t *j, *curve;

	for (uint64_t us = 1; us <= 1000; us++)
		pst_hist_record(h, us * 1000);
	j = as_json();
	cr_assert_float_eq(json_number_value(json_object_get(j, "min_us")), 1, 1e-9);
	cr_assert_float_eq(json_number_value(json_object_get(j, "p50_us")), 500, 1);
	cr_assert_float_eq(json_number_value(json_object_get(j, "p999_us")), 999, 1);
	cr_assert_float_eq(json_number_value(json_object_get(j, "max_us")), 1000, 1e-9);
	curve = json_object_get(j, "curve");
	cr_assert_gt(json_array_size(curve), 40);
	for (size_t i = 0; i < json_array_size(curve); i++) {
		json_t *point = json_array_get(curve, i);
		double p = json_number_value(json_array_get(point, 0));
		double v = json_number_value(json_array_get(point, 1));

		cr_assert_gt(p, at);
		cr_assert_geq(v, last);
		at = p;
		last = v;
	}
	cr_assert_float_eq(at, 100, 0);
	json_decref(j);
}
