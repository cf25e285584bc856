/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Are two configurations the same in what is fixed at start? Follows the tables, so that
 * what is compared is what was meant: a default written out is no change, nor is a comment.
 */
#include "config_walk.h"

#include <string.h>

#include "config_scan.h"

struct same {
	pst_config_different *report;
	void *arg;
	unsigned n;
	bool fixed; /* inside a row that is */
	size_t len;
	char pointer[1024];
};

static void same_members(
	struct same *s, const struct pst_key_type *type, const char *a, const char *b);

static bool
same_text(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static const char *
text_at(const void *p)
{
	const char *s;

	memcpy(&s, p, sizeof(s));
	return s;
}

static unsigned
count_at(const struct pst_key *k, const char *p)
{
	unsigned n;

	memcpy(&n, p + k->count, sizeof(n));
	return n;
}

static bool
same_prefix(const struct pst_prefix *a, const struct pst_prefix *b)
{
	return a->len == b->len && pst_ip_eq(&a->ip, &b->ip);
}

static bool
same_options(const struct pst_key *k, const char *a, const char *b)
{
	unsigned n = count_at(k, a);
	const struct pst_config_opt *x = (const void *)text_at(a + k->offset);
	const struct pst_config_opt *y = (const void *)text_at(b + k->offset);

	if (n != count_at(k, b))
		return false;
	for (unsigned i = 0; i < n; i++)
		if (!same_text(x[i].key, y[i].key) || !same_text(x[i].value, y[i].value))
			return false;
	return true;
}

static bool
same_texts(const struct pst_key *k, const char *a, const char *b)
{
	unsigned n = count_at(k, a);
	const char *const *x = (const void *)(a + k->offset), *const *y =
								      (const void *)(b + k->offset);

	if (k->size == 0) {
		memcpy(&x, a + k->offset, sizeof(x));
		memcpy(&y, b + k->offset, sizeof(y));
	}
	if (n != count_at(k, b))
		return false;
	for (unsigned i = 0; i < n; i++)
		if (!same_text(x[i], y[i]))
			return false;
	return true;
}

static bool
same_list(const struct pst_key *k, const char *a, const char *b)
{
	unsigned n = count_at(k, a);
	const unsigned *ua = (const void *)(a + k->offset), *ub = (const void *)(b + k->offset);
	const struct pst_prefix *pa = (const void *)ua, *pb = (const void *)ub;

	if (n != count_at(k, b))
		return false;
	for (unsigned i = 0; i < n; i++)
		if (k->kind == PST_KEY_UINTS ? ua[i] != ub[i] : !same_prefix(&pa[i], &pb[i]))
			return false;
	return true;
}

static bool
same_leaf(const struct pst_key *k, const char *a, const char *b)
{
	switch (k->kind) {
	case PST_KEY_TEXT:
	case PST_KEY_FILE:
		return same_text(text_at(a + k->offset), text_at(b + k->offset));
	case PST_KEY_PREFIX:
		return same_prefix((const void *)(a + k->offset), (const void *)(b + k->offset));
	case PST_KEY_UINTS:
	case PST_KEY_PREFIXES:
		return same_list(k, a, b);
	case PST_KEY_TEXTS:
		return same_texts(k, a, b);
	case PST_KEY_OPTIONS:
		return same_options(k, a, b);
	case PST_KEY_LATER:
	case PST_KEY_REFUSED:
	case PST_KEY_NEVER:
		return true;
	default:
		return memcmp(a + k->offset, b + k->offset, k->size) == 0;
	}
}

static size_t
enter(struct same *s, const char *key)
{
	size_t was = s->len;

	s->len = pst_config_pointer_add(s->pointer, s->len, sizeof(s->pointer), key, strlen(key));
	return was;
}

static void
leave(struct same *s, size_t len)
{
	s->pointer[s->len = len] = '\0';
}

static void
differs(struct same *s)
{
	s->report(s->arg, s->pointer);
	s->n++;
}

/* Element i of an array or a map. */
static const char *
element(const struct pst_key *k, const char *at, unsigned i)
{
	return text_at(at + k->offset) + i * k->type->size;
}

static void
same_array(struct same *s, const struct pst_key *k, const char *a, const char *b)
{
	unsigned na = count_at(k, a), nb = count_at(k, b);
	char index[24];

	for (unsigned i = 0; i < PST_MIN(na, nb); i++) {
		snprintf(index, sizeof(index), "%u", i);
		size_t was = enter(s, index);
		same_members(s, k->type, element(k, a, i), element(k, b, i));
		leave(s, was);
	}
	if (na != nb)
		differs(s);
}

/* What refers to an element of a map does so by its place: another order is another map. */
static void
same_map(struct same *s, const struct pst_key *k, const char *a, const char *b)
{
	unsigned n = count_at(k, a);
	bool same = n == count_at(k, b);

	for (unsigned i = 0; same && i < n; i++)
		same = same_text(text_at(element(k, a, i)), text_at(element(k, b, i)));
	if (!same)
		differs(s);
	for (unsigned i = 0; same && i < n; i++) {
		size_t was = enter(s, text_at(element(k, a, i)));
		same_members(s, k->type, element(k, a, i), element(k, b, i));
		leave(s, was);
	}
}

static void
same_member(struct same *s, const struct pst_key *k, const char *a, const char *b)
{
	size_t was = enter(s, k->name);
	bool outside = !s->fixed;

	s->fixed |= k->restart;
	/* Elements have no row of their own that is fixed. */
	if (k->kind == PST_KEY_OBJECT)
		same_members(s, k->type, a + k->offset, b + k->offset);
	else if (s->fixed && k->kind == PST_KEY_ARRAY)
		same_array(s, k, a, b);
	else if (s->fixed && k->kind == PST_KEY_MAP)
		same_map(s, k, a, b);
	else if (s->fixed && !same_leaf(k, a, b))
		differs(s);
	s->fixed = !outside;
	leave(s, was);
}

static void
same_members(struct same *s, const struct pst_key_type *type, const char *a, const char *b)
{
	for (const struct pst_key *k = type->keys; k->name != NULL; k++)
		same_member(s, k, a, b);
}

unsigned
pst_config_compare(const struct pst_config *a, const struct pst_config *b,
	pst_config_different *report, void *arg)
{
	struct same s = {.report = report, .arg = arg};

	same_members(&s, &pst_config_type, (const char *)a, (const char *)b);
	return s.n;
}
