/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One page over HTTP: GET and HEAD of /metrics, by libmicrohttpd on one thread of
 * its own. Anything else is answered 404 or 405, a body 413.
 *
 * What a client can cost is bounded: at most 16 connections with 16 KiB each and
 * one text, closed after each answer, after 10 s of silence, and after 30 s in any
 * case as soon as somebody else wants in. So one who sends a byte now and then
 * holds his place only while nobody needs it.
 */
#include "metrics_int.h"

#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MEMORY      (16 * 1024) /* of a connection: request line, header fields */
#define SILENCE_S   10
#define LIFETIME_NS (30 * PST_NS_PER_SEC) /* of a connection that is in the way */

struct slot {
	int fd; /* -1: free */
	uint64_t since;
};

struct pst_metrics_http {
	struct MHD_Daemon *daemon;
	pst_metrics_render render;
	void *arg;
	struct slot slots[PST_METRICS_CONNECTIONS]; /* the HTTP thread's */
	unsigned nslots;
	_Atomic uint64_t lifetime_ns;
};

/* ---- connections ---- */

/*
 * A new client. When all places are taken, those that had theirs too long are cut
 * off; their places are free a moment later, when the next one asks.
 */
static enum MHD_Result
may_connect(void *arg, const struct sockaddr *addr, socklen_t len)
{
	struct pst_metrics_http *h = arg;
	uint64_t now = pst_now_ns();

	if (h->nslots < PST_METRICS_CONNECTIONS)
		return MHD_YES;
	for (unsigned i = 0; i < PST_METRICS_CONNECTIONS; i++)
		if (h->slots[i].fd >= 0 && now - h->slots[i].since >= h->lifetime_ns)
			shutdown(h->slots[i].fd, SHUT_RDWR);
	return MHD_NO;
}

static void
connected(struct pst_metrics_http *h, int fd)
{
	h->nslots++;
	for (unsigned i = 0; i < PST_METRICS_CONNECTIONS; i++) {
		if (h->slots[i].fd < 0) {
			h->slots[i] = (struct slot){.fd = fd, .since = pst_now_ns()};
			return;
		}
	}
}

static void
disconnected(struct pst_metrics_http *h, int fd)
{
	h->nslots--;
	for (unsigned i = 0; i < PST_METRICS_CONNECTIONS; i++)
		if (h->slots[i].fd == fd)
			h->slots[i].fd = -1;
}

static void
note_connection(
	void *arg, struct MHD_Connection *c, void **ctx, enum MHD_ConnectionNotificationCode what)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);

	if (info == NULL)
		return;
	if (what == MHD_CONNECTION_NOTIFY_STARTED)
		connected(arg, info->connect_fd);
	else
		disconnected(arg, info->connect_fd);
}

/* ---- requests ---- */

