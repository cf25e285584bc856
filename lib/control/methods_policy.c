/* SPDX-License-Identifier: BSD-3-Clause */
/* The methods that show what runs of policy: rules, profiles, actions, lists, map. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "edit.h"
#include "methods.h"

/* ---- rules ---- */

/* Warnings about rules, by place. */
struct lint {
	unsigned n;
	char **text;
};

static void
note_warning(void *arg, const char *pointer, const char *text)
{
	static const char section[] = "/policy/rules/";
	struct lint *l = arg;
	unsigned long i;
	char *end;

	if (strncmp(pointer, section, strlen(section)) != 0)
		return;
	i = strtoul(pointer + strlen(section), &end, 10);
	if (end != pointer + strlen(section) && i < l->n && l->text[i] == NULL)
		l->text[i] = strdup(text);
}

static json_t *
rule_row(const struct pst_config_rule *r, unsigned place, const char *warning)
{
	const struct pst_policy_rule rule = {.id = r->id,
		.from = r->from,
		.to = r->to,
		.sender = r->sender,
		.recipient = r->recipient,
		.enabled = r->enabled};
	char line[PST_RULE_MAX + 1] = "";
	const char *why = NULL;
	int bytes = pst_rule_format(&rule, line, sizeof(line), &why);
	json_t *row = json_pack("{s:i, s:s, s:b, s:s, s:s, s:s?, s:s?, s:s, s:i}", "position",
		(int)place + 1, "id", r->id, "enabled", r->enabled, "from", r->from, "to", r->to,
		"sender", r->sender != PST_SENDER_UNSET ? pst_sender_name(r->sender) : NULL,
		"recipient",
		r->recipient != PST_RECIPIENT_UNSET ? pst_recipient_name(r->recipient) : NULL,
		"line", line, "bytes", bytes);

	if (row != NULL && warning != NULL)
		json_object_set_new(row, "warning", json_string(warning));
	return row;
}

void
pst_method_rules(struct pst_rpc_call *c)
{
	const struct pst_config *cfg = c->plane->running;
	const struct pst_config_policy *p = &cfg->policy;
	struct lint lint = {.n = p->nrules, .text = calloc(p->nrules + 1, sizeof(char *))};
	json_t *list = json_array();

	if (lint.text == NULL)
		lint.n = 0;
	(void)pst_relay_lint(cfg, note_warning, &lint);
	for (unsigned i = 0; i < p->nrules; i++)
		json_array_append_new(
			list, rule_row(&p->rules[i], i, i < lint.n ? lint.text[i] : NULL));
	c->result = json_pack("{s:I, s:o, s:{s:s, s:s}}", "generation",
		(json_int_t)pst_plane_generation(c->plane), "rules", list, "default_rule", "sender",
		pst_sender_name(p->default_sender), "recipient",
		pst_recipient_name(p->default_recipient));
	for (unsigned i = 0; i < lint.n; i++)
		free(lint.text[i]);
	free(lint.text);
}

/* ---- profiles and actions ---- */

static const char *
version_name(unsigned v)
{
	static const char *const names[] = {"1.0", "1.1", "1.2", "1.3"};

	return v >= 0x0301 && v <= 0x0304 ? names[v - 0x0301] : "?";
}

static const char *
pfs_name(enum pst_tls_pfs pfs)
{
	static const char *const names[] = {[PST_TLS_PFS_ALLOWED] = "allowed",
		[PST_TLS_PFS_NONE] = "none",
		[PST_TLS_PFS_REQUIRED] = "required"};

	return names[pfs];
}

static const char *
profile_name(const struct pst_config *cfg, int index)
{
	return index >= 0 && (unsigned)index < cfg->nprofiles ? cfg->profiles[index].name : NULL;
}

/* What the configuration says of it: in the document, or predefined. A new reference. */
static json_t *
value_of(struct pst_rpc_call *c, const char *section, const char *name)
{
	json_t *value = json_incref(
		json_object_get(json_object_get(pst_plane_document(c->plane), section), name));
	json_t *predefined = pst_edit_predefined(section);

	if (value == NULL)
		value = json_incref(json_object_get(predefined, name));
	json_decref(predefined);
	return value != NULL ? value : json_object();
}

static json_t *
profile_actions(const struct pst_config *cfg, int index)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < cfg->nactions; i++)
		if (cfg->actions[i].starttls_profile == index ||
			cfg->actions[i].implicit_profile == index)
			json_array_append_new(list, json_string(cfg->actions[i].name));
	return list;
}

static json_t *
profile_row(const struct pst_config *cfg, unsigned i)
{
	const struct pst_config_tls_profile *p = &cfg->profiles[i];

	return json_pack("{s:s, s:b, s:s, s:s, s:s, s:s, s:o}", "name", p->name, "predefined",
		p->predefined, "min", version_name(p->min_version), "max",
		version_name(p->max_version), "sender_pfs", pfs_name(p->sender_pfs),
		"recipient_pfs", pfs_name(p->recipient_pfs), "actions",
		profile_actions(cfg, (int)i));
}

void
pst_method_profiles(struct pst_rpc_call *c)
{
	const struct pst_config *cfg = c->plane->running;
	json_t *list = json_array();

	for (unsigned i = 0; i < cfg->nprofiles; i++)
		json_array_append_new(list, profile_row(cfg, i));
	c->result = json_pack("{s:o}", "profiles", list);
}

