/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The neighbour table: one per worker, filled by ARP and ND alike, with the states and
 * timers of RFC 4861 7.3 (unreachability detection) for both families.
 *
 *   INCOMPLETE  asked, no answer yet; packets wait (the newest NET_NEIGH_QUEUE)
 *   REACHABLE   answered not long ago
 *   STALE       known, of doubtful freshness; used as it is
 *   DELAY       used while stale: give it five seconds before asking
 *   PROBE       asked at its own address; after three silences it is forgotten, and the
 *               next packet starts over by broadcast
 *
 * What one worker learns it tells the others by message (steer_tell), because the answer
 * to a question may arrive at any of them. A lost message costs one more question.
 *
 * Bounded: NET_NEIGHS entries. Neighbours that never answered, or that we never sent
 * anything to, are evicted first: neither who floods the link with invented addresses nor
 * who sends from forged ones of the link can push out those in use (RFC 6583 section 7).
 */
#include "net_impl.h"

/* RFC 4861 section 10 */
#define REACHABLE_TIME    (30 * PST_NS_PER_SEC)
#define RETRANS_TIMER     (1 * PST_NS_PER_SEC)
#define DELAY_FIRST_PROBE (5 * PST_NS_PER_SEC)
#define MAX_SOLICIT       3
#define ASK_AGAIN         (50 * PST_NS_PER_MS) /* could not ask yet: no mbuf, no address */

void
neigh_init(struct pst_net *n)
{
	struct neigh_table *t = &n->neigh;

	TAILQ_INIT(&t->free);
	TAILQ_INIT(&t->used);
	TAILQ_INIT(&t->passive);
	t->next = UINT64_MAX;
	for (unsigned i = 0; i < NET_NEIGHS; i++)
		TAILQ_INSERT_TAIL(&t->free, &t->all[i], lru);
}

static struct neigh **
chain_of(struct pst_net *n, uint16_t port, const struct pst_ip *ip)
{
	return &n->neigh.hash[fabric_hash(n->f, ip, port) % NET_NEIGH_HASH];
}

static struct neigh *
find(struct pst_net *n, uint16_t port, const struct pst_ip *ip)
{
	for (struct neigh *e = *chain_of(n, port, ip); e != NULL; e = e->next)
		if (e->port == port && pst_ip_eq(&e->ip, ip))
			return e;
	return NULL;
}

static struct neigh_list *
list_of(struct pst_net *n, const struct neigh *e)
{
	return e->used ? &n->neigh.used : &n->neigh.passive;
}

static void
drop_queue(struct pst_net *n, struct neigh *e)
{
	for (unsigned i = 0; i < e->nqueued; i++)
		NET_DROP(n, e->queue[i], tx_drop_neighbour);
	e->nqueued = 0;
}

static void
forget(struct pst_net *n, struct neigh *e)
{
	struct neigh **at = chain_of(n, e->port, &e->ip);

	drop_queue(n, e);
	while (*at != e)
		at = &(*at)->next;
	*at = e->next;
	TAILQ_REMOVE(list_of(n, e), e, lru);
	e->state = NEIGH_FREE;
	TAILQ_INSERT_HEAD(&n->neigh.free, e, lru);
}

void
neigh_fini(struct pst_net *n)
{
	for (unsigned i = 0; i < NET_NEIGHS; i++)
		if (n->neigh.all[i].state != NEIGH_FREE)
			forget(n, &n->neigh.all[i]);
}

static struct neigh *
make(struct pst_net *n, const struct pst_port *p, const struct pst_ip *ip)
{
	struct neigh_table *t = &n->neigh;

	if (TAILQ_EMPTY(&t->free))
		forget(n, TAILQ_EMPTY(&t->passive) ? TAILQ_FIRST(&t->used)
						   : TAILQ_FIRST(&t->passive));
	struct neigh *e = TAILQ_FIRST(&t->free);
	TAILQ_REMOVE(&t->free, e, lru);
	*e = (struct neigh){.ip = *ip, .port = p->index, .deadline = UINT64_MAX};
	struct neigh **at = chain_of(n, p->index, ip);
	e->next = *at;
	*at = e;
	TAILQ_INSERT_TAIL(&t->passive, e, lru);
	return e;
}

