/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The way to an address: on-link prefixes of the ports and configured routes in one
 * array, longest prefix first. A gateway has a handful, so a scan is the fastest table.
 */
#include "net_impl.h"
#include <stdio.h>
#include <stdlib.h>

static unsigned
width(const struct pst_prefix *p)
{
	return pst_ip_is4(&p->ip) ? p->len + 96u : p->len;
}

static int
longest_first(const void *a, const void *b)
{
	unsigned x = width(&((const struct net_route *)a)->to);
	unsigned y = width(&((const struct net_route *)b)->to);

	return x < y ? 1 : x > y ? -1 : 0;
}

static int
port_by_name(const struct pst_fabric *f, const char *name)
{
	for (unsigned i = 0; i < f->nports; i++)
		if (name != NULL && strcmp(f->ports[i].name, name) == 0)
			return (int)i;
	return -1;
}

static enum pst_rc
add_configured(struct pst_fabric *f, const struct pst_route_conf *rc, char *err, size_t errlen)
{
	char text[PST_IP_STRLEN];
	int port = port_by_name(f, rc->port);

	if (port < 0) {
		snprintf(err, errlen, "route %s/%u: no port \"%s\"", pst_ip_str(&rc->to.ip, text),
			rc->to.len, rc->port == NULL ? "" : rc->port);
		return PST_INVAL;
	}
	bool gateway = !pst_ip_is_any(&rc->via);
	if (gateway && (pst_ip_is4(&rc->via) != pst_ip_is4(&rc->to.ip) ||
			       !route_on_link(f, &f->ports[port], &rc->via))) {
		snprintf(err, errlen, "port %s: gateway %s is in none of its prefixes", rc->port,
			pst_ip_str(&rc->via, text));
		return PST_INVAL;
	}
	f->routes[f->nroutes++] =
		(struct net_route){.to = rc->to, .via = rc->via, .port = (uint16_t)port};
	return PST_OK;
}

enum pst_rc
route_init(struct pst_fabric *f, const struct pst_fabric_conf *conf, char *err, size_t errlen)
{
	f->routes = calloc(conf->nroutes + f->nports * NET_PORT_ADDRS, sizeof(*f->routes));
	if (f->routes == NULL) {
		snprintf(err, errlen, "out of memory");
		return PST_NOMEM;
	}
	for (unsigned i = 0; i < f->nports; i++) {
		for (unsigned j = 0; j < f->ports[i].naddrs; j++)
			f->routes[f->nroutes++] = (struct net_route){
				.to = f->ports[i].addrs[j], .port = f->ports[i].index};
	}
	for (unsigned i = 0; i < conf->nroutes; i++) {
		enum pst_rc rc = add_configured(f, &conf->routes[i], err, errlen);
		if (rc != PST_OK)
			return rc;
	}
	qsort(f->routes, f->nroutes, sizeof(*f->routes), longest_first);
	return PST_OK;
}

/*
 * Longest prefix; among equals the port that owns src, because an answer leaves best by
 * the port its question came to. A link-local destination means nothing without its
 * link (RFC 4007), so there src's port decides alone.
 */
const struct net_route *
route_find(const struct pst_fabric *f, const struct pst_ip *dst, const struct pst_ip *src)
{
	const struct net_local *l = src == NULL ? NULL : fabric_local(f, src);
	const struct net_route *best = NULL;
	bool scoped = l != NULL && pst_ip_is_linklocal(dst);

	for (unsigned i = 0; i < f->nroutes; i++) {
		const struct net_route *r = &f->routes[i];
		if (best != NULL && width(&r->to) < width(&best->to))
			break;
		if (!pst_prefix_has(&r->to, dst) || (scoped && r->port != l->port))
			continue;
		if (l == NULL || r->port == l->port)
			return r;
		if (best == NULL)
			best = r;
	}
	return best;
}

/*
 * RFC 6724 section 5, as far as it bears on us: never a duplicate, same scope, then the
 * address whose prefix holds the next hop, then the first in the configuration.
 */
const struct pst_ip *
route_source(const struct pst_net *n, const struct pst_port *p, const struct pst_ip *dst,
	const struct pst_ip *hop)
{
	const struct pst_ip *best = NULL;
	int best_score = -1;

	for (unsigned i = 0; i < p->naddrs; i++) {
		const struct pst_prefix *a = &p->addrs[i];
		if (pst_ip_is4(&a->ip) != pst_ip_is4(dst) ||
			n->port[p->index].addr_state[i] == ADDR_DUPLICATE)
			continue;
		bool scope = pst_ip_is_linklocal(&a->ip) == pst_ip_is_linklocal(dst);
		int score = (scope ? 2 : 0) + (pst_prefix_has(a, hop) ? 1 : 0);
		if (score > best_score) {
			best_score = score;
			best = &a->ip;
		}
	}
	return best;
}

bool
route_on_link(const struct pst_fabric *f, const struct pst_port *p, const struct pst_ip *a)
{
	for (unsigned i = 0; i < p->naddrs; i++)
		if (pst_prefix_has(&p->addrs[i], a))
			return true;
	return false;
}
