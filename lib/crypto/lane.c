/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A worker's lane. An operation is on one list at a time:
 *
 *   free -> pending (of a back-end) -> out -> free
 *                                   \-> running: late, a thread is in the middle of it
 *                                   \-> nowhere: cancelled, the back-end still owns it
 *
 * Once a turn pst_lane_poll gives each back-end what the turn's handshakes asked for, so
 * that load makes batches and an idle worker waits for none; then it takes back what is
 * done and looks at the oldest operation's deadline.
 *
 * Who is cancelled or late while a back-end has it stays in quarantine until the back-end
 * gives it back: a device may still write into it.
 */
#include "engine_int.h"
#include <openssl/async.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define REAP_BURST 64
#define END_NS     (100 * PST_NS_PER_MS)

_Thread_local struct pst_lane *pst_lane_here;

/* ---- the pool ---- */

struct pst_op *
pst_lane_op(struct pst_lane *l)
{
	struct pst_op *op = TAILQ_FIRST(&l->free);

	if (op == NULL)
		return NULL;
	TAILQ_REMOVE(&l->free, op, link);
	l->nfree--;
	op->gen++;
	op->result = -1;
	op->error = 0;
	op->in_len = op->out_len = 0;
	op->waiter = NULL;
	op->priv = NULL;
	atomic_store_explicit(&op->state, PST_OP_QUEUED, memory_order_relaxed);
	return op;
}

void
pst_lane_op_free(struct pst_lane *l, struct pst_op *op)
{
	if (op->form != PST_FORM_CALL) {
		OPENSSL_cleanse(op->in, sizeof(op->in));
		OPENSSL_cleanse(op->out, sizeof(op->out));
	}
	if (op->key != NULL)
		pst_key_back(op->key);
	op->key = NULL;
	op->arg = NULL;
	op->waiter = NULL;
	atomic_store_explicit(&op->state, PST_OP_FREE, memory_order_relaxed);
	TAILQ_INSERT_HEAD(&l->free, op, link);
	l->nfree++;
}

/* ---- which back-end ---- */

/* An open breaker lets one through now and then; its outcome decides. */
static bool
usable(struct pst_lane *l, unsigned i)
{
	struct lane_backend *b = &l->b[i];
	unsigned depth = l->e->backends[i].conf.conf.depth;

	/* It does not give back what it took: what more it gets would be lost too. */
	if (b->nquarantined >= PST_MAX(depth / 2, 1u))
		return false;
	return !b->open || (!b->probing && l->now >= b->probe_ns);
}

static bool
too_small(const struct pst_lane *l, const struct pst_ask *a)
{
	return a->bits != 0 && a->bits < l->t.min_rsa_bits;
}

int
pst_lane_route(struct pst_lane *l, const struct pst_ask *a, enum pst_op_form *form)
{
	for (unsigned i = 0; i < l->t.nroutes[a->kind] && !too_small(l, a); i++) {
		unsigned which = l->t.routes[a->kind][i];
		const struct pst_cryptodrv *drv = l->e->backends[which].conf.drv;
		const struct pst_backend *b = l->e->backends[which].b;

		/* As a call if it can run one: its padding and its check of RSA go with it. */
		if (drv->can(b, a->kind, PST_FORM_CALL, a->group, a->bits))
			*form = PST_FORM_CALL;
		else if (a->key != NULL && (drv->key_add == NULL || a->key->priv[which] != NULL) &&
			 drv->can(b, a->kind, a->form, a->group, a->bits))
			*form = a->form;
		else
			continue;
		if (drv->inline_)
			return -1;
		if (usable(l, which))
			return (int)which;
	}
	return -1;
}

void
pst_lane_queue(struct pst_lane *l, int backend, struct pst_op *op)
{
	struct lane_backend *b = &l->b[backend];

	op->backend = (uint8_t)backend;
	op->submitted_ns = l->now;
	op->deadline_ns = op->submitted_ns + l->t.deadline_us * 1000ull;
	TAILQ_INSERT_TAIL(&b->pending, op, link);
	b->npending++;
	b->probing |= b->open;
}

/* ---- the circuit breaker ---- */

static void
good(struct lane_backend *b)
{
	b->failures = 0;
	b->open = b->probing = false;
}

