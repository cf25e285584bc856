/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The verb `top`: a live screen. Subscribes to the growth of counters and draws
 * each notification. `q` or an interrupt ends it, and the terminal is as it was.
 * When standard output is no terminal, one screen is printed, without a cursor.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "print.h"
#include "ctl.h"

#define SCREEN_ON  "\033[?1049h\033[?25l" /* the other screen, no cursor */
#define SCREEN_OFF "\033[?25h\033[?1049l"
#define HOME       "\033[H"
#define REST_OFF   "\033[J"
#define LINE_OFF   "\033[K"

/* ---- the terminal ---- */

static struct termios before;
static bool changed;
static volatile sig_atomic_t ended;

static void
on_signal(int sig)
{
	(void)sig;
	ended = 1;
}

static void
terminal_take(void)
{
	struct sigaction sa = {.sa_handler = on_signal}; /* no SA_RESTART: poll shall return */
	struct termios raw;

	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGHUP, &sa, NULL);
	if (tcgetattr(STDIN_FILENO, &before) == 0) {
		raw = before;
		raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
		raw.c_cc[VMIN] = 0;
		raw.c_cc[VTIME] = 0;
		changed = tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
	}
	fputs(SCREEN_ON, stdout);
	fflush(stdout);
}

static void
terminal_give_back(void)
{
	fputs(SCREEN_OFF, stdout);
	fflush(stdout);
	if (changed)
		tcsetattr(STDIN_FILENO, TCSANOW, &before);
	changed = false;
}

/* ---- the picture ---- */

struct picture {
	const json_t *status; /* of the start */
	const json_t *now;    /* params of a notification */
	const char *eol;
};

static double
rate(const struct picture *p, const char *group, const char *name)
{
	const json_t *g = json_object_get(json_object_get(p->now, "growth"), group);
	double s = json_number_value(json_object_get(p->now, "interval"));

	return s > 0 ? (double)json_integer_value(json_object_get(g, name)) / s : 0;
}

static void
draw_head(const struct picture *p)
{
	const char *version = json_string_value(json_object_get(p->status, "version"));

	printf("postern %s   pid %lld   generation %lld%s%s", version != NULL ? version : "?",
		number_of(p->status, "pid"), number_of(p->now, "generation"),
		json_is_true(json_object_get(p->now, "draining")) ? "   DRAINING" : "", p->eol);
	printf("%s", p->eol);
}

static void
draw_pair(const struct picture *p, const char *a, double va, const char *b, double vb)
{
	printf("%-22s %12.1f /s   %-26s %12.1f /s%s", a, va, b, vb, p->eol);
}

static void
draw_rates(const struct picture *p)
{
	double faults = rate(p, "relay", "nexthop_connect_failures") +
			rate(p, "relay", "nexthop_handshake_failures");

	printf("%-22s %12lld%s", "sessions", number_of(p->now, "sessions"), p->eol);
	draw_pair(p, "new sessions", rate(p, "relay", "sessions"), "refused sessions",
		rate(p, "relay", "sessions_refused"));
	draw_pair(p, "mails sent", rate(p, "relay", "transactions_sent"), "mails deferred (4xx)",
		rate(p, "relay", "transactions_deferred"));
	draw_pair(p, "mails rejected (5xx)", rate(p, "relay", "transactions_rejected"),
		"delivery uncertain", rate(p, "relay", "delivery_uncertain"));
	draw_pair(p, "client handshakes", rate(p, "relay", "client_handshakes"),
		"failed with clients", rate(p, "relay", "client_handshake_failures"));
	draw_pair(p, "next-hop handshakes", rate(p, "relay", "nexthop_handshakes"),
		"next-hop faults", faults);
	draw_pair(p, "next-hop connections", rate(p, "relay", "nexthop_connects"),
		"taken from the pool", rate(p, "relay", "nexthop_reused"));
	draw_pair(p, "message KiB", rate(p, "relay", "body_bytes") / 1024, "timeouts",
		rate(p, "relay", "timeouts"));
	draw_pair(p, "crypto given away", rate(p, "crypto", "submitted"), "crypto redone here",
		rate(p, "crypto", "redone"));
	draw_pair(p, "packets in", rate(p, "net", "rx_packets"), "packets out",
		rate(p, "net", "tx_packets"));
	printf("%s", p->eol);
}

