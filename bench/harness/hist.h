/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A histogram of latencies, after HdrHistogram: buckets that are as wide as their
 * value asks for, so that every value from a nanosecond to an hour is kept to three
 * significant digits in 264 KiB, whatever is recorded and how often. (Debian 12 has that
 * library for Go and Java, none for C.)
 *
 *   struct pst_hist *h = pst_hist_new();
 *   pst_hist_record(h, done - intended);        as often as one likes
 *   pst_hist_merge(all, h);                     one a thread, added up at the end
 *   pst_hist_percentile(h, 99.9);
 *   pst_hist_free(h);
 *
 * A value is a time in nanoseconds; the histogram does not care. One owner at a time,
 * no locks. Recording is a few instructions and never fails.
 *
 * What latency means is the caller's business, and the trap: a load that waits for an
 * answer before it asks again records one long wait where an open-loop client would
 * have seen hundreds. Record from the moment at which the request was *meant* to start.
 */
#ifndef PST_BENCH_HIST_H
#define PST_BENCH_HIST_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* Buckets below 2^11 are one wide; above, each power of two has 1024 of them, so that a
 * bucket is never wider than a 1024th of its value: 0.1 %, three digits. */
#define PST_HIST_SUB_BITS 11
#define PST_HIST_MAX_BITS 42 /* 2^42 ns is 73 minutes */
#define PST_HIST_HALF     (1u << (PST_HIST_SUB_BITS - 1))
#define PST_HIST_BUCKETS  ((PST_HIST_MAX_BITS - PST_HIST_SUB_BITS + 2) * PST_HIST_HALF)
#define PST_HIST_MAX      ((UINT64_C(1) << PST_HIST_MAX_BITS) - 1)

struct pst_hist {
	uint64_t n;        /* values recorded */
	uint64_t min, max; /* exact; min is UINT64_MAX while n is 0 */
	uint64_t clipped;  /* of n, were larger than PST_HIST_MAX and counted there */
	double sum;
	uint64_t counts[PST_HIST_BUCKETS];
};

/* NULL without memory. */
struct pst_hist *pst_hist_new(void);
/* NULL is allowed. */
void pst_hist_free(struct pst_hist *h);
/* As new. */
void pst_hist_reset(struct pst_hist *h);

/* The bucket of a value, and the smallest and largest value of a bucket. Values above
 * PST_HIST_MAX have its bucket. */
unsigned pst_hist_bucket(uint64_t value);
uint64_t pst_hist_bucket_low(unsigned bucket);
uint64_t pst_hist_bucket_high(unsigned bucket);

void pst_hist_record(struct pst_hist *h, uint64_t value);
/* Adds what `from` has; `from` is left as it is. */
void pst_hist_merge(struct pst_hist *h, const struct pst_hist *from);

/* The smallest recorded value at or below which `percent` of the values lie (nearest
 * rank), exact to the width of its bucket and never above the true maximum. 0 when
 * nothing was recorded; percent is brought into 0..100. */
uint64_t pst_hist_percentile(const struct pst_hist *h, double percent);
/* 0 when nothing was recorded. */
double pst_hist_mean(const struct pst_hist *h);

/*
 * Writes one JSON object:
 *
 *   {"n": 1000, "min_us": .., "mean_us": .., "p50_us": .., "p90_us": .., "p99_us": ..,
 *    "p999_us": .., "p9999_us": .., "max_us": .., "clipped": 0,
 *    "curve": [[percent, microseconds], ...]}
 *
 * The curve has a point wherever the distance to 100 % has halved eight times over
 * (0, 12.5, 25, ... 50, 56.25, ...) until one value is left: enough to draw it, few
 * enough to embed. All is null but n when nothing was recorded. false when writing failed.
 */
bool pst_hist_json(const struct pst_hist *h, FILE *out);

#endif
