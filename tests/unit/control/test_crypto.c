/* SPDX-License-Identifier: BSD-3-Clause */
/* The section crypto: what it takes and refuses, how it is changed, how the engine is shown. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "config_keys.h"
#include "doc.h"
#include "fake.h"
#include "rpc.h"
#include "server.h"
#include "site.h"

#define NONE "'crypto': {}"
#define B    "/crypto/backends/"
#define OPS  "/crypto/operations/"
#define TWO  "'crypto': {'backends': {'a': {'driver': 'lcore'}, 'b': {'driver': 'mb'}}, "
#define ONE  "'crypto': {'backends': {'a': {'driver': 'lcore'"
#define NINE                                                                                       \
	"'a': {'driver': 'x'}, 'b': {'driver': 'x'}, 'c': {'driver': 'x'}, 'd': {'driver': 'x'}, " \
	"'e': {'driver': 'x'}, 'f': {'driver': 'x'}, 'g': {'driver': 'x'}, 'h': {'driver': 'x'}, " \
	"'i': {'driver': 'x'}"

static const struct bad bad[] = {
	{NONE, "'crypto': []", "/crypto", "must be an object"},
	{NONE, "'crypto': {'backends': {'a': {}}}", B "a/driver", "missing"},
	{NONE, "'crypto': {'backends': {'a': {'driver': 'L core'}}}", B "a/driver",
		"name of a driver"},
	{NONE, "'crypto': {'backends': {'a b': {'driver': 'lcore'}}}", B "a b", "letters"},
	{NONE, "'crypto': {'backends': {'sync': {'driver': 'sync'}}}", B "sync",
		"the worker itself"},
	{NONE, "'crypto': {'backends': {" NINE "}}", "/crypto/backends", "at most 8"},
	{NONE, ONE ", 'depth': 0}}}", B "a/depth", "1 to 65536"},
	{NONE, ONE ", 'lcores': 65}}}", B "a/lcores", "0 to 64"},
	{NONE, ONE ", 'cores': []}}}", B "a/cores", "1 to 64 elements"},
	{NONE, ONE ", 'cores': [1, 1]}}}", B "a/cores/1", "core 1 is there already"},
	{NONE, ONE ", 'cores': [1], 'lcores': 2}}}", B "a/cores", "too few for 2"},
	{NONE, ONE ", 'options': {'k': ''}}}}", B "a/options/k", "empty"},
	{NONE, ONE ", 'options': {'k': 'a b'}}}}", B "a/options/k", "any of _./:@+,=-"},
	/* wrapping */
	{NONE, ONE ", 'around': 'x'}}}", B "a/around", "no crypto back-end \"x\""},
	{NONE, ONE ", 'around': 'sync'}}}", B "a/around", "no crypto back-end \"sync\""},
	{NONE, ONE ", 'around': 'a'}}}", B "a/around", "the back-end itself"},
	{NONE, ONE ", 'around': 'b'}, 'b': {'driver': 'lcore'}}}", B "a/around", "put it above"},
	{NONE,
		ONE "}, 'b': {'driver': 'fault', 'around': 'a'}, 'c': {'driver': 'fault', "
		    "'around': 'a'}}}",
		B "c/around", "wrapped already"},
	{NONE,
		ONE "}, 'b': {'driver': 'fault', 'around': 'a'}}, 'operations': {'default': "
		    "['b', 'a']}}",
		OPS "default/1", "wrapped by \"b\""},
	/* operations */
	{NONE, TWO "'operations': {'default': ['c']}}", OPS "default/0",
		"no crypto back-end \"c\""},
	{NONE, TWO "'operations': {'verify': ['a', 'B']}}", OPS "verify/1",
		"no crypto back-end \"B\""},
	{NONE, TWO "'operations': {'derive': ['a', 'b', 'a']}}", OPS "derive/2", "already"},
	{NONE, TWO "'operations': {'derive': ['sync', 'sync']}}", OPS "derive/1", "already"},
	{NONE, TWO "'operations': {'derive': 'a'}}", OPS "derive", "must be an array"},
	{NONE, TWO "'operations': {'derive': [1]}}", OPS "derive/0", "a string"},
	{NONE, TWO "'operations': {'sign': ['a']}}", OPS "sign", "unknown key"},
	{NONE, "'crypto': {'operations': {'default': ['a']}}", OPS "default/0",
		"no crypto back-end"},
	/* a fault is told once, not for each operation that has the list */
	{NONE, TWO "'operations': {'default': ['a', 'c', 'a']}}", OPS "default/1 " OPS "default/2",
		"no crypto"},
	/* numbers */
	{NONE, "'crypto': {'deadline': 0}", "/crypto/deadline", "0.001 to 10"},
	{NONE, "'crypto': {'deadline': 10.5}", "/crypto/deadline", "0.001 to 10"},
	{NONE, "'crypto': {'breaker_after': 0}", "/crypto/breaker_after", "1 to"},
	{NONE, "'crypto': {'probe': 0}", "/crypto/probe", "0.01 to 3600"},
	{NONE, "'crypto': {'ops': 0}", "/crypto/ops", "1 to 65536"},
	{NONE, "'crypto': {'jobs': 65537}", "/crypto/jobs", "1 to 65536"},
	{NONE, "'crypto': {'min_rsa_bits': -1}", "/crypto/min_rsa_bits", "0 to"},
	/* by name */
	{NONE, "'crypto': {'named': {}}", "/crypto/named", "one of"},
	{NONE, "'crypto': {'named': {'engine': 'e', 'provider': 'p'}}", "/crypto/named", "one of"},
	{NONE, "'crypto': {'named': {'engine': 'a b'}}", "/crypto/named/engine", "letters"},
	{NONE, TWO "'named': {'engine': 'e'}}", "/crypto/named", "either these or those"},
};

