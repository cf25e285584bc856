/* SPDX-License-Identifier: BSD-3-Clause */
/* The generator's transport over kernel sockets, two of them against each other on loopback. */
#include <criterion/criterion.h>
#include <gen.h>

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define TURNS 20000

static struct gen_transport *server, *client;
static struct pst_endpoint at;
static char err[256];

/* What is going on with one connection, as a runner would keep it. */
struct side {
	struct gen_conn *c;
	uint32_t seen; /* events since the beginning */
	uint8_t *got;
	size_t ngot;
};

static struct side here[8], there[8]; /* of client and server, in the order they came */
static unsigned nthere;
static size_t leave; /* bytes that readers leave unread */

/* A port that was free a moment ago. */
static uint16_t
free_port(void)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t len = sizeof(in);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	cr_assert_eq(bind(fd, (struct sockaddr *)&in, len), 0);
	cr_assert_eq(getsockname(fd, (struct sockaddr *)&in, &len), 0);
	close(fd);
	return ntohs(in.sin_port);
}

static void
setup(void)
{
	struct gen_epoll_conf conf = {.linger = true};

	server = gen_epoll_new(&conf, pst_now_ns(), err, sizeof(err));
	client = gen_epoll_new(&conf, pst_now_ns(), err, sizeof(err));
	cr_assert(server != NULL && client != NULL, "%s", err);
	pst_ip_parse("127.0.0.1", &at.ip);
	at.port = free_port();
	cr_assert_eq(server->ops->listen(server, &at, err, sizeof(err)), PST_OK, "%s", err);
}

static void
teardown(void)
{
	client->ops->free(client);
	server->ops->free(server);
	for (unsigned i = 0; i < PST_COUNT(here); i++) {
		free(here[i].got);
		free(there[i].got);
	}
}

TestSuite(epoll, .init = setup, .fini = teardown, .timeout = 60);

static void
take(struct gen_transport *t, struct side *s)
{
	struct pst_span in = t->ops->peek(t, s->c);
	size_t n = in.n > leave ? in.n - leave : 0;

	if (n == 0)
		return;
	s->got = realloc(s->got, s->ngot + n);
	memcpy(s->got + s->ngot, in.p, n);
	s->ngot += n;
	t->ops->consume(t, s->c, n);
}

static void
turn_of(struct gen_transport *t)
{
	struct gen_conn *c;
	uint32_t ev;

	t->ops->poll(t, pst_now_ns());
	while ((c = t->ops->next(t, &ev)) != NULL) {
		struct side *s = t->ops->user(c);

		if (ev & GEN_EV_ACCEPT) {
			cr_assert_null(s);
			s = &there[nthere++];
			s->c = c;
			t->ops->set_user(c, s);
		}
		s->seen |= ev;
		if (ev & GEN_EV_READ)
			take(t, s);
	}
	t->ops->flush(t);
}

