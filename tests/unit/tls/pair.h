/* SPDX-License-Identifier: BSD-3-Clause */
/* A client and a server session with wires of memory between them, and the certificates they use.
 */
#ifndef PST_TEST_PAIR_H
#define PST_TEST_PAIR_H

#include <pst_tickets.h>
#include <pst_tls.h>
#include "pki.h"

/* Made once per process. */
struct pki {
	EVP_PKEY *ca_key, *other_ca_key, *rsa, *ec, *ec2;
	X509 *ca, *other_ca;
	const char *ca_file; /* holds ca */
};
const struct pki *pair_pki(void);

/* Ticket keys that all servers of the process share; made once. */
const struct pst_tickets *pair_tickets(void);

/* A pst_cert with the names of `san`, signed by the CA unless other says otherwise. */
struct pst_cert *pair_cert(struct pst_crypto *c, EVP_PKEY *key, const char *san);
struct pst_cert *pair_cert_spec(struct pst_crypto *c, const struct pki_spec *spec);

struct wire {
	uint8_t *p;
	size_t head, tail, cap;
};

struct end {
	struct pst_tls *tls;
	struct wire *in, *out;
	size_t in_step; /* bytes of input offered per call; 0: all */
	size_t out_cap; /* room per call; 0: PST_TLS_OUT_MIN + 32 KiB */
	enum pst_rc rc; /* of the last call */
	size_t moved;   /* wire bytes of the last call, both ways */
};

struct pair {
	struct pst_crypto *cc, *sc;
	struct pst_tls_ctx *cctx, *sctx;
	struct pst_tls_conf cconf, sconf;
	struct wire to_server, to_client;
	struct end client, server;
	OSSL_PROVIDER *foreign;              /* pair_foreign_client */
	const char *name;                    /* that the client verifies */
	const struct pst_tls_expect *expect; /* instead of name, unless NULL */
};

/* The engine of the crypto contexts that pair_init makes; NULL: none. */
extern struct pst_engine *pair_engine;
/* Two crypto contexts, an EC certificate for mx.example.com, verification by name. */
void pair_init(struct pair *p);
/* The same in contexts that the caller made; the pair frees them. */
void pair_init_in(struct pair *p, struct pst_crypto *client, struct pst_crypto *server);
/* The client is from now on one that can do what ours cannot, finite-field DH among it. */
void pair_foreign_client(struct pair *p);
/* (Re)builds contexts from the confs, and sessions. */
void pair_contexts(struct pair *p);
void pair_sessions(struct pair *p);
/*
 * The server's only certificate from now on: spec's, with up to seven more behind it; their
 * references stay the caller's. Nothing is checked, so it may be as bad as the test wants.
 */
void pair_serve(struct pair *p, const struct pki_spec *spec, X509 *const chain[], unsigned n);
/* One handshake with fresh sessions under e: did both ends finish? info: the client's. */
bool pair_try(struct pair *p, const struct pst_tls_expect *e, struct pst_tls_info *info);
/* Frees sessions, keeps contexts. */
void pair_hangup(struct pair *p);
void pair_fini(struct pair *p);

/* Steps both until neither moves: both PST_OK, or what stopped them is in client.rc, server.rc. */
bool pair_handshake(struct pair *p);
/* One call on the end's handshake/read/write/shutdown, moving wire bytes. */
enum pst_rc end_handshake(struct end *e);
enum pst_rc end_read(struct end *e, void *buf, size_t cap, size_t *n);
enum pst_rc end_write(struct end *e, const void *p, size_t n);
enum pst_rc end_shutdown(struct end *e);
/* Reads until it must wait; how many bytes came. The last result is in e->rc. */
size_t end_drain(struct end *e, void *buf, size_t cap);

size_t wire_len(const struct wire *w);
void wire_put(struct wire *w, const void *p, size_t n);
void wire_clear(struct wire *w);

/* True, and a text on stderr, if OpenSSL's error queue of this thread holds something. */
bool errors_left(void);

#endif
