/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Crypto lcores: EAL threads that do nothing but the operations of the workers.
 *
 * Between each lane and each lcore are two rings with one producer and one consumer: requests
 * there, completions back. A lane gives to the lcore that has the least of it. An lcore goes
 * round its lanes; a lane has its turn for TURN_OPS operations or TURN_US, whichever ends first,
 * so that one with RSA-4096 does not starve the others, and is woken once at the end of it.
 *
 * With adaptive idle an lcore that found nothing for SPIN_US sleeps until a lane rings; else
 * it spins. What was in request rings when the back-end closes is dropped there; an
 * operation that is being run is run to its end.
 */
#include "bell.h"
#include "soft.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <openssl/crypto.h>
#include <rte_cycles.h>
#include <rte_errno.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_pause.h>
#include <rte_ring.h>

#define TURN_OPS 16
#define TURN_US  100
#define SPIN_US  50

/* Between one lane and one lcore. Completions carry their outcome in the lowest bit. */
struct link {
	_Alignas(CACHE_LINE) struct rte_ring *request, *completion;
	unsigned out; /* the lane's: given and not reaped */
};

struct lane {
	_Alignas(CACHE_LINE) unsigned out; /* sum of its links' */
	unsigned next;                     /* lcore that is first in the next round */
	struct link *links;                /* by lcore */
};

struct lcore {
	_Alignas(CACHE_LINE) struct pst_backend *b;
	unsigned index; /* of context, key and links */
	unsigned id;    /* EAL's */
	bool launched;
	uint64_t quiet_since; /* TSC; 0: it is not quiet */
	uint64_t ops, failed, busy_cycles;
	clockid_t clock; /* of the thread's CPU time; valid once it is up */
	uint64_t cpu_began_ns;
	atomic_bool up, stop;
	struct bell bell;
};

struct pst_backend {
	struct pst_cryptodrv_conf conf;
	struct pst_cryptodrv_env env;
	uint64_t turn_cycles, spin_cycles;
	struct soft **soft; /* by lcore */
	struct lane *lanes;
	struct lcore *lcores;
};

/* ---- the lcore ---- */

static void
perform(struct lcore *lc, struct link *k, struct pst_op *op)
{
	bool ok = soft_run(op, lc->b->conf.index, lc->index);

	lc->ops++;
	lc->failed += !ok;
	/* There is room: the ring holds all that a lane may have out. */
	rte_ring_sp_enqueue(k->completion, (void *)((uintptr_t)op | ok));
}

/* One lane's turn. True: it had something. */
static bool
lane_turn(struct lcore *lc, unsigned lane)
{
	struct pst_backend *b = lc->b;
	struct link *k = &b->lanes[lane].links[lc->index];
	uint64_t began = 0;
	unsigned n = 0;
	void *op;

	while (n < TURN_OPS && rte_ring_sc_dequeue(k->request, &op) == 0) {
		if (n++ == 0)
			began = rte_rdtsc();
		perform(lc, k, op);
		if (rte_rdtsc() - began > b->turn_cycles)
			break;
	}
	if (n == 0)
		return false;
	if (b->env.wake != NULL)
		b->env.wake(b->env.arg, lane);
	lc->busy_cycles += rte_rdtsc() - began;
	return true;
}

static bool
has_requests(const struct lcore *lc)
{
	for (unsigned i = 0; i < lc->b->conf.nlanes; i++)
		if (!rte_ring_empty(lc->b->lanes[i].links[lc->index].request))
			return true;
	return false;
}

static void
rest(struct lcore *lc)
{
	uint64_t now = rte_rdtsc();

	if (lc->quiet_since == 0)
		lc->quiet_since = now;
	if (!lc->b->env.adaptive_idle || now - lc->quiet_since < lc->b->spin_cycles) {
		rte_pause();
		return;
	}
	bell_doze(&lc->bell);
	if (!has_requests(lc) && !atomic_load(&lc->stop))
		bell_sleep(&lc->bell);
	bell_rise(&lc->bell);
	lc->quiet_since = 0;
}

static uint64_t
cpu_ns(clockid_t clock)
{
	struct timespec t;

	if (clock_gettime(clock, &t) != 0)
		return 0;
	return (uint64_t)t.tv_sec * PST_NS_PER_SEC + (uint64_t)t.tv_nsec;
}

static int
lcore_main(void *arg)
{
	struct lcore *lc = arg;

	if (pthread_getcpuclockid(pthread_self(), &lc->clock) != 0)
		lc->clock = -1; /* of no clock: reads as 0 */
	lc->cpu_began_ns = cpu_ns(lc->clock);
	atomic_store(&lc->up, true);
	while (!atomic_load_explicit(&lc->stop, memory_order_relaxed)) {
		bool found = false;

		for (unsigned i = 0; i < lc->b->conf.nlanes; i++) {
			if (atomic_load_explicit(&lc->stop, memory_order_relaxed))
				break;
			found |= lane_turn(lc, i);
		}
		if (found)
			lc->quiet_since = 0;
		else
			rest(lc);
	}
	/* The CALLs left random generators in the workers' contexts, which go before EAL does. */
	OPENSSL_thread_stop();
	return 0;
}

