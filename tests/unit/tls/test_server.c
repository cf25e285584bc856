/* SPDX-License-Identifier: BSD-3-Clause */
/* What a server profile decides: the certificate by name and kind, ALPN, tickets, faults of a
 * profile. */
#include <criterion/criterion.h>
#include <openssl/ssl.h>
#include "pair.h"
#include "tls_int.h"

/* Certificates of the server, in this order; the client says which it got by its public key and
 * SAN. */
enum { EC_A, RSA_A, EC_WILD, RSA_B, NCERTS };
static const char *const sans[NCERTS] = {"DNS:a.example.com,DNS:shared.example.com",
	"DNS:a.example.com", "DNS:*.example.com", "DNS:b.example.org,DNS:Mixed.Example.ORG"};

struct selection {
	const char *sni;
	const char *sigalgs; /* of the client; NULL: all */
	int want;            /* -1: no certificate fits, the handshake fails */
};

static const struct selection selections[] = {
	{NULL, NULL, EC_A},
	{"a.example.com", NULL, EC_A},
	{"A.Example.Com", NULL, EC_A},
	{"a.example.com", "rsa_pss_rsae_sha256", RSA_A},
	{"shared.example.com", NULL, EC_A},
	{"x.example.com", NULL, EC_WILD},
	{"x.y.example.com", NULL, EC_A},
	{"example.com", NULL, EC_A},
	{"b.example.org", NULL, RSA_B},
	{"mixed.example.org", NULL, RSA_B},
	{"unknown.test", NULL, EC_A},
	{"unknown.test", "rsa_pss_rsae_sha256", RSA_A},
	{"*.example.com", NULL, EC_WILD},
	{"b.example.org", "ecdsa_secp256r1_sha256", -1},
};

static void
setup_names(struct pair *p, bool strict)
{
	const struct pki *k = pair_pki();
	EVP_PKEY *keys[NCERTS] = {k->ec, k->rsa, k->ec2, k->rsa};

	pair_init(p);
	pst_cert_free(p->sconf.certs[0]);
	for (unsigned i = 0; i < NCERTS; i++)
		p->sconf.certs[i] = pair_cert(p->sc, keys[i], sans[i]);
	p->sconf.ncerts = NCERTS;
	p->sconf.strict_names = strict;
	p->cconf.verify = PST_TLS_VERIFY_OFF;
	pair_contexts(p);
}

static void
setup(struct pair *p)
{
	setup_names(p, false);
}

Test(server, the_name_and_the_clients_algorithms_choose_the_certificate)
{
	struct pair p;

	setup(&p);
	for (unsigned i = 0; i < PST_COUNT(selections); i++) {
		const struct selection *s = &selections[i];
		X509 *got;

		p.name = s->sni;
		pair_sessions(&p);
		if (s->sigalgs != NULL)
			SSL_set1_sigalgs_list(p.client.tls->ssl, s->sigalgs);
		cr_expect_eq(
			pair_handshake(&p), s->want >= 0, "%u: %s", i, pst_tls_error(p.server.tls));
		got = SSL_get0_peer_certificate(p.client.tls->ssl);
		if (s->want >= 0)
			cr_expect(X509_cmp(got, p.sconf.certs[s->want]->leaf) == 0, "%u: %s", i,
				s->sni);
	}
	pair_fini(&p);
}

Test(server, selected_certificates_resume_with_the_tickets_of_the_profile)
{
	struct pair p;
	struct pst_tls_cache *cache = pst_tls_cache_new(8);
	struct pst_tls_info info;
	char buf[4];

	setup(&p);
	p.sconf.tickets = 1;
	pair_contexts(&p);
	p.name = "b.example.org";
	for (unsigned round = 0; round < 2; round++) {
		pair_sessions(&p);
		pst_tls_use_cache(p.client.tls, cache, pst_span_str("b"));
		cr_assert(pair_handshake(&p));
		end_drain(&p.client, buf, sizeof(buf));
		pst_tls_info(p.client.tls, &info);
		cr_expect_eq(info.resumed, round == 1);
		pst_tls_info(p.server.tls, &info);
		cr_expect_eq(info.resumed, round == 1);
		cr_expect_str_eq(info.server_name, "b.example.org");
	}
	pair_fini(&p);
	pst_tls_cache_free(cache);
}

struct alpn {
	const char *what;
	const char *offer; /* wire form */
	unsigned len;
	bool checked, pass;
};

