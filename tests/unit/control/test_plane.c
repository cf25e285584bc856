/* SPDX-License-Identifier: BSD-3-Clause */
/* Configurations over the socket: pushing, refusing, going back, comparing, saving. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <pst_metrics.h>
#include <save.h>

#include "doc.h"
#include "fake.h"
#include "site.h"

static struct site site;

static void
start(void)
{
	site_open(&site);
}

static void
stop(void)
{
	site_close(&site);
}

TestSuite(plane, .init = start, .fini = stop, .timeout = 60);

/* The running document as it would stand in the file. */
static char *
dump(void)
{
	json_t *doc = site_result(&site, "config.show", NULL);
	char *text = pst_document_dump(doc);

	json_decref(doc);
	return text;
}

/* {"config": DOC} of the running document with one edit, given as pieces of its text. */
static char *
edited(const char *find, const char *put)
{
	json_t *doc = site_result(&site, "config.show", NULL);
	char *text = json_dumps(doc, JSON_COMPACT | PST_JSON_REALS), *params = NULL, *at;
	char want[256];

	snprintf(want, sizeof(want), "%s", find);
	for (char *p = want; *p != '\0'; p++)
		if (*p == '\'')
			*p = '"';
	at = strstr(text, want);
	cr_assert_not_null(at, "no %s in %s", want, text);
	cr_assert_gt(asprintf(&params, "{\"config\":%.*s%s%s}", (int)(at - text), text, put,
			     at + strlen(want)),
		0);
	free(text);
	json_decref(doc);
	return params;
}

static json_t *
push_ok(const char *find, const char *put)
{
	char *params = edited(find, put);
	json_t *r = site_result(&site, "config.push", params);

	free(params);
	return r;
}

static void
push(const char *find, const char *put)
{
	json_decref(push_ok(find, put));
}

/* Expects refusal with this code and a fault with this pointer and text. */
static void
refused(const char *find, const char *put, int code, const char *pointer, const char *text)
{
	char *params = edited(find, put), *before = dump(), *after, *all;
	unsigned published = fake.published;
	json_t *data = site_error(&site, "config.push", params, code), *f;
	bool there = false;
	size_t i;

	json_array_foreach(json_object_get(data, "faults"), i, f)
	{
		there = there || (strcmp(text_of(f, "pointer"), pointer) == 0 &&
					 strstr(text_of(f, "text"), text) != NULL);
	}
	all = json_dumps(data, 0);
	cr_expect(there, "%s: no %s: %s in %s", put, pointer, text, all);
	after = dump();
	cr_expect_str_eq(before, after, "%s changed something", put);
	cr_expect_eq(fake.published, published);
	free(all);
	free(after);
	json_decref(data);
	/* The same judgement without applying. */
	data = site_error(&site, "config.check", params, code);
	json_decref(data);
	free(before);
	free(params);
}

/* ---- pushing ---- */

Test(plane, a_push_runs_and_says_what_changed)
{
	json_t *r = push_ok("'sessions':100", "\"sessions\":99"), *change;

	cr_expect_eq(number_of(r, "generation"), 2);
	cr_expect_eq(number_of(r, "changes_total"), 1);
	cr_expect(json_is_true(json_object_get(r, "published")));
	cr_expect_eq(number_of(r, "tls_built"), 1);
	cr_expect_eq(number_of(r, "tls_shared"), 2);
	change = json_array_get(json_object_get(r, "changes"), 0);
	cr_expect_str_eq(text_of(change, "pointer"), "/limits/sessions");
	cr_expect_eq(number_of(change, "old"), 100);
	cr_expect_eq(number_of(change, "new"), 99);
	cr_expect_eq(fake.snap->limits.sessions, 99, "the relay has it");
	cr_expect_eq(site.plane->running, fake.snap);
	json_decref(r);
}

