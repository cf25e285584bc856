/* SPDX-License-Identifier: BSD-3-Clause */
/* Verbs for policy over JSON-RPC: what runs afterwards, who did it, and what is refused. */
#include <criterion/criterion.h>
#include <edit.h>
#include <stdlib.h>
#include <string.h>

#include <pst_policy.h>

#include "fake.h"
#include "site.h"

static struct site site;

static void
start(void)
{
	fake_reset();
	site_open(&site);
}

static void
stop(void)
{
	site_close(&site);
}

TestSuite(policy_verbs, .init = start, .fini = stop, .timeout = 60);

static void
done(const char *method, const char *params)
{
	json_decref(site_result(&site, method, params));
}

static void
three_rules(void)
{
	done("rule.add", "{'from':'*','to':'*','sender':'Optionally Encrypted'}");
	done("rule.add", "{'from':'B\xc3\xbc"
			 "cher.Example','to':'*.d','recipient':'required','id':'books'}");
	done("rule.add", "{'from':'<>','to':'c','enabled':false,'at':1}");
}

/* ---- rules ---- */

Test(policy_verbs, rules_are_listed_in_order_with_their_canonical_line)
{
	static const char *const want[][3] = {{"2", "<> c - -", "no"},
		{"1", "* * optional -", "yes"},
		{"books", "xn--bcher-kva.example *.d - required", "yes"}};
	json_t *r, *rules, *rule;

	three_rules();
	r = site_result(&site, "rule.list", NULL);
	rules = json_object_get(r, "rules");
	cr_assert_eq(json_array_size(rules), 3);
	for (size_t i = 0; i < 3; i++) {
		rule = json_array_get(rules, i);
		cr_expect_str_eq(text_of(rule, "id"), want[i][0]);
		cr_expect_str_eq(text_of(rule, "line"), want[i][1]);
		cr_expect_eq(number_of(rule, "bytes"), (long long)strlen(want[i][1]));
		cr_expect_eq(number_of(rule, "position"), (long long)i + 1);
		cr_expect_eq(json_is_true(json_object_get(rule, "enabled")),
			strcmp(want[i][2], "yes") == 0);
	}
	cr_expect_str_eq(text_of(json_array_get(rules, 1), "warning"), "unreachable: taken by 1");
	cr_expect_null(json_object_get(json_array_get(rules, 0), "warning"));
	cr_expect_str_eq(text_of(json_object_get(r, "default_rule"), "sender"), "optional");
	cr_expect_str_eq(text_of(json_object_get(r, "default_rule"), "recipient"), "preferred");
	json_decref(r);
}

Test(policy_verbs, each_change_is_a_generation_with_a_diff_and_an_audit_line)
{
	json_t *r = site_result(&site, "rule.add",
		"{'from':'*','to':'a','sender':'required','note':'audit asked for it'}");
	json_t *change = json_array_get(json_object_get(r, "changes"), 0), *row;

	cr_expect_eq(number_of(r, "generation"), 2);
	cr_expect(json_is_true(json_object_get(r, "published")));
	cr_expect_str_eq(text_of(r, "id"), "1");
	cr_expect_eq(number_of(r, "position"), 1);
	cr_expect_str_eq(text_of(change, "pointer"), "/policy/rules");
	cr_expect_eq(fake.snap->policy.nrules, 1, "the relay has it");
	cr_expect_eq(fake.snap->policy.rules[0].sender, PST_SENDER_REQUIRED);
	json_decref(r);
	cr_expect_eq(site_logged(&site, "method=rule.add uid=11 gid=22 pid=33 target=1 outcome=ok "
					"generation=2"),
		1);
	r = site_result(&site, "config.history", NULL);
	row = json_array_get(json_object_get(r, "generations"), 0);
	cr_expect_str_eq(text_of(row, "via"), "rule.add");
	cr_expect_str_eq(text_of(row, "note"), "audit asked for it");
	cr_expect_eq(number_of(row, "uid"), 11);
	json_decref(r);
}

