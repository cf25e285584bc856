/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * T17, the names: which subjectAltName is which name, by RFC 9525; several names at once; names
 * below a domain; and fingerprints in place of names.
 */
#include <criterion/criterion.h>
#include <openssl/x509v3.h>
#include "pair.h"

#define RAW(s) .dns = (s), .dns_len = sizeof(s) - 1

struct pair_of_names {
	const char *what;
	struct pki_spec cert; /* cn, san, dns */
	const char *name;
	bool below; /* any name below `name` */
	bool match;
};

static const struct pair_of_names corpus[] = {
	{"the name", {.san = "DNS:mx.example.com"}, "mx.example.com", false, true},
	{"ASCII case", {.san = "DNS:mX.eXample.com"}, "Mx.ExamplE.com", false, true},
	{"dot at the reference's end", {.san = "DNS:mx.example.com"}, "mx.example.com.", false,
		true},
	{"dot at the certificate's end", {RAW("mx.example.com.")}, "mx.example.com", false, false},
	{"second of two", {.san = "DNS:a.test,DNS:mx.example.com"}, "mx.example.com", false, true},
	{"a suffix", {.san = "DNS:example.com"}, "mx.example.com", false, false},
	{"a prefix", {.san = "DNS:mx.example.com.evil.test"}, "mx.example.com", false, false},
	{"no label border", {.san = "DNS:evilmx.example.com"}, "mx.example.com", false, false},
	{"single label", {.san = "DNS:mx"}, "mx", false, true},
	{"underscore", {.san = "DNS:a_b.example.com"}, "a_b.example.com", false, true},

	/* A NUL ends C strings, not names (CVE-2009-2408). */
	{"NUL in the SAN", {RAW("mx.example.com\0.evil.test")}, "mx.example.com", false, false},
	{"NUL at its end", {RAW("mx.example.com\0")}, "mx.example.com", false, false},
	{"NUL before it", {RAW("\0mx.example.com")}, "mx.example.com", false, false},
	{"NUL in the CN", {.cn = "mx.example.com\0.evil.test", .cn_len = 25}, "mx.example.com",
		false, false},
	{"NUL, below", {RAW("evil.test\0.example.com")}, "example.com", true, false},
	{"NUL and wildcard, below", {RAW("*.a\0.example.com")}, "example.com", true, false},
	{"space", {RAW("mx.example.com ")}, "mx.example.com", false, false},
	{"line feed, below", {RAW("a\nb.example.com")}, "example.com", true, false},
	{"high bytes, below", {RAW("\xc3\xa4.example.com")}, "example.com", true, false},
	{"empty SAN", {RAW("")}, "mx.example.com", false, false},

	/* RFC 9525 2.1: "the Common Name RDN ... MUST NOT be used to identify a service". */
	{"CN without SAN", {.cn = "mx.example.com"}, "mx.example.com", false, false},
	{"CN beside a SAN", {.cn = "mx.example.com", .san = "DNS:a.test"}, "mx.example.com", false,
		false},
	{"CN beside a mail address", {.cn = "mx.example.com", .san = "email:a@mx.example.com"},
		"mx.example.com", false, false},
	{"CN, below", {.cn = "mx.example.com"}, "example.com", true, false},
	{"URI", {.san = "URI:https://mx.example.com/"}, "mx.example.com", false, false},

	/* RFC 9525 6.3: "the complete left-most label", and "only matches" one label. */
	{"wildcard", {.san = "DNS:*.example.com"}, "mx.example.com", false, true},
	{"wildcard, two labels", {.san = "DNS:*.example.com"}, "a.mx.example.com", false, false},
	{"wildcard, no label", {.san = "DNS:*.example.com"}, "example.com", false, false},
	{"wildcard, empty label", {.san = "DNS:*.example.com"}, "mx.example.org", false, false},
	{"wildcard, partial, start", {.san = "DNS:m*.example.com"}, "mx.example.com", false, false},
	{"wildcard, partial, end", {.san = "DNS:*x.example.com"}, "mx.example.com", false, false},
	{"wildcard, partial, middle", {.san = "DNS:m*x.example.com"}, "mmx.example.com", false,
		false},
	{"wildcard, second label", {.san = "DNS:mx.*.com"}, "mx.example.com", false, false},
	{"wildcard, last label", {.san = "DNS:mx.example.*"}, "mx.example.com", false, false},
	{"two wildcards", {.san = "DNS:*.*.example.com"}, "a.b.example.com", false, false},
	{"double wildcard", {.san = "DNS:**.example.com"}, "mx.example.com", false, false},
	{"wildcard alone", {.san = "DNS:*"}, "mx", false, false},
	{"wildcard alone and names", {.san = "DNS:*"}, "mx.example.com", false, false},
	{"wildcard of a top-level domain", {.san = "DNS:*.com"}, "example.com", false, false},
	{"wildcard and dot", {RAW("*.")}, "mx.", false, false},

	/* IDNs are A-labels on both sides; a wildcard label may be one, a part of it never. */
	{"A-label", {.san = "DNS:xn--bcher-kva.example"}, "xn--bcher-kva.example", false, true},
	{"A-label in capitals", {.san = "DNS:XN--BCHER-KVA.example"}, "xn--bcher-kva.example",
		false, true},
	{"wildcard for an A-label", {.san = "DNS:*.example.com"}, "xn--bcher-kva.example.com",
		false, true},
	{"wildcard inside an A-label", {.san = "DNS:xn--*.example.com"},
		"xn--bcher-kva.example.com", false, false},
	{"U-label in the SAN",
		{RAW("b\xc3\xbc"
		     "cher.example")},
		"xn--bcher-kva.example", false, false},

	/* RFC 9525 6.4: addresses are iPAddress and nothing else. */
	{"IPv4", {.san = "IP:192.0.2.1"}, "192.0.2.1", false, true},
	{"another IPv4", {.san = "IP:192.0.2.10"}, "192.0.2.1", false, false},
	{"IPv4 as a name", {.san = "DNS:192.0.2.1"}, "192.0.2.1", false, false},
	{"IPv4 as CN", {.cn = "192.0.2.1"}, "192.0.2.1", false, false},
	{"IPv4 by wildcard", {.san = "DNS:*.0.2.1"}, "192.0.2.1", false, false},
	{"IPv6", {.san = "IP:2001:db8::1"}, "2001:db8:0:0::1", false, true},
	{"IPv4 is not its mapped form", {.san = "IP:::ffff:192.0.2.1"}, "192.0.2.1", false, false},
	{"a name is no address", {.san = "IP:192.0.2.1"}, "mx.example.com", false, false},

	/* Postfix's dot-nexthop: any depth, the domain itself not. */
	{"below: one label", {.san = "DNS:mx.example.com"}, "example.com", true, true},
	{"below: three labels", {.san = "DNS:a.b.mx.Example.com"}, "eXample.com", true, true},
	{"below: itself", {.san = "DNS:example.com"}, "example.com", true, false},
	{"below: wildcard", {.san = "DNS:*.example.com"}, "example.com", true, true},
	{"below: deeper wildcard", {.san = "DNS:*.mx.example.com"}, "example.com", true, true},
	{"below: wildcard of the parent", {.san = "DNS:*.com"}, "example.com", true, false},
	{"below: partial wildcard", {.san = "DNS:m*.example.com"}, "example.com", true, false},
	{"below: inner wildcard", {.san = "DNS:a.*.example.com"}, "example.com", true, false},
	{"below: no border", {.san = "DNS:evilexample.com"}, "example.com", true, false},
	{"below: only a dot", {RAW(".example.com")}, "example.com", true, false},
	{"below: only dots", {RAW("..example.com")}, "example.com", true, false},
	{"below: empty label", {RAW("a..example.com")}, "example.com", true, false},
	{"below: empty label behind the wildcard", {RAW("*..example.com")}, "example.com", true,
		false},
	{"below: dot at the end", {RAW("mx.example.com.")}, "example.com", true, false},
	{"below: other domain", {.san = "DNS:mx.example.org"}, "example.com", true, false},
	{"below: an address", {.san = "IP:192.0.2.1"}, "example.com", true, false},
};

