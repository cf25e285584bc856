/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The octets of a message: DATA with its dots, BDAT with its counts.
 *
 * A decoder finds the next piece of the input: a run of bytes that mean themselves,
 * as long as it can be, a CR or LF that is not part of CRLF, the end, or too little
 * to tell. The step below it decides what becomes of the piece. Undecided bytes
 * ("\r", ".", ".\r") are left in the caller's input, so nothing is held here and every
 * split of the input gives the same result; only a CR that ends a BDAT chunk has
 * nowhere to stay and becomes state (HELD_CR).
 *
 * Only CRLF "." CRLF ends DATA (RFC 5321 4.1.1.4). A bare CR or LF never begins a
 * line, whatever is configured: what follows it is neither an end nor a stuffed dot.
 */
#include "smtp_int.h"

#include <stdio.h>

enum { AT_LINE_START, IN_LINE, HELD_CR };

enum found { RUN, BARE, END, MORE };

struct piece {
	enum found what;
	size_t len;   /* of the run, which begins the input */
	size_t used;  /* input that is done with once the piece is */
	uint8_t st;   /* body state behind it */
	uint8_t bare; /* which one it was */
};

void
pst_smtp_body_begin(struct pst_smtp_server *s)
{
	s->body_st = AT_LINE_START;
	s->body_bytes = 0;
	pst_smtp_header_begin(s);
}

/* Careful with the sum: max_size may have shrunk under a message that is on its way. */
bool
pst_smtp_body_exceeds(const struct pst_smtp_server *s, uint64_t have, uint64_t more)
{
	uint64_t max = s->conf->max_size;
	return max != 0 && (have > max || more > max - have);
}

/* The first CR or LF, or end: 16 bytes at a time in any compiler's vectors. */
static const uint8_t *
find_cr_or_lf(const uint8_t *p, const uint8_t *end)
{
	typedef uint8_t v16 __attribute__((vector_size(16)));
	typedef uint64_t v2 __attribute__((vector_size(16)));
	const v16 cr = (v16){0} + '\r', lf = (v16){0} + '\n';

	for (; end - p >= 16; p += 16) {
		v16 v;
		memcpy(&v, p, sizeof(v));
		v2 hit = (v2)((v == cr) | (v == lf));
		if ((hit[0] | hit[1]) != 0)
			break;
	}
	while (p < end && *p != '\r' && *p != '\n')
		p++;
	return p;
}

/*
 * The run at the head of the input. stop_at_dot: DATA, where a dot at a line start
 * needs a look. final: no byte of this body follows behind n (the end of a chunk).
 */
static struct piece
take_run(const uint8_t *in, size_t n, uint8_t st, bool stop_at_dot, bool final)
{
	const uint8_t *p = in, *end = in + n;
	for (;;) {
		p = find_cr_or_lf(p, end);
		if (end - p < 2 || *p != '\r' || p[1] != '\n')
			break;
		p += 2;
		if (p == end || (stop_at_dot && *p == '.')) {
			size_t len = (size_t)(p - in);
			return (struct piece){
				.what = RUN, .len = len, .used = len, .st = AT_LINE_START};
		}
	}
	/* At p: the end, a bare LF, a bare CR, or a CR whose successor is not known yet. */
	if (p > in) {
		/* Behind a CRLF no dot can follow here, so that line start needs no memory. */
		size_t len = (size_t)(p - in);
		return (struct piece){.what = RUN, .len = len, .used = len, .st = IN_LINE};
	}
	if (*p == '\n' || n >= 2)
		return (struct piece){.what = BARE, .used = 1, .st = IN_LINE, .bare = *p};
	if (final)
		return (struct piece){.what = RUN, .used = 1, .st = HELD_CR};
	return (struct piece){.what = MORE, .st = st};
}

static struct piece
data_piece(const struct pst_smtp_server *s, const uint8_t *in, size_t n)
{
	if (n == 0)
		return (struct piece){.what = MORE, .st = s->body_st};
	if (s->body_st != AT_LINE_START || in[0] != '.')
		return take_run(in, n, s->body_st, true, false);
	if (n == 1 || (n == 2 && in[1] == '\r'))
		return (struct piece){.what = MORE, .st = s->body_st};
	if (in[1] == '\r' && in[2] == '\n')
		return (struct piece){.what = END, .used = 3, .st = AT_LINE_START};
	/* RFC 5321 4.5.2: "the first character is deleted" when others follow it. */
	return (struct piece){.what = RUN, .used = 1, .st = IN_LINE};
}

static struct piece
chunk_piece(const struct pst_smtp_server *s, const uint8_t *in, size_t n)
{
	bool final = n >= s->chunk_left;
	n = PST_MIN((uint64_t)n, s->chunk_left);
	if (n == 0)
		return (struct piece){.what = MORE, .st = s->body_st};
	if (s->body_st != HELD_CR)
		return take_run(in, n, s->body_st, false, final);
	if (in[0] != '\n')
		return (struct piece){.what = BARE, .st = IN_LINE, .bare = '\r'};
	return (struct piece){.what = RUN, .used = 1, .st = AT_LINE_START};
}

/* Body state and chunk count move together with the input. */
static void
use(struct pst_smtp_server *s, const struct piece *pc, size_t *used)
{
	s->body_st = pc->st;
	*used += pc->used;
	if (s->state == AWAIT_CHUNK)
		s->chunk_left -= pc->used;
}

