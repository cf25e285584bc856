/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Private to lib/net: the three objects and what its files tell each other.
 *
 *   fabric.c   makes and frees the fabric          port.c    the only caller of rte_eth_*
 *   net.c      a worker: polling, sending, idle    eth.c     frames in and out, VLAN
 *   ip4.c ip6.c  packets in                        output.c  packets out
 *   arp.c nd.c  address resolution                 neigh.c   the table both fill
 *   icmp.c     echo and errors                     start.c   DAD and announcements
 *   steer.c    who owns a segment; rings           owner.c   the same answer by other code
 *   route.c    the way to an address               pmtu.c    what a path was found to carry
 *   checksum.c sums over chains                    counters.c their names
 *
 * Frames received travel down as one mbuf that the callee owns from the call on. A
 * receiver never writes to packet data: in-process wires share payload by reference.
 */
#ifndef NET_IMPL_H
#define NET_IMPL_H

#include <pst_net.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <sys/queue.h>
#include <rte_ring.h>
#include <rte_ip.h>
#include <rte_byteorder.h>

#define NET_BURST       32
#define NET_TXBUF       256
#define NET_FIFO_MAX    65536 /* frames waiting at a bare port, each way */
#define NET_RING_SIZE   1024  /* segments on their way from one worker to another */
#define NET_MSG_SIZE    256
#define NET_MSG_RESERVE 64 /* of them for what must not be lost: states of our addresses */
#define NET_KEY_LEN     40
#define NET_RETA_MAX    1024
#define NET_PORT_ADDRS  (PST_NET_MAX_ADDRS + 1) /* and the link-local one */
#define NET_LOCALS      1024                    /* slots; at least twice the addresses */
#define NET_NEIGHS      512
#define NET_NEIGH_HASH  1024
#define NET_NEIGH_QUEUE 8
#define NET_PMTU_SETS   256
#define NET_PMTU_WAYS   4
#define NET_HEAD_ROOM   256 /* of the small pool: headroom and transport header */

/* ---- shared, immutable while workers run ---- */

struct pst_port {
	char name[32];
	char driver[32];
	uint16_t index;
	int ethdev; /* -1: bare */
	uint16_t nqueues;
	uint16_t mtu, vlan;
	uint16_t l2_len; /* 14 or 18 */
	bool tx_csum, multi_segs, rss, announce;
	bool intr_fd; /* rx fds can be polled */
	struct rte_ether_addr mac;
	unsigned naddrs;
	struct pst_prefix addrs[NET_PORT_ADDRS];
	uint16_t reta_size; /* a power of two; only when rss */
	uint16_t reta[NET_RETA_MAX];
};

struct net_route {
	struct pst_prefix to;
	struct pst_ip via; /* any: on-link */
	uint16_t port;
};

struct net_local {
	struct pst_ip ip;
	uint16_t port, addr; /* indices */
	bool used;
};

struct fabric_worker {
	struct rte_mempool *data, *head;
	int efd;
	_Atomic bool woken; /* efd was written and not yet read: pst_fabric_wake, pst_net_idle */
} __rte_cache_aligned;

struct pst_fabric {
	unsigned nworkers, nports, nroutes;
	struct pst_port ports[PST_NET_MAX_PORTS];
	struct net_route *routes; /* longest prefix first */
	struct net_local locals[NET_LOCALS];
	uint8_t key[NET_KEY_LEN];         /* Toeplitz, as the wire counts */
	uint32_t key_be[NET_KEY_LEN / 4]; /* the same, as rte_softrss_be wants it */
	uint32_t hash_seed;
	uint64_t seed;
	unsigned misroute_every;
	struct rte_ring **pkts; /* [from * nworkers + to], single producer and consumer */
	struct rte_ring **msgs;
	struct fabric_worker workers[PST_NET_MAX_WORKERS];
};

/* ---- one worker ---- */

enum net_addr_state { ADDR_PREFERRED, ADDR_OPTIMISTIC, ADDR_DUPLICATE };

enum neigh_state {
	NEIGH_FREE,
	NEIGH_INCOMPLETE,
	NEIGH_REACHABLE,
	NEIGH_STALE,
	NEIGH_DELAY,
	NEIGH_PROBE
};

