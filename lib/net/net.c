/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A worker: poll, hand up, send, sleep. The loop body of the program is
 * pst_net_rx ... pst_net_tick, pst_net_flush, and pst_net_idle when nothing came.
 */
#include "net_impl.h"
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include <sys/prctl.h>

#define IDLE_POLL_NS 60000 /* sleep on devices that cannot say when a frame is there */
#define IDLE_FDS     8

struct pst_net *
pst_net_new(struct pst_fabric *f, unsigned worker)
{
	struct pst_net *n = calloc(1, sizeof(*n)); /* first touched here: this thread's node */

	if (n == NULL || worker >= f->nworkers) {
		free(n);
		return NULL;
	}
	n->f = f;
	n->me = worker;
	n->rng = (uint32_t)(f->seed >> 32 ^ f->seed) + 0x9e3779b9u * (worker + 1);
	if (n->rng == 0)
		n->rng = 1;
	n->until_misroute = f->misroute_every;
	neigh_init(n);
	start_init(n);
	return n;
}

static void
fifo_free(struct net_fifo *q)
{
	struct rte_mbuf *m;

	while ((m = fifo_get(q)) != NULL)
		rte_pktmbuf_free(m);
	free(q->m);
}

void
pst_net_free(struct pst_net *n)
{
	if (n == NULL)
		return;
	neigh_fini(n);
	for (unsigned i = 0; i < n->f->nports; i++) {
		struct net_port *np = &n->port[i];
		rte_pktmbuf_free_bulk(np->tx, np->ntx);
		fifo_free(&np->in);
		fifo_free(&np->out);
	}
	free(n);
}

bool
fifo_put(struct net_fifo *q, struct rte_mbuf *m)
{
	if (q->n == q->cap) {
		unsigned cap = q->cap == 0 ? 64 : q->cap * 2;
		struct rte_mbuf **p =
			cap > NET_FIFO_MAX ? NULL : calloc(cap, sizeof(struct rte_mbuf *));
		if (p == NULL)
			return false;
		for (unsigned i = 0; i < q->n; i++)
			p[i] = q->m[(q->head + i) % q->cap];
		free(q->m);
		*q = (struct net_fifo){.m = p, .n = q->n, .cap = cap};
	}
	q->m[(q->head + q->n++) % q->cap] = m;
	return true;
}

struct rte_mbuf *
fifo_get(struct net_fifo *q)
{
	if (q->n == 0)
		return NULL;
	struct rte_mbuf *m = q->m[q->head];
	q->head = (q->head + 1) % q->cap;
	q->n--;
	return m;
}

void
pst_net_input(struct pst_net *n, unsigned port, struct rte_mbuf *m)
{
	if (port >= n->f->nports || n->f->ports[port].ethdev >= 0 ||
		!fifo_put(&n->port[port].in, m))
		NET_DROP(n, m, rx_drop_nomem);
}

unsigned
pst_net_take(struct pst_net *n, unsigned port, struct rte_mbuf **out, unsigned max)
{
	unsigned got = 0;

	while (port < n->f->nports && got < max &&
		(out[got] = fifo_get(&n->port[port].out)) != NULL)
		got++;
	return got;
}

const struct net_local *
net_local(const struct pst_net *n, const struct pst_ip *ip)
{
	const struct net_local *l = fabric_local(n->f, ip);

	if (l == NULL || n->port[l->port].addr_state[l->addr] == ADDR_DUPLICATE)
		return NULL;
	return l;
}

struct rte_mbuf *
net_pull(struct pst_net *n, struct rte_mbuf *m, uint32_t len)
{
	if (pst_likely(m->data_len >= len))
		return m;
	struct rte_mbuf *copy = rte_pktmbuf_copy(m, pst_net_pool_data(n), 0, UINT32_MAX);
	rte_pktmbuf_free(m);
	if (copy == NULL || copy->data_len < len) {
		rte_pktmbuf_free(copy);
		n->c.rx_drop_nomem++;
		return NULL;
	}
	return copy;
}