Test(plane, what_is_shown_and_pushed_back_is_no_change)
{
	char *params = edited("{", "{"), *before = dump(), *after;
	json_t *r = site_result(&site, "config.push", params);

	after = dump();
	cr_expect(json_is_false(json_object_get(r, "published")));
	cr_expect_eq(number_of(r, "generation"), 1);
	cr_expect_eq(number_of(r, "changes_total"), 0);
	cr_expect_eq(fake.published, 0);
	cr_expect_str_eq(before, after);
	free(before);
	free(after);
	free(params);
	json_decref(r);
}

/* The whole way: text of a document in, shown, pushed back, shown again, the same bytes. */
static void
reproduces(const char *text, const char *name)
{
	json_t *params = json_pack("{s:s}", "text", text), *r;
	struct pst_config_report report = {0};
	char *line = json_dumps(params, JSON_COMPACT), *one, *two;
	struct pst_config *c;

	r = site_call(&site, "config.check", line);
	cr_expect_null(json_object_get(r, "result"), "its dataplane is another: %s", name);
	json_decref(r);
	c = pst_config_parse(text, strlen(text), "/x/p.json", &report);
	cr_assert_not_null(c, "%s", name);
	one = pst_document_dump(c->document);
	pst_config_free(c);
	c = pst_config_parse(one, strlen(one), "/x/p.json", &report);
	cr_assert_not_null(c, "%s: its dump is refused", name);
	two = pst_document_dump(c->document);
	cr_expect_str_eq(one, two, "%s", name);
	pst_config_free(c);
	pst_config_report_fini(&report);
	json_decref(params);
	free(line);
	free(one);
	free(two);
}

Test(plane, every_sample_reproduces_itself)
{
	DIR *d = opendir(SAMPLES);
	struct dirent *e;
	unsigned n = 0;

	cr_assert_not_null(d);
	while ((e = readdir(d)) != NULL) {
		size_t len = strlen(e->d_name);
		char path[512], *text;

		if (len < 5 || strcmp(e->d_name + len - 5, ".json") != 0 ||
			strstr(e->d_name, "schema") != NULL ||
			strcmp(e->d_name, "models.json") == 0)
			continue;
		snprintf(path, sizeof(path), "%s/%s", SAMPLES, e->d_name);
		text = read_whole(path);
		reproduces(text, e->d_name);
		free(text);
		n++;
	}
	closedir(d);
	cr_expect_geq(n, 3);
}

/* Generated: each step changes something at random; all of it has to come back. */
Test(plane, a_hundred_random_documents_come_back_as_they_were_pushed)
{
	uint32_t seed = 4711;
	char *shown;

	for (int i = 0; i < 100; i++) {
		json_t *doc = site_result(&site, "config.show", NULL), *limits, *r, *params;
		char *line, *want, key[32];

		seed = seed * 1664525 + 1013904223;
		limits = json_object_get(doc, "limits");
		json_object_set_new(limits, "errors", json_integer(1 + (seed >> 8) % 1000));
		json_object_set_new(json_object_get(limits, "timeouts"), "dot",
			json_real(0.001 + (double)(seed >> 4) / 100000));
		snprintf(key, sizeof(key), "hop%u", (seed >> 10) % 7);
		json_object_set_new(json_object_get(doc, "next_hops"), key,
			json_pack("{s:[{s:s}], s:f}", "hosts", "address", "10.0.0.9", "reuse_idle",
				(double)(1 + (seed >> 12) % 60000) / 1000));
		json_array_append_new(json_object_get(doc, "routes"),
			json_pack("{s:o, s:s}", "domain", json_sprintf("d%d.example", i),
				"next_hop", key));
		want = pst_document_dump(doc);
		params = json_pack("{s:o}", "config", doc);
		line = json_dumps(params, JSON_COMPACT | PST_JSON_REALS);
		r = site_result(&site, "config.push", line);
		cr_expect_eq(number_of(r, "generation"), i + 2);
		shown = dump();
		cr_expect_str_eq(shown, want);
		json_decref(r);
		r = site_result(&site, "config.push", line);
		cr_expect(json_is_false(json_object_get(r, "published")));
		json_decref(r);
		json_decref(params);
		free(line);
		free(shown);
		free(want);
		site_turn(&site);
		site.now += PST_NS_PER_SEC;
	}
	cr_expect_eq(site.plane->history.n, PST_HISTORY_MAX, "bounded");
}

