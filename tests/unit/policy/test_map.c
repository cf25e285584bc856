/* SPDX-License-Identifier: BSD-3-Clause */
/* The next-hop map in Postfix's semantics; match names; faults. */
#include "map_test.h"
#include <stdlib.h>

static const struct pst_policy_entry by_domain[] = {
	{.destination = "Example.COM", .level = PST_LEVEL_ENCRYPT},
	{.destination = ".example.com", .level = PST_LEVEL_VERIFY},
	{.destination = ".deep.example.com", .level = PST_LEVEL_SECURE},
	{.destination = "plain.example:25", .level = PST_LEVEL_NONE},
	{.destination = "port.example:587", .level = PST_LEVEL_SECURE},
	{.destination = "port.example", .level = PST_LEVEL_ENCRYPT},
	{.destination = ".net", .level = PST_LEVEL_ENCRYPT},
	{.destination = "[192.0.2.9]", .level = PST_LEVEL_ENCRYPT},
	{.destination = "[192.0.2.9]:587", .level = PST_LEVEL_VERIFY},
	{.destination = "[bracket.example]", .level = PST_LEVEL_SECURE},
	{.destination = "b\xc3\xbc"
			"cher.example",
		.level = PST_LEVEL_SECURE},
};

static const struct {
	const char *domain;
	enum pst_level at25, at587;
} by_domain_asked[] = {
	{"example.com", PST_LEVEL_ENCRYPT, PST_LEVEL_MAY},
	{"EXAMPLE.com.", PST_LEVEL_ENCRYPT, PST_LEVEL_MAY},
	{"a.example.com", PST_LEVEL_VERIFY, PST_LEVEL_MAY},
	{"deep.example.com", PST_LEVEL_VERIFY, PST_LEVEL_MAY},
	{"a.deep.example.com", PST_LEVEL_SECURE, PST_LEVEL_MAY},
	{"b.a.deep.example.com", PST_LEVEL_SECURE, PST_LEVEL_MAY},
	{"xexample.com", PST_LEVEL_MAY, PST_LEVEL_MAY},
	{"plain.example", PST_LEVEL_NONE, PST_LEVEL_MAY},
	/* a plain name says nothing about what is below it */
	{"a.plain.example", PST_LEVEL_MAY, PST_LEVEL_MAY},
	{"port.example", PST_LEVEL_ENCRYPT, PST_LEVEL_SECURE},
	{"a.port.example", PST_LEVEL_MAY, PST_LEVEL_MAY},
	{"a.net", PST_LEVEL_ENCRYPT, PST_LEVEL_MAY},
	{"net", PST_LEVEL_MAY, PST_LEVEL_MAY},
	{"[192.0.2.9]", PST_LEVEL_ENCRYPT, PST_LEVEL_VERIFY},
	{"[IPv6:::ffff:192.0.2.9]", PST_LEVEL_ENCRYPT, PST_LEVEL_VERIFY},
	{"192.0.2.9", PST_LEVEL_MAY, PST_LEVEL_MAY},
	{"bracket.example", PST_LEVEL_MAY, PST_LEVEL_MAY},
	{"xn--bcher-kva.example", PST_LEVEL_SECURE, PST_LEVEL_MAY},
	{"B\xc3\x9c"
	 "CHER.example",
		PST_LEVEL_SECURE, PST_LEVEL_MAY},
	{"", PST_LEVEL_MAY, PST_LEVEL_MAY},
	{".example.com", PST_LEVEL_MAY, PST_LEVEL_MAY},
};

Test(map, a_domain_asks_for_itself_and_then_for_its_dotted_parents)
{
	struct pst_policy_conf c25 = map_conf(by_domain, PST_COUNT(by_domain), 0);
	struct pst_policy_conf c587 = map_conf(by_domain, PST_COUNT(by_domain), 3);
	struct pst_policy *p25 = policy_must(&c25), *p587 = policy_must(&c587);

	for (unsigned i = 0; i < PST_COUNT(by_domain_asked); i++) {
		const char *domain = by_domain_asked[i].domain;
		struct pst_demand d;

		/* the MX host is no key: "[bracket.example]" does not count */
		map_demand(p25, domain, "bracket.example", "192.0.2.9", 25, &d);
		cr_expect_eq(d.level, by_domain_asked[i].at25, "%s: %s", domain,
			pst_level_name(d.level));
		map_demand(p587, domain, "bracket.example", "192.0.2.9", 587, &d);
		cr_expect_eq(d.level, by_domain_asked[i].at587, "%s at 587: %s", domain,
			pst_level_name(d.level));
	}
	pst_policy_free(p25);
	pst_policy_free(p587);
}

