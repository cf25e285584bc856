/* SPDX-License-Identifier: BSD-3-Clause */
#include "sweep.h"

#include <errno.h>
#include <jansson.h>
#include <pst_base.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define ARGS_MAX 128

/* What a series may be over, and the unit of its values. */
static const struct {
	const char *name, *unit;
} axes[] = {{"size", "B"}, {"concurrency", "sessions"}, {"sessions", "sessions"},
	{"messages", "a session"}, {"workers", "workers"}, {"rules", "rules"}, {"rate", "/s"}};

struct sweep {
	char name[32];
	const char *unit;
	char *values; /* ours */
	const char *json;
	char *argv[ARGS_MAX]; /* of a point; the last three are set for each */
	int argc;
	char option[64], value[64], out[64];
	json_t *doc;
};

bool
sweep_wanted(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--sweep") == 0 || strncmp(argv[i], "--sweep=", 8) == 0)
			return true;
	}
	return false;
}

/* The value of option `name` at argv[*i], which goes behind it; NULL: it is another one. */
static const char *
value_of(const char *name, int argc, char **argv, int *i)
{
	size_t n = strlen(name);

	if (strncmp(argv[*i], name, n) != 0)
		return NULL;
	if (argv[*i][n] == '=')
		return argv[*i] + n + 1;
	if (argv[*i][n] != '\0' || *i + 1 == argc)
		return NULL;
	return argv[++*i];
}

static bool
take_axis(struct sweep *s, const char *text)
{
	size_t n = strcspn(text, "=");

	for (unsigned i = 0; i < PST_COUNT(axes); i++) {
		if (text[n] != '=' || strlen(axes[i].name) != n ||
			strncmp(axes[i].name, text, n) != 0)
			continue;
		snprintf(s->name, sizeof(s->name), "%s", axes[i].name);
		s->unit = axes[i].unit;
		s->values = strdup(text + n + 1);
		return s->values != NULL && s->values[0] != '\0';
	}
	return false;
}

/* argv without --sweep and --json, which are ours. */
static bool
parse(struct sweep *s, int argc, char **argv)
{
	for (int i = 0; i < argc; i++) {
		const char *v;

		if ((v = value_of("--sweep", argc, argv, &i)) != NULL) {
			if (s->values != NULL || !take_axis(s, v))
				return false;
		} else if ((v = value_of("--json", argc, argv, &i)) != NULL) {
			s->json = v;
		} else if (s->argc < ARGS_MAX - 8) {
			s->argv[s->argc++] = argv[i];
		}
	}
	return s->values != NULL;
}

/* One point, in a child; its document, or NULL. */
static json_t *
run_point(struct sweep *s)
{
	json_error_t e;
	json_t *doc;
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		execv("/proc/self/exe", s->argv);
		_exit(127);
	}
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (pid < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return NULL;
	doc = json_load_file(s->out, 0, &e);
	(void)unlink(s->out);
	return doc;
}

/* Everything of the first point's document; of the others their results. */
static void
add_point(struct sweep *s, json_t *doc, const char *value)
{
	json_t *all = json_object_get(doc, "results"), *r;
	size_t i;

	json_array_foreach(all, i, r)
	{
		json_object_set_new(r, "point",
			json_pack("{s:s, s:f, s:s}", "name", s->name, "value", strtod(value, NULL),
				"unit", s->unit));
	}
	if (s->doc == NULL) {
		s->doc = json_incref(doc);
		return;
	}
	json_array_extend(json_object_get(s->doc, "results"), all);
	json_object_set_new(s->doc, "seconds",
		json_real(json_number_value(json_object_get(s->doc, "seconds")) +
			  json_number_value(json_object_get(doc, "seconds"))));
	if (json_is_false(json_object_get(json_object_get(doc, "noise"), "quiet")))
		json_object_set(s->doc, "noise", json_object_get(doc, "noise"));
}

static bool
run_all(struct sweep *s)
{
	char *rest = NULL;

	for (char *v = strtok_r(s->values, ",", &rest); v != NULL; v = strtok_r(NULL, ",", &rest)) {
		json_t *doc;

		snprintf(s->value, sizeof(s->value), "%s", v);
		doc = run_point(s);
		if (doc == NULL) {
			fprintf(stderr, "postern-bench: --sweep: %s=%s failed\n", s->name, v);
			return false;
		}
		add_point(s, doc, v);
		json_decref(doc);
	}
	return s->doc != NULL;
}

static bool
write_out(struct sweep *s, int argc, char **argv)
{
	json_t *command = json_array();

	for (int i = 0; i < argc; i++)
		json_array_append_new(command, json_string(argv[i]));
	json_object_set_new(s->doc, "command", command);
	if (s->json == NULL || strcmp(s->json, "-") == 0)
		return json_dumpf(s->doc, stdout, JSON_INDENT(1)) == 0;
	if (json_dump_file(s->doc, s->json, JSON_INDENT(1)) == 0)
		return true;
	fprintf(stderr, "postern-bench: %s: cannot be written\n", s->json);
	return false;
}

int
sweep_main(int argc, char **argv)
{
	static char self[] = "postern-bench", json[] = "--json";
	struct sweep s = {.argv = {self}, .argc = 1};
	int fd;
	bool ok;

	if (!parse(&s, argc, argv)) {
		fprintf(stderr, "postern-bench: --sweep NAME=VALUE,...; NAME is one of");
		for (unsigned i = 0; i < PST_COUNT(axes); i++)
			fprintf(stderr, " %s", axes[i].name);
		fprintf(stderr, "\n");
		free(s.values);
		return 2;
	}
	snprintf(s.out, sizeof(s.out), "/tmp/postern-bench-point-XXXXXX");
	fd = mkstemp(s.out);
	if (fd < 0) {
		fprintf(stderr, "postern-bench: %s: %s\n", s.out, strerror(errno));
		free(s.values);
		return 1;
	}
	close(fd);
	snprintf(s.option, sizeof(s.option), "--%s", s.name);
	s.argv[s.argc++] = s.option;
	s.argv[s.argc++] = s.value;
	s.argv[s.argc++] = json;
	s.argv[s.argc++] = s.out;
	ok = run_all(&s) && write_out(&s, argc, argv);
	(void)unlink(s.out);
	json_decref(s.doc);
	free(s.values);
	return ok ? 0 : 1;
}
