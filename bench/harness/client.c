/* SPDX-License-Identifier: BSD-3-Clause */
#include "client.h"

#include <stdio.h>
#include <stdlib.h>

#define IN_MAX     (64 * 1024)
#define OUT_MAX    (4 * 1024)
#define BODY_PIECE (64 * 1024) /* of one step: what TCP is given at once */

void
gen_client_init(struct gen_client *c, const struct gen_client_conf *conf, struct gen_figures *fig,
	uint32_t slot, uint64_t intended)
{
	*c = (struct gen_client){.conf = conf,
		.fig = fig,
		.slot = slot,
		.left = conf->messages,
		.intended = intended,
		.phase = intended};
	pst_smtp_client_init(&c->smtp);
	pst_buf_init(&c->in, IN_MAX);
	pst_buf_init(&c->out, OUT_MAX);
	if (!fig->frozen)
		fig->begun++;
}

void
gen_client_fini(struct gen_client *c)
{
	if (c->state == GEN_CLIENT_HELD)
		c->fig->held--;
	stream_fini(&c->st);
	pst_smtp_client_fini(&c->smtp);
	pst_buf_fini(&c->in);
	pst_buf_fini(&c->out);
}

/* ---- figures ---- */

static void
took(const struct gen_client *c, struct pst_hist *h, uint64_t since, uint64_t now)
{
	if (h != NULL && !c->fig->frozen)
		pst_hist_record(h, now > since ? now - since : 0);
}

static enum gen_rc
fail(struct gen_client *c, const char *what, const char *text)
{
	if (c->state == GEN_CLIENT_HELD)
		c->fig->held--;
	c->state = GEN_CLIENT_OVER;
	snprintf(c->why, sizeof(c->why), "%s: %.80s", what, text);
	snprintf(c->fig->why, sizeof(c->fig->why), "%s", c->why);
	if (!c->fig->frozen)
		c->fig->failed++;
	return GEN_FAILED;
}

void
gen_client_lost(struct gen_client *c, const char *why)
{
	if (c->state != GEN_CLIENT_OVER)
		(void)fail(c, "connection", why);
}

static enum gen_rc
finish(struct gen_client *c, uint64_t now)
{
	c->state = GEN_CLIENT_OVER;
	if (c->fig->frozen)
		return GEN_DONE;
	c->fig->done++;
	took(c, c->fig->session, c->intended, now);
	return GEN_DONE;
}

static void
message_over(struct gen_client *c, uint64_t now, const struct pst_smtp_reply *r)
{
	bool ok = r->code >= 200 && r->code < 300;

	c->left--;
	if (c->fig->frozen)
		return;
	c->fig->messages += ok;
	c->fig->refused += !ok;
	if (ok)
		c->fig->bytes += c->conf->body_len;
	took(c, c->fig->message, c->phase, now);
}

/* ---- what it says ---- */

static struct pst_smtp_path
path(const char *addr)
{
	const char *at = strchr(addr, '@');

	return (struct pst_smtp_path){.addr = pst_span_str(addr),
		.local = at != NULL ? pst_span(addr, (size_t)(at - addr)) : pst_span_str(addr),
		.domain = at != NULL ? pst_span_str(at + 1) : pst_span(NULL, 0)};
}

static void
say_ehlo(struct gen_client *c)
{
	(void)pst_smtp_client_ehlo(&c->smtp, &c->out, c->conf->helo);
}

static void
say_rcpt(struct gen_client *c)
{
	struct pst_smtp_rcpt r = {.to = path(c->conf->to)};

	(void)pst_smtp_client_rcpt(&c->smtp, &c->out, &r);
}

static bool
pipelines(const struct gen_client *c)
{
	return c->conf->pipelining && (c->smtp.keywords & PST_SMTP_PIPELINING) != 0;
}

static void
begin_message(struct gen_client *c, uint64_t now)
{
	struct pst_smtp_mail m = {
		.from = path(c->conf->from), .has_size = true, .size = c->conf->body_len};

	c->phase = now;
	c->refused = false;
	(void)pst_smtp_client_mail(&c->smtp, &c->out, &m);
	if (pipelines(c)) {
		say_rcpt(c);
		(void)pst_smtp_client_data(&c->smtp, &c->out);
	}
}

/* Between messages. */
static void
go_on(struct gen_client *c, uint64_t now)
{
	if (c->left > 0) {
		begin_message(c, now);
	} else if (c->conf->hold) {
		c->state = GEN_CLIENT_HELD;
		c->fig->held++;
	} else {
		(void)pst_smtp_client_quit(&c->smtp, &c->out);
	}
}

void
gen_client_release(struct gen_client *c)
{
	if (c->state != GEN_CLIENT_HELD)
		return;
	c->fig->held--;
	c->state = GEN_CLIENT_TALK;
	(void)pst_smtp_client_quit(&c->smtp, &c->out);
}

