/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a session leaves behind: its log lines and the Received field.
 *
 * Two lines a session (begin, end), one a transaction, one a refused recipient.
 * Field names are documented in docs/log.md; the transaction line is complete by
 * itself, so one grep for a message finds both legs' encryption and the verdict.
 */
#include "relay.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static const char *
tx_id(const struct session *s, char buf[SID_MAX + 12])
{
	char sid[SID_MAX];

	snprintf(buf, SID_MAX + 12, "%s.%u", session_id(s, sid), s->tx->number);
	return buf;
}

/* Confirmed, or "unknown". */
static const char *
client_name(const struct session *s)
{
	return s->client_name != NULL ? s->client_name : "unknown";
}

static void
log_client(struct pst_log_line *ln, const struct session *s)
{
	struct pst_endpoint at = pst_tcp_remote(s->leg.conn);
	char ip[PST_IP_STRLEN], text[PST_ENDPOINT_STRLEN + PST_NAME_MAX];

	snprintf(text, sizeof(text), "%s[%s]:%u", client_name(s), pst_ip_str(&at.ip, ip), at.port);
	pst_log_str(ln, "client", text);
}

static const struct pst_tls_info no_tls = {.version = "none",
	.cipher = "none",
	.cipher_iana = "none",
	.group = "none",
	.verify = "none"};

static void
client_tls(const struct session *s, struct pst_tls_info *info)
{
	if (s->leg.tls != NULL && s->leg.encrypted)
		pst_tls_info(s->leg.tls, info);
	else
		*info = no_tls;
}

void
log_session_begin(struct session *s)
{
	char sid[SID_MAX];
	struct pst_log_line ln = pst_log_begin(s->sh->log, PST_LOG_INFO, session_id(s, sid));

	pst_log_str(&ln, "event", "connect");
	log_client(&ln, s);
	pst_log_str(&ln, "listener", s->ln->name);
	pst_log_end(&ln);
}

void
log_certificate_expired(struct session *s)
{
	char sid[SID_MAX];
	struct pst_log_line ln = pst_log_begin(s->sh->log, PST_LOG_WARN, session_id(s, sid));

	pst_log_str(&ln, "event", "certificate-expired");
	pst_log_str(&ln, "listener", s->ln->name);
	pst_log_end(&ln);
}

void
log_session_end(struct session *s)
{
	char sid[SID_MAX];
	struct pst_log_line ln = pst_log_begin(s->sh->log, PST_LOG_INFO, session_id(s, sid));
	struct pst_tls_info info;

	client_tls(s, &info);
	pst_log_str(&ln, "event", "disconnect");
	log_client(&ln, s);
	pst_log_str(&ln, "listener", s->ln->name);
	pst_log_addr(&ln, "helo", pst_span_str(s->smtp.helo != NULL ? s->smtp.helo : ""));
	pst_log_str(&ln, "tls", info.version);
	pst_log_str(&ln, "cipher", info.cipher);
	pst_log_str(&ln, "group", info.group);
	pst_log_u64(&ln, "resumed", info.resumed);
	pst_log_u64(&ln, "transactions", s->ntx);
	pst_log_u64(&ln, "sent", s->nsent);
	pst_log_milli(&ln, "seconds", s->sh->now_ms - s->born_ms);
	pst_log_str(&ln, "reason", s->reason);
	if (s->leg.tls != NULL && pst_tls_flood(s->leg.tls) != PST_TLS_FLOOD_NONE)
		pst_log_str(&ln, "tls_flood", pst_tls_flood_names[pst_tls_flood(s->leg.tls)]);
	if (s->leg.tls != NULL &&
		(!s->leg.encrypted || pst_tls_flood(s->leg.tls) != PST_TLS_FLOOD_NONE))
		pst_log_span(&ln, "tls_error", pst_span_str(pst_tls_error(s->leg.tls)));
	pst_log_end(&ln);
}

void
log_mail_refused(struct session *s, const struct pst_smtp_mail *m, const struct pst_verdict *v)
{
	char sid[SID_MAX];
	struct pst_log_line ln = pst_log_begin(s->sh->log, PST_LOG_INFO, session_id(s, sid));

	log_client(&ln, s);
	pst_log_addr(&ln, "from", m->from.addr);
	pst_log_str(&ln, "stage", "mail");
	pst_log_str(&ln, "rule", v->rule_id);
	pst_log_str(&ln, "sender_policy", pst_sender_name(v->sender));
	pst_log_str(&ln, "reason", v->reason);
	pst_log_u64(&ln, "code", v->code);
	pst_log_span(&ln, "reply", pst_span_str(v->text));
	pst_log_str(&ln, "status", v->code >= 500 ? "rejected" : "deferred");
	pst_log_end(&ln);
}

