/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A hop: one connection to a next hop, from SYN to QUIT.
 *
 * It brings itself to HOP_READY (banner, EHLO, STARTTLS and EHLO again, or implicit
 * TLS first), then does what its session's transaction asks. Every state but
 * READY and BODY has a deadline; every end but an orderly one is told to its owner
 * once, after the hop is gone: to the session by session_hop_lost, to a probe of explain's,
 * which goes no further than READY, by probe_lost.
 *
 * A hop whose transaction ended cleanly may serve another session of the same
 * class; before that it must answer RSET, which also shows that it is alive.
 */
#include "relay.h"

#include <pst_cycles.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct pst_config_timeouts *
timeouts(const struct hop *h)
{
	return &h->snap->cfg->limits.timeouts;
}

static uint32_t
state_deadline(const struct hop *h, enum hop_state st)
{
	const struct pst_config_timeouts *t = timeouts(h);

	switch (st) {
	case HOP_CONNECT:
		return t->connect;
	case HOP_HANDSHAKE:
		return t->tls;
	case HOP_BANNER:
		return t->banner;
	case HOP_EHLO:
	case HOP_HELO:
	case HOP_STARTTLS:
		return t->ehlo;
	case HOP_RCPT:
		return h->s->tx != NULL && h->s->tx->mail_ok ? t->rcpt : t->mail;
	case HOP_DATA:
		return t->data;
	case HOP_BODY:
		return t->block;
	case HOP_DOT:
		return t->dot;
	case HOP_READY:
		return hop_pooled(h) ? h->cls->hop->reuse_idle_ms : 0;
	case HOP_CLOSED:
		return 0;
	}
	return 0;
}

bool
hop_pooled(const struct hop *h)
{
	return h->s == NULL && h->probe == NULL;
}

/* The pointer by which its owner knows it, which outlives it; NULL: in the pool. */
static struct hop **
hop_slot(const struct hop *h)
{
	if (h->s != NULL)
		return &h->s->hop;
	return h->probe != NULL ? &h->sh->probe_hop : NULL;
}

void
hop_enter(struct hop *h, enum hop_state st)
{
	uint32_t ms;

	h->state = (uint8_t)st;
	if (st == HOP_BODY)
		h->mark = h->s->tx->size;
	ms = state_deadline(h, st);
	if (ms == 0)
		pst_timer_cancel(&h->sh->wheel, &h->timer);
	else
		pst_timer_arm(&h->sh->wheel, &h->timer, h->sh->now_ms + ms);
}

void
hop_await(struct hop *h, bool anew)
{
	const struct tx *tx = h->s->tx;
	bool unsaid = tx != NULL && tx->to.cls != NULL && tx->fail.code == 0 &&
		      (!tx->mail_sent || tx->sent < tx->nrcpts);

	if (h->state != HOP_RCPT && h->state != HOP_READY)
		return;
	/* RFC 5321 4.5.3.2: a time per command. The client's pauses between them are not ours. */
	if (pst_smtp_client_outstanding(&h->smtp) == 0 && !unsaid)
		pst_timer_cancel(&h->sh->wheel, &h->timer);
	else if (anew || !pst_timer_armed(&h->timer))
		hop_enter(h, HOP_RCPT);
}

void
hop_free(struct hop *h)
{
	if (hop_pooled(h)) {
		TAILQ_REMOVE(&h->sh->pool, h, link);
		h->sh->npool--;
	} else {
		*hop_slot(h) = NULL;
	}
	pst_timer_cancel(&h->sh->wheel, &h->timer);
	pst_smtp_client_fini(&h->smtp);
	snapshot_put(h->snap, h->sh->worker);
	free(h->domain);
	free(h->host);
	free(h->helo);
	free(h->tls_key);
	free(h);
}