/* ---- refusing ---- */

Test(plane, a_bad_push_changes_nothing_and_says_where)
{
	static const char *const cases[][4] = {
		{"'sessions':100", "\"sessions\":0", "/limits/sessions", "must be 1 to"},
		{"'sessions':100", "\"sesions\":1", "/limits/sesions", "did you mean"},
		{"'version':1", "\"version\":2", "/version", "1 to 1"},
		{"'next_hop':'mail2'", "\"next_hop\":\"mail9\"", "/routes/0/next_hop", "mail9"},
	};

	for (size_t i = 0; i < PST_COUNT(cases); i++)
		refused(cases[i][0], cases[i][1], PST_RPC_CONFIG, cases[i][2], cases[i][3]);
}

Test(plane, what_the_relay_cannot_build_changes_nothing)
{
	fake.refuse = "no such certificate";
	refused("'sessions':100", "\"sessions\":7", PST_RPC_CONFIG, "/listeners",
		"no such certificate");
	cr_expect_eq(fake_metrics.refused, 1);
	cr_expect_eq(fake_metrics.published, 1, "the first one");
}

Test(plane, a_change_of_the_dataplane_needs_a_restart)
{
	static const char *const cases[][3] = {
		{"'workers':2", "\"workers\":1", "/dataplane/workers"},
		{"'cores':[0,1]", "\"cores\":[0,2]", "/dataplane/cores"},
		{"'mac':'02:00:00:00:00:0a'", "\"mac\":\"02:00:00:00:00:0b\"",
			"/dataplane/ports/0/mac"},
		{"'10.0.0.1/8'", "\"10.0.0.1/9\"", "/dataplane/ports/1/addresses"},
		{"'options':{'k':'v'}", "\"options\":{\"k\":\"w\"}", "/dataplane/ports/0/options"},
		{"'max_half_open':100", "\"max_half_open\":101", "/dataplane/tcp/max_half_open"},
		{"'via':'fe80::1'", "\"via\":\"fe80::2\"", "/dataplane/routes/1/via"},
		{",{'to':'::/0','via':'fe80::1','port':'wan'}", "", "/dataplane/routes"},
		{"'idle':'adaptive'", "\"idle\":\"busy\"", "/dataplane/idle"},
	};

	for (size_t i = 0; i < PST_COUNT(cases); i++)
		refused(cases[i][0], cases[i][1], PST_RPC_RESTART, cases[i][2], "restart_required");
}

Test(plane, what_means_the_same_dataplane_needs_none)
{
	static const char *const cases[][2] = {
		{"'workers':2,", "\"_comment\":\"two\",\"workers\":2,"},
		{"'workers':2,", "\"workers\":2.0,"},
		{"'2001:db8::1/64'", "\"2001:0db8:0:0::1/64\""},
		{"'delack':0.04", "\"delack\":0.0400"},
		{"'misroute_every':9", "\"misroute_every\":9,\"_comment\":[\"a\",\"b\"]"},
		{"'device':'0000:01:00.1'", "\"device\":\"0000:01:00.1\",\"mtu\":1500"},
	};

	for (size_t i = 0; i < PST_COUNT(cases); i++)
		push(cases[i][0], cases[i][1]);
	cr_expect_geq(fake.published, 5);
}

Test(plane, text_has_its_faults_by_line_and_column_as_with_postern_t)
{
	json_t *data = site_error(
		&site, "config.check", "{'text':'{\\n  \\\"version\\\": 1,,\\n}'}", PST_RPC_CONFIG);
	const json_t *f = json_array_get(json_object_get(data, "faults"), 0);

	cr_expect_not_null(strstr(text_of(f, "text"), "line 2, column"), "%s", text_of(f, "text"));
	json_decref(data);
	data = site_error(&site, "config.check",
		"{'text':'{\\\"version\\\": 1, \\\"log\\\": {\\\"file\\\": \\\"a\\\", "
		"\\\"file\\\": \\\"b\\\"}}'}",
		PST_RPC_CONFIG);
	f = json_array_get(json_object_get(data, "faults"), 0);
	cr_expect_str_eq(text_of(f, "pointer"), "/log/file");
	cr_expect_gt(json_array_size(json_object_get(data, "faults")), 2, "all faults, not one");
	json_decref(data);
}

