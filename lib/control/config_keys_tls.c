/* SPDX-License-Identifier: BSD-3-Clause */
/* Keys: what the model can do, own certificates, TLS profiles, actions. See config_keys.c. */
#include "config_rows.h"

const struct pst_key_form pst_form_openssl = {
	"^[A-Za-z0-9_+:!@=.-]+$", "must be an OpenSSL list with ':' between the names"};

const struct pst_key_word pst_words_tls[] = {{"1.0", PST_TLS_1_0}, {"1.1", PST_TLS_1_1},
	{"1.2", PST_TLS_1_2}, {"1.3", PST_TLS_1_3}, {NULL}};
const struct pst_key_word pst_words_pfs[] = {{"none", PST_TLS_PFS_NONE},
	{"allowed", PST_TLS_PFS_ALLOWED}, {"required", PST_TLS_PFS_REQUIRED}, {NULL}};
static const struct pst_key_word client_certificate_words[] = {{"off", PST_TLS_CLIENT_CERT_OFF},
	{"optional", PST_TLS_CLIENT_CERT_OPTIONAL}, {"required", PST_TLS_CLIENT_CERT_REQUIRED},
	{NULL}};
static const struct pst_key_word tls_action_words[] = {
	{"inspect", PST_TLS_ACTION_INSPECT}, {"drop", PST_TLS_ACTION_DROP}, {NULL}};

/* ---- models ---- */

static const struct pst_key model_keys[] = {
	{BOOL("pfs_capable", pst_config_model, pfs_capable, false), REQUIRED,
		.help = "Can it do key exchanges with forward secrecy? If not, `pfs` other than "
			"`none` is an error."},
	{UINT("ocsp_cache", pst_config_model, ocsp_cache, 300, 3000, 300),
		.help = "OCSP responses it keeps."},
	{TEXTS("crypto_forbid", pst_config_model, crypto_forbid, ncrypto_forbid, pst_form_driver,
		 32, 16),
		.help = "Drivers that no back-end of `crypto` may have; `named` forbids "
			"`crypto.named`."},
	{TEXT("crypto_require", pst_config_model, crypto_require, pst_form_driver, 32),
		.help = "A driver of which `crypto` has to have a back-end, in use; `named`: "
			"`crypto.named` has to be there."},
	{NULL}};
const struct pst_key_type pst_type_model = {
	"model", sizeof(struct pst_config_model), model_keys, .names = &pst_form_name};

/* ---- certificates ---- */

static const struct pst_key certificate_keys[] = {
	{FILENAME("chain", pst_config_certificate, chain), REQUIRED,
		.help = "PEM file: the certificate, then its intermediates."},
	{FILENAME("key", pst_config_certificate, key), .absent = "`chain`",
		.help = "PEM file with the private key."},
	{NULL}};
const struct pst_key_type pst_type_certificate = {"certificate",
	sizeof(struct pst_config_certificate), certificate_keys, pst_check_certificate,
	&pst_form_name};

/* ---- ticket keys ---- */

static const struct pst_key ticket_keys_keys[] = {
	{UINT("rotate", pst_config_ticket_keys, rotate_s, 60, 604800, 3600), .unit = "s",
		.help = "How long a key encrypts before another one takes over; without `file`."},
	{UINT("lifetime", pst_config_ticket_keys, lifetime_s, 60, 604800, 3600), .unit = "s",
		.help = "How long a ticket is good, and a key that no longer encrypts is kept; at "
			"most 30 times `rotate`."},
	{FILENAME("file", pst_config_ticket_keys, file), .absent = "own random keys",
		.help = "File of keys that several gateways share: one a line, 160 hexadecimal "
			"digits; the first encrypts, all decrypt. Mode 0600; read at each change "
			"of the configuration."},
	{NULL}};
const struct pst_key_type pst_type_ticket_keys = {"ticket keys",
	sizeof(struct pst_config_ticket_keys), ticket_keys_keys, pst_check_ticket_keys};

/* ---- profiles ---- */

