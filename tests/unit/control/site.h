/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A control plane over the fake, with a log and a configuration file in a directory
 * of its own; turned by hand on a clock of its own.
 */
#ifndef TEST_CONTROL_SITE_H
#define TEST_CONTROL_SITE_H

#include <follow.h>
#include <jansson.h>
#include <plane.h>
#include <rpc.h>

struct site {
	char dir[64], socket[96], log[96], file[96];
	struct pst_config *first;
	struct pst_logger *logger;
	struct pst_control *control;
	struct pst_plane *plane;
	struct pst_caller caller;
	struct pst_follower follower;
	uint64_t now;
};

void site_open(struct site *s);
void site_close(struct site *s); /* checks that every configuration was given back once */
void site_turn(struct site *s);

/* Calls a method; params with ' for ", or NULL. The whole answer, to be freed. */
json_t *site_call(struct site *s, const char *method, const char *params);
/* Its result, to be freed; fails if there is none. */
json_t *site_result(struct site *s, const char *method, const char *params);
/* Expects an error of this code and returns its data, to be freed. */
json_t *site_error(struct site *s, const char *method, const char *params, int code);
/* Pushes the running document with the value at a path ("limits", "errors") set. */
json_t *site_push_number(struct site *s, const char *section, const char *key, int value);
/* Waits until the log has the text; fails after 5 s. Returns how often it is there. */
unsigned site_logged(struct site *s, const char *text);

char *read_whole(const char *path); /* to be freed; NULL: not there */
void write_whole(const char *path, const char *text);
long long number_of(const json_t *o, const char *key); /* -1: none */
const char *text_of(const json_t *o, const char *key); /* "": none */

#endif
