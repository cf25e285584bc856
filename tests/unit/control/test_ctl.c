/* SPDX-License-Identifier: BSD-3-Clause */
/* posternctl as an operator runs it, against the real socket with made-up numbers. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fake.h"

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

Test(posternctl, no_gateway_exits_with_3)
{
	static char longest[300];

	cr_expect_eq(run("/nonexistent/c.sock", "status"), 3);
	cr_expect(says("/nonexistent/c.sock: No such file"), "%s", out);
	memset(longest, 'x', sizeof(longest) - 1);
	cr_expect_eq(run(longest, "status"), 3);
	cr_expect(says("File name too long"), "%s", out);
}