/* With a model in front of it: "'models': {}" comes before crypto in the document. */
#define BOX(says) "'model': 'box', 'models': {'box': {'pfs_capable': true, " says "}}"
static const struct bad gated[] = {
	{"'models': {}", BOX("'crypto_forbid': 'lcore'"), "/models/box/crypto_forbid",
		"must be an array"},
	{"'models': {}", BOX("'crypto_forbid': ['L']"), "/models/box/crypto_forbid/0",
		"name of a driver"},
	{"'models': {}", BOX("'crypto_require': ['lcore']"), "/models/box/crypto_require",
		"a string"},
	{"'models': {}", BOX("'crypto_forbid': ['x', 'lcore']"), B "a/driver",
		"model box forbids crypto driver \"lcore\"", NONE, TWO "'ops': 8}"},
	{"'models': {}", BOX("'crypto_forbid': ['named']"), "/crypto/named",
		"model box forbids an OpenSSL engine", NONE,
		"'crypto': {'named': {'engine': 'e'}}"},
	{"'models': {}", BOX("'crypto_require': 'lcore'"), "/crypto",
		"model box requires crypto driver \"lcore\""},
	{"'models': {}", BOX("'crypto_require': 'lcore'"), "/crypto", "no operation goes", NONE,
		TWO "'operations': {'default': ['b']}}"},
	{"'models': {}", BOX("'crypto_require': 'lcore'"), "/crypto", "no operation goes", NONE,
		TWO "'operations': {'default': ['sync', 'a']}}"},
	{"'models': {}", BOX("'crypto_require': 'named'"), "/crypto", "requires", NONE,
		TWO "'ops': 8}"},
	/* what is at fault anyway is not judged a second time */
	{"'models': {}", BOX("'crypto_require': 'lcore'"), OPS "default/0", "no crypto back-end",
		NONE, TWO "'operations': {'default': ['c']}}"},
};

Test(config_crypto, names_the_place_of_each_fault_and_no_other)
{
	expect_faults(bad, PST_COUNT(bad));
}

Test(config_crypto, a_model_forbids_and_requires_drivers)
{
	expect_faults(gated, PST_COUNT(gated));
}

static const char *const fits_model[][2] = {
	{BOX("'crypto_forbid': ['cryptodev']"), TWO "'ops': 8}"},
	{BOX("'crypto_require': 'lcore'"), TWO "'ops': 8}"},
	{BOX("'crypto_require': 'lcore'"),
		TWO "'operations': {'default': [], 'rsa_sign': ['b', 'a']}}"},
	{BOX("'crypto_require': 'lcore'"),
		ONE "}, 'b': {'driver': 'fault', 'around': 'a'}}, 'operations': {'default': "
		    "['b']}}"},
	{BOX("'crypto_require': 'named', 'crypto_forbid': ['lcore']"),
		"'crypto': {'named': {'provider': 'p'}}"},
	/* another model's table is not ours */
	{"'models': {'generic': {'pfs_capable': true}, 'box': {'pfs_capable': true, "
	 "'crypto_require': 'x', 'crypto_forbid': ['lcore']}}",
		TWO "'ops': 8}"},
};

