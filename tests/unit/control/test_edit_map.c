/* SPDX-License-Identifier: BSD-3-Clause */
/* The next-hop map: a Postfix tls_policy table into it, and what a destination finds. */
#include <criterion/criterion.h>
#include <edit.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rpc.h>

static json_t *
import(struct pst_edit *e, json_t *doc, const char *text)
{
	json_t *params = json_pack("{s:s}", "text", text);

	*e = (struct pst_edit){.doc = doc, .params = params};
	pst_edit_run(e, pst_edit_import);
	json_decref(params);
	return json_object_get(json_object_get(e->next, "policy"), "map");
}

static json_t *
load(const char *text)
{
	char *copy = strdup(text);
	json_t *v;

	for (char *p = copy; *p != '\0'; p++)
		if (*p == '\'')
			*p = '"';
	v = json_loads(copy, 0, NULL);
	cr_assert_not_null(v, "%s", copy);
	free(copy);
	return v;
}

static long long
told(const struct pst_edit *e, const char *key)
{
	return (long long)json_integer_value(json_object_get(e->told, key));
}

Test(import, a_line_becomes_an_entry)
{
	static const char *const rows[][2] = {
		{"example.com may", "{'example.com':{'level':'may'}}"},
		{"example.com\tencrypt\tprotocols=>=TLSv1.2 ciphers=high",
			"{'example.com':{'level':'encrypt','protocols':'>=TLSv1.2',"
			"'ciphers':'high'}}"},
		{"example.com secure match=a.example:.b.example exclude=aNULL:RC4",
			"{'example.com':{'level':'secure','match':['a.example','.b.example'],"
			"'exclude':'aNULL:RC4'}}"},
		{"[tls.example.com]:587 verify match=nexthop servername=hostname",
			"{'[tls.example.com]:587':{'level':'verify','match':['nexthop'],"
			"'servername':'hostname'}}"},
		{".example.com none", "{'.example.com':{'level':'none'}}"},
		/* postmap(1): a line that begins with a blank goes on with the one before. */
		{"example.com\n  secure\n# no\n\n\tmatch=a.example\n",
			"{'example.com':{'level':'secure','match':['a.example']}}"},
		/* TLS_README: names may come in several match= */
		{"example.com secure\n    match=a.example:b.example\n    match=c.example",
			"{'example.com':{'level':'secure',"
			"'match':['a.example','b.example','c.example']}}"},
		{"# a comment\n\n   \nexample.com may\r\n", "{'example.com':{'level':'may'}}"},
	};

	for (size_t i = 0; i < PST_COUNT(rows); i++) {
		json_t *doc = json_object(), *want = load(rows[i][1]), *map;
		struct pst_edit e;
		char *text;

		map = import(&e, doc, rows[i][0]);
		text = json_dumps(map != NULL ? map : e.data, JSON_COMPACT);
		cr_expect(json_equal(map, want), "row %zu: %s", i, text);
		cr_expect_eq(told(&e, "added"), 1);
		free(text);
		pst_edit_fini(&e);
		json_decref(want);
		json_decref(doc);
	}
}

Test(import, fingerprints_are_separated_by_bars)
{
	static const char line[] =
		"[h] fingerprint match=00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:"
		"44:55:66:77:88:99:AA:BB:CC:DD:EE:FF|10:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:"
		"FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF";
	json_t *doc = json_object(), *map;
	struct pst_edit e;
	char *back;

	map = import(&e, doc, line);
	cr_expect_eq(json_array_size(json_object_get(json_object_get(map, "[h]"), "match")), 2);
	back = pst_edit_map_line(json_object_get(map, "[h]"));
	cr_expect_str_eq(back, line + 4);
	free(back);
	pst_edit_fini(&e);
	json_decref(doc);
}

Test(import, every_bad_line_is_told_with_its_number_and_nothing_changes)
{
	static const char text[] = "good.example may\n"
				   "bad.example sometimes\n"
				   "\n"
				   "# comment\n"
				   "worse.example secure colour=blue\n"
				   "dane.example dane\n"
				   "alone.example\n"
				   "good2.example none\n"
				   "goes.example\n"
				   "  on.example\n"
				   "last.example encrypt";
	static const int numbers[] = {2, 5, 6, 7, 9};
	json_t *doc = load("{'policy':{'map':{}}}"), *lines;
	struct pst_edit e;

	import(&e, doc, text);
	cr_expect_eq(e.code, PST_RPC_CONFIG);
	cr_expect_null(e.next);
	lines = json_object_get(e.data, "lines");
	cr_assert_eq(json_array_size(lines), PST_COUNT(numbers));
	for (size_t i = 0; i < PST_COUNT(numbers); i++) {
		json_t *l = json_array_get(lines, i);

		cr_expect_eq(json_integer_value(json_object_get(l, "line")), numbers[i]);
		cr_expect_gt(json_string_length(json_object_get(l, "text")), 5);
	}
	cr_expect_eq(json_integer_value(json_object_get(e.data, "lines_total")), 5);
	pst_edit_fini(&e);
	json_decref(doc);
}

