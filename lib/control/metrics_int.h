/* SPDX-License-Identifier: BSD-3-Clause */
/* Metrics in three parts: text (pure), HTTP (libmicrohttpd), and what is measured (metrics.c). */
#ifndef PST_METRICS_INT_H
#define PST_METRICS_INT_H

#include <pst_metrics.h>

/* ---- text ---- */

enum pst_metrics_format {
	PST_METRICS_CLASSIC,     /* Prometheus text format 0.0.4 */
	PST_METRICS_OPENMETRICS, /* OpenMetrics 1.0 */
};

struct pst_metrics_cert {
	char name[72];     /* of the configuration */
	int64_t not_after; /* seconds since the epoch; 0: not known */
};

/* A back-end of the crypto engine, as it counts itself. */
struct pst_metrics_backend {
	char name[72]; /* of the configuration */
	struct pst_cryptodrv_stats s;
};

/* Everything that is told, at one moment. Arrays and strings are the caller's. */
struct pst_metrics_input {
	const char *version, *crypto_library, *dpdk;
	uint64_t start_time; /* of the process, seconds since the epoch */
	bool draining;
	uint64_t generation;
	uint64_t reloads, reloads_refused;
	bool last_reload_refused;
	uint64_t log_lines_dropped;
	struct pst_relay_memory memory;
	struct pst_names_counters names;
	unsigned names_cached, names_open;    /* answers kept, questions under way */
	uint64_t heap_bytes, heap_used_bytes; /* DPDK's */
	bool hugepages;
	unsigned ncerts;
	const struct pst_metrics_cert *certs;
	unsigned nbackends; /* in the order of struct pst_lane_stats */
	struct pst_metrics_backend backends[PST_ENGINE_BACKENDS];
	unsigned nworkers;
	const struct pst_worker_stats *workers;
};

/* The text, from malloc, its length in *len; NULL when memory is short. */
char *pst_metrics_text(
	const struct pst_metrics_input *in, enum pst_metrics_format format, size_t *len);
const char *pst_metrics_content_type(enum pst_metrics_format format);
/* What an Accept header asks for; NULL: the client sent none. */
enum pst_metrics_format pst_metrics_negotiate(const char *accept);

/* ---- HTTP ---- */

#define PST_METRICS_CONNECTIONS 16

struct pst_metrics_http;

/* The text of this moment, from malloc; NULL: memory is short. On the HTTP thread. */
typedef char *(*pst_metrics_render)(void *arg, enum pst_metrics_format format, size_t *len);

struct pst_metrics_http *pst_metrics_http_new(const struct pst_endpoint *at,
	pst_metrics_render render, void *arg, char *err, size_t errlen);
void pst_metrics_http_free(struct pst_metrics_http *h);
/* After this time a connection may be cut off for another one; any thread. */
void pst_metrics_http_set_lifetime(struct pst_metrics_http *h, uint64_t ns);
/* Where it listens; the port is the kernel's choice if it was asked for port 0. */
uint16_t pst_metrics_http_port(const struct pst_metrics_http *h);

#endif
