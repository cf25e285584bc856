/* SPDX-License-Identifier: BSD-3-Clause */
/* What the verbs share: the command line, asking, and how it ends. */
#ifndef POSTERNCTL_CTL_H
#define POSTERNCTL_CTL_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "print.h"
#include "wire.h"

enum exit_code {
	EXIT_OK,
	EXIT_ERROR, /* the gateway answered with an error */
	EXIT_USAGE,
	EXIT_CONNECT,    /* no gateway, or no answer */
	EXIT_REFUSED,    /* the configuration has faults, or needs a restart */
	EXIT_GENERATION, /* --if-generation: another one runs */
	EXIT_NOT_FOUND,  /* no such session, generation, rule, ... */
	EXIT_CLONE,      /* clone_required: it is predefined */
	EXIT_CONFLICT,   /* the name is taken, or what it names is in use */
};

struct ctl {
	const char *socket;
	bool json;
	bool now;                  /* stop --now */
	const char *if_generation; /* NULL: not given */
	const char *note;
	const char *id, *at, *before, *after;      /* rule add; NULL: not given */
	const char *from, *to, *client, *listener; /* explain */
	bool tls, plain, live;                     /* explain */
	bool dry_run;                              /* policy import */
	double interval;                           /* top, s */
	struct print_options print;
};

typedef void printer(FILE *to, const json_t *result, const struct print_options *opt);

/* One request, one answer. Takes over params. *result is to be freed when EXIT_OK. */
enum exit_code ctl_ask(
	const struct ctl *c, const char *method, json_t *params, json_t **result, json_t **error);
/* The same with the result printed: as JSON, or by print. Errors are printed as well. */
enum exit_code ctl_call(const struct ctl *c, const char *method, json_t *params, printer *print);
/* The same; faults are told as `path`'s. */
enum exit_code ctl_conclude(
	const struct ctl *c, const char *method, json_t *params, const char *path, printer *print);
/* A change of a part of the configuration, with --if-generation and --note. */
enum exit_code ctl_edit(const struct ctl *c, const char *method, json_t *params);
enum exit_code ctl_error(const json_t *error); /* its code as ours */
void ctl_print_error(const json_t *error);
void ctl_print_json(const json_t *v);

/* false: text is no number; it was said. */
bool ctl_add_number(json_t *params, const char *name, const char *text);
bool ctl_add_generation(const struct ctl *c, json_t *params);
/* {"text": the file's, or standard input's ("-")}; NULL: it was said why not. */
typedef void ctl_complain(const char *path, const char *text, size_t len); /* it is not UTF-8 */
json_t *ctl_read_text(const char *path, ctl_complain *complain);

/* Verbs: n arguments behind the verb's own words, their number was checked. */
typedef enum exit_code verb_run(const struct ctl *c, char **arg, int n);
verb_run verb_config_check, verb_config_push, verb_config_show, verb_config_diff,
	verb_config_history, verb_config_rollback, verb_config_save,
	verb_config_reload; /* config.c */
verb_run verb_sessions, verb_session_show, verb_session_kill, verb_drain, verb_undrain, verb_stop,
	verb_log_level; /* run.c */
verb_run verb_rule_list, verb_rule_add, verb_rule_move, verb_rule_enable, verb_rule_disable,
	verb_rule_remove, verb_list_show, verb_list_add, verb_list_remove, verb_policy_import,
	verb_policy_show, verb_broken_list, verb_broken_flush, verb_explain; /* verbs_policy.c */
verb_run verb_profile_list, verb_profile_show, verb_profile_set, verb_profile_clone,
	verb_profile_remove, verb_action_list, verb_action_show, verb_action_set, verb_action_clone,
	verb_action_remove; /* verbs_objects.c */
verb_run verb_log_follow;   /* follow.c */
verb_run verb_top;          /* top.c */

#endif
