/* SPDX-License-Identifier: BSD-3-Clause */
/* The verbs `rule ...`, `list ...`, `policy ...`, `broken-tls ...`. */
#include <stdlib.h>
#include <string.h>

#include "ctl.h"

/* ---- rules ---- */

enum exit_code
verb_rule_list(const struct ctl *c, char **arg, int n)
{
	(void)arg, (void)n;
	return ctl_call(c, "rule.list", NULL, print_rules);
}

static void
add_option(json_t *params, const char *name, const char *value)
{
	if (value != NULL)
		json_object_set_new(params, name, json_string(value));
}

/* A place: a number, counted from 1. */
static json_t *
place(const char *text)
{
	char *end;
	long long v = strtoll(text, &end, 10);

	return *text != '\0' && *end == '\0' ? json_integer(v) : json_string(text);
}

enum exit_code
verb_rule_add(const struct ctl *c, char **arg, int n)
{
	json_t *params = json_pack("{s:s, s:s, s:s, s:s}", "from", arg[0], "to", arg[1], "sender",
		arg[2], "recipient", arg[3]);

	(void)n;
	add_option(params, "id", c->id);
	add_option(params, "before", c->before);
	add_option(params, "after", c->after);
	if (params != NULL && c->at != NULL)
		json_object_set_new(params, "at", place(c->at));
	return ctl_edit(c, "rule.add", params);
}

enum exit_code
verb_rule_move(const struct ctl *c, char **arg, int n)
{
	(void)n;
	return ctl_edit(c, "rule.move", json_pack("{s:s, s:o}", "id", arg[0], "to", place(arg[1])));
}

enum exit_code
verb_rule_enable(const struct ctl *c, char **arg, int n)
{
	(void)n;
	return ctl_edit(c, "rule.enable", json_pack("{s:s}", "id", arg[0]));
}

enum exit_code
verb_rule_disable(const struct ctl *c, char **arg, int n)
{
	(void)n;
	return ctl_edit(c, "rule.disable", json_pack("{s:s}", "id", arg[0]));
}

enum exit_code
verb_rule_remove(const struct ctl *c, char **arg, int n)
{
	(void)n;
	return ctl_edit(c, "rule.remove", json_pack("{s:s}", "id", arg[0]));
}

/* ---- lists ---- */

enum exit_code
verb_list_show(const struct ctl *c, char **arg, int n)
{
	(void)arg, (void)n;
	return ctl_call(c, "list.show", NULL, print_lists);
}

enum exit_code
verb_list_add(const struct ctl *c, char **arg, int n)
{
	(void)n;
	return ctl_edit(c, "list.add", json_pack("{s:s, s:s}", "list", arg[0], "entry", arg[1]));
}

enum exit_code
verb_list_remove(const struct ctl *c, char **arg, int n)
{
	(void)n;
	return ctl_edit(c, "list.remove", json_pack("{s:s, s:s}", "list", arg[0], "entry", arg[1]));
}

/* ---- the map ---- */

enum exit_code
verb_policy_import(const struct ctl *c, char **arg, int n)
{
	struct ctl with_file = *c;
	json_t *params = ctl_read_text(arg[0], NULL);

	(void)n;
	if (params == NULL)
		return EXIT_REFUSED;
	with_file.print.file = arg[0];
	with_file.print.dry_run = c->dry_run;
	if (c->dry_run)
		json_object_set_new(params, "dry_run", json_true());
	return ctl_edit(&with_file, "policy.import", params);
}

enum exit_code
verb_policy_show(const struct ctl *c, char **arg, int n)
{
	(void)n;
	return ctl_call(
		c, "policy.show", json_pack("{s:s}", "destination", arg[0]), print_map_entry);
}

/* ---- the broken-TLS memory ---- */

enum exit_code
verb_broken_list(const struct ctl *c, char **arg, int n)
{
	(void)arg, (void)n;
	return ctl_call(c, "broken_tls.list", NULL, print_broken);
}

static void
print_flushed(FILE *to, const json_t *r, const struct print_options *opt)
{
	(void)opt;
	fprintf(to, "%lld forgotten\n",
		(long long)json_integer_value(json_object_get(r, "flushed")));
}

enum exit_code
verb_broken_flush(const struct ctl *c, char **arg, int n)
{
	(void)arg, (void)n;
	return ctl_call(c, "broken_tls.flush", NULL, print_flushed);
}

/* ---- explain ---- */

enum exit_code
verb_explain(const struct ctl *c, char **arg, int n)
{
	json_t *params;

	(void)arg, (void)n;
	if (c->from == NULL || c->to == NULL || (c->tls && c->plain)) {
		fputs("posternctl: explain needs --from and --to, and at most one of --tls and "
		      "--plain\n",
			stderr);
		return EXIT_USAGE;
	}
	params = json_pack("{s:s, s:s, s:b, s:b}", "from", c->from, "to", c->to, "tls", c->tls,
		"live", c->live);
	add_option(params, "client", c->client);
	add_option(params, "listener", c->listener);
	return ctl_call(c, "explain", params, print_explain);
}
