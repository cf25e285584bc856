/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Key exchange: making an ephemeral key pair, deriving the secret, and the decryption
 * that static RSA has instead. Each is one function put before the default provider's.
 */
#include "engine_int.h"
#include <openssl/core_names.h>
#include <stdlib.h>
#include <string.h>

#define TABLE 40

/* A copy of `in` with one function exchanged. */
static const OSSL_DISPATCH *
replaced(OSSL_DISPATCH out[TABLE], const OSSL_DISPATCH *in, int id, void (*fn)(void))
{
	unsigned n = 0;

	for (; in[n].function_id != 0 && n < TABLE - 1; n++) {
		out[n] = in[n];
		if (in[n].function_id == id)
			out[n].function = fn;
	}
	out[n] = (OSSL_DISPATCH){0, NULL};
	return out;
}

/* ---- derive ---- */

enum { KEX_ECDH, KEX_X25519, KEXES };

static const char *const kex_names[KEXES] = {"ECDH", "X25519"};
static OSSL_FUNC_keyexch_derive_fn *inner_derive[KEXES];

struct deriving {
	unsigned which;
	void *ctx;
	uint8_t *secret;
	size_t *len, cap;
};

static int
call_derive(void *arg)
{
	struct deriving *d = arg;

	return inner_derive[d->which](d->ctx, d->secret, d->len, d->cap);
}

static uint8_t *
derived(void *arg, size_t *n)
{
	struct deriving *d = arg;

	*n = *d->len;
	return d->secret;
}

static int
derive(unsigned which, void *ctx, unsigned char *secret, size_t *len, size_t cap)
{
	struct deriving d = {.which = which, .ctx = ctx, .secret = secret, .len = len, .cap = cap};
	struct pst_ask a = {.kind = PST_OP_DERIVE,
		.group = which == KEX_X25519 ? PST_GROUP_X25519 : PST_GROUP_NONE,
		.call = call_derive,
		.product = derived,
		.arg = &d};

	return secret == NULL ? call_derive(&d) : pst_ask_run(&a);
}

static int
derive_ecdh(void *ctx, unsigned char *secret, size_t *len, size_t cap)
{
	return derive(KEX_ECDH, ctx, secret, len, cap);
}

static int
derive_x25519(void *ctx, unsigned char *secret, size_t *len, size_t cap)
{
	return derive(KEX_X25519, ctx, secret, len, cap);
}

const OSSL_DISPATCH *
pst_prov_keyexch(const char *names, const OSSL_DISPATCH *in)
{
	static OSSL_FUNC_keyexch_derive_fn *const fns[KEXES] = {derive_ecdh, derive_x25519};
	static OSSL_DISPATCH ours[KEXES][TABLE];

	for (unsigned i = 0; i < KEXES; i++) {
		if (!pst_prov_named(names, kex_names[i]))
			continue;
		inner_derive[i] =
			(OSSL_FUNC_keyexch_derive_fn *)pst_prov_fn(in, OSSL_FUNC_KEYEXCH_DERIVE);
		return replaced(ours[i], in, OSSL_FUNC_KEYEXCH_DERIVE, (void (*)(void))fns[i]);
	}
	return NULL;
}

/* ---- generate ---- */

enum { GEN_EC, GEN_X25519, GENS };

static const char *const gen_names[GENS] = {"EC", "X25519"};
static struct {
	OSSL_FUNC_keymgmt_gen_init_fn *init;
	OSSL_FUNC_keymgmt_gen_set_template_fn *set_template;
	OSSL_FUNC_keymgmt_gen_set_params_fn *set_params;
	OSSL_FUNC_keymgmt_gen_settable_params_fn *settable_params;
	OSSL_FUNC_keymgmt_gen_fn *gen;
	OSSL_FUNC_keymgmt_gen_cleanup_fn *cleanup;
	OSSL_FUNC_keymgmt_free_fn *free;
} inner_gen[GENS];

/* What is generated is said at the beginning only: parameters alone are no work to pause for. */
struct genctx {
	unsigned which;
	bool pair;
	void *in;
};

