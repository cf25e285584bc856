/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A run of bytes that somebody else owns. Valid until that owner's next call,
 * unless the function that returns it says otherwise. Not NUL-terminated.
 */
#ifndef PST_SPAN_H
#define PST_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

struct pst_span {
	const uint8_t *p;
	size_t n;
};

static inline struct pst_span
pst_span(const void *p, size_t n)
{
	return (struct pst_span){.p = (const uint8_t *)p, .n = n};
}

static inline struct pst_span
pst_span_str(const char *s)
{
	return pst_span(s, strlen(s));
}

static inline bool
pst_span_eq(struct pst_span a, struct pst_span b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

/* ASCII case-insensitive, as SMTP keywords and domains are. */
static inline bool
pst_span_ieq(struct pst_span a, struct pst_span b)
{
	return a.n == b.n &&
	       (a.n == 0 || strncasecmp((const char *)a.p, (const char *)b.p, a.n) == 0);
}

static inline bool
pst_span_ieq_str(struct pst_span a, const char *s)
{
	return pst_span_ieq(a, pst_span_str(s));
}

/* printf("%.*s", PST_SPAN_FMT(s)) */
#define PST_SPAN_FMT(s) (int)(s).n, (const char *)(s).p

#endif