static void
serve(struct pair *p, const struct pki_spec *names)
{
	const struct pki *k = pair_pki();
	struct pki_spec s = *names;

	if (s.cn == NULL)
		s.cn = "cn.test";
	s.key = k->ec;
	s.issuer = k->ca;
	s.issuer_key = k->ca_key;
	pair_serve(p, &s, NULL, 0);
	pair_contexts(p);
}

Test(names, each_name_of_the_corpus_matches_or_not)
{
	struct pair p;

	pair_init(&p);
	for (unsigned i = 0; i < PST_COUNT(corpus); i++) {
		const struct pair_of_names *c = &corpus[i];
		struct pst_tls_expect e = {.nnames = 1, .names = {{c->name, c->below}}};
		struct pst_tls_info info;

		serve(&p, &c->cert);
		cr_expect(pair_try(&p, &e, &info), "%s: OFF takes it", c->what);
		cr_expect_str_eq(info.verify, c->match ? "verified" : "trusted", "%s", c->what);
		e.verify = PST_TLS_VERIFY_CHAIN;
		cr_expect(pair_try(&p, &e, &info), "%s: CHAIN takes it", c->what);
		e.verify = PST_TLS_VERIFY_NAME;
		cr_expect_eq(pair_try(&p, &e, &info), c->match, "%s", c->what);
		cr_expect_eq(p.client.rc, c->match ? PST_OK : PST_PEER);
	}
	pair_fini(&p);
}

