/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Internet checksums (RFC 1071) of transport headers and payload over mbuf chains of
 * any shape, odd lengths included. Nothing but the checksum field is written.
 */
#include "net_impl.h"

static uint16_t
fold(uint32_t sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

/* RFC 9293 3.1 and RFC 8200 8.1: addresses, length and protocol. */
static uint32_t
pseudo_sum(const struct net_rx *rx)
{
	uint32_t tail[2] = {rte_cpu_to_be_32(rx->l4_len), rte_cpu_to_be_32(rx->proto)};
	unsigned skip = pst_ip_is4(&rx->src) ? 12 : 0;

	return (uint32_t)rte_raw_cksum(rx->src.b + skip, 16 - skip) +
	       rte_raw_cksum(rx->dst.b + skip, 16 - skip) + rte_raw_cksum(tail, sizeof(tail));
}

/* The device is believed only when it says GOOD; "unknown" and even "bad" are computed. */
bool
checksum_l4_ok(const struct rte_mbuf *m, const struct net_rx *rx)
{
	uint16_t sum;

	if ((m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) == RTE_MBUF_F_RX_L4_CKSUM_GOOD)
		return true;
	if (rte_raw_cksum_mbuf(m, 0, rx->l4_len, &sum) != 0)
		return false;
	return fold(pseudo_sum(rx) + sum) == 0xffff;
}

/*
 * m starts at the IP header, l3_len long; `field` is the checksum's place in the
 * transport header, which is zero. Neither TCP nor ICMPv6 has UDP's special zero,
 * which the library's helpers would put.
 */
void
checksum_l4_set(struct rte_mbuf *m, uint16_t l3_len, bool is4, unsigned field)
{
	uint8_t *h = rte_pktmbuf_mtod(m, uint8_t *);
	uint32_t len = m->pkt_len - l3_len;
	uint8_t proto = is4 ? h[9] : h[6];
	uint32_t tail[2] = {rte_cpu_to_be_32(len), rte_cpu_to_be_32(proto)};
	uint16_t body;

	if (rte_raw_cksum_mbuf(m, l3_len, len, &body) != 0)
		return; /* cannot be: the range is the packet's own */
	uint32_t sum = (uint32_t)rte_raw_cksum(is4 ? h + 12 : h + 8, is4 ? 8 : 32) +
		       rte_raw_cksum(tail, sizeof(tail)) + body;
	uint16_t v = (uint16_t)~fold(sum);
	memcpy(h + l3_len + field, &v, 2);
}
