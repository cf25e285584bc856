/* SPDX-License-Identifier: BSD-3-Clause */
#include "sockets.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG   4096
#define FDS_SPARE 32 /* descriptors that are not connections */

static socklen_t
to_sockaddr(const struct pst_ip *ip, uint16_t port, struct sockaddr_storage *ss)
{
	memset(ss, 0, sizeof(*ss));
	if (pst_ip_is4(ip)) {
		struct sockaddr_in *in = (struct sockaddr_in *)ss;

		in->sin_family = AF_INET;
		in->sin_port = htons(port);
		in->sin_addr.s_addr = pst_ip_v4(ip);
		return sizeof(*in);
	}
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ss;

	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons(port);
	memcpy(&in6->sin6_addr, ip->b, 16);
	return sizeof(*in6);
}

static void
set_options(const struct sockets_conf *conf, int fd)
{
	int one = 1, rcv = (int)conf->rcv_buf, snd = (int)conf->snd_buf;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (rcv > 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &rcv, sizeof(rcv));
	if (snd > 0)
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &snd, sizeof(snd));
}

static enum pst_rc
rc_of(int err)
{
	switch (err) {
	case EMFILE:
	case ENFILE:
	case ENOBUFS:
	case ENOMEM:
		return PST_NOMEM;
	default:
		return PST_UNREACH;
	}
}

static enum pst_rc
bind_local(int fd, const struct pst_ip *local)
{
	struct sockaddr_storage ss;
	socklen_t len = to_sockaddr(local, 0, &ss);
	int one = 1;

	/* The port is chosen at connect, when the whole 4-tuple is known: 64k for each peer. */
	setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
	return bind(fd, (struct sockaddr *)&ss, len) == 0 ? PST_OK : rc_of(errno);
}

enum pst_rc
sockets_connect(const struct sockets_conf *conf, const struct pst_ip *local,
	const struct pst_endpoint *to, int *out)
{
	struct sockaddr_storage ss;
	socklen_t len = to_sockaddr(&to->ip, to->port, &ss);
	int fd = socket(ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	enum pst_rc rc;

	if (fd < 0)
		return rc_of(errno);
	set_options(conf, fd);
	rc = local != NULL ? bind_local(fd, local) : PST_OK;
	if (rc == PST_OK && connect(fd, (struct sockaddr *)&ss, len) != 0 && errno != EINPROGRESS)
		rc = rc_of(errno);
	if (rc != PST_OK) {
		close(fd);
		return rc;
	}
	*out = fd;
	return PST_OK;
}

int
sockets_listen(const struct sockets_conf *conf, const struct pst_endpoint *at)
{
	struct sockaddr_storage ss;
	socklen_t len = to_sockaddr(&at->ip, at->port, &ss);
	int fd = socket(ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int one = 1, zero = 0;

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (ss.ss_family == AF_INET6) /* [::] takes IPv4 too, whatever the system's setting */
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero));
	set_options(conf, fd);
	if (bind(fd, (struct sockaddr *)&ss, len) == 0 && listen(fd, BACKLOG) == 0)
		return fd;
	int err = errno;

	close(fd);
	errno = err;
	return -1;
}

int
sockets_accept(const struct sockets_conf *conf, int listener)
{
	int fd;

	do
		fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	while (fd < 0 && (errno == EINTR || errno == ECONNABORTED));
	if (fd >= 0)
		set_options(conf, fd);
	return fd;
}

void
sockets_reset_on_close(int fd)
{
	struct linger now = {.l_onoff = 1, .l_linger = 0};

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
}

bool
sockets_all_acknowledged(int fd)
{
	int unsent = 0;

	return ioctl(fd, SIOCOUTQ, &unsent) == 0 && unsent == 0;
}

int
sockets_error(int fd)
{
	int err = 0;
	socklen_t len = sizeof(err);

	return getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) == 0 ? err : errno;
}

uint16_t
sockets_local_port(int fd)
{
	struct sockaddr_storage ss = {0};
	socklen_t len = sizeof(ss);

	/* The port is at the same place in both families' addresses. */
	if (getsockname(fd, (struct sockaddr *)&ss, &len) != 0)
		return 0;
	return ntohs(((struct sockaddr_in *)&ss)->sin_port);
}

uint32_t
sockets_raise_limit(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) != 0)
		return 1024 - FDS_SPARE;
	r.rlim_cur = r.rlim_max;
	setrlimit(RLIMIT_NOFILE, &r);
	getrlimit(RLIMIT_NOFILE, &r);
	return (uint32_t)PST_MIN(r.rlim_cur, (rlim_t)UINT32_MAX) - FDS_SPARE;
}
