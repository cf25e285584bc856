/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Typed operations by OpenSSL's public functions, for back-ends that are a CPU.
 *
 * Each thread that runs them has a library context of its own (two threads on one contend)
 * and every key once in each context. Contexts are never freed but handed on to the next
 * back-end: OpenSSL keeps random generators per thread and context, and a thread of ours or of
 * somebody else that ends later would reach into a context that is gone.
 */
#ifndef SOFT_H
#define SOFT_H

#include "cryptodrv_impl.h"
#include <openssl/types.h>

struct soft;
struct soft_key; /* what these back-ends keep in pst_op_key.priv */

/* Main or control thread, as open and close. NULL: OpenSSL has no default provider. */
struct soft *soft_get(void);
void soft_put(struct soft *s); /* NULL is fine */
OSSL_LIB_CTX *soft_libctx(struct soft *s);

/* What a CPU can do: every CALL, RSA up to 4096 bits, ECDSA on P-256 and P-384. */
bool soft_can(enum pst_op_form form, enum pst_op_group group, unsigned bits);
/* The key in each of n contexts; NULL: OpenSSL refuses it. */
struct soft_key *soft_key_new(const struct pst_op_key *key, struct soft *const *s, unsigned n);
void soft_key_free(struct soft_key *k);
/*
 * Runs an operation, a CALL too, on the one thread that uses context i; the key is the one that
 * the back-end of that index made. False: it failed or was cancelled before. Leaves no error in
 * the thread's queue.
 */
bool soft_run(struct pst_op *op, unsigned index, unsigned i);

#endif
