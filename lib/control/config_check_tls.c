/* SPDX-License-Identifier: BSD-3-Clause */
/* Checks of the model, certificates, TLS profiles and actions. See config_check.c. */
#include "config_keys.h"

#include <pst_tickets.h>
#include <stdatomic.h>

/* ---- the model ---- */

/* Of the process: set before the first configuration is read, then only looked at. */
static const char *_Atomic forced_model;

void
pst_config_force_model(const char *name)
{
	forced_model = name;
}

static const struct pst_config_model *
find_model(const struct pst_config *c, const char *name)
{
	for (unsigned i = 0; i < c->nmodels; i++)
		if (pst_same_text(c->models[i].name, name))
			return &c->models[i];
	return NULL;
}

static void
unknown_model(struct pst_config_walk *w, const struct pst_config *c)
{
	char list[512] = "";
	size_t n = 0;

	for (unsigned i = 0; i < c->nmodels && n < sizeof(list); i++)
		n += (size_t)snprintf(
			list + n, sizeof(list) - n, "%s%s", i > 0 ? ", " : "", c->models[i].name);
	pst_config_fault(w, "model", "%sthere is no model \"%s\"; known are: %s",
		forced_model != NULL ? "--model: " : "", c->model, list);
}

#define NO_PFS "model %s is not capable of forward secrecy, so \"pfs\" has to be \"none\""

static void
gate_profiles(struct pst_config_walk *w, const struct pst_config *c)
{
	size_t was = pst_config_enter(w, "tls_profiles");

	for (unsigned i = 0; i < c->nprofiles; i++) {
		const struct pst_config_tls_profile *p = &c->profiles[i];
		size_t map = pst_config_enter(w, p->name != NULL ? p->name : "");

		if (!p->predefined && !pst_config_faulty(w, w->pointer)) {
			if (p->sender_pfs != PST_TLS_PFS_NONE)
				pst_config_fault(w, "sender/pfs", NO_PFS, c->model);
			if (p->recipient_pfs != PST_TLS_PFS_NONE)
				pst_config_fault(w, "recipient/pfs", NO_PFS, c->model);
		}
		pst_config_leave(w, map);
	}
	pst_config_leave(w, was);
}

static void
gate_next_hops(struct pst_config_walk *w, const struct pst_config *c)
{
	size_t was = pst_config_enter(w, "next_hops");

	for (unsigned i = 0; i < c->nnext_hops; i++) {
		const struct pst_config_next_hop *h = &c->next_hops[i];
		size_t map = pst_config_enter(w, h->name != NULL ? h->name : "");

		if (h->has_pfs && h->pfs != PST_TLS_PFS_NONE && !pst_config_faulty(w, w->pointer))
			pst_config_fault(w, "pfs", NO_PFS, c->model);
		pst_config_leave(w, map);
	}
	pst_config_leave(w, was);
}

static bool
is_predefined(const struct pst_config *c, int profile)
{
	return profile >= 0 && c->profiles[profile].predefined;
}

static bool
uses_predefined(const struct pst_config *c, const struct pst_config_listener *l)
{
	const struct pst_config_action *a = l->action < c->nactions ? &c->actions[l->action] : NULL;

	if (a == NULL || !a->inspect)
		return false;
	return (pst_offers_starttls(l) && is_predefined(c, a->starttls_profile)) ||
	       (pst_begins_with_tls(l) && a->tls_action == PST_TLS_ACTION_INSPECT &&
		       is_predefined(c, a->implicit_profile));
}

/* The predefined profile allows forward secrecy: on such a model it can only lie there unused. */
static void
gate_listeners(struct pst_config_walk *w, const struct pst_config *c)
{
	size_t was = pst_config_enter(w, "listeners");

	for (unsigned i = 0; i < c->nlisteners; i++) {
		size_t list = pst_config_enter_index(w, i);

		if (uses_predefined(c, &c->listeners[i]) && !pst_config_faulty(w, w->pointer))
			pst_config_fault(w, "action",
				"action \"%s\" uses a predefined TLS profile, which allows forward "
				"secrecy, and model %s is not capable of it",
				c->actions[c->listeners[i].action].name, c->model);
		pst_config_leave(w, list);
	}
	pst_config_leave(w, was);
}

