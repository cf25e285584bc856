/* SPDX-License-Identifier: BSD-3-Clause */
/* Differences by table, and the law that counts: the old document and the diff make the new. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include <pst_base.h>
#include <diff.h>
#include <save.h>

static json_t *
json(const char *text)
{
	char *copy = strdup(text);
	json_t *v;

	for (char *p = copy; *p != '\0'; p++)
		if (*p == '\'')
			*p = '"';
	v = json_loads(copy, JSON_DECODE_ANY, NULL);
	cr_assert_not_null(v, "%s", text);
	free(copy);
	return v;
}

static const struct {
	const char *from, *to, *changes;
} cases[] = {
	{"{}", "{}", "[]"},
	{"{'a':1,'b':2}", "{'b':2,'a':1}", "[]"}, /* members have no order */
	{"{'a':1}", "{'a':2}", "[{'pointer':'/a','old':1,'new':2}]"},
	{"{'a':1}", "{}", "[{'pointer':'/a','old':1}]"},
	{"{}", "{'a':null}", "[{'pointer':'/a','new':null}]"},
	{"{'a':{'b':{'c':1}}}", "{'a':{'b':{'c':true}}}",
		"[{'pointer':'/a/b/c','old':1,'new':true}]"},
	{"{'a':{}}", "{'a':[]}", "[{'pointer':'/a','old':{},'new':[]}]"},
	{"{'a/b':1,'m~n':1}", "{'a/b':2,'m~n':2}", /* RFC 6901, 3 */
		"[{'pointer':'/a~1b','old':1,'new':2},{'pointer':'/m~0n','old':1,'new':2}]"},
	{"{'a':[1,2,3]}", "{'a':[1,2,3,4]}", "[{'pointer':'/a/3','new':4}]"},
	{"{'a':[1,2,3]}", "{'a':[0,1,2,3]}", "[{'pointer':'/a/0','new':0}]"},
	{"{'a':[1,2,3]}", "{'a':[1,9,2,3]}", "[{'pointer':'/a/1','new':9}]"},
	{"{'a':[1,2,3]}", "{'a':[1,3]}", "[{'pointer':'/a/1','old':2}]"},
	{"{'a':[1,2,3]}", "{'a':[]}",
		"[{'pointer':'/a/0','old':1},{'pointer':'/a/1','old':2},{'pointer':'/a/"
		"2','old':3}]"},
	{"{'a':[{'n':1},{'n':2}]}", "{'a':[{'n':1},{'n':3}]}",
		"[{'pointer':'/a/1/n','old':2,'new':3}]"},
	{"{'a':[1,2]}", "{'a':[2,1]}",
		"[{'pointer':'/a/0','old':1,'new':2},{'pointer':'/a/1','old':2,'new':1}]"},
	{"{'a':[1,1]}", "{'a':[1,1,1]}", "[{'pointer':'/a/2','new':1}]"},
	{"{'a':1}", "{'a':1.0}", "[{'pointer':'/a','old':1,'new':1.0}]"},
};

Test(diff, finds_what_differs_and_only_that)
{
	for (size_t i = 0; i < PST_COUNT(cases); i++) {
		json_t *from = json(cases[i].from), *to = json(cases[i].to),
		       *want = json(cases[i].changes);
		struct pst_diff d;
		char *got;

		pst_diff(&d, from, to);
		got = json_dumps(d.changes, 0);
		cr_expect(json_equal(d.changes, want), "%s to %s: %s", cases[i].from, cases[i].to,
			got);
		cr_expect_eq(d.total, json_array_size(want));
		free(got);
		pst_diff_fini(&d);
		json_decref(from);
		json_decref(to);
		json_decref(want);
	}
}

/* ---- applying a diff ---- */

static void
unescape(char *s)
{
	char *to = s;

	for (; *s != '\0'; s++)
		*to++ = *s != '~' ? *s : *++s == '0' ? '~' : '/';
	*to = '\0';
}

/* The container of what pointer names; key is the last step. */
static json_t *
parent_of(json_t *doc, const char *pointer, char key[256])
{
	char copy[4096], *step, *next;

	snprintf(copy, sizeof(copy), "%s", pointer + 1);
	for (step = copy; (next = strchr(step, '/')) != NULL; step = next + 1) {
		*next = '\0';
		unescape(step);
		doc = json_is_object(doc) ? json_object_get(doc, step)
					  : json_array_get(doc, strtoul(step, NULL, 10));
	}
	unescape(step);
	snprintf(key, 256, "%.255s", step);
	return doc;
}