static void
bad(struct pst_lane *l, struct lane_backend *b)
{
	b->failures++;
	if (b->probing) {
		b->probing = false;
		b->probe_ns = l->now + l->t.probe_ms * PST_NS_PER_MS;
	}
	if (b->open || b->failures < l->t.breaker_after)
		return;
	b->open = true;
	b->probe_ns = l->now + l->t.probe_ms * PST_NS_PER_MS;
	l->c.breaker_opened++;
}

void
pst_lane_good_result(struct pst_lane *l, unsigned backend)
{
	good(&l->b[backend]);
}

void
pst_lane_bad_result(struct pst_lane *l, unsigned backend)
{
	l->c.bad_results++;
	l->b[backend].failed++;
	bad(l, &l->b[backend]);
}

/* ---- waiters ---- */

static void
waiter_off(struct pst_lane *l, struct pst_waiter *w)
{
	if (w->at == WAITER_READY)
		TAILQ_REMOVE(&l->ready, w, link);
	if (w->at == WAITER_JOB) {
		TAILQ_REMOVE(&l->want_job, w, link);
		l->jobs_waiting--;
	}
	w->at = WAITER_NOWHERE;
}

void
pst_waiter_ready(struct pst_lane *l, struct pst_waiter *w)
{
	waiter_off(l, w);
	TAILQ_INSERT_TAIL(&l->ready, w, link);
	w->at = WAITER_READY;
}

bool
pst_waiter_busy(const struct pst_waiter *w)
{
	return w->foreign || w->at == WAITER_JOB || (w->paused && w->news == NEWS_NONE);
}

void
pst_waiter_want_job(struct pst_waiter *w)
{
	struct pst_lane *l = pst_lane_here;

	if (l == NULL || w->at == WAITER_JOB)
		return;
	waiter_off(l, w);
	TAILQ_INSERT_TAIL(&l->want_job, w, link);
	w->at = WAITER_JOB;
	l->jobs_waiting++;
	l->c.no_job++;
}

struct pst_waiter *
pst_lane_next_ready(struct pst_lane *l)
{
	struct pst_waiter *w = TAILQ_FIRST(&l->ready);

	if (w != NULL)
		waiter_off(l, w);
	return w;
}

/* Nobody looks at it again until the back-end gives it back. */
static void
quarantine(struct pst_lane *l, struct pst_op *op)
{
	struct lane_backend *b = &l->b[op->backend];

	TAILQ_REMOVE(&b->out, op, link);
	b->nout--;
	b->nquarantined++;
	l->nquarantined++;
	b->probing = false;
	op->waiter = NULL;
}

/* Out of the back-end's hands, if that is possible: false while a thread is in the middle. */
static bool
take_back(struct pst_op *op)
{
	uint32_t queued = PST_OP_QUEUED;

	/* Pairs with pst_op_run's: one of the two wins. */
	return atomic_compare_exchange_strong(&op->state, &queued, PST_OP_CANCELLED) ||
	       op->form != PST_FORM_CALL;
}

static bool
is_pending(const struct pst_lane *l, const struct pst_op *op)
{
	const struct pst_op *p;

	TAILQ_FOREACH (p, &l->b[op->backend].pending, link)
		if (p == op)
			return true;
	return false;
}

/* Its connection went away. */
static bool
cancel_op(struct pst_lane *l, struct pst_op *op)
{
	struct lane_backend *b = &l->b[op->backend];

	if (op->result >= 0) {
		b->probing = false; /* its result is never judged */
		pst_lane_op_free(l, op);
		return true;
	}
	if (is_pending(l, op)) {
		TAILQ_REMOVE(&b->pending, op, link);
		b->npending--;
		b->probing = false;
		pst_lane_op_free(l, op);
		return true;
	}
	if (!take_back(op))
		return false;
	quarantine(l, op);
	return true;
}

static void
gone(struct pst_waiter *w)
{
	w->op = NULL;
	w->news = NEWS_GONE;
	w->cancelled = true;
}

