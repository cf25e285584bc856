/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The relay: the only place where TCP, TLS, SMTP, policy and names meet. It turns
 * a configuration into snapshots, runs one shard per worker, and answers
 * questions about them.
 *
 * Thread: all of this is the main (control) thread's, except pst_shard_run, which
 * is a worker's whole life.
 */
#ifndef PST_RELAY_H
#define PST_RELAY_H

#include <pst_config.h>
#include <pst_log.h>
#include <pst_net.h>
#include <pst_tcp.h>

struct pst_relay;
struct pst_shard;

struct pst_relay_deps {
	struct pst_fabric *fabric;
	struct pst_logger *logger;
	unsigned nworkers;
	bool adaptive_idle;
};

/*
 * Checks what only files and libraries can tell (certificates, ciphers, CA
 * bundles) without starting anything: the rest of `postern -t`. Appends one line
 * a fault ("/certificates/mx/chain: ...") to report; returns the number of faults.
 */
unsigned pst_relay_check(const struct pst_config *cfg,
	void (*report)(void *arg, const char *pointer, const char *text), void *arg);

/* Builds the first snapshot and the shards. The config must live as long as the relay. */
struct pst_relay *pst_relay_new(
	const struct pst_config *cfg, const struct pst_relay_deps *deps, char *err, size_t errlen);
void pst_relay_free(struct pst_relay *r);

/* A worker's life: returns when stopped. `worker` 0..nworkers-1, on its own lcore. */
int pst_shard_run(struct pst_relay *r, unsigned worker);

/* No new sessions; 421 between transactions; running ones finish. */
void pst_relay_drain(struct pst_relay *r);
bool pst_relay_drained(const struct pst_relay *r); /* drain was asked and no session is left */
bool pst_relay_draining(const struct pst_relay *r);
unsigned pst_relay_running(const struct pst_relay *r); /* workers in their loop */
bool pst_relay_failed(const struct pst_relay *r);      /* a worker could not start */
unsigned pst_relay_live(const struct pst_relay *r);    /* client sessions now, all workers */
/* Shards leave their loop; what is left is cut. */
void pst_relay_stop(struct pst_relay *r);

#define PST_RELAY_COUNTERS(X)                                                                      \
	X(sessions, "client sessions begun")                                                       \
	X(sessions_refused, "client sessions refused with 421")                                    \
	X(sessions_ended, "client sessions ended")                                                 \
	X(client_handshakes, "TLS handshakes finished with clients")                               \
	X(client_handshake_failures, "TLS handshakes failed with clients")                         \
	X(nexthop_connects, "connections opened to next hops")                                     \
	X(nexthop_connect_failures, "connections to next hops that failed")                        \
	X(nexthop_handshakes, "TLS handshakes finished with next hops")                            \
	X(nexthop_handshake_failures, "TLS handshakes failed with next hops")                      \
	X(nexthop_resumed, "TLS sessions resumed with next hops")                                  \
	X(nexthop_reused, "connections taken from the pool")                                       \
	X(nexthop_stale, "pooled connections found dead and replaced")                             \
	X(transactions_sent, "messages the next hop took")                                         \
	X(transactions_deferred, "transactions answered 4xx")                                      \
	X(transactions_rejected, "transactions answered 5xx")                                      \
	X(transactions_aborted, "transactions the client gave up")                                 \
	X(delivery_uncertain, "next hop silent or gone after the dot")                             \
	X(recipients_other_class, "recipients put off because of another route class")             \
	X(body_bytes, "message bytes relayed")                                                     \
	X(starttls_injection, "bytes found behind STARTTLS, either leg")                           \
	X(timeouts, "sessions ended by a timeout")

struct pst_relay_counters {
	PST_RELAY_COUNTERS(PST_COUNTER_MEMBER)
};

struct pst_worker_stats {
	struct pst_relay_counters relay;
	struct pst_net_counters net;
	struct pst_tcp_counters tcp;
	struct pst_tcp_usage usage;
	uint64_t loops, busy_loops; /* turns, and those that found work */
	uint64_t live_sessions, pooled_connections;
	uint64_t mbufs_in_use, mbufs_total;
};
/* A worker's numbers, each a moment old. */
void pst_relay_stats(const struct pst_relay *r, unsigned worker, struct pst_worker_stats *out);
unsigned pst_relay_nworkers(const struct pst_relay *r);

/* What an idle session costs: fixed records, and what OpenSSL holds for all of them. */
struct pst_relay_memory {
	size_t session_bytes;    /* one client session's record */
	size_t hop_bytes;        /* one next-hop connection's */
	uint64_t tls_live_bytes; /* OpenSSL's heap, contexts and certificates included */
};
void pst_relay_memory(const struct pst_relay *r, struct pst_relay_memory *out);

extern const struct pst_counter_desc pst_relay_counter_descs[]; /* NULL name ends */

#endif
