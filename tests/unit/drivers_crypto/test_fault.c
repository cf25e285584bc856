/* SPDX-License-Identifier: BSD-3-Clause */
/* Each fault happens as often as it is asked for, the same each time, and nothing is lost. */
#include "kit.h"

#include <pst_cryptodrv_fault.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

TestSuite(fault, .init = kit_eal, .timeout = 300);

#define OPS 400

/* A CALL with a product. */
struct product {
	uint8_t bytes[32];
	unsigned ran;
};

static int
produce(void *arg)
{
	struct product *p = arg;

	memset(p->bytes, 0x5a, sizeof(p->bytes));
	p->ran++;
	return 1;
}

static uint8_t *
product(void *arg, size_t *n)
{
	struct product *p = arg;

	*n = sizeof(p->bytes);
	return p->bytes;
}

/* What became of OPS operations. */
struct outcome {
	unsigned back[OPS]; /* how often it was given back */
	unsigned order[OPS], norder;
	bool ok[OPS], ran[OPS], right[OPS], late[OPS];
	unsigned refused, partial;
};

static void
look(struct outcome *o, struct pst_op **ops, const struct pst_op_done *done, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		unsigned k = 0;

		while (k < OPS && ops[k] != done[i].op)
			k++;
		cr_assert(k < OPS);
		cr_expect_eq(done[i].gen, ops[k]->gen);
		if (o->back[k]++ > 0)
			continue;
		o->order[o->norder++] = k;
		o->ok[k] = done[i].ok;
		o->late[k] = pst_now_ns() > ops[k]->deadline_ns;
	}
}

/*
 * One operation after the other is given, ten at a time; all come back. The deadline is far
 * away, so that only who is made late is late.
 */
static void
run(const char *what, const char *opts, bool typed, struct outcome *o, struct rig **keep)
{
	struct rig *r = rig_open(what, OPS, true, opts);
	static struct product products[OPS];
	struct pst_op *ops[OPS];
	struct key *k = typed ? key_new("rsa1024") : NULL;
	struct pst_op_done done[16];
	uint64_t deadline = pst_now_ns() + PST_NS_PER_SEC, until;
	uint8_t in[PST_OP_BYTES];

	memset(o, 0, sizeof(*o));
	memset(products, 0, sizeof(products));
	cr_assert(!typed || key_add(r, k));
	for (unsigned i = 0; i < OPS; i++) {
		if (typed)
			random_below(k, 0, in);
		ops[i] = typed ? op_new(k, in, k->nums.n.len) : op_call(produce, &products[i]);
		ops[i]->product = product;
		ops[i]->deadline_ns = deadline;
	}
	until = pst_now_ns() + 60 * PST_NS_PER_SEC;
	for (unsigned given = 0; given < OPS || o->norder < OPS;) {
		unsigned want = PST_MIN(10u, OPS - given);
		unsigned took = want > 0 ? r->drv->submit(r->b, 0, ops + given, want) : 0;

		o->refused += want > 0 && took == 0;
		o->partial += took > 0 && took < want;
		given += took;
		r->drv->flush(r->b, 0);
		look(o, ops, done, r->drv->reap(r->b, 0, done, PST_COUNT(done)));
		cr_assert(pst_now_ns() < until, "%u of %u came back", o->norder, given);
		if (took == 0)
			usleep(50);
	}
	usleep(5000); /* doubles that come later */
	for (unsigned n = 1; n > 0;)
		look(o, ops, done, n = r->drv->reap(r->b, 0, done, PST_COUNT(done)));
	for (unsigned i = 0; i < OPS; i++) {
		static const uint8_t right[32] = {[0 ... 31] = 0x5a};

		o->ran[i] = typed ? ops[i]->out[0] != 0xee || ops[i]->out[1] != 0xee
				  : products[i].ran > 0;
		cr_expect_leq(products[i].ran, 1);
		o->right[i] = typed ? is_right(k, ops[i])
				    : memcmp(products[i].bytes, right, sizeof(right)) == 0;
		op_free(ops[i]);
	}
	if (typed) {
		key_del(r, k);
		key_free(k);
	}
	if (keep != NULL)
		*keep = r;
	else
		rig_close(r);
}

