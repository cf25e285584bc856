/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A stand-in for lib/net under TCP tests: the functions of pst_net.h that
 * lib/tcp calls, over two small pools and a list of what was sent. Link it
 * instead of lib/net. Time and packets are the test's.
 */
#ifndef FAKENET_H
#define FAKENET_H

#include <pst_net.h>

#define FAKENET_OUT 4096 /* segments kept until taken; more are freed and counted as lost */

struct fake_out {
	struct rte_mbuf *m; /* at the TCP header; checksum field zero */
	struct pst_ip src, dst;
};

struct pst_net {
	struct rte_mempool *data, *head;
	struct pst_ip ip4, ip6;
	uint16_t mtu;     /* of every path; pst_net_pmtu_update lowers it */
	bool unreachable; /* no route to anywhere */
	unsigned workers; /* owners: (sport + dport) % workers; 0 counts as 1 */
	unsigned worker;
	struct fake_out out[FAKENET_OUT];
	unsigned nout, taken;
	uint64_t lost;
	uint64_t suspected; /* calls of pst_net_neigh_suspect */
};

/* `ndata`, `nhead`: elements. Aborts when the EAL's memory does not suffice. */
struct pst_net *fakenet_new(unsigned ndata, unsigned nhead);
/* Frees what is still queued, then the pools; false if an mbuf was missing. */
bool fakenet_free(struct pst_net *n);
/* The oldest segment not yet taken; m NULL when none. Caller frees m. */
struct fake_out fakenet_take(struct pst_net *n);
bool fakenet_full(const struct pst_net *n); /* every mbuf is in its pool */

#endif
