/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Decisions about mail, from facts: who must encrypt, how well, and where a recipient's
 * mail goes. No SMTP parser, no JSON, no clock, no socket.
 *
 * A compiled pst_policy is immutable and part of a snapshot; any number of workers
 * read it without locks, allocation or atomic writes (a domain with bytes above ASCII
 * is the exception: it is converted by libidn2 first).
 *
 * Two legs, the same arithmetic. Every source that speaks about a leg takes a stance:
 *
 *   mandatory   a level of at least `encrypt`: rule Required, map level encrypt or
 *               stronger, the required list, Allowed once the sender used TLS
 *   exempt      no TLS: the whitelist, map level none, rule None
 *   optional    `may` (Preferred, Optional), or plain for Allowed and a plain sender
 *
 * The strongest mandatory stance wins; an exemption beats everything optional; both
 * together are a conflict, answered 451 4.7.5 and never decided in silence. Only where no
 * source spoke do the default rule and the global level fill the gap.
 *
 * Order of questions: pst_policy_client when a session begins; pst_policy_mail at MAIL;
 * pst_policy_rcpt at RCPT; pst_policy_host for each host before it is connected to,
 * because lists and map entries may name the host.
 */
#ifndef PST_POLICY_H
#define PST_POLICY_H

#include <pst_base.h>
#include <pst_ip.h>
#include <pst_span.h>

/* ---- words ---- */

/* Postfix's security levels, in its order; UNSET: nobody spoke. */
enum pst_level {
	PST_LEVEL_UNSET,
	PST_LEVEL_NONE,
	PST_LEVEL_MAY,
	PST_LEVEL_ENCRYPT,
	PST_LEVEL_FINGERPRINT,
	PST_LEVEL_VERIFY,
	PST_LEVEL_SECURE,
	PST_LEVELS
};

enum pst_sender_policy {
	PST_SENDER_UNSET,
	PST_SENDER_REQUIRED,
	PST_SENDER_NONE,
	PST_SENDER_OPTIONAL
};

enum pst_recipient_policy {
	PST_RECIPIENT_UNSET,
	PST_RECIPIENT_REQUIRED,
	PST_RECIPIENT_NONE,
	PST_RECIPIENT_PREFERRED,
	PST_RECIPIENT_ALLOWED
};

/* Canonical words, lower case: "encrypt", "required", "preferred"; "unset" for UNSET. */
const char *pst_level_name(enum pst_level l);
const char *pst_sender_name(enum pst_sender_policy s);
const char *pst_recipient_name(enum pst_recipient_policy r);
/*
 * Their inverse, without regard to case; the old names "Optionally Encrypted" and "Always
 * Encrypted" too. False: no such word (dane and dane-only are none yet).
 */
bool pst_level_parse(struct pst_span word, enum pst_level *out);
bool pst_sender_parse(struct pst_span word, enum pst_sender_policy *out);
bool pst_recipient_parse(struct pst_span word, enum pst_recipient_policy *out);

/* ---- what is compiled; strings and arrays belong to the caller and are copied ---- */

#define PST_RULE_MAX  200 /* bytes of a rule's line, "FROM TO SENDER RECIPIENT" */
#define PST_MATCH_MAX 16  /* names (or fingerprints) of one demand */

/*
 * A route or rule names a domain: "example.com"; "*.example.com", its subdomains only; "*", any;
 * "[192.0.2.1]", that literal; and "<>" (sender of a rule only), the null sender. Compared without
 * case and trailing dot, U-labels as their A-labels.
 */
struct pst_policy_route {
	const char *domain;
	unsigned next_hop;
};

struct pst_policy_rule {
	const char *id; /* survives moves; unique */
	const char *from, *to;
	enum pst_sender_policy sender;       /* UNSET: the default rule's */
	enum pst_recipient_policy recipient; /* UNSET: the default rule's */
	bool enabled;
};

