/* SPDX-License-Identifier: BSD-3-Clause */
/* Shared by the tables of drivers/crypto. */
#ifndef CRYPTODRV_IMPL_H
#define CRYPTODRV_IMPL_H

#include <pst_cryptodrv.h>

extern const struct pst_cryptodrv cryptodrv_sync, cryptodrv_lcore, cryptodrv_cryptodev,
	cryptodrv_fault;

#define CACHE_LINE 64

/* Zeroed, aligned to a cache line, freed by free(). NULL: no memory. */
void *cryptodrv_zalloc(size_t bytes);
/* "back-end NAME: ..." into err; PST_INVAL. */
enum pst_rc cryptodrv_invalid(const struct pst_cryptodrv_conf *conf, char *err, size_t errlen,
	const char *fmt, ...) PST_PRINTF(4, 5);

/* ---- options ---- */

/* All options are among `known` (NULL ends it) and given once; "around" is the engine's. */
enum pst_rc cryptodrv_check_opts(
	const struct pst_cryptodrv_conf *conf, const char *const *known, char *err, size_t errlen);
const char *cryptodrv_opt(const struct pst_cryptodrv_conf *conf, const char *key); /* or NULL */
/* A decimal number of min to max; *out stays if the option is not given. */
enum pst_rc cryptodrv_opt_number(const struct pst_cryptodrv_conf *conf, const char *key,
	uint64_t min, uint64_t max, uint64_t *out, char *err, size_t errlen);

/* ---- lengths ---- */

/* Bytes of the order of a curve that ECDSA_SIGN knows; 0: it knows none such. */
unsigned cryptodrv_order_bytes(enum pst_op_group group);
/* The key is of the operation's form and size, and `in` as long as the form wants it. */
bool cryptodrv_op_fits(const struct pst_op *op);

#endif
