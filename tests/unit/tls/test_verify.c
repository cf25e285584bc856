/* SPDX-License-Identifier: BSD-3-Clause */
/* Whose certificate a client takes, in each mode, and what it says about it. */
#include <criterion/criterion.h>
#include <openssl/x509v3.h>
#include "pair.h"

enum fault { GOOD, SELF_SIGNED, OTHER_CA, EXPIRED, NOT_YET, WRONG_EKU, WEAK_KEY };

struct presented {
	const char *what;
	enum fault fault;
	const char *san, *name;
	const char *verify; /* what the log says when nothing is enforced */
	bool chain_passes, name_passes;
	long code;
};

static const struct presented cases[] = {
	{"good", GOOD, "DNS:mx.example.com", "mx.example.com", "verified", true, true, 0},
	{"case", GOOD, "DNS:MX.Example.COM", "mx.example.com", "verified", true, true, 0},
	{"trailing dot", GOOD, "DNS:mx.example.com", "mx.example.com.", "verified", true, true, 0},
	{"second name", GOOD, "DNS:a.example,DNS:mx.example.com", "mx.example.com", "verified",
		true, true, 0},
	{"wildcard", GOOD, "DNS:*.example.com", "mx.example.com", "verified", true, true, 0},
	{"wildcard is one label", GOOD, "DNS:*.example.com", "a.mx.example.com", "trusted", true,
		false, X509_V_ERR_HOSTNAME_MISMATCH},
	{"wildcard is not the parent", GOOD, "DNS:*.example.com", "example.com", "trusted", true,
		false, X509_V_ERR_HOSTNAME_MISMATCH},
	{"partial wildcard", GOOD, "DNS:m*.example.com", "mx.example.com", "trusted", true, false,
		X509_V_ERR_HOSTNAME_MISMATCH},
	{"inner wildcard", GOOD, "DNS:mx.*.com", "mx.example.com", "trusted", true, false,
		X509_V_ERR_HOSTNAME_MISMATCH},
	{"wrong name", GOOD, "DNS:mx.example.org", "mx.example.com", "trusted", true, false,
		X509_V_ERR_HOSTNAME_MISMATCH},
	{"name as suffix", GOOD, "DNS:evilmx.example.com", "mx.example.com", "trusted", true, false,
		X509_V_ERR_HOSTNAME_MISMATCH},
	{"common name only", GOOD, NULL, "cn.example.com", "trusted", true, false,
		X509_V_ERR_HOSTNAME_MISMATCH},
	{"IPv4", GOOD, "IP:192.0.2.1", "192.0.2.1", "verified", true, true, 0},
	{"IPv6, other spelling", GOOD, "IP:2001:db8::1", "2001:0db8:0::0001", "verified", true,
		true, 0},
	{"address in a DNS name", GOOD, "DNS:192.0.2.1", "192.0.2.1", "trusted", true, false,
		X509_V_ERR_IP_ADDRESS_MISMATCH},
	{"wrong address", GOOD, "IP:192.0.2.2", "192.0.2.1", "trusted", true, false,
		X509_V_ERR_IP_ADDRESS_MISMATCH},
	{"self-signed", SELF_SIGNED, "DNS:mx.example.com", "mx.example.com", "untrusted", false,
		false, X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT},
	{"other CA", OTHER_CA, "DNS:mx.example.com", "mx.example.com", "untrusted", false, false,
		X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY},
	{"expired", EXPIRED, "DNS:mx.example.com", "mx.example.com", "untrusted", false, false,
		X509_V_ERR_CERT_HAS_EXPIRED},
	{"not yet valid", NOT_YET, "DNS:mx.example.com", "mx.example.com", "untrusted", false,
		false, X509_V_ERR_CERT_NOT_YET_VALID},
	{"expired and wrong name", EXPIRED, "DNS:mx.example.org", "mx.example.com", "untrusted",
		false, false, X509_V_ERR_CERT_HAS_EXPIRED},
	{"for clients only", WRONG_EKU, "DNS:mx.example.com", "mx.example.com", "untrusted", false,
		false, X509_V_ERR_INVALID_PURPOSE},
};