void
log_rcpt_refused(struct session *s, const struct rcpt *r, unsigned code, const char *text)
{
	char id[SID_MAX + 12];
	struct pst_log_line ln = pst_log_begin(s->sh->log, PST_LOG_INFO, tx_id(s, id));

	pst_log_addr(&ln, "from", s->tx->mail.from.addr);
	pst_log_addr(&ln, "to", pst_span(r->addr, r->len));
	pst_log_str(&ln, "stage", "rcpt");
	if (s->tx->to.cls != NULL)
		pst_log_str(&ln, "nexthop", s->tx->to.cls->hop->name);
	if (r->reason != NULL)
		pst_log_str(&ln, "reason", r->reason);
	pst_log_u64(&ln, "code", code);
	pst_log_span(&ln, "reply", pst_span_str(text));
	pst_log_str(&ln, "status", code >= 500 ? "rejected" : "deferred");
	pst_log_end(&ln);
}

void
log_hop_fault(struct hop *h, enum hop_fault f)
{
	char sid[SID_MAX], at[PST_ENDPOINT_STRLEN];
	struct pst_log_line ln = pst_log_begin(h->sh->log, PST_LOG_WARN, session_id(h->s, sid));

	pst_log_str(&ln, "event", "nexthop-fault");
	pst_log_str(&ln, "nexthop", h->cls->hop->name);
	pst_log_str(&ln, "host", h->host != NULL ? h->host : "");
	pst_log_str(&ln, "address", pst_endpoint_str(&h->at, at));
	pst_log_str(&ln, "fault", hop_fault_name(f));
	pst_log_u64(&ln, "reused", h->reused);
	pst_log_span(&ln, "detail", pst_span_str(h->why));
	pst_log_end(&ln);
}

void
log_hop_facts(struct tx *tx, struct hop *h)
{
	char at[PST_ENDPOINT_STRLEN];
	struct pst_tls_info info = no_tls;

	if (h == NULL || h->state == HOP_CONNECT)
		return;
	if (h->leg.tls != NULL && h->leg.encrypted)
		pst_tls_info(h->leg.tls, &info);
	snprintf(tx->hop_name, sizeof(tx->hop_name), "%s[%s]", h->host != NULL ? h->host : "",
		pst_endpoint_str(&h->at, at));
	snprintf(tx->hop_tls, sizeof(tx->hop_tls), "%s", info.version);
	snprintf(tx->hop_cipher, sizeof(tx->hop_cipher), "%s", info.cipher);
	snprintf(tx->hop_iana, sizeof(tx->hop_iana), "%s", info.cipher_iana);
	snprintf(tx->hop_group, sizeof(tx->hop_group), "%s", info.group);
	tx->hop_bits = info.bits;
	snprintf(tx->hop_verify, sizeof(tx->hop_verify), "%s", info.verify);
	tx->hop_demand = pst_level_name(h->demand.level);
	tx->hop_resumed = info.resumed;
	tx->hop_reused = h->reused;
}

/* Seconds from one mark to the next; a mark that was never reached counts as the one before. */
static void
log_delays(struct pst_log_line *ln, const struct tx *tx, uint64_t now)
{
	uint64_t rcpt = tx->t_rcpt ? tx->t_rcpt : now;
	uint64_t ready = tx->t_ready ? tx->t_ready : now;
	uint64_t data = tx->t_data ? tx->t_data : now;
	uint64_t dot = tx->t_dot ? tx->t_dot : now;
	char text[96];

	snprintf(text, sizeof(text), "%.3f/%.3f/%.3f/%.3f", (double)(rcpt - tx->t_mail) / 1e3,
		(double)(ready - rcpt) / 1e3, (double)(dot - PST_MIN(data, dot)) / 1e3,
		(double)(now - dot) / 1e3);
	pst_log_str(ln, "delays", text);
}

static void
log_recipients(struct pst_log_line *ln, const struct tx *tx)
{
	unsigned shown = 0;

	for (unsigned i = 0; i < tx->nrcpts && shown < 5; i++) {
		const struct rcpt *r = &tx->rcpts[i];

		if (r->state == RCPT_REFUSED || r->state == RCPT_LOCAL)
			continue;
		pst_log_addr(ln, "to", pst_span(r->addr, r->len));
		shown++;
	}
}

/* The words of explain. */
static void
log_policy(struct pst_log_line *ln, const struct tx *tx)
{
	if (tx->to.cls == NULL)
		return;
	pst_log_str(ln, "rule", tx->verdict.rule_id);
	pst_log_str(ln, "sender_policy", pst_sender_name(tx->verdict.sender));
	pst_log_str(ln, "recipient_policy", pst_recipient_name(tx->verdict.recipient));
	pst_log_str(ln, "demand", tx->hop_demand != NULL ? tx->hop_demand : "none");
}

static const char *
or_none(const char *text)
{
	return text[0] != '\0' ? text : "none";
}

