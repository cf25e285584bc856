/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef RING_CONFIG_H
#define RING_CONFIG_H

#include "pki.h"
#include "ring_site.h"

#define RING_GATEWAY_MAC "02:00:00:00:00:01"
#define RING_GATEWAY_IP  "192.0.2.1"
#define RING_GATEWAY_NET "192.0.2.1/24"
#define RING_FAR_IP      "192.0.2.2"
#define RING_FAR_NET     "192.0.2.2/24"

/* Ports of the next hops. */
enum { RING_SINK_FULL = 2601, RING_SINK_TICKETS, RING_SINK_REUSED, RING_SINK_CLEAR };

/* The gateway's configuration, with certificates made for it. NULL and a text. */
struct pst_config *ring_config(const struct ring_conf *c, char *err, size_t errlen);

#endif
