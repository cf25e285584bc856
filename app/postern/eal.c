/* SPDX-License-Identifier: BSD-3-Clause */
#include "eal.h"

#include "crypto.h"

#include <pst_netdrv.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>

#define ARGS_MAX 64
#define ARG_LEN  1024

/* EAL keeps and permutes argv: static, writable, for the life of the process. */
static char arg_mem[ARGS_MAX][ARG_LEN];
static char *arg_v[ARGS_MAX + 1];
static int arg_n;

static void PST_PRINTF(1, 2) arg(const char *fmt, ...)
{
	va_list ap;

	if (arg_n == ARGS_MAX)
		return;
	va_start(ap, fmt);
	vsnprintf(arg_mem[arg_n], ARG_LEN, fmt, ap);
	va_end(ap);
	arg_v[arg_n] = arg_mem[arg_n];
	arg_n++;
}

unsigned
eal_worker_lcore(unsigned w)
{
	return w + 1; /* lcore 0 is the main one */
}

/* ---- devices ---- */

static const struct pst_netdrv *
find_driver(const char *device)
{
	for (const struct pst_netdrv *const *d = pst_netdrvs; *d != NULL; d++) {
		if ((*d)->match(device))
			return *d;
	}
	return NULL;
}

static void
describe_device(const struct pst_config_dataplane *dp, unsigned i, const struct pst_netdrv *drv,
	struct pst_netdrv_dev *dev)
{
	const struct pst_config_port *p = &dp->ports[i];

	*dev = (struct pst_netdrv_dev){
		.name = p->name,
		.device = p->device,
		.iface = p->iface,
		.mac = p->mac,
		.queues = p->queues != 0 ? p->queues : PST_MIN(dp->workers, drv->max_queues),
		.index = i,
	};
	for (; dev->nopts < p->noptions && dev->nopts < PST_NETDRV_OPTS; dev->nopts++)
		dev->opts[dev->nopts] = (struct pst_netdrv_opt){
			p->options[dev->nopts].key, p->options[dev->nopts].value};
}

void
eal_check(const struct pst_config_dataplane *dp, struct pst_config_report *report)
{
	for (unsigned i = 0; i < dp->nports; i++) {
		const struct pst_netdrv *drv = find_driver(dp->ports[i].device);
		struct pst_netdrv_dev dev;
		char at[64], err[256];

		snprintf(at, sizeof(at), "/dataplane/ports/%u", i);
		if (drv == NULL) {
			pst_config_report_add(
				report, at, "no driver for device \"%s\"", dp->ports[i].device);
			continue;
		}
		describe_device(dp, i, drv, &dev);
		if (drv->check(&dev, err, sizeof(err)) != PST_OK)
			pst_config_report_add(report, at, "%s", err);
		if (drv->needs_hugepages && dp->hugepages == PST_HUGE_OFF)
			pst_config_report_add(report, at,
				"device \"%s\" needs hugepages, and they are switched off",
				dp->ports[i].device);
	}
}

bool
eal_adaptive_idle(const struct pst_config_dataplane *dp)
{
	if (dp->idle != PST_IDLE_AUTO)
		return dp->idle == PST_IDLE_ADAPTIVE;
	for (unsigned i = 0; i < dp->nports; i++) {
		const struct pst_netdrv *drv = find_driver(dp->ports[i].device);

		if (drv != NULL && !drv->is_virtual)
			return false;
	}
	return true;
}

static enum pst_rc
device_args(const struct pst_config_dataplane *dp, bool *pci, char *err, size_t errlen)
{
	for (unsigned i = 0; i < dp->nports; i++) {
		const struct pst_netdrv *drv = find_driver(dp->ports[i].device);
		struct pst_netdrv_dev dev;
		char flag[16], text[ARG_LEN];

		describe_device(dp, i, drv, &dev);
		if (drv->prepare != NULL && drv->prepare(&dev, err, errlen) != PST_OK)
			return PST_INVAL;
		if (drv->eal_args(&dev, flag, text, sizeof(text)) != PST_OK) {
			snprintf(err, errlen, "port %s: device options too long", dev.name);
			return PST_INVAL;
		}
		*pci |= !drv->is_virtual;
		arg("%s", flag);
		arg("%s", text);
	}
	return PST_OK;
}

