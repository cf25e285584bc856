/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The async crypto engine: which back-end runs which operation, and a lane for each
 * worker: its pool of operations, its batches, its deadlines, its circuit breakers.
 *
 * Life: pst_engine_new opens the back-ends; each worker takes its lane with
 * pst_lane_begin, polls it once a turn, and gives it up with pst_lane_end when its TLS
 * sessions are gone; then pst_engine_free.
 *
 * What happens to an operation. The provider (provider.c) is called in the middle of a
 * handshake. If the first route that can do it is inline, or the thread has no lane or the
 * connection no job, it runs there and then. Else the operation goes to the lane and the
 * handshake pauses (ASYNC job, wait.c): the TLS call returns PST_WANT_ASYNC. pst_lane_poll
 * submits, gathers and reaps; a completed operation puts its waiter on the ready list, and
 * the next TLS call goes on behind it. An operation that is late or failed is redone inline,
 * once. It is never lost and never done by nobody.
 *
 * Bounds: operations and jobs of a lane are pools. Without a free job a handshake waits for
 * one in a list; without a free operation it runs inline.
 */
#ifndef PST_ENGINE_H
#define PST_ENGINE_H

#include <pst_cryptodrv.h>
#include <pst_named.h>
#include <sys/queue.h>

struct pst_engine;
struct pst_lane;

#define PST_ENGINE_BACKENDS 8

struct pst_engine_backend {
	const struct pst_cryptodrv *drv;
	struct pst_cryptodrv_conf conf; /* index, nlanes, inner: set by pst_engine_new */
	const char *around;             /* name of an earlier back-end that this one wraps; NULL */
};

/* What may change while it runs. */
struct pst_engine_tuning {
	/* Indices of back-ends in order of preference; what none of them can do, runs inline. */
	unsigned nroutes[PST_OP_KINDS];
	uint8_t routes[PST_OP_KINDS][PST_ENGINE_BACKENDS];
	uint32_t deadline_us;   /* 500 000: then the operation is redone inline */
	uint32_t breaker_after; /* 8: failures and timeouts in a row that open the breaker */
	uint32_t probe_ms;      /* 1 000: an open breaker lets one operation through so often */
	/* An operation of these is not offloaded if it takes less than pausing for it: 0 is off. */
	uint32_t min_rsa_bits;
};

struct pst_engine_conf {
	unsigned nlanes; /* workers */
	unsigned ops;    /* a lane: 1024 */
	unsigned jobs;   /* a lane: 1024; 32 KiB of stack each, made when first used */
	unsigned nbackends;
	struct pst_engine_backend backends[PST_ENGINE_BACKENDS];
	struct pst_engine_tuning tuning;
	struct pst_cryptodrv_env env;
	/* In place of back-ends: of which there must be none. NULL: nobody. It outlives the engine.
	 */
	const struct pst_named *named;
};

/* NULL and a text that names the back-end. With no back-ends all is inline. */
struct pst_engine *pst_engine_new(const struct pst_engine_conf *conf, char *err, size_t errlen);
/*
 * Closes the back-ends, so that their threads have ended. When all lanes have, and before the
 * first struct pst_crypto goes: what OpenSSL keeps for a thread points into those.
 */
void pst_engine_stop(struct pst_engine *e);
void pst_engine_free(struct pst_engine *e); /* after the last key */
/* Control thread. Lanes see it within a turn. PST_INVAL: an index that is none. */
enum pst_rc pst_engine_tune(struct pst_engine *e, const struct pst_engine_tuning *t);
unsigned pst_engine_nbackends(const struct pst_engine *e);
const struct pst_engine_backend *pst_engine_backend(const struct pst_engine *e, unsigned i);
void pst_engine_backend_stats(
	const struct pst_engine *e, unsigned i, struct pst_cryptodrv_stats *out);

/* NULL: it has none. */
const struct pst_named *pst_engine_named(const struct pst_engine *e);

struct pst_lane *pst_engine_lane(struct pst_engine *e, unsigned worker);
/* The calling thread's from now on. PST_NOMEM. */
enum pst_rc pst_lane_begin(struct pst_lane *l);
/* After the last TLS session of the lane. Waits, at most 100 ms, for what back-ends still have. */
void pst_lane_end(struct pst_lane *l);