/* W12: both legs' ciphers in one record, under the names of OpenSSL and of IANA. */
static void
log_legs(struct pst_log_line *ln, const struct session *s)
{
	const struct tx *tx = s->tx;
	struct pst_tls_info info;

	client_tls(s, &info);
	pst_log_str(ln, "client_tls", info.version);
	pst_log_str(ln, "client_cipher", info.cipher);
	pst_log_str(ln, "client_iana", info.cipher_iana);
	pst_log_str(ln, "client_group", info.group);
	pst_log_u64(ln, "client_bits", (uint64_t)info.bits);
	pst_log_u64(ln, "client_resumed", info.resumed);
	pst_log_str(ln, "server_tls", or_none(tx->hop_tls));
	pst_log_str(ln, "server_cipher", or_none(tx->hop_cipher));
	pst_log_str(ln, "server_iana", or_none(tx->hop_iana));
	pst_log_str(ln, "server_group", or_none(tx->hop_group));
	pst_log_u64(ln, "server_bits", (uint64_t)tx->hop_bits);
	pst_log_str(ln, "verify", or_none(tx->hop_verify));
	pst_log_u64(ln, "resumed", tx->hop_resumed);
	pst_log_u64(ln, "reused", tx->hop_reused);
}

void
log_tx(struct session *s, const char *status, unsigned code, const char *enh, const char *text)
{
	struct tx *tx = s->tx;
	char id[SID_MAX + 12], reply[300];
	struct pst_log_line ln = pst_log_begin(s->sh->log, PST_LOG_INFO, tx_id(s, id));

	log_client(&ln, s);
	pst_log_addr(&ln, "from", tx->mail.from.addr);
	log_recipients(&ln, tx);
	pst_log_u64(&ln, "nrcpt", tx->ok);
	log_policy(&ln, tx);
	pst_log_str(&ln, "route", tx->to.cls != NULL ? tx->to.cls->hop->name : "none");
	pst_log_str(&ln, "nexthop", tx->hop_name[0] != '\0' ? tx->hop_name : "none");
	log_legs(&ln, s);
	pst_log_u64(&ln, "size", tx->size);
	log_delays(&ln, tx, s->sh->now_ms);
	pst_log_str(&ln, "dsn", enh != NULL ? enh : "none");
	snprintf(reply, sizeof(reply), "%u %s", code, text != NULL ? text : "");
	pst_log_span(&ln, "reply", pst_span_str(code != 0 ? reply : text));
	pst_log_str(&ln, "status", status);
	if (strcmp(status, "uncertain") == 0)
		pst_log_u64(&ln, "delivery_uncertain", 1);
	pst_log_end(&ln);
}

/* ---- Received (RFC 5321 4.4, RFC 8314 7.4 for `tls`) ---- */

/* Only one recipient may be named: more would show the blind copies. */
static const struct rcpt *
only_recipient(const struct tx *tx)
{
	const struct rcpt *only = NULL;

	if (tx->ok != 1)
		return NULL;
	for (unsigned i = 0; i < tx->nrcpts; i++) {
		if (tx->rcpts[i].state == RCPT_OK)
			only = &tx->rcpts[i];
	}
	return only;
}

static void
date_now(char *buf, size_t cap)
{
	time_t t = time(NULL);
	struct tm tm;

	gmtime_r(&t, &tm);
	strftime(buf, cap, "%a, %d %b %Y %H:%M:%S +0000", &tm);
}

/* Opt-info = [Via] [With] [ID] [For] [Additional-Registered-Clauses]: `tls` is one of the last. */
size_t
received_write(struct session *s, char *buf, size_t cap)
{
	struct pst_endpoint at = pst_tcp_remote(s->leg.conn);
	const struct rcpt *to = only_recipient(s->tx);
	struct pst_tls_info info;
	char ip[PST_IP_STRLEN], id[SID_MAX + 12], date[64], tls[96] = "", rcpt[320] = "";
	int n;

	client_tls(s, &info);
	if (s->leg.encrypted)
		snprintf(tls, sizeof(tls), "\r\n\ttls %s", info.cipher_iana);
	if (to != NULL)
		snprintf(rcpt, sizeof(rcpt), "\r\n\tfor <%.*s>", (int)to->len, to->addr);
	date_now(date, sizeof(date));
	n = snprintf(buf, cap,
		"Received: from %s (%s [%s%s])\r\n\tby %s %s\r\n\twith %s id "
		"%s%s%s;\r\n\t%s\r\n",
		s->smtp.helo != NULL ? s->smtp.helo : "unknown", client_name(s),
		pst_ip_is4(&at.ip) ? "" : "IPv6:", pst_ip_str(&at.ip, ip), s->ln->hostname,
		s->sh->relay->token, pst_smtp_server_with(&s->smtp), tx_id(s, id), rcpt, tls, date);
	return n > 0 && (size_t)n < cap ? (size_t)n : 0;
}
