/* SPDX-License-Identifier: BSD-3-Clause */
/* Names with a DNS server of ours: what workers and waiting threads see. */
#include "kit.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <urcu-qsbr.h>

static const struct dnsd_rule zone[] = {
	{"d.example", "MX", "20:mx2.example 10:MX1.example"},
	{"mx1.example", "A", "192.0.2.1"},
	{"mx1.example", "AAAA", "2001:db8::1"},
	{"mx2.example", "A", "192.0.2.2"},
	{"own.example", "A", "192.0.2.3"},
	{"null.example", "MX", "0:."},
	{"alias.example", "CNAME", "mx1.example"},
	{"mxalias.example", "MX", "10:alias.example"},
	{"fails.example", NULL, NULL, DNSD_SERVFAIL},
	{"refuses.example", NULL, NULL, DNSD_REFUSED},
	{"half.example", "A", "192.0.2.4"},
	{"half.example", "AAAA", NULL, DNSD_SERVFAIL},
	{"7.2.0.192.in-addr.arpa", "PTR", "client.example"},
	{"client.example", "A", "192.0.2.7"},
	{"1.0.0.10.in-addr.arpa", "PTR", "intranet.test"},
	{"intranet.test", "A", "10.0.0.1"},
	{"8.2.0.192.in-addr.arpa", "PTR", "client.example"},
	{"held.example", "A", "192.0.2.9", DNSD_HELD},
	{"held.example", "AAAA", "2001:db8::9", DNSD_HELD},
	{"mute.example", NULL, NULL, DNSD_SILENT},
	{"many.example", "A", "198.51.100.1"},
	{"*.many.example", "A", "198.51.100.2"},
	{"short.example", "A", "192.0.2.10", .ttl = 2},
	{"short.example", "AAAA", "2001:db8::10", .ttl = 2},
	{"long.example", "A", "192.0.2.11", .ttl = 1000000},
	{"long.example", "AAAA", "2001:db8::11", .ttl = 1000000},
	{NULL},
};

Test(names, are_asked_of_dns_and_kept)
{
	static const struct {
		enum pst_names_kind kind;
		const char *key, *told;
	} rows[] = {
		{PST_NAMES_MX, "D.example.",
			"FOUND 10 mx1.example 192.0.2.1, 10 mx1.example 2001:db8::1, "
			"20 mx2.example 192.0.2.2"},
		{PST_NAMES_MX, "own.example", "FOUND 0 own.example 192.0.2.3"},
		{PST_NAMES_MX, "null.example", "NULL_MX null MX"},
		/* RFC 5321 5.1 speaks of the name in the MX; certificates have that one. */
		{PST_NAMES_MX, "mxalias.example",
			"FOUND 10 alias.example 192.0.2.1, 10 alias.example 2001:db8::1"},
		{PST_NAMES_MX, "nothere.example", "NONE NXDOMAIN"},
		{PST_NAMES_MX, "fails.example", "TEMPORARY SERVFAIL"},
		{PST_NAMES_HOST, "mx1.example",
			"FOUND 0 mx1.example 192.0.2.1, 0 mx1.example 2001:db8::1"},
		{PST_NAMES_HOST, "alias.example",
			"FOUND 0 alias.example 192.0.2.1, 0 alias.example 2001:db8::1"},
		{PST_NAMES_HOST, "nothere.example", "NONE NXDOMAIN"},
		{PST_NAMES_HOST, "null.example", "NONE no address"},
		{PST_NAMES_HOST, "fails.example", "TEMPORARY SERVFAIL"},
		{PST_NAMES_HOST, "refuses.example", "TEMPORARY SERVFAIL"}, /* libunbound's word */
		{PST_NAMES_HOST, "half.example", "FOUND 0 half.example 192.0.2.4"},
		{PST_NAMES_CLIENT, "192.0.2.7", "FOUND 0 client.example 192.0.2.7"},
		{PST_NAMES_CLIENT, "192.0.2.8", "NONE not confirmed"},
		{PST_NAMES_CLIENT, "192.0.2.99", "NONE NXDOMAIN"},
		{PST_NAMES_CLIENT, "2001:db8::99", "NONE NXDOMAIN"},
		/* libunbound has private networks and .test empty by default. */
		{PST_NAMES_CLIENT, "10.0.0.1", "FOUND 0 intranet.test 10.0.0.1"},
	};
	struct dnsd *d = dnsd_new(zone);
	struct pst_names *n = kit_names(d, 1, NULL, pst_now_ns);

	for (size_t i = 0; i < PST_COUNT(rows); i++) {
		const char *got;

		cr_expect_str_eq(kit_lookup(n, rows[i].kind, rows[i].key), "no answer");
		got = kit_ask(n, rows[i].kind, rows[i].key);
		cr_expect_str_eq(got, rows[i].told, "%s: %s", rows[i].key, got);
		cr_expect_str_eq(kit_lookup(n, rows[i].kind, rows[i].key), rows[i].told);
	}
	cr_expect_eq(kit_counters(n).misses, PST_COUNT(rows));
	cr_expect_eq(kit_counters(n).hits, PST_COUNT(rows));
	cr_expect_eq(kit_counters(n).failures, 3);
	cr_expect_eq(kit_cached(n), PST_COUNT(rows));
	cr_expect_eq(kit_open(n), 0);
	kit_end(n, d);
}

