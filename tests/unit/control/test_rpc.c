/* SPDX-License-Identifier: BSD-3-Clause */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fake.h"
#include "rpc.h"
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

TestSuite(rpc, .init = start, .fini = stop, .timeout = 60);

static json_t *
ask(const char *line)
{
	char *answer = pst_rpc_answer(site.plane, &site.caller, line, strlen(line));
	json_t *root;

	cr_assert_not_null(answer, "no answer to %s", line);
	cr_expect_eq(strchr(answer, '\n'), answer + strlen(answer) - 1, "one line, ended");
	root = json_loads(answer, 0, NULL);
	cr_assert_not_null(root, "not JSON: %s", answer);
	cr_expect_str_eq(json_string_value(json_object_get(root, "jsonrpc")), "2.0");
	cr_expect_not_null(json_object_get(root, "id"));
	free(answer);
	return root;
}

static const struct {
	const char *line;
	int code;
	const char *id; /* JSON of the answer's */
	const char *reason;
} faults[] = {
	{"x", -32700, "null", "invalid token"},
	{"{", -32700, "null", "expected"},
	{"\xff\xfe", -32700, "null", "unable"},
	{"{\"jsonrpc\":\"2.0\",\"method\":\"a\xff\"}", -32700, "null", "unable"},
	{"{\"jsonrpc\":\"2.0\",\"id\":1,\"id\":2,\"method\":\"status\"}", -32700, "null",
		"duplicate"},
	{"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"status\"} {}", -32700, "null", "end of file"},
	{"7", -32600, "null", "not an object"},
	{"null", -32600, "null", "not an object"},
	{"[]", -32600, "null", "batches"},
	{"[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"status\"}]", -32600, "null", "batches"},
	{"{}", -32600, "null", "jsonrpc"},
	{"{\"jsonrpc\":2.0,\"id\":1,\"method\":\"status\"}", -32600, "null", "jsonrpc"},
	{"{\"jsonrpc\":\"1.0\",\"id\":1,\"method\":\"status\"}", -32600, "null", "jsonrpc"},
	{"{\"jsonrpc\":\"2.0\",\"id\":1}", -32600, "null", "method"},
	{"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":7}", -32600, "null", "method"},
	{"{\"jsonrpc\":\"2.0\",\"id\":{},\"method\":\"status\"}", -32600, "null", "\"id\""},
	{"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"status\",\"params\":7}", -32600, "null",
		"params"},
	{"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"status\",\"x\":7}", -32600, "null", "none of"},
	{"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"explode\"}", -32601, "1", "no such method"},
	{"{\"jsonrpc\":\"2.0\",\"id\":\"a\",\"method\":\"\"}", -32601, "\"a\"", "no such method"},
	{"{\"jsonrpc\":\"2.0\",\"id\":null,\"method\":\"Status\"}", -32601, "null",
		"no such method"},
	{"{\"jsonrpc\":\"2.0\",\"id\":1.5,\"method\":\"status\",\"params\":[1]}", -32602, "1.5",
		"by name"},
	{"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"status\",\"params\":{\"a\":1}}", -32602, "1",
		"no such parameter"},
};

Test(rpc, answers_each_fault_with_its_code_and_reason)
{
	for (size_t i = 0; i < PST_COUNT(faults); i++) {
		json_t *root = ask(faults[i].line), *error = json_object_get(root, "error");
		const char *reason = json_string_value(
			json_object_get(json_object_get(error, "data"), "reason"));
		char *id = json_dumps(json_object_get(root, "id"), JSON_ENCODE_ANY);

		cr_expect_eq(json_integer_value(json_object_get(error, "code")), faults[i].code,
			"%s", faults[i].line);
		cr_expect_str_eq(id, faults[i].id, "%s", faults[i].line);
		cr_assert_not_null(reason, "%s", faults[i].line);
		cr_expect_not_null(
			strstr(reason, faults[i].reason), "%s: %s", faults[i].line, reason);
		cr_expect_null(json_object_get(root, "result"));
		free(id);
		json_decref(root);
	}
}

Test(rpc, names_the_methods_to_who_asks_for_an_unknown_one)
{
	json_t *root = ask("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"no\"}"), *list;

	list = json_object_get(json_object_get(json_object_get(root, "error"), "data"), "methods");
	cr_assert_geq(json_array_size(list), 3);
	cr_expect_str_eq(json_string_value(json_array_get(list, 0)), "status");
	json_decref(root);
}

Test(rpc, refuses_nesting_before_the_parser_sees_it)
{
	char line[2001];
	json_t *root;

	memset(line, '[', sizeof(line) - 1);
	line[sizeof(line) - 1] = '\0';
	root = ask(line);
	cr_expect_eq(json_integer_value(json_object_get(json_object_get(root, "error"), "code")),
		-32600);
	json_decref(root);
}