/*
 * Who waits for an operation or for a job: one in each TLS session, touched by the lane's
 * thread alone. `user` is the owner's.
 */
struct pst_waiter {
	TAILQ_ENTRY(pst_waiter) link;
	uint8_t at;                  /* on which list */
	uint8_t news;                /* of the operation it waits for */
	bool paused;                 /* its handshake is in the middle of an operation */
	bool cancelled;              /* the operation is to fail */
	bool foreign;                /* paused by a named engine, and not answered */
	struct pst_named_slot *slot; /* named.c */
	struct pst_op *op;           /* out, or completed and not yet looked at */
	void *user;
	void (*bury)(struct pst_waiter *w); /* pst_waiter_cancel */
};

/* May handshakes of the calling thread pause? Then TLS asks OpenSSL for jobs. */
bool pst_lane_async(void);
/* Around each TLS call that may pause: w is who waits if it does; began: it was not paused. */
void pst_waiter_enter(struct pst_waiter *w);
void pst_waiter_leave(bool began);
/* What OpenSSL calls in such a TLS call begins with it: a sanitizer learns which stack it is on. */
void pst_waiter_stack(void);
/* Its operation is still out: do not call. */
bool pst_waiter_busy(const struct pst_waiter *w);
/* There was no free job: it becomes ready when there is one. */
void pst_waiter_want_job(struct pst_waiter *w);
/*
 * Its owner goes. True: call on until the handshake has unwound, which fails at once, then
 * free. False: a thread is in the middle of its operation: leave all that the handshake
 * holds alone; bury is called on this thread when that is over, for the same.
 */
bool pst_waiter_cancel(struct pst_waiter *w, void (*bury)(struct pst_waiter *w));

/*
 * At the beginning of a turn, and at its end. Submits, flushes, reaps, sees to deadlines. True:
 * something moved. now_ns is the turn's, on any clock: deadlines are kept by it.
 */
bool pst_lane_poll(struct pst_lane *l, uint64_t now_ns);
/* The next whose handshake can go on; NULL: none. */
struct pst_waiter *pst_lane_next_ready(struct pst_lane *l);
/* When poll must be called again at the latest; UINT64_MAX: when there is something new. */
uint64_t pst_lane_next_deadline(const struct pst_lane *l);
/* Before the thread sleeps: false if something is ready already. And after it woke. */
bool pst_lane_sleep(struct pst_lane *l);
void pst_lane_wake(struct pst_lane *l);

/* ---- counters ---- */

#define PST_LANE_COUNTERS(X)                                                                       \
	X(jobs_started, "handshake steps that began as a job")                                     \
	X(paused, "operations for which a handshake paused")                                       \
	X(inline_ops, "operations run inside the handshake")                                       \
	X(redone, "operations redone inline because they failed or were late")                     \
	X(timeouts, "operations that missed their deadline")                                       \
	X(late, "completions that nobody waited for any more")                                     \
	X(stale, "completions that were none: wrong generation or given twice")                    \
	X(bad_results, "results that did not verify")                                              \
	X(no_op, "operations run inline because the pool was empty")                               \
	X(no_job, "handshake steps that had to wait for a job")                                    \
	X(queue_full, "submissions that a back-end did not take at once")                          \
	X(batches, "calls of submit that took something")                                          \
	X(submitted, "operations given to a back-end")                                             \
	X(completed, "operations that a back-end completed in time")                               \
	X(breaker_opened, "times a circuit breaker opened")                                        \
	X(cancelled, "operations whose connection went away first")

struct pst_lane_counters {
	PST_LANE_COUNTERS(PST_COUNTER_MEMBER)
};

struct pst_lane_stats {
	struct pst_lane_counters c;
	uint64_t kinds[PST_OP_KINDS];       /* operations asked for */
	uint64_t offloaded[PST_OP_KINDS];   /* of them, done by a back-end */
	uint64_t wait_us_sum[PST_OP_KINDS]; /* from submit to completion */
	unsigned ops_total, ops_free, ops_quarantined;
	unsigned jobs_max, jobs_in_use, jobs_waiting;
	struct {
		bool open; /* the breaker */
		unsigned out;
		uint64_t completed, failed, timeouts;
	} backends[PST_ENGINE_BACKENDS];
};
/* Any thread; a moment late. */
void pst_lane_stats(const struct pst_lane *l, struct pst_lane_stats *out);

#endif