Test(policy_verbs, what_is_so_already_is_no_new_generation)
{
	static const char *const calls[][2] = {{"rule.enable", "{'id':'1'}"},
		{"rule.move", "{'id':'2','to':'up'}"}, {"rule.disable", "{'id':'2'}"},
		{"list.add", "{'list':'never','entry':'192.0.2.7'}"},
		{"profile.set", "{'name':'default','set':{'tickets':1}}"},
		{"policy.import", "{'text':'a.example may'}"}};

	three_rules();
	done("list.add", "{'list':'never','entry':'192.0.2.7'}");
	done("policy.import", "{'text':'a.example may'}");
	for (size_t i = 0; i < PST_COUNT(calls); i++) {
		json_t *r = site_result(&site, calls[i][0], calls[i][1]);

		cr_expect(json_is_false(json_object_get(r, "published")), "%s", calls[i][0]);
		cr_expect_eq(number_of(r, "generation"), 6);
		json_decref(r);
	}
	cr_expect_eq(fake.generation, 6);
}

Test(policy_verbs, a_refused_change_changes_nothing_and_says_where)
{
	static const struct {
		const char *method, *params;
		int code;
		const char *pointer; /* NULL: a reason instead */
	} rows[] = {
		{"rule.add", "{'from':'a b','to':'c'}", PST_RPC_CONFIG, "/policy/rules/3/from"},
		{"rule.add", "{'from':'*','to':'c d','at':1}", PST_RPC_CONFIG,
			"/policy/rules/0/to"},
		{"rule.add", "{'from':'*','to':'c','id':'a b'}", PST_RPC_CONFIG,
			"/policy/rules/3/id"},
		{"rule.remove", "{'id':'9'}", PST_RPC_NOT_FOUND, NULL},
		{"rule.move", "{'id':'1','to':'away'}", PST_RPC_PARAMS, NULL},
		{"profile.set", "{'name':'default','set':{'min':'1.7'}}", PST_RPC_CONFIG,
			"/tls_profiles/default/min"},
		{"profile.set", "{'name':'standard','set':{'min':'1.3'}}", PST_RPC_CLONE, NULL},
		{"profile.remove", "{'name':'default'}", PST_RPC_CONFLICT, NULL},
		{"profile.clone", "{'name':'default','to':'a b'}", PST_RPC_CONFIG,
			"/tls_profiles/a b"},
		{"action.clone", "{'name':'plain','to':'standard'}", PST_RPC_CONFLICT, NULL},
		{"action.set", "{'name':'inspect','set':{'colour':1}}", PST_RPC_CONFIG,
			"/actions/inspect/colour"},
		{"action.remove", "{'name':'inspect'}", PST_RPC_CONFLICT, NULL},
		{"list.add", "{'list':'never','entry':'not an entry'}", PST_RPC_CONFIG,
			"/policy/starttls_never/0"},
		{"policy.import", "{'text':'a.example sometimes'}", PST_RPC_CONFIG, NULL},
		{"rule.add", "{'from':'*','to':'c','if_generation':1}", PST_RPC_GENERATION, NULL},
		{"rule.add", "{'from':'*','to':'c','if_generation':'4'}", PST_RPC_PARAMS, NULL},
		{"rule.add", "{'from':'*','to':'c','colour':'red'}", PST_RPC_PARAMS, NULL},
		{"rule.add", "{'from':'*','to':'c','dry_run':true}", PST_RPC_PARAMS, NULL},
	};
	json_t *before, *after;

	three_rules();
	before = site_result(&site, "config.show", NULL);
	for (size_t i = 0; i < PST_COUNT(rows); i++) {
		json_t *data = site_error(&site, rows[i].method, rows[i].params, rows[i].code);
		json_t *fault = json_array_get(json_object_get(data, "faults"), 0);

		if (rows[i].pointer != NULL)
			cr_expect_str_eq(text_of(fault, "pointer"), rows[i].pointer, "row %zu", i);
		else
			cr_expect_str_neq(text_of(data, "reason"), "", "row %zu", i);
		json_decref(data);
	}
	after = site_result(&site, "config.show", NULL);
	cr_expect(json_equal(before, after));
	cr_expect_eq(fake.generation, 4);
	json_decref(before);
	json_decref(after);
}

