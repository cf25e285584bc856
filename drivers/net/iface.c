/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Taking a kernel interface over. A packet socket gets a copy of each frame; the kernel
 * gets the other and would answer ARP, neighbour solicitations and TCP on its own. So
 * it is told to keep still on this interface, through the same files and ioctls that
 * ip(8), sysctl(8) and ethtool(8) use, in the network namespace of this process.
 *
 * Nothing is restored at the end: the interface was given to the gateway.
 */
#include "netdrv_impl.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>

static enum pst_rc
set_sysctl(const char *family, const char *iface, const char *key, const char *value, char *err,
	size_t errlen)
{
	char path[128];

	snprintf(path, sizeof(path), "/proc/sys/net/%s/conf/%s/%s", family, iface, key);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return PST_OK; /* a kernel without that family has nothing to switch off */
	ssize_t n = fd < 0 ? -1 : write(fd, value, strlen(value));
	int why = errno;
	if (fd >= 0)
		close(fd);
	if (n == (ssize_t)strlen(value))
		return PST_OK;
	snprintf(err, errlen, "%s: %s", path, strerror(why));
	return PST_INVAL;
}

static enum pst_rc
refuse_addresses(int fd, const char *iface, char *err, size_t errlen)
{
	struct ifreq ifr = {.ifr_addr.sa_family = AF_INET};

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", iface);
	if (ioctl(fd, SIOCGIFADDR, &ifr) != 0)
		return PST_OK;
	snprintf(err, errlen,
		"%s has an IPv4 address, so the kernel would answer beside the gateway: "
		"ip address flush dev %s",
		iface, iface);
	return PST_INVAL;
}

static enum pst_rc
set_flags(int fd, const char *iface, char *err, size_t errlen)
{
	struct ifreq ifr = {0};

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", iface);
	if (ioctl(fd, SIOCGIFFLAGS, &ifr) == 0) {
		ifr.ifr_flags |= IFF_UP | IFF_NOARP | IFF_PROMISC;
		if (ioctl(fd, SIOCSIFFLAGS, &ifr) == 0)
			return PST_OK;
	}
	snprintf(err, errlen, "%s: %s", iface, strerror(errno));
	return PST_INVAL;
}

/* Before the device is opened: AF_XDP devices cannot change their address later. */
static enum pst_rc
set_mac(int fd, const char *iface, const char *mac, char *err, size_t errlen)
{
	struct ifreq ifr = {.ifr_hwaddr.sa_family = ARPHRD_ETHER};
	unsigned b[6];

	if (mac == NULL)
		return PST_OK;
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", iface);
	if (sscanf(mac, "%2x:%2x:%2x:%2x:%2x:%2x", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5]) == 6) {
		for (unsigned i = 0; i < 6; i++)
			ifr.ifr_hwaddr.sa_data[i] = (char)b[i];
		if (ioctl(fd, SIOCSIFHWADDR, &ifr) == 0)
			return PST_OK;
	}
	snprintf(err, errlen, "%s: MAC address %s: %s", iface, mac, strerror(errno));
	return PST_INVAL;
}

/*
 * Segments coalesced by the kernel are larger than the MTU and would not fit a frame of
 * the socket's ring. An interface that cannot coalesce refuses, which is as good.
 */
static void
stop_coalescing(int fd, const char *iface)
{
	static const uint32_t off[] = {ETHTOOL_SGRO, ETHTOOL_SGSO, ETHTOOL_STSO};
	struct ifreq ifr = {0};

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", iface);
	for (unsigned i = 0; i < PST_COUNT(off); i++) {
		struct ethtool_value v = {.cmd = off[i], .data = 0};
		ifr.ifr_data = (char *)&v;
		if (ioctl(fd, SIOCETHTOOL, &ifr) != 0)
			continue;
	}
	struct ethtool_value flags = {.cmd = ETHTOOL_GFLAGS};
	ifr.ifr_data = (char *)&flags;
	if (ioctl(fd, SIOCETHTOOL, &ifr) != 0 || (flags.data & ETH_FLAG_LRO) == 0)
		return;
	flags.cmd = ETHTOOL_SFLAGS;
	flags.data &= ~(uint32_t)ETH_FLAG_LRO;
	if (ioctl(fd, SIOCETHTOOL, &ifr) != 0)
		return;
}

enum pst_rc
iface_take(const char *iface, const char *mac, char *err, size_t errlen)
{
	static const struct {
		const char *family, *key, *value;
	} sysctls[] = {
		{"ipv6", "addr_gen_mode", "1"}, /* none: no link-local address when it comes up */
		{"ipv6", "disable_ipv6", "1"},
		{"ipv4", "forwarding", "0"},
	};
	enum pst_rc rc = PST_OK;

	if (if_nametoindex(iface) == 0) {
		snprintf(
			err, errlen, "no kernel interface \"%s\" in this network namespace", iface);
		return PST_INVAL;
	}
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		snprintf(err, errlen, "socket: %s", strerror(errno));
		return PST_INVAL;
	}
	rc = refuse_addresses(fd, iface, err, errlen);
	for (unsigned i = 0; rc == PST_OK && i < PST_COUNT(sysctls); i++)
		rc = set_sysctl(
			sysctls[i].family, iface, sysctls[i].key, sysctls[i].value, err, errlen);
	if (rc == PST_OK) {
		stop_coalescing(fd, iface);
		rc = set_mac(fd, iface, mac, err, errlen);
	}
	if (rc == PST_OK) {
		rc = set_flags(fd, iface, err, errlen);
	}
	close(fd);
	return rc;
}
