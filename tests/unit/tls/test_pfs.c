/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Forward secrecy (W10) and versions (W5), on both sides: what two profiles agree on, what a
 * peer that is not ours can get out of one, and what our own ClientHello offers, read from its
 * bytes.
 */
#include <criterion/criterion.h>
#include <openssl/ssl.h>
#include "pair.h"
#include "tls_int.h"

enum certs { RSA_KEY, ECDSA_KEY, BOTH };

static const char *const cert_names[] = {"RSA", "ECDSA", "both"};
static const char *const pfs_names[] = {"allowed", "none", "required"};

/* The server's certificates, both for the same name. */
static void
setup(struct pair *p, enum certs certs)
{
	pair_init(p);
	if (certs == ECDSA_KEY)
		return;
	if (certs == RSA_KEY) {
		pst_cert_free(p->sconf.certs[0]);
		p->sconf.ncerts = 0;
	}
	p->sconf.certs[p->sconf.ncerts++] = pair_cert(p->sc, pair_pki()->rsa, "DNS:mx.example.com");
}

/* Each cell: 3 TLS 1.3, E TLS 1.2 with ECDHE, R static RSA, - no handshake, x no such profile. */
struct agreement {
	enum certs certs;
	uint16_t max;         /* of the client */
	const char *cells[3]; /* [server's pfs][client's pfs]: allowed, none, required */
};

static const struct agreement agreements[] = {
	{RSA_KEY, 0, {"3R3", "RR-", "3-3"}},
	{RSA_KEY, PST_TLS_1_2, {"ERE", "RR-", "E-E"}},
	{ECDSA_KEY, 0, {"3-3", "xxx", "3-3"}},
	{ECDSA_KEY, PST_TLS_1_2, {"E-E", "xxx", "E-E"}},
	{BOTH, 0, {"3R3", "RR-", "3-3"}},
	{BOTH, PST_TLS_1_2, {"ERE", "RR-", "E-E"}},
};

static char
agreed(struct pair *p)
{
	struct pst_tls_info c, s;
	bool fs;

	pair_sessions(p);
	if (!pair_handshake(p)) {
		cr_expect(p->client.rc == PST_PEER || p->server.rc == PST_PEER);
		return '-';
	}
	pst_tls_info(p->client.tls, &c);
	pst_tls_info(p->server.tls, &s);
	cr_expect_str_eq(c.cipher, s.cipher);
	cr_expect_str_eq(c.verify, "verified");
	if (strcmp(c.version, "TLSv1.3") == 0)
		return '3';
	fs = strncmp(c.cipher, "ECDHE-", 6) == 0;
	cr_expect_str_eq(c.version, "TLSv1.2");
	cr_expect_eq(strcmp(c.group, "none") != 0, fs, "%s with group %s", c.cipher, c.group);
	cr_expect_eq(strncmp(c.cipher_iana, "TLS_RSA_", 8) == 0, !fs, "%s", c.cipher_iana);
	return fs ? 'E' : 'R';
}

Test(pfs, two_profiles_agree_on_what_both_allow)
{
	for (unsigned i = 0; i < PST_COUNT(agreements); i++)
		for (unsigned s = 0; s < 3; s++)
			for (unsigned c = 0; c < 3; c++) {
				const struct agreement *a = &agreements[i];
				char want = a->cells[s][c], err[256], got;
				struct pair p;

				setup(&p, a->certs);
				p.sconf.pfs = s;
				p.cconf.pfs = c;
				p.cconf.max_version = a->max;
				if (want == 'x') {
					cr_expect_null(
						pst_tls_ctx_new(p.sc, &p.sconf, err, sizeof(err)));
					cr_expect_str_eq(err,
						"pfs none: static RSA needs a certificate with an "
						"RSA key, and there is none");
					pair_fini(&p);
					continue;
				}
				pair_contexts(&p);
				got = agreed(&p);
				cr_expect_eq(got, want, "%s, server %s, client %s: %c, not %c",
					cert_names[a->certs], pfs_names[s], pfs_names[c], got,
					want);
				pair_fini(&p);
			}
}