/* JSON-RPC 2.0, 4.1: the server MUST NOT reply to a notification. */
Test(rpc, says_nothing_to_notifications)
{
	static const char *const lines[] = {"{\"jsonrpc\":\"2.0\",\"method\":\"status\"}",
		"{\"jsonrpc\":\"2.0\",\"method\":\"explode\"}",
		"{\"jsonrpc\":\"2.0\",\"method\":\"status\",\"params\":{\"a\":1}}"};
	for (size_t i = 0; i < PST_COUNT(lines); i++)
		cr_expect_null(
			pst_rpc_answer(site.plane, &site.caller, lines[i], strlen(lines[i])));
}

static json_t *
result_of(const char *method, json_t **root)
{
	char line[128];
	json_t *result;

	snprintf(line, sizeof(line),
		"{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"%s\",\"params\":{}}", method);
	*root = ask(line);
	result = json_object_get(*root, "result");
	cr_assert_not_null(result, "%s failed", method);
	return result;
}

static json_int_t
number(const json_t *o, const char *key)
{
	cr_assert(json_is_integer(json_object_get(o, key)), "no number %s", key);
	return json_integer_value(json_object_get(o, key));
}

static void
expect_text(const json_t *o, const char *key, const char *want)
{
	const char *s = json_string_value(json_object_get(o, key));

	cr_assert_not_null(s, "no text %s", key);
	cr_expect_str_eq(s, want);
}

Test(rpc, status_says_what_runs)
{
	json_t *root, *r = result_of("status", &root), *list;

	expect_text(r, "version", PST_VERSION);
	cr_expect_eq(number(r, "pid"), getpid());
	cr_expect_eq(number(r, "sessions"), 30);
	cr_expect(json_is_false(json_object_get(r, "draining")));
	cr_expect_eq(number(r, "generation"), 1);
	cr_expect_eq(number(r, "old_generations_in_use"), 0);
	expect_text(r, "log_level", "info");
	cr_expect(json_is_real(json_object_get(r, "uptime")));
	expect_text(r, "config", site.file);
	expect_text(json_object_get(r, "libraries"), "crypto", "OpenSSL 3");
	cr_expect_eq(number(json_object_get(r, "memory"), "tls_live_bytes"), 123456);
	cr_expect_eq(number(json_object_get(r, "memory"), "session_bytes"), 600);
	cr_expect_eq(number(json_object_get(r, "memory"), "addresses_uncounted"), 7);
	list = json_object_get(r, "workers");
	cr_assert_eq(json_array_size(list), 2);
	cr_expect_eq(number(json_array_get(list, 1), "sessions"), 20);
	list = json_object_get(r, "ports");
	expect_text(json_array_get(list, 0), "description", "wan: net_tap queues=1");
	list = json_object_get(r, "listeners");
	expect_text(json_array_get(list, 0), "address", "any");
	expect_text(json_array_get(list, 0), "tls", "starttls");
	json_decref(root);
}

Test(rpc, stats_lists_every_counter_with_total_shares_and_help)
{
	static const struct {
		const char *group;
		const struct pst_counter_desc *desc;
	} groups[] = {{"relay", pst_relay_counter_descs}, {"tcp", pst_tcp_counter_descs},
		{"net", pst_net_counter_descs}};
	json_t *root, *r = result_of("stats", &root), *all = json_object_get(r, "counters"), *c;

	for (size_t i = 0; i < PST_COUNT(groups); i++)
		for (const struct pst_counter_desc *d = groups[i].desc; d->name != NULL; d++) {
			c = json_object_get(json_object_get(all, groups[i].group), d->name);
			cr_assert_not_null(c, "%s %s", groups[i].group, d->name);
			cr_expect_eq(json_array_size(json_object_get(c, "workers")), 2);
			expect_text(c, "help", d->help);
		}
	c = json_object_get(json_object_get(all, "relay"), "body_bytes");
	cr_expect_eq(number(c, "total"), 2001);
	cr_expect_eq(json_integer_value(json_array_get(json_object_get(c, "workers"), 1)), 1001);
	cr_expect_eq(number(json_object_get(json_object_get(all, "tcp"), "in_segs"), "total"), 14);
	cr_expect_eq(number(json_object_get(json_object_get(all, "net"), "rx_bytes"), "total"), 0);
	cr_expect_eq(
		number(json_object_get(json_object_get(all, "loop"), "loops"), "total"), 2ll << 40);
	json_decref(root);
}

Test(rpc, help_has_a_line_for_every_method)
{
	json_t *root, *r = result_of("help", &root);

	for (const struct pst_rpc_method *m = pst_rpc_methods; m->name != NULL; m++)
		expect_text(r, m->name, m->help);
	json_decref(root);
}
