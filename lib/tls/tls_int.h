/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of lib/tls share. */
#ifndef PST_TLS_INT_H
#define PST_TLS_INT_H

#include <pst_tls.h>
#include <openssl/bio.h>
#include <openssl/ssl.h>

#define PST_TLS_DIGEST 32

/* Post-handshake messages in a row, without data, after which the peer is at fault (T9). */
#define PST_TLS_IDLE_MESSAGES 64

/* One certificate name, lower case ("mx.example.com", "*.example.com"), and who may serve it. */
struct pst_tls_name {
	char *name;
	SSL_CTX *ssl; /* borrowed from sets */
};

struct pst_tls_ctx {
	unsigned refs;
	struct pst_crypto *crypto;
	enum pst_tls_side side;
	enum pst_tls_verify verify;
	SSL_CTX *ssl; /* clients, and servers without a matching name: the default certificates */
	BIO_METHOD *wire;
	EVP_MD *sha256; /* of the worker's library context: the default one has locks that all share
			 */
	/* sni.c: the other certificate sets and the names that lead to them, sorted */
	unsigned nsets, nnames;
	SSL_CTX **sets;
	struct pst_tls_name *names;
};

struct pst_tls {
	SSL *ssl;
	struct pst_tls_ctx *ctx;
	struct pst_tls_io *io; /* of the call that is running; NULL between calls */
	struct pst_tls_cache *cache;
	char *error;       /* why it failed; NULL: it did not, or no memory for the text */
	long verify_error; /* verify.c: what the verification found so far */
	uint8_t alert_in, alert_out; /* fatal alerts seen, plus one (0 is close_notify) */
	bool done;                   /* the handshake */
	bool failed;
	bool closed;                 /* we sent close_notify */
	bool named;                  /* client: a name or address to verify was given */
	bool started;                /* a handshake call was made */
	uint16_t idle_messages;      /* handshake messages since the handshake or the last data */
	uint8_t key[PST_TLS_DIGEST]; /* in cache */
};

/* wire.c: the BIO between OpenSSL and the pst_tls_io of the running call. */
BIO_METHOD *pst_tls_wire_method(void);
BIO *pst_tls_wire_new(struct pst_tls *t);

/* ctx.c: one SSL_CTX of the profile with these of its certificates (a bit mask). */
SSL_CTX *pst_tls_ctx_build(struct pst_tls_ctx *ctx, const struct pst_tls_conf *conf, unsigned certs,
	char *err, size_t errlen);

/* sni.c */
unsigned pst_tls_sni_default(const struct pst_tls_conf *conf);
enum pst_rc pst_tls_sni_init(
	struct pst_tls_ctx *ctx, const struct pst_tls_conf *conf, char *err, size_t errlen);
void pst_tls_sni_fini(struct pst_tls_ctx *ctx);
int pst_tls_sni_select(SSL *ssl, int *alert, void *ctx); /* the servername callback */

/* verify.c: client side. */
enum pst_rc pst_tls_verify_init(struct pst_tls_ctx *ctx, SSL_CTX *ssl,
	const struct pst_tls_conf *conf, char *err, size_t errlen);
/* Sets SNI and the reference identity. PST_INVAL: the name cannot be one. */
enum pst_rc pst_tls_verify_name(struct pst_tls *t, const char *name);
/* Does a result of the verification (new or kept with a session) satisfy the profile? */
bool pst_tls_verify_enough(const struct pst_tls *t, long result);
bool pst_tls_verify_is_name_error(long result);

/* info.c: notes why t failed from OpenSSL's error queue, which is then empty. */
void pst_tls_fail(struct pst_tls *t, const char *what);

/* cache.c */
int pst_tls_cache_store(SSL *ssl, SSL_SESSION *sess); /* the new-session callback */
SSL_SESSION *pst_tls_cache_take(struct pst_tls_cache *cache, const uint8_t key[PST_TLS_DIGEST]);
void pst_tls_cache_forget(struct pst_tls_cache *cache, const uint8_t key[PST_TLS_DIGEST]);

#endif
