/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Names on plain threads under ThreadSanitizer: asks and completions across threads, the cache's
 * publication, look-up and reclaim, changes of configuration, the end.
 *
 * lib/trust itself, instrumented, but for upstream.c: DNS is played here, on the resolver's own
 * thread, so that all that TSan sees is ours. Three workers look up, ask and take completions;
 * one thread waits for answers in between; the main thread changes size and servers.
 *
 *   tsan_names                     must end with 0 and no report
 *   tsan_names --without-waiting   an answer is freed without a grace period
 *   tsan_names --without-releasing completions cross without telling what was written into them
 *
 * The latter two must fail: they show that the former can.
 *
 * liburcu is not instrumented. As in publish.c its calls are wrapped (ld --wrap) and tell TSan
 * what they promise and no more: what a reader did before a quiescent state happened before a
 * deferred free; what was done before an entry was added happened before it was found.
 */
#include "names.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <urcu-qsbr.h>
#include <urcu/rculfhash.h>

#define WORKERS 3
#define ASKS    4000 /* of each worker */
#define NAMES   100

#define CHECK(cond)                                                                                \
	do {                                                                                       \
		if (!(cond)) {                                                                     \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #cond);         \
			_exit(1);                                                                  \
		}                                                                                  \
	} while (0)

static bool without_waiting, without_releasing;

/* ---- what liburcu promises, told to TSan ---- */

void __tsan_acquire(void *addr);
void __tsan_release(void *addr);
static char grace, added; /* their addresses stand for what is ordered */

void __real_urcu_qsbr_quiescent_state(void);
void __real_urcu_qsbr_thread_offline(void);
void __real_urcu_qsbr_unregister_thread(void);
void __real_urcu_qsbr_call_rcu(struct rcu_head *head, void (*func)(struct rcu_head *));
void __real_cds_lfht_lookup(struct cds_lfht *ht, unsigned long hash, cds_lfht_match_fct match,
	const void *key, struct cds_lfht_iter *iter);
struct cds_lfht_node *__real_cds_lfht_add_replace(struct cds_lfht *ht, unsigned long hash,
	cds_lfht_match_fct match, const void *key, struct cds_lfht_node *node);
void __wrap_urcu_qsbr_quiescent_state(void);
void __wrap_urcu_qsbr_thread_offline(void);
void __wrap_urcu_qsbr_unregister_thread(void);
void __wrap_urcu_qsbr_call_rcu(struct rcu_head *head, void (*func)(struct rcu_head *));
void __wrap_cds_lfht_lookup(struct cds_lfht *ht, unsigned long hash, cds_lfht_match_fct match,
	const void *key, struct cds_lfht_iter *iter);
struct cds_lfht_node *__wrap_cds_lfht_add_replace(struct cds_lfht *ht, unsigned long hash,
	cds_lfht_match_fct match, const void *key, struct cds_lfht_node *node);

void
__wrap_urcu_qsbr_quiescent_state(void)
{
	__tsan_release(&grace);
	__real_urcu_qsbr_quiescent_state();
}

void
__wrap_urcu_qsbr_thread_offline(void)
{
	__tsan_release(&grace);
	__real_urcu_qsbr_thread_offline();
}

void
__wrap_urcu_qsbr_unregister_thread(void)
{
	__tsan_release(&grace);
	__real_urcu_qsbr_unregister_thread();
}

/* All deferred frees are the cache's: one function. */
static void (*_Atomic deferred)(struct rcu_head *);

static void
after_grace(struct rcu_head *head)
{
	void (*func)(struct rcu_head *) = atomic_load(&deferred);

	__tsan_acquire(&grace);
	func(head);
}

void
__wrap_urcu_qsbr_call_rcu(struct rcu_head *head, void (*func)(struct rcu_head *))
{
	atomic_store(&deferred, func);
	__tsan_release(&grace); /* what the caller did with it is done before it is freed */
	if (without_waiting)
		func(head);
	else
		__real_urcu_qsbr_call_rcu(head, after_grace);
}

static __thread cds_lfht_match_fct match_of_lookup;

static int
match_added(struct cds_lfht_node *node, const void *key)
{
	__tsan_acquire(&added);
	return match_of_lookup(node, key);
}

