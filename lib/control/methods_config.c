/* SPDX-License-Identifier: BSD-3-Clause */
/* The methods `config.*`: JSON around publish.c, history.c, diff.c and save.c. */
#include <stdlib.h>
#include <string.h>

#include "config_scan.h"
#include "config_walk.h"
#include "diff.h"
#include "methods.h"
#include "save.h"

/* ---- verdicts ---- */

/* Texts may quote what need not be UTF-8: then the fault is told without the quotation. */
static json_t *
fault_row(const char *pointer, const char *text)
{
	json_t *row = json_pack("{s:s, s:s}", "pointer", pointer, "text", text);

	return row != NULL ? row : json_pack("{s:s, s:s}", "pointer", "", "text", "is not UTF-8");
}

static json_t *
note_list(const struct pst_config_note *notes, unsigned n)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < n; i++)
		json_array_append_new(list, fault_row(notes[i].pointer, notes[i].text));
	return list;
}

static void
refuse(struct pst_rpc_call *c, const struct pst_proposal *prop, const struct pst_outcome *v)
{
	c->code = v->code;
	c->data = json_pack("{s:s, s:I, s:o}", "reason",
		v->code == PST_RPC_RESTART ? "restart_required" : "nothing was changed",
		"generation", (json_int_t)pst_plane_generation(c->plane), "faults",
		note_list(prop->report.faults, prop->report.n));
}

static void
accept(struct pst_rpc_call *c, const struct pst_proposal *prop, const struct pst_outcome *v)
{
	c->result = json_pack("{s:I, s:I, s:O, s:o}", "generation",
		(json_int_t)pst_plane_generation(c->plane), "changes_total",
		(json_int_t)v->diff.total, "changes", v->diff.changes, "warnings",
		note_list(prop->report.warnings, prop->report.nwarnings));
}

void
pst_call_conclude(struct pst_rpc_call *c, struct pst_proposal *prop, struct pst_outcome *v)
{
	if (v->code != 0) {
		refuse(c, prop, v);
	} else {
		accept(c, prop, v);
		json_object_set_new(c->result, "published", json_boolean(v->published));
		json_object_set_new(c->result, "tls_built", json_integer(v->built.tls_built));
		json_object_set_new(c->result, "tls_shared", json_integer(v->built.tls_shared));
	}
	pst_proposal_fini(prop, v);
}

/* ---- what is proposed ---- */

bool
pst_call_generation(struct pst_rpc_call *c)
{
	uint64_t runs = pst_plane_generation(c->plane), want = runs;

	if (!pst_param_uint(c, "if_generation", 0, INT64_MAX, &want))
		return false;
	if (want == runs)
		return true;
	c->code = PST_RPC_GENERATION;
	c->data = json_pack("{s:s, s:I}", "reason", "the configuration was changed in the meantime",
		"generation", (json_int_t)runs);
	return false;
}

/* "config": the document; or "text": its text, for faults with line and column. */
static bool
read_proposal(struct pst_rpc_call *c, struct pst_proposal *prop)
{
	json_t *doc = json_object_get(c->params, "config");
	const json_t *text = json_object_get(c->params, "text");
	const char *path = c->plane->deps.config->path;

	if ((doc == NULL) == (text == NULL) || (text != NULL && !json_is_string(text))) {
		pst_call_fail(c, PST_RPC_PARAMS,
			"the configuration is given as \"config\", or as \"text\", a string");
		return false;
	}
	prop->by = c->caller->peer;
	if (doc != NULL)
		prop->config = pst_config_from_json(doc, path, &prop->report);
	else
		prop->config = pst_config_parse(
			json_string_value(text), json_string_length(text), path, &prop->report);
	return true;
}

void
pst_method_check(struct pst_rpc_call *c)
{
	struct pst_proposal prop = {0};
	struct pst_outcome v;

	if (!read_proposal(c, &prop))
		return;
	pst_plane_check(c->plane, &prop, &v);
	if (v.code != 0)
		refuse(c, &prop, &v);
	else
		accept(c, &prop, &v);
	pst_proposal_fini(&prop, &v);
}

void
pst_method_push(struct pst_rpc_call *c)
{
	struct pst_proposal prop = {.via = "push"};
	struct pst_outcome v;

	if (!pst_call_generation(c) || !pst_param_text(c, "note", PST_NOTE_MAX, &prop.note) ||
		!read_proposal(c, &prop))
		return;
	pst_plane_publish(c->plane, &prop, &v);
	pst_call_conclude(c, &prop, &v);
}

void
pst_method_reload(struct pst_rpc_call *c)
{
	struct pst_proposal prop = {.by = c->caller->peer};
	struct pst_outcome v;

	if (!pst_call_generation(c))
		return;
	pst_plane_reload(c->plane, &prop, &v);
	pst_call_conclude(c, &prop, &v);
}

