/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The ordered rules: the first that matches sender's and recipient's domain.
 *
 * Each side's patterns are interned as nodes, and a rule is a pair of nodes in one hash
 * table, the earliest rule of each pair. A question finds the few nodes that cover each
 * domain (itself, its written parents, "*") and then the lowest rule among their pairs.
 * A node knows its lowest rule, and its partner if it has one only, so most
 * pairs are ruled out without being asked for. Disabled rules are in no table.
 *
 * Cost: at most (patterns that cover the sender) x (patterns that cover the recipient)
 * probes, however many rules there are; only nested patterns that somebody wrote make
 * either number larger than three.
 */
#include "policy_int.h"
#include <stdio.h>
#include <stdlib.h>

/* ---- compile ---- */

static bool
side_init(struct policy_side *s, unsigned rules)
{
	s->nodes = calloc((size_t)rules + POLICY_NODES, sizeof(*s->nodes));
	if (s->nodes == NULL || !policy_names_init(&s->names, rules))
		return false;
	s->names.meant = (const char *)(s->nodes + POLICY_NODES);
	s->names.meant_size = sizeof(*s->nodes);
	for (size_t i = 0; i < (size_t)rules + POLICY_NODES; i++)
		s->nodes[i].first = POLICY_NO_RULE;
	return true;
}

static bool
rules_init(struct policy_rules *r, const struct pst_policy_conf *conf)
{
	size_t ids = 1, slots = 4;

	for (unsigned i = 0; i < conf->nrules; i++)
		ids += strlen(conf->rules[i].id) + 1;
	while (slots < 2 * (size_t)conf->nrules)
		slots *= 2;
	r->n = conf->nrules;
	r->mask = (uint32_t)slots - 1;
	r->ids = malloc(ids);
	r->rule = calloc((size_t)r->n + 1, sizeof(*r->rule));
	r->pairs = calloc(slots, sizeof(*r->pairs));
	return ids < UINT32_MAX && r->ids != NULL && r->rule != NULL && r->pairs != NULL &&
	       side_init(&r->from, r->n) && side_init(&r->to, r->n);
}

static uint32_t
pair_hash(uint32_t from, uint32_t to)
{
	uint64_t h = ((uint64_t)from << 32 | to) * 0x9e3779b97f4a7c15ull;

	return (uint32_t)((h ^ (h >> 29)) * 0xbf58476d1ce4e5b9ull >> 32);
}

static struct policy_pair *
pair_find(const struct policy_rules *r, uint32_t from, uint32_t to)
{
	struct policy_pair *p;

	for (uint32_t at = pair_hash(from, to) & r->mask; (p = &r->pairs[at])->rule != 0;
		at = (at + 1) & r->mask)
		if (p->from == from && p->to == to)
			break;
	return p;
}

static void
node_pair(struct policy_node *n, uint32_t rule, uint32_t other)
{
	if (n->pairs++ == 0) {
		n->first = rule;
		n->other = other;
	}
}

static void
add_pair(struct policy_rules *r, uint32_t i)
{
	uint32_t from = r->rule[i].from, to = r->rule[i].to;
	struct policy_pair *p = pair_find(r, from, to);

	if (p->rule != 0)
		return; /* never matches; lint says so */
	*p = (struct policy_pair){.from = from, .to = to, .rule = i + 1};
	node_pair(&r->from.nodes[from], i, to);
	node_pair(&r->to.nodes[to], i, from);
}

/* A pattern's canonical form, or why it has none. "*" and "<>" stay as they are. */
static const char *
rule_pattern(struct policy_domain *d, const char *text, bool sender)
{
	if (text == NULL)
		return "missing";
	if (strcmp(text, "*") == 0 || (sender && strcmp(text, "<>") == 0)) {
		d->n = (unsigned)strlen(text);
		memcpy(d->s, text, d->n + 1);
		d->literal = false;
		return NULL;
	}
	if (strcmp(text, "<>") == 0)
		return "\"<>\" is a sender, never a recipient";
	return policy_pattern_fold(d, text);
}

static int64_t
intern(struct policy_side *s, const struct policy_domain *d)
{
	int64_t id;

	if (strcmp(d->s, "*") == 0)
		return POLICY_NODE_ANY;
	if (strcmp(d->s, "<>") == 0)
		return POLICY_NODE_NULL;
	id = policy_names_add(&s->names, d->s, d->n);
	return id < 0 ? -1 : id + POLICY_NODES;
}

