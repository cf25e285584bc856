/* SPDX-License-Identifier: BSD-3-Clause */
/* The algorithms without a connection: RFC 6298 arithmetic and NewReno traces. */
#include <criterion/criterion.h>
#include <pst_base.h>

#include "cc.h"
#include "rto.h"
#include "seq.h"

/* ---- sequence numbers ---- */

Test(seq, compares_across_the_wrap)
{
	cr_assert(seq_lt(0xffffffffu, 0));
	cr_assert(seq_gt(5, 0xfffffff0u));
	cr_assert(seq_le(7, 7) && seq_ge(7, 7));
	cr_assert_not(seq_lt(7, 7) || seq_gt(7, 7));
	cr_assert_eq(seq_max(0xfffffffeu, 3), 3);
}

/* ---- RFC 6298 ---- */

static const struct {
	unsigned n;
	uint32_t sample_us[4];
	uint32_t srtt_us, rttvar_us, rto_ms;
} rtts[] = {
	{1, {100000}, 100000, 50000, 300}, {2, {100000, 100000}, 100000, 37500, 250},
	{2, {100000, 200000}, 112500, 62500, 363}, {2, {200000, 100000}, 187500, 100000, 588},
	{3, {100000, 200000, 100000}, 110937, 50000, 311},
	{1, {1000}, 1000, 500, 200},                /* the least RTO */
	{1, {50000000}, 50000000, 25000000, 60000}, /* the largest */
	{1, {0}, 1, 0, 200},                        /* less than the clock tells */
};

Test(rto, follows_the_arithmetic_of_rfc_6298)
{
	for (size_t i = 0; i < PST_COUNT(rtts); i++) {
		struct rto r;

		rto_init(&r, 1000, 200, 60000);
		for (unsigned k = 0; k < rtts[i].n; k++)
			rto_sample(&r, rtts[i].sample_us[k]);
		cr_expect_eq(r.srtt_us, rtts[i].srtt_us, "row %zu: srtt %u", i, r.srtt_us);
		cr_expect_eq(r.rttvar_us, rtts[i].rttvar_us, "row %zu: rttvar %u", i, r.rttvar_us);
		cr_expect_eq(rto_ms(&r), rtts[i].rto_ms, "row %zu: rto %u", i, rto_ms(&r));
	}
}

Test(rto, doubles_to_the_maximum_and_a_sample_ends_it)
{
	static const uint32_t want[] = {1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000, 60000};
	struct rto r;

	rto_init(&r, 1000, 200, 60000);
	for (size_t i = 0; i < PST_COUNT(want); i++) {
		cr_assert_eq(rto_ms(&r), want[i]);
		rto_backoff(&r);
	}
	for (int i = 0; i < 1000; i++)
		rto_backoff(&r);
	cr_assert_eq(rto_ms(&r), 60000);
	rto_sample(&r, 100000);
	cr_assert_eq(rto_ms(&r), 300);
}

/* ---- NewReno ---- */

enum { MSS = 1000 };

static struct cc
fresh(void)
{
	struct cc cc;

	cc_init(&cc, MSS, false);
	return cc;
}

Test(cc, initial_window_is_that_of_rfc_6928)
{
	static const struct {
		uint32_t mss, iw;
	} rows[] = {{1460, 14600}, {1000, 10000}, {536, 5360}, {8960, 17920}, {1448, 14480}};
	struct cc cc;

	for (size_t i = 0; i < PST_COUNT(rows); i++) {
		cc_init(&cc, rows[i].mss, false);
		cr_expect_eq(cc.cwnd, rows[i].iw, "mss %u", rows[i].mss);
	}
	cc_init(&cc, 1460, true);
	cr_assert_eq(cc.cwnd, 1460, "after a lost SYN: one segment");
}

Test(cc, slow_start_doubles_and_avoidance_adds_one_segment_a_window)
{
	struct cc cc = fresh();

	cc.ssthresh = 20000;
	for (uint32_t una = 1000; una <= 10000; una += 1000)
		cc_on_ack(&cc, una, 1000, 10000, true);
	cr_assert_eq(cc.cwnd, 20000);
	for (uint32_t una = 11000; una <= 30000; una += 1000)
		cc_on_ack(&cc, una, 1000, 20000, true);
	cr_assert_eq(cc.cwnd, 21000);
}

