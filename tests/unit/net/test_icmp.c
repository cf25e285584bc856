/* SPDX-License-Identifier: BSD-3-Clause */
/* ICMP errors handed up, and the path MTU table. */
#include "kit.h"

/* An error about a segment us:port -> dst:dport, from a router. */
static unsigned
error_about(uint8_t *f, bool v6, uint8_t type, uint8_t code, uint32_t rest, const char *dst,
	uint16_t sport, uint16_t dport, uint16_t total)
{
	uint8_t i[8 + 60] = {type, code}, q[128];
	unsigned quote = v6 ? 48 : 28;

	net_put16(i + 4, (uint16_t)(rest >> 16));
	net_put16(i + 6, (uint16_t)rest);
	kit_tcp(q, v6 ? "2001:db8::1" : "192.0.2.1", dst, sport, dport, 0);
	if (total != 0)
		net_put16(q + 16, total);
	memcpy(i + 8, q + 14, quote);
	return kit_packet(f, v6 ? "2001:db8::2" : "192.0.2.2", v6 ? "2001:db8::1" : "192.0.2.1",
		v6 ? 58 : 1, i, 8 + quote, 2);
}

Test(icmp, errors_about_our_segments_are_handed_up_with_the_quoted_flow, .init = pst_test_eal)
{
	static const struct {
		bool v6;
		uint8_t type, code;
		uint32_t rest;
		uint16_t total, mtu;
	} cases[] = {
		{false, 3, 1, 0, 0, 0},
		{false, 3, 4, 1400, 1500, 1400},
		{false, 3, 4, 0, 1500,
			1492}, /* RFC 1191 section 7: old routers; the next plateau */
		{false, 3, 4, 0, 1492, 1006},
		{false, 3, 4, 0, 60, 68},
		{false, 11, 0, 0, 0, 0},
		{false, 12, 0, 0, 0, 0},
		{true, 1, 4, 0, 0, 0},
		{true, 2, 0, 1280, 0, 1280},
		{true, 2, 0, 100000, 0, 65535},
		{true, 3, 0, 0, 0, 0},
		{true, 4, 1, 0, 0, 0},
	};
	struct pst_port_conf pc = kit_port(1);

	for (size_t i = 0; i < PST_COUNT(cases); i++) {
		const char *dst = cases[i].v6 ? "2001:db8:1::9" : "198.51.100.9";
		struct pst_ip us = kit_ip(cases[i].v6 ? "2001:db8::1" : "192.0.2.1"),
			      d = kit_ip(dst);
		struct kit k;
		uint8_t f[256];
		kit_open(&k, &pc, 1, 0);
		kit_input(&k, 0, f,
			error_about(f, cases[i].v6, cases[i].type, cases[i].code, cases[i].rest,
				dst, 4000, 25, cases[i].total));
		cr_assert_eq(kit_rx(&k, 0), 1, "case %zu", i);
		const struct pst_pkt *p = &k.up[0];
		cr_expect_eq(p->kind, PST_PKT_ICMP_ERROR);
		cr_expect(pst_ip_eq(&p->src, &us) && pst_ip_eq(&p->dst, &d));
		cr_expect_eq(p->icmp_type, cases[i].type);
		cr_expect_eq(p->icmp_code, cases[i].code);
		cr_expect_eq(p->mtu, cases[i].mtu, "case %zu: %u", i, p->mtu);
		cr_expect_eq(net_be16(net_data(p->m)), 4000);
		cr_expect_eq(net_be16(net_data(p->m) + 2), 25);
		cr_expect_geq(p->m->pkt_len, 8);
		cr_expect_eq(kit_counter(&k, "rx_icmp_error"), 1);
		cr_expect_eq(kit_drops(&k, "rx_drop_"), 0);
		kit_close(&k);
	}
}

Test(icmp, an_error_reaches_the_worker_that_owns_the_connection, .init = pst_test_eal)
{
	struct pst_port_conf pc = kit_port(1);
	struct kit k;
	unsigned elsewhere = 0;

	kit_open(&k, &pc, 4, 0);
	for (unsigned i = 0; i < 64; i++) {
		bool v6 = i % 2 != 0;
		uint16_t sport = (uint16_t)(10000 + i * 7);
		const char *dst = v6 ? "2001:db8:1::9" : "198.51.100.9";
		struct pst_ip us = kit_ip(v6 ? "2001:db8::1" : "192.0.2.1"), d = kit_ip(dst);
		uint8_t f[256];
		kit_input(&k, 0, f, error_about(f, v6, v6 ? 1 : 3, 1, 0, dst, sport, 25, 0));
		unsigned owner = pst_net_owner(k.n[0], &d, &us, 25, sport);
		for (unsigned w = 0; w < 4; w++) {
			unsigned got = kit_rx(&k, w);
			cr_expect_eq(got, w == owner, "worker %u got %u, the owner is %u", w, got,
				owner);
			if (got == 1)
				cr_expect_eq(net_be16(net_data(k.up[0].m)), sport);
		}
		elsewhere += owner != 0;
	}
	cr_expect_gt(elsewhere, 20);
	cr_expect_eq(kit_counter(&k, "steer_wrong_owner"), 0);
	kit_close(&k);
}

