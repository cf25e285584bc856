/* SPDX-License-Identifier: BSD-3-Clause */
#include "doc.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

const char good_document[] =
	"{ 'version': 1,\n"
	"  'dataplane': {'workers': 2, 'cores': [0, 1], 'main_core': 0, 'memory_mb': 256,\n"
	"    'hugepages': 'off', 'idle': 'adaptive', 'mbufs': 2048,\n"
	"    'ports': [\n"
	"      {'name': 'wan', 'device': 'net_tap', 'iface': 'ptap0', 'mac': '02:00:00:00:00:0a',\n"
	"       'mtu': 1500, 'vlan': 7, 'queues': 1, 'promiscuous': true, 'steering': 'software',\n"
	"       'addresses': ['192.0.2.1/24', '2001:db8::1/64'], 'options': {'k': 'v'}},\n"
	"      {'name': 'lan', 'device': '0000:01:00.1', 'addresses': ['10.0.0.1/8']}],\n"
	"    'routes': [{'to': '0.0.0.0/0', 'via': '192.0.2.254', 'port': 'wan'},\n"
	"      {'to': '::/0', 'via': 'fe80::1', 'port': 'wan'}],\n"
	"    'tcp': {'max_connections': 1000, 'max_half_open': 100, 'delack': 0.04},\n"
	"    'test': {'misroute_every': 9} },\n"
	"  'log': {'file': 'p.log', 'format': 'json', 'level': 'debug'},\n"
	"  'control': {'socket': '/tmp/c.sock', 'group': 'root'},\n"
	"  'limits': {'sessions': 100, 'message_size': 0, 'timeouts': {'dot': 0.5, 'ehlo': 7}},\n"
	"  'models': {},\n"
	"  'certificates': {'mx': {'chain': 'mx.pem', 'key': '/k/mx.key'}, 'one': {'chain': "
	"'b.pem'}},\n"
	"  'tls_profiles': {'default': {'min': '1.2', 'max': '1.3', 'certificates': ['one', "
	"'mx'],\n"
	"    'tickets': 1, 'ciphers': 'HIGH:!aNULL@SECLEVEL=2'}, 'bare': {}},\n"
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
	"    'mail1': {'hosts': [{'name': 'm1.example.com', 'address': '10.0.0.20', 'port': 26,\n"
	"      'priority': 5}, {'address': '2001:db8::20'}], 'tls': 'implicit', 'level': "
	"'verify',\n"
	"      'ca_file': 'ca.pem', 'reuse': 'session', 'reuse_idle': 1.5, 'max_tries': 3},\n"
	"    'mail2': {'hosts': [{'address': '10.0.0.30'}], 'tls': 'none'}},\n"
	"  'routes': [{'domain': 'example.com', 'next_hop': 'mail2'},\n"
	"    {'domain': 'b\xc3\xbc"
	"cher.example', 'next_hop': 'mail1'}],\n"
	"  'policy': {}, 'crypto': {} }\n";

static char *
replace(const char *doc, const char *find, const char *put)
{
	const char *at = strstr(doc, find);
	char *out = NULL;

	cr_assert_not_null(at, "the document has no %s", find);
	if (asprintf(&out, "%.*s%s%s", (int)(at - doc), doc, put, at + strlen(find)) < 0)
		cr_assert_fail("out of memory");
	return out;
}

static char *
quoted(char *doc)
{
	for (char *p = doc; *p != '\0'; p++)
		if (*p == '\'')
			*p = '"';
	return doc;
}

char *
spoiled(const char *find, const char *put)
{
	return quoted(replace(good_document, find, put));
}

char *
spoiled_twice(const char *find, const char *put, const char *also, const char *also_put)
{
	char *once = replace(good_document, find, put), *doc;

	if (also == NULL)
		return quoted(once);
	doc = quoted(replace(once, also, also_put));
	free(once);
	return doc;
}

struct pst_config *
parse(const char *json, struct pst_config_report *report)
{
	return pst_config_parse(json, strlen(json), "/etc/postern/p.json", report);
}

struct pst_config *
parse_good(const char *find, const char *put)
{
	struct pst_config_report report = {0};
	char *doc = spoiled(find, put);
	struct pst_config *c = parse(doc, &report);

	if (c == NULL)
		pst_config_report_print(&report, put, stderr);
	cr_assert_not_null(c, "refused with %s", put);
	cr_assert_eq(report.n, 0);
	pst_config_report_fini(&report);
	free(doc);
	return c;
}

/* ---- tables ---- */

static void
expect_pointers(const struct bad *b, const struct pst_config_report *r)
{
	const char *p = b->pointers;

	for (unsigned i = 0; i < r->n; i++) {
		size_t n = strlen(r->faults[i].pointer);
		bool last = i + 1 == r->n;
		/* One pointer may hold a space; compare by length, then a separator. */
		cr_expect(strncmp(p, r->faults[i].pointer, n) == 0 && p[n] == (last ? '\0' : ' '),
			"%s -> %s: fault %u is at %s (%s), expected %s", b->find, b->put, i,
			r->faults[i].pointer, r->faults[i].text, p);
		if (p[n] == '\0')
			break;
		p += n + 1;
	}
}

static void
expect_fault(const struct bad *b)
{
	struct pst_config_report r = {0};
	char *doc = spoiled_twice(b->find, b->put, b->also, b->also_put);
	struct pst_config *c = parse(doc, &r);

	cr_expect_null(c, "accepted: %s", b->put);
	cr_expect_gt(r.n, 0);
	if (r.n > 0) {
		expect_pointers(b, &r);
		cr_expect(strstr(r.faults[0].text, b->says) != NULL, "%s: says \"%s\"", b->put,
			r.faults[0].text);
	}
	pst_config_free(c);
	pst_config_report_fini(&r);
	free(doc);
}

void
expect_faults(const struct bad *bad, size_t n)
{
	for (size_t i = 0; i < n; i++)
		expect_fault(&bad[i]);
}
