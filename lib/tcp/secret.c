/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a stranger must not guess: table hashes, initial sequence numbers
 * (RFC 6528) and timestamp offsets (RFC 7323 5.4), each SipHash of the 4-tuple
 * under a key of its own.
 */
#include "tcb.h"

_Static_assert(sizeof(struct tuple) == 36, "hashed as bytes: no padding");

uint32_t
tuple_hash(const struct pst_tcp *t, const struct tuple *tu)
{
	return (uint32_t)pst_siphash(&t->key_table, tu, sizeof(*tu));
}

uint32_t
secret_isn(const struct pst_tcp *t, const struct tuple *tu)
{
	/* RFC 6528 3: ISN = M + F(localip, localport, remoteip, remoteport, secretkey), M a
	 * 4-microsecond timer. */
	return (uint32_t)(t->now / 4000) + (uint32_t)pst_siphash(&t->key_isn, tu, sizeof(*tu));
}

uint32_t
secret_ts_offset(const struct pst_tcp *t, const struct tuple *tu)
{
	/* The same for each incarnation of a tuple, so that RFC 6191 sees time go on. */
	return (uint32_t)pst_siphash(&t->key_ts, tu, sizeof(*tu));
}

uint32_t
ts_now(const struct pst_tcp *t, uint32_t offset)
{
	return (uint32_t)t->now_ms + offset;
}

bool
ts_older(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) < 0;
}
