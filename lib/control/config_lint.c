/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Warnings: what a configuration may say, but hardly ever means to. Each is told from the
 * values alone, so it holds for what was pushed as for what was read from a file. What
 * rules and lists do to each other is the policy's to say (pst_relay_lint).
 */
#include "config_keys.h"

#include <stdarg.h>
#include <stdio.h>

static void warn(struct pst_config_walk *w, const char *key, const char *fmt, ...) PST_PRINTF(3, 4);

static void
warn(struct pst_config_walk *w, const char *key, const char *fmt, ...)
{
	char text[1024], pointer[sizeof(w->pointer) + 64];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	snprintf(pointer, sizeof(pointer), "%s/%s", w->pointer, key);
	pst_config_report_warn(w->report, pointer, "%s", text);
}

/* ---- TLS ---- */

#define LEGACY                                                                                     \
	"TLS below 1.2 is broken (RFC 8996), and to allow it OpenSSL's security level becomes 0 "  \
	"here: weak keys and digests are taken as well"
#define NO_SECRECY                                                                                 \
	"without forward secrecy whoever gets hold of the key later can read the mail of today"
#define UNUSED_CA "has no effect while \"client_certificate\" is \"off\""

static bool
pfs_capable(const struct pst_config *c)
{
	for (unsigned i = 0; i < c->nmodels; i++)
		if (pst_same_text(c->models[i].name, c->model))
			return c->models[i].pfs_capable;
	return true;
}

static void
lint_profile(struct pst_config_walk *w, const struct pst_config_tls_profile *p, bool capable)
{
	if (p->min_version < PST_TLS_1_2)
		warn(w, "min", "%s", LEGACY);
	if (capable && p->sender_pfs == PST_TLS_PFS_NONE)
		warn(w, "sender/pfs", "%s", NO_SECRECY);
	if (capable && p->recipient_pfs == PST_TLS_PFS_NONE)
		warn(w, "recipient/pfs", "%s", NO_SECRECY);
	if (p->client_ca_file != NULL && p->client_certificate == PST_TLS_CLIENT_CERT_OFF)
		warn(w, "client_ca_file", "%s", UNUSED_CA);
}

/* ---- tickets ---- */

static int
profile_of(const struct pst_config *c, const struct pst_config_listener *l)
{
	const struct pst_config_action *a = &c->actions[l->action];

	if (l->tls == PST_CONFIG_TLS_NONE || !a->inspect)
		return -1;
	return l->tls == PST_CONFIG_TLS_IMPLICIT ? a->implicit_profile : a->starttls_profile;
}

/* Does a listener send tickets, under this profile (-1: any)? */
static bool
sends_tickets(const struct pst_config *c, int profile)
{
	for (unsigned i = 0; i < c->nlisteners; i++) {
		const struct pst_config_listener *l = &c->listeners[i];
		int p = profile_of(c, l);

		if (p >= 0 && (profile < 0 || p == profile) &&
			(l->has_tickets ? l->tickets : c->profiles[p].tickets) > 0)
			return true;
	}
	return false;
}

#define NO_TICKETS "has no effect: no listener sends session tickets"

static void
lint_tickets(struct pst_config_walk *w, const struct pst_config *c)
{
	size_t was;

	if (c->ticket_keys.file != NULL && !sends_tickets(c, -1)) {
		was = pst_config_enter(w, "ticket_keys");
		warn(w, "file", NO_TICKETS);
		pst_config_leave(w, was);
	}
	was = pst_config_enter(w, "tls_profiles");
	for (unsigned i = 0; i < c->nprofiles; i++) {
		size_t elem = pst_config_enter(w, c->profiles[i].name);

		if (c->profiles[i].ntickets_except > 0 && !sends_tickets(c, (int)i))
			warn(w, "tickets_except", NO_TICKETS " under this profile");
		pst_config_leave(w, elem);
	}
	pst_config_leave(w, was);
}

static void
lint_next_hop(struct pst_config_walk *w, const struct pst_config_next_hop *h, bool capable)
{
	if (h->profile_min < PST_TLS_1_2)
		warn(w, "min", "%s", LEGACY);
	if (capable && h->has_pfs && h->pfs == PST_TLS_PFS_NONE)
		warn(w, "pfs", "%s", NO_SECRECY);
}

