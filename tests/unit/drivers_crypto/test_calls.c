/* SPDX-License-Identifier: BSD-3-Clause */
/* CALLs, cancelling, back-pressure, sleeping and waking, closing with work inside. */
#include "kit.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <rte_launch.h>
#include <unistd.h>

TestSuite(calls, .init = kit_eal, .timeout = 300);

static const char *const cpus[] = {"sync", "lcore", "fault around sync", "fault around lcore"};

static int
succeed(void *arg)
{
	atomic_fetch_add((_Atomic unsigned *)arg, 1);
	return 1;
}

static int
fail(void *arg)
{
	atomic_fetch_add((_Atomic unsigned *)arg, 1);
	ERR_raise(ERR_LIB_RSA, 123);
	ERR_raise(ERR_LIB_EVP, 45);
	return 0;
}

Test(calls, each_kind_has_a_name_of_its_own)
{
	for (unsigned i = 0; i < PST_OP_KINDS; i++) {
		cr_assert_not_null(pst_op_kind_names[i]);
		for (unsigned k = 0; k < i; k++)
			cr_expect_str_neq(pst_op_kind_names[i], pst_op_kind_names[k]);
	}
}

Test(calls, a_call_runs_once_and_its_errors_go_with_it)
{
	for (unsigned i = 0; i < PST_COUNT(cpus); i++) {
		struct rig *r = rig_open(cpus[i], KIT_DEPTH, true, NULL);
		_Atomic unsigned ran = 0;
		struct pst_op *ops[] = {
			op_call(succeed, &ran), op_call(fail, &ran), op_call(succeed, &ran)};
		struct pst_cryptodrv_stats s;
		bool ok[3];

		cr_expect(r->drv->can(r->b, PST_OP_DERIVE, PST_FORM_CALL, PST_GROUP_X25519, 253));
		run_all(r, 0, ops, 3, ok);
		cr_expect(ok[0] && !ok[1] && ok[2]);
		cr_expect_eq(atomic_load(&ran), 3);
		cr_expect_eq(ops[0]->error, 0);
		cr_expect_eq(ERR_GET_LIB(ops[1]->error), ERR_LIB_RSA, "the first of them");
		cr_expect_eq(ERR_GET_REASON(ops[1]->error), 123);
		cr_expect_eq(ERR_peek_error(), 0);
		r->drv->stats(r->b, &s);
		cr_expect(s.ops == 3 && s.failed == 1 && s.out == 0);
		for (unsigned n = 0; n < 3; n++)
			op_free(ops[n]);
		rig_close(r);
	}
}

Test(calls, run_takes_what_is_queued_and_nothing_else)
{
	static const uint32_t states[] = {PST_OP_FREE, PST_OP_RUNNING, PST_OP_CANCELLED};
	_Atomic unsigned ran = 0;
	struct pst_op *op = op_call(succeed, &ran);
	bool ok = true;

	ERR_raise(ERR_LIB_RSA, 99); /* of somebody before */
	op->call = fail;
	cr_expect(pst_op_run(op, &ok) && !ok);
	cr_expect_eq(ERR_GET_REASON(op->error), 123);
	atomic_store(&op->state, PST_OP_QUEUED);
	op->call = succeed;
	cr_expect(pst_op_run(op, &ok) && ok);
	cr_expect_eq(op->error, 0);
	cr_expect_eq(atomic_load(&op->state), PST_OP_RUNNING);
	for (unsigned i = 0; i < PST_COUNT(states); i++) {
		atomic_store(&op->state, states[i]);
		ok = true;
		cr_expect_not(pst_op_run(op, &ok));
		cr_expect_not(ok);
		cr_expect_eq(atomic_load(&op->state), states[i]);
	}
	cr_expect_eq(atomic_load(&ran), 2);
	op_free(op);
}

Test(calls, what_is_cancelled_before_is_not_run_and_comes_back_failed)
{
	for (unsigned i = 0; i < PST_COUNT(cpus); i++) {
		struct rig *r = rig_open(cpus[i], KIT_DEPTH, true, NULL);
		struct key *k = key_new("rsa1024");
		uint8_t in[PST_OP_BYTES] = {0};
		_Atomic unsigned ran = 0;
		struct pst_op *ops[] = {
			op_call(succeed, &ran), op_call(succeed, &ran), op_new(k, in, 128)};
		bool ok[3];

		cr_assert(key_add(r, k));
		atomic_store(&ops[0]->state, PST_OP_CANCELLED);
		atomic_store(&ops[2]->state, PST_OP_CANCELLED);
		run_all(r, 0, ops, 3, ok);
		cr_expect(!ok[0] && ok[1] && !ok[2]);
		cr_expect_eq(atomic_load(&ran), 1);
		cr_expect_eq(ops[2]->out[0], 0xee, "nothing was worked out");
		for (unsigned n = 0; n < 3; n++)
			op_free(ops[n]);
		key_del(r, k);
		key_free(k);
		rig_close(r);
	}
}

