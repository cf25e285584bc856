/* SPDX-License-Identifier: BSD-3-Clause */
/* Paths by the grammar of RFC 5321 4.1.2 and RFC 6531 3.3. */
#include <criterion/criterion.h>
#include <pst_smtp.h>

#define X10  "xxxxxxxxxx"
#define X60  X10 X10 X10 X10 X10 X10
#define D50  X10 X10 X10 X10 "xxxxxxxxx."
#define D200 D50 D50 D50 D50

enum { ASCII, UTF8 };
enum { FORWARD, REVERSE };

static enum pst_rc
parse(const char *s, int utf8, int reverse, struct pst_smtp_path *p, size_t *used)
{
	const char *why = "";
	enum pst_rc rc = pst_smtp_path_parse(
		pst_span_str(s), utf8 == UTF8, reverse == REVERSE, p, used, &why);
	cr_assert_eq(rc == PST_OK, why == NULL, "%s", s);
	return rc;
}

Test(path, good_paths_are_taken_apart)
{
	static const struct {
		const char *in, *addr, *local, *domain;
		int utf8, reverse;
	} rows[] = {
		{"<a@b>", "a@b", "a", "b", ASCII, FORWARD},
		{"<a@b.example> SIZE=1", "a@b.example", "a", "b.example", ASCII, REVERSE},
		{"<>", "", "", "", ASCII, REVERSE},
		{"<postmaster>", "postmaster", "postmaster", "", ASCII, FORWARD},
		{"<PostMaster>", "PostMaster", "PostMaster", "", ASCII, FORWARD},
		{"  <a@b>", "a@b", "a", "b", ASCII, FORWARD},
		{"<a.b.c@d-e.f>", "a.b.c@d-e.f", "a.b.c", "d-e.f", ASCII, FORWARD},
		{"<!#$%&'*+-/=?^_`{|}~@b>", "!#$%&'*+-/=?^_`{|}~@b", "!#$%&'*+-/=?^_`{|}~", "b",
			ASCII, FORWARD},
		{"<\"a b\"@c>", "\"a b\"@c", "\"a b\"", "c", ASCII, FORWARD},
		{"<\"a\\\"@>b\"@c>", "\"a\\\"@>b\"@c", "\"a\\\"@>b\"", "c", ASCII, FORWARD},
		{"<\"\"@c>", "\"\"@c", "\"\"", "c", ASCII, FORWARD},
		{"<@x:a@b>", "a@b", "a", "b", ASCII, FORWARD},
		{"<@x,@[192.0.2.1],@z.y:\"a\"@b>", "\"a\"@b", "\"a\"", "b", ASCII, REVERSE},
		{"<@x:postmaster>", "postmaster", "postmaster", "", ASCII, FORWARD},
		{"<a@[192.0.2.1]>", "a@[192.0.2.1]", "a", "[192.0.2.1]", ASCII, FORWARD},
		{"<a@[IPv6:2001:db8::1]>", "a@[IPv6:2001:db8::1]", "a", "[IPv6:2001:db8::1]", ASCII,
			FORWARD},
		{"<a@[ipv6:::]>", "a@[ipv6:::]", "a", "[ipv6:::]", ASCII, FORWARD},
		{"<a@1.2.3.4>", "a@1.2.3.4", "a", "1.2.3.4", ASCII, FORWARD},
		{"<a@under_score.example>", "a@under_score.example", "a", "under_score.example",
			ASCII, FORWARD},
		{"<" X60 "xxxx@b>", X60 "xxxx@b", X60 "xxxx", "b", ASCII, FORWARD},
		{"<a@" X60 "xxx.b>", "a@" X60 "xxx.b", "a", X60 "xxx.b", ASCII, FORWARD},
		{"<a@" D200 D50 "xx>", "a@" D200 D50 "xx", "a", D200 D50 "xx", ASCII, FORWARD},
		{"<d\xc3\xb6@\xc3\xa4.example>", "d\xc3\xb6@\xc3\xa4.example", "d\xc3\xb6",
			"\xc3\xa4.example", UTF8, FORWARD},
		{"<\"\xe2\x82\xac \"@b>", "\"\xe2\x82\xac \"@b", "\"\xe2\x82\xac \"", "b", UTF8,
			REVERSE},
		{"<\xf0\x9f\x93\xa7@b>", "\xf0\x9f\x93\xa7@b", "\xf0\x9f\x93\xa7", "b", UTF8,
			REVERSE},
	};
	for (unsigned i = 0; i < PST_COUNT(rows); i++) {
		struct pst_smtp_path p;
		size_t used;
		const char *in = rows[i].in;
		cr_assert_eq(parse(in, rows[i].utf8, rows[i].reverse, &p, &used), PST_OK, "%s", in);
		cr_assert(pst_span_eq(p.addr, pst_span_str(rows[i].addr)), "%s", in);
		cr_assert(pst_span_eq(p.local, pst_span_str(rows[i].local)), "%s", in);
		cr_assert(pst_span_eq(p.domain, pst_span_str(rows[i].domain)), "%s", in);
		cr_assert_eq(in[used - 1], '>');
		cr_assert(in[used] == '\0' || in[used] == ' ', "%s", in);
	}
}

