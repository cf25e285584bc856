/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The methods that change a part of what runs: an edit (edit.h) makes the document that
 * follows, and it is published as one that was pushed. All of it is one turn of the
 * control thread, so no other change comes between reading and publishing.
 */
#include <string.h>

#include "config_scan.h"
#include "config_walk.h"
#include "edit.h"
#include "methods.h"

/* Who changed what, for the audit line: what the answer names, else what was asked for. */
static void
note_target(struct pst_rpc_call *c)
{
	static const char *const names[] = {"id", "name", "entry"};

	for (size_t i = 0; i < PST_COUNT(names) && c->target == NULL; i++) {
		const json_t *told = json_object_get(c->result, names[i]),
			     *asked = json_object_get(c->params, names[i]);

		c->target = json_string_value(told != NULL ? told : asked);
	}
}

/* What the parser would not read again must not come to run. */
static bool
too_large(struct pst_rpc_call *c, const struct pst_edit *e)
{
	if (json_dumpb(e->next, NULL, 0, JSON_COMPACT) <= PST_CONFIG_SIZE_MAX)
		return false;
	pst_call_fail(c, PST_RPC_CONFIG, "the configuration would be larger than %u bytes",
		PST_CONFIG_SIZE_MAX);
	return true;
}

/* A fault of what was imported is in a line of the file. */
static void
add_lines(struct pst_rpc_call *c, const struct pst_edit *e)
{
	json_t *fault;
	size_t i;

	json_array_foreach(json_object_get(c->data, "faults"), i, fault)
	{
		const char *pointer = json_string_value(json_object_get(fault, "pointer"));
		int line = pointer != NULL ? pst_edit_import_line(e, pointer) : 0;

		if (line > 0)
			json_object_set_new(fault, "line", json_integer(line));
	}
}

static void
publish(struct pst_rpc_call *c, struct pst_edit *e, const char *note, bool dry)
{
	struct pst_proposal prop = {.by = c->caller->peer, .via = c->method->name, .note = note};
	struct pst_outcome v;

	if (too_large(c, e))
		return;
	prop.config = pst_config_from_json(e->next, c->plane->deps.config->path, &prop.report);
	if (dry)
		pst_plane_check(c->plane, &prop, &v);
	else
		pst_plane_publish(c->plane, &prop, &v);
	pst_call_conclude(c, &prop, &v);
	if (c->result != NULL)
		json_object_update(c->result, e->told);
	else
		add_lines(c, e);
}

void
pst_method_edit(struct pst_rpc_call *c)
{
	struct pst_edit e = {.doc = pst_plane_document(c->plane), .params = c->params};
	const char *note = NULL;
	bool dry = false;

	if (!pst_call_generation(c) || !pst_param_text(c, "note", PST_NOTE_MAX, &note) ||
		!pst_param_flag(c, "dry_run", &dry))
		return;
	pst_edit_run(&e, c->method->edit);
	if (e.code == 0) {
		publish(c, &e, note, dry);
	} else {
		c->code = e.code;
		c->data = json_incref(e.data);
		json_object_set_new(c->data, "generation",
			json_integer((json_int_t)pst_plane_generation(c->plane)));
	}
	note_target(c);
	pst_edit_fini(&e);
}
