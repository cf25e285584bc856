/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The client side: what is sent. Reading is in client_reply.c.
 *
 * Each command is put together in one piece from parsed values, appended whole and
 * only then queued as outstanding; a queue or buffer that is full changes nothing.
 * The parser let no control byte into a value; that is checked again here, since a
 * CRLF in one would be a command of the next hop's (features T6).
 */
#include "client_int.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define COMMAND_MAX 2048

void
pst_smtp_client_init(struct pst_smtp_client *c)
{
	*c = (struct pst_smtp_client){0};
	pst_smtp_client_push(c, PST_SMTP_CMD_GREETING);
}

void
pst_smtp_client_fini(struct pst_smtp_client *c)
{
	free(c->scratch);
	c->scratch = NULL;
}

void
pst_smtp_client_forget(struct pst_smtp_client *c)
{
	/* RFC 3207 4.2: "the client MUST discard any knowledge obtained from the server". */
	c->esmtp = false;
	c->keywords = 0;
	c->max_size = 0;
}

const char *
pst_smtp_cmd_name(enum pst_smtp_cmd cmd)
{
	static const char *const names[] = {
		[PST_SMTP_CMD_GREETING] = "greeting",
		[PST_SMTP_CMD_EHLO] = "EHLO",
		[PST_SMTP_CMD_HELO] = "HELO",
		[PST_SMTP_CMD_STARTTLS] = "STARTTLS",
		[PST_SMTP_CMD_MAIL] = "MAIL",
		[PST_SMTP_CMD_RCPT] = "RCPT",
		[PST_SMTP_CMD_DATA] = "DATA",
		[PST_SMTP_CMD_DOT] = "end of data",
		[PST_SMTP_CMD_RSET] = "RSET",
		[PST_SMTP_CMD_NOOP] = "NOOP",
		[PST_SMTP_CMD_QUIT] = "QUIT",
	};
	return (unsigned)cmd < PST_COUNT(names) ? names[cmd] : "?";
}

bool
pst_smtp_client_push(struct pst_smtp_client *c, enum pst_smtp_cmd cmd)
{
	if (c->count == PST_SMTP_CLIENT_QUEUE)
		return false;
	c->queue[(c->head + c->count) % PST_SMTP_CLIENT_QUEUE] = (uint8_t)cmd;
	c->count++;
	return true;
}

/* A command under construction; `full` sticks. */
struct command {
	char text[COMMAND_MAX];
	size_t n;
	bool full;
};

static void PST_PRINTF(2, 3) add(struct command *cmd, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(cmd->text + cmd->n, sizeof(cmd->text) - cmd->n, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof(cmd->text) - cmd->n)
		cmd->full = true;
	else
		cmd->n += (size_t)n;
}

static enum pst_rc
send(struct pst_smtp_client *c, struct pst_buf *out, enum pst_smtp_cmd what, struct command *cmd)
{
	struct pst_span text = pst_span(cmd->text, cmd->n);
	if (cmd->full || !pst_smtp_line_clean(text))
		return PST_INVAL;
	if (c->count == PST_SMTP_CLIENT_QUEUE)
		return PST_AGAIN;
	add(cmd, "\r\n");
	if (cmd->full)
		return PST_INVAL;
	enum pst_rc rc = pst_buf_append(out, cmd->text, cmd->n);
	if (rc == PST_OK)
		pst_smtp_client_push(c, what);
	return rc;
}

static enum pst_rc
send_word(struct pst_smtp_client *c, struct pst_buf *out, enum pst_smtp_cmd what, const char *arg)
{
	struct command cmd = {.n = 0};
	add(&cmd, "%s%s%s", pst_smtp_cmd_name(what), *arg == '\0' ? "" : " ", arg);
	return send(c, out, what, &cmd);
}

enum pst_rc
pst_smtp_client_ehlo(struct pst_smtp_client *c, struct pst_buf *out, const char *name)
{
	return send_word(c, out, PST_SMTP_CMD_EHLO, name);
}

enum pst_rc
pst_smtp_client_helo(struct pst_smtp_client *c, struct pst_buf *out, const char *name)
{
	return send_word(c, out, PST_SMTP_CMD_HELO, name);
}

enum pst_rc
pst_smtp_client_starttls(struct pst_smtp_client *c, struct pst_buf *out)
{
	return send_word(c, out, PST_SMTP_CMD_STARTTLS, "");
}

