/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the workers share: judge the configuration, make pools and rings, start the
 * devices, in that order, so that a failure leaves nothing running. All device
 * configuration happens here and never again: a TAP whose kernel side moved to another
 * namespace refuses it later (docs/net.md).
 */
#include "net_impl.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <rte_jhash.h>
#include <rte_thash.h>

#define MBUFS_DEFAULT 16384
#define MBUF_CACHE    256

static _Atomic unsigned fabric_count;

uint32_t
fabric_hash(const struct pst_fabric *f, const struct pst_ip *ip, uint32_t salt)
{
	uint32_t w[4];

	memcpy(w, ip->b, sizeof(w));
	return rte_jhash_32b(w, 4, f->hash_seed ^ salt);
}

const struct net_local *
fabric_local(const struct pst_fabric *f, const struct pst_ip *ip)
{
	unsigned i = fabric_hash(f, ip, 0) % NET_LOCALS;

	for (; f->locals[i].used; i = (i + 1) % NET_LOCALS)
		if (pst_ip_eq(&f->locals[i].ip, ip))
			return &f->locals[i];
	return NULL;
}

static void
add_local(struct pst_fabric *f, const struct pst_ip *ip, unsigned port, unsigned addr)
{
	unsigned i = fabric_hash(f, ip, 0) % NET_LOCALS;

	while (f->locals[i].used)
		i = (i + 1) % NET_LOCALS;
	f->locals[i] = (struct net_local){
		.ip = *ip, .port = (uint16_t)port, .addr = (uint16_t)addr, .used = true};
}

static PST_PRINTF(4, 5) enum pst_rc
	fail(const struct pst_port_conf *pc, char *err, size_t errlen, const char *fmt, ...)
{
	va_list ap;
	int at = snprintf(err, errlen, "port %s: ", pc->name == NULL ? "?" : pc->name);

	if (at > 0 && (size_t)at < errlen) {
		va_start(ap, fmt);
		vsnprintf(err + at, errlen - (size_t)at, fmt, ap);
		va_end(ap);
	}
	return PST_INVAL;
}

static enum pst_rc
check_address(const struct pst_fabric *f, const struct pst_port_conf *pc,
	const struct pst_prefix *a, char *err, size_t errlen)
{
	static const struct pst_ip loopback = {.b = {[15] = 1}};
	char text[PST_IP_STRLEN];

	pst_ip_str(&a->ip, text);
	if (a->len > (pst_ip_is4(&a->ip) ? 32 : 128))
		return fail(pc, err, errlen, "prefix length of %s/%u", text, a->len);
	if (pst_ip_is_any(&a->ip) || pst_ip_is_multicast(&a->ip) || pst_ip_eq(&a->ip, &loopback) ||
		(pst_ip_is4(&a->ip) &&
			(a->ip.b[12] == 127 || a->ip.b[12] == 0 || a->ip.b[12] >= 224)))
		return fail(pc, err, errlen, "%s cannot be a port's address", text);
	if (fabric_local(f, &a->ip) != NULL)
		return fail(pc, err, errlen, "address %s is given twice", text);
	return PST_OK;
}

static enum pst_rc
check_port(const struct pst_fabric *f, const struct pst_port_conf *pc, char *err, size_t errlen)
{
	if (pc->name == NULL || pc->name[0] == '\0' || strlen(pc->name) >= sizeof(f->ports[0].name))
		return fail(pc, err, errlen, "a name of 1 to 31 characters is needed");
	for (unsigned i = 0; i < f->nports; i++)
		if (strcmp(f->ports[i].name, pc->name) == 0)
			return fail(pc, err, errlen, "two ports have this name");
	if (pc->mtu != 0 && (pc->mtu < 1280 || pc->mtu > 9000))
		return fail(pc, err, errlen, "mtu %u is not in 1280..9000", pc->mtu);
	if (pc->vlan > 4094)
		return fail(pc, err, errlen, "vlan %u is not in 1..4094", pc->vlan);
	if (pc->naddrs > PST_NET_MAX_ADDRS)
		return fail(pc, err, errlen, "more than %d addresses", PST_NET_MAX_ADDRS);
	if (rte_is_multicast_ether_addr(&pc->mac))
		return fail(pc, err, errlen, "a multicast MAC address");
	if (pc->ethdev < 0 && rte_is_zero_ether_addr(&pc->mac))
		return fail(pc, err, errlen, "a bare port needs a MAC address");
	return PST_OK;
}

