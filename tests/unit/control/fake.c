/* SPDX-License-Identifier: BSD-3-Clause */
#include "fake.h"

#include <stdarg.h>

unsigned fake_nworkers = 2;
char fake_log[512];

/* ---- relay ---- */

#define RELAY_DESC(name, help) PST_COUNTER_DESC(pst_relay_counters, name, help)
#define NET_DESC(name, help)   PST_COUNTER_DESC(pst_net_counters, name, help)
#define TCP_DESC(name, help)   PST_COUNTER_DESC(pst_tcp_counters, name, help)

const struct pst_counter_desc pst_relay_counter_descs[] = {PST_RELAY_COUNTERS(RELAY_DESC){NULL}};
const struct pst_counter_desc pst_net_counter_descs[] = {PST_NET_COUNTERS(NET_DESC){NULL}};
const struct pst_counter_desc pst_tcp_counter_descs[] = {PST_TCP_COUNTERS(TCP_DESC){NULL}};

unsigned
pst_relay_nworkers(const struct pst_relay *r)
{
	return fake_nworkers;
}

void
pst_relay_stats(const struct pst_relay *r, unsigned worker, struct pst_worker_stats *out)
{
	*out = (struct pst_worker_stats){.live_sessions = 10 * (worker + 1),
		.relay.body_bytes = 1000 + worker,
		.tcp.in_segs = 7,
		.loops = 1ull << 40};
}

/* ---- fabric ---- */

unsigned
pst_fabric_nports(const struct pst_fabric *f)
{
	return 1;
}

const char *
pst_fabric_port_name(const struct pst_fabric *f, unsigned port)
{
	return "wan";
}

size_t
pst_fabric_describe(const struct pst_fabric *f, unsigned port, char *buf, size_t len)
{
	return (size_t)snprintf(buf, len, "wan: net_tap queues=1");
}

/* ---- log ---- */

struct pst_log *
pst_log_lane(struct pst_logger *lg, const char *name)
{
	return NULL;
}

bool
pst_relay_draining(const struct pst_relay *r)
{
	return true;
}

void
pst_relay_memory(const struct pst_relay *r, struct pst_relay_memory *out)
{
	*out = (struct pst_relay_memory){
		.session_bytes = 600, .hop_bytes = 500, .tls_live_bytes = 123456};
}

uint64_t
pst_logger_dropped(const struct pst_logger *lg)
{
	return 5;
}

void
pst_logf(struct pst_log *l, enum pst_log_level level, const char *id, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(fake_log, sizeof(fake_log), fmt, ap);
	va_end(ap);
}

struct pst_control_deps
fake_deps(const char *socket)
{
	static struct pst_config_action action = {.name = "inspect"};
	static struct pst_config_listener listener = {.name = "smtp",
		.at.port = 25,
		.tls = PST_CONFIG_TLS_STARTTLS,
		.hostname = "mx.example.org"};
	static struct pst_config config = {.path = "/etc/p.json",
		.nactions = 1,
		.actions = &action,
		.nlisteners = 1,
		.listeners = &listener};

	config.control.socket = socket;
	return (struct pst_control_deps){
		.config = &config, .started_ns = pst_now_ns(), .crypto_library = "OpenSSL 3"};
}
