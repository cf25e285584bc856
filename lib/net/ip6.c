/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * IPv6 packets in (RFC 8200): judge the header, walk the extension headers, then hand
 * the rest to TCP or ICMPv6. Also the end of both families' way in, tcp_arrived, and
 * the arithmetic of multicast groups.
 */
#include "net_impl.h"

#define EXT_HOPBYHOP 0
#define EXT_ROUTING  43
#define EXT_FRAGMENT 44
#define EXT_DESTOPTS 60
#define EXT_MAX      6 /* headers in one packet; real ones carry one or two */

enum ext_verdict { EXT_FINE, EXT_MALFORMED, EXT_REFUSED, EXT_IS_FRAGMENT };

/*
 * RFC 8200 4.2: an option that is not known is skipped when its two highest bits are
 * 00; otherwise the packet is discarded. We never send the ICMP error the other values
 * ask for: nobody but a prober would profit.
 */
static enum ext_verdict
options_check(const uint8_t *o, unsigned len)
{
	for (unsigned i = 0; i < len;) {
		if (o[i] == 0) { /* Pad1 */
			i++;
			continue;
		}
		if (i + 1 >= len || o[i + 1] > len - i - 2)
			return EXT_MALFORMED;
		if ((o[i] & 0xc0) != 0)
			return EXT_REFUSED;
		i += 2u + o[i + 1];
	}
	return EXT_FINE;
}

/* One whole extension header of len bytes at h. */
static enum ext_verdict
ext_check(uint8_t type, const uint8_t *h, unsigned len)
{
	switch (type) {
	case EXT_HOPBYHOP:
	case EXT_DESTOPTS:
		return options_check(h + 2, len - 2);
	case EXT_ROUTING:
		/* RFC 5095: type 0 is as an unknown type: refused unless no segment is left. */
		return h[3] == 0 ? EXT_FINE : EXT_REFUSED;
	default:
		/* RFC 6946: an atomic fragment (offset and M zero) is a whole packet. */
		return (net_be16(h + 2) & 0xfff9) == 0 ? EXT_FINE : EXT_IS_FRAGMENT;
	}
}

static bool
is_ext(uint8_t type)
{
	return type == EXT_HOPBYHOP || type == EXT_ROUTING || type == EXT_FRAGMENT ||
	       type == EXT_DESTOPTS;
}

/* Steps over all extension headers. NULL: counted and freed. */
static struct rte_mbuf *
ext_walk(struct pst_net *n, struct net_rx *rx, struct rte_mbuf *m)
{
	enum ext_verdict v = EXT_FINE;

	for (unsigned count = 0; is_ext(rx->proto) && v == EXT_FINE; count++) {
		/* Hop-by-hop options come first or not at all (RFC 8200 4.1). */
		if (count == EXT_MAX || (rx->proto == EXT_HOPBYHOP && count > 0)) {
			v = EXT_REFUSED;
			break;
		}
		unsigned at = rx->l3_len;
		if (rx->l4_len < 8) {
			v = EXT_MALFORMED;
			break;
		}
		m = net_pull(n, m, at + 8);
		if (m == NULL)
			return NULL;
		unsigned len = rx->proto == EXT_FRAGMENT ? 8 : (net_data(m)[at + 1] + 1u) * 8;
		if (len > rx->l4_len) {
			v = EXT_MALFORMED;
			break;
		}
		m = net_pull(n, m, at + len);
		if (m == NULL)
			return NULL;
		const uint8_t *h = net_data(m) + at;
		v = ext_check(rx->proto, h, len);
		rx->proto = h[0];
		rx->l3_len = (uint16_t)(rx->l3_len + len);
		rx->l4_len = (uint16_t)(rx->l4_len - len);
	}
	switch (v) {
	case EXT_FINE:
		return m;
	case EXT_MALFORMED:
		NET_DROP(n, m, rx_drop_ip_header);
		break;
	case EXT_REFUSED:
		NET_DROP(n, m, rx_drop_ip_option);
		break;
	case EXT_IS_FRAGMENT:
		NET_DROP(n, m, rx_drop_ip_fragment);
		break;
	}
	return NULL;
}

static struct rte_mbuf *
header_check(struct pst_net *n, struct net_rx *rx, struct rte_mbuf *m)
{
	if (m->pkt_len < 40) {
		NET_DROP(n, m, rx_drop_ip_header);
		return NULL;
	}
	m = net_pull(n, m, 40);
	if (m == NULL)
		return NULL;
	const uint8_t *h = net_data(m);
	uint16_t len = net_be16(h + 4);
	if (h[0] >> 4 != 6 || len == 0 || len > m->pkt_len - 40) {
		NET_DROP(n, m, rx_drop_ip_header);
		return NULL;
	}
	net_trim(m, 40u + len);
	rx->tos = (uint8_t)(net_be16(h) >> 4);
	rx->proto = h[6];
	rx->ttl = h[7];
	rx->src = pst_ip_from6(h + 8);
	rx->dst = pst_ip_from6(h + 24);
	rx->l3_len = 40;
	rx->l4_len = len;
	return m;
}

static bool
is_loopback(const struct pst_ip *a)
{
	static const struct pst_ip one = {.b = {[15] = 1}};
	return pst_ip_eq(a, &one);
}

