/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which certificates answer which name. For each DNS name in the certificates'
 * SANs (RFC 9525 6.3: the common name is not one), the set is, for each kind of
 * key, the first certificate that has the name itself, else the first whose
 * wildcard covers it; so RSA and ECDSA stand side by side and the client's
 * signature algorithms choose. A name that no certificate has gets the default
 * set: the first certificate of each kind. Refusing it would only make senders
 * that do not verify fall back to plaintext; a profile may want that all the same.
 *
 * Sets are computed when the profile is loaded; a handshake does two binary
 * searches and one SSL_set_SSL_CTX.
 */
#include "tls_int.h"
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#define NAME_MAX_LEN 255

static int
kind_of(const struct pst_cert *c)
{
	return EVP_PKEY_get_base_id(c->key);
}

unsigned
pst_tls_sni_default(const struct pst_tls_conf *conf)
{
	unsigned mask = 0;

	for (unsigned i = 0; i < conf->ncerts; i++) {
		bool first = true;

		for (unsigned j = 0; j < i; j++)
			first = first && kind_of(conf->certs[j]) != kind_of(conf->certs[i]);
		if (first)
			mask |= 1u << i;
	}
	return mask;
}

/* The name in lower case; false if it is no host name that a client could send. */
static bool
fold(const ASN1_STRING *s, char out[NAME_MAX_LEN + 1])
{
	const uint8_t *p = ASN1_STRING_get0_data(s);
	int n = ASN1_STRING_length(s);

	if (n < 1 || n > NAME_MAX_LEN)
		return false;
	for (int i = 0; i < n; i++) {
		if (p[i] <= ' ' || p[i] > '~')
			return false;
		out[i] = (char)tolower(p[i]);
	}
	out[n] = 0;
	return true;
}

static bool
cert_has(const struct pst_cert *c, const char *name)
{
	GENERAL_NAMES *san = X509_get_ext_d2i(c->leaf, NID_subject_alt_name, NULL, NULL);
	char have[NAME_MAX_LEN + 1];
	bool found = false;

	for (int i = 0; i < sk_GENERAL_NAME_num(san) && !found; i++) {
		const GENERAL_NAME *g = sk_GENERAL_NAME_value(san, i);

		found = g->type == GEN_DNS && fold(g->d.dNSName, have) && strcmp(have, name) == 0;
	}
	GENERAL_NAMES_free(san);
	return found;
}

/* Adds the first certificate of each kind that has `name` and whose kind is not served yet. */
static unsigned
add_matching(const struct pst_tls_conf *conf, unsigned mask, const char *name)
{
	for (unsigned i = 0; i < conf->ncerts; i++) {
		bool served = false;

		for (unsigned j = 0; j < conf->ncerts; j++)
			served = served ||
				 ((mask & (1u << j)) != 0 &&
					 kind_of(conf->certs[j]) == kind_of(conf->certs[i]));
		if (!served && cert_has(conf->certs[i], name))
			mask |= 1u << i;
	}
	return mask;
}

static unsigned
set_for(const struct pst_tls_conf *conf, const char *name)
{
	unsigned mask = add_matching(conf, 0, name);
	const char *dot = name[0] != '*' ? strchr(name, '.') : NULL;
	char wild[NAME_MAX_LEN + 3];

	if (dot != NULL) {
		snprintf(wild, sizeof(wild), "*%s", dot);
		mask = add_matching(conf, mask, wild);
	}
	return mask;
}

/* Sets under construction: those already built, by their mask. */
struct sets {
	unsigned mask[256];
	SSL_CTX *ssl[256];
	unsigned n;
};

static SSL_CTX *
set_get(struct pst_tls_ctx *ctx, const struct pst_tls_conf *conf, struct sets *sets, unsigned mask,
	char *err, size_t errlen)
{
	SSL_CTX *s, **grown;

	for (unsigned i = 0; i < sets->n; i++)
		if (sets->mask[i] == mask)
			return sets->ssl[i];
	grown = realloc(ctx->sets, (ctx->nsets + 1) * sizeof(*grown));
	if (grown == NULL) {
		snprintf(err, errlen, "certificate names: out of memory");
		return NULL;
	}
	ctx->sets = grown;
	s = pst_tls_ctx_build(ctx, conf, mask, err, errlen);
	if (s == NULL)
		return NULL;
	ctx->sets[ctx->nsets++] = s;
	sets->mask[sets->n] = mask;
	sets->ssl[sets->n++] = s;
	return s;
}

static enum pst_rc
add_name(struct pst_tls_ctx *ctx, const struct pst_tls_conf *conf, struct sets *sets,
	const char *name, char *err, size_t errlen)
{
	struct pst_tls_name *grown;
	SSL_CTX *s;

	for (unsigned i = 0; i < ctx->nnames; i++)
		if (strcmp(ctx->names[i].name, name) == 0)
			return PST_OK;
	s = set_get(ctx, conf, sets, set_for(conf, name), err, errlen);
	if (s == NULL)
		return PST_INVAL;
	grown = realloc(ctx->names, (ctx->nnames + 1) * sizeof(*grown));
	if (grown == NULL || (ctx->names = grown, grown[ctx->nnames].name = strdup(name)) == NULL) {
		snprintf(err, errlen, "certificate names: out of memory");
		return PST_NOMEM;
	}
	ctx->names[ctx->nnames++].ssl = s;
	return PST_OK;
}

