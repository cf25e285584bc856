/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * TLS sessions (1.2 and 1.3, OpenSSL 3), memory to memory: bytes in, bytes out.
 *
 * A pst_tls_ctx is a compiled profile for one worker (in that worker's crypto
 * context), immutable, reference-counted by its worker alone. A pst_tls is one
 * connection; one thread. It knows nothing of sockets, TCP or SMTP.
 *
 * Every call passes a pst_tls_io: wire bytes available, and room for wire bytes
 * to send. Calls take what they can use from `in` (in_used rises) and append to
 * `out` (out_len rises), also when they return PST_AGAIN or an error: always
 * send what is in out. Give out at least PST_TLS_OUT_MIN bytes of room.
 *
 * Results: PST_OK; PST_AGAIN (more wire bytes or more out room needed);
 * PST_WANT_ASYNC (a crypto operation runs: call again on completion, touch
 * nothing until then); PST_EOF (close_notify received); PST_PEER (protocol or
 * verification failure: pst_tls_error has the text; an alert may be in out);
 * PST_NOMEM; PST_INVAL (called at the wrong time: data before the handshake is
 * done, a write after the shutdown). After PST_PEER and PST_NOMEM the session is
 * dead: every further call says PST_PEER and sends nothing.
 */
#ifndef PST_TLS_H
#define PST_TLS_H

#include <pst_base.h>
#include <pst_crypto.h>
#include <pst_ip.h>
#include <pst_span.h>

struct pst_tls_ctx;
struct pst_tls;
struct pst_tickets; /* pst_tickets.h */

#define PST_TLS_OUT_MIN   (64 * 1024) /* the longest flight we send in one call */
#define PST_TLS_WRITE_MAX (32 * 1024) /* plaintext bytes one pst_tls_write takes */

enum pst_tls_version { PST_TLS_1_0 = 0x0301, PST_TLS_1_1, PST_TLS_1_2, PST_TLS_1_3 };

enum pst_tls_side { PST_TLS_SERVER, PST_TLS_CLIENT };

enum pst_tls_verify {
	PST_TLS_VERIFY_OFF,         /* any certificate; the outcome is still recorded */
	PST_TLS_VERIFY_CHAIN,       /* must chain to a trust anchor */
	PST_TLS_VERIFY_NAME,        /* and match an expected name (RFC 9525: SAN only) */
	PST_TLS_VERIFY_FINGERPRINT, /* any chain; the certificate or its key has an expected digest
				     */
};

/* Which key exchanges a channel may use. ECDHE is the only forward-secret one; never FFDHE. */
enum pst_tls_pfs {
	PST_TLS_PFS_ALLOWED,  /* ECDHE first, static RSA too */
	PST_TLS_PFS_NONE,     /* static RSA alone, so at most TLS 1.2; a server needs an RSA key */
	PST_TLS_PFS_REQUIRED, /* TLS 1.3, and ECDHE in 1.2 */
};

/* Does a server ask its client for a certificate? */
enum pst_tls_client_cert {
	PST_TLS_CLIENT_CERT_OFF,
	PST_TLS_CLIENT_CERT_OPTIONAL, /* asked for; none is fine, a bad one ends the handshake */
	PST_TLS_CLIENT_CERT_REQUIRED
};

#define PST_TLS_MAX_CERTS 8

/* A profile as configured; strings and arrays belong to the caller. */
struct pst_tls_conf {
	enum pst_tls_side side;
	uint16_t min_version, max_version; /* pst_tls_version; 0: 1.2 and 1.3 */
	const char
		*ciphers; /* TLS 1.2 list, OpenSSL syntax; NULL: our default (ECDHE, AEAD first) */
	const char *ciphersuites; /* TLS 1.3; NULL: default */
	const char *groups;       /* NULL: "X25519:P-256:P-384" */
	unsigned ncerts;          /* server: RSA and ECDSA side by side, SNI selects */
	struct pst_cert *certs[PST_TLS_MAX_CERTS]; /* counted by the ctx from now on (up_ref) */
	unsigned tickets; /* server: session tickets to send, 0..2; 0 also turns resumption off */
	/* server: shared by all workers, outlives the ctx; NULL: OpenSSL's own, of each SSL_CTX */
	const struct pst_tickets *ticket_keys;
	uint32_t ticket_lifetime;             /* server: s; 0: an hour */
	enum pst_tls_pfs pfs;                 /* `ciphers` is filtered by it */
	enum pst_tls_verify verify;           /* client, unless a connection says otherwise */
	enum pst_tls_client_cert client_cert; /* server */
	/* PEM bundle. client: NULL is the system's. server: who may sign clients' certificates,
	 * needed unless client_cert is OFF */
	const char *ca_file;
	bool alpn_smtp; /* server: refuse ALPN without "smtp" when ALPN is sent */
	/* server: refuse server names that no certificate has; none is fine */
	bool strict_names;
	/* server: keeps resumption inside one profile; all of the above but the certificates does
	 * so anyway */
	const char *session_id_context;
};

