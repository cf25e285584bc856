/* SPDX-License-Identifier: BSD-3-Clause */
/* The ordered rules: which one matches, against a walk through the list; limits; lint; R7. */
#include "policy_test.h"
#include <stdlib.h>

static const struct pst_policy_route any_route[] = {{"*", 0}};
static const struct pst_policy_next_hop one_hop[] = {{.name = "hop"}};

static struct pst_policy_conf
conf_of(const struct pst_policy_rule *rules, unsigned n)
{
	return (struct pst_policy_conf){.nroutes = 1,
		.routes = any_route,
		.nnext_hops = 1,
		.next_hops = one_hop,
		.nrules = n,
		.rules = rules};
}

static struct pst_policy *
compile(const struct pst_policy_rule *rules, unsigned n)
{
	struct pst_policy_conf c = conf_of(rules, n);

	return policy_must(&c);
}

static int
ask(const struct pst_policy *p, const char *from, const char *to)
{
	struct pst_facts f = {.client_tls = true,
		.sender_known = true,
		.sender_domain = pst_span_str(from),
		.recipient_domain = pst_span_str(to)};
	struct pst_verdict v;

	memset(&v, 0xa5, sizeof(v));
	pst_policy_rcpt(p, &f, &v, NULL);
	return v.rule;
}

#define R(id, from, to)                                                                            \
	{                                                                                          \
		id, from, to, PST_SENDER_OPTIONAL, PST_RECIPIENT_PREFERRED, true                   \
	}

static const struct pst_policy_rule table[] = {
	R("0", "a.example", "b.example"),
	R("1", "*.a.example", "b.example"),
	R("2", "<>", "b.example"),
	R("3", "[192.0.2.1]", "*"),
	R("4", "*", "[IPv6:2001:db8::1]"),
	{"5", "*", "b.example", PST_SENDER_OPTIONAL, PST_RECIPIENT_PREFERRED, false},
	R("6", "*", "*.b.example"),
	R("7", "*", "x.b.example"), /* taken by 6 */
	R("8", "<>", "*"),
	R("9", "*.d.c.example", "*"),
	R("10", "*.c.example", "*"),
	R("11", "\xc3\xa4.example", "*"),
};

static const struct {
	const char *from, *to;
	int rule;
} questions[] = {
	{"a.example", "b.example", 0}, {"A.EXAMPLE.", "B.Example", 0},
	{"x.a.example", "b.example", 1}, {"y.x.a.example", "b.example", 1}, {"", "b.example", 2},
	{"", "c.example", 8}, {"", "x.b.example", 6}, {"[192.0.2.1]", "b.example", 3},
	{"[192.0.2.2]", "b.example", -1}, {"z.example", "[ipv6:2001:DB8:0:0::1]", 4},
	{"z.example", "b.example", -1}, /* 5 is off */
	{"z.example", "x.b.example", 6}, {"z.example", "y.x.b.example", 6},
	{"x.c.example", "q", 10}, {"c.example", "q", -1}, {"x.d.c.example", "q", 9},
	{"d.c.example", "q", 10}, {"xn--4ca.example", "q", 11}, {"\xc3\x84.example", "q", 11},
	{"<>", "b.example", -1}, /* a domain of that name is not the null sender */
	{"*", "*", -1}, {"*.a.example", "b.example", 1}, /* a label "*" is a label */
	{".a.example", "b.example", -1}, {"a.example", "", -1},
	{"", "", 8}, /* postmaster matches "*" */
};

Test(rules, the_first_enabled_match_in_order_decides)
{
	struct pst_policy *p = compile(table, PST_COUNT(table));

	for (unsigned i = 0; i < PST_COUNT(questions); i++)
		cr_expect_eq(ask(p, questions[i].from, questions[i].to), questions[i].rule,
			"%s -> %s: %d, not %d", questions[i].from, questions[i].to,
			ask(p, questions[i].from, questions[i].to), questions[i].rule);
	pst_policy_free(p);
}

Test(rules, the_order_decides_between_the_special_and_the_general)
{
	struct pst_policy_rule r[] = {R("a", "*", "*"), R("b", "a.example", "b.example")};
	struct pst_policy *p = compile(r, 2);

	cr_expect_eq(ask(p, "a.example", "b.example"), 0);
	pst_policy_free(p);
	r[0] = (struct pst_policy_rule)R("b", "a.example", "b.example");
	r[1] = (struct pst_policy_rule)R("a", "*", "*");
	p = compile(r, 2);
	cr_expect_eq(ask(p, "a.example", "b.example"), 0);
	cr_expect_eq(ask(p, "a.example", "c.example"), 1);
	pst_policy_free(p);
}

