/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Edits as functions: a document and parameters in, a document or a refusal out. No plane,
 * no parser, no relay. Each row is also run twice: what it was given must be what it was.
 */
#include <edit.h>

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include <rpc.h>

struct row {
	pst_edit_fn *edit;
	const char *doc, *params; /* written with ' for " */
	const char *want;         /* the document that follows; NULL: refused */
	const char *told;         /* of the answer, or of the reason of a refusal */
	int code;
};

static json_t *
load(const char *text)
{
	char *copy = strdup(text);
	json_t *v;

	for (char *p = copy; *p != '\0'; p++)
		if (*p == '\'')
			*p = '"';
	v = json_loads(copy, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);
	cr_assert_not_null(v, "%s", copy);
	free(copy);
	return v;
}

static char *
text_of(const json_t *v)
{
	return v != NULL ? json_dumps(v, JSON_COMPACT) : strdup("(none)");
}

/* Order of members too: what an operator wrote stays where it was. */
static void
expect_text(const json_t *got, const json_t *want, size_t i)
{
	char *a = text_of(got), *b = text_of(want);

	cr_expect_str_eq(a, b, "row %zu: %s, not %s", i, a, b);
	free(a);
	free(b);
}

static void
judge(const struct row *r, size_t i)
{
	json_t *doc = load(r->doc), *params = load(r->params), *before = json_deep_copy(doc);
	struct pst_edit e = {.doc = doc, .params = params};
	json_t *want = r->want != NULL ? load(r->want) : NULL;

	pst_edit_run(&e, r->edit);
	cr_expect_eq(e.code, r->code, "row %zu: code %d", i, e.code);
	cr_expect_eq(e.next == NULL, r->want == NULL, "row %zu", i);
	expect_text(e.next, want, i);
	if (r->want != NULL && r->told != NULL) {
		json_t *told = load(r->told);
		expect_text(e.told, told, i);
		json_decref(told);
	} else if (r->told != NULL) {
		const char *reason = json_string_value(json_object_get(e.data, "reason"));
		cr_expect(reason != NULL && strstr(reason, r->told) != NULL, "row %zu: %s", i,
			reason);
	}
	expect_text(doc, before, i);
	pst_edit_fini(&e);
	json_decref(doc);
	json_decref(params);
	json_decref(before);
	json_decref(want);
}

static void
judge_all(const struct row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++)
		judge(&rows[i], i);
}

/* ---- rules ---- */

#define A           "{'id':'1','from':'*','to':'a'}"
#define B           "{'id':'b','from':'*','to':'b','enabled':false}"
#define C           "{'id':'3','from':'*','to':'c','enabled':true}"
#define RULES(list) "{'version':1,'policy':{'rules':[" list "],'map':{}},'routes':[]}"
#define NEW(id)     "{'id':'" id "','from':'*','to':'n','sender':'required'}"
#define ADD(more)   "{'from':'*','to':'n','sender':'required','recipient':'-'" more "}"
#define ABC         RULES(A "," B "," C)

Test(edit, rule_add_takes_its_place_and_an_id)
{
	static const struct row rows[] = {
		{pst_edit_rule_add, "{}", ADD(""), "{'policy':{'rules':[" NEW("1") "]}}",
			"{'id':'1','position':1}", 0},
		{pst_edit_rule_add, ABC, ADD(""), RULES(A "," B "," C "," NEW("2")),
			"{'id':'2','position':4}", 0},
		{pst_edit_rule_add, ABC, ADD(",'id':'x'"), RULES(A "," B "," C "," NEW("x")),
			"{'id':'x','position':4}", 0},
		{pst_edit_rule_add, ABC, ADD(",'at':1"), RULES(NEW("2") "," A "," B "," C), NULL,
			0},
		{pst_edit_rule_add, ABC, ADD(",'at':4"), RULES(A "," B "," C "," NEW("2")), NULL,
			0},
		{pst_edit_rule_add, ABC, ADD(",'before':'b'"), RULES(A "," NEW("2") "," B "," C),
			"{'id':'2','position':2}", 0},
		{pst_edit_rule_add, ABC, ADD(",'after':'b'"), RULES(A "," B "," NEW("2") "," C),
			NULL, 0},
		{pst_edit_rule_add, ABC, ADD(",'after':'3'"), RULES(A "," B "," C "," NEW("2")),
			NULL, 0},
		{pst_edit_rule_add, RULES(""), ADD(",'enabled':false"),
			RULES("{'id':'1','from':'*','to':'n','sender':'required','enabled':false}"),
			NULL, 0},
	};

	judge_all(rows, PST_COUNT(rows));
}

