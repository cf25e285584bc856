/* SPDX-License-Identifier: BSD-3-Clause */
/* Bad documents: each has the faults of its row, at their pointers, and no other. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "doc.h"

static const struct bad bad[] = {
	/* the whole */
	{"{ 'version': 1,", "{", "/version", "missing"},
	{"'version': 1", "'version': 2", "/version", "must be 1 to 1"},
	{"'version': 1", "'version': '1'", "/version", "a whole number, not a string"},
	{"'version': 1", "'version': null", "/version", "not null"},
	{"'version': 1", "'version': true", "/version", "not true or false"},
	{"'version': 1", "'version': [1]", "/version", "not an array"},
	{"'version': 1", "'version': 1, 'extra': {}", "/extra", "unknown key"},
	{"'version': 1", "'version': 1, 'a/b~c': 1", "/a~1b~0c", "unknown key"},
	{"'version': 1", "'version': 1, '': 1", "/", "unknown key"},
	{"'version': 1", "'version': 1, 'lisreners': []", "/lisreners", "mean \"listeners\""},
	{"'version': 1", "'version': 1, '_comment': 7", "/_comment", "string or an array"},
	{"'version': 1", "'version': 1, '_comment': ['x', 7]", "/_comment", "line 1"},
	{"'version': 1", "'version': 1, '_Comment': 'x'", "/_Comment", "unknown key"},
	{"'models': {}", "'models': {'generic': {}}", "/models/generic/pfs_capable", "missing"},
	{"'models': {}", "'models': []", "/models", "must be an object"},
	{"'crypto': {}", "'crypto': {'engine': 'x'}", "/crypto/engine", "unknown key"},
	{"'log': {'file'", "'log': [], 'control': 3, 'x': {'file'", "/control /log /x",
		"duplicate"},

	/* dataplane */
	{"'workers': 2", "'workers': 0", "/dataplane/workers", "1 to 64, not 0"},
	{"'workers': 2", "'workers': -1", "/dataplane/workers", "not -1"},
	{"'workers': 2", "'workers': 65", "/dataplane/workers", "1 to 64"},
	{"'workers': 2", "'workers': 3", "/dataplane/cores", "too few for 3"},
	{"'workers': 2", "'workers': 1.5", "/dataplane/workers", "whole number"},
	{"'workers': 2", "'workers': 1e300", "/dataplane/workers", "whole number"},
	{"'workers': 2", "'workers': 9223372036854775807", "/dataplane/workers", "1 to 64"},
	{"'cores': [0, 1]", "'cores': [1, 1]", "/dataplane/cores/1", "already"},
	{"'cores': [0, 1]", "'cores': []", "/dataplane/cores", "1 to 64 elements, not 0"},
	{"'cores': [0, 1]", "'cores': [0, '1']", "/dataplane/cores/1", "whole number"},
	{"'cores': [0, 1]", "'cores': [0, 1024]", "/dataplane/cores/1", "0 to 1023"},
	{"'cores': [0, 1]", "'cores': 2", "/dataplane/cores", "must be an array"},
	{"'main_core': 0", "'main_core': -1", "/dataplane/main_core", "0 to 1023"},
	{"'memory_mb': 256", "'memory_mb': 1", "/dataplane/memory_mb", "64 to"},
	{"'hugepages': 'off'", "'hugepages': 'no'", "/dataplane/hugepages",
		"\"auto\", \"on\", \"off\""},
	{"'hugepages': 'off'", "'hugepages': false", "/dataplane/hugepages", "one of"},
	{"'idle': 'adaptive'", "'idle': 'Adaptive'", "/dataplane/idle", "one of"},
	{"'mbufs': 2048", "'mbufs': 1023", "/dataplane/mbufs", "1024 to"},
	{"'misroute_every': 9", "'misroute': 9", "/dataplane/test/misroute", "unknown"},
	{"'misroute_every': 9", "'misroute_every': -9", "/dataplane/test/misroute_every", "0 to"},

	/* ports */
	{"'name': 'wan', ", "", "/dataplane/ports/0/name", "missing"},
	{"'name': 'lan'", "'name': 'wan'", "/dataplane/ports/1/name", "already"},
	{"'name': 'wan'", "'name': 'w n'", "/dataplane/ports/0/name", "letters"},
	{"'name': 'wan'", "'name': ''", "/dataplane/ports/0/name", "empty"},
	{"'name': 'wan'", "'name': 'w\\u0000n'", "/dataplane/ports/0/name", "line 5"},
	{"'name': 'wan'", "'name': 'w\\u001bn'", "/dataplane/ports/0/name", "control characters"},
	{"'name': 'wan'", "'name': 'w\\u007fn'", "/dataplane/ports/0/name", "control characters"},
	{"'device': 'net_tap'", "'device': 'net_tap,iface=x'", "/dataplane/ports/0/device", "PCI"},
	{"'iface': 'ptap0'", "'iface': 'sixteen-letters0'", "/dataplane/ports/0/iface",
		"longer than 15"},
	{"'iface': 'ptap0'", "'iface': 'a,b'", "/dataplane/ports/0/iface", "interface"},
	{"'mac': '02:", "'mac': '03:", "/dataplane/ports/0/mac", "unicast"},
	{"'mac': '02:", "'mac': '2:", "/dataplane/ports/0/mac", "MAC"},
	{"'mtu': 1500", "'mtu': 1279", "/dataplane/ports/0/mtu", "1280 to 9000"},
	{"'mtu': 1500", "'mtu': 67036", "/dataplane/ports/0/mtu", "1280 to 9000"},
	{"'vlan': 7", "'vlan': 4095", "/dataplane/ports/0/vlan", "0 to 4094"},
	{"'promiscuous': true", "'promiscuous': 1", "/dataplane/ports/0/promiscuous",
		"true or false, not a number"},
	{"'steering': 'software'", "'steering': 'hardware'", "/dataplane/ports/0/steering",
		"one of"},
	{"'192.0.2.1/24'", "'192.0.2.1'", "/dataplane/ports/0/addresses/0", "ADDRESS/LENGTH"},
	{"'192.0.2.1/24'", "'192.0.2.1/33'", "/dataplane/ports/0/addresses/0", "ADDRESS/LENGTH"},
	{"'192.0.2.1/24'", "'192.0.2.0/24'", "/dataplane/ports/0/addresses/0", "broadcast"},
	{"'192.0.2.1/24'", "'192.0.2.255/24'", "/dataplane/ports/0/addresses/0", "broadcast"},
	{"'192.0.2.1/24'", "'224.0.0.1/24'", "/dataplane/ports/0/addresses/0", "can have"},
	{"'192.0.2.1/24'", "'127.0.0.1/8'", "/dataplane/ports/0/addresses/0", "can have"},
	{"'192.0.2.1/24'", "'::1/128'", "/dataplane/ports/0/addresses/0", "can have"},
	{"'192.0.2.1/24'", "'192.0.2.1/0'", "/dataplane/ports/0/addresses/0", "route"},
	{"'192.0.2.1/24'", "4", "/dataplane/ports/0/addresses/0", "string"},
	{"'2001:db8::1/64'", "'192.0.2.1/25'", "/dataplane/ports/0/addresses/1", "already"},
	{"'10.0.0.1/8'", "'192.0.2.1/8'", "/dataplane/ports/1/addresses/0", "already"},
	{"['10.0.0.1/8']", "[]", "/dataplane/ports/1/addresses", "1 to 16"},
	{", 'addresses': ['10.0.0.1/8']", "", "/dataplane/ports/1/addresses", "missing"},
	{"{'k': 'v'}", "{'k': 'v,mac=x'}", "/dataplane/ports/0/options/k", "letters"},
	{"{'k': 'v'}", "{'k=': 'v'}", "/dataplane/ports/0/options/k=", "letters"},
	{"{'k': 'v'}", "{'k': 1}", "/dataplane/ports/0/options/k", "string"},
	{"{'k': 'v'}", "{'a':'1','b':'1','c':'1','d':'1','e':'1','f':'1','g':'1','h':'1','i':'1'}",
		"/dataplane/ports/0/options", "at most 8"},
	{"'device': '0000:01:00.1'", "'device': 'net_tap', 'iface': 'ptap0'",
		"/dataplane/ports/1/device", "port 0 uses"},

	/* IP routes and TCP */
	{"'to': '0.0.0.0/0'", "'to': '0.0.0.1/0'", "/dataplane/routes/0/to", "bits set"},
	{"'to': '::/0'", "'to': '2001:db8::1/64'", "/dataplane/routes/1/to", "bits set"},
	{"'to': '::/0', 'via': 'fe80::1'", "'to': '0.0.0.0/0', 'via': '192.0.2.9'",
		"/dataplane/routes/1/to", "route 0 goes there"},
	{"'via': '192.0.2.254'", "'via': '198.51.100.1'", "/dataplane/routes/0/via",
		"not on a network of port \"wan\""},
	{"'via': '192.0.2.254'", "'via': '2001:db8::2'", "/dataplane/routes/0/via", "both"},
	{"'via': '192.0.2.254'", "'via': 'router'", "/dataplane/routes/0/via", "address"},
	{"'port': 'wan'}", "'port': 'dmz'}", "/dataplane/routes/0/port", "no port \"dmz\""},
	{"'max_half_open': 100", "'max_half_open': 1001", "/dataplane/tcp/max_half_open",
		"more than max_connections"},
	{"'delack': 0.04", "'delack': 0.501", "/dataplane/tcp/delack", "0.001 to 0.5 seconds"},
	{"'delack': 0.04", "'delack': 0.0001", "/dataplane/tcp/delack", "seconds"},
	{"'delack': 0.04", "'delack_ms': 40", "/dataplane/tcp/delack_ms", "unknown"},

	/* log, control, limits */
	{"'format': 'json'", "'format': 'xml'", "/log/format", "\"text\", \"json\""},
	{"'level': 'debug'", "'level': 'trace'", "/log/level", "one of"},
	{"'file': 'p.log'", "'file': ''", "/log/file", "empty"},
	{"'/tmp/c.sock'",
		"'/tmp/a-directory-name-that-is-rather-long/"
		"another-directory-name-that-is-long-too/"
		"and-then-at-the-very-end-the-socket.sock'",
		"/control/socket", "too long"},
	{"'group': 'root'", "'group': 'a b'", "/control/group", "group"},
	{"'sessions': 100", "'sessions': 0", "/limits/sessions", "1 to"},
	{"'models': {}", "'metrics': true, 'models': {}", "/metrics", "an object"},
	{"'models': {}", "'metrics': {'port': 0}, 'models': {}", "/metrics/port", "1 to"},
	{"'models': {}", "'metrics': {'address': 'lo'}, 'models': {}", "/metrics/address", "any"},
	{"'sessions': 100", "'handshakes': 0", "/limits/handshakes", "1 to"},
	{"'sessions': 100", "'commands': 0", "/limits/commands", "1 to"},
	{"'sessions': 100", "'sessions_per_address': -1", "/limits/sessions_per_address", "0 to"},
	{"'message_size': 0", "'message_size': -1", "/limits/message_size", "0 to"},
	{"'message_size': 0", "'message_size': '50M'", "/limits/message_size", "whole number"},
	{"'dot': 0.5", "'dot': 0", "/limits/timeouts/dot", "not 0"},
	{"'dot': 0.5", "'dot': -1", "/limits/timeouts/dot", "not -1"},
	{"'dot': 0.5", "'dot': 86400.001", "/limits/timeouts/dot", "to 86400"},
	{"'dot': 0.5", "'dot': '10s'", "/limits/timeouts/dot", "number of seconds"},

	/* certificates, profiles, actions */
	{"{'chain': 'b.pem'}", "{}", "/certificates/one/chain", "missing"},
	{"{'chain': 'b.pem'}", "'b.pem'", "/certificates/one", "must be an object"},
	{"'bare': {}", "'ba re': {}", "/tls_profiles/ba re", "letters"},
	{"'bare': {}", "'a/b': {}", "/tls_profiles/a~1b", "letters"},
	{"'min': '1.2'", "'min': '0.9'", "/tls_profiles/default/min", "one of"},
	{"'min': '1.2'", "'min': 1.2", "/tls_profiles/default/min", "one of"},
	{"'min': '1.2', 'max': '1.3'", "'min': '1.3', 'max': '1.2'", "/tls_profiles/default/min",
		"above"},
	{"'min': '1.2'", "'allow_sslv3': true", "/tls_profiles/default/allow_sslv3",
		"unsupported_by_crypto_library"},
	{"'min': '1.2'", "'allow_sslv2': true", "/tls_profiles/default/allow_sslv2",
		"unsupported_by_crypto_library"},
	{"'min': '1.2'", "'allow_sslv2': 'no'", "/tls_profiles/default/allow_sslv2",
		"true or false"},
	{"['one', 'mx']", "['one', 'two']", "/tls_profiles/default/certificates/1",
		"no certificate \"two\""},
	{"['one', 'mx']", "['mx', 'mx']", "/tls_profiles/default/certificates/1", "already"},
	{"['one', 'mx']", "'mx'", "/tls_profiles/default/certificates", "array"},
	{"'tickets': 1", "'tickets': 3", "/tls_profiles/default/tickets", "0 to 2"},
	{"'tickets': 1", "'tickets_except': ['192.0.2.0']",
		"/tls_profiles/default/tickets_except/0", "ADDRESS/LENGTH"},
	{"'tickets': 1", "'tickets_except': '192.0.2.0/24'", "/tls_profiles/default/tickets_except",
		"array"},
	{"'models': {}", "'ticket_keys': {'rotate': 59}, 'models': {}", "/ticket_keys/rotate",
		"60 to 604800"},
	{"'models': {}", "'ticket_keys': {'lifetime': 604801}, 'models': {}",
		"/ticket_keys/lifetime", "60 to 604800"},
	{"'models': {}", "'ticket_keys': {'rotate': 100, 'lifetime': 3001}, 'models': {}",
		"/ticket_keys/lifetime", "more than 30 times"},
	{"'models': {}", "'ticket_keys': {'file': ''}, 'models': {}", "/ticket_keys/file", ""},
	{"'models': {}", "'ticket_keys': {'key': '00'}, 'models': {}", "/ticket_keys/key",
		"unknown"},
	{"'port': 465", "'tickets': 3, 'port': 465", "/listeners/1/tickets", "0 to 2"},
	{"'HIGH:!aNULL@SECLEVEL=2'", "'HIGH; rm'", "/tls_profiles/default/ciphers", "OpenSSL"},
	{"'starttls_profile': 'default'", "'starttls_profile': 'no'",
		"/actions/inspect/starttls_profile", "no TLS profile \"no\""},
	{"'starttls_profile': 'default'", "'starttls_profile': {}",
		"/actions/inspect/starttls_profile", "string"},

	/* listeners */
	{"'action': 'inspect',\n", "'action': 'none',\n", "/listeners/0/action", "no action"},
	{"'action': 'inspect',\n", "\n", "/listeners/0/action", "missing"},
	{"'action': 'inspect',\n", "'action': 'empty',\n", "/listeners/0/action",
		"starttls_profile of action \"empty\" is missing"},
	{"'action': 'inspect'}", "'action': 'empty'}", "/listeners/1/action",
		"implicit_profile of action \"empty\" is missing"},
	{"'action': 'inspect'}", "'action': 'off'}", "/listeners/1/tls", "\"inspect\": false"},
	{"'port': 465", "'port': 25", "/listeners/1/port", "listener 0"},
	{"'port': 465", "'port': 0", "/listeners/1/port", "1 to 65535"},
	{"'port': 465", "'port': 65536", "/listeners/1/port", "1 to 65535"},
	{"'address': '192.0.2.1'", "'address': '192.0.2.2'", "/listeners/1/address",
		"not an address of a port"},
	{"'address': '192.0.2.1'", "'address': '0.0.0.0'", "/listeners/1/address", "\"any\""},
	{"'address': '192.0.2.1'", "'address': '*'", "/listeners/1/address", "or \"any\""},
	{"'name': 'smtps'", "'name': 'smtp'", "/listeners/1/name", "listener 0"},
	{"'tls': 'starttls'", "'tls': 'on'", "/listeners/0/tls", "one of"},
	{"'mx.example.org'", "'mx..org'", "/listeners/0/hostname", "host name"},
	{"'mx.example.org'", "'mx.example.org.'", "/listeners/0/hostname", "host name"},
	{"'mx.example.org'", "'-mx.example.org'", "/listeners/0/hostname", "host name"},
	{"'mx.example.org'", "'mx\\r\\n250 x'", "/listeners/0/hostname", "control"},
	{"'mx.example.org'",
		"'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.org'",
		"/listeners/0/hostname", "63 octets"},
	{"['DSN', 'SIZE']", "['DSN', 'dsn']", "/listeners/0/discard_keywords/1", "one of"},
	{"['DSN', 'SIZE']", "['DSN', 'DSN']", "/listeners/0/discard_keywords/1", "already"},
	{"['DSN', 'SIZE']", "'DSN'", "/listeners/0/discard_keywords", "array"},
	{"'bare_newline': 'normalize'", "'bare_newline': 'accept'", "/listeners/0/bare_newline",
		"one of"},
	{"'received': false", "'received': 'no'", "/listeners/0/received", "true or false"},

	/* next hops and routes */
	{"[{'address': '10.0.0.30'}]", "[]", "/next_hops/mail2/hosts", "at least 1"},
	{"'hosts': [{'address': '10.0.0.30'}], ", "", "/next_hops/mail2/hosts", "missing"},
	{"{'address': '10.0.0.30'}", "{}", "/next_hops/mail2/hosts/0/address", "missing"},
	{"{'address': '10.0.0.30'}", "'10.0.0.30'", "/next_hops/mail2/hosts/0", "object"},
	{"'10.0.0.30'", "'mail.example.com'", "/next_hops/mail2/hosts/0/address", "IPv4 or IPv6"},
	{"'10.0.0.30'", "'0.0.0.0'", "/next_hops/mail2/hosts/0/address", "address of a host"},
	{"'10.0.0.30'", "'ff02::1'", "/next_hops/mail2/hosts/0/address", "address of a host"},
	{"{'address': '2001:db8::20'}", "{'address': '10.0.0.20', 'port': 26}",
		"/next_hops/mail1/hosts/1/address", "host 0"},
	{"'tls': 'none'}}", "'tls': 'none', 'level': 'may'}}", "/next_hops/mail2/level",
		"contradicts"},
	{"'level': 'verify'", "'level': 'none'", "/next_hops/mail1/level", "contradicts"},
	{"'tls': 'none'}}", "'tls': 'none', 'verify': false}}", "/next_hops/mail2/verify",
		"replaced by `level`"},
	{"'tls': 'none'}}", "'tls': 'none', 'tls_required': false}}",
		"/next_hops/mail2/tls_required", "replaced by `level`"},
	{"'max_tries': 3", "'verify_name': 'a.example'", "/next_hops/mail1/verify_name",
		"replaced by `match`"},
	{"'max_tries': 3", "'max_tries': 0", "/next_hops/mail1/max_tries", "1 to"},
	{"'max_tries': 3", "'min': '1.3', 'max': '1.2'", "/next_hops/mail1/min", "above"},
	{"'max_tries': 3", "'allow_sslv3': true", "/next_hops/mail1/allow_sslv3",
		"unsupported_by_crypto_library"},
	{"'max_tries': 3", "'helo': 'a b'", "/next_hops/mail1/helo", "host name"},
	{"'reuse': 'session'", "'reuse': true", "/next_hops/mail1/reuse", "one of"},
	{"'reuse_idle': 1.5", "'reuse_idle': 0", "/next_hops/mail1/reuse_idle", "seconds"},
	{"'next_hop': 'mail2'", "'next_hop': 'mail3'", "/routes/0/next_hop", "no next hop"},
	{"'domain': 'example.com'", "'domain': 'ex ample.com'", "/routes/0/domain", "domain"},
	{"'domain': 'example.com'", "'domain': '.example.com'", "/routes/0/domain", "domain"},
	{"'domain': 'example.com'", "'domain': 'a@example.com'", "/routes/0/domain", "domain"},
	{"'domain': 'b\xc3\xbc"
	 "cher.example'",
		"'domain': 'EXAMPLE.com'", "/routes/1/domain", "route 0"},

	/* syntax */
	{"'version': 1,", "'version': 1,,", "", "line 1, column 16"},
	{"'version': 1,", "'version': 01,", "/version", "line 1"},
	{"'version': 1,", "'version': NaN,", "/version", "line 1"},
	{"'version': 1,", "'version': 1e999,", "/version", "line 1"},
	{"'version': 1,", "'version': 99999999999999999999,", "/version", "line 1"},
	{"'version': 1,", "'version': 1, // comment\n", "", "line 1"},
	{"'crypto': {} }", "'crypto': {}", "/crypto", "near end of file"},
	{"'crypto': {} }", "'crypto': {} } {}", "", "end of file expected"},
	{"'vlan': 7", "'vlan': 7, 'vlan': 8", "/dataplane/ports/0/vlan", "duplicate"},
	{"'vlan': 7", "'vlan': 7, 'vl\\u0061n': 4095",
		"/dataplane/ports/0/vl\\u0061n "
		"/dataplane/ports/0/vlan",
		"duplicate"},
	{"'routes': [{'domain'", "'routes': [], 'routes': [{'domain'", "/routes", "line 34"},
};