void
__wrap_cds_lfht_lookup(struct cds_lfht *ht, unsigned long hash, cds_lfht_match_fct match,
	const void *key, struct cds_lfht_iter *iter)
{
	match_of_lookup = match;
	__real_cds_lfht_lookup(ht, hash, match_added, key, iter);
}

struct cds_lfht_node *
__wrap_cds_lfht_add_replace(struct cds_lfht *ht, unsigned long hash, cds_lfht_match_fct match,
	const void *key, struct cds_lfht_node *node)
{
	__tsan_release(&added);
	return __real_cds_lfht_add_replace(ht, hash, match, key, node);
}

/* ---- completions: the same stack, but for what it promises ---- */

/* The resolver's calls come here; names.c calls its own function. */
bool __real_ask_push(struct ask_stack *s, struct ask *a);
bool __wrap_ask_push(struct ask_stack *s, struct ask *a);

bool
__wrap_ask_push(struct ask_stack *s, struct ask *a)
{
	struct ask *head;

	if (!without_releasing)
		return __real_ask_push(s, a);
	head = atomic_load_explicit(&s->head, memory_order_relaxed);
	do
		a->next = head;
	while (!atomic_compare_exchange_weak_explicit(
		&s->head, &head, a, memory_order_relaxed, memory_order_relaxed));
	return head == NULL;
}

/* ---- DNS: any name has the address that its configuration says ---- */

#define JOBS 8192

struct upstream {
	struct upstream_job *jobs[JOBS];
	uint16_t types[JOBS];
	unsigned n;
	int fd;
	uint8_t last; /* byte of the address */
};

struct upstream *
upstream_new(const struct pst_names_conf *conf, char *err, size_t errlen)
{
	struct upstream *u = calloc(1, sizeof(*u));

	CHECK(u != NULL);
	u->fd = eventfd(0, EFD_NONBLOCK);
	u->last = (uint8_t)atoi(strrchr(conf->servers[0], '.') + 1);
	CHECK(u->fd >= 0);
	return u;
}

void
upstream_free(struct upstream *u)
{
	if (u == NULL)
		return;
	close(u->fd);
	free(u);
}

int
upstream_fd(struct upstream *u)
{
	return u->fd;
}

enum pst_rc
upstream_ask(struct upstream *u, const char *name, uint16_t type, struct upstream_job *job)
{
	CHECK(u->n < JOBS);
	u->jobs[u->n] = job;
	u->types[u->n++] = type;
	CHECK(eventfd_write(u->fd, 1) == 0);
	return PST_OK;
}

void
upstream_process(struct upstream *u)
{
	char bytes[4] = {10, 0, 0, (char)u->last}, *data[] = {bytes, NULL};
	int len[] = {4};
	eventfd_t v;

	CHECK(eventfd_read(u->fd, &v) == 0);
	while (u->n > 0) {
		struct dns_reply r = {.outcome = DNS_NODATA, .ttl = 1};

		u->n--;
		if (u->types[u->n] == DNS_A)
			r = (struct dns_reply){
				.outcome = DNS_DATA, .ttl = 1, .n = 1, .data = data, .len = len};
		u->jobs[u->n]->reply(u->jobs[u->n], &r);
	}
}

/* ---- workers ---- */

static _Atomic(uint64_t) now = 1000 * PST_NS_PER_SEC;
static _Atomic(unsigned) busy = WORKERS;

static uint64_t
test_clock(void)
{
	return atomic_load_explicit(&now, memory_order_relaxed);
}

struct worker {
	struct pst_names *n;
	unsigned number, asked, completed, found;
	uint64_t random;
	uint8_t seen[ASKS];
};

static unsigned
pick(struct worker *w, unsigned n)
{
	w->random = w->random * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(w->random >> 33) % n;
}

static void
look(const struct pst_names_answer *a)
{
	CHECK(a->status == PST_NAMES_FOUND && a->n == 1);
	CHECK(a->e[0].ip.b[15] == 1 || a->e[0].ip.b[15] == 2);
}

