/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Client certificates on a server: who is let in by each setting, what is said about it, which
 * issuers the client is told, and (T18) that no resumption stands in for a certificate.
 */
#include <criterion/criterion.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include "pair.h"
#include "tls_int.h"

static const char *const settings[] = {"off", "optional", "required"};

static void
setup(struct pair *p, enum pst_tls_client_cert setting, uint16_t version)
{
	pair_init(p);
	p->sconf.client_cert = setting;
	p->sconf.ca_file = setting != PST_TLS_CLIENT_CERT_OFF ? pair_pki()->ca_file : NULL;
	p->sconf.max_version = version;
	pair_contexts(p);
}

/* The client sends this; NULL: it has none. */
static void
show(struct pair *p, const struct pki_spec *spec)
{
	X509 *x;

	if (spec == NULL)
		return;
	x = pki_cert(spec);
	cr_assert_eq(SSL_use_certificate(p->client.tls->ssl, x), 1);
	cr_assert_eq(SSL_use_PrivateKey(p->client.tls->ssl, spec->key), 1);
	X509_free(x);
}

enum signer { OURS, STRANGER, SELF };

struct visitor {
	const char *what;
	enum signer signer;
	struct pki_spec spec;
	long code; /* X509_V_ERR_*; 0: a good one */
};

static const struct visitor visitors[] = {
	{"good", OURS, {.san = "DNS:client.test"}, X509_V_OK},
	{"good, for clients", OURS, {.eku = "clientAuth"}, X509_V_OK},
	{"for both", OURS, {.eku = "serverAuth,clientAuth"}, X509_V_OK},
	{"for servers only", OURS, {.eku = "serverAuth"}, X509_V_ERR_INVALID_PURPOSE},
	{"expired", OURS, {.from_days = -9, .to_days = -1}, X509_V_ERR_CERT_HAS_EXPIRED},
	{"not yet valid", OURS, {.from_days = 2, .to_days = 9}, X509_V_ERR_CERT_NOT_YET_VALID},
	{"another CA's", STRANGER, {.eku = "clientAuth"},
		X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY},
	{"self-signed", SELF, {.eku = "clientAuth"}, X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT},
};

static struct pki_spec
spec_of(const struct visitor *v)
{
	const struct pki *k = pair_pki();
	struct pki_spec s = v->spec;

	s.cn = "client.test";
	s.key = k->ec2;
	s.issuer = v->signer == OURS ? k->ca : v->signer == STRANGER ? k->other_ca : NULL;
	s.issuer_key = v->signer == OURS       ? k->ca_key
		       : v->signer == STRANGER ? k->other_ca_key
					       : NULL;
	return s;
}

static void
expect_refused(struct pair *p, const struct visitor *v)
{
	char want[256];
	char buf[4];

	cr_expect_eq(p->server.rc, PST_PEER);
	snprintf(want, sizeof(want), "certificate verify failed: %s (sent alert: ",
		X509_verify_cert_error_string(v->code));
	cr_expect(strncmp(pst_tls_error(p->server.tls), want, strlen(want)) == 0, "%s: %s", v->what,
		pst_tls_error(p->server.tls));
	/* A TLS 1.3 client has finished by then; the alert is the first thing that it reads. */
	if (end_handshake(&p->client) == PST_OK)
		end_drain(&p->client, buf, sizeof(buf));
	cr_expect_eq(p->client.rc, PST_PEER, "%s", v->what);
}

static void
visit(const struct visitor *v, enum pst_tls_client_cert setting, uint16_t version)
{
	bool pass = setting == PST_TLS_CLIENT_CERT_OFF || v->code == X509_V_OK;
	struct pki_spec spec = spec_of(v);
	struct pst_tls_info info;
	struct pair p;

	setup(&p, setting, version);
	pair_sessions(&p);
	show(&p, &spec);
	cr_expect_eq(pair_handshake(&p), pass, "%s, %s, %#x: %s", v->what, settings[setting],
		version, pst_tls_error(p.server.tls));
	pst_tls_info(p.server.tls, &info);
	if (pass) {
		cr_expect_str_eq(info.verify,
			setting == PST_TLS_CLIENT_CERT_OFF ? "none" : "trusted", "%s", v->what);
		cr_expect_eq(info.verify_error, X509_V_OK);
	} else {
		expect_refused(&p, v);
	}
	pair_fini(&p);
}

