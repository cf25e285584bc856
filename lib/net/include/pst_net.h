/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Link and internet layers on DPDK ethdevs: ports, Ethernet and VLAN, ARP
 * (RFC 826), neighbour discovery (RFC 4861), IPv4, IPv6, ICMP and ICMPv6 echo,
 * checksums, and steering of packets to the worker that owns their connection.
 *
 * Three objects:
 *   pst_port    one network port with its addresses; made by the main thread
 *               before the workers start, immutable while they run.
 *   pst_fabric  what the workers of one process share: ports, routes, the rings
 *               between workers. Made once by the main thread.
 *   pst_net     one worker's view: its queues, its copy of the neighbour table,
 *               its counters. No locks: only its worker touches it.
 *
 * A port is an ethdev, or "bare": a port without a device, whose packets a test
 * or simulator puts in with pst_net_input and takes out with pst_net_take. So
 * everything above the driver runs on a virtual clock without a NIC.
 *
 * Lower layers never call up. pst_net_rx answers what is for net itself (ARP,
 * ND, echo), sends packets of other workers their way, and hands the caller the
 * rest as parsed pst_pkt records; the caller gives those to TCP.
 *
 * Time: `now` is monotonic nanoseconds. Addresses: pst_ip.h. Every entry point
 * tolerates any packet contents; each dropped packet raises one named counter.
 */
#ifndef PST_NET_H
#define PST_NET_H

#include <pst_ip.h>
#include <rte_mbuf.h>
#include <rte_ether.h>

struct pst_port;
struct pst_fabric;
struct pst_net;

#define PST_NET_MAX_PORTS   16
#define PST_NET_MAX_WORKERS 64
#define PST_NET_MAX_ADDRS   16 /* per port */

/* ---- ports (main thread, before workers) ---- */

/*
 * Whether a port makes itself known at start: gratuitous ARP (RFC 5227 2.3), duplicate
 * address detection (RFC 4862 5.4, with optimistic use of the address meanwhile, RFC
 * 4429) and unsolicited neighbour advertisements. AUTO: devices do, bare ports do not.
 */
enum pst_port_announce { PST_ANNOUNCE_AUTO, PST_ANNOUNCE_ON, PST_ANNOUNCE_OFF };

struct pst_port_conf {
	const char *name;          /* the operator's name; copied */
	int ethdev;                /* DPDK port id, or -1 for a bare port */
	struct rte_ether_addr mac; /* zero: the device's own; bare ports need one */
	uint16_t mtu;              /* IP MTU, 1280..9000; 0: 1500 */
	uint16_t vlan;             /* 802.1Q id 1..4094 on every frame; 0: untagged */
	uint16_t queues; /* wanted RX/TX queue pairs; clipped to device and workers; 0: workers */
	uint16_t rx_desc, tx_desc; /* 0: 1024 */
	bool promiscuous;
	bool force_soft_steering; /* ignore RSS even where the device has it */
	enum pst_port_announce announce;
	unsigned naddrs;
	struct pst_prefix addrs[PST_NET_MAX_ADDRS]; /* local address and on-link prefix */
};

struct pst_route_conf {
	struct pst_prefix to;
	struct pst_ip via; /* any address: on-link */
	const char *port;
};

struct pst_fabric_conf {
	unsigned nworkers;
	unsigned nports;
	const struct pst_port_conf *ports;
	unsigned nroutes;
	const struct pst_route_conf *routes; /* besides the on-link ones */
	unsigned mbufs_per_worker;           /* 0: 16384 */
	bool ring_pools; /* buffers come back in a circle: some drivers need it (pst_netdrv.h) */
	uint64_t seed;   /* 0: random; else repeatable (tests) */
	/*
	 * Test hook: every misroute_every-th TCP packet is handed to a worker that does not
	 * own it, so that the check counter can be seen to rise. 0: never. The packet still
	 * reaches its owner: a worker that finds itself wrong counts and passes it on.
	 */
	unsigned misroute_every;
};

/*
 * Configures and starts every ethdev, makes mempools (one pair per worker:
 * data and header/indirect), steering rings and tables. On error NULL and a
 * text that names the port and the cause in err.
 */