static void *
gen_init(unsigned which, void *provctx, int selection, const OSSL_PARAM params[])
{
	struct genctx *g = calloc(1, sizeof(*g));

	if (g == NULL)
		return NULL;
	g->which = which;
	g->pair = (selection & OSSL_KEYMGMT_SELECT_KEYPAIR) != 0;
	g->in = inner_gen[which].init(provctx, selection, params);
	if (g->in == NULL) {
		free(g);
		return NULL;
	}
	return g;
}

static void *
gen_init_ec(void *provctx, int selection, const OSSL_PARAM params[])
{
	return gen_init(GEN_EC, provctx, selection, params);
}

static void *
gen_init_x25519(void *provctx, int selection, const OSSL_PARAM params[])
{
	return gen_init(GEN_X25519, provctx, selection, params);
}

static int
gen_set_template(void *ctx, void *template)
{
	struct genctx *g = ctx;

	return inner_gen[g->which].set_template(g->in, template);
}

static int
gen_set_params(void *ctx, const OSSL_PARAM params[])
{
	struct genctx *g = ctx;

	return inner_gen[g->which].set_params(g->in, params);
}

static const OSSL_PARAM *
gen_settable_params(void *ctx, void *provctx)
{
	struct genctx *g = ctx;

	return g != NULL ? inner_gen[g->which].settable_params(g->in, provctx) : NULL;
}

struct generating {
	struct genctx *g;
	OSSL_CALLBACK *cb;
	void *cbarg;
	void *key;
};

static int
call_gen(void *arg)
{
	struct generating *d = arg;

	d->key = inner_gen[d->g->which].gen(d->g->in, d->cb, d->cbarg);
	return d->key != NULL;
}

static void *
gen(void *ctx, OSSL_CALLBACK *cb, void *cbarg)
{
	struct genctx *g = ctx;
	struct generating d = {.g = g, .cb = cb, .cbarg = cbarg};
	struct pst_ask a = {.kind = PST_OP_KEYGEN,
		.group = g->which == GEN_X25519 ? PST_GROUP_X25519 : PST_GROUP_NONE,
		.call = call_gen,
		.arg = &d};

	if (!g->pair)
		return call_gen(&d) == 1 ? d.key : NULL;
	if (pst_ask_run(&a) == 1)
		return d.key;
	/* It was made, but for a connection that went away meanwhile. */
	if (d.key != NULL)
		inner_gen[g->which].free(d.key);
	return NULL;
}

static void
gen_cleanup(void *ctx)
{
	struct genctx *g = ctx;

	if (g == NULL)
		return;
	inner_gen[g->which].cleanup(g->in);
	free(g);
}

static void
take_gen(unsigned i, const OSSL_DISPATCH *in)
{
	inner_gen[i].init =
		(OSSL_FUNC_keymgmt_gen_init_fn *)pst_prov_fn(in, OSSL_FUNC_KEYMGMT_GEN_INIT);
	inner_gen[i].set_template = (OSSL_FUNC_keymgmt_gen_set_template_fn *)pst_prov_fn(
		in, OSSL_FUNC_KEYMGMT_GEN_SET_TEMPLATE);
	inner_gen[i].set_params = (OSSL_FUNC_keymgmt_gen_set_params_fn *)pst_prov_fn(
		in, OSSL_FUNC_KEYMGMT_GEN_SET_PARAMS);
	inner_gen[i].settable_params = (OSSL_FUNC_keymgmt_gen_settable_params_fn *)pst_prov_fn(
		in, OSSL_FUNC_KEYMGMT_GEN_SETTABLE_PARAMS);
	inner_gen[i].gen = (OSSL_FUNC_keymgmt_gen_fn *)pst_prov_fn(in, OSSL_FUNC_KEYMGMT_GEN);
	inner_gen[i].cleanup =
		(OSSL_FUNC_keymgmt_gen_cleanup_fn *)pst_prov_fn(in, OSSL_FUNC_KEYMGMT_GEN_CLEANUP);
	inner_gen[i].free = (OSSL_FUNC_keymgmt_free_fn *)pst_prov_fn(in, OSSL_FUNC_KEYMGMT_FREE);
}

