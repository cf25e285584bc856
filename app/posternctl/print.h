/* SPDX-License-Identifier: BSD-3-Clause */
/* Answers of the gateway as text for people. Tolerates answers that lack members. */
#ifndef POSTERNCTL_PRINT_H
#define POSTERNCTL_PRINT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

struct print_options {
	bool all;         /* counters that are zero too */
	bool per_worker;  /* a column for each worker */
	const char *file; /* config check: what was judged */
};

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

#endif
