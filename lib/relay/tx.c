/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A transaction: envelope in, next hop chosen, body through, verdict back.
 *
 * The next hop is contacted at the first recipient that policy accepts; that
 * recipient fixes the route class. MAIL and the recipients are kept until the end
 * so that they can be said again to another host when one is lost before DATA. A
 * recipient's reply is the next hop's own and leaves in the order asked.
 *
 * Ownership: the client hears 250 only when the next hop said it. Whatever ends a
 * body early ends the next hop's connection without the dot.
 */
#include "relay.h"

#include <pst_cycles.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RCPTS_MAX 20000 /* in one transaction, refused ones included */

/* ---- life ---- */

static struct pst_span
keep(char **at, struct pst_span s)
{
	struct pst_span k = pst_span(*at, s.n);

	if (s.n > 0)
		memcpy(*at, s.p, s.n);
	*at += s.n;
	return k;
}

/* The copy's spans must point into the copy. */
static struct pst_span
rebase(struct pst_span part, struct pst_span whole, struct pst_span copy)
{
	if (part.n == 0)
		return pst_span(NULL, 0);
	return pst_span(copy.p + (part.p - whole.p), part.n);
}

enum pst_rc
tx_begin(struct session *s, const struct pst_smtp_mail *m)
{
	struct tx *tx = calloc(1, sizeof(*tx));
	char *at;

	if (tx == NULL)
		return PST_NOMEM;
	tx->mem = at = malloc(m->from.addr.n + m->envid.n + 1);
	if (at == NULL) {
		free(tx);
		return PST_NOMEM;
	}
	tx->number = ++s->ntx;
	tx->mail = *m;
	tx->mail.from.addr = keep(&at, m->from.addr);
	tx->mail.from.local = rebase(m->from.local, m->from.addr, tx->mail.from.addr);
	tx->mail.from.domain = rebase(m->from.domain, m->from.addr, tx->mail.from.addr);
	tx->mail.envid = keep(&at, m->envid);
	tx->t_mail = s->sh->now_ms;
	s->tx = tx;
	return PST_OK;
}

static void
tx_free(struct session *s)
{
	struct tx *tx = s->tx;

	for (unsigned i = 0; i < tx->nrcpts; i++)
		free(tx->rcpts[i].addr);
	free(tx->rcpts);
	targets_clear(&tx->targets);
	errand_clear(&tx->to);
	waiter_forget(s);
	free(tx->mem);
	free(tx);
	s->tx = NULL;
}

static void
count_clear(struct session *s)
{
	struct pst_relay_labels *l = &s->sh->labels;
	const struct hop *h = s->hop;

	l->plaintext_transactions[PST_LEG_CLIENT] += !s->leg.encrypted;
	if (h == NULL || h->leg.encrypted)
		return;
	l->plaintext_transactions[PST_LEG_NEXTHOP]++;
	if (h->demand.level == PST_LEVEL_MAY)
		l->downgrades[h->plain ? PST_DOWNGRADE_BROKEN : PST_DOWNGRADE_NO_TLS]++;
}

void
tx_finish(struct session *s, const char *status, unsigned code, const char *enh, const char *text)
{
	struct pst_relay_counters *c = &s->sh->c;

	if (s->tx == NULL)
		return;
	if (s->hop != NULL)
		log_hop_facts(s->tx, s->hop);
	if (code >= 500)
		c->transactions_rejected++;
	else if (code >= 400)
		c->transactions_deferred++;
	else if (code >= 200)
		c->transactions_sent++;
	else
		c->transactions_aborted++;
	if (code >= 200 && code < 300)
		count_clear(s);
	log_tx(s, status, code, enh, text);
	tx_free(s);
	s->wait = WAIT_NONE;
}

