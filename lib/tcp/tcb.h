/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the files of this library share: the connection record (TCB), the two
 * small records (half-open, TIME_WAIT), the parsed segment and the stack itself.
 *
 * Life of a TCB: conn_new -> table_add -> ... -> conn_die or conn_release ->
 * conn_free. `held` says that the application may still use the pointer; a TCB
 * is freed only when it is neither held nor in the table.
 */
#ifndef PST_TCP_TCB_H
#define PST_TCP_TCB_H

#include <pst_tcp.h>
#include <pst_wheel.h>

#include "cc.h"
#include "mbq.h"
#include "rto.h"
#include "seq.h"

enum state {
	ST_CLOSED,
	ST_SYN_SENT,
	ST_SYN_RCVD,
	ST_ESTABLISHED,
	ST_FIN_WAIT_1,
	ST_FIN_WAIT_2,
	ST_CLOSE_WAIT,
	ST_CLOSING,
	ST_LAST_ACK,
	ST_TIME_WAIT,
};

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_PSH 0x08
#define TCP_ACK 0x10

#define TCP_HDR_MIN     20
#define TCP_HDR_MAX     60
#define TCP_TS_LEN      12 /* nop, nop, timestamps */
#define WSCALE_MAX      14 /* RFC 7323 2.3 */
#define MSS_DEFAULT_V4  536
#define MSS_DEFAULT_V6  1220
#define MSS_MIN         88 /* a peer that says less only wants many packets of us */
#define QUICK_ACKS      16
#define STARVED_POLL_MS 5
#define NONE32          UINT32_MAX

/* As seen from us. Hashed as bytes: no padding. */
struct tuple {
	struct pst_ip remote, local;
	uint16_t rport, lport;
};

/* A segment as read by seg_parse; the steps of in.c trim it as they go. */
struct seg {
	struct tuple tuple;
	uint32_t hash;
	uint32_t seq, ack;
	uint32_t wnd; /* as in the header, not scaled */
	uint32_t len; /* payload bytes */
	uint8_t flags;
	uint8_t wscale;
	uint16_t mss;
	bool has_mss, has_wscale, has_ts;
	bool stamps;   /* begins at or before the last ACK we sent: its timestamp is to be echoed */
	bool had_data; /* it came with payload, of which nothing may be left */
	bool old;      /* a retransmission: it ended at or before rcv_nxt */
	uint32_t tsval, tsecr;
	struct rte_mbuf *m; /* payload only; NULL when none or given away */
};

/* What seg_new writes. */
struct emit {
	uint32_t seq, ack;
	uint16_t wnd;
	uint8_t flags;
	uint16_t mss;  /* SYN: 0 none */
	int8_t wscale; /* SYN: -1 none */
	bool ts;
	uint32_t tsval, tsecr;
};

enum timer_kind { TIMER_CONN, TIMER_HALF, TIMER_TIME_WAIT, TIMER_STARVED };
/* Deadlines of one TCB; one wheel timer serves the earliest. */
enum conn_timer { T_RTX, T_ACK, T_LONG, T_N };

struct pst_tcp_conn {
	/* demultiplexing */
	struct pst_tcp_conn *hnext;
	struct tuple tuple;
	uint32_t hash;
	struct pst_tcp *t;

	uint8_t state;
	bool held : 1;   /* by the application */
	bool listed : 1; /* in the table */
	bool ts_on : 1;
	bool wscale_on : 1;
	bool active : 1;     /* born by connect */
	bool fin_queued : 1; /* the application will write no more */
	bool fin_acked : 1;
	bool fin_seen : 1; /* peer's FIN received, perhaps out of order: fin_seq */
	bool fin_rcvd : 1; /* ... and in sequence */
	bool ack_now : 1;
	bool persist : 1;    /* T_RTX probes a closed window */
	bool rtt_timing : 1; /* rtt_seq, rtt_at hold a running measurement */
	bool syn_lost : 1;
	bool want_write : 1; /* owes an EV_WRITE */
	bool on_ready : 1, on_dirty : 1, on_starved : 1, on_ahead : 1;
	bool wnd_held : 1; /* the advertised window is smaller for want of memory */

