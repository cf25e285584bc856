/* SPDX-License-Identifier: BSD-3-Clause */
#include "arena.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define BLOCK 8192
#define ALIGN _Alignof(max_align_t)

struct block {
	struct block *next;
	size_t used, size;
	_Alignas(max_align_t) unsigned char bytes[];
};

struct pst_arena {
	struct block *blocks; /* the newest first; only it has room */
};

struct pst_arena *
pst_arena_new(void)
{
	return calloc(1, sizeof(struct pst_arena));
}

void
pst_arena_free(struct pst_arena *a)
{
	if (a == NULL)
		return;
	for (struct block *b = a->blocks, *next; b != NULL; b = next) {
		next = b->next;
		free(b);
	}
	free(a);
}

static struct block *
block_new(struct pst_arena *a, size_t n)
{
	size_t size = n > BLOCK ? n : BLOCK;
	struct block *b = calloc(1, sizeof(*b) + size);

	if (b == NULL)
		return NULL;
	b->size = size;
	b->next = a->blocks;
	a->blocks = b;
	return b;
}

void *
pst_arena_alloc(struct pst_arena *a, size_t n)
{
	struct block *b = a->blocks;
	void *p;

	if (n > SIZE_MAX / 2)
		return NULL;
	n = (n + ALIGN - 1) / ALIGN * ALIGN;
	if (b == NULL || b->size - b->used < n)
		b = block_new(a, n);
	if (b == NULL)
		return NULL;
	p = b->bytes + b->used;
	b->used += n;
	return p;
}

char *
pst_arena_printf(struct pst_arena *a, const char *fmt, ...)
{
	va_list ap;
	char *s;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0 || (s = pst_arena_alloc(a, (size_t)n + 1)) == NULL)
		return NULL;
	va_start(ap, fmt);
	vsnprintf(s, (size_t)n + 1, fmt, ap);
	va_end(ap);
	return s;
}