static const struct alpn alpns[] = {
	{"none offered", "", 0, true, true},
	{"smtp", "\4smtp", 5, true, true},
	{"smtp among others", "\2h2\4smtp\10http/1.1", 17, true, true},
	{"http", "\10http/1.1", 9, true, false},
	{"smtp as a part", "\5smtpx\3smt", 10, true, false},
	{"upper case", "\4SMTP", 5, true, false},
	{"http, not checked", "\10http/1.1", 9, false, true},
};

Test(server, alpn_without_smtp_is_refused_where_the_profile_says)
{
	for (unsigned i = 0; i < PST_COUNT(alpns); i++) {
		const struct alpn *a = &alpns[i];
		struct pair p;

		pair_init(&p);
		p.sconf.alpn_smtp = a->checked;
		p.sconf.max_version = i % 2 == 0 ? PST_TLS_1_2 : PST_TLS_1_3;
		pair_contexts(&p);
		pair_sessions(&p);
		if (a->len > 0)
			SSL_set_alpn_protos(p.client.tls->ssl, (const uint8_t *)a->offer, a->len);
		cr_expect_eq(pair_handshake(&p), a->pass, "%s", a->what);
		if (!a->pass) {
			end_handshake(&p.client);
			cr_expect_str_eq(pst_tls_error(p.client.tls),
				"the peer refused (received alert: no application protocol)");
		}
		pair_fini(&p);
	}
}

Test(server, a_server_name_with_control_bytes_is_refused)
{
	static const char *const bad[] = {"a\nb", "a\rb.example", "a b", "\x7f", "\xff.example"};

	for (unsigned i = 0; i < PST_COUNT(bad); i++) {
		struct pair p;

		pair_init(&p);
		p.name = NULL;
		p.cconf.verify = PST_TLS_VERIFY_OFF;
		pair_contexts(&p);
		pair_sessions(&p);
		SSL_set_tlsext_host_name(p.client.tls->ssl, bad[i]);
		cr_expect_not(pair_handshake(&p), "%u", i);
		cr_expect_eq(p.server.rc, PST_PEER);
		end_handshake(&p.client);
		cr_expect_str_eq(pst_tls_error(p.client.tls),
			"the peer refused (received alert: illegal parameter)");
		pair_fini(&p);
	}
}

/* T8: a client that was led here from another service names that one. */
Test(server, a_name_that_no_certificate_has_is_refused_where_the_profile_is_strict)
{
	static const struct {
		const char *name;
		bool ours;
	} cases[] = {{NULL, true}, {"a.example.com", true}, {"A.Example.Com.", true},
		{"x.example.com", true}, {"x.y.example.com", false}, {"unknown.test", false},
		{"localhost", false}, {".example.com", false}};
	struct pair p;

	setup_names(&p, true);
	for (unsigned i = 0; i < PST_COUNT(cases); i++) {
		p.name = NULL;
		pair_sessions(&p);
		if (cases[i].name != NULL)
			SSL_set_tlsext_host_name(p.client.tls->ssl, cases[i].name);
		cr_expect_eq(pair_handshake(&p), cases[i].ours, "%s", cases[i].name);
		if (cases[i].ours)
			continue;
		end_handshake(&p.client);
		cr_expect_str_eq(pst_tls_error(p.client.tls),
			"the peer refused (received alert: unrecognized name)", "%s",
			cases[i].name);
	}
	pair_fini(&p);
}

static unsigned tickets_seen;

static int
count_ticket(SSL *ssl, SSL_SESSION *sess)
{
	tickets_seen++;
	return 0;
}

Test(server, sends_as_many_tickets_as_configured_and_none_for_zero)
{
	for (unsigned v = PST_TLS_1_2; v <= PST_TLS_1_3; v++)
		for (unsigned n = 0; n <= 2; n++) {
			struct pair p;
			char buf[4];
			unsigned want = v == PST_TLS_1_3 ? n : n > 0;

			pair_init(&p);
			p.sconf.tickets = n;
			p.sconf.max_version = (uint16_t)v;
			pair_contexts(&p);
			SSL_CTX_sess_set_new_cb(p.cctx->ssl, count_ticket);
			pair_sessions(&p);
			tickets_seen = 0;
			cr_assert(pair_handshake(&p));
			end_drain(&p.client, buf, sizeof(buf));
			cr_expect_eq(tickets_seen, want, "%#x %u: %u", v, n, tickets_seen);
			pair_fini(&p);
		}
}

