/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An OpenSSL provider, as a shared object, that hands on the default one's keys and
 * signatures and pauses before it signs. It takes the parameters mode, delay_us, fail and
 * broken of its configuration.
 */
#include "pausing.h"
#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/params.h>
#include <openssl/provider.h>
#include <stdlib.h>
#include <string.h>

#define TABLE 160
#define FNS   64

static OSSL_LIB_CTX *lib;
static OSSL_PROVIDER *inner;
static OSSL_ALGORITHM keys[TABLE + 1], signatures[TABLE + 1];
static OSSL_DISPATCH rsa_fns[FNS + 1], ecdsa_fns[FNS + 1];
static OSSL_FUNC_signature_digest_sign_final_fn *rsa_final, *ecdsa_final;

static int
rsa_sign_final(void *ctx, unsigned char *sig, size_t *n, size_t cap)
{
	return (sig == NULL || pausing_wait()) && rsa_final(ctx, sig, n, cap);
}

static int
ecdsa_sign_final(void *ctx, unsigned char *sig, size_t *n, size_t cap)
{
	return (sig == NULL || pausing_wait()) && ecdsa_final(ctx, sig, n, cap);
}

static OSSL_FUNC_signature_digest_sign_final_fn *
wrap(OSSL_DISPATCH *out, const OSSL_DISPATCH *in, OSSL_FUNC_signature_digest_sign_final_fn *ours)
{
	OSSL_FUNC_signature_digest_sign_final_fn *theirs = NULL;

	for (unsigned n = 0; in->function_id != 0 && n < FNS; in++, n++) {
		out[n] = *in;
		if (in->function_id != OSSL_FUNC_SIGNATURE_DIGEST_SIGN_FINAL)
			continue;
		theirs = OSSL_FUNC_signature_digest_sign_final(in);
		out[n].function = (void (*)(void))ours;
	}
	return theirs;
}

static bool
is(const OSSL_ALGORITHM *a, const char *name)
{
	size_t n = strlen(name);

	return strncmp(a->algorithm_names, name, n) == 0 &&
	       (a->algorithm_names[n] == ':' || a->algorithm_names[n] == 0);
}

static void
make_tables(void)
{
	int no_cache;
	const OSSL_ALGORITHM *a = OSSL_PROVIDER_query_operation(inner, OSSL_OP_KEYMGMT, &no_cache);
	unsigned n = 0;

	for (; a != NULL && a->algorithm_names != NULL && n < TABLE; a++)
		if (is(a, "RSA") || is(a, "EC")) {
			keys[n] = *a;
			keys[n++].property_definition = "provider=pst-test";
		}
	a = OSSL_PROVIDER_query_operation(inner, OSSL_OP_SIGNATURE, &no_cache);
	for (n = 0; a != NULL && a->algorithm_names != NULL && n < TABLE; a++) {
		bool rsa = is(a, "RSA");

		if (!rsa && !is(a, "ECDSA"))
			continue;
		signatures[n] = *a;
		signatures[n].property_definition = "provider=pst-test";
		signatures[n++].implementation = rsa ? rsa_fns : ecdsa_fns;
		if (rsa)
			rsa_final = wrap(rsa_fns, a->implementation, rsa_sign_final);
		else
			ecdsa_final = wrap(ecdsa_fns, a->implementation, ecdsa_sign_final);
	}
}

static const OSSL_ALGORITHM *
query(void *ctx, int operation, int *no_cache)
{
	*no_cache = 0;
	return operation == OSSL_OP_KEYMGMT     ? keys
	       : operation == OSSL_OP_SIGNATURE ? signatures
						: NULL;
}

/* libssl takes a group from the provider alone that has the key type too. */
static int
capabilities(void *ctx, const char *capability, OSSL_CALLBACK *cb, void *arg)
{
	return OSSL_PROVIDER_get_capabilities(inner, capability, cb, arg);
}

static void
teardown(void *ctx)
{
	pausing_stop();
	OSSL_PROVIDER_unload(inner);
	OSSL_LIB_CTX_free(lib);
}

static const OSSL_DISPATCH dispatch[] = {
	{OSSL_FUNC_PROVIDER_TEARDOWN, (void (*)(void))teardown},
	{OSSL_FUNC_PROVIDER_QUERY_OPERATION, (void (*)(void))query},
	{OSSL_FUNC_PROVIDER_GET_CAPABILITIES, (void (*)(void))capabilities},
	{0, NULL},
};

static bool
configure(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in)
{
	OSSL_FUNC_core_get_params_fn *get = NULL;
	char *mode = NULL, *delay = NULL, *fail = NULL, *broken = NULL;
	OSSL_PARAM p[] = {OSSL_PARAM_utf8_ptr("mode", &mode, 0),
		OSSL_PARAM_utf8_ptr("delay_us", &delay, 0), OSSL_PARAM_utf8_ptr("fail", &fail, 0),
		OSSL_PARAM_utf8_ptr("broken", &broken, 0), OSSL_PARAM_END};

	for (; in->function_id != 0; in++)
		if (in->function_id == OSSL_FUNC_CORE_GET_PARAMS)
			get = OSSL_FUNC_core_get_params(in);
	if (get == NULL || get(handle, p) != 1)
		return false;
	if (delay != NULL)
		pausing_set_delay((unsigned)atoi(delay));
	if (fail != NULL)
		pausing_set_fail((unsigned)atoi(fail));
	return broken == NULL && (mode == NULL || pausing_set_mode(mode));
}

OSSL_provider_init_fn OSSL_provider_init;
int
OSSL_provider_init(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in,
	const OSSL_DISPATCH **out, void **ctx)
{
	lib = OSSL_LIB_CTX_new();
	if (lib == NULL || (inner = OSSL_PROVIDER_load(lib, "default")) == NULL ||
		!configure(handle, in) || !pausing_start()) {
		OSSL_PROVIDER_unload(inner);
		OSSL_LIB_CTX_free(lib);
		return 0;
	}
	make_tables();
	*out = dispatch;
	*ctx = OSSL_PROVIDER_get0_provider_ctx(inner);
	return 1;
}