/* Builds the SSL_CTX in c. NULL and a text that names file and cause on error. */
struct pst_tls_ctx *pst_tls_ctx_new(
	struct pst_crypto *c, const struct pst_tls_conf *conf, char *err, size_t errlen);
struct pst_tls_ctx *pst_tls_ctx_get(struct pst_tls_ctx *ctx); /* not atomic: worker's own */
void pst_tls_ctx_put(struct pst_tls_ctx *ctx);

struct pst_tls_io {
	const uint8_t *in;
	size_t in_len;
	const struct pst_span
		*more; /* wire bytes behind those of `in`, in nmore runs, none empty */
	unsigned nmore;
	size_t in_used; /* of all of them */
	uint8_t *out;
	size_t out_cap;
	size_t out_len;
};

/*
 * Client only: `name` is what the certificate must have (compared in every mode,
 * enforced by PST_TLS_VERIFY_NAME) and sent as SNI unless it is an address
 * literal; NULL: neither. A trailing dot is dropped.
 *
 * NULL: no memory, or a name that no certificate can have (empty, a leading dot,
 * over 255 bytes, anything but printable ASCII), or none under VERIFY_NAME.
 */
struct pst_tls *pst_tls_new(struct pst_tls_ctx *ctx, const char *name);

#define PST_TLS_NAMES_MAX 16
/* What one connection of ours demands of the server's certificate. */
struct pst_tls_expect {
	enum pst_tls_verify verify; /* instead of the context's */
	const char *servername;     /* SNI; NULL or an address literal: none is sent */
	unsigned nnames;            /* any one of them will do */
	struct {
		const char *name; /* host name or address literal */
		bool subdomains;  /* not name itself but any name below it */
	} names[PST_TLS_NAMES_MAX];
	unsigned nfingerprints; /* any one of them: SHA-256 of the certificate or of its public key
				 */
	const uint8_t (*fingerprints)[32];
};
/*
 * Client: like pst_tls_new, with all of that (copied). With verify OFF the names are still
 * compared and the outcome recorded. The session cache (below) tells expectations apart.
 *
 * NULL also for: NAME without a name, FINGERPRINT without a fingerprint, too many names, an
 * address with subdomains, a server name that cannot be one.
 */
struct pst_tls *pst_tls_new_expect(struct pst_tls_ctx *ctx, const struct pst_tls_expect *e);
/*
 * Sends nothing; any state is fine: a paused crypto operation is cancelled first. If another
 * thread is in the middle of it, the memory lives on until pst_lane_poll sees its end.
 */
void pst_tls_free(struct pst_tls *t);
/* Who is told when a paused handshake can go on: `user` of pst_lane_next_ready. */
void pst_tls_set_user(struct pst_tls *t, void *user);
/* Its handshake is paused: a call would only say PST_WANT_ASYNC. */
bool pst_tls_paused(const struct pst_tls *t);

enum pst_rc pst_tls_handshake(struct pst_tls *t, struct pst_tls_io *io);
/*
 * At most cap plaintext bytes, of one record; *n > 0 on PST_OK, so call again until
 * PST_AGAIN: then all of `in` is used up. Post-handshake messages are handled
 * inside; too many of them without data end the session (pst_tls_flood).
 */
enum pst_rc pst_tls_read(
	struct pst_tls *t, struct pst_tls_io *io, void *buf, size_t cap, size_t *n);
