/* SPDX-License-Identifier: BSD-3-Clause */
/* drivers/net: what configuration is taken, and the EAL arguments it becomes. */
#include <criterion/criterion.h>
#include <pst_netdrv.h>
#include <string.h>

static const struct pst_netdrv *
find(const char *device)
{
	const struct pst_netdrv *found = NULL;

	for (unsigned i = 0; pst_netdrvs[i] != NULL; i++)
		if (pst_netdrvs[i]->match(device)) {
			cr_expect_null(found, "two drivers take %s", device);
			found = pst_netdrvs[i];
		}
	return found;
}

Test(netdrv, each_device_has_one_driver)
{
	static const struct {
		const char *device, *driver;
	} cases[] = {{"net_tap", "net_tap"}, {"net_af_packet", "net_af_packet"},
		{"net_af_xdp", "net_af_xdp"}, {"net_ring", "net_ring"}, {"0000:3b:00.0", "pci"},
		{"3b:00.1", "pci"}, {"0000:3B:0A.7", "pci"}, {"net_tap0", NULL}, {"", NULL},
		{"3b:00.8", NULL}, {"3b:00.0x", NULL}, {"3b:00", NULL}, {"000:3b:00.0", NULL},
		{"eth0", NULL}};

	for (size_t i = 0; i < PST_COUNT(cases); i++) {
		const struct pst_netdrv *d = find(cases[i].device);
		if (cases[i].driver == NULL)
			cr_expect_null(d, "%s", cases[i].device);
		else
			cr_expect(d != NULL && strcmp(d->name, cases[i].driver) == 0, "%s",
				cases[i].device);
	}
}

Test(netdrv, configuration_becomes_eal_arguments)
{
	static const struct {
		struct pst_netdrv_dev dev;
		const char *flag, *arg, *ethdev;
	} cases[] = {
		{{.name = "wan", .device = "net_tap", .iface = "lan0", .queues = 1}, "--vdev",
			"net_tap0,iface=lan0", "net_tap0"},
		{{.name = "wan",
			 .device = "net_tap",
			 .iface = "lan0",
			 .mac = "02:00:00:00:00:0a",
			 .queues = 2,
			 .index = 3},
			"--vdev", "net_tap3,iface=lan0,mac=02:00:00:00:00:0a", "net_tap3"},
		{{.name = "wan",
			 .device = "net_af_packet",
			 .iface = "v.1",
			 .queues = 2,
			 .nopts = 1,
			 .opts = {{"framecnt", "512"}}},
			"--vdev",
			"net_af_packet0,iface=v.1,qpairs=2,blocksz=65536,framesz=2048,framecnt=512",
			"net_af_packet0"},
		{{.name = "wan", .device = "net_af_xdp", .iface = "v1", .queues = 1, .index = 1},
			"--vdev", "net_af_xdp1,iface=v1,queue_count=1", "net_af_xdp1"},
		{{.name = "wan", .device = "net_ring", .queues = 1}, "--vdev", "net_ring0",
			"net_ring0"},
		{{.name = "wan",
			 .device = "3B:00.0",
			 .queues = 4,
			 .nopts = 1,
			 .opts = {{"a", "b=c"}}},
			NULL, NULL, NULL},
		{{.name = "wan",
			 .device = "3B:00.0",
			 .queues = 4,
			 .nopts = 1,
			 .opts = {{"a", "b"}}},
			"-a", "0000:3b:00.0,a=b", "0000:3b:00.0"},
	};

	for (size_t i = 0; i < PST_COUNT(cases); i++) {
		const struct pst_netdrv *d = find(cases[i].dev.device);
		char err[200] = "", flag[16], arg[128], name[64], tiny[12];
		if (cases[i].flag == NULL) {
			cr_expect_eq(d->check(&cases[i].dev, err, sizeof(err)), PST_INVAL);
			continue;
		}
		cr_expect_eq(d->check(&cases[i].dev, err, sizeof(err)), PST_OK, "%s", err);
		cr_expect_eq(d->eal_args(&cases[i].dev, flag, arg, sizeof(arg)), PST_OK);
		cr_expect_str_eq(flag, cases[i].flag);
		cr_expect_str_eq(arg, cases[i].arg);
		d->ethdev_name(&cases[i].dev, name, sizeof(name));
		cr_expect_str_eq(name, cases[i].ethdev);
		cr_expect(strlen(arg) < sizeof(tiny) ||
				  d->eal_args(&cases[i].dev, flag, tiny, sizeof(tiny)) == PST_INVAL,
			"%s fitted", arg);
	}
}

