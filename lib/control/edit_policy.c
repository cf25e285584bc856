/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The STARTTLS lists, and the next-hop map: entries from a Postfix tls_policy table, and what
 * a destination finds in it.
 */
#include "edit.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pst_ip.h>
#include <pst_policy.h>

#include "rpc.h"

#define LINES_MAX 1000 /* faults of an import that are listed; all are counted */
#define KEY_MAX   512

/* ---- lists ---- */

static bool
same_entry(const char *a, const char *b)
{
	struct pst_prefix pa, pb;
	struct pst_ip ia, ib;

	if (strcasecmp(a, b) == 0)
		return true;
	if (pst_ip_parse(a, &ia) == PST_OK && pst_ip_parse(b, &ib) == PST_OK)
		return pst_ip_eq(&ia, &ib);
	return pst_prefix_parse(a, &pa) == PST_OK && pst_prefix_parse(b, &pb) == PST_OK &&
	       pa.len == pb.len && pst_prefix_has(&pa, &pb.ip);
}

/* The list that the parameters name, to be changed, and the entry; NULL: refused. */
static json_t *
list_of(struct pst_edit *e, const char **entry)
{
	const char *word = pst_edit_text(e, "list"), *key = NULL;
	json_t *policy;

	if (word == NULL || (*entry = pst_edit_text(e, "entry")) == NULL)
		return NULL;
	if (strcmp(word, "never") == 0)
		key = "starttls_never";
	else if (strcmp(word, "required") == 0)
		key = "starttls_required";
	else
		pst_edit_refuse(e, PST_RPC_PARAMS, "list must be never or required");
	policy = key != NULL ? pst_edit_object(e, e->next, "policy") : NULL;
	return policy != NULL ? pst_edit_array(e, policy, key) : NULL;
}

static int
entry_find(const json_t *list, const char *entry)
{
	const json_t *v;
	size_t i;

	json_array_foreach((json_t *)list, i, v)
	{
		if (json_is_string(v) && same_entry(json_string_value(v), entry))
			return (int)i;
	}
	return -1;
}

void
pst_edit_list_add(struct pst_edit *e)
{
	const char *entry = NULL;
	json_t *list = list_of(e, &entry);

	if (list == NULL)
		return;
	/* What is there already stays as it is written: no change. */
	if (entry_find(list, entry) < 0)
		json_array_append_new(list, json_string(entry));
	json_object_set_new(e->told, "entry", json_string(entry));
}

void
pst_edit_list_remove(struct pst_edit *e)
{
	const char *entry = NULL;
	json_t *list = list_of(e, &entry);
	int i;

	if (list == NULL)
		return;
	i = entry_find(list, entry);
	if (i < 0) {
		pst_edit_refuse(e, PST_RPC_NOT_FOUND, "\"%s\" is not in that list", entry);
		return;
	}
	json_array_remove(list, (size_t)i);
	json_object_set_new(e->told, "entry", json_string(entry));
}

/* ---- keys of the map ---- */

/*
 * As two keys are compared: without case, ":25" and a dot at the end. false: longer than any
 * destination.
 */
static bool
fold(const char *key, char out[KEY_MAX])
{
	size_t n = strlen(key);

	if (n >= KEY_MAX)
		return false;
	if (n > 3 && strcmp(key + n - 3, ":25") == 0 &&
		(key[n - 4] == ']' || strchr(key, ':') == key + n - 3))
		n -= 3;
	if (n > 1 && key[n - 1] == '.')
		n--;
	for (size_t i = 0; i < n; i++)
		out[i] = (char)tolower((unsigned char)key[i]);
	out[n] = '\0';
	return true;
}

static const json_t *
find_folded(const json_t *map, const char *folded, const char **key)
{
	const json_t *direct = json_object_get(map, folded);
	char other[KEY_MAX];
	const char *k;
	json_t *v;

	if (direct != NULL) {
		*key = json_object_iter_key(json_object_iter_at((json_t *)map, folded));
		return direct;
	}
	json_object_foreach((json_t *)map, k, v)
	{
		if (fold(k, other) && strcmp(other, folded) == 0) {
			*key = k;
			return v;
		}
	}
	return NULL;
}

const json_t *
pst_edit_map_find(const json_t *map, const char *destination, const char **key)
{
	char folded[KEY_MAX];
	const char *dot;
	const json_t *v;

	if (!fold(destination, folded) || folded[0] == '\0')
		return NULL;
	v = find_folded(map, folded, key);
	/* Postfix, postconf(5), parent_domain_matches_subdomains: a table of this kind names
	 * subdomains as ".example.com"; a destination with brackets or port has no parents. */
	if (v != NULL || strpbrk(folded, "[:") != NULL)
		return v;
	for (dot = strchr(folded + 1, '.'); v == NULL && dot != NULL; dot = strchr(dot + 1, '.'))
		v = find_folded(map, dot, key);
	return v;
}

