/* SPDX-License-Identifier: BSD-3-Clause */
/* The relay as the main thread sees it: see pst_relay.h. */
#include "relay.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <rte_mempool.h>

const struct pst_counter_desc pst_relay_counter_descs[] = {
#define ROW(name, help) PST_COUNTER_DESC(pst_relay_counters, name, help)
	PST_RELAY_COUNTERS(ROW)
#undef ROW
		{NULL, NULL, 0}};

/* The first label of the host's name: letters, digits and hyphens, as a session id wants it. */
static void
name_box(char *box, size_t cap)
{
	char host[256] = "postern";
	size_t n = 0;

	(void)gethostname(host, sizeof(host) - 1);
	for (const char *p = host; *p != '\0' && *p != '.' && n + 1 < cap; p++) {
		if (isalnum((unsigned char)*p) || *p == '-')
			box[n++] = *p;
	}
	box[n] = '\0';
	if (n == 0)
		snprintf(box, cap, "postern");
}

/* The first generation has nobody to report to but the caller's text. */
static void
first_fault(void *arg, const char *pointer, const char *text)
{
	char *err = arg;

	if (err[0] == '\0')
		snprintf(err, 512, "%s: %s", pointer, text);
}

struct pst_relay *
pst_relay_new(
	const struct pst_config *cfg, const struct pst_relay_deps *deps, char *err, size_t errlen)
{
	struct pst_relay *r = calloc(1, sizeof(*r));
	char why[512] = "";

	if (r == NULL) {
		snprintf(err, errlen, "out of memory");
		return NULL;
	}
	r->deps = *deps;
	TAILQ_INIT(&r->retired);
	name_box(r->box, sizeof(r->box));
	snprintf(r->boot, sizeof(r->boot), "%lx", (unsigned long)time(NULL));
	snprintf(r->token, sizeof(r->token), "(Postern %s.%s)", r->box, r->boot);
	r->shards = aligned_alloc(64, deps->nworkers * sizeof(*r->shards));
	r->peers = peers_new();
	r->broken = broken_new();
	if (r->shards == NULL || r->peers == NULL || r->broken == NULL) {
		snprintf(err, errlen, "out of memory");
		goto fail;
	}
	memset(r->shards, 0, deps->nworkers * sizeof(*r->shards));
	r->tickets = tickets_new(cfg);
	if (r->tickets == NULL) {
		snprintf(err, errlen, "no random bytes for the ticket keys");
		goto fail;
	}
	if (parts_init(&r->parts, deps->nworkers, deps->engine, r->tickets, err, errlen) != PST_OK)
		goto fail;
	if (pst_relay_publish(r, cfg, first_fault, why, NULL) != PST_OK) {
		snprintf(err, errlen, "%s", why);
		goto fail;
	}
	return r;
fail:
	pst_relay_free(r);
	return NULL;
}

void
pst_relay_free(struct pst_relay *r)
{
	if (r == NULL)
		return;
	generations_fini(r);
	parts_fini(&r->parts);
	peers_free(r->peers);
	broken_free(r->broken);
	pst_names_free(r->names);
	free(r->shards);
	pst_tickets_free(r->tickets);
	free(r);
}

static void
wake_all(struct pst_relay *r)
{
	for (unsigned w = 0; w < r->deps.nworkers; w++)
		pst_fabric_wake(r->deps.fabric, w);
}

void
pst_relay_drain(struct pst_relay *r)
{
	atomic_store(&r->draining, true);
	wake_all(r);
}

void
pst_relay_undrain(struct pst_relay *r)
{
	atomic_store(&r->draining, false);
	wake_all(r);
}

bool
pst_relay_drained(const struct pst_relay *r)
{
	return atomic_load(&r->draining) && atomic_load(&r->live) == 0;
}

bool
pst_relay_draining(const struct pst_relay *r)
{
	return atomic_load(&r->draining);
}

unsigned
pst_relay_running(const struct pst_relay *r)
{
	return atomic_load(&r->running);
}

bool
pst_relay_failed(const struct pst_relay *r)
{
	return atomic_load(&r->failed);
}

void
pst_relay_stop(struct pst_relay *r)
{
	atomic_store(&r->stopping, true);
	wake_all(r);
}

unsigned
pst_relay_nworkers(const struct pst_relay *r)
{
	return r->deps.nworkers;
}

unsigned
pst_relay_live(const struct pst_relay *r)
{
	return atomic_load(&r->live);
}

/* The clock is the kernel's: reading it costs the worker nothing. */
static struct pst_worker_time
time_spent(const struct shard *sh)
{
	struct pst_worker_time t = sh->time;
	struct timespec cpu;

	if (sh->has_clock && clock_gettime(sh->clock, &cpu) == 0)
		t.cpu_ns = (uint64_t)cpu.tv_sec * PST_NS_PER_SEC + (uint64_t)cpu.tv_nsec;
	return t;
}

/* Reads another thread's numbers: plain 64-bit loads, each a moment old (pst_base.h). */
void
pst_relay_stats(const struct pst_relay *r, unsigned worker, struct pst_worker_stats *out)
{
	struct shard *sh = &r->shards[worker];

	memset(out, 0, sizeof(*out));
	if (worker >= r->deps.nworkers || sh->tcp == NULL || sh->net == NULL)
		return;
	out->relay = sh->c;
	out->labels = sh->labels;
	out->net = *pst_net_counters(sh->net);
	out->tcp = *pst_tcp_counters(sh->tcp);
	pst_tcp_usage(sh->tcp, &out->usage);
	out->loops = sh->loops;
	out->busy_loops = sh->busy_loops;
	out->time = time_spent(sh);
	out->live_sessions = sh->nsessions;
	out->pooled_connections = sh->npool;
	out->mbufs_total = pst_net_pool_data(sh->net)->size;
	out->mbufs_in_use = rte_mempool_in_use_count(pst_net_pool_data(sh->net));
	if (r->deps.engine != NULL)
		pst_lane_stats(pst_engine_lane(r->deps.engine, worker), &out->crypto);
}

void
pst_relay_memory(const struct pst_relay *r, struct pst_relay_memory *out)
{
	*out = (struct pst_relay_memory){
		.session_bytes = sizeof(struct session),
		.hop_bytes = sizeof(struct hop),
		.tls_live_bytes = pst_crypto_live_bytes(),
		.addresses_uncounted = peers_uncounted(r->peers),
	};
}

unsigned
pst_relay_broken(struct pst_relay *r, struct pst_broken_row *rows, unsigned max)
{
	return broken_list(r->broken, rows, max, pst_now_ns() / PST_NS_PER_MS);
}

unsigned
pst_relay_broken_flush(struct pst_relay *r)
{
	return broken_flush(r->broken);
}

void
pst_relay_names(
	struct pst_relay *r, struct pst_names_counters *out, unsigned *cached, unsigned *open)
{
	*out = (struct pst_names_counters){0};
	*cached = *open = 0;
	if (r->names != NULL)
		pst_names_stats(r->names, out, cached, open);
}
