/* SPDX-License-Identifier: BSD-3-Clause */
/* What leaves: headers, checksums over chains, offload, VLAN tags, and who is to blame. */
#include "kit.h"

static struct rte_mbuf *
tcp_header(struct kit *k)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(pst_net_pool_head(k->n[0]));
	uint8_t *t = (uint8_t *)rte_pktmbuf_append(m, 32);

	memset(t, 0, 32);
	net_put16(t, 25);
	net_put16(t + 2, 4000);
	t[12] = 0x80; /* 12 bytes of options */
	t[20] = t[21] = 1;
	return m;
}

/* A chain of clones of pieces of `data`, cut at random: what TCP sends. */
static struct rte_mbuf *
chain(struct kit *k, struct rte_mbuf *data, uint32_t *seed)
{
	struct rte_mbuf *m = tcp_header(k);

	for (unsigned at = 0; at < data->data_len;) {
		*seed = *seed * 1664525 + 1013904223;
		unsigned n = PST_MIN(1 + (*seed >> 16) % 300, data->data_len - at);
		struct rte_mbuf *c = rte_pktmbuf_clone(data, pst_net_pool_head(k->n[0]));
		rte_pktmbuf_adj(c, (uint16_t)at);
		c->data_len = (uint16_t)n;
		c->pkt_len = n;
		cr_assert_eq(rte_pktmbuf_chain(m, c), 0);
		at += n;
	}
	return m;
}

static struct rte_mbuf *
payload(struct kit *k, unsigned len)
{
	uint8_t bytes[1500];

	for (unsigned i = 0; i < len; i++)
		bytes[i] = (uint8_t)(i * 151 + 7);
	return kit_mbuf(k, bytes, len);
}

static enum pst_rc
output(struct kit *k, struct rte_mbuf *m, bool v6)
{
	struct pst_ip us = kit_ip(v6 ? "2001:db8::1" : "192.0.2.1");
	struct pst_ip peer = kit_ip(v6 ? "2001:db8::2" : "192.0.2.2");

	return pst_net_output(k->n[0], m, &us, &peer, IPPROTO_TCP, 0x2a, k->now);
}

static void
open_pair(struct kit *a, struct kit *b, uint16_t vlan)
{
	struct pst_port_conf pa = kit_port(1), pb = kit_port(2);

	pa.vlan = pb.vlan = vlan;
	kit_open(a, &pa, 1, 0);
	kit_open(b, &pb, 1, 0);
	for (unsigned v6 = 0; v6 < 2; v6++) { /* let them meet */
		output(a, tcp_header(a), v6);
		kit_wire(a, b);
		cr_assert_eq(b->nup, 1);
	}
}

Test(output, chains_of_any_cut_arrive_whole_and_their_payload_untouched, .init = pst_test_eal)
{
	struct kit a, b;
	uint32_t seed = 5;

	open_pair(&a, &b, 0);
	for (unsigned len = 0; len <= 1408; len += 37)
		for (unsigned v6 = 0; v6 < 2; v6++) {
			struct rte_mbuf *data = payload(&a, len);
			uint8_t before[1500], got[1500];
			memcpy(before, net_data(data), len);
			cr_assert_eq(output(&a, chain(&a, data, &seed), v6), PST_OK);
			kit_wire(&a, &b);
			cr_assert_eq(b.nup, 1, "%u bytes, v6=%u", len, v6);
			cr_expect_eq(b.up[0].m->pkt_len, 32 + len);
			cr_expect_eq(b.up[0].tos, 0x2a);
			const void *p = rte_pktmbuf_read(b.up[0].m, 32, len, got);
			cr_expect(len == 0 || (p != NULL && memcmp(p, before, len) == 0));
			kit_free_up(&b);
			cr_expect(len == 0 || memcmp(net_data(data), before, len) == 0);
			cr_expect_eq(rte_mbuf_refcnt_read(data), 1);
			rte_pktmbuf_free(data);
		}
	cr_expect_eq(kit_drops(&b, "rx_drop_"), 0);
	kit_close_pair(&a, &b);
}

