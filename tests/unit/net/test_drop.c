/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Each drop path raises exactly one named counter, once: a table of packets, every one
 * wrong in one way. Then whole-packet noise: whatever comes, nothing is lost from the
 * pools and each frame ends as exactly one drop, one answer or one packet handed up.
 */
#include "kit.h"

#define US    "192.0.2.1"
#define PEER  "192.0.2.2"
#define US6   "2001:db8::1"
#define PEER6 "2001:db8::2"
#define LL6   "fe80::2"
#define ALL6  "ff02::1"
#define SOL6  "ff02::1:ff00:1" /* solicited-node group of 2001:db8::1 */

struct bad {
	const char *what, *counter;
	unsigned (*make)(uint8_t *f);
};

static unsigned
runt(uint8_t *f)
{
	kit_tcp(f, PEER, US, 1, 25, 0);
	return 13;
}

static unsigned
cut_tag(uint8_t *f)
{
	kit_eth(f, 0x8100);
	return 17;
}

static unsigned
tagged(uint8_t *f)
{
	unsigned n = kit_tcp(f, PEER, US, 1, 25, 0);
	memmove(f + 16, f + 12, n - 12);
	f[12] = 0x81;
	f[13] = 0;
	f[14] = 0x60; /* priority 3, VID 9 */
	f[15] = 9;
	return n + 4;
}

static unsigned
other_mac(uint8_t *f)
{
	unsigned n = kit_tcp(f, PEER, US, 1, 25, 0);
	f[5] ^= 0x40;
	return n;
}

static unsigned
spanning_tree(uint8_t *f)
{
	static const uint8_t stp[6] = {0x01, 0x80, 0xc2, 0, 0, 0};
	unsigned n = kit_tcp(f, PEER, US, 1, 25, 0);
	memcpy(f, stp, 6);
	return n;
}

/* RFC 1122 3.3.6 */
static unsigned
broadcast_tcp(uint8_t *f)
{
	unsigned n = kit_tcp(f, PEER, US, 1, 25, 0);
	memset(f, 0xff, 6);
	return n;
}

static unsigned
multicast_tcp6(uint8_t *f)
{
	unsigned n = kit_tcp(f, PEER6, US6, 1, 25, 0);
	f[0] = f[1] = 0x33;
	return n;
}

static unsigned
ethertype(uint8_t *f)
{
	kit_tcp(f, PEER, US, 1, 25, 0);
	f[12] = 0x88;
	return 60;
}

static unsigned
ip4_cut(uint8_t *f)
{
	kit_tcp(f, PEER, US, 1, 25, 0);
	return 14 + 19;
}

static unsigned
ip4_version(uint8_t *f)
{
	unsigned n = kit_tcp(f, PEER, US, 1, 25, 0);
	f[14] = 0x55;
	kit_fix_ip4(f);
	return n;
}

static unsigned
ip4_header_length(uint8_t *f)
{
	unsigned n = kit_tcp(f, PEER, US, 1, 25, 0);
	f[14] = 0x44;
	return n;
}

static unsigned
ip4_longer_than_frame(uint8_t *f)
{
	unsigned n = kit_tcp(f, PEER, US, 1, 25, 10);
	f[17]++;
	kit_fix_ip4(f);
	return n;
}

static unsigned
ip4_shorter_than_header(uint8_t *f)
{
	unsigned n = kit_tcp(f, PEER, US, 1, 25, 0);
	f[17] = 19;
	kit_fix_ip4(f);
	return n;
}

static unsigned
ip4_checksum(uint8_t *f)
{
	unsigned n = kit_tcp(f, PEER, US, 1, 25, 0);
	f[25] ^= 1;
	return n;
}

static unsigned
ip4_first_fragment(uint8_t *f)
{
	unsigned n = kit_tcp(f, PEER, US, 1, 25, 16);
	f[20] = 0x20;
	kit_fix_ip4(f);
	return n;
}

static unsigned
ip4_last_fragment(uint8_t *f)
{
	unsigned n = kit_tcp(f, PEER, US, 1, 25, 16);
	f[21] = 1;
	kit_fix_ip4(f);
	return n;
}