/* A client that is not ours, held to TLS 1.2 and one list; the server has both kinds of key. */
struct foreign {
	const char *list;
	bool pass[3]; /* by the server's pfs */
};

static const struct foreign foreigns[] = {
	{"AES128-GCM-SHA256", {true, true, false}},
	{"AES256-SHA", {true, true, false}},
	{"ECDHE-RSA-AES128-GCM-SHA256", {true, false, true}},
	{"ECDHE-ECDSA-AES128-SHA", {true, false, true}},
	{"DHE-RSA-AES128-GCM-SHA256", {false, false, false}},
	{"DHE-RSA-AES256-SHA:DHE-RSA-CHACHA20-POLY1305", {false, false, false}},
	{"ADH-AES128-SHA:AECDH-AES128-SHA:@SECLEVEL=0", {false, false, false}},
	{"NULL-SHA256:ECDHE-RSA-NULL-SHA:@SECLEVEL=0", {false, false, false}},
};

Test(pfs, no_client_gets_a_key_exchange_that_the_server_does_not_allow)
{
	static const char *const lists[] = {NULL, "ALL:COMPLEMENTOFALL:@SECLEVEL=0",
		"DEFAULT:DHE-RSA-AES128-GCM-SHA256:AES128-GCM-SHA256:AES256-SHA"};

	for (unsigned s = 0; s < 3; s++)
		for (unsigned l = 0; l < PST_COUNT(lists); l++)
			for (unsigned i = 0; i < PST_COUNT(foreigns); i++) {
				struct pair p;

				setup(&p, BOTH);
				p.sconf.pfs = s;
				p.sconf.ciphers = lists[l];
				p.sconf.groups = "X25519:P-256:ffdhe2048";
				p.cconf.max_version = PST_TLS_1_2;
				p.cconf.verify = PST_TLS_VERIFY_OFF;
				pair_foreign_client(&p);
				pair_contexts(&p);
				pair_sessions(&p);
				cr_assert(SSL_set_cipher_list(p.client.tls->ssl, foreigns[i].list));
				cr_expect_eq(pair_handshake(&p), foreigns[i].pass[s],
					"%s, server %s, list %u", foreigns[i].list, pfs_names[s],
					l);
				pair_fini(&p);
			}
}

/* A client that would do both finds the forward-secret one chosen. */
Test(pfs, allowed_prefers_ecdhe_whatever_the_client_prefers)
{
	for (unsigned c = RSA_KEY; c <= BOTH; c++) {
		struct pst_tls_info info;
		struct pair p;

		setup(&p, c);
		p.cconf.max_version = PST_TLS_1_2;
		p.cconf.ciphers = "AES256-GCM-SHA384:AES128-SHA:ECDHE-RSA-AES128-SHA:"
				  "ECDHE-ECDSA-AES128-SHA";
		pair_contexts(&p);
		pair_sessions(&p);
		cr_assert(pair_handshake(&p));
		pst_tls_info(p.server.tls, &info);
		cr_expect(strncmp(info.cipher, "ECDHE-", 6) == 0, "%s", info.cipher);
		pair_fini(&p);
	}
}

/* Under "none" only RSA certificates count; a name of an ECDSA certificate alone gets the default.
 */
Test(pfs, none_serves_its_rsa_certificates_for_every_name)
{
	static const char *const names[] = {"mx.example.com", "rsa.example.com", "other.test"};
	struct pair p;

	pair_init(&p); /* ECDSA, mx.example.com */
	p.sconf.certs[p.sconf.ncerts++] = pair_cert(p.sc, pair_pki()->rsa, "DNS:rsa.example.com");
	p.sconf.pfs = PST_TLS_PFS_NONE;
	p.cconf.verify = PST_TLS_VERIFY_OFF;
	pair_contexts(&p);
	for (unsigned i = 0; i < PST_COUNT(names); i++) {
		p.name = names[i];
		pair_sessions(&p);
		cr_assert(pair_handshake(&p), "%s", names[i]);
		cr_expect_eq(X509_cmp(SSL_get0_peer_certificate(p.client.tls->ssl),
				     p.sconf.certs[1]->leaf),
			0);
	}
	pair_fini(&p);
}

