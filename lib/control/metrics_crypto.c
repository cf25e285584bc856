/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The crypto engine's families: by kind of operation and by back-end the sum of all workers,
 * the pools by worker. Labels are the fixed set of kinds and the operator's names of
 * back-ends. Its counters are written with those of the libraries.
 */
#include "metrics_put.h"

#include <inttypes.h>
#include <string.h>

/* ---- kinds of operations ---- */

static uint64_t
of_kind(const struct pst_metrics_input *in, size_t offset, unsigned kind)
{
	uint64_t sum = 0, v;

	for (unsigned w = 0; w < in->nworkers; w++) {
		memcpy(&v, (const char *)&in->workers[w].crypto + offset + kind * sizeof(v),
			sizeof(v));
		sum += v;
	}
	return sum;
}

static void
by_kind(struct pst_out *o, const struct pst_metrics_input *in, const char *name, const char *help,
	size_t offset)
{
	pst_family(o, COUNTER, name, help);
	for (unsigned k = 0; k < PST_OP_KINDS; k++)
		pst_put(o, "postern_%s_total{kind=\"%s\"} %" PRIu64 "\n", name,
			pst_op_kind_names[k], of_kind(in, offset, k));
}

static void
kinds(struct pst_out *o, const struct pst_metrics_input *in)
{
	char text[32];

	by_kind(o, in, "crypto_asked", "Private-key operations and key exchanges asked for",
		offsetof(struct pst_lane_stats, kinds));
	by_kind(o, in, "crypto_offloaded", "Of them, done by a back-end",
		offsetof(struct pst_lane_stats, offloaded));
	pst_family(o, COUNTER, "crypto_wait_seconds",
		"Time from giving operations to back-ends to having them back");
	for (unsigned k = 0; k < PST_OP_KINDS; k++)
		pst_put(o, "postern_crypto_wait_seconds_total{kind=\"%s\"} %s\n",
			pst_op_kind_names[k],
			pst_seconds(of_kind(in, offsetof(struct pst_lane_stats, wait_us_sum), k),
				text));
}

/* ---- back-ends ---- */

enum what { OPEN, OUT, COMPLETED, FAILED, TIMEOUTS };

static uint64_t
of_backend(const struct pst_metrics_input *in, enum what what, unsigned b)
{
	uint64_t sum = 0;

	for (unsigned w = 0; w < in->nworkers; w++) {
		const struct pst_lane_stats *s = &in->workers[w].crypto;
		const uint64_t values[] = {[OPEN] = s->backends[b].open,
			[OUT] = s->backends[b].out,
			[COMPLETED] = s->backends[b].completed,
			[FAILED] = s->backends[b].failed,
			[TIMEOUTS] = s->backends[b].timeouts};

		sum += values[what];
	}
	return sum;
}

static void
backends(struct pst_out *o, const struct pst_metrics_input *in)
{
	static const struct {
		const char *name, *help;
		enum pst_family_type type;
		enum what what;
	} rows[] = {
		{"crypto_backend_open", "Workers that leave this back-end alone: breaker open",
			GAUGE, OPEN},
		{"crypto_backend_out", "Operations that this back-end has now", GAUGE, OUT},
		{"crypto_backend_completed", "Operations that this back-end completed in time",
			COUNTER, COMPLETED},
		{"crypto_backend_failed", "Operations that failed in this back-end", COUNTER,
			FAILED},
		{"crypto_backend_timeouts", "Operations this back-end did not complete in time",
			COUNTER, TIMEOUTS},
	};
	char name[160], text[32];

	for (unsigned i = 0; i < PST_COUNT(rows); i++) {
		pst_family(o, rows[i].type, rows[i].name, rows[i].help);
		for (unsigned b = 0; b < in->nbackends; b++)
			pst_put(o, "postern_%s%s{backend=\"%s\"} %" PRIu64 "\n", rows[i].name,
				rows[i].type == COUNTER ? "_total" : "",
				pst_escaped(in->backends[b].name, name),
				of_backend(in, rows[i].what, b));
	}
	pst_family(o, COUNTER, "crypto_backend_cpu_seconds",
		"CPU time of the threads that this back-end has for itself");
	for (unsigned b = 0; b < in->nbackends; b++)
		pst_put(o, "postern_crypto_backend_cpu_seconds_total{backend=\"%s\"} %s\n",
			pst_escaped(in->backends[b].name, name),
			pst_seconds(in->backends[b].s.cpu_ns / 1000, text));
}

/* ---- pools ---- */

static void
pools(struct pst_out *o, const struct pst_metrics_input *in)
{
	static const struct {
		const char *name, *help;
		size_t offset;
	} rows[] = {
		{"crypto_ops_limit", "Operations there are to give away",
			offsetof(struct pst_lane_stats, ops_total)},
		{"crypto_ops_free", "Operations that are free",
			offsetof(struct pst_lane_stats, ops_free)},
		{"crypto_ops_quarantined", "Operations given up that a back-end still has",
			offsetof(struct pst_lane_stats, ops_quarantined)},
		{"crypto_jobs_limit", "Handshake steps there may be under way",
			offsetof(struct pst_lane_stats, jobs_max)},
		{"crypto_jobs_in_use", "Handshake steps under way",
			offsetof(struct pst_lane_stats, jobs_in_use)},
		{"crypto_jobs_waiting", "Handshakes that wait for a job",
			offsetof(struct pst_lane_stats, jobs_waiting)},
	};
	unsigned v;

	for (unsigned i = 0; i < PST_COUNT(rows); i++) {
		pst_family(o, GAUGE, rows[i].name, rows[i].help);
		for (unsigned w = 0; w < in->nworkers; w++) {
			memcpy(&v, (const char *)&in->workers[w].crypto + rows[i].offset,
				sizeof(v));
			pst_put(o, "postern_%s{worker=\"%u\"} %u\n", rows[i].name, w, v);
		}
	}
}

void
pst_put_crypto(struct pst_out *o, const struct pst_metrics_input *in)
{
	kinds(o, in);
	backends(o, in);
	pools(o, in);
}
