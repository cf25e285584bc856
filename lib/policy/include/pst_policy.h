/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Decisions about mail, from facts: no SMTP parser, no JSON, no clock.
 *
 * A compiled pst_policy is immutable and part of a snapshot; any number of
 * workers read it without locks. Today it decides the route; encryption rules,
 * next-hop policy maps and lists join the same facts and verdict.
 */
#ifndef PST_POLICY_H
#define PST_POLICY_H

#include <pst_base.h>
#include <pst_ip.h>
#include <pst_span.h>

/* What is known about a transaction when a recipient is judged. Filled by relay. */
struct pst_facts {
	unsigned listener; /* index */
	struct pst_ip client;
	bool client_tls;
	struct pst_span sender_domain;    /* n 0: null sender or none */
	struct pst_span recipient_domain; /* n 0: postmaster */
};

enum pst_verdict_kind {
	PST_VERDICT_ROUTE,  /* relay to next_hop */
	PST_VERDICT_REFUSE, /* answer code, enh, text */
	PST_VERDICT_NEED,   /* a fact is missing: see `need`; ask again when it is known */
};

struct pst_verdict {
	enum pst_verdict_kind kind;
	unsigned route;    /* index of the route that matched */
	unsigned next_hop; /* index */
	unsigned code;
	const char *enh, *text;
	unsigned need;
};

struct pst_policy_route {
	const char
		*domain; /* "example.com", "*.example.com" (subdomains only), "*", "[192.0.2.1]" */
	unsigned next_hop;
};

struct pst_policy;

/* Routes: an exact domain wins over the longest "*." parent, that over "*". Copies everything. */
struct pst_policy *pst_policy_new(
	const struct pst_policy_route *routes, unsigned n, char *err, size_t errlen);
void pst_policy_free(struct pst_policy *p);

/* No allocation, no lock. Domains compare without case and without a trailing dot. */
void pst_policy_eval(const struct pst_policy *p, const struct pst_facts *f, struct pst_verdict *v);

#endif