Test(names, names_of_rfc_6761_and_7686_never_reach_the_server)
{
	struct dnsd *d = dnsd_new(zone);
	struct pst_names *n = kit_names(d, 1, NULL, pst_now_ns);

	cr_expect_str_eq(kit_ask(n, PST_NAMES_HOST, "x.onion"), "NONE NXDOMAIN");
	cr_expect_str_eq(kit_ask(n, PST_NAMES_HOST, "x.invalid"), "NONE NXDOMAIN");
	cr_expect_eq(dnsd_asked(d, NULL, NULL), 0);
	kit_end(n, d);
}

Test(names, completions_carry_their_cookies_to_their_worker)
{
	struct dnsd *d = dnsd_new(zone);
	struct pst_names *n = kit_names(d, 2, NULL, pst_now_ns);
	struct pst_names_done done[2];

	cr_assert_eq(pst_names_completed(n, 0, done, 2), 0);
	cr_assert_eq(pst_names_ask(n, 0, PST_NAMES_MX, pst_span_str("null.example"), 77), PST_OK);
	cr_assert_eq(
		pst_names_ask(n, 1, PST_NAMES_HOST, pst_span_str("mx2.example"), ~0ull), PST_OK);
	kit_complete(n, 1, &done[1], 1);
	kit_complete(n, 0, &done[0], 1);
	cr_expect_eq(done[0].cookie, 77);
	cr_expect_str_eq(told(done[0].answer), "NULL_MX null MX");
	cr_expect_eq(done[1].cookie, ~0ull);
	cr_expect_str_eq(told(done[1].answer), "FOUND 0 mx2.example 192.0.2.2");
	cr_expect_eq(kit_open(n), 0);
	free(done[0].answer);
	free(done[1].answer);
	kit_end(n, d);
}

Test(names, equal_questions_under_way_are_asked_once)
{
	struct dnsd *d = dnsd_new(zone);
	struct pst_names *n = kit_names(d, 2, NULL, pst_now_ns);
	struct pst_names_done done[200];
	bool seen[200] = {0};

	for (unsigned i = 0; i < 200; i++) {
		const char *key = i % 3 == 0 ? "held.example" : "HELD.example.";

		cr_assert_eq(pst_names_ask(n, i % 2, PST_NAMES_HOST, pst_span_str(key), i), PST_OK);
	}
	KIT_UNTIL(kit_counters(n).joined == 199);
	KIT_UNTIL(dnsd_asked(d, NULL, NULL) == 2);
	cr_expect_eq(kit_open(n), 200);
	cr_expect_eq(pst_names_completed(n, 0, done, 200), 0);
	dnsd_release(d);
	kit_complete(n, 0, done, 100);
	kit_complete(n, 1, done + 100, 100);
	for (unsigned i = 0; i < 200; i++) {
		cr_expect_eq(done[i].cookie % 2, i / 100);
		cr_assert(!seen[done[i].cookie]);
		seen[done[i].cookie] = true;
		cr_expect_eq(done[i].answer->n, 2);
		free(done[i].answer);
	}
	cr_expect_eq(dnsd_asked(d, "held.example", NULL), 2);
	cr_expect_eq(kit_counters(n).misses, 1);
	kit_end(n, d);
}

