/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How a session begins: who may come in, who it is (its name, the lists it stands on), what
 * it is offered (STARTTLS or not), the greeting or the first handshake.
 *
 * Before the greeting a session may wait for its name (WAIT_NAME) and for what the next hop
 * offers (WAIT_MIRROR); whoever answers calls session_named or session_mirrored, from the
 * worker's turn, never from inside another session.
 */
#include "relay.h"

#include <pst_cycles.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define EXPIRED_EVERY_MS 3600000 /* at most so often the log says it again */

static struct session *
session_new(struct shard *sh, struct pst_tcp_conn *conn, unsigned index)
{
	struct session *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	leg_init(&s->leg, LEG_CLIENT, conn);
	s->sh = sh;
	s->listener = index;
	s->snap = snapshot_get(sh->snap, sh->worker);
	s->ln = &sh->snap->cfg->listeners[index];
	s->counter = ++sh->counter;
	s->born_ms = sh->now_ms;
	LIST_INIT(&s->waiters);
	pst_timer_init(&s->timer, LEG_CLIENT);
	pst_smtp_server_init(&s->smtp, &sh->snap->views[sh->worker].listeners[index].smtp);
	TAILQ_INSERT_TAIL(&sh->sessions, s, link);
	sh->nsessions++;
	sh->c.sessions++;
	pst_tcp_conn_set_user(conn, &s->leg);
	return s;
}

void
session_greet(struct session *s)
{
	/* T7: a client that talks before the banner is no mail client. */
	if (leg_has_input(&s->leg)) {
		(void)pst_smtp_reply_put(
			&s->leg.out, 554, "5.5.0", "Not SMTP: you talk before the greeting");
		s->reason = "talked before the greeting";
		s->closing = true;
		return;
	}
	(void)PST_SPEND(PST_LAYER_SMTP, pst_smtp_server_greet(&s->smtp, &s->leg.out));
	s->progress = true;
}

struct pst_facts
session_facts(const struct session *s)
{
	return (struct pst_facts){
		.listener = s->listener,
		.client = pst_tcp_remote(s->leg.conn).ip,
		.client_listed = s->listed,
		.client_tls = s->leg.encrypted,
	};
}

static bool
excepted(const struct pst_config_tls_profile *p, const struct pst_ip *ip)
{
	for (unsigned i = 0; i < p->ntickets_except; i++)
		if (pst_prefix_has(&p->tickets_except[i], ip))
			return true;
	return false;
}

/* How many tickets this client gets; with none, those that it brings are not taken either. */
static unsigned
tickets_for(const struct session *s)
{
	const struct pst_config *cfg = s->snap->cfg;
	int profile = snapshot_listener_profile(cfg, s->ln);
	struct pst_ip ip = pst_tcp_remote(s->leg.conn).ip;

	if (profile < 0 || excepted(&cfg->profiles[profile], &ip))
		return 0;
	return s->ln->has_tickets ? s->ln->tickets : cfg->profiles[profile].tickets;
}

void
session_begin_tls(struct session *s)
{
	struct tls_part *tls = s->snap->listeners[s->listener];

	if (s->tls_began == 0 && !admit_handshake(s)) {
		s->reason = "too many handshakes"; /* in TLS there is nothing that it could read */
		s->closing = true;
		return;
	}
	if (tls == NULL || leg_start_tls(&s->leg, tls->ctx[s->sh->worker], NULL, NULL,
				   pst_span(NULL, 0)) != PST_OK) {
		s->leg.error = true;
		return;
	}
	(void)pst_tls_set_tickets(s->leg.tls, tickets_for(s)); /* of a configured range */
	s->wait = WAIT_TLS;
	session_timer_in(s, s->snap->cfg->limits.timeouts.client_tls);
}

/* A 421 where the client can read it, and no session. */
static void
turn_away(struct shard *sh, struct pst_tcp_conn *conn, int index, enum admitted why)
{
	const char *text = why == ADMIT_TOO_MANY
				   ? "421 4.7.0 Too many connections, try again later\r\n"
				   : "421 4.3.2 Too busy, try again later\r\n";

	sh->c.sessions_refused++;
	if (index >= 0 && sh->snap->cfg->listeners[index].tls != PST_CONFIG_TLS_IMPLICIT)
		(void)pst_tcp_write(conn, text, strlen(text));
	pst_tcp_close(conn);
}

/* Nothing that a client could verify is left: it had better not be promised (S1). */
static bool
expired(const struct snapshot *sn, unsigned listener)
{
	const struct tls_part *tls = sn->listeners[listener];

	return tls != NULL && tls->not_after <= (int64_t)time(NULL);
}

/*
 * An expired certificate is not promised to whom it would only disappoint. Who may have to
 * encrypt is still invited: few mail servers look at dates, and the others lose nothing.
 */
bool
session_may_encrypt(const struct snapshot *sn, unsigned listener, unsigned listed)
{
	if ((listed & PST_LISTED_NEVER) != 0)
		return false;
	if (expired(sn, listener) && !session_tls_demand_possible(sn, listed))
		return false;
	return (listed & PST_LISTED_REQUIRED) != 0 || !pst_policy_sender_none(sn->policy->policy);
}

bool
session_tls_demand_possible(const struct snapshot *sn, unsigned listed)
{
	return (listed & PST_LISTED_REQUIRED) != 0 ||
	       pst_policy_sender_required(sn->policy->policy);
}