/* ---- calls that wait for the test ---- */

struct gate {
	_Atomic unsigned entered, left;
	_Atomic bool open;
};

static int
pass(void *arg)
{
	struct gate *g = arg;

	atomic_fetch_add(&g->entered, 1);
	while (!atomic_load(&g->open))
		sched_yield();
	atomic_fetch_add(&g->left, 1);
	return 1;
}

static void
await(_Atomic unsigned *what, unsigned n)
{
	uint64_t until = pst_now_ns() + 30 * PST_NS_PER_SEC;

	while (atomic_load(what) < n) {
		cr_assert(pst_now_ns() < until, "%u of %u", atomic_load(what), n);
		usleep(100);
	}
}

static unsigned
reap_until(struct rig *r, unsigned lane, unsigned n)
{
	uint64_t until = pst_now_ns() + 30 * PST_NS_PER_SEC;
	struct pst_op_done done[64];
	unsigned got = 0;

	while (got < n) {
		got += r->drv->reap(r->b, lane, done, PST_COUNT(done));
		cr_assert(pst_now_ns() < until, "%u of %u", got, n);
	}
	return got;
}

Test(calls, a_lane_has_its_depth_out_and_no_more)
{
	static const char *const what[] = {"lcore", "fault around lcore", "fault around sync"};

	for (unsigned i = 0; i < PST_COUNT(what); i++) {
		struct rig *r = rig_open(what[i], 5, true, NULL);
		struct gate g = {.open = i == 2};
		struct pst_op *ops[8];
		struct pst_cryptodrv_stats s;

		for (unsigned n = 0; n < 8; n++)
			ops[n] = op_call(pass, &g);
		cr_expect_eq(r->drv->submit(r->b, 0, ops, 8), 5);
		cr_expect_eq(r->drv->submit(r->b, 0, ops + 5, 3), 0);
		cr_expect_eq(r->drv->submit(r->b, 1, ops + 5, 1), 1, "another lane has its own");
		r->drv->stats(r->b, &s);
		cr_expect_eq(s.out, 6);
		if (i < 2)
			await(&g.entered, 2); /* both lcores are at it */
		cr_expect_eq(reap_until(r, 0, 0), 0);
		atomic_store(&g.open, true);
		cr_expect_eq(reap_until(r, 0, 5), 5);
		cr_expect_eq(r->drv->submit(r->b, 0, ops + 6, 2), 2);
		cr_expect_eq(reap_until(r, 0, 2), 2);
		cr_expect_eq(reap_until(r, 1, 1), 1);
		rig_close(r);
		for (unsigned n = 0; n < 8; n++)
			op_free(ops[n]);
	}
}

Test(calls, sync_refuses_what_its_completions_have_no_room_for)
{
	struct rig *r = rig_open("sync", 3, true, NULL);
	_Atomic unsigned ran = 0;
	struct pst_op *ops[4];

	for (unsigned n = 0; n < 4; n++)
		ops[n] = op_call(succeed, &ran);
	cr_expect_eq(r->drv->submit(r->b, 0, ops, 4), 3);
	cr_expect_eq(atomic_load(&ran), 3);
	cr_expect_eq(reap_until(r, 0, 3), 3);
	rig_close(r);
	for (unsigned n = 0; n < 4; n++)
		op_free(ops[n]);
}

/* One is being run, one waits behind it: the first runs to its end, the second never. */
Test(calls, a_back_end_closes_with_work_inside)
{
	for (unsigned i = 1; i < PST_COUNT(cpus); i++) {
		struct rig *r = rig_open(cpus[i], KIT_DEPTH, true, NULL);
		struct gate g = {.open = false};
		struct pst_op *ops[8];

		for (unsigned n = 0; n < 8; n++)
			ops[n] = op_call(pass, &g);
		submit_all(r, 2, ops, 8);
		if (strstr(cpus[i], "lcore") != NULL) {
			await(&g.entered, 2);
			atomic_store(&g.open, true);
		}
		rig_close(r);
		cr_expect_eq(atomic_load(&g.entered), atomic_load(&g.left));
		for (unsigned n = 0; n < 8; n++) {
			uint32_t state = atomic_load(&ops[n]->state);

			cr_expect(state == PST_OP_QUEUED || state == PST_OP_RUNNING);
			memset(ops[n], 0xdd, sizeof(*ops[n]));
			op_free(ops[n]);
		}
	}
}

