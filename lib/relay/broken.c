/* SPDX-License-Identifier: BSD-3-Clause */
/* See broken.h. Entries by address in a hash of buckets, all in one list by age of failure. */
#include "broken.h"

#include <pst_rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <rte_spinlock.h>

#define BUCKETS 1024

struct entry {
	LIST_ENTRY(entry) bucket;
	TAILQ_ENTRY(entry) age;
	struct pst_ip ip;
	bool client;
	uint64_t until_ms, failures;
	char cause[64];
};

struct broken {
	rte_spinlock_t lock;
	struct pst_sipkey key;
	unsigned n;
	TAILQ_HEAD(ages, entry) ages; /* the first failed longest ago */
	LIST_HEAD(bucket, entry) buckets[BUCKETS];
};

struct broken *
broken_new(void)
{
	struct broken *b = calloc(1, sizeof(*b));
	struct pst_rand random;

	if (b == NULL)
		return NULL;
	pst_rand_init(&random);
	rte_spinlock_init(&b->lock);
	TAILQ_INIT(&b->ages);
	b->key = random.key;
	return b;
}

static struct bucket *
bucket_of(struct broken *b, const struct pst_ip *ip)
{
	return &b->buckets[pst_siphash(&b->key, ip, sizeof(*ip)) % BUCKETS];
}

static struct entry *
find(struct broken *b, const struct pst_ip *ip, bool client)
{
	struct entry *e;

	LIST_FOREACH(e, bucket_of(b, ip), bucket)
	{
		if (e->client == client && pst_ip_eq(&e->ip, ip))
			break;
	}
	return e;
}

static void
drop(struct broken *b, struct entry *e)
{
	LIST_REMOVE(e, bucket);
	TAILQ_REMOVE(&b->ages, e, age);
	b->n--;
	free(e);
}

void
broken_free(struct broken *b)
{
	if (b == NULL)
		return;
	(void)broken_flush(b);
	free(b);
}

static struct entry *
add(struct broken *b, const struct pst_ip *ip, bool client, unsigned max)
{
	struct entry *e = calloc(1, sizeof(*e));

	while (b->n >= PST_MAX(max, 1u))
		drop(b, TAILQ_FIRST(&b->ages));
	if (e == NULL)
		return NULL;
	e->ip = *ip;
	e->client = client;
	LIST_INSERT_HEAD(bucket_of(b, ip), e, bucket);
	TAILQ_INSERT_TAIL(&b->ages, e, age);
	b->n++;
	return e;
}

void
broken_note(struct broken *b, const struct pst_ip *ip, bool client, const char *cause,
	uint64_t now_ms, uint32_t ttl_ms, unsigned max)
{
	struct entry *e;

	rte_spinlock_lock(&b->lock);
	e = find(b, ip, client);
	if (e == NULL)
		e = add(b, ip, client, max);
	if (e != NULL) {
		e->until_ms = now_ms + ttl_ms;
		e->failures++;
		snprintf(e->cause, sizeof(e->cause), "%s", cause);
		TAILQ_REMOVE(&b->ages, e, age);
		TAILQ_INSERT_TAIL(&b->ages, e, age);
	}
	rte_spinlock_unlock(&b->lock);
}

bool
broken_has(struct broken *b, const struct pst_ip *ip, bool client, uint64_t now_ms)
{
	struct entry *e;
	bool has = false;

	rte_spinlock_lock(&b->lock);
	e = find(b, ip, client);
	if (e != NULL && now_ms < e->until_ms)
		has = true;
	else if (e != NULL)
		drop(b, e);
	rte_spinlock_unlock(&b->lock);
	return has;
}

void
broken_forget(struct broken *b, const struct pst_ip *ip, bool client)
{
	struct entry *e;

	rte_spinlock_lock(&b->lock);
	e = find(b, ip, client);
	if (e != NULL)
		drop(b, e);
	rte_spinlock_unlock(&b->lock);
}

unsigned
broken_list(struct broken *b, struct pst_broken_row *rows, unsigned max, uint64_t now_ms)
{
	struct entry *e;
	unsigned n = 0;

	rte_spinlock_lock(&b->lock);
	TAILQ_FOREACH (e, &b->ages, age) {
		if (n == max)
			break;
		if (now_ms >= e->until_ms)
			continue;
		rows[n] = (struct pst_broken_row){.ip = e->ip,
			.client = e->client,
			.left_ms = e->until_ms - now_ms,
			.failures = e->failures};
		snprintf(rows[n].cause, sizeof(rows[n].cause), "%s", e->cause);
		n++;
	}
	rte_spinlock_unlock(&b->lock);
	return n;
}

unsigned
broken_flush(struct broken *b)
{
	unsigned n;

	rte_spinlock_lock(&b->lock);
	n = b->n;
	while (b->n > 0)
		drop(b, TAILQ_FIRST(&b->ages));
	rte_spinlock_unlock(&b->lock);
	return n;
}