/*
 * Steering passes a segment on from its IP header, which lies before the data: a copy
 * that began at the transport header would have no IP header to step back to.
 */
struct rte_mbuf *
net_pull_l4(struct pst_net *n, const struct net_rx *rx, struct rte_mbuf *m, uint32_t len)
{
	if (pst_likely(m->data_len >= len))
		return m;
	rte_pktmbuf_prepend(m, rx->l3_len);
	m = net_pull(n, m, rx->l3_len + len);
	if (m != NULL)
		rte_pktmbuf_adj(m, rx->l3_len);
	return m;
}

void
net_trim(struct rte_mbuf *m, uint32_t len)
{
	struct rte_mbuf *s = m;
	uint32_t left = len;

	if (m->pkt_len <= len)
		return;
	m->pkt_len = len;
	for (uint16_t segs = 1;; segs++, s = s->next) {
		if (s->data_len < left) {
			left -= s->data_len;
			continue;
		}
		s->data_len = (uint16_t)left;
		rte_pktmbuf_free(s->next);
		s->next = NULL;
		m->nb_segs = segs;
		return;
	}
}

uint8_t *
net_alloc(struct pst_net *n, uint16_t len, struct rte_mbuf **m)
{
	*m = rte_pktmbuf_alloc(pst_net_pool_data(n));
	if (*m == NULL)
		return NULL;
	return (uint8_t *)rte_pktmbuf_append(*m, len);
}

void
net_hand_up(struct pst_net *n, const struct pst_pkt *pkt)
{
	n->out[n->nout++] = *pkt;
}

/* Never more frames than records are left: each frame makes at most one. */
static unsigned
room(const struct pst_net *n)
{
	return PST_MIN(n->out_max - n->nout, (unsigned)NET_BURST);
}

#define AHEAD_BYTES 512u /* after so many the processor's own prefetching has caught on */

/*
 * A burst's frames come cold from a device or another core: while m[0] is dealt with, what
 * the next ones need is fetched, one step of pointer to pointer for each frame of distance.
 */
static void
look_ahead(struct rte_mbuf *const *m, unsigned left)
{
	const struct rte_mbuf *s;

	if (left > 3)
		rte_prefetch0(m[3]);
	if (left > 2) {
		rte_prefetch0(rte_pktmbuf_mtod(m[2], void *));
		rte_prefetch0(m[2]->next != NULL ? m[2]->next : m[2]);
	}
	if (left < 2)
		return;
	s = m[1]->next != NULL ? m[1]->next : m[1];
	for (unsigned at = 0; at < PST_MIN((unsigned)s->data_len, AHEAD_BYTES); at += 64)
		rte_prefetch0(rte_pktmbuf_mtod_offset(s, const void *, at));
}

static void
poll_port(struct pst_net *n, struct pst_port *p)
{
	struct rte_mbuf *m[NET_BURST];
	unsigned got = 0;

	if (p->ethdev < 0) {
		for (unsigned left = room(n); got < left; got++)
			if ((m[got] = fifo_get(&n->port[p->index].in)) == NULL)
				break;
		for (unsigned i = 0; i < got; i++)
			eth_input(n, p, m[i]);
		return;
	}
	for (unsigned q = n->me; q < p->nqueues; q += n->f->nworkers) {
		got = port_rx(p, q, m, (uint16_t)room(n));
		for (unsigned i = 0; i < got; i++) {
			look_ahead(m + i, got - i);
			eth_input(n, p, m[i]);
		}
	}
}

/*
 * Sources are the other workers' rings and the ports. Each turn begins with another one:
 * a flood that fills the caller's records by two of them must not silence the rest.
 */
static void
poll_sources(struct pst_net *n)
{
	unsigned rings = n->f->nworkers - 1, count = rings + n->f->nports;

	for (unsigned k = 0; k < count && n->nout < n->out_max; k++) {
		unsigned s = (n->turn + k) % count;
		if (s < rings)
			steer_poll(n, s < n->me ? s : s + 1);
		else
			poll_port(n, &n->f->ports[s - rings]);
	}
	n->turn = n->turn + 1 < count ? n->turn + 1 : 0;
}

