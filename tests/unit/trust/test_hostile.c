/* SPDX-License-Identifier: BSD-3-Clause */
/* Servers that lie, fail and overdo it. */
#include "kit.h"

#include <criterion/criterion.h>
#include <stdlib.h>

static const struct dnsd_rule zone[] = {
	/* T6, names that would be lines: nginx's CVE-2026-28753 came by a PTR. */
	{"1.2.0.192.in-addr.arpa", "PTR", "x\\013\\010RCPT\\032TO:<a@b>.example"},
	{"2.2.0.192.in-addr.arpa", "PTR", "a\\000b.example client.example"},
	{"client.example", "A", "192.0.2.2"},
	{"3.2.0.192.in-addr.arpa", "PTR", "a\\046client.example"}, /* a dot within a label */
	{"lines.example", "MX", "10:mx\\013\\010QUIT.example 20:ok.example"},
	{"only.example", "MX", "10:mx\\010.example"},
	{"only.example", "A", "192.0.2.66"},
	{"ok.example", "A", "192.0.2.3"},
	/* More than a UDP message has, more than an answer has. */
	{"many.example", "MX", "%u:h%u.many.example", .times = 1500},
	{"*.many.example", "A", "192.0.2.4"},
	{"manyaddresses.example", "A", "10.1.%u.1 10.1.%u.2 10.1.%u.3 10.1.%u.4", .times = 250},
	{"9.2.0.192.in-addr.arpa", "PTR", "h%u.pool.example", .times = 1000},
	{"h0.pool.example", "A", "10.2.%u.1", .times = 250},
	{"*.pool.example", "A", "192.0.2.9"},
	/* Circles. */
	{"a.circle.example", "CNAME", "b.circle.example"},
	{"b.circle.example", "CNAME", "a.circle.example"},
	{"circle.example", "MX", "10:a.circle.example"},
	{"self.example", "MX", "10:self.example"},
	{"self.example", "A", "192.0.2.5"},
	{"noaddress.example", "A", "0.0.0.0 224.0.0.5 255.255.255.255"},
	/* Messages that are none, or none of ours. */
	{"garbage.example", NULL, NULL, DNSD_GARBAGE},
	{"cut.example", NULL, NULL, DNSD_CUT},
	{"id.example", NULL, NULL, DNSD_WRONG_ID},
	{"question.example", NULL, NULL, DNSD_WRONG_NAME},
	{"silent.example", NULL, NULL, DNSD_SILENT},
	{NULL},
};

Test(hostile, what_a_zone_says_becomes_no_line_and_no_flood)
{
	static const struct {
		enum pst_names_kind kind;
		const char *key, *told;
		uint64_t dropped;
	} rows[] = {
		{PST_NAMES_CLIENT, "192.0.2.1", "NONE no usable PTR", 1},
		{PST_NAMES_CLIENT, "192.0.2.2", "FOUND 0 client.example 192.0.2.2", 1},
		{PST_NAMES_CLIENT, "192.0.2.3", "NONE no usable PTR", 1},
		{PST_NAMES_MX, "lines.example", "FOUND 20 ok.example 192.0.2.3", 1},
		{PST_NAMES_MX, "only.example", "NONE no usable MX", 1},
		{PST_NAMES_MX, "self.example", "FOUND 10 self.example 192.0.2.5", 0},
		{PST_NAMES_MX, "circle.example", "TEMPORARY SERVFAIL", 0},
		{PST_NAMES_HOST, "noaddress.example", "FOUND 0 noaddress.example 255.255.255.255",
			2},
		{PST_NAMES_CLIENT, "192.0.2.9",
			"FOUND 0 h1.pool.example 192.0.2.9, 0 h10.pool.example 192.0.2.9, "
			"0 h100.pool.example 192.0.2.9",
			0},
	};
	struct dnsd *d = dnsd_new(zone);
	struct pst_names *n = kit_names(d, 1, NULL, pst_now_ns);
	uint64_t dropped = 0;

	for (size_t i = 0; i < PST_COUNT(rows); i++) {
		const char *got = kit_ask(n, rows[i].kind, rows[i].key);

		cr_expect_str_eq(got, rows[i].told, "%s: %s", rows[i].key, got);
		dropped += rows[i].dropped;
		cr_expect_eq(kit_counters(n).dropped, dropped, "%s", rows[i].key);
	}
	kit_end(n, d);
}

Test(hostile, of_thousands_of_records_sixteen_are_taken)
{
	struct dnsd *d = dnsd_new(zone);
	struct pst_names *n = kit_names(d, 1, NULL, pst_now_ns);
	struct pst_names_answer *a;

	a = pst_names_wait(n, PST_NAMES_MX, pst_span_str("many.example"));
	cr_assert_eq(a->n, 16, "%s", told(a));
	for (unsigned i = 0; i < 16; i++)
		cr_expect_eq(a->e[i].preference, i);
	free(a);
	a = pst_names_wait(n, PST_NAMES_HOST, pst_span_str("manyaddresses.example"));
	cr_expect_eq(a->n, 16, "%s", told(a));
	free(a);
	/* One look-up for the MX and 32 for the best sixteen, not three thousand. */
	cr_expect_lt(dnsd_asked(d, NULL, NULL), 60);
	kit_end(n, d);
}

Test(hostile, messages_that_are_none_are_a_failure_for_now)
{
	static const char *const names[] = {"garbage.example", "cut.example", "id.example",
		"question.example", "silent.example"};
	struct dnsd *d = dnsd_new(zone);
	struct pst_names_conf conf = {.timeout_ms = 1500};
	struct pst_names *n = kit_names(d, 1, &conf, pst_now_ns);
	struct pst_names_done done[PST_COUNT(names)];

	for (size_t i = 0; i < PST_COUNT(names); i++)
		cr_assert_eq(pst_names_ask(n, 0, PST_NAMES_MX, pst_span_str(names[i]), i), PST_OK);
	kit_complete(n, 0, done, PST_COUNT(names));
	for (size_t i = 0; i < PST_COUNT(names); i++) {
		cr_expect_eq(done[i].answer->status, PST_NAMES_TEMPORARY, "%s: %s",
			names[done[i].cookie], told(done[i].answer));
		free(done[i].answer);
	}
	kit_end(n, d);
}
