/* SPDX-License-Identifier: BSD-3-Clause */
/* What an application does with one connection. */
#include "tcb.h"

#include <rte_errno.h>

static bool
can_reach(const struct pst_endpoint *to)
{
	return to->port != 0 && !pst_ip_is_any(&to->ip) && !pst_ip_is_multicast(&to->ip);
}

static enum pst_rc
choose_tuple(struct pst_tcp *t, const struct pst_ip *local, const struct pst_endpoint *remote,
	struct tuple *tu)
{
	struct pst_net_path path;

	*tu = (struct tuple){.remote = remote->ip, .rport = remote->port};
	if (!can_reach(remote) || pst_net_path(t->net, &remote->ip, &path) != PST_OK)
		return PST_UNREACH;
	tu->local = local != NULL ? *local : path.src;
	if (pst_ip_is4(&tu->local) != pst_ip_is4(&tu->remote))
		return PST_UNREACH;
	return port_choose(t, tu) != 0 ? PST_OK : PST_UNREACH;
}

enum pst_rc
pst_tcp_connect(struct pst_tcp *t, const struct pst_ip *local, const struct pst_endpoint *remote,
	void *user, uint64_t now, struct pst_tcp_conn **out)
{
	struct pst_tcp_conn *c;
	struct tuple tu;
	enum pst_rc rc;

	stack_clock(t, now);
	if (mem_pressure(t) >= MEM_RESERVE)
		return PST_NOMEM;
	if ((rc = choose_tuple(t, local, remote, &tu)) != PST_OK)
		return rc;
	if ((c = conn_new(t, &tu, tuple_hash(t, &tu))) == NULL)
		return PST_NOMEM;
	c->active = true;
	c->user = user;
	c->state = ST_SYN_SENT;
	c->iss = secret_isn(t, &tu);
	c->snd_una = c->iss;
	c->ts_offset = secret_ts_offset(t, &tu);
	c->rtt_timing = true;
	c->rtt_seq = c->iss + 1;
	c->rtt_at = now;
	t->cnt.active_opens++;
	conn_send_syn(c);
	*out = c;
	return PST_OK;
}

void
pst_tcp_conn_set_user(struct pst_tcp_conn *c, void *user)
{
	c->user = user;
}

void *
pst_tcp_conn_user(const struct pst_tcp_conn *c)
{
	return c->user;
}

void *
pst_tcp_conn_listener(const struct pst_tcp_conn *c)
{
	return c->listener;
}

void
pst_tcp_conn_mark(struct pst_tcp_conn *c)
{
	conn_event(c, PST_TCP_EV_USER);
}

struct pst_endpoint
pst_tcp_local(const struct pst_tcp_conn *c)
{
	return (struct pst_endpoint){.ip = c->tuple.local, .port = c->tuple.lport};
}

struct pst_endpoint
pst_tcp_remote(const struct pst_tcp_conn *c)
{
	return (struct pst_endpoint){.ip = c->tuple.remote, .port = c->tuple.rport};
}

/* ---- reading ---- */

size_t
pst_tcp_readable(const struct pst_tcp_conn *c)
{
	return c->rxq.len;
}

struct pst_span
pst_tcp_peek(const struct pst_tcp_conn *c)
{
	const struct rte_mbuf *m = c->rxq.head;

	if (m == NULL)
		return pst_span(NULL, 0);
	return pst_span(rte_pktmbuf_mtod(m, const void *), m->data_len);
}

unsigned
pst_tcp_peek_runs(const struct pst_tcp_conn *c, struct pst_span *runs, unsigned max)
{
	unsigned n = 0;

	for (const struct rte_mbuf *m = c->rxq.head; m != NULL && n < max; m = m->next)
		runs[n++] = pst_span(rte_pktmbuf_mtod(m, const void *), m->data_len);
	return n;
}