Test(plane, parameters_that_make_no_sense_are_refused)
{
	static const char *const cases[][2] = {
		{"config.push", NULL},
		{"config.push", "{}"},
		{"config.push", "{'config':{},'text':''}"},
		{"config.push", "{'text':7}"},
		{"config.push", "{'text':'{}','if_generation':'1'}"},
		{"config.push", "{'text':'{}','if_generation':-1}"},
		{"config.push", "{'text':'{}','note':7}"},
		{"config.check", "{'note':''}"},
		{"config.diff", "{'from':1.5}"},
		{"config.show", "{'x':1}"},
	};

	for (size_t i = 0; i < PST_COUNT(cases); i++)
		json_decref(site_error(&site, cases[i][0], cases[i][1], PST_RPC_PARAMS));
	cr_expect_eq(fake.published, 0);
}

/* A document that is not even an object, over both ways. */
Test(plane, a_document_of_another_kind_is_a_fault_not_a_crash)
{
	static const char *const cases[] = {"{'config':7}", "{'config':[]}", "{'config':null}",
		"{'text':'7'}", "{'text':''}", "{'text':'[]'}", "{'config':{}}"};

	for (size_t i = 0; i < PST_COUNT(cases); i++) {
		json_t *data = site_error(&site, "config.push", cases[i], PST_RPC_CONFIG);
		cr_expect_geq(json_array_size(json_object_get(data, "faults")), 1, "%s", cases[i]);
		json_decref(data);
	}
}

Test(plane, if_generation_lets_only_those_push_who_saw_what_runs)
{
	json_t *data;

	push("'sessions':100", "\"sessions\":99");
	data = site_error(
		&site, "config.push", "{'text':'{}','if_generation':1}", PST_RPC_GENERATION);
	cr_expect_eq(number_of(data, "generation"), 2);
	json_decref(data);
	data = site_error(&site, "config.rollback", "{'if_generation':3}", PST_RPC_GENERATION);
	json_decref(data);
	json_decref(site_result(&site, "config.rollback", "{'if_generation':2}"));
	cr_expect_eq(fake.snap->limits.sessions, 100);
}

/* ---- history ---- */

Test(plane, rollback_brings_back_what_ran_before_as_a_new_generation)
{
	char *first = dump(), *second, *now;
	json_t *r;

	push("'sessions':100", "\"sessions\":99");
	second = dump();
	r = site_result(&site, "config.rollback", NULL);
	cr_expect_eq(number_of(r, "generation"), 3);
	now = dump();
	cr_expect_str_eq(now, first);
	free(now);
	json_decref(r);
	json_decref(site_result(&site, "config.rollback", NULL));
	now = dump();
	cr_expect_str_eq(now, second, "twice is back again");
	free(now);
	free(first);
	free(second);
}

Test(plane, rollback_to_a_generation_that_is_kept)
{
	json_t *r;

	push("'sessions':100", "\"sessions\":99");
	push("'sessions':99", "\"sessions\":98");
	r = site_result(&site, "config.rollback", "{'to':1}");
	cr_expect_eq(number_of(r, "generation"), 4);
	cr_expect_eq(fake.snap->limits.sessions, 100);
	json_decref(r);
	json_decref(site_error(&site, "config.rollback", "{'to':77}", PST_RPC_NOT_FOUND));
}

Test(plane, rollback_of_the_first_configuration_is_refused)
{
	json_decref(site_error(&site, "config.rollback", NULL, PST_RPC_NOT_FOUND));
}

