/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Dot transparency outbound, RFC 5321 4.5.2: "Before sending a line of mail text,
 * the SMTP client checks the first character of the line. If it is a period, one
 * additional period is inserted at the beginning of the line."
 *
 * The extra dot is written on its own and the state moves into the line, so a full
 * output buffer between the two dots needs no memory of its own.
 */
#include <pst_smtp.h>

enum { AT_LINE_START, IN_LINE, AFTER_CR };

/* How much of in can go out as it is: up to the next line that begins with a dot. */
static size_t
plain_run(struct pst_smtp_dot *d, const uint8_t *in, size_t n)
{
	const uint8_t *p = in, *end = in + n;
	while (p < end) {
		const uint8_t *nl = memchr(p, '\n', (size_t)(end - p));
		if (nl == NULL) {
			d->st = end[-1] == '\r' ? AFTER_CR : IN_LINE;
			return n;
		}
		bool crlf = nl > in ? nl[-1] == '\r' : d->st == AFTER_CR;
		d->st = crlf ? AT_LINE_START : IN_LINE;
		p = nl + 1;
		if (crlf && p < end && *p == '.')
			break;
	}
	return (size_t)(p - in);
}

size_t
pst_smtp_dot_encode(struct pst_smtp_dot *d, const uint8_t *in, size_t n, size_t *in_used,
	uint8_t *out, size_t cap)
{
	size_t i = 0, o = 0;
	while (i < n && o < cap) {
		if (d->st == AT_LINE_START && in[i] == '.') {
			out[o++] = '.';
			d->st = IN_LINE;
			continue;
		}
		size_t run = plain_run(d, in + i, PST_MIN(n - i, cap - o));
		memcpy(out + o, in + i, run);
		i += run;
		o += run;
	}
	*in_used = i;
	return o;
}

size_t
pst_smtp_dot_end(struct pst_smtp_dot *d, uint8_t out[PST_SMTP_DOT_END_MAX])
{
	/* A message without a last CRLF (BDAT) gets one: the dot stands on its own line. */
	const char *end = d->st == AT_LINE_START ? ".\r\n" : "\r\n.\r\n";
	size_t n = strlen(end);
	memcpy(out, end, n);
	d->st = AT_LINE_START;
	return n;
}
