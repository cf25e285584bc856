/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Signatures: a context of ours around the default provider's, for RSA, ECDSA and Ed25519.
 * Everything is passed on; what ends a signature or a verification may run elsewhere.
 *
 * It needs to be a context of its own for what a device wants and the default provider
 * does not give back: which key, and what was signed. TLS signs at most some 300 bytes;
 * what is longer has only the opaque form.
 */
#include "engine_int.h"
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TBS_MAX 512

enum algorithm { ALG_RSA, ALG_ECDSA, ALG_ED25519, ALGS };

static const char *const alg_names[ALGS] = {"RSA", "ECDSA", "ED25519"};
static const enum pst_op_kind alg_kinds[ALGS] = {
	PST_OP_RSA_SIGN, PST_OP_ECDSA_SIGN, PST_OP_EDDSA_SIGN};

/* The functions of the default provider: X(ours, its number, its name in core_dispatch.h). */
#define FUNCTIONS(X)                                                                               \
	X(newctx, NEWCTX)                                                                          \
	X(freectx, FREECTX)                                                                        \
	X(dupctx, DUPCTX)                                                                          \
	X(sign_init, SIGN_INIT)                                                                    \
	X(sign, SIGN)                                                                              \
	X(verify_init, VERIFY_INIT)                                                                \
	X(verify, VERIFY)                                                                          \
	X(verify_recover_init, VERIFY_RECOVER_INIT)                                                \
	X(verify_recover, VERIFY_RECOVER)                                                          \
	X(digest_sign_init, DIGEST_SIGN_INIT)                                                      \
	X(digest_sign_update, DIGEST_SIGN_UPDATE)                                                  \
	X(digest_sign_final, DIGEST_SIGN_FINAL)                                                    \
	X(digest_sign, DIGEST_SIGN)                                                                \
	X(digest_verify_init, DIGEST_VERIFY_INIT)                                                  \
	X(digest_verify_update, DIGEST_VERIFY_UPDATE)                                              \
	X(digest_verify_final, DIGEST_VERIFY_FINAL)                                                \
	X(digest_verify, DIGEST_VERIFY)                                                            \
	X(get_ctx_params, GET_CTX_PARAMS)                                                          \
	X(gettable_ctx_params, GETTABLE_CTX_PARAMS)                                                \
	X(set_ctx_params, SET_CTX_PARAMS)                                                          \
	X(settable_ctx_params, SETTABLE_CTX_PARAMS)                                                \
	X(get_ctx_md_params, GET_CTX_MD_PARAMS)                                                    \
	X(gettable_ctx_md_params, GETTABLE_CTX_MD_PARAMS)                                          \
	X(set_ctx_md_params, SET_CTX_MD_PARAMS)                                                    \
	X(settable_ctx_md_params, SETTABLE_CTX_MD_PARAMS)

struct functions {
#define MEMBER(name, number) OSSL_FUNC_signature_##name##_fn *name;
	FUNCTIONS(MEMBER)
#undef MEMBER
};

static struct functions inner[ALGS];

struct sig {
	enum algorithm alg;
	const struct functions *f;
	void *in;
	struct pst_crypto_key *key; /* registered ones; NULL */
	char md[32];
	size_t tbs_len; /* above TBS_MAX: not kept */
	uint8_t tbs[TBS_MAX];
};

/* ---- life ---- */

static void *
newctx(enum algorithm alg, void *provctx, const char *propq)
{
	struct sig *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->alg = alg;
	s->f = &inner[alg];
	s->in = s->f->newctx(provctx, propq);
	if (s->in == NULL) {
		free(s);
		return NULL;
	}
	return s;
}

static void *
newctx_rsa(void *provctx, const char *propq)
{
	return newctx(ALG_RSA, provctx, propq);
}

static void *
newctx_ecdsa(void *provctx, const char *propq)
{
	return newctx(ALG_ECDSA, provctx, propq);
}

static void *
newctx_ed25519(void *provctx, const char *propq)
{
	return newctx(ALG_ED25519, provctx, propq);
}

static void
freectx(void *ctx)
{
	struct sig *s = ctx;

	if (s == NULL)
		return;
	s->f->freectx(s->in);
	free(s);
}

static void *
dupctx(void *ctx)
{
	const struct sig *s = ctx;
	struct sig *d = malloc(sizeof(*d));

	if (d == NULL)
		return NULL;
	memcpy(d, s, offsetof(struct sig, tbs) + PST_MIN(s->tbs_len, (size_t)TBS_MAX));
	d->in = s->f->dupctx(s->in);
	if (d->in == NULL) {
		free(d);
		return NULL;
	}
	return d;
}

/* ---- passed on ---- */

