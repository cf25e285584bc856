/* SPDX-License-Identifier: BSD-3-Clause */
#include <criterion/criterion.h>
#include <pst_rand.h>

/* The key 00..0f of the paper's appendix A. */
static const struct pst_sipkey paper_key = {{0x0706050403020100ull, 0x0f0e0d0c0b0a0908ull}};

/* Published SipHash-2-4 vectors: the input of length n is the bytes 00, 01, .. n-1. */
static const struct {
	size_t n;
	uint64_t hash;
} vectors[] = {
	{0, 0x726fdb47dd0e0e31ull},
	{1, 0x74f839c593dc67fdull},
	{2, 0x0d6c8009d9a94f5aull},
	{3, 0x85676696d7fb7e2dull},
	{4, 0xcf2794e0277187b7ull},
	{5, 0x18765564cd99a68dull},
	{6, 0xcbc9466e58fee3ceull},
	{7, 0xab0200f58b01d137ull},
	{8, 0x93f5f5799a932462ull},
	{15, 0xa129ca6149be45e5ull},
	{63, 0x958a324ceb064572ull},
};

Test(siphash, gives_the_published_values)
{
	uint8_t in[64];

	for (unsigned i = 0; i < sizeof(in); i++)
		in[i] = (uint8_t)i;
	for (size_t i = 0; i < PST_COUNT(vectors); i++)
		cr_assert_eq(pst_siphash(&paper_key, in, vectors[i].n), vectors[i].hash,
			"length %zu", vectors[i].n);
}

Test(siphash, does_not_depend_on_alignment)
{
	uint8_t in[80];

	for (unsigned i = 0; i < 36; i++)
		in[i] = (uint8_t)(i * 7);
	uint64_t want = pst_siphash(&paper_key, in, 36);
	for (unsigned off = 1; off < 16; off++) {
		memmove(in + off, in + off - 1, 36);
		cr_assert_eq(pst_siphash(&paper_key, in + off, 36), want);
	}
}

Test(rand, the_same_seed_repeats_and_another_differs)
{
	struct pst_rand a, b, c;
	unsigned same = 0;

	pst_rand_seed(&a, 7);
	pst_rand_seed(&b, 7);
	pst_rand_seed(&c, 8);
	for (int i = 0; i < 1000; i++) {
		uint64_t x = pst_rand_u64(&a);

		cr_assert_eq(x, pst_rand_u64(&b));
		same += x == pst_rand_u64(&c);
	}
	cr_assert_eq(same, 0);
}

Test(rand, the_kernel_gives_a_new_key_each_time)
{
	struct pst_rand a, b;

	pst_rand_init(&a);
	pst_rand_init(&b);
	cr_assert(a.key.k[0] != b.key.k[0] || a.key.k[1] != b.key.k[1]);
}

Test(rand, below_stays_below_and_is_even)
{
	static const uint32_t bounds[] = {1, 2, 3, 7, 10, 1000, 0x80000001u, UINT32_MAX};
	unsigned hits[10] = {0};
	struct pst_rand r;

	pst_rand_seed(&r, 1);
	for (size_t i = 0; i < PST_COUNT(bounds); i++)
		for (int k = 0; k < 1000; k++)
			cr_assert_lt(pst_rand_below(&r, bounds[i]), bounds[i]);
	for (int k = 0; k < 100000; k++)
		hits[pst_rand_below(&r, 10)]++;
	/* 10 000 expected, sigma 95: five sigma. */
	for (int i = 0; i < 10; i++)
		cr_assert(hits[i] > 9525 && hits[i] < 10475, "%d: %u", i, hits[i]);
}
