/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What can be asked over the control socket: a method is a row in the table at the
 * end. Those that change something are written to the log with who asked (rpc.c).
 */
#include "methods.h"

#include "edit.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

const char *const pst_level_names[] = {"error", "warn", "info", "debug", NULL};

/* ---- parameters ---- */

void
pst_call_fail(struct pst_rpc_call *c, int code, const char *fmt, ...)
{
	va_list ap;

	c->code = code;
	json_decref(c->data);
	va_start(ap, fmt);
	c->data = pst_rpc_reason(fmt, ap);
	va_end(ap);
}

static bool
wrong(struct pst_rpc_call *c, const char *name, const char *what)
{
	pst_call_fail(c, PST_RPC_PARAMS, "%s must be %s", name, what);
	if (c->data != NULL)
		json_object_set_new(c->data, "parameter", json_string(name));
	return false;
}

bool
pst_param_uint(struct pst_rpc_call *c, const char *name, uint64_t min, uint64_t max, uint64_t *v)
{
	const json_t *p = json_object_get(c->params, name);
	json_int_t n = json_integer_value(p);
	char what[80];

	if (p == NULL)
		return true;
	if (json_is_integer(p) && n >= 0 && (uint64_t)n >= min && (uint64_t)n <= max) {
		*v = (uint64_t)n;
		return true;
	}
	snprintf(what, sizeof(what), "a whole number, %llu to %llu", (unsigned long long)min,
		(unsigned long long)max);
	return wrong(c, name, what);
}

bool
pst_param_text(struct pst_rpc_call *c, const char *name, size_t longest, const char **v)
{
	const json_t *p = json_object_get(c->params, name);
	char what[64];

	if (p == NULL)
		return true;
	if (json_is_string(p) && json_string_length(p) <= longest) {
		*v = json_string_value(p);
		return true;
	}
	snprintf(what, sizeof(what), "a string of at most %zu bytes", longest);
	return wrong(c, name, what);
}

bool
pst_param_flag(struct pst_rpc_call *c, const char *name, bool *v)
{
	const json_t *p = json_object_get(c->params, name);

	if (p != NULL && !json_is_boolean(p))
		return wrong(c, name, "true or false");
	if (p != NULL)
		*v = json_is_true(p);
	return true;
}

/* ---- the table ---- */

static void
help(struct pst_rpc_call *c)
{
	c->result = json_object();
	for (const struct pst_rpc_method *m = pst_rpc_methods; m->name != NULL; m++)
		json_object_set_new(c->result, m->name, json_string(m->help));
}

#define PARAMS(...)                                                                                \
	.params = (const char *const[])                                                            \
	{                                                                                          \
		__VA_ARGS__, NULL                                                                  \
	}
#define CHANGES .changes = true
/* What every edit takes besides its own parameters. */
#define EDIT(fn, ...) PARAMS(__VA_ARGS__, "if_generation", "note"), CHANGES, .edit = (fn)

