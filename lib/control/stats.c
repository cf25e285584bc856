/* SPDX-License-Identifier: BSD-3-Clause */
#include "stats.h"

#include <stdlib.h>
#include <string.h>

static const struct pst_counter_desc loop_descs[] = {
	{"loops", "turns of the worker's loop", offsetof(struct pst_worker_stats, loops)},
	{"busy_loops", "turns that found work", offsetof(struct pst_worker_stats, busy_loops)},
	{NULL}};

static const struct group {
	const char *name;
	const struct pst_counter_desc *descs;
	size_t base; /* of the counters in struct pst_worker_stats */
} groups[] = {
	{"relay", pst_relay_counter_descs, offsetof(struct pst_worker_stats, relay)},
	{"tcp", pst_tcp_counter_descs, offsetof(struct pst_worker_stats, tcp)},
	{"net", pst_net_counter_descs, offsetof(struct pst_worker_stats, net)},
	{"crypto", pst_lane_counter_descs, offsetof(struct pst_worker_stats, crypto.c)},
	{"loop", loop_descs, 0},
};

bool
pst_stats_take(struct pst_relay *r, uint64_t now_ns, struct pst_stats *s)
{
	s->at_ns = now_ns;
	s->n = pst_relay_nworkers(r);
	s->w = calloc(s->n + 1, sizeof(*s->w));
	for (unsigned i = 0; s->w != NULL && i < s->n; i++)
		pst_relay_stats(r, i, &s->w[i]);
	pst_relay_names(r, &s->names, &s->names_cached, &s->names_open);
	return s->w != NULL;
}

void
pst_stats_fini(struct pst_stats *s)
{
	free(s->w);
	*s = (struct pst_stats){0};
}

uint64_t
pst_stats_sessions(const struct pst_stats *s)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < s->n; i++)
		n += s->w[i].live_sessions;
	return n;
}

static uint64_t
value(const struct pst_stats *s, unsigned worker, size_t offset)
{
	uint64_t v;

	memcpy(&v, (const char *)&s->w[worker] + offset, sizeof(v));
	return v;
}

/* ---- counters ---- */

/* One counter: its total, its share by worker, and what it counts. */
static json_t *
counter(const struct pst_stats *s, size_t offset, const char *help)
{
	json_t *each = json_array();
	uint64_t total = 0;

	for (unsigned i = 0; i < s->n; i++) {
		uint64_t v = value(s, i, offset);
		total += v;
		json_array_append_new(each, json_integer((json_int_t)v));
	}
	return json_pack(
		"{s:I, s:o, s:s}", "total", (json_int_t)total, "workers", each, "help", help);
}

static uint64_t
name_value(const struct pst_stats *s, size_t offset)
{
	uint64_t v;

	memcpy(&v, (const char *)&s->names + offset, sizeof(v));
	return v;
}

static json_t *
names_counters(const struct pst_stats *s)
{
	json_t *g = json_object();

	for (const struct pst_counter_desc *d = pst_names_counter_descs; d->name != NULL; d++)
		json_object_set_new(g, d->name,
			json_pack("{s:I, s:[], s:s}", "total", (json_int_t)name_value(s, d->offset),
				"workers", "help", d->help));
	return g;
}

json_t *
pst_stats_counters(const struct pst_stats *s)
{
	json_t *all = json_object(), *g;

	for (size_t i = 0; i < PST_COUNT(groups); i++) {
		json_object_set_new(all, groups[i].name, g = json_object());
		for (const struct pst_counter_desc *d = groups[i].descs; d->name != NULL; d++)
			json_object_set_new(
				g, d->name, counter(s, groups[i].base + d->offset, d->help));
	}
	json_object_set_new(all, "names", names_counters(s));
	return all;
}

static uint64_t
growth(const struct pst_stats *now, const struct pst_stats *before, size_t offset)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < now->n && i < before->n; i++)
		sum += value(now, i, offset) - value(before, i, offset);
	return sum;
}

static json_t *
names_growth(const struct pst_stats *now, const struct pst_stats *before)
{
	json_t *g = json_object();

	for (const struct pst_counter_desc *d = pst_names_counter_descs; d->name != NULL; d++) {
		uint64_t n = name_value(now, d->offset) - name_value(before, d->offset);
		if (n != 0)
			json_object_set_new(g, d->name, json_integer((json_int_t)n));
	}
	return g;
}

json_t *
pst_stats_growth(const struct pst_stats *now, const struct pst_stats *before)
{
	json_t *all = json_object(), *g;

	for (size_t i = 0; i < PST_COUNT(groups); i++) {
		json_object_set_new(all, groups[i].name, g = json_object());
		for (const struct pst_counter_desc *d = groups[i].descs; d->name != NULL; d++) {
			uint64_t n = growth(now, before, groups[i].base + d->offset);
			if (n != 0)
				json_object_set_new(g, d->name, json_integer((json_int_t)n));
		}
	}
	json_object_set_new(all, "names", names_growth(now, before));
	return all;
}

/* ---- workers ---- */

static json_t *
worker_row(unsigned i, const struct pst_worker_stats *s)
{
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "worker",
		(json_int_t)i, "sessions", (json_int_t)s->live_sessions, "pooled_connections",
		(json_int_t)s->pooled_connections, "tcp_connections", (json_int_t)s->usage.conns,
		"tcp_half_open", (json_int_t)s->usage.half_open, "tcp_time_wait",
		(json_int_t)s->usage.time_wait, "tcp_max_connections",
		(json_int_t)s->usage.max_conns, "tcb_bytes", (json_int_t)s->usage.tcb_bytes,
		"mbufs_in_use", (json_int_t)s->mbufs_in_use, "mbufs_total",
		(json_int_t)s->mbufs_total, "loops", (json_int_t)s->loops, "busy_loops",
		(json_int_t)s->busy_loops);
}

static double
busy_share(const struct pst_worker_stats *now, const struct pst_worker_stats *before)
{
	uint64_t busy = now->time.busy - before->time.busy;
	uint64_t rest =
		now->time.empty - before->time.empty + now->time.asleep - before->time.asleep;

	return busy == 0 ? 0 : (double)busy / (double)(busy + rest);
}

/* What the system says, in cores; more than busy_share by the polls and the sleeps. */
static double
cpu_share(const struct pst_worker_stats *now, const struct pst_worker_stats *before, uint64_t ns)
{
	uint64_t cpu = now->time.cpu_ns - before->time.cpu_ns;

	return ns == 0 || now->time.cpu_ns == 0 ? 0 : (double)cpu / (double)ns;
}

json_t *
pst_stats_workers(const struct pst_stats *s, const struct pst_stats *before)
{
	json_t *list = json_array(), *row;

	for (unsigned i = 0; i < s->n; i++) {
		row = worker_row(i, &s->w[i]);
		if (row != NULL && before != NULL && i < before->n) {
			json_object_set_new(
				row, "busy", json_real(busy_share(&s->w[i], &before->w[i])));
			json_object_set_new(row, "cpu",
				json_real(cpu_share(
					&s->w[i], &before->w[i], s->at_ns - before->at_ns)));
		}
		json_array_append_new(list, row);
	}
	return list;
}
