/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The question about a host that is about to be connected to: what was said about the leg so
 * far, and the lists and the map that may know this host, become one demand.
 *
 * The strongest level that somebody demanded decides, and its author's names count: the
 * map's before the next hop's own when both say the same level. What the map says of
 * protocols, ciphers and server name holds whoever demanded.
 */
#include "ask.h"
#include <stdio.h>

static struct pst_span
span_or(struct pst_span a, struct pst_span b)
{
	return a.n > 0 ? a : b;
}

/* "[192.0.2.1]" and "[IPv6:..]" as a certificate and SNI know them. */
static struct pst_span
bare(struct pst_span s)
{
	if (s.n < 2 || s.p[0] != '[' || s.p[s.n - 1] != ']')
		return s;
	s = pst_span(s.p + 1, s.n - 2);
	if (s.n > 5 && strncasecmp((const char *)s.p, "IPv6:", 5) == 0)
		s = pst_span(s.p + 5, s.n - 5);
	return s;
}

static bool
is_address(struct pst_span s)
{
	char text[PST_IP_STRLEN];
	struct pst_ip ip;

	if (s.n == 0 || s.n >= sizeof(text))
		return false;
	memcpy(text, s.p, s.n);
	text[s.n] = 0;
	return pst_ip_parse(text, &ip) == PST_OK;
}

struct names {
	struct pst_span host, nexthop;
};

static void
add_name(struct pst_demand *d, struct pst_span name, bool subdomains)
{
	if (name.n == 0 || d->nnames == PST_MATCH_MAX || (subdomains && is_address(name)))
		return;
	d->names[d->nnames].name = name;
	d->names[d->nnames++].subdomains = subdomains;
}

static void
add_match(struct pst_demand *d, const struct names *n, const struct policy_match *m)
{
	switch (m->kind) {
	case POLICY_MATCH_HOSTNAME:
		add_name(d, n->host, false);
		break;
	case POLICY_MATCH_NEXTHOP:
		add_name(d, n->nexthop, false);
		break;
	case POLICY_MATCH_DOT_NEXTHOP:
		add_name(d, n->nexthop, true);
		break;
	case POLICY_MATCH_NAME:
		add_name(d, pst_span_str(m->name), m->subdomains);
		break;
	}
}

static void
add_matches(struct pst_demand *d, const struct names *n, const struct policy_word *w)
{
	static const struct policy_match verify[] = {{.kind = POLICY_MATCH_HOSTNAME}};
	static const struct policy_match secure[] = {
		{.kind = POLICY_MATCH_NEXTHOP}, {.kind = POLICY_MATCH_DOT_NEXTHOP}};

	if (d->level == PST_LEVEL_FINGERPRINT) {
		d->nfingerprints = w->nfingerprints;
		d->fingerprints = (const uint8_t(*)[32])w->fingerprints;
		return;
	}
	for (unsigned i = 0; i < w->nmatch; i++)
		add_match(d, n, &w->match[i]);
	for (unsigned i = 0; w->nmatch == 0 && d->level == PST_LEVEL_VERIFY && i < 1; i++)
		add_match(d, n, &verify[i]);
	for (unsigned i = 0; w->nmatch == 0 && d->level == PST_LEVEL_SECURE && i < 2; i++)
		add_match(d, n, &secure[i]);
}

static void
set_servername(struct pst_demand *d, const struct names *n, const struct policy_entry *e)
{
	d->servername = n->host;
	if (e != NULL && e->servername_kind == POLICY_MATCH_NEXTHOP)
		d->servername = n->nexthop;
	if (e != NULL && e->servername != NULL)
		d->servername = pst_span_str(e->servername);
	if (is_address(d->servername))
		d->servername = pst_span(NULL, 0);
}

/* Whose names count for a level that checks them. */
static const struct policy_word *
author(const struct pst_policy *p, const struct pst_want *w, enum pst_level level)
{
	if (w->entry >= 0 && p->map.entry[w->entry].word.level == level)
		return &p->map.entry[w->entry].word;
	if (w->next_hop >= 0 && p->hops[w->next_hop].word.level == level)
		return &p->hops[w->next_hop].word;
	return NULL;
}

