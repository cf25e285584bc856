/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * posternctl: asks a running gateway over its control socket, prints the answer.
 *
 *   posternctl [-s SOCKET] [--json] [--all] [--per-worker] status|stats|help
 *
 * Exit codes: 0 answered, 1 the gateway answered with an error, 2 usage, 3 no
 * gateway there or no answer within ANSWER_SECONDS.
 */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "print.h"

#define DEFAULT_SOCKET "/run/postern/control.sock"
#define ANSWER_SECONDS 10
#define ANSWER_MAX     (16u << 20)

enum { EXIT_OK, EXIT_ERROR, EXIT_USAGE, EXIT_CONNECT };

struct verb {
	const char *name;
	void (*print)(FILE *to, const json_t *result, const struct print_options *opt);
	const char *help;
};

static const struct verb verbs[] = {
	{"status", print_status, "what runs: versions, ports, listeners, workers, sessions"},
	{"stats", print_stats, "counters that are not zero; --all: every one"},
	{"help", print_help, "the methods the gateway knows"},
	{NULL, NULL, NULL},
};

static int
usage(FILE *to)
{
	fputs("usage: posternctl [-s SOCKET] [--json] [--all] [--per-worker] VERB\n\n", to);
	for (const struct verb *v = verbs; v->name != NULL; v++)
		fprintf(to, "  %-8s %s\n", v->name, v->help);
	fputs("\n  -s, --socket SOCKET  default " DEFAULT_SOCKET "\n"
	      "      --json           print the answer as JSON\n"
	      "      --all            stats: counters that are zero too\n"
	      "      --per-worker     stats: a column for each worker\n"
	      "  -V, --version        print the version and exit\n"
	      "\nexit codes: 0 answered, 1 error from the gateway, 2 usage, 3 cannot connect\n",
		to);
	return EXIT_USAGE;
}

/* ---- the wire ---- */

static int
connect_to(const char *path)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	struct timeval limit = {.tv_sec = ANSWER_SECONDS};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	if (strlen(path) >= sizeof(sun.sun_path)) {
		errno = ENAMETOOLONG;
		close(fd);
		return -1;
	}
	strcpy(sun.sun_path, path);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	if (connect(fd, (struct sockaddr *)&sun, sizeof(sun)) == 0)
		return fd;
	close(fd);
	return -1;
}

static int
send_all(int fd, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t sent = send(fd, p, n, MSG_NOSIGNAL);
		if (sent < 0 && errno != EINTR)
			return -1;
		if (sent > 0) {
			p += sent;
			n -= (size_t)sent;
		}
	}
	return 0;
}

/* Up to the newline, which is cut off; to be freed. NULL: errno says why. */
static char *
read_line(int fd)
{
	char *buf = NULL;
	size_t n = 0, cap = 0;

	for (;;) {
		if (n + 1 >= cap) {
			char *more = cap < ANSWER_MAX ? realloc(buf, cap = cap * 2 + 4096) : NULL;
			if (more == NULL)
				break;
			buf = more;
		}
		ssize_t got = recv(fd, buf + n, cap - n - 1, 0);
		if (got < 0 && errno == EINTR)
			continue;
		if (got == 0)
			errno = ECONNRESET;
		if (got <= 0)
			break;
		n += (size_t)got;
		buf[n] = '\0';
		if (buf[n - 1] == '\n')
			return buf;
	}
	free(buf);
	return NULL;
}

/* One request, one answer. NULL: said on standard error why. */
static json_t *
ask(const char *path, const char *method)
{
	char request[128], *line = NULL;
	json_t *answer = NULL;
	int fd = connect_to(path);

	snprintf(request, sizeof(request), "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"%s\"}\n",
		method);
	if (fd >= 0 && send_all(fd, request, strlen(request)) == 0)
		line = read_line(fd);
	if (line == NULL)
		fprintf(stderr, "posternctl: %s: %s\n", path,
			errno == EAGAIN ? "no answer" : strerror(errno));
	else if ((answer = json_loads(line, JSON_REJECT_DUPLICATES, NULL)) == NULL)
		fprintf(stderr, "posternctl: %s: the answer is not JSON\n", path);
	free(line);
	if (fd >= 0)
		close(fd);
	return answer;
}

/* ---- the command ---- */

static void
print_error(const json_t *error)
{
	const json_t *data = json_object_get(error, "data");
	const char *message = json_string_value(json_object_get(error, "message"));
	const char *reason = json_string_value(json_object_get(data, "reason"));

	fprintf(stderr, "posternctl: the gateway says: %s (%lld)%s%s\n",
		message != NULL ? message : "error",
		(long long)json_integer_value(json_object_get(error, "code")),
		reason != NULL ? ": " : "", reason != NULL ? reason : "");
}

static int
run(const char *path, const struct verb *verb, bool as_json, const struct print_options *opt)
{
	json_t *answer = ask(path, verb->name);
	const json_t *result = json_object_get(answer, "result");

	if (answer == NULL)
		return EXIT_CONNECT;
	if (result == NULL)
		print_error(json_object_get(answer, "error"));
	else if (as_json)
		json_dumpf(result, stdout, JSON_INDENT(2));
	else
		verb->print(stdout, result, opt);
	if (result != NULL && as_json)
		putchar('\n');
	json_decref(answer);
	return result != NULL ? EXIT_OK : EXIT_ERROR;
}

static const struct verb *
find_verb(const char *name)
{
	for (const struct verb *v = verbs; v->name != NULL; v++)
		if (strcmp(v->name, name) == 0)
			return v;
	return NULL;
}

int
main(int argc, char **argv)
{
	enum { JSON = 256, ALL, PER_WORKER };
	static const struct option longs[] = {{"socket", required_argument, NULL, 's'},
		{"json", no_argument, NULL, JSON}, {"all", no_argument, NULL, ALL},
		{"per-worker", no_argument, NULL, PER_WORKER}, {"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'V'}, {NULL, 0, NULL, 0}};
	struct print_options opt = {0};
	const char *path = DEFAULT_SOCKET;
	const struct verb *verb;
	bool as_json = false;
	int o;

	while ((o = getopt_long(argc, argv, "s:hV", longs, NULL)) != -1) {
		switch (o) {
		case 's':
			path = optarg;
			break;
		case JSON:
			as_json = true;
			break;
		case ALL:
			opt.all = true;
			break;
		case PER_WORKER:
			opt.per_worker = true;
			break;
		case 'h':
			usage(stdout);
			return EXIT_OK;
		case 'V':
			puts("posternctl " PST_VERSION);
			return EXIT_OK;
		default:
			return usage(stderr);
		}
	}
	verb = optind + 1 == argc ? find_verb(argv[optind]) : NULL;
	if (verb == NULL)
		return usage(stderr);
	return run(path, verb, as_json, &opt);
}
