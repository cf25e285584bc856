/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Answers by key, read by workers without lock or waiting, written by the resolver's thread.
 *
 * A cds_lfht under liburcu-qsbr. The writer keeps its own list in the order of eviction: the
 * oldest goes first unless somebody looked at it since ("second chance"), so that a look-up
 * writes at most once into an entry that it has in hand. What leaves the table is freed by
 * call_rcu: no worker has to do anything but pass its quiescent states.
 *
 * Keys are strangers' words: the hash is SipHash with a secret.
 */
#ifndef CACHE_H
#define CACHE_H

#include "chain.h"

#include <pst_rand.h>
#include <stdatomic.h>
#include <sys/queue.h>

struct cds_lfht;
struct cache_entry;

struct cache {
	struct cds_lfht *table;
	struct pst_sipkey key;
	/* The writer's. */
	TAILQ_HEAD(, cache_entry) order; /* first: next to go */
	_Atomic(uint32_t) n;
	uint32_t capacity;
	uint64_t evictions;
};

enum pst_rc cache_init(struct cache *c, uint32_t capacity);
/* Nobody looks up any more. */
void cache_fini(struct cache *c);

/*
 * Fresh at `now` and of this generation; else NULL. Valid until the caller's next quiescent
 * state. The caller is an online reader.
 */
const struct pst_names_answer *cache_find(
	struct cache *c, const struct names_key *key, uint32_t generation, uint64_t now);

/* The writer, an online reader like others. The answer becomes the cache's; not on NOMEM. */
enum pst_rc cache_put(struct cache *c, const struct names_key *key, uint32_t generation,
	uint64_t expires, struct pst_names_answer *a);
void cache_resize(struct cache *c, uint32_t capacity);
void cache_flush(struct cache *c);

#endif
