/* SPDX-License-Identifier: BSD-3-Clause */
/* Back-ends, keys as numbers, operations, and OpenSSL's own answer to compare with. */
#ifndef KIT_H
#define KIT_H

#include <pst_cryptodrv.h>
#include <criterion/criterion.h>
#include <openssl/evp.h>
#include <stdatomic.h>

#define KIT_LANES 4
#define KIT_DEPTH 128

/* A back-end, and the one that it wraps. */
struct rig {
	const struct pst_cryptodrv *drv;
	struct pst_backend *b;
	struct pst_cryptodrv_conf conf;
	struct rig *inner;
	char *opts; /* what conf.opts points into */
	_Atomic unsigned wakes[KIT_LANES];
};

/* EAL with two lcores beside the main one, and the devices of the tests. Use as .init. */
void kit_eal(void);

/* "sync", "lcore", "fault around lcore", ...; opts "seed=7 error=100" or NULL. */
struct rig *rig_open(const char *what, unsigned depth, bool adaptive, const char *opts);
void rig_close(struct rig *r);
const struct pst_cryptodrv *rig_driver(const char *name);

/* A key, and its numbers in every back-end of the rig. */
struct key {
	EVP_PKEY *pkey;
	struct pst_op_key nums;
};
struct key *key_new(const char *kind); /* "rsa2048", ..., "p256", "p384" */
void key_free(struct key *k);
bool key_add(struct rig *r, struct key *k);
void key_del(struct rig *r, struct key *k);

/* Operations as the engine makes them: queued, with a generation. */
struct pst_op *op_new(struct key *k, const void *in, size_t n);
struct pst_op *op_call(int (*call)(void *), void *arg);
void op_free(struct pst_op *op);
/* A value below the modulus, with `zeros` zero bytes in front. */
void random_below(const struct key *k, unsigned zeros, uint8_t *out);
/* An input whose result is `m`: m^e mod n. */
void input_for(const struct key *k, const uint8_t *m, uint8_t *in);

/* What the outcome of a typed operation must be, worked out otherwise. */
bool is_right(const struct key *k, const struct pst_op *op);

/* Gives all, gathers all; ok[i] is the outcome of ops[i]. Each comes back once. */
void run_all(struct rig *r, unsigned lane, struct pst_op **ops, unsigned n, bool *ok);
/* Submits until all are taken. */
void submit_all(struct rig *r, unsigned lane, struct pst_op **ops, unsigned n);

#endif
