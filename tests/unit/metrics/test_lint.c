/* SPDX-License-Identifier: BSD-3-Clause */
/* The reader that judges the text is itself judged: each rule has a text that breaks it. */
#include <criterion/criterion.h>
#include <string.h>

#include "lint.h"

#define C "# HELP a x\n# TYPE a counter\n"
#define G "# HELP a x\n# TYPE a gauge\n"
#define H "# HELP a x\n# TYPE a histogram\n"
#define E "# EOF\n"

Test(lint, accepts_good_texts)
{
	static const struct {
		const char *text;
		bool openmetrics;
		unsigned series;
	} rows[] = {
		{C "a_total 1\n" E, true, 1},
		{C "a_total{b=\"c\",d=\"\\\\\\\"\\n\"} 1\na_total{b=\"\"} 2\n" E, true, 2},
		{"# HELP a_total x\n# TYPE a_total counter\na_total 1\n", false, 1},
		{G "a 1.5\n", false, 1},
		{G E, true, 0},
		{"# HELP a x\n# TYPE a info\na_info{v=\"1\"} 1\n" E, true, 1},
		{H "a_bucket{le=\"0.5\"} 1\na_bucket{le=\"+Inf\"} 2\na_sum 3.5\na_count 2\n" E,
			true, 4},
	};
	unsigned n = 0;

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *why = lint(rows[i].text, strlen(rows[i].text), rows[i].openmetrics, &n);

		cr_expect_null(why, "%s: %s", rows[i].text, why);
		cr_expect_eq(n, rows[i].series);
	}
}

Test(lint, refuses_each_kind_of_fault)
{
	static const char *const bad[] = {
		"",                     /* nothing */
		E,                      /* no family */
		C "a_total 1\n",        /* no EOF */
		C "a_total 1\n" E "\n", /* behind EOF */
		C "a_total 1\n" E E,    /* twice */
		C "a_total 1\n# EOF",   /* no line end */
		C "a 1\n" E,            /* no _total */
		G "a_total 1\n" E,      /* _total of a gauge */
		"# HELP a_total x\n# TYPE a_total counter\na_total_total 1\n" E,
		"# TYPE a counter\n# HELP a x\na_total 1\n" E, /* order */
		"# HELP a x\na_total 1\n" E,                   /* no TYPE */
		"# HELP a \n# TYPE a counter\n" E,             /* no text */
		"# HELP a x\n# TYPE b counter\n" E, "# HELP a x\n# TYPE a thing\n" E,
		C "b_total 1\n" E,                 /* foreign sample */
		C "a_total 1\n" C "a_total 2\n" E, /* family twice */
		C "a_total 1\na_total 2\n" E,      /* series twice */
		C "a_total{b=\"c\"} 1\na_total{b=\"c\"} 1\n" E,
		C "a_total{b=\"c\",b=\"d\"} 1\n" E, /* label twice */
		C "a_total{b=\"c} 1\n" E, C "a_total{b=\"\\x\"} 1\n" E, C "a_total{b=c} 1\n" E,
		C "a_total{1b=\"c\"} 1\n" E, C "a_total{b=\"c\"d=\"e\"} 1\n" E, C "a_total -1\n" E,
		C "a_total x\n" E, C "a_total\n" E, C "a_total 1 2\n" E, C "\na_total 1\n" E,
		C "# a comment\n" E, C "a_total{le=\"1.0\"} 1\n" E,
		H "a_bucket{le=\"0.5\"} 1\na_sum 3\na_count 1\n" E, /* no +Inf */
		H "a_bucket{le=\"0.5\"} 3\na_bucket{le=\"+Inf\"} 2\na_sum 3\na_count 2\n" E,
		H "a_bucket{le=\"2.0\"} 1\na_bucket{le=\"0.5\"} 1\na_bucket{le=\"+Inf\"} 1\na_sum "
		  "3\na_count 1\n" E,
		H "a_bucket{le=\"1\"} 1\na_bucket{le=\"+Inf\"} 1\na_sum 3\na_count 1\n" E,
		H "a_bucket{le=\"+Inf\"} 2\na_sum 3\na_count 1\n" E, /* count differs */
		H "a_bucket{le=\"+Inf\"} 2\na_count 2\n" E,          /* no sum */
		H "a_bucket{le=\"+Inf\"} 2\na_sum 1\n" E,            /* no count */
	};
	unsigned n;

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_expect_not_null(lint(bad[i], strlen(bad[i]), true, &n), "%u: %s", i, bad[i]);
	cr_expect_not_null(lint(C "a_total 1\n", strlen(C "a_total 1\n"), false, &n));
	cr_expect_not_null(lint("a\0\n", 3, true, &n));
}
