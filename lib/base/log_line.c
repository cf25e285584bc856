/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One line of the log: fields are formatted into the lane's record by the thread
 * that has them; the writer thread adds time, lane and level.
 *
 * What comes from outside is untrusted text on its way to a terminal or a parser.
 * Escaped are: control bytes, C1 controls, bidirectional overrides and isolates,
 * line and paragraph separators, quotes and backslashes, and bytes that are not
 * UTF-8. In text a value is bare if it has no blank, quote or escape, else quoted.
 */
#include "log_int.h"
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#define VALUE_MAX 512
#define VALUE_MIN 16 /* also when the line is nearly full */
#define MARK      "..."
#define MARK_LEN  3

/* Where a value goes: the record, up to a limit that leaves room for mark and quote. */
struct out {
	struct pst_log_rec *r;
	size_t end; /* r->len may not pass this */
	bool json;
	bool full;
};

static size_t
room(const struct pst_log_rec *r)
{
	return LOG_TEXT - r->len;
}

/* All n bytes or none, so that no escape is cut in two. */
static void
put(struct out *o, const char *p, size_t n)
{
	if (o->full || o->r->len + n > o->end) {
		o->full = true;
		return;
	}
	memcpy(o->r->text + o->r->len, p, n);
	o->r->len = (uint16_t)(o->r->len + n);
}

/* Decodes one UTF-8 sequence (RFC 3629 4); its length, or 0 if it is not one. */
static size_t
utf8(const uint8_t *p, size_t n, uint32_t *cp)
{
	static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
	size_t len = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;

	if (len == 0 || p[0] > 0xf4 || len > n)
		return 0;
	*cp = len == 1 ? p[0] : p[0] & (0x7fu >> len);
	for (size_t i = 1; i < len; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		*cp = *cp << 6 | (p[i] & 0x3fu);
	}
	if (*cp < least[len] || *cp > 0x10ffff || (*cp >= 0xd800 && *cp <= 0xdfff))
		return 0;
	return len;
}

/* Characters that no reader of a log should be made to render. */
static bool
unprintable(uint32_t cp)
{
	return cp < 0x20 || (cp >= 0x7f && cp <= 0x9f) || (cp >= 0x200b && cp <= 0x200f) ||
	       (cp >= 0x2028 && cp <= 0x202e) || (cp >= 0x2060 && cp <= 0x2069) || cp == 0xfeff ||
	       (cp >= 0xfff9 && cp <= 0xfffb) || cp >= 0xe0000;
}

static void
put_escape(struct out *o, uint32_t cp)
{
	char e[16];
	int n;

	switch (cp) {
	case '\n':
		put(o, "\\n", 2);
		return;
	case '\r':
		put(o, "\\r", 2);
		return;
	case '\t':
		put(o, "\\t", 2);
		return;
	}
	if (cp > 0xffff) /* RFC 8259 7: a pair of surrogates */
		n = snprintf(e, sizeof(e), "\\u%04x\\u%04x", 0xd800 + ((cp - 0x10000) >> 10),
			0xdc00 + ((cp - 0x10000) & 0x3ff));
	else
		n = snprintf(e, sizeof(e), "\\u%04x", cp);
	put(o, e, (size_t)n);
}

/* A byte that is not UTF-8: text shows it; JSON has no way to, and gets U+FFFD. */
static void
put_byte(struct out *o, uint8_t b)
{
	char e[8];
	int n = snprintf(e, sizeof(e), o->json ? "\\ufffd" : "\\x%02x", b);

	put(o, e, (size_t)n);
}

/* `quoted`: quotes and backslashes are escaped too. */
static void
put_escaped(struct out *o, struct pst_span v, bool quoted)
{
	for (size_t i = 0; i < v.n && !o->full;) {
		uint32_t cp;
		size_t n = utf8(v.p + i, v.n - i, &cp);

		if (n == 0)
			put_byte(o, v.p[i]);
		else if (unprintable(cp))
			put_escape(o, cp);
		else if (quoted && (cp == '"' || cp == '\\'))
			put(o, cp == '"' ? "\\\"" : "\\\\", 2);
		else
			put(o, (const char *)v.p + i, n);
		i += n != 0 ? n : 1;
	}
}

/* May it stand in text without quotes? `angle`: it will stand in <>, perhaps in a list. */
static bool
bare(struct pst_span v, bool angle)
{
	for (size_t i = 0; i < v.n; i++) {
		uint8_t b = v.p[i];

		if (b <= ' ' || b >= 0x7f || b == '"' || b == '\\' || b == ',')
			return false;
		if (angle && (b == '<' || b == '>'))
			return false;
	}
	return v.n > 0 || angle;
}

/*
 * The key, or the way into the list that the same key began. False: no room for
 * even a short value, and the line is marked as cut.
 */
static bool
begin_value(struct pst_log_rec *r, bool json, const char *key)
{
	bool again = r->last_key != NULL && strcmp(r->last_key, key) == 0;
	size_t need = strlen(key) + 8 + VALUE_MIN + MARK_LEN;
	struct out o = {.r = r, .end = LOG_TEXT};

	if (room(r) < need) {
		r->cut = true;
		return false;
	}
	if (again && json && !r->list) {
		memmove(r->text + r->last_value + 1, r->text + r->last_value,
			r->len - r->last_value);
		r->text[r->last_value] = '[';
		r->len++;
		r->list = true;
	} else if (again && json) {
		r->len--; /* the ']' */
	}
	if (again) {
		put(&o, ",", 1);
		return true;
	}
	put(&o, json ? ",\"" : " ", json ? 2 : 1);
	put(&o, key, strlen(key));
	put(&o, json ? "\":" : "=", json ? 2 : 1);
	r->last_key = key;
	r->last_value = r->len;
	r->list = false;
	return true;
}

