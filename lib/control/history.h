/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The configurations that ran: who brought each, when, and its document, so that
 * two can be compared and the one before can come back.
 *
 * Bounded: HISTORY_MAX rows, and HISTORY_BYTES of documents; older documents are
 * dropped first (their rows stay), but never those of the newest two. Owner: the
 * control thread.
 */
#ifndef PST_CONTROL_HISTORY_H
#define PST_CONTROL_HISTORY_H

#include <jansson.h>
#include <pst_base.h>
#include <sys/types.h>

#define PST_HISTORY_MAX   100
#define PST_HISTORY_BYTES (64u << 20) /* as dumped; in memory several times as much */

struct pst_peer { /* SO_PEERCRED of who asked */
	uid_t uid;
	gid_t gid;
	pid_t pid;
};

struct pst_generation {
	uint64_t number;
	uint64_t wall_ns; /* when it was published, since the epoch */
	struct pst_peer by;
	const char *via; /* "start", "push", "reload", "rollback": a literal */
	char *note;      /* what its author said; NULL: nothing */
	char *summary;   /* "3 changes: /limits/errors, ..." */
	json_t *doc;     /* NULL: dropped */
	size_t bytes;    /* of doc, as dumped */
};

struct pst_history {
	unsigned n; /* rows; the last is the newest */
	struct pst_generation rows[PST_HISTORY_MAX];
};

/* Takes over what g points to. Cannot fail. */
void pst_history_add(struct pst_history *h, const struct pst_generation *g);
void pst_history_fini(struct pst_history *h);
/* NULL: no such row (any more). */
const struct pst_generation *pst_history_find(const struct pst_history *h, uint64_t number);
/* What runs; there is always one after the first add. */
const struct pst_generation *pst_history_newest(const struct pst_history *h);
/* The newest one whose document is there and is not `doc`; NULL: none. */
const struct pst_generation *pst_history_other(const struct pst_history *h, const json_t *doc);

#endif
