/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Ports on ethdevs: the only file that calls rte_eth_*.
 *
 * A device is asked what it can do and taken at its word only where the word can be
 * checked: an offload that is not offered is done in software, RSS that cannot be read
 * back is not used for steering. Fast free is never claimed, because what we send holds
 * references to data that is kept for retransmission, from several pools.
 */
#include "net_impl.h"
#include <errno.h>
#include <stdio.h>
#include <unistd.h>
#include <rte_bus.h>
#include <rte_dev.h>
#include <rte_ethdev.h>

#define DESC_DEFAULT 1024
#define L2_OVERHEAD  (14 + 4 + 4) /* header, tag, check sequence */

static PST_PRINTF(4, 5) enum pst_rc
	fail(const struct pst_port *p, char *err, size_t errlen, const char *fmt, ...)
{
	char what[160];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	snprintf(err, errlen, "port %s: %s", p->name, what);
	return PST_INVAL;
}

/* A device that cannot scatter needs rooms for whole frames. */
uint16_t
port_data_room(const struct pst_port_conf *conf)
{
	struct rte_eth_dev_info info;
	uint16_t mtu = conf->mtu == 0 ? 1500 : conf->mtu;

	if (conf->ethdev < 0 || rte_eth_dev_info_get((uint16_t)conf->ethdev, &info) != 0)
		return 0;
	if ((info.rx_offload_capa & RTE_ETH_RX_OFFLOAD_SCATTER) != 0 &&
		(info.tx_offload_capa & RTE_ETH_TX_OFFLOAD_MULTI_SEGS) != 0)
		return 0;
	return (uint16_t)(RTE_PKTMBUF_HEADROOM + RTE_ALIGN_CEIL(mtu + L2_OVERHEAD, 64));
}

/*
 * The checksum offloads of a virtual device are software in its driver: they save
 * nothing, and net_tap's (22.11) is wrong for chains with odd segments. So only devices
 * on a real bus are taken at their word.
 */
static bool
is_hardware(const struct rte_eth_dev_info *info)
{
	return info->device != NULL && strcmp(rte_bus_name(rte_dev_bus(info->device)), "vdev") != 0;
}

static void
choose_offloads(struct pst_port *p, const struct rte_eth_dev_info *info, struct rte_eth_conf *ec,
	bool scatter)
{
	uint64_t tx_tcp = RTE_ETH_TX_OFFLOAD_TCP_CKSUM;
	uint64_t rx_sum = RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_TCP_CKSUM;

	p->tx_csum = is_hardware(info) && (info->tx_offload_capa & tx_tcp) != 0;
	p->multi_segs = (info->tx_offload_capa & RTE_ETH_TX_OFFLOAD_MULTI_SEGS) != 0;
	if (p->tx_csum)
		ec->txmode.offloads |= tx_tcp;
	if (p->multi_segs)
		ec->txmode.offloads |= RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
	if (is_hardware(info))
		ec->rxmode.offloads |= info->rx_offload_capa & rx_sum;
	if (scatter)
		ec->rxmode.offloads |= info->rx_offload_capa & RTE_ETH_RX_OFFLOAD_SCATTER;
}

#define RSS_TCP (RTE_ETH_RSS_NONFRAG_IPV4_TCP | RTE_ETH_RSS_NONFRAG_IPV6_TCP)

/* Several queues need RSS to be of use at all, whether or not steering can rely on it. */
static void
choose_rss(struct pst_fabric *f, struct pst_port *p, const struct rte_eth_dev_info *info,
	struct rte_eth_conf *ec, uint8_t key[64])
{
	unsigned len = info->hash_key_size == 0 ? NET_KEY_LEN : info->hash_key_size;

	if (p->nqueues < 2 || (info->flow_type_rss_offloads & RSS_TCP) != RSS_TCP ||
		len < NET_KEY_LEN || len > 64)
		return;
	memset(key, 0, 64);
	memcpy(key, f->key, NET_KEY_LEN);
	ec->rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
	ec->rx_adv_conf.rss_conf = (struct rte_eth_rss_conf){
		.rss_key = key, .rss_key_len = (uint8_t)len, .rss_hf = RSS_TCP};
	if (info->rx_offload_capa & RTE_ETH_RX_OFFLOAD_RSS_HASH)
		ec->rxmode.offloads |= RTE_ETH_RX_OFFLOAD_RSS_HASH;
}

