/* SPDX-License-Identifier: BSD-3-Clause */
#include "pair.h"
#include <criterion/criterion.h>
#include <openssl/err.h>
#include <openssl/provider.h>
#include <stdlib.h>

#define BIG_OUT (PST_TLS_OUT_MIN + PST_TLS_WRITE_MAX)

const struct pki *
pair_pki(void)
{
	static struct pki k;
	static char ca_file[256];

	if (k.ca != NULL)
		return &k;
	k.ca_key = pki_key("p256");
	k.other_ca_key = pki_key("p256");
	k.rsa = pki_key("rsa2048");
	k.ec = pki_key("p256");
	k.ec2 = pki_key("p384");
	k.ca = pki_cert(&(struct pki_spec){.cn = "Test CA", .key = k.ca_key, .ca = true});
	k.other_ca =
		pki_cert(&(struct pki_spec){.cn = "Other CA", .key = k.other_ca_key, .ca = true});
	snprintf(ca_file, sizeof(ca_file), "%s", pki_path("ca.pem"));
	k.ca_file = ca_file;
	pki_write(&(struct pki_file){.path = ca_file, .certs = {k.ca}});
	return &k;
}

const struct pst_tickets *
pair_tickets(void)
{
	static struct pst_tickets *t;

	if (t == NULL)
		t = pst_tickets_new(
			&(struct pst_tickets_conf){.rotate = 3600, .lifetime = 3600}, 0);
	cr_assert_not_null(t);
	return t;
}

struct pst_cert *
pair_cert_spec(struct pst_crypto *c, const struct pki_spec *spec)
{
	static unsigned n;
	X509 *x = pki_cert(spec);
	struct pst_cert *cert = NULL;
	char name[32], err[256];
	const char *path;

	snprintf(name, sizeof(name), "cert%u.pem", n++);
	path = pki_path(name);
	pki_write(&(struct pki_file){.path = path, .certs = {x}, .key = spec->key});
	cr_assert_eq(pst_cert_load(c, path, path, &cert, err, sizeof(err)), PST_OK, "%s", err);
	X509_free(x);
	return cert;
}

struct pst_cert *
pair_cert(struct pst_crypto *c, EVP_PKEY *key, const char *san)
{
	const struct pki *k = pair_pki();

	return pair_cert_spec(c, &(struct pki_spec){.cn = "cn.example.com",
					 .san = san,
					 .key = key,
					 .issuer = k->ca,
					 .issuer_key = k->ca_key});
}

struct pst_engine *pair_engine;

void
pair_init(struct pair *p)
{
	char err[256];
	struct pst_crypto *client = pst_crypto_new(err, sizeof(err));

	pair_init_in(p, client, pst_crypto_new(err, sizeof(err)));
}

void
pair_init_in(struct pair *p, struct pst_crypto *client, struct pst_crypto *server)
{
	*p = (struct pair){.name = "mx.example.com", .cc = client, .sc = server};
	cr_assert(p->cc != NULL && p->sc != NULL);
	pst_crypto_set_engine(p->cc, pair_engine);
	pst_crypto_set_engine(p->sc, pair_engine);
	p->cconf = (struct pst_tls_conf){.side = PST_TLS_CLIENT,
		.verify = PST_TLS_VERIFY_NAME,
		.ca_file = pair_pki()->ca_file};
	p->sconf = (struct pst_tls_conf){.side = PST_TLS_SERVER, .ncerts = 1};
	p->sconf.certs[0] = pair_cert(p->sc, pair_pki()->ec, "DNS:mx.example.com");
}

void
pair_foreign_client(struct pair *p)
{
	p->foreign = OSSL_PROVIDER_load(pst_crypto_libctx(p->cc), "default");
	cr_assert_not_null(p->foreign);
}

void
pair_contexts(struct pair *p)
{
	char err[256] = "";

	pst_tls_ctx_put(p->cctx);
	pst_tls_ctx_put(p->sctx);
	p->cctx = pst_tls_ctx_new(p->cc, &p->cconf, err, sizeof(err));
	cr_assert_not_null(p->cctx, "client: %s", err);
	p->sctx = pst_tls_ctx_new(p->sc, &p->sconf, err, sizeof(err));
	cr_assert_not_null(p->sctx, "server: %s", err);
}

void
pair_sessions(struct pair *p)
{
	pair_hangup(p);
	p->client = (struct end){.tls = p->expect != NULL ? pst_tls_new_expect(p->cctx, p->expect)
							  : pst_tls_new(p->cctx, p->name),
		.in = &p->to_client,
		.out = &p->to_server};
	p->server = (struct end){
		.tls = pst_tls_new(p->sctx, NULL), .in = &p->to_server, .out = &p->to_client};
	cr_assert(p->client.tls != NULL && p->server.tls != NULL);
}

void
pair_serve(struct pair *p, const struct pki_spec *spec, X509 *const chain[], unsigned n)
{
	struct pst_cert *c = calloc(1, sizeof(*c));

	cr_assert_not_null(c);
	c->leaf = pki_cert(spec);
	c->chain = sk_X509_new_null();
	c->key = spec->key;
	EVP_PKEY_up_ref(c->key);
	for (unsigned i = 0; i < n; i++) {
		X509_up_ref(chain[i]);
		sk_X509_push(c->chain, chain[i]);
	}
	for (unsigned i = 0; i < p->sconf.ncerts; i++)
		pst_cert_free(p->sconf.certs[i]);
	p->sconf.certs[0] = c;
	p->sconf.ncerts = 1;
}

