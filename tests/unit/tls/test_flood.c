/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * T9: floods of records and messages that cost us and bring no mail. Each ends the session with
 * its cause, inside a bounded amount of work, and with an alert where there is place for one;
 * what real peers do, does not.
 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include "forge.h"
#include "tls_int.h"

#define APPDATA   23
#define HANDSHAKE 22
#define ALERT     21

static const uint16_t versions[] = {PST_TLS_1_2, PST_TLS_1_3};

static const char *
cause(const struct end *e)
{
	return pst_tls_flood_names[pst_tls_flood(e->tls)];
}

/* Reads until it must wait or has failed; octets of data. */
static size_t
drain(struct end *e)
{
	char buf[16384];
	size_t n, total = 0;

	while (end_read(e, buf, sizeof(buf), &n) == PST_OK)
		total += n;
	return total;
}

/* The server has ended it, says why, and the client hears of it. */
static void
ended(struct pair *p, const char *why)
{
	cr_expect_eq(p->server.rc, PST_PEER, "%s: %d", why, p->server.rc);
	cr_expect_str_eq(cause(&p->server), why, "%s: %s", why, pst_tls_error(p->server.tls));
	drain(&p->client);
	cr_expect_eq(p->client.rc, PST_PEER);
	cr_expect(strstr(pst_tls_error(p->client.tls), "received alert") != NULL, "%s: %s", why,
		pst_tls_error(p->client.tls));
}

/* Does the session still carry data? */
static bool
alive(struct forge *f)
{
	forge_record(f, APPDATA, "QUIT\r\n", 6);
	return drain(&f->p->server) == 6;
}

Test(flood, empty_records_end_the_session_inside_one_call)
{
	for (unsigned v = 0; v < PST_COUNT(versions); v++) {
		struct forge f;
		struct pair p;
		char buf[8];
		size_t n, left;

		pair_init(&p);
		forge_begin(&f, &p, versions[v]);
		for (unsigned i = 0; i < 30; i++)
			forge_record(&f, APPDATA, "", 0);
		cr_expect(alive(&f), "a few are no flood");
		for (unsigned i = 0; i < 5000; i++)
			forge_record(&f, APPDATA, "", 0);
		left = wire_len(&p.to_server);
		cr_expect_eq(end_read(&p.server, buf, sizeof(buf), &n), PST_PEER);
		/* A read does not go on for as long as there is input. */
		cr_expect_lt(left - wire_len(&p.to_server), 65 * 40, "%zu octets in one call",
			left - wire_len(&p.to_server));
		ended(&p, "idle");
		forge_end(&f);
		pair_fini(&p);
	}
}

/* 31 empty ones, then an octet: never more in a row than OpenSSL bears. */
Test(flood, empty_records_between_octets_run_out_of_credit)
{
	for (unsigned v = 0; v < PST_COUNT(versions); v++) {
		struct forge f;
		struct pair p;
		unsigned n = 0;

		pair_init(&p);
		forge_begin(&f, &p, versions[v]);
		do {
			for (unsigned i = 0; i < 31; i++)
				forge_record(&f, APPDATA, "", 0);
			forge_record(&f, APPDATA, "x", 1);
			drain(&p.server);
		} while (p.server.rc == PST_AGAIN && ++n < 1000);
		cr_expect(n > 100 && n < 150, "%u rounds", n);
		ended(&p, "records");
		forge_end(&f);
		pair_fini(&p);
	}
}

Test(flood, an_octet_a_record_is_borne_for_a_while_only)
{
	for (unsigned v = 0; v < PST_COUNT(versions); v++) {
		struct forge f;
		struct pair p;
		size_t octets = 0;

		pair_init(&p);
		forge_begin(&f, &p, versions[v]);
		do {
			forge_record(&f, APPDATA, "x", 1);
			octets += drain(&p.server);
		} while (p.server.rc == PST_AGAIN && octets < 10000);
		cr_expect(octets > 4096 && octets < 5000, "%zu", octets);
		ended(&p, "records");
		forge_end(&f);
		pair_fini(&p);
	}
}

