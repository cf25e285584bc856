/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What net's tests share: fabrics of bare ports on a clock of their own, frames built
 * byte by byte, and a wire between two of them. The builders and the checksum here share
 * no code with what they test.
 */
#ifndef KIT_H
#define KIT_H

#include <criterion/criterion.h>
#include <pst_test.h>
#include "net_impl.h"

#define KIT_WORKERS 4
#define SEC         PST_NS_PER_SEC

struct kit {
	struct pst_fabric *f;
	struct pst_net *n[KIT_WORKERS];
	unsigned nw;
	uint64_t now;
	struct pst_pkt up[64]; /* what the last kit_rx handed up */
	unsigned nup;
};

/* The usual host: one port "a", 192.0.2.1/24 and 2001:db8::1/64, MAC 02:..:01. */
extern const struct rte_ether_addr kit_mac, kit_peer_mac;
struct pst_port_conf kit_port(unsigned last_octet);
void kit_open(struct kit *k, const struct pst_port_conf *port, unsigned workers, unsigned misroute);
void kit_open_conf(struct kit *k, const struct pst_fabric_conf *conf);
/* Frees all and fails the test when a pool is not full again. */
void kit_close(struct kit *k);
/* For two that exchanged mbufs. */
void kit_close_pair(struct kit *a, struct kit *b);

struct pst_ip kit_ip(const char *text);
/* One worker's turn; frees what it handed up before. Returns how many it handed up. */
unsigned kit_rx(struct kit *k, unsigned worker);
/* Turns of all workers and flushes, until nothing moves; counts what was handed up. */
unsigned kit_settle(struct kit *k);
void kit_free_up(struct kit *k);
void kit_input(struct kit *k, unsigned worker, const uint8_t *frame, unsigned len);
struct rte_mbuf *kit_mbuf(struct kit *k, const uint8_t *bytes, unsigned len);
/* Takes one sent frame as bytes; 0: none. */
unsigned kit_take(struct kit *k, unsigned worker, uint8_t *frame, unsigned max);
/* Carries frames both ways and lets both run until nothing moves. */
void kit_wire(struct kit *a, struct kit *b);
uint64_t kit_counter(struct kit *k, const char *name); /* over all workers */
uint64_t kit_drops(struct kit *k, const char *prefix); /* sum of all counters so named */

/* ---- frames ---- */

uint16_t kit_sum(const uint8_t *p, unsigned len, uint32_t start); /* complemented */
/* Each fills in at f and returns the frame's whole length. */
unsigned kit_eth(uint8_t *f, uint16_t type);
/* An IPv4 or IPv6 packet with l4 bytes from `l4`; checksum at field (< 0: none). */
unsigned kit_packet(uint8_t *f, const char *src, const char *dst, uint8_t proto, const uint8_t *l4,
	unsigned len, int field);
void kit_fix_ip4(uint8_t *f); /* header checksum anew, header of any length */
unsigned kit_tcp(uint8_t *f, const char *src, const char *dst, uint16_t sport, uint16_t dport,
	unsigned payload);
unsigned kit_arp(uint8_t *f, uint16_t op, const char *sender, const char *target);
/* ICMPv6 from a peer's link-local to `dst`, with hop limit 255. */
unsigned kit_nd(uint8_t *f, uint8_t type, uint8_t flags, const char *src, const char *dst,
	const char *target, uint8_t option, const uint8_t *value);

#endif
