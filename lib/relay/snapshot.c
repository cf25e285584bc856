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

/* -1: this listener has no TLS. */
static int
listener_profile(const struct pst_config *cfg, const struct pst_config_listener *ln)
{
	const struct pst_config_action *a = &cfg->actions[ln->action];

	if (ln->tls == PST_CONFIG_TLS_NONE || !a->inspect)
		return -1;
	return ln->tls == PST_CONFIG_TLS_IMPLICIT ? a->implicit_profile : a->starttls_profile;
}

static enum pst_rc
build_class(struct parts *ps, const struct build *b, struct route_class *rc,
	const struct pst_config_next_hop *c)
{
	rc->hop = c;
	if (c->tls != PST_CONFIG_TLS_NONE && (rc->tls = tls_part_hop(ps, b, c)) == NULL)
		return PST_INVAL;
	rc->key = class_key(c, rc->tls);
	rc->hosts = calloc(c->nhosts, sizeof(*rc->hosts));
	if (rc->key == NULL || rc->hosts == NULL) {
		b->report(b->arg, "", "out of memory");
		return PST_NOMEM;
	}
	for (unsigned i = 0; i < c->nhosts; i++)
		rc->hosts[i] = (struct pst_names_host){
			.name = c->hosts[i].name,
			.has_addr = true,
			.addr = c->hosts[i].address,
			.port = c->hosts[i].port,
			.priority = c->hosts[i].priority,
		};
	return PST_OK;
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
			listener_profile(sn->cfg, &sn->cfg->listeners[i]) == profile)
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
		int p = listener_profile(cfg, &cfg->listeners[i]);

		if (p < 0 || known_bad(sn, i, p))
			continue;
		sn->listeners[i] = tls_part_profile(ps, b, &cfg->profiles[p]);
		faults += sn->listeners[i] == NULL;
	}
	for (unsigned i = 0; i < cfg->nnext_hops; i++)
		faults += build_class(ps, b, &sn->classes[i], &cfg->next_hops[i]) != PST_OK;
	sn->policy = policy_part_get(ps, b);
	return faults + (sn->policy == NULL);
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
		tls_part_put(ps, sn->classes[i].tls);
		free(sn->classes[i].key);
		free(sn->classes[i].hosts);
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