struct pst_fabric *pst_fabric_new(const struct pst_fabric_conf *conf, char *err, size_t errlen);
/* Stops and closes the ports, frees everything; workers must have ended. */
void pst_fabric_free(struct pst_fabric *f);
/* For status: text such as "wan: net_tap queues=1 steering=software mtu=1500 link=up". */
size_t pst_fabric_describe(const struct pst_fabric *f, unsigned port, char *buf, size_t len);
unsigned pst_fabric_nports(const struct pst_fabric *f);
const char *pst_fabric_port_name(const struct pst_fabric *f, unsigned port);

/* ---- one worker ---- */

/* Call on the worker's own thread (NUMA); `worker` is 0..nworkers-1. */
struct pst_net *pst_net_new(struct pst_fabric *f, unsigned worker);
void pst_net_free(struct pst_net *n); /* after the worker's loop, before fabric_free */

enum pst_pkt_kind {
	PST_PKT_TCP,       /* a TCP segment for one of our addresses */
	PST_PKT_ICMP_ERROR /* an ICMP/ICMPv6 error about a TCP segment we sent */
};

struct pst_pkt {
	struct rte_mbuf *m; /* owned by the receiver from now on; data starts at the TCP header */
			    /* (ICMP error: at the quoted TCP header, at least 8 bytes of it) */
	struct pst_ip src, dst;       /* of the packet; ICMP error: of the quoted packet */
	uint8_t kind;                 /* pst_pkt_kind */
	uint8_t tos;                  /* DSCP and ECN bits */
	uint8_t icmp_type, icmp_code; /* ICMP error only, in ICMPv4 or ICMPv6 numbering by family */
	uint16_t mtu;                 /* ICMP "too big": the next hop's MTU; else 0 */
	uint16_t port;                /* index of the port it came by */
	bool local_src; /* src is on-link or routed back by the same port (informational) */
};

/*
 * Polls this worker's queues and rings once; fills at most max records. The TCP
 * checksum is verified (by the device when it says GOOD, else in software) and
 * the mbuf trimmed to the IP length. A chained mbuf is possible.
 */
unsigned pst_net_rx(struct pst_net *n, uint64_t now, struct pst_pkt *out, unsigned max);

/* Bare ports: gives one received Ethernet frame (owned from now on) to port `port`. */
void pst_net_input(struct pst_net *n, unsigned port, struct rte_mbuf *m);
/* Bare ports: takes frames that were sent; returns how many. Caller owns them. */
unsigned pst_net_take(struct pst_net *n, unsigned port, struct rte_mbuf **out, unsigned max);

/*
 * Sends an IP packet. `m` starts at the transport header and is owned by net from
 * now on, whatever the result. It may be a chain that ends in clones (indirect
 * mbufs) of data the caller keeps for retransmission: net only prepends to the
 * first segment and never changes payload bytes. The first segment must be
 * direct, with RTE_PKTMBUF_HEADROOM left. For TCP the checksum field is filled by
 * the device or in software; the caller leaves it zero. Devices without
 * multi-segment TX get a linear copy. An unresolved neighbour queues a few
 * packets. PST_UNREACH, PST_NOMEM (also counted) are for the caller's counters
 * only: TCP treats both as loss.
 */
enum pst_rc pst_net_output(struct pst_net *n, struct rte_mbuf *m, const struct pst_ip *src,
	const struct pst_ip *dst, uint8_t proto, uint8_t tos, uint64_t now);

/* Hands what output queued to the devices. Once, at the bottom of the loop. */
void pst_net_flush(struct pst_net *n);

/* ARP/ND retries and ageing; cheap when nothing is due. Once a loop turn. */
void pst_net_tick(struct pst_net *n, uint64_t now);
uint64_t pst_net_next_deadline(const struct pst_net *n); /* ns; UINT64_MAX: none */

struct pst_net_path {
	struct pst_ip src; /* our address to use */
	uint16_t mtu;      /* IP MTU of the way out */
	uint16_t port;
};
/* The way to dst; PST_UNREACH when no route or no address of that family. */
enum pst_rc pst_net_path(
	const struct pst_net *n, const struct pst_ip *dst, struct pst_net_path *out);

bool pst_net_is_local(const struct pst_net *n, const struct pst_ip *a);

/* A path MTU learned by TCP (RFC 1191, 8201); kept per destination, ages out. */
void pst_net_pmtu_update(struct pst_net *n, const struct pst_ip *dst, uint16_t mtu, uint64_t now);

/*
 * A hint from above: dst has not answered for a while (say, at the second RTO in a
 * row). Its next hop, if resolved, is probed now rather than when it would go stale,
 * so that a router whose MAC address changed is found again within seconds.
 */
