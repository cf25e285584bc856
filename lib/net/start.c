/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Making ourselves known, on the worker that polls queue 0 (worker 0), for ports that
 * announce:
 *
 *   0 s  ARP announcements, listener reports, a detection probe for each IPv6 address
 *   1 s  IPv6 addresses nobody claimed become preferred and are advertised
 *   2 s  ARP announcements again (RFC 5227 2.3: ANNOUNCE_NUM 2, ANNOUNCE_INTERVAL 2 s)
 *
 * Nothing waits for it: until detection ends, addresses are optimistic (RFC 4429), that
 * is, answered for but not used to solicit. The random delay before the first probe
 * (RFC 4862 5.4.2, SHOULD) spares a link where hundreds of hosts start together; a
 * gateway is one host with fixed addresses, and its first connection should not wait.
 */
#include "net_impl.h"

#define STEP      PST_NS_PER_SEC /* RFC 4861 RETRANS_TIMER; DupAddrDetectTransmits 1 */
#define STEP_DONE 3

static void
set_state(struct pst_net *n, struct pst_port *p, unsigned addr, enum net_addr_state state)
{
	struct net_msg msg = {.ip = p->addrs[addr].ip,
		.port = (uint8_t)p->index,
		.kind = MSG_ADDR,
		.arg = (uint8_t)state};

	n->port[p->index].addr_state[addr] = (uint8_t)state;
	steer_tell(n, &msg);
}

void
start_init(struct pst_net *n)
{
	for (unsigned i = 0; i < n->f->nports; i++) {
		const struct pst_port *p = &n->f->ports[i];
		struct net_port *np = &n->port[i];
		/* The same on every worker: a looped probe may come back to any of them. */
		uint32_t nonce[2] = {fabric_hash(n->f, &p->addrs[0].ip, 0x6e6f6e63 + i),
			fabric_hash(n->f, &p->addrs[0].ip, 0x65303132 + i)};
		memcpy(np->nonce, nonce, 6);
		np->announced = p->announce && n->me == 0 ? 0 : STEP_DONE;
		for (unsigned j = 0; j < p->naddrs; j++)
			if (p->announce && !pst_ip_is4(&p->addrs[j].ip))
				np->addr_state[j] = ADDR_OPTIMISTIC;
	}
}

static void
announce4(struct pst_net *n, struct pst_port *p)
{
	for (unsigned i = 0; i < p->naddrs; i++)
		if (pst_ip_is4(&p->addrs[i].ip))
			arp_announce(n, p, &p->addrs[i].ip);
}

static void
probe(struct pst_net *n, struct pst_port *p)
{
	mld_report(n, p);
	for (unsigned i = 0; i < p->naddrs; i++)
		if (n->port[p->index].addr_state[i] == ADDR_OPTIMISTIC)
			nd_probe_duplicate(n, p, &p->addrs[i].ip);
}

static void
settle(struct pst_net *n, struct pst_port *p)
{
	for (unsigned i = 0; i < p->naddrs; i++) {
		if (n->port[p->index].addr_state[i] != ADDR_OPTIMISTIC)
			continue;
		set_state(n, p, i, ADDR_PREFERRED);
		nd_announce(n, p, &p->addrs[i].ip);
	}
}

void
start_tick(struct pst_net *n)
{
	for (unsigned i = 0; i < n->f->nports; i++) {
		struct pst_port *p = &n->f->ports[i];
		struct net_port *np = &n->port[i];
		if (np->announced == STEP_DONE || n->now < np->start_next)
			continue;
		if (np->announced != 1)
			announce4(n, p);
		if (np->announced == 0)
			probe(n, p);
		if (np->announced == 1)
			settle(n, p);
		np->announced++;
		np->start_next = n->now + STEP;
	}
}

uint64_t
start_next(const struct pst_net *n)
{
	uint64_t next = UINT64_MAX;

	for (unsigned i = 0; i < n->f->nports; i++)
		if (n->port[i].announced != STEP_DONE)
			next = PST_MIN(next, n->port[i].start_next);
	return next;
}

/*
 * During detection the address is given up (RFC 4862 5.4.5, RFC 4429 3.3). Later it is
 * kept: a forged advertisement must not take a running gateway's address away.
 */
void
start_conflict(struct pst_net *n, struct pst_port *p, unsigned addr)
{
	if (n->port[p->index].addr_state[addr] != ADDR_OPTIMISTIC) {
		n->c.addr_conflict++;
		return;
	}
	n->c.addr_duplicate++;
	set_state(n, p, addr, ADDR_DUPLICATE);
}