/* Turns of both sides until the condition holds. */
#define until(cond)                                                                                \
	do {                                                                                       \
		unsigned left_ = TURNS;                                                            \
		while (!(cond) && left_-- > 0) {                                                   \
			turn_of(client);                                                           \
			turn_of(server);                                                           \
			client->ops->idle(client, PST_NS_PER_MS / 10);                             \
		}                                                                                  \
		cr_assert(cond, "never came: " #cond);                                             \
	} while (0)

static void
open_one(unsigned i)
{
	cr_assert_eq(client->ops->connect(client, NULL, &at, &here[i], &here[i].c), PST_OK);
	until((here[i].seen & GEN_EV_CONNECTED) && nthere > i);
}

static void
say(struct gen_transport *t, struct side *s, const char *text)
{
	cr_assert_gt(t->ops->room(t, s->c), 0);
	cr_assert_eq(t->ops->write(t, s->c, text, strlen(text)), PST_OK);
}

Test(epoll, bytes_go_both_ways_and_an_end_is_seen_behind_them)
{
	open_one(0);
	say(client, &here[0], "EHLO a\r\n");
	until(there[0].ngot == 8);
	cr_assert_arr_eq(there[0].got, "EHLO a\r\n", 8);
	say(server, &there[0], "250 b\r\n");
	server->ops->close(server, there[0].c);
	until(here[0].ngot == 7 && client->ops->eof(here[0].c));
	cr_assert_arr_eq(here[0].got, "250 b\r\n", 7);
	client->ops->close(client, here[0].c);
}

Test(epoll, what_one_connection_leaves_unread_survives_the_reading_of_others)
{
	struct pst_span in;

	for (unsigned i = 0; i < 3; i++)
		open_one(i);
	leave = 3;
	for (unsigned round = 0; round < 5; round++)
		for (unsigned i = 0; i < 3; i++) {
			char text[8];

			snprintf(text, sizeof(text), "%u:%u;", i, round);
			say(client, &here[i], text);
			until(there[i].ngot == (size_t)(round + 1) * 4 - 3);
		}
	for (unsigned i = 0; i < 3; i++) {
		char want[32];
		int n = 0;

		for (unsigned round = 0; round < 5; round++)
			n += snprintf(want + n, sizeof(want) - (size_t)n, "%u:%u;", i, round);
		cr_assert_arr_eq(there[i].got, want, (size_t)n - 3);
		in = server->ops->peek(server, there[i].c);
		cr_assert_eq(in.n, 3);
		cr_assert_arr_eq(in.p, want + n - 3, 3);
	}
}

Test(epoll, an_end_is_none_while_bytes_before_it_are_unread)
{
	open_one(0);
	leave = 2;
	say(client, &here[0], "abcd");
	client->ops->close(client, here[0].c);
	until(there[0].ngot == 2);
	for (unsigned i = 0; i < 50; i++)
		turn_of(server);
	cr_assert_not(server->ops->eof(there[0].c));
	leave = 0;
	take(server, &there[0]);
	cr_assert_eq(there[0].ngot, 4);
	until(server->ops->eof(there[0].c));
}

/* 40 full writes into a peer that reads late; then close at once. */
Test(epoll, a_full_socket_takes_no_more_until_there_is_room_and_close_loses_nothing)
{
	static uint8_t block[GEN_WRITE_MAX];
	const unsigned n = 40;
	unsigned full = 0;

	open_one(0);
	for (unsigned i = 0; i < n; i++) {
		for (size_t k = 0; k < sizeof(block); k++)
			block[k] = (uint8_t)(i * 31 + k % 251);
		while (client->ops->room(client, here[0].c) == 0) {
			full++;
			here[0].seen = 0;
			until(here[0].seen & GEN_EV_WRITE);
		}
		cr_assert_eq(client->ops->write(client, here[0].c, block, sizeof(block)), PST_OK);
	}
	client->ops->close(client, here[0].c);
	until(there[0].ngot == n * sizeof(block) && server->ops->eof(there[0].c));
	cr_assert_gt(full, 0);
	for (size_t k = 0; k < there[0].ngot; k++)
		cr_assert_eq(there[0].got[k],
			(uint8_t)(k / sizeof(block) * 31 + k % sizeof(block) % 251), "byte %zu", k);
}

Test(epoll, an_aborted_connection_is_an_error_with_its_reason_at_the_peer)
{
	open_one(0);
	say(client, &here[0], "x");
	until(there[0].ngot == 1);
	client->ops->abort(client, here[0].c);
	until(there[0].seen & GEN_EV_ERROR);
	cr_assert_not_null(strstr(server->ops->error(there[0].c), "reset"));
	cr_assert_eq(server->ops->room(server, there[0].c), 0);
	server->ops->close(server, there[0].c);
}

Test(epoll, a_refused_connection_says_so)
{
	struct pst_endpoint nobody = at;

	nobody.port = free_port();
	cr_assert_eq(client->ops->connect(client, NULL, &nobody, &here[0], &here[0].c), PST_OK);
	until(here[0].seen & GEN_EV_ERROR);
	cr_assert_not_null(strstr(client->ops->error(here[0].c), "refused"));
	cr_assert_not(here[0].seen & GEN_EV_CONNECTED);
	client->ops->close(client, here[0].c);
}

Test(epoll, listening_twice_on_one_address_names_it)
{
	cr_assert_neq(client->ops->listen(client, &at, err, sizeof(err)), PST_OK);
	cr_assert_not_null(strstr(err, "127.0.0.1:"), "%s", err);
	cr_assert_not_null(strstr(err, "in use"), "%s", err);
}

Test(epoll, the_limit_of_connections_is_a_limit)
{
	struct gen_epoll_conf conf = {.max_conns = 2};
	struct gen_transport *small = gen_epoll_new(&conf, 0, err, sizeof(err));
	struct gen_conn *c;

	cr_assert_not_null(small);
	for (unsigned i = 0; i < 2; i++)
		cr_assert_eq(small->ops->connect(small, NULL, &at, NULL, &c), PST_OK);
	cr_assert_eq(small->ops->connect(small, NULL, &at, NULL, &c), PST_NOMEM);
	small->ops->abort(small, c);
	cr_assert_eq(small->ops->connect(small, NULL, &at, NULL, &c), PST_OK);
	small->ops->free(small);
}

Test(epoll, a_local_address_is_used_as_it_is_given)
{
	struct pst_ip local;

	pst_ip_parse("127.0.0.7", &local);
	cr_assert_eq(client->ops->connect(client, &local, &at, &here[0], &here[0].c), PST_OK);
	until(nthere == 1);
	say(client, &here[0], "x");
	until(there[0].ngot == 1);
	/* The descriptor is the transport's own; the kernel's table says who called. */
	FILE *f = fopen("/proc/net/tcp", "r");
	char line[512];
	bool found = false;

	cr_assert_not_null(f);
	while (fgets(line, sizeof(line), f) != NULL) {
		unsigned from, fport, to, tport;

		if (sscanf(line, " %*u: %x:%x %x:%x", &from, &fport, &to, &tport) == 4 &&
			tport == at.port)
			found |= from == inet_addr("127.0.0.7");
	}
	fclose(f);
	cr_assert(found);
}
