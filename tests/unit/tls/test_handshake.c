/* SPDX-License-Identifier: BSD-3-Clause */
/* Handshakes that should work: versions, key kinds, groups, and any cutting of the bytes. */
#include <criterion/criterion.h>
#include "pair.h"

struct good {
	const char *what;
	uint16_t version;
	bool rsa;
	const char *ciphers, *suites, *groups;
	const char *want_version, *want_cipher, *want_iana, *want_group;
	int want_bits;
};

static const struct good goods[] = {
	{"1.3 ECDSA defaults", 0, false, NULL, NULL, NULL, "TLSv1.3", "TLS_AES_128_GCM_SHA256",
		"TLS_AES_128_GCM_SHA256", "x25519", 128},
	{"1.3 RSA", PST_TLS_1_3, true, NULL, "TLS_CHACHA20_POLY1305_SHA256", "P-384", "TLSv1.3",
		"TLS_CHACHA20_POLY1305_SHA256", "TLS_CHACHA20_POLY1305_SHA256", "secp384r1", 256},
	{"1.2 ECDSA", PST_TLS_1_2, false, NULL, NULL, NULL, "TLSv1.2",
		"ECDHE-ECDSA-AES128-GCM-SHA256", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
		"x25519", 128},
	{"1.2 RSA P-256", PST_TLS_1_2, true, "ECDHE-RSA-AES128-GCM-SHA256", NULL,
		"X25519MLKEM768:P-256:P-256:prime256v1:ffdhe2048", "TLSv1.2",
		"ECDHE-RSA-AES128-GCM-SHA256", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "secp256r1",
		128},
	{"1.2 CBC for old peers", PST_TLS_1_2, true, "ECDHE-RSA-AES256-SHA", NULL, NULL, "TLSv1.2",
		"ECDHE-RSA-AES256-SHA", "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA", "x25519", 256},
	{"static RSA where it is configured", PST_TLS_1_2, true, "AES128-GCM-SHA256", NULL, NULL,
		"TLSv1.2", "AES128-GCM-SHA256", "TLS_RSA_WITH_AES_128_GCM_SHA256", "none", 128},
	{"1.0 where it is configured", PST_TLS_1_0, true, "ECDHE-RSA-AES128-SHA", NULL, NULL,
		"TLSv1", "ECDHE-RSA-AES128-SHA", "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA", "x25519",
		128},
};

static void
setup(struct pair *p, const struct good *g)
{
	pair_init(p);
	if (g->rsa) {
		pst_cert_free(p->sconf.certs[0]);
		p->sconf.certs[0] = pair_cert(p->sc, pair_pki()->rsa, "DNS:mx.example.com");
	}
	p->cconf.min_version = p->cconf.max_version = g->version;
	p->sconf.min_version = p->sconf.max_version = g->version;
	p->sconf.ciphers = p->cconf.ciphers = g->ciphers;
	p->sconf.ciphersuites = p->cconf.ciphersuites = g->suites;
	p->sconf.groups = p->cconf.groups = g->groups;
	pair_contexts(p);
	pair_sessions(p);
}

static void
check_info(const struct good *g, const struct pst_tls *t)
{
	struct pst_tls_info i;

	pst_tls_info(t, &i);
	cr_expect_str_eq(i.version, g->want_version, "%s: %s", g->what, i.version);
	cr_expect_str_eq(i.cipher, g->want_cipher, "%s: %s", g->what, i.cipher);
	cr_expect_str_eq(i.cipher_iana, g->want_iana, "%s: %s", g->what, i.cipher_iana);
	cr_expect_str_eq(i.group, g->want_group, "%s: %s", g->what, i.group);
	cr_expect_eq(i.bits, g->want_bits, "%s: %d", g->what, i.bits);
	cr_expect_not(i.resumed, "%s", g->what);
}

Test(handshake, each_version_key_and_group_works_and_is_reported)
{
	for (unsigned i = 0; i < PST_COUNT(goods); i++) {
		struct pair p;
		struct pst_tls_info info;

		setup(&p, &goods[i]);
		cr_assert(pair_handshake(&p), "%s: client %s, server %s", goods[i].what,
			pst_tls_error(p.client.tls), pst_tls_error(p.server.tls));
		check_info(&goods[i], p.client.tls);
		check_info(&goods[i], p.server.tls);
		pst_tls_info(p.server.tls, &info);
		cr_expect_str_eq(info.server_name, "mx.example.com");
		cr_expect_str_eq(info.verify, "none");
		pst_tls_info(p.client.tls, &info);
		cr_expect_str_eq(info.verify, "verified");
		cr_expect_null(info.server_name);
		pair_fini(&p);
	}
}