/* Lines that are flushed each by itself, short ones too: a whole day of them. */
Test(flood, small_records_with_a_line_each_go_on_for_ever)
{
	for (unsigned v = 0; v < PST_COUNT(versions); v++) {
		struct forge f;
		struct pair p;
		size_t octets = 0;

		pair_init(&p);
		forge_begin(&f, &p, versions[v]);
		for (unsigned i = 0; i < 20000; i++) {
			/* As a 1/n-1 split does: an octet by itself in front. */
			forge_record(&f, APPDATA, "R", 1);
			forge_record(&f, APPDATA, "CPT TO:<a@b.c>\r\n", 16);
			if (i % 100 == 99)
				octets += drain(&p.server);
		}
		cr_expect_eq(p.server.rc, PST_AGAIN, "%s", pst_tls_error(p.server.tls));
		cr_expect_eq(octets, 20000 * 17);
		forge_end(&f);
		pair_fini(&p);
	}
}

/* Credit is earned up to a bound: a bulk of mail does not pay for a flood of any length. */
Test(flood, a_bulk_of_data_does_not_pay_for_any_flood)
{
	static uint8_t block[16384];
	struct forge f;
	struct pair p;
	size_t octets = 0;

	pair_init(&p);
	forge_begin(&f, &p, PST_TLS_1_3);
	for (unsigned i = 0; i < 200; i++) {
		forge_record(&f, APPDATA, block, sizeof(block));
		cr_assert_eq(drain(&p.server), sizeof(block));
	}
	do {
		forge_record(&f, APPDATA, "x", 1);
		octets += drain(&p.server);
	} while (p.server.rc == PST_AGAIN && octets < 10000);
	cr_expect_lt(octets, 5000, "%zu", octets);
	ended(&p, "records");
	forge_end(&f);
	pair_fini(&p);
}

Test(flood, attempts_to_renegotiate_are_answered_three_times)
{
	uint8_t hello[4 + 40] = {1, 0, 0, 40, 3, 3};
	struct forge f;
	struct pair p;
	unsigned n;

	pair_init(&p);
	forge_begin(&f, &p, PST_TLS_1_2);
	for (n = 0; n < 100; n++) {
		size_t before = wire_len(&p.to_client);

		forge_record(&f, HANDSHAKE, hello, sizeof(hello));
		cr_expect_eq(drain(&p.server), 0);
		if (p.server.rc != PST_AGAIN)
			break;
		cr_expect_gt(wire_len(&p.to_client), before, "%u: no warning", n);
		cr_expect(alive(&f), "%s", pst_tls_error(p.server.tls));
	}
	cr_expect_eq(n, 3);
	cr_expect_eq(p.server.rc, PST_PEER);
	cr_expect_str_eq(cause(&p.server), "renegotiation");
	/* OpenSSL's client takes no_renegotiation for the end: our alert is behind that. */
	cr_expect(strstr(pst_tls_error(p.server.tls), "sent alert: record overflow") != NULL, "%s",
		pst_tls_error(p.server.tls));
	forge_end(&f);
	pair_fini(&p);
}

Test(flood, warning_alerts_are_counted_in_a_row_and_in_all)
{
	for (unsigned between = 0; between < 2; between++) {
		struct forge f;
		struct pair p;
		unsigned n;

		pair_init(&p);
		forge_begin(&f, &p, PST_TLS_1_2);
		for (n = 0; n < 100; n++) {
			forge_record(&f, ALERT, "\1\x5a", 2); /* user_canceled */
			drain(&p.server);
			if (p.server.rc != PST_AGAIN || (between && !alive(&f)))
				break;
		}
		cr_expect_eq(n, between ? 16 : 4, "%u", n);
		ended(&p, "alerts");
		forge_end(&f);
		pair_fini(&p);
	}
}

/* In TLS 1.3 a record of this kind means nothing and is never encrypted. */
Test(flood, change_cipher_spec_of_tls_1_3_ends_the_session_before_and_behind_the_handshake)
{
	for (unsigned done = 0; done < 2; done++) {
		struct forge f;
		struct pair p;
		size_t n;
		char buf[8];

		pair_init(&p);
		forge_begin(&f, &p, PST_TLS_1_3);
		if (!done) {
			pair_sessions(&p);
			end_handshake(&p.client);
			end_handshake(&p.server); /* the rest of the client's flight is to come */
		}
		for (unsigned i = 0; i < 1000; i++)
			wire_put(&p.to_server, "\x14\x03\x03\x00\x01\x01", 6);
		if (done)
			end_read(&p.server, buf, sizeof(buf), &n);
		else
			end_handshake(&p.server);
		cr_expect_eq(p.server.rc, PST_PEER);
		cr_expect_geq(wire_len(&p.to_server), 6 * 700);
		cr_expect(strstr(pst_tls_error(p.server.tls), "sent alert") != NULL, "%u: %s", done,
			pst_tls_error(p.server.tls));
		forge_end(&f);
		pair_fini(&p);
	}
}

