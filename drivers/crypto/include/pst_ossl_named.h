/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An OpenSSL engine or provider by name, for pst_named.h. Not one of pst_cryptodrvs: it is
 * no back-end under our provider, it replaces it.
 *
 * One in a process, opened on the main thread before any certificate is loaded, and closed
 * after the last TLS context. It changes OpenSSL's defaults for the whole process.
 */
#ifndef PST_OSSL_NAMED_H
#define PST_OSSL_NAMED_H

#include <pst_cryptodrv.h>
#include <pst_named.h>

/* Strings belong to the caller; they are needed only in the call. */
struct pst_ossl_named_conf {
	const char *engine, *provider; /* one of them */
	const char *path;              /* its shared object; NULL: where OpenSSL looks */
	unsigned nsettings; /* control commands of the engine, parameters of the provider */
	struct pst_cryptodrv_opt settings[PST_CRYPTODRV_OPTS];
};

struct pst_ossl_named;

/* Judges without touching OpenSSL: engines may be unknown to it. PST_INVAL and a text. */
enum pst_rc pst_ossl_named_check(const struct pst_ossl_named_conf *conf, char *err, size_t errlen);
/* NULL and a text that names it, and what OpenSSL or it said. */
struct pst_ossl_named *pst_ossl_named_open(
	const struct pst_ossl_named_conf *conf, char *err, size_t errlen);
/* Valid until close. */
const struct pst_named *pst_ossl_named_get(const struct pst_ossl_named *n);
void pst_ossl_named_close(struct pst_ossl_named *n); /* NULL is fine */

#endif