Test(policy_verbs, what_the_relay_refuses_is_not_what_runs)
{
	json_t *data;

	fake.refuse = "no such cipher";
	data = site_error(&site, "rule.add", "{'from':'*','to':'a'}", PST_RPC_CONFIG);
	cr_expect_str_eq(text_of(json_array_get(json_object_get(data, "faults"), 0), "text"),
		"no such cipher");
	json_decref(data);
	cr_expect_eq(site.plane->running->policy.nrules, 0);
	site_logged(
		&site, "method=rule.add uid=11 gid=22 pid=33 outcome=\"Invalid configuration\"");
}

Test(policy_verbs, clone_required_has_a_word_of_its_own)
{
	json_t *data =
		site_error(&site, "action.set", "{'name':'standard','set':{}}", PST_RPC_CLONE);

	cr_expect_str_eq(text_of(data, "error"), "clone_required");
	json_decref(data);
}

/* ---- profiles and actions ---- */

Test(policy_verbs, a_clone_of_the_standard_profile_and_action_can_be_changed_and_used)
{
	json_t *r;

	done("profile.clone", "{'name':'standard','to':'mine'}");
	done("profile.set", "{'name':'mine','set':{'min':'1.3','sender':{'pfs':'required'}}}");
	done("action.clone", "{'name':'standard','to':'ours','set':{'starttls_profile':'mine'}}");
	r = site_result(&site, "profile.show", "{'name':'mine'}");
	cr_expect_str_eq(text_of(r, "min"), "1.3");
	cr_expect_str_eq(text_of(r, "sender_pfs"), "required");
	cr_expect(json_is_false(json_object_get(r, "predefined")));
	cr_expect_eq(json_array_size(json_object_get(r, "actions")), 1);
	json_decref(r);
	r = site_error(&site, "profile.remove", "{'name':'mine'}", PST_RPC_CONFLICT);
	cr_expect_str_eq(json_string_value(json_array_get(json_object_get(r, "users"), 0)),
		"/actions/ours/starttls_profile");
	json_decref(r);
	done("action.remove", "{'name':'ours'}");
	done("profile.remove", "{'name':'mine'}");
}

Test(policy_verbs, predefined_ones_are_listed_and_marked)
{
	json_t *r = site_result(&site, "action.list", NULL), *a;
	unsigned predefined = 0;
	size_t i;

	json_array_foreach(json_object_get(r, "actions"), i, a) predefined +=
		json_is_true(json_object_get(a, "predefined"));
	cr_expect_eq(predefined, 2, "standard and plain");
	json_decref(r);
	r = site_result(&site, "profile.list", NULL);
	cr_expect_geq(json_array_size(json_object_get(r, "profiles")), 3);
	json_decref(r);
	r = site_result(&site, "profile.show", "{'name':'standard'}");
	cr_expect(json_is_true(json_object_get(r, "predefined")));
	json_decref(r);
	json_decref(site_error(&site, "profile.show", "{'name':'x'}", PST_RPC_NOT_FOUND));
	json_decref(site_error(&site, "action.show", "{}", PST_RPC_NOT_FOUND));
}

/* W3, "View": which listeners use it, with what TLS support; those it does little for stand out. */
Test(policy_verbs, action_show_lists_listeners_and_flags_those_without_tls)
{
	json_t *r = site_result(&site, "action.show", "{'name':'inspect'}"), *list, *l;

	list = json_object_get(r, "listeners");
	cr_assert_eq(json_array_size(list), 2);
	l = json_array_get(list, 0);
	cr_expect_str_eq(text_of(l, "name"), "smtp");
	cr_expect_str_eq(text_of(l, "tls"), "starttls");
	cr_expect(json_is_false(json_object_get(l, "disabled")));
	cr_expect_eq(json_integer_value(json_array_get(json_object_get(l, "ports"), 0)), 25);
	json_decref(r);
	r = site_result(&site, "action.show", "{'name':'off'}");
	l = json_array_get(json_object_get(r, "listeners"), 0);
	cr_expect_str_eq(text_of(l, "tls"), "none");
	cr_expect(json_is_true(json_object_get(l, "disabled")));
	json_decref(r);
}