/* ---- reference: the list as it is written ---- */

#define NAMES 60
#define RULES 40

struct world {
	unsigned seed;
	char pattern[2][RULES][40];
	char id[RULES][8];
	struct pst_policy_rule rules[RULES];
	unsigned n;
};

static unsigned
pick(struct world *w, unsigned n)
{
	return (unsigned)rand_r(&w->seed) % n;
}

/* Few labels of few letters, so that patterns nest and meet. */
static void
make_name(struct world *w, char *out)
{
	unsigned labels = 1 + pick(w, 4);
	size_t at = 0;

	for (unsigned i = 0; i < labels; i++)
		at += (size_t)sprintf(out + at, "%s%c", i > 0 ? "." : "", 'a' + (int)pick(w, 3));
}

static void
make_pattern(struct world *w, bool sender, char *out)
{
	unsigned kind = pick(w, 8);

	if (kind == 0)
		strcpy(out, "*");
	else if (kind == 1 && sender)
		strcpy(out, "<>");
	else if (kind < 5) {
		strcpy(out, "*.");
		make_name(w, out + 2);
	} else
		make_name(w, out);
}

static void
make_world(struct world *w, unsigned seed)
{
	w->seed = seed;
	w->n = 1 + pick(w, RULES);
	for (unsigned i = 0; i < w->n; i++) {
		make_pattern(w, true, w->pattern[0][i]);
		make_pattern(w, false, w->pattern[1][i]);
		sprintf(w->id[i], "r%u", i);
		w->rules[i] = (struct pst_policy_rule){.id = w->id[i],
			.from = w->pattern[0][i],
			.to = w->pattern[1][i],
			.sender = (enum pst_sender_policy)pick(w, 4),
			.recipient = (enum pst_recipient_policy)pick(w, 5),
			.enabled = pick(w, 5) > 0};
	}
}

static bool
matches(const char *pattern, const char *name, bool sender)
{
	size_t p = strlen(pattern), n = strlen(name);

	if (strcmp(pattern, "*") == 0)
		return true;
	if (strcmp(pattern, "<>") == 0)
		return sender && n == 0;
	if (strncmp(pattern, "*.", 2) != 0)
		return strcmp(pattern, name) == 0;
	return n > p - 1 && strcmp(name + n - (p - 1), pattern + 1) == 0;
}

static int
walk(const struct world *w, const char *from, const char *to)
{
	for (unsigned i = 0; i < w->n; i++)
		if (w->rules[i].enabled && matches(w->rules[i].from, from, true) &&
			matches(w->rules[i].to, to, false))
			return (int)i;
	return -1;
}

Test(rules, agrees_with_a_walk_through_the_list_on_3000_random_lists)
{
	static struct world w;
	char from[40], to[40];

	for (unsigned seed = 1; seed <= 3000; seed++) {
		struct pst_policy *p;

		make_world(&w, seed);
		p = compile(w.rules, w.n);
		for (unsigned i = 0; i < NAMES; i++) {
			make_name(&w, from);
			make_name(&w, to);
			if (pick(&w, 10) == 0)
				from[0] = 0;
			if (pick(&w, 10) == 0)
				to[0] = 0;
			cr_assert_eq(ask(p, from, to), walk(&w, from, to), "seed %u: %s -> %s",
				seed, from, to);
		}
		pst_policy_free(p);
	}
}

/* Every name that tells patterns of the world apart: all of up to four labels, and fresh ones. */
#define UNIVERSE 400
static unsigned
universe(char out[UNIVERSE][40])
{
	unsigned n = 0, from = 0, to;

	strcpy(out[n++], "");
	strcpy(out[n++], "q");
	for (int c = 'a'; c <= 'c'; c++)
		sprintf(out[n++], "%c", c);
	from = 2;
	for (unsigned depth = 2; depth <= 5; depth++) {
		to = n;
		for (unsigned i = from; i < to; i++)
			for (int c = 'a'; c <= (depth == 5 ? 'a' : 'c'); c++)
				if (n < UNIVERSE)
					sprintf(out[n++], "%c.%s", c, out[i]);
		from = to;
	}
	return n;
}