Test(plane, history_says_when_who_and_what)
{
	char *params = edited("'sessions':100", "\"sessions\":99");
	json_t *r, *row;

	params[strlen(params) - 1] = '\0';
	params = realloc(params, strlen(params) + 64);
	strcat(params, ",\"note\":\"less of it\"}");
	json_decref(site_result(&site, "config.push", params));
	free(params);
	r = site_result(&site, "config.history", NULL);
	cr_expect_eq(number_of(r, "generation"), 2);
	row = json_array_get(json_object_get(r, "generations"), 0);
	cr_expect_eq(number_of(row, "generation"), 2);
	cr_expect_eq(number_of(row, "uid"), 11);
	cr_expect_eq(number_of(row, "pid"), 33);
	cr_expect_str_eq(text_of(row, "via"), "push");
	cr_expect_str_eq(text_of(row, "note"), "less of it");
	cr_expect_str_eq(text_of(row, "summary"), "1 change: /limits/sessions");
	row = json_array_get(json_object_get(r, "generations"), 1);
	cr_expect_str_eq(text_of(row, "via"), "start");
	json_decref(r);
}

Test(plane, diff_compares_any_two_generations)
{
	json_t *r;

	push("'sessions':100", "\"sessions\":99");
	push("'ehlo':7", "\"ehlo\":8");
	r = site_result(&site, "config.diff", NULL);
	cr_expect_eq(number_of(r, "from"), 2);
	cr_expect_eq(number_of(r, "to"), 3);
	cr_expect_eq(number_of(r, "changes_total"), 1);
	json_decref(r);
	r = site_result(&site, "config.diff", "{'from':3,'to':1}");
	cr_expect_eq(number_of(r, "changes_total"), 2);
	json_decref(r);
	json_decref(site_error(&site, "config.diff", "{'from':9}", PST_RPC_NOT_FOUND));
}

/* ---- order, and giving back ---- */

Test(plane, old_configurations_are_given_back_when_no_session_holds_them)
{
	json_t *r;

	fake.held = true;
	push("'sessions':100", "\"sessions\":99");
	push("'sessions':99", "\"sessions\":98");
	site_turn(&site);
	r = site_result(&site, "status", NULL);
	cr_expect_eq(number_of(r, "old_generations_in_use"), 2);
	json_decref(r);
	cr_expect_eq(fake.released, 0);
	fake.held = false;
	site.now += PST_NS_PER_SEC;
	site_turn(&site);
	cr_expect_eq(fake.released, 2, "the first among them");
	r = site_result(&site, "status", NULL);
	cr_expect_eq(number_of(r, "old_generations_in_use"), 0);
	json_decref(r);
}

/* ---- what else follows a publication ---- */

Test(plane, the_socket_moves_while_a_client_is_connected)
{
	char put[160], moved[128];
	struct stat st;

	snprintf(moved, sizeof(moved), "%s/d.sock", site.dir);
	snprintf(put, sizeof(put), "\"socket\":\"%s\"", moved);
	{
		char find[160];
		snprintf(find, sizeof(find), "\"socket\":\"%s\"", site.socket);
		push(find, put);
	}
	cr_expect_neq(stat(site.socket, &st), 0, "the old one is gone");
	cr_assert_eq(stat(moved, &st), 0);
	cr_expect_eq(st.st_mode & 07777, 0660);
	site_turn(&site);
	push("'sessions':100", "\"sessions\":99"); /* it still works */
}

Test(plane, a_socket_that_cannot_be_bound_changes_nothing)
{
	char find[160], put[160], log[128];
	struct stat st;

	snprintf(find, sizeof(find), "\"socket\":\"%s\"", site.socket);
	snprintf(put, sizeof(put), "\"socket\":\"%s\"", site.log); /* a file */
	refused(find, put, PST_RPC_CONFIG, "/control", "not a socket");
	snprintf(put, sizeof(put), "\"socket\":\"%s\",\"group\":\"no-such-group\"", site.socket);
	refused(find, put, PST_RPC_CONFIG, "/control", "no group");
	cr_expect_eq(stat(site.socket, &st), 0);
	/* Later parts refuse: earlier ones are undone, and leave no file behind. */
	snprintf(log, sizeof(log), "%s/other.log", site.dir);
	fake.refuse = "no";
	snprintf(find, sizeof(find), "\"log\":{\"file\":\"%s\"}", site.log);
	snprintf(put, sizeof(put), "\"log\":{\"file\":\"%s\"}", log);
	refused(find, put, PST_RPC_CONFIG, "/listeners", "no");
	cr_expect_neq(stat(log, &st), 0);
}

