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

/*
 * The sum of a span's 16-bit words in memory's order, 16 bytes at a time: the sum of 32-bit
 * words is, folded, the same (RFC 1071 2 (C)), and 64-bit lanes take 2^32 of them without a
 * carry. rte_raw_cksum adds two bytes at a time as it is compiled here, and was the first line
 * of every profile of large messages.
 */
static uint16_t
span_sum(const uint8_t *p, uint32_t n)
{
	typedef uint64_t lanes __attribute__((vector_size(16), aligned(1), may_alias));
	lanes low = {0, 0}, high = {0, 0};
	uint64_t sum;

	for (; n >= 16; p += 16, n -= 16) {
		lanes v = *(const lanes *)p;

		low += v & 0xffffffffull;
		high += v >> 32;
	}
	sum = low[0] + low[1] + high[0] + high[1];
	sum = (sum & 0xffffffff) + (sum >> 32);
	for (; n >= 2; p += 2, n -= 2) {
		uint16_t w;

		memcpy(&w, p, 2);
		sum += w;
	}
	if (n != 0) {
		uint16_t w = 0;

		memcpy(&w, p, 1); /* RFC 1071 4.1: padded with zero */
		sum += w;
	}
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	return fold((uint32_t)sum);
}

/*
 * The sum over len bytes of a chain from offset off. Not rte_raw_cksum_mbuf: in DPDK 22.11
 * it cuts a segment's sum to 16 bits before it is folded when the segment begins at an
 * odd offset, and the result is wrong (found against a Linux peer).
 */
uint16_t
checksum_raw(const struct rte_mbuf *m, uint32_t off, uint32_t len)
{
	uint32_t sum = 0, done = 0;

	for (; m != NULL && done < len; m = m->next) {
		if (off >= m->data_len) {
			off -= m->data_len;
			continue;
		}
		uint32_t n = PST_MIN(m->data_len - off, len - done);
		uint16_t part = span_sum(rte_pktmbuf_mtod_offset(m, const uint8_t *, off), n);
		/* RFC 1071 1.2 (B): a byte swap of the words is a byte swap of the sum. */
		sum += done & 1 ? rte_bswap16(part) : part;
		done += n;
		off = 0;
	}
	return fold(sum);
}

/* RFC 9293 3.1 and RFC 8200 8.1: addresses, length and protocol. ICMPv4 sums no such thing. */
static uint32_t
pseudo_sum(const struct net_rx *rx)
{
	if (rx->proto == IPPROTO_ICMP)
		return 0;
	uint32_t tail[2] = {rte_cpu_to_be_32(rx->l4_len), rte_cpu_to_be_32(rx->proto)};
	unsigned skip = pst_ip_is4(&rx->src) ? 12 : 0;

	return (uint32_t)rte_raw_cksum(rx->src.b + skip, 16 - skip) +
	       rte_raw_cksum(rx->dst.b + skip, 16 - skip) + rte_raw_cksum(tail, sizeof(tail));
}

/* The device is believed only when it says GOOD; "unknown" and even "bad" are computed. */
bool
checksum_l4_ok(const struct rte_mbuf *m, const struct net_rx *rx)
{
	if ((m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) == RTE_MBUF_F_RX_L4_CKSUM_GOOD)
		return true;
	return fold(pseudo_sum(rx) + checksum_raw(m, 0, rx->l4_len)) == 0xffff;
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
	uint32_t sum = (uint32_t)rte_raw_cksum(is4 ? h + 12 : h + 8, is4 ? 8 : 32) +
		       rte_raw_cksum(tail, sizeof(tail)) + checksum_raw(m, l3_len, len);
	uint16_t v = (uint16_t)~fold(sum);
	memcpy(h + l3_len + field, &v, 2);
}
