/* SPDX-License-Identifier: BSD-3-Clause */
#include "kit.h"

Test(ip, text_is_a_whole_literal_or_nothing)
{
	static const char *const bad[] = {"", " 192.0.2.1", "192.0.2.1 ", "192.0.2", "192.0.2.256",
		"192.0.2.01", "0x7f.1", "1.2.3.4.5", "::g", "1:2:3:4:5:6:7", "1::2::3",
		"fe80::1%eth0", "[::1]", "2001:db8::1/64", "localhost"};
	struct pst_ip out, before;

	memset(&out, 0x5a, sizeof(out));
	before = out;
	for (size_t i = 0; i < PST_COUNT(bad); i++) {
		cr_expect_eq(pst_ip_parse(bad[i], &out), PST_INVAL, "\"%s\"", bad[i]);
		cr_expect(pst_ip_eq(&out, &before), "\"%s\" touched the result", bad[i]);
	}
	cr_expect_eq(pst_ip_parse(NULL, &out), PST_INVAL);
}

Test(ip, text_returns_in_the_form_of_rfc5952)
{
	static const char *const cases[][2] = {
		{"192.0.2.1", "192.0.2.1"},
		{"0.0.0.0", "0.0.0.0"},
		{"::", "::"},
		{"2001:DB8::1", "2001:db8::1"},
		{"2001:db8:0:0:0:0:0:1", "2001:db8::1"},
		{"2001:db8:0:1:1:1:1:1",
			"2001:db8:0:1:1:1:1:1"},         /* 4.2.2: one 0 is not shortened */
		{"2001:0:0:1:0:0:0:1", "2001:0:0:1::1"}, /* 4.2.3: the longest run */
		{"::ffff:192.0.2.1", "192.0.2.1"},
	};
	char buf[PST_IP_STRLEN];

	for (size_t i = 0; i < PST_COUNT(cases); i++) {
		struct pst_ip a = kit_ip(cases[i][0]);
		cr_expect_str_eq(pst_ip_str(&a, buf), cases[i][1]);
	}
}

Test(ip, endpoints_bracket_ipv6)
{
	char buf[PST_ENDPOINT_STRLEN];
	struct pst_endpoint e = {.ip = kit_ip("192.0.2.1"), .port = 25};

	cr_expect_str_eq(pst_endpoint_str(&e, buf), "192.0.2.1:25");
	e = (struct pst_endpoint){
		.ip = kit_ip("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"), .port = 65535};
	cr_expect_str_eq(
		pst_endpoint_str(&e, buf), "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535");
}

Test(ip, kinds_are_told_apart)
{
	static const struct {
		const char *text;
		bool is4, any, multicast, linklocal;
	} cases[] = {
		{"0.0.0.0", true, true, false, false},
		{"::", false, true, false, false},
		{"224.0.0.1", true, false, true, false},
		{"239.255.255.255", true, false, true, false},
		{"240.0.0.1", true, false, false, false},
		{"169.254.1.1", true, false, false, true},
		{"169.253.1.1", true, false, false, false},
		{"ff02::1", false, false, true, false},
		{"fe80::1", false, false, false, true},
		{"febf::1", false, false, false, true},
		{"fec0::1", false, false, false, false},
		{"::1", false, false, false, false},
	};

	for (size_t i = 0; i < PST_COUNT(cases); i++) {
		struct pst_ip a = kit_ip(cases[i].text);
		cr_expect_eq(pst_ip_is4(&a), cases[i].is4, "%s", cases[i].text);
		cr_expect_eq(pst_ip_is_any(&a), cases[i].any, "%s", cases[i].text);
		cr_expect_eq(pst_ip_is_multicast(&a), cases[i].multicast, "%s", cases[i].text);
		cr_expect_eq(pst_ip_is_linklocal(&a), cases[i].linklocal, "%s", cases[i].text);
	}
}

Test(ip, prefixes_hold_what_their_bits_say)
{
	static const struct {
		const char *prefix, *address;
		bool has;
	} cases[] = {
		{"192.0.2.0/24", "192.0.2.255", true},
		{"192.0.2.77/24", "192.0.2.1", true}, /* host bits do not count */
		{"192.0.2.0/24", "192.0.3.0", false},
		{"192.0.2.4/30", "192.0.2.7", true},
		{"192.0.2.4/30", "192.0.2.8", false},
		{"192.0.2.1/32", "192.0.2.1", true},
		{"192.0.2.1/32", "192.0.2.0", false},
		{"0.0.0.0/0", "255.255.255.255", true},
		{"0.0.0.0/0", "2001:db8::1", false}, /* families never mix */
		{"::/0", "192.0.2.1", false},
		{"::/0", "2001:db8::1", true},
		{"2001:db8::/32", "2001:db8:ffff::", true},
		{"2001:db8::/33", "2001:db8:8000::", false},
		{"2001:db8::1/128", "2001:db8::1", true},
		{"2001:db8::1/127", "2001:db8::", true},
	};

	for (size_t i = 0; i < PST_COUNT(cases); i++) {
		struct pst_prefix p;
		struct pst_ip a = kit_ip(cases[i].address);
		cr_assert_eq(pst_prefix_parse(cases[i].prefix, &p), PST_OK, "%s", cases[i].prefix);
		cr_expect_eq(pst_prefix_has(&p, &a), cases[i].has, "%s in %s", cases[i].address,
			cases[i].prefix);
	}
}

Test(ip, prefix_text_is_strict)
{
	static const char *const bad[] = {"192.0.2.0", "192.0.2.0/", "192.0.2.0/33", "192.0.2.0/-1",
		"192.0.2.0/024", "192.0.2.0/2 ", "192.0.2.0/1000", "::/129", "/24", "x/24",
		"::ffff:192.0.2.0/120", "192.0.2.0/24/24", "192.0.2.0/+4"};
	struct pst_prefix p = {.len = 77};

	for (size_t i = 0; i < PST_COUNT(bad); i++)
		cr_expect_eq(pst_prefix_parse(bad[i], &p), PST_INVAL, "\"%s\"", bad[i]);
	cr_expect_eq(p.len, 77);
	cr_expect_eq(pst_prefix_parse("0.0.0.0/0", &p), PST_OK);
	cr_expect_eq(pst_prefix_parse(NULL, &p), PST_INVAL);
}
