/* SPDX-License-Identifier: BSD-3-Clause */
#include "site.h"

#include <criterion/criterion.h>
#include <pst_test.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <rte_mempool.h>

#define BURST 64

static struct pst_fabric *
fabric(const char *name, uint8_t mac_last, const char *addr)
{
	struct pst_port_conf port = {.name = name,
		.ethdev = -1,
		.mac = {.addr_bytes = {2, 0, 0, 0, 0, mac_last}},
		.naddrs = 1};
	struct pst_fabric_conf conf = {.nworkers = 1,
		.nports = 1,
		.ports = &port,
		.mbufs_per_worker = 8192,
		.seed = mac_last};
	char err[256] = "";
	struct pst_fabric *f;

	cr_assert_eq(pst_prefix_parse(addr, &port.addrs[0]), PST_OK);
	f = pst_fabric_new(&conf, err, sizeof(err));
	cr_assert_not_null(f, "%s", err);
	return f;
}

static struct pst_endpoint
far_at(uint16_t port)
{
	struct pst_endpoint e = {.port = port};

	cr_assert_eq(pst_ip_parse("192.0.2.2", &e.ip), PST_OK);
	return e;
}

static struct pst_config_host
host(const char *name, uint16_t port, uint16_t priority)
{
	return (struct pst_config_host){.name = name,
		.has_address = true,
		.address = far_at(port).ip,
		.port = port,
		.priority = priority};
}

static void
default_config(struct site *s)
{
	static struct pst_config_timeouts t = {.client_command = 300000,
		.client_data = 180000,
		.client_tls = 30000,
		.connect = 30000,
		.tls = 30000,
		.banner = 60000,
		.ehlo = 60000,
		.mail = 120000,
		.rcpt = 120000,
		.data = 60000,
		.block = 180000,
		.dot = 570000,
		.drain = 120000};

	for (unsigned i = 0; i < 2; i++) {
		s->hops[i] = (struct pst_config_next_hop){.name = i == 0 ? "one" : "two",
			.nhosts = i == 0 ? 2 : 1,
			.hosts = s->hosts[i],
			.reuse = PST_REUSE_CLASS,
			.reuse_messages = 100,
			.reuse_idle_ms = 30000,
			.reuse_age_ms = 300000,
			.max_tries = 5,
			.expose_upstream_text = true};
		s->routes[i] = (struct pst_config_route){
			.domain = i == 0 ? "one.example" : "two.example", .next_hop = i};
	}
	s->hosts[0][0] = host("a.one", SITE_HOP_A, 10);
	s->hosts[0][1] = host("b.one", SITE_HOP_B, 20);
	s->hosts[1][0] = host("a.two", SITE_HOP_C, 10);
	s->action = (struct pst_config_action){
		.name = "plain", .starttls_profile = -1, .implicit_profile = -1};
	s->listener = (struct pst_config_listener){.name = "smtp",
		.at.port = SITE_CLIENT_PORT,
		.hostname = "gw.example",
		.received = true};
	s->cfg = (struct pst_config){.version = 1,
		.dataplane.workers = 1,
		.limits = {.sessions = 100,
			.recipients = 100,
			.message_size = 50 << 20,
			.errors = 20,
			.received = 50,
			.timeouts = t},
		.nactions = 1,
		.actions = &s->action,
		.nlisteners = 1,
		.listeners = &s->listener,
		.nroutes = 2,
		.routes = s->routes,
		.nnext_hops = 2,
		.next_hops = s->hops};
}

void
site_init(struct site *s)
{
	pst_test_eal();
	*s = (struct site){.now = 1000 * PST_NS_PER_SEC};
	TAILQ_INIT(&s->peers);
	default_config(s);
}

