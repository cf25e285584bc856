/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Keys: who must encrypt, and how well. See config_keys.c. Here words get their form; what they
 * mean together (the same rule twice, a line that is too long) is lib/policy's to judge.
 */
#include "config_rows.h"

static const struct pst_key_form from_form = {"^(\\*|<>|(\\*\\.)?" LABELS "|" LITERAL ")$",
	"must be a domain, \"*.domain\" for its subdomains, \"*\", an address literal, or \"<>\" "
	"for the null sender"};
/* A host in brackets may be an IPv6 address, with or without its tag. */
static const struct pst_key_form destination_form = {"^(\\[[^ -,/;-@[-^`{-~]+\\]|\\.?" LABELS
						     ")(:[0-9]{1,5})?$",
	"must be a domain, \".domain\" for its subdomains, or \"[host]\", with \":port\" behind it "
	"if that is not 25"};
const struct pst_key_form pst_form_match = {"^[^ ,|]+$",
	"must be one name, \".domain\", nexthop, dot-nexthop, hostname, or one fingerprint"};
static const struct pst_key_form list_form = {"^((\\*?\\.)?" LABELS
					      "|[0-9A-Fa-f:.]+(/[0-9]{1,3})?)$",
	"must be an address, a network, a host, or \"*.domain\""};
static const struct pst_key_form protocols_form = {
	"^[A-Za-z0-9.,:!<>= ]+$", "must be a list such as \">=TLSv1.2\" or \"TLSv1.2:TLSv1.3\""};
static const struct pst_key_form grade_form = {
	"^(high|medium|low)$", "must be \"high\", \"medium\" or \"low\""};
static const struct pst_key_form exclude_form = {
	"^[A-Za-z0-9_+:,.@ -]+$", "must be names of ciphers as OpenSSL writes them"};

/* The spellings of the old user interface are understood; the canonical words come first. */
static const struct pst_key_word sender_words[] = {{"required", PST_SENDER_REQUIRED},
	{"none", PST_SENDER_NONE}, {"optional", PST_SENDER_OPTIONAL},
	{"Always Encrypted", PST_SENDER_REQUIRED}, {"Optionally Encrypted", PST_SENDER_OPTIONAL},
	{NULL}};
static const struct pst_key_word recipient_words[] = {{"required", PST_RECIPIENT_REQUIRED},
	{"none", PST_RECIPIENT_NONE}, {"preferred", PST_RECIPIENT_PREFERRED},
	{"allowed", PST_RECIPIENT_ALLOWED}, {NULL}};
#define NOT_YET_TEXT "not yet available in this version"
const struct pst_key_word pst_words_level[] = {{"none", PST_LEVEL_NONE}, {"may", PST_LEVEL_MAY},
	{"encrypt", PST_LEVEL_ENCRYPT}, {"dane", 0, NOT_YET_TEXT}, {"dane-only", 0, NOT_YET_TEXT},
	{"fingerprint", PST_LEVEL_FINGERPRINT}, {"verify", PST_LEVEL_VERIFY},
	{"secure", PST_LEVEL_SECURE}, {NULL}};
static const struct pst_key_word inbound_words[] = {
	{"may", PST_LEVEL_MAY}, {"encrypt", PST_LEVEL_ENCRYPT}, {NULL}};
static const struct pst_key_word outbound_words[] = {
	{"none", PST_LEVEL_NONE}, {"may", PST_LEVEL_MAY}, {"encrypt", PST_LEVEL_ENCRYPT}, {NULL}};

/* ---- rules ---- */

static const struct pst_key rule_keys[] = {
	{TEXT("id", pst_config_rule, id, pst_form_name, 64), REQUIRED,
		.help = "Its name in the log, in `explain` and for `posternctl rule`; survives "
			"moves."},
	{TEXT("from", pst_config_rule, from, from_form, 253), .text = "*",
		.help = "The sender's domain; \"*.d\": subdomains of d, \"*\": any, \"<>\": the "
			"null sender."},
	{TEXT("to", pst_config_rule, to, pst_form_domain, 253), REQUIRED,
		.help = "The recipient's domain; \"*.d\": subdomains of d, \"*\": any."},
	{ENUM("sender", pst_config_rule, sender, sender_words, PST_SENDER_UNSET),
		.absent = "the default rule's",
		.help = "Encryption of the sender's channel: `required` refuses mail in clear, "
			"`optional` offers STARTTLS, `none` needs none."},
	{ENUM("recipient", pst_config_rule, recipient, recipient_words, PST_RECIPIENT_UNSET),
		.absent = "the default rule's",
		.help = "Encryption of the recipient's channel: `required`; `preferred` if the "
			"next hop offers it; `allowed` as the sender did; `none`."},
	{BOOL("enabled", pst_config_rule, enabled, true),
		.help = "A disabled rule is passed over and keeps its place."},
	{NULL}};
static const struct pst_key_type rule_type = {
	"rule", sizeof(struct pst_config_rule), rule_keys, pst_check_rule};

/* Its members are the policy's own: the object is JSON only. */
static const struct pst_key default_keys[] = {
	{ENUM("sender", pst_config_policy, default_sender, sender_words, PST_SENDER_OPTIONAL),
		.help = "As in a rule."},
	{ENUM("recipient", pst_config_policy, default_recipient, recipient_words,
		 PST_RECIPIENT_PREFERRED),
		.help = "As in a rule."},
	{NULL}};
