/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A table of names: a domain as itself, "*.example.com" as ".example.com". Open
 * addressing, at most half full; a slot holds the hash, so a miss rarely leaves the slot's
 * cache line, and a hit reads one record more.
 *
 * The parents of a name are asked from the longest. The table remembers which numbers
 * of labels its parents have, so a name of a hundred labels asks no more often than one of
 * three if nobody wrote such long rules.
 */
#include "policy_int.h"
#include <stdlib.h>

#define RECORD_HEAD 5

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
	t->len = 1; /* offset 0 says "free" */
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
		const uint8_t *r = t->text + slot->at;
		uint32_t id;

		if (slot->hash != hash || r[4] != n || memcmp(r + RECORD_HEAD, s, n) != 0)
			continue;
		memcpy(&id, r, sizeof(id));
		return id;
	}
	return -1;
}

static uint32_t
hash_name(const char *s, unsigned n)
{
	uint64_t h = POLICY_HASH_INIT;

	while (n > 0)
		h = policy_hash_step(h, s[--n]);
	return policy_hash_end(h);
}

static bool
make_room(struct policy_names *t, size_t more)
{
	uint8_t *text;
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
	uint32_t hash = hash_name(s, n), id = t->n, at = hash & t->mask;
	int64_t old = policy_names_find(t, hash, s, n);
	uint8_t *r;

	if (old >= 0)
		return old;
	if (t->n >= t->cap || n > UINT8_MAX || !make_room(t, RECORD_HEAD + n + 1))
		return -1;
	r = t->text + t->len;
	memcpy(r, &id, sizeof(id));
	r[4] = (uint8_t)n;
	memcpy(r + RECORD_HEAD, s, n);
	r[RECORD_HEAD + n] = 0;
	while (t->slots[at].at != 0)
		at = (at + 1) & t->mask;
	t->slots[at] = (struct policy_name_slot){.hash = hash, .at = (uint32_t)t->len};
	t->at[t->n++] = (uint32_t)t->len;
	t->len += RECORD_HEAD + n + 1;
	if (n > 0 && s[0] == '.')
		note_labels(t, s, n);
	return id;
}

const char *
policy_names_text(const struct policy_names *t, unsigned id)
{
	return (const char *)t->text + t->at[id] + RECORD_HEAD;
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
