/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A sequence of frames into a bare port of two workers, one of them while addresses are
 * still being probed for. Input: records of
 *
 *   how (1 byte), length (2 bytes), frame
 *
 * how: bit 0  repair the IPv4 header checksum        bit 4     by worker 1
 *      bit 1  repair the transport checksum          bit 5     in segments of 7 bytes
 *      bit 2  address it to our MAC                  bits 6-7  seconds pass: 0, 1, 7, 100
 *      bit 3  an answer of ours follows (TCP)
 *
 * Checked: sanitizers; that what is handed up is as pst_net.h promises; that no segment
 * came to a wrong worker; that every frame is counted; and that all mbufs return.
 */
#include <pst_net.h>
#include <pst_test.h>
#include <stdlib.h>
#include <string.h>
#include <rte_mempool.h>

static struct pst_fabric *fabric;
static const uint8_t mac[6] = {2, 0, 0, 0, 0, 1};

#define MUST(x)                                                                                    \
	do {                                                                                       \
		if (!(x))                                                                          \
			abort();                                                                   \
	} while (0)

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	struct pst_port_conf pc = {
		.name = "a", .ethdev = -1, .naddrs = 2, .announce = PST_ANNOUNCE_ON};
	struct pst_fabric_conf fc = {
		.nworkers = 2, .nports = 1, .ports = &pc, .mbufs_per_worker = 2047, .seed = 1};
	char err[200];

	(void)argc, (void)argv;
	pst_test_eal();
	memcpy(pc.mac.addr_bytes, mac, 6);
	MUST(pst_prefix_parse("192.0.2.1/24", &pc.addrs[0]) == PST_OK);
	MUST(pst_prefix_parse("2001:db8::1/64", &pc.addrs[1]) == PST_OK);
	fabric = pst_fabric_new(&fc, err, sizeof(err));
	MUST(fabric != NULL);
	return 0;
}

/* ---- repairing, so that mutations get past the checksums ---- */

static uint16_t
sum(const uint8_t *p, size_t n, uint32_t start)
{
	uint64_t s = start;

	for (size_t i = 0; i < n; i++)
		s += i % 2 == 0 ? (uint64_t)p[i] << 8 : p[i];
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return (uint16_t)~s;
}

static void
put(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static void
repair(uint8_t *f, size_t n, uint8_t how)
{
	bool v4 = n >= 34 && f[12] == 0x08 && f[13] == 0, v6 = n >= 54 && f[12] == 0x86;
	size_t hlen = v4 ? (f[14] & 15u) * 4 : 40, at = 14 + hlen;

	if ((how & 4) != 0 && n >= 6)
		memcpy(f, mac, 6);
	if (!(v4 || v6) || at > n)
		return;
	uint8_t proto = v4 ? f[23] : f[20];
	size_t field = at + (proto == 6 ? 16 : 2);
	if ((how & 2) != 0 && field + 2 <= n) {
		uint32_t start = 0;
		if (proto != 1)
			start = proto + (uint32_t)(n - at) +
				(uint16_t)~sum(v4 ? f + 26 : f + 22, v4 ? 8 : 32, 0);
		put(f + field, 0);
		put(f + field, sum(f + at, n - at, start));
	}
	if ((how & 1) != 0 && v4 && hlen >= 20) {
		put(f + 16, (uint16_t)(n - 14));
		put(f + 24, 0);
		put(f + 24, sum(f + 14, hlen, 0));
	}
	if ((how & 1) != 0 && v6)
		put(f + 18, (uint16_t)(n - 54));
}

static struct rte_mbuf *
make(struct pst_net *n, const uint8_t *p, size_t len, bool cut)
{
	struct rte_mbuf *m = NULL;
	size_t step = cut ? 7 : len;

	for (size_t at = 0; at < len || m == NULL; at += step) {
		struct rte_mbuf *s = rte_pktmbuf_alloc(pst_net_pool_data(n));
		MUST(s != NULL);
		size_t k = len - at < step ? len - at : step;
		memcpy(rte_pktmbuf_append(s, (uint16_t)k), p + at, k);
		if (m == NULL)
			m = s;
		else
			MUST(rte_pktmbuf_chain(m, s) == 0);
		if (step == 0)
			break;
	}
	return m;
}

/* ---- what net promises its caller ---- */

static void
judge(struct pst_net *n, const struct pst_pkt *p)
{
	const uint8_t *t = rte_pktmbuf_mtod(p->m, const uint8_t *);
	uint16_t a = (uint16_t)(t[0] << 8 | t[1]), b = (uint16_t)(t[2] << 8 | t[3]);

	rte_mbuf_sanity_check(p->m, 1);
	MUST(pst_ip_is4(&p->src) == pst_ip_is4(&p->dst));
	if (p->kind == PST_PKT_TCP) {
		MUST(p->m->data_len >= 20 && p->m->data_len >= (t[12] >> 4) * 4u);
		MUST(pst_net_is_local(n, &p->dst) && !pst_net_is_local(n, &p->src));
		MUST(pst_net_owner(n, &p->src, &p->dst, a, b) == pst_net_worker(n));
	} else {
		MUST(p->kind == PST_PKT_ICMP_ERROR && p->m->data_len >= 8);
		MUST(pst_net_is_local(n, &p->src));
		MUST(pst_net_owner(n, &p->dst, &p->src, b, a) == pst_net_worker(n));
	}
}

static void
answer(struct pst_net *n, const struct pst_pkt *p, uint64_t now)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(pst_net_pool_head(n));

	MUST(m != NULL);
	memset(rte_pktmbuf_append(m, 20), 0x50, 20);
	pst_net_output(n, m, &p->dst, &p->src, 6, 0, now);
	pst_net_pmtu_update(n, &p->src, (uint16_t)now, now);
	pst_net_neigh_suspect(n, &p->src, now);
}

