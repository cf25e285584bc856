/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Objects are compared member by member, arrays from both ends: what is equal in
 * front and behind is set aside, the rest is compared in pairs, and what then is
 * left over was added or removed. An element put into the middle is one change.
 * Depth is that of a configuration (32 at most).
 */
#include "diff.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config_scan.h"

#define POINTER_MAX 4096

struct walk {
	struct pst_diff *d;
	size_t len;
	char pointer[POINTER_MAX];
};

static void compare(struct walk *w, const json_t *from, const json_t *to);

static size_t
enter(struct walk *w, const char *key)
{
	size_t was = w->len;

	w->len = pst_config_pointer_add(w->pointer, w->len, sizeof(w->pointer), key, strlen(key));
	return was;
}

static void
leave(struct walk *w, size_t len)
{
	w->len = len;
	w->pointer[len] = '\0';
}

static void
note(struct walk *w, const json_t *old, const json_t *new)
{
	json_t *change;

	if (w->d->total++ >= PST_DIFF_MAX)
		return;
	change = json_pack("{s:s}", "pointer", w->pointer);
	if (change != NULL && old != NULL)
		json_object_set(change, "old", (json_t *)old);
	if (change != NULL && new != NULL)
		json_object_set(change, "new", (json_t *)new);
	json_array_append_new(w->d->changes, change);
}

static void
member(struct walk *w, const char *key, const json_t *old, const json_t *new)
{
	size_t was = enter(w, key);

	if (old == NULL || new == NULL)
		note(w, old, new);
	else
		compare(w, old, new);
	leave(w, was);
}

static void
compare_objects(struct walk *w, const json_t *from, const json_t *to)
{
	const char *key;
	json_t *v;

	json_object_foreach((json_t *)from, key, v) member(w, key, v, json_object_get(to, key));
	json_object_foreach((json_t *)to, key, v)
	{
		if (json_object_get(from, key) == NULL)
			member(w, key, NULL, v);
	}
}

static void
element(struct walk *w, size_t i, const json_t *old, const json_t *new)
{
	char index[24];

	snprintf(index, sizeof(index), "%zu", i);
	member(w, index, old, new);
}

static void
compare_arrays(struct walk *w, const json_t *from, const json_t *to)
{
	size_t nf = json_array_size(from), nt = json_array_size(to), i = 0;

	while (i < nf && i < nt && json_equal(json_array_get(from, i), json_array_get(to, i)))
		i++;
	while (nf > i && nt > i &&
		json_equal(json_array_get(from, nf - 1), json_array_get(to, nt - 1))) {
		nf--;
		nt--;
	}
	for (; i < nf || i < nt; i++)
		element(w, i, i < nf ? json_array_get(from, i) : NULL,
			i < nt ? json_array_get(to, i) : NULL);
}

static void
compare(struct walk *w, const json_t *from, const json_t *to)
{
	if (json_is_object(from) && json_is_object(to))
		compare_objects(w, from, to);
	else if (json_is_array(from) && json_is_array(to))
		compare_arrays(w, from, to);
	else if (!json_equal(from, to))
		note(w, from, to);
}

void
pst_diff(struct pst_diff *d, const json_t *from, const json_t *to)
{
	struct walk w = {.d = d};

	*d = (struct pst_diff){.changes = json_array()};
	compare(&w, from, to);
}

void
pst_diff_fini(struct pst_diff *d)
{
	json_decref(d->changes);
	*d = (struct pst_diff){0};
}

char *
pst_diff_summary(const struct pst_diff *d)
{
	char text[512];
	int n;

	if (d->total == 0)
		return strdup("no change");
	n = snprintf(text, sizeof(text), "%u change%s", d->total, d->total == 1 ? "" : "s");
	for (size_t i = 0; i < json_array_size(d->changes) && i < 3; i++)
		n += snprintf(text + n, sizeof(text) - (size_t)n, "%s%.100s", i == 0 ? ": " : ", ",
			json_string_value(
				json_object_get(json_array_get(d->changes, i), "pointer")));
	if (d->total > 3)
		snprintf(text + n, sizeof(text) - (size_t)n, ", ...");
	return strdup(text);
}
