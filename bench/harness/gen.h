/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The load generator's seams.
 *
 * Three kinds of part:
 *   engine     one SMTP conversation, client's or next hop's side, TLS included. Pure: bytes
 *              in, bytes out, `now` passed in; knows no socket and no clock (client.h, sink.h).
 *   transport  connections as byte streams. One on our own stack (gen_stack.c), one on kernel
 *              sockets (gen_epoll.c); this file is their contract.
 *   runner     opens connections when its schedule says so, lets engines speak over them and
 *              keeps the figures (load.h). It sees transports and engines by their contracts only.
 *
 * All of one generator belongs to one thread. Nothing calls up: a transport reports by
 * gen_next, an engine by what its step returns.
 */
#ifndef GEN_H
#define GEN_H

#include <pst_base.h>
#include <pst_ip.h>
#include <pst_span.h>

/* ---- transport ---- */

struct gen_conn; /* a connection; of the transport */

enum gen_event {
	GEN_EV_ACCEPT = 1u << 0,    /* new, from a listener; user is still NULL */
	GEN_EV_CONNECTED = 1u << 1, /* an active open finished */
	GEN_EV_READ = 1u << 2,      /* bytes to read, or the end of the stream */
	GEN_EV_WRITE = 1u << 3,     /* gen_room was 0 and is not any more */
	GEN_EV_ERROR = 1u << 4,     /* dead (reset, refused, timed out): close or abort it */
};

/* The most one write may carry; gen_write takes it whole when gen_room said more than 0. */
#define GEN_WRITE_MAX (192 * 1024)

struct gen_transport; /* its first member is the ops: struct gen_transport { const struct .. *ops;
			 }; */

struct gen_transport_ops {
	const char *name;                      /* "postern" (our stack), "kernel" (sockets) */
	void (*free)(struct gen_transport *t); /* drops what is open without a word */
	/*
	 * Once at the top of a turn: takes in what arrived and fires timers. Never waits.
	 * `now` is monotonic ns, as for all calls of this turn.
	 */
	void (*poll)(struct gen_transport *t, uint64_t now);
	/* Once at the bottom: sends what writes and reads made due. */
	void (*flush)(struct gen_transport *t);
	/* Sleeps until something may have come, at most max_ns. */
	void (*idle)(struct gen_transport *t, uint64_t max_ns);
	/* When poll wants to be called at the latest; UINT64_MAX: only when something comes. */
	uint64_t (*next_deadline)(const struct gen_transport *t);
	/*
	 * The next connection with news, or NULL; the events are cleared. They are edges: who
	 * leaves bytes unread hears again only when more come (or the stream ends).
	 */
	struct gen_conn *(*next)(struct gen_transport *t, uint32_t *events);

	/* PST_UNREACH: no route or no port left; PST_NOMEM. `local` NULL: any of our addresses. */
	enum pst_rc (*connect)(struct gen_transport *t, const struct pst_ip *local,
		const struct pst_endpoint *to, void *user, struct gen_conn **out);
	/* The error text is a line; `at` with ip any (::): all addresses, both families. */
	enum pst_rc (*listen)(
		struct gen_transport *t, const struct pst_endpoint *at, char *err, size_t errlen);

	/* Ours: for an accepted connection the port that was listened on. */
	uint16_t (*local_port)(const struct gen_conn *c);
	void (*set_user)(struct gen_conn *c, void *user);
	void *(*user)(const struct gen_conn *c);
	/*
	 * The bytes at hand, as long a run as there is without copying; n 0: none. Valid until
	 * consume, poll, or another connection's peek.
	 */
	struct pst_span (*peek)(struct gen_transport *t, struct gen_conn *c);
	void (*consume)(struct gen_transport *t, struct gen_conn *c, size_t n);
	bool (*eof)(const struct gen_conn *c); /* the peer's FIN is next, nothing left before it */
	/* More than 0: a write of at most GEN_WRITE_MAX bytes is taken whole. 0: GEN_EV_WRITE
	 * follows. */
	size_t (*room)(struct gen_transport *t, struct gen_conn *c);
	/* PST_OK: taken; the transport keeps what cannot leave yet. Else the connection is dead. */
	enum pst_rc (*write)(struct gen_transport *t, struct gen_conn *c, const void *p, size_t n);
	/* Both let go: the pointer is not touched any more. close: what was written, then FIN. */
	void (*close)(struct gen_transport *t, struct gen_conn *c);
	void (*abort)(struct gen_transport *t, struct gen_conn *c); /* RST */
	/* Why it is dead: "connection refused" ..; never NULL; until close or abort. */
	const char *(*error)(const struct gen_conn *c);
};

struct gen_transport {
	const struct gen_transport_ops *ops;
};

/* Our own stack, as one worker of a fabric: on that worker's thread. */
struct pst_fabric;
struct gen_stack_conf {
	struct pst_fabric *fabric;
	unsigned worker;
	uint32_t max_conns;    /* 0: 65536 */
	uint32_t time_wait_ms; /* 0: 1, so that ports come back at once: a generator's privilege */
	uint32_t rcv_buf, snd_buf; /* bytes; 0: the stack's own */
};
struct gen_transport *gen_stack_new(
	const struct gen_stack_conf *conf, uint64_t now, char *err, size_t errlen);

/* Kernel sockets by epoll. */
struct gen_epoll_conf {
	uint32_t max_conns;        /* 0: as many as RLIMIT_NOFILE lets */
	uint32_t rcv_buf, snd_buf; /* SO_RCVBUF, SO_SNDBUF; 0: the kernel's own */
	bool linger;               /* false: RST instead of TIME_WAIT on our side after close */
};
struct gen_transport *gen_epoll_new(
	const struct gen_epoll_conf *conf, uint64_t now, char *err, size_t errlen);

/* ---- engines ---- */

/*
 * One step of an engine: it takes what it can use of `in` and appends to `out`. The caller
 * gives at least GEN_OUT_MIN bytes of room and sends what is in out whatever the result.
 */
#define GEN_OUT_MIN GEN_WRITE_MAX
struct gen_io {
	const uint8_t *in;
	size_t in_len, in_used;
	bool eof; /* nothing comes after `in` */
	uint8_t *out;
	size_t out_cap, out_len;
};

enum gen_rc {
	GEN_WAIT,   /* for more bytes */
	GEN_MORE,   /* wants to write more than fitted: again when there is room */
	GEN_DONE,   /* over in good order: send out, then close */
	GEN_FAILED, /* over: the engine has a text; send out, then close */
};

#endif
