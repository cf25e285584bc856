/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Serves the control socket: a thread with a poll loop over at most CLIENTS
 * connections, line in, line out (rpc.c).
 *
 * No client can harm another or the gateway:
 *   slow reader   its answer waits; until it is gone nothing more is read from it
 *   slow writer   holds its own line, at most PST_RPC_LINE_MAX bytes
 *   fast writer   gets one line answered a turn, as everybody else does
 *   silent one    is closed after IDLE_NS without a byte moved either way
 *   one too many  is told so and closed
 * A line that is too long cannot be resynchronised and ends the connection.
 */
#include "server.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <pst_buf.h>

#include "listen.h"
#include "rpc.h"

#define READ_CHUNK 16384
#define OUT_MAX    (4u << 20) /* more than the longest answer */

struct client {
	int fd;            /* -1: free */
	bool eof;          /* nothing more will come: answer what is there, then close */
	bool closing;      /* flush, then close */
	uint32_t scanned;  /* bytes of `in` that hold no newline */
	uint64_t moved_ns; /* last byte in or out */
	struct pst_buf in, out;
};

enum { POLL_WAKE, POLL_LISTEN, POLL_CLIENT };

struct pst_control {
	struct pst_control_deps deps;
	struct pst_listen listen;
	struct pst_log *log;
	int wake;          /* eventfd: stop */
	_Atomic bool stop; /* set by free before it writes wake */
	pthread_t thread;
	unsigned nclients;
	struct client clients[PST_CONTROL_CLIENTS];
	struct pollfd poll[POLL_CLIENT + PST_CONTROL_CLIENTS];
};

/* ---- one client ---- */

static void
client_close(struct pst_control *c, struct client *cl)
{
	close(cl->fd);
	pst_buf_fini(&cl->in);
	pst_buf_fini(&cl->out);
	cl->fd = -1;
	c->nclients--;
}

/* Takes over text; NULL: nothing to say. */
static void
client_say(struct client *cl, char *text)
{
	if (text != NULL && pst_buf_append_str(&cl->out, text) != PST_OK)
		cl->closing = true;
	free(text);
}

static void
client_flush(struct pst_control *c, struct client *cl, uint64_t now)
{
	struct pst_span s = pst_buf_span(&cl->out);
	ssize_t n = 0;

	if (s.n > 0) {
		n = send(cl->fd, s.p, s.n, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n > 0) {
			pst_buf_consume(&cl->out, (size_t)n);
			cl->moved_ns = now;
		}
	}
	if (n < 0 && errno != EAGAIN && errno != EINTR)
		client_close(c, cl);
	else if (cl->closing && pst_buf_len(&cl->out) == 0)
		client_close(c, cl);
}

static void
client_read(struct pst_control *c, struct client *cl, uint64_t now)
{
	uint8_t *room =
		pst_buf_reserve(&cl->in, PST_MIN(pst_buf_room(&cl->in), (size_t)READ_CHUNK));
	ssize_t n;

	if (room == NULL) {
		client_close(c, cl); /* no memory */
		return;
	}
	n = recv(cl->fd, room, PST_MIN(pst_buf_room(&cl->in), (size_t)READ_CHUNK), MSG_DONTWAIT);
	if (n > 0) {
		pst_buf_commit(&cl->in, (size_t)n);
		cl->moved_ns = now;
	} else if (n == 0) {
		cl->eof = true;
	} else if (errno != EAGAIN && errno != EINTR) {
		client_close(c, cl);
	}
}

/* Length of the first line in `in`, newline included; 0: not there yet. */
static size_t
line_length(struct client *cl)
{
	struct pst_span s = pst_buf_span(&cl->in);
	const uint8_t *nl;

	if (s.n == 0)
		return 0;
	nl = memchr(s.p + cl->scanned, '\n', s.n - cl->scanned);
	if (nl != NULL)
		return (size_t)(nl - s.p) + 1;
	cl->scanned = (uint32_t)s.n;
	return 0;
}

