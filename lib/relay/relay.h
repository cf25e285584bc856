/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The relay's inside: who owns what.
 *
 *   pst_relay  the process's: configuration, snapshot, shards. Main thread.
 *   snapshot   what a configuration compiles to. Immutable; per-worker parts (TLS
 *              contexts) are touched by their worker only.
 *   shard      one worker: its TCP stack, its sessions, its pool of connections.
 *   session    one client connection: client leg, SMTP server side, transaction.
 *   hop        one connection to a next hop: leg, SMTP client side. Belongs to a
 *              session while that has a use for it, else to the shard's pool.
 *   leg        a TCP connection with or without TLS: plaintext in, plaintext out.
 *
 * Lower parts never call up, except that a hop tells its session what became of
 * it (the session_hop_* functions): the two are one state machine in two files.
 */
#ifndef RELAY_H
#define RELAY_H

#include <pst_buf.h>
#include <pst_engine.h>
#include <pst_log.h>
#include <pst_names.h>
#include <pst_policy.h>
#include <pst_relay.h>
#include <pst_smtp_client.h>
#include <pst_smtp_server.h>
#include <pst_tls.h>
#include <pst_wheel.h>
#include <stdatomic.h>
#include <sys/queue.h>
#include <time.h>

#include "broken.h"
#include "digest.h"
#include "peers.h"
#include "snapshot.h"

#include "errand.h"

/* ---- leg ---- */

struct shard;

enum leg_kind { LEG_CLIENT, LEG_HOP, TIMER_PROBE /* no leg: a timer's kind */ };

/* What one leg may hold back: a TLS record and a command line in front of it. */
#define LEG_IN_MAX  (16 * 1024 + 2 * PST_SMTP_LINE_MAX)
#define LEG_OUT_MAX (64 * 1024)

struct leg {
	uint8_t kind;  /* leg_kind: which of the two structs this is part of */
	bool deferred; /* its handshake goes on in the next turn: in sh->deferred */
	TAILQ_ENTRY(leg) link;
	bool handshaking;
	bool encrypted; /* TLS is up */
	bool error;     /* TCP or TLS is dead */
	struct pst_tcp_conn *conn;
	struct pst_tls *tls;
	struct pst_buf in;  /* plaintext received and not used */
	struct pst_buf out; /* plaintext not yet written */
};

void leg_init(struct leg *l, enum leg_kind kind, struct pst_tcp_conn *conn);
/* Starts TLS; expectation, cache and key for a client only. PST_NOMEM. */
enum pst_rc leg_start_tls(struct leg *l, struct pst_tls_ctx *ctx, const struct pst_tls_expect *e,
	struct pst_tls_cache *cache, struct pst_span key);
/* One step of the handshake with what has arrived. PST_OK: encrypted. */
enum pst_rc leg_handshake(struct shard *sh, struct leg *l);
/*
 * The plaintext at hand, after reading more if `more` or nothing is there. PST_OK:
 * s->n > 0, valid until leg_used. PST_AGAIN; PST_EOF: the peer ended the stream
 * (orderly: close_notify, or FIN in clear); PST_PEER: dead or truncated.
 */
enum pst_rc leg_read(struct shard *sh, struct leg *l, bool more, struct pst_span *s);
/* Done with the first `used` bytes of s; the rest is kept for the next read. */
enum pst_rc leg_used(struct leg *l, struct pst_span s, size_t used);
/* Anything received and not used, decrypted or not? */
bool leg_has_input(const struct leg *l);
/* Room to write now, with nothing waiting in front. */
bool leg_writable(struct leg *l);
/* All of it, in one write to TCP. Call only when leg_writable. n <= LEG_OUT_MAX. */
enum pst_rc leg_write(struct shard *sh, struct leg *l, const void *p, size_t n);
/* Would leg_flush write now? */
bool leg_can_flush(struct leg *l);
/* Writes l->out if there is room. PST_AGAIN: it must wait. */
enum pst_rc leg_flush(struct shard *sh, struct leg *l);
void leg_close(struct shard *sh, struct leg *l); /* flush what fits, close_notify, FIN; frees */
void leg_abort(struct shard *sh, struct leg *l); /* RST; frees */

