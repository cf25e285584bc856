/* SPDX-License-Identifier: BSD-3-Clause */
#include "kit.h"

static void
open_announcing(struct kit *k, unsigned workers)
{
	struct pst_port_conf pc = kit_port(1);

	pc.announce = PST_ANNOUNCE_ON;
	kit_open(k, &pc, workers, 0);
}

struct seen {
	unsigned garp, mld, probes, adverts, other;
};

static struct seen
collect(struct kit *k)
{
	struct seen s = {0};
	uint8_t f[2048];

	pst_net_tick(k->n[0], k->now);
	while (kit_take(k, 0, f, sizeof(f)) != 0) {
		uint16_t type = net_be16(f + 12);
		if (type == 0x0806 && memcmp(f + 28, f + 38, 4) == 0)
			s.garp++;
		else if (type == 0x86dd && f[20] == 0 && f[62] == 143)
			s.mld++;
		else if (type == 0x86dd && f[20] == 58 && f[54] == 135 && f[37] == 0)
			s.probes++;
		else if (type == 0x86dd && f[20] == 58 && f[54] == 136)
			s.adverts++;
		else
			s.other++;
	}
	return s;
}

Test(start, announces_probes_and_reports_then_falls_silent, .init = pst_test_eal)
{
	struct kit k;
	struct seen s;

	open_announcing(&k, 1);
	s = collect(&k);
	cr_expect(s.garp == 1 && s.mld == 1 && s.probes == 2 && s.adverts == 0 && s.other == 0,
		"%u %u %u %u %u", s.garp, s.mld, s.probes, s.adverts, s.other);
	cr_expect_eq(pst_net_next_deadline(k.n[0]), k.now + SEC);
	k.now += SEC;
	s = collect(&k); /* the global and the link-local address */
	cr_expect(s.garp == 0 && s.adverts == 2 && s.probes == 0 && s.other == 0);
	k.now += SEC;
	s = collect(&k);
	cr_expect(s.garp == 1 && s.adverts == 0 && s.other == 0);
	cr_expect_eq(pst_net_next_deadline(k.n[0]), UINT64_MAX);
	k.now += 100 * SEC;
	s = collect(&k);
	cr_expect(s.garp == 0 && s.adverts == 0 && s.other == 0);
	kit_close(&k);
}

Test(start, bare_ports_keep_quiet_unless_told, .init = pst_test_eal)
{
	struct pst_port_conf pc = kit_port(1);
	struct kit k;
	uint8_t f[64];

	kit_open(&k, &pc, 1, 0);
	pst_net_tick(k.n[0], k.now);
	cr_expect_eq(kit_take(&k, 0, f, sizeof(f)), 0);
	cr_expect_eq(pst_net_next_deadline(k.n[0]), UINT64_MAX);
	kit_close(&k);
}

/* The report's checksum and shape, once, by hand (RFC 3810 5.2). */
Test(start, the_listener_report_is_well_formed, .init = pst_test_eal)
{
	struct kit k;
	uint8_t f[2048], again[2048];
	unsigned n;

	open_announcing(&k, 1);
	pst_net_tick(k.n[0], k.now);
	while ((n = kit_take(&k, 0, f, sizeof(f))) != 0 && !(f[12] == 0x86 && f[20] == 0))
		;
	cr_assert_eq(n, 14 + 40 + 8 + 8 + 2 * 20);
	static const uint8_t alert[8] = {58, 0, 5, 2, 0, 0, 1, 0};
	cr_expect_arr_eq(f + 54, alert, 8);
	cr_expect_eq(f[21], 1, "hop limit");
	cr_expect_eq(net_be16(f + 18), 8 + 8 + 40);
	kit_packet(again, "::", "ff02::16", 58, f + 62, 48, 2);
	cr_expect_arr_eq(f + 62, again + 54, 48);
	kit_close(&k);
}

static const uint8_t lladdr[6] = {2, 0, 0, 0, 0, 2};