static const char *const HELD = "FOUND 0 held.example 192.0.2.9, 0 held.example 2001:db8::9";

Test(names, what_no_name_can_be_is_refused_at_once)
{
	struct dnsd *d = dnsd_new(zone);
	struct pst_names *n = kit_names(d, 1, NULL, pst_now_ns);
	static const char *const keys[] = {"", ".", "a b", "a\r\nb", "[192.0.2.1]", "a..b"};

	for (size_t i = 0; i < PST_COUNT(keys); i++) {
		cr_expect_eq(
			pst_names_ask(n, 0, PST_NAMES_MX, pst_span_str(keys[i]), 1), PST_INVAL);
		cr_expect_str_eq(kit_lookup(n, PST_NAMES_MX, keys[i]), "no answer");
		cr_expect_str_eq(kit_ask(n, PST_NAMES_MX, keys[i]), "NONE no such name can exist");
	}
	cr_expect_eq(pst_names_ask(n, 0, PST_NAMES_CLIENT, pst_span_str("mx"), 1), PST_INVAL);
	cr_expect_eq(kit_open(n), 0);
	cr_expect_eq(dnsd_asked(d, NULL, NULL), 0);
	kit_end(n, d);
}

/* ---- time ---- */

Test(names, answers_live_as_long_as_they_may)
{
	static const struct {
		const char *key;
		uint64_t fresh_s; /* at the last moment of which it is still there */
	} rows[] = {
		{"short.example", 2},    /* its TTL */
		{"long.example", 1000},  /* max_ttl */
		{"nothere.example", 30}, /* negative_ttl; the zone says 60 */
		{"fails.example", 7},    /* failure_ttl */
		{"half.example", 7},     /* as what failed of it */
	};
	struct dnsd *d = dnsd_new(zone);
	struct pst_names_conf conf = {.max_ttl_s = 1000, .negative_ttl_s = 30, .failure_ttl_s = 7};
	struct pst_names *n = kit_names(d, 1, &conf, kit_clock);

	for (size_t i = 0; i < PST_COUNT(rows); i++) {
		kit_ask(n, PST_NAMES_HOST, rows[i].key);
		kit_pass(n, rows[i].fresh_s * 1000 - 1);
		cr_expect_str_neq(
			kit_lookup(n, PST_NAMES_HOST, rows[i].key), "no answer", "%s", rows[i].key);
		kit_pass(n, 1);
		cr_expect_str_eq(
			kit_lookup(n, PST_NAMES_HOST, rows[i].key), "no answer", "%s", rows[i].key);
	}
	kit_end(n, d);
}

Test(names, a_question_ends_at_its_time_and_not_before)
{
	struct dnsd *d = dnsd_new(zone);
	struct pst_names_conf conf = {.timeout_ms = 5000};
	struct pst_names *n = kit_names(d, 1, &conf, kit_clock);
	struct pst_names_done done[2];

	cr_assert_eq(pst_names_ask(n, 0, PST_NAMES_HOST, pst_span_str("mute.example"), 1), PST_OK);
	KIT_UNTIL(kit_counters(n).misses == 1);
	kit_pass(n, 4999);
	/* An answer that comes later shows that the resolver looked at the clock since. */
	kit_ask(n, PST_NAMES_HOST, "mx1.example");
	cr_expect_eq(pst_names_completed(n, 0, done, 2), 0);
	kit_pass(n, 1);
	kit_complete(n, 0, done, 1);
	cr_expect_str_eq(told(done[0].answer), "TEMPORARY timed out");
	free(done[0].answer);
	/* For a moment it is known to fail; then it is asked for again. */
	cr_expect_str_eq(kit_ask(n, PST_NAMES_HOST, "mute.example"), "TEMPORARY timed out");
	cr_expect_eq(kit_counters(n).misses, 2);
	kit_end(n, d);
}

