/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A host made of lib/net alone, for net_smoke.py: answers ARP, neighbour solicitations
 * and echo, and refuses every TCP connection by a RST that carries a payload in a chain of
 * clones, so that a Linux peer's connect() proves checksums, chains and steering.
 *
 *   net_smoke --device net_tap --iface lan0 --addr 192.0.2.1/24 [--addr ...]
 *             [--mac M] [--workers N] [--queues N] [--vlan V] [--mtu M] [--misroute N]
 *
 * Runs until SIGTERM, then prints its counters, one "name value" a line.
 */
#include <pst_net.h>
#include <pst_netdrv.h>
#include <getopt.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_tcp.h>

#define PAYLOAD_SEGS 3
#define PAYLOAD_LEN  333 /* odd, so that segments begin at odd offsets */

static volatile sig_atomic_t stop;
static struct pst_fabric *fabric;
static struct pst_net_counters total[PST_NET_MAX_WORKERS];

struct args {
	struct pst_netdrv_dev dev;
	struct pst_port_conf port;
	unsigned workers, misroute;
};

static void
on_term(int sig)
{
	(void)sig;
	stop = 1;
}

static void
die(const char *what, const char *why)
{
	fprintf(stderr, "net_smoke: %s: %s\n", what, why);
	exit(1);
}

/* Appends clones of one payload buffer, as TCP does with data it keeps for later. */
static struct rte_mbuf *
add_payload(struct pst_net *n, struct rte_mbuf *head)
{
	struct rte_mbuf *data = rte_pktmbuf_alloc(pst_net_pool_data(n));

	if (data == NULL)
		return head;
	memset(rte_pktmbuf_append(data, PAYLOAD_LEN), 0xa5, PAYLOAD_LEN);
	for (unsigned i = 0; i < PAYLOAD_SEGS; i++) {
		struct rte_mbuf *c = rte_pktmbuf_clone(data, pst_net_pool_head(n));
		if (c == NULL || rte_pktmbuf_chain(head, c) != 0)
			rte_pktmbuf_free(c);
	}
	rte_pktmbuf_free(data);
	return head;
}

static void
refuse(struct pst_net *n, const struct pst_pkt *p, uint64_t now)
{
	const struct rte_tcp_hdr *t = rte_pktmbuf_mtod(p->m, const struct rte_tcp_hdr *);
	struct rte_mbuf *m = rte_pktmbuf_alloc(pst_net_pool_head(n));

	if (m == NULL)
		return;
	struct rte_tcp_hdr *r = (struct rte_tcp_hdr *)rte_pktmbuf_append(m, sizeof(*r));
	*r = (struct rte_tcp_hdr){.src_port = t->dst_port,
		.dst_port = t->src_port,
		.recv_ack = rte_cpu_to_be_32(rte_be_to_cpu_32(t->sent_seq) + 1),
		.data_off = sizeof(*r) / 4 << 4,
		.tcp_flags = RTE_TCP_RST_FLAG | RTE_TCP_ACK_FLAG};
	pst_net_output(n, add_payload(n, m), &p->dst, &p->src, IPPROTO_TCP, 0, now);
}

static int
worker(void *arg)
{
	unsigned me = (unsigned)(uintptr_t)arg;
	struct pst_net *n = pst_net_new(fabric, me);
	struct pst_pkt pkts[32];

	while (!stop) {
		uint64_t now = pst_now_ns();
		unsigned got = pst_net_rx(n, now, pkts, 32);
		for (unsigned i = 0; i < got; i++) {
			const struct rte_tcp_hdr *t =
				rte_pktmbuf_mtod(pkts[i].m, const struct rte_tcp_hdr *);
			if (pkts[i].kind == PST_PKT_TCP && (t->tcp_flags & RTE_TCP_SYN_FLAG))
				refuse(n, &pkts[i], now);
			rte_pktmbuf_free(pkts[i].m);
		}
		pst_net_tick(n, now);
		pst_net_flush(n);
		if (got == 0) {
			uint64_t next = pst_net_next_deadline(n), most = 50 * PST_NS_PER_MS;
			pst_net_idle(n, next <= now ? 0 : PST_MIN(next - now, most));
		}
	}
	total[me] = *pst_net_counters(n);
	pst_net_free(n);
	return 0;
}

