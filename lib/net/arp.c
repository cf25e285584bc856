/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ARP (RFC 826) for Ethernet and IPv4, with the announcements and the defence of
 * RFC 5227. Any worker answers; what it learns goes to all (neigh_learn).
 */
#include "net_impl.h"

#define ARP_LEN     28
#define ARP_REQUEST 1
#define ARP_REPLY   2
#define TYPE_ARP    0x0806
#define DEFEND      (10 * PST_NS_PER_SEC) /* RFC 5227 1.1 DEFEND_INTERVAL */

struct arp {
	uint16_t op;
	struct rte_ether_addr sha, tha;
	struct pst_ip spa, tpa;
};

static bool
decode(const uint8_t *h, struct arp *a)
{
	static const uint8_t ethernet_ip4[6] = {0, 1, 0x08, 0x00, 6, 4};
	uint32_t ip;

	if (memcmp(h, ethernet_ip4, 6) != 0)
		return false;
	a->op = net_be16(h + 6);
	memcpy(a->sha.addr_bytes, h + 8, 6);
	memcpy(&ip, h + 14, 4);
	a->spa = pst_ip_from4(ip);
	memcpy(a->tha.addr_bytes, h + 18, 6);
	memcpy(&ip, h + 24, 4);
	a->tpa = pst_ip_from4(ip);
	return (a->op == ARP_REQUEST || a->op == ARP_REPLY) &&
	       rte_is_valid_assigned_ether_addr(&a->sha) && !pst_ip_is_multicast(&a->spa);
}

static bool
encode_and_send(
	struct pst_net *n, struct pst_port *p, const struct arp *a, const struct rte_ether_addr *to)
{
	struct rte_mbuf *m;
	uint8_t *h = net_alloc(n, ARP_LEN, &m);

	if (h == NULL)
		return false;
	net_put16(h, 1);
	net_put16(h + 2, 0x0800);
	h[4] = 6;
	h[5] = 4;
	net_put16(h + 6, a->op);
	memcpy(h + 8, p->mac.addr_bytes, 6);
	memcpy(h + 14, a->spa.b + 12, 4);
	memcpy(h + 18, a->tha.addr_bytes, 6);
	memcpy(h + 24, a->tpa.b + 12, 4);
	eth_output(n, p, m, to, TYPE_ARP);
	return true;
}

static const struct rte_ether_addr broadcast = {.addr_bytes = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};

bool
arp_request(struct pst_net *n, struct pst_port *p, const struct pst_ip *target,
	const struct rte_ether_addr *to)
{
	struct arp a = {.op = ARP_REQUEST, .tpa = *target};
	const struct pst_ip *src = route_source(n, p, target, target);

	if (src == NULL)
		return false;
	a.spa = *src;
	return encode_and_send(n, p, &a, to == NULL ? &broadcast : to);
}

/* RFC 5227 2.3: an ARP announcement is a request whose sender and target are the same. */
void
arp_announce(struct pst_net *n, struct pst_port *p, const struct pst_ip *ip)
{
	struct arp a = {.op = ARP_REQUEST, .spa = *ip, .tpa = *ip};
	encode_and_send(n, p, &a, &broadcast);
}

/*
 * RFC 5227 2.4 (b): the address stays ours; one announcement, and not another within
 * DEFEND_INTERVAL, so that two stubborn hosts do not fill the link.
 */
static void
defend(struct pst_net *n, struct pst_port *p, const struct pst_ip *ip)
{
	struct net_port *np = &n->port[p->index];

	n->c.addr_conflict++;
	if (np->defended != 0 && n->now - np->defended < DEFEND)
		return;
	np->defended = n->now;
	arp_announce(n, p, ip);
}

/* The sender's own word about itself. Nothing is learned about hosts of other links. */
static void
learn(struct pst_net *n, struct pst_port *p, const struct arp *a, bool asks_us)
{
	enum neigh_how how = NEIGH_ANNOUNCED;

	if (pst_ip_is_any(&a->spa) || !route_on_link(n->f, p, &a->spa))
		return;
	if (asks_us)
		how = NEIGH_ASKED;
	else if (a->op == ARP_REPLY && rte_is_same_ether_addr(&a->tha, &p->mac))
		how = NEIGH_ANSWER;
	neigh_learn(n, p, &a->spa, &a->sha, how);
}

void
arp_input(struct pst_net *n, struct net_rx *rx, struct rte_mbuf *m)
{
	struct pst_port *p = rx->port;
	struct arp a;

	n->c.rx_arp++;
	if (m->pkt_len < ARP_LEN) {
		NET_DROP(n, m, rx_drop_arp);
		return;
	}
	m = net_pull(n, m, ARP_LEN);
	if (m == NULL)
		return;
	if (!decode(net_data(m), &a)) {
		NET_DROP(n, m, rx_drop_arp);
		return;
	}
	const struct net_local *l = net_local(n, &a.spa);
	if (l != NULL) {
		/* Our address in a stranger's mouth; our own frame come back is nothing. */
		if (l->port == p->index && !rte_is_same_ether_addr(&a.sha, &p->mac))
			defend(n, p, &a.spa);
		NET_DROP(n, m, rx_drop_martian);
		return;
	}
	l = net_local(n, &a.tpa);
	bool asks_us = a.op == ARP_REQUEST && l != NULL && l->port == p->index;
	learn(n, p, &a, asks_us);
	if (asks_us) {
		struct arp r = {.op = ARP_REPLY, .spa = a.tpa, .tpa = a.spa, .tha = a.sha};
		if (!encode_and_send(n, p, &r, &a.sha)) {
			NET_DROP(n, m, rx_drop_nomem);
			return;
		}
	} else if (a.op == ARP_REQUEST && !pst_ip_eq(&a.spa, &a.tpa)) {
		NET_DROP(n, m, rx_drop_not_local);
		return;
	}
	rte_pktmbuf_free(m);
}
