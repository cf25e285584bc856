/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the files of lib/policy share.
 *
 *   domain.c   one form in which domains are compared
 *   names.c    a table of names and of "what is below a name", asked from the end
 *   address.c  a table of addresses and networks
 *   words.c    enumerations as text
 *   rules.c    the ordered rules as pairs of interned patterns
 *   asked.c    of which senders the rules may demand TLS
 *   routes.c   recipient's domain to next hop
 *   map.c      Postfix's policy map: destinations, levels, match names
 *   tlsset.c   protocols and ciphers of map entries as OpenSSL's words
 *   list.c     the lists of who never and who always uses STARTTLS
 *   match.c    what a certificate must show
 *   line.c     lines of Postfix's tables
 *   policy.c   compile, free, lint
 *   ask.c      the questions of a session, and the arithmetic of their answer
 *   host.c     the question about a host
 *
 * Compiled once, then read by any number of threads. Hashes have no key: names in
 * the tables are the operator's, so a peer can at most ask for a long probe, and
 * no table is more than half full.
 */
#ifndef PST_POLICY_INT_H
#define PST_POLICY_INT_H

#include <pst_policy.h>

#define POLICY_DOMAIN_MAX  255 /* RFC 1035 2.3.4 */
#define POLICY_LABEL_MAX   63
#define POLICY_DOMAIN_ROOM 264 /* read in words of 8 bytes; what is behind the NUL is 0 */
#define POLICY_LABELS      128
#define POLICY_FAULTS_MAX  100

/* ---- domains ---- */

/* Lower case, A-labels, no trailing dot; an address literal as "[" RFC 5952 text "]". */
struct policy_domain {
	char s[POLICY_DOMAIN_ROOM];
	unsigned n;
	bool literal;
};

/* False if it is longer than any domain. An address literal that is none stays as it is. */
bool policy_domain_fold(struct policy_domain *d, struct pst_span in);

/* NULL if d may stand in a table (without its "*."), else what is wrong with it. */
const char *policy_domain_fault(const struct policy_domain *d);

/* A pattern as a table keeps it: "*.a.b" as ".a.b". NULL, or what is wrong with it. */
const char *policy_pattern_fold(struct policy_domain *d, const char *text);

/* A domain with the hashes of itself and of its shorter parents; asked of several tables. */
struct policy_query {
	struct policy_domain d;
	uint32_t hash;
	unsigned dots;
	uint8_t dot[POLICY_LABELS];     /* dot[k]: where the parent of k + 1 labels begins */
	uint32_t at_dot[POLICY_LABELS]; /* its hash, dot included */
};

/* labels: of the longest parent that matters. False: nothing can match it but "any". */
bool policy_query_set(struct policy_query *q, struct pst_span domain, unsigned labels);
/* Of a pattern that policy_pattern_fold made: its chain is what covers it. */
void policy_query_hash(struct policy_query *q);
/* The same for a key that was put together in q->d; only q->hash counts. */
void policy_query_key(struct policy_query *q, const char *s, unsigned n);
uint64_t policy_hash_bytes(const char *s, size_t n);

/* ---- names ---- */

struct policy_name_slot {
	uint32_t hash;
	uint32_t at; /* of the record in text; 0: free */
	uint32_t id;
	uint32_t n; /* the name's length */
};

/* Names get the ids 0, 1, 2, ... in the order in which they come. */
struct policy_names {
	unsigned n, cap; /* cap: how many the slots allow */
	uint32_t mask;
	struct policy_name_slot *slots;
	uint32_t *at; /* id -> record */
	char *text;   /* names, each with its NUL */
	size_t len, room;
	uint64_t below[2]; /* bit k: there is a ".name" of k labels */
	const char *meant; /* what the owner keeps by id and will read on a hit; or NULL */
	size_t meant_size;
};

/* The labels of the longest ".name". */
unsigned policy_names_labels(const struct policy_names *t);
bool policy_names_init(struct policy_names *t, size_t cap);
void policy_names_fini(struct policy_names *t);
size_t policy_names_bytes(const struct policy_names *t);
/* The id, or -1. */
int64_t policy_names_find(const struct policy_names *t, uint32_t hash, const char *s, unsigned n);
/* The id, old or new; -1: no memory. */
int64_t policy_names_add(struct policy_names *t, const char *s, unsigned n);
/*
 * The memory that a question will need begins to come while the caller does something
 * else: first the slots, then (with the slots there) what they point to.
 */
