/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Postfix's smtp_tls_policy_maps: a next hop's destination, as it is configured, to a
 * security level. Lookups are those of Postfix's SMTP client:
 *
 *   "example.com"        then ".example.com"'s own parents: a bare domain asks for itself, then
 *                        for each parent with its leading dot (".com" last); an entry
 *                        "example.com" says nothing about "mx.example.com"
 *   "[host]", ":port"    asked once, as written
 *
 * One deviation: port 25 is the same as none, on both sides. In the documents that this
 * gateway follows stands "example.com:25 verify", which Postfix itself would never find.
 *
 * A host that is configured with name and address is asked by its name first.
 */
#include "policy_int.h"
#include <stdio.h>
#include <stdlib.h>

#define KEY_MAX (POLICY_DOMAIN_MAX + 8)

/* ---- destinations ---- */

struct destination {
	struct policy_domain name; /* ".d" for what is below d */
	bool brackets, is_address;
	struct pst_ip ip;
	uint16_t port;
};

/* Postfix looks ports up in services(5); mail has these. */
static const struct {
	const char *name;
	uint16_t port;
} services[] = {{"smtp", 25}, {"smtps", 465}, {"submissions", 465}, {"submission", 587}};

static bool
parse_port(const char *s, uint16_t *port)
{
	unsigned long v = 0;

	for (unsigned i = 0; i < PST_COUNT(services); i++)
		if (strcasecmp(s, services[i].name) == 0) {
			*port = services[i].port;
			return true;
		}
	for (unsigned i = 0; s[i] != 0; i++) {
		if (s[i] < '0' || s[i] > '9' || i >= 5)
			return false;
		v = v * 10 + (unsigned long)(s[i] - '0');
	}
	*port = (uint16_t)v;
	return v > 0 && v <= 65535;
}

static const char *
parse_bracketed(char *text, struct destination *d)
{
	char *end = strchr(text, ']');

	if (end == NULL)
		return "\"[\" without \"]\"";
	if (end[1] == ':' && !parse_port(end + 2, &d->port))
		return "not a port";
	if (end[1] != 0 && end[1] != ':')
		return "only \":port\" may follow \"]\"";
	d->brackets = true;
	end[1] = 0;
	if (!policy_domain_fold(&d->name, pst_span_str(text)))
		return "longer than 255 bytes";
	*end = 0;
	if (d->name.literal) {
		d->name.s[d->name.n - 1] = 0;
		d->is_address = true;
		return pst_ip_parse(d->name.s + 1, &d->ip) == PST_OK ? NULL : "not an address";
	}
	if (!policy_domain_fold(&d->name, pst_span_str(text + 1)))
		return "longer than 255 bytes";
	return d->name.n > 0 && d->name.s[0] == '[' ? "not a host" : policy_domain_fault(&d->name);
}

static const char *
parse_bare(char *text, struct destination *d)
{
	char *colon = strrchr(text, ':');
	struct pst_ip ip;
	char pattern[KEY_MAX + 2];

	if (pst_ip_parse(text, &ip) == PST_OK)
		return "an address stands in brackets";
	if (colon != NULL) {
		*colon = 0;
		if (!parse_port(colon + 1, &d->port))
			return "not a port";
		if (pst_ip_parse(text, &ip) == PST_OK)
			return "an address stands in brackets";
	}
	if (text[0] == '.') {
		if (d->port != 25)
			return "a parent with a port would never match";
		snprintf(pattern, sizeof(pattern), "*%s", text);
		return policy_pattern_fold(&d->name, pattern);
	}
	return policy_pattern_fold(&d->name, strncmp(text, "*.", 2) == 0 ? "**" : text);
}

static const char *
parse_destination(const char *in, struct destination *d)
{
	char text[KEY_MAX];
	const char *why;

	*d = (struct destination){.port = 25};
	if (strlen(in) >= KEY_MAX)
		return "longer than 255 bytes";
	memcpy(text, in, strlen(in) + 1);
	why = text[0] == '[' ? parse_bracketed(text, d) : parse_bare(text, d);
	if (why == NULL && d->port != 25 && d->name.n + strlen(":65535") > POLICY_DOMAIN_MAX)
		why = "longer than 255 bytes";
	return why;
}

/* "name", or "name:port" if that is not 25. */
static unsigned
key_of(const struct policy_domain *d, uint16_t port, char key[KEY_MAX])
{
	memcpy(key, d->s, d->n);
	return d->n +
	       (port == 25 ? 0u : (unsigned)snprintf(key + d->n, KEY_MAX - d->n, ":%u", port));
}

static void
canonical(const struct destination *d, char *buf, size_t cap)
{
	char ip[PST_IP_STRLEN], port[8] = "";

	if (d->port != 25)
		snprintf(port, sizeof(port), ":%u", d->port);
	snprintf(buf, cap, "%s%s%s%s", d->brackets ? "[" : "",
		d->is_address ? pst_ip_str(&d->ip, ip) : d->name.s, d->brackets ? "]" : "", port);
}