static int
sign_init(void *ctx, void *provkey, const OSSL_PARAM params[])
{
	struct sig *s = ctx;

	return s->f->sign_init(s->in, provkey, params);
}

static int
sign(void *ctx, unsigned char *sig, size_t *siglen, size_t size, const unsigned char *tbs, size_t n)
{
	struct sig *s = ctx;

	return s->f->sign(s->in, sig, siglen, size, tbs, n);
}

static int
verify_init(void *ctx, void *provkey, const OSSL_PARAM params[])
{
	struct sig *s = ctx;

	return s->f->verify_init(s->in, provkey, params);
}

static int
verify(void *ctx, const unsigned char *sig, size_t siglen, const unsigned char *tbs, size_t n)
{
	struct sig *s = ctx;

	return s->f->verify(s->in, sig, siglen, tbs, n);
}

static int
verify_recover_init(void *ctx, void *provkey, const OSSL_PARAM params[])
{
	struct sig *s = ctx;

	return s->f->verify_recover_init(s->in, provkey, params);
}

static int
verify_recover(void *ctx, unsigned char *out, size_t *outlen, size_t size, const unsigned char *sig,
	size_t siglen)
{
	struct sig *s = ctx;

	return s->f->verify_recover(s->in, out, outlen, size, sig, siglen);
}

static int
digest_verify_init(void *ctx, const char *md, void *provkey, const OSSL_PARAM params[])
{
	struct sig *s = ctx;

	return s->f->digest_verify_init(s->in, md, provkey, params);
}

static int
digest_verify_update(void *ctx, const unsigned char *data, size_t n)
{
	struct sig *s = ctx;

	return s->f->digest_verify_update(s->in, data, n);
}

static int
get_ctx_params(void *ctx, OSSL_PARAM params[])
{
	struct sig *s = ctx;

	return s->f->get_ctx_params(s->in, params);
}

static int
set_ctx_params(void *ctx, const OSSL_PARAM params[])
{
	struct sig *s = ctx;

	return s->f->set_ctx_params(s->in, params);
}

static const OSSL_PARAM *
gettable_ctx_params(void *ctx, void *provctx)
{
	struct sig *s = ctx;

	return s != NULL ? s->f->gettable_ctx_params(s->in, provctx) : NULL;
}

static const OSSL_PARAM *
settable_ctx_params(void *ctx, void *provctx)
{
	struct sig *s = ctx;

	return s != NULL ? s->f->settable_ctx_params(s->in, provctx) : NULL;
}

static int
get_ctx_md_params(void *ctx, OSSL_PARAM params[])
{
	struct sig *s = ctx;

	return s->f->get_ctx_md_params(s->in, params);
}

static const OSSL_PARAM *
gettable_ctx_md_params(void *ctx)
{
	struct sig *s = ctx;

	return s->f->gettable_ctx_md_params(s->in);
}

static int
set_ctx_md_params(void *ctx, const OSSL_PARAM params[])
{
	struct sig *s = ctx;

	return s->f->set_ctx_md_params(s->in, params);
}

static const OSSL_PARAM *
settable_ctx_md_params(void *ctx)
{
	struct sig *s = ctx;

	return s->f->settable_ctx_md_params(s->in);
}

/* ---- signing ---- */

static int
digest_sign_init(void *ctx, const char *md, void *provkey, const OSSL_PARAM params[])
{
	struct sig *s = ctx;

	if (pst_prov_seen_key != NULL)
		*pst_prov_seen_key = provkey;
	if (provkey != NULL)
		s->key = pst_key_find(provkey);
	snprintf(s->md, sizeof(s->md), "%s", md != NULL ? md : "");
	s->tbs_len = 0;
	return s->f->digest_sign_init(s->in, md, provkey, params);
}

static int
digest_sign_update(void *ctx, const unsigned char *data, size_t n)
{
	struct sig *s = ctx;

	if (s->key != NULL && n <= TBS_MAX && s->tbs_len <= TBS_MAX - n)
		memcpy(s->tbs + s->tbs_len, data, n);
	s->tbs_len = n <= TBS_MAX ? PST_MIN(s->tbs_len + n, (size_t)TBS_MAX + 1) : TBS_MAX + 1;
	return s->f->digest_sign_update(s->in, data, n);
}

/* The end of a signature, as an operation. */
struct signing {
	struct sig *s;
	uint8_t *sig;
	size_t *siglen;
	size_t size;
	const uint8_t *tbs; /* one-shot */
	size_t n;
};

static uint8_t *
signature_of(void *arg, size_t *n)
{
	struct signing *g = arg;

	*n = *g->siglen;
	return g->sig;
}

static int
call_final(void *arg)
{
	struct signing *g = arg;

	return g->s->f->digest_sign_final(g->s->in, g->sig, g->siglen, g->size);
}