static const struct pst_generation *kept(struct pst_rpc_call *c, uint64_t number);

/* "to": that generation; else the newest that was not what runs. */
static const struct pst_generation *
earlier(struct pst_rpc_call *c)
{
	const struct pst_generation *g;
	uint64_t to = 0;

	if (!pst_param_uint(c, "to", 0, INT64_MAX, &to))
		return NULL;
	if (json_object_get(c->params, "to") != NULL)
		return kept(c, to);
	g = pst_history_other(&c->plane->history, pst_plane_document(c->plane));
	if (g == NULL)
		pst_call_fail(
			c, PST_RPC_NOT_FOUND, "there is no other configuration to go back to");
	return g;
}

void
pst_method_rollback(struct pst_rpc_call *c)
{
	const struct pst_generation *before;
	struct pst_proposal prop = {.by = c->caller->peer, .via = "rollback"};
	struct pst_outcome v;
	char note[64];

	if (!pst_call_generation(c) || (before = earlier(c)) == NULL)
		return;
	snprintf(note, sizeof(note), "back to generation %llu", (unsigned long long)before->number);
	prop.note = note;
	prop.config = pst_config_from_json(before->doc, c->plane->deps.config->path, &prop.report);
	pst_plane_publish(c->plane, &prop, &v);
	pst_call_conclude(c, &prop, &v);
}

/* ---- looking ---- */

void
pst_method_show(struct pst_rpc_call *c)
{
	c->result = json_incref((json_t *)pst_plane_document(c->plane));
}

static json_t *
history_row(const struct pst_generation *g)
{
	return json_pack("{s:I, s:f, s:s, s:I, s:I, s:I, s:s?, s:s?, s:b}", "generation",
		(json_int_t)g->number, "time", (double)(g->wall_ns / PST_NS_PER_MS) / 1000, "via",
		g->via, "uid", (json_int_t)g->by.uid, "gid", (json_int_t)g->by.gid, "pid",
		(json_int_t)g->by.pid, "note", g->note, "summary", g->summary, "kept",
		g->doc != NULL);
}

void
pst_method_history(struct pst_rpc_call *c)
{
	const struct pst_history *h = &c->plane->history;
	json_t *list = json_array();

	for (unsigned i = h->n; i-- > 0;)
		json_array_append_new(list, history_row(&h->rows[i]));
	c->result = json_pack("{s:I, s:o}", "generation",
		(json_int_t)pst_plane_generation(c->plane), "generations", list);
}

static const struct pst_generation *
kept(struct pst_rpc_call *c, uint64_t number)
{
	const struct pst_generation *g = pst_history_find(&c->plane->history, number);

	if (g != NULL && g->doc != NULL)
		return g;
	pst_call_fail(
		c, PST_RPC_NOT_FOUND, "generation %llu is not kept", (unsigned long long)number);
	return NULL;
}

/* Without `from`: what the last change was. */
void
pst_method_diff(struct pst_rpc_call *c)
{
	const struct pst_history *h = &c->plane->history;
	uint64_t to = pst_plane_generation(c->plane),
		 from = h->rows[h->n >= 2 ? h->n - 2 : 0].number;
	const struct pst_generation *a, *b;
	struct pst_diff d;

	if (!pst_param_uint(c, "from", 0, INT64_MAX, &from) ||
		!pst_param_uint(c, "to", 0, INT64_MAX, &to) || (a = kept(c, from)) == NULL ||
		(b = kept(c, to)) == NULL)
		return;
	pst_diff(&d, a->doc, b->doc);
	c->result = json_pack("{s:I, s:I, s:I, s:O}", "from", (json_int_t)from, "to",
		(json_int_t)to, "changes_total", (json_int_t)d.total, "changes", d.changes);
	pst_diff_fini(&d);
}

/* ---- the file ---- */

void
pst_method_save(struct pst_rpc_call *c)
{
	const char *path = c->plane->deps.config->path;
	char err[512], *text;

	if (!pst_call_generation(c))
		return;
	if (path == NULL) {
		pst_call_fail(c, PST_RPC_FAILED, "the configuration did not come from a file");
		return;
	}
	text = pst_document_file(pst_plane_document(c->plane));
	if (text == NULL)
		return;
	if (strlen(text) > PST_CONFIG_SIZE_MAX)
		pst_call_fail(c, PST_RPC_FAILED, "larger than %u bytes: it could not be read again",
			PST_CONFIG_SIZE_MAX);
	else if (pst_document_save(path, text, err, sizeof(err)))
		c->result = json_pack("{s:s, s:I, s:I}", "file", path, "generation",
			(json_int_t)pst_plane_generation(c->plane), "bytes",
			(json_int_t)strlen(text));
	else
		pst_call_fail(c, PST_RPC_FAILED, "%s", err);
	free(text);
}
