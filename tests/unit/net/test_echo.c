/* SPDX-License-Identifier: BSD-3-Clause */
#include "kit.h"

static void
learn_peer(struct kit *k)
{
	uint8_t f[128];
	static const uint8_t lladdr[6] = {2, 0, 0, 0, 0, 2};

	kit_input(k, 0, f, kit_arp(f, 1, "192.0.2.2", "192.0.2.1"));
	kit_input(k, 0, f,
		kit_nd(f, 135, 0, "2001:db8::2", "ff02::1:ff00:1", "2001:db8::1", 1, lladdr));
	kit_settle(k);
	while (kit_take(k, 0, f, sizeof(f)) != 0)
		;
}

Test(echo, returns_identifier_sequence_and_data_unmodified, .init = pst_test_eal)
{
	static const unsigned sizes[] = {0, 1, 2, 55, 56, 57, 1451, 1452};
	struct pst_port_conf pc = kit_port(1);
	struct kit k;
	uint8_t icmp[1500], f[2048];

	kit_open(&k, &pc, 1, 0);
	learn_peer(&k);
	for (unsigned v6 = 0; v6 < 2; v6++)
		for (size_t i = 0; i < PST_COUNT(sizes); i++) {
			unsigned len = 8 + sizes[i], at = v6 ? 54 : 34;
			for (unsigned j = 0; j < len; j++)
				icmp[j] = (uint8_t)(j * 31 + i);
			icmp[0] = v6 ? 128 : 8;
			icmp[1] = 0;
			unsigned n = kit_packet(f, v6 ? "2001:db8::2" : "192.0.2.2",
				v6 ? "2001:db8::1" : "192.0.2.1", v6 ? 58 : 1, icmp, len, 2);
			kit_input(&k, 0, f, n);
			cr_assert_eq(kit_rx(&k, 0), 0);
			cr_assert_eq(
				kit_take(&k, 0, f, sizeof(f)), n, "%u bytes, v6=%u", sizes[i], v6);
			cr_expect_arr_eq(f, kit_peer_mac.addr_bytes, 6);
			cr_expect_eq(f[at], v6 ? 129 : 0);
			cr_expect_arr_eq(f + at + 4, icmp + 4, len - 4);
			uint8_t again[2048];
			unsigned m = kit_packet(again, v6 ? "2001:db8::1" : "192.0.2.1",
				v6 ? "2001:db8::2" : "192.0.2.2", v6 ? 58 : 1, f + at, len, 2);
			cr_expect_eq(m, n);
			cr_expect_arr_eq(f + at, again + at, len, "checksum of %u bytes", sizes[i]);
		}
	cr_expect_eq(kit_counter(&k, "rx_echo"), 2 * PST_COUNT(sizes));
	cr_expect_eq(kit_drops(&k, "rx_drop_"), 0);
	kit_close(&k);
}

Test(echo, leaves_the_bytes_it_received_alone, .init = pst_test_eal)
{
	struct pst_port_conf pc = kit_port(1);
	static const uint8_t icmp[16] = {8, 0, 0, 0, 1, 2, 3, 4, 5};
	struct kit k;
	uint8_t f[128];

	kit_open(&k, &pc, 1, 0);
	learn_peer(&k);
	unsigned n = kit_packet(f, "192.0.2.2", "192.0.2.1", 1, icmp, sizeof(icmp), 2);
	struct rte_mbuf *m = kit_mbuf(&k, f, n), *shared = rte_pktmbuf_clone(m, m->pool);
	pst_net_input(k.n[0], 0, shared);
	kit_rx(&k, 0);
	cr_expect_arr_eq(rte_pktmbuf_mtod(m, uint8_t *), f, n);
	rte_pktmbuf_free(m);
	kit_close(&k);
}

Test(echo, is_counted_when_there_is_no_mbuf_for_the_answer, .init = pst_test_eal)
{
	struct pst_port_conf pc = kit_port(1);
	static const uint8_t icmp[8] = {8};
	struct kit k;
	uint8_t f[128];
	struct rte_mbuf *all[4096];
	unsigned n = 0;

	kit_open(&k, &pc, 1, 0);
	learn_peer(&k);
	kit_input(&k, 0, f, kit_packet(f, "192.0.2.2", "192.0.2.1", 1, icmp, 8, 2));
	while ((all[n] = rte_pktmbuf_alloc(pst_net_pool_data(k.n[0]))) != NULL)
		n++;
	kit_rx(&k, 0);
	cr_expect_eq(kit_counter(&k, "rx_drop_nomem"), 1);
	cr_expect_eq(kit_drops(&k, "rx_drop_"), 1);
	rte_pktmbuf_free_bulk(all, n);
	kit_close(&k);
}
