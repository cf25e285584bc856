/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How much heap an idle TLS session holds, how much a cached one, and what a
 * handshake costs on each side. Usage: tls_mem [sessions]
 *
 * Bytes are mallinfo2's in-use bytes (malloc's headers included), taken while N
 * pairs are up, after the clients are freed, and after the servers are freed.
 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <pst_tls.h>
#include "pki.h"

#define WIRE (128 * 1024)

struct wire {
	uint8_t p[WIRE];
	size_t n;
};

static struct wire to_server, to_client;
static double server_us, client_us; /* of the run */

static void
die(const char *what, const char *why)
{
	fprintf(stderr, "tls_mem: %s: %s\n", what, why);
	exit(1);
}

static double
now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

static enum pst_rc
step(struct pst_tls *t, struct wire *in, struct wire *out, double *us)
{
	struct pst_tls_io io = {
		.in = in->p, .in_len = in->n, .out = out->p + out->n, .out_cap = WIRE - out->n};
	double start = now_us();
	enum pst_rc rc = pst_tls_handshake(t, &io);
	uint8_t buf[16];
	size_t n;

	if (rc == PST_OK && io.in_used < io.in_len) /* tickets */
		rc = pst_tls_read(t, &io, buf, sizeof(buf), &n) == PST_AGAIN ? PST_OK : PST_PEER;
	*us += now_us() - start;
	in->n -= io.in_used;
	memmove(in->p, in->p + io.in_used, in->n);
	out->n += io.out_len;
	return rc;
}

static void
shake(struct pst_tls *c, struct pst_tls *s)
{
	enum pst_rc rc = PST_AGAIN, rs = PST_AGAIN;

	to_server.n = to_client.n = 0;
	for (unsigned i = 0; i < 10 && (rc != PST_OK || rs != PST_OK || to_client.n > 0); i++) {
		rc = step(c, &to_client, &to_server, &client_us);
		rs = step(s, &to_server, &to_client, &server_us);
	}
	if (rc != PST_OK || rs != PST_OK)
		die(pst_tls_error(c), pst_tls_error(s));
}

static size_t
live(void)
{
	struct mallinfo2 m = mallinfo2();

	return m.uordblks + m.hblkhd;
}

static struct pst_tls_ctx *
context(struct pst_crypto *c, const struct pst_tls_conf *conf)
{
	char err[256];
	struct pst_tls_ctx *ctx = pst_tls_ctx_new(c, conf, err, sizeof(err));

	if (ctx == NULL)
		die("context", err);
	return ctx;
}

struct bench {
	struct pst_crypto *cc, *sc;
	struct pst_cert *cert;
	const char *ca_file;
};

/* A leaf and an intermediate, as most servers send. */
static void
make_pki(struct bench *b, const char *kind)
{
	EVP_PKEY *rk = pki_key("p256"), *ik = pki_key("p256"), *k = pki_key(kind);
	X509 *root = pki_cert(&(struct pki_spec){.cn = "Root", .key = rk, .ca = true});
	X509 *inter = pki_cert(&(struct pki_spec){
		.cn = "Inter", .key = ik, .ca = true, .issuer = root, .issuer_key = rk});
	X509 *leaf = pki_cert(&(struct pki_spec){.cn = "mx",
		.san = "DNS:mx.example.com",
		.key = k,
		.issuer = inter,
		.issuer_key = ik});
	const char *f = pki_path("leaf.pem");
	char err[256];

	b->ca_file = pki_path("ca.pem");
	pki_write(&(struct pki_file){.path = b->ca_file, .certs = {root}});
	pki_write(&(struct pki_file){.path = f, .certs = {leaf, inter}, .key = k});
	b->cc = pst_crypto_new(err, sizeof(err));
	b->sc = pst_crypto_new(err, sizeof(err));
	if (b->cc == NULL || b->sc == NULL ||
		pst_cert_load(b->sc, f, f, &b->cert, err, sizeof(err)))
		die("setup", err);
	X509_free(root);
	X509_free(inter);
	X509_free(leaf);
	EVP_PKEY_free(rk);
	EVP_PKEY_free(ik);
	EVP_PKEY_free(k);
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
	struct pst_tls_ctx *sctx = context(b->sc, &sconf), *cctx = context(b->cc, &cconf);
	struct pst_tls **c = calloc(n, sizeof(*c)), **s = calloc(n, sizeof(*s));
	struct pst_tls_cache *cache = cached ? pst_tls_cache_new(n) : NULL;
	size_t all, no_clients, none, flushed;
	uint64_t counted;

	if (c == NULL || s == NULL)
		die("sessions", "out of memory");
	server_us = client_us = 0;
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
	printf("%s tickets %u: server %zu B live (OpenSSL's count %llu), %.0f us; client %zu B "
	       "live, %.0f us",
		version == PST_TLS_1_3 ? "TLS 1.3" : "TLS 1.2", tickets, (no_clients - none) / n,
		(unsigned long long)counted / n, server_us / n, (all - no_clients) / n,
		client_us / n);
	if (cached)
		printf("; cached %zu B", (none - flushed) / n);
	printf("\n");
	pst_tls_cache_free(cache);
	pst_tls_ctx_put(sctx);
	pst_tls_ctx_put(cctx);
	free(c);
	free(s);
}

/* Connections one after the other under one key: all but the first resume. */
static void
run_resumed(const struct bench *b, unsigned n, uint16_t version)
{
	struct pst_tls_conf sconf = {.side = PST_TLS_SERVER,
		.max_version = version,
		.ncerts = 1,
		.certs = {b->cert},
		.tickets = 1};
	struct pst_tls_conf cconf = {
		.side = PST_TLS_CLIENT, .verify = PST_TLS_VERIFY_NAME, .ca_file = b->ca_file};
	struct pst_tls_ctx *sctx = context(b->sc, &sconf), *cctx = context(b->cc, &cconf);
	struct pst_tls_cache *cache = pst_tls_cache_new(4);
	unsigned resumed = 0;

	for (unsigned i = 0; i <= n; i++) {
		struct pst_tls *c = pst_tls_new(cctx, "mx.example.com"),
			       *s = pst_tls_new(sctx, NULL);
		struct pst_tls_info info;

		if (i == 1)
			server_us = client_us = 0;
		pst_tls_use_cache(c, cache, pst_span_str("hop"));
		shake(c, s);
		pst_tls_info(c, &info);
		resumed += info.resumed;
		pst_tls_free(c);
		pst_tls_free(s);
	}
	printf("%s resumed %u of %u: server %.0f us; client %.0f us\n",
		version == PST_TLS_1_3 ? "TLS 1.3" : "TLS 1.2", resumed, n, server_us / n,
		client_us / n);
	pst_tls_cache_free(cache);
	pst_tls_ctx_put(sctx);
	pst_tls_ctx_put(cctx);
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
		make_pki(&b, kinds[i]);
		for (uint16_t v = PST_TLS_1_2; v <= PST_TLS_1_3; v++) {
			run(&b, n, v, 0, false);
			run(&b, n, v, 1, true);
			run_resumed(&b, n, v);
		}
		pst_cert_free(b.cert);
		pst_crypto_free(b.cc);
		pst_crypto_free(b.sc);
	}
	return 0;
}
