/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A shard: one worker's whole life.
 *
 * The loop body reads as the way data takes: a burst of packets into TCP, due
 * timers, the sessions that became ready, then everything they wrote out in one
 * go. Nothing in it waits, except the adaptive idle sleep at the very end, which
 * packets, a wake-up and the next deadline all bound.
 */
#include "relay.h"

#include <pst_cycles.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <rte_mempool.h>
#include <urcu-qsbr.h>

#define BURST        32
#define READY_BUDGET 16 /* connections run between two bursts: a handshake step is dear */
#define STEPS        2  /* of handshakes in a turn; one of a next hop's counts twice */
#define IDLE_TURNS   20 /* empty turns before a sleep: a poll of a kernel device is a system call */
#define IDLE_MAX_NS  1000000ull
#define FLUSH_MS     2000 /* for last FINs at the end */
#define SLEEP_SAMPLE 16   /* one sleep in so many is weighed by the thread's clock */

/* ---- making and unmaking ---- */

static struct bound *
bound_find(struct shard *sh, const struct pst_endpoint *at)
{
	struct bound *b;

	TAILQ_FOREACH (b, &sh->bound, link) {
		if (b->at.port == at->port && pst_ip_eq(&b->at.ip, &at->ip))
			break;
	}
	return b;
}

static struct bound *
bound_new(struct shard *sh, const struct pst_endpoint *at)
{
	struct bound *b = calloc(1, sizeof(*b));

	if (b == NULL)
		return NULL;
	b->at = *at;
	b->index = -1;
	TAILQ_INSERT_TAIL(&sh->bound, b, link);
	return b;
}

static enum pst_rc
listen_on(struct shard *sh, unsigned index)
{
	const struct pst_endpoint *at = &sh->snap->cfg->listeners[index].at;
	struct bound *b = bound_find(sh, at);

	if (b == NULL)
		b = bound_new(sh, at);
	if (b == NULL)
		return PST_NOMEM;
	b->index = (int)index;
	return pst_tcp_listen(sh->tcp, at, b);
}

static void
unlisten_all(struct shard *sh)
{
	struct bound *b;

	TAILQ_FOREACH (b, &sh->bound, link) {
		if (b->index >= 0)
			pst_tcp_unlisten(sh->tcp, &b->at);
		b->index = -1;
	}
}

/* Endpoints of the snapshot and no others; those that stay are never closed in between. */
static enum pst_rc
shard_listeners(struct shard *sh)
{
	const struct pst_config *cfg = sh->snap->cfg;
	struct bound *b;
	enum pst_rc rc = PST_OK;

	TAILQ_FOREACH (b, &sh->bound, link) {
		unsigned i = 0;

		while (i < cfg->nlisteners && bound_find(sh, &cfg->listeners[i].at) != b)
			i++;
		if (b->index >= 0 && i == cfg->nlisteners) {
			pst_tcp_unlisten(sh->tcp, &b->at);
			b->index = -1;
		}
	}
	for (unsigned i = 0; i < cfg->nlisteners && rc == PST_OK; i++) {
		b = bound_find(sh, &cfg->listeners[i].at);
		if (b != NULL && b->index >= 0)
			b->index = (int)i;
		else
			rc = listen_on(sh, i);
	}
	return rc;
}

/* A new generation: for sessions to come; those that run keep theirs. */
static void
shard_adopt(struct shard *sh, struct snapshot *sn)
{
	sh->snap = sn;
	sh->generation = sn->generation;
	hop_pool_adopt(sh, sn);
	if (!sh->draining && shard_listeners(sh) != PST_OK)
		pst_logf(sh->log, PST_LOG_ERROR, "relay", "generation %lu: a listener did not open",
			(unsigned long)sn->generation);
}

static void
tcp_conf(const struct pst_config_tcp *c, struct pst_tcp_conf *out)
{
	*out = (struct pst_tcp_conf){
		.max_conns = c->max_connections,
		.max_half_open = c->max_half_open,
		.rcv_buf = c->rcv_buf,
		.snd_buf = c->snd_buf,
		.rto_min_ms = c->rto_min_ms,
		.delack_ms = c->delack_ms,
		.time_wait_ms = c->time_wait_ms,
		.user_timeout_ms = c->user_timeout_ms,
		.keepalive_ms = c->keepalive_ms,
	};
}

