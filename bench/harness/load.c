/* SPDX-License-Identifier: BSD-3-Clause */
#include "load.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define BURST_NEW 16 /* sessions begun between two polls */

struct peer { /* one connection, and the engine that speaks over it */
	struct gen_conn *conn;
	bool is_sink;
	union {
		struct gen_client client;
		struct gen_sink sink;
	};
	TAILQ_ENTRY(peer) link;
};

struct load {
	struct gen_transport *t;
	struct load_plan plan;
	struct gen_figures *fig;
	uint64_t begun;         /* sessions of this plan */
	uint64_t due;           /* open loop: when the next one begins, ns */
	struct pst_rand random; /* of the schedule */
	uint32_t *free_slots;   /* a stack */
	uint32_t nfree;
	bool stopped;
	unsigned open, accepted;
	TAILQ_HEAD(, peer) peers;
	struct {
		uint16_t port;
		const struct gen_sink_conf *conf;
		struct gen_sink_figures *fig;
	} sinks[LOAD_SINKS];
	unsigned nsinks;
	uint8_t out[GEN_OUT_MIN];
};

struct load *
load_new(struct gen_transport *t)
{
	struct load *l = calloc(1, sizeof(*l));

	if (l == NULL)
		return NULL;
	l->t = t;
	l->stopped = true;
	TAILQ_INIT(&l->peers);
	return l;
}

/* ---- one connection ---- */

static void
peer_free(struct load *l, struct peer *p)
{
	TAILQ_REMOVE(&l->peers, p, link);
	if (p->is_sink) {
		gen_sink_fini(&p->sink);
		l->accepted--;
	} else {
		l->free_slots[l->nfree++] = p->client.slot;
		gen_client_fini(&p->client);
		l->open--;
	}
	free(p);
}

static void
peer_lost(struct load *l, struct peer *p, const char *why)
{
	if (p->is_sink)
		snprintf(p->sink.fig->why, sizeof(p->sink.fig->why), "next hop: %s", why);
	else
		gen_client_lost(&p->client, why);
	l->t->ops->abort(l->t, p->conn);
	peer_free(l, p);
}

static enum gen_rc
step(struct peer *p, struct gen_io *io, uint64_t now)
{
	return p->is_sink ? gen_sink_step(&p->sink, io) : gen_client_step(&p->client, io, now);
}

static struct gen_io
begin_io(struct load *l, struct peer *p)
{
	struct pst_span in = l->t->ops->peek(l->t, p->conn);

	return (struct gen_io){.in = in.n > 0 ? in.p : (const uint8_t *)"",
		.in_len = in.n,
		.eof = l->t->ops->eof(p->conn),
		.out = l->out,
		.out_cap = sizeof(l->out)};
}

/* Lets the engine go on for as long as there is something for it, and room for what it says. */
static void
pump(struct load *l, struct peer *p, uint64_t now)
{
	const struct gen_transport_ops *ops = l->t->ops;

	while (ops->room(l->t, p->conn) > 0) {
		struct gen_io io = begin_io(l, p);
		enum gen_rc rc = step(p, &io, now);

		if (io.in_used > 0)
			ops->consume(l->t, p->conn, io.in_used);
		if (io.out_len > 0 && ops->write(l->t, p->conn, l->out, io.out_len) != PST_OK) {
			peer_lost(l, p, ops->error(p->conn));
			return;
		}
		if (rc == GEN_DONE || rc == GEN_FAILED) {
			ops->close(l->t, p->conn);
			peer_free(l, p);
			return;
		}
		if (rc == GEN_WAIT && (io.in_used == 0 || (ops->peek(l->t, p->conn).n == 0 &&
								  !ops->eof(p->conn))))
			return;
	}
}

/* ---- who calls ---- */

enum pst_rc
load_begin(struct load *l, const struct load_plan *plan, struct gen_figures *fig, uint64_t now)
{
	uint32_t *slots = realloc(l->free_slots, plan->concurrency * sizeof(*slots));

	if (slots == NULL)
		return PST_NOMEM;
	l->free_slots = slots;
	for (l->nfree = 0; l->nfree < plan->concurrency; l->nfree++)
		slots[l->nfree] = plan->concurrency - 1 - l->nfree;
	l->plan = *plan;
	l->fig = fig;
	l->begun = 0;
	l->due = now;
	pst_rand_seed(&l->random, plan->seed);
	l->stopped = plan->client == NULL;
	return PST_OK;
}

static double
uniform(struct load *l)
{
	return (double)(pst_rand_u64(&l->random) >> 11) / 9007199254740992.0; /* 2^53 */
}

static uint64_t
interval(struct load *l)
{
	double mean = 1e9 / l->plan.rate;

	return (uint64_t)(l->plan.poisson ? -log(1.0 - uniform(l)) * mean : mean);
}

static bool
may_begin(const struct load *l, uint64_t now)
{
	if (l->stopped || l->nfree == 0 || (l->plan.total != 0 && l->begun >= l->plan.total))
		return false;
	return l->plan.rate == 0 || l->due <= now;
}

