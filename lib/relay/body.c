/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The second half of a transaction: DATA, the body, the dot and its verdict.
 *
 * Message bytes are encoded into the worker's scratch and leave in one write a turn;
 * they are taken from the client only when the next hop has room, so a slow next hop
 * closes the client's window and nothing is ever held whole.
 */
#include "relay.h"

#include <pst_cycles.h>
#include <stdio.h>
#include <string.h>

/* ---- body ---- */

bool
tx_body_room(struct session *s)
{
	struct shard *sh = s->sh;

	if (s->hop == NULL || s->hop->state != HOP_BODY)
		return false;
	if (sh->body_len > LEG_OUT_MAX / 2)
		tx_body_flush(s);
	return s->hop != NULL && (sh->body_len > 0 || leg_writable(&s->hop->leg));
}

static void
tx_body_put(struct session *s, const uint8_t *p, size_t n)
{
	struct shard *sh = s->sh;
	size_t used;

	/* At most 4/3 of 16 KiB on top of half the scratch: it always fits. */
	sh->body_len += PST_SPEND(
		PST_LAYER_SMTP, pst_smtp_dot_encode(&s->tx->dot, p, n, &used,
					sh->body + sh->body_len, LEG_OUT_MAX - sh->body_len));
	s->tx->size += n;
	sh->c.body_bytes += n;
}

static void
tx_body_start(struct session *s)
{
	char field[RECEIVED_MAX];

	if (s->tx->body)
		return;
	s->tx->body = true;
	if (s->ln->received)
		tx_body_put(s, (const uint8_t *)field, received_write(s, field, sizeof(field)));
}

void
tx_body(struct session *s, struct pst_span bytes)
{
	tx_body_start(s);
	tx_body_put(s, bytes.p, bytes.n);
}

void
tx_body_flush(struct session *s)
{
	struct shard *sh = s->sh;
	size_t n = sh->body_len;

	if (n == 0)
		return;
	sh->body_len = 0;
	if (s->hop == NULL)
		return;
	/* The room was seen before the first byte was encoded; a failure here is ours. */
	if (leg_write(sh, &s->hop->leg, sh->body, n) == PST_OK)
		return;
	hop_close(s->hop);
	session_hop_lost(s, HOP_FAULT_RESOURCE);
}

void
tx_body_end(struct session *s)
{
	struct shard *sh = s->sh;

	tx_body_start(s);
	sh->body_len += pst_smtp_dot_end(&s->tx->dot, sh->body + sh->body_len);
	s->tx->dot_sent = true;
	s->tx->t_dot = sh->now_ms;
	s->wait = WAIT_DOT;
	hop_enter(s->hop, HOP_DOT);
}

/* ---- what the next hop said ---- */

/* A reply as the client may hear it: 421 is about our connection, not about his. */
void
verdict_set(struct verdict *v, const struct session *s, const struct pst_smtp_reply *r)
{
	unsigned code = r->code == 421 || r->code < 400 ? 451 : r->code;
	unsigned cls = code / 100;

	v->code = (uint16_t)code;
	if (r->enh[0] == cls)
		snprintf(v->enh, sizeof(v->enh), "%u.%u.%u", r->enh[0], r->enh[1], r->enh[2]);
	else
		snprintf(v->enh, sizeof(v->enh), "%u.0.0", cls);
	if (s->tx->to.cls->hop->expose_upstream_text && r->text.n > 0)
		snprintf(v->text, sizeof(v->text), "%.*s", PST_SPAN_FMT(r->text));
	else
		snprintf(v->text, sizeof(v->text), "The next hop refused");
}

static bool
positive(const struct pst_smtp_reply *r)
{
	return r->code >= 200 && r->code < 300;
}

void
session_hop_data(struct session *s, const struct pst_smtp_reply *r)
{
	struct verdict v;

	if (s->tx == NULL || s->wait != WAIT_DATA)
		return;
	if (r->code != 354) {
		verdict_set(&v, s, r);
		hop_enter(s->hop, HOP_RCPT); /* between commands again: RSET makes it usable */
		tx_fail(s, v.code, v.enh, v.text);
		tx_drop_hop(s);
		return;
	}
	s->wait = WAIT_NONE;
	s->tx->t_data = s->sh->now_ms;
	(void)pst_smtp_client_dot(&s->hop->smtp);
	hop_enter(s->hop, HOP_BODY);
	if (s->chunk)
		pst_smtp_server_chunk(&s->smtp);
	else
		session_say(s, 354, NULL, "End data with <CR><LF>.<CR><LF>");
}

/* The next hop gave its verdict before it had the message: only a refusal makes sense. */
static void
early_verdict(struct session *s, const struct pst_smtp_reply *r)
{
	struct verdict v;

	verdict_set(&v, s, r);
	pst_smtp_server_body_fail(&s->smtp, v.code, v.code >= 500 ? "5.0.0" : "4.4.2",
		"The next hop refused the message");
	s->sh->body_len = 0;
	hop_enter(s->hop, HOP_BODY);
	log_hop_facts(s->tx, s->hop);
	hop_close(s->hop);
	tx_finish(s, v.code >= 500 ? "rejected" : "deferred", v.code, v.enh, v.text);
}

void
session_hop_dot(struct session *s, const struct pst_smtp_reply *r)
{
	struct verdict v = {.code = 250, .enh = "2.0.0"};

	if (s->tx == NULL)
		return;
	if (!s->tx->dot_sent) {
		early_verdict(s, r);
		return;
	}
	hop_enter(s->hop, HOP_READY);
	if (positive(r)) {
		if (s->tx->to.cls->hop->expose_upstream_text && r->text.n > 0)
			snprintf(v.text, sizeof(v.text), "%.*s", PST_SPAN_FMT(r->text));
		else
			snprintf(v.text, sizeof(v.text), "Ok");
		session_say(s, 250, v.enh, v.text);
		s->nsent++;
		tx_finish(s, "sent", 250, v.enh, v.text);
	} else {
		verdict_set(&v, s, r);
		session_say(s, v.code, v.enh, v.text);
		tx_finish(s, v.code >= 500 ? "rejected" : "deferred", v.code, v.enh, v.text);
	}
	if (r->code == 421)
		hop_close(s->hop); /* it said that it leaves */
	else
		tx_drop_hop(s);
}

/* The hop is gone; says what that means for the transaction at this stage. */
void
session_hop_lost(struct session *s, enum hop_fault f)
{
	struct tx *tx = s->tx;
	const char *text = hop_fault_text(f);

	s->sh->body_len = 0;
	if (tx == NULL || tx->to.cls == NULL)
		return;
	if (tx->dot_sent) {
		/* It may have the message: the client tries again, a duplicate beats a loss. */
		s->sh->c.delivery_uncertain++;
		session_say(s, 451, "4.4.2", text);
		tx_finish(s, "uncertain", 451, "4.4.2", text);
	} else if (tx->t_data != 0) {
		pst_smtp_server_body_fail(&s->smtp, 451, "4.4.2", text);
		tx_finish(s, "deferred", 451, "4.4.2", text);
	} else if (tx->fail.code == 0) {
		tx_connect(s, f);
	}
}