/* About 100 of 400 each; the seeds are fixed, so these are no odds but facts. */
static void
expect_about_100(struct rig *r, enum pst_fault_class class)
{
	struct pst_cryptodrv_stats s;

	cr_expect(pst_fault_count(r->b, class) >= 60 && pst_fault_count(r->b, class) <= 140,
		"%s: %lu", pst_fault_names[class], (unsigned long)pst_fault_count(r->b, class));
	r->drv->stats(r->b, &s);
	cr_expect_eq(s.injected, pst_fault_count(r->b, class), "and no other");
	cr_expect_eq(s.ops, OPS);
	cr_expect_eq(s.out, 0);
}

static const struct {
	const char *what;
	bool typed;
} ways[] = {
	{"fault around sync", false},
	{"fault around sync", true},
	{"fault around lcore", false},
	{"fault around lcore", true},
};

#define EACH_WAY(w) for (unsigned w = 0; w < PST_COUNT(ways); w++)

static unsigned
count(const bool *b)
{
	unsigned n = 0;

	for (unsigned i = 0; i < OPS; i++)
		n += b[i];
	return n;
}

Test(fault, errors_are_failures)
{
	EACH_WAY(w)
	{
		struct outcome o;
		struct rig *r;

		run(ways[w].what, "seed=3 error=250", ways[w].typed, &o, &r);
		expect_about_100(r, PST_FAULT_error);
		cr_expect_eq(OPS - count(o.ok), pst_fault_count(r->b, PST_FAULT_error));
		for (unsigned i = 0; i < OPS; i++)
			cr_expect_eq(o.ran[i], ways[w].typed || o.ok[i]);
		rig_close(r);
	}
}

Test(fault, wrong_results_look_like_right_ones)
{
	EACH_WAY(w)
	{
		struct outcome o;
		struct rig *r;

		run(ways[w].what, "seed=4 wrong=250", ways[w].typed, &o, &r);
		expect_about_100(r, PST_FAULT_wrong);
		cr_expect_eq(count(o.ok), OPS);
		cr_expect_eq(OPS - count(o.right), pst_fault_count(r->b, PST_FAULT_wrong));
		rig_close(r);
	}
}

Test(fault, what_has_no_product_cannot_be_spoilt)
{
	struct rig *r = rig_open("fault around sync", 4, true, "wrong=1000");
	struct product p = {0};
	struct pst_op *op = op_call(produce, &p);
	bool ok;

	run_all(r, 0, &op, 1, &ok);
	cr_expect(ok && p.bytes[0] == 0x5a);
	cr_expect_eq(pst_fault_count(r->b, PST_FAULT_wrong), 0);
	op_free(op);
	rig_close(r);
}

Test(fault, drops_come_back_as_failures_after_they_are_given_up)
{
	EACH_WAY(w)
	{
		struct outcome o;
		struct rig *r;

		run(ways[w].what, "seed=5 drop=250 lost_ms=300", ways[w].typed, &o, &r);
		expect_about_100(r, PST_FAULT_drop);
		cr_expect_eq(OPS - count(o.ok), pst_fault_count(r->b, PST_FAULT_drop));
		for (unsigned i = 0; i < OPS; i++)
			cr_expect_eq(o.ran[i], o.ok[i]);
		rig_close(r);
	}
}

Test(fault, without_an_end_drops_never_come_back)
{
	struct rig *r = rig_open("fault around sync", 64, true, "drop=1000 lost_ms=0");
	struct product p = {0};
	struct pst_op *ops[4];
	struct pst_op_done done[8];
	struct pst_cryptodrv_stats s;

	for (unsigned i = 0; i < 4; i++)
		ops[i] = op_call(produce, &p);
	cr_expect_eq(r->drv->submit(r->b, 0, ops, 4), 4);
	usleep(20000);
	cr_expect_eq(r->drv->reap(r->b, 0, done, 8), 0);
	r->drv->stats(r->b, &s);
	cr_expect_eq(s.out, 4);
	rig_close(r);
	for (unsigned i = 0; i < 4; i++) {
		cr_expect_eq(atomic_load(&ops[i]->state), PST_OP_QUEUED);
		op_free(ops[i]);
	}
	cr_expect_eq(p.ran, 0);
}