enum pst_rc
pst_smtp_client_data(struct pst_smtp_client *c, struct pst_buf *out)
{
	return send_word(c, out, PST_SMTP_CMD_DATA, "");
}

enum pst_rc
pst_smtp_client_rset(struct pst_smtp_client *c, struct pst_buf *out)
{
	return send_word(c, out, PST_SMTP_CMD_RSET, "");
}

enum pst_rc
pst_smtp_client_noop(struct pst_smtp_client *c, struct pst_buf *out)
{
	return send_word(c, out, PST_SMTP_CMD_NOOP, "");
}

enum pst_rc
pst_smtp_client_quit(struct pst_smtp_client *c, struct pst_buf *out)
{
	return send_word(c, out, PST_SMTP_CMD_QUIT, "");
}

enum pst_rc
pst_smtp_client_dot(struct pst_smtp_client *c)
{
	return pst_smtp_client_push(c, PST_SMTP_CMD_DOT) ? PST_OK : PST_AGAIN;
}

/* A NUL would cut the value short in printf; everything else send() looks at. */
static bool
has_nul(struct pst_span s)
{
	return s.n > 0 && memchr(s.p, '\0', s.n) != NULL;
}

enum pst_rc
pst_smtp_client_mail(struct pst_smtp_client *c, struct pst_buf *out, const struct pst_smtp_mail *m)
{
	struct command cmd = {.n = 0};
	if (has_nul(m->from.addr) || has_nul(m->envid))
		return PST_INVAL;
	add(&cmd, "MAIL FROM:<%.*s>", PST_SPAN_FMT(m->from.addr));
	if (m->has_size && (c->keywords & PST_SMTP_SIZE))
		add(&cmd, " SIZE=%llu", (unsigned long long)m->size);
	if (m->body != PST_SMTP_BODY_NONE && (c->keywords & PST_SMTP_8BITMIME))
		add(&cmd, " BODY=%s", m->body == PST_SMTP_BODY_7BIT ? "7BIT" : "8BITMIME");
	if (m->smtputf8)
		add(&cmd, " SMTPUTF8");
	if (m->ret != PST_SMTP_RET_NONE && (c->keywords & PST_SMTP_DSN))
		add(&cmd, " RET=%s", m->ret == PST_SMTP_RET_FULL ? "FULL" : "HDRS");
	if (m->envid.n > 0 && (c->keywords & PST_SMTP_DSN))
		add(&cmd, " ENVID=%.*s", PST_SPAN_FMT(m->envid));
	return send(c, out, PST_SMTP_CMD_MAIL, &cmd);
}

static void
add_notify(struct command *cmd, unsigned notify)
{
	static const char *const words[] = {"NEVER", "SUCCESS", "FAILURE", "DELAY"};
	const char *sep = " NOTIFY=";
	for (unsigned i = 0; i < PST_COUNT(words); i++) {
		if (notify & (1u << i)) {
			add(cmd, "%s%s", sep, words[i]);
			sep = ",";
		}
	}
}

enum pst_rc
pst_smtp_client_rcpt(struct pst_smtp_client *c, struct pst_buf *out, const struct pst_smtp_rcpt *r)
{
	struct command cmd = {.n = 0};
	if (has_nul(r->to.addr) || has_nul(r->orcpt))
		return PST_INVAL;
	add(&cmd, "RCPT TO:<%.*s>", PST_SPAN_FMT(r->to.addr));
	if (c->keywords & PST_SMTP_DSN) {
		add_notify(&cmd, r->notify);
		if (r->orcpt.n > 0)
			add(&cmd, " ORCPT=%.*s", PST_SPAN_FMT(r->orcpt));
	}
	return send(c, out, PST_SMTP_CMD_RCPT, &cmd);
}

uint32_t
pst_smtp_client_lacks(const struct pst_smtp_client *c, const struct pst_smtp_mail *m)
{
	if (m->smtputf8 && !(c->keywords & PST_SMTP_SMTPUTF8))
		return PST_SMTP_SMTPUTF8;
	if (m->body == PST_SMTP_BODY_8BITMIME && !(c->keywords & PST_SMTP_8BITMIME))
		return PST_SMTP_8BITMIME;
	return 0;
}
