/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The broken-TLS memory (S4): hosts with which a TLS handshake failed, each for at
 * most an hour after its last failure, so that what may go in clear is not kept waiting. An
 * attacker can put a host in here by breaking its handshakes: so it is off by default,
 * counted, and never asked where TLS is demanded.
 *
 * One table for all workers behind a lock: it is touched when a handshake failed, and
 * looked at, while the feature is on, when a connection or a session begins. Bounded: the
 * one that failed longest ago makes room.
 */
#ifndef BROKEN_H
#define BROKEN_H

#include <pst_ip.h>
#include <pst_relay.h>

struct broken;

struct broken *broken_new(void);
void broken_free(struct broken *b); /* NULL is allowed */

/* Any thread; times are of one monotonic clock. max: entries kept, 1.. */
void broken_note(struct broken *b, const struct pst_ip *ip, bool client, const char *cause,
	uint64_t now_ms, uint32_t ttl_ms, unsigned max);
bool broken_has(struct broken *b, const struct pst_ip *ip, bool client, uint64_t now_ms);
/* TLS with it worked: the entry has had its time. */
void broken_forget(struct broken *b, const struct pst_ip *ip, bool client);
unsigned broken_list(struct broken *b, struct pst_broken_row *rows, unsigned max, uint64_t now_ms);
unsigned broken_flush(struct broken *b);

#endif
