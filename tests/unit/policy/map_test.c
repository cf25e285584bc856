/* SPDX-License-Identifier: BSD-3-Clause */
#include "map_test.h"

const struct pst_policy_next_hop map_hops[MAP_HOPS] = {
	{.name = "mx", .mx = true, .port = 25},
	{.name = "hosts"},
	{.name = "fixed", .mx = true, .mx_domain = "Other.Example.", .port = 25},
	{.name = "mx587", .mx = true, .port = 587},
};

struct pst_policy_conf
map_conf(const struct pst_policy_entry *e, unsigned n, unsigned hop)
{
	static struct pst_policy_route route[4];

	route[hop] = (struct pst_policy_route){"*", hop};
	return (struct pst_policy_conf){.nroutes = 1,
		.routes = &route[hop],
		.nnext_hops = MAP_HOPS,
		.next_hops = map_hops,
		.nentries = n,
		.entries = e};
}

void
map_demand(const struct pst_policy *p, const char *domain, const char *host, const char *ip,
	uint16_t port, struct pst_demand *d)
{
	struct pst_facts f = {.recipient_domain = pst_span_str(domain)};
	struct pst_host_facts h = {.name = pst_span_str(host), .port = port};
	struct pst_verdict v;

	pst_policy_rcpt(p, &f, &v, NULL);
	cr_assert(v.kind == PST_VERDICT_ROUTE || v.want.exempt);
	h.next_hop = v.next_hop;
	if (v.next_hop != 1)
		h.domain = v.next_hop == 2 ? pst_span_str("other.example") : f.recipient_domain;
	cr_assert_eq(pst_ip_parse(ip, &h.ip), PST_OK);
	pst_policy_host(p, &v.want, &h, d, NULL);
}

void
map_expect_fault(const struct pst_policy_entry *e, const char *member, const char *fault)
{
	struct pst_policy_conf c = map_conf(e, 1, 0);
	char text[300];

	snprintf(text, sizeof(text), "/map/0/%s: %s\n", member, fault);
	policy_expect_fault(&c, text);
}
