/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * config_judge FILE...   what pst_config_load thinks of each; exit 1 if any is at fault
 * config_judge --keys    the tables as JSON, for scripts/config-doc and schema_test
 */
#include <config_walk.h>

#include <stdio.h>
#include <string.h>

static const char *const kinds[] = {
	[PST_KEY_BOOL] = "bool",
	[PST_KEY_UINT] = "uint",
	[PST_KEY_SECONDS] = "seconds",
	[PST_KEY_ENUM] = "enum",
	[PST_KEY_FLAGS] = "flags",
	[PST_KEY_TEXT] = "text",
	[PST_KEY_FILE] = "file",
	[PST_KEY_IP] = "ip",
	[PST_KEY_PREFIX] = "prefix",
	[PST_KEY_UINTS] = "uints",
	[PST_KEY_PREFIXES] = "prefixes",
	[PST_KEY_TEXTS] = "texts",
	[PST_KEY_REF] = "ref",
	[PST_KEY_REFS] = "refs",
	[PST_KEY_OBJECT] = "object",
	[PST_KEY_ARRAY] = "array",
	[PST_KEY_MAP] = "map",
	[PST_KEY_OPTIONS] = "options",
	[PST_KEY_LATER] = "later",
	[PST_KEY_REFUSED] = "refused",
	[PST_KEY_NEVER] = "never",
};

static json_t *dump_type(const struct pst_key_type *type);

static json_t *
dump_words(const struct pst_key *k, json_t *row)
{
	json_t *list = json_array();

	for (const struct pst_key_word *word = k->words; word->word != NULL; word++) {
		if (word->refused != NULL)
			continue;
		json_array_append_new(list, json_string(word->word));
		if (k->kind == PST_KEY_ENUM && word->value == k->dflt &&
			json_object_get(row, "default") == NULL) /* the first is canonical */
			json_object_set_new(row, "default", json_string(word->word));
	}
	return list;
}

static void
dump_default(const struct pst_key *k, json_t *row)
{
	if (k->kind == PST_KEY_BOOL && k->absent == NULL)
		json_object_set_new(row, "default", json_boolean(k->dflt));
	else if (k->kind == PST_KEY_SECONDS && k->absent == NULL)
		json_object_set_new(row, "default", json_real((double)k->dflt / 1000));
	else if (k->kind == PST_KEY_UINT && k->absent == NULL)
		json_object_set_new(row, "default", json_integer((json_int_t)k->dflt));
	if (k->text != NULL)
		json_object_set_new(row, "default", json_string(k->text));
}

static void
set_text(json_t *row, const char *key, const char *text)
{
	if (text != NULL)
		json_object_set_new(row, key, json_string(text));
}

static json_t *
dump_key(const struct pst_key *k)
{
	json_t *row = json_pack("{s:s, s:s, s:b, s:s, s:I, s:I, s:i, s:i}", "name", k->name, "kind",
		kinds[k->kind], "required", (int)k->required, "help", k->help, "min",
		(json_int_t)k->min, "max", (json_int_t)k->max, "min_items", (int)k->min_items,
		"max_items", (int)k->max_items);

	if (!k->required)
		dump_default(k, row);
	if (k->restart)
		json_object_set_new(row, "restart", json_true());
	if (k->words != NULL)
		json_object_set_new(row, "words", dump_words(k, row));
	set_text(row, "also", k->also);
	set_text(row, "unit", k->unit);
	set_text(row, "absent", k->absent);
	if (k->form != NULL)
		set_text(row, "pattern", k->form->pattern);
	if (k->type != NULL)
		set_text(row, "what", k->type->what);
	if (k->type != NULL && k->kind != PST_KEY_REF && k->kind != PST_KEY_REFS)
		json_object_set_new(row, "type", dump_type(k->type));
	return row;
}

static json_t *
dump_type(const struct pst_key_type *type)
{
	json_t *keys = json_array(), *out = json_object();

	for (const struct pst_key *k = type->keys; k->name != NULL; k++)
		json_array_append_new(keys, dump_key(k));
	json_object_set_new(out, "what", json_string(type->what));
	json_object_set_new(out, "keys", keys);
	if (type->names != NULL)
		json_object_set_new(out, "names", json_string(type->names->pattern));
	if (type->names_max != 0)
		json_object_set_new(out, "names_max", json_integer((json_int_t)type->names_max));
	return out;
}

static int
judge(const char *path)
{
	struct pst_config_report report = {0};
	struct pst_config *c = pst_config_load(path, &report);
	int rc = c == NULL;

	printf("%s: %s\n", path, c != NULL ? "ok" : "at fault");
	pst_config_report_print(&report, path, stdout);
	pst_config_report_fini(&report);
	pst_config_free(c);
	return rc;
}

int
main(int argc, char **argv)
{
	int rc = 0;

	if (argc == 2 && strcmp(argv[1], "--keys") == 0) {
		json_t *root = dump_type(&pst_config_type);
		json_dumpf(root, stdout, JSON_INDENT(1));
		putchar('\n');
		json_decref(root);
		return 0;
	}
	for (int i = 1; i < argc; i++)
		rc |= judge(argv[i]);
	return rc;
}
