/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The questions of a session: who is this client, may this sender go on in clear, where does
 * this recipient's mail go and what was said about that leg.
 *
 * Every source that speaks about a leg takes a stance; stances are added up in any
 * order and one function reads the sum, for the sender's leg here and for the
 * next hop's in host.c. Text is made only for a caller who brought a trace.
 */
#include "ask.h"
#include <stdarg.h>
#include <stdio.h>

/* ---- stances ---- */

void
policy_trace(struct pst_policy_trace *t, const char *leg, const char *source, const char *stance,
	const char *fmt, ...)
{
	va_list ap;

	if (t->n >= PST_TRACE_MAX)
		return;
	t->step[t->n].leg = leg;
	t->step[t->n].source = source;
	t->step[t->n].stance = stance;
	va_start(ap, fmt);
	vsnprintf(t->step[t->n].text, sizeof(t->step[t->n].text), fmt, ap);
	va_end(ap);
	t->n++;
}

const char *
policy_leg_speak(struct policy_leg *leg, enum pst_level level)
{
	struct pst_want *w = &leg->want;

	if (level >= PST_LEVEL_ENCRYPT) {
		w->mandatory = (uint8_t)PST_MAX((unsigned)w->mandatory, (unsigned)level);
		return "mandatory";
	}
	if (level == PST_LEVEL_MAY) {
		w->optional = PST_LEVEL_MAY;
		return "optional";
	}
	w->exempt = w->exempt || !leg->always_tls;
	return "exempt";
}

void
policy_leg_lists(struct policy_leg *leg, unsigned listed, const char *what, struct pst_span who)
{
	const char *stance; /* taken whether or not somebody listens */

	if ((listed & PST_LISTED_NEVER) != 0) {
		stance = policy_leg_speak(leg, PST_LEVEL_NONE);
		policy_leg_tell(leg, "whitelist", stance, "%s %.*s", what, PST_SPAN_FMT(who));
	}
	if ((listed & PST_LISTED_REQUIRED) != 0) {
		stance = policy_leg_speak(leg, PST_LEVEL_ENCRYPT);
		policy_leg_tell(leg, "required_list", stance, "%s %.*s", what, PST_SPAN_FMT(who));
	}
}

bool
policy_leg_silent(const struct policy_leg *leg)
{
	const struct pst_want *w = &leg->want;

	return w->mandatory == PST_LEVEL_UNSET && w->optional == PST_LEVEL_UNSET && !w->exempt;
}

enum pst_level
policy_leg_level(const struct policy_leg *leg, bool *conflict)
{
	const struct pst_want *w = &leg->want;

	*conflict = w->exempt && w->mandatory != PST_LEVEL_UNSET;
	if (w->mandatory != PST_LEVEL_UNSET)
		return (enum pst_level)w->mandatory;
	if (w->exempt)
		return PST_LEVEL_NONE;
	if (w->optional != PST_LEVEL_UNSET)
		return (enum pst_level)w->optional;
	return w->gap != PST_LEVEL_UNSET ? (enum pst_level)w->gap : PST_LEVEL_MAY;
}

/* The stance of the sum, for the line "result". */
const char *
policy_leg_result(const struct policy_leg *leg, bool conflict)
{
	if (conflict)
		return "conflict";
	if (policy_leg_silent(leg))
		return "gap";
	if (leg->want.mandatory != PST_LEVEL_UNSET)
		return "mandatory";
	return leg->want.exempt ? "exempt" : "optional";
}

/* ---- clients ---- */

unsigned
pst_policy_client(const struct pst_policy *p, const struct pst_ip *ip, struct pst_span name)
{
	struct policy_query q;
	unsigned bits = policy_lists_address(&p->lists, ip);

	if (p->lists.any_name && policy_query_set(&q, name, p->labels))
		bits |= policy_lists_name(&p->lists, &q);
	return bits;
}

bool
pst_policy_needs_client_name(const struct pst_policy *p)
{
	return p->lists.any_name;
}

bool
pst_policy_sender_none(const struct pst_policy *p)
{
	return p->sender_none;
}

bool
pst_policy_sender_required(const struct pst_policy *p)
{
	return p->sender_required;
}

bool
pst_policy_tls_first(const struct pst_policy *p, unsigned client_listed)
{
	return p->inbound == PST_LEVEL_ENCRYPT && (client_listed & PST_LISTED_NEVER) == 0;
}