/* ---- hop ---- */

struct session;
struct probe;

enum hop_state { /* named for what is awaited */
	HOP_CONNECT,
	HOP_HANDSHAKE,
	HOP_BANNER,
	HOP_EHLO,
	HOP_HELO,
	HOP_STARTTLS,
	HOP_READY, /* nothing: a transaction may begin */
	HOP_RCPT,  /* MAIL and RCPT replies, or more recipients */
	HOP_DATA,  /* 354 */
	HOP_BODY,  /* the client's bytes */
	HOP_DOT,   /* the verdict */
	HOP_CLOSED,
};

/* Why a connection attempt or a hop ended; decides the code the client is told. */
enum hop_fault {
	HOP_FAULT_NONE,
	HOP_FAULT_CONNECT,   /* refused, unreachable, timed out */
	HOP_FAULT_LOST,      /* closed or reset */
	HOP_FAULT_TIMEOUT,   /* silent */
	HOP_FAULT_PROTOCOL,  /* not SMTP */
	HOP_FAULT_GREETING,  /* refused to talk: banner or EHLO not 2xx */
	HOP_FAULT_NO_TLS,    /* TLS is required, but was not offered */
	HOP_FAULT_TLS,       /* handshake or certificate */
	HOP_FAULT_INJECTION, /* bytes behind the 220 to STARTTLS */
	HOP_FAULT_CONFLICT,  /* one source demands TLS, another forbids it */
	HOP_FAULT_RESOURCE,  /* ours */
};

struct hop {
	struct leg leg; /* first: legs are found by their kind */
	struct shard *sh;
	struct session *s;     /* NULL: in the pool, or a probe's */
	struct probe *probe;   /* explain's; no session then */
	TAILQ_ENTRY(hop) link; /* shard's pool */
	struct pst_smtp_client smtp;
	struct pst_timer timer;
	struct snapshot *snap; /* counted; cls is its */
	const struct route_class *cls;
	struct pst_endpoint at;
	struct pst_demand demand; /* of policy for this host; spans live while snap is the one it
				     began with */
	struct digest demand_key;
	const struct tls_part *part; /* NULL: no TLS */
	bool plain;                  /* TLS with this host failed lately and may be left out */
	char *domain;                /* mx: whose; or NULL */
	char *host;                  /* name of the host, or NULL */
	char *helo;                  /* what we said that we are */
	char *tls_key;               /* of the session cache: class and host */
	uint8_t state;               /* hop_state */
	bool reused;
	bool needs_rset;
	uint32_t messages;
	uint64_t born_ms;
	uint64_t mark;      /* message bytes sent when the block deadline began */
	uint64_t tls_began; /* ns */
	char why[160];      /* of the fault, for the log */
};

/* For whom a connection is opened. */
struct hop_owner {
	struct shard *sh;
	struct session *s;   /* or */
	struct probe *probe; /* exactly one */
	struct snapshot *snap;
	const char *helo;
};
/* NULL: *f says why. */
struct hop *hop_open(const struct hop_owner *o, const struct errand *to, const struct target *t,
	enum hop_fault *f);
/* Starts the handshake with what the demand expects. */
enum pst_rc hop_start_tls(struct hop *h);
void hop_event(struct hop *h, uint32_t events);
bool hop_pooled(const struct hop *h); /* in the pool: nobody's */
void hop_timeout(struct hop *h);
void hop_pump(struct hop *h);
/* Enters a state and arms its deadline. */
void hop_enter(struct hop *h, enum hop_state st);
/* Between MAIL and DATA: a deadline while a reply is due (anew: from now), none otherwise. */
void hop_await(struct hop *h, bool anew);
/* Orderly: QUIT if between transactions, close_notify, FIN. Never inside DATA a dot. */
void hop_close(struct hop *h);
/* The session has no more use for it: to the pool if that may be, else closed. */
void hop_release(struct hop *h);
/* Ends it as a fault, which its owner is told. */
void hop_fail(struct hop *h, enum hop_fault f, const char *fmt, ...) PST_PRINTF(3, 4);
/* Frees it after its leg is closed or aborted; out of the pool or off its session. */
void hop_free(struct hop *h);
/* What we call ourselves to it: the class's word, else the listener's that the mail came by. */
const char *hop_helo(const struct session *s, const struct route_class *cls);

