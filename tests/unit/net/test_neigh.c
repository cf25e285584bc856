/* SPDX-License-Identifier: BSD-3-Clause */
/* Address resolution and unreachability detection; every case for ARP and for ND. */
#include "kit.h"

static const struct family {
	const char *us, *peer, *group;
	unsigned l3;
} families[2] = {
	{"192.0.2.1", "192.0.2.2", NULL, 34}, {"2001:db8::1", "2001:db8::2", "ff02::1:ff00:1", 54}};

static const uint8_t peer_lladdr[6] = {2, 0, 0, 0, 0, 2};
static const uint8_t moved_lladdr[6] = {2, 0, 0, 0, 0, 3};

/* Sends a TCP header from us to the peer. */
static enum pst_rc
send_tcp(struct kit *k, unsigned worker, const char *src, const char *dst)
{
	struct pst_ip s = kit_ip(src), d = kit_ip(dst);
	struct rte_mbuf *m = rte_pktmbuf_alloc(pst_net_pool_head(k->n[worker]));
	uint8_t *t = (uint8_t *)rte_pktmbuf_append(m, 20);

	memset(t, 0, 20);
	t[12] = 0x50;
	return pst_net_output(k->n[worker], m, &s, &d, IPPROTO_TCP, 0, k->now);
}

static void
advance(struct kit *k, uint64_t ns)
{
	k->now += ns;
	for (unsigned w = 0; w < k->nw; w++)
		pst_net_tick(k->n[w], k->now);
}

enum sent { NOTHING, ASKS_ALL, ASKS_ONE, TCP, OTHER };

static enum sent
next_sent_from(struct kit *k, unsigned worker, uint8_t mac[6])
{
	uint8_t f[2048];
	unsigned n = kit_take(k, worker, f, sizeof(f));

	if (n == 0)
		return NOTHING;
	if (mac != NULL)
		memcpy(mac, f, 6);
	uint16_t type = net_be16(f + 12);
	if (type == 0x0806 && f[21] == 1)
		return f[0] == 0xff ? ASKS_ALL : ASKS_ONE;
	if (type == 0x86dd && f[20] == 58 && f[54] == 135)
		return f[0] == 0x33 ? ASKS_ALL : ASKS_ONE;
	if (f[type == 0x0800 ? 23 : 20] == 6)
		return TCP;
	return OTHER;
}

static enum sent
next_sent(struct kit *k)
{
	return next_sent_from(k, 0, NULL);
}

static void
answer(struct kit *k, unsigned worker, const struct family *fam, const uint8_t mac[6])
{
	uint8_t f[128];
	unsigned n;

	if (fam->group == NULL) {
		n = kit_arp(f, 2, fam->peer, fam->us);
		memcpy(f + 22, mac, 6);
	} else {
		n = kit_nd(f, 136, 0x60, fam->peer, fam->us, fam->peer, 2, mac);
	}
	kit_input(k, worker, f, n);
	kit_rx(k, worker);
}

/* The peer asks for us, and so tells its own address. */
static void
ask_us(struct kit *k, const struct family *fam, const uint8_t mac[6])
{
	uint8_t f[128];
	unsigned n;

	if (fam->group == NULL) {
		n = kit_arp(f, 1, fam->peer, fam->us);
		memcpy(f + 22, mac, 6);
	} else {
		n = kit_nd(f, 135, 0, fam->peer, fam->group, fam->us, 1, mac);
	}
	kit_input(k, 0, f, n);
	kit_rx(k, 0);
	cr_assert_eq(next_sent(k), OTHER); /* our answer */
}

static void
open_resolved(struct kit *k, const struct family *fam)
{
	struct pst_port_conf pc = kit_port(1);

	kit_open(k, &pc, 1, 0);
	send_tcp(k, 0, fam->us, fam->peer);
	cr_assert_eq(next_sent(k), ASKS_ALL);
	answer(k, 0, fam, peer_lladdr);
	cr_assert_eq(next_sent(k), TCP);
}

