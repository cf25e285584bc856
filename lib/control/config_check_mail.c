/* SPDX-License-Identifier: BSD-3-Clause */
/* Checks of listeners, next hops and routes. See config_check.c. */
#include "config_keys.h"

#include <stdlib.h>
#include <unistd.h>

#define PORTS "/dataplane/ports"

/* ---- listeners ---- */

static bool
is_port_address(const struct pst_config_dataplane *dp, const struct pst_ip *ip)
{
	for (unsigned i = 0; i < dp->nports; i++)
		for (unsigned k = 0; k < dp->ports[i].naddresses; k++)
			if (pst_ip_eq(&dp->ports[i].addresses[k].ip, ip))
				return true;
	return false;
}

static void
check_listener_address(
	struct pst_config_walk *w, const json_t *obj, const struct pst_config_listener *l)
{
	const char *text = json_string_value(json_object_get(obj, "address"));

	if (text == NULL || strcmp(text, "any") == 0 || pst_config_faulty(w, PORTS))
		return;
	size_t was = pst_config_enter(w, "address");
	if (!pst_config_faulty(w, w->pointer) && !is_port_address(&w->config->dataplane, &l->at.ip))
		pst_config_fault(w, NULL, "is not an address of a port; \"any\" means all of them");
	pst_config_leave(w, was);
}

/* What is wrong with a profile that a listener needs; NULL: nothing. */
static const char *
profile_fault(const struct pst_config *c, int profile)
{
	if (profile < 0)
		return "is missing, and this listener needs it";
	if (c->profiles[profile].ncertificates == 0)
		return "has no certificate";
	if (c->profiles[profile].ncertificates > PST_TLS_MAX_CERTS)
		return "has too many certificates: a profile of your own can name some";
	return NULL;
}

/* The action has to bring what the listener's kind of TLS needs: a profile with a certificate. */
static void
check_listener_tls(struct pst_config_walk *w, const struct pst_config_listener *l)
{
	const char *mode = l->tls_support != PST_TLS_SUPPORT_UNSET ? "tls_support" : "tls", *fault;
	const struct pst_config_action *a;

	if (l->action >= w->config->nactions || pst_config_faulty(w, "/actions") ||
		pst_config_faulty(w, "/tls_profiles") || pst_config_faulty(w, w->pointer))
		return;
	a = &w->config->actions[l->action];
	if (!a->inspect && pst_begins_with_tls(l))
		pst_config_fault(w, mode,
			"implicit TLS has to be inspected, but action \"%s\" has \"inspect\": "
			"false",
			a->name);
	if (!a->inspect)
		return;
	if (pst_offers_starttls(l) &&
		(fault = profile_fault(w->config, a->starttls_profile)) != NULL)
		pst_config_fault(
			w, "action", "the starttls_profile of action \"%s\" %s", a->name, fault);
	if (pst_begins_with_tls(l) && a->tls_action == PST_TLS_ACTION_INSPECT &&
		(fault = profile_fault(w->config, a->implicit_profile)) != NULL)
		pst_config_fault(
			w, "action", "the implicit_profile of action \"%s\" %s", a->name, fault);
}

/* W2: "SMTP proxy listens on ports 25 and 465 (default)". */
static void
default_tls_support(const json_t *obj, struct pst_config_listener *l)
{
	if (!pst_said(obj, "port") && !pst_said(obj, "tls") && !pst_said(obj, "tls_support"))
		l->tls_support = PST_TLS_SUPPORT_ENABLED;
}

static void
check_tls_support(struct pst_config_walk *w, const json_t *obj, const struct pst_config_listener *l)
{
	if (pst_said(obj, "tls") && pst_said(obj, "tls_support"))
		pst_config_fault(w, "tls", "and \"tls_support\" exclude each other");
	if (pst_said(obj, "implicit_port") && !pst_said(obj, "tls_support") &&
		l->tls_support == PST_TLS_SUPPORT_UNSET)
		pst_config_fault(w, "implicit_port", "needs \"tls_support\"");
	if (l->tls_support == PST_TLS_SUPPORT_ENABLED && l->implicit_port == l->at.port &&
		!pst_config_faulty(w, w->pointer))
		pst_config_fault(w, "implicit_port", "is the same as \"port\"");
}

static const char *
system_name(struct pst_config_walk *w)
{
	char name[254] = "";

	if (gethostname(name, sizeof(name) - 1) != 0 || name[0] == '\0')
		return "localhost";
	return pst_arena_printf(w->arena, "%s", name);
}

