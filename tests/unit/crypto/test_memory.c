/* SPDX-License-Identifier: BSD-3-Clause */
#include <criterion/criterion.h>
#include <pst_crypto.h>

/*
 * The test runner's libraries use OpenSSL before any test does, so only the refusal
 * can be seen here; bench/micro/tls/tls_mem runs with counting.
 */
Test(memory, counting_that_begins_too_late_says_so)
{
	char err[256];
	struct pst_crypto *c = pst_crypto_new(err, sizeof(err));

	cr_expect_eq(pst_crypto_count_memory(), PST_INVAL);
	cr_expect_eq(pst_crypto_live_bytes(), 0);
	pst_crypto_free(c);
}