/* ---- compile ---- */

/* Which entry stands there already, else the new one. NULL: no memory. */
static uint32_t *
place(struct policy_map *m, const struct destination *d, uint32_t entry)
{
	struct policy_names *t = d->brackets ? &m->hosts : &m->domains;
	uint32_t *by_id = d->brackets ? m->host_entry : m->domain_entry;
	char key[KEY_MAX];
	unsigned before = t->n;
	uint32_t *at;
	int64_t id;

	if (d->is_address) {
		if ((at = policy_addresses_find(&m->addresses, &d->ip, d->port)) != NULL)
			return at;
		policy_addresses_add(&m->addresses, &d->ip, d->port, entry);
		return policy_addresses_find(&m->addresses, &d->ip, d->port);
	}
	id = policy_names_add(t, key, key_of(&d->name, d->port, key));
	if (id < 0)
		return NULL;
	if (t->n > before)
		by_id[id] = entry;
	return &by_id[id];
}

static void
compile_servername(struct policy_compile *c, unsigned i, const char *text, struct policy_entry *e)
{
	struct policy_domain d;
	const char *why;

	e->servername_kind = POLICY_MATCH_HOSTNAME;
	if (text == NULL || strcasecmp(text, "hostname") == 0)
		return;
	if (strcasecmp(text, "nexthop") == 0) {
		e->servername_kind = POLICY_MATCH_NEXTHOP;
		return;
	}
	why = policy_domain_fold(&d, pst_span_str(text)) ? policy_domain_fault(&d)
							 : "longer than 255 bytes";
	if (why == NULL && d.literal)
		why = "an address is no server name";
	if (why != NULL)
		policy_fault(c, PST_POLICY_ENTRIES, i, "servername", "%s", why);
	e->servername_kind = POLICY_MATCH_NAME;
	e->servername = policy_strdup(c, d.s, d.n);
}

/* Postfix ignores attributes beside "none"; here they are a mistake that is told. */
static void
check_none(struct policy_compile *c, unsigned i, const struct pst_policy_entry *in)
{
	if (in->level <= PST_LEVEL_NONE && (in->protocols != NULL || in->ciphers != NULL ||
						   in->exclude != NULL || in->servername != NULL))
		policy_fault(c, PST_POLICY_ENTRIES, i, "level",
			"protocols, ciphers, exclude and servername need a level that uses TLS");
}

static void
add_entry(struct policy_compile *c, unsigned i)
{
	const struct pst_policy_entry *in = &c->conf->entries[i];
	struct policy_entry *e = &c->p->map.entry[i];
	struct destination d;
	const char *why = parse_destination(in->destination, &d);
	char text[KEY_MAX + 16];
	uint32_t *at;
	int set;

	if (why != NULL) {
		policy_fault(c, PST_POLICY_ENTRIES, i, "destination", "%s", why);
		return;
	}
	if ((at = place(&c->p->map, &d, i)) == NULL)
		c->nomem = true;
	else if (*at != i)
		policy_fault(c, PST_POLICY_ENTRIES, i, "destination",
			"the same destination as entry %u (\"%.80s\")", *at,
			c->conf->entries[*at].destination);
	canonical(&d, text, sizeof(text));
	e->destination = policy_strdup(c, text, strlen(text));
	if (in->level == PST_LEVEL_UNSET || in->level >= PST_LEVELS)
		policy_fault(c, PST_POLICY_ENTRIES, i, "level", "missing");
	policy_word_compile(c, PST_POLICY_ENTRIES, i, in->level, in->nmatch, in->match, &e->word);
	compile_servername(c, i, in->servername, e);
	check_none(c, i, in);
	set = policy_tls_compile(c, i, in);
	e->tls = set < 0 ? 0 : (unsigned)set;
}

void
policy_map_compile(struct policy_compile *c)
{
	struct policy_map *m = &c->p->map;
	unsigned n = c->conf->nentries;

	m->n = n;
	m->ntls = 1; /* set 0 overrides nothing */
	m->entry = aligned_alloc(64, ((size_t)n + 1) * sizeof(*m->entry));
	if (m->entry != NULL)
		memset(m->entry, 0, ((size_t)n + 1) * sizeof(*m->entry));
	m->domain_entry = calloc((size_t)n + 1, sizeof(*m->domain_entry));
	m->host_entry = calloc((size_t)n + 1, sizeof(*m->host_entry));
	if (n > INT32_MAX || m->entry == NULL || m->domain_entry == NULL || m->host_entry == NULL ||
		!policy_names_init(&m->domains, n) || !policy_names_init(&m->hosts, n) ||
		!policy_addresses_init(&m->addresses, n)) {
		c->nomem = true;
		return;
	}
	m->domains.meant = (const char *)m->domain_entry;
	m->hosts.meant = (const char *)m->host_entry;
	m->domains.meant_size = m->hosts.meant_size = sizeof(*m->host_entry);
	for (unsigned i = 0; i < n && !c->nomem; i++)
		add_entry(c, i);
}

