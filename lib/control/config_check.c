/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What one row of a table cannot say: members that contradict each other, names
 * and addresses used twice, things that refer to each other across sections.
 *
 * A check runs behind the rows of its object, whatever they found, so it trusts no
 * member: what was at fault is zero, an unresolved name is UINT32_MAX. Where a
 * fault elsewhere would only echo here, pst_config_faulty() keeps it quiet.
 */
#include "config_keys.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define PORTS "/dataplane/ports"

static bool
said(const json_t *obj, const char *key)
{
	return json_object_get(obj, key) != NULL;
}

static bool
said_true(const json_t *obj, const char *key)
{
	return json_is_true(json_object_get(obj, key));
}

static bool
same_text(const char *a, const char *b)
{
	return a != NULL && b != NULL && strcmp(a, b) == 0;
}

/* RFC 1035 2.3.4: a label is 63 octets or less. */
static void
check_labels(struct pst_config_walk *w, const char *key, const char *domain)
{
	while (domain != NULL) {
		const char *dot = strchrnul(domain, '.');

		if (dot - domain > 63) {
			pst_config_fault(w, key, "a label is longer than 63 octets");
			return;
		}
		domain = *dot == '.' ? dot + 1 : NULL;
	}
}

/* ---- dataplane ---- */

static unsigned
family_bits(const struct pst_ip *ip)
{
	return pst_ip_is4(ip) ? 32 : 128;
}

/* Sets the host bits of p to zeroes or ones. */
static struct pst_ip
with_host_bits(const struct pst_prefix *p, bool ones)
{
	struct pst_ip ip = p->ip;

	for (unsigned bit = 128 - family_bits(&ip) + p->len; bit < 128; bit++) {
		uint8_t mask = (uint8_t)(0x80 >> (bit % 8));
		ip.b[bit / 8] = (uint8_t)(ones ? ip.b[bit / 8] | mask : ip.b[bit / 8] & ~mask);
	}
	return ip;
}

static bool
is_loopback(const struct pst_ip *ip)
{
	static const uint8_t one6[16] = {[15] = 1};

	return pst_ip_is4(ip) ? ip->b[12] == 127 : memcmp(ip->b, one6, 16) == 0;
}

static const char *
address_fault(const struct pst_prefix *p)
{
	struct pst_ip first = with_host_bits(p, false), last = with_host_bits(p, true);

	if (pst_ip_is_any(&p->ip) || pst_ip_is_multicast(&p->ip) || is_loopback(&p->ip))
		return "is not an address that a port can have";
	if (p->len == 0)
		return "a network of length 0 would be the whole Internet; use a route";
	/* RFC 3021: only networks of length 31 and 32 have no broadcast address. */
	if (pst_ip_is4(&p->ip) && p->len < 31 &&
		(pst_ip_eq(&p->ip, &first) || pst_ip_eq(&p->ip, &last)))
		return "is the network's own or its broadcast address";
	return NULL;
}

void
pst_check_port(struct pst_config_walk *w, const json_t *obj, void *at)
{
	struct pst_config_port *port = at;
	size_t was = pst_config_enter(w, "addresses");

	for (unsigned i = 0; i < port->naddresses; i++) {
		size_t list = pst_config_enter_index(w, i);
		const char *fault = address_fault(&port->addresses[i]);
		if (fault != NULL && !pst_config_faulty(w, w->pointer))
			pst_config_fault(w, NULL, "%s", fault);
		pst_config_leave(w, list);
	}
	pst_config_leave(w, was);
}

static const struct pst_config_port *
find_port(const struct pst_config_dataplane *dp, const char *name)
{
	for (unsigned i = 0; i < dp->nports; i++)
		if (same_text(dp->ports[i].name, name))
			return &dp->ports[i];
	return NULL;
}

