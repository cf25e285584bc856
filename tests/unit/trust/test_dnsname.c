/* SPDX-License-Identifier: BSD-3-Clause */
#include "dnsname.h"
#include "kit.h"

#include <criterion/criterion.h>
#include <stdlib.h>

#define L63 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define L61 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define SPAN(s)                                                                                    \
	{                                                                                          \
		(const uint8_t *)s, sizeof(s) - 1                                                  \
	}

Test(dnsname, text_becomes_lower_case_without_its_last_dot_or_is_refused)
{
	static const struct {
		struct pst_span in;
		const char *out; /* NULL: refused */
	} rows[] = {
		{SPAN("example.com"), "example.com"},
		{SPAN("ExAmPlE.COM."), "example.com"},
		{SPAN("a"), "a"},
		{SPAN("_25._tcp.mx-1.example"), "_25._tcp.mx-1.example"},
		{SPAN("1.2.3.4"), "1.2.3.4"},
		{SPAN(L63 ".x"), L63 ".x"},
		{SPAN(L63 "a.x"), NULL},
		{SPAN(L63 "." L63 "." L63 "." L61), L63 "." L63 "." L63 "." L61}, /* 253 */
		{SPAN(L63 "." L63 "." L63 "." L61 "."), L63 "." L63 "." L63 "." L61},
		{SPAN(L63 "." L63 "." L63 "." L61 "a"), NULL}, /* 254 */
		{SPAN(""), NULL},
		{SPAN("."), NULL},
		{SPAN(".."), NULL},
		{SPAN("a..b"), NULL},
		{SPAN(".a"), NULL},
		{SPAN("a.."), NULL},
		{SPAN("a b"), NULL},
		{SPAN(" a"), NULL},
		{SPAN("a\r\nb"), NULL},
		{SPAN("a\0b"), NULL},
		{SPAN("a\tb"), NULL},
		{SPAN("a\x7f"), NULL},
		{SPAN("b\xc3\xbc"
		      "cher.example"),
			NULL},
		{SPAN("a/b"), NULL},
		{SPAN("[192.0.2.1]"), NULL},
		{SPAN("a:25"), NULL},
		{SPAN("*.example"), NULL},
		{SPAN("a@b"), NULL},
		{SPAN("a\\b"), NULL},
	};

	for (size_t i = 0; i < PST_COUNT(rows); i++) {
		char out[PST_NAME_MAX] = "untouched";
		bool ok = dnsname_from_text(rows[i].in, out);

		cr_expect_eq(ok, rows[i].out != NULL, "row %zu", i);
		cr_expect_str_eq(out, ok ? rows[i].out : "untouched", "row %zu", i);
	}
}

Test(dnsname, no_byte_but_those_of_a_name_passes_from_wire_or_text)
{
	static const char good[] = "abcdefghijklmnopqrstuvwxyz0123456789-_"
				   "ABCDEFGHIJKLMNOPQRSTUVWXYZ";

	for (unsigned b = 0; b < 256; b++) {
		uint8_t text[3] = {'x', (uint8_t)b, 'y'};
		uint8_t wire[5] = {3, 'x', (uint8_t)b, 'y', 0};
		bool plain = b != 0 && strchr(good, (int)b) != NULL;
		char out[PST_NAME_MAX];

		cr_expect_eq(dnsname_from_text(pst_span(text, 3), out), plain || b == '.', "%u", b);
		/* A dot within a label would make two of one. */
		cr_expect_eq(dnsname_from_wire(wire, 5, out), plain, "%u", b);
	}
}

