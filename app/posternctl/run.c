/* SPDX-License-Identifier: BSD-3-Clause */
/* The verbs that look at and touch what runs. */
#include <string.h>

#include "ctl.h"

#define PAGE 1000

/* ---- sessions ---- */

/* All pages as one list. */
static enum exit_code
all_sessions(const struct ctl *c, json_t *list)
{
	json_t *params = json_pack("{s:i}", "limit", PAGE), *result, *error, *next;
	json_int_t workers = 1, worker = 0;
	enum exit_code code;

	code = ctl_ask(c, "status", NULL, &result, &error);
	if (code == EXIT_OK)
		workers = (json_int_t)json_array_size(json_object_get(result, "workers"));
	if (code != EXIT_OK && error != NULL)
		ctl_print_error(error);
	json_decref(result);
	json_decref(error);
	json_object_set_new(params, "worker", json_integer(0));
	while (code == EXIT_OK && worker < workers) {
		code = ctl_ask(c, "sessions.list", json_incref(params), &result, &error);
		json_array_extend(list, json_object_get(result, "sessions"));
		next = json_object_get(result, "next");
		if (next == NULL)
			worker++;
		json_object_set_new(params, "worker", json_integer(worker));
		json_object_set_new(params, "after",
			next != NULL ? json_incref(json_object_get(next, "after"))
				     : json_integer(0));
		if (error != NULL)
			ctl_print_error(error);
		json_decref(result);
		json_decref(error);
	}
	json_decref(params);
	return code;
}

enum exit_code
verb_sessions(const struct ctl *c, char **arg, int n)
{
	json_t *list = json_array();
	enum exit_code code = all_sessions(c, list);

	(void)arg, (void)n;
	if (code == EXIT_OK && c->json) {
		json_t *whole = json_pack("{s:O}", "sessions", list);
		ctl_print_json(whole);
		json_decref(whole);
	} else if (code == EXIT_OK) {
		print_sessions(stdout, list);
	}
	json_decref(list);
	return code;
}

enum exit_code
verb_session_show(const struct ctl *c, char **arg, int n)
{
	(void)n;
	return ctl_call(c, "sessions.show", json_pack("{s:s}", "id", arg[0]), print_session);
}

static void
print_killed(FILE *to, const json_t *r, const struct print_options *opt)
{
	(void)opt;
	fprintf(to, "%s is ended\n", json_string_value(json_object_get(r, "killed")));
}

enum exit_code
verb_session_kill(const struct ctl *c, char **arg, int n)
{
	(void)n;
	return ctl_call(c, "sessions.kill", json_pack("{s:s}", "id", arg[0]), print_killed);
}

/* ---- draining, the end ---- */

static void
print_draining(FILE *to, const json_t *r, const struct print_options *opt)
{
	(void)opt;
	fprintf(to, "%s, %lld sessions run\n",
		json_is_true(json_object_get(r, "draining")) ? "draining" : "taking new sessions",
		(long long)json_integer_value(json_object_get(r, "sessions")));
}

enum exit_code
verb_drain(const struct ctl *c, char **arg, int n)
{
	(void)arg, (void)n;
	return ctl_call(c, "drain", NULL, print_draining);
}

enum exit_code
verb_undrain(const struct ctl *c, char **arg, int n)
{
	(void)arg, (void)n;
	return ctl_call(c, "undrain", NULL, print_draining);
}

static void
print_stopping(FILE *to, const json_t *r, const struct print_options *opt)
{
	(void)opt;
	fprintf(to, "stopping%s, %lld sessions run\n",
		json_is_true(json_object_get(r, "now")) ? " now" : " when they are done",
		(long long)json_integer_value(json_object_get(r, "sessions")));
}

enum exit_code
verb_stop(const struct ctl *c, char **arg, int n)
{
	(void)arg, (void)n;
	return ctl_call(c, "stop", json_pack("{s:b}", "now", c->now), print_stopping);
}

/* ---- log level ---- */

static void
print_level(FILE *to, const json_t *r, const struct print_options *opt)
{
	(void)opt;
	fprintf(to, "log level %s (configured: %s)\n",
		json_string_value(json_object_get(r, "level")),
		json_string_value(json_object_get(r, "configured")));
}

enum exit_code
verb_log_level(const struct ctl *c, char **arg, int n)
{
	return ctl_call(
		c, "log.level", n > 0 ? json_pack("{s:s}", "level", arg[0]) : NULL, print_level);
}
