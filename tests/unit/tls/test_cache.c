/* SPDX-License-Identifier: BSD-3-Clause */
/* Resumption on the client leg: who may resume what, how often, and what is forgotten. */
#include <criterion/criterion.h>
#include <openssl/ssl.h>
#include "pair.h"
#include "tls_int.h"

static struct pst_tls_cache *cache;

static void
setup(struct pair *p, uint16_t version, unsigned tickets)
{
	pair_init(p);
	p->sconf.tickets = tickets;
	p->sconf.max_version = version;
	pair_contexts(p);
	if (cache == NULL)
		cache = pst_tls_cache_new(64);
}

static void
fini(struct pair *p)
{
	pair_fini(p);
	pst_tls_cache_free(cache);
	cache = NULL;
}

/* One connection under `key`; was it resumed? Tickets are read before it is freed. */
static bool
connect_once(struct pair *p, const char *key)
{
	struct pst_tls_info c, s;
	char buf[4];

	pair_sessions(p);
	pst_tls_use_cache(p->client.tls, cache, pst_span_str(key));
	cr_assert(pair_handshake(p), "client %s, server %s", pst_tls_error(p->client.tls),
		pst_tls_error(p->server.tls));
	end_drain(&p->client, buf, sizeof(buf));
	pst_tls_info(p->client.tls, &c);
	pst_tls_info(p->server.tls, &s);
	cr_assert_eq(c.resumed, s.resumed);
	cr_expect_str_eq(c.verify, "verified");
	cr_expect_str_neq(c.cipher, "none");
	return c.resumed;
}

Test(cache, a_second_connection_resumes_and_is_still_verified)
{
	for (unsigned v = PST_TLS_1_2; v <= PST_TLS_1_3; v++) {
		struct pair p;
		struct pst_tls_info i;

		setup(&p, (uint16_t)v, 1);
		cr_expect_not(connect_once(&p, "hop"));
		for (unsigned n = 0; n < 5; n++)
			cr_expect(connect_once(&p, "hop"), "%#x %u", v, n);
		pst_tls_info(p.client.tls, &i);
		cr_expect_str_eq(i.group, v == PST_TLS_1_3 ? "x25519" : i.group);
		fini(&p);
	}
}

Test(cache, without_tickets_nothing_resumes)
{
	for (unsigned v = PST_TLS_1_2; v <= PST_TLS_1_3; v++) {
		struct pair p;

		setup(&p, (uint16_t)v, 0);
		for (unsigned n = 0; n < 3; n++)
			cr_expect_not(connect_once(&p, "hop"));
		fini(&p);
	}
}

/* RFC 8446 C.4: a ticket used twice links two connections. */
Test(cache, a_13_ticket_is_used_once_and_a_12_session_again)
{
	for (unsigned v = PST_TLS_1_2; v <= PST_TLS_1_3; v++) {
		struct pair p;
		SSL_SESSION *first;

		setup(&p, (uint16_t)v, 1);
		connect_once(&p, "hop");
		pair_sessions(&p);
		pst_tls_use_cache(p.client.tls, cache, pst_span_str("hop"));
		first = SSL_get_session(p.client.tls->ssl);
		cr_assert_not_null(first);
		pair_sessions(&p); /* it was never used, but it may have been seen */
		pst_tls_use_cache(p.client.tls, cache, pst_span_str("hop"));
		cr_expect_eq(SSL_get_session(p.client.tls->ssl) != NULL, v == PST_TLS_1_2);
		fini(&p);
	}
}

Test(cache, two_tickets_serve_two_parallel_connections)
{
	struct pair p, q;

	setup(&p, PST_TLS_1_3, 2);
	connect_once(&p, "hop");
	setup(&q, PST_TLS_1_3, 2);
	for (unsigned i = 0; i < 3; i++) {
		pair_sessions(&p);
		pst_tls_use_cache(p.client.tls, cache, pst_span_str("hop"));
		cr_expect_eq(SSL_get_session(p.client.tls->ssl) != NULL, i < 2, "%u", i);
	}
	pair_fini(&q);
	fini(&p);
}

struct sharing {
	const char *what, *key;
	const char *name;
	enum pst_tls_verify verify;
	bool same;
};