/* S4: an opportunistic host whose TLS is broken; never learned where TLS is demanded. */
static void
learn_broken(struct hop *h)
{
	const struct pst_config_broken_tls *b = &h->snap->cfg->policy.broken_tls;

	if (!demand_may_fall_back(h->demand.level, h->cls->hop->tls, b->enabled))
		return;
	broken_note(h->sh->relay->broken, &h->at.ip, false, h->why, h->sh->now_ms, b->ttl_ms,
		b->entries);
	h->sh->c.broken_tls_learned++;
	if (h->s->tx != NULL)
		h->s->tx->fallback = true;
}

static void
count_fault(struct hop *h, enum hop_fault f)
{
	struct pst_relay_counters *c = &h->sh->c;

	if (f == HOP_FAULT_CONNECT)
		c->nexthop_connect_failures++;
	if (h->reused && h->s != NULL && h->s->tx != NULL && h->state < HOP_BODY)
		c->nexthop_stale++;
	if (h->state == HOP_HANDSHAKE) {
		c->nexthop_handshake_failures++;
		h->sh->labels.handshake_failures[PST_LEG_NEXTHOP]++;
	}
	if (f == HOP_FAULT_INJECTION)
		c->starttls_injection++;
}

/* The end of a hop that did not go as it should. */
void
hop_fail(struct hop *h, enum hop_fault f, const char *fmt, ...)
{
	struct session *s = h->s;
	struct probe *p = h->probe;
	struct shard *sh = h->sh;
	char why[sizeof(h->why)];
	va_list ap;

	if (fmt != NULL) {
		va_start(ap, fmt);
		vsnprintf(h->why, sizeof(h->why), fmt, ap);
		va_end(ap);
	}
	count_fault(h, f);
	if (f == HOP_FAULT_TLS && p == NULL)
		learn_broken(h);
	if (s != NULL) {
		log_hop_fault(h, f);
		if (s->tx != NULL)
			log_hop_facts(s->tx, h);
	}
	memcpy(why, h->why, sizeof(why));
	leg_abort(sh, &h->leg);
	hop_free(h);
	if (s != NULL)
		session_hop_lost(s, f);
	else if (p != NULL)
		probe_lost(sh, p, f, why);
}

void
hop_close(struct hop *h)
{
	/* QUIT is a courtesy: its 221 is not waited for. */
	if (h->state == HOP_READY && leg_writable(&h->leg) &&
		pst_smtp_client_quit(&h->smtp, &h->leg.out) == PST_OK)
		(void)leg_flush(h->sh, &h->leg);
	leg_close(h->sh, &h->leg);
	hop_free(h);
}

/* ---- replies ---- */

static bool
positive(const struct pst_smtp_reply *r)
{
	return r->code >= 200 && r->code < 300;
}

static void
hop_refused(struct hop *h, const char *what, const struct pst_smtp_reply *r)
{
	hop_fail(h, HOP_FAULT_GREETING, "%s: %u %.*s", what, r->code, PST_SPAN_FMT(r->text));
}

static void
on_banner(struct hop *h, const struct pst_smtp_reply *r)
{
	if (!positive(r)) {
		hop_refused(h, "greeting", r);
		return;
	}
	hop_enter(h, HOP_EHLO);
	(void)PST_SPEND(PST_LAYER_SMTP, pst_smtp_client_ehlo(&h->smtp, &h->leg.out, h->helo));
}

/* As encrypted and as trusted as policy wants it: the owner may begin. */
static void
hop_ready(struct hop *h)
{
	hop_enter(h, HOP_READY);
	if (h->probe != NULL) {
		probe_ready(h);
		return;
	}
	shard_learn(h->sh, h);
	session_hop_ready(h->s);
}

