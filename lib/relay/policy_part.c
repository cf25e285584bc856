/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The compiled policy as a part of snapshots, known by its content: a publication that
 * leaves routes, rules, map, lists and next hops as they were shares the last one's.
 *
 * Here configuration becomes policy's own words, and policy's faults become JSON pointers.
 */
#include "digest.h"
#include "relay.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- content ---- */

static void
add_list(struct digest *d, unsigned n, const char *const *text)
{
	digest_number(d, n);
	for (unsigned i = 0; i < n; i++)
		digest_text(d, text[i]);
}

static void
add_rules(struct digest *d, const struct pst_config_policy *p)
{
	digest_number(d, p->nrules);
	for (unsigned i = 0; i < p->nrules; i++) {
		const struct pst_config_rule *r = &p->rules[i];

		digest_text(d, r->id);
		digest_text(d, r->from);
		digest_text(d, r->to);
		digest_number(
			d, (uint64_t)r->sender << 16 | (uint64_t)r->recipient << 8 | r->enabled);
	}
}

static void
add_map(struct digest *d, const struct pst_config_policy *p)
{
	digest_number(d, p->nmap);
	for (unsigned i = 0; i < p->nmap; i++) {
		const struct pst_config_map_entry *e = &p->map[i];

		digest_text(d, e->destination);
		digest_number(d, e->level);
		add_list(d, e->nmatch, e->match);
		digest_text(d, e->protocols);
		digest_text(d, e->ciphers);
		digest_text(d, e->exclude);
		digest_text(d, e->servername);
	}
}

/* The answer of a policy is an index into the next hops, so their order is content too. */
static void
add_next_hops(struct digest *d, const struct pst_config *cfg)
{
	digest_number(d, cfg->nnext_hops);
	for (unsigned i = 0; i < cfg->nnext_hops; i++) {
		const struct pst_config_next_hop *h = &cfg->next_hops[i];

		digest_text(d, h->name);
		digest_number(d, (uint64_t)h->mx << 32 | (uint64_t)h->tls << 16 | h->port);
		digest_text(d, h->mx_domain);
		digest_number(d, h->level);
		add_list(d, h->nmatch, h->match);
	}
}

static struct digest
policy_digest(const struct pst_config *cfg)
{
	const struct pst_config_policy *p = &cfg->policy;
	struct digest d = {{0, 0}};

	digest_number(&d, cfg->nroutes);
	for (unsigned i = 0; i < cfg->nroutes; i++) {
		digest_text(&d, cfg->routes[i].domain);
		digest_number(&d, cfg->routes[i].next_hop);
	}
	add_rules(&d, p);
	add_map(&d, p);
	add_next_hops(&d, cfg);
	add_list(&d, p->nnever, p->never);
	add_list(&d, p->nrequired, p->required);
	digest_number(&d, (uint64_t)p->default_sender << 32 | (uint64_t)p->default_recipient << 24 |
				  (uint64_t)p->inbound << 16 | (uint64_t)p->outbound << 8 |
				  p->tls_before_mail);
	return d;
}

/* ---- faults and warnings ---- */

struct teller {
	const struct pst_config *cfg;
	pst_relay_report_fn *report;
	void *arg;
};

/* RFC 6901 3: '~' and '/' of a key are written ~0 and ~1. */
static const char *
escaped(const char *key, char *buf, size_t cap)
{
	size_t n = 0;

	for (; *key != '\0' && n + 3 < cap; key++) {
		if (*key == '~' || *key == '/') {
			buf[n++] = '~';
			buf[n++] = *key == '~' ? '0' : '1';
		} else {
			buf[n++] = *key;
		}
	}
	buf[n] = '\0';
	return buf;
}

static void
tell(void *arg, enum pst_policy_section section, unsigned i, const char *member, const char *text)
{
	const struct teller *t = arg;
	char pointer[700], key[600];
	const char *slash;

	/* A destination is its entry's key, not a member. */
	if (section == PST_POLICY_ENTRIES && strcmp(member, "destination") == 0)
		member = "";
	slash = member[0] != '\0' ? "/" : "";
	switch (section) {
	case PST_POLICY_ROUTES:
		snprintf(pointer, sizeof(pointer), "/routes/%u%s%s", i, slash, member);
		break;
	case PST_POLICY_RULES:
		snprintf(pointer, sizeof(pointer), "/policy/rules/%u%s%s", i, slash, member);
		break;
	case PST_POLICY_ENTRIES:
		snprintf(pointer, sizeof(pointer), "/policy/map/%s%s%s",
			escaped(t->cfg->policy.map[i].destination, key, sizeof(key)), slash,
			member);
		break;
	case PST_POLICY_NEXT_HOPS:
		snprintf(pointer, sizeof(pointer), "/next_hops/%s%s%s",
			escaped(t->cfg->next_hops[i].name, key, sizeof(key)), slash, member);
		break;
	case PST_POLICY_NEVER:
		snprintf(pointer, sizeof(pointer), "/policy/starttls_never/%u", i);
		break;
	case PST_POLICY_REQUIRED:
		snprintf(pointer, sizeof(pointer), "/policy/starttls_required/%u", i);
		break;
	case PST_POLICY_WHOLE:
		snprintf(pointer, sizeof(pointer), "/policy%s%s", slash, member);
		break;
	}
	t->report(t->arg, pointer, text);
}

/* ---- compiling ---- */