Test(policy_verbs, action_show_tells_tls_support_and_both_ports)
{
	static const struct {
		const char *support;
		size_t nports;
		bool flagged;
	} rows[] = {{"disabled", 1, true}, {"enabled", 2, false}, {"required", 1, false}};

	for (size_t i = 0; i < PST_COUNT(rows); i++) {
		json_t *doc = site_result(&site, "config.show", NULL), *params, *r, *l;
		char *text;

		doc = (json_decref(doc), json_deep_copy(site.plane->running->document));
		l = json_array_get(json_object_get(doc, "listeners"), 0);
		json_object_del(l, "tls");
		json_object_set_new(l, "tls_support", json_string(rows[i].support));
		json_array_remove(json_object_get(doc, "listeners"), 1);
		if (i > 0)
			json_array_append_new(json_object_get(doc, "listeners"),
				json_pack("{s:s, s:i, s:s, s:s}", "name", "smtps", "port", 4650,
					"tls", "implicit", "action", "inspect"));
		params = json_pack("{s:o}", "config", doc);
		text = json_dumps(params, JSON_COMPACT);
		json_decref(site_result(&site, "config.push", text));
		free(text);
		json_decref(params);
		r = site_result(&site, "action.show", "{'name':'inspect'}");
		l = json_array_get(json_object_get(r, "listeners"), 0);
		cr_expect_str_eq(text_of(l, "tls_support"), rows[i].support);
		cr_expect_eq(json_array_size(json_object_get(l, "ports")), rows[i].nports, "%s",
			rows[i].support);
		cr_expect_eq(json_is_true(json_object_get(l, "disabled")), rows[i].flagged);
		json_decref(r);
		site.now += PST_NS_PER_SEC;
		site_turn(&site);
		if (i == 0)
			site.now += PST_NS_PER_SEC;
		/* Back to what it began with: one listener for 465. */
		json_decref(site_result(&site, "config.rollback", "{'to':1}"));
	}
}

/* ---- lists and map ---- */

Test(policy_verbs, lists_are_shown_as_they_were_written)
{
	json_t *r = site_result(&site, "list.show", NULL);

	cr_expect_eq(json_array_size(json_object_get(r, "never")), 0);
	json_decref(r);
	done("list.add", "{'list':'never','entry':'192.0.2.7'}");
	done("list.add", "{'list':'required','entry':'*.Bank.example'}");
	r = site_result(&site, "list.show", NULL);
	cr_expect_str_eq(json_string_value(json_array_get(json_object_get(r, "required"), 0)),
		"*.Bank.example");
	json_decref(r);
	cr_expect_eq(fake.snap->policy.nnever, 1);
	done("list.remove", "{'list':'never','entry':'192.0.2.7'}");
	cr_expect_eq(fake.snap->policy.nnever, 0);
}

Test(policy_verbs, an_import_is_one_generation_and_a_dry_run_none)
{
	static const char both[] = "{'text':'a.example may\\nb.example secure match=m\\n',"
				   "'dry_run':true}";
	json_t *r = site_result(&site, "policy.import", both);

	cr_expect_eq(number_of(r, "added"), 2);
	cr_expect_eq(number_of(r, "changes_total"), 1);
	cr_expect_eq(number_of(r, "generation"), 1);
	json_decref(r);
	cr_expect_eq(fake.generation, 1);
	json_decref(
		site_error(&site, "policy.show", "{'destination':'a.example'}", PST_RPC_NOT_FOUND));
	r = site_result(&site, "policy.import",
		"{'text':'a.example may\\nb.example secure match=m.example\\n'}");
	cr_expect_eq(number_of(r, "generation"), 2);
	cr_expect_eq(fake.snap->policy.nmap, 2);
	json_decref(r);
	r = site_result(&site, "policy.show", "{'destination':'B.example:25'}");
	cr_expect_str_eq(text_of(r, "line"), "secure match=m.example");
	cr_expect_str_eq(text_of(r, "key"), "b.example");
	json_decref(r);
	json_decref(site_error(&site, "policy.show", "{}", PST_RPC_NOT_FOUND));
}