/* A KeyUpdate by OpenSSL itself, which knows how the keys go on. */
static void
key_update(struct pair *p)
{
	struct pst_tls_io io = {.out = malloc(4096), .out_cap = 4096};

	SSL_key_update(p->client.tls->ssl, SSL_KEY_UPDATE_NOT_REQUESTED);
	p->client.tls->io = &io;
	SSL_do_handshake(p->client.tls->ssl);
	p->client.tls->io = NULL;
	wire_put(&p->to_server, io.out, io.out_len);
	free(io.out);
}

Test(flood, key_updates_with_data_between_are_32_and_one_more_a_mebibyte)
{
	static uint8_t block[16384];
	struct pair p;
	unsigned n;

	pair_init(&p);
	p.sconf.max_version = PST_TLS_1_3;
	pair_contexts(&p);
	pair_sessions(&p);
	cr_assert(pair_handshake(&p));
	for (n = 0; n < 200; n++) {
		/* Every one of the first 20 comes with a mebibyte and more. */
		for (unsigned i = 0; i < (n < 20 ? 65 : 1); i++) {
			end_write(&p.client, block, sizeof(block));
			drain(&p.server);
		}
		key_update(&p);
		drain(&p.server);
		if (p.server.rc != PST_AGAIN)
			break;
	}
	/* The first does not count above the allowance, which was full. */
	cr_expect(n >= 20 + 31 && n <= 20 + 33, "%u", n);
	ended(&p, "key_update");
	pair_fini(&p);
}

Test(flood, tickets_without_end_end_a_connection_of_ours)
{
	struct pair p;
	unsigned n;

	pair_init(&p);
	p.sconf.max_version = PST_TLS_1_3;
	p.sconf.tickets = 2;
	pair_contexts(&p);
	pair_sessions(&p);
	cr_assert(pair_handshake(&p));
	for (n = 0; n < 200; n++) {
		struct pst_tls_io io = {.out = malloc(8192), .out_cap = 8192};

		SSL_new_session_ticket(p.server.tls->ssl);
		p.server.tls->io = &io;
		SSL_do_handshake(p.server.tls->ssl);
		p.server.tls->io = NULL;
		wire_put(&p.to_client, io.out, io.out_len);
		free(io.out);
		if (drain(&p.client) != 0 || p.client.rc != PST_AGAIN)
			break;
	}
	cr_expect(n > 60 && n < 70, "%u", n);
	cr_expect_eq(p.client.rc, PST_PEER);
	cr_expect_str_eq(cause(&p.client), "idle");
	pair_fini(&p);
}

/* ---- the handshake ---- */

/* What the client has on the wire, in records of `size` octets. */
static void
refragment(struct wire *w, size_t size)
{
	uint8_t *all = malloc(wire_len(w)), *body = malloc(wire_len(w));
	size_t n = wire_len(w), len = 0;

	memcpy(all, w->p + w->head, n);
	for (size_t at = 0; at < n;) {
		size_t part = (size_t)all[at + 3] << 8 | all[at + 4];

		cr_assert_eq(all[at], HANDSHAKE);
		memcpy(body + len, all + at + 5, part);
		len += part;
		at += 5 + part;
	}
	wire_clear(w);
	for (size_t at = 0; at < len; at += size) {
		size_t part = PST_MIN(size, len - at);
		uint8_t header[5] = {HANDSHAKE, 3, 1, (uint8_t)(part >> 8), (uint8_t)part};

		wire_put(w, header, 5);
		wire_put(w, body + at, part);
	}
	free(all);
	free(body);
}

