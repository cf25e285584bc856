/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where a next hop is: the seam between a route and its addresses.
 *
 * A query names the hosts of a next hop; the answer is an ordered list of
 * endpoints to try. Today's source is static addresses, which answers at once;
 * a resolver on the slow path answers PST_AGAIN and completes later, and the
 * caller's session waits (a worker never does).
 */
#ifndef PST_NAMES_H
#define PST_NAMES_H

#include <pst_ip.h>

#define PST_NAMES_MAX 16

struct pst_names_host {
	const char *name; /* the host's name, for verification and logs; may be NULL */
	bool has_addr;
	struct pst_ip addr; /* static address */
	uint16_t port;
	uint16_t priority; /* lower first; equals keep their order */
};

struct pst_names_answer {
	unsigned n;
	struct {
		struct pst_endpoint at;
		const char *name; /* belongs to the query's hosts */
	} e[PST_NAMES_MAX];
};

/* PST_OK: *out filled (n may be 0). PST_AGAIN: pending. Pure for static addresses. */
enum pst_rc pst_names_resolve(
	const struct pst_names_host *hosts, unsigned n, struct pst_names_answer *out);

#endif
