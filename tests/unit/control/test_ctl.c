/* SPDX-License-Identifier: BSD-3-Clause */
/* posternctl as an operator runs it, against the real socket with made-up numbers. */
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

	strcpy(dir, "/tmp/pst-ctl-XXXXXX");
	cr_assert_not_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/c.sock", dir);
	deps = fake_deps(path);
	fake.draining = true;
	control = pst_control_new(&deps, err, sizeof(err));
	cr_assert_not_null(control, "%s", err);
}

static void
stop(void)
{
	pst_control_free(control);
	rmdir(dir);
}

TestSuite(posternctl, .init = start, .fini = stop, .timeout = 60);

/* Exit code; output and errors are in `out`. */
static char out[65536];

static int
run(const char *socket, const char *arguments)
{
	char command[512];
	FILE *f;

	snprintf(command, sizeof(command), "%s -s '%s' %s 2>&1", POSTERNCTL, socket, arguments);
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

Test(posternctl, status_is_for_people)
{
	cr_expect_eq(run(path, "status"), 0, "%s", out);
	cr_expect(says("postern     " PST_VERSION ", pid "), "%s", out);
	cr_expect(says(", DRAINING\n") && says("OpenSSL 3\n"), "%s", out);
	cr_expect(says("uptime      00:00:0") && says("sessions    30\n"), "%s", out);
	cr_expect(says("  wan: net_tap queues=1\n"), "%s", out);
	cr_expect(says("  smtp   any       port 25     tls=starttls  action=inspect"), "%s", out);
}

Test(posternctl, stats_prints_what_is_not_zero)
{
	cr_expect_eq(run(path, "stats"), 0, "%s", out);
	cr_expect(says("relay\n  body_bytes ") && says("2001  message bytes relayed\n"), "%s", out);
	cr_expect(says("tcp\n  in_segs ") && says("14  segments received\n"), "%s", out);
	cr_expect(!says("net\n") && !says("rx_packets"), "%s", out);
}

Test(posternctl, stats_all_prints_zeroes_too)
{
	cr_expect_eq(run(path, "stats --all"), 0, "%s", out);
	cr_expect(says("net\n") && says("rx_packets") && says("idle_sleeps"), "%s", out);
}

Test(posternctl, stats_per_worker_has_a_column_for_each)
{
	cr_expect_eq(run(path, "--per-worker stats"), 0, "%s", out);
	cr_expect(says(" w0 ") && says(" w1\n"), "%s", out);
	cr_expect(says("2001           1000           1001  message"), "%s", out);
}

Test(posternctl, json_is_the_result_as_it_came)
{
	cr_expect_eq(run(path, "--json stats"), 0);
	cr_expect(out[0] == '{' && says("\"body_bytes\": {") && says("\"rx_packets\": {"));
}

Test(posternctl, help_asks_the_gateway)
{
	cr_expect_eq(run(path, "help"), 0);
	cr_expect(says("status ") && says("every counter"), "%s", out);
}

Test(posternctl, wrong_usage_exits_with_2)
{
	static const char *const wrong[] = {"", "explode", "status stats", "--frob status", "-s"};

	for (size_t i = 0; i < PST_COUNT(wrong); i++) {
		cr_expect_eq(run(path, wrong[i]), 2, "%s", wrong[i]);
		cr_expect(says("usage: posternctl"), "%s", wrong[i]);
	}
}

/* ---- configuration ---- */

static char file[128];

/* The running configuration into a file, with one edit by sed. */
static void
edit(const char *sed)
{
	char command[512];

	snprintf(file, sizeof(file), "%s/p.json", dir);
	snprintf(command, sizeof(command), "%s -s '%s' config show | LC_ALL=C sed '%s' >'%s'",
		POSTERNCTL, path, sed, file);
	cr_assert_eq(system(command), 0);
}

static int
run_file(const char *arguments)
{
	char all[256];

	snprintf(all, sizeof(all), "%s '%s'", arguments, file);
	return run(path, all);
}

Test(posternctl, what_is_shown_and_pushed_is_no_change)
{
	edit("");
	cr_expect_eq(run_file("config push"), 0, "%s", out);
	cr_expect_str_eq(out, "no change\ngeneration 1 runs on\n");
	unlink(file);
}

Test(posternctl, push_shows_what_changed)
{
	edit("s/\"sessions\": 100/\"sessions\": 99/");
	cr_expect_eq(run_file("--note 'for the night' config push"), 0, "%s", out);
	cr_expect_str_eq(out, "/limits/sessions\n  - 100\n  + 99\n"
			      "generation 2 runs (TLS: 1 built, 2 shared)\n");
	cr_expect_eq(run(path, "config diff"), 0);
	cr_expect(says("generation 1 to 2\n/limits/sessions\n"), "%s", out);
	cr_expect_eq(run(path, "config diff 2 1"), 0);
	cr_expect(says("  - 99\n  + 100\n"), "%s", out);
	cr_expect_eq(run(path, "config history"), 0);
	cr_expect(says("1 change: /limits/sessions  # for the night\n") && says("  start "), "%s",
		out);
	cr_expect_eq(run(path, "config rollback"), 0);
	cr_expect(says("generation 3 runs"), "%s", out);
	cr_expect_eq(run(path, "config rollback 2"), 0);
	cr_expect(says("generation 4 runs"), "%s", out);
	unlink(file);
}

/* Line for line what `postern -t` would say of the file: its own printer is the judge. */
Test(posternctl, check_prints_faults_as_postern_t_does)
{
	static const char *const edits[] = {"s/\"sessions\": 100/\"sessions\": 0, \"x\": 1/",
		"s/\"version\": 1,/\"version\": 1,,/", "s/\"models\"/\"log\"/", "s/mail1/m\xff/",
		"s/.*//"};

	for (size_t i = 0; i < PST_COUNT(edits); i++) {
		struct pst_config_report report = {0};
		char *want = NULL;
		size_t n;
		FILE *to;

		edit(edits[i]);
		cr_assert_null(pst_config_load(file, &report), "%s", edits[i]);
		to = open_memstream(&want, &n);
		pst_config_report_print(&report, file, to);
		fclose(to);
		cr_expect_eq(run_file("config check"), 4, "%s", edits[i]);
		if (strstr(edits[i], "\xff") == NULL)
			cr_expect_str_eq(out, want, "%s", edits[i]);
		else
			cr_expect(says("column ") && says("decode byte 0xff"), "%s", out);
		pst_config_report_fini(&report);
		free(want);
	}
	unlink(file);
}

Test(posternctl, check_of_a_good_file_says_valid_and_changes_nothing)
{
	edit("s/\"sessions\": 100/\"sessions\": 99/");
	cr_expect_eq(run_file("config check"), 0);
	cr_expect(says("p.json: the configuration is valid\n/limits/sessions\n"), "%s", out);
	cr_expect_eq(fake.published, 0);
	unlink(file);
}

Test(posternctl, refusals_have_exit_codes_of_their_own)
{
	edit("s/\"workers\": 2/\"workers\": 1/");
	cr_expect_eq(run_file("config push"), 4);
	cr_expect(says("/dataplane/workers: restart_required"), "%s", out);
	cr_expect_eq(run_file("--if-generation 7 config push"), 5);
	cr_expect_eq(run_file("--if-generation x config push"), 2);
	cr_expect_eq(run(path, "config diff 7 8"), 6);
	cr_expect_eq(run(path, "config diff x"), 2);
	cr_expect_eq(run(path, "session kill nobody"), 6);
	cr_expect_eq(run(path, "config save"), 1);
	cr_expect(says("posternctl: the gateway says: Failed"), "%s", out);
	unlink(file);
	cr_expect_eq(run_file("config push"), 4);
	cr_expect(says("cannot be read: No such file"), "%s", out);
	/* With --json the error is on standard output, whole. */
	edit("s/\"workers\": 2/\"workers\": 1/");
	cr_expect_eq(run_file("--json config check"), 4);
	cr_expect(says("\"faults\": [") && says("-32003"), "%s", out);
	unlink(file);
}

/* ---- what runs ---- */

Test(posternctl, sessions_are_a_table_of_all_pages)
{
	fake.nsessions = 1200;
	cr_expect_eq(run(path, "--json sessions | grep -c '\"id\": \"box.1a2b.[01]'"), 0);
	cr_expect_str_eq(out, "2400\n");
	cr_expect_eq(run(path, "sessions | wc -l"), 0);
	cr_expect_str_eq(out, "2401\n");
	cr_expect_eq(run(path, "session box.1a2b.0.5"), 0);
	cr_expect(says("client         unknown[192.0.2.9]:1234\n"), "%s", out);
	cr_expect_eq(run(path, "kill box.1a2b.1.5"), 0);
	cr_expect_str_eq(fake.killed, "box.1a2b.1.5");
}

Test(posternctl, steers)
{
	cr_expect_eq(run(path, "undrain"), 0);
	cr_expect_str_eq(out, "taking new sessions, 30 sessions run\n");
	cr_expect_eq(run(path, "drain"), 0);
	cr_expect_str_eq(out, "draining, 30 sessions run\n");
	cr_expect_eq(run(path, "log level debug"), 0);
	cr_expect_str_eq(out, "log level debug (configured: info)\n");
	cr_expect_eq(run(path, "log level"), 0);
	cr_expect_eq(run(path, "log level loud"), 1);
	cr_expect_eq(run(path, "--now stop"), 0);
	cr_expect_str_eq(out, "stopping now, 30 sessions run\n");
	cr_expect(fake.stopped_now);
}

Test(posternctl, top_prints_once_where_there_is_no_terminal)
{
	cr_expect_eq(run(path, "--interval 0.1 top </dev/null"), 0);
	cr_expect(says("generation 1   DRAINING\n") && says("sessions "), "%s", out);
	cr_expect(says("\n     0    0.0%    0.0%        10 "), "%s", out);
	cr_expect_null(strchr(out, '\033'));
	cr_expect_eq(run(path, "--interval 0.1 --json top </dev/null"), 0);
	cr_expect(says("\"growth\": {"), "%s", out);
}

/* script(1) makes a terminal; the keys come a moment later. */
Test(posternctl, top_is_a_screen_that_q_ends_and_leaves_the_terminal_as_it_was)
{
	char command[1024];
	FILE *f;

	if (system("script --version >/dev/null 2>&1") != 0)
		cr_skip_test("script(1) is not installed");
	snprintf(command, sizeof(command),
		"(sleep 0.5; printf q; sleep 0.2) | timeout 20 script -qec 'stty -a >%s/a; %s "
		"-s %s --interval 0.1 top; echo code=$?; stty -a >%s/b; cmp %s/a %s/b && echo "
		"same' "
		"/dev/null",
		dir, POSTERNCTL, path, dir, dir, dir);
	f = popen(command, "r");
	cr_assert_not_null(f);
	out[fread(out, 1, sizeof(out) - 1, f)] = '\0';
	pclose(f);
	cr_expect(says("\033[?1049h") && says("\033[?1049l"), "the other screen, and back");
	cr_expect(says("new sessions") && says("code=0") && says("same"), "%s", out);
	snprintf(command, sizeof(command), "rm %s/a %s/b", dir, dir);
	cr_expect_eq(system(command), 0);
}

Test(posternctl, log_follow_ends_with_the_gateway)
{
	char command[512], said[128], *text = NULL;

	snprintf(said, sizeof(said), "%s/said", dir);
	snprintf(command, sizeof(command), "(%s -s %s log -f; echo code=$?) >%s 2>&1 &", POSTERNCTL,
		path, said);
	cr_assert_eq(system(command), 0);
	usleep(300000);
	pst_control_free(control);
	control = NULL;
	for (int i = 0; i < 500; i++) {
		free(text);
		text = read_whole(said);
		if (text != NULL && strstr(text, "code=") != NULL)
			break;
		usleep(10000);
	}
	cr_expect_not_null(strstr(text, "the gateway closed the connection\ncode=3"), "%s", text);
	free(text);
	unlink(said);
	cr_expect_eq(run("/nonexistent/c.sock", "log follow"), 3);
}

Test(posternctl, no_gateway_exits_with_3)
{
	static char longest[300];

	cr_expect_eq(run("/nonexistent/c.sock", "status"), 3);
	cr_expect(says("/nonexistent/c.sock: No such file"), "%s", out);
	memset(longest, 'x', sizeof(longest) - 1);
	cr_expect_eq(run(longest, "status"), 3);
	cr_expect(says("File name too long"), "%s", out);
}
