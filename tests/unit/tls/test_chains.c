/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * T17, the chains: name constraints, purposes, basic constraints, path length, depth, dates, and
 * issuers that are not trusted. A connection that only encrypts takes each of them and says what
 * was wrong; one that verifies takes none.
 */
#include <criterion/criterion.h>
#include <openssl/x509v3.h>
#include "pair.h"

/* root -> inter -> leaf */
struct chain_case {
	const char *what;
	struct pki_spec inter, leaf;
	bool other_root; /* signed by a CA that is not trusted */
	bool withheld;   /* the server sends its leaf alone */
	long code;
};

#define SAN .san = "DNS:mx.example.com"

static const struct chain_case chains[] = {
	{"good", {.ca = true}, {SAN}, .code = X509_V_OK},
	{"no intermediate sent", {.ca = true}, {SAN}, .withheld = true,
		.code = X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY},
	{"other root", {.ca = true}, {SAN}, .other_root = true,
		.code = X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY},
	{"permitted name", {.ca = true, .constraints = "permitted;DNS:example.com"}, {SAN},
		.code = X509_V_OK},
	{"name that is not permitted", {.ca = true, .constraints = "permitted;DNS:example.org"},
		{SAN}, .code = X509_V_ERR_PERMITTED_VIOLATION},
	{"excluded name", {.ca = true, .constraints = "excluded;DNS:example.com"}, {SAN},
		.code = X509_V_ERR_EXCLUDED_VIOLATION},
	{"a second name that is not permitted",
		{.ca = true, .constraints = "permitted;DNS:example.com"},
		{.san = "DNS:mx.example.com,DNS:mx.evil.test"},
		.code = X509_V_ERR_PERMITTED_VIOLATION},
	{"address that is not permitted",
		{.ca = true, .constraints = "permitted;IP:198.51.100.0/255.255.255.0"},
		{.san = "DNS:mx.example.com,IP:192.0.2.1"}, .code = X509_V_ERR_PERMITTED_VIOLATION},
	{"intermediate is no CA", {.ca = false}, {SAN}, .code = X509_V_ERR_INVALID_CA},
	{"intermediate for clients only", {.ca = true, .eku = "clientAuth"}, {SAN},
		.code = X509_V_ERR_INVALID_PURPOSE},
	{"leaf for servers", {.ca = true}, {SAN, .eku = "serverAuth,clientAuth"},
		.code = X509_V_OK},
	{"leaf for clients only", {.ca = true}, {SAN, .eku = "clientAuth"},
		.code = X509_V_ERR_INVALID_PURPOSE},
	{"leaf for mail signatures only", {.ca = true}, {SAN, .eku = "emailProtection"},
		.code = X509_V_ERR_INVALID_PURPOSE},
	{"leaf for code only", {.ca = true}, {SAN, .eku = "codeSigning"},
		.code = X509_V_ERR_INVALID_PURPOSE},
	{"expired", {.ca = true}, {SAN, .from_days = -9, .to_days = -1},
		.code = X509_V_ERR_CERT_HAS_EXPIRED},
	{"not yet valid", {.ca = true}, {SAN, .from_days = 2, .to_days = 9},
		.code = X509_V_ERR_CERT_NOT_YET_VALID},
	{"expired intermediate", {.ca = true, .from_days = -9, .to_days = -1}, {SAN},
		.code = X509_V_ERR_CERT_HAS_EXPIRED},
	{"path length 0 is enough for a leaf", {.basic = "critical,CA:TRUE,pathlen:0"}, {SAN},
		.code = X509_V_OK},
};

static void
check(struct pair *p, const char *what, long code)
{
	static const enum pst_tls_verify modes[] = {
		PST_TLS_VERIFY_OFF, PST_TLS_VERIFY_CHAIN, PST_TLS_VERIFY_NAME};

	pair_contexts(p);
	for (unsigned i = 0; i < PST_COUNT(modes); i++) {
		struct pst_tls_expect e = {
			.verify = modes[i], .nnames = 1, .names = {{"mx.example.com"}}};
		bool pass = modes[i] == PST_TLS_VERIFY_OFF || code == X509_V_OK;
		struct pst_tls_info info;

		cr_expect_eq(pair_try(p, &e, &info), pass, "%s, mode %d: %s", what, modes[i],
			pst_tls_error(p->client.tls));
		if (!pass) {
			cr_expect(strstr(pst_tls_error(p->client.tls),
					  X509_verify_cert_error_string(code)) != NULL,
				"%s: %s", what, pst_tls_error(p->client.tls));
			continue;
		}
		cr_expect_str_eq(
			info.verify, code == X509_V_OK ? "verified" : "untrusted", "%s", what);
		cr_expect_eq(info.verify_error, code, "%s: %s", what, info.verify_text);
	}
}

Test(chains, each_fault_of_a_chain_is_seen_and_only_ignored_where_nothing_is_verified)
{
	const struct pki *k = pair_pki();

	for (unsigned i = 0; i < PST_COUNT(chains); i++) {
		const struct chain_case *c = &chains[i];
		struct pki_spec inter = c->inter, leaf = c->leaf;
		X509 *x;
		struct pair p;

		pair_init(&p);
		inter.cn = "Intermediate";
		inter.key = k->ec2;
		inter.issuer = c->other_root ? k->other_ca : k->ca;
		inter.issuer_key = c->other_root ? k->other_ca_key : k->ca_key;
		x = pki_cert(&inter);
		leaf.cn = "leaf";
		leaf.key = k->ec;
		leaf.issuer = x;
		leaf.issuer_key = k->ec2;
		pair_serve(&p, &leaf, &x, c->withheld ? 0 : 1);
		check(&p, c->what, c->code);
		pair_fini(&p);
		X509_free(x);
	}
}

