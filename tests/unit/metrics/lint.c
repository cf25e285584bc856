/* SPDX-License-Identifier: BSD-3-Clause */
#include "lint.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME = 128, LABELS = 400, MAX_SERIES = 20000, MAX_FAMILIES = 1000 };

struct lint {
	bool openmetrics, eof, helped, typed;
	unsigned line, nfamilies, nseries;
	char family[NAME], type[NAME];
	char families[MAX_FAMILIES][NAME];
	char series[MAX_SERIES][NAME + LABELS]; /* name and labels of each sample */
	unsigned hash[MAX_SERIES];
	/* the histogram series under way: labels without le */
	char group[LABELS];
	double le;
	unsigned long long bucket;
	bool inf, sum, count;
	char fault[700];
};

static bool __attribute__((format(printf, 2, 3))) fault(struct lint *l, const char *fmt, ...)
{
	va_list ap;
	int n = snprintf(l->fault, sizeof(l->fault), "%u: ", l->line);

	va_start(ap, fmt);
	vsnprintf(l->fault + n, sizeof(l->fault) - (size_t)n, fmt, ap);
	va_end(ap);
	return false;
}

/* [a-zA-Z_:][a-zA-Z0-9_:]*; a label's has no colon. Its length, 0: none. */
static size_t
name_len(const char *p, bool label)
{
	size_t n = 0;

	while (isalnum((unsigned char)p[n]) || p[n] == '_' || (!label && p[n] == ':'))
		n++;
	return isdigit((unsigned char)p[0]) || n >= NAME ? 0 : n;
}

static bool
ends(const char *s, const char *with)
{
	size_t a = strlen(s), b = strlen(with);

	return a >= b && strcmp(s + a - b, with) == 0;
}

/* ---- families ---- */

static bool
end_group(struct lint *l)
{
	if (strcmp(l->type, "histogram") != 0 || l->group[0] == '\0')
		return true;
	if (!l->inf || !l->sum || !l->count)
		return fault(l, "histogram %s%s lacks +Inf, sum or count", l->family, l->group);
	l->group[0] = '\0';
	return true;
}

static bool
help(struct lint *l, const char *rest)
{
	size_t n = name_len(rest, false);

	if (!end_group(l))
		return false;
	if (n == 0 || rest[n] != ' ' || rest[n + 1] == '\0')
		return fault(l, "HELP without name or text");
	if (l->helped && !l->typed)
		return fault(l, "HELP without TYPE before it");
	snprintf(l->family, sizeof(l->family), "%.*s", (int)n, rest);
	for (unsigned i = 0; i < l->nfamilies; i++)
		if (strcmp(l->families[i], l->family) == 0)
			return fault(l, "family %s comes twice", l->family);
	if (l->nfamilies >= MAX_FAMILIES)
		return fault(l, "too many families for this reader");
	strcpy(l->families[l->nfamilies++], l->family);
	l->helped = true;
	l->typed = false;
	return true;
}

static bool
type(struct lint *l, const char *rest)
{
	size_t n = name_len(rest, false);

	if (!l->helped || l->typed || n != strlen(l->family) || strncmp(rest, l->family, n) != 0)
		return fault(l, "TYPE is not that of the HELP before it");
	snprintf(l->type, sizeof(l->type), "%s", rest[n] == ' ' ? rest + n + 1 : "");
	if (strcmp(l->type, "counter") != 0 && strcmp(l->type, "gauge") != 0 &&
		strcmp(l->type, "histogram") != 0 &&
		(!l->openmetrics || strcmp(l->type, "info") != 0))
		return fault(l, "type \"%s\"", l->type);
	/* OpenMetrics: the suffix is the sample's. Before: the counter's own name. */
	if (ends(l->family, "_total") != (!l->openmetrics && strcmp(l->type, "counter") == 0))
		return fault(l, "family %s of type %s", l->family, l->type);
	l->typed = true;
	return true;
}

static bool
suffix_fits(struct lint *l, const char *suffix)
{
	if (strcmp(l->type, "counter") == 0)
		return strcmp(suffix, l->openmetrics ? "_total" : "") == 0;
	if (strcmp(l->type, "info") == 0)
		return strcmp(suffix, "_info") == 0;
	if (strcmp(l->type, "histogram") == 0)
		return strcmp(suffix, "_bucket") == 0 || strcmp(suffix, "_sum") == 0 ||
		       strcmp(suffix, "_count") == 0;
	return suffix[0] == '\0';
}

/* ---- samples ---- */

/* "{a="b",c="d"}"; le goes to `le`, the others to `rest`. The end, or NULL. */
static const char *
labels(struct lint *l, const char *p, char rest[LABELS], char le[64])
{
	char seen[16][NAME];
	unsigned nseen = 0;
	size_t n, at = 0;

	for (p++; *p != '}'; p += *p == ',') {
		const char *name = p, *value;

		n = name_len(p, true);
		if (n == 0 || p[n] != '=' || p[n + 1] != '"' || nseen == 16) {
			fault(l, "labels at \"%s\"", p);
			return NULL;
		}
		snprintf(seen[nseen], NAME, "%.*s", (int)n, name);
		for (unsigned i = 0; i < nseen; i++)
			if (strcmp(seen[i], seen[nseen]) == 0) {
				fault(l, "label %s twice", seen[i]);
				return NULL;
			}
		value = p + n + 2;
		for (p = value; *p != '"'; p++) {
			if (*p == '\\' && strchr("\\\"n", p[1]) != NULL && p[1] != '\0')
				p++;
			else if (*p == '\0' || *p == '\\') {
				fault(l, "label value at \"%s\"", value);
				return NULL;
			}
		}
		if (strcmp(seen[nseen], "le") == 0)
			snprintf(le, 64, "%.*s", (int)(p - value), value);
		else
			at += (size_t)snprintf(
				rest + at, LABELS - at, "%.*s,", (int)(p + 1 - name), name);
		if (at >= LABELS) {
			fault(l, "labels too long for this reader");
			return NULL;
		}
		nseen++;
		p++;
		if (*p != ',' && *p != '}') {
			fault(l, "after a label: \"%s\"", p);
			return NULL;
		}
	}
	return p + 1;
}

