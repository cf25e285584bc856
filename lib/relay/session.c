/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A session: one client connection from SYN to FIN.
 *
 * The pump is the only place that knows the order of things: flush what is to be
 * said, read, let the SMTP engine make events of it, act on each, flush again. It
 * stops when it would have to wait: for the client, for the client's window, for
 * a reply of the next hop, for room towards the next hop. It never loops longer
 * than its budget; what is left then is run in the worker's next turn.
 *
 * A session is freed only by session_end, and that is called only from the entry
 * points (accept, event, timeout, pump, dismiss by the shard), never from inside a
 * hop's callbacks.
 */
#include "relay.h"

#include <pst_cycles.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PUMP_ROUNDS    16    /* reads of up to 16 KiB a turn */
#define LINGER_MS      10000 /* for a last reply to leave */
#define RATE_WINDOW_MS 30000u
#define BODY_FLOOR     512 /* message octets that a client must send within client_data */

const char *
session_id(const struct session *s, char buf[SID_MAX])
{
	const struct pst_relay *r = s->sh->relay;

	snprintf(buf, SID_MAX, "%s.%s.%u.%lx", r->box, r->boot, s->sh->worker,
		(unsigned long)s->counter);
	return buf;
}

void
session_timer_in(struct session *s, uint32_t ms)
{
	pst_timer_arm(&s->sh->wheel, &s->timer, s->sh->now_ms + ms);
}

/* The verdict of a transaction that its client walked away from. */
static void
abandon_tx(struct session *s, const char *why)
{
	struct tx *tx = s->tx;

	if (tx == NULL)
		return;
	if (tx->dot_sent) {
		s->sh->c.delivery_uncertain++;
		tx_finish(s, "uncertain", 451, "4.4.2", why);
	} else if (tx->fail.code != 0)
		tx_finish(s, tx->fail.code >= 500 ? "rejected" : "deferred", tx->fail.code,
			tx->fail.enh, tx->fail.text);
	else if (tx->no_code != 0 && !tx->wanted) /* nothing was left to send */
		tx_finish(s, tx->no_code >= 500 ? "rejected" : "deferred", tx->no_code, NULL,
			tx->no_text);
	else
		tx_finish(s, "aborted", 0, NULL, why);
}

void
session_end(struct session *s, const char *reason, bool abort_client)
{
	struct shard *sh = s->sh;
	struct pst_ip ip = pst_tcp_remote(s->leg.conn).ip;

	s->reason = s->reason != NULL ? s->reason : reason;
	if (s->hop != NULL && s->tx != NULL)
		log_hop_facts(s->tx, s->hop);
	tx_drop_hop(s);
	if (s->hop != NULL)
		hop_close(s->hop);
	abandon_tx(s, s->reason);
	log_session_end(s);
	admit_handshake_over(s);
	admit_leave(sh, &ip);
	if (abort_client)
		leg_abort(sh, &s->leg);
	else
		leg_close(sh, &s->leg);
	pst_timer_cancel(&sh->wheel, &s->timer);
	pst_smtp_server_fini(&s->smtp);
	waiter_forget(s);
	free(s->client_name);
	TAILQ_REMOVE(&sh->sessions, s, link);
	sh->nsessions--;
	sh->c.sessions_ended++;
	snapshot_put(s->snap, sh->worker);
	free(s);
}

void
session_dismiss(struct session *s, const char *enh, const char *text, const char *reason)
{
	if (s->closing)
		return;
	s->reason = reason;
	(void)pst_smtp_reply_put(&s->leg.out, 421, enh, text);
	s->closing = true;
	session_timer_in(s, LINGER_MS);
}

void
session_say(struct session *s, unsigned code, const char *enh, const char *text)
{
	if (PST_SPEND(PST_LAYER_SMTP,
		    pst_smtp_server_reply(&s->smtp, &s->leg.out, code, enh, text)) != PST_NOMEM)
		return;
	/* The client would wait for it for ever. */
	s->reason = "out of memory";
	s->leg.error = true;
}

/* Nothing that we say can be read: TLS is not up where it must be, or has failed. */
static bool
speechless(const struct session *s)
{
	return s->leg.handshaking || s->leg.error ||
	       (s->ln->tls == PST_CONFIG_TLS_IMPLICIT && !s->leg.encrypted);
}

