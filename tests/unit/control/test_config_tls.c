/* SPDX-License-Identifier: BSD-3-Clause */
/* Keys of names, models, TLS profiles, actions, listeners and next hops: good and bad ones. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "doc.h"

#define MODELS  "'models': {}"
#define PROFILE "'bare': {}"
#define HOP2    "'mail2': {'hosts': [{'address': '10.0.0.30'}], 'tls': 'none'}"
#define MAIL2   "/next_hops/mail2"
#define BARE    "/tls_profiles/bare"
#define DNS     "'dns': {}, 'models': {}"
#define PLAIN   "'port': 2525, 'tls': 'none', 'action': 'off'"

static const struct bad bad[] = {
	/* dns */
	{MODELS, "'dns': true", "/dns", "must be an object"},
	{MODELS, "'dns': {'servers': '192.0.2.53'}", "/dns/servers", "must be an array"},
	{MODELS, "'dns': {'servers': ['ns.example']}", "/dns/servers/0", "must be an address"},
	{MODELS, "'dns': {'servers': ['192.0.2.53', 53]}", "/dns/servers/1", "a string"},
	{MODELS, "'dns': {'servers': ['192.0.2.256']}", "/dns/servers", "not the address"},
	{MODELS, "'dns': {'servers': ['192.0.2.53@0']}", "/dns/servers", "not the address"},
	{MODELS, "'dns': {'servers': ['192.0.2.53@65536']}", "/dns/servers", "not the address"},
	{MODELS, "'dns': {'servers': ['192.0.2.53:53']}", "/dns/servers", "not the address"},
	{MODELS, "'dns': {'servers': ['::1','::2','::3','::4','::5','::6','::7','::8','::9']}",
		"/dns/servers", "0 to 8"},
	{MODELS, "'dns': {'timeout': 0}", "/dns/timeout", "0.1 to 60"},
	{MODELS, "'dns': {'cache': 0}", "/dns/cache", "16 to"},
	{MODELS, "'dns': {'max_ttl': 0}", "/dns/max_ttl", "1 to"},
	{MODELS, "'dns': {'negative_ttl': -1}", "/dns/negative_ttl", "1 to"},
	{MODELS, "'dns': {'failure_ttl': 3601}", "/dns/failure_ttl", "1 to 3600"},
	{MODELS, "'dns': {'client_names': 1}", "/dns/client_names", "true or false"},

	/* model, models */
	{MODELS, "'model': 'T11'", "/model",
		"known are: generic, T10, T30, T50, XTM25, XTM26, XTM33"},
	{MODELS, "'model': 't10'", "/model", "no model \"t10\""},
	{MODELS, "'model': ''", "/model", "empty"},
	{MODELS, "'model': 10", "/model", "a string"},
	{MODELS, "'models': {'box': {'pfs_capable': true}}", "/model", "known are: box"},
	{MODELS, "'model': 'box', 'models': {'box': {'pfs_capable': 1}}", "/models/box/pfs_capable",
		"true or false"},
	{MODELS, "'model': 'box', 'models': {'box': {'pfs_capable': true, 'ocsp_cache': 299}}",
		"/models/box/ocsp_cache", "300 to 3000"},
	{MODELS, "'model': 'box', 'models': {'box': {'pfs_capable': true, 'ocsp_cache': 3001}}",
		"/models/box/ocsp_cache", "300 to 3000"},
	{MODELS, "'model': 'box', 'models': {'b x': {'pfs_capable': true}}", "/models/b x",
		"letters"},

	/* W11: allowed, also when nothing was said, is an error there and no silent none */
	{MODELS, "'model': 'T10'",
		"/tls_profiles/default/sender/pfs /tls_profiles/default/recipient/pfs "
		"/tls_profiles/bare/sender/pfs /tls_profiles/bare/recipient/pfs",
		"model T10 is not capable"},
	{MODELS, "'model': 'XTM33'", "/tls_profiles/default/sender/pfs",
		"model XTM33 is not capable",
		"'tickets': 1, 'ciphers': 'HIGH:!aNULL@SECLEVEL=2'}, 'bare': {}",
		"'recipient': {'pfs': 'none'}, 'sender': {'pfs': 'required'}}, 'bare': {'sender': "
		"{'pfs': 'none'}, 'recipient': {'pfs': 'none'}}"},
	{MODELS, "'model': 'T30'", "/next_hops/mail1/pfs /listeners/2/action", "model T30",
		"'ciphers': 'HIGH:!aNULL@SECLEVEL=2'}, 'bare': {}},\n"
		"  'actions': {'inspect': {'inspect': true, 'starttls_profile': 'default',\n"
		"    'implicit_profile': 'default'}, 'off': {'inspect': false}, 'empty': {}},\n"
		"  'listeners': [\n"
		"    {'name': 'smtp', 'address': 'any', 'port': 25, 'tls': 'starttls', 'action': "
		"'inspect',\n"
		"     'hostname': 'mx.example.org', 'discard_keywords': ['DSN', 'SIZE'],\n"
		"     'bare_newline': 'normalize', 'received': false},\n"
		"    {'name': 'smtps', 'address': '192.0.2.1', 'port': 465, 'tls': 'implicit',\n"
		"     'action': 'inspect'},\n"
		"    {'name': 'plain', 'port': 2525, 'tls': 'none', 'action': 'off'}],\n"
		"  'next_hops': {\n"
		"    'mail1': {",
		"'sender': {'pfs': 'none'}, 'recipient': {'pfs': 'none'}}},\n"
		"  'actions': {'inspect': {'starttls_profile': 'default', 'implicit_profile': "
		"'default'}},\n"
		"  'listeners': [{'name': 'a', 'port': 25, 'action': 'plain'},\n"
		"    {'name': 'b', 'port': 26, 'action': 'standard', 'tls': 'none'},\n"
		"    {'name': 'c', 'port': 27, 'action': 'standard'}],\n"
		"  'next_hops': {\n"
		"    'mail1': {'pfs': 'allowed', "},

	/* profiles */
	{PROFILE, "'bare': {'sender': {'pfs': 'always'}}", BARE "/sender/pfs",
		"\"none\", \"allowed\", \"required\""},
	{PROFILE, "'bare': {'sender': 'required'}", BARE "/sender", "must be an object"},
	{PROFILE, "'bare': {'recipient': {'pfs': true}}", BARE "/recipient/pfs", "one of"},
	{PROFILE, "'bare': {'client': {'pfs': 'none'}}", BARE "/client", "unknown key"},
	{PROFILE, "'bare': {'pfs': 'none'}", BARE "/pfs", "unknown key"},
	{PROFILE, "'bare': {'min': '1.3', 'sender': {'pfs': 'none'}}", BARE "/sender/pfs",
		"at most TLS 1.2"},
	{PROFILE, "'bare': {'max': '1.1'}", BARE "/min", "above"},
	{PROFILE, "'bare': {'client_certificate': 'optional'}", BARE "/client_ca_file", "missing"},
	{PROFILE, "'bare': {'client_certificate': 'required'}", BARE "/client_ca_file", "missing"},
	{PROFILE, "'bare': {'client_certificate': true}", BARE "/client_certificate", "one of"},
	{PROFILE, "'bare': {'client_ca_file': 7}", BARE "/client_ca_file", "a string"},
	{PROFILE, "'bare': {'ocsp': {}}", BARE "/ocsp", "not yet available"},
	{PROFILE, "'bare': {'allow_sslv3': true}", BARE "/allow_sslv3",
		"unsupported_by_crypto_library: OpenSSL 3."},
	{PROFILE, "'bare': {'allow_sslv2': true}", BARE "/allow_sslv2",
		"unsupported_by_crypto_library: OpenSSL 3."},
	{PROFILE, "'standard': {}", "/tls_profiles/standard", "predefined"},

	/* actions */
	{"'empty': {}", "'empty': {'tls_action': 'pass'}", "/actions/empty/tls_action",
		"\"inspect\", \"drop\""},
	{"'empty': {}", "'standard': {}", "/actions/standard", "predefined"},
	{"'empty': {}", "'plain': {'inspect': false}", "/actions/plain", "clone it"},

	/* TLS support */
	{PLAIN, "'tls_support': 'on', 'port': 27, 'action': 'inspect'", "/listeners/2/tls_support",
		"\"disabled\", \"enabled\", \"required\""},
	{PLAIN, "'tls_support': 'disabled', 'port': 27, 'tls': 'none', 'action': 'inspect'",
		"/listeners/2/tls", "exclude"},
	{PLAIN, "'implicit_port': 466, 'port': 27, 'action': 'inspect'",
		"/listeners/2/implicit_port", "needs"},
	{PLAIN, "'tls_support': 'enabled', 'port': 27, 'implicit_port': 27, 'action': 'inspect'",
		"/listeners/2/implicit_port", "the same"},
	{PLAIN, "'tls_support': 'enabled', 'port': 27, 'action': 'inspect'",
		"/listeners/2/implicit_port", "listener 1"},
	{PLAIN, "'tls_support': 'required', 'action': 'inspect'", "/listeners/2/implicit_port",
		"listener 1"},
	{PLAIN, "'tls_support': 'enabled', 'implicit_port': 466, 'action': 'inspect'",
		"/listeners/2/port", "listener 0"},
	{PLAIN, "'tls_support': 'enabled', 'port': 27, 'implicit_port': 25, 'action': 'inspect'",
		"/listeners/2/implicit_port", "listener 0"},
	{PLAIN, "'tls_support': 'enabled', 'port': 27, 'implicit_port': 466, 'action': 'off'",
		"/listeners/2/tls_support", "\"inspect\": false"},
	/* W2: who names no port and no kind of TLS has both ports. */
	{PLAIN, "'implicit_port': 466, 'action': 'inspect'", "/listeners/2/port", "already"},
	{PLAIN, "'action': 'plain'", "/listeners/2/tls_support", "has to be inspected"},
	{PLAIN, "'tls_support': 'required', 'implicit_port': 466, 'action': 'plain'",
		"/listeners/2/tls_support", "\"inspect\": false"},
	{PLAIN, "'tls_support': 'required', 'implicit_port': 466, 'action': 'empty'",
		"/listeners/2/action", "implicit_profile of action \"empty\" is missing"},
	{PLAIN, "'tls_support': 'enabled', 'port': 27, 'implicit_port': 466, 'action': 'empty'",
		"/listeners/2/action /listeners/2/action", "starttls_profile"},
	{PLAIN, "'tls_support': 'disabled', 'port': 27, 'action': 'empty'", "/listeners/2/action",
		"starttls_profile"},
	{PLAIN, "'port': 27, 'action': 'empty'", "/listeners/2/action",
		"starttls_profile of action \"empty\" has no certificate",
		"'bare': {}},\n  'actions': {'inspect': {'inspect': true, 'starttls_profile': "
		"'default',\n"
		"    'implicit_profile': 'default'}, 'off': {'inspect': false}, 'empty': {}",
		"'bare': {'certificates': []}},\n  'actions': {'inspect': {'starttls_profile': "
		"'default', 'implicit_profile': 'default'}, 'empty': {'starttls_profile': 'bare'}, "
		"'off': {'inspect': false}"},

	/* next hops: where */
	{HOP2, "'mail2': {'tls': 'none'}", MAIL2 "/hosts", "or \"mx\": true"},
	{HOP2, "'mail2': {'mx': false}", MAIL2 "/hosts", "or \"mx\": true"},
	{HOP2, "'mail2': {'mx': true}", MAIL2 "/mx", "\"dns\""},
	{HOP2, "'mail2': {'mx': true, 'hosts': [{'address': '10.0.0.1'}]}", MAIL2 "/mx", "exclude",
		MODELS, DNS},
	{HOP2, "'mail2': {'mx_domain': 'a.example', 'hosts': [{'address': '10.0.0.1'}]}",
		MAIL2 "/mx_domain", "needs \"mx\""},
	{HOP2, "'mail2': {'port': 26, 'hosts': [{'address': '10.0.0.1'}]}", MAIL2 "/port",
		"needs \"mx\""},
	{HOP2, "'mail2': {'mx': true, 'mx_domain': '*.example'}", MAIL2 "/mx_domain", "wildcards",
		MODELS, DNS},
	{HOP2, "'mail2': {'hosts': [{'name': 'm.example'}]}", MAIL2 "/hosts/0/address",
		"without a section \"dns\""},
	{HOP2, "'mail2': {'hosts': [{'port': 26}]}", MAIL2 "/hosts/0/address", "no name", MODELS,
		DNS},
	{HOP2, "'mail2': {'hosts': [{'name': 'm.example'}, {'name': 'M.example'}]}",
		MAIL2 "/hosts/1/name", "host 0", MODELS, DNS},

	/* next hops: TLS */
	{HOP2, "'mail2': {'hosts': [{'address': '10.0.0.1'}], 'level': 'dane'}", MAIL2 "/level",
		"not yet available"},
	{HOP2, "'mail2': {'hosts': [{'address': '10.0.0.1'}], 'level': 'dane-only'}",
		MAIL2 "/level", "not yet available"},
	{HOP2, "'mail2': {'hosts': [{'address': '10.0.0.1'}], 'level': 'must'}", MAIL2 "/level",
		"one of \"none\", \"may\", \"encrypt\", \"fingerprint\", \"verify\", \"secure\""},
	{HOP2, "'mail2': {'hosts': [{'address': '10.0.0.1'}], 'level': 'fingerprint'}",
		MAIL2 "/match", "missing"},
	{HOP2, "'mail2': {'hosts': [{'address': '10.0.0.1'}], 'match': ['a.example']}",
		MAIL2 "/match", "needs \"level\""},
	{HOP2, "'mail2': {'hosts': [{'address': '10.0.0.1'}], 'level': 'encrypt', 'match': ['a']}",
		MAIL2 "/match", "needs \"level\""},
	{HOP2, "'mail2': {'hosts': [{'address': '10.0.0.1'}], 'level': 'verify', 'match': []}",
		MAIL2 "/match", "1 to 16"},
	{HOP2, "'mail2': {'hosts': [{'address': '10.0.0.1'}], 'level': 'verify', 'match': 'a'}",
		MAIL2 "/match", "an array"},
	{HOP2, "'mail2': {'hosts': [{'address': '10.0.0.1'}], 'level': 'verify', 'match': ['a b']}",
		MAIL2 "/match/0", "one name"},
	{HOP2, "'mail2': {'hosts': [{'address': '10.0.0.1'}], 'tls': 'none', 'level': 'encrypt'}",
		MAIL2 "/level", "contradicts"},
	{HOP2, "'mail2': {'hosts': [{'address': '10.0.0.1'}], 'tls': 'none', 'pfs': 'required'}",
		MAIL2 "/pfs", "contradicts"},
	{HOP2, "'mail2': {'hosts': [{'address': '10.0.0.1'}], 'tls': 'implicit', 'level': 'none'}",
		MAIL2 "/level", "contradicts"},
	{HOP2, "'mail2': {'hosts': [{'address': '10.0.0.1'}], 'min': '1.3', 'pfs': 'none'}",
		MAIL2 "/pfs", "at most TLS 1.2"},
	{HOP2, "'mail2': {'hosts': [{'address': '10.0.0.1'}], 'pfs': 'yes'}", MAIL2 "/pfs",
		"one of"},
	{HOP2, "'mail2': {'hosts': [{'address': '10.0.0.1'}], 'tls_required': true}",
		MAIL2 "/tls_required", "replaced by `level`"},
	{HOP2, "'mail2': {'hosts': [{'address': '10.0.0.1'}], 'verify': true}", MAIL2 "/verify",
		"replaced by `level`"},
	{HOP2, "'mail2': {'hosts': [{'address': '10.0.0.1'}], 'verify_name': 'a'}",
		MAIL2 "/verify_name", "replaced by `match`"},
	{HOP2, "'mail2': {'hosts': [{'address': '10.0.0.1'}], 'allow_sslv2': true}",
		MAIL2 "/allow_sslv2", "unsupported_by_crypto_library: OpenSSL 3."},
};