void
site_start(struct site *s)
{
	struct pst_log_conf log = {.file = s->log_path, .level = PST_LOG_INFO};
	struct pst_tcp_conf far = {.seed = 7, .max_conns = 1024, .time_wait_ms = 1};
	struct pst_relay_deps deps = {.nworkers = 1};
	char err[512] = "";

	snprintf(s->log_path, sizeof(s->log_path), "/tmp/pst-site-log-%d", getpid());
	unlink(s->log_path);
	s->logger = pst_logger_new(&log, err, sizeof(err));
	cr_assert_not_null(s->logger, "%s", err);
	s->gw_fabric = fabric("gw", 1, "192.0.2.1/24");
	s->far_fabric = fabric("far", 2, "192.0.2.2/24");
	s->far_net = pst_net_new(s->far_fabric, 0);
	cr_assert_not_null(s->far_net);
	s->far_tcp = pst_tcp_new(&far, s->far_net, s->now);
	cr_assert_not_null(s->far_tcp);
	deps.fabric = s->gw_fabric;
	deps.logger = s->logger;
	deps.engine = s->engine;
	s->relay = pst_relay_new(&s->cfg, &deps, err, sizeof(err));
	cr_assert_not_null(s->relay, "%s", err);
	strcpy(s->relay->box, "gw");
	strcpy(s->relay->boot, "1");
	s->sh = &s->relay->shards[0];
	cr_assert_eq(shard_init(s->sh, s->relay, 0, s->now), PST_OK);
	site_listen(s, SITE_HOP_A, true);
	site_listen(s, SITE_HOP_B, true);
	site_listen(s, SITE_HOP_C, true);
}

void
site_listen(struct site *s, uint16_t port, bool on)
{
	struct pst_endpoint at = {.port = port};

	if (on)
		cr_assert_eq(pst_tcp_listen(s->far_tcp, &at, (void *)(uintptr_t)port), PST_OK);
	else
		pst_tcp_unlisten(s->far_tcp, &at);
}

/* ---- peers ---- */

static struct peer *
peer_new(struct site *s, struct pst_tcp_conn *conn)
{
	struct peer *p = calloc(1, sizeof(*p));

	p->site = s;
	p->conn = conn;
	p->rx = calloc(1, p->cap = 4096);
	pst_tcp_conn_set_user(conn, p);
	TAILQ_INSERT_TAIL(&s->peers, p, link);
	return p;
}

void
peer_heard(struct peer *p, const void *b, size_t n)
{
	while (p->n + n + 1 > p->cap)
		p->rx = realloc(p->rx, p->cap *= 2);
	memcpy(p->rx + p->n, b, n);
	p->n += n;
	p->rx[p->n] = '\0';
}

static void
peer_read(struct peer *p)
{
	struct pst_span in;

	if (p->tls != NULL)
		peer_tls_read(p);
	while (!p->deaf && p->tls == NULL && p->conn != NULL &&
		(in = pst_tcp_peek(p->conn)).n > 0) {
		peer_heard(p, in.p, in.n);
		pst_tcp_consume(p->conn, in.n);
	}
	if (p->conn != NULL && pst_tcp_eof(p->conn))
		p->eof = true;
}

static void
far_turn(struct site *s)
{
	struct pst_pkt pkts[BURST];
	unsigned n = pst_net_rx(s->far_net, s->now, pkts, BURST);
	struct pst_tcp_conn *c;
	struct peer *p;
	uint32_t ev;

	for (unsigned i = 0; i < n; i++)
		pst_tcp_input(s->far_tcp, &pkts[i], s->now);
	pst_net_tick(s->far_net, s->now);
	pst_tcp_tick(s->far_tcp, s->now);
	while ((c = pst_tcp_next_ready(s->far_tcp, &ev)) != NULL) {
		p = pst_tcp_conn_user(c);
		if (p == NULL) {
			p = peer_new(s, c);
			p->port = (uint16_t)(uintptr_t)pst_tcp_conn_listener(c);
			if (s->far_implicit)
				peer_tls(p, s->far_server);
		}
		p->connected |= (ev & (PST_TCP_EV_CONNECTED | PST_TCP_EV_ACCEPT)) != 0;
		p->error |= (ev & PST_TCP_EV_ERROR) != 0;
		if (p->first != NULL && p->connected) {
			(void)pst_tcp_write(c, p->first, strlen(p->first));
			p->first = NULL;
		}
		peer_read(p);
	}
	TAILQ_FOREACH (p, &s->peers, link) {
		if (p->conn != NULL && !p->error && pst_tcp_readable(p->conn) > 0)
			peer_read(p); /* who was deaf gets no event for what came meanwhile */
	}
	pst_tcp_flush(s->far_tcp, s->now);
	TAILQ_FOREACH (p, &s->peers, link) {
		if (p->hit_and_run && p->connected && p->conn != NULL)
			peer_abort(p); /* right behind the ACK of the handshake */
	}
	pst_net_flush(s->far_net);
}

