/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Private keys that a device may have: as numbers once for all workers, and known by the
 * address under which the provider of each worker's context sees them.
 *
 * The address is learned by beginning a signature with the key (nothing is signed). While
 * the entry holds the EVP_PKEY nothing else can stand there. A worker looks keys up without
 * a lock: it only compares addresses, and follows one only for a key whose TLS context, and
 * so whose entry, its session holds.
 */
#include "engine_int.h"
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS 16384 /* of all contexts; keys beyond half of it stay with OpenSSL */
#define TOMB  ((void *)1)

static struct {
	_Atomic(void *) keydata;
	_Atomic(struct pst_crypto_key *) key;
} slots[SLOTS];
static unsigned used; /* tombs too */
static pthread_mutex_t slots_lock = PTHREAD_MUTEX_INITIALIZER;

_Thread_local void **pst_prov_seen_key;

static unsigned
slot_of(const void *p)
{
	return (unsigned)(((uintptr_t)p >> 4) * 0x9e3779b97f4a7c15ull >> 50) % SLOTS;
}

struct pst_crypto_key *
pst_key_find(const void *keydata)
{
	for (unsigned i = slot_of(keydata), n = 0; n < SLOTS; i = (i + 1) % SLOTS, n++) {
		void *have = atomic_load_explicit(&slots[i].keydata, memory_order_acquire);

		if (have == keydata)
			return atomic_load_explicit(&slots[i].key, memory_order_relaxed);
		if (have == NULL)
			return NULL;
	}
	return NULL;
}

static bool
slot_take(struct pst_crypto_key *k)
{
	bool done = false;

	pthread_mutex_lock(&slots_lock);
	for (unsigned i = slot_of(k->keydata), n = 0; n < SLOTS; i = (i + 1) % SLOTS, n++) {
		void *have = atomic_load(&slots[i].keydata);

		if (have != NULL && have != TOMB)
			continue;
		if (have == NULL && used >= SLOTS / 2)
			break;
		used += have == NULL;
		atomic_store_explicit(&slots[i].key, k, memory_order_relaxed);
		atomic_store_explicit(&slots[i].keydata, k->keydata, memory_order_release);
		done = true;
		break;
	}
	pthread_mutex_unlock(&slots_lock);
	return done;
}

/* Tombs before an empty slot stand in nobody's way: else keys that come and go use all up. */
static void
slot_bury(unsigned i)
{
	atomic_store(&slots[i].keydata, TOMB);
	if (atomic_load(&slots[(i + 1) % SLOTS].keydata) != NULL)
		return;
	for (; atomic_load(&slots[i].keydata) == TOMB; i = (i + SLOTS - 1) % SLOTS) {
		atomic_store(&slots[i].keydata, NULL);
		used--;
	}
}

static void
slot_give(const struct pst_crypto_key *k)
{
	pthread_mutex_lock(&slots_lock);
	for (unsigned i = slot_of(k->keydata), n = 0; n < SLOTS; i = (i + 1) % SLOTS, n++) {
		if (atomic_load(&slots[i].keydata) != k->keydata)
			continue;
		slot_bury(i);
		break;
	}
	pthread_mutex_unlock(&slots_lock);
}

/* ---- a key as numbers ---- */

static bool
number(const EVP_PKEY *pkey, const char *name, size_t len, struct pst_op_number *out)
{
	BIGNUM *bn = NULL;
	bool ok = EVP_PKEY_get_bn_param(pkey, name, &bn) == 1 && len <= sizeof(out->b) &&
		  BN_bn2binpad(bn, out->b, (int)len) == (int)len;

	out->len = ok ? (uint16_t)len : 0;
	BN_clear_free(bn);
	return ok;
}

static bool
export_rsa(const EVP_PKEY *pkey, struct pst_op_key *k)
{
	size_t n = ((size_t)EVP_PKEY_get_bits(pkey) + 7) / 8, half = (n + 1) / 2;
	BIGNUM *third = NULL;
	bool multi = EVP_PKEY_get_bn_param(pkey, "rsa-factor3", &third) == 1;

	BN_clear_free(third);
	k->form = PST_FORM_RSA_PRIV;
	k->bits = (uint16_t)EVP_PKEY_get_bits(pkey);
	if (multi || n > PST_OP_BYTES || !number(pkey, OSSL_PKEY_PARAM_RSA_N, n, &k->n) ||
		!number(pkey, OSSL_PKEY_PARAM_RSA_E, 8, &k->e) ||
		!number(pkey, OSSL_PKEY_PARAM_RSA_D, n, &k->d))
		return false;
	if (!number(pkey, OSSL_PKEY_PARAM_RSA_FACTOR1, half, &k->p) ||
		!number(pkey, OSSL_PKEY_PARAM_RSA_FACTOR2, half, &k->q) ||
		!number(pkey, OSSL_PKEY_PARAM_RSA_EXPONENT1, half, &k->dp) ||
		!number(pkey, OSSL_PKEY_PARAM_RSA_EXPONENT2, half, &k->dq) ||
		!number(pkey, OSSL_PKEY_PARAM_RSA_COEFFICIENT1, half, &k->qinv))
		k->p.len = 0;
	return true;
}

