/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The server side's life: greeting, the event loop, answers, closing. What a
 * command means is in command.c, what a body's bytes mean in body.c.
 *
 * pst_smtp_server_next repeats one step until an event comes out or nothing more
 * can be done. A step first writes its reply, then changes state, then uses input:
 * when the output is full it can be run again as if it had never been tried.
 */
#include "smtp_int.h"

#include <stdio.h>
#include <stdlib.h>

void
pst_smtp_server_init(struct pst_smtp_server *s, const struct pst_smtp_server_conf *conf)
{
	*s = (struct pst_smtp_server){.conf = conf, .state = AWAIT_GREET};
}

static void
forget_helo(struct pst_smtp_server *s)
{
	free(s->helo);
	s->helo = NULL;
	s->esmtp = false;
	s->offered = 0;
}

void
pst_smtp_server_fini(struct pst_smtp_server *s)
{
	forget_helo(s);
	s->state = AWAIT_NOTHING;
}

void
pst_smtp_server_enter(struct pst_smtp_server *s, enum smtp_state to)
{
	s->state = (uint8_t)to;
}

void
pst_smtp_server_transaction_over(struct pst_smtp_server *s)
{
	s->mail_seen = s->bdat = s->last_chunk = s->smtputf8 = false;
	s->swallow = s->close_after = false;
	s->fail_code = 0;
	s->rcpts_ok = s->rcpts_seen = 0;
	s->pending = 0;
	s->declared_size = 0;
}

enum pst_rc
pst_smtp_server_say(struct pst_smtp_server *s, struct pst_buf *out, unsigned code, const char *enh,
	const char *text)
{
	/* RFC 6531 3.7.4.2: UTF-8 in a reply only where the client asked for SMTPUTF8. */
	return pst_smtp_reply_put_span(out, code, enh, pst_span_str(text), s->smtputf8);
}

enum smtp_step
pst_smtp_server_refuse(struct pst_smtp_server *s, struct pst_buf *out, const struct smtp_no *no)
{
	static const struct smtp_no enough = {421, "4.7.0", "too many errors"};
	bool error = no->code >= 500;
	bool close = error && s->conf->max_errors != 0 && s->errors >= s->conf->max_errors;
	if (close)
		no = &enough;
	if (pst_smtp_server_say(s, out, no->code, no->enh, no->text) != PST_OK)
		return STEP_FULL;
	if (error && s->errors < UINT16_MAX)
		s->errors++;
	if (close)
		pst_smtp_server_enter(s, AWAIT_CLOSE);
	return STEP_ON;
}

enum smtp_step
pst_smtp_server_refuse_and_close(struct pst_smtp_server *s, struct pst_buf *out,
	const struct smtp_no *no, struct pst_smtp_server_event *ev)
{
	if (pst_smtp_server_say(s, out, no->code, no->enh, no->text) != PST_OK)
		return STEP_FULL;
	pst_smtp_server_enter(s, AWAIT_NOTHING);
	ev->type = PST_SMTP_SEV_CLOSE;
	return STEP_EVENT;
}

enum pst_rc
pst_smtp_server_greet(struct pst_smtp_server *s, struct pst_buf *out)
{
	char text[300];
	if (s->state != AWAIT_GREET)
		return PST_BUG;
	snprintf(text, sizeof(text), "%.255s ESMTP Postern", s->conf->hostname);
	enum pst_rc rc = pst_smtp_server_say(s, out, 220, NULL, text);
	if (rc == PST_OK)
		pst_smtp_server_enter(s, AWAIT_COMMAND);
	return rc;
}

/* Bytes from a client whose turn it is not (features T7). */
static enum smtp_step
out_of_turn(struct pst_smtp_server *s, size_t n, size_t *used, struct pst_buf *out,
	struct pst_smtp_server_event *ev)
{
	static const struct smtp_no no = {554, "5.5.0", "you must wait for my reply"};
	if (n == 0)
		return STEP_WAIT;
	enum smtp_step st = pst_smtp_server_refuse_and_close(s, out, &no, ev);
	if (st == STEP_EVENT)
		*used = n;
	return st;
}

static enum smtp_step
step(struct pst_smtp_server *s, const uint8_t *in, size_t n, size_t *used, struct pst_buf *out,
	struct pst_smtp_server_event *ev)
{
	switch ((enum smtp_state)s->state) {
	case AWAIT_GREET:
	case AWAIT_DATA_ANSWER:
		return out_of_turn(s, n, used, out, ev);
	case AWAIT_COMMAND:
		return pst_smtp_server_command(s, in, n, used, out, ev);
	case AWAIT_DATA:
	case AWAIT_CHUNK:
		return pst_smtp_server_body(s, in, n, used, out, ev);
	case AWAIT_CLOSE:
		pst_smtp_server_enter(s, AWAIT_NOTHING);
		ev->type = PST_SMTP_SEV_CLOSE;
		return STEP_EVENT;
	case AWAIT_NOTHING:
		*used = n;
		return STEP_WAIT;
	case AWAIT_MAIL_ANSWER:
	case AWAIT_BDAT_ANSWER:
	case AWAIT_END_ANSWER:
	case AWAIT_TLS:
		break;
	}
	return STEP_WAIT;
}

enum pst_rc
pst_smtp_server_next(struct pst_smtp_server *s, const uint8_t *in, size_t n, size_t *used,
	struct pst_buf *out, struct pst_smtp_server_event *ev)
{
	static const uint8_t nothing;
	if (in == NULL)
		in = &nothing;
	*used = 0;
	for (;;) {
		size_t now = 0;
		memset(ev, 0, sizeof(*ev)); /* a refused command may have left half a meaning */
		enum smtp_step st = step(s, in + *used, n - *used, &now, out, ev);
		*used += now;
		switch (st) {
		case STEP_ON:
			continue;
		case STEP_EVENT:
			return PST_OK;
		case STEP_WAIT:
			return PST_AGAIN;
		case STEP_FULL:
			return PST_NOMEM;
		}
	}
}