Test(client_cert, a_bad_one_ends_the_handshake_wherever_one_is_asked_for)
{
	for (unsigned i = 0; i < PST_COUNT(visitors); i++)
		for (unsigned s = 0; s <= PST_TLS_CLIENT_CERT_REQUIRED; s++) {
			visit(&visitors[i], s, PST_TLS_1_2);
			visit(&visitors[i], s, PST_TLS_1_3);
		}
}

/* RFC 8446 4.4.2.4: "abort the handshake with a "certificate_required" alert". */
Test(client_cert, none_is_fine_unless_required)
{
	for (unsigned v = PST_TLS_1_2; v <= PST_TLS_1_3; v++)
		for (unsigned s = 0; s <= PST_TLS_CLIENT_CERT_REQUIRED; s++) {
			bool pass = s != PST_TLS_CLIENT_CERT_REQUIRED;
			struct pst_tls_info info;
			struct pair p;

			setup(&p, s, (uint16_t)v);
			pair_sessions(&p);
			cr_expect_eq(pair_handshake(&p), pass, "%s, %#x", settings[s], v);
			pst_tls_info(p.server.tls, &info);
			cr_expect_str_eq(info.verify, "none");
			if (!pass)
				cr_expect_str_eq(pst_tls_error(p.server.tls),
					v == PST_TLS_1_3
						? "peer did not return a certificate (sent alert: "
						  "certificate required)"
						: "peer did not return a certificate (sent alert: "
						  "handshake failure)");
			pair_fini(&p);
		}
}

Test(client_cert, the_client_is_told_the_issuers_and_only_when_asked)
{
	for (unsigned s = 0; s <= PST_TLS_CLIENT_CERT_REQUIRED; s++)
		for (unsigned v = PST_TLS_1_2; v <= PST_TLS_1_3; v++) {
			const STACK_OF(X509_NAME) * names;
			struct pki_spec spec = spec_of(&visitors[0]);
			struct pair p;

			setup(&p, s, (uint16_t)v);
			pair_sessions(&p);
			show(&p, &spec);
			cr_assert(pair_handshake(&p));
			names = SSL_get0_peer_CA_list(p.client.tls->ssl);
			cr_expect_eq(
				PST_MAX(sk_X509_NAME_num(names), 0), s != PST_TLS_CLIENT_CERT_OFF);
			if (s != PST_TLS_CLIENT_CERT_OFF)
				cr_expect_eq(X509_NAME_cmp(sk_X509_NAME_value(names, 0),
						     X509_get_subject_name(pair_pki()->ca)),
					0);
			pair_fini(&p);
		}
}

#define MANY 260

/* An empty list lets the client send what it has (RFC 5246 7.4.4); each is still judged. */
Test(client_cert, more_issuers_than_a_handshake_should_carry_are_not_told)
{
	const struct pki *k = pair_pki();
	struct pki_spec spec = spec_of(&visitors[0]);
	FILE *out = fopen(pki_path("many.pem"), "w"), *one;
	char path[256], buf[4096];
	struct pair p;

	snprintf(path, sizeof(path), "%s", pki_path("many.pem"));
	for (unsigned i = 0; i < MANY; i++) {
		const char *file = pki_path("one.pem");
		char cn[65];
		X509 *x;

		snprintf(cn, sizeof(cn), "%064u", i);
		x = pki_cert(&(struct pki_spec){.cn = cn, .key = k->ec2, .ca = true});
		pki_write(&(struct pki_file){.path = file, .certs = {i == 7 ? k->ca : x}});
		one = fopen(file, "r");
		fwrite(buf, 1, fread(buf, 1, sizeof(buf), one), out);
		fclose(one);
		X509_free(x);
	}
	fclose(out);
	pair_init(&p);
	p.sconf.client_cert = PST_TLS_CLIENT_CERT_REQUIRED;
	p.sconf.ca_file = path;
	pair_contexts(&p);
	pair_sessions(&p);
	show(&p, &spec);
	cr_expect(pair_handshake(&p), "%s", pst_tls_error(p.server.tls));
	cr_expect_leq(sk_X509_NAME_num(SSL_get0_peer_CA_list(p.client.tls->ssl)), 0);
	pair_fini(&p);
}

