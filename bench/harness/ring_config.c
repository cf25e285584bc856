/* SPDX-License-Identifier: BSD-3-Clause */
/* The configuration of the gateway under measurement, as JSON: made of parts, then merged. */
#include "ring_config.h"

#include <pst_control.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	const char *name, *certificate;
	unsigned tickets;
} listeners[RING_LISTENERS] = {
	[RING_P256] = {"p256", "p256", 0},
	[RING_RSA2048] = {"rsa2048", "rsa2048", 0},
	[RING_RSA3072] = {"rsa3072", "rsa3072", 0},
	[RING_RSA4096] = {"rsa4096", "rsa4096", 0},
	[RING_P256_TICKETS] = {"p256-tickets", "p256", 1},
	[RING_RSA2048_TICKETS] = {"rsa2048-tickets", "rsa2048", 1},
	[RING_PLAIN] = {"plain", NULL, 0},
};

static const struct {
	const char *name;
	uint16_t port;
	const char *tls, *level, *reuse;
} hops[RING_HOPS] = {
	[RING_HOP_FULL] = {"full", RING_SINK_FULL, "starttls", "encrypt", "off"},
	[RING_HOP_RESUMED] = {"resumed", RING_SINK_TICKETS, "starttls", "encrypt", "off"},
	[RING_HOP_REUSED] = {"reused", RING_SINK_REUSED, "starttls", "encrypt", "class"},
	[RING_HOP_CLEAR] = {"clear", RING_SINK_CLEAR, "none", "none", "class"},
};

static json_t *
dataplane(const struct ring_conf *c)
{
	return json_pack("{s:i, s:i, s:s, s:i, s:[{s:s, s:s, s:s, s:[s]}], s:{s:i, s:f}}",
		"workers", (int)c->workers, "memory_mb",
		c->memory_mb != 0 ? (int)c->memory_mb : 1024, "idle", c->poll ? "busy" : "adaptive",
		"mbufs", 32768, "ports", "name", "ring", "device", "net_ring", "mac",
		RING_GATEWAY_MAC, "addresses", RING_GATEWAY_NET, "tcp", "max_connections", 131072,
		"time_wait", 0.001);
}

static json_t *
limits(void)
{
	return json_pack("{s:i, s:i, s:i, s:i, s:i}", "sessions", 1000000, "sessions_per_address",
		0, "handshakes", 100000, "handshakes_per_address", 0, "commands", 10000000);
}

static void
add_listener(json_t *cfg, enum ring_listener l)
{
	const char *name = listeners[l].name, *cert = listeners[l].certificate;
	char action[48] = "plain";

	if (cert != NULL) {
		snprintf(action, sizeof(action), "inspect-%s", name);
		json_object_set_new(json_object_get(cfg, "tls_profiles"), name,
			json_pack("{s:[s], s:i}", "certificates", cert, "tickets",
				(int)listeners[l].tickets));
		json_object_set_new(json_object_get(cfg, "actions"), action,
			json_pack("{s:b, s:s}", "inspect", 1, "starttls_profile", name));
	}
	json_array_append_new(json_object_get(cfg, "listeners"),
		json_pack("{s:s, s:i, s:s, s:s, s:s}", "name", name, "port",
			(int)ring_gateway(l).port, "tls", cert != NULL ? "starttls" : "none",
			"action", action, "hostname", "gateway.example"));
}

static void
add_hop(json_t *cfg, enum ring_hop h)
{
	json_t *hop = json_pack("{s:[{s:s, s:s, s:i}], s:s, s:s, s:s, s:i, s:i, s:i}", "hosts",
		"name", "sink.example", "address", RING_FAR_IP, "port", (int)hops[h].port, "tls",
		hops[h].tls, "level", hops[h].level, "reuse", hops[h].reuse, "reuse_messages",
		1000000, "reuse_idle", 3600, "reuse_age", 86400);

	json_object_set_new(json_object_get(cfg, "next_hops"), hops[h].name, hop);
	json_array_append_new(json_object_get(cfg, "routes"),
		json_pack("{s:s, s:s}", "domain", strchr(ring_recipient(h), '@') + 1, "next_hop",
			hops[h].name));
}