/* ---- answers ---- */

static void
refuse(struct pst_verdict *v, unsigned code, const char *enh, const char *text, const char *reason)
{
	v->kind = PST_VERDICT_REFUSE;
	v->code = code;
	v->enh = enh;
	v->text = text;
	v->reason = reason;
}

/* RFC 3207 4: "530 Must issue a STARTTLS command first" */
static void
refuse_clear(struct pst_verdict *v)
{
	refuse(v, 530, "5.7.0", "Must issue a STARTTLS command first", "tls_required");
}

static void
refuse_conflict(struct pst_verdict *v)
{
	refuse(v, 451, "4.7.5", "policy conflict", "policy_conflict");
}

/* RFC 3463 3.8, X.7.1: "Delivery not authorized, message refused" */
static void
refuse_relay(struct pst_verdict *v)
{
	refuse(v, 550, "5.7.1", "Relaying denied", "relay_denied");
}

static void
verdict_init(const struct pst_policy *p, struct pst_verdict *v)
{
	*v = (struct pst_verdict){.kind = PST_VERDICT_ROUTE,
		.rule = -1,
		.rule_id = "default",
		.sender = p->default_sender,
		.recipient = p->default_recipient,
		.want = {.entry = -1, .next_hop = -1}};
}

bool
pst_verdict_same(const struct pst_verdict *a, const struct pst_verdict *b)
{
	const struct pst_want *x = &a->want, *y = &b->want;

	return a->kind == b->kind && a->next_hop == b->next_hop && x->mandatory == y->mandatory &&
	       x->optional == y->optional && x->gap == y->gap && x->exempt == y->exempt &&
	       x->entry == y->entry && x->next_hop == y->next_hop;
}

/* ---- the sender's leg ---- */

static void
tell_rule(struct policy_leg *leg, const struct policy_rules *r, const struct pst_verdict *v,
	const char *stance)
{
	char text[PST_RULE_MAX + 1];

	if (leg->trace == NULL)
		return;
	policy_rule_text(r, (uint32_t)v->rule, text, sizeof(text));
	policy_leg_tell(leg, "rule", stance, "rule %s: %s", v->rule_id, text);
}

static void
ask_sender_rule(const struct pst_policy *p, const struct pst_verdict *v, struct policy_leg *leg)
{
	const char *stance;

	if (v->rule < 0)
		return;
	switch ((enum pst_sender_policy)p->rules.rule[v->rule].sender) {
	case PST_SENDER_REQUIRED:
		stance = policy_leg_speak(leg, PST_LEVEL_ENCRYPT);
		break;
	case PST_SENDER_NONE:
		stance = policy_leg_speak(leg, PST_LEVEL_NONE);
		break;
	case PST_SENDER_OPTIONAL:
		stance = policy_leg_speak(leg, PST_LEVEL_MAY);
		break;
	default:
		return; /* silent about this leg */
	}
	tell_rule(leg, &p->rules, v, stance);
}

static void
tell_sender_gap(const struct pst_policy *p, struct policy_leg *leg)
{
	if (!policy_leg_silent(leg))
		return;
	policy_leg_tell(leg, "default_rule", "gap", "%s", pst_sender_name(p->default_sender));
	if (p->inbound != PST_LEVEL_UNSET)
		policy_leg_tell(leg, "global", "gap", "inbound %s", pst_level_name(p->inbound));
}

static void
ask_sender(const struct pst_policy *p, const struct pst_facts *f, struct pst_verdict *v,
	struct pst_policy_trace *trace)
{
	struct policy_leg leg = {.name = "sender", .trace = trace};
	char client[PST_IP_STRLEN] = "";
	enum pst_level level;
	bool conflict;

	leg.want.gap = (uint8_t)p->sender_gap;
	if (trace != NULL)
		pst_ip_str(&f->client, client);
	if (f->client_listed != 0)
		policy_leg_lists(&leg, f->client_listed, "the client", pst_span_str(client));
	ask_sender_rule(p, v, &leg);
	tell_sender_gap(p, &leg);
	level = policy_leg_level(&leg, &conflict);
	/* Over TLS a demand is met, and an exemption asks nothing of what is there already. */
	conflict = conflict && !f->client_tls;
	policy_leg_tell(&leg, "result", policy_leg_result(&leg, conflict), "%s, client in %s",
		pst_level_name(level), f->client_tls ? "TLS" : "clear");
	if (conflict)
		refuse_conflict(v);
	else if (level >= PST_LEVEL_ENCRYPT && !f->client_tls)
		refuse_clear(v);
}