Test(map, a_next_hop_with_an_mx_domain_is_asked_by_that)
{
	const struct pst_policy_entry e[] = {
		{.destination = "other.example", .level = PST_LEVEL_SECURE},
		{.destination = "example.com", .level = PST_LEVEL_ENCRYPT},
	};
	struct pst_policy_conf c = map_conf(e, 2, 2);
	struct pst_policy *p = policy_must(&c);
	struct pst_demand d;

	map_demand(p, "example.com", "mx.other.example", "192.0.2.9", 25, &d);
	cr_expect_eq(d.level, PST_LEVEL_SECURE);
	cr_assert_eq(d.nnames, 2);
	cr_expect(pst_span_ieq_str(d.names[0].name, "other.example") && !d.names[0].subdomains);
	cr_expect(pst_span_ieq_str(d.names[1].name, "other.example") && d.names[1].subdomains);
	pst_policy_free(p);
}

static const struct pst_policy_entry by_host[] = {
	{.destination = "[MX.example]", .level = PST_LEVEL_ENCRYPT},
	{.destination = "[mx.example]:587", .level = PST_LEVEL_VERIFY},
	{.destination = "[mx.example]:smtps", .level = PST_LEVEL_SECURE},
	{.destination = "[127.0.0.1]:10025", .level = PST_LEVEL_NONE},
	{.destination = "[2001:db8::1]", .level = PST_LEVEL_ENCRYPT},
	{.destination = "[IPv6:2001:db8::2]:25", .level = PST_LEVEL_SECURE},
	{.destination = "bare.example", .level = PST_LEVEL_SECURE},
	{.destination = ".example", .level = PST_LEVEL_SECURE},
};

static const struct {
	const char *host, *ip;
	uint16_t port;
	enum pst_level level;
} by_host_asked[] = {
	{"mx.example", "192.0.2.1", 25, PST_LEVEL_ENCRYPT},
	{"Mx.Example.", "192.0.2.1", 25, PST_LEVEL_ENCRYPT},
	{"mx.example", "192.0.2.1", 587, PST_LEVEL_VERIFY},
	{"mx.example", "192.0.2.1", 465, PST_LEVEL_SECURE},
	{"mx.example", "192.0.2.1", 26, PST_LEVEL_MAY},
	{"a.mx.example", "192.0.2.1", 25, PST_LEVEL_MAY}, /* asked once, as written */
	{"bare.example", "192.0.2.1", 25, PST_LEVEL_MAY},
	{"", "127.0.0.1", 10025, PST_LEVEL_NONE},
	{"", "127.0.0.1", 25, PST_LEVEL_MAY},
	{"sink", "127.0.0.1", 10025, PST_LEVEL_NONE},         /* no entry by name: by address */
	{"mx.example", "2001:db8::2", 25, PST_LEVEL_ENCRYPT}, /* the name first */
	{"", "2001:db8::1", 25, PST_LEVEL_ENCRYPT},
	{"", "2001:db8::2", 25, PST_LEVEL_SECURE},
	{"", "2001:db8::3", 25, PST_LEVEL_MAY},
};

Test(map, a_host_is_asked_in_brackets_with_its_port)
{
	struct pst_policy_conf c = map_conf(by_host, PST_COUNT(by_host), 1);
	struct pst_policy *p = policy_must(&c);

	for (unsigned i = 0; i < PST_COUNT(by_host_asked); i++) {
		struct pst_demand d;

		/* the recipient's domain is no key of such a next hop */
		map_demand(p, "bare.example", by_host_asked[i].host, by_host_asked[i].ip,
			by_host_asked[i].port, &d);
		cr_expect_eq(d.level, by_host_asked[i].level, "%s %s:%u: %s", by_host_asked[i].host,
			by_host_asked[i].ip, by_host_asked[i].port, pst_level_name(d.level));
	}
	pst_policy_free(p);
}

