/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The digest of a profile: of everything that decided whether a session could be
 * made. On a server it is the session-id context, on a client a part of the
 * cache's key; so a session never outlives the rules that it was made under, also
 * where a reload changes the rules and keeps names and ticket keys.
 *
 * The certificates of a server are not in it: renewing one forgets no session.
 */
#include "tls_int.h"
#include <openssl/evp.h>
#include <openssl/x509.h>

bool
pst_tls_digest_u32(EVP_MD_CTX *md, uint32_t v)
{
	return EVP_DigestUpdate(md, &v, sizeof(v)) == 1;
}

bool
pst_tls_digest_str(EVP_MD_CTX *md, const char *s)
{
	if (s == NULL)
		return pst_tls_digest_u32(md, UINT32_MAX);
	return pst_tls_digest_u32(md, (uint32_t)strlen(s)) &&
	       EVP_DigestUpdate(md, s, strlen(s)) == 1;
}

/* The exclusive or of the certificates' digests: a store keeps no order, and has none twice. */
static bool
digest_store(struct pst_tls_ctx *ctx, EVP_MD_CTX *md, X509_STORE *store)
{
	STACK_OF(X509) *certs = store != NULL ? X509_STORE_get1_all_certs(store) : NULL;
	uint8_t all[PST_TLS_DIGEST] = {0}, one[EVP_MAX_MD_SIZE];
	bool ok = store == NULL || certs != NULL;

	for (int i = 0; i < sk_X509_num(certs) && ok; i++) {
		ok = X509_digest(sk_X509_value(certs, i), ctx->sha256, one, NULL) == 1;
		for (unsigned j = 0; j < sizeof(all) && ok; j++)
			all[j] ^= one[j];
	}
	ok = ok && pst_tls_digest_u32(md, certs != NULL ? (uint32_t)sk_X509_num(certs) : 0) &&
	     EVP_DigestUpdate(md, all, sizeof(all)) == 1;
	sk_X509_pop_free(certs, X509_free);
	return ok;
}

bool
pst_tls_profile_init(struct pst_tls_ctx *ctx, const struct pst_tls_conf *conf, X509_STORE *store)
{
	const uint32_t numbers[] = {conf->side, conf->min_version, conf->max_version, conf->pfs,
		conf->client_cert, conf->ca_file != NULL};
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	bool ok;

	ok = md != NULL && EVP_DigestInit_ex(md, ctx->sha256, NULL) == 1 &&
	     EVP_DigestUpdate(md, numbers, sizeof(numbers)) == 1 &&
	     pst_tls_digest_str(md, conf->session_id_context) &&
	     pst_tls_digest_str(md, conf->ciphers) && pst_tls_digest_str(md, conf->ciphersuites) &&
	     pst_tls_digest_str(md, conf->groups) && digest_store(ctx, md, store) &&
	     EVP_DigestFinal_ex(md, ctx->profile, NULL) == 1;
	EVP_MD_CTX_free(md);
	return ok;
}
