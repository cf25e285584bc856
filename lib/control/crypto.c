/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The method `crypto.show`: back-ends, who does which operations, pools, of each worker and
 * of all. It runs on the control thread and reads what workers and back-ends write without
 * locks: each number is a moment old.
 *
 * "total" and each of "workers" have the same members. Where numbers of all workers stand
 * for one back-end, its breaker is open if any worker's is.
 */
#include <stdlib.h>

#include <rte_cycles.h>

#include "config_keys.h"
#include "methods.h"
#include "stats.h"

#define ROW(name, help) PST_COUNTER_DESC(pst_lane_counters, name, help)
const struct pst_counter_desc pst_lane_counter_descs[] = {PST_LANE_COUNTERS(ROW){NULL, NULL, 0}};
#undef ROW

static void
add(struct pst_lane_stats *sum, const struct pst_lane_stats *s)
{
	for (unsigned k = 0; k < PST_OP_KINDS; k++) {
		sum->kinds[k] += s->kinds[k];
		sum->offloaded[k] += s->offloaded[k];
		sum->wait_us_sum[k] += s->wait_us_sum[k];
	}
	sum->ops_total += s->ops_total;
	sum->ops_free += s->ops_free;
	sum->ops_quarantined += s->ops_quarantined;
	sum->jobs_max += s->jobs_max;
	sum->jobs_in_use += s->jobs_in_use;
	sum->jobs_waiting += s->jobs_waiting;
	for (unsigned b = 0; b < PST_ENGINE_BACKENDS; b++) {
		sum->backends[b].open |= s->backends[b].open;
		sum->backends[b].out += s->backends[b].out;
		sum->backends[b].completed += s->backends[b].completed;
		sum->backends[b].failed += s->backends[b].failed;
		sum->backends[b].timeouts += s->backends[b].timeouts;
	}
}

/* ---- a worker, or all ---- */

static json_t *
backend_rows(const struct pst_config_crypto *c, const struct pst_lane_stats *s)
{
	json_t *list = json_array();

	for (unsigned b = 0; b < c->nbackends; b++)
		json_array_append_new(list,
			json_pack("{s:s, s:s, s:I, s:I, s:I, s:I}", "name", c->backends[b].name,
				"breaker", s->backends[b].open ? "open" : "closed", "out",
				(json_int_t)s->backends[b].out, "completed",
				(json_int_t)s->backends[b].completed, "failed",
				(json_int_t)s->backends[b].failed, "timeouts",
				(json_int_t)s->backends[b].timeouts));
	return list;
}

/* Seconds from giving an operation away to having it back; null: none was. */
static json_t *
mean_wait(const struct pst_lane_stats *s, unsigned kind)
{
	if (s->offloaded[kind] == 0)
		return json_null();
	return json_real((double)s->wait_us_sum[kind] / (double)s->offloaded[kind] / 1e6);
}

static json_t *
operation_rows(const struct pst_lane_stats *s)
{
	json_t *list = json_array();

	for (unsigned k = 0; k < PST_OP_KINDS; k++)
		json_array_append_new(
			list, json_pack("{s:s, s:I, s:I, s:o}", "kind", pst_op_kind_names[k],
				      "asked", (json_int_t)s->kinds[k], "offloaded",
				      (json_int_t)s->offloaded[k], "mean_wait", mean_wait(s, k)));
	return list;
}

static json_t *
pools(const struct pst_lane_stats *s)
{
	return json_pack("{s:{s:I, s:I, s:I}, s:{s:I, s:I, s:I}}", "ops", "total",
		(json_int_t)s->ops_total, "free", (json_int_t)s->ops_free, "quarantined",
		(json_int_t)s->ops_quarantined, "jobs", "max", (json_int_t)s->jobs_max, "in_use",
		(json_int_t)s->jobs_in_use, "waiting", (json_int_t)s->jobs_waiting);
}

