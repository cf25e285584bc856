/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Keys and self-signed certificates for one run, in a directory of its own under /tmp that
 * is removed when the process exits.
 */
#ifndef PKI_H
#define PKI_H

#include <pst_base.h>

#define PKI_PATH 96

/*
 * Makes a key ("p256", "p384", "rsa2048", "rsa3072", "rsa4096") and a certificate for `host`,
 * in one PEM file whose name goes into path. PST_INVAL and a text.
 */
enum pst_rc pki_make(
	const char *kind, const char *host, char path[PKI_PATH], char *err, size_t errlen);

#endif