/* P5: "ciphermail.com verify", "[tls.example.com] verify match=alternative.com". */
Test(map, the_scenario_of_the_source)
{
	static const char *const match[] = {"alternative.com"};
	const struct pst_policy_entry e[] = {
		{.destination = "ciphermail.com", .level = PST_LEVEL_VERIFY},
		{.destination = "[tls.example.com]",
			.level = PST_LEVEL_VERIFY,
			.nmatch = 1,
			.match = match},
	};
	const struct pst_policy_route routes[] = {{"other.com", 1}, {"*", 0}};
	struct pst_policy_conf c = map_conf(e, 2, 0);
	struct pst_policy *p;
	struct pst_demand d;

	c.nroutes = 2;
	c.routes = routes;
	p = policy_must(&c);
	map_demand(p, "ciphermail.com", "mail.ciphermail.com", "192.0.2.1", 25, &d);
	cr_expect_eq(d.level, PST_LEVEL_VERIFY);
	cr_assert_eq(d.nnames, 1);
	cr_expect(pst_span_ieq_str(d.names[0].name, "mail.ciphermail.com"));
	cr_expect(pst_span_ieq_str(d.servername, "mail.ciphermail.com"));
	map_demand(p, "other.com", "tls.example.com", "192.0.2.2", 25, &d);
	cr_expect_eq(d.level, PST_LEVEL_VERIFY);
	cr_assert_eq(d.nnames, 1);
	cr_expect(pst_span_ieq_str(d.names[0].name, "alternative.com"));
	cr_expect(pst_span_ieq_str(d.servername, "tls.example.com"));
	pst_policy_free(p);
}

/* P7: outbound encrypt, "[127.0.0.1]:10025 none". */
Test(map, none_exempts_one_next_hop_from_a_global_encrypt)
{
	const struct pst_policy_entry e[] = {
		{.destination = "[127.0.0.1]:10025", .level = PST_LEVEL_NONE}};
	struct pst_policy_conf c = map_conf(e, 1, 1);
	struct pst_policy *p;
	struct pst_demand d;

	c.outbound = PST_LEVEL_ENCRYPT;
	p = policy_must(&c);
	map_demand(p, "any.example", "", "127.0.0.1", 10025, &d);
	cr_expect_eq(d.level, PST_LEVEL_NONE);
	cr_expect_not(d.conflict);
	map_demand(p, "any.example", "", "127.0.0.1", 25, &d);
	cr_expect_eq(d.level, PST_LEVEL_ENCRYPT);
	pst_policy_free(p);
}

/* ---- against the procedure of Postfix's client, entry by entry ---- */

static int
postfix_lookup(const struct pst_policy_entry *e, unsigned n, const char *name)
{
	for (const char *s = name; s != NULL; s = strchr(s + 1, '.'))
		for (unsigned i = 0; i < n; i++)
			if (strcmp(e[i].destination, s) == 0)
				return (int)i;
	return -1;
}

Test(map, agrees_with_postfix_procedure_on_random_maps)
{
	static char names[30][40];
	struct pst_policy_entry e[30];
	unsigned seed = 11, hits = 0;

	for (unsigned round = 0; round < 500; round++) {
		unsigned n = 0;
		struct pst_policy_conf c;
		struct pst_policy *p;

		for (unsigned tries = 0; tries < 40 && n < 30; tries++) {
			char *s = names[n];
			bool twice = false;
			size_t at = (size_t)sprintf(
				s, "%s%c", rand_r(&seed) % 2 ? "." : "", 'a' + rand_r(&seed) % 3);

			for (unsigned k = (unsigned)rand_r(&seed) % 4; k > 0; k--)
				at += (size_t)sprintf(s + at, ".%c", 'a' + rand_r(&seed) % 3);
			for (unsigned k = 0; k < n; k++)
				twice = twice || strcmp(names[k], s) == 0;
			if (twice)
				continue;
			e[n] = (struct pst_policy_entry){.destination = s,
				.level = (enum pst_level)(
					PST_LEVEL_ENCRYPT +
					(n % 2) * (PST_LEVEL_SECURE - PST_LEVEL_ENCRYPT))};
			n++;
		}
		c = map_conf(e, n, 0);
		p = policy_must(&c);
		for (unsigned i = 0; i < 60; i++) {
			char d[40];
			size_t at = (size_t)sprintf(d, "%c", 'a' + rand_r(&seed) % 3);
			struct pst_facts f;
			struct pst_verdict v;

			for (unsigned k = (unsigned)rand_r(&seed) % 5; k > 0; k--)
				at += (size_t)sprintf(d + at, ".%c", 'a' + rand_r(&seed) % 3);
			f = (struct pst_facts){.recipient_domain = pst_span_str(d)};
			pst_policy_rcpt(p, &f, &v, NULL);
			cr_assert_eq(v.want.entry, postfix_lookup(e, n, d), "%s", d);
			hits += v.want.entry >= 0;
		}
		pst_policy_free(p);
	}
	cr_expect_gt(hits, 5000);
}