Test(neigh, two_hosts_find_each_other_and_the_queued_packet_arrives, .init = pst_test_eal)
{
	struct pst_port_conf pa = kit_port(1), pb = kit_port(2);

	for (unsigned v = 0; v < 2; v++) {
		struct kit a, b;
		kit_open(&a, &pa, 1, 0);
		kit_open(&b, &pb, 1, 0);
		cr_assert_eq(send_tcp(&a, 0, families[v].us, families[v].peer), PST_OK);
		kit_wire(&a, &b);
		cr_assert_eq(b.nup, 1);
		struct pst_ip src = kit_ip(families[v].us);
		cr_expect(pst_ip_eq(&b.up[0].src, &src));
		cr_expect_eq(b.up[0].kind, PST_PKT_TCP);
		cr_expect(b.up[0].local_src);
		/* b learned a from the question: its answer needs no question of its own. */
		cr_assert_eq(send_tcp(&b, 0, families[v].peer, families[v].us), PST_OK);
		cr_expect_eq(next_sent(&b), TCP);
		kit_close_pair(&a, &b);
	}
}

Test(neigh, keeps_the_newest_eight_packets_while_it_asks, .init = pst_test_eal)
{
	for (unsigned v = 0; v < 2; v++) {
		struct pst_port_conf pc = kit_port(1);
		struct kit k;
		kit_open(&k, &pc, 1, 0);
		for (unsigned i = 0; i < 10; i++)
			send_tcp(&k, 0, families[v].us, families[v].peer);
		cr_expect_eq(kit_counter(&k, "tx_drop_neighbour"), 2);
		cr_assert_eq(next_sent(&k), ASKS_ALL);
		cr_expect_eq(next_sent(&k), NOTHING, "asked more than once");
		answer(&k, 0, &families[v], peer_lladdr);
		for (unsigned i = 0; i < 8; i++)
			cr_expect_eq(next_sent(&k), TCP);
		cr_expect_eq(next_sent(&k), NOTHING);
		kit_close(&k);
	}
}

Test(neigh, gives_up_after_three_silent_seconds, .init = pst_test_eal)
{
	for (unsigned v = 0; v < 2; v++) {
		struct pst_port_conf pc = kit_port(1);
		struct kit k;
		kit_open(&k, &pc, 1, 0);
		send_tcp(&k, 0, families[v].us, families[v].peer);
		for (unsigned i = 0; i < 3; i++) {
			cr_expect_eq(next_sent(&k), ASKS_ALL);
			cr_expect_eq(pst_net_next_deadline(k.n[0]), k.now + SEC);
			advance(&k, SEC - 1);
			cr_expect_eq(next_sent(&k), NOTHING);
			advance(&k, 1);
		}
		cr_expect_eq(next_sent(&k), NOTHING);
		cr_expect_eq(kit_counter(&k, "tx_drop_neighbour"), 1);
		cr_expect_eq(kit_counter(&k, "neigh_failed"), 1);
		cr_expect_eq(pst_net_next_deadline(k.n[0]), UINT64_MAX);
		/* and starts over with the next packet */
		send_tcp(&k, 0, families[v].us, families[v].peer);
		cr_expect_eq(next_sent(&k), ASKS_ALL);
		kit_close(&k);
	}
}

Test(neigh, a_stale_entry_in_use_is_probed_after_five_seconds, .init = pst_test_eal)
{
	for (unsigned v = 0; v < 2; v++) {
		struct kit k;
		uint8_t to[6];
		open_resolved(&k, &families[v]);
		advance(&k, 46 * SEC); /* beyond 1.5 times 30 s: stale */
		cr_expect_eq(next_sent(&k), NOTHING, "an unused entry was probed");
		send_tcp(&k, 0, families[v].us, families[v].peer);
		cr_expect_eq(next_sent(&k), TCP, "stale entries are used");
		advance(&k, 5 * SEC - 1);
		cr_expect_eq(next_sent(&k), NOTHING);
		advance(&k, 1);
		cr_expect_eq(next_sent_from(&k, 0, to), ASKS_ONE);
		cr_expect_arr_eq(to, peer_lladdr, 6);
		answer(&k, 0, &families[v], peer_lladdr);
		advance(&k, 10 * SEC);
		cr_expect_eq(next_sent(&k), NOTHING, "it was answered");
		kit_close(&k);
	}
}

