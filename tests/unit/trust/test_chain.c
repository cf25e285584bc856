/* SPDX-License-Identifier: BSD-3-Clause */
/* What DNS says and what it means: chains without a network. */
#include "kit.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#define A    DNS_A
#define AAAA DNS_AAAA
#define MX   DNS_MX
#define PTR  DNS_PTR

struct row {
	const char *what;
	enum pst_names_kind kind;
	const char *key;
	struct said says[8];
	const char *told;
	uint32_t ttl;
};

static const struct row rows[] = {
	/* ---- a host ---- */
	{"both families", PST_NAMES_HOST, "H.example",
		{{"h.example", A, DNS_DATA, "192.0.2.1 192.0.2.2", 60},
			{"h.example", AAAA, DNS_DATA, "2001:db8::1", 50}},
		"FOUND 0 h.example 192.0.2.1, 0 h.example 2001:db8::1, 0 h.example 192.0.2.2", 50},
	{"no AAAA", PST_NAMES_HOST, "h.example",
		{{"h.example", A, DNS_DATA, "192.0.2.1", 60},
			{"h.example", AAAA, DNS_NODATA, "", 90}},
		"FOUND 0 h.example 192.0.2.1", 60},
	{"no A", PST_NAMES_HOST, "h.example",
		{{"h.example", A, DNS_NODATA, "", 10},
			{"h.example", AAAA, DNS_DATA, "2001:db8::1", 60}},
		"FOUND 0 h.example 2001:db8::1", 10},
	{"neither", PST_NAMES_HOST, "h.example",
		{{"h.example", A, DNS_NODATA, "", 400}, {"h.example", AAAA, DNS_NODATA, "", 400}},
		"NONE no address", 300},
	{"no such name", PST_NAMES_HOST, "h.example",
		{{"h.example", A, DNS_NXDOMAIN, "", 20}, {"h.example", AAAA, DNS_NXDOMAIN, "", 20}},
		"NONE NXDOMAIN", 20},
	{"one family fails, no address in the other: not NONE", PST_NAMES_HOST, "h.example",
		{{"h.example", A, DNS_NODATA, "", 20}, {"h.example", AAAA, DNS_FAILED, "SERVFAIL"}},
		"TEMPORARY SERVFAIL", 5},
	{"one family fails, an address in the other: asked again soon", PST_NAMES_HOST, "h.example",
		{{"h.example", A, DNS_DATA, "192.0.2.1", 60},
			{"h.example", AAAA, DNS_FAILED, "SERVFAIL"}},
		"FOUND 0 h.example 192.0.2.1", 5},
	{"bogus", PST_NAMES_HOST, "h.example",
		{{"h.example", A, DNS_FAILED, "bogus"}, {"h.example", AAAA, DNS_FAILED, "bogus"}},
		"TEMPORARY bogus", 5},
	{"nothing in time", PST_NAMES_HOST, "h.example", {{0}}, "TEMPORARY timed out", 5},
	{"half in time", PST_NAMES_HOST, "h.example", {{"h.example", A, DNS_DATA, "192.0.2.1", 60}},
		"FOUND 0 h.example 192.0.2.1", 5},
	{"half in time, without an address", PST_NAMES_HOST, "h.example",
		{{"h.example", A, DNS_NODATA, "", 60}}, "TEMPORARY timed out", 5},
	{"TTL 0 is a second", PST_NAMES_HOST, "h.example",
		{{"h.example", A, DNS_DATA, "192.0.2.1", 0},
			{"h.example", AAAA, DNS_NODATA, "", 0}},
		"FOUND 0 h.example 192.0.2.1", 1},
	{"TTL without end", PST_NAMES_HOST, "h.example",
		{{"h.example", A, DNS_DATA, "192.0.2.1", UINT32_MAX},
			{"h.example", AAAA, DNS_NODATA, "", UINT32_MAX}},
		"FOUND 0 h.example 192.0.2.1", 1000},
	{"addresses that no host has", PST_NAMES_HOST, "h.example",
		{{"h.example", A, DNS_DATA, "0.0.0.0 224.0.0.1 192.0.2.1 192.0.2.1", 60},
			{"h.example", AAAA, DNS_DATA, ":: ff02::1 ::ffff:192.0.2.9", 60}},
		"FOUND 0 h.example 192.0.2.1", 60},

	/* ---- MX ---- */
	{"by preference, not by arrival", PST_NAMES_MX, "d.example",
		{{"d.example", MX, DNS_DATA, "20:b.example 10:A.example", 60},
			{"a.example", A, DNS_DATA, "192.0.2.1", 60},
			{"a.example", AAAA, DNS_NODATA, "", 60},
			{"b.example", A, DNS_DATA, "192.0.2.2", 40},
			{"b.example", AAAA, DNS_NODATA, "", 60}},
		"FOUND 10 a.example 192.0.2.1, 20 b.example 192.0.2.2", 40},
	{"preferences are of 16 bits", PST_NAMES_MX, "d.example",
		{{"d.example", MX, DNS_DATA, "65535:b.example 256:a.example", 60},
			{"a.example", A, DNS_DATA, "192.0.2.1", 60},
			{"a.example", AAAA, DNS_NODATA, "", 60},
			{"b.example", A, DNS_DATA, "192.0.2.2", 60},
			{"b.example", AAAA, DNS_NODATA, "", 60}},
		"FOUND 256 a.example 192.0.2.1, 65535 b.example 192.0.2.2", 60},
	{"RFC 5321 5.1: without MX the domain is its own", PST_NAMES_MX, "d.example",
		{{"d.example", MX, DNS_NODATA, "", 30}, {"d.example", A, DNS_DATA, "192.0.2.1", 60},
			{"d.example", AAAA, DNS_DATA, "2001:db8::1", 60}},
		"FOUND 0 d.example 192.0.2.1, 0 d.example 2001:db8::1", 30},
	{"without MX and without address", PST_NAMES_MX, "d.example",
		{{"d.example", MX, DNS_NODATA, "", 30}, {"d.example", A, DNS_NODATA, "", 60},
			{"d.example", AAAA, DNS_NODATA, "", 60}},
		"NONE no address", 30},
	{"no such domain: A is not asked for", PST_NAMES_MX, "d.example",
		{{"d.example", MX, DNS_NXDOMAIN, "", 30},
			{"d.example", A, DNS_DATA, "192.0.2.1", 60},
			{"d.example", AAAA, DNS_NODATA, "", 60}},
		"NONE NXDOMAIN", 30},
	{"MX fails: A is not taken instead", PST_NAMES_MX, "d.example",
		{{"d.example", MX, DNS_FAILED, "SERVFAIL"},
			{"d.example", A, DNS_DATA, "192.0.2.1", 60},
			{"d.example", AAAA, DNS_NODATA, "", 60}},
		"TEMPORARY SERVFAIL", 5},
	{"RFC 7505: null MX", PST_NAMES_MX, "d.example", {{"d.example", MX, DNS_DATA, "0:.", 3600}},
		"NULL_MX null MX", 300},
	{"null MX of any preference", PST_NAMES_MX, "d.example",
		{{"d.example", MX, DNS_DATA, "7:.", 60}}, "NULL_MX null MX", 60},
	{"null MX beside another is none, and no host", PST_NAMES_MX, "d.example",
		{{"d.example", MX, DNS_DATA, "0:. 10:a.example", 60},
			{"a.example", A, DNS_DATA, "192.0.2.1", 60},
			{"a.example", AAAA, DNS_NODATA, "", 60}},
		"FOUND 10 a.example 192.0.2.1", 60},
	{"two null MX", PST_NAMES_MX, "d.example", {{"d.example", MX, DNS_DATA, "0:. 1:.", 60}},
		"NONE no usable MX", 60},
	{"hosts without address are left out", PST_NAMES_MX, "d.example",
		{{"d.example", MX, DNS_DATA, "10:a.example 20:b.example", 60},
			{"a.example", A, DNS_NXDOMAIN, "", 60},
			{"a.example", AAAA, DNS_NXDOMAIN, "", 60},
			{"b.example", A, DNS_DATA, "192.0.2.2", 60},
			{"b.example", AAAA, DNS_NODATA, "", 60}},
		"FOUND 20 b.example 192.0.2.2", 60},
	{"no host has an address: the domain's own is not taken", PST_NAMES_MX, "d.example",
		{{"d.example", MX, DNS_DATA, "10:a.example", 60},
			{"a.example", A, DNS_NODATA, "", 60},
			{"a.example", AAAA, DNS_NXDOMAIN, "", 60},
			{"d.example", A, DNS_DATA, "192.0.2.1", 60}},
		"NONE no address", 60},
	{"a host fails, another is there", PST_NAMES_MX, "d.example",
		{{"d.example", MX, DNS_DATA, "10:a.example 20:b.example", 60},
			{"a.example", A, DNS_FAILED, "SERVFAIL", 60},
			{"a.example", AAAA, DNS_FAILED, "SERVFAIL", 60},
			{"b.example", A, DNS_DATA, "192.0.2.2", 60},
			{"b.example", AAAA, DNS_NODATA, "", 60}},
		"FOUND 20 b.example 192.0.2.2", 5},
	{"a host fails, none is there", PST_NAMES_MX, "d.example",
		{{"d.example", MX, DNS_DATA, "10:a.example 20:b.example", 60},
			{"a.example", A, DNS_FAILED, "REFUSED", 60},
			{"a.example", AAAA, DNS_NODATA, "", 60},
			{"b.example", A, DNS_NODATA, "", 60},
			{"b.example", AAAA, DNS_NODATA, "", 60}},
		"TEMPORARY REFUSED", 5},
	{"a host twice has its best preference", PST_NAMES_MX, "d.example",
		{{"d.example", MX, DNS_DATA, "30:a.example 20:b.example 10:A.EXAMPLE", 60},
			{"a.example", A, DNS_DATA, "192.0.2.1", 60},
			{"a.example", AAAA, DNS_NODATA, "", 60},
			{"b.example", A, DNS_DATA, "192.0.2.2", 60},
			{"b.example", AAAA, DNS_NODATA, "", 60}},
		"FOUND 10 a.example 192.0.2.1, 20 b.example 192.0.2.2", 60},
	{"names that are none are dropped, the others stand", PST_NAMES_MX, "d.example",
		{{"d.example", MX, DNS_DATA,
			 "1:a\\013\\010b.example 2:a\\000b.example 3:a\\032b.example "
			 "4:a\\046b.example 10:ok.example",
			 60},
			{"ok.example", A, DNS_DATA, "192.0.2.1", 60},
			{"ok.example", AAAA, DNS_NODATA, "", 60}},
		"FOUND 10 ok.example 192.0.2.1", 60},
	{"all names are none: the domain's own is not taken", PST_NAMES_MX, "d.example",
		{{"d.example", MX, DNS_DATA, "1:a\\013\\010b.example", 60},
			{"d.example", A, DNS_DATA, "192.0.2.1", 60}},
		"NONE no usable MX", 60},

	/* ---- a client ---- */
	{"confirmed", PST_NAMES_CLIENT, "192.0.2.7",
		{{"7.2.0.192.in-addr.arpa", PTR, DNS_DATA, "Client.Example", 60},
			{"client.example", A, DNS_DATA, "192.0.2.6 192.0.2.7", 50}},
		"FOUND 0 client.example 192.0.2.7", 50},
	{"confirmed by IPv6", PST_NAMES_CLIENT, "2001:db8::7",
		{{"7.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa", PTR,
			 DNS_DATA, "client.example", 60},
			{"client.example", AAAA, DNS_DATA, "2001:db8::7", 60}},
		"FOUND 0 client.example 2001:db8::7", 60},
	{"somebody else's name", PST_NAMES_CLIENT, "192.0.2.7",
		{{"7.2.0.192.in-addr.arpa", PTR, DNS_DATA, "bank.example", 60},
			{"bank.example", A, DNS_DATA, "198.51.100.1", 60}},
		"NONE not confirmed", 60},
	{"a name that is not there", PST_NAMES_CLIENT, "192.0.2.7",
		{{"7.2.0.192.in-addr.arpa", PTR, DNS_DATA, "bank.example", 60},
			{"bank.example", A, DNS_NXDOMAIN, "", 60}},
		"NONE not confirmed", 60},
	{"a name that cannot be confirmed now", PST_NAMES_CLIENT, "192.0.2.7",
		{{"7.2.0.192.in-addr.arpa", PTR, DNS_DATA, "bank.example", 60},
			{"bank.example", A, DNS_FAILED, "SERVFAIL", 60}},
		"TEMPORARY SERVFAIL", 5},
	{"no PTR", PST_NAMES_CLIENT, "192.0.2.7",
		{{"7.2.0.192.in-addr.arpa", PTR, DNS_NXDOMAIN, "", 60}}, "NONE NXDOMAIN", 60},
	{"no PTR data", PST_NAMES_CLIENT, "192.0.2.7",
		{{"7.2.0.192.in-addr.arpa", PTR, DNS_NODATA, "", 60}}, "NONE no PTR", 60},
	{"T6: a PTR with CR and LF", PST_NAMES_CLIENT, "192.0.2.7",
		{{"7.2.0.192.in-addr.arpa", PTR, DNS_DATA, "x\\013\\010RCPT.example .", 60}},
		"NONE no usable PTR", 60},
	{"several names, in alphabetical order, those that are confirmed", PST_NAMES_CLIENT,
		"192.0.2.7",
		{{"7.2.0.192.in-addr.arpa", PTR, DNS_DATA,
			 "c.example a.example b.example c.example e.example d.example", 60},
			{"a.example", A, DNS_DATA, "192.0.2.7", 60},
			{"b.example", A, DNS_DATA, "192.0.2.8", 60},
			{"c.example", A, DNS_DATA, "192.0.2.7", 60},
			{"d.example", A, DNS_NODATA, "", 60},
			{"e.example", A, DNS_DATA, "192.0.2.7",
				60}}, /* the fifth is not asked for */
		"FOUND 0 a.example 192.0.2.7, 0 c.example 192.0.2.7", 60},
};

