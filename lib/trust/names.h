/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the parts of pst_names share.
 *
 * names.c     what workers and the control thread call; crosses threads by the stacks below
 * resolver.c  the resolver's thread: questions, deadlines, changes of configuration
 * cache.c     answers, RCU
 * chain.c, answer.c, dnsname.c    what to ask and what it means; pure
 * upstream.c  libunbound
 *
 * Threads. A worker puts asks on the inbox and takes them back, answered, off its own stack;
 * asks belong to the worker, which keeps them for the next time. The resolver's thread is the
 * cache's only writer. It is registered with liburcu-qsbr and online only inside the cache, so
 * that it never holds up a grace period; its libunbound thread is not registered.
 */
#ifndef NAMES_H
#define NAMES_H

#include "cache.h"
#include "upstream.h"

#include <pthread.h>
#include <semaphore.h>

#define NAMES_OPEN_MAX 4096 /* asks of one worker */
/* For clients' names at most: the mail's own always find room. */
#define NAMES_OPEN_CLIENTS (NAMES_OPEN_MAX * 3 / 4)
#define STRIPES            16 /* of the counter that readers share */
#define CACHE_LINE         64

/* One ask: a worker's cookie, or a thread that waits. */
struct ask {
	struct ask *next;
	struct pst_names_answer *answer; /* once it is completed */
	struct pst_names_answer *spare;  /* TEMPORARY: the answer when memory is out */
	uint64_t cookie;
	unsigned worker;
	sem_t *waiter; /* not NULL: whom to wake, in place of the worker */
	struct names_key key;
};

/*
 * Asks from many threads to one, in bursts: push by anyone, take all by the one. Push releases,
 * take acquires: what was written into an ask is seen by who takes it.
 */
struct ask_stack {
	_Atomic(struct ask *) head;
};

/* True: it was empty. */
bool ask_push(struct ask_stack *s, struct ask *a);
/* In the order of their pushes. */
struct ask *ask_take(struct ask_stack *s);

struct names_worker {
	/* The worker's own. */
	struct ask *spare;             /* not in use */
	struct ask *done, **done_last; /* taken, not yet given out */
	_Atomic(unsigned) open;        /* others read it */
	/* Written by the resolver's thread. */
	_Alignas(CACHE_LINE) struct ask_stack completed;
} __attribute__((aligned(CACHE_LINE)));

struct names_stripe {
	_Atomic(uint64_t) hits;
} __attribute__((aligned(CACHE_LINE)));

/* What of the configuration can change without another context. */
struct names_settings {
	uint64_t timeout; /* ns */
	uint32_t capacity;
	struct chain_ttls ttls;
};

/* A configuration on its way to the resolver's thread. */
struct names_change {
	struct names_settings settings;
	struct upstream *upstream; /* NULL: as it is */
	uint32_t generation;
};

struct resolver;

struct pst_names {
	struct cache cache;
	/* Of the servers: an answer of others is nobody's. Written by configure. */
	_Atomic(uint32_t) generation;
	struct names_stripe stripes[STRIPES];

	_Alignas(CACHE_LINE) struct ask_stack inbox;
	int wake; /* eventfd */
	_Atomic(struct names_change *) change;
	_Atomic(bool) stopping;
	_Atomic(unsigned) waiting; /* threads in pst_names_wait */

	/* Written by the resolver's thread, read by anybody. */
	_Atomic(uint64_t) misses, joined, failures, evictions, dropped;
	_Atomic(uint32_t) questions; /* of distinct keys, under way */

	/* The control thread's. */
	char servers[PST_NAMES_SERVERS][64]; /* of the last configuration */
	unsigned nservers;
	uint64_t resolv; /* resolv.conf as it was read */
	uint32_t max_ttl, negative_ttl;
	pthread_t thread;

	uint64_t (*clock)(void); /* ns; pst_now_ns but in tests */
	struct resolver *resolver;
	unsigned nworkers;
	struct names_worker *workers;
};

/* Makes the resolver's thread look, whatever for. Never blocks. */
void names_wake(struct pst_names *n);

/* As pst_names_new, with another clock. */
struct pst_names *names_new(const struct pst_names_conf *conf, unsigned nworkers,
	uint64_t (*clock)(void), char *err, size_t errlen);

struct resolver *resolver_new(
	struct pst_names *n, const struct names_settings *s, struct upstream *u);
/* The thread's function: until `stopping`; then every ask has been completed. */
void *resolver_run(void *resolver);
void resolver_free(struct resolver *r);

#endif