const struct pst_rpc_method pst_rpc_methods[] = {
	{"status", pst_method_status, "what runs: versions, ports, listeners, workers, sessions"},
	{"stats", pst_method_stats, "every counter, in total and by worker"},
	{"crypto.show", pst_method_crypto,
		"the crypto engine: back-ends, who does which operations, pools"},
	{"config.show", pst_method_show, "the running configuration"},
	{"config.check", pst_method_check, "judges a configuration; nothing changes",
		PARAMS("config", "text")},
	{"config.push", pst_method_push, "runs a whole configuration, or changes nothing",
		PARAMS("config", "text", "if_generation", "note"), CHANGES},
	{"config.history", pst_method_history, "the configurations that ran: when, who, what"},
	{"config.diff", pst_method_diff, "what differs between two generations",
		PARAMS("from", "to")},
	{"config.rollback", pst_method_rollback,
		"runs an earlier configuration; by default that before the last change",
		PARAMS("to", "if_generation"), CHANGES},
	{"config.save", pst_method_save, "writes the running configuration to its file",
		PARAMS("if_generation"), CHANGES},
	{"config.reload", pst_method_reload, "reads the file, and the files it names, again",
		PARAMS("if_generation"), CHANGES},
	{"rule.list", pst_method_rules, "the encryption rules in order, with their bytes"},
	{"rule.add", pst_method_edit, "a new rule; sides left out are the default rule's",
		EDIT(pst_edit_rule_add, "id", "at", "before", "after", "from", "to", "sender",
			"recipient", "enabled")},
	{"rule.move", pst_method_edit, "puts a rule up, down, first, last or at a place",
		EDIT(pst_edit_rule_move, "id", "to")},
	{"rule.enable", pst_method_edit, "a rule counts again", EDIT(pst_edit_rule_enable, "id")},
	{"rule.disable", pst_method_edit, "a rule keeps its place and does not count",
		EDIT(pst_edit_rule_disable, "id")},
	{"rule.remove", pst_method_edit, "a rule goes", EDIT(pst_edit_rule_remove, "id")},
	{"profile.list", pst_method_profiles, "TLS profiles and the actions that use them"},
	{"profile.show", pst_method_profile, "one TLS profile", PARAMS("name")},
	{"profile.set", pst_method_edit, "changes keys of a TLS profile; null takes one away",
		EDIT(pst_edit_profile_set, "name", "set")},
	{"profile.clone", pst_method_edit, "a copy under another name, which can be changed",
		EDIT(pst_edit_profile_clone, "name", "to", "set")},
	{"profile.remove", pst_method_edit, "a TLS profile that nothing uses goes",
		EDIT(pst_edit_profile_remove, "name")},
	{"action.list", pst_method_actions, "actions and the listeners that use them"},
	{"action.show", pst_method_action, "one action, its listeners and their TLS support",
		PARAMS("name")},
	{"action.set", pst_method_edit, "changes keys of an action; null takes one away",
		EDIT(pst_edit_action_set, "name", "set")},
	{"action.clone", pst_method_edit, "a copy under another name, which can be changed",
		EDIT(pst_edit_action_clone, "name", "to", "set")},
	{"action.remove", pst_method_edit, "an action that nothing uses goes",
		EDIT(pst_edit_action_remove, "name")},
	{"list.show", pst_method_lists, "for whom STARTTLS is never used, for whom required"},
	{"list.add", pst_method_edit, "an address, network, host or domain onto a list",
		EDIT(pst_edit_list_add, "list", "entry")},
	{"list.remove", pst_method_edit, "an entry from a list",
		EDIT(pst_edit_list_remove, "list", "entry")},
	{"policy.import", pst_method_edit, "entries of a Postfix tls_policy table into the map",
		EDIT(pst_edit_import, "text", "dry_run")},
	{"policy.show", pst_method_map, "what the map says about a destination",
		PARAMS("destination")},
	{"explain", pst_method_explain, "who decides what about a message, and what is answered",
		PARAMS("from", "to", "client", "listener", "tls", "live")},
	{"broken_tls.list", pst_method_broken, "hosts with which TLS failed lately"},
	{"broken_tls.flush", pst_method_broken_flush, "forgets them", CHANGES},
	{"sessions.list", pst_method_sessions, "client sessions now",
		PARAMS("worker", "after", "limit")},
	{"sessions.show", pst_method_session, "one session", PARAMS("id")},
	{"sessions.kill", pst_method_kill, "ends one session with 421", PARAMS("id"), CHANGES},
	{"drain", pst_method_drain, "no new sessions; running ones complete", CHANGES},
	{"undrain", pst_method_undrain, "new sessions again", CHANGES},
	{"stop", pst_method_stop, "drains, then ends; now: ends at once", PARAMS("now"), CHANGES},
	{"log.level", pst_method_level, "how much is logged, until the configured level changes",
		PARAMS("level"), CHANGES},
	{"subscribe", pst_method_subscribe, "log lines and growth of counters as notifications",
		PARAMS("topics", "interval")},
	{"unsubscribe", pst_method_unsubscribe, "no more of them"},
	{"help", help, "the methods of this socket"},
	{NULL},
};
