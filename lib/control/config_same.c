/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Are two configurations the same in a section? Follows the tables, so that what is
 * compared is what was meant: a default written out is no change, nor is a comment.
 */
#include "config_walk.h"

#include <string.h>

#include "config_scan.h"

struct same {
	pst_config_different *report;
	void *arg;
	unsigned n;
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

static void
same_array(struct same *s, const struct pst_key *k, const char *a, const char *b)
{
	unsigned na = count_at(k, a), nb = count_at(k, b);
	size_t was = s->len, size = k->type->size;
	char index[24];

	for (unsigned i = 0; i < PST_MIN(na, nb); i++) {
		snprintf(index, sizeof(index), "%u", i);
		s->len = pst_config_pointer_add(
			s->pointer, s->len, sizeof(s->pointer), index, strlen(index));
		same_members(s, k->type, text_at(a + k->offset) + i * size,
			text_at(b + k->offset) + i * size);
		s->pointer[s->len = was] = '\0';
	}
	if (na != nb) {
		s->report(s->arg, s->pointer);
		s->n++;
	}
}

static void
same_member(struct same *s, const struct pst_key *k, const char *a, const char *b)
{
	size_t was = s->len;

	s->len = pst_config_pointer_add(
		s->pointer, s->len, sizeof(s->pointer), k->name, strlen(k->name));
	if (k->kind == PST_KEY_OBJECT) {
		same_members(s, k->type, a + k->offset, b + k->offset);
	} else if (k->kind == PST_KEY_ARRAY || k->kind == PST_KEY_MAP) {
		same_array(s, k, a, b);
	} else if (!same_leaf(k, a, b)) {
		s->report(s->arg, s->pointer);
		s->n++;
	}
	s->pointer[s->len = was] = '\0';
}

static void
same_members(struct same *s, const struct pst_key_type *type, const char *a, const char *b)
{
	for (const struct pst_key *k = type->keys; k->name != NULL; k++)
		same_member(s, k, a, b);
}

unsigned
pst_config_compare(const struct pst_config *a, const struct pst_config *b, const char *section,
	pst_config_different *report, void *arg)
{
	struct same s = {.report = report, .arg = arg};

	for (const struct pst_key *k = pst_config_type.keys; k->name != NULL; k++)
		if (strcmp(k->name, section) == 0)
			same_member(&s, k, (const char *)a, (const char *)b);
	return s.n;
}
