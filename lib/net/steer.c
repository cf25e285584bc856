/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Steering: every connection has one worker, a function of its four-tuple alone.
 *
 * The function is the Toeplitz hash. Where a port's device spreads by RSS with the same
 * key and a table we read back, the owner is what the device would choose; elsewhere it
 * is hash modulo workers, and whoever polled the segment passes it on. The rings between
 * workers are single-producer single-consumer, one for each ordered pair.
 *
 * Three things travel on a pair's ring, told apart by the pointer's low bits: segments
 * for their owner and frames for a device queue that only the other worker may feed. A
 * second ring of small records carries what was learned about neighbours and addresses.
 *
 * A segment that is handed over starts at its IP header again and is parsed again at the
 * other end: cheaper than a side record, and nothing needs to be trusted.
 */
#include "net_impl.h"
#include <stdio.h>
#include <stdlib.h>
#include <rte_thash.h>
#include <rte_ring_elem.h>

#define TAG_TX   ((uintptr_t)1)
#define TAG_MASK ((uintptr_t)7) /* mbufs are cache-line aligned */

static _Atomic unsigned fabric_count; /* names of rings are global to the process */

enum pst_rc
steer_init(struct pst_fabric *f, char *err, size_t errlen)
{
	unsigned id = atomic_fetch_add(&fabric_count, 1), nw = f->nworkers;
	unsigned flags = RING_F_SP_ENQ | RING_F_SC_DEQ;
	char name[RTE_RING_NAMESIZE];

	f->pkts = calloc((size_t)nw * nw, sizeof(struct rte_ring *));
	f->msgs = calloc((size_t)nw * nw, sizeof(struct rte_ring *));
	if (f->pkts == NULL || f->msgs == NULL)
		goto nomem;
	for (unsigned i = 0; i < nw * nw; i++) {
		if (i / nw == i % nw)
			continue;
		snprintf(name, sizeof(name), "pst%u_p%u", id, i);
		f->pkts[i] = rte_ring_create(name, NET_RING_SIZE, SOCKET_ID_ANY, flags);
		snprintf(name, sizeof(name), "pst%u_m%u", id, i);
		f->msgs[i] = rte_ring_create_elem(
			name, sizeof(struct net_msg), NET_MSG_SIZE, SOCKET_ID_ANY, flags);
		if (f->pkts[i] == NULL || f->msgs[i] == NULL)
			goto nomem;
	}
	return PST_OK;
nomem:
	snprintf(err, errlen, "no memory for the rings between %u workers", nw);
	return PST_NOMEM;
}

void
steer_fini(struct pst_fabric *f)
{
	unsigned nw = f->nworkers;
	void *obj;

	for (unsigned i = 0; f->pkts != NULL && f->msgs != NULL && i < nw * nw; i++) {
		while (f->pkts[i] != NULL && rte_ring_sc_dequeue(f->pkts[i], &obj) == 0)
			rte_pktmbuf_free((struct rte_mbuf *)((uintptr_t)obj & ~TAG_MASK));
		rte_ring_free(f->pkts[i]);
		rte_ring_free(f->msgs[i]);
	}
	free(f->pkts);
	free(f->msgs);
}

unsigned
steer_owner(const struct pst_fabric *f, const struct pst_ip *src, const struct pst_ip *dst,
	uint16_t sport, uint16_t dport)
{
	uint32_t tuple[9]; /* in CPU order, a word at a time */
	unsigned words = 0;

	if (f->nworkers == 1)
		return 0;
	for (unsigned i = pst_ip_is4(src) ? 12 : 0; i < 16; i += 4)
		tuple[words++] = net_be32(src->b + i);
	for (unsigned i = pst_ip_is4(src) ? 12 : 0; i < 16; i += 4)
		tuple[words++] = net_be32(dst->b + i);
	tuple[words++] = (uint32_t)sport << 16 | dport;
	uint32_t hash = rte_softrss_be(tuple, words, (const uint8_t *)f->key_be);
	/* The rule is that of the port which owns dst, by whatever port the segment came. */
	const struct net_local *l = fabric_local(f, dst);
	const struct pst_port *p = l == NULL ? NULL : &f->ports[l->port];
	if (p != NULL && p->rss)
		return p->reta[hash & (p->reta_size - 1u)] % f->nworkers;
	return hash % f->nworkers;
}

unsigned
pst_net_owner(const struct pst_net *n, const struct pst_ip *src, const struct pst_ip *dst,
	uint16_t sport, uint16_t dport)
{
	return steer_owner(n->f, src, dst, sport, dport);
}

static bool
push(struct pst_net *n, unsigned to, struct rte_mbuf *m, uintptr_t tag)
{
	struct rte_ring *r = n->f->pkts[n->me * n->f->nworkers + to];

	if (rte_ring_sp_enqueue(r, (void *)((uintptr_t)m | tag)) != 0)
		return false;
	n->wake |= UINT64_C(1) << to;
	return true;
}