/* ---- what it hears ---- */

static enum gen_rc
start_tls(struct gen_client *c, uint64_t now)
{
	char key[16];
	int n = snprintf(key, sizeof(key), "%u", c->slot);

	c->state = GEN_CLIENT_TLS;
	c->phase = now;
	if (stream_start_tls(&c->st, c->conf->ctx, c->conf->cache, pst_span(key, (size_t)n)) !=
		PST_OK)
		return fail(c, "TLS", "no memory");
	return GEN_WAIT;
}

void
gen_client_connected(struct gen_client *c, uint64_t now)
{
	took(c, c->fig->connect, c->intended, now);
	c->state = GEN_CLIENT_TALK;
	if (c->conf->tls == GEN_TLS_IMPLICIT)
		(void)start_tls(c, now);
}

static enum gen_rc
refused(struct gen_client *c, const struct pst_smtp_client_event *ev)
{
	char text[64];

	snprintf(text, sizeof(text), "%u %.*s", ev->reply.code,
		(int)PST_MIN(ev->reply.text.n, (size_t)50), (const char *)ev->reply.text.p);
	return fail(c, pst_smtp_cmd_name(ev->cmd), text);
}

/* A no within a message ends that message; DATA's may still come, and is then answered by a dot. */
static void
on_envelope(struct gen_client *c, const struct pst_smtp_client_event *ev, uint64_t now)
{
	bool ok = ev->reply.code < 400;

	c->refused |= !ok;
	if (ev->cmd == PST_SMTP_CMD_DATA) {
		if (ok) {
			c->state = GEN_CLIENT_BODY;
			c->sent = c->refused ? c->conf->body_len - 3 : 0;
			return;
		}
		message_over(c, now, &ev->reply);
		if (c->left > 0)
			(void)pst_smtp_client_rset(&c->smtp, &c->out);
		else
			go_on(c, now);
	} else if (pipelines(c)) {
		return;
	} else if (!ok) {
		message_over(c, now, &ev->reply);
		(void)pst_smtp_client_rset(&c->smtp, &c->out);
	} else if (ev->cmd == PST_SMTP_CMD_MAIL) {
		say_rcpt(c);
	} else {
		(void)pst_smtp_client_data(&c->smtp, &c->out);
	}
}

static enum gen_rc
on_reply(struct gen_client *c, const struct pst_smtp_client_event *ev, uint64_t now)
{
	switch (ev->cmd) {
	case PST_SMTP_CMD_GREETING:
	case PST_SMTP_CMD_EHLO:
	case PST_SMTP_CMD_STARTTLS:
		if (ev->reply.code >= 300)
			return refused(c, ev);
		if (ev->cmd == PST_SMTP_CMD_GREETING)
			say_ehlo(c);
		else if (ev->cmd == PST_SMTP_CMD_STARTTLS)
			return start_tls(c, now);
		else if (c->conf->tls == GEN_TLS_STARTTLS && !c->secured)
			(void)pst_smtp_client_starttls(&c->smtp, &c->out);
		else
			go_on(c, now);
		return GEN_WAIT;
	case PST_SMTP_CMD_MAIL:
	case PST_SMTP_CMD_RCPT:
	case PST_SMTP_CMD_DATA:
		on_envelope(c, ev, now);
		return GEN_WAIT;
	case PST_SMTP_CMD_DOT:
		message_over(c, now, &ev->reply);
		go_on(c, now);
		return GEN_WAIT;
	case PST_SMTP_CMD_QUIT:
		return finish(c, now);
	default:
		go_on(c, now); /* RSET after a refusal */
		return GEN_WAIT;
	}
}

static enum gen_rc
hear(struct gen_client *c, uint64_t now)
{
	enum gen_rc rc = GEN_WAIT;

	while (rc == GEN_WAIT && c->state == GEN_CLIENT_TALK) {
		struct pst_span in = pst_buf_span(&c->in);
		struct pst_smtp_client_event ev;
		const char *why = "";
		size_t used = 0;
		enum pst_rc got = pst_smtp_client_next(&c->smtp, in.p, in.n, &used, &ev, &why);

		if (got == PST_OK)
			rc = on_reply(c, &ev, now);
		pst_buf_consume(&c->in, used);
		if (got == PST_AGAIN)
			return GEN_WAIT;
		if (got != PST_OK)
			return fail(c, "SMTP", why);
	}
	return rc;
}

/* ---- the step ---- */