Test(policy_verbs, a_fault_found_after_parsing_names_the_line_of_the_import)
{
	json_t *data = site_error(&site, "policy.import",
		"{'text':'# one\\na.example may\\n\\nb.example secure servername=no_host..x\\n'}",
		PST_RPC_CONFIG);
	json_t *fault = json_array_get(json_object_get(data, "faults"), 0),
	       *line = json_array_get(json_object_get(data, "lines"), 0);

	/* Whoever finds it, the parser of lines or that of configurations. */
	cr_expect_eq(number_of(fault != NULL ? fault : line, "line"), 4);
	json_decref(data);
}

/* A file that is as large as an operator's largest: through the socket's line and back. */
Test(policy_verbs, a_hundred_thousand_lines_fit_the_socket)
{
	enum { LINES = 100000 };
	char *text = malloc(LINES * 64), *p = text, *params;
	json_t *root, *r;

	for (int i = 0; i < LINES; i++)
		p += sprintf(p, "d%05d.example secure match=mx%05d.example:.d.example\n", i, i);
	root = json_pack("{s:s}", "text", text);
	params = json_dumps(root, JSON_COMPACT);
	cr_expect_lt(strlen(params), (size_t)PST_RPC_LINE_MAX);
	r = site_result(&site, "policy.import", params);
	cr_expect_eq(number_of(r, "added"), LINES);
	cr_expect_eq(fake.snap->policy.nmap, LINES);
	json_decref(r);
	done("rule.add", "{'from':'*','to':'a'}");
	json_decref(root);
	free(params);
	free(text);
}

Test(policy_verbs, what_could_not_be_read_again_does_not_come_to_run)
{
	char *name = malloc(16 << 20), *params = NULL;
	json_t *data;

	/* Comments are kept, and are as long as one likes. */
	memset(name, 'x', (16 << 20) - 1);
	name[(16 << 20) - 1] = '\0';
	cr_assert_gt(asprintf(&params, "{'name':'default','set':{'_comment':'%s'}}", name), 0);
	data = site_error(&site, "profile.set", params, PST_RPC_CONFIG);
	cr_expect_not_null(strstr(text_of(data, "reason"), "larger than"));
	json_decref(data);
	free(params);
	free(name);
}

/* ---- explain, broken TLS ---- */

Test(policy_verbs, explain_tells_everything_the_relay_does)
{
	json_t *r = site_result(&site, "explain",
		"{'from':'a@x','to':'b@bank.example','client':'192.0.2.1','tls':true,'live':true}");
	json_t *host = json_array_get(json_object_get(r, "hosts"), 0),
	       *outcomes = json_object_get(host, "outcomes"),
	       *replies = json_object_get(r, "replies");

	cr_expect_str_eq(text_of(r, "rule"), "bank");
	cr_expect_str_eq(text_of(r, "sender_policy"), "optional");
	cr_expect_eq(json_array_size(json_object_get(r, "chain")), 1);
	cr_expect_str_eq(text_of(host, "name"), "over-tls");
	cr_expect_str_eq(text_of(host, "address"), "192.0.2.5:25");
	cr_expect_str_eq(text_of(host, "match"), "bank.example,.bank.example");
	cr_expect_eq(json_object_size(outcomes), PST_HOP_STATES);
	cr_expect_eq(
		number_of(json_object_get(json_object_get(outcomes, "broken"), "rcpt"), "code"),
		451);
	cr_expect(json_is_null(json_object_get(json_object_get(outcomes, "no_starttls"), "rcpt")));
	cr_expect_eq(number_of(json_object_get(host, "live"), "code"), 250);
	cr_expect_str_eq(text_of(json_object_get(replies, "rcpt"), "reason"), "tls_not_offered");
	cr_expect(json_is_null(json_object_get(replies, "data")));
	json_decref(r);
	r = site_result(&site, "explain", "{'from':'','to':'b@bank.example'}");
	host = json_array_get(json_object_get(r, "hosts"), 0);
	cr_expect_str_eq(text_of(host, "name"), "in-clear");
	cr_expect_null(json_object_get(host, "live"));
	json_decref(r);
}