Test(config_crypto, takes_what_the_model_allows)
{
	for (size_t i = 0; i < PST_COUNT(fits_model); i++) {
		struct pst_config_report r = {0};
		char *doc = spoiled_twice("'models': {}", fits_model[i][0], NONE, fits_model[i][1]);
		struct pst_config *c = parse(doc, &r);

		cr_expect_not_null(c, "%s with %s: %s", fits_model[i][0], fits_model[i][1],
			r.n > 0 ? r.faults[0].text : "");
		pst_config_free(c);
		pst_config_report_fini(&r);
		free(doc);
	}
}

/* Rows and the engine's kinds are two lists of one thing. */
Test(config_crypto, operations_have_the_names_of_the_engine_in_its_order)
{
	unsigned k = 0;

	cr_expect_str_eq(pst_operation_keys[0].name, "default");
	for (; k < PST_OP_KINDS; k++)
		cr_expect_str_eq(pst_operation_keys[1 + k].name, pst_op_kind_names[k]);
	cr_expect_null(pst_operation_keys[1 + k].name);
}

/* "ab" for two routes, to indices 0 and 1. */
static void
expect_route(const struct pst_config *c, enum pst_op_kind kind, const char *want)
{
	const struct pst_engine_tuning *t = &c->crypto.tuning;
	char got[PST_ENGINE_BACKENDS + 1] = "";

	for (unsigned i = 0; i < t->nroutes[kind]; i++)
		got[i] = (char)('a' + t->routes[kind][i]);
	cr_expect_str_eq(got, want, "%s: %s", pst_op_kind_names[kind], got);
}

Test(config_crypto, without_back_ends_everything_is_the_workers_own)
{
	static const char *const none[] = {NONE, "'crypto': {'operations': {'default': ['sync']}}",
		"'crypto': {'named': {'engine': 'e', 'path': 'e.so', 'settings': {'A': 'b c'}}}"};

	for (size_t i = 0; i < PST_COUNT(none); i++) {
		struct pst_config *c = parse_good(NONE, none[i]);

		for (unsigned k = 0; k < PST_OP_KINDS; k++)
			expect_route(c, k, "");
		cr_expect(c->crypto.ops == 1024 && c->crypto.jobs == 1024);
		cr_expect(c->crypto.tuning.deadline_us == 500000 &&
			  c->crypto.tuning.breaker_after == 8 && c->crypto.tuning.probe_ms == 1000);
		pst_config_free(c);
	}
}

Test(config_crypto, back_ends_and_the_order_of_them_arrive)
{
	struct pst_config *c = parse_good(NONE,
		"'crypto': {'backends': {'a': {'driver': 'lcore', 'cores': [2, 3], 'depth': 7}, "
		"'b': {'driver': 'cryptodev', 'options': {'device': '0000:3d:00.0'}}, "
		"'c': {'driver': 'fault', 'around': 'b', 'lcores': 0}}, "
		"'operations': {'default': ['c', 'a'], 'rsa_sign': ['a', 'sync', 'c'], "
		"'verify': [], 'keygen': ['sync']}, 'deadline': 0.002, 'breaker_after': 3, "
		"'probe': 0.5, 'ops': 64, 'jobs': 32, 'min_rsa_bits': 3072}");
	const struct pst_config_crypto *x = &c->crypto;

	cr_assert_eq(x->nbackends, 3);
	cr_expect_str_eq(x->backends[0].driver, "lcore");
	cr_expect(x->backends[0].lcores == 2 && x->backends[0].ncores == 2 &&
		  x->backends[0].depth == 7);
	cr_expect_str_eq(x->backends[1].options[0].value, "0000:3d:00.0");
	cr_expect(x->backends[1].depth == 512 && x->backends[1].around == NULL);
	cr_expect_str_eq(x->backends[2].around, "b");
	expect_route(c, PST_OP_RSA_SIGN, "a");
	expect_route(c, PST_OP_RSA_DECRYPT, "ca");
	expect_route(c, PST_OP_DERIVE, "ca");
	expect_route(c, PST_OP_VERIFY, "");
	expect_route(c, PST_OP_KEYGEN, "");
	cr_expect(x->tuning.deadline_us == 2000 && x->tuning.breaker_after == 3 &&
		  x->tuning.probe_ms == 500 && x->tuning.min_rsa_bits == 3072);
	cr_expect(x->ops == 64 && x->jobs == 32);
	pst_config_free(c);
}

