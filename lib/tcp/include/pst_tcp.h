/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * TCP (RFC 9293) for one worker: passive and active opens over IPv4 and IPv6.
 *
 * A stack belongs to one worker and one pst_net; it takes no lock and reads no
 * clock: `now` (monotonic ns) comes in with each call that needs it. It never
 * calls up. What happens to a connection sets event bits and puts it on the
 * ready list; the owner drains that list once a loop turn, then flushes.
 *
 *   n = pst_net_rx(net, now, pkts, 64);
 *   for each: pst_tcp_input(tcp, &pkts[i], now);
 *   pst_tcp_tick(tcp, now);
 *   while ((c = pst_tcp_next_ready(tcp, &ev)) != NULL) ...
 *   pst_tcp_flush(tcp, now);
 *   pst_net_flush(net);
 *
 * Life of a connection: born by pst_tcp_connect, or by a finished handshake on a
 * listener (first event: PST_TCP_EV_ACCEPT). The application holds it until it
 * calls pst_tcp_close or pst_tcp_abort, after which it must not touch the
 * pointer and gets no further events; the stack sees the FIN, retransmissions
 * and TIME_WAIT through by itself. After PST_TCP_EV_ERROR the application still
 * owns the handle and must call close or abort to let go of it.
 *
 * Back-pressure: bytes the application does not consume close the peer's
 * window; bytes it writes are held (in mbufs) until acknowledged, up to snd_buf.
 * Pools are bounded: a SYN is refused before they run dry.
 */
#ifndef PST_TCP_H
#define PST_TCP_H

#include <pst_ip.h>
#include <pst_net.h>
#include <pst_rand.h>
#include <pst_span.h>

struct pst_tcp;
struct pst_tcp_conn;

struct pst_tcp_conf {
	uint32_t max_conns;     /* TCBs, half-open ones included; 0: 65536 */
	uint32_t max_half_open; /* 0: 4096 */
	uint32_t max_time_wait; /* oldest is recycled beyond; 0: 65536 */
	uint32_t rcv_buf;       /* largest receive window, bytes; 0: 256 KiB */
	uint32_t snd_buf;       /* bytes queued and unacknowledged before writes wait; 0: 256 KiB */
	uint32_t initial_window;  /* advertised in SYN, <= 65535; 0: 65535 */
	uint32_t rto_initial_ms;  /* 0: 1000 (RFC 6298) */
	uint32_t rto_min_ms;      /* 0: 200 */
	uint32_t rto_max_ms;      /* 0: 60000 */
	uint32_t delack_ms;       /* 0: 40 */
	uint32_t time_wait_ms;    /* 0: 60000 */
	uint32_t fin_wait2_ms;    /* after close: 0: 60000 */
	uint32_t user_timeout_ms; /* unacknowledged data or SYN older than this: error; 0: 120000 */
	uint32_t syn_retries;     /* 0: 6 active, 5 passive */
	uint32_t keepalive_ms;    /* idle time before probes; 0: off */
	uint16_t port_min, port_max;   /* ephemeral range; 0: 32768..60999 */
	bool no_timestamps, no_wscale; /* knobs for comparison and tests */
	uint64_t seed;                 /* 0: random secrets; else repeatable (tests) */
};

/* `net` must outlive the stack. NULL when memory is short. */
struct pst_tcp *pst_tcp_new(const struct pst_tcp_conf *conf, struct pst_net *net, uint64_t now);
/* Drops every connection without a word on the wire. */
void pst_tcp_free(struct pst_tcp *t);

/* ---- once a loop turn ---- */

/* Takes over pkt->m. Never fails: what is wrong is dropped and counted. */
void pst_tcp_input(struct pst_tcp *t, struct pst_pkt *pkt, uint64_t now);
void pst_tcp_tick(struct pst_tcp *t, uint64_t now);
/* Sends what writes, window updates and acknowledgements have made due. */
void pst_tcp_flush(struct pst_tcp *t, uint64_t now);
/* ns at which tick wants to be called; UINT64_MAX: never; <= now: work is waiting. */
uint64_t pst_tcp_next_deadline(const struct pst_tcp *t);

