/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A DNS server that says what its script says, right or wrong, on 127.0.0.1, UDP and TCP, on
 * a thread of its own.
 *
 * A script is a table of rules; the first whose name and type fit speaks. Without one: NXDOMAIN
 * for a name that no rule has, else no data. Values are separated by blanks:
 *
 *   A, AAAA   an address           MX   preference:name           PTR, CNAME   a name
 *
 * A byte of a name may be \DDD, also what no name has; "." is the root. With `times` the values
 * are said that often, each %u in them being the number of the turn.
 */
#ifndef DNSD_H
#define DNSD_H

#include <pst_base.h>

enum dnsd_way {
	DNSD_RIGHT = 0,
	DNSD_NXDOMAIN,
	DNSD_SERVFAIL,
	DNSD_REFUSED,
	DNSD_SILENT,
	DNSD_GARBAGE,    /* bytes that are no message */
	DNSD_CUT,        /* the right one, its last bytes missing */
	DNSD_WRONG_ID,   /* what a blind forger sends; nothing else follows */
	DNSD_WRONG_NAME, /* answers another question */
	DNSD_HELD,       /* the right one, when dnsd_release is called */
};

struct dnsd_rule {
	const char *name; /* in lower case; "*.x": any that ends in .x; NULL ends the table */
	const char *type; /* "A", ...; NULL: any */
	const char *values;
	enum dnsd_way way;
	unsigned times;
	uint32_t ttl; /* 0: 300 */
};

struct dnsd;

/* Aborts the test on failure. The table stays the caller's. */
struct dnsd *dnsd_new(const struct dnsd_rule *rules);
void dnsd_free(struct dnsd *d);
const char *dnsd_address(const struct dnsd *d); /* "127.0.0.1@PORT" */
void dnsd_script(struct dnsd *d, const struct dnsd_rule *rules);
/* Says what was held; later questions are not held. */
void dnsd_release(struct dnsd *d);
/* How often it was asked; NULL: whatever name, whatever type. */
unsigned dnsd_asked(struct dnsd *d, const char *name, const char *type);

#endif
