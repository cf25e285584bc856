/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a DATA body means, the slow and plain way: cut at CRLF, look at each line.
 * The engine's decoder is compared with this one by unit tests and fuzzers.
 */
#ifndef PST_SMTP_REF_H
#define PST_SMTP_REF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pst_smtp_ref {
	bool ended;  /* CRLF.CRLF was there */
	bool bare;   /* a CR or LF that is not part of CRLF stood before it */
	size_t used; /* input up to and with the end */
	size_t n;    /* decoded bytes; a bare LF became CRLF, a bare CR a space */
};

/* out: room for 2 * n bytes. Without an end, only whole lines are decoded. */
static inline struct pst_smtp_ref
pst_smtp_ref_data(const uint8_t *in, size_t n, uint8_t *out)
{
	struct pst_smtp_ref r = {0};
	size_t line = 0;
	for (size_t i = 0; i + 1 < n; i++) {
		if (in[i] != '\r' || in[i + 1] != '\n')
			continue;
		if (i - line == 1 && in[line] == '.') {
			r.ended = true;
			r.used = i + 2;
			return r;
		}
		for (size_t k = line + (in[line] == '.'); k < i; k++) {
			bool nl = in[k] == '\n', cr = in[k] == '\r';
			r.bare |= nl || cr;
			if (nl)
				out[r.n++] = '\r';
			out[r.n++] = cr ? ' ' : in[k];
		}
		out[r.n++] = '\r';
		out[r.n++] = '\n';
		line = i + 2;
		i++;
	}
	return r;
}

#endif