/* ---- names ---- */

struct names_case {
	enum pst_level level;
	const char *match[4];
	unsigned hop;
	const char *domain, *host, *ip;
	const char *want; /* "name .below ..." */
};

static const struct names_case names_cases[] = {
	{PST_LEVEL_VERIFY, {0}, 0, "d.example", "mx.d.example", "192.0.2.1", "mx.d.example"},
	{PST_LEVEL_SECURE, {0}, 0, "d.example", "mx.d.example", "192.0.2.1",
		"d.example .d.example"},
	{PST_LEVEL_VERIFY, {0}, 1, "d.example", "mx.h.example", "192.0.2.1", "mx.h.example"},
	{PST_LEVEL_SECURE, {0}, 1, "d.example", "mx.h.example", "192.0.2.1",
		"mx.h.example .mx.h.example"},
	{PST_LEVEL_VERIFY, {0}, 1, "d.example", "", "192.0.2.1", "192.0.2.1"},
	/* nothing is below an address */
	{PST_LEVEL_SECURE, {0}, 1, "d.example", "", "2001:db8::1", "2001:db8::1"},
	{PST_LEVEL_SECURE, {0}, 0, "[192.0.2.7]", "", "192.0.2.7", "192.0.2.7"},
	{PST_LEVEL_SECURE, {0}, 0, "[IPv6:2001:db8::7]", "", "2001:db8::7", "2001:db8::7"},
	{PST_LEVEL_VERIFY, {"Nexthop", "DOT-nexthop", "hostname"}, 0, "d.example", "mx.e.example",
		"192.0.2.1", "d.example .d.example mx.e.example"},
	{PST_LEVEL_SECURE, {"A.example.", ".b.example", "[192.0.2.3]"}, 0, "d.example", "mx",
		"192.0.2.1", "a.example .b.example 192.0.2.3"},
	{PST_LEVEL_SECURE,
		{"b\xc3\xbc"
		 "cher.example"},
		0, "d.example", "mx", "192.0.2.1", "xn--bcher-kva.example"},
	{PST_LEVEL_ENCRYPT, {0}, 0, "d.example", "mx.d.example", "192.0.2.1", ""},
};

static void
names_text(const struct pst_demand *d, char *out)
{
	out[0] = 0;
	for (unsigned i = 0; i < d->nnames; i++)
		sprintf(out + strlen(out), "%s%s%.*s", i > 0 ? " " : "",
			d->names[i].subdomains ? "." : "", PST_SPAN_FMT(d->names[i].name));
}

static unsigned
count(const char *const *match)
{
	unsigned n = 0;

	while (n < 4 && match[n] != NULL)
		n++;
	return n;
}

Test(map, the_names_that_a_certificate_must_have)
{
	for (unsigned i = 0; i < PST_COUNT(names_cases); i++) {
		const struct names_case *t = &names_cases[i];
		struct pst_policy_next_hop own[MAP_HOPS];
		struct pst_policy_conf c = map_conf(NULL, 0, t->hop);
		struct pst_policy *p;
		struct pst_demand d;
		char text[500];

		/* the same words as the next hop's own level, */
		memcpy(own, map_hops, sizeof(own));
		own[t->hop].level = t->level;
		own[t->hop].nmatch = count(t->match);
		own[t->hop].match = t->match;
		c.next_hops = own;
		p = policy_must(&c);
		map_demand(p, t->domain, t->host, t->ip, 25, &d);
		names_text(&d, text);
		cr_expect_str_eq(text, t->want, "%u: %s", i, text);
		cr_expect_eq(d.level, t->level);
		pst_policy_free(p);
	}
}