/* Puts options between header and TCP. */
static unsigned
with_options(uint8_t *f, const uint8_t *o, unsigned len)
{
	unsigned n = kit_tcp(f, PEER, US, 1, 25, 0);
	memmove(f + 34 + len, f + 34, n - 34);
	memcpy(f + 34, o, len);
	f[14] = (uint8_t)(0x45 + len / 4);
	f[17] = (uint8_t)(f[17] + len);
	kit_fix_ip4(f);
	return n + len;
}

static unsigned
loose_source_route(uint8_t *f)
{
	static const uint8_t o[8] = {1, 131, 7, 4, 10, 0, 0, 1};
	return with_options(f, o, 8);
}

static unsigned
strict_source_route(uint8_t *f)
{
	static const uint8_t o[8] = {137, 7, 4, 10, 0, 0, 1, 0};
	return with_options(f, o, 8);
}

static unsigned
option_too_long(uint8_t *f)
{
	static const uint8_t o[4] = {7, 5, 4, 0};
	return with_options(f, o, 4);
}

static unsigned
option_without_length(uint8_t *f)
{
	static const uint8_t o[4] = {1, 1, 1, 7};
	return with_options(f, o, 4);
}

static unsigned
option_length_one(uint8_t *f)
{
	static const uint8_t o[4] = {7, 1, 0, 0};
	return with_options(f, o, 4);
}

#define FROM(name, family, src)                                                                    \
	static unsigned name(uint8_t *f)                                                           \
	{                                                                                          \
		return kit_tcp(f, src, family, 1, 25, 0);                                          \
	}
FROM(from_zero, US, "0.0.0.0")
FROM(from_this_net, US, "0.1.2.3")
FROM(from_loopback, US, "127.0.0.1")
FROM(from_group, US, "224.0.0.5")
FROM(from_class_e, US, "255.255.255.255")
FROM(from_directed_broadcast, US, "192.0.2.255")
FROM(from_ourselves, US, US)
FROM(from_any6, US6, "::")
FROM(from_loopback6, US6, "::1")
FROM(from_group6, US6, "ff0e::1")
FROM(from_ourselves6, US6, US6)
FROM(to_other, "192.0.2.9", PEER)
FROM(to_all, "255.255.255.255", PEER)
FROM(to_other6, "2001:db8::9", PEER6)
FROM(tcp_to_group6, ALL6, PEER6)

static unsigned
from_mapped6(uint8_t *f)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	unsigned n = kit_tcp(f, PEER6, US6, 1, 25, 0);
	memcpy(f + 22, mapped, 12);
	return n;
}

/* Would pass for 192.0.2.1 if nobody looked. */
static unsigned
to_mapped6(uint8_t *f)
{
	struct pst_ip us = kit_ip(US);
	unsigned n = kit_tcp(f, PEER6, US6, 1, 25, 0);
	memcpy(f + 38, us.b, 16);
	return n;
}

static unsigned
udp(uint8_t *f)
{
	static const uint8_t u[8] = {0, 53, 0, 53, 0, 8, 0, 0};
	return kit_packet(f, PEER, US, IPPROTO_UDP, u, 8, 6);
}

static unsigned
udp6(uint8_t *f)
{
	static const uint8_t u[8] = {0, 53, 0, 53, 0, 8, 0, 0};
	return kit_packet(f, PEER6, US6, IPPROTO_UDP, u, 8, 6);
}

static unsigned
tcp_cut(uint8_t *f)
{
	static const uint8_t t[19] = {0};
	return kit_packet(f, PEER, US, IPPROTO_TCP, t, 19, 16);
}

static unsigned
tcp_offset_too_small(uint8_t *f)
{
	static const uint8_t t[24] = {[12] = 0x40};
	return kit_packet(f, PEER, US, IPPROTO_TCP, t, 24, 16);
}

static unsigned
tcp_offset_too_large(uint8_t *f)
{
	static const uint8_t t[24] = {[12] = 0x70};
	return kit_packet(f, PEER6, US6, IPPROTO_TCP, t, 24, 16);
}

static unsigned
tcp_checksum(uint8_t *f)
{
	unsigned n = kit_tcp(f, PEER, US, 1, 25, 33);
	f[n - 1] ^= 0x10;
	return n;
}