/* RFC 4291 appendix A: fe80::/64 and the modified EUI-64 of the MAC address. */
static void
add_link_local(struct pst_fabric *f, struct pst_port *p)
{
	const uint8_t *mac = p->mac.addr_bytes;
	struct pst_prefix ll = {.ip = {.b = {0xfe, 0x80, 0, 0, 0, 0, 0, 0, mac[0] ^ 2, mac[1],
					       mac[2], 0xff, 0xfe, mac[3], mac[4], mac[5]}},
		.len = 64};
	bool has6 = false;

	for (unsigned i = 0; i < p->naddrs; i++) {
		if (pst_ip_is4(&p->addrs[i].ip))
			continue;
		has6 = true;
		if (pst_ip_is_linklocal(&p->addrs[i].ip))
			return;
	}
	/* Two ports with one MAC address: only the first gets it, addresses name one port. */
	if (!has6 || fabric_local(f, &ll.ip) != NULL)
		return;
	p->addrs[p->naddrs] = ll;
	add_local(f, &ll.ip, p->index, p->naddrs++);
}

static enum pst_rc
add_port(struct pst_fabric *f, const struct pst_port_conf *pc, char *err, size_t errlen)
{
	struct pst_port *p = &f->ports[f->nports];
	enum pst_rc rc = check_port(f, pc, err, errlen);

	if (rc != PST_OK)
		return rc;
	*p = (struct pst_port){.index = (uint16_t)f->nports,
		.ethdev = -1,
		.mac = pc->mac,
		.mtu = pc->mtu == 0 ? 1500 : pc->mtu,
		.vlan = pc->vlan,
		.l2_len = pc->vlan != 0 ? 18 : 14,
		.multi_segs = true,
		.announce = pc->announce == PST_ANNOUNCE_ON ||
			    (pc->announce == PST_ANNOUNCE_AUTO && pc->ethdev >= 0)};
	snprintf(p->name, sizeof(p->name), "%s", pc->name);
	snprintf(p->driver, sizeof(p->driver), "bare");
	for (unsigned i = 0; i < pc->naddrs; i++) {
		rc = check_address(f, pc, &pc->addrs[i], err, errlen);
		if (rc != PST_OK)
			return rc;
		p->addrs[p->naddrs] = pc->addrs[i];
		add_local(f, &pc->addrs[i].ip, p->index, p->naddrs++);
	}
	f->nports++;
	if (pc->ethdev >= 0) {
		rc = port_start(f, p, pc, err, errlen);
		if (rc != PST_OK)
			return rc;
	}
	add_link_local(f, p);
	return PST_OK;
}

/*
 * A core that several workers share may preempt one of them inside the pool: with plain
 * multi-producer rings all others would spin until it is back. Neither of these makes them
 * wait. A stack comes first: it gives out what was freed last and is still in the core's
 * caches, where a ring walks through all of the pool's memory.
 */
static struct rte_mempool *
make_pool(unsigned id, unsigned worker, char kind, unsigned n, uint16_t room, bool ring)
{
	static const char *const ops[] = {"lf_stack", "ring_mt_rts"};
	unsigned cache = PST_MIN((unsigned)MBUF_CACHE, n / 4);
	char name[RTE_MEMPOOL_NAMESIZE];
	struct rte_mempool *mp = NULL;

	snprintf(name, sizeof(name), "pst%u_%c%u", id, kind, worker);
	for (unsigned i = ring; mp == NULL && i < PST_COUNT(ops); i++)
		mp = rte_pktmbuf_pool_create_by_ops(name, n, cache, 0, room, SOCKET_ID_ANY, ops[i]);
	return mp;
}

static enum pst_rc
make_pools(struct pst_fabric *f, const struct pst_fabric_conf *conf, char *err, size_t errlen)
{
	unsigned id = atomic_fetch_add(&fabric_count, 1);
	unsigned mbufs = conf->mbufs_per_worker == 0 ? MBUFS_DEFAULT : conf->mbufs_per_worker;
	uint16_t room = RTE_MBUF_DEFAULT_BUF_SIZE;

	for (unsigned i = 0; i < conf->nports; i++)
		room = PST_MAX(room, port_data_room(&conf->ports[i]));
	for (unsigned i = 0; i < f->nworkers; i++) {
		struct fabric_worker *w = &f->workers[i];
		w->data = make_pool(id, i, 'd', mbufs, room, conf->ring_pools);
		w->head = make_pool(id, i, 'h', mbufs, NET_HEAD_ROOM, conf->ring_pools);
		w->efd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		if (w->data == NULL || w->head == NULL || w->efd < 0) {
			snprintf(err, errlen,
				"no memory for %u mbufs of %u bytes for each of %u workers", mbufs,
				room, f->nworkers);
			return PST_NOMEM;
		}
	}
	return PST_OK;
}

