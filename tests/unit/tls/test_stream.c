/* SPDX-License-Identifier: BSD-3-Clause */
/* Data after the handshake: writes, reads, closing, and messages that are not data. */
#include <criterion/criterion.h>
#include <openssl/async.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include "pair.h"
#include "tls_int.h"

static void
up(struct pair *p, uint16_t version)
{
	pair_init(p);
	p->sconf.max_version = version;
	pair_contexts(p);
	pair_sessions(p);
	cr_assert(pair_handshake(p));
}

static const size_t sizes[] = {
	0, 1, 2, 100, 1400, 16383, 16384, 16385, 20000, 32767, PST_TLS_WRITE_MAX};

Test(stream, writes_of_every_size_arrive_whole_in_as_few_records_as_possible)
{
	static uint8_t sent[PST_TLS_WRITE_MAX], got[PST_TLS_WRITE_MAX];

	for (size_t i = 0; i < sizeof(sent); i++)
		sent[i] = (uint8_t)(i * 31 + i / 256);
	for (unsigned v = PST_TLS_1_2; v <= PST_TLS_1_3; v++) {
		struct pair p;

		up(&p, (uint16_t)v);
		for (unsigned i = 0; i < PST_COUNT(sizes); i++) {
			size_t records = (sizes[i] + 16383) / 16384;

			cr_assert_eq(end_write(&p.client, sent, sizes[i]), PST_OK);
			cr_expect_leq(wire_len(&p.to_server), sizes[i] + records * 64);
			cr_assert_eq(end_drain(&p.server, got, sizeof(got)), sizes[i]);
			cr_assert_eq(memcmp(sent, got, sizes[i]), 0);
			cr_assert_eq(p.server.rc, PST_AGAIN);
		}
		pair_fini(&p);
	}
}

Test(stream, a_write_without_room_takes_nothing_and_sends_nothing)
{
	static uint8_t data[PST_TLS_WRITE_MAX];
	static const size_t caps[] = {0, 1, 100, 20000, 32768, 32768 + 1024};
	struct pair p;
	uint8_t buf[16];

	up(&p, 0);
	for (unsigned i = 0; i < PST_COUNT(caps); i++) {
		struct pst_tls_io io = {.out = malloc(caps[i] + 1), .out_cap = caps[i]};

		cr_expect_eq(pst_tls_write(p.client.tls, &io, data, sizeof(data)), PST_AGAIN);
		cr_expect_eq(io.out_len, 0);
		free(io.out);
	}
	/* Nothing is half done: other bytes may follow. */
	cr_assert_eq(end_write(&p.client, "other", 5), PST_OK);
	cr_assert_eq(end_drain(&p.server, buf, sizeof(buf)), 5);
	cr_assert_arr_eq(buf, "other", 5);
	cr_expect_eq(end_write(&p.client, data, PST_TLS_WRITE_MAX + 1), PST_INVAL);
	pair_fini(&p);
}

/* Copies, so that a sanitizer sees every read beyond a run. */
static unsigned
cut_runs(const struct wire *w, size_t step, struct pst_span *runs)
{
	unsigned n = 0;

	for (size_t at = 0; at < wire_len(w); at += step, n++) {
		size_t len = PST_MIN(step, wire_len(w) - at);
		uint8_t *copy = malloc(len);

		memcpy(copy, w->p + w->head + at, len);
		runs[n] = pst_span(copy, len);
	}
	return n;
}

Test(stream, a_record_in_many_runs_comes_out_of_one_read)
{
	static const size_t steps[] = {1448, 3, 5, 4096, 20000};
	static uint8_t sent[16384], got[16384];
	static struct pst_span runs[6000];
	uint8_t out[PST_TLS_OUT_MIN];
	struct pair p;
	size_t n;

	for (size_t i = 0; i < sizeof(sent); i++)
		sent[i] = (uint8_t)(i * 7 + i / 256);
	up(&p, 0);
	for (unsigned i = 0; i < 2 * PST_COUNT(steps); i++) {
		struct pst_tls_io io = {.more = runs, .out = out, .out_cap = sizeof(out)};

		cr_assert_eq(end_write(&p.client, sent, sizeof(sent)), PST_OK);
		io.nmore = cut_runs(&p.to_server, steps[i / 2], runs);
		if (i & 1) { /* the first of them as `in` */
			io.in = runs[0].p;
			io.in_len = runs[0].n;
			io.more++;
			io.nmore--;
		}
		cr_assert_eq(pst_tls_read(p.server.tls, &io, got, sizeof(got), &n), PST_OK);
		cr_expect_eq(n, sizeof(sent));
		cr_expect_arr_eq(got, sent, sizeof(sent));
		cr_expect_eq(io.in_used, wire_len(&p.to_server));
		cr_expect_eq(pst_tls_read(p.server.tls, &io, got, sizeof(got), &n), PST_AGAIN);
		for (unsigned k = 0; k < io.nmore + (i & 1); k++)
			free((void *)(uintptr_t)runs[k].p);
		wire_clear(&p.to_server);
	}
	pair_fini(&p);
}

