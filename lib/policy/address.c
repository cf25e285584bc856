/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A table of addresses with a tag: the length of a network, or a port. Open
 * addressing, at most half full.
 */
#include "policy_int.h"
#include <stdlib.h>

bool
policy_addresses_init(struct policy_addresses *t, size_t cap)
{
	size_t slots = 4;

	while (slots < 2 * cap)
		slots *= 2;
	t->mask = (uint32_t)slots - 1;
	t->slots = calloc(slots, sizeof(*t->slots));
	return t->slots != NULL;
}

void
policy_addresses_fini(struct policy_addresses *t)
{
	free(t->slots);
}

size_t
policy_addresses_bytes(const struct policy_addresses *t)
{
	return t->slots == NULL ? 0 : ((size_t)t->mask + 1) * sizeof(*t->slots);
}

/* Two multiplications: the tables are the operator's, only the question is a stranger's. */
static uint32_t
hash_address(const struct pst_ip *ip, unsigned tag)
{
	uint64_t a, b;

	memcpy(&a, ip->b, 8);
	memcpy(&b, ip->b + 8, 8);
	a = (a ^ tag) * 0x9e3779b97f4a7c15ull;
	a = (a ^ (a >> 32) ^ b) * 0xbf58476d1ce4e5b9ull;
	return (uint32_t)(a >> 32);
}

uint32_t *
policy_addresses_find(const struct policy_addresses *t, const struct pst_ip *ip, unsigned tag)
{
	struct policy_address_slot *s;

	if (t->n == 0)
		return NULL;
	for (uint32_t at = hash_address(ip, tag) & t->mask; (s = &t->slots[at])->used;
		at = (at + 1) & t->mask)
		if (s->tag == tag && pst_ip_eq(&s->ip, ip))
			return &s->value;
	return NULL;
}

void
policy_addresses_add(
	struct policy_addresses *t, const struct pst_ip *ip, unsigned tag, uint32_t value)
{
	uint32_t at = hash_address(ip, tag) & t->mask;

	while (t->slots[at].used)
		at = (at + 1) & t->mask;
	t->slots[at] = (struct policy_address_slot){
		.ip = *ip, .tag = (uint16_t)tag, .used = true, .value = value};
	t->n++;
}