static void
touch(struct pst_net *n, struct neigh *e)
{
	if (e == TAILQ_LAST(&n->neigh.used, neigh_list))
		return;
	TAILQ_REMOVE(list_of(n, e), e, lru);
	e->used = true;
	TAILQ_INSERT_TAIL(&n->neigh.used, e, lru);
}

static void
enter_state(struct pst_net *n, struct neigh *e, enum neigh_state state, uint64_t after)
{
	if (state != e->state) {
		e->tries = 0;
		e->by_group = false;
	}
	e->state = (uint8_t)state;
	e->deadline = after == UINT64_MAX ? UINT64_MAX : n->now + after;
	n->neigh.next = PST_MIN(n->neigh.next, e->deadline);
}

/* RFC 4861 6.3.2: between 0.5 and 1.5 of the base, so that neighbours do not beat in time. */
static uint64_t
reachable_time(struct pst_net *n)
{
	return REACHABLE_TIME / 2 + (uint64_t)net_random(n) % (REACHABLE_TIME / 1000) * 1000;
}

/* Asks by group while unknown or in doubt, else at the neighbour's own address. */
static void
ask(struct pst_net *n, struct neigh *e)
{
	struct pst_port *p = &n->f->ports[e->port];
	bool group = e->state == NEIGH_INCOMPLETE || e->by_group;
	const struct rte_ether_addr *to = group ? NULL : &e->mac;
	bool sent =
		pst_ip_is4(&e->ip) ? arp_request(n, p, &e->ip, to) : nd_solicit(n, p, &e->ip, to);

	if (sent)
		e->tries++;
	enter_state(n, e, (enum neigh_state)e->state, sent ? RETRANS_TIMER : ASK_AGAIN);
}

static uint16_t
ethertype(const struct neigh *e)
{
	return pst_ip_is4(&e->ip) ? 0x0800 : 0x86dd;
}

/* RFC 4861 7.2.2: when the queue overflows, the new arrival replaces the oldest. */
static enum pst_rc
enqueue(struct pst_net *n, struct neigh *e, struct rte_mbuf *m)
{
	if (e->nqueued == NET_NEIGH_QUEUE) {
		NET_DROP(n, e->queue[0], tx_drop_neighbour);
		e->nqueued--;
		memmove(e->queue, e->queue + 1, e->nqueued * sizeof(e->queue[0]));
	}
	e->queue[e->nqueued++] = m;
	return PST_OK;
}

enum pst_rc
neigh_output(struct pst_net *n, struct pst_port *p, const struct pst_ip *hop, struct rte_mbuf *m)
{
	struct neigh *e = find(n, p->index, hop);

	if (e == NULL) {
		e = make(n, p, hop);
		enter_state(n, e, NEIGH_INCOMPLETE, RETRANS_TIMER);
		ask(n, e);
		return enqueue(n, e, m);
	}
	if (e->state == NEIGH_INCOMPLETE)
		return enqueue(n, e, m);
	touch(n, e);
	if (e->state == NEIGH_STALE || (e->state == NEIGH_REACHABLE && n->now >= e->deadline))
		enter_state(n, e, NEIGH_DELAY, DELAY_FIRST_PROBE);
	eth_output(n, p, m, &e->mac, ethertype(e));
	return PST_OK;
}

static void
resolved(struct pst_net *n, struct pst_port *p, struct neigh *e, const struct rte_ether_addr *mac,
	bool confirmed)
{
	e->mac = *mac;
	if (confirmed)
		enter_state(n, e, NEIGH_REACHABLE, reachable_time(n));
	else
		enter_state(n, e, NEIGH_STALE, UINT64_MAX);
	if (e->nqueued != 0)
		touch(n, e);
	for (unsigned i = 0; i < e->nqueued; i++)
		eth_output(n, p, e->queue[i], mac, ethertype(e));
	e->nqueued = 0;
}