/* Frames cross the wire; the copy keeps the two sides' pools apart. */
static unsigned
carry(struct site *s, struct pst_net *from, struct pst_net *to)
{
	struct rte_mbuf *m[BURST];
	unsigned n = pst_net_take(from, 0, m, BURST);

	for (unsigned i = 0; i < n; i++) {
		struct rte_mbuf *c =
			s->cut ? NULL
			       : rte_pktmbuf_copy(m[i], pst_net_pool_data(to), 0, UINT32_MAX);

		rte_pktmbuf_free(m[i]);
		if (c != NULL)
			pst_net_input(to, 0, c);
	}
	return n;
}

unsigned
site_carry(struct site *s)
{
	return carry(s, s->sh->net, s->far_net) + carry(s, s->far_net, s->sh->net);
}

static uint64_t
jobs_begun(const struct site *s)
{
	struct pst_lane_stats st;

	if (s->sh->lane == NULL)
		return 0;
	pst_lane_stats(s->sh->lane, &st);
	return st.c.jobs_started;
}

static bool
gateway_turn(struct site *s)
{
	uint64_t before = jobs_begun(s);
	bool busy = shard_turn(s->sh, s->now);

	s->most_begun = PST_MAX(s->most_begun, jobs_begun(s) - before);
	return busy;
}

/* One step: everything that can happen now, then the clock jumps to what is due next. */
static void
step(struct site *s, uint64_t until)
{
	uint64_t due;
	unsigned moved;

	do {
		bool busy = gateway_turn(s);

		far_turn(s);
		moved = site_carry(s) + busy;
	} while (moved > 0);
	due = PST_MIN(shard_next_deadline(s->sh), pst_tcp_next_deadline(s->far_tcp));
	due = PST_MIN(due, pst_net_next_deadline(s->far_net));
	due = PST_MAX(due, s->now + PST_NS_PER_MS);
	s->now = PST_MIN(due, until);
}

void
site_run(struct site *s, uint64_t ms)
{
	uint64_t until = s->now + ms * PST_NS_PER_MS;

	while (s->now < until)
		step(s, until);
	step(s, s->now);
}

struct peer *
site_adopt(struct site *s, struct pst_tcp_conn *conn)
{
	return peer_new(s, conn);
}

struct peer *
site_connect(struct site *s)
{
	struct pst_endpoint gw = {.port = SITE_CLIENT_PORT};
	struct pst_tcp_conn *conn;

	cr_assert_eq(pst_ip_parse("192.0.2.1", &gw.ip), PST_OK);
	cr_assert_eq(pst_tcp_connect(s->far_tcp, NULL, &gw, NULL, s->now, &conn), PST_OK);
	return peer_new(s, conn);
}

struct peer *
site_client(struct site *s)
{
	struct peer *p = site_connect(s);

	peer_expect(p, "220 gw.example", 5000);
	peer_expect(p, "\r\n", 0);
	return p;
}

struct peer *
site_accept(struct site *s, uint16_t port, uint64_t ms)
{
	uint64_t until = s->now + ms * PST_NS_PER_MS;
	struct peer *p;

	for (;;) {
		TAILQ_FOREACH (p, &s->peers, link) {
			if (p->port == port) {
				p->port = 0; /* handed out once */
				return p;
			}
		}
		if (s->now >= until)
			return NULL;
		step(s, until);
	}
}

void
peer_send_bytes(struct peer *p, const void *b, size_t n)
{
	const uint8_t *at = b;

	if (p->tls != NULL) {
		peer_tls_write(p, b, n);
		return;
	}
	while (n > 0) {
		size_t part = PST_MIN(n, (size_t)4096);
		enum pst_rc rc = pst_tcp_send_space(p->conn) > 0 ? pst_tcp_write(p->conn, at, part)
								 : PST_AGAIN;

		if (rc == PST_EOF || p->error)
			return;
		if (rc == PST_OK) {
			at += part;
			n -= part;
		} else {
			site_run(p->site, 10);
		}
	}
}

void
peer_send(struct peer *p, const char *text)
{
	peer_send_bytes(p, text, strlen(text));
}