static enum pst_rc
add_cert_names(struct pst_tls_ctx *ctx, const struct pst_tls_conf *conf, struct sets *sets,
	const struct pst_cert *c, char *err, size_t errlen)
{
	GENERAL_NAMES *san = X509_get_ext_d2i(c->leaf, NID_subject_alt_name, NULL, NULL);
	char name[NAME_MAX_LEN + 1];
	enum pst_rc rc = PST_OK;

	for (int i = 0; i < sk_GENERAL_NAME_num(san) && rc == PST_OK; i++) {
		const GENERAL_NAME *g = sk_GENERAL_NAME_value(san, i);

		if (g->type == GEN_DNS && fold(g->d.dNSName, name))
			rc = add_name(ctx, conf, sets, name, err, errlen);
	}
	GENERAL_NAMES_free(san);
	return rc;
}

static int
by_name(const void *a, const void *b)
{
	return strcmp(
		((const struct pst_tls_name *)a)->name, ((const struct pst_tls_name *)b)->name);
}

enum pst_rc
pst_tls_sni_init(struct pst_tls_ctx *ctx, const struct pst_tls_conf *conf, char *err, size_t errlen)
{
	struct sets sets = {.mask = {pst_tls_sni_default(conf)}, .ssl = {ctx->ssl}, .n = 1};
	enum pst_rc rc = PST_OK;

	for (unsigned i = 0; i < conf->ncerts && rc == PST_OK; i++)
		rc = add_cert_names(ctx, conf, &sets, conf->certs[i], err, errlen);
	if (ctx->nnames > 1)
		qsort(ctx->names, ctx->nnames, sizeof(ctx->names[0]), by_name);
	ERR_clear_error(); /* a certificate without SAN leaves nothing that matters */
	return rc;
}

void
pst_tls_sni_fini(struct pst_tls_ctx *ctx)
{
	for (unsigned i = 0; i < ctx->nsets; i++)
		SSL_CTX_free(ctx->sets[i]);
	for (unsigned i = 0; i < ctx->nnames; i++)
		free(ctx->names[i].name);
	free(ctx->sets);
	free(ctx->names);
}

static SSL_CTX *
lookup(const struct pst_tls_ctx *ctx, char *name)
{
	struct pst_tls_name want = {.name = name};
	struct pst_tls_name *hit = NULL;

	if (ctx->nnames > 0)
		hit = bsearch(&want, ctx->names, ctx->nnames, sizeof(want), by_name);
	return hit != NULL ? hit->ssl : NULL;
}

/*
 * Nobody's name. RFC 6066 3: "either abort the handshake by sending a fatal-level
 * unrecognized_name(112) alert or continue the handshake."
 */
static int
unknown(const struct pst_tls_ctx *ctx, int *alert)
{
	if (!ctx->strict_names)
		return SSL_TLSEXT_ERR_NOACK;
	*alert = SSL_AD_UNRECOGNIZED_NAME;
	return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/*
 * The servername callback. Names with bytes that no host name has are refused
 * before anything stores or logs them. RFC 6066 3: no trailing dot is sent, and
 * one that is sent anyway is ignored.
 */
int
pst_tls_sni_select(SSL *ssl, int *alert, void *arg)
{
	const struct pst_tls_ctx *ctx = arg;
	const char *sni = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	char name[NAME_MAX_LEN + 2];
	SSL_CTX *s;
	size_t n;

	if (sni == NULL)
		return SSL_TLSEXT_ERR_NOACK;
	n = strlen(sni);
	for (size_t i = 0; i < n && n <= NAME_MAX_LEN; i++) {
		if (sni[i] <= ' ' || sni[i] > '~') {
			*alert = SSL_AD_ILLEGAL_PARAMETER;
			return SSL_TLSEXT_ERR_ALERT_FATAL;
		}
		name[i] = (char)tolower((unsigned char)sni[i]);
	}
	if (n == 0 || n > NAME_MAX_LEN)
		return unknown(ctx, alert);
	name[n - (name[n - 1] == '.')] = 0;
	s = lookup(ctx, name);
	if (s == NULL) {
		char *dot = strchr(name, '.');

		/* "a.b": the wildcard takes the place of the whole first label. */
		if (dot == NULL || dot == name)
			return unknown(ctx, alert);
		dot[-1] = '*';
		s = lookup(ctx, dot - 1);
	}
	if (s == NULL)
		return unknown(ctx, alert);
	return s == ctx->ssl || SSL_set_SSL_CTX(ssl, s) != NULL ? SSL_TLSEXT_ERR_OK
								: SSL_TLSEXT_ERR_NOACK;
}
