/* SPDX-License-Identifier: BSD-3-Clause */
/* Generations, changes and sessions as text. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "print.h"

static const char *
text(const json_t *obj, const char *key)
{
	const char *s = json_string_value(json_object_get(obj, key));

	return s != NULL ? s : "";
}

/* ---- changes ---- */

#define VALUE_MAX 4000 /* bytes; what is longer is shown in part */

static void
put_value(FILE *to, const char *sign, const json_t *v)
{
	char *text;
	size_t n;

	if (v == NULL)
		return;
	text = json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(15));
	n = text != NULL ? strlen(text) : 0;
	if (n > VALUE_MAX)
		fprintf(to, "  %s %.400s ... (%zu bytes; --json has them)\n", sign, text, n);
	else
		fprintf(to, "  %s %s\n", sign, text != NULL ? text : "?");
	free(text);
}

void
print_changes(FILE *to, const json_t *r, const struct print_options *opt)
{
	const json_t *list = json_object_get(r, "changes"), *c;
	long long total = number_of(r, "changes_total");
	size_t i;

	(void)opt;
	if (total == 0)
		fputs("no change\n", to);
	json_array_foreach(list, i, c)
	{
		put_clean(to, text(c, "pointer"));
		fputc('\n', to);
		put_value(to, "-", json_object_get(c, "old"));
		put_value(to, "+", json_object_get(c, "new"));
	}
	if (total > (long long)json_array_size(list))
		fprintf(to, "and %lld more changes\n", total - (long long)json_array_size(list));
}

void
print_diff(FILE *to, const json_t *r, const struct print_options *opt)
{
	fprintf(to, "generation %lld to %lld\n", number_of(r, "from"), number_of(r, "to"));
	print_changes(to, r, opt);
}

static void
put_warnings(FILE *to, const json_t *r)
{
	const json_t *w;
	size_t i;

	json_array_foreach(json_object_get(r, "warnings"), i, w)
	{
		fputs("warning: ", to);
		put_clean(to, text(w, "pointer"));
		fputs(": ", to);
		put_clean(to, text(w, "text"));
		fputc('\n', to);
	}
}

void
print_published(FILE *to, const json_t *r, const struct print_options *opt)
{
	bool published = json_is_true(json_object_get(r, "published"));

	print_changes(to, r, opt);
	put_warnings(to, r);
	fprintf(to, "generation %lld %s", number_of(r, "generation"),
		published ? "runs" : "runs on");
	if (published)
		fprintf(to, " (TLS: %lld built, %lld shared)", number_of(r, "tls_built"),
			number_of(r, "tls_shared"));
	fputc('\n', to);
}

/* What an import did; of a dry run, what it would do. */
static void
put_import(FILE *to, const json_t *r, const struct print_options *opt)
{
	print_lines(to, opt->file, json_object_get(r, "ignored_lines"), number_of(r, "ignored"));
	fprintf(to, "%s: %lld added, %lld replaced, %lld unchanged, %lld ignored\n", opt->file,
		number_of(r, "added"), number_of(r, "replaced"), number_of(r, "unchanged"),
		number_of(r, "ignored"));
}

void
print_edited(FILE *to, const json_t *r, const struct print_options *opt)
{
	if (opt->file != NULL)
		put_import(to, r, opt);
	if (opt->dry_run) {
		print_changes(to, r, opt);
		put_warnings(to, r);
		fputs("nothing was changed (--dry-run)\n", to);
		return;
	}
	if (json_object_get(r, "position") != NULL) {
		fputs("rule ", to);
		put_clean(to, text(r, "id"));
		fprintf(to, " (position %lld)\n", number_of(r, "position"));
	}
	print_published(to, r, opt);
}

void
print_history(FILE *to, const json_t *r, const struct print_options *opt)
{
	const json_t *g;
	size_t i;

	(void)opt;
	fputs("generation  time                 via             uid  summary\n", to);
	json_array_foreach(json_object_get(r, "generations"), i, g)
	{
		time_t when = (time_t)json_number_value(json_object_get(g, "time"));
		char stamp[32] = "?";
		struct tm tm;

		if (localtime_r(&when, &tm) != NULL)
			strftime(stamp, sizeof(stamp), "%Y-%m-%d %H:%M:%S", &tm);
		fprintf(to, "%10lld  %-19s  %-14s %4lld  ", number_of(g, "generation"), stamp,
			text(g, "via"), number_of(g, "uid"));
		put_clean(to, text(g, "summary"));
		if (text(g, "note")[0] != '\0') {
			fputs("  # ", to);
			put_clean(to, text(g, "note"));
		}
		fputs(json_is_false(json_object_get(g, "kept")) ? "  (not kept)\n" : "\n", to);
	}
}

/* ---- sessions ---- */

static void
put_column(FILE *to, const char *s, int width)
{
	char clean[160];
	size_t n = 0;

	for (; *s != '\0' && n + 1 < sizeof(clean); s++)
		clean[n++] = (unsigned char)*s < 0x20 || *s == 0x7f ? '?' : *s;
	clean[n] = '\0';
	fprintf(to, "%-*s  ", width, clean[0] != '\0' ? clean : "-");
}

void
print_sessions(FILE *to, const json_t *list)
{
	const json_t *s;
	size_t i;

	fprintf(to, "%-28s  %-32s  %-8s  %-7s  %8s  %12s  %s\n", "id", "client", "state", "tls",
		"age", "bytes", "next hop");
	json_array_foreach(list, i, s)
	{
		put_column(to, text(s, "id"), 28);
		put_column(to, text(s, "client"), 32);
		put_column(to, text(s, "state"), 8);
		put_column(to, text(s, "client_tls"), 7);
		fprintf(to, "%8.1f  %12lld  ", json_number_value(json_object_get(s, "age")),
			number_of(s, "bytes"));
		put_clean(to, text(s, "nexthop")[0] != '\0' ? text(s, "nexthop") : "-");
		fputc('\n', to);
	}
}

void
print_session(FILE *to, const json_t *r, const struct print_options *opt)
{
	const char *key;
	json_t *v;

	(void)opt;
	json_object_foreach((json_t *)r, key, v)
	{
		fprintf(to, "%-14s ", key);
		if (json_is_string(v))
			put_clean(to, json_string_value(v)[0] != '\0' ? json_string_value(v) : "-");
		else
			json_dumpf(v, to, JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
		fputc('\n', to);
	}
}
