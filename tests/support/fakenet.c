/* SPDX-License-Identifier: BSD-3-Clause */
#include <fakenet.h>

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>

#define HEAD_ROOM 384 /* headroom, headers and small payloads */

static struct rte_mempool *
pool(const char *kind, unsigned n, unsigned room)
{
	static unsigned serial;
	char name[32];
	struct rte_mempool *mp;

	snprintf(name, sizeof(name), "fake_%s_%u", kind, serial++);
	mp = rte_pktmbuf_pool_create(name, n, 0, 0, (uint16_t)room, SOCKET_ID_ANY);
	if (mp == NULL) {
		fprintf(stderr, "no memory for %u mbufs\n", n);
		abort();
	}
	return mp;
}

struct pst_net *
fakenet_new(unsigned ndata, unsigned nhead)
{
	struct pst_net *n = calloc(1, sizeof(*n));

	if (n == NULL)
		abort();
	n->data = pool("data", ndata, RTE_MBUF_DEFAULT_BUF_SIZE);
	n->head = pool("head", nhead, HEAD_ROOM);
	n->mtu = 1500;
	return n;
}

struct fake_out
fakenet_take(struct pst_net *n)
{
	struct fake_out o = {0};

	if (n->taken < n->nout)
		o = n->out[n->taken++];
	if (n->taken == n->nout)
		n->taken = n->nout = 0;
	return o;
}

bool
fakenet_full(const struct pst_net *n)
{
	return rte_mempool_full(n->data) && rte_mempool_full(n->head);
}

bool
fakenet_free(struct pst_net *n)
{
	struct rte_mbuf *m;
	bool full;

	while ((m = fakenet_take(n).m) != NULL)
		rte_pktmbuf_free(m);
	full = fakenet_full(n);
	rte_mempool_free(n->data);
	rte_mempool_free(n->head);
	free(n);
	return full;
}

/* ---- what lib/tcp calls ---- */

enum pst_rc
pst_net_output(struct pst_net *n, struct rte_mbuf *m, const struct pst_ip *src,
	const struct pst_ip *dst, uint8_t proto, uint8_t tos, uint64_t now)
{
	if (n->unreachable || n->nout == FAKENET_OUT || proto != IPPROTO_TCP) {
		n->lost++;
		rte_pktmbuf_free(m);
		return n->unreachable ? PST_UNREACH : PST_NOMEM;
	}
	n->out[n->nout++] = (struct fake_out){.m = m, .src = *src, .dst = *dst};
	return PST_OK;
}

enum pst_rc
pst_net_path(const struct pst_net *n, const struct pst_ip *dst, struct pst_net_path *out)
{
	if (n->unreachable)
		return PST_UNREACH;
	*out = (struct pst_net_path){.src = pst_ip_is4(dst) ? n->ip4 : n->ip6, .mtu = n->mtu};
	return PST_OK;
}

bool
pst_net_is_local(const struct pst_net *n, const struct pst_ip *a)
{
	return pst_ip_eq(a, &n->ip4) || pst_ip_eq(a, &n->ip6);
}

void
pst_net_pmtu_update(struct pst_net *n, const struct pst_ip *dst, uint16_t mtu, uint64_t now)
{
	n->mtu = PST_MIN(n->mtu, mtu);
}

unsigned
pst_net_owner(const struct pst_net *n, const struct pst_ip *src, const struct pst_ip *dst,
	uint16_t sport, uint16_t dport)
{
	return n->workers > 1 ? (sport + dport) % n->workers : 0;
}

struct rte_mempool *
pst_net_pool_data(const struct pst_net *n)
{
	return n->data;
}

struct rte_mempool *
pst_net_pool_head(const struct pst_net *n)
{
	return n->head;
}

unsigned
pst_net_worker(const struct pst_net *n)
{
	return n->worker;
}

void
pst_net_neigh_suspect(struct pst_net *n, const struct pst_ip *dst, uint64_t now)
{
	n->suspected++;
}
