/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Judging a server's certificate, on the client leg. The verification always
 * runs in full, chain and name, so that the log can tell what the peer was; the
 * profile's mode decides which faults end the handshake.
 *
 * The outcome is one X509_V_* code: 0; or the first fault of the chain; or, for a
 * good chain, the name's. It is put into the X509_STORE_CTX, from where OpenSSL
 * keeps it with the session: a resumed session still knows it.
 */
#include "tls_int.h"
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>

#define MAX_DEPTH 10

bool
pst_tls_verify_is_name_error(long result)
{
	return result == X509_V_ERR_HOSTNAME_MISMATCH || result == X509_V_ERR_IP_ADDRESS_MISMATCH;
}

bool
pst_tls_verify_enough(const struct pst_tls *t, long result)
{
	switch (t->ctx->verify) {
	case PST_TLS_VERIFY_OFF:
		return true;
	case PST_TLS_VERIFY_CHAIN:
		return result == X509_V_OK || pst_tls_verify_is_name_error(result);
	case PST_TLS_VERIFY_NAME:
		return result == X509_V_OK && t->named;
	}
	return false;
}

static int
judge(int ok, X509_STORE_CTX *xs)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(xs, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct pst_tls *t = SSL_get_app_data(ssl);
	long fault = X509_STORE_CTX_get_error(xs);

	if (!ok && (t->verify_error == X509_V_OK || pst_tls_verify_is_name_error(t->verify_error)))
		t->verify_error = fault;
	X509_STORE_CTX_set_error(xs, (int)t->verify_error);
	return ok || pst_tls_verify_enough(t, fault);
}

/* The system's bundle may be missing where nothing depends on it. */
static enum pst_rc
set_store(struct pst_tls_ctx *ctx, SSL_CTX *ssl, const struct pst_tls_conf *conf, char *err,
	size_t errlen)
{
	X509_STORE *store = pst_crypto_trust(ctx->crypto, conf->ca_file, err, errlen);

	if (store != NULL) {
		SSL_CTX_set1_cert_store(ssl, store);
		X509_STORE_free(store);
		return PST_OK;
	}
	return conf->verify == PST_TLS_VERIFY_OFF && conf->ca_file == NULL ? PST_OK : PST_INVAL;
}

enum pst_rc
pst_tls_verify_init(struct pst_tls_ctx *ctx, SSL_CTX *ssl, const struct pst_tls_conf *conf,
	char *err, size_t errlen)
{
	SSL_CTX_set_verify(ssl, SSL_VERIFY_PEER, judge);
	SSL_CTX_set_verify_depth(ssl, MAX_DEPTH);
	/* What the operator put into ca_file is an anchor, also if it is not self-signed. */
	if (conf->ca_file != NULL)
		X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(ssl), X509_V_FLAG_PARTIAL_CHAIN);
	/* Sessions leave through the callback alone; OpenSSL's own cache would keep them twice. */
	SSL_CTX_set_session_cache_mode(ssl,
		SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL | SSL_SESS_CACHE_NO_AUTO_CLEAR);
	SSL_CTX_sess_set_new_cb(ssl, pst_tls_cache_store);
	return set_store(ctx, ssl, conf, err, errlen);
}

/*
 * RFC 9525: only subjectAltName counts (6.3), a wildcard is the whole leftmost
 * label (6.3), an address is compared with iPAddress (6.5). RFC 6066 3: "Literal
 * IPv4 and IPv6 addresses are not permitted" in SNI, and no trailing dot.
 */
enum pst_rc
pst_tls_verify_name(struct pst_tls *t, const char *given)
{
	X509_VERIFY_PARAM *param = SSL_get0_param(t->ssl);
	size_t n = strlen(given);
	char name[256];

	if (n > 0 && given[n - 1] == '.')
		n--;
	/* A leading dot would make OpenSSL accept any subdomain. */
	if (n == 0 || n >= sizeof(name) || given[0] == '.')
		return PST_INVAL;
	for (size_t i = 0; i < n; i++)
		if (given[i] <= ' ' || given[i] > '~')
			return PST_INVAL;
	memcpy(name, given, n);
	name[n] = 0;
	t->named = true;
	if (X509_VERIFY_PARAM_set1_ip_asc(param, name) == 1)
		return PST_OK;
	ERR_clear_error();
	X509_VERIFY_PARAM_set_hostflags(
		param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
	if (X509_VERIFY_PARAM_set1_host(param, name, n) != 1 ||
		SSL_set_tlsext_host_name(t->ssl, name) != 1)
		return PST_NOMEM;
	return PST_OK;
}
