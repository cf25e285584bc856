/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The resolver's thread. It sleeps in poll until asks, replies, a changed configuration or a
 * deadline come.
 *
 * An ask is answered from the cache, joins the question of its key that is under way, or begins
 * one. A question runs a chain of look-ups and ends when the chain is done or its time is up;
 * then every ask that hangs on it is completed with a copy of the answer.
 *
 * Look-ups go out through two lanes with room of their own: clients' names, which any stranger
 * can make slow by his reverse zone, and everything else. A question whose lane is full waits
 * for room; that counts into its time. A look-up of a question that timed out keeps its place
 * until libunbound gives it up, so that memory is bounded by the lanes.
 *
 * Other servers: the old context goes at once with its look-ups, and open questions begin again
 * on the new one, in the time they have left.
 */
#include "names.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>
#include <urcu-qsbr.h>

#define BUCKETS      1024u /* of questions under way */
#define ROOM         1536u /* look-ups of MX and hosts */
#define ROOM_PTR     512u  /* look-ups of clients' names */
#define POLL_FOREVER -1

struct lane;

struct question {
	TAILQ_ENTRY(question) by_deadline;
	TAILQ_ENTRY(question) by_lane; /* if `queued` */
	LIST_ENTRY(question) by_key;
	LIST_HEAD(, job) jobs;
	struct ask *asks;
	uint64_t deadline;
	struct lane *lane;
	bool queued; /* has look-ups to make */
	struct chain chain;
};

struct job {
	struct upstream_job up; /* first */
	struct resolver *resolver;
	struct question *question; /* NULL: nobody waits for it */
	struct lane *lane;
	unsigned slot;
	LIST_ENTRY(job) by_question; /* or by resolver, when abandoned */
};

TAILQ_HEAD(question_queue, question);

struct lane {
	struct question_queue queue;
	unsigned jobs, room;
};

struct resolver {
	struct pst_names *n;
	struct names_settings settings;
	struct upstream *upstream;
	uint32_t generation;
	struct question_queue open; /* first: next to time out */
	struct lane lanes[2];       /* all else, clients' names */
	LIST_HEAD(, job) abandoned;
	LIST_HEAD(, question) by_key[BUCKETS];
};

static void
count(_Atomic(uint64_t) *counter, uint64_t n)
{
	/* One writer. */
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n,
		memory_order_relaxed);
}

static void
count_questions(struct resolver *r, int change)
{
	atomic_fetch_add_explicit(&r->n->questions, (uint32_t)change, memory_order_relaxed);
}

/* ---- completing ---- */

static void
complete(struct resolver *r, struct ask *ask, const struct pst_names_answer *a)
{
	struct pst_names_answer *copy = a != NULL ? pst_names_copy(a) : NULL;

	ask->answer = copy != NULL ? copy : ask->spare;
	if (copy == NULL)
		ask->spare = NULL;
	if (ask->waiter == NULL) {
		ask_push(&r->n->workers[ask->worker].completed, ask);
		return;
	}
	atomic_fetch_sub_explicit(&r->n->waiting, 1, memory_order_relaxed);
	sem_post(ask->waiter);
}

static void
complete_all(struct resolver *r, struct ask *ask, const struct pst_names_answer *a)
{
	while (ask != NULL) {
		struct ask *next = ask->next; /* gone once it is completed */

		complete(r, ask, a);
		ask = next;
	}
}

/* ---- jobs ---- */

static void
job_free(struct job *job)
{
	LIST_REMOVE(job, by_question);
	job->lane->jobs--;
	free(job);
}

static void
jobs_abandon(struct resolver *r, struct question *q)
{
	struct job *job;

	while ((job = LIST_FIRST(&q->jobs)) != NULL) {
		LIST_REMOVE(job, by_question);
		LIST_INSERT_HEAD(&r->abandoned, job, by_question);
		job->question = NULL;
	}
}

/* ---- questions ---- */

static unsigned
bucket(struct resolver *r, const struct names_key *key)
{
	return (unsigned)pst_siphash(
		       &r->n->cache.key, key, offsetof(struct names_key, text) + key->len) %
	       BUCKETS;
}

static struct question *
question_find(struct resolver *r, const struct names_key *key)
{
	struct question *q;

	LIST_FOREACH(q, &r->by_key[bucket(r, key)], by_key)
	{
		if (memcmp(&q->chain.key, key, offsetof(struct names_key, text) + key->len) == 0)
			return q;
	}
	return NULL;
}

/* In its lane's queue while it has look-ups to make. */
static void
queue(struct question *q, bool in)
{
	if (in && !q->queued)
		TAILQ_INSERT_TAIL(&q->lane->queue, q, by_lane);
	if (!in && q->queued)
		TAILQ_REMOVE(&q->lane->queue, q, by_lane);
	q->queued = in;
}

