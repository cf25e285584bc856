/* SPDX-License-Identifier: BSD-3-Clause */
/* posternctl's verbs for policy, run as programs against the real socket. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fake.h"
#include "site.h"

static char dir[64], path[96];
static struct pst_control *control;

static void
start(void)
{
	struct pst_control_deps deps;
	char err[256] = "";

	strcpy(dir, "/tmp/pst-pol-XXXXXX");
	cr_assert_not_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/c.sock", dir);
	deps = fake_deps(path);
	control = pst_control_new(&deps, err, sizeof(err));
	cr_assert_not_null(control, "%s", err);
}

static void
stop(void)
{
	char command[96];

	pst_control_free(control);
	snprintf(command, sizeof(command), "rm -r %s", dir);
	cr_expect_eq(system(command), 0);
}

TestSuite(ctl_policy, .init = start, .fini = stop, .timeout = 60);

static char out[65536];

/* Exit code; what it says, errors too, is in `out`. */
static int
run(const char *arguments)
{
	char command[1024];
	FILE *f;

	snprintf(command, sizeof(command), "%s -s '%s' %s 2>&1", POSTERNCTL, path, arguments);
	f = popen(command, "r");
	cr_assert_not_null(f);
	out[fread(out, 1, sizeof(out) - 1, f)] = '\0';
	return WEXITSTATUS(pclose(f));
}

static bool
says(const char *text)
{
	return strstr(out, text) != NULL;
}

#define RUNS(arguments) cr_expect_eq(run(arguments), 0, "%s", out)

Test(ctl_policy, rules_from_the_first_to_the_last)
{
	RUNS("rule add '*' bank.example 'Always Encrypted' required");
	cr_expect(says("rule 1 (position 1)\n") && says("generation 2 runs"), "%s", out);
	RUNS("rule add --at 1 --id null '<>' '*' - none");
	RUNS("rule add --after null x.example '*.y.example' optional -");
	RUNS("rule disable null");
	RUNS("rule list");
	cr_expect(says("   1  null  no      11  <> * - none\n"), "%s", out);
	cr_expect(says("   2  2     yes     32  x.example *.y.example optional -  "), "%s", out);
	cr_expect(says("# unreachable: taken by 1\n"), "%s", out);
	cr_expect(says("   3  1     yes     32  * bank.example required required\n"), "%s", out);
	cr_expect(says("default: optional preferred\n"), "%s", out);
	RUNS("rule move 1 first");
	RUNS("rule move 1 2");
	cr_expect(says("rule 1 (position 2)\n"), "%s", out);
	RUNS("rule enable null");
	RUNS("rule remove 2");
	RUNS("--json rule list");
	cr_expect(says("\"line\": \"* bank.example required required\""), "%s", out);
	RUNS("config history");
	cr_expect(says("rule.move") && says("rule.remove"), "%s", out);
}

Test(ctl_policy, exit_codes_tell_how_it_ended)
{
	static const struct {
		const char *arguments;
		int code;
		const char *says;
	} rows[] = {
		{"rule add '*' 'a b' - -", 4, "posternctl: /policy/rules/0/to: must be"},
		{"rule add '*' a maybe -", 1, "sender \"maybe\" is none of required"},
		{"rule add --at 1 --before x '*' a - -", 1, "only one of at, before"},
		{"rule add '*' a -", 2, "usage:"},
		{"rule move 1", 2, "usage:"},
		{"rule move 1 up", 6, "there is no rule \"1\""},
		{"rule", 2, "usage:"},
		{"--if-generation 7 rule add '*' a - -", 5, "changed in the meantime"},
		{"--if-generation x rule add '*' a - -", 2, "not the number"},
		{"profile set standard min=1.3", 7, "clone_required: the profile \"standard\""},
		{"action set plain inspect=true", 7, "`action clone plain NAME`"},
		{"profile set default min", 2, "is not KEY=VALUE"},
		{"profile set default =1", 2, "is not KEY=VALUE"},
		{"profile set default min=1.7", 4, "/tls_profiles/default/min"},
		{"profile remove default", 8, "is used by /actions/inspect/"},
		{"profile clone default bare", 8, "already"},
		{"profile show nothing", 6, "no profile"},
		{"action remove nothing", 6, "no action"},
		{"list add sometimes 192.0.2.1", 1, "never or required"},
		{"list remove never 192.0.2.1", 6, "is not in that list"},
		{"policy show nowhere.example", 6, "says nothing about"},
		{"policy import /nonexistent/table", 4, "cannot be read"},
		{"explain --from a@b", 2, "needs --from and --to"},
		{"explain --from a@b --to c --tls --plain", 2, "at most one"},
		{"explain --from a --to nobody --listener L", 1, "no listener is called \"L\""},
		{"explain --from a --to b --client x", 1, "client must be an address"},
	};

	for (size_t i = 0; i < PST_COUNT(rows); i++) {
		cr_expect_eq(
			run(rows[i].arguments), rows[i].code, "%s: %s", rows[i].arguments, out);
		cr_expect(says(rows[i].says), "%s: %s", rows[i].arguments, out);
	}
	cr_expect_eq(fake.generation, 1, "none of them changed anything");
}

