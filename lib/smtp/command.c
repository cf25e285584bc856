/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The commands of the server side, as a table (RFC 5321 4.1, 4.5.1).
 *
 * A row: the verb, flags that carry the RFC's rules of order, a check_* that only
 * judges (and fills the event), a do_* that only acts, and a fixed answer for verbs
 * that need no more. Every command line gets exactly one reply, in its order; while
 * RCPTs wait for their answers only further good RCPTs go ahead.
 */
#include "smtp_int.h"

#include <stdio.h>
#include <stdlib.h>

#define HELO_MAX 255

enum {
	NEEDS_HELO = 1 << 0, /* RFC 5321 4.1.4: "MUST be ... issued" before a mail transaction */
	NEEDS_MAIL = 1 << 1, /* only inside a transaction */
	NO_MAIL = 1 << 2,    /* only outside */
	NO_CHUNKS = 1 << 3,  /* RFC 3030: not once a BDAT was accepted */
	NO_ARGS = 1 << 4,    /* RFC 5321 4.3.2: parameters are 501 */
	ARGS = 1 << 5,       /* there must be some */
	NOTHING_BEHIND = 1 << 6, /* RFC 2920 3.1: must be last in a pipelined group */
	RESETS = 1 << 7,         /* an open transaction ends first: SEV_RSET */
	JUNK = 1 << 8,           /* moves no mail: only so many of them */
	IN_CLEAR = 1 << 9,       /* welcome before TLS though the caller wants TLS first */
};

struct row {
	const char *verb;
	unsigned flags;
	bool (*check)(const struct pst_smtp_server *s, struct pst_span args,
		struct pst_smtp_server_event *ev, struct smtp_no *no);
	enum smtp_step (*act)(struct pst_smtp_server *s, const struct row *row,
		struct pst_span args, struct pst_buf *out, struct pst_smtp_server_event *ev);
	struct smtp_no answer; /* of do_answer */
};

static uint32_t
offered(const struct pst_smtp_server *s)
{
	uint32_t k = s->conf->keywords;
	if (s->tls || s->starttls_off)
		k &= ~(uint32_t)PST_SMTP_STARTTLS;
	return k;
}

static bool
refused(struct smtp_no *no, uint16_t code, const char *enh, const char *text)
{
	*no = (struct smtp_no){code, enh, text};
	return false;
}

/* ---- NOOP, VRFY and the like ---- */

/*
 * RFC 3207 section 4: a server that requires TLS "MUST return the reply code 530 Must issue
 * a STARTTLS command first to every command other than NOOP, EHLO, STARTTLS, or QUIT". HELO
 * and RSET do no harm either (features P6).
 */
static const struct smtp_no tls_first = {530, "5.7.0", "Must issue a STARTTLS command first"};

static bool
must_be_tls(const struct pst_smtp_server *s)
{
	return s->tls_first && !s->tls;
}

static enum smtp_step
do_answer(struct pst_smtp_server *s, const struct row *row, struct pst_span args,
	struct pst_buf *out, struct pst_smtp_server_event *ev)
{
	return pst_smtp_server_refuse(s, out, &row->answer);
}

static bool
check_auth(const struct pst_smtp_server *s, struct pst_span args, struct pst_smtp_server_event *ev,
	struct smtp_no *no)
{
	/* RFC 4954 section 4: 538 5.7.11, "encryption required", before TLS (features T12). */
	if (!s->tls)
		return refused(no, 538, "5.7.11", "encryption required");
	return refused(no, 502, "5.5.1", "AUTH not available");
}

/* ---- HELO, EHLO ---- */

static char *
printable_name(struct pst_span name)
{
	size_t n = PST_MIN(name.n, (size_t)HELO_MAX);
	char *to = malloc(n + 1);
	if (to == NULL)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		uint8_t c = name.p[i];
		bool good = pst_smtp_is_alnum(c) || (c < 0x80 && strchr("._-:[]", c) != NULL);
		to[i] = good ? (char)c : '?';
	}
	to[n] = '\0';
	return to;
}

