/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is a server's alone: tickets, ALPN, and the demand for a client certificate.
 *
 * A ticket is taken back only under the rules it was made under (profile.c) and
 * for the server name it was made for: RFC 6066 3, "A server that implements this
 * extension MUST NOT accept the request to resume the session if the server_name
 * extension contains a different name." OpenSSL would resume in TLS 1.2 and
 * pretend that the old name was sent. So the name, or that there was none, travels
 * in the ticket; a ticket for another name is as good as none.
 */
#include "tls_int.h"
#include <openssl/err.h>
#include <openssl/x509.h>
#include <ctype.h>
#include <stdio.h>

#define TICKET_KEY_LEN 80
#define TICKET_SECONDS 3600
#define SNI_MAX        255

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

/* What a ticket says of the server name: one byte if there was one, then it in lower case. */
static size_t
name_tag(const uint8_t *name, size_t n, uint8_t tag[1 + SNI_MAX])
{
	if (name == NULL || n > SNI_MAX)
		return 0;
	tag[0] = 1;
	for (size_t i = 0; i < n; i++)
		tag[1 + i] = (uint8_t)tolower(name[i]);
	return 1 + n;
}

/* The host name of the ClientHello being read; its extension has one list of one entry. */
static const uint8_t *
hello_name(SSL *ssl, size_t *n)
{
	const uint8_t *ext;
	size_t len;

	if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &ext, &len) != 1 || len < 5 ||
		ext[2] != TLSEXT_NAMETYPE_host_name)
		return NULL;
	*n = (size_t)ext[3] << 8 | ext[4];
	return *n == len - 5 ? ext + 5 : NULL;
}

/* OpenSSL is about to encrypt a ticket. */
static int
ticket_made(SSL *ssl, void *arg)
{
	const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	uint8_t tag[1 + SNI_MAX];
	size_t n = name_tag((const uint8_t *)name, name != NULL ? strlen(name) : 0, tag);

	return SSL_SESSION_set1_ticket_appdata(SSL_get_session(ssl), tag, n);
}

/* The client's certificate travels in the ticket; a ticket does not prolong its life. */
static bool
peer_expired(SSL_SESSION *sess)
{
	const X509 *x = SSL_SESSION_get0_peer(sess);

	return x != NULL && X509_cmp_current_time(X509_get0_notAfter(x)) <= 0;
}

/* A ticket came back; the extensions of this hello are not parsed yet, and are looked at raw. */
static SSL_TICKET_RETURN
ticket_seen(SSL *ssl, SSL_SESSION *sess, const unsigned char *keyname, size_t keyname_len,
	SSL_TICKET_STATUS status, void *arg)
{
	uint8_t tag[1 + SNI_MAX];
	void *made = NULL;
	size_t n = 0, made_len = 0;
	const uint8_t *name;

	if (status != SSL_TICKET_SUCCESS && status != SSL_TICKET_SUCCESS_RENEW)
		return SSL_TICKET_RETURN_IGNORE_RENEW;
	if (peer_expired(sess))
		return SSL_TICKET_RETURN_IGNORE_RENEW;
	name = hello_name(ssl, &n);
	n = name_tag(name, n, tag);
	if (SSL_SESSION_get0_ticket_appdata(sess, &made, &made_len) != 1 || made_len != n ||
		(n > 0 && memcmp(made, tag, n) != 0))
		return SSL_TICKET_RETURN_IGNORE_RENEW;
	return status == SSL_TICKET_SUCCESS ? SSL_TICKET_RETURN_USE : SSL_TICKET_RETURN_USE_RENEW;
}

static bool
set_tickets(struct pst_tls_ctx *ctx, SSL_CTX *s, const struct pst_tls_conf *conf, char *err,
	size_t errlen)
{
	if (conf->tickets == 0)
		SSL_CTX_set_options(s, SSL_OP_NO_TICKET);
	if (conf->tickets > 2 || SSL_CTX_set_num_tickets(s, conf->tickets) != 1) {
		snprintf(err, errlen, "tickets %u: 0, 1 or 2", conf->tickets);
		return false;
	}
	SSL_CTX_set_timeout(s, TICKET_SECONDS);
	if (conf->ticket_key != NULL &&
		SSL_CTX_set_tlsext_ticket_keys(
			s, (void *)(uintptr_t)conf->ticket_key, TICKET_KEY_LEN) != 1)
		return pst_tls_conf_fault(err, errlen, "ticket key", NULL);
	if (SSL_CTX_set_session_ticket_cb(s, ticket_made, ticket_seen, NULL) != 1 ||
		SSL_CTX_set_session_id_context(s, ctx->profile, sizeof(ctx->profile)) != 1)
		return pst_tls_conf_fault(err, errlen, "session id context", NULL);
	return true;
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
	return set_tickets(ctx, s, conf, err, errlen) &&
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
