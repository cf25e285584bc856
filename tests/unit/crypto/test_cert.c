/* SPDX-License-Identifier: BSD-3-Clause */
/* What loads as a certificate and what is refused, and that each refusal names file and cause. */
#include <criterion/criterion.h>
#include <openssl/err.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <pst_crypto.h>
#include "pki.h"

static struct pst_crypto *c;
static EVP_PKEY *root_key, *inter_key;
static X509 *root, *inter;

static void
begin(void)
{
	char err[256];

	c = pst_crypto_new(err, sizeof(err));
	cr_assert_not_null(c, "%s", err);
	root_key = pki_key("p256");
	inter_key = pki_key("p256");
	root = pki_cert(&(struct pki_spec){.cn = "Root", .key = root_key, .ca = true});
	inter = pki_cert(&(struct pki_spec){.cn = "Inter",
		.key = inter_key,
		.ca = true,
		.issuer = root,
		.issuer_key = root_key});
}

static void
end(void)
{
	X509_free(root);
	X509_free(inter);
	EVP_PKEY_free(root_key);
	EVP_PKEY_free(inter_key);
	pst_crypto_free(c);
}

TestSuite(cert, .init = begin, .fini = end);

static X509 *
leaf(EVP_PKEY *key, int from, int to)
{
	return pki_cert(&(struct pki_spec){.cn = "leaf",
		.san = "DNS:mx.example.com",
		.key = key,
		.issuer = inter,
		.issuer_key = inter_key,
		.from_days = from,
		.to_days = to});
}

/* Loads, frees; the text that came in *err (of 512 bytes). */
static enum pst_rc
load(const char *chain, const char *key, char err[512])
{
	struct pst_cert *cert = NULL;
	enum pst_rc rc = pst_cert_load(c, chain, key, &cert, err, 512);

	cr_expect_eq(rc == PST_OK, cert != NULL);
	cr_expect_eq(ERR_peek_error(), 0);
	if (rc == PST_OK)
		pst_cert_free(cert);
	return rc;
}

/* err must be "<file>: <cause>". */
static void
expect_refused(const char *chain, const char *key, const char *file, const char *cause)
{
	char err[512], want[512];

	cr_expect_eq(load(chain, key, err), PST_INVAL, "%s", cause);
	snprintf(want, sizeof(want), "%s: %s", file, cause);
	cr_expect(strncmp(err, want, strlen(want)) == 0, "\"%s\" wants \"%s\"", err, want);
}

struct kind {
	const char *kind, *refused; /* NULL: loads */
};

Test(cert, each_kind_of_key_loads_or_is_refused)
{
	static const struct kind kinds[] = {
		{"rsa2048", NULL},
		{"p256", NULL},
		{"p384", NULL},
		{"ed25519", NULL},
		{"rsa1024", "RSA key of 1024 bits; 2048 is the least"},
		{"p521", "EC key on secp521r1; P-256 or P-384 is needed"},
	};

	for (unsigned i = 0; i < PST_COUNT(kinds); i++) {
		EVP_PKEY *k = pki_key(kinds[i].kind);
		X509 *x = leaf(k, 0, 0);
		const char *one = pki_path("one.pem"), *chain = pki_path("chain.pem"),
			   *key = pki_path("key.pem");
		char err[512];

		pki_write(&(struct pki_file){.path = one, .certs = {x, inter, root}, .key = k});
		pki_write(&(struct pki_file){.path = chain, .certs = {x, inter}, .mode = 0644});
		pki_write(&(struct pki_file){.path = key, .key = k, .mode = 0640});
		if (kinds[i].refused == NULL) {
			cr_expect_eq(load(one, one, err), PST_OK, "%s: %s", kinds[i].kind, err);
			cr_expect_str_empty(err);
			cr_expect_eq(load(chain, key, err), PST_OK, "%s: %s", kinds[i].kind, err);
			cr_expect_str_empty(err);
		} else {
			expect_refused(one, one, one, kinds[i].refused);
			expect_refused(chain, key, chain, kinds[i].refused);
		}
		X509_free(x);
		EVP_PKEY_free(k);
	}
}

Test(cert, a_loaded_certificate_has_its_chain_key_and_end)
{
	EVP_PKEY *k = pki_key("p256");
	X509 *x = leaf(k, -1, 10);
	const char *f = pki_path("c.pem");
	struct pst_cert *cert;
	char err[512];

	pki_write(&(struct pki_file){.path = f, .certs = {x, inter}, .key = k});
	cr_assert_eq(pst_cert_load(c, f, f, &cert, err, sizeof(err)), PST_OK);
	cr_expect_eq(X509_cmp(cert->leaf, x), 0);
	cr_expect_eq(sk_X509_num(cert->chain), 1);
	cr_expect_eq(EVP_PKEY_eq(cert->key, k), 1);
	cr_expect_lt(llabs((long long)(cert->not_after - (time(NULL) + 10 * 86400))), 60);
	pst_cert_free(cert);
	pst_cert_free(NULL);
	X509_free(x);
	EVP_PKEY_free(k);
}

