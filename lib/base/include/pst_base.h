/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The words every library uses: results, and a few macros the language lacks.
 *
 * A result says whose fault it is. Callers always look at it.
 */
#ifndef PST_BASE_H
#define PST_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum pst_rc {
	PST_OK = 0,
	PST_AGAIN = -1,      /* wait: more bytes, more room or a verdict is needed */
	PST_EOF = -2,        /* the peer ended the stream in an orderly way */
	PST_PEER = -3,       /* the peer broke a rule: end the connection */
	PST_NOMEM = -4,      /* a pool is empty: shed load */
	PST_INVAL = -5,      /* the caller's argument or the operator's text is wrong */
	PST_BUG = -6,        /* ours: assert in debug, drop the session in production */
	PST_WANT_ASYNC = -7, /* a crypto operation is under way; come back on completion */
	PST_UNREACH = -8,    /* no route, no neighbour, no port left */
};

/* A short lower-case name ("again", "peer", ...) for logs; never NULL. */
const char *pst_rc_name(enum pst_rc rc);

#define pst_likely(x)   __builtin_expect(!!(x), 1)
#define pst_unlikely(x) __builtin_expect(!!(x), 0)

#define PST_COUNT(a)   (sizeof(a) / sizeof((a)[0]))
#define PST_CAT_(a, b) a##b
#define PST_CAT(a, b)  PST_CAT_(a, b)
/* Each use names its temporaries by a number of its own, so that uses nest. */
#define PST_PICK_(a, op, b, n)                                                                     \
	({                                                                                         \
		__typeof__(a) PST_CAT(pst_a_, n) = (a);                                            \
		__typeof__(b) PST_CAT(pst_b_, n) = (b);                                            \
		PST_CAT(pst_a_, n)                                                                 \
		op PST_CAT(pst_b_, n) ? PST_CAT(pst_a_, n) : PST_CAT(pst_b_, n);                   \
	})
#define PST_MIN(a, b)                       PST_PICK_(a, <, b, __COUNTER__)
#define PST_MAX(a, b)                       PST_PICK_(a, >, b, __COUNTER__)
#define pst_container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

/* Built with AddressSanitizer: each block is malloc's own, and stacks are watched. */
#if defined(__SANITIZE_ADDRESS__)
#define PST_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define PST_ASAN 1
#endif
#endif
#ifndef PST_ASAN
#define PST_ASAN 0
#endif

#define PST_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

/* Nanoseconds and milliseconds; the engines take `now` as an argument. */
#define PST_NS_PER_MS  1000000ull
#define PST_NS_PER_SEC 1000000000ull

/* CLOCK_MONOTONIC in nanoseconds. Only loops and slow-path threads call it. */
uint64_t pst_now_ns(void);

/*
 * Counters: one plain struct of uint64_t per worker, described by an X-macro so
 * that reports list every member and none is forgotten:
 *
 *   #define PST_FOO_COUNTERS(X) X(rx_packets, "packets received") ...
 *   struct pst_foo_counters { PST_FOO_COUNTERS(PST_COUNTER_MEMBER) };
 *
 * The owner adds without atomics; readers on other threads may see a value a
 * moment old (aligned 64-bit loads do not tear on the machines we support).
 */
#define PST_COUNTER_MEMBER(name, help) uint64_t name;

struct pst_counter_desc {
	const char *name; /* member name */
	const char *help; /* one line, no full stop */
	size_t offset;    /* of the uint64_t in its struct */
};
#define PST_COUNTER_DESC(stru, name, help) {#name, help, offsetof(struct stru, name)},

#endif
