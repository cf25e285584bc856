/* SPDX-License-Identifier: BSD-3-Clause */
/* What the engine's files share: provider, waiting, lanes, keys. */
#ifndef PST_ENGINE_INT_H
#define PST_ENGINE_INT_H

#include "crypto_int.h"
#include <pst_engine.h>
#include <openssl/bn.h>
#include <openssl/core_dispatch.h>
#include <pthread.h>

/* ---- asking (wait.c) ---- */

/* An operation as the provider meets it, in the middle of somebody's handshake. */
struct pst_ask {
	enum pst_op_kind kind;
	enum pst_op_group group;
	unsigned bits;          /* of an RSA modulus; 0: not RSA */
	int (*call)(void *arg); /* what the default provider would do; 1 is success */
	uint8_t *(*product)(void *arg, size_t *n); /* of a call that succeeded; may be NULL */
	void *arg;
	/* The typed form; key NULL: there is none. */
	enum pst_op_form form;
	struct pst_op_key *key;
	bool (*fill)(void *arg, struct pst_op *op);       /* in and in_len; false: not this one */
	bool (*take)(void *arg, const struct pst_op *op); /* the result; false: it is wrong */
};
/* Inline or by a back-end, pausing the handshake; call's answer, 0 when it was cancelled. */
int pst_ask_run(const struct pst_ask *a);

/* ---- the provider (provider.c, prov_sign.c, prov_kex.c, prov_kdf.c) ---- */

#define PST_PROVIDER "postern"

/* Registers it in c->lib; c->inner has the default provider already. */
bool pst_provider_load(struct pst_crypto *c);
/* Before c->inner_default goes. */
void pst_provider_forget(struct pst_crypto *c);

/*
 * Each takes the default provider's implementation and returns ours that stands before it; NULL:
 * this one stays as it is. The memory is static: the tables are the same in every context.
 */
const OSSL_DISPATCH *pst_prov_signature(const char *names, const OSSL_DISPATCH *in);
const OSSL_DISPATCH *pst_prov_keyexch(const char *names, const OSSL_DISPATCH *in);
const OSSL_DISPATCH *pst_prov_keymgmt(const char *names, const OSSL_DISPATCH *in);
const OSSL_DISPATCH *pst_prov_asym_cipher(const char *names, const OSSL_DISPATCH *in);
const OSSL_DISPATCH *pst_prov_kdf(const char *names, const OSSL_DISPATCH *in);
const OSSL_DISPATCH *pst_prov_rand(const char *names, const OSSL_DISPATCH *in);

/* Is `name` one of the colon-separated names? */
bool pst_prov_named(const char *names, const char *name);
/* The function of that number in a dispatch table; NULL. */
void (*pst_prov_fn(const OSSL_DISPATCH *d, int id))(void);

/* ---- padding and signature encodings (pad.c) ---- */

/* RFC 8017 9.1.1, salt as long as the digest; em is (bits - 1 + 7) / 8 bytes. */
bool pst_pad_pss(
	OSSL_LIB_CTX *lib, const EVP_MD *md, const uint8_t *digest, unsigned bits, uint8_t *em);
/* RFC 8017 9.2; false: no DigestInfo known for it, or no room. */
bool pst_pad_pkcs1(const EVP_MD *md, const uint8_t *digest, size_t len, uint8_t *em);
/* r and s of n bytes each as a DER ECDSA-Sig-Value; 0: does not fit or not a signature. */
size_t pst_pad_ecdsa_der(const uint8_t *rs, size_t n, uint8_t *der, size_t cap);

/* ---- private keys that back-ends may have (keys.c) ---- */

/*
 * A private key of one crypto context, as the provider sees it (keydata) and as numbers.
 * Control thread makes and frees; the worker looks up. It lives while a TLS context has it.
 */
struct pst_crypto_key {
	_Atomic unsigned refs;
	struct pst_crypto *crypto;
	EVP_PKEY *pkey; /* keeps keydata where it is */
	void *keydata;
	struct pst_engine_key *shared;
};
/* The numbers, once for all workers. */
struct pst_engine_key {
	TAILQ_ENTRY(pst_engine_key) link;
	unsigned refs;
	_Atomic unsigned out; /* operations that back-ends have with it, those in quarantine too */
	struct pst_op_key op;
	BIGNUM *n, *e; /* RSA: to verify what a back-end made */
	BN_MONT_CTX *mont;
};