Test(edit, rule_add_refuses_what_has_no_place)
{
	static const struct row rows[] = {
		{pst_edit_rule_add, ABC, ADD(",'at':0"), NULL, "1 to 4", PST_RPC_PARAMS},
		{pst_edit_rule_add, ABC, ADD(",'at':5"), NULL, "1 to 4", PST_RPC_PARAMS},
		{pst_edit_rule_add, ABC, ADD(",'at':-1"), NULL, "1 to 4", PST_RPC_PARAMS},
		{pst_edit_rule_add, ABC, ADD(",'at':'1'"), NULL, "1 to 4", PST_RPC_PARAMS},
		{pst_edit_rule_add, ABC, ADD(",'at':1,'before':'b'"), NULL, "only one",
			PST_RPC_PARAMS},
		{pst_edit_rule_add, ABC, ADD(",'before':'x'"), NULL, "no rule \"x\"",
			PST_RPC_NOT_FOUND},
		{pst_edit_rule_add, ABC, ADD(",'after':7"), NULL, "a string", PST_RPC_PARAMS},
		{pst_edit_rule_add, ABC, ADD(",'id':'b'"), NULL, "already", PST_RPC_CONFLICT},
		{pst_edit_rule_add, ABC, ADD(",'id':1"), NULL, "id must be", PST_RPC_PARAMS},
		{pst_edit_rule_add, ABC, ADD(",'enabled':1"), NULL, "true or false",
			PST_RPC_PARAMS},
		{pst_edit_rule_add, ABC, "{'to':'a'}", NULL, "from must be", PST_RPC_PARAMS},
		{pst_edit_rule_add, ABC, "{'from':'','to':'a'}", NULL, "from must be",
			PST_RPC_PARAMS},
		{pst_edit_rule_add, ABC, "{'from':'*'}", NULL, "to must be", PST_RPC_PARAMS},
		{pst_edit_rule_add, ABC, "{'from':'*','to':'n','sender':'maybe'}", NULL,
			"sender \"maybe\"", PST_RPC_PARAMS},
		{pst_edit_rule_add, ABC, "{'from':'*','to':'n','sender':'preferred'}", NULL,
			"sender \"preferred\"", PST_RPC_PARAMS},
		{pst_edit_rule_add, ABC, "{'from':'*','to':'n','recipient':'optional'}", NULL,
			"recipient \"optional\"", PST_RPC_PARAMS},
		{pst_edit_rule_add, ABC, "{'from':'*','to':'n','sender':true}", NULL,
			"sender must be", PST_RPC_PARAMS},
	};

	judge_all(rows, PST_COUNT(rows));
}

/* R4: both spellings are understood, the canonical one is kept. */
Test(edit, rule_add_keeps_the_canonical_words)
{
	static const char *const words[][3] = {{"sender", "Optionally Encrypted", "optional"},
		{"sender", "ALWAYS ENCRYPTED", "required"}, {"sender", "Required", "required"},
		{"sender", "none", "none"}, {"recipient", "Preferred", "preferred"},
		{"recipient", "ALLOWED", "allowed"}, {"recipient", "Required", "required"},
		{"recipient", "None", "none"}};

	for (size_t i = 0; i < PST_COUNT(words); i++) {
		char params[128], want[160];
		struct row r = {pst_edit_rule_add, "{}", params, want, NULL, 0};

		snprintf(params, sizeof(params), "{'from':'*','to':'n','%s':'%s'}", words[i][0],
			words[i][1]);
		snprintf(want, sizeof(want),
			"{'policy':{'rules':[{'id':'1','from':'*','to':'n','%s':'%s'}]}}",
			words[i][0], words[i][2]);
		judge(&r, i);
	}
}