/* ---- the pool (pool.c) ---- */

/* Something happened to a connection that lies in the pool. */
void hop_pool_event(struct hop *h);
/* A live pooled connection that suits, taken out for s; NULL if none. */
struct hop *hop_take(struct session *s, const struct errand *to);
/* Would a new connection to the same host be like this one, under sn's policy? */
bool hop_suits(const struct hop *h, const struct snapshot *sn, const struct errand *to);
/* Closes pooled connections: all of them. */
void hop_pool_flush(struct shard *sh);
/* A new generation: a pooled connection whose class lives on is taken over, others close. */
void hop_pool_adopt(struct shard *sh, struct snapshot *sn);
const char *hop_fault_name(enum hop_fault f); /* for the log */
const char *hop_fault_word(enum hop_fault f); /* one word, for explain */
const char *hop_fault_enh(enum hop_fault f);  /* 4.x.y */
const char *hop_fault_text(enum hop_fault f); /* for the client */
int hop_fault_refusal(enum hop_fault f);      /* PST_REFUSED_*; -1: not policy's */

/* ---- session ---- */

enum rcpt_state {
	RCPT_NEW,
	RCPT_SENT,    /* the next hop's reply is awaited */
	RCPT_OK,      /* the next hop took it */
	RCPT_REFUSED, /* the next hop did not */
	RCPT_LOCAL,   /* refused by us: code, enh, text */
};

struct rcpt {
	uint8_t state;
	bool answered; /* the client has our reply: a replay must not contradict it */
	uint8_t notify;
	uint16_t len, orcpt_len;
	uint16_t code;
	const char *enh, *text; /* static or the policy's */
	const char *reason;     /* of policy's refusal; NULL: none */
	char *addr;             /* address, then ORCPT; one block */
};

/* The verdict a transaction will get, once it is known. */
struct verdict {
	uint16_t code; /* 0: none yet */
	char enh[12];
	char text[256];
};

struct tx {
	unsigned number;           /* the N of SID.N */
	struct pst_smtp_mail mail; /* spans into `mem` */
	char *mem;
	struct rcpt *rcpts;
	unsigned nrcpts, cap;
	unsigned answered;          /* recipients before this one have their reply */
	unsigned sent;              /* recipients before this one were sent or need not be */
	unsigned replied;           /* recipients before this one need no reply of the next hop */
	unsigned ok;                /* taken by the next hop at hand */
	struct errand to;           /* set by the first recipient */
	struct pst_verdict verdict; /* its */
	struct targets targets;
	bool fallback;      /* TLS with the last host broke, and it may be tried without */
	bool resolved;      /* targets are there, or none will be */
	unsigned names_due; /* answers awaited */
	unsigned tries;
	bool mail_sent, mail_ok;
	bool body; /* message bytes have gone to the next hop */
	bool dot_sent;
	bool done;           /* logged */
	struct verdict fail; /* what further recipients and DATA are told */
	bool wanted;         /* the client heard yes to a recipient */
	uint16_t no_code;    /* the last no to one */
	char no_text[256];
	struct pst_smtp_dot dot;
	uint64_t t_mail, t_rcpt, t_ready, t_data, t_dot; /* ms, for delays= */
	uint64_t size;                                   /* message bytes relayed, ours included */
	/* what the log says of the next hop after it has gone */
	char hop_name[96];
	char hop_tls[16], hop_cipher[48], hop_iana[64], hop_group[24], hop_verify[16];
	int hop_bits;
	const char *hop_demand; /* static; NULL: never got so far */
	bool hop_resumed, hop_reused;
};