Test(flood, a_hello_in_pieces_is_taken_and_in_crumbs_is_not)
{
	static const size_t sizes[] = {1, 2, 16, 64, 200};

	for (unsigned v = 0; v < PST_COUNT(versions); v++)
		for (unsigned i = 0; i < PST_COUNT(sizes); i++) {
			/* A hello has more than 300 octets here. */
			char name[64 * 3 + 12] = "";
			struct pair p;
			bool fine;

			for (unsigned k = 0; k < 3; k++)
				strcat(strcat(name, "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrst"
						    "uvwxyz"),
					".");
			strcat(name, "example");
			pair_init(&p);
			p.cconf.verify = PST_TLS_VERIFY_OFF;
			p.sconf.max_version = versions[v];
			p.name = name;
			pair_contexts(&p);
			pair_sessions(&p);
			end_handshake(&p.client);
			refragment(&p.to_server, sizes[i]);
			fine = pair_handshake(&p);
			cr_expect_eq(fine, sizes[i] > 1, "%zu: %s", sizes[i],
				pst_tls_error(p.server.tls));
			if (!fine) {
				cr_expect_str_eq(cause(&p.server), "handshake");
				cr_expect(strstr(pst_tls_error(p.client.tls), "received alert"),
					"%s", pst_tls_error(p.client.tls));
			}
			pair_fini(&p);
		}
}

static int
put_big(SSL *ssl, unsigned type, unsigned context, const unsigned char **out, size_t *n, X509 *x,
	size_t chain, int *alert, void *arg)
{
	static unsigned char big[60000];

	*out = big;
	*n = *(const size_t *)arg;
	return 1;
}

/* As key shares of post-quantum groups make it: over several segments, and records. */
Test(flood, a_long_hello_is_taken_and_one_over_32_kib_is_not)
{
	static const size_t sizes[] = {1500, 6000, 20000, 31000, 33000, 50000};

	for (unsigned v = 0; v < PST_COUNT(versions); v++)
		for (unsigned i = 0; i < PST_COUNT(sizes); i++)
			for (unsigned step = 0; step < 2; step++) {
				size_t n = sizes[i];
				struct pair p;
				bool fine;

				pair_init(&p);
				p.sconf.max_version = versions[v];
				pair_contexts(&p);
				SSL_CTX_add_custom_ext(p.cctx->ssl, 0xff77, SSL_EXT_CLIENT_HELLO,
					put_big, NULL, &n, NULL, NULL);
				pair_sessions(&p);
				p.server.in_step = step * 1460;
				fine = pair_handshake(&p);
				cr_expect_eq(
					fine, n < 32000, "%zu: %s", n, pst_tls_error(p.server.tls));
				if (!fine) {
					cr_expect_str_eq(cause(&p.server), "hello");
					cr_expect(strstr(pst_tls_error(p.client.tls), "record ov"),
						"%s", pst_tls_error(p.client.tls));
				}
				pair_fini(&p);
			}
}

/* A server that greets us for ever: TLS 1.2 says that HelloRequests are to be ignored. */
Test(flood, hello_requests_in_the_handshake_end_it)
{
	struct pair p;

	pair_init(&p);
	pair_contexts(&p);
	pair_sessions(&p);
	end_handshake(&p.client);
	for (unsigned i = 0; i < 1000; i++)
		wire_put(&p.to_client, "\x16\x03\x03\x00\x04\x00\x00\x00\x00", 9);
	cr_expect_eq(end_handshake(&p.client), PST_PEER);
	cr_expect_geq(wire_len(&p.to_client), 9 * 900);
	cr_expect_str_eq(cause(&p.client), "handshake");
	pair_fini(&p);
}

/* A flood seen in the middle of a record has no place for an alert; the session ends anyway. */
Test(flood, half_a_record_does_not_keep_a_spent_session)
{
	struct forge f;
	struct pair p;
	char buf[8];
	size_t n;

	pair_init(&p);
	forge_begin(&f, &p, PST_TLS_1_3);
	p.server.tls->budget.credit = 0;
	forge_record(&f, APPDATA, "0123456789", 10);
	p.server.in_step = 12;
	cr_expect_eq(end_read(&p.server, buf, sizeof(buf), &n), PST_PEER);
	cr_expect_str_eq(cause(&p.server), "records");
	cr_expect_str_eq(pst_tls_error(p.server.tls), "too little data in too many records");
	cr_expect_eq(end_read(&p.server, buf, sizeof(buf), &n), PST_PEER);
	forge_end(&f);
	pair_fini(&p);
}
