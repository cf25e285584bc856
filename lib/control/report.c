/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The lists of what is wrong with a configuration, and of what is doubtful. Each grows to
 * NOTES_MAX entries: beyond that a document is not worth reading on, and one last entry
 * says so.
 */
#include <pst_control.h>

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define NOTES_MAX 1000

static bool
grow(struct pst_config_note **list, unsigned n)
{
	void *p;

	if (n != 0 && (n & (n - 1)) != 0)
		return true; /* room up to the next power of two */
	p = realloc(*list, sizeof(**list) * (n == 0 ? 1 : (size_t)n * 2));
	if (p == NULL)
		return false;
	*list = p;
	return true;
}

/* Takes over text. A note that finds no memory is lost here; the parser counts for itself. */
static void
append(struct pst_config_note **list, unsigned *n, const char *pointer, char *text)
{
	char *p = strdup(pointer);

	if (p == NULL || text == NULL || !grow(list, *n)) {
		free(p);
		free(text);
		return;
	}
	(*list)[*n] = (struct pst_config_note){.pointer = p, .text = text};
	++*n;
}

static void
add(struct pst_config_note **list, unsigned *n, const char *pointer, const char *last,
	const char *fmt, va_list ap)
{
	char *text = NULL;

	if (*n > NOTES_MAX)
		return;
	if (*n == NOTES_MAX) {
		append(list, n, "", strdup(last));
		return;
	}
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	append(list, n, pointer, text);
}

void
pst_config_report_add(struct pst_config_report *r, const char *pointer, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	add(&r->faults, &r->n, pointer, "more faults follow; these are the first", fmt, ap);
	va_end(ap);
}

void
pst_config_report_warn(struct pst_config_report *r, const char *pointer, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	add(&r->warnings, &r->nwarnings, pointer, "more warnings follow; these are the first", fmt,
		ap);
	va_end(ap);
}

/* Keys come from the document: what would move a terminal's cursor is shown as '?'. */
static void
put_clean(const char *s, FILE *to)
{
	for (; *s != '\0'; s++)
		putc((unsigned char)*s < 0x20 || *s == 0x7f ? '?' : *s, to);
}

static void
put_note(const char *before, const struct pst_config_note *note, FILE *to)
{
	fprintf(to, "%s: ", before);
	if (note->pointer[0] != '\0') {
		put_clean(note->pointer, to);
		fputs(": ", to);
	}
	put_clean(note->text, to);
	putc('\n', to);
}

void
pst_config_report_print(const struct pst_config_report *r, const char *path, FILE *to)
{
	for (unsigned i = 0; i < r->n; i++)
		put_note(path != NULL ? path : "(configuration)", &r->faults[i], to);
	for (unsigned i = 0; i < r->nwarnings; i++)
		put_note("warning", &r->warnings[i], to);
}

static void
free_notes(struct pst_config_note *list, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		free(list[i].pointer);
		free(list[i].text);
	}
	free(list);
}

void
pst_config_report_fini(struct pst_config_report *r)
{
	free_notes(r->faults, r->n);
	free_notes(r->warnings, r->nwarnings);
	*r = (struct pst_config_report){0};
}
