/* SPDX-License-Identifier: BSD-3-Clause */
/* Client and sink speak with each other, byte by byte and at once, in clear and with TLS. */
#include <criterion/criterion.h>
#include <pki.h>
#include <sink.h>
#include <stdlib.h>

#define WIRE_MAX (8 * 1024 * 1024)

struct pipe_ {
	uint8_t *p;
	size_t head, tail;
};

struct talk {
	struct gen_client client;
	struct gen_sink sink;
	struct gen_client_conf cc;
	struct gen_sink_conf sc;
	struct gen_figures fig;
	struct gen_sink_figures sunk;
	struct pipe_ up, down; /* client to sink, sink to client */
	size_t piece;          /* at most so many bytes are seen at a time */
	enum gen_rc client_rc, sink_rc;
	uint64_t now;
	struct pst_crypto *crypto;
	struct pst_tls_ctx *client_ctx, *server_ctx;
	struct pst_tls_cache *cache;
};

static uint8_t out[GEN_OUT_MIN];

/* One step of either; true: something moved. */
static bool
step(struct talk *t, bool client)
{
	struct pipe_ *in = client ? &t->down : &t->up, *to = client ? &t->up : &t->down;
	enum gen_rc *rc = client ? &t->client_rc : &t->sink_rc;
	struct gen_io io = {.in = in->p + in->head,
		.in_len = PST_MIN(in->tail - in->head, t->piece),
		.out = out,
		.out_cap = sizeof(out)};

	if (*rc == GEN_DONE || *rc == GEN_FAILED)
		return false;
	*rc = client ? gen_client_step(&t->client, &io, t->now) : gen_sink_step(&t->sink, &io);
	cr_assert_leq(io.in_used, io.in_len);
	in->head += io.in_used;
	cr_assert_leq(to->tail + io.out_len, WIRE_MAX);
	memcpy(to->p + to->tail, out, io.out_len);
	to->tail += io.out_len;
	return io.in_used > 0 || io.out_len > 0;
}

static void
speak(struct talk *t)
{
	t->up = (struct pipe_){.p = malloc(WIRE_MAX)};
	t->down = (struct pipe_){.p = malloc(WIRE_MAX)};
	t->client_rc = t->sink_rc = GEN_WAIT;
	gen_client_init(&t->client, &t->cc, &t->fig, 0, t->now);
	gen_sink_init(&t->sink, &t->sc, &t->sunk);
	gen_client_connected(&t->client, ++t->now);
	while (step(t, false) + step(t, true) > 0)
		t->now++;
}

static void
part(struct talk *t)
{
	gen_client_fini(&t->client);
	gen_sink_fini(&t->sink);
	free(t->up.p);
	free(t->down.p);
}

static void
init(struct talk *t, enum gen_tls tls, unsigned messages, size_t size)
{
	*t = (struct talk){.piece = SIZE_MAX, .now = 1000};
	t->cc = (struct gen_client_conf){.tls = tls,
		.helo = "client.example",
		.from = "a@client.example",
		.to = "b@sink.example",
		.messages = messages};
	t->cc.body = gen_message(size, t->cc.from, t->cc.to, &t->cc.body_len);
	t->sc = (struct gen_sink_conf){.tls = tls, .hostname = "sink.example"};
	t->fig.session = pst_hist_new();
	t->fig.message = pst_hist_new();
}

static void
init_tls(struct talk *t)
{
	struct pst_tls_conf client = {.side = PST_TLS_CLIENT};
	struct pst_tls_conf server = {.side = PST_TLS_SERVER, .ncerts = 1, .tickets = 1};
	char path[PKI_PATH], err[256] = "";

	t->crypto = pst_crypto_new(err, sizeof(err));
	cr_assert_not_null(t->crypto, "%s", err);
	cr_assert_eq(pki_make("p256", "sink.example", path, err, sizeof(err)), PST_OK, "%s", err);
	cr_assert_eq(pst_cert_load(t->crypto, path, path, &server.certs[0], err, sizeof(err)),
		PST_OK, "%s", err);
	t->cc.ctx = t->client_ctx = pst_tls_ctx_new(t->crypto, &client, err, sizeof(err));
	t->sc.ctx = t->server_ctx = pst_tls_ctx_new(t->crypto, &server, err, sizeof(err));
	cr_assert(t->client_ctx != NULL && t->server_ctx != NULL, "%s", err);
	pst_cert_free(server.certs[0]);
	t->cc.cache = t->cache = pst_tls_cache_new(16);
}

static void
fini(struct talk *t)
{
	free((uint8_t *)(uintptr_t)t->cc.body);
	pst_hist_free(t->fig.session);
	pst_hist_free(t->fig.message);
	if (t->crypto == NULL)
		return;
	pst_tls_ctx_put(t->client_ctx);
	pst_tls_ctx_put(t->server_ctx);
	pst_tls_cache_free(t->cache);
	pst_crypto_free(t->crypto);
}