struct neigh {
	struct pst_ip ip;
	TAILQ_ENTRY(neigh) lru;
	struct neigh *next; /* in its hash chain */
	uint64_t deadline;  /* of the state; UINT64_MAX: none */
	uint64_t suspected; /* last time it was probed for a hint from above; 0: never */
	uint16_t port;
	uint8_t state, tries;
	bool used;     /* it answered and we sent through it: on the `used` list */
	bool by_group; /* probe by group: its link-layer address itself is in doubt */
	struct rte_ether_addr mac;
	uint8_t nqueued;
	struct rte_mbuf *queue[NET_NEIGH_QUEUE];
};
TAILQ_HEAD(neigh_list, neigh);

struct neigh_table {
	struct neigh all[NET_NEIGHS];
	struct neigh *hash[NET_NEIGH_HASH];
	struct neigh_list free, used, passive;
	uint64_t next; /* earliest deadline, or earlier */
};

/* How a link-layer address became known. */
enum neigh_how {
	NEIGH_ASKED,     /* the peer asked us for ours: create, stale */
	NEIGH_ANNOUNCED, /* nobody asked: update only, stale */
	NEIGH_ANSWER,    /* a solicited answer: reachable */
	NEIGH_WEAK,      /* a solicited answer without override */
	/* An all-zero address with an answer: "the one you know" (RFC 4861 4.4). */
};

struct pmtu {
	struct pst_ip dst;
	uint16_t mtu; /* 0: free */
	uint64_t expires;
};

struct net_fifo { /* frames at a bare port */
	struct rte_mbuf **m;
	unsigned head, n, cap;
};

struct net_port {
	struct net_fifo in, out;
	unsigned ntx;
	struct rte_mbuf *tx[NET_TXBUF];
	uint8_t addr_state[NET_PORT_ADDRS];
	/* start-up, on the worker that polls queue 0 */
	uint8_t announced;
	uint8_t nonce[6];
	uint64_t start_next;
	uint64_t defended; /* last time an address was defended */
};

struct net_msg {
	struct pst_ip ip;
	struct rte_ether_addr mac;
	uint8_t port, kind; /* net_msg_kind */
	uint8_t arg;        /* neigh_how, or the state of the address */
	uint8_t pad[7];
};
enum net_msg_kind { MSG_NEIGH, MSG_ADDR };

struct pst_net {
	struct pst_fabric *f;
	unsigned me;
	uint64_t now; /* of the call under way */
	struct pst_net_counters c;
	struct pst_pkt *out;
	unsigned nout, out_max;
	unsigned turn; /* the source polled first: see pst_net_rx */
	uint64_t wake; /* workers that got something from us this turn */
	unsigned until_misroute;
	uint32_t rng;
	bool slack_set;
	struct neigh_table neigh;
	struct pmtu pmtu[NET_PMTU_SETS][NET_PMTU_WAYS];
	struct net_port port[PST_NET_MAX_PORTS];
};

/* What the parsers know of the packet in hand. */
struct net_rx {
	struct pst_port *port;
	struct pst_ip src, dst;
	bool steered; /* another worker parsed and verified it already */
	bool l2_multicast;
	uint8_t tos, ttl, proto;
	uint16_t l3_len; /* bytes between the start of the IP header and the data of the mbuf */
	uint16_t l4_len;
};

#define NET_DROP(n, m, counter)                                                                    \
	do {                                                                                       \
		(n)->c.counter++;                                                                  \
		rte_pktmbuf_free(m);                                                               \
	} while (0)

static inline uint16_t
net_be16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t
net_be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static inline void
net_put16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static inline const uint8_t *
net_data(const struct rte_mbuf *m)
{
	return rte_pktmbuf_mtod(m, const uint8_t *);
}

/* xorshift32: jitter and nonces, where a guess gains nothing. */
static inline uint32_t
net_random(struct pst_net *n)
{
	n->rng ^= n->rng << 13;
	n->rng ^= n->rng >> 17;
	n->rng ^= n->rng << 5;
	return n->rng;
}

/* port.c: rc PST_OK or a text in err */
enum pst_rc port_start(struct pst_fabric *f, struct pst_port *p, const struct pst_port_conf *conf,
	char *err, size_t errlen);
