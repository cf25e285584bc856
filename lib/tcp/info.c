/* SPDX-License-Identifier: BSD-3-Clause */
/* What can be seen from outside. */
#include "tcb.h"

const struct pst_counter_desc pst_tcp_counter_descs[] = {
#define DESC(name, help) PST_COUNTER_DESC(pst_tcp_counters, name, help)
	PST_TCP_COUNTERS(DESC){NULL, NULL, 0}};

struct pst_tcp_counters *
pst_tcp_counters(struct pst_tcp *t)
{
	return &t->cnt;
}

void
pst_tcp_usage(const struct pst_tcp *t, struct pst_tcp_usage *out)
{
	*out = (struct pst_tcp_usage){.conns = t->nconns,
		.half_open = t->half.used,
		.time_wait = t->tw.used,
		.max_conns = t->conf.max_conns,
		.tcb_bytes = sizeof(struct pst_tcp_conn)};
}

enum pst_tcp_error
pst_tcp_error(const struct pst_tcp_conn *c)
{
	return (enum pst_tcp_error)c->error;
}

const char *
pst_tcp_error_name(enum pst_tcp_error e)
{
	static const char *const names[] = {
		[PST_TCP_ERR_NONE] = "no error",
		[PST_TCP_ERR_RESET] = "connection reset",
		[PST_TCP_ERR_REFUSED] = "connection refused",
		[PST_TCP_ERR_TIMEOUT] = "connection timed out",
		[PST_TCP_ERR_UNREACH] = "host unreachable",
		[PST_TCP_ERR_NOMEM] = "out of memory",
	};

	return (unsigned)e < PST_COUNT(names) ? names[e] : "unknown error";
}

void
pst_tcp_conn_info(const struct pst_tcp_conn *c, struct pst_tcp_info *out)
{
	static const char *const states[] = {"CLOSED", "SYN-SENT", "SYN-RECEIVED", "ESTABLISHED",
		"FIN-WAIT-1", "FIN-WAIT-2", "CLOSE-WAIT", "CLOSING", "LAST-ACK", "TIME-WAIT"};

	*out = (struct pst_tcp_info){.state = states[c->state],
		.mss = c->mss,
		.cwnd = c->cc.cwnd,
		.ssthresh = c->cc.ssthresh,
		.snd_wnd = c->snd_wnd,
		.rcv_wnd = c->rcv_adv - c->rcv_nxt,
		.srtt_us = c->rto.srtt_us,
		.rttvar_us = c->rto.rttvar_us,
		.rto_ms = rto_ms(&c->rto),
		.bytes_in = c->bytes_in,
		.bytes_out = c->bytes_out,
		.retransmits = c->retransmits,
		.timestamps = c->ts_on,
		.wscale = c->wscale_on};
}
