/* SPDX-License-Identifier: BSD-3-Clause */
/* The encryption rules: an ordered list whose elements have ids that survive moves (R1). */
#include "edit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pst_policy.h>

#include "rpc.h"

int
pst_edit_rule_find(const json_t *rules, const char *id)
{
	const json_t *r;
	size_t i;

	json_array_foreach((json_t *)rules, i, r)
	{
		const char *s = json_string_value(json_object_get(r, "id"));

		if (s != NULL && strcmp(s, id) == 0)
			return (int)i;
	}
	return -1;
}

/* The rules of the next document, to be changed. */
static json_t *
rules_of(struct pst_edit *e)
{
	json_t *policy = pst_edit_object(e, e->next, "policy");

	return policy != NULL ? pst_edit_array(e, policy, "rules") : NULL;
}

/* The rule that the parameter names; -1: refused. */
static int
named(struct pst_edit *e, const json_t *rules, const char *parameter)
{
	const char *id = pst_edit_text(e, parameter);
	int i = id != NULL ? pst_edit_rule_find(rules, id) : -1;

	if (id != NULL && i < 0)
		pst_edit_refuse(e, PST_RPC_NOT_FOUND, "there is no rule \"%s\"", id);
	return i;
}

static void
tell(struct pst_edit *e, const char *id, size_t place)
{
	json_object_set_new(e->told, "id", json_string(id));
	json_object_set_new(e->told, "position", json_integer((json_int_t)place + 1));
}

/* ---- adding ---- */

/* The smallest positive number that is no rule's id. Among n rules one of 1..n+1 is free. */
static bool
free_id(const json_t *rules, char *buf, size_t cap)
{
	size_t n = json_array_size(rules), i;
	bool *taken = calloc(n + 2, sizeof(*taken));
	const json_t *r;

	if (taken == NULL)
		return false;
	json_array_foreach((json_t *)rules, i, r)
	{
		const char *s = json_string_value(json_object_get(r, "id"));
		char *end = NULL;
		unsigned long v = s != NULL && *s >= '1' && *s <= '9' ? strtoul(s, &end, 10) : 0;

		if (v >= 1 && v <= n && *end == '\0')
			taken[v] = true;
	}
	for (i = 1; taken[i];)
		i++;
	free(taken);
	snprintf(buf, cap, "%zu", i);
	return true;
}

/* The words of one side: absent, "" and "-" leave it to the default rule. */
static bool
side_unset(const char *word)
{
	return word == NULL || word[0] == '\0' || strcmp(word, "-") == 0;
}

static bool
set_sender(struct pst_edit *e, json_t *rule)
{
	enum pst_sender_policy v;
	const char *word = NULL;

	if (!pst_edit_optional(e, "sender", &word))
		return false;
	if (side_unset(word))
		return true;
	if (!pst_sender_parse(pst_span_str(word), &v)) {
		pst_edit_refuse(e, PST_RPC_PARAMS,
			"sender \"%s\" is none of required, none, optional, -", word);
		return false;
	}
	return json_object_set_new(rule, "sender", json_string(pst_sender_name(v))) == 0;
}

static bool
set_recipient(struct pst_edit *e, json_t *rule)
{
	enum pst_recipient_policy v;
	const char *word = NULL;

	if (!pst_edit_optional(e, "recipient", &word))
		return false;
	if (side_unset(word))
		return true;
	if (!pst_recipient_parse(pst_span_str(word), &v)) {
		pst_edit_refuse(e, PST_RPC_PARAMS,
			"recipient \"%s\" is none of required, none, preferred, allowed, -", word);
		return false;
	}
	return json_object_set_new(rule, "recipient", json_string(pst_recipient_name(v))) == 0;
}

/* The rule as its parameters say; NULL: refused. */
static json_t *
new_rule(struct pst_edit *e, const char *id)
{
	const char *from = pst_edit_text(e, "from"),
		   *to = from != NULL ? pst_edit_text(e, "to") : NULL;
	const json_t *enabled = json_object_get(e->params, "enabled");
	json_t *rule =
		to != NULL ? json_pack("{s:s, s:s, s:s}", "id", id, "from", from, "to", to) : NULL;

	if (rule != NULL && set_sender(e, rule) && set_recipient(e, rule)) {
		if (enabled == NULL || json_is_boolean(enabled)) {
			if (enabled != NULL)
				json_object_set(rule, "enabled", (json_t *)enabled);
			return rule;
		}
		pst_edit_refuse(e, PST_RPC_PARAMS, "enabled must be true or false");
	}
	if (e->code == 0)
		pst_edit_refuse(e, PST_RPC_INTERNAL, "out of memory");
	json_decref(rule);
	return NULL;
}

