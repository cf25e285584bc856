/* SPDX-License-Identifier: BSD-3-Clause */
#include "history.h"

#include <stdlib.h>
#include <string.h>

static void
row_fini(struct pst_generation *g)
{
	free(g->note);
	free(g->summary);
	json_decref(g->doc);
}

/* The newest is what runs, and the one before it is what a rollback wants. */
static void
drop_documents(struct pst_history *h)
{
	size_t total = 0;

	for (unsigned i = h->n; i-- > 0;) {
		struct pst_generation *g = &h->rows[i];

		if (g->doc == NULL)
			continue;
		total += g->bytes;
		if (i + 2 < h->n && total > PST_HISTORY_BYTES) {
			json_decref(g->doc);
			g->doc = NULL;
		}
	}
}

void
pst_history_add(struct pst_history *h, const struct pst_generation *g)
{
	if (h->n == PST_HISTORY_MAX) {
		row_fini(&h->rows[0]);
		memmove(&h->rows[0], &h->rows[1], (h->n - 1) * sizeof(h->rows[0]));
		h->n--;
	}
	h->rows[h->n++] = *g;
	drop_documents(h);
}

void
pst_history_fini(struct pst_history *h)
{
	for (unsigned i = 0; i < h->n; i++)
		row_fini(&h->rows[i]);
	h->n = 0;
}

const struct pst_generation *
pst_history_find(const struct pst_history *h, uint64_t number)
{
	for (unsigned i = 0; i < h->n; i++)
		if (h->rows[i].number == number)
			return &h->rows[i];
	return NULL;
}

const struct pst_generation *
pst_history_newest(const struct pst_history *h)
{
	return h->n > 0 ? &h->rows[h->n - 1] : NULL;
}

const struct pst_generation *
pst_history_other(const struct pst_history *h, const json_t *doc)
{
	for (unsigned i = h->n; i-- > 0;)
		if (h->rows[i].doc != NULL && !json_equal(h->rows[i].doc, doc))
			return &h->rows[i];
	return NULL;
}