Test(names, a_reply_after_the_time_is_up_harms_nobody)
{
	struct dnsd *d = dnsd_new(zone);
	struct pst_names_conf conf = {.timeout_ms = 5000};
	struct pst_names *n = kit_names(d, 1, &conf, kit_clock);
	struct pst_names_done done;

	cr_assert_eq(pst_names_ask(n, 0, PST_NAMES_HOST, pst_span_str("held.example"), 1), PST_OK);
	KIT_UNTIL(dnsd_asked(d, "held.example", NULL) == 2);
	kit_pass(n, 5000);
	kit_complete(n, 0, &done, 1);
	cr_expect_str_eq(told(done.answer), "TEMPORARY timed out");
	free(done.answer);
	dnsd_release(d);
	kit_pass(n, 5000);
	cr_expect_str_eq(kit_ask(n, PST_NAMES_HOST, "held.example"), HELD);
	kit_end(n, d);
}

/* ---- bounds ---- */

Test(names, a_worker_has_so_many_open_questions_and_no_more)
{
	struct dnsd *d = dnsd_new(zone);
	struct pst_names *n = kit_names(d, 2, NULL, pst_now_ns);
	static struct pst_names_done done[NAMES_OPEN_MAX];
	struct pst_span held = pst_span_str("held.example");

	for (unsigned i = 0; i < NAMES_OPEN_MAX; i++)
		cr_assert_eq(pst_names_ask(n, 0, PST_NAMES_HOST, held, i), PST_OK);
	cr_expect_eq(pst_names_ask(n, 0, PST_NAMES_HOST, held, 1), PST_NOMEM);
	cr_expect_eq(pst_names_ask(n, 1, PST_NAMES_HOST, held, 1), PST_OK, "another's room");
	KIT_UNTIL(kit_counters(n).joined == NAMES_OPEN_MAX);
	dnsd_release(d);
	kit_complete(n, 0, done, NAMES_OPEN_MAX);
	kit_complete(n, 1, done, 0);
	for (unsigned i = 0; i < NAMES_OPEN_MAX; i++)
		free(done[i].answer);
	cr_expect_eq(pst_names_ask(n, 0, PST_NAMES_HOST, held, 1), PST_OK, "there is room again");
	kit_complete(n, 0, done, 1);
	free(done[0].answer);
	kit_end(n, d);
}

Test(names, clients_do_not_take_all_the_room_there_is)
{
	static const struct dnsd_rule slow[] = {{"*.in-addr.arpa", NULL, NULL, DNSD_HELD},
		{"own.example", "A", "192.0.2.3"}, {NULL}};
	static struct pst_names_done done[NAMES_OPEN_MAX];
	struct dnsd *d = dnsd_new(slow);
	struct pst_names *n = kit_names(d, 1, NULL, pst_now_ns);
	struct pst_span client = pst_span_str("192.0.2.9"), host = pst_span_str("own.example");
	unsigned open = 0;

	while (open < NAMES_OPEN_MAX &&
		pst_names_ask(n, 0, PST_NAMES_CLIENT, client, open) == PST_OK)
		open++;
	cr_expect_eq(open, NAMES_OPEN_CLIENTS);
	cr_expect_eq(pst_names_ask(n, 0, PST_NAMES_HOST, host, 1), PST_OK);
	open += 1;
	dnsd_release(d);
	kit_complete(n, 0, done, open);
	for (unsigned i = 0; i < open; i++)
		free(done[i].answer);
	kit_end(n, d);
}

/* Strangers whose reverse zones do not answer take no room from the mail. */
Test(names, clients_without_an_answer_block_no_domain)
{
	static const struct dnsd_rule slow[] = {
		{"*.in-addr.arpa", NULL, NULL, DNSD_SILENT},
		{"own.example", "A", "192.0.2.3"},
		{NULL},
	};
	struct dnsd *d = dnsd_new(slow);
	struct pst_names *n = kit_names(d, 1, NULL, kit_clock);
	static struct pst_names_done done[3000];
	char ip[32];

	for (unsigned i = 0; i < 3000; i++) {
		snprintf(ip, sizeof(ip), "10.1.%u.%u", i / 250, i % 250);
		cr_assert_eq(pst_names_ask(n, 0, PST_NAMES_CLIENT, pst_span_str(ip), i), PST_OK);
	}
	KIT_UNTIL(kit_counters(n).misses == 3000);
	cr_expect_str_eq(kit_ask(n, PST_NAMES_MX, "own.example"), "FOUND 0 own.example 192.0.2.3");
	cr_expect_eq(kit_open(n), 3000);
	kit_pass(n, 60000);
	kit_complete(n, 0, done, 3000);
	for (unsigned i = 0; i < 3000; i++) {
		cr_expect_str_eq(told(done[i].answer), "TEMPORARY timed out");
		free(done[i].answer);
	}
	kit_end(n, d);
}

