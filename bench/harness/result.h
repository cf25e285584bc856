/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Results of a run, as figures and as JSON. One JSON document is one run:
 *
 *   {
 *     "schema": "postern-bench/1",
 *     "mode": "ring",                         ring, wire (our stack), load (kernel sockets)
 *     "version": "0.1.0",
 *     "started": "2026-01-31T12:00:00Z",
 *     "seconds": 93.1,
 *     "command": ["postern-bench", "ring", "--quick"],
 *     "host": {
 *       "cpu": "model name", "cores": 2, "kernel": "Linux 6.1.0-18-amd64", "dpdk": "DPDK 22.11.4",
 *       "openssl": "OpenSSL 3.0.13 ...", "driver": "net_ring", "nic": "", "memory_mb": 7900,
 *       "tsc_hz": 2500000000, "hypervisor": true
 *     },
 *     "params": {"repetitions": 5, "warmup": 1, ...},          what was asked for; flat
 *     "results": [
 *       {
 *         "case": "handshake/full/ecdsa-p256",  unique in the document, but for series
 *         "title": "STARTTLS, full handshake, TLS 1.3, ECDSA P-256",
 *         "unit": "handshake",                  what the metrics are per
 *         "units": 400,                         in one repetition
 *         "point": {"name": "message_size", "value": 4096, "unit": "B"},
 *                                               of a sweep: results of one case and one
 *                                               point.name are a series; else absent
 *         "metrics": {                          flat; the unit is the name's ending
 *           "busy_us": {"median": 214.2, "min": 210.0, "max": 230.1},
 *           "busy_cycles": ..., "cpu_us": ..., "rate_per_s": ...
 *         },
 *         "layers": {                           medians, of one unit; absent where unknown
 *           "net": {"cycles": 5120.0, "us": 2.0}, "tcp": .., "tls": .., "smtp": ..,
 *           "policy": .., "crypto": .., "relay": ..
 *         },
 *         "turns": {"n": 5210, "p50_us": 11.2, "p99_us": 260.3, "p999_us": 310.0, "max_us": 702.1},
 *                                               CPU time of one turn of the worker's loop that
 *                                               had work; over all repetitions that count
 *         "latency": {                          as seen by the client, over all that count
 *           "session":   {"n": .., "mean_us": .., "p50_us": .., "p90_us": .., "p99_us": ..,
 *                         "p999_us": .., "max_us": ..},
 *           "connect":   .., "handshake": .., "message": ..
 *         },
 *         "runs": [                             each repetition, in the order they were made
 *           {"metrics": {"busy_us": 214.2, ...}, "layers": {"net": 5120.0, ...},
 *            "disturbed": false, "why": "", "counted": true}
 *         ],
 *         "noise": {"spread": 0.04,             (max - min) / median of the first metric
 *                   "disturbed": 1, "repeated": 1,
 *                   "quiet": true}              false: compare with care
 *       }
 *     ],
 *     "noise": {"quiet": true, "text": ""}      of the machine, over the whole run
 *   }
 *
 * Metrics of mode ring are per unit of the gateway's worker: `busy_us` and `busy_cycles` (TSC of
 * turns that had work, less what others stole), `cpu_us` (the thread's CPU time from the OS, polls
 * and sleeps included), `empty_us` (polls that found nothing), `sleep_us` (CPU time of going
 * to sleep and waking).
 * Metrics of modes wire and load are of the whole run: `sessions_per_s`, `handshakes_per_s`,
 * `messages_per_s`, `mb_per_s`, `failures`, `offered_per_s`, `idle_bytes` ...
 *
 * Absent is unknown. A reader passes over keys it does not know.
 */
#ifndef RESULT_H
#define RESULT_H

#include "hist.h"

#include <jansson.h>
#include <pst_cycles.h>

#define RESULT_METRICS 24
#define RESULT_RUNS    64

/* One repetition. */
struct result_run {
	double metric[RESULT_METRICS]; /* NAN: unknown */
	double layer[PST_LAYERS];      /* cycles of one unit */
	bool disturbed, counted;
	char why[80];
};

enum { RESULT_SESSION, RESULT_CONNECT, RESULT_HANDSHAKE, RESULT_MESSAGE, RESULT_LATENCIES };

struct result {
	char name[96], title[160];
	const char *unit;
	uint64_t units;
	const char *const *metrics; /* names; NULL ends */
	bool layers;                /* are known */
	struct {
		const char *name, *unit; /* NULL: of no sweep */
		double value;
	} point;
	struct result_run runs[RESULT_RUNS];
	unsigned nruns, repeated;
	struct pst_hist *turns;                     /* ns; NULL: unknown */
	struct pst_hist *latency[RESULT_LATENCIES]; /* ns; NULL: unknown */
};

/* Zeroed, with histograms for what is wanted. False: no memory. */
bool result_init(struct result *r, bool turns, bool latency);
void result_fini(struct result *r);

/*
 * Marks which repetitions count: the undisturbed ones if they are more than half of `want`, else
 * all. True: enough were undisturbed.
 */
bool result_judge(struct result *r, unsigned want);

struct result_summary {
	double median, min, max;
	unsigned n; /* 0: unknown */
};
/* Over the repetitions that count. metric: index; layer: of layer `metric`. */
struct result_summary result_metric(const struct result *r, unsigned metric);
struct result_summary result_layer(const struct result *r, unsigned layer);
double result_spread(const struct result *r); /* of the first metric; 0.1: 10 % of the median */
bool result_quiet(const struct result *r, unsigned want);

/* ---- the document ---- */

/* A new document; NULL: no memory. argv is recorded. */
json_t *result_document(const char *mode, int argc, char *const *argv, const char *driver);
/* params.name = value (stolen). */
void result_param(json_t *doc, const char *name, json_t *value);
void result_add(json_t *doc, const struct result *r, unsigned want);
/* Adds the end (time, noise of the machine) and writes. False and a text. */
bool result_write(json_t *doc, const char *path, double seconds, char *err, size_t errlen);

/* ---- for people ---- */

void result_print(const struct result *r, unsigned want);

#endif
