/* SPDX-License-Identifier: BSD-3-Clause */
/* How a family is written (metrics_text.c), and the families of other files. */
#ifndef PST_METRICS_PUT_H
#define PST_METRICS_PUT_H

#include "metrics_int.h"

struct pst_out {
	char *p; /* NULL: memory was short, and nothing is written any more */
	size_t n, cap;
	enum pst_metrics_format format;
};

enum pst_family_type { COUNTER, GAUGE, HISTOGRAM, INFO };

void pst_put(struct pst_out *o, const char *fmt, ...) PST_PRINTF(2, 3);
/* HELP and TYPE of a family. The samples that follow are all there is of it. */
void pst_family(struct pst_out *o, enum pst_family_type type, const char *name, const char *help);
/* A number that each worker has, at `offset` of its statistics. */
void pst_by_worker(struct pst_out *o, const struct pst_metrics_input *in, enum pst_family_type type,
	const char *name, const char *help, size_t offset);
/* A label's value between its quotes. */
const char *pst_escaped(const char *value, char buf[160]);
/* Seconds from microseconds. */
const char *pst_seconds(uint64_t us, char buf[32]);

/* metrics_crypto.c */
void pst_put_crypto(struct pst_out *o, const struct pst_metrics_input *in);

#endif
