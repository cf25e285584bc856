/* SPDX-License-Identifier: BSD-3-Clause */
/* The methods that look at and touch what runs: sessions, draining, the end, the log's level. */
#include <stdlib.h>
#include <string.h>

#include "methods.h"

#define PAGE_MAX     1000
#define PAGE_DEFAULT 100
#define ID_MAX       (sizeof(((struct pst_session_row *)0)->id) - 1)

/* ---- sessions ---- */

static json_t *
session_row(const struct pst_session_row *r, unsigned worker)
{
	return json_pack("{s:s, s:I, s:I, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:f, s:I, s:I, "
			 "s:I}",
		"id", r->id, "worker", (json_int_t)worker, "counter", (json_int_t)r->counter,
		"client", r->client, "listener", r->listener, "state", r->state, "client_tls",
		r->client_tls, "client_cipher", r->client_cipher, "from", r->from, "nexthop",
		r->nexthop, "nexthop_tls", r->nexthop_tls, "age", (double)r->age_ms / 1000, "bytes",
		(json_int_t)r->bytes, "transactions", (json_int_t)r->transactions, "generation",
		(json_int_t)r->generation);
}

/* Addresses are the client's words: what is not UTF-8, also where it was cut, becomes '?'. */
static void
clean(char *s)
{
	json_t *whole = json_string(s);

	for (; whole == NULL && *s != '\0'; s++)
		if ((unsigned char)*s >= 0x80)
			*s = '?';
	json_decref(whole);
}

static unsigned
page(struct pst_rpc_call *c, unsigned worker, uint64_t after, unsigned max, json_t *list)
{
	struct pst_session_row *rows = calloc(max, sizeof(*rows));
	unsigned n = rows == NULL
			     ? 0
			     : pst_relay_sessions(c->plane->deps.relay, worker, after, rows, max);

	for (unsigned i = 0; i < n; i++) {
		clean(rows[i].from);
		clean(rows[i].nexthop);
		json_array_append_new(list, session_row(&rows[i], worker));
	}
	free(rows);
	return n;
}

/* Of one worker, or of each in turn until the limit; `next` says where to go on. */
void
pst_method_sessions(struct pst_rpc_call *c)
{
	unsigned n = pst_relay_nworkers(c->plane->deps.relay);
	uint64_t worker = 0, after = 0, limit = PAGE_DEFAULT;
	bool all = json_object_get(c->params, "worker") == NULL, full;
	json_t *list;

	if (!pst_param_uint(c, "worker", 0, n - 1, &worker) ||
		!pst_param_uint(c, "after", 0, INT64_MAX, &after) ||
		!pst_param_uint(c, "limit", 1, PAGE_MAX, &limit))
		return;
	list = json_array();
	for (;;) {
		unsigned room = (unsigned)limit - (unsigned)json_array_size(list);
		full = page(c, (unsigned)worker, after, room, list) == room;
		if (full || !all || worker + 1 == n)
			break;
		worker++;
		after = 0;
	}
	if (full)
		after = (uint64_t)json_integer_value(json_object_get(
			json_array_get(list, json_array_size(list) - 1), "counter"));
	c->result = json_pack("{s:o}", "sessions", list);
	if (full && c->result != NULL)
		json_object_set_new(c->result, "next",
			json_pack("{s:I, s:I}", "worker", (json_int_t)worker, "after",
				(json_int_t)after));
}

/* A session's id ends in ".worker.counter", the latter in hex (docs/log.md). */
static bool
parse_id(const char *id, unsigned *worker, uint64_t *counter)
{
	const char *dot = strrchr(id, '.'), *before;
	char *end;

	if (dot == NULL || dot == id || dot[1] == '\0')
		return false;
	*counter = strtoull(dot + 1, &end, 16);
	if (*end != '\0')
		return false;
	before = memrchr(id, '.', (size_t)(dot - id));
	if (before == NULL)
		return false;
	*worker = (unsigned)strtoul(before + 1, &end, 10);
	return end == dot;
}

