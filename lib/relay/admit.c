/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Who may come in: limits in total and by address on sessions, connections a minute
 * and TLS handshakes in flight. Each refusal raises one counter and, where the client
 * can read it, is a 421 (RFC 5321 3.8): try again later.
 */
#include "relay.h"

static void
refused(struct shard *sh, unsigned limit)
{
	sh->labels.limit_refusals[limit]++;
}

static struct peers_limits
address_limits(const struct snapshot *sn)
{
	const struct pst_config_limits *l = &sn->cfg->limits;

	return (struct peers_limits){.sessions = l->sessions_per_address,
		.handshakes = l->handshakes_per_address,
		.per_minute = l->connections_per_address_minute};
}

static bool
admit_address(struct shard *sh, const struct pst_ip *ip)
{
	struct peers_limits l = address_limits(sh->snap);

	switch (peers_enter(sh->relay->peers, ip, &l, sh->now_ms)) {
	case PEERS_SESSIONS:
		refused(sh, PST_LIMIT_SESSIONS_PER_ADDRESS);
		return false;
	case PEERS_RATE:
		refused(sh, PST_LIMIT_CONNECTION_RATE);
		return false;
	case PEERS_OK:
	case PEERS_HANDSHAKES:
		break;
	}
	return true;
}

enum admitted
admit_session(struct shard *sh, const struct pst_ip *ip)
{
	enum admitted verdict = ADMIT_FULL;
	unsigned limit = sh->snap->cfg->limits.sessions;
	unsigned live = atomic_fetch_add_explicit(&sh->relay->live, 1, memory_order_relaxed);

	if (limit != 0 && live >= limit)
		refused(sh, PST_LIMIT_SESSIONS);
	else
		verdict = admit_address(sh, ip) ? ADMIT_OK : ADMIT_TOO_MANY;
	if (verdict != ADMIT_OK)
		atomic_fetch_sub_explicit(&sh->relay->live, 1, memory_order_relaxed);
	return verdict;
}

void
admit_leave(struct shard *sh, const struct pst_ip *ip)
{
	peers_leave(sh->relay->peers, ip);
	atomic_fetch_sub_explicit(&sh->relay->live, 1, memory_order_relaxed);
}

bool
admit_handshake(struct session *s)
{
	struct shard *sh = s->sh;
	struct pst_ip ip = pst_tcp_remote(s->leg.conn).ip;
	struct peers_limits l = address_limits(s->snap);
	unsigned limit = s->snap->cfg->limits.handshakes;
	unsigned running =
		atomic_fetch_add_explicit(&sh->relay->handshakes, 1, memory_order_relaxed);

	if (limit != 0 && running >= limit) {
		refused(sh, PST_LIMIT_HANDSHAKES);
	} else if (peers_handshake(sh->relay->peers, &ip, &l) == PEERS_OK) {
		s->tls_began = sh->now;
		return true;
	} else {
		refused(sh, PST_LIMIT_HANDSHAKES_PER_ADDRESS);
	}
	atomic_fetch_sub_explicit(&sh->relay->handshakes, 1, memory_order_relaxed);
	return false;
}

void
admit_handshake_over(struct session *s)
{
	struct pst_ip ip = pst_tcp_remote(s->leg.conn).ip;

	if (s->tls_began == 0)
		return;
	s->tls_began = 0;
	peers_handshake_over(s->sh->relay->peers, &ip);
	atomic_fetch_sub_explicit(&s->sh->relay->handshakes, 1, memory_order_relaxed);
}

/* ---- while it runs ---- */

/* Commands that move no mail. */
bool
admit_command(struct session *s)
{
	uint32_t limit = s->snap->cfg->limits.commands;

	if (limit == 0 || ++s->commands <= limit)
		return true;
	refused(s->sh, PST_LIMIT_COMMANDS);
	return false;
}

/* Who tries address after address without a message is not sending mail (as Postfix counts). */
bool
admit_refusal(struct session *s)
{
	uint32_t limit = s->snap->cfg->limits.errors;

	return limit == 0 || ++s->refusals <= limit;
}

/* A window of DATA is over: was it worth the wait? Begins the next one. */
bool
admit_rate(struct session *s, uint32_t window_ms)
{
	uint64_t got = s->body_in - s->body_mark;
	uint64_t due = (uint64_t)s->snap->cfg->limits.data_rate * window_ms / 1000;

	s->body_mark = s->body_in;
	if (got >= due)
		return true;
	refused(s->sh, PST_LIMIT_DATA_RATE);
	return false;
}
