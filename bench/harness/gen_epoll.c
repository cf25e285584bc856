/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The generator's transport over kernel sockets, so that any server is measured by the
 * code that measures ours. Contract: gen.h.
 *
 * Edge-triggered epoll; every descriptor is non-blocking. A connection keeps in `readable`
 * and `writable` what the kernel said last, so that a turn asks it only what it may know.
 *
 * What is read comes into one scratch buffer that all connections share (`rx`, of which
 * `rx_owner` is the one whose bytes are in it): thousands of idle connections hold no
 * buffer. What an engine left unread, half a line, moves into the connection's own `rest` when
 * another one needs the scratch. A write goes to the kernel at once; what it does not take
 * waits in `pending`, and nothing more is taken until that has gone.
 *
 * After close() a connection whose last bytes wait stays as a ghost, without a user, until
 * they are sent or the peer resets; a ghost reports nothing.
 */
#include "gen.h"
#include "sockets.h"

#include <pst_buf.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS     256           /* of one epoll_wait */
#define RX_SIZE    (512 * 1024)  /* the shared scratch */
#define REST_LIMIT (RX_SIZE / 2) /* what may stay unread: leaves as much for reading on */

struct listener {
	int fd;
	SLIST_ENTRY(listener) link;
};

struct epoll_transport;

struct gen_conn {
	struct epoll_transport *t;
	int fd;
	int err;         /* errno of its death; 0 alive */
	uint32_t events; /* GEN_EV_*, not yet reported */
	bool connecting, readable, fin, eof;
	bool wants_room; /* room() said 0: owed a GEN_EV_WRITE */
	bool ghost;
	bool queued; /* on the ready list */
	void *user;
	struct pst_buf rest, pending;
	TAILQ_ENTRY(gen_conn) all, ready;
};
TAILQ_HEAD(conns, gen_conn);

struct epoll_transport {
	struct gen_transport base;
	struct gen_epoll_conf conf;
	struct sockets_conf sockets;
	int ep;
	uint32_t nconns, max_conns;
	SLIST_HEAD(, listener) listeners;
	struct conns all, ready;
	struct gen_conn *rx_owner;
	size_t rx_off, rx_len; /* unread bytes of rx_owner */
	uint8_t rx[RX_SIZE];
};

static struct epoll_transport *
self(struct gen_transport *t)
{
	return pst_container_of(t, struct epoll_transport, base);
}

/* ---- connections ---- */

static void
report(struct epoll_transport *t, struct gen_conn *c, uint32_t events)
{
	if (c->ghost)
		return;
	c->events |= events;
	if (!c->queued) {
		TAILQ_INSERT_TAIL(&t->ready, c, ready);
		c->queued = true;
	}
}

/* Takes the descriptor in any case. */
static struct gen_conn *
conn_new(struct epoll_transport *t, int fd)
{
	struct gen_conn *c = t->nconns < t->max_conns ? calloc(1, sizeof(*c)) : NULL;
	struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET};

	if (c == NULL) {
		close(fd);
		return NULL;
	}
	c->t = t;
	c->fd = fd;
	pst_buf_init(&c->rest, REST_LIMIT);
	pst_buf_init(&c->pending, GEN_WRITE_MAX);
	ev.data.ptr = c;
	if (epoll_ctl(t->ep, EPOLL_CTL_ADD, fd, &ev) != 0) {
		close(fd);
		free(c);
		return NULL;
	}
	TAILQ_INSERT_TAIL(&t->all, c, all);
	t->nconns++;
	return c;
}

static void
conn_free(struct epoll_transport *t, struct gen_conn *c)
{
	if (t->rx_owner == c)
		t->rx_owner = NULL;
	if (c->queued)
		TAILQ_REMOVE(&t->ready, c, ready);
	TAILQ_REMOVE(&t->all, c, all);
	t->nconns--;
	close(c->fd);
	pst_buf_fini(&c->rest);
	pst_buf_fini(&c->pending);
	free(c);
}

/* Without `linger` TIME_WAIT is spared where nothing can be lost: all we sent is acknowledged. */
static void
conn_close(struct epoll_transport *t, struct gen_conn *c)
{
	if (!t->conf.linger && sockets_all_acknowledged(c->fd))
		sockets_reset_on_close(c->fd);
	conn_free(t, c);
}

