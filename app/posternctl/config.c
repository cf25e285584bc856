/* SPDX-License-Identifier: BSD-3-Clause */
/* The verbs `config ...`. Faults are printed as `postern -t` prints them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ctl.h"

#define FILE_MAX (16u << 20) /* what the gateway takes */

/* ---- the file ---- */

static char *
slurp(FILE *f, size_t *len)
{
	size_t cap = 65536, n = 0;
	char *buf = malloc(cap), *more;

	while (buf != NULL && n <= FILE_MAX) {
		size_t got = fread(buf + n, 1, cap - n, f);

		n += got;
		if (got == 0)
			break;
		if (n == cap) {
			more = realloc(buf, cap *= 2);
			if (more == NULL)
				free(buf);
			buf = more;
		}
	}
	*len = n;
	return buf;
}

static char *
read_text(const char *path, size_t *len)
{
	bool standard = strcmp(path, "-") == 0;
	FILE *f = standard ? stdin : fopen(path, "r");
	char *text = f != NULL ? slurp(f, len) : NULL;

	if (text == NULL || ferror(f))
		fprintf(stderr, "%s: cannot be read: %s\n", path, strerror(errno));
	else if (*len > FILE_MAX)
		fprintf(stderr, "%s: larger than %u bytes\n", path, FILE_MAX);
	if (text != NULL && (ferror(f) || *len > FILE_MAX)) {
		free(text);
		text = NULL;
	}
	if (f != NULL && !standard)
		fclose(f);
	return text;
}

/*
 * The text goes as it is, so that the gateway finds line and column. What is not
 * UTF-8 cannot travel in JSON: that fault is found here, by the same parser.
 */
static json_t *
text_parameter(const char *path)
{
	json_t *string, *ignored;
	json_error_t e;
	size_t len;
	char *text = read_text(path, &len);

	if (text == NULL)
		return NULL;
	string = memchr(text, '\0', len) == NULL ? json_stringn(text, len) : NULL;
	if (string == NULL) {
		ignored = json_loadb(text, len, 0, &e);
		fprintf(stderr, "%s: line %d, column %d: %s\n", path, e.line, e.column,
			ignored == NULL ? e.text : "is not UTF-8");
		json_decref(ignored);
	}
	free(text);
	return string != NULL ? json_pack("{s:o}", "text", string) : NULL;
}

/* Keys come from the document: what would move a terminal's cursor is shown as '?'. */
static void
put_clean(const char *s, FILE *to)
{
	for (; *s != '\0'; s++)
		putc((unsigned char)*s < 0x20 || *s == 0x7f ? '?' : *s, to);
}

static void
print_faults(const char *path, const json_t *faults)
{
	const json_t *f;
	size_t i;

	json_array_foreach(faults, i, f)
	{
		const char *pointer = json_string_value(json_object_get(f, "pointer"));
		const char *text = json_string_value(json_object_get(f, "text"));

		fprintf(stderr, "%s: ", path);
		if (pointer != NULL && pointer[0] != '\0') {
			put_clean(pointer, stderr);
			fputs(": ", stderr);
		}
		put_clean(text != NULL ? text : "?", stderr);
		putc('\n', stderr);
	}
}

/* ---- verdicts ---- */

static bool
add_number(json_t *params, const char *name, const char *text)
{
	char *end;
	unsigned long long v = strtoull(text, &end, 10);

	if (text[0] < '0' || text[0] > '9' || *end != '\0') {
		fprintf(stderr, "posternctl: \"%s\" is not the number of a generation\n", text);
		return false;
	}
	json_object_set_new(params, name, json_integer((json_int_t)v));
	return true;
}

static bool
add_generation(const struct ctl *c, json_t *params)
{
	return c->if_generation == NULL || add_number(params, "if_generation", c->if_generation);
}