Test(edit, rule_move_goes_where_it_is_told)
{
	static const struct row rows[] = {
		{pst_edit_rule_move, ABC, "{'id':'b','to':'up'}", RULES(B "," A "," C),
			"{'id':'b','position':1}", 0},
		{pst_edit_rule_move, ABC, "{'id':'b','to':'down'}", RULES(A "," C "," B),
			"{'id':'b','position':3}", 0},
		{pst_edit_rule_move, ABC, "{'id':'3','to':'first'}", RULES(C "," A "," B), NULL, 0},
		{pst_edit_rule_move, ABC, "{'id':'1','to':'last'}", RULES(B "," C "," A), NULL, 0},
		{pst_edit_rule_move, ABC, "{'id':'1','to':2}", RULES(B "," A "," C), NULL, 0},
		{pst_edit_rule_move, ABC, "{'id':'3','to':2}", RULES(A "," C "," B), NULL, 0},
		{pst_edit_rule_move, ABC, "{'id':'1','to':'up'}", ABC, "{'id':'1','position':1}",
			0},
		{pst_edit_rule_move, ABC, "{'id':'3','to':'down'}", ABC, NULL, 0},
		{pst_edit_rule_move, ABC, "{'id':'3','to':3}", ABC, NULL, 0},
		{pst_edit_rule_move, ABC, "{'id':'3','to':4}", NULL, "1 to 3", PST_RPC_PARAMS},
		{pst_edit_rule_move, ABC, "{'id':'3','to':0}", NULL, "1 to 3", PST_RPC_PARAMS},
		{pst_edit_rule_move, ABC, "{'id':'3','to':'sideways'}", NULL, "up, down",
			PST_RPC_PARAMS},
		{pst_edit_rule_move, ABC, "{'id':'3'}", NULL, "up, down", PST_RPC_PARAMS},
		{pst_edit_rule_move, ABC, "{'id':'2','to':'up'}", NULL, "no rule \"2\"",
			PST_RPC_NOT_FOUND},
		{pst_edit_rule_move, "{}", "{'id':'2','to':'up'}", NULL, "no rule",
			PST_RPC_NOT_FOUND},
		{pst_edit_rule_move, ABC, "{'to':'up'}", NULL, "id must be", PST_RPC_PARAMS},
	};

	judge_all(rows, PST_COUNT(rows));
}

Test(edit, rules_go_on_off_and_away)
{
	static const struct row rows[] = {
		{pst_edit_rule_enable, ABC, "{'id':'b'}",
			RULES(A ",{'id':'b','from':'*','to':'b','enabled':true}," C), NULL, 0},
		{pst_edit_rule_enable, ABC, "{'id':'1'}", ABC, "{'id':'1','position':1}", 0},
		{pst_edit_rule_enable, ABC, "{'id':'3'}", ABC, NULL, 0},
		{pst_edit_rule_disable, ABC, "{'id':'1'}",
			RULES("{'id':'1','from':'*','to':'a','enabled':false}," B "," C), NULL, 0},
		{pst_edit_rule_disable, ABC, "{'id':'b'}", ABC, NULL, 0},
		{pst_edit_rule_disable, ABC, "{'id':'B'}", NULL, "no rule", PST_RPC_NOT_FOUND},
		{pst_edit_rule_remove, ABC, "{'id':'b'}", RULES(A "," C), "{'id':'b','position':2}",
			0},
		{pst_edit_rule_remove, RULES(A), "{'id':'1'}", RULES(""), NULL, 0},
		{pst_edit_rule_remove, ABC, "{'id':'x'}", NULL, "no rule \"x\"", PST_RPC_NOT_FOUND},
	};

	judge_all(rows, PST_COUNT(rows));
}

