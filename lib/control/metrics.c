/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is measured: the workers' statistics, read as they are, and what control
 * says happened to the configuration. See pst_metrics.h.
 *
 * The lock is for what control writes and a scrape reads; it is held for a copy of
 * a few hundred bytes and never by a worker.
 */
#include "metrics_int.h"

#include <pst_crypto.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <rte_eal.h>
#include <rte_malloc.h>
#include <rte_memory.h>
#include <rte_version.h>

struct pst_metrics {
	struct pst_metrics_deps deps;
	struct pst_log *log;
	uint64_t start_time;
	struct pst_metrics_http *http; /* NULL: nobody listens */
	struct pst_endpoint at;

	pthread_mutex_t lock; /* for what follows */
	uint64_t published, refused;
	bool last_refused;
	unsigned ncerts;
	struct pst_metrics_cert *certs;
};

/* ---- a scrape; on the HTTP thread ---- */

static void
read_heap(struct pst_metrics_input *in)
{
	struct rte_malloc_socket_stats s;

	for (int socket = 0; socket < RTE_MAX_NUMA_NODES; socket++) {
		if (rte_malloc_get_socket_stats(socket, &s) != 0)
			continue;
		in->heap_bytes += s.heap_totalsz_bytes;
		in->heap_used_bytes += s.heap_allocsz_bytes;
	}
	in->hugepages = rte_eal_has_hugepages() != 0;
}

static void
read_engine(const struct pst_engine *e, struct pst_metrics_input *in)
{
	in->nbackends = e != NULL ? pst_engine_nbackends(e) : 0;
	for (unsigned i = 0; i < in->nbackends; i++) {
		struct pst_metrics_backend *b = &in->backends[i];

		snprintf(b->name, sizeof(b->name), "%s", pst_engine_backend(e, i)->conf.name);
		pst_engine_backend_stats(e, i, &b->s);
	}
}

/* What control said, with a copy of the certificates for the caller to free. */
static struct pst_metrics_cert *
read_control(struct pst_metrics *m, struct pst_metrics_input *in)
{
	struct pst_metrics_cert *copy;

	pthread_mutex_lock(&m->lock);
	in->reloads = m->published > 0 ? m->published - 1 : 0;
	in->reloads_refused = m->refused;
	in->last_reload_refused = m->last_refused;
	copy = malloc((m->ncerts + 1) * sizeof(*copy));
	if (copy != NULL) {
		in->ncerts = m->ncerts;
		if (m->ncerts > 0)
			memcpy(copy, m->certs, m->ncerts * sizeof(*copy));
	}
	pthread_mutex_unlock(&m->lock);
	in->certs = copy;
	return copy;
}

static char *
render(void *arg, enum pst_metrics_format format, size_t *len)
{
	struct pst_metrics *m = arg;
	unsigned n = pst_relay_nworkers(m->deps.relay);
	struct pst_worker_stats *w = calloc(n + 1, sizeof(*w));
	struct pst_metrics_input in = {.version = PST_VERSION,
		.crypto_library = m->deps.crypto_library != NULL ? m->deps.crypto_library : "",
		.dpdk = rte_version(),
		.start_time = m->start_time,
		.draining = pst_relay_draining(m->deps.relay),
		.generation = pst_relay_generation(m->deps.relay),
		.log_lines_dropped =
			m->deps.logger != NULL ? pst_logger_dropped(m->deps.logger) : 0,
		.nworkers = n,
		.workers = w};
	struct pst_metrics_cert *certs;
	char *text = NULL;

	if (w == NULL)
		return NULL;
	for (unsigned i = 0; i < n; i++)
		pst_relay_stats(m->deps.relay, i, &w[i]);
	pst_relay_memory(m->deps.relay, &in.memory);
	pst_relay_names(m->deps.relay, &in.names, &in.names_cached, &in.names_open);
	read_heap(&in);
	read_engine(m->deps.engine, &in);
	certs = read_control(m, &in);
	if (certs != NULL)
		text = pst_metrics_text(&in, format, len);
	free(certs);
	free(w);
	return text;
}

/* ---- what control says ---- */

static struct pst_metrics_cert *
read_certificates(struct pst_metrics *m, const struct pst_config *cfg)
{
	struct pst_metrics_cert *certs = calloc(cfg->ncertificates + 1, sizeof(*certs));
	char err[512] = "";

	for (unsigned i = 0; certs != NULL && i < cfg->ncertificates; i++) {
		const struct pst_config_certificate *c = &cfg->certificates[i];

		snprintf(certs[i].name, sizeof(certs[i].name), "%s", c->name);
		certs[i].not_after = pst_cert_not_after(c->chain, err, sizeof(err));
		if (certs[i].not_after == 0)
			pst_logf(m->log, PST_LOG_WARN, "metrics", "%s", err);
	}
	return certs;
}

void
pst_metrics_published(struct pst_metrics *m, const struct pst_config *cfg)
{
	struct pst_metrics_cert *certs = read_certificates(m, cfg), *old;

	pthread_mutex_lock(&m->lock);
	m->published++;
	m->last_refused = false;
	old = m->certs;
	m->certs = certs;
	m->ncerts = certs != NULL ? cfg->ncertificates : 0;
	pthread_mutex_unlock(&m->lock);
	free(old);
}

void
pst_metrics_refused(struct pst_metrics *m)
{
	pthread_mutex_lock(&m->lock);
	m->refused++;
	m->last_refused = true;
	pthread_mutex_unlock(&m->lock);
}

/* ---- life ---- */

static bool
same_place(const struct pst_endpoint *a, const struct pst_endpoint *b)
{
	return a->port == b->port && pst_ip_eq(&a->ip, &b->ip);
}

static bool
start(struct pst_metrics *m, const struct pst_endpoint *at, char *err, size_t errlen)
{
	m->http = pst_metrics_http_new(at, render, m, err, errlen);
	if (m->http == NULL)
		return false;
	m->at = *at;
	return true;
}

/*
 * The old socket goes first: one address and "any" cannot both have a port. If the
 * new place is not to be had, the old one is taken again.
 */
enum pst_rc
pst_metrics_listen(struct pst_metrics *m, const struct pst_endpoint *at, char *err, size_t errlen)
{
	struct pst_endpoint before = m->at;
	bool had = m->http != NULL;
	char unused[160];

	if (at != NULL && had && same_place(at, &before))
		return PST_OK;
	pst_metrics_http_free(m->http);
	m->http = NULL;
	if (at == NULL || start(m, at, err, errlen))
		return PST_OK;
	if (had && !start(m, &before, unused, sizeof(unused)))
		pst_logf(m->log, PST_LOG_ERROR, "metrics", "%s", unused);
	return PST_INVAL;
}

struct pst_metrics *
pst_metrics_new(const struct pst_metrics_deps *deps, char *err, size_t errlen)
{
	struct pst_metrics *m = calloc(1, sizeof(*m));

	if (m == NULL) {
		snprintf(err, errlen, "metrics: out of memory");
		return NULL;
	}
	m->deps = *deps;
	m->start_time = (uint64_t)time(NULL);
	pthread_mutex_init(&m->lock, NULL);
	if (deps->logger != NULL)
		m->log = pst_log_lane(deps->logger, "metrics");
	return m;
}

void
pst_metrics_free(struct pst_metrics *m)
{
	if (m == NULL)
		return;
	pst_metrics_http_free(m->http);
	pthread_mutex_destroy(&m->lock);
	free(m->certs);
	free(m);
}
