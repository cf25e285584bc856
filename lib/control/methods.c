/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What can be asked over the control socket. A method is a row in the table at the
 * end: name, handler, one line of help. They run on the control thread and read
 * what workers write without locks: each number is a moment old.
 */
#include "rpc.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_version.h>

/* ---- snapshots of the workers ---- */

struct stats {
	unsigned n;
	struct pst_worker_stats *w; /* [n] */
};

static bool
take_stats(const struct pst_control_deps *d, struct stats *s)
{
	s->n = pst_relay_nworkers(d->relay);
	s->w = calloc(s->n + 1, sizeof(*s->w));
	for (unsigned i = 0; s->w != NULL && i < s->n; i++)
		pst_relay_stats(d->relay, i, &s->w[i]);
	return s->w != NULL;
}

static json_t *
number(uint64_t v)
{
	return json_integer((json_int_t)v);
}

/* ---- status ---- */

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

static json_t *
workers(const struct stats *s)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < s->n; i++)
		json_array_append_new(list, worker_row(i, &s->w[i]));
	return list;
}

static json_t *
ports(const struct pst_control_deps *d)
{
	json_t *list = json_array();
	char text[512];

	for (unsigned i = 0; i < pst_fabric_nports(d->fabric); i++) {
		pst_fabric_describe(d->fabric, i, text, sizeof(text));
		json_array_append_new(
			list, json_pack("{s:s, s:s}", "name", pst_fabric_port_name(d->fabric, i),
				      "description", text));
	}
	return list;
}

static json_t *
listeners(const struct pst_config *c)
{
	static const char *const modes[] = {"none", "starttls", "implicit"};
	json_t *list = json_array();
	char at[PST_IP_STRLEN];

	for (unsigned i = 0; i < c->nlisteners; i++) {
		const struct pst_config_listener *l = &c->listeners[i];
		json_array_append_new(list,
			json_pack("{s:s, s:s, s:i, s:s, s:s, s:s}", "name", l->name, "address",
				pst_ip_is_any(&l->at.ip) ? "any" : pst_ip_str(&l->at.ip, at),
				"port", (int)l->at.port, "tls", modes[l->tls], "action",
				c->actions[l->action].name, "hostname", l->hostname));
	}
	return list;
}

static json_t *
libraries(const struct pst_control_deps *d)
{
	json_t *libs = json_pack("{s:s}", "dpdk", rte_version());

	if (d->crypto_library != NULL)
		json_object_set_new(libs, "crypto", json_string(d->crypto_library));
	return libs;
}

static double
uptime(const struct pst_control_deps *d)
{
	/* Three digits are plenty, and keep the line readable. */
	return (double)((pst_now_ns() - d->started_ns) / PST_NS_PER_MS) / 1000;
}

/* What sessions cost: the records' sizes, and OpenSSL's heap for all of them together. */
static json_t *
memory(const struct pst_control_deps *d)
{
	struct pst_relay_memory m;

	pst_relay_memory(d->relay, &m);
	return json_pack("{s:I, s:I, s:I}", "session_bytes", (json_int_t)m.session_bytes,
		"hop_bytes", (json_int_t)m.hop_bytes, "tls_live_bytes",
		(json_int_t)m.tls_live_bytes);
}

static void
status(struct pst_rpc_call *c)
{
	const struct pst_control_deps *d = c->deps;
	uint64_t sessions = 0;
	struct stats s;

	if (!take_stats(d, &s))
		return;
	for (unsigned i = 0; i < s.n; i++)
		sessions += s.w[i].live_sessions;
	c->result = json_pack("{s:s, s:i, s:f, s:o, s:b, s:I, s:I, s:o, s:o, s:o, s:o, s:i, s:i}",
		"version", PST_VERSION, "pid", (int)getpid(), "uptime", uptime(d), "libraries",
		libraries(d), "draining", pst_relay_draining(d->relay), "sessions",
		(json_int_t)sessions, "log_lines_dropped",
		(json_int_t)(d->logger != NULL ? pst_logger_dropped(d->logger) : 0), "memory",
		memory(d), "workers", workers(&s), "ports", ports(d), "listeners",
		listeners(d->config), "next_hops", (int)d->config->nnext_hops, "routes",
		(int)d->config->nroutes);
	if (c->result != NULL && d->config->path != NULL)
		json_object_set_new(c->result, "config", json_string(d->config->path));
	free(s.w);
}

/* ---- stats ---- */

/* One counter: its total, its share by worker, and what it counts. */
static json_t *
counter(const struct stats *s, size_t offset, const char *help)
{
	json_t *each = json_array();
	uint64_t total = 0;

	for (unsigned i = 0; i < s->n; i++) {
		uint64_t v;
		memcpy(&v, (const char *)&s->w[i] + offset, sizeof(v));
		total += v;
		json_array_append_new(each, number(v));
	}
	return json_pack(
		"{s:I, s:o, s:s}", "total", (json_int_t)total, "workers", each, "help", help);
}

static json_t *
group(const struct stats *s, const struct pst_counter_desc *desc, size_t base)
{
	json_t *g = json_object();

	for (; desc->name != NULL; desc++)
		json_object_set_new(g, desc->name, counter(s, base + desc->offset, desc->help));
	return g;
}

static json_t *
loop_group(const struct stats *s)
{
	return json_pack("{s:o, s:o}", "loops",
		counter(s, offsetof(struct pst_worker_stats, loops), "turns of the worker's loop"),
		"busy_loops",
		counter(s, offsetof(struct pst_worker_stats, busy_loops), "turns that found work"));
}

static void
stats(struct pst_rpc_call *c)
{
	struct stats s;

	if (!take_stats(c->deps, &s))
		return;
	c->result = json_pack("{s:o, s:{s:o, s:o, s:o, s:o}}", "workers", workers(&s), "counters",
		"relay",
		group(&s, pst_relay_counter_descs, offsetof(struct pst_worker_stats, relay)), "tcp",
		group(&s, pst_tcp_counter_descs, offsetof(struct pst_worker_stats, tcp)), "net",
		group(&s, pst_net_counter_descs, offsetof(struct pst_worker_stats, net)), "loop",
		loop_group(&s));
	free(s.w);
}

/* ---- help ---- */

static void
help(struct pst_rpc_call *c)
{
	c->result = json_object();
	for (const struct pst_rpc_method *m = pst_rpc_methods; m->name != NULL; m++)
		json_object_set_new(c->result, m->name, json_string(m->help));
}

const struct pst_rpc_method pst_rpc_methods[] = {
	{"status", status, "what runs: versions, ports, listeners, workers, sessions"},
	{"stats", stats, "every counter, in total and by worker"},
	{"help", help, "the methods of this socket"},
	{NULL},
};