/* Among many rules in any order the id that is made is new, and the smallest number. */
Test(edit, the_id_that_is_made_is_the_smallest_free_number)
{
	uint32_t seed = 7;

	for (int round = 0; round < 200; round++) {
		json_t *rules = json_array(), *doc, *params = load(ADD(""));
		bool taken[40] = {false};
		unsigned n = seed % 30, want = 1;
		struct pst_edit e = {.params = params};
		char id[16];

		for (unsigned i = 0; i < n; i++) {
			unsigned v = (seed = seed * 1664525 + 1013904223) >> 27;
			snprintf(id, sizeof(id), seed & 64 ? "%u" : "0%u", v);
			taken[v] |= (seed & 64) != 0;
			json_array_append_new(rules, json_pack("{s:s}", "id", id));
		}
		seed = seed * 1664525 + 1013904223;
		while (taken[want])
			want++;
		snprintf(id, sizeof(id), "%u", want);
		e.doc = doc = json_pack("{s:{s:o}}", "policy", "rules", rules);
		pst_edit_run(&e, pst_edit_rule_add);
		cr_assert_eq(e.code, 0);
		cr_expect_str_eq(json_string_value(json_object_get(e.told, "id")), id);
		pst_edit_fini(&e);
		json_decref(doc);
		json_decref(params);
	}
}

/* What is not touched is the same object, so that a change of one among many costs little. */
Test(edit, what_is_not_touched_is_shared)
{
	json_t *doc = load(ABC), *params = load("{'id':'b'}");
	struct pst_edit e = {.doc = doc, .params = params};
	const json_t *old = json_object_get(json_object_get(doc, "policy"), "rules"), *new;

	pst_edit_run(&e, pst_edit_rule_enable);
	new = json_object_get(json_object_get(e.next, "policy"), "rules");
	cr_expect(json_array_get(old, 0) == json_array_get(new, 0));
	cr_expect(json_array_get(old, 1) != json_array_get(new, 1));
	cr_expect(json_object_get(doc, "routes") == json_object_get(e.next, "routes"));
	pst_edit_fini(&e);
	json_decref(doc);
	json_decref(params);
}

/* ---- profiles and actions ---- */

#define OBJECTS                                                                                    \
	"{'tls_profiles':{'p':{'min':'1.2','sender':{'pfs':'none','x':1}},'q':{}},"                \
	"'actions':{'a':{'starttls_profile':'p'},'b':{'implicit_profile':'p'},'c':{}},"            \
	"'listeners':[{'name':'l','action':'a'},{'name':'m/~','action':'a'}]}"
#define REST                                                                                       \
	"'actions':{'a':{'starttls_profile':'p'},'b':{'implicit_profile':'p'},'c':{}},"            \
	"'listeners':[{'name':'l','action':'a'},{'name':'m/~','action':'a'}]}"

Test(edit, set_merges_keys_and_null_takes_one_away)
{
	static const struct row rows[] = {
		{pst_edit_profile_set, OBJECTS,
			"{'name':'p','set':{'max':'1.3','sender':{'pfs':'required'}}}",
			"{'tls_profiles':{'p':{'min':'1.2','sender':{'pfs':'required','x':1},"
			"'max':'1.3'},'q':{}}," REST,
			"{'name':'p'}", 0},
		{pst_edit_profile_set, OBJECTS, "{'name':'p','set':{'min':null,'nothing':null}}",
			"{'tls_profiles':{'p':{'sender':{'pfs':'none','x':1}},'q':{}}," REST, NULL,
			0},
		{pst_edit_profile_set, OBJECTS, "{'name':'p','set':{'sender':null}}",
			"{'tls_profiles':{'p':{'min':'1.2'},'q':{}}," REST, NULL, 0},
		{pst_edit_profile_set, OBJECTS, "{'name':'p','set':{}}", OBJECTS, NULL, 0},
		{pst_edit_profile_set, OBJECTS, "{'name':'q','set':{'groups':{'a':{'b':null}}}}",
			"{'tls_profiles':{'p':{'min':'1.2','sender':{'pfs':'none','x':1}},"
			"'q':{'groups':{'a':{}}}}," REST,
			NULL, 0},
		{pst_edit_profile_set, OBJECTS, "{'name':'p'}", NULL, "set must be",
			PST_RPC_PARAMS},
		{pst_edit_profile_set, OBJECTS, "{'name':'p','set':[]}", NULL, "set must be",
			PST_RPC_PARAMS},
		{pst_edit_profile_set, OBJECTS, "{'name':'r','set':{}}", NULL, "no profile \"r\"",
			PST_RPC_NOT_FOUND},
		{pst_edit_action_set, OBJECTS, "{'name':'r','set':{}}", NULL, "no action \"r\"",
			PST_RPC_NOT_FOUND},
		{pst_edit_action_set, OBJECTS, "{'set':{}}", NULL, "name must be", PST_RPC_PARAMS},
	};

	judge_all(rows, PST_COUNT(rows));
}

