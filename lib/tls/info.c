/* SPDX-License-Identifier: BSD-3-Clause */
/* What a session is, for logs and the Received field; and why one failed. */
#include "tls_int.h"
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>

static const char *
outcome(const struct pst_tls *t)
{
	if (t->ctx->side == PST_TLS_SERVER && SSL_get0_peer_certificate(t->ssl) == NULL)
		return "none";
	if (pst_tls_verify_is_name_error(t->verify_error))
		return "trusted";
	if (t->verify_error != X509_V_OK)
		return "untrusted";
	return t->named ? "verified" : "trusted";
}

static const char *
group_name(SSL *ssl)
{
	long nid = SSL_get_negotiated_group(ssl);
	const char *name;

	/* Static RSA, and TLS 1.2 sessions resumed without a key exchange, have no group. */
	if (nid == NID_undef)
		return "none";
	name = nid == NID_X9_62_prime256v1 ? "secp256r1" : OBJ_nid2sn((int)nid);
	return name == NULL     ? "none"
	       : name[0] == 'X' ? (nid == NID_X25519 ? "x25519" : "x448")
				: name;
}

void
pst_tls_info(const struct pst_tls *t, struct pst_tls_info *out)
{
	const SSL_CIPHER *c = t->done ? SSL_get_current_cipher(t->ssl) : NULL;

	*out = (struct pst_tls_info){.version = "none",
		.cipher = "none",
		.cipher_iana = "none",
		.group = "none",
		.verify = "none",
		.verify_text = "none"};
	if (c == NULL)
		return;
	out->version = SSL_get_version(t->ssl);
	out->cipher = SSL_CIPHER_get_name(c);
	out->cipher_iana = SSL_CIPHER_standard_name(c);
	out->group = group_name(t->ssl);
	out->bits = SSL_CIPHER_get_bits(c, NULL);
	out->resumed = SSL_session_reused(t->ssl) == 1;
	if (t->ctx->side == PST_TLS_SERVER)
		out->server_name = SSL_get_servername(t->ssl, TLSEXT_NAMETYPE_host_name);
	out->verify = outcome(t);
	out->verify_error = t->verify_error;
	out->verify_text = pst_tls_verify_text(t->verify_error);
}

/* OpenSSL 3.0 has no words for two alerts of TLS 1.3. */
static const char *
alert_name(int alert)
{
	if (alert == TLS13_AD_CERTIFICATE_REQUIRED)
		return "certificate required";
	if (alert == TLS13_AD_MISSING_EXTENSION)
		return "missing extension";
	return SSL_alert_desc_string_long(alert);
}

/*
 * "certificate verify failed: self-signed certificate (sent alert: bad
 * certificate)": our words and OpenSSL's tables; nothing the peer chose.
 */
void
pst_tls_fail(struct pst_tls *t, const char *what)
{
	char why[256] = "", alert[80] = "", line[512];
	bool verify =
		t->verify_error != X509_V_OK &&
		(t->ctx->side == PST_TLS_SERVER || !pst_tls_verify_enough(t, t->verify_error));

	if (what == NULL && t->alert_in != 0)
		what = "the peer refused";
	if (what == NULL)
		pst_crypto_errors(why, sizeof(why));
	if (t->alert_in != 0)
		snprintf(
			alert, sizeof(alert), " (received alert: %s)", alert_name(t->alert_in - 1));
	else if (t->alert_out != 0)
		snprintf(alert, sizeof(alert), " (sent alert: %s)", alert_name(t->alert_out - 1));
	snprintf(line, sizeof(line), "%s%s%s%s", what != NULL ? what : why, verify ? ": " : "",
		verify ? pst_tls_verify_text(t->verify_error) : "", alert);
	ERR_clear_error();
	free(t->error);
	t->error = strdup(line);
	t->failed = true;
}

const char *
pst_tls_error(const struct pst_tls *t)
{
	if (t->error != NULL)
		return t->error;
	return t->failed ? "failed; no memory for the cause" : "no error";
}