Test(import, merges_into_what_is_there_however_it_is_written)
{
	json_t *doc = load("{'policy':{'map':{'A.example':{'level':'may'},"
			   "'b.example':{'level':'may'},'[c]:25':{'level':'may'},"
			   "'d.example':{'level':'none'}}}}");
	json_t *want = load("{'A.example':{'level':'encrypt'},'b.example':{'level':'may'},"
			    "'[c]:25':{'level':'none'},'d.example':{'level':'none'},"
			    "'[c]:26':{'level':'may'}}");
	json_t *map;
	struct pst_edit e;

	map = import(&e, doc, "a.EXAMPLE:25 encrypt\nb.example. may\n[C] none\n[c]:26 may\n");
	cr_expect(json_equal(map, want), "%s", json_dumps(map, JSON_COMPACT));
	cr_expect_eq(told(&e, "added"), 1);
	cr_expect_eq(told(&e, "replaced"), 2);
	cr_expect_eq(told(&e, "unchanged"), 1);
	cr_expect_eq(told(&e, "ignored"), 0);
	/* A fault that is found later is in a line of the file. */
	cr_expect_eq(pst_edit_import_line(&e, "/policy/map/A.example/match/0"), 1);
	cr_expect_eq(pst_edit_import_line(&e, "/policy/map/[c]:26"), 4);
	cr_expect_eq(pst_edit_import_line(&e, "/policy/map/d.example"), 0);
	cr_expect_eq(pst_edit_import_line(&e, "/policy/rules/0"), 0);
	pst_edit_fini(&e);
	json_decref(doc);
	json_decref(want);
}

/* postmap warns of the second one and keeps the first. */
Test(import, the_same_destination_again_is_ignored_and_told)
{
	json_t *doc = json_object(), *map, *lines;
	struct pst_edit e;

	map = import(&e, doc, "a.example may\nA.example:25 none\n[a] may\n");
	cr_expect_eq(json_object_size(map), 2);
	cr_expect_str_eq(
		json_string_value(json_object_get(json_object_get(map, "a.example"), "level")),
		"may");
	cr_expect_eq(told(&e, "ignored"), 1);
	lines = json_object_get(e.told, "ignored_lines");
	cr_expect_eq(json_integer_value(json_object_get(json_array_get(lines, 0), "line")), 2);
	pst_edit_fini(&e);
	json_decref(doc);
}

Test(import, a_hundred_thousand_lines_are_one_change)
{
	enum { LINES = 100000 };
	char *text = malloc(LINES * 64), *p = text;
	json_t *doc = json_object(), *map;
	struct pst_edit e, again;

	for (int i = 0; i < LINES; i++)
		p += sprintf(p, "d%05d.example secure match=mx%05d.example:.d.example\n", i, i);
	map = import(&e, doc, text);
	cr_expect_eq(json_object_size(map), LINES);
	cr_expect_eq(told(&e, "added"), LINES);
	cr_expect_lt(json_dumpb(e.next, NULL, 0, JSON_COMPACT), 16u << 20,
		"what runs could be written to a file and read again");
	import(&again, e.next, text);
	cr_expect_eq(told(&again, "unchanged"), LINES);
	pst_edit_fini(&again);
	pst_edit_fini(&e);
	json_decref(doc);
	free(text);
}

Test(import, a_hundred_thousand_bad_lines_are_counted_and_the_first_told)
{
	enum { LINES = 100000 };
	char *text = malloc(LINES * 8), *p = text;
	json_t *doc = json_object();
	struct pst_edit e;

	for (int i = 0; i < LINES; i++)
		p += sprintf(p, "x%d\n", i);
	import(&e, doc, text);
	cr_expect_eq(e.code, PST_RPC_CONFIG);
	cr_expect_eq(json_array_size(json_object_get(e.data, "lines")), 1000);
	cr_expect_eq(json_integer_value(json_object_get(e.data, "lines_total")), LINES);
	pst_edit_fini(&e);
	json_decref(doc);
	free(text);
}

Test(import, what_is_no_text_is_refused)
{
	json_t *doc = json_object(), *params = json_pack("{s:i}", "text", 1);
	struct pst_edit e = {.doc = doc, .params = params};

	pst_edit_run(&e, pst_edit_import);
	cr_expect_eq(e.code, PST_RPC_PARAMS);
	pst_edit_fini(&e);
	json_decref(doc);
	json_decref(params);
}

/* ---- finding ---- */

static const char map_text[] =
	"{'example.com':{'level':'may'},'.example.com':{'level':'none'},"
	"'.deep.example.com':{'level':'encrypt'},'[h.example.com]':{'level':'verify'},"
	"'[h.example.com]:587':{'level':'secure'},'port.example:26':{'level':'none'},"
	"'Folded.example:25':{'level':'secure'},'[192.0.2.1]:10025':{'level':'none'},"
	"'[2001:db8::25]':{'level':'encrypt'},'.org':{'level':'encrypt'}}";