bool
pst_waiter_cancel(struct pst_waiter *w, void (*bury)(struct pst_waiter *w))
{
	struct pst_lane *l = pst_lane_here;

	if (l == NULL)
		return true;
	waiter_off(l, w);
	if (w->foreign) {
		l->c.cancelled++;
		w->bury = bury;
		pst_named_orphan(l, w);
		return false;
	}
	if (w->op != NULL) {
		l->c.cancelled++;
		if (!cancel_op(l, w->op)) {
			w->bury = bury;
			l->norphans++;
			return false;
		}
	}
	gone(w);
	return true;
}

/* ---- the turn ---- */

/* The outcome: to who waits, or to the grave of who went. */
static void
deliver(struct pst_lane *l, struct pst_op *op, bool ok)
{
	struct pst_waiter *w = op->waiter;

	op->result = ok;
	if (w == NULL)
		return;
	w->news = NEWS_DONE;
	if (w->bury == NULL) {
		pst_waiter_ready(l, w);
		return;
	}
	gone(w);
	pst_lane_op_free(l, op);
	l->norphans--;
	w->bury(w);
}

static void
forget_quarantined(struct pst_lane *l, struct pst_op *op)
{
	l->b[op->backend].nquarantined--;
	l->nquarantined--;
	l->c.late++;
	pst_lane_op_free(l, op);
}

static void
complete(struct pst_lane *l, unsigned which, const struct pst_op_done *d)
{
	struct lane_backend *b = &l->b[which];
	struct pst_op *op = d->op;
	uint32_t state = atomic_load_explicit(&op->state, memory_order_acquire);

	if (d->gen != op->gen || state == PST_OP_FREE || op->backend != which || op->result >= 0) {
		l->c.stale++;
		return;
	}
	if (state == PST_OP_CANCELLED) {
		forget_quarantined(l, op);
		return;
	}
	if (op->deadline_ns == UINT64_MAX)
		TAILQ_REMOVE(&l->running, op, link);
	else
		TAILQ_REMOVE(&b->out, op, link);
	b->nout--;
	/* A call that ran and said no is no fault of who ran it. */
	if (d->ok || state == PST_OP_RUNNING) {
		/* Numbers may be wrong: who asked for them says whether they are good (wait.c). */
		if (op->form == PST_FORM_CALL)
			good(b);
		b->completed++;
		l->c.completed++;
		l->offloaded[op->kind]++;
		l->wait_us_sum[op->kind] += (l->now - PST_MIN(op->submitted_ns, l->now)) / 1000;
	} else {
		b->failed++;
		bad(l, b);
	}
	deliver(l, op, d->ok);
}

static bool
submit(struct pst_lane *l, unsigned which)
{
	struct lane_backend *b = &l->b[which];
	const struct backend *be = &l->e->backends[which];
	struct pst_op *burst[REAP_BURST], *op;
	bool moved = false;

	while (b->npending > 0) {
		unsigned n = 0, taken;

		TAILQ_FOREACH (op, &b->pending, link) {
			burst[n++] = op;
			if (n == REAP_BURST)
				break;
		}
		taken = be->conf.drv->submit(be->b, l->index, burst, n);
		for (unsigned i = 0; i < taken; i++) {
			TAILQ_REMOVE(&b->pending, burst[i], link);
			TAILQ_INSERT_TAIL(&b->out, burst[i], link);
		}
		b->npending -= taken;
		b->nout += taken;
		l->c.submitted += taken;
		l->c.batches += taken > 0;
		l->c.queue_full += taken < n;
		moved |= taken > 0;
		if (taken < n)
			break;
	}
	return moved;
}

static bool
reap(struct pst_lane *l, unsigned which)
{
	const struct backend *be = &l->e->backends[which];
	struct pst_op_done done[REAP_BURST];
	bool moved = false;
	unsigned n;

	do {
		n = be->conf.drv->reap(be->b, l->index, done, REAP_BURST);
		for (unsigned i = 0; i < n; i++)
			complete(l, which, &done[i]);
		moved |= n > 0;
	} while (n == REAP_BURST);
	return moved;
}

