/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One stack under test and a peer played by hand: segments are put in one by
 * one, what the stack sends is read back as plain numbers. The clock is a
 * variable.
 */
#ifndef WORLD_H
#define WORLD_H

#include <criterion/criterion.h>
#include <fakenet.h>
#include <pst_tcp.h>

enum { FIN = 1, SYN = 2, RST = 4, PSH = 8, ACK = 16 };

#define PEER_ISS 1000000u
#define PEER_WND 65535
#define OUR_PORT 25
#define MAX_OUT  256

/* A segment as sent by the stack. */
struct sent {
	uint8_t flags;
	uint32_t seq, ack;
	uint16_t wnd, sport, dport;
	uint32_t len;
	unsigned mbufs;
	bool ts, has_mss;
	uint16_t mss;
	int wscale; /* -1: none */
	uint32_t tsval, tsecr;
	uint8_t data[2048];
};

struct world {
	struct pst_net *net;
	struct pst_tcp *t;
	struct pst_tcp_conn *c; /* the connection under test, once there is one */
	uint64_t now;
	bool v6;
	struct pst_ip us, them;
	uint16_t our_port, their_port;
	/* The peer's view. */
	uint32_t snd; /* its next sequence number */
	uint32_t rcv; /* what it acknowledges: the stack's next number */
	uint16_t wnd;
	bool ts;      /* it sends timestamps */
	int wscale;   /* in its SYN; -1: none */
	uint16_t mss; /* in its SYN; 0: none */
	uint32_t tsval, tsecr;
	uint32_t iss; /* the stack's */
	struct sent out[MAX_OUT];
	unsigned nout;
	uint32_t events; /* of c, gathered since last cleared */
};

struct world_conf {
	struct pst_tcp_conf tcp;
	bool v6, ts;
	int wscale; /* 0: none; n: shift n - 1 */
	uint16_t mss;
	unsigned ndata, nhead;
};

struct world *world_new(const struct world_conf *conf);
/* Frees the stack and demands every mbuf back. */
void world_free(struct world *w);

/* One segment from the peer, then a turn. `len` bytes of world_byte(seq..). */
void put(struct world *w, uint8_t flags, uint32_t seq, uint32_t ack, uint32_t len);
/* The same without the turn. */
void put_only(struct world *w, uint8_t flags, uint32_t seq, uint32_t ack, uint32_t len);
/* In sequence: advances the peer's snd. */
void put_next(struct world *w, uint8_t flags, uint32_t len);
void put_icmp(struct world *w, uint8_t type, uint8_t code, uint16_t mtu, uint32_t quoted_seq);
/* Raw bytes as one segment. */
void put_raw(struct world *w, const uint8_t *p, unsigned n);
/* Events into w->events (and w->c from ACCEPT), flush, output into w->out. */
void turn(struct world *w);
void drop_out(struct world *w); /* forget what was sent */
/* Lets virtual time pass, deadline by deadline, gathering output. */
void pass_ms(struct world *w, uint64_t ms);
uint8_t world_byte(uint32_t seq);

void listen_here(struct world *w);
void open_passive(struct world *w); /* w->c is established */
void open_active(struct world *w);
void connect_only(struct world *w); /* SYN sent, w->c in SYN-SENT */

const char *state_of(struct world *w);
struct pst_tcp_info info_of(struct world *w);
struct pst_tcp_counters *counters(struct world *w);
struct pst_tcp_usage usage(struct world *w);
uint64_t drops(struct world *w); /* sum of all drop_ counters */

#endif