/* What the device says it does now: key, protocols, and every entry of its table. */
static bool
rss_read_back(struct pst_fabric *f, struct pst_port *p, const struct rte_eth_dev_info *info)
{
	struct rte_eth_rss_reta_entry64 reta[NET_RETA_MAX / RTE_ETH_RETA_GROUP_SIZE];
	uint8_t key[64] = {0};
	struct rte_eth_rss_conf rc = {.rss_key = key, .rss_key_len = info->hash_key_size};
	uint16_t size = info->reta_size;

	if (size == 0 || size > NET_RETA_MAX || (size & (size - 1)) != 0 ||
		size < RTE_ETH_RETA_GROUP_SIZE || info->hash_key_size > sizeof(key))
		return false;
	if (rte_eth_dev_rss_hash_conf_get((uint16_t)p->ethdev, &rc) != 0 ||
		(rc.rss_hf & RSS_TCP) != RSS_TCP || memcmp(key, f->key, NET_KEY_LEN) != 0)
		return false;
	memset(reta, 0, sizeof(reta));
	for (unsigned i = 0; i < size / RTE_ETH_RETA_GROUP_SIZE; i++)
		reta[i].mask = UINT64_MAX;
	if (rte_eth_dev_rss_reta_query((uint16_t)p->ethdev, reta, size) != 0)
		return false;
	for (unsigned i = 0; i < size; i++) {
		p->reta[i] = reta[i / RTE_ETH_RETA_GROUP_SIZE].reta[i % RTE_ETH_RETA_GROUP_SIZE];
		if (p->reta[i] >= p->nqueues)
			return false;
	}
	p->reta_size = size;
	return true;
}

/*
 * One probe tuple for each family through both of our hash functions. Should the device
 * compute something else after all, every segment still passes the owner check, is
 * counted there and reaches its owner.
 */
static void
learn_rss(struct pst_fabric *f, struct pst_port *p, const struct rte_eth_dev_info *info)
{
	static const uint8_t in4[12] = {198, 51, 100, 7, 192, 0, 2, 1, 0x8f, 0x01, 0, 25};
	struct pst_ip a, b;
	uint32_t v4;

	if (p->nqueues < f->nworkers || f->nworkers == 1 || !rss_read_back(f, p, info))
		return;
	memcpy(&v4, in4, 4);
	a = pst_ip_from4(v4);
	memcpy(&v4, in4 + 4, 4);
	b = pst_ip_from4(v4);
	if (owner_toeplitz(f->key, in4, sizeof(in4)) % f->nworkers !=
		steer_owner(f, &a, &b, 0x8f01, 25))
		return;
	p->rss = true;
}

static enum pst_rc
set_up_queues(struct pst_fabric *f, struct pst_port *p, const struct pst_port_conf *conf, char *err,
	size_t errlen)
{
	uint16_t id = (uint16_t)p->ethdev;
	uint16_t nrx = conf->rx_desc == 0 ? DESC_DEFAULT : conf->rx_desc;
	uint16_t ntx = conf->tx_desc == 0 ? DESC_DEFAULT : conf->tx_desc;
	int socket = rte_eth_dev_socket_id(id), rc;

	rc = rte_eth_dev_adjust_nb_rx_tx_desc(id, &nrx, &ntx);
	if (rc != 0)
		return fail(p, err, errlen, "ring sizes: %s", strerror(-rc));
	for (uint16_t q = 0; q < p->nqueues; q++) {
		struct rte_mempool *pool = f->workers[q % f->nworkers].data;
		rc = rte_eth_rx_queue_setup(id, q, nrx, (unsigned)socket, NULL, pool);
		if (rc != 0)
			return fail(p, err, errlen, "RX queue %u: %s", q, strerror(-rc));
		rc = rte_eth_tx_queue_setup(id, q, ntx, (unsigned)socket, NULL);
		if (rc != 0)
			return fail(p, err, errlen, "TX queue %u: %s", q, strerror(-rc));
	}
	return PST_OK;
}

