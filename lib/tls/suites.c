/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Versions, cipher suites, groups and the security level of a profile, on either
 * side. What forward secrecy the profile asks for is settled here and nowhere
 * else: an operator's own list of ciphers is filtered by it, never trusted.
 */
#include "tls_int.h"
#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

/*
 * AEAD first. CBC stays at the end of its kind for old mail servers: the
 * alternative of an opportunistic peer is plaintext. Static RSA comes after all ECDHE.
 *
 * AES-128 before AES-256: what makes the difference is the digest behind it, of which a TLS 1.3
 * handshake hashes its whole key schedule. SHA-256 has instructions of its own where SHA-384 has
 * none: about a tenth of a server's handshake (docs/bench.md). Both are beyond any attack known.
 */
#define SUITES        "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
#define ECDHE_CIPHERS "ECDHE+AESGCM+AES128:ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AES"
#define RSA_CIPHERS   "kRSA+AESGCM+AES128:kRSA+AESGCM:kRSA+AES"
#define NO_CCM        ":-AESCCM:-AESCCM8"

#define DEFAULT_GROUPS   "X25519:P-256:P-384"
#define DEFAULT_SECLEVEL 2

/* Whatever the operator asks for: no finite-field DH, no anonymous, null or shared-key suites. */
#define NEVER_CIPHERS ":!kDHE:!aNULL:!eNULL:!kPSK:!kSRP:!EXPORT:!RC4"

/* By pst_tls_pfs. */
static const struct {
	const char *name, *ciphers, *filter;
} pfs_kinds[] = {
	[PST_TLS_PFS_ALLOWED] = {"allowed", ECDHE_CIPHERS ":" RSA_CIPHERS NO_CCM, ""},
	[PST_TLS_PFS_NONE] = {"none", RSA_CIPHERS NO_CCM, ":!kECDHE"},
	[PST_TLS_PFS_REQUIRED] = {"required", ECDHE_CIPHERS NO_CCM, ":!kRSA"},
};

bool
pst_tls_suites_cert_fits(const struct pst_tls_conf *conf, const struct pst_cert *cert)
{
	return conf->pfs != PST_TLS_PFS_NONE || EVP_PKEY_get_base_id(cert->key) == EVP_PKEY_RSA;
}

/* RFC 8446 has no key exchange without forward secrecy, so "none" ends at 1.2. */
bool
pst_tls_suites_check(const struct pst_tls_conf *conf, char *err, size_t errlen)
{
	bool fits = conf->side == PST_TLS_CLIENT;

	if (conf->pfs > PST_TLS_PFS_REQUIRED) {
		snprintf(err, errlen, "pfs: not a value");
		return false;
	}
	if (conf->pfs != PST_TLS_PFS_NONE)
		return true;
	if (conf->min_version > PST_TLS_1_2) {
		snprintf(err, errlen,
			"pfs none: TLS 1.3 is always forward-secret, so the lowest version cannot "
			"be 1.3");
		return false;
	}
	for (unsigned i = 0; i < conf->ncerts; i++)
		fits = fits || pst_tls_suites_cert_fits(conf, conf->certs[i]);
	if (!fits)
		snprintf(err, errlen,
			"pfs none: static RSA needs a certificate with an RSA key, and there is "
			"none");
	return fits;
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
	if (conf->pfs == PST_TLS_PFS_NONE)
		max = PST_MIN(max, (uint16_t)PST_TLS_1_2);
	if (SSL_CTX_set_min_proto_version(s, min) != 1 ||
		SSL_CTX_set_max_proto_version(s, max) != 1)
		return pst_tls_conf_fault(err, errlen, "TLS versions", NULL);
	return true;
}

/*
 * OpenSSL's security level (docs/tls.md has the table): 2 where certificates
 * count; 1 where any certificate will do, since an old next hop with a 1024-bit
 * key is still better than plaintext; 0 is the price of TLS 1.0 and 1.1, whose
 * handshake hash is SHA-1. A level in the operator's list of ciphers outranks all.
 */
static void
set_level(struct pst_tls_ctx *ctx, SSL_CTX *s, const struct pst_tls_conf *conf)
{
	bool legacy = conf->min_version != 0 && conf->min_version < PST_TLS_1_2;

	ctx->level = legacy ? 0 : DEFAULT_SECLEVEL;
	ctx->level_any = legacy ? 0 : 1;
	if (conf->ciphers != NULL && strstr(conf->ciphers, "@SECLEVEL=") != NULL)
		ctx->level = ctx->level_any = SSL_CTX_get_security_level(s);
	SSL_CTX_set_security_level(s, ctx->level);
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
		list = SUITES;
	if (SSL_CTX_set_ciphersuites(s, list) != 1)
		return pst_tls_conf_fault(err, errlen, "ciphersuites", list);
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

/* The list without what is never done and then, again, without what pfs rules out. */
static bool
try_ciphers(SSL_CTX *s, const char *want, const char *filter)
{
	char *list = NULL;
	bool ok = asprintf(&list, "%s" NEVER_CIPHERS "%s", want, filter) >= 0 &&
		  SSL_CTX_set_cipher_list(s, list) == 1;

	free(list);
	return ok;
}

static bool
set_ciphers(SSL_CTX *s, const struct pst_tls_conf *conf, char *err, size_t errlen)
{
	const char *want = conf->ciphers != NULL ? conf->ciphers : pfs_kinds[conf->pfs].ciphers;

	if (!try_ciphers(s, want, ""))
		return pst_tls_conf_fault(err, errlen, "ciphers", want);
	if (!try_ciphers(s, want, pfs_kinds[conf->pfs].filter)) {
		ERR_clear_error();
		snprintf(err, errlen, "ciphers %s: pfs %s allows none of them", want,
			pfs_kinds[conf->pfs].name);
		return false;
	}
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

bool
pst_tls_suites_init(struct pst_tls_ctx *ctx, SSL_CTX *s, const struct pst_tls_conf *conf, char *err,
	size_t errlen)
{
	if (!set_versions(s, conf, err, errlen) || !set_ciphers(s, conf, err, errlen) ||
		!set_groups(s, conf->groups, err, errlen))
		return false;
	set_level(ctx, s, conf);
	return true;
}