Test(neigh, a_dead_neighbour_is_forgotten_and_asked_for_by_group, .init = pst_test_eal)
{
	for (unsigned v = 0; v < 2; v++) {
		struct kit k;
		open_resolved(&k, &families[v]);
		advance(&k, 46 * SEC);
		send_tcp(&k, 0, families[v].us, families[v].peer);
		cr_expect_eq(next_sent(&k), TCP);
		advance(&k, 5 * SEC);
		for (unsigned i = 0; i < 3; i++) {
			cr_expect_eq(next_sent(&k), ASKS_ONE);
			advance(&k, SEC);
		}
		cr_expect_eq(kit_counter(&k, "neigh_failed"), 1);
		send_tcp(&k, 0, families[v].us, families[v].peer);
		cr_expect_eq(next_sent(&k), ASKS_ALL);
		kit_close(&k);
	}
}

/* A router whose MAC address changed without a word. */
Test(neigh, a_suspected_neighbour_that_moved_is_found_again_at_once, .init = pst_test_eal)
{
	for (unsigned v = 0; v < 2; v++) {
		struct kit k;
		uint8_t to[6];
		struct pst_ip peer = kit_ip(families[v].peer);
		open_resolved(&k, &families[v]);
		pst_net_neigh_suspect(k.n[0], &peer, k.now);
		cr_expect_eq(next_sent(&k), ASKS_ALL, "one that moved hears no unicast");
		send_tcp(&k, 0, families[v].us, families[v].peer);
		cr_expect_eq(next_sent_from(&k, 0, to), TCP, "meanwhile the old address is used");
		cr_expect_arr_eq(to, peer_lladdr, 6);
		answer(&k, 0, &families[v], moved_lladdr);
		send_tcp(&k, 0, families[v].us, families[v].peer);
		cr_expect_eq(next_sent_from(&k, 0, to), TCP);
		cr_expect_arr_eq(to, moved_lladdr, 6);
		advance(&k, 10 * SEC);
		cr_expect_eq(next_sent(&k), NOTHING, "it was answered");
		kit_close(&k);
	}
}

Test(neigh, an_announced_move_is_believed_at_once, .init = pst_test_eal)
{
	for (unsigned v = 0; v < 2; v++) {
		struct kit k;
		uint8_t f[128], to[6];
		open_resolved(&k, &families[v]);
		unsigned n = v == 0 ? kit_arp(f, 1, "192.0.2.2", "192.0.2.2")
				    : kit_nd(f, 136, 0x20, "2001:db8::2", "ff02::1", "2001:db8::2",
					      2, moved_lladdr);
		if (v == 0)
			memcpy(f + 22, moved_lladdr, 6);
		kit_input(&k, 0, f, n);
		kit_rx(&k, 0);
		send_tcp(&k, 0, families[v].us, families[v].peer);
		cr_expect_eq(next_sent_from(&k, 0, to), TCP);
		cr_expect_arr_eq(to, moved_lladdr, 6);
		kit_close(&k);
	}
}

/* RFC 4861 7.2.5: without override another address is not taken, only doubted. */
Test(neigh, an_answer_without_override_does_not_replace, .init = pst_test_eal)
{
	struct kit k;
	uint8_t f[128], to[6];

	open_resolved(&k, &families[1]);
	kit_input(&k, 0, f,
		kit_nd(f, 136, 0x40, "2001:db8::2", "2001:db8::1", "2001:db8::2", 2, moved_lladdr));
	kit_rx(&k, 0);
	send_tcp(&k, 0, "2001:db8::1", "2001:db8::2");
	cr_expect_eq(next_sent_from(&k, 0, to), TCP);
	cr_expect_arr_eq(to, peer_lladdr, 6);
	advance(&k, 5 * SEC);
	cr_expect_eq(next_sent(&k), ASKS_ONE, "a doubted entry was not probed");
	kit_close(&k);
}

