/* SPDX-License-Identifier: BSD-3-Clause */
/* The workers' numbers at one moment, and as JSON. */
#ifndef PST_CONTROL_STATS_H
#define PST_CONTROL_STATS_H

#include <pst_control.h>

#include <jansson.h>

struct pst_stats {
	uint64_t at_ns;
	unsigned n;
	struct pst_worker_stats *w; /* [n]; NULL: not taken */
};

/* Each number is a moment old. false: no memory. */
bool pst_stats_take(const struct pst_relay *r, uint64_t now_ns, struct pst_stats *s);
void pst_stats_fini(struct pst_stats *s);

/* {group: {name: {total, workers, help}}} */
json_t *pst_stats_counters(const struct pst_stats *s);
/* {group: {name: growth}} of what grew. */
json_t *pst_stats_growth(const struct pst_stats *now, const struct pst_stats *before);
/* One row a worker; before (NULL: none) for the share of its turns that found work. */
json_t *pst_stats_workers(const struct pst_stats *s, const struct pst_stats *before);
uint64_t pst_stats_sessions(const struct pst_stats *s);

#endif
