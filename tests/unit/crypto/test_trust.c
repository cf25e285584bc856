/* SPDX-License-Identifier: BSD-3-Clause */
#include <criterion/criterion.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <pst_crypto.h>
#include "pki.h"

static X509 *
ca(const char *cn)
{
	EVP_PKEY *k = pki_key("p256");
	X509 *x = pki_cert(&(struct pki_spec){.cn = cn, .key = k, .ca = true});

	EVP_PKEY_free(k);
	return x;
}

static int
anchors(X509_STORE *s)
{
	return sk_X509_OBJECT_num(X509_STORE_get0_objects(s));
}

Test(trust, a_bundle_is_loaded_once_and_anew_when_it_changes)
{
	char err[256];
	struct pst_crypto *c = pst_crypto_new(err, sizeof(err));
	X509 *a = ca("A"), *b = ca("B");
	const char *f = pki_path("trust.pem");
	X509_STORE *one, *two, *three;

	pki_write(&(struct pki_file){.path = f, .certs = {a}});
	one = pst_crypto_trust(c, f, err, sizeof(err));
	two = pst_crypto_trust(c, f, err, sizeof(err));
	cr_assert_not_null(one, "%s", err);
	cr_expect_eq(one, two);
	pki_write(&(struct pki_file){.path = f, .certs = {a, b}});
	three = pst_crypto_trust(c, f, err, sizeof(err));
	cr_expect_neq(three, one);
	cr_expect_eq(anchors(one), 1, "who holds the old one keeps it");
	cr_expect_eq(anchors(three), 2);
	X509_STORE_free(one);
	X509_STORE_free(two);
	X509_STORE_free(three);
	X509_free(a);
	X509_free(b);
	pst_crypto_free(c);
}

Test(trust, more_bundles_than_are_kept_still_load)
{
	char err[256], name[32];
	struct pst_crypto *c = pst_crypto_new(err, sizeof(err));
	X509 *a = ca("A");

	for (unsigned i = 0; i < 50; i++) {
		X509_STORE *s;

		snprintf(name, sizeof(name), "t%u.pem", i % 20);
		pki_write(&(struct pki_file){.path = pki_path(name), .certs = {a}});
		s = pst_crypto_trust(c, pki_path(name), err, sizeof(err));
		cr_assert_not_null(s, "%s", err);
		X509_STORE_free(s);
	}
	X509_free(a);
	pst_crypto_free(c);
}

Test(trust, faults_name_the_file)
{
	char err[256], want[256];
	struct pst_crypto *c = pst_crypto_new(err, sizeof(err));
	const char *f = pki_path("bad.pem");
	FILE *out = fopen(f, "w");

	cr_expect_null(pst_crypto_trust(c, "/nonexistent/ca.pem", err, sizeof(err)));
	cr_expect_str_eq(err, "/nonexistent/ca.pem: cannot open: No such file or directory");
	fputs("nothing of the kind\n", out);
	fclose(out);
	cr_expect_null(pst_crypto_trust(c, f, err, sizeof(err)));
	snprintf(want, sizeof(want), "%s: no PEM certificate in it", f);
	cr_expect_str_eq(err, want);
	out = fopen(f, "w");
	fputs("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", out);
	fclose(out);
	cr_expect_null(pst_crypto_trust(c, f, err, sizeof(err)));
	snprintf(want, sizeof(want), "%s: damaged certificate: ", f);
	cr_expect(strncmp(err, want, strlen(want)) == 0, "%s", err);
	cr_expect_eq(ERR_peek_error(), 0);
	pst_crypto_free(c);
}

Test(trust, the_systems_bundle_loads_if_there_is_one)
{
	char err[256];
	struct pst_crypto *c = pst_crypto_new(err, sizeof(err));
	X509_STORE *s = pst_crypto_trust(c, NULL, err, sizeof(err));

	if (access("/etc/ssl/certs/ca-certificates.crt", R_OK) == 0)
		cr_expect(s != NULL && anchors(s) > 10, "%s", err);
	X509_STORE_free(s);
	pst_crypto_free(c);
}

/* Runs before anything else of OpenSSL in this process: what initialises it first decides. */
Test(trust, openssl_cnf_does_not_reach_into_our_contexts)
{
	char err[256], file[256];
	struct pst_crypto *c;
	SSL_CTX *s;
	FILE *f;

	snprintf(file, sizeof(file), "%s", pki_path("openssl.cnf"));
	f = fopen(file, "w");
	fputs("openssl_conf = a\n[a]\nssl_conf = b\n[b]\nsystem_default = c\n"
	      "[c]\nOptions = -SessionTicket\n",
		f);
	fclose(f);
	setenv("OPENSSL_CONF", file, 1);
	c = pst_crypto_new(err, sizeof(err));
	s = SSL_CTX_new_ex(pst_crypto_libctx(c), NULL, TLS_method());
	cr_assert_not_null(s);
	cr_expect_eq(SSL_CTX_get_options(s) & SSL_OP_NO_TICKET, 0);
	SSL_CTX_free(s);
	pst_crypto_free(c);
}

static void *
use_there(void *arg)
{
	char err[256];
	X509_STORE *s = pst_crypto_trust(arg, pki_path("thread.pem"), err, sizeof(err));

	X509_STORE_free(s);
	return s;
}

/* Made on the main thread, used by a worker, freed by the main thread: as the gateway does. */
Test(trust, a_context_moves_between_threads)
{
	char err[256];
	struct pst_crypto *c = pst_crypto_new(err, sizeof(err));
	X509 *a = ca("A");
	pthread_t t;
	void *got;

	pki_write(&(struct pki_file){.path = pki_path("thread.pem"), .certs = {a}});
	pthread_create(&t, NULL, use_there, c);
	pthread_join(t, &got);
	cr_expect_not_null(got);
	cr_expect_not_null(pst_crypto_libctx(c));
	X509_free(a);
	pst_crypto_free(c);
	pst_crypto_free(NULL);
}
