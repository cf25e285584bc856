/* SPDX-License-Identifier: BSD-3-Clause */
#include "policy_test.h"
#include <stdlib.h>

#define HOPS 400
static const struct pst_policy_next_hop hops[HOPS] = {[0 ... HOPS - 1] = {.name = "x"}};

static struct pst_policy *
try(const struct pst_policy_route *routes, unsigned n, struct policy_faults *faults)
{
	return policy_try(
		&(struct pst_policy_conf){
			.nroutes = n, .routes = routes, .nnext_hops = HOPS, .next_hops = hops},
		faults);
}

static struct pst_policy *
compile(const struct pst_policy_route *routes, unsigned n)
{
	struct policy_faults faults;
	struct pst_policy *p = try(routes, n, &faults);

	cr_assert_not_null(p, "%s", faults.text);
	return p;
}

/* The route's index, -1 if refused. */
static int
ask(const struct pst_policy *p, const char *domain, size_t n)
{
	struct pst_facts f = {.recipient_domain = pst_span(domain, n)};
	struct pst_verdict v;

	memset(&v, 0xa5, sizeof(v));
	pst_policy_rcpt(p, &f, &v, NULL);
	if (v.kind == PST_VERDICT_REFUSE) {
		cr_expect_eq(v.code, 550);
		cr_expect_str_eq(v.enh, "5.7.1");
		cr_expect_str_eq(v.text, "Relaying denied");
		return -1;
	}
	cr_expect_eq(v.kind, PST_VERDICT_ROUTE);
	cr_expect_eq(v.next_hop, v.route + 100);
	return (int)v.route;
}

static const struct pst_policy_route table[] = {
	{"example.com", 100},
	{"*.example.com", 101},
	{"*.deep.example.com", 102},
	{"Upper.Example.ORG.", 103},
	{"[192.0.2.1]", 104},
	{"[IPv6:2001:db8:0::1]", 105},
	{"com", 106},
	{"*.b\xc3\xbc"
	 "cher.example",
		107},
	{"_x.example", 108},
};

struct question {
	const char *domain;
	int with, without; /* a "*" route at the end */
};

#define ANY 9

static const struct question questions[] = {
	{"example.com", 0, 0},
	{"EXAMPLE.com", 0, 0},
	{"example.com.", 0, 0},
	{"a.example.com", 1, 1},
	{"a.b.example.com", 1, 1},
	{"deep.example.com", 1, 1},
	{"x.deep.example.com", 2, 2},
	{"X.y.Deep.Example.Com.", 2, 2},
	{"notexample.com", ANY, -1},
	{"example.com.evil", ANY, -1},
	{"upper.example.org", 3, 3},
	{"a.upper.example.org", ANY, -1},
	{"example.org", ANY, -1},
	{"[192.0.2.1]", 4, 4},
	{"[192.0.2.2]", ANY, -1},
	{"192.0.2.1", ANY, -1},
	{"[IPv6:2001:db8::1]", 5, 5},
	{"[ipv6:2001:0DB8:0:0::0001]", 5, 5},
	{"[IPv6:2001:db8::2]", ANY, -1},
	{"com", 6, 6},
	{"org", ANY, -1},
	{"b\xc3\xbc"
	 "cher.example",
		ANY, -1},
	{"a.b\xc3\xbc"
	 "cher.example",
		7, 7},
	{"a.B\xc3\x9c"
	 "CHER.example",
		7, 7},
	{"a.bu\xcc\x88"
	 "cher.example",
		7, 7},
	{"a.xn--bcher-kva.example", 7, 7},
	{"A.XN--BCHER-KVA.EXAMPLE", 7, 7},
	{"_x.example", 8, 8},
	{"", ANY, -1},
	{".", ANY, -1},
	{"..", ANY, -1},
	{".example.com", ANY, -1},
	{"a..example.com", 1, 1},
	{"*.example.com", 1, 1},
	{"*", ANY, -1},
	{"[", ANY, -1},
	{"[]", ANY, -1},
	{"[.example.com]", ANY, -1},
};