void
pst_check_listener(struct pst_config_walk *w, const json_t *obj, void *at)
{
	struct pst_config_listener *l = at;

	default_tls_support(obj, l);
	check_listener_address(w, obj, l);
	check_tls_support(w, obj, l);
	check_listener_tls(w, l);
	l->has_tickets = pst_said(obj, "tickets");
	pst_check_labels(w, "hostname", l->hostname);
	if (l->hostname == NULL && (l->hostname = system_name(w)) == NULL)
		pst_config_nomem(w);
}

/* The port where l begins with TLS. */
static void
make_implicit(struct pst_config_listener *l)
{
	l->tls = PST_CONFIG_TLS_IMPLICIT;
	l->at.port = l->implicit_port;
}

/* TLS support becomes ports: one entry each, under one name. */
static bool
expand_listeners(struct pst_config_walk *w, struct pst_config *c)
{
	struct pst_config_listener *all, *to;

	all = to = pst_arena_alloc(w->arena, 2 * c->nlisteners * sizeof(*all));
	if (all == NULL) {
		pst_config_nomem(w);
		return false;
	}
	for (unsigned i = 0; i < c->nlisteners; i++) {
		c->listeners[i].item = i;
		*to++ = c->listeners[i];
		if (c->listeners[i].tls_support == PST_TLS_SUPPORT_REQUIRED)
			make_implicit(to - 1);
		if (c->listeners[i].tls_support != PST_TLS_SUPPORT_ENABLED)
			continue;
		*to++ = c->listeners[i];
		make_implicit(to - 1);
	}
	c->listeners = all;
	c->nlisteners = (unsigned)(to - all);
	return true;
}

static bool
same_endpoint(const struct pst_endpoint *a, const struct pst_endpoint *b)
{
	return a->port == b->port &&
	       (pst_ip_is_any(&a->ip) || pst_ip_is_any(&b->ip) || pst_ip_eq(&a->ip, &b->ip));
}

static void
check_listener_unique(struct pst_config_walk *w, const struct pst_config_listener *all, unsigned i)
{
	const struct pst_config_listener *a = &all[i];
	bool faulty = pst_config_faulty(w, w->pointer);
	const char *key =
		a->tls_support != PST_TLS_SUPPORT_UNSET && a->tls == PST_CONFIG_TLS_IMPLICIT
			? "implicit_port"
			: "port";

	for (unsigned j = 0; j < i; j++) {
		if (all[j].item != a->item && !faulty && pst_same_text(a->name, all[j].name))
			pst_config_fault(
				w, "name", "listener %u has this name already", all[j].item);
		if (all[j].item != a->item && !faulty && all[j].at.port != 0 &&
			same_endpoint(&a->at, &all[j].at))
			pst_config_fault(w, key, "listener %u takes this address and port already",
				all[j].item);
	}
}

void
pst_check_listeners(struct pst_config_walk *w, struct pst_config *c)
{
	if (!expand_listeners(w, c))
		return;
	for (unsigned i = 0; i < c->nlisteners; i++) {
		size_t was = pst_config_enter(w, "listeners");
		pst_config_enter_index(w, c->listeners[i].item);
		check_listener_unique(w, c->listeners, i);
		pst_config_leave(w, was);
	}
}

/* ---- next hops ---- */

void
pst_check_host(struct pst_config_walk *w, const json_t *obj, void *at)
{
	struct pst_config_host *h = at;

	pst_check_labels(w, "name", h->name);
	h->has_address = pst_said(obj, "address");
	if (!h->has_address && !pst_said(obj, "name"))
		pst_config_fault(w, "address", "missing: there is no name to ask DNS for either");
	else if (!h->has_address && !w->config->dns.on)
		pst_config_fault(w, "address",
			"missing: without a section \"dns\" no name is ever asked for");
	if (json_is_string(json_object_get(obj, "address")) && !pst_config_faulty(w, w->pointer) &&
		(pst_ip_is_any(&h->address) || pst_ip_is_multicast(&h->address)))
		pst_config_fault(w, "address", "is not an address of a host");
}

static bool
same_host(const struct pst_config_host *a, const struct pst_config_host *b)
{
	if (a->port != b->port || a->has_address != b->has_address)
		return false;
	if (a->has_address)
		return pst_ip_eq(&a->address, &b->address);
	return a->name != NULL && b->name != NULL && strcasecmp(a->name, b->name) == 0;
}

