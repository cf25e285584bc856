/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Follows the tables through a JSON document: which keys there are, which are
 * missing, which nobody knows, and down into objects. Leaves are config_value.c's.
 *
 * Members are read in the order of their rows, not of the document: a row that
 * refers to another section stands behind it, so names can be looked up at once.
 * Every fault is noted and reading goes on; a value at fault keeps its zero.
 */
#include "config_walk.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config_scan.h"

/* ---- where we are ---- */

size_t
pst_config_enter(struct pst_config_walk *w, const char *key)
{
	size_t was = w->len;

	w->len = pst_config_pointer_add(w->pointer, w->len, sizeof(w->pointer), key, strlen(key));
	return was;
}

size_t
pst_config_enter_index(struct pst_config_walk *w, size_t index)
{
	char text[24];

	snprintf(text, sizeof(text), "%zu", index);
	return pst_config_enter(w, text);
}

void
pst_config_leave(struct pst_config_walk *w, size_t len)
{
	w->len = len;
	w->pointer[len] = '\0';
}

void
pst_config_fault(struct pst_config_walk *w, const char *key, const char *fmt, ...)
{
	char text[1024], pointer[sizeof(w->pointer) + 256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	snprintf(pointer, sizeof(pointer), "%s%s%s", w->pointer, key != NULL ? "/" : "",
		key != NULL ? key : "");
	pst_config_report_add(w->report, pointer, "%s", text);
	w->faults++;
}

void
pst_config_nomem(struct pst_config_walk *w)
{
	pst_config_fault(w, NULL, "out of memory");
}

bool
pst_config_faulty(const struct pst_config_walk *w, const char *pointer)
{
	size_t n = strlen(pointer);

	for (unsigned i = 0; i < w->report->n; i++) {
		const char *p = w->report->faults[i].pointer;
		if (strncmp(p, pointer, n) == 0 && (p[n] == '\0' || p[n] == '/'))
			return true;
	}
	return false;
}

/* ---- keys ---- */

static bool
is_comment(const char *name)
{
	return strcmp(name, "_comment") == 0;
}

static void
check_comment(struct pst_config_walk *w, const json_t *v)
{
	size_t i;
	const json_t *line;

	if (json_is_string(v))
		return;
	if (!json_is_array(v)) {
		pst_config_fault(w, "_comment", "must be a string or an array of strings, not %s",
			pst_config_json_kind(v));
		return;
	}
	json_array_foreach(v, i, line)
	{
		if (!json_is_string(line))
			pst_config_fault(w, "_comment", "line %zu must be a string, not %s", i,
				pst_config_json_kind(line));
	}
}

static const struct pst_key *
find_key(const struct pst_key *keys, const char *name)
{
	for (; keys->name != NULL; keys++)
		if (strcmp(keys->name, name) == 0)
			return keys;
	return NULL;
}

/* Typing errors that keep the length or lose or add one letter: enough for a hint. */
static bool
resembles(const char *a, const char *b)
{
	size_t na = strlen(a), nb = strlen(b), head = 0, tail = 0;

	while (a[head] != '\0' && a[head] == b[head])
		head++;
	while (tail + head < na && tail + head < nb && a[na - 1 - tail] == b[nb - 1 - tail])
		tail++;
	return na > 2 && na - head - tail <= 2 && nb - head - tail <= 2;
}

static void
unknown_key(struct pst_config_walk *w, const struct pst_key *keys, const char *name)
{
	const struct pst_key *k = keys;
	size_t was = pst_config_enter(w, name);

	while (k->name != NULL && !resembles(name, k->name))
		k++;
	if (k->name != NULL)
		pst_config_fault(w, NULL, "unknown key; did you mean \"%s\"?", k->name);
	else
		pst_config_fault(w, NULL, "unknown key");
	pst_config_leave(w, was);
}

static void
check_unknown(struct pst_config_walk *w, const struct pst_key *keys, const json_t *obj)
{
	const char *name;
	json_t *v;

	json_object_foreach((json_t *)obj, name, v)
	{
		if (is_comment(name))
			check_comment(w, v);
		else if (find_key(keys, name) == NULL)
			unknown_key(w, keys, name);
	}
}

/* ---- objects ---- */

static void walk_object(
	struct pst_config_walk *w, const struct pst_key_type *type, const json_t *obj, void *at);

static void
walk_member(struct pst_config_walk *w, const struct pst_key_type *type, const json_t *v, void *at)
{
	if (v != NULL && !json_is_object(v))
		pst_config_fault(w, NULL, "must be an object, not %s", pst_config_json_kind(v));
	else
		walk_object(w, type, v, at);
}

bool
pst_config_says_nothing(const json_t *v)
{
	const char *name;
	json_t *item;

	if (v == NULL || !json_is_object(v))
		return v == NULL;
	json_object_foreach((json_t *)v, name, item)
	{
		if (!is_comment(name))
			return false;
	}
	return true;
}

/* Room for n elements of k's type; the pointer goes to the row's member. */
static char *
allocate(struct pst_config_walk *w, const struct pst_key *k, size_t n, void *at)
{
	char *elems = pst_arena_alloc(w->arena, n * k->type->size);

	if (elems == NULL) {
		pst_config_nomem(w);
		return NULL;
	}
	memcpy((char *)at + k->offset, &elems, sizeof(elems));
	return elems;
}

static void
count_one(const struct pst_key *k, void *at)
{
	++*(unsigned *)((char *)at + k->count);
}

static void
walk_array(struct pst_config_walk *w, const struct pst_key *k, const json_t *v, void *at)
{
	const json_t *item;
	char *elems;
	size_t i;

	if (!json_is_array(v)) {
		pst_config_fault(w, NULL, "must be an array, not %s", pst_config_json_kind(v));
		return;
	}
	if (json_array_size(v) < k->min_items)
		pst_config_fault(w, NULL, "needs at least %u %s", k->min_items, k->type->what);
	if (k->max_items != 0 && json_array_size(v) > k->max_items) {
		pst_config_fault(w, NULL, "holds at most %u", k->max_items);
		return;
	}
	elems = allocate(w, k, json_array_size(v), at);
	if (elems == NULL)
		return;
	json_array_foreach(v, i, item)
	{
		size_t was = pst_config_enter_index(w, i);
		count_one(k, at);
		walk_member(w, k->type, item, elems + i * k->type->size);
		pst_config_leave(w, was);
	}
}

#define NAME_MAX_CHARS   64  /* where a type says nothing */
#define NAME_MAX_LONGEST 300 /* of all types */

static bool
name_key(char *buf, size_t size, const struct pst_key_type *type, const char *name)
{
	/* Longer than any name can be: not cut, which might turn it into another. */
	return (size_t)snprintf(buf, size, "%s\n%s", type->what, name) < size;
}

void
pst_config_name_set(struct pst_config_walk *w, const struct pst_key_type *type, const char *name,
	unsigned index)
{
	char key[64 + 4 * NAME_MAX_LONGEST];

	if (name_key(key, sizeof(key), type, name) &&
		json_object_set_new(w->names, key, json_integer(index)) != 0)
		pst_config_nomem(w);
}

long
pst_config_name_get(
	const struct pst_config_walk *w, const struct pst_key_type *type, const char *name)
{
	char key[64 + 4 * NAME_MAX_LONGEST];
	const json_t *found = NULL;

	if (name_key(key, sizeof(key), type, name))
		found = json_object_get(w->names, key);
	return found != NULL ? (long)json_integer_value(found) : -1;
}

static void
map_element(struct pst_config_walk *w, const struct pst_key *k, const char *name, const json_t *v,
	char *elem)
{
	size_t was = pst_config_enter(w, name);
	json_t *text = json_string(name);
	const char *copy = pst_config_text(w, NULL, text, k->type->names,
		k->type->names_max != 0 ? k->type->names_max : NAME_MAX_CHARS);

	json_decref(text);
	memcpy(elem, &copy, sizeof(copy)); /* the name is the first member */
	walk_member(w, k->type, v, elem);
	pst_config_leave(w, was);
}

/* The elements of one object; room for them was made. Returns where the next one goes. */
static char *
map_elements(
	struct pst_config_walk *w, const struct pst_key *k, const json_t *v, void *at, char *elem)
{
	const char *name;
	json_t *item;

	json_object_foreach((json_t *)v, name, item)
	{
		if (is_comment(name)) {
			check_comment(w, item);
			continue;
		}
		if (w->predefined && pst_config_name_get(w, k->type, name) >= 0) {
			size_t was = pst_config_enter(w, name);
			pst_config_fault(w, NULL,
				"predefined: the %s \"%s\" cannot be changed; clone it under "
				"another name",
				k->type->what, name);
			pst_config_leave(w, was);
			continue;
		}
		pst_config_name_set(w, k->type, name, *(unsigned *)((char *)at + k->count));
		count_one(k, at);
		map_element(w, k, name, item, elem);
		elem += k->type->size;
	}
	return elem;
}

static json_t *
built_in(struct pst_config_walk *w, const char *json)
{
	json_t *v = json != NULL ? json_loads(json, JSON_REJECT_DUPLICATES, NULL) : json_object();

	if (v == NULL)
		pst_config_nomem(w); /* tests read every text that is built in */
	return v;
}

static void
walk_map(struct pst_config_walk *w, const struct pst_key *k, const json_t *v, void *at)
{
	json_t *more = built_in(
		w, pst_config_says_nothing(v) && k->instead != NULL ? k->instead : k->predefined);
	char *elem;

	if (v != NULL && !json_is_object(v))
		pst_config_fault(w, NULL, "must be an object, not %s", pst_config_json_kind(v));
	elem = allocate(w, k, json_object_size(v) + json_object_size(more), at);
	if (elem != NULL && json_is_object(v))
		elem = map_elements(w, k, v, at, elem);
	w->predefined = true;
	if (elem != NULL && more != NULL)
		(void)map_elements(w, k, more, at, elem);
	w->predefined = false;
	json_decref(more);
}

static void
check_later(struct pst_config_walk *w, const json_t *v)
{
	const char *name;
	json_t *item;

	if (!json_is_object(v)) {
		pst_config_fault(w, NULL, "must be an object, not %s", pst_config_json_kind(v));
		return;
	}
	json_object_foreach((json_t *)v, name, item)
	{
		if (is_comment(name)) {
			check_comment(w, item);
			continue;
		}
		size_t was = pst_config_enter(w, name);
		pst_config_fault(w, NULL, "not yet available in this version");
		pst_config_leave(w, was);
	}
}

static void
walk_present(struct pst_config_walk *w, const struct pst_key *k, const json_t *v, void *at)
{
	switch (k->kind) {
	case PST_KEY_OBJECT:
		walk_member(w, k->type, v, (char *)at + k->offset);
		break;
	case PST_KEY_ARRAY:
		walk_array(w, k, v, at);
		break;
	case PST_KEY_MAP:
		walk_map(w, k, v, at);
		break;
	case PST_KEY_LATER:
		check_later(w, v);
		break;
	case PST_KEY_REFUSED:
		pst_config_fault(w, NULL, "%s", k->help);
		break;
	case PST_KEY_NEVER:
		if (!json_is_boolean(v))
			pst_config_fault(
				w, NULL, "must be true or false, not %s", pst_config_json_kind(v));
		else if (json_is_true(v))
			pst_config_fault(w, NULL, "%s", k->help);
		break;
	default:
		pst_config_value(w, k, v, at);
		break;
	}
}

static void
walk_key(struct pst_config_walk *w, const struct pst_key *k, const json_t *obj, void *at)
{
	const json_t *v = json_object_get(obj, k->name);
	size_t was;

	if (v == NULL && k->required) {
		pst_config_fault(w, k->name, "missing");
		return;
	}
	was = pst_config_enter(w, k->name);
	if (v != NULL || k->kind == PST_KEY_MAP)
		walk_present(w, k, v, at);
	else if (k->kind == PST_KEY_OBJECT)
		walk_object(w, k->type, NULL, (char *)at + k->offset);
	else
		pst_config_default(w, k, at);
	pst_config_leave(w, was);
}

/* obj NULL: nothing was said, so everything is at its default. */
static void
walk_object(struct pst_config_walk *w, const struct pst_key_type *type, const json_t *obj, void *at)
{
	for (const struct pst_key *k = type->keys; k->name != NULL; k++)
		walk_key(w, k, obj, at);
	if (obj != NULL)
		check_unknown(w, type->keys, obj);
	if (type->check != NULL)
		type->check(w, obj, at);
}

void
pst_config_walk(struct pst_config_walk *w, const json_t *obj)
{
	walk_member(w, &pst_config_type, obj, w->config);
}
