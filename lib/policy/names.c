/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A table of names: a domain as itself, "*.example.com" as ".example.com". Open
 * addressing, at most half full; a slot holds the hash, so a miss rarely leaves the slot's
 * cache line, and a hit reads one record more. In a large table each of those reads is a cache
 * miss: a caller may announce a question before it asks, and what the owner keeps
 * for a name comes together with the record.
 *
 * The parents of a name are asked from the longest. The table remembers which numbers
 * of labels its parents have, so a name of a hundred labels asks no more often than one of
 * three if nobody wrote such long rules.
 */
#include "policy_int.h"
#include <stdlib.h>

bool
policy_names_init(struct policy_names *t, size_t cap)
{
	size_t slots = 4;

	while (slots < 2 * cap)
		slots *= 2;
	if (cap >= UINT32_MAX / 4)
		return false;
	t->mask = (uint32_t)slots - 1;
	t->cap = (unsigned)cap;
	t->len = 1;    /* offset 0 says "free" */
	t->meant = ""; /* nothing */
	t->room = 64 + 32 * cap;
	t->slots = calloc(slots, sizeof(*t->slots));
	t->at = calloc(cap + 1, sizeof(*t->at));
	t->text = calloc(1, t->room);
	return t->slots != NULL && t->at != NULL && t->text != NULL;
}

void
policy_names_fini(struct policy_names *t)
{
	free(t->slots);
	free(t->at);
	free(t->text);
}

size_t
policy_names_bytes(const struct policy_names *t)
{
	return t->slots == NULL ? 0
				: ((size_t)t->mask + 1) * sizeof(*t->slots) +
					  ((size_t)t->cap + 1) * sizeof(*t->at) + t->room;
}

int64_t
policy_names_find(const struct policy_names *t, uint32_t hash, const char *s, unsigned n)
{
	const struct policy_name_slot *slot;

	if (t->n == 0)
		return -1;
	for (uint32_t at = hash & t->mask; (slot = &t->slots[at])->at != 0;
		at = (at + 1) & t->mask) {
		if (slot->hash != hash || slot->n != n)
			continue;
		__builtin_prefetch(t->meant + slot->id * t->meant_size);
		if (memcmp(t->text + slot->at, s, n) == 0)
			return slot->id;
	}
	return -1;
}

unsigned
policy_names_labels(const struct policy_names *t)
{
	if (t->below[1] != 0)
		return 127 - (unsigned)__builtin_clzll(t->below[1]);
	return t->below[0] != 0 ? 63 - (unsigned)__builtin_clzll(t->below[0]) : 0;
}

/* ---- announcements ---- */

#define EXPECT_MAX 4 /* parents */

/* Hashes of the name and of the first few parents that the table may have. */
static unsigned
expected(const struct policy_names *t, const struct policy_query *q, uint32_t h[EXPECT_MAX + 1])
{
	unsigned n = 0;

	if (t->n == 0)
		return 0;
	h[n++] = q->hash;
	for (unsigned labels = q->dots; labels > 0 && n <= EXPECT_MAX; labels--)
		if ((t->below[labels / 64] >> (labels % 64) & 1) != 0)
			h[n++] = q->at_dot[labels - 1];
	return n;
}

void
policy_names_expect(const struct policy_names *t, const struct policy_query *q)
{
	uint32_t h[EXPECT_MAX + 1];
	unsigned n = expected(t, q, h);

	for (unsigned i = 0; i < n; i++)
		__builtin_prefetch(&t->slots[h[i] & t->mask]);
}

void
policy_names_expect_more(const struct policy_names *t, const struct policy_query *q)
{
	uint32_t h[EXPECT_MAX + 1];
	unsigned n = expected(t, q, h);

	for (unsigned i = 0; i < n; i++) {
		const struct policy_name_slot *slot = &t->slots[h[i] & t->mask];

		if (slot->hash != h[i])
			continue;
		__builtin_prefetch(t->text + slot->at);
		__builtin_prefetch(t->meant + slot->id * t->meant_size);
	}
}

/* ---- building ---- */

static bool
make_room(struct policy_names *t, size_t more)
{
	char *text;
	size_t room = t->room;

	while (room < t->len + more)
		room *= 2;
	if (room == t->room)
		return true;
	if (room > UINT32_MAX || (text = realloc(t->text, room)) == NULL)
		return false;
	t->text = text;
	t->room = room;
	return true;
}

static void
note_labels(struct policy_names *t, const char *s, unsigned n)
{
	unsigned labels = 0;

	for (unsigned i = 0; i < n; i++)
		labels += s[i] == '.';
	if (labels < POLICY_LABELS)
		t->below[labels / 64] |= 1ull << (labels % 64);
}

int64_t
policy_names_add(struct policy_names *t, const char *s, unsigned n)
{
	struct policy_query q;
	uint32_t id = t->n, at;
	int64_t old;

	if (n > POLICY_DOMAIN_MAX)
		return -1;
	policy_query_key(&q, s, n);
	if ((old = policy_names_exact(t, &q)) >= 0)
		return old;
	if (t->n >= t->cap || !make_room(t, n + 1))
		return -1;
	memcpy(t->text + t->len, s, n);
	t->text[t->len + n] = 0;
	for (at = q.hash & t->mask; t->slots[at].at != 0;)
		at = (at + 1) & t->mask;
	t->slots[at] =
		(struct policy_name_slot){.hash = q.hash, .at = (uint32_t)t->len, .id = id, .n = n};
	t->at[t->n++] = (uint32_t)t->len;
	t->len += n + 1;
	if (n > 0 && s[0] == '.')
		note_labels(t, s, n);
	return id;
}

const char *
policy_names_text(const struct policy_names *t, unsigned id)
{
	return t->text + t->at[id];
}

int64_t
policy_names_exact(const struct policy_names *t, const struct policy_query *q)
{
	return policy_names_find(t, q->hash, q->d.s, q->d.n);
}

int64_t
policy_names_parent(const struct policy_names *t, const struct policy_query *q, unsigned *k)
{
	while (*k > 0) {
		unsigned labels = (*k)--, from = q->dot[labels - 1];
		int64_t id;

		if ((t->below[labels / 64] >> (labels % 64) & 1) == 0)
			continue;
		id = policy_names_find(t, q->at_dot[labels - 1], q->d.s + from, q->d.n - from);
		if (id >= 0)
			return id;
	}
	return -1;
}