static unsigned
tcp_checksum6(uint8_t *f)
{
	unsigned n = kit_tcp(f, PEER6, US6, 1, 25, 33);
	f[n - 1] ^= 0x10;
	return n;
}

static unsigned
ip6_cut(uint8_t *f)
{
	kit_tcp(f, PEER6, US6, 1, 25, 0);
	return 14 + 39;
}

static unsigned
ip6_version(uint8_t *f)
{
	unsigned n = kit_tcp(f, PEER6, US6, 1, 25, 0);
	f[14] = 0x45;
	return n;
}

static unsigned
ip6_longer_than_frame(uint8_t *f)
{
	unsigned n = kit_tcp(f, PEER6, US6, 1, 25, 0);
	f[19]++;
	return n;
}

static unsigned
ip6_jumbogram(uint8_t *f)
{
	unsigned n = kit_tcp(f, PEER6, US6, 1, 25, 0);
	f[19] = 0;
	return n;
}

/* Puts one extension header of len bytes between IPv6 and TCP. */
static unsigned
with_ext(uint8_t *f, uint8_t type, const uint8_t *ext, unsigned len)
{
	unsigned n = kit_tcp(f, PEER6, US6, 1, 25, 0);
	memmove(f + 54 + len, f + 54, n - 54);
	memcpy(f + 54, ext, len);
	f[54] = f[20];
	f[20] = type;
	f[19] = (uint8_t)(f[19] + len);
	return n + len;
}

static unsigned
fragment6(uint8_t *f)
{
	static const uint8_t e[8] = {[3] = 1};
	return with_ext(f, 44, e, 8);
}

static unsigned
routing_header_0(uint8_t *f)
{
	static const uint8_t e[24] = {0, 2, 0, 1};
	return with_ext(f, 43, e, 24);
}

static unsigned
unknown_option_that_discards(uint8_t *f)
{
	static const uint8_t e[8] = {0, 0, 0x80, 4, 0, 0, 0, 0};
	return with_ext(f, 60, e, 8);
}

static unsigned
option6_too_long(uint8_t *f)
{
	static const uint8_t e[8] = {0, 0, 1, 5, 0, 0, 0, 0};
	return with_ext(f, 0, e, 8);
}

static unsigned
ext_too_long(uint8_t *f)
{
	static const uint8_t e[8] = {0, 9, 1, 4, 0, 0, 0, 0};
	return with_ext(f, 60, e, 8);
}

static unsigned
hop_by_hop_second(uint8_t *f)
{
	static const uint8_t e[8] = {0, 0, 1, 4, 0, 0, 0, 0};
	unsigned n = with_ext(f, 0, e, 8);
	memmove(f + 62, f + 54, n - 54);
	f[54] = 0;
	f[20] = 60;
	f[19] = (uint8_t)(f[19] + 8);
	return n + 8;
}

static unsigned
seven_ext(uint8_t *f)
{
	static const uint8_t e[8] = {0, 0, 1, 4, 0, 0, 0, 0};
	unsigned n = with_ext(f, 60, e, 8);
	for (unsigned i = 0; i < 6; i++) {
		memmove(f + 62, f + 54, n - 54);
		f[54] = 60;
		f[19] = (uint8_t)(f[19] + 8);
		n += 8;
	}
	return n;
}

static unsigned
icmp_cut(uint8_t *f)
{
	static const uint8_t i[7] = {8};
	return kit_packet(f, PEER, US, IPPROTO_ICMP, i, 7, 2);
}

static unsigned
icmp_checksum(uint8_t *f)
{
	static const uint8_t i[9] = {8, 0, 0, 0, 0, 0, 0, 0, 1};
	unsigned n = kit_packet(f, PEER, US, IPPROTO_ICMP, i, 9, 2);
	f[n - 1]++;
	return n;
}

static unsigned
icmp6_checksum(uint8_t *f)
{
	static const uint8_t i[9] = {128, 0, 0, 0, 0, 0, 0, 0, 1};
	unsigned n = kit_packet(f, PEER6, US6, IPPROTO_ICMPV6, i, 9, 2);
	f[n - 1]++;
	return n;
}

