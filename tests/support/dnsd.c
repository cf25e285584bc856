/* SPDX-License-Identifier: BSD-3-Clause */
#include "dnsd.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define LOG_MAX  65536
#define HELD_MAX 4096
#define WIRE_MAX 65535

#define MUST(cond)                                                                                 \
	do {                                                                                       \
		if (!(cond)) {                                                                     \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #cond);         \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

/* ---- what was asked ---- */

struct question {
	uint8_t raw[300]; /* as it came, to be sent back: its case is 0x20 protection */
	size_t rawlen;
	uint8_t id[2];
	bool edns, rd;
	uint16_t type, room;
	char name[256];
};

struct held {
	struct sockaddr_in peer;
	struct question q;
};

struct noted {
	char name[256];
	uint16_t type;
};

struct dnsd {
	int udp, tcp, wake;
	char address[32];
	pthread_t thread;
	pthread_mutex_t lock;
	const struct dnsd_rule *rules;
	bool stopping, releasing;
	struct noted *log;
	unsigned nlog;
	struct held *held;
	unsigned nheld;
	uint8_t out[WIRE_MAX + 1024]; /* the thread's */
};

static const struct {
	const char *name;
	uint16_t type;
} types[] = {{"A", 1}, {"CNAME", 5}, {"PTR", 12}, {"MX", 15}, {"AAAA", 28}};

static uint16_t
type_of(const char *name)
{
	for (size_t i = 0; i < PST_COUNT(types); i++) {
		if (strcmp(types[i].name, name) == 0)
			return types[i].type;
	}
	MUST(!"a type that we know");
	return 0;
}

static bool
parse(const uint8_t *p, size_t n, struct question *q)
{
	size_t at = 12, len = 0;

	if (n < 17 || (p[2] & 0x80) != 0 || p[5] != 1)
		return false;
	memcpy(q->id, p, 2);
	q->rd = p[2] & 1;
	while (at < n && p[at] != 0) {
		if (p[at] > 63 || at + p[at] + 6 > n || len + p[at] + 1 > 254)
			return false;
		if (len > 0)
			q->name[len++] = '.';
		for (unsigned i = 0; i < p[at]; i++) {
			uint8_t c = p[at + 1 + i];

			q->name[len++] = (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
		}
		at += 1 + p[at];
	}
	q->name[len] = 0;
	q->type = (uint16_t)(p[at + 1] << 8 | p[at + 2]);
	q->rawlen = at + 5 - 12;
	memcpy(q->raw, p + 12, q->rawlen);
	at += 5;
	q->edns = p[11] != 0 && at + 11 <= n && p[at] == 0 && p[at + 2] == 41;
	q->room = q->edns ? (uint16_t)(p[at + 3] << 8 | p[at + 4]) : 512;
	return true;
}

/* ---- what is said ---- */

struct message {
	uint8_t *p;
	size_t n, max;
	unsigned records;
	bool full;
};

static void
put(struct message *m, const void *p, size_t n)
{
	if (m->n + n > m->max)
		m->full = true;
	else {
		memcpy(m->p + m->n, p, n);
		m->n += n;
	}
}

static void
put16(struct message *m, unsigned v)
{
	put(m, (uint8_t[]){(uint8_t)(v >> 8), (uint8_t)v}, 2);
}

/* A name of the script: \DDD is a byte, a dot ends a label. */
static void
put_name(struct message *m, const char *s)
{
	uint8_t wire[300];
	size_t label = 0, at = 1;

	if (strcmp(s, ".") == 0)
		s = "";
	for (; *s != 0; s++) {
		MUST(at < 256);
		if (*s == '.') {
			wire[label] = (uint8_t)(at - label - 1);
			label = at++;
		} else if (*s == '\\') {
			wire[at++] = (uint8_t)((s[1] - '0') * 100 + (s[2] - '0') * 10 + s[3] - '0');
			s += 3;
		} else {
			wire[at++] = (uint8_t)*s;
		}
	}
	wire[label] = (uint8_t)(at - label - 1);
	if (wire[label] != 0)
		wire[at++] = 0;
	put(m, wire, at);
}

static void
put_rdata(struct message *m, uint16_t type, const char *value)
{
	uint8_t addr[16];
	unsigned preference;

	if (type == 1 || type == 28) {
		MUST(inet_pton(type == 1 ? AF_INET : AF_INET6, value, addr) == 1);
		put(m, addr, type == 1 ? 4 : 16);
	} else if (type == 15) {
		MUST(sscanf(value, "%u:", &preference) == 1);
		put16(m, preference);
		put_name(m, strchr(value, ':') + 1);
	} else {
		put_name(m, value);
	}
}

static void
put_record(struct message *m, const char *owner, uint16_t type, uint32_t ttl, const char *value)
{
	size_t lenat;

	if (owner == NULL)
		put(m, "\xc0\x0c", 2);
	else
		put_name(m, owner);
	put16(m, type);
	put16(m, 1);
	put16(m, ttl >> 16);
	put16(m, ttl & 0xffff);
	lenat = m->n;
	put16(m, 0);
	put_rdata(m, type, value);
	if (!m->full) {
		m->p[lenat] = (uint8_t)((m->n - lenat - 2) >> 8);
		m->p[lenat + 1] = (uint8_t)(m->n - lenat - 2);
	}
	m->records++;
}

/* The values of one turn: %u is its number. */
static void
expand(const char *values, unsigned turn, char *out, size_t max)
{
	size_t n = 0;

	while (*values != 0 && n + 12 < max) {
		if (values[0] == '%' && values[1] == 'u') {
			n += (size_t)snprintf(out + n, max - n, "%u", turn);
			values += 2;
		} else {
			out[n++] = *values++;
		}
	}
	out[n] = 0;
}

static void
put_values(struct message *m, const char *owner, const struct dnsd_rule *r, uint16_t type)
{
	for (unsigned i = 0; i < PST_MAX(r->times, 1u); i++) {
		char values[2048], *save, *v;

		expand(r->values != NULL ? r->values : "", i, values, sizeof(values));
		for (v = strtok_r(values, " ", &save); v != NULL; v = strtok_r(NULL, " ", &save))
			put_record(m, owner, type, r->ttl != 0 ? r->ttl : 300, v);
	}
}

static bool
fits(const struct dnsd_rule *r, const char *name)
{
	size_t n = strlen(name), tail = strlen(r->name) - 1;

	if (r->name[0] != '*')
		return strcmp(r->name, name) == 0;
	return n >= tail && strcmp(name + n - tail, r->name + 1) == 0;
}

/* The rule for a type, or for all; *there: some rule has the name. */
static const struct dnsd_rule *
rule_find(const struct dnsd_rule *rules, const char *name, uint16_t type, bool *there)
{
	*there = false;
	for (const struct dnsd_rule *r = rules; r->name != NULL; r++) {
		if (!fits(r, name))
			continue;
		*there = true;
		if (r->type == NULL || type_of(r->type) == type)
			return r;
	}
	return NULL;
}

/* Along CNAMEs, which may be a circle; returns the rule that decided. */
static const struct dnsd_rule *
put_answer(struct dnsd *d, struct message *m, const struct question *q, bool *there)
{
	const char *owner = NULL, *name = q->name;
	const struct dnsd_rule *r, *c;

	for (unsigned hops = 0;; hops++) {
		bool below;

		r = rule_find(d->rules, name, q->type, there);
		if (r != NULL || hops == 8)
			break;
		c = rule_find(d->rules, name, type_of("CNAME"), &below);
		if (c == NULL)
			break;
		put_values(m, owner, c, type_of("CNAME"));
		owner = name = c->values;
	}
	if (r != NULL && r->values != NULL)
		put_values(m, owner, r, q->type);
	return r;
}

/* RFC 2308 3: how long there is nothing: a minute. */
static void
put_soa(struct message *m)
{
	put(m, "\0\0\6\0\1\0\0\0\74\0\26\0\0", 13);
	put(m, "\0\0\0\1\0\0\16\20\0\0\2\130\0\1\121\200\0\0\0\74", 20);
}

/* The message for a question into d->out; its length; 0: none. */
static size_t
build(struct dnsd *d, const struct question *q, size_t room, bool released)
{
	struct message m = {.p = d->out, .max = PST_MIN(room, (size_t)WIRE_MAX) - 11};
	const struct dnsd_rule *r;
	uint8_t flags[2] = {(uint8_t)(0x84 | q->rd), 0x80};
	bool there, none;

	put(&m, q->id, 2);
	put(&m, "\0\0\0\1\0\0\0\0\0", 9);
	put(&m, q->edns ? "\1" : "\0", 1);
	put(&m, q->raw, q->rawlen);
	r = put_answer(d, &m, q, &there);
	if (r != NULL && (r->way == DNSD_SILENT || (r->way == DNSD_HELD && !released)))
		return 0;
	none = m.records == 0;
	if (!there || (r != NULL && r->way == DNSD_NXDOMAIN))
		flags[1] |= 3;
	else if (r != NULL && (r->way == DNSD_SERVFAIL || r->way == DNSD_REFUSED))
		flags[1] |= r->way == DNSD_SERVFAIL ? 2 : 5;
	if (m.full) {
		flags[0] |= 2; /* TC: come by TCP */
		m.n = 12 + q->rawlen;
		m.records = 0;
	} else if (none && (flags[1] & 15) % 3 == 0) {
		put_soa(&m);
		d->out[9] = 1;
	}
	d->out[2] = flags[0];
	d->out[3] = flags[1];
	d->out[6] = (uint8_t)(m.records >> 8);
	d->out[7] = (uint8_t)m.records;
	m.max = WIRE_MAX;
	if (q->edns)
		put(&m, "\0\0\51\4\320\0\0\0\0\0\0", 11);
	if (r != NULL && r->way == DNSD_GARBAGE)
		memset(d->out, 0xc0, m.n);
	else if (r != NULL && r->way == DNSD_CUT)
		m.n -= PST_MIN(m.n - 12, (size_t)17);
	else if (r != NULL && r->way == DNSD_WRONG_ID)
		d->out[0] ^= 0x55;
	else if (r != NULL && r->way == DNSD_WRONG_NAME && d->out[12] > 0)
		d->out[13] ^= 1;
	return m.n;
}

/* ---- sockets ---- */

static void
note(struct dnsd *d, const struct question *q)
{
	if (d->nlog == LOG_MAX)
		return;
	snprintf(d->log[d->nlog].name, sizeof(d->log[0].name), "%s", q->name);
	d->log[d->nlog++].type = q->type;
}

static bool
is_held(struct dnsd *d, const struct question *q)
{
	bool there;
	const struct dnsd_rule *r = rule_find(d->rules, q->name, q->type, &there);

	return r != NULL && r->way == DNSD_HELD && !d->releasing;
}

static void
say(struct dnsd *d, const struct question *q, const struct sockaddr_in *peer)
{
	size_t n = build(d, q, q->room, d->releasing);

	if (n > 0)
		sendto(d->udp, d->out, n, 0, (const struct sockaddr *)peer, sizeof(*peer));
}

static void
serve_udp(struct dnsd *d)
{
	struct sockaddr_in peer;
	socklen_t len = sizeof(peer);
	struct question q = {0};
	uint8_t in[4096];
	ssize_t n = recvfrom(d->udp, in, sizeof(in), MSG_DONTWAIT, (struct sockaddr *)&peer, &len);

	if (n <= 0 || !parse(in, (size_t)n, &q))
		return;
	note(d, &q);
	if (!is_held(d, &q))
		say(d, &q, &peer);
	else if (d->nheld < HELD_MAX)
		d->held[d->nheld++] = (struct held){peer, q};
}

/* One question a connection. */
static void
serve_tcp(struct dnsd *d)
{
	int fd = accept(d->tcp, NULL, NULL);
	struct timeval patience = {.tv_sec = 2};
	struct question q = {0};
	uint8_t in[4096], len[2];
	ssize_t n;
	size_t out;

	if (fd < 0)
		return;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (recv(fd, len, 2, MSG_WAITALL) == 2 && (len[0] << 8 | len[1]) <= (int)sizeof(in)) {
		n = recv(fd, in, (size_t)(len[0] << 8 | len[1]), MSG_WAITALL);
		if (n > 0 && parse(in, (size_t)n, &q)) {
			note(d, &q);
			out = build(d, &q, WIRE_MAX, true);
			len[0] = (uint8_t)(out >> 8);
			len[1] = (uint8_t)out;
			if (out > 0 && send(fd, len, 2, MSG_NOSIGNAL | MSG_MORE) == 2)
				(void)!send(fd, d->out, out, MSG_NOSIGNAL);
		}
	}
	close(fd);
}

static void *
run(void *arg)
{
	struct dnsd *d = arg;
	struct pollfd fds[3] = {{.fd = d->wake, .events = POLLIN}, {.fd = d->udp, .events = POLLIN},
		{.fd = d->tcp, .events = POLLIN}};
	bool stop = false;
	eventfd_t v;

	while (!stop && poll(fds, 3, -1) >= 0) {
		pthread_mutex_lock(&d->lock);
		if (fds[0].revents != 0)
			MUST(eventfd_read(d->wake, &v) == 0);
		for (unsigned i = 0; d->releasing && i < d->nheld; i++)
			say(d, &d->held[i].q, &d->held[i].peer);
		if (d->releasing)
			d->nheld = 0;
		if (fds[1].revents != 0)
			serve_udp(d);
		if (fds[2].revents != 0)
			serve_tcp(d);
		stop = d->stopping;
		pthread_mutex_unlock(&d->lock);
	}
	return NULL;
}

/* ---- life ---- */

/* A port that is free for both. */
static void
open_sockets(struct dnsd *d)
{
	for (unsigned i = 0; i < 50; i++) {
		struct sockaddr_in sa = {
			.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
		socklen_t len = sizeof(sa);

		d->udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		d->tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		MUST(bind(d->udp, (struct sockaddr *)&sa, sizeof(sa)) == 0);
		MUST(getsockname(d->udp, (struct sockaddr *)&sa, &len) == 0);
		if (bind(d->tcp, (struct sockaddr *)&sa, sizeof(sa)) == 0 &&
			listen(d->tcp, 64) == 0) {
			snprintf(
				d->address, sizeof(d->address), "127.0.0.1@%u", ntohs(sa.sin_port));
			return;
		}
		close(d->udp);
		close(d->tcp);
	}
	MUST(!"a free port");
}

struct dnsd *
dnsd_new(const struct dnsd_rule *rules)
{
	struct dnsd *d = calloc(1, sizeof(*d));

	MUST(d != NULL);
	d->rules = rules;
	d->log = calloc(LOG_MAX, sizeof(*d->log));
	d->held = calloc(HELD_MAX, sizeof(*d->held));
	d->wake = eventfd(0, EFD_CLOEXEC);
	MUST(d->log != NULL && d->held != NULL && d->wake >= 0);
	open_sockets(d);
	pthread_mutex_init(&d->lock, NULL);
	MUST(pthread_create(&d->thread, NULL, run, d) == 0);
	return d;
}

void
dnsd_free(struct dnsd *d)
{
	pthread_mutex_lock(&d->lock);
	d->stopping = true;
	pthread_mutex_unlock(&d->lock);
	MUST(eventfd_write(d->wake, 1) == 0);
	pthread_join(d->thread, NULL);
	close(d->wake);
	close(d->udp);
	close(d->tcp);
	pthread_mutex_destroy(&d->lock);
	free(d->log);
	free(d->held);
	free(d);
}

const char *
dnsd_address(const struct dnsd *d)
{
	return d->address;
}

void
dnsd_script(struct dnsd *d, const struct dnsd_rule *rules)
{
	pthread_mutex_lock(&d->lock);
	d->rules = rules;
	pthread_mutex_unlock(&d->lock);
}

void
dnsd_release(struct dnsd *d)
{
	pthread_mutex_lock(&d->lock);
	d->releasing = true;
	pthread_mutex_unlock(&d->lock);
	MUST(eventfd_write(d->wake, 1) == 0);
}

unsigned
dnsd_asked(struct dnsd *d, const char *name, const char *type)
{
	unsigned n = 0;

	pthread_mutex_lock(&d->lock);
	for (unsigned i = 0; i < d->nlog; i++) {
		n += (name == NULL || strcmp(d->log[i].name, name) == 0) &&
		     (type == NULL || d->log[i].type == type_of(type));
	}
	pthread_mutex_unlock(&d->lock);
	return n;
}
