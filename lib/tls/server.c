/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is a server's alone: ALPN and the demand for a client certificate; tickets
 * are in ticket.c.
 */
#include "tls_int.h"
#include <openssl/err.h>
#include <openssl/x509.h>
#include <stdio.h>

/* Issuer names of a CertificateRequest; more would swell every handshake. None means any. */
#define CA_NAMES_MAX (16 * 1024)

/*
 * ALPN "smtp" is what a client may ask for; absent is fine. Anything else is a
 * browser led here (ALPACA, 2021): RFC 7301 3.2, "the server SHALL respond with
 * a fatal no_application_protocol alert".
 */
static int
select_alpn(SSL *ssl, const unsigned char **out, unsigned char *outlen, const unsigned char *in,
	unsigned inlen, void *arg)
{
	for (unsigned at = 0; at < inlen; at += 1u + in[at]) {
		if (in[at] == 4 && inlen - at >= 5 && memcmp(in + at + 1, "smtp", 4) == 0) {
			*out = in + at + 1;
			*outlen = 4;
			return SSL_TLSEXT_ERR_OK;
		}
	}
	return SSL_TLSEXT_ERR_ALERT_FATAL;
}

static bool
has_name(STACK_OF(X509_NAME) * names, const X509_NAME *n)
{
	for (int i = 0; i < sk_X509_NAME_num(names); i++)
		if (X509_NAME_cmp(sk_X509_NAME_value(names, i), n) == 0)
			return true;
	return false;
}

/* The subjects of the anchors, each once, in the store's order; NULL: no memory. */
static STACK_OF(X509_NAME) * anchor_names(X509_STORE *store)
{
	STACK_OF(X509) *certs = X509_STORE_get1_all_certs(store);
	STACK_OF(X509_NAME) *names = certs != NULL ? sk_X509_NAME_new_null() : NULL;
	size_t total = 0;
	bool ok = names != NULL;

	for (int i = 0; i < sk_X509_num(certs) && ok && total <= CA_NAMES_MAX; i++) {
		const X509_NAME *n = X509_get_subject_name(sk_X509_value(certs, i));
		X509_NAME *copy = has_name(names, n) ? NULL : X509_NAME_dup(n);

		if (copy == NULL)
			continue;
		total += (size_t)PST_MAX(i2d_X509_NAME(copy, NULL), 0) + 2;
		ok = sk_X509_NAME_push(names, copy) > 0;
	}
	if (total > CA_NAMES_MAX)
		while (sk_X509_NAME_num(names) > 0)
			X509_NAME_free(sk_X509_NAME_pop(names));
	sk_X509_pop_free(certs, X509_free);
	return names;
}

/*
 * Whose certificates are welcome is told to the client (RFC 8446 4.2.4, RFC 5246
 * 7.4.4), so that one with several certificates sends the right one. The purpose
 * "TLS client" is OpenSSL's default for a server.
 */
static bool
set_client_cert(SSL_CTX *s, const struct pst_tls_conf *conf, char *err, size_t errlen)
{
	int mode = SSL_VERIFY_PEER;
	STACK_OF(X509_NAME) * names;

	if (conf->client_cert == PST_TLS_CLIENT_CERT_REQUIRED)
		mode |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
	names = anchor_names(SSL_CTX_get_cert_store(s));
	if (names == NULL)
		return pst_tls_conf_fault(err, errlen, "client certificates:", "out of memory");
	SSL_CTX_set0_CA_list(s, names);
	SSL_CTX_set_verify(s, mode, SSL_CTX_get_verify_callback(s));
	return true;
}

bool
pst_tls_server_init(struct pst_tls_ctx *ctx, SSL_CTX *s, const struct pst_tls_conf *conf, char *err,
	size_t errlen)
{
	SSL_CTX_set_session_cache_mode(s, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_options(s, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
	SSL_CTX_set_tlsext_servername_callback(s, pst_tls_sni_select);
	SSL_CTX_set_tlsext_servername_arg(s, ctx);
	if (conf->alpn_smtp)
		SSL_CTX_set_alpn_select_cb(s, select_alpn, NULL);
	return pst_tls_ticket_init(ctx, s, conf, err, errlen) &&
	       (conf->client_cert == PST_TLS_CLIENT_CERT_OFF ||
		       set_client_cert(s, conf, err, errlen));
}

/* Resumption keeps the client's certificate and its verdict in the ticket. */
bool
pst_tls_server_enough(const struct pst_tls *t)
{
	switch (t->ctx->client_cert) {
	case PST_TLS_CLIENT_CERT_OFF:
		return true;
	case PST_TLS_CLIENT_CERT_OPTIONAL:
		return SSL_get_verify_result(t->ssl) == X509_V_OK;
	case PST_TLS_CLIENT_CERT_REQUIRED:
		return SSL_get_verify_result(t->ssl) == X509_V_OK &&
		       SSL_get0_peer_certificate(t->ssl) != NULL;
	}
	return false;
}
