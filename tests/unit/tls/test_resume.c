/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * T18: resumption across policies and names. On a server a ticket is good for the profile and
 * the server name it was made for; on a client a session is good for the expectation and the
 * profile it was made for; all else is a full handshake.
 */
#include <criterion/criterion.h>
#include <openssl/ssl.h>
#include "pair.h"
#include "tls_int.h"

/* ---- the server's side ---- */

/* The name as given: ours would send it in lower case. */
static void
start(struct pair *p)
{
	pair_sessions(p);
	if (p->name != NULL)
		SSL_set_tlsext_host_name(p->client.tls->ssl, p->name);
}

static SSL_SESSION *
first_visit(struct pair *p)
{
	SSL_SESSION *s;
	char buf[4];

	start(p);
	cr_assert(pair_handshake(p), "%s", pst_tls_error(p->client.tls));
	end_drain(&p->client, buf, sizeof(buf));
	s = SSL_SESSION_dup(SSL_get_session(p->client.tls->ssl));
	cr_assert_eq(SSL_SESSION_is_resumable(s), 1);
	return s;
}

/* Comes back with the ticket: was it taken? The handshake must succeed either way. */
static bool
second_visit(struct pair *p, SSL_SESSION *kept)
{
	SSL_SESSION *copy = SSL_SESSION_dup(kept);

	start(p);
	SSL_set_session(p->client.tls->ssl, copy);
	cr_expect(pair_handshake(p), "%s", pst_tls_error(p->server.tls));
	SSL_SESSION_free(copy);
	cr_expect_eq(
		SSL_session_reused(p->client.tls->ssl), SSL_session_reused(p->server.tls->ssl));
	return SSL_session_reused(p->server.tls->ssl) == 1;
}

static void
setup(struct pair *p, uint16_t version)
{
	pair_init(p);
	p->sconf.tickets = 1;
	p->sconf.ticket_keys = pair_tickets();
	p->sconf.max_version = version;
	p->cconf.verify = PST_TLS_VERIFY_OFF;
}

/* As a reload would change it; name and ticket key stay. */
struct change {
	const char *what;
	struct pst_tls_conf to;
	bool resumes;
};

Test(resume, a_ticket_is_worth_nothing_once_the_profile_has_changed)
{
	static const struct change changes[] = {
		{"nothing", {.session_id_context = "mx"}, true},
		{"name", {.session_id_context = "mx2"}, false},
		{"no name", {.session_id_context = NULL}, false},
		{"pfs", {.session_id_context = "mx", .pfs = PST_TLS_PFS_REQUIRED}, false},
		{"ciphers", {.session_id_context = "mx", .ciphers = "ECDHE+AESGCM"}, false},
		{"groups", {.session_id_context = "mx", .groups = "X25519"}, false},
		{"suites",
			{.session_id_context = "mx",
				.ciphersuites = "TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256"},
			false},
		{"lowest version", {.session_id_context = "mx", .min_version = PST_TLS_1_1}, false},
		{"tickets alone", {.session_id_context = "mx", .tickets = 2}, true},
		{"ALPN alone", {.session_id_context = "mx", .alpn_smtp = true}, true},
	};

	for (unsigned v = PST_TLS_1_2; v <= PST_TLS_1_3; v++)
		for (unsigned i = 0; i < PST_COUNT(changes); i++) {
			struct pst_tls_conf to = changes[i].to;
			SSL_SESSION *kept;
			struct pair p;

			setup(&p, (uint16_t)v);
			p.sconf.session_id_context = "mx";
			pair_contexts(&p);
			kept = first_visit(&p);
			to.side = PST_TLS_SERVER;
			to.ncerts = 1;
			to.certs[0] = p.sconf.certs[0];
			to.tickets = PST_MAX(to.tickets, 1u);
			to.ticket_keys = pair_tickets();
			to.max_version = (uint16_t)v;
			p.sconf = to;
			pair_contexts(&p);
			cr_expect_eq(second_visit(&p, kept), changes[i].resumes, "%s, %#x",
				changes[i].what, v);
			SSL_SESSION_free(kept);
			pair_fini(&p);
		}
}

/* A session without forward secrecy must not live on where it is demanded. */
Test(resume, a_static_rsa_session_ends_when_forward_secrecy_is_required)
{
	struct pst_tls_info info;
	SSL_SESSION *kept;
	struct pair p;

	setup(&p, PST_TLS_1_2);
	pst_cert_free(p.sconf.certs[0]);
	p.sconf.certs[0] = pair_cert(p.sc, pair_pki()->rsa, "DNS:mx.example.com");
	p.cconf.ciphers = "AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256";
	p.sconf.pfs = PST_TLS_PFS_NONE;
	pair_contexts(&p);
	kept = first_visit(&p);
	pst_tls_info(p.server.tls, &info);
	cr_expect_str_eq(info.cipher, "AES128-GCM-SHA256");
	p.sconf.pfs = PST_TLS_PFS_REQUIRED;
	pair_contexts(&p);
	cr_expect_not(second_visit(&p, kept));
	pst_tls_info(p.server.tls, &info);
	cr_expect_str_eq(info.cipher, "ECDHE-RSA-AES128-GCM-SHA256");
	SSL_SESSION_free(kept);
	pair_fini(&p);
}

