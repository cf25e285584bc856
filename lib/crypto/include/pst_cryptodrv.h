/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a back-end for private-key and key-exchange operations must be able to do:
 * the ops that drivers/crypto implements. lib/crypto owns the operations and decides
 * which back-end gets which; nothing in lib/ names a driver, the application hands
 * the table over.
 *
 * An operation is one of two forms. A CALL is an opaque function of OpenSSL's default
 * provider: whoever has a CPU can run it (pst_op_run), nobody else. A typed one has
 * its numbers in `in`, its key as numbers and its result in `out`: a device can run it.
 *
 * Threads: open, close, key_add, key_del on the main or the control thread, never two at a
 * time. submit, flush and reap for lane L only on the thread that owns lane L; different
 * lanes at the same time. None of them may block. A back-end must give back every operation
 * it took, once, even one that was cancelled meanwhile: until then it may write to `out`.
 */
#ifndef PST_CRYPTODRV_H
#define PST_CRYPTODRV_H

#include <pst_base.h>
#include <stdatomic.h>
#include <sys/queue.h>

/* What the operation is for: the key of the routes in the configuration, and of the counters. */
enum pst_op_kind {
	PST_OP_RSA_SIGN,
	PST_OP_RSA_DECRYPT, /* static RSA key exchange, TLS 1.2 without forward secrecy */
	PST_OP_ECDSA_SIGN,
	PST_OP_EDDSA_SIGN,
	PST_OP_VERIFY, /* a signature of the peer's, client leg: public keys only */
	PST_OP_KEYGEN, /* an ephemeral key pair */
	PST_OP_DERIVE, /* ECDH */
	PST_OP_KINDS
};
extern const char *const pst_op_kind_names[PST_OP_KINDS]; /* "rsa_sign", ... */

enum pst_op_form {
	PST_FORM_CALL,
	PST_FORM_RSA_PRIV,   /* out = in^d mod n, both as long as the modulus, already padded */
	PST_FORM_ECDSA_SIGN, /* in: digest, cut to the order's length; out: r, s, as long as it each
			      */
};

enum pst_op_group { PST_GROUP_NONE, PST_GROUP_P256, PST_GROUP_P384, PST_GROUP_X25519 };

#define PST_OP_BYTES 512 /* RSA-4096 */

/* A private key as big-endian numbers; wiped when it is freed. Lengths in bytes. */
struct pst_op_number {
	uint16_t len;
	uint8_t b[PST_OP_BYTES];
};

struct pst_op_key {
	enum pst_op_form form; /* RSA_PRIV or ECDSA_SIGN */
	enum pst_op_group group;
	uint16_t bits; /* of the RSA modulus or the curve's order */
	/* RSA: n, e, d and, unless p.len is 0, the CRT numbers. Two primes only. */
	struct pst_op_number n, e, d, p, q, dp, dq, qinv;
	/* EC: d is the scalar; the public point, uncompressed without its 0x04 */
	struct pst_op_number x, y;
	void *priv[8]; /* of each back-end, by its index; NULL: it does not have the key */
};

/* Owner: who may touch the rest. */
enum pst_op_state {
	PST_OP_FREE,
	PST_OP_QUEUED,   /* given to a back-end, or about to be */
	PST_OP_RUNNING,  /* a CALL that pst_op_run has begun: nobody can take it back */
	PST_OP_CANCELLED /* nobody waits for it any more; the back-end still has it */
};

struct pst_op {
	/* The back-end's, from submit to reap, to read. */
	uint8_t kind, form, group;
	uint16_t bits;
	uint32_t gen; /* of this use of the struct */
	_Atomic uint32_t state;
	uint64_t deadline_ns;   /* pst_now_ns */
	struct pst_op_key *key; /* typed forms; outlives the operation */
	int (*call)(void *arg); /* CALL: 1 is success; never run it but by pst_op_run */
	void *arg;
	/* What a CALL produced, for who checks or spoils it: valid after a success. NULL: nothing
	 */
	uint8_t *(*product)(void *arg, size_t *n);
	uint16_t in_len;
	uint8_t in[PST_OP_BYTES];
	/* The back-end's to write. */
	uint16_t out_len;
	uint8_t out[PST_OP_BYTES];
	unsigned long error; /* OpenSSL's first error code, if it failed in OpenSSL; else 0 */
	void *priv;          /* the back-end's while it has the operation; a wrapper has none */
	/* lib/crypto's. */
	TAILQ_ENTRY(pst_op) link;
	struct pst_waiter *waiter;
	uint64_t submitted_ns;
	unsigned lane;
	uint8_t backend;
	int8_t result; /* 1 done, 0 failed, -1 still out */
};

