/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A configuration described as tables: one row a key. The same rows drive the
 * parser (config_walk.c), the JSON Schema and the reference in docs/ (both
 * written by scripts/config-doc), so the three cannot disagree.
 *
 * A row says where the value goes (offset and size of the member), what it may be
 * (kind, range, form) and what it is when absent. What one row cannot say, e.g.
 * "min is not above max", is a type's check(), called behind its rows.
 */
#ifndef PST_CONTROL_CONFIG_WALK_H
#define PST_CONTROL_CONFIG_WALK_H

#include <pst_control.h>

#include <jansson.h>
#include <regex.h>

#include "arena.h"

enum pst_key_kind {
	PST_KEY_BOOL,     /* true or false */
	PST_KEY_UINT,     /* whole number min..max */
	PST_KEY_SECONDS,  /* number of seconds, fractions allowed; kept in ms; min..max in ms */
	PST_KEY_ENUM,     /* one of words */
	PST_KEY_FLAGS,    /* array of words, each once; their values or-ed */
	PST_KEY_TEXT,     /* string of a form; at most max bytes */
	PST_KEY_FILE,     /* path; relative ones are put behind the configuration's directory */
	PST_KEY_IP,       /* address literal, or `also` */
	PST_KEY_PREFIX,   /* "address/length" */
	PST_KEY_UINTS,    /* array of whole numbers into a C array of max_items */
	PST_KEY_PREFIXES, /* array of prefixes into a C array of max_items */
	PST_KEY_TEXTS,    /* array of strings of a form: allocated, or, where the row has a
			     size, into a C array of max_items */
	PST_KEY_REF,      /* a name in another map; kept as index */
	PST_KEY_REFS,     /* array of such names; allocated */
	PST_KEY_OBJECT,   /* nested struct of `type`, in place */
	PST_KEY_ARRAY,    /* array of objects of `type`; allocated */
	PST_KEY_MAP, /* object of objects of `type` by name; allocated, in the document's order */
	PST_KEY_OPTIONS, /* object of strings; allocated */
	PST_KEY_LATER,   /* object that has to be empty in this version */
	PST_KEY_REFUSED, /* always a fault; `help` is its text */
	PST_KEY_NEVER,   /* false, and true is a fault; `help` is its text */
};

struct pst_key_word {
	const char *word; /* NULL ends the list */
	uint32_t value;
	const char *refused; /* known, but not accepted: why */
};

/* What a string may look like. Patterns are valid both as POSIX ERE and in ECMA 262. */
struct pst_key_form {
	const char *pattern; /* NULL: anything without control characters */
	const char *what;    /* "must be ..." */
};

struct pst_key_type;

struct pst_key {
	const char *name; /* NULL ends the table */
	enum pst_key_kind kind;
	bool required;
	bool restart;  /* fixed at start, and all below it: a pushed change is refused */
	uint32_t size; /* of the member that holds a number */
	size_t offset; /* of the member in its struct */
	size_t count;  /* of the unsigned that counts array elements */
	uint64_t min, max;
	uint64_t dflt;    /* when absent: UINT, SECONDS (ms), BOOL, ENUM */
	const char *text; /* when absent: TEXT, FILE, IP; NULL: NULL */
	const char *
		also; /* a word accepted beside the kind's values: IP "any", FILE "-" (both NULL) */
	unsigned min_items, max_items;
	const struct pst_key_word *words;
	const struct pst_key_form *form;
	const struct pst_key_type
		*type; /* of OBJECT, ARRAY, MAP; REF, REFS: of the map's elements */
	/* MAP: JSON that is read as well. In place of a map that is absent or empty, or behind the
	 * document's own elements, which must not have these names. */
	const char *instead, *predefined;
	const char *unit;   /* for the reference only */
	const char *absent; /* for the reference: what the default is when no value says it */
	const char *help;   /* one sentence */
};

struct pst_config_walk;

struct pst_key_type {
	const char *what;
	size_t size;
	const struct pst_key *keys;
	/* obj: the JSON, to see what was said explicitly. at: the struct, filled. May be NULL. */
	void (*check)(struct pst_config_walk *w, const json_t *obj, void *at);
	const struct pst_key_form *names; /* of a map's keys, kept in the struct's first member */
	size_t names_max;                 /* characters of such a key; 0: 64 */
};

/* Patterns that stay compiled: as many as the elements of one array have, and some. */
#define PST_CONFIG_PATTERNS 8

struct pst_config_walk {
	struct pst_config *config;
	struct pst_config_report *report;
	struct pst_arena *arena;
	const char *dir; /* of the configuration, for relative paths */
	json_t *names;   /* "what\nname" -> index, of all maps read so far */
	unsigned faults;
	bool predefined; /* what is read now is not the document's */
	struct {
		const char *text; /* NULL: free */
		regex_t compiled;
	} patterns[PST_CONFIG_PATTERNS];
	unsigned next_pattern; /* that makes room */
	size_t len;            /* of pointer */
	char pointer[1024];    /* the object being read */
};

/* The whole document; config_keys.c. */
extern const struct pst_key_type pst_config_type;

/* Reads obj into w->config, defaults first. Faults go to the report and are counted. */
void pst_config_walk(struct pst_config_walk *w, const json_t *obj);

/* Reads a document that is JSON already. root is kept with the configuration (shared). */
struct pst_config *pst_config_from_json(
	json_t *root, const char *path, struct pst_config_report *report);

/*
 * Calls report for every key that is fixed at start and differs in meaning, with its
 * pointer; for an array of another length, or a map with other names or another order, with
 * that one's. Returns how many.
 */
typedef void pst_config_different(void *arg, const char *pointer);
unsigned pst_config_compare(const struct pst_config *a, const struct pst_config *b,
	pst_config_different *report, void *arg);

/* A fault of the current object (key NULL) or of a key in it ("hosts", "hosts/0/port"). */
void pst_config_fault(struct pst_config_walk *w, const char *key, const char *fmt, ...)
	PST_PRINTF(3, 4);
/* Was something below this pointer found wrong? Then what depends on it is not judged. */
bool pst_config_faulty(const struct pst_config_walk *w, const char *pointer);

/* Is v an object without anything but comments, or not there at all? */
bool pst_config_says_nothing(const json_t *v);

/* Moves into a member or element and back: len = enter(...); ...; leave(w, len). */
size_t pst_config_enter(struct pst_config_walk *w, const char *key);
size_t pst_config_enter_index(struct pst_config_walk *w, size_t index);
void pst_config_leave(struct pst_config_walk *w, size_t len);

/* config_value.c: one value that is neither object nor array of objects. v is not NULL. */
void pst_config_value(
	struct pst_config_walk *w, const struct pst_key *k, const json_t *v, void *at);
void pst_config_default(struct pst_config_walk *w, const struct pst_key *k, void *at);
/* The string, checked for form and length, copied; NULL after a fault on `name`. */
char *pst_config_text(struct pst_config_walk *w, const char *name, const json_t *v,
	const struct pst_key_form *form, size_t max);
/* At the end of a walk. */
void pst_config_forget_pattern(struct pst_config_walk *w);
/* Names of a map's elements: remembered, found again. -1: no such name. */
void pst_config_name_set(struct pst_config_walk *w, const struct pst_key_type *type,
	const char *name, unsigned index);
long pst_config_name_get(
	const struct pst_config_walk *w, const struct pst_key_type *type, const char *name);
void pst_config_nomem(struct pst_config_walk *w);
const char *pst_config_json_kind(const json_t *v); /* "a string" */

#endif