Test(neigh, nobody_is_learned_who_did_not_speak_to_us, .init = pst_test_eal)
{
	struct pst_port_conf pc = kit_port(1);
	struct kit k;
	uint8_t f[128];

	kit_open(&k, &pc, 1, 0);
	/* an answer nobody asked for; a question for somebody else; a host of another link */
	kit_input(&k, 0, f, kit_arp(f, 2, "192.0.2.2", "192.0.2.1"));
	kit_input(&k, 0, f, kit_arp(f, 1, "192.0.2.2", "192.0.2.9"));
	kit_input(&k, 0, f,
		kit_nd(f, 136, 0x60, "2001:db8::2", "2001:db8::1", "2001:db8::2", 2, peer_lladdr));
	kit_settle(&k);
	send_tcp(&k, 0, "192.0.2.1", "192.0.2.2");
	cr_expect_eq(next_sent(&k), ASKS_ALL);
	send_tcp(&k, 0, "2001:db8::1", "2001:db8::2");
	cr_expect_eq(next_sent(&k), ASKS_ALL);
	kit_close(&k);
}

Test(neigh, questions_from_off_link_are_answered_but_not_learned, .init = pst_test_eal)
{
	struct pst_port_conf pc = kit_port(1);
	struct kit k;
	uint8_t f[128];

	kit_open(&k, &pc, 1, 0);
	kit_input(&k, 0, f, kit_arp(f, 1, "198.51.100.2", "192.0.2.1"));
	kit_rx(&k, 0);
	cr_assert_eq(kit_take(&k, 0, f, sizeof(f)), 42);
	cr_expect_eq(f[21], 2);
	cr_expect(TAILQ_EMPTY(&k.n[0]->neigh.passive));
	kit_close(&k);
}

Test(neigh, an_arp_probe_is_answered_so_that_the_prober_yields, .init = pst_test_eal)
{
	struct pst_port_conf pc = kit_port(1);
	struct kit k;
	uint8_t f[128];

	kit_open(&k, &pc, 1, 0);
	kit_input(&k, 0, f, kit_arp(f, 1, "0.0.0.0", "192.0.2.1")); /* RFC 5227 2.1.1 */
	kit_rx(&k, 0);
	cr_assert_eq(kit_take(&k, 0, f, sizeof(f)), 42);
	cr_expect_eq(f[21], 2);
	cr_expect_arr_eq(f, peer_lladdr, 6);
	kit_close(&k);
}

Test(neigh, a_flood_of_strangers_does_not_evict_who_is_in_use, .init = pst_test_eal)
{
	struct kit k;
	uint8_t f[128];
	char text[32];

	open_resolved(&k, &families[0]);
	for (unsigned i = 3; i < 250; i++) {
		snprintf(text, sizeof(text), "192.0.2.%u", i);
		kit_input(&k, 0, f, kit_arp(f, 1, text, "192.0.2.1"));
		snprintf(text, sizeof(text), "2001:db8::%x", i);
		kit_input(&k, 0, f,
			kit_nd(f, 135, 0, text, "ff02::1:ff00:1", "2001:db8::1", 1, peer_lladdr));
		snprintf(text, sizeof(text), "2001:db8::1:%x", i);
		kit_input(&k, 0, f,
			kit_nd(f, 135, 0, text, "ff02::1:ff00:1", "2001:db8::1", 1, peer_lladdr));
		kit_settle(&k);
	}
	while (next_sent(&k) != NOTHING)
		;
	send_tcp(&k, 0, "192.0.2.1", "192.0.2.2");
	cr_expect_eq(next_sent(&k), TCP);
	kit_close(&k);
}

Test(neigh, what_one_worker_learns_all_workers_know, .init = pst_test_eal)
{
	for (unsigned v = 0; v < 2; v++) {
		struct pst_port_conf pc = kit_port(1);
		struct kit k;
		kit_open(&k, &pc, 4, 0);
		send_tcp(&k, 2, families[v].us, families[v].peer);
		cr_expect_eq(next_sent_from(&k, 2, NULL), ASKS_ALL);
		answer(&k, 1, &families[v], peer_lladdr); /* the answer reaches another */
		cr_expect_eq(next_sent_from(&k, 2, NULL), NOTHING);
		kit_rx(&k, 2);
		cr_expect_eq(next_sent_from(&k, 2, NULL), TCP);
		kit_close(&k);
	}
}

/* Also the way back to a client whose question and SYN reached different workers. */
Test(neigh, who_asked_one_worker_is_known_to_the_others, .init = pst_test_eal)
{
	for (unsigned v = 0; v < 2; v++) {
		struct pst_port_conf pc = kit_port(1);
		struct kit k;
		kit_open(&k, &pc, 2, 0);
		ask_us(&k, &families[v], peer_lladdr);
		kit_rx(&k, 1);
		send_tcp(&k, 1, families[v].us, families[v].peer);
		cr_expect_eq(next_sent_from(&k, 1, NULL), TCP);
		kit_close(&k);
	}
}