/* R8: what is predefined is cloned, not changed. */
Test(edit, the_predefined_ask_to_be_cloned)
{
	static const struct row rows[] = {
		{pst_edit_profile_set, OBJECTS, "{'name':'standard','set':{}}", NULL,
			"clone_required: the profile \"standard\" is predefined; `profile clone "
			"standard NAME`",
			PST_RPC_CLONE},
		{pst_edit_profile_remove, OBJECTS, "{'name':'standard'}", NULL, "clone_required",
			PST_RPC_CLONE},
		{pst_edit_action_set, OBJECTS, "{'name':'standard','set':{'inspect':false}}", NULL,
			"clone_required", PST_RPC_CLONE},
		{pst_edit_action_set, OBJECTS, "{'name':'plain','set':{}}", NULL, "clone_required",
			PST_RPC_CLONE},
		{pst_edit_action_remove, "{}", "{'name':'plain'}", NULL, "clone_required",
			PST_RPC_CLONE},
		{pst_edit_action_clone, OBJECTS, "{'name':'a','to':'standard'}", NULL, "already",
			PST_RPC_CONFLICT},
	};

	judge_all(rows, PST_COUNT(rows));
}

Test(edit, clone_copies_what_is_there_and_what_is_predefined)
{
	static const struct row rows[] = {
		{pst_edit_action_clone, "{'actions':{'c':{'inspect':false}}}",
			"{'name':'c','to':'d'}",
			"{'actions':{'c':{'inspect':false},'d':{'inspect':false}}}", "{'name':'d'}",
			0},
		{pst_edit_action_clone, "{'actions':{'c':{'inspect':false}}}",
			"{'name':'c','to':'d','set':{'inspect':null,'x':1}}",
			"{'actions':{'c':{'inspect':false},'d':{'x':1}}}", NULL, 0},
		{pst_edit_action_clone, OBJECTS, "{'name':'a','to':'b'}", NULL, "already",
			PST_RPC_CONFLICT},
		{pst_edit_action_clone, OBJECTS, "{'name':'a','to':'a'}", NULL, "already",
			PST_RPC_CONFLICT},
		{pst_edit_action_clone, OBJECTS, "{'name':'x','to':'y'}", NULL, "no action \"x\"",
			PST_RPC_NOT_FOUND},
		{pst_edit_action_clone, OBJECTS, "{'name':'a'}", NULL, "to must be",
			PST_RPC_PARAMS},
		{pst_edit_action_clone, OBJECTS, "{'name':'a','to':''}", NULL, "to must be",
			PST_RPC_PARAMS},
		{pst_edit_action_clone, OBJECTS, "{'name':'a','to':'z','set':1}", NULL,
			"set must be", PST_RPC_PARAMS},
	};

	judge_all(rows, PST_COUNT(rows));
}