struct sni_change {
	const char *first, *second;
	bool resumes;
};

/* RFC 6066 3: "MUST NOT accept the request to resume the session if the server_name extension
 * contains a different name". */
Test(resume, a_ticket_is_good_for_the_server_name_it_was_made_for)
{
	static const struct sni_change changes[] = {
		{"a.example.com", "a.example.com", true},
		{"a.example.com", "A.EXAMPLE.com", true},
		{"a.example.com", "b.example.com", false}, /* the same certificate has it */
		{"a.example.com", "x.test", false},
		{"a.example.com", NULL, false},
		{NULL, "a.example.com", false},
		{NULL, NULL, true},
		{"x.test", "x.test", true}, /* a name that nobody has */
		{"x.test", "y.test", false},
		{"x.test", NULL, false},
		{"a.example.com", "a.example.co", false},
		{"a.example.co", "a.example.com", false},
	};

	for (unsigned v = PST_TLS_1_2; v <= PST_TLS_1_3; v++) {
		struct pair p;

		setup(&p, (uint16_t)v);
		pst_cert_free(p.sconf.certs[0]);
		p.sconf.certs[0] =
			pair_cert(p.sc, pair_pki()->ec, "DNS:a.example.com,DNS:b.example.com");
		p.sconf.certs[p.sconf.ncerts++] =
			pair_cert(p.sc, pair_pki()->rsa, "DNS:c.example.com");
		pair_contexts(&p);
		for (unsigned i = 0; i < PST_COUNT(changes); i++) {
			const struct sni_change *c = &changes[i];
			SSL_SESSION *kept;

			p.name = c->first;
			kept = first_visit(&p);
			p.name = c->second;
			cr_expect_eq(second_visit(&p, kept), c->resumes, "%#x: %s, then %s", v,
				c->first, c->second);
			SSL_SESSION_free(kept);
		}
		pair_fini(&p);
	}
}

/* ---- the client's side ---- */

static uint8_t pins[2][32];

/* Each differs from each other in one thing at least; all are met by the server. */
static const struct pst_tls_expect expectations[] = {
	{.verify = PST_TLS_VERIFY_OFF},
	{.verify = PST_TLS_VERIFY_OFF, .servername = "mx.example.com"},
	{.verify = PST_TLS_VERIFY_OFF, .nnames = 1, .names = {{"mx.example.com"}}},
	{.verify = PST_TLS_VERIFY_OFF, .nnames = 1, .names = {{"wrong.test"}}},
	{.verify = PST_TLS_VERIFY_CHAIN},
	{.verify = PST_TLS_VERIFY_CHAIN, .nnames = 1, .names = {{"wrong.test"}}},
	{.verify = PST_TLS_VERIFY_NAME, .nnames = 1, .names = {{"mx.example.com"}}},
	{.verify = PST_TLS_VERIFY_NAME,
		.servername = "mx.example.com",
		.nnames = 1,
		.names = {{"mx.example.com"}}},
	{.verify = PST_TLS_VERIFY_NAME,
		.servername = "mx2.example.com",
		.nnames = 1,
		.names = {{"mx.example.com"}}},
	{.verify = PST_TLS_VERIFY_NAME, .nnames = 1, .names = {{"mx2.example.com"}}},
	{.verify = PST_TLS_VERIFY_NAME, .nnames = 1, .names = {{"example.com"}}},
	{.verify = PST_TLS_VERIFY_NAME, .nnames = 1, .names = {{"example.com", true}}},
	{.verify = PST_TLS_VERIFY_NAME,
		.nnames = 2,
		.names = {{"example.com"}, {"example.com", true}}},
	{.verify = PST_TLS_VERIFY_NAME,
		.nnames = 2,
		.names = {{"mx.example.com"}, {"mx2.example.com"}}},
	{.verify = PST_TLS_VERIFY_NAME, .nnames = 1, .names = {{"192.0.2.1"}}},
	{.verify = PST_TLS_VERIFY_FINGERPRINT, .nfingerprints = 1, .fingerprints = pins},
	{.verify = PST_TLS_VERIFY_FINGERPRINT, .nfingerprints = 2, .fingerprints = pins},
	{.verify = PST_TLS_VERIFY_FINGERPRINT, .nfingerprints = 1, .fingerprints = pins + 1},
	{.verify = PST_TLS_VERIFY_FINGERPRINT,
		.servername = "mx.example.com",
		.nfingerprints = 1,
		.fingerprints = pins},
};

static void
pin(const X509 *x)
{
	uint8_t *der = NULL;
	int n = i2d_X509(x, &der);

	EVP_Digest(der, (size_t)n, pins[0], NULL, EVP_sha256(), NULL);
	OPENSSL_free(der);
	der = NULL;
	n = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x), &der);
	EVP_Digest(der, (size_t)n, pins[1], NULL, EVP_sha256(), NULL);
	OPENSSL_free(der);
}

