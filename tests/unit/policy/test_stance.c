/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Who must encrypt. The matrix as a table; then every combination of sources
 * against the rule of precedence written out as a count of stances.
 */
#include "policy_test.h"

static const struct pst_policy_route to_hop[] = {{"*", 0}};

struct answer {
	struct pst_verdict v;
	struct pst_demand d;
};

static const struct pst_ip client = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 50}};
static const struct pst_ip host_ip = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1}};

static void
ask(const struct pst_policy *p, bool tls, bool mx, struct answer *a, struct pst_policy_trace *trace)
{
	struct pst_facts f = {.client = client,
		.client_listed = pst_policy_client(p, &client, pst_span(NULL, 0)),
		.client_tls = tls,
		.sender_known = true,
		.sender_domain = pst_span_str("from.example"),
		.recipient_domain = pst_span_str("to.example")};
	struct pst_host_facts h = {
		.name = pst_span_str("mx.to.example"), .ip = host_ip, .port = 25};

	memset(a, 0xa5, sizeof(*a));
	pst_policy_rcpt(p, &f, &a->v, trace);
	if (mx)
		h.domain = f.recipient_domain;
	h.next_hop = a->v.next_hop;
	pst_policy_host(p, &a->v.want, &h, &a->d, trace);
}

/* ---- the matrix of senders and recipients ---- */

static const struct {
	enum pst_sender_policy sender;
	enum pst_recipient_policy recipient;
	bool tls;
	unsigned code; /* 0: goes on */
	enum pst_level level;
} matrix[] = {
	{PST_SENDER_REQUIRED, PST_RECIPIENT_NONE, false, 530, PST_LEVEL_NONE},
	{PST_SENDER_REQUIRED, PST_RECIPIENT_PREFERRED, false, 530, PST_LEVEL_MAY},
	{PST_SENDER_REQUIRED, PST_RECIPIENT_ALLOWED, false, 530, PST_LEVEL_NONE},
	{PST_SENDER_REQUIRED, PST_RECIPIENT_REQUIRED, false, 530, PST_LEVEL_ENCRYPT},
	{PST_SENDER_REQUIRED, PST_RECIPIENT_NONE, true, 0, PST_LEVEL_NONE},
	{PST_SENDER_REQUIRED, PST_RECIPIENT_PREFERRED, true, 0, PST_LEVEL_MAY},
	{PST_SENDER_REQUIRED, PST_RECIPIENT_ALLOWED, true, 0, PST_LEVEL_ENCRYPT},
	{PST_SENDER_REQUIRED, PST_RECIPIENT_REQUIRED, true, 0, PST_LEVEL_ENCRYPT},
	{PST_SENDER_NONE, PST_RECIPIENT_NONE, false, 0, PST_LEVEL_NONE},
	{PST_SENDER_NONE, PST_RECIPIENT_PREFERRED, false, 0, PST_LEVEL_MAY},
	{PST_SENDER_NONE, PST_RECIPIENT_ALLOWED, false, 0, PST_LEVEL_NONE},
	{PST_SENDER_NONE, PST_RECIPIENT_REQUIRED, false, 0, PST_LEVEL_ENCRYPT},
	{PST_SENDER_NONE, PST_RECIPIENT_NONE, true, 0, PST_LEVEL_NONE},
	{PST_SENDER_NONE, PST_RECIPIENT_PREFERRED, true, 0, PST_LEVEL_MAY},
	{PST_SENDER_NONE, PST_RECIPIENT_ALLOWED, true, 0, PST_LEVEL_ENCRYPT},
	{PST_SENDER_NONE, PST_RECIPIENT_REQUIRED, true, 0, PST_LEVEL_ENCRYPT},
	{PST_SENDER_OPTIONAL, PST_RECIPIENT_NONE, false, 0, PST_LEVEL_NONE},
	{PST_SENDER_OPTIONAL, PST_RECIPIENT_PREFERRED, false, 0, PST_LEVEL_MAY},
	{PST_SENDER_OPTIONAL, PST_RECIPIENT_ALLOWED, false, 0, PST_LEVEL_NONE},
	{PST_SENDER_OPTIONAL, PST_RECIPIENT_REQUIRED, false, 0, PST_LEVEL_ENCRYPT},
	{PST_SENDER_OPTIONAL, PST_RECIPIENT_NONE, true, 0, PST_LEVEL_NONE},
	{PST_SENDER_OPTIONAL, PST_RECIPIENT_PREFERRED, true, 0, PST_LEVEL_MAY},
	{PST_SENDER_OPTIONAL, PST_RECIPIENT_ALLOWED, true, 0, PST_LEVEL_ENCRYPT},
	{PST_SENDER_OPTIONAL, PST_RECIPIENT_REQUIRED, true, 0, PST_LEVEL_ENCRYPT},
};