Test(cert, faults_of_files_name_the_file_and_the_cause)
{
	EVP_PKEY *k = pki_key("p256"), *other = pki_key("p256");
	X509 *x = leaf(k, 0, 0);
	const char *chain = pki_path("chain.pem"), *key = pki_path("key.pem"),
		   *bad = pki_path("bad.pem");
	FILE *f;

	pki_write(&(struct pki_file){.path = chain, .certs = {x, inter}});
	pki_write(&(struct pki_file){.path = key, .key = k});
	expect_refused("/nonexistent/c.pem", key, "/nonexistent/c.pem",
		"cannot open: No such file or directory");
	expect_refused(chain, "/nonexistent/k.pem", "/nonexistent/k.pem",
		"cannot open: No such file or directory");
	expect_refused(pki_dir(), key, pki_dir(), "not a regular file");
	expect_refused("/dev/null", key, "/dev/null", "not a regular file");
	expect_refused(key, key, key, "no PEM certificate in it");
	expect_refused(chain, chain, chain, "no PEM private key in it");

	pki_write(&(struct pki_file){.path = bad});
	expect_refused(bad, key, bad, "the file is empty");
	f = fopen(bad, "w");
	fputs("not PEM at all\n", f);
	fclose(f);
	expect_refused(bad, key, bad, "no PEM certificate in it");
	expect_refused(chain, bad, bad, "no PEM private key in it");
	f = fopen(bad, "w");
	fputs("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", f);
	fclose(f);
	expect_refused(bad, key, bad, "damaged certificate: ");
	f = fopen(bad, "w");
	fputs("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", f);
	fclose(f);
	chmod(bad, 0600);
	expect_refused(chain, bad, bad, "damaged private key: ");
	cr_assert_eq(truncate(chain, 700), 0);
	expect_refused(chain, key, chain, "damaged certificate: ");

	pki_write(&(struct pki_file){.path = chain, .certs = {x, inter}});
	pki_write(&(struct pki_file){.path = bad, .key = other});
	expect_refused(
		chain, bad, bad, "the private key does not belong to the first certificate of ");
	pki_write(&(struct pki_file){.path = bad, .key = k, .password = "secret"});
	expect_refused(chain, bad, bad, "the private key is encrypted");
	X509_free(x);
	EVP_PKEY_free(k);
	EVP_PKEY_free(other);
}

Test(cert, a_key_that_others_may_read_is_refused_and_the_group_may)
{
	static const struct {
		int mode;
		bool ok;
	} modes[] = {{0600, true}, {0400, true}, {0640, true}, {0660, true}, {0644, false},
		{0604, false}, {0602, false}, {0777, false}};
	EVP_PKEY *k = pki_key("p256");
	X509 *x = leaf(k, 0, 0);
	const char *f = pki_path("mode.pem");
	char err[512], want[64];

	for (unsigned i = 0; i < PST_COUNT(modes); i++) {
		pki_write(&(struct pki_file){
			.path = f, .certs = {x}, .key = k, .mode = modes[i].mode});
		snprintf(want, sizeof(want), "the private key is open to others (mode %04o)",
			(unsigned)modes[i].mode);
		if (modes[i].ok)
			cr_expect_eq(load(f, f, err), PST_OK, "%s", err);
		else
			expect_refused(f, f, f, want);
	}
	X509_free(x);
	EVP_PKEY_free(k);
}

Test(cert, a_chain_in_the_wrong_order_is_refused)
{
	EVP_PKEY *k = pki_key("p256"), *fake_key = pki_key("p256");
	X509 *x = leaf(k, 0, 0);
	/* The right name, another key. */
	X509 *fake = pki_cert(&(struct pki_spec){.cn = "Inter", .key = fake_key, .ca = true});
	const char *f = pki_path("order.pem");

	pki_write(&(struct pki_file){.path = f, .certs = {x, root, inter}, .key = k});
	expect_refused(f, f, f, "chain out of order: certificate 2 did not issue certificate 1");
	pki_write(&(struct pki_file){.path = f, .certs = {x, inter, inter}, .key = k});
	expect_refused(f, f, f, "chain out of order: certificate 3 did not issue certificate 2");
	pki_write(&(struct pki_file){.path = f, .certs = {x, fake}, .key = k});
	expect_refused(f, f, f, "chain out of order: certificate 2 did not issue certificate 1");
	pki_write(&(struct pki_file){.path = f, .certs = {inter, x}, .key = k});
	expect_refused(f, f, f, "the private key does not belong");
	X509_free(x);
	X509_free(fake);
	EVP_PKEY_free(k);
	EVP_PKEY_free(fake_key);
}

