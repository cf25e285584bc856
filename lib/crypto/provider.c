/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The provider "postern": OpenSSL's default provider with a few functions of ours in
 * front, and without what TLS has no use for.
 *
 * It delegates. A private library context has the default provider; ours hands on that
 * one's algorithm tables, with private-key and key-exchange functions wrapped (prov_sign.c,
 * prov_kex.c) so that they may run elsewhere while the handshake pauses. So there is no key
 * management of our own and no private struct of OpenSSL's is looked into; public functions
 * of OpenSSL 3.0 are all it needs.
 *
 * Narrow, because OpenSSL 3.0 builds a decoder context for each certificate's key from all
 * decoders and key types that it finds, which is 40 % of a client's handshake: key types and
 * decoders that no mail server's certificate needs are left out. A certificate with a DSA,
 * SM2 or Ed448 key is one whose key cannot be read.
 *
 * The tables are process-wide: the functions of the default provider are the same in every
 * context, only their provctx differs. They are made once and never freed.
 */
#include "engine_int.h"
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/params.h>
#include <stdlib.h>
#include <string.h>

#define TABLE_MAX  160 /* algorithms of one operation; 3.5's signatures are the most */
#define OPERATIONS (OSSL_OP__HIGHEST + 1)

bool
pst_prov_named(const char *names, const char *name)
{
	size_t n = strlen(name);

	for (const char *p = names; p != NULL;
		p = strchr(p, ':') != NULL ? strchr(p, ':') + 1 : NULL)
		if (strncasecmp(p, name, n) == 0 && (p[n] == 0 || p[n] == ':'))
			return true;
	return false;
}

void (*pst_prov_fn(const OSSL_DISPATCH *d, int id))(void)
{
	for (; d->function_id != 0; d++)
		if (d->function_id == id)
			return d->function;
	return NULL;
}

static bool
any_of(const char *names, const char *const *list)
{
	for (; *list != NULL; list++)
		if (pst_prov_named(names, *list))
			return true;
	return false;
}

/* ---- what is kept ---- */

/* HMAC: the record MAC of CBC suites is made by way of a key of that type. */
static bool
keep_keymgmt(const OSSL_ALGORITHM *a)
{
	static const char *const kept[] = {
		"RSA", "RSA-PSS", "EC", "X25519", "ED25519", "HMAC", NULL};

	return any_of(a->algorithm_names, kept);
}

static bool
has(const OSSL_ALGORITHM *a, const char *property)
{
	return strstr(a->property_definition, property) != NULL;
}

/*
 * DER SubjectPublicKeyInfo is what a handshake needs; PEM, PrivateKeyInfo and the two old
 * types of key file are for loading.
 */
static bool
keep_decoder(const OSSL_ALGORITHM *a)
{
	static const char *const keys[] = {"RSA", "RSA-PSS", "EC", "ED25519", NULL};
	static const char *const old[] = {"RSA", "EC", NULL};

	if (pst_prov_named(a->algorithm_names, "DER"))
		return true; /* PEM to DER, and what says which key it is */
	if (has(a, "structure=SubjectPublicKeyInfo") || has(a, "structure=PrivateKeyInfo"))
		return any_of(a->algorithm_names, keys);
	return has(a, "structure=type-specific") && any_of(a->algorithm_names, old);
}

static bool
keep_keyexch(const OSSL_ALGORITHM *a)
{
	static const char *const kept[] = {"ECDH", "X25519", NULL};

	return any_of(a->algorithm_names, kept);
}

static bool
keep_signature(const OSSL_ALGORITHM *a)
{
	static const char *const kept[] = {"RSA", "ECDSA", "ED25519", "HMAC", NULL};

	return any_of(a->algorithm_names, kept);
}

static bool
keep_none(const OSSL_ALGORITHM *a)
{
	return false;
}

static bool
keep_all(const OSSL_ALGORITHM *a)
{
	return true;
}