unsigned
pst_net_rx(struct pst_net *n, uint64_t now, struct pst_pkt *out, unsigned max)
{
	n->now = PST_MAX(n->now, now);
	n->out = out;
	n->out_max = max;
	n->nout = 0;
	steer_poll_messages(n);
	poll_sources(n);
	steer_wake(n);
	return n->nout;
}

void
pst_net_flush(struct pst_net *n)
{
	for (unsigned i = 0; i < n->f->nports; i++)
		eth_flush_port(n, &n->f->ports[i]);
	steer_wake(n);
}

void
pst_net_tick(struct pst_net *n, uint64_t now)
{
	n->now = PST_MAX(n->now, now);
	neigh_tick(n);
	if (n->me == 0)
		start_tick(n);
}

uint64_t
pst_net_next_deadline(const struct pst_net *n)
{
	return PST_MIN(n->neigh.next, start_next(n));
}

struct rte_mempool *
pst_net_pool_data(const struct pst_net *n)
{
	return n->f->workers[n->me].data;
}

struct rte_mempool *
pst_net_pool_head(const struct pst_net *n)
{
	return n->f->workers[n->me].head;
}

unsigned
pst_net_worker(const struct pst_net *n)
{
	return n->me;
}

struct pst_net_counters *
pst_net_counters(struct pst_net *n)
{
	return &n->c;
}

/* What the worker can wait on: its eventfd, and the queues whose device can signal. */
struct idle_set {
	struct pollfd fds[IDLE_FDS];
	struct {
		const struct pst_port *port;
		unsigned queue;
	} of[IDLE_FDS];
	unsigned n;
	bool deaf; /* some queue cannot signal, or frames wait to be sent */
};

static void
idle_collect(struct pst_net *n, struct idle_set *s)
{
	s->fds[0] = (struct pollfd){.fd = n->f->workers[n->me].efd, .events = POLLIN};
	s->n = 1;
	s->deaf = false;
	for (unsigned i = 0; i < n->f->nports; i++) {
		const struct pst_port *p = &n->f->ports[i];
		s->deaf |= n->port[i].ntx != 0 || n->port[i].in.n != 0;
		for (unsigned q = n->me; q < p->nqueues; q += n->f->nworkers) {
			int fd = s->n < IDLE_FDS ? port_idle_arm(p, q) : -1;
			if (fd < 0) {
				s->deaf = true;
				continue;
			}
			s->fds[s->n] = (struct pollfd){.fd = fd, .events = POLLIN};
			s->of[s->n].port = p;
			s->of[s->n++].queue = q;
		}
	}
}

void
pst_net_idle(struct pst_net *n, uint64_t max_ns)
{
	struct fabric_worker *w = &n->f->workers[n->me];
	struct idle_set s;
	uint64_t junk;

	if (!n->slack_set) { /* else the kernel rounds short sleeps up by 50 us */
		prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
		n->slack_set = true;
	}
	idle_collect(n, &s);
	if (s.deaf)
		max_ns = PST_MIN(max_ns, (uint64_t)IDLE_POLL_NS);
	struct timespec ts = {.tv_sec = (time_t)(max_ns / PST_NS_PER_SEC),
		.tv_nsec = (long)(max_ns % PST_NS_PER_SEC)};
	n->c.idle_sleeps++;
	ppoll(s.fds, s.n, &ts, NULL);
	for (unsigned i = 1; i < s.n; i++)
		port_idle_disarm(s.of[i].port, s.of[i].queue, s.fds[i].fd);
	/* Read first, then clear: see pst_fabric_wake. */
	if ((s.fds[0].revents & POLLIN) != 0 && read(w->efd, &junk, sizeof(junk)) < 0)
		junk = 0;
	atomic_exchange(&w->woken, false);
}
