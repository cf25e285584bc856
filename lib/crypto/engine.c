/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The engine: opens the back-ends in the order of the configuration, has a lane for each
 * worker, and hands changed routes to them.
 */
#include "engine_int.h"
#include <stdio.h>
#include <stdlib.h>

#define OPS_DEFAULT   1024
#define JOBS_DEFAULT  1024
#define DEPTH_DEFAULT 256

/* A back-end's thread has completed something: its worker may be asleep. */
void
pst_engine_wake(void *arg, unsigned lane)
{
	struct pst_engine *e = arg;

	/* Pairs with pst_lane_sleep. */
	atomic_thread_fence(memory_order_seq_cst);
	if (lane < e->conf.nlanes && e->conf.env.wake != NULL &&
		atomic_load_explicit(&e->lanes[lane]->sleeping, memory_order_relaxed))
		e->conf.env.wake(e->conf.env.arg, lane);
}

static bool
find_inner(struct pst_engine *e, struct pst_engine_backend *b, char *err, size_t errlen)
{
	if (b->around == NULL)
		return true;
	for (unsigned i = 0; i < e->nbackends; i++) {
		if (strcmp(e->backends[i].conf.conf.name, b->around) != 0)
			continue;
		b->conf.inner_drv = e->backends[i].conf.drv;
		b->conf.inner = e->backends[i].b;
		return true;
	}
	snprintf(err, errlen, "%s: there is no back-end \"%s\" before it", b->conf.name, b->around);
	return false;
}

static bool
open_backend(struct pst_engine *e, const struct pst_engine_backend *given, char *err, size_t errlen)
{
	const struct pst_cryptodrv_env env = {
		.arg = e, .wake = pst_engine_wake, .adaptive_idle = e->conf.env.adaptive_idle};
	struct backend *b = &e->backends[e->nbackends];
	char why[400] = "";

	b->conf = *given;
	b->conf.conf.index = e->nbackends;
	b->conf.conf.nlanes = e->conf.nlanes;
	if (b->conf.conf.depth == 0)
		b->conf.conf.depth = DEPTH_DEFAULT;
	if (!find_inner(e, &b->conf, err, errlen))
		return false;
	b->b = given->drv->open(&b->conf.conf, &env, why, sizeof(why));
	if (b->b == NULL) {
		snprintf(err, errlen, "%s (%s): %s", given->conf.name, given->drv->name, why);
		return false;
	}
	e->nbackends++;
	return true;
}

/* One that stands in another is that one's alone. */
static bool
is_wrapped(const struct pst_engine *e, unsigned i)
{
	for (unsigned k = 0; k < e->nbackends; k++)
		if (e->backends[i].b == e->backends[k].conf.conf.inner)
			return true;
	return false;
}

static bool
tuning_fits(const struct pst_engine *e, const struct pst_engine_tuning *t)
{
	for (unsigned k = 0; k < PST_OP_KINDS; k++) {
		if (t->nroutes[k] > PST_ENGINE_BACKENDS)
			return false;
		for (unsigned i = 0; i < t->nroutes[k]; i++)
			if (t->routes[k][i] >= e->nbackends || is_wrapped(e, t->routes[k][i]))
				return false;
	}
	return t->deadline_us > 0 && t->breaker_after > 0;
}

static bool
make_lanes(struct pst_engine *e)
{
	e->lanes = calloc(e->conf.nlanes, sizeof(*e->lanes));
	for (unsigned i = 0; e->lanes != NULL && i < e->conf.nlanes; i++)
		if ((e->lanes[i] = pst_lane_new(e, i)) == NULL)
			return false;
	return e->lanes != NULL;
}

/* Lanes first: a back-end may call wake as soon as it is open. */
static bool
open_all(struct pst_engine *e, char *err, size_t errlen)
{
	if (!make_lanes(e)) {
		snprintf(err, errlen, "out of memory");
		return false;
	}
	for (unsigned i = 0; i < e->conf.nbackends; i++)
		if (!open_backend(e, &e->conf.backends[i], err, errlen))
			return false;
	if (pst_engine_tune(e, &e->conf.tuning) != PST_OK) {
		snprintf(err, errlen, "routes that lead nowhere, or a limit of 0");
		return false;
	}
	return true;
}

