/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * IP packets out: the way, the header, the checksum, the neighbour. Everything we send
 * is a whole packet with DF set: path MTU discovery (RFC 1191, RFC 8201) is TCP's.
 */
#include "net_impl.h"
#include <rte_tcp.h>

#define TCP_CHECKSUM_AT    16
#define ICMPV6_CHECKSUM_AT 2
#define HOPS               64 /* RFC 1700's default */

void
ip4_header(struct rte_mbuf *m, const struct pst_ip *src, const struct pst_ip *dst, uint8_t proto,
	uint8_t tos)
{
	uint8_t *h = (uint8_t *)rte_pktmbuf_prepend(m, 20);

	h[0] = 0x45;
	h[1] = tos;
	net_put16(h + 2, (uint16_t)m->pkt_len);
	/* RFC 6864 4.1: the ID of an atomic datagram (DF, no fragment) may be any value. */
	net_put16(h + 4, 0);
	net_put16(h + 6, 0x4000);
	h[8] = HOPS;
	h[9] = proto;
	net_put16(h + 10, 0);
	memcpy(h + 12, src->b + 12, 4);
	memcpy(h + 16, dst->b + 12, 4);
	uint16_t sum = (uint16_t)~rte_raw_cksum(h, 20);
	memcpy(h + 10, &sum, 2);
	m->l3_len = 20;
}

void
ip6_header(struct rte_mbuf *m, const struct pst_ip *src, const struct pst_ip *dst, uint8_t proto,
	uint8_t tos, uint8_t hops)
{
	uint16_t len = (uint16_t)m->pkt_len;
	uint8_t *h = (uint8_t *)rte_pktmbuf_prepend(m, 40);

	h[0] = (uint8_t)(0x60 | tos >> 4);
	h[1] = (uint8_t)(tos << 4);
	net_put16(h + 2, 0);
	net_put16(h + 4, len);
	h[6] = proto;
	h[7] = hops;
	memcpy(h + 8, src->b, 16);
	memcpy(h + 24, dst->b, 16);
	m->l3_len = 40;
}

/*
 * The device wants the pseudo header's sum in the field and is told where headers end;
 * without a device that can, software sums the chain.
 */
static void
tcp_checksum(const struct pst_port *p, struct rte_mbuf *m, uint16_t l3_len, bool is4)
{
	if (!p->tx_csum) {
		checksum_l4_set(m, l3_len, is4, TCP_CHECKSUM_AT);
		return;
	}
	uint8_t *h = rte_pktmbuf_mtod(m, uint8_t *);
	m->l4_len = (h[l3_len + 12] >> 4) * 4u;
	m->ol_flags |= RTE_MBUF_F_TX_TCP_CKSUM;
	m->ol_flags |= is4 ? RTE_MBUF_F_TX_IPV4 : RTE_MBUF_F_TX_IPV6;
	uint16_t sum = is4 ? rte_ipv4_phdr_cksum((const struct rte_ipv4_hdr *)h, m->ol_flags)
			   : rte_ipv6_phdr_cksum((const struct rte_ipv6_hdr *)h, m->ol_flags);
	memcpy(h + l3_len + TCP_CHECKSUM_AT, &sum, 2);
}

static enum pst_rc
refuse(struct rte_mbuf *m, uint64_t *counter, enum pst_rc rc)
{
	(*counter)++;
	rte_pktmbuf_free(m);
	return rc;
}

enum pst_rc
pst_net_output(struct pst_net *n, struct rte_mbuf *m, const struct pst_ip *src,
	const struct pst_ip *dst, uint8_t proto, uint8_t tos, uint64_t now)
{
	bool is4 = pst_ip_is4(dst);
	uint16_t l3_len = is4 ? 20 : 40;
	const struct net_route *r = is4 == pst_ip_is4(src) ? route_find(n->f, dst, src) : NULL;

	n->now = PST_MAX(n->now, now);
	if (r == NULL || net_local(n, src) == NULL || net_local(n, dst) != NULL)
		return refuse(m, &n->c.tx_drop_unreach, PST_UNREACH);
	struct pst_port *p = &n->f->ports[r->port];
	if (m->pkt_len + l3_len > p->mtu)
		return refuse(m, &n->c.tx_drop_mtu, PST_INVAL);
	if (rte_pktmbuf_headroom(m) < l3_len + p->l2_len)
		return refuse(m, &n->c.tx_drop_nomem, PST_NOMEM);
	if (is4)
		ip4_header(m, src, dst, proto, tos);
	else
		ip6_header(m, src, dst, proto, tos, HOPS);
	if (proto == IPPROTO_TCP)
		tcp_checksum(p, m, l3_len, is4);
	else if (proto == IPPROTO_ICMPV6)
		checksum_l4_set(m, l3_len, is4, ICMPV6_CHECKSUM_AT);
	return neigh_output(n, p, pst_ip_is_any(&r->via) ? dst : &r->via, m);
}

enum pst_rc
pst_net_path(const struct pst_net *n, const struct pst_ip *dst, struct pst_net_path *out)
{
	const struct net_route *r = route_find(n->f, dst, NULL);

	if (r == NULL || net_local(n, dst) != NULL || pst_ip_is_multicast(dst))
		return PST_UNREACH;
	const struct pst_port *p = &n->f->ports[r->port];
	const struct pst_ip *src = route_source(n, p, dst, pst_ip_is_any(&r->via) ? dst : &r->via);
	if (src == NULL)
		return PST_UNREACH;
	*out = (struct pst_net_path){.src = *src, .mtu = pmtu_get(n, dst, p->mtu), .port = r->port};
	return PST_OK;
}

bool
pst_net_is_local(const struct pst_net *n, const struct pst_ip *a)
{
	return net_local(n, a) != NULL;
}

void
pst_net_neigh_suspect(struct pst_net *n, const struct pst_ip *dst, uint64_t now)
{
	const struct net_route *r = route_find(n->f, dst, NULL);

	n->now = PST_MAX(n->now, now);
	if (r != NULL)
		neigh_suspect(n, &n->f->ports[r->port], pst_ip_is_any(&r->via) ? dst : &r->via);
}