Test(config_tls, names_the_place_of_each_fault_and_no_other)
{
	expect_faults(bad, PST_COUNT(bad));
}

/* ---- what arrives ---- */

Test(config_tls, dns_arrives_and_without_it_no_name_is_asked_for)
{
	struct pst_config *c = parse_good(MODELS, MODELS);

	cr_expect(!c->dns.on);
	pst_config_free(c);
	c = parse_good(MODELS, DNS);
	cr_expect(c->dns.on && c->dns.client_names && c->dns.names.nservers == 0);
	cr_expect(c->dns.names.timeout_ms == 5000 && c->dns.names.cache == 10000);
	cr_expect(c->dns.names.max_ttl_s == 86400 && c->dns.names.negative_ttl_s == 300);
	cr_expect_eq(c->dns.names.failure_ttl_s, 5);
	pst_config_free(c);
	c = parse_good(MODELS, "'dns': {'servers': ['192.0.2.53', '2001:db8::53@5353'], 'timeout': "
			       "2.5, 'client_names': false}");
	cr_assert_eq(c->dns.names.nservers, 2);
	cr_expect_str_eq(c->dns.names.servers[0], "192.0.2.53");
	cr_expect_str_eq(c->dns.names.servers[1], "2001:db8::53@5353");
	cr_expect(c->dns.names.timeout_ms == 2500 && !c->dns.client_names);
	pst_config_free(c);
}

