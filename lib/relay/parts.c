/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The parts of a snapshot that are dear to build and often stay the same: TLS
 * contexts (one a worker) and the compiled policy. A part is known by its content:
 * two snapshots that ask for the same content share one part, so a new rule costs no
 * SSL_CTX and a renewed certificate costs only its own.
 *
 * Content means the settings and the bytes of the files they name: a certificate
 * that changed under the same file name is another part.
 *
 * Control thread only, but for what hangs off a part: contexts belong to the worker
 * they were made for until no session of any snapshot with this part is left.
 */
#include "relay.h"

#include <pst_rand.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- content keys ---- */

static void
key_text(FILE *f, const char *name, const char *value)
{
	/* The length keeps neighbouring fields apart whatever they contain. */
	fprintf(f, "%s=%zu:%s;", name, value != NULL ? strlen(value) : 0,
		value != NULL ? value : "");
}

/* Every byte counts, NUL and 0xff too: piece by piece, each hashed with what came before. */
static bool
file_digest(const char *path, uint64_t digest[2])
{
	static const struct pst_sipkey k[2] = {{{1, 2}}, {{3, 4}}};
	FILE *in = path != NULL ? fopen(path, "re") : NULL;
	uint64_t piece[2 + 512];
	size_t n;

	if (in == NULL)
		return false;
	digest[0] = digest[1] = 0;
	while ((n = fread(&piece[2], 1, sizeof(piece) - 16, in)) > 0) {
		piece[0] = digest[0];
		piece[1] = digest[1];
		for (unsigned i = 0; i < 2; i++)
			digest[i] = pst_siphash(&k[i], piece, 16 + n);
	}
	fclose(in);
	return true;
}

/* The file's content as 128 bits; what cannot be read is told apart by its error later. */
static void
key_file(FILE *f, const char *name, const char *path)
{
	uint64_t digest[2];

	key_text(f, name, path);
	if (file_digest(path, digest))
		fprintf(f, "%016lx%016lx;", (unsigned long)digest[0], (unsigned long)digest[1]);
}

static char *
profile_key(const struct pst_config *cfg, const struct pst_config_tls_profile *p)
{
	char *text = NULL;
	size_t n = 0;
	FILE *f = open_memstream(&text, &n);

	if (f == NULL)
		return NULL;
	key_text(f, "profile", p->name); /* resumption stays inside one profile */
	fprintf(f, "v=%u-%u;tickets=%u;", p->min_version, p->max_version, p->tickets);
	key_text(f, "ciphers", p->ciphers);
	key_text(f, "suites", p->ciphersuites);
	key_text(f, "groups", p->groups);
	for (unsigned i = 0; i < p->ncertificates; i++) {
		const struct pst_config_certificate *c = &cfg->certificates[p->certificates[i]];

		key_file(f, "chain", c->chain);
		key_file(f, "key", c->key);
	}
	fclose(f);
	return text;
}

char *
tls_hop_key(const struct pst_config_next_hop *c)
{
	char *text = NULL;
	size_t n = 0;
	FILE *f = open_memstream(&text, &n);

	if (f == NULL)
		return NULL;
	fprintf(f, "hop;v=%u-%u;verify=%d;", c->profile_min, c->profile_max, c->verify);
	key_text(f, "ciphers", c->ciphers);
	key_text(f, "suites", c->ciphersuites);
	key_text(f, "groups", c->groups);
	key_file(f, "ca", c->ca_file);
	fclose(f);
	return text;
}

/* Everything that makes two connections differ. */
char *
class_key(const struct pst_config_next_hop *c, const struct tls_part *tls)
{
	char *text = NULL, ip[PST_IP_STRLEN];
	size_t n = 0;
	FILE *f = open_memstream(&text, &n);

	if (f == NULL)
		return NULL;
	for (unsigned i = 0; i < c->nhosts; i++) {
		key_text(f, "host", c->hosts[i].name);
		fprintf(f, "at=%s,%u,%u;", pst_ip_str(&c->hosts[i].address, ip), c->hosts[i].port,
			c->hosts[i].priority);
	}
	fprintf(f, "tls=%d,%d;", c->tls, c->tls_required);
	key_text(f, "name", c->verify_name);
	key_text(f, "helo", c->helo);
	key_text(f, "part", tls != NULL ? tls->key : NULL);
	fclose(f);
	return text;
}

/* ---- making TLS contexts ---- */

/* What a worker's context is made with; faults are told by pointer and text. */
struct maker {
	const struct pst_config *cfg;
	struct pst_crypto *crypto;
	const uint8_t *ticket_key;
	pst_relay_report_fn *report;
	void *arg;
};