void policy_names_expect(const struct policy_names *t, const struct policy_query *q);
void policy_names_expect_more(const struct policy_names *t, const struct policy_query *q);
const char *policy_names_text(const struct policy_names *t, unsigned id);
/* The name itself. */
int64_t policy_names_exact(const struct policy_names *t, const struct policy_query *q);
/*
 * The next ".parent" in the table that covers q, the longest first. *k: start with
 * q->dots; -1 when there is no more.
 */
int64_t policy_names_parent(
	const struct policy_names *t, const struct policy_query *q, unsigned *k);

/* ---- addresses ---- */

struct policy_address_slot {
	struct pst_ip ip;
	uint16_t tag; /* a length in bits, or a port */
	bool used;
	uint32_t value;
};

struct policy_addresses {
	unsigned n;
	uint32_t mask;
	struct policy_address_slot *slots;
};

bool policy_addresses_init(struct policy_addresses *t, size_t cap);
void policy_addresses_fini(struct policy_addresses *t);
size_t policy_addresses_bytes(const struct policy_addresses *t);
/* Its value, for reading and changing; NULL: not there. */
uint32_t *policy_addresses_find(
	const struct policy_addresses *t, const struct pst_ip *ip, unsigned tag);
void policy_addresses_add(
	struct policy_addresses *t, const struct pst_ip *ip, unsigned tag, uint32_t value);

/* ---- rules ---- */

/* One pattern of one side. first is in the same cache line as what makes most pairs needless. */
struct policy_node {
	uint32_t first; /* lowest rule with it; POLICY_NO_RULE: none */
	uint32_t pairs; /* how many partners it has */
	uint32_t other; /* the partner, if it is the only one */
	bool asked;     /* sender side, R7: TLS may be demanded of who lands here */
};
#define POLICY_NO_RULE UINT32_MAX

/* Nodes 0 and 1 of either side; names follow. */
#define POLICY_NODE_ANY  0u
#define POLICY_NODE_NULL 1u
#define POLICY_NODES     2u

struct policy_side {
	struct policy_names names;
	struct policy_node *nodes;
};

struct policy_pair {
	uint32_t from, to;
	uint32_t rule; /* + 1; 0: free */
};

struct policy_rule {
	uint32_t from, to; /* nodes; 0 if disabled */
	uint32_t id;       /* offset in ids */
	uint8_t sender, recipient;
	bool enabled;
};

struct policy_rules {
	unsigned n;
	struct policy_rule *rule;
	char *ids;
	size_t ids_len;
	struct policy_side from, to;
	uint32_t mask;
	struct policy_pair *pairs;
	bool asked_by_default; /* R7: of a sender whom no pattern names */
};

/* What covers a name, most specific first. */
struct policy_chain {
	unsigned n;
	uint32_t node[POLICY_LABELS + 2];
};

/* ---- lists ---- */

struct policy_lists {
	struct policy_names names; /* "host", ".domain" */
	uint8_t *names_bits;       /* PST_LISTED_*, by id */
	struct policy_addresses addresses;
	unsigned nlen4, nlen6; /* the prefix lengths that occur */
	uint8_t len4[33], len6[129];
	bool any_name;
	unsigned n[2]; /* never, required: as written, for lint */
	char **text[2];
};

/* ---- the map ---- */

enum policy_match_kind {
	POLICY_MATCH_NAME,
	POLICY_MATCH_HOSTNAME,
	POLICY_MATCH_NEXTHOP,
	POLICY_MATCH_DOT_NEXTHOP
};

struct policy_match {
	enum policy_match_kind kind;
	bool subdomains;
	char *name; /* of POLICY_MATCH_NAME */
};

/* What a map entry and a next hop's own level have in common. */
struct policy_word {
	enum pst_level level;
	unsigned nmatch;
	struct policy_match *match;
	unsigned nfingerprints;
	uint8_t (*fingerprints)[32];
};

/* One cache line. */
struct policy_entry {
	_Alignas(64) struct policy_word word;
	unsigned tls;
	enum policy_match_kind servername_kind;
	char *servername;  /* NULL: the host's, or as the kind says */
	char *destination; /* canonical */
};

struct policy_map {
	unsigned n;
	struct policy_entry *entry;
	struct policy_names domains; /* "d", ".d", "d:587" */
	struct policy_names hosts;   /* what stands in brackets: "h", "h:587" */
	struct policy_addresses addresses;
	uint32_t *domain_entry, *host_entry; /* id -> entry */
	unsigned ntls;
	struct pst_policy_tls tls[PST_TLS_SETS_MAX];
};