Test(config_tls, the_shipped_models_are_there_unless_the_document_has_its_own)
{
	static const struct {
		const char *name;
		bool capable;
	} shipped[] = {{"generic", true}, {"T10", false}, {"T30", false}, {"T50", false},
		{"XTM25", false}, {"XTM26", false}, {"XTM33", false}};
	struct pst_config *c = parse_good(MODELS, MODELS);

	cr_expect_str_eq(c->model, "generic");
	cr_assert_eq(c->nmodels, PST_COUNT(shipped));
	for (unsigned i = 0; i < c->nmodels; i++) {
		cr_expect_str_eq(c->models[i].name, shipped[i].name);
		cr_expect_eq(c->models[i].pfs_capable, shipped[i].capable, "%s", shipped[i].name);
		cr_expect(c->models[i].ocsp_cache >= 300 && c->models[i].ocsp_cache <= 3000);
	}
	cr_expect_eq(c->models[0].ocsp_cache, 3000);
	pst_config_free(c);
	c = parse_good(MODELS, "'model': 'box', 'models': {'box': {'pfs_capable': true}}");
	cr_assert_eq(c->nmodels, 1);
	cr_expect(c->models[0].pfs_capable && c->models[0].ocsp_cache == 300);
	pst_config_free(c);
}

/* The option's model holds for every document that is read from then on. */
Test(config_tls, a_forced_model_outranks_the_document)
{
	struct pst_config_report r = {0};
	char *doc = spoiled(MODELS, "'model': 'generic'");
	struct pst_config *c;

	pst_config_force_model("T50");
	cr_expect_null(parse(doc, &r));
	cr_assert_eq(r.n, 4);
	cr_expect(strstr(r.faults[0].text, "T50") != NULL);
	pst_config_report_fini(&r);
	pst_config_force_model("T51");
	cr_expect_null(parse(doc, &r));
	cr_assert_eq(r.n, 1);
	cr_expect_str_eq(r.faults[0].pointer, "/model");
	cr_expect(strstr(r.faults[0].text, "--model") != NULL &&
		  strstr(r.faults[0].text, "XTM33") != NULL);
	pst_config_report_fini(&r);
	pst_config_force_model(NULL);
	c = parse(doc, &r);
	cr_expect_not_null(c);
	pst_config_free(c);
	free(doc);
}

