/* SPDX-License-Identifier: BSD-3-Clause */
/* TLS 1.3's key derivation of our provider against OpenSSL's own, and against RFC 8448. */
#include <pst_crypto.h>

#include <criterion/criterion.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <pst_rand.h>
#include <string.h>

struct octets {
	uint8_t b[300];
	size_t n;
	bool given;
};

struct question {
	const char *digest;
	int mode;
	struct octets key, salt, label, data;
	size_t out;
};

static char prefix[] = "tls13 ", label[] = "key", secret[] = "0123456789abcdef0123456789abcdef";

static int
answer(OSSL_LIB_CTX *lib, const struct question *q, uint8_t *out)
{
	EVP_KDF *kdf = EVP_KDF_fetch(lib, "TLS13-KDF", NULL);
	EVP_KDF_CTX *ctx = EVP_KDF_CTX_new(kdf);
	OSSL_PARAM p[8], *at = p;
	int mode = q->mode, ok;

	*at++ = OSSL_PARAM_construct_int(OSSL_KDF_PARAM_MODE, &mode);
	*at++ = OSSL_PARAM_construct_utf8_string(
		OSSL_KDF_PARAM_DIGEST, (char *)(uintptr_t)q->digest, 0);
	*at++ = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_PREFIX, prefix, 6);
	*at++ = OSSL_PARAM_construct_octet_string(
		OSSL_KDF_PARAM_LABEL, (void *)(uintptr_t)q->label.b, q->label.n);
	if (q->key.given)
		*at++ = OSSL_PARAM_construct_octet_string(
			OSSL_KDF_PARAM_KEY, (void *)(uintptr_t)q->key.b, q->key.n);
	if (q->salt.given)
		*at++ = OSSL_PARAM_construct_octet_string(
			OSSL_KDF_PARAM_SALT, (void *)(uintptr_t)q->salt.b, q->salt.n);
	if (q->data.given)
		*at++ = OSSL_PARAM_construct_octet_string(
			OSSL_KDF_PARAM_DATA, (void *)(uintptr_t)q->data.b, q->data.n);
	*at = OSSL_PARAM_construct_end();
	ok = EVP_KDF_derive(ctx, out, q->out, p);
	EVP_KDF_CTX_free(ctx);
	EVP_KDF_free(kdf);
	return ok;
}

static void
fill(struct pst_rand *r, struct octets *o, size_t n, bool given)
{
	for (size_t i = 0; i < n; i++)
		o->b[i] = (uint8_t)pst_rand_u64(r);
	o->n = n;
	o->given = given;
}

Test(kdf, answers_as_openssl_does)
{
	static const char *const digests[] = {"SHA256", "SHA2-256", "SHA384", "SHA2-384", "SHA512"};
	static const size_t hash[] = {32, 32, 48, 48, 64};
	struct pst_rand r;
	struct pst_crypto *c;
	char err[200];

	pst_rand_seed(&r, 11);
	c = pst_crypto_new(err, sizeof(err));
	cr_assert_not_null(c, "%s", err);
	for (unsigned i = 0; i < 4000; i++) {
		struct question q = {.mode = i % 2 ? EVP_KDF_HKDF_MODE_EXPAND_ONLY
						   : EVP_KDF_HKDF_MODE_EXTRACT_ONLY};
		unsigned d = (unsigned)(pst_rand_u64(&r) % PST_COUNT(digests));
		uint8_t ours[300] = {0}, theirs[300] = {0};
		int a, b;

		q.digest = digests[d];
		fill(&r, &q.key, i % 7 == 0 ? pst_rand_u64(&r) % 200 + 1 : hash[d], i % 5 != 0);
		fill(&r, &q.salt, hash[d], i % 3 != 0);
		fill(&r, &q.label, pst_rand_u64(&r) % 20 + 1, true);
		fill(&r, &q.data, i % 11 == 0 ? pst_rand_u64(&r) % 256 : hash[d], i % 4 != 0);
		q.out = i % 2 ? pst_rand_u64(&r) % 200 + 1 : hash[d];
		a = answer(pst_crypto_libctx(c), &q, ours);
		b = answer(NULL, &q, theirs);
		cr_assert_eq(
			a > 0, b > 0, "%u: %s, mode %d: %d, not %d", i, q.digest, q.mode, a, b);
		if (a > 0)
			cr_assert_arr_eq(ours, theirs, sizeof(ours), "%u: %s, mode %d, %zu bytes",
				i, q.digest, q.mode, q.out);
	}
	pst_crypto_free(c);
}

