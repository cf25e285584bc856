/* SPDX-License-Identifier: BSD-3-Clause */
#include "edit.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config_walk.h"
#include "rpc.h"

void
pst_edit_refuse(struct pst_edit *e, int code, const char *fmt, ...)
{
	va_list ap;

	e->code = code;
	json_decref(e->data);
	va_start(ap, fmt);
	e->data = pst_rpc_reason(fmt, ap);
	va_end(ap);
}

static bool
wrong(struct pst_edit *e, const char *name, const char *what)
{
	pst_edit_refuse(e, PST_RPC_PARAMS, "%s must be %s", name, what);
	if (e->data != NULL)
		json_object_set_new(e->data, "parameter", json_string(name));
	return false;
}

bool
pst_edit_optional(struct pst_edit *e, const char *name, const char **v)
{
	const json_t *p = json_object_get(e->params, name);

	if (p == NULL)
		return true;
	*v = json_string_value(p);
	return *v != NULL || wrong(e, name, "a string");
}

const char *
pst_edit_text(struct pst_edit *e, const char *name)
{
	const char *v = NULL;

	if (!pst_edit_optional(e, name, &v))
		return NULL;
	if (v == NULL || v[0] == '\0') {
		wrong(e, name, "a string that says something");
		return NULL;
	}
	return v;
}

static json_t *
owned(struct pst_edit *e, json_t *parent, const char *key, json_t *fresh)
{
	const json_t *is = json_object_get(parent, key);
	json_t *copy = is != NULL ? json_copy((json_t *)is) : json_incref(fresh);

	json_decref(fresh);
	if (copy != NULL && json_object_set_new(parent, key, copy) == 0)
		return copy;
	pst_edit_refuse(e, PST_RPC_INTERNAL, "out of memory");
	return NULL;
}

json_t *
pst_edit_object(struct pst_edit *e, json_t *parent, const char *key)
{
	return owned(e, parent, key, json_object());
}

json_t *
pst_edit_array(struct pst_edit *e, json_t *parent, const char *key)
{
	return owned(e, parent, key, json_array());
}

const json_t *
pst_edit_look(const struct pst_edit *e, const char *section, const char *key)
{
	return json_object_get(json_object_get(e->doc, section), key);
}

json_t *
pst_edit_predefined(const char *section)
{
	const struct pst_key *k = pst_config_type.keys;
	json_t *all = NULL;

	while (k->name != NULL && strcmp(k->name, section) != 0)
		k++;
	if (k->name != NULL && k->predefined != NULL)
		all = json_loads(k->predefined, 0, NULL);
	return all != NULL ? all : json_object();
}

void
pst_edit_run(struct pst_edit *e, pst_edit_fn *fn)
{
	e->next = json_copy((json_t *)e->doc);
	e->told = json_object();
	if (e->next == NULL || e->told == NULL)
		pst_edit_refuse(e, PST_RPC_INTERNAL, "out of memory");
	else
		fn(e);
	if (e->code == 0)
		return;
	json_decref(e->next);
	json_decref(e->told);
	e->next = e->told = NULL;
}

void
pst_edit_fini(struct pst_edit *e)
{
	json_decref(e->next);
	json_decref(e->told);
	json_decref(e->data);
	json_decref(e->lines);
	e->next = e->told = e->data = e->lines = NULL;
}
