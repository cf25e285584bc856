/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Network cards by PCI address, "0000:3b:00.0" or "3b:00.0". A card is used when it is
 * bound to a module that lets DPDK drive it (scripts/bind-nics), or when its own kernel
 * driver shares it with DPDK, as Mellanox cards do.
 */
#include "netdrv_impl.h"
#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

/* The shape of an address; 'h' stands for a hexadecimal digit, 'o' for an octal one. */
static bool
has_shape(const char *s, const char *shape)
{
	for (; *shape != '\0'; s++, shape++) {
		if (*shape == 'h' ? !isxdigit((unsigned char)*s)
				  : (*shape == 'o' ? *s < '0' || *s > '7' : *s != *shape))
			return false;
	}
	return *s == '\0';
}

static bool
is_pci(const char *device)
{
	return has_shape(device, "hhhh:hh:hh.o") || has_shape(device, "hh:hh.o");
}

/* The kernel writes addresses in full and in lower case. */
static void
full_name(const struct pst_netdrv_dev *dev, char *name, size_t len)
{
	snprintf(name, len, "%s%s", strlen(dev->device) == 7 ? "0000:" : "", dev->device);
	for (char *s = name; *s != '\0'; s++)
		*s = (char)tolower((unsigned char)*s);
}

static enum pst_rc
pci_check(const struct pst_netdrv_dev *dev, char *err, size_t errlen)
{
	if (dev->iface != NULL) {
		snprintf(err, errlen, "port %s: a card given by its PCI address has no \"iface\"",
			dev->name);
		return PST_INVAL;
	}
	if (netdrv_check_mac(dev, err, errlen) != PST_OK ||
		netdrv_check_opts(dev, NULL, err, errlen) != PST_OK)
		return PST_INVAL;
	return netdrv_check_queues(dev, netdrv_pci.max_queues, err, errlen);
}

static enum pst_rc
pci_args(const struct pst_netdrv_dev *dev, char flag[16], char *arg, size_t len)
{
	if (len < 16)
		return PST_INVAL;
	snprintf(flag, 16, "-a");
	full_name(dev, arg, len);
	return netdrv_add_opts(dev, arg, len) ? PST_OK : PST_INVAL;
}

static enum pst_rc
pci_prepare(const struct pst_netdrv_dev *dev, char *err, size_t errlen)
{
	static const char *const usable[] = {
		"vfio-pci", "uio_pci_generic", "igb_uio", "mlx4_core", "mlx5_core"};
	char name[16], path[64], to[256];

	full_name(dev, name, sizeof(name));
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s", name);
	if (access(path, F_OK) != 0) {
		snprintf(err, errlen, "port %s: there is no PCI device %s", dev->name, name);
		return PST_INVAL;
	}
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/driver", name);
	ssize_t n = readlink(path, to, sizeof(to) - 1);
	to[n < 0 ? 0 : n] = '\0';
	const char *driver = strrchr(to, '/');
	driver = driver == NULL ? "no driver" : driver + 1;
	for (unsigned i = 0; i < PST_COUNT(usable); i++)
		if (strcmp(driver, usable[i]) == 0)
			return PST_OK;
	snprintf(err, errlen, "port %s: %s is bound to %s: run scripts/bind-nics bind %s",
		dev->name, name, driver, name);
	return PST_INVAL;
}

const struct pst_netdrv netdrv_pci = {
	.name = "pci",
	.needs_hugepages = true,
	.match = is_pci,
	.check = pci_check,
	.eal_args = pci_args,
	.prepare = pci_prepare,
	.ethdev_name = full_name,
	.max_queues = 64,
};