enum pst_rc
shard_init(struct shard *sh, struct pst_relay *r, unsigned worker, uint64_t now)
{
	struct pst_tcp_conf conf;
	char lane[8];

	sh->relay = r;
	sh->worker = worker;
	sh->snap = snapshot_current(r);
	sh->generation = sh->snap->generation;
	TAILQ_INIT(&sh->bound);
	TAILQ_INIT(&sh->sessions);
	TAILQ_INIT(&sh->pool);
	TAILQ_INIT(&sh->deferred);
	sh->now = now;
	sh->now_ms = now / PST_NS_PER_MS;
	pst_wheel_init(&sh->wheel, sh->now_ms);
	pst_timer_init(&sh->probe_timer, TIMER_PROBE);
	snprintf(lane, sizeof(lane), "w%u", worker);
	sh->log = pst_log_lane(r->deps.logger, lane);
	sh->wire = malloc(SHARD_WIRE);
	sh->plain = malloc(LEG_IN_MAX);
	sh->body = malloc(LEG_OUT_MAX);
	sh->cache = pst_tls_cache_new(4096);
	if (r->deps.engine != NULL) {
		sh->lane = pst_engine_lane(r->deps.engine, worker);
		if (pst_lane_begin(sh->lane) != PST_OK) {
			sh->lane = NULL;
			return PST_NOMEM;
		}
	}
	sh->net = pst_net_new(r->deps.fabric, worker);
	tcp_conf(&sh->snap->cfg->dataplane.tcp, &conf);
	if (sh->net != NULL)
		sh->tcp = pst_tcp_new(&conf, sh->net, sh->now);
	if (sh->wire == NULL || sh->plain == NULL || sh->body == NULL || sh->cache == NULL ||
		sh->tcp == NULL)
		return PST_NOMEM;
	return shard_listeners(sh);
}

void
shard_fini(struct shard *sh)
{
	struct session *s;
	struct bound *b;

	while ((s = TAILQ_FIRST(&sh->sessions)) != NULL)
		session_end(s, "stopped", true);
	probe_cut(sh);
	hop_pool_flush(sh);
	waiting_fini(sh);
	while ((b = TAILQ_FIRST(&sh->bound)) != NULL) {
		TAILQ_REMOVE(&sh->bound, b, link);
		free(b);
	}
	if (sh->lane != NULL)
		pst_lane_end(sh->lane); /* after the last TLS session */
	sh->lane = NULL;
	if (sh->tcp != NULL)
		pst_tcp_free(sh->tcp);
	if (sh->net != NULL)
		pst_net_free(sh->net);
	if (sh->cache != NULL)
		pst_tls_cache_free(sh->cache);
	sh->tcp = NULL;
	sh->net = NULL;
	free(sh->wire);
	free(sh->plain);
	free(sh->body);
}

void
shard_learn(struct shard *sh, const struct hop *h)
{
	const struct snapshot *sn = h->snap;
	const struct pst_config *cfg = sn->cfg;
	const struct pst_smtp_client *c = &h->smtp;
	/* What only works if the next hop does it too; the rest we do ourselves. */
	uint32_t end_to_end = PST_SMTP_8BITMIME | PST_SMTP_SMTPUTF8 | PST_SMTP_DSN;

	if (cfg->nnext_hops != 1 || cfg->next_hops[0].mx)
		return;
	for (unsigned i = 0; i < cfg->nlisteners; i++) {
		struct view_listener *v = &sn->views[sh->worker].listeners[i];
		uint64_t ours = cfg->limits.message_size;

		v->smtp.keywords = v->keywords & (~end_to_end | c->keywords);
		v->smtp.max_size =
			ours == 0 || (c->max_size != 0 && c->max_size < ours) ? c->max_size : ours;
	}
}

/* ---- drain ---- */

void
shard_drain(struct shard *sh)
{
	struct session *s, *next;

	if (!sh->draining) {
		sh->draining = true;
		unlisten_all(sh);
		hop_pool_flush(sh);
	}
	for (s = TAILQ_FIRST(&sh->sessions); s != NULL; s = next) {
		next = TAILQ_NEXT(s, link);
		session_drain(s);
	}
}

/* Between turns, where sh->snap may be gone already: the next turn adopts, and listens. */
void
shard_undrain(struct shard *sh)
{
	sh->draining = false;
	sh->generation = 0;
}

void
shard_cut(struct shard *sh)
{
	struct session *s;

	while ((s = TAILQ_FIRST(&sh->sessions)) != NULL)
		session_cut(s);
	probe_cut(sh);
	hop_pool_flush(sh);
}

