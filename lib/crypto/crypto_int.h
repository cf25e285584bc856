/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of lib/crypto share. */
#ifndef PST_CRYPTO_INT_H
#define PST_CRYPTO_INT_H

#include <pst_crypto.h>
#include <openssl/provider.h>
#include <openssl/x509.h>
#include <sys/stat.h>

struct pst_trust; /* trust.c */

#define PST_TRUST_MAX 16

struct pst_crypto {
	OSSL_LIB_CTX *lib;
	OSSL_PROVIDER *provider; /* ours: provider.c */
	/* Where the default provider is, to which ours delegates. */
	OSSL_LIB_CTX *inner;
	OSSL_PROVIDER *inner_default;
	struct pst_engine *engine;              /* NULL: no back-ends */
	struct pst_trust *trust[PST_TRUST_MAX]; /* most recently used first */
};

void pst_trust_free_all(struct pst_crypto *c);

/* A whole regular file in memory; wiped by pst_pem_close. */
struct pst_pem {
	const char *file;
	uint8_t *p;
	size_t n;
	struct stat st;
};

#define PST_PEM_MAX (4u << 20) /* a system's CA bundle is 0.2 MiB */

/* On error PST_INVAL, a text that names the file, and nothing to close. */
enum pst_rc pst_pem_open(struct pst_pem *f, const char *file, char *err, size_t errlen);
void pst_pem_close(struct pst_pem *f);

/*
 * memory.c: OpenSSL's allocator, as malloc, realloc (of 0 bytes: free) and free. Any thread;
 * a block may be freed by another than made it.
 */
void *pst_mem_alloc(size_t n);
void *pst_mem_realloc(void *p, size_t n);
void pst_mem_free(void *p);
#define PST_MEM_CACHED_MAX (1u << 20) /* bytes that a thread keeps of what it freed */

#endif
