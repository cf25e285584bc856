/* SPDX-License-Identifier: BSD-3-Clause */
#include "stream.h"

enum pst_rc
stream_start_tls(
	struct stream *s, struct pst_tls_ctx *ctx, struct pst_tls_cache *cache, struct pst_span key)
{
	s->tls = pst_tls_new(ctx, NULL);
	if (s->tls == NULL)
		return PST_NOMEM;
	if (cache != NULL)
		pst_tls_use_cache(s->tls, cache, key);
	s->handshaking = true;
	return PST_OK;
}

void
stream_fini(struct stream *s)
{
	if (s->tls != NULL)
		pst_tls_free(s->tls);
	*s = (struct stream){0};
}

/* The same bytes as TLS sees them. */
static struct pst_tls_io
wire(const struct gen_io *io)
{
	return (struct pst_tls_io){.in = io->in + io->in_used,
		.in_len = io->in_len - io->in_used,
		.out = io->out + io->out_len,
		.out_cap = io->out_cap - io->out_len};
}

static size_t
settle(struct gen_io *io, const struct pst_tls_io *t)
{
	io->in_used += t->in_used;
	io->out_len += t->out_len;
	return t->in_used;
}

static enum pst_rc
nothing_more(const struct gen_io *io, enum pst_rc at_end)
{
	return io->eof && io->in_used == io->in_len ? at_end : PST_AGAIN;
}

enum pst_rc
stream_handshake(struct stream *s, struct gen_io *io)
{
	for (;;) {
		struct pst_tls_io t = wire(io);
		enum pst_rc rc = pst_tls_handshake(s->tls, &t);
		size_t used = settle(io, &t);

		if (rc == PST_OK)
			s->handshaking = false;
		if (rc != PST_AGAIN)
			return rc;
		if (used == 0 || io->in_used == io->in_len)
			return nothing_more(io, PST_PEER);
	}
}

static enum pst_rc
read_tls(struct stream *s, struct gen_io *io, uint8_t *scratch, struct pst_span *got)
{
	for (;;) {
		struct pst_tls_io t = wire(io);
		size_t n = 0;
		enum pst_rc rc = pst_tls_read(s->tls, &t, scratch, STREAM_READ_MAX, &n);
		size_t used = settle(io, &t);

		*got = pst_span(scratch, n);
		if (rc != PST_AGAIN)
			return rc;
		if (used == 0 || io->in_used == io->in_len)
			return nothing_more(io, PST_PEER);
	}
}

enum pst_rc
stream_read(
	struct stream *s, struct gen_io *io, uint8_t scratch[STREAM_READ_MAX], struct pst_span *got)
{
	size_t n = PST_MIN(io->in_len - io->in_used, (size_t)STREAM_READ_MAX);

	if (s->tls != NULL)
		return read_tls(s, io, scratch, got);
	*got = pst_span(io->in + io->in_used, n);
	io->in_used += n;
	return n > 0 ? PST_OK : nothing_more(io, PST_EOF);
}

size_t
stream_room(const struct stream *s, const struct gen_io *io)
{
	size_t room = io->out_cap - io->out_len;

	if (s->tls == NULL)
		return room;
	if (s->handshaking || room <= PST_TLS_OUT_MIN)
		return 0;
	/* A record adds at most 22 bytes to 16 KiB: an eighth is generous, as in relay. */
	return (room - PST_TLS_OUT_MIN) / 9 * 8;
}

enum pst_rc
stream_write(struct stream *s, struct gen_io *io, const void *p, size_t n)
{
	const uint8_t *at = p;

	if (s->tls == NULL) {
		memcpy(io->out + io->out_len, p, n);
		io->out_len += n;
		return PST_OK;
	}
	for (size_t off = 0; off < n;) {
		size_t part = PST_MIN(n - off, (size_t)PST_TLS_WRITE_MAX);
		struct pst_tls_io t = wire(io);
		enum pst_rc rc = pst_tls_write(s->tls, &t, at + off, part);

		(void)settle(io, &t);
		if (rc != PST_OK)
			return rc;
		off += part;
	}
	return PST_OK;
}

void
stream_shutdown(struct stream *s, struct gen_io *io)
{
	struct pst_tls_io t = wire(io);

	if (s->tls == NULL || s->handshaking || t.out_cap < PST_TLS_OUT_MIN)
		return;
	(void)pst_tls_shutdown(s->tls, &t);
	(void)settle(io, &t);
}

const char *
stream_error(const struct stream *s)
{
	return s->tls != NULL ? pst_tls_error(s->tls) : "the stream broke off";
}