/* by_default: the same words as the default rule, with no rule that matches. */
static void
check_matrix(unsigned i, bool by_default)
{
	const struct pst_policy_rule rule = {.id = "m",
		.from = "from.example",
		.to = "to.example",
		.sender = matrix[i].sender,
		.recipient = matrix[i].recipient,
		.enabled = !by_default};
	const struct pst_policy_next_hop hop = {.name = "hop"};
	struct pst_policy_conf c = {.nroutes = 1,
		.routes = to_hop,
		.nnext_hops = 1,
		.next_hops = &hop,
		.nrules = 1,
		.rules = &rule};
	struct pst_policy *p;
	struct answer a;

	if (by_default) {
		c.default_sender = matrix[i].sender;
		c.default_recipient = matrix[i].recipient;
	}
	p = policy_must(&c);
	ask(p, matrix[i].tls, false, &a, NULL);
	cr_expect_eq(a.v.kind == PST_VERDICT_REFUSE, matrix[i].code != 0, "%u", i);
	cr_expect_eq(a.v.code, matrix[i].code, "%u: %u", i, a.v.code);
	if (matrix[i].code == 530) {
		cr_expect_str_eq(a.v.enh, "5.7.0");
		cr_expect_str_eq(a.v.text, "Must issue a STARTTLS command first");
		cr_expect_str_eq(a.v.reason, "tls_required");
	}
	cr_expect_eq(a.d.level, matrix[i].level, "%u: %s", i, pst_level_name(a.d.level));
	cr_expect_not(a.d.conflict);
	cr_expect_eq(a.v.rule, by_default ? -1 : 0);
	cr_expect_str_eq(a.v.rule_id, by_default ? "default" : "m");
	cr_expect_eq(a.v.sender, matrix[i].sender);
	cr_expect_eq(a.v.recipient, matrix[i].recipient);
	pst_policy_free(p);
}

Test(stance, the_matrix_of_sender_recipient_and_channel)
{
	cr_assert_eq(PST_COUNT(matrix), 3 * 4 * 2);
	for (unsigned i = 0; i < PST_COUNT(matrix); i++) {
		check_matrix(i, false);
		check_matrix(i, true);
	}
}

/* ---- every combination of sources on the next hop's leg ---- */

enum say { SILENT, EXEMPT, OPTIONAL, PLAIN, DEMAND };

/* level: of a demand */
struct said {
	enum say say;
	enum pst_level level;
};

static const struct {
	const char *never, *required;
	struct said said;
} lists[] = {
	{NULL, NULL, {SILENT, 0}},
	{"192.0.2.0/29", NULL, {EXEMPT, 0}},
	{NULL, "192.0.2.1", {DEMAND, PST_LEVEL_ENCRYPT}},
	{"*.to.example", NULL, {EXEMPT, 0}},
	{NULL, "mx.to.example", {DEMAND, PST_LEVEL_ENCRYPT}},
	{"to.example", NULL, {EXEMPT, 0}}, /* the recipient's domain */
	{NULL, "*.example", {DEMAND, PST_LEVEL_ENCRYPT}},
};

