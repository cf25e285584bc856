/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where a thread's time goes, by layer.
 *
 * A thread that is being measured has a pst_cycles and points pst_cycles_here at it; any
 * other thread pays a load and a branch for each mark. Marks stand where relay calls a lower
 * layer, and around asymmetric operations in crypto:
 *
 *   rc = PST_SPEND(PST_LAYER_TLS, pst_tls_handshake(l->tls, &io));
 *
 * Time runs on for one layer at a time. enter names the layer from now on and returns the
 * one before; leave names it again. Nothing is a stack, so a call that pauses on a fibre and
 * comes back to its caller in the middle of a section is right as long as each side leaves
 * with the value of its own enter: what runs after the pause is the caller's layer, and when
 * the fibre goes on under another enter, its leave names the layer it had come from.
 *
 * The marks of a turn are kept apart until pst_cycles_turn: only then is it known whether the
 * turn was work, and how much of it another thread or the hypervisor took. A thread that is
 * taken off its core stands still inside one layer, which would be charged for it: what the
 * turn lost is taken from its longest stretch.
 *
 * One writer, the thread itself. Others may read `total` and `turns` a moment late.
 */
#ifndef PST_CYCLES_H
#define PST_CYCLES_H

#include <pst_base.h>

#if defined(__x86_64__)
#include <x86intrin.h>
#endif

enum pst_layer {
	PST_LAYER_IDLE,   /* turns that found nothing, and sleep */
	PST_LAYER_RELAY,  /* what is nobody else's */
	PST_LAYER_NET,    /* devices, Ethernet, IP, checksums */
	PST_LAYER_TCP,    /* and what it sends through net */
	PST_LAYER_TLS,    /* without the next */
	PST_LAYER_CRYPTO, /* asymmetric operations inside TLS */
	PST_LAYER_SMTP,
	PST_LAYER_POLICY,
	PST_LAYERS
};
extern const char *const pst_layer_names[PST_LAYERS]; /* "idle", "relay", ... */

struct pst_cycles {
	uint64_t total[PST_LAYERS]; /* of finished turns, less what was stolen; TSC */
	uint64_t turns;             /* finished, with work */
	uint64_t busy_cpu_ns;       /* of those turns, by the thread's own clock; ns */
	uint64_t stolen;            /* TSC of those turns in which the thread did not run */
	uint64_t empty_cpu_ns;      /* of turns without work */
	uint64_t sleep_cpu_ns;      /* of going to sleep and waking */
	/* If set: called at the end of each turn with work, on the thread. */
	void (*turn)(void *arg, uint64_t cpu_ns);
	void *arg;
	/* private: */
	uint64_t part[PST_LAYERS]; /* of this turn */
	uint64_t mark, longest;
	uint64_t cpu_ns, began; /* the thread's clock and the TSC when the turn began */
	uint8_t layer, longest_layer;
};

/* The thread's own; NULL: nothing is counted. Set by pst_cycles_begin. */
extern __thread struct pst_cycles *pst_cycles_here;

/* Counts for the calling thread from now on, in PST_LAYER_RELAY; or no more (NULL). */
void pst_cycles_begin(struct pst_cycles *c);
/* The end of one turn of the thread's loop; `work`: it had some. */
void pst_cycles_turn(bool work);
/* The thread has slept since the last turn. */
void pst_cycles_slept(void);

/* The time stamp counter, or what is nearest to it; and how many a second (first call: slow). */
static inline uint64_t
pst_tsc(void)
{
#if defined(__x86_64__)
	return __rdtsc();
#elif defined(__aarch64__)
	uint64_t v;

	__asm__ volatile("mrs %0, cntvct_el0" : "=r"(v));
	return v;
#else
	return pst_now_ns();
#endif
}
uint64_t pst_tsc_hz(void);

/* Private: from now on it is `layer`'s time. */
static inline unsigned
pst_cycles_switch(struct pst_cycles *c, unsigned layer)
{
	uint64_t t = pst_tsc(), spent = t - c->mark;
	unsigned before = c->layer;

	c->part[before] += spent;
	if (spent > c->longest) {
		c->longest = spent;
		c->longest_layer = (uint8_t)before;
	}
	c->mark = t;
	c->layer = (uint8_t)layer;
	return before;
}

static inline unsigned
pst_cycles_enter(enum pst_layer layer)
{
	struct pst_cycles *c = pst_cycles_here;

	return pst_likely(c == NULL) ? PST_LAYER_RELAY : pst_cycles_switch(c, layer);
}

static inline void
pst_cycles_leave(unsigned before)
{
	struct pst_cycles *c = pst_cycles_here;

	if (pst_unlikely(c != NULL))
		(void)pst_cycles_switch(c, before);
}

static inline void
pst_cycles_leave_(const unsigned *before)
{
	pst_cycles_leave(*before);
}

/* Makes the call (of any type, void too) in that layer; its value. */
#define PST_SPEND(layer, call)                                                                     \
	({                                                                                         \
		__attribute__((cleanup(pst_cycles_leave_), unused)) const unsigned pst_before_ =   \
			pst_cycles_enter(layer);                                                   \
		call;                                                                              \
	})

#endif