static bool
covers(const char *wide, const char *narrow)
{
	size_t w = strlen(wide), n = strlen(narrow);

	if (strcmp(wide, "*") == 0 || strcmp(wide, narrow) == 0)
		return true;
	if (strncmp(wide, "*.", 2) != 0 || strcmp(narrow, "<>") == 0)
		return false;
	return n > w - 1 && strcmp(narrow + n - (w - 1), wide + 1) == 0;
}

Test(rules, lint_names_exactly_the_rules_that_an_earlier_enabled_one_covers)
{
	static struct world w;

	for (unsigned seed = 1; seed <= 1000; seed++) {
		struct policy_faults got = {0}, want = {0};
		struct pst_policy *p;

		make_world(&w, seed);
		p = compile(w.rules, w.n);
		for (unsigned i = 0; i < w.n; i++)
			for (unsigned j = 0; j < i && w.rules[i].enabled; j++) {
				char text[100];

				if (!w.rules[j].enabled ||
					!covers(w.rules[j].from, w.rules[i].from) ||
					!covers(w.rules[j].to, w.rules[i].to))
					continue;
				sprintf(text, "unreachable: taken by %s", w.id[j]);
				policy_note_fault(&want, PST_POLICY_RULES, i, "", text);
				break;
			}
		cr_assert_eq(pst_policy_lint(p, policy_note_fault, &got), want.n, "seed %u: %s",
			seed, got.text);
		cr_assert_str_eq(got.text, want.text, "seed %u", seed);
		pst_policy_free(p);
	}
}

/* ---- R7 ---- */

/* May TLS be demanded of this sender for some recipient? By asking for each. */
static bool
could_be_asked(const struct world *w, const char *from, bool by_default, const char (*names)[40],
	unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		int rule = walk(w, from, names[i]);
		enum pst_sender_policy s = rule >= 0 ? w->rules[rule].sender : PST_SENDER_UNSET;

		if (s == PST_SENDER_REQUIRED || (s == PST_SENDER_UNSET && by_default))
			return true;
	}
	return false;
}

Test(rules, before_tls_mail_is_refused_for_exactly_the_senders_whom_a_rule_may_still_ask)
{
	static struct world w;
	static char names[UNIVERSE][40];
	unsigned n = universe(names), refused = 0, passed = 0;

	for (unsigned seed = 1; seed <= 400; seed++) {
		bool by_default = seed % 3 == 0;
		struct pst_policy_conf c;
		struct pst_policy *p;

		make_world(&w, seed);
		w.rules[0].enabled = true;
		w.rules[0].sender = PST_SENDER_REQUIRED; /* else R7 may not be chosen */
		c = conf_of(w.rules, w.n);
		c.tls_before_mail = true;
		if (by_default)
			c.default_sender = PST_SENDER_REQUIRED;
		p = policy_must(&c);
		for (unsigned i = 0; i < n; i += 3) {
			struct pst_facts f = {.sender_domain = pst_span_str(names[i])};
			bool want = could_be_asked(&w, names[i], by_default, names, n);
			struct pst_verdict v;

			pst_policy_mail(p, &f, &v, NULL);
			cr_assert_eq(
				v.kind == PST_VERDICT_REFUSE, want, "seed %u: %s", seed, names[i]);
			cr_assert_eq(v.code, want ? 530 : 0);
			refused += want;
			passed += !want;
			f.client_tls = true;
			pst_policy_mail(p, &f, &v, NULL);
			cr_assert_eq(v.kind, PST_VERDICT_ROUTE);
		}
		pst_policy_free(p);
	}
	cr_expect_gt(refused, 1000);
	cr_expect_gt(passed, 1000);
}

Test(rules, without_tls_before_mail_no_sender_is_refused_at_mail)
{
	const struct pst_policy_rule r[] = {
		{"a", "*", "*", PST_SENDER_REQUIRED, PST_RECIPIENT_UNSET, true}};
	struct pst_facts f = {.sender_domain = pst_span_str("a.example")};
	struct pst_policy *p = compile(r, 1);
	struct pst_verdict v;

	pst_policy_mail(p, &f, &v, NULL);
	cr_expect_eq(v.kind, PST_VERDICT_ROUTE);
	pst_policy_free(p);
}

