/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * SipHash-2-4 (Aumasson and Bernstein 2012) for keyed hashes that a peer must
 * not predict or collide, and a generator for choices that need no secrecy
 * (jitter, port probing) or that are secret by key (SipHash in counter mode).
 */
#ifndef PST_RAND_H
#define PST_RAND_H

#include <pst_base.h>

struct pst_sipkey {
	uint64_t k[2];
};

uint64_t pst_siphash(const struct pst_sipkey *key, const void *p, size_t n);

struct pst_rand {
	struct pst_sipkey key;
	uint64_t counter;
};

/* From getrandom(2); blocks only before the kernel's pool is seeded. */
void pst_rand_init(struct pst_rand *r);
/* Repeatable, for tests and the simulator. */
void pst_rand_seed(struct pst_rand *r, uint64_t seed);
uint64_t pst_rand_u64(struct pst_rand *r);
uint32_t pst_rand_below(struct pst_rand *r, uint32_t bound); /* 0..bound-1; bound > 0 */

#endif
