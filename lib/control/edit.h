/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Changes of a document as functions: a document and parameters in, the document that
 * follows out. What is not touched is shared, not copied; nothing that is shared is
 * ever changed, so the old document stays what it was.
 *
 * An edit knows form only as far as it has to find its place; whether the outcome is a
 * configuration the parser says, then the relay, as for a document that is pushed.
 *
 *   edit.c          what they share
 *   edit_rules.c    policy.rules
 *   edit_objects.c  tls_profiles and actions
 *   edit_policy.c   the lists, and the map from a Postfix table
 */
#ifndef PST_CONTROL_EDIT_H
#define PST_CONTROL_EDIT_H

#include <jansson.h>
#include <stdbool.h>

#include <pst_base.h>

struct pst_edit {
	const json_t *doc;    /* what runs */
	const json_t *params; /* NULL: none */
	json_t *next;         /* what shall run; NULL: refused */
	json_t *told;         /* object: members of the answer besides what changed */
	int code;             /* a PST_RPC_ code, 0: fine */
	json_t *data;         /* of the refusal: "reason" at least */
	json_t *lines;        /* import: where in its text a destination stands */
};

typedef void pst_edit_fn(struct pst_edit *e);

pst_edit_fn pst_edit_rule_add, pst_edit_rule_move, pst_edit_rule_enable, pst_edit_rule_disable,
	pst_edit_rule_remove; /* edit_rules.c */
pst_edit_fn pst_edit_profile_set, pst_edit_profile_clone, pst_edit_profile_remove,
	pst_edit_action_set, pst_edit_action_clone, pst_edit_action_remove; /* edit_objects.c */
pst_edit_fn pst_edit_list_add, pst_edit_list_remove, pst_edit_import;       /* edit_policy.c */

/* Runs one; next and told are the caller's, with code 0 both are there. */
void pst_edit_run(struct pst_edit *e, pst_edit_fn *fn);
void pst_edit_fini(struct pst_edit *e);

/* ---- for edits ---- */

/* A parameter that has to be a string; NULL: the edit is refused. */
const char *pst_edit_text(struct pst_edit *e, const char *name);
/* Is one of the optional parameters there and not a string? Then the edit is refused. */
bool pst_edit_optional(struct pst_edit *e, const char *name, const char **v);
void pst_edit_refuse(struct pst_edit *e, int code, const char *fmt, ...) PST_PRINTF(3, 4);

/*
 * The member of an object that this edit owns, for changing: a copy of what is there (its
 * elements are shared), or a new object or array. NULL: refused, no memory.
 */
json_t *pst_edit_object(struct pst_edit *e, json_t *parent, const char *key);
json_t *pst_edit_array(struct pst_edit *e, json_t *parent, const char *key);
/* doc/section/key without copying; NULL: not there. */
const json_t *pst_edit_look(const struct pst_edit *e, const char *section, const char *key);

/* ---- what is there, for showing ---- */

/* The predefined elements of a section ("actions"), to be freed; empty: there are none. */
json_t *pst_edit_predefined(const char *section);
/* The place of a rule's id; -1: no such rule. */
int pst_edit_rule_find(const json_t *rules, const char *id);
/* Pointers of what refers to a profile or an action by name; an array, to be freed. */
json_t *pst_edit_users(const json_t *doc, const char *section, const char *name);

/*
 * The entry of the map that a destination finds, as Postfix looks it up: a key with brackets
 * or a port once, as it is written (":25" folded away); a bare domain, then its parents as
 * ".parent". *key: the document's. NULL: none.
 */
const json_t *pst_edit_map_find(const json_t *map, const char *destination, const char **key);
/* The line of an import's text that a fault's pointer is about; 0: none. */
int pst_edit_import_line(const struct pst_edit *e, const char *pointer);
/* An entry as postmap prints it, "secure match=a:b"; to be freed. */
char *pst_edit_map_line(const json_t *entry);

#endif