/* W1: what is said about TLS while it is not inspected is never looked at. */
static void
lint_action(struct pst_config_walk *w, const struct pst_config_action *a)
{
#define NOT_INSPECTED "has no effect while \"inspect\" is false"
	if (a->inspect || a->predefined)
		return;
	if (a->starttls_profile >= 0)
		warn(w, "starttls_profile", NOT_INSPECTED);
	if (a->implicit_profile >= 0)
		warn(w, "implicit_profile", NOT_INSPECTED);
	if (a->tls_action != PST_TLS_ACTION_INSPECT)
		warn(w, "tls_action", NOT_INSPECTED);
}

/* ---- listeners ---- */

/* Somebody must encrypt, and this listener cannot: it answers them 530 for ever. */
static bool
must_encrypt(const struct pst_config_policy *p)
{
	for (unsigned i = 0; i < p->nrules; i++)
		if (p->rules[i].enabled && p->rules[i].sender == PST_SENDER_REQUIRED)
			return true;
	return p->default_sender == PST_SENDER_REQUIRED || p->inbound == PST_LEVEL_ENCRYPT;
}

static void
lint_listener(struct pst_config_walk *w, const struct pst_config *c,
	const struct pst_config_listener *l, bool must)
{
	const struct pst_config_action *a = &c->actions[l->action];

	if (l->tls == PST_CONFIG_TLS_IMPLICIT && a->tls_action == PST_TLS_ACTION_DROP)
		warn(w, "action",
			"\"tls_action\": \"drop\" in action \"%s\": every connection to port %u is "
			"reset",
			a->name, l->at.port);
	if (l->has_tickets && l->tickets > 0 && profile_of(c, l) < 0)
		warn(w, "tickets", "has no effect: no TLS here");
	if (must && (!a->inspect || l->tls == PST_CONFIG_TLS_NONE))
		warn(w, a->inspect ? "tls" : "action",
			"no TLS here, so senders whose encryption is required are always refused "
			"here");
}

/* ---- the rest ---- */

static bool
names_a_host(const char *entry)
{
	struct pst_prefix prefix;
	struct pst_ip ip;

	return pst_ip_parse(entry, &ip) != PST_OK && pst_prefix_parse(entry, &prefix) != PST_OK;
}

/* A client is known by its name only if somebody asks for it. */
static void
lint_list(struct pst_config_walk *w, const char *key, unsigned n, const char *const *entries)
{
	size_t was = pst_config_enter(w, key);
	char index[24];

	for (unsigned i = 0; i < n; i++) {
		snprintf(index, sizeof(index), "%u", i);
		if (names_a_host(entries[i]))
			warn(w, index,
				"counts for next hops only: the names of clients are not asked "
				"for");
	}
	pst_config_leave(w, was);
}

static void
lint_policy(struct pst_config_walk *w, const struct pst_config *c)
{
	const struct pst_config_policy *p = &c->policy;
	size_t was = pst_config_enter(w, "policy");

	if (!c->dns.on || !c->dns.client_names) {
		lint_list(w, "starttls_never", p->nnever, p->never);
		lint_list(w, "starttls_required", p->nrequired, p->required);
	}
	if (p->mirror_receiver && (c->nnext_hops != 1 || c->next_hops[0].mx))
		warn(w, "mirror_receiver",
			"has no effect: there is not one next hop with hosts, but several, or an "
			"mx");
	pst_config_leave(w, was);
}

static void
lint_maps(struct pst_config_walk *w, const struct pst_config *c)
{
	bool capable = pfs_capable(c);
	size_t was, elem;

	was = pst_config_enter(w, "tls_profiles");
	for (unsigned i = 0; i < c->nprofiles; i++) {
		elem = pst_config_enter(w, c->profiles[i].name);
		lint_profile(w, &c->profiles[i], capable);
		pst_config_leave(w, elem);
	}
	pst_config_leave(w, was);
	was = pst_config_enter(w, "actions");
	for (unsigned i = 0; i < c->nactions; i++) {
		elem = pst_config_enter(w, c->actions[i].name);
		lint_action(w, &c->actions[i]);
		pst_config_leave(w, elem);
	}
	pst_config_leave(w, was);
	was = pst_config_enter(w, "next_hops");
	for (unsigned i = 0; i < c->nnext_hops; i++) {
		elem = pst_config_enter(w, c->next_hops[i].name);
		lint_next_hop(w, &c->next_hops[i], capable);
		pst_config_leave(w, elem);
	}
	pst_config_leave(w, was);
}