/* Policy's own view of the arrays; the strings stay the configuration's. */
struct words {
	struct pst_policy_route *routes;
	struct pst_policy_rule *rules;
	struct pst_policy_entry *entries;
	struct pst_policy_next_hop *hops;
};

static void
words_free(struct words *w)
{
	free(w->routes);
	free(w->rules);
	free(w->entries);
	free(w->hops);
}

static bool
words_alloc(struct words *w, const struct pst_config *cfg)
{
	w->routes = calloc((size_t)cfg->nroutes + 1, sizeof(*w->routes));
	w->rules = calloc((size_t)cfg->policy.nrules + 1, sizeof(*w->rules));
	w->entries = calloc((size_t)cfg->policy.nmap + 1, sizeof(*w->entries));
	w->hops = calloc((size_t)cfg->nnext_hops + 1, sizeof(*w->hops));
	return w->routes != NULL && w->rules != NULL && w->entries != NULL && w->hops != NULL;
}

static void
words_fill(struct words *w, const struct pst_config *cfg)
{
	for (unsigned i = 0; i < cfg->nroutes; i++)
		w->routes[i] = (struct pst_policy_route){
			.domain = cfg->routes[i].domain, .next_hop = cfg->routes[i].next_hop};
	for (unsigned i = 0; i < cfg->policy.nrules; i++) {
		const struct pst_config_rule *r = &cfg->policy.rules[i];

		w->rules[i] = (struct pst_policy_rule){.id = r->id,
			.from = r->from,
			.to = r->to,
			.sender = r->sender,
			.recipient = r->recipient,
			.enabled = r->enabled};
	}
	for (unsigned i = 0; i < cfg->policy.nmap; i++) {
		const struct pst_config_map_entry *e = &cfg->policy.map[i];

		w->entries[i] = (struct pst_policy_entry){.destination = e->destination,
			.level = e->level,
			.nmatch = e->nmatch,
			.match = e->match,
			.protocols = e->protocols,
			.ciphers = e->ciphers,
			.exclude = e->exclude,
			.servername = e->servername};
	}
	for (unsigned i = 0; i < cfg->nnext_hops; i++) {
		const struct pst_config_next_hop *h = &cfg->next_hops[i];

		w->hops[i] = (struct pst_policy_next_hop){.name = h->name,
			.mx = h->mx,
			.mx_domain = h->mx_domain,
			.port = h->port,
			.no_tls = h->tls == PST_CONFIG_TLS_NONE,
			.implicit = h->tls == PST_CONFIG_TLS_IMPLICIT,
			.level = h->level,
			.nmatch = h->nmatch,
			.match = h->match};
	}
}

static struct pst_policy *
compile(const struct pst_config *cfg, pst_relay_report_fn *report, void *arg)
{
	const struct pst_config_policy *p = &cfg->policy;
	struct teller t = {.cfg = cfg, .report = report, .arg = arg};
	struct words w = {0};
	struct pst_policy *out = NULL;

	if (!words_alloc(&w, cfg)) {
		report(arg, "/policy", "out of memory");
		words_free(&w);
		return NULL;
	}
	words_fill(&w, cfg);
	out = pst_policy_new(
		&(struct pst_policy_conf){
			.nroutes = cfg->nroutes,
			.routes = w.routes,
			.nrules = p->nrules,
			.rules = w.rules,
			.default_sender = p->default_sender,
			.default_recipient = p->default_recipient,
			.tls_before_mail = p->tls_before_mail,
			.nentries = p->nmap,
			.entries = w.entries,
			.nnext_hops = cfg->nnext_hops,
			.next_hops = w.hops,
			.never = {.n = p->nnever, .entries = p->never},
			.required = {.n = p->nrequired, .entries = p->required},
			.inbound = p->inbound,
			.outbound = p->outbound,
		},
		tell, &t);
	words_free(&w);
	return out;
}

struct policy_part *
policy_part_get(struct parts *ps, const struct build *b)
{
	struct digest key = policy_digest(b->cfg);
	struct policy_part *p;

	TAILQ_FOREACH (p, &ps->policies, link) {
		if (digest_eq(&p->key, &key)) {
			p->refs++;
			return p;
		}
	}
	p = calloc(1, sizeof(*p));
	if (p == NULL)
		b->report(b->arg, "/policy", "out of memory");
	else
		p->policy = compile(b->cfg, b->report, b->arg);
	if (p == NULL || p->policy == NULL) {
		free(p);
		return NULL;
	}
	p->key = key;
	p->refs = 1;
	TAILQ_INSERT_TAIL(&ps->policies, p, link);
	return p;
}

void
policy_part_put(struct parts *ps, struct policy_part *p)
{
	if (p == NULL || --p->refs > 0)
		return;
	TAILQ_REMOVE(&ps->policies, p, link);
	pst_policy_free(p->policy);
	free(p);
}

/* ---- warnings ---- */

static void
hear_nothing(void *arg, const char *pointer, const char *text)
{
}

unsigned
pst_relay_lint(const struct pst_config *cfg,
	void (*report)(void *arg, const char *pointer, const char *text), void *arg)
{
	struct pst_policy *p = compile(cfg, hear_nothing, NULL);
	struct teller t = {.cfg = cfg, .report = report, .arg = arg};
	unsigned n = p != NULL ? pst_policy_lint(p, tell, &t) : 0;

	pst_policy_free(p);
	return n;
}