static bool
on_link(const struct pst_config_port *port, const struct pst_ip *ip)
{
	for (unsigned i = 0; i < port->naddresses; i++)
		if (pst_prefix_has(&port->addresses[i], ip))
			return true;
	return !pst_ip_is4(ip) && pst_ip_is_linklocal(ip);
}

void
pst_check_ip_route(struct pst_config_walk *w, const json_t *obj, void *at)
{
	struct pst_config_ip_route *r = at;
	struct pst_ip network = with_host_bits(&r->to, false);
	const struct pst_config_port *port = find_port(&w->config->dataplane, r->port);

	if (!pst_ip_eq(&network, &r->to.ip))
		pst_config_fault(w, "to", "has bits set behind its length");
	if (r->port != NULL && port == NULL && !pst_config_faulty(w, PORTS))
		pst_config_fault(w, "port", "there is no port \"%s\"", r->port);
	if (pst_config_faulty(w, w->pointer) || !said(obj, "via"))
		return;
	if (pst_ip_is4(&r->via) != pst_ip_is4(&r->to.ip))
		pst_config_fault(w, "via", "and \"to\" must be both IPv4 or both IPv6");
	else if (port != NULL && !on_link(port, &r->via) && !pst_config_faulty(w, PORTS))
		pst_config_fault(w, "via", "is not on a network of port \"%s\"", r->port);
}

void
pst_check_tcp(struct pst_config_walk *w, const json_t *obj, void *at)
{
	struct pst_config_tcp *tcp = at;

	if (tcp->max_connections != 0 && tcp->max_half_open > tcp->max_connections)
		pst_config_fault(w, "max_half_open", "is more than max_connections");
}

static void
check_cores(struct pst_config_walk *w, const struct pst_config_dataplane *dp)
{
	size_t was = pst_config_enter(w, "cores");

	if (dp->ncores != 0 && dp->workers > dp->ncores)
		pst_config_fault(
			w, NULL, "%u cores are too few for %u workers", dp->ncores, dp->workers);
	for (unsigned i = 1; i < dp->ncores; i++) {
		size_t list = pst_config_enter_index(w, i);
		for (unsigned j = 0; j < i; j++)
			if (dp->cores[i] == dp->cores[j] && !pst_config_faulty(w, w->pointer))
				pst_config_fault(w, NULL, "core %u is there already", dp->cores[i]);
		pst_config_leave(w, list);
	}
	pst_config_leave(w, was);
}

/* Is this address, the k-th of port i, used by a port (or in a place) before it? */
static bool
address_used(const struct pst_config_dataplane *dp, unsigned i, unsigned k)
{
	for (unsigned p = 0; p <= i; p++)
		for (unsigned a = 0; a < (p == i ? k : dp->ports[p].naddresses); a++)
			if (pst_ip_eq(&dp->ports[p].addresses[a].ip, &dp->ports[i].addresses[k].ip))
				return true;
	return false;
}

static void
check_port_unique(struct pst_config_walk *w, const struct pst_config_dataplane *dp, unsigned i)
{
	const struct pst_config_port *a = &dp->ports[i];

	for (unsigned j = 0; j < i; j++) {
		const struct pst_config_port *b = &dp->ports[j];
		if (same_text(a->name, b->name))
			pst_config_fault(w, "name", "port %u has this name already", j);
		if (same_text(a->device, b->device) &&
			(same_text(a->iface, b->iface) || strchr(a->device, ':') != NULL))
			pst_config_fault(w, "device", "port %u uses this device already", j);
	}
	for (unsigned k = 0; k < a->naddresses; k++) {
		size_t was = pst_config_enter(w, "addresses");
		pst_config_enter_index(w, k);
		if (!pst_config_faulty(w, w->pointer) && address_used(dp, i, k))
			pst_config_fault(w, NULL, "a port has this address already");
		pst_config_leave(w, was);
	}
}

