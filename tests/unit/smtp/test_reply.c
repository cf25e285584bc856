/* SPDX-License-Identifier: BSD-3-Clause */
#include <criterion/criterion.h>
#include <pst_smtp.h>

static void
check(struct pst_buf *b, const char *want)
{
	struct pst_span got = pst_buf_span(b);
	cr_assert(pst_span_eq(got, pst_span_str(want)), "%.*s", PST_SPAN_FMT(got));
	pst_buf_fini(b);
}

Test(reply, has_code_enhanced_code_and_text)
{
	struct pst_buf b;
	pst_buf_init(&b, 4096);
	pst_smtp_reply_put(&b, 250, "2.1.0", "fine");
	check(&b, "250 2.1.0 fine\r\n");
	pst_smtp_reply_put(&b, 354, NULL, "go on");
	check(&b, "354 go on\r\n");
	pst_smtp_reply_put(&b, 250, "2.0.0", "");
	check(&b, "250 2.0.0\r\n");
	pst_smtp_reply_put(&b, 250, NULL, "");
	check(&b, "250\r\n");
}

Test(reply, every_line_of_many_carries_the_codes)
{
	struct pst_buf b;
	pst_buf_init(&b, 4096);
	pst_smtp_reply_put(&b, 550, "5.7.1", "one\n\nthree");
	check(&b, "550-5.7.1 one\r\n550-5.7.1 \r\n550 5.7.1 three\r\n");
}

Test(reply, control_bytes_cannot_break_the_line)
{
	struct pst_buf b;
	pst_buf_init(&b, 4096);
	struct pst_smtp_reply r = {
		.code = 550, .enh = {5, 1, 255}, .text = pst_span("a\r\x01\0\x7f", 5)};
	pst_smtp_reply_put_reply(&b, &r);
	check(&b, "550 5.1.255 a????\r\n");
}

Test(reply, is_whole_or_absent)
{
	struct pst_buf b;
	pst_buf_init(&b, 20);
	cr_assert_eq(pst_smtp_reply_put(&b, 250, NULL, "12345"), PST_OK);
	cr_assert_eq(pst_smtp_reply_put(&b, 250, NULL, "1\n2345678"), PST_NOMEM);
	check(&b, "250 12345\r\n");
}

Test(reply, long_lines_are_cut_at_512_and_not_inside_a_character)
{
	char text[1200];
	struct pst_buf b;
	pst_buf_init(&b, 4096);
	for (unsigned i = 0; i + 2 < sizeof(text); i += 2)
		memcpy(text + i, "\xc3\xa4", 3);
	pst_smtp_reply_put(&b, 550, "5.1.1", text);
	cr_assert_leq(pst_buf_len(&b), 512);
	cr_assert_geq(pst_buf_len(&b), 510);
	struct pst_span s = pst_buf_span(&b);
	cr_assert_eq(s.p[s.n - 3], 0xa4);
	cr_assert_eq(memcmp(s.p + s.n - 2, "\r\n", 2), 0);
	pst_buf_fini(&b);
}
