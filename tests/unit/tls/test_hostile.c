/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Bytes from peers that mean harm: garbage, damaged and truncated records,
 * sizes beyond the limits. Whatever comes, a call returns, what it returns is a
 * result of the contract, and nothing is left in the error queue. Seeds are
 * fixed: each run sees the same bytes.
 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include "pair.h"
#include "tls_int.h"

static uint64_t
next(uint64_t *s)
{
	*s ^= *s << 13;
	*s ^= *s >> 7;
	*s ^= *s << 17;
	return *s;
}

static bool
sane(enum pst_rc rc)
{
	return rc == PST_OK || rc == PST_AGAIN || rc == PST_EOF || rc == PST_PEER;
}

/* Offers what is on the wire until it is used up or the session has failed. */
static void
feed(struct end *e)
{
	char buf[256];
	size_t n;

	for (unsigned i = 0; i < 10000; i++) {
		enum pst_rc rc =
			e->tls->done ? end_read(e, buf, sizeof(buf), &n) : end_handshake(e);

		cr_assert(sane(rc), "%d", rc);
		if (rc == PST_PEER || rc == PST_EOF || (rc == PST_AGAIN && e->moved == 0))
			return;
	}
	cr_assert_fail("a call that neither ends nor consumes");
}

struct bytes {
	const char *what;
	const char *p;
	size_t n;
	const char *alert; /* that goes back; NULL: any or none */
};

#define B(s) s, sizeof(s) - 1

