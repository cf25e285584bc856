/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What each client address holds of the gateway: sessions, handshakes, and how
 * often it came in the last minute. One table for all workers, because one
 * address's connections land on several.
 *
 * Touched when a session begins, ends, or enters or leaves a handshake; never for a
 * packet or a command. A stripe's spinlock is held for a few dozen instructions and
 * two workers meet on it only for addresses of the same stripe. Bounded: an address
 * that finds its stripe full of busy others is let in uncounted (and that is counted).
 *
 * IPv6 clients are counted by /64: one host owns at least that much (RFC 6177).
 */
#ifndef PEERS_H
#define PEERS_H

#include <pst_ip.h>

struct peers;

struct peers_limits { /* 0: none */
	uint32_t sessions, handshakes, per_minute;
};

enum peers_verdict { PEERS_OK, PEERS_SESSIONS, PEERS_HANDSHAKES, PEERS_RATE };

struct peers *peers_new(void);
void peers_free(struct peers *p);

/* Any worker. PEERS_OK: counted, and to be left again. */
enum peers_verdict peers_enter(
	struct peers *p, const struct pst_ip *ip, const struct peers_limits *l, uint64_t now_ms);
void peers_leave(struct peers *p, const struct pst_ip *ip);
enum peers_verdict peers_handshake(
	struct peers *p, const struct pst_ip *ip, const struct peers_limits *l);
void peers_handshake_over(struct peers *p, const struct pst_ip *ip);

/* Addresses that could not be counted; addresses known now. For tests and status. */
uint64_t peers_uncounted(struct peers *p);
unsigned peers_known(struct peers *p);

#endif
