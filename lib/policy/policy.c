/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The route table. All names live in one hash table with open addressing: a
 * domain as itself, "*.example.com" as ".example.com". A lookup hashes the
 * recipient's domain once from its end, noting the hash at each dot, and then
 * asks for the whole name, each parent from the longest, and "*": the order of
 * precedence is the order of the questions.
 *
 * Compiled once, read by any number of threads. The hash has no key: names in the
 * table are the operator's, so a peer can at most ask for a long probe, and
 * the table is at most half full.
 */
#include "policy_int.h"
#include <stdio.h>
#include <stdlib.h>

struct route {
	uint32_t name; /* offset in names */
	uint32_t hash;
	uint32_t next_hop;
	uint8_t len;
};

struct pst_policy {
	unsigned nroutes;
	uint32_t mask; /* slots - 1 */
	int64_t any;   /* route "*", or -1 */
	struct route *routes;
	uint32_t *slots; /* route + 1; 0: free */
	char *names;
};

static uint32_t
hash_name(const char *s, unsigned n)
{
	uint64_t h = POLICY_HASH_INIT;

	while (n > 0)
		h = policy_hash_step(h, s[--n]);
	return policy_hash_end(h);
}

/* The route of that very name, or -1. */
static int64_t
find(const struct pst_policy *p, uint32_t hash, const char *s, unsigned n)
{
	for (uint32_t at = hash & p->mask; p->slots[at] != 0; at = (at + 1) & p->mask) {
		const struct route *r = &p->routes[p->slots[at] - 1];

		if (r->hash == hash && r->len == n && memcmp(p->names + r->name, s, n) == 0)
			return p->slots[at] - 1;
	}
	return -1;
}

static void
insert(struct pst_policy *p, uint32_t route)
{
	uint32_t at = p->routes[route].hash & p->mask;

	while (p->slots[at] != 0)
		at = (at + 1) & p->mask;
	p->slots[at] = route + 1;
}

struct compile {
	struct pst_policy *p;
	size_t names_len;
	char *err;
	size_t errlen;
};

static enum pst_rc
fault(struct compile *c, unsigned i, const char *domain, const char *why)
{
	snprintf(c->err, c->errlen, "route %u (\"%.80s\"): %s", i, domain, why);
	return PST_INVAL;
}

static enum pst_rc
fault_twice(struct compile *c, unsigned i, const char *domain, int64_t first)
{
	snprintf(c->err, c->errlen, "route %u (\"%.80s\"): the same domain as route %u", i, domain,
		(unsigned)first);
	return PST_INVAL;
}

static enum pst_rc
add_any(struct compile *c, unsigned i, const char *domain)
{
	if (c->p->any >= 0)
		return fault_twice(c, i, domain, c->p->any);
	c->p->any = i;
	return PST_OK;
}

static enum pst_rc
add_route(struct compile *c, unsigned i, const struct pst_policy_route *in)
{
	struct pst_policy *p = c->p;
	struct route *r = &p->routes[i];
	bool parents = strncmp(in->domain, "*.", 2) == 0;
	char *name = p->names + c->names_len;
	struct policy_domain d;
	const char *why;
	int64_t first;

	r->next_hop = in->next_hop;
	if (strcmp(in->domain, "*") == 0)
		return add_any(c, i, in->domain);
	if (!policy_domain_fold(&d, pst_span_str(in->domain + 2 * parents)))
		return fault(c, i, in->domain, "longer than 255 bytes");
	why = parents && d.literal ? "an address has no subdomains" : policy_domain_fault(&d);
	if (why != NULL)
		return fault(c, i, in->domain, why);
	if (d.n + parents > POLICY_DOMAIN_MAX)
		return fault(c, i, in->domain, "longer than 255 bytes");
	name[0] = '.';
	memcpy(name + parents, d.s, d.n);
	r->name = (uint32_t)c->names_len;
	r->len = (uint8_t)(d.n + parents);
	r->hash = hash_name(name, r->len);
	first = find(p, r->hash, name, r->len);
	if (first >= 0)
		return fault_twice(c, i, in->domain, first);
	insert(p, i);
	c->names_len += r->len;
	return PST_OK;
}

