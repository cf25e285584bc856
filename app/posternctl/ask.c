/* SPDX-License-Identifier: BSD-3-Clause */
/* Asking the gateway, and telling how it ended. Faults are told as `postern -t` tells them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ctl.h"

#define FILE_MAX     (16u << 20) /* what the gateway takes */
#define LONG_SECONDS 120         /* for an answer to what builds, or waits for others */

/* ---- asking ---- */

enum exit_code
ctl_error(const json_t *error)
{
	switch (json_integer_value(json_object_get(error, "code"))) {
	case -32001:
		return EXIT_GENERATION;
	case -32002:
	case -32003:
		return EXIT_REFUSED;
	case -32004:
		return EXIT_NOT_FOUND;
	case -32006:
		return EXIT_CLONE;
	case -32007:
		return EXIT_CONFLICT;
	default:
		return EXIT_ERROR;
	}
}

void
ctl_print_error(const json_t *error)
{
	const json_t *data = json_object_get(error, "data");
	const char *message = json_string_value(json_object_get(error, "message"));
	const char *reason = json_string_value(json_object_get(data, "reason"));

	fprintf(stderr, "posternctl: the gateway says: %s (%lld)%s",
		message != NULL ? message : "error",
		(long long)json_integer_value(json_object_get(error, "code")),
		reason != NULL ? ": " : "");
	put_clean(stderr, reason != NULL ? reason : "");
	fputc('\n', stderr);
}

void
ctl_print_json(const json_t *v)
{
	json_dumpf(v, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(15));
	putchar('\n');
}

/* A document of a million routes takes its time, and so does a next hop that is tried. */
static bool
takes_long(const char *method)
{
	static const char *const quick[] = {"status", "stats", "help", "sessions.", "log.", "drain",
		"undrain", "stop", "subscribe"};

	for (size_t i = 0; i < sizeof(quick) / sizeof(*quick); i++)
		if (strncmp(method, quick[i], strlen(quick[i])) == 0)
			return false;
	return true;
}

enum exit_code
ctl_ask(const struct ctl *c, const char *method, json_t *params, json_t **result, json_t **error)
{
	json_t *answer = NULL;
	struct wire w;

	*result = *error = NULL;
	if (!wire_open(&w, c->socket)) {
		json_decref(params);
		return EXIT_CONNECT;
	}
	if (takes_long(method))
		wire_patience(&w, LONG_SECONDS);
	if (wire_send(&w, c->socket, method, params))
		answer = wire_receive(&w, c->socket);
	wire_close(&w);
	if (answer == NULL)
		return EXIT_CONNECT;
	*result = json_incref(json_object_get(answer, "result"));
	*error = json_incref(json_object_get(answer, "error"));
	json_decref(answer);
	return *result != NULL ? EXIT_OK : ctl_error(*error);
}

/* ---- how it ended ---- */

static void
print_faults(const char *path, const json_t *faults)
{
	const json_t *f;
	size_t i;

	json_array_foreach(faults, i, f)
	{
		const char *pointer = json_string_value(json_object_get(f, "pointer"));
		const char *text = json_string_value(json_object_get(f, "text"));
		long long line = (long long)json_integer_value(json_object_get(f, "line"));

		fprintf(stderr, "%s: ", path);
		if (line > 0)
			fprintf(stderr, "line %lld: ", line);
		if (pointer != NULL && pointer[0] != '\0') {
			put_clean(stderr, pointer);
			fputs(": ", stderr);
		}
		put_clean(stderr, text != NULL ? text : "?");
		putc('\n', stderr);
	}
}

void
print_lines(FILE *to, const char *path, const json_t *lines, long long total)
{
	const json_t *l;
	size_t i;

	json_array_foreach(lines, i, l)
	{
		const char *text = json_string_value(json_object_get(l, "text"));
		const char *at = json_string_value(json_object_get(l, "at"));

		fprintf(to, "%s: line %lld: ", path,
			(long long)json_integer_value(json_object_get(l, "line")));
		put_clean(to, text != NULL ? text : "?");
		if (at != NULL) {
			fputs(": ", to);
			put_clean(to, at);
		}
		fputc('\n', to);
	}
	if (total > (long long)json_array_size(lines))
		fprintf(to, "%s: and %lld more lines\n", path,
			total - (long long)json_array_size(lines));
}

static void
print_refusal(const char *path, const json_t *error)
{
	const json_t *data = json_object_get(error, "data"),
		     *faults = json_object_get(data, "faults"),
		     *lines = json_object_get(data, "lines");

	if (faults != NULL)
		print_faults(path, faults);
	if (lines != NULL)
		print_lines(stderr, path, lines,
			(long long)json_integer_value(json_object_get(data, "lines_total")));
	if (faults == NULL)
		ctl_print_error(error);
}

enum exit_code
ctl_conclude(
	const struct ctl *c, const char *method, json_t *params, const char *path, printer *print)
{
	json_t *result = NULL, *error = NULL;
	enum exit_code code = ctl_ask(c, method, params, &result, &error);

	if (error != NULL && c->json)
		ctl_print_json(error);
	else if (error != NULL)
		print_refusal(path, error);
	else if (result != NULL && c->json)
		ctl_print_json(result);
	else if (result != NULL)
		print(stdout, result, &c->print);
	json_decref(result);
	json_decref(error);
	return code;
}

enum exit_code
ctl_call(const struct ctl *c, const char *method, json_t *params, printer *print)
{
	return ctl_conclude(c, method, params, "posternctl", print);
}

enum exit_code
ctl_edit(const struct ctl *c, const char *method, json_t *params)
{
	const char *path = c->print.file != NULL ? c->print.file : "posternctl";

	if (params == NULL) {
		fputs("posternctl: an argument is not UTF-8\n", stderr);
		return EXIT_USAGE;
	}
	if (!ctl_add_generation(c, params)) {
		json_decref(params);
		return EXIT_USAGE;
	}
	if (c->note != NULL)
		json_object_set_new(params, "note", json_string(c->note));
	return ctl_conclude(c, method, params, path, print_edited);
}

/* ---- parameters ---- */

bool
ctl_add_number(json_t *params, const char *name, const char *text)
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

bool
ctl_add_generation(const struct ctl *c, json_t *params)
{
	return c->if_generation == NULL ||
	       ctl_add_number(params, "if_generation", c->if_generation);
}

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

/* Where the first byte is that no JSON string can hold. */
static void
print_not_utf8(const char *path, const char *text, size_t len)
{
	unsigned line = 1;
	size_t from = 0;

	for (size_t i = 0; i <= len; i++) {
		json_t *s;

		if (i < len && text[i] != '\n')
			continue;
		s = memchr(text + from, '\0', i - from) == NULL
			    ? json_stringn(text + from, i - from)
			    : NULL;
		if (s == NULL)
			break;
		json_decref(s);
		from = i + 1;
		line++;
	}
	fprintf(stderr, "%s: line %u: is not UTF-8\n", path, line);
}

json_t *
ctl_read_text(const char *path, ctl_complain *complain)
{
	size_t len;
	char *text = read_text(path, &len);
	json_t *string = NULL;

	if (text == NULL)
		return NULL;
	if (memchr(text, '\0', len) == NULL)
		string = json_stringn(text, len);
	if (string == NULL)
		(complain != NULL ? complain : print_not_utf8)(path, text, len);
	free(text);
	return string != NULL ? json_pack("{s:o}", "text", string) : NULL;
}
