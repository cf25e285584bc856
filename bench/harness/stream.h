/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A byte stream with or without TLS, for engines: wire bytes in gen_io, plaintext here.
 * Pure; the caller owns the stream and gives the scratch.
 */
#ifndef STREAM_H
#define STREAM_H

#include "gen.h"

#include <pst_tls.h>

#define STREAM_READ_MAX (16 * 1024) /* one TLS record */

struct stream {
	struct pst_tls *tls; /* NULL: in clear */
	bool handshaking;
};

/* TLS from here on. cache and key: client's resumption, or NULL. PST_NOMEM. */
enum pst_rc stream_start_tls(struct stream *s, struct pst_tls_ctx *ctx, struct pst_tls_cache *cache,
	struct pst_span key);
void stream_fini(struct stream *s);
/* PST_OK: the handshake is done. PST_AGAIN: more bytes needed. PST_PEER: stream_error. */
enum pst_rc stream_handshake(struct stream *s, struct gen_io *io);
/*
 * Some plaintext, at most STREAM_READ_MAX bytes, in `got`: valid until the next call with the
 * same scratch. PST_AGAIN: none. PST_EOF: the peer is done. PST_PEER: it broke a rule.
 */
enum pst_rc stream_read(struct stream *s, struct gen_io *io, uint8_t scratch[STREAM_READ_MAX],
	struct pst_span *got);
/* Plaintext bytes that stream_write would take now. */
size_t stream_room(const struct stream *s, const struct gen_io *io);
/* All of n <= stream_room. */
enum pst_rc stream_write(struct stream *s, struct gen_io *io, const void *p, size_t n);
/* close_notify, where there is TLS and room. */
void stream_shutdown(struct stream *s, struct gen_io *io);
const char *stream_error(const struct stream *s);

#endif
