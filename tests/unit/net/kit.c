/* SPDX-License-Identifier: BSD-3-Clause */
#include "kit.h"

#include <string.h>
#include <rte_mempool.h>

const struct rte_ether_addr kit_mac = {.addr_bytes = {2, 0, 0, 0, 0, 1}};
const struct rte_ether_addr kit_peer_mac = {.addr_bytes = {2, 0, 0, 0, 0, 2}};

struct pst_ip
kit_ip(const char *text)
{
	struct pst_ip ip;

	cr_assert_eq(pst_ip_parse(text, &ip), PST_OK, "%s", text);
	return ip;
}

struct pst_port_conf
kit_port(unsigned last_octet)
{
	struct pst_port_conf pc = {.name = "a", .ethdev = -1, .naddrs = 2};
	char text[64];

	pc.mac.addr_bytes[0] = 2;
	pc.mac.addr_bytes[5] = (uint8_t)last_octet;
	snprintf(text, sizeof(text), "192.0.2.%u/24", last_octet);
	cr_assert_eq(pst_prefix_parse(text, &pc.addrs[0]), PST_OK);
	snprintf(text, sizeof(text), "2001:db8::%x/64", last_octet);
	cr_assert_eq(pst_prefix_parse(text, &pc.addrs[1]), PST_OK);
	return pc;
}

void
kit_open_conf(struct kit *k, const struct pst_fabric_conf *conf)
{
	struct pst_fabric_conf c = *conf;
	char err[256] = "";

	if (c.mbufs_per_worker == 0)
		c.mbufs_per_worker = 4095;
	if (c.seed == 0)
		c.seed = 42;
	*k = (struct kit){.nw = c.nworkers, .now = 1000 * SEC};
	k->f = pst_fabric_new(&c, err, sizeof(err));
	cr_assert_not_null(k->f, "%s", err);
	for (unsigned i = 0; i < k->nw; i++) {
		k->n[i] = pst_net_new(k->f, i);
		cr_assert_not_null(k->n[i]);
	}
}

void
kit_open(struct kit *k, const struct pst_port_conf *port, unsigned workers, unsigned misroute)
{
	struct pst_fabric_conf c = {
		.nworkers = workers, .nports = 1, .ports = port, .misroute_every = misroute};

	kit_open_conf(k, &c);
}

void
kit_free_up(struct kit *k)
{
	for (unsigned i = 0; i < k->nup; i++)
		rte_pktmbuf_free(k->up[i].m);
	k->nup = 0;
}

void
kit_close(struct kit *k)
{
	struct rte_mempool *pools[2 * KIT_WORKERS];

	kit_free_up(k);
	for (unsigned i = 0; i < k->nw; i++) {
		pools[2 * i] = pst_net_pool_data(k->n[i]);
		pools[2 * i + 1] = pst_net_pool_head(k->n[i]);
		pst_net_free(k->n[i]);
	}
	for (unsigned i = 0; i < 2 * k->nw; i++)
		cr_assert_eq(rte_mempool_avail_count(pools[i]), pools[i]->size,
			"%u mbufs of %s are missing", rte_mempool_in_use_count(pools[i]),
			pools[i]->name);
	pst_fabric_free(k->f);
}

unsigned
kit_rx(struct kit *k, unsigned worker)
{
	kit_free_up(k);
	k->nup = pst_net_rx(k->n[worker], k->now, k->up, PST_COUNT(k->up));
	for (unsigned i = 0; i < k->nup; i++) {
		const char *why = NULL;
		cr_expect_eq(rte_mbuf_check(k->up[i].m, 1, &why), 0, "%s", why);
	}
	return k->nup;
}

unsigned
kit_settle(struct kit *k)
{
	unsigned total = 0;

	for (unsigned round = 0; round < 8; round++)
		for (unsigned w = 0; w < k->nw; w++) {
			unsigned got;
			while ((got = kit_rx(k, w)) > 0)
				total += got;
			pst_net_tick(k->n[w], k->now);
			pst_net_flush(k->n[w]);
		}
	return total;
}