static enum gen_rc
step_tls(struct gen_client *c, struct gen_io *io, uint64_t now)
{
	enum pst_rc rc = stream_handshake(&c->st, io);
	struct pst_tls_info info;

	if (rc == PST_AGAIN)
		return GEN_WAIT;
	if (rc != PST_OK)
		return fail(c, "TLS", stream_error(&c->st));
	took(c, c->fig->handshake, c->phase, now);
	pst_tls_info(c->st.tls, &info);
	if (!c->fig->frozen) {
		c->fig->full += !info.resumed;
		c->fig->resumed += info.resumed;
	}
	c->secured = true;
	c->state = GEN_CLIENT_TALK;
	pst_smtp_client_forget(&c->smtp);
	if (c->conf->tls == GEN_TLS_STARTTLS)
		say_ehlo(c);
	return GEN_WAIT;
}

static enum gen_rc
listen_to(struct gen_client *c, struct gen_io *io, uint64_t now)
{
	static __thread uint8_t scratch[STREAM_READ_MAX];
	enum gen_rc rc = GEN_WAIT;
	struct pst_span got;
	enum pst_rc read;

	/* Behind the 220 to STARTTLS nothing is read as text any more. */
	while (rc == GEN_WAIT && c->state != GEN_CLIENT_TLS &&
		(read = stream_read(&c->st, io, scratch, &got)) != PST_AGAIN) {
		if (read == PST_EOF)
			return fail(c, "connection", "closed by the server");
		if (read != PST_OK)
			return fail(c, "connection", stream_error(&c->st));
		if (pst_buf_append(&c->in, got.p, got.n) != PST_OK)
			return fail(c, "SMTP", "a reply without end");
		rc = hear(c, now);
	}
	return rc;
}

static enum gen_rc
speak(struct gen_client *c, struct gen_io *io)
{
	struct pst_span s = pst_buf_span(&c->out);

	if (c->state == GEN_CLIENT_TLS || s.n == 0)
		return GEN_WAIT;
	if (stream_room(&c->st, io) < s.n)
		return GEN_MORE;
	if (stream_write(&c->st, io, s.p, s.n) != PST_OK)
		return fail(c, "TLS", stream_error(&c->st));
	pst_buf_consume(&c->out, s.n);
	return GEN_WAIT;
}

static enum gen_rc
send_body(struct gen_client *c, struct gen_io *io)
{
	size_t n = PST_MIN(c->conf->body_len - c->sent, stream_room(&c->st, io));

	n = PST_MIN(n, (size_t)BODY_PIECE);
	if (n > 0 && stream_write(&c->st, io, c->conf->body + c->sent, n) != PST_OK)
		return fail(c, "TLS", stream_error(&c->st));
	c->sent += n;
	if (c->sent < c->conf->body_len)
		return GEN_MORE;
	c->state = GEN_CLIENT_TALK;
	(void)pst_smtp_client_dot(&c->smtp);
	return GEN_WAIT;
}

enum gen_rc
gen_client_step(struct gen_client *c, struct gen_io *io, uint64_t now)
{
	enum gen_rc rc = GEN_WAIT;

	if (c->state == GEN_CLIENT_CONNECT)
		return GEN_WAIT;
	if (c->state == GEN_CLIENT_TLS)
		rc = step_tls(c, io, now);
	if (rc == GEN_WAIT && c->state != GEN_CLIENT_TLS)
		rc = listen_to(c, io, now);
	if (rc == GEN_WAIT)
		rc = speak(c, io);
	if (rc == GEN_WAIT && c->state == GEN_CLIENT_BODY)
		rc = send_body(c, io);
	/* The reply may have started TLS: its first flight leaves in the same step. */
	if (rc == GEN_WAIT && c->state == GEN_CLIENT_TLS && io->out_len == 0)
		rc = step_tls(c, io, now);
	if (rc == GEN_DONE)
		stream_shutdown(&c->st, io);
	return rc;
}

/* ---- messages ---- */

uint8_t *
gen_message(size_t size, const char *from, const char *to, size_t *len)
{
	static const char line[] =
		"The quick brown fox jumps over the lazy dog, and does so once more.\r\n";
	size_t cap = size + 512, n;
	uint8_t *m = malloc(cap);

	if (m == NULL)
		return NULL;
	n = (size_t)snprintf((char *)m, cap,
		"From: <%s>\r\nTo: <%s>\r\nSubject: measurement\r\n"
		"Date: Thu, 01 Jan 2026 00:00:00 +0000\r\nMessage-ID: <1@bench.example>\r\n\r\n",
		from, to);
	while (n < size) {
		size_t part = PST_MIN(sizeof(line) - 1, size - n);

		memcpy(m + n, line, part);
		n += part;
	}
	if (m[n - 1] == '\r') /* a line cut between its CR and LF */
		m[n - 1] = '.';
	if (m[n - 1] != '\n') {
		memcpy(m + n, "\r\n", 2);
		n += 2;
	}
	memcpy(m + n, ".\r\n", 3);
	*len = n + 3;
	return m;
}
