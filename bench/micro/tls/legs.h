/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the TLS measurements share: two sessions, memory between them, and the TSC cycles
 * that each of them took. A fault ends the program.
 */
#ifndef PST_BENCH_LEGS_H
#define PST_BENCH_LEGS_H

#include <pst_tls.h>

void die(const char *what, const char *why) __attribute__((noreturn));

/* Cycles inside OpenSSL since it was last set to zero, of either side. */
struct legs {
	uint64_t server, client;
};
extern struct legs legs;
double legs_us(uint64_t cycles);

/* Two library contexts, and the server's certificate with one intermediate, as most have. */
struct bench {
	struct pst_crypto *cc, *sc;
	struct pst_cert *cert;
	const char *ca_file;
};
void bench_init(struct bench *b, const char *kind); /* "p256", "rsa2048", ... */
void bench_fini(struct bench *b);
struct pst_tls_ctx *bench_context(struct pst_crypto *c, const struct pst_tls_conf *conf);

/* To the end on both sides, tickets taken. */
void shake(struct pst_tls *c, struct pst_tls *s);
/* Making and freeing a session, whose cycles are added: they are part of what it costs. */
struct pst_tls *leg_new(struct pst_tls_ctx *ctx, const char *name, uint64_t *cycles);
void leg_free(struct pst_tls *t, uint64_t *cycles);

#endif