Test(fault, delays_and_reordering_change_the_order_and_nothing_else)
{
	static const struct {
		const char *opts;
		enum pst_fault_class class;
	} cases[] = {{"seed=6 delay=250 delay_us=20000", PST_FAULT_delay},
		{"seed=6 reorder=250 delay_us=300000", PST_FAULT_reorder}};

	for (unsigned c = 0; c < PST_COUNT(cases); c++) {
		EACH_WAY(w)
		{
			struct outcome o;
			struct rig *r;
			unsigned swapped = 0;

			run(ways[w].what, cases[c].opts, ways[w].typed, &o, &r);
			cr_expect_gt(pst_fault_count(r->b, cases[c].class), 50);
			cr_expect(count(o.ok) == OPS && count(o.right) == OPS);
			/* Those that came back behind a later one. */
			for (unsigned i = 0, latest = 0; i < OPS; i++) {
				swapped += o.order[i] < latest;
				latest = PST_MAX(latest, o.order[i]);
			}
			cr_expect_geq(swapped, c == 0 ? 50 : pst_fault_count(r->b, cases[c].class),
				"%s %s: %u", cases[c].opts, ways[w].what, swapped);
			rig_close(r);
		}
	}
}

Test(fault, without_faults_the_order_is_kept_around_sync)
{
	struct outcome o;

	run("fault around sync", NULL, false, &o, NULL);
	for (unsigned i = 0; i < OPS; i++)
		cr_assert(o.order[i] == i && o.back[i] == 1 && o.ok[i]);
}

Test(fault, late_ones_miss_their_deadline)
{
	EACH_WAY(w)
	{
		struct outcome o;
		struct rig *r;

		run(ways[w].what, "seed=8 late=250", ways[w].typed, &o, &r);
		expect_about_100(r, PST_FAULT_late);
		cr_expect_geq(count(o.late), pst_fault_count(r->b, PST_FAULT_late));
		cr_expect_eq(count(o.ok), OPS);
		rig_close(r);
	}
}

/* The engine takes a late CALL back while it is queued, and runs it itself. */
Test(fault, a_late_call_can_be_cancelled_until_then)
{
	struct rig *r = rig_open("fault around lcore", 4, true, "late=1000");
	struct product p = {0};
	struct pst_op *op = op_call(produce, &p);
	struct pst_op_done done[4];
	uint32_t queued = PST_OP_QUEUED;

	op->deadline_ns = pst_now_ns() + 5 * PST_NS_PER_MS;
	cr_expect_eq(r->drv->submit(r->b, 0, &op, 1), 1);
	while (pst_now_ns() < op->deadline_ns)
		cr_expect_eq(r->drv->reap(r->b, 0, done, 4), 0);
	cr_expect(atomic_compare_exchange_strong(&op->state, &queued, PST_OP_CANCELLED));
	while (r->drv->reap(r->b, 0, done, 4) == 0)
		sched_yield();
	cr_expect(!done[0].ok && p.ran == 0);
	op_free(op);
	rig_close(r);
}

Test(fault, doubles_are_given_back_twice)
{
	EACH_WAY(w)
	{
		struct outcome o;
		unsigned twice = 0;
		struct rig *r;

		run(ways[w].what, "seed=9 double=250", ways[w].typed, &o, &r);
		expect_about_100(r, PST_FAULT_double);
		for (unsigned i = 0; i < OPS; i++) {
			cr_expect(o.back[i] == 1 || o.back[i] == 2);
			twice += o.back[i] == 2;
		}
		cr_expect_eq(twice, pst_fault_count(r->b, PST_FAULT_double));
		cr_expect_eq(count(o.ok), OPS);
		rig_close(r);
	}
}

