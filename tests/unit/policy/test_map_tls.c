/* SPDX-License-Identifier: BSD-3-Clause */
/* protocols, ciphers and exclude of map entries. */
#include "map_test.h"

static const struct {
	const char *protocols;
	uint16_t min, max;
	const char *fault;
} protocols[] = {
	{">=TLSv1.2", 0x0303, 0, NULL},
	{">=tlsv1.3", 0x0304, 0, NULL},
	{">=TLSv1", 0x0301, 0, NULL},
	{"<=TLSv1.2", 0, 0x0303, NULL},
	{">=TLSv1.2, <=TLSv1.2", 0x0303, 0x0303, NULL},
	{">=TLSv1:>=TLSv1.2", 0x0303, 0, NULL},
	{"TLSv1.2", 0x0303, 0x0303, NULL},
	{"TLSv1.2:TLSv1.3", 0x0303, 0x0304, NULL},
	{"TLSv1 TLSv1.1", 0x0301, 0x0302, NULL},
	{"!TLSv1.3", 0, 0x0303, NULL},
	{"!TLSv1.2", 0x0304, 0, NULL},
	/* the usual line of old tables does not let old versions in */
	{"!SSLv2:!SSLv3", 0, 0, NULL},
	{"!SSLv2, !SSLv3, !TLSv1, !TLSv1.1", 0, 0, NULL},
	{">=TLSv1, !TLSv1", 0x0302, 0, NULL},
	{"TLSv1.1:TLSv1.2:!TLSv1.1", 0x0303, 0x0303, NULL},
	{"TLSv1.1:TLSv1.3", 0, 0, "the protocols leave a gap"},
	{">=TLSv1.1:!TLSv1.2", 0, 0, "the protocols leave a gap"},
	{"<=TLSv1.1", 0, 0,
		"no protocol is left (those before TLSv1.2 must be named or have a floor)"},
	{"!TLSv1.2:!TLSv1.3", 0, 0,
		"no protocol is left (those before TLSv1.2 must be named or have a floor)"},
	{">=TLSv1.3:<=TLSv1.2", 0, 0,
		"no protocol is left (those before TLSv1.2 must be named or have a floor)"},
	{"SSLv3", 0, 0, "unsupported_by_crypto_library: SSL versions before TLS 1.0"},
	{">=SSLv3", 0, 0, "unsupported_by_crypto_library: SSL versions before TLS 1.0"},
	{"TLSv1.4", 0, 0, "not a protocol: SSLv2, SSLv3, TLSv1, TLSv1.1, TLSv1.2, TLSv1.3"},
	{"!", 0, 0, "not a protocol: SSLv2, SSLv3, TLSv1, TLSv1.1, TLSv1.2, TLSv1.3"},
	{">=", 0, 0, "not a protocol: SSLv2, SSLv3, TLSv1, TLSv1.1, TLSv1.2, TLSv1.3"},
	{">TLSv1.2", 0, 0, "not a protocol: SSLv2, SSLv3, TLSv1, TLSv1.1, TLSv1.2, TLSv1.3"},
	{"", 0, 0, "no protocol named"},
	{" , : ", 0, 0, "no protocol named"},
};

Test(map, protocols_are_postfix_words_for_one_range)
{
	for (unsigned i = 0; i < PST_COUNT(protocols); i++) {
		struct pst_policy_entry e = {.destination = "d.example",
			.level = PST_LEVEL_MAY,
			.protocols = protocols[i].protocols};
		struct pst_policy_conf c = map_conf(&e, 1, 0);
		const struct pst_policy_tls *set;
		struct pst_policy *p;
		struct pst_demand d;

		if (protocols[i].fault != NULL) {
			map_expect_fault(&e, "protocols", protocols[i].fault);
			continue;
		}
		p = policy_must(&c);
		map_demand(p, "d.example", "mx.d.example", "192.0.2.1", 25, &d);
		set = pst_policy_tls(p, d.tls);
		cr_expect_eq(set->min_version, protocols[i].min, "%s", protocols[i].protocols);
		cr_expect_eq(set->max_version, protocols[i].max, "%s", protocols[i].protocols);
		cr_expect_null(set->ciphers);
		pst_policy_free(p);
	}
}

