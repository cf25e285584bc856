/* SPDX-License-Identifier: BSD-3-Clause */
/* What the crypto drivers have against a configuration, and how their lcores are counted. */
#include "crypto.h"

#include <criterion/criterion.h>
#include <string.h>

static const char document[] =
	"{'version': 1, 'model': 'box', 'models': {'box': {'pfs_capable': true%s}},"
	" 'dataplane': {'workers': 3, 'ports': [{'name': 'a', 'device': 'net_tap', 'addresses':"
	" ['192.0.2.1/24']}]}, 'listeners': [{'name': 'x', 'port': 25, 'tls': 'none', 'action':"
	" 'plain'}], 'crypto': {%s}}";

/* The document with these members, written with ' for ". */
static struct pst_config *
parse(const char *model, const char *crypto)
{
	struct pst_config_report report = {0};
	struct pst_config *c;
	char text[8192];
	int n = snprintf(text, sizeof(text), document, model, crypto);

	cr_assert_lt(n, (int)sizeof(text));
	for (char *p = text; *p != '\0'; p++)
		if (*p == '\'')
			*p = '"';
	c = pst_config_parse(text, (size_t)n, NULL, &report);
	if (c == NULL)
		pst_config_report_print(&report, text, stderr);
	cr_assert_not_null(c);
	pst_config_report_fini(&report);
	return c;
}

#define B    "/crypto/backends/"
#define MANY "'lcores': 64}"

static const struct {
	const char *model, *crypto;
	const char *pointers; /* of the faults, with a space behind each */
	const char *says;     /* part of the first */
} rows[] = {
	{"", "", "", ""},
	{"", "'backends': {'a': {'driver': 'lcore'}, 'b': {'driver': 'fault', 'around': 'a'}}", "",
		""},
	{"",
		"'backends': {'a': {'driver': 'sync'}, 'b': {'driver': 'fault', 'around': 'a', "
		"'options': {'seed': '1', 'drop': '10'}}}",
		"", ""},
	{"", "'backends': {'a': {'driver': 'qta'}, 'b': {'driver': 'lcore'}, 'c': {'driver': 'x'}}",
		B "a/driver " B "c/driver ",
		"there is no crypto driver \"qta\"; known are: sync, lcore"},
	{"", "'backends': {'a': {'driver': 'lcore', 'options': {'speed': '9'}}}", B "a ", "speed"},
	{"",
		"'backends': {'a': {'driver': 'sync'}, 'b': {'driver': 'fault', 'around': 'a', "
		"'options': {'drop': '1001'}}}",
		B "b ", "drop"},
	{"", "'backends': {'a': {'driver': 'cryptodev', 'options': {'device': '0000:3d:00.0'}}}",
		"", ""},
	{"", "'backends': {'a': {'driver': 'cryptodev'}}", B "a ", "device"},
	{"", "'backends': {'a': {'driver': 'fault'}}", B "a/around ", "missing"},
	{"", "'backends': {'a': {'driver': 'lcore'}, 'b': {'driver': 'lcore', 'around': 'a'}}",
		B "b/around ", "wraps nothing"},
	{"", "'backends': {'a': {'driver': 'sync', 'lcores': 1}}", B "a/lcores ",
		"no threads of its own"},
	{"", "'backends': {'a': {'driver': 'lcore', 'cores': [1023]}}", B "a/cores/0 ",
		"core 1023 is not there"},
	{"", "'backends': {'a': {'driver': 'lcore', " MANY ", 'b': {'driver': 'lcore', " MANY "}",
		"/crypto/backends ", "128 lcores"},
	{", 'crypto_forbid': ['lcor', 'fault', 'named']", "", "/models/box/crypto_forbid/0 ",
		"no crypto driver \"lcor\""},
	{", 'crypto_require': 'lcore'", "'backends': {'a': {'driver': 'lcore'}}", "", ""},
	{", 'crypto_require': 'named'", "'named': {'engine': 'e'}", "/crypto/named ",
		"not yet available"},
	{", 'crypto_require': 'q'", "'backends': {'a': {'driver': 'q'}}",
		"/models/box/crypto_require " B "a/driver ", "no crypto driver \"q\""},
};