/* ---- a line of a Postfix table ---- */

static void
add_attribute(json_t *entry, const char *name, struct pst_span v)
{
	if (v.n > 0)
		json_object_set_new(entry, name, json_stringn((const char *)v.p, v.n));
}

static void
add_matches(json_t *entry, const struct pst_policy_line *l)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < l->nmatch; i++)
		json_array_append_new(
			list, json_stringn((const char *)l->matches[i].p, l->matches[i].n));
	if (json_array_size(list) > 0)
		json_object_set(entry, "match", list);
	json_decref(list);
}

static json_t *
entry_of(const struct pst_policy_line *l)
{
	json_t *entry = json_pack("{s:s}", "level", pst_level_name(l->level));

	add_matches(entry, l);
	add_attribute(entry, "protocols", l->protocols);
	add_attribute(entry, "ciphers", l->ciphers);
	add_attribute(entry, "exclude", l->exclude);
	add_attribute(entry, "servername", l->servername);
	return entry;
}

char *
pst_edit_map_line(const json_t *entry)
{
	static const char *const rest[] = {"protocols", "ciphers", "exclude", "servername"};
	const char *level = json_string_value(json_object_get(entry, "level"));
	char *text = NULL;
	size_t len, i;
	FILE *to = open_memstream(&text, &len);
	const json_t *m;

	if (to == NULL)
		return NULL;
	fputs(level != NULL ? level : "?", to);
	json_array_foreach(json_object_get(entry, "match"), i, m)
	{
		char by = level != NULL && strcmp(level, "fingerprint") == 0 ? '|' : ':';

		if (i == 0)
			fputs(" match=", to);
		else
			fputc(by, to);
		fputs(json_string_value(m), to);
	}
	for (i = 0; i < PST_COUNT(rest); i++) {
		const char *v = json_string_value(json_object_get(entry, rest[i]));

		if (v != NULL)
			fprintf(to, " %s=%s", rest[i], v);
	}
	fclose(to);
	return text;
}

/* ---- import ---- */

struct import {
	json_t *map;   /* of the next document */
	json_t *index; /* folded key -> the map's key */
	json_t *from;  /* folded key -> its line in this text */
	json_t *bad, *again;
	unsigned nbad, nagain, added, replaced, same;
};

static void
note_line(json_t *list, unsigned *total, unsigned line, const char *text, struct pst_span at)
{
	json_t *row;

	if ((*total)++ >= LINES_MAX)
		return;
	row = json_pack("{s:i, s:s}", "line", (int)line, "text", text);
	if (at.n > 0 && at.n <= KEY_MAX) /* what is not UTF-8 is not quoted */
		json_object_set_new(row, "at", json_stringn((const char *)at.p, at.n));
	json_array_append_new(list, row);
}

static void
place_entry(struct import *m, const char *key, const char *folded, json_t *entry)
{
	const char *old = json_string_value(json_object_get(m->index, folded));
	bool same = old != NULL && json_equal(json_object_get(m->map, old), entry);

	if (same) {
		m->same++;
	} else if (old != NULL) {
		/* Written in another way it is still the same destination. */
		json_object_set(m->map, old, entry);
		m->replaced++;
	} else {
		json_object_set(m->map, key, entry);
		json_object_set_new(m->index, folded, json_string(key));
		m->added++;
	}
}

/* A logical line, in place of a table's row. */
static void
take_line(struct import *m, struct pst_span line, unsigned number)
{
	struct pst_span at = {0};
	struct pst_policy_line parsed;
	const char *why = "is malformed";
	char key[KEY_MAX], folded[KEY_MAX];
	const json_t *first;
	enum pst_rc rc = pst_policy_line_parse(line, &parsed, &why, &at);
	json_t *entry;

	if (rc == PST_EOF)
		return;
	if (rc == PST_OK && parsed.destination.n >= KEY_MAX) {
		rc = PST_INVAL;
		why = "the destination is too long";
	}
	if (rc != PST_OK) {
		note_line(m->bad, &m->nbad, number, why, at);
		return;
	}
	snprintf(key, sizeof(key), "%.*s", PST_SPAN_FMT(parsed.destination));
	fold(key, folded);
	first = json_object_get(m->from, folded);
	/* postmap: "duplicate entry", and the first one stays. */
	if (first != NULL) {
		note_line(m->again, &m->nagain, number, "the same destination again: ignored",
			parsed.destination);
		return;
	}
	entry = entry_of(&parsed);
	if (json_object_set_new(m->from, folded, json_integer(number)) != 0)
		note_line(m->bad, &m->nbad, number, "is not UTF-8", (struct pst_span){0});
	else
		place_entry(m, key, folded, entry);
	json_decref(entry);
}