void
tx_drop_hop(struct session *s)
{
	struct hop *h = s->hop;

	if (h == NULL)
		return;
	s->sh->body_len = 0; /* encoded bytes of this body must not reach anyone */
	if (h->state == HOP_RCPT && pst_smtp_client_outstanding(&h->smtp) == 0) {
		h->needs_rset = true;
		hop_enter(h, HOP_READY);
	}
	if (h->state != HOP_READY)
		hop_close(h);
	else if (h->cls->hop->reuse != PST_REUSE_SESSION)
		hop_release(h);
}

/* ---- replies to recipients ---- */

static void
refuse(struct rcpt *r, unsigned code, const char *enh, const char *text)
{
	r->state = RCPT_LOCAL;
	r->code = (uint16_t)code;
	r->enh = enh;
	r->text = text;
}

static void
reply_rcpt(struct session *s, struct rcpt *r, unsigned code, const char *enh, const char *text)
{
	struct tx *tx = s->tx;

	r->answered = true;
	if (code >= 400) {
		tx->no_code = (uint16_t)code;
		snprintf(tx->no_text, sizeof(tx->no_text), "%s", text);
		log_rcpt_refused(s, r, code, text);
	} else {
		tx->wanted = true;
	}
	session_say(s, code, enh, text);
	if (code >= 500 && !admit_refusal(s))
		session_dismiss(s, "4.7.0", "Too many refused recipients", "too many errors");
}

/* A recipient that we refused is of no use once its client knows: a flood of them holds nothing. */
static void
forget_refused(struct tx *tx)
{
	while (tx->nrcpts > 0) {
		struct rcpt *last = &tx->rcpts[tx->nrcpts - 1];

		if (last->state != RCPT_LOCAL || !last->answered)
			break;
		free(last->addr);
		tx->nrcpts--;
	}
	tx->answered = PST_MIN(tx->answered, tx->nrcpts);
	tx->sent = PST_MIN(tx->sent, tx->nrcpts);
	tx->replied = PST_MIN(tx->replied, tx->nrcpts);
}

/* Answers, in order, every recipient whose verdict does not depend on the next hop. */
static void
answer_ready(struct session *s)
{
	struct tx *tx = s->tx;

	for (; tx->answered < tx->nrcpts; tx->answered++) {
		struct rcpt *r = &tx->rcpts[tx->answered];

		if (r->answered)
			continue;
		if (r->state == RCPT_LOCAL)
			reply_rcpt(s, r, r->code, r->enh, r->text);
		else if (tx->fail.code != 0)
			reply_rcpt(s, r, tx->fail.code, tx->fail.enh, tx->fail.text);
		else
			break;
	}
	forget_refused(tx);
}

/* ---- the next hop ---- */

static void tx_resolve(struct session *s);
static void tx_found(struct session *s);

/* Starts over: what was said to the last hop is to be said to the next one. */
static void
tx_rewind(struct tx *tx)
{
	tx->mail_sent = tx->mail_ok = false;
	tx->sent = tx->replied = tx->ok = 0;
	for (unsigned i = 0; i < tx->nrcpts; i++) {
		if (tx->rcpts[i].state == RCPT_SENT || tx->rcpts[i].state == RCPT_OK)
			tx->rcpts[i].state = RCPT_NEW;
	}
}

/* TLS with the host just tried failed, and policy lets its mail cross in clear: once more. */
static void
retry_plain(struct tx *tx)
{
	if (!tx->fallback || tx->targets.next == 0)
		return;
	tx->fallback = false;
	tx->targets.e[--tx->targets.next].plain = true;
	tx->tries--;
}

/* Said in the words of explain, in log and metrics. */
static void
note_refusal(struct session *s, enum hop_fault f)
{
	struct tx *tx = s->tx;
	int word = hop_fault_refusal(f);

	s->sh->c.policy_conflicts += f == HOP_FAULT_CONFLICT;
	if (word < 0)
		return;
	s->sh->labels.policy_refusals[word]++;
	for (unsigned i = 0; i < tx->nrcpts; i++)
		if (!tx->rcpts[i].answered)
			tx->rcpts[i].reason = pst_relay_refusal_names[word];
}

