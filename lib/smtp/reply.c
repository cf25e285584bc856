/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Replies: writing them (RFC 5321 4.2) and the enhanced codes in them (RFC 2034,
 * RFC 3463). A reply is appended whole or not at all.
 */
#include "smtp_int.h"

#include <stdio.h>

#define LINE_MAX_ 512 /* RFC 5321 4.5.3.1.5, with CRLF */

const char *
pst_smtp_keyword_name(enum pst_smtp_keyword k)
{
	switch (k) {
	case PST_SMTP_PIPELINING:
		return "PIPELINING";
	case PST_SMTP_SIZE:
		return "SIZE";
	case PST_SMTP_8BITMIME:
		return "8BITMIME";
	case PST_SMTP_ENHANCEDSTATUSCODES:
		return "ENHANCEDSTATUSCODES";
	case PST_SMTP_STARTTLS:
		return "STARTTLS";
	case PST_SMTP_SMTPUTF8:
		return "SMTPUTF8";
	case PST_SMTP_DSN:
		return "DSN";
	case PST_SMTP_CHUNKING:
		return "CHUNKING";
	}
	return "?";
}

const char *
pst_smtp_enh_text(const struct pst_smtp_reply *r, char buf[PST_SMTP_ENH_TEXT])
{
	if (r->enh[0] == 0)
		return NULL;
	snprintf(buf, PST_SMTP_ENH_TEXT, "%u.%u.%u", r->enh[0], r->enh[1], r->enh[2]);
	return buf;
}

size_t
pst_smtp_enh_parse(struct pst_span text, unsigned code, uint8_t enh[3])
{
	uint8_t v[3];
	size_t i = 0;
	for (unsigned part = 0; part < 3; part++) {
		unsigned sum = 0;
		size_t begin = i;
		for (; i < text.n && i - begin < 3 && text.p[i] >= '0' && text.p[i] <= '9'; i++)
			sum = sum * 10 + (text.p[i] - '0');
		if (i == begin || (part < 2 && (i == text.n || text.p[i++] != '.')))
			return 0;
		v[part] = (uint8_t)PST_MIN(sum, 255u);
	}
	if (i < text.n && text.p[i] != ' ')
		return 0;
	/* RFC 2034 section 4: the class digit must agree with the reply code's first. */
	if (v[0] != code / 100 || (v[0] != 2 && v[0] != 4 && v[0] != 5))
		return 0;
	memcpy(enh, v, sizeof(v));
	return i < text.n ? i + 1 : i;
}

static size_t
put_text(uint8_t *to, struct pst_span text, bool eight_bit)
{
	for (size_t i = 0; i < text.n; i++) {
		uint8_t c = text.p[i];
		bool bad = c < 0x20 || c == 0x7f || (c >= 0x80 && !eight_bit);
		to[i] = bad ? '?' : c;
	}
	return text.n;
}

/* Where a line of text must stop to fit, not in the middle of a UTF-8 sequence. */
static size_t
clip(struct pst_span text, size_t max)
{
	if (text.n <= max)
		return text.n;
	while (max > 0 && (text.p[max] & 0xc0) == 0x80)
		max--;
	return max;
}

static struct pst_span
cut_line(struct pst_span *text, bool *last)
{
	const uint8_t *nl = text->n == 0 ? NULL : memchr(text->p, '\n', text->n);
	struct pst_span line = *text;
	*last = nl == NULL;
	if (nl != NULL) {
		line.n = (size_t)(nl - text->p);
		*text = pst_smtp_span_from(*text, line.n + 1);
	}
	return line;
}

static size_t
put_line(uint8_t *to, unsigned code, const char *enh, struct pst_span line, bool last,
	bool eight_bit)
{
	size_t n = (size_t)sprintf((char *)to, "%03u%c", code % 1000, last ? ' ' : '-');
	if (enh != NULL)
		n += (size_t)snprintf((char *)to + n, PST_SMTP_ENH_TEXT + 1, "%s ", enh);
	line.n = clip(line, LINE_MAX_ - 2 - n);
	n += put_text(to + n, line, eight_bit);
	while (last && to[n - 1] == ' ')
		n--;
	memcpy(to + n, "\r\n", 2);
	return n + 2;
}

enum pst_rc
pst_smtp_reply_put_span(
	struct pst_buf *out, unsigned code, const char *enh, struct pst_span text, bool eight_bit)
{
	uint8_t line[LINE_MAX_ + 1];
	size_t before = pst_buf_len(out);
	bool last;
	do {
		/* RFC 2034 section 4: every line of a multi-line reply has the same code. */
		struct pst_span part = cut_line(&text, &last);
		size_t n = put_line(line, code, enh, part, last, eight_bit);
		enum pst_rc rc = pst_buf_append(out, line, n);
		if (rc != PST_OK) {
			pst_buf_truncate(out, before);
			return rc;
		}
	} while (!last);
	return PST_OK;
}

enum pst_rc
pst_smtp_reply_put(struct pst_buf *out, unsigned code, const char *enh, const char *text)
{
	return pst_smtp_reply_put_span(out, code, enh, pst_span_str(text), true);
}

enum pst_rc
pst_smtp_reply_put_reply(struct pst_buf *out, const struct pst_smtp_reply *r)
{
	char enh[PST_SMTP_ENH_TEXT];
	return pst_smtp_reply_put_span(out, r->code, pst_smtp_enh_text(r, enh), r->text, true);
}
