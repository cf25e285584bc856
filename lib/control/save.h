/* SPDX-License-Identifier: BSD-3-Clause */
/* The configuration's document as text, and into its file. */
#ifndef PST_CONTROL_SAVE_H
#define PST_CONTROL_SAVE_H

#include <jansson.h>
#include <stdbool.h>

/*
 * 15 digits are what survives the way through a double, so that 0.04 stays 0.04 and
 * a dump that is read and dumped again is the same bytes.
 */
#define PST_JSON_REALS    JSON_REAL_PRECISION(15)
#define PST_DOCUMENT_FORM (JSON_INDENT(2) | PST_JSON_REALS)

/* As it stands in files, newline at the end; to be freed. NULL: no memory. */
char *pst_document_dump(const json_t *doc);
/* The same; without blanks if it would be larger with them than the parser takes. */
char *pst_document_file(const json_t *doc);

/*
 * Puts text in the place of the file at once: whoever reads it, whatever dies, finds
 * the old or the new one whole. Mode and owner stay; a symbolic link is followed.
 * false and a text in err: nothing changed.
 */
bool pst_document_save(const char *path, const char *text, char *err, size_t errlen);

#endif