static json_t *
certificates(unsigned which, char *err, size_t errlen)
{
	json_t *all = json_object();
	char path[PKI_PATH];

	for (unsigned i = 0; i < RING_LISTENERS; i++) {
		const char *kind = listeners[i].certificate;

		if ((which & (1u << i)) == 0 || kind == NULL || json_object_get(all, kind) != NULL)
			continue;
		if (pki_make(kind, "gateway.example", path, err, errlen) != PST_OK) {
			json_decref(all);
			return NULL;
		}
		json_object_set_new(all, kind, json_pack("{s:s}", "chain", path));
	}
	return all;
}

static json_t *
rules(unsigned n)
{
	json_t *all = json_array();
	char id[32], to[64];

	for (unsigned i = 0; i < n; i++) {
		snprintf(id, sizeof(id), "r%u", i);
		snprintf(to, sizeof(to), "d%u.rules.example", i);
		json_array_append_new(all,
			json_pack("{s:s, s:s, s:s}", "id", id, "to", to, "recipient", "required"));
	}
	return all;
}

static json_t *
merge_file(json_t *cfg, const char *path, char *err, size_t errlen)
{
	json_error_t e;
	json_t *over = json_load_file(path, JSON_REJECT_DUPLICATES, &e);

	if (over == NULL)
		snprintf(err, errlen, "%s: line %d: %s", path, e.line, e.text);
	else if (json_object_update_recursive(cfg, over) != 0)
		snprintf(err, errlen, "%s: not an object", path);
	else {
		json_decref(over);
		return cfg;
	}
	json_decref(over);
	json_decref(cfg);
	return NULL;
}

static json_t *
compose(const struct ring_conf *c, char *err, size_t errlen)
{
	json_t *certs = certificates(c->listeners, err, errlen), *cfg;

	if (certs == NULL)
		return NULL;
	cfg = json_pack("{s:i, s:o, s:{s:s}, s:o, s:o, s:{s:o}, s:{}, s:{}, s:[], s:{}, s:[]}",
		"version", 1, "dataplane", dataplane(c), "log", "file", "/dev/null", "limits",
		limits(), "certificates", certs, "policy", "rules", rules(c->rules), "tls_profiles",
		"actions", "listeners", "next_hops", "routes");
	if (cfg == NULL) {
		snprintf(err, errlen, "no memory for the configuration");
		return NULL;
	}
	for (unsigned l = 0; l < RING_LISTENERS; l++) {
		if ((c->listeners & (1u << l)) != 0)
			add_listener(cfg, (enum ring_listener)l);
	}
	for (unsigned h = 0; h < RING_HOPS; h++)
		add_hop(cfg, (enum ring_hop)h);
	if (c->more != NULL)
		(void)json_object_update_recursive(cfg, (json_t *)(uintptr_t)c->more);
	return c->set != NULL ? merge_file(cfg, c->set, err, errlen) : cfg;
}

static void
judge(void *arg, const char *pointer, const char *text)
{
	pst_config_report_add(arg, pointer, "%s", text);
}

struct pst_config *
ring_config(const struct ring_conf *c, char *err, size_t errlen)
{
	struct pst_config_report report = {0};
	json_t *doc = compose(c, err, errlen);
	char *text = doc != NULL ? json_dumps(doc, JSON_COMPACT) : NULL;
	struct pst_config *cfg = NULL;

	json_decref(doc);
	if (text == NULL)
		return NULL;
	cfg = pst_config_parse(text, strlen(text), "postern-bench", &report);
	if (cfg != NULL)
		(void)pst_relay_check(cfg, judge, &report);
	if (report.n > 0) {
		snprintf(err, errlen, "the gateway's configuration: %s: %s",
			report.faults[0].pointer, report.faults[0].text);
		pst_config_free(cfg);
		cfg = NULL;
	}
	pst_config_report_fini(&report);
	free(text);
	return cfg;
}