bool
peer_hears(struct peer *p, const char *text, uint64_t ms)
{
	struct site *s = p->site;
	uint64_t until = s->now + ms * PST_NS_PER_MS;

	for (;;) {
		char *at;

		peer_read(p);
		at = strstr(p->rx + p->seen, text);
		if (at != NULL) {
			p->seen = (size_t)(at - p->rx) + strlen(text);
			return true;
		}
		if (s->now >= until)
			return false;
		step(s, until);
	}
}

void
peer_expect(struct peer *p, const char *text, uint64_t ms)
{
	cr_assert(peer_hears(p, text, ms), "wanted \"%s\", have \"%s\"", text, p->rx + p->seen);
}

bool
peer_ends(struct peer *p, uint64_t ms)
{
	struct site *s = p->site;
	uint64_t until = s->now + ms * PST_NS_PER_MS;

	while (!p->eof && !p->error && s->now < until)
		step(s, until);
	return p->eof || p->error;
}

void
peer_close(struct peer *p)
{
	pst_tcp_close(p->conn);
	p->conn = NULL;
	p->deaf = true;
}

void
peer_abort(struct peer *p)
{
	pst_tcp_abort(p->conn);
	p->conn = NULL;
	p->deaf = true;
}

struct peer *
hop_serve(struct site *s, uint16_t port)
{
	struct peer *h = site_accept(s, port, 5000);

	cr_assert_not_null(h, "the gateway did not connect to port %u", port);
	peer_send(h, "220 hop ESMTP\r\n");
	peer_expect(h, "EHLO gw.example\r\n", 5000);
	peer_send(h, "250-hop\r\n250-PIPELINING\r\n250-SIZE 60000000\r\n250-8BITMIME\r\n250 "
		     "ENHANCEDSTATUSCODES\r\n");
	return h;
}

void
client_envelope(struct peer *c, const char *rcpt)
{
	char line[256];

	peer_send(c, "EHLO client.example\r\n");
	peer_expect(c, "250 ", 5000);
	peer_send(c, "MAIL FROM:<a@client.example>\r\n");
	peer_expect(c, "250 2.1.0", 5000);
	snprintf(line, sizeof(line), "RCPT TO:<%s>\r\n", rcpt);
	peer_send(c, line);
}

char *
site_log(struct site *s)
{
	char *text = NULL;
	size_t n = 0;
	FILE *f;
	char err[64];

	/* Freeing the logger drains every lane; a new one appends. */
	pst_logger_free(s->logger);
	s->sh->log = NULL;
	f = fopen(s->log_path, "r");
	cr_assert_not_null(f);
	if (getdelim(&text, &n, '\0', f) < 0)
		text = strdup("");
	fclose(f);
	struct pst_log_conf log = {.file = s->log_path, .level = PST_LOG_INFO};
	s->logger = pst_logger_new(&log, err, sizeof(err));
	s->sh->log = pst_log_lane(s->logger, "w0");
	return text;
}

void
site_fini(struct site *s)
{
	struct peer *p;

	while ((p = TAILQ_FIRST(&s->peers)) != NULL) {
		TAILQ_REMOVE(&s->peers, p, link);
		if (p->conn != NULL)
			pst_tcp_abort(p->conn);
		pst_tls_free(p->tls);
		free(p->rx);
		free(p);
	}
	site_run(s, 2000);
	cr_assert_eq(s->sh->nsessions, 0, "sessions left");
	cr_assert_eq(atomic_load(&s->relay->live), 0);
	cr_assert_eq(atomic_load(&s->relay->handshakes), 0);
	cr_assert_eq(peers_known(s->relay->peers), 0, "an address is still counted");
	hop_pool_flush(s->sh);
	site_run(s, 130000);
	cr_assert_eq(
		rte_mempool_in_use_count(pst_net_pool_data(s->sh->net)), 0, "data mbufs leaked");
	cr_assert_eq(s->sh->wheel.armed, 0, "timers left");
	cr_assert_eq(pst_relay_reclaim(s->relay), 0, "an old generation is still in use");
	cr_assert_not(snapshot_in_use(s->relay->snap));
	shard_fini(s->sh);
	pst_tcp_free(s->far_tcp);
	pst_net_free(s->far_net);
	if (s->engine != NULL)
		pst_engine_stop(s->engine);
	pst_relay_free(s->relay);
	pst_engine_free(s->engine);
	pst_fabric_free(s->gw_fabric);
	pst_fabric_free(s->far_fabric);
	pst_logger_free(s->logger);
	unlink(s->log_path);
	site_tls_fini(s);
}