static int
call_one_shot(void *arg)
{
	struct signing *g = arg;

	return g->s->f->digest_sign(g->s->in, g->sig, g->siglen, g->size, g->tbs, g->n);
}

static OSSL_LIB_CTX *
lib_of(const struct sig *s)
{
	return s->key->crypto->lib;
}

/* Hashes what was to be signed. */
static EVP_MD *
digest_tbs(const struct sig *s, uint8_t digest[EVP_MAX_MD_SIZE])
{
	EVP_MD *md = EVP_MD_fetch(lib_of(s), s->md, NULL);

	if (md != NULL && EVP_Digest(s->tbs, s->tbs_len, digest, NULL, md, NULL) == 1)
		return md;
	EVP_MD_free(md);
	return NULL;
}

/* The padding that the context was told: RSA_PKCS1_PADDING, or RSA_PKCS1_PSS_PADDING as TLS uses
 * it (RFC 8446 4.2.3: the digest's own length as salt, and MGF1 with it); 0: another. */
static int
padding_of(const struct sig *s, const EVP_MD *md)
{
	char mgf1[32] = "";
	int pad = 0, salt = 0;
	OSSL_PARAM which[] = {OSSL_PARAM_int(OSSL_SIGNATURE_PARAM_PAD_MODE, &pad), OSSL_PARAM_END};
	OSSL_PARAM pss[] = {OSSL_PARAM_int(OSSL_SIGNATURE_PARAM_PSS_SALTLEN, &salt),
		OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_MGF1_DIGEST, mgf1, sizeof(mgf1)),
		OSSL_PARAM_END};

	if (s->f->get_ctx_params(s->in, which) != 1 || pad == RSA_PKCS1_PADDING)
		return pad;
	if (pad != RSA_PKCS1_PSS_PADDING || s->f->get_ctx_params(s->in, pss) != 1)
		return 0;
	return salt == RSA_PSS_SALTLEN_DIGEST && EVP_MD_is_a(md, mgf1) ? pad : 0;
}

static bool
fill_rsa(void *arg, struct pst_op *op)
{
	const struct sig *s = ((struct signing *)arg)->s;
	size_t n = s->key->shared->op.n.len;
	unsigned bits = s->key->shared->op.bits;
	uint8_t digest[EVP_MAX_MD_SIZE];
	EVP_MD *md = digest_tbs(s, digest);
	size_t em = (bits - 1 + 7) / 8; /* a byte less than n when bits is 8k + 1 */
	bool ok = false;

	op->in_len = op->out_len = (uint16_t)n;
	memset(op->in, 0, n - em);
	if (md != NULL && padding_of(s, md) == RSA_PKCS1_PSS_PADDING)
		ok = pst_pad_pss(lib_of(s), md, digest, bits, op->in + n - em);
	else if (md != NULL && padding_of(s, md) == RSA_PKCS1_PADDING)
		ok = pst_pad_pkcs1(md, digest, n, op->in);
	EVP_MD_free(md);
	return ok;
}

/* A faulty CRT signature gives away the key (Boneh, DeMillo, Lipton 1997): verified first. */
static bool
take_rsa(void *arg, const struct pst_op *op)
{
	struct signing *g = arg;
	const struct pst_engine_key *k = g->s->key->shared;

	if (op->out_len != k->op.n.len || g->size < op->out_len ||
		!pst_key_rsa_check(k, op->in, op->out))
		return false;
	memcpy(g->sig, op->out, op->out_len);
	*g->siglen = op->out_len;
	return true;
}

static bool
fill_ecdsa(void *arg, struct pst_op *op)
{
	const struct sig *s = ((struct signing *)arg)->s;
	size_t n = s->key->shared->op.d.len;
	uint8_t digest[EVP_MAX_MD_SIZE];
	EVP_MD *md = digest_tbs(s, digest);

	if (md == NULL)
		return false;
	/* FIPS 186-5 6.4.1: the leftmost bits of the digest, as many as the order has. */
	op->in_len = (uint16_t)PST_MIN((size_t)EVP_MD_get_size(md), n);
	memcpy(op->in, digest, op->in_len);
	op->out_len = (uint16_t)(2 * n);
	EVP_MD_free(md);
	return true;
}

static bool
take_ecdsa(void *arg, const struct pst_op *op)
{
	struct signing *g = arg;
	size_t n = g->s->key->shared->op.d.len;

	if (op->out_len != 2 * n)
		return false;
	*g->siglen = pst_pad_ecdsa_der(op->out, n, g->sig, g->size);
	return *g->siglen > 0;
}

