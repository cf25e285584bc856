/* SPDX-License-Identifier: BSD-3-Clause */
#include "sample.h"

#include <pst_cycles.h>

static struct pst_worker_stats workers[SAMPLE_WORKERS];
static struct pst_metrics_input input;
static const struct pst_metrics_cert certs[] = {{.name = "mx-rsa", .not_after = 1900000000},
	{.name = "broken", .not_after = 0}, {.name = "mx-ecdsa", .not_after = 1900000001}};

struct pst_worker_stats *
sample_workers(void)
{
	return workers;
}

struct pst_metrics_input *
sample_input(void)
{
	return &input;
}

static void
fill(struct pst_worker_stats *s, uint64_t from)
{
	uint64_t *p = (uint64_t *)&s->relay;

	for (size_t i = 0; i < sizeof(s->relay) / sizeof(*p); i++)
		p[i] = from + i;
	p = (uint64_t *)&s->net;
	for (size_t i = 0; i < sizeof(s->net) / sizeof(*p); i++)
		p[i] = from + 1000 + i;
	p = (uint64_t *)&s->tcp;
	for (size_t i = 0; i < sizeof(s->tcp) / sizeof(*p); i++)
		p[i] = from + 2000 + i;
	p = (uint64_t *)&s->labels;
	for (size_t i = 0; i < sizeof(s->labels) / sizeof(*p); i++)
		p[i] = from + 3000 + i;
	p = (uint64_t *)&s->crypto.c;
	for (size_t i = 0; i < sizeof(s->crypto.c) / sizeof(*p); i++)
		p[i] = from + 5000 + i;
	for (unsigned k = 0; k < PST_OP_KINDS; k++) {
		s->crypto.kinds[k] = from + 5100 + k;
		s->crypto.offloaded[k] = from + 5200 + k;
		s->crypto.wait_us_sum[k] = from + 5300 + k;
	}
	s->crypto.ops_total = s->crypto.jobs_max = 1024;
	s->crypto.ops_free = 1000;
	s->crypto.ops_quarantined = 3;
	s->crypto.jobs_in_use = 21;
	s->crypto.jobs_waiting = 5;
	for (unsigned b = 0; b < 2; b++) {
		s->crypto.backends[b].open = b == 1;
		s->crypto.backends[b].out = 7 + b;
		s->crypto.backends[b].completed = from + 5400 + b;
		s->crypto.backends[b].failed = from + 5500 + b;
		s->crypto.backends[b].timeouts = from + 5600 + b;
	}
	s->usage = (struct pst_tcp_usage){
		.conns = 11, .half_open = 12, .time_wait = 13, .max_conns = 65536};
	s->loops = from + 4000;
	s->busy_loops = from + 4001;
	s->time = (struct pst_worker_time){.busy = from * pst_tsc_hz(),
		.empty = 2 * from * pst_tsc_hz(),
		.asleep = 3 * from * pst_tsc_hz(),
		.sleep_cpu_ns = from * 1000,
		.cpu_ns = from * 1000000};
	s->live_sessions = from + 4002;
	s->pooled_connections = from + 4003;
	s->mbufs_in_use = from + 4004;
	s->mbufs_total = 16384;
}

const struct pst_metrics_input *
sample(void)
{
	for (unsigned w = 0; w < SAMPLE_WORKERS; w++)
		fill(&workers[w], 10000 * (w + 1));
	input = (struct pst_metrics_input){.version = "0.1.0",
		.crypto_library = "OpenSSL 3",
		.dpdk = "DPDK 22.11",
		.start_time = 1700000000,
		.generation = 7,
		.reloads = 6,
		.reloads_refused = 2,
		.last_reload_refused = true,
		.log_lines_dropped = 3,
		.memory = {.session_bytes = 600, .hop_bytes = 500, .tls_live_bytes = 123456},
		.names = {9001, 9002, 9003, 9004, 9005, 9006},
		.names_cached = 9007,
		.names_open = 9008,
		.heap_bytes = 1u << 29,
		.heap_used_bytes = 1u << 28,
		.ncerts = PST_COUNT(certs),
		.certs = certs,
		.nbackends = 2,
		.backends = {{.name = "cores", .s.cpu_ns = 1500000000}, {.name = "qat"}},
		.nworkers = SAMPLE_WORKERS,
		.workers = workers};
	return &input;
}