Test(map, the_strongest_level_brings_its_names_and_the_map_wins_among_equals)
{
	static const char *const of_map[] = {"map.example"}, *const of_hop[] = {"hop.example"};
	static const struct {
		enum pst_level map, hop;
		const char *want;
	} t[] = {
		{PST_LEVEL_VERIFY, PST_LEVEL_VERIFY, "map.example"},
		{PST_LEVEL_VERIFY, PST_LEVEL_SECURE, "hop.example"},
		{PST_LEVEL_SECURE, PST_LEVEL_VERIFY, "map.example"},
		{PST_LEVEL_ENCRYPT, PST_LEVEL_VERIFY, "hop.example"},
		{PST_LEVEL_SECURE, PST_LEVEL_ENCRYPT, "map.example"},
	};

	for (unsigned hop = 0; hop < 2; hop++)
		for (unsigned i = 0; i < PST_COUNT(t); i++) {
			struct pst_policy_next_hop own[MAP_HOPS];
			struct pst_policy_entry e = {
				.destination = hop == 0 ? "d.example" : "[mx.d.example]",
				.level = t[i].map,
				.nmatch = t[i].map > PST_LEVEL_ENCRYPT,
				.match = of_map};
			struct pst_policy_conf c = map_conf(&e, 1, hop);
			struct pst_policy *p;
			struct pst_demand d;

			memcpy(own, map_hops, sizeof(own));
			own[hop].level = t[i].hop;
			own[hop].nmatch = t[i].hop > PST_LEVEL_ENCRYPT;
			own[hop].match = of_hop;
			c.next_hops = own;
			p = policy_must(&c);
			map_demand(p, "d.example", "mx.d.example", "192.0.2.1", 25, &d);
			cr_expect_eq(d.level, PST_MAX(t[i].map, t[i].hop));
			cr_assert_eq(d.nnames, 1, "%u", i);
			cr_expect(pst_span_ieq_str(d.names[0].name, t[i].want), "%u", i);
			pst_policy_free(p);
		}
}

#define DIGEST                                                                                     \
	"00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:"                                         \
	"00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff"

Test(map, fingerprints_are_digests)
{
	static const char *const match[] = {
		DIGEST, "ffeeddccbbaa99887766554433221100ffeeddccbbaa99887766554433221100"};
	struct pst_policy_entry e = {.destination = "d.example",
		.level = PST_LEVEL_FINGERPRINT,
		.nmatch = 2,
		.match = match};
	struct pst_policy_conf c = map_conf(&e, 1, 0);
	struct pst_policy *p = policy_must(&c);
	struct pst_demand d;

	map_demand(p, "d.example", "mx.d.example", "192.0.2.1", 25, &d);
	cr_expect_eq(d.level, PST_LEVEL_FINGERPRINT);
	cr_expect_eq(d.nnames, 0);
	cr_assert_eq(d.nfingerprints, 2);
	for (unsigned i = 0; i < 32; i++) {
		cr_expect_eq(d.fingerprints[0][i], (i % 16) * 0x11);
		cr_expect_eq(d.fingerprints[1][i], 0xff - (i % 16) * 0x11);
	}
	pst_policy_free(p);
}

Test(map, the_server_name_is_the_hosts_unless_the_map_says_otherwise)
{
	static const struct {
		const char *servername, *host, *want;
	} t[] = {
		{NULL, "mx.d.example", "mx.d.example"},
		{NULL, "", ""}, /* RFC 6066 3: literal addresses are not permitted */
		{NULL, "192.0.2.1", ""},
		{"hostname", "mx.d.example", "mx.d.example"},
		{"NextHop", "mx.d.example", "d.example"},
		{"sni.example", "mx.d.example", "sni.example"},
		{"sni.example", "", "sni.example"},
	};

	for (unsigned i = 0; i < PST_COUNT(t); i++) {
		struct pst_policy_entry e = {.destination = "d.example",
			.level = PST_LEVEL_MAY,
			.servername = t[i].servername};
		struct pst_policy_conf c = map_conf(&e, 1, 0);
		struct pst_policy *p = policy_must(&c);
		struct pst_demand d;

		map_demand(p, "d.example", t[i].host, "192.0.2.1", 25, &d);
		cr_expect(pst_span_ieq_str(d.servername, t[i].want), "%u: %.*s", i,
			PST_SPAN_FMT(d.servername));
		pst_policy_free(p);
	}
}

