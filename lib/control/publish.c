/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How a configuration comes to run:
 *
 *   parsed already   faults: refused
 *   fixed at start   dataplane, back-ends of crypto; differs in meaning: restart_required
 *   no difference    nothing to do, unless forced (a reload: files may have changed)
 *   log, socket, metrics prepared; one cannot: the others are undone, refused
 *   relay publishes  it builds everything first; a fault: all is undone, refused
 *   committed, noted in the history, logged
 *
 * So a refused configuration has changed nothing, and says where it is wrong.
 */
#include <stdlib.h>
#include <string.h>

#include "config_walk.h"
#include "plane.h"
#include "rpc.h"
#include "save.h"

static void
needs_restart(void *report, const char *pointer)
{
	pst_config_report_add(
		report, pointer, "restart_required: this cannot change while the gateway runs");
}

static void
relay_fault(void *report, const char *pointer, const char *text)
{
	pst_config_report_add(report, pointer, "%s", text);
}

/* Everything that can be said without preparing anything. */
static bool
acceptable(struct pst_plane *p, struct pst_proposal *prop, struct pst_outcome *v)
{
	if (prop->config == NULL) {
		v->code = PST_RPC_CONFIG;
		return false;
	}
	pst_diff(&v->diff, pst_plane_document(p), prop->config->document);
	if (v->diff.changes == NULL) {
		v->code = PST_RPC_INTERNAL;
		return false;
	}
	/* What the application's drivers say, in the same breath as what needs a restart. */
	if (p->deps.check != NULL)
		p->deps.check(prop->config, &prop->report);
	if (prop->report.n > 0)
		v->code = PST_RPC_CONFIG;
	if (pst_config_compare(p->running, prop->config, needs_restart, &prop->report) > 0)
		v->code = PST_RPC_RESTART;
	return v->code == 0;
}

void
pst_plane_check(struct pst_plane *p, struct pst_proposal *prop, struct pst_outcome *v)
{
	*v = (struct pst_outcome){0};
	if (!acceptable(p, prop, v))
		return;
	(void)pst_relay_check(prop->config, relay_fault, &prop->report);
	if (pst_apply_prepare(p, prop->config, &prop->report))
		pst_apply_abandon(p, prop->config);
	if (prop->report.n > 0)
		v->code = PST_RPC_CONFIG;
	else
		pst_config_lint(prop->config, &prop->report);
}

/* ---- publishing ---- */

static void
drop_row(struct pst_generation *g)
{
	free(g->note);
	free(g->summary);
	json_decref(g->doc);
}

/* The row of the history; all memory is taken before anything changes. */
static bool
make_row(struct pst_generation *g, const struct pst_proposal *prop, const struct pst_outcome *v)
{
	char *text = pst_document_dump(prop->config->document);

	*g = (struct pst_generation){.wall_ns = pst_plane_wall_ns(),
		.by = prop->by,
		.via = prop->via,
		.note = prop->note != NULL ? strdup(prop->note) : NULL,
		.summary = pst_diff_summary(&v->diff),
		.doc = json_incref(prop->config->document),
		.bytes = text != NULL ? strlen(text) : 0};
	bool dumped = text != NULL;

	free(text);
	if (dumped && g->summary != NULL && (g->note != NULL || prop->note == NULL))
		return true;
	drop_row(g);
	return false;
}

static bool
relay_takes(struct pst_plane *p, struct pst_proposal *prop, struct pst_outcome *v)
{
	if (pst_relay_publish(p->deps.relay, prop->config, relay_fault, &prop->report, &v->built) ==
		PST_OK)
		return true;
	if (prop->report.n == 0)
		pst_config_report_add(&prop->report, "", "the relay could not build it");
	return false;
}

/* Nobody reads the answer of a reload: the log has the warnings too, the first few. */
static void
log_warnings(struct pst_plane *p, const struct pst_config_report *r)
{
	const unsigned max = 10;

	for (unsigned i = 0; i < r->nwarnings && i < max; i++)
		pst_logf(p->log, PST_LOG_WARN, "config", "warning: %s: %s", r->warnings[i].pointer,
			r->warnings[i].text);
	if (r->nwarnings > max)
		pst_logf(p->log, PST_LOG_WARN, "config", "%u more warnings: see `config check`",
			r->nwarnings - max);
}

static void
settle(struct pst_plane *p, struct pst_proposal *prop, struct pst_outcome *v,
	struct pst_generation *row)
{
	pst_config_lint(prop->config, &prop->report);
	pst_apply_commit(p, prop->config);
	p->running = prop->config;
	prop->config = NULL; /* the relay's */
	row->number = v->built.generation;
	pst_history_add(&p->history, row);
	v->published = true;
	p->old_in_use = 1; /* until reclaim knows better */
	pst_logf(p->log, PST_LOG_INFO, "config",
		"generation %llu runs (%s, uid %u): %s; TLS contexts built %u, shared %u",
		(unsigned long long)row->number, row->via, (unsigned)row->by.uid, row->summary,
		v->built.tls_built, v->built.tls_shared);
	if (strcmp(prop->via, "reload") == 0)
		log_warnings(p, &prop->report);
}

void
pst_plane_publish(struct pst_plane *p, struct pst_proposal *prop, struct pst_outcome *v)
{
	struct pst_generation row;

	*v = (struct pst_outcome){0};
	if (!acceptable(p, prop, v) || (v->diff.total == 0 && !prop->force))
		goto out;
	if (!make_row(&row, prop, v)) {
		v->code = PST_RPC_INTERNAL;
		goto out;
	}
	v->code = PST_RPC_CONFIG;
	if (!pst_apply_prepare(p, prop->config, &prop->report)) {
		drop_row(&row);
		goto out;
	}
	if (!relay_takes(p, prop, v)) {
		pst_apply_abandon(p, prop->config);
		drop_row(&row);
		goto out;
	}
	v->code = 0;
	settle(p, prop, v, &row);
out:
	if (v->code != 0) {
		pst_metrics_refused(p->metrics);
		pst_logf(p->log, PST_LOG_WARN, "config",
			"refused (%s, uid %u): %u faults; the first: %s: %s", prop->via,
			(unsigned)prop->by.uid, prop->report.n,
			prop->report.n > 0 ? prop->report.faults[0].pointer : "",
			prop->report.n > 0 ? prop->report.faults[0].text : "out of memory");
	}
}

void
pst_plane_reload(struct pst_plane *p, struct pst_proposal *prop, struct pst_outcome *v)
{
	prop->via = "reload";
	prop->force = true;
	if (p->deps.config->path == NULL)
		pst_config_report_add(&prop->report, "", "there is no file to read");
	else
		prop->config = pst_config_load(p->deps.config->path, &prop->report);
	pst_plane_publish(p, prop, v);
}

void
pst_proposal_fini(struct pst_proposal *prop, struct pst_outcome *v)
{
	pst_config_free(prop->config);
	pst_config_report_fini(&prop->report);
	pst_diff_fini(&v->diff);
}
