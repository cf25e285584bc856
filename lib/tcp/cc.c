/* SPDX-License-Identifier: BSD-3-Clause */
#include "cc.h"

#include <pst_base.h>

#include "seq.h"

#define DUPTHRESH 3
#define CWND_MAX  (1u << 30)

static uint32_t
initial_window(uint32_t mss)
{
	/* RFC 6928: min (10*MSS, max (2*MSS, 14600)). */
	return PST_MIN(10 * mss, PST_MAX(2 * mss, 14600u));
}

void
cc_init(struct cc *cc, uint32_t mss, bool syn_lost)
{
	*cc = (struct cc){.mss = mss, .ssthresh = CWND_MAX};
	/* RFC 5681 3.1: after a lost SYN "the initial window used ... MUST be one segment". */
	cc->cwnd = syn_lost ? mss : initial_window(mss);
}

static void
set_ssthresh(struct cc *cc, uint32_t flight)
{
	/* RFC 5681 (4): ssthresh = max (FlightSize / 2, 2*SMSS). */
	cc->ssthresh = PST_MAX(flight / 2, 2 * cc->mss);
}

static void
grow(struct cc *cc, uint32_t acked)
{
	if (cc->cwnd < cc->ssthresh) {
		/* Slow start; one ACK may stand for a whole burst, so bytes are counted. */
		uint32_t step = PST_MIN(acked, cc->ssthresh - cc->cwnd);

		cc->cwnd += step;
		acked -= step;
	}
	/* Congestion avoidance: one segment each window of acknowledged bytes (RFC 3465). */
	cc->avoid += acked;
	if (cc->avoid >= cc->cwnd) {
		cc->avoid -= cc->cwnd;
		cc->cwnd += cc->mss;
	}
	cc->cwnd = PST_MIN(cc->cwnd, CWND_MAX);
}

static enum cc_action
ack_in_recovery(struct cc *cc, uint32_t una, uint32_t acked, uint32_t flight)
{
	if (seq_ge(una, cc->recover)) {
		/* RFC 6582 3.2 step 3, full: cwnd = min (ssthresh, max(FlightSize, SMSS) + SMSS).
		 */
		uint32_t left = flight > acked ? flight - acked : 0;

		cc->cwnd = PST_MIN(cc->ssthresh, PST_MAX(left, cc->mss) + cc->mss);
		cc->recovering = false;
		cc->recover_valid = una == cc->recover;
		return CC_SEND_NEW;
	}
	/* Partial: retransmit, deflate by what was acknowledged, add back one SMSS. */
	cc->cwnd = cc->cwnd > acked ? cc->cwnd - acked : 0;
	if (acked >= cc->mss)
		cc->cwnd += cc->mss;
	cc->cwnd = PST_MAX(cc->cwnd, cc->mss);
	cc->partial_seen = true;
	return CC_RETRANSMIT;
}

enum cc_action
cc_on_ack(struct cc *cc, uint32_t una, uint32_t acked, uint32_t flight, bool limited)
{
	cc->dupacks = 0;
	if (cc->recovering)
		return ack_in_recovery(cc, una, acked, flight);
	if (cc->recover_valid && seq_gt(una, cc->recover))
		cc->recover_valid = false;
	/* A window that was not used up proves nothing about the path (RFC 7661). */
	if (limited)
		grow(cc, acked);
	return CC_SEND_NEW;
}

enum cc_action
cc_on_dupack(struct cc *cc, uint32_t una, uint32_t max, uint32_t flight)
{
	if (cc->dupacks < UINT16_MAX)
		cc->dupacks++;
	if (cc->recovering) {
		/* RFC 6582 3.2 step 2: each further duplicate means a segment left the network. */
		cc->cwnd = PST_MIN(cc->cwnd + cc->mss, CWND_MAX);
		return CC_SEND_NEW;
	}
	if (cc->dupacks < DUPTHRESH)
		return CC_SEND_NEW;
	/* RFC 6582 3.2 step 1: not again for losses before the last recovery or timeout. */
	if (cc->dupacks > DUPTHRESH || (cc->recover_valid && seq_le(una, cc->recover)))
		return CC_NOTHING;
	set_ssthresh(cc, flight);
	cc->recover = max;
	cc->recovering = cc->recover_valid = true;
	cc->partial_seen = false;
	cc->cwnd = cc->ssthresh + DUPTHRESH * cc->mss;
	return CC_RETRANSMIT;
}

void
cc_on_timeout(struct cc *cc, uint32_t max, uint32_t flight, bool first)
{
	/* RFC 5681 3.1: "when a TCP sender detects segment loss using the retransmission timer and
	 * the given segment has already been retransmitted ... ssthresh is held constant". */
	if (first)
		set_ssthresh(cc, flight);
	cc->cwnd = cc->mss;
	cc->avoid = 0;
	cc->dupacks = 0;
	/* RFC 6582 4: record the highest sequence number, leave fast recovery. */
	cc->recover = max;
	cc->recover_valid = true;
	cc->recovering = false;
}

void
cc_on_idle(struct cc *cc)
{
	/* RFC 5681 4.1: RW = min(IW,cwnd). */
	cc->cwnd = PST_MIN(cc->cwnd, initial_window(cc->mss));
}

void
cc_set_mss(struct cc *cc, uint32_t mss)
{
	cc->mss = mss;
	cc->cwnd = PST_MAX(cc->cwnd, mss);
	cc->ssthresh = PST_MAX(cc->ssthresh, 2 * mss);
}

uint32_t
cc_window(const struct cc *cc)
{
	/* RFC 3042: the first two duplicates may each send one new segment beyond cwnd. */
	if (!cc->recovering && cc->dupacks > 0)
		return cc->cwnd + PST_MIN(cc->dupacks, (uint16_t)(DUPTHRESH - 1)) * cc->mss;
	return cc->cwnd;
}