/* As reap returns it. gen is the operation's when it was submitted. */
struct pst_op_done {
	struct pst_op *op;
	uint32_t gen;
	bool ok;
};

/*
 * Runs a CALL on this thread, any thread; its errors leave the thread's queue and go into
 * op->error. False: it was cancelled before, and nothing was run. *ok: its success.
 */
bool pst_op_run(struct pst_op *op, bool *ok);

#define PST_CRYPTODRV_OPTS 16

struct pst_cryptodrv_opt {
	const char *key, *value;
};

struct pst_backend; /* each driver's own */
struct pst_cryptodrv;

/* A back-end as the operator configured it. Strings belong to the caller, and live as long as it.
 */
struct pst_cryptodrv_conf {
	const char *name; /* the operator's */
	unsigned index;   /* among all back-ends: of pst_op_key.priv */
	unsigned nlanes;  /* workers */
	unsigned depth;   /* operations that one lane has out at most: 1 to 65536 */
	unsigned nlcores; /* EAL lcores that are this back-end's, already started as such */
	const unsigned *lcores;
	unsigned nopts;
	struct pst_cryptodrv_opt opts[PST_CRYPTODRV_OPTS];
	/*
	 * The back-end that option "around" names (fault), already open; else NULL. It is the
	 * wrapper's alone from then on: no lane submits to it or reaps it.
	 */
	const struct pst_cryptodrv *inner_drv;
	struct pst_backend *inner;
};

/* What a back-end may ask of its surroundings. */
struct pst_cryptodrv_env {
	void *arg;
	/*
	 * Operations of this lane can be reaped: wakes its thread if that sleeps. Any thread;
	 * cheap if it is awake. For back-ends whose work is done by other threads.
	 */
	void (*wake)(void *arg, unsigned lane);
	bool adaptive_idle; /* threads of the back-end may sleep when there is nothing to do */
};

/* Plain words, read a moment late by other threads. */
struct pst_cryptodrv_stats {
	uint64_t ops, failed; /* completed by it, and how many of them with a failure */
	uint64_t busy_cycles; /* TSC, of threads of its own; 0: it has none */
	uint64_t cpu_ns;      /* the same as the kernel counted it */
	uint64_t injected;    /* fault */
	unsigned out;         /* operations it has now */
};

struct pst_cryptodrv {
	const char *name;    /* "lcore" */
	const char *options; /* for messages: "device, queues"; "" if there are none */
	bool inline_;        /* runs within submit: no reason to pause for it */
	bool needs_lcores;
	bool wraps; /* another back-end, which has to be given; others take none */
	/* Calls env->wake for what completes: a lane may sleep while operations are out. Else it
	 * has to go on polling. */
	bool wakes;
	/* Judges the options without touching the system. PST_INVAL and a text. */
	enum pst_rc (*check)(const struct pst_cryptodrv_conf *conf, char *err, size_t errlen);
	/* One EAL argument pair ("--vdev", "crypto_openssl0,..."); may be NULL. PST_AGAIN: none
	 * needed. */
	enum pst_rc (*eal_args)(
		const struct pst_cryptodrv_conf *conf, char flag[16], char *arg, size_t len);
	struct pst_backend *(*open)(const struct pst_cryptodrv_conf *conf,
		const struct pst_cryptodrv_env *env, char *err, size_t errlen);
	bool (*can)(const struct pst_backend *b, enum pst_op_kind kind, enum pst_op_form form,
		enum pst_op_group group, unsigned bits);
	/* Makes key->priv[index]; true at once if that is made. False is no fault: the key's
	 * operations go elsewhere. May be NULL, and so may key_del. Not while an operation with
	 * the key is out. */
	bool (*key_add)(struct pst_backend *b, struct pst_op_key *key);
	void (*key_del)(struct pst_backend *b, struct pst_op_key *key);
	/* Takes the first so many of n; fewer is back-pressure, no error. */
	unsigned (*submit)(struct pst_backend *b, unsigned lane, struct pst_op **ops, unsigned n);
	/* After the last submit of a round: what was gathered may go. May be NULL. */
	void (*flush)(struct pst_backend *b, unsigned lane);
	unsigned (*reap)(
		struct pst_backend *b, unsigned lane, struct pst_op_done *done, unsigned n);
	void (*stats)(const struct pst_backend *b, struct pst_cryptodrv_stats *out);
	/*
	 * No lane submits any more. Operations still inside are lost to their lanes: not touched
	 * again. Threads of the back-end have ended when it returns, and what OpenSSL kept for
	 * them is gone; so call it before the library contexts of CALLs are freed.
	 */
	void (*close)(struct pst_backend *b);
};

/* The table of drivers/crypto; NULL-terminated. Defined there, used by the application. */
extern const struct pst_cryptodrv *const pst_cryptodrvs[];

#endif