Test(fault, stalls_full_queues_and_partial_submissions_refuse_and_lose_nothing)
{
	EACH_WAY(w)
	{
		struct outcome o;
		struct rig *r;

		run(ways[w].what, "seed=10 stall=200 stall_us=3000", ways[w].typed, &o, &r);
		cr_expect(pst_fault_count(r->b, PST_FAULT_stall) >= 3);
		cr_expect_gt(o.refused, pst_fault_count(r->b, PST_FAULT_stall), "it lasts");
		cr_expect_eq(count(o.ok), OPS);
		rig_close(r);
		run(ways[w].what, "seed=10 full=300", ways[w].typed, &o, &r);
		cr_expect(pst_fault_count(r->b, PST_FAULT_full) >= 5);
		cr_expect_eq(o.refused, pst_fault_count(r->b, PST_FAULT_full));
		cr_expect_eq(count(o.ok), OPS);
		rig_close(r);
		run(ways[w].what, "seed=10 partial=500", ways[w].typed, &o, &r);
		cr_expect(pst_fault_count(r->b, PST_FAULT_partial) >= 10);
		cr_expect_eq(o.partial + o.refused, pst_fault_count(r->b, PST_FAULT_partial));
		cr_expect_eq(count(o.ok), OPS);
		rig_close(r);
	}
}

Test(fault, the_same_seed_does_the_same_and_another_does_not)
{
	static const char opts[] = "seed=%u error=100 wrong=100 double=100 partial=200 full=100";
	struct outcome o[3];

	for (unsigned i = 0; i < 3; i++) {
		char text[128];

		snprintf(text, sizeof(text), opts, i == 2 ? 12 : 11);
		/* How operations are spread over threads makes no difference. */
		run(i == 0 ? "fault around sync" : "fault around lcore", text, false, &o[i], NULL);
	}
	cr_expect_eq(memcmp(o[0].ok, o[1].ok, sizeof(o[0].ok)), 0);
	cr_expect_eq(memcmp(o[0].back, o[1].back, sizeof(o[0].back)), 0);
	cr_expect_eq(memcmp(o[0].right, o[1].right, sizeof(o[0].right)), 0);
	cr_expect(o[0].refused == o[1].refused && o[0].partial == o[1].partial);
	cr_expect_neq(memcmp(o[0].ok, o[2].ok, sizeof(o[0].ok)), 0);
}

Test(fault, all_at_once_and_every_operation_comes_back)
{
	EACH_WAY(w)
	{
		struct outcome o;
		struct rig *r;

		run(ways[w].what,
			"seed=13 stall=50 full=100 partial=200 delay=100 drop=50 error=100 "
			"wrong=100 "
			"reorder=100 double=100 late=50 lost_ms=100",
			ways[w].typed, &o, &r);
		for (unsigned c = 0; c < PST_FAULT_NONE; c++)
			cr_expect_gt(pst_fault_count(r->b, c), 0, "%s", pst_fault_names[c]);
		for (unsigned i = 0; i < OPS; i++)
			cr_expect(o.back[i] >= 1 && o.back[i] <= 2);
		rig_close(r);
	}
}

Test(fault, options_that_make_no_sense_are_refused)
{
	static const struct {
		const char *key, *value, *text;
	} cases[] = {
		{"error", "1001", "option \"error\" is a number of 0 to 1000, not \"1001\""},
		{"error", "-1", "not \"-1\""},
		{"error", "", "not \"\""},
		{"error", "1e2", "not \"1e2\""},
		{"error", "99999999999999999999", "is a number"},
		{"stall_us", "0", "a number of 1 to"},
		{"seed", "x", "a number of 0 to 4294967295"},
		{"errors", "1", "no option \"errors\""},
		{"late", "400", "option \"late\" is given twice"},
		{"drop", "900", "1300 in a thousand"},
	};

	for (unsigned i = 0; i < PST_COUNT(cases); i++) {
		struct pst_cryptodrv_conf conf = {.name = "f",
			.nopts = 2,
			.opts = {{"late", "400"}, {cases[i].key, cases[i].value}}};
		char err[256] = "";

		cr_expect_eq(rig_driver("fault")->check(&conf, err, sizeof(err)), PST_INVAL);
		cr_expect_not_null(strstr(err, cases[i].text), "\"%s\"", err);
	}
}