/* The typed form: a key that back-ends have, and bytes that were kept. */
static void
add_typed(const struct sig *s, struct pst_ask *a)
{
	if (s->key == NULL)
		return;
	a->group = s->key->shared->op.group;
	if (s->alg == ALG_RSA)
		a->bits = s->key->shared->op.bits;
	if (s->tbs_len > TBS_MAX || s->md[0] == 0)
		return;
	a->form = s->key->shared->op.form;
	a->key = &s->key->shared->op;
	a->fill = s->alg == ALG_RSA ? fill_rsa : fill_ecdsa;
	a->take = s->alg == ALG_RSA ? take_rsa : take_ecdsa;
}

static int
digest_sign_final(void *ctx, unsigned char *sig, size_t *siglen, size_t size)
{
	struct sig *s = ctx;
	struct signing g = {.s = s, .sig = sig, .siglen = siglen, .size = size};
	struct pst_ask a = {.kind = alg_kinds[s->alg],
		.bits = s->alg == ALG_RSA ? (unsigned)PST_MIN(8 * size, (size_t)16384) : 0,
		.call = call_final,
		.product = signature_of,
		.arg = &g};

	if (sig == NULL) /* how long would it be? */
		return call_final(&g);
	add_typed(s, &a);
	return pst_ask_run(&a);
}

static int
digest_sign(void *ctx, unsigned char *sig, size_t *siglen, size_t size, const unsigned char *tbs,
	size_t n)
{
	struct sig *s = ctx;
	struct signing g = {.s = s, .sig = sig, .siglen = siglen, .size = size, .tbs = tbs, .n = n};
	struct pst_ask a = {.kind = alg_kinds[s->alg],
		.call = call_one_shot,
		.product = signature_of,
		.arg = &g};

	return sig == NULL ? call_one_shot(&g) : pst_ask_run(&a);
}

/* ---- verifying ---- */

struct verifying {
	struct sig *s;
	const uint8_t *sig;
	size_t siglen;
	const uint8_t *tbs;
	size_t n;
};

static int
call_verify_final(void *arg)
{
	struct verifying *v = arg;

	return v->s->f->digest_verify_final(v->s->in, v->sig, v->siglen);
}

static int
call_verify_one_shot(void *arg)
{
	struct verifying *v = arg;

	return v->s->f->digest_verify(v->s->in, v->sig, v->siglen, v->tbs, v->n);
}

static int
digest_verify_final(void *ctx, const unsigned char *sig, size_t siglen)
{
	struct verifying v = {.s = ctx, .sig = sig, .siglen = siglen};
	struct pst_ask a = {.kind = PST_OP_VERIFY, .call = call_verify_final, .arg = &v};

	return pst_ask_run(&a);
}

static int
digest_verify(
	void *ctx, const unsigned char *sig, size_t siglen, const unsigned char *tbs, size_t n)
{
	struct verifying v = {.s = ctx, .sig = sig, .siglen = siglen, .tbs = tbs, .n = n};
	struct pst_ask a = {.kind = PST_OP_VERIFY, .call = call_verify_one_shot, .arg = &v};

	return pst_ask_run(&a);
}

/* ---- the table ---- */

static void
take_inner(struct functions *f, const OSSL_DISPATCH *in)
{
#define TAKE(name, number)                                                                         \
	f->name = (OSSL_FUNC_signature_##name##_fn *)pst_prov_fn(in, OSSL_FUNC_SIGNATURE_##number);
	FUNCTIONS(TAKE)
#undef TAKE
}

/* Of the functions that the default provider has, ours; none that it lacks. */
static const OSSL_DISPATCH *
make(enum algorithm alg, const OSSL_DISPATCH *in)
{
	static OSSL_FUNC_signature_newctx_fn *const newctxs[ALGS] = {
		newctx_rsa, newctx_ecdsa, newctx_ed25519};
	static OSSL_DISPATCH ours[ALGS][32];
	OSSL_DISPATCH *d = ours[alg];

	take_inner(&inner[alg], in);
#define PUT(name, number)                                                                          \
	if (inner[alg].name != NULL)                                                               \
		*d++ = (OSSL_DISPATCH){OSSL_FUNC_SIGNATURE_##number, (void (*)(void))name};
	FUNCTIONS(PUT)
#undef PUT
	*d = (OSSL_DISPATCH){0, NULL};
	ours[alg][0].function =
		(void (*)(void))newctxs[alg]; /* each its own: it is told nothing else */
	return ours[alg];
}

const OSSL_DISPATCH *
pst_prov_signature(const char *names, const OSSL_DISPATCH *in)
{
	for (unsigned alg = 0; alg < ALGS; alg++)
		if (pst_prov_named(names, alg_names[alg]))
			return make((enum algorithm)alg, in);
	return NULL;
}