static void
expect_all(struct talk *t, unsigned messages)
{
	cr_expect_eq(t->client_rc, GEN_DONE, "%s", t->client.why);
	cr_expect_eq(t->sink_rc, GEN_DONE, "%s", t->sunk.why);
	cr_expect_eq(t->fig.messages, messages);
	cr_expect_eq(t->sunk.messages, messages);
	cr_expect_eq(t->fig.bytes, messages * t->cc.body_len);
	cr_expect_eq(t->sunk.bytes, messages * t->cc.body_len);
	cr_expect_eq(t->fig.failed + t->fig.refused + t->sunk.failed, 0);
}

Test(engines, messages_arrive_whole_however_the_bytes_are_cut)
{
	static const size_t pieces[] = {1, 2, 3, 5, 7, 64, SIZE_MAX};
	static const size_t sizes[] = {0, 1, 256, 257, 300, 4096};

	for (unsigned i = 0; i < PST_COUNT(pieces); i++) {
		for (unsigned k = 0; k < PST_COUNT(sizes); k++) {
			struct talk t;

			init(&t, GEN_TLS_NONE, 3, sizes[k]);
			t.piece = pieces[i];
			t.cc.pipelining = k % 2 == 1;
			speak(&t);
			expect_all(&t, 3);
			cr_expect_eq(t.fig.session->n, 1);
			cr_expect_eq(t.fig.message->n, 3);
			part(&t);
			fini(&t);
		}
	}
}

Test(engines, tls_comes_by_starttls_or_first_and_sessions_are_resumed)
{
	static const enum gen_tls modes[] = {GEN_TLS_STARTTLS, GEN_TLS_IMPLICIT};

	for (unsigned i = 0; i < PST_COUNT(modes); i++) {
		struct talk t;

		init(&t, modes[i], 2, 100000);
		init_tls(&t);
		for (unsigned k = 1; k <= 3; k++) {
			t.piece = k == 2 ? 100 : SIZE_MAX;
			speak(&t);
			expect_all(&t, 2 * k);
			part(&t);
		}
		cr_expect_eq(t.fig.full, 1);
		cr_expect_eq(t.fig.resumed, 2);
		cr_expect_eq(t.sunk.resumed, 2);
		fini(&t);
	}
}

Test(engines, a_long_message_leaves_in_pieces_that_fit)
{
	struct talk t;

	init(&t, GEN_TLS_STARTTLS, 1, 3 << 20);
	init_tls(&t);
	speak(&t);
	expect_all(&t, 1);
	part(&t);
	fini(&t);
}

Test(engines, a_session_that_is_held_says_nothing_until_it_is_released)
{
	struct talk t;

	init(&t, GEN_TLS_NONE, 1, 300);
	t.cc.hold = true;
	speak(&t);
	cr_expect_eq(t.fig.held, 1);
	cr_expect_eq(t.client_rc, GEN_WAIT);
	cr_expect_eq(t.fig.done, 0);
	gen_client_release(&t.client);
	cr_expect_eq(t.fig.held, 0);
	while (step(&t, true) + step(&t, false) > 0)
		;
	expect_all(&t, 1);
	cr_expect_eq(t.fig.done, 1);
	part(&t);
	fini(&t);
}

Test(engines, waiting_counts_from_when_the_session_should_have_begun)
{
	struct talk t;

	init(&t, GEN_TLS_NONE, 0, 0);
	t.now = 5000000;
	speak(&t);
	cr_expect_leq(t.fig.session->max, 1000);
	part(&t);
	gen_client_init(&t.client, &t.cc, &t.fig, 0, 1000000); /* four milliseconds late */
	gen_client_connected(&t.client, t.now);
	gen_client_fini(&t.client);
	t.now = 9000000;
	t.cc.messages = 0;
	{
		struct gen_client c;
		static const char script[] = "220 x\r\n250 x\r\n221 x\r\n";
		struct gen_io io = {.in = (const uint8_t *)script,
			.in_len = 7,
			.out = out,
			.out_cap = sizeof(out)};

		gen_client_init(&c, &t.cc, &t.fig, 0, 2000000);
		gen_client_connected(&c, 8000000);
		cr_expect_eq(gen_client_step(&c, &io, 8000000), GEN_WAIT);
		io.in_len = 14;
		cr_expect_eq(gen_client_step(&c, &io, 8500000), GEN_WAIT);
		io.in_len = sizeof(script) - 1;
		cr_expect_eq(gen_client_step(&c, &io, 9000000), GEN_DONE);
		gen_client_fini(&c);
	}
	cr_expect_eq(t.fig.session->max, 7000000);
	fini(&t);
}

