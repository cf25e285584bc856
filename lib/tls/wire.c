/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The BIO under each session: it reads from and writes to the buffers of the
 * pst_tls_io that the running call was given, so wire bytes are copied once, by
 * OpenSSL's record layer itself. Between calls there are no buffers, and the BIO
 * says "retry".
 *
 * OpenSSL reads exactly one record header, then one record: what it does not
 * need yet stays in the caller's input.
 */
#include "tls_int.h"

/* The run of input that comes next; n 0: there is no more. */
static struct pst_span
input_next(const struct pst_tls_io *io)
{
	size_t at = io->in_used;

	if (at < io->in_len)
		return pst_span(io->in + at, io->in_len - at);
	at -= io->in_len;
	for (unsigned i = 0; i < io->nmore; i++) {
		if (at < io->more[i].n)
			return pst_span(io->more[i].p + at, io->more[i].n - at);
		at -= io->more[i].n;
	}
	return pst_span(NULL, 0);
}

static size_t
input_take(struct pst_tls_io *io, uint8_t *p, size_t n)
{
	size_t done = 0;
	struct pst_span s;

	while (done < n && (s = input_next(io)).n > 0) {
		size_t part = PST_MIN(n - done, s.n);

		memcpy(p + done, s.p, part);
		io->in_used += part;
		done += part;
	}
	return done;
}

static int
wire_read(BIO *b, char *p, size_t n, size_t *done)
{
	struct pst_tls *t = BIO_get_data(b);
	struct pst_tls_io *io = t->io;

	BIO_clear_retry_flags(b);
	/* A flood stops here, within the call. */
	if (io != NULL && pst_tls_flood_end(t, (uint8_t *)p, n)) {
		*done = n;
		return 1;
	}
	*done = io != NULL && !t->budget.ended ? input_take(io, (uint8_t *)p, n) : 0;
	if (*done == 0) {
		BIO_set_retry_read(b);
		return 0;
	}
	pst_tls_flood_octets(t, *done);
	return 1;
}

static int
wire_write(BIO *b, const char *p, size_t n, size_t *done)
{
	struct pst_tls *t = BIO_get_data(b);
	struct pst_tls_io *io = t->io;
	size_t room = io != NULL ? io->out_cap - io->out_len : 0;

	BIO_clear_retry_flags(b);
	*done = PST_MIN(n, room);
	if (*done == 0) {
		BIO_set_retry_write(b);
		return 0;
	}
	memcpy(io->out + io->out_len, p, *done);
	io->out_len += *done;
	return 1;
}

static long
wire_ctrl(BIO *b, int cmd, long num, void *ptr)
{
	return cmd == BIO_CTRL_FLUSH; /* libssl needs this one; it asks for nothing else */
}

BIO_METHOD *
pst_tls_wire_method(void)
{
	/* A fixed number: BIO_get_new_index() has 127 to give, and contexts come and go. */
	BIO_METHOD *m = BIO_meth_new(BIO_TYPE_START | BIO_TYPE_SOURCE_SINK, "postern wire");

	if (m != NULL) {
		BIO_meth_set_read_ex(m, wire_read);
		BIO_meth_set_write_ex(m, wire_write);
		BIO_meth_set_ctrl(m, wire_ctrl);
	}
	return m;
}

BIO *
pst_tls_wire_new(struct pst_tls *t)
{
	BIO *b = BIO_new_ex(pst_crypto_libctx(t->ctx->crypto), t->ctx->wire);

	if (b != NULL) {
		BIO_set_data(b, t);
		BIO_set_init(b, 1);
	}
	return b;
}