Test(cc, does_not_grow_while_the_application_is_the_limit)
{
	struct cc cc = fresh();

	for (int i = 0; i < 100; i++)
		cc_on_ack(&cc, 1000 * (uint32_t)i, 1000, 1000, false);
	cr_assert_eq(cc.cwnd, 10000);
}

Test(cc, third_duplicate_starts_fast_recovery_and_not_the_fourth)
{
	struct cc cc = fresh();

	cr_assert_eq(cc_on_dupack(&cc, 0, 10000, 10000), CC_SEND_NEW);
	cr_assert_eq(cc_window(&cc), 11000, "limited transmit, RFC 3042");
	cr_assert_eq(cc_on_dupack(&cc, 0, 11000, 11000), CC_SEND_NEW);
	cr_assert_eq(cc_window(&cc), 12000);
	cr_assert_eq(cc_on_dupack(&cc, 0, 12000, 12000), CC_RETRANSMIT);
	cr_assert_eq(cc.ssthresh, 6000);
	cr_assert_eq(cc.cwnd, 9000, "ssthresh + 3 SMSS");
	cr_assert_eq(cc_on_dupack(&cc, 0, 12000, 12000), CC_SEND_NEW);
	cr_assert_eq(cc.cwnd, 10000);
}

Test(cc, partial_acks_retransmit_and_deflate_until_the_full_one)
{
	struct cc cc = fresh();

	for (int i = 0; i < 3; i++)
		cc_on_dupack(&cc, 0, 10000, 10000);
	for (int i = 0; i < 6; i++)
		cc_on_dupack(&cc, 0, 10000, 10000);
	cr_assert_eq(cc.cwnd, 14000);
	cr_assert_eq(cc_on_ack(&cc, 4000, 4000, 10000, true), CC_RETRANSMIT);
	cr_assert_eq(cc.cwnd, 11000, "minus 4000, plus one segment");
	cr_assert_eq(cc_on_ack(&cc, 10000, 6000, 6000, true), CC_SEND_NEW);
	cr_assert_not(cc.recovering);
	cr_assert_eq(cc.cwnd, 2000, "min(ssthresh, max(flight, SMSS) + SMSS)");
}

Test(cc, duplicates_of_losses_before_a_timeout_are_not_a_new_loss)
{
	struct cc cc = fresh();

	cc_on_timeout(&cc, 10000, 10000, true);
	cr_assert_eq(cc.cwnd, MSS);
	cr_assert_eq(cc.ssthresh, 5000);
	for (int i = 0; i < 10; i++)
		cr_assert_neq(cc_on_dupack(&cc, 5000, 10000, 5000), CC_RETRANSMIT);
	cr_assert_not(cc.recovering);
	cc_on_ack(&cc, 11000, 6000, 6000, true);
	for (int i = 0; i < 2; i++)
		cr_assert_eq(cc_on_dupack(&cc, 11000, 20000, 9000), CC_SEND_NEW);
	cr_assert_eq(cc_on_dupack(&cc, 11000, 20000, 9000), CC_RETRANSMIT);
}

Test(cc, second_timeout_of_the_same_segment_keeps_ssthresh)
{
	struct cc cc = fresh();

	cc_on_timeout(&cc, 10000, 10000, true);
	cc_on_timeout(&cc, 10000, 1000, false);
	cr_assert_eq(cc.ssthresh, 5000);
}

Test(cc, ssthresh_is_never_below_two_segments)
{
	struct cc cc = fresh();

	cc_on_timeout(&cc, 1000, 1000, true);
	cr_assert_eq(cc.ssthresh, 2000);
}

Test(cc, idle_connection_restarts_from_the_initial_window)
{
	struct cc cc = fresh();

	cc.cwnd = 500000;
	cc_on_idle(&cc);
	cr_assert_eq(cc.cwnd, 10000);
	cc.cwnd = 3000;
	cc_on_idle(&cc);
	cr_assert_eq(cc.cwnd, 3000);
}
