/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Content as 128 bits: two SipHashes with fixed keys, each over what came before and
 * the new piece. For telling configurations apart; what goes in is the operator's.
 */
#ifndef DIGEST_H
#define DIGEST_H

#include <pst_rand.h>
#include <string.h>

struct digest {
	uint64_t h[2];
};

#define DIGEST_PIECE 512

/* Any length; a long content may come in pieces, cut anywhere but always alike. */
static inline void
digest_add(struct digest *d, const void *p, size_t n)
{
	static const struct pst_sipkey k[2] = {{{1, 2}}, {{3, 4}}};
	uint64_t piece[3 + DIGEST_PIECE / 8];
	const uint8_t *at = p;

	do {
		size_t part = n < DIGEST_PIECE ? n : DIGEST_PIECE;

		piece[0] = d->h[0];
		piece[1] = d->h[1];
		piece[2] = n;
		if (part > 0)
			memcpy(&piece[3], at, part);
		for (unsigned i = 0; i < 2; i++)
			d->h[i] = pst_siphash(&k[i], piece, 24 + part);
		at += part;
		n -= part;
	} while (n > 0);
}

/* NULL and "" differ; the length that goes in keeps neighbours apart. */
static inline void
digest_text(struct digest *d, const char *s)
{
	digest_add(d, s, s != NULL ? strlen(s) + 1 : 0);
}

static inline void
digest_number(struct digest *d, uint64_t v)
{
	digest_add(d, &v, sizeof(v));
}

static inline bool
digest_eq(const struct digest *a, const struct digest *b)
{
	return a->h[0] == b->h[0] && a->h[1] == b->h[1];
}

#endif