Test(start, an_address_is_answered_for_while_optimistic, .init = pst_test_eal)
{
	struct kit k;
	uint8_t f[128];

	open_announcing(&k, 1);
	collect(&k);
	kit_input(&k, 0, f,
		kit_nd(f, 135, 0, "2001:db8::2", "ff02::1:ff00:1", "2001:db8::1", 1, lladdr));
	kit_rx(&k, 0);
	cr_assert_eq(kit_take(&k, 0, f, sizeof(f)), 86);
	cr_expect_eq(f[58], 0x40, "RFC 4429 3.3: override MUST be clear");
	kit_input(&k, 0, f, kit_tcp(f, "2001:db8::2", "2001:db8::1", 1, 25, 0));
	cr_expect_eq(kit_rx(&k, 0), 1, "startup must not wait for detection");
	kit_close(&k);
}

/* RFC 4429 3.3: an optimistic address MUST NOT be the source of a solicitation. */
Test(start, solicitations_wait_for_the_end_of_detection, .init = pst_test_eal)
{
	struct kit k;
	struct pst_ip src = kit_ip("2001:db8::1"), dst = kit_ip("2001:db8::2");
	struct seen s;

	open_announcing(&k, 1);
	collect(&k);
	struct rte_mbuf *m = rte_pktmbuf_alloc(pst_net_pool_head(k.n[0]));
	memset(rte_pktmbuf_append(m, 20), 0, 20);
	cr_assert_eq(pst_net_output(k.n[0], m, &src, &dst, 6, 0, k.now), PST_OK);
	for (unsigned i = 0; i < 9; i++) {
		s = collect(&k);
		cr_expect_eq(s.other, 0, "it asked at %u00 ms", i);
		k.now += 100 * PST_NS_PER_MS;
	}
	k.now += 200 * PST_NS_PER_MS;
	s = collect(&k);
	k.now += 100 * PST_NS_PER_MS;
	struct seen t = collect(&k);
	cr_expect_eq(s.other + t.other, 1);
	cr_expect_eq(kit_drops(&k, "tx_drop_"), 0);
	kit_close(&k);
}

static void
expect_given_up(struct kit *k, bool given_up)
{
	struct pst_ip us = kit_ip("2001:db8::1"), dst = kit_ip("2001:db8::2");
	struct pst_net_path path;
	uint8_t f[128];

	for (unsigned w = 0; w < k->nw; w++) {
		kit_rx(k, w);
		cr_expect_eq(pst_net_is_local(k->n[w], &us), !given_up, "worker %u", w);
		if (given_up) {
			pst_net_path(k->n[w], &dst, &path);
			cr_expect(!pst_ip_eq(&path.src, &us));
		}
	}
	cr_expect_eq(kit_counter(k, "addr_duplicate"), given_up);
	kit_input(k, 0, f, kit_tcp(f, "2001:db8::2", "2001:db8::1", 1, 25, 0));
	cr_expect_eq(kit_settle(k), !given_up);
}

Test(start, an_advertised_address_is_given_up_by_all_workers, .init = pst_test_eal)
{
	struct kit k;
	uint8_t f[128];

	open_announcing(&k, 2);
	collect(&k);
	/* The holder speaks from the address itself. */
	kit_input(
		&k, 0, f, kit_nd(f, 136, 0x20, "2001:db8::1", "ff02::1", "2001:db8::1", 2, lladdr));
	kit_rx(&k, 0);
	k.now += SEC;
	struct seen s = collect(&k);
	cr_expect_eq(s.adverts, 1, "only the link-local address is left");
	expect_given_up(&k, true);
	kit_close(&k);
}

