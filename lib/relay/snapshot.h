/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Snapshots and the parts they share: what a configuration compiles to. Made and freed by the
 * control thread (snapshot.c, parts.c, policy_part.c); workers read them and count on them.
 */
#ifndef RELAY_SNAPSHOT_H
#define RELAY_SNAPSHOT_H

#include "digest.h"

#include <pst_names.h>
#include <pst_policy.h>
#include <pst_relay.h>
#include <pst_smtp_server.h>
#include <pst_tickets.h>
#include <pst_tls.h>
#include <stdatomic.h>
#include <sys/queue.h>

typedef void pst_relay_report_fn(void *arg, const char *pointer, const char *text);

/* A TLS profile or a next hop's demands, compiled for every worker. */
struct tls_part {
	TAILQ_ENTRY(tls_part) link;
	char *key;            /* the whole content */
	struct digest digest; /* of it */
	unsigned refs;        /* snapshots that have it */
	int64_t not_after; /* of a profile: when its last certificate ends; seconds since the epoch
			    */
	struct pst_tls_ctx *ctx[];
};

struct policy_part {
	TAILQ_ENTRY(policy_part) link;
	struct digest key;
	unsigned refs;
	struct pst_policy *policy;
};

/* What all generations draw from; one per process. */
struct parts {
	unsigned nworkers;
	struct pst_crypto **crypto;  /* per worker: its own OSSL_LIB_CTX */
	struct pst_tickets *tickets; /* the process's; NULL: a build that is thrown away */
	TAILQ_HEAD(, tls_part) tls;
	TAILQ_HEAD(, policy_part) policies;
};

/* One attempt to build a snapshot. */
struct build {
	const struct pst_config *cfg;
	pst_relay_report_fn *report;
	void *arg;
	struct pst_publish_result *result;
};

/* tickets outlive the parts. */
enum pst_rc parts_init(struct parts *ps, unsigned nworkers, struct pst_engine *engine,
	struct pst_tickets *tickets, char *err, size_t errlen);
void parts_fini(struct parts *ps);
struct tls_part *tls_part_profile(
	struct parts *ps, const struct build *b, const struct pst_config_tls_profile *p);
/* How TLS is spoken with a next hop: its own words, overridden by the map's and by PFS. */
struct hop_tls {
	const struct pst_config_next_hop *hop;
	uint16_t min_version, max_version;
	const char *ciphers;
	enum pst_tls_pfs pfs;
};
struct tls_part *tls_part_hop(struct parts *ps, const struct build *b, const struct hop_tls *t);
/* The content of it, trust anchors included; the caller frees. */
char *tls_hop_key(const struct hop_tls *t);
void tls_part_put(struct parts *ps, struct tls_part *p); /* NULL is allowed */
struct policy_part *policy_part_get(struct parts *ps, const struct build *b);
void policy_part_put(struct parts *ps, struct policy_part *p);

#define PFS_MODES 3 /* enum pst_tls_pfs */

/*
 * A next hop as compiled. Two connections are interchangeable if and only if their class
 * keys are equal and policy demands the same of both: hop_suits.
 */
struct route_class {
	const struct pst_config_next_hop *hop;
	unsigned nsets;        /* TLS settings of the policy's map */
	struct tls_part **tls; /* [nsets * PFS_MODES]; NULL: never asked for */
	char *key;             /* the content of what matters, as text */
};
char *class_key(const struct pst_config_next_hop *c);

static inline struct tls_part *
class_tls(const struct route_class *c, unsigned set, enum pst_tls_pfs pfs)
{
	return set < c->nsets ? c->tls[set * PFS_MODES + (unsigned)pfs] : NULL;
}

struct view_listener {
	struct pst_smtp_server_conf smtp; /* keywords follow the next hop's */
	uint32_t keywords;                /* as configured */
	uint64_t expired_told_ms;         /* that its certificates have expired; 0: not yet */
};

/* A worker's own corner of a snapshot. */
struct view {
	_Alignas(64) _Atomic uint64_t refs; /* its sessions and hops; the worker alone writes */
	struct view_listener *listeners;
};

struct snapshot {
	TAILQ_ENTRY(snapshot) link; /* relay's list of retired ones */
	uint64_t generation;
	const struct pst_config *cfg;
	struct policy_part *policy;
	struct route_class *classes; /* one a next hop */
	struct tls_part **listeners; /* one a listener; NULL: no TLS */
	struct pst_names *names;     /* the process's; NULL: no dns section */
	unsigned nworkers;
	struct view *views; /* one a worker */
};

/* NULL: every fault was reported. */
struct snapshot *snapshot_new(
	struct parts *ps, const struct build *b, uint64_t generation, const char *token);
void snapshot_free(struct parts *ps, struct snapshot *sn);
/* Index of the profile it speaks TLS by; -1: no TLS. */
int snapshot_listener_profile(const struct pst_config *cfg, const struct pst_config_listener *ln);
/* W10: the key exchange asked of next hops for mail that came in by this listener. */
enum pst_tls_pfs snapshot_recipient_pfs(
	const struct pst_config *cfg, const struct pst_config_listener *ln);
/* Sessions or hops of any worker still count on it. Only falls once it is unpublished. */
bool snapshot_in_use(const struct snapshot *sn);

/* Worker: a session or hop begins or ends under sn. */
static inline struct snapshot *
snapshot_get(struct snapshot *sn, unsigned worker)
{
	_Atomic uint64_t *r = &sn->views[worker].refs;

	atomic_store_explicit(
		r, atomic_load_explicit(r, memory_order_relaxed) + 1, memory_order_relaxed);
	return sn;
}

static inline void
snapshot_put(struct snapshot *sn, unsigned worker)
{
	_Atomic uint64_t *r = &sn->views[worker].refs;

	/* Pairs with the acquire in snapshot_in_use. */
	atomic_store_explicit(
		r, atomic_load_explicit(r, memory_order_relaxed) - 1, memory_order_release);
}

#endif