static bool
is_blank(struct pst_span s)
{
	for (size_t i = 0; i < s.n; i++)
		if (strchr(" \t\r\n", s.p[i]) == NULL || s.p[i] == '\0')
			return false;
	return true;
}

/* Answers one line, unless the last answer is still waiting. true: did something. */
static bool
client_turn(struct pst_control *c, struct client *cl)
{
	struct pst_span in = pst_buf_span(&cl->in);
	size_t n;

	if (cl->closing || pst_buf_len(&cl->out) > 0)
		return false;
	n = line_length(cl);
	if (n == 0 && pst_buf_room(&cl->in) == 0) {
		client_say(cl, pst_rpc_error(PST_RPC_INVALID,
				       json_pack("{s:s, s:i}", "reason", "line too long", "limit",
					       (int)PST_RPC_LINE_MAX)));
		cl->closing = true;
		return true;
	}
	if (n == 0) {
		cl->closing = cl->eof;
		return cl->eof;
	}
	if (!is_blank(pst_span(in.p, n)))
		client_say(cl, pst_rpc_answer(&c->deps, (const char *)in.p, n - 1));
	pst_buf_consume(&cl->in, n);
	cl->scanned = 0;
	return true;
}

/* ---- arrivals ---- */

/* SO_PEERCRED: who it was when it connected; the kernel vouches for it. */
static void
log_arrival(struct pst_control *c, int fd)
{
	struct ucred cred = {0};
	socklen_t len = sizeof(cred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) == 0)
		pst_logf(c->log, PST_LOG_INFO, "control", "client uid=%u gid=%u pid=%d",
			(unsigned)cred.uid, (unsigned)cred.gid, (int)cred.pid);
}