static const struct bytes garbage[] = {
	{"SMTP in clear", B("EHLO mail.example.com\r\n"), NULL},
	{"HTTP", B("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), NULL},
	{"zeros", B("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"), NULL},
	{"0xff", B("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), NULL},
	{"record over 16 KiB", B("\x16\x03\x01\xff\xff\x01\x00\x00"), "record overflow"},
	{"empty handshake record", B("\x16\x03\x01\x00\x00"), NULL},
	{"SSLv2 hello", B("\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10\x01\x00\x80"), NULL},
	{"application data first", B("\x17\x03\x03\x00\x05hello"), "unexpected message"},
	{"CCS first", B("\x14\x03\x03\x00\x01\x01"), NULL},
	{"alert first", B("\x15\x03\x03\x00\x02\x02\x28"), NULL},
	{"warning alerts",
		B("\x15\x03\x03\x00\x02\x01\x5a\x15\x03\x03\x00\x02\x01\x5a"
		  "\x15\x03\x03\x00\x02\x01\x5a\x15\x03\x03\x00\x02\x01\x5a"
		  "\x15\x03\x03\x00\x02\x01\x5a\x15\x03\x03\x00\x02\x01\x5a"),
		NULL},
	{"hello of 16 MiB", B("\x16\x03\x01\x00\x05\x01\xff\xff\xff\x03"), "illegal parameter"},
	{"a server's hello", B("\x16\x03\x03\x00\x04\x02\x00\x00\x00"), "unexpected message"},
	{"a hello of nothing", B("\x16\x03\x03\x00\x04\x01\x00\x00\x00"), "decode error"},
};

Test(hostile, garbage_as_the_first_bytes_is_refused_by_both_sides)
{
	struct pair p;

	pair_init(&p);
	pair_contexts(&p);
	for (unsigned i = 0; i < PST_COUNT(garbage); i++)
		for (unsigned step = 0; step < 2; step++) {
			pair_sessions(&p);
			p.server.in_step = p.client.in_step = step;
			wire_put(&p.to_server, garbage[i].p, garbage[i].n);
			feed(&p.server);
			cr_expect_not(p.server.tls->done);
			if (garbage[i].alert != NULL)
				cr_expect(strstr(pst_tls_error(p.server.tls), garbage[i].alert) !=
						  NULL,
					"%s: %s", garbage[i].what, pst_tls_error(p.server.tls));
			pair_sessions(&p);
			end_handshake(&p.client);
			wire_put(&p.to_client, garbage[i].p, garbage[i].n);
			feed(&p.client);
			cr_expect_not(p.client.tls->done);
		}
	pair_fini(&p);
}

Test(hostile, random_bytes_never_do_harm)
{
	struct pair p;
	uint64_t seed = 0x5eed5eed5eed;
	uint8_t buf[600];

	pair_init(&p);
	pair_contexts(&p);
	for (unsigned i = 0; i < 3000; i++) {
		size_t n = next(&seed) % sizeof(buf);
		struct end *e = i % 2 == 0 ? &p.server : &p.client;

		for (size_t k = 0; k < n; k++)
			buf[k] = (uint8_t)next(&seed);
		if (i % 3 != 0 && n >= 9) { /* a header that opens the door */
			size_t body = i % 3 == 1 ? n - 5 : next(&seed) % 20000;

			memcpy(buf, "\x16\x03\x03", 3);
			buf[3] = (uint8_t)(body >> 8);
			buf[4] = (uint8_t)body;
			buf[5] = i % 2 == 0 ? 1 : 2;
			buf[6] = 0;
			buf[7] = (uint8_t)((body - 4) >> 8);
			buf[8] = (uint8_t)(body - 4);
		}
		pair_sessions(&p);
		if (e == &p.client)
			end_handshake(&p.client);
		wire_put(e->in, buf, n);
		feed(e);
		cr_assert_not(e->tls->done);
	}
	pair_fini(&p);
}

static void
damage(struct wire *w, uint64_t *seed)
{
	size_t n = wire_len(w);
	uint8_t *p = w->p + w->head;

	if (n == 0)
		return;
	switch (next(seed) % 4) {
	case 0: /* a bit */
		p[next(seed) % n] ^= (uint8_t)(1u << next(seed) % 8);
		break;
	case 1: /* a byte near the front, where lengths live */
		p[next(seed) % PST_MIN(n, (size_t)64)] = (uint8_t)next(seed);
		break;
	case 2: /* a piece is missing */
		w->tail -= next(seed) % n;
		break;
	default: /* a piece comes twice */
		n = PST_MIN(n, (size_t)200);
		uint8_t copy[200];
		memcpy(copy, p, n);
		wire_put(w, copy, n);
	}
}

/* A real handshake and some data, one flight of which is damaged. */
Test(hostile, damaged_flights_fail_or_finish_but_never_hang)
{
	uint64_t seed = 0xbadbadbad;
	unsigned failed = 0;

	for (unsigned v = PST_TLS_1_2; v <= PST_TLS_1_3; v++) {
		struct pair p;

		pair_init(&p);
		p.sconf.max_version = (uint16_t)v;
		p.sconf.tickets = 2;
		pair_contexts(&p);
		for (unsigned i = 0; i < 400; i++) {
			unsigned when = i % 6;

			pair_sessions(&p);
			for (unsigned turn = 0; turn < 6; turn++) {
				struct end *e = turn % 2 == 0 ? &p.client : &p.server;

				feed(e);
				if (e->tls->done && turn > 2)
					end_write(e, "some data", 9);
				if (turn == when)
					damage(e->out, &seed);
			}
			feed(&p.client);
			feed(&p.server);
			failed += p.client.tls->failed || p.server.tls->failed;
		}
		pair_fini(&p);
	}
	cr_expect_gt(failed, 200, "%u", failed); /* otherwise nothing was damaged */
}

/* No read may be left with input unread and no result: the pump would wait for ever. */
Test(hostile, a_flood_of_empty_records_ends_the_connection)
{
	struct pair p;
	char buf[8];
	size_t n;

	pair_init(&p);
	p.sconf.max_version = PST_TLS_1_2;
	pair_contexts(&p);
	pair_sessions(&p);
	cr_assert(pair_handshake(&p));
	/* TLS 1.2 with AEAD: an empty record is 24 bytes; they do not decrypt, one is enough. */
	for (unsigned i = 0; i < 100; i++)
		wire_put(&p.to_server, "\x17\x03\x03\x00\x00", 5);
	cr_expect_eq(end_read(&p.server, buf, sizeof(buf), &n), PST_PEER);
	pair_fini(&p);
}

Test(hostile, a_hello_in_many_records_is_taken_and_one_without_end_is_not)
{
	struct pair p;
	uint8_t rec[5 + 16384];

	pair_init(&p);
	pair_contexts(&p);
	pair_sessions(&p);
	/* 131 KiB announced, sent in full records: over OpenSSL's bound or refused as nonsense. */
	memset(rec, 0, sizeof(rec));
	memcpy(rec, "\x16\x03\x01\x40\x00\x01\x01\xff\xfc\x03\x03", 11);
	for (unsigned i = 0; i < 10; i++) {
		wire_put(&p.to_server, rec, sizeof(rec));
		memset(rec + 5, 0, 16384);
	}
	feed(&p.server);
	cr_expect_eq(p.server.rc, PST_PEER);
	pair_fini(&p);
}