/* ---- what OpenSSL keeps for a thread and a context ---- */

static int
draw(void *arg)
{
	uint8_t bytes[16];

	return RAND_priv_bytes_ex(arg, bytes, sizeof(bytes), 0);
}

static int
end_as_a_thread(void *arg)
{
	OPENSSL_thread_stop();
	return 0;
}

/* The lcores' threads live on: a generator that they kept would be in a context that is gone. */
Test(calls, a_context_may_go_when_the_back_end_is_closed)
{
	for (unsigned round = 0; round < 3; round++) {
		OSSL_LIB_CTX *lib = OSSL_LIB_CTX_new();
		struct rig *r = rig_open("lcore", KIT_DEPTH, true, NULL);
		struct pst_op *ops[4];
		bool ok[4];

		for (unsigned n = 0; n < 4; n++)
			ops[n] = op_call(draw, lib);
		run_all(r, 0, ops, 4, ok);
		for (unsigned n = 0; n < 4; n++) {
			cr_expect(ok[n]);
			op_free(ops[n]);
		}
		rig_close(r);
		OSSL_LIB_CTX_free(lib);
		for (unsigned id = 1; id <= 2; id++) {
			cr_assert_eq(rte_eal_remote_launch(end_as_a_thread, NULL, id), 0);
			rte_eal_wait_lcore(id);
		}
	}
}

struct leaver {
	struct rig *r;
	struct key *k;
	pthread_barrier_t meet;
};

static void *
leaver_main(void *arg)
{
	struct leaver *l = arg;
	uint8_t in[32] = {1};
	struct pst_op *op = op_new(l->k, in, 32);
	bool ok;

	run_all(l->r, 1, &op, 1, &ok);
	cr_expect(ok);
	op_free(op);
	pthread_barrier_wait(&l->meet);
	pthread_barrier_wait(&l->meet); /* the back-end is closed */
	return NULL;
}

Test(calls, a_worker_may_end_after_its_back_end)
{
	struct leaver l = {.r = rig_open("sync", KIT_DEPTH, true, NULL), .k = key_new("p256")};
	pthread_t t;

	cr_assert(key_add(l.r, l.k));
	pthread_barrier_init(&l.meet, NULL, 2);
	cr_assert_eq(pthread_create(&t, NULL, leaver_main, &l), 0);
	pthread_barrier_wait(&l.meet);
	key_del(l.r, l.k);
	rig_close(l.r);
	pthread_barrier_wait(&l.meet);
	pthread_join(t, NULL);
	pthread_barrier_destroy(&l.meet);
	key_free(l.k);
}

/* ---- lcores: least loaded, asleep and awake ---- */

Test(calls, one_stuck_lcore_does_not_hold_up_the_other)
{
	struct rig *r = rig_open("lcore", KIT_DEPTH, true, NULL);
	struct gate g = {.open = false};
	struct pst_op *stuck = op_call(pass, &g);
	_Atomic unsigned ran = 0;

	submit_all(r, 0, &stuck, 1);
	await(&g.entered, 1);
	for (unsigned n = 0; n < 50; n++) {
		struct pst_op *op = op_call(succeed, &ran);

		submit_all(r, 0, &op, 1);
		cr_expect_eq(reap_until(r, 0, 1), 1);
		op_free(op);
	}
	cr_expect_eq(atomic_load(&ran), 50);
	atomic_store(&g.open, true);
	cr_expect_eq(reap_until(r, 0, 1), 1);
	op_free(stuck);
	rig_close(r);
}

/* Pauses around the time after which an lcore lies down: a lost wake-up would hang here. */
Test(calls, no_wake_up_is_lost)
{
	struct rig *r = rig_open("lcore", KIT_DEPTH, true, NULL);
	_Atomic unsigned ran = 0;

	for (unsigned n = 0; n < 3000; n++) {
		struct pst_op *op = op_call(succeed, &ran);
		uint64_t until = pst_now_ns() + n % 100 * 1000;
		unsigned lane = n % KIT_LANES;

		submit_all(r, lane, &op, 1);
		await(&r->wakes[lane], 1);
		cr_expect_eq(reap_until(r, lane, 1), 1, "it is there when the lane is woken");
		atomic_store(&r->wakes[lane], 0);
		op_free(op);
		while (pst_now_ns() < until)
			sched_yield();
	}
	rig_close(r);
}

