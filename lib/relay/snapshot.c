/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A snapshot: a configuration compiled for use, one pointer for the workers. Built
 * and freed on the control thread; between that, read-only, but for each worker's
 * view, which is its worker's own.
 *
 * Life (liburcu QSBR): built whole; published by rcu_xchg_pointer; workers read the
 * pointer once a turn and count, in their view, the sessions and connections that
 * began under it. After the swap, synchronize_rcu() waits until no worker is in a
 * turn that read the old pointer: from then on the old counts can only fall, and when
 * all are zero nobody can find it any more. So references are plain stores of their
 * worker, and the last one is noticed, not dropped, on the control thread.
 */
#include "relay.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int
snapshot_listener_profile(const struct pst_config *cfg, const struct pst_config_listener *ln)
{
	const struct pst_config_action *a = &cfg->actions[ln->action];

	if (ln->tls == PST_CONFIG_TLS_NONE || !a->inspect)
		return -1;
	return ln->tls == PST_CONFIG_TLS_IMPLICIT ? a->implicit_profile : a->starttls_profile;
}

/* Of mail that came in there: W10's recipient channel. A plain listener has nothing to say. */
enum pst_tls_pfs
snapshot_recipient_pfs(const struct pst_config *cfg, const struct pst_config_listener *ln)
{
	int p = snapshot_listener_profile(cfg, ln);

	return p >= 0 ? cfg->profiles[p].recipient_pfs : PST_TLS_PFS_ALLOWED;
}

/* Which key exchanges connections of this next hop may be asked for: bits of pst_tls_pfs. */
static unsigned
class_pfs(const struct pst_config *cfg, const struct pst_config_next_hop *c)
{
	unsigned bits = 0;

	if (c->has_pfs)
		return 1u << c->pfs;
	for (unsigned i = 0; i < cfg->nlisteners; i++)
		bits |= 1u << snapshot_recipient_pfs(cfg, &cfg->listeners[i]);
	return bits;
}

/*
 * Which of the map's TLS settings: those of its hosts' entries; any, where DNS decides which hosts
 * or addresses there are, for an entry may name an address.
 */
static uint64_t
class_sets(const struct snapshot *sn, unsigned hop)
{
	const struct pst_policy *p = sn->policy->policy;
	const struct pst_config_next_hop *c = &sn->cfg->next_hops[hop];
	const struct pst_want want = {.entry = -1, .next_hop = -1};
	const uint64_t any = UINT64_MAX >> (64 - pst_policy_ntls(p));
	uint64_t bits = 1;

	if (c->mx)
		return any;
	for (unsigned i = 0; i < c->nhosts; i++) {
		const struct pst_config_host *h = &c->hosts[i];
		struct pst_host_facts f = {.next_hop = hop, .ip = h->address, .port = h->port};
		struct pst_demand d;

		if (!h->has_address)
			return any;
		if (h->name != NULL)
			f.name = pst_span_str(h->name);
		pst_policy_host(p, &want, &f, &d, NULL);
		bits |= 1ull << d.tls;
	}
	return bits;
}

static enum pst_rc
build_class_tls(struct parts *ps, const struct build *b, const struct snapshot *sn,
	struct route_class *rc, const struct pst_config_next_hop *c)
{
	uint64_t sets = class_sets(sn, (unsigned)(c - sn->cfg->next_hops));
	unsigned pfs = class_pfs(sn->cfg, c);

	for (unsigned i = 0; i < rc->nsets * PFS_MODES; i++) {
		const struct pst_policy_tls *set =
			pst_policy_tls(sn->policy->policy, i / PFS_MODES);
		struct hop_tls t = {.hop = c,
			.min_version = (uint16_t)c->profile_min,
			.max_version = (uint16_t)c->profile_max,
			.ciphers = set->ciphers != NULL ? set->ciphers : c->ciphers,
			.pfs = (enum pst_tls_pfs)(i % PFS_MODES)};

		if ((sets >> (i / PFS_MODES) & 1) == 0 || (pfs >> (i % PFS_MODES) & 1) == 0)
			continue;
		if (set->min_version != 0)
			t.min_version = set->min_version;
		if (set->max_version != 0)
			t.max_version = set->max_version;
		if ((rc->tls[i] = tls_part_hop(ps, b, &t)) == NULL)
			return PST_INVAL;
	}
	return PST_OK;
}

static enum pst_rc
build_class(struct parts *ps, const struct build *b, const struct snapshot *sn,
	struct route_class *rc, const struct pst_config_next_hop *c)
{
	rc->hop = c;
	rc->nsets = pst_policy_ntls(sn->policy->policy);
	rc->tls = calloc((size_t)rc->nsets * PFS_MODES, sizeof(*rc->tls));
	rc->key = class_key(c);
	if (rc->key == NULL || rc->tls == NULL) {
		b->report(b->arg, "", "out of memory");
		return PST_NOMEM;
	}
	return c->tls == PST_CONFIG_TLS_NONE ? PST_OK : build_class_tls(ps, b, sn, rc, c);
}