Test(config, names_the_place_of_each_fault_and_no_other)
{
	cr_assert_geq(PST_COUNT(bad), 80);
	expect_faults(bad, PST_COUNT(bad));
}

Test(config, reports_all_faults_at_once)
{
	static const char doc[] =
		"{\"version\": 9, \"dataplane\": {\"workers\": 0, \"ports\": [{\"name\": 1}]},"
		" \"listeners\": [{\"name\": \"x\"}], \"policy\": {\"a\": 1}, \"zz\": 0}";
	static const char *const want[] = {"/version", "/dataplane/workers",
		"/dataplane/ports/0/name", "/dataplane/ports/0/device",
		"/dataplane/ports/0/addresses", "/listeners/0/action", "/policy/a", "/zz"};
	struct pst_config_report r = {0};

	cr_assert_null(parse(doc, &r));
	cr_assert_eq(r.n, PST_COUNT(want));
	for (unsigned i = 0; i < r.n; i++)
		cr_expect_str_eq(r.faults[i].pointer, want[i]);
	pst_config_report_fini(&r);
}

Test(config, wants_an_object)
{
	static const char *const docs[] = {"", " ", "[]", "7", "null", "\"x\"", "{", "}", "\xff",
		"{\"a\":\"\xff\"}", "[[[[", "]]]]]", "\"", "\\", "{\"\\"};

	for (size_t i = 0; i < PST_COUNT(docs); i++) {
		struct pst_config_report r = {0};
		cr_expect_null(parse(docs[i], &r), "%s", docs[i]);
		cr_expect_geq(r.n, 1, "%s", docs[i]);
		pst_config_report_fini(&r);
	}
}

