/* SPDX-License-Identifier: BSD-3-Clause */
/* A relay and a fabric with made-up numbers, and what was asked of them. */
#ifndef TEST_CONTROL_FAKE_H
#define TEST_CONTROL_FAKE_H

#include <pst_control.h>
#include <pst_metrics.h>

/* Worker w has sessions = 10 * (w + 1), relay.body_bytes = 1000 + w, tcp.in_segs = 7, all else 0.
 */
extern unsigned fake_nworkers;

/* What the relay was asked, and what it shall say. fake_reset() sets it all to nothing. */
struct fake {
	uint64_t generation;           /* 1 after reset */
	const char *refuse;            /* publish fails with this text, at /listeners */
	unsigned published;            /* successful ones */
	const struct pst_config *snap; /* what "runs" */
	const struct pst_config *retired[128];
	unsigned nretired; /* published before, not yet given back */
	bool held;         /* sessions hold the retired ones */
	unsigned released; /* calls of release */
	bool draining;
	unsigned nsessions; /* of each worker; counters 1, 2, ... */
	char killed[64];
	uint64_t body_bytes; /* added to relay.body_bytes of each worker */
	unsigned nbroken;    /* hosts in the broken-TLS memory */
	bool stopped, stopped_now;
	unsigned tuned; /* calls of pst_engine_tune, and the last one */
	struct pst_engine_tuning tuning;
	const char *drivers_refuse; /* what deps.check says, at /crypto/backends/x/driver */
	void (*release)(void *arg, const struct pst_config *cfg);
	void *release_arg;
};
extern struct fake fake;
void fake_reset(void);
void fake_stop(void *arg, bool now); /* for deps.stop */
/* As pst_relay_free does: every configuration still held is given back. */
void fake_relay_free(void);

extern struct fake_metrics {
	bool refuse;
	unsigned port, published, refused;
} fake_metrics;

/* Deps whose socket is `socket`; no group, so that it needs no privileges. */
struct pst_control_deps fake_deps(const char *socket);
/* The good document with this socket, log file and path; belongs to the caller. */
struct pst_config *fake_config(const char *socket, const char *log, const char *path);

#endif
