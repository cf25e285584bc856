/* SPDX-License-Identifier: BSD-3-Clause */
/* Followers of the log and of the counters, quick and slow. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <feed.h>

#include "fake.h"
#include "server.h"
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

TestSuite(follow, .init = start, .fini = stop, .timeout = 60);

static int
client(void)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	strcpy(sun.sun_path, site.socket);
	cr_assert_eq(connect(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	site_turn(&site);
	return fd;
}

static void
say(int fd, const char *text)
{
	cr_assert_eq(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
	site_turn(&site);
}

/* Everything that has arrived. */
static const char *
heard(int fd)
{
	static char buf[1 << 22];
	size_t n = 0;
	ssize_t got;

	while ((got = recv(fd, buf + n, sizeof(buf) - n - 1, 0)) > 0)
		n += (size_t)got;
	buf[n] = '\0';
	return buf;
}

static unsigned
count(const char *text, const char *what)
{
	unsigned n = 0;

	for (const char *p = text; (p = strstr(p, what)) != NULL; p++)
		n++;
	return n;
}

#define FOLLOW_LOG                                                                                 \
	"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"subscribe\",\"params\":{\"topics\":[\"log\"]}" \
	"}\n"
#define FOLLOW_STATS                                                                               \
	"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"subscribe\",\"params\":{\"topics\":["          \
	"\"stats\"],"                                                                              \
	"\"interval\":2}}\n"
#define UNFOLLOW "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"unsubscribe\"}\n"

/* A line of the log's, without its writer. */
static void
put(const char *text)
{
	pst_feed_put(&site.plane->feed, pst_span_str(text));
}

Test(follow, each_follower_hears_each_line_of_the_log_and_nobody_else_does)
{
	int a = client(), b = client(), c = client();
	const char *text;

	say(a, FOLLOW_LOG);
	say(b, FOLLOW_LOG);
	heard(a);
	put("one \"line\"");
	put("two");
	site_turn(&site);
	text = heard(a);
	cr_expect_not_null(strstr(text, "{\"jsonrpc\":\"2.0\",\"method\":\"log\",\"params\":{"
					"\"line\":\"one \\\"line\\\"\"}}\n"),
		"%s", text);
	cr_expect_not_null(strstr(heard(b), "\"line\":\"two\""));
	cr_expect_str_eq(heard(c), "");
	close(a);
	close(b);
	close(c);
}

Test(follow, real_lines_come_from_the_logs_own_thread)
{
	int fd = client();
	const char *text = "";

	say(fd, FOLLOW_LOG);
	pst_logf(site.plane->log, PST_LOG_INFO, "x", "hello");
	for (int i = 0; i < 500 && strstr(text, " x: hello") == NULL; i++) {
		pst_control_wait(site.control, 100); /* the feed wakes it */
		pst_control_serve(site.control, site.now);
		text = heard(fd);
	}
	cr_expect_not_null(strstr(text, "postern[control]: x: hello\"}}"), "%s", text);
	close(fd);
}

Test(follow, unsubscribe_and_hanging_up_end_it_and_free_the_ring)
{
	int a = client(), b = client();

	cr_expect_null(site.plane->feed.ring);
	say(a, FOLLOW_LOG);
	say(a, FOLLOW_LOG); /* twice is once */
	say(b, FOLLOW_LOG);
	cr_expect_eq(site.plane->log_followers, 2);
	cr_expect_not_null(site.plane->feed.ring);
	site_turn(&site);
	heard(a);
	say(a, UNFOLLOW);
	site_turn(&site);
	cr_expect_eq(site.plane->log_followers, 1);
	close(b);
	site_turn(&site);
	site_turn(&site);
	cr_expect_eq(site.plane->log_followers, 0);
	cr_expect_null(site.plane->feed.ring);
	close(a);
}

