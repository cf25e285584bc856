/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Serves the control socket: a thread with a poll loop over at most
 * PST_CONTROL_CLIENTS connections (client.c), line in, line out (rpc.c). Between
 * turns it passes log lines to followers, reloads when a signal asked for it, and
 * gives back old configurations.
 */
#include "server.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client.h"
#include "plane.h"

#define LARGE_MAX  2    /* large lines, and large answers, at a time */
#define LINES_TURN 1000 /* of the log, before clients are served again */
#define RECLAIM_NS (250 * PST_NS_PER_MS)
#define TURNED_NS  PST_NS_PER_SEC /* between log lines on clients turned away */

enum { POLL_WAKE, POLL_LISTEN, POLL_CLIENT };

struct pst_control {
	struct pst_plane plane;
	_Atomic bool stop;             /* set by free before it wakes the thread */
	_Atomic unsigned reload_asked; /* any thread counts it up */
	_Atomic unsigned reload_done;
	pthread_t thread;
	unsigned nclients;
	unsigned turned_away; /* since the log spoke of it */
	uint64_t turned_ns;   /* when it did */
	uint64_t reclaimed_ns;
	bool feed_left; /* lines wait for the next turn */
	struct pst_client clients[PST_CONTROL_CLIENTS];
	struct pollfd poll[POLL_CLIENT + PST_CONTROL_CLIENTS];
};

/* ---- arrivals ---- */

