/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two hosts on crossed net_ring devices in this process: the way through port.c without
 * a kernel, and the wire that hands over the very mbufs it was given.
 */
#include "kit.h"

#include <rte_eth_ring.h>
#include <rte_ethdev.h>

static struct rte_mbuf *
chain_of_clones(struct kit *k, struct rte_mbuf *data)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(pst_net_pool_head(k->n[0]));
	uint8_t *t = (uint8_t *)rte_pktmbuf_append(m, 20);

	memset(t, 0, 20);
	t[12] = 0x50;
	for (unsigned i = 0; i < 3; i++)
		cr_assert_eq(
			rte_pktmbuf_chain(m, rte_pktmbuf_clone(data, pst_net_pool_head(k->n[0]))),
			0);
	return m;
}

static void
run(struct kit *a, struct kit *b)
{
	struct kit *both[2] = {a, b};

	for (unsigned i = 0; i < 16; i++) {
		struct kit *k = both[i % 2];
		k->nup += pst_net_rx(k->n[0], k->now, k->up + k->nup, PST_COUNT(k->up) - k->nup);
		pst_net_tick(k->n[0], k->now);
		pst_net_flush(k->n[0]);
	}
}

static int
device(const char *name, struct rte_ring *rx, struct rte_ring *tx)
{
	int id = rte_eth_from_rings(name, &rx, 1, &tx, 1, SOCKET_ID_ANY);

	cr_assert_geq(id, 0);
	return id;
}

Test(ring, retransmissions_survive_what_the_receiver_does_to_them, .init = pst_test_eal)
{
	struct rte_ring *to_a = rte_ring_create("to_a", 256, SOCKET_ID_ANY, 0);
	struct rte_ring *to_b = rte_ring_create("to_b", 256, SOCKET_ID_ANY, 0);
	struct pst_port_conf pa = kit_port(1), pb = kit_port(2);
	struct pst_ip ia = kit_ip("2001:db8::1"), ib = kit_ip("2001:db8::2");
	uint8_t bytes[333], text[160];
	struct kit a, b;

	for (unsigned i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 37);
	/* A port without a MAC of its own in the configuration takes the device's. */
	pa.ethdev = device("a", to_a, to_b);
	pb.ethdev = device("b", to_b, to_a);
	kit_open(&a, &pa, 1, 0);
	kit_open(&b, &pb, 1, 0);
	pst_fabric_describe(a.f, 0, (char *)text, sizeof(text));
	cr_expect_str_eq((char *)text, "a: net_ring queues=1 steering=none mtu=1500 link=up");
	run(&a, &b);
	a.now = b.now = a.now + SEC; /* detection is over */
	run(&a, &b);
	struct rte_mbuf *data = kit_mbuf(&a, bytes, sizeof(bytes));
	for (unsigned sent = 0; sent < 5; sent++) { /* the same bytes again and again */
		cr_assert_eq(
			pst_net_output(a.n[0], chain_of_clones(&a, data), &ia, &ib, 6, 0, a.now),
			PST_OK);
		pst_net_flush(a.n[0]);
		kit_free_up(&b);
		run(&b, &a);
		run(&b, &a);
		cr_assert_eq(b.nup, 1, "sent %u times, %u came", sent + 1, b.nup);
		cr_expect_eq(b.up[0].m->pkt_len, 20 + 3 * sizeof(bytes));
		cr_expect_arr_eq(net_data(data), bytes, sizeof(bytes));
	}
	cr_expect_eq(kit_drops(&b, "rx_drop_l4"), 0);
	kit_free_up(&b);
	cr_expect_eq(rte_mbuf_refcnt_read(data), 1);
	rte_pktmbuf_free(data);
	cr_expect(rte_ring_empty(to_a) && rte_ring_empty(to_b));
	kit_close_pair(&a, &b);
	rte_ring_free(to_a);
	rte_ring_free(to_b);
}

/* No lock guards a device queue: who has none of its own passes frames to one that has. */
Test(ring, a_worker_without_a_queue_sends_through_one_that_has, .init = pst_test_eal)
{
	struct rte_ring *to_a = rte_ring_create("to_a", 256, SOCKET_ID_ANY, 0);
	struct rte_ring *to_b = rte_ring_create("to_b", 256, SOCKET_ID_ANY, 0);
	struct pst_port_conf pa = kit_port(1), pb = kit_port(2);
	struct pst_ip ia = kit_ip("192.0.2.1"), ib = kit_ip("192.0.2.2");
	struct kit a, b;

	pa.ethdev = device("a", to_a, to_b);
	pb.ethdev = device("b", to_b, to_a);
	pa.announce = pb.announce = PST_ANNOUNCE_OFF;
	kit_open(&a, &pa, 3, 0);
	kit_open(&b, &pb, 1, 0);
	struct rte_mbuf *m = rte_pktmbuf_alloc(pst_net_pool_head(a.n[2]));
	uint8_t *t = (uint8_t *)rte_pktmbuf_append(m, 20);
	memset(t, 0, 20);
	t[12] = 0x50;
	cr_assert_eq(pst_net_output(a.n[2], m, &ia, &ib, 6, 0, a.now), PST_OK);
	for (unsigned i = 0; i < 4 && b.nup == 0; i++) {
		kit_settle(&a); /* the question, then the segment, by way of worker 0 */
		kit_rx(&b, 0);
		pst_net_flush(b.n[0]);
	}
	cr_expect_eq(b.nup, 1);
	cr_expect_eq(pst_net_counters(a.n[2])->tx_packets, 0);
	cr_expect_eq(pst_net_counters(a.n[0])->tx_packets, 2);
	kit_close_pair(&a, &b);
	rte_ring_free(to_a);
	rte_ring_free(to_b);
}