static struct pst_span
first_word(struct pst_span args)
{
	const uint8_t *sp = args.n == 0 ? NULL : memchr(args.p, ' ', args.n);
	return sp == NULL ? args : pst_span(args.p, (size_t)(sp - args.p));
}

static void
ehlo_text(const struct pst_smtp_server *s, char *text, size_t len)
{
	int n = snprintf(text, len, "%.255s", s->conf->hostname);
	uint32_t left = offered(s);
	for (; left != 0 && (size_t)n < len; left &= left - 1) {
		uint32_t k = left & -left;
		const char *name = pst_smtp_keyword_name((enum pst_smtp_keyword)k);
		if (*name == '?')
			continue;
		n += snprintf(text + n, len - (size_t)n, "\n%s", name);
		if (k == PST_SMTP_SIZE && s->conf->max_size != 0)
			n += snprintf(text + n, len - (size_t)n, " %llu",
				(unsigned long long)s->conf->max_size);
	}
}

static enum smtp_step
hello(struct pst_smtp_server *s, bool esmtp, const char *text, struct pst_span args,
	struct pst_buf *out, struct pst_smtp_server_event *ev)
{
	static const struct smtp_no memory = {451, "4.3.0", "out of memory"};
	char *name = printable_name(first_word(args));
	if (name == NULL)
		return pst_smtp_server_refuse(s, out, &memory);
	if (pst_smtp_server_say(s, out, 250, NULL, text) != PST_OK) {
		free(name);
		return STEP_FULL;
	}
	free(s->helo);
	s->helo = name;
	s->esmtp = esmtp;
	s->offered = esmtp ? s->conf->keywords : 0;
	ev->type = PST_SMTP_SEV_HELO;
	ev->helo = first_word(args);
	return STEP_EVENT;
}

static enum smtp_step
do_helo(struct pst_smtp_server *s, const struct row *row, struct pst_span args, struct pst_buf *out,
	struct pst_smtp_server_event *ev)
{
	return hello(s, false, s->conf->hostname, args, out, ev);
}

static enum smtp_step
do_ehlo(struct pst_smtp_server *s, const struct row *row, struct pst_span args, struct pst_buf *out,
	struct pst_smtp_server_event *ev)
{
	char text[512];
	ehlo_text(s, text, sizeof(text));
	return hello(s, true, text, args, out, ev);
}

/* ---- STARTTLS ---- */

static bool
check_starttls(const struct pst_smtp_server *s, struct pst_span args,
	struct pst_smtp_server_event *ev, struct smtp_no *no)
{
	if (s->tls)
		return refused(no, 503, "5.5.1", "TLS is already active");
	if (!(offered(s) & PST_SMTP_STARTTLS))
		return refused(no, 502, "5.5.1", "STARTTLS not available");
	return true;
}

static enum smtp_step
do_starttls(struct pst_smtp_server *s, const struct row *row, struct pst_span args,
	struct pst_buf *out, struct pst_smtp_server_event *ev)
{
	if (pst_smtp_server_say(s, out, 220, "2.0.0", "ready to start TLS") != PST_OK)
		return STEP_FULL;
	pst_smtp_server_enter(s, AWAIT_TLS);
	ev->type = PST_SMTP_SEV_STARTTLS;
	return STEP_EVENT;
}

/* ---- MAIL, RCPT ---- */

/* "FROM:" or "TO:", a path, and what follows it. enh: of a bad address. */
static bool
check_path(struct pst_span *args, const char *word, bool reverse, struct pst_smtp_path *path,
	const char *enh, struct smtp_no *no)
{
	size_t len = strlen(word), used;
	const char *why;
	if (args->n < len || !pst_span_ieq_str(pst_span(args->p, len), word))
		return refused(no, 501, "5.5.4",
			reverse ? "say MAIL FROM:<address>" : "say RCPT TO:<address>");
	*args = pst_smtp_span_from(*args, len);
	/* UTF-8 is judged afterwards: SMTPUTF8 stands behind the path it applies to. */
	if (pst_smtp_path_parse(*args, true, reverse, path, &used, &why) != PST_OK)
		return refused(no, 501, enh, why);
	*args = pst_smtp_span_from(*args, used);
	if (args->n > 0 && args->p[0] != ' ')
		return refused(no, 501, "5.5.4", "syntax error behind the address");
	return true;
}