Test(cert, dates_are_a_warning_not_a_fault)
{
	EVP_PKEY *k = pki_key("p256");
	X509 *old = leaf(k, -30, -1), *early = leaf(k, 1, 30);
	const char *f = pki_path("dates.pem");
	char err[512], want[512];

	pki_write(&(struct pki_file){.path = f, .certs = {old}, .key = k});
	cr_expect_eq(load(f, f, err), PST_OK);
	snprintf(want, sizeof(want), "%s: the certificate has expired", f);
	cr_expect_str_eq(err, want);
	pki_write(&(struct pki_file){.path = f, .certs = {early}, .key = k});
	cr_expect_eq(load(f, f, err), PST_OK);
	snprintf(want, sizeof(want), "%s: the certificate is not yet valid", f);
	cr_expect_str_eq(err, want);
	X509_free(old);
	X509_free(early);
	EVP_PKEY_free(k);
}

Test(cert, not_after_is_that_of_the_first_certificate)
{
	EVP_PKEY *k = pki_key("p256");
	X509 *x = leaf(k, -30, -1);
	const char *f = pki_path("end.pem");
	int64_t yesterday = (int64_t)time(NULL) - 86400, end;
	char err[512] = "untouched";

	/* The key comes first, as in Postfix's chain files; and its mode is nobody's business. */
	pki_write(&(struct pki_file){.path = f, .certs = {x, inter, root}, .key = k, .mode = 0644});
	end = pst_cert_not_after(f, err, sizeof(err));
	cr_expect(end > yesterday - 60 && end <= yesterday + 60, "%lld", (long long)end);
	cr_expect_str_eq(err, "untouched");
	cr_expect_eq(ERR_peek_error(), 0);
	X509_free(x);
	EVP_PKEY_free(k);
}

Test(cert, not_after_of_what_is_no_certificate_is_0_and_a_text)
{
	static const struct {
		const char *text, *why;
	} rows[] = {{"", "the file is empty"}, {"hello\n", "no PEM certificate"},
		{"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
			"no PEM certificate"},
		{"-----BEGIN CERTIFICATE-----\n", "no PEM certificate"}};
	const char *f = pki_path("none.pem");
	char err[512];

	cr_expect_eq(pst_cert_not_after("/nonexistent", err, sizeof(err)), 0);
	cr_expect_str_eq(err, "/nonexistent: cannot open: No such file or directory");
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		FILE *to = fopen(f, "w");

		cr_assert_not_null(to);
		fputs(rows[i].text, to);
		fclose(to);
		err[0] = 0;
		cr_expect_eq(pst_cert_not_after(f, err, sizeof(err)), 0);
		cr_expect(strstr(err, f) == err && strstr(err, rows[i].why) != NULL, "\"%s\"", err);
		cr_expect_eq(ERR_peek_error(), 0);
	}
}

Test(cert, a_short_error_buffer_is_not_overrun)
{
	char err[32];
	struct pst_cert *cert;

	for (size_t n = 1; n <= 16; n++) {
		memset(err, 'x', sizeof(err));
		cr_expect_eq(
			pst_cert_load(c, "/nonexistent", "/nonexistent", &cert, err, n), PST_INVAL);
		cr_expect_lt(strnlen(err, n), n);
		cr_expect_eq(err[n], 'x');
	}
}

Test(cert, errors_become_one_printable_line_and_the_queue_is_empty)
{
	char buf[128];

	ERR_raise_data(ERR_LIB_X509, X509_R_UNKNOWN_KEY_TYPE, "file\n\x1b[2J%s", "\xff");
	ERR_raise(ERR_LIB_X509, X509_R_BAD_SELECTOR);
	pst_crypto_errors(buf, sizeof(buf));
	cr_expect_str_eq(buf, "unknown key type: file??[2J?; bad selector");
	cr_expect_eq(ERR_peek_error(), 0);
	pst_crypto_errors(buf, sizeof(buf));
	cr_expect_str_eq(buf, "no cause given");
	for (unsigned i = 0; i < 15; i++)
		ERR_raise_data(ERR_LIB_X509, X509_R_UNKNOWN_KEY_TYPE, "a rather long text %u", i);
	pst_crypto_errors(buf, sizeof(buf));
	cr_expect_eq(strlen(buf), sizeof(buf) - 1);
	cr_expect_eq(ERR_peek_error(), 0);
}
