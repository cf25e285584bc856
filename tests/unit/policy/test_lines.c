/* SPDX-License-Identifier: BSD-3-Clause */
/* Lines of Postfix's tls_policy tables. */
#include "policy_test.h"

static const struct {
	const char *line, *destination;
	enum pst_level level;
	const char *matches; /* "a b c" */
	const char *protocols, *ciphers, *exclude, *servername;
} good[] = {
	{"example.com:25 verify", "example.com:25", PST_LEVEL_VERIFY, "", "", "", "", ""},
	{"[tls.example.com]\tverify\tmatch=alternative.com", "[tls.example.com]", PST_LEVEL_VERIFY,
		"alternative.com", "", "", "", ""},
	{"[127.0.0.1]:10025 none\r\n", "[127.0.0.1]:10025", PST_LEVEL_NONE, "", "", "", "", ""},
	{"  a.example  MAY  ", "a.example", PST_LEVEL_MAY, "", "", "", "", ""},
	{"a.example secure match=nexthop:dot-nexthop:.b.example, protocols=>=TLSv1.2 "
	 "ciphers=high,exclude=aNULL:MD5 servername=hostname",
		"a.example", PST_LEVEL_SECURE, "nexthop dot-nexthop .b.example", ">=TLSv1.2",
		"high", "aNULL:MD5", "hostname"},
	/* TLS_README's own example: a logical line of three */
	{"example.com fingerprint\n    match=3D:95:34\n    match=EC:3B:2D", "example.com",
		PST_LEVEL_FINGERPRINT, "3D:95:34 EC:3B:2D", "", "", "", ""},
	{"a.example fingerprint match=aa:bb|CC:DD", "a.example", PST_LEVEL_FINGERPRINT,
		"aa:bb CC:DD", "", "", "", ""},
	{"a.example secure MATCH=x match=y:z", "a.example", PST_LEVEL_SECURE, "x y z", "", "", "",
		""},
	{"a.example encrypt Protocols=!SSLv2:!SSLv3", "a.example", PST_LEVEL_ENCRYPT, "",
		"!SSLv2:!SSLv3", "", "", ""},
	{".example.com encrypt", ".example.com", PST_LEVEL_ENCRYPT, "", "", "", "", ""},
};

static void
joined(const struct pst_policy_line *l, char *out)
{
	out[0] = 0;
	for (unsigned i = 0; i < l->nmatch; i++)
		sprintf(out + strlen(out), "%s%.*s", i > 0 ? " " : "", PST_SPAN_FMT(l->matches[i]));
}

Test(lines, what_postfix_understands)
{
	for (unsigned i = 0; i < PST_COUNT(good); i++) {
		struct pst_policy_line l;
		struct pst_span at;
		const char *why;
		char text[200];

		cr_assert_eq(pst_policy_line_parse(pst_span_str(good[i].line), &l, &why, &at),
			PST_OK, "%s: %s", good[i].line, why);
		joined(&l, text);
		cr_expect(pst_span_eq(l.destination, pst_span_str(good[i].destination)));
		cr_expect_eq(l.level, good[i].level);
		cr_expect_str_eq(text, good[i].matches, "%s", text);
		cr_expect(pst_span_eq(l.protocols, pst_span_str(good[i].protocols)));
		cr_expect(pst_span_eq(l.ciphers, pst_span_str(good[i].ciphers)));
		cr_expect(pst_span_eq(l.exclude, pst_span_str(good[i].exclude)));
		cr_expect(pst_span_eq(l.servername, pst_span_str(good[i].servername)));
		cr_expect_null(why);
	}
}

static const char *const nothing[] = {
	"", " ", "\t\r\n", "# comment", "   # comment", "#a.example none"};

Test(lines, comments_and_blank_lines_are_nothing)
{
	for (unsigned i = 0; i < PST_COUNT(nothing); i++) {
		struct pst_policy_line l;
		struct pst_span at;
		const char *why;

		cr_expect_eq(
			pst_policy_line_parse(pst_span_str(nothing[i]), &l, &why, &at), PST_EOF);
	}
}

static const struct {
	const char *line, *why, *at;
} bad[] = {
	{"a.example", "a level is missing", "a.example"},
	{"a.example ,", "a level is missing", "a.example"},
	{"a.example maybe", "not a level: none, may, encrypt, fingerprint, verify, secure",
		"maybe"},
	{"a.example dane", "not yet available: DANE", "dane"},
	{"a.example DANE-only", "not yet available: DANE", "DANE-only"},
	{"a.example may connection_reuse=yes", "not yet available", "connection_reuse=yes"},
	{"a.example may enable_rpk=yes", "not yet available", "enable_rpk=yes"},
	{"a.example secure tafile=/etc/x.pem", "not yet available", "tafile=/etc/x.pem"},
	{"a.example may colour=blue", "unknown attribute", "colour=blue"},
	{"a.example may =blue", "unknown attribute", "=blue"},
	{"a.example may ciphers", "not an attribute: NAME=VALUE", "ciphers"},
	{"a.example may ciphers = high", "not an attribute: NAME=VALUE", "ciphers"},
	{"a.example may ciphers=", "an empty value", "ciphers="},
	{"a.example may ciphers=high ciphers=low", "given twice", "ciphers=low"},
	{"a.example may protocols=a protocols=b", "given twice", "protocols=b"},
	{"a.example may exclude=a exclude=b", "given twice", "exclude=b"},
	{"a.example may servername=a servername=b", "given twice", "servername=b"},
	{"a.example encrypt match=b", "match needs the level fingerprint, verify or secure",
		"match=b"},
	{"a.example none ciphers=high", "an attribute beside the level none", "ciphers=high"},
	{"a.example fingerprint", "the level fingerprint needs match=", "a.example"},
	{"a.example fingerprint match=|", "the level fingerprint needs match=", "a.example"},
	{"a.example secure match=1:2:3:4:5:6:7:8:9:10:11:12:13:14:15:16:17",
		"more than 16 names to match", "match=1:2:3:4:5:6:7:8:9:10:11:12:13:14:15:16:17"},
	{"a.example may # comment", "not an attribute: NAME=VALUE", "#"}, /* none in Postfix */
};

Test(lines, a_mistake_is_named_with_its_place)
{
	for (unsigned i = 0; i < PST_COUNT(bad); i++) {
		struct pst_policy_line l;
		struct pst_span at;
		const char *why = NULL;

		cr_expect_eq(pst_policy_line_parse(pst_span_str(bad[i].line), &l, &why, &at),
			PST_INVAL, "%s", bad[i].line);
		cr_assert_not_null(why);
		cr_expect_str_eq(why, bad[i].why, "%s: %s", bad[i].line, why);
		cr_expect(pst_span_eq(at, pst_span_str(bad[i].at)), "%s: %.*s", bad[i].line,
			PST_SPAN_FMT(at));
		cr_expect(at.p >= (const uint8_t *)bad[i].line &&
			  at.p + at.n <= (const uint8_t *)bad[i].line + strlen(bad[i].line));
	}
}

Test(lines, nul_bytes_are_bytes_like_others)
{
	struct pst_policy_line l;
	struct pst_span at;
	const char *why;

	cr_expect_eq(pst_policy_line_parse(pst_span("a\0b may\0", 8), &l, &why, &at), PST_INVAL);
	cr_expect_eq(pst_policy_line_parse(pst_span("a\0b may", 7), &l, &why, &at), PST_OK);
	cr_expect_eq(l.destination.n, 3);
}