/* ---- open and close ---- */

static enum pst_rc
lcore_check(const struct pst_cryptodrv_conf *conf, char *err, size_t errlen)
{
	static const char *const known[] = {NULL};

	return cryptodrv_check_opts(conf, known, err, errlen);
}

static void
lcore_close(struct pst_backend *b)
{
	for (unsigned i = 0; b->lcores != NULL && i < b->conf.nlcores; i++) {
		atomic_store(&b->lcores[i].stop, true);
		if (b->lcores[i].launched)
			bell_ring(&b->lcores[i].bell);
	}
	for (unsigned i = 0; b->lcores != NULL && i < b->conf.nlcores; i++) {
		if (b->lcores[i].launched)
			rte_eal_wait_lcore(b->lcores[i].id);
		bell_fini(&b->lcores[i].bell);
	}
	for (unsigned i = 0; b->lanes != NULL && i < b->conf.nlanes; i++) {
		for (unsigned k = 0; b->lanes[i].links != NULL && k < b->conf.nlcores; k++) {
			free(b->lanes[i].links[k].request);
			free(b->lanes[i].links[k].completion);
		}
		free(b->lanes[i].links);
	}
	for (unsigned i = 0; b->soft != NULL && i < b->conf.nlcores; i++)
		soft_put(b->soft[i]);
	free(b->soft);
	free(b->lcores);
	free(b->lanes);
	free(b);
}

/* In memory of our own: a ring by name would need a name that nobody else has. */
static struct rte_ring *
ring_new(unsigned depth)
{
	ssize_t bytes = rte_ring_get_memsize(rte_align32pow2(depth + 1));
	struct rte_ring *r = bytes > 0 ? cryptodrv_zalloc((size_t)bytes) : NULL;

	if (r != NULL && rte_ring_init(r, "crypto", depth,
				 RING_F_SP_ENQ | RING_F_SC_DEQ | RING_F_EXACT_SZ) != 0) {
		free(r);
		r = NULL;
	}
	return r;
}

static bool
lanes_open(struct pst_backend *b)
{
	for (unsigned i = 0; i < b->conf.nlanes; i++) {
		struct lane *l = &b->lanes[i];

		l->next = i % b->conf.nlcores;
		l->links = cryptodrv_zalloc(b->conf.nlcores * sizeof(*l->links));
		if (l->links == NULL)
			return false;
		for (unsigned k = 0; k < b->conf.nlcores; k++) {
			l->links[k].request = ring_new(b->conf.depth);
			l->links[k].completion = ring_new(b->conf.depth);
			if (l->links[k].request == NULL || l->links[k].completion == NULL)
				return false;
		}
	}
	return true;
}

/* All but the threads. */
static bool
memory_open(struct pst_backend *b)
{
	const struct pst_cryptodrv_conf *c = &b->conf;

	b->soft = calloc(c->nlcores, sizeof(*b->soft));
	b->lanes = cryptodrv_zalloc(c->nlanes * sizeof(*b->lanes));
	b->lcores = cryptodrv_zalloc(c->nlcores * sizeof(*b->lcores));
	for (unsigned i = 0; b->lcores != NULL && i < c->nlcores; i++)
		b->lcores[i] =
			(struct lcore){.b = b, .index = i, .id = c->lcores[i], .bell.efd = -1};
	if (b->soft == NULL || b->lanes == NULL || b->lcores == NULL)
		return false;
	for (unsigned i = 0; i < c->nlcores; i++) {
		b->soft[i] = soft_get();
		if (b->soft[i] == NULL || !bell_init(&b->lcores[i].bell))
			return false;
	}
	return lanes_open(b);
}

static enum pst_rc
launch(struct pst_backend *b, char *err, size_t errlen)
{
	for (unsigned i = 0; i < b->conf.nlcores; i++) {
		struct lcore *lc = &b->lcores[i];

		if (!rte_lcore_is_enabled(lc->id) || lc->id == rte_get_main_lcore())
			return cryptodrv_invalid(
				&b->conf, err, errlen, "lcore %u is no worker of EAL", lc->id);
		int rc = rte_eal_remote_launch(lcore_main, lc, lc->id);
		if (rc != 0)
			return cryptodrv_invalid(&b->conf, err, errlen, "lcore %u: %s", lc->id,
				rc == -EBUSY ? "it runs something else" : rte_strerror(-rc));
		lc->launched = true;
		while (!atomic_load(&lc->up))
			rte_delay_us_sleep(50);
	}
	return PST_OK;
}