void
kit_close_pair(struct kit *a, struct kit *b)
{
	kit_free_up(a);
	kit_free_up(b);
	kit_close(a);
	kit_close(b);
}

struct rte_mbuf *
kit_mbuf(struct kit *k, const uint8_t *bytes, unsigned len)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(pst_net_pool_data(k->n[0]));

	cr_assert_not_null(m);
	char *p = rte_pktmbuf_append(m, (uint16_t)len);
	cr_assert_not_null(p);
	if (len > 0)
		memcpy(p, bytes, len);
	return m;
}

void
kit_input(struct kit *k, unsigned worker, const uint8_t *frame, unsigned len)
{
	pst_net_input(k->n[worker], 0, kit_mbuf(k, frame, len));
}

unsigned
kit_take(struct kit *k, unsigned worker, uint8_t *frame, unsigned max)
{
	struct rte_mbuf *m;

	pst_net_flush(k->n[worker]);
	if (pst_net_take(k->n[worker], 0, &m, 1) == 0)
		return 0;
	unsigned len = m->pkt_len;
	cr_assert_leq(len, max);
	const void *p = rte_pktmbuf_read(m, 0, len, frame);
	if (p != frame)
		memcpy(frame, p, len);
	rte_pktmbuf_free(m);
	return len;
}

static bool
carry(struct kit *from, struct kit *to)
{
	bool moved = false;
	struct rte_mbuf *m;

	for (unsigned w = 0; w < from->nw; w++) {
		pst_net_flush(from->n[w]);
		while (pst_net_take(from->n[w], 0, &m, 1) == 1) {
			pst_net_input(to->n[0], 0, m);
			moved = true;
		}
	}
	return moved;
}

void
kit_wire(struct kit *a, struct kit *b)
{
	bool moved = true;

	kit_free_up(a);
	kit_free_up(b);
	while (moved) {
		moved = carry(a, b);
		b->nup += pst_net_rx(b->n[0], b->now, b->up + b->nup, PST_COUNT(b->up) - b->nup);
		moved |= carry(b, a);
		a->nup += pst_net_rx(a->n[0], a->now, a->up + a->nup, PST_COUNT(a->up) - a->nup);
	}
}

static uint64_t
sum_counters(struct kit *k, const char *name, size_t n)
{
	uint64_t sum = 0;

	for (const struct pst_counter_desc *d = pst_net_counter_descs; d->name != NULL; d++)
		for (unsigned w = 0; w < k->nw && strncmp(d->name, name, n) == 0; w++)
			sum += *(const uint64_t *)((const char *)pst_net_counters(k->n[w]) +
						   d->offset);
	return sum;
}

uint64_t
kit_counter(struct kit *k, const char *name)
{
	return sum_counters(k, name, strlen(name) + 1);
}

uint64_t
kit_drops(struct kit *k, const char *prefix)
{
	return sum_counters(k, prefix, strlen(prefix));
}

/* ---- frames ---- */

