/* SPDX-License-Identifier: BSD-3-Clause */
/* Hosts of an errand, from the configuration and from a scripted DNS. */
#include "relay.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#define OWN "192.0.2.25"

static struct pst_ip
ip(const char *text)
{
	struct pst_ip out;

	cr_assert_eq(pst_ip_parse(text, &out), PST_OK, "%s", text);
	return out;
}

/* What this DNS knows: one answer, for one name. */
static struct {
	const char *name;
	struct pst_names_answer *answer;
	unsigned asked;
} dns;

static const struct pst_names_answer *
scripted(void *arg, enum pst_names_kind kind, struct pst_span key)
{
	dns.asked++;
	return dns.answer != NULL && pst_span_ieq_str(key, dns.name) ? dns.answer : NULL;
}

struct mx {
	unsigned preference;
	const char *name, *address;
};

static void
knows(const char *name, enum pst_names_status status, const struct mx *mx, unsigned n)
{
	free(dns.answer);
	dns.name = name;
	dns.answer = calloc(1, sizeof(*dns.answer) + n * sizeof(dns.answer->e[0]));
	dns.answer->status = status;
	dns.answer->n = n;
	for (unsigned i = 0; i < n; i++) {
		dns.answer->e[i].preference = (uint16_t)mx[i].preference;
		dns.answer->e[i].ip = ip(mx[i].address);
		strcpy(dns.answer->e[i].name, mx[i].name);
	}
}

static struct pst_config_port port = {.naddresses = 1};
static struct pst_config_dataplane own = {.nports = 1, .ports = &port};
static struct pst_config_next_hop hop;
static struct route_class cls = {.hop = &hop};
static struct targets t;

static unsigned
build(const char *domain)
{
	static char text[64];
	struct errand to = {.cls = &cls, .domain = strcpy(text, domain), .own = &own};
	bool ok;
	unsigned missing;

	port.addresses[0].ip = ip(OWN);
	missing = targets_build(&t, &to, scripted, NULL, 7, &ok);
	cr_assert(ok);
	return missing;
}

static struct names_verdict
verdict(void)
{
	return names_verdict(&t, &(struct errand){.cls = &cls});
}

Test(target, mx_hosts_come_by_preference_and_keep_their_names)
{
	static const struct mx mx[] = {
		{10, "a.example", "192.0.2.1"}, {20, "b.example", "192.0.2.2"}};

	hop = (struct pst_config_next_hop){.mx = true, .port = 2525};
	knows("d.example", PST_NAMES_FOUND, mx, 2);
	cr_assert_eq(build("d.example"), 0);
	cr_assert_eq(t.n, 2);
	cr_assert_str_eq(t.e[0].name, "a.example");
	cr_assert_eq(t.e[0].at.port, 2525);
	cr_assert_str_eq(t.e[1].name, "b.example");
	targets_clear(&t);
}

Test(target, our_own_address_and_what_is_behind_it_is_no_mx_of_ours)
{
	static const struct mx mx[] = {{10, "a.example", "192.0.2.1"}, {20, "us.example", OWN},
		{20, "b.example", "192.0.2.2"}, {30, "c.example", "192.0.2.3"}};
	static const struct mx best[] = {{5, "us.example", OWN}, {10, "a.example", "192.0.2.1"}};

	hop = (struct pst_config_next_hop){.mx = true, .port = 25};
	knows("d.example", PST_NAMES_FOUND, mx, 4);
	cr_assert_eq(build("d.example"), 0);
	cr_assert_eq(t.n, 1);
	cr_assert_str_eq(t.e[0].name, "a.example");
	knows("d.example", PST_NAMES_FOUND, best, 2);
	cr_assert_eq(build("d.example"), 0);
	cr_assert_eq(t.n, 0);
	cr_assert_eq(verdict().code, 554);
	cr_assert_str_eq(verdict().enh, "5.4.6");
	targets_clear(&t);
}

Test(target, an_address_literal_is_its_own_host)
{
	hop = (struct pst_config_next_hop){.mx = true, .port = 25};
	dns.asked = 0;
	cr_assert_eq(build("[192.0.2.9]"), 0);
	cr_assert_eq(t.n, 1);
	cr_assert_null(t.e[0].name);
	cr_assert_eq(dns.asked, 0);
	cr_assert_eq(build("[2001:db8::9]"), 0);
	cr_assert_eq(t.n, 1);
	cr_assert_eq(build("[" OWN "]"), 0);
	cr_assert_eq(t.n, 0, "that is us");
	cr_assert_eq(verdict().code, 554);
	targets_clear(&t);
}

/* 5xx only for what DNS says for good about a recipient's own domain. */
Test(target, what_dns_says_decides_what_the_client_hears)
{
	static const struct {
		enum pst_names_status status;
		unsigned recipient, operators;
	} rows[] = {
		{PST_NAMES_NONE, 550, 451},
		{PST_NAMES_NULL_MX, 556, 451},
		{PST_NAMES_TEMPORARY, 451, 451},
	};

	for (unsigned i = 0; i < PST_COUNT(rows); i++) {
		hop = (struct pst_config_next_hop){.mx = true, .port = 25};
		knows("d.example", rows[i].status, NULL, 0);
		cr_assert_eq(build("d.example"), 0);
		cr_expect_eq(verdict().code, rows[i].recipient, "row %u", i);
		hop.mx_domain = "d.example";
		cr_expect_eq(verdict().code, rows[i].operators, "row %u", i);
	}
	cr_assert_eq(build("other.example"), 1, "not known yet");
	cr_assert_eq(build(""), 0);
	hop.mx_domain = NULL;
	cr_assert_eq(verdict().code, 550, "no domain has such a name");
	targets_clear(&t);
}

Test(target, hosts_with_and_without_an_address_stand_in_one_order)
{
	static const struct mx a[] = {{0, "named.example", "192.0.2.7"}};
	struct pst_config_host hosts[] = {
		{.name = "late.example",
			.has_address = true,
			.address = ip("192.0.2.5"),
			.port = 25,
			.priority = 30},
		{.name = "named.example", .port = 26, .priority = 20},
		{.name = "first.example",
			.has_address = true,
			.address = ip("192.0.2.6"),
			.port = 25,
			.priority = 10},
	};

	hop = (struct pst_config_next_hop){.nhosts = 3, .hosts = hosts};
	knows("named.example", PST_NAMES_FOUND, a, 1);
	cr_assert_eq(build(""), 0);
	cr_assert_eq(t.n, 3);
	cr_assert_str_eq(t.e[0].name, "first.example");
	cr_assert_str_eq(t.e[1].name, "named.example");
	cr_assert_eq(t.e[1].at.port, 26);
	cr_assert_str_eq(t.e[2].name, "late.example");
	targets_clear(&t);
}
