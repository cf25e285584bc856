/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The relay: the only place where TCP, TLS, SMTP, policy and names meet. It turns
 * a configuration into snapshots, runs one shard per worker, and answers
 * questions about them.
 *
 * Thread: pst_shard_run is a worker's whole life. Making, freeing, publishing,
 * reclaiming and asking about sessions belong to one thread at a time, the main one
 * before the control thread runs and after it ended, else the control thread. What
 * only raises a flag or reads numbers (drain, stop, stats) is anybody's.
 *
 * Configurations: a relay runs one and may still have sessions that began under
 * older ones. A config given to pst_relay_new or accepted by pst_relay_publish must
 * live until it is handed to the release callback.
 */
#ifndef PST_RELAY_H
#define PST_RELAY_H

#include <pst_config.h>
#include <pst_engine.h>
#include <pst_log.h>
#include <pst_net.h>
#include <pst_tcp.h>

struct pst_relay;

struct pst_relay_deps {
	struct pst_fabric *fabric;
	struct pst_logger *logger;
	unsigned nworkers;
	bool adaptive_idle;
	struct pst_engine *engine; /* with a lane for each worker; NULL: all crypto is inline */
};

/*
 * Checks what only files and libraries can tell (certificates, ciphers, CA
 * bundles) without starting anything: the rest of `postern -t`. Appends one line
 * a fault ("/certificates/mx/chain: ...") to report; returns the number of faults.
 */
unsigned pst_relay_check(const struct pst_config *cfg,
	void (*report)(void *arg, const char *pointer, const char *text), void *arg);

/* Builds the first generation and the shards. */
struct pst_relay *pst_relay_new(
	const struct pst_config *cfg, const struct pst_relay_deps *deps, char *err, size_t errlen);
/* Workers have ended. Every config still held is released. */
void pst_relay_free(struct pst_relay *r);

/* ---- publication ---- */

struct pst_publish_result {
	uint64_t generation;
	unsigned tls_built,
		tls_shared; /* TLS parts made anew, taken over from the last generation */
};

/*
 * Publishes cfg as the next generation: everything is built first, then one pointer is
 * swapped; sessions that run finish under the one they began with. PST_OK: cfg is the
 * relay's until released. PST_INVAL: nothing changed, report was called for each fault.
 * Waits for one loop turn of every worker. `dataplane` must be the one the process
 * started with.
 */
enum pst_rc pst_relay_publish(struct pst_relay *r, const struct pst_config *cfg,
	void (*report)(void *arg, const char *pointer, const char *text), void *arg,
	struct pst_publish_result *out);
/* Called from reclaim and free, on their thread, when nobody uses cfg any more. */
void pst_relay_set_release(
	struct pst_relay *r, void (*release)(void *arg, const struct pst_config *cfg), void *arg);
/* Frees old generations that no session uses; returns how many are still used. A few times a
 * second. */
unsigned pst_relay_reclaim(struct pst_relay *r);
uint64_t pst_relay_generation(const struct pst_relay *r); /* 1: the first */
/*
 * Rotates the ticket keys if that is due; now_ns: pst_now_ns. Waits for one loop turn of every
 * worker if it does. A few times a minute or more.
 */
void pst_relay_rotate(struct pst_relay *r, uint64_t now_ns);

/* ---- sessions ---- */

struct pst_session_row {
	char id[64]; /* box.boot.worker.counter */
	uint64_t counter;
	char client[72], listener[64];
	char state[24]; /* command, tls, rcpt, data, body, verdict, closing */
	char client_tls[16], client_cipher[48];
	char from[128], nexthop[128], nexthop_tls[16];
	uint64_t age_ms, bytes; /* message bytes passed on in this transaction */
	uint64_t generation;
	unsigned transactions;
};

/* The worker's sessions with a counter above `after`, ascending. Waits for the worker, at most 1 s.
 */
unsigned pst_relay_sessions(struct pst_relay *r, unsigned worker, uint64_t after,
	struct pst_session_row *rows, unsigned max);
/* Its transaction is given up, it hears 421 and is closed. PST_INVAL: no such session. */
enum pst_rc pst_relay_kill(struct pst_relay *r, const char *sid);

/* A worker's life: returns when stopped. `worker` 0..nworkers-1, on its own lcore. */
int pst_shard_run(struct pst_relay *r, unsigned worker);

/* No new sessions; 421 between transactions; running ones finish. */
void pst_relay_drain(struct pst_relay *r);
void pst_relay_undrain(struct pst_relay *r);
uint32_t pst_relay_drain_ms(const struct pst_relay *r); /* as configured now */
bool pst_relay_drained(const struct pst_relay *r);      /* drain was asked and no session is left */
bool pst_relay_draining(const struct pst_relay *r);
unsigned pst_relay_running(const struct pst_relay *r); /* workers in their loop */
bool pst_relay_failed(const struct pst_relay *r);      /* a worker could not start */
unsigned pst_relay_live(const struct pst_relay *r);    /* client sessions now, all workers */
/* Shards leave their loop; what is left is cut. */
void pst_relay_stop(struct pst_relay *r);