Test(plane, the_log_moves_and_changes_its_form)
{
	char find[160], put[200], log[128], *old, *text;

	snprintf(log, sizeof(log), "%s/other.log", site.dir);
	snprintf(find, sizeof(find), "\"log\":{\"file\":\"%s\"}", site.log);
	snprintf(put, sizeof(put),
		"\"log\":{\"file\":\"%s\",\"format\":\"json\",\"level\":\"debug\"}", log);
	push(find, put);
	strcpy(site.log, log);
	site_logged(&site, "\"msg\":\"generation 2 runs (push, uid 11): ");
	cr_expect_eq(site.plane->level, PST_LOG_DEBUG);
	snprintf(put, sizeof(put), "%s/log", site.dir);
	old = read_whole(put);
	text = read_whole(log);
	cr_expect_null(strstr(old, "{"));
	cr_expect_null(strstr(text, "postern["));
	free(old);
	free(text);
}

Test(plane, a_log_that_cannot_be_opened_changes_nothing)
{
	char find[160];

	snprintf(find, sizeof(find), "\"log\":{\"file\":\"%s\"}", site.log);
	refused(find, "\"log\":{\"file\":\"/nonexistent/log\"}", PST_RPC_CONFIG, "/log/file",
		"cannot open");
}

/* Opened as it comes, a pipe without a reader would hold the control thread for good. */
Test(plane, a_pipe_that_nobody_reads_is_no_log_and_stops_nothing)
{
	char find[160], put[200], pipe[128];

	snprintf(pipe, sizeof(pipe), "%s/pipe", site.dir);
	cr_assert_eq(mkfifo(pipe, 0600), 0);
	snprintf(find, sizeof(find), "\"log\":{\"file\":\"%s\"}", site.log);
	snprintf(put, sizeof(put), "\"log\":{\"file\":\"%s\"}", pipe);
	refused(find, put, PST_RPC_CONFIG, "/log/file", "cannot open");
	unlink(pipe);
}

/* Who takes the group away from the configuration means that its members stay outside. */
Test(plane, a_group_that_is_taken_away_loses_the_socket)
{
	char find[160], put[200];
	struct stat before, st;

	if (geteuid() != 0)
		cr_skip_test("only root gives files away");
	cr_assert_eq(stat(site.socket, &before), 0);
	snprintf(find, sizeof(find), "\"socket\":\"%s\"", site.socket);
	snprintf(put, sizeof(put), "\"socket\":\"%s\",\"group\":\"daemon\"", site.socket);
	push(find, put);
	cr_assert_eq(stat(site.socket, &st), 0);
	cr_assert_neq(st.st_gid, before.st_gid);
	push(put, find);
	cr_assert_eq(stat(site.socket, &st), 0);
	cr_expect_eq(st.st_gid, before.st_gid);
}

Test(plane, metrics_follow)
{
	push("'models':{}", "\"models\":{},\"metrics\":{\"port\":9999}");
	cr_expect_eq(fake_metrics.port, 9999);
	cr_expect_eq(fake_metrics.published, 2);
	fake_metrics.refuse = true;
	refused("'port':9999", "\"port\":9998", PST_RPC_CONFIG, "/metrics", "in use");
	fake_metrics.refuse = false;
	fake.refuse = "no";
	refused("'port':9999", "\"port\":9998", PST_RPC_CONFIG, "/listeners", "no");
	cr_expect_eq(fake_metrics.port, 9999, "back where it was");
	fake.refuse = NULL;
	push(",'metrics':{'port':9999}", "");
	cr_expect_eq(fake_metrics.port, 0);
}

