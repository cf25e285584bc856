/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Another back-end, with faults. For tests, and for operators who want to see what their
 * gateway does when an accelerator misbehaves.
 *
 *   {"driver": "fault", "around": "cores", "options": {"seed": "7", "error": "100", "late": "10"}}
 *
 * What happens to the k-th operation of a lane depends on the seed, the lane and k alone; what
 * happens to a call of submit on the calls before it. How long a stall lasts is time.
 *
 * An operation is waiting (the inner back-end does not have it yet), inside, or held: its
 * outcome is known. Around an inline back-end nothing is handed on before reap, so that its
 * operations can be cancelled and their handshakes pause, as with a real device.
 *
 * A CALL that has begun cannot be taken back, and the engine would wait for one that is lost
 * after that. So a CALL that is to be lost, late or failed is kept from the inner back-end:
 * its loss is seen while it is queued. A typed one is done, and its result comes late or is
 * called failed.
 *
 * It looks through all operations of a lane each time: a device for tests.
 */
#include "cryptodrv_impl.h"

#include <pst_cryptodrv_fault.h>
#include <pst_rand.h>
#include <stdlib.h>
#include <string.h>

#define BURST         64
#define AFTER_LATE_NS PST_NS_PER_MS /* how long after its deadline one is late at least */

const char *const pst_fault_names[PST_FAULT_NONE] = {
#define NAME(name, help) #name,
	PST_FAULT_CLASSES(NAME)
#undef NAME
};

enum where { WAITING, INSIDE, HELD };

/* An operation. */
struct record {
	struct pst_op *op;
	uint64_t due;  /* pst_now_ns: not before that to the inner back-end, or back to the lane */
	uint64_t luck; /* for what its fault needs: how long, which bit */
	uint64_t number; /* of the lane's, from 1 */
	uint32_t gen;
	uint8_t where, fate;
	bool ok;
};

/* A completion that is given a second time. Its operation may be another's by then. */
struct ghost {
	struct pst_op_done done;
	uint64_t due;
};

struct lane {
	_Alignas(CACHE_LINE) struct record *records; /* depth, in the order they came */
	unsigned n;
	struct ghost *ghosts; /* depth; when there is no room, nothing is doubled */
	unsigned nghosts;
	struct pst_rand calls, fates;
	uint64_t stalled_until;
	uint64_t numbered, passed; /* the last one taken; the latest given back */
	uint64_t ops, failed;
	uint64_t injected[PST_FAULT_NONE];
};

struct options {
	uint64_t permille[PST_FAULT_NONE];
	uint64_t seed, stall_us, delay_us, lost_ms;
};

struct pst_backend {
	struct pst_cryptodrv_conf conf;
	struct options o;
	struct lane *lanes;
};

/* ---- options ---- */

static enum pst_rc
read_options(const struct pst_cryptodrv_conf *conf, struct options *o, char *err, size_t errlen)
{
	static const char *const known[] = {
#define NAME(name, help) #name,
		PST_FAULT_CLASSES(NAME)
#undef NAME
			"seed",
		"stall_us", "delay_us", "lost_ms", NULL};
	uint64_t sum = 0;

	*o = (struct options){.seed = 1, .stall_us = 2000, .delay_us = 2000, .lost_ms = 1000};
	if (cryptodrv_check_opts(conf, known, err, errlen) != PST_OK)
		return PST_INVAL;
	for (unsigned i = 0; i < PST_FAULT_NONE; i++) {
		if (cryptodrv_opt_number(conf, pst_fault_names[i], 0, 1000, &o->permille[i], err,
			    errlen) != PST_OK)
			return PST_INVAL;
		sum += i >= PST_FAULT_delay ? o->permille[i] : 0;
	}
	if (sum > 1000)
		return cryptodrv_invalid(conf, err, errlen,
			"the faults of operations are %llu in a thousand together",
			(unsigned long long)sum);
	if (cryptodrv_opt_number(conf, "seed", 0, UINT32_MAX, &o->seed, err, errlen) != PST_OK ||
		cryptodrv_opt_number(conf, "stall_us", 1, 60000000, &o->stall_us, err, errlen) !=
			PST_OK ||
		cryptodrv_opt_number(conf, "delay_us", 1, 60000000, &o->delay_us, err, errlen) !=
			PST_OK ||
		cryptodrv_opt_number(conf, "lost_ms", 0, 3600000, &o->lost_ms, err, errlen) !=
			PST_OK)
		return PST_INVAL;
	return PST_OK;
}