static void
apply_one(json_t *doc, const json_t *change)
{
	json_t *new = json_object_get(change, "new"), *old = json_object_get(change, "old");
	char key[256];
	json_t *at = parent_of(doc, json_string_value(json_object_get(change, "pointer")), key);
	size_t i = strtoul(key, NULL, 10);

	if (json_is_object(at))
		new != NULL ? json_object_set_new(at, key, json_deep_copy(new))
			    : json_object_del(at, key);
	else if (old == NULL)
		json_array_insert_new(at, i, json_deep_copy(new));
	else if (new == NULL)
		json_array_remove(at, i);
	else
		json_array_set_new(at, i, json_deep_copy(new));
}

/* Removals from arrays count places in the old document: last first. */
static json_t *
applied(const json_t *from, const struct pst_diff *d)
{
	json_t *doc = json_deep_copy(from);
	size_t n = json_array_size(d->changes);

	for (size_t i = 0; i < n; i++)
		if (json_object_get(json_array_get(d->changes, i), "new") != NULL)
			apply_one(doc, json_array_get(d->changes, i));
	for (size_t i = n; i-- > 0;)
		if (json_object_get(json_array_get(d->changes, i), "new") == NULL)
			apply_one(doc, json_array_get(d->changes, i));
	return doc;
}

static uint32_t seed;

static uint32_t
dice(uint32_t sides)
{
	seed = seed * 1664525 + 1013904223;
	return (seed >> 8) % sides;
}

static json_t *
random_value(unsigned depth)
{
	static const char *const keys[] = {"a", "b", "a/b", "~", "0", "c d"};
	json_t *v;

	switch (dice(depth == 0 ? 3 : 5)) {
	case 0:
		return json_integer(dice(3));
	case 1:
		return dice(2) ? json_true() : json_null();
	case 2:
		return json_string(dice(2) ? "x" : "y");
	case 3:
		v = json_array();
		for (unsigned n = dice(5); n > 0; n--)
			json_array_append_new(v, random_value(depth - 1));
		return v;
	default:
		v = json_object();
		for (unsigned n = dice(5); n > 0; n--)
			json_object_set_new(v, keys[dice(6)], random_value(depth - 1));
		return v;
	}
}

Test(diff, applied_to_the_old_document_makes_the_new_one)
{
	for (seed = 1; seed < 3000; seed += 7) {
		json_t *from = json_pack("{s:o}", "root", random_value(4));
		json_t *to = json_pack("{s:o}", "root", random_value(4)), *made;
		struct pst_diff d;
		uint32_t was = seed;

		pst_diff(&d, from, to);
		made = applied(from, &d);
		cr_expect(json_equal(made, to), "seed %u", was);
		cr_expect_eq(d.total == 0, json_equal(from, to), "seed %u", was);
		json_decref(made);
		json_decref(from);
		json_decref(to);
		pst_diff_fini(&d);
		seed = was;
	}
}

Test(diff, lists_a_thousand_and_counts_the_rest)
{
	json_t *from = json_object(), *to = json_object();
	struct pst_diff d;
	char *summary, key[16];

	for (int i = 0; i < 5000; i++) {
		snprintf(key, sizeof(key), "k%d", i);
		json_object_set_new(to, key, json_integer(i));
	}
	pst_diff(&d, from, to);
	summary = pst_diff_summary(&d);
	cr_expect_eq(d.total, 5000);
	cr_expect_eq(json_array_size(d.changes), PST_DIFF_MAX);
	cr_expect_str_eq(summary, "5000 changes: /k0, /k1, /k2, ...");
	free(summary);
	pst_diff_fini(&d);
	json_decref(from);
	json_decref(to);
}

Test(diff, a_pointer_longer_than_any_is_cut_and_harms_nothing)
{
	char *key = calloc(1, 100001);
	json_t *from = json_object(), *to = json_object();
	struct pst_diff d;

	memset(key, '/', 100000);
	json_object_set_new(to, key, json_true());
	pst_diff(&d, from, to);
	cr_expect_eq(d.total, 1);
	pst_diff_fini(&d);
	json_decref(from);
	json_decref(to);
	free(key);
}