static enum MHD_Result
answer(struct MHD_Connection *c, unsigned status, struct MHD_Response *r, const char *type)
{
	enum MHD_Result rc;

	if (r == NULL)
		return MHD_NO; /* no memory: the connection ends */
	MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	MHD_add_response_header(r, MHD_HTTP_HEADER_CONNECTION, "close");
	if (status == MHD_HTTP_METHOD_NOT_ALLOWED) /* RFC 9110 15.5.6: MUST have Allow */
		MHD_add_response_header(r, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
	rc = MHD_queue_response(c, status, r);
	MHD_destroy_response(r);
	return rc;
}

static enum MHD_Result
refuse(struct MHD_Connection *c, unsigned status, const char *text)
{
	return answer(c, status,
		MHD_create_response_from_buffer(
			strlen(text), (void *)(uintptr_t)text, MHD_RESPMEM_PERSISTENT),
		"text/plain; charset=utf-8");
}

static bool
has_body(struct MHD_Connection *c)
{
	const char *len =
		MHD_lookup_connection_value(c, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH);

	return (len != NULL && strcmp(len, "0") != 0) ||
	       MHD_lookup_connection_value(c, MHD_HEADER_KIND, MHD_HTTP_HEADER_TRANSFER_ENCODING) !=
		       NULL;
}

static enum MHD_Result
metrics(struct pst_metrics_http *h, struct MHD_Connection *c)
{
	enum pst_metrics_format format = pst_metrics_negotiate(
		MHD_lookup_connection_value(c, MHD_HEADER_KIND, MHD_HTTP_HEADER_ACCEPT));
	struct MHD_Response *r;
	size_t len = 0;
	char *text = h->render(h->arg, format, &len);

	if (text == NULL)
		return refuse(c, MHD_HTTP_SERVICE_UNAVAILABLE, "out of memory\n");
	r = MHD_create_response_from_buffer(len, text, MHD_RESPMEM_MUST_FREE);
	if (r == NULL)
		free(text);
	return answer(c, MHD_HTTP_OK, r, pst_metrics_content_type(format));
}

/* Called first when the header is complete, then again when the request is. */
static enum MHD_Result
request(void *arg, struct MHD_Connection *c, const char *url, const char *method,
	const char *version, const char *body, size_t *body_size, void **seen)
{
	if (strcmp(url, "/metrics") != 0)
		return refuse(c, MHD_HTTP_NOT_FOUND, "not found: /metrics is all there is\n");
	if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
		return refuse(c, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET and HEAD\n");
	if (has_body(c))
		return refuse(c, MHD_HTTP_CONTENT_TOO_LARGE, "no body is wanted\n");
	if (*seen == NULL) {
		*seen = arg;
		return MHD_YES;
	}
	return metrics(arg, c);
}

/* ---- life ---- */

static socklen_t
socket_address(const struct pst_endpoint *at, struct sockaddr_storage *ss)
{
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)ss;
	struct sockaddr_in *four = (struct sockaddr_in *)ss;

	memset(ss, 0, sizeof(*ss));
	if (pst_ip_is4(&at->ip)) {
		four->sin_family = AF_INET;
		four->sin_port = htons(at->port);
		memcpy(&four->sin_addr, &at->ip.b[12], 4);
		return sizeof(*four);
	}
	six->sin6_family = AF_INET6;
	six->sin6_port = htons(at->port);
	memcpy(&six->sin6_addr, at->ip.b, 16);
	return sizeof(*six);
}

/*
 * The socket is made here rather than by the library, which tells nobody why it could not.
 * "::" takes IPv4 too.
 */
static int
listen_on(const struct pst_endpoint *at, char *err, size_t errlen)
{
	struct sockaddr_storage ss;
	socklen_t len = socket_address(at, &ss);
	char text[PST_IP_STRLEN];
	int one = 1, zero = 0;
	int fd = socket(ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd >= 0) {
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
		if (ss.ss_family == AF_INET6)
			setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero));
		if (bind(fd, (struct sockaddr *)&ss, len) == 0 && listen(fd, 16) == 0)
			return fd;
	}
	snprintf(err, errlen, "metrics: cannot listen on %s port %u: %s", pst_ip_str(&at->ip, text),
		at->port, strerror(errno));
	if (fd >= 0)
		close(fd);
	return -1;
}

/* The library's own words about bad requests are not worth a line of our log. */
static void PST_PRINTF(2, 0) discard_log(void *arg, const char *fmt, va_list ap)
{
}

static struct MHD_Daemon *
start(struct pst_metrics_http *h, int fd)
{
	struct MHD_Daemon *d;
	sigset_t all, before;

	/* Signals are the main thread's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	/* One more than may_connect lets in, so that it is always asked. */
	d = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL | MHD_USE_ERROR_LOG, 0,
		may_connect, h, request, h, MHD_OPTION_EXTERNAL_LOGGER, discard_log, NULL,
		MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT,
		PST_METRICS_CONNECTIONS + 1u, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)MEMORY,
		MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)SILENCE_S, MHD_OPTION_NOTIFY_CONNECTION,
		note_connection, h, MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_END);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return d;
}

struct pst_metrics_http *
pst_metrics_http_new(const struct pst_endpoint *at, pst_metrics_render render, void *arg, char *err,
	size_t errlen)
{
	struct pst_metrics_http *h;
	int fd = listen_on(at, err, errlen);

	if (fd < 0)
		return NULL;
	h = calloc(1, sizeof(*h));
	if (h != NULL) {
		h->render = render;
		h->arg = arg;
		h->lifetime_ns = LIFETIME_NS;
		for (unsigned i = 0; i < PST_METRICS_CONNECTIONS; i++)
			h->slots[i].fd = -1;
		h->daemon = start(h, fd);
		if (h->daemon != NULL)
			return h;
	}
	snprintf(err, errlen, "metrics: the HTTP server did not start");
	close(fd);
	free(h);
	return NULL;
}

void
pst_metrics_http_free(struct pst_metrics_http *h)
{
	if (h == NULL)
		return;
	MHD_stop_daemon(h->daemon); /* joins the thread, closes every socket */
	free(h);
}

void
pst_metrics_http_set_lifetime(struct pst_metrics_http *h, uint64_t ns)
{
	h->lifetime_ns = ns;
}

uint16_t
pst_metrics_http_port(const struct pst_metrics_http *h)
{
	const union MHD_DaemonInfo *info =
		MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_LISTEN_FD);
	struct sockaddr_in6 at = {0}; /* the port is at the same place in a sockaddr_in */
	socklen_t len = sizeof(at);

	if (info == NULL || getsockname(info->listen_fd, (struct sockaddr *)&at, &len) != 0)
		return 0;
	return ntohs(at.sin6_port);
}
