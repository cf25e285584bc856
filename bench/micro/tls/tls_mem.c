/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How much heap an idle TLS session holds, and how much a cached one. Usage: tls_mem
 * [sessions]. What a handshake costs: tls_handshake.
 *
 * Bytes are mallinfo2's in-use bytes (malloc's headers included, free lists not), taken
 * while N pairs are up, after the clients are freed, and after the servers are freed.
 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include "legs.h"

static size_t
live(void)
{
	struct mallinfo2 m = mallinfo2();

	return m.uordblks + m.hblkhd - pst_crypto_cached_bytes();
}

static void
run(const struct bench *b, unsigned n, uint16_t version, unsigned tickets, bool cached)
{
	struct pst_tls_conf sconf = {.side = PST_TLS_SERVER,
		.max_version = version,
		.ncerts = 1,
		.certs = {b->cert},
		.tickets = tickets};
	struct pst_tls_conf cconf = {
		.side = PST_TLS_CLIENT, .verify = PST_TLS_VERIFY_NAME, .ca_file = b->ca_file};
	struct pst_tls_ctx *sctx = bench_context(b->sc, &sconf),
			   *cctx = bench_context(b->cc, &cconf);
	struct pst_tls **c = calloc(n, sizeof(*c)), **s = calloc(n, sizeof(*s));
	struct pst_tls_cache *cache = cached ? pst_tls_cache_new(n) : NULL;
	size_t all, no_clients, none, flushed;
	uint64_t counted;

	if (c == NULL || s == NULL)
		die("sessions", "out of memory");
	for (unsigned i = 0; i < n; i++) {
		c[i] = pst_tls_new(cctx, "mx.example.com");
		s[i] = pst_tls_new(sctx, NULL);
		if (c[i] == NULL || s[i] == NULL)
			die("sessions", "out of memory");
		if (cached) /* a key each: every session stays in the cache */
			pst_tls_use_cache(c[i], cache, pst_span(&i, sizeof(i)));
		shake(c[i], s[i]);
	}
	all = live();
	for (unsigned i = 0; i < n; i++)
		pst_tls_free(c[i]);
	no_clients = live();
	counted = pst_crypto_live_bytes();
	for (unsigned i = 0; i < n; i++)
		pst_tls_free(s[i]);
	counted -= pst_crypto_live_bytes();
	none = live();
	if (cached)
		pst_tls_cache_flush(cache);
	flushed = live();
	printf("%s tickets %u: server %zu B live (OpenSSL's count %llu); client %zu B live",
		version == PST_TLS_1_3 ? "TLS 1.3" : "TLS 1.2", tickets, (no_clients - none) / n,
		(unsigned long long)counted / n, (all - no_clients) / n);
	if (cached)
		printf("; cached %zu B", (none - flushed) / n);
	printf("\n");
	pst_tls_cache_free(cache);
	pst_tls_ctx_put(sctx);
	pst_tls_ctx_put(cctx);
	free(c);
	free(s);
}

int
main(int argc, char **argv)
{
	unsigned n = argc > 1 ? (unsigned)atoi(argv[1]) : 1000;
	static const char *const kinds[] = {"p256", "rsa2048"};

	if (pst_crypto_count_memory() != PST_OK)
		die("count", "OpenSSL was in use before");
	mallopt(M_MMAP_THRESHOLD, 1 << 30);
	for (unsigned i = 0; i < PST_COUNT(kinds) && n > 0; i++) {
		struct bench b;

		printf("certificate %s, one intermediate, %u sessions\n", kinds[i], n);
		bench_init(&b, kinds[i]);
		for (uint16_t v = PST_TLS_1_2; v <= PST_TLS_1_3; v++) {
			run(&b, n, v, 0, false);
			run(&b, n, v, 1, true);
		}
		bench_fini(&b);
	}
	return 0;
}
