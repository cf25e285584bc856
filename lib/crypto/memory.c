/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * OpenSSL's live heap, counted per thread so that workers share no cache line. A
 * block may be freed by another thread than made it: one thread's figure can be
 * negative, the sum is right.
 */
#include <pst_crypto.h>

#include <malloc.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <openssl/crypto.h>

#define LANES 128 /* threads beyond share the last one */

struct lane {
	_Alignas(64) _Atomic int64_t bytes;
};

static struct lane lanes[LANES];
static atomic_uint lanes_used;
static _Thread_local struct lane *mine;

static void
account(int64_t bytes)
{
	if (mine == NULL) {
		unsigned n = atomic_fetch_add(&lanes_used, 1);

		mine = &lanes[n < LANES ? n : LANES - 1];
	}
	/* Relaxed and nearly always alone on its line; only a shared last lane contends. */
	atomic_fetch_add_explicit(&mine->bytes, bytes, memory_order_relaxed);
}

static void *
counted_malloc(size_t n, const char *file, int line)
{
	void *p = malloc(n);

	if (p != NULL)
		account((int64_t)malloc_usable_size(p));
	return p;
}

static void
counted_free(void *p, const char *file, int line)
{
	if (p != NULL)
		account(-(int64_t)malloc_usable_size(p));
	free(p);
}

static void *
counted_realloc(void *p, size_t n, const char *file, int line)
{
	int64_t before = p != NULL ? (int64_t)malloc_usable_size(p) : 0;
	void *q;

	if (n == 0) { /* OpenSSL's meaning: free */
		counted_free(p, file, line);
		return NULL;
	}
	q = realloc(p, n);
	if (q != NULL)
		account((int64_t)malloc_usable_size(q) - before);
	return q;
}

enum pst_rc
pst_crypto_count_memory(void)
{
	if (CRYPTO_set_mem_functions(counted_malloc, counted_realloc, counted_free) != 1)
		return PST_INVAL;
	return PST_OK;
}

uint64_t
pst_crypto_live_bytes(void)
{
	int64_t sum = 0;

	for (unsigned i = 0; i < LANES; i++)
		sum += atomic_load_explicit(&lanes[i].bytes, memory_order_relaxed);
	return sum > 0 ? (uint64_t)sum : 0;
}

int64_t
pst_crypto_live_bytes_here(void)
{
	return mine != NULL ? atomic_load_explicit(&mine->bytes, memory_order_relaxed) : 0;
}