struct several {
	const char *what, *san;
	struct pst_tls_expect e;
	bool match;
	long code;
};

Test(names, any_one_of_several_will_do)
{
	static const struct several cases[] = {
		{"first", "DNS:a.test", {.nnames = 2, .names = {{"a.test"}, {"b.test"}}}, true},
		{"last", "DNS:b.test", {.nnames = 2, .names = {{"a.test"}, {"b.test"}}}, true},
		{"none", "DNS:c.test", {.nnames = 2, .names = {{"a.test"}, {"b.test"}}}, false,
			X509_V_ERR_HOSTNAME_MISMATCH},
		{"name or address: the name", "DNS:a.test",
			{.nnames = 2, .names = {{"192.0.2.1"}, {"a.test"}}}, true},
		{"name or address: the address", "IP:192.0.2.1",
			{.nnames = 2, .names = {{"a.test"}, {"192.0.2.1"}}}, true},
		{"name or address: neither", "IP:192.0.2.2",
			{.nnames = 2, .names = {{"a.test"}, {"192.0.2.1"}}}, false,
			X509_V_ERR_HOSTNAME_MISMATCH},
		{"two addresses", "IP:192.0.2.2",
			{.nnames = 2, .names = {{"192.0.2.1"}, {"2001:db8::1"}}}, false,
			X509_V_ERR_IP_ADDRESS_MISMATCH},
		/* "secure" as Postfix has it: nexthop, dot-nexthop. */
		{"domain or below: domain", "DNS:a.test",
			{.nnames = 2, .names = {{"a.test"}, {"a.test", true}}}, true},
		{"domain or below: below", "DNS:x.a.test",
			{.nnames = 2, .names = {{"a.test"}, {"a.test", true}}}, true},
		{"the servername is no name", "DNS:sni.test",
			{.servername = "sni.test", .nnames = 1, .names = {{"a.test"}}}, false,
			X509_V_ERR_HOSTNAME_MISMATCH},
	};
	struct pair p;

	pair_init(&p);
	for (unsigned i = 0; i < PST_COUNT(cases); i++) {
		struct pst_tls_expect e = cases[i].e;
		struct pst_tls_info info;

		serve(&p, &(struct pki_spec){.san = cases[i].san});
		e.verify = PST_TLS_VERIFY_NAME;
		cr_expect_eq(pair_try(&p, &e, &info), cases[i].match, "%s", cases[i].what);
		e.verify = PST_TLS_VERIFY_OFF;
		cr_expect(pair_try(&p, &e, &info));
		cr_expect_eq(info.verify_error, cases[i].code, "%s: %s", cases[i].what,
			info.verify_text);
	}
	pair_fini(&p);
}

Test(names, sixteen_fit_and_the_last_counts)
{
	struct pst_tls_expect e = {.verify = PST_TLS_VERIFY_NAME, .nnames = PST_TLS_NAMES_MAX};
	struct pst_tls_info info;
	struct pair p;

	for (unsigned i = 0; i < PST_TLS_NAMES_MAX; i++)
		e.names[i].name = i == PST_TLS_NAMES_MAX - 1 ? "mx.example.com" : "other.test";
	pair_init(&p);
	pair_contexts(&p);
	cr_expect(pair_try(&p, &e, &info));
	e.nnames = PST_TLS_NAMES_MAX - 1;
	cr_expect_not(pair_try(&p, &e, &info));
	e.nnames = PST_TLS_NAMES_MAX + 1;
	cr_expect_null(pst_tls_new_expect(p.cctx, &e));
	pair_fini(&p);
}

Test(names, the_servername_is_sent_whatever_the_names_are)
{
	static const struct {
		const char *servername, *sent;
	} cases[] = {{"other.test", "other.test"}, {"Other.Test.", "other.test"}, {NULL, NULL},
		{"192.0.2.1", NULL}, {"2001:db8::1", NULL}};
	struct pair p;

	pair_init(&p);
	pair_contexts(&p);
	for (unsigned i = 0; i < PST_COUNT(cases); i++) {
		struct pst_tls_expect e = {.verify = PST_TLS_VERIFY_NAME,
			.servername = cases[i].servername,
			.nnames = 1,
			.names = {{"mx.example.com"}}};
		struct pst_tls_info info;

		cr_assert(pair_try(&p, &e, &info), "%u", i);
		pst_tls_info(p.server.tls, &info);
		if (cases[i].sent == NULL)
			cr_expect_null(info.server_name, "%u", i);
		else
			cr_expect_str_eq(info.server_name, cases[i].sent);
	}
	pair_fini(&p);
}

