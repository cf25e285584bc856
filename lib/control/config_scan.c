/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Knows just enough of JSON to follow brackets, keys and strings. Two uses:
 *
 *   before parsing   the recursive parser never meets more than DEPTH_MAX levels
 *   after an error   a byte offset becomes a JSON pointer
 *
 * Text that is not JSON is followed as far as it resembles it; the verdict on
 * syntax is the parser's. Keys are shown as written: escapes are not decoded.
 */
#include "config_scan.h"

#include <stdio.h>
#include <string.h>

struct level {
	bool object;
	bool key_done;   /* object: the colon was seen, a value is due */
	const char *key; /* object: the last key; NULL before it */
	size_t key_n;
	unsigned long index; /* array */
};

struct scan {
	unsigned depth; /* may exceed the array by one: too deep */
	struct level levels[PST_CONFIG_DEPTH_MAX];
};

size_t
pst_config_pointer_add(char *ptr, size_t len, size_t size, const char *key, size_t n)
{
	/* RFC 6901 3: '~' is written "~0" and '/' is written "~1". */
	if (len + 1 < size)
		ptr[len++] = '/';
	for (size_t i = 0; i < n && len + 2 < size; i++) {
		if (key[i] == '~' || key[i] == '/') {
			ptr[len++] = '~';
			ptr[len++] = key[i] == '~' ? '0' : '1';
		} else {
			ptr[len++] = key[i];
		}
	}
	ptr[len] = '\0';
	return len;
}

static void
write_pointer(const struct scan *s, char *ptr, size_t size)
{
	size_t len = 0;

	ptr[0] = '\0';
	for (unsigned i = 0; i < s->depth && i < PST_CONFIG_DEPTH_MAX; i++) {
		const struct level *l = &s->levels[i];
		char index[24];

		if (l->object && l->key != NULL)
			len = pst_config_pointer_add(ptr, len, size, l->key, l->key_n);
		else if (!l->object) {
			snprintf(index, sizeof(index), "%lu", l->index);
			len = pst_config_pointer_add(ptr, len, size, index, strlen(index));
		}
	}
}

/* p is behind the opening quote; returns the closing one, or end. */
static const char *
string_end(const char *p, const char *end)
{
	while (p < end && *p != '"')
		p += *p == '\\' && p + 1 < end ? 2 : 1;
	return p;
}

static bool
open_level(struct scan *s, bool object)
{
	if (s->depth == PST_CONFIG_DEPTH_MAX)
		return false;
	s->levels[s->depth++] = (struct level){.object = object};
	return true;
}

/* One byte outside strings. false: too deep. */
static bool
punctuation(struct scan *s, char c)
{
	struct level *top = s->depth > 0 ? &s->levels[s->depth - 1] : NULL;

	switch (c) {
	case '{':
	case '[':
		return open_level(s, c == '{');
	case '}':
	case ']':
		s->depth -= s->depth > 0;
		break;
	case ':':
		if (top != NULL)
			top->key_done = true;
		break;
	case ',':
		if (top != NULL) {
			top->key_done = false;
			top->key = NULL;
			top->index++;
		}
		break;
	default:
		break;
	}
	return true;
}

bool
pst_config_scan(const char *json, size_t n, char *ptr, size_t size)
{
	const char *end = json + n;
	struct scan s = {0};
	bool shallow = true;

	for (const char *p = json; p < end && shallow; p++) {
		struct level *top = s.depth > 0 ? &s.levels[s.depth - 1] : NULL;

		if (*p != '"') {
			shallow = punctuation(&s, *p);
			continue;
		}
		const char *close = string_end(p + 1, end);
		if (top != NULL && top->object && !top->key_done) {
			top->key = p + 1;
			top->key_n = (size_t)(close - p - 1);
		}
		p = close < end ? close : end - 1;
	}
	write_pointer(&s, ptr, size);
	return shallow;
}
