/* SPDX-License-Identifier: BSD-3-Clause */
/* What is different between two JSON documents. */
#ifndef PST_CONTROL_DIFF_H
#define PST_CONTROL_DIFF_H

#include <jansson.h>

#define PST_DIFF_MAX 1000 /* changes that are listed */

struct pst_diff {
	json_t *changes; /* array of {pointer, old?, new?}; old absent: added; new absent: removed
			  */
	unsigned total;  /* more than are listed, perhaps */
};

/*
 * The pointer of a removed element of an array is its place in the old document, all
 * others are places in the new one. Members of objects have no order. Values are
 * shared with the documents, not copied. changes is NULL when memory is short.
 */
void pst_diff(struct pst_diff *d, const json_t *from, const json_t *to);
void pst_diff_fini(struct pst_diff *d);
/* "no change", or how many and the first pointers; to be freed. */
char *pst_diff_summary(const struct pst_diff *d);

#endif