/* The next host that can be tried, or the end of all tries. */
void
tx_connect(struct session *s, enum hop_fault last)
{
	struct tx *tx = s->tx;
	const struct hop_owner owner = {
		.sh = s->sh, .s = s, .snap = s->snap, .helo = hop_helo(s, tx->to.cls)};

	tx_rewind(tx);
	if (!tx->resolved) {
		tx_resolve(s);
		return;
	}
	retry_plain(tx);
	while (tx->targets.next < tx->targets.n && tx->tries < tx->to.cls->hop->max_tries) {
		tx->tries++;
		s->hop = hop_open(&owner, &tx->to, &tx->targets.e[tx->targets.next++], &last);
		if (s->hop != NULL)
			return;
		s->sh->c.nexthop_connect_failures += last == HOP_FAULT_CONNECT;
	}
	note_refusal(s, last);
	tx_fail(s, 451, hop_fault_enh(last), hop_fault_text(last));
}

/* ---- names ---- */

static const struct pst_names_answer *
cached(void *arg, enum pst_names_kind kind, struct pst_span key)
{
	const struct session *s = arg;

	return s->snap->names != NULL ? pst_names_lookup(s->snap->names, kind, key) : NULL;
}

/* The first time: what is missing is asked for. */
static const struct pst_names_answer *
cached_or_asked(void *arg, enum pst_names_kind kind, struct pst_span key)
{
	static const struct pst_names_answer never = {.status = PST_NAMES_NONE};
	struct session *s = arg;
	const struct pst_names_answer *a = cached(s, kind, key);
	enum pst_rc rc = PST_NOMEM;

	if (a == NULL && s->snap->names != NULL)
		rc = waiter_ask(s, kind, key);
	s->tx->names_due += rc == PST_OK;
	return rc == PST_INVAL ? &never : a; /* no name at all: DNS would not know it either */
}

/* An answer that is gone from the cache again, or was never asked for, is one for now. */
static void
tx_targets(struct session *s, names_source *source)
{
	struct tx *tx = s->tx;
	bool ok;
	unsigned missing =
		targets_build(&tx->targets, &tx->to, source, s, s->counter << 20 ^ s->sh->now, &ok);

	if ((missing > 0 || !ok) && tx->names_due == 0 && tx->targets.n == 0)
		tx->targets.status = PST_NAMES_TEMPORARY;
}

static void
tx_resolve(struct session *s)
{
	tx_targets(s, cached_or_asked);
	if (s->tx->names_due == 0)
		tx_found(s);
}

void
tx_named(struct session *s)
{
	if (--s->tx->names_due > 0)
		return;
	tx_targets(s, cached);
	tx_found(s);
}

/*
 * No host: the recipients that wait hear it, and the next one may have another domain.
 * Those that were told yes on a pooled connection's word cannot hear no any more.
 */
static void
tx_nowhere(struct session *s)
{
	struct tx *tx = s->tx;
	struct names_verdict v = names_verdict(&tx->targets, &tx->to);

	if (v.code >= 500)
		s->sh->labels.policy_refusals[PST_REFUSED_NAMES]++;
	if (tx->wanted) {
		tx_fail(s, 451, "4.4.3", "The name of the next hop cannot be looked up");
		return;
	}
	for (unsigned i = tx->answered; i < tx->nrcpts; i++) {
		if (tx->rcpts[i].state != RCPT_NEW || tx->rcpts[i].answered)
			continue;
		refuse(&tx->rcpts[i], v.code, v.enh, v.text);
		tx->rcpts[i].reason = v.code >= 500 ? "no_such_host" : NULL;
	}
	errand_clear(&tx->to);
	targets_clear(&tx->targets);
	tx->resolved = false;
	answer_ready(s);
}

static void
tx_found(struct session *s)
{
	s->tx->resolved = true;
	if (s->tx->targets.n == 0)
		tx_nowhere(s);
	else
		tx_connect(s, HOP_FAULT_CONNECT);
}