void pst_net_neigh_suspect(struct pst_net *n, const struct pst_ip *dst, uint64_t now);

/*
 * The worker that owns segments arriving with this tuple (as seen on the wire
 * towards us). Used to choose local ports for active opens, and to check.
 */
unsigned pst_net_owner(const struct pst_net *n, const struct pst_ip *src, const struct pst_ip *dst,
	uint16_t sport, uint16_t dport);
/* The same answer computed by other code (bit-serial Toeplitz), for the check counter. */
unsigned pst_net_owner_check(const struct pst_net *n, const struct pst_ip *src,
	const struct pst_ip *dst, uint16_t sport, uint16_t dport);

/* This worker's pools. data: payload mbufs (2 KiB rooms); head: small/indirect. */
struct rte_mempool *pst_net_pool_data(const struct pst_net *n);
struct rte_mempool *pst_net_pool_head(const struct pst_net *n);

unsigned pst_net_worker(const struct pst_net *n);

/*
 * Adaptive idle: sleeps until a packet may be there, at most max_ns. Uses RX
 * interrupts where the device has them, else a short timed sleep (about 100 us).
 * pst_fabric_wake ends the sleep of a worker from any thread.
 */
void pst_net_idle(struct pst_net *n, uint64_t max_ns);
void pst_fabric_wake(struct pst_fabric *f, unsigned worker);

/* Each dropped packet raises exactly one of the rx_drop_/tx_drop_ counters. */
#define PST_NET_COUNTERS(X)                                                                        \
	X(rx_packets, "frames received")                                                           \
	X(rx_bytes, "bytes received")                                                              \
	X(tx_packets, "frames sent")                                                               \
	X(tx_bytes, "bytes sent")                                                                  \
	X(rx_tcp, "TCP segments handed up")                                                        \
	X(rx_icmp_error, "ICMP errors handed up")                                                  \
	X(rx_arp, "ARP packets")                                                                   \
	X(rx_nd, "neighbour discovery packets")                                                    \
	X(rx_echo, "echo requests answered")                                                       \
	X(steer_sent, "segments passed to their owner")                                            \
	X(steer_recv, "segments received from another worker")                                     \
	X(steer_wrong_owner, "segments seen by a worker that does not own them")                   \
	X(rx_drop_short, "frame too short")                                                        \
	X(rx_drop_vlan, "wrong or missing VLAN tag")                                               \
	X(rx_drop_mac, "not our MAC address")                                                      \
	X(rx_drop_ethertype, "unknown ethertype")                                                  \
	X(rx_drop_ip_header, "malformed IP header")                                                \
	X(rx_drop_ip_checksum, "bad IPv4 header checksum")                                         \
	X(rx_drop_ip_fragment, "IP fragment")                                                      \
	X(rx_drop_ip_option, "IPv4 source route or IPv6 extension header not accepted")            \
	X(rx_drop_not_local, "not one of our addresses")                                           \
	X(rx_drop_martian, "impossible source address")                                            \
	X(rx_drop_protocol, "protocol not spoken here")                                            \
	X(rx_drop_l4_short, "transport header cut short")                                          \
	X(rx_drop_l4_checksum, "bad transport checksum")                                           \
	X(rx_drop_icmp, "ICMP not understood or not about us")                                     \
	X(rx_drop_arp, "malformed ARP")                                                            \
	X(rx_drop_nd, "malformed neighbour discovery")                                             \
	X(rx_drop_steer_full, "steering ring full")                                                \
	X(rx_drop_nomem, "no mbuf for an answer")                                                  \
	X(tx_drop_unreach, "no route")                                                             \
	X(tx_drop_neighbour, "neighbour did not answer")                                           \
	X(tx_drop_nomem, "no mbuf")                                                                \
	X(tx_drop_full, "TX queue full")                                                           \
	X(tx_drop_mtu, "larger than the MTU")                                                      \
	X(addr_conflict, "somebody else claimed one of our addresses")                             \
	X(addr_duplicate, "addresses given up after duplicate detection")                          \
	X(neigh_failed, "neighbours given up as unreachable")                                      \
	X(idle_sleeps, "times the worker slept")

struct pst_net_counters {
	PST_NET_COUNTERS(PST_COUNTER_MEMBER)
};
struct pst_net_counters *pst_net_counters(struct pst_net *n);
extern const struct pst_counter_desc pst_net_counter_descs[]; /* a NULL name ends it */

#endif
