/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * TLS 1.3's key derivation (RFC 8446 7.1, RFC 5869), without allocations.
 *
 * A handshake derives some fifteen keys and secrets. OpenSSL makes for each an HMAC context
 * and what that needs, which on 3.0 was a fifth of a server's handshake beside the asymmetric
 * operations; here it is four to six blocks of SHA-2. Only the case that libssl asks for is
 * ours: all parameters given with the derivation, SHA-256 or SHA-384. Any other goes to the
 * default provider, with all that was set before.
 */
#define OPENSSL_SUPPRESS_DEPRECATED /* SHA256_Init and its kin: the digests without EVP */
#include "engine_int.h"
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

#define HASH_MAX  48
#define BLOCK_MAX 128
#define LABEL_MAX 255 /* RFC 8446 7.1: opaque label<7..255> */

static struct {
	OSSL_FUNC_kdf_newctx_fn *newctx;
	OSSL_FUNC_kdf_dupctx_fn *dupctx;
	OSSL_FUNC_kdf_freectx_fn *freectx;
	OSSL_FUNC_kdf_reset_fn *reset;
	OSSL_FUNC_kdf_derive_fn *derive;
	OSSL_FUNC_kdf_set_ctx_params_fn *set_ctx_params;
	OSSL_FUNC_kdf_get_ctx_params_fn *get_ctx_params;
} inner;

struct kdf {
	void *provctx;
	void *in; /* made when something is asked for that we do not do; NULL */
};

/* ---- SHA-2 and HMAC ---- */

struct hash {
	bool sha384;
	union {
		SHA256_CTX s256;
		SHA512_CTX s512;
	} c;
};

static size_t
hash_len(bool sha384)
{
	return sha384 ? SHA384_DIGEST_LENGTH : SHA256_DIGEST_LENGTH;
}

static void
hash_init(struct hash *h, bool sha384)
{
	h->sha384 = sha384;
	if (sha384)
		SHA384_Init(&h->c.s512);
	else
		SHA256_Init(&h->c.s256);
}

static void
hash_add(struct hash *h, const void *p, size_t n)
{
	if (h->sha384)
		SHA384_Update(&h->c.s512, p, n);
	else
		SHA256_Update(&h->c.s256, p, n);
}

static void
hash_end(struct hash *h, uint8_t *out)
{
	if (h->sha384)
		SHA384_Final(out, &h->c.s512);
	else
		SHA256_Final(out, &h->c.s256);
}

struct hmac {
	struct hash in, out;
};

/* RFC 2104. Keys longer than a block are hashed; TLS has none. */
static void
hmac_init(struct hmac *m, bool sha384, const uint8_t *key, size_t n)
{
	size_t block = sha384 ? SHA512_CBLOCK : SHA256_CBLOCK;
	uint8_t pad[BLOCK_MAX] = {0};

	hash_init(&m->in, sha384);
	hash_init(&m->out, sha384);
	if (n > block) {
		hash_add(&m->in, key, n);
		hash_end(&m->in, pad);
		hash_init(&m->in, sha384);
	} else if (n > 0) {
		memcpy(pad, key, n);
	}
	for (size_t i = 0; i < block; i++)
		pad[i] ^= 0x36;
	hash_add(&m->in, pad, block);
	for (size_t i = 0; i < block; i++)
		pad[i] ^= 0x36 ^ 0x5c;
	hash_add(&m->out, pad, block);
	OPENSSL_cleanse(pad, sizeof(pad));
}

static void
hmac_end(struct hmac *m, uint8_t *out)
{
	hash_end(&m->in, out);
	hash_add(&m->out, out, hash_len(m->in.sha384));
	hash_end(&m->out, out);
}

/* ---- RFC 8446 7.1 ---- */

/* What libssl says with one derivation. */
struct ask {
	int mode;
	bool sha384;
	struct octets {
		const uint8_t *p; /* NULL: not given */
		size_t n;
	} key, salt, prefix, label, data;
};

/*
 * HKDF-Expand-Label(secret, label, context, n). HkdfLabel is length, then label and context
 * with a byte of length before each.
 */
