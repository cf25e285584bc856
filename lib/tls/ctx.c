/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A profile becomes SSL_CTXs of one worker. Everything that can be wrong with a
 * profile is said here, when it is loaded.
 *
 * A server profile has one SSL_CTX for its default certificates and one for each
 * other set of certificates that a name selects (sni.c); all are built by the
 * same function, so they differ in certificates alone.
 */
#include "tls_int.h"
#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

/*
 * ECDHE with AEAD first. CBC stays at the end for old mail servers: the
 * alternative of an opportunistic peer is plaintext.
 */
#define DEFAULT_CIPHERS "ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AES:-AESCCM:-AESCCM8"
#define DEFAULT_GROUPS  "X25519:P-256:P-384"

/* Whatever the operator asks for: no finite-field DH, no anonymous, null or shared-key suites. */
#define NEVER_CIPHERS ":!kDHE:!aNULL:!eNULL:!kPSK:!kSRP:!EXPORT:!RC4"

#define TICKET_KEY_LEN   80
#define TICKET_SECONDS   3600
#define MAX_PEER_CHAIN   (64 * 1024)
#define DEFAULT_SECLEVEL 2

static bool
no(char *err, size_t errlen, const char *what, const char *which)
{
	char why[200];

	pst_crypto_errors(why, sizeof(why));
	snprintf(err, errlen, "%s%s%s: %s", what, which != NULL ? " " : "",
		which != NULL ? which : "", why);
	return false;
}

static bool
set_versions(SSL_CTX *s, const struct pst_tls_conf *conf, char *err, size_t errlen)
{
	uint16_t min = conf->min_version != 0 ? conf->min_version : PST_TLS_1_2;
	uint16_t max = conf->max_version != 0 ? conf->max_version : PST_TLS_1_3;

	if (min > max || min < PST_TLS_1_0 || max > PST_TLS_1_3) {
		snprintf(err, errlen, "TLS versions %#06x to %#06x: not a range within 1.0 to 1.3",
			min, max);
		return false;
	}
	if (SSL_CTX_set_min_proto_version(s, min) != 1 ||
		SSL_CTX_set_max_proto_version(s, max) != 1)
		return no(err, errlen, "TLS versions", NULL);
	return true;
}

/*
 * OpenSSL's security level (docs/tls.md has the table): 2 where certificates
 * count; 1 where any certificate will do, since an old next hop with a 1024-bit
 * key is still better than plaintext; 0 is the price of TLS 1.0 and 1.1, whose
 * handshake hash is SHA-1.
 */
static int
security_level(const struct pst_tls_conf *conf)
{
	if (conf->min_version != 0 && conf->min_version < PST_TLS_1_2)
		return 0;
	if (conf->side == PST_TLS_CLIENT && conf->verify == PST_TLS_VERIFY_OFF)
		return 1;
	return DEFAULT_SECLEVEL;
}

static bool
has_suite(SSL_CTX *s, const char *name, size_t len)
{
	STACK_OF(SSL_CIPHER) *all = SSL_CTX_get_ciphers(s);

	for (int i = 0; i < sk_SSL_CIPHER_num(all); i++) {
		const char *n = SSL_CIPHER_get_name(sk_SSL_CIPHER_value(all, i));

		if (strlen(n) == len && memcmp(n, name, len) == 0)
			return true;
	}
	return false;
}

/* OpenSSL 3.0 skips TLS 1.3 suites that it does not know; a typing error should be told. */
static bool
set_suites(SSL_CTX *s, const char *list, char *err, size_t errlen)
{
	if (list == NULL)
		return true;
	if (SSL_CTX_set_ciphersuites(s, list) != 1)
		return no(err, errlen, "ciphersuites", list);
	for (const char *p = list; *p != 0;) {
		size_t len = strcspn(p, ":");

		if (len > 0 && !has_suite(s, p, len)) {
			snprintf(err, errlen, "ciphersuites: \"%.*s\" is not a TLS 1.3 suite",
				(int)len, p);
			return false;
		}
		p += len + (p[len] == ':');
	}
	return true;
}

