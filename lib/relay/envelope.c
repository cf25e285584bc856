/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The envelope on its way to the next hop: RSET, MAIL, RCPT and DATA, each when it is due, as
 * many at once as the next hop lets us pipeline. What it cannot carry is refused unasked.
 */
#include "relay.h"

#include <pst_cycles.h>

static enum pst_rc
send_rcpt(struct hop *h, const struct rcpt *r)
{
	struct pst_smtp_rcpt out = {
		.notify = r->notify,
		.orcpt = pst_span(r->addr + r->len, r->orcpt_len),
	};

	out.to.addr = pst_span(r->addr, r->len);
	return PST_SPEND(PST_LAYER_SMTP, pst_smtp_client_rcpt(&h->smtp, &h->leg.out, &out));
}

/* What this next hop cannot carry at all, before it is asked. */
static bool
tx_impossible(struct session *s)
{
	struct hop *h = s->hop;
	uint32_t lacks = pst_smtp_client_lacks(&h->smtp, &s->tx->mail);
	uint64_t size = s->tx->mail.has_size ? s->tx->mail.size : 0;

	if ((lacks & PST_SMTP_8BITMIME) != 0)
		tx_fail(s, 554, "5.6.3", "The next hop cannot take 8-bit messages");
	else if ((lacks & PST_SMTP_SMTPUTF8) != 0)
		tx_fail(s, 550, "5.6.7", "The next hop does not support SMTPUTF8");
	else if (h->smtp.max_size != 0 && size > h->smtp.max_size)
		tx_fail(s, 552, "5.3.4", "Message too big for the next hop");
	else
		return false;
	return true;
}

static enum pst_rc
drive_mail(struct session *s)
{
	struct hop *h = s->hop;
	enum pst_rc rc;

	if (tx_impossible(s))
		return PST_AGAIN;
	rc = PST_SPEND(PST_LAYER_SMTP, pst_smtp_client_mail(&h->smtp, &h->leg.out, &s->tx->mail));
	if (rc == PST_OK) {
		s->tx->mail_sent = true;
		s->tx->t_ready = s->sh->now_ms;
		h->messages++;
		hop_enter(h, HOP_RCPT);
	}
	return rc;
}

static bool
may_say_more(const struct hop *h)
{
	return (h->smtp.keywords & PST_SMTP_PIPELINING) != 0 ||
	       pst_smtp_client_outstanding(&h->smtp) == 0;
}

static void
drive_data(struct session *s)
{
	struct tx *tx = s->tx;
	struct hop *h = s->hop;

	if (tx->ok == 0) {
		tx_fail(s, 451, "4.4.2", "The next hop took no recipient any more");
		return;
	}
	if (pst_smtp_client_data(&h->smtp, &h->leg.out) == PST_OK)
		hop_enter(h, HOP_DATA);
}

static void
say_what_is_due(struct session *s)
{
	struct tx *tx = s->tx;
	struct hop *h = s->hop;

	if (h->needs_rset) {
		if (pst_smtp_client_rset(&h->smtp, &h->leg.out) != PST_OK)
			return;
		h->needs_rset = false;
		hop_enter(h, HOP_RCPT); /* for its deadline */
	}
	if (!tx->mail_sent && (!may_say_more(h) || drive_mail(s) != PST_OK))
		return;
	while (tx->sent < tx->nrcpts) {
		struct rcpt *r = &tx->rcpts[tx->sent];

		if (r->state == RCPT_NEW) {
			if (!may_say_more(h) || send_rcpt(h, r) != PST_OK)
				return;
			r->state = RCPT_SENT;
		}
		tx->sent++;
	}
	if (s->wait == WAIT_DATA && h->state == HOP_RCPT &&
		pst_smtp_client_outstanding(&h->smtp) == 0)
		drive_data(s);
}

void
tx_drive(struct session *s)
{
	struct hop *h = s->hop;

	if (s->tx == NULL || h == NULL || s->tx->fail.code != 0)
		return;
	if (h->state != HOP_READY && h->state != HOP_RCPT)
		return;
	say_what_is_due(s);
	if (s->hop == h)
		hop_await(h, false);
}

void
tx_data(struct session *s, bool chunk)
{
	s->chunk = chunk;
	s->wait = WAIT_DATA;
	if (s->tx->fail.code != 0)
		tx_fail(s, s->tx->fail.code, s->tx->fail.enh, s->tx->fail.text);
	else if (s->hop == NULL && s->tx->names_due == 0)
		tx_connect(s, HOP_FAULT_LOST);
	else
		tx_drive(s);
}
