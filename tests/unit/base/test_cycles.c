/* SPDX-License-Identifier: BSD-3-Clause */
/* The account of a thread's time: what goes where. No figure is held against a clock. */
#include <criterion/criterion.h>
#include <pst_cycles.h>
#include <sched.h>
#include <time.h>
#include <ucontext.h>

static struct pst_cycles c;

/* Burns at least so much CPU time, so that a layer has a share that no preemption explains. */
static void
burn(uint64_t ns)
{
	struct timespec t;
	uint64_t from, now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	from = now = (uint64_t)t.tv_sec * PST_NS_PER_SEC + (uint64_t)t.tv_nsec;
	while (now - from < ns) {
		clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
		now = (uint64_t)t.tv_sec * PST_NS_PER_SEC + (uint64_t)t.tv_nsec;
	}
}

static uint64_t
cycles(uint64_t ns)
{
	return (uint64_t)((double)ns * (double)pst_tsc_hz() / 1e9);
}

static int
burn_and(int value)
{
	burn(2 * PST_NS_PER_MS);
	return value;
}

/*
 * The machine may be busy: what is asserted of shares holds for a turn that had the core to
 * itself, so turns are tried until one has. True: try (again).
 */
static bool
again(void)
{
	static unsigned tries;
	bool first = tries == 0;

	if (!first && (c.stolen == 0 || tries > 200))
		return false;
	tries++;
	return true;
}

static void
begin(void)
{
	c = (struct pst_cycles){0};
	pst_cycles_begin(&c);
}

Test(cycles, a_thread_that_is_not_measured_pays_nothing_and_still_gets_its_values)
{
	cr_expect_null(pst_cycles_here);
	cr_expect_eq(pst_cycles_enter(PST_LAYER_TLS), PST_LAYER_RELAY);
	pst_cycles_leave(PST_LAYER_RELAY);
	pst_cycles_turn(true);
	pst_cycles_slept();
	cr_expect_eq(PST_SPEND(PST_LAYER_TLS, burn_and(7)), 7);
}

Test(cycles, time_is_charged_to_the_layer_that_runs)
{
	while (again()) {
		begin();
		cr_expect_eq(PST_SPEND(PST_LAYER_TLS, burn_and(7)), 7);
		PST_SPEND(PST_LAYER_TCP, burn(1 * PST_NS_PER_MS));
		burn(1 * PST_NS_PER_MS);
		pst_cycles_turn(true);
	}
	cr_expect_eq(c.stolen, 0);
	/* The slack is what reading the clock costs. */
	cr_expect_geq(c.total[PST_LAYER_TLS], cycles(19 * PST_NS_PER_MS / 10));
	cr_expect_geq(c.total[PST_LAYER_TCP], cycles(9 * PST_NS_PER_MS / 10));
	cr_expect_geq(c.total[PST_LAYER_RELAY], cycles(9 * PST_NS_PER_MS / 10));
	cr_expect_eq(c.total[PST_LAYER_SMTP], 0);
	cr_expect_eq(c.total[PST_LAYER_IDLE], 0);
	cr_expect_eq(c.turns, 1);
	cr_expect_geq(c.busy_cpu_ns, 4 * PST_NS_PER_MS);
}

Test(cycles, nothing_is_in_the_total_before_the_turn_ends)
{
	begin();
	PST_SPEND(PST_LAYER_TLS, burn(PST_NS_PER_MS));
	cr_expect_eq(c.total[PST_LAYER_TLS], 0);
	pst_cycles_turn(true);
	cr_expect_neq(c.total[PST_LAYER_TLS], 0);
}

Test(cycles, a_turn_without_work_is_idle_whatever_its_layers)
{
	begin();
	PST_SPEND(PST_LAYER_NET, burn(PST_NS_PER_MS));
	pst_cycles_turn(false);
	cr_expect_eq(c.total[PST_LAYER_NET], 0);
	cr_expect_geq(c.total[PST_LAYER_IDLE], cycles(9 * PST_NS_PER_MS / 10));
	cr_expect_geq(c.empty_cpu_ns, PST_NS_PER_MS);
	cr_expect_eq(c.turns, 0);
	cr_expect_eq(c.busy_cpu_ns, 0);
}

