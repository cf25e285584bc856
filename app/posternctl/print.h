/* SPDX-License-Identifier: BSD-3-Clause */
/* Answers of the gateway as text for people. Tolerates answers that lack members. */
#ifndef POSTERNCTL_PRINT_H
#define POSTERNCTL_PRINT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

struct print_options {
	bool all;         /* counters that are zero too */
	bool per_worker;  /* each worker by itself */
	const char *file; /* config check, policy import: what was read */
	bool dry_run;     /* policy import: nothing changed */
};

/* Names come from clients and files: what would move a terminal's cursor is shown as '?'. */
void put_clean(FILE *to, const char *s);

/* A member as it is shown: "-" and 0 for one that is missing. */
static inline const char *
text_of(const json_t *obj, const char *key)
{
	const char *s = json_string_value(json_object_get(obj, key));

	return s != NULL ? s : "-";
}

static inline long long
number_of(const json_t *obj, const char *key)
{
	return (long long)json_integer_value(json_object_get(obj, key));
}

void print_status(FILE *to, const json_t *result, const struct print_options *opt);
void print_stats(FILE *to, const json_t *result, const struct print_options *opt);
void print_help(FILE *to, const json_t *result, const struct print_options *opt);

/* print_config.c */
void print_changes(FILE *to, const json_t *result, const struct print_options *opt);
void print_diff(FILE *to, const json_t *result, const struct print_options *opt);
void print_published(FILE *to, const json_t *result, const struct print_options *opt);
void print_history(FILE *to, const json_t *result, const struct print_options *opt);
void print_session(FILE *to, const json_t *result, const struct print_options *opt);
void print_sessions(FILE *to, const json_t *list);

void print_edited(FILE *to, const json_t *result, const struct print_options *opt);
/* ask.c: what is wrong with lines of a file. */
void print_lines(FILE *to, const char *path, const json_t *lines, long long total);

/* print_policy.c */
void print_rules(FILE *to, const json_t *result, const struct print_options *opt);
void print_profiles(FILE *to, const json_t *result, const struct print_options *opt);
void print_profile(FILE *to, const json_t *result, const struct print_options *opt);
void print_actions(FILE *to, const json_t *result, const struct print_options *opt);
void print_action(FILE *to, const json_t *result, const struct print_options *opt);
void print_lists(FILE *to, const json_t *result, const struct print_options *opt);
void print_map_entry(FILE *to, const json_t *result, const struct print_options *opt);
void print_broken(FILE *to, const json_t *result, const struct print_options *opt);
/* print_crypto.c */
void print_crypto(FILE *to, const json_t *result, const struct print_options *opt);
/* print_explain.c */
void print_explain(FILE *to, const json_t *result, const struct print_options *opt);

#endif
