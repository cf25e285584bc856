/* SPDX-License-Identifier: BSD-3-Clause */
#include <criterion/criterion.h>
#include <pst_buf.h>

#include <stdlib.h>

Test(buf, empty_buffer_holds_no_storage)
{
	struct pst_buf b;
	pst_buf_init(&b, 100);
	cr_assert_eq(pst_buf_len(&b), 0);
	cr_assert_eq(pst_buf_span(&b).n, 0);
	cr_assert_eq(pst_buf_append(&b, "abc", 3), PST_OK);
	cr_assert_neq(b.cap, 0);
	pst_buf_consume(&b, 3);
	cr_assert_eq(b.cap, 0);
	cr_assert_null(b.p);
	pst_buf_consume(&b, 0);
	cr_assert_eq(pst_buf_append(&b, NULL, 0), PST_OK);
	cr_assert_eq(b.cap, 0);
}

Test(buf, append_takes_all_or_nothing_at_the_limit)
{
	struct pst_buf b;
	pst_buf_init(&b, 10);
	cr_assert_eq(pst_buf_append_str(&b, "0123456789"), PST_OK);
	cr_assert_eq(pst_buf_room(&b), 0);
	cr_assert_eq(pst_buf_append(&b, "x", 1), PST_NOMEM);
	pst_buf_consume(&b, 3);
	cr_assert_eq(pst_buf_append(&b, "wxyz", 4), PST_NOMEM);
	cr_assert_eq(pst_buf_append(&b, "xyz", 3), PST_OK);
	cr_assert(pst_span_eq(pst_buf_span(&b), pst_span_str("3456789xyz")));
	cr_assert_eq(pst_buf_append(&b, "x", SIZE_MAX), PST_NOMEM);
	pst_buf_fini(&b);
	cr_assert_eq(b.cap, 0);
	cr_assert_eq(b.limit, 10);
}

Test(buf, reserve_without_bytes_gives_the_storage_back)
{
	struct pst_buf b;
	pst_buf_init(&b, 1000);
	cr_assert_not_null(pst_buf_reserve(&b, 1000));
	pst_buf_commit(&b, 0);
	cr_assert_eq(b.cap, 0);
	cr_assert_null(pst_buf_reserve(&b, 1001));
	memcpy(pst_buf_reserve(&b, 600), "hello", 5);
	pst_buf_commit(&b, 5);
	cr_assert(pst_span_eq(pst_buf_span(&b), pst_span_str("hello")));
	pst_buf_fini(&b);
}

Test(buf, printf_is_whole_or_absent_and_may_be_long)
{
	struct pst_buf b;
	char big[2001];
	memset(big, 'a', 2000);
	big[2000] = '\0';
	pst_buf_init(&b, 2002);
	cr_assert_eq(pst_buf_printf(&b, "%d", 7), PST_OK);
	cr_assert_eq(pst_buf_printf(&b, "%s%d", big, 9), PST_OK);
	cr_assert_eq(pst_buf_len(&b), 2002);
	cr_assert_eq(b.p[0], '7');
	cr_assert_eq(b.p[2001], '9');
	cr_assert_eq(pst_buf_printf(&b, "%s", "x"), PST_NOMEM);
	cr_assert_eq(pst_buf_len(&b), 2002);
	pst_buf_fini(&b);
}

Test(buf, bytes_come_out_as_they_went_in_whatever_the_steps)
{
	for (unsigned seed = 1; seed <= 40; seed++) {
		struct pst_buf b;
		unsigned rnd = seed;
		uint8_t in = 0, out = 0;
		uint32_t limit = 1 + rand_r(&rnd) % 5000;
		pst_buf_init(&b, limit);
		for (unsigned i = 0; i < 4000; i++) {
			size_t n = (unsigned)rand_r(&rnd) % (limit + 1);
			if (rand_r(&rnd) % 2) {
				uint8_t *p = pst_buf_reserve(&b, n);
				cr_assert_eq(p == NULL, n > pst_buf_room(&b));
				if (p == NULL)
					continue;
				size_t used = n / 2 + n % 2;
				for (size_t k = 0; k < used; k++)
					p[k] = in++;
				pst_buf_commit(&b, used);
			} else {
				n = PST_MIN(n, pst_buf_len(&b));
				for (size_t k = 0; k < n; k++)
					cr_assert_eq(pst_buf_span(&b).p[k], out++);
				pst_buf_consume(&b, n);
			}
			cr_assert(b.cap <= PST_MAX(256u, 4 * limit));
			cr_assert_eq(b.cap == 0, pst_buf_len(&b) == 0);
		}
		pst_buf_fini(&b);
	}
}

Test(buf, a_full_buffer_moved_by_single_bytes_is_seldom_copied)
{
	struct pst_buf b;
	pst_buf_init(&b, 4096);
	uint8_t *p = pst_buf_reserve(&b, 4096);
	memset(p, 'x', 4096);
	pst_buf_commit(&b, 4096);
	unsigned moves = 0;
	for (unsigned i = 0; i < 100000; i++) {
		pst_buf_consume(&b, 1);
		uint32_t head = b.head;
		cr_assert_eq(pst_buf_append(&b, "y", 1), PST_OK);
		moves += b.head < head;
	}
	cr_assert_leq(moves, 100000 / 1024);
	pst_buf_fini(&b);
}
