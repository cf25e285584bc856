/* SPDX-License-Identifier: BSD-3-Clause */
#include "kit.h"

/* The verification suite that NIC vendors publish for RSS ("Verifying the RSS Hash Calculation").
 */
static const uint8_t suite_key[NET_KEY_LEN] = {0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41,
	0x67, 0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4,
	0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01,
	0xfa};

Test(steer, the_bit_serial_hash_passes_the_published_suite)
{
	static const struct {
		const char *src, *dst;
		uint16_t sport, dport;
		uint32_t hash;
	} cases[] = {
		{"66.9.149.187", "161.142.100.80", 2794, 1766, 0x51ccc178},
		{"199.92.111.2", "65.69.140.83", 14230, 4739, 0xc626b0ea},
		{"24.19.198.95", "12.22.207.184", 12898, 38024, 0x5c2b394a},
		{"38.27.205.30", "209.142.163.6", 48228, 2217, 0xafc7327f},
		{"153.39.163.191", "202.188.127.2", 44251, 1303, 0x10e828a2},
		{"3ffe:2501:200:1fff::7", "3ffe:2501:200:3::1", 2794, 1766, 0x40207d3d},
		{"3ffe:501:8::260:97ff:fe40:efab", "ff02::1", 14230, 4739, 0xdde51bbf},
	};

	for (size_t i = 0; i < PST_COUNT(cases); i++) {
		struct pst_ip s = kit_ip(cases[i].src), d = kit_ip(cases[i].dst);
		unsigned skip = pst_ip_is4(&s) ? 12 : 0, n = 16 - skip;
		uint8_t in[36];
		memcpy(in, s.b + skip, n);
		memcpy(in + n, d.b + skip, n);
		net_put16(in + 2 * n, cases[i].sport);
		net_put16(in + 2 * n + 2, cases[i].dport);
		cr_expect_eq(
			owner_toeplitz(suite_key, in, 2 * n + 4), cases[i].hash, "case %zu", i);
	}
}

static void
random_tuple(uint32_t *r, unsigned i, bool v6, struct pst_ip *src, uint16_t *sport)
{
	*r = *r * 1664525 + 1013904223;
	*src = kit_ip(v6 ? "2001:db8::" : "192.0.2.0");
	src->b[15] = (uint8_t)(2 + (*r >> 24) % 200);
	if (v6)
		src->b[12] = (uint8_t)(*r >> 16);
	*sport = (uint16_t)((*r >> 8) ^ i);
}

Test(steer, both_computations_agree_and_spread_evenly, .init = pst_test_eal)
{
	struct pst_port_conf pc = kit_port(1);
	uint32_t r = 1;

	for (unsigned workers = 1; workers <= 4; workers++) {
		struct kit k;
		unsigned hits[KIT_WORKERS] = {0};
		kit_open(&k, &pc, workers, 0);
		for (unsigned i = 0; i < 8000; i++) {
			struct pst_ip src, dst = kit_ip(i % 2 ? "2001:db8::1" : "192.0.2.1");
			uint16_t sport;
			random_tuple(&r, i, i % 2, &src, &sport);
			unsigned w = pst_net_owner(k.n[0], &src, &dst, sport, 25);
			cr_assert_lt(w, workers);
			cr_assert_eq(w, pst_net_owner_check(k.n[0], &src, &dst, sport, 25));
			hits[w]++;
		}
		for (unsigned w = 0; w < workers; w++)
			cr_expect_gt(hits[w], 8000 / workers * 8 / 10, "worker %u of %u: %u", w,
				workers, hits[w]);
		kit_close(&k);
	}
}

/* Where a port's RSS is trusted, the owner is what the device's table says. */
Test(steer, a_device_table_decides_where_there_is_one, .init = pst_test_eal)
{
	struct pst_port_conf pc = kit_port(1);
	struct kit k;
	uint32_t r = 9;
	unsigned hits[2] = {0};

	kit_open(&k, &pc, 2, 0);
	k.f->ports[0].rss = true;
	k.f->ports[0].reta_size = 128;
	for (unsigned i = 0; i < 128; i++)
		k.f->ports[0].reta[i] = i % 8 == 0; /* one in eight to queue 1 */
	for (unsigned i = 0; i < 4000; i++) {
		struct pst_ip src, dst = kit_ip("192.0.2.1");
		uint16_t sport;
		random_tuple(&r, i, false, &src, &sport);
		unsigned w = pst_net_owner(k.n[0], &src, &dst, sport, 25);
		cr_assert_eq(w, pst_net_owner_check(k.n[0], &src, &dst, sport, 25));
		hits[w]++;
	}
	cr_expect(hits[1] > 350 && hits[1] < 650, "%u", hits[1]);
	kit_close(&k);
}