static bool
histogram(struct lint *l, const char *suffix, const char *group, const char *le, const char *value)
{
	unsigned long long n = strtoull(value, NULL, 10);
	char *end;
	double bound = strtod(le, &end);

	if (l->group[0] == '\0' || strcmp(l->group + 1, group) != 0) {
		if (!end_group(l))
			return false;
		if (snprintf(l->group, sizeof(l->group), "=%s", group) >= (int)sizeof(l->group))
			return fault(l, "labels of %s are too long", l->family);
		l->le = -1;
		l->bucket = 0;
		l->inf = l->sum = l->count = false;
	}
	if (strcmp(suffix, "_sum") == 0)
		return l->sum ? fault(l, "two sums") : (l->sum = true);
	if (strcmp(suffix, "_count") == 0) {
		l->count = true;
		return l->inf && n == l->bucket ? true : fault(l, "count is not that of +Inf");
	}
	if (le[0] == '\0' || *end != '\0' || bound <= l->le || n < l->bucket || l->inf)
		return fault(l, "bucket le=\"%s\" %llu out of order", le, n);
	/* OpenMetrics: "1.0", not "1", so that equal bounds are equal strings. */
	if (strcmp(le, "+Inf") != 0 && strchr(le, '.') == NULL)
		return fault(l, "le=\"%s\" is not canonical", le);
	l->le = bound;
	l->bucket = n;
	l->inf = strcmp(le, "+Inf") == 0;
	return true;
}

static bool
remember(struct lint *l, const char *line, size_t n)
{
	char *key = l->series[l->nseries];
	unsigned hash = 0;

	if (l->nseries >= MAX_SERIES || n >= sizeof(l->series[0]))
		return fault(l, "too much for this reader");
	snprintf(key, sizeof(l->series[0]), "%.*s", (int)n, line);
	for (size_t i = 0; i < n; i++)
		hash = hash * 31 + (unsigned char)line[i];
	l->hash[l->nseries] = hash;
	for (unsigned i = 0; i < l->nseries; i++)
		if (l->hash[i] == hash && strcmp(l->series[i], key) == 0)
			return fault(l, "series %s comes twice", key);
	l->nseries++;
	return true;
}

static bool
sample(struct lint *l, const char *line)
{
	size_t n = name_len(line, false), flen = strlen(l->family);
	char rest[LABELS] = "", le[64] = "", suffix[NAME], *end;
	const char *p = line + n;

	if (!l->typed || n < flen || strncmp(line, l->family, flen) != 0)
		return fault(l, "\"%s\" is not of the family %s", line, l->family);
	snprintf(suffix, sizeof(suffix), "%.*s", (int)(n - flen), line + flen);
	if (!suffix_fits(l, suffix))
		return fault(l, "suffix \"%s\" of a %s", suffix, l->type);
	if (*p == '{' && (p = labels(l, p, rest, le)) == NULL)
		return false;
	if (*p != ' ' || p[1] == ' ' || p[1] == '\0')
		return fault(l, "no value in \"%s\"", line);
	if (strtod(p + 1, &end) < 0 || *end != '\0')
		return fault(l, "value \"%s\"", p + 1);
	if (le[0] != '\0' && strcmp(suffix, "_bucket") != 0)
		return fault(l, "le is for buckets");
	if (!remember(l, line, (size_t)(p - line)))
		return false;
	return strcmp(l->type, "histogram") != 0 || histogram(l, suffix, rest, le, p + 1);
}

static bool
one_line(struct lint *l, const char *line)
{
	l->line++;
	if (l->eof)
		return fault(l, "something behind # EOF");
	if (strcmp(line, "# EOF") == 0 && l->openmetrics) {
		l->eof = true;
		return end_group(l);
	}
	if (strncmp(line, "# HELP ", 7) == 0)
		return help(l, line + 7);
	if (strncmp(line, "# TYPE ", 7) == 0)
		return type(l, line + 7);
	if (line[0] == '\0' || line[0] == '#')
		return fault(l, "\"%s\"", line);
	return sample(l, line);
}

const char *
lint(const char *text, size_t len, bool openmetrics, unsigned *series)
{
	static struct lint l;
	char line[2000];

	memset(&l, 0, sizeof(l));
	l.openmetrics = openmetrics;
	while (len > 0) {
		const char *nl = memchr(text, '\n', len);
		size_t n = nl == NULL ? 0 : (size_t)(nl - text);

		if (nl == NULL || n >= sizeof(line) || memchr(text, 0, n) != NULL) {
			fault(&l, "a line without an end, too long, or with a NUL");
			return l.fault;
		}
		memcpy(line, text, n);
		line[n] = '\0';
		if (!one_line(&l, line))
			return l.fault;
		text += n + 1;
		len -= n + 1;
	}
	*series = l.nseries;
	if (openmetrics && !l.eof)
		fault(&l, "no # EOF");
	else if (!openmetrics)
		(void)end_group(&l);
	if (l.nfamilies == 0)
		fault(&l, "nothing in it");
	return l.fault[0] != '\0' ? l.fault : NULL;
}
