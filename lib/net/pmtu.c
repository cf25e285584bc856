/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Path MTUs learned by TCP, per destination (RFC 1191, RFC 8201): a small set-
 * associative table with a keyed hash, so that a peer can neither grow it nor choose
 * whom to evict. An entry ages out after ten minutes (RFC 1191 6.3: not less often than
 * every 10 minutes is a larger MTU to be tried), and then the link's MTU is tried again.
 */
#include "net_impl.h"

#define PMTU_AGE  (600 * PST_NS_PER_SEC)
#define PMTU_MIN4 552
#define PMTU_MIN6 1280

static unsigned
set_of(const struct pst_net *n, const struct pst_ip *dst)
{
	return fabric_hash(n->f, dst, 0x706d7475) % NET_PMTU_SETS;
}

uint16_t
pmtu_get(const struct pst_net *n, const struct pst_ip *dst, uint16_t link_mtu)
{
	const struct pmtu *set = n->pmtu[set_of(n, dst)];

	for (unsigned i = 0; i < NET_PMTU_WAYS; i++)
		if (set[i].mtu != 0 && pst_ip_eq(&set[i].dst, dst) && set[i].expires > n->now)
			return PST_MIN(set[i].mtu, link_mtu);
	return link_mtu;
}

/*
 * A forged "too big" must not push us to tiny segments. IPv6 has its own floor (RFC 8201
 * section 4: never below 1280); for IPv4 most systems take 552, though RFC 791 would
 * allow 68. Without any entry to lower, the rise by ageing is the only way up: RFC 1191
 * section 3, a host MUST NOT raise its estimate in response to a message.
 */
void
pst_net_pmtu_update(struct pst_net *n, const struct pst_ip *dst, uint16_t mtu, uint64_t now)
{
	struct pmtu *set = n->pmtu[set_of(n, dst)];
	struct pmtu *e = &set[0];

	n->now = PST_MAX(n->now, now);
	mtu = PST_MAX(mtu, (uint16_t)(pst_ip_is4(dst) ? PMTU_MIN4 : PMTU_MIN6));
	for (unsigned i = 0; i < NET_PMTU_WAYS; i++) {
		if (set[i].mtu != 0 && pst_ip_eq(&set[i].dst, dst)) {
			e = &set[i];
			if (e->expires > n->now && e->mtu <= mtu)
				return;
			break;
		}
		if (set[i].mtu == 0 || set[i].expires < e->expires)
			e = &set[i];
	}
	*e = (struct pmtu){.dst = *dst, .mtu = mtu, .expires = n->now + PMTU_AGE};
}