/* What becomes of an operation's algorithms. */
static const struct treatment {
	int operation;
	bool (*keep)(const OSSL_ALGORITHM *a);
	const OSSL_DISPATCH *(*wrap)(const char *names, const OSSL_DISPATCH *in);
} treatments[] = {
	{OSSL_OP_KDF, keep_all, pst_prov_kdf},
	{OSSL_OP_RAND, keep_all, pst_prov_rand},
	{OSSL_OP_KEYMGMT, keep_keymgmt, pst_prov_keymgmt},
	{OSSL_OP_KEYEXCH, keep_keyexch, pst_prov_keyexch},
	{OSSL_OP_SIGNATURE, keep_signature, pst_prov_signature},
	{OSSL_OP_ASYM_CIPHER, keep_all, pst_prov_asym_cipher},
	{OSSL_OP_KEM, keep_none, NULL},
	{OSSL_OP_DECODER, keep_decoder, NULL},
	{OSSL_OP_STORE, keep_none, NULL},
};

/* ---- the tables ---- */

static OSSL_ALGORITHM tables[OPERATIONS][TABLE_MAX + 1];
static bool made[OPERATIONS];
static pthread_mutex_t tables_lock = PTHREAD_MUTEX_INITIALIZER;

static void
make_table(const struct treatment *t, const OSSL_ALGORITHM *in, OSSL_ALGORITHM *out)
{
	unsigned n = 0;

	for (; in != NULL && in->algorithm_names != NULL && n < TABLE_MAX; in++) {
		const OSSL_DISPATCH *ours;

		if (!t->keep(in))
			continue;
		out[n] = *in;
		ours = t->wrap != NULL ? t->wrap(in->algorithm_names, in->implementation) : NULL;
		if (ours != NULL)
			out[n].implementation = ours;
		n++;
	}
}

/* ---- OpenSSL's side ---- */

/*
 * OpenSSL hands back one pointer, which goes to the default provider's functions too: it must
 * be theirs. Ours is found by it: few contexts, all made before their workers run.
 */
#define CONTEXTS_MAX 1024
static struct {
	_Atomic(void *) theirs;
	OSSL_PROVIDER *inner;
} contexts[CONTEXTS_MAX];

static OSSL_PROVIDER *
inner_of(const void *provctx)
{
	for (unsigned i = 0; i < CONTEXTS_MAX; i++)
		if (atomic_load(&contexts[i].theirs) == provctx)
			return contexts[i].inner;
	return NULL;
}

static bool
remember(OSSL_PROVIDER *inner)
{
	void *theirs = OSSL_PROVIDER_get0_provider_ctx(inner);

	for (unsigned i = 0; i < CONTEXTS_MAX; i++) {
		if (atomic_load(&contexts[i].theirs) != NULL)
			continue;
		contexts[i].inner = inner;
		atomic_store(&contexts[i].theirs, theirs);
		return true;
	}
	return false;
}

/*
 * Not left to OpenSSL's teardown: what somebody still holds of a context, a digest or a key,
 * keeps the provider up behind it (seen with 3.5), and another context may by then have got
 * the same address.
 */
void
pst_provider_forget(struct pst_crypto *c)
{
	for (unsigned i = 0; i < CONTEXTS_MAX; i++)
		if (atomic_load(&contexts[i].theirs) != NULL &&
			contexts[i].inner == c->inner_default)
			atomic_store(&contexts[i].theirs, NULL);
}

static const OSSL_ALGORITHM *
query_operation(void *provctx, int operation, int *no_cache)
{
	OSSL_PROVIDER *inner = inner_of(provctx);
	const OSSL_ALGORITHM *in;

	*no_cache = 0;
	if (inner == NULL || operation < 0 || operation >= OPERATIONS)
		return NULL;
	in = OSSL_PROVIDER_query_operation(inner, operation, no_cache);
	for (unsigned i = 0; i < PST_COUNT(treatments); i++) {
		if (treatments[i].operation != operation)
			continue;
		pthread_mutex_lock(&tables_lock);
		if (!made[operation])
			make_table(&treatments[i], in, tables[operation]);
		made[operation] = true;
		pthread_mutex_unlock(&tables_lock);
		return tables[operation];
	}
	return in;
}

/* libssl learns from it which groups there are; those without a key type here fall away. */
static int
get_capabilities(void *provctx, const char *capability, OSSL_CALLBACK *cb, void *arg)
{
	OSSL_PROVIDER *inner = inner_of(provctx);

	return inner != NULL ? OSSL_PROVIDER_get_capabilities(inner, capability, cb, arg) : 0;
}

static const OSSL_PARAM *
gettable_params(void *provctx)
{
	static const OSSL_PARAM params[] = {OSSL_PARAM_utf8_ptr(OSSL_PROV_PARAM_NAME, NULL, 0),
		OSSL_PARAM_int(OSSL_PROV_PARAM_STATUS, NULL), OSSL_PARAM_END};

	return params;
}

