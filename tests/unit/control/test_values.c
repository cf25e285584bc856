/* SPDX-License-Identifier: BSD-3-Clause */
/* Good documents: each value arrives where it belongs, and defaults are what they say. */
#include <criterion/criterion.h>
#include <pst_smtp.h>
#include <pst_smtp_server.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "doc.h"

static struct pst_config *
good(void)
{
	return parse_good("'version': 1", "'version': 1, '_comment': ['any', 'where']");
}

static bool
ip_is(const struct pst_ip *ip, const char *text)
{
	char buf[PST_IP_STRLEN];

	return strcmp(pst_ip_str(ip, buf), text) == 0;
}

Test(values, dataplane_arrives)
{
	struct pst_config *c = good();
	struct pst_config_dataplane *d = &c->dataplane;
	struct pst_config_port *p = d->ports;

	cr_expect(d->workers == 2 && d->ncores == 2 && d->cores[1] == 1 && d->main_core == 0);
	cr_expect(d->memory_mb == 256 && d->mbufs == 2048 && d->misroute_every == 9);
	cr_expect(d->hugepages == PST_HUGE_OFF && d->idle == PST_IDLE_ADAPTIVE);
	cr_assert(d->nports == 2 && d->nroutes == 2);
	cr_expect_str_eq(p->name, "wan");
	cr_expect_str_eq(p->device, "net_tap");
	cr_expect_str_eq(p->iface, "ptap0");
	cr_expect_str_eq(p->mac, "02:00:00:00:00:0a");
	cr_expect(p->mtu == 1500 && p->vlan == 7 && p->queues == 1);
	cr_expect(p->promiscuous && p->force_soft_steering);
	cr_assert_eq(p->naddresses, 2);
	cr_expect(ip_is(&p->addresses[1].ip, "2001:db8::1") && p->addresses[1].len == 64);
	cr_assert_eq(p->noptions, 1);
	cr_expect_str_eq(p->options[0].key, "k");
	cr_expect_str_eq(p->options[0].value, "v");
	cr_expect(ip_is(&d->routes[0].via, "192.0.2.254") && d->routes[0].to.len == 0);
	cr_expect_str_eq(d->routes[1].port, "wan");
	cr_expect(d->tcp.max_connections == 1000 && d->tcp.delack_ms == 40);
	pst_config_free(c);
}

Test(values, names_become_indices_in_document_order)
{
	struct pst_config *c = good();

	cr_assert(c->ncertificates == 2 && c->nprofiles == 3 && c->nactions == 5);
	cr_expect_str_eq(c->certificates[0].name, "mx");
	cr_assert_eq(c->profiles[0].ncertificates, 2);
	cr_expect(c->profiles[0].certificates[0] == 1 && c->profiles[0].certificates[1] == 0);
	cr_expect(c->actions[0].starttls_profile == 0 && c->actions[0].implicit_profile == 0);
	cr_expect(c->actions[2].starttls_profile == -1 && c->actions[2].implicit_profile == -1);
	cr_expect(c->listeners[0].action == 0 && c->listeners[2].action == 1);
	cr_expect(c->routes[0].next_hop == 1 && c->routes[1].next_hop == 0);
	pst_config_free(c);
}

Test(values, listeners_arrive)
{
	struct pst_config *c = good();
	struct pst_config_listener *l = c->listeners;
	char host[256] = "";

	cr_assert_eq(c->nlisteners, 3);
	cr_expect(pst_ip_is_any(&l[0].at.ip) && l[0].at.port == 25);
	cr_expect(l[0].tls == PST_CONFIG_TLS_STARTTLS && l[1].tls == PST_CONFIG_TLS_IMPLICIT);
	cr_expect(l[0].discard_keywords == (PST_SMTP_DSN | PST_SMTP_SIZE));
	cr_expect(l[0].bare_newline == PST_SMTP_BARE_NORMALIZE && !l[0].received);
	cr_expect(ip_is(&l[1].at.ip, "192.0.2.1") && l[1].at.port == 465);
	cr_expect(l[1].bare_newline == PST_SMTP_BARE_REJECT && l[1].received);
	cr_expect(pst_ip_is_any(&l[2].at.ip) && l[2].tls == PST_CONFIG_TLS_NONE);
	gethostname(host, sizeof(host) - 1);
	cr_expect_str_eq(l[1].hostname, host);
	pst_config_free(c);
}