static void
conn_died(struct epoll_transport *t, struct gen_conn *c, int err)
{
	if (c->ghost) {
		conn_free(t, c);
		return;
	}
	if (c->err == 0)
		c->err = err != 0 ? err : ECONNRESET;
	report(t, c, GEN_EV_ERROR);
}

/* Sends what waits; false when the connection died of it (a ghost is then gone). */
static bool
send_pending(struct epoll_transport *t, struct gen_conn *c)
{
	while (pst_buf_len(&c->pending) > 0) {
		struct pst_span s = pst_buf_span(&c->pending);
		ssize_t n = send(c->fd, s.p, s.n, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return true;
		if (n < 0) {
			conn_died(t, c, errno);
			return false;
		}
		pst_buf_consume(&c->pending, (size_t)n);
	}
	if (c->ghost) {
		conn_close(t, c);
		return false;
	}
	if (c->wants_room) {
		c->wants_room = false;
		report(t, c, GEN_EV_WRITE);
	}
	return true;
}

/* ---- what the kernel says ---- */

static void
take_connections(struct epoll_transport *t, int listener)
{
	int fd;

	while ((fd = sockets_accept(&t->sockets, listener)) >= 0) {
		struct gen_conn *c = conn_new(t, fd);

		if (c != NULL)
			report(t, c, GEN_EV_ACCEPT);
	}
}

static void
take_news(struct epoll_transport *t, struct gen_conn *c, uint32_t ev)
{
	if (c->err != 0)
		return;
	if (ev & EPOLLERR) {
		conn_died(t, c, sockets_error(c->fd));
		return;
	}
	if (c->connecting && (ev & EPOLLOUT)) {
		c->connecting = false;
		report(t, c, GEN_EV_CONNECTED);
	}
	if ((ev & EPOLLOUT) && !send_pending(t, c))
		return;
	if (ev & (EPOLLRDHUP | EPOLLHUP))
		c->fin = true;
	if (ev & (EPOLLIN | EPOLLRDHUP | EPOLLHUP)) {
		c->readable = true;
		report(t, c, GEN_EV_READ);
	}
}

static void
wait_for(struct epoll_transport *t, uint64_t max_ns)
{
	struct epoll_event evs[EVENTS];
	struct timespec limit = {.tv_sec = (time_t)PST_MIN(max_ns / PST_NS_PER_SEC, 3600ull),
		.tv_nsec = (long)(max_ns % PST_NS_PER_SEC)};
	int n = epoll_pwait2(t->ep, evs, EVENTS, &limit, NULL);

	for (int i = 0; i < n; i++) {
		/* Listeners are told from connections by the lowest bit of their pointer. */
		uintptr_t p = (uintptr_t)evs[i].data.ptr;

		if (p & 1)
			take_connections(t, ((struct listener *)(p & ~(uintptr_t)1))->fd);
		else
			take_news(t, evs[i].data.ptr, evs[i].events);
	}
}

static void
epoll_poll(struct gen_transport *base, uint64_t now)
{
	wait_for(self(base), 0);
}

static void
epoll_flush(struct gen_transport *base)
{
	/* Writes have gone to the kernel already. */
}

static void
epoll_idle(struct gen_transport *base, uint64_t max_ns)
{
	struct epoll_transport *t = self(base);

	if (TAILQ_EMPTY(&t->ready))
		wait_for(t, max_ns);
}

static uint64_t
epoll_next_deadline(const struct gen_transport *base)
{
	return UINT64_MAX;
}

static struct gen_conn *
epoll_next(struct gen_transport *base, uint32_t *events)
{
	struct epoll_transport *t = self(base);
	struct gen_conn *c = TAILQ_FIRST(&t->ready);

	if (c == NULL)
		return NULL;
	TAILQ_REMOVE(&t->ready, c, ready);
	c->queued = false;
	*events = c->events;
	c->events = 0;
	return c;
}

/* ---- opening ---- */

static enum pst_rc
epoll_connect(struct gen_transport *base, const struct pst_ip *local, const struct pst_endpoint *to,
	void *user, struct gen_conn **out)
{
	struct epoll_transport *t = self(base);
	struct gen_conn *c;
	int fd;
	enum pst_rc rc = sockets_connect(&t->sockets, local, to, &fd);

	if (rc != PST_OK)
		return rc;
	c = conn_new(t, fd);
	if (c == NULL)
		return PST_NOMEM;
	c->connecting = true;
	c->user = user;
	*out = c;
	return PST_OK;
}

static enum pst_rc
epoll_listen(struct gen_transport *base, const struct pst_endpoint *at, char *err, size_t errlen)
{
	struct epoll_transport *t = self(base);
	struct listener *l = calloc(1, sizeof(*l));
	struct epoll_event ev = {.events = EPOLLIN | EPOLLET};
	char text[PST_ENDPOINT_STRLEN];

	if (l == NULL) {
		snprintf(err, errlen, "no memory");
		return PST_NOMEM;
	}
	l->fd = sockets_listen(&t->sockets, at);
	ev.data.ptr = (void *)((uintptr_t)l | 1);
	if (l->fd < 0 || epoll_ctl(t->ep, EPOLL_CTL_ADD, l->fd, &ev) != 0) {
		snprintf(err, errlen, "%s: %s", pst_endpoint_str(at, text), strerror(errno));
		if (l->fd >= 0)
			close(l->fd);
		free(l);
		return PST_UNREACH;
	}
	SLIST_INSERT_HEAD(&t->listeners, l, link);
	return PST_OK;
}

/* ---- bytes ---- */

static uint16_t
epoll_local_port(const struct gen_conn *c)
{
	return sockets_local_port(c->fd);
}

static void
epoll_set_user(struct gen_conn *c, void *user)
{
	c->user = user;
}

static void *
epoll_user(const struct gen_conn *c)
{
	return c->user;
}

/* The scratch is c's; what another one has not read yet is put by. */
static void
own_scratch(struct epoll_transport *t, struct gen_conn *c)
{
	struct gen_conn *old = t->rx_owner;
	struct pst_span s;

	if (old == c)
		return;
	if (old != NULL && t->rx_len > 0 &&
		pst_buf_append(&old->rest, t->rx + t->rx_off, t->rx_len) != PST_OK) {
		/* Its bytes are lost, so the connection is. */
		conn_died(t, old, ENOBUFS);
	}
	s = pst_buf_span(&c->rest);
	if (s.n > 0)
		memcpy(t->rx, s.p, s.n);
	t->rx_owner = c;
	t->rx_off = 0;
	t->rx_len = s.n;
	pst_buf_consume(&c->rest, s.n);
}

/* Reads on behind what is unread, if the kernel may have something. */
static void
read_more(struct epoll_transport *t, struct gen_conn *c)
{
	size_t room;
	ssize_t n;

	if (t->rx_off > 0 && t->rx_len > 0)
		memmove(t->rx, t->rx + t->rx_off, t->rx_len);
	t->rx_off = 0;
	/* No more than another's turn could put by. */
	room = t->rx_len < REST_LIMIT ? REST_LIMIT - t->rx_len : 0;
	if (room == 0)
		return;
	do
		n = recv(c->fd, t->rx + t->rx_len, room, 0);
	while (n < 0 && errno == EINTR);
	if (n > 0)
		t->rx_len += (size_t)n;
	if (n == 0)
		c->eof = true;
	if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK)
		conn_died(t, c, errno);
	/* A short read has emptied the queue; only a FIN may be behind it. */
	if (n <= 0 || ((size_t)n < room && !c->fin))
		c->readable = false;
}

