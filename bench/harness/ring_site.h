/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Client, gateway and next hop in one process: the real relay on its workers' lcores, and the
 * load on the main one, joined by a pair of net_ring ports. No kernel network, no hugepages,
 * no privileges.
 *
 * One configuration serves all cases: a listener for each kind of certificate, a next hop for
 * each way of dealing with connections to it, chosen by the recipient's domain.
 */
#ifndef RING_SITE_H
#define RING_SITE_H

#include "load.h"

#include <pst_cycles.h>
#include <pst_relay.h>
#include <stdatomic.h>
#include <jansson.h>

#define RING_WORKERS 16

enum ring_listener {
	RING_P256,
	RING_RSA2048,
	RING_RSA3072,
	RING_RSA4096,
	RING_P256_TICKETS,
	RING_RSA2048_TICKETS,
	RING_PLAIN,
	RING_LISTENERS
};
/* Domains, and what the gateway does with connections to their next hop. */
enum ring_hop {
	RING_HOP_FULL,    /* a new connection and a full handshake for each message */
	RING_HOP_RESUMED, /* a new connection with a resumed session */
	RING_HOP_REUSED,  /* kept and used again */
	RING_HOP_CLEAR,   /* kept and used again, without TLS */
	RING_HOPS
};

struct ring_conf {
	unsigned workers;     /* of the gateway, 1.. */
	const char *lcores;   /* "0,1": the load's core, then the workers'; NULL: chosen */
	bool poll;            /* the gateway's workers never sleep */
	const char *set;      /* JSON file merged over the configuration; NULL: none */
	const char *sink_key; /* kind of the next hop's key, as for pki_make */
	const json_t *more;   /* merged before `set`; NULL: none */
	unsigned rules;       /* that no mail matches */
	unsigned listeners;   /* bits of ring_listener: which are made */
	unsigned memory_mb;   /* 0: 1024 */
};

struct ring_worker {
	struct pst_cycles cycles;
	struct pst_hist *turns; /* CPU time of turns with work, ns; recorded while `on` */
	atomic_bool on;
	_Atomic pid_t tid;
	unsigned index;
	struct ring_site *site;
};

struct ring_site {
	struct ring_conf conf;
	struct pst_fabric *gateway, *far;
	struct pst_config *cfg;
	struct pst_logger *logger;
	struct pst_ossl_named *named;
	struct pst_engine *engine;
	struct pst_relay *relay;
	struct ring_worker workers[RING_WORKERS];
	struct gen_transport *transport;
	struct load *load;
	struct pst_crypto *crypto; /* the load's */
	struct pst_tls_ctx *client, *sink, *sink_tickets;
	struct pst_tls_cache *cache;
	struct gen_sink_conf sinks[RING_HOPS];
	struct gen_sink_figures sunk[RING_HOPS];
	bool eal;
};

/* Starts all of it, on the calling thread, which is the load's from now on. A text on error. */
enum pst_rc ring_site_start(struct ring_site *s, char *err, size_t errlen);
void ring_site_stop(struct ring_site *s);

struct pst_endpoint ring_gateway(enum ring_listener l);
const char *ring_recipient(enum ring_hop h);

#endif