/* It never reads: what waits for it stays bounded, what it misses is counted, others hear all. */
Test(follow, a_slow_follower_loses_lines_never_memory)
{
	int slow = client(), quick = client();
	char line[1024], *text;
	unsigned told = 0, lines = 0;
	unsigned long lost = 0;

	say(slow, FOLLOW_LOG);
	say(quick, FOLLOW_LOG);
	pst_logger_tap(site.logger, NULL, NULL); /* only ours */
	memset(line, 'x', sizeof(line) - 1);
	line[sizeof(line) - 1] = '\0';
	for (int i = 0; i < 4000; i++) {
		put(line);
		if (i % 50 == 49) {
			site_turn(&site);
			site_turn(&site);
			lines += count(heard(quick), "\"line\":\"xxx");
		}
	}
	site_turn(&site);
	lines += count(heard(quick), "\"line\":\"xxx");
	cr_expect_eq(lines, 4000);
	/* Now it reads: first what was kept, then how much is missing, then what is new. */
	text = strdup(heard(slow));
	for (int i = 0; i < 50; i++) {
		char *more;
		const char *news;
		site_turn(&site);
		news = heard(slow);
		cr_assert_gt(asprintf(&more, "%s%s", text, news), 0);
		free(text);
		text = more;
	}
	told = count(text, "\"line\":\"xxx");
	for (const char *p = text; (p = strstr(p, "\"lost\":")) != NULL; p++)
		lost += strtoul(p + 7, NULL, 10);
	cr_expect_eq(count(text, "\"lost\":"), 1, "in one sum");
	cr_expect_eq(told + lost, 4000, "told %u, lost %lu", told, lost);
	cr_expect_lt(told, 1000);
	put("again");
	site_turn(&site);
	cr_expect_not_null(strstr(heard(slow), "\"line\":\"again\""));
	free(text);
	close(slow);
	close(quick);
}

/* The control thread is away: the ring fills, and what it could not take is told to all. */
Test(follow, lines_that_found_no_room_on_the_way_are_told)
{
	int fd = client();
	char line[1024];
	const char *text;

	say(fd, FOLLOW_LOG);
	heard(fd);
	pst_logger_tap(site.logger, NULL, NULL);
	memset(line, 'y', sizeof(line) - 1);
	line[sizeof(line) - 1] = '\0';
	for (int i = 0; i < 2000; i++)
		put(line);
	cr_expect_gt(site.plane->feed.lost, 900);
	site_turn(&site);
	text = heard(fd);
	cr_expect_not_null(strstr(text, "\"lost\":"), "first of all");
	close(fd);
}

Test(follow, the_ring_gives_back_what_was_put_in_whatever_the_lengths)
{
	static struct pst_feed f;
	char err[64], line[PST_LOG_LINE_MAX], got[PST_LOG_LINE_MAX];
	uint32_t seed = 1;

	cr_assert(pst_feed_open(&f, err, sizeof(err)));
	cr_assert(pst_feed_follow(&f, NULL, true));
	for (int i = 0; i < 20000; i++) {
		size_t n;

		seed = seed * 1664525 + 1013904223;
		n = 1 + (seed >> 8) % (PST_LOG_LINE_MAX - 1);
		memset(line, 'a' + i % 26, n);
		pst_feed_put(&f, pst_span(line, n));
		cr_assert_eq(pst_feed_next(&f, got), n);
		cr_assert_eq(memcmp(got, line, n), 0);
		cr_assert_eq(pst_feed_next(&f, got), 0);
	}
	cr_expect_eq(pst_feed_lost(&f), 0);
	pst_feed_close(&f, NULL);
}

Test(follow, growth_of_counters_comes_every_interval)
{
	int fd = client();
	json_t *root, *params;

	say(fd, FOLLOW_STATS);
	heard(fd);
	fake.body_bytes += 500; /* each of two workers */
	site.now += 1999 * PST_NS_PER_MS;
	site_turn(&site);
	cr_expect_str_eq(heard(fd), "");
	site.now += PST_NS_PER_MS;
	site_turn(&site);
	root = json_loads(heard(fd), 0, NULL);
	cr_assert_not_null(root);
	params = json_object_get(root, "params");
	cr_expect_str_eq(text_of(root, "method"), "stats");
	cr_expect_float_eq(json_number_value(json_object_get(params, "interval")), 2, 1e-9);
	cr_expect_eq(number_of(json_object_get(json_object_get(params, "growth"), "relay"),
			     "body_bytes"),
		1000);
	cr_expect_null(json_object_get(json_object_get(json_object_get(params, "growth"), "tcp"),
			       "in_segs"),
		"what did not grow is not there");
	cr_expect_float_eq(json_number_value(json_object_get(
				   json_array_get(json_object_get(params, "workers"), 0), "busy")),
		0.25, 1e-9);
	json_decref(root);
	close(fd);
}

/* Silence of the log is no fault of its follower's; silence of another client is. */
Test(follow, a_follower_may_be_silent_for_long)
{
	int fd = client(), idle = client();

	say(fd, FOLLOW_LOG);
	heard(fd);
	pst_logger_tap(site.logger, NULL, NULL);
	site.now += 3600 * PST_NS_PER_SEC;
	site_turn(&site);
	cr_expect_eq(pst_control_nclients(site.control), 1);
	put("still there");
	site_turn(&site);
	cr_expect_not_null(strstr(heard(fd), "still there"));
	close(fd);
	close(idle);
}