static struct pst_span
epoll_peek(struct gen_transport *base, struct gen_conn *c)
{
	struct epoll_transport *t = self(base);

	if (c->err != 0 || (!c->readable && t->rx_owner != c && pst_buf_len(&c->rest) == 0))
		return pst_span(NULL, 0);
	own_scratch(t, c);
	while (c->readable && c->err == 0) {
		size_t had = t->rx_len;

		read_more(t, c);
		if (t->rx_len == had || !c->fin)
			break;
	}
	return pst_span(t->rx + t->rx_off, t->rx_len);
}

static void
epoll_consume(struct gen_transport *base, struct gen_conn *c, size_t n)
{
	struct epoll_transport *t = self(base);

	if (t->rx_owner != c)
		return;
	n = PST_MIN(n, t->rx_len);
	t->rx_off += n;
	t->rx_len -= n;
	/* More than one scratch full came, or it was full of what nobody reads: an edge of ours. */
	if (n > 0 && c->readable)
		report(t, c, GEN_EV_READ);
}

static bool
epoll_eof(const struct gen_conn *c)
{
	return c->eof && pst_buf_len(&c->rest) == 0 && (c->t->rx_owner != c || c->t->rx_len == 0);
}

static size_t
epoll_room(struct gen_transport *base, struct gen_conn *c)
{
	if (c->err != 0)
		return 0;
	if (!c->connecting && pst_buf_len(&c->pending) == 0)
		return GEN_WRITE_MAX;
	c->wants_room = true;
	return 0;
}

