/* SPDX-License-Identifier: BSD-3-Clause */
/* The verbs `profile ...` and `action ...`. */
#include <stdlib.h>
#include <string.h>

#include "ctl.h"

/* ---- KEY=VALUE ---- */

/*
 * VALUE is JSON if it is an object, an array, a string in quotes, true, false, null or a whole
 * number; else a string as it stands, so that min=1.2 is the version and not a number.
 */
static json_t *
value_of(const char *text)
{
	json_t *v = json_loads(text, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);

	if (v != NULL && !json_is_real(v))
		return v;
	json_decref(v);
	return json_string(text);
}

/* Other words for a key's first part: who is meant is the peer on that side (W10). */
static const char *
part_name(const char *part)
{
	if (strcmp(part, "client") == 0)
		return "sender";
	return strcmp(part, "server") == 0 ? "recipient" : part;
}

/* Puts v at "a.b" below patch; takes over v. */
static bool
put_key(json_t *patch, char *key, json_t *v)
{
	char *dot = strchr(key, '.');
	json_t *inner;

	if (dot == NULL)
		return json_object_set_new(patch, key, v) == 0;
	*dot = '\0';
	inner = json_object_get(patch, part_name(key));
	if (!json_is_object(inner)) {
		inner = json_object();
		json_object_set_new(patch, part_name(key), inner);
	}
	return json_object_set_new(inner, dot + 1, v) == 0;
}

/* The arguments KEY=VALUE as an object; NULL: one of them is none. */
static json_t *
patch_of(char **arg, int n)
{
	json_t *patch = json_object();

	for (int i = 0; i < n; i++) {
		char *eq = strchr(arg[i], '=');
		bool ok = eq != NULL && eq != arg[i];

		if (ok) {
			*eq = '\0';
			ok = put_key(patch, arg[i], value_of(eq + 1));
		}
		if (!ok) {
			fprintf(stderr, "posternctl: \"%s\" is not KEY=VALUE in UTF-8\n", arg[i]);
			json_decref(patch);
			return NULL;
		}
	}
	return patch;
}

static enum exit_code
set(const struct ctl *c, const char *method, char **arg, int n)
{
	json_t *patch = patch_of(arg + 1, n - 1);

	if (patch == NULL)
		return EXIT_USAGE;
	return ctl_edit(c, method, json_pack("{s:s, s:o}", "name", arg[0], "set", patch));
}

static enum exit_code
clone_as(const struct ctl *c, const char *method, char **arg, int n)
{
	json_t *patch = patch_of(arg + 2, n - 2);

	if (patch == NULL)
		return EXIT_USAGE;
	return ctl_edit(c, method,
		json_pack("{s:s, s:s, s:o}", "name", arg[0], "to", arg[1], "set", patch));
}

/* ---- profiles ---- */

enum exit_code
verb_profile_list(const struct ctl *c, char **arg, int n)
{
	(void)arg, (void)n;
	return ctl_call(c, "profile.list", NULL, print_profiles);
}

enum exit_code
verb_profile_show(const struct ctl *c, char **arg, int n)
{
	(void)n;
	return ctl_call(c, "profile.show", json_pack("{s:s}", "name", arg[0]), print_profile);
}

enum exit_code
verb_profile_set(const struct ctl *c, char **arg, int n)
{
	return set(c, "profile.set", arg, n);
}

enum exit_code
verb_profile_clone(const struct ctl *c, char **arg, int n)
{
	return clone_as(c, "profile.clone", arg, n);
}

enum exit_code
verb_profile_remove(const struct ctl *c, char **arg, int n)
{
	(void)n;
	return ctl_edit(c, "profile.remove", json_pack("{s:s}", "name", arg[0]));
}

/* ---- actions ---- */

enum exit_code
verb_action_list(const struct ctl *c, char **arg, int n)
{
	(void)arg, (void)n;
	return ctl_call(c, "action.list", NULL, print_actions);
}

enum exit_code
verb_action_show(const struct ctl *c, char **arg, int n)
{
	(void)n;
	return ctl_call(c, "action.show", json_pack("{s:s}", "name", arg[0]), print_action);
}

enum exit_code
verb_action_set(const struct ctl *c, char **arg, int n)
{
	return set(c, "action.set", arg, n);
}

enum exit_code
verb_action_clone(const struct ctl *c, char **arg, int n)
{
	return clone_as(c, "action.clone", arg, n);
}

enum exit_code
verb_action_remove(const struct ctl *c, char **arg, int n)
{
	(void)n;
	return ctl_edit(c, "action.remove", json_pack("{s:s}", "name", arg[0]));
}