static enum exit_code
conclude(const struct ctl *c, const char *method, json_t *params, const char *path, printer *print)
{
	json_t *result = NULL, *error = NULL;
	enum exit_code code = ctl_ask(c, method, params, &result, &error);
	const json_t *faults = json_object_get(json_object_get(error, "data"), "faults");

	if (error != NULL && c->json)
		ctl_print_json(error);
	else if (error != NULL && faults != NULL)
		print_faults(path, faults);
	else if (error != NULL)
		ctl_print_error(error);
	else if (result != NULL && c->json)
		ctl_print_json(result);
	else if (result != NULL)
		print(stdout, result, &c->print);
	json_decref(result);
	json_decref(error);
	return code;
}

static void
print_valid(FILE *to, const json_t *r, const struct print_options *opt)
{
	fprintf(to, "%s: the configuration is valid\n", opt->file);
	print_changes(to, r, opt);
}

enum exit_code
verb_config_check(const struct ctl *c, char **arg, int n)
{
	json_t *params = text_parameter(arg[0]);
	struct ctl with_file = *c;

	(void)n;
	with_file.print.file = arg[0];
	return params == NULL ? EXIT_REFUSED
			      : conclude(&with_file, "config.check", params, arg[0], print_valid);
}

enum exit_code
verb_config_push(const struct ctl *c, char **arg, int n)
{
	json_t *params = text_parameter(arg[0]);

	(void)n;
	if (params == NULL)
		return EXIT_REFUSED;
	if (!add_generation(c, params)) {
		json_decref(params);
		return EXIT_USAGE;
	}
	if (c->note != NULL)
		json_object_set_new(params, "note", json_string(c->note));
	return conclude(c, "config.push", params, arg[0], print_published);
}

enum exit_code
verb_config_reload(const struct ctl *c, char **arg, int n)
{
	json_t *params = json_object();

	(void)arg, (void)n;
	if (add_generation(c, params))
		return conclude(c, "config.reload", params, "(file)", print_published);
	json_decref(params);
	return EXIT_USAGE;
}

/* ---- generations ---- */

enum exit_code
verb_config_rollback(const struct ctl *c, char **arg, int n)
{
	json_t *params = json_object();

	if ((n == 0 || add_number(params, "to", arg[0])) && add_generation(c, params))
		return conclude(
			c, "config.rollback", params, "(earlier configuration)", print_published);
	json_decref(params);
	return EXIT_USAGE;
}

enum exit_code
verb_config_diff(const struct ctl *c, char **arg, int n)
{
	json_t *params = json_object();

	if ((n < 1 || add_number(params, "from", arg[0])) &&
		(n < 2 || add_number(params, "to", arg[1])))
		return ctl_call(c, "config.diff", params, print_diff);
	json_decref(params);
	return EXIT_USAGE;
}

enum exit_code
verb_config_history(const struct ctl *c, char **arg, int n)
{
	(void)arg, (void)n;
	return ctl_call(c, "config.history", NULL, print_history);
}

/* As config.save writes it: what is shown can be kept, and pushed back. */
static void
print_document(FILE *to, const json_t *r, const struct print_options *opt)
{
	(void)opt;
	json_dumpf(r, to, JSON_INDENT(2) | JSON_REAL_PRECISION(15));
	fputc('\n', to);
}

enum exit_code
verb_config_show(const struct ctl *c, char **arg, int n)
{
	(void)arg, (void)n;
	return ctl_call(c, "config.show", NULL, print_document);
}

static void
print_saved(FILE *to, const json_t *r, const struct print_options *opt)
{
	(void)opt;
	fprintf(to, "generation %lld is in %s\n",
		(long long)json_integer_value(json_object_get(r, "generation")),
		json_string_value(json_object_get(r, "file")));
}

enum exit_code
verb_config_save(const struct ctl *c, char **arg, int n)
{
	json_t *params = json_object();

	(void)arg, (void)n;
	if (add_generation(c, params))
		return ctl_call(c, "config.save", params, print_saved);
	json_decref(params);
	return EXIT_USAGE;
}