Test(chains, a_self_signed_server_is_untrusted_unless_it_is_itself_the_anchor)
{
	const struct pki *k = pair_pki();
	struct pki_spec s = {.cn = "self", SAN, .key = k->ec};
	char path[256];
	struct pair p;

	pair_init(&p);
	pair_serve(&p, &s, NULL, 0);
	check(&p, "self-signed", X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT);
	snprintf(path, sizeof(path), "%s", pki_path("self.pem"));
	pki_write(&(struct pki_file){.path = path, .certs = {p.sconf.certs[0]->leaf}});
	p.cconf.ca_file = path;
	check(&p, "pinned as a CA", X509_V_OK);
	pair_fini(&p);
}

#define LONG 14

/* A chain of n intermediates below the CA, the last first; all with one key. */
static void
check_depth(unsigned n, const char *first_basic, long code)
{
	const struct pki *k = pair_pki();
	X509 *made[LONG], *sent[LONG], *issuer = k->ca;
	struct pair p;

	pair_init(&p);
	for (unsigned i = 0; i < n; i++) {
		char cn[16];

		snprintf(cn, sizeof(cn), "CA %u", i);
		made[i] = pki_cert(&(struct pki_spec){.cn = cn,
			.key = k->ec2,
			.ca = true,
			.basic = i == 0 ? first_basic : NULL,
			.issuer = issuer,
			.issuer_key = i == 0 ? k->ca_key : k->ec2});
		issuer = made[i];
		sent[n - 1 - i] = made[i];
	}
	pair_serve(&p,
		&(struct pki_spec){
			.cn = "leaf", SAN, .key = k->ec, .issuer = issuer, .issuer_key = k->ec2},
		sent, n);
	check(&p, "depth", code);
	pair_fini(&p);
	for (unsigned i = 0; i < n; i++)
		X509_free(made[i]);
}

Test(chains, ten_intermediates_are_enough_and_eleven_are_too_many)
{
	check_depth(3, NULL, X509_V_OK);
	check_depth(10, NULL, X509_V_OK);
	check_depth(11, NULL, X509_V_ERR_CERT_CHAIN_TOO_LONG);
	check_depth(LONG, NULL, X509_V_ERR_CERT_CHAIN_TOO_LONG);
}

Test(chains, a_path_length_holds_for_those_below)
{
	check_depth(2, "critical,CA:TRUE,pathlen:1", X509_V_OK);
	check_depth(2, "critical,CA:TRUE,pathlen:0", X509_V_ERR_PATH_LENGTH_EXCEEDED);
	check_depth(3, "critical,CA:TRUE,pathlen:1", X509_V_ERR_PATH_LENGTH_EXCEEDED);
}

struct strength {
	enum pst_tls_verify context, connection;
	const char *ciphers; /* of the client */
	bool pass;
};

/* The level belongs to the connection: a context serves those that verify and those that do not. */
Test(chains, a_weak_key_is_taken_by_connections_that_take_anything)
{
	static const struct strength cases[] = {
		{PST_TLS_VERIFY_OFF, PST_TLS_VERIFY_OFF, NULL, true},
		{PST_TLS_VERIFY_OFF, PST_TLS_VERIFY_CHAIN, NULL, false},
		{PST_TLS_VERIFY_OFF, PST_TLS_VERIFY_NAME, NULL, false},
		{PST_TLS_VERIFY_NAME, PST_TLS_VERIFY_OFF, NULL, true},
		{PST_TLS_VERIFY_NAME, PST_TLS_VERIFY_NAME, NULL, false},
		{PST_TLS_VERIFY_OFF, PST_TLS_VERIFY_NAME, "ALL:@SECLEVEL=1", true},
		{PST_TLS_VERIFY_OFF, PST_TLS_VERIFY_NAME, "ALL:@SECLEVEL=2", false},
	};
	const struct pki *k = pair_pki();
	EVP_PKEY *weak = pki_key("rsa1024");
	const struct pki_spec spec = {
		.cn = "weak", SAN, .key = weak, .issuer = k->ca, .issuer_key = k->ca_key};

	for (unsigned i = 0; i < PST_COUNT(cases); i++) {
		struct pst_tls_expect e = {
			.verify = cases[i].connection, .nnames = 1, .names = {{"mx.example.com"}}};
		struct pst_tls_info info;
		struct pair p;

		pair_init(&p);
		pair_serve(&p, &spec, NULL, 0);
		p.sconf.ciphers = "ECDHE-RSA-AES128-GCM-SHA256:@SECLEVEL=0";
		p.cconf.verify = cases[i].context;
		p.cconf.ciphers = cases[i].ciphers;
		pair_contexts(&p);
		cr_expect_eq(pair_try(&p, &e, &info), cases[i].pass, "%u: %s", i,
			pst_tls_error(p.client.tls));
		if (cases[i].pass)
			cr_expect_str_eq(info.verify, "verified", "%u", i);
		else
			cr_expect_str_eq(pst_tls_error(p.client.tls),
				"certificate verify failed: EE certificate key too weak (sent "
				"alert: bad certificate)");
		pair_fini(&p);
	}
	EVP_PKEY_free(weak);
}
