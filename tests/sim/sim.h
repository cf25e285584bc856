/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two hosts, each a whole pst_net and pst_tcp of its own, on a wire that loses,
 * doubles, reorders, delays and damages frames by a seed. The clock is virtual:
 * it jumps from event to event, so minutes of silence cost nothing.
 */
#ifndef SIM_H
#define SIM_H

#include <pst_net.h>
#include <pst_rand.h>
#include <pst_tcp.h>

#define SIM_FRAME_MAX 2048

struct wire_conf {
	double loss, dup, reorder, corrupt; /* percent of frames, each direction */
	uint64_t delay;                     /* ns, one way */
	uint16_t mtu;                       /* frames with larger IP packets vanish; 0: none do */
	bool cut;                           /* nothing gets through */
};

struct frame {
	uint64_t at, order;
	uint8_t *bytes;
	uint16_t len;
	uint8_t to; /* host 0 or 1 */
};

struct wire {
	struct wire_conf conf;
	struct frame *heap;
	unsigned n, cap;
	uint64_t order;
	uint64_t rng;
	uint8_t **spare;
	unsigned nspare, spare_cap;
	uint64_t sent, lost, doubled, reordered, damaged;
	bool tell; /* frames that are too big are answered as a router would */
};

struct host;
/* One connection with events; the host's application. */
typedef void host_app(struct host *h, struct pst_tcp_conn *c, uint32_t events);

struct host {
	struct sim *sim;
	struct pst_fabric *fabric;
	struct pst_net *net;
	struct pst_tcp *tcp;
	struct pst_ip ip4, ip6;
	host_app *app;
	void *arg;
	uint8_t id;
	bool busy; /* frames came in since its last turn */
};

struct sim {
	uint64_t now;
	struct wire wire;
	struct host host[2];
	unsigned same_time; /* steps without the clock moving */
	const char *fault;  /* first thing found wrong; NULL while all is well */
	bool v6;
};

struct sim_conf {
	uint64_t seed;
	struct wire_conf wire;
	struct pst_tcp_conf tcp[2];
	unsigned mbufs;  /* per host; 0: 8192 */
	uint16_t mtu[2]; /* of each host's port; 0: 1500 */
	bool v6;
};

struct sim *sim_new(const struct sim_conf *conf);
/* Frees both hosts; demands that all connections are gone and every pool is full again. */
bool sim_free(struct sim *s);
/* To the next event. False: nothing will ever happen again. */
bool sim_step(struct sim *s);
/* Until `done` says so; false and sim->fault when virtual time `limit` ns passes first. */
bool sim_until(struct sim *s, bool (*done)(struct sim *s), uint64_t limit);
void sim_pass(struct sim *s, uint64_t ns);
bool sim_idle(struct sim *s); /* no connection, half-open or TIME_WAIT record on either host */
void sim_fault(struct sim *s, const char *what);
struct pst_ip *host_ip(struct host *h); /* of the family in use */
struct pst_tcp_conn *host_connect(struct host *h, uint16_t port, void *user);
void host_listen(struct host *h, uint16_t port);
void host_turn(struct host *h);

/* wire.c */
void wire_init(struct wire *w, const struct wire_conf *conf, uint64_t seed);
void wire_fini(struct wire *w);
void wire_send(struct wire *w, uint64_t now, uint8_t to, const struct rte_mbuf *m);
uint64_t wire_next(const struct wire *w);
bool wire_pop(struct wire *w, uint64_t now, struct frame *f);
void wire_release(struct wire *w, struct frame *f);
/* toobig.c: the ICMP answer of a router with `mtu` to this frame; 0: none. */
uint16_t too_big(const uint8_t *frame, uint16_t len, uint16_t mtu, uint8_t *out);
uint64_t wire_random(struct wire *w);
uint32_t wire_below(struct wire *w, uint32_t bound);

/* bulk.c: both ways at once, every byte checked; NULL or what went wrong. */
struct bulk_conf {
	struct sim_conf sim;
	uint64_t bytes;
};
struct bulk_result {
	double virtual_s;
	uint64_t frames, retransmits, timeouts, fast, events;
};
const char *bulk_run(const struct bulk_conf *conf, struct bulk_result *out);
/* flow.c: one side of a connection that sends a computed stream and checks another. */
struct flow {
	struct pst_tcp_conn *c;
	uint64_t send_key, recv_key;
	uint64_t to_send, written, read;
	bool shut;   /* our FIN is queued */
	bool eof;    /* the peer's was read */
	bool closed; /* let go */
	bool open;   /* do not shut down when all is written */
};
uint64_t stream_key(uint64_t seed, uint64_t n);
void flow_write(struct flow *f); /* what fits; shuts down behind the last byte */
void flow_read(struct sim *s, struct flow *f);

/* scenes.c */
struct scene {
	const char *name;
	const char *(*run)(uint64_t seed, bool v6); /* NULL or what went wrong */
};
extern const struct scene scenes[]; /* NULL name ends */

#endif
