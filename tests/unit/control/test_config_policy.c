/* SPDX-License-Identifier: BSD-3-Clause */
/* Keys of the policy: forms, what contradicts the listeners, and what is only warned about. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "doc.h"

#define POLICY   "'policy': {}"
#define RULE(x)  "'policy': {'rules': [{'id': 'a', " x "}]}"
#define MAP(x)   "'policy': {'map': {" x "}}"
#define ENTRY(x) MAP("'example.com': {" x "}")
#define AT_RULE  "/policy/rules/0"
#define AT_ENTRY "/policy/map/example.com"

static const struct bad bad[] = {
	/* rules */
	{POLICY, "'policy': []", "/policy", "must be an object"},
	{POLICY, "'policy': {'rule': []}", "/policy/rule", "mean \"rules\""},
	{POLICY, "'policy': {'rules': {}}", "/policy/rules", "must be an array"},
	{POLICY, "'policy': {'rules': [{'to': '*'}]}", AT_RULE "/id", "missing"},
	{POLICY, "'policy': {'rules': [{'id': 'a b', 'to': '*'}]}", AT_RULE "/id", "letters"},
	{POLICY, "'policy': {'rules': [{'id': 7, 'to': '*'}]}", AT_RULE "/id", "a string"},
	{POLICY, "'policy': {'rules': [{'id': 'default', 'to': '*'}]}", AT_RULE "/id",
		"default rule"},
	{POLICY, RULE("'from': '*'"), AT_RULE "/to", "missing"},
	{POLICY, RULE("'to': '*', 'form': '*'"), AT_RULE "/form", "mean \"from\""},
	{POLICY, RULE("'to': ''"), AT_RULE "/to", "empty"},
	{POLICY, RULE("'to': '<>'"), AT_RULE "/to", "domain"},
	{POLICY, RULE("'to': 'a@example.com'"), AT_RULE "/to", "domain"},
	{POLICY, RULE("'to': '.example.com'"), AT_RULE "/to", "domain"},
	{POLICY, RULE("'to': 'a.*.example.com'"), AT_RULE "/to", "domain"},
	{POLICY, RULE("'to': '**'"), AT_RULE "/to", "domain"},
	{POLICY, RULE("'to': 'a..b'"), AT_RULE "/to", "domain"},
	{POLICY, RULE("'to': 'a b'"), AT_RULE "/to", "domain"},
	{POLICY, RULE("'to': 'a\\r\\nb'"), AT_RULE "/to", "control"},
	{POLICY, RULE("'to': '[192.0.2.1'"), AT_RULE "/to", "domain"},
	{POLICY,
		RULE("'to': "
		     "'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.org'"),
		AT_RULE "/to", "63 octets"},
	{POLICY, RULE("'to': '*', 'from': '< >'"), AT_RULE "/from", "null sender"},
	{POLICY, RULE("'to': '*', 'from': 7"), AT_RULE "/from", "a string"},
	{POLICY, RULE("'to': '*', 'sender': 'preferred'"), AT_RULE "/sender",
		"\"required\", \"none\", \"optional\""},
	{POLICY, RULE("'to': '*', 'sender': 'Required'"), AT_RULE "/sender", "one of"},
	{POLICY, RULE("'to': '*', 'recipient': 'optional'"), AT_RULE "/recipient",
		"\"required\", \"none\", \"preferred\", \"allowed\""},
	{POLICY, RULE("'to': '*', 'recipient': null"), AT_RULE "/recipient", "one of"},
	{POLICY, RULE("'to': '*', 'enabled': 'no'"), AT_RULE "/enabled", "true or false"},
	{POLICY, "'policy': {'rules': [{'id': 'a', 'to': '*'}, 'x', {'id': 'b', 'to': 'x,y'}]}",
		"/policy/rules/1 /policy/rules/2/to", "must be an object"},

	/* the default */
	{POLICY, "'policy': {'default_rule': 'none'}", "/policy/default_rule", "must be an object"},
	{POLICY, "'policy': {'default_rule': {'sender': 'may'}}", "/policy/default_rule/sender",
		"one of"},
	{POLICY, "'policy': {'default_rule': {'recipient': 'encrypt'}}",
		"/policy/default_rule/recipient", "one of"},
	{POLICY, "'policy': {'default_rule': {'from': '*'}}", "/policy/default_rule/from",
		"unknown"},
	{POLICY, "'policy': {'tls_before_mail': 1}", "/policy/tls_before_mail", "true or false"},
	{POLICY, "'policy': {'mirror_receiver': 'yes'}", "/policy/mirror_receiver",
		"true or false"},

	/* the map */
	{POLICY, "'policy': {'map': []}", "/policy/map", "must be an object"},
	{POLICY, MAP("'example.com': 'encrypt'"), AT_ENTRY, "must be an object"},
	{POLICY, ENTRY(""), AT_ENTRY "/level", "missing"},
	{POLICY, ENTRY("'level': 'dane'"), AT_ENTRY "/level", "not yet available"},
	{POLICY, ENTRY("'level': 'dane-only'"), AT_ENTRY "/level", "not yet available"},
	{POLICY, ENTRY("'level': 'required'"), AT_ENTRY "/level", "one of"},
	{POLICY, ENTRY("'level': 'encrypt', 'match': ['a']"), AT_ENTRY "/match", "needs"},
	{POLICY, ENTRY("'level': 'none', 'match': ['a']"), AT_ENTRY "/match", "needs"},
	{POLICY, ENTRY("'level': 'fingerprint'"), AT_ENTRY "/match", "missing"},
	{POLICY, ENTRY("'level': 'verify', 'match': 'a:b'"), AT_ENTRY "/match", "an array"},
	{POLICY, ENTRY("'level': 'verify', 'match': [7]"), AT_ENTRY "/match/0", "a string"},
	{POLICY, ENTRY("'level': 'verify', 'match': ['a|b']"), AT_ENTRY "/match/0", "one name"},
	{POLICY,
		ENTRY("'level': 'verify', 'match': ['1','2','3','4','5','6','7','8','9','10','11',"
		      "'12','13','14','15','16','17']"),
		AT_ENTRY "/match", "1 to 16"},
	{POLICY, ENTRY("'level': 'may', 'protocols': 'TLSv1.2; x'"), AT_ENTRY "/protocols", "list"},
	{POLICY, ENTRY("'level': 'may', 'ciphers': 'export'"), AT_ENTRY "/ciphers", "\"high\""},
	{POLICY, ENTRY("'level': 'may', 'ciphers': 'highest'"), AT_ENTRY "/ciphers", "\"high\""},
	{POLICY, ENTRY("'level': 'may', 'exclude': 'a;b'"), AT_ENTRY "/exclude", "ciphers"},
	{POLICY, ENTRY("'level': 'may', 'servername': 'a b'"), AT_ENTRY "/servername", "host"},
	{POLICY, ENTRY("'level': 'may', 'connection_reuse': true"), AT_ENTRY "/connection_reuse",
		"not yet available"},
	{POLICY, ENTRY("'level': 'may', 'enable_rpk': true"), AT_ENTRY "/enable_rpk",
		"not yet available"},
	{POLICY, ENTRY("'level': 'verify', 'tafile': 'x'"), AT_ENTRY "/tafile",
		"not yet available"},
	{POLICY, ENTRY("'level': 'may', 'policy': 'x'"), AT_ENTRY "/policy", "unknown"},
	{POLICY, MAP("'*.example.com': {'level': 'may'}"), "/policy/map/*.example.com",
		"\".domain\""},
	{POLICY, MAP("'*': {'level': 'may'}"), "/policy/map/*", "must be a domain"},
	{POLICY, MAP("'[]': {'level': 'may'}"), "/policy/map/[]", "must be a domain"},
	{POLICY, MAP("'[a.example': {'level': 'may'}"), "/policy/map/[a.example", "must be"},
	{POLICY, MAP("'a.example:smtp': {'level': 'may'}"), "/policy/map/a.example:smtp", "port"},
	{POLICY, MAP("'a.example:': {'level': 'may'}"), "/policy/map/a.example:", "port"},
	{POLICY, MAP("'a/b': {'level': 'may'}"), "/policy/map/a~1b", "must be a domain"},

	/* lists and global levels */
	{POLICY, "'policy': {'starttls_never': 'a.example'}", "/policy/starttls_never", "an array"},
	{POLICY, "'policy': {'starttls_never': [1]}", "/policy/starttls_never/0", "a string"},
	{POLICY, "'policy': {'starttls_required': ['a', 'b c']}", "/policy/starttls_required/1",
		"a network"},
	{POLICY, "'policy': {'starttls_required': ['192.0.2.0/']}", "/policy/starttls_required/0",
		"a network"},
	{POLICY, "'policy': {'starttls_required': ['*']}", "/policy/starttls_required/0", "a host"},
	{POLICY, "'policy': {'inbound': 'none'}", "/policy/inbound", "\"may\", \"encrypt\""},
	{POLICY, "'policy': {'inbound': 'verify'}", "/policy/inbound", "\"may\", \"encrypt\""},
	{POLICY, "'policy': {'outbound': 'secure'}", "/policy/outbound",
		"\"none\", \"may\", \"encrypt\""},
	{POLICY, "'policy': {'broken_tls': true}", "/policy/broken_tls", "must be an object"},
	{POLICY, "'policy': {'broken_tls': {'ttl': 3601}}", "/policy/broken_tls/ttl",
		"1 to 3600 seconds"},
	{POLICY, "'policy': {'broken_tls': {'ttl': 0}}", "/policy/broken_tls/ttl",
		"1 to 3600 seconds"},
	{POLICY, "'policy': {'broken_tls': {'entries': 0}}", "/policy/broken_tls/entries", "16 to"},

	/* to come */
	{POLICY, "'policy': {'mta_sts': {}}", "/policy/mta_sts", "not yet available"},
	{POLICY, "'policy': {'dane': {}}", "/policy/dane", "not yet available"},
	{POLICY, "'policy': {'requiretls': true}", "/policy/requiretls", "not yet available"},
	{POLICY, "'policy': {'tlsrpt': {}}", "/policy/tlsrpt", "not yet available"},
};

