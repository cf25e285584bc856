/* SPDX-License-Identifier: BSD-3-Clause */
#include "crypto.h"
#include "ring_config.h"

#include <pst_control.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_eth_ring.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_ring.h>

#define WIRE_FRAMES 4096 /* on each direction of the wire */
#define START_MS    10000
#define LISTEN_BASE 2501

struct pst_endpoint
ring_gateway(enum ring_listener l)
{
	struct pst_endpoint e = {.port = (uint16_t)(LISTEN_BASE + l)};

	(void)pst_ip_parse(RING_GATEWAY_IP, &e.ip);
	return e;
}

const char *
ring_recipient(enum ring_hop h)
{
	static const char *const to[RING_HOPS] = {
		"to@full.example", "to@resumed.example", "to@reused.example", "to@clear.example"};

	return to[h];
}

/* ---- EAL ---- */

#define ARGS 40
static char arg_mem[ARGS][128]; /* EAL keeps and permutes argv */
static char *arg_v[ARGS + 1];
static int arg_n;

static void PST_PRINTF(1, 2) arg(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(arg_mem[arg_n], sizeof(arg_mem[0]), fmt, ap);
	va_end(ap);
	arg_v[arg_n] = arg_mem[arg_n];
	arg_n++;
}

/* The cores of the list, or those that this process may use. Returns how many. */
static unsigned
cores(const char *list, unsigned *out, unsigned max)
{
	cpu_set_t may;
	unsigned n = 0;

	CPU_ZERO(&may);
	if (list == NULL && sched_getaffinity(0, sizeof(may), &may) == 0) {
		for (unsigned c = 0; c < CPU_SETSIZE && n < max; c++) {
			if (CPU_ISSET(c, &may))
				out[n++] = c;
		}
	}
	while (list != NULL && *list != '\0' && n < max) {
		char *end;
		unsigned long c = strtoul(list, &end, 10);

		if (end == list || (*end != '\0' && *end != ',') || c >= CPU_SETSIZE)
			return 0;
		out[n++] = (unsigned)c;
		list = *end == ',' ? end + 1 : end;
	}
	return n;
}

static enum pst_rc
start_eal(struct ring_site *s, char *err, size_t errlen)
{
	unsigned at[2 * RING_WORKERS + 1];
	unsigned n = cores(s->conf.lcores, at, PST_COUNT(at));
	char map[256];
	int len;

	if (n == 0) {
		snprintf(err, errlen, "--lcores: numbers of cores with commas, the load's first");
		return PST_INVAL;
	}
	len = snprintf(map, sizeof(map), "0@%u", at[0]);
	for (unsigned w = 0; w < s->conf.workers; w++)
		len += snprintf(map + len, sizeof(map) - (size_t)len, ",%u@%u", w + 1,
			n > 1 ? at[1 + w % (n - 1)] : at[0]);
	/* Crypto lcores: behind the workers' cores in the list, else beside the load. */
	for (unsigned i = 0; i < crypto_lcores(s->cfg); i++)
		len += snprintf(map + len, sizeof(map) - (size_t)len, ",%u@%u",
			s->conf.workers + 1 + i,
			n > s->conf.workers + 1 + i ? at[s->conf.workers + 1 + i] : at[0]);
	arg_n = 0;
	arg("postern-bench");
	arg("--no-huge");
	arg("--no-pci");
	arg("--no-shconf");
	arg("--no-telemetry");
	arg("-m");
	arg("%u", s->conf.memory_mb != 0 ? s->conf.memory_mb : 1024);
	arg("--lcores");
	arg("%s", map);
	arg("--main-lcore");
	arg("0");
	arg("--iova-mode=va");
	arg("--file-prefix=postern-bench-%d", (int)getpid());
	arg("--log-level=*:error");
	for (unsigned i = 0; i < s->cfg->crypto.nbackends; i++) {
		char flag[16], value[128];

		if (crypto_eal_arg(s->cfg, i, flag, value, sizeof(value)) != PST_OK)
			continue;
		arg("%s", flag);
		arg("%s", value);
	}
	if (rte_eal_init(arg_n, arg_v) < 0) {
		snprintf(err, errlen, "EAL did not start: %s", rte_strerror(rte_errno));
		return PST_INVAL;
	}
	s->eal = true;
	return PST_OK;
}

/* ---- the wire ---- */

