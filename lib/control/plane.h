/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The control plane behind the socket: which configuration runs, which ran before,
 * and how another one comes to run. Knows no clients; the control thread's alone,
 * besides the members that say otherwise.
 *
 *   plane.c    life, reclaiming
 *   publish.c  judging a configuration, publishing it
 *   apply.c    what changes with a publication besides the relay: log, socket, metrics
 */
#ifndef PST_CONTROL_PLANE_H
#define PST_CONTROL_PLANE_H

#include <pst_control.h>
#include <stdatomic.h>

#include "diff.h"
#include "feed.h"
#include "history.h"
#include "listen.h"

#include <pst_metrics.h>

struct pst_plane {
	struct pst_control_deps deps; /* config: what it began with, not what runs */
	struct pst_log *log;
	struct pst_listen listen;
	struct pst_metrics *metrics;
	struct pst_feed feed;
	unsigned log_followers;
	const struct pst_config *running; /* belongs to the relay, the first to the application */
	struct pst_history history;
	enum pst_log_level level;      /* in force; log.level may have set it */
	uint64_t now_ns;               /* of this turn */
	unsigned old_in_use;           /* generations before the running one that sessions hold */
	_Atomic bool stopping;         /* any thread sets it: no undrain any more */
	struct pst_listen next_listen; /* apply.c: bound, not yet in use */
	bool made_log;                 /* apply.c: the new log file was not there before */
};

/* Binds the socket. What it opened is closed when it fails. */
bool pst_plane_open(
	struct pst_plane *p, const struct pst_control_deps *deps, char *err, size_t errlen);
void pst_plane_close(struct pst_plane *p);

/* Gives back what no session needs any more. Call a few times a second. */
void pst_plane_reclaim(struct pst_plane *p);
uint64_t pst_plane_generation(const struct pst_plane *p);
uint64_t pst_plane_wall_ns(void);                            /* since the epoch */
const json_t *pst_plane_document(const struct pst_plane *p); /* what runs */

/* ---- publish.c ---- */

struct pst_proposal {
	struct pst_config *config; /* taken over; NULL: report says why */
	struct pst_config_report report;
	struct pst_peer by;
	const char *via;  /* as in struct pst_generation */
	const char *note; /* NULL: none */
	bool force;       /* publish although nothing changed */
};

struct pst_outcome {
	int code;       /* 0: fine; else a PST_RPC_ code, with faults in the proposal's report */
	bool published; /* a new generation runs */
	struct pst_diff diff; /* against what ran before */
	struct pst_publish_result built;
};

/* Whether it could run, and what would change. Nothing is. */
void pst_plane_check(struct pst_plane *p, struct pst_proposal *prop, struct pst_outcome *v);
/* Makes it run, or changes nothing. */
void pst_plane_publish(struct pst_plane *p, struct pst_proposal *prop, struct pst_outcome *v);
/* Frees what is left in both. */
void pst_proposal_fini(struct pst_proposal *prop, struct pst_outcome *v);

/* Reads the file again and publishes it, though the text be the same: certificates may have
 * changed. */
void pst_plane_reload(struct pst_plane *p, struct pst_proposal *prop, struct pst_outcome *v);

/* ---- apply.c ---- */

/*
 * Each part that follows a publication is prepared before the relay publishes (and may
 * refuse: faults go to the report), then committed, or abandoned. Commits cannot fail.
 */
bool pst_apply_prepare(
	struct pst_plane *p, const struct pst_config *to, struct pst_config_report *report);
void pst_apply_commit(struct pst_plane *p, const struct pst_config *to);
void pst_apply_abandon(struct pst_plane *p, const struct pst_config *to);

#endif
