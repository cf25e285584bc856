/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A server certificate from PEM files, judged when it is loaded rather than when
 * the first client fails: every fault names the file, and the text says what to
 * do where that is not plain. Files are read in one pass (pem.c), so a pair in
 * one file cannot be seen half replaced.
 */
#include "crypto_int.h"
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define CHAIN_MAX 10 /* certificates; longer chains are a mistake, and a flood for each client */

struct loading {
	struct pst_crypto *c;
	struct pst_cert *cert;
	const char *chain_file, *key_file;
	char *err;
	size_t errlen;
};

static enum pst_rc PST_PRINTF(3, 4) fault(struct loading *l, const char *file, const char *fmt, ...)
{
	va_list ap;
	int n = snprintf(l->err, l->errlen, "%s: ", file);

	va_start(ap, fmt);
	if (n >= 0 && (size_t)n < l->errlen)
		vsnprintf(l->err + n, l->errlen - (size_t)n, fmt, ap);
	va_end(ap);
	ERR_clear_error();
	return PST_INVAL;
}

/* OpenSSL's reasons for a parse that failed, as the text. */
static enum pst_rc
fault_ossl(struct loading *l, const char *file, const char *what)
{
	char why[200];

	pst_crypto_errors(why, sizeof(why));
	return fault(l, file, "%s: %s", what, why);
}

/* The next certificate of the file in our library context, or NULL. */
static X509 *
next_cert(struct loading *l, BIO *b)
{
	X509 *x = X509_new_ex(l->c->lib, NULL);

	if (x != NULL && PEM_read_bio_X509(b, &x, NULL, NULL) == NULL) {
		X509_free(x);
		return NULL;
	}
	return x;
}

static bool
at_end_of_pem(void)
{
	unsigned long e = ERR_peek_last_error();

	return ERR_GET_LIB(e) == ERR_LIB_PEM && ERR_GET_REASON(e) == PEM_R_NO_START_LINE;
}

static enum pst_rc
read_chain(struct loading *l, BIO *b)
{
	X509 *x;

	l->cert->leaf = next_cert(l, b);
	if (l->cert->leaf == NULL && at_end_of_pem())
		return fault(l, l->chain_file, "no PEM certificate in it");
	if (l->cert->leaf == NULL)
		return fault_ossl(l, l->chain_file, "damaged certificate");
	while ((x = next_cert(l, b)) != NULL) {
		if (sk_X509_num(l->cert->chain) >= CHAIN_MAX ||
			sk_X509_push(l->cert->chain, x) <= 0) {
			X509_free(x);
			return fault(l, l->chain_file, "more than %d certificates", CHAIN_MAX + 1);
		}
	}
	if (!at_end_of_pem())
		return fault_ossl(l, l->chain_file, "damaged certificate");
	ERR_clear_error();
	return PST_OK;
}

/* Nobody can type a password into a daemon: note that one was wanted, give none. */
static int
no_password(char *buf, int size, int writing, void *arg)
{
	*(bool *)arg = true;
	return -1;
}

static enum pst_rc
read_key(struct loading *l, BIO *b, const struct pst_pem *f)
{
	bool encrypted = false;

	l->cert->key =
		PEM_read_bio_PrivateKey_ex(b, NULL, no_password, &encrypted, l->c->lib, NULL);
	if (l->cert->key != NULL)
		return PST_OK;
	if (encrypted)
		return fault(l, l->key_file,
			"the private key is encrypted; store it without a password");
	if (strstr((const char *)f->p, "PRIVATE KEY-----") == NULL)
		return fault(l, l->key_file, "no PEM private key in it");
	return fault_ossl(l, l->key_file, "damaged private key");
}

/* The group may read it: that is how a service without root is given its key. */
static enum pst_rc
check_key_mode(struct loading *l, const struct pst_pem *f)
{
	if ((f->st.st_mode & (S_IROTH | S_IWOTH)) != 0)
		return fault(l, l->key_file,
			"the private key is open to others (mode %04o); chmod o= it",
			(unsigned)(f->st.st_mode & 07777));
	return PST_OK;
}

static enum pst_rc
read_files(struct loading *l)
{
	struct pst_pem chain, key;
	enum pst_rc rc = pst_pem_open(&chain, l->chain_file, l->err, l->errlen);
	BIO *cb, *kb = NULL;

	if (rc != PST_OK)
		return rc;
	/* One file is one read: the certificate and its key are of the same generation. */
	bool same = strcmp(l->chain_file, l->key_file) == 0;
	if (!same && (rc = pst_pem_open(&key, l->key_file, l->err, l->errlen)) != PST_OK) {
		pst_pem_close(&chain);
		return rc;
	}
	if (same)
		key = chain;

	cb = BIO_new_mem_buf(chain.p, (int)chain.n);
	kb = BIO_new_mem_buf(key.p, (int)key.n);
	rc = cb == NULL || kb == NULL ? PST_NOMEM : check_key_mode(l, &key);
	if (rc == PST_OK)
		rc = read_chain(l, cb);
	if (rc == PST_OK)
		rc = read_key(l, kb, &key);
	BIO_free(cb);
	BIO_free(kb);
	if (!same)
		pst_pem_close(&key);
	pst_pem_close(&chain);
	return rc;
}

