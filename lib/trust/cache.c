/* SPDX-License-Identifier: BSD-3-Clause */
#include "cache.h"

#include <stdlib.h>
#include <urcu-qsbr.h>
#include <urcu/rculfhash.h>

#define BUCKETS_MIN 64u
#define BUCKETS_MAX (1u << 20)

struct cache_entry {
	struct cds_lfht_node node;
	struct rcu_head rcu;
	TAILQ_ENTRY(cache_entry) link; /* the writer's */
	uint64_t expires;
	uint32_t generation;
	_Atomic(bool) used; /* looked at since it last was next to go */
	struct pst_names_answer *answer;
	struct names_key key;
};

static uint64_t
hash(const struct cache *c, const struct names_key *key)
{
	return pst_siphash(&c->key, key, offsetof(struct names_key, text) + key->len);
}

static int
match(struct cds_lfht_node *node, const void *key)
{
	const struct names_key *a = &caa_container_of(node, struct cache_entry, node)->key;

	return memcmp(a, key, offsetof(struct names_key, text) + a->len) == 0;
}

static unsigned long
buckets(uint32_t capacity)
{
	unsigned long n = BUCKETS_MIN;

	while (n < capacity && n < BUCKETS_MAX)
		n *= 2;
	return n;
}

enum pst_rc
cache_init(struct cache *c, uint32_t capacity)
{
	struct pst_rand r;

	memset(c, 0, sizeof(*c));
	TAILQ_INIT(&c->order);
	c->capacity = capacity;
	pst_rand_init(&r);
	c->key.k[0] = pst_rand_u64(&r);
	c->key.k[1] = pst_rand_u64(&r);
	/* Of a fixed size between resizes that the writer asks for: no thread of liburcu's own
	   grows it. */
	c->table = cds_lfht_new(buckets(capacity), 1, 0, 0, NULL);
	return c->table != NULL ? PST_OK : PST_NOMEM;
}

const struct pst_names_answer *
cache_find(struct cache *c, const struct names_key *key, uint32_t generation, uint64_t now)
{
	struct cds_lfht_iter it;
	struct cds_lfht_node *node;
	struct cache_entry *e;

	cds_lfht_lookup(c->table, (unsigned long)hash(c, key), match, key, &it);
	node = cds_lfht_iter_get_node(&it);
	if (node == NULL)
		return NULL;
	e = caa_container_of(node, struct cache_entry, node);
	if (e->generation != generation || e->expires <= now)
		return NULL;
	/* Written once, not each time: an entry that all workers use stays shared. */
	if (!atomic_load_explicit(&e->used, memory_order_relaxed))
		atomic_store_explicit(&e->used, true, memory_order_relaxed);
	return e->answer;
}

/* ---- the writer ---- */

static void
entry_free(struct cache_entry *e)
{
	free(e->answer);
	free(e);
}

static void
reclaim(struct rcu_head *head)
{
	entry_free(caa_container_of(head, struct cache_entry, rcu));
}

static void
retire(struct cache *c, struct cache_entry *e)
{
	TAILQ_REMOVE(&c->order, e, link);
	atomic_fetch_sub_explicit(&c->n, 1, memory_order_relaxed);
	call_rcu(&e->rcu, reclaim);
}

static void
evict(struct cache *c)
{
	struct cache_entry *e;

	/* Each was looked at: then the first, that has lost its mark by now. */
	while ((e = TAILQ_FIRST(&c->order)) != NULL &&
		atomic_exchange_explicit(&e->used, false, memory_order_relaxed)) {
		TAILQ_REMOVE(&c->order, e, link);
		TAILQ_INSERT_TAIL(&c->order, e, link);
	}
	if (e == NULL)
		return;
	cds_lfht_del(c->table, &e->node);
	retire(c, e);
	c->evictions++;
}

static void
make_room(struct cache *c, uint32_t n)
{
	while (atomic_load_explicit(&c->n, memory_order_relaxed) > n)
		evict(c);
}

enum pst_rc
cache_put(struct cache *c, const struct names_key *key, uint32_t generation, uint64_t expires,
	struct pst_names_answer *a)
{
	struct cache_entry *e = calloc(1, sizeof(*e));
	struct cds_lfht_node *old;

	if (e == NULL)
		return PST_NOMEM;
	cds_lfht_node_init(&e->node);
	e->key = *key;
	e->generation = generation;
	e->expires = expires;
	e->answer = a;
	old = cds_lfht_add_replace(c->table, (unsigned long)hash(c, key), match, &e->key, &e->node);
	if (old != NULL)
		retire(c, caa_container_of(old, struct cache_entry, node));
	/* Room first: it is not in the order yet, or it would go before what is in use. */
	make_room(c, PST_MAX(c->capacity, 1u) - 1);
	TAILQ_INSERT_TAIL(&c->order, e, link);
	atomic_fetch_add_explicit(&c->n, 1, memory_order_relaxed);
	return PST_OK;
}

void
cache_resize(struct cache *c, uint32_t capacity)
{
	/* Chains grow before entries come; a table that is too large hurts nobody. */
	if (buckets(capacity) > buckets(c->capacity))
		cds_lfht_resize(c->table, buckets(capacity));
	c->capacity = capacity;
	make_room(c, capacity);
}

void
cache_flush(struct cache *c)
{
	struct cache_entry *e;

	while ((e = TAILQ_FIRST(&c->order)) != NULL) {
		cds_lfht_del(c->table, &e->node);
		retire(c, e);
	}
}

void
cache_fini(struct cache *c)
{
	struct cache_entry *e;

	if (c->table == NULL)
		return;
	while ((e = TAILQ_FIRST(&c->order)) != NULL) {
		TAILQ_REMOVE(&c->order, e, link);
		cds_lfht_del(c->table, &e->node);
		entry_free(e);
	}
	cds_lfht_destroy(c->table, NULL);
	c->table = NULL;
}