/*
 * RFC 4291 2.5.2, 2.5.3, 2.7: never a group, never the loopback. Mapped addresses
 * (::ffff/96) would pass for IPv4 in everything above, so they never come in by IPv6.
 */
static bool
source_is_martian(const struct pst_net *n, const struct net_rx *rx)
{
	const struct pst_ip *s = &rx->src;

	if (pst_ip_is4(s) || pst_ip_is4(&rx->dst) || s->b[0] == 0xff || is_loopback(s))
		return true;
	if (pst_ip_is_any(s)) /* duplicate address detection speaks so */
		return rx->proto != IPPROTO_ICMPV6 || rx->dst.b[0] != 0xff;
	/* Our own: but whoever defends that address speaks from it, which ICMPv6 judges. */
	return rx->proto != IPPROTO_ICMPV6 && fabric_local(n->f, s) != NULL;
}

/* All nodes, or the solicited-node group of one of this port's addresses. */
static bool
group_is_ours(const struct pst_port *p, const struct pst_ip *dst)
{
	static const struct pst_ip all_nodes = {.b = {0xff, 2, [15] = 1}};
	struct pst_ip group;

	if (pst_ip_eq(dst, &all_nodes))
		return true;
	for (unsigned i = 0; i < p->naddrs; i++) {
		if (pst_ip_is4(&p->addrs[i].ip))
			continue;
		ip6_solicited_node(&p->addrs[i].ip, &group);
		if (pst_ip_eq(dst, &group))
			return true;
	}
	return false;
}

/*
 * Is the packet for us? RFC 4862 5.4: an address given up as a duplicate is not ours.
 * A link-local address counts only on its own link.
 */
static bool
is_for_us(const struct pst_net *n, const struct net_rx *rx)
{
	if (rx->dst.b[0] == 0xff)
		return rx->proto == IPPROTO_ICMPV6 && group_is_ours(rx->port, &rx->dst);
	const struct net_local *l = net_local(n, &rx->dst);
	return l != NULL && (!pst_ip_is_linklocal(&rx->dst) || l->port == rx->port->index);
}

void
ip6_input(struct pst_net *n, struct net_rx *rx, struct rte_mbuf *m)
{
	m = header_check(n, rx, m);
	if (m == NULL)
		return;
	m = ext_walk(n, rx, m);
	if (m == NULL)
		return;
	if (source_is_martian(n, rx)) {
		NET_DROP(n, m, rx_drop_martian);
		return;
	}
	if (!is_for_us(n, rx)) {
		NET_DROP(n, m, rx_drop_not_local);
		return;
	}
	if (rx->l2_multicast && rx->dst.b[0] != 0xff) {
		NET_DROP(n, m, rx_drop_mac);
		return;
	}
	rte_pktmbuf_adj(m, rx->l3_len);
	switch (rx->proto) {
	case IPPROTO_TCP:
		tcp_arrived(n, rx, m);
		break;
	case IPPROTO_ICMPV6:
		icmp6_input(n, rx, m);
		break;
	default:
		NET_DROP(n, m, rx_drop_protocol);
	}
}

void
tcp_arrived(struct pst_net *n, struct net_rx *rx, struct rte_mbuf *m)
{
	if (rx->l4_len < 20) {
		NET_DROP(n, m, rx_drop_l4_short);
		return;
	}
	m = net_pull_l4(n, rx, m, 20);
	if (m == NULL)
		return;
	unsigned hlen = (net_data(m)[12] >> 4) * 4u;
	if (hlen < 20 || hlen > rx->l4_len) {
		NET_DROP(n, m, rx_drop_l4_short);
		return;
	}
	m = net_pull_l4(n, rx, m, hlen);
	if (m == NULL)
		return;
	/* MUST check the checksum (RFC 9293 3.1, MUST-3). */
	if (!rx->steered && !checksum_l4_ok(m, rx)) {
		NET_DROP(n, m, rx_drop_l4_checksum);
		return;
	}
	const uint8_t *t = net_data(m);
	if (!steer_here(n, rx, m, &rx->src, &rx->dst, net_be16(t), net_be16(t + 2)))
		return;
	n->c.rx_tcp++;
	net_hand_up(n, &(struct pst_pkt){.m = m,
			       .src = rx->src,
			       .dst = rx->dst,
			       .kind = PST_PKT_TCP,
			       .tos = rx->tos,
			       .port = rx->port->index,
			       .local_src = route_on_link(n->f, rx->port, &rx->src)});
}

void
ip6_solicited_node(const struct pst_ip *target, struct pst_ip *group)
{
	/* RFC 4291 2.7.1: ff02::1:ff00:0/104 and the low 24 bits. */
	*group = (struct pst_ip){.b = {0xff, 2, [11] = 1, [12] = 0xff}};
	memcpy(group->b + 13, target->b + 13, 3);
}

void
ip6_multicast_mac(const struct pst_ip *group, struct rte_ether_addr *mac)
{
	/* RFC 2464 section 7: 33:33 and the low 32 bits. */
	mac->addr_bytes[0] = mac->addr_bytes[1] = 0x33;
	memcpy(mac->addr_bytes + 2, group->b + 12, 4);
}