Test(map, a_destination_finds_what_postfix_finds)
{
	static const char *const rows[][2] = {{"example.com", "example.com"},
		{"EXAMPLE.com", "example.com"}, {"example.com:25", "example.com"},
		{"example.com.", "example.com"}, {"a.example.com", ".example.com"},
		{"a.b.example.com", ".example.com"}, {"a.deep.example.com", ".deep.example.com"},
		{"deep.example.com", ".example.com"}, {"a.example.com:26", NULL},
		{"[a.example.com]", NULL}, {"[h.example.com]", "[h.example.com]"},
		{"[H.example.com]:25", "[h.example.com]"},
		{"[h.example.com]:587", "[h.example.com]:587"}, {"[h.example.com]:588", NULL},
		{"h.example.com", ".example.com"}, {"port.example", NULL},
		{"port.example:26", "port.example:26"}, {"folded.example", "Folded.example:25"},
		{"[192.0.2.1]:10025", "[192.0.2.1]:10025"}, {"[192.0.2.1]", NULL},
		{"[2001:DB8::25]", "[2001:db8::25]"}, {"com", NULL}, {"org", NULL},
		{"x.org", ".org"}, {".org", ".org"}, {"", NULL}, {".", NULL}, {":25", NULL}};
	json_t *map = load(map_text);

	for (size_t i = 0; i < PST_COUNT(rows); i++) {
		const char *key = NULL;
		const json_t *v = pst_edit_map_find(map, rows[i][0], &key);

		cr_expect_eq(v != NULL, rows[i][1] != NULL, "%s: %s", rows[i][0], key);
		if (v != NULL && rows[i][1] != NULL)
			cr_expect_str_eq(key, rows[i][1], "%s", rows[i][0]);
	}
	json_decref(map);
}

static char *
output_of(const char *command)
{
	static char out[512];
	FILE *f = popen(command, "r");
	size_t n;

	cr_assert_not_null(f);
	n = fread(out, 1, sizeof(out) - 1, f);
	while (n > 0 && out[n - 1] == '\n')
		n--;
	out[n] = '\0';
	pclose(f);
	return out;
}

static char *
postmap(const char *dir, const char *key)
{
	char command[512];

	snprintf(command, sizeof(command),
		"PATH=$PATH:/usr/sbin postmap -c %s -q '%s' texthash:%s/t 2>&1", dir, key, dir);
	return output_of(command);
}

/* Postfix's smtp(8): the destination; a bare one then by its parents. */
static char *
postfix_finds(const char *dir, const char *destination)
{
	const char *dot = destination;
	char *out = postmap(dir, destination);

	while (out[0] == '\0' && strpbrk(destination, "[:") == NULL &&
		(dot = strchr(dot + (dot != destination), '.')) != NULL)
		out = postmap(dir, dot);
	return out;
}

/* P2: the same table, asked by Postfix's own tool. Keys with ":25" are ours alone. */
Test(map, agrees_with_postmap)
{
	static const char *const asked[] = {"example.com", "Example.COM", "a.example.com",
		"a.b.example.com", "a.deep.example.com", "deep.example.com", "[a.example.com]",
		"[h.example.com]", "[h.example.com]:587", "[h.example.com]:588", "h.example.com",
		"port.example", "port.example:26", "[192.0.2.1]:10025", "[192.0.2.1]",
		"[2001:db8::25]", "x.org", "org", "nowhere.test"};
	static const char table[] = "# as an administrator writes it\n"
				    "example.com may\n"
				    ".example.com none\n"
				    ".deep.example.com\n\tencrypt ciphers=high\n"
				    "[h.example.com]\tverify match=alternative.example:hostname\n"
				    "[h.example.com]:587 secure match=nexthop servername=hostname\n"
				    "port.example:26 none\n"
				    "[192.0.2.1]:10025 none\n"
				    "[2001:db8::25] encrypt protocols=>=TLSv1.2\n"
				    ".org encrypt\n";
	json_t *doc = json_object(), *map;
	char dir[] = "/tmp/pst-map-XXXXXX", path[64];
	struct pst_edit e;
	FILE *f;

	if (output_of("PATH=$PATH:/usr/sbin command -v postmap")[0] == '\0')
		cr_skip_test("no postmap here");
	cr_assert_not_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/t", dir);
	f = fopen(path, "w");
	fputs(table, f);
	fclose(f);
	snprintf(path, sizeof(path), "%s/main.cf", dir);
	fclose(fopen(path, "w"));
	map = import(&e, doc, table);
	cr_assert_not_null(map);
	for (size_t i = 0; i < PST_COUNT(asked); i++) {
		const char *key;
		const json_t *entry = pst_edit_map_find(map, asked[i], &key);
		char *line = entry != NULL ? pst_edit_map_line(entry) : strdup("");

		cr_expect_str_eq(line, postfix_finds(dir, asked[i]), "%s", asked[i]);
		free(line);
	}
	unlink(path);
	snprintf(path, sizeof(path), "%s/t", dir);
	unlink(path);
	rmdir(dir);
	pst_edit_fini(&e);
	json_decref(doc);
}