/* Their members are the profile's own: the objects are JSON only. */
static const struct pst_key sender_keys[] = {
	{ENUM("pfs", pst_config_tls_profile, sender_pfs, pst_words_pfs, PST_TLS_PFS_ALLOWED),
		.help = "Forward secrecy with clients: `none` is static RSA and at most TLS 1.2, "
			"`allowed` prefers ECDHE, `required` takes nothing else."},
	{NULL}};
static const struct pst_key_type sender_type = {
	"channel", sizeof(struct pst_config_tls_profile), sender_keys};

static const struct pst_key recipient_keys[] = {
	{ENUM("pfs", pst_config_tls_profile, recipient_pfs, pst_words_pfs, PST_TLS_PFS_ALLOWED),
		.help = "The same with next hops, for mail that came in under this profile."},
	{NULL}};
static const struct pst_key_type recipient_type = {
	"channel", sizeof(struct pst_config_tls_profile), recipient_keys};

static const struct pst_key profile_keys[] = {
	{ENUM("min", pst_config_tls_profile, min_version, pst_words_tls, PST_TLS_1_2),
		.help = "Lowest TLS version. 1.0 and 1.1 are broken and set OpenSSL's security "
			"level to 0: for old clients that have nothing else."},
	{ENUM("max", pst_config_tls_profile, max_version, pst_words_tls, PST_TLS_1_3),
		.help = "Highest TLS version."},
	{REFS("certificates", pst_config_tls_profile, certificates, ncertificates,
		 pst_type_certificate),
		.max_items = PST_TLS_MAX_CERTS, .absent = "all of the configuration",
		.help = "Certificates to choose from by server name and key type; the first is the "
			"default."},
	{UINT("tickets", pst_config_tls_profile, tickets, 0, 2, 0),
		.help = "Session tickets sent after a handshake. 0: none, and none is taken."},
	{PREFIXES("tickets_except", pst_config_tls_profile, tickets_except, ntickets_except, 0,
		 PST_CONFIG_TICKETS_EXCEPT),
		.help = "Networks of clients that get no tickets, and whose tickets are not "
			"taken: some large senders break on them."},
	{BOOL("strict_names", pst_config_tls_profile, strict_names, false),
		.help = "Refuse a client that names a server of which no certificate has the name; "
			"it may still name none. A sender that does not verify may then come in "
			"clear."},
	{.name = "sender",
		.kind = PST_KEY_OBJECT,
		.type = &sender_type,
		.help = "The channel to clients."},
	{.name = "recipient",
		.kind = PST_KEY_OBJECT,
		.type = &recipient_type,
		.help = "The channel to next hops."},
	{ENUM("client_certificate", pst_config_tls_profile, client_certificate,
		 client_certificate_words, PST_TLS_CLIENT_CERT_OFF),
		.help = "Ask clients for a certificate: not at all, `optional` (none is fine, a "
			"bad one is not), or `required`."},
	{FILENAME("client_ca_file", pst_config_tls_profile, client_ca_file),
		.help = "PEM file with the authorities that sign clients' certificates; needed "
			"when they are asked for."},
	TLS_LISTS(pst_config_tls_profile), {NOT_YET("ocsp")}, {NULL}};
const struct pst_key_type pst_type_profile = {"TLS profile", sizeof(struct pst_config_tls_profile),
	profile_keys, pst_check_profile, &pst_form_name};

/* ---- actions ---- */

static const struct pst_key action_keys[] = {
	{BOOL("inspect", pst_config_action, inspect, true),
		.help = "Inspect content inside TLS. Off: STARTTLS is not offered."},
	{ENUM("tls_action", pst_config_action, tls_action, tls_action_words,
		 PST_TLS_ACTION_INSPECT),
		.help = "What happens to a connection that begins with TLS: it is inspected under "
			"`implicit_profile`, or reset."},
	{REF("starttls_profile", pst_config_action, starttls_profile, pst_type_profile),
		.help = "TLS profile behind STARTTLS."},
	{REF("implicit_profile", pst_config_action, implicit_profile, pst_type_profile),
		.help = "TLS profile of listeners with implicit TLS."},
	{NULL}};
const struct pst_key_type pst_type_action = {
	"action", sizeof(struct pst_config_action), action_keys, pst_check_action, &pst_form_name};
