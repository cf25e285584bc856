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

#define MAX_PEER_CHAIN (64 * 1024)

bool
pst_tls_conf_fault(char *err, size_t errlen, const char *what, const char *which)
{
	char why[200];

	pst_crypto_errors(why, sizeof(why));
	snprintf(err, errlen, "%s%s%s: %s", what, which != NULL ? " " : "",
		which != NULL ? which : "", why);
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
			return pst_tls_conf_fault(err, errlen, "certificate", which);
	}
	return true;
}

/* Fatal alerts, for pst_tls_error; warnings are counted. */
static void
note_alert(const SSL *ssl, int where, int value)
{
	struct pst_tls *t = SSL_get_app_data(ssl);

	pst_waiter_stack(); /* OpenSSL calls here whenever it begins or ends something */
	if ((where & SSL_CB_ALERT) == 0 || t == NULL)
		return;
	if (value >> 8 != SSL3_AL_FATAL) {
		if ((where & SSL_CB_READ) != 0 && (value & 0xff) != SSL_AD_CLOSE_NOTIFY)
			pst_tls_flood_warning(t);
		return;
	}
	if ((where & SSL_CB_READ) != 0)
		t->alert_in = (uint8_t)((value & 0xff) + 1);
	else
		t->alert_out = (uint8_t)((value & 0xff) + 1);
}

/* Records and messages of the peer's, as OpenSSL meets them: flood.c counts. */
static void
count_message(int write_p, int version, int type, const void *buf, size_t len, SSL *ssl, void *arg)
{
	struct pst_tls *t = SSL_get_app_data(ssl);

	if (t == NULL || write_p)
		return;
	if (type == SSL3_RT_HEADER && len == SSL3_RT_HEADER_LENGTH)
		pst_tls_flood_record(t, buf);
	else if (type == SSL3_RT_HANDSHAKE && len > 0)
		pst_tls_flood_message(t, *(const uint8_t *)buf);
}

/* Once, with the first SSL_CTX: the others differ in certificates alone. */
static bool
set_profile(struct pst_tls_ctx *ctx, SSL_CTX *s, const struct pst_tls_conf *conf, char *err,
	size_t errlen)
{
	if (ctx->ssl != NULL || pst_tls_profile_init(ctx, conf, SSL_CTX_get_cert_store(s)))
		return true;
	return pst_tls_conf_fault(err, errlen, "digest of the profile", NULL);
}

/* Sessions leave through the callback alone; OpenSSL's own cache would keep them twice. */
static bool
set_client(SSL_CTX *s)
{
	SSL_CTX_set_session_cache_mode(s,
		SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL | SSL_SESS_CACHE_NO_AUTO_CLEAR);
	SSL_CTX_sess_set_new_cb(s, pst_tls_cache_store);
	return true;
}

SSL_CTX *
pst_tls_ctx_build(struct pst_tls_ctx *ctx, const struct pst_tls_conf *conf, unsigned certs,
	char *err, size_t errlen)
{
	bool server = conf->side == PST_TLS_SERVER;
	SSL_CTX *s = SSL_CTX_new_ex(pst_crypto_libctx(ctx->crypto), NULL,
		server ? TLS_server_method() : TLS_client_method());

	if (s == NULL) {
		pst_tls_conf_fault(err, errlen, "TLS context", NULL);
		return NULL;
	}
	SSL_CTX_set_mode(s, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	/*
	 * AUTO_RETRY (the default) stays: a read goes on behind a ticket, so that PST_AGAIN
	 * means that the input is used up, and the read buffer is released.
	 */
	SSL_CTX_set_options(s, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
	SSL_CTX_set_max_cert_list(s, MAX_PEER_CHAIN);
	SSL_CTX_set_info_callback(s, note_alert);
	SSL_CTX_set_msg_callback(s, count_message);
	if (pst_tls_suites_init(ctx, s, conf, err, errlen) &&
		set_certs(s, conf, certs, err, errlen) &&
		pst_tls_verify_init(ctx, s, conf, err, errlen) &&
		set_profile(ctx, s, conf, err, errlen) &&
		(server ? pst_tls_server_init(ctx, s, conf, err, errlen) : set_client(s)))
		return s;
	SSL_CTX_free(s);
	ERR_clear_error();
	return NULL;
}

/* The profile as far as it can be used: without certificates that its key exchanges cannot use. */
static struct pst_tls_conf
usable(const struct pst_tls_conf *conf)
{
	struct pst_tls_conf c = *conf;

	c.ncerts = 0;
	for (unsigned i = 0; i < conf->ncerts; i++)
		if (pst_tls_suites_cert_fits(conf, conf->certs[i]))
			c.certs[c.ncerts++] = conf->certs[i];
	return c;
}

static bool
build_all(struct pst_tls_ctx *ctx, const struct pst_tls_conf *given, char *err, size_t errlen)
{
	struct pst_tls_conf conf;

	if (given->ncerts > PST_TLS_MAX_CERTS ||
		(given->side == PST_TLS_SERVER && given->ncerts == 0)) {
		snprintf(err, errlen, "a server needs 1 to %d certificates", PST_TLS_MAX_CERTS);
		return false;
	}
	if (!pst_tls_suites_check(given, err, errlen))
		return false;
	conf = usable(given);
	for (unsigned i = 0; i < conf.ncerts; i++)
		ctx->keys[i] = pst_crypto_key_get(conf.certs[i]->known);
	ctx->ssl = pst_tls_ctx_build(ctx, &conf, pst_tls_sni_default(&conf), err, errlen);
	return ctx->ssl != NULL &&
	       (conf.side == PST_TLS_CLIENT || pst_tls_sni_init(ctx, &conf, err, errlen) == PST_OK);
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
	ctx->client_cert = conf->client_cert;
	ctx->strict_names = conf->strict_names;
	if (build_all(ctx, conf, err, errlen))
		return ctx;
fail:
	pst_tls_ctx_put(ctx);
	return NULL;
}

struct pst_tls_ctx *
pst_tls_ctx_get(struct pst_tls_ctx *ctx)
{
	atomic_fetch_add_explicit(&ctx->refs, 1, memory_order_relaxed);
	return ctx;
}

void
pst_tls_ctx_put(struct pst_tls_ctx *ctx)
{
	if (ctx == NULL || atomic_fetch_sub(&ctx->refs, 1) > 1)
		return;
	pst_tls_sni_fini(ctx);
	SSL_CTX_free(ctx->ssl);
	BIO_meth_free(ctx->wire);
	EVP_MD_free(ctx->sha256);
	for (unsigned i = 0; i < PST_TLS_MAX_CERTS; i++)
		pst_crypto_key_put(ctx->keys[i]);
	EVP_CIPHER_free(ctx->ticket_cipher);
	free(ctx);
}