static bool
expand_label(
	const struct ask *a, struct octets secret, struct octets context, uint8_t *out, size_t n)
{
	size_t name = a->prefix.n + a->label.n, hlen = hash_len(a->sha384), done = 0;
	uint8_t info[2 + 1 + LABEL_MAX + 1 + 255], t[HASH_MAX];
	size_t len = 0;

	if (name > LABEL_MAX || context.n > 255 || n == 0 || n > 255 * hlen)
		return false;
	info[len++] = (uint8_t)(n >> 8);
	info[len++] = (uint8_t)n;
	info[len++] = (uint8_t)name;
	memcpy(info + len, a->prefix.p, a->prefix.n);
	memcpy(info + len + a->prefix.n, a->label.p, a->label.n);
	len += name;
	info[len++] = (uint8_t)context.n;
	if (context.n > 0)
		memcpy(info + len, context.p, context.n);
	len += context.n;
	for (uint8_t i = 1; done < n; i++) { /* RFC 5869 2.3 */
		size_t part = PST_MIN(n - done, hlen);
		struct hmac m;

		hmac_init(&m, a->sha384, secret.p, secret.n);
		if (i > 1)
			hash_add(&m.in, t, hlen);
		hash_add(&m.in, info, len);
		hash_add(&m.in, &i, 1);
		hmac_end(&m, t);
		memcpy(out + done, t, part);
		done += part;
		OPENSSL_cleanse(&m, sizeof(m));
	}
	OPENSSL_cleanse(t, sizeof(t));
	return true;
}

/*
 * HKDF-Extract of the next secret in the schedule: the salt is the one before it, through
 * Derive-Secret(., "derived", ""), or zeros at the beginning; no input is zeros too.
 */
static bool
extract(const struct ask *a, uint8_t *out, size_t n)
{
	static const uint8_t zeros[HASH_MAX];
	size_t hlen = hash_len(a->sha384);
	uint8_t nothing[HASH_MAX], salt[HASH_MAX] = {0};
	struct hash h;
	struct hmac m;

	if (n != hlen)
		return false;
	if (a->salt.p != NULL) {
		hash_init(&h, a->sha384);
		hash_end(&h, nothing);
		if (!expand_label(a, a->salt, (struct octets){nothing, hlen}, salt, hlen))
			return false;
	}
	hmac_init(&m, a->sha384, salt, hlen);
	if (a->key.p != NULL)
		hash_add(&m.in, a->key.p, a->key.n);
	else
		hash_add(&m.in, zeros, hlen);
	hmac_end(&m, out);
	OPENSSL_cleanse(&m, sizeof(m));
	OPENSSL_cleanse(salt, sizeof(salt));
	return true;
}

/* ---- OpenSSL's side ---- */

static bool
octets(const OSSL_PARAM *p, struct octets *out)
{
	if (p->data_type != OSSL_PARAM_OCTET_STRING)
		return false;
	out->p = p->data;
	out->n = p->data_size;
	return true;
}

static bool
digest_is(const OSSL_PARAM *p, bool *sha384)
{
	const char *name = p->data;

	if (p->data_type != OSSL_PARAM_UTF8_STRING || name == NULL)
		return false;
	*sha384 = strcasecmp(name, "SHA384") == 0 || strcasecmp(name, "SHA2-384") == 0;
	return *sha384 || strcasecmp(name, "SHA256") == 0 || strcasecmp(name, "SHA2-256") == 0;
}

/* False: something that we do not do. */
static bool
read_ask(const OSSL_PARAM params[], struct ask *a)
{
	bool digest = false;

	*a = (struct ask){.mode = -1};
	for (const OSSL_PARAM *p = params; p != NULL && p->key != NULL; p++) {
		bool ok = strcmp(p->key, OSSL_KDF_PARAM_MODE) == 0
				  ? p->data_type == OSSL_PARAM_INTEGER &&
					    OSSL_PARAM_get_int(p, &a->mode) == 1
			  : strcmp(p->key, OSSL_KDF_PARAM_DIGEST) == 0
				  ? (digest = digest_is(p, &a->sha384))
			  : strcmp(p->key, OSSL_KDF_PARAM_KEY) == 0    ? octets(p, &a->key)
			  : strcmp(p->key, OSSL_KDF_PARAM_SALT) == 0   ? octets(p, &a->salt)
			  : strcmp(p->key, OSSL_KDF_PARAM_PREFIX) == 0 ? octets(p, &a->prefix)
			  : strcmp(p->key, OSSL_KDF_PARAM_LABEL) == 0  ? octets(p, &a->label)
			  : strcmp(p->key, OSSL_KDF_PARAM_DATA) == 0   ? octets(p, &a->data)
								       : false;

		if (!ok)
			return false;
	}
	return digest && a->prefix.p != NULL && a->label.p != NULL;
}

static void *
newctx(void *provctx)
{
	struct kdf *k = calloc(1, sizeof(*k));

	if (k != NULL)
		k->provctx = provctx;
	return k;
}

