/* SPDX-License-Identifier: BSD-3-Clause */
#include "soft.h"

#include <stdlib.h>
#include <string.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/provider.h>
#include <openssl/rsa.h>

struct soft {
	OSSL_LIB_CTX *lib;
	OSSL_PROVIDER *provider;
	struct soft *next; /* parked */
};

struct soft_key {
	unsigned n;
	EVP_PKEY_CTX *at[]; /* ready to decrypt or sign; by context */
};

static struct soft *parked;

static void
soft_free(struct soft *s)
{
	if (s->provider != NULL)
		OSSL_PROVIDER_unload(s->provider);
	OSSL_LIB_CTX_free(s->lib);
	free(s);
}

struct soft *
soft_get(void)
{
	struct soft *s = parked;

	if (s != NULL) {
		parked = s->next;
		return s;
	}
	s = calloc(1, sizeof(*s));
	if (s == NULL)
		return NULL;
	s->lib = OSSL_LIB_CTX_new();
	s->provider = s->lib != NULL ? OSSL_PROVIDER_load(s->lib, "default") : NULL;
	if (s->provider == NULL) { /* no thread has used it: this one may be freed */
		soft_free(s);
		ERR_clear_error();
		return NULL;
	}
	return s;
}

void
soft_put(struct soft *s)
{
	if (s == NULL)
		return;
	s->next = parked;
	parked = s;
}

OSSL_LIB_CTX *
soft_libctx(struct soft *s)
{
	return s->lib;
}

bool
soft_can(enum pst_op_form form, enum pst_op_group group, unsigned bits)
{
	switch (form) {
	case PST_FORM_CALL:
		return true;
	case PST_FORM_RSA_PRIV:
		return bits >= 512 && bits <= PST_OP_BYTES * 8;
	case PST_FORM_ECDSA_SIGN:
		return cryptodrv_order_bytes(group) != 0;
	}
	return false;
}

/* ---- keys ---- */

#define NUMBERS 8

/* Numbers on their way into a key; kept until OSSL_PARAM_BLD_to_param has read them. */
struct numbers {
	OSSL_PARAM_BLD *bld;
	BIGNUM *bn[NUMBERS];
	unsigned n;
	bool ok;
};

static void
push(struct numbers *m, const char *name, const struct pst_op_number *v)
{
	BIGNUM *bn = BN_secure_new();

	if (bn == NULL || BN_bin2bn(v->b, v->len, bn) == NULL ||
		OSSL_PARAM_BLD_push_BN(m->bld, name, bn) != 1)
		m->ok = false;
	m->bn[m->n++] = bn;
}

static void
push_rsa(struct numbers *m, const struct pst_op_key *key)
{
	push(m, OSSL_PKEY_PARAM_RSA_N, &key->n);
	push(m, OSSL_PKEY_PARAM_RSA_E, &key->e);
	push(m, OSSL_PKEY_PARAM_RSA_D, &key->d);
	if (key->p.len == 0)
		return;
	push(m, OSSL_PKEY_PARAM_RSA_FACTOR1, &key->p);
	push(m, OSSL_PKEY_PARAM_RSA_FACTOR2, &key->q);
	push(m, OSSL_PKEY_PARAM_RSA_EXPONENT1, &key->dp);
	push(m, OSSL_PKEY_PARAM_RSA_EXPONENT2, &key->dq);
	push(m, OSSL_PKEY_PARAM_RSA_COEFFICIENT1, &key->qinv);
}

/* `point` has room for 0x04, x and y, and outlives the numbers. */
static void
push_ec(struct numbers *m, const struct pst_op_key *key, uint8_t *point)
{
	size_t n = cryptodrv_order_bytes(key->group);

	if (n == 0 || key->x.len != n || key->y.len != n) {
		m->ok = false;
		return;
	}
	point[0] = POINT_CONVERSION_UNCOMPRESSED;
	memcpy(point + 1, key->x.b, n);
	memcpy(point + 1 + n, key->y.b, n);
	if (OSSL_PARAM_BLD_push_utf8_string(
		    m->bld, OSSL_PKEY_PARAM_GROUP_NAME, n == 32 ? "P-256" : "P-384", 0) != 1 ||
		OSSL_PARAM_BLD_push_octet_string(
			m->bld, OSSL_PKEY_PARAM_PUB_KEY, point, 1 + 2 * n) != 1)
		m->ok = false;
	push(m, OSSL_PKEY_PARAM_PRIV_KEY, &key->d);
}

