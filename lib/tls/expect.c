/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What one connection of ours expects of the server's certificate: names of which
 * one must be there, or fingerprints of which one must fit. Copied when the
 * session is made and let go when the handshake is done.
 *
 * RFC 9525: only subjectAltName counts, the common name never (2.1, 6.3); a
 * wildcard is the whole leftmost label and stands for one label (6.3); an address
 * is compared with iPAddress as bytes (6.4). Comparing whole names is OpenSSL's
 * (X509_check_host); "any name below" is ours: no flag of OpenSSL's refuses
 * partial wildcards there.
 */
#include "tls_int.h"
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <ctype.h>
#include <stdlib.h>

#define NAME_MAX_LEN 255

/* In lower case, without the dot at its end. False: no certificate can have it. */
static bool
clean(const char *given, char out[NAME_MAX_LEN + 1])
{
	size_t n = strlen(given);

	if (n > 0 && given[n - 1] == '.')
		n--;
	/* A leading dot would make OpenSSL accept any subdomain. */
	if (n == 0 || n > NAME_MAX_LEN || given[0] == '.')
		return false;
	for (size_t i = 0; i < n; i++) {
		if (given[i] <= ' ' || given[i] > '~')
			return false;
		out[i] = (char)tolower((unsigned char)given[i]);
	}
	out[n] = 0;
	return true;
}

static void
set_address(struct pst_tls_ref *r)
{
	struct pst_ip ip;

	if (pst_ip_parse(r->name, &ip) != PST_OK)
		return;
	r->ip_len = pst_ip_is4(&ip) ? 4 : 16;
	memcpy(r->ip, ip.b + sizeof(ip.b) - r->ip_len, r->ip_len);
}

/* The references and, behind them in one block, their names. */
static enum pst_rc
set_names(struct pst_tls *t, const struct pst_tls_expect *e)
{
	char(*names)[NAME_MAX_LEN + 1];

	if (e->nnames == 0)
		return PST_OK;
	if (e->nnames > PST_TLS_NAMES_MAX)
		return PST_INVAL;
	t->refs = calloc(e->nnames, sizeof(t->refs[0]) + sizeof(names[0]));
	if (t->refs == NULL)
		return PST_NOMEM;
	names = (void *)(t->refs + e->nnames);
	for (unsigned i = 0; i < e->nnames; i++) {
		struct pst_tls_ref *r = &t->refs[i];

		if (e->names[i].name == NULL || !clean(e->names[i].name, names[i]))
			return PST_INVAL;
		*r = (struct pst_tls_ref){.name = names[i], .subdomains = e->names[i].subdomains};
		set_address(r);
		if (r->subdomains && r->ip_len != 0)
			return PST_INVAL;
	}
	t->nrefs = e->nnames;
	t->named = true;
	return PST_OK;
}

static enum pst_rc
set_fingerprints(struct pst_tls *t, const struct pst_tls_expect *e)
{
	if (e->verify != PST_TLS_VERIFY_FINGERPRINT)
		return PST_OK;
	if (e->nfingerprints == 0)
		return PST_INVAL;
	t->fingerprints = calloc(e->nfingerprints, PST_TLS_DIGEST);
	if (t->fingerprints == NULL)
		return PST_NOMEM;
	memcpy(t->fingerprints, e->fingerprints, (size_t)e->nfingerprints * PST_TLS_DIGEST);
	t->nfingerprints = e->nfingerprints;
	t->named = true;
	return PST_OK;
}

/* RFC 6066 3: "Literal IPv4 and IPv6 addresses are not permitted", and no trailing dot. */
static enum pst_rc
set_sni(struct pst_tls *t, const char *given)
{
	char name[NAME_MAX_LEN + 1];
	struct pst_ip ip;

	if (given == NULL)
		return PST_OK;
	if (!clean(given, name))
		return PST_INVAL;
	if (pst_ip_parse(name, &ip) == PST_OK)
		return PST_OK;
	return SSL_set_tlsext_host_name(t->ssl, name) == 1 ? PST_OK : PST_NOMEM;
}

enum pst_rc
pst_tls_expect_set(struct pst_tls *t, const struct pst_tls_expect *e)
{
	enum pst_rc rc;

	t->verify = e->verify;
	/* Nothing to compare with is not a match. */
	if (e->verify > PST_TLS_VERIFY_FINGERPRINT ||
		(e->verify == PST_TLS_VERIFY_NAME && e->nnames == 0))
		return PST_INVAL;
	rc = set_names(t, e);
	if (rc == PST_OK)
		rc = set_fingerprints(t, e);
	return rc == PST_OK ? set_sni(t, e->servername) : rc;
}