Test(rules, tls_before_mail_knows_the_lists_of_clients)
{
	const struct pst_policy_rule r[] = {
		{"a", "bank.example", "*", PST_SENDER_REQUIRED, PST_RECIPIENT_UNSET, true}};
	struct pst_policy_conf c = conf_of(r, 1);
	static const struct {
		const char *sender;
		unsigned listed, code;
	} t[] = {
		{"bank.example", 0, 530},
		{"other.example", 0, 0},
		{"other.example", PST_LISTED_REQUIRED, 530},
		/* STARTTLS is not offered to it; at RCPT the conflict is told */
		{"bank.example", PST_LISTED_NEVER, 0},
	};
	struct pst_policy *p;

	c.tls_before_mail = true;
	p = policy_must(&c);
	for (unsigned i = 0; i < PST_COUNT(t); i++) {
		struct pst_facts f = {
			.sender_domain = pst_span_str(t[i].sender), .client_listed = t[i].listed};
		struct pst_policy_trace trace = {0};
		struct pst_verdict v;

		pst_policy_mail(p, &f, &v, &trace);
		cr_expect_eq(v.code, t[i].code, "%u", i);
		cr_expect_eq(trace.n, t[i].code != 0, "%u", i);
	}
	pst_policy_free(p);
}

/* ---- R5 ---- */

/* A pattern of exactly n bytes. */
static void
long_pattern(char *out, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		out[i] = i % 40 == 39 && i + 1 < n ? '.' : 'a';
	out[n] = 0;
}

Test(rules, a_line_of_200_bytes_passes_and_201_fails)
{
	char to[256], buf[400];
	const char *why;

	for (unsigned n = 200; n <= 201; n++) {
		struct pst_policy_rule r = {
			"a", "*", to, PST_SENDER_OPTIONAL, PST_RECIPIENT_PREFERRED, true};
		struct pst_policy_conf c = conf_of(&r, 1);

		long_pattern(to, n - (unsigned)strlen("*  optional preferred"));
		cr_expect_eq(pst_rule_format(&r, buf, sizeof(buf), &why), (int)n);
		cr_expect_eq(strlen(buf), n);
		if (n == 200)
			pst_policy_free(policy_must(&c));
		else
			policy_expect_fault(
				&c, "/rules/0: the rule has 201 bytes, 200 are allowed\n");
		r.enabled = false; /* being off does not make it shorter */
		if (n == 201)
			policy_expect_fault(
				&c, "/rules/0: the rule has 201 bytes, 200 are allowed\n");
	}
}

Test(rules, the_limit_counts_a_labels)
{
	char to[400] = "", buf[400];
	struct pst_policy_rule r = {
		"a", "*", to, PST_SENDER_OPTIONAL, PST_RECIPIENT_PREFERRED, true};
	const char *why;

	/* 2 bytes and a dot as UTF-8, 7 and a dot as A-label */
	for (unsigned i = 0; i < 22; i++)
		strcat(to, i > 0 ? ".\xc3\xbc" : "\xc3\xbc");
	cr_expect_eq(pst_rule_format(&r, buf, sizeof(buf), &why), 21 + 22 * 8 - 1);
	strcat(to, ".example");
	cr_expect_eq(pst_rule_format(&r, buf, sizeof(buf), &why), 21 + 22 * 8 + 7);
	struct pst_policy_conf c = conf_of(&r, 1);
	policy_expect_fault(&c, "/rules/0: the rule has 204 bytes, 200 are allowed\n");
}

static const struct {
	struct pst_policy_rule r;
	const char *line; /* or why not */
	bool ok;
} lines[] = {
	{{"a", "*", "Bank.Example.", PST_SENDER_REQUIRED, PST_RECIPIENT_UNSET, true},
		"* bank.example required -", true},
	{{"a", "<>",
		 "*.b\xc3\xbc"
		 "cher.example",
		 PST_SENDER_UNSET, PST_RECIPIENT_ALLOWED, false},
		"<> *.xn--bcher-kva.example - allowed", true},
	{{"a", "[IPv6:2001:DB8::0:1]", "*", PST_SENDER_NONE, PST_RECIPIENT_NONE, true},
		"[2001:db8::1] * none none", true},
	{{"a", "*", "<>", PST_SENDER_NONE, PST_RECIPIENT_NONE, true},
		"\"<>\" is a sender, never a recipient", false},
	{{"a", "", "*", PST_SENDER_NONE, PST_RECIPIENT_NONE, true}, "an empty label", false},
	{{"a", "a b", "*", PST_SENDER_NONE, PST_RECIPIENT_NONE, true}, "a byte that no domain has",
		false},
	{{"a", "*", "a.*", PST_SENDER_NONE, PST_RECIPIENT_NONE, true},
		"\"*\" may stand alone or as the whole first label", false},
	{{"a", "user@a.example", "*", PST_SENDER_NONE, PST_RECIPIENT_NONE, true},
		"a byte that no domain has", false},
	{{"a", NULL, "*", PST_SENDER_NONE, PST_RECIPIENT_NONE, true}, "missing", false},
};