/* It took too long: the handshake does without. */
static void
late(struct pst_lane *l, struct lane_backend *b, struct pst_op *op)
{
	struct pst_waiter *w = op->waiter;

	l->c.timeouts++;
	b->timeouts++;
	bad(l, b);
	if (!take_back(op)) {
		/* A thread is in the middle of it, and will end. */
		TAILQ_REMOVE(&b->out, op, link);
		op->deadline_ns = UINT64_MAX;
		TAILQ_INSERT_TAIL(&l->running, op, link);
		return;
	}
	quarantine(l, op);
	w->op = NULL;
	w->news = NEWS_LOST;
	pst_waiter_ready(l, w);
}

static bool
deadlines(struct pst_lane *l, unsigned which)
{
	struct lane_backend *b = &l->b[which];
	struct pst_op *op;
	bool moved = false;

	while ((op = TAILQ_FIRST(&b->out)) != NULL && op->deadline_ns <= l->now) {
		late(l, b, op);
		moved = true;
	}
	/* What the back-end does not even take. */
	while ((op = TAILQ_FIRST(&b->pending)) != NULL && op->deadline_ns <= l->now) {
		TAILQ_REMOVE(&b->pending, op, link);
		b->npending--;
		l->c.timeouts++;
		b->timeouts++;
		bad(l, b);
		deliver(l, op, false);
		moved = true;
	}
	return moved;
}

static bool
grant_jobs(struct pst_lane *l)
{
	unsigned spare = l->e->conf.jobs - PST_MIN(l->jobs_in_use, l->e->conf.jobs);
	struct pst_waiter *w;
	bool moved = false;

	while (spare-- > 0 && (w = TAILQ_FIRST(&l->want_job)) != NULL) {
		pst_waiter_ready(l, w);
		moved = true;
	}
	return moved;
}

/* Does any route lead to a back-end that does not run in this thread? */
static bool
leads_out(const struct pst_lane *l)
{
	for (unsigned k = 0; k < PST_OP_KINDS; k++)
		for (unsigned i = 0; i < l->t.nroutes[k]; i++)
			if (!l->e->backends[l->t.routes[k][i]].conf.drv->inline_)
				return true;
	return false;
}

/* Tried, never waited for: the next turn comes soon enough. */
static void
take_tuning(struct pst_lane *l)
{
	struct pst_engine *e = l->e;
	unsigned version = atomic_load_explicit(&e->version, memory_order_acquire);

	if (version == l->version || pthread_mutex_trylock(&e->lock) != 0)
		return;
	l->t = e->tuning;
	l->version = atomic_load_explicit(&e->version, memory_order_relaxed);
	pthread_mutex_unlock(&e->lock);
	l->async = leads_out(l);
}

bool
pst_lane_poll(struct pst_lane *l, uint64_t now_ns)
{
	bool moved = false;

	l->now = now_ns;
	take_tuning(l);
	for (unsigned i = 0; i < l->e->nbackends; i++) {
		struct lane_backend *b = &l->b[i];
		const struct backend *be = &l->e->backends[i];

		if (b->npending + b->nout + b->nquarantined == 0)
			continue;
		moved |= submit(l, i);
		if (be->conf.drv->flush != NULL)
			be->conf.drv->flush(be->b, l->index);
		moved |= reap(l, i);
		moved |= deadlines(l, i);
	}
	if (l->named != NULL)
		moved |= pst_named_poll(l);
	if (l->jobs_waiting > 0)
		moved |= grant_jobs(l);
	return moved || !TAILQ_EMPTY(&l->ready);
}

uint64_t
pst_lane_next_deadline(const struct pst_lane *l)
{
	uint64_t due = UINT64_MAX;

	for (unsigned i = 0; i < l->e->nbackends; i++) {
		const struct lane_backend *b = &l->b[i];

		/* Nothing but a poll moves what it has. */
		if (b->npending + b->nout > 0 && !l->e->backends[i].conf.drv->wakes)
			return l->now;
		if (!TAILQ_EMPTY(&b->out))
			due = PST_MIN(due, TAILQ_FIRST(&b->out)->deadline_ns);
		if (!TAILQ_EMPTY(&b->pending))
			due = PST_MIN(due, TAILQ_FIRST(&b->pending)->deadline_ns);
	}
	return due;
}

