/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How a row of the tables is written:
 *
 *   {KIND("key", struct, member, ...), extras, .help = "..."}
 *
 * Times are written in ms here and in seconds in the JSON.
 */
#ifndef PST_CONTROL_CONFIG_ROWS_H
#define PST_CONTROL_CONFIG_ROWS_H

#include "config_build.h"
#include "config_keys.h"

#define AT(stru, member)                                                                           \
	.offset = offsetof(struct stru, member), .size = sizeof(((struct stru *)0)->member)
#define COUNTED(stru, member, n)                                                                   \
	.offset = offsetof(struct stru, member), .count = offsetof(struct stru, n)

#define BOOL(key, stru, member, yes)                                                               \
	.name = key, .kind = PST_KEY_BOOL, AT(stru, member), .dflt = yes
#define UINT(key, stru, member, lo, hi, absent_value)                                              \
	.name = key, .kind = PST_KEY_UINT, AT(stru, member), .min = lo, .max = hi,                 \
	.dflt = absent_value
#define SECONDS(key, stru, member, lo, hi, absent_value)                                           \
	.name = key, .kind = PST_KEY_SECONDS, AT(stru, member), .min = lo, .max = hi,              \
	.dflt = absent_value, .unit = "s"
#define ENUM(key, stru, member, list, absent_value)                                                \
	.name = key, .kind = PST_KEY_ENUM, AT(stru, member), .words = list, .dflt = absent_value
#define FLAGS(key, stru, member, list)                                                             \
	.name = key, .kind = PST_KEY_FLAGS, AT(stru, member), .words = list
#define TEXT(key, stru, member, f, longest)                                                        \
	.name = key, .kind = PST_KEY_TEXT, AT(stru, member), .form = &(f), .max = longest
#define FILENAME(key, stru, member) .name = key, .kind = PST_KEY_FILE, AT(stru, member)
#define ADDRESS(key, stru, member)  .name = key, .kind = PST_KEY_IP, AT(stru, member)
#define PREFIX(key, stru, member)   .name = key, .kind = PST_KEY_PREFIX, AT(stru, member)
#define UINTS(key, stru, member, n, lo, hi, least, most)                                           \
	.name = key, .kind = PST_KEY_UINTS, COUNTED(stru, member, n), .min = lo, .max = hi,        \
	.min_items = least, .max_items = most
#define PREFIXES(key, stru, member, n, least, most)                                                \
	.name = key, .kind = PST_KEY_PREFIXES, COUNTED(stru, member, n), .min_items = least,       \
	.max_items = most
/* In place if the member is an array, else allocated. */
#define TEXTS(key, stru, member, n, f, longest, most)                                              \
	.name = key, .kind = PST_KEY_TEXTS, COUNTED(stru, member, n), .form = &(f),                \
	.max = longest, .max_items = most
#define REF(key, stru, member, t) .name = key, .kind = PST_KEY_REF, AT(stru, member), .type = &(t)
#define REFS(key, stru, member, n, t)                                                              \
	.name = key, .kind = PST_KEY_REFS, COUNTED(stru, member, n), .type = &(t)
#define OBJECT(key, stru, member, t)                                                               \
	.name = key, .kind = PST_KEY_OBJECT, AT(stru, member), .type = &(t)
#define ARRAY(key, stru, member, n, t)                                                             \
	.name = key, .kind = PST_KEY_ARRAY, COUNTED(stru, member, n), .type = &(t)
#define MAP(key, stru, member, n, t)                                                               \
	.name = key, .kind = PST_KEY_MAP, COUNTED(stru, member, n), .type = &(t)
#define OPTIONS(key, stru, member, n, f, most)                                                     \
	.name = key, .kind = PST_KEY_OPTIONS, COUNTED(stru, member, n), .form = &(f),              \
	.max_items = most
#define LATER(key)   .name = key, .kind = PST_KEY_LATER
#define REFUSED(key) .name = key, .kind = PST_KEY_REFUSED
#define NEVER(key)   .name = key, .kind = PST_KEY_NEVER
#define REQUIRED     .required = true
#define RESTART      .restart = true

#define DAY 86400000u /* ms */

/* A key of features to come. */
#define NOT_YET(key) REFUSED(key), .help = "not yet available in this version"
#define NO_SSL(v)                                                                                  \
	"unsupported_by_crypto_library: " PST_OPENSSL " has no SSL " v ", so it cannot be allowed"

/* What both legs let choose. */
#define TLS_LISTS(stru)                                                                            \
	{TEXT("ciphers", stru, ciphers, pst_form_openssl, 4096), .absent = "OpenSSL's own",        \
		.help = "TLS 1.2 cipher list, as OpenSSL writes it."},                             \
		{TEXT("ciphersuites", stru, ciphersuites, pst_form_openssl, 4096),                 \
			.absent = "OpenSSL's own", .help = "TLS 1.3 cipher suites."},              \
		{TEXT("groups", stru, groups, pst_form_openssl, 4096), .absent = "OpenSSL's own",  \
			.help = "Key exchange groups."},                                           \
		{NEVER("allow_sslv3"), .help = NO_SSL("3.0")},                                     \
	{                                                                                          \
		NEVER("allow_sslv2"), .help = NO_SSL("2.0")                                        \
	}

/* Internationalised labels too: recipients may come as U-labels (RFC 6531). */
#define LABEL_CHAR "[^ -,./:-@[-^`{-~]"
#define LABELS     LABEL_CHAR "+(\\." LABEL_CHAR "+)*"
#define LITERAL    "\\[(IPv6:)?[0-9A-Fa-f:.]+\\]"

#endif