static json_t *
share(const struct pst_config_crypto *c, const struct pst_lane_stats *s)
{
	return json_pack("{s:o, s:o, s:o}", "backends", backend_rows(c, s), "operations",
		operation_rows(s), "pools", pools(s));
}

/* ---- what is one for all workers ---- */

static double
busy_seconds(const struct pst_cryptodrv_stats *s)
{
	uint64_t hz = rte_get_tsc_hz();

	return hz == 0 ? 0 : (double)s->busy_cycles / (double)hz;
}

/* As the back-end itself counts. */
static json_t *
backend(const struct pst_control_deps *d, const struct pst_config_crypto_backend *b, unsigned i)
{
	struct pst_cryptodrv_stats s = {0};
	json_t *row;

	if (d->engine != NULL && i < pst_engine_nbackends(d->engine))
		pst_engine_backend_stats(d->engine, i, &s);
	row = json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:f, s:f, s:I}", "name", b->name, "driver",
		b->driver, "depth", (json_int_t)b->depth, "out", (json_int_t)s.out, "ops",
		(json_int_t)s.ops, "failed", (json_int_t)s.failed, "cpu", (double)s.cpu_ns / 1e9,
		"busy", busy_seconds(&s), "injected", (json_int_t)s.injected);
	if (row != NULL && b->around != NULL)
		json_object_set_new(row, "around", json_string(b->around));
	return row;
}

static json_t *
routes(const struct pst_config_crypto *c, unsigned kind)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < c->tuning.nroutes[kind]; i++)
		json_array_append_new(
			list, json_string(c->backends[c->tuning.routes[kind][i]].name));
	json_array_append_new(list, json_string(PST_CRYPTO_SYNC));
	return list;
}

/* What the configuration says, as it came out. */
static json_t *
settings(const struct pst_config_crypto *c)
{
	json_t *order = json_object(), *r;

	for (unsigned k = 0; k < PST_OP_KINDS; k++)
		json_object_set_new(order, pst_op_kind_names[k], routes(c, k));
	r = json_pack("{s:f, s:I, s:f, s:I, s:o}", "deadline", (double)c->deadline_ms / 1000,
		"breaker_after", (json_int_t)c->tuning.breaker_after, "probe",
		(double)c->tuning.probe_ms / 1000, "min_rsa_bits",
		(json_int_t)c->tuning.min_rsa_bits, "operations", order);
	if (r != NULL && c->named.engine != NULL)
		json_object_set_new(r, "engine", json_string(c->named.engine));
	if (r != NULL && c->named.provider != NULL)
		json_object_set_new(r, "provider", json_string(c->named.provider));
	return r;
}

static json_t *
backends(const struct pst_control_deps *d, const struct pst_config_crypto *c)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < c->nbackends; i++)
		json_array_append_new(list, backend(d, &c->backends[i], i));
	return list;
}

/* {name: {total, workers, help}}, as `stats` has them. */
static json_t *
counters(const struct pst_stats *s)
{
	json_t *all = pst_stats_counters(s);
	json_t *group = json_incref(json_object_get(all, "crypto"));

	json_decref(all);
	return group;
}

void
pst_method_crypto(struct pst_rpc_call *c)
{
	const struct pst_control_deps *d = &c->plane->deps;
	const struct pst_config_crypto *cfg = &c->plane->running->crypto;
	struct pst_lane_stats sum = {0};
	json_t *workers = json_array(), *row;
	struct pst_stats s;

	if (!pst_stats_take(d->relay, c->plane->now_ns, &s)) {
		json_decref(workers);
		return;
	}
	for (unsigned w = 0; w < s.n; w++) {
		row = share(cfg, &s.w[w].crypto);
		json_object_set_new(row, "worker", json_integer((json_int_t)w));
		json_array_append_new(workers, row);
		add(&sum, &s.w[w].crypto);
	}
	c->result = json_pack("{s:o, s:o, s:o, s:o, s:o}", "settings", settings(cfg), "backends",
		backends(d, cfg), "total", share(cfg, &sum), "workers", workers, "counters",
		counters(&s));
	pst_stats_fini(&s);
}
