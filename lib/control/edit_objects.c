/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * TLS profiles and actions. Those that come with the gateway are not in the document and
 * cannot be changed; a clone of one is in the document, under a name of its own (R8).
 */
#include "edit.h"

#include <stdio.h>
#include <string.h>

#include "config_scan.h"
#include "rpc.h"

struct kind {
	const char *section, *what;
};
static const struct kind profile = {"tls_profiles", "profile"}, action = {"actions", "action"};

/* ---- who refers to it ---- */

static void
note_user(json_t *list, const char *section, const char *element, const char *key)
{
	char pointer[512];
	size_t len = 0;

	len = pst_config_pointer_add(pointer, len, sizeof(pointer), section, strlen(section));
	len = pst_config_pointer_add(pointer, len, sizeof(pointer), element, strlen(element));
	pst_config_pointer_add(pointer, len, sizeof(pointer), key, strlen(key));
	json_array_append_new(list, json_string(pointer));
}

static bool
names_it(const json_t *object, const char *key, const char *name)
{
	const char *s = json_string_value(json_object_get(object, key));

	return s != NULL && strcmp(s, name) == 0;
}

static void
profile_users(const json_t *doc, const char *name, json_t *list)
{
	static const char *const keys[] = {"starttls_profile", "implicit_profile"};
	const char *user;
	json_t *a;

	json_object_foreach(json_object_get(doc, "actions"), user, a)
	{
		for (size_t i = 0; i < PST_COUNT(keys); i++)
			if (names_it(a, keys[i], name))
				note_user(list, "actions", user, keys[i]);
	}
}

static void
action_users(const json_t *doc, const char *name, json_t *list)
{
	char index[24];
	json_t *l;
	size_t i;

	json_array_foreach(json_object_get(doc, "listeners"), i, l)
	{
		snprintf(index, sizeof(index), "%zu", i);
		if (names_it(l, "action", name))
			note_user(list, "listeners", index, "action");
	}
}

json_t *
pst_edit_users(const json_t *doc, const char *section, const char *name)
{
	json_t *list = json_array();

	if (strcmp(section, profile.section) == 0)
		profile_users(doc, name, list);
	else
		action_users(doc, name, list);
	return list;
}

/* ---- finding ---- */

static bool
is_predefined(const struct kind *k, const char *name)
{
	json_t *all = pst_edit_predefined(k->section);
	bool there = json_object_get(all, name) != NULL;

	json_decref(all);
	return there;
}

static json_t *
section_of(struct pst_edit *e, const struct kind *k)
{
	return pst_edit_object(e, e->next, k->section);
}

static void
unknown(struct pst_edit *e, const struct kind *k, const char *name)
{
	pst_edit_refuse(e, PST_RPC_NOT_FOUND, "there is no %s \"%s\"", k->what, name);
}

/* The parameter's name if it stands in the document and may be changed; NULL: refused. */
static const char *
ours(struct pst_edit *e, const struct kind *k)
{
	const char *name = pst_edit_text(e, "name");

	if (name == NULL || pst_edit_look(e, k->section, name) != NULL)
		return name;
	if (!is_predefined(k, name)) {
		unknown(e, k, name);
		return NULL;
	}
	pst_edit_refuse(e, PST_RPC_CLONE,
		"clone_required: the %s \"%s\" is predefined; `%s clone %s NAME` makes one that "
		"can be changed",
		k->what, name, k->what, name);
	if (e->data != NULL)
		json_object_set_new(e->data, "error", json_string("clone_required"));
	return NULL;
}

/* ---- the edits ---- */

/* RFC 7396: members that are null go, objects are merged, all else is replaced. */
static json_t *
merged(const json_t *target, const json_t *patch)
{
	json_t *out, *v;
	const char *key;

	if (!json_is_object(patch))
		return json_incref((json_t *)patch);
	out = json_is_object(target) ? json_copy((json_t *)target) : json_object();
	json_object_foreach((json_t *)patch, key, v)
	{
		if (json_is_null(v))
			json_object_del(out, key);
		else
			json_object_set_new(out, key, merged(json_object_get(out, key), v));
	}
	return out;
}

/* "set": what shall be different, if it is there. */
static bool
patch_of(struct pst_edit *e, const json_t **patch)
{
	*patch = json_object_get(e->params, "set");
	if (*patch == NULL || json_is_object(*patch))
		return true;
	pst_edit_refuse(e, PST_RPC_PARAMS, "set must be an object of keys and values");
	return false;
}

static void
put(struct pst_edit *e, const struct kind *k, const char *name, const json_t *from,
	const json_t *patch)
{
	json_t *section = section_of(e, k),
	       *one = patch != NULL ? merged(from, patch) : json_incref((json_t *)from);

	if (section == NULL || json_object_set_new(section, name, one) != 0)
		pst_edit_refuse(e, PST_RPC_INTERNAL, "out of memory");
	json_object_set_new(e->told, "name", json_string(name));
}

static void
set(struct pst_edit *e, const struct kind *k)
{
	const char *name = ours(e, k);
	const json_t *patch;

	if (name == NULL || !patch_of(e, &patch))
		return;
	if (patch == NULL)
		pst_edit_refuse(e, PST_RPC_PARAMS, "set must be an object of keys and values");
	else
		put(e, k, name, pst_edit_look(e, k->section, name), patch);
}

static void
copy_as(struct pst_edit *e, const struct kind *k)
{
	const char *from = pst_edit_text(e, "name"),
		   *to = from != NULL ? pst_edit_text(e, "to") : NULL;
	json_t *predefined = pst_edit_predefined(k->section);
	const json_t *source = NULL, *patch;

	if (to != NULL)
		source = pst_edit_look(e, k->section, from);
	if (source == NULL && to != NULL)
		source = json_object_get(predefined, from);
	if (to == NULL || !patch_of(e, &patch)) {
		json_decref(predefined);
		return;
	}
	if (source == NULL)
		unknown(e, k, from);
	else if (pst_edit_look(e, k->section, to) != NULL ||
		 json_object_get(predefined, to) != NULL)
		pst_edit_refuse(e, PST_RPC_CONFLICT, "there is a %s \"%s\" already", k->what, to);
	else
		put(e, k, to, source, patch);
	json_decref(predefined);
}

static void
drop(struct pst_edit *e, const struct kind *k)
{
	const char *name = ours(e, k);
	json_t *users, *section;

	if (name == NULL)
		return;
	users = pst_edit_users(e->doc, k->section, name);
	if (json_array_size(users) > 0) {
		pst_edit_refuse(e, PST_RPC_CONFLICT, "the %s \"%s\" is used by %s%s", k->what, name,
			json_string_value(json_array_get(users, 0)),
			json_array_size(users) > 1 ? " and others" : "");
		json_object_set(e->data, "users", users);
	} else if ((section = section_of(e, k)) != NULL) {
		json_object_del(section, name);
		json_object_set_new(e->told, "name", json_string(name));
	}
	json_decref(users);
}

void
pst_edit_profile_set(struct pst_edit *e)
{
	set(e, &profile);
}

void
pst_edit_profile_clone(struct pst_edit *e)
{
	copy_as(e, &profile);
}

void
pst_edit_profile_remove(struct pst_edit *e)
{
	drop(e, &profile);
}

void
pst_edit_action_set(struct pst_edit *e)
{
	set(e, &action);
}

void
pst_edit_action_clone(struct pst_edit *e)
{
	copy_as(e, &action);
}

void
pst_edit_action_remove(struct pst_edit *e)
{
	drop(e, &action);
}