static void
draw_workers(const struct picture *p)
{
	const json_t *w;
	size_t i;

	printf("worker    busy     cpu  sessions  pooled  tcp conns  half-open      mbufs in use%s",
		p->eol);
	json_array_foreach(json_object_get(p->now, "workers"), i, w)
	{
		printf("%6lld  %5.1f%%  %5.1f%%  %8lld  %6lld  %9lld  %9lld  %8lld/%lld%s",
			number_of(w, "worker"), 100 * json_number_value(json_object_get(w, "busy")),
			100 * json_number_value(json_object_get(w, "cpu")),
			number_of(w, "sessions"), number_of(w, "pooled_connections"),
			number_of(w, "tcp_connections"), number_of(w, "tcp_half_open"),
			number_of(w, "mbufs_in_use"), number_of(w, "mbufs_total"), p->eol);
	}
}

static void
draw(const json_t *status, const json_t *params, bool live)
{
	struct picture p = {.status = status, .now = params, .eol = live ? LINE_OFF "\r\n" : "\n"};

	if (live)
		fputs(HOME, stdout);
	draw_head(&p);
	draw_rates(&p);
	draw_workers(&p);
	if (live)
		fputs(LINE_OFF "\r\nq quits" REST_OFF, stdout);
	fflush(stdout);
}

/* ---- the loop ---- */

/* Until the gateway speaks; false: somebody wants to end. */
static bool
wait_news(const struct wire *w)
{
	struct pollfd p[2] = {
		{.fd = w->fd, .events = POLLIN}, {.fd = STDIN_FILENO, .events = POLLIN}};
	char key;

	while (!ended && !wire_pending(w)) {
		if (poll(p, 2, -1) < 0 && errno != EINTR)
			return false;
		if (p[1].revents != 0) {
			ssize_t n = read(STDIN_FILENO, &key, 1);
			if (n == 1 && (key == 'q' || key == 'Q' || key == 3))
				return false;
			if (n <= 0)
				p[1].fd = -1; /* standard input ended: a signal may still come */
		}
		if (p[0].revents != 0)
			return true;
	}
	return !ended;
}

static enum exit_code
watch(const struct ctl *c, struct wire *w, const json_t *status, bool live)
{
	enum exit_code code = EXIT_OK;
	bool drawn = false;

	while (live ? wait_news(w) : !drawn) {
		json_t *m = wire_receive(w, c->socket);

		if (m == NULL) {
			code = EXIT_CONNECT;
			break;
		}
		if (json_object_get(m, "method") != NULL && !live && c->json)
			ctl_print_json(json_object_get(m, "params"));
		else if (json_object_get(m, "method") != NULL)
			draw(status, json_object_get(m, "params"), live);
		drawn = json_object_get(m, "method") != NULL;
		json_decref(m);
	}
	return code;
}

enum exit_code
verb_top(const struct ctl *c, char **arg, int n)
{
	bool live = isatty(STDOUT_FILENO) && !c->json;
	json_t *status = NULL, *error = NULL;
	enum exit_code code = ctl_ask(c, "status", NULL, &status, &error);
	struct wire w;

	(void)arg, (void)n;
	if (error != NULL)
		ctl_print_error(error);
	json_decref(error);
	if (code == EXIT_OK && !wire_open(&w, c->socket))
		code = EXIT_CONNECT;
	if (code != EXIT_OK) {
		json_decref(status);
		return code;
	}
	if (live)
		terminal_take();
	wire_patience(&w, (unsigned)c->interval + 10);
	if (wire_send(&w, c->socket, "subscribe",
		    json_pack("{s:[s], s:f}", "topics", "stats", "interval", c->interval)))
		code = watch(c, &w, status, live);
	else
		code = EXIT_CONNECT;
	if (live)
		terminal_give_back();
	wire_close(&w);
	json_decref(status);
	return code;
}
