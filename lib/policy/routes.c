/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Recipient's domain to next hop. The exact domain, then the longest parent, then "*":
 * the order of precedence is the order of the questions, that of the table says nothing.
 */
#include "policy_int.h"
#include <stdlib.h>

static void
add_route(struct policy_compile *c, unsigned i, const char *domain)
{
	struct pst_policy *p = c->p;
	struct policy_domain d;
	unsigned before = p->routes.n;
	const char *why;
	int64_t id;

	if (strcmp(domain, "*") == 0) {
		if (p->any_route >= 0)
			policy_fault(c, PST_POLICY_ROUTES, i, "domain",
				"the same domain as route %u", (unsigned)p->any_route);
		p->any_route = i;
		return;
	}
	if ((why = policy_pattern_fold(&d, domain)) != NULL) {
		policy_fault(c, PST_POLICY_ROUTES, i, "domain", "%s", why);
		return;
	}
	if ((id = policy_names_add(&p->routes, d.s, d.n)) < 0)
		c->nomem = true;
	else if (p->routes.n == before)
		policy_fault(c, PST_POLICY_ROUTES, i, "domain", "the same domain as route %u",
			p->route_of[id]);
	else
		p->route_of[id] = i;
}

void
policy_routes_compile(struct policy_compile *c)
{
	struct pst_policy *p = c->p;

	p->any_route = -1;
	p->nroutes = c->conf->nroutes;
	p->route_of = calloc((size_t)p->nroutes + 1, sizeof(*p->route_of));
	p->route_hop = calloc((size_t)p->nroutes + 1, sizeof(*p->route_hop));
	if (!policy_names_init(&p->routes, p->nroutes) || p->route_of == NULL ||
		p->route_hop == NULL) {
		c->nomem = true;
		return;
	}
	for (unsigned i = 0; i < p->nroutes && !c->nomem; i++) {
		p->route_hop[i] = c->conf->routes[i].next_hop;
		if (p->route_hop[i] >= c->conf->nnext_hops)
			policy_fault(c, PST_POLICY_ROUTES, i, "next_hop", "no such next hop");
		add_route(c, i, c->conf->routes[i].domain);
	}
}

void
policy_routes_fini(struct pst_policy *p)
{
	policy_names_fini(&p->routes);
	free(p->route_of);
	free(p->route_hop);
}

/* RFC 5321 4.5.1: postmaster comes without a domain; only "*" can be its route. */
int64_t
policy_route_find(const struct pst_policy *p, const struct policy_query *q)
{
	unsigned k = q != NULL ? q->dots : 0;
	int64_t id = -1;

	if (q != NULL && (id = policy_names_exact(&p->routes, q)) < 0)
		id = policy_names_parent(&p->routes, q, &k);
	return id >= 0 ? p->route_of[id] : p->any_route;
}