/* ---- the loop ---- */

static unsigned
run_ready(struct shard *sh)
{
	struct pst_tcp_conn *c;
	uint32_t events;
	unsigned n = 0;

	while (n < READY_BUDGET && (c = pst_tcp_next_ready(sh->tcp, &events)) != NULL) {
		struct leg *l = pst_tcp_conn_user(c);

		n++;
		/* Reset in the same turn: no event would ever come again. */
		if (l == NULL && (events & PST_TCP_EV_ACCEPT) != 0 &&
			(events & PST_TCP_EV_ERROR) == 0)
			session_accept(sh, c);
		else if (l != NULL && l->kind == LEG_CLIENT)
			session_event(pst_container_of(l, struct session, leg), events);
		else if (l != NULL)
			hop_event(pst_container_of(l, struct hop, leg), events);
		else
			pst_tcp_abort(c);
	}
	return n;
}

static unsigned
run_timers(struct shard *sh)
{
	struct pst_timer *t;
	unsigned n = 0;

	pst_wheel_advance(&sh->wheel, sh->now_ms);
	while ((t = pst_wheel_expire(&sh->wheel)) != NULL) {
		n++;
		if (t->kind == LEG_CLIENT)
			session_timeout(pst_container_of(t, struct session, timer));
		else if (t->kind == TIMER_PROBE)
			probe_timeout(sh);
		else
			hop_timeout(pst_container_of(t, struct hop, timer));
	}
	return n;
}

/* What crypto back-ends have done; whose handshake can go on is marked. */
static unsigned
run_crypto(struct shard *sh)
{
	struct pst_waiter *w;
	unsigned n = 0;

	if (sh->lane == NULL)
		return 0;
	n += PST_SPEND(PST_LAYER_CRYPTO, pst_lane_poll(sh->lane, sh->now));
	while ((w = pst_lane_next_ready(sh->lane)) != NULL) {
		const struct leg *l = w->user;

		pst_tcp_conn_mark(l->conn);
	}
	return n;
}

/* Who had to wait in the last turn comes first in this one. */
static unsigned
grant_steps(struct shard *sh)
{
	struct leg *l;
	unsigned n = 0;

	sh->steps_left = STEPS;
	while ((l = TAILQ_FIRST(&sh->deferred)) != NULL) {
		TAILQ_REMOVE(&sh->deferred, l, link);
		l->deferred = false;
		pst_tcp_conn_mark(l->conn);
		n++;
	}
	return n;
}

uint64_t
shard_next_deadline(const struct shard *sh)
{
	uint64_t due = PST_MIN(pst_tcp_next_deadline(sh->tcp), pst_net_next_deadline(sh->net));
	uint64_t wheel = pst_wheel_next(&sh->wheel);

	if (wheel != PST_TIMER_NONE)
		due = PST_MIN(due, wheel * PST_NS_PER_MS);
	if (sh->lane != NULL)
		due = PST_MIN(due, pst_lane_next_deadline(sh->lane));
	return due;
}

static unsigned
take_in(struct shard *sh)
{
	struct pst_pkt pkts[BURST];
	unsigned n = PST_SPEND(PST_LAYER_NET, pst_net_rx(sh->net, sh->now, pkts, BURST));
	unsigned before = pst_cycles_enter(PST_LAYER_TCP);

	for (unsigned i = 0; i < n; i++)
		pst_tcp_input(sh->tcp, &pkts[i], sh->now);
	pst_cycles_leave(before);
	return n;
}

/* All time since the worker began is of one of three kinds, by what the turn turned out to be. */
static void
count_turn(struct shard *sh, bool work)
{
	uint64_t t = pst_tsc(), spent = t - sh->tsc;

	sh->tsc = t;
	sh->loops++;
	sh->busy_loops += work;
	if (work)
		sh->time.busy += spent;
	else
		sh->time.empty += spent;
	pst_cycles_turn(work);
}