/* Gives the transaction its negative verdict; DATA, if it waits, hears it too. */
void
tx_fail(struct session *s, unsigned code, const char *enh, const char *text)
{
	struct tx *tx = s->tx;

	tx->fail.code = (uint16_t)code;
	snprintf(tx->fail.enh, sizeof(tx->fail.enh), "%s", enh);
	snprintf(tx->fail.text, sizeof(tx->fail.text), "%s", text);
	answer_ready(s);
	if (s->wait == WAIT_DATA) {
		session_say(s, code, enh, text);
		tx_finish(s, code >= 500 ? "rejected" : "deferred", code, enh, text);
		tx_drop_hop(s);
	}
}

/* ---- recipients ---- */

static struct rcpt *
rcpt_new(struct tx *tx, const struct pst_smtp_rcpt *src)
{
	struct rcpt *r;

	if (tx->nrcpts == tx->cap) {
		unsigned cap = tx->cap == 0 ? 4 : tx->cap * 2;
		struct rcpt *grown = realloc(tx->rcpts, cap * sizeof(*grown));

		if (grown == NULL)
			return NULL;
		tx->rcpts = grown;
		tx->cap = cap;
	}
	r = &tx->rcpts[tx->nrcpts];
	*r = (struct rcpt){.state = RCPT_NEW,
		.notify = src->notify,
		.len = (uint16_t)src->to.addr.n,
		.orcpt_len = (uint16_t)src->orcpt.n};
	r->addr = malloc(src->to.addr.n + src->orcpt.n + 1);
	if (r->addr == NULL)
		return NULL;
	memcpy(r->addr, src->to.addr.p, src->to.addr.n);
	if (src->orcpt.n > 0)
		memcpy(r->addr + src->to.addr.n, src->orcpt.p, src->orcpt.n);
	tx->nrcpts++;
	return r;
}

/* The session's connection of the last message (reuse `session`), if it will do. */
static void
keep_or_close_hop(struct session *s)
{
	struct hop *h = s->hop;

	if (h != NULL && h->state == HOP_READY && hop_suits(h, s->snap, &s->tx->to) &&
		h->messages < s->tx->to.cls->hop->reuse_messages)
		return;
	if (h != NULL)
		hop_close(h);
}

/* The class is fixed by the first accepted recipient; finds a connection for it. */
static void
tx_set_class(struct session *s, struct rcpt *r, const struct pst_verdict *v, struct pst_span domain)
{
	struct tx *tx = s->tx;

	if (errand_set(&tx->to, s->snap, s->listener, v, domain) != PST_OK) {
		errand_clear(&tx->to);
		refuse(r, 451, "4.3.0", "Out of memory, try again");
		return;
	}
	tx->verdict = *v;
	tx->t_rcpt = s->sh->now_ms;
	keep_or_close_hop(s);
	if (s->hop == NULL)
		s->hop = hop_take(s, &tx->to);
	if (s->hop == NULL)
		tx_connect(s, HOP_FAULT_CONNECT);
}

/* With those that the next hop refused: the engine's own limit counts the accepted ones only. */
static unsigned
rcpts_max(const struct session *s)
{
	unsigned n = s->snap->cfg->limits.recipients;

	return n == 0 ? RCPTS_MAX : PST_MIN(2 * n, (unsigned)RCPTS_MAX);
}

/* May one transaction carry both? For the MX of recipients' domains these must be the same, too. */
static bool
same_class(const struct session *s, const struct pst_verdict *v, struct pst_span domain)
{
	const struct tx *tx = s->tx;
	const struct pst_config_next_hop *c = tx->to.cls->hop;
	char text[PST_DOMAIN_TEXT];

	if (!pst_verdict_same(&tx->verdict, v))
		return false;
	return !c->mx || c->mx_domain != NULL ||
	       (pst_policy_domain(domain, text) && strcmp(text, tx->to.domain) == 0);
}