/*
 * One destination of the next-hop map, in Postfix's terms: "example.com" (that domain
 * alone), ".example.com" (what is below it, unless it has an entry or a longer parent has),
 * "[host]" or "[address]" (that host, no MX); each but ".example.com" may have ":port" behind
 * it, and then is meant for that port alone. ":25" is the same as no port.
 */
struct pst_policy_entry {
	const char *destination;
	enum pst_level level;
	unsigned nmatch;
	/* Names, ".parent" for any subdomain, `nexthop`, `dot-nexthop`, `hostname`; for
	 * fingerprint SHA-256 digests as "AB:CD:.." of the certificate or its public key. */
	const char *const *match;
	const char
		*protocols;  /* ">=TLSv1.2", "!TLSv1.3", "TLSv1.2:TLSv1.3"; NULL: the next hop's */
	const char *ciphers; /* grade: high, medium, low; NULL: the next hop's */
	const char *exclude; /* OpenSSL cipher names or types; NULL: none */
	const char *servername; /* name, `hostname` or `nexthop`; NULL: the host's */
};

/* What policy must know of the next hops that verdicts and routes point to. */
struct pst_policy_next_hop {
	const char *name;
	bool mx; /* hosts come from the MX of mx_domain, or of the recipient's domain */
	const char *mx_domain; /* NULL: the recipient's */
	uint16_t port;         /* of mx */
	bool no_tls;           /* "tls": "none": never any TLS: an exemption */
	bool implicit;         /* "tls": "implicit": always TLS: exemptions ask nothing of it */
	enum pst_level level;  /* its own word, as a map entry's; UNSET: none */
	unsigned nmatch;
	const char *const *match;
};

/* An address, a network ("192.0.2.0/24"), a host, "*.domain" or ".domain" (what is below it). */
struct pst_policy_list {
	unsigned n;
	const char *const *entries;
};

struct pst_policy_conf {
	unsigned nroutes;
	const struct pst_policy_route *routes;
	unsigned nrules;
	const struct pst_policy_rule *rules;
	enum pst_sender_policy default_sender;       /* UNSET: optional */
	enum pst_recipient_policy default_recipient; /* UNSET: preferred */
	bool tls_before_mail; /* R7: when the sender must encrypt, its sender, recipient and body */
	unsigned nentries;
	const struct pst_policy_entry *entries;
	unsigned nnext_hops;
	const struct pst_policy_next_hop *next_hops;
	struct pst_policy_list never;    /* S10: STARTTLS is neither offered nor used */
	struct pst_policy_list required; /* S11: STARTTLS must be used */
	enum pst_level inbound;          /* global: UNSET, MAY, ENCRYPT */
	enum pst_level outbound;         /* global: UNSET, NONE, MAY, ENCRYPT */
};

/* Where a fault or a warning is. */
enum pst_policy_section {
	PST_POLICY_ROUTES,
	PST_POLICY_RULES,
	PST_POLICY_ENTRIES,
	PST_POLICY_NEXT_HOPS,
	PST_POLICY_NEVER,
	PST_POLICY_REQUIRED,
	PST_POLICY_WHOLE /* index and member say nothing */
};
/* member: "from", "to", "destination", "match", ..., or "" for the item itself. */
typedef void pst_policy_report_fn(void *arg, enum pst_policy_section section, unsigned index,
	const char *member, const char *text);

struct pst_policy;

/*
 * Reports every fault (at most 100) and returns NULL if there was one, or no memory. Faults are,
 * besides malformed words: the same route, rule id or destination twice; a rule's line
 * over PST_RULE_MAX; an entry in both lists; tls_before_mail without an enabled rule (or
 * default) that requires sender encryption; match for a level that verifies nothing; more than
 * PST_TLS_SETS_MAX different TLS settings in the map.
 */
struct pst_policy *pst_policy_new(
	const struct pst_policy_conf *conf, pst_policy_report_fn *report, void *arg);