/* Whoever says nothing of operations means all back-ends, but those that another has. */
Test(config_crypto, all_back_ends_are_used_unless_something_is_said)
{
	struct pst_config *c = parse_good(NONE,
		"'crypto': {'backends': {'a': {'driver': 'lcore'}, 'b': {'driver': 'mb'}, 'c': "
		"{'driver': 'fault', 'around': 'a'}}, 'operations': {'derive': ['b']}}");

	expect_route(c, PST_OP_RSA_SIGN, "bc");
	expect_route(c, PST_OP_DERIVE, "b");
	pst_config_free(c);
}

Test(config_crypto, an_engine_or_provider_by_name_arrives)
{
	struct pst_config *c = parse_good(NONE,
		"'crypto': {'named': {'engine': 'qatengine', 'path': 'q.so', 'settings': {'N': "
		"'1'}}}");

	cr_expect_str_eq(c->crypto.named.engine, "qatengine");
	cr_expect_null(c->crypto.named.provider);
	cr_expect_str_eq(c->crypto.named.path, "/etc/postern/q.so");
	cr_assert_eq(c->crypto.named.nsettings, 1);
	cr_expect_str_eq(c->crypto.named.settings[0].key, "N");
	pst_config_free(c);
}

/* ---- warnings ---- */

static const struct {
	const char *put, *pointers;
} doubtful[] = {
	{TWO "'ops': 8}", ""},
	{TWO "'operations': {'default': ['a']}}", B "b/driver "},
	{TWO "'operations': {'default': ['sync', 'a'], 'derive': ['b', 'sync', 'a']}}",
		B "a/driver " OPS "default/1 " OPS "derive/2 "},
	{ONE ", 'cores': [5, 1]}, 'b': {'driver': 'lcore', 'cores': [5, 6]}}}",
		B "a/cores/1 " B "b/cores/0 "},
	{ONE "}, 'b': {'driver': 'fault', 'around': 'a'}}, 'operations': {'default': ['b']}}", ""},
};

Test(config_crypto, warns_of_what_has_no_effect_and_of_cores_that_are_shared)
{
	for (size_t i = 0; i < PST_COUNT(doubtful); i++) {
		struct pst_config *c = parse_good(NONE, doubtful[i].put);
		struct pst_config_report r = {0};
		char got[512] = "";

		pst_config_lint(c, &r);
		for (unsigned k = 0; k < r.nwarnings; k++)
			snprintf(got + strlen(got), sizeof(got) - strlen(got), "%s ",
				r.warnings[k].pointer);
		cr_expect_str_eq(got, doubtful[i].pointers, "%s: %s", doubtful[i].put, got);
		pst_config_report_fini(&r);
		pst_config_free(c);
	}
}

/* ---- what runs; its document: two back-ends, cores and qat, and the order ["cores"] ---- */

static struct site site;

static void
start(void)
{
	site_open(&site);
}

static void
stop(void)
{
	site_close(&site);
}

TestSuite(crypto, .init = start, .fini = stop, .timeout = 60);

/* Pushes the running document with one member of crypto replaced; value in JSON. */
static json_t *
push(const char *key, const char *value)
{
	json_t *doc = site_result(&site, "config.show", NULL), *params, *root;
	char *text = strdup(value), *line;

	for (char *p = text; *p != '\0'; p++)
		if (*p == '\'')
			*p = '"';
	json_object_set_new(
		json_object_get(doc, "crypto"), key, json_loads(text, JSON_DECODE_ANY, NULL));
	params = json_pack("{s:o}", "config", doc);
	line = json_dumps(params, JSON_COMPACT);
	root = site_call(&site, "config.push", line);
	json_decref(params);
	free(line);
	free(text);
	return root;
}