static enum pst_rc
crypto_args(const struct pst_config *cfg, bool *pci, char *err, size_t errlen)
{
	char flag[16], text[ARG_LEN];

	for (unsigned i = 0; i < cfg->crypto.nbackends; i++) {
		enum pst_rc rc = crypto_eal_arg(cfg, i, flag, text, sizeof(text));

		if (rc == PST_AGAIN)
			continue;
		if (rc != PST_OK) {
			snprintf(err, errlen, "crypto back-end %s: device options too long",
				cfg->crypto.backends[i].name);
			return PST_INVAL;
		}
		*pci |= strcmp(flag, "-a") == 0;
		arg("%s", flag);
		arg("%s", text);
	}
	return PST_OK;
}

/* ---- cores and memory ---- */

/* Cores to choose from. */
struct cores {
	cpu_set_t may;              /* what this process may use */
	unsigned n, c[CPU_SETSIZE]; /* the same as a list */
	size_t len;
	char map[ARG_LEN]; /* of --lcores */
};

static bool
find_cores(struct cores *cs)
{
	*cs = (struct cores){0};
	if (sched_getaffinity(0, sizeof(cs->may), &cs->may) != 0)
		return false;
	for (unsigned c = 0; c < CPU_SETSIZE; c++)
		if (CPU_ISSET(c, &cs->may))
			cs->c[cs->n++] = c;
	return cs->n > 0;
}

/* The k-th, from the first one again when there are no more. */
static unsigned
choose(const struct cores *cs, unsigned k)
{
	return cs->n > 0 ? cs->c[k % cs->n] : 0;
}

static enum pst_rc
put_lcore(struct cores *cs, unsigned lcore, unsigned core, char *err, size_t errlen)
{
	if (core >= CPU_SETSIZE || !CPU_ISSET(core, &cs->may)) {
		snprintf(err, errlen, "core %u is not there or not ours to use", core);
		return PST_INVAL;
	}
	cs->len += (size_t)snprintf(cs->map + cs->len, sizeof(cs->map) - cs->len, "%s%u@%u",
		cs->len > 0 ? "," : "", lcore, core);
	return cs->len < sizeof(cs->map) ? PST_OK : PST_INVAL;
}

/*
 * Cores as configured, else from what this process may use: the main thread on the first,
 * on each of the rest a worker, then the threads of crypto back-ends, sharing when there are
 * not enough.
 */
static enum pst_rc
core_args(const struct pst_config *cfg, char *err, size_t errlen)
{
	const struct pst_config_dataplane *dp = &cfg->dataplane;
	unsigned ncrypto = crypto_lcores(cfg), at;
	struct cores cs;
	enum pst_rc rc;

	if (!find_cores(&cs))
		return PST_INVAL;
	rc = put_lcore(
		&cs, 0, dp->main_core >= 0 ? (unsigned)dp->main_core : choose(&cs, 0), err, errlen);
	at = cs.n > dp->workers ? 1 : 0;
	for (unsigned w = 0; w < dp->workers && rc == PST_OK; w++, at++)
		rc = put_lcore(&cs, eal_worker_lcore(w),
			dp->ncores > 0 ? dp->cores[w] : choose(&cs, at), err, errlen);
	for (unsigned i = 0; i < ncrypto && rc == PST_OK; i++) {
		int core = crypto_core(cfg, i);
		rc = put_lcore(&cs, eal_worker_lcore(dp->workers + i),
			core >= 0 ? (unsigned)core : choose(&cs, at++), err, errlen);
	}
	if (rc != PST_OK)
		return rc;
	arg("--lcores");
	arg("%s", cs.map);
	arg("--main-lcore");
	arg("0");
	return PST_OK;
}

static unsigned
free_hugepages(void)
{
	static const char *const files[] = {
		"/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages",
		"/sys/kernel/mm/hugepages/hugepages-1048576kB/free_hugepages",
	};
	unsigned total = 0;

	for (unsigned i = 0; i < PST_COUNT(files); i++) {
		FILE *f = fopen(files[i], "r");
		unsigned n = 0;

		if (f == NULL)
			continue;
		if (fscanf(f, "%u", &n) == 1)
			total += n;
		fclose(f);
	}
	return total;
}