void pst_policy_free(struct pst_policy *p); /* NULL is allowed */
/*
 * Warnings: rules that never match because an earlier one takes all of theirs (R1), a
 * global `encrypt` (P8), a default None beside a global encrypt, a list entry that is inside
 * one of the other list. Returns how many.
 */
unsigned pst_policy_lint(const struct pst_policy *p, pst_policy_report_fn *report, void *arg);

/* Bytes held. For the bench. */
size_t pst_policy_bytes(const struct pst_policy *p);

/* ---- text forms (pure; also what the control socket's verbs use) ---- */

/* Bytes of the canonical line "FROM TO SENDER RECIPIENT" (A-labels; an unset side is "-"); writes
 * it clipped. Negative: from or to is malformed, *why says how. */
int pst_rule_format(const struct pst_policy_rule *r, char *buf, size_t cap, const char **why);
/*
 * A logical line of a Postfix tls_policy table: "destination level attr=value ..."; a line that
 * begins with a blank belongs to the one before it, and may be handed over with the line break
 * in between. The spans point into line. PST_EOF: a comment or nothing. PST_INVAL: *why and
 * the offending *at.
 */
struct pst_policy_line {
	struct pst_span destination;
	enum pst_level level;
	struct pst_span match;                                   /* the first, not split */
	struct pst_span protocols, ciphers, exclude, servername; /* n 0: not there */
	unsigned nmatch; /* of all match= together, split at ":" (fingerprint: "|") */
	struct pst_span matches[PST_MATCH_MAX];
};
enum pst_rc pst_policy_line_parse(
	struct pst_span line, struct pst_policy_line *out, const char **why, struct pst_span *at);

/*
 * A domain as it is compared: lower-case A-labels, no trailing dot, a literal as
 * "[192.0.2.1]"; NUL-terminated. False: longer than any domain, or a NUL in it.
 */
#define PST_DOMAIN_TEXT 256
bool pst_policy_domain(struct pst_span in, char out[PST_DOMAIN_TEXT]);

/* ---- TLS settings that the map asks for beyond a next hop's own ---- */

#define PST_TLS_SETS_MAX 64

struct pst_policy_tls {
	uint16_t min_version, max_version; /* 0: the next hop's */
	const char *ciphers; /* an OpenSSL list, grade and exclusions; NULL: the next hop's */
};
unsigned pst_policy_ntls(const struct pst_policy *p); /* at least 1; set 0 overrides nothing */
const struct pst_policy_tls *pst_policy_tls(const struct pst_policy *p, unsigned set);

/* ---- the questions ---- */

/* On which list a client or a host stands. */
#define PST_LISTED_NEVER    1u
#define PST_LISTED_REQUIRED 2u

/* What is known when a question is asked. Filled by relay. */
struct pst_facts {
	unsigned listener; /* index */
	struct pst_ip client;
	unsigned client_listed; /* of pst_policy_client */
	bool client_tls;
	bool sender_known;                /* MAIL was said */
	struct pst_span sender_domain;    /* n 0: null sender */
	struct pst_span recipient_domain; /* n 0: postmaster */
};

/* One line of the chain that explain prints: who spoke, and what. */
#define PST_TRACE_MAX 24
struct pst_policy_trace {
	unsigned n;
	struct {
		const char *leg;    /* "sender", "recipient" */
		const char *source; /* "rule", "default_rule", "map", "whitelist", "required_list",
				       "next_hop", "global", "result" */
		const char *stance; /* "mandatory", "exempt", "optional", "conflict", "gap" */
		char text[200];     /* "rule 7: *.bank.example * required -" */
	} step[PST_TRACE_MAX];
};

/* What all but the host itself said about the next-hop leg. */
struct pst_want {
	uint8_t mandatory; /* pst_level; UNSET: nobody demands */
	uint8_t optional;  /* UNSET, NONE or MAY */
	uint8_t gap;       /* the level if nobody spoke */
	bool exempt;
	int32_t entry;    /* of the map, by the domain of an mx next hop; -1: none */
	int32_t next_hop; /* whose own level is a mandatory one; -1: none */
};

