/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What one row of a table cannot say: members that contradict each other, names
 * and addresses used twice, things that refer to each other across sections.
 *
 * A check runs behind the rows of its object, whatever they found, so it trusts no
 * member: what was at fault is zero, an unresolved name is UINT32_MAX. Where a
 * fault elsewhere would only echo here, pst_config_faulty() keeps it quiet.
 *
 *   config_check.c         dataplane, control, metrics, dns, the whole
 *   config_check_tls.c     model, certificates, TLS profiles, actions
 *   config_check_mail.c    listeners, next hops, routes
 *   config_check_policy.c  rules, map, demands that nobody can meet
 *   config_check_crypto.c  back-ends, the order of them, what a model says about drivers
 */
#include "config_keys.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>

#define PORTS "/dataplane/ports"

/* RFC 1035 2.3.4: a label is 63 octets or less. */
void
pst_check_labels(struct pst_config_walk *w, const char *key, const char *domain)
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
		if (pst_same_text(dp->ports[i].name, name))
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
	if (pst_config_faulty(w, w->pointer) || !pst_said(obj, "via"))
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
		if (pst_same_text(a->name, b->name))
			pst_config_fault(w, "name", "port %u has this name already", j);
		if (pst_same_text(a->device, b->device) &&
			(pst_same_text(a->iface, b->iface) || strchr(a->device, ':') != NULL))
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
	if (m->on && !pst_said(obj, "address"))
		(void)pst_ip_parse("127.0.0.1", &m->at.ip);
}

void
pst_check_dns(struct pst_config_walk *w, const json_t *obj, void *at)
{
	struct pst_config_dns *d = at;
	size_t was = pst_config_enter(w, "servers");

	d->on = obj != NULL;
	for (unsigned i = 0; i < d->names.nservers; i++) {
		const char *at_sign = strchrnul(d->names.servers[i], '@');
		int n = (int)(at_sign - d->names.servers[i]);
		unsigned long port = *at_sign == '@' ? strtoul(at_sign + 1, NULL, 10) : 53;
		char text[64];
		struct pst_ip ip;

		snprintf(text, sizeof(text), "%.*s", n, d->names.servers[i]);
		if (pst_ip_parse(text, &ip) != PST_OK || port == 0 || port > 65535)
			pst_config_fault(w, NULL, "\"%s\" is not the address of a server",
				d->names.servers[i]);
	}
	pst_config_leave(w, was);
}

/* ---- the whole ---- */

void
pst_check_whole(struct pst_config_walk *w, const json_t *obj, void *at)
{
	struct pst_config *c = at;

	pst_check_model(w, c);
	pst_check_listeners(w, c);
	pst_check_routes(w, c);
	pst_check_demands(w, c);
}