Test(crypto, what_the_drivers_refuse_is_told_at_its_place)
{
	for (size_t i = 0; i < PST_COUNT(rows); i++) {
		struct pst_config *c = parse(rows[i].model, rows[i].crypto);
		struct pst_config_report r = {0};
		char got[512] = "";

		crypto_check(c, &r);
		for (unsigned k = 0; k < r.n; k++)
			snprintf(got + strlen(got), sizeof(got) - strlen(got), "%s ",
				r.faults[k].pointer);
		cr_expect_str_eq(got, rows[i].pointers, "%s: %s (%s)", rows[i].crypto, got,
			r.n > 0 ? r.faults[0].text : "");
		if (r.n > 0)
			cr_expect_not_null(
				strstr(r.faults[0].text, rows[i].says), "%s", r.faults[0].text);
		pst_config_report_fini(&r);
		pst_config_free(c);
	}
}

Test(crypto, lcores_are_what_was_said_or_one_where_a_driver_needs_any)
{
	static const struct {
		const char *crypto;
		unsigned n;
		int cores[6];
	} cases[] = {
		{"", 0, {0}},
		{"'backends': {'a': {'driver': 'sync'}}", 0, {0}},
		{"'backends': {'a': {'driver': 'lcore'}}", 1, {-1}},
		{"'backends': {'a': {'driver': 'lcore', 'lcores': 3}}", 3, {-1, -1, -1}},
		{"'backends': {'a': {'driver': 'lcore', 'cores': [5, 4]}}", 2, {5, 4}},
		{"'backends': {'a': {'driver': 'lcore', 'cores': [5, 4], 'lcores': 1}}", 1, {5}},
		{"'backends': {'a': {'driver': 'lcore', 'cores': [0, 7]}, 's': {'driver': 'sync'}, "
		 "'b': {'driver': 'lcore'}, 'c': {'driver': 'lcore', 'cores': [9]}}",
			4, {0, 7, -1, 9}},
	};

	for (size_t i = 0; i < PST_COUNT(cases); i++) {
		struct pst_config *c = parse("", cases[i].crypto);

		cr_expect_eq(crypto_lcores(c), cases[i].n, "%s", cases[i].crypto);
		for (unsigned k = 0; k < cases[i].n; k++)
			cr_expect_eq(
				crypto_core(c, k), cases[i].cores[k], "%s: %u", cases[i].crypto, k);
		pst_config_free(c);
	}
}

/* Without EAL only back-ends that need nothing of it can be opened. */
Test(crypto, the_engine_has_the_back_ends_of_the_configuration_in_its_order)
{
	struct pst_config *c = parse("",
		"'backends': {'a': {'driver': 'sync', 'depth': 9}, 'b': {'driver': 'fault', "
		"'around': 'a', 'options': {'seed': '3'}}}");
	char err[512] = "";
	struct pst_engine *e = crypto_engine_new(c, NULL, 4, true, NULL, err, sizeof(err));

	cr_assert_not_null(e, "%s", err);
	cr_assert_eq(pst_engine_nbackends(e), 2);
	cr_expect_str_eq(pst_engine_backend(e, 0)->conf.name, "a");
	cr_expect_eq(pst_engine_backend(e, 0)->conf.depth, 9);
	cr_expect_str_eq(pst_engine_backend(e, 1)->drv->name, "fault");
	cr_expect_str_eq(pst_engine_backend(e, 1)->conf.opts[0].value, "3");
	cr_expect_eq(pst_engine_backend(e, 1)->conf.nlanes, 3);
	pst_engine_stop(e);
	cr_expect_eq(pst_engine_nbackends(e), 0);
	pst_engine_free(e);
	pst_config_free(c);
}

Test(crypto, without_a_section_there_is_an_engine_that_gives_nothing_away)
{
	struct pst_config *c = parse("", "");
	char err[512] = "";
	struct pst_engine *e = crypto_engine_new(c, NULL, 4, true, NULL, err, sizeof(err));

	cr_assert_not_null(e, "%s", err);
	cr_expect_eq(pst_engine_nbackends(e), 0);
	pst_engine_free(e);
	pst_config_free(c);
}