static void
question_free(struct resolver *r, struct question *q)
{
	jobs_abandon(r, q);
	queue(q, false);
	TAILQ_REMOVE(&r->open, q, by_deadline);
	LIST_REMOVE(q, by_key);
	count_questions(r, -1);
	chain_fini(&q->chain);
	free(q);
}

/* Into the cache, whose it then is. A worker that sees the completion finds it there. */
static void
keep(struct resolver *r, const struct names_key *key, uint64_t expires, struct pst_names_answer *a)
{
	enum pst_rc rc;

	rcu_thread_online();
	rc = cache_put(&r->n->cache, key, r->generation, expires, a);
	rcu_thread_offline();
	atomic_store_explicit(&r->n->evictions, r->n->cache.evictions, memory_order_relaxed);
	if (rc != PST_OK)
		free(a);
}

static void
question_finish(struct resolver *r, struct question *q)
{
	struct names_key key = q->chain.key;
	struct ask *asks = q->asks;
	struct pst_names_answer *a, *kept;
	uint32_t ttl = 0;

	a = chain_answer(&q->chain, &r->settings.ttls, &ttl);
	if (a == NULL || a->status == PST_NAMES_TEMPORARY)
		count(&r->n->failures, 1);
	count(&r->n->dropped, q->chain.dropped);
	question_free(r, q);
	kept = a != NULL ? pst_names_copy(a) : NULL;
	if (kept != NULL)
		keep(r, &key, r->n->clock() + ttl * PST_NS_PER_SEC, kept);
	complete_all(r, asks, a);
	free(a);
}

/* After anything that happened to its chain; the question may be gone then. */
static void
advance(struct resolver *r, struct question *q)
{
	if (chain_done(&q->chain))
		question_finish(r, q);
	else
		queue(q, chain_has_next(&q->chain));
}

static void
question_new(struct resolver *r, struct ask *ask, uint64_t now)
{
	struct question *q = calloc(1, sizeof(*q)), *after;

	if (q == NULL) {
		complete(r, ask, NULL);
		return;
	}
	LIST_INIT(&q->jobs);
	q->asks = ask;
	ask->next = NULL;
	q->deadline = now + r->settings.timeout;
	q->lane = &r->lanes[ask->key.kind == PST_NAMES_CLIENT];
	chain_start(&q->chain, &ask->key);
	/* Nearly always the last: the time-out is the same for all until it is changed. */
	TAILQ_FOREACH_REVERSE(after, &r->open, question_queue, by_deadline)
	{
		if (after->deadline <= q->deadline)
			break;
	}
	if (after != NULL)
		TAILQ_INSERT_AFTER(&r->open, after, q, by_deadline);
	else
		TAILQ_INSERT_HEAD(&r->open, q, by_deadline);
	LIST_INSERT_HEAD(&r->by_key[bucket(r, &ask->key)], q, by_key);
	count_questions(r, 1);
	count(&r->n->misses, 1);
	advance(r, q);
}

static void
replied(struct upstream_job *up, const struct dns_reply *reply)
{
	struct job *job = (struct job *)up;
	struct resolver *r = job->resolver;
	struct question *q = job->question;
	unsigned slot = job->slot;

	job_free(job);
	if (q == NULL)
		return;
	chain_feed(&q->chain, slot, reply);
	advance(r, q);
}

/* ---- asks ---- */

static void
take_ask(struct resolver *r, struct ask *ask, uint64_t now)
{
	const struct pst_names_answer *have;
	struct question *q;

	/* It may have come since the worker looked. */
	rcu_thread_online();
	have = cache_find(&r->n->cache, &ask->key, r->generation, now);
	if (have != NULL)
		complete(r, ask, have);
	rcu_thread_offline();
	if (have != NULL)
		return;
	q = question_find(r, &ask->key);
	if (q == NULL) {
		question_new(r, ask, now);
		return;
	}
	ask->next = q->asks;
	q->asks = ask;
	count(&r->n->joined, 1);
}

/* ---- lanes ---- */

static void
look_up(struct resolver *r, struct question *q)
{
	struct job *job = calloc(1, sizeof(*job));
	struct chain_lookup l;

	if (!chain_next(&q->chain, &l)) {
		free(job);
		return;
	}
	if (job != NULL) {
		*job = (struct job){.up = {replied},
			.resolver = r,
			.question = q,
			.lane = q->lane,
			.slot = l.slot};
		if (upstream_ask(r->upstream, l.name, l.type, &job->up) == PST_OK) {
			LIST_INSERT_HEAD(&q->jobs, job, by_question);
			q->lane->jobs++;
			return;
		}
		free(job);
	}
	chain_feed(&q->chain, l.slot,
		&(struct dns_reply){.outcome = DNS_FAILED, .why = "libunbound refused"});
}