enum smtp_step
pst_smtp_body_bad(
	struct pst_smtp_server *s, const struct smtp_no *no, struct pst_smtp_server_event *ev)
{
	s->swallow = true;
	s->fail_code = no->code;
	snprintf(s->fail_enh, sizeof(s->fail_enh), "%s", no->enh);
	s->fail_text = no->text;
	ev->type = PST_SMTP_SEV_BODY_BAD;
	ev->bad.code = no->code;
	ev->bad.text = pst_span_str(no->text);
	pst_smtp_enh_parse(pst_span_str(no->enh), no->code, ev->bad.enh);
	return STEP_EVENT;
}

static enum smtp_step
bytes_bad_or_body(
	struct pst_smtp_server *s, struct pst_span bytes, struct pst_smtp_server_event *ev)
{
	static const struct smtp_no big = {552, "5.3.4", "message too big"};
	if (pst_smtp_body_exceeds(s, s->body_bytes, bytes.n))
		return pst_smtp_body_bad(s, &big, ev);
	const struct smtp_no *no = pst_smtp_header_scan(s, bytes);
	if (no != NULL)
		return pst_smtp_body_bad(s, no, ev);
	s->body_bytes += bytes.n;
	ev->type = PST_SMTP_SEV_BODY;
	ev->body = bytes;
	return STEP_EVENT;
}

static enum smtp_step
bare_newline(struct pst_smtp_server *s, uint8_t which, struct pst_smtp_server_event *ev)
{
	static const struct smtp_no no = {550, "5.6.0", "bare CR or LF in the message"};
	if (s->conf->bare_newline == PST_SMTP_BARE_NORMALIZE)
		return bytes_bad_or_body(s, pst_span_str(which == '\n' ? "\r\n" : " "), ev);
	s->close_after = true;
	return pst_smtp_body_bad(s, &no, ev);
}

/* The octets are all in and went nowhere: pay the answer that is owed. */
static enum smtp_step
end_swallowed(struct pst_smtp_server *s, struct pst_buf *out)
{
	const char *enh = s->fail_enh[0] == '\0' ? NULL : s->fail_enh;
	struct smtp_no no = {s->fail_code, enh, s->fail_text};
	if (s->fail_code != 0 && pst_smtp_server_refuse(s, out, &no) == STEP_FULL)
		return STEP_FULL;
	bool close = s->close_after || s->fail_code == 421 || s->state == AWAIT_CLOSE;
	pst_smtp_server_transaction_over(s);
	pst_smtp_server_enter(s, close ? AWAIT_CLOSE : AWAIT_COMMAND);
	return STEP_ON;
}

static enum smtp_step
end_message(struct pst_smtp_server *s, struct pst_buf *out, struct pst_smtp_server_event *ev)
{
	if (s->swallow)
		return end_swallowed(s, out);
	pst_smtp_server_enter(s, AWAIT_END_ANSWER);
	ev->type = PST_SMTP_SEV_BODY_END;
	return STEP_EVENT;
}

static enum smtp_step
end_chunk(struct pst_smtp_server *s, struct pst_buf *out, struct pst_smtp_server_event *ev)
{
	char text[48];
	if (!s->swallow && s->last_chunk && s->body_st == HELD_CR) {
		s->body_st = IN_LINE;
		return bare_newline(s, '\r', ev);
	}
	if (s->swallow || s->last_chunk)
		return end_message(s, out, ev);
	snprintf(text, sizeof(text), "%llu octets received", (unsigned long long)s->chunk_size);
	if (pst_smtp_server_say(s, out, 250, "2.0.0", text) != PST_OK)
		return STEP_FULL;
	pst_smtp_server_enter(s, AWAIT_COMMAND);
	ev->type = PST_SMTP_SEV_CHUNK_END;
	return STEP_EVENT;
}

static enum smtp_step
run(struct pst_smtp_server *s, const struct piece *pc, struct pst_span bytes, size_t *used,
	struct pst_smtp_server_event *ev)
{
	if (s->swallow || bytes.n == 0) {
		use(s, pc, used);
		return STEP_ON;
	}
	enum smtp_step st = bytes_bad_or_body(s, bytes, ev);
	if (ev->type == PST_SMTP_SEV_BODY)
		use(s, pc, used);
	return st;
}

enum smtp_step
pst_smtp_server_body(struct pst_smtp_server *s, const uint8_t *in, size_t n, size_t *used,
	struct pst_buf *out, struct pst_smtp_server_event *ev)
{
	bool chunk = s->state == AWAIT_CHUNK;
	if (chunk && s->chunk_left == 0)
		return end_chunk(s, out, ev);
	struct piece pc = chunk ? chunk_piece(s, in, n) : data_piece(s, in, n);
	struct pst_span bytes = pst_span(in, pc.len);
	enum smtp_step st;

	switch (pc.what) {
	case MORE:
		break;
	case RUN:
		if (s->body_st == HELD_CR)
			bytes = pst_span_str("\r\n");
		return run(s, &pc, bytes, used, ev);
	case BARE:
		use(s, &pc, used);
		return s->swallow ? STEP_ON : bare_newline(s, pc.bare, ev);
	case END:
		st = end_message(s, out, ev);
		if (st != STEP_FULL)
			use(s, &pc, used);
		return st;
	}
	return STEP_WAIT;
}
