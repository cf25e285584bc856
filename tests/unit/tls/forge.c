/* SPDX-License-Identifier: BSD-3-Clause */
#include "forge.h"
#include "tls_int.h"
#include <criterion/criterion.h>
#include <openssl/core_names.h>
#include <openssl/kdf.h>
#include <stdio.h>
#include <string.h>

#define KEY 16

static uint8_t secret13[32]; /* CLIENT_TRAFFIC_SECRET_0 of the last session */

static void
keylog(const SSL *ssl, const char *line)
{
	unsigned octet;

	if (strncmp(line, "CLIENT_TRAFFIC_SECRET_0 ", 24) != 0)
		return;
	line = strrchr(line, ' ') + 1;
	for (unsigned i = 0; i < sizeof(secret13); i++) {
		cr_assert_eq(sscanf(line + 2 * i, "%2x", &octet), 1);
		secret13[i] = (uint8_t)octet;
	}
}

/* RFC 8446 7.1, HKDF-Expand-Label with an empty context; one block is enough. */
static void
expand(const char *label, uint8_t *out, size_t n)
{
	uint8_t info[64] = {0, (uint8_t)n, (uint8_t)(6 + strlen(label))};
	OSSL_PARAM params[5], *at = params;
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
	EVP_KDF_CTX *c = EVP_KDF_CTX_new(kdf);
	int mode = EVP_KDF_HKDF_MODE_EXPAND_ONLY;
	size_t len = 3 + (size_t)sprintf((char *)info + 3, "tls13 %s", label) + 1;

	*at++ = OSSL_PARAM_construct_int(OSSL_KDF_PARAM_MODE, &mode);
	*at++ = OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char[]){"SHA256"}, 0);
	*at++ = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, secret13, sizeof(secret13));
	*at++ = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, info, len);
	*at = OSSL_PARAM_construct_end();
	cr_assert_eq(EVP_KDF_derive(c, out, n, params), 1);
	EVP_KDF_CTX_free(c);
	EVP_KDF_free(kdf);
}

/* RFC 5246 6.3: client key, server key, client IV (4 octets), server IV. */
static void
expand12(SSL *ssl, uint8_t block[2 * KEY + 8])
{
	uint8_t master[48], seed[13 + 64] = "key expansion";
	OSSL_PARAM params[4], *at = params;
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, "TLS1-PRF", NULL);
	EVP_KDF_CTX *c = EVP_KDF_CTX_new(kdf);

	cr_assert_eq(SSL_SESSION_get_master_key(SSL_get_session(ssl), master, sizeof(master)), 48);
	SSL_get_server_random(ssl, seed + 13, 32);
	SSL_get_client_random(ssl, seed + 45, 32);
	*at++ = OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char[]){"SHA256"}, 0);
	*at++ = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SECRET, master, sizeof(master));
	*at++ = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SEED, seed, sizeof(seed));
	*at = OSSL_PARAM_construct_end();
	cr_assert_eq(EVP_KDF_derive(c, block, 2 * KEY + 8, params), 1);
	EVP_KDF_CTX_free(c);
	EVP_KDF_free(kdf);
}

void
forge_begin(struct forge *f, struct pair *p, uint16_t version)
{
	uint8_t key[2 * KEY + 8];

	*f = (struct forge){.p = p, .tls13 = version == PST_TLS_1_3};
	p->sconf.max_version = version;
	p->sconf.ciphers = "ECDHE-ECDSA-AES128-GCM-SHA256";
	p->sconf.ciphersuites = "TLS_AES_128_GCM_SHA256";
	pair_contexts(p);
	SSL_CTX_set_keylog_callback(p->cctx->ssl, keylog);
	pair_sessions(p);
	cr_assert(pair_handshake(p), "%s", pst_tls_error(p->server.tls));
	if (f->tls13) {
		expand("key", key, KEY);
		expand("iv", f->iv, 12);
	} else {
		expand12(p->client.tls->ssl, key);
		memcpy(f->iv, key + 2 * KEY, 4);
		f->seq = 1; /* the Finished was 0 */
	}
	f->gcm = EVP_CIPHER_CTX_new();
	cr_assert_eq(EVP_EncryptInit_ex(f->gcm, EVP_aes_128_gcm(), NULL, key, NULL), 1);
}

void
forge_end(struct forge *f)
{
	EVP_CIPHER_CTX_free(f->gcm);
}

static void
put64(uint8_t *p, uint64_t v)
{
	for (unsigned i = 0; i < 8; i++)
		p[i] = (uint8_t)(v >> (56 - 8 * i));
}

/* in, n octets, and the tag behind them, under nonce and header. */
static void
seal(struct forge *f, const uint8_t nonce[12], const uint8_t *aad, int aadlen, const uint8_t *in,
	size_t n, uint8_t *out)
{
	int len;

	cr_assert_eq(EVP_EncryptInit_ex(f->gcm, NULL, NULL, NULL, nonce), 1);
	cr_assert_eq(EVP_EncryptUpdate(f->gcm, NULL, &len, aad, aadlen), 1);
	cr_assert_eq(EVP_EncryptUpdate(f->gcm, out, &len, in, (int)n), 1);
	cr_assert_eq(EVP_EncryptFinal_ex(f->gcm, out + n, &len), 1);
	cr_assert_eq(EVP_CIPHER_CTX_ctrl(f->gcm, EVP_CTRL_AEAD_GET_TAG, 16, out + n), 1);
	f->seq++;
}

static void
record13(struct forge *f, uint8_t type, const void *data, size_t n)
{
	uint8_t rec[5 + 16384 + 1 + 16] = {23, 3, 3}, inner[16384 + 1], nonce[12];

	memcpy(inner, data, n);
	inner[n] = type;
	rec[3] = (uint8_t)((n + 17) >> 8);
	rec[4] = (uint8_t)(n + 17);
	put64(nonce + 4, f->seq);
	memset(nonce, 0, 4);
	for (unsigned i = 0; i < 12; i++)
		nonce[i] ^= f->iv[i];
	seal(f, nonce, rec, 5, inner, n + 1, rec + 5);
	wire_put(&f->p->to_server, rec, 5 + n + 17);
}

static void
record12(struct forge *f, uint8_t type, const void *data, size_t n)
{
	uint8_t rec[5 + 8 + 16384 + 16] = {type, 3, 3}, aad[13], nonce[12];

	rec[3] = (uint8_t)((n + 24) >> 8);
	rec[4] = (uint8_t)(n + 24);
	put64(rec + 5, f->seq);
	memcpy(nonce, f->iv, 4);
	put64(nonce + 4, f->seq);
	put64(aad, f->seq);
	aad[8] = type;
	aad[9] = aad[10] = 3;
	aad[11] = (uint8_t)(n >> 8);
	aad[12] = (uint8_t)n;
	seal(f, nonce, aad, 13, data, n, rec + 13);
	wire_put(&f->p->to_server, rec, 5 + n + 24);
}

void
forge_record(struct forge *f, uint8_t type, const void *data, size_t n)
{
	cr_assert_leq(n, 16384);
	if (f->tls13)
		record13(f, type, data, n);
	else
		record12(f, type, data, n);
}
