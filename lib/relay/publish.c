/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Generations: built on the control thread, swapped by one pointer, reclaimed when the
 * last worker let go. See snapshot.c for why the counts may be trusted.
 */
#include "relay.h"

#include <stdlib.h>
#include <string.h>
#include <urcu-qsbr.h>

void
pst_relay_set_release(
	struct pst_relay *r, void (*release)(void *arg, const struct pst_config *cfg), void *arg)
{
	r->release = release;
	r->release_arg = arg;
}

static void
generation_free(struct pst_relay *r, struct snapshot *sn)
{
	const struct pst_config *cfg = sn->cfg;

	snapshot_free(&r->parts, sn);
	if (r->release != NULL)
		r->release(r->release_arg, cfg);
}

/* The resolver is made once and stays; later generations change how it asks, or do not ask it. */
static enum pst_rc
publish_names(struct pst_relay *r, const struct build *b)
{
	const struct pst_names_conf *conf = &b->cfg->dns.names;
	struct pst_names *names = r->names;
	enum pst_rc rc = PST_OK;
	char err[256] = "";

	if (!b->cfg->dns.on)
		return PST_OK;
	if (names != NULL)
		rc = pst_names_configure(names, conf, err, sizeof(err));
	else if ((names = pst_names_new(conf, r->deps.nworkers, err, sizeof(err))) == NULL)
		rc = PST_INVAL;
	if (rc != PST_OK)
		b->report(b->arg, "/dns", err);
	else
		/* Pairs with waiter_poll. */
		__atomic_store_n(&r->names, names, __ATOMIC_RELEASE);
	return rc;
}

enum pst_rc
pst_relay_publish(struct pst_relay *r, const struct pst_config *cfg,
	void (*report)(void *arg, const char *pointer, const char *text), void *arg,
	struct pst_publish_result *out)
{
	struct pst_publish_result result = {0};
	struct build b = {.cfg = cfg, .report = report, .arg = arg, .result = &result};
	struct pst_tickets_keys keys = {0};
	struct snapshot *sn, *old;

	result.generation = atomic_load(&r->generation) + 1;
	sn = snapshot_new(&r->parts, &b, result.generation, r->token);
	if (sn == NULL)
		return PST_INVAL;
	if (tickets_read(&b, &keys) != PST_OK || publish_names(r, &b) != PST_OK) {
		pst_tickets_wipe(&keys);
		snapshot_free(&r->parts, sn);
		return PST_INVAL;
	}
	sn->names = cfg->dns.on ? r->names : NULL;
	/* Pairs with snapshot_current in shard_turn: who sees it sees what it points to. */
	old = rcu_xchg_pointer(&r->snap, sn);
	atomic_store(&r->generation, result.generation);
	atomic_store(&r->drain_ms, cfg->limits.timeouts.drain);
	if (old != NULL) {
		synchronize_rcu();
		TAILQ_INSERT_TAIL(&r->retired, old, link);
	}
	tickets_apply(r, cfg, &keys);
	pst_tickets_wipe(&keys);
	if (out != NULL)
		*out = result;
	return PST_OK;
}

unsigned
pst_relay_reclaim(struct pst_relay *r)
{
	struct snapshot *sn, *next;
	unsigned used = 0;

	for (sn = TAILQ_FIRST(&r->retired); sn != NULL; sn = next) {
		next = TAILQ_NEXT(sn, link);
		if (snapshot_in_use(sn)) {
			used++;
			continue;
		}
		TAILQ_REMOVE(&r->retired, sn, link);
		generation_free(r, sn);
	}
	return used;
}

void
generations_fini(struct pst_relay *r)
{
	struct snapshot *sn;

	while ((sn = TAILQ_FIRST(&r->retired)) != NULL) {
		TAILQ_REMOVE(&r->retired, sn, link);
		generation_free(r, sn);
	}
	if (r->snap != NULL)
		generation_free(r, r->snap);
	r->snap = NULL;
}

/* ---- the check of `postern -t`: the same build, thrown away ---- */

struct counted {
	pst_relay_report_fn *report;
	void *arg;
	unsigned n;
};

static void
count_fault(void *arg, const char *pointer, const char *text)
{
	struct counted *c = arg;

	c->n++;
	c->report(c->arg, pointer, text);
}

unsigned
pst_relay_check(const struct pst_config *cfg,
	void (*report)(void *arg, const char *pointer, const char *text), void *arg)
{
	struct pst_publish_result result;
	struct counted c = {.report = report, .arg = arg};
	struct build b = {.cfg = cfg, .report = count_fault, .arg = &c, .result = &result};
	struct pst_tickets_keys keys = {0};
	struct parts parts;
	char err[512] = "";

	if (parts_init(&parts, 1, NULL, NULL, err, sizeof(err)) != PST_OK)
		count_fault(&c, "", err);
	else
		snapshot_free(&parts, snapshot_new(&parts, &b, 0, ""));
	(void)tickets_read(&b, &keys);
	pst_tickets_wipe(&keys);
	parts_fini(&parts);
	return c.n;
}

uint64_t
pst_relay_generation(const struct pst_relay *r)
{
	return atomic_load(&r->generation);
}

uint32_t
pst_relay_drain_ms(const struct pst_relay *r)
{
	return atomic_load(&r->drain_ms);
}
