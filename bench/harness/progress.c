/* SPDX-License-Identifier: BSD-3-Clause */
#include "progress.h"

#include <stdio.h>
#include <unistd.h>

#define WIDTH 30

void
progress_begin(struct progress *p, unsigned total, bool wanted)
{
	*p = (struct progress){
		.total = total, .on = wanted && isatty(STDERR_FILENO) == 1, .began = pst_now_ns()};
}

void
progress_more(struct progress *p, unsigned n)
{
	p->total += n;
}

void
progress_step(struct progress *p, const char *what)
{
	unsigned full;
	double took, left;

	p->done++;
	if (!p->on)
		return;
	full = p->done * WIDTH / p->total;
	took = (double)(pst_now_ns() - p->began) / 1e9;
	left = took / p->done * (p->total - p->done);
	fprintf(stderr, "\r[%.*s%.*s] %3u %%  %3.0f s left  %-28.28s", (int)full,
		"##############################", (int)(WIDTH - full),
		"..............................", p->done * 100 / p->total, left, what);
	fflush(stderr);
}

void
progress_end(struct progress *p)
{
	if (p->on)
		fprintf(stderr, "\r%*s\r", 79, "");
}
