/* SPDX-License-Identifier: BSD-3-Clause */
#include <pst_cycles.h>

#include <string.h>
#include <time.h>
#include <rte_cycles.h>

const char *const pst_layer_names[PST_LAYERS] = {
	"idle", "relay", "net", "tcp", "tls", "crypto", "smtp", "policy"};

__thread struct pst_cycles *pst_cycles_here;

static uint64_t
cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * PST_NS_PER_SEC + (uint64_t)t.tv_nsec;
}

uint64_t
pst_tsc_hz(void)
{
#if defined(__x86_64__) || defined(__aarch64__)
	static uint64_t hz;

	if (__atomic_load_n(&hz, __ATOMIC_RELAXED) == 0) {
		/* EAL knows it once it is up; before that, and without it, it is measured. */
		uint64_t known = rte_get_tsc_hz();

		if (known == 0) {
			uint64_t t0 = pst_tsc(), n0 = pst_now_ns(), n1;

			while ((n1 = pst_now_ns()) - n0 < 20 * PST_NS_PER_MS)
				;
			known = (uint64_t)((double)(pst_tsc() - t0) * 1e9 / (double)(n1 - n0));
		}
		__atomic_store_n(&hz, known, __ATOMIC_RELAXED);
	}
	return hz;
#else
	return PST_NS_PER_SEC;
#endif
}

void
pst_cycles_begin(struct pst_cycles *c)
{
	if (c != NULL) {
		(void)pst_tsc_hz(); /* not in the middle of a turn */
		memset(c->part, 0, sizeof(c->part));
		c->longest = 0;
		c->layer = PST_LAYER_RELAY;
		c->cpu_ns = cpu_ns();
		c->began = c->mark = pst_tsc();
	}
	pst_cycles_here = c;
}

/*
 * What the thread's clock says it ran, against what the TSC says passed. The clock is read
 * with some delay, so a difference of a few microseconds is nothing.
 */
#define SLACK_NS 5000

static bool
is_loss(uint64_t passed, uint64_t ran)
{
	return passed > ran + SLACK_NS * pst_tsc_hz() / PST_NS_PER_SEC;
}

static void
give_back(struct pst_cycles *c, uint64_t all, uint64_t ran)
{
	uint64_t lost = all - ran;

	if (c->longest >= lost) {
		c->part[c->longest_layer] -= lost;
		return;
	}
	for (unsigned i = 0; i < PST_LAYERS; i++) /* several times: nobody knows where */
		c->part[i] = (uint64_t)((double)c->part[i] * (double)ran / (double)all);
}

/* `passed`: TSC from the last turn's accounting to this one's, which may be interrupted too. */
static void
settle(struct pst_cycles *c, uint64_t passed, uint64_t ran_ns)
{
	uint64_t ran = (uint64_t)((double)ran_ns * (double)pst_tsc_hz() / 1e9), all = 0;

	for (unsigned i = 0; i < PST_LAYERS; i++)
		all += c->part[i];
	if (is_loss(passed, ran))
		c->stolen += passed - ran;
	if (is_loss(all, ran))
		give_back(c, all, ran);
	for (unsigned i = 0; i < PST_LAYERS; i++)
		c->total[i] += c->part[i];
	c->turns++;
	c->busy_cpu_ns += ran_ns;
	if (c->turn != NULL)
		c->turn(c->arg, ran_ns);
}

/* Ends one turn's account and begins the next: the CPU time, and the TSC that passed. */
static uint64_t
next(struct pst_cycles *c, uint64_t *passed)
{
	uint64_t ns = cpu_ns(), ran = ns - c->cpu_ns, t = pst_tsc();

	*passed = t - c->began;
	c->began = t;
	c->cpu_ns = ns;
	return ran;
}

static void
clear(struct pst_cycles *c)
{
	memset(c->part, 0, sizeof(c->part));
	c->longest = 0;
	c->mark = pst_tsc(); /* the accounting is nobody's */
}

void
pst_cycles_turn(bool work)
{
	struct pst_cycles *c = pst_cycles_here;
	uint64_t ran, passed;

	if (pst_likely(c == NULL))
		return;
	(void)pst_cycles_switch(c, PST_LAYER_RELAY);
	ran = next(c, &passed);
	if (work) {
		settle(c, passed, ran);
	} else {
		for (unsigned i = 0; i < PST_LAYERS; i++)
			c->total[PST_LAYER_IDLE] += c->part[i];
		c->empty_cpu_ns += ran;
	}
	clear(c);
}

void
pst_cycles_slept(void)
{
	struct pst_cycles *c = pst_cycles_here;
	uint64_t passed;

	if (pst_likely(c == NULL))
		return;
	c->total[PST_LAYER_IDLE] += pst_tsc() - c->mark;
	c->sleep_cpu_ns += next(c, &passed);
	clear(c);
}