static struct said
rule_says(enum pst_recipient_policy r, bool tls)
{
	switch (r) {
	case PST_RECIPIENT_REQUIRED:
		return (struct said){DEMAND, PST_LEVEL_ENCRYPT};
	case PST_RECIPIENT_NONE:
		return (struct said){EXEMPT, 0};
	case PST_RECIPIENT_PREFERRED:
		return (struct said){OPTIONAL, 0};
	case PST_RECIPIENT_ALLOWED:
		return tls ? (struct said){DEMAND, PST_LEVEL_ENCRYPT} : (struct said){PLAIN, 0};
	default:
		return (struct said){SILENT, 0};
	}
}

static struct said
level_says(enum pst_level l)
{
	if (l >= PST_LEVEL_ENCRYPT)
		return (struct said){DEMAND, l};
	return (struct said){l == PST_LEVEL_NONE  ? EXEMPT
			     : l == PST_LEVEL_MAY ? OPTIONAL
						  : SILENT,
		0};
}

struct combination {
	unsigned list, rule, map, hop, out, def;
	bool no_tls, implicit, mx, tls;
};

static void
expected(const struct combination *x, enum pst_level *level, bool *conflict)
{
	const struct said all[] = {lists[x->list].said,
		rule_says((enum pst_recipient_policy)x->rule, x->tls),
		level_says((enum pst_level)x->map), level_says((enum pst_level)x->hop),
		{x->no_tls ? EXEMPT : SILENT, 0}};
	unsigned n[DEMAND + 1] = {0};
	enum pst_level strongest = PST_LEVEL_UNSET, gap = PST_LEVEL_NONE;

	for (unsigned i = 0; i < PST_COUNT(all); i++) {
		if (all[i].say == EXEMPT && x->implicit)
			continue;
		n[all[i].say]++;
		strongest = PST_MAX(strongest, all[i].level);
	}
	if (x->def == PST_RECIPIENT_PREFERRED || x->def == PST_RECIPIENT_UNSET)
		gap = PST_LEVEL_MAY;
	if (x->def == PST_RECIPIENT_REQUIRED || (x->def == PST_RECIPIENT_ALLOWED && x->tls))
		gap = PST_LEVEL_ENCRYPT;
	gap = PST_MAX(gap, (enum pst_level)x->out);
	*conflict = n[EXEMPT] > 0 && n[DEMAND] > 0;
	*level = n[DEMAND] > 0     ? strongest
		 : n[EXEMPT] > 0   ? PST_LEVEL_NONE
		 : n[OPTIONAL] > 0 ? PST_LEVEL_MAY
		 : n[PLAIN] > 0    ? PST_LEVEL_NONE
				   : gap;
}

static const char *const digests[] = {
	"0011223344556677889900112233445566778899001122334455667788990011"};