static void
check_ip_route_unique(struct pst_config_walk *w, const struct pst_config_dataplane *dp, unsigned i)
{
	const struct pst_prefix *a = &dp->routes[i].to;

	if (pst_config_faulty(w, w->pointer))
		return;
	for (unsigned j = 0; j < i; j++) {
		const struct pst_prefix *b = &dp->routes[j].to;
		if (pst_ip_eq(&a->ip, &b->ip) && a->len == b->len)
			pst_config_fault(w, "to", "route %u goes there already", j);
	}
}

void
pst_check_dataplane(struct pst_config_walk *w, const json_t *obj, void *at)
{
	struct pst_config_dataplane *dp = at;

	check_cores(w, dp);
	for (unsigned i = 0; i < dp->nports; i++) {
		size_t was = pst_config_enter(w, "ports");
		pst_config_enter_index(w, i);
		check_port_unique(w, dp, i);
		pst_config_leave(w, was);
	}
	for (unsigned i = 0; i < dp->nroutes; i++) {
		size_t was = pst_config_enter(w, "routes");
		pst_config_enter_index(w, i);
		check_ip_route_unique(w, dp, i);
		pst_config_leave(w, was);
	}
}

/* ---- control ---- */

void
pst_check_control(struct pst_config_walk *w, const json_t *obj, void *at)
{
	struct pst_config_control *c = at;

	if (c->socket != NULL && strlen(c->socket) >= sizeof(((struct sockaddr_un *)0)->sun_path))
		pst_config_fault(
			w, "socket", "\"%s\" is too long for the name of a socket", c->socket);
}

void
pst_check_metrics(struct pst_config_walk *w, const json_t *obj, void *at)
{
	struct pst_config_metrics *m = at;

	m->on = obj != NULL;
	/* Counters tell about the mail: not for everybody unless somebody says so. */
	if (m->on && !said(obj, "address"))
		(void)pst_ip_parse("127.0.0.1", &m->at.ip);
}

/* ---- TLS ---- */

void
pst_check_certificate(struct pst_config_walk *w, const json_t *obj, void *at)
{
	struct pst_config_certificate *c = at;

	if (!said(obj, "key"))
		c->key = c->chain;
}

static void
check_versions(struct pst_config_walk *w, unsigned min, unsigned max)
{
	if (min != 0 && max != 0 && min > max)
		pst_config_fault(w, "min", "is above \"max\"");
}

void
pst_check_profile(struct pst_config_walk *w, const json_t *obj, void *at)
{
	struct pst_config_tls_profile *p = at;

	check_versions(w, p->min_version, p->max_version);
}

void
pst_check_action(struct pst_config_walk *w, const json_t *obj, void *at)
{
	/* A name that was not found is as good as none for who comes after. */
	struct pst_config_action *a = at;

	if (a->starttls_profile >= (int)w->config->nprofiles)
		a->starttls_profile = -1;
	if (a->implicit_profile >= (int)w->config->nprofiles)
		a->implicit_profile = -1;
}

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

/* The action has to bring what the listener's kind of TLS needs: a profile with a certificate. */
static void
check_listener_tls(struct pst_config_walk *w, const struct pst_config_listener *l)
{
	const struct pst_config_action *a;
	bool implicit = l->tls == PST_CONFIG_TLS_IMPLICIT;
	const char *kind = implicit ? "implicit_profile" : "starttls_profile";
	int profile;

	if (l->action >= w->config->nactions || l->tls == PST_CONFIG_TLS_NONE)
		return;
	a = &w->config->actions[l->action];
	if (a->name == NULL || pst_config_faulty(w, "/actions") ||
		pst_config_faulty(w, "/tls_profiles"))
		return;
	profile = implicit ? a->implicit_profile : a->starttls_profile;
	if (!a->inspect && implicit)
		pst_config_fault(w, "tls",
			"implicit TLS has to be inspected, but action \"%s\" has \"inspect\": "
			"false",
			a->name);
	else if (a->inspect && profile < 0)
		pst_config_fault(w, "action", "action \"%s\" has no %s, which this listener needs",
			a->name, kind);
	else if (a->inspect && w->config->profiles[profile].ncertificates == 0)
		pst_config_fault(
			w, "action", "the %s of action \"%s\" has no certificate", kind, a->name);
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

	check_listener_address(w, obj, l);
	check_listener_tls(w, l);
	check_labels(w, "hostname", l->hostname);
	if (l->hostname == NULL && (l->hostname = system_name(w)) == NULL)
		pst_config_nomem(w);
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
	bool faulty = pst_config_faulty(w, w->pointer);

	for (unsigned j = 0; j < i; j++) {
		if (same_text(all[i].name, all[j].name))
			pst_config_fault(w, "name", "listener %u has this name already", j);
		if (!faulty && all[j].at.port != 0 && same_endpoint(&all[i].at, &all[j].at))
			pst_config_fault(
				w, "port", "listener %u takes this address and port already", j);
	}
}

