/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The compiled policy: built from a description, judged, freed. Who asks it needs no
 * lock and no allocation; see ask.c.
 */
#include "policy_int.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void
policy_fault(struct policy_compile *c, enum pst_policy_section section, unsigned index,
	const char *member, const char *fmt, ...)
{
	char text[300];
	va_list ap;

	if (c->faults++ >= POLICY_FAULTS_MAX)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	c->report(c->arg, section, index, member, text);
}

char *
policy_strdup(struct policy_compile *c, const char *s, size_t n)
{
	char *out = malloc(n + 1);

	if (out == NULL) {
		c->nomem = true;
		return NULL;
	}
	memcpy(out, s, n);
	out[n] = 0;
	c->p->text_bytes += n + 1;
	return out;
}

static unsigned
longest_parent(const struct pst_policy *p)
{
	const struct policy_names *tables[] = {&p->routes, &p->rules.from.names, &p->rules.to.names,
		&p->map.domains, &p->lists.names};
	unsigned n = 0;

	for (unsigned i = 0; i < PST_COUNT(tables); i++)
		n = PST_MAX(n, policy_names_labels(tables[i]));
	return n;
}

/* ---- what the whole says about senders ---- */

static enum pst_level
stronger(enum pst_level a, enum pst_level b)
{
	return a > b ? a : b;
}

static void
sum_up_senders(struct pst_policy *p)
{
	const struct policy_rules *r = &p->rules;
	bool none = p->sender_gap <= PST_LEVEL_NONE;
	bool required = p->sender_gap >= PST_LEVEL_ENCRYPT;

	for (unsigned i = 0; i < r->n; i++) {
		if (!r->rule[i].enabled)
			continue;
		none = none && (r->rule[i].sender == PST_SENDER_NONE ||
				       r->rule[i].sender == PST_SENDER_UNSET);
		required = required || r->rule[i].sender == PST_SENDER_REQUIRED;
	}
	p->sender_none = none;
	p->sender_required = required;
}

static void
check_whole(struct policy_compile *c)
{
	const struct pst_policy_conf *conf = c->conf;
	struct pst_policy *p = c->p;
	bool some = p->default_sender == PST_SENDER_REQUIRED;

	for (unsigned i = 0; i < p->rules.n; i++)
		some = some ||
		       (p->rules.rule[i].enabled && p->rules.rule[i].sender == PST_SENDER_REQUIRED);
	if (p->tls_before_mail && !some)
		policy_fault(c, PST_POLICY_WHOLE, 0, "tls_before_mail",
			"needs an enabled rule (or the default) that requires sender encryption");
	if (conf->inbound != PST_LEVEL_UNSET && conf->inbound != PST_LEVEL_MAY &&
		conf->inbound != PST_LEVEL_ENCRYPT)
		policy_fault(c, PST_POLICY_WHOLE, 0, "inbound", "may or encrypt");
	if (conf->outbound > PST_LEVEL_ENCRYPT)
		policy_fault(c, PST_POLICY_WHOLE, 0, "outbound", "none, may or encrypt");
}

static enum pst_level
sender_level(enum pst_sender_policy s)
{
	return s == PST_SENDER_REQUIRED ? PST_LEVEL_ENCRYPT
	       : s == PST_SENDER_NONE   ? PST_LEVEL_NONE
					: PST_LEVEL_MAY;
}

static void
compile(struct policy_compile *c)
{
	const struct pst_policy_conf *conf = c->conf;
	struct pst_policy *p = c->p;

	p->default_sender = conf->default_sender != PST_SENDER_UNSET ? conf->default_sender
								     : PST_SENDER_OPTIONAL;
	p->default_recipient = conf->default_recipient != PST_RECIPIENT_UNSET
				       ? conf->default_recipient
				       : PST_RECIPIENT_PREFERRED;
	p->inbound = conf->inbound;
	p->outbound = conf->outbound;
	p->tls_before_mail = conf->tls_before_mail;
	p->sender_gap = stronger(sender_level(p->default_sender), p->inbound);
	policy_routes_compile(c);
	policy_rules_compile(c);
	policy_map_compile(c);
	policy_hops_compile(c);
	policy_lists_compile(c);
	if (c->nomem || c->faults > 0)
		return;
	p->labels = longest_parent(p);
	sum_up_senders(p);
	check_whole(c);
	if (p->tls_before_mail &&
		!policy_rules_asked(&p->rules, p->sender_gap >= PST_LEVEL_ENCRYPT))
		c->nomem = true;
}

struct pst_policy *
pst_policy_new(const struct pst_policy_conf *conf, pst_policy_report_fn *report, void *arg)
{
	struct pst_policy *p = calloc(1, sizeof(*p));
	struct policy_compile c = {.p = p, .conf = conf, .report = report, .arg = arg};

	if (p != NULL)
		compile(&c);
	else
		c.nomem = true;
	if (c.nomem)
		policy_fault(&c, PST_POLICY_WHOLE, 0, "", "out of memory");
	if (c.faults == 0)
		return p;
	pst_policy_free(p);
	return NULL;
}

void
pst_policy_free(struct pst_policy *p)
{
	if (p == NULL)
		return;
	policy_routes_fini(p);
	policy_rules_fini(&p->rules);
	policy_hops_fini(p);
	policy_map_fini(&p->map);
	policy_lists_fini(&p->lists);
	free(p);
}

unsigned
pst_policy_lint(const struct pst_policy *p, pst_policy_report_fn *report, void *arg)
{
	unsigned n = policy_rules_lint(p, report, arg) + policy_lists_lint(p, report, arg);

	if (p->inbound == PST_LEVEL_ENCRYPT) {
		report(arg, PST_POLICY_WHOLE, 0, "inbound",
			"`encrypt` for all: not for a server that takes mail from the Internet, "
			"where not everybody has TLS");
		n++;
	}
	if (p->outbound == PST_LEVEL_ENCRYPT) {
		report(arg, PST_POLICY_WHOLE, 0, "outbound",
			"`encrypt` for all: mail to servers without TLS will not be delivered");
		n++;
	}
	if (p->inbound == PST_LEVEL_ENCRYPT && p->default_sender == PST_SENDER_NONE) {
		report(arg, PST_POLICY_WHOLE, 0, "default_rule/sender",
			"`none` beside the stronger inbound `encrypt`, which wins");
		n++;
	}
	if (p->outbound == PST_LEVEL_ENCRYPT && p->default_recipient == PST_RECIPIENT_NONE) {
		report(arg, PST_POLICY_WHOLE, 0, "default_rule/recipient",
			"`none` beside the stronger outbound `encrypt`, which wins");
		n++;
	}
	return n;
}

static size_t
side_bytes(const struct policy_side *s, unsigned rules)
{
	return policy_names_bytes(&s->names) + ((size_t)rules + POLICY_NODES) * sizeof(*s->nodes);
}

size_t
pst_policy_bytes(const struct pst_policy *p)
{
	const struct policy_rules *r = &p->rules;

	return sizeof(*p) + p->text_bytes + policy_names_bytes(&p->routes) +
	       ((size_t)p->nroutes + 1) * 8 + side_bytes(&r->from, r->n) +
	       side_bytes(&r->to, r->n) + ((size_t)r->n + 1) * sizeof(*r->rule) + r->ids_len +
	       ((size_t)r->mask + 1) * sizeof(*r->pairs) + policy_map_bytes(&p->map) +
	       policy_names_bytes(&p->lists.names) + policy_addresses_bytes(&p->lists.addresses) +
	       ((size_t)p->nhops + 1) * sizeof(*p->hops);
}
