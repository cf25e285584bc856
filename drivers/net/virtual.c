/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Virtual devices: TAP, packet sockets, AF_XDP sockets and in-process rings. Each is an
 * EAL --vdev named after its driver and the port's position.
 */
#include "netdrv_impl.h"
#include <string.h>

static bool
is_tap(const char *device)
{
	return strcmp(device, "net_tap") == 0;
}

static bool
is_af_packet(const char *device)
{
	return strcmp(device, "net_af_packet") == 0;
}

static bool
is_af_xdp(const char *device)
{
	return strcmp(device, "net_af_xdp") == 0;
}

static bool
is_ring(const char *device)
{
	return strcmp(device, "net_ring") == 0;
}

/* EAL tells device names from aliases by the driver's prefix, so the prefix comes first. */
static void
vdev_name(const struct pst_netdrv_dev *dev, char *name, size_t len)
{
	snprintf(name, len, "%s%u", dev->device, dev->index);
}

static bool
begin(const struct pst_netdrv_dev *dev, char flag[16], char *arg, size_t len)
{
	snprintf(flag, 16, "--vdev");
	if (len == 0)
		return false;
	vdev_name(dev, arg, len);
	return strlen(arg) + 1 < len;
}

/* ---- net_tap ---- */

/*
 * The kernel's side of a TAP is made with the MAC address of the port itself. The port
 * and the kernel's side then claim the same link-local address: give the kernel's side
 * another one before it comes up (docs/net.md).
 */
static enum pst_rc
tap_check(const struct pst_netdrv_dev *dev, char *err, size_t errlen)
{
	static const char *const known[] = {"remote", NULL};

	if (netdrv_check_iface(dev, true, err, errlen) != PST_OK ||
		netdrv_check_mac(dev, err, errlen) != PST_OK ||
		netdrv_check_opts(dev, known, err, errlen) != PST_OK)
		return PST_INVAL;
	return netdrv_check_queues(dev, netdrv_tap.max_queues, err, errlen);
}

static enum pst_rc
tap_args(const struct pst_netdrv_dev *dev, char flag[16], char *arg, size_t len)
{
	bool ok = begin(dev, flag, arg, len) && netdrv_add(arg, len, ",iface=%s", dev->iface) &&
		  (dev->mac == NULL || netdrv_add(arg, len, ",mac=%s", dev->mac)) &&
		  netdrv_add_opts(dev, arg, len);
	return ok ? PST_OK : PST_INVAL;
}

const struct pst_netdrv netdrv_tap = {
	.name = "net_tap",
	.is_virtual = true,
	.match = is_tap,
	.check = tap_check,
	.eal_args = tap_args,
	.ethdev_name = vdev_name,
	.max_queues = 16,
};

/* ---- net_af_packet ---- */

static enum pst_rc
af_packet_check(const struct pst_netdrv_dev *dev, char *err, size_t errlen)
{
	static const char *const known[] = {"blocksz", "framesz", "framecnt", "qdisc_bypass", NULL};

	if (netdrv_check_iface(dev, true, err, errlen) != PST_OK ||
		netdrv_check_mac(dev, err, errlen) != PST_OK ||
		netdrv_check_opts(dev, known, err, errlen) != PST_OK)
		return PST_INVAL;
	return netdrv_check_queues(dev, netdrv_af_packet.max_queues, err, errlen);
}

/*
 * Frames of 2 KiB hold an MTU of 1500; the driver's own 512 of them are gone in a few
 * milliseconds of a gigabit, which a worker sharing its core may well be away.
 */
static enum pst_rc
af_packet_args(const struct pst_netdrv_dev *dev, char flag[16], char *arg, size_t len)
{
	static const struct pst_netdrv_opt defaults[] = {
		{"blocksz", "65536"}, {"framesz", "2048"}, {"framecnt", "2048"}};
	bool ok = begin(dev, flag, arg, len) &&
		  netdrv_add(arg, len, ",iface=%s,qpairs=%u", dev->iface, dev->queues);

	for (unsigned i = 0; ok && i < PST_COUNT(defaults); i++)
		if (netdrv_opt(dev, defaults[i].key) == NULL)
			ok = netdrv_add(arg, len, ",%s=%s", defaults[i].key, defaults[i].value);
	return ok && netdrv_add_opts(dev, arg, len) ? PST_OK : PST_INVAL;
}

static enum pst_rc
take_iface(const struct pst_netdrv_dev *dev, char *err, size_t errlen)
{
	char why[200];

	if (iface_take(dev->iface, dev->mac, why, sizeof(why)) == PST_OK)
		return PST_OK;
	snprintf(err, errlen, "port %s: %s", dev->name, why);
	return PST_INVAL;
}

const struct pst_netdrv netdrv_af_packet = {
	.name = "net_af_packet",
	.is_virtual = true,
	.match = is_af_packet,
	.check = af_packet_check,
	.eal_args = af_packet_args,
	.prepare = take_iface,
	.ethdev_name = vdev_name,
	.max_queues = 16,
};

/* ---- net_af_xdp ---- */

static enum pst_rc
af_xdp_check(const struct pst_netdrv_dev *dev, char *err, size_t errlen)
{
	static const char *const known[] = {
		"start_queue", "shared_umem", "xdp_prog", "busy_budget", "force_copy", NULL};

	if (netdrv_check_iface(dev, true, err, errlen) != PST_OK ||
		netdrv_check_mac(dev, err, errlen) != PST_OK ||
		netdrv_check_opts(dev, known, err, errlen) != PST_OK)
		return PST_INVAL;
	return netdrv_check_queues(dev, netdrv_af_xdp.max_queues, err, errlen);
}

static enum pst_rc
af_xdp_args(const struct pst_netdrv_dev *dev, char flag[16], char *arg, size_t len)
{
	bool ok = begin(dev, flag, arg, len) &&
		  netdrv_add(arg, len, ",iface=%s,queue_count=%u", dev->iface, dev->queues) &&
		  netdrv_add_opts(dev, arg, len);
	return ok ? PST_OK : PST_INVAL;
}

const struct pst_netdrv netdrv_af_xdp = {
	.name = "net_af_xdp",
	.ring_pools = true,
	.is_virtual = true,
	.match = is_af_xdp,
	.check = af_xdp_check,
	.eal_args = af_xdp_args,
	.prepare = take_iface,
	.ethdev_name = vdev_name,
	.max_queues = 1, /* a veth has one channel unless told otherwise */
};

/* ---- net_ring ---- */

static enum pst_rc
ring_check(const struct pst_netdrv_dev *dev, char *err, size_t errlen)
{
	static const char *const known[] = {NULL};

	if (dev->iface != NULL) {
		snprintf(err, errlen, "port %s: a ring has no kernel interface", dev->name);
		return PST_INVAL;
	}
	if (netdrv_check_mac(dev, err, errlen) != PST_OK ||
		netdrv_check_opts(dev, known, err, errlen) != PST_OK)
		return PST_INVAL;
	return netdrv_check_queues(dev, netdrv_ring.max_queues, err, errlen);
}

static enum pst_rc
ring_args(const struct pst_netdrv_dev *dev, char flag[16], char *arg, size_t len)
{
	return begin(dev, flag, arg, len) ? PST_OK : PST_INVAL;
}

const struct pst_netdrv netdrv_ring = {
	.name = "net_ring",
	.is_virtual = true,
	.match = is_ring,
	.check = ring_check,
	.eal_args = ring_args,
	.ethdev_name = vdev_name,
	.max_queues = 16,
};