enum session_wait {
	WAIT_NONE,   /* the client's move */
	WAIT_NAME,   /* the client's name, before the greeting */
	WAIT_MIRROR, /* what the next hop offers, before the greeting */
	WAIT_TLS,    /* handshake */
	WAIT_DATA,   /* 354 */
	WAIT_DOT,    /* the next hop's verdict */
};

struct session {
	struct leg leg; /* first */
	struct shard *sh;
	TAILQ_ENTRY(session) link;
	struct pst_smtp_server smtp;
	struct pst_timer timer;
	const struct pst_config_listener *ln;
	unsigned listener;
	struct snapshot *snap; /* counted: what it began under, to its end */
	struct waiters waiters;
	char *client_name; /* confirmed; NULL: unknown */
	unsigned listed;   /* PST_LISTED_* */
	struct tx *tx;
	struct hop *hop;
	uint64_t counter;   /* the last part of the session id */
	uint64_t tls_began; /* ns; 0: no handshake is counted for it */
	uint32_t commands;  /* since the last message */
	uint32_t refusals;  /* recipients answered 5xx since the last message */
	uint8_t stage;      /* PST_STAGE_*: of the replies that leave next */
	uint64_t born_ms;
	uint32_t ntx, nsent;
	uint8_t wait;       /* session_wait */
	bool chunk;         /* what waits for 354 is a BDAT */
	bool starttls;      /* our 220 to STARTTLS is on its way */
	bool closing;       /* flush, then close */
	bool client_gone;   /* only the next hop's verdict is still awaited */
	bool progress;      /* the client did something in this turn: its deadline begins anew */
	const char *reason; /* for the end line */
	uint64_t body_in;   /* message octets that came in */
	uint64_t body_mark; /* that figure when the deadline began */
};

void session_accept(struct shard *sh, struct pst_tcp_conn *conn);
void session_greet(struct session *s);
void session_begin_tls(struct session *s);
void session_timer_in(struct session *s, uint32_t ms); /* its deadline, from now */
/* May STARTTLS be offered to a client of these lists: by policy, and with a valid certificate? */
bool session_may_encrypt(const struct snapshot *sn, unsigned listener, unsigned listed);
/* May policy demand TLS of such a client, whoever its sender will be? */
bool session_tls_demand_possible(const struct snapshot *sn, unsigned listed);
/* S4, client leg: its TLS failed lately, and nobody may have to demand it. */
bool session_tls_broken(const struct pst_relay *r, const struct snapshot *sn,
	const struct pst_ip *ip, unsigned listed, uint64_t now_ms);
/* What is known before MAIL. */
struct pst_facts session_facts(const struct session *s);
void session_event(struct session *s, uint32_t events);
void session_timeout(struct session *s);
void session_pump(struct session *s);
/* Ends it now: closes (or aborts) both legs, logs, frees. */
void session_end(struct session *s, const char *reason, bool abort_client);
/* Writes a 421 and closes when the reply is out. */
void session_dismiss(struct session *s, const char *enh, const char *text, const char *reason);
void session_drain(struct session *s); /* 421 if between transactions */
void session_kill(struct session *s);  /* the operator's word: 421, whatever it does */
void session_cut(struct session *s);   /* 421 whatever it does, and the end */
/* Answers the oldest open question of the client's. If there is no memory for it, the session ends.
 */
void session_say(struct session *s, unsigned code, const char *enh, const char *text);
/* The id as text: box.boot.worker.counter */
#define SID_MAX 64
const char *session_id(const struct session *s, char buf[SID_MAX]);

/* The answer to a question of waiter_ask; the session's only until it returns. */
void session_named(struct session *s, const struct pst_names_answer *a);