/* What the engine of a session on this listener goes by; the keywords follow the next hop's. */
static void
view_listener(struct view_listener *v, const struct snapshot *sn, unsigned i, const char *token)
{
	const struct pst_config *cfg = sn->cfg;
	const struct pst_config_listener *ln = &cfg->listeners[i];
	bool starttls = sn->listeners[i] != NULL && ln->tls == PST_CONFIG_TLS_STARTTLS;
	uint32_t all = PST_SMTP_PIPELINING | PST_SMTP_SIZE | PST_SMTP_8BITMIME |
		       PST_SMTP_ENHANCEDSTATUSCODES | PST_SMTP_SMTPUTF8 | PST_SMTP_DSN |
		       PST_SMTP_CHUNKING | (starttls ? PST_SMTP_STARTTLS : 0);

	v->keywords = all & ~ln->discard_keywords;
	v->smtp = (struct pst_smtp_server_conf){
		.hostname = ln->hostname,
		.keywords = v->keywords,
		.max_size = cfg->limits.message_size,
		.max_rcpts = cfg->limits.recipients,
		.max_errors = cfg->limits.errors,
		.max_received = cfg->limits.received,
		.loop_token = token,
		.bare_newline = ln->bare_newline,
	};
}

static enum pst_rc
build_views(struct snapshot *sn, const char *token)
{
	sn->views = aligned_alloc(_Alignof(struct view), sn->nworkers * sizeof(*sn->views));
	if (sn->views == NULL)
		return PST_NOMEM;
	memset(sn->views, 0, sn->nworkers * sizeof(*sn->views));
	for (unsigned w = 0; w < sn->nworkers; w++) {
		struct view *v = &sn->views[w];

		v->listeners = calloc(sn->cfg->nlisteners + 1, sizeof(*v->listeners));
		if (v->listeners == NULL)
			return PST_NOMEM;
		for (unsigned i = 0; i < sn->cfg->nlisteners; i++)
			view_listener(&v->listeners[i], sn, i, token);
	}
	return PST_OK;
}

/* A fault of a profile is told once, not by each listener that uses it. */
static bool
known_bad(const struct snapshot *sn, unsigned listener, int profile)
{
	for (unsigned i = 0; i < listener; i++) {
		if (sn->listeners[i] == NULL &&
			snapshot_listener_profile(sn->cfg, &sn->cfg->listeners[i]) == profile)
			return true;
	}
	return false;
}

/* Goes on after a fault, so that one does not hide another. */
static unsigned
build_parts(struct parts *ps, const struct build *b, struct snapshot *sn)
{
	const struct pst_config *cfg = b->cfg;
	unsigned faults = 0;

	for (unsigned i = 0; i < cfg->nlisteners; i++) {
		int p = snapshot_listener_profile(cfg, &cfg->listeners[i]);

		if (p < 0 || known_bad(sn, i, p))
			continue;
		sn->listeners[i] = tls_part_profile(ps, b, &cfg->profiles[p]);
		faults += sn->listeners[i] == NULL;
	}
	sn->policy = policy_part_get(ps, b);
	if (sn->policy == NULL)
		return faults + 1; /* it says which TLS settings the classes need */
	for (unsigned i = 0; i < cfg->nnext_hops; i++)
		faults += build_class(ps, b, sn, &sn->classes[i], &cfg->next_hops[i]) != PST_OK;
	return faults;
}

struct snapshot *
snapshot_new(struct parts *ps, const struct build *b, uint64_t generation, const char *token)
{
	struct snapshot *sn = calloc(1, sizeof(*sn));

	if (sn == NULL)
		return NULL;
	sn->cfg = b->cfg;
	sn->generation = generation;
	sn->nworkers = ps->nworkers;
	sn->classes = calloc(b->cfg->nnext_hops + 1, sizeof(*sn->classes));
	sn->listeners = calloc(b->cfg->nlisteners + 1, sizeof(*sn->listeners));
	if (sn->classes == NULL || sn->listeners == NULL) {
		b->report(b->arg, "", "out of memory");
		goto fail;
	}
	if (build_parts(ps, b, sn) > 0)
		goto fail;
	if (build_views(sn, token) != PST_OK) {
		b->report(b->arg, "", "out of memory");
		goto fail;
	}
	return sn;
fail:
	snapshot_free(ps, sn);
	return NULL;
}

void
snapshot_free(struct parts *ps, struct snapshot *sn)
{
	if (sn == NULL)
		return;
	for (unsigned i = 0; sn->classes != NULL && i < sn->cfg->nnext_hops; i++) {
		struct route_class *rc = &sn->classes[i];

		for (unsigned t = 0; rc->tls != NULL && t < rc->nsets * PFS_MODES; t++)
			tls_part_put(ps, rc->tls[t]);
		free(rc->tls);
		free(rc->key);
	}
	for (unsigned i = 0; sn->listeners != NULL && i < sn->cfg->nlisteners; i++)
		tls_part_put(ps, sn->listeners[i]);
	for (unsigned w = 0; sn->views != NULL && w < sn->nworkers; w++)
		free(sn->views[w].listeners);
	policy_part_put(ps, sn->policy);
	free(sn->views);
	free(sn->classes);
	free(sn->listeners);
	free(sn);
}

bool
snapshot_in_use(const struct snapshot *sn)
{
	for (unsigned w = 0; w < sn->nworkers; w++) {
		/* Pairs with the release in snapshot_put: what the session did is done. */
		if (atomic_load_explicit(&sn->views[w].refs, memory_order_acquire) != 0)
			return true;
	}
	return false;
}