static void
end_value(struct pst_log_rec *r)
{
	if (r->list)
		r->text[r->len++] = ']';
}

/* A quarter of the rest, 512 at most; but what is short may use all there is. */
static size_t
value_limit(const struct pst_log_rec *r)
{
	size_t share = PST_MIN((size_t)VALUE_MAX, room(r) / 4);

	return r->len + PST_MAX(share, (size_t)VALUE_MIN);
}

static void
put_value(struct pst_log_rec *r, bool json, struct pst_span v, bool angle)
{
	bool quoted = json || !bare(v, angle);
	struct out o = {.r = r, .end = LOG_TEXT, .json = json};
	size_t limit = value_limit(r);

	if (quoted)
		put(&o, "\"", 1);
	if (angle)
		put(&o, "<", 1);
	o.end = limit;
	put_escaped(&o, v, quoted);
	o.end = LOG_TEXT;
	if (o.full) {
		o.full = false;
		put(&o, MARK, MARK_LEN);
	}
	if (angle)
		put(&o, ">", 1);
	if (quoted)
		put(&o, "\"", 1);
}

static void
field(struct pst_log_line *ln, const char *key, struct pst_span v, bool angle)
{
	struct pst_log_rec *r = ln->rec;
	bool json;

	if (r == NULL)
		return;
	json = r->format == PST_LOG_JSON;
	if (!begin_value(r, json, key))
		return;
	put_value(r, json, v, angle);
	end_value(r);
}

void
pst_log_str(struct pst_log_line *ln, const char *key, const char *value)
{
	field(ln, key, pst_span_str(value != NULL ? value : ""), false);
}

void
pst_log_span(struct pst_log_line *ln, const char *key, struct pst_span value)
{
	field(ln, key, value, false);
}

void
pst_log_addr(struct pst_log_line *ln, const char *key, struct pst_span value)
{
	field(ln, key, value, true);
}

static void
number(struct pst_log_line *ln, const char *key, const char *digits)
{
	struct pst_log_rec *r = ln->rec;
	struct out o = {.r = r, .end = LOG_TEXT};

	if (!begin_value(r, r->format == PST_LOG_JSON, key))
		return;
	put(&o, digits, strlen(digits));
	end_value(r);
}

void
pst_log_u64(struct pst_log_line *ln, const char *key, uint64_t value)
{
	char digits[24];

	if (ln->rec == NULL)
		return;
	snprintf(digits, sizeof(digits), "%llu", (unsigned long long)value);
	number(ln, key, digits);
}

void
pst_log_milli(struct pst_log_line *ln, const char *key, uint64_t value)
{
	char digits[28];

	if (ln->rec == NULL)
		return;
	snprintf(digits, sizeof(digits), "%llu.%03u", (unsigned long long)(value / 1000),
		(unsigned)(value % 1000));
	number(ln, key, digits);
}

static uint64_t
wall_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * PST_NS_PER_SEC + (uint64_t)ts.tv_nsec;
}

/* "ID:" or "id":"ID" open the record. */
static void
open_line(struct pst_log_line *ln, enum pst_log_level level, const char *id)
{
	/* Read once: the output may change while the line is under way. */
	unsigned form = __atomic_load_n(&ln->lane->form, __ATOMIC_RELAXED);
	bool json = (form & 0xff) == PST_LOG_JSON;
	struct pst_log_rec *r = ln->rec;
	struct out o = {.r = r, .end = 256, .json = json};

	r->wall_ns = wall_ns();
	r->format = (uint8_t)form;
	r->epoch = (uint8_t)(form >> 8);
	r->last_key = NULL;
	r->len = 0;
	r->level = (uint8_t)level;
	r->list = r->cut = false;
	if (json)
		put(&o, "\"id\":\"", 6);
	put_escaped(&o, pst_span_str(id), true);
	o.full = false;
	o.end = LOG_TEXT;
	put(&o, json ? "\"" : ":", 1);
}

struct pst_log_line
pst_log_begin(struct pst_log *l, enum pst_log_level level, const char *id)
{
	struct pst_log_line ln = {.lane = l};

	if (!pst_log_wanted(l, level))
		return ln;
	ln.rec = pst_log_reserve(l);
	if (ln.rec != NULL)
		open_line(&ln, level, id);
	return ln;
}

void
pst_log_end(struct pst_log_line *ln)
{
	if (ln->rec != NULL)
		pst_log_publish(ln->lane);
	ln->rec = NULL;
}

/* The message may use the whole line. */
static void
message(struct pst_log_line *ln, struct pst_span v)
{
	struct pst_log_rec *r = ln->rec;
	bool json = r->format == PST_LOG_JSON;
	struct out o = {.r = r, .end = LOG_TEXT - MARK_LEN - 1, .json = json};

	put(&o, json ? ",\"msg\":\"" : " ", json ? 8 : 1);
	put_escaped(&o, v, json);
	o.end = LOG_TEXT;
	if (o.full) {
		o.full = false;
		put(&o, MARK, MARK_LEN);
	}
	if (json)
		put(&o, "\"", 1);
}

void
pst_logf(struct pst_log *l, enum pst_log_level level, const char *id, const char *fmt, ...)
{
	struct pst_log_line ln = pst_log_begin(l, level, id);
	char text[LOG_TEXT];
	va_list ap;
	int n;

	if (ln.rec == NULL)
		return;
	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n >= 0)
		message(&ln, pst_span(text, PST_MIN((size_t)n, sizeof(text) - 1)));
	pst_log_end(&ln);
}
