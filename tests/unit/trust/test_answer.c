/* SPDX-License-Identifier: BSD-3-Clause */
#include "kit.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

/* "10a1 10a2 10b1 20c1": preference, name, last byte of the address. */
static struct pst_names_answer *
answer(const char *s)
{
	struct pst_names_answer *a = calloc(1, sizeof(*a) + PST_NAMES_MAX * sizeof(a->e[0]));
	unsigned preference, last;
	char name;
	int used;

	for (; sscanf(s, "%u%c%u%n", &preference, &name, &last, &used) == 3; s += used) {
		struct pst_names_host *e = &a->e[a->n++];

		e->preference = (uint16_t)preference;
		e->name[0] = name;
		e->ip.b[15] = (uint8_t)last;
	}
	return a;
}

static const char *
text(const struct pst_names_answer *a)
{
	static char out[256];
	size_t n = 0;

	out[0] = 0;
	for (unsigned i = 0; i < a->n; i++)
		n += (size_t)sprintf(out + n, "%s%u%s%u", i > 0 ? " " : "", a->e[i].preference,
			a->e[i].name, a->e[i].ip.b[15]);
	return out;
}

static bool
one_of(const char *s, const char *const *of, bool *seen)
{
	for (unsigned i = 0; of[i] != NULL; i++) {
		if (strcmp(of[i], s) == 0)
			return seen[i] = true;
	}
	return false;
}

Test(answer, shuffles_equals_and_keeps_preferences_and_hosts_together)
{
	static const struct {
		const char *in;
		const char *out[7]; /* each must come, nothing else may */
	} rows[] = {
		{"10a1 20b1 30c1", {"10a1 20b1 30c1"}},
		{"10a1 10b1", {"10a1 10b1", "10b1 10a1"}},
		{"10a1 10a2 10b1", {"10a1 10a2 10b1", "10b1 10a1 10a2"}},
		{"5z9 10a1 10a2 10b1 20c1 20c2",
			{"5z9 10a1 10a2 10b1 20c1 20c2", "5z9 10b1 10a1 10a2 20c1 20c2"}},
		{"10a1 10b1 20c1 20d1", {"10a1 10b1 20c1 20d1", "10b1 10a1 20c1 20d1",
						"10a1 10b1 20d1 20c1", "10b1 10a1 20d1 20c1"}},
		{"1a1 1b1 1c1", {"1a1 1b1 1c1", "1a1 1c1 1b1", "1b1 1a1 1c1", "1b1 1c1 1a1",
					"1c1 1a1 1b1", "1c1 1b1 1a1"}},
		{"10a1 20a2", {"10a1 20a2"}},
		{"10a1", {"10a1"}},
		{"", {""}},
	};

	for (size_t i = 0; i < PST_COUNT(rows); i++) {
		bool seen[7] = {0};

		for (uint64_t seed = 0; seed < 200; seed++) {
			struct pst_names_answer *a = answer(rows[i].in);

			pst_names_shuffle(a, seed);
			cr_expect(one_of(text(a), rows[i].out, seen), "%s -> %s", rows[i].in,
				text(a));
			free(a);
		}
		for (unsigned k = 0; rows[i].out[k] != NULL; k++)
			cr_expect(seen[k], "%s never came", rows[i].out[k]);
	}
}

Test(answer, shuffles_evenly_and_by_the_seed_alone)
{
	unsigned first[16] = {0};

	for (uint64_t seed = 0; seed < 16000; seed++) {
		struct pst_names_answer *a = answer("1a0 1b1 1c2 1d3 1e4 1f5 1g6 1h7 1i8 1j9 1k10 "
						    "1l11 1m12 1n13 1o14 1p15");
		struct pst_names_answer *b = pst_names_copy(a);

		cr_assert_eq(a->n, 16);
		pst_names_shuffle(a, seed);
		pst_names_shuffle(b, seed);
		cr_assert_arr_eq(a->e, b->e, sizeof(a->e[0]) * 16);
		first[a->e[0].ip.b[15]]++;
		free(a);
		free(b);
	}
	/* 1000 each; six standard deviations are 184. */
	for (unsigned i = 0; i < 16; i++)
		cr_expect(first[i] > 816 && first[i] < 1184, "%u: %u", i, first[i]);
}

Test(answer, copy_is_equal_and_its_own)
{
	struct pst_names_answer *a = answer("10a1 20b2"), *b;

	a->status = PST_NAMES_FOUND;
	a->secure = true;
	b = pst_names_copy(a);
	cr_expect_str_eq(text(b), "10a1 20b2");
	cr_expect(b->secure && b->status == PST_NAMES_FOUND);
	a->e[0].preference = 7;
	free(a);
	cr_expect_eq(b->e[0].preference, 10);
	free(b);
	a = answer_new(PST_NAMES_TEMPORARY, "timed out");
	b = pst_names_copy(a);
	cr_expect_str_eq(told(b), "TEMPORARY timed out");
	free(a);
	free(b);
}
