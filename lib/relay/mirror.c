/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * `mirror_receiver`: the literal reading of sender encryption Optional, "depends on the
 * encryption capabilities of the receiver". A worker asks its only next hop once a minute
 * what EHLO offers in clear, by a probe; sessions that come while nothing is known wait
 * for the answer before they are greeted.
 *
 * A next hop that cannot be asked, or was not yet, counts as one that offers: the safer reading.
 */
#include "relay.h"

#include <stdlib.h>

#define FRESH_MS 60000
#define RETRY_MS 5000

bool
mirror_wanted(const struct snapshot *sn, const struct pst_config_listener *ln, unsigned listed)
{
	const struct pst_config *cfg = sn->cfg;

	return cfg->policy.mirror_receiver && ln->tls == PST_CONFIG_TLS_STARTTLS &&
	       cfg->nnext_hops == 1 && !cfg->next_hops[0].mx &&
	       cfg->next_hops[0].tls != PST_CONFIG_TLS_IMPLICIT &&
	       (listed & PST_LISTED_REQUIRED) == 0 &&
	       !pst_policy_sender_required(sn->policy->policy);
}

static void
probe_free(struct probe *p)
{
	targets_clear(&p->mine.targets);
	errand_clear(&p->mine.to);
	free(p);
}

/* Only addresses and what the cache has: a question to DNS is not worth a greeting. */
static const struct pst_names_answer *
cached(void *arg, enum pst_names_kind kind, struct pst_span key)
{
	const struct snapshot *sn = arg;

	return sn->names != NULL ? pst_names_lookup(sn->names, kind, key) : NULL;
}

/* Of the session's own generation: in the present one the next hop may have no hosts at all. */
static struct probe *
probe_new(const struct session *s)
{
	struct probe *p = calloc(1, sizeof(*p));
	bool ok;

	if (p == NULL)
		return NULL;
	p->snap = s->snap;
	p->mine.generation = s->snap->generation;
	p->mine.to = (struct errand){.cls = &s->snap->classes[0],
		.want = {.gap = PST_LEVEL_NONE, .exempt = true, .entry = -1, .next_hop = -1}};
	p->helo = s->ln->hostname;
	p->out = &p->mine.out;
	p->ms = RETRY_MS;
	(void)targets_build(&p->mine.targets, &p->mine.to, cached, s->snap, s->sh->now, &ok);
	p->to = &p->mine.to;
	p->target = p->mine.targets.e;
	if (p->mine.targets.n == 0) {
		probe_free(p);
		return NULL;
	}
	return p;
}

static void
learn(struct shard *sh, uint64_t generation, bool offered, uint32_t ms)
{
	atomic_store_explicit(&sh->mirror.lacks, !offered, memory_order_relaxed);
	sh->mirror.until_ms = sh->now_ms + ms;
	atomic_store_explicit(&sh->mirror.generation, generation, memory_order_relaxed);
}

bool
mirror_offers(const struct shard *sh, uint64_t generation)
{
	return atomic_load_explicit(&sh->mirror.generation, memory_order_relaxed) != generation ||
	       !atomic_load_explicit(&sh->mirror.lacks, memory_order_relaxed);
}

bool
mirror_known(struct session *s, bool *offered)
{
	struct shard *sh = s->sh;
	uint64_t generation = s->snap->generation;
	bool fresh = sh->mirror.generation == generation && sh->now_ms < sh->mirror.until_ms;
	struct probe *p;

	if (!fresh && sh->probe == NULL) {
		p = probe_new(s);
		if (p == NULL)
			learn(sh, generation, true, RETRY_MS);
		else
			probe_begin(sh, p);
	}
	*offered = mirror_offers(sh, generation);
	/* While another probe runs for an operator, the last answer has to do. */
	return fresh || sh->probe == NULL || sh->probe->to != &sh->probe->mine.to;
}

void
mirror_probed(struct shard *sh)
{
	struct probe *p = sh->probe;
	struct session *s, *next;

	sh->probe = NULL;
	learn(sh, p->mine.generation, p->offered || !p->mine.out.live.ok,
		p->mine.out.live.ok ? FRESH_MS : RETRY_MS);
	probe_free(p);
	for (s = TAILQ_FIRST(&sh->sessions); s != NULL; s = next) {
		next = TAILQ_NEXT(s, link);
		if (s->wait == WAIT_MIRROR)
			session_mirrored(s);
	}
}
