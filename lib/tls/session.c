/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One TLS connection. Each call lends OpenSSL the caller's buffers through the
 * wire BIO (enter, leave), runs one SSL function, and turns its answer into a
 * pst_rc. After a failure OpenSSL is not called again.
 *
 * A handshake may pause in the middle of a crypto operation (pst_engine.h). Then
 * OpenSSL is left alone until the operation is done; nothing pauses after it.
 */
#include "tls_int.h"
#include <openssl/err.h>
#include <stdlib.h>

/* A record's header, MAC, padding and IV at their longest (CBC with SHA-384), rounded up. */
#define RECORD_OVERHEAD 128
/* What may stand in front of a write: a KeyUpdate answer. */
#define WRITE_SLACK 1024
/* Resumptions of a paused job that pst_tls_free grants before it gives the job up. */
#define CANCEL_STEPS 64

/* OpenSSL's, on whatever thread a named engine has; the session may be gone. */
static int
answered(SSL *ssl, void *number)
{
	pst_named_answered((uintptr_t)number);
	return 1;
}

/*
 * Jobs, if the thread's handshakes may pause. A named engine's callback must be there before
 * the first call, when OpenSSL hands it on.
 */
static bool
set_async(struct pst_tls *t)
{
	uint64_t number = pst_named_begin(&t->waiter);

	if (number != 0 &&
		(SSL_set_async_callback(t->ssl, answered) != 1 ||
			SSL_set_async_callback_arg(t->ssl, (void *)(uintptr_t)number) != 1))
		return false;
	if (number != 0 || pst_lane_async())
		SSL_set_mode(t->ssl, SSL_MODE_ASYNC);
	return true;
}

static struct pst_tls *
session_new(struct pst_tls_ctx *ctx)
{
	struct pst_tls *t = calloc(1, sizeof(*t));
	BIO *wire;

	ERR_clear_error();
	if (t == NULL)
		return NULL;
	t->ctx = pst_tls_ctx_get(ctx);
	pst_tls_flood_init(t);
	t->ssl = SSL_new(ctx->ssl);
	if (t->ssl == NULL || (wire = pst_tls_wire_new(t)) == NULL)
		goto fail;
	SSL_set_bio(t->ssl, wire, wire);
	if (set_async(t) && SSL_set_app_data(t->ssl, t) == 1)
		return t;
fail:
	ERR_clear_error();
	pst_tls_free(t);
	return NULL;
}

struct pst_tls *
pst_tls_new_expect(struct pst_tls_ctx *ctx, const struct pst_tls_expect *e)
{
	struct pst_tls *t = session_new(ctx);

	if (t == NULL)
		return NULL;
	SSL_set_connect_state(t->ssl);
	SSL_set_security_level(
		t->ssl, e->verify == PST_TLS_VERIFY_OFF ? ctx->level_any : ctx->level);
	if (ctx->side == PST_TLS_CLIENT && pst_tls_expect_set(t, e) == PST_OK)
		return t;
	ERR_clear_error();
	pst_tls_free(t);
	return NULL;
}

struct pst_tls *
pst_tls_new(struct pst_tls_ctx *ctx, const char *name)
{
	struct pst_tls_expect e = {.verify = ctx->verify, .servername = name};
	struct pst_tls *t;

	if (ctx->side == PST_TLS_CLIENT) {
		e.nnames = name != NULL;
		e.names[0].name = name;
		return pst_tls_new_expect(ctx, &e);
	}
	t = session_new(ctx);
	if (t != NULL)
		SSL_set_accept_state(t->ssl);
	return t;
}

void
pst_tls_set_user(struct pst_tls *t, void *user)
{
	t->waiter.user = user;
}

bool
pst_tls_paused(const struct pst_tls *t)
{
	return pst_waiter_busy(&t->waiter);
}

static void destroy(struct pst_tls *t);