Test(neigh, our_address_in_a_strangers_mouth_is_counted_and_defended_once, .init = pst_test_eal)
{
	struct pst_port_conf pc = kit_port(1);
	struct kit k;
	uint8_t f[128];

	kit_open(&k, &pc, 1, 0);
	for (unsigned i = 0; i < 3; i++) {
		kit_input(&k, 0, f, kit_arp(f, 1, "192.0.2.1", "192.0.2.1"));
		kit_rx(&k, 0);
	}
	cr_expect_eq(kit_counter(&k, "addr_conflict"), 3);
	cr_expect_eq(next_sent(&k), ASKS_ALL); /* the announcement */
	cr_expect_eq(next_sent(&k), NOTHING);
	k.now += 11 * SEC; /* RFC 5227: DEFEND_INTERVAL 10 s */
	kit_input(&k, 0, f, kit_arp(f, 1, "192.0.2.1", "192.0.2.1"));
	kit_rx(&k, 0);
	cr_expect_eq(next_sent(&k), ASKS_ALL);
	kit_close(&k);
}

/* Forged sources of the link's own prefix, each of which we would answer. */
Test(neigh, a_flood_of_silent_sources_does_not_evict_who_answered, .init = pst_test_eal)
{
	struct kit k;
	uint8_t f[2048];
	char text[32];

	open_resolved(&k, &families[0]);
	for (unsigned i = 0; i < 2 * NET_NEIGHS; i++) {
		snprintf(text, sizeof(text), "2001:db8::1:%x", i);
		send_tcp(&k, 0, "2001:db8::1", text);
		while (kit_take(&k, 0, f, sizeof(f)) != 0)
			;
	}
	send_tcp(&k, 0, "192.0.2.1", "192.0.2.2");
	cr_expect_eq(next_sent(&k), TCP);
	kit_close(&k);
}

/* Thousands of peers may fall silent behind one router: it is not asked for each of them. */
Test(neigh, a_neighbour_under_suspicion_is_probed_once_a_second, .init = pst_test_eal)
{
	for (unsigned v = 0; v < 2; v++) {
		struct kit k;
		struct pst_ip peer = kit_ip(families[v].peer);
		open_resolved(&k, &families[v]);
		pst_net_neigh_suspect(k.n[0], &peer, k.now);
		cr_expect_eq(next_sent(&k), ASKS_ALL);
		answer(&k, 0, &families[v], peer_lladdr);
		advance(&k, SEC / 2);
		pst_net_neigh_suspect(k.n[0], &peer, k.now);
		cr_expect_eq(next_sent(&k), NOTHING);
		advance(&k, SEC / 2);
		pst_net_neigh_suspect(k.n[0], &peer, k.now);
		cr_expect_eq(next_sent(&k), ASKS_ALL);
		kit_close(&k);
	}
}

/* RFC 4861 4.4: an answer to a unicast solicitation may leave the address out. */
Test(neigh, an_answer_without_an_address_confirms_the_one_we_have, .init = pst_test_eal)
{
	struct kit k;
	uint8_t f[128];

	open_resolved(&k, &families[1]);
	advance(&k, 60 * SEC);
	send_tcp(&k, 0, families[1].us, families[1].peer);
	cr_expect_eq(next_sent(&k), TCP);
	advance(&k, 5 * SEC);
	cr_expect_eq(next_sent(&k), ASKS_ONE);
	kit_input(&k, 0, f,
		kit_nd(f, 136, 0x60, families[1].peer, families[1].us, families[1].peer, 0, NULL));
	kit_rx(&k, 0);
	for (unsigned i = 0; i < 4; i++) {
		advance(&k, SEC);
		cr_expect_eq(next_sent(&k), NOTHING);
	}
	cr_expect_eq(kit_counter(&k, "neigh_failed"), 0);
	send_tcp(&k, 0, families[1].us, families[1].peer);
	cr_expect_eq(next_sent(&k), TCP);
	kit_close(&k);
}