	/* send side */
	uint32_t iss, snd_una;
	uint32_t snd_nxt; /* goes back after a timeout */
	uint32_t snd_max; /* highest sent, plus one */
	uint32_t snd_wnd, snd_wl1, snd_wl2, max_wnd;
	uint32_t mss;            /* payload bytes of a full segment */
	struct mbq txq;          /* from snd_una (SYN excepted) */
	struct rte_mbuf *tx_cur; /* cursor into txq: segment that holds offset tx_cur_off */
	uint32_t tx_cur_off;

	/* receive side */
	uint32_t irs, rcv_nxt;
	uint32_t rcv_adv; /* right edge of the window we advertised */
	uint32_t last_ack_sent;
	uint32_t fin_seq;
	uint16_t rcv_mss; /* largest segment seen: what the peer calls full */
	uint8_t snd_wscale, rcv_wscale;
	uint8_t quick_acks;
	uint16_t ooo_n;                  /* mbufs in ooo */
	struct mbq rxq;                  /* in order, unread */
	struct rte_mbuf *ooo, *ooo_last; /* sorted, disjoint; sequence in hash.usr */

	uint32_t ts_offset, ts_recent, ts_recent_ms;

	struct cc cc;
	struct rto rto;
	uint32_t rtt_seq;
	uint8_t persist_shift;
	uint8_t syn_tries;
	uint8_t error;
	uint8_t events;
	uint64_t rtt_at;     /* ns */
	uint64_t stalled_ms; /* since when something is owed an answer; 0: nothing is */
	uint64_t heard_ms;   /* last acceptable segment */
	uint64_t sent_ms;    /* last data sent */

	struct pst_timer timer;
	uint64_t due[T_N]; /* ms; 0: off */

	TAILQ_ENTRY(pst_tcp_conn) ready, dirty, starved, ahead;
	void *user, *listener;
	uint64_t bytes_in, bytes_out, retransmits;
};
TAILQ_HEAD(conn_list, pst_tcp_conn);

/* A SYN we answered (64 bytes). Indices are into struct half_table. */
struct half {
	struct pst_ip remote, local;
	uint16_t rport, lport;
	uint32_t irs, iss;
	uint32_t due;       /* low 32 bits of ms */
	uint32_t ts_recent; /* tsval of the SYN */
	uint16_t hnext, qnext, qprev;
	uint16_t mss;
	uint16_t listener;
	uint8_t tries;      /* SYN-ACKs repeated: also the queue it is in */
	uint8_t wscale : 4; /* of the peer */
	uint8_t wscale_on : 1, ts_on : 1;
};
_Static_assert(sizeof(struct half) <= 64, "half-open record");

#define NONE16     UINT16_MAX
#define HALF_TRIES 8 /* queues: one for each back-off step */

struct half_table {
	struct half *v;
	uint16_t *heads;
	uint32_t max, used, fresh; /* v[fresh..] was never touched */
	uint32_t mask;
	uint16_t free;
	uint16_t qhead[HALF_TRIES], qtail[HALF_TRIES];
	struct pst_timer timer;
};

/* A connection in TIME_WAIT that the application let go of (64 bytes). */
struct tw {
	struct pst_ip remote, local;
	uint16_t rport, lport;
	uint32_t rcv_nxt, snd_nxt;
	uint32_t ts_recent;
	uint32_t due; /* low 32 bits of ms */
	uint32_t qnext, qprev;
	uint32_t hnext : 31, ts_on : 1;
};
_Static_assert(sizeof(struct tw) <= 64, "TIME_WAIT record");
#define NONE31 0x7fffffffu

struct tw_table {
	struct tw *v;
	uint32_t *heads;
	uint32_t max, used, fresh, mask;
	uint32_t free;
	uint32_t qhead, qtail; /* oldest first: all wait equally long */
	struct pst_timer timer;
};

