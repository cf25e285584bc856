/* SPDX-License-Identifier: BSD-3-Clause */
/* The socket with good, bad and many clients; turned by hand on a clock of its own. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "fake.h"
#include "rpc.h"
#include "server.h"

#define STATUS "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"status\"}\n"
#define STATS  "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"stats\"}\n"
#define HELP   "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"help\"}\n"

static char dir[64], path[96];
static uint64_t now;

static void
make_dir(void)
{
	strcpy(dir, "/tmp/pst-control-XXXXXX");
	cr_assert_not_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/c.sock", dir);
	now = 1000 * PST_NS_PER_SEC;
}

static void
remove_dir(void)
{
	unlink(path);
	rmdir(dir);
}

TestSuite(server, .init = make_dir, .fini = remove_dir, .timeout = 60);

static struct pst_control *
server(void)
{
	char err[256] = "";
	struct pst_control_deps deps = fake_deps(path);
	struct pst_control *c = pst_control_open(&deps, err, sizeof(err));

	cr_assert_not_null(c, "%s", err);
	return c;
}

static void
turn(struct pst_control *c)
{
	pst_control_wait(c, 0);
	pst_control_serve(c, now);
}

static int
client(void)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	strcpy(sun.sun_path, path);
	cr_assert_eq(connect(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	return fd;
}

static void
say(int fd, const char *text)
{
	cr_assert_eq(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* What has arrived; "" if nothing, "EOF" if the server closed. */
static const char *
heard(int fd)
{
	static char buf[1 << 20];
	size_t n = 0;
	ssize_t got;

	while ((got = recv(fd, buf + n, sizeof(buf) - n - 1, 0)) > 0)
		n += (size_t)got;
	buf[n] = '\0';
	return n == 0 && got == 0 ? "EOF" : buf;
}

static unsigned
lines(const char *s)
{
	unsigned n = 0;

	for (; *s != '\0'; s++)
		n += *s == '\n';
	return n;
}

Test(server, answers_a_line_with_a_line)
{
	struct pst_control *c = server();
	int fd = client();

	turn(c);
	cr_expect_eq(pst_control_nclients(c), 1);
	say(fd, STATUS);
	turn(c);
	cr_expect_not_null(strstr(heard(fd), "\"sessions\":30"));
	close(fd);
	turn(c);
	cr_expect_eq(pst_control_nclients(c), 0);
	pst_control_close(c);
}

Test(server, the_socket_is_for_owner_and_group_only)
{
	struct pst_control *c = server();
	struct stat st;

	cr_assert_eq(stat(path, &st), 0);
	cr_expect(S_ISSOCK(st.st_mode));
	cr_expect_eq(st.st_mode & 07777, 0660);
	pst_control_close(c);
	cr_expect_neq(stat(path, &st), 0, "removed at the end");
}

Test(server, makes_the_directory)
{
	struct stat st;
	struct pst_control *c;
	char run[80];

	snprintf(run, sizeof(run), "%s/run", dir);
	snprintf(path, sizeof(path), "%s/c.sock", run);
	c = server();
	cr_assert_eq(stat(run, &st), 0);
	cr_expect_eq(st.st_mode & 07777 & ~022, 0755 & ~022);
	pst_control_close(c);
	cr_expect_eq(rmdir(run), 0, "nothing is left in it");
}