/* The hash key is new for each process: who could compute it could load one worker. */
static void
make_keys(struct pst_fabric *f, uint64_t seed)
{
	struct {
		uint8_t key[NET_KEY_LEN];
		uint32_t hash;
		uint64_t seed;
	} r;

	if (seed != 0 || getrandom(&r, sizeof(r), 0) != (ssize_t)sizeof(r)) {
		uint64_t x = seed != 0 ? seed : pst_now_ns() ^ (uintptr_t)f;
		for (unsigned i = 0; i < sizeof(r); i++) {
			x = x * 6364136223846793005u + 1442695040888963407u; /* Knuth's MMIX */
			((uint8_t *)&r)[i] = (uint8_t)(x >> 56);
		}
	}
	memcpy(f->key, r.key, sizeof(f->key));
	f->hash_seed = r.hash;
	f->seed = r.seed;
	uint32_t key[NET_KEY_LEN / 4];
	memcpy(key, f->key, sizeof(key));
	rte_convert_rss_key(key, f->key_be, NET_KEY_LEN);
}

struct pst_fabric *
pst_fabric_new(const struct pst_fabric_conf *conf, char *err, size_t errlen)
{
	struct pst_fabric *f;

	if (conf->nworkers == 0 || conf->nworkers > PST_NET_MAX_WORKERS ||
		conf->nports > PST_NET_MAX_PORTS) {
		snprintf(err, errlen, "at most %d workers and %d ports", PST_NET_MAX_WORKERS,
			PST_NET_MAX_PORTS);
		return NULL;
	}
	if (posix_memalign((void **)&f, RTE_CACHE_LINE_SIZE, sizeof(*f)) != 0) {
		snprintf(err, errlen, "out of memory");
		return NULL;
	}
	memset(f, 0, sizeof(*f));
	f->nworkers = conf->nworkers;
	f->misroute_every = conf->misroute_every;
	for (unsigned i = 0; i < PST_NET_MAX_WORKERS; i++)
		f->workers[i].efd = -1;
	make_keys(f, conf->seed);
	if (make_pools(f, conf, err, errlen) != PST_OK || steer_init(f, err, errlen) != PST_OK)
		goto fail;
	for (unsigned i = 0; i < conf->nports; i++)
		if (add_port(f, &conf->ports[i], err, errlen) != PST_OK)
			goto fail;
	if (route_init(f, conf, err, errlen) != PST_OK)
		goto fail;
	return f;
fail:
	pst_fabric_free(f);
	return NULL;
}

void
pst_fabric_free(struct pst_fabric *f)
{
	if (f == NULL)
		return;
	for (unsigned i = 0; i < f->nports; i++)
		port_stop(&f->ports[i]);
	steer_fini(f);
	for (unsigned i = 0; i < f->nworkers; i++) {
		rte_mempool_free(f->workers[i].data);
		rte_mempool_free(f->workers[i].head);
		if (f->workers[i].efd >= 0)
			close(f->workers[i].efd);
	}
	free(f->routes);
	free(f);
}

size_t
pst_fabric_describe(const struct pst_fabric *f, unsigned port, char *buf, size_t len)
{
	char vlan[16] = "";

	if (port >= f->nports) {
		snprintf(buf, len, "no such port");
		return strlen(buf);
	}
	const struct pst_port *p = &f->ports[port];
	if (p->vlan != 0)
		snprintf(vlan, sizeof(vlan), " vlan=%u", p->vlan);
	snprintf(buf, len, "%s: %s queues=%u steering=%s mtu=%u%s link=%s", p->name, p->driver,
		p->nqueues,
		p->rss             ? "rss"
		: f->nworkers == 1 ? "none"
				   : "software",
		p->mtu, vlan, port_link_up(p) ? "up" : "down");
	return len == 0 ? 0 : strlen(buf);
}

unsigned
pst_fabric_nports(const struct pst_fabric *f)
{
	return f->nports;
}

const char *
pst_fabric_port_name(const struct pst_fabric *f, unsigned port)
{
	return port < f->nports ? f->ports[port].name : NULL;
}

/*
 * A lost wake-up is impossible: `woken` stays set from here until the sleeper has read
 * the eventfd, and it clears the flag before it looks at its queues again. While it is
 * set, further calls cost one exchange and no system call.
 */
void
pst_fabric_wake(struct pst_fabric *f, unsigned worker)
{
	struct fabric_worker *w = &f->workers[worker];
	uint64_t one = 1;

	/* Pairs with the exchange in pst_net_idle. */
	if (atomic_exchange(&w->woken, true))
		return;
	if (write(w->efd, &one, sizeof(one)) < 0)
		return; /* the counter is full: it is readable, which is all we want */
}
