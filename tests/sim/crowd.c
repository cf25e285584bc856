/* SPDX-License-Identifier: BSD-3-Clause */
/* Many short connections: churn with random aborts, and more than a listener takes. */
#include "scene.h"

#include <stdlib.h>

struct crowd {
	unsigned to_open, live, refused, failed, finished;
	unsigned at_once;       /* kept open together */
	unsigned abort_percent; /* at each event */
	uint32_t max_bytes;
};

static struct crowd crowd;

/* Both sides know the client's port, and derive the streams from it. */
static struct flow *
flow_new(struct host *h, struct pst_tcp_conn *c)
{
	uint16_t port = h->id == 0 ? pst_tcp_local(c).port : pst_tcp_remote(c).port;
	struct flow *f = calloc(1, sizeof(*f));

	if (f == NULL)
		abort();
	f->c = c;
	f->send_key = stream_key(port, h->id);
	f->recv_key = stream_key(port, !h->id);
	f->to_send = wire_below(&h->sim->wire, crowd.max_bytes);
	pst_tcp_conn_set_user(c, f);
	return f;
}

static void
gone(struct host *h, struct flow *f)
{
	free(f);
	crowd.live -= h->id == 0;
}

static void
member(struct host *h, struct pst_tcp_conn *c, uint32_t events)
{
	struct flow *f = pst_tcp_conn_user(c);

	if (f == NULL)
		f = flow_new(h, c);
	if (events & PST_TCP_EV_ERROR) {
		crowd.failed++;
		pst_tcp_close(c);
		gone(h, f);
		return;
	}
	if (wire_below(&h->sim->wire, 100) < crowd.abort_percent) {
		pst_tcp_abort(c);
		gone(h, f);
		return;
	}
	flow_read(h->sim, f);
	flow_write(f);
	if (f->eof && f->shut) {
		crowd.finished += h->id == 0;
		pst_tcp_close(c);
		gone(h, f);
	}
}

static void
open_more(struct sim *s)
{
	while (crowd.live < crowd.at_once && crowd.to_open > 0) {
		struct pst_tcp_conn *c = host_connect(&s->host[0], PORT, NULL);

		if (c == NULL) {
			crowd.refused++;
			return;
		}
		flow_new(&s->host[0], c);
		crowd.live++;
		crowd.to_open--;
	}
}

static bool
all_served(struct sim *s)
{
	open_more(s);
	return crowd.to_open == 0 && crowd.live == 0;
}

static struct sim *
gather(const struct sim_conf *conf)
{
	struct sim *s = sim_new(conf);

	s->host[0].app = s->host[1].app = member;
	host_listen(&s->host[1], PORT);
	return s;
}

const char *
scene_churn(uint64_t seed, bool v6)
{
	struct sim_conf conf = {.seed = seed,
		.v6 = v6,
		.mbufs = 4096,
		.wire = {.loss = 2, .dup = 2, .reorder = 5, .corrupt = 1, .delay = 5 * MS}};
	struct sim *s = gather(&conf);

	crowd = (struct crowd){
		.to_open = 10000, .at_once = 100, .abort_percent = 2, .max_bytes = 20000};
	sim_until(s, all_served, 24 * 3600 * SEC);
	if (crowd.finished < 5000)
		sim_fault(s, "too few connections ended in order");
	return scene_end(s);
}

const char *
scene_overload(uint64_t seed, bool v6)
{
	struct sim_conf conf = {
		.seed = seed, .v6 = v6, .mbufs = 4096, .wire = {.loss = 1, .delay = 5 * MS}};
	const struct pst_tcp_counters *n;
	struct sim *s;

	conf.tcp[1] =
		(struct pst_tcp_conf){.max_conns = 200, .max_half_open = 100, .max_time_wait = 64};
	conf.tcp[0] =
		(struct pst_tcp_conf){.max_time_wait = 500, .syn_retries = 20, .rto_max_ms = 4000};
	s = gather(&conf);
	crowd = (struct crowd){.to_open = 3000, .at_once = 1000, .max_bytes = 20000};
	sim_until(s, all_served, 24 * 3600 * SEC);
	n = pst_tcp_counters(s->host[1].tcp);
	if (n->drop_conn_limit + n->drop_half_open_limit == 0)
		sim_fault(s, "there was no overload");
	if (crowd.finished < 2900)
		sim_fault(s, "overload cost connections that could have waited");
	return scene_end(s);
}
