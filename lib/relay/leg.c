/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A leg: TCP with or without TLS, seen as plaintext.
 *
 * Reading copies once: in clear the span points into TCP's mbufs; with TLS the
 * record is decrypted into the worker's scratch. Only what the reader leaves over
 * moves into the leg's own buffer, so a leg that waits for nothing holds nothing.
 *
 * Writing gathers: whatever a turn produces goes to TCP in one write, encrypted
 * into the worker's wire scratch first. pst_tcp_write takes a whole burst or
 * nothing once there is room, so no ciphertext is ever left behind.
 */
#include "relay.h"

#include <pst_cycles.h>

void
leg_init(struct leg *l, enum leg_kind kind, struct pst_tcp_conn *conn)
{
	*l = (struct leg){.kind = (uint8_t)kind, .conn = conn};
	pst_buf_init(&l->in, LEG_IN_MAX);
	pst_buf_init(&l->out, LEG_OUT_MAX);
}

enum pst_rc
leg_start_tls(struct leg *l, struct pst_tls_ctx *ctx, const struct pst_tls_expect *e,
	struct pst_tls_cache *cache, struct pst_span key)
{
	l->tls = PST_SPEND(
		PST_LAYER_TLS, e != NULL ? pst_tls_new_expect(ctx, e) : pst_tls_new(ctx, NULL));
	if (l->tls == NULL)
		return PST_NOMEM;
	pst_tls_set_user(l->tls, l);
	if (cache != NULL)
		pst_tls_use_cache(l->tls, cache, key);
	l->handshaking = true;
	return PST_OK;
}

/* A record of 16 KiB in full segments of Ethernet lies in twelve runs: one call decrypts it. */
#define LEG_RUNS 16

static struct pst_tls_io
wire_out(struct shard *sh)
{
	return (struct pst_tls_io){.out = sh->wire, .out_cap = SHARD_WIRE};
}

static struct pst_tls_io
wire_io(struct shard *sh, const struct leg *l, struct pst_span runs[LEG_RUNS])
{
	struct pst_tls_io io = wire_out(sh);

	io.more = runs;
	io.nmore = pst_tcp_peek_runs(l->conn, runs, LEG_RUNS);
	return io;
}

/* After any TLS call: what it used leaves TCP, what it made goes to TCP. */
static enum pst_rc
wire_settle(struct leg *l, const struct pst_tls_io *io)
{
	if (io->in_used > 0)
		PST_SPEND(PST_LAYER_TCP, pst_tcp_consume(l->conn, io->in_used));
	if (io->out_len == 0)
		return PST_OK;
	return PST_SPEND(PST_LAYER_TCP, pst_tcp_write(l->conn, io->out, io->out_len));
}

static enum pst_rc
leg_fail(struct leg *l, enum pst_rc rc)
{
	l->error = true;
	return rc;
}

/* May it take a step in this turn? Else its connection is looked at again in the next. */
static bool
step_granted(struct shard *sh, struct leg *l)
{
	/* A client of ours parses and verifies certificates: some of its steps cost twice. */
	unsigned cost = l->kind == LEG_HOP ? 2 : 1;

	if (sh->steps_left >= cost) {
		sh->steps_left -= cost;
		return true;
	}
	sh->c.handshakes_deferred += !l->deferred;
	if (!l->deferred)
		TAILQ_INSERT_TAIL(&sh->deferred, l, link);
	l->deferred = true;
	return false;
}

/* TLS is dead; a flood is counted by its cause (T9). */
static enum pst_rc
leg_fail_tls(struct shard *sh, struct leg *l)
{
	enum pst_tls_flood flood = pst_tls_flood(l->tls);

	if (flood != PST_TLS_FLOOD_NONE)
		sh->labels.tls_floods[l->kind == LEG_CLIENT ? PST_LEG_CLIENT : PST_LEG_NEXTHOP]
				     [flood]++;
	return leg_fail(l, PST_PEER);
}

