/* SPDX-License-Identifier: BSD-3-Clause */
#include "rto.h"

#include <pst_base.h>

#define GRANULARITY_US 1000u /* the wheel's tick: G of RFC 6298 */

void
rto_init(struct rto *r, uint32_t initial_ms, uint32_t min_ms, uint32_t max_ms)
{
	*r = (struct rto){.base_ms = initial_ms, .min_ms = min_ms, .max_ms = max_ms};
}

void
rto_sample(struct rto *r, uint32_t rtt_us)
{
	uint64_t us;

	rtt_us = PST_MIN(PST_MAX(rtt_us, 1u), 600u * 1000 * 1000);
	if (r->srtt_us == 0) {
		/* RFC 6298 2.2: "SRTT <- R, RTTVAR <- R/2". */
		r->srtt_us = rtt_us;
		r->rttvar_us = rtt_us / 2;
	} else {
		uint32_t diff = r->srtt_us > rtt_us ? r->srtt_us - rtt_us : rtt_us - r->srtt_us;

		/* RFC 6298 2.3, RTTVAR first: alpha 1/8, beta 1/4. */
		r->rttvar_us = (uint32_t)((3ull * r->rttvar_us + diff) / 4);
		r->srtt_us = (uint32_t)PST_MAX((7ull * r->srtt_us + rtt_us) / 8, 1ull);
	}
	us = r->srtt_us + PST_MAX((uint64_t)GRANULARITY_US, 4ull * r->rttvar_us);
	r->base_ms = (uint32_t)((us + 999) / 1000);
	r->base_ms = PST_MIN(PST_MAX(r->base_ms, r->min_ms), r->max_ms);
	r->shift = 0;
}

void
rto_backoff(struct rto *r)
{
	/* RFC 6298 5.5: "RTO <- RTO * 2", up to a maximum. */
	if (rto_ms(r) < r->max_ms)
		r->shift++;
}

uint32_t
rto_ms(const struct rto *r)
{
	uint64_t ms = (uint64_t)r->base_ms << r->shift;

	return (uint32_t)PST_MIN(ms, (uint64_t)r->max_ms);
}