bool
pst_lane_sleep(struct pst_lane *l)
{
	/* Pairs with engine.c's wake: either it sees the flag or we see its completion. */
	atomic_store(&l->sleeping, true);
	atomic_thread_fence(memory_order_seq_cst);
	if (!pst_lane_poll(l, l->now))
		return true;
	atomic_store_explicit(&l->sleeping, false, memory_order_relaxed);
	return false;
}

void
pst_lane_wake(struct pst_lane *l)
{
	atomic_store_explicit(&l->sleeping, false, memory_order_relaxed);
}

/* ---- life ---- */

struct pst_lane *
pst_lane_new(struct pst_engine *e, unsigned index)
{
	struct pst_lane *l = aligned_alloc(64, (sizeof(*l) + 63) / 64 * 64);

	if (l == NULL)
		return NULL;
	memset(l, 0, sizeof(*l));
	l->e = e;
	l->index = index;
	l->ops = calloc(e->conf.ops, sizeof(*l->ops));
	if (l->ops == NULL || (e->conf.named != NULL && !pst_named_lane_new(l, e->conf.named))) {
		free(l->ops);
		free(l);
		return NULL;
	}
	TAILQ_INIT(&l->free);
	TAILQ_INIT(&l->running);
	TAILQ_INIT(&l->ready);
	TAILQ_INIT(&l->want_job);
	for (unsigned i = 0; i < PST_ENGINE_BACKENDS; i++) {
		TAILQ_INIT(&l->b[i].pending);
		TAILQ_INIT(&l->b[i].out);
	}
	for (unsigned i = 0; i < e->conf.ops; i++) {
		l->ops[i].lane = index;
		TAILQ_INSERT_TAIL(&l->free, &l->ops[i], link);
	}
	l->nfree = e->conf.ops;
	l->t = e->tuning;
	l->version = atomic_load(&e->version);
	l->async = leads_out(l);
	return l;
}

void
pst_lane_free(struct pst_lane *l)
{
	if (l == NULL)
		return;
	for (unsigned i = 0; i < l->e->conf.ops; i++)
		OPENSSL_cleanse(&l->ops[i], sizeof(l->ops[i]));
	free(l->ops);
	l->ops = NULL;
	if (pst_named_lane_free(l))
		free(l);
	else
		l->e = NULL; /* for answers that come after all */
}

enum pst_rc
pst_lane_begin(struct pst_lane *l)
{
	if (ASYNC_init_thread(l->e->conf.jobs, 0) != 1)
		return PST_NOMEM;
	take_tuning(l);
	pst_lane_here = l;
	return PST_OK;
}

void
pst_lane_end(struct pst_lane *l)
{
	uint64_t until = pst_now_ns() + END_NS;
	const struct timespec nap = {.tv_nsec = 100000};

	while (l->nfree + l->nquarantined < l->e->conf.ops || l->nquarantined > 0 ||
		pst_named_orphans(l) > 0) {
		uint64_t now = pst_now_ns();

		if (!pst_lane_poll(l, now))
			nanosleep(&nap, NULL);
		/* A thread in the middle of an orphan's operation ends; all else may be lost. */
		if (now > until && l->norphans == 0)
			break;
	}
	pst_lane_here = NULL;
	ASYNC_cleanup_thread();
}

void
pst_lane_stats(const struct pst_lane *l, struct pst_lane_stats *out)
{
	memset(out, 0, sizeof(*out));
	out->c = l->c;
	memcpy(out->kinds, l->kinds, sizeof(out->kinds));
	memcpy(out->offloaded, l->offloaded, sizeof(out->offloaded));
	memcpy(out->wait_us_sum, l->wait_us_sum, sizeof(out->wait_us_sum));
	out->ops_total = l->e->conf.ops;
	out->ops_free = l->nfree;
	out->ops_quarantined = l->nquarantined;
	out->jobs_max = l->e->conf.jobs;
	out->jobs_in_use = l->jobs_in_use;
	out->jobs_waiting = l->jobs_waiting;
	for (unsigned i = 0; i < l->e->nbackends; i++) {
		out->backends[i].open = l->b[i].open;
		out->backends[i].out = l->b[i].nout + l->b[i].npending;
		out->backends[i].completed = l->b[i].completed;
		out->backends[i].failed = l->b[i].failed;
		out->backends[i].timeouts = l->b[i].timeouts;
	}
}