void port_stop(struct pst_port *p);
uint16_t port_rx(const struct pst_port *p, unsigned queue, struct rte_mbuf **m, uint16_t max);
uint16_t port_tx(const struct pst_port *p, unsigned queue, struct rte_mbuf **m, uint16_t count);
uint16_t port_data_room(const struct pst_port_conf *conf);
bool port_link_up(const struct pst_port *p);
/* A descriptor that becomes readable when the queue has a frame; -1: the device has none. */
int port_idle_arm(const struct pst_port *p, unsigned queue);
void port_idle_disarm(const struct pst_port *p, unsigned queue, int fd);

/* fabric.c */
const struct net_local *fabric_local(const struct pst_fabric *f, const struct pst_ip *ip);
uint32_t fabric_hash(const struct pst_fabric *f, const struct pst_ip *ip, uint32_t salt);

/* net.c */
/* Our address `ip`, unless it was given up as a duplicate; NULL: not ours. */
const struct net_local *net_local(const struct pst_net *n, const struct pst_ip *ip);
/* Makes at least len bytes contiguous, copying the packet if need be. Frees and counts if not. */
struct rte_mbuf *net_pull(struct pst_net *n, struct rte_mbuf *m, uint32_t len);
/* The same for m at its transport header; a copy holds the IP header before it as well. */
struct rte_mbuf *net_pull_l4(
	struct pst_net *n, const struct net_rx *rx, struct rte_mbuf *m, uint32_t len);
/* Cuts the packet to len bytes, freeing segments that hold none of them. */
void net_trim(struct rte_mbuf *m, uint32_t len);
void net_hand_up(struct pst_net *n, const struct pst_pkt *pkt);
/* A new mbuf of len writable bytes; NULL is counted as rx_drop_nomem by the caller. */
uint8_t *net_alloc(struct pst_net *n, uint16_t len, struct rte_mbuf **m);
bool fifo_put(struct net_fifo *q, struct rte_mbuf *m);
struct rte_mbuf *fifo_get(struct net_fifo *q);

/* eth.c */
void eth_input(struct pst_net *n, struct pst_port *p, struct rte_mbuf *m);
/* Adds the Ethernet (and VLAN) header and queues the frame on the port. */
void eth_output(struct pst_net *n, struct pst_port *p, struct rte_mbuf *m,
	const struct rte_ether_addr *dst, uint16_t ethertype);
/* Queues a finished frame. */
void eth_queue(struct pst_net *n, struct pst_port *p, struct rte_mbuf *m);
void eth_flush_port(struct pst_net *n, struct pst_port *p);

/* ip4.c, ip6.c: m starts at the IP header */
void ip4_input(struct pst_net *n, struct net_rx *rx, struct rte_mbuf *m);
void ip6_input(struct pst_net *n, struct net_rx *rx, struct rte_mbuf *m);
/* Common end of both: m starts at the transport header, trimmed to rx->l4_len. */
void tcp_arrived(struct pst_net *n, struct net_rx *rx, struct rte_mbuf *m);
/* ff02::1:ffXX:XXXX of a target, and its MAC address */
void ip6_solicited_node(const struct pst_ip *target, struct pst_ip *group);
void ip6_multicast_mac(const struct pst_ip *group, struct rte_ether_addr *mac);

/* output.c: prepend IP headers */
void ip4_header(struct rte_mbuf *m, const struct pst_ip *src, const struct pst_ip *dst,
	uint8_t proto, uint8_t tos);
void ip6_header(struct rte_mbuf *m, const struct pst_ip *src, const struct pst_ip *dst,
	uint8_t proto, uint8_t tos, uint8_t hops);

/* arp.c */
void arp_input(struct pst_net *n, struct net_rx *rx, struct rte_mbuf *m);
bool arp_request(struct pst_net *n, struct pst_port *p, const struct pst_ip *target,
	const struct rte_ether_addr *to); /* to NULL: broadcast */
void arp_announce(struct pst_net *n, struct pst_port *p, const struct pst_ip *ip);

/* nd.c: m starts at the ICMPv6 header; checksum and lengths are verified */
void nd_input(struct pst_net *n, struct net_rx *rx, struct rte_mbuf *m);
bool nd_solicit(struct pst_net *n, struct pst_port *p, const struct pst_ip *target,
	const struct rte_ether_addr *to);
