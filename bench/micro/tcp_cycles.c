/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What TCP costs: two whole stacks over bare ports in one thread, on a virtual clock.
 * Each side's turn is timed by itself. `tcp` is lib/tcp with sending through
 * lib/net; `all` adds pst_net_rx, which verifies checksums in software here.
 * Frames go across without a copy. Minimum and median over many rounds.
 *
 *   tcp_cycles [rounds]
 */
#include <pst_tcp.h>
#include <pst_test.h>

#include <stdio.h>
#include <stdlib.h>

#if defined(__x86_64__)
#include <x86intrin.h>
#define ticks() __rdtsc()
#define UNIT    "TSC cycles"
#else
#define ticks() pst_now_ns()
#define UNIT    "ns"
#endif

#define BURST 64
#define MSS   1448
#define BULK  8 /* segments a turn at most: within the initial window */
#define SMALL 100
#define PORT  25

struct side {
	struct pst_fabric *fabric;
	struct pst_net *net;
	struct pst_tcp *tcp;
	struct pst_tcp_conn *c;
	uint64_t t_tcp, t_all; /* since begin() */
	size_t echo;           /* answers each reading with so many bytes */
	bool closes;           /* after an end of stream */
};

static struct side side[2]; /* 0 opens, 1 listens */
static uint64_t now = 1000 * PST_NS_PER_SEC;
static uint8_t bytes[BULK * MSS];
static unsigned burst; /* segments a turn, all answered by one ACK */

static struct pst_ip
address(unsigned i)
{
	struct pst_ip a;

	pst_ip_parse(i == 0 ? "10.0.0.1" : "10.0.0.2", &a);
	return a;
}

static void
make_side(unsigned i)
{
	struct pst_port_conf port = {.name = i == 0 ? "west" : "east",
		.ethdev = -1,
		.mac = {{2, 0, 0, 0, 0, (uint8_t)(i + 1)}},
		.mtu = 1500,
		.naddrs = 1,
		.addrs = {{address(i), 24}}};
	struct pst_fabric_conf fc = {
		.nworkers = 1, .nports = 1, .ports = &port, .mbufs_per_worker = 8192};
	struct pst_tcp_conf tc = {.time_wait_ms = 50};
	char err[256] = "";

	side[i].fabric = pst_fabric_new(&fc, err, sizeof(err));
	side[i].net = side[i].fabric != NULL ? pst_net_new(side[i].fabric, 0) : NULL;
	side[i].tcp = side[i].net != NULL ? pst_tcp_new(&tc, side[i].net, now) : NULL;
	if (side[i].tcp == NULL) {
		fprintf(stderr, "no stack: %s\n", err);
		exit(1);
	}
}

/* ---- a turn, as a worker's ---- */

static void
serve(struct side *s, struct pst_tcp_conn *c, uint32_t ev)
{
	size_t n = pst_tcp_readable(c);

	if (ev & PST_TCP_EV_ACCEPT)
		s->c = c;
	pst_tcp_consume(c, n);
	if (n > 0 && s->echo > 0)
		pst_tcp_write(c, bytes, s->echo);
	if ((ev & PST_TCP_EV_ERROR) || (s->closes && pst_tcp_eof(c))) {
		pst_tcp_close(c);
		s->c = NULL;
	}
}

static void
turn(struct side *s)
{
	struct pst_pkt pkts[BURST];
	struct pst_tcp_conn *c;
	uint64_t t0 = ticks(), t1;
	unsigned n = pst_net_rx(s->net, now, pkts, BURST);
	uint32_t ev;

	t1 = ticks();
	for (unsigned i = 0; i < n; i++)
		pst_tcp_input(s->tcp, &pkts[i], now);
	pst_tcp_tick(s->tcp, now);
	while ((c = pst_tcp_next_ready(s->tcp, &ev)) != NULL)
		serve(s, c, ev);
	pst_tcp_flush(s->tcp, now);
	pst_net_flush(s->net);
	s->t_tcp += ticks() - t1;
	s->t_all += ticks() - t0;
}

