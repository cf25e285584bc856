/* SPDX-License-Identifier: BSD-3-Clause */
#include "site.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fake.h"
#include "server.h"

char *
read_whole(const char *path)
{
	FILE *f = fopen(path, "r");
	char *text = f != NULL ? calloc(1, 1 << 22) : NULL;

	if (f == NULL)
		return NULL;
	cr_assert_lt(fread(text, 1, (1 << 22) - 1, f), (1u << 22) - 1);
	fclose(f);
	return text;
}

void
write_whole(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	cr_assert_not_null(f, "%s", path);
	fputs(text, f);
	fclose(f);
}

long long
number_of(const json_t *o, const char *key)
{
	const json_t *v = json_object_get(o, key);

	return json_is_integer(v) ? (long long)json_integer_value(v) : -1;
}

const char *
text_of(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s != NULL ? s : "";
}

void
site_open(struct site *s)
{
	struct pst_log_conf log = {.level = PST_LOG_INFO};
	struct pst_control_deps deps;
	char err[256] = "";

	*s = (struct site){.now = 1000 * PST_NS_PER_SEC};
	strcpy(s->dir, "/tmp/pst-plane-XXXXXX");
	cr_assert_not_null(mkdtemp(s->dir));
	snprintf(s->socket, sizeof(s->socket), "%s/c.sock", s->dir);
	snprintf(s->log, sizeof(s->log), "%s/log", s->dir);
	snprintf(s->file, sizeof(s->file), "%s/p.json", s->dir);
	deps = fake_deps(s->socket);
	log.file = s->log;
	s->logger = pst_logger_new(&log, err, sizeof(err));
	cr_assert_not_null(s->logger, "%s", err);
	s->first = fake_config(s->socket, s->log, s->file);
	deps.config = s->first;
	deps.logger = s->logger;
	s->control = pst_control_open(&deps, err, sizeof(err));
	cr_assert_not_null(s->control, "%s", err);
	s->plane = pst_control_plane(s->control);
	s->caller = (struct pst_caller){.peer = {11, 22, 33}, .follower = &s->follower};
	s->plane->now_ns = s->now;
}

void
site_close(struct site *s)
{
	char command[96];

	pst_follow_end(s->plane, &s->follower);
	pst_control_close(s->control);
	fake_relay_free();
	cr_expect_eq(fake.released, fake.published + 1, "each once");
	pst_logger_free(s->logger);
	pst_config_free(s->first);
	snprintf(command, sizeof(command), "rm -r %s", s->dir);
	cr_expect_eq(system(command), 0);
}

void
site_turn(struct site *s)
{
	pst_control_wait(s->control, 0);
	pst_control_serve(s->control, s->now);
}

json_t *
site_call(struct site *s, const char *method, const char *params)
{
	char *line = NULL, *answer;
	json_t *root;
	int n = asprintf(&line, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"%s\"%s%s}", method,
		params != NULL ? ",\"params\":" : "", params != NULL ? params : "");

	cr_assert_gt(n, 0);
	for (char *p = line; *p != '\0'; p++)
		if (*p == '\'')
			*p = '"';
	answer = pst_rpc_answer(s->plane, &s->caller, line, (size_t)n);
	cr_assert_not_null(answer, "%s", line);
	root = json_loads(answer, JSON_REJECT_DUPLICATES, NULL);
	cr_assert_not_null(root, "%s", answer);
	free(answer);
	free(line);
	return root;
}

json_t *
site_result(struct site *s, const char *method, const char *params)
{
	json_t *root = site_call(s, method, params);
	json_t *result = json_incref(json_object_get(root, "result"));
	char *text = json_dumps(root, 0);

	cr_assert_not_null(result, "%s: %s", method, text);
	free(text);
	json_decref(root);
	return result;
}

json_t *
site_error(struct site *s, const char *method, const char *params, int code)
{
	json_t *root = site_call(s, method, params), *error = json_object_get(root, "error");
	json_t *data = json_incref(json_object_get(error, "data"));
	char *text = json_dumps(root, 0);

	cr_expect_eq(number_of(error, "code"), code, "%s: %s", method, text);
	free(text);
	json_decref(root);
	return data;
}

json_t *
site_push_number(struct site *s, const char *section, const char *key, int value)
{
	json_t *doc = site_result(s, "config.show", NULL), *root;
	char *params;

	json_object_set_new(json_object_get(doc, section), key, json_integer(value));
	root = json_pack("{s:o}", "config", doc);
	params = json_dumps(root, JSON_COMPACT);
	json_decref(root);
	root = site_call(s, "config.push", params);
	free(params);
	return root;
}

unsigned
site_logged(struct site *s, const char *text)
{
	for (int i = 0; i < 500; i++) {
		char *log = read_whole(s->log);
		unsigned n = 0;

		for (const char *p = log; p != NULL && (p = strstr(p, text)) != NULL; p++)
			n++;
		if (n == 0 && i == 499)
			cr_expect_fail("the log has no \"%s\": %s", text, log);
		free(log);
		if (n > 0)
			return n;
		usleep(10000);
	}
	return 0;
}