static void
turn_away(struct pst_control *c, int fd)
{
	char *text =
		pst_rpc_error(PST_RPC_BUSY, json_pack("{s:i}", "limit", (int)PST_CONTROL_CLIENTS));

	if (text != NULL && send(fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		pst_logf(c->plane.log, PST_LOG_DEBUG, "control",
			"client left before it was refused");
	free(text);
	close(fd);
	c->turned_away++;
}

/* Once a second: who comes ten thousand times shall not fill the log. */
static void
log_turned_away(struct pst_control *c, uint64_t now)
{
	if (c->turned_away == 0 || (c->turned_ns != 0 && now - c->turned_ns < TURNED_NS))
		return;
	pst_logf(c->plane.log, PST_LOG_WARN, "control", "too many clients: %u turned away",
		c->turned_away);
	c->turned_away = 0;
	c->turned_ns = now;
}

static bool
accept_one(struct pst_control *c, uint64_t now)
{
	int fd = accept4(c->plane.listen.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct pst_client *cl = c->clients;

	if (fd < 0)
		return false; /* nobody, or out of descriptors: the next turn tries again */
	if (c->nclients == PST_CONTROL_CLIENTS) {
		turn_away(c, fd);
		return true;
	}
	while (cl->fd >= 0)
		cl++;
	if (!pst_client_open(cl, fd, now)) {
		cl->fd = -1;
		close(fd);
		return true;
	}
	c->nclients++;
	pst_logf(c->plane.log, PST_LOG_INFO, "control", "client uid=%u gid=%u pid=%d",
		(unsigned)cl->caller.peer.uid, (unsigned)cl->caller.peer.gid,
		(int)cl->caller.peer.pid);
	return true;
}

/* As many as the backlog holds, so that a crowd does not keep others waiting. */
static void
accept_some(struct pst_control *c, uint64_t now)
{
	for (int i = 0; i < PST_CONTROL_BACKLOG && accept_one(c, now); i++)
		;
}

/* ---- the loop ---- */

static unsigned
count(const struct pst_control *c, bool (*what)(const struct pst_client *cl))
{
	unsigned n = 0;

	for (unsigned i = 0; i < PST_CONTROL_CLIENTS; i++)
		n += what(&c->clients[i]);
	return n;
}

static bool
may_answer(const struct pst_control *c)
{
	return count(c, pst_client_large_out) < LARGE_MAX;
}

static void
poll_set(struct pst_control *c, struct pollfd *p)
{
	p[POLL_WAKE] = (struct pollfd){.fd = c->plane.feed.wake, .events = POLLIN};
	p[POLL_LISTEN] = (struct pollfd){.fd = c->plane.listen.fd, .events = POLLIN};
	for (unsigned i = 0; i < PST_CONTROL_CLIENTS; i++) {
		const struct pst_client *cl = &c->clients[i];
		/* poll skips negative descriptors */
		p[POLL_CLIENT + i] = (struct pollfd){
			.fd = cl->fd, .events = cl->fd >= 0 ? pst_client_events(cl) : 0};
	}
}

/* Something can be done without waiting for anything. */
static bool
work_left(struct pst_control *c)
{
	if (c->feed_left)
		return true;
	if (!may_answer(c))
		return false;
	for (unsigned i = 0; i < PST_CONTROL_CLIENTS; i++)
		if (pst_client_ready(&c->clients[i]))
			return true;
	return false;
}

static void
serve_clients(struct pst_control *c)
{
	for (unsigned i = 0; i < PST_CONTROL_CLIENTS; i++) {
		struct pst_client *cl = &c->clients[i];

		if (cl->fd < 0)
			continue;
		pst_client_serve(cl, &c->plane, c->poll[POLL_CLIENT + i].revents,
			count(c, pst_client_large_in) < LARGE_MAX, may_answer(c));
		if (!cl->gone)
			continue;
		pst_client_close(cl, &c->plane);
		c->nclients--;
	}
}

/* One text a line for all who follow; they take it in their turn. */
static void
pass_log(struct pst_control *c)
{
	uint64_t lost = pst_feed_lost(&c->plane.feed);
	char line[PST_LOG_LINE_MAX];
	unsigned lines = 0;
	size_t n = 0;

	for (unsigned i = 0; lost > 0 && i < PST_CONTROL_CLIENTS; i++)
		if ((c->clients[i].follower.topics & PST_TOPIC_LOG) != 0)
			c->clients[i].follower.lost += lost;
	while (lines < LINES_TURN && (n = pst_feed_next(&c->plane.feed, line)) > 0) {
		char *text = pst_follow_text(line, n);
		for (unsigned i = 0; i < PST_CONTROL_CLIENTS; i++)
			pst_follow_log(&c->clients[i].follower, &c->clients[i].out, text);
		free(text);
		lines++;
	}
	c->feed_left = n > 0;
}

/* SIGHUP's way: the outcome is in the log. */
static void
reload(struct pst_control *c)
{
	struct pst_proposal prop = {.by = {getuid(), getgid(), getpid()}};
	unsigned asked = c->reload_asked; /* before the file is read */
	struct pst_outcome v;

	pst_plane_reload(&c->plane, &prop, &v);
	pst_proposal_fini(&prop, &v);
	c->reload_done = asked;
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
	c->plane.now_ns = now;
	if (c->poll[POLL_WAKE].revents != 0)
		pst_feed_awake(&c->plane.feed); /* before the news are looked at */
	if (c->reload_asked != c->reload_done)
		reload(c);
	pass_log(c);
	serve_clients(c);
	if (c->poll[POLL_LISTEN].revents != 0)
		accept_some(c, now);
	log_turned_away(c, now);
	if (now - c->reclaimed_ns >= RECLAIM_NS) {
		pst_plane_reclaim(&c->plane);
		c->reclaimed_ns = now;
	}
}

unsigned
pst_control_nclients(const struct pst_control *c)
{
	return c->nclients;
}

struct pst_plane *
pst_control_plane(struct pst_control *c)
{
	return &c->plane;
}

/* How long nothing can be due: followers' intervals, old configurations, idle clocks. */
static int
patience_ms(const struct pst_control *c, uint64_t now)
{
	int ms = c->plane.old_in_use > 0 ? RECLAIM_NS / PST_NS_PER_MS : 1000;

	if (c->nclients == 0 && c->plane.old_in_use == 0 && c->turned_away == 0)
		return -1;
	for (unsigned i = 0; i < PST_CONTROL_CLIENTS; i++) {
		const struct pst_follower *f = &c->clients[i].follower;
		uint64_t wait = f->due_ns > now ? f->due_ns - now : 0;

		if (c->clients[i].fd >= 0 && (f->topics & PST_TOPIC_STATS) != 0)
			ms = PST_MIN(ms, (int)(PST_MIN(wait, PST_NS_PER_SEC) / PST_NS_PER_MS) + 1);
	}
	return ms;
}

static void *
run(void *arg)
{
	struct pst_control *c = arg;

	while (!c->stop) {
		pst_control_wait(c, patience_ms(c, pst_now_ns()));
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
	for (unsigned i = 0; i < PST_CONTROL_CLIENTS; i++)
		c->clients[i].fd = -1;
	if (!pst_plane_open(&c->plane, deps, err, errlen)) {
		free(c);
		return NULL;
	}
	return c;
}

void
pst_control_close(struct pst_control *c)
{
	for (unsigned i = 0; i < PST_CONTROL_CLIENTS; i++)
		if (c->clients[i].fd >= 0)
			pst_client_close(&c->clients[i], &c->plane);
	pst_plane_close(&c->plane);
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
	if (c == NULL)
		return;
	c->stop = true;
	pst_feed_wake(&c->plane.feed);
	pthread_join(c->thread, NULL);
	pst_control_close(c);
}

/* ---- from other threads ---- */

void
pst_control_reload(struct pst_control *c)
{
	c->reload_asked++;
	pst_feed_wake(&c->plane.feed);
}

bool
pst_control_reloading(const struct pst_control *c)
{
	return c->reload_asked != c->reload_done;
}

void
pst_control_stopping(struct pst_control *c)
{
	c->plane.stopping = true;
}