static enum pst_rc
epoll_write(struct gen_transport *base, struct gen_conn *c, const void *p, size_t n)
{
	struct epoll_transport *t = self(base);
	ssize_t sent = 0;

	if (c->err != 0)
		return PST_PEER;
	if (!c->connecting && pst_buf_len(&c->pending) == 0)
		do
			sent = send(c->fd, p, n, MSG_NOSIGNAL);
		while (sent < 0 && errno == EINTR);
	if (sent < 0 && errno != EAGAIN && errno != EWOULDBLOCK) {
		conn_died(t, c, errno);
		return PST_PEER;
	}
	sent = PST_MAX(sent, (ssize_t)0);
	if ((size_t)sent == n)
		return PST_OK;
	return pst_buf_append(&c->pending, (const uint8_t *)p + sent, n - (size_t)sent);
}

/* ---- ending ---- */

static void
epoll_close(struct gen_transport *base, struct gen_conn *c)
{
	struct epoll_transport *t = self(base);

	if (c->err != 0 || pst_buf_len(&c->pending) == 0) {
		conn_close(t, c);
		return;
	}
	if (c->queued)
		TAILQ_REMOVE(&t->ready, c, ready);
	if (t->rx_owner == c)
		t->rx_owner = NULL;
	c->queued = false;
	c->user = NULL;
	c->ghost = true;
}

static void
epoll_abort(struct gen_transport *base, struct gen_conn *c)
{
	sockets_reset_on_close(c->fd);
	conn_free(self(base), c);
}

static const char *
epoll_error(const struct gen_conn *c)
{
	return c->err != 0 ? strerror(c->err) : "no error";
}

/* ---- life ---- */

static void
epoll_free(struct gen_transport *base)
{
	struct epoll_transport *t = self(base);
	struct listener *l;
	struct gen_conn *c;

	while ((c = TAILQ_FIRST(&t->all)) != NULL) {
		sockets_reset_on_close(c->fd);
		conn_free(t, c);
	}
	while ((l = SLIST_FIRST(&t->listeners)) != NULL) {
		SLIST_REMOVE_HEAD(&t->listeners, link);
		close(l->fd);
		free(l);
	}
	close(t->ep);
	free(t);
}

static const struct gen_transport_ops ops = {
	.name = "kernel",
	.free = epoll_free,
	.poll = epoll_poll,
	.flush = epoll_flush,
	.idle = epoll_idle,
	.next_deadline = epoll_next_deadline,
	.next = epoll_next,
	.connect = epoll_connect,
	.listen = epoll_listen,
	.local_port = epoll_local_port,
	.set_user = epoll_set_user,
	.user = epoll_user,
	.peek = epoll_peek,
	.consume = epoll_consume,
	.eof = epoll_eof,
	.room = epoll_room,
	.write = epoll_write,
	.close = epoll_close,
	.abort = epoll_abort,
	.error = epoll_error,
};

struct gen_transport *
gen_epoll_new(const struct gen_epoll_conf *conf, uint64_t now, char *err, size_t errlen)
{
	struct epoll_transport *t = calloc(1, sizeof(*t));
	uint32_t most = sockets_raise_limit();

	if (t == NULL) {
		snprintf(err, errlen, "no memory");
		return NULL;
	}
	t->base.ops = &ops;
	t->conf = *conf;
	t->sockets = (struct sockets_conf){conf->rcv_buf, conf->snd_buf};
	t->max_conns = conf->max_conns != 0 ? PST_MIN(conf->max_conns, most) : most;
	TAILQ_INIT(&t->all);
	TAILQ_INIT(&t->ready);
	t->ep = epoll_create1(EPOLL_CLOEXEC);
	if (t->ep < 0) {
		snprintf(err, errlen, "epoll: %s", strerror(errno));
		free(t);
		return NULL;
	}
	return &t->base;
}
