/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The local port of an active open: random (RFC 6056 3.3.1), free for this very
 * peer, and such that the peer's answers are steered to this worker. What is
 * taken is the 4-tuple, so one port serves many peers at once.
 */
#include "tcb.h"

static bool
usable(struct pst_tcp *t, const struct tuple *tu)
{
	uint32_t hash;

	if (pst_net_owner(t->net, &tu->remote, &tu->local, tu->rport, tu->lport) !=
		pst_net_worker(t->net))
		return false;
	hash = tuple_hash(t, tu);
	return table_find(t, tu, hash) == NULL && tw_find(t, tu, hash) == NULL &&
	       half_find(t, tu, hash) == NULL;
}

uint16_t
port_choose(struct pst_tcp *t, struct tuple *tu)
{
	uint32_t n = (uint32_t)t->conf.port_max - t->conf.port_min + 1;
	uint32_t at = pst_rand_below(&t->rand, n);

	for (uint32_t i = 0; i < n; i++) {
		tu->lport = (uint16_t)(t->conf.port_min + (at + i) % n);
		if (listen_find(t, tu) == NONE32 && usable(t, tu))
			return tu->lport;
	}
	return 0;
}