static void PST_PRINTF(3, 4) fault(const struct maker *mk, const char *text, const char *fmt, ...)
{
	char pointer[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(pointer, sizeof(pointer), fmt, ap);
	va_end(ap);
	mk->report(mk->arg, pointer, text);
}

static enum pst_rc
load_cert(const struct maker *mk, unsigned index, struct pst_cert **out)
{
	const struct pst_config_certificate *c = &mk->cfg->certificates[index];
	char err[512] = "";
	enum pst_rc rc = pst_cert_load(mk->crypto, c->chain, c->key, out, err, sizeof(err));

	if (rc != PST_OK)
		fault(mk, err, "/certificates/%s", c->name);
	return rc;
}

static struct pst_tls_ctx *
profile_ctx(const struct maker *mk, const struct pst_config_tls_profile *p)
{
	struct pst_tls_conf conf = {
		.side = PST_TLS_SERVER,
		.min_version = p->min_version,
		.max_version = p->max_version,
		.ciphers = p->ciphers,
		.ciphersuites = p->ciphersuites,
		.groups = p->groups,
		.tickets = p->tickets,
		.ticket_key = mk->ticket_key,
		.alpn_smtp = true,
		.session_id_context = p->name,
	};
	struct pst_tls_ctx *ctx = NULL;
	char err[512] = "";
	bool bad = false;

	/* All of them, so that one bad certificate does not hide another. */
	for (unsigned i = 0; i < p->ncertificates && conf.ncerts < PST_TLS_MAX_CERTS; i++) {
		if (load_cert(mk, p->certificates[i], &conf.certs[conf.ncerts]) == PST_OK)
			conf.ncerts++;
		else
			bad = true;
	}
	if (bad)
		goto out;
	ctx = pst_tls_ctx_new(mk->crypto, &conf, err, sizeof(err));
	if (ctx == NULL)
		fault(mk, err, "/tls_profiles/%s", p->name);
out:
	for (unsigned i = 0; i < conf.ncerts; i++)
		pst_cert_free(conf.certs[i]);
	return ctx;
}

static struct pst_tls_ctx *
hop_ctx(const struct maker *mk, const struct pst_config_next_hop *c)
{
	struct pst_tls_conf conf = {
		.side = PST_TLS_CLIENT,
		.min_version = (uint16_t)c->profile_min,
		.max_version = (uint16_t)c->profile_max,
		.ciphers = c->ciphers,
		.ciphersuites = c->ciphersuites,
		.groups = c->groups,
		.verify = c->verify ? PST_TLS_VERIFY_NAME : PST_TLS_VERIFY_OFF,
		.ca_file = c->ca_file,
	};
	char err[512] = "";
	struct pst_tls_ctx *ctx = pst_tls_ctx_new(mk->crypto, &conf, err, sizeof(err));

	if (ctx == NULL) /* the text names the file, if it is the file */
		fault(mk, err, "/next_hops/%s%s", c->name,
			c->ca_file != NULL && strstr(err, c->ca_file) != NULL ? "/ca_file" : "");
	return ctx;
}

/* ---- parts ---- */

static void
tls_part_free(struct parts *ps, struct tls_part *p)
{
	for (unsigned w = 0; w < ps->nworkers; w++) {
		if (p->ctx[w] != NULL)
			pst_tls_ctx_put(p->ctx[w]);
	}
	free(p->key);
	free(p);
}

void
tls_part_put(struct parts *ps, struct tls_part *p)
{
	if (p == NULL || --p->refs > 0)
		return;
	TAILQ_REMOVE(&ps->tls, p, link);
	tls_part_free(ps, p);
}

static struct tls_part *
tls_part_find(struct parts *ps, const char *key)
{
	struct tls_part *p;

	TAILQ_FOREACH (p, &ps->tls, link) {
		if (strcmp(p->key, key) == 0)
			break;
	}
	return p;
}

/* Takes over key. Exactly one of profile and hop is given. */
static struct tls_part *
tls_part_get(struct parts *ps, const struct build *b, char *key,
	const struct pst_config_tls_profile *profile, const struct pst_config_next_hop *hop)
{
	struct maker mk = {
		.cfg = b->cfg, .ticket_key = ps->ticket_key, .report = b->report, .arg = b->arg};
	struct tls_part *p = key != NULL ? tls_part_find(ps, key) : NULL;

	if (p != NULL) {
		free(key);
		p->refs++;
		b->result->tls_shared++;
		return p;
	}
	p = calloc(1, sizeof(*p) + ps->nworkers * sizeof(p->ctx[0]));
	if (key == NULL || p == NULL) {
		fault(&mk, "out of memory", "%s", "");
		free(key);
		free(p);
		return NULL;
	}
	p->key = key;
	p->refs = 1;
	for (unsigned w = 0; w < ps->nworkers; w++) {
		mk.crypto = ps->crypto[w];
		p->ctx[w] = profile != NULL ? profile_ctx(&mk, profile) : hop_ctx(&mk, hop);
		if (p->ctx[w] == NULL) {
			tls_part_free(ps, p);
			return NULL;
		}
	}
	b->result->tls_built++;
	TAILQ_INSERT_TAIL(&ps->tls, p, link);
	return p;
}

struct tls_part *
tls_part_profile(struct parts *ps, const struct build *b, const struct pst_config_tls_profile *p)
{
	return tls_part_get(ps, b, profile_key(b->cfg, p), p, NULL);
}

struct tls_part *
tls_part_hop(struct parts *ps, const struct build *b, const struct pst_config_next_hop *c)
{
	return tls_part_get(ps, b, tls_hop_key(c), NULL, c);
}

/* ---- policy ---- */

/* The answer of a policy is an index into the next hops, so their order is content too. */
static uint64_t
policy_key(const struct pst_config *cfg)
{
	static const struct pst_sipkey k = {{5, 6}};
	uint64_t h = 0;

	for (unsigned i = 0; i < cfg->nroutes; i++) {
		uint64_t in[2] = {h, cfg->routes[i].next_hop};
		const char *d = cfg->routes[i].domain;

		h = pst_siphash(&k, in, sizeof(in)) ^ pst_siphash(&k, d, strlen(d));
		h = pst_siphash(&k, &h, sizeof(h));
	}
	return h;
}

static struct pst_policy *
compile_policy(const struct pst_config *cfg, char *err, size_t errlen)
{
	struct pst_policy_route *routes = calloc(cfg->nroutes + 1, sizeof(*routes));
	struct pst_policy *p;

	snprintf(err, errlen, "out of memory");
	if (routes == NULL)
		return NULL;
	for (unsigned i = 0; i < cfg->nroutes; i++)
		routes[i] = (struct pst_policy_route){
			.domain = cfg->routes[i].domain, .next_hop = cfg->routes[i].next_hop};
	p = pst_policy_new(routes, cfg->nroutes, err, errlen);
	free(routes);
	return p;
}

struct policy_part *
policy_part_get(struct parts *ps, const struct build *b)
{
	uint64_t key = policy_key(b->cfg);
	struct policy_part *p;
	char err[512];

	TAILQ_FOREACH (p, &ps->policies, link) {
		if (p->key == key && p->nroutes == b->cfg->nroutes) {
			p->refs++;
			return p;
		}
	}
	p = calloc(1, sizeof(*p));
	if (p == NULL || (p->policy = compile_policy(b->cfg, err, sizeof(err))) == NULL) {
		b->report(b->arg, "/routes", p == NULL ? "out of memory" : err);
		free(p);
		return NULL;
	}
	p->key = key;
	p->nroutes = b->cfg->nroutes;
	p->refs = 1;
	TAILQ_INSERT_TAIL(&ps->policies, p, link);
	return p;
}

void
policy_part_put(struct parts *ps, struct policy_part *p)
{
	if (p == NULL || --p->refs > 0)
		return;
	TAILQ_REMOVE(&ps->policies, p, link);
	pst_policy_free(p->policy);
	free(p);
}

/* ---- the store ---- */

enum pst_rc
parts_init(
	struct parts *ps, unsigned nworkers, const uint8_t ticket_key[80], char *err, size_t errlen)
{
	*ps = (struct parts){.nworkers = nworkers, .ticket_key = ticket_key};
	TAILQ_INIT(&ps->tls);
	TAILQ_INIT(&ps->policies);
	ps->crypto = calloc(nworkers, sizeof(*ps->crypto));
	if (ps->crypto == NULL) {
		snprintf(err, errlen, "out of memory");
		return PST_NOMEM;
	}
	for (unsigned w = 0; w < nworkers; w++) {
		if ((ps->crypto[w] = pst_crypto_new(err, errlen)) == NULL)
			return PST_NOMEM;
	}
	return PST_OK;
}

/* After the last snapshot. */
void
parts_fini(struct parts *ps)
{
	for (unsigned w = 0; ps->crypto != NULL && w < ps->nworkers; w++) {
		if (ps->crypto[w] != NULL)
			pst_crypto_free(ps->crypto[w]);
	}
	free(ps->crypto);
	ps->crypto = NULL;
}