static void
turn(struct pst_net *n, uint64_t now, bool answers)
{
	struct pst_pkt pkts[8];
	struct rte_mbuf *sent;
	unsigned got;

	while ((got = pst_net_rx(n, now, pkts, 8)) > 0)
		for (unsigned i = 0; i < got; i++) {
			judge(n, &pkts[i]);
			if (answers && pkts[i].kind == PST_PKT_TCP)
				answer(n, &pkts[i], now);
			rte_pktmbuf_free(pkts[i].m);
		}
	pst_net_tick(n, now);
	pst_net_flush(n);
	while (pst_net_take(n, 0, &sent, 1) == 1) {
		rte_mbuf_sanity_check(sent, 1);
		MUST(sent->pkt_len >= 14 && sent->pkt_len <= 1514);
		rte_pktmbuf_free(sent);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const unsigned passes[4] = {0, 1, 7, 100};
	struct pst_net *n[2] = {pst_net_new(fabric, 0), pst_net_new(fabric, 1)};
	struct rte_mempool *pools[4];
	uint64_t now = 1000 * PST_NS_PER_SEC, frames = 0;
	uint8_t f[1600];

	for (unsigned i = 0; i < 2; i++) {
		pools[i] = pst_net_pool_data(n[i]);
		pools[2 + i] = pst_net_pool_head(n[i]);
	}
	while (size >= 3) {
		uint8_t how = data[0];
		size_t len = (size_t)(data[1] << 8 | data[2]) % sizeof(f);
		data += 3;
		size -= 3;
		len = len < size ? len : size;
		memcpy(f, data, len);
		data += len;
		size -= len;
		repair(f, len, how);
		now += passes[how >> 6] * PST_NS_PER_SEC;
		pst_net_input(n[how >> 4 & 1], 0, make(n[0], f, len, how & 32));
		frames++;
		turn(n[0], now, how & 8);
		turn(n[1], now, how & 8);
		turn(n[0], now, how & 8);
	}
	MUST(pst_net_counters(n[0])->rx_packets + pst_net_counters(n[1])->rx_packets == frames);
	for (unsigned i = 0; i < 2; i++) {
		MUST(pst_net_counters(n[i])->steer_wrong_owner == 0);
		turn(n[i], now, false);
		turn(n[1 - i], now, false);
	}
	pst_net_free(n[0]);
	pst_net_free(n[1]);
	for (unsigned i = 0; i < 4; i++)
		MUST(rte_mempool_avail_count(pools[i]) == pools[i]->size);
	return 0;
}