struct pfs_fault {
	struct pst_tls_conf conf; /* of a client */
	const char *text;
};

Test(pfs, a_profile_that_contradicts_itself_is_refused_with_its_cause)
{
	static const struct pfs_fault faults[] = {
		{{.pfs = PST_TLS_PFS_NONE, .min_version = PST_TLS_1_3}, "TLS 1.3 is always"},
		{{.pfs = PST_TLS_PFS_NONE, .min_version = PST_TLS_1_3, .max_version = PST_TLS_1_3},
			"TLS 1.3 is always"},
		{{.pfs = PST_TLS_PFS_NONE, .ciphers = "ECDHE+AESGCM"},
			"ciphers ECDHE+AESGCM: pfs none allows none of them"},
		{{.pfs = PST_TLS_PFS_REQUIRED, .ciphers = "AES128-SHA:kRSA"},
			"ciphers AES128-SHA:kRSA: pfs required allows none of them"},
		{{.pfs = PST_TLS_PFS_REQUIRED, .ciphers = "NO-SUCH"}, "ciphers NO-SUCH: "},
		{{.pfs = PST_TLS_PFS_NONE, .ciphers = "kDHE"}, "ciphers kDHE: "},
		{{.pfs = PST_TLS_PFS_REQUIRED, .ciphers = "kDHE"}, "ciphers kDHE: "},
		{{.pfs = PST_TLS_PFS_REQUIRED + 1}, "pfs"},
	};
	char err[256];
	struct pst_crypto *c = pst_crypto_new(err, sizeof(err));

	for (unsigned i = 0; i < PST_COUNT(faults); i++) {
		struct pst_tls_conf conf = faults[i].conf;

		conf.side = PST_TLS_CLIENT;
		err[0] = 0;
		cr_expect_null(pst_tls_ctx_new(c, &conf, err, sizeof(err)), "%u", i);
		cr_expect(strstr(err, faults[i].text) != NULL, "%u: \"%s\"", i, err);
		cr_expect_not(errors_left());
	}
	pst_crypto_free(c);
}

/* What a ClientHello says, as it is on the wire. */
struct hello {
	uint16_t ciphers[256], groups[64], versions[16];
	unsigned nciphers, ngroups, nversions;
};

static uint16_t
u16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static unsigned
take_list(const uint8_t *p, size_t bytes, uint16_t *out, unsigned max)
{
	unsigned n = 0;

	for (size_t i = 0; i + 2 <= bytes && n < max; i += 2)
		out[n++] = u16(p + i);
	return n;
}

/* RFC 8446 4.1.2: record header, message header, version, random, session id, ciphers, ... */
static void
parse_hello(const struct wire *w, struct hello *h)
{
	const uint8_t *p = w->p + w->head, *end = w->p + w->tail;

	*h = (struct hello){.nciphers = 0};
	cr_assert_gt(end - p, 5 + 4 + 2 + 32);
	cr_assert_eq(p[0], 0x16);
	cr_assert_eq(p[5], 1);
	p += 5 + 4 + 2 + 32;
	p += 1 + p[0];
	h->nciphers = take_list(p + 2, u16(p), h->ciphers, PST_COUNT(h->ciphers));
	p += 2 + u16(p);
	p += 1 + p[0];
	cr_assert_eq(p + 2 + u16(p), end);
	for (p += 2; p < end; p += 4 + u16(p + 2)) {
		if (u16(p) == TLSEXT_TYPE_supported_groups)
			h->ngroups = take_list(p + 6, u16(p + 4), h->groups, PST_COUNT(h->groups));
		if (u16(p) == TLSEXT_TYPE_supported_versions)
			h->nversions = take_list(p + 5, p[4], h->versions, PST_COUNT(h->versions));
	}
}

