/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The crypto context of one thread: its own OSSL_LIB_CTX, so that workers share
 * no OpenSSL lock (two threads on one context cost the client leg 17-20 %), and
 * the private keys and certificates loaded into it.
 *
 * One per worker lcore, made and freed on the main thread or the worker, used by
 * one thread at a time. No TLS words here: TLS stands on this.
 */
#ifndef PST_CRYPTO_H
#define PST_CRYPTO_H

#include <pst_base.h>
#include <pst_span.h>
#include <openssl/types.h>
#include <openssl/x509.h>

struct pst_crypto;
struct pst_engine; /* pst_engine.h */
struct pst_named;  /* pst_named.h */

/* A fresh library context with our provider in it, which stands before OpenSSL's default one. NULL
 * and a text on error. */
struct pst_crypto *pst_crypto_new(char *err, size_t errlen);
/*
 * Without a library context of its own: the named engine's, which all share. Our provider is
 * not in it. Only on workers whose lane has the same. NULL: no memory.
 */
struct pst_crypto *pst_crypto_new_named(const struct pst_named *named, char *err, size_t errlen);
/* After everything that was made in it: certificates, stores, TLS contexts. NULL is fine. */
void pst_crypto_free(struct pst_crypto *c);
OSSL_LIB_CTX *pst_crypto_libctx(struct pst_crypto *c);
/*
 * Before certificates are loaded: private keys are offered to the engine's back-ends. NULL:
 * none. The engine outlives c's keys.
 */
void pst_crypto_set_engine(struct pst_crypto *c, struct pst_engine *e);

/*
 * A private key that is known to back-ends, counted; whoever signs with it holds one. get and
 * put may be called by any thread, NULL is fine.
 */
struct pst_crypto_key;
/* NULL: no back-end takes such keys, or no memory; then OpenSSL alone has it. Control thread. */
struct pst_crypto_key *pst_crypto_key_new(struct pst_crypto *c, EVP_PKEY *pkey);
struct pst_crypto_key *pst_crypto_key_get(struct pst_crypto_key *k);
void pst_crypto_key_put(struct pst_crypto_key *k);

/* A certificate chain (leaf first) and its private key, in this context. */
struct pst_cert {
	X509 *leaf;
	STACK_OF(X509) * chain; /* without the leaf; may be empty, never NULL */
	EVP_PKEY *key;
	struct pst_crypto_key *known; /* to back-ends; or NULL */
	int64_t not_after;            /* seconds since the epoch */
};

/*
 * Loads PEM files; `key_file` may equal `chain_file` (one file avoids the race
 * of replacing two). Checks: key matches the leaf, chain in order, RSA >= 2048
 * or EC P-256/P-384 or Ed25519, within its dates (else a warning in err, still
 * PST_OK; without one err is empty). The key file must not be readable by others
 * (its group may). Errors name file and cause.
 */
enum pst_rc pst_cert_load(struct pst_crypto *c, const char *chain_file, const char *key_file,
	struct pst_cert **out, char *err, size_t errlen);
void pst_cert_free(struct pst_cert *cert);

/*
 * When the first certificate of a PEM file ends, seconds since the epoch; 0 and a
 * text in err if the file cannot tell. Needs no context; judges nothing.
 */
int64_t pst_cert_not_after(const char *chain_file, char *err, size_t errlen);

/*
 * The trust anchors of a PEM bundle (NULL: the system's), loaded once per context
 * and shared until the file changes. A reference for the caller (X509_STORE_free);
 * NULL and a text that names file and cause on error.
 */
X509_STORE *pst_crypto_trust(struct pst_crypto *c, const char *file, char *err, size_t errlen);

/*
 * A file of secrets, whole and with a NUL behind it. Regular, not empty, owned by this user or
 * root, and closed to group and others; else PST_INVAL and a text that names file and cause.
 */
struct pst_secret {
	uint8_t *p;
	size_t n;
};
enum pst_rc pst_secret_load(const char *file, struct pst_secret *out, char *err, size_t errlen);
void pst_secret_free(struct pst_secret *s); /* wipes */

/*
 * Gives OpenSSL free lists of each thread for its blocks, and counts what it holds, so that
 * the cost of an idle session is a figure and not a guess. Call before anything else touches
 * OpenSSL; PST_INVAL if that was too late (nothing is counted then, and malloc stays).
 */
enum pst_rc pst_crypto_count_memory(void);
/* Live bytes as the allocator rounds them, all threads; any thread may ask. 0: not counted. */
uint64_t pst_crypto_live_bytes(void);
/* The calling thread's share of it; negative if it frees what others made. */
int64_t pst_crypto_live_bytes_here(void);
/* Bytes in the free lists of all threads, at most 1 MiB a thread; not part of the live ones. */
uint64_t pst_crypto_cached_bytes(void);

/* Takes the calling thread's OpenSSL error queue as one line; empties it. */
void pst_crypto_errors(char *buf, size_t len);

#endif