Test(stream, a_small_read_leaves_the_rest_pending)
{
	struct pair p;
	char buf[8];
	size_t n;

	up(&p, 0);
	end_write(&p.client, "0123456789", 10);
	cr_assert_eq(end_read(&p.server, buf, 4, &n), PST_OK);
	cr_expect_eq(n, 4);
	cr_expect(pst_tls_pending(p.server.tls));
	cr_expect_eq(wire_len(&p.to_server), 0);
	cr_assert_eq(end_read(&p.server, buf, 8, &n), PST_OK);
	cr_expect_eq(n, 6);
	cr_expect_not(pst_tls_pending(p.server.tls));
	cr_assert_eq(end_read(&p.server, buf, 8, &n), PST_AGAIN);
	cr_expect_eq(n, 0);
	pair_fini(&p);
}

/* "PST_AGAIN" with input left would make a caller wait for bytes that it already has. */
Test(stream, a_ticket_and_the_data_behind_it_come_out_of_one_read)
{
	struct pair p;
	char buf[8];
	size_t n;

	pair_init(&p);
	p.sconf.tickets = 2;
	pair_contexts(&p);
	pair_sessions(&p);
	cr_assert(pair_handshake(&p));
	end_write(&p.server, "220 ", 4);
	cr_assert_eq(end_read(&p.client, buf, sizeof(buf), &n), PST_OK);
	cr_expect_eq(n, 4);
	cr_assert_eq(end_read(&p.client, buf, sizeof(buf), &n), PST_AGAIN);
	cr_expect_eq(wire_len(&p.to_client), 0);
	SSL_key_update(p.client.tls->ssl, SSL_KEY_UPDATE_NOT_REQUESTED);
	end_write(&p.client, "EHLO", 4);
	cr_assert_eq(end_read(&p.server, buf, sizeof(buf), &n), PST_OK);
	cr_expect_eq(n, 4);
	pair_fini(&p);
}

Test(stream, half_a_record_is_not_pending)
{
	struct pair p;
	char buf[8];
	size_t n;

	up(&p, 0);
	end_write(&p.client, "0123456789", 10);
	p.server.in_step = 12;
	cr_expect_eq(end_read(&p.server, buf, 8, &n), PST_AGAIN);
	cr_expect_not(pst_tls_pending(p.server.tls));
	pair_fini(&p);
}

Test(stream, close_notify_is_told_from_a_cut_and_leaves_the_other_way_open)
{
	for (unsigned v = PST_TLS_1_2; v <= PST_TLS_1_3; v++) {
		struct pair p;
		char buf[8];
		size_t n;

		up(&p, (uint16_t)v);
		end_write(&p.client, "bye", 3);
		cr_assert_eq(end_shutdown(&p.client), PST_OK);
		size_t sent = wire_len(&p.to_server);
		cr_assert_eq(end_shutdown(&p.client), PST_OK);
		cr_expect_eq(wire_len(&p.to_server), sent, "close_notify goes out once");
		cr_expect_eq(end_write(&p.client, "x", 1), PST_INVAL);

		cr_assert_eq(end_read(&p.server, buf, 8, &n), PST_OK);
		cr_assert_eq(n, 3);
		cr_assert_eq(end_read(&p.server, buf, 8, &n), PST_EOF);
		cr_assert_eq(end_read(&p.server, buf, 8, &n), PST_EOF);
		cr_assert_eq(end_write(&p.server, "more", 4), PST_OK);
		cr_assert_eq(end_shutdown(&p.server), PST_OK);
		cr_assert_eq(end_read(&p.client, buf, 8, &n), PST_OK);
		cr_assert_eq(n, 4);
		cr_assert_eq(end_read(&p.client, buf, 8, &n), PST_EOF);
		pair_fini(&p);
	}
}

Test(stream, key_updates_are_answered_and_data_goes_on)
{
	struct pair p;
	char buf[8];

	up(&p, PST_TLS_1_3);
	for (unsigned i = 0; i < 10; i++) {
		cr_assert_eq(SSL_key_update(p.client.tls->ssl, SSL_KEY_UPDATE_REQUESTED), 1);
		cr_assert_eq(end_write(&p.client, "up", 2), PST_OK);
		cr_assert_eq(end_drain(&p.server, buf, sizeof(buf)), 2);
		cr_assert_eq(end_write(&p.server, "down", 4), PST_OK);
		cr_assert_eq(end_drain(&p.client, buf, sizeof(buf)), 4);
	}
	pair_fini(&p);
}

/* T9: messages that cost us work and bring no data end the connection. */
Test(stream, a_flood_of_key_updates_ends_the_connection)
{
	struct pair p;
	char buf[8];
	unsigned i;
	size_t n;

	up(&p, PST_TLS_1_3);
	for (i = 0; i < 1000; i++) {
		struct pst_tls_io io = {.out = malloc(4096), .out_cap = 4096};

		SSL_key_update(p.client.tls->ssl, SSL_KEY_UPDATE_NOT_REQUESTED);
		p.client.tls->io = &io;
		SSL_do_handshake(p.client.tls->ssl);
		p.client.tls->io = NULL;
		wire_put(&p.to_server, io.out, io.out_len);
		free(io.out);
		if (end_read(&p.server, buf, sizeof(buf), &n) != PST_AGAIN)
			break;
	}
	cr_expect_eq(p.server.rc, PST_PEER);
	cr_expect_lt(i, 200, "%u", i);
	cr_expect_str_eq(
		pst_tls_error(p.server.tls), "too many key updates (sent alert: record overflow)");
	pair_fini(&p);
}

