/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Workers that look up, ask and take completions while answers expire, make room and change
 * servers. Ends by counts, not by time.
 */
#include "kit.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <urcu-qsbr.h>

#define WORKERS 3
#define ASKS    3000 /* of each worker */
#define NAMES   200
#define CHANGES 30

/* Both say an address for any name; which one tells who said it. */
static const struct dnsd_rule one[] = {{"*.example", "A", "192.0.2.1", .ttl = 1}, {NULL}};
static const struct dnsd_rule two[] = {{"*.example", "A", "192.0.2.2", .ttl = 1}, {NULL}};

struct worker {
	struct pst_names *n;
	unsigned number, asked, completed, found;
	uint64_t random;
	uint8_t seen[ASKS];
	const char *fault;
};

static _Atomic(unsigned) busy;

static unsigned
pick(struct worker *w, unsigned n)
{
	w->random = w->random * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(w->random >> 33) % n;
}

static bool
right(const struct pst_names_answer *a)
{
	return a->status == PST_NAMES_FOUND && a->n == 1 && pst_ip_is4(&a->e[0].ip) &&
	       (a->e[0].ip.b[15] == 1 || a->e[0].ip.b[15] == 2);
}

static void
complete(struct worker *w)
{
	struct pst_names_done done[7];
	unsigned n = pst_names_completed(w->n, w->number, done, 1 + pick(w, 7));

	for (unsigned i = 0; i < n; i++) {
		if (done[i].cookie >= ASKS || w->seen[done[i].cookie]++ != 0)
			w->fault = "a completion twice, or somebody else's";
		else if (!right(done[i].answer))
			w->fault = "a wrong answer";
		free(done[i].answer);
		w->completed++;
	}
}

static void *
work(void *arg)
{
	struct worker *w = arg;

	rcu_register_thread();
	while (w->completed < ASKS && w->fault == NULL) {
		const struct pst_names_answer *a;
		char name[32];

		snprintf(name, sizeof(name), "n%u.example", pick(w, NAMES));
		a = pst_names_lookup(w->n, PST_NAMES_HOST, pst_span_str(name));
		if (a != NULL && !right(a))
			w->fault = "a wrong answer in the cache";
		w->found += a != NULL;
		if (w->asked < ASKS && w->asked - w->completed < 100 &&
			pst_names_ask(w->n, w->number, PST_NAMES_HOST, pst_span_str(name),
				w->asked) == PST_OK)
			w->asked++;
		complete(w);
		/* The answer is still whole: no quiescent state was passed. */
		if (a != NULL && !right(a))
			w->fault = "an answer that changed";
		rcu_quiescent_state();
		if (pick(w, 20) == 0)
			sched_yield();
	}
	rcu_unregister_thread();
	atomic_fetch_sub(&busy, 1);
	return NULL;
}

static void
change(struct pst_names *n, struct dnsd *d, unsigned i)
{
	struct pst_names_conf c = {.nservers = 1,
		.servers = {dnsd_address(d)},
		.cache = 20 + i % 7 * 50,
		.timeout_ms = 60000};
	char err[256];

	cr_assert_eq(pst_names_configure(n, &c, err, sizeof(err)), PST_OK, "%s", err);
}

Test(threads, every_ask_is_completed_once_whatever_changes)
{
	struct dnsd *d = dnsd_new(one), *other = dnsd_new(two);
	struct pst_names *n =
		kit_names(d, WORKERS, &(struct pst_names_conf){.cache = 50}, kit_clock);
	static struct worker workers[WORKERS];
	pthread_t threads[WORKERS];
	unsigned changes = 0;

	busy = WORKERS;
	for (unsigned i = 0; i < WORKERS; i++) {
		workers[i] = (struct worker){.n = n, .number = i, .random = i + 1};
		cr_assert_eq(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
	}
	/* This thread changes servers and size, and lets answers expire. */
	while (atomic_load(&busy) > 0) {
		if (changes++ < CHANGES)
			change(n, changes % 4 < 2 ? d : other, changes);
		kit_pass(n, 300);
		rcu_thread_offline();
		usleep(2000);
		rcu_thread_online();
	}
	for (unsigned i = 0; i < WORKERS; i++) {
		pthread_join(threads[i], NULL);
		cr_expect_null(workers[i].fault, "%s", workers[i].fault);
		cr_expect_eq(workers[i].completed, ASKS);
		cr_expect_gt(workers[i].found, 0);
	}
	cr_expect_eq(kit_open(n), 0);
	dnsd_free(other);
	kit_end(n, d);
}

/* The last change wins, however many the resolver did not come to. */
Test(threads, a_burst_of_changes_ends_at_the_last)
{
	struct dnsd *d = dnsd_new(one), *other = dnsd_new(two);
	struct pst_names *n = kit_names(d, 1, NULL, pst_now_ns);

	for (unsigned i = 0; i < 50; i++)
		change(n, i % 2 == 0 ? other : d, i);
	cr_expect_str_eq(kit_ask(n, PST_NAMES_HOST, "x.example"), "FOUND 0 x.example 192.0.2.1");
	change(n, other, 1);
	change(n, other, 2);
	cr_expect_str_eq(kit_ask(n, PST_NAMES_HOST, "x.example"), "FOUND 0 x.example 192.0.2.2");
	dnsd_free(other);
	kit_end(n, d);
}
