/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The client side: what is read. Replies per RFC 5321 4.2, one line at a time, so a
 * long EHLO answer needs no buffer; strict in form (a server that breaks a reply's
 * frame is not one to hand mail to), tolerant in what it says.
 *
 * The next hop is not trusted more than a client: its text is shown to others only
 * without control bytes and as good UTF-8.
 */
#include "client_int.h"

#include <stdlib.h>

struct line {
	unsigned code;
	bool last;
	struct pst_span text;
};

/* Reply-line = Reply-code [ SP textstring ] / Reply-code "-" [ textstring ] */
static bool
parse_line(struct pst_span in, struct line *l)
{
	if (in.n < 3 || in.p[0] < '2' || in.p[0] > '5' || in.p[1] < '0' || in.p[1] > '5' ||
		in.p[2] < '0' || in.p[2] > '9')
		return false;
	l->code = (in.p[0] - '0') * 100u + (in.p[1] - '0') * 10u + (in.p[2] - '0');
	l->last = in.n == 3 || in.p[3] == ' ';
	l->text = in.n > 4 ? pst_smtp_span_from(in, 4) : pst_span(in.p + in.n, 0);
	return l->last || in.p[3] == '-';
}

/* One line, PST_AGAIN, or the reason why it is none. */
static enum pst_rc
read_line(const uint8_t *in, size_t n, size_t *len, struct line *l, const char **why)
{
	size_t look = PST_MIN(n, (size_t)PST_SMTP_REPLY_LINE_MAX);
	size_t end = pst_smtp_line_end(in, look);
	*why = NULL;
	if (end == look) {
		if (memchr(in, '\n', look) != NULL)
			*why = "bare newline in a reply";
		else if (n >= PST_SMTP_REPLY_LINE_MAX)
			*why = "reply line too long";
		return *why == NULL ? PST_AGAIN : PST_PEER;
	}
	*len = end + 2;
	if (memchr(in, '\n', end) != NULL)
		*why = "bare newline in a reply";
	else if (!parse_line(pst_span(in, end), l))
		*why = "not an SMTP reply";
	return *why == NULL ? PST_OK : PST_PEER;
}

/* One clean character, or the byte that is none. */
static size_t
clean_len(struct pst_span s)
{
	if (s.p[0] < 0x20 || s.p[0] == 0x7f)
		return 0;
	return pst_smtp_utf8_len(s.p, s.n);
}

static struct pst_span
sanitise(struct pst_smtp_client *c, struct pst_span text)
{
	size_t clean = 0, len;
	while (clean < text.n && (len = clean_len(pst_smtp_span_from(text, clean))) > 0)
		clean += len;
	if (clean == text.n)
		return text;
	if (c->scratch == NULL)
		c->scratch = malloc(PST_SMTP_REPLY_LINE_MAX);
	if (c->scratch == NULL)
		return pst_span(text.p, clean);
	for (size_t i = 0; i < text.n; i += len) {
		len = clean_len(pst_smtp_span_from(text, i));
		if (len > 0) {
			memcpy(c->scratch + i, text.p + i, len);
			continue;
		}
		c->scratch[i] = '?';
		len = 1;
	}
	return pst_span(c->scratch, text.n);
}

/* ehlo-line = ehlo-keyword *( SP ehlo-param ); "AUTH=LOGIN" style is harmless. */
static void
learn_keyword(struct pst_smtp_client *c, struct pst_span text)
{
	text = pst_smtp_span_trim(text);
	const uint8_t *sp = text.n == 0 ? NULL : memchr(text.p, ' ', text.n);
	struct pst_span word = sp == NULL ? text : pst_span(text.p, (size_t)(sp - text.p));
	struct pst_span arg = pst_smtp_span_trim(pst_smtp_span_from(text, word.n));
	for (uint32_t k = 1; k <= PST_SMTP_CHUNKING; k <<= 1) {
		if (!pst_span_ieq_str(word, pst_smtp_keyword_name((enum pst_smtp_keyword)k)))
			continue;
		c->keywords |= k;
		if (k == PST_SMTP_SIZE && !pst_smtp_decimal(arg, &c->max_size))
			c->max_size = 0;
	}
}

static void
learn(struct pst_smtp_client *c, const struct line *l)
{
	if (c->lines == 0) {
		pst_smtp_client_forget(c);
		c->esmtp = l->code / 100 == 2;
	} else if (c->esmtp) {
		learn_keyword(c, l->text); /* the first line is a greeting, no keyword */
	}
}

/* Which first digits a reply to cmd may have (RFC 5321 4.3.2). */
static bool
class_fits(enum pst_smtp_cmd cmd, unsigned code)
{
	unsigned class = code / 100;
	return class >= 4 || class == (cmd == PST_SMTP_CMD_DATA ? 3 : 2);
}

static enum pst_rc
unasked(const struct line *l, const char **why)
{
	*why = l->code == 421 ? "the server closes the session (421)" : "a reply nobody asked for";
	return l->code == 421 ? PST_EOF : PST_PEER;
}

/* A line, into the reply it belongs to. PST_AGAIN: the reply goes on. */
static enum pst_rc
take_line(struct pst_smtp_client *c, const struct line *l, struct pst_smtp_client_event *ev,
	const char **why)
{
	if (c->count == 0 || c->early)
		return unasked(l, why);
	enum pst_smtp_cmd cmd = (enum pst_smtp_cmd)c->queue[c->head];
	*why = NULL;
	if (c->lines > 0 && l->code != c->code)
		*why = "a reply with different codes";
	else if (c->lines >= PST_SMTP_REPLY_LINES_MAX)
		*why = "a reply with too many lines";
	else if (!class_fits(cmd, l->code))
		*why = "a reply that does not fit its command";
	if (*why != NULL)
		return PST_PEER;
	if (cmd == PST_SMTP_CMD_EHLO)
		learn(c, l);
	c->code = (uint16_t)l->code;
	c->lines++;
	if (!l->last)
		return PST_AGAIN;
	c->lines = 0;
	c->head = (c->head + 1) % PST_SMTP_CLIENT_QUEUE;
	c->count--;
	*ev = (struct pst_smtp_client_event){.cmd = cmd, .reply.code = c->code};
	size_t skip = pst_smtp_enh_parse(l->text, l->code, ev->reply.enh);
	ev->reply.text = sanitise(c, pst_smtp_span_from(l->text, skip));
	return PST_OK;
}

enum pst_rc
pst_smtp_client_next(struct pst_smtp_client *c, const uint8_t *in, size_t n, size_t *used,
	struct pst_smtp_client_event *ev, const char **why)
{
	struct line l;
	size_t len;
	*used = 0;
	*why = NULL;
	while (*used < n) {
		enum pst_rc rc = read_line(in + *used, n - *used, &len, &l, why);
		if (rc != PST_OK)
			return rc;
		rc = take_line(c, &l, ev, why);
		if (rc != PST_OK && rc != PST_AGAIN)
			return rc;
		*used += len;
		if (rc == PST_OK) {
			/* T2: what is here already cannot answer what is asked from now on. */
			c->early = c->count == 0 && *used < n;
			return PST_OK;
		}
	}
	return PST_AGAIN;
}
