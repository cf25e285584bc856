/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Ethernet frames in and out, and the 802.1Q tag.
 *
 * In: a frame is ours when it carries the port's tag (a port without a VLAN takes
 * untagged frames and the priority tag, VID 0) and is sent to our address, to all,
 * or to an IPv6 group. Out: header and tag are prepended to the first segment, and
 * the frame waits in the port's burst until pst_net_flush or until the burst is full.
 */
#include "net_impl.h"

#define TYPE_VLAN 0x8100
#define TYPE_IP4  0x0800
#define TYPE_ARP  0x0806
#define TYPE_IP6  0x86dd

/* The frame's ethertype and header length; false: counted and freed. */
static bool
vlan_check(struct pst_net *n, const struct pst_port *p, struct rte_mbuf *m, uint16_t *type,
	uint16_t *l2_len)
{
	const uint8_t *h = net_data(m);
	bool tagged = false;
	uint16_t vid = 0;

	*type = net_be16(h + 12);
	*l2_len = 14;
	if (m->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED) {
		tagged = true;
		vid = m->vlan_tci & 0xfff;
	} else if (*type == TYPE_VLAN) {
		if (m->data_len < 18) {
			NET_DROP(n, m, rx_drop_short);
			return false;
		}
		tagged = true;
		vid = net_be16(h + 14) & 0xfff;
		*type = net_be16(h + 16);
		*l2_len = 18;
	}
	/* 802.1Q: VID 0 carries only a priority and belongs to the port's own VLAN. */
	if (p->vlan != 0 ? (!tagged || vid != p->vlan) : vid != 0) {
		NET_DROP(n, m, rx_drop_vlan);
		return false;
	}
	return true;
}

static bool
mac_is_ours(const struct pst_port *p, const uint8_t *dst, bool *multicast)
{
	*multicast = (dst[0] & 1) != 0;
	if (!*multicast)
		return memcmp(dst, p->mac.addr_bytes, 6) == 0;
	if (dst[0] == 0x33 && dst[1] == 0x33) /* RFC 2464 section 7 */
		return true;
	static const uint8_t all[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	return memcmp(dst, all, 6) == 0;
}

void
eth_input(struct pst_net *n, struct pst_port *p, struct rte_mbuf *m)
{
	struct net_rx rx = {.port = p};
	uint16_t type, l2_len;

	n->c.rx_packets++;
	n->c.rx_bytes += m->pkt_len;
	m->port = p->index;
	if (m->pkt_len < 14) {
		NET_DROP(n, m, rx_drop_short);
		return;
	}
	m = net_pull(n, m, PST_MIN(m->pkt_len, 18u));
	if (m == NULL)
		return;
	if (!mac_is_ours(p, net_data(m), &rx.l2_multicast)) {
		NET_DROP(n, m, rx_drop_mac);
		return;
	}
	if (!vlan_check(n, p, m, &type, &l2_len))
		return;
	rte_pktmbuf_adj(m, l2_len);
	switch (type) {
	case TYPE_IP4:
		ip4_input(n, &rx, m);
		break;
	case TYPE_IP6:
		ip6_input(n, &rx, m);
		break;
	case TYPE_ARP:
		arp_input(n, &rx, m);
		break;
	default:
		NET_DROP(n, m, rx_drop_ethertype);
	}
}

/* For devices that cannot send chains. NULL: counted and freed. */
static struct rte_mbuf *
linear(struct pst_net *n, struct rte_mbuf *m)
{
	struct rte_mbuf *copy = rte_pktmbuf_copy(m, pst_net_pool_data(n), 0, UINT32_MAX);

	rte_pktmbuf_free(m);
	if (copy == NULL) {
		n->c.tx_drop_nomem++;
		return NULL;
	}
	if (copy->nb_segs > 1) {
		NET_DROP(n, copy, tx_drop_mtu);
		return NULL;
	}
	return copy;
}

void
eth_output(struct pst_net *n, struct pst_port *p, struct rte_mbuf *m,
	const struct rte_ether_addr *dst, uint16_t ethertype)
{
	uint8_t *h = (uint8_t *)rte_pktmbuf_prepend(m, p->l2_len);

	if (h == NULL) {
		NET_DROP(n, m, tx_drop_nomem);
		return;
	}
	memcpy(h, dst->addr_bytes, 6);
	memcpy(h + 6, p->mac.addr_bytes, 6);
	if (p->vlan != 0) {
		net_put16(h + 12, TYPE_VLAN);
		net_put16(h + 14, p->vlan);
	}
	net_put16(h + p->l2_len - 2, ethertype);
	m->l2_len = p->l2_len;
	if (m->nb_segs > 1 && !p->multi_segs)
		m = linear(n, m);
	if (m != NULL)
		eth_queue(n, p, m);
}

void
eth_queue(struct pst_net *n, struct pst_port *p, struct rte_mbuf *m)
{
	struct net_port *np = &n->port[p->index];

	if (np->ntx == NET_TXBUF)
		eth_flush_port(n, p);
	if (np->ntx == NET_TXBUF) {
		NET_DROP(n, m, tx_drop_full);
		return;
	}
	np->tx[np->ntx++] = m;
}

static unsigned
send_bare(struct pst_net *n, struct net_port *np)
{
	for (unsigned i = 0; i < np->ntx; i++) {
		n->c.tx_packets++;
		n->c.tx_bytes += np->tx[i]->pkt_len;
		if (!fifo_put(&np->out, np->tx[i])) {
			n->c.tx_packets--;
			n->c.tx_bytes -= np->tx[i]->pkt_len;
			NET_DROP(n, np->tx[i], tx_drop_full);
		}
	}
	return np->ntx;
}

static unsigned
send_device(struct pst_net *n, const struct pst_port *p, struct net_port *np)
{
	/* Counted before: a frame that was sent is the device's. */
	for (unsigned i = 0; i < np->ntx; i++)
		n->c.tx_bytes += np->tx[i]->pkt_len;
	unsigned sent = port_tx(p, n->me, np->tx, (uint16_t)np->ntx);
	for (unsigned i = sent; i < np->ntx; i++)
		n->c.tx_bytes -= np->tx[i]->pkt_len;
	n->c.tx_packets += sent;
	return sent;
}

/*
 * What the device has no room for stays for the next flush, so that a full device
 * queue delays before it loses. A worker without a queue of its own on this port
 * passes its frames to one that has: no lock guards a device queue.
 */
void
eth_flush_port(struct pst_net *n, struct pst_port *p)
{
	struct net_port *np = &n->port[p->index];
	unsigned sent = np->ntx;

	if (np->ntx == 0)
		return;
	if (p->ethdev < 0) {
		sent = send_bare(n, np);
	} else if (n->me < p->nqueues) {
		sent = send_device(n, p, np);
	} else {
		for (unsigned i = 0; i < np->ntx; i++) {
			np->tx[i]->port = p->index;
			steer_tx(n, n->me % p->nqueues, np->tx[i]);
		}
	}
	np->ntx -= sent;
	memmove(np->tx, np->tx + sent, np->ntx * sizeof(np->tx[0]));
}
