/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Neighbour discovery for IPv6 (RFC 4861): solicitations and advertisements both ways,
 * duplicate address detection (RFC 4862 5.4) with a nonce against looped frames
 * (RFC 7527), optimistic addresses meanwhile (RFC 4429), and the multicast listener
 * reports (RFC 3810) without which a snooping switch would keep solicitations from us.
 *
 * Router advertisements and redirects are not listened to: routes are configured, and a
 * gateway that believes the link about its way out is easily led astray.
 */
#include "net_impl.h"

#define ND_NS     135
#define ND_NA     136
#define OPT_SLLA  1
#define OPT_TLLA  2
#define OPT_NONCE 14

#define NA_ROUTER    0x80
#define NA_SOLICITED 0x40
#define NA_OVERRIDE  0x20

static const struct pst_ip any = {.b = {0}};
static const struct pst_ip all_nodes = {.b = {0xff, 2, [15] = 1}};

struct nd {
	uint8_t type, flags;
	struct pst_ip target;
	const uint8_t *lladdr; /* SLLA of a solicitation, TLLA of an advertisement; or NULL */
	const uint8_t *nonce;  /* six bytes, or NULL */
};

/* RFC 4861 7.1.1, 7.1.2: every option's length is greater than zero. */
static bool
decode_options(const uint8_t *o, unsigned len, struct nd *nd)
{
	uint8_t wanted = nd->type == ND_NS ? OPT_SLLA : OPT_TLLA;

	while (len > 0) {
		unsigned olen = len < 2 ? 0 : o[1] * 8u;
		if (olen == 0 || olen > len)
			return false;
		if (o[0] == wanted && olen == 8 && nd->lladdr == NULL)
			nd->lladdr = o + 2;
		if (o[0] == OPT_NONCE && olen == 8)
			nd->nonce = o + 2;
		o += olen;
		len -= olen;
	}
	return true;
}

static bool
decode(const struct net_rx *rx, const uint8_t *h, struct nd *nd)
{
	*nd = (struct nd){.type = h[0], .flags = h[4]};
	/* MUST silently discard: hop limit not 255, code not 0, too short. */
	if (rx->ttl != 255 || h[1] != 0 || rx->l4_len < 24)
		return false;
	nd->target = pst_ip_from6(h + 8);
	if (pst_ip_is_multicast(&nd->target) || !decode_options(h + 24, rx->l4_len - 24u, nd))
		return false;
	if (nd->lladdr != NULL && (nd->lladdr[0] & 1) != 0)
		return false;
	bool from_any = pst_ip_is_any(&rx->src);
	if (nd->type == ND_NS) {
		struct pst_ip group;
		ip6_solicited_node(&nd->target, &group);
		return !from_any || (nd->lladdr == NULL && pst_ip_eq(&rx->dst, &group));
	}
	return !from_any && !(pst_ip_is_multicast(&rx->dst) && (nd->flags & NA_SOLICITED) != 0);
}

/* One ICMPv6 message with at most one option: lladdr and nonce are never both sent. */
static struct rte_mbuf *
encode(struct pst_net *n, const struct nd *nd, const struct pst_ip *src, const struct pst_ip *dst)
{
	const uint8_t *value = nd->lladdr != NULL ? nd->lladdr : nd->nonce;
	uint16_t len = value != NULL ? 32 : 24;
	struct rte_mbuf *m;
	uint8_t *h = net_alloc(n, len, &m);

	if (h == NULL)
		return NULL;
	memset(h, 0, len);
	h[0] = nd->type;
	h[4] = nd->flags;
	memcpy(h + 8, nd->target.b, 16);
	if (value != NULL) {
		h[24] = nd->lladdr == NULL ? OPT_NONCE : nd->type == ND_NS ? OPT_SLLA : OPT_TLLA;
		h[25] = 1;
		memcpy(h + 26, value, 6);
	}
	ip6_header(m, src, dst, IPPROTO_ICMPV6, 0, 255);
	checksum_l4_set(m, 40, false, 2);
	return m;
}

static bool
transmit(struct pst_net *n, struct pst_port *p, const struct nd *nd, const struct pst_ip *src,
	const struct pst_ip *dst, const struct rte_ether_addr *mac)
{
	struct rte_mbuf *m = encode(n, nd, src, dst);

	if (m == NULL)
		return false;
	eth_output(n, p, m, mac, 0x86dd);
	return true;
}

/*
 * The source of a solicitation: the address the target would answer to, but only one
 * that passed detection. RFC 4429 3.3: an optimistic address MUST NOT be the source of a
 * solicitation; the packet waits (neigh.c asks again shortly).
 */
