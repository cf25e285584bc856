/* SPDX-License-Identifier: BSD-3-Clause */
/* The table of drivers, and what their checks have in common. */
#include "netdrv_impl.h"
#include <ctype.h>
#include <net/if.h>
#include <stdarg.h>
#include <string.h>

const struct pst_netdrv *const pst_netdrvs[] = {
	&netdrv_tap, &netdrv_af_packet, &netdrv_af_xdp, &netdrv_ring, &netdrv_pci, NULL};

static enum pst_rc
invalid(const struct pst_netdrv_dev *dev, char *err, size_t errlen, const char *what,
	const char *text)
{
	snprintf(err, errlen, "port %s: %s%s%s%s", dev->name, what, text == NULL ? "" : " \"",
		text == NULL ? "" : text, text == NULL ? "" : "\"");
	return PST_INVAL;
}

enum pst_rc
netdrv_check_iface(const struct pst_netdrv_dev *dev, bool needed, char *err, size_t errlen)
{
	const char *s = dev->iface;

	if (s == NULL)
		return needed ? invalid(dev, err, errlen, "needs the name of a kernel interface",
					NULL)
			      : PST_OK;
	if (s[0] == '\0' || strlen(s) >= IF_NAMESIZE || strcmp(s, ".") == 0 || strcmp(s, "..") == 0)
		return invalid(dev, err, errlen, "not an interface name:", s);
	for (; *s != '\0'; s++)
		if (!isalnum((unsigned char)*s) && strchr("-_.@", *s) == NULL)
			return invalid(dev, err, errlen, "not an interface name:", dev->iface);
	return PST_OK;
}

enum pst_rc
netdrv_check_mac(const struct pst_netdrv_dev *dev, char *err, size_t errlen)
{
	unsigned digits = 0, set = 0;
	const char *s = dev->mac;

	if (s == NULL)
		return PST_OK;
	if (strlen(s) != 17)
		return invalid(dev, err, errlen, "not a MAC address:", s);
	for (unsigned i = 0; i < 17; i++) {
		if (i % 3 == 2 ? s[i] != ':' : !isxdigit((unsigned char)s[i]))
			return invalid(dev, err, errlen, "not a MAC address:", s);
		digits += i % 3 != 2;
		set += i % 3 != 2 && s[i] != '0';
	}
	/* The group bit is the lowest of the first byte: an odd second digit. */
	if (set == 0 || digits != 12 || strchr("13579bdfBDF", s[1]) != NULL)
		return invalid(dev, err, errlen, "not a MAC address a port can have:", s);
	return PST_OK;
}

static bool
is_known(const char *const *known, const char *key)
{
	for (; *known != NULL; known++)
		if (strcmp(*known, key) == 0)
			return true;
	return false;
}

static bool
is_plain(const char *s, const char *extra)
{
	if (*s == '\0')
		return false;
	for (; *s != '\0'; s++)
		if (!isalnum((unsigned char)*s) && strchr(extra, *s) == NULL)
			return false;
	return true;
}

enum pst_rc
netdrv_check_opts(
	const struct pst_netdrv_dev *dev, const char *const *known, char *err, size_t errlen)
{
	for (unsigned i = 0; i < dev->nopts; i++) {
		const struct pst_netdrv_opt *o = &dev->opts[i];
		if (!is_plain(o->key, "-_") || (known != NULL && !is_known(known, o->key)))
			return invalid(dev, err, errlen, "the driver has no option", o->key);
		/* A comma would begin another argument of the device. */
		if (!is_plain(o->value, "-_./:@[]"))
			return invalid(dev, err, errlen, "value not allowed for option", o->key);
	}
	return PST_OK;
}

enum pst_rc
netdrv_check_queues(const struct pst_netdrv_dev *dev, unsigned max, char *err, size_t errlen)
{
	if (dev->queues <= max)
		return PST_OK;
	snprintf(err, errlen, "port %s: %u queues, and the driver has at most %u", dev->name,
		dev->queues, max);
	return PST_INVAL;
}

bool
netdrv_add(char *arg, size_t len, const char *fmt, ...)
{
	size_t at = strlen(arg);
	va_list ap;

	va_start(ap, fmt);
	int n = vsnprintf(arg + at, len - at, fmt, ap);
	va_end(ap);
	return n >= 0 && (size_t)n < len - at;
}

bool
netdrv_add_opts(const struct pst_netdrv_dev *dev, char *arg, size_t len)
{
	for (unsigned i = 0; i < dev->nopts; i++)
		if (!netdrv_add(arg, len, ",%s=%s", dev->opts[i].key, dev->opts[i].value))
			return false;
	return true;
}

const char *
netdrv_opt(const struct pst_netdrv_dev *dev, const char *key)
{
	for (unsigned i = 0; i < dev->nopts; i++)
		if (strcmp(dev->opts[i].key, key) == 0)
			return dev->opts[i].value;
	return NULL;
}
