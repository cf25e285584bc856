/* SPDX-License-Identifier: BSD-3-Clause */
/* The page over HTTP: what is answered to whom, and that nobody can take it away from others. */
#include <criterion/criterion.h>
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "metrics_int.h"

TestSuite(http, .timeout = 60);

static atomic_uint rendered;
static bool no_memory;

static char *
render(void *arg, enum pst_metrics_format format, size_t *len)
{
	char *text = strdup(format == PST_METRICS_OPENMETRICS ? "open\n" : "classic\n");

	rendered++;
	if (no_memory) {
		free(text);
		return NULL;
	}
	*len = strlen(text);
	return text;
}

static struct pst_endpoint
loopback(uint16_t port)
{
	struct pst_endpoint at = {.port = port};

	cr_assert_eq(pst_ip_parse("127.0.0.1", &at.ip), PST_OK);
	return at;
}

static struct pst_metrics_http *
server(void)
{
	struct pst_endpoint at = loopback(0);
	char err[160] = "";
	struct pst_metrics_http *h = pst_metrics_http_new(&at, render, NULL, err, sizeof(err));

	cr_assert_not_null(h, "%s", err);
	cr_assert_neq(pst_metrics_http_port(h), 0);
	return h;
}

static int
client(const struct pst_metrics_http *h)
{
	struct sockaddr_in sin = {.sin_family = AF_INET,
		.sin_port = htons(pst_metrics_http_port(h)),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	cr_assert_eq(connect(fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
	return fd;
}

/* Everything until the server closes; "" if it closed at once or reset the connection. */
static const char *
heard(int fd)
{
	static char buf[65536];
	size_t n = 0;
	ssize_t got;

	while (n < sizeof(buf) - 1 && (got = recv(fd, buf + n, sizeof(buf) - 1 - n, 0)) > 0)
		n += (size_t)got;
	buf[n] = '\0';
	close(fd);
	return buf;
}

static const char *
ask(const struct pst_metrics_http *h, const char *request)
{
	int fd = client(h);

	(void)send(fd, request, strlen(request), MSG_NOSIGNAL);
	return heard(fd);
}

#define HOST " HTTP/1.1\r\nHost: x\r\n"

Test(http, the_page_comes_in_the_format_that_was_asked_for)
{
	struct pst_metrics_http *h = server();
	const char *got = ask(h, "GET /metrics" HOST "\r\n");

	cr_expect(strncmp(got, "HTTP/1.1 200 ", 13) == 0, "%s", got);
	cr_expect_not_null(
		strstr(got, "\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8"));
	cr_expect_not_null(strstr(got, "\r\n\r\nclassic\n"));
	got = ask(h, "GET /metrics?x=1" HOST
		     "Accept: application/openmetrics-text;version=1.0.0\r\n\r\n");
	cr_expect_not_null(strstr(got, "\r\nContent-Type: application/openmetrics-text; "
				       "version=1.0.0; charset=utf-8"));
	cr_expect_not_null(strstr(got, "\r\n\r\nopen\n"));
	got = ask(h, "GET /metrics HTTP/1.0\r\n\r\n");
	cr_expect_not_null(strstr(got, "\r\n\r\nclassic\n"));
	pst_metrics_http_free(h);
}

Test(http, head_has_the_length_and_no_body)
{
	struct pst_metrics_http *h = server();
	const char *got = ask(h, "HEAD /metrics" HOST "\r\n");

	cr_expect(strncmp(got, "HTTP/1.1 200 ", 13) == 0, "%s", got);
	cr_expect_not_null(strstr(got, "\r\nContent-Length: 8\r\n"));
	cr_expect_null(strstr(got, "classic"));
	pst_metrics_http_free(h);
}

Test(http, anything_else_is_refused_without_a_look_at_the_workers)
{
	static const struct {
		const char *request;
		const char *want;
	} rows[] = {
		{"GET /" HOST "\r\n", "HTTP/1.1 404 "},
		{"GET /metrics/" HOST "\r\n", "HTTP/1.1 404 "},
		{"GET /metrics/../etc/passwd" HOST "\r\n", "HTTP/1.1 404 "},
		{"GET /metrics%01" HOST "\r\n", "HTTP/1.1 404 "},
		{"POST /metrics" HOST "Content-Length: 3\r\n\r\nabc", "HTTP/1.1 405 "},
		{"DELETE /metrics" HOST "\r\n", "HTTP/1.1 405 "},
		{"get /metrics" HOST "\r\n", "HTTP/1.1 405 "},
		{"GET /metrics" HOST "Content-Length: 3\r\n\r\nabc", "HTTP/1.1 413 "},
		{"GET /metrics" HOST "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
			"HTTP/1.1 413 "},
	};
	struct pst_metrics_http *h = server();

	for (unsigned i = 0; i < PST_COUNT(rows); i++) {
		const char *got = ask(h, rows[i].request);

		cr_expect(strncmp(got, rows[i].want, strlen(rows[i].want)) == 0, "%s: %s",
			rows[i].request, got);
		if (strstr(rows[i].want, "405") != NULL)
			cr_expect_not_null(strstr(got, "\r\nAllow: GET, HEAD\r\n"));
	}
	cr_expect_eq(rendered, 0);
	pst_metrics_http_free(h);
}

Test(http, garbage_gets_no_page_and_does_no_harm)
{
	static const char *const rows[] = {"\r\n\r\n\r\n\r\n", "GET\r\n\r\n",
		"\x16\x03\x01\x02\x00\x01", "GET /metrics HTTP/9.9\r\n\r\n",
		"GET /metrics HTTP/1.1\r\n\r\n" /* no Host */,
		"GET /metrics" HOST "Content-Length: -1\r\n\r\n"};
	struct pst_metrics_http *h = server();
	static char big[200000];

	for (unsigned i = 0; i < PST_COUNT(rows); i++) {
		int fd = client(h);

		(void)send(fd, rows[i], strlen(rows[i]), MSG_NOSIGNAL);
		shutdown(fd, SHUT_WR);
		cr_expect_null(strstr(heard(fd), "classic"), "%s", rows[i]);
	}
	memset(big, 'a', sizeof(big) - 1);
	memcpy(big, "GET /metrics HTTP/1.1\r\nHost: x\r\nX: ", 36);
	cr_expect_null(strstr(ask(h, big), "200 OK"));
	memcpy(big, "GET /", 5);
	cr_expect_null(strstr(ask(h, big), "200 OK"));
	cr_expect_eq(rendered, 0);
	cr_expect_not_null(strstr(ask(h, "GET /metrics" HOST "\r\n"), "classic"));
	pst_metrics_http_free(h);
}

Test(http, no_memory_is_503)
{
	struct pst_metrics_http *h = server();

	no_memory = true;
	cr_expect(strncmp(ask(h, "GET /metrics" HOST "\r\n"), "HTTP/1.1 503 ", 13) == 0);
	no_memory = false;
	pst_metrics_http_free(h);
}

/* True as soon as a page comes; asks again while it does not. */
static bool
page_comes(const struct pst_metrics_http *h)
{
	for (unsigned i = 0; i < 500; i++) {
		if (strstr(ask(h, "GET /metrics" HOST "\r\n"), "classic") != NULL)
			return true;
		usleep(10000);
	}
	return false;
}

static void
fill(const struct pst_metrics_http *h, int fds[PST_METRICS_CONNECTIONS])
{
	for (unsigned i = 0; i < PST_METRICS_CONNECTIONS; i++) {
		fds[i] = client(h);
		cr_assert_eq(send(fds[i], "GET /m", 6, MSG_NOSIGNAL), 6);
	}
}

/* The server took the connection and did not close it. */
static unsigned
alive(const int fds[PST_METRICS_CONNECTIONS])
{
	unsigned n = 0;

	for (unsigned i = 0; i < PST_METRICS_CONNECTIONS; i++) {
		struct pollfd p = {.fd = fds[i], .events = POLLIN};

		n += poll(&p, 1, 0) == 0;
	}
	return n;
}

Test(http, a_seventeenth_client_is_turned_away_until_a_place_is_free)
{
	struct pst_metrics_http *h = server();
	int fds[PST_METRICS_CONNECTIONS];

	fill(h, fds);
	cr_expect_str_eq(ask(h, "GET /metrics" HOST "\r\n"), "");
	cr_expect_eq(alive(fds), PST_METRICS_CONNECTIONS);
	close(fds[3]);
	cr_expect(page_comes(h));
	for (unsigned i = 0; i < PST_METRICS_CONNECTIONS; i++)
		if (i != 3)
			close(fds[i]);
	pst_metrics_http_free(h);
}

Test(http, clients_that_only_hold_places_lose_them_to_one_who_asks)
{
	struct pst_metrics_http *h = server();
	int fds[PST_METRICS_CONNECTIONS];

	pst_metrics_http_set_lifetime(h, 0);
	fill(h, fds);
	cr_expect(page_comes(h));
	cr_expect_eq(alive(fds), 0);
	for (unsigned i = 0; i < PST_METRICS_CONNECTIONS; i++)
		close(fds[i]);
	pst_metrics_http_free(h);
}

Test(http, a_port_in_use_is_an_error_that_names_it)
{
	struct pst_metrics_http *h = server();
	struct pst_endpoint at = loopback(pst_metrics_http_port(h));
	char err[160] = "", want[160];

	cr_expect_null(pst_metrics_http_new(&at, render, NULL, err, sizeof(err)));
	snprintf(want, sizeof(want),
		"metrics: cannot listen on 127.0.0.1 port %u: Address already in use", at.port);
	cr_expect_str_eq(err, want);
	pst_metrics_http_free(h);
	pst_metrics_http_free(NULL);
}

Test(http, the_end_does_not_wait_for_clients)
{
	struct pst_metrics_http *h = server();
	int fds[PST_METRICS_CONNECTIONS];

	fill(h, fds);
	pst_metrics_http_free(h);
	for (unsigned i = 0; i < PST_METRICS_CONNECTIONS; i++)
		cr_expect_str_eq(heard(fds[i]), "");
}

Test(http, any_address_takes_ipv4_too)
{
	struct pst_endpoint at = {.port = 0}; /* :: */
	char err[160] = "";
	struct pst_metrics_http *h = pst_metrics_http_new(&at, render, NULL, err, sizeof(err));

	cr_assert_not_null(h, "%s", err);
	cr_expect_not_null(strstr(ask(h, "GET /metrics" HOST "\r\n"), "classic"));
	pst_metrics_http_free(h);
}
