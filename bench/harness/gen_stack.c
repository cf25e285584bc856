/* SPDX-License-Identifier: BSD-3-Clause */
/* The generator's connections on our own stack: one worker of a fabric. */
#include "gen.h"

#include <pst_tcp.h>
#include <stdio.h>
#include <stdlib.h>

#define BURST 64

struct stack {
	struct gen_transport t; /* first */
	struct pst_net *net;
	struct pst_tcp *tcp;
	uint64_t now;
};

static struct stack *
stack_of(const struct gen_transport *t)
{
	return pst_container_of(t, struct stack, t);
}

/* A gen_conn is the stack's own record: there is nothing to add to it. */
static struct pst_tcp_conn *
conn_of(const struct gen_conn *c)
{
	return (struct pst_tcp_conn *)(uintptr_t)c;
}

static void
stack_free(struct gen_transport *t)
{
	struct stack *s = stack_of(t);

	if (s->tcp != NULL)
		pst_tcp_free(s->tcp);
	if (s->net != NULL)
		pst_net_free(s->net);
	free(s);
}

static void
stack_poll(struct gen_transport *t, uint64_t now)
{
	struct stack *s = stack_of(t);
	struct pst_pkt pkts[BURST];
	unsigned n = pst_net_rx(s->net, now, pkts, BURST);

	s->now = now;
	for (unsigned i = 0; i < n; i++)
		pst_tcp_input(s->tcp, &pkts[i], now);
	pst_net_tick(s->net, now);
	pst_tcp_tick(s->tcp, now);
}

static void
stack_flush(struct gen_transport *t)
{
	struct stack *s = stack_of(t);

	pst_tcp_flush(s->tcp, s->now);
	pst_net_flush(s->net);
}

static void
stack_idle(struct gen_transport *t, uint64_t max_ns)
{
	pst_net_idle(stack_of(t)->net, max_ns);
}

static uint64_t
stack_next_deadline(const struct gen_transport *t)
{
	const struct stack *s = stack_of(t);

	return PST_MIN(pst_tcp_next_deadline(s->tcp), pst_net_next_deadline(s->net));
}

static struct gen_conn *
stack_next(struct gen_transport *t, uint32_t *events)
{
	static const struct {
		uint32_t tcp, gen;
	} map[] = {{PST_TCP_EV_ACCEPT, GEN_EV_ACCEPT}, {PST_TCP_EV_CONNECTED, GEN_EV_CONNECTED},
		{PST_TCP_EV_READ | PST_TCP_EV_EOF, GEN_EV_READ}, {PST_TCP_EV_WRITE, GEN_EV_WRITE},
		{PST_TCP_EV_ERROR, GEN_EV_ERROR}};
	uint32_t ev = 0;
	struct pst_tcp_conn *c = pst_tcp_next_ready(stack_of(t)->tcp, &ev);

	*events = 0;
	for (unsigned i = 0; i < PST_COUNT(map); i++)
		*events |= (ev & map[i].tcp) != 0 ? map[i].gen : 0;
	return (struct gen_conn *)c;
}

static enum pst_rc
stack_connect(struct gen_transport *t, const struct pst_ip *local, const struct pst_endpoint *to,
	void *user, struct gen_conn **out)
{
	struct stack *s = stack_of(t);
	struct pst_tcp_conn *c = NULL;
	enum pst_rc rc = pst_tcp_connect(s->tcp, local, to, user, s->now, &c);

	*out = (struct gen_conn *)c;
	return rc;
}

static enum pst_rc
stack_listen(struct gen_transport *t, const struct pst_endpoint *at, char *err, size_t errlen)
{
	enum pst_rc rc = pst_tcp_listen(stack_of(t)->tcp, at, NULL);

	if (rc != PST_OK)
		snprintf(err, errlen, "cannot listen on port %u: %s", at->port, pst_rc_name(rc));
	return rc;
}

static uint16_t
stack_local_port(const struct gen_conn *c)
{
	return pst_tcp_local(conn_of(c)).port;
}

static void
stack_set_user(struct gen_conn *c, void *user)
{
	pst_tcp_conn_set_user(conn_of(c), user);
}

static void *
stack_user(const struct gen_conn *c)
{
	return pst_tcp_conn_user(conn_of(c));
}

static struct pst_span
stack_peek(struct gen_transport *t, struct gen_conn *c)
{
	(void)t;
	return pst_tcp_peek(conn_of(c));
}

static void
stack_consume(struct gen_transport *t, struct gen_conn *c, size_t n)
{
	(void)t;
	pst_tcp_consume(conn_of(c), n);
}

static bool
stack_eof(const struct gen_conn *c)
{
	return pst_tcp_eof(conn_of(c));
}

static size_t
stack_room(struct gen_transport *t, struct gen_conn *c)
{
	(void)t;
	return pst_tcp_send_space(conn_of(c));
}

static enum pst_rc
stack_write(struct gen_transport *t, struct gen_conn *c, const void *p, size_t n)
{
	(void)t;
	return pst_tcp_write(conn_of(c), p, n);
}

static void
stack_close(struct gen_transport *t, struct gen_conn *c)
{
	(void)t;
	/* Bytes left unread would turn the FIN into a RST. */
	pst_tcp_consume(conn_of(c), pst_tcp_readable(conn_of(c)));
	pst_tcp_close(conn_of(c));
}

static void
stack_abort(struct gen_transport *t, struct gen_conn *c)
{
	(void)t;
	pst_tcp_abort(conn_of(c));
}

static const char *
stack_error(const struct gen_conn *c)
{
	return pst_tcp_error_name(pst_tcp_error(conn_of(c)));
}

static const struct gen_transport_ops stack_ops = {
	.name = "postern",
	.free = stack_free,
	.poll = stack_poll,
	.flush = stack_flush,
	.idle = stack_idle,
	.next_deadline = stack_next_deadline,
	.next = stack_next,
	.connect = stack_connect,
	.listen = stack_listen,
	.local_port = stack_local_port,
	.set_user = stack_set_user,
	.user = stack_user,
	.peek = stack_peek,
	.consume = stack_consume,
	.eof = stack_eof,
	.room = stack_room,
	.write = stack_write,
	.close = stack_close,
	.abort = stack_abort,
	.error = stack_error,
};

struct gen_transport *
gen_stack_new(const struct gen_stack_conf *conf, uint64_t now, char *err, size_t errlen)
{
	struct stack *s = calloc(1, sizeof(*s));
	struct pst_tcp_conf tcp = {.max_conns = conf->max_conns,
		.time_wait_ms = conf->time_wait_ms != 0 ? conf->time_wait_ms : 1,
		.rcv_buf = conf->rcv_buf,
		.snd_buf = conf->snd_buf,
		.port_min = 1024,
		.port_max = 65535};

	if (s != NULL) {
		s->t.ops = &stack_ops;
		s->now = now;
		s->net = pst_net_new(conf->fabric, conf->worker);
	}
	if (s != NULL && s->net != NULL)
		s->tcp = pst_tcp_new(&tcp, s->net, now);
	if (s != NULL && s->tcp != NULL)
		return &s->t;
	snprintf(err, errlen, "no memory for the generator's stack");
	if (s != NULL)
		stack_free(&s->t);
	return NULL;
}