/* The default provider's context from now on. */
static void *
inner_ctx(struct kdf *k)
{
	if (k->in == NULL)
		k->in = inner.newctx(k->provctx);
	return k->in;
}

static void
freectx(void *ctx)
{
	struct kdf *k = ctx;

	if (k == NULL)
		return;
	if (k->in != NULL)
		inner.freectx(k->in);
	free(k);
}

static void *
dupctx(void *ctx)
{
	const struct kdf *k = ctx;
	struct kdf *d = newctx(k->provctx);

	if (d != NULL && k->in != NULL && (d->in = inner.dupctx(k->in)) == NULL) {
		free(d);
		return NULL;
	}
	return d;
}

static void
reset(void *ctx)
{
	struct kdf *k = ctx;

	if (k->in != NULL)
		inner.reset(k->in);
}

static int
set_ctx_params(void *ctx, const OSSL_PARAM params[])
{
	struct kdf *k = ctx;

	if (params == NULL || params->key == NULL)
		return 1;
	return inner_ctx(k) != NULL ? inner.set_ctx_params(k->in, params) : 0;
}

static int
get_ctx_params(void *ctx, OSSL_PARAM params[])
{
	struct kdf *k = ctx;

	return inner_ctx(k) != NULL ? inner.get_ctx_params(k->in, params) : 0;
}

static int
derive(void *ctx, unsigned char *out, size_t n, const OSSL_PARAM params[])
{
	struct kdf *k = ctx;
	struct ask a;

	if (k->in == NULL && read_ask(params, &a)) {
		if (a.mode == EVP_KDF_HKDF_MODE_EXPAND_ONLY && a.key.p != NULL)
			return expand_label(&a, a.key, a.data, out, n);
		if (a.mode == EVP_KDF_HKDF_MODE_EXTRACT_ONLY)
			return extract(&a, out, n);
	}
	return inner_ctx(k) != NULL ? inner.derive(k->in, out, n, params) : 0;
}

const OSSL_DISPATCH *
pst_prov_kdf(const char *names, const OSSL_DISPATCH *in)
{
	static OSSL_DISPATCH ours[24];
	const struct {
		int id;
		void (*fn)(void);
	} fns[] = {
		{OSSL_FUNC_KDF_NEWCTX, (void (*)(void))newctx},
		{OSSL_FUNC_KDF_DUPCTX, (void (*)(void))dupctx},
		{OSSL_FUNC_KDF_FREECTX, (void (*)(void))freectx},
		{OSSL_FUNC_KDF_RESET, (void (*)(void))reset},
		{OSSL_FUNC_KDF_DERIVE, (void (*)(void))derive},
		{OSSL_FUNC_KDF_SET_CTX_PARAMS, (void (*)(void))set_ctx_params},
		{OSSL_FUNC_KDF_GET_CTX_PARAMS, (void (*)(void))get_ctx_params},
	};
	unsigned n = 0;

	if (!pst_prov_named(names, "TLS13-KDF"))
		return NULL;
	inner.newctx = (OSSL_FUNC_kdf_newctx_fn *)pst_prov_fn(in, OSSL_FUNC_KDF_NEWCTX);
	inner.dupctx = (OSSL_FUNC_kdf_dupctx_fn *)pst_prov_fn(in, OSSL_FUNC_KDF_DUPCTX);
	inner.freectx = (OSSL_FUNC_kdf_freectx_fn *)pst_prov_fn(in, OSSL_FUNC_KDF_FREECTX);
	inner.reset = (OSSL_FUNC_kdf_reset_fn *)pst_prov_fn(in, OSSL_FUNC_KDF_RESET);
	inner.derive = (OSSL_FUNC_kdf_derive_fn *)pst_prov_fn(in, OSSL_FUNC_KDF_DERIVE);
	inner.set_ctx_params =
		(OSSL_FUNC_kdf_set_ctx_params_fn *)pst_prov_fn(in, OSSL_FUNC_KDF_SET_CTX_PARAMS);
	inner.get_ctx_params =
		(OSSL_FUNC_kdf_get_ctx_params_fn *)pst_prov_fn(in, OSSL_FUNC_KDF_GET_CTX_PARAMS);
	for (; in[n].function_id != 0 && n < PST_COUNT(ours) - 1; n++) {
		ours[n] = in[n];
		for (unsigned i = 0; i < PST_COUNT(fns); i++)
			if (in[n].function_id == fns[i].id)
				ours[n].function = fns[i].fn;
	}
	ours[n] = (OSSL_DISPATCH){0, NULL};
	return ours;
}
