/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A client that says anything, cut anywhere. Byte 0 chooses how the engine is set up
 * and answered, byte 1 how the rest is cut; the rest is what the client says.
 *
 * Afterwards a plain model walks over the input and the replies together: each line
 * has one reply, a body ends where the reference decoder says, a chunk is as long as
 * it claims, messages are what the reference makes of them, and nothing is left over.
 */
#include <pst_smtp_ref.h>
#include <pst_smtp_server.h>

#include <stdio.h>
#include <stdlib.h>

#define INPUT_MAX 4096
#define CHECK(x)                                                                                   \
	do {                                                                                       \
		if (!(x)) {                                                                        \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #x);                    \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct run {
	struct pst_smtp_server s;
	struct pst_smtp_server_conf conf;
	uint8_t options;
	unsigned owed;
	struct pst_buf out;    /* small, so that it is often full */
	struct pst_buf all;    /* what was flushed from it */
	struct pst_buf bodies; /* of the messages that ended well, one after the other */
	size_t body_from;
	bool in_message;
	bool polite;
	bool over; /* QUIT, CLOSE or STARTTLS was seen */
};

static void
flush(struct run *r)
{
	struct pst_span s = pst_buf_span(&r->out);
	CHECK(pst_buf_append(&r->all, s.p, s.n) == PST_OK);
	pst_buf_consume(&r->out, s.n);
}

static void
answer(struct run *r, unsigned code)
{
	enum pst_rc rc = pst_smtp_server_reply(&r->s, &r->out, code, NULL, "answer");
	if (rc == PST_NOMEM) {
		flush(r);
		rc = pst_smtp_server_reply(&r->s, &r->out, code, NULL, "answer");
	}
	CHECK(rc == PST_OK);
}

static void
forget_message(struct run *r)
{
	if (r->in_message)
		pst_buf_truncate(&r->bodies, r->body_from);
	r->in_message = false;
}

static void
on_bdat(struct run *r)
{
	if (!r->s.bdat)
		r->body_from = pst_buf_len(&r->bodies);
	r->in_message = true;
	if ((r->options & 8) && !r->s.bdat && r->s.chunk_size % 3 == 0)
		answer(r, 451);
	else
		pst_smtp_server_chunk(&r->s);
}

/* What may come of a client that was told to begin TLS first. */
static bool
harmless(enum pst_smtp_server_ev type)
{
	return type == PST_SMTP_SEV_HELO || type == PST_SMTP_SEV_RSET ||
	       type == PST_SMTP_SEV_STARTTLS || type == PST_SMTP_SEV_QUIT ||
	       type == PST_SMTP_SEV_CLOSE;
}

static void
on_event(struct run *r, const struct pst_smtp_server_event *ev)
{
	CHECK(!r->s.tls_first || harmless(ev->type));
	switch (ev->type) {
	case PST_SMTP_SEV_MAIL:
		answer(r, ev->mail.from.local.n == 3 ? 451 : 250);
		break;
	case PST_SMTP_SEV_RCPT:
		if (r->options & 4)
			r->owed++;
		else
			answer(r, ev->rcpt.to.local.n == 3 ? 550 : 250);
		break;
	case PST_SMTP_SEV_DATA:
		r->body_from = pst_buf_len(&r->bodies);
		r->in_message = true;
		answer(r, 354);
		break;
	case PST_SMTP_SEV_BDAT:
		on_bdat(r);
		break;
	case PST_SMTP_SEV_BODY:
		CHECK(ev->body.n > 0);
		CHECK(pst_buf_append(&r->bodies, ev->body.p, ev->body.n) == PST_OK);
		break;
	case PST_SMTP_SEV_BODY_BAD:
		CHECK(ev->bad.code >= 500);
		forget_message(r);
		break;
	case PST_SMTP_SEV_BODY_END:
		CHECK(pst_buf_len(&r->bodies) - r->body_from == r->s.body_bytes);
		r->in_message = false;
		answer(r, 250);
		break;
	case PST_SMTP_SEV_RSET:
		CHECK(!r->s.mail_seen);
		forget_message(r);
		break;
	case PST_SMTP_SEV_STARTTLS:
	case PST_SMTP_SEV_QUIT:
	case PST_SMTP_SEV_CLOSE:
		r->over = true;
		break;
	case PST_SMTP_SEV_HELO:
	case PST_SMTP_SEV_CHUNK_END:
		break;
	}
}

/* Gives the engine in[from, to); returns how far it got. */
static size_t
feed(struct run *r, const uint8_t *in, size_t from, size_t to)
{
	for (;;) {
		struct pst_smtp_server_event ev;
		size_t used;
		enum pst_rc rc =
			pst_smtp_server_next(&r->s, in + from, to - from, &used, &r->out, &ev);
		CHECK(used <= to - from);
		from += used;
		if (rc == PST_OK) {
			on_event(r, &ev);
			if (r->over)
				return from;
			continue;
		}
		if (rc == PST_NOMEM) {
			CHECK(pst_buf_len(&r->out) > 0);
			flush(r);
			continue;
		}
		CHECK(rc == PST_AGAIN);
		CHECK(!pst_smtp_server_ready(&r->s));
		if (r->owed == 0)
			break;
		while (r->owed > 0) {
			r->owed--;
			answer(r, 250);
		}
	}
	CHECK(to - from < PST_SMTP_LINE_MAX || pst_smtp_server_in_body(&r->s));
	return from;
}

/* ---- the model ---- */

struct model {
	const uint8_t *in;
	size_t n, at;
	struct pst_span replies;
	struct pst_span reply; /* the one just taken: its last line */
	struct pst_span bodies;
	uint8_t chunks[2 * INPUT_MAX]; /* the BDAT message so far */
	size_t chunks_n;
	bool normalize;
};

/* The next reply; checks its form. False: there is none. */
static bool
take_reply(struct model *m)
{
	for (bool last = false; !last;) {
		const uint8_t *p = m->replies.p;
		if (m->replies.n == 0)
			return false;
		const uint8_t *nl = memchr(p, '\n', m->replies.n);
		CHECK(nl != NULL && nl - p >= 4 && nl[-1] == '\r');
		size_t len = (size_t)(nl - p) - 1;
		for (size_t i = 0; i < len; i++)
			CHECK(p[i] >= 0x20 && p[i] < 0x7f);
		CHECK(p[0] >= '2' && p[0] <= '5' && p[1] >= '0' && p[1] <= '5');
		CHECK(len == 3 || p[3] == ' ' || p[3] == '-');
		last = len == 3 || p[3] == ' ';
		m->reply = pst_span(p, len);
		m->replies = pst_span(nl + 1, m->replies.n - len - 2);
	}
	return true;
}

static bool
said(const struct model *m, const char *begin)
{
	size_t n = strlen(begin);
	return m->reply.n >= n && memcmp(m->reply.p, begin, n) == 0;
}

/* Replies behind which the engine listens no more. */
static bool
was_last(const struct model *m)
{
	return said(m, "421") || said(m, "554 5.5.0") || said(m, "221") || said(m, "220") ||
	       said(m, "550 5.6.0") || said(m, "501 5.5.4 bad chunk size");
}

static void
compare_body(struct model *m, const uint8_t *want, size_t n)
{
	if (n == 0)
		return;
	CHECK(m->bodies.n >= n && memcmp(m->bodies.p, want, n) == 0);
	m->bodies = pst_span(m->bodies.p + n, m->bodies.n - n);
}

/* Behind a 354. False: the model is at its end. */
static bool
walk_data(struct model *m)
{
	static uint8_t plain[2 * INPUT_MAX];
	struct pst_smtp_ref ref = pst_smtp_ref_data(m->in + m->at, m->n - m->at, plain);
	if (!ref.ended)
		return false;
	CHECK(take_reply(m));
	m->at += ref.used;
	if (said(m, "250 answer")) {
		CHECK(m->normalize || !ref.bare);
		compare_body(m, plain, ref.n);
	} else {
		CHECK(ref.bare || said(m, "552 5.3.4") || said(m, "554 5.4.6"));
	}
	return !was_last(m);
}

static void
append_chunk(struct model *m, size_t size)
{
	memcpy(m->chunks + m->chunks_n, m->in + m->at, size);
	m->chunks_n += size;
}

static void
end_chunks(struct model *m)
{
	static uint8_t plain[4 * INPUT_MAX];
	size_t n = 0;
	for (size_t i = 0; i < m->chunks_n; i++) {
		uint8_t c = m->chunks[i];
		bool crlf = c == '\r' && i + 1 < m->chunks_n && m->chunks[i + 1] == '\n';
		CHECK(m->normalize || crlf || (c != '\r' && c != '\n'));
		if (crlf)
			i++;
		if (crlf || c == '\n')
			plain[n++] = '\r';
		plain[n++] = crlf || c == '\n' ? '\n' : c == '\r' ? ' ' : c;
	}
	compare_body(m, plain, n);
	m->chunks_n = 0;
}

/* "BDAT" with something that can be read: its size, else false. */
static bool
bdat_size(const uint8_t *line, size_t n, bool *is_bdat, uint64_t *size)
{
	size_t i = 4;
	*is_bdat = n >= 4 && strncasecmp((const char *)line, "BDAT", 4) == 0 &&
		   (n == 4 || line[4] == ' ');
	*size = 0;
	for (size_t k = 0; k < n; k++)
		*is_bdat = *is_bdat && line[k] >= 0x20 && line[k] != 0x7f;
	if (!*is_bdat)
		return false;
	while (i < n && line[i] == ' ')
		i++;
	size_t digits = i;
	for (; i < n && line[i] >= '0' && line[i] <= '9'; i++)
		*size = *size > INPUT_MAX ? *size : *size * 10 + (line[i] - '0');
	return i > digits && (i == n || line[i] == ' ');
}

static bool
walk_bdat(struct model *m, size_t line_end, uint64_t size)
{
	m->at = line_end + 2;
	bool whole = size <= m->n - m->at;
	if (!take_reply(m)) {
		CHECK(!whole);
		return false;
	}
	if (was_last(m))
		return false;
	if (!whole) {
		CHECK(said(m, "451")); /* refused at once; its octets are still coming */
		return false;
	}
	if (said(m, "250"))
		append_chunk(m, size);
	else
		m->chunks_n = 0;
	if (said(m, "250 answer"))
		end_chunks(m);
	m->at += size;
	return true;
}

/* No end in sight, and octets of a chunk of unknown size behind it. */
static bool
endless_bdat(const struct model *m)
{
	return m->n - m->at >= PST_SMTP_LINE_MAX && said(m, "501 5.5.4 bad chunk size") &&
	       strncasecmp((const char *)m->in + m->at, "BDAT", 4) == 0;
}

static bool
walk_line(struct model *m)
{
	const uint8_t *p = m->in + m->at;
	const uint8_t *end = memmem(p, m->n - m->at, "\r\n", 2);
	if (end == NULL) {
		if (take_reply(m))
			CHECK((p[0] == 0x16 && said(m, "554 5.5.0")) || endless_bdat(m));
		return false;
	}
	bool bdat;
	uint64_t size;
	size_t len = (size_t)(end - p);
	bool readable = bdat_size(p, len, &bdat, &size);
	if (bdat && readable && len + 2 <= PST_SMTP_LINE_MAX)
		return walk_bdat(m, m->at + len, size);
	CHECK(take_reply(m));
	m->at += len + 2;
	if (was_last(m))
		return false;
	if (said(m, "250 2.0.0 ok") && len >= 4 && strncasecmp((const char *)p, "RSET", 4) == 0)
		m->chunks_n = 0;
	if (said(m, "250") && len >= 4 && strncasecmp((const char *)p + 1, "HLO", 3) == 0)
		m->chunks_n = 0;
	if (said(m, "250") && len >= 4 && strncasecmp((const char *)p, "HELO", 4) == 0)
		m->chunks_n = 0;
	return said(m, "354") ? walk_data(m) : true;
}

static void
judge(struct run *r, const uint8_t *in, size_t n)
{
	static struct model m;
	m = (struct model){.in = in, .n = n, .normalize = r->options & 1};
	flush(r);
	m.replies = pst_buf_span(&r->all);
	m.bodies = pst_buf_span(&r->bodies);
	CHECK(take_reply(&m) && said(&m, "220"));
	while (m.at < m.n && walk_line(&m))
		;
	CHECK(m.replies.n == 0);
}

static void
set_up(struct run *r, uint8_t options)
{
	r->options = options;
	r->conf = (struct pst_smtp_server_conf){
		.hostname = "gw",
		.keywords = (options & 2) ? ~0u : 0xff & ~(uint32_t)PST_SMTP_SMTPUTF8,
		.max_size = (options & 16) ? 60 : 0,
		.max_rcpts = (options & 32) ? 2 : 0,
		.max_errors = (options & 64) ? 3 : 0,
		.max_received = (options & 128) ? 2 : 0,
		.loop_token = "by gw",
		.bare_newline = options & 1,
	};
	pst_smtp_server_init(&r->s, &r->conf);
	pst_buf_init(&r->out, 200);
	pst_buf_init(&r->all, 1u << 24);
	pst_buf_init(&r->bodies, 1u << 20);
	CHECK(pst_smtp_server_greet(&r->s, &r->out) == PST_OK);
}

/* How much comes next. Mostly a client that waits for each reply before it goes on. */
static size_t
piece_len(const struct run *r, const uint8_t *p, size_t n, unsigned *rnd)
{
	size_t most = *rnd % 4 == 0 ? n : 1 + *rnd % 40;
	size_t len = PST_MIN(1 + (size_t)rand_r(rnd) % most, n);
	const uint8_t *nl = pst_smtp_server_in_body(&r->s) ? NULL : memchr(p, '\n', len);
	return nl == NULL || !r->polite ? len : (size_t)(nl - p) + 1;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct run r = {0};
	if (size < 2 || size > INPUT_MAX)
		return 0;
	unsigned rnd = data[1];
	set_up(&r, data[0]);
	r.s.tls_first = rnd % 7 == 3;
	data += 2;
	size -= 2;
	/* Each piece in memory of its own, so that a look past it is seen. */
	r.polite = rnd % 8 != 0;
	for (size_t from = 0, to = 0; to < size && !r.over;) {
		to += piece_len(&r, data + to, size - to, &rnd);
		uint8_t *piece = malloc(to - from);
		memcpy(piece, data + from, to - from);
		size_t got = feed(&r, piece, 0, to - from);
		from += got;
		free(piece);
	}
	judge(&r, data, size);
	pst_smtp_server_fini(&r.s);
	pst_buf_fini(&r.out);
	pst_buf_fini(&r.all);
	pst_buf_fini(&r.bodies);
	return 0;
}