static void
check_combination(const struct combination *x)
{
	const struct pst_policy_rule rule = {.id = "r",
		.from = "*",
		.to = "*.example",
		.recipient = (enum pst_recipient_policy)x->rule,
		.enabled = true};
	const struct pst_policy_rule to = {.id = "r",
		.from = "*",
		.to = "to.example",
		.recipient = (enum pst_recipient_policy)x->rule,
		.enabled = true};
	const struct pst_policy_entry entry = {
		.destination = x->mx ? "to.example" : "[mx.to.example]",
		.level = (enum pst_level)x->map,
		.nmatch = x->map == PST_LEVEL_FINGERPRINT,
		.match = digests};
	const struct pst_policy_next_hop hop = {.name = "hop",
		.mx = x->mx,
		.no_tls = x->no_tls,
		.implicit = x->implicit,
		.level = (enum pst_level)x->hop,
		.nmatch = x->hop == PST_LEVEL_FINGERPRINT,
		.match = digests};
	struct pst_policy_conf c = {.nroutes = 1,
		.routes = to_hop,
		.nnext_hops = 1,
		.next_hops = &hop,
		.nrules = 1,
		.rules = x->list % 2 == 0 ? &rule : &to,
		.default_recipient = (enum pst_recipient_policy)x->def,
		.outbound = (enum pst_level)x->out,
		.nentries = x->map != PST_LEVEL_UNSET,
		.entries = &entry,
		.never = {lists[x->list].never != NULL, &lists[x->list].never},
		.required = {lists[x->list].required != NULL, &lists[x->list].required}};
	struct pst_policy *p = policy_must(&c);
	struct pst_policy_trace trace = {0};
	enum pst_level level;
	struct answer a, told;
	bool conflict;

	expected(x, &level, &conflict);
	ask(p, x->tls, x->mx, &a, NULL);
	ask(p, x->tls, x->mx, &told, &trace);
	cr_assert(pst_verdict_same(&a.v, &told.v) && a.d.level == told.d.level &&
		  a.d.conflict == told.d.conflict);
	cr_assert_eq(a.d.conflict, conflict, "list %u rule %u map %u hop %u no_tls %d", x->list,
		x->rule, x->map, x->hop, x->no_tls);
	if (!conflict)
		cr_assert_eq(a.d.level, level,
			"list %u rule %u map %u hop %u def %u out %u: %s, %s", x->list, x->rule,
			x->map, x->hop, x->def, x->out, pst_level_name(a.d.level),
			pst_level_name(level));
	/* A refusal at RCPT is a conflict that the host confirms. */
	if (a.v.kind == PST_VERDICT_REFUSE) {
		cr_assert(conflict);
		cr_assert_eq(a.v.code, 451);
		cr_assert_str_eq(a.v.enh, "4.7.5");
		cr_assert_str_eq(a.v.reason, "policy_conflict");
	}
	cr_assert_eq(a.d.level >= PST_LEVEL_VERIFY && !conflict, a.d.nnames > 0 && !conflict);
	pst_policy_free(p);
}

/* The rules: `*.example` covers to.example; both spellings are used in turn. */
Test(stance, every_combination_of_sources_follows_the_order_of_precedence)
{
	unsigned n = 0;

	for (unsigned list = 0; list < PST_COUNT(lists); list++)
		for (unsigned rule = 0; rule <= PST_RECIPIENT_ALLOWED; rule++)
			for (unsigned map = 0; map < PST_LEVELS; map++)
				for (unsigned hop = 0; hop < PST_LEVELS; hop++)
					for (unsigned bits = 0; bits < 16; bits++) {
						struct combination x = {.list = list,
							.rule = rule,
							.map = map,
							.hop = hop,
							.no_tls = (bits & 3) == 1,
							.implicit = (bits & 3) == 2,
							.mx = bits & 4,
							.tls = bits & 8};

						check_combination(&x);
						n++;
					}
	cr_expect_eq(n, PST_COUNT(lists) * 5 * PST_LEVELS * PST_LEVELS * 16);
}

Test(stance, the_gap_is_filled_only_where_nobody_spoke)
{
	for (unsigned out = 0; out <= PST_LEVEL_ENCRYPT; out++)
		for (unsigned def = 0; def <= PST_RECIPIENT_ALLOWED; def++)
			for (unsigned source = 0; source < 7; source++)
				for (unsigned tls = 0; tls < 2; tls++) {
					struct combination x = {.out = out, .def = def, .tls = tls};

					x.list = source == 1;
					x.rule = source == 2   ? PST_RECIPIENT_ALLOWED
						 : source == 3 ? PST_RECIPIENT_PREFERRED
							       : 0;
					x.map = source == 4 ? PST_LEVEL_MAY : 0;
					x.hop = source == 5 ? PST_LEVEL_NONE : 0;
					x.implicit = source == 6;
					check_combination(&x);
				}
}

/* ---- the sender's leg ---- */