static void
check_hosts_unique(struct pst_config_walk *w, const struct pst_config_next_hop *h)
{
	for (unsigned i = 1; i < h->nhosts; i++) {
		size_t was = pst_config_enter(w, "hosts");
		pst_config_enter_index(w, i);
		for (unsigned j = 0; j < i; j++)
			if (same_host(&h->hosts[i], &h->hosts[j]) &&
				!pst_config_faulty(w, w->pointer))
				pst_config_fault(w, h->hosts[i].has_address ? "address" : "name",
					"host %u is at this address and port already", j);
		pst_config_leave(w, was);
	}
}

/* Hosts that are listed, or asked of DNS: one of them. */
static void
check_where(struct pst_config_walk *w, const json_t *obj, const struct pst_config_next_hop *h)
{
	static const char *const of_mx[] = {"mx_domain", "port"};

	if (h->mx && pst_said(obj, "hosts"))
		pst_config_fault(w, "mx", "and \"hosts\" exclude each other");
	if (!h->mx && !pst_said(obj, "hosts"))
		pst_config_fault(w, "hosts", "missing: a next hop has hosts, or \"mx\": true");
	if (h->mx && !w->config->dns.on)
		pst_config_fault(
			w, "mx", "needs a section \"dns\": without it no name is ever asked for");
	for (size_t i = 0; i < PST_COUNT(of_mx); i++)
		if (!h->mx && pst_said(obj, of_mx[i]))
			pst_config_fault(w, of_mx[i], "needs \"mx\": true");
}

static void
check_next_hop_tls(struct pst_config_walk *w, const json_t *obj, struct pst_config_next_hop *h)
{
	h->has_pfs = pst_said(obj, "pfs");
	if (pst_config_faulty(w, w->pointer))
		return; /* perhaps of "tls" itself */
	if (h->tls == PST_CONFIG_TLS_IMPLICIT && h->level == PST_LEVEL_NONE)
		pst_config_fault(w, "level", "contradicts \"tls\": \"implicit\"");
	if (h->tls == PST_CONFIG_TLS_NONE && h->level > PST_LEVEL_NONE)
		pst_config_fault(w, "level", "contradicts \"tls\": \"none\"");
	if (h->tls == PST_CONFIG_TLS_NONE && h->has_pfs)
		pst_config_fault(w, "pfs", "contradicts \"tls\": \"none\"");
	pst_check_match(w, obj, h->level);
	/* What it takes from a profile is not its own word. */
	pst_check_versions(w, h->profile_min, h->profile_max, "pfs",
		h->has_pfs ? h->pfs : PST_TLS_PFS_ALLOWED);
}

void
pst_check_next_hop(struct pst_config_walk *w, const json_t *obj, void *at)
{
	struct pst_config_next_hop *h = at;

	pst_check_labels(w, "helo", h->helo);
	pst_check_labels(w, "mx_domain", h->mx_domain);
	check_where(w, obj, h);
	check_hosts_unique(w, h);
	check_next_hop_tls(w, obj, h);
}

/* ---- routes ---- */

void
pst_check_route(struct pst_config_walk *w, const json_t *obj, void *at)
{
	struct pst_config_route *r = at;

	pst_check_labels(w, "domain", r->domain);
}

static int
by_domain(const void *a, const void *b)
{
	const struct pst_config_route *x = *(const struct pst_config_route *const *)a;
	const struct pst_config_route *y = *(const struct pst_config_route *const *)b;
	int order =
		strcasecmp(x->domain != NULL ? x->domain : "", y->domain != NULL ? y->domain : "");

	return order != 0 ? order : (x > y) - (x < y);
}

/* There may be a great many: sorted, equal ones stand together, the first of them first. */
void
pst_check_routes(struct pst_config_walk *w, const struct pst_config *c)
{
	const struct pst_config_route **sorted;

	sorted = malloc(sizeof(struct pst_config_route *) * (c->nroutes + 1));
	if (sorted == NULL) {
		pst_config_nomem(w);
		return;
	}
	for (unsigned i = 0; i < c->nroutes; i++)
		sorted[i] = &c->routes[i];
	qsort(sorted, c->nroutes, sizeof(struct pst_config_route *), by_domain);
	for (unsigned i = 1; i < c->nroutes; i++) {
		const char *a = sorted[i - 1]->domain, *b = sorted[i]->domain;
		size_t was = pst_config_enter(w, "routes");

		pst_config_enter_index(w, (size_t)(sorted[i] - c->routes));
		if (a != NULL && b != NULL && strcasecmp(a, b) == 0)
			pst_config_fault(w, "domain", "route %zu is for this domain already",
				(size_t)(sorted[i - 1] - c->routes));
		pst_config_leave(w, was);
	}
	free(sorted);
}