void
session_cut(struct session *s)
{
	if (!s->closing && !speechless(s))
		(void)pst_smtp_reply_put(
			&s->leg.out, 421, "4.3.2", "Shutting down, try again later");
	session_end(s, "stopped", false);
}

void
session_drain(struct session *s)
{
	if (s->closing || s->tx != NULL || s->wait != WAIT_NONE || !pst_smtp_server_idle(&s->smtp))
		return;
	session_dismiss(s, "4.3.2", "Shutting down, try again later", "drain");
	session_pump(s);
}

/* ---- events of the SMTP engine ---- */

/* T1: nothing that came in clear behind STARTTLS is ever looked at. */
static void
on_starttls(struct session *s, bool surplus)
{
	tx_drop_hop(s); /* RFC 3207 4.2: what was said in clear is forgotten */
	abandon_tx(s, "STARTTLS");
	if (!surplus && !admit_handshake(s)) {
		pst_buf_consume(&s->leg.out, pst_buf_len(&s->leg.out)); /* the engine's 220 */
		session_dismiss(
			s, "4.7.0", "Too many handshakes, try again later", "too many handshakes");
		return;
	}
	s->starttls = !surplus; /* the 220 leaves first, then TLS begins */
	if (!surplus)
		return;
	s->sh->c.starttls_injection++;
	pst_buf_consume(&s->leg.out, pst_buf_len(&s->leg.out));
	(void)pst_smtp_reply_put(&s->leg.out, 554, "5.5.0", "Input behind STARTTLS");
	s->reason = "input behind STARTTLS";
	s->closing = true;
}

static void
on_mail(struct session *s, const struct pst_smtp_mail *m)
{
	struct pst_facts f = session_facts(s);
	struct pst_verdict v;

	abandon_tx(s, "new MAIL");
	if (s->sh->draining) {
		session_dismiss(s, "4.3.2", "Shutting down, try again later", "drain");
		return;
	}
	f.sender_known = true;
	f.sender_domain = m->from.domain;
	PST_SPEND(PST_LAYER_POLICY, pst_policy_mail(s->snap->policy->policy, &f, &v, NULL));
	if (v.kind == PST_VERDICT_REFUSE) {
		label_refusal(s->sh, v.reason);
		log_mail_refused(s, m, &v);
		session_say(s, v.code, v.enh, v.text);
	} else if (tx_begin(s, m) == PST_OK)
		session_say(s, 250, "2.1.0", "Ok");
	else
		session_say(s, 451, "4.3.0", "Out of memory, try again");
}

static void
on_data(struct session *s, const struct pst_smtp_server_event *ev)
{
	bool chunk = ev->type == PST_SMTP_SEV_BDAT;

	if (s->tx == NULL)
		session_say(s, 503, "5.5.1", "Bad sequence of commands");
	else if (chunk && s->tx->t_data != 0)
		pst_smtp_server_chunk(&s->smtp); /* the next hop's DATA is open already */
	else
		tx_data(s, chunk);
}

/* The message must not be completed: the next hop never sees its end. */
static void
on_body_bad(struct session *s, const struct pst_smtp_reply *r)
{
	char enh[12], text[128];

	if (s->tx == NULL)
		return;
	snprintf(enh, sizeof(enh), "%u.%u.%u", r->enh[0], r->enh[1], r->enh[2]);
	snprintf(text, sizeof(text), "%.*s", PST_SPAN_FMT(r->text));
	log_hop_facts(s->tx, s->hop);
	tx_drop_hop(s);
	tx_finish(s, "rejected", r->code, enh, text);
}

static uint8_t
stage_of(enum pst_smtp_server_ev type)
{
	switch (type) {
	case PST_SMTP_SEV_MAIL:
		return PST_STAGE_MAIL;
	case PST_SMTP_SEV_RCPT:
		return PST_STAGE_RCPT;
	case PST_SMTP_SEV_DATA:
	case PST_SMTP_SEV_BDAT:
		return PST_STAGE_DATA;
	case PST_SMTP_SEV_BODY:
	case PST_SMTP_SEV_CHUNK_END:
	case PST_SMTP_SEV_BODY_END:
	case PST_SMTP_SEV_BODY_BAD:
		return PST_STAGE_BODY;
	default:
		return PST_STAGE_HELO;
	}
}