void
pst_tcp_consume(struct pst_tcp_conn *c, size_t n)
{
	mbq_drop(&c->rxq, (uint32_t)PST_MIN(n, (size_t)c->rxq.len));
	if (c->fin_rcvd || c->state < ST_ESTABLISHED || !wnd_update_due(c))
		return;
	c->ack_now = true;
	conn_dirty(c);
}

bool
pst_tcp_eof(const struct pst_tcp_conn *c)
{
	return c->fin_rcvd && c->rxq.len == 0;
}

/* ---- writing ---- */

size_t
pst_tcp_send_space(struct pst_tcp_conn *c)
{
	uint32_t limit = c->t->conf.snd_buf;

	if (c->state == ST_CLOSED || c->fin_queued)
		return 0;
	if (c->state < ST_ESTABLISHED || c->txq.len >= limit) {
		c->want_write = true;
		return 0;
	}
	if (mem_pressure(c->t) >= MEM_RESERVE) {
		c->want_write = true;
		conn_starve(c);
		return 0;
	}
	return limit - c->txq.len;
}

/* Bytes from the end of what is written to the end of the segment that will carry them. */
static uint32_t
to_edge(const struct pst_tcp_conn *c)
{
	uint32_t off = c->snd_nxt - c->snd_una;

	return c->mss - (c->txq.len > off ? (c->txq.len - off) % c->mss : 0);
}

enum pst_rc
pst_tcp_write(struct pst_tcp_conn *c, const void *p, size_t n)
{
	if (c->state == ST_CLOSED || c->fin_queued)
		return PST_EOF;
	if (n == 0)
		return PST_OK;
	if (pst_tcp_send_space(c) == 0)
		return PST_AGAIN;
	if (n > 1u << 29 || !mbq_write(&c->txq, c->t->data, p, (uint32_t)n, to_edge(c), c->mss)) {
		c->want_write = true;
		conn_starve(c);
		return PST_NOMEM;
	}
	conn_dirty(c);
	return PST_OK;
}

size_t
pst_tcp_unsent(const struct pst_tcp_conn *c)
{
	return c->txq.len;
}

/* ---- letting go ---- */

void
pst_tcp_shutdown(struct pst_tcp_conn *c)
{
	if (c->fin_queued || c->state == ST_CLOSED)
		return;
	c->fin_queued = true;
	c->want_write = false;
	if (c->state == ST_ESTABLISHED)
		c->state = ST_FIN_WAIT_1;
	else if (c->state == ST_CLOSE_WAIT)
		c->state = ST_LAST_ACK;
	conn_dirty(c);
}

/* The application's last word on this handle: no event may carry it any more. */
static void
let_go(struct pst_tcp_conn *c)
{
	c->held = false;
	c->want_write = false;
	c->events = 0;
	if (c->on_ready)
		TAILQ_REMOVE(&c->t->ready, c, ready);
	c->on_ready = false;
}

static void
reset(struct pst_tcp_conn *c)
{
	struct pst_tcp_counters *n = &c->t->cnt;

	if (c->state == ST_SYN_SENT || c->state == ST_SYN_RCVD)
		n->attempt_fails++;
	if (c->state == ST_ESTABLISHED || c->state == ST_CLOSE_WAIT)
		n->estab_resets++;
	if (c->state != ST_CLOSED && c->state != ST_TIME_WAIT)
		conn_send_rst(c);
	conn_free(c);
}

void
pst_tcp_close(struct pst_tcp_conn *c)
{
	let_go(c);
	/* RFC 2525 2.17: a close that loses received data must tell the peer so. */
	if (c->state <= ST_SYN_SENT || c->rxq.len != 0) {
		reset(c);
		return;
	}
	pst_tcp_shutdown(c);
	if (c->state == ST_TIME_WAIT)
		conn_time_wait(c);
	else if (c->state == ST_FIN_WAIT_2)
		conn_timer_idle(c);
}

void
pst_tcp_abort(struct pst_tcp_conn *c)
{
	let_go(c);
	reset(c);
}
