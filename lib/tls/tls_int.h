/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of lib/tls share. */
#ifndef PST_TLS_INT_H
#define PST_TLS_INT_H

#include <pst_engine.h>
#include <pst_tickets.h>
#include <pst_tls.h>
#include <openssl/bio.h>
#include <openssl/ssl.h>

#define PST_TLS_DIGEST 32

/* One certificate name, lower case ("mx.example.com", "*.example.com"), and who may serve it. */
struct pst_tls_name {
	char *name;
	SSL_CTX *ssl; /* borrowed from sets */
};

struct pst_tls_ctx {
	_Atomic unsigned refs;
	struct pst_crypto *crypto;
	enum pst_tls_side side;
	enum pst_tls_verify verify; /* of pst_tls_new */
	enum pst_tls_client_cert client_cert;
	bool strict_names;
	/* OpenSSL's security level of connections that take any certificate, and of the others */
	int level_any, level;
	SSL_CTX *ssl; /* clients, and servers without a matching name: the default certificates */
	BIO_METHOD *wire;
	struct pst_crypto_key *keys[PST_TLS_MAX_CERTS]; /* of the certificates; NULL */
	EVP_MD *sha256; /* of the worker's library context: the default one has locks that all share
			 */
	/* ticket.c: server; NULL: OpenSSL's own keys */
	const struct pst_tickets *tickets;
	EVP_CIPHER *ticket_cipher;
	/* profile.c: of all that a session made here was allowed by */
	uint8_t profile[PST_TLS_DIGEST];
	/* sni.c: the other certificate sets and the names that lead to them, sorted */
	unsigned nsets, nnames;
	SSL_CTX **sets;
	struct pst_tls_name *names;
};

/* expect.c: one reference identity. */
struct pst_tls_ref {
	const char *name; /* lower case, no trailing dot; behind the array it is in */
	bool subdomains;
	uint8_t ip_len; /* 4 or 16: name is this address; 0: it is a host name */
	uint8_t ip[16];
};

/* flood.c: what the peer has had, and may have. */
struct pst_tls_budget {
	uint8_t flood;                        /* pst_tls_flood: spent, and the session is to end */
	bool ended;                           /* OpenSSL was told */
	uint8_t header[3];                    /* of the last record: its type and version */
	uint16_t body;                        /* octets of it still to be read */
	bool hello;                           /* the first message of the handshake is there */
	uint16_t messages, records;           /* of the handshake, or since the last data */
	uint32_t octets;                      /* of the handshake */
	uint32_t credit;                      /* octets: what records cost and data refills */
	uint32_t received;                    /* octets of data since the last refill of updates */
	uint16_t updates, attempts, warnings; /* KeyUpdates, renegotiations, warning alerts left */
};

struct pst_tls {
	SSL *ssl;
	struct pst_tls_ctx *ctx;
	struct pst_waiter waiter; /* for crypto operations, in the handshake */
	struct pst_tls_io *io;    /* of the call that is running; NULL between calls */
	struct pst_tls_cache *cache;
	char *error;                /* why it failed; NULL: it did not, or no memory for the text */
	enum pst_tls_verify verify; /* client */
	long verify_error;          /* verify.c: what the verification found so far */
	uint8_t alert_in, alert_out; /* fatal alerts seen, plus one (0 is close_notify) */
	bool done;                   /* the handshake */
	bool failed;
	bool closed;  /* we sent close_notify */
	bool named;   /* client: a name, an address or a fingerprint was given */
	bool started; /* a handshake call was made */
	struct pst_tls_budget budget;
	uint8_t tickets_issued;
	bool ticket_old, ticket_unknown; /* the client's: the key it was under */
	/* expect.c: until the handshake is done */
	unsigned nrefs, nfingerprints;
	struct pst_tls_ref *refs;
	uint8_t (*fingerprints)[PST_TLS_DIGEST];
	uint8_t key[PST_TLS_DIGEST]; /* in cache */
	int64_t until; /* cache.c: of the session offered: how long its verdict may stand */
};

/* wire.c: the BIO between OpenSSL and the pst_tls_io of the running call. */
BIO_METHOD *pst_tls_wire_method(void);
BIO *pst_tls_wire_new(struct pst_tls *t);

/* ctx.c: one SSL_CTX of the profile with these of its certificates (a bit mask). */
SSL_CTX *pst_tls_ctx_build(struct pst_tls_ctx *ctx, const struct pst_tls_conf *conf, unsigned certs,
	char *err, size_t errlen);
/* "what which: OpenSSL's cause" into err; false, for a return. which may be NULL. */
bool pst_tls_conf_fault(char *err, size_t errlen, const char *what, const char *which);