static struct pst_cert *
present(struct pst_crypto *c, const struct presented *p)
{
	const struct pki *k = pair_pki();
	struct pki_spec s = {.cn = "cn.example.com",
		.san = p->san,
		.key = k->ec,
		.issuer = k->ca,
		.issuer_key = k->ca_key};

	if (p->fault == SELF_SIGNED)
		s.issuer = NULL, s.issuer_key = NULL;
	if (p->fault == OTHER_CA)
		s.issuer = k->other_ca, s.issuer_key = k->other_ca_key;
	if (p->fault == EXPIRED)
		s.from_days = -30, s.to_days = -1;
	if (p->fault == NOT_YET)
		s.from_days = 2, s.to_days = 30;
	if (p->fault == WRONG_EKU)
		s.eku = "clientAuth";
	return pair_cert_spec(c, &s);
}

static void
try(const struct presented *c, enum pst_tls_verify mode, uint16_t version)
{
	struct pair p;
	struct pst_tls_info i;
	bool pass = mode == PST_TLS_VERIFY_OFF ||
		    (mode == PST_TLS_VERIFY_CHAIN && c->chain_passes) ||
		    (mode == PST_TLS_VERIFY_NAME && c->name_passes);

	pair_init(&p);
	pst_cert_free(p.sconf.certs[0]);
	p.sconf.certs[0] = present(p.sc, c);
	p.sconf.max_version = version;
	p.cconf.verify = mode;
	p.name = c->name;
	pair_contexts(&p);
	pair_sessions(&p);
	cr_expect_eq(pair_handshake(&p), pass, "%s mode %d: %s", c->what, mode,
		pst_tls_error(p.client.tls));
	pst_tls_info(p.client.tls, &i);
	if (pass) {
		cr_expect_str_eq(i.verify, c->verify, "%s mode %d: %s", c->what, mode, i.verify);
		cr_expect_eq(i.verify_error, c->code, "%s: %s", c->what, i.verify_text);
	} else {
		char want[256];

		cr_expect_eq(p.client.rc, PST_PEER);
		snprintf(want, sizeof(want), "certificate verify failed: %s (sent alert: ",
			X509_verify_cert_error_string(c->code));
		cr_expect(strncmp(pst_tls_error(p.client.tls), want, strlen(want)) == 0, "%s: %s",
			c->what, pst_tls_error(p.client.tls));
		/* The alert reached the server. */
		cr_expect_eq(end_handshake(&p.server), PST_PEER);
	}
	pair_fini(&p);
}

Test(verify, judges_each_certificate_as_each_mode_says)
{
	for (unsigned i = 0; i < PST_COUNT(cases); i++)
		for (int mode = PST_TLS_VERIFY_OFF; mode <= PST_TLS_VERIFY_NAME; mode++)
			try(&cases[i], mode, i % 2 == 0 ? PST_TLS_1_2 : PST_TLS_1_3);
}

Test(verify, without_a_name_a_good_chain_is_trusted_but_never_verified)
{
	struct pair p;
	struct pst_tls_info i;

	pair_init(&p);
	p.cconf.verify = PST_TLS_VERIFY_CHAIN;
	p.name = NULL;
	pair_contexts(&p);
	pair_sessions(&p);
	cr_assert(pair_handshake(&p));
	pst_tls_info(p.client.tls, &i);
	cr_expect_str_eq(i.verify, "trusted");
	pst_tls_info(p.server.tls, &i);
	cr_expect_null(i.server_name);
	pair_fini(&p);
}

Test(verify, refuses_names_that_cannot_be_compared)
{
	static const char *const bad[] = {
		"", ".", ".example.com", "a b", "a\nb", "\xc3\xa4.example"};
	struct pair p;
	char longname[400];

	pair_init(&p);
	pair_contexts(&p);
	for (unsigned i = 0; i < PST_COUNT(bad); i++)
		cr_expect_null(pst_tls_new(p.cctx, bad[i]), "%s", bad[i]);
	memset(longname, 'a', sizeof(longname) - 1);
	longname[sizeof(longname) - 1] = 0;
	cr_expect_null(pst_tls_new(p.cctx, longname));
	/* Verification by name without a name must not pass. */
	cr_expect_null(pst_tls_new(p.cctx, NULL));
	cr_expect_not(errors_left());
	pair_fini(&p);
}