Test(cache, different_keys_names_or_modes_never_share)
{
	static const struct sharing others[] = {
		{"same", "hop", "mx.example.com", PST_TLS_VERIFY_NAME, true},
		{"key", "hop2", "mx.example.com", PST_TLS_VERIFY_NAME, false},
		{"shorter key", "ho", "mx.example.com", PST_TLS_VERIFY_NAME, false},
		{"empty key", "", "mx.example.com", PST_TLS_VERIFY_NAME, false},
		{"name", "hop", "mx2.example.com", PST_TLS_VERIFY_NAME, false},
		{"border of name and key", "mhop", "mx.example.co", PST_TLS_VERIFY_NAME, false},
		{"address", "hop", "192.0.2.1", PST_TLS_VERIFY_NAME, false},
		{"mode", "hop", "mx.example.com", PST_TLS_VERIFY_CHAIN, false},
	};

	for (unsigned i = 0; i < PST_COUNT(others); i++) {
		struct pair p;

		setup(&p, 0, 1);
		connect_once(&p, "hop");
		pair_hangup(&p);
		p.cconf.verify = others[i].verify;
		p.name = others[i].name;
		pair_contexts(&p);
		pair_sessions(&p);
		pst_tls_use_cache(p.client.tls, cache, pst_span_str(others[i].key));
		cr_expect_eq(SSL_get_session(p.client.tls->ssl) != NULL, others[i].same, "%s",
			others[i].what);
		fini(&p);
	}
}

/* The digest keeps sessions of other profiles apart; were it to fail, the verdict still counts. */
Test(cache, an_unverified_session_cannot_enter_a_verifying_profile)
{
	struct pair p;
	SSL_SESSION *stolen;

	setup(&p, PST_TLS_1_2, 1);
	p.cconf.verify = PST_TLS_VERIFY_OFF;
	p.name = "other.example.com"; /* trusted, but not by this name */
	pair_contexts(&p);
	pair_sessions(&p);
	cr_assert(pair_handshake(&p));
	stolen = SSL_SESSION_dup(
		SSL_get_session(p.client.tls->ssl)); /* hanging up spoils the original */
	pair_hangup(&p);

	p.cconf.verify = PST_TLS_VERIFY_NAME;
	pst_tls_ctx_put(p.cctx);
	p.cctx = pst_tls_ctx_new(p.cc, &p.cconf, (char[256]){""}, 256);
	pair_sessions(&p);
	SSL_set_session(p.client.tls->ssl, stolen);
	cr_expect_not(pair_handshake(&p));
	cr_expect_eq(p.client.rc, PST_PEER);
	cr_expect_str_eq(pst_tls_error(p.client.tls),
		"the resumed session was not verified: hostname mismatch");
	SSL_SESSION_free(stolen);
	fini(&p);
}

static bool
holds(struct pair *p, const char *key)
{
	pair_sessions(p);
	pst_tls_use_cache(p->client.tls, cache, pst_span_str(key));
	return SSL_get_session(p->client.tls->ssl) != NULL;
}

Test(cache, the_least_recently_used_goes_first_when_it_is_full)
{
	struct pair p;

	cache = pst_tls_cache_new(3);
	setup(&p, PST_TLS_1_2, 1);
	connect_once(&p, "a");
	connect_once(&p, "b");
	connect_once(&p, "c");
	cr_expect(holds(&p, "a")); /* touched: now b is the oldest */
	connect_once(&p, "d");
	cr_expect(holds(&p, "a"));
	cr_expect_not(holds(&p, "b"));
	cr_expect(holds(&p, "c"));
	cr_expect(holds(&p, "d"));
	fini(&p);
}

/* Full handshakes pile up two tickets each: a key's oldest go, and other keys stay. */
Test(cache, one_key_cannot_fill_it)
{
	struct pair p;
	unsigned n = 0;
	int64_t until;

	setup(&p, PST_TLS_1_3, 2);
	connect_once(&p, "other");
	for (unsigned i = 0; i < 40; i++) {
		char buf[4];

		pair_sessions(&p);
		p.client.tls->cache = cache; /* stores, but takes nothing */
		cr_assert(pair_handshake(&p));
		end_drain(&p.client, buf, sizeof(buf));
	}
	cr_expect(holds(&p, "other"));
	for (bool more = true; more && n <= 80; n += more) {
		SSL_SESSION *s;

		pair_sessions(&p);
		s = pst_tls_cache_take(cache, p.client.tls->key, &until);
		more = s != NULL;
		SSL_SESSION_free(s);
	}
	cr_expect_eq(n, 8, "%u", n);
	fini(&p);
}

Test(cache, a_cache_of_nothing_keeps_nothing_and_a_flush_forgets_all)
{
	struct pair p;

	cache = pst_tls_cache_new(0);
	setup(&p, 0, 1);
	connect_once(&p, "hop");
	cr_expect_not(holds(&p, "hop"));
	fini(&p);

	setup(&p, 0, 1);
	connect_once(&p, "hop");
	pst_tls_cache_flush(cache);
	cr_expect_not(holds(&p, "hop"));
	fini(&p);
}