static void
refuse_by_policy(struct session *s, struct rcpt *r, const struct pst_verdict *v)
{
	refuse(r, v->code, v->enh, v->text);
	r->reason = v->reason;
	label_refusal(s->sh, v->reason);
}

static void
judge(struct session *s, struct rcpt *r, const struct pst_smtp_rcpt *src)
{
	struct tx *tx = s->tx;
	struct pst_facts f = session_facts(s);
	struct pst_verdict v;

	f.sender_known = true;
	f.sender_domain = tx->mail.from.domain;
	f.recipient_domain = src->to.domain;
	PST_SPEND(PST_LAYER_POLICY, pst_policy_rcpt(s->snap->policy->policy, &f, &v, NULL));
	if (tx->nrcpts > rcpts_max(s)) {
		refuse(r, 452, "4.5.3", "Too many recipients");
	} else if (v.kind != PST_VERDICT_ROUTE) {
		refuse_by_policy(s, r, &v);
	} else if (tx->to.cls == NULL) {
		tx_set_class(s, r, &v, src->to.domain);
	} else if (!same_class(s, &v, src->to.domain)) {
		/* RFC 5321 4.5.3.1.10: a server may accept a subset; the client sends the rest
		 * anew. */
		s->sh->c.recipients_other_class++;
		refuse(r, 452, "4.5.3", "Too many recipients: send this one separately");
	}
}

void
tx_rcpt(struct session *s, const struct pst_smtp_rcpt *src)
{
	struct rcpt *r = s->tx != NULL ? rcpt_new(s->tx, src) : NULL;

	if (r == NULL) {
		/* Its reply would overtake others only if some were open: then end it all. */
		if (s->tx == NULL || s->tx->answered == s->tx->nrcpts)
			session_say(s, 451, "4.3.0", "Out of memory, try again");
		else
			session_dismiss(s, "4.3.2", "Out of memory, try again", "out of memory");
		return;
	}
	judge(s, r, src);
	answer_ready(s);
	tx_drive(s);
}

/* ---- what the next hop said ---- */

static bool
positive(const struct pst_smtp_reply *r)
{
	return r->code >= 200 && r->code < 300;
}

void
session_hop_ready(struct session *s)
{
	tx_drive(s);
}

void
session_hop_mail(struct session *s, const struct pst_smtp_reply *r)
{
	struct verdict v;

	if (s->tx == NULL)
		return;
	if (positive(r)) {
		s->tx->mail_ok = true;
		tx_drive(s);
		return;
	}
	verdict_set(&v, s, r);
	tx_fail(s, v.code, v.enh, v.text);
}

static struct rcpt *
next_sent(struct tx *tx)
{
	for (; tx->replied < tx->nrcpts; tx->replied++) {
		if (tx->rcpts[tx->replied].state == RCPT_SENT)
			return &tx->rcpts[tx->replied++];
	}
	return NULL;
}

void
session_hop_rcpt(struct session *s, const struct pst_smtp_reply *r)
{
	struct tx *tx = s->tx;
	struct rcpt *rc = tx != NULL ? next_sent(tx) : NULL;
	struct verdict v;

	if (rc == NULL)
		return;
	rc->state = positive(r) ? RCPT_OK : RCPT_REFUSED;
	tx->ok += positive(r);
	if (!rc->answered && positive(r)) {
		reply_rcpt(s, rc, 250, "2.1.5", "Ok");
	} else if (!rc->answered) {
		verdict_set(&v, s, r);
		reply_rcpt(s, rc, v.code, v.enh, v.text);
	} else if (!positive(r) && tx->fail.code == 0) {
		/* Said yes to the client on another host's word: the whole message must wait. */
		tx_fail(s, 451, "4.4.2", "The next hop changed its mind about a recipient");
		return;
	}
	answer_ready(s);
	if (s->tx != NULL)
		tx_drive(s);
}