static bool
export_ec(const EVP_PKEY *pkey, struct pst_op_key *k)
{
	char group[32] = "";
	size_t n;

	EVP_PKEY_get_group_name(pkey, group, sizeof(group), NULL);
	if (strcmp(group, SN_X9_62_prime256v1) == 0)
		k->group = PST_GROUP_P256;
	else if (strcmp(group, SN_secp384r1) == 0)
		k->group = PST_GROUP_P384;
	else
		return false;
	n = k->group == PST_GROUP_P256 ? 32 : 48;
	k->form = PST_FORM_ECDSA_SIGN;
	k->bits = (uint16_t)(8 * n);
	return number(pkey, OSSL_PKEY_PARAM_PRIV_KEY, n, &k->d) &&
	       number(pkey, OSSL_PKEY_PARAM_EC_PUB_X, n, &k->x) &&
	       number(pkey, OSSL_PKEY_PARAM_EC_PUB_Y, n, &k->y);
}

static bool
export_key(const EVP_PKEY *pkey, struct pst_op_key *k)
{
	if (EVP_PKEY_is_a(pkey, "RSA"))
		return export_rsa(pkey, k);
	return EVP_PKEY_is_a(pkey, "EC") && export_ec(pkey, k);
}

/* ---- shared by all workers ---- */

static bool
same_key(const struct pst_op_key *a, const struct pst_op_key *b)
{
	return a->form == b->form && a->group == b->group && a->bits == b->bits &&
	       memcmp(&a->n, &b->n, sizeof(a->n)) == 0 && memcmp(&a->x, &b->x, sizeof(a->x)) == 0 &&
	       CRYPTO_memcmp(&a->d, &b->d, sizeof(a->d)) == 0;
}

static void
shared_free(struct pst_engine *e, struct pst_engine_key *k)
{
	for (unsigned i = 0; i < e->nbackends; i++)
		if (k->op.priv[i] != NULL && e->backends[i].conf.drv->key_del != NULL)
			e->backends[i].conf.drv->key_del(e->backends[i].b, &k->op);
	BN_free(k->n);
	BN_free(k->e);
	BN_MONT_CTX_free(k->mont);
	OPENSSL_cleanse(&k->op, sizeof(k->op));
	free(k);
}

static bool
prepare_check(struct pst_engine_key *k)
{
	BN_CTX *ctx;
	bool ok;

	if (k->op.form != PST_FORM_RSA_PRIV)
		return true;
	ctx = BN_CTX_new();
	k->n = BN_bin2bn(k->op.n.b, k->op.n.len, NULL);
	k->e = BN_bin2bn(k->op.e.b, k->op.e.len, NULL);
	k->mont = BN_MONT_CTX_new();
	ok = ctx != NULL && k->n != NULL && k->e != NULL && k->mont != NULL &&
	     BN_MONT_CTX_set(k->mont, k->n, ctx) == 1;
	BN_CTX_free(ctx);
	return ok;
}

bool
pst_key_rsa_check(const struct pst_engine_key *k, const uint8_t *in, const uint8_t *out)
{
	size_t n = k->op.n.len;
	uint8_t back[PST_OP_BYTES];
	BN_CTX *ctx = BN_CTX_new();
	BIGNUM *s = BN_bin2bn(out, (int)n, NULL), *m = BN_new();
	bool ok;

	ok = ctx != NULL && s != NULL && m != NULL && BN_cmp(s, k->n) < 0 &&
	     BN_mod_exp_mont(m, s, k->e, k->n, ctx, k->mont) == 1 &&
	     BN_bn2binpad(m, back, (int)n) == (int)n && memcmp(back, in, n) == 0;
	BN_free(s);
	BN_free(m);
	BN_CTX_free(ctx);
	return ok;
}

/* Is there one that runs no calls? Else no private key need become numbers at all. */
static bool
numbers_wanted(const struct pst_engine *e)
{
	for (unsigned i = 0; i < e->nbackends; i++)
		if (!e->backends[i].conf.drv->can(
			    e->backends[i].b, PST_OP_RSA_SIGN, PST_FORM_CALL, PST_GROUP_NONE, 2048))
			return true;
	return false;
}

/* To the back-ends that need its numbers: who runs calls does without. False: nobody took it. */
static bool
offer(struct pst_engine *e, struct pst_op_key *k)
{
	enum pst_op_kind kind = k->form == PST_FORM_RSA_PRIV ? PST_OP_RSA_SIGN : PST_OP_ECDSA_SIGN;
	bool taken = false;

	for (unsigned i = 0; i < e->nbackends; i++) {
		const struct pst_cryptodrv *drv = e->backends[i].conf.drv;
		struct pst_backend *b = e->backends[i].b;

		if (drv->can(b, kind, PST_FORM_CALL, k->group, k->bits) ||
			!drv->can(b, kind, k->form, k->group, k->bits))
			continue;
		taken |= drv->key_add == NULL || drv->key_add(b, k);
	}
	return taken;
}

