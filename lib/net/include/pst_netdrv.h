/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a class of DPDK network device needs of us: the ops that drivers/net/
 * implements. Nothing in lib/ names a driver; the application hands the table of
 * drivers to pst_netdrv_find and turns a configured device into EAL arguments
 * and, after EAL start, into an ethdev port id. Main thread only.
 */
#ifndef PST_NETDRV_H
#define PST_NETDRV_H

#include <pst_base.h>
#include <stdio.h>

#define PST_NETDRV_OPTS 8

struct pst_netdrv_opt {
	const char *key, *value;
};

/* A port as the operator wrote it. Strings belong to the caller. */
struct pst_netdrv_dev {
	const char *name; /* operator's name: letters, digits, '-' and '_' */
	const char *
		device; /* "net_tap", "net_af_packet", "net_af_xdp", "net_ring", or a PCI address */
	const char *iface; /* kernel interface, for devices that have one; may be NULL */
	const char *mac;   /* text; may be NULL */
	unsigned queues;   /* wanted queue pairs, >= 1 */
	unsigned index;    /* position among all ports: makes names unique */
	unsigned nopts;
	struct pst_netdrv_opt opts[PST_NETDRV_OPTS]; /* driver options, checked by check() */
};

struct pst_netdrv {
	const char *name;
	bool is_virtual; /* default idle mode: adaptive */
	bool needs_hugepages;
	/*
	 * Its driver gives the pool's memory to the kernel, and on DPDK 22.11 receives nothing from
	 * a pool that is a stack.
	 */
	bool ring_pools;
	bool (*match)(const char *device);
	/* Judges the configuration without touching the system. PST_INVAL and a text. */
	enum pst_rc (*check)(const struct pst_netdrv_dev *dev, char *err, size_t errlen);
	/* One EAL argument pair, e.g. "--vdev" "net_tap0,iface=...". PST_INVAL if too long. */
	enum pst_rc (*eal_args)(
		const struct pst_netdrv_dev *dev, char flag[16], char *arg, size_t len);
	/* What the system must be told first (e.g. kernel addresses off on a veth). May be NULL. */
	enum pst_rc (*prepare)(const struct pst_netdrv_dev *dev, char *err, size_t errlen);
	/* After rte_eal_init: the ethdev name to look up with rte_eth_dev_get_port_by_name. */
	void (*ethdev_name)(const struct pst_netdrv_dev *dev, char *name, size_t len);
	/* Caps the queue pairs this class can have; the default for dev->queues == 0. */
	unsigned max_queues;
};

/* The table of drivers/net; NULL-terminated. Defined there, used by the application. */
extern const struct pst_netdrv *const pst_netdrvs[];

#endif