static void
add_rule(struct policy_compile *c, unsigned i)
{
	const struct pst_policy_rule *in = &c->conf->rules[i];
	struct policy_rules *r = &c->p->rules;
	struct policy_domain from, to;
	const char *bad_from = rule_pattern(&from, in->from, true);
	const char *bad_to = rule_pattern(&to, in->to, false);
	int64_t f, t;
	int bytes;

	if (bad_from != NULL)
		policy_fault(c, PST_POLICY_RULES, i, "from", "%s", bad_from);
	if (bad_to != NULL)
		policy_fault(c, PST_POLICY_RULES, i, "to", "%s", bad_to);
	if (bad_from != NULL || bad_to != NULL)
		return;
	bytes = pst_rule_format(in, NULL, 0, &bad_from);
	if (bytes > PST_RULE_MAX)
		policy_fault(c, PST_POLICY_RULES, i, "", "the rule has %d bytes, %d are allowed",
			bytes, PST_RULE_MAX);
	r->rule[i].sender = (uint8_t)in->sender;
	r->rule[i].recipient = (uint8_t)in->recipient;
	r->rule[i].enabled = in->enabled;
	if (!in->enabled)
		return;
	f = intern(&r->from, &from);
	t = intern(&r->to, &to);
	if (f < 0 || t < 0) {
		c->nomem = true;
		return;
	}
	r->rule[i].from = (uint32_t)f;
	r->rule[i].to = (uint32_t)t;
	add_pair(r, i);
}

static void
add_id(struct policy_rules *r, unsigned i, const char *id)
{
	size_t n = strlen(id) + 1;

	memcpy(r->ids + r->ids_len, id, n);
	r->rule[i].id = (uint32_t)r->ids_len;
	r->ids_len += n;
}

/* Ids compare byte by byte. */
static void
check_ids(struct policy_compile *c)
{
	const struct policy_rules *r = &c->p->rules;
	uint32_t *slots = calloc((size_t)r->mask + 1, sizeof(*slots));

	if (slots == NULL)
		c->nomem = true;
	for (unsigned i = 0; i < r->n && slots != NULL; i++) {
		const char *id = r->ids + r->rule[i].id;
		uint32_t at = (uint32_t)policy_hash_bytes(id, strlen(id)) & r->mask;

		while (slots[at] != 0 && strcmp(r->ids + r->rule[slots[at] - 1].id, id) != 0)
			at = (at + 1) & r->mask;
		if (slots[at] != 0)
			policy_fault(c, PST_POLICY_RULES, i, "id", "the same id as rule %u",
				slots[at] - 1);
		else
			slots[at] = i + 1;
		if (id[0] == 0 || strcmp(id, "default") == 0)
			policy_fault(c, PST_POLICY_RULES, i, "id",
				"not a name for a rule: empty or \"default\"");
	}
	free(slots);
}

void
policy_rules_compile(struct policy_compile *c)
{
	struct policy_rules *r = &c->p->rules;

	if (c->conf->nrules >= POLICY_NO_RULE / 4 || !rules_init(r, c->conf)) {
		c->nomem = true;
		return;
	}
	for (unsigned i = 0; i < r->n && !c->nomem; i++) {
		add_id(r, i, c->conf->rules[i].id);
		add_rule(c, i);
	}
	check_ids(c);
}

static void
side_fini(struct policy_side *s)
{
	policy_names_fini(&s->names);
	free(s->nodes);
}

void
policy_rules_fini(struct policy_rules *r)
{
	side_fini(&r->from);
	side_fini(&r->to);
	free(r->rule);
	free(r->ids);
	free(r->pairs);
}

/* ---- lookup ---- */

static void
chain_add(struct policy_chain *c, const struct policy_side *s, uint32_t node)
{
	if (s->nodes[node].pairs > 0)
		c->node[c->n++] = node;
}

void
policy_chain_find(const struct policy_side *s, const struct policy_query *q, bool null,
	struct policy_chain *out)
{
	unsigned k = q != NULL ? q->dots : 0;
	int64_t id;

	out->n = 0;
	if (null)
		chain_add(out, s, POLICY_NODE_NULL);
	if (q != NULL && (id = policy_names_exact(&s->names, q)) >= 0)
		out->node[out->n++] = (uint32_t)id + POLICY_NODES;
	while (q != NULL && (id = policy_names_parent(&s->names, q, &k)) >= 0)
		out->node[out->n++] = (uint32_t)id + POLICY_NODES;
	chain_add(out, s, POLICY_NODE_ANY);
}