void
pst_tls_expect_free(struct pst_tls *t)
{
	free(t->refs);
	free(t->fingerprints);
	t->refs = NULL;
	t->fingerprints = NULL;
	t->nrefs = t->nfingerprints = 0;
}

/* The names as they are: in another order they make another digest, which costs one handshake. */
bool
pst_tls_expect_digest(const struct pst_tls *t, EVP_MD_CTX *md)
{
	bool ok = pst_tls_digest_u32(md, t->verify) &&
		  pst_tls_digest_str(md, SSL_get_servername(t->ssl, TLSEXT_NAMETYPE_host_name)) &&
		  pst_tls_digest_u32(md, t->nrefs) && pst_tls_digest_u32(md, t->nfingerprints);

	for (unsigned i = 0; i < t->nrefs && ok; i++)
		ok = pst_tls_digest_u32(md, t->refs[i].subdomains) &&
		     pst_tls_digest_str(md, t->refs[i].name);
	for (unsigned i = 0; i < t->nfingerprints && ok; i++)
		ok = EVP_DigestUpdate(md, t->fingerprints[i], PST_TLS_DIGEST) == 1;
	return ok;
}

/*
 * Is this dNSName a name below `domain`? A wildcard for a whole first label covers
 * names below what follows it, so "*.example.com" is below example.com; any other
 * asterisk, a NUL or an empty label makes it no name at all.
 */
static bool
below(const ASN1_STRING *dns, const char *domain)
{
	const char *p = (const char *)ASN1_STRING_get0_data(dns);
	size_t n = (size_t)PST_MAX(ASN1_STRING_length(dns), 0), d = strlen(domain);
	size_t labels = n > 2 && p[0] == '*' && p[1] == '.' ? 2 : 0;

	if (n <= d + 1 || p[0] == '.')
		return false;
	for (size_t i = labels; i < n; i++)
		if (p[i] <= ' ' || p[i] > '~' || p[i] == '*' || (p[i] == '.' && p[i - 1] == '.'))
			return false;
	return p[n - d - 1] == '.' && strncasecmp(p + n - d, domain, d) == 0;
}

static bool
has_below(X509 *leaf, const char *domain)
{
	GENERAL_NAMES *san = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
	bool found = false;

	for (int i = 0; i < sk_GENERAL_NAME_num(san) && !found; i++) {
		const GENERAL_NAME *g = sk_GENERAL_NAME_value(san, i);

		found = g->type == GEN_DNS && below(g->d.dNSName, domain);
	}
	GENERAL_NAMES_free(san);
	return found;
}

bool
pst_tls_expect_named(const struct pst_tls *t, X509 *leaf)
{
	const unsigned flags =
		X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT;

	for (unsigned i = 0; i < t->nrefs; i++) {
		const struct pst_tls_ref *r = &t->refs[i];

		if (r->ip_len != 0 ? X509_check_ip(leaf, r->ip, r->ip_len, 0) == 1
			: r->subdomains
				? has_below(leaf, r->name)
				: X509_check_host(leaf, r->name, strlen(r->name), flags, NULL) == 1)
			return true;
	}
	return false;
}

static bool
pinned(const struct pst_tls *t, const uint8_t digest[PST_TLS_DIGEST])
{
	for (unsigned i = 0; i < t->nfingerprints; i++)
		if (memcmp(t->fingerprints[i], digest, PST_TLS_DIGEST) == 0)
			return true;
	return false;
}

/* The whole certificate, or its SubjectPublicKeyInfo, which outlives a renewal with the same key.
 */
bool
pst_tls_expect_pinned(const struct pst_tls *t, X509 *leaf)
{
	uint8_t md[EVP_MAX_MD_SIZE], *spki = NULL;
	int n;
	bool found;

	if (X509_digest(leaf, t->ctx->sha256, md, NULL) == 1 && pinned(t, md))
		return true;
	n = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(leaf), &spki);
	found = n > 0 && EVP_Digest(spki, (size_t)n, md, NULL, t->ctx->sha256, NULL) == 1 &&
		pinned(t, md);
	OPENSSL_free(spki);
	return found;
}
