/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * IPv4 packets in (RFC 791, RFC 1122 3.2.1): judge the header, then hand the rest to
 * TCP or ICMP. Fragments are not reassembled: we send DF and MSS, so a fragment of a
 * TCP segment towards us is rare and is counted rather than kept.
 */
#include "net_impl.h"

#define OPT_END  0
#define OPT_NOP  1
#define OPT_LSRR 131
#define OPT_SSRR 137

enum opt_verdict { OPT_FINE, OPT_MALFORMED, OPT_SOURCE_ROUTE };

static enum opt_verdict
options_check(const uint8_t *o, unsigned len)
{
	for (unsigned i = 0; i < len;) {
		if (o[i] == OPT_END)
			return OPT_FINE;
		if (o[i] == OPT_NOP) {
			i++;
			continue;
		}
		if (i + 1 >= len || o[i + 1] < 2 || o[i + 1] > len - i)
			return OPT_MALFORMED;
		/* RFC 7126 4.3, 4.4: packets with a source route should be dropped. */
		if (o[i] == OPT_LSRR || o[i] == OPT_SSRR)
			return OPT_SOURCE_ROUTE;
		i += o[i + 1];
	}
	return OPT_FINE;
}

/* RFC 1122 3.2.1.3: sources that no host may use, and our own. */
static bool
source_is_martian(const struct pst_net *n, const struct pst_port *p, const struct pst_ip *src)
{
	const uint8_t *a = src->b + 12;

	if (a[0] == 0 || a[0] == 127 || a[0] >= 224)
		return true;
	for (unsigned i = 0; i < p->naddrs; i++) {
		const struct pst_prefix *x = &p->addrs[i];
		if (!pst_ip_is4(&x->ip) || x->len > 30 || !pst_prefix_has(x, src))
			continue;
		uint32_t host =
			net_be32(a) & (x->len == 0 ? UINT32_MAX : (1u << (32 - x->len)) - 1);
		if (host == (x->len == 0 ? UINT32_MAX : (1u << (32 - x->len)) - 1))
			return true; /* directed broadcast */
	}
	return fabric_local(n->f, src) != NULL;
}

/* The header's rules, in the order of RFC 1122 3.2.1. NULL: counted and freed. */
static struct rte_mbuf *
header_check(struct pst_net *n, struct net_rx *rx, struct rte_mbuf *m)
{
	if (m->pkt_len < 20)
		goto malformed;
	m = net_pull(n, m, 20);
	if (m == NULL)
		return NULL;
	unsigned hlen = (net_data(m)[0] & 15u) * 4;
	uint16_t total = net_be16(net_data(m) + 2);
	if (net_data(m)[0] >> 4 != 4 || hlen < 20 || total < hlen || total > m->pkt_len)
		goto malformed;
	m = net_pull(n, m, hlen);
	if (m == NULL)
		return NULL;
	const uint8_t *h = net_data(m);
	/* MUST verify the checksum of every datagram (RFC 1122 3.2.1.2). */
	if (rte_raw_cksum(h, hlen) != 0xffff) {
		NET_DROP(n, m, rx_drop_ip_checksum);
		return NULL;
	}
	if ((net_be16(h + 6) & 0x3fff) != 0) { /* MF or an offset */
		NET_DROP(n, m, rx_drop_ip_fragment);
		return NULL;
	}
	switch (options_check(h + 20, hlen - 20)) {
	case OPT_FINE:
		break;
	case OPT_MALFORMED:
		goto malformed;
	case OPT_SOURCE_ROUTE:
		NET_DROP(n, m, rx_drop_ip_option);
		return NULL;
	}
	net_trim(m, total); /* what follows is Ethernet padding */
	rx->l3_len = (uint16_t)hlen;
	rx->l4_len = (uint16_t)(total - hlen);
	rx->tos = h[1];
	rx->ttl = h[8];
	rx->proto = h[9];
	uint32_t a;
	memcpy(&a, h + 12, 4);
	rx->src = pst_ip_from4(a);
	memcpy(&a, h + 16, 4);
	rx->dst = pst_ip_from4(a);
	return m;
malformed:
	NET_DROP(n, m, rx_drop_ip_header);
	return NULL;
}

void
ip4_input(struct pst_net *n, struct net_rx *rx, struct rte_mbuf *m)
{
	m = header_check(n, rx, m);
	if (m == NULL)
		return;
	if (source_is_martian(n, rx->port, &rx->src)) {
		NET_DROP(n, m, rx_drop_martian);
		return;
	}
	if (net_local(n, &rx->dst) == NULL) {
		NET_DROP(n, m, rx_drop_not_local);
		return;
	}
	/* RFC 1122 3.3.6: a link broadcast whose destination is not a group is discarded. */
	if (rx->l2_multicast) {
		NET_DROP(n, m, rx_drop_mac);
		return;
	}
	rte_pktmbuf_adj(m, rx->l3_len);
	switch (rx->proto) {
	case IPPROTO_TCP:
		tcp_arrived(n, rx, m);
		break;
	case IPPROTO_ICMP:
		icmp4_input(n, rx, m);
		break;
	default:
		NET_DROP(n, m, rx_drop_protocol);
	}
}