void
policy_map_fini(struct policy_map *m)
{
	for (unsigned i = 0; m->entry != NULL && i < m->n; i++) {
		policy_word_fini(&m->entry[i].word);
		free(m->entry[i].servername);
		free(m->entry[i].destination);
	}
	free(m->entry);
	free(m->domain_entry);
	free(m->host_entry);
	policy_names_fini(&m->domains);
	policy_names_fini(&m->hosts);
	policy_addresses_fini(&m->addresses);
	policy_tls_fini(m);
}

size_t
policy_map_bytes(const struct policy_map *m)
{
	return ((size_t)m->n + 1) * (sizeof(*m->entry) + 8) + policy_names_bytes(&m->domains) +
	       policy_names_bytes(&m->hosts) + policy_addresses_bytes(&m->addresses);
}

/* ---- next hops ---- */

void
policy_hops_compile(struct policy_compile *c)
{
	struct pst_policy *p = c->p;

	p->nhops = c->conf->nnext_hops;
	p->hops = calloc((size_t)p->nhops + 1, sizeof(*p->hops));
	if (p->hops == NULL) {
		c->nomem = true;
		return;
	}
	for (unsigned i = 0; i < p->nhops; i++) {
		const struct pst_policy_next_hop *in = &c->conf->next_hops[i];
		struct policy_hop *h = &p->hops[i];
		struct policy_query q;
		const char *why = NULL;

		h->entry = -1;
		h->name = policy_strdup(c, in->name, strlen(in->name));
		h->mx = in->mx;
		h->no_tls = in->no_tls;
		h->implicit = in->implicit;
		h->port = in->port != 0 ? in->port : 25;
		policy_word_compile(
			c, PST_POLICY_NEXT_HOPS, i, in->level, in->nmatch, in->match, &h->word);
		if (in->mx_domain == NULL)
			continue;
		why = policy_domain_fold(&q.d, pst_span_str(in->mx_domain))
			      ? policy_domain_fault(&q.d)
			      : "longer than 255 bytes";
		if (why != NULL) {
			policy_fault(c, PST_POLICY_NEXT_HOPS, i, "mx_domain", "%s", why);
			continue;
		}
		h->mx_domain = policy_strdup(c, q.d.s, q.d.n);
		policy_query_hash(&q);
		if (!c->nomem)
			h->entry = policy_map_domain(p, &q, h->port);
	}
}

void
policy_hops_fini(struct pst_policy *p)
{
	for (unsigned i = 0; p->hops != NULL && i < p->nhops; i++) {
		free(p->hops[i].name);
		free(p->hops[i].mx_domain);
		policy_word_fini(&p->hops[i].word);
	}
	free(p->hops);
}

/* ---- lookups ---- */

static int64_t
find_key(const struct policy_names *t, const struct policy_query *q, uint16_t port)
{
	struct policy_query with_port;
	char key[KEY_MAX];
	unsigned n;

	if (t->n == 0)
		return -1;
	if (port == 25)
		return policy_names_exact(t, q);
	n = key_of(&q->d, port, key);
	if (n > POLICY_DOMAIN_MAX)
		return -1;
	policy_query_key(&with_port, key, n);
	return policy_names_exact(t, &with_port);
}

static int32_t
find_address(const struct policy_map *m, const struct pst_ip *ip, uint16_t port)
{
	const uint32_t *at = policy_addresses_find(&m->addresses, ip, port);

	return at != NULL ? (int32_t)*at : -1;
}

int32_t
policy_map_domain(const struct pst_policy *p, const struct policy_query *q, uint16_t port)
{
	const struct policy_map *m = &p->map;
	unsigned k = q->dots;
	struct pst_ip ip;
	char text[PST_IP_STRLEN + 2];
	int64_t id;

	if (q->d.literal) { /* "[192.0.2.1]": as a key in brackets */
		snprintf(text, sizeof(text), "%.*s", (int)q->d.n - 2, q->d.s + 1);
		return pst_ip_parse(text, &ip) == PST_OK ? find_address(m, &ip, port) : -1;
	}
	id = find_key(&m->domains, q, port);
	if (id < 0 && port == 25)
		id = policy_names_parent(&m->domains, q, &k);
	return id < 0 ? -1 : (int32_t)m->domain_entry[id];
}

int32_t
policy_map_host(const struct pst_policy *p, const struct policy_query *q, const struct pst_ip *ip,
	uint16_t port)
{
	int64_t id = q != NULL ? find_key(&p->map.hosts, q, port) : -1;

	return id >= 0 ? (int32_t)p->map.host_entry[id] : find_address(&p->map, ip, port);
}
