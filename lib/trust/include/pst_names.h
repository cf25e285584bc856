/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Names: A, AAAA, MX and PTR by libunbound on a slow-path thread, with an RCU cache.
 *
 * A worker looks into the cache; what is not there it asks for and goes on; the answer
 * comes to it as a completion with the cookie of who asked. A worker never waits.
 *
 * Thread: new, configure, free: control thread. lookup, ask, done: a worker, its own
 * number. wait: any thread that may block and is registered with liburcu-qsbr.
 *
 * What DNS says is a stranger's word: a name that is not letters, digits, hyphens,
 * underscores and dots (RFC 1035, 5321 2.3.5) is dropped with the record that had it, and so
 * is an address that no host has (unspecified, multicast, IPv4-mapped AAAA). An
 * internationalised domain is asked for by its A-labels.
 */
#ifndef PST_NAMES_H
#define PST_NAMES_H

#include <pst_base.h>
#include <pst_ip.h>
#include <pst_span.h>

#define PST_NAMES_MAX     16 /* addresses of an answer */
#define PST_NAMES_SERVERS 8
#define PST_NAME_MAX      254 /* with the NUL */

enum pst_names_kind {
	PST_NAMES_HOST,   /* A and AAAA of a host */
	PST_NAMES_MX,     /* RFC 5321 5.1: MX hosts by preference and their addresses; no MX: the
			     domain's own; RFC 7505: "." means no mail */
	PST_NAMES_CLIENT, /* PTR of an address, if that name's A or AAAA has the address */
};

enum pst_names_status {
	PST_NAMES_FOUND,     /* n >= 1 */
	PST_NAMES_NONE,      /* there is no such name, or it has no address */
	PST_NAMES_NULL_MX,   /* the domain takes no mail */
	PST_NAMES_TEMPORARY, /* SERVFAIL, time-out, bogus: ask again later */
};

struct pst_names_host {
	struct pst_ip ip;
	uint16_t preference;     /* MX: lower first; else 0 */
	char name[PST_NAME_MAX]; /* no trailing dot, lower case; CLIENT: the confirmed name */
};

/*
 * An answer. Immutable in the cache. Of an MX answer's hosts the 16 best are looked at; each has
 * its first address in it before any has a second, A and AAAA in turn, A first; a host's
 * addresses are together. CLIENT: at most four names, in alphabetical order.
 */
struct pst_names_answer {
	enum pst_names_status status;
	bool secure;  /* every answer it rests on was validated by DNSSEC */
	char why[96]; /* for the log: "NXDOMAIN", "SERVFAIL", "timed out", "no address" */
	unsigned n;
	struct pst_names_host e[]; /* MX: by preference, equals in no order: see _shuffle */
};

/* 0 stands for the number that is named. */
struct pst_names_conf {
	unsigned nservers;                      /* 0: the system's resolv.conf */
	const char *servers[PST_NAMES_SERVERS]; /* "192.0.2.53" or "192.0.2.53@5353" */
	uint32_t timeout_ms;                    /* of one question, all its lookups; 5000 */
	uint32_t cache;          /* answers kept, least recently used goes first; 10000 */
	uint32_t max_ttl_s;      /* 86400; a TTL is at least 1 s */
	uint32_t negative_ttl_s; /* NONE and NULL_MX at most this; 300 */
	uint32_t failure_ttl_s;  /* TEMPORARY; 5 */
};

struct pst_names;

struct pst_names *pst_names_new(
	const struct pst_names_conf *conf, unsigned nworkers, char *err, size_t errlen);
/* Takes effect for questions to come; what is cached stays unless the servers, max_ttl_s or
 * negative_ttl_s changed. */
enum pst_rc pst_names_configure(
	struct pst_names *n, const struct pst_names_conf *conf, char *err, size_t errlen);
/* No worker asks or looks up any more, and no answer of a look-up is in use. Asks that are open
 * are dropped with their cookies; who waits is told TEMPORARY. */
void pst_names_free(struct pst_names *n);

/*
 * What the cache has, fresh; NULL: ask. key: a domain or host as text (any case), or an address's
 * text for CLIENT. Valid until the caller's next quiescent state.
 */
const struct pst_names_answer *pst_names_lookup(
	struct pst_names *n, enum pst_names_kind kind, struct pst_span key);
/*
 * Asks. Every question that returned PST_OK is completed once, within timeout_ms and a
 * little; equal questions under way are asked once of DNS. PST_NOMEM: too many are open.
 * PST_INVAL: no such name can exist.
 */
enum pst_rc pst_names_ask(struct pst_names *n, unsigned worker, enum pst_names_kind kind,
	struct pst_span key, uint64_t cookie);

struct pst_names_done {
	uint64_t cookie;
	struct pst_names_answer *answer; /* the receiver's: free() */
};
/* Completions for this worker; one load when there is none. */
unsigned pst_names_completed(
	struct pst_names *n, unsigned worker, struct pst_names_done *out, unsigned max);

/* Blocks until the answer is there; never NULL but without memory. free() it. */
struct pst_names_answer *pst_names_wait(
	struct pst_names *n, enum pst_names_kind kind, struct pst_span key);

struct pst_names_query {
	enum pst_names_kind kind;
	struct pst_span key;
	struct pst_names_answer *answer; /* written; as of pst_names_wait */
};
/* All of them at once: it takes as long as the slowest. */
void pst_names_wait_all(struct pst_names *n, struct pst_names_query *q, unsigned count);

/* A copy to keep; NULL: no memory. free() it. */
struct pst_names_answer *pst_names_copy(const struct pst_names_answer *a);
/* RFC 5321 5.1: "the sender-SMTP MUST randomize" among equal preferences. Hosts keep their
 * addresses together. */
void pst_names_shuffle(struct pst_names_answer *a, uint64_t seed);

#define PST_NAMES_COUNTERS(X)                                                                      \
	X(hits, "answers from the cache")                                                          \
	X(misses, "questions asked of DNS")                                                        \
	X(joined, "questions that joined one under way")                                           \
	X(failures, "questions that failed for now")                                               \
	X(evictions, "answers that made room")                                                     \
	X(dropped, "records with a name or address that is none")
struct pst_names_counters {
	PST_NAMES_COUNTERS(PST_COUNTER_MEMBER)
};
extern const struct pst_counter_desc pst_names_counter_descs[];
void pst_names_stats(
	struct pst_names *n, struct pst_names_counters *out, unsigned *cached, unsigned *open);

#endif