static bool
utf8_allowed(const struct pst_smtp_path *path, bool smtputf8, struct smtp_no *no)
{
	/* RFC 6531 3.5: an address with UTF-8 where SMTPUTF8 was not said is 553 5.6.7. */
	if (!smtputf8 && pst_smtp_span_8bit(path->addr))
		return refused(no, 553, "5.6.7", "address needs SMTPUTF8");
	return true;
}

static bool
check_mail(const struct pst_smtp_server *s, struct pst_span args, struct pst_smtp_server_event *ev,
	struct smtp_no *no)
{
	struct pst_smtp_mail *m = &ev->mail;
	if (!check_path(&args, "FROM:", true, &m->from, "5.1.7", no) ||
		!pst_smtp_mail_params(args, s->offered, m, no) ||
		!utf8_allowed(&m->from, m->smtputf8, no))
		return false;
	/* RFC 1870 6.1: "the server may ... immediately" refuse what is declared too big. */
	if (m->has_size && pst_smtp_body_exceeds(s, 0, m->size))
		return refused(no, 552, "5.3.4", "message too big");
	return true;
}

static enum smtp_step
do_mail(struct pst_smtp_server *s, const struct row *row, struct pst_span args, struct pst_buf *out,
	struct pst_smtp_server_event *ev)
{
	pst_smtp_server_transaction_over(s);
	s->smtputf8 = ev->mail.smtputf8;
	s->declared_size = ev->mail.size;
	pst_smtp_server_enter(s, AWAIT_MAIL_ANSWER);
	ev->type = PST_SMTP_SEV_MAIL;
	return STEP_EVENT;
}

static bool
check_rcpt(const struct pst_smtp_server *s, struct pst_span args, struct pst_smtp_server_event *ev,
	struct smtp_no *no)
{
	struct pst_smtp_rcpt *r = &ev->rcpt;
	if (!check_path(&args, "TO:", false, &r->to, "5.1.3", no) ||
		!pst_smtp_rcpt_params(args, s->offered, s->smtputf8, r, no) ||
		!utf8_allowed(&r->to, s->smtputf8, no))
		return false;
	if (s->conf->max_rcpts != 0 && s->rcpts_ok + s->pending >= s->conf->max_rcpts)
		return refused(no, 452, "4.5.3", "too many recipients");
	return true;
}

static enum smtp_step
do_rcpt(struct pst_smtp_server *s, const struct row *row, struct pst_span args, struct pst_buf *out,
	struct pst_smtp_server_event *ev)
{
	s->pending++;
	s->rcpts_seen++;
	ev->type = PST_SMTP_SEV_RCPT;
	return STEP_EVENT;
}

/* ---- DATA, BDAT ---- */

static bool
somebody_wants_it(const struct pst_smtp_server *s, struct smtp_no *no)
{
	if (s->rcpts_ok > 0)
		return true;
	if (s->rcpts_seen > 0)
		return refused(no, 554, "5.5.1", "no valid recipients");
	return refused(no, 503, "5.5.1", "need RCPT first");
}

static bool
check_data(const struct pst_smtp_server *s, struct pst_span args, struct pst_smtp_server_event *ev,
	struct smtp_no *no)
{
	return somebody_wants_it(s, no);
}

static enum smtp_step
do_data(struct pst_smtp_server *s, const struct row *row, struct pst_span args, struct pst_buf *out,
	struct pst_smtp_server_event *ev)
{
	pst_smtp_server_enter(s, AWAIT_DATA_ANSWER);
	ev->type = PST_SMTP_SEV_DATA;
	return STEP_EVENT;
}

/* bdat-cmd = "BDAT" SP chunk-size [ SP "LAST" ] */
static bool
bdat_args(struct pst_span args, uint64_t *size, bool *last)
{
	struct pst_span word = first_word(args);
	struct pst_span rest = pst_smtp_span_trim(pst_smtp_span_from(args, word.n));
	*last = pst_span_ieq_str(rest, "LAST");
	return pst_smtp_decimal(word, size) && *size <= INT64_MAX && (*last || rest.n == 0);
}

