/* SPDX-License-Identifier: BSD-3-Clause */
/* A good document to spoil, and helpers to judge what comes of it. */
#ifndef TEST_CONTROL_DOC_H
#define TEST_CONTROL_DOC_H

#include <pst_control.h>

/* Written with ' for ", both here and in what is put in its place. */
extern const char good_document[];

/* good_document with the first `find` replaced, quotes made real; to be freed. Fails if not found.
 */
char *spoiled(const char *find, const char *put);
struct pst_config *parse(const char *json, struct pst_config_report *report);
/* The good document, changed in one place, has to be accepted. */
struct pst_config *parse_good(const char *find, const char *put);

/* The same with a second change, unless `also` is NULL. */
char *spoiled_twice(const char *find, const char *put, const char *also, const char *also_put);

/* A document at fault. */
struct bad {
	const char *find, *put; /* in good_document */
	const char *pointers;   /* of the faults, in order, separated by spaces */
	const char *says;       /* part of the first fault's text */
	const char *also, *also_put;
};
void expect_faults(const struct bad *bad, size_t n);

#endif
