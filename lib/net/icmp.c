/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ICMP (RFC 792) and ICMPv6 (RFC 4443): echo is answered here; errors about TCP
 * segments of ours go to the worker that owns the connection, and from there up. TCP
 * decides whether they are plausible (RFC 5927). We send no errors of our own.
 */
#include "net_impl.h"

#define V4_ECHO_REPLY 0
#define V4_UNREACH    3
#define V4_ECHO       8
#define V4_TIME       11
#define V4_PARAM      12
#define V6_UNREACH    1
#define V6_TOO_BIG    2
#define V6_TIME       3
#define V6_PARAM      4
#define V6_ECHO       128
#define V6_ND_NS      135
#define V6_ND_NA      136
#define V6_MTU_MIN    1280

/*
 * RFC 1191 section 7: routers older than it say 0; then the next plateau below the
 * length of the packet that was too big.
 */
static uint16_t
plateau_below(uint16_t total)
{
	static const uint16_t plateaus[] = {32000, 17914, 8166, 4352, 2002, 1492, 1006, 508, 296};

	for (unsigned i = 0; i < PST_COUNT(plateaus); i++)
		if (plateaus[i] < total)
			return plateaus[i];
	return 68;
}

/* The quoted packet, as far as it must be there: our TCP segment's first 8 bytes. */
struct quoted {
	struct pst_ip src, dst;
	uint16_t total; /* length the original packet had */
	uint16_t len;   /* of the quoted headers before TCP */
};

static bool
quoted_ip4(const uint8_t *q, unsigned len, struct quoted *out)
{
	uint32_t a;

	if (len < 28 || q[0] >> 4 != 4)
		return false;
	out->len = (uint16_t)((q[0] & 15) * 4);
	/* A later fragment has no TCP header; protocol 6 only. */
	if (out->len < 20 || len < out->len + 8u || q[9] != IPPROTO_TCP ||
		(net_be16(q + 6) & 0x1fff) != 0)
		return false;
	out->total = net_be16(q + 2);
	memcpy(&a, q + 12, 4);
	out->src = pst_ip_from4(a);
	memcpy(&a, q + 16, 4);
	out->dst = pst_ip_from4(a);
	return true;
}

/* We send no extension headers, so a quotation of ours has none. */
static bool
quoted_ip6(const uint8_t *q, unsigned len, struct quoted *out)
{
	if (len < 48 || q[0] >> 4 != 6 || q[6] != IPPROTO_TCP)
		return false;
	out->len = 40;
	out->total = (uint16_t)(net_be16(q + 4) + 40);
	out->src = pst_ip_from6(q + 8);
	out->dst = pst_ip_from6(q + 24);
	return !pst_ip_is4(&out->src) && !pst_ip_is4(&out->dst);
}

/*
 * m at the ICMP header, all of it that matters contiguous. The flow's owner is that of
 * the segments we receive: the quotation's addresses and ports the other way round.
 */
static void
error_up(struct pst_net *n, struct net_rx *rx, struct rte_mbuf *m, const struct quoted *q,
	uint16_t mtu)
{
	const uint8_t *h = net_data(m);
	uint16_t skip = (uint16_t)(8 + q->len);
	struct pst_pkt pkt = {.m = m,
		.src = q->src,
		.dst = q->dst,
		.kind = PST_PKT_ICMP_ERROR,
		.tos = rx->tos,
		.icmp_type = h[0],
		.icmp_code = h[1],
		.mtu = mtu,
		.port = rx->port->index,
		.local_src = route_on_link(n->f, rx->port, &rx->src)};
	uint16_t ours = net_be16(h + skip), theirs = net_be16(h + skip + 2);

	if (!steer_here(n, rx, m, &q->dst, &q->src, theirs, ours))
		return;
	rte_pktmbuf_adj(m, skip);
	n->c.rx_icmp_error++;
	net_hand_up(n, &pkt);
}

static struct rte_mbuf *
pull_error(struct pst_net *n, struct net_rx *rx, struct rte_mbuf *m)
{
	/* 8 + the longest IPv4 header + the 8 bytes every error quotes */
	return net_pull_l4(n, rx, m, PST_MIN(rx->l4_len, (uint16_t)76));
}

static void
error4(struct pst_net *n, struct net_rx *rx, struct rte_mbuf *m)
{
	struct quoted q;
	uint16_t mtu = 0;

	m = pull_error(n, rx, m);
	if (m == NULL)
		return;
	const uint8_t *h = net_data(m);
	if (!quoted_ip4(h + 8, rx->l4_len - 8u, &q) || net_local(n, &q.src) == NULL) {
		NET_DROP(n, m, rx_drop_icmp);
		return;
	}
	if (h[0] == V4_UNREACH && h[1] == 4) {
		mtu = net_be16(h + 6);
		if (mtu == 0)
			mtu = plateau_below(q.total);
	}
	error_up(n, rx, m, &q, mtu);
}

