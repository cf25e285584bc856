/* SPDX-License-Identifier: BSD-3-Clause */
/* Keys: where mail comes in and where it goes: listeners, next hops, routes. See config_keys.c. */
#include "config_rows.h"

#include <pst_smtp.h>
#include <pst_smtp_server.h>

/* Underscores do occur in host names in the wild; a trailing dot does not belong in SMTP. */
const struct pst_key_form pst_form_host = {"^[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\\.[A-Za-"
					   "z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*$",
	"must be a host name: labels of letters, digits and '-', with dots between"};
const struct pst_key_form pst_form_domain = {"^(\\*|(\\*\\.)?" LABELS "|" LITERAL ")$",
	"must be a domain, \"*.domain\" for its subdomains, \"*\" for all others, or an address "
	"literal"};
static const struct pst_key_form mx_domain_form = {
	"^" LABELS "$", "must be a domain, without wildcards"};

static const struct pst_key_word tls_modes[] = {{"none", PST_CONFIG_TLS_NONE},
	{"starttls", PST_CONFIG_TLS_STARTTLS}, {"implicit", PST_CONFIG_TLS_IMPLICIT}, {NULL}};
static const struct pst_key_word tls_support_words[] = {{"disabled", PST_TLS_SUPPORT_DISABLED},
	{"enabled", PST_TLS_SUPPORT_ENABLED}, {"required", PST_TLS_SUPPORT_REQUIRED}, {NULL}};
static const struct pst_key_word newline_words[] = {
	{"reject", PST_SMTP_BARE_REJECT}, {"normalize", PST_SMTP_BARE_NORMALIZE}, {NULL}};
static const struct pst_key_word reuse_words[] = {
	{"off", PST_REUSE_OFF}, {"session", PST_REUSE_SESSION}, {"class", PST_REUSE_CLASS}, {NULL}};
static const struct pst_key_word keyword_words[] = {{"PIPELINING", PST_SMTP_PIPELINING},
	{"SIZE", PST_SMTP_SIZE}, {"8BITMIME", PST_SMTP_8BITMIME},
	{"ENHANCEDSTATUSCODES", PST_SMTP_ENHANCEDSTATUSCODES}, {"STARTTLS", PST_SMTP_STARTTLS},
	{"SMTPUTF8", PST_SMTP_SMTPUTF8}, {"DSN", PST_SMTP_DSN}, {"CHUNKING", PST_SMTP_CHUNKING},
	{NULL}};

/* ---- listeners ---- */

static const struct pst_key listener_keys[] = {
	{TEXT("name", pst_config_listener, name, pst_form_name, 64), REQUIRED,
		.help = "The listener's name in logs and status."},
	{ADDRESS("address", pst_config_listener, at.ip), .also = "any", .absent = "`any`",
		.help = "An address of a port, or `any` for all of them."},
	{UINT("port", pst_config_listener, at.port, 1, 65535, 25), .help = "TCP port."},
	{ENUM("tls", pst_config_listener, tls, tls_modes, PST_CONFIG_TLS_STARTTLS),
		.help = "`none`; `starttls` offers it; `implicit` begins with the handshake."},
	{ENUM("tls_support", pst_config_listener, tls_support, tls_support_words,
		 PST_TLS_SUPPORT_UNSET),
		.absent = "`enabled` where neither `port` nor `tls` is said, else `port` alone",
		.help = "Instead of `tls`: `disabled` is `port` with STARTTLS; `enabled` is that "
			"and `implicit_port`; `required` is `implicit_port` alone, with `port` "
			"closed."},
	{UINT("implicit_port", pst_config_listener, implicit_port, 1, 65535, 465),
		.help = "With `tls_support`: the TCP port where TLS comes first."},
	{REF("action", pst_config_listener, action, pst_type_action), REQUIRED,
		.help = "The action that says how TLS is treated; `standard` and `plain` are "
			"predefined."},
	{UINT("tickets", pst_config_listener, tickets, 0, 2, 0), .absent = "the TLS profile's",
		.help = "Session tickets sent here, whatever the profile says; its "
			"`tickets_except` counts here too."},
	{TEXT("hostname", pst_config_listener, hostname, pst_form_host, 253),
		.absent = "the system's name",
		.help = "Own name in the greeting, EHLO and `Received`."},
	{FLAGS("discard_keywords", pst_config_listener, discard_keywords, keyword_words),
		.help = "EHLO keywords that are not advertised."},
	{ENUM("bare_newline", pst_config_listener, bare_newline, newline_words,
		 PST_SMTP_BARE_REJECT),
		.help = "A CR or LF alone in a message: refused with 550 5.6.0, or made CRLF."},
	{BOOL("received", pst_config_listener, received, true),
		.help = "Add a `Received` field to each message."},
	{NULL}};
const struct pst_key_type pst_type_listener = {
	"listener", sizeof(struct pst_config_listener), listener_keys, pst_check_listener};

/* ---- next hops and routes ---- */