/* What a hop reports. */
void session_hop_ready(struct session *s);
void session_hop_mail(struct session *s, const struct pst_smtp_reply *r);
void session_hop_rcpt(struct session *s, const struct pst_smtp_reply *r);
void session_hop_data(struct session *s, const struct pst_smtp_reply *r);
void session_hop_dot(struct session *s, const struct pst_smtp_reply *r);
void session_hop_lost(struct session *s, enum hop_fault f); /* s->hop is gone already */

/* ---- transaction (tx.c, envelope.c, body.c) ---- */

enum pst_rc tx_begin(struct session *s, const struct pst_smtp_mail *m);
/* Every name that was asked for is known now. */
void tx_named(struct session *s);
/* Tries the next host of the class; when none is left, `last` decides the verdict. */
void tx_connect(struct session *s, enum hop_fault last);
/* A negative verdict for every open recipient, those to come, and a waiting DATA. */
void tx_fail(struct session *s, unsigned code, const char *enh, const char *text);
/* A reply as the client may hear it. */
void verdict_set(struct verdict *v, const struct session *s, const struct pst_smtp_reply *r);
/* Judges a recipient and sends it on its way; its reply comes in its turn. */
void tx_rcpt(struct session *s, const struct pst_smtp_rcpt *r);
void tx_data(struct session *s, bool chunk);
/* Room for `n` message bytes on the way to the next hop? */
bool tx_body_room(struct session *s);
void tx_body(struct session *s, struct pst_span bytes);
void tx_body_flush(struct session *s);
void tx_body_end(struct session *s);
/* Gives up the next hop: to the pool if it is between commands, else closed without a dot. */
void tx_drop_hop(struct session *s);
/* Over, for whatever reason: logs it once and frees it. The hop is the caller's. */
void tx_finish(
	struct session *s, const char *status, unsigned code, const char *enh, const char *text);
/* Sends to the next hop what is due: RSET, MAIL, RCPT, DATA. */
void tx_drive(struct session *s);

/* ---- log lines and the Received field ---- */

void log_session_begin(struct session *s);
void log_certificate_expired(struct session *s);
void log_session_end(struct session *s);
void log_mail_refused(
	struct session *s, const struct pst_smtp_mail *m, const struct pst_verdict *v);
void log_rcpt_refused(struct session *s, const struct rcpt *r, unsigned code, const char *text);
void log_tx(
	struct session *s, const char *status, unsigned code, const char *enh, const char *text);
void log_hop_fault(struct hop *h, enum hop_fault f);
void log_hop_facts(struct tx *tx, struct hop *h); /* copies what log_tx will say */
/* More than the field can be: three host names, HELO's word, a path, two ids, a cipher, a date. */
#define RECEIVED_MAX 2048
/* Appends the field (RFC 5321 4.4) to buf; returns its length, 0 if it does not fit. */
size_t received_write(struct session *s, char *buf, size_t cap);

/* ---- shard ---- */

/* Wire bytes of one TLS write burst: LEG_OUT_MAX of plaintext, records, a flight. */
#define SHARD_WIRE (LEG_OUT_MAX + LEG_OUT_MAX / 8 + PST_TLS_OUT_MIN)

/* An endpoint that was listened on: TCP hands it back, so it lives as long as the shard. */
struct bound {
	TAILQ_ENTRY(bound) link;
	struct pst_endpoint at;
	int index; /* of the listener in the shard's snapshot; -1: no more */
};

/*
 * One question at a time from the control thread. Whoever changes `state` away from
 * ASKED owns the rest: the worker to answer, the asker to take it back.
 */
enum mail_state { MAIL_FREE, MAIL_ASKED, MAIL_BUSY, MAIL_DONE };
enum mail_kind { MAIL_LIST, MAIL_KILL, MAIL_PROBE };

struct mailbox {
	_Atomic int state;
	enum mail_kind kind;
	uint64_t counter;             /* kill this; or list what is above */
	struct probe *probe;          /* answered when it has ended, by probe_over */
	struct pst_session_row *rows; /* [max]; n are filled */
	unsigned max, n;
};