Test(config_policy, names_the_place_of_each_fault_and_no_other)
{
	expect_faults(bad, PST_COUNT(bad));
}

/* ---- demands and listeners ---- */

/* From the listeners on, up to the next hops: what is put in its place decides who speaks TLS. */
#define LISTENERS_FROM                                                                             \
	"'listeners': [\n    {'name': 'smtp', 'address': 'any', 'port': 25, 'tls': 'starttls', "   \
	"'action': 'inspect',\n     'hostname': 'mx.example.org', 'discard_keywords': ['DSN', "    \
	"'SIZE'],\n     'bare_newline': 'normalize', 'received': false},\n    {'name': 'smtps', "  \
	"'address': '192.0.2.1', 'port': 465, 'tls': 'implicit',\n     'action': 'inspect'},\n   " \
	" {'name': 'plain', 'port': 2525, 'tls': 'none', 'action': 'off'}]"
#define DEAF  "'listeners': [{'name': 'a', 'port': 25, 'action': 'plain'}]"
#define CLEAR "'listeners': [{'name': 'a', 'tls': 'none', 'action': 'inspect'}]"

static const struct bad unmet[] = {
	{POLICY, RULE("'to': '*', 'sender': 'required'"), AT_RULE "/sender", "no listener",
		LISTENERS_FROM, DEAF},
	{POLICY, RULE("'to': '*', 'sender': 'required'"), AT_RULE "/sender", "no listener",
		LISTENERS_FROM, CLEAR},
	{POLICY, RULE("'to': '*', 'recipient': 'required'"), AT_RULE "/recipient",
		"\"inspect\": false", LISTENERS_FROM, DEAF},
	{POLICY, RULE("'to': '*', 'sender': 'Always Encrypted', 'recipient': 'required'"),
		AT_RULE "/sender " AT_RULE "/recipient", "no listener", LISTENERS_FROM, DEAF},
	{POLICY, "'policy': {'default_rule': {'sender': 'required'}}",
		"/policy/default_rule/sender", "no listener", LISTENERS_FROM, DEAF},
	{POLICY, "'policy': {'default_rule': {'recipient': 'required'}}",
		"/policy/default_rule/recipient", "\"inspect\"", LISTENERS_FROM, DEAF},
	{POLICY, "'policy': {'inbound': 'encrypt'}", "/policy/inbound", "no listener",
		LISTENERS_FROM, CLEAR},
};