void
pst_check_model(struct pst_config_walk *w, struct pst_config *c)
{
	const struct pst_config_model *m;

	if (forced_model != NULL)
		c->model = forced_model;
	if (c->model == NULL || pst_config_faulty(w, "/models") || pst_config_faulty(w, "/model"))
		return;
	m = find_model(c, c->model);
	if (m == NULL) {
		unknown_model(w, c);
		return;
	}
	if (!m->pfs_capable) {
		gate_profiles(w, c);
		gate_next_hops(w, c);
		gate_listeners(w, c);
	}
	pst_gate_crypto(w, c, m);
}

/* ---- certificates ---- */

void
pst_check_certificate(struct pst_config_walk *w, const json_t *obj, void *at)
{
	struct pst_config_certificate *c = at;

	if (!pst_said(obj, "key"))
		c->key = c->chain;
}

/* ---- ticket keys ---- */

void
pst_check_ticket_keys(struct pst_config_walk *w, const json_t *obj, void *at)
{
	const struct pst_config_ticket_keys *k = at;

	/* The keys of one lifetime are all in memory. A rotate of 0 was at fault. */
	if (k->rotate_s != 0 && k->lifetime_s > (uint64_t)k->rotate_s * PST_TICKETS_PER_LIFE)
		pst_config_fault(
			w, "lifetime", "is more than %d times \"rotate\"", PST_TICKETS_PER_LIFE);
}

/* ---- profiles ---- */

/* PFS none is static RSA, and TLS 1.3 (RFC 8446 1.2) has none of that. */
void
pst_check_versions(struct pst_config_walk *w, unsigned min, unsigned max, const char *pfs_key,
	enum pst_tls_pfs pfs)
{
	if (min != 0 && max != 0 && min > max)
		pst_config_fault(w, "min", "is above \"max\"");
	else if (pfs == PST_TLS_PFS_NONE && min > PST_TLS_1_2)
		pst_config_fault(
			w, pfs_key, "\"none\" is at most TLS 1.2, but \"min\" is above that");
}

static void
all_certificates(struct pst_config_walk *w, struct pst_config_tls_profile *p)
{
	unsigned n = w->config->ncertificates;

	p->certificates = pst_arena_alloc(w->arena, n * sizeof(*p->certificates));
	if (p->certificates == NULL) {
		pst_config_nomem(w);
		return;
	}
	for (unsigned i = 0; i < n; i++)
		p->certificates[i] = i;
	p->ncertificates = n;
}

void
pst_check_profile(struct pst_config_walk *w, const json_t *obj, void *at)
{
	struct pst_config_tls_profile *p = at;

	p->predefined = w->predefined;
	pst_check_versions(w, p->min_version, p->max_version, "sender/pfs", p->sender_pfs);
	if (!pst_said(obj, "certificates"))
		all_certificates(w, p);
	if (p->ncertificates > PST_TLS_MAX_CERTS && !p->predefined)
		pst_config_fault(w, "certificates",
			"missing: the configuration has %u, and a profile takes at most %u",
			p->ncertificates, PST_TLS_MAX_CERTS);
	if (p->client_certificate != PST_TLS_CLIENT_CERT_OFF && p->client_ca_file == NULL &&
		!pst_said(obj, "client_ca_file"))
		pst_config_fault(w, "client_ca_file",
			"missing: client certificates are asked for, and somebody has to sign "
			"them");
}

/* ---- actions ---- */

void
pst_check_action(struct pst_config_walk *w, const json_t *obj, void *at)
{
	/* A name that was not found is as good as none for who comes after. */
	struct pst_config_action *a = at;

	a->predefined = w->predefined;
	if (a->starttls_profile >= (int)w->config->nprofiles)
		a->starttls_profile = -1;
	if (a->implicit_profile >= (int)w->config->nprofiles)
		a->implicit_profile = -1;
}