Test(config_tls, profiles_arrive)
{
	struct pst_config *c = parse_good(PROFILE,
		"'bare': {'min': '1.0', 'max': '1.1', 'allow_sslv2': false, 'allow_sslv3': false, "
		"'sender': {'pfs': 'required'}, 'recipient': "
		"{'pfs': 'none'}, 'client_certificate': 'optional', 'client_ca_file': 'c.pem'}");
	struct pst_config_tls_profile *p = &c->profiles[1];

	cr_expect(p->min_version == PST_TLS_1_0 && p->max_version == PST_TLS_1_1);
	cr_expect(p->sender_pfs == PST_TLS_PFS_REQUIRED && p->recipient_pfs == PST_TLS_PFS_NONE);
	cr_expect_eq(p->client_certificate, PST_TLS_CLIENT_CERT_OPTIONAL);
	cr_expect_str_eq(p->client_ca_file, "/etc/postern/c.pem");
	cr_assert_eq(p->ncertificates, 2); /* none named: all */
	cr_expect(p->certificates[0] == 0 && p->certificates[1] == 1);
	p = &c->profiles[0];
	cr_expect(p->sender_pfs == PST_TLS_PFS_ALLOWED && p->recipient_pfs == PST_TLS_PFS_ALLOWED);
	cr_expect(p->client_certificate == PST_TLS_CLIENT_CERT_OFF && p->client_ca_file == NULL);
	pst_config_free(c);
}

