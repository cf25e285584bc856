/* SPDX-License-Identifier: BSD-3-Clause */
/* Keys, certificates and PEM files made while a test runs. Every failure aborts the test. */
#ifndef PST_TEST_PKI_H
#define PST_TEST_PKI_H

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdbool.h>

/* "rsa1024", "rsa2048", "p256", "p384", "p521", "ed25519" */
EVP_PKEY *pki_key(const char *kind);

struct pki_spec {
	const char *cn;
	size_t cn_len;   /* 0: up to its NUL */
	const char *san; /* "DNS:a.example,IP:192.0.2.1"; NULL: none */
	/* instead of san: one dNSName of any bytes, since no text has a NUL */
	const char *dns;
	size_t dns_len;
	const char *eku; /* "serverAuth"; NULL: none */
	EVP_PKEY *key;
	X509 *issuer; /* NULL: self-signed */
	EVP_PKEY *issuer_key;
	bool ca;
	const char *basic;       /* basicConstraints; NULL: by ca */
	const char *constraints; /* "permitted;DNS:example.com"; NULL: none */
	int from_days, to_days;  /* from now; both 0: yesterday to 30 days */
};
X509 *pki_cert(const struct pki_spec *spec);

struct pki_file {
	const char *path;
	int mode; /* 0: 0600 */
	X509 *certs[8];
	EVP_PKEY *key;
	const char *password; /* of the key */
};
void pki_write(const struct pki_file *f);

/* A fresh directory, removed with its files when the process exits. */
const char *pki_dir(void);
/* dir/name in one of eight static buffers. */
const char *pki_path(const char *name);

#endif