static bool
chunk_is_welcome(const struct pst_smtp_server *s, uint64_t size, struct smtp_no *no)
{
	if (must_be_tls(s)) {
		*no = tls_first;
		return false;
	}
	if (!(s->offered & PST_SMTP_CHUNKING))
		return refused(no, 502, "5.5.1", "BDAT not available");
	if (!s->mail_seen)
		return refused(no, 503, "5.5.1", "need MAIL first");
	if (!somebody_wants_it(s, no))
		return false;
	if (pst_smtp_body_exceeds(s, s->bdat ? s->body_bytes : 0, size))
		return refused(no, 552, "5.3.4", "message too big");
	return true;
}

static const struct smtp_no unreadable_chunk = {501, "5.5.4", "bad chunk size"};

/* "BDAT" and whatever is no part of a word: its octets follow, however it goes on. */
static bool
looks_like_bdat(struct pst_span line)
{
	return line.n >= 4 && pst_span_ieq_str(pst_span(line.p, 4), "BDAT") &&
	       (line.n == 4 || !pst_smtp_is_alnum(line.p[4]));
}

/*
 * RFC 3030 section 2: octets of a refused chunk are still on their way, and MUST be
 * taken off the stream before commands go on. A size that cannot be read leaves no
 * way to find the next command: the connection ends.
 */
static enum smtp_step
do_bdat(struct pst_smtp_server *s, const struct row *row, struct pst_span args, struct pst_buf *out,
	struct pst_smtp_server_event *ev)
{
	struct smtp_no no;
	uint64_t size;
	bool last;
	if (!bdat_args(args, &size, &last))
		return pst_smtp_server_refuse_and_close(s, out, &unreadable_chunk, ev);
	s->chunk_size = s->chunk_left = size;
	s->last_chunk = last;
	if (s->swallow || !chunk_is_welcome(s, size, &no)) {
		bool told = s->swallow || !s->mail_seen;
		pst_smtp_server_enter(s, AWAIT_CHUNK);
		if (!s->swallow)
			pst_smtp_body_bad(s, &no, ev);
		return told ? STEP_ON : STEP_EVENT;
	}
	pst_smtp_server_enter(s, AWAIT_BDAT_ANSWER);
	ev->type = PST_SMTP_SEV_BDAT;
	ev->chunk_size = size;
	ev->last = last;
	return STEP_EVENT;
}

/* ---- RSET, QUIT ---- */

static enum smtp_step
do_rset(struct pst_smtp_server *s, const struct row *row, struct pst_span args, struct pst_buf *out,
	struct pst_smtp_server_event *ev)
{
	if (pst_smtp_server_say(s, out, 250, "2.0.0", "ok") != PST_OK)
		return STEP_FULL;
	pst_smtp_server_transaction_over(s);
	ev->type = PST_SMTP_SEV_RSET;
	return STEP_EVENT;
}

static enum smtp_step
do_quit(struct pst_smtp_server *s, const struct row *row, struct pst_span args, struct pst_buf *out,
	struct pst_smtp_server_event *ev)
{
	if (pst_smtp_server_say(s, out, 221, "2.0.0", "bye") != PST_OK)
		return STEP_FULL;
	pst_smtp_server_enter(s, AWAIT_NOTHING);
	ev->type = PST_SMTP_SEV_QUIT;
	return STEP_EVENT;
}

/* ---- the table ---- */