/* RFC 4861 7.2.3 (a question told us) and 7.2.5 (an answer), in one place. */
void
neigh_apply(struct pst_net *n, struct pst_port *p, const struct pst_ip *ip,
	const struct rte_ether_addr *mac, enum neigh_how how)
{
	struct neigh *e = find(n, p->index, ip);
	bool same;

	if (rte_is_zero_ether_addr(mac)) {
		/* 7.2.5: without an address, nothing for an entry that has none. */
		if (e == NULL || e->state == NEIGH_INCOMPLETE)
			return;
		mac = &e->mac;
	}
	if (e == NULL && how != NEIGH_ASKED)
		return; /* 7.2.5: no entry, nobody is interested: silently discarded */
	if (e == NULL) {
		e = make(n, p, ip);
		resolved(n, p, e, mac, false);
		return;
	}
	if (e->state == NEIGH_INCOMPLETE) {
		resolved(n, p, e, mac, how == NEIGH_ANSWER || how == NEIGH_WEAK);
		return;
	}
	same = rte_is_same_ether_addr(&e->mac, mac);
	if (how == NEIGH_WEAK && !same) {
		/* Override clear and another address: keep ours, but doubt it. */
		if (e->state == NEIGH_REACHABLE)
			enter_state(n, e, NEIGH_STALE, UINT64_MAX);
	} else if (how == NEIGH_ANSWER || how == NEIGH_WEAK) {
		resolved(n, p, e, mac, true);
	} else if (!same) {
		resolved(n, p, e, mac, false);
	}
}

void
neigh_learn(struct pst_net *n, struct pst_port *p, const struct pst_ip *ip,
	const struct rte_ether_addr *mac, enum neigh_how how)
{
	struct net_msg msg = {.ip = *ip,
		.mac = *mac,
		.port = (uint8_t)p->index,
		.kind = MSG_NEIGH,
		.arg = (uint8_t)how};

	neigh_apply(n, p, ip, mac, how);
	steer_tell(n, &msg);
}

void
neigh_suspect(struct pst_net *n, struct pst_port *p, const struct pst_ip *hop)
{
	struct neigh *e = find(n, p->index, hop);

	if (e == NULL || e->state == NEIGH_INCOMPLETE || e->state == NEIGH_PROBE)
		return;
	/* One router stands before many silent peers: not a broadcast for each of them. */
	if (e->suspected != 0 && n->now - e->suspected < RETRANS_TIMER)
		return;
	e->suspected = n->now;
	enter_state(n, e, NEIGH_PROBE, RETRANS_TIMER);
	e->by_group = true; /* one that moved would not hear a unicast probe */
	ask(n, e);
}

static void
expire(struct pst_net *n, struct neigh *e)
{
	switch ((enum neigh_state)e->state) {
	case NEIGH_REACHABLE:
		enter_state(n, e, NEIGH_STALE, UINT64_MAX);
		break;
	case NEIGH_DELAY:
		enter_state(n, e, NEIGH_PROBE, RETRANS_TIMER);
		ask(n, e);
		break;
	case NEIGH_INCOMPLETE:
	case NEIGH_PROBE:
		if (e->tries < MAX_SOLICIT) {
			ask(n, e);
			break;
		}
		n->c.neigh_failed++;
		forget(n, e);
		break;
	case NEIGH_FREE:
	case NEIGH_STALE:
		break;
	}
}

void
neigh_tick(struct pst_net *n)
{
	if (n->now < n->neigh.next)
		return;
	n->neigh.next = UINT64_MAX;
	for (unsigned i = 0; i < NET_NEIGHS; i++) {
		struct neigh *e = &n->neigh.all[i];
		if (e->state == NEIGH_FREE)
			continue;
		if (n->now >= e->deadline)
			expire(n, e);
		if (e->state != NEIGH_FREE)
			n->neigh.next = PST_MIN(n->neigh.next, e->deadline);
	}
}