const OSSL_DISPATCH *
pst_prov_keymgmt(const char *names, const OSSL_DISPATCH *in)
{
	static OSSL_FUNC_keymgmt_gen_init_fn *const inits[GENS] = {gen_init_ec, gen_init_x25519};
	static OSSL_DISPATCH ours[GENS][TABLE + 8];
	const struct {
		int id;
		void (*fn)(void);
	} ownfns[] = {
		{OSSL_FUNC_KEYMGMT_GEN_SET_TEMPLATE, (void (*)(void))gen_set_template},
		{OSSL_FUNC_KEYMGMT_GEN_SET_PARAMS, (void (*)(void))gen_set_params},
		{OSSL_FUNC_KEYMGMT_GEN_SETTABLE_PARAMS, (void (*)(void))gen_settable_params},
		{OSSL_FUNC_KEYMGMT_GEN, (void (*)(void))gen},
		{OSSL_FUNC_KEYMGMT_GEN_CLEANUP, (void (*)(void))gen_cleanup},
	};

	for (unsigned i = 0; i < GENS; i++) {
		unsigned n = 0;

		if (!pst_prov_named(names, gen_names[i]))
			continue;
		take_gen(i, in);
		for (; in[n].function_id != 0 && n < TABLE; n++) {
			ours[i][n] = in[n];
			if (in[n].function_id == OSSL_FUNC_KEYMGMT_GEN_INIT)
				ours[i][n].function = (void (*)(void))inits[i];
			for (unsigned k = 0; k < PST_COUNT(ownfns); k++)
				if (in[n].function_id == ownfns[k].id)
					ours[i][n].function = ownfns[k].fn;
		}
		ours[i][n] = (OSSL_DISPATCH){0, NULL};
		return ours[i];
	}
	return NULL;
}

/* ---- decrypt ---- */

static OSSL_FUNC_asym_cipher_decrypt_fn *inner_decrypt;

struct decrypting {
	void *ctx;
	uint8_t *out;
	size_t *outlen, size;
	const uint8_t *in;
	size_t n;
};

static int
call_decrypt(void *arg)
{
	struct decrypting *d = arg;

	return inner_decrypt(d->ctx, d->out, d->outlen, d->size, d->in, d->n);
}

static uint8_t *
decrypted(void *arg, size_t *n)
{
	struct decrypting *d = arg;

	*n = *d->outlen;
	return d->out;
}

/*
 * Opaque only. What RFC 5246 7.4.7.1 asks of the premaster secret (a random one in place of
 * a bad one, in constant time) is done inside, by OpenSSL, wherever it runs.
 */
static int
decrypt(void *ctx, unsigned char *out, size_t *outlen, size_t size, const unsigned char *in,
	size_t n)
{
	struct decrypting d = {
		.ctx = ctx, .out = out, .outlen = outlen, .size = size, .in = in, .n = n};
	struct pst_ask a = {.kind = PST_OP_RSA_DECRYPT,
		.bits = (unsigned)PST_MIN(8 * n, (size_t)16384),
		.call = call_decrypt,
		.product = decrypted,
		.arg = &d};

	return out == NULL ? call_decrypt(&d) : pst_ask_run(&a);
}

const OSSL_DISPATCH *
pst_prov_asym_cipher(const char *names, const OSSL_DISPATCH *in)
{
	static OSSL_DISPATCH ours[TABLE];

	if (!pst_prov_named(names, "RSA"))
		return NULL;
	inner_decrypt =
		(OSSL_FUNC_asym_cipher_decrypt_fn *)pst_prov_fn(in, OSSL_FUNC_ASYM_CIPHER_DECRYPT);
	return replaced(ours, in, OSSL_FUNC_ASYM_CIPHER_DECRYPT, (void (*)(void))decrypt);
}
