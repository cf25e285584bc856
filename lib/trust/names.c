/* SPDX-License-Identifier: BSD-3-Clause */
#include "names.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>
#include <urcu-qsbr.h>

const struct pst_counter_desc pst_names_counter_descs[] = {
#define ROW(name, help) PST_COUNTER_DESC(pst_names_counters, name, help)
	PST_NAMES_COUNTERS(ROW)
#undef ROW
		{NULL, NULL, 0}};

/* ---- between threads ---- */

bool
ask_push(struct ask_stack *s, struct ask *a)
{
	struct ask *head = atomic_load_explicit(&s->head, memory_order_relaxed);

	do
		a->next = head;
	while (!atomic_compare_exchange_weak_explicit(
		&s->head, &head, a, memory_order_release, memory_order_relaxed));
	return head == NULL;
}

struct ask *
ask_take(struct ask_stack *s)
{
	struct ask *a, *next, *first = NULL;

	if (atomic_load_explicit(&s->head, memory_order_relaxed) == NULL)
		return NULL;
	a = atomic_exchange_explicit(&s->head, NULL, memory_order_acquire);
	for (; a != NULL; a = next) {
		next = a->next;
		a->next = first;
		first = a;
	}
	return first;
}

void
names_wake(struct pst_names *n)
{
	/* Fails only when the count is full, and then it is awake already. */
	if (eventfd_write(n->wake, 1) != 0)
		return;
}

/* ---- configuration ---- */

/* Changes when resolv.conf does. */
static uint64_t
resolv_stamp(void)
{
	static const struct pst_sipkey key;
	struct stat st;
	uint64_t v[4];

	if (stat("/etc/resolv.conf", &st) != 0)
		return 0;
	v[0] = (uint64_t)st.st_ino;
	v[1] = (uint64_t)st.st_size;
	v[2] = (uint64_t)st.st_mtim.tv_sec;
	v[3] = (uint64_t)st.st_mtim.tv_nsec;
	return pst_siphash(&key, v, sizeof(v));
}

/* "192.0.2.53" or "192.0.2.53@5353". */
static bool
server_valid(const char *s)
{
	const char *at = strchrnul(s, '@');
	char addr[PST_IP_STRLEN], *end;
	struct pst_ip ip;
	unsigned long port;

	if ((size_t)(at - s) >= sizeof(addr))
		return false;
	memcpy(addr, s, (size_t)(at - s));
	addr[at - s] = 0;
	if (pst_ip_parse(addr, &ip) != PST_OK || *at == 0)
		return *at == 0 && pst_ip_parse(addr, &ip) == PST_OK;
	port = strtoul(at + 1, &end, 10);
	return at[1] >= '0' && at[1] <= '9' && strlen(at + 1) <= 5 && *end == 0 && port > 0 &&
	       port <= UINT16_MAX;
}

static enum pst_rc
servers_check(const struct pst_names_conf *conf, char *err, size_t errlen)
{
	if (conf->nservers > PST_NAMES_SERVERS) {
		snprintf(err, errlen, "more than %d DNS servers", PST_NAMES_SERVERS);
		return PST_INVAL;
	}
	for (unsigned i = 0; i < conf->nservers; i++) {
		if (!server_valid(conf->servers[i])) {
			snprintf(err, errlen, "DNS server %s: not ADDRESS or ADDRESS@PORT",
				conf->servers[i]);
			return PST_INVAL;
		}
	}
	return PST_OK;
}

/* What libunbound's context is made of: it takes neither servers nor TTLs later. */
static bool
context_same(const struct pst_names *n, const struct pst_names_conf *conf)
{
	if (n->nservers != conf->nservers || (n->nservers == 0 && n->resolv != resolv_stamp()))
		return false;
	if (n->max_ttl != names_max_ttl(conf) || n->negative_ttl != names_negative_ttl(conf))
		return false;
	for (unsigned i = 0; i < n->nservers; i++) {
		if (strcmp(n->servers[i], conf->servers[i]) != 0)
			return false;
	}
	return true;
}

static void
context_note(struct pst_names *n, const struct pst_names_conf *conf)
{
	n->max_ttl = names_max_ttl(conf);
	n->negative_ttl = names_negative_ttl(conf);
	n->nservers = conf->nservers;
	n->resolv = resolv_stamp();
	for (unsigned i = 0; i < n->nservers; i++)
		snprintf(n->servers[i], sizeof(n->servers[i]), "%s", conf->servers[i]);
}