Test(ctl_policy, an_error_as_json_has_the_code)
{
	cr_expect_eq(run("--json profile set standard min=1.3"), 7);
	cr_expect(says("\"code\": -32006") && says("\"error\": \"clone_required\""), "%s", out);
}

/* min=1.2 is a version, not a number; tickets=2 is a number, and null takes a key away. */
Test(ctl_policy, values_are_json_where_they_can_be)
{
	RUNS("profile clone default mine");
	RUNS("profile set mine min=1.2 tickets=2 sender.pfs=required server.pfs=none "
	     "'certificates=[\"one\"]' ciphers=null");
	RUNS("--json profile show mine");
	cr_expect(says("\"min\": \"1.2\"") && says("\"tickets\": 2"), "%s", out);
	cr_expect(says("\"sender_pfs\": \"required\"") && says("\"recipient_pfs\": \"none\""), "%s",
		out);
	cr_expect(!says("ciphers") && says("\"one\""), "%s", out);
	RUNS("profile set mine client.pfs=allowed");
	RUNS("profile show mine");
	cr_expect(says("profile mine\n") && says("used by actions: none\n"), "%s", out);
	RUNS("profile list");
	cr_expect(says("mine      1.2..1.3  allowed     none "), "%s", out);
	cr_expect(says("(predefined)"), "%s", out);
	RUNS("profile remove mine");
}

/* W3: the "View" of an action. */
Test(ctl_policy, action_show_is_the_view_of_its_listeners)
{
	RUNS("action show inspect");
	cr_expect(says("action inspect\n") && says("listener smtp      tls=starttls  ports 25\n"),
		"%s", out);
	RUNS("action show off");
	cr_expect(says("listener plain     tls=none      ports 2525  ! no TLS\n"), "%s", out);
	RUNS("action list");
	cr_expect(says("standard") && says("(predefined)"), "%s", out);
	RUNS("action clone standard mine inspect=false");
	RUNS("action show mine");
	cr_expect(says("used by no listener"), "%s", out);
}

Test(ctl_policy, lists_are_edited_and_shown)
{
	RUNS("list show");
	cr_expect_str_eq(out, "never STARTTLS\n  (nobody)\nSTARTTLS required\n  (nobody)\n");
	RUNS("list add never 192.0.2.7");
	RUNS("list add required '*.bank.example'");
	RUNS("list show");
	cr_expect_str_eq(out, "never STARTTLS\n  192.0.2.7\nSTARTTLS required\n  *.bank.example\n");
	RUNS("list remove never 192.0.2.7");
}

static void
table(const char *text)
{
	char file[96];

	snprintf(file, sizeof(file), "%s/tls_policy", dir);
	write_whole(file, text);
}

static int
import(const char *options)
{
	char arguments[256];

	snprintf(arguments, sizeof(arguments), "policy import %s %s/tls_policy", options, dir);
	return run(arguments);
}

