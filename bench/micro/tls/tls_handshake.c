/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a TLS handshake costs on each side, memory to memory on one thread: from making the
 * session to freeing it, TSC cycles of that side's calls alone.
 *
 * Usage: tls_handshake [-n handshakes] [-m pool|libc] [-k ring|openssl] [-c]
 *   -m  who serves OpenSSL's allocations: our free lists (default), or malloc
 *   -k  ticket keys: the product's ring (default), or one of OpenSSL's own
 *   -c  comma-separated, for bench/micro/tls/compare
 *
 * Prints the median and the lowest tenth of n handshakes (default 400) for each case. A
 * handshake that was disturbed (another process, an interrupt) costs many times the median
 * and does not move it. Differences below 3 % between two runs mean nothing: interleave
 * the runs (compare does).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <pst_tickets.h>
#include "legs.h"

#define WARM 20 /* handshakes before those that count */

struct kind {
	const char *name, *cert;
	uint16_t version;
	unsigned tickets;
	bool resumed;
};

static const struct kind kinds[] = {
	{"ECDSA+X25519 0 tickets", "p256", PST_TLS_1_3, 0, false},
	{"ECDSA+X25519 1 ticket", "p256", PST_TLS_1_3, 1, false},
	{"ECDSA+X25519 2 tickets", "p256", PST_TLS_1_3, 2, false},
	{"RSA-2048+X25519 0 tickets", "rsa2048", PST_TLS_1_3, 0, false},
	{"TLS 1.3 resumed", "p256", PST_TLS_1_3, 1, true},
	{"TLS 1.2 ECDSA+X25519", "p256", PST_TLS_1_2, 0, false},
	{"TLS 1.2 resumed", "p256", PST_TLS_1_2, 1, true},
};

static struct pst_tickets *ring; /* NULL: OpenSSL's own key */

struct series {
	uint64_t *server, *client;
	unsigned n;
};

static int
by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* One pair of sessions: made, shaken, freed. */
static void
one(struct pst_tls_ctx *cctx, struct pst_tls_ctx *sctx, struct pst_tls_cache *cache, bool resumed)
{
	struct pst_tls *c, *s;
	struct pst_tls_info info;

	legs = (struct legs){0};
	c = leg_new(cctx, "mx.example.com", &legs.client);
	s = leg_new(sctx, NULL, &legs.server);
	if (cache != NULL)
		pst_tls_use_cache(c, cache, pst_span_str("hop"));
	shake(c, s);
	pst_tls_info(c, &info);
	if (info.resumed != resumed)
		die("handshake", resumed ? "not resumed" : "resumed");
	leg_free(c, &legs.client);
	leg_free(s, &legs.server);
}

static void
measure(const struct kind *k, struct series *out)
{
	struct bench b;
	struct pst_tls_ctx *sctx, *cctx;
	struct pst_tls_cache *cache = k->resumed ? pst_tls_cache_new(4) : NULL;

	bench_init(&b, k->cert);
	sctx = bench_context(b.sc, &(struct pst_tls_conf){.side = PST_TLS_SERVER,
					   .max_version = k->version,
					   .ncerts = 1,
					   .certs = {b.cert},
					   .tickets = k->tickets,
					   .ticket_keys = ring});
	cctx = bench_context(b.cc, &(struct pst_tls_conf){.side = PST_TLS_CLIENT,
					   .verify = PST_TLS_VERIFY_NAME,
					   .ca_file = b.ca_file});
	if (cache != NULL)
		one(cctx, sctx, cache, false);
	for (unsigned i = 0; i < WARM + out->n; i++) {
		one(cctx, sctx, cache, k->resumed);
		if (i >= WARM) {
			out->server[i - WARM] = legs.server;
			out->client[i - WARM] = legs.client;
		}
	}
	pst_tls_cache_free(cache);
	pst_tls_ctx_put(sctx);
	pst_tls_ctx_put(cctx);
	bench_fini(&b);
}

static void
print(const struct kind *k, struct series *s, bool csv)
{
	uint64_t *v[] = {s->server, s->client};

	printf(csv ? "%s" : "%-27s", k->name);
	for (unsigned i = 0; i < 2; i++) {
		uint64_t median, low;

		qsort(v[i], s->n, sizeof(*v[i]), by_value);
		median = v[i][s->n / 2];
		low = v[i][s->n / 10];
		printf(csv ? ",%.1f,%llu,%.1f" : " %8.1f %9llu %8.1f", legs_us(median),
			(unsigned long long)median, legs_us(low));
	}
	printf("\n");
}

static void
usage(void)
{
	fprintf(stderr,
		"usage: tls_handshake [-n handshakes] [-m pool|libc] [-k ring|openssl] [-c]\n");
	exit(2);
}

int
main(int argc, char **argv)
{
	struct series s = {.n = 400};
	bool pool = true, csv = false, own = true;
	int opt;

	while ((opt = getopt(argc, argv, "n:m:k:c")) != -1) {
		if (opt == 'n' && atoi(optarg) > 0 && atoi(optarg) <= 1000000)
			s.n = (unsigned)atoi(optarg);
		else if (opt == 'm' && (strcmp(optarg, "pool") == 0 || strcmp(optarg, "libc") == 0))
			pool = optarg[0] == 'p';
		else if (opt == 'k' &&
			 (strcmp(optarg, "ring") == 0 || strcmp(optarg, "openssl") == 0))
			own = optarg[0] == 'r';
		else if (opt == 'c')
			csv = true;
		else
			usage();
	}
	if (pool && pst_crypto_count_memory() != PST_OK)
		die("memory", "OpenSSL was in use before");
	if (own &&
		(ring = pst_tickets_new(
			 &(struct pst_tickets_conf){.rotate = 3600, .lifetime = 3600}, 0)) == NULL)
		die("ticket keys", "no random bytes");
	s.server = calloc(s.n, sizeof(*s.server));
	s.client = calloc(s.n, sizeof(*s.client));
	if (s.server == NULL || s.client == NULL)
		die("series", "out of memory");
	if (!csv)
		printf("%-27s %8s %9s %8s %8s %9s %8s\n%-27s %8s %9s %8s %8s %9s %8s\n", "",
			"server", "", "", "client", "", "", "median of each side", "us", "cycles",
			"us p10", "us", "cycles", "us p10");
	for (unsigned i = 0; i < PST_COUNT(kinds); i++) {
		measure(&kinds[i], &s);
		print(&kinds[i], &s, csv);
		fflush(stdout);
	}
	free(s.server);
	free(s.client);
	pst_tickets_free(ring);
	return 0;
}