struct listener {
	struct pst_endpoint at;
	void *arg;
	bool live;
};

enum pressure { MEM_OK, MEM_LOW, MEM_RESERVE, MEM_CRITICAL };

struct pst_tcp {
	struct pst_tcp_conf conf;
	struct pst_net *net;
	struct rte_mempool *data, *head;
	uint64_t now, now_ms;
	struct pst_wheel wheel;

	struct pst_tcp_conn **heads;
	uint32_t mask, nconns, ntcbs;
	struct pst_tcp_conn *free; /* by hnext */
	struct chunk *chunks;

	struct half_table half;
	struct tw_table tw;
	struct listener *listeners;
	uint32_t nlisteners;

	struct conn_list ready, dirty, starved;
	struct conn_list ahead; /* with out-of-order data, who began first in front */
	struct pst_timer starved_timer;

	struct pst_rand rand;
	struct pst_sipkey key_table, key_isn, key_ts;
	uint8_t rcv_wscale;
	bool refuse;
	uint32_t challenge_left; /* challenge ACKs still allowed in this second */
	uint64_t challenge_sec;
	struct pst_tcp_counters cnt;
};

/* ---- seg.c: bytes on the wire ---- */
bool seg_parse(struct seg *s, struct pst_pkt *pkt); /* takes pkt->m into s->m */
uint32_t seg_len(const struct seg *s);              /* with SYN and FIN */
struct rte_mbuf *seg_new(struct pst_tcp *t, const struct emit *e);
enum pst_rc seg_send(struct pst_tcp *t, struct rte_mbuf *m, const struct tuple *to);
enum pst_rc seg_emit(struct pst_tcp *t, const struct emit *e, const struct tuple *to);
/* The RST that RFC 9293 3.10.7.1 prescribes for a segment without a connection. */
void seg_refuse(struct pst_tcp *t, const struct seg *s);

/* ---- secret.c ---- */
uint32_t tuple_hash(const struct pst_tcp *t, const struct tuple *tu);
uint32_t secret_isn(const struct pst_tcp *t, const struct tuple *tu);
uint32_t secret_ts_offset(const struct pst_tcp *t, const struct tuple *tu);
uint32_t ts_now(const struct pst_tcp *t, uint32_t offset);
bool ts_older(uint32_t a, uint32_t b); /* a < b, RFC 7323 */

/* ---- conn.c: birth, death, lists ---- */
struct pst_tcp_conn *conn_new(struct pst_tcp *t, const struct tuple *tu, uint32_t hash);
void conn_free(struct pst_tcp_conn *c);
void conn_unlist(struct pst_tcp_conn *c); /* leaves table, timers and lists; keeps the record */
/* The connection failed: an error event if held, else it is freed. Do not touch it after. */
void conn_die(struct pst_tcp_conn *c, enum pst_tcp_error e);
/* Ended in order (LAST-ACK answered, TIME-WAIT over). Do not touch it after. */
void conn_done(struct pst_tcp_conn *c);
void conn_event(struct pst_tcp_conn *c, unsigned ev);
void conn_dirty(struct pst_tcp_conn *c);
void conn_starve(struct pst_tcp_conn *c); /* to be tried again when memory is back */
void conn_establish(struct pst_tcp_conn *c);
void conn_time_wait(struct pst_tcp_conn *c); /* may free it: do not touch it after */
uint16_t conn_path_mss(struct pst_tcp *t, const struct tuple *tu);
void conn_set_mss(struct pst_tcp_conn *c, uint32_t peer_mss);
struct pst_tcp_conn *table_find(const struct pst_tcp *t, const struct tuple *tu, uint32_t hash);
bool table_init(struct pst_tcp *t);
void table_fini(struct pst_tcp *t);