static int
get_params(void *provctx, OSSL_PARAM params[])
{
	OSSL_PARAM *p = OSSL_PARAM_locate(params, OSSL_PROV_PARAM_NAME);

	if (p != NULL && OSSL_PARAM_set_utf8_ptr(p, "Postern, before the default provider") != 1)
		return 0;
	p = OSSL_PARAM_locate(params, OSSL_PROV_PARAM_STATUS);
	return p == NULL || OSSL_PARAM_set_int(p, 1) == 1;
}

static const OSSL_DISPATCH dispatch[] = {
	{OSSL_FUNC_PROVIDER_GETTABLE_PARAMS, (void (*)(void))gettable_params},
	{OSSL_FUNC_PROVIDER_GET_PARAMS, (void (*)(void))get_params},
	{OSSL_FUNC_PROVIDER_QUERY_OPERATION, (void (*)(void))query_operation},
	{OSSL_FUNC_PROVIDER_GET_CAPABILITIES, (void (*)(void))get_capabilities},
	{0, NULL},
};

/* OpenSSL calls it from inside OSSL_PROVIDER_load, on the same thread. */
static _Thread_local OSSL_PROVIDER *loading;

static int
provider_init(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in, const OSSL_DISPATCH **out,
	void **provctx)
{
	if (loading == NULL || !remember(loading))
		return 0;
	*out = dispatch;
	*provctx = OSSL_PROVIDER_get0_provider_ctx(loading);
	return 1;
}

bool
pst_provider_load(struct pst_crypto *c)
{
	loading = c->inner_default;
	if (OSSL_PROVIDER_add_builtin(c->lib, PST_PROVIDER, provider_init) == 1)
		c->provider = OSSL_PROVIDER_load(c->lib, PST_PROVIDER);
	loading = NULL;
	return c->provider != NULL;
}

/* ---- random numbers ---- */

/*
 * OpenSSL 3.5 tells a DRBG the name of its provider, by which it looks for its cipher: in
 * the private context, where ours is not.
 */
static OSSL_FUNC_rand_instantiate_fn *inner_instantiate[3];

static int
instantiate(unsigned which, void *drbg, unsigned strength, int resistance,
	const unsigned char *pstr, size_t pstr_len, const OSSL_PARAM params[])
{
	OSSL_PARAM kept[32];
	unsigned n = 0;

	for (const OSSL_PARAM *p = params; p != NULL && p->key != NULL; p++)
		if (strcmp(p->key, "provider-name") != 0 && n < PST_COUNT(kept) - 1)
			kept[n++] = *p;
	kept[n] = OSSL_PARAM_construct_end();
	return inner_instantiate[which](drbg, strength, resistance, pstr, pstr_len, kept);
}

#define INSTANTIATE(i)                                                                             \
	static int instantiate_##i(void *drbg, unsigned strength, int resistance,                  \
		const unsigned char *pstr, size_t n, const OSSL_PARAM params[])                    \
	{                                                                                          \
		return instantiate(i, drbg, strength, resistance, pstr, n, params);                \
	}
INSTANTIATE(0)
INSTANTIATE(1)
INSTANTIATE(2)

static OSSL_FUNC_rand_instantiate_fn *const instantiates[] = {
	instantiate_0, instantiate_1, instantiate_2};
static const char *const drbgs[] = {"CTR-DRBG", "HASH-DRBG", "HMAC-DRBG"};

const OSSL_DISPATCH *
pst_prov_rand(const char *names, const OSSL_DISPATCH *in)
{
	static OSSL_DISPATCH ours[PST_COUNT(drbgs)][40];

	for (unsigned i = 0; i < PST_COUNT(drbgs); i++) {
		unsigned n = 0;

		if (!pst_prov_named(names, drbgs[i]))
			continue;
		for (; in[n].function_id != 0 && n < PST_COUNT(ours[i]) - 1; n++) {
			ours[i][n] = in[n];
			if (in[n].function_id != OSSL_FUNC_RAND_INSTANTIATE)
				continue;
			inner_instantiate[i] = (OSSL_FUNC_rand_instantiate_fn *)in[n].function;
			ours[i][n].function = (void (*)(void))instantiates[i];
		}
		return ours[i];
	}
	return NULL;
}