static const struct row rows[] = {
	{"EHLO", ARGS | NOTHING_BEHIND | RESETS | JUNK | IN_CLEAR, NULL, do_ehlo, {0}},
	{"HELO", ARGS | NOTHING_BEHIND | RESETS | JUNK | IN_CLEAR, NULL, do_helo, {0}},
	{"STARTTLS", NO_ARGS | RESETS | IN_CLEAR, check_starttls, do_starttls, {0}},
	{"MAIL", NEEDS_HELO | NO_MAIL | ARGS, check_mail, do_mail, {0}},
	{"RCPT", NEEDS_HELO | NEEDS_MAIL | NO_CHUNKS | ARGS, check_rcpt, do_rcpt, {0}},
	{"DATA", NEEDS_HELO | NEEDS_MAIL | NO_CHUNKS | NO_ARGS | NOTHING_BEHIND, check_data,
		do_data, {0}},
	/* In clear it says 530 by itself: its octets have to be taken off the stream. */
	{"BDAT", IN_CLEAR, NULL, do_bdat, {0}},
	{"RSET", NO_ARGS | JUNK | IN_CLEAR, NULL, do_rset, {0}},
	{"QUIT", NO_ARGS | IN_CLEAR, NULL, do_quit, {0}},
	{"NOOP", JUNK | IN_CLEAR, NULL, do_answer, {250, "2.0.0", "ok"}},
	{"HELP", JUNK, NULL, do_answer, {214, "2.0.0", "see RFC 5321"}},
	/* RFC 5321 3.5.3, 7.3: 252 is how VRFY says that it will not tell. */
	{"VRFY", ARGS | JUNK, NULL, do_answer, {252, "2.0.0", "send some mail, I will try"}},
	{"EXPN", 0, NULL, do_answer, {502, "5.5.1", "EXPN not available"}},
	{"AUTH", 0, check_auth, do_answer, {0}},
};

static const struct row *
find_row(struct pst_span verb)
{
	for (unsigned i = 0; i < PST_COUNT(rows); i++)
		if (pst_span_ieq_str(verb, rows[i].verb))
			return &rows[i];
	return NULL;
}

/* Another protocol's first line: a browser made to talk to us (features T8, ALPACA). */
static bool
speaks_http(struct pst_span verb)
{
	static const char *const verbs[] = {"GET", "POST", "PUT", "HEAD", "DELETE", "OPTIONS",
		"CONNECT", "TRACE", "PATCH", "PRI"};
	if (verb.n > 1 && verb.p[verb.n - 1] == ':')
		return true; /* a header field */
	for (unsigned i = 0; i < PST_COUNT(verbs); i++)
		if (pst_span_ieq_str(verb, verbs[i]))
			return true;
	return false;
}

/* The rules that the flags of a row stand for. */
static bool
in_order(const struct pst_smtp_server *s, unsigned flags, struct pst_span args, struct smtp_no *no)
{
	if ((flags & NEEDS_HELO) && s->helo == NULL)
		return refused(no, 503, "5.5.1", "say EHLO first");
	if ((flags & NO_MAIL) && s->mail_seen)
		return refused(no, 503, "5.5.1", "nested MAIL");
	if ((flags & NEEDS_MAIL) && !s->mail_seen)
		return refused(no, 503, "5.5.1", "need MAIL first");
	if ((flags & NO_CHUNKS) && s->bdat)
		return refused(no, 503, "5.5.1", "not between chunks");
	if ((flags & NO_ARGS) && args.n > 0)
		return refused(no, 501, "5.5.4", "no parameters allowed");
	if ((flags & ARGS) && args.n == 0)
		return refused(no, 501, "5.5.4", "parameter missing");
	return true;
}

static enum smtp_step
perform(struct pst_smtp_server *s, const struct row *row, struct pst_span args, size_t *used,
	struct pst_buf *out, struct pst_smtp_server_event *ev)
{
	static const struct smtp_no idle = {421, "4.7.0", "too many commands without a message"};
	if ((row->flags & RESETS) && s->mail_seen) {
		/* RFC 5321 4.1.4: EHLO in a session clears buffers "exactly as if a RSET". */
		pst_smtp_server_transaction_over(s);
		ev->type = PST_SMTP_SEV_RSET;
		*used = 0; /* the command comes again, now without a transaction */
		return STEP_EVENT;
	}
	if ((row->flags & JUNK) && s->junk >= PST_SMTP_JUNK_MAX)
		return pst_smtp_server_refuse_and_close(s, out, &idle, ev);
	enum smtp_step st = row->act(s, row, args, out, ev);
	if ((row->flags & JUNK) && st != STEP_FULL)
		s->junk++;
	return st;
}