enum pst_rc
leg_handshake(struct shard *sh, struct leg *l)
{
	for (;;) {
		struct pst_span runs[LEG_RUNS];
		struct pst_tls_io io;
		enum pst_rc rc;

		if (pst_tls_paused(l->tls))
			return PST_WANT_ASYNC;
		if (pst_tcp_send_space(l->conn) == 0 || !step_granted(sh, l))
			return PST_AGAIN;
		io = wire_io(sh, l, runs);
		rc = PST_SPEND(PST_LAYER_TLS, pst_tls_handshake(l->tls, &io));
		/* A flight may have begun before a pause: half of it lost is all of it lost. */
		if (wire_settle(l, &io) != PST_OK && rc != PST_PEER && rc != PST_NOMEM)
			return leg_fail(l, PST_NOMEM);
		if (rc == PST_OK) {
			l->handshaking = false;
			l->encrypted = true;
			return PST_OK;
		}
		if (rc != PST_AGAIN)
			return rc == PST_WANT_ASYNC ? rc : leg_fail_tls(sh, l);
		if (io.in_used > 0 && pst_tcp_readable(l->conn) > 0)
			continue;
		return pst_tcp_eof(l->conn) ? leg_fail(l, PST_PEER) : PST_AGAIN;
	}
}

/* Decrypts into p; PST_OK with *n > 0, else as leg_read. */
static enum pst_rc
read_tls(struct shard *sh, struct leg *l, uint8_t *p, size_t cap, size_t *n)
{
	for (;;) {
		struct pst_span runs[LEG_RUNS];
		struct pst_tls_io io = wire_io(sh, l, runs);
		enum pst_rc rc;

		/* A read may have to answer (KeyUpdate, alert): never read without room for it. */
		if (pst_tcp_send_space(l->conn) == 0)
			return PST_AGAIN;
		rc = PST_SPEND(PST_LAYER_TLS, pst_tls_read(l->tls, &io, p, cap, n));
		if (wire_settle(l, &io) != PST_OK && (rc == PST_OK || rc == PST_AGAIN))
			return leg_fail(l, PST_NOMEM);
		if (rc == PST_OK || rc == PST_EOF)
			return rc;
		if (rc != PST_AGAIN)
			return leg_fail_tls(sh, l);
		if (io.in_used > 0 && pst_tcp_readable(l->conn) > 0)
			continue;
		/* FIN without close_notify may be a truncation: never an orderly end. */
		return pst_tcp_eof(l->conn) ? leg_fail(l, PST_PEER) : PST_AGAIN;
	}
}

static enum pst_rc
nothing_more(struct leg *l)
{
	return pst_tcp_eof(l->conn) ? PST_EOF : PST_AGAIN;
}

/* Adds to the bytes that were kept. */
static enum pst_rc
read_more(struct shard *sh, struct leg *l)
{
	size_t room = PST_MIN(pst_buf_room(&l->in), (size_t)(16 * 1024));
	size_t n = 0;
	enum pst_rc rc;
	uint8_t *p;

	if (room == 0)
		return PST_AGAIN;
	if (!l->encrypted) {
		struct pst_span s = pst_tcp_peek(l->conn);

		if (s.n == 0)
			return nothing_more(l);
		n = PST_MIN(s.n, room);
		if (pst_buf_append(&l->in, s.p, n) != PST_OK)
			return leg_fail(l, PST_NOMEM);
		PST_SPEND(PST_LAYER_TCP, pst_tcp_consume(l->conn, n));
		return PST_OK;
	}
	p = pst_buf_reserve(&l->in, room);
	if (p == NULL)
		return leg_fail(l, PST_NOMEM);
	rc = read_tls(sh, l, p, room, &n);
	pst_buf_commit(&l->in, rc == PST_OK ? n : 0);
	return rc;
}

enum pst_rc
leg_read(struct shard *sh, struct leg *l, bool more, struct pst_span *s)
{
	enum pst_rc rc;
	size_t n = 0;

	*s = pst_span(NULL, 0);
	if (l->error)
		return PST_PEER;
	/* In clear, what the reader left over is still in TCP: gather it to see more of it at once.
	 */
	if (pst_buf_len(&l->in) > 0 || (more && !l->encrypted)) {
		rc = more ? read_more(sh, l) : PST_OK;
		*s = pst_buf_span(&l->in);
		return rc;
	}
	if (!l->encrypted) {
		*s = pst_tcp_peek(l->conn);
		return s->n > 0 ? PST_OK : nothing_more(l);
	}
	rc = read_tls(sh, l, sh->plain, 16 * 1024, &n);
	if (rc == PST_OK)
		*s = pst_span(sh->plain, n);
	return rc;
}