static struct pst_backend *
lcore_open(const struct pst_cryptodrv_conf *conf, const struct pst_cryptodrv_env *env, char *err,
	size_t errlen)
{
	struct pst_backend *b;

	if (conf->nlcores == 0) {
		cryptodrv_invalid(conf, err, errlen, "needs at least one lcore of its own");
		return NULL;
	}
	b = calloc(1, sizeof(*b));
	if (b == NULL) {
		cryptodrv_invalid(conf, err, errlen, "no memory");
		return NULL;
	}
	b->conf = *conf;
	b->env = *env;
	b->turn_cycles = rte_get_tsc_hz() / 1000000 * TURN_US;
	b->spin_cycles = rte_get_tsc_hz() / 1000000 * SPIN_US;
	if (!memory_open(b)) {
		cryptodrv_invalid(conf, err, errlen, "no memory or no OpenSSL default provider");
		lcore_close(b);
		return NULL;
	}
	if (launch(b, err, errlen) != PST_OK) {
		lcore_close(b);
		return NULL;
	}
	return b;
}

/* ---- what lanes do ---- */

static bool
lcore_can(const struct pst_backend *b, enum pst_op_kind kind, enum pst_op_form form,
	enum pst_op_group group, unsigned bits)
{
	return soft_can(form, group, bits);
}

static bool
lcore_key_add(struct pst_backend *b, struct pst_op_key *key)
{
	if (key->priv[b->conf.index] == NULL)
		key->priv[b->conf.index] = soft_key_new(key, b->soft, b->conf.nlcores);
	return key->priv[b->conf.index] != NULL;
}

static void
lcore_key_del(struct pst_backend *b, struct pst_op_key *key)
{
	soft_key_free(key->priv[b->conf.index]);
	key->priv[b->conf.index] = NULL;
}

/* The lcore that has the least of this lane; among equals they take turns. */
static unsigned
least_loaded(struct pst_backend *b, struct lane *l)
{
	unsigned best = l->next;

	for (unsigned i = 1; i < b->conf.nlcores; i++) {
		unsigned k = (l->next + i) % b->conf.nlcores;

		if (l->links[k].out < l->links[best].out)
			best = k;
	}
	l->next = (best + 1) % b->conf.nlcores;
	return best;
}

static unsigned
lcore_submit(struct pst_backend *b, unsigned lane, struct pst_op **ops, unsigned n)
{
	struct lane *l = &b->lanes[lane];
	unsigned taken;

	for (taken = 0; taken < n && l->out < b->conf.depth; taken++) {
		struct link *k = &l->links[least_loaded(b, l)];

		if (rte_ring_sp_enqueue(k->request, ops[taken]) != 0)
			break;
		k->out++;
		l->out++;
	}
	/* Those that have something and are awake cost an exchange, the others a system call. */
	for (unsigned i = 0; taken > 0 && i < b->conf.nlcores; i++)
		if (l->links[i].out > 0)
			bell_ring(&b->lcores[i].bell);
	return taken;
}

static unsigned
lcore_reap(struct pst_backend *b, unsigned lane, struct pst_op_done *done, unsigned n)
{
	struct lane *l = &b->lanes[lane];
	unsigned got = 0;
	void *p;

	for (unsigned i = 0; i < b->conf.nlcores && l->out > 0; i++) {
		struct link *k = &l->links[i];

		while (got < n && rte_ring_sc_dequeue(k->completion, &p) == 0) {
			struct pst_op *op = (struct pst_op *)((uintptr_t)p & ~(uintptr_t)1);

			done[got++] = (struct pst_op_done){
				.op = op, .gen = op->gen, .ok = ((uintptr_t)p & 1) != 0};
			k->out--;
			l->out--;
		}
	}
	return got;
}

static void
lcore_stats(const struct pst_backend *b, struct pst_cryptodrv_stats *out)
{
	*out = (struct pst_cryptodrv_stats){0};
	for (unsigned i = 0; i < b->conf.nlcores; i++) {
		const struct lcore *lc = &b->lcores[i];

		out->ops += lc->ops;
		out->failed += lc->failed;
		out->busy_cycles += lc->busy_cycles;
		out->cpu_ns += cpu_ns(lc->clock) - lc->cpu_began_ns;
	}
	for (unsigned i = 0; i < b->conf.nlanes; i++)
		out->out += b->lanes[i].out;
}

const struct pst_cryptodrv cryptodrv_lcore = {
	.name = "lcore",
	.options = "",
	.needs_lcores = true,
	.wakes = true,
	.check = lcore_check,
	.open = lcore_open,
	.can = lcore_can,
	.key_add = lcore_key_add,
	.key_del = lcore_key_del,
	.submit = lcore_submit,
	.reap = lcore_reap,
	.stats = lcore_stats,
	.close = lcore_close,
};