enum pst_verdict_kind {
	PST_VERDICT_ROUTE,  /* go on: relay to next_hop */
	PST_VERDICT_REFUSE, /* answer code, enh, text */
};

struct pst_verdict {
	enum pst_verdict_kind kind;
	unsigned code; /* of a refusal */
	const char *enh, *text;
	const char *reason;  /* of a refusal, one word for log and metrics: "relay_denied",
				"tls_required", "policy_conflict" */
	unsigned route;      /* index of the route that matched */
	unsigned next_hop;   /* index */
	int rule;            /* index; -1: the default rule */
	const char *rule_id; /* "default" for the default rule; lives as long as the policy */
	enum pst_sender_policy sender;       /* in force, defaults filled in */
	enum pst_recipient_policy recipient; /* in force */
	struct pst_want want;
};

/* PST_LISTED_* bits. name: the client's confirmed name, n 0: none. */
unsigned pst_policy_client(
	const struct pst_policy *p, const struct pst_ip *ip, struct pst_span name);
/* Do the lists name hosts, so that a client's name matters? */
bool pst_policy_needs_client_name(const struct pst_policy *p);
/* No enabled rule and not the default would ever use TLS with senders: STARTTLS is not offered. */
bool pst_policy_sender_none(const struct pst_policy *p);
/* Some enabled rule, the default or the global level may demand TLS of a sender. */
bool pst_policy_sender_required(const struct pst_policy *p);
/* Global `encrypt`: before TLS nothing but EHLO, STARTTLS, NOOP, RSET, QUIT from this client. */
bool pst_policy_tls_first(const struct pst_policy *p, unsigned client_listed);

/* At MAIL. `trace` NULL: not wanted (also below). ROUTE: go on. */
void pst_policy_mail(const struct pst_policy *p, const struct pst_facts *f, struct pst_verdict *v,
	struct pst_policy_trace *trace);
/*
 * At RCPT. A refusal already known without the host (sender in clear, conflict) is one
 * here. The same verdict's next_hop and want, with the recipient's domain for an mx next hop,
 * make two recipients one class: see pst_verdict_same.
 */
void pst_policy_rcpt(const struct pst_policy *p, const struct pst_facts *f, struct pst_verdict *v,
	struct pst_policy_trace *trace);
bool pst_verdict_same(const struct pst_verdict *a, const struct pst_verdict *b);

/* A host about to be connected to. */
struct pst_host_facts {
	unsigned next_hop;
	struct pst_span domain; /* mx: whose MX it is (the nexthop of match names); n 0 for hosts */
	struct pst_span name;   /* n 0: known by its address alone */
	struct pst_ip ip;
	uint16_t port;
};

struct pst_demand {
	enum pst_level level; /* NONE, MAY, ENCRYPT, ...; meaningless in a conflict */
	bool conflict;        /* "451 4.7.5" and reason policy_conflict */
	unsigned tls;         /* set: pst_policy_tls */
	unsigned nnames;      /* VERIFY and SECURE: one of them must be in the certificate */
	struct {
		struct pst_span name;
		bool subdomains; /* any name below it */
	} names[PST_MATCH_MAX];
	unsigned nfingerprints; /* FINGERPRINT; SHA-256 */
	const uint8_t (*fingerprints)[32];
	struct pst_span servername;  /* SNI; n 0: none (an address) */
	char address[PST_IP_STRLEN]; /* the name of a host that has none */
};
/*
 * Spans point into the policy, the facts and, for a host without a name, into d itself: such a
 * demand must not be copied.
 */
void pst_policy_host(const struct pst_policy *p, const struct pst_want *want,
	const struct pst_host_facts *h, struct pst_demand *d, struct pst_policy_trace *trace);

#endif