/* ---- faults ---- */

static const struct {
	struct pst_policy_entry e;
	const char *member, *fault;
} faults[] = {
	{{.destination = "", .level = PST_LEVEL_MAY}, "destination", "an empty label"},
	{{.destination = "*", .level = PST_LEVEL_MAY}, "destination",
		"\"*\" may stand alone or as the whole first label"},
	{{.destination = "*.a.example", .level = PST_LEVEL_MAY}, "destination",
		"\"*\" may stand alone or as the whole first label"},
	{{.destination = "192.0.2.1", .level = PST_LEVEL_MAY}, "destination",
		"an address stands in brackets"},
	{{.destination = "192.0.2.1:25", .level = PST_LEVEL_MAY}, "destination",
		"an address stands in brackets"},
	{{.destination = "2001:db8::1", .level = PST_LEVEL_MAY}, "destination",
		"an address stands in brackets"},
	{{.destination = "[", .level = PST_LEVEL_MAY}, "destination", "\"[\" without \"]\""},
	{{.destination = "[]", .level = PST_LEVEL_MAY}, "destination", "an empty label"},
	{{.destination = "[a]b", .level = PST_LEVEL_MAY}, "destination",
		"only \":port\" may follow \"]\""},
	{{.destination = "[a]:", .level = PST_LEVEL_MAY}, "destination", "not a port"},
	{{.destination = "[[a]]", .level = PST_LEVEL_MAY}, "destination",
		"only \":port\" may follow \"]\""},
	{{.destination = "[192.0.2]", .level = PST_LEVEL_MAY, .nmatch = 0}, NULL, NULL},
	{{.destination = "a.example:0", .level = PST_LEVEL_MAY}, "destination", "not a port"},
	{{.destination = "a.example:65536", .level = PST_LEVEL_MAY}, "destination", "not a port"},
	{{.destination = "a.example:x25", .level = PST_LEVEL_MAY}, "destination", "not a port"},
	{{.destination = "a.example:000025", .level = PST_LEVEL_MAY}, "destination", "not a port"},
	{{.destination = ".a.example:587", .level = PST_LEVEL_MAY}, "destination",
		"a parent with a port would never match"},
	{{.destination = "/path", .level = PST_LEVEL_MAY}, "destination",
		"a byte that no domain has"},
	{{.destination = "a.example"}, "level", "missing"},
	{{.destination = "a.example", .level = PST_LEVEL_NONE, .ciphers = "high"}, "level",
		"protocols, ciphers, exclude and servername need a level that uses TLS"},
	{{.destination = "a.example", .level = PST_LEVEL_FINGERPRINT}, "match",
		"the level `fingerprint` needs at least one digest"},
	{{.destination = "a.example", .level = PST_LEVEL_MAY, .servername = "a..b"}, "servername",
		"an empty label"},
	{{.destination = "a.example", .level = PST_LEVEL_MAY, .servername = "[192.0.2.1]"},
		"servername", "an address is no server name"},
};

Test(map, faults_name_the_member)
{
	for (unsigned i = 0; i < PST_COUNT(faults); i++) {
		struct pst_policy_conf c = map_conf(&faults[i].e, 1, 0);

		if (faults[i].member != NULL)
			map_expect_fault(&faults[i].e, faults[i].member, faults[i].fault);
		else
			pst_policy_free(policy_must(&c));
	}
}

static const struct {
	enum pst_level level;
	const char *match, *fault;
} bad_matches[] = {
	{PST_LEVEL_ENCRYPT, "a.example", "match needs the level fingerprint, verify or secure"},
	{PST_LEVEL_NONE, "a.example", "match needs the level fingerprint, verify or secure"},
	{PST_LEVEL_VERIFY, "", "\"\": an empty label"},
	{PST_LEVEL_VERIFY, "*.a.example",
		"\"*.a.example\": \"*\" may stand alone or as the whole first label"},
	{PST_LEVEL_SECURE, ".[192.0.2.1]", "\".[192.0.2.1]\": an address has no subdomains"},
	{PST_LEVEL_FINGERPRINT, "a.example",
		"\"a.example\": not a SHA-256 digest: 32 bytes in hexadecimal"},
	/* SHA-1 */
	{PST_LEVEL_FINGERPRINT, "00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33",
		"\"00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33\": not a SHA-256 "
		"digest: 32 bytes in hexadecimal"},
	{PST_LEVEL_FINGERPRINT, DIGEST ":",
		"\"00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:"
		"aa\": not a SHA-256 digest: 32 bytes in hexadecimal"},
};