Test(names, the_cache_has_so_many_answers_and_no_more)
{
	struct dnsd *d = dnsd_new(zone);
	struct pst_names_conf conf = {.cache = 20};
	struct pst_names *n = kit_names(d, 1, &conf, pst_now_ns);
	char name[32];

	for (unsigned i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "n%u.many.example", i);
		kit_ask(n, PST_NAMES_HOST, name);
		cr_expect_leq(kit_cached(n), 20);
	}
	cr_expect_eq(kit_counters(n).evictions, 80);
	kit_end(n, d);
}

/* ---- changes ---- */

static const struct dnsd_rule other_zone[] = {
	{"held.example", "A", "192.0.2.200"},
	{"own.example", "A", "192.0.2.201"},
	{NULL},
};

static void
configure(struct pst_names *n, const struct pst_names_conf *conf, struct dnsd *d)
{
	struct pst_names_conf c = *conf;
	char err[256];

	c.nservers = 1;
	c.servers[0] = dnsd_address(d);
	c.timeout_ms = 60000;
	cr_assert_eq(pst_names_configure(n, &c, err, sizeof(err)), PST_OK, "%s", err);
}

Test(names, other_servers_are_asked_at_once_also_what_was_under_way)
{
	struct dnsd *d = dnsd_new(zone), *other = dnsd_new(other_zone);
	struct pst_names *n = kit_names(d, 1, NULL, pst_now_ns);
	struct pst_names_conf conf = {0};
	struct pst_names_done done;

	kit_ask(n, PST_NAMES_HOST, "own.example");
	kit_ask(n, PST_NAMES_HOST, "mx1.example"); /* takes no room any more after the change */
	cr_assert_eq(pst_names_ask(n, 0, PST_NAMES_HOST, pst_span_str("held.example"), 5), PST_OK);
	KIT_UNTIL(dnsd_asked(d, "held.example", NULL) == 2);
	configure(n, &conf, other);
	cr_expect_str_eq(kit_lookup(n, PST_NAMES_HOST, "own.example"), "no answer");
	cr_expect_str_eq(
		kit_ask(n, PST_NAMES_HOST, "own.example"), "FOUND 0 own.example 192.0.2.201");
	kit_complete(n, 0, &done, 1);
	cr_expect_eq(done.cookie, 5);
	cr_expect_str_eq(told(done.answer), "FOUND 0 held.example 192.0.2.200");
	free(done.answer);
	cr_expect_eq(kit_cached(n), 2);
	dnsd_free(other);
	kit_end(n, d);
}

Test(names, other_servers_have_room_for_what_the_old_ones_left)
{
	static const struct dnsd_rule mute[] = {
		{"*.in-addr.arpa", NULL, NULL, DNSD_SILENT}, {NULL}};
	struct dnsd *d = dnsd_new(mute), *other = dnsd_new(other_zone);
	struct pst_names *n = kit_names(d, 1, NULL, kit_clock);
	struct pst_names_conf conf = {0};
	static struct pst_names_done done[1000];
	char ip[32];

	for (unsigned i = 0; i < 1000; i++) {
		snprintf(ip, sizeof(ip), "10.1.%u.%u", i / 250, i % 250);
		cr_assert_eq(pst_names_ask(n, 0, PST_NAMES_CLIENT, pst_span_str(ip), i), PST_OK);
	}
	KIT_UNTIL(dnsd_asked(d, NULL, "PTR") >= 256); /* of 512: UDP to one socket may drop some */
	configure(n, &conf, other);
	kit_complete(n, 0, done, 1000);
	for (unsigned i = 0; i < 1000; i++) {
		cr_expect_str_eq(told(done[i].answer), "NONE NXDOMAIN");
		free(done[i].answer);
	}
	dnsd_free(other);
	kit_end(n, d);
}