static bool
set_ciphers(SSL_CTX *s, const struct pst_tls_conf *conf, char *err, size_t errlen)
{
	const char *want = conf->ciphers != NULL ? conf->ciphers : DEFAULT_CIPHERS;
	size_t len = strlen(want) + sizeof(NEVER_CIPHERS);
	char *list = malloc(len);
	bool ok;

	if (list == NULL)
		return no(err, errlen, "ciphers", "out of memory");
	snprintf(list, len, "%s%s", want, NEVER_CIPHERS);
	ok = SSL_CTX_set_cipher_list(s, list) == 1;
	free(list);
	if (!ok)
		return no(err, errlen, "ciphers", want);
	return set_suites(s, conf->ciphersuites, err, errlen);
}

/*
 * Tries the names one after the other and keeps those that OpenSSL takes: 3.0
 * rejects a whole list for one name it does not know (X25519MLKEM768 in a
 * configuration for a newer library) or for a name given twice. Finite-field
 * groups are left out: we never do DHE.
 */
static bool
set_groups(SSL_CTX *s, const char *want, char *err, size_t errlen)
{
	char kept[256] = "", trial[256];

	if (want == NULL)
		want = DEFAULT_GROUPS;
	for (const char *p = want; *p != 0;) {
		size_t len = strcspn(p, ":, ");
		int n = snprintf(trial, sizeof(trial), "%s%s%.*s", kept, kept[0] != 0 ? ":" : "",
			(int)len, p);

		if (len > 0 && strncasecmp(p, "ffdhe", 5) != 0 && n < (int)sizeof(trial) &&
			SSL_CTX_set1_groups_list(s, trial) == 1)
			memcpy(kept, trial, sizeof(kept));
		p += len + (p[len] != 0);
	}
	ERR_clear_error();
	if (kept[0] != 0 && SSL_CTX_set1_groups_list(s, kept) == 1)
		return true;
	snprintf(err, errlen, "groups \"%s\": this OpenSSL knows none of them", want);
	return false;
}

static bool
set_certs(SSL_CTX *s, const struct pst_tls_conf *conf, unsigned mask, char *err, size_t errlen)
{
	for (unsigned i = 0; i < conf->ncerts; i++) {
		const struct pst_cert *c = conf->certs[i];
		char which[16];

		if ((mask & (1u << i)) == 0)
			continue;
		snprintf(which, sizeof(which), "%u", i);
		if (SSL_CTX_use_cert_and_key(s, c->leaf, c->key, c->chain, 1) != 1)
			return no(err, errlen, "certificate", which);
	}
	return true;
}