Test(map, names_and_digests_are_checked_for_entries_and_next_hops)
{
	for (unsigned i = 0; i < PST_COUNT(bad_matches); i++) {
		const char *const match[] = {bad_matches[i].match};
		struct pst_policy_entry e = {.destination = "a.example",
			.level = bad_matches[i].level,
			.nmatch = 1,
			.match = match};
		struct pst_policy_next_hop own = {
			.name = "x", .level = bad_matches[i].level, .nmatch = 1, .match = match};
		struct pst_policy_conf c = {.nnext_hops = 1, .next_hops = &own};
		char text[400];

		snprintf(text, sizeof(text), "/map/0/match: %.250s\n", bad_matches[i].fault);
		c.entries = &e;
		c.nentries = 1;
		c.nnext_hops = 0;
		policy_expect_fault(&c, text);
		snprintf(text, sizeof(text), "/next_hops/0/match: %.250s\n", bad_matches[i].fault);
		c.nentries = 0;
		c.nnext_hops = 1;
		policy_expect_fault(&c, text);
	}
}

Test(map, seventeen_names_are_too_many)
{
	static const char *match[17];
	struct pst_policy_entry e = {
		.destination = "a.example", .level = PST_LEVEL_SECURE, .match = match};
	struct pst_policy_conf c = map_conf(&e, 1, 0);

	for (unsigned i = 0; i < 17; i++)
		match[i] = "a.example";
	e.nmatch = 16;
	pst_policy_free(policy_must(&c));
	e.nmatch = 17;
	map_expect_fault(&e, "match", "more than 16");
}

static const struct {
	const char *a, *b;
} twice[] = {
	{"a.example", "A.Example."},
	{"a.example", "a.example:25"},
	{"a.example:587", "A.example:submission"},
	{"[a.example]", "[a.example.]:25"},
	{"[192.0.2.1]", "[::ffff:192.0.2.1]:smtp"},
	{"[2001:db8::1]", "[IPv6:2001:DB8:0::1]"},
	{".a.example", ".A.example."},
};

Test(map, the_same_destination_in_another_spelling_is_a_fault)
{
	for (unsigned i = 0; i < PST_COUNT(twice); i++) {
		const struct pst_policy_entry e[] = {
			{.destination = twice[i].a, .level = PST_LEVEL_MAY},
			{.destination = twice[i].b, .level = PST_LEVEL_MAY}};
		struct pst_policy_conf c = map_conf(e, 2, 0);
		char text[200];

		snprintf(text, sizeof(text),
			"/map/1/destination: the same destination as entry 0 (\"%s\")\n",
			twice[i].a);
		policy_expect_fault(&c, text);
	}
}

Test(map, a_destination_of_255_bytes_with_and_without_a_port)
{
	char name[400];
	struct pst_policy_entry e = {.destination = name, .level = PST_LEVEL_SECURE};
	struct pst_policy_conf c = map_conf(&e, 1, 3);
	struct pst_policy *p;
	struct pst_demand d;

	memset(name, 'a', sizeof(name));
	for (unsigned i = 50; i < 255; i += 51)
		name[i] = '.';
	strcpy(name + 249, ":587");
	p = policy_must(&c);
	name[249] = 0;
	map_demand(p, name, "mx", "192.0.2.1", 587, &d);
	cr_expect_eq(d.level, PST_LEVEL_SECURE);
	pst_policy_free(p);
	strcpy(name + 249, "a:587");
	map_expect_fault(&e, "destination", "longer than 255 bytes");
	memset(name + 249, 'a', 10);
	name[256] = 0;
	map_expect_fault(&e, "destination", "longer than 255 bytes");
	memset(name, '[', 399);
	name[399] = 0;
	map_expect_fault(&e, "destination", "longer than 255 bytes");
}
