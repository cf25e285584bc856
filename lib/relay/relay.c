/* SPDX-License-Identifier: BSD-3-Clause */
/* The relay as the main thread sees it: see pst_relay.h. */
#include "relay.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <sys/random.h>
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

unsigned
pst_relay_check(const struct pst_config *cfg,
	void (*report)(void *arg, const char *pointer, const char *text), void *arg)
{
	return snapshot_check(cfg, report, arg);
}

struct pst_relay *
pst_relay_new(
	const struct pst_config *cfg, const struct pst_relay_deps *deps, char *err, size_t errlen)
{
	struct pst_relay *r = calloc(1, sizeof(*r));

	if (r == NULL) {
		snprintf(err, errlen, "out of memory");
		return NULL;
	}
	r->cfg = cfg;
	r->deps = *deps;
	name_box(r->box, sizeof(r->box));
	snprintf(r->boot, sizeof(r->boot), "%lx", (unsigned long)time(NULL));
	if (getrandom(r->ticket_key, sizeof(r->ticket_key), 0) != sizeof(r->ticket_key)) {
		snprintf(err, errlen, "no random bytes for the ticket key");
		goto fail;
	}
	r->shards = calloc(deps->nworkers, sizeof(*r->shards));
	if (r->shards == NULL) {
		snprintf(err, errlen, "out of memory");
		goto fail;
	}
	r->snap = snapshot_new(cfg, deps->nworkers, r->ticket_key, err, errlen);
	if (r->snap == NULL)
		goto fail;
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
	snapshot_free(r->snap);
	free(r->shards);
	explicit_bzero(r->ticket_key, sizeof(r->ticket_key));
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

/* Reads another thread's numbers: plain 64-bit loads, each a moment old (pst_base.h). */
void
pst_relay_stats(const struct pst_relay *r, unsigned worker, struct pst_worker_stats *out)
{
	struct shard *sh = &r->shards[worker];

	memset(out, 0, sizeof(*out));
	if (worker >= r->deps.nworkers || sh->tcp == NULL || sh->net == NULL)
		return;
	out->relay = sh->c;
	out->net = *pst_net_counters(sh->net);
	out->tcp = *pst_tcp_counters(sh->tcp);
	pst_tcp_usage(sh->tcp, &out->usage);
	out->loops = sh->loops;
	out->busy_loops = sh->busy_loops;
	out->live_sessions = sh->nsessions;
	out->pooled_connections = sh->npool;
	out->mbufs_total = pst_net_pool_data(sh->net)->size;
	out->mbufs_in_use = rte_mempool_in_use_count(pst_net_pool_data(sh->net));
}

void
pst_relay_memory(const struct pst_relay *r, struct pst_relay_memory *out)
{
	*out = (struct pst_relay_memory){
		.session_bytes = sizeof(struct session),
		.hop_bytes = sizeof(struct hop),
		.tls_live_bytes = pst_crypto_live_bytes(),
	};
}