bool
shard_turn(struct shard *sh, uint64_t now)
{
	unsigned work;

	struct snapshot *sn = snapshot_current(sh->relay);

	sh->now = now;
	sh->now_ms = now / PST_NS_PER_MS;
	/* Not by address: the old one may be gone and the new one stand in its place. */
	if (pst_unlikely(sn->generation != sh->generation))
		shard_adopt(sh, sn);
	if (pst_unlikely(atomic_load_explicit(&sh->mail.state, memory_order_relaxed) == MAIL_ASKED))
		mailbox_answer(sh);
	work = grant_steps(sh);
	work += run_crypto(sh);
	work += take_in(sh);
	PST_SPEND(PST_LAYER_NET, pst_net_tick(sh->net, sh->now));
	PST_SPEND(PST_LAYER_TCP, pst_tcp_tick(sh->tcp, sh->now));
	waiter_poll(sh);
	work += run_timers(sh);
	work += run_ready(sh);
	work += run_crypto(sh); /* to the back-ends goes what this turn's handshakes asked for */
	if (pst_unlikely(sh->probe != NULL && sh->probe_hop == NULL))
		probe_over(sh);
	PST_SPEND(PST_LAYER_TCP, pst_tcp_flush(sh->tcp, sh->now));
	PST_SPEND(PST_LAYER_NET, pst_net_flush(sh->net));
	rcu_quiescent_state(); /* nothing of this turn's generation is held but what is counted */
	count_turn(sh, work > 0);
	return work > 0;
}

/* Of the calling thread. */
static uint64_t
cpu_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * PST_NS_PER_SEC + (uint64_t)t.tv_nsec;
}

/*
 * Offline for RCU: a publication does not wait for who sleeps. The way into the kernel and
 * back is CPU time that no turn has; it is weighed now and then, for weighing costs too.
 */
static void
shard_sleep(struct shard *sh, uint64_t ns)
{
	bool weigh = sh->sleeps++ % SLEEP_SAMPLE == 0;
	uint64_t cpu = weigh ? cpu_now() : 0, t;

	/* What a back-end completed meanwhile would wake nobody. */
	if (sh->lane != NULL && !pst_lane_sleep(sh->lane))
		return;
	rcu_thread_offline();
	pst_net_idle(sh->net, ns);
	rcu_thread_online();
	if (sh->lane != NULL)
		pst_lane_wake(sh->lane);
	if (weigh)
		sh->time.sleep_cpu_ns += (cpu_now() - cpu) * SLEEP_SAMPLE;
	t = pst_tsc();
	sh->time.asleep += t - sh->tsc;
	sh->tsc = t;
	pst_cycles_slept();
}

/* Runs until `stop` says so; sleeps when nothing comes and the mode allows it. */
static void
shard_loop(struct shard *sh)
{
	struct pst_relay *r = sh->relay;
	unsigned empty = 0;

	while (!atomic_load_explicit(&r->stopping, memory_order_relaxed)) {
		if (atomic_load_explicit(&r->draining, memory_order_relaxed))
			shard_drain(sh);
		else if (sh->draining)
			shard_undrain(sh);
		if (shard_turn(sh, pst_now_ns())) {
			empty = 0;
		} else if (++empty > IDLE_TURNS && r->deps.adaptive_idle) {
			uint64_t due = shard_next_deadline(sh);

			if (due > sh->now)
				shard_sleep(sh, PST_MIN(due - sh->now, (uint64_t)IDLE_MAX_NS));
		}
	}
}

/* Lets the last replies, FINs and alerts leave; TIME_WAIT is not waited for. */
static void
shard_flush(struct shard *sh)
{
	uint64_t until = sh->now_ms + FLUSH_MS;
	struct pst_tcp_usage u;

	shard_drain(sh); /* nobody new from here on */
	shard_cut(sh);
	do {
		if (!shard_turn(sh, pst_now_ns()))
			shard_sleep(sh, IDLE_MAX_NS / 10);
		pst_tcp_usage(sh->tcp, &u);
	} while (u.conns > 0 && sh->now_ms < until);
}

int
pst_shard_run(struct pst_relay *r, unsigned worker)
{
	struct shard *sh = &r->shards[worker];
	enum pst_rc rc;

	rcu_register_thread();
	rc = shard_init(sh, r, worker, pst_now_ns());
	sh->has_clock = pthread_getcpuclockid(pthread_self(), &sh->clock) == 0;
	sh->tsc = pst_tsc();

	if (rc == PST_OK) {
		atomic_fetch_add(&r->running, 1);
		shard_loop(sh);
		shard_flush(sh);
		atomic_fetch_sub(&r->running, 1);
	} else {
		pst_logf(sh->log, PST_LOG_ERROR, "relay", "worker %u did not start: %s", worker,
			pst_rc_name(rc));
		atomic_store(&r->failed, true);
	}
	sh->has_clock = false;
	shard_fini(sh);
	rcu_unregister_thread();
	return rc == PST_OK ? 0 : -1;
}