static enum smtp_step
handle_line(struct pst_smtp_server *s, struct pst_span line, bool more, size_t *used,
	struct pst_buf *out, struct pst_smtp_server_event *ev)
{
	static const struct smtp_no garbage = {500, "5.5.2", "control character in command"};
	static const struct smtp_no dirty = {501, "5.5.4", "control character in parameters"};
	static const struct smtp_no unknown = {500, "5.5.2", "command not recognized"};
	static const struct smtp_no http = {554, "5.5.0", "this is not SMTP"};
	static const struct smtp_no early = {554, "5.5.0", "you must wait for my reply"};
	struct smtp_no no;

	bool clean = pst_smtp_line_clean(line);
	struct pst_span verb = first_word(line);
	struct pst_span args = pst_smtp_span_trim(pst_smtp_span_from(line, verb.n));
	const struct row *row = find_row(verb);
	bool rcpt = row != NULL && row->check == check_rcpt && clean;

	if (s->pending > 0 && (!rcpt || s->pending >= PST_SMTP_PENDING_MAX))
		return STEP_WAIT;
	if (row == NULL && speaks_http(verb))
		return pst_smtp_server_refuse_and_close(s, out, &http, ev);
	if (looks_like_bdat(line) && (row == NULL || !clean))
		return pst_smtp_server_refuse_and_close(s, out, &unreadable_chunk, ev);
	if (row != NULL && (row->flags & NOTHING_BEHIND) && more)
		return pst_smtp_server_refuse_and_close(s, out, &early, ev);
	if (must_be_tls(s) && (row == NULL || !(row->flags & IN_CLEAR)))
		return pst_smtp_server_refuse(s, out, &tls_first);
	if (row == NULL)
		return pst_smtp_server_refuse(s, out, clean ? &unknown : &garbage);
	if (!clean)
		return pst_smtp_server_refuse(s, out, &dirty);
	if (!in_order(s, row->flags, args, &no) ||
		(row->check != NULL && !row->check(s, args, ev, &no)))
		return s->pending > 0 ? STEP_WAIT : pst_smtp_server_refuse(s, out, &no);
	return perform(s, row, args, used, out, ev);
}

/* RFC 5321 4.5.3.1.4, features T11: an oversized line is discarded up to its own CRLF. */
static enum smtp_step
discard_line(
	struct pst_smtp_server *s, const uint8_t *in, size_t n, size_t *used, struct pst_buf *out)
{
	static const struct smtp_no no = {500, "5.5.2", "line too long"};
	size_t end = pst_smtp_line_end(in, n);
	if (end == n) {
		*used = n > 0 && in[n - 1] == '\r' ? n - 1 : n;
		return STEP_WAIT;
	}
	enum smtp_step st = pst_smtp_server_refuse(s, out, &no);
	if (st != STEP_FULL) {
		s->skip_line = false;
		*used = end + 2;
	}
	return st;
}

enum smtp_step
pst_smtp_server_command(struct pst_smtp_server *s, const uint8_t *in, size_t n, size_t *used,
	struct pst_buf *out, struct pst_smtp_server_event *ev)
{
	static const struct smtp_no tls = {554, "5.5.0", "this is not SMTP"};
	if (s->skip_line)
		return discard_line(s, in, n, used, out);
	size_t look = PST_MIN(n, (size_t)PST_SMTP_LINE_MAX);
	size_t end = pst_smtp_line_end(in, look);
	if (end == look) {
		/* A TLS record where SMTP was meant (RFC 8446 5.1): no CRLF is going to come. */
		if (n > 0 && in[0] == 0x16 && s->helo == NULL)
			return pst_smtp_server_refuse_and_close(s, out, &tls, ev);
		if (n < PST_SMTP_LINE_MAX || s->pending > 0)
			return STEP_WAIT;
		if (looks_like_bdat(pst_span(in, look)))
			return pst_smtp_server_refuse_and_close(s, out, &unreadable_chunk, ev);
		s->skip_line = true;
		return STEP_ON;
	}
	size_t line = end + 2;
	*used = line;
	enum smtp_step st = handle_line(s, pst_span(in, end), n > line, used, out, ev);
	if (st == STEP_WAIT || st == STEP_FULL)
		*used = 0;
	return st;
}