static const struct pst_ip *
solicit_source(const struct pst_net *n, const struct pst_port *p, const struct pst_ip *target)
{
	const struct pst_ip *best = NULL;

	for (unsigned i = 0; i < p->naddrs; i++) {
		const struct pst_prefix *a = &p->addrs[i];
		if (pst_ip_is4(&a->ip) || n->port[p->index].addr_state[i] != ADDR_PREFERRED)
			continue;
		if (pst_prefix_has(a, target))
			return &a->ip;
		if (best == NULL || pst_ip_is_linklocal(&a->ip))
			best = &a->ip;
	}
	return best;
}

bool
nd_solicit(struct pst_net *n, struct pst_port *p, const struct pst_ip *target,
	const struct rte_ether_addr *to)
{
	struct nd nd = {.type = ND_NS, .target = *target, .lladdr = p->mac.addr_bytes};
	const struct pst_ip *src = solicit_source(n, p, target);
	struct rte_ether_addr mac;
	struct pst_ip group;

	if (src == NULL)
		return false;
	if (to != NULL)
		return transmit(n, p, &nd, src, target, to);
	ip6_solicited_node(target, &group);
	ip6_multicast_mac(&group, &mac);
	return transmit(n, p, &nd, src, &group, &mac);
}

void
nd_probe_duplicate(struct pst_net *n, struct pst_port *p, const struct pst_ip *target)
{
	struct nd nd = {.type = ND_NS, .target = *target, .nonce = n->port[p->index].nonce};
	struct rte_ether_addr mac;
	struct pst_ip group;

	ip6_solicited_node(target, &group);
	ip6_multicast_mac(&group, &mac);
	transmit(n, p, &nd, &any, &group, &mac);
}

/* RFC 4861 7.2.6: caches of the link that hold an older address of ours are corrected. */
void
nd_announce(struct pst_net *n, struct pst_port *p, const struct pst_ip *target)
{
	struct nd nd = {.type = ND_NA,
		.flags = NA_OVERRIDE,
		.target = *target,
		.lladdr = p->mac.addr_bytes};
	struct rte_ether_addr mac;

	ip6_multicast_mac(&all_nodes, &mac);
	transmit(n, p, &nd, target, &all_nodes, &mac);
}

/* RFC 4861 7.2.4. From the unspecified address: the answer goes to all, not solicited. */
static bool
advertise(struct pst_net *n, struct pst_port *p, const struct net_rx *rx, const struct nd *ask,
	bool optimistic)
{
	bool from_any = pst_ip_is_any(&rx->src);
	struct nd nd = {.type = ND_NA, .target = ask->target, .lladdr = p->mac.addr_bytes};
	struct rte_ether_addr mac;

	/* RFC 4429 3.3: MUST clear the override flag while the address is optimistic. */
	nd.flags = (from_any ? 0 : NA_SOLICITED) | (optimistic ? 0 : NA_OVERRIDE);
	if (from_any) {
		ip6_multicast_mac(&all_nodes, &mac);
		return transmit(n, p, &nd, &ask->target, &all_nodes, &mac);
	}
	if (ask->lladdr != NULL) {
		memcpy(mac.addr_bytes, ask->lladdr, 6);
		return transmit(n, p, &nd, &ask->target, &rx->src, &mac);
	}
	/* No address given: the answer is an ordinary packet for the neighbour table. */
	struct rte_mbuf *m = encode(n, &nd, &ask->target, &rx->src);
	if (m != NULL)
		neigh_output(n, p, &rx->src, m);
	return m != NULL;
}

/* True when the solicitation was an answer's due and there was no memory for it. */
static bool
solicited(struct pst_net *n, struct net_rx *rx, const struct nd *nd, const struct net_local *l)
{
	struct pst_port *p = rx->port;
	struct net_port *np = &n->port[p->index];
	bool optimistic = np->addr_state[l->addr] == ADDR_OPTIMISTIC;

	if (pst_ip_is_any(&rx->src)) {
		/* RFC 7527 4.1: our own nonce is our own frame, looped back. */
		if (nd->nonce != NULL && memcmp(nd->nonce, np->nonce, 6) == 0)
			return false;
		if (optimistic) {
			/* RFC 4862 5.4.3: two nodes probe for one address: neither has it. */
			start_conflict(n, p, l->addr);
			return false;
		}
	} else if (nd->lladdr != NULL) {
		struct rte_ether_addr mac;
		memcpy(mac.addr_bytes, nd->lladdr, 6);
		if (route_on_link(n->f, p, &rx->src))
			neigh_learn(n, p, &rx->src, &mac, NEIGH_ASKED);
	}
	return !advertise(n, p, rx, nd, optimistic);
}