/* Where it shall stand among n others: "at", "before" or "after" one, else the end. */
static bool
place_of(struct pst_edit *e, const json_t *rules, size_t *place)
{
	const json_t *at = json_object_get(e->params, "at");
	bool before = json_object_get(e->params, "before") != NULL,
	     after = json_object_get(e->params, "after") != NULL;
	int i;

	*place = json_array_size(rules);
	if ((at != NULL) + before + after > 1) {
		pst_edit_refuse(e, PST_RPC_PARAMS, "only one of at, before and after");
		return false;
	}
	if (at != NULL) {
		json_int_t n = json_integer_value(at);

		if (!json_is_integer(at) || n < 1 || (size_t)n > *place + 1) {
			pst_edit_refuse(
				e, PST_RPC_PARAMS, "at must be a place, 1 to %zu", *place + 1);
			return false;
		}
		*place = (size_t)n - 1;
		return true;
	}
	if (!before && !after)
		return true;
	i = named(e, rules, before ? "before" : "after");
	*place = (size_t)i + (after ? 1 : 0);
	return i >= 0;
}

void
pst_edit_rule_add(struct pst_edit *e)
{
	json_t *rules = rules_of(e), *rule;
	const char *id = NULL;
	char made[24];
	size_t place;

	if (rules == NULL || !place_of(e, rules, &place) || !pst_edit_optional(e, "id", &id))
		return;
	if (id != NULL && pst_edit_rule_find(rules, id) >= 0) {
		pst_edit_refuse(e, PST_RPC_CONFLICT, "there is a rule \"%s\" already", id);
		return;
	}
	if (id == NULL && free_id(rules, made, sizeof(made)))
		id = made;
	if (id == NULL) {
		pst_edit_refuse(e, PST_RPC_INTERNAL, "out of memory");
		return;
	}
	rule = new_rule(e, id);
	if (rule == NULL)
		return;
	json_array_insert_new(rules, place, rule);
	tell(e, id, place);
}

/* ---- moving ---- */

/* Where a rule at `from` of n goes; false: refused. */
static bool
destination(struct pst_edit *e, size_t from, size_t n, size_t *to)
{
	const json_t *where = json_object_get(e->params, "to");
	const char *word = json_string_value(where);
	json_int_t v = json_integer_value(where);

	if (word != NULL && strcmp(word, "up") == 0)
		*to = from > 0 ? from - 1 : 0;
	else if (word != NULL && strcmp(word, "down") == 0)
		*to = from + 1 < n ? from + 1 : from;
	else if (word != NULL && strcmp(word, "first") == 0)
		*to = 0;
	else if (word != NULL && strcmp(word, "last") == 0)
		*to = n - 1;
	else if (json_is_integer(where) && v >= 1 && (size_t)v <= n)
		*to = (size_t)v - 1;
	else
		pst_edit_refuse(e, PST_RPC_PARAMS,
			"to must be up, down, first, last or a place, 1 to %zu", n);
	return e->code == 0;
}

void
pst_edit_rule_move(struct pst_edit *e)
{
	json_t *rules = rules_of(e), *rule;
	int from = rules != NULL ? named(e, rules, "id") : -1;
	size_t to = 0;

	if (from < 0 || !destination(e, (size_t)from, json_array_size(rules), &to))
		return;
	rule = json_incref(json_array_get(rules, (size_t)from));
	json_array_remove(rules, (size_t)from);
	json_array_insert(rules, to, rule);
	tell(e, json_string_value(json_object_get(rule, "id")), to);
	json_decref(rule);
}

/* ---- on, off, gone ---- */

static void
set_enabled(struct pst_edit *e, bool on)
{
	json_t *rules = rules_of(e), *rule;
	int i = rules != NULL ? named(e, rules, "id") : -1;

	if (i < 0)
		return;
	rule = json_copy(json_array_get(rules, (size_t)i));
	/* Absent is on: what is on already stays as it is written. */
	if (!on || json_object_get(rule, "enabled") != NULL)
		json_object_set_new(rule, "enabled", json_boolean(on));
	json_array_set_new(rules, (size_t)i, rule);
	tell(e, json_string_value(json_object_get(rule, "id")), (size_t)i);
}

void
pst_edit_rule_enable(struct pst_edit *e)
{
	set_enabled(e, true);
}

void
pst_edit_rule_disable(struct pst_edit *e)
{
	set_enabled(e, false);
}

void
pst_edit_rule_remove(struct pst_edit *e)
{
	json_t *rules = rules_of(e);
	int i = rules != NULL ? named(e, rules, "id") : -1;

	if (i < 0)
		return;
	tell(e, json_string_value(json_object_get(json_array_get(rules, (size_t)i), "id")),
		(size_t)i);
	json_array_remove(rules, (size_t)i);
}