Test(path, bad_paths_are_refused)
{
	static const struct {
		const char *in;
		int utf8, reverse;
	} rows[] = {
		{"", ASCII, FORWARD},
		{"a@b", ASCII, FORWARD},
		{"<", ASCII, FORWARD},
		{"<>", ASCII, FORWARD},
		{"< >", ASCII, REVERSE},
		{"<a>", ASCII, FORWARD},
		{"<postmaster>", ASCII, REVERSE},
		{"<postmaster@>", ASCII, FORWARD},
		{"<a@b", ASCII, FORWARD},
		{"<a@b>>", ASCII, -1}, /* good path; the rest is the caller's */
		{"<@b>", ASCII, FORWARD},
		{"<a@>", ASCII, FORWARD},
		{"<a@@b>", ASCII, FORWARD},
		{"<a@b@c>", ASCII, FORWARD},
		{"<.a@b>", ASCII, FORWARD},
		{"<a.@b>", ASCII, FORWARD},
		{"<a..b@c>", ASCII, FORWARD},
		{"<a b@c>", ASCII, FORWARD},
		{"<a@b c>", ASCII, FORWARD},
		{"<a@b,c@d>", ASCII, FORWARD},
		{"<(a)@b>", ASCII, FORWARD},
		{"<a\\b@c>", ASCII, FORWARD},
		{"<\"a@b>", ASCII, FORWARD},
		{"<\"a\"b@c>", ASCII, FORWARD},
		{"<\"a\\\xc3\xa4\"@c>", UTF8, FORWARD},
		{"<\"a\tb\"@c>", ASCII, FORWARD},
		{"<a\r\n@c>", ASCII, FORWARD},
		{"<a@b.>", ASCII, FORWARD},
		{"<a@.b>", ASCII, FORWARD},
		{"<a@b..c>", ASCII, FORWARD},
		{"<a@-b>", ASCII, FORWARD},
		{"<a@b->", ASCII, FORWARD},
		{"<a@b-.c>", ASCII, FORWARD},
		{"<a@b!c>", ASCII, FORWARD},
		{"<a@[192.0.2.256]>", ASCII, FORWARD},
		{"<a@[192.0.2]>", ASCII, FORWARD},
		{"<a@[192.0.2.1>", ASCII, FORWARD},
		{"<a@192.0.2.1]>", ASCII, FORWARD},
		{"<a@[]>", ASCII, FORWARD},
		{"<a@[IPv6:]>", ASCII, FORWARD},
		{"<a@[IPv6:192.0.2.1]>", ASCII, FORWARD},
		{"<a@[2001:db8::1]>", ASCII, FORWARD},
		{"<a@[tag:content]>", ASCII, FORWARD},
		{"<a@[IPv6:" D200 "]>", ASCII, FORWARD},
		{"<a@[" D200 "]>", ASCII, FORWARD},
		{"<@x a@b>", ASCII, FORWARD},
		{"<@x,:a@b>", ASCII, FORWARD},
		{"<@x:>", ASCII, FORWARD},
		{"<x:a@b>", ASCII, FORWARD},
		{"<@:a@b>", ASCII, FORWARD},
		{"<" X60 "xxxxx@b>", ASCII, FORWARD},
		{"<a@" X60 "xxxx.b>", ASCII, FORWARD},
		{"<a@" D200 D50 "xxx>", ASCII, FORWARD}, /* path of 257 */
		{"<a@" D200 D50 "xxxxxxx>", ASCII, FORWARD},
		{"<d\xc3\xb6@b>", ASCII, FORWARD},
		{"<a@\xc3\xa4>", ASCII, FORWARD},
		{"<d\xc3@b>", UTF8, FORWARD},
		{"<\xc0\x80@b>", UTF8, FORWARD},
		{"<\xed\xa0\x80@b>", UTF8, FORWARD},
		{"<\xf4\x90\x80\x80@b>", UTF8, FORWARD},
		{"<\xff@b>", UTF8, FORWARD},
		{"<\x80@b>", UTF8, FORWARD},
	};
	for (unsigned i = 0; i < PST_COUNT(rows); i++) {
		struct pst_smtp_path p;
		size_t used;
		enum pst_rc want = rows[i].reverse == -1 ? PST_OK : PST_INVAL;
		cr_assert_eq(parse(rows[i].in, rows[i].utf8, rows[i].reverse == REVERSE, &p, &used),
			want, "%s", rows[i].in);
	}
}

Test(path, embedded_nul_is_no_end)
{
	struct pst_smtp_path p;
	size_t used;
	const char *why;
	static const char local[] = "<a\0b@c>", literal[] = "<a@[192.0.2.1\0]>";
	cr_assert_eq(pst_smtp_path_parse(
			     pst_span(local, sizeof(local) - 1), true, false, &p, &used, &why),
		PST_INVAL);
	cr_assert_eq(pst_smtp_path_parse(
			     pst_span(literal, sizeof(literal) - 1), true, false, &p, &used, &why),
		PST_INVAL);
}
