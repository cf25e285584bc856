/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Memory that is given back all at once: what a configuration is made of.
 * Grows by blocks, zeroed, aligned for any type. One thread at a time.
 */
#ifndef PST_CONTROL_ARENA_H
#define PST_CONTROL_ARENA_H

#include <stddef.h>

struct pst_arena;

struct pst_arena *pst_arena_new(void); /* NULL when memory is short */
void pst_arena_free(struct pst_arena *a);

/* n zeroed bytes (n 0: a valid pointer to nothing); NULL when memory is short. */
void *pst_arena_alloc(struct pst_arena *a, size_t n);
char *pst_arena_printf(struct pst_arena *a, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

#endif
