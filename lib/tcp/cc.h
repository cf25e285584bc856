/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Congestion control: slow start and congestion avoidance (RFC 5681), fast
 * recovery without SACK (NewReno, RFC 6582), limited transmit (RFC 3042), initial
 * window of ten (RFC 6928). Pure: it is told what happened and says what to do.
 *
 * `flight` is snd_max - snd_una before the event, `una`/`max` those numbers.
 */
#ifndef PST_TCP_CC_H
#define PST_TCP_CC_H

#include <stdbool.h>
#include <stdint.h>

struct cc {
	uint32_t mss;
	uint32_t cwnd, ssthresh; /* bytes */
	uint32_t recover;        /* RFC 6582: snd_max when recovery or a timeout began */
	uint32_t avoid;          /* bytes acknowledged towards the next step of cwnd */
	uint16_t dupacks;
	bool recovering;    /* in fast recovery */
	bool recover_valid; /* `recover` lies ahead of snd_una */
	bool partial_seen;  /* the first partial ACK of this recovery came */
};

enum cc_action {
	CC_NOTHING,
	CC_SEND_NEW,   /* window grew or limited transmit: try to send new data */
	CC_RETRANSMIT, /* send the segment at snd_una again, then new data if allowed */
};

void cc_init(struct cc *cc, uint32_t mss, bool syn_lost);
/* An acknowledgement that moved snd_una to `una`; `limited`: the window was in use. */
enum cc_action cc_on_ack(
	struct cc *cc, uint32_t una, uint32_t acked, uint32_t flight, bool limited);
enum cc_action cc_on_dupack(struct cc *cc, uint32_t una, uint32_t max, uint32_t flight);
void cc_on_timeout(struct cc *cc, uint32_t max, uint32_t flight, bool first);
/* Nothing was sent for longer than one RTO (RFC 5681 4.1). */
void cc_on_idle(struct cc *cc);
/* The path MTU fell: windows stay in bytes, at least two segments wide. */
void cc_set_mss(struct cc *cc, uint32_t mss);
/* Bytes that may be in flight now, limited transmit included. */
uint32_t cc_window(const struct cc *cc);

#endif