/* W1: a `required` rule while nobody inspects is an error. */
Test(config_policy, demands_that_no_listener_can_meet_are_faults)
{
	expect_faults(unmet, PST_COUNT(unmet));
}

Test(config_policy, demands_that_some_listener_can_meet_are_none)
{
	static const char *const cases[][2] = {
		{RULE("'to': '*', 'sender': 'required', 'enabled': false"), DEAF},
		{RULE("'to': '*', 'sender': 'optional', 'recipient': 'preferred'"), DEAF},
		{RULE("'to': '*', 'recipient': 'required'"), CLEAR},
		{RULE("'to': '*', 'sender': 'required', 'recipient': 'required'"),
			"'listeners': [{'name': 'a', 'port': 25, 'action': 'plain'}, {'name': "
			"'b', 'port': 26, 'action': 'inspect'}]"},
		{RULE("'to': '*', 'sender': 'required'"),
			"'listeners': [{'name': 'b', 'action': 'standard'}]"},
		{RULE("'to': '*', 'sender': 'required'"),
			"'listeners': [{'name': 'b', 'tls_support': 'required', 'action': "
			"'standard'}]"},
	};

	for (size_t i = 0; i < PST_COUNT(cases); i++) {
		struct pst_config_report r = {0};
		char *doc = spoiled_twice(POLICY, cases[i][0], LISTENERS_FROM, cases[i][1]);
		struct pst_config *c = parse(doc, &r);

		pst_config_report_print(&r, cases[i][0], stderr);
		cr_expect_not_null(c, "%s %s", cases[i][0], cases[i][1]);
		pst_config_free(c);
		pst_config_report_fini(&r);
		free(doc);
	}
}