struct pst_engine *
pst_engine_new(const struct pst_engine_conf *conf, char *err, size_t errlen)
{
	struct pst_engine *e = calloc(1, sizeof(*e));

	if (e == NULL || conf->nbackends > PST_ENGINE_BACKENDS ||
		(conf->named != NULL && conf->nbackends > 0)) {
		snprintf(err, errlen, "%s",
			e == NULL             ? "out of memory"
			: conf->named != NULL ? "back-ends beside a named engine"
					      : "too many back-ends");
		free(e);
		return NULL;
	}
	e->conf = *conf;
	e->conf.ops = conf->ops != 0 ? conf->ops : OPS_DEFAULT;
	e->conf.jobs = conf->jobs != 0 ? conf->jobs : JOBS_DEFAULT;
	pthread_mutex_init(&e->lock, NULL);
	TAILQ_INIT(&e->keys);
	TAILQ_INIT(&e->dead);
	if (open_all(e, err, errlen))
		return e;
	pst_engine_free(e);
	return NULL;
}

/* A key is not withdrawn under an operation that a lane gave up waiting for: then it is lost. */
static bool
still_works(const struct pst_engine *e, unsigned i)
{
	struct pst_cryptodrv_stats s;

	pst_engine_backend_stats(e, i, &s);
	return s.out > 0;
}

static void
withdraw_key(struct pst_engine *e, struct pst_op_key *key)
{
	for (unsigned i = 0; i < e->nbackends; i++) {
		const struct pst_cryptodrv *drv = e->backends[i].conf.drv;

		if (key->priv[i] != NULL && drv->key_del != NULL && !still_works(e, i))
			drv->key_del(e->backends[i].b, key);
		key->priv[i] = NULL;
	}
}

/* The last opened first: it may stand around an earlier one. */
void
pst_engine_stop(struct pst_engine *e)
{
	struct pst_engine_key *k;

	TAILQ_FOREACH (k, &e->keys, link)
		withdraw_key(e, &k->op);
	TAILQ_FOREACH (k, &e->dead, link)
		withdraw_key(e, &k->op);
	while (e->nbackends > 0) {
		struct backend *b = &e->backends[--e->nbackends];
		b->conf.drv->close(b->b);
	}
}

void
pst_engine_free(struct pst_engine *e)
{
	if (e == NULL)
		return;
	pst_engine_stop(e);
	pst_keys_free(e);
	for (unsigned i = 0; e->lanes != NULL && i < e->conf.nlanes; i++)
		pst_lane_free(e->lanes[i]);
	free(e->lanes);
	pthread_mutex_destroy(&e->lock);
	free(e);
}

enum pst_rc
pst_engine_tune(struct pst_engine *e, const struct pst_engine_tuning *t)
{
	if (!tuning_fits(e, t))
		return PST_INVAL;
	pthread_mutex_lock(&e->lock);
	e->tuning = *t;
	atomic_fetch_add_explicit(&e->version, 1, memory_order_release);
	pthread_mutex_unlock(&e->lock);
	return PST_OK;
}

unsigned
pst_engine_nbackends(const struct pst_engine *e)
{
	return e->nbackends;
}

const struct pst_engine_backend *
pst_engine_backend(const struct pst_engine *e, unsigned i)
{
	return &e->backends[i].conf;
}

void
pst_engine_backend_stats(const struct pst_engine *e, unsigned i, struct pst_cryptodrv_stats *out)
{
	*out = (struct pst_cryptodrv_stats){0};
	if (e->backends[i].conf.drv->stats != NULL)
		e->backends[i].conf.drv->stats(e->backends[i].b, out);
}

const struct pst_named *
pst_engine_named(const struct pst_engine *e)
{
	return e->conf.named;
}

struct pst_lane *
pst_engine_lane(struct pst_engine *e, unsigned worker)
{
	return e->lanes[worker];
}