static void
advertised(struct pst_net *n, struct net_rx *rx, const struct nd *nd)
{
	struct pst_port *p = rx->port;
	const struct net_local *l = fabric_local(n->f, &nd->target);
	struct rte_ether_addr mac = {0};

	if (l != NULL) {
		/* RFC 4862 5.4.4: an advertisement for our address ends its detection. */
		bool looped = nd->lladdr != NULL && memcmp(nd->lladdr, p->mac.addr_bytes, 6) == 0;
		if (l->port == p->index && !looped)
			start_conflict(n, p, l->addr);
		return;
	}
	if (!route_on_link(n->f, p, &nd->target))
		return;
	/* RFC 4861 4.4: the answer to a unicast solicitation may leave the address out. */
	if (nd->lladdr != NULL)
		memcpy(mac.addr_bytes, nd->lladdr, 6);
	else if ((nd->flags & NA_SOLICITED) == 0)
		return;
	enum neigh_how how = NEIGH_ANNOUNCED;
	if (nd->flags & NA_SOLICITED)
		how = nd->flags & NA_OVERRIDE ? NEIGH_ANSWER : NEIGH_WEAK;
	else if (!(nd->flags & NA_OVERRIDE))
		return; /* unsolicited and without override: nothing a cache should take */
	neigh_learn(n, p, &nd->target, &mac, how);
}

void
nd_input(struct pst_net *n, struct net_rx *rx, struct rte_mbuf *m)
{
	struct nd nd;

	n->c.rx_nd++;
	m = net_pull(n, m, rx->l4_len);
	if (m == NULL)
		return;
	if (!decode(rx, net_data(m), &nd)) {
		NET_DROP(n, m, rx_drop_nd);
		return;
	}
	if (nd.type == ND_NA) {
		advertised(n, rx, &nd);
		rte_pktmbuf_free(m);
		return;
	}
	const struct net_local *l = net_local(n, &nd.target);
	if (l == NULL || l->port != rx->port->index) {
		NET_DROP(n, m, rx_drop_not_local);
		return;
	}
	if (solicited(n, rx, &nd, l))
		NET_DROP(n, m, rx_drop_nomem);
	else
		rte_pktmbuf_free(m);
}

/*
 * RFC 3810 5.2: one report with a record "change to exclude nothing" for each group, to
 * ff02::16 with hop limit 1 and the router alert option (RFC 2711). Sent from the
 * unspecified address while ours is not certain yet (RFC 3590).
 */
void
mld_report(struct pst_net *n, struct pst_port *p)
{
	static const struct pst_ip routers = {.b = {0xff, 2, [15] = 0x16}};
	static const uint8_t alert[8] = {IPPROTO_ICMPV6, 0, 5, 2, 0, 0, 1, 0};
	struct pst_ip groups[NET_PORT_ADDRS];
	unsigned count = 0;
	struct rte_ether_addr mac;
	struct rte_mbuf *m;

	for (unsigned i = 0; i < p->naddrs; i++)
		if (!pst_ip_is4(&p->addrs[i].ip))
			ip6_solicited_node(&p->addrs[i].ip, &groups[count++]);
	if (count == 0)
		return;
	uint16_t len = (uint16_t)(8 + 20 * count);
	uint8_t *h = net_alloc(n, len, &m);
	if (h == NULL)
		return;
	memset(h, 0, len);
	h[0] = 143;
	h[7] = (uint8_t)count;
	for (unsigned i = 0; i < count; i++) {
		h[8 + 20 * i] = 4; /* CHANGE_TO_EXCLUDE_MODE */
		memcpy(h + 12 + 20 * i, groups[i].b, 16);
	}
	ip6_header(m, &any, &routers, IPPROTO_ICMPV6, 0, 1);
	checksum_l4_set(m, 40, false, 2);
	/* The option goes between the two headers; the checksum does not cover it. */
	uint8_t *ip = (uint8_t *)rte_pktmbuf_prepend(m, sizeof(alert));
	if (ip == NULL) {
		rte_pktmbuf_free(m);
		return;
	}
	memmove(ip, ip + sizeof(alert), 40);
	memcpy(ip + 40, alert, sizeof(alert));
	net_put16(ip + 4, (uint16_t)(len + sizeof(alert)));
	ip[6] = 0; /* next header: hop-by-hop options */
	ip6_multicast_mac(&routers, &mac);
	eth_output(n, p, m, &mac, 0x86dd);
}