/*
 * postmap(1): "A logical line starts with non-whitespace text. A line that starts with
 * whitespace continues a logical line"; empty lines and comments are no lines at all.
 */
struct logical {
	char *buf; /* as long as the text */
	size_t n;
	unsigned number;
};

static bool
is_blank(const char *p, size_t n)
{
	while (n > 0 && isspace((unsigned char)*p)) {
		p++;
		n--;
	}
	return n == 0 || *p == '#';
}

static void
flush_line(struct import *m, struct logical *l)
{
	if (l->n > 0)
		take_line(m, pst_span(l->buf, l->n), l->number);
	l->n = 0;
}

static void
take_text(struct import *m, struct logical *l, const char *text)
{
	for (unsigned number = 1; *text != '\0'; number++) {
		size_t n = strcspn(text, "\n"), used = n + (text[n] == '\n' ? 1 : 0);

		if (n > 0 && text[n - 1] == '\r')
			n--;
		if (!is_blank(text, n)) {
			if (!isspace((unsigned char)text[0])) {
				flush_line(m, l);
				l->number = number;
			}
			if (l->n == 0)
				l->number = number;
			memcpy(l->buf + l->n, text, n);
			l->n += n;
		}
		text += used;
	}
	flush_line(m, l);
}

static void
index_map(struct import *m)
{
	char folded[KEY_MAX];
	const char *key;
	json_t *v;

	json_object_foreach(m->map, key, v)
	{
		if (fold(key, folded))
			json_object_set_new(m->index, folded, json_string(key));
	}
}

static void
import_result(struct pst_edit *e, struct import *m)
{
	if (m->nbad > 0) {
		pst_edit_refuse(e, PST_RPC_CONFIG, "%u line%s cannot be taken; nothing was changed",
			m->nbad, m->nbad == 1 ? "" : "s");
		json_object_set(e->data, "lines", m->bad);
		json_object_set_new(e->data, "lines_total", json_integer(m->nbad));
		return;
	}
	json_object_set_new(e->told, "added", json_integer(m->added));
	json_object_set_new(e->told, "replaced", json_integer(m->replaced));
	json_object_set_new(e->told, "unchanged", json_integer(m->same));
	json_object_set_new(e->told, "ignored", json_integer(m->nagain));
	json_object_set(e->told, "ignored_lines", m->again);
}

void
pst_edit_import(struct pst_edit *e)
{
	const json_t *text = json_object_get(e->params, "text");
	json_t *policy = pst_edit_object(e, e->next, "policy");
	struct import m = {.map = policy != NULL ? pst_edit_object(e, policy, "map") : NULL,
		.index = json_object(),
		.from = json_object(),
		.bad = json_array(),
		.again = json_array()};
	struct logical line = {.buf = malloc(json_string_length(text) + 1)};

	if (!json_is_string(text)) {
		pst_edit_refuse(e, PST_RPC_PARAMS, "text must be a string");
	} else if (m.map == NULL || line.buf == NULL) {
		pst_edit_refuse(e, PST_RPC_INTERNAL, "out of memory");
	} else {
		index_map(&m);
		take_text(&m, &line, json_string_value(text));
		import_result(e, &m);
		e->lines = json_incref(m.from);
	}
	free(line.buf);
	json_decref(m.index);
	json_decref(m.from);
	json_decref(m.bad);
	json_decref(m.again);
}

int
pst_edit_import_line(const struct pst_edit *e, const char *pointer)
{
	static const char section[] = "/policy/map/";
	char key[KEY_MAX] = "", folded[KEY_MAX];
	size_t n = 0;

	if (e->lines == NULL || strncmp(pointer, section, strlen(section)) != 0)
		return 0;
	pointer += strlen(section);
	/* RFC 6901: "~1" is '/', "~0" is '~'. */
	for (; *pointer != '\0' && *pointer != '/' && n + 1 < sizeof(key); pointer++) {
		bool escape = *pointer == '~' && (pointer[1] == '0' || pointer[1] == '1');

		key[n++] = !escape ? *pointer : pointer[1] == '1' ? '/' : '~';
		pointer += escape ? 1 : 0;
	}
	key[n] = '\0';
	if (!fold(key, folded))
		return 0;
	return (int)json_integer_value(json_object_get(e->lines, folded));
}
