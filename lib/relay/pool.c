/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A worker's pool of idle connections to next hops. One gets in when its transaction
 * ended cleanly and nothing more was said; one gets out for a session of the same
 * class that would say the same name, and must answer RSET before it is believed. It
 * leaves by age, idleness, number of messages, a word of the next hop, a publication
 * that changed its class, and drain.
 */
#include "relay.h"

#include <string.h>

/*
 * Nothing more has come, and the stream goes on. What stands behind a verdict would be
 * taken for the answer to the next session's first command.
 */
static bool
hop_is_quiet(const struct hop *h)
{
	return !h->leg.error && !leg_has_input(&h->leg) && !pst_tcp_eof(h->leg.conn) &&
	       pst_tcp_error(h->leg.conn) == PST_TCP_ERR_NONE;
}

static bool
hop_may_live_on(const struct hop *h)
{
	const struct pst_config_next_hop *c = h->cls->hop;

	return c->reuse == PST_REUSE_CLASS && h->state == HOP_READY && hop_is_quiet(h) &&
	       !h->sh->draining && h->messages < c->reuse_messages &&
	       h->sh->now_ms - h->born_ms < c->reuse_age_ms &&
	       pst_smtp_client_outstanding(&h->smtp) == 0 && h->sh->npool < SHARD_POOL_MAX;
}

void
hop_release(struct hop *h)
{
	if (!hop_may_live_on(h)) {
		hop_close(h);
		return;
	}
	h->s->hop = NULL;
	h->s = NULL;
	h->needs_rset = true;
	TAILQ_INSERT_HEAD(&h->sh->pool, h, link);
	h->sh->npool++;
	hop_enter(h, HOP_READY);
	if (h->snap != h->sh->snap)
		hop_pool_adopt(h->sh, h->sh->snap); /* its session began before a publication */
}

struct hop *
hop_take(struct session *s, const struct errand *to)
{
	const struct route_class *cls = to->cls;
	struct hop *h, *next;

	if (cls->hop->reuse != PST_REUSE_CLASS)
		return NULL;
	for (h = TAILQ_FIRST(&s->sh->pool); h != NULL; h = next) {
		next = TAILQ_NEXT(h, link);
		if (strcmp(h->helo, hop_helo(s, cls)) != 0 || !hop_suits(h, s->snap, to))
			continue;
		if (hop_is_quiet(h))
			break;
		hop_close(h);
	}
	if (h == NULL)
		return NULL;
	TAILQ_REMOVE(&h->sh->pool, h, link);
	h->sh->npool--;
	h->s = s;
	h->reused = true;
	h->sh->c.nexthop_reused++;
	hop_enter(h, HOP_READY);
	return h;
}

/* Its class and its TLS settings are still asked for; whether policy would is asked at the next
 * use. */
static bool
lives_on(const struct hop *h, const struct route_class *cls)
{
	unsigned i = 0;

	if (strcmp(cls->key, h->cls->key) != 0)
		return false;
	if (h->part == NULL)
		return true;
	while (i < cls->nsets * PFS_MODES && cls->tls[i] != h->part)
		i++; /* parts are shared by content */
	return i < cls->nsets * PFS_MODES;
}

void
hop_pool_adopt(struct shard *sh, struct snapshot *sn)
{
	struct hop *h, *next;

	for (h = TAILQ_FIRST(&sh->pool); h != NULL; h = next) {
		unsigned i = 0, n = sn->cfg->nnext_hops;

		next = TAILQ_NEXT(h, link);
		while (i < n && !lives_on(h, &sn->classes[i]))
			i++;
		if (i == n) {
			hop_close(h);
			continue;
		}
		snapshot_get(sn, sh->worker);
		snapshot_put(h->snap, sh->worker);
		h->snap = sn;
		h->cls = &sn->classes[i];
		/* The rest pointed into the old policy; the digest stays. */
		h->demand = (struct pst_demand){.level = h->demand.level};
	}
}

void
hop_pool_flush(struct shard *sh)
{
	struct hop *h;

	while ((h = TAILQ_FIRST(&sh->pool)) != NULL)
		hop_close(h);
}

/*
 * In the pool nothing is expected: a byte or the end of the stream means that the
 * next hop has had enough (RFC 5321 3.8: 421 at any time).
 */
void
hop_pool_event(struct hop *h)
{
	struct pst_span in;

	/* A session ticket is nothing said. */
	if (!h->leg.error && pst_tcp_error(h->leg.conn) == PST_TCP_ERR_NONE &&
		leg_read(h->sh, &h->leg, false, &in) == PST_AGAIN)
		return;
	leg_close(h->sh, &h->leg);
	hop_free(h);
}