static bool
has(const uint16_t *list, unsigned n, uint16_t want)
{
	for (unsigned i = 0; i < n; i++)
		if (list[i] == want)
			return true;
	return false;
}

struct offer {
	unsigned ecdhe, rsa, tls13, others;
	bool ecdhe_after_rsa;
};

/* By the key exchange of each suite; the renegotiation SCSV is none. */
static struct offer
count_offer(SSL *ssl, const struct hello *h)
{
	struct offer o = {0};

	for (unsigned i = 0; i < h->nciphers; i++) {
		const uint8_t id[2] = {(uint8_t)(h->ciphers[i] >> 8), (uint8_t)h->ciphers[i]};
		const SSL_CIPHER *c = SSL_CIPHER_find(ssl, id);
		int kx = c != NULL ? SSL_CIPHER_get_kx_nid(c) : NID_undef;

		if (h->ciphers[i] == 0x00ff)
			continue;
		o.ecdhe += kx == NID_kx_ecdhe;
		o.rsa += kx == NID_kx_rsa;
		o.tls13 += kx == NID_kx_any;
		o.others += kx != NID_kx_ecdhe && kx != NID_kx_rsa && kx != NID_kx_any;
		o.ecdhe_after_rsa = o.ecdhe_after_rsa || (kx == NID_kx_ecdhe && o.rsa > 0);
	}
	return o;
}

struct hello_case {
	enum pst_tls_pfs pfs;
	uint16_t max;
	const char *ciphers, *groups;
	bool ecdhe, rsa, tls13;
};

static const struct hello_case hellos[] = {
	{PST_TLS_PFS_ALLOWED, 0, NULL, NULL, true, true, true},
	{PST_TLS_PFS_NONE, 0, NULL, NULL, false, true, false},
	{PST_TLS_PFS_REQUIRED, 0, NULL, NULL, true, false, true},
	{PST_TLS_PFS_ALLOWED, PST_TLS_1_2, NULL, NULL, true, true, false},
	{PST_TLS_PFS_NONE, PST_TLS_1_3, NULL, NULL, false, true, false},
	{PST_TLS_PFS_REQUIRED, PST_TLS_1_2, NULL, NULL, true, false, false},
	{PST_TLS_PFS_ALLOWED, 0, "ALL:COMPLEMENTOFALL", "ffdhe2048:X25519:ffdhe3072", true, true,
		true},
	{PST_TLS_PFS_NONE, 0, "ALL:COMPLEMENTOFALL", "ffdhe2048:X25519", false, true, false},
	{PST_TLS_PFS_REQUIRED, 0, "ALL:COMPLEMENTOFALL", "X25519:ffdhe8192", true, false, true},
	{PST_TLS_PFS_REQUIRED, 0, "AES128-SHA:ECDHE-RSA-AES128-SHA", NULL, true, false, true},
	{PST_TLS_PFS_NONE, 0, "AES128-SHA:ECDHE-RSA-AES128-SHA", NULL, false, true, false},
};

Test(pfs, our_client_hello_offers_what_the_profile_allows_and_never_finite_field_dh)
{
	for (unsigned i = 0; i < PST_COUNT(hellos); i++) {
		const struct hello_case *c = &hellos[i];
		struct hello h;
		struct offer o;
		struct pair p;

		pair_init(&p);
		p.cconf.pfs = c->pfs;
		p.cconf.max_version = c->max;
		p.cconf.ciphers = c->ciphers;
		p.cconf.groups = c->groups;
		pair_contexts(&p);
		pair_sessions(&p);
		end_handshake(&p.client);
		parse_hello(&p.to_server, &h);
		o = count_offer(p.client.tls->ssl, &h);
		cr_expect_eq(o.ecdhe > 0, c->ecdhe, "%u: %u ECDHE", i, o.ecdhe);
		cr_expect_eq(o.rsa > 0, c->rsa, "%u: %u RSA", i, o.rsa);
		cr_expect_eq(o.tls13 > 0, c->tls13, "%u: %u of TLS 1.3", i, o.tls13);
		cr_expect_eq(o.others, 0, "%u: %u others", i, o.others);
		cr_expect_eq(has(h.versions, h.nversions, PST_TLS_1_3), c->tls13, "%u", i);
		cr_expect_eq(h.ngroups > 0, c->ecdhe || c->tls13, "%u", i);
		for (unsigned g = 0; g < h.ngroups; g++)
			cr_expect_neq(h.groups[g] >> 8, 1, "%u: group %#x", i, h.groups[g]);
		if (c->ciphers == NULL)
			cr_expect_not(o.ecdhe_after_rsa, "%u", i);
		pair_fini(&p);
	}
}