Test(verify, an_address_is_never_sent_as_server_name)
{
	static const char *const literal[] = {"192.0.2.1", "2001:db8::1"};

	for (unsigned n = 0; n < PST_COUNT(literal); n++) {
		struct pair p;
		struct pst_tls_info i;

		pair_init(&p);
		p.cconf.verify = PST_TLS_VERIFY_OFF;
		p.name = literal[n];
		pair_contexts(&p);
		pair_sessions(&p);
		cr_assert(pair_handshake(&p));
		pst_tls_info(p.server.tls, &i);
		cr_expect_null(i.server_name);
		pair_fini(&p);
	}
}

/* A 1024-bit key: fine where any certificate will do, refused where certificates count. */
Test(verify, a_weak_peer_key_is_taken_only_without_verification)
{
	const struct pki *k = pair_pki();
	EVP_PKEY *weak = pki_key("rsa1024");

	for (int mode = PST_TLS_VERIFY_OFF; mode <= PST_TLS_VERIFY_NAME; mode++) {
		struct pair p;
		struct pst_cert cert = {.chain = sk_X509_new_null(), .key = weak};

		pair_init(&p);
		cert.leaf = pki_cert(&(struct pki_spec){.cn = "w",
			.san = "DNS:mx.example.com",
			.key = weak,
			.issuer = k->ca,
			.issuer_key = k->ca_key});
		pst_cert_free(p.sconf.certs[0]);
		p.sconf.certs[0] = &cert;
		p.sconf.ciphers = "ECDHE-RSA-AES128-GCM-SHA256:@SECLEVEL=0";
		p.cconf.verify = mode;
		pair_contexts(&p);
		pair_sessions(&p);
		cr_expect_eq(pair_handshake(&p), mode == PST_TLS_VERIFY_OFF, "%d: %s", mode,
			pst_tls_error(p.client.tls));
		p.sconf.ncerts = 0;
		pair_fini(&p);
		X509_free(cert.leaf);
		sk_X509_free(cert.chain);
	}
	EVP_PKEY_free(weak);
}

Test(verify, an_intermediate_in_the_ca_file_is_an_anchor)
{
	const struct pki *k = pair_pki();
	struct pair p;
	EVP_PKEY *ik = pki_key("p256");
	X509 *inter = pki_cert(&(struct pki_spec){
		.cn = "Inter", .key = ik, .ca = true, .issuer = k->ca, .issuer_key = k->ca_key});
	char path[256];

	snprintf(path, sizeof(path), "%s", pki_path("inter.pem"));
	pki_write(&(struct pki_file){.path = path, .certs = {inter}});
	pair_init(&p);
	pst_cert_free(p.sconf.certs[0]);
	p.sconf.certs[0] = pair_cert_spec(p.sc, &(struct pki_spec){.cn = "x",
							.san = "DNS:mx.example.com",
							.key = k->ec,
							.issuer = inter,
							.issuer_key = ik});
	p.cconf.ca_file = path;
	pair_contexts(&p);
	pair_sessions(&p);
	cr_expect(pair_handshake(&p), "%s", pst_tls_error(p.client.tls));
	pair_fini(&p);
	X509_free(inter);
	EVP_PKEY_free(ik);
}

Test(verify, a_ca_file_that_is_not_there_or_empty_is_an_error_that_names_it)
{
	struct pair p;
	char err[256];

	pair_init(&p);
	p.cconf.ca_file = "/nonexistent/ca.pem";
	cr_expect_null(pst_tls_ctx_new(p.cc, &p.cconf, err, sizeof(err)));
	cr_expect_str_eq(err, "/nonexistent/ca.pem: cannot open: No such file or directory");
	p.cconf.verify = PST_TLS_VERIFY_OFF;
	cr_expect_null(pst_tls_ctx_new(p.cc, &p.cconf, err, sizeof(err)));
	cr_expect_not(errors_left());
	pair_fini(&p);
}
