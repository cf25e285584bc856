/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The methods `status` and `stats`. They run on the control thread and read what
 * workers write without locks: each number is a moment old.
 */
#include <unistd.h>

#include <rte_version.h>

#include "methods.h"
#include "stats.h"

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
	return json_pack("{s:I, s:I, s:I, s:I}", "session_bytes", (json_int_t)m.session_bytes,
		"hop_bytes", (json_int_t)m.hop_bytes, "tls_live_bytes",
		(json_int_t)m.tls_live_bytes, "addresses_uncounted",
		(json_int_t)m.addresses_uncounted);
}

static void
generations(const struct pst_plane *p, json_t *result)
{
	json_object_set_new(
		result, "generation", json_integer((json_int_t)pst_plane_generation(p)));
	json_object_set_new(result, "old_generations_in_use", json_integer(p->old_in_use));
	json_object_set_new(result, "log_level", json_string(pst_level_names[p->level]));
	if (p->deps.config->path != NULL)
		json_object_set_new(result, "config", json_string(p->deps.config->path));
}

/* What policy is made of, and what DNS does for it. */
static json_t *
policy(const struct pst_config *c)
{
	const struct pst_config_policy *p = &c->policy;

	return json_pack("{s:s, s:i, s:i, s:i, s:i, s:b}", "model",
		c->model != NULL ? c->model : "", "rules", (int)p->nrules, "map_entries",
		(int)p->nmap, "starttls_never", (int)p->nnever, "starttls_required",
		(int)p->nrequired, "broken_tls", p->broken_tls.enabled);
}

/* A back-end's breaker is open if any worker's is. */
static json_t *
crypto(const struct pst_config_crypto *c, const struct pst_stats *s)
{
	const char *named = c->named.engine != NULL ? c->named.engine : c->named.provider;
	unsigned open = 0;
	json_t *r;

	for (unsigned b = 0; b < c->nbackends; b++) {
		bool any = false;

		for (unsigned w = 0; w < s->n; w++)
			any = any || s->w[w].crypto.backends[b].open;
		open += any;
	}
	r = json_pack("{s:i, s:i}", "backends", (int)c->nbackends, "breakers_open", (int)open);
	if (r != NULL && named != NULL)
		json_object_set_new(r, "named", json_string(named));
	return r;
}

static json_t *
names(const struct pst_config *c, const struct pst_stats *s)
{
	return json_pack("{s:b, s:i, s:i}", "on", c->dns.on, "cached", (int)s->names_cached, "open",
		(int)s->names_open);
}

void
pst_method_status(struct pst_rpc_call *c)
{
	const struct pst_control_deps *d = &c->plane->deps;
	const struct pst_config *cfg = c->plane->running;
	struct pst_stats s;

	if (!pst_stats_take(d->relay, c->plane->now_ns, &s))
		return;
	c->result = json_pack("{s:s, s:i, s:f, s:o, s:b, s:I, s:I, s:o, s:o, s:o, s:o, s:i, s:i}",
		"version", PST_VERSION, "pid", (int)getpid(), "uptime", uptime(d), "libraries",
		libraries(d), "draining", pst_relay_draining(d->relay), "sessions",
		(json_int_t)pst_stats_sessions(&s), "log_lines_dropped",
		(json_int_t)(d->logger != NULL ? pst_logger_dropped(d->logger) : 0), "memory",
		memory(d), "workers", pst_stats_workers(&s, NULL), "ports", ports(d), "listeners",
		listeners(cfg), "next_hops", (int)cfg->nnext_hops, "routes", (int)cfg->nroutes);
	if (c->result != NULL) {
		generations(c->plane, c->result);
		json_object_set_new(c->result, "policy", policy(cfg));
		json_object_set_new(c->result, "names", names(cfg, &s));
		json_object_set_new(c->result, "crypto", crypto(&cfg->crypto, &s));
	}
	pst_stats_fini(&s);
}

void
pst_method_stats(struct pst_rpc_call *c)
{
	struct pst_stats s;

	if (!pst_stats_take(c->plane->deps.relay, c->plane->now_ns, &s))
		return;
	c->result = json_pack("{s:o, s:o}", "workers", pst_stats_workers(&s, NULL), "counters",
		pst_stats_counters(&s));
	pst_stats_fini(&s);
}
