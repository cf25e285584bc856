/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A site on a virtual clock: the real shard on one end of a wire, and on the other
 * a host of ours that plays the clients and the next hops, scripted by the test.
 * Everything between is the real thing: Ethernet, ARP, TCP, SMTP, the pump.
 */
#ifndef SITE_H
#define SITE_H

#include "relay.h"

#define SITE_CLIENT_PORT 25   /* the gateway listens */
#define SITE_HOP_A       2525 /* the peer listens: first host of next hop "one" */
#define SITE_HOP_B       2526 /* second host of "one" */
#define SITE_HOP_C       2527 /* next hop "two" */

struct peer { /* one TCP connection of the far host */
	struct site *site;
	struct pst_tcp_conn *conn;
	uint16_t port; /* local, for accepted ones */
	char *rx;      /* all bytes received, NUL-terminated */
	size_t n, cap, seen;
	const char *first;                /* to be said in the very turn the connection is up */
	bool connected, eof, error, deaf; /* deaf: does not read */
	bool hit_and_run;                 /* resets in the very turn the connection is up */
	struct pst_tls *tls;              /* on: all that is said and heard goes through it */
	bool tls_up, tls_failed, tls_eof; /* tls_eof: close_notify came */
	TAILQ_ENTRY(peer) link;
};

struct site {
	uint64_t now;
	struct pst_fabric *gw_fabric, *far_fabric;
	struct pst_net *far_net;
	struct pst_tcp *far_tcp;
	struct pst_relay *relay;
	struct shard *sh; /* the relay's only one */
	struct pst_config cfg;
	struct pst_config_next_hop hops[2];
	struct pst_config_host hosts[2][2];
	struct pst_config_route routes[2];
	struct pst_config_action action;
	struct pst_config_listener listener;
	struct pst_logger *logger;
	struct pst_engine *engine; /* set before site_start: freed by site_fini; or NULL */
	uint64_t most_begun;       /* handshake steps that began as a job in one turn */
	struct pst_config_certificate certificate;
	const char *san; /* of the certificate; before site_tls */
	struct pst_config_tls_profile profile;
	struct pst_crypto *far_crypto;
	struct pst_tls_ctx *far_client, *far_server;
	bool far_implicit; /* next hops begin with TLS */
	char log_path[64];
	bool cut; /* the wire */
	TAILQ_HEAD(, peer) peers;
};

/* The standard site; change s->cfg between site_init and site_start. */
void site_init(struct site *s);
void site_start(struct site *s);
void site_fini(struct site *s); /* also checks that nothing is left behind */

/* Lets the virtual time pass. */
void site_run(struct site *s, uint64_t ms);
/* Moves what is on the wire, and nothing else. How many frames. */
unsigned site_carry(struct site *s);

/* A client's connection to the gateway, banner included. */
struct peer *site_client(struct site *s);
struct peer *site_connect(struct site *s); /* without waiting for the banner */
/* Plays a connection that a test opened itself. */
struct peer *site_adopt(struct site *s, struct pst_tcp_conn *conn);
/* The next hop's listener: on or off. */
void site_listen(struct site *s, uint16_t port, bool on);
/* Waits for a new connection to that port. NULL: none came within `ms`. */
struct peer *site_accept(struct site *s, uint16_t port, uint64_t ms);

void peer_send(struct peer *p, const char *text);
void peer_send_bytes(struct peer *p, const void *b, size_t n);
/* Waits until `text` comes, and eats everything up to its end. Fails the test after ms. */
void peer_expect(struct peer *p, const char *text, uint64_t ms);
bool peer_hears(struct peer *p, const char *text, uint64_t ms);
bool peer_ends(struct peer *p, uint64_t ms); /* FIN or RST comes */
void peer_close(struct peer *p);
void peer_abort(struct peer *p);

/* The next hop's part up to and including EHLO's answer. */
struct peer *hop_serve(struct site *s, uint16_t port);
/* The client's part up to the RCPT being sent. */
void client_envelope(struct peer *c, const char *rcpt);
/*
 * TLS, before site_start: the listener and both next hops get it in this mode, with a
 * certificate that nobody verifies; the far side gets contexts for its two roles.
 */
void site_tls(struct site *s, enum pst_config_tls_mode mode);
void site_tls_fini(struct site *s);
void peer_tls(struct peer *p, struct pst_tls_ctx *ctx); /* from here on */
bool peer_tls_up(struct peer *p, uint64_t ms);          /* the handshake is done */
void peer_tls_read(struct peer *p);
void peer_tls_write(struct peer *p, const void *b, size_t n); /* as one burst of records */
void peer_tls_shutdown(struct peer *p);                       /* close_notify */
/* Keeps bytes for the script to read. */
void peer_heard(struct peer *p, const void *b, size_t n);

/* The text of the log so far; caller frees. */
char *site_log(struct site *s);

#endif