/* What to do about TLS now that EHLO (or HELO) has been answered. */
static void
after_ehlo(struct hop *h)
{
	bool offered = (h->smtp.keywords & PST_SMTP_STARTTLS) != 0;

	if (h->leg.encrypted) {
		hop_ready(h);
		return;
	}
	if (h->probe != NULL)
		h->probe->offered = offered;
	switch (demand_step(h->demand.level, h->cls->hop->tls, offered, h->plain)) {
	case TLS_STEP_PLAIN:
		hop_ready(h);
		return;
	case TLS_STEP_MISSING:
		hop_fail(h, HOP_FAULT_NO_TLS, "STARTTLS is not offered");
		return;
	case TLS_STEP_STARTTLS:
		break;
	}
	/* T2: an answer that is there before its question is not the server's. */
	if (leg_has_input(&h->leg)) {
		hop_fail(h, HOP_FAULT_INJECTION, "bytes in front of STARTTLS");
		return;
	}
	hop_enter(h, HOP_STARTTLS);
	(void)pst_smtp_client_starttls(&h->smtp, &h->leg.out);
}

static void
on_ehlo(struct hop *h, const struct pst_smtp_reply *r)
{
	if (positive(r)) {
		after_ehlo(h);
	} else if (h->state == HOP_EHLO && r->code >= 500) {
		hop_enter(h, HOP_HELO); /* RFC 5321 3.2: a server that does not know EHLO */
		(void)pst_smtp_client_helo(&h->smtp, &h->leg.out, h->helo);
	} else {
		hop_refused(h, "EHLO", r);
	}
}

static void
on_starttls(struct hop *h, const struct pst_smtp_reply *r)
{
	if (positive(r)) {
		/* RFC 3207 6, CVE-2021-38371: nothing in clear may follow the 220. */
		if (leg_has_input(&h->leg)) {
			hop_fail(h, HOP_FAULT_INJECTION, "bytes behind the 220 to STARTTLS");
			return;
		}
		pst_smtp_client_forget(&h->smtp);
		if (hop_start_tls(h) != PST_OK)
			hop_fail(h, HOP_FAULT_RESOURCE, "no memory for TLS");
	} else if (demand_step(h->demand.level, h->cls->hop->tls, false, h->plain) ==
		   TLS_STEP_MISSING) {
		hop_fail(h, HOP_FAULT_NO_TLS, "STARTTLS: %u %.*s", r->code, PST_SPAN_FMT(r->text));
	} else {
		hop_ready(h);
	}
}

static void
on_rset(struct hop *h, const struct pst_smtp_reply *r)
{
	if (positive(r))
		session_hop_ready(h->s);
	else
		hop_refused(h, "RSET", r);
}

static void
on_dot(struct hop *h, const struct pst_smtp_reply *r)
{
	/* Who has read the dot has acknowledged it: a yes before that is not about this message. */
	if (positive(r) && h->state == HOP_DOT && pst_tcp_unsent(h->leg.conn) > 0)
		hop_fail(h, HOP_FAULT_PROTOCOL, "a verdict before the end of the message");
	else
		session_hop_dot(h->s, r);
}

/* Hands one reply to whom it concerns. The hop may be gone afterwards. */
static void
hop_reply(struct hop *h, const struct pst_smtp_client_event *ev)
{
	const struct pst_smtp_reply *r = &ev->reply;

	/* RFC 5321 3.8: the server leaves, which says nothing of the mail: another may take it. */
	if (r->code == 421 && h->state >= HOP_STARTTLS && h->state < HOP_BODY) {
		hop_fail(h, HOP_FAULT_LOST, "%s: 421 %.*s", pst_smtp_cmd_name(ev->cmd),
			PST_SPAN_FMT(r->text));
		return;
	}
	switch (ev->cmd) {
	case PST_SMTP_CMD_GREETING:
		on_banner(h, r);
		return;
	case PST_SMTP_CMD_EHLO:
	case PST_SMTP_CMD_HELO:
		on_ehlo(h, r);
		return;
	case PST_SMTP_CMD_STARTTLS:
		on_starttls(h, r);
		return;
	case PST_SMTP_CMD_MAIL:
		session_hop_mail(h->s, r);
		return;
	case PST_SMTP_CMD_RCPT:
		session_hop_rcpt(h->s, r);
		return;
	case PST_SMTP_CMD_DATA:
		session_hop_data(h->s, r);
		return;
	case PST_SMTP_CMD_DOT:
		on_dot(h, r);
		return;
	case PST_SMTP_CMD_RSET:
		on_rset(h, r);
		return;
	case PST_SMTP_CMD_NOOP:
	case PST_SMTP_CMD_QUIT:
		return;
	}
}