uint16_t
kit_sum(const uint8_t *p, unsigned len, uint32_t start)
{
	uint64_t sum = start;

	for (unsigned i = 0; i < len; i++)
		sum += i % 2 == 0 ? (uint64_t)p[i] << 8 : p[i];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

unsigned
kit_eth(uint8_t *f, uint16_t type)
{
	memcpy(f, kit_mac.addr_bytes, 6);
	memcpy(f + 6, kit_peer_mac.addr_bytes, 6);
	f[12] = (uint8_t)(type >> 8);
	f[13] = (uint8_t)type;
	return 14;
}

void
kit_fix_ip4(uint8_t *f)
{
	f[24] = f[25] = 0;
	uint16_t s = kit_sum(f + 14, (f[14] & 15u) * 4, 0);
	f[24] = (uint8_t)(s >> 8);
	f[25] = (uint8_t)s;
}

unsigned
kit_packet(uint8_t *f, const char *src, const char *dst, uint8_t proto, const uint8_t *l4,
	unsigned len, int field)
{
	struct pst_ip s = kit_ip(src), d = kit_ip(dst);
	bool v4 = pst_ip_is4(&s);
	unsigned skip = v4 ? 12 : 0, at = v4 ? 34 : 54;
	uint8_t *h = f + kit_eth(f, v4 ? 0x0800 : 0x86dd);

	memset(h, 0, at - 14);
	if (v4) {
		h[0] = 0x45;
		h[2] = (uint8_t)((len + 20) >> 8);
		h[3] = (uint8_t)(len + 20);
		h[8] = 64;
		h[9] = proto;
		memcpy(h + 12, s.b + 12, 4);
		memcpy(h + 16, d.b + 12, 4);
		kit_fix_ip4(f);
	} else {
		h[0] = 0x60;
		h[4] = (uint8_t)(len >> 8);
		h[5] = (uint8_t)len;
		h[6] = proto;
		h[7] = 255;
		memcpy(h + 8, s.b, 16);
		memcpy(h + 24, d.b, 16);
	}
	memmove(f + at, l4, len);
	if (field >= 0) {
		uint32_t start = 0;
		if (proto != IPPROTO_ICMP) {
			start = proto + len;
			start += (uint16_t)~kit_sum(s.b + skip, 16 - skip, 0);
			start += (uint16_t)~kit_sum(d.b + skip, 16 - skip, 0);
		}
		f[at + (unsigned)field] = f[at + (unsigned)field + 1] = 0;
		uint16_t c = kit_sum(f + at, len, start);
		f[at + (unsigned)field] = (uint8_t)(c >> 8);
		f[at + (unsigned)field + 1] = (uint8_t)c;
	}
	return at + len;
}

unsigned
kit_tcp(uint8_t *f, const char *src, const char *dst, uint16_t sport, uint16_t dport,
	unsigned payload)
{
	uint8_t t[1500] = {[12] = 0x50, [13] = 0x10};

	net_put16(t, sport);
	net_put16(t + 2, dport);
	for (unsigned i = 0; i < payload; i++)
		t[20 + i] = (uint8_t)(i * 7 + 3);
	return kit_packet(f, src, dst, IPPROTO_TCP, t, 20 + payload, 16);
}

unsigned
kit_arp(uint8_t *f, uint16_t op, const char *sender, const char *target)
{
	static const uint8_t start[6] = {0, 1, 8, 0, 6, 4};
	struct pst_ip s = kit_ip(sender), t = kit_ip(target);
	uint8_t *h = f + kit_eth(f, 0x0806);

	if (op == 1)
		memset(f, 0xff, 6);
	memcpy(h, start, 6);
	net_put16(h + 6, op);
	memcpy(h + 8, kit_peer_mac.addr_bytes, 6);
	memcpy(h + 14, s.b + 12, 4);
	memset(h + 18, 0, 6);
	if (op == 2)
		memcpy(h + 18, kit_mac.addr_bytes, 6);
	memcpy(h + 24, t.b + 12, 4);
	return 42;
}

unsigned
kit_nd(uint8_t *f, uint8_t type, uint8_t flags, const char *src, const char *dst,
	const char *target, uint8_t option, const uint8_t *value)
{
	struct pst_ip t = kit_ip(target), d = kit_ip(dst);
	uint8_t m[32] = {type, 0, 0, 0, flags};

	memcpy(m + 8, t.b, 16);
	m[24] = option;
	m[25] = 1;
	if (value != NULL)
		memcpy(m + 26, value, 6);
	unsigned n = kit_packet(f, src, dst, IPPROTO_ICMPV6, m, option != 0 ? 32 : 24, 2);
	if (d.b[0] == 0xff) {
		f[0] = f[1] = 0x33;
		memcpy(f + 2, d.b + 12, 4);
	}
	return n;
}
