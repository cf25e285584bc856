/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Trust anchors, loaded once per worker and file. A system's bundle is about 140
 * certificates, 1 MiB and tens of milliseconds; many next hops name the same one,
 * so their contexts share the store.
 *
 * A file that changed on disk (inode, size or time) is loaded anew for whoever
 * asks next; those who hold the old store keep it. The whole file is in memory:
 * OpenSSL's hashed directories would make a worker open files during a handshake.
 */
#include "crypto_int.h"
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct pst_trust {
	char *file;
	struct stat st;
	X509_STORE *store;
};

static void
trust_free(struct pst_trust *t)
{
	if (t == NULL)
		return;
	X509_STORE_free(t->store);
	free(t->file);
	free(t);
}

void
pst_trust_free_all(struct pst_crypto *c)
{
	for (unsigned i = 0; i < PST_TRUST_MAX; i++)
		trust_free(c->trust[i]);
}

static const char *
system_bundle(void)
{
	static const char *const known[] = {
		"/etc/ssl/certs/ca-certificates.crt", /* Debian, Alpine, Arch */
		"/etc/pki/tls/certs/ca-bundle.crt",   /* Fedora, RHEL */
		"/etc/ssl/ca-bundle.pem",             /* SUSE */
	};

	for (unsigned i = 0; i < PST_COUNT(known); i++)
		if (access(known[i], R_OK) == 0)
			return known[i];
	return NULL;
}

static bool
unchanged(const struct pst_trust *t, const struct stat *st)
{
	return t->st.st_dev == st->st_dev && t->st.st_ino == st->st_ino &&
	       t->st.st_size == st->st_size && t->st.st_mtim.tv_sec == st->st_mtim.tv_sec &&
	       t->st.st_mtim.tv_nsec == st->st_mtim.tv_nsec;
}

/* Puts the entry at index i in front. */
static void
touch(struct pst_crypto *c, unsigned i)
{
	struct pst_trust *t = c->trust[i];

	memmove(&c->trust[1], &c->trust[0], i * sizeof(c->trust[0]));
	c->trust[0] = t;
}

static X509_STORE *
find(struct pst_crypto *c, const char *file)
{
	struct stat st;

	if (stat(file, &st) != 0)
		return NULL;
	for (unsigned i = 0; i < PST_TRUST_MAX && c->trust[i] != NULL; i++)
		if (strcmp(c->trust[i]->file, file) == 0 && unchanged(c->trust[i], &st)) {
			touch(c, i);
			return c->trust[0]->store;
		}
	return NULL;
}

/* Adds every certificate of the bundle; returns how many, -1 on a damaged one. */
static int
add_all(struct pst_crypto *c, X509_STORE *store, const struct pst_pem *f)
{
	BIO *b = BIO_new_mem_buf(f->p, (int)f->n);
	bool bad = b == NULL;
	unsigned long e;
	int n = 0;

	while (!bad) {
		X509 *x = X509_new_ex(c->lib, NULL);

		if (x == NULL || PEM_read_bio_X509(b, &x, NULL, NULL) == NULL) {
			X509_free(x);
			break;
		}
		bad = X509_STORE_add_cert(store, x) != 1;
		X509_free(x);
		n += !bad;
	}
	e = ERR_peek_last_error();
	if (ERR_GET_LIB(e) != ERR_LIB_PEM || ERR_GET_REASON(e) != PEM_R_NO_START_LINE)
		bad = true;
	BIO_free(b);
	return bad ? -1 : n;
}

static struct pst_trust *
load(struct pst_crypto *c, const char *file, char *err, size_t errlen)
{
	struct pst_trust *t = calloc(1, sizeof(*t));
	struct pst_pem f;
	char why[200];
	int n;

	if (pst_pem_open(&f, file, err, errlen) != PST_OK) {
		trust_free(t);
		return NULL;
	}
	if (t == NULL || (t->file = strdup(file)) == NULL ||
		(t->store = X509_STORE_new()) == NULL) {
		snprintf(err, errlen, "%s: out of memory", file);
		n = -2;
	} else {
		t->st = f.st;
		n = add_all(c, t->store, &f);
	}
	if (n == -1) {
		pst_crypto_errors(why, sizeof(why));
		snprintf(err, errlen, "%s: damaged certificate: %s", file, why);
	} else if (n == 0) {
		snprintf(err, errlen, "%s: no PEM certificate in it", file);
	}
	pst_pem_close(&f);
	ERR_clear_error();
	if (n > 0)
		return t;
	trust_free(t);
	return NULL;
}

X509_STORE *
pst_crypto_trust(struct pst_crypto *c, const char *file, char *err, size_t errlen)
{
	X509_STORE *store;
	struct pst_trust *t;

	ERR_clear_error();
	if (file == NULL && (file = system_bundle()) == NULL) {
		snprintf(err, errlen, "no CA bundle on this system; install ca-certificates");
		return NULL;
	}
	store = find(c, file);
	if (store == NULL) {
		t = load(c, file, err, errlen);
		if (t == NULL)
			return NULL;
		trust_free(c->trust[PST_TRUST_MAX - 1]);
		c->trust[PST_TRUST_MAX - 1] = t;
		touch(c, PST_TRUST_MAX - 1);
		store = t->store;
	}
	X509_STORE_up_ref(store);
	return store;
}