Test(icmp, quotations_that_cannot_be_ours_are_dropped, .init = pst_test_eal)
{
	struct pst_port_conf pc = kit_port(1);
	uint8_t f[256];

	for (unsigned i = 0; i < 6; i++) {
		struct kit k;
		kit_open(&k, &pc, 1, 0);
		bool v6 = i >= 4;
		unsigned n = error_about(f, v6, v6 ? 1 : 3, 1, 0,
			v6 ? "2001:db8:1::9" : "198.51.100.9", 4000, 25, 0);
		uint8_t *q = f + (v6 ? 54 : 34) + 8;
		switch (i) {
		case 0: /* not TCP */
			q[9] = 17;
			break;
		case 1: /* a later fragment */
			q[7] = 5;
			break;
		case 2: /* header length beyond the quotation */
			q[0] = 0x4f;
			break;
		case 3: /* another version */
			q[0] = 0x65;
			break;
		case 4: /* not TCP */
			q[6] = 17;
			break;
		default: /* a mapped destination */
			memset(q + 24, 0, 10);
			q[34] = q[35] = 0xff;
		}
		/* the ICMP checksum anew */
		uint8_t body[128];
		memcpy(body, f + (v6 ? 54 : 34), n - (v6 ? 54 : 34));
		n = kit_packet(f, v6 ? "2001:db8::2" : "192.0.2.2",
			v6 ? "2001:db8::1" : "192.0.2.1", v6 ? 58 : 1, body, n - (v6 ? 54 : 34), 2);
		kit_input(&k, 0, f, n);
		cr_expect_eq(kit_rx(&k, 0), 0, "case %u", i);
		cr_expect_eq(kit_counter(&k, "rx_drop_icmp"), 1, "case %u", i);
		kit_close(&k);
	}
}

static uint16_t
path_mtu(struct kit *k, const char *dst)
{
	struct pst_ip d = kit_ip(dst);
	struct pst_net_path p;

	pst_net_tick(k->n[0], k->now);
	cr_assert_eq(pst_net_path(k->n[0], &d, &p), PST_OK);
	return p.mtu;
}

static void
learn(struct kit *k, const char *dst, uint16_t mtu)
{
	struct pst_ip d = kit_ip(dst);
	pst_net_pmtu_update(k->n[0], &d, mtu, k->now);
}

Test(pmtu, is_lowered_kept_apart_and_ages_out, .init = pst_test_eal)
{
	struct pst_port_conf pc = kit_port(1);
	struct kit k;

	kit_open(&k, &pc, 1, 0);
	cr_expect_eq(path_mtu(&k, "192.0.2.2"), 1500);
	learn(&k, "192.0.2.2", 1400);
	cr_expect_eq(path_mtu(&k, "192.0.2.2"), 1400);
	cr_expect_eq(path_mtu(&k, "192.0.2.3"), 1500);
	learn(&k, "192.0.2.2", 1450); /* RFC 1191 section 3: MUST NOT raise */
	cr_expect_eq(path_mtu(&k, "192.0.2.2"), 1400);
	learn(&k, "192.0.2.2", 1300);
	cr_expect_eq(path_mtu(&k, "192.0.2.2"), 1300);
	k.now += 601 * SEC;
	cr_expect_eq(path_mtu(&k, "192.0.2.2"), 1500);
	learn(&k, "192.0.2.2", 1450); /* aged: a fresh start */
	cr_expect_eq(path_mtu(&k, "192.0.2.2"), 1450);
	learn(&k, "192.0.2.4", 9000); /* the link is the limit */
	cr_expect_eq(path_mtu(&k, "192.0.2.4"), 1500);
	kit_close(&k);
}

Test(pmtu, is_clamped_against_tiny_segments, .init = pst_test_eal)
{
	struct pst_port_conf pc = kit_port(1);
	struct kit k;

	kit_open(&k, &pc, 1, 0);
	learn(&k, "192.0.2.2", 0);
	cr_expect_eq(path_mtu(&k, "192.0.2.2"), 552);
	learn(&k, "2001:db8::2", 68);
	cr_expect_eq(path_mtu(&k, "2001:db8::2"), 1280);
	kit_close(&k);
}

Test(pmtu, a_flood_of_destinations_stays_within_its_table, .init = pst_test_eal)
{
	struct pst_port_conf pc = kit_port(1);
	struct kit k;
	unsigned kept = 0;

	kit_open(&k, &pc, 1, 0);
	struct pst_ip d = kit_ip("2001:db8::");
	for (unsigned i = 0; i < 5000; i++) {
		net_put16(d.b + 14, (uint16_t)i);
		k.now += 1000;
		pst_net_pmtu_update(k.n[0], &d, 1300, k.now);
	}
	for (unsigned i = 4900; i < 5000; i++) {
		struct pst_net_path p;
		net_put16(d.b + 14, (uint16_t)i);
		if (pst_net_path(k.n[0], &d, &p) == PST_OK && p.mtu == 1300)
			kept++;
	}
	cr_expect_gt(kept, 95, "the newest were evicted, not the oldest: %u", kept);
	kit_close(&k);
}