static unsigned
source_quench(uint8_t *f)
{
	static const uint8_t i[40] = {4};
	return kit_packet(f, PEER, US, IPPROTO_ICMP, i, 40, 2);
}

static unsigned
router_advertisement(uint8_t *f)
{
	static const uint8_t i[16] = {134};
	return kit_packet(f, LL6, ALL6, IPPROTO_ICMPV6, i, 16, 2);
}

static unsigned
echo_to_group6(uint8_t *f)
{
	static const uint8_t i[8] = {128};
	return kit_packet(f, PEER6, ALL6, IPPROTO_ICMPV6, i, 8, 2);
}

static unsigned
echo6_from_ourselves(uint8_t *f)
{
	static const uint8_t i[8] = {128};
	return kit_packet(f, US6, US6, IPPROTO_ICMPV6, i, 8, 2);
}

static unsigned
unreach_empty(uint8_t *f)
{
	static const uint8_t i[8] = {3, 1};
	return kit_packet(f, PEER, US, IPPROTO_ICMP, i, 8, 2);
}

/* An error that quotes somebody else's segment. */
static unsigned
unreach_not_ours(uint8_t *f)
{
	uint8_t i[8 + 28] = {3, 1}, q[128];
	kit_tcp(q, PEER, "198.51.100.1", 1, 25, 0);
	memcpy(i + 8, q + 14, 28);
	return kit_packet(f, PEER, US, IPPROTO_ICMP, i, sizeof(i), 2);
}

static unsigned
too_big_below_1280(uint8_t *f)
{
	uint8_t i[8 + 48] = {2, 0, 0, 0, 0, 0, 4, 0xff}, q[128];
	kit_tcp(q, US6, "2001:db8:1::1", 25, 1, 0);
	memcpy(i + 8, q + 14, 48);
	return kit_packet(f, PEER6, US6, IPPROTO_ICMPV6, i, sizeof(i), 2);
}

static unsigned
arp_cut(uint8_t *f)
{
	return kit_arp(f, 1, PEER, US) - 1;
}

static unsigned
arp_op(uint8_t *f)
{
	return kit_arp(f, 3, PEER, US);
}

static unsigned
arp_group_sender(uint8_t *f)
{
	unsigned n = kit_arp(f, 1, PEER, US);
	f[22] |= 1;
	return n;
}

static unsigned
arp_for_other(uint8_t *f)
{
	return kit_arp(f, 1, PEER, "192.0.2.9");
}

static unsigned
arp_with_our_address(uint8_t *f)
{
	return kit_arp(f, 1, US, "192.0.2.9");
}

static const uint8_t lladdr[6] = {2, 0, 0, 0, 0, 2};

static unsigned
ns_hop_limit(uint8_t *f)
{
	unsigned n = kit_nd(f, 135, 0, PEER6, SOL6, US6, 1, lladdr);
	f[21] = 254;
	return n;
}

static unsigned
ns_group_target(uint8_t *f)
{
	return kit_nd(f, 135, 0, PEER6, SOL6, "ff02::5", 1, lladdr);
}

static unsigned
ns_cut(uint8_t *f)
{
	static const uint8_t m[23] = {135};
	return kit_packet(f, PEER6, US6, IPPROTO_ICMPV6, m, 23, 2);
}

static unsigned
ns_option_length_zero(uint8_t *f)
{
	uint8_t m[32] = {135};
	struct pst_ip t = kit_ip(US6);
	memcpy(m + 8, t.b, 16);
	m[24] = 1;
	return kit_packet(f, PEER6, US6, IPPROTO_ICMPV6, m, 32, 2);
}

/* 7.1.1: from the unspecified address there is no source link-layer address. */
static unsigned
ns_any_with_lladdr(uint8_t *f)
{
	return kit_nd(f, 135, 0, "::", SOL6, US6, 1, lladdr);
}

static unsigned
ns_any_to_all_nodes(uint8_t *f)
{
	return kit_nd(f, 135, 0, "::", ALL6, US6, 0, NULL);
}

static unsigned
ns_for_other(uint8_t *f)
{
	return kit_nd(f, 135, 0, PEER6, SOL6, "2001:db8::9", 1, lladdr);
}

