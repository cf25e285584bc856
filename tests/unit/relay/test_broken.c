/* SPDX-License-Identifier: BSD-3-Clause */
/* The broken-TLS memory by itself: the hour, its bound, legs kept apart. See broken.h. */
#include "broken.h"

#include <criterion/criterion.h>
#include <stdio.h>

#define HOUR 3600000u

static struct broken *b;

static void
setup(void)
{
	b = broken_new();
	cr_assert_not_null(b);
}

static void
fini(void)
{
	broken_free(b);
}

TestSuite(broken, .init = setup, .fini = fini);

static struct pst_ip
host(unsigned n)
{
	struct pst_ip ip;
	char text[32];

	snprintf(text, sizeof(text), "198.51.%u.%u", n / 256, n % 256);
	cr_assert_eq(pst_ip_parse(text, &ip), PST_OK);
	return ip;
}

static void
note(unsigned n, uint64_t now_ms, unsigned max)
{
	struct pst_ip ip = host(n);

	broken_note(b, &ip, false, "handshake", now_ms, HOUR, max);
}

static bool
has(unsigned n, uint64_t now_ms)
{
	struct pst_ip ip = host(n);

	return broken_has(b, &ip, false, now_ms);
}

Test(broken, a_host_is_remembered_for_an_hour_after_its_last_failure)
{
	cr_expect_not(has(1, 0));
	note(1, 1000, 16);
	cr_expect(has(1, 1000));
	cr_expect(has(1, 1000 + HOUR - 1));
	note(1, 1000 + HOUR - 1, 16);
	cr_expect(has(1, 1000 + HOUR), "the hour began anew");
	cr_expect(has(1, 1000 + 2 * HOUR - 2));
	cr_expect_not(has(1, 1000 + 2 * HOUR - 1));
	cr_expect_not(has(1, 1000 + HOUR), "what is over does not come back");
}

Test(broken, the_two_legs_and_two_hosts_have_nothing_to_do_with_each_other)
{
	struct pst_ip one = host(1), two = host(2);

	broken_note(b, &one, true, "handshake", 0, HOUR, 16);
	cr_expect(broken_has(b, &one, true, 1));
	cr_expect_not(broken_has(b, &one, false, 1));
	cr_expect_not(broken_has(b, &two, true, 1));
	broken_note(b, &one, false, "handshake", 0, HOUR, 16);
	broken_forget(b, &one, true);
	cr_expect_not(broken_has(b, &one, true, 1));
	cr_expect(broken_has(b, &one, false, 1));
}

Test(broken, the_host_that_failed_longest_ago_makes_room)
{
	struct pst_broken_row rows[8];

	for (unsigned i = 0; i < 4; i++)
		note(i, i, 4);
	note(0, 4, 4); /* once more: now 1 is the oldest */
	note(4, 5, 4);
	cr_expect_not(has(1, 6));
	for (unsigned i = 0; i < 5; i++)
		cr_expect(i == 1 || has(i, 6), "%u", i);
	cr_expect_eq(broken_list(b, rows, 8, 6), 4);
	note(5, 7, 2); /* a smaller bound counts at once */
	cr_expect_eq(broken_list(b, rows, 8, 7), 2);
	cr_expect(has(4, 7) && has(5, 7));
}

Test(broken, the_list_tells_what_is_left_and_a_flush_leaves_nothing)
{
	struct pst_broken_row rows[2];
	struct pst_ip ip = host(1);

	note(1, 0, 16);
	broken_note(b, &ip, false, "no version in common", 1000, HOUR, 16);
	note(2, 0, 16);
	note(3, 500, 16);
	cr_assert_eq(broken_list(b, rows, 1, 2000), 1, "no more than asked for");
	cr_assert_eq(broken_list(b, rows, 2, HOUR + 500), 1);
	cr_expect(pst_ip_eq(&rows[0].ip, &ip));
	cr_expect_eq(rows[0].left_ms, 500);
	cr_expect_eq(rows[0].failures, 2);
	cr_expect_str_eq(rows[0].cause, "no version in common");
	cr_expect_not(rows[0].client);
	cr_expect_eq(broken_flush(b), 3, "those that are over as well");
	cr_expect_eq(broken_flush(b), 0);
	cr_expect_not(has(1, 2000));
}

/* Hosts are a stranger's choice: many of them cost memory up to the bound, and no more. */
Test(broken, a_flood_of_hosts_stays_within_the_bound)
{
	static struct pst_broken_row rows[2048];

	for (unsigned i = 0; i < 65536; i++)
		note(i, i, 1000);
	cr_expect_eq(broken_list(b, rows, 2048, 65536), 1000);
	for (unsigned i = 0; i < 65536; i++)
		cr_expect_eq(has(i, 65536), i >= 64536, "%u", i);
	cr_expect_eq(broken_flush(b), 1000);
}