Test(calls, a_lane_is_woken_once_for_a_burst)
{
	struct rig *r = rig_open("lcore", KIT_DEPTH, true, NULL);
	struct gate g = {.open = false};
	struct pst_op *first[2], *ops[64];
	_Atomic unsigned ran = 0;

	for (unsigned n = 0; n < 2; n++)
		first[n] = op_call(pass, &g);
	for (unsigned n = 0; n < 64; n++)
		ops[n] = op_call(succeed, &ran);
	submit_all(r, 3, first, 2);
	await(&g.entered, 2);
	submit_all(r, 3, ops, 64);
	atomic_store(&g.open, true);
	cr_expect_eq(reap_until(r, 3, 66), 66);
	await(&r->wakes[3], 4); /* the last wake comes after the last completion */
	/* 33 on each lcore, 16 of a turn at most; more turns if the threads are interrupted. */
	cr_expect_lt(atomic_load(&r->wakes[3]), 66);
	rig_close(r);
	for (unsigned n = 0; n < 64; n++)
		op_free(ops[n]);
	op_free(first[0]);
	op_free(first[1]);
}

static int
spin_a_while(void *arg)
{
	uint64_t until = pst_now_ns() + 300000;

	while (pst_now_ns() < until)
		;
	return 1;
}

static uint64_t
cpu_of(struct rig *r)
{
	struct pst_cryptodrv_stats s;

	r->drv->stats(r->b, &s);
	return s.cpu_ns;
}

Test(calls, idle_lcores_sleep_if_they_may_and_their_time_is_counted)
{
	struct rig *r = rig_open("lcore", KIT_DEPTH, true, NULL);
	struct pst_cryptodrv_stats s;
	uint64_t before;

	for (unsigned n = 0; n < 20; n++) {
		struct pst_op *op = op_call(spin_a_while, NULL);

		submit_all(r, 0, &op, 1);
		reap_until(r, 0, 1);
		op_free(op);
	}
	r->drv->stats(r->b, &s);
	cr_expect(s.busy_cycles > 0);
	/* Interruptions count in the calls' time but not in the thread's. */
	cr_expect_gt(s.cpu_ns, 20 * 30000);
	usleep(20000);
	before = cpu_of(r);
	usleep(100000);
	cr_expect_lt(cpu_of(r) - before, 10 * PST_NS_PER_MS, "asleep");
	rig_close(r);

	r = rig_open("lcore", KIT_DEPTH, false, NULL);
	before = cpu_of(r);
	for (unsigned n = 0; n < 100 && cpu_of(r) - before < 20 * PST_NS_PER_MS; n++)
		usleep(100000);
	cr_expect_geq(cpu_of(r) - before, 20 * PST_NS_PER_MS, "it spins");
	rig_close(r);
}

/* ---- opening ---- */

static void
expect_refused(const char *name, struct pst_cryptodrv_conf conf, const char *text)
{
	const struct pst_cryptodrv *drv = rig_driver(name);
	struct pst_cryptodrv_env env = {0};
	char err[256] = "";

	conf.name = "x";
	conf.nlanes = 1;
	conf.depth = 4;
	if (drv->check(&conf, err, sizeof(err)) == PST_OK)
		cr_expect_null(drv->open(&conf, &env, err, sizeof(err)));
	cr_expect(strncmp(err, "back-end x: ", 12) == 0, "\"%s\"", err);
	cr_expect_not_null(strstr(err, text), "\"%s\" has no \"%s\"", err, text);
}

Test(calls, what_cannot_be_opened_says_why)
{
	static const unsigned no_worker[] = {7}, main_one[] = {0}, busy[] = {1};
	struct rig *r = rig_open("lcore", KIT_DEPTH, true, NULL);
	struct pst_cryptodrv_conf opt = {.nopts = 1, .opts = {{"speed", "9"}}};

	expect_refused("sync", opt, "no option \"speed\"");
	expect_refused("lcore", opt, "no option \"speed\"");
	expect_refused("fault", opt, "no option \"speed\"");
	expect_refused("lcore", (struct pst_cryptodrv_conf){0}, "at least one lcore");
	expect_refused("lcore", (struct pst_cryptodrv_conf){.nlcores = 1, .lcores = no_worker},
		"lcore 7 is no worker");
	expect_refused("lcore", (struct pst_cryptodrv_conf){.nlcores = 1, .lcores = main_one},
		"lcore 0 is no worker");
	expect_refused("lcore", (struct pst_cryptodrv_conf){.nlcores = 1, .lcores = busy},
		"lcore 1: it runs something else");
	expect_refused("fault", (struct pst_cryptodrv_conf){0}, "\"around\"");
	rig_close(r);
	r = rig_open("lcore", KIT_DEPTH, true, NULL); /* the lcores are free again */
	rig_close(r);
}