Test(handshake, bytes_may_come_one_at_a_time_and_leave_through_a_slit)
{
	static const size_t steps[][2] = {{1, 0}, {1, 1}, {3, 7}, {5, 0}, {100, 13}};

	for (unsigned v = PST_TLS_1_2; v <= PST_TLS_1_3; v++)
		for (unsigned i = 0; i < PST_COUNT(steps); i++) {
			struct good g = {.what = "cut", .version = (uint16_t)v, .rsa = true};
			struct pair p;
			char buf[16];

			setup(&p, &g);
			p.client.in_step = p.server.in_step = steps[i][0];
			p.client.out_cap = p.server.out_cap = steps[i][1];
			cr_assert(pair_handshake(&p), "%#x %u: client %s, server %s", v, i,
				pst_tls_error(p.client.tls), pst_tls_error(p.server.tls));
			p.client.out_cap = p.server.out_cap = 0;
			cr_assert_eq(end_write(&p.client, "hello", 5), PST_OK);
			cr_assert_eq(end_drain(&p.server, buf, sizeof(buf)), 5);
			cr_assert_eq(end_write(&p.server, "world", 5), PST_OK);
			cr_assert_eq(end_drain(&p.client, buf, sizeof(buf)), 5);
			cr_assert_arr_eq(buf, "world", 5);
			pair_fini(&p);
		}
}

Test(handshake, takes_no_byte_behind_the_last_record)
{
	struct pair p;

	setup(&p, &(struct good){.what = "behind"});
	end_handshake(&p.client);
	wire_put(&p.to_server, "\x17\x03\x03\x00", 4);
	cr_assert_eq(end_handshake(&p.server), PST_AGAIN);
	/* The header of the next record may be taken, the ClientHello must be. */
	cr_assert_leq(wire_len(&p.to_server), 4);
	cr_assert_gt(wire_len(&p.to_client), 0);
	pair_fini(&p);
}

Test(handshake, before_it_is_done_nothing_else_works_and_nothing_is_known)
{
	struct pair p;
	struct pst_tls_info i;
	char buf[8];
	size_t n;

	setup(&p, &(struct good){.what = "early"});
	cr_assert_eq(end_read(&p.server, buf, sizeof(buf), &n), PST_INVAL);
	cr_assert_eq(end_write(&p.client, "x", 1), PST_INVAL);
	cr_assert_eq(end_shutdown(&p.client), PST_OK);
	cr_assert_eq(wire_len(&p.to_server), 0);
	end_handshake(&p.client);
	pst_tls_info(p.client.tls, &i);
	cr_expect_str_eq(i.version, "none");
	cr_expect_str_eq(i.cipher, "none");
	cr_expect_str_eq(i.cipher_iana, "none");
	cr_expect_str_eq(i.group, "none");
	cr_expect_str_eq(i.verify, "none");
	cr_expect_not(pst_tls_pending(p.client.tls));
	cr_expect_str_eq(pst_tls_error(p.client.tls), "no error");
	pair_fini(&p);
}

Test(handshake, a_second_call_after_the_end_changes_nothing)
{
	struct pair p;

	setup(&p, &(struct good){.what = "again"});
	cr_assert(pair_handshake(&p));
	cr_assert_eq(end_handshake(&p.client), PST_OK);
	cr_assert_eq(end_handshake(&p.server), PST_OK);
	cr_assert_eq(wire_len(&p.to_client) + wire_len(&p.to_server), 0);
	pair_fini(&p);
}

Test(handshake, without_a_common_version_both_sides_name_the_alert)
{
	struct pair p;

	pair_init(&p);
	p.cconf.max_version = PST_TLS_1_2;
	p.sconf.min_version = PST_TLS_1_3;
	pair_contexts(&p);
	pair_sessions(&p);
	cr_assert_not(pair_handshake(&p));
	end_handshake(&p.client);
	cr_assert_eq(p.server.rc, PST_PEER);
	cr_assert_eq(p.client.rc, PST_PEER);
	cr_expect_str_eq(
		pst_tls_error(p.server.tls), "unsupported protocol (sent alert: protocol version)");
	cr_expect_str_eq(
		pst_tls_error(p.client.tls), "the peer refused (received alert: protocol version)");
	pair_fini(&p);
}

Test(handshake, a_session_in_any_state_can_be_freed)
{
	for (unsigned stop = 0; stop < 8; stop++)
		for (unsigned v = PST_TLS_1_2; v <= PST_TLS_1_3; v++) {
			struct good g = {.what = "free", .version = (uint16_t)v};
			struct pair p;

			setup(&p, &g);
			for (unsigned i = 0; i < stop; i++)
				i % 2 == 0 ? end_handshake(&p.client) : end_handshake(&p.server);
			pair_fini(&p);
		}
}
