/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The client's side of one SMTP session: STARTTLS, TLS from the start or neither, then
 * messages, then QUIT. An engine (gen.h): bytes in, bytes out.
 *
 *   gen_client_init(&c, &conf, figures, slot, intended);
 *   gen_client_connected(&c, now);
 *   per turn: rc = gen_client_step(&c, &io, now);
 *   gen_client_fini(&c);
 *
 * What it measures goes into the figures it was given: of each phase the time, from the moment
 * at which the phase was meant to begin. For the session that is `intended`: with an open
 * loop, when the schedule wanted it, however late the generator was.
 */
#ifndef CLIENT_H
#define CLIENT_H

#include "gen.h"
#include "hist.h"
#include "stream.h"

#include <pst_smtp_client.h>

enum gen_tls { GEN_TLS_NONE, GEN_TLS_STARTTLS, GEN_TLS_IMPLICIT };

/* What all clients of a load have in common; immutable while they live. */
struct gen_client_conf {
	enum gen_tls tls;
	struct pst_tls_ctx *ctx;     /* client side; NULL with GEN_TLS_NONE */
	struct pst_tls_cache *cache; /* sessions to resume, one for each slot; NULL: never */
	const char *helo;            /* what it says it is */
	const char *from, *to;       /* addresses without brackets */
	unsigned messages;           /* of one session; 0: it says QUIT after EHLO */
	/* One message as it is sent: dots doubled, the final dot included. The owner's. */
	const uint8_t *body;
	size_t body_len;
	bool pipelining; /* MAIL, RCPT and DATA in one write, if the server offers it */
	bool hold;       /* after EHLO (and the messages) it stays, silent, until it is told */
};

struct gen_figures {
	uint64_t begun, done, failed; /* sessions */
	uint64_t full, resumed;       /* handshakes */
	uint64_t messages, refused;   /* refused: answered 4xx or 5xx */
	uint64_t bytes;               /* of messages accepted, as sent */
	uint64_t held;                /* sessions that are up and stay */
	struct pst_hist *connect, *handshake, *message, *session; /* ns; NULL: not wanted */
	char why[160];                                            /* the last failure */
	bool frozen; /* nothing is counted: warm-up, or the rest after the end */
};

enum gen_client_state {
	GEN_CLIENT_CONNECT,
	GEN_CLIENT_TLS,
	GEN_CLIENT_TALK,
	GEN_CLIENT_BODY,
	GEN_CLIENT_HELD,
	GEN_CLIENT_OVER
};

struct gen_client {
	const struct gen_client_conf *conf;
	struct gen_figures *fig;
	struct stream st;
	struct pst_smtp_client smtp;
	struct pst_buf in, out; /* replies not yet whole; commands not yet written */
	size_t sent;            /* of the body */
	uint64_t intended,
		phase; /* ns: when the session, and what it does now, should have begun */
	uint32_t slot; /* whose TLS session it resumes */
	uint32_t left; /* messages */
	uint8_t state; /* gen_client_state */
	bool secured, refused;
	char why[96]; /* after GEN_FAILED */
};

void gen_client_init(struct gen_client *c, const struct gen_client_conf *conf,
	struct gen_figures *fig, uint32_t slot, uint64_t intended);
void gen_client_fini(struct gen_client *c);
void gen_client_connected(struct gen_client *c, uint64_t now);
enum gen_rc gen_client_step(struct gen_client *c, struct gen_io *io, uint64_t now);
/* Ends a session that is held: QUIT at the next step. */
void gen_client_release(struct gen_client *c);
/* The connection died: counted, unless the session was over. */
void gen_client_lost(struct gen_client *c, const char *why);

/* One message of about `size` bytes with the dot at its end; *len is what it came to. malloc. */
uint8_t *gen_message(size_t size, const char *from, const char *to, size_t *len);

#endif