void mailbox_answer(struct shard *sh); /* worker, when state is ASKED */
/* Control thread: asks and waits. PST_AGAIN: the worker did not answer. */
enum pst_rc mailbox_ask(struct pst_relay *r, unsigned worker);

/*
 * A connection of explain's (probe.c): up to EHLO, STARTTLS and the certificate, then
 * QUIT. The control thread makes it and waits; the worker runs it and fills the result.
 */
struct probe { /* of explain; or of a mirror, with its own memory in `mine` */
	struct {
		struct errand to;
		struct targets targets;
		struct pst_explain_host out;
		uint64_t generation; /* whose next hop it is; snap may be gone at the end */
	} mine;
	struct snapshot *snap; /* the asker keeps it: a publication is the same thread's */
	const struct errand *to;
	const struct target *target;
	const char *helo;
	struct pst_explain_host *out;
	uint32_t ms;  /* at most */
	bool offered; /* STARTTLS was in EHLO's answer in clear */
};
/* Worker. The connection is sh->probe_hop; the asker is told in the turn after it is gone. */
void probe_begin(struct shard *sh, struct probe *p);
void probe_timeout(struct shard *sh);
void probe_ready(struct hop *h); /* the hop is at READY */
void probe_lost(struct shard *sh, struct probe *p, enum hop_fault f, const char *why);
void probe_over(struct shard *sh); /* its connection is gone: whoever waits is told */
/* Ends one that runs. */
void probe_cut(struct shard *sh);
void mailbox_probed(struct shard *sh); /* worker: explain's probe has ended */

/* ---- mirror_receiver (mirror.c) ---- */

bool mirror_wanted(
	const struct snapshot *sn, const struct pst_config_listener *ln, unsigned listed);
/* Does the next hop offer STARTTLS? False: s waits, session_mirrored follows. */
bool mirror_known(struct session *s, bool *offered);
/* As far as is known of that generation's next hop; any thread. */
bool mirror_offers(const struct shard *sh, uint64_t generation);
void mirror_probed(struct shard *sh); /* a mirror's probe has ended */
void session_mirrored(struct session *s);

struct shard {
	_Alignas(64) struct pst_relay *relay;
	unsigned worker;
	struct snapshot *snap; /* read anew each turn; not counted: to be used in a turn only */
	uint64_t generation;   /* its; 0: to be adopted again */
	struct pst_tls_cache *cache;
	struct pst_lane *lane; /* of the crypto engine; NULL: everything is inline */
	/* Handshake steps are dear: a turn has so many left, who finds none comes first in the
	 * next. */
	unsigned steps_left;
	TAILQ_HEAD(, leg) deferred;
	struct pst_net *net;
	struct pst_tcp *tcp;
	struct pst_wheel wheel;
	struct pst_log *log;
	uint64_t now, now_ms;
	TAILQ_HEAD(, bound) bound;
	struct mailbox mail;
	struct waiting waiting;
	struct probe *probe;   /* explain's, not yet told of its end; NULL: none */
	struct hop *probe_hop; /* its connection */
	struct pst_timer probe_timer;
	struct {
		uint64_t until_ms;
		_Atomic uint64_t generation; /* whose next hop was asked; 0: none */
		atomic_bool lacks;           /* it offers no STARTTLS. Explain reads both */
	} mirror;
	struct pst_relay_labels labels;
	TAILQ_HEAD(, session) sessions;
	TAILQ_HEAD(, hop) pool;
	unsigned nsessions, npool;
	uint64_t counter;
	bool draining;
	struct pst_relay_counters c;
	uint64_t loops, busy_loops;
	struct pst_worker_time time;
	uint64_t tsc; /* up to here time is counted */
	uint64_t sleeps;
	clockid_t clock; /* the thread's CPU clock, while has_clock */
	_Atomic bool has_clock;
	uint8_t *wire;  /* SHARD_WIRE: ciphertext on its way to TCP */
	uint8_t *plain; /* LEG_IN_MAX: plaintext read and used in one go */
	uint8_t *body;  /* LEG_OUT_MAX: encoded message bytes of the session that runs */
	size_t body_len;
};