Test(names, an_expectation_that_nothing_can_meet_makes_no_session)
{
	static const uint8_t digest[1][32];
	static const struct pst_tls_expect bad[] = {
		{.verify = PST_TLS_VERIFY_NAME},
		{.verify = PST_TLS_VERIFY_NAME, .servername = "mx.example.com"},
		{.verify = PST_TLS_VERIFY_FINGERPRINT},
		{.verify = PST_TLS_VERIFY_FINGERPRINT, .nnames = 1, .names = {{"a.test"}}},
		{.verify = PST_TLS_VERIFY_FINGERPRINT + 1,
			.nfingerprints = 1,
			.fingerprints = digest},
		{.nnames = 1, .names = {{NULL}}},
		{.nnames = 1, .names = {{""}}},
		{.nnames = 1, .names = {{"."}}},
		{.nnames = 1, .names = {{".example.com"}}},
		{.nnames = 1, .names = {{".example.com", true}}},
		{.nnames = 1, .names = {{"a b"}}},
		{.nnames = 1, .names = {{"a\r\nb"}}},
		{.nnames = 1, .names = {{"\xc3\xa4.example"}}},
		{.nnames = 1, .names = {{"192.0.2.1", true}}},
		{.nnames = 1, .names = {{"2001:db8::1", true}}},
		{.nnames = 2, .names = {{"a.test"}, {""}}},
		{.servername = ""},
		{.servername = ".a"},
		{.servername = "a\nb"},
	};
	struct pair p;

	pair_init(&p);
	pair_contexts(&p);
	for (unsigned i = 0; i < PST_COUNT(bad); i++)
		cr_expect_null(pst_tls_new_expect(p.cctx, &bad[i]), "%u", i);
	/* On a server there is nothing to expect. */
	cr_expect_null(pst_tls_new_expect(p.sctx, &(struct pst_tls_expect){0}));
	cr_expect_not(errors_left());
	pair_fini(&p);
}

static void
digest_of(X509 *x, bool key, uint8_t md[32])
{
	uint8_t *der = NULL;
	int n = key ? i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x), &der) : i2d_X509(x, &der);

	cr_assert_gt(n, 0);
	cr_assert(EVP_Digest(der, (size_t)n, md, NULL, EVP_sha256(), NULL) == 1);
	OPENSSL_free(der);
}

struct fingerprint_case {
	const char *what;
	struct pki_spec spec;
	bool other_ca;
};

/* The pin is the trust: no chain, no name, no date adds to it or takes from it. */
Test(names, a_fingerprint_of_the_certificate_or_of_its_key_is_enough_and_nothing_else)
{
	static const struct fingerprint_case cases[] = {
		{"good", {.san = "DNS:mx.example.com"}, false},
		{"other CA", {.san = "DNS:mx.example.com"}, true},
		{"expired", {.san = "DNS:mx.example.com", .from_days = -9, .to_days = -1}, true},
		{"wrong purpose", {.eku = "clientAuth"}, false},
	};
	const struct pki *k = pair_pki();

	for (unsigned i = 0; i < PST_COUNT(cases); i++) {
		uint8_t fp[3][32] = {{0}};
		struct pst_tls_expect e = {.verify = PST_TLS_VERIFY_FINGERPRINT,
			.fingerprints = fp,
			.nnames = 1,
			.names = {{"not.this"}}};
		struct pki_spec s = cases[i].spec;
		struct pst_tls_info info;
		struct pair p;

		pair_init(&p);
		s.cn = "pinned";
		s.key = k->ec;
		s.issuer = cases[i].other_ca ? k->other_ca : k->ca;
		s.issuer_key = cases[i].other_ca ? k->other_ca_key : k->ca_key;
		pair_serve(&p, &s, NULL, 0);
		pair_contexts(&p);
		for (int key = 0; key < 2; key++) {
			digest_of(p.sconf.certs[0]->leaf, key, fp[2]);
			e.nfingerprints = 3;
			cr_expect(pair_try(&p, &e, &info), "%s %d: %s", cases[i].what, key,
				pst_tls_error(p.client.tls));
			cr_expect_str_eq(info.verify, "verified");
			cr_expect_eq(info.verify_error, X509_V_OK);
			e.nfingerprints = 2; /* now the one that fits is out of reach */
			cr_expect_not(pair_try(&p, &e, &info));
			cr_expect_str_eq(pst_tls_error(p.client.tls),
				"certificate verify failed: none of the expected fingerprints "
				"(sent alert: handshake failure)");
			fp[2][31] ^= 1;
			e.nfingerprints = 3;
			cr_expect_not(pair_try(&p, &e, &info), "one bit off");
		}
		/* Of the CA it is none: a pin is of the server. */
		digest_of(k->ca, false, fp[0]);
		digest_of(k->ca, true, fp[1]);
		cr_expect_not(pair_try(&p, &e, &info));
		pair_fini(&p);
	}
}