/* A device without an address of its own (net_ring) filters none either: ours is as good. */
static enum pst_rc
set_mac(struct pst_port *p, const struct pst_port_conf *conf, char *err, size_t errlen)
{
	uint16_t id = (uint16_t)p->ethdev;
	struct rte_ether_addr mac = conf->mac;
	int rc = rte_eth_macaddr_get(id, &p->mac);
	bool has_none = rte_is_zero_ether_addr(&p->mac);

	if (rc == 0 && has_none && rte_is_zero_ether_addr(&mac))
		return fail(p, err, errlen, "the device has no MAC address: configure one");
	if (rc == 0 && !rte_is_zero_ether_addr(&mac) && !rte_is_same_ether_addr(&mac, &p->mac)) {
		rc = rte_eth_dev_default_mac_addr_set(id, &mac);
		if (rc == 0 || (rc == -ENOTSUP && has_none)) {
			p->mac = mac;
			rc = 0;
		}
	}
	if (rc != 0)
		return fail(p, err, errlen, "MAC address: %s", strerror(-rc));
	return PST_OK;
}

/* Solicited-node groups must come through; whatever the device has for it is tried. */
static enum pst_rc
hear_groups(struct pst_port *p, bool promiscuous, char *err, size_t errlen)
{
	uint16_t id = (uint16_t)p->ethdev;
	int rc;

	if (promiscuous) {
		rc = rte_eth_promiscuous_enable(id);
		if (rc != 0 && rc != -ENOTSUP)
			return fail(p, err, errlen, "promiscuous mode: %s", strerror(-rc));
		if (rc == 0)
			return PST_OK;
	}
	bool has6 = false;
	for (unsigned i = 0; i < p->naddrs; i++)
		has6 |= !pst_ip_is4(&p->addrs[i].ip);
	if (!has6 || rte_eth_allmulticast_enable(id) == 0)
		return PST_OK;
	rc = rte_eth_promiscuous_enable(id);
	if (rc != 0 && rc != -ENOTSUP)
		return fail(p, err, errlen, "reception of IPv6 groups: %s", strerror(-rc));
	return PST_OK;
}

static enum pst_rc
set_mtu(struct pst_port *p, const struct rte_eth_dev_info *info, char *err, size_t errlen)
{
	uint16_t id = (uint16_t)p->ethdev, now = 0;
	int rc = rte_eth_dev_set_mtu(id, p->mtu);

	/* A device without the operation carries what it carries: fine if that is this. */
	if (rc == 0 || (rte_eth_dev_get_mtu(id, &now) == 0 && now >= p->mtu))
		return PST_OK;
	return fail(p, err, errlen, "MTU %u: %s; the device carries frames of %u bytes at most",
		p->mtu, strerror(-rc), info->max_rx_pktlen);
}

static enum pst_rc
configure(struct pst_fabric *f, struct pst_port *p, const struct pst_port_conf *conf,
	const struct rte_eth_dev_info *info, bool intr, char *err, size_t errlen)
{
	struct rte_eth_conf ec = {.intr_conf = {.rxq = intr}};
	uint16_t id = (uint16_t)p->ethdev;
	uint16_t room = rte_pktmbuf_data_room_size(f->workers[0].data) - RTE_PKTMBUF_HEADROOM;
	uint8_t key[64];

	choose_offloads(p, info, &ec, p->mtu + L2_OVERHEAD > room);
	if (!conf->force_soft_steering)
		choose_rss(f, p, info, &ec, key);
	int rc = rte_eth_dev_configure(id, p->nqueues, p->nqueues, &ec);
	if (rc != 0)
		return fail(
			p, err, errlen, "the device refuses its configuration: %s", strerror(-rc));
	/* Before the queues exist: some devices size their buffers by it. */
	if (set_mtu(p, info, err, errlen) != PST_OK ||
		set_up_queues(f, p, conf, err, errlen) != PST_OK)
		return PST_INVAL;
	rc = rte_eth_dev_start(id);
	if (rc != 0)
		return fail(p, err, errlen, "the device does not start: %s", strerror(-rc));
	return PST_OK;
}

/*
 * Whether every queue has a descriptor to sleep on. Asked once and quietly: ethdev writes
 * an error each time it has none, and a worker asks at every sleep.
 */
static bool
has_intr_fds(const struct pst_port *p)
{
	int level = rte_log_get_level(rte_eth_dev_logtype);
	bool all = true;

	rte_log_set_level((uint32_t)rte_eth_dev_logtype, RTE_LOG_CRIT);
	for (uint16_t q = 0; q < p->nqueues; q++)
		all = all && rte_eth_dev_rx_intr_ctl_q_get_fd((uint16_t)p->ethdev, q) >= 0;
	if (level >= 0)
		rte_log_set_level((uint32_t)rte_eth_dev_logtype, (uint32_t)level);
	return all;
}