/* ---- crypto ---- */

static bool
is_used(const struct pst_config_crypto *c, unsigned backend)
{
	for (unsigned k = 0; k < PST_OP_KINDS; k++)
		for (unsigned i = 0; i < c->tuning.nroutes[k]; i++)
			if (c->tuning.routes[k][i] == backend)
				return true;
	for (unsigned i = 0; i < c->nbackends; i++)
		if (pst_same_text(c->backends[i].around, c->backends[backend].name))
			return true;
	return false;
}

/* Two threads that poll on one core: right on a machine that has no other, else hardly meant. */
static const char *
core_user(const struct pst_config *c, unsigned backend, unsigned core)
{
	for (unsigned i = 0; i < PST_MIN(c->dataplane.ncores, c->dataplane.workers); i++)
		if (c->dataplane.cores[i] == core)
			return "a worker";
	for (unsigned b = 0; b < backend; b++)
		for (unsigned i = 0; i < c->crypto.backends[b].ncores; i++)
			if (c->crypto.backends[b].cores[i] == core)
				return "another back-end";
	return NULL;
}

static void
lint_backend(struct pst_config_walk *w, const struct pst_config *c, unsigned b)
{
	const struct pst_config_crypto_backend *back = &c->crypto.backends[b];
	char key[24];

	if (!is_used(&c->crypto, b))
		warn(w, "driver", "has no effect: no operation goes to \"%s\"", back->name);
	for (unsigned i = 0; i < back->ncores; i++) {
		const char *user = core_user(c, b, back->cores[i]);

		snprintf(key, sizeof(key), "cores/%u", i);
		if (user != NULL)
			warn(w, key, "%s has core %u too: they share it", user, back->cores[i]);
	}
}

/* "sync" does what is left: nothing reaches what stands behind it. */
static void
lint_order(struct pst_config_walk *w, const struct pst_config_crypto_order *order, const char *name)
{
	char key[80];

	for (unsigned i = 0; i + 1 < order->n; i++) {
		snprintf(key, sizeof(key), "operations/%s/%u", name, i + 1);
		if (strcmp(order->names[i], PST_CRYPTO_SYNC) == 0)
			warn(w, key,
				"has no effect behind \"" PST_CRYPTO_SYNC
				"\", which does everything");
	}
}

static void
lint_crypto(struct pst_config_walk *w, const struct pst_config *c)
{
	size_t was = pst_config_enter(w, "crypto"), map = pst_config_enter(w, "backends"), one;

	for (unsigned b = 0; b < c->crypto.nbackends; b++) {
		one = pst_config_enter(w, c->crypto.backends[b].name);
		lint_backend(w, c, b);
		pst_config_leave(w, one);
	}
	pst_config_leave(w, map);
	lint_order(w, &c->crypto.usual, pst_operation_keys[0].name);
	for (unsigned k = 0; k < PST_OP_KINDS; k++)
		lint_order(w, &c->crypto.order[k], pst_operation_keys[1 + k].name);
	pst_config_leave(w, was);
}

static void
relay_warning(void *report, const char *pointer, const char *text)
{
	pst_config_report_warn(report, pointer, "%s", text);
}

void
pst_config_lint(const struct pst_config *c, struct pst_config_report *report)
{
	struct pst_config_walk w = {.report = report};
	bool must = must_encrypt(&c->policy);
	size_t was;

	lint_maps(&w, c);
	lint_tickets(&w, c);
	was = pst_config_enter(&w, "listeners");
	for (unsigned i = 0; i < c->nlisteners; i++) {
		size_t elem = pst_config_enter_index(&w, c->listeners[i].item);
		lint_listener(&w, c, &c->listeners[i], must);
		pst_config_leave(&w, elem);
	}
	pst_config_leave(&w, was);
	lint_policy(&w, c);
	lint_crypto(&w, c);
	(void)pst_relay_lint(c, relay_warning, report);
}
