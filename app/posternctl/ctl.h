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
	EXIT_NOT_FOUND,  /* no such session or generation */
};

struct ctl {
	const char *socket;
	bool json;
	bool now;                  /* stop --now */
	const char *if_generation; /* NULL: not given */
	const char *note;
	double interval; /* top, s */
	struct print_options print;
};

typedef void printer(FILE *to, const json_t *result, const struct print_options *opt);

/* One request, one answer. Takes over params. *result is to be freed when EXIT_OK. */
enum exit_code ctl_ask(
	const struct ctl *c, const char *method, json_t *params, json_t **result, json_t **error);
/* The same with the result printed: as JSON, or by print. Errors are printed as well. */
enum exit_code ctl_call(const struct ctl *c, const char *method, json_t *params, printer *print);
enum exit_code ctl_error(const json_t *error); /* its code as ours */
void ctl_print_error(const json_t *error);
void ctl_print_json(const json_t *v);

/* Verbs: n arguments behind the verb's own words, their number was checked. */
typedef enum exit_code verb_run(const struct ctl *c, char **arg, int n);
verb_run verb_config_check, verb_config_push, verb_config_show, verb_config_diff,
	verb_config_history, verb_config_rollback, verb_config_save,
	verb_config_reload; /* config.c */
verb_run verb_sessions, verb_session_show, verb_session_kill, verb_drain, verb_undrain, verb_stop,
	verb_log_level;   /* run.c */
verb_run verb_log_follow; /* follow.c */
verb_run verb_top;        /* top.c */

#endif