Test(config_tls, tickets_are_switched_by_listener_and_network)
{
	struct pst_config *c = parse_good("'models': {}",
		"'ticket_keys': {'rotate': 60, 'lifetime': 1800, 'file': 'tickets.key'}, "
		"'models': {}");
	char text[PST_IP_STRLEN];

	cr_expect(c->ticket_keys.rotate_s == 60 && c->ticket_keys.lifetime_s == 1800);
	cr_expect_str_eq(c->ticket_keys.file, "/etc/postern/tickets.key");
	pst_config_free(c);
	c = parse_good("'port': 465", "'tickets': 0, 'port': 465");
	cr_expect(c->listeners[1].has_tickets && c->listeners[1].tickets == 0);
	cr_expect_not(c->listeners[0].has_tickets);
	pst_config_free(c);
	c = parse_good("'tickets': 1",
		"'tickets': 2, 'tickets_except': ['192.0.2.0/24', '2001:db8::/32']");
	cr_expect_eq(c->profiles[0].tickets, 2);
	cr_assert_eq(c->profiles[0].ntickets_except, 2);
	cr_expect_str_eq(pst_ip_str(&c->profiles[0].tickets_except[1].ip, text), "2001:db8::");
	cr_expect_eq(c->profiles[0].tickets_except[0].len, 24);
	pst_config_free(c);
}