Test(start, an_address_somebody_else_probes_for_too_is_given_up, .init = pst_test_eal)
{
	struct kit k;
	uint8_t f[128];
	static const uint8_t nonce[6] = {9, 9, 9, 9, 9, 9};

	open_announcing(&k, 1);
	collect(&k);
	kit_input(&k, 0, f, kit_nd(f, 135, 0, "::", "ff02::1:ff00:1", "2001:db8::1", 14, nonce));
	kit_rx(&k, 0);
	expect_given_up(&k, true);
	kit_close(&k);
}

/* RFC 7527: a probe that comes back with our own nonce is no duplicate. */
Test(start, our_own_probe_looped_back_means_nothing, .init = pst_test_eal)
{
	struct kit k;
	uint8_t f[2048];
	unsigned n;

	open_announcing(&k, 2);
	pst_net_tick(k.n[0], k.now);
	while ((n = kit_take(&k, 0, f, sizeof(f))) != 0)
		kit_input(&k, 1, f, n);
	while (kit_rx(&k, 1) != 0)
		;
	expect_given_up(&k, false);
	cr_expect_eq(kit_counter(&k, "addr_conflict"), 0);
	kit_close(&k);
}

Test(start, a_later_claim_does_not_take_a_running_address_away, .init = pst_test_eal)
{
	struct kit k;
	uint8_t f[128];

	open_announcing(&k, 1);
	collect(&k);
	k.now += SEC;
	collect(&k);
	kit_input(
		&k, 0, f, kit_nd(f, 136, 0x20, "2001:db8::1", "ff02::1", "2001:db8::1", 2, lladdr));
	kit_rx(&k, 0);
	cr_expect_eq(kit_counter(&k, "addr_conflict"), 1);
	expect_given_up(&k, false);
	kit_close(&k);
}

/* A probe of somebody who wants our address: RFC 4861 7.2.4, the answer goes to all. */
Test(start, a_settled_address_is_defended_against_probes, .init = pst_test_eal)
{
	struct pst_port_conf pc = kit_port(1);
	struct kit k;
	uint8_t f[128];

	kit_open(&k, &pc, 1, 0);
	kit_input(&k, 0, f, kit_nd(f, 135, 0, "::", "ff02::1:ff00:1", "2001:db8::1", 0, NULL));
	kit_rx(&k, 0);
	cr_assert_eq(kit_take(&k, 0, f, sizeof(f)), 86);
	static const uint8_t all[6] = {0x33, 0x33, 0, 0, 0, 1};
	cr_expect_arr_eq(f, all, 6);
	cr_expect_eq(f[54], 136);
	cr_expect_eq(f[58], 0x20, "solicited MUST be zero, override set");
	kit_close(&k);
}

/* What a worker hears of neighbours may be lost, what it hears of our addresses may not. */
Test(start, news_of_addresses_reach_a_busy_worker_in_a_storm_of_arp, .init = pst_test_eal)
{
	struct kit k;
	struct pst_ip src = kit_ip("2001:db8::1"), dst = kit_ip("2001:db8::2");
	uint8_t f[2048];
	unsigned len, asked = 0;

	open_announcing(&k, 2);
	collect(&k);
	for (unsigned i = 0; i < 2 * NET_MSG_SIZE; i++) {
		kit_input(&k, 0, f, kit_arp(f, 1, "192.0.2.2", "192.0.2.1"));
		kit_rx(&k, 0);
		while (kit_take(&k, 0, f, sizeof(f)) != 0)
			;
	}
	k.now += SEC;
	collect(&k);
	kit_rx(&k, 1);
	struct rte_mbuf *m = rte_pktmbuf_alloc(pst_net_pool_head(k.n[1]));
	memset(rte_pktmbuf_append(m, 20), 0, 20);
	cr_assert_eq(pst_net_output(k.n[1], m, &src, &dst, 6, 0, k.now), PST_OK);
	while ((len = kit_take(&k, 1, f, sizeof(f))) != 0)
		asked += f[20] == 58 && f[54] == 135;
	cr_expect_eq(asked, 1, "its addresses are certain by now");
	kit_close(&k);
}
