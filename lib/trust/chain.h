/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One question as a chain of look-ups: which to make, what their replies mean, and the answer.
 * Pure: no socket, no clock, no libunbound.
 *
 *   HOST    A and AAAA at once
 *   MX      MX, then A and AAAA of each MX host at once; no MX: A and AAAA of the domain
 *   CLIENT  PTR, then A or AAAA (the address's own family) of each name
 *
 * start; while chain_next gives look-ups, make them; feed each reply once; when chain_done, or
 * when the time is up, chain_answer; fini.
 */
#ifndef CHAIN_H
#define CHAIN_H

#include "pst_names.h"

#define DNS_A    1
#define DNS_PTR  12
#define DNS_MX   15
#define DNS_AAAA 28

#define CHAIN_HOSTS 16 /* MX hosts that are looked at: the best by preference */
#define CHAIN_PTRS  4  /* names of a client that are looked at */

/* What a question is about. Compared whole up to the text's NUL. */
struct names_key {
	uint8_t kind;
	uint8_t len;
	char text[PST_NAME_MAX]; /* canonical: lower case, no trailing dot; CLIENT: RFC 5952 */
};

/* False: no such name can exist. */
bool names_key_make(struct names_key *k, enum pst_names_kind kind, struct pst_span text);

enum dns_outcome {
	DNS_WAITING = 0, /* no reply yet */
	DNS_SKIPPED,     /* not asked */
	DNS_DATA,
	DNS_NODATA,
	DNS_NXDOMAIN,
	DNS_FAILED, /* SERVFAIL, bogus, no server: says nothing about the name */
};

/* What DNS replied to one look-up. `data` as in ub_result: RDATA without compression. */
struct dns_reply {
	enum dns_outcome outcome;
	bool secure;
	uint32_t ttl;
	const char *why; /* DNS_FAILED */
	unsigned n;
	char *const *data;
	const int *len;
};

struct chain_family {
	enum dns_outcome outcome;
	uint8_t n;
	struct pst_ip ip[PST_NAMES_MAX];
};

struct chain_host {
	char name[PST_NAME_MAX];
	uint16_t preference;
	struct chain_family family[2]; /* A, AAAA */
};

struct chain {
	struct names_key key;
	struct pst_ip ip;      /* CLIENT */
	enum dns_outcome head; /* of MX or PTR */
	bool settled;          /* by the head alone: as status and why say */
	bool secure;           /* all replies so far */
	enum pst_names_status status;
	char why[96];
	uint32_t ttl;     /* the least of the replies so far */
	unsigned next;    /* slot to look at next: 0 the head, 1 + 2 * host + family */
	unsigned waiting; /* look-ups without a reply */
	unsigned dropped; /* records of no use */
	unsigned nhosts;
	struct chain_host *hosts;
};

struct chain_lookup {
	unsigned slot;
	uint16_t type;
	char name[PST_NAME_MAX];
};

void chain_start(struct chain *c, const struct names_key *key);
void chain_fini(struct chain *c);
/* The next look-up to make, if there is one now; it then waits for chain_feed. */
bool chain_next(struct chain *c, struct chain_lookup *out);
/* Would chain_next give one? */
bool chain_has_next(struct chain *c);
void chain_feed(struct chain *c, unsigned slot, const struct dns_reply *r);
/* Nothing to make and nothing to wait for. */
bool chain_done(struct chain *c);

struct chain_ttls {
	uint32_t max, negative, failure;
};
/*
 * The answer from what is known; a look-up without a reply timed out. NULL: no memory. *ttl:
 * seconds it may be kept, at least 1.
 */
struct pst_names_answer *chain_answer(
	struct chain *c, const struct chain_ttls *ttls, uint32_t *ttl);

/* An answer without addresses; NULL: no memory. */
struct pst_names_answer *answer_new(enum pst_names_status status, const char *why);

#endif