static enum pst_rc
fault_check(const struct pst_cryptodrv_conf *conf, char *err, size_t errlen)
{
	struct options o;

	return read_options(conf, &o, err, errlen);
}

/* ---- what happens ---- */

static bool
strikes(const struct pst_backend *b, struct lane *l, enum pst_fault_class class)
{
	if (pst_rand_below(&l->calls, 1000) >= b->o.permille[class])
		return false;
	l->injected[class]++;
	return true;
}

/* How many of n this call of submit takes. */
static unsigned
offered(const struct pst_backend *b, struct lane *l, unsigned n)
{
	uint64_t now = pst_now_ns();

	if (now < l->stalled_until)
		return 0;
	if (strikes(b, l, PST_FAULT_stall)) {
		l->stalled_until = now + b->o.stall_us * 1000;
		return 0;
	}
	if (strikes(b, l, PST_FAULT_full))
		return 0;
	if (strikes(b, l, PST_FAULT_partial))
		return pst_rand_below(&l->calls, n);
	return n;
}

/* Two draws for each operation whatever comes of them, so that the k-th one's are its own. */
static void
cast(const struct pst_backend *b, struct lane *l, struct record *r)
{
	uint64_t u = pst_rand_below(&l->fates, 1000), from = 0;

	r->luck = pst_rand_u64(&l->fates);
	r->fate = PST_FAULT_NONE;
	for (unsigned i = PST_FAULT_delay; i < PST_FAULT_NONE; i++) {
		if (u >= from && u < from + b->o.permille[i])
			r->fate = (uint8_t)i;
		from += b->o.permille[i];
	}
}

static uint64_t
late_ns(const struct pst_op *op, uint64_t now)
{
	return PST_MAX(op->deadline_ns, now) + AFTER_LATE_NS;
}

static void
hold(struct record *r, bool ok, uint64_t due)
{
	r->where = HELD;
	r->ok = ok;
	r->due = due;
}

/* As it comes in. */
static void
begin(const struct pst_backend *b, struct lane *l, struct record *r)
{
	bool call = r->op->form == PST_FORM_CALL;
	uint64_t now = pst_now_ns();

	if (r->fate == PST_FAULT_drop)
		hold(r, false, b->o.lost_ms == 0 ? UINT64_MAX : now + b->o.lost_ms * PST_NS_PER_MS);
	else if (r->fate == PST_FAULT_error && call)
		hold(r, false, 0);
	else if (r->fate == PST_FAULT_late && call)
		r->due = late_ns(r->op, now);
	else
		return;
	l->injected[r->fate]++;
}

/* One or two bits of one byte. False: there is nothing to spoil. */
static bool
spoil(struct pst_op *op, uint64_t luck)
{
	size_t n = op->out_len;
	uint8_t *p = op->out;

	if (op->form == PST_FORM_CALL)
		p = op->product != NULL ? op->product(op->arg, &n) : NULL;
	if (p == NULL || n == 0)
		return false;
	p[(luck >> 8) % n] ^= (uint8_t)(1u << (luck & 7) | 1u << (luck >> 3 & 7));
	return true;
}

/* As it comes from the inner back-end. */
static void
finish(const struct pst_backend *b, struct lane *l, struct record *r, bool ok)
{
	uint64_t now = pst_now_ns();
	bool typed = r->op->form != PST_FORM_CALL;

	hold(r, ok, 0);
	switch (r->fate) {
	case PST_FAULT_delay:
		r->due = now + 1 + r->luck % (b->o.delay_us * 1000);
		break;
	case PST_FAULT_late:
		if (!typed)
			return; /* it was late before */
		r->due = late_ns(r->op, now);
		break;
	case PST_FAULT_reorder:
		/* At the latest then, if no other comes by. */
		r->due = now + b->o.delay_us * 1000;
		return; /* counted when it is overtaken */
	case PST_FAULT_error:
		r->ok = false;
		break;
	case PST_FAULT_wrong:
		if (!ok || !spoil(r->op, r->luck))
			return;
		break;
	default:
		return;
	}
	l->injected[r->fate]++;
}

/* ---- to and from the inner back-end ---- */