static void
ask_host_map(const struct pst_policy *p, const struct pst_host_facts *h,
	const struct policy_query *q, struct policy_leg *leg)
{
	int32_t entry = policy_map_host(p, q, &h->ip, h->port);
	const struct policy_entry *e;
	const char *stance;

	if (entry < 0)
		return;
	e = &p->map.entry[entry];
	stance = policy_leg_speak(leg, e->word.level);
	leg->want.entry = entry;
	policy_leg_tell(leg, "map", stance, "%s %s", e->destination, pst_level_name(e->word.level));
}

/* Last of all: only now is it known that nobody spoke. */
static void
tell_gap(const struct pst_policy *p, struct policy_leg *leg)
{
	if (!policy_leg_silent(leg))
		return;
	policy_leg_tell(leg, "default_rule", "gap", "%s", pst_recipient_name(p->default_recipient));
	if (p->outbound != PST_LEVEL_UNSET)
		policy_leg_tell(leg, "global", "gap", "outbound %s", pst_level_name(p->outbound));
}

static void
tell_result(struct policy_leg *leg, const struct pst_demand *d)
{
	char names[128] = "";
	size_t n = 0;

	if (leg->trace == NULL)
		return;
	for (unsigned i = 0; i < d->nnames && n + 1 < sizeof(names); i++)
		n += (size_t)snprintf(names + n, sizeof(names) - n, "%s%s%.*s",
			i == 0 ? ", match " : ", ", d->names[i].subdomains ? "." : "",
			(int)PST_MIN(d->names[i].name.n, sizeof(names) - n - 1),
			(const char *)d->names[i].name.p);
	if (d->nfingerprints > 0)
		snprintf(names, sizeof(names), ", %u fingerprints", d->nfingerprints);
	policy_leg_tell(leg, "result", policy_leg_result(leg, d->conflict), "%s%s",
		d->conflict ? "an exemption and a demand" : pst_level_name(d->level), names);
}

void
pst_policy_host(const struct pst_policy *p, const struct pst_want *want,
	const struct pst_host_facts *h, struct pst_demand *d, struct pst_policy_trace *trace)
{
	const struct policy_hop *hop = h->next_hop < p->nhops ? &p->hops[h->next_hop] : NULL;
	struct policy_leg leg = {.want = *want,
		.name = "recipient",
		.always_tls = hop != NULL && hop->implicit,
		.trace = trace};
	const struct policy_word *word;
	struct policy_query q;
	bool named = policy_query_set(&q, h->name, p->labels);
	struct names n;

	memset(d, 0, offsetof(struct pst_demand, names));
	d->nfingerprints = 0;
	d->fingerprints = NULL;
	d->address[0] = 0;
	if (h->name.n == 0)
		pst_ip_str(&h->ip, d->address);
	n.host = span_or(bare(h->name), pst_span_str(d->address));
	n.nexthop = span_or(bare(h->domain), n.host);
	if (named && p->lists.any_name)
		policy_leg_lists(&leg, policy_lists_name(&p->lists, &q), "the host", h->name);
	policy_leg_lists(&leg, policy_lists_address(&p->lists, &h->ip), "the address of", n.host);
	if (hop != NULL && !hop->mx)
		ask_host_map(p, h, named ? &q : NULL, &leg);
	d->level = policy_leg_level(&leg, &d->conflict);
	if (leg.want.entry >= 0)
		d->tls = p->map.entry[leg.want.entry].tls;
	set_servername(d, &n, leg.want.entry >= 0 ? &p->map.entry[leg.want.entry] : NULL);
	word = author(p, &leg.want, d->level);
	if (word != NULL && d->level >= PST_LEVEL_FINGERPRINT)
		add_matches(d, &n, word);
	tell_gap(p, &leg);
	tell_result(&leg, d);
}