Test(client_cert, asking_without_a_ca_file_or_with_a_missing_one_is_an_error)
{
	struct pair p;
	char err[256];

	pair_init(&p);
	for (unsigned s = PST_TLS_CLIENT_CERT_OPTIONAL; s <= PST_TLS_CLIENT_CERT_REQUIRED; s++) {
		p.sconf.client_cert = s;
		p.sconf.ca_file = NULL;
		cr_expect_null(pst_tls_ctx_new(p.sc, &p.sconf, err, sizeof(err)));
		cr_expect_str_eq(
			err, "client certificates: a file of the CAs that sign them is needed");
		p.sconf.ca_file = "/nonexistent/ca.pem";
		cr_expect_null(pst_tls_ctx_new(p.sc, &p.sconf, err, sizeof(err)));
		cr_expect_str_eq(
			err, "/nonexistent/ca.pem: cannot open: No such file or directory");
	}
	cr_expect_not(errors_left());
	pair_fini(&p);
}

/* ---- T18: resumption ---- */

/* The ticket of the last handshake, as the client keeps it. */
static SSL_SESSION *
keep_ticket(struct pair *p)
{
	SSL_SESSION *s;
	char buf[4];

	end_drain(&p->client, buf, sizeof(buf));
	s = SSL_SESSION_dup(SSL_get_session(p->client.tls->ssl));
	cr_assert_eq(SSL_SESSION_is_resumable(s), 1);
	return s;
}

/* A session with `spec` under one setting, as a client keeps it. */
static SSL_SESSION *
made_under(struct pair *p, enum pst_tls_client_cert setting, const struct pki_spec *spec,
	uint16_t version)
{
	setup(p, setting, version);
	p->sconf.tickets = 1;
	p->sconf.ticket_keys = pair_tickets();
	pair_contexts(p);
	pair_sessions(p);
	show(p, spec);
	cr_assert(pair_handshake(p));
	return keep_ticket(p);
}

static bool
resume(struct pair *p, SSL_SESSION *s, const struct pki_spec *spec, bool *resumed)
{
	bool ok;

	pair_sessions(p);
	SSL_set_session(p->client.tls->ssl, s);
	show(p, spec);
	ok = pair_handshake(p);
	*resumed = SSL_session_reused(p->server.tls->ssl) == 1;
	return ok;
}

Test(client_cert, a_resumed_session_keeps_the_clients_certificate_and_verdict)
{
	for (unsigned v = PST_TLS_1_2; v <= PST_TLS_1_3; v++)
		for (unsigned s = 0; s <= PST_TLS_CLIENT_CERT_REQUIRED; s++) {
			struct pki_spec spec = spec_of(&visitors[0]);
			struct pst_tls_info info;
			bool resumed;
			struct pair p;
			SSL_SESSION *kept = made_under(&p, s, &spec, (uint16_t)v);

			/* The second time the client could show nothing. */
			cr_expect(resume(&p, kept, NULL, &resumed));
			cr_expect(resumed, "%s, %#x", settings[s], v);
			pst_tls_info(p.server.tls, &info);
			cr_expect_str_eq(
				info.verify, s == PST_TLS_CLIENT_CERT_OFF ? "none" : "trusted");
			SSL_SESSION_free(kept);
			pair_fini(&p);
		}
}

/* Same name of the profile, same ticket key: what was asked of the client differs. */
Test(client_cert, a_session_made_under_one_setting_is_worth_nothing_under_another)
{
	for (unsigned v = PST_TLS_1_2; v <= PST_TLS_1_3; v++)
		for (unsigned from = 0; from < 3; from++)
			for (unsigned to = 0; to < 3; to++) {
				bool resumed, ok;
				struct pair p;
				SSL_SESSION *kept;

				if (from == PST_TLS_CLIENT_CERT_REQUIRED)
					continue; /* without a certificate there is none to keep */
				kept = made_under(&p, from, NULL, (uint16_t)v);
				p.sconf.client_cert = to;
				p.sconf.ca_file = pair_pki()->ca_file;
				if (to == PST_TLS_CLIENT_CERT_OFF)
					p.sconf.ca_file = NULL;
				pair_contexts(&p);
				ok = resume(&p, kept, NULL, &resumed);
				cr_expect_eq(resumed, from == to, "%s, then %s, %#x",
					settings[from], settings[to], v);
				cr_expect_eq(ok, to != PST_TLS_CLIENT_CERT_REQUIRED,
					"%s, then %s, %#x", settings[from], settings[to], v);
				SSL_SESSION_free(kept);
				pair_fini(&p);
			}
}

