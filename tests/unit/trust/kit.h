/* SPDX-License-Identifier: BSD-3-Clause */
/* What the tests of names share. */
#ifndef KIT_H
#define KIT_H

#include "names.h"

#include <dnsd.h>

/* ---- a chain and what DNS says to it ---- */

/* One reply. Values as dnsd has them; for MX a name may hold \DDD. */
struct said {
	const char *name;
	uint16_t type;
	enum dns_outcome outcome;
	const char *values; /* DNS_FAILED: why */
	uint32_t ttl;
	bool secure;
};

/* Plays a chain to its end, or until a look-up has no row: that one times out. */
struct pst_names_answer *play(enum pst_names_kind kind, const char *key, const struct said *says,
	size_t n, uint32_t *ttl);
#define PLAY(kind, key, says, ttl) play(kind, key, says, PST_COUNT(says), ttl)

/* "FOUND 10 mx1.example 192.0.2.1, 10 mx1.example 2001:db8::1"; "NONE NXDOMAIN". A static
 * buffer. NULL is "no answer". */
const char *told(const struct pst_names_answer *a);

/* ---- names with a server of ours ---- */

/* The clock of tests that set it. */
extern _Atomic(uint64_t) kit_now;
uint64_t kit_clock(void);

/* This thread is a reader then. `timeout_ms` 0: a minute. Aborts the test on failure. */
struct pst_names *kit_names(struct dnsd *d, unsigned nworkers, const struct pst_names_conf *conf,
	uint64_t (*clock)(void));
/* Ends names and server, and this thread's being a reader. */
void kit_end(struct pst_names *n, struct dnsd *d);
/* The clock goes on and the resolver looks at it. */
void kit_pass(struct pst_names *n, uint64_t ms);

/* Asks and waits: what was told. */
const char *kit_ask(struct pst_names *n, enum pst_names_kind kind, const char *key);
/* What the cache tells; "no answer" if nothing. */
const char *kit_lookup(struct pst_names *n, enum pst_names_kind kind, const char *key);
/* Until that many completions came to a worker; aborts if they do not. */
void kit_complete(struct pst_names *n, unsigned worker, struct pst_names_done *out, unsigned count);
/* Until the condition holds; aborts if it does not. */
#define KIT_UNTIL(cond)                                                                            \
	do {                                                                                       \
		for (unsigned turns_ = 0; !(cond); turns_++)                                       \
			kit_patience(turns_, #cond);                                               \
	} while (0)
void kit_patience(unsigned turns, const char *what);

struct pst_names_counters kit_counters(struct pst_names *n);
unsigned kit_cached(struct pst_names *n);
unsigned kit_open(struct pst_names *n);

#endif