static void
forward(struct pst_backend *b, unsigned lane)
{
	struct lane *l = &b->lanes[lane];
	uint64_t now = pst_now_ns();
	struct record *rs[BURST];
	struct pst_op *ops[BURST];
	unsigned at = 0, n, took;

	do {
		for (n = 0; at < l->n && n < BURST; at++) {
			struct record *r = &l->records[at];

			if (r->where == WAITING && r->due <= now) {
				rs[n] = r;
				ops[n++] = r->op;
			}
		}
		took = n > 0 ? b->conf.inner_drv->submit(b->conf.inner, lane, ops, n) : 0;
		for (unsigned i = 0; i < took; i++)
			rs[i]->where = INSIDE;
	} while (n == BURST && took == n);
}

static void
gather(struct pst_backend *b, unsigned lane)
{
	struct lane *l = &b->lanes[lane];
	struct pst_op_done done[BURST];
	unsigned n;

	do {
		n = b->conf.inner_drv->reap(b->conf.inner, lane, done, BURST);
		for (unsigned i = 0; i < n; i++) {
			unsigned k = 0;

			while (k < l->n &&
				(l->records[k].op != done[i].op || l->records[k].where != INSIDE))
				k++;
			/* What a fault within us gave twice has no record any more. */
			if (k < l->n)
				finish(b, l, &l->records[k], done[i].ok);
		}
	} while (n == BURST);
}

/* ---- back to the lane ---- */

static struct pst_op_done
take(struct lane *l, unsigned at)
{
	struct record r = l->records[at];

	memmove(&l->records[at], &l->records[at + 1], (l->n - at - 1) * sizeof(r));
	l->n--;
	l->passed = PST_MAX(l->passed, r.number);
	l->ops++;
	l->failed += !r.ok;
	return (struct pst_op_done){.op = r.op, .gen = r.gen, .ok = r.ok};
}

/* Every second one soon, the others when their operation is likely to be another's. */
static void
haunt(const struct pst_backend *b, struct lane *l, const struct record *r,
	const struct pst_op_done *done, uint64_t now)
{
	if (l->nghosts == b->conf.depth)
		return;
	l->ghosts[l->nghosts++] = (struct ghost){
		.done = *done, .due = (r->luck & 1) != 0 ? now : now + b->o.delay_us * 1000};
	l->injected[PST_FAULT_double]++;
}

static unsigned
give_records(
	struct pst_backend *b, struct lane *l, struct pst_op_done *done, unsigned max, uint64_t now)
{
	unsigned n = 0;

	for (unsigned i = 0; i < l->n && n < max;) {
		struct record r = l->records[i];

		if (r.where != HELD || r.due > now) {
			i++;
			continue;
		}
		done[n++] = take(l, i);
		if (r.fate == PST_FAULT_double)
			haunt(b, l, &r, &done[n - 1], now);
	}
	return n;
}

/* Those that wait to be overtaken, once they were. */
static unsigned
give_overtaken(struct lane *l, struct pst_op_done *done, unsigned max)
{
	unsigned n = 0;

	for (unsigned i = 0; i < l->n && n < max;) {
		const struct record *r = &l->records[i];

		if (r->where != HELD || r->fate != PST_FAULT_reorder || r->number > l->passed) {
			i++;
			continue;
		}
		done[n++] = take(l, i);
		l->injected[PST_FAULT_reorder]++;
	}
	return n;
}

static unsigned
give_ghosts(struct lane *l, struct pst_op_done *done, unsigned max, uint64_t now)
{
	unsigned n = 0;

	for (unsigned i = 0; i < l->nghosts && n < max;) {
		if (l->ghosts[i].due > now) {
			i++;
			continue;
		}
		done[n++] = l->ghosts[i].done;
		l->ghosts[i] = l->ghosts[--l->nghosts];
	}
	return n;
}

/* ---- the ops ---- */

static void
fault_close(struct pst_backend *b)
{
	for (unsigned i = 0; b->lanes != NULL && i < b->conf.nlanes; i++) {
		free(b->lanes[i].records);
		free(b->lanes[i].ghosts);
	}
	free(b->lanes);
	free(b);
}

static bool
lane_open(struct pst_backend *b, unsigned i)
{
	struct lane *l = &b->lanes[i];

	pst_rand_seed(&l->calls, b->o.seed << 16 ^ i << 1);
	pst_rand_seed(&l->fates, b->o.seed << 16 ^ (i << 1 | 1));
	l->records = calloc(b->conf.depth, sizeof(*l->records));
	l->ghosts = calloc(b->conf.depth, sizeof(*l->ghosts));
	return l->records != NULL && l->ghosts != NULL;
}

