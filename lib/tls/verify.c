/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Judging the peer's certificate. A client's verification always runs in full,
 * chain and names, so that the log can tell what the peer was; the connection's
 * mode decides which faults end the handshake. A server that asks its clients for
 * certificates takes none that is bad.
 *
 * The outcome is one X509_V_* code: 0; or the first fault of the chain; or, for a
 * good chain, that of the names; where fingerprints decide, theirs alone. It is
 * put into the X509_STORE_CTX, from where OpenSSL keeps it with the session: a
 * resumed session still knows it.
 */
#include "tls_int.h"
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>

#define MAX_DEPTH 10

/* X509_V_* has no code for a fingerprint; this one nothing else gives. */
#define NOT_PINNED X509_V_ERR_APPLICATION_VERIFICATION

bool
pst_tls_verify_is_name_error(long result)
{
	return result == X509_V_ERR_HOSTNAME_MISMATCH || result == X509_V_ERR_IP_ADDRESS_MISMATCH;
}

const char *
pst_tls_verify_text(long result)
{
	if (result == NOT_PINNED)
		return "none of the expected fingerprints";
	return X509_verify_cert_error_string(result);
}

bool
pst_tls_verify_enough(const struct pst_tls *t, long result)
{
	switch (t->verify) {
	case PST_TLS_VERIFY_OFF:
		return true;
	case PST_TLS_VERIFY_CHAIN:
		return result == X509_V_OK || pst_tls_verify_is_name_error(result);
	case PST_TLS_VERIFY_NAME:
	case PST_TLS_VERIFY_FINGERPRINT:
		return result == X509_V_OK && t->named;
	}
	return false;
}

/* Does the chain not matter to t? */
static bool
any_chain(const struct pst_tls *t)
{
	return t->ctx->side == PST_TLS_CLIENT &&
	       (t->verify == PST_TLS_VERIFY_OFF || t->verify == PST_TLS_VERIFY_FINGERPRINT);
}

static struct pst_tls *
session_of(X509_STORE_CTX *xs)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(xs, SSL_get_ex_data_X509_STORE_CTX_idx());

	return SSL_get_app_data(ssl);
}

/* Called for each certificate of the chain and for each fault; 0 ends the verification. */
static int
note_fault(int ok, X509_STORE_CTX *xs)
{
	struct pst_tls *t = session_of(xs);

	if (!ok && t->verify_error == X509_V_OK)
		t->verify_error = X509_STORE_CTX_get_error(xs);
	return ok || any_chain(t);
}

static long
name_outcome(const struct pst_tls *t, X509 *leaf)
{
	if (t->nrefs == 0 || pst_tls_expect_named(t, leaf))
		return X509_V_OK;
	for (unsigned i = 0; i < t->nrefs; i++)
		if (t->refs[i].ip_len == 0)
			return X509_V_ERR_HOSTNAME_MISMATCH;
	return X509_V_ERR_IP_ADDRESS_MISMATCH;
}

/* Called by OpenSSL in place of X509_verify_cert. */
static int
judge(X509_STORE_CTX *xs, void *arg)
{
	struct pst_tls *t = session_of(xs);
	X509 *leaf = X509_STORE_CTX_get0_cert(xs);
	bool client = t->ctx->side == PST_TLS_CLIENT;
	bool ran = X509_verify_cert(xs) > 0;

	/* It ended without a fault being noted: no memory, most likely. */
	if (!ran && t->verify_error == X509_V_OK)
		t->verify_error = X509_V_ERR_UNSPECIFIED;
	if (ran && client && t->verify == PST_TLS_VERIFY_FINGERPRINT)
		t->verify_error = pst_tls_expect_pinned(t, leaf) ? X509_V_OK : NOT_PINNED;
	else if (client && t->verify_error == X509_V_OK)
		t->verify_error = name_outcome(t, leaf);
	X509_STORE_CTX_set_error(xs, (int)t->verify_error);
	if (!client)
		return t->verify_error == X509_V_OK;
	return ran && pst_tls_verify_enough(t, t->verify_error);
}

/* The system's bundle may be missing where nothing depends on it. */
static bool
set_store(struct pst_tls_ctx *ctx, SSL_CTX *ssl, const struct pst_tls_conf *conf, char *err,
	size_t errlen)
{
	X509_STORE *store = pst_crypto_trust(ctx->crypto, conf->ca_file, err, errlen);

	if (store != NULL) {
		SSL_CTX_set1_cert_store(ssl, store);
		X509_STORE_free(store);
		return true;
	}
	return conf->ca_file == NULL &&
	       (conf->verify == PST_TLS_VERIFY_OFF || conf->verify == PST_TLS_VERIFY_FINGERPRINT);
}

bool
pst_tls_verify_init(struct pst_tls_ctx *ctx, SSL_CTX *ssl, const struct pst_tls_conf *conf,
	char *err, size_t errlen)
{
	X509_VERIFY_PARAM *param = SSL_CTX_get0_param(ssl);

	if (conf->side == PST_TLS_SERVER && conf->client_cert == PST_TLS_CLIENT_CERT_OFF)
		return true;
	if (conf->side == PST_TLS_SERVER && conf->ca_file == NULL) {
		/* Any public CA's customer is nobody in particular. */
		snprintf(err, errlen,
			"client certificates: a file of the CAs that sign them is "
			"needed");
		return false;
	}
	SSL_CTX_set_verify(ssl, SSL_VERIFY_PEER, note_fault);
	SSL_CTX_set_cert_verify_callback(ssl, judge, NULL);
	SSL_CTX_set_verify_depth(ssl, MAX_DEPTH);
	X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
	/* What the operator put into ca_file is an anchor, also if it is not self-signed. */
	if (conf->ca_file != NULL)
		X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_PARTIAL_CHAIN);
	return set_store(ctx, ssl, conf, err, errlen);
}