/* The server's first call after the client's Finished carries the tickets: they wait for nothing.
 */
Test(server, tickets_leave_in_the_call_that_ends_the_handshake)
{
	struct pair p;

	pair_init(&p);
	p.sconf.tickets = 1;
	pair_contexts(&p);
	pair_sessions(&p);
	end_handshake(&p.client);
	end_handshake(&p.server);
	cr_assert_eq(end_handshake(&p.client), PST_OK);
	cr_assert_eq(wire_len(&p.to_client), 0);
	cr_assert_eq(end_handshake(&p.server), PST_OK);
	cr_expect_gt(wire_len(&p.to_client), 0);
	pair_fini(&p);
}

struct profile_fault {
	struct pst_tls_conf conf;
	const char *text; /* a part of it */
};

Test(server, a_profile_that_cannot_work_is_refused_with_its_cause)
{
	static const struct profile_fault faults[] = {
		{{.side = PST_TLS_SERVER}, "certificate"},
		{{.side = PST_TLS_CLIENT, .ciphers = "NO-SUCH-CIPHER"}, "ciphers NO-SUCH-CIPHER"},
		{{.side = PST_TLS_CLIENT, .ciphers = "aNULL"}, "ciphers aNULL"},
		{{.side = PST_TLS_CLIENT, .ciphers = "DHE-RSA-AES128-GCM-SHA256"},
			"ciphers DHE-RSA"},
		{{.side = PST_TLS_CLIENT, .ciphersuites = "TLS_AES_128_GCM_SHA256:TLS_TYPO"},
			"\"TLS_TYPO\" is not a TLS 1.3 suite"},
		{{.side = PST_TLS_CLIENT, .groups = "X25519MLKEM768"}, "knows none of them"},
		{{.side = PST_TLS_CLIENT, .groups = "ffdhe2048"}, "knows none of them"},
		{{.side = PST_TLS_CLIENT, .groups = ""}, "knows none of them"},
		{{.side = PST_TLS_CLIENT, .min_version = PST_TLS_1_3, .max_version = PST_TLS_1_2},
			"not a range"},
		{{.side = PST_TLS_CLIENT, .min_version = 0x0300}, "not a range"},
	};
	char err[256];
	struct pst_crypto *c = pst_crypto_new(err, sizeof(err));

	for (unsigned i = 0; i < PST_COUNT(faults); i++) {
		err[0] = 0;
		cr_expect_null(pst_tls_ctx_new(c, &faults[i].conf, err, sizeof(err)));
		cr_expect(strstr(err, faults[i].text) != NULL, "%u: \"%s\"", i, err);
		cr_expect_not(errors_left());
	}
	pst_crypto_free(c);
}

Test(server, three_tickets_are_refused)
{
	struct pair p;
	char err[256];

	pair_init(&p);
	p.sconf.tickets = 3;
	cr_expect_null(pst_tls_ctx_new(p.sc, &p.sconf, err, sizeof(err)));
	cr_expect_str_eq(err, "tickets 3: 0, 1 or 2");
	pair_fini(&p);
}

Test(server, renegotiation_and_finite_field_groups_are_off)
{
	struct pair p;

	pair_init(&p);
	p.cconf.max_version = PST_TLS_1_2;
	pair_foreign_client(&p);
	pair_contexts(&p);
	pair_sessions(&p);
	cr_assert(pair_handshake(&p));
	cr_expect_eq(SSL_renegotiate(p.client.tls->ssl), 0);
	cr_expect_eq(SSL_get_options(p.server.tls->ssl) & SSL_OP_NO_RENEGOTIATION,
		SSL_OP_NO_RENEGOTIATION);
	pair_hangup(&p);

	p.cconf.max_version = 0;
	pair_contexts(&p);
	pair_sessions(&p);
	cr_assert(SSL_set1_groups_list(p.client.tls->ssl, "ffdhe2048:ffdhe3072"));
	cr_expect_not(pair_handshake(&p));
	cr_expect_eq(p.server.rc, PST_PEER);
	pair_fini(&p);
}

Test(server, a_context_lives_until_its_last_session_is_gone)
{
	struct pair p;

	pair_init(&p);
	pair_contexts(&p);
	pair_sessions(&p);
	pst_tls_ctx_put(p.sctx);
	pst_tls_ctx_put(p.cctx);
	p.sctx = p.cctx = NULL;
	cr_assert(pair_handshake(&p));
	pair_fini(&p);
}