/* What one side sent reaches the other; true if there was something. */
static bool
carry(unsigned from)
{
	struct rte_mbuf *out[BURST];
	unsigned n, sum = 0;

	while ((n = pst_net_take(side[from].net, 0, out, BURST)) > 0) {
		for (unsigned i = 0; i < n; i++)
			pst_net_input(side[!from].net, 0, out[i]);
		sum += n;
	}
	return sum != 0;
}

static void
settle(void)
{
	bool more = true;

	while (more) {
		more = false;
		for (unsigned i = 0; i < 2; i++) {
			turn(&side[i]);
			more |= carry(i);
		}
	}
}

static void
pass_ms(unsigned ms)
{
	now += ms * PST_NS_PER_MS;
	settle();
}

static void
begin(void)
{
	for (unsigned i = 0; i < 2; i++)
		side[i].t_tcp = side[i].t_all = 0;
}

static void
connect_side(void)
{
	struct pst_endpoint to = {.ip = address(1), .port = PORT};
	uint64_t t0 = ticks();

	if (pst_tcp_connect(side[0].tcp, NULL, &to, NULL, now, &side[0].c) != PST_OK)
		exit(1);
	t0 = ticks() - t0;
	side[0].t_tcp += t0;
	side[0].t_all += t0;
}

/* ---- what is measured: each gives the cost of one unit to side `who` ---- */

static unsigned
bulk(void)
{
	pst_tcp_write(side[0].c, bytes, (size_t)burst * MSS);
	turn(&side[0]);
	carry(0);
	begin();
	turn(&side[1]);
	return burst;
}

static unsigned
pingpong(void)
{
	begin();
	pst_tcp_write(side[0].c, bytes, 1);
	turn(&side[0]);
	carry(0);
	turn(&side[1]);
	return 1;
}

static unsigned
transaction(void)
{
	begin();
	connect_side();
	settle();
	pst_tcp_write(side[0].c, bytes, SMALL);
	settle();
	pst_tcp_close(side[0].c);
	settle();
	return 1;
}

static int
compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void
measure(const char *what, unsigned (*once)(void), unsigned who, unsigned rounds)
{
	double *tcp = calloc(rounds, sizeof(*tcp)), *all = calloc(rounds, sizeof(*all));

	if (tcp == NULL || all == NULL)
		exit(1);
	for (unsigned i = 0; i < rounds; i++) {
		unsigned n = once();

		tcp[i] = (double)side[who].t_tcp / n;
		all[i] = (double)side[who].t_all / n;
		carry(1);
		pass_ms(1);
	}
	qsort(tcp, rounds, sizeof(*tcp), compare);
	qsort(all, rounds, sizeof(*all), compare);
	printf("%-44s tcp %6.0f min %6.0f median   all %6.0f min %6.0f median\n", what, tcp[0],
		tcp[rounds / 2], all[0], all[rounds / 2]);
	free(tcp);
	free(all);
}

int
main(int argc, char **argv)
{
	unsigned rounds = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 20000;
	struct pst_endpoint at = {.port = PORT};

	if (rounds == 0)
		return 2;
	pst_test_eal();
	make_side(0);
	make_side(1);
	pst_tcp_listen(side[1].tcp, &at, NULL);
	connect_side();
	settle();
	printf("%s a side\n", UNIT);
	burst = 2;
	measure("1448 bytes in order, an ACK for two", bulk, 1, rounds);
	burst = BULK;
	measure("1448 bytes in order, an ACK for eight", bulk, 1, rounds);
	side[1].echo = 1;
	measure("1-byte ping-pong, the answering side", pingpong, 1, rounds);
	side[1].echo = SMALL;
	side[1].closes = true;
	measure("passive open, 100 bytes each way, close", transaction, 1, rounds);
	measure("active open, 100 bytes each way, close", transaction, 0, rounds);
	for (unsigned i = 0; i < 2; i++) {
		pst_tcp_free(side[i].tcp);
		pst_net_free(side[i].net);
		pst_fabric_free(side[i].fabric);
	}
	return 0;
}
