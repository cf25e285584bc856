/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where mail goes and how: the errand that policy's verdict makes, the hosts it leads to, the
 * names that are asked for on the way, and what a demand means for a connection.
 */
#ifndef RELAY_ERRAND_H
#define RELAY_ERRAND_H

#include "snapshot.h"

struct session;
struct shard;

/* What is asked of a connection: by a transaction, or by explain. */
struct errand {
	const struct route_class *cls; /* NULL: nothing yet */
	struct pst_want want;          /* policy's, but for the host's own part */
	enum pst_tls_pfs pfs;
	bool clear;   /* it came by an action that does not inspect: no TLS with next hops */
	char *domain; /* mx: whose; else NULL. The errand's own */
	const struct pst_config_dataplane *own; /* our own addresses, which no MX may be; or NULL */
};
/* The verdict's; domain: the recipient's. PST_NOMEM. */
enum pst_rc errand_set(struct errand *e, const struct snapshot *sn, unsigned listener,
	const struct pst_verdict *v, struct pst_span domain);
void errand_clear(struct errand *e);
/* What is demanded of a host on this errand: policy's word and that of the listener's action. */
void errand_judge(const struct errand *e, const struct snapshot *sn, const struct pst_host_facts *f,
	struct pst_demand *d, struct pst_policy_trace *trace);

/* An address to try; target.c. */
struct target {
	struct pst_endpoint at;
	uint16_t priority;
	bool plain; /* TLS with it has just failed, and it may be tried without */
	char *name; /* NULL: known by its address alone */
};

struct targets {
	unsigned n, next;
	struct target *e;
	enum pst_names_status status; /* why there are none */
	bool loops;                   /* the best MX is this gateway */
	const char *why;              /* static */
};

/* What is known of a name; NULL: nothing yet. */
typedef const struct pst_names_answer *names_source(
	void *arg, enum pst_names_kind kind, struct pst_span key);
/* In the order to be tried. Returns how many names were not known; false in *ok: no memory. */
unsigned targets_build(struct targets *t, const struct errand *to, names_source *source, void *arg,
	uint64_t seed, bool *ok);
void targets_clear(struct targets *t);
/* What a client is told when there is no target. */
struct names_verdict {
	unsigned code;
	const char *enh, *text;
};
struct names_verdict names_verdict(const struct targets *t, const struct errand *to);

/* ---- questions under way (waiter.c) ---- */

struct waiter {
	LIST_ENTRY(waiter) link; /* of its session */
	struct session *s;       /* NULL: it has gone */
	uint32_t slot, generation;
};
LIST_HEAD(waiters, waiter);

struct waiting { /* a shard's */
	struct waiter **slots;
	unsigned n, cap;
	uint32_t generation;
};
/* Asks on behalf of s. PST_OK: session_named follows, once. */
enum pst_rc waiter_ask(struct session *s, enum pst_names_kind kind, struct pst_span key);
void waiter_poll(struct shard *sh);    /* takes what was answered */
void waiter_forget(struct session *s); /* s goes */
void waiting_fini(struct shard *sh);

/* ---- what a demand means for a connection (demand.c): pure, for hop and explain ---- */

enum tls_step { TLS_STEP_PLAIN, TLS_STEP_STARTTLS, TLS_STEP_MISSING };
/* After EHLO in clear: go on, ask for TLS, or give up. */
enum tls_step demand_step(
	enum pst_level level, enum pst_config_tls_mode mode, bool starttls_offered, bool plain);
/* TLS with the host failed: may the message cross in clear? */
bool demand_may_fall_back(enum pst_level level, enum pst_config_tls_mode mode, bool broken_tls);
/* Does the level look at the certificate? */
bool demand_verifies(enum pst_level level);
struct digest demand_digest(const struct pst_demand *d, const struct tls_part *part);
/* `names` of e point into bufs. */
enum pst_rc demand_expect(const struct pst_demand *d, struct pst_tls_expect *e,
	char bufs[PST_TLS_NAMES_MAX + 1][PST_NAME_MAX]);

#endif
