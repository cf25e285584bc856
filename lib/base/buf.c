/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The bounded byte FIFO. See pst_buf.h.
 *
 * Consumed bytes leave a gap in front. It is closed by moving the rest down only
 * when the gap is at least a quarter of the storage, else the storage doubles
 * (once beyond what the limit needs): so a byte is moved a bounded number of
 * times however small the steps are, and a peer that trickles cannot make a full
 * buffer quadratic.
 *
 * Buffers hold mail and commands: storage is wiped before the heap gets it back.
 */
#include <pst_buf.h>

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define CAP_MIN 256u
#define CAP_MAX (1u << 31)

static void
release(struct pst_buf *b)
{
	if (b->p != NULL)
		explicit_bzero(b->p, b->cap);
	free(b->p);
	b->p = NULL;
	b->head = b->tail = b->cap = 0;
}

void
pst_buf_fini(struct pst_buf *b)
{
	release(b);
}

static size_t
round_up(size_t n)
{
	size_t cap = CAP_MIN;
	while (cap < n)
		cap *= 2;
	return cap;
}

static void
close_gap(struct pst_buf *b)
{
	memmove(b->p, b->p + b->head, pst_buf_len(b));
	b->tail -= b->head;
	b->head = 0;
}

static bool
move_to(struct pst_buf *b, size_t cap)
{
	if (cap > CAP_MAX)
		return false;
	uint8_t *p = malloc(cap);
	if (p == NULL)
		return false;
	size_t len = pst_buf_len(b);
	if (len != 0)
		memcpy(p, b->p + b->head, len);
	release(b);
	b->p = p;
	b->tail = (uint32_t)len;
	b->cap = (uint32_t)cap;
	return true;
}

uint8_t *
pst_buf_reserve(struct pst_buf *b, size_t n)
{
	if (n > pst_buf_room(b))
		return NULL;
	if (b->p != NULL && n <= b->cap - b->tail)
		return b->p + b->tail;
	size_t need = pst_buf_len(b) + n;
	if (b->p != NULL && need <= b->cap && b->head >= b->cap / 4)
		close_gap(b);
	else if (!move_to(b, need <= b->cap && b->p != NULL ? 2 * (size_t)b->cap : round_up(need)))
		return NULL;
	return b->p + b->tail;
}

void
pst_buf_commit(struct pst_buf *b, size_t n)
{
	b->tail += (uint32_t)n;
	if (b->tail == b->head)
		release(b);
}

enum pst_rc
pst_buf_append(struct pst_buf *b, const void *p, size_t n)
{
	if (n == 0)
		return PST_OK;
	uint8_t *to = pst_buf_reserve(b, n);
	if (to == NULL)
		return PST_NOMEM;
	memcpy(to, p, n);
	pst_buf_commit(b, n);
	return PST_OK;
}

enum pst_rc
pst_buf_append_str(struct pst_buf *b, const char *s)
{
	return pst_buf_append(b, s, strlen(s));
}

enum pst_rc
pst_buf_printf(struct pst_buf *b, const char *fmt, ...)
{
	char small[512];
	char *text = small;
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(small, sizeof(small), fmt, ap);
	va_end(ap);
	if (n < 0)
		return PST_INVAL;
	if ((size_t)n >= sizeof(small)) {
		va_start(ap, fmt);
		n = vasprintf(&text, fmt, ap);
		va_end(ap);
		if (n < 0)
			return PST_NOMEM;
	}
	enum pst_rc rc = pst_buf_append(b, text, (size_t)n);
	if (text != small)
		free(text);
	return rc;
}

void
pst_buf_consume(struct pst_buf *b, size_t n)
{
	b->head += (uint32_t)n;
	if (b->head == b->tail)
		release(b);
}

void
pst_buf_truncate(struct pst_buf *b, size_t len)
{
	b->tail = b->head + (uint32_t)len;
	if (b->head == b->tail)
		release(b);
}
