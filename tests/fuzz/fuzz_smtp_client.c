/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A next hop that says anything, cut anywhere. Byte 0 chooses what was asked, byte 1
 * how the rest is cut; the rest is what the server says. Cut and uncut must agree,
 * each reply answers the oldest command, and its text is clean. The same bytes are
 * also taken for a path: what parses must come out of MAIL and parse to itself.
 */
#include <pst_smtp_client.h>

#include <stdio.h>
#include <stdlib.h>

#define CHECK(x)                                                                                   \
	do {                                                                                       \
		if (!(x)) {                                                                        \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #x);                    \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct result {
	struct pst_buf log;
	uint32_t keywords;
	uint64_t max_size;
	enum pst_rc end;
};

static void
ask(struct pst_smtp_client *c, struct pst_buf *out, uint8_t what)
{
	struct pst_smtp_mail m = {.from.addr = pst_span_str("a@b")};
	struct pst_smtp_rcpt r = {.to.addr = pst_span_str("a@b")};
	CHECK(pst_smtp_client_ehlo(c, out, "gw") == PST_OK);
	if (what & 1)
		CHECK(pst_smtp_client_mail(c, out, &m) == PST_OK);
	for (unsigned i = 0; i < (what >> 1) % 8u; i++)
		CHECK(pst_smtp_client_rcpt(c, out, &r) == PST_OK);
	if (what & 16)
		CHECK(pst_smtp_client_data(c, out) == PST_OK);
	if (what & 32)
		CHECK(pst_smtp_client_dot(c) == PST_OK);
	if (what & 64)
		CHECK(pst_smtp_client_rset(c, out) == PST_OK);
	if (what & 128)
		CHECK(pst_smtp_client_quit(c, out) == PST_OK);
}

static void
check_event(const struct pst_smtp_client_event *ev, struct pst_buf *log)
{
	CHECK(ev->reply.code >= 200 && ev->reply.code < 560);
	CHECK(ev->reply.enh[0] == 0 || ev->reply.enh[0] == ev->reply.code / 100);
	for (size_t i = 0; i < ev->reply.text.n; i++)
		CHECK(ev->reply.text.p[i] >= 0x20 && ev->reply.text.p[i] != 0x7f);
	CHECK(pst_buf_printf(log, "%d %u %u.%u.%u %.*s\n", ev->cmd, ev->reply.code,
		      ev->reply.enh[0], ev->reply.enh[1], ev->reply.enh[2],
		      PST_SPAN_FMT(ev->reply.text)) == PST_OK);
}

static void
listen_to(const uint8_t *in, size_t n, uint8_t what, unsigned cut, struct result *res)
{
	struct pst_smtp_client c;
	struct pst_buf out;
	size_t from = 0, to = cut == 0 ? n : 0;
	pst_buf_init(&res->log, 1u << 20);
	pst_buf_init(&out, 1u << 16);
	pst_smtp_client_init(&c);
	ask(&c, &out, what);
	do {
		struct pst_smtp_client_event ev;
		const char *why;
		size_t used;
		if (cut != 0)
			to += PST_MIN(1 + (size_t)rand_r(&cut) % 30, n - to);
		uint8_t *piece = malloc(to - from + 1);
		memcpy(piece, in + from, to - from);
		size_t left = to - from, at = 0;
		do {
			unsigned before = pst_smtp_client_outstanding(&c);
			res->end =
				pst_smtp_client_next(&c, piece + at, left - at, &used, &ev, &why);
			CHECK(used <= left - at);
			at += used;
			CHECK(pst_smtp_client_outstanding(&c) == before - (res->end == PST_OK));
			CHECK((why != NULL) == (res->end == PST_PEER || res->end == PST_EOF));
			if (res->end == PST_OK)
				check_event(&ev, &res->log);
		} while (res->end == PST_OK);
		from += at;
		free(piece);
	} while (to < n && res->end == PST_AGAIN);
	res->keywords = c.keywords;
	res->max_size = c.max_size;
	pst_smtp_client_fini(&c);
	pst_buf_fini(&out);
}

static void
as_path(const uint8_t *in, size_t n)
{
	struct pst_smtp_mail m = {0};
	struct pst_smtp_path again;
	struct pst_smtp_client c;
	struct pst_buf out;
	const char *why;
	size_t used;
	if (pst_smtp_path_parse(pst_span(in, n), true, true, &m.from, &used, &why) != PST_OK) {
		CHECK(why != NULL);
		return;
	}
	CHECK(used <= n && used >= 2 && in[used - 1] == '>');
	CHECK(m.from.addr.n <= 254);
	pst_buf_init(&out, 4096);
	pst_smtp_client_init(&c);
	CHECK(pst_smtp_client_mail(&c, &out, &m) == PST_OK);
	struct pst_span line = pst_buf_span(&out);
	CHECK(line.n == strlen("MAIL FROM:<>\r\n") + m.from.addr.n);
	CHECK(memchr(line.p, '\r', line.n) == line.p + line.n - 2);
	CHECK(pst_smtp_path_parse(pst_span(line.p + 10, line.n - 12), true, true, &again, &used,
		      &why) == PST_OK);
	CHECK(used == line.n - 12);
	CHECK(pst_span_eq(again.local, m.from.local) && pst_span_eq(again.domain, m.from.domain));
	pst_buf_fini(&out);
	pst_smtp_client_fini(&c);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct result whole = {0}, cut = {0};
	if (size < 2 || size > 8192)
		return 0;
	listen_to(data + 2, size - 2, data[0], 0, &whole);
	listen_to(data + 2, size - 2, data[0], 1u + data[1], &cut);
	CHECK(whole.end == cut.end);
	CHECK(whole.keywords == cut.keywords && whole.max_size == cut.max_size);
	CHECK(pst_span_eq(pst_buf_span(&whole.log), pst_buf_span(&cut.log)));
	pst_buf_fini(&whole.log);
	pst_buf_fini(&cut.log);
	as_path(data + 2, size - 2);
	return 0;
}