Test(values, next_hops_arrive)
{
	struct pst_config *c = good();
	struct pst_config_next_hop *h = c->next_hops;

	cr_assert_eq(c->nnext_hops, 2);
	cr_assert_eq(h[0].nhosts, 2);
	cr_expect_str_eq(h[0].hosts[0].name, "m1.example.com");
	cr_expect(ip_is(&h[0].hosts[0].address, "10.0.0.20"));
	cr_expect(h[0].hosts[0].port == 26 && h[0].hosts[0].priority == 5);
	cr_expect_null(h[0].hosts[1].name);
	cr_expect(h[0].hosts[1].port == 25 && h[0].hosts[1].priority == 10);
	cr_expect(h[0].tls == PST_CONFIG_TLS_IMPLICIT && h[0].level == PST_LEVEL_VERIFY);
	cr_expect(h[0].hosts[0].has_address && h[0].nmatch == 0 && !h[0].has_pfs && !h[0].mx);
	cr_expect(h[0].reuse == PST_REUSE_SESSION && h[0].reuse_idle_ms == 1500);
	cr_expect_eq(h[0].max_tries, 3);
	cr_expect(h[1].tls == PST_CONFIG_TLS_NONE && h[1].level == PST_LEVEL_UNSET);
	pst_config_free(c);
}

Test(values, file_names_are_relative_to_the_configuration)
{
	struct pst_config *c = good();

	cr_expect_str_eq(c->path, "/etc/postern/p.json");
	cr_expect_str_eq(c->log.file, "/etc/postern/p.log");
	cr_expect_str_eq(c->certificates[0].chain, "/etc/postern/mx.pem");
	cr_expect_str_eq(c->certificates[0].key, "/k/mx.key");
	cr_expect_str_eq(c->certificates[1].key, "/etc/postern/b.pem", "key is in the chain file");
	cr_expect_str_eq(c->next_hops[0].ca_file, "/etc/postern/ca.pem");
	pst_config_free(c);
}

Test(values, file_names_without_a_directory)
{
	static const struct {
		const char *path, *file;
	} cases[] = {{NULL, "./p.log"}, {"p.json", "./p.log"}, {"/p.json", "/p.log"},
		{"a/p.json", "a/p.log"}};
	char *doc = spoiled("'version': 1", "'version': 1");

	for (size_t i = 0; i < PST_COUNT(cases); i++) {
		struct pst_config_report r = {0};
		struct pst_config *c = pst_config_parse(doc, strlen(doc), cases[i].path, &r);
		cr_assert_not_null(c);
		cr_expect_str_eq(c->log.file, cases[i].file);
		pst_config_free(c);
	}
	free(doc);
}

static const char smallest[] =
	"{\"version\": 1, \"dataplane\": {\"ports\": [{\"name\": \"p\", \"device\": \"net_tap\","
	" \"addresses\": [\"192.0.2.1/24\"]}]}, \"listeners\": [],"
	" \"next_hops\": {\"h\": {\"hosts\": [{\"address\": \"192.0.2.2\"}]}},"
	" \"certificates\": {\"c\": {\"chain\": \"/c\"}}, \"tls_profiles\": {\"t\": {}}}";

static struct pst_config *
least(void)
{
	struct pst_config_report r = {0};
	struct pst_config *c = parse(smallest, &r);

	pst_config_report_print(&r, "smallest", stderr);
	cr_assert_not_null(c);
	return c;
}