static enum pst_rc
memory_args(const struct pst_config_dataplane *dp, char *err, size_t errlen)
{
	bool have = free_hugepages() > 0;

	if (dp->hugepages == PST_HUGE_ON && !have) {
		snprintf(err, errlen,
			"/dataplane/hugepages is \"on\" and the system has no free hugepage: "
			"reserve some in /proc/sys/vm/nr_hugepages");
		return PST_INVAL;
	}
	if (dp->hugepages == PST_HUGE_OFF || !have) {
		arg("--no-huge");
		arg("--no-shconf");
	} else {
		arg("--in-memory"); /* no file stays behind in hugetlbfs */
	}
	arg("-m");
	arg("%u", dp->memory_mb);
	return PST_OK;
}

/* ---- start ---- */

static struct pst_fabric *
make_fabric(const struct pst_config_dataplane *dp, char *err, size_t errlen)
{
	struct pst_port_conf ports[PST_NET_MAX_PORTS];
	struct pst_route_conf *routes = calloc(dp->nroutes + 1, sizeof(*routes));
	struct pst_fabric_conf conf = {
		.nworkers = dp->workers,
		.nports = dp->nports,
		.ports = ports,
		.nroutes = dp->nroutes,
		.routes = routes,
		.mbufs_per_worker = dp->mbufs,
		.misroute_every = dp->misroute_every,
	};
	struct pst_fabric *f = NULL;

	if (routes == NULL)
		return NULL;
	for (unsigned i = 0; i < dp->nports; i++) {
		const struct pst_config_port *p = &dp->ports[i];
		const struct pst_netdrv *drv = find_driver(p->device);
		struct pst_netdrv_dev dev;
		char name[RTE_ETH_NAME_MAX_LEN];
		uint16_t id;

		describe_device(dp, i, drv, &dev);
		conf.ring_pools |= drv->ring_pools;
		drv->ethdev_name(&dev, name, sizeof(name));
		if (rte_eth_dev_get_port_by_name(name, &id) != 0) {
			snprintf(err, errlen, "port %s: device %s did not come up", p->name,
				p->device);
			goto out;
		}
		ports[i] = (struct pst_port_conf){
			.name = p->name,
			.ethdev = id,
			.mtu = p->mtu,
			.vlan = p->vlan,
			.queues = (uint16_t)dev.queues,
			.promiscuous = p->promiscuous,
			.force_soft_steering = p->force_soft_steering,
			.naddrs = p->naddresses,
		};
		memcpy(ports[i].addrs, p->addresses, sizeof(ports[i].addrs));
	}
	for (unsigned i = 0; i < dp->nroutes; i++)
		routes[i] = (struct pst_route_conf){.to = dp->routes[i].to,
			.via = dp->routes[i].via,
			.port = dp->routes[i].port};
	f = pst_fabric_new(&conf, err, errlen);
out:
	free(routes);
	return f;
}

struct pst_fabric *
eal_start(const struct pst_config *cfg, char *err, size_t errlen)
{
	const struct pst_config_dataplane *dp = &cfg->dataplane;
	struct pst_fabric *f;
	bool pci = false;

	snprintf(err, errlen, "EAL arguments");
	arg("postern");
	if (core_args(cfg, err, errlen) != PST_OK || memory_args(dp, err, errlen) != PST_OK ||
		device_args(dp, &pci, err, errlen) != PST_OK ||
		crypto_args(cfg, &pci, err, errlen) != PST_OK)
		return NULL;
	if (!pci)
		arg("--no-pci");
	arg("--iova-mode=va");
	arg("--file-prefix=postern");
	arg("--log-level=*:error");
	if (rte_eal_init(arg_n, arg_v) < 0) {
		snprintf(err, errlen, "EAL did not start: %s", rte_strerror(rte_errno));
		return NULL;
	}
	f = make_fabric(dp, err, errlen);
	if (f == NULL)
		rte_eal_cleanup();
	return f;
}

void
eal_stop(struct pst_fabric *f)
{
	pst_fabric_free(f);
	rte_eal_cleanup();
}