/* Byte-identical wire with and without each offload; the "device" here is this test. */
Test(output, the_wire_is_the_same_with_every_offload_on_or_off, .init = pst_test_eal)
{
	for (unsigned v6 = 0; v6 < 2; v6++) {
		uint8_t first[2048], frame[2048];
		unsigned first_len = 0;
		for (unsigned mode = 0; mode < 4; mode++) {
			struct kit a, b;
			uint32_t seed = 11;
			struct rte_mbuf *m;
			open_pair(&a, &b, 0);
			a.f->ports[0].tx_csum = mode & 1;
			a.f->ports[0].multi_segs = !(mode & 2);
			struct rte_mbuf *data = payload(&a, 777);
			cr_assert_eq(output(&a, chain(&a, data, &seed), v6), PST_OK);
			rte_pktmbuf_free(data);
			pst_net_flush(a.n[0]);
			cr_assert_eq(pst_net_take(a.n[0], 0, &m, 1), 1);
			cr_expect(mode & 2 ? m->nb_segs == 1 : m->nb_segs > 1);
			unsigned l3 = v6 ? 40 : 20, len = m->pkt_len;
			memcpy(frame, rte_pktmbuf_read(m, 0, len, frame),
				m->nb_segs == 1 ? len : 0);
			if (mode & 1) {
				/* as a device does: sum from the TCP header on, over the field's
				 * content */
				cr_expect((m->ol_flags & RTE_MBUF_F_TX_L4_MASK) ==
					  RTE_MBUF_F_TX_TCP_CKSUM);
				cr_expect(m->ol_flags &
					  (v6 ? RTE_MBUF_F_TX_IPV6 : RTE_MBUF_F_TX_IPV4));
				cr_expect(m->l2_len == 14 && m->l3_len == l3 && m->l4_len == 32);
				net_put16(frame + 14 + l3 + 16,
					kit_sum(frame + 14 + l3, len - 14 - l3, 0));
			}
			rte_pktmbuf_free(m);
			if (mode == 0) {
				memcpy(first, frame, len);
				first_len = len;
			}
			cr_expect_eq(len, first_len);
			cr_expect_arr_eq(frame, first, len, "mode %u, v6=%u", mode, v6);
			kit_close_pair(&a, &b);
		}
	}
}

Test(output, ipv4_goes_out_whole_with_df_and_a_good_header, .init = pst_test_eal)
{
	struct kit a, b;
	uint8_t f[2048];

	open_pair(&a, &b, 0);
	output(&a, tcp_header(&a), false);
	cr_assert_eq(kit_take(&a, 0, f, sizeof(f)), 14 + 20 + 32);
	cr_expect_eq(f[14], 0x45);
	cr_expect_eq(f[15], 0x2a);
	cr_expect_eq(net_be16(f + 16), 52);
	cr_expect_eq(net_be16(f + 20), 0x4000);
	cr_expect_eq(kit_sum(f + 14, 20, 0), 0);
	kit_close_pair(&a, &b);
}

/* What the receiver may believe of a device: GOOD, and nothing else. */
Test(output, a_received_checksum_is_trusted_only_when_flagged_good, .init = pst_test_eal)
{
	static const struct {
		uint64_t flag;
		bool intact, taken;
	} cases[] = {
		{RTE_MBUF_F_RX_L4_CKSUM_GOOD, false, true},
		{RTE_MBUF_F_RX_L4_CKSUM_GOOD, true, true},
		{RTE_MBUF_F_RX_L4_CKSUM_BAD, true, true},
		{RTE_MBUF_F_RX_L4_CKSUM_BAD, false, false},
		{RTE_MBUF_F_RX_L4_CKSUM_UNKNOWN, false, false},
		{RTE_MBUF_F_RX_L4_CKSUM_NONE, false, false},
		{RTE_MBUF_F_RX_L4_CKSUM_NONE, true, true},
	};
	struct pst_port_conf pc = kit_port(1);
	struct kit k;
	uint8_t f[256];

	kit_open(&k, &pc, 1, 0);
	for (size_t i = 0; i < PST_COUNT(cases); i++) {
		unsigned n = kit_tcp(f, "192.0.2.2", "192.0.2.1", 1, 25, 9);
		f[n - 1] ^= !cases[i].intact;
		struct rte_mbuf *m = kit_mbuf(&k, f, n);
		m->ol_flags |= cases[i].flag;
		pst_net_input(k.n[0], 0, m);
		cr_expect_eq(kit_rx(&k, 0), cases[i].taken, "case %zu", i);
	}
	kit_close(&k);
}