Test(ctl_policy, import_tells_what_it_did)
{
	table("# ours\na.example may\nb.example secure match=m.example\na.example none\n");
	cr_expect_eq(import("--dry-run"), 0, "%s", out);
	cr_expect(says("tls_policy: 2 added, 0 replaced, 0 unchanged, 1 ignored\n"), "%s", out);
	cr_expect(says("line 4: the same destination again: ignored: a.example\n"), "%s", out);
	cr_expect(says("nothing was changed (--dry-run)\n"), "%s", out);
	cr_expect_eq(fake.generation, 1);
	cr_expect_eq(import("--note 'from the old gateway'"), 0, "%s", out);
	cr_expect(says("generation 2 runs"), "%s", out);
	cr_expect_eq(import(""), 0);
	cr_expect(says("0 added, 0 replaced, 2 unchanged") && says("generation 2 runs on"), "%s",
		out);
	RUNS("policy show b.example:25");
	cr_expect_str_eq(out, "secure match=m.example\n");
}

Test(ctl_policy, import_names_every_bad_line)
{
	table("a.example may\nb.example perhaps\n\nc.example secure colour=red\n");
	cr_expect_eq(import(""), 4, "%s", out);
	cr_expect(says("tls_policy: line 2: ") && says("tls_policy: line 4: "), "%s", out);
	cr_expect(says("2 lines cannot be taken; nothing was changed"), "%s", out);
	table("a.example may\nb\xff.example may\n");
	cr_expect_eq(import(""), 4);
	cr_expect(says("tls_policy: line 2: is not UTF-8\n"), "%s", out);
	cr_expect_eq(fake.generation, 1);
}

Test(ctl_policy, a_large_table_goes_through)
{
	char *text = malloc(100000 * 64), *p = text;

	for (int i = 0; i < 100000; i++)
		p += sprintf(p, "d%05d.example secure match=mx%05d.example:.d.example\n", i, i);
	table(text);
	free(text);
	cr_expect_eq(import(""), 0, "%.300s", out);
	cr_expect(says("100000 added") && says("\n/policy/map\n  + {\"d00000.example\":"), "%.300s",
		out);
	cr_expect_lt(strlen(out), 2000, "a picture of the change, not all of it");
	RUNS("policy show d99999.example");
	cr_expect_str_eq(out, "secure match=mx99999.example:.d.example\n");
}

Test(ctl_policy, explain_is_read_from_top_to_bottom)
{
	static const char *const parts[] = {"rule              bank\n",
		"rule line         * bank.example - required\n", "recipient_policy  required\n",
		"\nchain\n  recipient  rule           mandatory  rule bank?[2J\n",
		"  host in-clear[192.0.2.5:25] demand=secure match=bank.example,.bank.example\n",
		"    good          tls    250 2.1.5 OK\n",
		"    broken        -      451 4.7.5 TLS failed (tls_failed)\n",
		"  MAIL  250 2.1.0 Sender OK\n",
		"  RCPT  451 4.7.4 TLS is required, but was not offered (tls_not_offered)\n",
		"  DATA  not reached\n"};
	const char *at = out;

	RUNS("explain --from a@x --to b@bank.example --plain");
	for (size_t i = 0; i < PST_COUNT(parts); i++) {
		const char *found = strstr(at, parts[i]);

		cr_expect_not_null(found, "\"%s\" in its place: %s", parts[i], out);
		at = found != NULL ? found : at;
	}
	cr_expect(!says("live:"));
	RUNS("explain --from a@x --to b@bank.example --tls --live --client 192.0.2.9");
	cr_expect(says("host over-tls[") && says("live: good, a client gets 250 verify=verified"),
		"%s", out);
	RUNS("--json explain --from '<>' --to b@bank.example");
	cr_expect(says("\"starttls_offered\": true"), "%s", out);
}

Test(ctl_policy, broken_tls_is_listed_and_flushed)
{
	fake.nbroken = 2;
	RUNS("broken-tls list");
	cr_expect(says("off (policy.broken_tls.enabled)\n"), "%s", out);
	cr_expect(says("192.0.2.7  client        2 s         2  handshake?\n"), "%s", out);
	RUNS("broken-tls flush");
	cr_expect_str_eq(out, "2 forgotten\n");
}

Test(ctl_policy, status_tells_of_policy_and_names)
{
	RUNS("status");
	cr_expect(
		says("policy      0 rules, 0 map entries, lists: 0 never, 0 required"), "%s", out);
	RUNS("--json status");
	cr_expect(says("\"cached\": 43"), "%s", out);
	RUNS("stats");
	cr_expect(says("names\n  hits ") && says(" 41  answers from the cache"), "%s", out);
}