static const struct {
	const char *key, *value, *pointer;
} fixed[] = {
	{"ops", "512", "/crypto/ops"},
	{"jobs", "512", "/crypto/jobs"},
	{"backends", "{'qat': {'driver': 'cryptodev'}, 'cores': {'driver': 'lcore'}}",
		"/crypto/backends"},
	{"backends",
		"{'cores': {'driver': 'lcore'}, 'qat': {'driver': 'cryptodev', 'options': "
		"{'device': "
		"'0000:3d:00.0'}}, 'new': {'driver': 'lcore'}}",
		"/crypto/backends"},
	{"backends",
		"{'cores': {'driver': 'mb'}, 'qat': {'driver': 'cryptodev', 'options': {'device': "
		"'0000:3d:00.0'}}}",
		"/crypto/backends/cores/driver"},
	{"backends",
		"{'cores': {'driver': 'lcore'}, 'qat': {'driver': 'cryptodev', 'options': "
		"{'device': '0000:3d:00.1'}}}",
		"/crypto/backends/qat/options"},
};

Test(crypto, back_ends_and_pools_need_a_restart)
{
	for (size_t i = 0; i < PST_COUNT(fixed); i++) {
		json_t *root = push(fixed[i].key, fixed[i].value);
		json_t *error = json_object_get(root, "error");
		json_t *f = json_array_get(
			json_object_get(json_object_get(error, "data"), "faults"), 0);

		cr_expect_eq(number_of(error, "code"), PST_RPC_RESTART, "%s", fixed[i].value);
		cr_expect_str_eq(text_of(f, "pointer"), fixed[i].pointer, "%s", fixed[i].value);
		cr_expect_neq(strstr(text_of(f, "text"), "restart_required"), NULL);
		json_decref(root);
	}
	cr_expect(fake.published == 0 && fake.tuned == 0);
}

Test(crypto, the_rest_is_changed_in_the_engine_that_runs_and_taken_back)
{
	json_t *root = push("operations", "{'default': ['qat', 'cores'], 'verify': ['sync']}");

	cr_expect_not_null(json_object_get(root, "result"));
	json_decref(root);
	cr_assert_eq(fake.tuned, 1);
	cr_expect(fake.tuning.nroutes[PST_OP_DERIVE] == 2 &&
		  fake.tuning.routes[PST_OP_DERIVE][0] == 1);
	cr_expect_eq(fake.tuning.nroutes[PST_OP_VERIFY], 0);
	cr_expect_eq(fake.tuning.deadline_us, 20000);
	json_decref(push("deadline", "0.03"));
	cr_expect_eq(fake.tuning.deadline_us, 30000);
	json_decref(site_result(&site, "config.rollback", "{'to': 1}"));
	cr_expect_eq(fake.tuned, 3);
	cr_expect_eq(fake.tuning.nroutes[PST_OP_DERIVE], 1);
	cr_expect_eq(fake.tuning.deadline_us, 20000);
}

/* Neither what the relay refuses nor what the drivers refuse reaches the engine. */
Test(crypto, a_refused_configuration_leaves_the_engine_alone)
{
	json_t *root, *error, *f;

	fake.refuse = "no";
	root = push("deadline", "1");
	cr_expect_not_null(json_object_get(root, "error"));
	json_decref(root);
	fake.refuse = NULL;
	fake.drivers_refuse = "there is no such thing";
	root = push("deadline", "1");
	error = json_object_get(root, "error");
	cr_expect_eq(number_of(error, "code"), PST_RPC_CONFIG);
	f = json_array_get(json_object_get(json_object_get(error, "data"), "faults"), 0);
	cr_expect_str_eq(text_of(f, "pointer"), "/crypto/backends/x/driver");
	json_decref(root);
	cr_expect(fake.published == 0 && fake.tuned == 0);
}

static const json_t *
row(const json_t *list, const char *key, const char *name)
{
	const json_t *item;
	size_t i;

	json_array_foreach(list, i, item)
	{
		if (strcmp(text_of(item, key), name) == 0)
			return item;
	}
	cr_assert_fail("no %s", name);
	return NULL;
}