static struct pst_backend *
fault_open(const struct pst_cryptodrv_conf *conf, const struct pst_cryptodrv_env *env, char *err,
	size_t errlen)
{
	struct pst_backend *b;
	struct options o;
	bool ok;

	if (read_options(conf, &o, err, errlen) != PST_OK)
		return NULL;
	if (conf->inner_drv == NULL || conf->inner == NULL) {
		cryptodrv_invalid(conf, err, errlen, "needs option \"around\": another back-end");
		return NULL;
	}
	b = calloc(1, sizeof(*b));
	ok = b != NULL;
	if (ok) {
		b->conf = *conf;
		b->o = o;
		b->lanes = cryptodrv_zalloc(conf->nlanes * sizeof(*b->lanes));
		ok = b->lanes != NULL;
		for (unsigned i = 0; ok && i < conf->nlanes; i++)
			ok = lane_open(b, i);
	}
	if (!ok) {
		cryptodrv_invalid(conf, err, errlen, "no memory");
		if (b != NULL)
			fault_close(b);
		return NULL;
	}
	return b;
}

static bool
fault_can(const struct pst_backend *b, enum pst_op_kind kind, enum pst_op_form form,
	enum pst_op_group group, unsigned bits)
{
	return b->conf.inner_drv->can(b->conf.inner, kind, form, group, bits);
}

/* The inner back-end's key is the one that counts; the mark says that there is one. */
static bool
fault_key_add(struct pst_backend *b, struct pst_op_key *key)
{
	const struct pst_cryptodrv *drv = b->conf.inner_drv;

	if (drv->key_add == NULL || !drv->key_add(b->conf.inner, key))
		return false;
	key->priv[b->conf.index] = b;
	return true;
}

static void
fault_key_del(struct pst_backend *b, struct pst_op_key *key)
{
	key->priv[b->conf.index] = NULL;
}

static unsigned
fault_submit(struct pst_backend *b, unsigned lane, struct pst_op **ops, unsigned n)
{
	struct lane *l = &b->lanes[lane];
	unsigned may = n == 0 ? 0 : offered(b, l, n), i;

	for (i = 0; i < may && l->n < b->conf.depth; i++) {
		struct record *r = &l->records[l->n++];

		*r = (struct record){.op = ops[i], .gen = ops[i]->gen, .number = ++l->numbered};
		cast(b, l, r);
		begin(b, l, r);
	}
	if (!b->conf.inner_drv->inline_)
		forward(b, lane);
	return i;
}

static void
fault_flush(struct pst_backend *b, unsigned lane)
{
	if (b->conf.inner_drv->flush != NULL)
		b->conf.inner_drv->flush(b->conf.inner, lane);
}

static unsigned
fault_reap(struct pst_backend *b, unsigned lane, struct pst_op_done *done, unsigned n)
{
	struct lane *l = &b->lanes[lane];
	unsigned got;
	uint64_t now;

	forward(b, lane);
	fault_flush(b, lane); /* what waited here missed the round's flush */
	gather(b, lane);
	now = pst_now_ns();
	got = give_records(b, l, done, n, now);
	got += give_overtaken(l, done + got, n - got);
	return got + give_ghosts(l, done + got, n - got, now);
}

uint64_t
pst_fault_count(const struct pst_backend *b, enum pst_fault_class class)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < b->conf.nlanes; i++)
		sum += b->lanes[i].injected[class];
	return sum;
}

static void
fault_stats(const struct pst_backend *b, struct pst_cryptodrv_stats *out)
{
	*out = (struct pst_cryptodrv_stats){0};
	for (unsigned i = 0; i < b->conf.nlanes; i++) {
		out->ops += b->lanes[i].ops;
		out->failed += b->lanes[i].failed;
		out->out += b->lanes[i].n;
	}
	for (unsigned c = 0; c < PST_FAULT_NONE; c++)
		out->injected += pst_fault_count(b, c);
}

const struct pst_cryptodrv cryptodrv_fault = {
	.name = "fault",
	.options = "seed, stall, full, partial, delay, drop, error, wrong, reorder, double, "
		   "late, stall_us, delay_us, lost_ms",
	.wraps = true,
	.check = fault_check,
	.open = fault_open,
	.can = fault_can,
	.key_add = fault_key_add,
	.key_del = fault_key_del,
	.submit = fault_submit,
	.flush = fault_flush,
	.reap = fault_reap,
	.stats = fault_stats,
	.close = fault_close,
};