static uint32_t
or_default(uint32_t v, uint32_t standard)
{
	return v != 0 ? v : standard;
}

static struct names_settings
settings(const struct pst_names_conf *conf)
{
	return (struct names_settings){
		.timeout = or_default(conf->timeout_ms, 5000) * PST_NS_PER_MS,
		.capacity = or_default(conf->cache, 10000),
		.ttls = {.max = names_max_ttl(conf),
			.negative = names_negative_ttl(conf),
			.failure = or_default(conf->failure_ttl_s, 5)}};
}

/* ---- life ---- */

/*
 * The cores that this process was given. EAL pins the threads that it finds, and a thread
 * inherits that: the resolver would share the main thread's core, or a worker's.
 */
static cpu_set_t cores_at_start;

static void __attribute__((constructor)) remember_cores(void)
{
	if (sched_getaffinity(0, sizeof(cores_at_start), &cores_at_start) != 0)
		CPU_ZERO(&cores_at_start);
}

/* Its libunbound and call_rcu threads inherit cores and mask: signals are the main thread's. */
static int
start_thread(struct pst_names *n)
{
	sigset_t all, old;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(&n->thread, NULL, resolver_run, n->resolver);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (rc != 0)
		return rc;
	pthread_setname_np(n->thread, "pst-names");
	/* Without it: slower, not wrong. */
	if (CPU_COUNT(&cores_at_start) > 0)
		(void)pthread_setaffinity_np(n->thread, sizeof(cores_at_start), &cores_at_start);
	return 0;
}

/* All that a thread that runs does not need to be stopped for. */
static void
release(struct pst_names *n)
{
	if (n->resolver != NULL)
		resolver_free(n->resolver);
	cache_fini(&n->cache);
	if (n->wake >= 0)
		close(n->wake);
	free(n->workers);
	free(n);
}

static enum pst_rc
parts_new(struct pst_names *n, const struct names_settings *s, unsigned nworkers)
{
	n->nworkers = nworkers;
	n->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	n->workers = aligned_alloc(CACHE_LINE, PST_MAX(nworkers, 1u) * sizeof(*n->workers));
	if (n->wake < 0 || n->workers == NULL)
		return PST_NOMEM;
	memset(n->workers, 0, PST_MAX(nworkers, 1u) * sizeof(*n->workers));
	for (unsigned i = 0; i < nworkers; i++)
		n->workers[i].done_last = &n->workers[i].done;
	return cache_init(&n->cache, s->capacity);
}

struct pst_names *
names_new(const struct pst_names_conf *conf, unsigned nworkers, uint64_t (*clock)(void), char *err,
	size_t errlen)
{
	struct names_settings s = settings(conf);
	struct upstream *u = NULL;
	struct pst_names *n;

	if (servers_check(conf, err, errlen) != PST_OK)
		return NULL;
	n = aligned_alloc(CACHE_LINE, sizeof(*n));
	if (n == NULL) {
		snprintf(err, errlen, "names: no memory");
		return NULL;
	}
	memset(n, 0, sizeof(*n));
	n->clock = clock;
	snprintf(err, errlen, "names: no memory, descriptor or thread");
	if (parts_new(n, &s, nworkers) != PST_OK || (u = upstream_new(conf, err, errlen)) == NULL)
		goto fail;
	n->resolver = resolver_new(n, &s, u);
	if (n->resolver == NULL || start_thread(n) != 0)
		goto fail;
	context_note(n, conf);
	return n;
fail:
	if (n->resolver == NULL)
		upstream_free(u);
	release(n);
	return NULL;
}

struct pst_names *
pst_names_new(const struct pst_names_conf *conf, unsigned nworkers, char *err, size_t errlen)
{
	return names_new(conf, nworkers, pst_now_ns, err, errlen);
}

enum pst_rc
pst_names_configure(
	struct pst_names *n, const struct pst_names_conf *conf, char *err, size_t errlen)
{
	struct names_change *ch, *old;