/* Tickets of one profile are worth nothing in another, also where both share the ticket key. */
static bool
set_session_id(struct pst_tls_ctx *ctx, SSL_CTX *s, const struct pst_tls_conf *conf)
{
	const char *name = conf->session_id_context != NULL ? conf->session_id_context : "postern";
	uint8_t md[EVP_MAX_MD_SIZE];
	unsigned n = 0;

	return EVP_Digest(name, strlen(name), md, &n, ctx->sha256, NULL) == 1 &&
	       SSL_CTX_set_session_id_context(
		       s, md, PST_MIN(n, (unsigned)SSL_MAX_SID_CTX_LENGTH)) == 1;
}

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
set_server(struct pst_tls_ctx *ctx, SSL_CTX *s, const struct pst_tls_conf *conf, char *err,
	size_t errlen)
{
	SSL_CTX_set_session_cache_mode(s, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_options(s, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
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
		return no(err, errlen, "ticket key", NULL);
	if (!set_session_id(ctx, s, conf))
		return no(err, errlen, "session id context", NULL);
	SSL_CTX_set_tlsext_servername_callback(s, pst_tls_sni_select);
	SSL_CTX_set_tlsext_servername_arg(s, ctx);
	if (conf->alpn_smtp)
		SSL_CTX_set_alpn_select_cb(s, select_alpn, NULL);
	return true;
}

/* Fatal alerts, for pst_tls_error. */
static void
note_alert(const SSL *ssl, int where, int value)
{
	struct pst_tls *t = SSL_get_app_data(ssl);

	if ((where & SSL_CB_ALERT) == 0 || t == NULL || value >> 8 != SSL3_AL_FATAL)
		return;
	if ((where & SSL_CB_READ) != 0)
		t->alert_in = (uint8_t)((value & 0xff) + 1);
	else
		t->alert_out = (uint8_t)((value & 0xff) + 1);
}

/* KeyUpdates, tickets, attempts to renegotiate: work for us that brings no data. */
static void
count_message(int write_p, int version, int type, const void *buf, size_t len, SSL *ssl, void *arg)
{
	struct pst_tls *t = SSL_get_app_data(ssl);

	if (t != NULL && t->done && !write_p && type == SSL3_RT_HANDSHAKE)
		t->idle_messages++;
}

SSL_CTX *
pst_tls_ctx_build(struct pst_tls_ctx *ctx, const struct pst_tls_conf *conf, unsigned certs,
	char *err, size_t errlen)
{
	bool server = conf->side == PST_TLS_SERVER;
	SSL_CTX *s = SSL_CTX_new_ex(pst_crypto_libctx(ctx->crypto), NULL,
		server ? TLS_server_method() : TLS_client_method());

	if (s == NULL) {
		no(err, errlen, "TLS context", NULL);
		return NULL;
	}
	SSL_CTX_set_mode(s, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	/*
	 * AUTO_RETRY (the default) stays: a read goes on behind a ticket, so that PST_AGAIN
	 * means that the input is used up, and the read buffer is released.
	 */
	SSL_CTX_set_options(s, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
	SSL_CTX_set_security_level(s, security_level(conf));
	SSL_CTX_set_max_cert_list(s, MAX_PEER_CHAIN);
	SSL_CTX_set_info_callback(s, note_alert);
	SSL_CTX_set_msg_callback(s, count_message);
	if (set_versions(s, conf, err, errlen) && set_ciphers(s, conf, err, errlen) &&
		set_groups(s, conf->groups, err, errlen) &&
		set_certs(s, conf, certs, err, errlen) &&
		(server ? set_server(ctx, s, conf, err, errlen)
			: pst_tls_verify_init(ctx, s, conf, err, errlen) == PST_OK))
		return s;
	SSL_CTX_free(s);
	ERR_clear_error();
	return NULL;
}

struct pst_tls_ctx *
pst_tls_ctx_new(struct pst_crypto *c, const struct pst_tls_conf *conf, char *err, size_t errlen)
{
	struct pst_tls_ctx *ctx = calloc(1, sizeof(*ctx));

	ERR_clear_error();
	if (ctx == NULL || (ctx->wire = pst_tls_wire_method()) == NULL ||
		(ctx->sha256 = EVP_MD_fetch(pst_crypto_libctx(c), "SHA256", NULL)) == NULL) {
		snprintf(err, errlen, "TLS context: out of memory");
		goto fail;
	}
	ctx->refs = 1;
	ctx->crypto = c;
	ctx->side = conf->side;
	ctx->verify = conf->verify;
	if (conf->ncerts > PST_TLS_MAX_CERTS ||
		(conf->side == PST_TLS_SERVER && conf->ncerts == 0)) {
		snprintf(err, errlen, "a server needs 1 to %d certificates", PST_TLS_MAX_CERTS);
		goto fail;
	}
	ctx->ssl = pst_tls_ctx_build(ctx, conf, pst_tls_sni_default(conf), err, errlen);
	if (ctx->ssl == NULL)
		goto fail;
	if (conf->side == PST_TLS_SERVER && pst_tls_sni_init(ctx, conf, err, errlen) != PST_OK)
		goto fail;
	return ctx;
fail:
	pst_tls_ctx_put(ctx);
	return NULL;
}

struct pst_tls_ctx *
pst_tls_ctx_get(struct pst_tls_ctx *ctx)
{
	ctx->refs++;
	return ctx;
}

void
pst_tls_ctx_put(struct pst_tls_ctx *ctx)
{
	if (ctx == NULL || (ctx->refs > 1 && --ctx->refs > 0))
		return;
	pst_tls_sni_fini(ctx);
	SSL_CTX_free(ctx->ssl);
	BIO_meth_free(ctx->wire);
	EVP_MD_free(ctx->sha256);
	free(ctx);
}