Test(policy_verbs, explain_refuses_what_it_cannot_ask)
{
	static const char *const wrong[] = {"{'to':'b'}", "{'from':'a'}",
		"{'from':'a','to':'b','client':'mx.example'}", "{'from':'a','to':'b','tls':1}",
		"{'from':1,'to':'b'}", "{'from':'a','to':'b','listener':2}"};

	for (size_t i = 0; i < PST_COUNT(wrong); i++)
		json_decref(site_error(&site, "explain", wrong[i], PST_RPC_PARAMS));
	json_decref(site_error(&site, "explain", "{'from':'a','to':'nobody'}", PST_RPC_FAILED));
}

Test(policy_verbs, the_broken_tls_memory_is_listed_and_flushed)
{
	json_t *r;

	fake.nbroken = 3;
	r = site_result(&site, "broken_tls.list", NULL);
	cr_expect_eq(json_array_size(json_object_get(r, "hosts")), 3);
	cr_expect_str_eq(text_of(json_array_get(json_object_get(r, "hosts"), 1), "leg"), "client");
	json_decref(r);
	r = site_result(&site, "broken_tls.flush", NULL);
	cr_expect_eq(number_of(r, "flushed"), 3);
	json_decref(r);
	cr_expect_eq(fake.nbroken, 0);
	site_logged(&site, "method=broken_tls.flush");
}

/* ---- many ---- */

/* A thousand changes at random, with a model of ours beside: never another order, never a loss. */
Test(policy_verbs, a_thousand_changes_leave_the_rules_a_model_has)
{
	static char model[64][8];
	unsigned n = 0, next = 1;
	uint32_t seed = 99;

	for (int i = 0; i < 1000; i++) {
		unsigned roll = (seed = seed * 1664525 + 1013904223) >> 16, at;
		char params[96];

		if (n == 0 || (roll % 4 == 0 && n < 60)) {
			at = (roll >> 2) % (n + 1);
			memmove(model[at + 1], model[at], (n - at) * sizeof(model[0]));
			snprintf(model[at], sizeof(model[at]), "r%u", next++ % 10000);
			n++;
			snprintf(params, sizeof(params), "{'from':'*','to':'a','id':'%s','at':%u}",
				model[at], at + 1);
			done("rule.add", params);
		} else if (roll % 4 == 1) {
			at = (roll >> 2) % n;
			snprintf(params, sizeof(params), "{'id':'%s'}", model[at]);
			done("rule.remove", params);
			memmove(model[at], model[at + 1], (n - at - 1) * sizeof(model[0]));
			n--;
		} else {
			char moved[8];
			unsigned to = (roll >> 8) % n;

			at = (roll >> 2) % n;
			memcpy(moved, model[at], sizeof(moved));
			snprintf(params, sizeof(params), "{'id':'%s','to':%u}", moved, to + 1);
			done("rule.move", params);
			memmove(model[at], model[at + 1], (n - at - 1) * sizeof(model[0]));
			memmove(model[to + 1], model[to], (n - 1 - to) * sizeof(model[0]));
			memcpy(model[to], moved, sizeof(moved));
		}
		cr_assert_eq(fake.snap->policy.nrules, n);
		for (unsigned k = 0; k < n; k++)
			cr_assert_str_eq(fake.snap->policy.rules[k].id, model[k], "step %d", i);
		site.now += PST_NS_PER_SEC;
		site_turn(&site);
	}
}
