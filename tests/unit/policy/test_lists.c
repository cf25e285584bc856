/* SPDX-License-Identifier: BSD-3-Clause */
/* The lists of who never (S10) and who always (S11) uses STARTTLS. */
#include "policy_test.h"
#include <stdlib.h>

#define NEVER    PST_LISTED_NEVER
#define REQUIRED PST_LISTED_REQUIRED

static const char *const never[] = {"192.0.2.7", "198.51.100.0/24", "2001:db8:1::/48",
	"MX.old.example.", "*.legacy.example", "[203.0.113.1]", "10.1.2.3/8", "\xc3\xbc.example"};
static const char *const required[] = {
	"198.51.100.128/25", ".bank.example", "bank.example", "2001:db8::7", "192.0.0.0/16"};

static const struct {
	const char *ip, *name;
	unsigned bits;
} asked[] = {
	{"192.0.2.7", "", NEVER | REQUIRED},
	{"192.0.2.8", "", REQUIRED},
	{"::ffff:192.0.2.7", "", NEVER | REQUIRED},
	{"192.1.2.7", "", 0},
	{"198.51.100.0", "", NEVER},
	{"198.51.100.127", "", NEVER},
	{"198.51.100.128", "", NEVER | REQUIRED},
	{"198.51.101.0", "", 0},
	{"10.255.255.255", "", NEVER}, /* host bits of a network do not matter */
	{"11.0.0.0", "", 0},
	{"203.0.113.1", "", NEVER},
	{"2001:db8:1:ffff::1", "", NEVER},
	{"2001:db8:2::1", "", 0},
	{"2001:db8::7", "", REQUIRED},
	{"::c000:207", "", 0}, /* the same last bytes are not the same address */
	{"9.9.9.9", "mx.OLD.example", NEVER},
	{"9.9.9.9", "a.mx.old.example", 0},
	{"9.9.9.9", "old.example", 0},
	{"9.9.9.9", "a.legacy.example.", NEVER},
	{"9.9.9.9", "b.a.legacy.example", NEVER},
	{"9.9.9.9", "legacy.example", 0},
	{"9.9.9.9", "alegacy.example", 0},
	{"9.9.9.9", "bank.example", REQUIRED},
	{"9.9.9.9", "a.bank.example", REQUIRED},
	{"9.9.9.9", "xn--tda.example", NEVER},
	{"9.9.9.9", ".bank.example", 0},
	{"9.9.9.9", "", 0},
	{"192.0.2.7", "bank.example", NEVER | REQUIRED},
};

static struct pst_policy *
compile(void)
{
	struct pst_policy_conf c = {
		.never = {PST_COUNT(never), never}, .required = {PST_COUNT(required), required}};

	return policy_must(&c);
}

Test(lists, addresses_networks_hosts_and_what_is_below_a_domain)
{
	struct pst_policy *p = compile();

	for (unsigned i = 0; i < PST_COUNT(asked); i++) {
		struct pst_ip ip;

		cr_assert_eq(pst_ip_parse(asked[i].ip, &ip), PST_OK);
		cr_expect_eq(pst_policy_client(p, &ip, pst_span_str(asked[i].name)), asked[i].bits,
			"%s %s", asked[i].ip, asked[i].name);
	}
	cr_expect(pst_policy_needs_client_name(p));
	pst_policy_free(p);
}

Test(lists, a_list_of_addresses_needs_no_name)
{
	struct pst_policy_conf c = {.never = {2, never}};
	struct pst_policy *p = policy_must(&c);

	cr_expect_not(pst_policy_needs_client_name(p));
	pst_policy_free(p);
}

Test(lists, everybody_of_a_family_is_a_network_of_length_0)
{
	static const char *const v4[] = {"0.0.0.0/0"}, *const v6[] = {"::/0"};
	struct pst_policy_conf c = {.never = {1, v4}, .required = {1, v6}};
	struct pst_policy *p = policy_must(&c);
	struct pst_ip ip;

	pst_ip_parse("192.0.2.1", &ip);
	cr_expect_eq(pst_policy_client(p, &ip, pst_span(NULL, 0)), NEVER);
	pst_ip_parse("2001:db8::1", &ip);
	cr_expect_eq(pst_policy_client(p, &ip, pst_span(NULL, 0)), REQUIRED);
	pst_policy_free(p);
}

static const struct {
	const char *entry, *fault;
} faults[] = {
	{"", "an empty label"},
	{"*", "\"*\" names everybody: that is what `inbound` and `outbound` are for"},
	{"*.", "an empty label"},
	{".", "an empty label"},
	{"a..b", "an empty label"},
	{"192.0.2.0/33", "not a network"},
	{"192.0.2.0/", "not a network"},
	{"/24", "not a network"},
	{"2001:db8::/129", "not a network"},
	{"mx.example/24", "not a network"},
	{"mx.example:25", "a byte that no domain has"},
	{"[mx.example]", "not an address"},
	{"*.[192.0.2.1]", "an address has no subdomains"},
	{"*.*.example", "\"*\" may stand alone or as the whole first label"},
};

Test(lists, malformed_entries_are_faults)
{
	for (unsigned i = 0; i < PST_COUNT(faults); i++) {
		const char *const e[] = {faults[i].entry};
		struct pst_policy_conf n = {.never = {1, e}}, r = {.required = {1, e}};
		char text[200];

		snprintf(text, sizeof(text), "/never/0: %s\n", faults[i].fault);
		policy_expect_fault(&n, text);
		snprintf(text, sizeof(text), "/required/0: %s\n", faults[i].fault);
		policy_expect_fault(&r, text);
	}
}