/* NULL: not one that was registered. The worker's thread. */
struct pst_crypto_key *pst_key_find(const void *keydata);
/* Does out^e mod n give back in? Both as long as the modulus. */
bool pst_key_rsa_check(const struct pst_engine_key *k, const uint8_t *in, const uint8_t *out);
/* An operation takes the key to a back-end, and is back. The lane's thread. */
void pst_key_out(struct pst_op_key *k);
void pst_key_back(struct pst_op_key *k);
/* What is left when the back-ends are closed. */
void pst_keys_free(struct pst_engine *e);
/* prov_sign.c: while it is set, digest_sign_init leaves the key's address there. */
extern _Thread_local void **pst_prov_seen_key;

/* ---- engine and lanes (engine.c, lane.c) ---- */

struct backend {
	struct pst_engine_backend conf;
	struct pst_backend *b;
};

struct pst_engine {
	struct pst_engine_conf conf;
	unsigned nbackends;
	struct backend backends[PST_ENGINE_BACKENDS];
	struct pst_lane **lanes;
	pthread_mutex_t lock;     /* tuning and keys; lanes only try it */
	_Atomic unsigned version; /* of tuning */
	struct pst_engine_tuning tuning;
	TAILQ_HEAD(key_list, pst_engine_key) keys;
	struct key_list dead; /* nobody's any more, but a back-end may still work with it */
};

TAILQ_HEAD(op_list, pst_op);
TAILQ_HEAD(waiter_list, pst_waiter);

/* One back-end as a lane sees it. */
struct lane_backend {
	struct op_list pending; /* not yet taken by it */
	struct op_list out;     /* taken, oldest first */
	unsigned npending, nout, nquarantined;
	unsigned failures; /* in a row */
	bool open;         /* the breaker */
	bool probing;
	uint64_t probe_ns;
	uint64_t completed, failed, timeouts;
};

enum waiter_at { WAITER_NOWHERE, WAITER_READY, WAITER_JOB };
enum waiter_news {
	NEWS_NONE,
	NEWS_DONE, /* result is in op, which is the waiter's again */
	NEWS_LOST, /* too late: op is nobody's business any more */
	NEWS_GONE, /* the connection is: the same */
};

struct pst_lane {
	struct pst_engine *e;
	unsigned index;
	unsigned version; /* of the tuning copied */
	struct pst_engine_tuning t;
	bool async; /* some route leads out of the thread */
	struct pst_op *ops;
	struct op_list free;
	struct op_list running; /* late, but a thread is in the middle of them */
	unsigned nfree, nquarantined, norphans;
	unsigned jobs_in_use, jobs_waiting;
	struct waiter_list ready, want_job;
	struct pst_waiter *current;
	uint64_t now;
	_Atomic bool sleeping;
	struct named_lane *named; /* named.c; NULL: nobody is */
	struct lane_backend b[PST_ENGINE_BACKENDS];
	struct pst_lane_counters c;
	uint64_t kinds[PST_OP_KINDS], offloaded[PST_OP_KINDS], wait_us_sum[PST_OP_KINDS];
};

/* The calling thread's; NULL: it is no worker. */
extern _Thread_local struct pst_lane *pst_lane_here;

/* From any thread: its worker may be asleep. arg is the engine. */
void pst_engine_wake(void *arg, unsigned lane);

struct pst_lane *pst_lane_new(struct pst_engine *e, unsigned index);
void pst_lane_free(struct pst_lane *l);

/* Which back-end, in which form: -1 is inline. */
int pst_lane_route(struct pst_lane *l, const struct pst_ask *a, enum pst_op_form *form);
/* NULL: the pool is empty. */
struct pst_op *pst_lane_op(struct pst_lane *l);
void pst_lane_queue(struct pst_lane *l, int backend, struct pst_op *op);
/* Back into the pool, wiped. */
void pst_lane_op_free(struct pst_lane *l, struct pst_op *op);
/* Behind a TLS call: the thread is on its own stack again (stack.c). */
void pst_waiter_own_stack(void);
/* Onto the ready list, from wherever it is. */
void pst_waiter_ready(struct pst_lane *l, struct pst_waiter *w);
/* The verdict on a typed result. One that did not verify counts against the back-end. */
void pst_lane_good_result(struct pst_lane *l, unsigned backend);
void pst_lane_bad_result(struct pst_lane *l, unsigned backend);

/* ---- somebody else's pauses (named.c) ---- */

bool pst_named_lane_new(struct pst_lane *l, const struct pst_named *named);
bool pst_named_lane_free(struct pst_lane *l); /* false: l, and its memory, must stay */
bool pst_named_poll(struct pst_lane *l);
/* w is paused and its owner gone: w->bury is called when the answer came. */
void pst_named_orphan(struct pst_lane *l, struct pst_waiter *w);
unsigned pst_named_orphans(const struct pst_lane *l);

#endif