Test(stance, every_combination_of_sources_on_the_senders_leg)
{
	static const char *const entries[] = {"192.0.2.50"};
	const struct pst_policy_next_hop hop = {.name = "hop"};

	for (unsigned list = 0; list < 3; list++)
		for (unsigned rule = 0; rule <= PST_SENDER_OPTIONAL; rule++)
			for (unsigned def = 0; def <= PST_SENDER_OPTIONAL; def++)
				for (unsigned in = 0; in < 3; in++)
					for (unsigned tls = 0; tls < 2; tls++) {
						static const enum pst_level inbound[] = {
							PST_LEVEL_UNSET, PST_LEVEL_MAY,
							PST_LEVEL_ENCRYPT};
						const struct pst_policy_rule r = {.id = "r",
							.from = "from.example",
							.to = "*",
							.sender = (enum pst_sender_policy)rule,
							.enabled = true};
						struct pst_policy_conf c = {.nroutes = 1,
							.routes = to_hop,
							.nnext_hops = 1,
							.next_hops = &hop,
							.nrules = 1,
							.rules = &r,
							.default_sender =
								(enum pst_sender_policy)def,
							.inbound = inbound[in],
							.never = {list == 1, entries},
							.required = {list == 2, entries}};
						struct pst_policy *p = policy_must(&c);
						bool exempt = list == 1 || rule == PST_SENDER_NONE;
						bool demand =
							list == 2 || rule == PST_SENDER_REQUIRED;
						bool silent = !exempt && !demand &&
							      rule == PST_SENDER_UNSET;
						bool gap = def == PST_SENDER_REQUIRED || in == 2;
						unsigned code = tls                         ? 0
								: exempt && demand          ? 451
								: demand || (silent && gap) ? 530
											    : 0;
						struct answer a;

						ask(p, tls, false, &a, NULL);
						cr_assert_eq(a.v.code, code,
							"list %u rule %u def %u in %u tls %u: %u, "
							"not %u",
							list, rule, def, in, tls, a.v.code, code);
						cr_assert_eq(pst_policy_tls_first(p, 0), in == 2);
						cr_assert_eq(
							pst_policy_tls_first(p, PST_LISTED_NEVER),
							false);
						cr_assert_eq(pst_policy_tls_first(
								     p, PST_LISTED_REQUIRED),
							in == 2);
						pst_policy_free(p);
					}
}

static const struct {
	enum pst_sender_policy a, b; /* rules; b is disabled if off_b */
	bool off_b;
	enum pst_sender_policy def;
	enum pst_level inbound;
	bool none, required;
} sums[] = {
	{PST_SENDER_NONE, PST_SENDER_NONE, false, PST_SENDER_NONE, PST_LEVEL_UNSET, true, false},
	{PST_SENDER_NONE, PST_SENDER_UNSET, false, PST_SENDER_NONE, PST_LEVEL_UNSET, true, false},
	{PST_SENDER_NONE, PST_SENDER_OPTIONAL, false, PST_SENDER_NONE, PST_LEVEL_UNSET, false,
		false},
	{PST_SENDER_NONE, PST_SENDER_OPTIONAL, true, PST_SENDER_NONE, PST_LEVEL_UNSET, true, false},
	{PST_SENDER_NONE, PST_SENDER_NONE, false, PST_SENDER_UNSET, PST_LEVEL_UNSET, false, false},
	{PST_SENDER_NONE, PST_SENDER_NONE, false, PST_SENDER_NONE, PST_LEVEL_MAY, false, false},
	{PST_SENDER_NONE, PST_SENDER_NONE, false, PST_SENDER_NONE, PST_LEVEL_ENCRYPT, false, true},
	{PST_SENDER_REQUIRED, PST_SENDER_NONE, false, PST_SENDER_NONE, PST_LEVEL_UNSET, false,
		true},
	{PST_SENDER_NONE, PST_SENDER_REQUIRED, true, PST_SENDER_NONE, PST_LEVEL_UNSET, true, false},
	{PST_SENDER_OPTIONAL, PST_SENDER_NONE, false, PST_SENDER_REQUIRED, PST_LEVEL_UNSET, false,
		true},
};

