/* SPDX-License-Identifier: BSD-3-Clause */
#include "sink.h"

#include <stdio.h>

#define SINK_LINE_MAX 2048
#define OUT_MAX       (16 * 1024)

enum state { GREET, TLS, COMMAND, BODY, OVER };

void
gen_sink_init(struct gen_sink *k, const struct gen_sink_conf *conf, struct gen_sink_figures *fig)
{
	*k = (struct gen_sink){.conf = conf, .fig = fig};
	pst_buf_init(&k->in, SINK_LINE_MAX);
	pst_buf_init(&k->out, OUT_MAX);
	fig->sessions++;
}

void
gen_sink_fini(struct gen_sink *k)
{
	stream_fini(&k->st);
	pst_buf_fini(&k->in);
	pst_buf_fini(&k->out);
}

static enum gen_rc
fail(struct gen_sink *k, const char *why)
{
	k->state = OVER;
	k->fig->failed++;
	snprintf(k->fig->why, sizeof(k->fig->why), "next hop: %s", why);
	return GEN_FAILED;
}

static void
say(struct gen_sink *k, const char *text)
{
	(void)pst_buf_append_str(&k->out, text);
}

static void
greet(struct gen_sink *k)
{
	(void)pst_buf_printf(&k->out, "220 %s ESMTP\r\n", k->conf->hostname);
	k->state = COMMAND;
}

static enum gen_rc
begin_tls(struct gen_sink *k)
{
	k->tls = true;
	k->state = TLS;
	if (stream_start_tls(&k->st, k->conf->ctx, NULL, pst_span(NULL, 0)) != PST_OK)
		return fail(k, "no memory for TLS");
	return GEN_WAIT;
}

static void
on_ehlo(struct gen_sink *k)
{
	(void)pst_buf_printf(&k->out,
		"250-%s\r\n250-PIPELINING\r\n250-SIZE 0\r\n250-8BITMIME\r\n%s250-XCLIENT NAME ADDR "
		"PROTO HELO LOGIN\r\n250 ENHANCEDSTATUSCODES\r\n",
		k->conf->hostname,
		k->conf->tls == GEN_TLS_STARTTLS && !k->tls ? "250-STARTTLS\r\n" : "");
}

static void
on_line(struct gen_sink *k, struct pst_span line)
{
	struct pst_span verb = pst_span(line.p, PST_MIN(line.n, (size_t)4));

	if (pst_span_ieq_str(verb, "EHLO") || pst_span_ieq_str(verb, "HELO")) {
		on_ehlo(k);
	} else if (pst_span_ieq_str(verb, "STAR") && k->conf->tls == GEN_TLS_STARTTLS && !k->tls) {
		say(k, "220 2.0.0 go ahead\r\n");
		k->state = TLS; /* begins when the 220 is out */
	} else if (pst_span_ieq_str(verb, "DATA")) {
		say(k, "354 go ahead\r\n");
		k->state = BODY;
		k->dot = 2; /* an empty message's dot follows the command's own CRLF */
	} else if (pst_span_ieq_str(verb, "QUIT")) {
		say(k, "221 2.0.0 bye\r\n");
		k->state = OVER;
	} else if (pst_span_ieq_str(verb, "XCLI")) {
		k->state = GREET; /* begins anew, banner included */
		greet(k);
	} else {
		say(k, "250 2.0.0 Ok\r\n");
	}
}

/* Commands, up to the end of the bytes or to one that changes what follows. Bytes used. */
static size_t
take_lines(struct gen_sink *k, struct pst_span s)
{
	size_t used = 0;

	while (k->state == COMMAND && used < s.n) {
		const uint8_t *p = s.p + used, *nl = memchr(p, '\n', s.n - used);
		size_t n = nl != NULL ? (size_t)(nl - p) + 1 : s.n - used;

		used += n;
		if (nl == NULL || pst_buf_len(&k->in) > 0) {
			if (pst_buf_append(&k->in, p, n) != PST_OK)
				k->state = OVER;
			if (nl == NULL || k->state == OVER)
				break;
			on_line(k, pst_buf_span(&k->in));
			pst_buf_consume(&k->in, pst_buf_len(&k->in));
		} else {
			on_line(k, pst_span(p, n));
		}
	}
	return used;
}