Test(edit, a_clone_of_a_predefined_one_stands_in_the_document)
{
	static const char *const sections[] = {"tls_profiles", "actions"};
	pst_edit_fn *const edits[] = {pst_edit_profile_clone, pst_edit_action_clone};

	for (size_t i = 0; i < PST_COUNT(sections); i++) {
		json_t *doc = json_object(), *params = load("{'name':'standard','to':'mine'}"),
		       *all = pst_edit_predefined(sections[i]);
		struct pst_edit e = {.doc = doc, .params = params};

		pst_edit_run(&e, edits[i]);
		cr_assert_eq(e.code, 0, "%s", sections[i]);
		cr_expect(json_equal(json_object_get(json_object_get(e.next, sections[i]), "mine"),
			json_object_get(all, "standard")));
		cr_expect_eq(json_object_size(json_object_get(e.next, sections[i])), 1);
		pst_edit_fini(&e);
		json_decref(all);
		json_decref(doc);
		json_decref(params);
	}
}

Test(edit, remove_takes_only_what_nothing_uses)
{
	static const struct row rows[] = {
		{pst_edit_profile_remove, OBJECTS, "{'name':'q'}",
			"{'tls_profiles':{'p':{'min':'1.2','sender':{'pfs':'none','x':1}}}," REST,
			"{'name':'q'}", 0},
		{pst_edit_profile_remove, OBJECTS, "{'name':'p'}", NULL,
			"used by /actions/a/starttls_profile and others", PST_RPC_CONFLICT},
		{pst_edit_action_remove, OBJECTS, "{'name':'a'}", NULL,
			"used by /listeners/0/action and others", PST_RPC_CONFLICT},
		{pst_edit_action_remove, "{'actions':{'c':{}}}", "{'name':'c'}", "{'actions':{}}",
			NULL, 0},
		{pst_edit_action_remove, OBJECTS, "{'name':'x'}", NULL, "no action",
			PST_RPC_NOT_FOUND},
	};

	judge_all(rows, PST_COUNT(rows));
}

/* ---- lists ---- */

#define LISTS "{'policy':{'starttls_never':['192.0.2.7','2001:db8::1','198.51.100.0/24','Mx.Old']}}"

Test(edit, a_list_has_an_entry_once_however_it_is_written)
{
	static const struct row rows[] = {
		{pst_edit_list_add, LISTS, "{'list':'never','entry':'mx.old'}", LISTS, NULL, 0},
		{pst_edit_list_add, LISTS, "{'list':'never','entry':'2001:DB8:0::1'}", LISTS, NULL,
			0},
		{pst_edit_list_add, LISTS, "{'list':'never','entry':'198.51.100.9/24'}", LISTS,
			NULL, 0},
		{pst_edit_list_add, "{}", "{'list':'required','entry':'*.d'}",
			"{'policy':{'starttls_required':['*.d']}}", "{'entry':'*.d'}", 0},
		{pst_edit_list_add, "{'policy':{'starttls_never':['198.51.100.0/24']}}",
			"{'list':'never','entry':'198.51.100.0/25'}",
			"{'policy':{'starttls_never':['198.51.100.0/24','198.51.100.0/25']}}", NULL,
			0},
		{pst_edit_list_remove, LISTS, "{'list':'never','entry':'2001:db8:0:0::1'}",
			"{'policy':{'starttls_never':['192.0.2.7','198.51.100.0/24','Mx.Old']}}",
			NULL, 0},
		{pst_edit_list_remove, LISTS, "{'list':'never','entry':'192.0.2.8'}", NULL,
			"\"192.0.2.8\" is not in", PST_RPC_NOT_FOUND},
		{pst_edit_list_remove, LISTS, "{'list':'required','entry':'192.0.2.7'}", NULL,
			"is not in", PST_RPC_NOT_FOUND},
		{pst_edit_list_add, LISTS, "{'list':'sometimes','entry':'a'}", NULL,
			"never or required", PST_RPC_PARAMS},
		{pst_edit_list_add, LISTS, "{'list':'never'}", NULL, "entry must be",
			PST_RPC_PARAMS},
		{pst_edit_list_add, LISTS, "{'entry':'a'}", NULL, "list must be", PST_RPC_PARAMS},
	};

	judge_all(rows, PST_COUNT(rows));
}
