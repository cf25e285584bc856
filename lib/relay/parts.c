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
#include "digest.h"
#include "relay.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX (4 << 20) /* what lib/crypto takes for a PEM file at most */

/* ---- content keys ---- */

static void
key_text(FILE *f, const char *name, const char *value)
{
	/* The length keeps neighbouring fields apart whatever they contain. */
	fprintf(f, "%s=%zu:%s;", name, value != NULL ? strlen(value) : 0,
		value != NULL ? value : "");
}

/* Every byte counts, NUL and 0xff too. */
static bool
file_digest(const char *path, struct digest *d)
{
	/* T21: a FIFO must not hold us up, nor a device or a huge file keep us reading. */
	int fd = path != NULL ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY) : -1;
	char piece[DIGEST_PIECE];
	struct stat st;
	ssize_t n = -1;

	if (fd < 0)
		return false;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size <= FILE_MAX) {
		*d = (struct digest){{0, 0}};
		while ((n = read(fd, piece, sizeof(piece))) > 0)
			digest_add(d, piece, (size_t)n);
	}
	close(fd);
	return n == 0;
}

/* The file's content as 128 bits; what cannot be read is told apart by its error later. */
static void
key_file(FILE *f, const char *name, const char *path)
{
	struct digest d;

	key_text(f, name, path);
	if (file_digest(path, &d))
		fprintf(f, "%016lx%016lx;", (unsigned long)d.h[0], (unsigned long)d.h[1]);
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
	fprintf(f, "v=%u-%u;tickets=%u,%u;names=%d;pfs=%d;clients=%d;", p->min_version,
		p->max_version, p->tickets, cfg->ticket_keys.lifetime_s, p->strict_names,
		p->sender_pfs, p->client_certificate);
	key_file(f, "clients_ca", p->client_ca_file);
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
tls_hop_key(const struct hop_tls *t)
{
	char *text = NULL;
	size_t n = 0;
	FILE *f = open_memstream(&text, &n);

	if (f == NULL)
		return NULL;
	fprintf(f, "hop;v=%u-%u;pfs=%d;", t->min_version, t->max_version, t->pfs);
	key_text(f, "ciphers", t->ciphers);
	key_text(f, "suites", t->hop->ciphersuites);
	key_text(f, "groups", t->hop->groups);
	key_file(f, "ca", t->hop->ca_file);
	fclose(f);
	return text;
}

/* Everything that makes two connections differ, but what policy demands of each. */
char *
class_key(const struct pst_config_next_hop *c)
{
	char *text = NULL, ip[PST_IP_STRLEN];
	size_t n = 0;
	FILE *f = open_memstream(&text, &n);

	if (f == NULL)
		return NULL;
	for (unsigned i = 0; i < c->nhosts; i++) {
		const struct pst_config_host *h = &c->hosts[i];

		key_text(f, "host", h->name);
		fprintf(f, "at=%s,%u,%u;", h->has_address ? pst_ip_str(&h->address, ip) : "dns",
			h->port, h->priority);
	}
	fprintf(f, "mx=%d,%u;tls=%d;", c->mx, c->mx ? c->port : 0, c->tls);
	key_text(f, "mx_domain", c->mx_domain);
	key_text(f, "helo", c->helo);
	fclose(f);
	return text;
}

/* ---- making TLS contexts ---- */

/* What a worker's context is made with; faults are told by pointer and text. */
struct maker {
	const struct pst_config *cfg;
	struct pst_crypto *crypto;
	const struct pst_tickets *tickets;
	int64_t *not_after; /* of a profile's certificates: the latest */
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

	/* S1: loaded with a warning is out of its dates, and no certificate to begin with. */
	if (rc == PST_OK && err[0] != '\0') {
		pst_cert_free(*out);
		rc = PST_INVAL;
	}
	if (rc != PST_OK)
		fault(mk, err, "/certificates/%s", c->name);
	else
		*mk->not_after = PST_MAX(*mk->not_after, (*out)->not_after);
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
		.ticket_keys = mk->tickets,
		.ticket_lifetime = mk->cfg->ticket_keys.lifetime_s,
		.alpn_smtp = true,
		.strict_names = p->strict_names,
		.session_id_context = p->name,
		.pfs = p->sender_pfs,
		.client_cert = p->client_certificate,
		.ca_file = p->client_ca_file,
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

/* Whom to trust is the context's; what a certificate must be is each connection's own. */
static struct pst_tls_ctx *
hop_ctx(const struct maker *mk, const struct hop_tls *t)
{
	const struct pst_config_next_hop *c = t->hop;
	struct pst_tls_conf conf = {
		.side = PST_TLS_CLIENT,
		.min_version = t->min_version,
		.max_version = t->max_version,
		.ciphers = t->ciphers,
		.ciphersuites = c->ciphersuites,
		.groups = c->groups,
		.pfs = t->pfs,
		.verify = PST_TLS_VERIFY_OFF,
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
	const struct pst_config_tls_profile *profile, const struct hop_tls *hop)
{
	struct maker mk = {
		.cfg = b->cfg, .tickets = ps->tickets, .report = b->report, .arg = b->arg};
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
	digest_text(&p->digest, key);
	p->refs = 1;
	mk.not_after = &p->not_after;
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
tls_part_hop(struct parts *ps, const struct build *b, const struct hop_tls *t)
{
	return tls_part_get(ps, b, tls_hop_key(t), NULL, t);
}

/* ---- the store ---- */

enum pst_rc
parts_init(struct parts *ps, unsigned nworkers, struct pst_engine *engine,
	struct pst_tickets *tickets, char *err, size_t errlen)
{
	const struct pst_named *named = engine != NULL ? pst_engine_named(engine) : NULL;

	*ps = (struct parts){.nworkers = nworkers, .tickets = tickets};
	TAILQ_INIT(&ps->tls);
	TAILQ_INIT(&ps->policies);
	ps->crypto = calloc(nworkers, sizeof(*ps->crypto));
	if (ps->crypto == NULL) {
		snprintf(err, errlen, "out of memory");
		return PST_NOMEM;
	}
	for (unsigned w = 0; w < nworkers; w++) {
		ps->crypto[w] = named != NULL ? pst_crypto_new_named(named, err, errlen)
					      : pst_crypto_new(err, errlen);
		if (ps->crypto[w] == NULL)
			return PST_NOMEM;
		pst_crypto_set_engine(ps->crypto[w], engine);
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
