/* SPDX-License-Identifier: BSD-3-Clause */
/* A progress bar on standard error, if that is a terminal. */
#ifndef PROGRESS_H
#define PROGRESS_H

#include <pst_base.h>

struct progress {
	unsigned done, total;
	bool on;
	uint64_t began;
};

void progress_begin(struct progress *p, unsigned total, bool wanted);
void progress_more(struct progress *p, unsigned n); /* there is more to do than was said */
void progress_step(struct progress *p, const char *what);
void progress_end(struct progress *p);

#endif