Test(netdrv, faults_are_named_with_the_port)
{
	static const struct {
		struct pst_netdrv_dev dev;
		const char *text;
	} cases[] = {
		{{.name = "p", .device = "net_tap", .queues = 1}, "interface"},
		{{.name = "p", .device = "net_tap", .iface = "", .queues = 1}, "interface name"},
		{{.name = "p", .device = "net_tap", .iface = "a-name-too-long-", .queues = 1},
			"interface"},
		{{.name = "p", .device = "net_tap", .iface = "a,mac=fixed", .queues = 1},
			"interface name"},
		{{.name = "p", .device = "net_af_packet", .iface = "../x", .queues = 1},
			"interface name"},
		{{.name = "p", .device = "net_af_packet", .iface = "..", .queues = 1},
			"interface name"},
		{{.name = "p",
			 .device = "net_tap",
			 .iface = "t",
			 .mac = "02:00:00:00:00",
			 .queues = 1},
			"MAC"},
		{{.name = "p",
			 .device = "net_tap",
			 .iface = "t",
			 .mac = "03:00:00:00:00:01",
			 .queues = 1},
			"MAC"},
		{{.name = "p",
			 .device = "net_tap",
			 .iface = "t",
			 .mac = "00:00:00:00:00:00",
			 .queues = 1},
			"MAC"},
		{{.name = "p",
			 .device = "net_tap",
			 .iface = "t",
			 .mac = "02-00-00-00-00-01",
			 .queues = 1},
			"MAC"},
		{{.name = "p", .device = "net_tap", .iface = "t", .queues = 17}, "at most 16"},
		{{.name = "p", .device = "net_af_xdp", .iface = "t", .queues = 2}, "at most 1"},
		{{.name = "p", .device = "net_ring", .iface = "t", .queues = 1},
			"no kernel interface"},
		{{.name = "p", .device = "net_ring", .queues = 1, .nopts = 1, .opts = {{"x", "y"}}},
			"option"},
		{{.name = "p",
			 .device = "net_tap",
			 .iface = "t",
			 .queues = 1,
			 .nopts = 1,
			 .opts = {{"remote", "eth0,mac=fixed"}}},
			"option"},
		{{.name = "p",
			 .device = "net_af_packet",
			 .iface = "t",
			 .queues = 1,
			 .nopts = 1,
			 .opts = {{"framesz", ""}}},
			"option"},
		{{.name = "p", .device = "3b:00.0", .iface = "t", .queues = 1}, "no \"iface\""},
	};

	for (size_t i = 0; i < PST_COUNT(cases); i++) {
		const struct pst_netdrv *d = find(cases[i].dev.device);
		char err[200] = "";
		cr_expect_eq(d->check(&cases[i].dev, err, sizeof(err)), PST_INVAL, "case %zu", i);
		cr_expect_not_null(strstr(err, "port p: "), "case %zu: %s", i, err);
		cr_expect_not_null(strstr(err, cases[i].text), "case %zu: %s", i, err);
	}
}

Test(netdrv, an_interface_that_is_not_there_is_refused)
{
	static const struct pst_netdrv_dev dev = {
		.name = "p", .device = "net_af_packet", .iface = "pst-none", .queues = 1};
	static const struct pst_netdrv_dev card = {
		.name = "p", .device = "ffff:1f:00.0", .queues = 1};
	char err[200] = "";

	cr_expect_eq(find(dev.device)->prepare(&dev, err, sizeof(err)), PST_INVAL);
	cr_expect_not_null(strstr(err, "pst-none"), "%s", err);
	cr_expect_eq(find(card.device)->prepare(&card, err, sizeof(err)), PST_INVAL);
	cr_expect_not_null(strstr(err, "no PCI device"), "%s", err);
}