static const struct pst_key_type default_type = {
	"default rule", sizeof(struct pst_config_policy), default_keys};

/* ---- the map ---- */

static const struct pst_key map_keys[] = {
	{ENUM("level", pst_config_map_entry, level, pst_words_level, PST_LEVEL_UNSET), REQUIRED,
		.help = "`none`: never TLS; `may`: if offered; `encrypt`: or not at all; "
			"`fingerprint`, `verify`, `secure`: with that certificate."},
	{TEXTS("match", pst_config_map_entry, match, nmatch, pst_form_match, 255, PST_MATCH_MAX),
		.min_items = 1,
		.absent = "`hostname` of `verify`, `nexthop`, `dot-nexthop` of `secure`",
		.help = "Names of which the certificate must have one: host names, \".d\" for any "
			"name below d, `hostname`, `nexthop`, `dot-nexthop`; for `fingerprint` "
			"SHA-256 digests \"AB:CD:...\" of the certificate or its key."},
	{TEXT("protocols", pst_config_map_entry, protocols, protocols_form, 255),
		.absent = "the next hop's",
		.help = "TLS versions: \">=TLSv1.2\", \"!TLSv1.3\", \"TLSv1.2:TLSv1.3\"."},
	{TEXT("ciphers", pst_config_map_entry, ciphers, grade_form, 8), .absent = "the next hop's",
		.help = "Grade of ciphers: high, medium or low."},
	{TEXT("exclude", pst_config_map_entry, exclude, exclude_form, 1024),
		.help = "Ciphers, or types of them, that are not used."},
	{TEXT("servername", pst_config_map_entry, servername, pst_form_host, 253),
		.absent = "the host's name",
		.help = "Name sent in SNI, or `hostname` or `nexthop`."},
	{NOT_YET("connection_reuse")}, {NOT_YET("enable_rpk")}, {NOT_YET("tafile")}, {NULL}};
static const struct pst_key_type map_type = {"map entry", sizeof(struct pst_config_map_entry),
	map_keys, pst_check_map_entry, &destination_form, 263};

/* ---- broken TLS ---- */

static const struct pst_key broken_keys[] = {
	{BOOL("enabled", pst_config_broken_tls, enabled, false),
		.help = "Remember hosts whose handshake failed and go without TLS for a time, "
			"where "
			"nothing demands it. An attacker can bring that about."},
	{SECONDS("ttl", pst_config_broken_tls, ttl_ms, 1000, 3600000, 3600000),
		.help = "How long a host is remembered."},
	{UINT("entries", pst_config_broken_tls, entries, 16, 1000000, 4096),
		.help = "Hosts remembered; the least recently used goes first."},
	{NULL}};
static const struct pst_key_type broken_type = {
	"broken_tls", sizeof(struct pst_config_broken_tls), broken_keys};

/* ---- all of it ---- */

static const struct pst_key policy_keys[] = {
	{ARRAY("rules", pst_config_policy, rules, nrules, rule_type), .max_items = 1000000,
		.help = "Encryption rules; the first enabled one that matches counts."},
	{.name = "default_rule",
		.kind = PST_KEY_OBJECT,
		.type = &default_type,
		.help = "What counts where no rule matches, or a rule leaves a side out."},
	{BOOL("tls_before_mail", pst_config_policy, tls_before_mail, false),
		.help = "Where sender encryption is required, sender and recipients may not be "
			"said in clear either: MAIL is refused with 530."},
	{BOOL("mirror_receiver", pst_config_policy, mirror_receiver, false),
		.help = "`optional` offers STARTTLS only if the next hop offers it; needs a single "
			"next hop."},
	{MAP("map", pst_config_policy, map, nmap, map_type),
		.help = "Demands by next hop, as in Postfix's smtp_tls_policy_maps."},
	{TEXTS("starttls_never", pst_config_policy, never, nnever, list_form, 255, 100000),
		.help = "Clients and hosts with which STARTTLS is neither offered nor used: "
			"addresses, networks, hosts, \"*.d\"."},
	{TEXTS("starttls_required", pst_config_policy, required, nrequired, list_form, 255, 100000),
		.help = "Clients and hosts with which it must be used."},
	{ENUM("inbound", pst_config_policy, inbound, inbound_words, PST_LEVEL_UNSET),
		.absent = "unset",
		.help = "With all clients, where nothing else speaks: `encrypt` answers 530 before "
			"STARTTLS."},
	{ENUM("outbound", pst_config_policy, outbound, outbound_words, PST_LEVEL_UNSET),
		.absent = "unset", .help = "The same with all next hops."},
	{OBJECT("broken_tls", pst_config_policy, broken_tls, broken_type),
		.help = "The memory of hosts whose TLS is broken."},
	{NOT_YET("mta_sts")}, {NOT_YET("dane")}, {NOT_YET("requiretls")}, {NOT_YET("tlsrpt")},
	{NULL}};
const struct pst_key_type pst_type_policy = {
	"policy", sizeof(struct pst_config_policy), policy_keys};