Test(cache, a_session_that_ends_in_failure_is_not_offered_again)
{
	struct pair p;

	setup(&p, PST_TLS_1_2, 1);
	connect_once(&p, "hop");
	cr_expect(holds(&p, "hop"));
	end_handshake(&p.client);
	wire_put(&p.to_client, "\x15\x03\x03\x00\x02\x02\x28", 7); /* handshake_failure */
	cr_expect_eq(end_handshake(&p.client), PST_PEER);
	cr_expect_not(holds(&p, "hop"));
	fini(&p);
}

Test(cache, entries_are_small_because_the_peers_chain_is_not_kept)
{
	struct pair p;
	SSL_SESSION *s;

	setup(&p, PST_TLS_1_3, 1);
	connect_once(&p, "hop");
	cr_assert(holds(&p, "hop"));
	s = SSL_get_session(p.client.tls->ssl);
	cr_expect_null(SSL_SESSION_get0_peer(s));
	cr_expect_str_eq(SSL_SESSION_get0_hostname(s), "mx.example.com");
	fini(&p);
}

Test(cache, tickets_of_one_profile_are_worth_nothing_in_another_with_the_same_key)
{
	for (unsigned v = PST_TLS_1_2; v <= PST_TLS_1_3; v++)
		for (unsigned same = 0; same < 2; same++) {
			struct pair p;

			setup(&p, (uint16_t)v, 1);
			p.sconf.ticket_keys = pair_tickets();
			p.sconf.session_id_context = "mx";
			pair_contexts(&p);
			cr_expect_not(connect_once(&p, "hop"));
			/* Another worker's or a reloaded context: a new SSL_CTX, the same key. */
			p.sconf.session_id_context = same ? "mx" : "submission";
			pair_contexts(&p);
			cr_expect_eq(connect_once(&p, "hop"), same == 1, "%#x %u", v, same);
			fini(&p);
		}
}

Test(cache, without_a_shared_key_another_context_cannot_resume)
{
	struct pair p;

	setup(&p, 0, 1);
	connect_once(&p, "hop");
	pair_contexts(&p);
	cr_expect_not(connect_once(&p, "hop"));
	fini(&p);
}

/* Tickets bring tickets; without an end no certificate would ever be looked at again. */
Test(cache, what_a_full_handshake_left_ends_with_all_that_came_of_it)
{
	for (unsigned v = PST_TLS_1_2; v <= PST_TLS_1_3; v++) {
		struct pair p;
		int64_t until;
		char buf[4];

		setup(&p, (uint16_t)v, 1);
		connect_once(&p, "hop");
		cr_assert(holds(&p, "hop"));
		until = p.client.tls->until;
		cr_assert(pair_handshake(&p));
		end_drain(&p.client, buf, sizeof(buf));
		cr_assert(holds(&p, "hop"));
		cr_expect_eq(p.client.tls->until, until, "the second is no older than the first");
		p.client.tls->until = 1; /* 1970: its verdict has ended */
		cr_assert(pair_handshake(&p));
		end_drain(&p.client, buf, sizeof(buf));
		/* TLS 1.2 sends no new session when it resumes: the old one stays. */
		cr_expect_eq(holds(&p, "hop"), v == PST_TLS_1_2);
		fini(&p);
	}
}

/* A certificate that ended: taken here because the clock is not asked, but not beyond this once. */
Test(cache, a_session_ends_with_the_certificate_where_certificates_count)
{
	static const enum pst_tls_verify modes[] = {
		PST_TLS_VERIFY_OFF, PST_TLS_VERIFY_CHAIN, PST_TLS_VERIFY_NAME};
	const struct pki *k = pair_pki();

	for (unsigned i = 0; i < PST_COUNT(modes); i++) {
		struct pair p;

		setup(&p, 0, 1);
		pair_serve(&p,
			&(struct pki_spec){.cn = "old",
				.san = "DNS:mx.example.com",
				.key = k->ec,
				.issuer = k->ca,
				.issuer_key = k->ca_key,
				.from_days = -9,
				.to_days = -1},
			NULL, 0);
		p.cconf.verify = modes[i];
		pair_contexts(&p);
		X509_VERIFY_PARAM_set_flags(
			SSL_CTX_get0_param(p.cctx->ssl), X509_V_FLAG_NO_CHECK_TIME);
		connect_once(&p, "hop");
		cr_expect_eq(holds(&p, "hop"), modes[i] == PST_TLS_VERIFY_OFF, "mode %d", modes[i]);
		fini(&p);
	}
}