/* Is there an event that this code may answer? */
static bool
answer_fits(const struct pst_smtp_server *s, unsigned code)
{
	bool refusal = code >= 400;
	if (code == 421)
		return s->state != AWAIT_NOTHING;
	if (s->pending > 0)
		return s->state == AWAIT_COMMAND && (refusal || code / 100 == 2);
	switch ((enum smtp_state)s->state) {
	case AWAIT_MAIL_ANSWER:
	case AWAIT_END_ANSWER:
		return refusal || code / 100 == 2;
	case AWAIT_DATA_ANSWER:
		return refusal || code == 354;
	case AWAIT_BDAT_ANSWER:
		return refusal;
	default:
		return false;
	}
}

/* The one refusal whose consequences are still on the wire: the chunk's octets. */
static void
chunk_refused(struct pst_smtp_server *s)
{
	s->swallow = true;
	s->fail_code = 0;
	pst_smtp_server_enter(s, AWAIT_CHUNK);
}

static void
answered(struct pst_smtp_server *s, unsigned code)
{
	bool good = code < 400;
	if (code == 421) {
		pst_smtp_server_enter(s, AWAIT_CLOSE);
	} else if (s->pending > 0) {
		s->pending--;
		s->rcpts_ok += good;
	} else if (s->state == AWAIT_BDAT_ANSWER) {
		chunk_refused(s);
	} else if (s->state == AWAIT_DATA_ANSWER && good) {
		pst_smtp_body_begin(s);
		pst_smtp_server_enter(s, AWAIT_DATA);
	} else {
		bool stands = s->state == AWAIT_MAIL_ANSWER && good;
		if (s->state == AWAIT_END_ANSWER && good)
			s->junk = 0;
		if (!stands)
			pst_smtp_server_transaction_over(s);
		s->mail_seen = stands;
		pst_smtp_server_enter(s, AWAIT_COMMAND);
	}
}

static enum pst_rc
answer(struct pst_smtp_server *s, struct pst_buf *out, unsigned code, const char *enh,
	struct pst_span text)
{
	if (!answer_fits(s, code))
		return PST_BUG;
	enum pst_rc rc = pst_smtp_reply_put_span(out, code, enh, text, s->smtputf8);
	if (rc == PST_OK)
		answered(s, code);
	return rc;
}

enum pst_rc
pst_smtp_server_reply(struct pst_smtp_server *s, struct pst_buf *out, unsigned code,
	const char *enh, const char *text)
{
	return answer(s, out, code, enh, pst_span_str(text));
}

enum pst_rc
pst_smtp_server_reply_put(
	struct pst_smtp_server *s, struct pst_buf *out, const struct pst_smtp_reply *r)
{
	char enh[PST_SMTP_ENH_TEXT];
	return answer(s, out, r->code, pst_smtp_enh_text(r, enh), r->text);
}

void
pst_smtp_server_chunk(struct pst_smtp_server *s)
{
	if (s->state != AWAIT_BDAT_ANSWER)
		return;
	if (!s->bdat)
		pst_smtp_body_begin(s);
	s->bdat = true;
	pst_smtp_server_enter(s, AWAIT_CHUNK);
}

void
pst_smtp_server_body_fail(
	struct pst_smtp_server *s, unsigned code, const char *enh, const char *text)
{
	bool between = s->state == AWAIT_COMMAND && s->bdat;
	bool ended = s->state == AWAIT_END_ANSWER;
	bool chunk = s->state == AWAIT_BDAT_ANSWER || s->state == AWAIT_CHUNK;
	if (s->swallow || !(between || ended || chunk || s->state == AWAIT_DATA))
		return;
	s->swallow = true;
	s->fail_code = (uint16_t)code;
	snprintf(s->fail_enh, sizeof(s->fail_enh), "%s", enh == NULL ? "" : enh);
	s->fail_text = text;
	if (ended)
		s->chunk_left = 0; /* a chunk of nothing: only the answer is left */
	if (ended || chunk)
		pst_smtp_server_enter(s, AWAIT_CHUNK);
}

bool
pst_smtp_server_ready(const struct pst_smtp_server *s)
{
	return s->state == AWAIT_CLOSE || (s->state == AWAIT_CHUNK && s->chunk_left == 0);
}

bool
pst_smtp_server_in_body(const struct pst_smtp_server *s)
{
	return s->state == AWAIT_DATA || s->state == AWAIT_CHUNK;
}

bool
pst_smtp_server_idle(const struct pst_smtp_server *s)
{
	return s->state == AWAIT_COMMAND && !s->mail_seen && s->pending == 0;
}

void
pst_smtp_server_tls(struct pst_smtp_server *s)
{
	/*
	 * RFC 3207 4.2: "the server MUST discard any knowledge obtained from the client,
	 * such as the argument to the EHLO command". What we learned of its manners stays.
	 */
	forget_helo(s);
	pst_smtp_server_transaction_over(s);
	s->skip_line = false;
	s->tls = true;
	if (s->state == AWAIT_TLS)
		pst_smtp_server_enter(s, AWAIT_COMMAND);
}

const char *
pst_smtp_server_with(const struct pst_smtp_server *s)
{
	/* RFC 3848; RFC 6531 4.3. HELO over TLS has no registered name. */
	if (!s->esmtp)
		return "SMTP";
	if (s->smtputf8)
		return s->tls ? "UTF8SMTPS" : "UTF8SMTP";
	return s->tls ? "ESMTPS" : "ESMTP";
}