/* suites.c: versions, cipher suites, groups, security level. Each false with a text in err. */
bool pst_tls_suites_check(const struct pst_tls_conf *conf, char *err, size_t errlen);
bool pst_tls_suites_init(struct pst_tls_ctx *ctx, SSL_CTX *ssl, const struct pst_tls_conf *conf,
	char *err, size_t errlen);
/* Can this certificate serve under the profile's key exchanges? */
bool pst_tls_suites_cert_fits(const struct pst_tls_conf *conf, const struct pst_cert *cert);

/* profile.c: digests, fixed-length or length-prefixed parts, so that no two inputs run together. */
bool pst_tls_digest_str(EVP_MD_CTX *md, const char *s); /* NULL is not "" */
bool pst_tls_digest_u32(EVP_MD_CTX *md, uint32_t v);
/* Fills ctx->profile; store: the anchors, or NULL. */
bool pst_tls_profile_init(
	struct pst_tls_ctx *ctx, const struct pst_tls_conf *conf, X509_STORE *store);

/* ticket.c */
bool pst_tls_ticket_init(struct pst_tls_ctx *ctx, SSL_CTX *ssl, const struct pst_tls_conf *conf,
	char *err, size_t errlen);

/* flood.c: T9. What came from the wire is told here; pst_tls_flood_spent says when it was enough.
 */
void pst_tls_flood_init(struct pst_tls *t);
void pst_tls_flood_octets(struct pst_tls *t, size_t n); /* of the wire, header or body */
void pst_tls_flood_record(struct pst_tls *t, const uint8_t header[5]);
void pst_tls_flood_message(struct pst_tls *t, uint8_t type); /* of the handshake protocol */
void pst_tls_flood_warning(struct pst_tls *t);
void pst_tls_flood_data(struct pst_tls *t, size_t n); /* octets that the peer meant to say */
void pst_tls_flood_done(struct pst_tls *t);           /* the handshake is */
/* OpenSSL has bounds of its own: the cause, if its error is one of them. */
void pst_tls_flood_blame(struct pst_tls *t, unsigned long error);
/* NULL: no flood. */
const char *pst_tls_flood_text(const struct pst_tls *t);
/* Once, when OpenSSL asks for a record's header: one that ends the session. */
bool pst_tls_flood_end(struct pst_tls *t, uint8_t *header, size_t n);

/* server.c */
bool pst_tls_server_init(struct pst_tls_ctx *ctx, SSL_CTX *ssl, const struct pst_tls_conf *conf,
	char *err, size_t errlen);
/* After the handshake: is what the client showed, now or when the session was made, enough? */
bool pst_tls_server_enough(const struct pst_tls *t);

/* sni.c */
unsigned pst_tls_sni_default(const struct pst_tls_conf *conf);
enum pst_rc pst_tls_sni_init(
	struct pst_tls_ctx *ctx, const struct pst_tls_conf *conf, char *err, size_t errlen);
void pst_tls_sni_fini(struct pst_tls_ctx *ctx);
int pst_tls_sni_select(SSL *ssl, int *alert, void *ctx); /* the servername callback */

/* verify.c: the peer's certificate, on both sides. */
bool pst_tls_verify_init(struct pst_tls_ctx *ctx, SSL_CTX *ssl, const struct pst_tls_conf *conf,
	char *err, size_t errlen);
/* Client: does a result of the verification (new or kept with a session) satisfy t? */
bool pst_tls_verify_enough(const struct pst_tls *t, long result);
bool pst_tls_verify_is_name_error(long result);
const char *pst_tls_verify_text(long result);

/* expect.c: client. PST_INVAL: nothing that a certificate could meet. */
enum pst_rc pst_tls_expect_set(struct pst_tls *t, const struct pst_tls_expect *e);
void pst_tls_expect_free(struct pst_tls *t);
bool pst_tls_expect_digest(const struct pst_tls *t, EVP_MD_CTX *md); /* all of it, SNI too */
bool pst_tls_expect_named(const struct pst_tls *t, X509 *leaf);      /* has one of the names */
bool pst_tls_expect_pinned(const struct pst_tls *t, X509 *leaf); /* has one of the fingerprints */

/* info.c: notes why t failed from OpenSSL's error queue, which is then empty. */
void pst_tls_fail(struct pst_tls *t, const char *what);

/* cache.c */
int pst_tls_cache_store(SSL *ssl, SSL_SESSION *sess); /* the new-session callback */
/* NULL: none; *until is set with a session. */
SSL_SESSION *pst_tls_cache_take(
	struct pst_tls_cache *cache, const uint8_t key[PST_TLS_DIGEST], int64_t *until);
void pst_tls_cache_forget(struct pst_tls_cache *cache, const uint8_t key[PST_TLS_DIGEST]);

#endif