static bool
allocate(struct pst_policy *p, const struct pst_policy_route *routes, unsigned n)
{
	size_t bytes = 1, slots = 2;

	/* A literal in its shortest form may grow when it is written canonically. */
	for (unsigned i = 0; i < n; i++)
		bytes += PST_MAX(strlen(routes[i].domain), (size_t)PST_IP_STRLEN) + 2;
	while (slots < 2 * (size_t)n)
		slots *= 2;
	if (bytes > UINT32_MAX || slots > UINT32_MAX / 2)
		return false;
	p->mask = (uint32_t)slots - 1;
	p->routes = calloc((size_t)n + 1, sizeof(p->routes[0]));
	p->slots = calloc(slots, sizeof(p->slots[0]));
	p->names = malloc(bytes);
	return p->routes != NULL && p->slots != NULL && p->names != NULL;
}

struct pst_policy *
pst_policy_new(const struct pst_policy_route *routes, unsigned n, char *err, size_t errlen)
{
	struct pst_policy *p = calloc(1, sizeof(*p));
	struct compile c = {.p = p, .err = err, .errlen = errlen};
	char *fit;

	if (p == NULL || !allocate(p, routes, n)) {
		snprintf(err, errlen, "routes: out of memory");
		pst_policy_free(p);
		return NULL;
	}
	p->any = -1;
	p->nroutes = n;
	for (unsigned i = 0; i < n; i++) {
		if (add_route(&c, i, &routes[i]) != PST_OK) {
			pst_policy_free(p);
			return NULL;
		}
	}
	fit = realloc(p->names, c.names_len + 1);
	if (fit != NULL)
		p->names = fit;
	return p;
}

void
pst_policy_free(struct pst_policy *p)
{
	if (p == NULL)
		return;
	free(p->routes);
	free(p->slots);
	free(p->names);
	free(p);
}

/* Exact, then the longest parent; -1 if neither is in the table. */
static int64_t
find_domain(const struct pst_policy *p, const struct policy_domain *d)
{
	uint8_t dot[POLICY_LABELS];
	uint32_t at_dot[POLICY_LABELS];
	uint64_t h = POLICY_HASH_INIT;
	unsigned dots = 0;
	int64_t route;

	for (unsigned i = d->n; i > 0; i--) {
		h = policy_hash_step(h, d->s[i - 1]);
		if (d->s[i - 1] == '.' && i > 1 && dots < POLICY_LABELS) {
			dot[dots] = (uint8_t)(i - 1);
			at_dot[dots++] = policy_hash_end(h);
		}
	}
	route = find(p, policy_hash_end(h), d->s, d->n);
	while (route < 0 && dots > 0 && !d->literal) {
		dots--;
		route = find(p, at_dot[dots], d->s + dot[dots], d->n - dot[dots]);
	}
	return route;
}

/* RFC 5321 4.5.1: postmaster comes without a domain; only "*" can be its route. */
static int64_t
find_route(const struct pst_policy *p, struct pst_span domain)
{
	struct policy_domain d;
	int64_t route = -1;

	if (domain.n > 0 && domain.p[0] != '.' && policy_domain_fold(&d, domain) && d.n > 0)
		route = find_domain(p, &d);
	return route >= 0 ? route : p->any;
}

void
pst_policy_eval(const struct pst_policy *p, const struct pst_facts *f, struct pst_verdict *v)
{
	int64_t route = find_route(p, f->recipient_domain);

	if (route < 0) {
		/* RFC 3463 3.8, X.7.1: "Delivery not authorized, message refused" */
		*v = (struct pst_verdict){.kind = PST_VERDICT_REFUSE,
			.code = 550,
			.enh = "5.7.1",
			.text = "Relaying denied"};
		return;
	}
	*v = (struct pst_verdict){.kind = PST_VERDICT_ROUTE,
		.route = (unsigned)route,
		.next_hop = p->routes[route].next_hop};
}