	if (servers_check(conf, err, errlen) != PST_OK)
		return PST_INVAL;
	ch = calloc(1, sizeof(*ch));
	if (ch == NULL) {
		snprintf(err, errlen, "names: no memory");
		return PST_NOMEM;
	}
	ch->settings = settings(conf);
	if (!context_same(n, conf)) {
		ch->upstream = upstream_new(conf, err, errlen);
		if (ch->upstream == NULL) {
			free(ch);
			return PST_INVAL;
		}
		context_note(n, conf);
		/* From here on nobody finds what the old servers said. */
		atomic_fetch_add_explicit(&n->generation, 1, memory_order_release);
	}
	ch->generation = atomic_load_explicit(&n->generation, memory_order_relaxed);
	/* One that the thread has not come to yet: its servers, if these are no others. */
	old = atomic_exchange_explicit(&n->change, NULL, memory_order_acquire);
	if (old != NULL && ch->upstream == NULL)
		ch->upstream = old->upstream;
	else if (old != NULL)
		upstream_free(old->upstream);
	free(old);
	atomic_store_explicit(&n->change, ch, memory_order_release);
	names_wake(n);
	return PST_OK;
}

static void
asks_free(struct ask *a)
{
	while (a != NULL) {
		struct ask *next = a->next;

		free(a->answer);
		free(a->spare);
		free(a);
		a = next;
	}
}

void
pst_names_free(struct pst_names *n)
{
	struct names_change *ch;

	if (n == NULL)
		return;
	atomic_store_explicit(&n->stopping, true, memory_order_release);
	names_wake(n);
	pthread_join(n->thread, NULL);
	ch = atomic_load_explicit(&n->change, memory_order_acquire);
	if (ch != NULL)
		upstream_free(ch->upstream);
	free(ch);
	for (unsigned i = 0; i < n->nworkers; i++) {
		asks_free(ask_take(&n->workers[i].completed));
		asks_free(n->workers[i].done);
		asks_free(n->workers[i].spare);
	}
	release(n);
}

/* ---- workers ---- */

/* Threads have a number each, so that hits of different ones rarely meet in a cache line. */
static struct names_stripe *
stripe(struct pst_names *n)
{
	static _Atomic(unsigned) threads;
	static __thread unsigned number;

	if (number == 0)
		number = 1 + atomic_fetch_add_explicit(&threads, 1, memory_order_relaxed);
	return &n->stripes[number % STRIPES];
}

static const struct pst_names_answer *
find(struct pst_names *n, const struct names_key *key)
{
	const struct pst_names_answer *a = cache_find(&n->cache, key,
		atomic_load_explicit(&n->generation, memory_order_acquire), n->clock());

	if (a != NULL)
		atomic_fetch_add_explicit(&stripe(n)->hits, 1, memory_order_relaxed);
	return a;
}

const struct pst_names_answer *
pst_names_lookup(struct pst_names *n, enum pst_names_kind kind, struct pst_span key)
{
	struct names_key k;

	return names_key_make(&k, kind, key) ? find(n, &k) : NULL;
}

/* One with a spare answer, so that completing it needs no memory. */
static struct ask *
ask_new(struct ask *ask)
{
	if (ask == NULL)
		ask = calloc(1, sizeof(*ask));
	if (ask != NULL && ask->spare == NULL)
		ask->spare = answer_new(PST_NAMES_TEMPORARY, "no memory");
	if (ask != NULL && ask->spare == NULL) {
		free(ask);
		return NULL;
	}
	return ask;
}

static void
submit(struct pst_names *n, struct ask *ask)
{
	if (ask_push(&n->inbox, ask))
		names_wake(n);
}

static void
set_open(struct names_worker *w, int change)
{
	/* One writer. */
	atomic_store_explicit(&w->open,
		atomic_load_explicit(&w->open, memory_order_relaxed) + (unsigned)change,
		memory_order_relaxed);
}

enum pst_rc
pst_names_ask(struct pst_names *n, unsigned worker, enum pst_names_kind kind, struct pst_span key,
	uint64_t cookie)
{
	unsigned max = kind == PST_NAMES_CLIENT ? NAMES_OPEN_CLIENTS : NAMES_OPEN_MAX;
	struct names_worker *w = &n->workers[worker];
	struct names_key k;
	struct ask *ask;

	if (!names_key_make(&k, kind, key))
		return PST_INVAL;
	if (atomic_load_explicit(&w->open, memory_order_relaxed) >= max)
		return PST_NOMEM;
	ask = w->spare;
	if (ask != NULL)
		w->spare = ask->next;
	ask = ask_new(ask);
	if (ask == NULL)
		return PST_NOMEM;
	ask->key = k;
	ask->cookie = cookie;
	ask->worker = worker;
	ask->answer = NULL;
	set_open(w, 1);
	submit(n, ask);
	return PST_OK;
}