Test(stance, what_all_rules_together_say_of_senders)
{
	for (unsigned i = 0; i < PST_COUNT(sums); i++) {
		const struct pst_policy_rule r[] = {
			{"a", "a.example", "*", sums[i].a, PST_RECIPIENT_UNSET, true},
			{"b", "b.example", "*", sums[i].b, PST_RECIPIENT_UNSET, !sums[i].off_b}};
		struct pst_policy_conf c = {.nrules = 2,
			.rules = r,
			.default_sender = sums[i].def,
			.inbound = sums[i].inbound};
		struct pst_policy *p = policy_must(&c);

		cr_expect_eq(pst_policy_sender_none(p), sums[i].none, "%u", i);
		cr_expect_eq(pst_policy_sender_required(p), sums[i].required, "%u", i);
		pst_policy_free(p);
	}
}

/* ---- classes ---- */

Test(stance, two_recipients_are_one_class_only_if_everything_said_of_them_is_equal)
{
	const struct pst_policy_rule r[] = {
		{"a", "*", "a.example", PST_SENDER_UNSET, PST_RECIPIENT_REQUIRED, true},
		{"b", "*", "b.example", PST_SENDER_UNSET, PST_RECIPIENT_REQUIRED, true},
		{"c", "*", "c.example", PST_SENDER_UNSET, PST_RECIPIENT_PREFERRED, true},
		{"d", "*", "d.example", PST_SENDER_UNSET, PST_RECIPIENT_NONE, true}};
	const struct pst_policy_entry e[] = {
		{.destination = "e.example", .level = PST_LEVEL_ENCRYPT}};
	const struct pst_policy_next_hop hops[] = {{.name = "mx", .mx = true}, {.name = "other"}};
	const struct pst_policy_route routes[] = {{"*", 0}, {"o.example", 1}};
	static const struct {
		const char *a, *b;
		bool same;
	} t[] = {
		{"a.example", "b.example", true}, /* two rules that say the same */
		{"a.example", "c.example", false},
		{"c.example", "d.example", false},
		{"a.example", "e.example", false}, /* whose names count differs */
		{"f.example", "g.example", true},
		{"f.example", "c.example", false}, /* a gap is no stance */
		{"f.example", "o.example", false},
	};
	struct pst_policy_conf c = {.nroutes = 2,
		.routes = routes,
		.nnext_hops = 2,
		.next_hops = hops,
		.nrules = 4,
		.rules = r,
		.nentries = 1,
		.entries = e};
	struct pst_policy *p = policy_must(&c);

	for (unsigned i = 0; i < PST_COUNT(t); i++) {
		struct pst_facts f = {.recipient_domain = pst_span_str(t[i].a)};
		struct pst_facts g = {.recipient_domain = pst_span_str(t[i].b)};
		struct pst_verdict x, y;

		pst_policy_rcpt(p, &f, &x, NULL);
		pst_policy_rcpt(p, &g, &y, NULL);
		cr_expect_eq(pst_verdict_same(&x, &y), t[i].same, "%u", i);
		cr_expect_eq(pst_verdict_same(&y, &x), t[i].same, "%u", i);
		cr_expect(pst_verdict_same(&x, &x));
	}
	pst_policy_free(p);
}

/* ---- trace ---- */

static void
trace_text(const struct pst_policy_trace *t, char *out)
{
	out[0] = 0;
	for (unsigned i = 0; i < t->n; i++)
		sprintf(out + strlen(out), "%s %s %s: %s\n", t->step[i].leg, t->step[i].source,
			t->step[i].stance, t->step[i].text);
}