enum pst_tcp_event {
	PST_TCP_EV_ACCEPT = 1u << 0,    /* new, from a listener; user is still NULL */
	PST_TCP_EV_CONNECTED = 1u << 1, /* an active open finished */
	PST_TCP_EV_READ = 1u << 2,      /* bytes to read */
	PST_TCP_EV_EOF = 1u << 3,       /* the peer's FIN is next after the readable bytes */
	PST_TCP_EV_WRITE =
		1u << 4, /* room came back after a write was cut short or send_space was 0 */
	PST_TCP_EV_ERROR = 1u << 5, /* dead: see pst_tcp_error */
	PST_TCP_EV_USER = 1u << 6,  /* pst_tcp_conn_mark was called */
};

/* The next connection with events (cleared by this call), or NULL. */
struct pst_tcp_conn *pst_tcp_next_ready(struct pst_tcp *t, uint32_t *events);

/* ---- opens ---- */

/* `ip` any (:: for both families): all local addresses. `arg` comes back by pst_tcp_conn_listener.
 */
enum pst_rc pst_tcp_listen(struct pst_tcp *t, const struct pst_endpoint *at, void *arg);
void pst_tcp_unlisten(struct pst_tcp *t, const struct pst_endpoint *at);
/* While on, SYNs are dropped without an answer and counted: overload, drain. */
void pst_tcp_refuse(struct pst_tcp *t, bool on);

/*
 * `local` NULL: address by route, port random (RFC 6056) such that the reply
 * lands on this worker. PST_UNREACH: no route or no free port. PST_NOMEM: pool.
 */
enum pst_rc pst_tcp_connect(struct pst_tcp *t, const struct pst_ip *local,
	const struct pst_endpoint *remote, void *user, uint64_t now, struct pst_tcp_conn **out);

/* ---- one connection ---- */

void pst_tcp_conn_set_user(struct pst_tcp_conn *c, void *user);
void *pst_tcp_conn_user(const struct pst_tcp_conn *c);
void *pst_tcp_conn_listener(const struct pst_tcp_conn *c); /* the listen arg; NULL if active */
/* Puts the connection on the ready list with PST_TCP_EV_USER. */
void pst_tcp_conn_mark(struct pst_tcp_conn *c);

struct pst_endpoint pst_tcp_local(const struct pst_tcp_conn *c);
struct pst_endpoint pst_tcp_remote(const struct pst_tcp_conn *c);

size_t pst_tcp_readable(const struct pst_tcp_conn *c);
/* The first contiguous run of readable bytes; n 0 when none. Valid until consume or input. */
struct pst_span pst_tcp_peek(const struct pst_tcp_conn *c);
/* The first runs, at most max, in order; how many. Valid as long as what peek gives. */
unsigned pst_tcp_peek_runs(const struct pst_tcp_conn *c, struct pst_span *runs, unsigned max);
void pst_tcp_consume(struct pst_tcp_conn *c, size_t n); /* n <= readable, may span several peeks */
bool pst_tcp_eof(const struct pst_tcp_conn *c); /* FIN received and everything before it consumed */

/*
 * Bytes that a write takes now: 0 when snd_buf is full, the pool is near its
 * reserve, or the connection cannot send. snd_buf is a soft limit: a write that
 * starts with send_space > 0 is taken whole, or not at all (PST_NOMEM).
 * PST_AGAIN: no space (an EV_WRITE follows). PST_EOF: closed or dead.
 */
size_t pst_tcp_send_space(struct pst_tcp_conn *c);
enum pst_rc pst_tcp_write(struct pst_tcp_conn *c, const void *p, size_t n);
size_t pst_tcp_unsent(const struct pst_tcp_conn *c); /* queued and not yet acknowledged */

void pst_tcp_shutdown(struct pst_tcp_conn *c); /* FIN after the queued bytes; reading goes on */
void pst_tcp_close(
	struct pst_tcp_conn *c); /* shutdown and let go; unread bytes: RST (RFC 2525 2.17) */
void pst_tcp_abort(struct pst_tcp_conn *c); /* RST and let go */

enum pst_tcp_error {
	PST_TCP_ERR_NONE,
	PST_TCP_ERR_RESET,   /* RST from the peer */
	PST_TCP_ERR_REFUSED, /* RST to our SYN */
	PST_TCP_ERR_TIMEOUT, /* retransmissions, keepalive or user timeout */
	PST_TCP_ERR_UNREACH, /* ICMP while connecting, or no neighbour */
	PST_TCP_ERR_NOMEM,
};
enum pst_tcp_error pst_tcp_error(const struct pst_tcp_conn *c);
const char *pst_tcp_error_name(enum pst_tcp_error e); /* "connection refused", ... */