/* Another thread was in the middle of the operation when its connection ended; now it is not. */
static void
bury(struct pst_waiter *w)
{
	destroy(pst_container_of(w, struct pst_tls, waiter));
}

/*
 * A connection with a paused job must not be freed: OpenSSL leaks the job and
 * its stack. So the job is resumed until it has unwound; the operation it waits
 * for sees that it was cancelled and fails. A named engine's does not, and the next
 * may pause too: false, bury is called again when that was answered.
 */
static bool
unwind(struct pst_tls *t)
{
	bool awaited = false;

	t->io = NULL;
	pst_waiter_enter(&t->waiter);
	for (unsigned i = 0; i < CANCEL_STEPS && SSL_waiting_for_async(t->ssl) && !awaited; i++) {
		ERR_clear_error();
		(void)SSL_do_handshake(t->ssl);
		awaited = SSL_waiting_for_async(t->ssl) && pst_named_paused(&t->waiter);
	}
	pst_waiter_leave(false);
	ERR_clear_error();
	return !awaited || pst_waiter_cancel(&t->waiter, bury);
}

static void
destroy(struct pst_tls *t)
{
	if (t->ssl != NULL) {
		if (!unwind(t))
			return;
		pst_named_end(&t->waiter);
		SSL_free(t->ssl);
	}
	pst_tls_expect_free(t);
	pst_tls_ctx_put(t->ctx);
	free(t->error);
	free(t);
}

void
pst_tls_free(struct pst_tls *t)
{
	if (t == NULL)
		return;
	t->cache = NULL; /* which may be gone when it is buried */
	if (pst_waiter_cancel(&t->waiter, bury))
		destroy(t);
}

static void
enter(struct pst_tls *t, struct pst_tls_io *io)
{
	t->io = io;
	/* The queue is the thread's: what others left there would be taken for ours. */
	ERR_clear_error();
}

/* SSL_get_error's answer as ours. PST_PEER and PST_NOMEM leave t failed. */
static enum pst_rc
leave(struct pst_tls *t, int ret)
{
	enum pst_rc rc = PST_PEER;

	/* What lies in the queue when a call pauses would be taken for its failure. */
	if (SSL_want_async(t->ssl) || SSL_want_async_job(t->ssl))
		ERR_clear_error();
	switch (SSL_get_error(t->ssl, ret)) {
	case SSL_ERROR_NONE:
		rc = PST_OK;
		break;
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		rc = PST_AGAIN;
		break;
	case SSL_ERROR_WANT_ASYNC_JOB:
		pst_waiter_want_job(&t->waiter);
		rc = PST_WANT_ASYNC;
		break;
	case SSL_ERROR_WANT_ASYNC:
		(void)pst_named_paused(&t->waiter);
		rc = PST_WANT_ASYNC;
		break;
	case SSL_ERROR_ZERO_RETURN:
		rc = PST_EOF;
		break;
	default:
		if (ERR_GET_REASON(ERR_peek_error()) == ERR_R_MALLOC_FAILURE)
			rc = PST_NOMEM;
		pst_tls_flood_blame(t, ERR_peek_error());
		pst_tls_fail(t, pst_tls_flood_text(t));
	}
	/* In the middle of a record there is no place for an alert. */
	if (rc == PST_AGAIN && pst_tls_flood_text(t) != NULL) {
		pst_tls_fail(t, pst_tls_flood_text(t));
		rc = PST_PEER;
	}
	if (ERR_peek_error() != 0)
		ERR_clear_error();
	/* Also while a job is paused: the wire BIO looks here anew each time. */
	t->io = NULL;
	return rc;
}

/*
 * The certificate's verdict was judged when the session was made, perhaps under
 * another profile: it must satisfy this one too.
 */
