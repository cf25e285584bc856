/* SPDX-License-Identifier: BSD-3-Clause */
/* The stack as a whole: start, end, and the calls of one loop turn. */
#include "tcb.h"

#include <stdlib.h>

#define DEFAULT(field, value)                                                                      \
	do {                                                                                       \
		if (c->field == 0)                                                                 \
			c->field = (value);                                                        \
	} while (0)

static void
fill_defaults(struct pst_tcp_conf *c)
{
	DEFAULT(max_conns, 65536);
	DEFAULT(max_half_open, 4096);
	DEFAULT(max_time_wait, 65536);
	DEFAULT(rcv_buf, 256 * 1024);
	DEFAULT(snd_buf, 256 * 1024);
	DEFAULT(initial_window, 65535);
	DEFAULT(rto_initial_ms, 1000);
	DEFAULT(rto_min_ms, 200);
	DEFAULT(rto_max_ms, 60000);
	DEFAULT(delack_ms, 40);
	DEFAULT(time_wait_ms, 60000);
	DEFAULT(fin_wait2_ms, 60000);
	DEFAULT(user_timeout_ms, 120000);
	DEFAULT(port_min, 32768);
	DEFAULT(port_max, 60999);
	c->rcv_buf = PST_MIN(PST_MAX(c->rcv_buf, 2048u), 1u << 29);
	c->snd_buf = PST_MIN(PST_MAX(c->snd_buf, 1u), 1u << 29);
	c->initial_window = PST_MIN(PST_MIN(c->initial_window, 65535u), c->rcv_buf);
	c->port_max = PST_MAX(c->port_max, c->port_min);
	c->rto_max_ms = PST_MAX(c->rto_max_ms, c->rto_min_ms);
}

static uint8_t
wscale_for(const struct pst_tcp_conf *c)
{
	uint8_t ws = 0;

	while (ws < WSCALE_MAX && c->rcv_buf >> ws > 65535)
		ws++;
	return ws;
}

static void
make_secrets(struct pst_tcp *t)
{
	struct pst_sipkey *keys[] = {&t->key_table, &t->key_isn, &t->key_ts};

	if (t->conf.seed != 0)
		pst_rand_seed(&t->rand, t->conf.seed);
	else
		pst_rand_init(&t->rand);
	for (unsigned i = 0; i < PST_COUNT(keys); i++)
		*keys[i] = (struct pst_sipkey){{pst_rand_u64(&t->rand), pst_rand_u64(&t->rand)}};
}

struct pst_tcp *
pst_tcp_new(const struct pst_tcp_conf *conf, struct pst_net *net, uint64_t now)
{
	struct pst_tcp *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return NULL;
	t->conf = *conf;
	fill_defaults(&t->conf);
	t->net = net;
	t->data = pst_net_pool_data(net);
	t->head = pst_net_pool_head(net);
	t->rcv_wscale = wscale_for(&t->conf);
	make_secrets(t);
	TAILQ_INIT(&t->ready);
	TAILQ_INIT(&t->dirty);
	TAILQ_INIT(&t->starved);
	TAILQ_INIT(&t->ahead);
	stack_clock(t, now);
	pst_wheel_init(&t->wheel, t->now_ms);
	pst_timer_init(&t->starved_timer, TIMER_STARVED);
	if (!table_init(t) || !half_init(t) || !tw_init(t)) {
		pst_tcp_free(t);
		return NULL;
	}
	return t;
}

void
pst_tcp_free(struct pst_tcp *t)
{
	if (t == NULL)
		return;
	table_fini(t);
	half_fini(t);
	tw_fini(t);
	free(t->listeners);
	free(t);
}

void
stack_clock(struct pst_tcp *t, uint64_t now)
{
	t->now = now;
	t->now_ms = now / PST_NS_PER_MS;
}

static void
dispatch(struct pst_tcp *t, struct seg *s)
{
	struct pst_tcp_conn *c = table_find(t, &s->tuple, s->hash);
	struct half *h;
	struct tw *w;
	uint32_t l;

	if (c != NULL) {
		conn_input(c, s);
	} else if ((h = half_find(t, &s->tuple, s->hash)) != NULL) {
		half_input(t, h, s);
	} else if ((w = tw_find(t, &s->tuple, s->hash)) != NULL) {
		tw_input(t, w, s);
	} else if ((l = listen_find(t, &s->tuple)) != NONE32) {
		listen_input(t, l, s, 0);
	} else if (s->flags & TCP_RST) {
		t->cnt.drop_rst_no_conn++;
	} else {
		t->cnt.drop_no_conn++;
		seg_refuse(t, s);
	}
}

void
pst_tcp_input(struct pst_tcp *t, struct pst_pkt *pkt, uint64_t now)
{
	struct seg s;

	stack_clock(t, now);
	if (pkt->kind == PST_PKT_ICMP_ERROR) {
		icmp_input(t, pkt);
		rte_pktmbuf_free(pkt->m);
		return;
	}
	t->cnt.in_segs++;
	if (!seg_parse(&s, pkt)) {
		t->cnt.drop_malformed++;
		rte_pktmbuf_free(pkt->m);
		return;
	}
	s.hash = tuple_hash(t, &s.tuple);
	dispatch(t, &s);
	mb_free_all(s.m);
}

void
pst_tcp_tick(struct pst_tcp *t, uint64_t now)
{
	struct pst_timer *e;

	stack_clock(t, now);
	pst_wheel_advance(&t->wheel, t->now_ms);
	while ((e = pst_wheel_expire(&t->wheel)) != NULL)
		switch ((enum timer_kind)e->kind) {
		case TIMER_CONN:
			conn_timers_run(pst_container_of(e, struct pst_tcp_conn, timer));
			break;
		case TIMER_HALF:
			half_tick(t);
			break;
		case TIMER_TIME_WAIT:
			tw_tick(t);
			break;
		case TIMER_STARVED:
			mem_retry_starved(t);
			break;
		}
}

void
pst_tcp_flush(struct pst_tcp *t, uint64_t now)
{
	struct pst_tcp_conn *c;

	stack_clock(t, now);
	while ((c = TAILQ_FIRST(&t->dirty)) != NULL) {
		TAILQ_REMOVE(&t->dirty, c, dirty);
		c->on_dirty = false;
		conn_output(c);
	}
}

uint64_t
pst_tcp_next_deadline(const struct pst_tcp *t)
{
	uint64_t ms;

	if (!TAILQ_EMPTY(&t->ready) || !TAILQ_EMPTY(&t->dirty))
		return 0;
	ms = pst_wheel_next(&t->wheel);
	return ms == PST_TIMER_NONE ? UINT64_MAX : ms * PST_NS_PER_MS;
}

struct pst_tcp_conn *
pst_tcp_next_ready(struct pst_tcp *t, uint32_t *events)
{
	struct pst_tcp_conn *c = TAILQ_FIRST(&t->ready);

	if (c == NULL)
		return NULL;
	TAILQ_REMOVE(&t->ready, c, ready);
	c->on_ready = false;
	*events = c->events;
	c->events = 0;
	return c;
}