static void
error6(struct pst_net *n, struct net_rx *rx, struct rte_mbuf *m)
{
	struct quoted q;
	uint32_t mtu = 0;

	m = pull_error(n, rx, m);
	if (m == NULL)
		return;
	const uint8_t *h = net_data(m);
	if (h[0] == V6_TOO_BIG)
		mtu = net_be32(h + 4);
	/* RFC 8201 section 4: a report below the minimum MTU MUST be discarded. */
	if (!quoted_ip6(h + 8, rx->l4_len - 8u, &q) || net_local(n, &q.src) == NULL ||
		(h[0] == V6_TOO_BIG && mtu < V6_MTU_MIN)) {
		NET_DROP(n, m, rx_drop_icmp);
		return;
	}
	error_up(n, rx, m, &q, (uint16_t)PST_MIN(mtu, 65535u));
}

/*
 * The answer is a copy: the packet we received may share its bytes with its sender.
 * RFC 1122 3.2.2.6, RFC 4443 4.2: identifier, sequence and data return unmodified.
 */
static void
echo(struct pst_net *n, struct net_rx *rx, struct rte_mbuf *m, uint8_t reply)
{
	struct rte_mbuf *a = rte_pktmbuf_copy(m, pst_net_pool_data(n), 0, rx->l4_len);

	if (a == NULL) {
		NET_DROP(n, m, rx_drop_nomem);
		return;
	}
	rte_pktmbuf_free(m);
	n->c.rx_echo++;
	a->ol_flags = 0;
	uint8_t *h = rte_pktmbuf_mtod(a, uint8_t *);
	h[0] = reply;
	net_put16(h + 2, 0);
	if (rx->proto == IPPROTO_ICMP) {
		uint16_t sum = (uint16_t)~checksum_raw(a, 0, a->pkt_len);
		memcpy(h + 2, &sum, 2);
	}
	pst_net_output(n, a, &rx->dst, &rx->src, rx->proto, rx->tos, n->now);
}

/* The common part of both: length, contiguity of the header, checksum. */
static struct rte_mbuf *
arrived(struct pst_net *n, struct net_rx *rx, struct rte_mbuf *m)
{
	if (rx->l4_len < 8) {
		NET_DROP(n, m, rx_drop_l4_short);
		return NULL;
	}
	m = net_pull_l4(n, rx, m, 8);
	if (m == NULL || rx->steered)
		return m;
	/* Devices vouch for TCP; their word on ICMP is not worth the cases. */
	m->ol_flags &= ~RTE_MBUF_F_RX_L4_CKSUM_MASK;
	if (!checksum_l4_ok(m, rx)) {
		NET_DROP(n, m, rx_drop_l4_checksum);
		return NULL;
	}
	return m;
}

void
icmp4_input(struct pst_net *n, struct net_rx *rx, struct rte_mbuf *m)
{
	m = arrived(n, rx, m);
	if (m == NULL)
		return;
	switch (net_data(m)[0]) {
	case V4_ECHO:
		echo(n, rx, m, V4_ECHO_REPLY);
		break;
	case V4_UNREACH:
	case V4_TIME:
	case V4_PARAM:
		error4(n, rx, m);
		break;
	default: /* source quench among them: RFC 6633, ignore */
		NET_DROP(n, m, rx_drop_icmp);
	}
}

void
icmp6_input(struct pst_net *n, struct net_rx *rx, struct rte_mbuf *m)
{
	m = arrived(n, rx, m);
	if (m == NULL)
		return;
	uint8_t type = net_data(m)[0];
	if (type != V6_ND_NA && fabric_local(n->f, &rx->src) != NULL) {
		NET_DROP(n, m, rx_drop_martian);
		return;
	}
	switch (type) {
	case V6_ND_NS:
	case V6_ND_NA:
		nd_input(n, rx, m);
		return;
	case V6_ECHO:
		/* RFC 4443 4.2 allows answers to groups; nothing needs them. */
		if (pst_ip_is_multicast(&rx->dst) || pst_ip_is_any(&rx->src))
			break;
		echo(n, rx, m, V6_ECHO + 1);
		return;
	case V6_UNREACH:
	case V6_TOO_BIG:
	case V6_TIME:
	case V6_PARAM:
		if (pst_ip_is_multicast(&rx->dst))
			break;
		error6(n, rx, m);
		return;
	default:
		break;
	}
	NET_DROP(n, m, rx_drop_icmp);
}