static enum pst_rc
finish_handshake(struct pst_tls *t)
{
	t->done = true;
	pst_tls_flood_done(t);
	SSL_clear_mode(t->ssl, SSL_MODE_ASYNC);
	pst_named_end(&t->waiter);
	pst_tls_expect_free(t);
	t->verify_error = SSL_get_verify_result(t->ssl);
	if (t->ctx->side == PST_TLS_SERVER ? pst_tls_server_enough(t)
					   : pst_tls_verify_enough(t, t->verify_error))
		return PST_OK;
	pst_tls_fail(t, t->ctx->side == PST_TLS_SERVER
				? "the resumed session lacks a client certificate"
				: "the resumed session was not verified");
	return PST_PEER;
}

enum pst_rc
pst_tls_handshake(struct pst_tls *t, struct pst_tls_io *io)
{
	enum pst_rc rc;
	bool job;

	if (t->failed)
		return PST_PEER;
	if (t->done)
		return PST_OK;
	if (pst_tls_paused(t))
		return PST_WANT_ASYNC;
	t->started = true;
	job = (SSL_get_mode(t->ssl) & SSL_MODE_ASYNC) != 0 && !SSL_waiting_for_async(t->ssl);
	enter(t, io);
	pst_waiter_enter(&t->waiter);
	rc = leave(t, SSL_do_handshake(t->ssl));
	pst_waiter_leave(job);
	if (rc == PST_OK)
		rc = finish_handshake(t);
	if (rc == PST_EOF) {
		pst_tls_fail(t, "the peer closed during the handshake");
		rc = PST_PEER;
	}
	/* A session that the peer chokes on must not be offered again. */
	if (rc == PST_PEER && t->cache != NULL)
		pst_tls_cache_forget(t->cache, t->key);
	return rc;
}

enum pst_rc
pst_tls_read(struct pst_tls *t, struct pst_tls_io *io, void *buf, size_t cap, size_t *n)
{
	enum pst_rc rc;

	*n = 0;
	if (t->failed)
		return PST_PEER;
	if (!t->done || cap == 0)
		return PST_INVAL;
	enter(t, io);
	rc = leave(t, SSL_read_ex(t->ssl, buf, cap, n));
	/* Handling a ticket makes OpenSSL allocate a write buffer, which only a write would
	 * release. */
	if (rc == PST_AGAIN && t->budget.messages > 0)
		(void)SSL_free_buffers(t->ssl); /* does nothing while bytes are pending */
	if (rc == PST_OK)
		pst_tls_flood_data(t, *n);
	return rc;
}

static size_t
room_for(size_t n)
{
	return n + (n / SSL3_RT_MAX_PLAIN_LENGTH + 1) * RECORD_OVERHEAD + WRITE_SLACK;
}

enum pst_rc
pst_tls_write(struct pst_tls *t, struct pst_tls_io *io, const void *p, size_t n)
{
	size_t done = 0;

	if (t->failed)
		return PST_PEER;
	if (!t->done || t->closed || n > PST_TLS_WRITE_MAX)
		return PST_INVAL;
	if (n == 0)
		return PST_OK;
	if (io->out_cap - io->out_len < room_for(n))
		return PST_AGAIN;
	enter(t, io);
	return leave(t, SSL_write_ex(t->ssl, p, n, &done));
}

/*
 * RFC 8446 6.1: "Each party MUST send a "close_notify" alert before closing its
 * write side of the connection, unless it has already sent some error alert."
 */
enum pst_rc
pst_tls_shutdown(struct pst_tls *t, struct pst_tls_io *io)
{
	enum pst_rc rc;
	int ret;

	if (t->failed || !t->done || t->closed)
		return PST_OK;
	enter(t, io);
	ret = SSL_shutdown(t->ssl);
	/* 0: ours is sent, the peer's has not come; we do not wait for it here. */
	rc = leave(t, ret == 0 ? 1 : ret);
	t->closed = rc == PST_OK;
	return rc;
}

bool
pst_tls_pending(const struct pst_tls *t)
{
	return !t->failed && SSL_pending(t->ssl) > 0;
}
