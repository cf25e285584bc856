/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Who owns a segment, computed a second time: the Toeplitz hash bit by bit, as the
 * definition has it, sharing no code with steer.c. A slip in one of the two shows up as
 * steer_wrong_owner instead of as a connection that two workers believe in.
 */
#include "net_impl.h"

/*
 * For each bit of the input that is set, the 32 key bits that begin at the same offset
 * are added (xor).
 */
uint32_t
owner_toeplitz(const uint8_t key[NET_KEY_LEN], const uint8_t *in, unsigned len)
{
	uint32_t window = net_be32(key), hash = 0;

	for (unsigned bit = 0; bit < len * 8; bit++) {
		unsigned next = bit + 32; /* the key bit that enters the window */
		if (in[bit / 8] & (0x80 >> bit % 8))
			hash ^= window;
		window <<= 1;
		if (next < NET_KEY_LEN * 8 && (key[next / 8] & (0x80 >> next % 8)) != 0)
			window |= 1;
	}
	return hash;
}

unsigned
pst_net_owner_check(const struct pst_net *n, const struct pst_ip *src, const struct pst_ip *dst,
	uint16_t sport, uint16_t dport)
{
	const struct pst_fabric *f = n->f;
	const struct net_local *l = fabric_local(f, dst);
	uint8_t in[36];
	unsigned skip = pst_ip_is4(src) ? 12 : 0, alen = 16 - skip;

	if (f->nworkers == 1)
		return 0;
	memcpy(in, src->b + skip, alen);
	memcpy(in + alen, dst->b + skip, alen);
	net_put16(in + 2 * alen, sport);
	net_put16(in + 2 * alen + 2, dport);
	uint32_t hash = owner_toeplitz(f->key, in, 2 * alen + 4);
	if (l != NULL && f->ports[l->port].rss)
		return f->ports[l->port].reta[hash % f->ports[l->port].reta_size] % f->nworkers;
	return hash % f->nworkers;
}