static char *
nested(size_t depth, bool arrays)
{
	char *doc = malloc(depth * 6 + 2), *p = doc;

	for (size_t i = 0; i < depth; i++)
		p = stpcpy(p, arrays ? "[" : "{\"a\":");
	p = stpcpy(p, arrays ? "" : "1");
	for (size_t i = 0; i < depth; i++)
		*p++ = arrays ? ']' : '}';
	*p = '\0';
	return doc;
}

static void
expect_depth(size_t depth, bool arrays, bool too_deep)
{
	struct pst_config_report r = {0};
	char *doc = nested(depth, arrays);

	cr_expect_null(parse(doc, &r));
	cr_assert_geq(r.n, 1);
	cr_expect_eq(strstr(r.faults[0].text, "nested deeper than 32") != NULL, too_deep,
		"depth %zu: %s", depth, r.faults[0].text);
	pst_config_report_fini(&r);
	free(doc);
}

Test(config, refuses_deep_nesting_before_the_parser_sees_it)
{
	expect_depth(32, true, false);
	expect_depth(33, true, true);
	expect_depth(32, false, false);
	expect_depth(33, false, true);
	expect_depth(1000000, true, true);
	expect_depth(1000000, false, true);
}

Test(config, counts_no_brackets_inside_strings)
{
	pst_config_free(parse_good("'version': 1",
		"'version': 1, '_comment': '[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\\\\{{{'"));
}