unsigned
pst_names_completed(struct pst_names *n, unsigned worker, struct pst_names_done *out, unsigned max)
{
	struct names_worker *w = &n->workers[worker];
	struct ask *a;
	unsigned got = 0;

	if (w->done == NULL)
		w->done = ask_take(&w->completed);
	while (got < max && (a = w->done) != NULL) {
		w->done = a->next;
		out[got++] = (struct pst_names_done){a->cookie, a->answer};
		a->answer = NULL;
		a->next = w->spare;
		w->spare = a;
		set_open(w, -1);
	}
	return got;
}

/* ---- threads that may block ---- */

/* NULL: answered at once, or no memory. */
static struct ask *
wait_begin(struct pst_names *n, struct pst_names_query *q, sem_t *done)
{
	const struct pst_names_answer *have;
	struct names_key k;
	struct ask *ask;

	q->answer = NULL;
	if (!names_key_make(&k, q->kind, q->key)) {
		q->answer = answer_new(PST_NAMES_NONE, "no such name can exist");
		return NULL;
	}
	have = find(n, &k);
	if (have != NULL) {
		q->answer = pst_names_copy(have);
		return NULL;
	}
	ask = ask_new(NULL);
	if (ask == NULL)
		return NULL;
	ask->key = k;
	ask->waiter = done;
	atomic_fetch_add_explicit(&n->waiting, 1, memory_order_relaxed);
	submit(n, ask);
	return ask;
}

static void
wait_end(struct pst_names_query *q, struct ask *ask)
{
	if (ask == NULL)
		return;
	q->answer = ask->answer;
	free(ask->spare);
	free(ask);
}

void
pst_names_wait_all(struct pst_names *n, struct pst_names_query *q, unsigned count)
{
	struct ask **asks = calloc(count + 1, sizeof(struct ask *));
	unsigned open = 0;
	sem_t done;

	sem_init(&done, 0, 0);
	for (unsigned i = 0; i < count && asks != NULL; i++) {
		asks[i] = wait_begin(n, &q[i], &done);
		open += asks[i] != NULL;
	}
	rcu_thread_offline();
	for (; open > 0; open--) {
		while (sem_wait(&done) != 0)
			; /* a signal */
	}
	/* From here on n may be gone. */
	rcu_thread_online();
	sem_destroy(&done);
	for (unsigned i = 0; i < count; i++) {
		if (asks != NULL)
			wait_end(&q[i], asks[i]);
		else
			q[i].answer = NULL;
	}
	free(asks);
}

struct pst_names_answer *
pst_names_wait(struct pst_names *n, enum pst_names_kind kind, struct pst_span key)
{
	struct pst_names_query q = {.kind = kind, .key = key};

	pst_names_wait_all(n, &q, 1);
	return q.answer;
}

/* ---- what it did ---- */

void
pst_names_stats(
	struct pst_names *n, struct pst_names_counters *out, unsigned *cached, unsigned *open)
{
	*out = (struct pst_names_counters){
		.misses = atomic_load_explicit(&n->misses, memory_order_relaxed),
		.joined = atomic_load_explicit(&n->joined, memory_order_relaxed),
		.failures = atomic_load_explicit(&n->failures, memory_order_relaxed),
		.evictions = atomic_load_explicit(&n->evictions, memory_order_relaxed),
		.dropped = atomic_load_explicit(&n->dropped, memory_order_relaxed)};
	for (unsigned i = 0; i < STRIPES; i++)
		out->hits += atomic_load_explicit(&n->stripes[i].hits, memory_order_relaxed);
	*cached = atomic_load_explicit(&n->cache.n, memory_order_relaxed);
	*open = atomic_load_explicit(&n->waiting, memory_order_relaxed);
	for (unsigned i = 0; i < n->nworkers; i++)
		*open += atomic_load_explicit(&n->workers[i].open, memory_order_relaxed);
}