Test(values, defaults_of_the_process)
{
	struct pst_config *c = least();
	struct pst_config_dataplane *d = &c->dataplane;

	cr_expect(d->workers == 1 && d->ncores == 0 && d->main_core == -1);
	cr_expect(d->memory_mb == 512 && d->mbufs == 0 && d->misroute_every == 0);
	cr_expect(d->hugepages == PST_HUGE_AUTO && d->idle == PST_IDLE_AUTO);
	cr_expect(d->ports[0].mtu == 1500 && d->ports[0].vlan == 0 && d->ports[0].queues == 0);
	cr_expect(!d->ports[0].promiscuous && !d->ports[0].force_soft_steering);
	cr_expect(d->ports[0].iface == NULL && d->ports[0].mac == NULL);
	cr_expect(d->tcp.max_connections == 0 && d->tcp.keepalive_ms == 0);
	cr_expect(c->log.file == NULL && c->log.format == PST_LOG_TEXT);
	cr_expect_eq(c->log.level, PST_LOG_INFO);
	cr_expect_str_eq(c->control.socket, "/run/postern/control.sock");
	cr_expect_null(c->control.group);
	pst_config_free(c);
}

/* features.md, section 3: the waiting times of a proxy. */
Test(values, defaults_of_limits)
{
	struct pst_config *c = least();
	struct pst_config_limits *l = &c->limits;
	struct pst_config_timeouts *t = &l->timeouts;

	cr_expect(l->sessions == 16384 && l->recipients == 1000 && l->message_size == 50 << 20);
	cr_expect(l->errors == 20 && l->received == 50);
	cr_expect(l->sessions_per_address == 50 && l->connections_per_address_minute == 0);
	cr_expect(l->handshakes == 1000 && l->handshakes_per_address == 20);
	cr_expect(l->commands == 1000 && l->data_rate == 0);
	cr_expect(t->client_command == 300000 && t->client_data == 180000);
	cr_expect(t->client_tls == 30000 && t->connect == 30000 && t->tls == 30000);
	cr_expect(t->banner == 60000 && t->ehlo == 60000 && t->mail == 120000);
	cr_expect(t->rcpt == 120000 && t->data == 60000 && t->block == 180000);
	cr_expect(t->dot == 570000 && t->drain == 120000);
	pst_config_free(c);
}

Test(values, metrics_are_off_without_their_section)
{
	struct pst_config *c = least();

	cr_expect(!c->metrics.on);
	pst_config_free(c);
}

/* Whoever writes the section without an address does not mean the whole network. */
Test(values, metrics_are_for_the_system_itself_unless_said)
{
	static const struct {
		const char *section, *address;
		unsigned port;
	} cases[] = {{"{}", "127.0.0.1", 9464}, {"{'address': '::1', 'port': 80}", "::1", 80},
		{"{'address': 'any'}", "::", 9464}};

	for (size_t i = 0; i < PST_COUNT(cases); i++) {
		char text[PST_IP_STRLEN], put[96];
		struct pst_config *c;

		snprintf(put, sizeof(put), "'metrics': %s, 'models': {}", cases[i].section);
		c = parse_good("'models': {}", put);
		cr_expect(c->metrics.on);
		cr_expect_str_eq(pst_ip_str(&c->metrics.at.ip, text), cases[i].address);
		cr_expect_eq(c->metrics.at.port, cases[i].port);
		pst_config_free(c);
	}
}

Test(values, defaults_of_next_hops_and_profiles)
{
	struct pst_config *c = least();
	struct pst_config_next_hop *h = c->next_hops;

	cr_expect(h->tls == PST_CONFIG_TLS_STARTTLS && h->level == PST_LEVEL_UNSET);
	cr_expect(h->nmatch == 0 && !h->has_pfs && !h->mx && h->mx_domain == NULL && h->port == 25);
	cr_expect(h->profile_min == 0x0303 && h->profile_max == 0x0304);
	cr_expect(h->reuse == PST_REUSE_CLASS && h->reuse_messages == 100);
	cr_expect(h->reuse_idle_ms == 30000 && h->reuse_age_ms == 300000);
	cr_expect(h->max_tries == 5 && h->expose_upstream_text);
	cr_expect(h->helo == NULL && h->ca_file == NULL);
	cr_expect(c->profiles[0].min_version == 0x0303 && c->profiles[0].max_version == 0x0304);
	cr_expect(c->profiles[0].tickets == 0 && c->profiles[0].ncertificates == 1);
	cr_expect(c->profiles[0].ntickets_except == 0 && !c->listeners[0].has_tickets);
	cr_expect(c->ticket_keys.rotate_s == 3600 && c->ticket_keys.lifetime_s == 3600);
	cr_expect(c->ticket_keys.file == NULL);
	cr_expect_str_eq(c->certificates[0].key, "/c");
	pst_config_free(c);
}