Test(rules, a_rule_has_one_canonical_line)
{
	for (unsigned i = 0; i < PST_COUNT(lines); i++) {
		char buf[300] = "", clipped[8];
		const char *why = NULL;
		int n = pst_rule_format(&lines[i].r, buf, sizeof(buf), &why);

		cr_expect_eq(n >= 0, lines[i].ok, "%u", i);
		cr_expect_str_eq(lines[i].ok ? buf : why, lines[i].line, "%u: %s", i, buf);
		if (lines[i].ok) {
			cr_expect_eq((size_t)n, strlen(buf));
			cr_expect_eq(
				pst_rule_format(&lines[i].r, clipped, sizeof(clipped), &why), n);
			cr_expect_eq(strlen(clipped), 7);
		}
	}
}

/* ---- faults ---- */

Test(rules, faults_name_the_rule_and_its_member)
{
	const struct pst_policy_rule r[] = {
		R("a", "a..b", "*"),
		R("b", "*", "<>"),
		R("a", "*", "*"),
		R("", "*", "*"),
		R("default", "*", "*"),
		{"off", "*.*", "*", PST_SENDER_UNSET, PST_RECIPIENT_UNSET, false},
	};
	struct pst_policy_conf c = conf_of(r, PST_COUNT(r));

	policy_expect_fault(&c, "/rules/0/from: an empty label\n"
				"/rules/1/to: \"<>\" is a sender, never a recipient\n"
				"/rules/5/from: \"*\" may stand alone or as the whole first label\n"
				"/rules/2/id: the same id as rule 0\n"
				"/rules/3/id: not a name for a rule: empty or \"default\"\n"
				"/rules/4/id: not a name for a rule: empty or \"default\"\n");
}

Test(rules, at_most_100_faults_are_told)
{
	static struct pst_policy_rule r[150];
	static char ids[150][8];
	struct pst_policy_conf c = conf_of(r, 150);
	struct policy_faults f;

	for (unsigned i = 0; i < 150; i++) {
		sprintf(ids[i], "%u", i);
		r[i] = (struct pst_policy_rule)R(ids[i], "..", "*");
	}
	cr_expect_null(policy_try(&c, &f));
	cr_expect_eq(f.n, 100);
}

Test(rules, tls_before_mail_needs_somebody_who_requires_it)
{
	struct pst_policy_rule r = {"a", "*", "*", PST_SENDER_REQUIRED, PST_RECIPIENT_UNSET, false};
	struct pst_policy_conf c = conf_of(&r, 1);
	const char *text = "/whole/0/tls_before_mail: needs an enabled rule (or the default) that "
			   "requires sender encryption\n";

	c.tls_before_mail = true;
	policy_expect_fault(&c, text);
	r.enabled = true;
	pst_policy_free(policy_must(&c));
	r.sender = PST_SENDER_OPTIONAL;
	policy_expect_fault(&c, text);
	c.default_sender = PST_SENDER_REQUIRED;
	pst_policy_free(policy_must(&c));
}

/* ---- hostile names ---- */

Test(rules, a_hundred_nested_patterns_and_a_name_below_all_of_them)
{
	static char from[90][200], ids[90][8];
	static struct pst_policy_rule r[180];
	char name[256] = "";
	struct pst_policy *p;

	for (unsigned i = 0; i < 80; i++) {
		strcpy(from[i], "*");
		for (unsigned k = 0; k <= i; k++)
			strcat(from[i], ".a");
		sprintf(ids[i], "%u", i);
		/* the most special ones come last */
		r[i] = (struct pst_policy_rule)R(ids[i], from[i], "never.example");
	}
	r[80] = (struct pst_policy_rule)R("last", from[79], "*");
	p = compile(r, 81);
	for (unsigned k = 0; k < 127; k++)
		strcat(name, k > 0 ? ".a" : "a");
	cr_expect_eq(ask(p, name, "never.example"), 0);
	cr_expect_eq(ask(p, name, "b.example"), 80);
	cr_expect_eq(ask(p, name + 2 * (127 - 80), "b.example"), -1);
	pst_policy_free(p);
}
