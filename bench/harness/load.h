/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The runner: opens connections when the schedule says so, lets engines speak over them,
 * and accepts connections for sinks. One thread; the caller's loop calls load_turn.
 *
 * Two schedules. Closed loop: so many sessions at a time, the next one when one is over; it
 * finds out what a server can carry, and hides waiting. Open loop: sessions begin at a rate,
 * evenly or by a Poisson process, whatever the server does; what cannot begin because
 * `concurrency` sessions are open already begins late, and its time counts from when it
 * should have begun.
 */
#ifndef LOAD_H
#define LOAD_H

#include "client.h"
#include "sink.h"

#include <pst_rand.h>
#include <sys/queue.h>

#define LOAD_SINKS 8

struct load_plan {
	const struct gen_client_conf *client; /* NULL: nobody calls */
	struct pst_endpoint to;
	unsigned concurrency; /* sessions at a time, 1.. */
	uint64_t total;       /* sessions to begin; 0: until load_stop */
	double rate;          /* sessions a second; 0: closed loop */
	bool poisson;         /* the times between are exponential, else all the same */
	uint64_t seed;
};

struct load;

/* The transport stays the caller's. NULL: no memory. */
struct load *load_new(struct gen_transport *t);
void load_free(struct load *l); /* aborts what is open */
/* Accepts for a sink. conf and fig outlive the load. */
enum pst_rc load_sink(struct load *l, const struct pst_endpoint *at,
	const struct gen_sink_conf *conf, struct gen_sink_figures *fig, char *err, size_t errlen);
/* Begins a plan; the last one is over. Copied, but for what it points to. PST_NOMEM. */
enum pst_rc load_begin(
	struct load *l, const struct load_plan *plan, struct gen_figures *fig, uint64_t now);
/* One turn of everything. True: there was work. */
bool load_turn(struct load *l, uint64_t now);
/* Sleeps until something is due or comes, at most max_ns. */
void load_idle(struct load *l, uint64_t now, uint64_t max_ns);
void load_stop(struct load *l);            /* begins no more sessions */
void load_release(struct load *l);         /* sessions that are held say QUIT */
bool load_over(const struct load *l);      /* all begun that were to begin, and all ended */
unsigned load_open(const struct load *l);  /* client sessions now */
unsigned load_sinks(const struct load *l); /* accepted connections now */

#endif
