/* SPDX-License-Identifier: BSD-3-Clause */
#include "wire.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define ANSWER_SECONDS 10
#define ANSWER_MAX     (128u << 20)

static bool
complain(const char *path, const char *what)
{
	fprintf(stderr, "posternctl: %s: %s\n", path, what);
	return false;
}

void
wire_patience(struct wire *w, unsigned seconds)
{
	struct timeval limit = {.tv_sec = seconds};

	setsockopt(w->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(w->fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
}

bool
wire_open(struct wire *w, const char *path)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};

	*w = (struct wire){.fd = -1};
	if (strlen(path) >= sizeof(sun.sun_path))
		return complain(path, strerror(ENAMETOOLONG));
	strcpy(sun.sun_path, path);
	w->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (w->fd < 0)
		return complain(path, strerror(errno));
	wire_patience(w, ANSWER_SECONDS);
	if (connect(w->fd, (struct sockaddr *)&sun, sizeof(sun)) == 0)
		return true;
	complain(path, strerror(errno));
	wire_close(w);
	return false;
}

void
wire_close(struct wire *w)
{
	if (w->fd >= 0)
		close(w->fd);
	free(w->buf);
	*w = (struct wire){.fd = -1};
}

static bool
send_all(int fd, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t sent = send(fd, p, n, MSG_NOSIGNAL);

		if (sent < 0 && errno != EINTR)
			return false;
		if (sent > 0) {
			p += sent;
			n -= (size_t)sent;
		}
	}
	return true;
}

bool
wire_send(struct wire *w, const char *path, const char *method, json_t *params)
{
	json_t *request = json_pack("{s:s, s:i, s:s, s:o*}", "jsonrpc", "2.0", "id", 1, "method",
		method, "params", params);
	char *line = json_dumps(request, JSON_COMPACT | JSON_REAL_PRECISION(15));
	bool ok = line != NULL;

	json_decref(request);
	if (!ok)
		return complain(path, "out of memory");
	/* It may close while we still send: it has then said why. */
	ok = (send_all(w->fd, line, strlen(line)) && send_all(w->fd, "\n", 1)) || errno == EPIPE;
	free(line);
	return ok || complain(path, strerror(errno));
}

static char *
newline(const struct wire *w)
{
	return w->n > 0 ? memchr(w->buf, '\n', w->n) : NULL;
}

bool
wire_pending(const struct wire *w)
{
	return newline(w) != NULL;
}

/* More bytes. */
static bool
fill(struct wire *w, const char *path)
{
	ssize_t got;

	if (w->n == w->cap) {
		char *more = w->cap < ANSWER_MAX ? realloc(w->buf, w->cap * 2 + 65536) : NULL;

		if (more == NULL)
			return complain(path, "the answer is too large");
		w->buf = more;
		w->cap = w->cap * 2 + 65536;
	}
	do
		got = recv(w->fd, w->buf + w->n, w->cap - w->n, 0);
	while (got < 0 && errno == EINTR);
	if (got == 0)
		return complain(path, "the gateway closed the connection");
	if (got < 0)
		return complain(path, errno == EAGAIN ? "no answer" : strerror(errno));
	w->n += (size_t)got;
	return true;
}

json_t *
wire_receive(struct wire *w, const char *path)
{
	json_t *message;
	size_t len;
	char *nl;

	while ((nl = newline(w)) == NULL)
		if (!fill(w, path))
			return NULL;
	len = (size_t)(nl - w->buf);
	message = json_loadb(w->buf, len, JSON_REJECT_DUPLICATES, NULL);
	w->n -= len + 1;
	memmove(w->buf, nl + 1, w->n);
	if (message == NULL)
		complain(path, "the answer is not JSON");
	return message;
}