Test(names, the_same_servers_leave_the_cache_alone)
{
	struct dnsd *d = dnsd_new(zone);
	struct pst_names *n = kit_names(d, 1, NULL, kit_clock);
	struct pst_names_conf conf = {.cache = 2};

	kit_ask(n, PST_NAMES_HOST, "own.example");
	configure(n, &conf, d);
	cr_expect_str_eq(
		kit_lookup(n, PST_NAMES_HOST, "own.example"), "FOUND 0 own.example 192.0.2.3");
	/* The rest of it counts from now on. */
	kit_ask(n, PST_NAMES_HOST, "nothere.example");
	kit_ask(n, PST_NAMES_HOST, "alsonot.example");
	cr_expect_eq(kit_cached(n), 2);
	kit_end(n, d);
}

/* libunbound's own cache has them too, and cannot be told others. */
Test(names, other_ttls_begin_anew)
{
	struct dnsd *d = dnsd_new(zone);
	struct pst_names *n = kit_names(d, 1, NULL, kit_clock);
	const struct pst_names_conf conf[] = {{.negative_ttl_s = 10}, {.max_ttl_s = 10}};

	for (unsigned i = 0; i < PST_COUNT(conf); i++) {
		kit_ask(n, PST_NAMES_HOST, "own.example");
		configure(n, &conf[i], d);
		cr_expect_str_eq(kit_lookup(n, PST_NAMES_HOST, "own.example"), "no answer");
		kit_ask(n, PST_NAMES_HOST, i == 0 ? "nothere.example" : "own.example");
		kit_pass(n, 9000);
		cr_expect_str_neq(
			kit_lookup(n, PST_NAMES_HOST, i == 0 ? "nothere.example" : "own.example"),
			"no answer");
		kit_pass(n, 1000);
		cr_expect_str_eq(
			kit_lookup(n, PST_NAMES_HOST, i == 0 ? "nothere.example" : "own.example"),
			"no answer");
	}
	kit_end(n, d);
}

Test(names, a_bad_configuration_is_told_and_changes_nothing)
{
	static const char *const bad[] = {"", "ns.example", "192.0.2.1@", "192.0.2.1@0",
		"192.0.2.1@65536", "192.0.2.1@+53", "192.0.2.1@53x", "192.0.2.1:53", "192.0.2.1 ",
		"@53", "192.0.2.1@53@53", "2001:db8::1::2"};
	struct dnsd *d = dnsd_new(zone);
	struct pst_names *n = kit_names(d, 1, NULL, pst_now_ns);
	char err[256];

	for (size_t i = 0; i < PST_COUNT(bad); i++) {
		struct pst_names_conf c = {.nservers = 2, .servers = {dnsd_address(d), bad[i]}};

		err[0] = 0;
		cr_expect_eq(pst_names_configure(n, &c, err, sizeof(err)), PST_INVAL, "%s", bad[i]);
		cr_expect_not_null(strstr(err, bad[i]), "%s", err);
		err[0] = 0;
		cr_expect_null(pst_names_new(&c, 1, err, sizeof(err)));
		cr_expect_not_null(strstr(err, bad[i]), "%s", err);
	}
	cr_expect_str_eq(
		kit_ask(n, PST_NAMES_HOST, "own.example"), "FOUND 0 own.example 192.0.2.3");
	kit_end(n, d);
}

Test(names, servers_of_both_families_and_with_ports_are_taken)
{
	static const char *const good[] = {
		"192.0.2.53", "192.0.2.53@53", "2001:db8::53", "2001:db8::53@65535", "::1@1"};
	struct pst_names_conf c = {.nservers = PST_COUNT(good)};
	struct pst_names *n;
	char err[256] = "";

	memcpy(c.servers, good, sizeof(good));
	n = pst_names_new(&c, 1, err, sizeof(err));
	cr_assert_not_null(n, "%s", err);
	pst_names_free(n);
}

/* ---- threads ---- */

static char waited[256];

static void *
waits(void *arg)
{
	rcu_register_thread();
	snprintf(waited, sizeof(waited), "%s", kit_ask(arg, PST_NAMES_HOST, "held.example"));
	rcu_unregister_thread();
	return NULL;
}

