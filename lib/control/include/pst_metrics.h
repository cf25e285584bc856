/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Metrics for Prometheus: OpenMetrics text over HTTP, on a kernel socket of the
 * management network, never on a DPDK port.
 *
 * Life: pst_metrics_new once the workers run, pst_metrics_published for each
 * generation of the configuration, pst_metrics_free before the relay goes.
 * Without an address in the configuration nothing listens.
 *
 * Thread: new, free, published and refused are one thread's (control's, or the
 * main one's before that runs). Scrapes are answered by a thread of their own that
 * reads what workers write without locks: each number is a moment old.
 */
#ifndef PST_METRICS_H
#define PST_METRICS_H

#include <pst_config.h>
#include <pst_relay.h>

struct pst_metrics;

struct pst_metrics_deps {
	struct pst_relay *relay;
	struct pst_engine *engine;  /* of crypto; NULL: none */
	struct pst_logger *logger;  /* may be NULL */
	const char *crypto_library; /* for build_info: "OpenSSL 3.0.15 ..." */
};

/* NULL and a text on error. What deps points to must live as long as the metrics. */
struct pst_metrics *pst_metrics_new(const struct pst_metrics_deps *deps, char *err, size_t errlen);
/* Ends the thread and every connection. NULL is allowed. */
void pst_metrics_free(struct pst_metrics *m);

/*
 * Listens on `at`, and no longer where it did before; NULL: nowhere. The same
 * address again costs nothing. On error (a text in err) the old one stays.
 */
enum pst_rc pst_metrics_listen(
	struct pst_metrics *m, const struct pst_endpoint *at, char *err, size_t errlen);

/* cfg now runs: counts a good reload (not for the first), reads the certificates' dates. */
void pst_metrics_published(struct pst_metrics *m, const struct pst_config *cfg);
/* A pushed configuration was refused. */
void pst_metrics_refused(struct pst_metrics *m);

#endif