Test(chain, says_what_the_rfcs_say)
{
	for (size_t i = 0; i < PST_COUNT(rows); i++) {
		const struct row *r = &rows[i];
		struct said says[8];
		size_t n = 0;
		uint32_t ttl;

		while (n < 8 && r->says[n].name != NULL) {
			says[n] = r->says[n];
			n++;
		}
		struct pst_names_answer *a = play(r->kind, r->key, says, n, &ttl);

		cr_expect_str_eq(told(a), r->told, "%s: %s", r->what, told(a));
		cr_expect_eq(ttl, r->ttl, "%s: ttl %u", r->what, ttl);
		free(a);
	}
}

Test(chain, is_secure_only_if_every_reply_is)
{
	for (unsigned insecure = 0; insecure < 16; insecure++) {
		struct said says[] = {
			{"d.example", MX, DNS_DATA, "10:a.example", 60, !(insecure & 1)},
			{"a.example", A, DNS_DATA, "192.0.2.1", 60, !(insecure & 2)},
			{"a.example", AAAA, DNS_NODATA, "", 60, !(insecure & 4)},
		};
		/* In the last eight AAAA has no reply in time. */
		struct pst_names_answer *a =
			play(PST_NAMES_MX, "d.example", says, insecure & 8 ? 2 : 3, NULL);

		cr_expect_eq(a->status, PST_NAMES_FOUND);
		cr_expect_eq(a->secure, insecure == 0, "%u", insecure);
		free(a);
	}
}