#define PST_RELAY_COUNTERS(X)                                                                      \
	X(sessions, "client sessions begun")                                                       \
	X(sessions_refused, "client sessions refused with 421")                                    \
	X(handshakes_deferred, "times a handshake waited for the next turn of the worker")         \
	X(sessions_ended, "client sessions ended")                                                 \
	X(client_handshakes, "TLS handshakes finished with clients")                               \
	X(client_handshake_failures, "TLS handshakes failed with clients")                         \
	X(client_resumed, "TLS sessions resumed with clients")                                     \
	X(tickets_issued, "session tickets sent to clients")                                       \
	X(tickets_old_key, "tickets of clients under a key that no longer encrypts, renewed")      \
	X(tickets_unknown_key, "tickets of clients under a key that is gone: full handshakes")     \
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
	X(timeouts, "sessions ended by a timeout")                                                 \
	X(policy_conflicts, "recipients put off because an exemption met a mandatory demand")      \
	X(certificate_expired,                                                                     \
		"sessions begun when every certificate of their listener had expired")             \
	X(broken_tls_learned, "hosts noted because TLS with them failed")                          \
	X(broken_tls_used, "connections kept plain because TLS with that host failed lately")      \
	X(broken_tls_overruled,                                                                    \
		"connections that used TLS although it failed lately: it is demanded")

/* ---- counters with labels: fixed sets, never addresses or domains ---- */

enum { PST_LEG_CLIENT, PST_LEG_NEXTHOP, PST_LEGS };
#define PST_CIPHERS 8
extern const char *const pst_relay_cipher_names[PST_CIPHERS]; /* OpenSSL's; the last is "other" */
#define PST_HS_BUCKETS 12
extern const uint32_t pst_relay_hs_bounds_us[PST_HS_BUCKETS - 1]; /* upper bounds; then +Inf */
enum {
	PST_STAGE_CONNECT,
	PST_STAGE_HELO,
	PST_STAGE_MAIL,
	PST_STAGE_RCPT,
	PST_STAGE_DATA,
	PST_STAGE_BODY,
	PST_STAGES
};
extern const char *const pst_relay_stage_names[PST_STAGES];
enum {
	PST_LIMIT_SESSIONS,
	PST_LIMIT_SESSIONS_PER_ADDRESS,
	PST_LIMIT_CONNECTION_RATE,
	PST_LIMIT_HANDSHAKES,
	PST_LIMIT_HANDSHAKES_PER_ADDRESS,
	PST_LIMIT_COMMANDS,
	PST_LIMIT_DATA_RATE,
	PST_LIMITS
};
extern const char *const pst_relay_limit_names[PST_LIMITS];

enum {                        /* why policy said no: pst_verdict.reason and the next hop's part */
	PST_REFUSED_RELAY,    /* relay_denied: no route */
	PST_REFUSED_CLEAR,    /* tls_required: the client came in clear */
	PST_REFUSED_CONFLICT, /* policy_conflict */
	PST_REFUSED_NO_TLS,   /* tls_not_offered: the next hop lacks STARTTLS */
	PST_REFUSED_TLS,      /* tls_failed: handshake or certificate */
	PST_REFUSED_NAMES,    /* no_such_host: DNS says that there is none */
	PST_REFUSALS
};
extern const char *const pst_relay_refusal_names[PST_REFUSALS];

enum {                        /* why a message left in clear although TLS was preferred */
	PST_DOWNGRADE_NO_TLS, /* tls_not_offered */
	PST_DOWNGRADE_BROKEN, /* tls_failed: now or lately, and the memory of broken TLS is on */
	PST_DOWNGRADES
};
extern const char *const pst_relay_downgrade_names[PST_DOWNGRADES];

struct pst_relay_labels {
	uint64_t policy_refusals[PST_REFUSALS];
	uint64_t downgrades[PST_DOWNGRADES]; /* messages that the next hop took */
	uint64_t handshakes[PST_LEGS][2 /* 1.2, 1.3 */][PST_CIPHERS][2 /* resumed */];
	uint64_t handshake_failures[PST_LEGS];
	uint64_t handshake_us_sum[PST_LEGS];
	uint64_t handshake_us[PST_LEGS][PST_HS_BUCKETS]; /* each bucket by itself, not cumulative */
	uint64_t plaintext_transactions[PST_LEGS]; /* messages taken that crossed this leg in clear
						    */
	uint64_t replies[6][PST_STAGES];           /* to clients, by first digit */
	uint64_t limit_refusals[PST_LIMITS];
	uint64_t tls_floods[PST_LEGS][PST_TLS_FLOODS]; /* TLS sessions ended by T9's bounds */
};

struct pst_relay_counters {
	PST_RELAY_COUNTERS(PST_COUNTER_MEMBER)
};

/*
 * Where a worker's time went. busy + empty + asleep is all of it since it began, in cycles
 * (pst_tsc_hz a second). busy is what the mail cost, whatever the mode; the system's figure is
 * more: cpu_ns = busy + empty + sleep_cpu_ns, as far as nobody else took the core meanwhile.
 */