static const char *
session_id(struct pst_rpc_call *c)
{
	const char *id = NULL;

	if (!pst_param_text(c, "id", ID_MAX, &id))
		return NULL;
	if (id == NULL)
		pst_call_fail(c, PST_RPC_PARAMS, "id must be given");
	c->target = id;
	return id;
}

void
pst_method_session(struct pst_rpc_call *c)
{
	struct pst_relay *relay = c->plane->deps.relay;
	const char *id = session_id(c);
	struct pst_session_row row;
	uint64_t counter;
	unsigned worker;

	if (id == NULL)
		return;
	if (parse_id(id, &worker, &counter) && worker < pst_relay_nworkers(relay) && counter > 0 &&
		pst_relay_sessions(relay, worker, counter - 1, &row, 1) == 1 &&
		strcmp(row.id, id) == 0) {
		clean(row.from);
		clean(row.nexthop);
		c->result = session_row(&row, worker);
		return;
	}
	pst_call_fail(c, PST_RPC_NOT_FOUND, "there is no session %s", id);
}

void
pst_method_kill(struct pst_rpc_call *c)
{
	const char *id = session_id(c);
	enum pst_rc rc;

	if (id == NULL)
		return;
	rc = pst_relay_kill(c->plane->deps.relay, id);
	if (rc == PST_OK)
		c->result = json_pack("{s:s}", "killed", id);
	else if (rc == PST_AGAIN)
		pst_call_fail(c, PST_RPC_FAILED, "its worker does not answer");
	else
		pst_call_fail(c, PST_RPC_NOT_FOUND, "there is no session %s", id);
}

/* ---- draining, the end ---- */

static void
say_draining(struct pst_rpc_call *c)
{
	const struct pst_relay *r = c->plane->deps.relay;

	c->result = json_pack("{s:b, s:I}", "draining", pst_relay_draining(r), "sessions",
		(json_int_t)pst_relay_live(r));
}

void
pst_method_drain(struct pst_rpc_call *c)
{
	pst_relay_drain(c->plane->deps.relay);
	say_draining(c);
}

/*
 * Whoever stops sets `stopping` and then drains; here it is the other way round with a
 * second look, so that the drain of a stop is never undone.
 */
void
pst_method_undrain(struct pst_rpc_call *c)
{
	struct pst_relay *r = c->plane->deps.relay;

	if (!c->plane->stopping)
		pst_relay_undrain(r);
	if (c->plane->stopping) {
		pst_relay_drain(r);
		pst_call_fail(c, PST_RPC_FAILED, "the gateway is stopping");
		return;
	}
	say_draining(c);
}

void
pst_method_stop(struct pst_rpc_call *c)
{
	const struct pst_control_deps *d = &c->plane->deps;
	bool now = false;

	if (!pst_param_flag(c, "now", &now))
		return;
	if (d->stop == NULL) {
		pst_call_fail(c, PST_RPC_FAILED, "it cannot be stopped from here");
		return;
	}
	c->plane->stopping = true;
	d->stop(d->stop_arg, now);
	c->result = json_pack("{s:b, s:b, s:I}", "stopping", true, "now", now, "sessions",
		(json_int_t)pst_relay_live(d->relay));
}

/* ---- log level ---- */

void
pst_method_level(struct pst_rpc_call *c)
{
	struct pst_plane *p = c->plane;
	const char *name = pst_level_names[p->level];
	unsigned level = 0;

	if (!pst_param_text(c, "level", 16, &name))
		return;
	while (pst_level_names[level] != NULL && strcmp(pst_level_names[level], name) != 0)
		level++;
	if (pst_level_names[level] == NULL) {
		pst_call_fail(c, PST_RPC_PARAMS, "level must be error, warn, info or debug");
		return;
	}
	c->target = name;
	p->level = (enum pst_log_level)level;
	if (p->deps.logger != NULL)
		pst_logger_set_level(p->deps.logger, p->level);
	c->result = json_pack(
		"{s:s, s:s}", "level", name, "configured", pst_level_names[p->running->log.level]);
}