/* ---- files ---- */

Test(plane, save_writes_what_runs_and_reload_reads_it)
{
	char *text, *shown;
	json_t *r;

	push("'sessions':100", "\"sessions\":99");
	r = site_result(&site, "config.save", NULL);
	cr_expect_str_eq(text_of(r, "file"), site.file);
	json_decref(r);
	text = read_whole(site.file);
	shown = dump();
	cr_expect_str_eq(text, shown);
	free(shown);
	push("'sessions':99", "\"sessions\":98");
	r = site_result(&site, "config.reload", NULL);
	cr_expect(json_is_true(json_object_get(r, "published")));
	shown = dump();
	cr_expect_str_eq(text, shown);
	free(text);
	free(shown);
	json_decref(r);
}

/* Files that it names may have changed: the relay looks. */
Test(plane, reload_publishes_even_if_the_text_is_the_same)
{
	json_t *r;

	json_decref(site_result(&site, "config.save", NULL));
	r = site_result(&site, "config.reload", NULL);
	cr_expect(json_is_true(json_object_get(r, "published")));
	cr_expect_eq(number_of(r, "generation"), 2);
	cr_expect_eq(number_of(r, "changes_total"), 0);
	json_decref(r);
	json_decref(site_error(&site, "config.rollback", NULL, PST_RPC_NOT_FOUND));
}

Test(plane, reload_of_a_bad_file_changes_nothing)
{
	json_t *data;

	data = site_error(&site, "config.reload", NULL, PST_RPC_CONFIG);
	cr_expect_not_null(
		strstr(text_of(json_array_get(json_object_get(data, "faults"), 0), "text"),
			"cannot be read"));
	json_decref(data);
	write_whole(site.file, "{ half");
	json_decref(site_error(&site, "config.reload", NULL, PST_RPC_CONFIG));
	cr_expect_eq(fake.published, 0);
}

Test(plane, a_signal_reloads_from_another_thread_and_the_log_says_so)
{
	json_decref(site_result(&site, "config.save", NULL));
	pst_control_reload(site.control);
	site_turn(&site);
	cr_expect_eq(fake.published, 1);
	site_logged(&site, "generation 2 runs (reload, uid ");
	write_whole(site.file, "{}");
	pst_control_reload(site.control);
	site_turn(&site);
	cr_expect_eq(fake.published, 1);
	site_logged(&site, "refused (reload, uid ");
}

Test(plane, only_save_writes_the_file)
{
	push("'sessions':100", "\"sessions\":99");
	json_decref(site_result(&site, "config.rollback", NULL));
	cr_expect_neq(access(site.file, F_OK), 0);
}

/* ---- audit ---- */

Test(plane, each_change_is_logged_with_who_asked_and_what_came_of_it)
{
	push("'sessions':100", "\"sessions\":99");
	site_logged(
		&site, " audit: method=config.push uid=11 gid=22 pid=33 outcome=ok generation=2\n");
	refused("'sessions':99", "\"sessions\":0", PST_RPC_CONFIG, "/limits/sessions", "1 to");
	site_logged(&site, "method=config.push uid=11 gid=22 pid=33 outcome=\"Invalid "
			   "configuration\" generation=2\n");
	json_decref(site_error(&site, "sessions.kill", "{'id':'x\\ny'}", PST_RPC_NOT_FOUND));
	site_logged(&site, "method=sessions.kill uid=11 gid=22 pid=33 target=\"x\\ny\" "
			   "outcome=\"Not found\" generation=2\n");
	json_decref(site_result(&site, "status", NULL));
	json_decref(site_result(&site, "drain", NULL));
	site_logged(&site, "method=drain");
	{
		char *log = read_whole(site.log);
		cr_expect_null(strstr(log, "method=status"), "looking is not logged");
		cr_expect_null(strstr(log, "method=config.check"));
		free(log);
	}
}