/* What a server may say in the middle, and what becomes of the client. */
Test(engines, refusals_and_nonsense_are_counted_and_end_in_order)
{
	static const struct {
		const char *script;
		unsigned messages;
		enum gen_rc rc;
		uint64_t refused, failed;
	} cases[] = {
		{"554 no\r\n", 1, GEN_FAILED, 0, 1},
		{"220 x\r\n550 no\r\n", 1, GEN_FAILED, 0, 1},
		{"220 x\r\n250 x\r\n451 not now\r\n250 rset\r\n221 x\r\n", 1, GEN_DONE, 1, 0},
		{"220 x\r\n250 x\r\n250 m\r\n550 no\r\n250 rset\r\n221 x\r\n", 1, GEN_DONE, 1, 0},
		{"220 x\r\n250 x\r\n250 m\r\n250 r\r\n354 go\r\n552 no\r\n221 x\r\n", 1, GEN_DONE,
			1, 0},
		{"HTTP/1.1 400 Bad Request\r\n", 1, GEN_FAILED, 0, 1},
		{"220 x\r\n250 x\r\n421 bye\r\n", 1, GEN_WAIT, 1, 0},
		{"220 x\r\n250 x\r\n250 m\r\n354 too early\r\n", 1, GEN_FAILED, 0, 1},
	};

	for (unsigned i = 0; i < PST_COUNT(cases); i++) {
		struct talk t;
		size_t n = strlen(cases[i].script), at = 0;
		enum gen_rc rc = GEN_WAIT;
		struct gen_client c;

		init(&t, GEN_TLS_NONE, cases[i].messages, 300);
		gen_client_init(&c, &t.cc, &t.fig, 0, 0);
		gen_client_connected(&c, 0);
		while (at < n && rc != GEN_DONE && rc != GEN_FAILED) {
			/* A line at a time: what is not asked for yet would be a fault. */
			size_t len = strcspn(cases[i].script + at, "\n") + 1;
			struct gen_io io = {.in = (const uint8_t *)cases[i].script + at,
				.in_len = len,
				.out = out,
				.out_cap = sizeof(out)};

			rc = gen_client_step(&c, &io, 0);
			at += len;
		}
		cr_expect_eq(rc, cases[i].rc, "case %u: %d, %s", i, rc, c.why);
		cr_expect_eq(t.fig.refused, cases[i].refused, "case %u", i);
		cr_expect_eq(t.fig.failed, cases[i].failed, "case %u", i);
		gen_client_fini(&c);
		fini(&t);
	}
}

Test(engines, a_stream_that_breaks_off_is_a_failure)
{
	struct talk t;
	struct gen_io io = {
		.in = (const uint8_t *)"", .eof = true, .out = out, .out_cap = sizeof(out)};
	struct gen_client c;

	init(&t, GEN_TLS_NONE, 1, 300);
	gen_client_init(&c, &t.cc, &t.fig, 0, 0);
	gen_client_connected(&c, 0);
	cr_expect_eq(gen_client_step(&c, &io, 0), GEN_FAILED);
	gen_client_lost(&c, "again");
	cr_expect_eq(t.fig.failed, 1, "counted once");
	gen_client_fini(&c);
	fini(&t);
}

Test(engines, the_end_of_a_message_is_found_only_where_it_is)
{
	static const struct {
		const char *body;
		bool ends;
	} cases[] = {{".\r\n", true}, {"x\r\n.\r\n", true}, {"x\r\n..\r\n", false},
		{"x.\r\n", false}, {"x\r\r\n.\r\n", true}, {"x\r\n\r\n.\r\n", true},
		{"\r\n.\r\r\n.\r\n", true}, {"x\n.\n", false}, {"x\r\n.\n", false}};

	for (unsigned i = 0; i < PST_COUNT(cases); i++) {
		for (size_t piece = 1; piece < 12; piece++) {
			struct talk t;
			char text[128];
			struct pipe_ up;

			init(&t, GEN_TLS_NONE, 1, 300);
			t.down.p = malloc(WIRE_MAX);
			t.piece = piece;
			snprintf(text, sizeof(text), "EHLO x\r\nDATA\r\n%s", cases[i].body);
			up = (struct pipe_){.p = (uint8_t *)text, .tail = strlen(text)};
			t.up = up;
			gen_sink_init(&t.sink, &t.sc, &t.sunk);
			while (step(&t, false))
				;
			cr_expect_eq(t.sunk.messages, cases[i].ends, "case %u", i);
			gen_sink_fini(&t.sink);
			free(t.down.p);
			fini(&t);
		}
	}
}