/* The rule of a pair of nodes if it is lower than best. */
static uint32_t
pair_rule(const struct policy_rules *r, uint32_t from, uint32_t to, uint32_t best)
{
	const struct policy_node *f = &r->from.nodes[from], *t = &r->to.nodes[to];
	const struct policy_pair *p;

	if (f->pairs == 1)
		return f->other == to && f->first < best ? f->first : best;
	if (t->pairs == 1)
		return t->other == from && t->first < best ? t->first : best;
	p = pair_find(r, from, to);
	return p->rule != 0 && p->rule - 1 < best ? p->rule - 1 : best;
}

/* By their lowest rule, so that the search can end early. Mostly two or three. */
static void
sort_chain(const struct policy_side *s, const struct policy_chain *in, struct policy_chain *out)
{
	for (out->n = 0; out->n < in->n; out->n++) {
		uint32_t node = in->node[out->n], first = s->nodes[node].first;
		unsigned at = out->n;

		for (; at > 0 && s->nodes[out->node[at - 1]].first > first; at--)
			out->node[at] = out->node[at - 1];
		out->node[at] = node;
	}
}

uint32_t
policy_rules_find(const struct policy_rules *r, const struct policy_chain *from,
	const struct policy_chain *to)
{
	struct policy_chain senders, recipients;
	uint32_t best = POLICY_NO_RULE;

	sort_chain(&r->from, from, &senders);
	sort_chain(&r->to, to, &recipients);
	for (unsigned i = 0; i < senders.n; i++) {
		if (r->from.nodes[senders.node[i]].first >= best)
			break;
		for (unsigned k = 0; k < recipients.n; k++) {
			if (r->to.nodes[recipients.node[k]].first >= best)
				break;
			best = pair_rule(r, senders.node[i], recipients.node[k], best);
		}
	}
	return best;
}

const char *
policy_rule_id(const struct policy_rules *r, uint32_t rule)
{
	return rule == POLICY_NO_RULE ? "default" : r->ids + r->rule[rule].id;
}

/* ---- text ---- */

static const char *
word_or_dash(const char *word)
{
	return strcmp(word, "unset") == 0 ? "-" : word;
}

static int
line(char *buf, size_t cap, const char *from, const char *to, unsigned sender, unsigned recipient)
{
	return snprintf(buf, cap, "%s%s %s%s %s %s", from[0] == '.' ? "*" : "", from,
		to[0] == '.' ? "*" : "", to,
		word_or_dash(pst_sender_name((enum pst_sender_policy)sender)),
		word_or_dash(pst_recipient_name((enum pst_recipient_policy)recipient)));
}

int
pst_rule_format(const struct pst_policy_rule *r, char *buf, size_t cap, const char **why)
{
	struct policy_domain from, to;

	if ((*why = rule_pattern(&from, r->from, true)) != NULL ||
		(*why = rule_pattern(&to, r->to, false)) != NULL)
		return -1;
	return line(buf, cap, from.s, to.s, (unsigned)r->sender, (unsigned)r->recipient);
}

static const char *
node_text(const struct policy_side *s, uint32_t node)
{
	if (node < POLICY_NODES)
		return node == POLICY_NODE_ANY ? "*" : "<>";
	return policy_names_text(&s->names, node - POLICY_NODES);
}

int
policy_rule_text(const struct policy_rules *r, uint32_t rule, char *buf, size_t cap)
{
	const struct policy_rule *x = &r->rule[rule];

	return line(buf, cap, node_text(&r->from, x->from), node_text(&r->to, x->to), x->sender,
		x->recipient);
}

/* ---- what no mail can reach ---- */

void
policy_node_chain(const struct policy_side *s, uint32_t node, struct policy_chain *out)
{
	struct policy_query q;

	if (node < POLICY_NODES) {
		policy_chain_find(s, NULL, node == POLICY_NODE_NULL, out);
		return;
	}
	policy_query_key(&q, node_text(s, node), (unsigned)strlen(node_text(s, node)));
	policy_chain_find(s, &q, false, out);
}

unsigned
policy_rules_lint(const struct pst_policy *p, pst_policy_report_fn *report, void *arg)
{
	const struct policy_rules *r = &p->rules;
	struct policy_chain from, to;
	unsigned n = 0;
	char text[400];

	for (uint32_t i = 0; i < r->n; i++) {
		uint32_t taker;

		if (!r->rule[i].enabled)
			continue;
		policy_node_chain(&r->from, r->rule[i].from, &from);
		policy_node_chain(&r->to, r->rule[i].to, &to);
		if ((taker = policy_rules_find(r, &from, &to)) >= i)
			continue;
		snprintf(text, sizeof(text), "unreachable: taken by %.200s",
			policy_rule_id(r, taker));
		report(arg, PST_POLICY_RULES, i, "", text);
		n++;
	}
	return n;
}
