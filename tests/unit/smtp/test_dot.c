/* SPDX-License-Identifier: BSD-3-Clause */
#include <criterion/criterion.h>
#include <pst_smtp.h>
#include <pst_smtp_ref.h>

#include <stdlib.h>

static size_t
encode(const uint8_t *in, size_t n, uint8_t *out, unsigned *rnd)
{
	struct pst_smtp_dot d = {0};
	size_t i = 0, o = 0;
	while (i < n) {
		size_t take = rnd == NULL ? n : 1 + (size_t)rand_r(rnd) % 7;
		size_t room = rnd == NULL ? 2 * n + 2 : (size_t)rand_r(rnd) % 5;
		size_t used;
		take = take < n - i ? take : n - i;
		size_t put = pst_smtp_dot_encode(&d, in + i, take, &used, out + o, room);
		cr_assert_leq(used, take);
		cr_assert_leq(put, room);
		i += used;
		o += put;
	}
	return o + pst_smtp_dot_end(&d, out + o);
}

Test(dot, messages_are_framed_as_the_rfc_says)
{
	static const struct {
		const char *in, *out;
	} rows[] = {
		{"", ".\r\n"},
		{"a", "a\r\n.\r\n"},
		{"a\r\n", "a\r\n.\r\n"},
		{".", "..\r\n.\r\n"},
		{".\r\n", "..\r\n.\r\n"},
		{"..\r\n", "...\r\n.\r\n"},
		{"a.\r\n", "a.\r\n.\r\n"},
		{"a\r\n.b\r\n\r\n.\r\n", "a\r\n..b\r\n\r\n..\r\n.\r\n"},
		{"a\r\n\r\n", "a\r\n\r\n.\r\n"},
	};
	for (unsigned i = 0; i < PST_COUNT(rows); i++) {
		uint8_t out[64];
		size_t n = encode((const uint8_t *)rows[i].in, strlen(rows[i].in), out, NULL);
		cr_assert(
			pst_span_eq(pst_span(out, n), pst_span_str(rows[i].out)), "%s", rows[i].in);
	}
}

/* Lines of few letters, so that dots and line ends meet often. */
static size_t
random_message(uint8_t *m, unsigned *rnd)
{
	size_t n = 0;
	for (unsigned lines = (unsigned)rand_r(rnd) % 12; lines > 0; lines--) {
		for (unsigned k = (unsigned)rand_r(rnd) % 5; k > 0; k--)
			m[n++] = (uint8_t) "..a\xff"[rand_r(rnd) % 4];
		m[n++] = '\r';
		m[n++] = '\n';
	}
	return n;
}

Test(dot, decoding_gives_back_what_was_encoded_however_it_is_cut)
{
	for (unsigned seed = 1; seed < 3000; seed++) {
		uint8_t m[128], wire[300], again[600];
		unsigned rnd = seed;
		size_t n = random_message(m, &rnd);
		size_t w = encode(m, n, wire, &rnd);
		struct pst_smtp_ref r = pst_smtp_ref_data(wire, w, again);
		cr_assert(r.ended);
		cr_assert_eq(r.used, w, "the end stands only at the end");
		cr_assert(pst_span_eq(pst_span(again, r.n), pst_span(m, n)));
	}
}
