/* SPDX-License-Identifier: BSD-3-Clause */
/* Shared by the two files of the back-end `cryptodev`: the device and its keys; its operations. */
#ifndef CRYPTODEV_H
#define CRYPTODEV_H

#include "soft.h"
#include <openssl/bn.h>
#include <rte_cryptodev.h>

#define EC_BYTES 48

/* Behind each device operation. */
struct slot {
	struct pst_op *op;
	uint32_t gen;
	uint8_t in[PST_OP_BYTES], out[PST_OP_BYTES];
	uint8_t secret[EC_BYTES], nonce[EC_BYTES];
};

struct lane {
	_Alignas(CACHE_LINE) struct rte_mempool *pool;
	struct rte_crypto_op **spare; /* a stack */
	unsigned nspare;
	struct pst_op_done *refused; /* never went to the device; waits to be reaped */
	unsigned nrefused;
	struct soft *soft; /* random numbers */
	BN_CTX *bn;
	BIGNUM *k;
	uint64_t ops, failed;
	unsigned out;
};

struct pst_backend {
	struct pst_cryptodrv_conf conf;
	uint8_t dev;
	bool started;
	unsigned room; /* operations of one lane */
	uint64_t features;
	enum rte_crypto_asym_op_type rsa_op;
	BIGNUM *order[2]; /* of P-256 and P-384 */
	struct rte_mempool *sessions;
	struct lane *lanes;
};

/* What pst_op_key.priv is here. */
struct dev_key {
	unsigned n;
	void *session[]; /* by lane */
};

unsigned cryptodev_submit(struct pst_backend *b, unsigned lane, struct pst_op **ops, unsigned n);
unsigned cryptodev_reap(struct pst_backend *b, unsigned lane, struct pst_op_done *done, unsigned n);
/* Bytes behind a device operation that are ours. */
#define CRYPTODEV_SLOT sizeof(struct slot)

#endif
