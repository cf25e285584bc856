/* SPDX-License-Identifier: BSD-3-Clause */
#include "kit.h"

struct wrong {
	const char *what, *text;
	void (*spoil)(struct pst_fabric_conf *c, struct pst_port_conf *p, struct pst_route_conf *r);
};

#define SPOIL(name, ...)                                                                           \
	static void name(                                                                          \
		struct pst_fabric_conf *c, struct pst_port_conf *p, struct pst_route_conf *r)      \
	{                                                                                          \
		(void)c, (void)p, (void)r;                                                         \
		__VA_ARGS__;                                                                       \
	}
SPOIL(no_workers, c->nworkers = 0)
SPOIL(many_workers, c->nworkers = PST_NET_MAX_WORKERS + 1)
SPOIL(many_ports, c->nports = PST_NET_MAX_PORTS + 1)
SPOIL(no_name, p[0].name = "")
SPOIL(long_name, p[0].name = "a-name-that-is-longer-than-it-may-be")
SPOIL(same_name, p[1].name = "a")
SPOIL(small_mtu, p[0].mtu = 1279)
SPOIL(large_mtu, p[0].mtu = 9001)
SPOIL(high_vlan, p[1].vlan = 4095)
SPOIL(no_mac, memset(&p[0].mac, 0, 6))
SPOIL(group_mac, p[0].mac.addr_bytes[0] |= 1)
SPOIL(many_addresses, p[0].naddrs = PST_NET_MAX_ADDRS + 1)
SPOIL(same_address, p[1].addrs[0] = p[0].addrs[0])
SPOIL(any_address, p[0].addrs[0].ip = pst_ip_from4(0))
SPOIL(group_address, p[0].addrs[0].ip = kit_ip("224.0.0.1"))
SPOIL(loopback_address, p[0].addrs[1].ip = kit_ip("::1"))
SPOIL(prefix_length, p[0].addrs[0].len = 33)
SPOIL(no_device, p[0].ethdev = 77)
SPOIL(route_port, r[0].port = "nowhere")
SPOIL(route_no_port, r[0].port = NULL)
SPOIL(route_off_link, r[0].via = kit_ip("198.51.100.1"))
SPOIL(route_family, r[0].via = kit_ip("2001:db8::5"))

Test(fabric, a_wrong_configuration_is_refused_with_its_cause, .init = pst_test_eal)
{
	static const struct wrong wrongs[] = {
		{"no workers", "workers", no_workers},
		{"too many workers", "workers", many_workers},
		{"too many ports", "ports", many_ports},
		{"no name", "name", no_name},
		{"a long name", "name", long_name},
		{"a name twice", "port a: two ports", same_name},
		{"MTU 1279", "port a: mtu 1279", small_mtu},
		{"MTU 9001", "port a: mtu 9001", large_mtu},
		{"VLAN 4095", "port b: vlan 4095", high_vlan},
		{"no MAC address", "port a: a bare port needs", no_mac},
		{"a group MAC address", "port a: a multicast", group_mac},
		{"too many addresses", "port a: more than", many_addresses},
		{"an address twice", "port b: address 192.0.2.1", same_address},
		{"0.0.0.0", "port a: 0.0.0.0", any_address},
		{"a group address", "port a: 224.0.0.1", group_address},
		{"::1", "port a: ::1", loopback_address},
		{"a long prefix", "port a: prefix length", prefix_length},
		{"no such device", "port a: no DPDK device 77", no_device},
		{"a route by no port", "no port \"nowhere\"", route_port},
		{"a route without port", "no port \"\"", route_no_port},
		{"a gateway elsewhere", "port a: gateway 198.51.100.1", route_off_link},
		{"a gateway of the other family", "port a: gateway 2001:db8::5", route_family},
	};

	for (size_t i = 0; i < PST_COUNT(wrongs); i++) {
		struct pst_port_conf ports[PST_NET_MAX_PORTS + 1] = {kit_port(1), kit_port(3)};
		struct pst_route_conf route = {.port = "a", .via = kit_ip("192.0.2.254")};
		struct pst_fabric_conf c = {.nworkers = 1,
			.nports = 2,
			.ports = ports,
			.nroutes = 1,
			.routes = &route,
			.mbufs_per_worker = 255};
		char err[200] = "";
		ports[1].name = "b";
		pst_prefix_parse("0.0.0.0/0", &route.to);
		wrongs[i].spoil(&c, ports, &route);
		cr_expect_null(pst_fabric_new(&c, err, sizeof(err)), "%s", wrongs[i].what);
		cr_expect_not_null(strstr(err, wrongs[i].text), "%s: \"%s\"", wrongs[i].what, err);
	}
}