Test(crypto, show_has_each_worker_and_their_sum)
{
	json_t *r = site_result(&site, "crypto.show", NULL);
	const json_t *total = json_object_get(r, "total"), *own, *b, *op, *pools, *w;

	own = row(json_object_get(r, "backends"), "name", "cores");
	cr_expect_str_eq(text_of(own, "driver"), "lcore");
	cr_expect_float_eq(json_real_value(json_object_get(own, "cpu")), 1.5, 1e-9);
	b = row(json_object_get(total, "backends"), "name", "cores");
	cr_expect_str_eq(text_of(b, "breaker"), "open");
	cr_expect(number_of(b, "completed") == 160 && number_of(b, "timeouts") == 2);
	b = row(json_object_get(total, "backends"), "name", "qat");
	cr_expect_str_eq(text_of(b, "breaker"), "closed");
	op = row(json_object_get(total, "operations"), "kind", "rsa_sign");
	cr_expect(number_of(op, "asked") == 200 && number_of(op, "offloaded") == 160);
	cr_expect_float_eq(json_real_value(json_object_get(op, "mean_wait")), 250e-6, 1e-9);
	op = row(json_object_get(total, "operations"), "kind", "derive");
	cr_expect(json_is_null(json_object_get(op, "mean_wait")));
	pools = json_object_get(total, "pools");
	cr_expect_eq(number_of(json_object_get(pools, "ops"), "total"), 2048);
	cr_expect_eq(number_of(json_object_get(pools, "ops"), "quarantined"), 1);
	cr_expect_eq(number_of(json_object_get(pools, "jobs"), "in_use"), 6);
	w = json_array_get(json_object_get(r, "workers"), 1);
	cr_expect_eq(number_of(w, "worker"), 1);
	op = row(json_object_get(w, "operations"), "kind", "rsa_sign");
	cr_expect_eq(number_of(op, "asked"), 100);
	cr_expect_eq(
		number_of(json_object_get(json_object_get(r, "counters"), "submitted"), "total"),
		101);
	json_decref(r);
}

/* ---- posternctl ---- */

static char path[96], out[65536];
static struct pst_control *control;

static void
ctl_start(void)
{
	struct pst_control_deps deps;
	char err[256] = "";

	snprintf(path, sizeof(path), "/tmp/pst-crypto-%d.sock", getpid());
	deps = fake_deps(path);
	control = pst_control_new(&deps, err, sizeof(err));
	cr_assert_not_null(control, "%s", err);
}

static void
ctl_stop(void)
{
	pst_control_free(control);
}

TestSuite(ctl_crypto, .init = ctl_start, .fini = ctl_stop, .timeout = 60);

static void
says(const char *arguments, const char *const *lines)
{
	char command[512];
	FILE *f;

	snprintf(command, sizeof(command), "%s -s '%s' %s 2>&1", POSTERNCTL, path, arguments);
	f = popen(command, "r");
	cr_assert_not_null(f);
	out[fread(out, 1, sizeof(out) - 1, f)] = '\0';
	cr_expect_eq(WEXITSTATUS(pclose(f)), 0);
	for (; *lines != NULL; lines++)
		cr_expect_not_null(strstr(out, *lines), "no \"%s\" in\n%s", *lines, out);
}

Test(ctl_crypto, crypto_is_for_people)
{
	static const char *const lines[] = {
		"deadline 20 ms, breaker opens after 8, probes every 1 s\n",
		"cores             lcore         open          6         160         4         2",
		"      1.50\n", "qat               cryptodev     closed        0 ",
		"rsa_sign            200         160     250 us  cores, sync\n",
		"verify                0           0          -  qat, sync\n",
		"operations  2048, 2040 free, 1 quarantined\n",
		"jobs        1024 at most, 6 in use, 2 handshakes wait for one\n",
		"submitted                101  operations given to a back-end\n", NULL};

	says("crypto", lines);
	cr_expect_null(strstr(out, "worker 0"));
	cr_expect_null(strstr(out, "redone"));
}

Test(ctl_crypto, per_worker_shows_each_and_all_shows_zeroes)
{
	static const char *const lines[] = {"\nworker 1\n", "redone                     0  ",
		"cores             closed        3 ", "operations  1024, 1020 free, 0 quarantined",
		NULL};

	says("--per-worker --all crypto", lines);
}

Test(ctl_crypto, status_has_a_line_and_json_is_the_result)
{
	static const char *const line[] = {"crypto      2 back-ends, 1 with an open breaker\n",
		NULL},
				 *const json[] = {"\"mean_wait\": 0.00025", "\"workers\": [", NULL};

	says("status", line);
	says("--json crypto", json);
}