static void
turn(struct worker *w)
{
	struct pst_names_done done[8];
	const struct pst_names_answer *a;
	char name[32];
	unsigned n;

	snprintf(name, sizeof(name), "n%u.example", pick(w, NAMES));
	a = pst_names_lookup(w->n, PST_NAMES_HOST, pst_span_str(name));
	if (w->asked < ASKS && w->asked - w->completed < 50) {
		CHECK(pst_names_ask(w->n, w->number, PST_NAMES_HOST, pst_span_str(name),
			      w->asked) == PST_OK);
		w->asked++;
	}
	n = pst_names_completed(w->n, w->number, done, 8);
	for (unsigned i = 0; i < n; i++) {
		CHECK(w->seen[done[i].cookie]++ == 0);
		look(done[i].answer);
		free(done[i].answer);
		w->completed++;
	}
	if (a != NULL) {
		look(a);
		w->found++;
	}
	rcu_quiescent_state();
}

static void *
worker_main(void *arg)
{
	struct worker *w = arg;

	rcu_register_thread();
	while (w->completed < ASKS) {
		turn(w);
		if (pick(w, 50) == 0) {
			rcu_thread_offline();
			usleep(pick(w, 200));
			rcu_thread_online();
		} else if (pick(w, 4) == 0) {
			sched_yield();
		}
	}
	rcu_unregister_thread();
	atomic_fetch_sub(&busy, 1);
	return NULL;
}

static void *
waiter_main(void *arg)
{
	struct pst_names *n = arg;

	rcu_register_thread();
	for (unsigned i = 0; atomic_load(&busy) > 0; i++) {
		char name[32];
		struct pst_names_answer *a;

		snprintf(name, sizeof(name), "n%u.example", i % NAMES);
		a = pst_names_wait(n, PST_NAMES_HOST, pst_span_str(name));
		look(a);
		free(a);
		rcu_quiescent_state();
	}
	rcu_unregister_thread();
	return NULL;
}

/* ---- the control thread ---- */

static void
run_all(struct pst_names *n)
{
	static struct worker workers[WORKERS];
	pthread_t threads[WORKERS + 1];
	struct pst_names_counters c;
	unsigned cached, open, changes = 0;
	char err[128];

	for (unsigned i = 0; i < WORKERS; i++) {
		workers[i] = (struct worker){.n = n, .number = i, .random = i + 1};
		CHECK(pthread_create(&threads[i], NULL, worker_main, &workers[i]) == 0);
	}
	CHECK(pthread_create(&threads[WORKERS], NULL, waiter_main, n) == 0);
	for (; atomic_load(&busy) > 0; changes++) {
		struct pst_names_conf conf = {.nservers = 1,
			.servers = {changes % 8 < 4 ? "192.0.2.1" : "192.0.2.2"},
			.cache = 10 + changes % 5 * 30};

		if (changes < 200)
			CHECK(pst_names_configure(n, &conf, err, sizeof(err)) == PST_OK);
		atomic_fetch_add(&now, 100 * PST_NS_PER_MS);
		pst_names_stats(n, &c, &cached, &open);
		usleep(1000);
	}
	for (unsigned i = 0; i < WORKERS + 1; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	for (unsigned i = 0; i < WORKERS; i++)
		CHECK(workers[i].completed == ASKS && workers[i].found > 0);
	pst_names_stats(n, &c, &cached, &open);
	CHECK(open == 0);
	printf("%lu hits, %lu misses, %lu joined, %lu evictions, %u changes\n",
		(unsigned long)c.hits, (unsigned long)c.misses, (unsigned long)c.joined,
		(unsigned long)c.evictions, changes);
}

int
main(int argc, char **argv)
{
	struct pst_names_conf conf = {
		.nservers = 1, .servers = {"192.0.2.1"}, .cache = 50, .timeout_ms = 3600000};
	struct pst_names *n;
	char err[128];

	for (int i = 1; i < argc; i++) {
		without_waiting |= strcmp(argv[i], "--without-waiting") == 0;
		without_releasing |= strcmp(argv[i], "--without-releasing") == 0;
	}
	n = names_new(&conf, WORKERS, test_clock, err, sizeof(err));
	CHECK(n != NULL);
	run_all(n);
	/* Left under way at the end. */
	CHECK(pst_names_ask(n, 0, PST_NAMES_MX, pst_span_str("late.example"), 1) == PST_OK);
	pst_names_free(n);
	return 0;
}
