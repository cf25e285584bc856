/* SPDX-License-Identifier: BSD-3-Clause */
#include "policy_test.h"

static const char *const levels[] = {
	"unset", "none", "may", "encrypt", "fingerprint", "verify", "secure"};
static const char *const senders[] = {"unset", "required", "none", "optional"};
static const char *const recipients[] = {"unset", "required", "none", "preferred", "allowed"};

static struct pst_span
upper(const char *s, char *buf)
{
	size_t n = strlen(s);

	for (size_t i = 0; i < n; i++)
		buf[i] = (char)(s[i] >= 'a' && s[i] <= 'z' ? s[i] - 32 : s[i]);
	return pst_span(buf, n);
}

Test(words, every_word_comes_back_in_any_case_and_unset_is_no_word)
{
	enum pst_level l;
	enum pst_sender_policy s;
	enum pst_recipient_policy r;
	char buf[64];

	for (unsigned i = 0; i < PST_COUNT(levels); i++) {
		cr_expect_str_eq(pst_level_name((enum pst_level)i), levels[i]);
		cr_expect_eq(pst_level_parse(upper(levels[i], buf), &l), i > 0, "%s", levels[i]);
		cr_expect_eq((unsigned)l, i);
	}
	for (unsigned i = 0; i < PST_COUNT(senders); i++) {
		cr_expect_str_eq(pst_sender_name((enum pst_sender_policy)i), senders[i]);
		cr_expect_eq(pst_sender_parse(upper(senders[i], buf), &s), i > 0);
		cr_expect_eq((unsigned)s, i);
	}
	for (unsigned i = 0; i < PST_COUNT(recipients); i++) {
		cr_expect_str_eq(pst_recipient_name((enum pst_recipient_policy)i), recipients[i]);
		cr_expect_eq(pst_recipient_parse(upper(recipients[i], buf), &r), i > 0);
		cr_expect_eq((unsigned)r, i);
	}
	cr_expect_str_eq(pst_level_name((enum pst_level)99), "unset");
}

Test(words, the_old_names_of_sender_encryption_are_understood)
{
	enum pst_sender_policy s;
	enum pst_recipient_policy r;

	cr_expect(pst_sender_parse(pst_span_str("Optionally Encrypted"), &s));
	cr_expect_eq(s, PST_SENDER_OPTIONAL);
	cr_expect(pst_sender_parse(pst_span_str("always encrypted"), &s));
	cr_expect_eq(s, PST_SENDER_REQUIRED);
	cr_expect(pst_recipient_parse(pst_span_str("Always Encrypted"), &r));
	cr_expect_eq(r, PST_RECIPIENT_REQUIRED);
}

static const char *const no_words[] = {"", " ", "non", "nonee", "may ", "dane", "dane-only",
	"preferred,", "Always", "Optionally  Encrypted", "-"};

Test(words, anything_else_is_no_word)
{
	enum pst_level l;
	enum pst_sender_policy s;
	enum pst_recipient_policy r;

	for (unsigned i = 0; i < PST_COUNT(no_words); i++) {
		cr_expect_not(pst_level_parse(pst_span_str(no_words[i]), &l), "%s", no_words[i]);
		cr_expect_not(pst_sender_parse(pst_span_str(no_words[i]), &s), "%s", no_words[i]);
		cr_expect_not(
			pst_recipient_parse(pst_span_str(no_words[i]), &r), "%s", no_words[i]);
	}
}

static const struct {
	const char *in, *out; /* NULL: refused */
	size_t n;             /* 0: strlen */
} domains[] = {
	{"Example.COM.", "example.com", 0},
	{"example.com..", "example.com.", 0},
	{"", "", 0},
	{"[192.0.2.1]", "[192.0.2.1]", 0},
	{"[IPv6:2001:DB8:0::1]", "[2001:db8::1]", 0},
	{"[ipv6:::ffff:192.0.2.1]", "[192.0.2.1]", 0},
	{"[no address]", "[no address]", 0},
	{"b\xc3\xbc"
	 "cher.example",
		"xn--bcher-kva.example", 0},
	{"B\xc3\x9c"
	 "CHER.Example.",
		"xn--bcher-kva.example", 0},
	/* u and a combining diaeresis */
	{"bu\xcc\x88"
	 "cher.example",
		"xn--bcher-kva.example", 0},
	{"fa\xc3\x9f.de", "xn--fa-hia.de", 0}, /* not "fass": nontransitional */
	{"a\xe3\x80\x82"
	 "example",
		"a.example", 0},                             /* ideographic full stop */
	{"\xef\xbd\x81.example", "a.example", 0},            /* full-width a */
	{"\xef\xbc\x8a.example", "\xef\xbc\x8a.example", 0}, /* full-width "*" stays bytes */
	{"\xff\xfe.example", "\xff\xfe.example", 0},         /* no UTF-8: bytes */
	{"\xc3\xbc.-a-.example", "\xc3\xbc.-a-.example", 0},
	{"a\0b", NULL, 3},
	{"\xc3\xbc\0b", NULL, 4},
};

Test(words, a_domain_has_one_compared_form)
{
	char out[PST_DOMAIN_TEXT];

	for (unsigned i = 0; i < PST_COUNT(domains); i++) {
		size_t n = domains[i].n > 0 ? domains[i].n : strlen(domains[i].in);
		bool ok = pst_policy_domain(pst_span(domains[i].in, n), out);

		cr_expect_eq(ok, domains[i].out != NULL, "%s", domains[i].in);
		if (ok && domains[i].out != NULL)
			cr_expect_str_eq(out, domains[i].out, "%s: %s", domains[i].in, out);
	}
}

Test(words, a_domain_of_255_bytes_is_one_and_of_256_is_none)
{
	char in[400], out[PST_DOMAIN_TEXT];

	memset(in, 'a', sizeof(in));
	cr_expect(pst_policy_domain(pst_span(in, 255), out));
	cr_expect_eq(strlen(out), 255);
	cr_expect_not(pst_policy_domain(pst_span(in, 256), out));
	/* What would grow over the limit as A-labels stays as it is. */
	for (unsigned i = 0; i < 255; i++)
		in[i] = "\xc3\xbc."[i % 3];
	cr_expect(pst_policy_domain(pst_span(in, 254), out));
	cr_expect_eq(memcmp(out, in, 254), 0);
}
