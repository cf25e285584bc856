/* SPDX-License-Identifier: BSD-3-Clause */
/* The verbs `config ...`. Faults are printed as `postern -t` prints them. */
#include "ctl.h"

/*
 * The text goes as it is, so that the gateway finds line and column. What is not
 * UTF-8 cannot travel in JSON: that fault is found here, by the same parser.
 */
static void
print_fault(const char *path, const char *text, size_t len)
{
	json_error_t e;
	json_t *ignored = json_loadb(text, len, 0, &e);

	fprintf(stderr, "%s: line %d, column %d: %s\n", path, e.line, e.column,
		ignored == NULL ? e.text : "is not UTF-8");
	json_decref(ignored);
}

static void
print_valid(FILE *to, const json_t *r, const struct print_options *opt)
{
	fprintf(to, "%s: the configuration is valid\n", opt->file);
	print_changes(to, r, opt);
}

enum exit_code
verb_config_check(const struct ctl *c, char **arg, int n)
{
	json_t *params = ctl_read_text(arg[0], print_fault);
	struct ctl with_file = *c;

	(void)n;
	with_file.print.file = arg[0];
	return params == NULL
		       ? EXIT_REFUSED
		       : ctl_conclude(&with_file, "config.check", params, arg[0], print_valid);
}

enum exit_code
verb_config_push(const struct ctl *c, char **arg, int n)
{
	json_t *params = ctl_read_text(arg[0], print_fault);

	(void)n;
	if (params == NULL)
		return EXIT_REFUSED;
	if (!ctl_add_generation(c, params)) {
		json_decref(params);
		return EXIT_USAGE;
	}
	if (c->note != NULL)
		json_object_set_new(params, "note", json_string(c->note));
	return ctl_conclude(c, "config.push", params, arg[0], print_published);
}

enum exit_code
verb_config_reload(const struct ctl *c, char **arg, int n)
{
	json_t *params = json_object();

	(void)arg, (void)n;
	if (ctl_add_generation(c, params))
		return ctl_conclude(c, "config.reload", params, "(file)", print_published);
	json_decref(params);
	return EXIT_USAGE;
}

/* ---- generations ---- */

enum exit_code
verb_config_rollback(const struct ctl *c, char **arg, int n)
{
	json_t *params = json_object();

	if ((n == 0 || ctl_add_number(params, "to", arg[0])) && ctl_add_generation(c, params))
		return ctl_conclude(
			c, "config.rollback", params, "(earlier configuration)", print_published);
	json_decref(params);
	return EXIT_USAGE;
}

enum exit_code
verb_config_diff(const struct ctl *c, char **arg, int n)
{
	json_t *params = json_object();

	if ((n < 1 || ctl_add_number(params, "from", arg[0])) &&
		(n < 2 || ctl_add_number(params, "to", arg[1])))
		return ctl_call(c, "config.diff", params, print_diff);
	json_decref(params);
	return EXIT_USAGE;
}

enum exit_code
verb_config_history(const struct ctl *c, char **arg, int n)
{
	(void)arg, (void)n;
	return ctl_call(c, "config.history", NULL, print_history);
}

/* As config.save writes it: what is shown can be kept, and pushed back. */
static void
print_document(FILE *to, const json_t *r, const struct print_options *opt)
{
	(void)opt;
	json_dumpf(r, to, JSON_INDENT(2) | JSON_REAL_PRECISION(15));
	fputc('\n', to);
}

enum exit_code
verb_config_show(const struct ctl *c, char **arg, int n)
{
	(void)arg, (void)n;
	return ctl_call(c, "config.show", NULL, print_document);
}

static void
print_saved(FILE *to, const json_t *r, const struct print_options *opt)
{
	(void)opt;
	fprintf(to, "generation %lld is in %s\n",
		(long long)json_integer_value(json_object_get(r, "generation")),
		json_string_value(json_object_get(r, "file")));
}

enum exit_code
verb_config_save(const struct ctl *c, char **arg, int n)
{
	json_t *params = json_object();

	(void)arg, (void)n;
	if (ctl_add_generation(c, params))
		return ctl_call(c, "config.save", params, print_saved);
	json_decref(params);
	return EXIT_USAGE;
}