static unsigned
ns_other_group(uint8_t *f)
{
	return kit_nd(f, 135, 0, PEER6, "ff02::1:ff00:9", "2001:db8::9", 1, lladdr);
}

/* 7.1.2: the solicited flag is zero when the destination is a group. */
static unsigned
na_solicited_to_all(uint8_t *f)
{
	return kit_nd(f, 136, 0x60, PEER6, ALL6, PEER6, 2, lladdr);
}

static const struct bad bads[] = {
	{"a frame shorter than its header", "rx_drop_short", runt},
	{"a frame that ends in its tag", "rx_drop_short", cut_tag},
	{"a tag on an untagged port", "rx_drop_vlan", tagged},
	{"another MAC address", "rx_drop_mac", other_mac},
	{"a link group nobody here joined", "rx_drop_mac", spanning_tree},
	{"TCP in a broadcast frame", "rx_drop_mac", broadcast_tcp},
	{"TCP in a multicast frame", "rx_drop_mac", multicast_tcp6},
	{"an unknown ethertype", "rx_drop_ethertype", ethertype},
	{"IPv4 header cut", "rx_drop_ip_header", ip4_cut},
	{"IPv4 version 5", "rx_drop_ip_header", ip4_version},
	{"IPv4 header length 4", "rx_drop_ip_header", ip4_header_length},
	{"IPv4 longer than the frame", "rx_drop_ip_header", ip4_longer_than_frame},
	{"IPv4 shorter than its header", "rx_drop_ip_header", ip4_shorter_than_header},
	{"IPv4 header checksum", "rx_drop_ip_checksum", ip4_checksum},
	{"first fragment", "rx_drop_ip_fragment", ip4_first_fragment},
	{"last fragment", "rx_drop_ip_fragment", ip4_last_fragment},
	{"loose source route", "rx_drop_ip_option", loose_source_route},
	{"strict source route", "rx_drop_ip_option", strict_source_route},
	{"option longer than the header", "rx_drop_ip_header", option_too_long},
	{"option without length", "rx_drop_ip_header", option_without_length},
	{"option of length 1", "rx_drop_ip_header", option_length_one},
	{"from 0.0.0.0", "rx_drop_martian", from_zero},
	{"from 0/8", "rx_drop_martian", from_this_net},
	{"from 127/8", "rx_drop_martian", from_loopback},
	{"from a group", "rx_drop_martian", from_group},
	{"from the broadcast address", "rx_drop_martian", from_class_e},
	{"from a directed broadcast", "rx_drop_martian", from_directed_broadcast},
	{"from our own address", "rx_drop_martian", from_ourselves},
	{"from ::", "rx_drop_martian", from_any6},
	{"from ::1", "rx_drop_martian", from_loopback6},
	{"from an IPv6 group", "rx_drop_martian", from_group6},
	{"from our own IPv6 address", "rx_drop_martian", from_ourselves6},
	{"from a mapped address", "rx_drop_martian", from_mapped6},
	{"to a mapped address", "rx_drop_martian", to_mapped6},
	{"to another host", "rx_drop_not_local", to_other},
	{"to the broadcast address", "rx_drop_not_local", to_all},
	{"to another IPv6 host", "rx_drop_not_local", to_other6},
	{"TCP to an IPv6 group", "rx_drop_not_local", tcp_to_group6},
	{"UDP", "rx_drop_protocol", udp},
	{"UDP over IPv6", "rx_drop_protocol", udp6},
	{"TCP header cut", "rx_drop_l4_short", tcp_cut},
	{"TCP data offset 4", "rx_drop_l4_short", tcp_offset_too_small},
	{"TCP data offset beyond the packet", "rx_drop_l4_short", tcp_offset_too_large},
	{"TCP checksum", "rx_drop_l4_checksum", tcp_checksum},
	{"TCP checksum over IPv6", "rx_drop_l4_checksum", tcp_checksum6},
	{"IPv6 header cut", "rx_drop_ip_header", ip6_cut},
	{"IPv6 version 4", "rx_drop_ip_header", ip6_version},
	{"IPv6 longer than the frame", "rx_drop_ip_header", ip6_longer_than_frame},
	{"IPv6 without payload length", "rx_drop_ip_header", ip6_jumbogram},
	{"IPv6 fragment", "rx_drop_ip_fragment", fragment6},
	{"routing header type 0", "rx_drop_ip_option", routing_header_0},
	{"an option that says discard", "rx_drop_ip_option", unknown_option_that_discards},
	{"IPv6 option longer than its header", "rx_drop_ip_header", option6_too_long},
	{"extension longer than the packet", "rx_drop_ip_header", ext_too_long},
	{"hop-by-hop not first", "rx_drop_ip_option", hop_by_hop_second},
	{"seven extension headers", "rx_drop_ip_option", seven_ext},
	{"ICMP header cut", "rx_drop_l4_short", icmp_cut},
	{"ICMP checksum", "rx_drop_l4_checksum", icmp_checksum},
	{"ICMPv6 checksum", "rx_drop_l4_checksum", icmp6_checksum},
	{"source quench", "rx_drop_icmp", source_quench},
	{"router advertisement", "rx_drop_icmp", router_advertisement},
	{"echo request to a group", "rx_drop_icmp", echo_to_group6},
	{"echo request from our own address", "rx_drop_martian", echo6_from_ourselves},
	{"error without a quotation", "rx_drop_icmp", unreach_empty},
	{"error about somebody else", "rx_drop_icmp", unreach_not_ours},
	{"IPv6 too big below 1280", "rx_drop_icmp", too_big_below_1280},
	{"ARP cut", "rx_drop_arp", arp_cut},
	{"ARP operation 3", "rx_drop_arp", arp_op},
	{"ARP from a group address", "rx_drop_arp", arp_group_sender},
	{"ARP for another host", "rx_drop_not_local", arp_for_other},
	{"ARP from our own address", "rx_drop_martian", arp_with_our_address},
	{"solicitation with hop limit 254", "rx_drop_nd", ns_hop_limit},
	{"solicitation for a group", "rx_drop_nd", ns_group_target},
	{"solicitation cut", "rx_drop_nd", ns_cut},
	{"ND option of length 0", "rx_drop_nd", ns_option_length_zero},
	{"probe with a link-layer address", "rx_drop_nd", ns_any_with_lladdr},
	{"probe to all nodes", "rx_drop_nd", ns_any_to_all_nodes},
	{"solicitation for another host", "rx_drop_not_local", ns_for_other},
	{"solicitation to another group", "rx_drop_not_local", ns_other_group},
	{"solicited advertisement to all", "rx_drop_nd", na_solicited_to_all},
};

