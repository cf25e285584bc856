/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From JSON text to a configuration: caps on size and depth, the JSON parser, then
 * the tables. Nothing outside the document is looked at besides the system's name;
 * whether files exist and certificates fit is pst_relay_check's to say.
 *
 * The configuration, its strings and arrays are one arena, freed by
 * pst_config_free. A parse keeps no state behind, and knows one thing from outside, the model
 * that pst_config_force_model set; any thread may call it.
 */
#include "config_walk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config_scan.h"

/* A place in the text: the parser's line and column, and what pointer is there. */
static void
syntax_fault(struct pst_config_report *report, const char *json, size_t len, const json_error_t *e)
{
	size_t at = e->position >= 0 && (size_t)e->position < len ? (size_t)e->position : len;
	char pointer[1024];

	pst_config_scan(json, at, pointer, sizeof(pointer));
	pst_config_report_add(
		report, pointer, "line %d, column %d: %s", e->line, e->column, e->text);
}

/*
 * The parser ends at the first key that stands twice; to find the other faults all
 * the same the text is read again with the last one winning. The report says no.
 */
static json_t *
read_json(const char *json, size_t len, struct pst_config_report *report)
{
	json_error_t e;
	json_t *root = json_loadb(json, len, JSON_REJECT_DUPLICATES, &e);

	if (root != NULL)
		return root;
	syntax_fault(report, json, len, &e);
	if (json_error_code(&e) != json_error_duplicate_key)
		return NULL;
	return json_loadb(json, len, 0, &e);
}

static bool
sane(const char *json, size_t len, struct pst_config_report *report)
{
	char pointer[1024];

	if (len > PST_CONFIG_SIZE_MAX) {
		pst_config_report_add(report, "", "larger than %u bytes", PST_CONFIG_SIZE_MAX);
		return false;
	}
	/* jansson takes up to 2048 levels, by recursion; we need far fewer. */
	if (!pst_config_scan(json, len, pointer, sizeof(pointer))) {
		pst_config_report_add(
			report, pointer, "nested deeper than %u levels", PST_CONFIG_DEPTH_MAX);
		return false;
	}
	return true;
}

static const char *
directory_of(struct pst_arena *arena, const char *path)
{
	const char *slash = path != NULL ? strrchr(path, '/') : NULL;

	if (slash == NULL)
		return ".";
	if (slash == path)
		return ""; /* "/name": the walk puts the slash */
	return pst_arena_printf(arena, "%.*s", (int)(slash - path), path);
}

static struct pst_config *
new_config(const char *path)
{
	struct pst_arena *arena = pst_arena_new();
	struct pst_config *c = arena != NULL ? pst_arena_alloc(arena, sizeof(*c)) : NULL;

	if (c == NULL) {
		pst_arena_free(arena);
		return NULL;
	}
	c->arena = arena;
	c->path = path != NULL ? pst_arena_printf(arena, "%s", path) : NULL;
	return c;
}

/* Reads root into c. The number of faults. */
static unsigned
fill(struct pst_config *c, const json_t *root, struct pst_config_report *report)
{
	struct pst_config_walk w = {.config = c, .report = report, .arena = c->arena};

	w.dir = directory_of(c->arena, c->path);
	w.names = json_object();
	if (w.dir == NULL || w.names == NULL)
		pst_config_nomem(&w);
	else
		pst_config_walk(&w, root);
	json_decref(w.names);
	pst_config_forget_pattern(&w);
	return w.faults;
}

struct pst_config *
pst_config_from_json(json_t *root, const char *path, struct pst_config_report *report)
{
	struct pst_config *c = new_config(path);
	unsigned faults = 1;

	if (c == NULL)
		pst_config_report_add(report, "", "out of memory");
	else
		faults = fill(c, root, report);
	if (faults == 0) {
		c->document = json_incref(root);
		return c;
	}
	pst_config_free(c);
	return NULL;
}

struct pst_config *
pst_config_parse(const char *json, size_t len, const char *path, struct pst_config_report *report)
{
	unsigned before = report->n;
	struct pst_config *c;
	json_t *root;

	if (!sane(json, len, report) || (root = read_json(json, len, report)) == NULL)
		return NULL;
	c = pst_config_from_json(root, path, report);
	json_decref(root);
	if (report->n == before)
		return c;
	pst_config_free(c);
	return NULL;
}

/* The whole file, or as much as shows that it is too large. */
static char *
read_file(int fd, size_t *len)
{
	size_t cap = 65536, n = 0;
	char *buf = malloc(cap), *more;
	ssize_t got = 1;

	while (buf != NULL && got > 0 && n <= PST_CONFIG_SIZE_MAX) {
		if (n == cap) {
			more = realloc(buf, cap *= 2);
			if (more == NULL)
				break;
			buf = more;
		}
		got = read(fd, buf + n, cap - n);
		if (got < 0 && errno == EINTR)
			got = 1;
		else if (got > 0)
			n += (size_t)got;
	}
	*len = n;
	if (buf != NULL && (got == 0 || n > PST_CONFIG_SIZE_MAX))
		return buf;
	free(buf);
	return NULL;
}

struct pst_config *
pst_config_load(const char *path, struct pst_config_report *report)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct pst_config *c = NULL;
	char *json;
	size_t len;

	json = fd >= 0 ? read_file(fd, &len) : NULL;
	if (json == NULL)
		pst_config_report_add(report, "", "cannot be read: %s", strerror(errno));
	else
		c = pst_config_parse(json, len, path, report);
	free(json);
	if (fd >= 0)
		close(fd);
	return c;
}

void
pst_config_free(struct pst_config *c)
{
	if (c == NULL)
		return;
	json_decref(c->document);
	pst_arena_free(c->arena);
}
