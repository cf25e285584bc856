/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The list of what is wrong with a configuration. Grows to FAULTS_MAX entries:
 * beyond that a document is not worth reading on, and one last entry says so.
 */
#include <pst_control.h>

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define FAULTS_MAX 1000

static bool
grow(struct pst_config_report *r)
{
	void *p;

	if (r->n != 0 && (r->n & (r->n - 1)) != 0)
		return true; /* room up to the next power of two */
	p = realloc(r->faults, sizeof(*r->faults) * (r->n == 0 ? 1 : (size_t)r->n * 2));
	if (p == NULL)
		return false;
	r->faults = p;
	return true;
}

/* Takes over text. A fault that finds no memory is lost here; the parser counts for itself. */
static void
append(struct pst_config_report *r, const char *pointer, char *text)
{
	char *p = strdup(pointer);

	if (p == NULL || text == NULL || !grow(r)) {
		free(p);
		free(text);
		return;
	}
	r->faults[r->n].pointer = p;
	r->faults[r->n].text = text;
	r->n++;
}

void
pst_config_report_add(struct pst_config_report *r, const char *pointer, const char *fmt, ...)
{
	char *text = NULL;
	va_list ap;

	if (r->n > FAULTS_MAX)
		return;
	if (r->n == FAULTS_MAX) {
		append(r, "", strdup("more faults follow; these are the first"));
		return;
	}
	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);
	append(r, pointer, text);
}

/* Keys come from the document: what would move a terminal's cursor is shown as '?'. */
static void
put_clean(const char *s, FILE *to)
{
	for (; *s != '\0'; s++)
		putc((unsigned char)*s < 0x20 || *s == 0x7f ? '?' : *s, to);
}

void
pst_config_report_print(const struct pst_config_report *r, const char *path, FILE *to)
{
	for (unsigned i = 0; i < r->n; i++) {
		fprintf(to, "%s: ", path != NULL ? path : "(configuration)");
		if (r->faults[i].pointer[0] != '\0') {
			put_clean(r->faults[i].pointer, to);
			fputs(": ", to);
		}
		put_clean(r->faults[i].text, to);
		putc('\n', to);
	}
}

void
pst_config_report_fini(struct pst_config_report *r)
{
	for (unsigned i = 0; i < r->n; i++) {
		free(r->faults[i].pointer);
		free(r->faults[i].text);
	}
	free(r->faults);
	*r = (struct pst_config_report){0};
}