static enum pst_rc
check_ec(struct loading *l, EVP_PKEY *key)
{
	char group[64] = "?";
	int nid;

	EVP_PKEY_get_group_name(key, group, sizeof(group), NULL);
	nid = OBJ_txt2nid(group);
	if (nid != NID_X9_62_prime256v1 && nid != NID_secp384r1)
		return fault(l, l->chain_file, "EC key on %s; P-256 or P-384 is needed", group);
	return PST_OK;
}

/* The keys that peers on the Internet verify: others load, and then nobody connects. */
static enum pst_rc
check_strength(struct loading *l)
{
	EVP_PKEY *key = X509_get0_pubkey(l->cert->leaf);

	if (key == NULL)
		return fault_ossl(l, l->chain_file, "public key of an unknown kind");
	switch (EVP_PKEY_get_base_id(key)) {
	case EVP_PKEY_RSA:
	case EVP_PKEY_RSA_PSS:
		if (EVP_PKEY_get_bits(key) < 2048)
			return fault(l, l->chain_file, "RSA key of %d bits; 2048 is the least",
				EVP_PKEY_get_bits(key));
		return PST_OK;
	case EVP_PKEY_EC:
		return check_ec(l, key);
	case EVP_PKEY_ED25519:
		return PST_OK;
	default:
		return fault(l, l->chain_file, "the key is neither RSA, EC nor Ed25519");
	}
}

static enum pst_rc
check_pair(struct loading *l)
{
	if (EVP_PKEY_eq(X509_get0_pubkey(l->cert->leaf), l->cert->key) != 1)
		return fault(l, l->key_file,
			"the private key does not belong to the first "
			"certificate of %s",
			l->chain_file);
	return PST_OK;
}

/*
 * RFC 8446 4.4.2: "Each following certificate SHOULD directly certify the one
 * immediately preceding it." TLS 1.2 (RFC 5246 7.4.2) has MUST, and some clients insist.
 */
static enum pst_rc
check_order(struct loading *l)
{
	X509 *below = l->cert->leaf;

	for (int i = 0; i < sk_X509_num(l->cert->chain); i++) {
		X509 *x = sk_X509_value(l->cert->chain, i);

		if (X509_check_issued(x, below) != X509_V_OK ||
			X509_verify(below, X509_get0_pubkey(x)) != 1)
			return fault(l, l->chain_file,
				"chain out of order: certificate %d did not issue certificate %d",
				i + 2, i + 1);
		below = x;
	}
	return PST_OK;
}

static int64_t
seconds(const ASN1_TIME *t)
{
	struct tm tm;

	return ASN1_TIME_to_tm(t, &tm) == 1 ? (int64_t)timegm(&tm) : 0;
}

/* Warnings, not faults: a gateway that refuses to start loses more than one with a stale name. */
static void
check_dates(struct loading *l)
{
	int64_t now = (int64_t)time(NULL);
	int64_t from = seconds(X509_get0_notBefore(l->cert->leaf));

	l->cert->not_after = seconds(X509_get0_notAfter(l->cert->leaf));
	if (l->cert->not_after <= now)
		fault(l, l->chain_file, "the certificate has expired");
	else if (from > now)
		fault(l, l->chain_file, "the certificate is not yet valid");
}

enum pst_rc
pst_cert_load(struct pst_crypto *c, const char *chain_file, const char *key_file,
	struct pst_cert **out, char *err, size_t errlen)
{
	struct loading l = {.c = c,
		.chain_file = chain_file,
		.key_file = key_file,
		.err = err,
		.errlen = errlen};
	enum pst_rc rc = PST_NOMEM;

	if (errlen > 0)
		err[0] = 0;
	ERR_clear_error();
	l.cert = calloc(1, sizeof(*l.cert));
	if (l.cert != NULL && (l.cert->chain = sk_X509_new_null()) != NULL)
		rc = read_files(&l);
	if (rc == PST_NOMEM)
		snprintf(err, errlen, "%s: out of memory", chain_file);
	if (rc == PST_OK)
		rc = check_strength(&l);
	if (rc == PST_OK)
		rc = check_pair(&l);
	if (rc == PST_OK)
		rc = check_order(&l);
	ERR_clear_error();
	if (rc != PST_OK) {
		pst_cert_free(l.cert);
		return rc;
	}
	check_dates(&l);
	l.cert->known = pst_crypto_key_new(c, l.cert->key);
	*out = l.cert;
	return PST_OK;
}

int64_t
pst_cert_not_after(const char *chain_file, char *err, size_t errlen)
{
	struct pst_pem f;
	X509 *x = NULL;
	int64_t end = 0;
	BIO *b;

	if (pst_pem_open(&f, chain_file, err, errlen) != PST_OK)
		return 0;
	ERR_clear_error();
	b = BIO_new_mem_buf(f.p, (int)f.n);
	if (b != NULL)
		x = PEM_read_bio_X509(b, NULL, NULL, NULL);
	if (x != NULL)
		end = seconds(X509_get0_notAfter(x));
	if (end == 0)
		snprintf(err, errlen, "%s: no PEM certificate whose end of validity can be read",
			chain_file);
	ERR_clear_error();
	X509_free(x);
	BIO_free(b);
	pst_pem_close(&f);
	return end;
}

void
pst_cert_free(struct pst_cert *cert)
{
	if (cert == NULL)
		return;
	X509_free(cert->leaf);
	sk_X509_pop_free(cert->chain, X509_free);
	pst_crypto_key_put(cert->known);
	EVP_PKEY_free(cert->key);
	free(cert);
}