static EVP_PKEY *
from_numbers(const struct pst_op_key *key, OSSL_LIB_CTX *lib)
{
	bool rsa = key->form == PST_FORM_RSA_PRIV;
	struct numbers m = {.bld = OSSL_PARAM_BLD_new(), .ok = true};
	uint8_t point[1 + 2 * 48];
	OSSL_PARAM *params = NULL;
	EVP_PKEY *pkey = NULL;
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(lib, rsa ? "RSA" : "EC", NULL);

	if (m.bld == NULL || ctx == NULL)
		goto out;
	if (rsa)
		push_rsa(&m, key);
	else
		push_ec(&m, key, point);
	if (!m.ok || (params = OSSL_PARAM_BLD_to_param(m.bld)) == NULL)
		goto out;
	if (EVP_PKEY_fromdata_init(ctx) != 1 ||
		EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_KEYPAIR, params) != 1)
		pkey = NULL;
out:
	OSSL_PARAM_free(params); /* the secret numbers are in its secure part: wiped */
	for (unsigned i = 0; i < m.n; i++)
		BN_clear_free(m.bn[i]);
	OSSL_PARAM_BLD_free(m.bld);
	EVP_PKEY_CTX_free(ctx);
	return pkey;
}

static EVP_PKEY_CTX *
ready(const struct pst_op_key *key, OSSL_LIB_CTX *lib)
{
	EVP_PKEY *pkey = from_numbers(key, lib);
	EVP_PKEY_CTX *ctx = pkey != NULL ? EVP_PKEY_CTX_new_from_pkey(lib, pkey, NULL) : NULL;
	bool ok = ctx != NULL;

	if (ok && key->form == PST_FORM_RSA_PRIV)
		ok = EVP_PKEY_decrypt_init(ctx) == 1 &&
		     EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_NO_PADDING) == 1;
	else if (ok)
		ok = EVP_PKEY_sign_init(ctx) == 1;
	EVP_PKEY_free(pkey); /* the context has it */
	if (!ok) {
		EVP_PKEY_CTX_free(ctx);
		ctx = NULL;
	}
	return ctx;
}

struct soft_key *
soft_key_new(const struct pst_op_key *key, struct soft *const *s, unsigned n)
{
	struct soft_key *k = calloc(1, sizeof(*k) + n * sizeof(k->at[0]));

	if (k == NULL || !soft_can(key->form, key->group, key->bits)) {
		free(k);
		return NULL;
	}
	k->n = n;
	for (unsigned i = 0; i < n; i++) {
		k->at[i] = ready(key, s[i]->lib);
		if (k->at[i] == NULL) {
			soft_key_free(k);
			ERR_clear_error();
			return NULL;
		}
	}
	return k;
}

void
soft_key_free(struct soft_key *k)
{
	if (k == NULL)
		return;
	for (unsigned i = 0; i < k->n; i++)
		EVP_PKEY_CTX_free(k->at[i]);
	free(k);
}

/* ---- operations ---- */

/* OpenSSL answers as many bytes as the modulus has, leading zeros included. */
static bool
run_rsa(struct pst_op *op, EVP_PKEY_CTX *ctx)
{
	size_t n = sizeof(op->out);

	if (EVP_PKEY_decrypt(ctx, op->out, &n, op->in, op->in_len) != 1 || n != op->key->n.len)
		return false;
	op->out_len = (uint16_t)n;
	return true;
}

/* A digest longer than the order is cut by OpenSSL (FIPS 186-4, 6.4). */
static bool
run_ecdsa(struct pst_op *op, EVP_PKEY_CTX *ctx)
{
	int order = (int)cryptodrv_order_bytes(op->key->group);
	uint8_t der[128];
	size_t n = sizeof(der);
	const uint8_t *p = der;
	ECDSA_SIG *sig = NULL;
	bool ok = EVP_PKEY_sign(ctx, der, &n, op->in, op->in_len) == 1 &&
		  (sig = d2i_ECDSA_SIG(NULL, &p, (long)n)) != NULL &&
		  BN_bn2binpad(ECDSA_SIG_get0_r(sig), op->out, order) == order &&
		  BN_bn2binpad(ECDSA_SIG_get0_s(sig), op->out + order, order) == order;

	if (ok)
		op->out_len = (uint16_t)(2 * order);
	ECDSA_SIG_free(sig);
	return ok;
}

bool
soft_run(struct pst_op *op, unsigned index, unsigned i)
{
	const struct soft_key *k;
	bool ok;

	if (op->form == PST_FORM_CALL) {
		pst_op_run(op, &ok); /* not run: not ok */
		return ok;
	}
	op->error = 0;
	/* Who cancelled does not wait for the answer: it need not be worked out. */
	if (atomic_load_explicit(&op->state, memory_order_relaxed) == PST_OP_CANCELLED)
		return false;
	if (!cryptodrv_op_fits(op) || (k = op->key->priv[index]) == NULL || i >= k->n)
		return false;
	ERR_clear_error();
	ok = op->form == PST_FORM_RSA_PRIV ? run_rsa(op, k->at[i]) : run_ecdsa(op, k->at[i]);
	if (!ok) {
		op->error = ERR_peek_error();
		ERR_clear_error();
	}
	return ok;
}