/* ---- timer.c ---- */
void conn_timer_set(struct pst_tcp_conn *c, enum conn_timer k, uint64_t at_ms);
void conn_timer_off(struct pst_tcp_conn *c, enum conn_timer k);
void conn_timers_run(struct pst_tcp_conn *c); /* its wheel timer fired */
void conn_timer_idle(struct pst_tcp_conn *c); /* (re)arms T_LONG as the state wants */

/* ---- out.c ---- */
void conn_output(struct pst_tcp_conn *c);
void conn_send_syn(struct pst_tcp_conn *c);
void conn_send_ack(struct pst_tcp_conn *c);
void conn_send_rst(struct pst_tcp_conn *c);
void conn_challenge(struct pst_tcp_conn *c); /* an ACK, if this second's allowance lasts */
bool challenge_allowed(struct pst_tcp *t);
bool conn_retransmit(struct pst_tcp_conn *c); /* the segment at snd_una */
void conn_probe(struct pst_tcp_conn *c);      /* into a closed window */
void conn_keepalive(struct pst_tcp_conn *c);
void conn_arm_rtx(struct pst_tcp_conn *c);
uint32_t conn_flight(const struct pst_tcp_conn *c);

/* ---- wnd.c: the window we advertise ---- */
uint16_t wnd_advertise(struct pst_tcp_conn *c); /* moves rcv_adv; the header's value */
bool wnd_update_due(struct pst_tcp_conn *c);
void wnd_init(struct pst_tcp_conn *c);

/* ---- rx.c: payload and its reassembly ---- */
void rx_payload(struct pst_tcp_conn *c, struct seg *s);
void rx_prune(struct pst_tcp_conn *c); /* frees the out-of-order queue */

/* ---- ack.c ---- */
void ack_process(struct pst_tcp_conn *c, const struct seg *s);
void ack_rtt(struct pst_tcp_conn *c, uint32_t ack, const struct seg *s);

/* ---- in.c, synsent.c ---- */
void conn_input(struct pst_tcp_conn *c, struct seg *s);
void synsent_input(struct pst_tcp_conn *c, struct seg *s);
void step_text(struct pst_tcp_conn *c, struct seg *s);

/* ---- halfopen.c ---- */
bool half_init(struct pst_tcp *t);
void half_fini(struct pst_tcp *t);
struct half *half_find(struct pst_tcp *t, const struct tuple *tu, uint32_t hash);
void half_input(struct pst_tcp *t, struct half *h, struct seg *s);
void half_tick(struct pst_tcp *t);
void half_drop_listener(struct pst_tcp *t, uint32_t listener);
void listen_input(struct pst_tcp *t, uint32_t listener, struct seg *s, uint32_t min_iss);

/* ---- listen.c ---- */
uint32_t listen_find(const struct pst_tcp *t, const struct tuple *tu); /* index or NONE32 */

/* ---- timewait.c ---- */
bool tw_init(struct pst_tcp *t);
void tw_fini(struct pst_tcp *t);
struct tw *tw_find(struct pst_tcp *t, const struct tuple *tu, uint32_t hash);
void tw_add(struct pst_tcp *t, const struct pst_tcp_conn *c);
void tw_input(struct pst_tcp *t, struct tw *w, struct seg *s);
void tw_tick(struct pst_tcp *t);

/* ---- icmp.c ---- */
void icmp_input(struct pst_tcp *t, const struct pst_pkt *pkt);

/* ---- memory.c: pressure on the mbuf pools ---- */
enum pressure mem_pressure(const struct pst_tcp *t);
bool mem_control_only(const struct pst_tcp *t); /* the header pool is down to its reserve */
void mem_retry_starved(struct pst_tcp *t);
/* Lets out-of-order data of a few connections go, if memory is short. */
void mem_relieve(struct pst_tcp *t);

/* ---- port.c ---- */
/* A free local port such that the reply is ours; 0 when there is none. */
uint16_t port_choose(struct pst_tcp *t, struct tuple *tu);

void stack_clock(struct pst_tcp *t, uint64_t now);

#endif