/* Sends packets in by all workers; returns how many came up, each at its owner. */
static unsigned
run_flows(struct kit *k, unsigned count)
{
	uint32_t r = 77;
	unsigned up = 0;
	uint8_t f[256];
	char text[PST_IP_STRLEN];

	for (unsigned i = 0; i < count; i++) {
		struct pst_ip src;
		uint16_t sport;
		random_tuple(&r, i, i % 2, &src, &sport);
		kit_input(k, i % k->nw, f,
			kit_tcp(f, pst_ip_str(&src, text), i % 2 ? "2001:db8::1" : "192.0.2.1",
				sport, 25, i % 50));
		for (unsigned round = 0; round < 3; round++)
			for (unsigned w = 0; w < k->nw; w++)
				for (unsigned j = kit_rx(k, w); j > 0; j--) {
					const struct pst_pkt *p = &k->up[j - 1];
					const uint8_t *t = net_data(p->m);
					up++;
					cr_expect_eq(pst_net_owner(k->n[w], &p->src, &p->dst,
							     net_be16(t), net_be16(t + 2)),
						w);
					cr_expect_eq(p->m->pkt_len, 20 + i % 50);
				}
	}
	return up;
}

Test(steer, every_segment_reaches_its_owner_whole, .init = pst_test_eal)
{
	static const unsigned workers[] = {1, 2, 4};
	struct pst_port_conf pc = kit_port(1);

	for (size_t i = 0; i < PST_COUNT(workers); i++) {
		struct kit k;
		kit_open(&k, &pc, workers[i], 0);
		cr_expect_eq(run_flows(&k, 1000), 1000);
		cr_expect_eq(kit_counter(&k, "steer_wrong_owner"), 0);
		cr_expect_eq(kit_counter(&k, "steer_sent"), kit_counter(&k, "steer_recv"));
		cr_expect_eq(kit_counter(&k, "rx_tcp"), 1000);
		cr_expect_eq(kit_drops(&k, "rx_drop_"), 0);
		uint64_t sent = kit_counter(&k, "steer_sent");
		cr_expect(workers[i] == 1 ? sent == 0 : sent > 400, "%lu", (unsigned long)sent);
		kit_close(&k);
	}
}

Test(steer, a_misrouted_segment_is_counted_and_still_reaches_its_owner, .init = pst_test_eal)
{
	static const unsigned workers[] = {2, 4};
	struct pst_port_conf pc = kit_port(1);

	for (size_t i = 0; i < PST_COUNT(workers); i++) {
		struct kit k;
		kit_open(&k, &pc, workers[i], 10);
		cr_expect_eq(run_flows(&k, 1000), 1000);
		cr_expect_eq(kit_counter(&k, "steer_wrong_owner"), 100);
		cr_expect_eq(kit_drops(&k, "rx_drop_"), 0);
		kit_close(&k);
	}
}

Test(steer, a_full_ring_drops_and_counts, .init = pst_test_eal)
{
	struct pst_port_conf pc = kit_port(1);
	struct kit k;
	uint8_t f[256];
	struct pst_ip src = kit_ip("192.0.2.2"), dst = kit_ip("192.0.2.1");
	uint16_t sport = 1000;

	kit_open(&k, &pc, 2, 0);
	while (pst_net_owner(k.n[0], &src, &dst, sport, 25) != 1)
		sport++;
	for (unsigned i = 0; i < NET_RING_SIZE + 5; i++) {
		kit_input(&k, 0, f, kit_tcp(f, "192.0.2.2", "192.0.2.1", sport, 25, 0));
		kit_rx(&k, 0);
	}
	/* A ring of N slots holds N - 1. */
	cr_expect_eq(kit_counter(&k, "rx_drop_steer_full"), 6);
	cr_expect_eq(kit_settle(&k), NET_RING_SIZE - 1);
	kit_close(&k);
}