/* W2: "Enabled - SMTP proxy listens on ports 25 and 465 (default)". */
Test(config_policy, a_listener_that_names_no_port_and_no_kind_of_tls_has_both)
{
	struct pst_config *c =
		parse_good(LISTENERS_FROM, "'listeners': [{'name': 'b', 'action': 'standard'}]");

	cr_assert_eq(c->nlisteners, 2);
	cr_expect(c->listeners[0].at.port == 25 && c->listeners[0].tls == PST_CONFIG_TLS_STARTTLS);
	cr_expect(c->listeners[1].at.port == 465 && c->listeners[1].tls == PST_CONFIG_TLS_IMPLICIT);
	cr_expect_eq(c->listeners[0].tls_support, PST_TLS_SUPPORT_ENABLED);
	pst_config_free(c);
}

/* ---- what arrives ---- */

Test(config_policy, rules_arrive_in_order)
{
	struct pst_config *c = parse_good(POLICY,
		"'policy': {'rules': [{'id': 'bank', 'from': '<>', 'to': '*.bank.example', "
		"'sender': "
		"'required', 'recipient': 'allowed', 'enabled': false}, {'_comment': 'x', 'id': "
		"'b\\u002d2', 'to': '[IPv6:2001:db8::1]', 'sender': 'Optionally Encrypted'}, "
		"{'id': '3', 'from': 'b\xc3\xbc"
		"cher.example', 'to': '*', 'recipient': 'none'}]}");
	struct pst_config_rule *r = c->policy.rules;

	cr_assert_eq(c->policy.nrules, 3);
	cr_expect_str_eq(r[0].id, "bank");
	cr_expect_str_eq(r[0].from, "<>");
	cr_expect_str_eq(r[0].to, "*.bank.example");
	cr_expect(r[0].sender == PST_SENDER_REQUIRED && r[0].recipient == PST_RECIPIENT_ALLOWED);
	cr_expect(!r[0].enabled && r[1].enabled);
	cr_expect_str_eq(r[1].id, "b-2");
	cr_expect_str_eq(r[1].from, "*");
	cr_expect_str_eq(r[1].to, "[IPv6:2001:db8::1]");
	cr_expect(r[1].sender == PST_SENDER_OPTIONAL && r[1].recipient == PST_RECIPIENT_UNSET);
	cr_expect(r[2].sender == PST_SENDER_UNSET && r[2].recipient == PST_RECIPIENT_NONE);
	cr_expect_str_eq(r[2].from, "b\xc3\xbc"
				    "cher.example");
	pst_config_free(c);
}

/* The source's own: a rule applies to "*", optional, preferred, until somebody says more. */
Test(config_policy, absent_is_optional_and_preferred_and_nothing_else)
{
	struct pst_config *c = parse_good(POLICY, POLICY);
	struct pst_config_policy *p = &c->policy;

	cr_expect(p->nrules == 0 && p->nmap == 0 && p->nnever == 0 && p->nrequired == 0);
	cr_expect_eq(p->default_sender, PST_SENDER_OPTIONAL);
	cr_expect_eq(p->default_recipient, PST_RECIPIENT_PREFERRED);
	cr_expect(!p->tls_before_mail && !p->mirror_receiver);
	cr_expect(p->inbound == PST_LEVEL_UNSET && p->outbound == PST_LEVEL_UNSET);
	cr_expect(!p->broken_tls.enabled && p->broken_tls.ttl_ms == 3600000);
	cr_expect_eq(p->broken_tls.entries, 4096);
	pst_config_free(c);
}