static void
begin_session(struct load *l, uint64_t now)
{
	uint64_t intended = l->plan.rate == 0 ? now : l->due;
	struct peer *p = calloc(1, sizeof(*p));
	enum pst_rc rc = PST_NOMEM;

	if (l->plan.rate != 0)
		l->due += interval(l);
	if (p == NULL)
		return;
	l->begun++;
	gen_client_init(&p->client, l->plan.client, l->fig, l->free_slots[--l->nfree], intended);
	TAILQ_INSERT_TAIL(&l->peers, p, link);
	l->open++;
	rc = l->t->ops->connect(l->t, NULL, &l->plan.to, p, &p->conn);
	if (rc != PST_OK) {
		gen_client_lost(
			&p->client, rc == PST_UNREACH ? "no route or no port" : "no memory");
		peer_free(l, p);
	}
}

/* ---- who is called ---- */

enum pst_rc
load_sink(struct load *l, const struct pst_endpoint *at, const struct gen_sink_conf *conf,
	struct gen_sink_figures *fig, char *err, size_t errlen)
{
	if (l->nsinks == LOAD_SINKS) {
		snprintf(err, errlen, "more than %u next hops", LOAD_SINKS);
		return PST_INVAL;
	}
	l->sinks[l->nsinks].port = at->port;
	l->sinks[l->nsinks].conf = conf;
	l->sinks[l->nsinks++].fig = fig;
	return l->t->ops->listen(l->t, at, err, errlen);
}

static struct peer *
accept_sink(struct load *l, struct gen_conn *c)
{
	uint16_t port = l->t->ops->local_port(c);
	struct peer *p = calloc(1, sizeof(*p));
	unsigned i = 0;

	while (i < l->nsinks && l->sinks[i].port != port)
		i++;
	if (p == NULL || i == l->nsinks) {
		free(p);
		l->t->ops->abort(l->t, c);
		return NULL;
	}
	p->conn = c;
	p->is_sink = true;
	gen_sink_init(&p->sink, l->sinks[i].conf, l->sinks[i].fig);
	TAILQ_INSERT_TAIL(&l->peers, p, link);
	l->accepted++;
	l->t->ops->set_user(c, p);
	return p;
}

/* ---- the turn ---- */

static void
on_event(struct load *l, struct gen_conn *c, uint32_t events, uint64_t now)
{
	struct peer *p = l->t->ops->user(c);

	if (p == NULL && (events & GEN_EV_ERROR) != 0) { /* accepted and lost in one turn */
		l->t->ops->abort(l->t, c);
		return;
	}
	if (p == NULL)
		p = accept_sink(l, c);
	if (p == NULL)
		return;
	if ((events & GEN_EV_ERROR) != 0) {
		peer_lost(l, p, l->t->ops->error(c));
		return;
	}
	if ((events & GEN_EV_CONNECTED) != 0)
		gen_client_connected(&p->client, now);
	pump(l, p, now);
}

bool
load_turn(struct load *l, uint64_t now)
{
	struct gen_conn *c;
	uint32_t events;
	bool work = false;

	l->t->ops->poll(l->t, now);
	while ((c = l->t->ops->next(l->t, &events)) != NULL) {
		on_event(l, c, events, now);
		work = true;
	}
	for (unsigned i = 0; i < BURST_NEW && may_begin(l, now); i++) {
		begin_session(l, now);
		work = true;
	}
	l->t->ops->flush(l->t);
	return work;
}

void
load_idle(struct load *l, uint64_t now, uint64_t max_ns)
{
	uint64_t due = l->t->ops->next_deadline(l->t);

	if (!l->stopped && l->plan.rate != 0 && l->nfree > 0)
		due = PST_MIN(due, l->due);
	if (due > now)
		l->t->ops->idle(l->t, PST_MIN(due - now, max_ns));
}

void
load_stop(struct load *l)
{
	l->stopped = true;
}

void
load_release(struct load *l)
{
	struct peer *p, *next;

	for (p = TAILQ_FIRST(&l->peers); p != NULL; p = next) {
		next = TAILQ_NEXT(p, link);
		if (p->is_sink || p->client.state != GEN_CLIENT_HELD)
			continue;
		gen_client_release(&p->client);
		pump(l, p, pst_now_ns());
	}
	l->t->ops->flush(l->t);
}

bool
load_over(const struct load *l)
{
	return l->open == 0 && (l->stopped || (l->plan.total != 0 && l->begun >= l->plan.total));
}

unsigned
load_open(const struct load *l)
{
	return l->open;
}

unsigned
load_sinks(const struct load *l)
{
	return l->accepted;
}

void
load_free(struct load *l)
{
	struct peer *p;

	if (l == NULL)
		return;
	while ((p = TAILQ_FIRST(&l->peers)) != NULL) {
		l->t->ops->abort(l->t, p->conn);
		peer_free(l, p);
	}
	free(l->free_slots);
	free(l);
}
