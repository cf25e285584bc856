/* SPDX-License-Identifier: BSD-3-Clause */
/* What ring measures: cases as a table, and one repetition of one of them. */
#ifndef RING_CASE_H
#define RING_CASE_H

#include "result.h"
#include "ring_site.h"

enum ring_unit { RING_PER_SESSION, RING_PER_MESSAGE, RING_PER_MB, RING_PER_IDLE };

struct ring_case {
	const char *name, *title;
	enum ring_unit unit;
	enum ring_listener listener;
	enum ring_hop hop; /* with messages */
	bool resume;       /* clients offer the session they had before */
	unsigned messages; /* of a session */
	size_t size;       /* of a message, bytes */
	unsigned sessions; /* of a repetition */
	unsigned concurrency;
};
extern const struct ring_case ring_cases[]; /* a NULL name ends it */
extern const char *const ring_metrics[];    /* NULL ends */
extern const char *const ring_idle_metrics[];

const char *ring_unit_name(enum ring_unit u);

/*
 * Runs it once. `record`: turns and latencies go into r's histograms. False: it failed; err
 * says why.
 */
bool ring_measure(struct ring_site *s, const struct ring_case *c, unsigned sessions,
	struct result *r, bool record, struct result_run *run, char *err, size_t errlen);

#endif