Test(dnsname, wire_is_a_whole_name_or_nothing)
{
	static const struct {
		struct pst_span in;
		const char *out;
	} rows[] = {
		{SPAN("\3foo\7EXAMPLE\0"), "foo.example"},
		{SPAN("\0"), ""},
		{SPAN(""), NULL},
		{SPAN("\3foo"), NULL},          /* no end */
		{SPAN("\3fo"), NULL},           /* label runs out */
		{SPAN("\3foo\0x"), NULL},       /* more follows */
		{SPAN("\0\0"), NULL},           /* more follows */
		{SPAN("\3foo\xc0\0"), NULL},    /* a pointer */
		{SPAN("\100" L63 "a\0"), NULL}, /* 64 */
		{SPAN("\77" L63 "\0"), L63},
		{SPAN("\4a\r\nb\0"), NULL},
		{SPAN("\3a b\0"), NULL},
		{SPAN("\77" L63 "\77" L63 "\77" L63 "\75" L61 "\0"),
			L63 "." L63 "." L63 "." L61}, /* 255 bytes */
		{SPAN("\77" L63 "\77" L63 "\77" L63 "\76" L61 "a\0"), NULL},
	};

	for (size_t i = 0; i < PST_COUNT(rows); i++) {
		char out[PST_NAME_MAX] = "untouched";
		/* Of its own size, so that reading past it shows. */
		uint8_t *in = malloc(rows[i].in.n);

		memcpy(in, rows[i].in.p, rows[i].in.n);
		cr_expect_eq(dnsname_from_wire(in, rows[i].in.n, out), rows[i].out != NULL,
			"row %zu", i);
		cr_expect_str_eq(
			out, rows[i].out != NULL ? rows[i].out : "untouched", "row %zu", i);
		free(in);
	}
}

Test(dnsname, reverse_names_are_those_of_rfc_1035_and_3596)
{
	static const char *const rows[][2] = {
		{"192.0.2.7", "7.2.0.192.in-addr.arpa"},
		{"2001:db8::567:89ab", "b.a.9.8.7.6.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0."
				       "8.b.d.0.1.0.0.2.ip6.arpa"},
	};

	for (size_t i = 0; i < PST_COUNT(rows); i++) {
		char out[PST_NAME_MAX];
		struct pst_ip ip;

		cr_assert_eq(pst_ip_parse(rows[i][0], &ip), PST_OK);
		dnsname_reverse(&ip, out);
		cr_expect_str_eq(out, rows[i][1]);
		cr_expect(dnsname_from_text(pst_span_str(out), out));
	}
}

Test(dnsname, keys_of_one_thing_are_equal)
{
	static const struct {
		enum pst_names_kind kind;
		struct pst_span in;
		const char *out;
	} rows[] = {
		{PST_NAMES_MX, SPAN("Example.COM."), "example.com"},
		{PST_NAMES_HOST, SPAN("mx"), "mx"},
		{PST_NAMES_CLIENT, SPAN("192.0.2.1"), "192.0.2.1"},
		{PST_NAMES_CLIENT, SPAN("2001:DB8:0:0::1"), "2001:db8::1"},
		{PST_NAMES_CLIENT, SPAN("::ffff:192.0.2.1"), "192.0.2.1"},
		{PST_NAMES_CLIENT, SPAN("192.0.2.1\0x"), NULL},
		{PST_NAMES_CLIENT, SPAN("192.0.2.1 "), NULL},
		{PST_NAMES_CLIENT, SPAN("client.example"), NULL},
		{PST_NAMES_CLIENT, SPAN(""), NULL},
		{PST_NAMES_CLIENT, SPAN("1111111111111111111111111111111111111111111111111"), NULL},
		{PST_NAMES_MX, SPAN("a\nb"), NULL},
	};

	for (size_t i = 0; i < PST_COUNT(rows); i++) {
		struct names_key k;
		bool ok = names_key_make(&k, rows[i].kind, rows[i].in);

		cr_expect_eq(ok, rows[i].out != NULL, "row %zu", i);
		if (ok && rows[i].out != NULL) {
			cr_expect_str_eq(k.text, rows[i].out, "row %zu", i);
			cr_expect_eq(k.len, strlen(rows[i].out), "row %zu", i);
		}
	}
}