static void
parse(int argc, char **argv, struct args *a)
{
	enum { DEVICE, IFACE, ADDR, MAC, WORKERS, QUEUES, VLAN, MTU, MISROUTE };
	static const struct option opts[] = {{"device", 1, NULL, DEVICE}, {"iface", 1, NULL, IFACE},
		{"addr", 1, NULL, ADDR}, {"mac", 1, NULL, MAC}, {"workers", 1, NULL, WORKERS},
		{"queues", 1, NULL, QUEUES}, {"vlan", 1, NULL, VLAN}, {"mtu", 1, NULL, MTU},
		{"misroute", 1, NULL, MISROUTE}, {0}};
	int o;

	*a = (struct args){.workers = 1, .dev = {.name = "smoke", .queues = 1}};
	while ((o = getopt_long(argc, argv, "", opts, NULL)) >= 0) {
		unsigned v = optarg == NULL ? 0 : (unsigned)strtoul(optarg, NULL, 10);
		switch (o) {
		case DEVICE:
			a->dev.device = optarg;
			break;
		case IFACE:
			a->dev.iface = optarg;
			break;
		case ADDR:
			if (a->port.naddrs == PST_NET_MAX_ADDRS ||
				pst_prefix_parse(optarg, &a->port.addrs[a->port.naddrs++]) !=
					PST_OK)
				die("--addr", optarg);
			break;
		case MAC:
			a->dev.mac = optarg;
			if (rte_ether_unformat_addr(optarg, &a->port.mac) != 0)
				die("--mac", optarg);
			break;
		case WORKERS:
			a->workers = v;
			break;
		case QUEUES:
			a->dev.queues = v;
			break;
		case VLAN:
			a->port.vlan = (uint16_t)v;
			break;
		case MTU:
			a->port.mtu = (uint16_t)v;
			break;
		case MISROUTE:
			a->misroute = v;
			break;
		default:
			exit(2);
		}
	}
	if (a->dev.device == NULL || a->workers == 0 || a->workers > 8)
		die("usage", "--device is needed; 1 to 8 workers");
}

/* The driver's EAL arguments, then EAL, then the port's number. */
static void
start_device(struct args *a)
{
	const struct pst_netdrv *drv = NULL;
	char err[256], flag[16], arg[256], name[RTE_ETH_NAME_MAX_LEN], lcores[64];
	static char words[16][256];
	static char *v[17];
	uint16_t id;

	for (unsigned i = 0; pst_netdrvs[i] != NULL; i++)
		if (pst_netdrvs[i]->match(a->dev.device))
			drv = pst_netdrvs[i];
	if (drv == NULL)
		die("no driver", a->dev.device);
	if (drv->check(&a->dev, err, sizeof(err)) != PST_OK ||
		(drv->prepare != NULL && drv->prepare(&a->dev, err, sizeof(err)) != PST_OK))
		die("device", err);
	if (drv->eal_args(&a->dev, flag, arg, sizeof(arg)) != PST_OK)
		die("device", "arguments too long");
	snprintf(lcores, sizeof(lcores), "(0-%u)@(0-1)", a->workers);
	const char *text[] = {"net_smoke", "--no-huge", "--no-pci", "--no-shconf", "--no-telemetry",
		"-m", "512", "--lcores", lcores, "--main-lcore", "0", "--iova-mode", "va", flag,
		arg};
	for (unsigned i = 0; i < PST_COUNT(text); i++) {
		snprintf(words[i], sizeof(words[i]), "%s", text[i]);
		v[i] = words[i];
	}
	if (rte_eal_init((int)PST_COUNT(text), v) < 0)
		die("EAL", "did not start");
	drv->ethdev_name(&a->dev, name, sizeof(name));
	if (rte_eth_dev_get_port_by_name(name, &id) != 0)
		die("no ethdev", name);
	a->port.name = a->dev.name;
	a->port.ethdev = id;
	a->port.queues = (uint16_t)a->dev.queues;
}

static void
report(const struct args *a)
{
	for (const struct pst_counter_desc *d = pst_net_counter_descs; d->name != NULL; d++) {
		uint64_t sum = 0;
		for (unsigned w = 0; w < a->workers; w++)
			sum += *(const uint64_t *)((const char *)&total[w] + d->offset);
		printf("%s %lu\n", d->name, (unsigned long)sum);
	}
}

int
main(int argc, char **argv)
{
	struct args a;
	char err[256], text[256];
	unsigned lcore, w = 0;

	parse(argc, argv, &a);
	start_device(&a);
	struct pst_fabric_conf fc = {.nworkers = a.workers,
		.nports = 1,
		.ports = &a.port,
		.mbufs_per_worker = 4096,
		.misroute_every = a.misroute};
	fabric = pst_fabric_new(&fc, err, sizeof(err));
	if (fabric == NULL)
		die("fabric", err);
	pst_fabric_describe(fabric, 0, text, sizeof(text));
	printf("%s\n", text);
	fflush(stdout);
	signal(SIGTERM, on_term);
	RTE_LCORE_FOREACH_WORKER(lcore)
	rte_eal_remote_launch(worker, (void *)(uintptr_t)w++, lcore);
	while (!stop)
		usleep(20000); /* the wait below spins */
	rte_eal_mp_wait_lcore();
	report(&a);
	pst_fabric_free(fabric);
	return 0;
}