/* ---- versions ---- */

struct floor_case {
	uint16_t server_min, server_max, client_min, client_max;
	const char *version; /* NULL: no handshake */
};

/* 0 is the default, 1.2 to 1.3: an old peer gets in only where a profile names the version. */
static const struct floor_case floors[] = {
	{0, 0, PST_TLS_1_0, PST_TLS_1_0, NULL},
	{0, 0, PST_TLS_1_1, PST_TLS_1_1, NULL},
	{PST_TLS_1_0, PST_TLS_1_0, 0, 0, NULL},
	{PST_TLS_1_1, PST_TLS_1_1, 0, 0, NULL},
	{PST_TLS_1_1, 0, PST_TLS_1_0, PST_TLS_1_0, NULL},
	{PST_TLS_1_0, 0, PST_TLS_1_0, PST_TLS_1_0, "TLSv1"},
	{PST_TLS_1_0, 0, PST_TLS_1_1, PST_TLS_1_1, "TLSv1.1"},
	{PST_TLS_1_1, 0, PST_TLS_1_0, PST_TLS_1_1, "TLSv1.1"},
	{PST_TLS_1_0, PST_TLS_1_0, PST_TLS_1_0, 0, "TLSv1"},
	{PST_TLS_1_1, PST_TLS_1_1, PST_TLS_1_0, 0, "TLSv1.1"},
	{PST_TLS_1_0, PST_TLS_1_1, PST_TLS_1_0, PST_TLS_1_1, "TLSv1.1"},
	{PST_TLS_1_0, 0, PST_TLS_1_0, 0, "TLSv1.3"},
	{PST_TLS_1_0, 0, 0, 0, "TLSv1.3"},
	{PST_TLS_1_0, 0, 0, PST_TLS_1_2, "TLSv1.2"},
};

static void
try_floor(const struct floor_case *f, enum certs certs, enum pst_tls_pfs pfs)
{
	const char *want = f->version;
	struct pst_tls_info info;
	struct pair p;

	setup(&p, certs);
	p.sconf.min_version = f->server_min;
	p.sconf.max_version = f->server_max;
	p.cconf.min_version = f->client_min;
	p.cconf.max_version = f->client_max;
	p.cconf.pfs = pfs;
	if (pfs == PST_TLS_PFS_NONE && want != NULL && strcmp(want, "TLSv1.3") == 0)
		want = "TLSv1.2";
	pair_contexts(&p);
	pair_sessions(&p);
	cr_expect_eq(pair_handshake(&p), want != NULL, "%#x-%#x, %#x-%#x", f->server_min,
		f->server_max, f->client_min, f->client_max);
	if (want != NULL) {
		pst_tls_info(p.server.tls, &info);
		cr_expect_str_eq(info.version, want);
		pst_tls_info(p.client.tls, &info);
		cr_expect_str_eq(info.verify, "verified");
	}
	pair_fini(&p);
}

Test(pfs, old_versions_work_where_a_profile_names_them_and_nowhere_else)
{
	for (unsigned i = 0; i < PST_COUNT(floors); i++) {
		try_floor(&floors[i], RSA_KEY, PST_TLS_PFS_ALLOWED);
		try_floor(&floors[i], ECDSA_KEY, PST_TLS_PFS_REQUIRED);
		try_floor(&floors[i], RSA_KEY, PST_TLS_PFS_NONE);
	}
}