Test(config, refuses_a_byte_more_than_16_mib)
{
	size_t n = (16u << 20) + 1;
	struct pst_config_report r = {0};
	char *doc = malloc(n);

	memset(doc, ' ', n);
	cr_expect_null(pst_config_parse(doc, n, NULL, &r));
	cr_assert_eq(r.n, 1);
	cr_expect_str_eq(r.faults[0].text, "larger than 16777216 bytes");
	pst_config_report_fini(&r);

	/* One byte less is read, and found to hold nothing. */
	cr_expect_null(pst_config_parse(doc, n - 1, NULL, &r));
	cr_assert_eq(r.n, 1);
	cr_expect_neq(strstr(r.faults[0].text, "line 1"), NULL);
	pst_config_report_fini(&r);
	free(doc);
}

Test(config, stops_reporting_when_a_document_is_hopeless)
{
	struct pst_config_report r = {0};
	char *doc = NULL;
	size_t size;
	FILE *f = open_memstream(&doc, &size);

	fputc('{', f);
	for (unsigned i = 0; i < 5000; i++)
		fprintf(f, "\"key%u\": 0,", i);
	fputs("\"x\": 0}", f);
	fclose(f);
	cr_expect_null(parse(doc, &r));
	cr_assert_eq(r.n, 1001);
	cr_expect_neq(strstr(r.faults[1000].text, "more faults"), NULL);
	pst_config_report_fini(&r);
	free(doc);
}

