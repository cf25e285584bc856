/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Questions of the control thread to a worker about its sessions. Only the worker may
 * look at them, so it answers itself, between two bursts; the asker waits, and takes
 * the question back if the worker does not come in time.
 */
#include "relay.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WAIT_US  1000000
#define SLICE_US 100

/* ---- the worker ---- */

static const char *
state_name(const struct session *s)
{
	switch ((enum session_wait)s->wait) {
	case WAIT_NAME:
	case WAIT_MIRROR:
		return "name";
	case WAIT_TLS:
		return "tls";
	case WAIT_DATA:
		return "data";
	case WAIT_DOT:
		return "verdict";
	case WAIT_NONE:
		break;
	}
	if (s->closing)
		return "closing";
	if (pst_smtp_server_in_body(&s->smtp))
		return "body";
	return s->smtp.pending > 0 ? "rcpt" : "command";
}

static void
describe_tls(const struct leg *l, char *version, size_t vcap, char *cipher, size_t ccap)
{
	struct pst_tls_info info = {.version = "none", .cipher = "none"};

	if (l->tls != NULL && l->encrypted)
		pst_tls_info(l->tls, &info);
	snprintf(version, vcap, "%s", info.version);
	if (cipher != NULL)
		snprintf(cipher, ccap, "%s", info.cipher);
}

static void
describe(const struct session *s, struct pst_session_row *row)
{
	struct pst_endpoint at = pst_tcp_remote(s->leg.conn);
	char text[PST_ENDPOINT_STRLEN];

	*row = (struct pst_session_row){.counter = s->counter,
		.age_ms = s->sh->now_ms - s->born_ms,
		.generation = s->snap->generation,
		.transactions = s->ntx};
	session_id(s, row->id);
	snprintf(row->client, sizeof(row->client), "%s", pst_endpoint_str(&at, text));
	snprintf(row->listener, sizeof(row->listener), "%s", s->ln->name);
	snprintf(row->state, sizeof(row->state), "%s", state_name(s));
	describe_tls(&s->leg, row->client_tls, sizeof(row->client_tls), row->client_cipher,
		sizeof(row->client_cipher));
	if (s->tx != NULL) {
		struct pst_span from = s->tx->mail.from.addr;

		row->bytes = s->tx->size;
		snprintf(row->from, sizeof(row->from), "<%.*s>", PST_SPAN_FMT(from));
	}
	if (s->hop != NULL) {
		snprintf(row->nexthop, sizeof(row->nexthop), "%s[%s]",
			s->hop->host != NULL ? s->hop->host : "",
			pst_endpoint_str(&s->hop->at, text));
		describe_tls(&s->hop->leg, row->nexthop_tls, sizeof(row->nexthop_tls), NULL, 0);
	}
}

static void
answer_list(struct shard *sh, struct mailbox *m)
{
	struct session *s;

	TAILQ_FOREACH (s, &sh->sessions, link) {
		if (m->n == m->max)
			return;
		if (s->counter > m->counter)
			describe(s, &m->rows[m->n++]);
	}
}

static void
answer_kill(struct shard *sh, struct mailbox *m)
{
	struct session *s;

	TAILQ_FOREACH (s, &sh->sessions, link) {
		if (s->counter == m->counter)
			break;
	}
	if (s == NULL)
		return;
	m->n = 1;
	session_kill(s);
}

void
mailbox_answer(struct shard *sh)
{
	struct mailbox *m = &sh->mail;
	int asked = MAIL_ASKED;

	/* Pairs with the release in ask: the question is complete. */
	if (!atomic_compare_exchange_strong_explicit(
		    &m->state, &asked, MAIL_BUSY, memory_order_acquire, memory_order_relaxed))
		return;
	if (m->kind == MAIL_PROBE && sh->probe != NULL) {
		/* A mirror's runs: in a later turn, unless it is taken back. */
		atomic_store_explicit(&m->state, MAIL_ASKED, memory_order_release);
		return;
	}
	switch (m->kind) {
	case MAIL_LIST:
		answer_list(sh, m);
		break;
	case MAIL_KILL:
		answer_kill(sh, m);
		break;
	case MAIL_PROBE:
		probe_begin(sh, m->probe);
		return; /* answered when it has ended */
	}
	atomic_store_explicit(&m->state, MAIL_DONE, memory_order_release);
}

void
mailbox_probed(struct shard *sh)
{
	sh->probe = NULL; /* its asker's again */
	atomic_store_explicit(&sh->mail.state, MAIL_DONE, memory_order_release);
}

/* ---- the control thread ---- */

/* PST_AGAIN: the worker did not answer; the question is withdrawn. */
enum pst_rc
mailbox_ask(struct pst_relay *r, unsigned worker)
{
	struct mailbox *m = &r->shards[worker].mail;
	int asked = MAIL_ASKED;

	atomic_store_explicit(&m->state, MAIL_ASKED, memory_order_release);
	pst_fabric_wake(r->deps.fabric, worker);
	for (unsigned us = 0; us < WAIT_US; us += SLICE_US) {
		if (atomic_load_explicit(&m->state, memory_order_acquire) == MAIL_DONE)
			break;
		usleep(SLICE_US);
	}
	if (atomic_compare_exchange_strong(&m->state, &asked, MAIL_FREE))
		return PST_AGAIN;
	while (atomic_load_explicit(&m->state, memory_order_acquire) != MAIL_DONE)
		usleep(SLICE_US); /* it is at it this very moment */
	atomic_store_explicit(&m->state, MAIL_FREE, memory_order_relaxed);
	return PST_OK;
}

unsigned
pst_relay_sessions(struct pst_relay *r, unsigned worker, uint64_t after,
	struct pst_session_row *rows, unsigned max)
{
	struct mailbox *m;

	if (worker >= r->deps.nworkers || atomic_load(&r->running) == 0)
		return 0;
	m = &r->shards[worker].mail;
	m->kind = MAIL_LIST;
	m->counter = after;
	m->rows = rows;
	m->max = max;
	m->n = 0;
	return mailbox_ask(r, worker) == PST_OK ? m->n : 0;
}

enum pst_rc
pst_relay_kill(struct pst_relay *r, const char *sid)
{
	char want[48];
	unsigned worker;
	unsigned long counter;
	int used = 0;
	size_t prefix;
	struct mailbox *m;

	snprintf(want, sizeof(want), "%s.%s.", r->box, r->boot);
	prefix = strlen(want);
	if (strncmp(sid, want, prefix) != 0 ||
		sscanf(sid + prefix, "%u.%lx%n", &worker, &counter, &used) != 2 ||
		sid[prefix + (size_t)used] != '\0' || worker >= r->deps.nworkers ||
		atomic_load(&r->running) == 0)
		return PST_INVAL;
	m = &r->shards[worker].mail;
	m->kind = MAIL_KILL;
	m->counter = counter;
	m->n = 0;
	if (mailbox_ask(r, worker) != PST_OK)
		return PST_AGAIN;
	return m->n == 1 ? PST_OK : PST_INVAL;
}