/* ---- the pump ---- */

static void
hop_step_tls(struct hop *h)
{
	enum pst_rc rc = leg_handshake(h->sh, &h->leg);

	if (rc == PST_AGAIN || rc == PST_WANT_ASYNC)
		return;
	if (rc != PST_OK) {
		hop_fail(h, HOP_FAULT_TLS, "%s", pst_tls_error(h->leg.tls));
		return;
	}
	struct pst_tls_info info;
	pst_tls_info(h->leg.tls, &info);
	h->sh->c.nexthop_handshakes++;
	label_handshake(h->sh, PST_LEG_NEXTHOP, h->leg.tls, h->tls_began);
	h->sh->c.nexthop_resumed += info.resumed;
	if (h->snap->cfg->policy.broken_tls.enabled)
		broken_forget(h->sh->relay->broken, &h->at.ip, false);
	if (h->cls->hop->tls == PST_CONFIG_TLS_IMPLICIT) {
		hop_enter(h, HOP_BANNER);
		return;
	}
	hop_enter(h, HOP_EHLO);
	(void)PST_SPEND(PST_LAYER_SMTP, pst_smtp_client_ehlo(&h->smtp, &h->leg.out, h->helo));
}

/* Which fault it is when the stream ends or breaks here. */
static void
hop_stream_end(struct hop *h, enum pst_rc rc)
{
	enum pst_tcp_error e = pst_tcp_error(h->leg.conn);

	if (h->state == HOP_CONNECT)
		hop_fail(h, HOP_FAULT_CONNECT, "%s", pst_tcp_error_name(e));
	else if (h->state == HOP_HANDSHAKE)
		hop_fail(h, HOP_FAULT_TLS, "%s", pst_tcp_error_name(e));
	else if (e != PST_TCP_ERR_NONE)
		hop_fail(h, HOP_FAULT_LOST, "%s", pst_tcp_error_name(e));
	else if (rc == PST_EOF)
		hop_fail(h, HOP_FAULT_LOST, "closed by the next hop");
	else if (h->leg.tls != NULL)
		hop_fail(h, HOP_FAULT_LOST, "%s", pst_tls_error(h->leg.tls));
	else
		hop_fail(h, HOP_FAULT_LOST, "connection broke");
}

/*
 * Takes one reply out of what has arrived. PST_OK: another may follow. The hop
 * can be gone after PST_OK too, so the caller asks the shard's list by `*gone`.
 */
static enum pst_rc
hop_next_reply(struct hop *h, bool *more)
{
	struct pst_smtp_client_event ev;
	struct session *s = h->s;
	struct pst_span in;
	const char *why = "";
	size_t used = 0;
	enum pst_rc rc = leg_read(h->sh, &h->leg, *more, &in);

	if (rc != PST_OK) {
		if (rc != PST_AGAIN)
			hop_stream_end(h, rc);
		return rc;
	}
	rc = PST_SPEND(
		PST_LAYER_SMTP, pst_smtp_client_next(&h->smtp, in.p, in.n, &used, &ev, &why));
	*more = rc == PST_AGAIN;
	if (rc == PST_PEER || rc == PST_EOF) {
		hop_fail(h, rc == PST_EOF ? HOP_FAULT_LOST : HOP_FAULT_PROTOCOL, "%s", why);
		return rc;
	}
	if (rc == PST_OK && ev.reply.text.n > 0) {
		/* The text points into what leg_used gives back: keep it for the handlers. */
		static __thread char text[PST_SMTP_REPLY_LINE_MAX];
		size_t n = PST_MIN(ev.reply.text.n, sizeof(text));

		memcpy(text, ev.reply.text.p, n);
		ev.reply.text = pst_span(text, n);
	}
	if (leg_used(&h->leg, in, used) != PST_OK) {
		hop_fail(h, HOP_FAULT_RESOURCE, "no memory");
		return PST_NOMEM;
	}
	if (rc == PST_OK) {
		hop_reply(h, &ev);
		if (s != NULL && s->hop == h)
			hop_await(h, true);
	}
	return PST_OK;
}

