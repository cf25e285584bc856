/* SPDX-License-Identifier: BSD-3-Clause */
#include "peers.h"

#include <pst_rand.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <rte_spinlock.h>

#define STRIPES   256
#define SLOTS     256 /* a stripe's addresses */
#define PROBES    16  /* looked at for one address */
#define MINUTE_MS 60000

struct slot {
	struct pst_ip ip;
	uint32_t sessions, handshakes;
	uint32_t came;    /* in this window */
	uint32_t minutes; /* the window: now / 60 s, plus 1 so that 0 is free */
};

struct stripe {
	_Alignas(64) rte_spinlock_t lock;
	struct slot slots[SLOTS];
};

struct peers {
	struct pst_sipkey key; /* a client must not choose whom it collides with */
	_Atomic uint64_t uncounted;
	struct stripe stripes[STRIPES];
};

struct peers *
peers_new(void)
{
	struct pst_rand r;
	struct peers *p = aligned_alloc(64, sizeof(*p));

	if (p == NULL)
		return NULL;
	memset(p, 0, sizeof(*p));
	pst_rand_init(&r);
	p->key = r.key;
	for (unsigned i = 0; i < STRIPES; i++)
		rte_spinlock_init(&p->stripes[i].lock);
	return p;
}

void
peers_free(struct peers *p)
{
	free(p);
}

static struct pst_ip
subject(const struct pst_ip *ip)
{
	struct pst_ip s = *ip;

	if (!pst_ip_is4(ip))
		memset(s.b + 8, 0, 8);
	return s;
}

static bool
idle(const struct slot *s, uint32_t minutes)
{
	return s->sessions == 0 && s->handshakes == 0 && s->minutes != minutes;
}

/* The slot of ip, or one it may have; NULL: all are in use. Under the lock. */
static struct slot *
find(struct stripe *st, const struct pst_ip *ip, uint64_t hash, uint32_t minutes, bool make)
{
	struct slot *spare = NULL;

	for (unsigned i = 0; i < PROBES; i++) {
		struct slot *s = &st->slots[(hash / STRIPES + i) % SLOTS];

		if (s->minutes != 0 && pst_ip_eq(&s->ip, ip))
			return s;
		if (spare == NULL && idle(s, minutes))
			spare = s;
	}
	if (!make || spare == NULL)
		return NULL;
	*spare = (struct slot){.ip = *ip, .minutes = minutes};
	return spare;
}

static struct stripe *
lock_stripe(struct peers *p, const struct pst_ip *ip, uint64_t *hash)
{
	struct stripe *st;

	*hash = pst_siphash(&p->key, ip->b, sizeof(ip->b));
	st = &p->stripes[*hash % STRIPES];
	rte_spinlock_lock(&st->lock);
	return st;
}

enum peers_verdict
peers_enter(struct peers *p, const struct pst_ip *ip, const struct peers_limits *l, uint64_t now_ms)
{
	struct pst_ip who = subject(ip);
	uint32_t minutes = (uint32_t)(now_ms / MINUTE_MS) + 1;
	enum peers_verdict v = PEERS_OK;
	uint64_t hash;
	struct stripe *st = lock_stripe(p, &who, &hash);
	struct slot *s = find(st, &who, hash, minutes, true);

	if (s == NULL) {
		atomic_fetch_add_explicit(&p->uncounted, 1, memory_order_relaxed);
		rte_spinlock_unlock(&st->lock);
		return PEERS_OK;
	}
	if (s->minutes != minutes) {
		s->minutes = minutes;
		s->came = 0;
	}
	s->came++;
	if (l->per_minute != 0 && s->came > l->per_minute)
		v = PEERS_RATE;
	else if (l->sessions != 0 && s->sessions >= l->sessions)
		v = PEERS_SESSIONS;
	else
		s->sessions++;
	rte_spinlock_unlock(&st->lock);
	return v;
}

/* What was let in uncounted has no slot: leaving finds none, or one that is at zero. */
static void
drop(struct peers *p, const struct pst_ip *ip, bool handshake)
{
	struct pst_ip who = subject(ip);
	uint64_t hash;
	struct stripe *st = lock_stripe(p, &who, &hash);
	struct slot *s = find(st, &who, hash, 0, false);
	uint32_t *n = s == NULL ? NULL : handshake ? &s->handshakes : &s->sessions;

	if (n != NULL && *n > 0)
		(*n)--;
	rte_spinlock_unlock(&st->lock);
}

void
peers_leave(struct peers *p, const struct pst_ip *ip)
{
	drop(p, ip, false);
}

enum peers_verdict
peers_handshake(struct peers *p, const struct pst_ip *ip, const struct peers_limits *l)
{
	struct pst_ip who = subject(ip);
	enum peers_verdict v = PEERS_OK;
	uint64_t hash;
	struct stripe *st = lock_stripe(p, &who, &hash);
	struct slot *s = find(st, &who, hash, 0, false);

	if (s != NULL && l->handshakes != 0 && s->handshakes >= l->handshakes)
		v = PEERS_HANDSHAKES;
	else if (s != NULL)
		s->handshakes++;
	rte_spinlock_unlock(&st->lock);
	return v;
}

void
peers_handshake_over(struct peers *p, const struct pst_ip *ip)
{
	drop(p, ip, true);
}

uint64_t
peers_uncounted(struct peers *p)
{
	return atomic_load_explicit(&p->uncounted, memory_order_relaxed);
}

unsigned
peers_known(struct peers *p)
{
	unsigned n = 0;

	for (unsigned i = 0; i < STRIPES; i++) {
		rte_spinlock_lock(&p->stripes[i].lock);
		for (unsigned k = 0; k < SLOTS; k++)
			n += p->stripes[i].slots[k].sessions > 0;
		rte_spinlock_unlock(&p->stripes[i].lock);
	}
	return n;
}