bool
session_tls_broken(const struct pst_relay *r, const struct snapshot *sn, const struct pst_ip *ip,
	unsigned listed, uint64_t now_ms)
{
	return sn->cfg->policy.broken_tls.enabled && !session_tls_demand_possible(sn, listed) &&
	       broken_has(r->broken, ip, true, now_ms);
}

static void
begin(struct session *s)
{
	s->wait = WAIT_NONE;
	log_session_begin(s);
	if (s->ln->tls == PST_CONFIG_TLS_IMPLICIT)
		session_begin_tls(s);
	else
		session_greet(s);
}

void
session_mirrored(struct session *s)
{
	if (!mirror_offers(s->sh, s->snap->generation))
		s->smtp.starttls_off = true;
	begin(s);
	session_pump(s);
}

static void
note_expired(struct session *s)
{
	struct view_listener *v = &s->snap->views[s->sh->worker].listeners[s->listener];

	if (s->ln->tls != PST_CONFIG_TLS_STARTTLS || !expired(s->snap, s->listener))
		return;
	s->sh->c.certificate_expired++;
	if (v->expired_told_ms != 0 && s->sh->now_ms - v->expired_told_ms < EXPIRED_EVERY_MS)
		return;
	v->expired_told_ms = PST_MAX(s->sh->now_ms, 1u);
	log_certificate_expired(s);
}

/* Who it is, is known as far as it ever will be: what the client may do follows from it. */
static void
session_open(struct session *s)
{
	const struct pst_policy *p = s->snap->policy->policy;
	struct pst_ip ip = pst_tcp_remote(s->leg.conn).ip;
	const char *name = s->client_name != NULL ? s->client_name : "";
	bool offered = true;

	s->listed = PST_SPEND(PST_LAYER_POLICY, pst_policy_client(p, &ip, pst_span_str(name)));
	s->smtp.tls_first = pst_policy_tls_first(p, s->listed);
	s->smtp.starttls_off = !session_may_encrypt(s->snap, s->listener, s->listed);
	note_expired(s);
	if (s->ln->tls == PST_CONFIG_TLS_STARTTLS &&
		session_tls_broken(s->sh->relay, s->snap, &ip, s->listed, s->sh->now_ms)) {
		s->smtp.starttls_off = true;
		s->sh->c.broken_tls_used++;
	}
	if (mirror_wanted(s->snap, s->ln, s->listed) && !mirror_known(s, &offered)) {
		s->wait = WAIT_MIRROR;
		return;
	}
	s->smtp.starttls_off |= !offered;
	begin(s);
}

static void
set_client_name(struct session *s, const struct pst_names_answer *a)
{
	if (a != NULL && a->status == PST_NAMES_FOUND && a->n > 0)
		s->client_name = strdup(a->e[0].name);
}

/* The name is wanted for the log, and for lists that name hosts. True: it is on its way. */
static bool
ask_client_name(struct session *s)
{
	const struct pst_config_dns *dns = &s->snap->cfg->dns;
	const struct pst_names_answer *a;
	struct pst_ip ip = pst_tcp_remote(s->leg.conn).ip;
	char text[PST_IP_STRLEN];
	struct pst_span key = pst_span_str(pst_ip_str(&ip, text));

	if (s->snap->names == NULL ||
		!(dns->client_names || pst_policy_needs_client_name(s->snap->policy->policy)))
		return false;
	a = pst_names_lookup(s->snap->names, PST_NAMES_CLIENT, key);
	if (a == NULL && waiter_ask(s, PST_NAMES_CLIENT, key) == PST_OK) {
		s->wait = WAIT_NAME;
		return true;
	}
	set_client_name(s, a);
	return false;
}

void
session_named(struct session *s, const struct pst_names_answer *a)
{
	if (s->wait == WAIT_NAME) {
		set_client_name(s, a);
		session_open(s);
	} else if (s->tx != NULL && s->tx->names_due > 0) {
		tx_named(s);
	}
	session_pump(s);
}

/* W3: an action that drops TLS: nothing is said to who begins with it. */
static bool
dropped(const struct shard *sh, int index)
{
	const struct pst_config *cfg = sh->snap->cfg;

	return index >= 0 && cfg->listeners[index].tls == PST_CONFIG_TLS_IMPLICIT &&
	       cfg->actions[cfg->listeners[index].action].tls_action == PST_TLS_ACTION_DROP;
}

void
session_accept(struct shard *sh, struct pst_tcp_conn *conn)
{
	const struct bound *b = pst_tcp_conn_listener(conn);
	struct pst_ip ip = pst_tcp_remote(conn).ip;
	enum admitted verdict = ADMIT_FULL;
	struct session *s = NULL;

	if (dropped(sh, b->index)) {
		sh->c.sessions_refused++;
		pst_tcp_abort(conn);
		return;
	}
	if (!sh->draining && b->index >= 0)
		verdict = admit_session(sh, &ip);
	if (verdict == ADMIT_OK) {
		s = session_new(sh, conn, (unsigned)b->index);
		if (s == NULL)
			admit_leave(sh, &ip);
	}
	if (s == NULL) {
		turn_away(sh, conn, b->index, verdict);
		return;
	}
	if (!ask_client_name(s))
		session_open(s);
	session_pump(s);
}