static void
on_event(struct session *s, const struct pst_smtp_server_event *ev, bool surplus)
{
	s->progress |= ev->type != PST_SMTP_SEV_BODY; /* octets are counted, not seen */
	s->stage = stage_of(ev->type);
	if (s->stage < PST_STAGE_DATA && !admit_command(s)) {
		session_dismiss(
			s, "4.7.0", "Too many commands without a message", "too many commands");
		return;
	}
	switch (ev->type) {
	case PST_SMTP_SEV_HELO:
	case PST_SMTP_SEV_CHUNK_END:
		return;
	case PST_SMTP_SEV_STARTTLS:
		on_starttls(s, surplus);
		return;
	case PST_SMTP_SEV_MAIL:
		on_mail(s, &ev->mail);
		return;
	case PST_SMTP_SEV_RCPT:
		tx_rcpt(s, &ev->rcpt);
		return;
	case PST_SMTP_SEV_DATA:
	case PST_SMTP_SEV_BDAT:
		on_data(s, ev);
		return;
	case PST_SMTP_SEV_BODY:
		if (s->tx != NULL)
			tx_body(s, ev->body);
		return;
	case PST_SMTP_SEV_BODY_END:
		s->commands = s->refusals = 0;
		if (s->tx != NULL && s->hop != NULL)
			tx_body_end(s);
		return;
	case PST_SMTP_SEV_BODY_BAD:
		on_body_bad(s, &ev->bad);
		return;
	case PST_SMTP_SEV_RSET:
		tx_drop_hop(s);
		abandon_tx(s, "RSET");
		return;
	case PST_SMTP_SEV_QUIT:
		s->reason = "quit";
		s->closing = true;
		return;
	case PST_SMTP_SEV_CLOSE:
		s->reason = "not acceptable as SMTP";
		s->closing = true;
		return;
	}
}

/* ---- the pump ---- */

/* Message bytes may flow only when there is room for them on the other side. */
static bool
body_blocked(struct session *s)
{
	return s->tx != NULL && s->tx->t_data != 0 && !s->tx->dot_sent &&
	       pst_smtp_server_in_body(&s->smtp) && !tx_body_room(s);
}

/*
 * T7: between DATA and 354 the engine listens, to refuse who talks (and to see who
 * leaves). The octets of a chunk may come at once.
 */
static bool
must_wait(struct session *s)
{
	bool early = s->wait == WAIT_DATA && !s->chunk;

	return s->closing || s->starttls || (s->wait != WAIT_NONE && !early);
}

/*
 * Runs the engine over one span. PST_OK: all used or something must be waited for.
 * PST_AGAIN: the engine wants more bytes than it was given.
 */
static enum pst_rc
feed(struct session *s, struct pst_span in, size_t *used)
{
	struct pst_smtp_server_event ev;
	enum pst_rc rc;

	*used = 0;
	do {
		size_t n = 0;

		/* Half of the room is kept for what the next hop answers to a whole pipeline. */
		if (body_blocked(s) || pst_buf_room(&s->leg.out) < LEG_OUT_MAX / 2)
			return PST_OK;
		rc = PST_SPEND(PST_LAYER_SMTP, pst_smtp_server_next(&s->smtp, in.p + *used,
						       in.n - *used, &n, &s->leg.out, &ev));
		*used += n;
		if (pst_smtp_server_in_body(&s->smtp))
			s->body_in += n;
		if (rc == PST_OK)
			on_event(s, &ev, *used < in.n);
	} while (rc == PST_OK && !must_wait(s));
	return rc == PST_AGAIN ? PST_AGAIN : PST_OK;
}

static void
handshake_failed(struct session *s)
{
	const struct pst_config_broken_tls *b = &s->snap->cfg->policy.broken_tls;
	struct pst_ip ip = pst_tcp_remote(s->leg.conn).ip;

	s->sh->c.client_handshake_failures++;
	s->sh->labels.handshake_failures[PST_LEG_CLIENT]++;
	if (!b->enabled || s->ln->tls != PST_CONFIG_TLS_STARTTLS ||
		session_tls_demand_possible(s->snap, s->listed))
		return;
	broken_note(s->sh->relay->broken, &ip, true,
		s->leg.tls != NULL ? pst_tls_error(s->leg.tls) : "", s->sh->now_ms, b->ttl_ms,
		b->entries);
	s->sh->c.broken_tls_learned++;
}