/* Each of these is at the edge of what is allowed, or unusual and right. */
Test(values, accepts_what_is_unusual_but_right)
{
	static const char *const cases[][2] = {
		{"'workers': 2", "'workers': 2.0"},
		{"'workers': 2", "'workers': 1"},
		{"'main_core': 0", "'main_core': 1023"},
		{"'10.0.0.1/8'", "'10.0.0.1/32'"},
		{"'10.0.0.1/8'", "'10.0.0.0/31'"},
		{"'10.0.0.1/8'", "'fe80::1/64'"},
		{"'via': 'fe80::1', ", ""},
		{"'file': 'p.log'", "'file': '-'"},
		{"'dot': 0.5", "'dot': 0.001"},
		{"'dot': 0.5", "'dot': 86400"},
		{"'k': 'v'", "'_comment': 'x', 'k': 'v'"},
		{"'bare': {}", "'_comment': 'x', 'bare': {'_comment': ''}"},
		{"'policy': {}", "'policy': {'_comment': 'soon'}"},
		{"'action': 'inspect',\n", "'action': 'off',\n"}, /* STARTTLS is then not offered */
		{"'mx.example.org'", "'mx_1.example.org'"},
		{"'domain': 'example.com'", "'domain': 'localhost'"},
		{"'port': 465", "'port': 26"},
		{"'tls': 'none'}}", "'tls': 'none', 'level': 'none'}}"},
		{"'version': 1", "'version': 1, '_comment': '\\u001b\\n'"},
	};

	for (size_t i = 0; i < PST_COUNT(cases); i++)
		pst_config_free(parse_good(cases[i][0], cases[i][1]));
}

Test(values, dash_is_standard_error)
{
	struct pst_config *c = parse_good("'file': 'p.log'", "'file': '-'");

	cr_expect_null(c->log.file);
	pst_config_free(c);
}

Test(values, milliseconds_are_rounded_not_cut)
{
	struct pst_config *c = parse_good("'dot': 0.5", "'dot': 0.29");

	cr_expect_eq(c->limits.timeouts.dot, 290); /* 0.29 * 1000 is 289.99... */
	pst_config_free(c);
}

Test(values, free_of_nothing_is_allowed)
{
	pst_config_free(NULL);
}

Test(values, every_sample_loads)
{
	static const char *const samples[] = {"postern.example.json", "public-internet.json",
		"public-internet-optional.json", "intranet.json", "one-rule.json"};

	for (size_t i = 0; i < PST_COUNT(samples); i++) {
		struct pst_config_report r = {0};
		char path[512];
		snprintf(path, sizeof(path), "%s/%s", SAMPLES, samples[i]);
		struct pst_config *c = pst_config_load(path, &r);
		pst_config_report_print(&r, path, stderr);
		cr_expect_not_null(c, "%s", samples[i]);
		pst_config_report_fini(&r);
		pst_config_free(c);
	}
}

Test(values, a_file_that_cannot_be_read_says_why)
{
	struct pst_config_report r = {0};

	cr_expect_null(pst_config_load("/nonexistent/postern.json", &r));
	cr_assert_eq(r.n, 1);
	cr_expect_str_eq(r.faults[0].pointer, "");
	cr_expect_str_eq(r.faults[0].text, "cannot be read: No such file or directory");
	pst_config_report_fini(&r);

	cr_expect_null(pst_config_load("/", &r));
	cr_assert_eq(r.n, 1);
	cr_expect_str_eq(r.faults[0].text, "cannot be read: Is a directory");
	pst_config_report_fini(&r);
}

Test(values, the_printed_report_holds_no_control_bytes)
{
	struct pst_config_report r = {0};
	char *text = NULL;
	size_t n;
	FILE *f = open_memstream(&text, &n);

	cr_expect_null(parse("{\"a\\u001b[2J\": 1}", &r));
	pst_config_report_print(&r, "p.json", f);
	fclose(f);
	cr_expect_null(strchr(text, '\x1b'));
	cr_expect_not_null(strstr(text, "p.json: /a?[2J: unknown key\n"));
	free(text);
	pst_config_report_fini(&r);
}