bool
pair_try(struct pair *p, const struct pst_tls_expect *e, struct pst_tls_info *info)
{
	bool ok;

	p->expect = e;
	pair_sessions(p);
	ok = pair_handshake(p);
	pst_tls_info(p->client.tls, info);
	return ok;
}

void
pair_hangup(struct pair *p)
{
	pst_tls_free(p->client.tls);
	pst_tls_free(p->server.tls);
	p->client.tls = p->server.tls = NULL;
	wire_clear(&p->to_client);
	wire_clear(&p->to_server);
}

void
pair_fini(struct pair *p)
{
	pair_hangup(p);
	pst_tls_ctx_put(p->cctx);
	pst_tls_ctx_put(p->sctx);
	for (unsigned i = 0; i < p->sconf.ncerts; i++)
		pst_cert_free(p->sconf.certs[i]);
	if (p->foreign != NULL)
		OSSL_PROVIDER_unload(p->foreign);
	pst_crypto_free(p->cc);
	pst_crypto_free(p->sc);
	free(p->to_client.p);
	free(p->to_server.p);
}

size_t
wire_len(const struct wire *w)
{
	return w->tail - w->head;
}

void
wire_clear(struct wire *w)
{
	w->head = w->tail = 0;
}

static uint8_t *
wire_reserve(struct wire *w, size_t n)
{
	if (w->head == w->tail)
		wire_clear(w);
	if (w->tail + n > w->cap) {
		w->cap = (w->tail + n) * 2;
		w->p = realloc(w->p, w->cap);
		cr_assert_not_null(w->p);
	}
	return w->p + w->tail;
}

void
wire_put(struct wire *w, const void *p, size_t n)
{
	if (n == 0)
		return;
	memcpy(wire_reserve(w, n), p, n);
	w->tail += n;
}

bool
errors_left(void)
{
	unsigned long e = ERR_peek_error();

	if (e != 0)
		fprintf(stderr, "left in the error queue: %s\n", ERR_error_string(e, NULL));
	return e != 0;
}

/*
 * The input is a copy of exactly the offered bytes, so that a sanitizer sees
 * every read beyond it; the same for the room of the output.
 */
static void
begin(struct end *e, struct pst_tls_io *io)
{
	size_t n = wire_len(e->in);
	size_t cap = e->out_cap != 0 ? e->out_cap : BIG_OUT;
	uint8_t *in;

	if (e->in_step != 0)
		n = PST_MIN(n, e->in_step);
	in = malloc(n + 1);
	if (n > 0)
		memcpy(in, e->in->p + e->in->head, n);
	*io = (struct pst_tls_io){.in = in, .in_len = n, .out = malloc(cap), .out_cap = cap};
}

static enum pst_rc
end_of(struct end *e, struct pst_tls_io *io, enum pst_rc rc)
{
	cr_assert_leq(io->in_used, io->in_len);
	cr_assert_leq(io->out_len, io->out_cap);
	e->in->head += io->in_used;
	wire_put(e->out, io->out, io->out_len);
	free((void *)(uintptr_t)io->in);
	free(io->out);
	e->rc = rc;
	e->moved = io->in_used + io->out_len;
	cr_assert_not(errors_left());
	return rc;
}

enum pst_rc
end_handshake(struct end *e)
{
	struct pst_tls_io io;

	begin(e, &io);
	return end_of(e, &io, pst_tls_handshake(e->tls, &io));
}

enum pst_rc
end_read(struct end *e, void *buf, size_t cap, size_t *n)
{
	struct pst_tls_io io;

	begin(e, &io);
	return end_of(e, &io, pst_tls_read(e->tls, &io, buf, cap, n));
}

enum pst_rc
end_write(struct end *e, const void *p, size_t n)
{
	struct pst_tls_io io;

	begin(e, &io);
	return end_of(e, &io, pst_tls_write(e->tls, &io, p, n));
}

enum pst_rc
end_shutdown(struct end *e)
{
	struct pst_tls_io io;

	begin(e, &io);
	return end_of(e, &io, pst_tls_shutdown(e->tls, &io));
}

size_t
end_drain(struct end *e, void *buf, size_t cap)
{
	size_t total = 0, n;
	uint8_t spare[1];

	for (;;) {
		bool full = total == cap;
		size_t before = wire_len(e->in);
		enum pst_rc rc = end_read(e, full ? spare : (uint8_t *)buf + total,
			full ? sizeof(spare) : cap - total, &n);

		if (rc == PST_AGAIN && e->in_step != 0 && wire_len(e->in) != before &&
			wire_len(e->in) > 0)
			continue; /* byte by byte: more is there to offer */
		if (rc != PST_OK)
			return total;
		cr_assert_gt(n, 0);
		total += n;
	}
}

bool
pair_handshake(struct pair *p)
{
	for (unsigned i = 0; i < 200000; i++) {
		enum pst_rc c = end_handshake(&p->client), s = end_handshake(&p->server);

		if (c == PST_OK && s == PST_OK)
			return true;
		if (c != PST_AGAIN && s != PST_AGAIN)
			return false;
		if (p->client.moved + p->server.moved == 0)
			return false;
	}
	cr_assert_fail("the handshake never ends");
	return false;
}