void nd_probe_duplicate(struct pst_net *n, struct pst_port *p, const struct pst_ip *target);
void nd_announce(struct pst_net *n, struct pst_port *p, const struct pst_ip *target);
/* Multicast listener reports for the solicited-node groups (RFC 3810, RFC 4861 7.2.1). */
void mld_report(struct pst_net *n, struct pst_port *p);

/* neigh.c */
void neigh_init(struct pst_net *n);
void neigh_fini(struct pst_net *n);
enum pst_rc neigh_output(
	struct pst_net *n, struct pst_port *p, const struct pst_ip *hop, struct rte_mbuf *m);
/* Learns and tells the other workers. */
void neigh_learn(struct pst_net *n, struct pst_port *p, const struct pst_ip *ip,
	const struct rte_ether_addr *mac, enum neigh_how how);
void neigh_apply(struct pst_net *n, struct pst_port *p, const struct pst_ip *ip,
	const struct rte_ether_addr *mac, enum neigh_how how);
void neigh_suspect(struct pst_net *n, struct pst_port *p, const struct pst_ip *hop);
void neigh_tick(struct pst_net *n);

/* icmp.c: m starts at the ICMP header, trimmed to rx->l4_len */
void icmp4_input(struct pst_net *n, struct net_rx *rx, struct rte_mbuf *m);
void icmp6_input(struct pst_net *n, struct net_rx *rx, struct rte_mbuf *m);

/* start.c */
void start_init(struct pst_net *n);
void start_tick(struct pst_net *n);
uint64_t start_next(const struct pst_net *n);
/* Somebody else has our address. */
void start_conflict(struct pst_net *n, struct pst_port *p, unsigned addr);

/* steer.c */
enum pst_rc steer_init(struct pst_fabric *f, char *err, size_t errlen);
void steer_fini(struct pst_fabric *f);
unsigned steer_owner(const struct pst_fabric *f, const struct pst_ip *src, const struct pst_ip *dst,
	uint16_t sport, uint16_t dport);
/*
 * Does the flow, as its packets towards us carry it, belong to this worker? If not, `m`
 * goes to its owner, from its IP header on (rx->l3_len bytes before its data).
 */
bool steer_here(struct pst_net *n, const struct net_rx *rx, struct rte_mbuf *m,
	const struct pst_ip *src, const struct pst_ip *dst, uint16_t sport, uint16_t dport);
void steer_poll_messages(struct pst_net *n);
void steer_poll(struct pst_net *n, unsigned from); /* segments and frames of one worker */
bool steer_waiting(const struct pst_net *n);
/* A frame for a device queue that another worker feeds. */
void steer_tx(struct pst_net *n, unsigned to, struct rte_mbuf *m);
void steer_tell(struct pst_net *n, const struct net_msg *msg); /* all other workers */
void steer_wake(struct pst_net *n);

/* owner.c */
uint32_t owner_toeplitz(const uint8_t key[NET_KEY_LEN], const uint8_t *in, unsigned len);

/* route.c */
enum pst_rc route_init(
	struct pst_fabric *f, const struct pst_fabric_conf *conf, char *err, size_t errlen);
/* src may be NULL. NULL: no way. */
const struct net_route *route_find(
	const struct pst_fabric *f, const struct pst_ip *dst, const struct pst_ip *src);
/* Our address on p to speak to dst from; NULL if none of its family. */
const struct pst_ip *route_source(const struct pst_net *n, const struct pst_port *p,
	const struct pst_ip *dst, const struct pst_ip *hop);
bool route_on_link(const struct pst_fabric *f, const struct pst_port *p, const struct pst_ip *a);

/* pmtu.c */
uint16_t pmtu_get(const struct pst_net *n, const struct pst_ip *dst, uint16_t link_mtu);

/* checksum.c */
uint16_t checksum_raw(const struct rte_mbuf *m, uint32_t off, uint32_t len);
bool checksum_l4_ok(const struct rte_mbuf *m, const struct net_rx *rx);
void checksum_l4_set(struct rte_mbuf *m, uint16_t l3_len, bool is4, unsigned field);

#endif