struct policy_hop {
	char *name;
	bool mx, no_tls, implicit;
	uint16_t port;
	char *mx_domain; /* canonical; NULL: the recipient's */
	int32_t entry;   /* of the map, for mx_domain */
	struct policy_word word;
};

/* ---- the whole ---- */

struct pst_policy {
	struct policy_names routes;
	uint32_t *route_of; /* id -> index */
	unsigned nroutes;
	uint32_t *route_hop; /* index -> next hop */
	int64_t any_route;
	struct policy_rules rules;
	enum pst_sender_policy default_sender;
	enum pst_recipient_policy default_recipient;
	enum pst_level inbound, outbound;
	bool tls_before_mail;
	bool sender_none, sender_required;
	enum pst_level sender_gap; /* what silence of all sources means */
	struct policy_map map;
	struct policy_lists lists;
	unsigned nhops;
	struct policy_hop *hops;
	unsigned labels;   /* of the longest parent in any table */
	size_t text_bytes; /* of small strings */
};

struct policy_compile {
	struct pst_policy *p;
	const struct pst_policy_conf *conf;
	pst_policy_report_fn *report;
	void *arg;
	unsigned faults;
	bool nomem;
};

void policy_fault(struct policy_compile *c, enum pst_policy_section section, unsigned index,
	const char *member, const char *fmt, ...) PST_PRINTF(5, 6);
char *policy_strdup(struct policy_compile *c, const char *s, size_t n);

void policy_routes_compile(struct policy_compile *c);
void policy_rules_compile(struct policy_compile *c);
void policy_hops_compile(struct policy_compile *c); /* after the map */
void policy_map_compile(struct policy_compile *c);
void policy_lists_compile(struct policy_compile *c);
void policy_routes_fini(struct pst_policy *p);
void policy_rules_fini(struct policy_rules *r);
void policy_hops_fini(struct pst_policy *p);
void policy_map_fini(struct policy_map *m);
void policy_lists_fini(struct policy_lists *l);

/* Index of the route, or -1. q NULL: a recipient without a domain, or none that can be one. */
int64_t policy_route_find(const struct pst_policy *p, const struct policy_query *q);
/* q NULL: any or, with null, the null sender. */
void policy_chain_find(const struct policy_side *s, const struct policy_query *q, bool null,
	struct policy_chain *out);
/* The lowest rule of any pair, or POLICY_NO_RULE. */
uint32_t policy_rules_find(const struct policy_rules *r, const struct policy_chain *from,
	const struct policy_chain *to);
const char *policy_rule_id(const struct policy_rules *r, uint32_t rule);
/* "FROM TO SENDER RECIPIENT"; bytes, as snprintf. */
int policy_rule_text(const struct policy_rules *r, uint32_t rule, char *buf, size_t cap);
/* What covers this node, itself first. */
void policy_node_chain(const struct policy_side *s, uint32_t node, struct policy_chain *out);
/* R7: the nodes' `asked`. gap: the default's demand. */
bool policy_rules_asked(struct policy_rules *r, bool gap_demands);
unsigned policy_rules_lint(const struct pst_policy *p, pst_policy_report_fn *report, void *arg);

/* Index of the entry, or -1. */
int32_t policy_map_domain(const struct pst_policy *p, const struct policy_query *q, uint16_t port);
int32_t policy_map_host(const struct pst_policy *p, const struct policy_query *q,
	const struct pst_ip *ip, uint16_t port);
/* The set of these words: its number, or -1 and a fault at the entry. */
int policy_tls_compile(struct policy_compile *c, unsigned index, const struct pst_policy_entry *e);
void policy_tls_fini(struct policy_map *m);
/* match and level of an entry or a next hop. */
bool policy_word_compile(struct policy_compile *c, enum pst_policy_section section, unsigned index,
	enum pst_level level, unsigned nmatch, const char *const *match, struct policy_word *out);
void policy_word_fini(struct policy_word *w);
size_t policy_map_bytes(const struct policy_map *m);

void policy_trace(struct pst_policy_trace *t, const char *leg, const char *source,
	const char *stance, const char *fmt, ...) PST_PRINTF(5, 6);

unsigned policy_lists_address(const struct policy_lists *l, const struct pst_ip *ip);
unsigned policy_lists_name(const struct policy_lists *l, const struct policy_query *q);
unsigned policy_lists_lint(const struct pst_policy *p, pst_policy_report_fn *report, void *arg);

#endif