static void
serve(struct resolver *r, struct lane *lane)
{
	struct question *q;

	while (lane->jobs < lane->room && (q = TAILQ_FIRST(&lane->queue)) != NULL) {
		look_up(r, q);
		advance(r, q);
	}
}

/* ---- changes ---- */

static void
abandoned_free(struct resolver *r)
{
	while (!LIST_EMPTY(&r->abandoned))
		job_free(LIST_FIRST(&r->abandoned));
}

static void
change_upstream(struct resolver *r, struct upstream *u, uint32_t generation)
{
	struct question *q, *next;

	TAILQ_FOREACH (q, &r->open, by_deadline) {
		struct names_key key = q->chain.key;

		jobs_abandon(r, q);
		chain_fini(&q->chain);
		chain_start(&q->chain, &key);
	}
	upstream_free(r->upstream);
	abandoned_free(r); /* whose replies will not come */
	r->upstream = u;
	r->generation = generation;
	rcu_thread_online();
	cache_flush(&r->n->cache);
	rcu_thread_offline();
	for (q = TAILQ_FIRST(&r->open); q != NULL; q = next) {
		next = TAILQ_NEXT(q, by_deadline);
		advance(r, q);
	}
}

static void
take_change(struct resolver *r)
{
	struct names_change *ch =
		atomic_exchange_explicit(&r->n->change, NULL, memory_order_acquire);

	if (ch == NULL)
		return;
	r->settings = ch->settings;
	rcu_thread_online();
	cache_resize(&r->n->cache, ch->settings.capacity);
	rcu_thread_offline();
	if (ch->upstream != NULL)
		change_upstream(r, ch->upstream, ch->generation);
	free(ch);
}

/* ---- the thread ---- */

/* Until the next deadline; in milliseconds, rounded up. */
static int
poll_time(struct resolver *r)
{
	struct question *q = TAILQ_FIRST(&r->open);
	uint64_t now;

	if (q == NULL)
		return POLL_FOREVER;
	now = r->n->clock();
	if (q->deadline <= now)
		return 0;
	return (int)PST_MIN((q->deadline - now + PST_NS_PER_MS - 1) / PST_NS_PER_MS, 3600000ull);
}

static void
sleep_until_something(struct resolver *r)
{
	struct pollfd fds[2] = {
		{.fd = r->n->wake, .events = POLLIN},
		{.fd = upstream_fd(r->upstream), .events = POLLIN},
	};
	uint64_t wakes;

	if (poll(fds, 2, poll_time(r)) <= 0)
		return;
	/* Read before the inbox is emptied: who pushes after that wakes again. */
	if (fds[0].revents != 0 && read(r->n->wake, &wakes, sizeof(wakes)) < 0)
		return;
	if (fds[1].revents != 0)
		upstream_process(r->upstream);
}

static void
turn(struct resolver *r)
{
	struct ask *ask = ask_take(&r->n->inbox), *next;
	struct question *q;
	uint64_t now;

	/* After the inbox: who asks after pst_names_configure returned asks the new servers. */
	take_change(r);
	now = r->n->clock();
	for (; ask != NULL; ask = next) {
		next = ask->next;
		take_ask(r, ask, now);
	}
	while ((q = TAILQ_FIRST(&r->open)) != NULL && q->deadline <= now)
		question_finish(r, q);
	serve(r, &r->lanes[0]);
	serve(r, &r->lanes[1]);
}

void *
resolver_run(void *arg)
{
	struct resolver *r = arg;
	struct pst_names_answer *end;

	rcu_register_thread();
	rcu_thread_offline();
	while (!atomic_load_explicit(&r->n->stopping, memory_order_acquire)) {
		turn(r);
		sleep_until_something(r);
	}
	end = answer_new(PST_NAMES_TEMPORARY, "shutting down");
	complete_all(r, ask_take(&r->n->inbox), end);
	while (!TAILQ_EMPTY(&r->open)) {
		struct question *q = TAILQ_FIRST(&r->open);

		complete_all(r, q->asks, end);
		question_free(r, q);
	}
	free(end);
	rcu_unregister_thread();
	return NULL;
}

struct resolver *
resolver_new(struct pst_names *n, const struct names_settings *s, struct upstream *u)
{
	struct resolver *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return NULL;
	r->n = n;
	r->settings = *s;
	r->upstream = u;
	TAILQ_INIT(&r->open);
	LIST_INIT(&r->abandoned);
	for (unsigned i = 0; i < PST_COUNT(r->by_key); i++)
		LIST_INIT(&r->by_key[i]);
	for (unsigned i = 0; i < PST_COUNT(r->lanes); i++)
		TAILQ_INIT(&r->lanes[i].queue);
	r->lanes[0].room = ROOM;
	r->lanes[1].room = ROOM_PTR;
	return r;
}

void
resolver_free(struct resolver *r)
{
	upstream_free(r->upstream);
	abandoned_free(r);
	free(r);
}