void
pst_method_profile(struct pst_rpc_call *c)
{
	const struct pst_config *cfg = c->plane->running;
	const char *name = "";
	unsigned i = 0;

	if (!pst_param_text(c, "name", 64, &name))
		return;
	while (i < cfg->nprofiles && strcmp(cfg->profiles[i].name, name) != 0)
		i++;
	if (i == cfg->nprofiles) {
		pst_call_fail(c, PST_RPC_NOT_FOUND, "there is no profile \"%s\"", name);
		return;
	}
	c->result = profile_row(cfg, i);
	json_object_set_new(c->result, "value", value_of(c, "tls_profiles", name));
}

/* A listener may be two ports of one name: one row. What the listener's own words mean for the
 * action: with TLS support disabled its TLS settings count for STARTTLS alone (W3). */
static void
listener_row(json_t *rows, const struct pst_config_listener *l)
{
	static const char *const support[] = {[PST_TLS_SUPPORT_DISABLED] = "disabled",
		[PST_TLS_SUPPORT_ENABLED] = "enabled",
		[PST_TLS_SUPPORT_REQUIRED] = "required"};
	static const char *const modes[] = {"none", "starttls", "implicit"};
	json_t *row = json_object_get(rows, l->name);

	if (row == NULL) {
		row = json_pack("{s:s, s:[]}", "name", l->name, "ports");
		json_object_set_new(rows, l->name, row);
	}
	json_array_append_new(json_object_get(row, "ports"), json_integer(l->at.port));
	if (l->tls_support != PST_TLS_SUPPORT_UNSET)
		json_object_set_new(row, "tls_support", json_string(support[l->tls_support]));
	else
		json_object_set_new(row, "tls", json_string(modes[l->tls]));
	json_object_set_new(row, "disabled",
		json_boolean(l->tls_support == PST_TLS_SUPPORT_DISABLED ||
			     l->tls == PST_CONFIG_TLS_NONE));
}

static json_t *
action_listeners(const struct pst_config *cfg, unsigned action)
{
	json_t *rows = json_object(), *list = json_array(), *row;
	const char *name;

	for (unsigned i = 0; i < cfg->nlisteners; i++)
		if (cfg->listeners[i].action == action)
			listener_row(rows, &cfg->listeners[i]);
	json_object_foreach(rows, name, row) json_array_append(list, row);
	json_decref(rows);
	return list;
}

static json_t *
action_row(const struct pst_config *cfg, unsigned i)
{
	static const char *const words[] = {
		[PST_TLS_ACTION_INSPECT] = "inspect", [PST_TLS_ACTION_DROP] = "drop"};
	const struct pst_config_action *a = &cfg->actions[i];

	return json_pack("{s:s, s:b, s:b, s:s, s:s?, s:s?, s:o}", "name", a->name, "predefined",
		a->predefined, "inspect", a->inspect, "tls_action", words[a->tls_action],
		"starttls_profile", profile_name(cfg, a->starttls_profile), "implicit_profile",
		profile_name(cfg, a->implicit_profile), "listeners", action_listeners(cfg, i));
}

void
pst_method_actions(struct pst_rpc_call *c)
{
	const struct pst_config *cfg = c->plane->running;
	json_t *list = json_array();

	for (unsigned i = 0; i < cfg->nactions; i++)
		json_array_append_new(list, action_row(cfg, i));
	c->result = json_pack("{s:o}", "actions", list);
}

void
pst_method_action(struct pst_rpc_call *c)
{
	const struct pst_config *cfg = c->plane->running;
	const char *name = "";
	unsigned i = 0;

	if (!pst_param_text(c, "name", 64, &name))
		return;
	while (i < cfg->nactions && strcmp(cfg->actions[i].name, name) != 0)
		i++;
	if (i == cfg->nactions) {
		pst_call_fail(c, PST_RPC_NOT_FOUND, "there is no action \"%s\"", name);
		return;
	}
	c->result = action_row(cfg, i);
	json_object_set_new(c->result, "value", value_of(c, "actions", name));
}

/* ---- lists and map ---- */

static const json_t *
policy_member(struct pst_rpc_call *c, const char *key)
{
	return json_object_get(json_object_get(pst_plane_document(c->plane), "policy"), key);
}

static json_t *
list_or_none(const json_t *list)
{
	return list != NULL ? json_incref((json_t *)list) : json_array();
}

void
pst_method_lists(struct pst_rpc_call *c)
{
	c->result =
		json_pack("{s:o, s:o}", "never", list_or_none(policy_member(c, "starttls_never")),
			"required", list_or_none(policy_member(c, "starttls_required")));
}

void
pst_method_map(struct pst_rpc_call *c)
{
	const char *destination = "", *key = NULL;
	const json_t *entry;
	char *line;

	if (!pst_param_text(c, "destination", 300, &destination))
		return;
	entry = destination[0] != '\0'
			? pst_edit_map_find(policy_member(c, "map"), destination, &key)
			: NULL;
	if (entry == NULL) {
		pst_call_fail(
			c, PST_RPC_NOT_FOUND, "the map says nothing about \"%s\"", destination);
		return;
	}
	line = pst_edit_map_line(entry);
	c->result = json_pack("{s:s, s:s, s:s?, s:O}", "destination", destination, "key", key,
		"line", line, "entry", entry);
	free(line);
}