Test(config_policy, map_lists_and_switches_arrive)
{
	struct pst_config *c = parse_good(POLICY,
		"'policy': {'default_rule': {'sender': 'none', 'recipient': 'allowed'}, "
		"'tls_before_mail': true, 'mirror_receiver': true, 'map': {'_comment': 'x', "
		"'example.com:26': {'level': 'secure', 'match': ['nexthop', 'dot-nexthop'], "
		"'protocols': '>=TLSv1.2', 'ciphers': 'high', 'exclude': 'aNULL, MD5', "
		"'servername': 'hostname'}, '[127.0.0.1]:10025': {'level': 'none'}, "
		"'[IPv6:2001:db8::1]': {'level': 'may'}, '[2001:db8::1]:26': {'level': 'encrypt'}, "
		"'.example.com': {'level': 'fingerprint', 'match': "
		"['AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:"
		"44:55:66:77:88:99']}, 'b\xc3\xbc"
		"cher.example': {'level': 'verify'}}, 'starttls_never': ['192.0.2.7', "
		"'198.51.100.0/24', '2001:db8::/32', 'mx.old.example', '*.legacy.example', "
		"'.x.y'], "
		"'starttls_required': ['::1'], 'inbound': 'may', 'outbound': 'none', 'broken_tls': "
		"{'enabled': true, 'ttl': 1.5, 'entries': 16}}");
	struct pst_config_policy *p = &c->policy;

	cr_expect(p->default_sender == PST_SENDER_NONE);
	cr_expect(p->default_recipient == PST_RECIPIENT_ALLOWED);
	cr_expect(p->tls_before_mail && p->mirror_receiver);
	cr_assert_eq(p->nmap, 6);
	cr_expect_str_eq(p->map[0].destination, "example.com:26");
	cr_expect(p->map[0].level == PST_LEVEL_SECURE && p->map[0].nmatch == 2);
	cr_expect_str_eq(p->map[0].match[1], "dot-nexthop");
	cr_expect_str_eq(p->map[0].protocols, ">=TLSv1.2");
	cr_expect_str_eq(p->map[0].ciphers, "high");
	cr_expect_str_eq(p->map[0].exclude, "aNULL, MD5");
	cr_expect_str_eq(p->map[0].servername, "hostname");
	cr_expect_str_eq(p->map[1].destination, "[127.0.0.1]:10025");
	cr_expect(p->map[1].level == PST_LEVEL_NONE && p->map[1].protocols == NULL);
	cr_expect(p->map[4].level == PST_LEVEL_FINGERPRINT && strlen(p->map[4].match[0]) == 95);
	cr_assert_eq(p->nnever, 6);
	cr_expect_str_eq(p->never[1], "198.51.100.0/24");
	cr_assert_eq(p->nrequired, 1);
	cr_expect_str_eq(p->required[0], "::1");
	cr_expect(p->inbound == PST_LEVEL_MAY && p->outbound == PST_LEVEL_NONE);
	cr_expect(p->broken_tls.enabled && p->broken_tls.ttl_ms == 1500);
	cr_expect_eq(p->broken_tls.entries, 16);
	pst_config_free(c);
}

/* 100,000 rules and as many map entries are what a lookup is promised for: they must load, too. */
Test(config_policy, a_hundred_thousand_rules_and_map_entries_load)
{
	struct pst_config_report r = {0};
	char *good = spoiled(POLICY, "'policy': {'rules': [%], 'map': {^}}"), *doc = NULL;
	char *rules = strchr(good, '%'), *map = strchr(good, '^');
	struct pst_config *c;
	size_t size;
	FILE *f = open_memstream(&doc, &size);

	fwrite(good, 1, (size_t)(rules - good), f);
	for (unsigned i = 0; i < 100000; i++)
		fprintf(f, "%s{\"id\":\"r%u\",\"to\":\"d%u.example\",\"sender\":\"required\"}",
			i > 0 ? "," : "", i, i);
	fwrite(rules + 1, 1, (size_t)(map - rules - 1), f);
	for (unsigned i = 0; i < 100000; i++)
		fprintf(f, "%s\"d%u.example\":{\"level\":\"encrypt\"}", i > 0 ? "," : "", i);
	fputs(map + 1, f);
	fclose(f);
	c = parse(doc, &r);
	pst_config_report_print(&r, "", stderr);
	cr_assert_not_null(c);
	cr_expect(c->policy.nrules == 100000 && c->policy.nmap == 100000);
	cr_expect_str_eq(c->policy.rules[99999].to, "d99999.example");
	cr_expect_str_eq(c->policy.map[99999].destination, "d99999.example");
	pst_config_free(c);
	free(doc);
	free(good);
}