static struct rte_ring *
direction(const char *name)
{
	return rte_ring_create(name, WIRE_FRAMES, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
}

static struct pst_fabric *
fabric(const char *name, int ethdev, unsigned workers, unsigned mbufs, const char *mac,
	const char *net, char *err, size_t errlen)
{
	struct pst_port_conf port = {.name = name,
		.ethdev = ethdev,
		.queues = 1,
		.announce = PST_ANNOUNCE_OFF,
		.naddrs = 1};
	struct pst_fabric_conf conf = {
		.nworkers = workers, .nports = 1, .ports = &port, .mbufs_per_worker = mbufs};

	if (rte_ether_unformat_addr(mac, &port.mac) != 0 ||
		pst_prefix_parse(net, &port.addrs[0]) != PST_OK) {
		snprintf(err, errlen, "port %s: addresses", name);
		return NULL;
	}
	return pst_fabric_new(&conf, err, errlen);
}

/* net_ring hands over the sender's mbufs: lib/net never writes to what it received. */
static enum pst_rc
make_wire(struct ring_site *s, char *err, size_t errlen)
{
	const struct pst_config_dataplane *dp = &s->cfg->dataplane;
	struct rte_ring *in = direction("bench_in"), *out = direction("bench_out");
	int gw, far;

	snprintf(err, errlen, "net_ring: no memory for the wire");
	if (in == NULL || out == NULL)
		return PST_NOMEM;
	gw = rte_eth_from_rings("bench_gateway", &in, 1, &out, 1, SOCKET_ID_ANY);
	far = rte_eth_from_rings("bench_load", &out, 1, &in, 1, SOCKET_ID_ANY);
	if (gw < 0 || far < 0)
		return PST_NOMEM;
	s->gateway = fabric("gateway", gw, dp->workers, dp->mbufs, RING_GATEWAY_MAC,
		RING_GATEWAY_NET, err, errlen);
	if (s->gateway != NULL)
		s->far = fabric(
			"load", far, 1, 32768, "02:00:00:00:00:02", RING_FAR_NET, err, errlen);
	return s->far != NULL ? PST_OK : PST_INVAL;
}

/* ---- the gateway ---- */

static void
on_turn(void *arg, uint64_t cpu_ns)
{
	struct ring_worker *w = arg;

	if (atomic_load_explicit(&w->on, memory_order_relaxed))
		pst_hist_record(w->turns, cpu_ns);
}

static int
worker_main(void *arg)
{
	struct ring_worker *w = arg;
	int rc;

	w->tid = gettid();
	w->cycles.turn = on_turn;
	w->cycles.arg = w;
	pst_cycles_begin(&w->cycles);
	rc = pst_shard_run(w->site->relay, w->index);
	pst_cycles_begin(NULL);
	return rc;
}

static enum pst_rc
start_workers(struct ring_site *s, char *err, size_t errlen)
{
	unsigned n = s->cfg->dataplane.workers;
	uint64_t until = pst_now_ns() + START_MS * PST_NS_PER_MS;

	for (unsigned i = 0; i < n; i++) {
		struct ring_worker *w = &s->workers[i];

		w->index = i;
		w->site = s;
		w->turns = pst_hist_new();
		if (w->turns == NULL || rte_eal_remote_launch(worker_main, w, i + 1) != 0) {
			snprintf(err, errlen, "worker %u did not start", i);
			return PST_INVAL;
		}
	}
	while (pst_relay_running(s->relay) < n) {
		if (pst_relay_failed(s->relay) || pst_now_ns() > until) {
			snprintf(err, errlen, "a worker did not start");
			return PST_INVAL;
		}
		usleep(1000);
	}
	return PST_OK;
}

static enum pst_rc
start_gateway(struct ring_site *s, char *err, size_t errlen)
{
	struct pst_log_conf log = {
		.file = s->cfg->log.file, .format = s->cfg->log.format, .level = s->cfg->log.level};
	struct pst_relay_deps deps = {.fabric = s->gateway,
		.nworkers = s->cfg->dataplane.workers,
		.adaptive_idle = s->cfg->dataplane.idle != PST_IDLE_BUSY};

	s->logger = pst_logger_new(&log, err, errlen);
	if (s->logger == NULL)
		return PST_INVAL;
	deps.logger = s->logger;
	if (crypto_named_open(s->cfg, &s->named, err, errlen) != PST_OK)
		return PST_INVAL;
	s->engine = crypto_engine_new(
		s->cfg, s->gateway, s->conf.workers + 1, deps.adaptive_idle, s->named, err, errlen);
	if (s->engine == NULL)
		return PST_INVAL;
	deps.engine = s->engine;
	s->relay = pst_relay_new(s->cfg, &deps, err, errlen);
	return s->relay != NULL ? start_workers(s, err, errlen) : PST_INVAL;
}

/* ---- the load ---- */

static enum pst_rc
load_tls(struct ring_site *s, char *err, size_t errlen)
{
	struct pst_tls_conf client = {.side = PST_TLS_CLIENT};
	struct pst_tls_conf server = {.side = PST_TLS_SERVER, .ncerts = 1};
	char path[PKI_PATH];

	s->crypto = pst_crypto_new(err, errlen);
	if (s->crypto == NULL ||
		pki_make(s->conf.sink_key != NULL ? s->conf.sink_key : "p256", "sink.example", path,
			err, errlen) != PST_OK ||
		pst_cert_load(s->crypto, path, path, &server.certs[0], err, errlen) != PST_OK)
		return PST_INVAL;
	s->client = pst_tls_ctx_new(s->crypto, &client, err, errlen);
	s->sink = pst_tls_ctx_new(s->crypto, &server, err, errlen);
	server.tickets = 2;
	s->sink_tickets = pst_tls_ctx_new(s->crypto, &server, err, errlen);
	pst_cert_free(server.certs[0]);
	s->cache = pst_tls_cache_new(65536);
	return s->client != NULL && s->sink != NULL && s->sink_tickets != NULL && s->cache != NULL
		       ? PST_OK
		       : PST_INVAL;
}

static enum pst_rc
listen_sinks(struct ring_site *s, char *err, size_t errlen)
{
	const struct gen_sink_conf sinks[RING_HOPS] = {
		[RING_HOP_FULL] = {GEN_TLS_STARTTLS, s->sink, "sink.example"},
		[RING_HOP_RESUMED] = {GEN_TLS_STARTTLS, s->sink_tickets, "sink.example"},
		[RING_HOP_REUSED] = {GEN_TLS_STARTTLS, s->sink_tickets, "sink.example"},
		[RING_HOP_CLEAR] = {GEN_TLS_NONE, NULL, "sink.example"},
	};

	memcpy(s->sinks, sinks, sizeof(sinks));
	for (unsigned i = 0; i < RING_HOPS; i++) {
		struct pst_endpoint at = {.port = (uint16_t)(RING_SINK_FULL + i)};

		if (load_sink(s->load, &at, &s->sinks[i], &s->sunk[i], err, errlen) != PST_OK)
			return PST_INVAL;
	}
	return PST_OK;
}

static enum pst_rc
start_load(struct ring_site *s, char *err, size_t errlen)
{
	struct gen_stack_conf conf = {.fabric = s->far, .max_conns = 262144};

	if (load_tls(s, err, errlen) != PST_OK)
		return PST_INVAL;
	s->transport = gen_stack_new(&conf, pst_now_ns(), err, errlen);
	if (s->transport == NULL)
		return PST_NOMEM;
	snprintf(err, errlen, "no memory for the load");
	s->load = load_new(s->transport);
	return s->load != NULL ? listen_sinks(s, err, errlen) : PST_NOMEM;
}

enum pst_rc
ring_site_start(struct ring_site *s, char *err, size_t errlen)
{
	s->cfg = ring_config(&s->conf, err, errlen);
	if (s->cfg == NULL)
		return PST_INVAL;
	s->conf.workers = s->cfg->dataplane.workers;
	if (s->conf.workers > RING_WORKERS) {
		snprintf(err, errlen, "at most %u workers", RING_WORKERS);
		return PST_INVAL;
	}
	if (start_eal(s, err, errlen) != PST_OK || make_wire(s, err, errlen) != PST_OK ||
		start_load(s, err, errlen) != PST_OK)
		return PST_INVAL;
	return start_gateway(s, err, errlen);
}

void
ring_site_stop(struct ring_site *s)
{
	if (s->relay != NULL) {
		pst_relay_stop(s->relay);
		for (unsigned i = 0; i < s->conf.workers; i++)
			rte_eal_wait_lcore(i + 1);
	}
	if (s->engine != NULL)
		pst_engine_stop(s->engine);
	if (s->relay != NULL)
		pst_relay_free(s->relay);
	if (s->engine != NULL)
		pst_engine_free(s->engine);
	pst_ossl_named_close(s->named);
	if (s->logger != NULL)
		pst_logger_free(s->logger);
	load_free(s->load);
	if (s->transport != NULL)
		s->transport->ops->free(s->transport);
	if (s->client != NULL)
		pst_tls_ctx_put(s->client);
	if (s->sink != NULL)
		pst_tls_ctx_put(s->sink);
	if (s->sink_tickets != NULL)
		pst_tls_ctx_put(s->sink_tickets);
	if (s->cache != NULL)
		pst_tls_cache_free(s->cache);
	pst_crypto_free(s->crypto);
	if (s->gateway != NULL)
		pst_fabric_free(s->gateway);
	if (s->far != NULL)
		pst_fabric_free(s->far);
	for (unsigned i = 0; i < RING_WORKERS; i++)
		pst_hist_free(s->workers[i].turns);
	pst_config_free(s->cfg);
	if (s->eal)
		rte_eal_cleanup();
}
