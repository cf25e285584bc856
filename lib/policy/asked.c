/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * R7, tls_before_mail: of which senders may TLS be demanded, before the recipient is known?
 *
 * A sender lands at the most special pattern that names it, and the rules that can match it
 * are those of that node and of what covers the node: so the answer is one bit of the node,
 * found when the policy is compiled. It is set where a rule that demands TLS is the first for
 * some recipient, or where some recipient falls to a default that demands it.
 */
#include "policy_int.h"
#include <stdlib.h>

struct asking {
	struct policy_rules *r;
	bool gap;          /* who is silent demands it */
	uint32_t *start;   /* node -> its first rule in order; one more at the end */
	uint32_t *order;   /* rules by sender node, ascending */
	uint32_t *witness; /* node -> a rule that demands and is reached; NO_RULE: none */
	bool *known;
};

static bool
demands(const struct asking *a, uint32_t rule)
{
	uint8_t s = a->r->rule[rule].sender;

	return s == PST_SENDER_REQUIRED || (s == PST_SENDER_UNSET && a->gap);
}

/* Is this rule the first for some recipient of a sender who is covered by `from`? */
static bool
reached(const struct asking *a, const struct policy_chain *from, uint32_t rule)
{
	struct policy_chain to;

	policy_node_chain(&a->r->to, a->r->rule[rule].to, &to);
	return policy_rules_find(a->r, from, &to) == rule;
}

/*
 * For those who land at chain[at]: no more special pattern names them. What the next
 * less special node found is tried first; a full search happens only where it is taken.
 */
static uint32_t
find_witness(struct asking *a, const struct policy_chain *chain, unsigned at)
{
	struct policy_chain from = {.n = chain->n - at}, any = {.n = 1, .node = {POLICY_NODE_ANY}};
	uint32_t end, parent = POLICY_NO_RULE;
	bool none_above = at + 1 == chain->n;

	memcpy(from.node, chain->node + at, from.n * sizeof(from.node[0]));
	if (!none_above)
		parent = a->witness[chain->node[at + 1]];
	if (parent != POLICY_NO_RULE && reached(a, &from, parent))
		return parent;
	end = policy_rules_find(a->r, &from, &any); /* nothing behind "to *" is reached */
	for (unsigned i = 0; i < from.n; i++) {
		uint32_t node = from.node[i];

		for (uint32_t k = a->start[node]; k < a->start[node + 1]; k++) {
			uint32_t rule = a->order[k];

			if (end != POLICY_NO_RULE && rule > end)
				break;
			if (demands(a, rule) && reached(a, &from, rule))
				return rule;
		}
		if (parent == POLICY_NO_RULE && !none_above)
			break; /* above nobody demands: more patterns cannot change that */
	}
	return POLICY_NO_RULE;
}

/* A recipient whom no rule names falls to the default. */
static bool
default_asks(const struct asking *a, const struct policy_chain *from)
{
	const struct policy_chain any = {.n = 1, .node = {POLICY_NODE_ANY}};

	return a->gap && policy_rules_find(a->r, from, &any) == POLICY_NO_RULE;
}

static void
ask_node(struct asking *a, uint32_t node)
{
	struct policy_chain chain, from;

	policy_node_chain(&a->r->from, node, &chain);
	for (unsigned at = chain.n; at-- > 0;) {
		uint32_t n = chain.node[at];

		if (a->known[n])
			continue;
		a->known[n] = true;
		a->witness[n] = find_witness(a, &chain, at);
		from.n = chain.n - at;
		memcpy(from.node, chain.node + at, from.n * sizeof(from.node[0]));
		a->r->from.nodes[n].asked =
			a->witness[n] != POLICY_NO_RULE || default_asks(a, &from);
	}
}

static void
sort_by_sender(struct asking *a, uint32_t nodes)
{
	const struct policy_rules *r = a->r;

	for (uint32_t i = 0; i < r->n; i++)
		if (r->rule[i].enabled)
			a->start[r->rule[i].from + 1]++;
	for (uint32_t i = 0; i < nodes; i++)
		a->start[i + 1] += a->start[i];
	for (uint32_t i = r->n; i-- > 0;)
		if (r->rule[i].enabled)
			a->order[a->start[r->rule[i].from + 1] - ++a->witness[r->rule[i].from]] = i;
}

bool
policy_rules_asked(struct policy_rules *r, bool gap_demands)
{
	uint32_t nodes = r->from.names.n + POLICY_NODES;
	struct asking a = {.r = r,
		.gap = gap_demands,
		.start = calloc((size_t)nodes + 1, sizeof(*a.start)),
		.order = calloc((size_t)r->n + 1, sizeof(*a.order)),
		.witness = calloc(nodes, sizeof(*a.witness)),
		.known = calloc(nodes, sizeof(*a.known))};
	bool ok = a.start != NULL && a.order != NULL && a.witness != NULL && a.known != NULL;

	if (ok)
		sort_by_sender(&a, nodes);
	for (uint32_t i = 0; ok && i < nodes; i++)
		if (r->from.nodes[i].pairs > 0)
			ask_node(&a, i);
	r->asked_by_default = gap_demands;
	free(a.start);
	free(a.order);
	free(a.witness);
	free(a.known);
	return ok;
}