static const struct pst_key host_keys[] = {
	{TEXT("name", pst_config_host, name, pst_form_host, 253), .absent = "the address",
		.help = "Host name, for verification and logs."},
	{ADDRESS("address", pst_config_host, address), .absent = "asked of DNS by name",
		.help = "Where to connect."},
	{UINT("port", pst_config_host, port, 1, 65535, 25), .help = "TCP port."},
	{UINT("priority", pst_config_host, priority, 0, 65535, 10),
		.help = "Lower is tried first; equals in turn, as with MX records."},
	{NULL}};
static const struct pst_key_type host_type = {
	"host", sizeof(struct pst_config_host), host_keys, pst_check_host};

#define REPLACED(key, by)                                                                          \
	{                                                                                          \
		REFUSED(key), .help = "replaced by " by                                            \
	}

static const struct pst_key next_hop_keys[] = {
	{ARRAY("hosts", pst_config_next_hop, hosts, nhosts, host_type), .min_items = 1,
		.max_items = 256, .absent = "**required** without `mx`", .help = "Its hosts."},
	{BOOL("mx", pst_config_next_hop, mx, false),
		.help = "Instead of `hosts`: those that DNS names as the domain's MX."},
	{TEXT("mx_domain", pst_config_next_hop, mx_domain, mx_domain_form, 253),
		.absent = "the recipient's", .help = "With `mx`: whose MX."},
	{UINT("port", pst_config_next_hop, port, 1, 65535, 25), .help = "With `mx`: TCP port."},
	{ENUM("tls", pst_config_next_hop, tls, tls_modes, PST_CONFIG_TLS_STARTTLS),
		.help = "`none`, `starttls`, or `implicit` (TLS from the first byte)."},
	{ENUM("level", pst_config_next_hop, level, pst_words_level, PST_LEVEL_UNSET),
		.absent = "rules and map decide",
		.help = "What it demands itself, in the words of `policy.map`."},
	{TEXTS("match", pst_config_next_hop, match, nmatch, pst_form_match, 255, PST_MATCH_MAX),
		.min_items = 1, .absent = "by `level`",
		.help = "Names of which its certificate must have one, or fingerprints, as in "
			"`policy.map`."},
	{ENUM("pfs", pst_config_next_hop, pfs, pst_words_pfs, PST_TLS_PFS_ALLOWED),
		.absent = "the TLS profile's `recipient.pfs`",
		.help = "Forward secrecy: `none`, `allowed` or `required`."},
	{FILENAME("ca_file", pst_config_next_hop, ca_file), .absent = "the system's",
		.help = "PEM file with the trusted authorities."},
	{TEXT("helo", pst_config_next_hop, helo, pst_form_host, 253),
		.absent = "the listener's `hostname`", .help = "Own name in EHLO."},
	{ENUM("min", pst_config_next_hop, profile_min, pst_words_tls, PST_TLS_1_2),
		.help = "Lowest TLS version; see `tls_profiles`."},
	{ENUM("max", pst_config_next_hop, profile_max, pst_words_tls, PST_TLS_1_3),
		.help = "Highest TLS version."},
	TLS_LISTS(pst_config_next_hop),
	{ENUM("reuse", pst_config_next_hop, reuse, reuse_words, PST_REUSE_CLASS),
		.help = "Keep connections for further messages: `off`; of the same client "
			"`session`; of the same route `class`."},
	{UINT("reuse_messages", pst_config_next_hop, reuse_messages, 1, 1000000, 100),
		.help = "Messages over one connection."},
	{SECONDS("reuse_idle", pst_config_next_hop, reuse_idle_ms, 1, DAY, 30000),
		.help = "An unused connection is closed after this time."},
	{SECONDS("reuse_age", pst_config_next_hop, reuse_age_ms, 1, DAY, 300000),
		.help = "A connection is not used again when older."},
	{UINT("max_tries", pst_config_next_hop, max_tries, 1, 256, 5),
		.help = "Addresses tried for one transaction before 451 4.4.1."},
	{BOOL("expose_upstream_text", pst_config_next_hop, expose_upstream_text, true),
		.help = "Pass on the text of the next hop's replies, not only the codes."},
	REPLACED("tls_required", "`level`: true is \"encrypt\", false needs no `level`"),
	REPLACED("verify", "`level`: true is \"verify\""),
	REPLACED("verify_name", "`match`: a list of names, beside `level` \"verify\""), {NULL}};
const struct pst_key_type pst_type_next_hop = {"next hop", sizeof(struct pst_config_next_hop),
	next_hop_keys, pst_check_next_hop, &pst_form_name};

static const struct pst_key route_keys[] = {
	{TEXT("domain", pst_config_route, domain, pst_form_domain, 253), REQUIRED,
		.help = "Recipient domain, compared without regard to case; \"*.d\": subdomains of "
			"d, \"*\": whatever has no route of its own. The most exact route wins."},
	{REF("next_hop", pst_config_route, next_hop, pst_type_next_hop), REQUIRED,
		.help = "Where its mail goes."},
	{NULL}};
const struct pst_key_type pst_type_route = {
	"route", sizeof(struct pst_config_route), route_keys, pst_check_route};