Test(stance, the_trace_names_everyone_who_spoke_and_changes_nothing)
{
	static const char *const never[] = {"192.0.2.50", "mx.to.example"};
	static const char *const match[] = {"alternative.example", ".to.example"};
	const struct pst_policy_rule r = {
		"7", "*", "*.Example", PST_SENDER_OPTIONAL, PST_RECIPIENT_UNSET, true};
	const struct pst_policy_rule s = {
		"7", "*", "to.Example", PST_SENDER_OPTIONAL, PST_RECIPIENT_UNSET, true};
	const struct pst_policy_entry e = {.destination = "[mx.to.example]",
		.level = PST_LEVEL_VERIFY,
		.nmatch = 2,
		.match = match};
	const struct pst_policy_next_hop hop = {.name = "hop", .level = PST_LEVEL_ENCRYPT};
	struct pst_policy_conf c = {.nroutes = 1,
		.routes = to_hop,
		.nnext_hops = 1,
		.next_hops = &hop,
		.nrules = 1,
		.rules = &r,
		.nentries = 1,
		.entries = &e,
		.outbound = PST_LEVEL_ENCRYPT};
	struct pst_policy_trace trace = {0};
	struct pst_policy *p = policy_must(&c);
	struct answer a, b;
	char text[2000];

	ask(p, false, false, &a, NULL);
	ask(p, false, false, &b, &trace);
	cr_expect(pst_verdict_same(&a.v, &b.v));
	cr_expect_eq(a.d.level, b.d.level);
	trace_text(&trace, text);
	cr_expect_str_eq(text,
		"sender rule optional: rule 7: * *.example optional -\n"
		"sender result optional: may, client in clear\n"
		"recipient next_hop mandatory: hop: encrypt\n"
		"recipient map mandatory: [mx.to.example] verify\n"
		"recipient result mandatory: verify, match alternative.example, "
		".to.example\n",
		"%s", text);
	pst_policy_free(p);

	c.rules = &s;
	c.nentries = 0;
	c.never = (struct pst_policy_list){2, never};
	p = policy_must(&c);
	trace.n = 0;
	ask(p, false, false, &b, &trace);
	trace_text(&trace, text);
	cr_expect_str_eq(text,
		"sender whitelist exempt: the client 192.0.2.50\n"
		"sender rule optional: rule 7: * to.example optional -\n"
		"sender result exempt: none, client in clear\n"
		"recipient next_hop mandatory: hop: encrypt\n"
		"recipient whitelist exempt: the host mx.to.example\n"
		"recipient result conflict: an exemption and a demand\n",
		"%s", text);
	cr_expect(b.d.conflict);
	pst_policy_free(p);
}

Test(stance, the_trace_of_silence_shows_who_fills_the_gap)
{
	const struct pst_policy_next_hop hop = {.name = "hop"};
	struct pst_policy_conf c = {.nroutes = 1,
		.routes = to_hop,
		.nnext_hops = 1,
		.next_hops = &hop,
		.inbound = PST_LEVEL_MAY,
		.outbound = PST_LEVEL_ENCRYPT};
	struct pst_policy_trace trace = {0};
	struct pst_policy *p = policy_must(&c);
	struct answer a;
	char text[2000];

	ask(p, true, false, &a, &trace);
	trace_text(&trace, text);
	cr_expect_str_eq(text,
		"sender default_rule gap: optional\n"
		"sender global gap: inbound may\n"
		"sender result gap: may, client in TLS\n"
		"recipient default_rule gap: preferred\n"
		"recipient global gap: outbound encrypt\n"
		"recipient result gap: encrypt\n",
		"%s", text);
	/* A full trace stays full. */
	trace.n = PST_TRACE_MAX;
	ask(p, true, false, &a, &trace);
	cr_expect_eq(trace.n, PST_TRACE_MAX);
	pst_policy_free(p);
}

Test(stance, a_host_that_is_spoken_of_leaves_no_gap)
{
	static const char *const never[] = {"mx.to.example"};
	const struct pst_policy_next_hop hop = {.name = "hop"};
	struct pst_policy_conf c = {.nroutes = 1,
		.routes = to_hop,
		.nnext_hops = 1,
		.next_hops = &hop,
		.never = {.n = 1, .entries = never},
		.outbound = PST_LEVEL_ENCRYPT};
	struct pst_policy_trace trace = {0};
	struct pst_policy *p = policy_must(&c);
	struct answer a;
	char text[2000];

	ask(p, true, false, &a, &trace);
	trace_text(&trace, text);
	cr_expect_str_eq(text,
		"sender default_rule gap: optional\n"
		"sender result gap: may, client in TLS\n"
		"recipient whitelist exempt: the host mx.to.example\n"
		"recipient result exempt: none\n",
		"%s", text);
	pst_policy_free(p);
}