Test(routes, the_exact_domain_wins_over_the_longest_parent_and_that_over_any)
{
	struct pst_policy_route all[ANY + 1];
	struct pst_policy *with, *without;

	memcpy(all, table, sizeof(table));
	all[ANY] = (struct pst_policy_route){"*", 100 + ANY};
	with = compile(all, ANY + 1);
	without = compile(table, ANY);
	for (unsigned i = 0; i < PST_COUNT(questions); i++) {
		const struct question *q = &questions[i];

		cr_expect_eq(ask(with, q->domain, strlen(q->domain)), q->with, "%s: %d", q->domain,
			ask(with, q->domain, strlen(q->domain)));
		cr_expect_eq(ask(without, q->domain, strlen(q->domain)), q->without, "%s: %d",
			q->domain, ask(without, q->domain, strlen(q->domain)));
	}
	pst_policy_free(with);
	pst_policy_free(without);
}

Test(routes, the_order_of_the_table_does_not_matter)
{
	struct pst_policy_route turned[ANY];
	struct pst_policy *p;

	for (unsigned i = 0; i < ANY; i++)
		turned[i] = (struct pst_policy_route){table[ANY - 1 - i].domain, 100 + i};
	p = compile(turned, ANY);
	for (unsigned i = 0; i < PST_COUNT(questions); i++) {
		int want = questions[i].without;

		cr_expect_eq(ask(p, questions[i].domain, strlen(questions[i].domain)),
			want < 0 ? -1 : ANY - 1 - want, "%s", questions[i].domain);
	}
	pst_policy_free(p);
}

Test(routes, no_routes_refuse_everything)
{
	struct pst_policy *p = compile(NULL, 0);

	cr_expect_eq(ask(p, "example.com", 11), -1);
	cr_expect_eq(ask(p, NULL, 0), -1);
	pst_policy_free(p);
	pst_policy_free(NULL);
}

struct fault {
	const char *first, *second; /* second NULL: one route */
	const char *text;
};

static const struct fault faults[] = {
	{"", NULL, "/routes/0/domain: an empty label\n"},
	{".", NULL, "/routes/0/domain: an empty label\n"},
	{"a..b", NULL, "/routes/0/domain: an empty label\n"},
	{".example.com", NULL, "/routes/0/domain: an empty label\n"},
	{"*.", NULL, "/routes/0/domain: an empty label\n"},
	{"**", NULL, "/routes/0/domain: \"*\" may stand alone or as the whole first label\n"},
	{"a*.example", NULL,
		"/routes/0/domain: \"*\" may stand alone or as the whole first label\n"},
	{"a.*.example", NULL,
		"/routes/0/domain: \"*\" may stand alone or as the whole first label\n"},
	{"*.*.example", NULL,
		"/routes/0/domain: \"*\" may stand alone or as the whole first label\n"},
	{"a b", NULL, "/routes/0/domain: a byte that no domain has\n"},
	{"user@example", NULL, "/routes/0/domain: a byte that no domain has\n"},
	{"a\nb", NULL, "/routes/0/domain: a byte that no domain has\n"},
	{"[192.0.2]", NULL, "/routes/0/domain: not an address\n"},
	{"[example]", NULL, "/routes/0/domain: not an address\n"},
	{"[", NULL, "/routes/0/domain: not an address\n"},
	{"*.[192.0.2.1]", NULL, "/routes/0/domain: an address has no subdomains\n"},
	{"example.com", "Example.COM.", "/routes/1/domain: the same domain as route 0\n"},
	{"*", "*", "/routes/1/domain: the same domain as route 0\n"},
	{"*.a.b", "*.A.b", "/routes/1/domain: the same domain as route 0\n"},
	{"[IPv6:2001:db8::1]", "[ipv6:2001:db8:0::1]",
		"/routes/1/domain: the same domain as route 0\n"},
};

Test(routes, a_malformed_or_repeated_domain_is_a_fault_that_names_it)
{
	for (unsigned i = 0; i < PST_COUNT(faults); i++) {
		struct pst_policy_route r[2] = {{faults[i].first, 1}, {faults[i].second, 2}};
		struct policy_faults got;

		cr_expect_null(try(r, faults[i].second != NULL ? 2 : 1, &got));
		cr_expect_str_eq(got.text, faults[i].text, "%s", got.text);
	}
}

