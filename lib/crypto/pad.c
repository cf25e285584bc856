/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What stands between a digest and a device's raw arithmetic: RSA paddings, and the
 * encoding of an ECDSA signature. RFC 8017 for RSA, RFC 3279 2.2.3 for ECDSA.
 */
#include "engine_int.h"
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <string.h>

/* RFC 8017 B.2.1: xors the mask made from the digest h into out. */
static bool
mgf1_xor(EVP_MD_CTX *ctx, const EVP_MD *md, const uint8_t *h, size_t hlen, uint8_t *out, size_t n)
{
	uint8_t mask[EVP_MAX_MD_SIZE];

	for (uint32_t i = 0; n > 0; i++) {
		const uint8_t counter[4] = {
			(uint8_t)(i >> 24), (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i};
		size_t part = PST_MIN(n, hlen);

		if (EVP_DigestInit_ex(ctx, md, NULL) != 1 || EVP_DigestUpdate(ctx, h, hlen) != 1 ||
			EVP_DigestUpdate(ctx, counter, 4) != 1 ||
			EVP_DigestFinal_ex(ctx, mask, NULL) != 1)
			return false;
		for (size_t j = 0; j < part; j++)
			out[j] ^= mask[j];
		out += part;
		n -= part;
	}
	return true;
}

/* H = Hash(eight zero bytes || digest || salt). */
static bool
pss_hash(EVP_MD_CTX *ctx, const EVP_MD *md, const uint8_t *digest, const uint8_t *salt, size_t hlen,
	uint8_t *h)
{
	static const uint8_t zero[8];

	return EVP_DigestInit_ex(ctx, md, NULL) == 1 && EVP_DigestUpdate(ctx, zero, 8) == 1 &&
	       EVP_DigestUpdate(ctx, digest, hlen) == 1 && EVP_DigestUpdate(ctx, salt, hlen) == 1 &&
	       EVP_DigestFinal_ex(ctx, h, NULL) == 1;
}

bool
pst_pad_pss(OSSL_LIB_CTX *lib, const EVP_MD *md, const uint8_t *digest, unsigned bits, uint8_t *em)
{
	size_t hlen = (size_t)EVP_MD_get_size(md), len = (bits - 1 + 7) / 8, db;
	uint8_t salt[EVP_MAX_MD_SIZE];
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool ok;

	/* "If emLen < hLen + sLen + 2, output "encoding error" and stop." */
	if (ctx == NULL || len < 2 * hlen + 2) {
		EVP_MD_CTX_free(ctx);
		return false;
	}
	db = len - hlen - 1;
	memset(em, 0, db);
	ok = RAND_bytes_ex(lib, salt, hlen, 0) == 1 &&
	     pss_hash(ctx, md, digest, salt, hlen, em + db);
	em[db - hlen - 1] = 0x01;
	memcpy(em + db - hlen, salt, hlen);
	em[len - 1] = 0xbc;
	ok = ok && mgf1_xor(ctx, md, em + db, hlen, em, db);
	/* The leftmost bits beyond the modulus are zero. */
	em[0] &= (uint8_t)(0xff >> (8 * len - (bits - 1)));
	EVP_MD_CTX_free(ctx);
	return ok;
}

bool
pst_pad_pkcs1(const EVP_MD *md, const uint8_t *digest, size_t len, uint8_t *em)
{
	/* SEQUENCE { SEQUENCE { OID, NULL }, OCTET STRING }, up to the digest: RFC 8017 9.2 note 1.
	 */
	static const struct {
		const char *name;
		uint8_t n, der[19];
	} info[] = {
		{"SHA1", 15,
			{0x30, 0x21, 0x30, 0x09, 0x06, 0x05, 0x2b, 0x0e, 0x03, 0x02, 0x1a, 0x05,
				0x00, 0x04, 0x14}},
		{"SHA256", 19,
			{0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03,
				0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20}},
		{"SHA384", 19,
			{0x30, 0x41, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03,
				0x04, 0x02, 0x02, 0x05, 0x00, 0x04, 0x30}},
		{"SHA512", 19,
			{0x30, 0x51, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03,
				0x04, 0x02, 0x03, 0x05, 0x00, 0x04, 0x40}},
	};
	size_t hlen = (size_t)EVP_MD_get_size(md);

	for (unsigned i = 0; i < PST_COUNT(info); i++) {
		size_t t = info[i].n + hlen;

		if (!EVP_MD_is_a(md, info[i].name))
			continue;
		if (len < t + 11)
			return false;
		em[0] = 0x00;
		em[1] = 0x01;
		memset(em + 2, 0xff, len - t - 3);
		em[len - t - 1] = 0x00;
		memcpy(em + len - t, info[i].der, info[i].n);
		memcpy(em + len - hlen, digest, hlen);
		return true;
	}
	return false;
}

size_t
pst_pad_ecdsa_der(const uint8_t *rs, size_t n, uint8_t *der, size_t cap)
{
	ECDSA_SIG *sig = ECDSA_SIG_new();
	BIGNUM *r = BN_bin2bn(rs, (int)n, NULL), *s = BN_bin2bn(rs + n, (int)n, NULL);
	int len = 0;

	if (sig == NULL || r == NULL || s == NULL || BN_is_zero(r) || BN_is_zero(s) ||
		ECDSA_SIG_set0(sig, r, s) != 1) {
		BN_free(r);
		BN_free(s);
	} else if ((len = i2d_ECDSA_SIG(sig, NULL)) > 0 && (size_t)len <= cap) {
		i2d_ECDSA_SIG(sig, &der);
	} else {
		len = 0;
	}
	ECDSA_SIG_free(sig);
	return len > 0 ? (size_t)len : 0;
}