static const struct {
	const char *a, *b;
} equal[] = {
	{"192.0.2.1", "[192.0.2.1]"},
	{"192.0.2.1", "192.0.2.1/32"},
	{"192.0.2.1/24", "192.0.2.200/24"},
	{"2001:DB8::1", "2001:db8:0::1"},
	{"*.a.example", ".A.example."},
	{"a.example", "A.EXAMPLE"},
	{"\xc3\xbc.example", "xn--tda.example"},
};

Test(lists, the_same_entry_twice_or_in_both_lists_is_a_fault)
{
	for (unsigned i = 0; i < PST_COUNT(equal); i++) {
		const char *const e[] = {equal[i].a, equal[i].b};
		struct pst_policy_conf c = {.never = {2, e}};

		policy_expect_fault(&c, "/never/1: the same entry twice\n");
		c.never.n = 1;
		c.required = (struct pst_policy_list){1, e + 1};
		policy_expect_fault(&c, "/required/0: in both lists: never and required\n");
	}
}

Test(lists, an_entry_inside_the_other_lists_is_a_warning)
{
	struct policy_faults got = {0};
	struct pst_policy *p = compile();

	cr_expect_eq(pst_policy_lint(p, policy_note_fault, &got), 2);
	cr_expect_str_eq(got.text, "/never/0: inside an entry of the required list: a conflict\n"
				   "/required/0: inside an entry of the never list: a conflict\n");
	pst_policy_free(p);
}

/* ---- against a walk through the entries ---- */

static bool
covers(const char *entry, const struct pst_ip *ip)
{
	struct pst_prefix net;
	struct pst_ip one;

	if (pst_ip_parse(entry, &one) == PST_OK)
		return pst_ip_eq(&one, ip);
	return pst_prefix_parse(entry, &net) == PST_OK && pst_prefix_has(&net, ip);
}

Test(lists, agrees_with_a_walk_on_random_networks)
{
	static char text[2][20][64];
	const char *entries[2][20];
	unsigned seed = 3, hits = 0, tried = 0;

	for (unsigned round = 0; round < 300; round++) {
		struct pst_policy_conf c = {.never = {8, entries[0]}, .required = {8, entries[1]}};
		struct policy_faults f;
		struct pst_policy *p;

		for (unsigned l = 0; l < 2; l++)
			for (unsigned i = 0; i < 8; i++) {
				unsigned a = (unsigned)rand_r(&seed) % 4,
					 b = (unsigned)rand_r(&seed) % 256;

				entries[l][i] = text[l][i];
				if (i % 2 == 0)
					sprintf(text[l][i], "10.%u.%u.%u/%u", a, b, b / 2,
						15 + (unsigned)rand_r(&seed) % 18);
				else
					sprintf(text[l][i], "2001:db8:%x:%x::%x/%u", a, b, b,
						36 + (unsigned)rand_r(&seed) % 93);
			}
		if ((p = policy_try(&c, &f)) == NULL)
			continue; /* twice the same */
		tried++;
		for (unsigned i = 0; i < 200; i++) {
			unsigned a = (unsigned)rand_r(&seed) % 4, b = (unsigned)rand_r(&seed) % 256;
			unsigned want = 0;
			struct pst_ip ip;
			char q[64];

			if (i % 2 == 0)
				sprintf(q, "10.%u.%u.%u", a, b, b / 2);
			else
				sprintf(q, "2001:db8:%x:%x::%x", a, b, b);
			pst_ip_parse(q, &ip);
			for (unsigned l = 0; l < 2; l++)
				for (unsigned k = 0; k < 8; k++)
					if (covers(entries[l][k], &ip))
						want |= l == 0 ? NEVER : REQUIRED;
			cr_assert_eq(pst_policy_client(p, &ip, pst_span(NULL, 0)), want, "%s", q);
			hits += want != 0;
		}
		pst_policy_free(p);
	}
	cr_expect_gt(tried, 100);
	cr_expect_gt(hits, 1000);
}

/* ---- lint of the whole ---- */

static const struct {
	struct pst_policy_conf c;
	const char *text;
} whole[] = {
	{{.inbound = PST_LEVEL_MAY, .outbound = PST_LEVEL_MAY}, ""},
	{{.inbound = PST_LEVEL_ENCRYPT},
		"/whole/0/inbound: `encrypt` for all: not for a server that takes mail from the "
		"Internet, where not everybody has TLS\n"},
	{{.outbound = PST_LEVEL_ENCRYPT, .default_recipient = PST_RECIPIENT_NONE},
		"/whole/0/outbound: `encrypt` for all: mail to servers without TLS will not be "
		"delivered\n"
		"/whole/0/default_rule/recipient: `none` beside the stronger outbound `encrypt`, "
		"which wins\n"},
	{{.outbound = PST_LEVEL_NONE, .default_recipient = PST_RECIPIENT_NONE}, ""},
};

Test(lists, a_global_encrypt_is_warned_of)
{
	for (unsigned i = 0; i < PST_COUNT(whole); i++) {
		struct pst_policy *p = policy_must(&whole[i].c);
		struct policy_faults got = {0};

		cr_expect_eq(pst_policy_lint(p, policy_note_fault, &got), got.n);
		cr_expect_str_eq(got.text, whole[i].text, "%s", got.text);
		pst_policy_free(p);
	}
}

Test(lists, the_global_levels_are_few)
{
	struct pst_policy_conf c = {.inbound = PST_LEVEL_NONE, .outbound = PST_LEVEL_VERIFY};

	policy_expect_fault(&c, "/whole/0/inbound: may or encrypt\n"
				"/whole/0/outbound: none, may or encrypt\n");
}
