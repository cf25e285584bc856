/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Round-trip estimation and the retransmission timeout of RFC 6298: arithmetic
 * only. Who measures, and when a sample may be taken (Karn), is the caller's.
 */
#ifndef PST_TCP_RTO_H
#define PST_TCP_RTO_H

#include <stdint.h>

struct rto {
	uint32_t srtt_us; /* 0: no sample yet */
	uint32_t rttvar_us;
	uint32_t base_ms; /* before back-off */
	uint32_t min_ms, max_ms;
	uint8_t shift; /* times backed off */
};

void rto_init(struct rto *r, uint32_t initial_ms, uint32_t min_ms, uint32_t max_ms);
/* A valid round trip: updates the estimate and ends the back-off (RFC 6298 2.2, 2.3). */
void rto_sample(struct rto *r, uint32_t rtt_us);
void rto_backoff(struct rto *r);
/* The timeout to arm now. */
uint32_t rto_ms(const struct rto *r);

#endif