static void
find_senders(const struct pst_policy *p, const struct pst_facts *f, struct policy_chain *out)
{
	struct policy_query q;
	bool named = policy_query_set(&q, f->sender_domain, p->labels);

	policy_chain_find(&p->rules.from, named ? &q : NULL, f->sender_domain.n == 0, out);
}

/* R7: the sender stays unsaid where a rule that could still match demands TLS for it. */
void
pst_policy_mail(const struct pst_policy *p, const struct pst_facts *f, struct pst_verdict *v,
	struct pst_policy_trace *trace)
{
	struct policy_chain from;
	bool asked;

	verdict_init(p, v);
	if (!p->tls_before_mail || f->client_tls || (f->client_listed & PST_LISTED_NEVER) != 0)
		return;
	find_senders(p, f, &from);
	asked = from.n > 0 ? p->rules.from.nodes[from.node[0]].asked : p->rules.asked_by_default;
	if (!asked && (f->client_listed & PST_LISTED_REQUIRED) == 0)
		return;
	if (trace != NULL)
		policy_trace(trace, "sender", asked ? "rule" : "required_list", "mandatory",
			"tls_before_mail: TLS may be demanded of this sender");
	refuse_clear(v);
}

/* ---- the next hop's leg ---- */

/* Allowed does what the sender did; plain, but not as an exemption: a demand may overrule it. */
static const char *
speak_allowed(struct policy_leg *leg, bool client_tls)
{
	if (client_tls)
		return policy_leg_speak(leg, PST_LEVEL_ENCRYPT);
	if (leg->want.optional == PST_LEVEL_UNSET)
		leg->want.optional = PST_LEVEL_NONE;
	return "optional";
}

static void
ask_recipient_rule(const struct pst_policy *p, const struct pst_facts *f,
	const struct pst_verdict *v, struct policy_leg *leg)
{
	const char *stance;

	if (v->rule < 0)
		return;
	switch ((enum pst_recipient_policy)p->rules.rule[v->rule].recipient) {
	case PST_RECIPIENT_REQUIRED:
		stance = policy_leg_speak(leg, PST_LEVEL_ENCRYPT);
		break;
	case PST_RECIPIENT_NONE:
		stance = policy_leg_speak(leg, PST_LEVEL_NONE);
		break;
	case PST_RECIPIENT_PREFERRED:
		stance = policy_leg_speak(leg, PST_LEVEL_MAY);
		break;
	case PST_RECIPIENT_ALLOWED:
		stance = speak_allowed(leg, f->client_tls);
		break;
	default:
		return;
	}
	tell_rule(leg, &p->rules, v, stance);
}

static enum pst_level
recipient_gap(const struct pst_policy *p, bool client_tls)
{
	enum pst_level l = PST_LEVEL_NONE;

	if (p->default_recipient == PST_RECIPIENT_REQUIRED ||
		(p->default_recipient == PST_RECIPIENT_ALLOWED && client_tls))
		l = PST_LEVEL_ENCRYPT;
	if (p->default_recipient == PST_RECIPIENT_PREFERRED)
		l = PST_LEVEL_MAY;
	return PST_MAX(l, p->outbound);
}

static void
ask_map(const struct pst_policy *p, struct policy_leg *leg, int32_t entry)
{
	const struct policy_entry *e = &p->map.entry[entry];
	const char *stance = policy_leg_speak(leg, e->word.level);

	leg->want.entry = entry;
	policy_leg_tell(leg, "map", stance, "%s %s", e->destination, pst_level_name(e->word.level));
}

static void
ask_next_hop(const struct pst_policy *p, struct policy_leg *leg, unsigned hop)
{
	const struct policy_hop *h = &p->hops[hop];
	const char *stance;

	if (h->no_tls) {
		stance = policy_leg_speak(leg, PST_LEVEL_NONE);
		policy_leg_tell(leg, "next_hop", stance, "%s: no TLS", h->name);
	}
	if (h->word.level == PST_LEVEL_UNSET)
		return;
	stance = policy_leg_speak(leg, h->word.level);
	if (h->word.level >= PST_LEVEL_ENCRYPT)
		leg->want.next_hop = (int32_t)hop;
	policy_leg_tell(leg, "next_hop", stance, "%s: %s", h->name, pst_level_name(h->word.level));
}

