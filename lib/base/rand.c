/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * SipHash-2-4 as published (Aumasson and Bernstein, "SipHash: a fast short-input
 * PRF", 2012) and the generator on top of it: word i of the stream is
 * SipHash(key, i), so a stream is as unpredictable as its key.
 */
#include <pst_rand.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

struct sip {
	uint64_t v0, v1, v2, v3;
};

static inline uint64_t
rotl(uint64_t x, unsigned n)
{
	return x << n | x >> (64 - n);
}

static inline void
sip_round(struct sip *s)
{
	s->v0 += s->v1;
	s->v1 = rotl(s->v1, 13) ^ s->v0;
	s->v0 = rotl(s->v0, 32);
	s->v2 += s->v3;
	s->v3 = rotl(s->v3, 16) ^ s->v2;
	s->v0 += s->v3;
	s->v3 = rotl(s->v3, 21) ^ s->v0;
	s->v2 += s->v1;
	s->v1 = rotl(s->v1, 17) ^ s->v2;
	s->v2 = rotl(s->v2, 32);
}

static inline void
sip_word(struct sip *s, uint64_t m)
{
	s->v3 ^= m;
	sip_round(s);
	sip_round(s);
	s->v0 ^= m;
}

static inline uint64_t
load_le64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	v = __builtin_bswap64(v);
#endif
	return v;
}

uint64_t
pst_siphash(const struct pst_sipkey *key, const void *p, size_t n)
{
	struct sip s = {key->k[0] ^ 0x736f6d6570736575ull, key->k[1] ^ 0x646f72616e646f6dull,
		key->k[0] ^ 0x6c7967656e657261ull, key->k[1] ^ 0x7465646279746573ull};
	const uint8_t *b = p;
	uint64_t last = (uint64_t)n << 56;
	size_t whole = n & ~(size_t)7;

	for (size_t i = 0; i < whole; i += 8)
		sip_word(&s, load_le64(b + i));
	for (size_t i = whole; i < n; i++)
		last |= (uint64_t)b[i] << (8 * (i - whole));
	sip_word(&s, last);
	s.v2 ^= 0xff;
	for (int i = 0; i < 4; i++)
		sip_round(&s);
	return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

void
pst_rand_init(struct pst_rand *r)
{
	uint8_t *p = (uint8_t *)&r->key;
	size_t have = 0;

	r->counter = 0;
	while (have < sizeof(r->key)) {
		ssize_t n = getrandom(p + have, sizeof(r->key) - have, 0);

		if (n > 0)
			have += (size_t)n;
		else if (errno != EINTR)
			abort(); /* a kernel without getrandom: no secret can be made, at start */
	}
}

void
pst_rand_seed(struct pst_rand *r, uint64_t seed)
{
	*r = (struct pst_rand){.key = {{seed, ~seed}}};
}

uint64_t
pst_rand_u64(struct pst_rand *r)
{
	uint64_t i = r->counter++;

	return pst_siphash(&r->key, &i, sizeof(i));
}

uint32_t
pst_rand_below(struct pst_rand *r, uint32_t bound)
{
	/* Multiply and shift; values of the uneven rest are drawn again (Lemire 2019). */
	uint64_t m = (uint64_t)(uint32_t)pst_rand_u64(r) * bound;

	if ((uint32_t)m < bound) {
		uint32_t floor = -bound % bound;

		while ((uint32_t)m < floor)
			m = (uint64_t)(uint32_t)pst_rand_u64(r) * bound;
	}
	return (uint32_t)(m >> 32);
}