struct pst_worker_time {
	uint64_t busy;         /* turns that found work */
	uint64_t empty;        /* polls that found nothing */
	uint64_t asleep;       /* as time passed, not CPU */
	uint64_t sleep_cpu_ns; /* CPU of going to sleep and waking; from samples */
	uint64_t cpu_ns;       /* the thread's CPU time as the system has it; 0: it has ended */
};

struct pst_worker_stats {
	struct pst_relay_counters relay;
	struct pst_relay_labels labels;
	struct pst_net_counters net;
	struct pst_tcp_counters tcp;
	struct pst_tcp_usage usage;
	uint64_t loops, busy_loops; /* turns, and those that found work */
	struct pst_worker_time time;
	uint64_t live_sessions, pooled_connections;
	uint64_t mbufs_in_use, mbufs_total;
	struct pst_lane_stats crypto; /* all 0 without an engine */
};
/* A worker's numbers, each a moment old. */
void pst_relay_stats(const struct pst_relay *r, unsigned worker, struct pst_worker_stats *out);
unsigned pst_relay_nworkers(const struct pst_relay *r);

/* ---- explain: the data path's own decisions, told ---- */

struct pst_explain_query {
	const char *from; /* address or domain; "" or "<>": the null sender */
	const char *to;
	const char *listener; /* NULL: the first that fits tls */
	bool has_client;
	struct pst_ip client;
	bool tls;  /* the client has TLS up */
	bool live; /* try the next hop up to STARTTLS and verification */
};

struct pst_explain_reply { /* code 0: not reached */
	unsigned code;
	char enh[12], text[200];
	char reason[24];
};

/* What the next hop may turn out to be; the columns of the matrix. */
enum { PST_HOP_NO_STARTTLS, PST_HOP_GOOD, PST_HOP_UNTRUSTED, PST_HOP_BROKEN, PST_HOP_STATES };
extern const char *const pst_relay_hop_state_names[PST_HOP_STATES];

struct pst_explain_host {
	char name[PST_NAME_MAX];
	struct pst_endpoint at;
	char demand[16]; /* level; "conflict" */
	char match[512]; /* names or fingerprints, "," between; "" if none */
	char servername[PST_NAME_MAX];
	char protocols[32], ciphers[200]; /* as overridden by the map; "" if not */
	bool broken;                      /* in the broken-TLS memory now */
	/* RCPT's answer and what the message would cross: "plain", "tls", or "" */
	struct {
		struct pst_explain_reply reply;
		char channel[8];
	} outcome[PST_HOP_STATES];
	struct { /* of --live */
		bool tried, ok;
		char tls[16], cipher[48], verify[16], fault[24], detail[160];
		unsigned code; /* the answer a client would get; 250 if it can go on */
	} live;
};

#define PST_EXPLAIN_HOSTS 16
struct pst_explain {
	uint64_t generation;
	char listener[64];
	char client_name[PST_NAME_MAX];
	bool starttls_offered;
	/* rcpt, data: with a next hop in state `good`; with live, with what was found. */
	struct pst_explain_reply mail, rcpt, data;
	char rule[64], rule_line[PST_RULE_MAX + 1], sender_policy[16], recipient_policy[16];
	char route[256], next_hop[64], domain[256];
	char names[128]; /* what DNS said, if it was asked and did not give addresses */
	struct pst_policy_trace trace;
	unsigned nhosts;
	struct pst_explain_host hosts[PST_EXPLAIN_HOSTS];
};
/* Control thread; waits for DNS and, with live, for the next hop. PST_INVAL: err says why. */
enum pst_rc pst_relay_explain(struct pst_relay *r, const struct pst_explain_query *q,
	struct pst_explain *out, char *err, size_t errlen);
/* Warnings about a configuration that is fine otherwise; returns how many. */
unsigned pst_relay_lint(const struct pst_config *cfg,
	void (*report)(void *arg, const char *pointer, const char *text), void *arg);

/* ---- the broken-TLS memory (S4) ---- */

struct pst_broken_row {
	struct pst_ip ip;
	bool client;       /* it came to us; else it is a next hop's host */
	uint64_t left_ms;  /* until it is forgotten */
	uint64_t failures; /* noted since it is in the list */
	char cause[64];
};
/* Any thread. Returns how many were written. */
unsigned pst_relay_broken(struct pst_relay *r, struct pst_broken_row *rows, unsigned max);
unsigned pst_relay_broken_flush(struct pst_relay *r); /* returns how many there were */

/* Names: counters of the resolver; all 0 without a dns section. */
void pst_relay_names(
	struct pst_relay *r, struct pst_names_counters *out, unsigned *cached, unsigned *open);

/* What an idle session costs: fixed records, and what OpenSSL holds for all of them. */
struct pst_relay_memory {
	size_t session_bytes;         /* one client session's record */
	size_t hop_bytes;             /* one next-hop connection's */
	uint64_t tls_live_bytes;      /* OpenSSL's heap, contexts and certificates included */
	uint64_t addresses_uncounted; /* clients let in though the table of addresses was full */
};
void pst_relay_memory(const struct pst_relay *r, struct pst_relay_memory *out);

extern const struct pst_counter_desc pst_relay_counter_descs[]; /* NULL name ends */

#endif
