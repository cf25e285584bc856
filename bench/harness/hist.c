/* SPDX-License-Identifier: BSD-3-Clause */
#include "hist.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define NS_PER_US  1e3
#define CURVE_HALF 8 /* points of the curve for each halving of what is left above */

struct pst_hist *
pst_hist_new(void)
{
	struct pst_hist *h = calloc(1, sizeof(*h));

	if (h != NULL)
		h->min = UINT64_MAX;
	return h;
}

void
pst_hist_free(struct pst_hist *h)
{
	free(h);
}

void
pst_hist_reset(struct pst_hist *h)
{
	memset(h, 0, sizeof(*h));
	h->min = UINT64_MAX;
}

/* ---- buckets ----
 *
 * A value's top SUB_BITS bits, and how far they were shifted down to get them. The first
 * power of two has all its 2048 buckets, each further one only the upper 1024: the lower
 * ones are those of the power before.
 */

unsigned
pst_hist_bucket(uint64_t value)
{
	unsigned shift;

	if (value > PST_HIST_MAX)
		value = PST_HIST_MAX;
	if (value < 2 * PST_HIST_HALF)
		return (unsigned)value;
	shift = 63 - (unsigned)__builtin_clzll(value) - (PST_HIST_SUB_BITS - 1);
	return shift * PST_HIST_HALF + (unsigned)(value >> shift);
}

static unsigned
shift_of(unsigned bucket)
{
	return bucket < 2 * PST_HIST_HALF ? 0 : bucket / PST_HIST_HALF - 1;
}

uint64_t
pst_hist_bucket_low(unsigned bucket)
{
	unsigned shift = shift_of(bucket);

	return (uint64_t)(bucket - shift * PST_HIST_HALF) << shift;
}

uint64_t
pst_hist_bucket_high(unsigned bucket)
{
	return pst_hist_bucket_low(bucket) + (UINT64_C(1) << shift_of(bucket)) - 1;
}

/* ---- in and out ---- */

void
pst_hist_record(struct pst_hist *h, uint64_t value)
{
	h->counts[pst_hist_bucket(value)]++;
	h->n++;
	h->clipped += value > PST_HIST_MAX;
	h->sum += (double)value;
	if (value < h->min)
		h->min = value;
	if (value > h->max)
		h->max = value;
}

void
pst_hist_merge(struct pst_hist *h, const struct pst_hist *from)
{
	for (unsigned i = 0; i < PST_HIST_BUCKETS; i++)
		h->counts[i] += from->counts[i];
	h->n += from->n;
	h->clipped += from->clipped;
	h->sum += from->sum;
	if (from->min < h->min)
		h->min = from->min;
	if (from->max > h->max)
		h->max = from->max;
}

uint64_t
pst_hist_percentile(const struct pst_hist *h, double percent)
{
	uint64_t rank, seen = 0;
	unsigned i = 0;

	if (h->n == 0)
		return 0;
	percent = fmin(fmax(percent, 0), 100);
	/* Nearest rank. The small step back keeps 99.9 % of 1000 values the 999th although
	 * 99.9 is a little more than 99.9 in binary. */
	rank = (uint64_t)ceil(percent / 100 * (double)h->n - 1e-9 * (double)h->n);
	if (rank <= 1)
		return h->min;
	if (rank >= h->n)
		return h->max;
	while ((seen += h->counts[i]) < rank)
		i++;
	if (pst_hist_bucket_high(i) > h->max)
		return h->max;
	return pst_hist_bucket_high(i);
}

double
pst_hist_mean(const struct pst_hist *h)
{
	return h->n == 0 ? 0 : h->sum / (double)h->n;
}

/* ---- JSON ---- */

static void
write_curve(const struct pst_hist *h, FILE *out)
{
	double from = 0, left = 100;

	fputs(", \"curve\": [", out);
	while (left / 100 * (double)h->n >= 1) {
		for (unsigned i = 0; i < CURVE_HALF; i++) {
			double at = from + left / 2 * i / CURVE_HALF;

			fprintf(out, "[%.8g, %.6g], ", at,
				(double)pst_hist_percentile(h, at) / NS_PER_US);
		}
		left /= 2;
		from = 100 - left;
	}
	fprintf(out, "[100, %.6g]]", (double)h->max / NS_PER_US);
}

bool
pst_hist_json(const struct pst_hist *h, FILE *out)
{
	static const struct {
		const char *name;
		double percent;
	} points[] = {{"p50", 50}, {"p90", 90}, {"p99", 99}, {"p999", 99.9}, {"p9999", 99.99}};
	const unsigned npoints = sizeof(points) / sizeof(points[0]);

	if (h->n == 0) {
		fputs("{\"n\": 0, \"min_us\": null, \"mean_us\": null", out);
		for (unsigned i = 0; i < npoints; i++)
			fprintf(out, ", \"%s_us\": null", points[i].name);
		fputs(", \"max_us\": null, \"clipped\": 0, \"curve\": []}", out);
		return !ferror(out);
	}
	fprintf(out, "{\"n\": %llu, \"min_us\": %.6g, \"mean_us\": %.6g", (unsigned long long)h->n,
		(double)h->min / NS_PER_US, pst_hist_mean(h) / NS_PER_US);
	for (unsigned i = 0; i < npoints; i++)
		fprintf(out, ", \"%s_us\": %.6g", points[i].name,
			(double)pst_hist_percentile(h, points[i].percent) / NS_PER_US);
	fprintf(out, ", \"max_us\": %.6g, \"clipped\": %llu", (double)h->max / NS_PER_US,
		(unsigned long long)h->clipped);
	write_curve(h, out);
	fputs("}", out);
	return !ferror(out);
}