#define HIGH "ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+HIGH:HIGH"
static const struct {
	const char *ciphers, *exclude, *want, *member;
} ciphers[] = {
	{"high", NULL, HIGH, NULL},
	{"Medium", NULL, HIGH ":MEDIUM", NULL},
	{"low", NULL, HIGH ":MEDIUM:LOW", NULL},
	{"high", "aNULL, MD5:kRSA+AES", HIGH ":!aNULL:!MD5:!kRSA+AES", NULL},
	{NULL, "SHA1", HIGH ":!SHA1", NULL},
	{"export", NULL, "not a grade: high, medium, low", "ciphers"},
	{"", NULL, "not a grade: high, medium, low", "ciphers"},
	{"ALL", NULL, "not a grade: high, medium, low", "ciphers"},
	{"high", "!aNULL", "not the name of a cipher or of a kind of cipher", "exclude"},
	{"high", "-aNULL", "not the name of a cipher or of a kind of cipher", "exclude"},
	{"high", "@SECLEVEL=0", "not the name of a cipher or of a kind of cipher", "exclude"},
	{NULL, "a;b", "not the name of a cipher or of a kind of cipher", "exclude"},
};

Test(map, grades_and_exclusions_become_a_cipher_list)
{
	for (unsigned i = 0; i < PST_COUNT(ciphers); i++) {
		struct pst_policy_entry e = {.destination = "d.example",
			.level = PST_LEVEL_MAY,
			.ciphers = ciphers[i].ciphers,
			.exclude = ciphers[i].exclude};
		struct pst_policy_conf c = map_conf(&e, 1, 0);
		struct pst_policy *p;

		if (ciphers[i].member != NULL) {
			map_expect_fault(&e, ciphers[i].member, ciphers[i].want);
			continue;
		}
		p = policy_must(&c);
		cr_assert_eq(pst_policy_ntls(p), 2);
		cr_expect_str_eq(pst_policy_tls(p, 1)->ciphers, ciphers[i].want);
		pst_policy_free(p);
	}
}

Test(map, equal_settings_share_a_set_and_64_sets_are_the_limit)
{
	static struct pst_policy_entry e[200];
	static char names[200][16], exclude[200][16];
	struct pst_policy_conf c;
	struct pst_policy *p;
	struct pst_demand d;

	for (unsigned i = 0; i < 200; i++) {
		sprintf(names[i], "d%u.example", i);
		sprintf(exclude[i], "C%u", i % (PST_TLS_SETS_MAX - 1));
		e[i] = (struct pst_policy_entry){
			.destination = names[i], .level = PST_LEVEL_ENCRYPT, .exclude = exclude[i]};
	}
	c = map_conf(e, 200, 0);
	p = policy_must(&c);
	cr_expect_eq(pst_policy_ntls(p), PST_TLS_SETS_MAX);
	map_demand(p, "d70.example", "mx", "192.0.2.1", 25, &d);
	cr_expect_eq(d.tls, 1 + 70 % (PST_TLS_SETS_MAX - 1));
	map_demand(p, "unknown.example", "mx", "192.0.2.1", 25, &d);
	cr_expect_eq(d.tls, 0);
	cr_expect_eq(pst_policy_tls(p, 0)->min_version, 0);
	cr_expect_null(pst_policy_tls(p, 0)->ciphers);
	cr_expect_eq(pst_policy_tls(p, 9999), pst_policy_tls(p, 0));
	pst_policy_free(p);
	strcpy(exclude[199], "one-more");
	policy_expect_fault(&c, "/map/199/protocols: more than 63 different TLS settings in the "
				"map\n");
}