Test(routes, a_route_to_no_next_hop_is_a_fault)
{
	struct pst_policy_route r = {"example.com", HOPS};
	struct policy_faults got;

	cr_expect_null(try(&r, 1, &got));
	cr_expect_str_eq(got.text, "/routes/0/next_hop: no such next hop\n");
}

Test(routes, lengths_at_and_over_the_limits)
{
	struct policy_faults got;
	char name[400];
	struct pst_policy_route r = {name, 100};
	struct pst_policy *p;

	memset(name, 'a', sizeof(name));
	name[63] = 0;
	p = compile(&r, 1);
	cr_expect_eq(ask(p, name, 63), 0);
	pst_policy_free(p);
	name[63] = 'a';
	name[64] = 0;
	cr_expect_null(try(&r, 1, &got));

	for (unsigned i = 1; i < 127; i++)
		name[2 * i - 1] = '.';
	memset(name, 'a', sizeof(name));
	for (unsigned i = 1; i < sizeof(name); i += 2)
		name[i] = '.';
	name[255] = 0;
	p = compile(&r, 1);
	cr_expect_eq(ask(p, name, 255), 0);
	cr_expect_eq(ask(p, name, 253), -1);
	pst_policy_free(p);
	name[255] = '.';
	name[257] = 0;
	cr_expect_null(try(&r, 1, &got));

	/* What a peer may send although it is too long for a domain. */
	r.domain = "*.a";
	p = compile(&r, 1);
	cr_expect_eq(ask(p, name, 255), 0);
	name[257] = '.';
	cr_expect_eq(ask(p, name, 399), -1);
	pst_policy_free(p);
}

/* Against a plain search through the table, on made-up domains of few labels. */
static int
slow(const struct pst_policy_route *t, unsigned n, const char *d)
{
	int best = -1;
	size_t best_len = 0;

	for (unsigned i = 0; i < n; i++) {
		const char *r = t[i].domain;
		size_t len = strlen(r), dn = strlen(d);

		if (strcmp(r, d) == 0)
			return (int)i;
		if (r[0] == '*' && len > 1 && dn > len - 1 &&
			strcmp(d + dn - (len - 1), r + 1) == 0 && len > best_len) {
			best = (int)i;
			best_len = len;
		}
	}
	return best;
}

Test(routes, agrees_with_a_plain_search_on_many_tables)
{
	static char names[300][32];
	struct pst_policy_route t[300];
	unsigned seed = 7, n, tried = 0;

	for (unsigned round = 0; round < 50; round++) {
		struct pst_policy *p;

		n = 0;
		while (n < 300 && tried++ < 100000) {
			char *s = names[n];
			bool twice = false;
			unsigned labels = 1 + (unsigned)rand_r(&seed) % 3;

			strcpy(s, (unsigned)rand_r(&seed) % 3 == 0 ? "*" : "a");
			s[0] = s[0] == '*' ? '*' : (char)('a' + rand_r(&seed) % 4);
			for (unsigned k = 0; k < labels; k++)
				sprintf(s + strlen(s), ".%c%c", 'a' + rand_r(&seed) % 3,
					'a' + rand_r(&seed) % 3);
			for (unsigned k = 0; k < n; k++)
				twice = twice || strcmp(names[k], s) == 0;
			if (!twice) {
				t[n] = (struct pst_policy_route){s, 100 + n};
				n++;
			}
		}
		p = compile(t, n);
		for (unsigned i = 0; i < 500; i++) {
			char d[64] = "";
			unsigned labels = 1 + (unsigned)rand_r(&seed) % 5;

			sprintf(d, "%c", 'a' + rand_r(&seed) % 4);
			for (unsigned k = 0; k < labels; k++)
				sprintf(d + strlen(d), ".%c%c", 'a' + rand_r(&seed) % 3,
					'a' + rand_r(&seed) % 3);
			cr_assert_eq(ask(p, d, strlen(d)), slow(t, n, d), "%s", d);
		}
		pst_policy_free(p);
	}
}