Test(chain, takes_the_sixteen_best_of_many_mx)
{
	char values[1024] = "", *at = values;
	struct said says[33];
	static char names[16][16];
	struct pst_names_answer *a;

	/* 40 of them, the best come last; 24 have no rows and are not asked for. */
	for (int i = 39; i >= 0; i--)
		at += sprintf(at, "%d:h%d.example ", 100 + i, i);
	says[0] = (struct said){"d.example", MX, DNS_DATA, values, 60};
	for (unsigned i = 0; i < 16; i++) {
		snprintf(names[i], sizeof(names[i]), "h%u.example", i);
		says[1 + 2 * i] = (struct said){names[i], A, DNS_DATA, "192.0.2.1", 60};
		says[2 + 2 * i] = (struct said){names[i], AAAA, DNS_DATA, "2001:db8::1", 60};
	}
	a = PLAY(PST_NAMES_MX, "d.example", says, NULL);
	cr_assert_eq(a->n, 16);
	for (unsigned i = 0; i < 16; i++) {
		cr_expect_str_eq(a->e[i].name, names[i]);
		cr_expect_eq(a->e[i].preference, 100 + i);
	}
	free(a);
}

Test(chain, every_host_has_an_address_before_one_has_two)
{
	char many[1024] = "", *at = many;
	struct said says[] = {
		{"d.example", MX, DNS_DATA, "10:greedy.example 20:a.example 20:b.example", 60},
		{"greedy.example", A, DNS_DATA, many, 60},
		{"greedy.example", AAAA, DNS_DATA, "2001:db8::1", 60},
		{"a.example", A, DNS_DATA, "192.0.2.1", 60},
		{"a.example", AAAA, DNS_DATA, "2001:db8::2", 60},
		{"b.example", A, DNS_NODATA, "", 60},
		{"b.example", AAAA, DNS_DATA, "2001:db8::3", 60},
	};
	struct pst_names_answer *a;

	for (unsigned i = 1; i <= 40; i++)
		at += sprintf(at, "198.51.100.%u ", i);
	a = PLAY(PST_NAMES_MX, "d.example", says, NULL);
	cr_assert_eq(a->n, 16);
	for (unsigned i = 0; i < 13; i++)
		cr_expect_str_eq(a->e[i].name, "greedy.example");
	cr_expect(!pst_ip_is4(&a->e[1].ip), "families take turns");
	cr_expect_str_eq(a->e[13].name, "a.example");
	cr_expect_str_eq(a->e[14].name, "a.example");
	cr_expect_str_eq(a->e[15].name, "b.example");
	free(a);
}

Test(chain, a_client_is_found_at_the_end_of_a_long_list)
{
	char many[1024] = "", *at = many;
	struct said says[] = {
		{"7.2.0.192.in-addr.arpa", PTR, DNS_DATA, "pool.example", 60},
		{"pool.example", A, DNS_DATA, many, 60},
	};
	struct pst_names_answer *a;

	for (unsigned i = 1; i <= 40; i++)
		at += sprintf(at, "198.51.100.%u ", i);
	strcpy(at, "192.0.2.7");
	a = PLAY(PST_NAMES_CLIENT, "192.0.2.7", says, NULL);
	cr_expect_str_eq(told(a), "FOUND 0 pool.example 192.0.2.7");
	free(a);
}
