/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A bounded byte FIFO that costs nothing while empty.
 *
 * Life: zero-initialise with a limit (`pst_buf_init`), append and consume, and
 * `pst_buf_fini` at the end. Storage is heap memory in powers of two from 256
 * bytes; it goes back to the heap when the last byte is consumed, so an idle
 * session holds none. The readable bytes are always contiguous. Storage is at most
 * twice the limit (rounded up) and wiped before it is freed.
 *
 * One owner, one thread. Append may move the bytes: spans into it die then.
 */
#ifndef PST_BUF_H
#define PST_BUF_H

#include <pst_base.h>
#include <pst_span.h>

struct pst_buf {
	uint8_t *p;
	uint32_t head;  /* first readable byte */
	uint32_t tail;  /* one past the last */
	uint32_t cap;   /* allocated bytes; 0 when empty */
	uint32_t limit; /* most readable bytes it may hold */
};

static inline void
pst_buf_init(struct pst_buf *b, uint32_t limit)
{
	*b = (struct pst_buf){.limit = limit};
}

void pst_buf_fini(struct pst_buf *b); /* frees (contents wiped); limit stays, usable again */

static inline size_t
pst_buf_len(const struct pst_buf *b)
{
	return b->tail - b->head;
}

static inline size_t
pst_buf_room(const struct pst_buf *b)
{
	return b->limit - pst_buf_len(b);
}

static inline struct pst_span
pst_buf_span(const struct pst_buf *b)
{
	return pst_span(b->p == NULL ? NULL : b->p + b->head, pst_buf_len(b));
}

/* All n bytes or none; p is not inside b. PST_NOMEM if over the limit or the heap is empty. */
enum pst_rc pst_buf_append(struct pst_buf *b, const void *p, size_t n);
enum pst_rc pst_buf_append_str(struct pst_buf *b, const char *s);
enum pst_rc pst_buf_printf(struct pst_buf *b, const char *fmt, ...) PST_PRINTF(2, 3);

/*
 * Room for n bytes at the tail, to be filled and then committed (0 <= committed <= n,
 * always); NULL if over the limit or the heap is empty.
 */
uint8_t *pst_buf_reserve(struct pst_buf *b, size_t n);
void pst_buf_commit(struct pst_buf *b, size_t n);

/* Drops the first n (<= len) bytes; storage is freed when nothing is left. */
void pst_buf_consume(struct pst_buf *b, size_t n);

/* Takes back what was appended last: keeps the first len (<= length) readable bytes. */
void pst_buf_truncate(struct pst_buf *b, size_t len);

#endif
