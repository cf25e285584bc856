/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * OpenSSL's heap: free lists of each thread over malloc, and the count of live bytes.
 *
 * A handshake makes and frees some 700 small blocks, more of each size than malloc keeps
 * for a thread, and two threads' frees meet in malloc's locks. So a freed block stays with
 * the thread that freed it, in the list of its size class, whoever made it: a crypto lcore
 * frees what a worker made and the other way round, and no list is ever touched by two
 * threads. What a list or a thread may keep is bounded; the rest goes back to malloc, and
 * all of it when the thread ends.
 *
 * Each block is a whole block of malloc's, so it needs no header: its class follows from
 * malloc_usable_size, by which bytes are counted too. A request is rounded up to its class,
 * so that it finds again what it gave back.
 *
 * Counting is per thread and without atomic additions. A block may be freed by another
 * thread than made it: one thread's figure can be negative, the sum is right.
 *
 * Secrets: OpenSSL wipes them before it frees them (OPENSSL_clear_free), and realloc's old
 * block is no more wiped here than by malloc. Under a sanitizer every call goes to malloc,
 * which then sees each block's true size and end.
 */
#include "crypto_int.h"

#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/crypto.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) ||                         \
	__has_feature(memory_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

/*
 * The classes: the sizes that malloc has anyway, so that no session grows by rounding, up to
 * 8200 (a SSL, an X509); then steps of 1024 up to 32 776 (record buffers, the stack of an
 * ASYNC job), which idle sessions do not have.
 */
#define SMALL_FIRST 24
#define SMALL_STEP  16
#define SMALL_LAST  8200
#define BIG_STEP    1024
#define BIG_LAST    32776
#define SMALL       ((SMALL_LAST - SMALL_FIRST) / SMALL_STEP + 1)
#define BIG         ((BIG_LAST - SMALL_LAST) / BIG_STEP)
#define CLASSES     (SMALL + BIG)

#define LIST_BYTES  (64 * 1024)
#define LIST_BLOCKS 8 /* of any class */

struct list {
	void *head;
	unsigned n, max;
};

struct heap {
	struct heap *next; /* of all; one that was made is never freed */
	atomic_bool taken;
	/* Written by the owner alone, plainly; read by any thread. */
	_Alignas(64) _Atomic int64_t live;
	_Atomic uint64_t cached;
	struct list lists[CLASSES];
};

static _Atomic(struct heap *) heaps;
static _Atomic int64_t
	orphans; /* live bytes of threads without a heap: no memory, or at their end */
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t at_end;
static bool have_key;
static _Thread_local struct heap *mine;
static _Thread_local bool ended;

/* ---- classes ---- */

static unsigned
class_for(size_t n)
{
	if (n <= SMALL_FIRST)
		return 0;
	if (n <= SMALL_LAST)
		return (unsigned)((n - SMALL_FIRST + SMALL_STEP - 1) / SMALL_STEP);
	return SMALL - 1 + (unsigned)((n - SMALL_LAST + BIG_STEP - 1) / BIG_STEP);
}

static size_t
class_size(unsigned c)
{
	if (c < SMALL)
		return SMALL_FIRST + (size_t)c * SMALL_STEP;
	return SMALL_LAST + (size_t)(c - SMALL + 1) * BIG_STEP;
}

/*
 * The class that a block of so many bytes can serve; CLASSES: none. A small block that is
 * not exactly of its class has none: from_list counts by the class. (It does not happen
 * with glibc.)
 */
static unsigned
class_of(size_t usable)
{
	size_t over = usable - SMALL_FIRST;

	if (usable < SMALL_FIRST || usable >= BIG_LAST + BIG_STEP)
		return CLASSES;
	if (usable > SMALL_LAST)
		return SMALL - 1 + (unsigned)((usable - SMALL_LAST) / BIG_STEP);
	return over % SMALL_STEP == 0 ? (unsigned)(over / SMALL_STEP) : CLASSES;
}

/* ---- lists ---- */

static void
damaged(void)
{
	fputs("postern: OpenSSL's heap is damaged\n", stderr);
	abort();
}

/*
 * A link is stored mixed with its own place: who can write into a freed block does not
 * thereby say where the next one lies. Its own inverse.
 */
static void *
mix(void *block, void *link)
{
	return (void *)((uintptr_t)link ^ ((uintptr_t)block >> 12));
}

static void *
pop(struct list *l)
{
	void *p = l->head, *next;

	memcpy(&next, p, sizeof(next));
	next = mix(p, next);
	if (((uintptr_t)next & 15) != 0)
		damaged();
	l->head = next;
	l->n--;
	return p;
}

static void
push(struct list *l, void *p)
{
	void *next = mix(p, l->head);

	if (p == l->head) /* freed twice */
		damaged();
	memcpy(p, &next, sizeof(next));
	l->head = p;
	l->n++;
}

static void
cached_add(struct heap *h, uint64_t n)
{
	atomic_store_explicit(&h->cached,
		atomic_load_explicit(&h->cached, memory_order_relaxed) + n, memory_order_relaxed);
}

/* ---- a thread's heap ---- */

static void
heap_give_back(void *arg)
{
	struct heap *h = arg;

	ended = true; /* OpenSSL's own clean-up may still come */
	mine = NULL;
	for (unsigned c = 0; c < CLASSES; c++)
		while (h->lists[c].n > 0)
			free(pop(&h->lists[c]));
	atomic_store_explicit(&h->cached, 0, memory_order_relaxed);
	atomic_store_explicit(&h->taken, false, memory_order_release);
}

static void
make_key(void)
{
	have_key = pthread_key_create(&at_end, heap_give_back) == 0;
}

static struct heap *
heap_make(void)
{
	struct heap *h = aligned_alloc(_Alignof(struct heap), sizeof(*h));

	if (h == NULL)
		return NULL;
	memset(h, 0, sizeof(*h));
	for (unsigned c = 0; c < CLASSES; c++)
		h->lists[c].max =
			(unsigned)PST_MAX(LIST_BYTES / class_size(c), (size_t)LIST_BLOCKS);
	atomic_init(&h->taken, true);
	h->next = atomic_load_explicit(&heaps, memory_order_relaxed);
	while (!atomic_compare_exchange_weak_explicit(
		&heaps, &h->next, h, memory_order_release, memory_order_relaxed))
		;
	return h;
}

/* One that a thread has left behind, with its count; else a new one. */
static struct heap *
heap_find(void)
{
	for (struct heap *h = atomic_load_explicit(&heaps, memory_order_acquire); h != NULL;
		h = h->next) {
		bool free_ = false;

		if (atomic_compare_exchange_strong_explicit(
			    &h->taken, &free_, true, memory_order_acquire, memory_order_relaxed))
			return h;
	}
	return heap_make();
}

static struct heap *
heap_take(void)
{
	struct heap *h;

	if (ended)
		return NULL;
	(void)pthread_once(&once, make_key);
	if (!have_key || (h = heap_find()) == NULL)
		return NULL;
	if (pthread_setspecific(at_end, h) != 0) { /* it would never come back */
		atomic_store_explicit(&h->taken, false, memory_order_release);
		return NULL;
	}
	return mine = h;
}

static struct heap *
heap(void)
{
	return pst_likely(mine != NULL) ? mine : heap_take();
}

static void
account(struct heap *h, int64_t bytes)
{
	if (pst_unlikely(h == NULL))
		atomic_fetch_add_explicit(&orphans, bytes, memory_order_relaxed);
	else
		atomic_store_explicit(&h->live,
			atomic_load_explicit(&h->live, memory_order_relaxed) + bytes,
			memory_order_relaxed);
}

/* ---- what OpenSSL calls ---- */

/* A block of class c, or NULL. Small classes have but one size, so malloc need not be asked. */
static void *
from_list(struct heap *h, unsigned c)
{
	struct list *l = &h->lists[c];
	size_t n;
	void *p;

	if (l->n == 0)
		return NULL;
	p = pop(l);
	n = c < SMALL - 1 ? class_size(c) : malloc_usable_size(p);
	cached_add(h, -(uint64_t)n);
	account(h, (int64_t)n);
	return p;
}

void *
pst_mem_alloc(size_t n)
{
	struct heap *h = heap();
	void *p;

	if (!SANITIZED && n <= BIG_LAST) {
		unsigned c = class_for(n);

		if (h != NULL && (p = from_list(h, c)) != NULL)
			return p;
		n = class_size(c);
	}
	p = malloc(n);
	if (p != NULL)
		account(h, (int64_t)malloc_usable_size(p));
	return p;
}

void
pst_mem_free(void *p)
{
	struct heap *h;
	size_t n;
	unsigned c;

	if (p == NULL)
		return;
	h = heap();
	n = malloc_usable_size(p);
	account(h, -(int64_t)n);
	c = SANITIZED || h == NULL ? CLASSES : class_of(n);
	if (c == CLASSES || h->lists[c].n >= h->lists[c].max ||
		atomic_load_explicit(&h->cached, memory_order_relaxed) + n > PST_MEM_CACHED_MAX) {
		free(p);
		return;
	}
	push(&h->lists[c], p);
	cached_add(h, n);
}

static void *
realloc_counted(void *p, size_t n, size_t before)
{
	void *q = realloc(p, n);

	if (q != NULL)
		account(heap(), (int64_t)malloc_usable_size(q) - (int64_t)before);
	return q;
}

void *
pst_mem_realloc(void *p, size_t n)
{
	size_t before;
	void *q;

	if (p == NULL)
		return pst_mem_alloc(n);
	if (n == 0) { /* OpenSSL's meaning: free */
		pst_mem_free(p);
		return NULL;
	}
	before = malloc_usable_size(p);
	if (SANITIZED || (before > BIG_LAST && n > BIG_LAST))
		return realloc_counted(p, n, before);
	if (n <= before && n > before / 2)
		return p;
	q = pst_mem_alloc(n);
	if (q == NULL)
		return NULL;
	memcpy(q, p, PST_MIN(n, before));
	pst_mem_free(p);
	return q;
}

static void *
hook_alloc(size_t n, const char *file, int line)
{
	return pst_mem_alloc(n);
}

static void *
hook_realloc(void *p, size_t n, const char *file, int line)
{
	return pst_mem_realloc(p, n);
}

static void
hook_free(void *p, const char *file, int line)
{
	pst_mem_free(p);
}

enum pst_rc
pst_crypto_count_memory(void)
{
	if (CRYPTO_set_mem_functions(hook_alloc, hook_realloc, hook_free) != 1)
		return PST_INVAL;
	return PST_OK;
}

uint64_t
pst_crypto_live_bytes(void)
{
	int64_t sum = atomic_load_explicit(&orphans, memory_order_relaxed);

	for (struct heap *h = atomic_load_explicit(&heaps, memory_order_acquire); h != NULL;
		h = h->next)
		sum += atomic_load_explicit(&h->live, memory_order_relaxed);
	return sum > 0 ? (uint64_t)sum : 0;
}

int64_t
pst_crypto_live_bytes_here(void)
{
	return mine != NULL ? atomic_load_explicit(&mine->live, memory_order_relaxed) : 0;
}

uint64_t
pst_crypto_cached_bytes(void)
{
	uint64_t sum = 0;

	for (struct heap *h = atomic_load_explicit(&heaps, memory_order_acquire); h != NULL;
		h = h->next)
		sum += atomic_load_explicit(&h->cached, memory_order_relaxed);
	return sum;
}