static bool
step_tls(struct session *s)
{
	enum pst_rc rc = leg_handshake(s->sh, &s->leg);

	if (rc == PST_OK) {
		s->wait = WAIT_NONE;
		s->sh->c.client_handshakes++;
		label_handshake(s->sh, PST_LEG_CLIENT, s->leg.tls, s->tls_began);
		label_tickets(s->sh, s->leg.tls);
		admit_handshake_over(s);
		s->progress = true;
		pst_smtp_server_tls(&s->smtp);
		if (s->ln->tls == PST_CONFIG_TLS_IMPLICIT)
			session_greet(s);
		return true;
	}
	if (rc != PST_AGAIN && rc != PST_WANT_ASYNC)
		handshake_failed(s);
	return false;
}

/* The client's stream is over. True: the session was freed. */
static bool
client_lost(struct session *s, enum pst_rc rc)
{
	bool orderly = rc == PST_EOF;

	if (s->wait == WAIT_DOT) {
		/* The message is out of our hands; its verdict still belongs in the log. */
		s->client_gone = true;
		return false;
	}
	if (s->reason == NULL && s->leg.tls != NULL &&
		pst_tls_flood(s->leg.tls) != PST_TLS_FLOOD_NONE)
		s->reason = "TLS flood";
	if (s->reason == NULL && s->leg.error && s->leg.tls != NULL && !s->leg.encrypted)
		s->reason = "TLS handshake failed";
	session_end(s, orderly ? "client closed" : "client lost", !orderly && !s->leg.error);
	return true;
}

/* Counted when they leave: each reply once, whatever wrote it. */
static enum pst_rc
flush_replies(struct session *s)
{
	struct pst_span out = pst_buf_span(&s->leg.out);

	if (out.n > 0 && leg_can_flush(&s->leg))
		label_replies(s->sh, out, s->stage);
	return leg_flush(s->sh, &s->leg);
}

/* One round. PST_OK: another may follow; PST_AGAIN: wait; PST_EOF: the session is gone. */
static enum pst_rc
pump_round(struct session *s, bool *more)
{
	struct pst_span in;
	size_t used;
	enum pst_rc rc;

	/* Nothing may be there before our 220 has left: that would be text, not a ClientHello. */
	if (s->starttls && leg_has_input(&s->leg))
		on_starttls(s, true);
	rc = flush_replies(s);
	if (rc == PST_AGAIN)
		return PST_AGAIN;
	if (s->closing) {
		session_end(s, "closed", false);
		return PST_EOF;
	}
	if (s->starttls && rc == PST_OK) {
		s->starttls = false;
		session_begin_tls(s);
		return PST_OK;
	}
	if (s->wait == WAIT_TLS && step_tls(s))
		return PST_OK;
	if (s->leg.error)
		return client_lost(s, PST_PEER) ? PST_EOF : PST_AGAIN;
	if (must_wait(s))
		return PST_AGAIN;
	if (body_blocked(s))
		return s->tx != NULL ? PST_AGAIN : PST_OK; /* lost while it was asked for room */
	if (pst_smtp_server_ready(&s->smtp)) {
		(void)feed(s, pst_span("", 0), &used);
		return PST_OK;
	}
	rc = leg_read(s->sh, &s->leg, *more, &in);
	if (rc == PST_AGAIN)
		return PST_AGAIN;
	if (rc != PST_OK) {
		/* Recipients may still be with the next hop: their replies are due first. */
		if (rc == PST_EOF && s->smtp.pending > 0)
			return PST_AGAIN;
		return client_lost(s, rc) ? PST_EOF : PST_AGAIN;
	}
	rc = feed(s, in, &used);
	*more = rc == PST_AGAIN;
	if (leg_used(&s->leg, in, used) != PST_OK)
		return client_lost(s, PST_NOMEM) ? PST_EOF : PST_AGAIN;
	if (*more && s->smtp.pending > 0)
		return PST_AGAIN; /* the engine waits for replies, not for bytes */
	return PST_OK;
}