Test(stream, a_client_renegotiation_is_answered_with_an_alert_not_with_a_handshake)
{
	struct pair p;
	char buf[8];
	size_t n;
	struct pst_tls_io io;

	pair_init(&p);
	p.cconf.max_version = PST_TLS_1_2;
	pair_contexts(&p);
	SSL_CTX_clear_options(p.cctx->ssl, SSL_OP_NO_RENEGOTIATION);
	pair_sessions(&p);
	cr_assert(pair_handshake(&p));
	for (unsigned i = 0; i < 20; i++) {
		io = (struct pst_tls_io){.out = malloc(8192), .out_cap = 8192};
		SSL_renegotiate(p.client.tls->ssl);
		p.client.tls->io = &io;
		SSL_do_handshake(p.client.tls->ssl);
		p.client.tls->io = NULL;
		wire_put(&p.to_server, io.out, io.out_len);
		free(io.out);
		if (end_read(&p.server, buf, sizeof(buf), &n) == PST_PEER)
			break;
	}
	cr_expect_lt(wire_len(&p.to_client), 1000);
	pair_fini(&p);
}

Test(stream, after_a_failure_every_call_says_so_and_sends_nothing)
{
	struct pair p;
	char buf[8];
	size_t n, sent;

	up(&p, 0);
	wire_put(&p.to_server,
		"\x17\x03\x03\x00\x20"
		"not what was encrypted..........",
		37);
	cr_assert_eq(end_read(&p.server, buf, sizeof(buf), &n), PST_PEER);
	cr_expect_gt(wire_len(&p.to_client), 0, "the alert");
	/* OpenSSL 3.2 and later add a second reason to the first. */
	cr_expect_not_null(
		strstr(pst_tls_error(p.server.tls), "decryption failed or bad record mac"));
	cr_expect_not_null(strstr(pst_tls_error(p.server.tls), "(sent alert: bad record mac)"));
	sent = wire_len(&p.to_client);
	cr_expect_eq(end_read(&p.server, buf, sizeof(buf), &n), PST_PEER);
	cr_expect_eq(end_write(&p.server, "x", 1), PST_PEER);
	cr_expect_eq(end_handshake(&p.server), PST_PEER);
	cr_expect_eq(end_shutdown(&p.server), PST_OK);
	cr_expect_not(pst_tls_pending(p.server.tls));
	cr_expect_eq(wire_len(&p.to_client), sent);
	cr_expect_eq(end_read(&p.client, buf, sizeof(buf), &n), PST_PEER);
	cr_expect_str_eq(
		pst_tls_error(p.client.tls), "the peer refused (received alert: bad record mac)");
	pair_fini(&p);
}

/* What a crypto operation will do: pause the handshake in the middle of a call. */
static void
pause_once(int write_p, int version, int type, const void *buf, size_t len, SSL *ssl, void *arg)
{
	unsigned *pauses = arg;

	if (type == SSL3_RT_HANDSHAKE && ASYNC_get_current_job() != NULL && *pauses > 0) {
		(*pauses)--;
		ASYNC_pause_job();
	}
}

Test(stream, a_paused_operation_is_reported_and_resumed)
{
	struct pair p;
	unsigned pauses = 3, seen = 0;
	enum pst_rc rc;

	pair_init(&p);
	pair_contexts(&p);
	pair_sessions(&p);
	SSL_set_mode(p.server.tls->ssl, SSL_MODE_ASYNC);
	SSL_set_msg_callback(p.server.tls->ssl, pause_once);
	SSL_set_msg_callback_arg(p.server.tls->ssl, &pauses);
	end_handshake(&p.client);
	while ((rc = end_handshake(&p.server)) == PST_WANT_ASYNC)
		seen++;
	cr_expect_eq(seen, 3);
	cr_expect_eq(rc, PST_AGAIN);
	cr_assert(pair_handshake(&p));
	cr_expect_eq(SSL_get_mode(p.server.tls->ssl) & SSL_MODE_ASYNC, 0);
	pair_fini(&p);
	ASYNC_cleanup_thread();
}

Test(stream, a_paused_session_can_be_freed)
{
	struct pair p;
	unsigned pauses = 3;

	pair_init(&p);
	pair_contexts(&p);
	pair_sessions(&p);
	SSL_set_mode(p.server.tls->ssl, SSL_MODE_ASYNC);
	SSL_set_msg_callback(p.server.tls->ssl, pause_once);
	SSL_set_msg_callback_arg(p.server.tls->ssl, &pauses);
	end_handshake(&p.client);
	cr_assert_eq(end_handshake(&p.server), PST_WANT_ASYNC);
	pair_fini(&p);
	cr_expect_eq(pauses, 0, "the job was resumed until it ended");
	ASYNC_cleanup_thread();
}