/* The loop's parts; the clock is the caller's, so tests run them on a virtual one. */
enum pst_rc shard_init(struct shard *sh, struct pst_relay *r, unsigned worker, uint64_t now);
void shard_fini(struct shard *sh);
bool shard_turn(struct shard *sh, uint64_t now);      /* true: there was work */
uint64_t shard_next_deadline(const struct shard *sh); /* ns */
void shard_drain(struct shard *sh);
void shard_undrain(struct shard *sh);
void shard_cut(struct shard *sh); /* ends every session and pooled connection */

/* ---- ticket keys (tickets.c); control thread ---- */

/* For the first generation: own keys; NULL: no random bytes. */
struct pst_tickets *tickets_new(const struct pst_config *cfg);
/* The configuration's key file, if it names one; a fault is reported. keys->n == 0: none. */
enum pst_rc tickets_read(const struct build *b, struct pst_tickets_keys *keys);
/* The schedule and the keys of a generation that is published. */
void tickets_apply(
	struct pst_relay *r, const struct pst_config *cfg, const struct pst_tickets_keys *keys);

/* Old and present generations, when no worker runs any more. */
void generations_fini(struct pst_relay *r);

/* ---- limits (admit.c) ---- */

enum admitted { ADMIT_OK, ADMIT_FULL, ADMIT_TOO_MANY /* of this address */ };
/* ADMIT_OK: counted; admit_leave when it ends. */
enum admitted admit_session(struct shard *sh, const struct pst_ip *ip);
void admit_leave(struct shard *sh, const struct pst_ip *ip);
/* True: counted in s->tls_began until admit_handshake_over, which may be called anyway. */
bool admit_handshake(struct session *s);
void admit_handshake_over(struct session *s);
bool admit_command(struct session *s);
bool admit_refusal(struct session *s);
bool admit_rate(struct session *s, uint32_t window_ms);

/* ---- labelled counters (labels.c) ---- */

void label_handshake(struct shard *sh, unsigned leg, const struct pst_tls *tls, uint64_t began_ns);
void label_tickets(struct shard *sh, const struct pst_tls *tls); /* of a client's handshake */
void label_refusal(struct shard *sh, const char *reason);        /* of pst_verdict */
void label_replies(struct shard *sh, struct pst_span out, unsigned stage);
/* What this hop's server offers: where it is the only next hop, EHLO follows it. */
void shard_learn(struct shard *sh, const struct hop *h);

#define SHARD_POOL_MAX 256

struct pst_relay {
	struct pst_relay_deps deps;
	struct parts parts;
	struct snapshot *snap; /* published: rcu_xchg_pointer, snapshot_current */
	TAILQ_HEAD(, snapshot) retired;
	_Atomic uint64_t generation;
	_Atomic uint32_t drain_ms;
	void (*release)(void *arg, const struct pst_config *cfg);
	void *release_arg;
	struct shard *shards; /* per worker; filled by the workers */
	struct peers *peers;
	struct broken *broken;
	struct pst_names *names; /* NULL until a configuration has a dns section; then to the end */
	char box[24], boot[12], token[96];
	struct pst_tickets *tickets;
	atomic_bool draining, stopping, failed;
	atomic_uint live;       /* sessions of all shards, for the limit and for drained */
	atomic_uint handshakes; /* with clients, in flight */
	atomic_uint running;    /* shards in their loop */
};

/*
 * What is published now, until the caller's next quiescent state. rcu_dereference, but atomic: as
 * a macro around a function of the library liburcu 0.13's reads the pointer plainly.
 */
static inline struct snapshot *
snapshot_current(const struct pst_relay *r)
{
	return __atomic_load_n(&r->snap, __ATOMIC_CONSUME);
}

#endif