/* With a rate to keep, whole windows are judged; without, a few octets are progress. */
static void
set_body_deadline(struct session *s, bool progress)
{
	const struct pst_config_limits *l = &s->snap->cfg->limits;

	if (l->data_rate == 0) {
		/* T10: an octet of a message now and then does not keep a session either. */
		if (!progress && s->body_in - s->body_mark < BODY_FLOOR)
			return;
		s->body_mark = s->body_in;
		session_timer_in(s, l->timeouts.client_data);
	} else if (!pst_timer_armed(&s->timer) ||
		   s->timer.deadline_ms > s->sh->now_ms + RATE_WINDOW_MS) {
		s->body_mark = s->body_in;
		session_timer_in(s, PST_MIN(RATE_WINDOW_MS, l->timeouts.client_data));
	}
}

/* Per command, not per read: a byte now and then does not keep a session. */
static void
set_deadline(struct session *s)
{
	const struct pst_config_timeouts *t = &s->snap->cfg->limits.timeouts;
	bool progress = s->progress || !pst_timer_armed(&s->timer);

	s->progress = false;
	if (s->closing) {
		if (progress)
			session_timer_in(s, LINGER_MS);
	} else if (s->wait == WAIT_TLS) {
		return;
	} else if (s->wait != WAIT_NONE || s->smtp.pending > 0 || body_blocked(s)) {
		pst_timer_cancel(&s->sh->wheel, &s->timer); /* the next hop's deadline counts */
	} else if (pst_smtp_server_in_body(&s->smtp)) {
		set_body_deadline(s, progress);
	} else if (progress || s->body_mark != s->body_in) {
		s->body_mark = s->body_in;
		session_timer_in(s, t->client_command);
	}
}

/* What the turn made goes out to the next hop. False: that was the end of the next hop. */
static bool
flush_hop(struct session *s)
{
	struct hop *h = s->hop;

	tx_body_flush(s);
	if (h == NULL || s->hop == NULL)
		return h == NULL;
	if (leg_flush(s->sh, &h->leg) != PST_OK && h->leg.error)
		pst_tcp_conn_mark(h->leg.conn); /* it is looked at in the next turn */
	return true;
}

void
session_pump(struct session *s)
{
	struct shard *sh = s->sh;
	enum pst_rc rc = PST_OK;
	bool more = false;
	int rounds;

	if (s->client_gone) {
		if (s->wait != WAIT_DOT)
			session_end(s, "client lost", false);
		else if (s->hop != NULL)
			(void)leg_flush(sh, &s->hop->leg);
		return;
	}
	for (rounds = 0; rounds < PUMP_ROUNDS && rc == PST_OK; rounds++)
		rc = pump_round(s, &more);
	if (rc == PST_EOF)
		return;
	if (!flush_hop(s) || rc == PST_OK)
		pst_tcp_conn_mark(s->leg.conn);
	set_deadline(s);
}

void
session_event(struct session *s, uint32_t events)
{
	if ((events & PST_TCP_EV_ERROR) != 0) {
		s->leg.error = true;
		if (s->wait == WAIT_TLS)
			handshake_failed(s);
		if (client_lost(s, PST_PEER))
			return;
	}
	session_pump(s);
}

/* In a body with a rate to keep the deadline is only the end of a window. */
static bool
rate_kept(struct session *s)
{
	const struct pst_config_limits *l = &s->snap->cfg->limits;

	return l->data_rate != 0 && !s->closing && pst_smtp_server_in_body(&s->smtp) &&
	       admit_rate(s, PST_MIN(RATE_WINDOW_MS, l->timeouts.client_data));
}

void
session_kill(struct session *s)
{
	tx_drop_hop(s);
	abandon_tx(s, "killed");
	if (speechless(s)) {
		session_end(s, "killed", true);
		return;
	}
	session_dismiss(s, "4.3.2", "Ended by the operator", "killed");
	session_pump(s);
}

void
session_timeout(struct session *s)
{
	if (rate_kept(s)) {
		set_deadline(s);
		return;
	}
	s->sh->c.timeouts++;
	if (s->leg.handshaking)
		handshake_failed(s);
	if (s->closing || s->leg.handshaking || s->leg.error || pst_buf_len(&s->leg.out) > 0) {
		session_end(s, "timed out", true);
		return;
	}
	tx_drop_hop(s);
	abandon_tx(s, "timed out");
	session_dismiss(s, "4.4.2", "Timed out", "timed out");
	session_pump(s);
}