Test(config_tls, standard_and_plain_are_there_without_being_said)
{
	struct pst_config *c = parse_good(PLAIN, "'port': 2525, 'action': 'standard'");
	struct pst_config_tls_profile *p = &c->profiles[c->nprofiles - 1];
	struct pst_config_action *a = &c->actions[c->listeners[2].action];

	cr_expect(!c->profiles[0].predefined && !c->actions[0].predefined);
	cr_expect_str_eq(p->name, "standard");
	cr_expect(p->predefined && p->ncertificates == 2 && p->tickets == 0);
	cr_expect(p->min_version == PST_TLS_1_2 && p->max_version == PST_TLS_1_3);
	cr_expect(p->sender_pfs == PST_TLS_PFS_ALLOWED && p->recipient_pfs == PST_TLS_PFS_ALLOWED);
	cr_expect_str_eq(a->name, "standard");
	cr_expect(a->predefined && a->inspect && a->tls_action == PST_TLS_ACTION_INSPECT);
	cr_expect(a->starttls_profile == 2 && a->implicit_profile == 2);
	a = &c->actions[c->nactions - 1];
	cr_expect_str_eq(a->name, "plain");
	cr_expect(a->predefined && !a->inspect && a->starttls_profile == -1);
	pst_config_free(c);
}