static void
pass_on(struct pst_net *n, unsigned to, const struct net_rx *rx, struct rte_mbuf *m)
{
	/* Only the data offset moves: the header is still there, unchanged. */
	rte_pktmbuf_prepend(m, rx->l3_len);
	if (push(n, to, m, 0))
		n->c.steer_sent++;
	else
		NET_DROP(n, m, rx_drop_steer_full);
}

static bool
misroute_now(struct pst_net *n)
{
	if (n->f->misroute_every == 0 || --n->until_misroute != 0)
		return false;
	n->until_misroute = n->f->misroute_every;
	return true;
}

bool
steer_here(struct pst_net *n, const struct net_rx *rx, struct rte_mbuf *m, const struct pst_ip *src,
	const struct pst_ip *dst, uint16_t sport, uint16_t dport)
{
	if (n->f->nworkers == 1)
		return true;
	if (!rx->steered) {
		unsigned owner = steer_owner(n->f, src, dst, sport, dport);
		if (misroute_now(n))
			owner = (owner + 1) % n->f->nworkers;
		if (owner != n->me) {
			pass_on(n, owner, rx, m);
			return false;
		}
	}
	/* The last gate before TCP: nobody's connection suffers from our mistake. */
	unsigned check = pst_net_owner_check(n, src, dst, sport, dport);
	if (check == n->me)
		return true;
	n->c.steer_wrong_owner++;
	pass_on(n, check, rx, m);
	return false;
}

void
steer_tx(struct pst_net *n, unsigned to, struct rte_mbuf *m)
{
	if (!push(n, to, m, TAG_TX))
		NET_DROP(n, m, tx_drop_full);
}

void
steer_tell(struct pst_net *n, const struct net_msg *msg)
{
	for (unsigned to = 0; to < n->f->nworkers; to++) {
		if (to == n->me)
			continue;
		struct rte_ring *r = n->f->msgs[n->me * n->f->nworkers + to];
		/* Full of neighbours: that worker will ask itself. Addresses are told once. */
		if (msg->kind == MSG_NEIGH && rte_ring_free_count(r) <= NET_MSG_RESERVE)
			continue;
		if (rte_ring_sp_enqueue_elem(r, (void *)(uintptr_t)msg, sizeof(*msg)) == 0)
			n->wake |= UINT64_C(1) << to;
	}
}

static void
take_message(struct pst_net *n, const struct net_msg *msg)
{
	struct pst_port *p = &n->f->ports[msg->port];

	if (msg->kind == MSG_NEIGH) {
		neigh_apply(n, p, &msg->ip, &msg->mac, (enum neigh_how)msg->arg);
		return;
	}
	const struct net_local *l = fabric_local(n->f, &msg->ip);
	if (l != NULL)
		n->port[l->port].addr_state[l->addr] = msg->arg;
}

static void
take_packet(struct pst_net *n, void *obj)
{
	struct rte_mbuf *m = (struct rte_mbuf *)((uintptr_t)obj & ~TAG_MASK);
	struct pst_port *p = &n->f->ports[m->port];

	if ((uintptr_t)obj & TAG_TX) {
		eth_queue(n, p, m);
		return;
	}
	struct net_rx rx = {.port = p, .steered = true};
	n->c.steer_recv++;
	if (net_data(m)[0] >> 4 == 4)
		ip4_input(n, &rx, m);
	else
		ip6_input(n, &rx, m);
}

void
steer_poll_messages(struct pst_net *n)
{
	struct net_msg msg = {0};

	for (unsigned from = 0; from < n->f->nworkers; from++) {
		if (from == n->me)
			continue;
		struct rte_ring *r = n->f->msgs[from * n->f->nworkers + n->me];
		for (unsigned k = 0; k < NET_MSG_SIZE; k++) {
			if (rte_ring_sc_dequeue_elem(r, &msg, sizeof(msg)) != 0)
				break;
			take_message(n, &msg);
		}
	}
}

void
steer_poll(struct pst_net *n, unsigned from)
{
	struct rte_ring *r = n->f->pkts[from * n->f->nworkers + n->me];
	unsigned room = PST_MIN(n->out_max - n->nout, (unsigned)NET_BURST);
	void *objs[NET_BURST] = {NULL};
	unsigned got = rte_ring_sc_dequeue_burst(r, objs, room, NULL);

	for (unsigned k = 0; k < got; k++)
		take_packet(n, objs[k]);
}

/* Is anything on its way to this worker? */
bool
steer_waiting(const struct pst_net *n)
{
	for (unsigned from = 0; from < n->f->nworkers; from++) {
		unsigned i = from * n->f->nworkers + n->me;
		if (from != n->me &&
			(!rte_ring_empty(n->f->pkts[i]) || !rte_ring_empty(n->f->msgs[i])))
			return true;
	}
	return false;
}

void
steer_wake(struct pst_net *n)
{
	while (n->wake != 0) {
		unsigned to = (unsigned)__builtin_ctzll(n->wake);
		n->wake &= n->wake - 1;
		pst_fabric_wake(n->f, to);
	}
}
