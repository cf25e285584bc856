/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Bulk both ways at once over one connection. What each side sends is a stream
 * computed from the seed, and each received byte is compared with it; then both
 * close, TIME_WAIT runs out, and nothing may be left.
 */
#include "sim.h"

#define PORT  25
#define HOURS (3600 * PST_NS_PER_SEC)

static struct flow sides[2];

static void
app(struct host *h, struct pst_tcp_conn *c, uint32_t events)
{
	struct flow *s = &sides[h->id];

	if (events & PST_TCP_EV_ACCEPT)
		s->c = c;
	if (c != s->c || s->closed) {
		sim_fault(h->sim, "an event for a connection that is not ours");
		return;
	}
	if (events & PST_TCP_EV_ERROR) {
		sim_fault(h->sim, pst_tcp_error_name(pst_tcp_error(c)));
		return;
	}
	flow_read(h->sim, s);
	flow_write(s);
	if (s->eof && s->shut) {
		if (s->read != s->to_send)
			sim_fault(h->sim, "the stream ended early");
		pst_tcp_close(c);
		s->closed = true;
	}
}

static void
collect(struct sim *s, struct bulk_result *out)
{
	out->virtual_s = (double)s->now / 1e9;
	out->frames = s->wire.sent;
	for (int i = 0; i < 2; i++) {
		const struct pst_tcp_counters *n = pst_tcp_counters(s->host[i].tcp);

		out->retransmits += n->retrans_segs;
		out->timeouts += n->rto_fired;
		out->fast += n->fast_retrans;
	}
}

const char *
bulk_run(const struct bulk_conf *conf, struct bulk_result *out)
{
	struct sim *s = sim_new(&conf->sim);
	const char *fault;

	*out = (struct bulk_result){0};
	for (unsigned i = 0; i < 2; i++) {
		sides[i] = (struct flow){.to_send = conf->bytes,
			.send_key = stream_key(conf->sim.seed, i),
			.recv_key = stream_key(conf->sim.seed, !i)};
		s->host[i].app = app;
	}
	host_listen(&s->host[1], PORT);
	sides[0].c = host_connect(&s->host[0], PORT, NULL);
	if (sides[0].c == NULL)
		sim_fault(s, "connect failed");
	sim_until(s, sim_idle, 1000 * HOURS);
	for (int i = 0; i < 2; i++)
		if (!sides[i].closed)
			sim_fault(s, "a side never closed");
	collect(s, out);
	fault = s->fault;
	sim_pass(s, 10 * PST_NS_PER_SEC); /* stragglers on the wire */
	if (!sim_free(s) && fault == NULL)
		fault = "a connection or an mbuf was left over";
	return fault;
}
