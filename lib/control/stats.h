/* SPDX-License-Identifier: BSD-3-Clause */
/* The workers' numbers at one moment, and as JSON. */
#ifndef PST_CONTROL_STATS_H
#define PST_CONTROL_STATS_H

#include <pst_control.h>

#include <jansson.h>

struct pst_stats {
	uint64_t at_ns;
	unsigned n;
	struct pst_worker_stats *w;      /* [n]; NULL: not taken */
	struct pst_names_counters names; /* DNS: one for all workers */
	unsigned names_cached, names_open;
};

/* Each number is a moment old. false: no memory. */
bool pst_stats_take(struct pst_relay *r, uint64_t now_ns, struct pst_stats *s);
void pst_stats_fini(struct pst_stats *s);

/* {group: {name: {total, workers, help}}}; what is not the workers' has none of them. */
json_t *pst_stats_counters(const struct pst_stats *s);
/* {group: {name: growth}} of what grew. */
json_t *pst_stats_growth(const struct pst_stats *now, const struct pst_stats *before);
/* One row a worker; before (NULL: none) for the share of its turns that found work. */
json_t *pst_stats_workers(const struct pst_stats *s, const struct pst_stats *before);
uint64_t pst_stats_sessions(const struct pst_stats *s);

/* Of struct pst_lane_counters; metrics have them too. crypto.c. */
extern const struct pst_counter_desc pst_lane_counter_descs[];

#endif