void
hop_pump(struct hop *h)
{
	struct hop **mine = hop_slot(h);
	bool more = false;

	if (mine == NULL) {
		hop_pool_event(h);
		return;
	}
	/* Handlers may end the hop or give it away: its owner's pointer tells. */
	while (*mine == h) {
		if (h->state == HOP_HANDSHAKE) {
			hop_step_tls(h);
			if (*mine == h && h->state == HOP_HANDSHAKE)
				return;
			continue;
		}
		if (h->state == HOP_CONNECT)
			return;
		if (leg_flush(h->sh, &h->leg) == PST_PEER) {
			hop_stream_end(h, PST_PEER);
			return;
		}
		if (hop_next_reply(h, &more) != PST_OK)
			break;
	}
	if (*mine == h)
		(void)leg_flush(h->sh, &h->leg);
}

static void
hop_connected(struct hop *h)
{
	if (h->cls->hop->tls == PST_CONFIG_TLS_IMPLICIT) {
		if (hop_start_tls(h) != PST_OK)
			hop_fail(h, HOP_FAULT_RESOURCE, "no memory for TLS");
		return;
	}
	hop_enter(h, HOP_BANNER);
}

/* After what happened to its hop, the session may have something to do. */
static void
owner_pump(struct session *s)
{
	if (s != NULL)
		session_pump(s);
}

void
hop_event(struct hop *h, uint32_t events)
{
	struct session *s = h->s;
	struct hop **mine = hop_slot(h);

	if ((events & PST_TCP_EV_ERROR) != 0 && mine != NULL) {
		/* Replies that came before the reset are still good: read them first. */
		bool unread = h->state != HOP_CONNECT && pst_tcp_readable(h->leg.conn) > 0;

		if (unread)
			hop_pump(h);
		/* A hop in HOP_CONNECT would be a new one that got the old one's memory. */
		if (*mine == h && !(unread && h->state == HOP_CONNECT))
			hop_stream_end(h, PST_PEER);
		owner_pump(s);
		return;
	}
	if ((events & PST_TCP_EV_CONNECTED) != 0 && h->state == HOP_CONNECT) {
		hop_connected(h);
		if (mine == NULL || *mine != h) {
			owner_pump(s);
			return;
		}
	}
	if (h->state == HOP_BODY && (events & PST_TCP_EV_WRITE) != 0)
		hop_enter(h, HOP_BODY); /* the next hop takes bytes: the deadline begins anew */
	if (mine == NULL && events == PST_TCP_EV_WRITE)
		return;
	hop_pump(h);
	owner_pump(s);
}

void
hop_timeout(struct hop *h)
{
	struct session *s = h->s;

	if (hop_pooled(h)) {
		hop_close(h); /* idle long enough */
		return;
	}
	/* In the body only a next hop that takes nothing is late; the client may be slow. */
	if (h->state == HOP_BODY && (h->mark != s->tx->size || pst_tcp_unsent(h->leg.conn) == 0)) {
		hop_enter(h, HOP_BODY);
		return;
	}
	h->sh->c.timeouts++;
	hop_fail(h, h->state == HOP_CONNECT ? HOP_FAULT_CONNECT : HOP_FAULT_TIMEOUT, "timed out");
	owner_pump(s);
}