enum pst_rc
leg_used(struct leg *l, struct pst_span s, size_t used)
{
	if (s.p != NULL && pst_buf_len(&l->in) > 0 && s.p == pst_buf_span(&l->in).p) {
		pst_buf_consume(&l->in, used);
		return PST_OK;
	}
	if (!l->encrypted) {
		PST_SPEND(PST_LAYER_TCP, pst_tcp_consume(l->conn, used));
		return PST_OK;
	}
	if (used == s.n)
		return PST_OK;
	if (pst_buf_append(&l->in, s.p + used, s.n - used) != PST_OK)
		return leg_fail(l, PST_NOMEM);
	return PST_OK;
}

bool
leg_has_input(const struct leg *l)
{
	return pst_buf_len(&l->in) > 0 || pst_tcp_readable(l->conn) > 0 ||
	       (l->tls != NULL && pst_tls_pending(l->tls));
}

bool
leg_writable(struct leg *l)
{
	return pst_buf_len(&l->out) == 0 && leg_can_flush(l);
}

static enum pst_rc
write_now(struct shard *sh, struct leg *l, const uint8_t *p, size_t n)
{
	struct pst_tls_io io = wire_out(sh);

	if (!l->encrypted)
		return PST_SPEND(PST_LAYER_TCP, pst_tcp_write(l->conn, p, n));
	for (size_t off = 0; off < n;) {
		size_t part = PST_MIN(n - off, (size_t)PST_TLS_WRITE_MAX);

		if (PST_SPEND(PST_LAYER_TLS, pst_tls_write(l->tls, &io, p + off, part)) != PST_OK)
			return PST_PEER;
		off += part;
	}
	return PST_SPEND(PST_LAYER_TCP, pst_tcp_write(l->conn, io.out, io.out_len));
}

enum pst_rc
leg_write(struct shard *sh, struct leg *l, const void *p, size_t n)
{
	enum pst_rc rc = write_now(sh, l, p, n);

	return rc == PST_OK ? PST_OK : leg_fail(l, rc);
}

bool
leg_can_flush(struct leg *l)
{
	return !l->error && !l->handshaking && pst_tcp_send_space(l->conn) > 0;
}

enum pst_rc
leg_flush(struct shard *sh, struct leg *l)
{
	struct pst_span s = pst_buf_span(&l->out);
	enum pst_rc rc;

	if (s.n == 0)
		return PST_OK;
	if (l->error)
		return PST_PEER;
	if (l->handshaking || pst_tcp_send_space(l->conn) == 0)
		return PST_AGAIN;
	rc = write_now(sh, l, s.p, s.n);
	pst_buf_consume(&l->out, s.n);
	return rc == PST_OK ? PST_OK : leg_fail(l, rc);
}

static void
leg_fini(struct shard *sh, struct leg *l)
{
	if (l->deferred)
		TAILQ_REMOVE(&sh->deferred, l, link);
	l->deferred = false;
	if (l->tls != NULL)
		PST_SPEND(PST_LAYER_TLS, pst_tls_free(l->tls));
	l->tls = NULL;
	l->conn = NULL;
	pst_buf_fini(&l->in);
	pst_buf_fini(&l->out);
}

void
leg_close(struct shard *sh, struct leg *l)
{
	if (l->conn == NULL)
		return;
	(void)leg_flush(sh, l); /* what does not fit is lost with the connection */
	if (l->encrypted && !l->error && pst_tcp_send_space(l->conn) > 0) {
		struct pst_tls_io io = wire_out(sh);

		(void)PST_SPEND(PST_LAYER_TLS, pst_tls_shutdown(l->tls, &io));
		if (io.out_len > 0)
			(void)PST_SPEND(PST_LAYER_TCP, pst_tcp_write(l->conn, io.out, io.out_len));
	}
	/* Bytes left unread would turn the FIN into a RST, which can overtake our last reply. */
	pst_tcp_consume(l->conn, pst_tcp_readable(l->conn));
	PST_SPEND(PST_LAYER_TCP, pst_tcp_close(l->conn));
	leg_fini(sh, l);
}

void
leg_abort(struct shard *sh, struct leg *l)
{
	if (l->conn == NULL)
		return;
	PST_SPEND(PST_LAYER_TCP, pst_tcp_abort(l->conn));
	leg_fini(sh, l);
}