static void
expect_support(const char *put, unsigned n, const char *ports)
{
	struct pst_config *c = parse_good(PLAIN, put);
	char got[64] = "";

	cr_assert_eq(c->nlisteners, 2 + n, "%s", put);
	for (unsigned i = 2; i < c->nlisteners; i++) {
		const struct pst_config_listener *l = &c->listeners[i];
		size_t at = strlen(got);

		snprintf(got + at, sizeof(got) - at, "%u:%d ", l->at.port, l->tls);
		cr_expect_str_eq(l->name, "plain");
		cr_expect_eq(l->item, 2);
	}
	cr_expect_str_eq(got, ports, "%s", put);
	pst_config_free(c);
}

/* W2: 25 alone, 25 and 465, 465 alone. 1 is starttls, 2 implicit. */
Test(config_tls, tls_support_becomes_ports)
{
	expect_support("'tls_support': 'disabled', 'port': 26, 'action': 'inspect'", 1, "26:1 ");
	expect_support("'tls_support': 'disabled', 'port': 26, 'action': 'plain'", 1, "26:1 ");
	expect_support("'tls_support': 'enabled', 'port': 26, 'implicit_port': 466, 'action': "
		       "'inspect'",
		2, "26:1 466:2 ");
	expect_support("'tls_support': 'required', 'port': 26, 'implicit_port': 466, 'action': "
		       "'inspect'",
		1, "466:2 ");
	expect_support("'tls_support': 'required', 'implicit_port': 466, 'action': 'standard'", 1,
		"466:2 ");
	expect_support("'port': 26, 'action': 'inspect'", 1, "26:1 ");
}

/* A connection that is reset needs no certificate. */
Test(config_tls, tls_action_drop_needs_no_profile)
{
	char *doc = spoiled_twice("'empty': {}", "'empty': {'tls_action': 'drop'}", PLAIN,
		"'tls_support': 'required', 'implicit_port': 466, 'action': 'empty'");
	struct pst_config_report r = {0};
	struct pst_config *c = parse(doc, &r);

	cr_assert_not_null(c);
	cr_expect_eq(c->actions[c->listeners[2].action].tls_action, PST_TLS_ACTION_DROP);
	pst_config_free(c);
	free(doc);
}

Test(config_tls, next_hops_arrive)
{
	struct pst_config_report r = {0};
	char *doc = spoiled_twice(HOP2,
		"'mail2': {'mx': true, 'mx_domain': 'b\xc3\xbc"
		"cher.example', 'port': 26, 'pfs': 'required', 'level': 'secure', 'match': "
		"['nexthop', '.example.com'], 'min': '1.1'}, 'mail3': {'hosts': [{'name': "
		"'m.example'}, {'name': 'm.example', 'port': 26}], 'level': 'may'}",
		MODELS, DNS);
	struct pst_config *c = parse(doc, &r);
	struct pst_config_next_hop *h;

	cr_assert_not_null(c);
	h = &c->next_hops[1];
	cr_expect(h->mx && h->nhosts == 0 && h->port == 26 && h->profile_min == PST_TLS_1_1);
	cr_expect_str_eq(h->mx_domain, "b\xc3\xbc"
				       "cher.example");
	cr_expect(h->has_pfs && h->pfs == PST_TLS_PFS_REQUIRED && h->level == PST_LEVEL_SECURE);
	cr_assert_eq(h->nmatch, 2);
	cr_expect_str_eq(h->match[0], "nexthop");
	cr_expect_str_eq(h->match[1], ".example.com");
	h = &c->next_hops[2];
	cr_expect(!h->mx && h->nhosts == 2 && !h->hosts[0].has_address && h->hosts[1].port == 26);
	cr_expect(h->level == PST_LEVEL_MAY && !h->has_pfs);
	pst_config_free(c);
	free(doc);
}