Test(drop, each_bad_packet_raises_its_counter_once_and_no_other, .init = pst_test_eal)
{
	struct pst_port_conf pc = kit_port(1);
	uint8_t f[2048];

	for (size_t i = 0; i < PST_COUNT(bads); i++) {
		struct kit k;
		kit_open(&k, &pc, 1, 0);
		kit_input(&k, 0, f, bads[i].make(f));
		cr_expect_eq(kit_rx(&k, 0), 0, "%s was handed up", bads[i].what);
		cr_expect_eq(kit_counter(&k, bads[i].counter), 1, "%s: %s is %lu", bads[i].what,
			bads[i].counter, (unsigned long)kit_counter(&k, bads[i].counter));
		cr_expect_eq(kit_drops(&k, "rx_drop_"), 1, "%s: %lu drops", bads[i].what,
			(unsigned long)kit_drops(&k, "rx_drop_"));
		kit_close(&k);
	}
}

/* What a chain's segments hold must not matter: every byte in a segment of its own. */
Test(drop, a_frame_in_one_byte_segments_is_judged_alike, .init = pst_test_eal)
{
	struct pst_port_conf pc = kit_port(1);
	uint8_t f[2048];

	for (size_t i = 0; i < PST_COUNT(bads); i++) {
		struct kit k;
		kit_open(&k, &pc, 1, 0);
		unsigned n = bads[i].make(f);
		struct rte_mbuf *m = kit_mbuf(&k, f, 1);
		for (unsigned j = 1; j < n; j++)
			cr_assert_eq(rte_pktmbuf_chain(m, kit_mbuf(&k, f + j, 1)), 0);
		pst_net_input(k.n[0], 0, m);
		cr_expect_eq(kit_rx(&k, 0), 0, "%s was handed up", bads[i].what);
		cr_expect_eq(kit_counter(&k, bads[i].counter), 1, "%s", bads[i].what);
		cr_expect_eq(kit_drops(&k, "rx_drop_"), 1, "%s", bads[i].what);
		kit_close(&k);
	}
}