/* Were the session-id context to fail, the demand is looked at again when the handshake is done. */
Test(client_cert, a_resumed_session_without_a_certificate_never_meets_a_demand)
{
	for (unsigned v = PST_TLS_1_2; v <= PST_TLS_1_3; v++) {
		bool resumed;
		struct pair p;
		SSL_SESSION *kept = made_under(&p, PST_TLS_CLIENT_CERT_OFF, NULL, (uint16_t)v);
		uint8_t profile[PST_TLS_DIGEST];

		memcpy(profile, p.sctx->profile, sizeof(profile));
		p.sconf.client_cert = PST_TLS_CLIENT_CERT_REQUIRED;
		p.sconf.ca_file = pair_pki()->ca_file;
		pair_contexts(&p);
		SSL_CTX_set_session_id_context(p.sctx->ssl, profile, sizeof(profile));
		cr_expect_not(resume(&p, kept, NULL, &resumed));
		cr_expect(resumed);
		cr_expect_eq(p.server.rc, PST_PEER);
		cr_expect_str_eq(pst_tls_error(p.server.tls),
			"the resumed session lacks a client certificate");
		SSL_SESSION_free(kept);
		pair_fini(&p);
	}
}

Test(client_cert, a_change_of_the_trusted_issuers_ends_the_sessions_they_vouched_for)
{
	const struct pki *k = pair_pki();
	char both[256], other[256];

	snprintf(both, sizeof(both), "%s", pki_path("both.pem"));
	snprintf(other, sizeof(other), "%s", pki_path("other.pem"));
	pki_write(&(struct pki_file){.path = both, .certs = {k->other_ca, k->ca}});
	pki_write(&(struct pki_file){.path = other, .certs = {k->other_ca}});
	for (unsigned v = PST_TLS_1_2; v <= PST_TLS_1_3; v++) {
		const struct {
			const char *file;
			bool resumed, pass;
		} then[] = {{k->ca_file, true, true}, {both, false, true}, {other, false, false}};
		struct pki_spec spec = spec_of(&visitors[0]);
		struct pair p;
		SSL_SESSION *kept =
			made_under(&p, PST_TLS_CLIENT_CERT_REQUIRED, &spec, (uint16_t)v);

		for (unsigned i = 0; i < PST_COUNT(then); i++) {
			bool resumed;
			SSL_SESSION *copy = SSL_SESSION_dup(kept);

			p.sconf.ca_file = then[i].file;
			pair_contexts(&p);
			cr_expect_eq(resume(&p, copy, &spec, &resumed), then[i].pass, "%u: %s", i,
				pst_tls_error(p.server.tls));
			cr_expect_eq(resumed, then[i].resumed, "%u", i);
			SSL_SESSION_free(copy);
		}
		SSL_SESSION_free(kept);
		pair_fini(&p);
	}
}

/* The first server does not ask the clock; the second does, and the ticket is no way round it. */
Test(client_cert, a_ticket_does_not_prolong_the_life_of_the_certificate_in_it)
{
	for (unsigned v = PST_TLS_1_2; v <= PST_TLS_1_3; v++)
		for (unsigned old = 0; old < 2; old++) {
			struct pki_spec spec = spec_of(&visitors[old ? 4 : 0]);
			SSL_SESSION *kept;
			bool resumed;
			struct pair p;

			setup(&p, PST_TLS_CLIENT_CERT_REQUIRED, (uint16_t)v);
			p.sconf.tickets = 1;
			p.sconf.ticket_keys = pair_tickets();
			pair_contexts(&p);
			X509_VERIFY_PARAM_set_flags(
				SSL_CTX_get0_param(p.sctx->ssl), X509_V_FLAG_NO_CHECK_TIME);
			pair_sessions(&p);
			show(&p, &spec);
			cr_assert(pair_handshake(&p));
			kept = keep_ticket(&p);
			pair_contexts(&p);
			cr_expect_eq(resume(&p, kept, &spec, &resumed), !old);
			cr_expect_eq(resumed, !old, "%u, %#x", old, v);
			SSL_SESSION_free(kept);
			pair_fini(&p);
		}
}