enum pst_rc
port_start(struct pst_fabric *f, struct pst_port *p, const struct pst_port_conf *conf, char *err,
	size_t errlen)
{
	struct rte_eth_dev_info info;
	uint16_t id = (uint16_t)conf->ethdev;
	unsigned nq = conf->queues == 0 ? f->nworkers : conf->queues;
	char again[8];

	if (!rte_eth_dev_is_valid_port(id) || rte_eth_dev_info_get(id, &info) != 0)
		return fail(p, err, errlen, "no DPDK device %d", conf->ethdev);
	p->ethdev = conf->ethdev;
	snprintf(p->driver, sizeof(p->driver), "%s", info.driver_name);
	nq = PST_MIN(nq, f->nworkers);
	nq = PST_MIN(nq, (unsigned)info.max_rx_queues);
	nq = PST_MIN(nq, (unsigned)info.max_tx_queues);
	p->nqueues = (uint16_t)PST_MAX(nq, 1u);
	/* Some devices refuse to start with RX interrupts they do not have; the first text counts.
	 */
	p->intr_fd = true;
	if (configure(f, p, conf, &info, true, err, errlen) != PST_OK) {
		p->intr_fd = false;
		if (configure(f, p, conf, &info, false, again, sizeof(again)) != PST_OK)
			return PST_INVAL;
	}
	if (set_mac(p, conf, err, errlen) != PST_OK ||
		hear_groups(p, conf->promiscuous, err, errlen) != PST_OK)
		return PST_INVAL;
	p->intr_fd = p->intr_fd && has_intr_fds(p);
	if (!conf->force_soft_steering)
		learn_rss(f, p, &info);
	return PST_OK;
}

void
port_stop(struct pst_port *p)
{
	if (p->ethdev < 0)
		return;
	rte_eth_dev_stop((uint16_t)p->ethdev);
	rte_eth_dev_close((uint16_t)p->ethdev);
	p->ethdev = -1;
}

uint16_t
port_rx(const struct pst_port *p, unsigned queue, struct rte_mbuf **m, uint16_t max)
{
	return rte_eth_rx_burst((uint16_t)p->ethdev, (uint16_t)queue, m, max);
}

uint16_t
port_tx(const struct pst_port *p, unsigned queue, struct rte_mbuf **m, uint16_t count)
{
	return rte_eth_tx_burst((uint16_t)p->ethdev, (uint16_t)queue, m, count);
}

bool
port_link_up(const struct pst_port *p)
{
	struct rte_eth_link link = {0};

	if (p->ethdev < 0)
		return true;
	return rte_eth_link_get_nowait((uint16_t)p->ethdev, &link) == 0 &&
	       link.link_status == RTE_ETH_LINK_UP;
}

/*
 * Two kinds of device have a descriptor. Those that take interrupts need them enabled,
 * and then looked at once more, since a frame may have come before. Others (a TAP) give
 * the queue's own descriptor, readable while a frame waits, and have nothing to enable.
 */
int
port_idle_arm(const struct pst_port *p, unsigned queue)
{
	uint16_t id = (uint16_t)p->ethdev, q = (uint16_t)queue;

	if (!p->intr_fd)
		return -1;
	int fd = rte_eth_dev_rx_intr_ctl_q_get_fd(id, q);
	if (fd < 0)
		return -1;
	int rc = rte_eth_dev_rx_intr_enable(id, q);
	if (rc != 0 && rc != -ENOTSUP)
		return -1;
	if (rc == 0 && rte_eth_rx_queue_count(id, q) > 0) {
		rte_eth_dev_rx_intr_disable(id, q);
		return -1;
	}
	return fd;
}

void
port_idle_disarm(const struct pst_port *p, unsigned queue, int fd)
{
	uint64_t junk;

	/* Only an interrupt's eventfd is read: a TAP's descriptor would yield a frame. */
	if (rte_eth_dev_rx_intr_disable((uint16_t)p->ethdev, (uint16_t)queue) == 0 &&
		read(fd, &junk, sizeof(junk)) < 0)
		return;
}