static unsigned
router_alert(uint8_t *f)
{
	static const uint8_t o[4] = {148, 4, 0, 0};
	return with_options(f, o, 4);
}

static unsigned
atomic_fragment(uint8_t *f)
{
	static const uint8_t e[8] = {0};
	return with_ext(f, 44, e, 8);
}

static unsigned
padded_options(uint8_t *f)
{
	static const uint8_t e[8] = {0, 0, 0, 0, 0x1e, 2, 9, 9}; /* Pad1 twice, one to skip */
	return with_ext(f, 0, e, 8);
}

static unsigned
routing_done(uint8_t *f)
{
	static const uint8_t e[8] = {0, 0, 4, 0};
	return with_ext(f, 43, e, 8);
}

static unsigned
priority_tag(uint8_t *f)
{
	unsigned n = tagged(f);
	f[15] = 0;
	return n;
}

static unsigned
padded_frame(uint8_t *f)
{
	unsigned n = kit_tcp(f, PEER, US, 1, 25, 0);
	memset(f + n, 0x77, 60 - n); /* Ethernet's minimum, as some devices pad: with rubbish */
	return 60;
}

static const struct {
	const char *what;
	unsigned (*make)(uint8_t *f);
} goods[] = {
	{"router alert", router_alert},
	{"atomic fragment (RFC 6946)", atomic_fragment},
	{"padding and a skippable option", padded_options},
	{"routing header with nothing left", routing_done},
	{"priority tag", priority_tag},
	{"padding behind the packet", padded_frame},
};

Test(drop, good_but_unusual_packets_are_handed_up, .init = pst_test_eal)
{
	struct pst_port_conf pc = kit_port(1);
	uint8_t f[2048];

	for (size_t i = 0; i < PST_COUNT(goods); i++) {
		struct kit k;
		kit_open(&k, &pc, 1, 0);
		kit_input(&k, 0, f, goods[i].make(f));
		cr_expect_eq(kit_rx(&k, 0), 1, "%s", goods[i].what);
		if (k.nup == 1)
			cr_expect_eq(k.up[0].m->pkt_len, 20, "%s: %u bytes", goods[i].what,
				k.up[0].m->pkt_len);
		kit_close(&k);
	}
}

Test(drop, mutated_packets_are_each_accounted_for, .init = pst_test_eal)
{
	struct pst_port_conf pc = kit_port(1);
	struct kit k;
	uint32_t r = 12345;
	uint8_t f[2048];
	uint64_t up = 0;
	const uint64_t sent = 40000;

	kit_open(&k, &pc, 1, 0);
	for (uint64_t i = 0; i < sent; i++) {
		unsigned pick = (unsigned)(i % (PST_COUNT(bads) + PST_COUNT(goods)));
		unsigned n = pick < PST_COUNT(bads) ? bads[pick].make(f)
						    : goods[pick - PST_COUNT(bads)].make(f);
		r = r * 1664525 + 1013904223;
		for (unsigned hits = (r >> 8) % 4; hits > 0; hits--) {
			r = r * 1664525 + 1013904223;
			f[(r >> 8) % n] = (uint8_t)(r >> 24);
		}
		if (r >> 29 == 0)
			n = (r >> 8) % n;
		kit_input(&k, 0, f, n);
		up += kit_rx(&k, 0);
		while (kit_take(&k, 0, f, sizeof(f)) != 0)
			;
	}
	/* ARP and ND may be taken in, which is neither a drop nor handed up, or dropped. */
	uint64_t ended = kit_drops(&k, "rx_drop_") + up + kit_counter(&k, "rx_echo");
	uint64_t either = kit_counter(&k, "rx_arp") + kit_counter(&k, "rx_nd");
	cr_expect(ended <= sent && ended + either >= sent, "%lu of %lu, %lu", ended, sent, either);
	cr_expect_gt(up, 500);
	kit_close(&k);
}