struct pst_tcp_info {
	const char *state; /* RFC 9293 name */
	uint32_t mss, cwnd, ssthresh, snd_wnd, rcv_wnd;
	uint32_t srtt_us, rttvar_us, rto_ms;
	uint64_t bytes_in, bytes_out, retransmits;
	bool timestamps, wscale;
};
void pst_tcp_conn_info(const struct pst_tcp_conn *c, struct pst_tcp_info *out);

/* ---- what can be seen from outside ---- */

/* The MIB names of RFC 4022 where there is one. Each drop raises exactly one drop_ counter. */
#define PST_TCP_COUNTERS(X)                                                                        \
	X(active_opens, "active opens")                                                            \
	X(passive_opens, "passive opens")                                                          \
	X(attempt_fails, "opens that failed")                                                      \
	X(estab_resets, "established connections reset")                                           \
	X(in_segs, "segments received")                                                            \
	X(out_segs, "segments sent")                                                               \
	X(retrans_segs, "segments retransmitted")                                                  \
	X(fast_retrans, "fast retransmits entered")                                                \
	X(rto_fired, "retransmission timeouts")                                                    \
	X(out_rsts, "resets sent")                                                                 \
	X(in_bytes, "payload bytes received in order")                                             \
	X(out_bytes, "payload bytes sent for the first time")                                      \
	X(ooo_segs, "segments queued out of order")                                                \
	X(dup_acks, "duplicate acknowledgements received")                                         \
	X(delayed_acks, "acknowledgements sent by the delay timer")                                \
	X(zero_window_probes, "zero-window probes sent")                                           \
	X(keepalive_probes, "keepalive probes sent")                                               \
	X(challenge_acks, "challenge acknowledgements sent")                                       \
	X(challenge_limited, "challenge acknowledgements withheld by the limit")                   \
	X(out_nomem, "segments not sent for want of an mbuf")                                      \
	X(syn_retrans, "SYN and SYN-ACK repeated")                                                 \
	X(pmtu_lowered, "segment size lowered by ICMP")                                            \
	X(time_wait_recycled, "TIME_WAIT records recycled early")                                  \
	X(timeouts, "connections ended by a timeout")                                              \
	X(drop_malformed, "header or options malformed")                                           \
	X(drop_no_conn, "no connection: answered with RST")                                        \
	X(drop_rst_no_conn, "RST without a connection")                                            \
	X(drop_rst, "RST not at the expected sequence number")                                     \
	X(drop_syn, "SYN on a synchronised connection")                                            \
	X(drop_paws, "old or missing timestamp (PAWS)")                                            \
	X(drop_window, "outside the window")                                                       \
	X(drop_ack, "unacceptable acknowledgement")                                                \
	X(drop_no_ack, "no ACK bit where one is due")                                              \
	X(drop_duplicate, "nothing new in it")                                                     \
	X(drop_ooo_limit, "out-of-order queue full")                                               \
	X(drop_rcv_buf, "beyond the receive buffer")                                               \
	X(drop_half_open_limit, "SYN over the half-open limit")                                    \
	X(drop_conn_limit, "SYN over the connection limit")                                        \
	X(drop_refused, "SYN while refusing")                                                      \
	X(drop_nomem, "no mbuf or TCB")                                                            \
	X(drop_closed, "data after the application closed")                                        \
	X(drop_time_wait, "to a connection in TIME_WAIT")                                          \
	X(drop_icmp, "ICMP error not about a live flight")

struct pst_tcp_counters {
	PST_TCP_COUNTERS(PST_COUNTER_MEMBER)
};
struct pst_tcp_counters *pst_tcp_counters(struct pst_tcp *t);
extern const struct pst_counter_desc pst_tcp_counter_descs[]; /* NULL name ends */

struct pst_tcp_usage {
	uint32_t conns, half_open, time_wait; /* in use */
	uint32_t max_conns;
	size_t tcb_bytes; /* of one connection record */
};
void pst_tcp_usage(const struct pst_tcp *t, struct pst_tcp_usage *out);

#endif