Test(names, who_waits_at_the_end_is_told)
{
	struct dnsd *d = dnsd_new(zone);
	struct pst_names *n = kit_names(d, 1, NULL, pst_now_ns);
	pthread_t t;

	cr_assert_eq(pthread_create(&t, NULL, waits, n), 0);
	KIT_UNTIL(dnsd_asked(d, "held.example", NULL) == 2);
	/* Open asks of workers are freed with it: ASan tells. */
	cr_assert_eq(pst_names_ask(n, 0, PST_NAMES_HOST, pst_span_str("held.example"), 1), PST_OK);
	cr_assert_eq(pst_names_ask(n, 0, PST_NAMES_HOST, pst_span_str("mute.example"), 2), PST_OK);
	kit_end(n, d);
	cr_assert_eq(pthread_join(t, NULL), 0);
	cr_expect_str_eq(waited, "TEMPORARY shutting down");
}

Test(names, a_thread_that_waits_holds_up_no_grace_period)
{
	struct dnsd *d = dnsd_new(zone);
	struct pst_names *n = kit_names(d, 1, NULL, pst_now_ns);
	pthread_t t;

	cr_assert_eq(pthread_create(&t, NULL, waits, n), 0);
	KIT_UNTIL(dnsd_asked(d, "held.example", NULL) == 2);
	synchronize_rcu(); /* would not return: neither the waiter nor the resolver goes on */
	dnsd_release(d);
	cr_assert_eq(pthread_join(t, NULL), 0);
	cr_expect_str_eq(waited, HELD);
	kit_end(n, d);
}

/* Threads whose name is the resolver's; libunbound's inherits it. */
static unsigned
resolver_threads(const cpu_set_t *want, unsigned *other)
{
	DIR *dir = opendir("/proc/self/task");
	struct dirent *e;
	unsigned same = 0;

	*other = 0;
	while ((e = readdir(dir)) != NULL) {
		char path[300], name[32] = "";
		cpu_set_t have;
		FILE *f;

		snprintf(path, sizeof(path), "/proc/self/task/%s/comm", e->d_name);
		f = e->d_name[0] != '.' ? fopen(path, "r") : NULL;
		if (f == NULL)
			continue;
		cr_assert_not_null(fgets(name, sizeof(name), f));
		fclose(f);
		if (strcmp(name, "pst-names\n") != 0)
			continue;
		cr_assert_eq(sched_getaffinity(atoi(e->d_name), sizeof(have), &have), 0);
		if (CPU_EQUAL(&have, want))
			same++;
		else
			(*other)++;
	}
	closedir(dir);
	return same;
}

Test(names, the_resolver_uses_all_cores_of_a_process_whose_thread_is_pinned)
{
	struct dnsd *d = dnsd_new(zone);
	cpu_set_t all, one;
	struct pst_names *n;
	unsigned other;

	cr_assert_eq(sched_getaffinity(0, sizeof(all), &all), 0);
	CPU_ZERO(&one);
	for (int c = 0; c < CPU_SETSIZE && CPU_COUNT(&one) == 0; c++) {
		if (CPU_ISSET(c, &all))
			CPU_SET(c, &one);
	}
	cr_assert_eq(sched_setaffinity(0, sizeof(one), &one), 0);
	n = kit_names(d, 1, NULL, pst_now_ns);
	kit_ask(n, PST_NAMES_HOST, "own.example");
	cr_expect_geq(resolver_threads(&all, &other), 2);
	cr_expect_eq(other, 0);
	kit_end(n, d);
}

Test(names, old_servers_leave_no_thread_behind)
{
	struct dnsd *d = dnsd_new(zone), *other = dnsd_new(other_zone);
	struct pst_names *n = kit_names(d, 1, NULL, pst_now_ns);
	struct pst_names_conf conf = {0};
	unsigned before, pinned;
	cpu_set_t all;

	cr_assert_eq(sched_getaffinity(0, sizeof(all), &all), 0);
	for (unsigned i = 0; i < 4; i++) {
		configure(n, &conf, i % 2 == 0 ? other : d);
		kit_ask(n, PST_NAMES_HOST, "own.example");
		if (i == 1)
			before = resolver_threads(&all, &pinned); /* call_rcu's is there now */
	}
	cr_expect_leq(resolver_threads(&all, &pinned), before);
	dnsd_free(other);
	kit_end(n, d);
}