/* ---- next hops and routes ---- */

void
pst_check_host(struct pst_config_walk *w, const json_t *obj, void *at)
{
	struct pst_config_host *h = at;

	check_labels(w, "name", h->name);
	if (json_is_string(json_object_get(obj, "address")) && !pst_config_faulty(w, w->pointer) &&
		(pst_ip_is_any(&h->address) || pst_ip_is_multicast(&h->address)))
		pst_config_fault(w, "address", "is not an address of a host");
}

static void
check_hosts_unique(struct pst_config_walk *w, const struct pst_config_next_hop *h)
{
	for (unsigned i = 1; i < h->nhosts; i++) {
		size_t was = pst_config_enter(w, "hosts");
		pst_config_enter_index(w, i);
		for (unsigned j = 0; j < i; j++)
			if (pst_ip_eq(&h->hosts[i].address, &h->hosts[j].address) &&
				h->hosts[i].port == h->hosts[j].port &&
				!pst_config_faulty(w, w->pointer))
				pst_config_fault(w, "address",
					"host %u is at this address and port already", j);
		pst_config_leave(w, was);
	}
}

static void
check_next_hop_tls(struct pst_config_walk *w, const json_t *obj, struct pst_config_next_hop *h)
{
	if (h->tls == PST_CONFIG_TLS_IMPLICIT && said(obj, "tls_required") && !h->tls_required)
		pst_config_fault(w, "tls_required", "implicit TLS cannot be left out");
	if (h->tls != PST_CONFIG_TLS_NONE || !said(obj, "tls"))
		return;
	if (pst_config_faulty(w, w->pointer))
		return; /* perhaps of "tls" itself */
	if (said_true(obj, "tls_required"))
		pst_config_fault(w, "tls_required", "contradicts \"tls\": \"none\"");
	if (said_true(obj, "verify"))
		pst_config_fault(w, "verify", "contradicts \"tls\": \"none\"");
	h->tls_required = h->verify = false;
}

void
pst_check_next_hop(struct pst_config_walk *w, const json_t *obj, void *at)
{
	struct pst_config_next_hop *h = at;

	check_labels(w, "verify_name", h->verify_name);
	check_labels(w, "helo", h->helo);
	check_versions(w, h->profile_min, h->profile_max);
	check_hosts_unique(w, h);
	check_next_hop_tls(w, obj, h);
}

void
pst_check_route(struct pst_config_walk *w, const json_t *obj, void *at)
{
	struct pst_config_route *r = at;

	check_labels(w, "domain", r->domain);
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
static void
check_routes_unique(struct pst_config_walk *w, const struct pst_config *c)
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

void
pst_check_whole(struct pst_config_walk *w, const json_t *obj, void *at)
{
	struct pst_config *c = at;

	for (unsigned i = 0; i < c->nlisteners; i++) {
		size_t was = pst_config_enter(w, "listeners");
		pst_config_enter_index(w, i);
		check_listener_unique(w, c->listeners, i);
		pst_config_leave(w, was);
	}
	check_routes_unique(w, c);
}