Test(fabric, describes_its_ports, .init = pst_test_eal)
{
	struct pst_port_conf pc = kit_port(1);
	struct kit k;
	char text[128], tiny[8];

	pc.vlan = 12;
	kit_open(&k, &pc, 2, 0);
	cr_expect_eq(pst_fabric_describe(k.f, 0, text, sizeof(text)), strlen(text));
	cr_expect_str_eq(text, "a: bare queues=0 steering=software mtu=1500 vlan=12 link=up");
	cr_expect_eq(pst_fabric_describe(k.f, 0, tiny, sizeof(tiny)), 7);
	cr_expect_str_eq(tiny, "a: bare");
	cr_expect_eq(pst_fabric_describe(k.f, 0, NULL, 0), 0);
	cr_expect_eq(pst_fabric_nports(k.f), 1);
	cr_expect_str_eq(pst_fabric_port_name(k.f, 0), "a");
	cr_expect_null(pst_fabric_port_name(k.f, 1));
	kit_close(&k);
}

Test(fabric, the_link_local_address_comes_from_the_mac, .init = pst_test_eal)
{
	struct pst_port_conf pc = kit_port(1);
	struct kit k;
	struct pst_ip ll = kit_ip("fe80::ff:fe00:1"), other = kit_ip("fe80::1");

	kit_open(&k, &pc, 1, 0);
	cr_expect(pst_net_is_local(k.n[0], &ll));
	kit_close(&k);
	pc.naddrs = 1; /* IPv4 only: no IPv6 on the port */
	kit_open(&k, &pc, 1, 0);
	cr_expect_not(pst_net_is_local(k.n[0], &ll));
	kit_close(&k);
	pc = kit_port(1);
	pst_prefix_parse("fe80::1/64", &pc.addrs[pc.naddrs++]); /* the operator's own */
	kit_open(&k, &pc, 1, 0);
	cr_expect_not(pst_net_is_local(k.n[0], &ll));
	cr_expect(pst_net_is_local(k.n[0], &other));
	kit_close(&k);
}

Test(fabric, every_counter_has_a_name_and_its_place)
{
	size_t n = 0;

	for (const struct pst_counter_desc *d = pst_net_counter_descs; d->name != NULL; d++, n++) {
		cr_expect_eq(d->offset, n * sizeof(uint64_t), "%s", d->name);
		cr_expect_gt(strlen(d->help), 0);
	}
	cr_expect_eq(n * sizeof(uint64_t), sizeof(struct pst_net_counters));
}

/* It would sleep a minute; the time limit is the test. */
Test(fabric, a_wake_ends_the_sleep_even_when_it_came_before_it, .init = pst_test_eal, .timeout = 30)
{
	struct pst_port_conf pc = kit_port(1);
	struct kit k;

	kit_open(&k, &pc, 2, 0);
	for (unsigned i = 0; i < 3; i++) {
		pst_fabric_wake(k.f, 1);
		pst_fabric_wake(k.f, 1);
		pst_net_idle(k.n[1], 60 * SEC);
	}
	cr_expect_eq(kit_counter(&k, "idle_sleeps"), 3);
	kit_close(&k);
}

Test(fabric, a_steered_segment_wakes_its_owner, .init = pst_test_eal, .timeout = 30)
{
	struct pst_port_conf pc = kit_port(1);
	struct pst_ip src = kit_ip("192.0.2.2"), dst = kit_ip("192.0.2.1");
	struct kit k;
	uint8_t f[256];
	uint16_t sport = 1;

	kit_open(&k, &pc, 2, 0);
	while (pst_net_owner(k.n[0], &src, &dst, sport, 25) != 1)
		sport++;
	kit_input(&k, 0, f, kit_tcp(f, "192.0.2.2", "192.0.2.1", sport, 25, 0));
	kit_rx(&k, 0);
	pst_net_idle(k.n[1], 60 * SEC);
	cr_expect_eq(kit_rx(&k, 1), 1);
	kit_close(&k);
}

Test(fabric, many_workers_share_one_thread_and_leave_nothing_behind, .init = pst_test_eal)
{
	struct pst_port_conf pc = kit_port(1);

	for (unsigned i = 0; i < 20; i++) {
		struct kit k;
		kit_open(&k, &pc, KIT_WORKERS, 0);
		cr_assert_eq(kit_settle(&k), 0);
		kit_close(&k);
	}
}

Test(fabric, frames_for_a_port_that_is_none_are_dropped, .init = pst_test_eal)
{
	struct pst_port_conf pc = kit_port(1);
	struct kit k;
	uint8_t f[64] = {0};

	kit_open(&k, &pc, 1, 0);
	pst_net_input(k.n[0], 1, kit_mbuf(&k, f, 60));
	cr_expect_eq(kit_drops(&k, "rx_drop_"), 1);
	cr_expect_eq(pst_net_take(k.n[0], 1, NULL, 1), 0);
	kit_close(&k);
}