Test(cycles, sleep_is_idle_and_its_cpu_time_has_a_figure_of_its_own)
{
	struct timespec t = {.tv_nsec = 5 * PST_NS_PER_MS};

	begin();
	nanosleep(&t, NULL);
	pst_cycles_slept();
	cr_expect_geq(c.total[PST_LAYER_IDLE], cycles(49 * PST_NS_PER_MS / 10));
	cr_expect_lt(c.sleep_cpu_ns, 5 * PST_NS_PER_MS);
	cr_expect_eq(c.empty_cpu_ns, 0);
}

/* Asleep in the middle of a layer is what another program's turn on the core looks like. */
Test(cycles, what_others_had_of_the_core_is_taken_back_from_the_layer_it_hit)
{
	struct timespec t = {.tv_nsec = 50 * PST_NS_PER_MS};

	for (unsigned i = 0; i < 200 && (i == 0 || c.stolen > cycles(55 * PST_NS_PER_MS)); i++) {
		begin();
		PST_SPEND(PST_LAYER_TCP, burn(200000));
		PST_SPEND(PST_LAYER_TLS, nanosleep(&t, NULL));
		pst_cycles_turn(true);
	}
	cr_expect_geq(c.stolen, cycles(45 * PST_NS_PER_MS));
	cr_expect_lt(c.total[PST_LAYER_TLS], cycles(5 * PST_NS_PER_MS));
	cr_expect_geq(c.total[PST_LAYER_TCP], cycles(100000));
}

static void
seen(void *arg, uint64_t cpu_ns)
{
	*(uint64_t *)arg += cpu_ns;
}

Test(cycles, an_observer_sees_turns_with_work_and_no_others)
{
	uint64_t sum = 0;

	begin();
	c.turn = seen;
	c.arg = &sum;
	burn(PST_NS_PER_MS);
	pst_cycles_turn(false);
	cr_expect_eq(sum, 0);
	burn(PST_NS_PER_MS);
	pst_cycles_turn(true);
	cr_expect_geq(sum, PST_NS_PER_MS);
	cr_expect_eq(sum, c.busy_cpu_ns);
}

/* ---- a call that pauses inside, as a TLS handshake does on OpenSSL's fibres ---- */

static ucontext_t caller, fibre;
static char stack[256 * 1024];
static unsigned inner_before;

static void
pausing(void)
{
	inner_before = pst_cycles_enter(PST_LAYER_CRYPTO);
	swapcontext(&fibre, &caller); /* the operation runs elsewhere */
	pst_cycles_leave(inner_before);
	burn(PST_NS_PER_MS); /* TLS goes on with its result */
}

static void
resume(void)
{
	unsigned before = pst_cycles_enter(PST_LAYER_TLS);

	swapcontext(&caller, &fibre);
	pst_cycles_leave(before);
}

Test(cycles, a_call_that_pauses_inside_leaves_every_side_in_its_own_layer)
{
	while (again()) {
		begin();
		getcontext(&fibre);
		fibre.uc_stack.ss_sp = stack;
		fibre.uc_stack.ss_size = sizeof(stack);
		fibre.uc_link = &caller;
		makecontext(&fibre, pausing, 0);
		resume();
		cr_expect_eq(inner_before, PST_LAYER_TLS);
		cr_expect_eq(c.layer, PST_LAYER_RELAY, "back in the caller it is its time");
		PST_SPEND(PST_LAYER_SMTP, burn(PST_NS_PER_MS)); /* of another session */
		cr_expect_eq(c.layer, PST_LAYER_RELAY);
		resume();
		cr_expect_eq(c.layer, PST_LAYER_RELAY);
		pst_cycles_turn(true);
	}
	cr_expect_geq(c.total[PST_LAYER_TLS], cycles(9 * PST_NS_PER_MS / 10));
	cr_expect_geq(c.total[PST_LAYER_SMTP], cycles(9 * PST_NS_PER_MS / 10));
	cr_expect_lt(c.total[PST_LAYER_CRYPTO], cycles(PST_NS_PER_MS / 2));
}
