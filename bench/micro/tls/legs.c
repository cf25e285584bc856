/* SPDX-License-Identifier: BSD-3-Clause */
#include "legs.h"
#include <rte_cycles.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "pki.h"

#define WIRE (128 * 1024)

struct wire {
	uint8_t p[WIRE];
	size_t n;
};

static struct wire to_server, to_client;
struct legs legs;

void
die(const char *what, const char *why)
{
	fprintf(stderr, "bench: %s: %s\n", what, why);
	exit(1);
}

/* The TSC against the clock, once. */
double
legs_us(uint64_t cycles)
{
	static double per_us;

	if (per_us == 0) {
		uint64_t ns = pst_now_ns(), tsc = rte_rdtsc(), gone;

		nanosleep(&(struct timespec){.tv_nsec = 50 * 1000 * 1000}, NULL);
		gone = pst_now_ns() - ns;
		per_us = (double)(rte_rdtsc() - tsc) * 1e3 / (double)gone;
	}
	return (double)cycles / per_us;
}

static enum pst_rc
step(struct pst_tls *t, struct wire *in, struct wire *out, uint64_t *cycles)
{
	struct pst_tls_io io = {
		.in = in->p, .in_len = in->n, .out = out->p + out->n, .out_cap = WIRE - out->n};
	uint64_t start = rte_rdtsc();
	enum pst_rc rc = pst_tls_handshake(t, &io);
	uint8_t buf[16];
	size_t n;

	if (rc == PST_OK && io.in_used < io.in_len) /* tickets */
		rc = pst_tls_read(t, &io, buf, sizeof(buf), &n) == PST_AGAIN ? PST_OK : PST_PEER;
	*cycles += rte_rdtsc() - start;
	in->n -= io.in_used;
	memmove(in->p, in->p + io.in_used, in->n);
	out->n += io.out_len;
	return rc;
}

void
shake(struct pst_tls *c, struct pst_tls *s)
{
	enum pst_rc rc = PST_AGAIN, rs = PST_AGAIN;

	to_server.n = to_client.n = 0;
	for (unsigned i = 0; i < 10 && (rc != PST_OK || rs != PST_OK || to_client.n > 0); i++) {
		rc = step(c, &to_client, &to_server, &legs.client);
		rs = step(s, &to_server, &to_client, &legs.server);
	}
	if (rc != PST_OK || rs != PST_OK)
		die(pst_tls_error(c), pst_tls_error(s));
}

struct pst_tls *
leg_new(struct pst_tls_ctx *ctx, const char *name, uint64_t *cycles)
{
	uint64_t start = rte_rdtsc();
	struct pst_tls *t = pst_tls_new(ctx, name);

	*cycles += rte_rdtsc() - start;
	if (t == NULL)
		die("session", "out of memory");
	return t;
}

void
leg_free(struct pst_tls *t, uint64_t *cycles)
{
	uint64_t start = rte_rdtsc();

	pst_tls_free(t);
	*cycles += rte_rdtsc() - start;
}

struct pst_tls_ctx *
bench_context(struct pst_crypto *c, const struct pst_tls_conf *conf)
{
	char err[256];
	struct pst_tls_ctx *ctx = pst_tls_ctx_new(c, conf, err, sizeof(err));

	if (ctx == NULL)
		die("context", err);
	return ctx;
}

void
bench_init(struct bench *b, const char *kind)
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

void
bench_fini(struct bench *b)
{
	pst_cert_free(b->cert);
	pst_crypto_free(b->cc);
	pst_crypto_free(b->sc);
}
