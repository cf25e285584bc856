/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of lib/policy share: domains in the one form in which they are compared. */
#ifndef PST_POLICY_INT_H
#define PST_POLICY_INT_H

#include <pst_policy.h>

#define POLICY_DOMAIN_MAX 255 /* RFC 1035 2.3.4 */
#define POLICY_LABEL_MAX  63
#define POLICY_LABELS     128

/* Lower case, no trailing dot; an address literal as "[" RFC 5952 text "]". */
struct policy_domain {
	char s[POLICY_DOMAIN_MAX + 1];
	unsigned n;
	bool literal;
};

/* False if it is longer than any domain. An address literal that is none stays as it is. */
bool policy_domain_fold(struct policy_domain *d, struct pst_span in);

/* NULL if d may stand in a route table (without its "*."), else what is wrong with it. */
const char *policy_domain_fault(const struct policy_domain *d);

/*
 * A hash that is computed from the last byte to the first, so that one pass over a
 * domain gives the hash of every parent on the way.
 */
#define POLICY_HASH_INIT 0x9e3779b97f4a7c15ull
static inline uint64_t
policy_hash_step(uint64_t h, char c)
{
	return (h ^ (uint8_t)c) * 0x100000001b3ull;
}
static inline uint32_t
policy_hash_end(uint64_t h)
{
	h ^= h >> 29;
	h *= 0xbf58476d1ce4e5b9ull;
	return (uint32_t)(h >> 32);
}

#endif
