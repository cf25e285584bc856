/* SPDX-License-Identifier: BSD-3-Clause */
/* What the tests of the map share: four kinds of next hop, and one question. */
#ifndef MAP_TEST_H
#define MAP_TEST_H

#include "policy_test.h"

/* Hop 0: by the recipient's MX; 1: hosts; 2: the MX of other.example; 3: MX at port 587. */
#define MAP_HOPS 4
extern const struct pst_policy_next_hop map_hops[MAP_HOPS];

/* All mail goes to that hop. */
struct pst_policy_conf map_conf(const struct pst_policy_entry *e, unsigned n, unsigned hop);
/* What is demanded of a host of the next hop for mail to that domain. */
void map_demand(const struct pst_policy *p, const char *domain, const char *host, const char *ip,
	uint16_t port, struct pst_demand *d);
/* The one entry is refused for that member. */
void map_expect_fault(const struct pst_policy_entry *e, const char *member, const char *fault);

#endif