static void
turn_away(struct pst_control *c, int fd)
{
	char *text =
		pst_rpc_error(PST_RPC_BUSY, json_pack("{s:i}", "limit", (int)PST_CONTROL_CLIENTS));

	if (text != NULL && send(fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		pst_logf(c->log, PST_LOG_DEBUG, "control", "client left before it was refused");
	free(text);
	close(fd);
	pst_logf(c->log, PST_LOG_WARN, "control", "too many clients");
}

static void
accept_one(struct pst_control *c, uint64_t now)
{
	int fd = accept4(c->listen.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct client *cl = c->clients;

	if (fd < 0)
		return; /* gone already, or out of descriptors: the next turn tries again */
	log_arrival(c, fd);
	if (c->nclients == PST_CONTROL_CLIENTS) {
		turn_away(c, fd);
		return;
	}
	while (cl->fd >= 0)
		cl++;
	*cl = (struct client){.fd = fd, .moved_ns = now};
	pst_buf_init(&cl->in, PST_RPC_LINE_MAX);
	pst_buf_init(&cl->out, OUT_MAX);
	c->nclients++;
}

/* ---- the loop ---- */

static void
poll_set(struct pst_control *c, struct pollfd *p)
{
	p[POLL_WAKE] = (struct pollfd){.fd = c->wake, .events = POLLIN};
	p[POLL_LISTEN] = (struct pollfd){.fd = c->listen.fd, .events = POLLIN};
	for (unsigned i = 0; i < PST_CONTROL_CLIENTS; i++) {
		const struct client *cl = &c->clients[i];
		bool waiting = cl->fd >= 0 && pst_buf_len(&cl->out) > 0;
		/* poll skips negative descriptors */
		p[POLL_CLIENT + i] =
			(struct pollfd){.fd = cl->fd, .events = waiting ? POLLOUT : POLLIN};
	}
}

/* A whole line is there and the answer before it is gone: do not sleep. */
static bool
work_left(struct pst_control *c)
{
	for (unsigned i = 0; i < PST_CONTROL_CLIENTS; i++) {
		struct client *cl = &c->clients[i];
		if (cl->fd >= 0 && pst_buf_len(&cl->out) == 0 && line_length(cl) > 0)
			return true;
	}
	return false;
}

static void
serve(struct pst_control *c, struct client *cl, short events, uint64_t now)
{
	if (pst_buf_len(&cl->out) > 0) {
		if (events != 0)
			client_flush(c, cl, now);
	} else if (events != 0 && !cl->eof && pst_buf_room(&cl->in) > 0) {
		client_read(c, cl, now);
	}
	if (cl->fd >= 0 && client_turn(c, cl))
		client_flush(c, cl, now);
	if (cl->fd >= 0 && now - cl->moved_ns >= PST_CONTROL_IDLE_NS)
		client_close(c, cl);
}

void
pst_control_wait(struct pst_control *c, int timeout_ms)
{
	poll_set(c, c->poll);
	/* On an error, EINTR for one, revents are not to be believed. */
	if (poll(c->poll, PST_COUNT(c->poll), work_left(c) ? 0 : timeout_ms) < 0)
		for (unsigned i = 0; i < PST_COUNT(c->poll); i++)
			c->poll[i].revents = 0;
}

void
pst_control_serve(struct pst_control *c, uint64_t now)
{
	for (unsigned i = 0; i < PST_CONTROL_CLIENTS; i++)
		if (c->clients[i].fd >= 0)
			serve(c, &c->clients[i], c->poll[POLL_CLIENT + i].revents, now);
	if (c->poll[POLL_LISTEN].revents != 0)
		accept_one(c, now);
}

unsigned
pst_control_nclients(const struct pst_control *c)
{
	return c->nclients;
}

static void *
run(void *arg)
{
	struct pst_control *c = arg;

	/* The time-out is for the idle clock; everything else makes poll return. */
	while (!c->stop) {
		pst_control_wait(c, c->nclients > 0 ? 1000 : -1);
		pst_control_serve(c, pst_now_ns());
	}
	return NULL;
}

/* ---- life ---- */

struct pst_control *
pst_control_open(const struct pst_control_deps *deps, char *err, size_t errlen)
{
	struct pst_control *c = calloc(1, sizeof(*c));

	if (c == NULL) {
		snprintf(err, errlen, "control socket: out of memory");
		return NULL;
	}
	c->deps = *deps;
	for (unsigned i = 0; i < PST_CONTROL_CLIENTS; i++)
		c->clients[i].fd = -1;
	c->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (c->wake < 0) {
		snprintf(err, errlen, "control socket: eventfd: %s", strerror(errno));
		free(c);
		return NULL;
	}
	if (!pst_listen_open(&c->listen, &deps->config->control, err, errlen)) {
		close(c->wake);
		free(c);
		return NULL;
	}
	if (deps->logger != NULL)
		c->log = pst_log_lane(deps->logger, "control");
	return c;
}

void
pst_control_close(struct pst_control *c)
{
	for (unsigned i = 0; i < PST_CONTROL_CLIENTS; i++)
		if (c->clients[i].fd >= 0)
			client_close(c, &c->clients[i]);
	pst_listen_close(&c->listen);
	close(c->wake);
	free(c);
}

struct pst_control *
pst_control_new(const struct pst_control_deps *deps, char *err, size_t errlen)
{
	struct pst_control *c = pst_control_open(deps, err, errlen);
	sigset_t all, before;
	int rc;

	if (c == NULL)
		return NULL;
	/* Signals are the main thread's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = pthread_create(&c->thread, NULL, run, c);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (rc != 0) {
		snprintf(err, errlen, "control thread: %s", strerror(rc));
		pst_control_close(c);
		return NULL;
	}
	pthread_setname_np(c->thread, "control");
	return c;
}

void
pst_control_free(struct pst_control *c)
{
	uint64_t one = 1;

	if (c == NULL)
		return;
	c->stop = true;
	if (write(c->wake, &one, sizeof(one)) != (ssize_t)sizeof(one))
		pst_logf(NULL, PST_LOG_DEBUG, "control", "wake-up is pending already");
	pthread_join(c->thread, NULL);
	pst_control_close(c);
}
