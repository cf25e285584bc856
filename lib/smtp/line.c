/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Lines and characters. Only CRLF ends a line: RFC 5321 2.3.8 "Conforming
 * implementations MUST NOT recognize or generate any other character or character
 * sequence as a line terminator." Whoever bends this opens the door to smuggling.
 */
#include "smtp_int.h"

bool
pst_smtp_is_alnum(uint8_t c)
{
	return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

static bool
continuation(uint8_t c, uint8_t lo, uint8_t hi)
{
	return c >= lo && c <= hi;
}

size_t
pst_smtp_utf8_len(const uint8_t *p, size_t n)
{
	/* RFC 3629 section 4: no overlong forms, no surrogates, nothing beyond U+10FFFF. */
	static const struct {
		uint8_t first, last, lo, hi, len;
	} rows[] = {
		{0x00, 0x7f, 0, 0, 1},
		{0xc2, 0xdf, 0x80, 0xbf, 2},
		{0xe0, 0xe0, 0xa0, 0xbf, 3},
		{0xe1, 0xec, 0x80, 0xbf, 3},
		{0xed, 0xed, 0x80, 0x9f, 3},
		{0xee, 0xef, 0x80, 0xbf, 3},
		{0xf0, 0xf0, 0x90, 0xbf, 4},
		{0xf1, 0xf3, 0x80, 0xbf, 4},
		{0xf4, 0xf4, 0x80, 0x8f, 4},
	};
	for (size_t i = 0; n > 0 && i < PST_COUNT(rows); i++) {
		if (p[0] < rows[i].first || p[0] > rows[i].last)
			continue;
		if (n < rows[i].len)
			return 0;
		if (rows[i].len > 1 && !continuation(p[1], rows[i].lo, rows[i].hi))
			return 0;
		for (size_t k = 2; k < rows[i].len; k++)
			if (!continuation(p[k], 0x80, 0xbf))
				return 0;
		return rows[i].len;
	}
	return 0;
}

size_t
pst_smtp_line_end(const uint8_t *p, size_t n)
{
	const uint8_t *end = p + n, *at = p;
	while (at < end && (at = memchr(at, '\n', (size_t)(end - at))) != NULL) {
		if (at > p && at[-1] == '\r')
			return (size_t)(at - p) - 1;
		at++;
	}
	return n;
}

bool
pst_smtp_line_clean(struct pst_span line)
{
	for (size_t i = 0; i < line.n; i++)
		if (line.p[i] < 0x20 || line.p[i] == 0x7f)
			return false;
	return true;
}

bool
pst_smtp_span_8bit(struct pst_span s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] >= 0x80)
			return true;
	return false;
}

struct pst_span
pst_smtp_span_from(struct pst_span s, size_t at)
{
	return pst_span(s.p + at, s.n - at);
}

struct pst_span
pst_smtp_span_trim(struct pst_span s)
{
	while (s.n > 0 && s.p[0] == ' ')
		s = pst_smtp_span_from(s, 1);
	while (s.n > 0 && s.p[s.n - 1] == ' ')
		s.n--;
	return s;
}