/* Frees the dead that no operation is out with. */
static void
sweep(struct pst_engine *e)
{
	struct key_list now = TAILQ_HEAD_INITIALIZER(now);
	struct pst_engine_key *k, *next;

	pthread_mutex_lock(&e->lock);
	for (k = TAILQ_FIRST(&e->dead); k != NULL; k = next) {
		next = TAILQ_NEXT(k, link);
		if (atomic_load_explicit(&k->out, memory_order_acquire) != 0)
			continue;
		TAILQ_REMOVE(&e->dead, k, link);
		TAILQ_INSERT_TAIL(&now, k, link);
	}
	pthread_mutex_unlock(&e->lock);
	while ((k = TAILQ_FIRST(&now)) != NULL) {
		TAILQ_REMOVE(&now, k, link);
		shared_free(e, k);
	}
}

/* The entry of that key, new if need be. NULL: its operations stay opaque. */
static struct pst_engine_key *
shared_get(struct pst_engine *e, const EVP_PKEY *pkey)
{
	struct pst_engine_key *k = calloc(1, sizeof(*k)), *have;

	if (pst_lane_here == NULL)
		sweep(e); /* what workers left */
	if (k == NULL || !export_key(pkey, &k->op) || !prepare_check(k)) {
		if (k != NULL)
			shared_free(e, k);
		return NULL;
	}
	pthread_mutex_lock(&e->lock);
	TAILQ_FOREACH (have, &e->keys, link)
		if (same_key(&have->op, &k->op))
			break;
	if (have == NULL && offer(e, &k->op)) {
		TAILQ_INSERT_TAIL(&e->keys, k, link);
		have = k;
		k = NULL;
	}
	if (have != NULL)
		have->refs++;
	pthread_mutex_unlock(&e->lock);
	if (k != NULL)
		shared_free(e, k);
	return have;
}

void
pst_key_out(struct pst_op_key *k)
{
	atomic_fetch_add_explicit(
		&pst_container_of(k, struct pst_engine_key, op)->out, 1, memory_order_relaxed);
}

void
pst_key_back(struct pst_op_key *k)
{
	/* Pairs with the acquire in sweep. */
	atomic_fetch_sub_explicit(
		&pst_container_of(k, struct pst_engine_key, op)->out, 1, memory_order_release);
}

void
pst_keys_free(struct pst_engine *e)
{
	struct pst_engine_key *k;

	while ((k = TAILQ_FIRST(&e->dead)) != NULL) {
		TAILQ_REMOVE(&e->dead, k, link);
		shared_free(e, k);
	}
}

static void
shared_put(struct pst_engine *e, struct pst_engine_key *k)
{
	pthread_mutex_lock(&e->lock);
	if (--k->refs == 0) {
		TAILQ_REMOVE(&e->keys, k, link);
		TAILQ_INSERT_TAIL(&e->dead, k, link);
	}
	pthread_mutex_unlock(&e->lock);
	/*
	 * A worker comes here when the last to hold the key was a handshake that outlived its
	 * connection. Back-ends know key_del from the control thread alone, which comes by later.
	 */
	if (pst_lane_here == NULL)
		sweep(e);
}

/* ---- one context's ---- */

/* Where the provider has it: the first thing a signature is told. */
static void *
keydata_of(struct pst_crypto *c, EVP_PKEY *pkey)
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	void *seen = NULL;

	pst_prov_seen_key = &seen;
	if (md == NULL || EVP_DigestSignInit_ex(md, NULL, "SHA256", c->lib, NULL, pkey, NULL) != 1)
		seen = NULL;
	pst_prov_seen_key = NULL;
	EVP_MD_CTX_free(md);
	return seen;
}

struct pst_crypto_key *
pst_crypto_key_new(struct pst_crypto *c, EVP_PKEY *pkey)
{
	struct pst_crypto_key *k;

	if (c->engine == NULL || !numbers_wanted(c->engine) || (k = calloc(1, sizeof(*k))) == NULL)
		return NULL;
	k->refs = 1;
	k->crypto = c;
	k->shared = shared_get(c->engine, pkey);
	k->keydata = k->shared != NULL ? keydata_of(c, pkey) : NULL;
	if (k->keydata == NULL || !slot_take(k)) {
		if (k->shared != NULL)
			shared_put(c->engine, k->shared);
		free(k);
		return NULL;
	}
	EVP_PKEY_up_ref(pkey);
	k->pkey = pkey;
	return k;
}

struct pst_crypto_key *
pst_crypto_key_get(struct pst_crypto_key *k)
{
	if (k != NULL)
		atomic_fetch_add_explicit(&k->refs, 1, memory_order_relaxed);
	return k;
}

void
pst_crypto_key_put(struct pst_crypto_key *k)
{
	if (k == NULL || atomic_fetch_sub(&k->refs, 1) > 1)
		return;
	slot_give(k);
	EVP_PKEY_free(k->pkey);
	shared_put(k->crypto->engine, k->shared);
	free(k);
}
