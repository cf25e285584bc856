/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Pressure on the worker's mbuf pools. New connections stop first, then windows
 * stop growing, then writes wait, then incoming payload is dropped; ACKs, RSTs
 * and retransmissions may use the last of it.
 */
#include "tcb.h"

#include <rte_lcore.h>

/* Elements that may be taken; other lcores' caches are not counted (there are none). */
static unsigned
available(struct rte_mempool *mp)
{
	struct rte_mempool_cache *cache = rte_mempool_default_cache(mp, rte_lcore_id());

	return rte_mempool_get_ops(mp->ops_index)->get_count(mp) + (cache != NULL ? cache->len : 0);
}

enum pressure
mem_pressure(const struct pst_tcp *t)
{
	unsigned left = available(t->data), size = t->data->size;

	if (pst_likely(left >= size / 5))
		return MEM_OK;
	return left >= size / 10 ? MEM_LOW : left >= size / 20 ? MEM_RESERVE : MEM_CRITICAL;
}

bool
mem_control_only(const struct pst_tcp *t)
{
	return available(t->head) < t->head->size / 16;
}

#define RELIEVE_MAX 4 /* connections at a time: the work of one call is bounded */

void
mem_relieve(struct pst_tcp *t)
{
	/* Their peers may be silent for as long as they like, and hold everybody else up. */
	for (unsigned i = 0; i < RELIEVE_MAX && mem_pressure(t) != MEM_OK; i++) {
		struct pst_tcp_conn *c = TAILQ_FIRST(&t->ahead);

		if (c == NULL)
			return;
		rx_prune(c);
	}
}

void
mem_retry_starved(struct pst_tcp *t)
{
	struct conn_list again = TAILQ_HEAD_INITIALIZER(again);
	struct pst_tcp_conn *c;

	mem_relieve(t);
	TAILQ_CONCAT(&again, &t->starved, starved);
	while ((c = TAILQ_FIRST(&again)) != NULL) {
		TAILQ_REMOVE(&again, c, starved);
		c->on_starved = false;
		c->wnd_held = false;
		if (wnd_update_due(c))
			c->ack_now = true;
		if (c->want_write && pst_tcp_send_space(c) > 0) {
			c->want_write = false;
			conn_event(c, PST_TCP_EV_WRITE);
		}
		conn_dirty(c);
	}
}