Test(config, judges_a_hundred_thousand_routes_in_no_time)
{
	struct pst_config_report r = {0};
	char *good = spoiled("'routes': [{'domain'", "'routes': [%{'domain'"), *doc = NULL;
	char *at = strchr(good, '%');
	size_t size;
	FILE *f = open_memstream(&doc, &size);
	struct pst_config *c;

	fwrite(good, 1, (size_t)(at - good), f);
	for (unsigned i = 0; i < 100000; i++)
		fprintf(f, "{\"domain\": \"d%u.example\", \"next_hop\": \"mail1\"},\n", i);
	fputs(at + 1, f);
	fclose(f);
	c = parse(doc, &r);
	cr_assert_not_null(c);
	cr_expect_eq(c->nroutes, 100002);
	cr_expect_str_eq(c->routes[99999].domain, "d99999.example");
	pst_config_free(c);
	free(doc);
	free(good);
}

/* The policy compiler knows these forms; the reader must let them through. */
Test(config, takes_every_form_of_a_routes_domain)
{
	static const char *const forms[] = {
		"*", "*.example.org", "[192.0.2.1]", "[IPv6:2001:db8::1]"};

	for (unsigned i = 0; i < PST_COUNT(forms); i++) {
		struct pst_config_report r = {0};
		char with[64], *doc;
		struct pst_config *c;

		snprintf(with, sizeof(with), "'routes': [{'domain': '%s'", forms[i]);
		doc = spoiled("'routes': [{'domain': 'example.com'", with);
		c = pst_config_parse(doc, strlen(doc), "t.json", &r);
		cr_assert_not_null(c, "%s is refused", forms[i]);
		cr_expect_str_eq(c->routes[0].domain, forms[i]);
		pst_config_free(c);
		pst_config_report_fini(&r);
		free(doc);
	}
}