/* Message bytes up to the end of the dot's line, which may come in pieces. Bytes used. */
static size_t
take_body(struct gen_sink *k, struct pst_span s)
{
	static const char end[] = "\r\n.\r\n";
	size_t i = 0;

	while (i < s.n && k->dot < 5) {
		if (s.p[i] == (uint8_t)end[k->dot]) {
			k->dot++;
			i++;
		} else if (k->dot > 0) {
			k->dot = 0; /* the byte itself may begin the end */
		} else {
			const uint8_t *cr = memchr(s.p + i, '\r', s.n - i);

			i = cr != NULL ? (size_t)(cr - s.p) : s.n;
		}
	}
	k->fig->bytes += i;
	if (k->dot == 5) {
		k->fig->messages++;
		say(k, "250 2.0.0 Ok\r\n");
		k->state = COMMAND;
	}
	return i;
}

static enum gen_rc
take(struct gen_sink *k, struct pst_span s)
{
	size_t used = 0;

	while (used < s.n && (k->state == COMMAND || k->state == BODY)) {
		struct pst_span rest = pst_span(s.p + used, s.n - used);

		used += k->state == BODY ? take_body(k, rest) : take_lines(k, rest);
	}
	if (k->state == TLS && used < s.n)
		return fail(k, "bytes behind STARTTLS");
	return GEN_WAIT;
}

static enum gen_rc
step_tls(struct gen_sink *k, struct gen_io *io)
{
	enum pst_rc rc = stream_handshake(&k->st, io);
	struct pst_tls_info info;

	if (rc == PST_AGAIN)
		return GEN_WAIT;
	if (rc != PST_OK)
		return fail(k, stream_error(&k->st));
	pst_tls_info(k->st.tls, &info);
	k->fig->full += !info.resumed;
	k->fig->resumed += info.resumed;
	k->state = COMMAND;
	if (k->conf->tls == GEN_TLS_IMPLICIT)
		greet(k);
	return GEN_WAIT;
}

static enum gen_rc
flush(struct gen_sink *k, struct gen_io *io)
{
	struct pst_span s = pst_buf_span(&k->out);

	if (s.n == 0 || k->st.handshaking)
		return GEN_WAIT;
	if (stream_room(&k->st, io) < s.n)
		return GEN_MORE;
	if (stream_write(&k->st, io, s.p, s.n) != PST_OK)
		return fail(k, stream_error(&k->st));
	pst_buf_consume(&k->out, s.n);
	return GEN_WAIT;
}

static enum gen_rc
read_all(struct gen_sink *k, struct gen_io *io)
{
	static __thread uint8_t scratch[STREAM_READ_MAX];
	struct pst_span got;
	enum gen_rc rc = GEN_WAIT;

	while (rc == GEN_WAIT && (k->state == COMMAND || k->state == BODY)) {
		enum pst_rc read = stream_read(&k->st, io, scratch, &got);

		if (read == PST_AGAIN)
			return GEN_WAIT;
		if (read == PST_EOF && k->state == COMMAND)
			k->state = OVER; /* without QUIT: not polite, but no loss */
		else if (read != PST_OK)
			return fail(k, stream_error(&k->st));
		else
			rc = take(k, got);
	}
	return rc;
}

enum gen_rc
gen_sink_step(struct gen_sink *k, struct gen_io *io)
{
	enum gen_rc rc = GEN_WAIT;

	if (k->state == GREET && k->conf->tls == GEN_TLS_IMPLICIT && !k->tls)
		rc = begin_tls(k);
	else if (k->state == GREET)
		greet(k);
	if (rc == GEN_WAIT && k->state == TLS && k->tls)
		rc = step_tls(k, io);
	if (rc == GEN_WAIT)
		rc = read_all(k, io);
	if (rc == GEN_WAIT)
		rc = flush(k, io);
	if (rc == GEN_WAIT && k->state == TLS && !k->tls)
		rc = begin_tls(k);
	if (rc == GEN_WAIT && k->state == OVER) {
		stream_shutdown(&k->st, io);
		return GEN_DONE;
	}
	return rc;
}
