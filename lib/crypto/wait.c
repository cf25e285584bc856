/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where a handshake waits. The provider asks in the middle of an SSL call; if the
 * operation leaves the thread, the call's stack is put aside (an ASYNC job of OpenSSL's)
 * until the lane has the result. The only file that knows ASYNC.
 *
 * Rules of whoever is on that stack: no lock, no RCU read section, no per-thread buffer is
 * held across this; the error queue is the thread's and shared by all stacks; a job goes on
 * only on the thread that began it.
 */
#include "engine_int.h"
#include <pst_cycles.h>
#include <openssl/async.h>
#include <openssl/err.h>

bool
pst_lane_async(void)
{
	return pst_lane_here != NULL && pst_lane_here->async;
}

void
pst_waiter_enter(struct pst_waiter *w)
{
	if (pst_lane_here != NULL)
		pst_lane_here->current = w;
}

void
pst_waiter_leave(bool began)
{
	struct pst_lane *l = pst_lane_here;

	pst_waiter_own_stack();
	if (l == NULL)
		return;
	/* Who waits for a job has begun none. */
	l->c.jobs_started += began && l->current != NULL && l->current->at != WAITER_JOB;
	l->current = NULL;
}

/* Who can wait, and how: NULL is nobody. */
static struct pst_waiter *
can_pause(const struct pst_lane *l)
{
	return l != NULL && l->async && ASYNC_get_current_job() != NULL ? l->current : NULL;
}

/* Until the result is there or nobody wants it. Others' handshakes run meanwhile. */
static void
wait_for(struct pst_lane *l, struct pst_waiter *w, struct pst_op *op)
{
	op->waiter = w;
	w->op = op;
	w->news = NEWS_NONE;
	w->paused = true;
	l->jobs_in_use++;
	l->c.paused++;
	do {
		pst_waiter_stack();
		(void)ASYNC_pause_job();
		pst_waiter_stack();
	} while (w->news == NEWS_NONE);
	l->jobs_in_use--;
	w->paused = false;
	w->op = NULL;
	/* Resumed from outside, where another may have been the current one. */
	l->current = w;
}

/* What went wrong on another thread is this one's error now. */
static void
raise_error(unsigned long e)
{
	if (e == 0)
		return;
	ERR_new();
	ERR_set_debug(__FILE__, __LINE__, __func__);
	ERR_set_error(ERR_GET_LIB(e), ERR_GET_REASON(e), NULL);
}

/*
 * 1 done, 0 failed, -1 must be done again. A call that ran and failed is an answer: it has
 * used up its digest, and whoever sent a bad signature gets no second verification.
 */
static int
settle(struct pst_lane *l, const struct pst_ask *a, struct pst_op *op)
{
	bool ran = atomic_load(&op->state) == PST_OP_RUNNING;
	int done = op->result == 1 ? 1 : ran ? 0 : -1;

	if (done == 1 && op->form != PST_FORM_CALL) {
		if (a->take(a->arg, op)) {
			pst_lane_good_result(l, op->backend);
		} else {
			pst_lane_bad_result(l, op->backend);
			done = -1;
		}
	}
	if (done == 0)
		raise_error(op->error);
	pst_lane_op_free(l, op);
	return done;
}

static int
run_inline(struct pst_lane *l, const struct pst_ask *a)
{
	if (l != NULL)
		l->c.inline_ops++;
	return PST_SPEND(PST_LAYER_CRYPTO, a->call(a->arg));
}

static void
fill(struct pst_op *op, const struct pst_ask *a, enum pst_op_form form)
{
	op->kind = a->kind;
	op->form = form;
	op->group = a->group;
	op->bits = (uint16_t)a->bits;
	op->call = a->call;
	op->arg = a->arg;
	op->product = a->product;
	op->key = form != PST_FORM_CALL ? a->key : NULL;
	if (op->key != NULL)
		pst_key_out(op->key);
}

int
pst_ask_run(const struct pst_ask *a)
{
	struct pst_lane *l = pst_lane_here;
	struct pst_waiter *w = can_pause(l);
	enum pst_op_form form = PST_FORM_CALL;
	struct pst_op *op;
	int backend, done;

	if (l != NULL)
		l->kinds[a->kind]++;
	if (w != NULL && w->cancelled)
		return 0;
	if (w == NULL || (backend = pst_lane_route(l, a, &form)) < 0)
		return run_inline(l, a);
	op = pst_lane_op(l);
	if (op == NULL) {
		l->c.no_op++;
		return run_inline(l, a);
	}
	fill(op, a, form);
	if (form != PST_FORM_CALL && !a->fill(a->arg, op)) {
		pst_lane_op_free(l, op);
		return run_inline(l, a);
	}
	pst_lane_queue(l, backend, op);
	wait_for(l, w, op);
	if (w->news == NEWS_GONE)
		return 0;
	done = w->news == NEWS_DONE ? settle(l, a, op) : -1;
	if (done >= 0)
		return done;
	l->c.redone++;
	return run_inline(l, a);
}
