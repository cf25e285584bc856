/* SPDX-License-Identifier: BSD-3-Clause */
/* The site's TLS: a certificate for the gateway, and the far side's own half of it. */
#include "engine_int.h"
#include "site.h"

#include <criterion/criterion.h>
#include <pki.h>

static struct pst_cert *
certificate(struct site *s)
{
	EVP_PKEY *key = pki_key("p256");
	X509 *x = pki_cert(&(struct pki_spec){.cn = "gw.example", .san = s->san, .key = key});
	const char *path = pki_path("site.pem");
	struct pst_cert *cert = NULL;
	char err[256];

	pki_write(&(struct pki_file){.path = path, .certs = {x}, .key = key});
	s->certificate =
		(struct pst_config_certificate){.name = "site", .chain = path, .key = path};
	cr_assert_eq(pst_cert_load(s->far_crypto, path, path, &cert, err, sizeof(err)), PST_OK,
		"%s", err);
	X509_free(x);
	EVP_PKEY_free(key);
	return cert;
}

void
site_tls(struct site *s, enum pst_config_tls_mode mode)
{
	static unsigned first = 0;
	struct pst_tls_conf client = {.side = PST_TLS_CLIENT};
	struct pst_tls_conf server = {.side = PST_TLS_SERVER, .ncerts = 1, .tickets = 1};
	char err[256] = "";

	s->far_crypto = pst_crypto_new(err, sizeof(err));
	cr_assert_not_null(s->far_crypto, "%s", err);
	server.certs[0] = certificate(s);
	s->far_client = pst_tls_ctx_new(s->far_crypto, &client, err, sizeof(err));
	s->far_server = pst_tls_ctx_new(s->far_crypto, &server, err, sizeof(err));
	cr_assert(s->far_client != NULL && s->far_server != NULL, "%s", err);
	pst_cert_free(server.certs[0]);
	s->profile = (struct pst_config_tls_profile){.name = "site",
		.min_version = PST_TLS_1_2,
		.max_version = PST_TLS_1_3,
		.ncertificates = 1,
		.certificates = &first,
		.tickets = 1};
	s->cfg.ncertificates = s->cfg.nprofiles = 1;
	s->cfg.certificates = &s->certificate;
	s->cfg.profiles = &s->profile;
	s->action = (struct pst_config_action){.name = "inspect", .inspect = true};
	s->listener.tls = mode;
	s->far_implicit = mode == PST_CONFIG_TLS_IMPLICIT;
	for (unsigned i = 0; i < 2; i++) {
		s->hops[i].tls = mode;
		s->hops[i].level = PST_LEVEL_ENCRYPT;
		s->hops[i].profile_min = PST_TLS_1_2;
		s->hops[i].profile_max = PST_TLS_1_3;
	}
}

void
site_tls_fini(struct site *s)
{
	if (s->far_crypto == NULL)
		return;
	pst_tls_ctx_put(s->far_client);
	pst_tls_ctx_put(s->far_server);
	pst_crypto_free(s->far_crypto);
}

/* The far side never pauses: the thread's lane is the gateway's. */
void
peer_tls(struct peer *p, struct pst_tls_ctx *ctx)
{
	struct pst_lane *l = pst_lane_here;

	pst_lane_here = NULL;
	p->tls = pst_tls_new(ctx, NULL);
	pst_lane_here = l;
	cr_assert_not_null(p->tls);
}

static uint8_t out[2 * PST_TLS_OUT_MIN + PST_TLS_WRITE_MAX];

static enum pst_rc
one_call(struct peer *p, size_t *moved)
{
	struct pst_span in = pst_tcp_peek(p->conn);
	struct pst_tls_io io = {.in = in.p, .in_len = in.n, .out = out, .out_cap = sizeof(out)};
	uint8_t plain[16384];
	size_t n = 0;
	enum pst_rc rc = p->tls_up ? pst_tls_read(p->tls, &io, plain, sizeof(plain), &n)
				   : pst_tls_handshake(p->tls, &io);

	if (io.in_used > 0)
		pst_tcp_consume(p->conn, io.in_used);
	if (io.out_len > 0)
		(void)pst_tcp_write(p->conn, out, io.out_len);
	if (n > 0)
		peer_heard(p, plain, n);
	p->tls_up |= rc == PST_OK;
	*moved = io.in_used;
	return rc;
}

void
peer_tls_read(struct peer *p)
{
	size_t moved = 1;
	enum pst_rc rc = PST_OK;

	if (p->deaf || p->conn == NULL || p->tls_failed || p->tls_eof || !p->connected)
		return;
	while (rc == PST_OK || (rc == PST_AGAIN && moved > 0 && pst_tcp_readable(p->conn) > 0))
		rc = one_call(p, &moved);
	p->tls_eof = rc == PST_EOF;
	p->tls_failed = rc == PST_PEER;
}

bool
peer_tls_up(struct peer *p, uint64_t ms)
{
	peer_tls_read(p);
	for (; !p->tls_up && ms > 0; ms--)
		site_run(p->site, 1);
	return p->tls_up;
}

void
peer_tls_write(struct peer *p, const void *b, size_t n)
{
	struct pst_tls_io io = {.out = out, .out_cap = sizeof(out)};

	cr_assert(peer_tls_up(p, 5000), "no TLS: %s", pst_tls_error(p->tls));
	cr_assert_eq(pst_tls_write(p->tls, &io, b, n), PST_OK);
	(void)pst_tcp_write(p->conn, out, io.out_len);
}

void
peer_tls_shutdown(struct peer *p)
{
	struct pst_tls_io io = {.out = out, .out_cap = sizeof(out)};

	cr_assert_eq(pst_tls_shutdown(p->tls, &io), PST_OK);
	(void)pst_tcp_write(p->conn, out, io.out_len);
}