/*
 * All n (<= PST_TLS_WRITE_MAX) bytes, as few records as possible; out room >= n + PST_TLS_OUT_MIN.
 * With less room PST_AGAIN, and nothing is sent. With enough, PST_AGAIN is possible only while
 * the peer's own handshake message is incomplete: repeat with the same bytes.
 */
enum pst_rc pst_tls_write(struct pst_tls *t, struct pst_tls_io *io, const void *p, size_t n);
/* close_notify, once; before the handshake is done and after a failure nothing. Reading goes on. */
enum pst_rc pst_tls_shutdown(struct pst_tls *t, struct pst_tls_io *io);
/* Plaintext already decrypted and not yet read: call read again although no wire bytes came. */
bool pst_tls_pending(const struct pst_tls *t);

/*
 * Server, before the handshake: so many tickets (0..2) for this client instead of the profile's
 * number. With 0 a ticket that it brings is not taken either. PST_INVAL: too many, or too late.
 */
enum pst_rc pst_tls_set_tickets(struct pst_tls *t, unsigned n);
struct pst_tls_ticket_use { /* server, when the handshake is done */
	unsigned issued;
	bool resumed;
	bool old_key;     /* the client's ticket was under a key that no longer encrypts */
	bool unknown_key; /* or under one that we do not have; then it was not taken */
};
void pst_tls_ticket_use(const struct pst_tls *t, struct pst_tls_ticket_use *out);

/*
 * T9: what a peer may do that costs us and brings no mail is counted, and the session fails
 * (PST_PEER) when it was too much. The bounds are in docs/tls.md.
 */
enum pst_tls_flood {
	PST_TLS_FLOOD_NONE,
	PST_TLS_FLOOD_HELLO,         /* the first message of the handshake is too long */
	PST_TLS_FLOOD_HANDSHAKE,     /* too many octets, messages or records in the handshake */
	PST_TLS_FLOOD_RECORDS,       /* too little data in too many records */
	PST_TLS_FLOOD_IDLE,          /* too many records or messages without data */
	PST_TLS_FLOOD_KEY_UPDATE,    /* too many KeyUpdates */
	PST_TLS_FLOOD_RENEGOTIATION, /* too many attempts to renegotiate */
	PST_TLS_FLOOD_ALERTS,        /* too many warning alerts */
	PST_TLS_FLOODS
};
extern const char *const pst_tls_flood_names[PST_TLS_FLOODS]; /* "none", "hello", ... */
/* Why the session failed, if a flood is why. */
enum pst_tls_flood pst_tls_flood(const struct pst_tls *t);

struct pst_tls_info {
	const char *version;     /* "TLSv1.3" */
	const char *cipher;      /* OpenSSL name */
	const char *cipher_iana; /* IANA name, "TLS_AES_256_GCM_SHA384" */
	const char *group;       /* "x25519", "secp256r1", or "none" */
	int bits;                /* of the symmetric key */
	bool resumed;
	const char *server_name; /* server: SNI as sent, NULL if none; control bytes never */
	const char *verify;      /* client: "verified" (chain and name, or fingerprint), "trusted"
				    (chain), "untrusted", "anonymous" (no certificate). server: of the
				    client's: "trusted", "untrusted", or "none" (not sent) */
	long verify_error;       /* X509_V_ERR_*; 0 is fine */
	const char *verify_text; /* of verify_error */
};
/* Valid until the session is freed. Before the handshake is done: all "none". */
void pst_tls_info(const struct pst_tls *t, struct pst_tls_info *out);
/* Why it failed: one line, static until the next call; never NULL. */
const char *pst_tls_error(const struct pst_tls *t);

/*
 * Sessions to resume, per worker, for the client side: keyed by the whole
 * content of what makes two connections interchangeable (next hop, policy,
 * name); bounded, least recently used goes first. A TLS 1.3 ticket is used once.
 */
struct pst_tls_cache;
struct pst_tls_cache *pst_tls_cache_new(unsigned max);
void pst_tls_cache_free(struct pst_tls_cache *cache);
void pst_tls_cache_flush(struct pst_tls_cache *cache);
/*
 * Client, before the handshake: resume from and store into `cache` under `key` (copied). All of
 * the expectation and of the context's profile is part of the key anyway. A day after the full
 * handshake there is another. The cache outlives t.
 */
void pst_tls_use_cache(struct pst_tls *t, struct pst_tls_cache *cache, struct pst_span key);

#endif