static void
ask_recipient(const struct pst_policy *p, const struct pst_facts *f, struct pst_verdict *v,
	const struct policy_query *to, struct pst_policy_trace *trace)
{
	const struct policy_hop *hop = &p->hops[v->next_hop];
	struct policy_leg leg = {.name = "recipient",
		.always_tls = hop->implicit,
		.trace = trace,
		.want = {.entry = -1, .next_hop = -1}};
	bool conflict;

	leg.want.gap = (uint8_t)recipient_gap(p, f->client_tls);
	if (to != NULL && p->lists.any_name)
		policy_leg_lists(
			&leg, policy_lists_name(&p->lists, to), "the domain", f->recipient_domain);
	ask_recipient_rule(p, f, v, &leg);
	if (v->want.entry >= 0)
		ask_map(p, &leg, v->want.entry);
	ask_next_hop(p, &leg, v->next_hop);
	v->want = leg.want;
	policy_leg_level(&leg, &conflict);
	if (!conflict)
		return;
	policy_leg_tell(&leg, "result", "conflict", "an exemption and a demand");
	if (v->kind == PST_VERDICT_ROUTE)
		refuse_conflict(v);
}

/* from, to: NULL: nobody but "any" and, for a sender, "<>" */
static void
find_rule(const struct pst_policy *p, const struct pst_facts *f, const struct policy_query *from,
	const struct policy_query *to, struct pst_verdict *v)
{
	struct policy_chain senders, recipients;
	const struct policy_rule *r;
	uint32_t rule;

	policy_chain_find(&p->rules.to, to, false, &recipients);
	policy_chain_find(&p->rules.from, from, f->sender_domain.n == 0, &senders);
	rule = policy_rules_find(&p->rules, &senders, &recipients);
	if (rule == POLICY_NO_RULE)
		return;
	r = &p->rules.rule[rule];
	v->rule = (int)rule;
	v->rule_id = policy_rule_id(&p->rules, rule);
	if (r->sender != PST_SENDER_UNSET)
		v->sender = (enum pst_sender_policy)r->sender;
	if (r->recipient != PST_RECIPIENT_UNSET)
		v->recipient = (enum pst_recipient_policy)r->recipient;
}

/* The map's word for the domain whose MX is asked. */
static int32_t
find_entry(const struct pst_policy *p, unsigned next_hop, const struct policy_query *to)
{
	const struct policy_hop *hop = &p->hops[next_hop];
	int32_t entry = hop->mx ? hop->entry : -1;

	if (hop->mx && hop->mx_domain == NULL && to != NULL)
		entry = policy_map_domain(p, to, hop->port);
	if (entry >= 0)
		__builtin_prefetch(&p->map.entry[entry]);
	return entry;
}

/*
 * Large tables are far away: what the recipient needs comes while the sender is looked at, and
 * the map's entry while the rule is searched.
 */
void
pst_policy_rcpt(const struct pst_policy *p, const struct pst_facts *f, struct pst_verdict *v,
	struct pst_policy_trace *trace)
{
	struct policy_query to, from;
	bool has_to = policy_query_set(&to, f->recipient_domain, p->labels), has_from;
	int64_t route;

	verdict_init(p, v);
	if (has_to) {
		policy_names_expect(&p->map.domains, &to);
		policy_names_expect(&p->rules.to.names, &to);
		policy_names_expect(&p->routes, &to);
	}
	if ((has_from = policy_query_set(&from, f->sender_domain, p->labels)))
		policy_names_expect(&p->rules.from.names, &from);
	if (has_to) {
		policy_names_expect_more(&p->map.domains, &to);
		policy_names_expect_more(&p->rules.to.names, &to);
	}
	route = policy_route_find(p, has_to ? &to : NULL);
	if (route >= 0) {
		v->route = (unsigned)route;
		v->next_hop = p->route_hop[route];
		v->want.entry = find_entry(p, v->next_hop, has_to ? &to : NULL);
	}
	find_rule(p, f, has_from ? &from : NULL, has_to ? &to : NULL, v);
	if (route < 0) {
		refuse_relay(v);
		return;
	}
	ask_sender(p, f, v, trace);
	ask_recipient(p, f, v, has_to ? &to : NULL, trace);
}
