/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * No client can harm another or the gateway:
 *   slow reader   its answer waits; until it is gone nothing more is read from it
 *   slow writer   holds its own line
 *   fast writer   gets one line answered a turn, as everybody else does
 *   large one     a line or an answer of more than SMALL needs one of a few places
 *                 (server.c) and has LARGE_NS to come or to be taken
 *   silent one    is closed after PST_CONTROL_IDLE_NS without a byte moved either
 *                 way, unless it follows and has taken everything
 * A line that is too long cannot be resynchronised and ends the connection.
 */
#include "client.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server.h"

#define READ_CHUNK 65536
#define OUT_MAX    (64u << 20) /* more than the longest answer: two large documents */
#define LARGE_NS   (30 * PST_NS_PER_SEC)

/* SO_PEERCRED: who it was when it connected; the kernel vouches for it. */
bool
pst_client_open(struct pst_client *cl, int fd, uint64_t now)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) != 0)
		return false;
	*cl = (struct pst_client){.fd = fd, .moved_ns = now};
	cl->caller.peer = (struct pst_peer){cred.uid, cred.gid, cred.pid};
	cl->caller.follower = &cl->follower;
	pst_buf_init(&cl->in, PST_CLIENT_SMALL);
	pst_buf_init(&cl->out, OUT_MAX);
	return true;
}

void
pst_client_close(struct pst_client *cl, struct pst_plane *p)
{
	pst_follow_end(p, &cl->follower);
	close(cl->fd);
	pst_buf_fini(&cl->in);
	pst_buf_fini(&cl->out);
	cl->fd = -1;
	cl->gone = false;
}

bool
pst_client_large_in(const struct pst_client *cl)
{
	return cl->fd >= 0 && cl->in.limit > PST_CLIENT_SMALL;
}

bool
pst_client_large_out(const struct pst_client *cl)
{
	return cl->fd >= 0 && pst_buf_len(&cl->out) > PST_CLIENT_SMALL;
}

/* Takes over text; NULL: nothing to say. */
static void
say(struct pst_client *cl, char *text)
{
	if (text != NULL && pst_buf_append_str(&cl->out, text) != PST_OK)
		cl->closing = true;
	free(text);
}

static void
flush(struct pst_client *cl, uint64_t now)
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
		cl->gone = true;
	else if (cl->closing && pst_buf_len(&cl->out) == 0)
		cl->gone = true;
}

static void
receive(struct pst_client *cl, uint64_t now)
{
	size_t want = PST_MIN(pst_buf_room(&cl->in), (size_t)READ_CHUNK);
	uint8_t *room = pst_buf_reserve(&cl->in, want);
	ssize_t n;

	if (room == NULL) {
		cl->gone = true; /* no memory */
		return;
	}
	n = recv(cl->fd, room, want, MSG_DONTWAIT);
	if (n > 0) {
		pst_buf_commit(&cl->in, (size_t)n);
		cl->moved_ns = now;
	} else if (n == 0) {
		cl->eof = true;
	} else if (errno != EAGAIN && errno != EINTR) {
		cl->gone = true;
	}
}

/* Length of the first line in `in`, newline included; 0: not there yet. */
static size_t
line_length(struct pst_client *cl)
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

/* The line fills its place: it gets a larger one, or is refused. */
static void
outgrown(struct pst_client *cl, bool large)
{
	if (cl->in.limit == PST_CLIENT_SMALL && large) {
		cl->in.limit = PST_RPC_LINE_MAX;
		return;
	}
	if (cl->in.limit == PST_CLIENT_SMALL)
		say(cl, pst_rpc_error(PST_RPC_BUSY,
				json_pack("{s:s}", "reason",
					"others send large requests now: try again")));
	else
		say(cl, pst_rpc_error(
				PST_RPC_INVALID, json_pack("{s:s, s:i}", "reason", "line too long",
							 "limit", (int)PST_RPC_LINE_MAX)));
	cl->closing = true;
}

/* Answers one line, unless the last answer is still waiting. */
static void
take_line(struct pst_client *cl, struct pst_plane *p, bool large)
{
	struct pst_span in = pst_buf_span(&cl->in);
	size_t n;

	if (cl->closing || pst_buf_len(&cl->out) > 0)
		return;
	n = line_length(cl);
	if (n == 0) {
		if (pst_buf_room(&cl->in) == 0)
			outgrown(cl, large);
		else if (cl->eof)
			cl->closing = true;
		return;
	}
	if (!is_blank(pst_span(in.p, n)))
		say(cl, pst_rpc_answer(p, &cl->caller, (const char *)in.p, n - 1));
	pst_buf_consume(&cl->in, n);
	cl->scanned = 0;
	if (pst_buf_len(&cl->in) < PST_CLIENT_SMALL)
		cl->in.limit = PST_CLIENT_SMALL;
}

static void
watch_clock(struct pst_client *cl, uint64_t now)
{
	bool follows = cl->follower.topics != 0 && pst_buf_len(&cl->out) == 0;

	if (!pst_client_large_in(cl) && !pst_client_large_out(cl))
		cl->large_ns = 0;
	else if (cl->large_ns == 0)
		cl->large_ns = now;
	else if (now - cl->large_ns >= LARGE_NS)
		cl->gone = true;
	if (!follows && now - cl->moved_ns >= PST_CONTROL_IDLE_NS)
		cl->gone = true;
}

bool
pst_client_ready(struct pst_client *cl)
{
	return cl->fd >= 0 && !cl->closing && pst_buf_len(&cl->out) == 0 && line_length(cl) > 0;
}

short
pst_client_events(const struct pst_client *cl)
{
	if (pst_buf_len(&cl->out) > 0)
		return POLLOUT;
	return pst_buf_room(&cl->in) > 0 ? POLLIN : 0;
}

void
pst_client_serve(struct pst_client *cl, struct pst_plane *p, short revents, bool large, bool answer)
{
	if (pst_buf_len(&cl->out) > 0) {
		if (revents != 0)
			flush(cl, p->now_ns);
	} else if (revents != 0 && !cl->eof && pst_buf_room(&cl->in) > 0) {
		receive(cl, p->now_ns);
	}
	if (!cl->gone && answer)
		take_line(cl, p, large);
	if (!cl->gone)
		pst_follow_tick(p, &cl->follower, &cl->out);
	if (!cl->gone && (pst_buf_len(&cl->out) > 0 || cl->closing))
		flush(cl, p->now_ns);
	if (!cl->gone)
		watch_clock(cl, p->now_ns);
}