/* The promise to active opens: a local port chosen by pst_net_owner gets its answers here. */
Test(steer, a_chosen_port_brings_its_answers_home, .init = pst_test_eal)
{
	struct pst_port_conf pc = kit_port(1);
	struct kit k;
	uint8_t f[256];
	struct pst_ip hop = kit_ip("2001:db8::20"), us = kit_ip("2001:db8::1");

	kit_open(&k, &pc, 4, 0);
	for (unsigned w = 0; w < 4; w++) {
		uint16_t port = 40000;
		while (pst_net_owner(k.n[w], &hop, &us, 25, port) != w)
			port++;
		kit_input(
			&k, (w + 1) % 4, f, kit_tcp(f, "2001:db8::20", "2001:db8::1", 25, port, 0));
		for (unsigned i = 0; i < 4; i++)
			cr_expect_eq(kit_rx(&k, (w + 1 + i) % 4), (w + 1 + i) % 4 == w);
	}
	kit_close(&k);
}

/* More segments than records: nothing is lost, the rest waits. */
Test(steer, rx_never_fills_more_than_it_was_given, .init = pst_test_eal)
{
	struct pst_port_conf pc = kit_port(1);
	struct kit k;
	uint8_t f[256];
	struct pst_pkt out[8];
	unsigned total = 0;

	kit_open(&k, &pc, 2, 0);
	for (unsigned i = 0; i < 100; i++)
		kit_input(&k, 0, f,
			kit_tcp(f, "192.0.2.2", "192.0.2.1", (uint16_t)(1000 + i), 25, 0));
	for (unsigned round = 0; round < 200; round++) {
		unsigned got = pst_net_rx(k.n[round % 2], k.now, out, 7);
		cr_assert_leq(got, 7);
		for (unsigned i = 0; i < got; i++)
			rte_pktmbuf_free(out[i].m);
		total += got;
	}
	cr_expect_eq(total, 100);
	kit_close(&k);
}

/* A device that splits headers: the transport header in a segment of its own. */
Test(steer, a_segment_split_behind_its_ip_header_reaches_its_owner, .init = pst_test_eal)
{
	static const char *const pair[2][2] = {
		{"192.0.2.2", "192.0.2.1"}, {"2001:db8::2", "2001:db8::1"}};
	struct pst_port_conf pc = kit_port(1);
	struct kit k;
	uint8_t f[256];

	kit_open(&k, &pc, 2, 0);
	for (unsigned i = 0; i < 64; i++) {
		const char *const *p = pair[i % 2];
		unsigned len = kit_tcp(f, p[0], p[1], (uint16_t)(1000 + i), 25, 7);
		unsigned head = (i % 2 ? 54 : 34) + i / 2 % 20; /* up to inside the TCP header */
		struct rte_mbuf *m = kit_mbuf(&k, f, head);
		cr_assert_eq(rte_pktmbuf_chain(m, kit_mbuf(&k, f + head, len - head)), 0);
		pst_net_input(k.n[0], 0, m);
	}
	cr_expect_eq(kit_settle(&k), 64);
	cr_expect_gt(kit_counter(&k, "steer_recv"), 10);
	cr_expect_eq(kit_drops(&k, "rx_drop_"), 0);
	kit_close(&k);
}

/* The next hop's side must be heard while another worker and another port are flooded. */
Test(steer, a_flood_from_elsewhere_does_not_silence_a_port, .init = pst_test_eal)
{
	struct pst_port_conf pc[2] = {kit_port(1), kit_port(2)};
	struct pst_fabric_conf c = {.nworkers = 2, .nports = 2, .ports = pc};
	struct pst_ip src = kit_ip("192.0.2.77"), dst = kit_ip("192.0.2.1");
	struct kit k;
	uint8_t f[256];
	uint16_t sport = 1000;
	unsigned len, heard = 0;

	pc[1].name = "b";
	kit_open_conf(&k, &c);
	while (pst_net_owner(k.n[0], &src, &dst, sport, 25) != 0)
		sport++;
	len = kit_tcp(f, "192.0.2.77", "192.0.2.1", sport, 25, 0);
	for (unsigned i = 0; i < 400; i++) {
		kit_input(&k, 0, f, len);
		kit_input(&k, 1, f, len);
	}
	for (unsigned i = 0; i < 20; i++)
		kit_rx(&k, 1);
	cr_assert_eq(kit_counter(&k, "steer_sent"), 400);
	memcpy(f, pc[1].mac.addr_bytes, 6);
	pst_net_input(k.n[0], 1, kit_mbuf(&k, f, len));
	for (unsigned turn = 0; turn < 4; turn++) {
		kit_rx(&k, 0);
		for (unsigned i = 0; i < k.nup; i++)
			heard += k.up[i].port == 1;
	}
	cr_expect_eq(heard, 1);
	kit_settle(&k);
	kit_close(&k);
}
