/* SPDX-License-Identifier: BSD-3-Clause */
/* Shared by the tables of drivers/net. */
#ifndef NETDRV_IMPL_H
#define NETDRV_IMPL_H

#include <pst_netdrv.h>

extern const struct pst_netdrv netdrv_tap, netdrv_af_packet, netdrv_af_xdp, netdrv_ring, netdrv_pci;

/* ---- checks: PST_OK, or PST_INVAL and a text ---- */

/* A kernel interface name: 1 to 15 characters the kernel takes and vdev arguments can carry. */
enum pst_rc netdrv_check_iface(
	const struct pst_netdrv_dev *dev, bool needed, char *err, size_t errlen);
/* "02:00:00:00:00:01", unicast and not zero; or none. */
enum pst_rc netdrv_check_mac(const struct pst_netdrv_dev *dev, char *err, size_t errlen);
/* Options are among `known` (NULL ends it; NULL itself: any) and carry no separators. */
enum pst_rc netdrv_check_opts(
	const struct pst_netdrv_dev *dev, const char *const *known, char *err, size_t errlen);
enum pst_rc netdrv_check_queues(
	const struct pst_netdrv_dev *dev, unsigned max, char *err, size_t errlen);

/* Appends to a string in arg; false when it does not fit. */
bool netdrv_add(char *arg, size_t len, const char *fmt, ...) PST_PRINTF(3, 4);
/* ",key=value" for each option. */
bool netdrv_add_opts(const struct pst_netdrv_dev *dev, char *arg, size_t len);
const char *netdrv_opt(const struct pst_netdrv_dev *dev, const char *key); /* NULL: not given */

/*
 * Makes the kernel let go of an interface that the gateway will speak on: no ARP, no
 * IPv6 of its own, no forwarding, no coalescing of segments; up and promiscuous, and
 * with the MAC address `mac` unless that is NULL.
 * Refuses an interface that has an IPv4 address.
 */
enum pst_rc iface_take(const char *iface, const char *mac, char *err, size_t errlen);

#endif
