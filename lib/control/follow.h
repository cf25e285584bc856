/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Clients that follow the log or the counters: notifications behind their answers.
 *
 * A follower that reads too slowly loses lines, which are counted and told to it; no
 * more than PST_FOLLOW_OUT bytes wait for it. The control thread's alone.
 */
#ifndef PST_CONTROL_FOLLOW_H
#define PST_CONTROL_FOLLOW_H

#include <pst_buf.h>

#include "plane.h"
#include "stats.h"

#define PST_FOLLOW_OUT (256u << 10)

enum { PST_TOPIC_LOG = 1, PST_TOPIC_STATS = 2 };

struct pst_follower {
	unsigned topics; /* 0: does not follow */
	uint64_t interval_ns, due_ns;
	uint64_t lost; /* log lines it was not told of yet */
	struct pst_stats last;
};

/* One line of the log as a notification, to be freed; made once for all followers. */
char *pst_follow_text(const char *line, size_t n);
void pst_follow_log(struct pst_follower *f, struct pst_buf *out, const char *text);
/* What is due: counters, the number of lost lines. */
void pst_follow_tick(struct pst_plane *p, struct pst_follower *f, struct pst_buf *out);
/* The client left. */
void pst_follow_end(struct pst_plane *p, struct pst_follower *f);

#endif