Test(output, vlan_ports_tag_everything_and_take_nothing_else, .init = pst_test_eal)
{
	struct kit a, b;
	uint8_t f[2048];

	open_pair(&a, &b, 7);
	output(&a, tcp_header(&a), true);
	unsigned n = kit_take(&a, 0, f, sizeof(f));
	cr_assert_eq(n, 18 + 40 + 32);
	cr_expect_eq(net_be16(f + 12), 0x8100);
	cr_expect_eq(net_be16(f + 14), 7);
	cr_expect_eq(net_be16(f + 16), 0x86dd);

	static const struct {
		uint16_t tci;
		unsigned up;
	} tags[] = {{7, 1}, {0xe007, 1}, {8, 0}, {0, 0}, {0x1007, 1}};
	for (size_t i = 0; i < PST_COUNT(tags); i++) {
		net_put16(f + 14, tags[i].tci);
		kit_input(&b, 0, f, n);
		cr_expect_eq(kit_rx(&b, 0), tags[i].up, "TCI %x", tags[i].tci);
	}
	cr_expect_eq(kit_counter(&b, "rx_drop_vlan"), 2);
	memmove(f + 12, f + 16, n - 16); /* untagged */
	kit_input(&b, 0, f, n - 4);
	cr_expect_eq(kit_rx(&b, 0), 0);
	cr_expect_eq(kit_counter(&b, "rx_drop_vlan"), 3);
	/* a tag that the device took off */
	struct rte_mbuf *m = kit_mbuf(&b, f, n - 4);
	m->ol_flags |= RTE_MBUF_F_RX_VLAN_STRIPPED;
	m->vlan_tci = 7;
	pst_net_input(b.n[0], 0, m);
	cr_expect_eq(kit_rx(&b, 0), 1);
	kit_close_pair(&a, &b);
}

Test(output, refusals_say_why_and_count_once, .init = pst_test_eal)
{
	static const struct {
		const char *src, *dst, *counter;
		unsigned payload;
		enum pst_rc rc;
	} cases[] = {
		{"192.0.2.1", "198.51.100.1", "tx_drop_unreach", 0, PST_UNREACH},
		{"192.0.2.1", "2001:db8::2", "tx_drop_unreach", 0, PST_UNREACH},
		{"192.0.2.9", "192.0.2.2", "tx_drop_unreach", 0, PST_UNREACH}, /* not our address */
		{"192.0.2.1", "192.0.2.1", "tx_drop_unreach", 0, PST_UNREACH}, /* ourselves */
		{"192.0.2.1", "192.0.2.2", "tx_drop_mtu", 1449, PST_INVAL},
		{"2001:db8::1", "2001:db8::2", "tx_drop_mtu", 1429, PST_INVAL},
	};
	struct pst_port_conf pc = kit_port(1);

	for (size_t i = 0; i < PST_COUNT(cases); i++) {
		struct pst_ip s = kit_ip(cases[i].src), d = kit_ip(cases[i].dst);
		struct kit k;
		kit_open(&k, &pc, 1, 0);
		struct rte_mbuf *m = tcp_header(&k);
		if (cases[i].payload > 0)
			rte_pktmbuf_chain(m, payload(&k, cases[i].payload));
		cr_expect_eq(
			pst_net_output(k.n[0], m, &s, &d, 6, 0, k.now), cases[i].rc, "case %zu", i);
		cr_expect_eq(kit_counter(&k, cases[i].counter), 1, "case %zu", i);
		cr_expect_eq(kit_drops(&k, "tx_drop_"), 1, "case %zu", i);
		kit_close(&k);
	}
}

Test(output, a_packet_of_exactly_the_mtu_leaves, .init = pst_test_eal)
{
	struct kit a, b;

	open_pair(&a, &b, 0);
	for (unsigned v6 = 0; v6 < 2; v6++) {
		struct rte_mbuf *m = tcp_header(&a);
		rte_pktmbuf_chain(m, payload(&a, v6 ? 1428 : 1448));
		cr_expect_eq(output(&a, m, v6), PST_OK);
		kit_wire(&a, &b);
		cr_expect_eq(b.nup, 1);
	}
	kit_close_pair(&a, &b);
}