/* RFC 8448 3: {server} extract secret "early", and the derivation for the handshake secret. */
Test(kdf, knows_the_trace_of_rfc_8448)
{
	static const uint8_t early[] = {0x33, 0xad, 0x0a, 0x1c, 0x60, 0x7e, 0xc0, 0x3b, 0x09, 0xe6,
		0xcd, 0x98, 0x93, 0x68, 0x0c, 0xe2, 0x10, 0xad, 0xf3, 0x00, 0xaa, 0x1f, 0x26, 0x60,
		0xe1, 0xb2, 0x2e, 0x10, 0xf1, 0x70, 0xf9, 0x2a};
	struct question q = {.digest = "SHA2-256",
		.mode = EVP_KDF_HKDF_MODE_EXTRACT_ONLY,
		.label = {"derived", 7, true},
		.out = 32};
	struct pst_crypto *c;
	uint8_t out[32];
	char err[200];

	c = pst_crypto_new(err, sizeof(err));
	cr_assert_not_null(c, "%s", err);
	cr_assert_eq(answer(pst_crypto_libctx(c), &q, out), 1);
	cr_expect_arr_eq(out, early, sizeof(early));
	pst_crypto_free(c);
}

Test(kdf, what_is_set_before_the_derivation_counts)
{
	int mode = EVP_KDF_HKDF_MODE_EXPAND_ONLY;
	OSSL_PARAM first[] = {OSSL_PARAM_construct_int(OSSL_KDF_PARAM_MODE, &mode),
		OSSL_PARAM_construct_utf8_string(
			OSSL_KDF_PARAM_DIGEST, (char *)(uintptr_t) "SHA256", 0),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, secret, 32),
		OSSL_PARAM_construct_end()};
	OSSL_PARAM then[] = {OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_PREFIX, prefix, 6),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_LABEL, label, 3),
		OSSL_PARAM_construct_end()};
	struct pst_crypto *c;
	uint8_t out[2][32] = {{0}};
	char err[200];

	c = pst_crypto_new(err, sizeof(err));
	cr_assert_not_null(c, "%s", err);
	for (unsigned i = 0; i < 2; i++) {
		EVP_KDF *kdf = EVP_KDF_fetch(i ? pst_crypto_libctx(c) : NULL, "TLS13-KDF", NULL);
		EVP_KDF_CTX *ctx = EVP_KDF_CTX_new(kdf);

		cr_assert_eq(EVP_KDF_CTX_set_params(ctx, first), 1);
		cr_assert_eq(EVP_KDF_derive(ctx, out[i], 32, then), 1);
		cr_expect_gt(EVP_KDF_CTX_get_kdf_size(ctx), 0);
		EVP_KDF_CTX_reset(ctx);
		cr_expect_leq(EVP_KDF_derive(ctx, out[i], 32, then), 0, "the key is forgotten");
		cr_assert_eq(EVP_KDF_CTX_set_params(ctx, first), 1);
		cr_assert_eq(EVP_KDF_derive(ctx, out[i], 32, then), 1);
		EVP_KDF_CTX_free(ctx);
		EVP_KDF_free(kdf);
	}
	cr_expect_arr_eq(out[0], out[1], 32);
	pst_crypto_free(c);
}