Test(server, a_stale_socket_is_replaced)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	strcpy(sun.sun_path, path);
	cr_assert_eq(bind(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	close(fd); /* as a killed process leaves it */
	pst_control_close(server());
}

static void
expect_refusal(const char *text)
{
	struct pst_control_deps deps = fake_deps(path);
	char err[256] = "";

	cr_assert_null(pst_control_open(&deps, err, sizeof(err)));
	cr_expect_not_null(strstr(err, text), "%s", err);
	cr_expect_not_null(strstr(err, path), "%s", err);
}

Test(server, a_live_socket_is_left_alone)
{
	struct pst_control *c = server();
	int fd;

	expect_refusal("in use by a running instance");
	turn(c);
	fd = client(); /* still there */
	close(fd);
	pst_control_close(c);
}

Test(server, a_file_that_is_no_socket_is_left_alone)
{
	FILE *f = fopen(path, "w");

	cr_assert_not_null(f);
	fclose(f);
	expect_refusal("not a socket");
	cr_expect_eq(access(path, F_OK), 0);
}

Test(server, a_group_that_does_not_exist_is_an_error)
{
	struct pst_control_deps deps = fake_deps(path);
	struct pst_config config = *deps.config;
	char err[256] = "";

	config.control.group = "no-such-group-here";
	deps.config = &config;
	cr_assert_null(pst_control_open(&deps, err, sizeof(err)));
	cr_expect_not_null(strstr(err, "no group \"no-such-group-here\""), "%s", err);
	cr_expect_neq(access(path, F_OK), 0, "nothing is left behind");
}

Test(server, a_line_may_come_in_pieces)
{
	struct pst_control *c = server();
	int fd = client();

	turn(c);
	for (const char *p = STATUS; *p != '\0'; p++) {
		cr_expect_str_eq(heard(fd), "");
		cr_assert_eq(send(fd, p, 1, 0), 1);
		turn(c);
	}
	cr_expect_eq(lines(heard(fd)), 1);
	close(fd);
	pst_control_close(c);
}

Test(server, pipelined_lines_are_answered_in_order_one_a_turn)
{
	struct pst_control *c = server();
	int fd = client();

	turn(c);
	say(fd, "{\"jsonrpc\":\"2.0\",\"id\":\"a\",\"method\":\"help\"}\n\r\n  \n"
		"{\"jsonrpc\":\"2.0\",\"id\":\"b\",\"method\":\"help\"}\n");
	shutdown(fd, SHUT_WR);
	turn(c);
	cr_expect_not_null(strstr(heard(fd), "\"id\":\"a\""));
	for (int i = 0; i < 3; i++)
		turn(c);
	/* Everything before the end of input is answered, then the end is. */
	cr_expect_not_null(strstr(heard(fd), "\"id\":\"b\""));
	turn(c);
	cr_expect_str_eq(heard(fd), "EOF");
	cr_expect_eq(pst_control_nclients(c), 0);
	close(fd);
	pst_control_close(c);
}

Test(server, garbage_gets_errors_and_harms_nobody)
{
	static const char junk[] = "GET / HTTP/1.1\n\x16\x03\x01\n{{{{\n\xff\n";
	struct pst_control *c = server();
	int bad = client(), good = client();
	unsigned answers = 0;

	turn(c);
	turn(c);
	say(bad, junk);
	say(good, HELP);
	for (int i = 0; i < 5; i++) {
		turn(c);
		answers += lines(heard(bad));
	}
	cr_expect_eq(answers, 4);
	cr_expect_not_null(strstr(heard(good), "\"result\""));
	close(bad);
	close(good);
	pst_control_close(c);
}

/* Pushes bytes until the server has had enough of it; returns how many it took. */
static size_t
flood(struct pst_control *c, int fd, size_t most)
{
	static char junk[1 << 18];
	size_t sent = 0;

	memset(junk, 'x', sizeof(junk));
	while (sent < most) {
		ssize_t n = send(fd, junk, PST_MIN(sizeof(junk), most - sent), MSG_NOSIGNAL);
		if (n < 0 && errno != EAGAIN)
			break;
		sent += n > 0 ? (size_t)n : 0;
		turn(c);
	}
	return sent;
}

Test(server, a_line_longer_than_17_mib_ends_the_connection)
{
	struct pst_control *c = server();
	int fd = client();

	turn(c);
	cr_expect_lt(flood(c, fd, 100u << 20), 20u << 20, "100 MB are not read to the end");
	cr_expect_eq(pst_control_nclients(c), 0);
	cr_expect_not_null(strstr(heard(fd), "line too long"));
	close(fd);
	pst_control_close(c);
}

Test(server, only_two_lines_at_a_time_may_be_large_and_others_are_served)
{
	struct pst_control *c = server();
	int big[3], good;

	for (int i = 0; i < 3; i++) {
		big[i] = client();
		turn(c);
		flood(c, big[i], 2u << 20);
	}
	for (int i = 0; i < 5; i++)
		turn(c);
	cr_expect_eq(pst_control_nclients(c), 2);
	cr_expect_not_null(strstr(heard(big[2]), "-32000"));
	good = client();
	turn(c);
	say(good, HELP);
	turn(c);
	cr_expect_not_null(strstr(heard(good), "\"result\""));
	/* Who began a large line has half a minute to end it. */
	now += 31 * PST_NS_PER_SEC;
	turn(c);
	cr_expect_eq(pst_control_nclients(c), 1);
	for (int i = 0; i < 3; i++)
		close(big[i]);
	close(good);
	pst_control_close(c);
}

Test(server, ten_thousand_connections_come_and_go)
{
	struct pst_control *c = server();
	unsigned refused = 0, kept = 0;
	int first = client();

	turn(c);
	for (int i = 0; i < 10000; i++) {
		int fd = client();
		if (i % 3 == 0)
			say(fd, "{\"jsonrpc\":\"2.0\",\"id\""); /* half an object */
		turn(c);
		if (strstr(heard(fd), "-32000") != NULL)
			refused++;
		if (i % 100 == 0 && kept < 80)
			kept++; /* stays open, silent */
		else
			close(fd);
	}
	turn(c);
	cr_expect_gt(refused, 1000);
	say(first, HELP);
	turn(c);
	cr_expect_not_null(strstr(heard(first), "\"result\""), "who was there is still served");
	close(first);
	pst_control_close(c);
}

Test(server, a_client_that_does_not_read_is_not_read_either)
{
	struct pst_control *c = server();
	int slow = client(), good = client();
	size_t pushed = 0;

	turn(c);
	turn(c);
	for (int i = 0; i < 20000; i++) {
		ssize_t n = send(slow, STATS, strlen(STATS), MSG_NOSIGNAL);
		if (n > 0)
			pushed += (size_t)n;
		turn(c);
	}
	/* Two kernel buffers and one line of ours at most: it was held back, not stored. */
	cr_expect_lt(pushed, 20000 * strlen(STATS));
	say(good, HELP);
	turn(c);
	cr_expect_not_null(strstr(heard(good), "\"result\""));
	/* When it reads again it is served on. */
	cr_expect_gt(lines(heard(slow)), 0);
	for (int i = 0; i < 10; i++)
		turn(c);
	cr_expect_gt(lines(heard(slow)), 0);
	close(slow);
	close(good);
	pst_control_close(c);
}

Test(server, silence_ends_after_five_minutes_and_not_before)
{
	struct pst_control *c = server();
	int idle = client(), busy = client();

	turn(c);
	turn(c);
	now += 299 * PST_NS_PER_SEC;
	say(busy, HELP);
	turn(c);
	cr_expect_eq(pst_control_nclients(c), 2);
	now += PST_NS_PER_SEC;
	turn(c);
	cr_expect_eq(pst_control_nclients(c), 1);
	cr_expect_str_eq(heard(idle), "EOF");
	now += 299 * PST_NS_PER_SEC;
	turn(c);
	cr_expect_eq(pst_control_nclients(c), 0);
	close(idle);
	close(busy);
	pst_control_close(c);
}

Test(server, the_sixty_fifth_client_is_turned_away)
{
	struct pst_control *c = server();
	int fds[PST_CONTROL_CLIENTS], extra;

	for (int i = 0; i < PST_CONTROL_CLIENTS; i++) {
		fds[i] = client();
		turn(c);
	}
	cr_expect_eq(pst_control_nclients(c), PST_CONTROL_CLIENTS);
	extra = client();
	turn(c);
	cr_expect_not_null(strstr(heard(extra), "-32000"));
	cr_expect_str_eq(heard(extra), "EOF");
	say(fds[63], HELP);
	turn(c);
	cr_expect_not_null(strstr(heard(fds[63]), "\"result\""));

	close(fds[7]); /* a place is free again */
	turn(c);
	close(extra);
	extra = client();
	turn(c);
	cr_expect_eq(pst_control_nclients(c), PST_CONTROL_CLIENTS);
	for (int i = 0; i < PST_CONTROL_CLIENTS; i++)
		close(fds[i]);
	close(extra);
	pst_control_close(c);
}

Test(server, a_client_may_vanish_before_its_answer)
{
	struct pst_control *c = server();

	for (int i = 0; i < 100; i++) {
		int fd = client();
		turn(c);
		say(fd, STATS STATS);
		close(fd);
		turn(c);
		turn(c);
	}
	turn(c);
	cr_expect_eq(pst_control_nclients(c), 0);
	pst_control_close(c);
}

/* The thread itself; blocking client, no clock. */
Test(server, runs_on_a_thread_of_its_own)
{
	struct pst_control_deps deps = fake_deps(path);
	char err[256] = "", buf[4096];
	struct pst_control *c = pst_control_new(&deps, err, sizeof(err));
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	cr_assert_not_null(c, "%s", err);
	strcpy(sun.sun_path, path);
	cr_assert_eq(connect(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	say(fd, HELP);
	cr_expect_gt(recv(fd, buf, sizeof(buf), 0), 0);
	pst_control_free(c);
	cr_expect_eq(recv(fd, buf, sizeof(buf), 0), 0);
	cr_expect_neq(access(path, F_OK), 0);
	close(fd);
	pst_control_free(NULL);
}