Test(output, routes_choose_gateway_source_and_port, .init = pst_test_eal)
{
	struct pst_port_conf ports[2] = {kit_port(1), kit_port(1)};
	struct pst_route_conf routes[4] = {
		{.port = "a"}, {.port = "b"}, {.port = "a"}, {.port = "b"}};
	struct pst_fabric_conf conf = {
		.nworkers = 1, .nports = 2, .ports = ports, .nroutes = 4, .routes = routes};
	struct kit k;

	ports[1].name = "b";
	ports[1].mac.addr_bytes[5] = 0x11;
	ports[1].mtu = 1400;
	pst_prefix_parse("198.51.100.1/24", &ports[1].addrs[0]);
	pst_prefix_parse("2001:db8:b::1/64", &ports[1].addrs[1]);
	pst_prefix_parse("0.0.0.0/0", &routes[0].to);
	routes[0].via = kit_ip("192.0.2.254");
	pst_prefix_parse("203.0.113.0/24", &routes[1].to);
	routes[1].via = kit_ip("198.51.100.254");
	pst_prefix_parse("::/0", &routes[2].to);
	routes[2].via = kit_ip("2001:db8::fe");
	pst_prefix_parse("::/0", &routes[3].to);
	routes[3].via = kit_ip("fe80::fe");
	kit_open_conf(&k, &conf);

	static const struct {
		const char *dst, *src;
		unsigned port;
		uint16_t mtu;
	} cases[] = {
		{"192.0.2.7", "192.0.2.1", 0, 1500},
		{"198.51.100.7", "198.51.100.1", 1, 1400},
		{"203.0.113.7", "198.51.100.1", 1, 1400},
		{"8.8.8.8", "192.0.2.1", 0, 1500},
		{"2001:db8:b::7", "2001:db8:b::1", 1, 1400},
		{"2001:db8:c::7", "2001:db8::1", 0, 1500},
		{"fe80::7", "fe80::ff:fe00:1", 0, 1500},
	};
	for (size_t i = 0; i < PST_COUNT(cases); i++) {
		struct pst_ip dst = kit_ip(cases[i].dst);
		struct pst_net_path path;
		char text[PST_IP_STRLEN];
		cr_assert_eq(pst_net_path(k.n[0], &dst, &path), PST_OK, "%s", cases[i].dst);
		cr_expect_str_eq(
			pst_ip_str(&path.src, text), cases[i].src, "to %s: %s", cases[i].dst, text);
		cr_expect_eq(path.port, cases[i].port, "to %s", cases[i].dst);
		cr_expect_eq(path.mtu, cases[i].mtu);
	}
	/* An answer leaves by the port of its source when both have a way. */
	const struct net_route *r;
	struct pst_ip dst = kit_ip("2001:db8:c::7"), src = kit_ip("2001:db8:b::1");
	r = route_find(k.f, &dst, &src);
	cr_assert_not_null(r);
	cr_expect_eq(r->port, 1);
	/* A link-local destination is on the link of the source. */
	dst = kit_ip("fe80::7");
	src = kit_ip("fe80::ff:fe00:11");
	r = route_find(k.f, &dst, &src);
	cr_assert_not_null(r);
	cr_expect_eq(r->port, 1);
	struct pst_ip own = kit_ip("198.51.100.1");
	struct pst_net_path path;
	cr_expect_eq(pst_net_path(k.n[0], &own, &path), PST_UNREACH);
	kit_close(&k);
}

Test(output, a_packet_through_a_gateway_asks_for_the_gateway, .init = pst_test_eal)
{
	struct pst_port_conf pc = kit_port(1);
	struct pst_route_conf route = {.port = "a"};
	struct pst_fabric_conf conf = {
		.nworkers = 1, .nports = 1, .ports = &pc, .nroutes = 1, .routes = &route};
	struct pst_ip us = kit_ip("192.0.2.1"), dst = kit_ip("203.0.113.9");
	struct kit k;
	uint8_t f[2048];

	pst_prefix_parse("0.0.0.0/0", &route.to);
	route.via = kit_ip("192.0.2.2");
	kit_open_conf(&k, &conf);
	cr_assert_eq(pst_net_output(k.n[0], tcp_header(&k), &us, &dst, 6, 0, k.now), PST_OK);
	cr_assert_eq(kit_take(&k, 0, f, sizeof(f)), 42);
	cr_expect_eq(f[41], 2, "asked for .%u", f[41]);
	kit_input(&k, 0, f, kit_arp(f, 2, "192.0.2.2", "192.0.2.1"));
	kit_rx(&k, 0);
	cr_assert_eq(kit_take(&k, 0, f, sizeof(f)), 66);
	cr_expect_eq(f[33], 9);
	cr_expect_arr_eq(f, kit_peer_mac.addr_bytes, 6);
	kit_close(&k);
}