static bool
finds(struct pair *p, struct pst_tls_cache *cache, const struct pst_tls_expect *e)
{
	p->expect = e;
	pair_sessions(p);
	pst_tls_use_cache(p->client.tls, cache, pst_span_str("hop"));
	return SSL_get_session(p->client.tls->ssl) != NULL;
}

static void
store(struct pair *p, struct pst_tls_cache *cache, const struct pst_tls_expect *e)
{
	char buf[4];

	cr_expect_not(finds(p, cache, e));
	cr_assert(pair_handshake(p), "%s", pst_tls_error(p->client.tls));
	end_drain(&p->client, buf, sizeof(buf));
}

/* One key, one server: only what is expected differs. */
Test(resume, a_session_is_found_by_the_expectation_it_was_made_for_alone)
{
	for (unsigned v = PST_TLS_1_2; v <= PST_TLS_1_3; v++) {
		struct pair p;

		setup(&p, (uint16_t)v);
		pst_cert_free(p.sconf.certs[0]);
		p.sconf.certs[0] = pair_cert(p.sc, pair_pki()->ec,
			"DNS:example.com,DNS:mx.example.com,DNS:mx2.example.com,IP:192.0.2.1");
		pin(p.sconf.certs[0]->leaf);
		pair_contexts(&p);
		for (unsigned i = 0; i < PST_COUNT(expectations); i++) {
			struct pst_tls_cache *cache = pst_tls_cache_new(64);

			store(&p, cache, &expectations[i]);
			for (unsigned j = 0; j < PST_COUNT(expectations); j++)
				if (j != i)
					cr_expect_not(finds(&p, cache, &expectations[j]),
						"%u finds %u", j, i);
			cr_expect(finds(&p, cache, &expectations[i]), "%u", i);
			cr_expect(pair_handshake(&p));
			cr_expect_eq(SSL_session_reused(p.client.tls->ssl), 1, "%u", i);
			pst_tls_cache_free(cache);
		}
		pair_fini(&p);
	}
}

/* A weak expectation takes anything; the session that it leaves in the cache opens no door. */
Test(resume, an_untrusted_servers_session_does_not_serve_a_stronger_expectation)
{
	static const struct pst_tls_expect weak = {.verify = PST_TLS_VERIFY_OFF,
		.servername = "mx.example.com",
		.nnames = 1,
		.names = {{"mx.example.com"}}};
	const struct pki *k = pair_pki();

	for (unsigned v = PST_TLS_1_2; v <= PST_TLS_1_3; v++)
		for (unsigned mode = PST_TLS_VERIFY_CHAIN; mode <= PST_TLS_VERIFY_FINGERPRINT;
			mode++) {
			struct pst_tls_cache *cache = pst_tls_cache_new(64);
			struct pst_tls_expect strong = weak;
			struct pair p;

			memset(pins, 0, sizeof(pins));
			strong.verify = mode;
			strong.nfingerprints = 2;
			strong.fingerprints = pins;
			setup(&p, (uint16_t)v);
			pair_serve(&p,
				&(struct pki_spec){.cn = "evil",
					.san = "DNS:mx.example.com",
					.key = k->ec,
					.issuer = k->other_ca,
					.issuer_key = k->other_ca_key},
				NULL, 0);
			pair_contexts(&p);
			store(&p, cache, &weak);
			cr_expect_not(finds(&p, cache, &strong));
			cr_expect_not(pair_handshake(&p), "mode %u", mode);
			cr_expect(finds(&p, cache, &weak), "the failure was another key's");
			pair_fini(&p);
			pst_tls_cache_free(cache);
		}
}

/* The cache outlives a reload; what the context allowed is part of the key. */
Test(resume, a_session_made_under_another_profile_of_the_next_hop_is_not_found)
{
	const struct pki *k = pair_pki();
	struct pst_tls_cache *cache = pst_tls_cache_new(64);
	char both[256];
	struct pair p;

	snprintf(both, sizeof(both), "%s", pki_path("both.pem"));
	pki_write(&(struct pki_file){.path = both, .certs = {k->ca, k->other_ca}});
	setup(&p, 0);
	pair_contexts(&p);
	store(&p, cache, &expectations[6]);
	for (unsigned i = 0; i < 5; i++) {
		struct pst_tls_conf was = p.cconf;

		if (i == 0)
			p.cconf.pfs = PST_TLS_PFS_REQUIRED;
		if (i == 1)
			p.cconf.min_version = PST_TLS_1_3;
		if (i == 2)
			p.cconf.ciphers = "ECDHE+AESGCM";
		if (i == 3)
			p.cconf.ca_file = both;
		if (i == 4)
			p.cconf.groups = "P-256";
		pair_contexts(&p);
		cr_expect_not(finds(&p, cache, &expectations[6]), "%u", i);
		p.cconf = was;
	}
	pair_contexts(&p); /* a new context of the old profile */
	cr_expect(finds(&p, cache, &expectations[6]));
	cr_expect(pair_handshake(&p));
	cr_expect_eq(SSL_session_reused(p.client.tls->ssl), 1);
	pair_fini(&p);
	pst_tls_cache_free(cache);
}
