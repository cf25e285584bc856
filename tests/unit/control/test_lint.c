/* SPDX-License-Identifier: BSD-3-Clause */
/* Warnings: each is told once, at its place, and a good document has none. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "doc.h"

struct doubtful {
	const char *find, *put;
	const char *pointers; /* of the warnings, with a space behind each */
	const char *says;
};

#define PROFILE "'bare': {}"
#define OFF     "'off': {'inspect': false}"
#define POLICY  "'policy': {}"
#define HOP     "'max_tries': 3"

static const struct doubtful doubtful[] = {
	{"'version': 1", "'version': 1", "", ""},
	{PROFILE, "'bare': {'min': '1.0'}", "/tls_profiles/bare/min ", "RFC 8996"},
	{PROFILE, "'bare': {'min': '1.1'}", "/tls_profiles/bare/min ", "security level"},
	{PROFILE, "'bare': {'min': '1.2'}", "", ""},
	{PROFILE, "'bare': {'sender': {'pfs': 'none'}}", "/tls_profiles/bare/sender/pfs ",
		"forward secrecy"},
	{PROFILE, "'bare': {'recipient': {'pfs': 'none'}}", "/tls_profiles/bare/recipient/pfs ",
		"forward secrecy"},
	{PROFILE, "'bare': {'client_ca_file': 'a'}", "/tls_profiles/bare/client_ca_file ",
		"no effect"},
	{PROFILE, "'bare': {'client_ca_file': 'a', 'client_certificate': 'optional'}", "", ""},
	/* tickets: the document's two TLS listeners have profile default, which sends one */
	{"'models': {}", "'ticket_keys': {'file': 'k'}, 'models': {}", "", ""},
	{"'tickets': 1,", "'tickets_except': ['192.0.2.0/24'],",
		"/tls_profiles/default/tickets_except ", "no listener sends"},
	{"'tickets': 1,", "'tickets': 1, 'tickets_except': ['192.0.2.0/24'],", "", ""},
	{PROFILE, "'bare': {'tickets': 1, 'tickets_except': ['::/0']}",
		"/tls_profiles/bare/tickets_except ", "under this profile"},
	{"'port': 2525", "'tickets': 1, 'port': 2525", "/listeners/2/tickets ", "no TLS here"},
	{"'port': 2525", "'tickets': 0, 'port': 2525", "", ""},
	{HOP, "'min': '1.0'", "/next_hops/mail1/min ", "RFC 8996"},
	{HOP, "'pfs': 'none'", "/next_hops/mail1/pfs ", "forward secrecy"},
	/* W1 */
	{OFF, "'off': {'inspect': false, 'starttls_profile': 'default'}",
		"/actions/off/starttls_profile ", "no effect"},
	{OFF, "'off': {'inspect': false, 'implicit_profile': 'bare', 'tls_action': 'drop'}",
		"/actions/off/implicit_profile /actions/off/tls_action ", "no effect"},
	{"'inspect': true", "'tls_action': 'drop'", "/listeners/1/action ", "port 465 is reset"},
	/* who must encrypt meets who cannot */
	{POLICY, "'policy': {'rules': [{'id': 'a', 'to': '*', 'sender': 'required'}]}",
		"/listeners/2/action ", "always refused"},
	{POLICY,
		"'policy': {'rules': [{'id': 'a', 'to': '*', 'sender': 'required', 'enabled': "
		"false}]}",
		"", ""},
	{POLICY, "'policy': {'default_rule': {'sender': 'required'}}", "/listeners/2/action ",
		"always refused"},
	{POLICY, "'policy': {'inbound': 'encrypt'}", "/listeners/2/action ", "always refused"},
	/* clients' names */
	{POLICY,
		"'policy': {'starttls_never': ['192.0.2.1', 'a.example'], 'starttls_required': "
		"['2001:db8::/32', '*.b.example']}",
		"/policy/starttls_never/1 /policy/starttls_required/1 ", "not asked for"},
	{POLICY, "'policy': {'mirror_receiver': true}", "/policy/mirror_receiver ", "no effect"},
};

static void
expect_warnings(const struct doubtful *d)
{
	struct pst_config *c = parse_good(d->find, d->put);
	struct pst_config_report r = {0};
	char got[512] = "";

	pst_config_lint(c, &r);
	cr_expect_eq(r.n, 0);
	for (unsigned i = 0; i < r.nwarnings; i++) {
		size_t at = strlen(got);
		snprintf(got + at, sizeof(got) - at, "%s ", r.warnings[i].pointer);
	}
	cr_expect_str_eq(got, d->pointers, "%s: %s", d->put, got);
	if (r.nwarnings > 0)
		cr_expect(strstr(r.warnings[0].text, d->says) != NULL, "%s: %s", d->put,
			r.warnings[0].text);
	pst_config_report_fini(&r);
	pst_config_free(c);
}

Test(lint, warns_at_the_place_and_nowhere_else)
{
	for (size_t i = 0; i < PST_COUNT(doubtful); i++)
		expect_warnings(&doubtful[i]);
}

/* On a model that cannot do better, what it has to say is not held against it. */
Test(lint, pfs_none_is_no_surprise_on_a_model_without_it)
{
	struct pst_config_report r = {0};
	char *doc = spoiled_twice("'models': {}", "'model': 'T10'",
		"'ciphers': 'HIGH:!aNULL@SECLEVEL=2'}, 'bare': {}",
		"'sender': {'pfs': 'none'}, 'recipient': {'pfs': 'none'}}, 'bare': {'sender': "
		"{'pfs': 'none'}, 'recipient': {'pfs': 'none'}}");
	struct pst_config *c = parse(doc, &r);

	pst_config_report_print(&r, "", stderr);
	cr_assert_not_null(c);
	pst_config_lint(c, &r);
	cr_expect_eq(r.nwarnings, 0);
	pst_config_report_fini(&r);
	pst_config_free(c);
	free(doc);
}

Test(lint, a_listener_of_two_ports_is_told_by_its_place_in_the_document)
{
	struct pst_config *c = parse_good(
		"'name': 'smtps', 'address': '192.0.2.1', 'port': 465, 'tls': 'implicit',\n"
		"     'action': 'inspect'},\n"
		"    {'name': 'plain'",
		"'name': 'two', 'port': 26, 'tls_support': 'enabled', 'action': 'standard'}, "
		"{'name': 'drop', 'port': 27, 'tls': 'none', 'action': 'inspect'}, {'name': "
		"'plain'");
	struct pst_config_report r = {0};

	cr_assert_eq(c->nlisteners, 5);
	cr_expect(c->listeners[4].item == 3);
	c->policy.inbound = PST_LEVEL_ENCRYPT;
	pst_config_lint(c, &r);
	cr_assert_eq(r.nwarnings, 2);
	cr_expect_str_eq(r.warnings[0].pointer, "/listeners/2/tls");
	cr_expect_str_eq(r.warnings[1].pointer, "/listeners/3/action");
	pst_config_report_fini(&r);
	pst_config_free(c);
}

Test(lint, warnings_are_printed_as_such)
{
	struct pst_config_report r = {0};
	char *text = NULL;
	size_t n;
	FILE *f = open_memstream(&text, &n);

	pst_config_report_warn(&r, "/a/b", "x %d", 7);
	pst_config_report_add(&r, "/c", "y");
	pst_config_report_print(&r, "p.json", f);
	fclose(f);
	cr_expect_str_eq(text, "p.json: /c: y\nwarning: /a/b: x 7\n");
	free(text);
	pst_config_report_fini(&r);
}
