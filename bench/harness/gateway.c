/* SPDX-License-Identifier: BSD-3-Clause */
#include "gateway.h"
#include "kernel.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define TEXT_MAX (4 * 1024 * 1024)
#define WAIT_S   2

static const struct {
	const char *name;
	size_t offset;
} wanted[] = {
	{"postern_worker_busy_seconds_total", offsetof(struct gateway_reading, busy_s)},
	{"postern_worker_cpu_seconds_total", offsetof(struct gateway_reading, cpu_s)},
	{"postern_tls_heap_bytes", offsetof(struct gateway_reading, tls_bytes)},
	{"postern_session_record_bytes", offsetof(struct gateway_reading, record_bytes)},
	{"postern_sessions_live", offsetof(struct gateway_reading, sessions)},
	{"postern_tcp_connections", offsetof(struct gateway_reading, connections)},
};

static void
take_line(const char *line, size_t n, struct gateway_reading *out)
{
	for (unsigned i = 0; i < PST_COUNT(wanted); i++) {
		size_t len = strlen(wanted[i].name);
		const char *value = memrchr(line, ' ', n);

		if (value == NULL || n <= len || strncmp(line, wanted[i].name, len) != 0 ||
			(line[len] != '{' && line[len] != ' '))
			continue;
		/* Workers are added up. */
		*(double *)(void *)((char *)out + wanted[i].offset) += strtod(value, NULL);
	}
}

void
gateway_parse(const char *text, struct gateway_reading *out)
{
	*out = (struct gateway_reading){0};
	while (*text != '\0') {
		size_t n = strcspn(text, "\n");

		if (*text != '#')
			take_line(text, n, out);
		text += n + (text[n] == '\n');
	}
}

static int
dial(const char *url, const char **path, char *err, size_t errlen)
{
	static const char scheme[] = "http://";
	const struct timeval wait = {.tv_sec = WAIT_S};
	struct sockaddr_in sa = {.sin_family = AF_INET};
	char host[64];
	struct pst_endpoint at;
	size_t n;
	int fd;

	snprintf(err, errlen, "%s: not http://ADDRESS:PORT/metrics", url);
	if (strncmp(url, scheme, sizeof(scheme) - 1) != 0)
		return -1;
	url += sizeof(scheme) - 1;
	n = strcspn(url, "/");
	if (n >= sizeof(host) || url[n] != '/')
		return -1;
	memcpy(host, url, n);
	host[n] = '\0';
	*path = url + n;
	if (!kernel_endpoint(host, &at) || !pst_ip_is4(&at.ip))
		return -1;
	sa.sin_port = htons(at.port);
	sa.sin_addr.s_addr = pst_ip_v4(&at.ip);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)) == 0 &&
		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait)) == 0 &&
		connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0)
		return fd;
	snprintf(err, errlen, "%s: %s", host, strerror(errno));
	if (fd >= 0)
		close(fd);
	return -1;
}

/* All of the answer, to its end. NULL: it did not come. */
static char *
receive(int fd)
{
	char *text = malloc(TEXT_MAX + 1);
	size_t n = 0;
	ssize_t got = -1;

	while (text != NULL && n < TEXT_MAX && (got = recv(fd, text + n, TEXT_MAX - n, 0)) > 0)
		n += (size_t)got;
	if (text == NULL || got != 0) {
		free(text);
		return NULL;
	}
	text[n] = '\0';
	return text;
}

bool
gateway_read(const char *url, struct gateway_reading *out, char *err, size_t errlen)
{
	const char *path = NULL;
	int fd = dial(url, &path, err, errlen);
	char *text = NULL, request[256];
	int n;

	if (fd < 0)
		return false;
	n = snprintf(request, sizeof(request),
		"GET %.128s HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n\r\n", path);
	if (send(fd, request, (size_t)n, MSG_NOSIGNAL) == n)
		text = receive(fd);
	close(fd);
	snprintf(err, errlen, "%s: no metrics of a gateway", url);
	if (text == NULL || strstr(text, "postern_tls_heap_bytes") == NULL) {
		free(text);
		return false;
	}
	gateway_parse(text, out);
	free(text);
	return true;
}
