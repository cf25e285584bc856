/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Session tickets of a server. Stateless for us: the session is in the ticket, under a key of the
 * ring (pst_tickets.h). A ticket under an older key is taken, and another is sent for it; under
 * a key that nobody has any more, it is as good as none. Nothing is done twice by a replayed
 * ticket: there is no early data.
 *
 * A ticket is taken back only under the rules it was made under (profile.c) and
 * for the server name it was made for: RFC 6066 3, "A server that implements this
 * extension MUST NOT accept the request to resume the session if the server_name
 * extension contains a different name." OpenSSL would resume in TLS 1.2 and
 * pretend that the old name was sent. So the name, or that there was none, travels
 * in the ticket; a ticket for another name is as good as none.
 */
#include "ring.h"
#include "tls_int.h"
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <ctype.h>
#include <stdio.h>

#define TICKETS_MAX     2
#define TICKET_LIFETIME 3600 /* s, where the profile says nothing */
#define IV_LEN          16   /* AES-CBC's */
#define SNI_MAX         255

/* ---- the key (RFC 5077 4: AES-CBC, then HMAC over it) ---- */

static bool
init_mac(EVP_MAC_CTX *mac, const struct pst_ticket_key *k)
{
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char[]){"SHA256"}, 0),
		OSSL_PARAM_construct_end()};

	return EVP_MAC_init(mac, k->mac, sizeof(k->mac), params) == 1;
}

static int
seal(struct pst_tls *t, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
	EVP_MAC_CTX *mac)
{
	const struct pst_ticket_key *k = &pst_tickets_set(t->ctx->tickets)->keys[0];

	memcpy(name, k->name, sizeof(k->name));
	if (RAND_bytes_ex(pst_crypto_libctx(t->ctx->crypto), iv, IV_LEN, 0) != 1 ||
		EVP_EncryptInit_ex2(cipher, t->ctx->ticket_cipher, k->aes, iv, NULL) != 1 ||
		!init_mac(mac, k))
		return -1;
	t->tickets_issued++;
	return 1;
}

/* 1: good; 2: good, and another ticket is due; 0: a full handshake. */
static int
unseal(struct pst_tls *t, const unsigned char *name, const unsigned char *iv,
	EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac)
{
	const struct pst_ticket_set *s = pst_tickets_set(t->ctx->tickets);
	const struct pst_ticket_key *k = s->keys;
	bool young;

	while (k < s->keys + s->n && memcmp(k->name, name, sizeof(k->name)) != 0)
		k++;
	if (k == s->keys + s->n) {
		t->ticket_unknown = true;
		return 0;
	}
	if (EVP_DecryptInit_ex2(cipher, t->ctx->ticket_cipher, k->aes, iv, NULL) != 1 ||
		!init_mac(mac, k))
		return -1;
	young = k == s->keys || k->kind == PST_TICKET_NEXT;
	t->ticket_old = !young;
	/* RFC 8446 C.4: clients should not use a ticket twice, so each brings another. */
	return young && SSL_version(t->ssl) < TLS1_3_VERSION ? 1 : 2;
}

static int
ticket_key(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
	EVP_MAC_CTX *mac, int enc)
{
	struct pst_tls *t = SSL_get_app_data(ssl);

	return enc == 1 ? seal(t, name, iv, cipher, mac) : unseal(t, name, iv, cipher, mac);
}

/* ---- the name ---- */

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

/* ---- settings ---- */

static bool
set_keys(struct pst_tls_ctx *ctx, SSL_CTX *s, const struct pst_tls_conf *conf)
{
	if (conf->ticket_keys == NULL)
		return true;
	ctx->tickets = conf->ticket_keys;
	/* Once: the other SSL_CTXs of the profile use it too. */
	if (ctx->ticket_cipher == NULL)
		ctx->ticket_cipher =
			EVP_CIPHER_fetch(pst_crypto_libctx(ctx->crypto), "AES-256-CBC", NULL);
	return ctx->ticket_cipher != NULL &&
	       SSL_CTX_set_tlsext_ticket_key_evp_cb(s, ticket_key) == 1;
}

bool
pst_tls_ticket_init(struct pst_tls_ctx *ctx, SSL_CTX *s, const struct pst_tls_conf *conf, char *err,
	size_t errlen)
{
	if (conf->tickets == 0)
		SSL_CTX_set_options(s, SSL_OP_NO_TICKET);
	if (conf->tickets > TICKETS_MAX || SSL_CTX_set_num_tickets(s, conf->tickets) != 1) {
		snprintf(err, errlen, "tickets %u: 0, 1 or 2", conf->tickets);
		return false;
	}
	SSL_CTX_set_timeout(
		s, conf->ticket_lifetime != 0 ? (long)conf->ticket_lifetime : TICKET_LIFETIME);
	if (SSL_CTX_set_max_early_data(s, 0) != 1 || !set_keys(ctx, s, conf))
		return pst_tls_conf_fault(err, errlen, "ticket keys", NULL);
	if (SSL_CTX_set_session_ticket_cb(s, ticket_made, ticket_seen, NULL) != 1 ||
		SSL_CTX_set_session_id_context(s, ctx->profile, sizeof(ctx->profile)) != 1)
		return pst_tls_conf_fault(err, errlen, "session id context", NULL);
	return true;
}

enum pst_rc
pst_tls_set_tickets(struct pst_tls *t, unsigned n)
{
	if (t->ctx->side != PST_TLS_SERVER || t->started || n > TICKETS_MAX ||
		SSL_set_num_tickets(t->ssl, n) != 1)
		return PST_INVAL;
	if (n == 0)
		SSL_set_options(t->ssl, SSL_OP_NO_TICKET);
	else
		SSL_clear_options(t->ssl, SSL_OP_NO_TICKET);
	return PST_OK;
}

void
pst_tls_ticket_use(const struct pst_tls *t, struct pst_tls_ticket_use *out)
{
	*out = (struct pst_tls_ticket_use){.issued = t->tickets_issued,
		.resumed = SSL_session_reused(t->ssl) == 1,
		.old_key = t->ticket_old,
		.unknown_key = t->ticket_unknown};
}
