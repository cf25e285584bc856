/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Opening a connection to a host: what policy demands of it, whether a kept connection would
 * meet the same demand, the SYN, and the beginning of TLS with names and key of the demand.
 */
#include "relay.h"

#include <pst_cycles.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What policy demands of this very host. The spans point into the hop and its snapshot. */
static void
hop_judge(struct hop *h, const struct errand *to)
{
	struct pst_host_facts f = {.next_hop = (unsigned)(to->cls - h->snap->classes),
		.ip = h->at.ip,
		.port = h->at.port};

	if (h->domain != NULL)
		f.domain = pst_span_str(h->domain);
	if (h->host != NULL)
		f.name = pst_span_str(h->host);
	errand_judge(to, h->snap, &f, &h->demand, NULL);
	h->part = class_tls(to->cls, h->demand.tls, to->pfs);
	h->demand_key = demand_digest(&h->demand, h->part);
}

/* S4: a connection in clear for that reason alone serves only while the reason is remembered. */
static bool
still_broken(const struct hop *h, const struct snapshot *sn)
{
	return sn->cfg->policy.broken_tls.enabled &&
	       broken_has(h->sh->relay->broken, &h->at.ip, false, h->sh->now_ms);
}

bool
hop_suits(const struct hop *h, const struct snapshot *sn, const struct errand *to)
{
	struct hop as = {.host = h->host, .domain = h->domain, .at = h->at};

	if (strcmp(h->cls->key, to->cls->key) != 0 || (h->domain == NULL) != (to->domain == NULL) ||
		(h->domain != NULL && strcmp(h->domain, to->domain) != 0))
		return false;
	if (h->plain && !still_broken(h, sn))
		return false;
	as.snap = (struct snapshot *)(uintptr_t)sn;
	hop_judge(&as, to);
	return !as.demand.conflict && digest_eq(&as.demand_key, &h->demand_key);
}

/* Resumption stays inside one class, one demand and one host: the key names all three. */
static char *
session_key(const struct hop *h)
{
	char at[PST_ENDPOINT_STRLEN];
	char *key = NULL;

	if (asprintf(&key, "%s|%016lx%016lx|%s", h->cls->key, (unsigned long)h->demand_key.h[0],
		    (unsigned long)h->demand_key.h[1], pst_endpoint_str(&h->at, at)) < 0)
		return NULL;
	return key;
}

enum pst_rc
hop_start_tls(struct hop *h)
{
	static __thread char names[PST_TLS_NAMES_MAX + 1][PST_NAME_MAX];
	struct pst_tls_expect e;
	enum pst_rc rc = h->part != NULL ? demand_expect(&h->demand, &e, names) : PST_INVAL;

	if (rc != PST_OK)
		return rc;
	if (h->tls_key == NULL && (h->tls_key = session_key(h)) == NULL)
		return PST_NOMEM;
	hop_enter(h, HOP_HANDSHAKE);
	h->tls_began = h->sh->now;
	return leg_start_tls(
		&h->leg, h->part->ctx[h->sh->worker], &e, h->sh->cache, pst_span_str(h->tls_key));
}

const char *
hop_helo(const struct session *s, const struct route_class *cls)
{
	return cls->hop->helo != NULL ? cls->hop->helo : s->ln->hostname;
}

/* S4: has TLS with this host failed lately, and may that be heeded? */
static bool
known_broken(const struct hop *h)
{
	const struct pst_config_broken_tls *b = &h->snap->cfg->policy.broken_tls;
	struct pst_relay_counters *c = &h->sh->c;

	if (!b->enabled || h->part == NULL || h->demand.level <= PST_LEVEL_NONE ||
		!broken_has(h->sh->relay->broken, &h->at.ip, false, h->sh->now_ms))
		return false;
	if (demand_may_fall_back(h->demand.level, h->cls->hop->tls, true)) {
		c->broken_tls_used++;
		return true;
	}
	c->broken_tls_overruled++;
	return false;
}

static bool
dup_or_none(char **out, const char *text)
{
	*out = text != NULL ? strdup(text) : NULL;
	return text == NULL || *out != NULL;
}

static void
hop_discard(struct hop *h)
{
	free(h->host);
	free(h->domain);
	free(h->helo);
	free(h);
}

/* All that can be known before a packet leaves. */
static struct hop *
hop_new(const struct hop_owner *o, const struct errand *to, const struct target *t)
{
	struct hop *h = calloc(1, sizeof(*h));

	if (h == NULL)
		return NULL;
	h->sh = o->sh;
	h->s = o->s;
	h->probe = o->probe;
	h->cls = to->cls;
	h->at = t->at;
	h->snap = o->snap;
	if (!dup_or_none(&h->host, t->name) || !dup_or_none(&h->domain, to->domain) ||
		!dup_or_none(&h->helo, o->helo)) {
		hop_discard(h);
		return NULL;
	}
	hop_judge(h, to);
	h->plain = t->plain;
	return h;
}

static enum hop_fault
hop_dial(struct hop *h)
{
	struct pst_tcp_conn *conn = NULL;
	enum pst_rc rc;

	if (h->demand.conflict)
		return HOP_FAULT_CONFLICT;
	rc = PST_SPEND(PST_LAYER_TCP,
		pst_tcp_connect(h->sh->tcp, NULL, &h->at, &h->leg, h->sh->now, &conn));
	if (rc != PST_OK)
		return rc == PST_UNREACH ? HOP_FAULT_CONNECT : HOP_FAULT_RESOURCE;
	leg_init(&h->leg, LEG_HOP, conn);
	return HOP_FAULT_NONE;
}

struct hop *
hop_open(const struct hop_owner *o, const struct errand *to, const struct target *t,
	enum hop_fault *f)
{
	struct hop *h = hop_new(o, to, t);

	*f = h != NULL ? hop_dial(h) : HOP_FAULT_RESOURCE;
	if (*f == HOP_FAULT_CONFLICT && o->s != NULL)
		log_hop_fault(h, *f);
	if (*f != HOP_FAULT_NONE) {
		if (h != NULL)
			hop_discard(h);
		return NULL;
	}
	snapshot_get(h->snap, o->sh->worker);
	h->plain = h->plain || known_broken(h);
	h->born_ms = o->sh->now_ms;
	pst_smtp_client_init(&h->smtp);
	pst_timer_init(&h->timer, LEG_HOP);
	o->sh->c.nexthop_connects++;
	hop_enter(h, HOP_CONNECT);
	return h;
}
