/* SPDX-License-Identifier: BSD-3-Clause */
/* What an idle session may hold. Figures of a quiet machine are in docs/tls.md; the gates are
 * loose. */
#include <criterion/criterion.h>
#include <malloc.h>
#include <openssl/opensslv.h>
#include "pair.h"

#define N 64

static size_t
live(void)
{
	struct mallinfo2 m = mallinfo2();

	return m.uordblks + m.hblkhd;
}

/* Handshake, a few lines each way, then silence. */
static void
talk(struct pair *p)
{
	char buf[8];

	cr_assert(pair_handshake(p));
	for (unsigned i = 0; i < 3; i++) {
		cr_assert_eq(end_write(&p->server, "250 ok\r\n", 8), PST_OK);
		cr_assert_eq(end_drain(&p->client, buf, sizeof(buf)), 8);
		cr_assert_eq(end_write(&p->client, "NOOP\r\n", 6), PST_OK);
		cr_assert_eq(end_drain(&p->server, buf, sizeof(buf)), 6);
	}
}

/* From 3.2 on a connection has more layers. */
static const size_t limit = (OPENSSL_VERSION_NUMBER < 0x30200000 ? 18 : 26) * 1024;

Test(memory, an_idle_session_holds_no_record_buffers)
{
	struct pst_tls *servers[N], *clients[N];

	if (PST_ASAN) /* its allocator has no mallinfo2 */
		cr_skip_test("only with the C library's allocator");
	for (unsigned v = PST_TLS_1_2; v <= PST_TLS_1_3; v++) {
		struct pair p;
		size_t all, server, client;

		pair_init(&p);
		p.sconf.tickets = 1;
		p.sconf.max_version = (uint16_t)v;
		pair_contexts(&p);
		for (unsigned i = 0; i < N; i++) {
			pair_sessions(&p);
			talk(&p);
			servers[i] = p.server.tls;
			clients[i] = p.client.tls;
			p.server.tls = p.client.tls = NULL;
		}
		all = live();
		for (unsigned i = 0; i < N; i++)
			pst_tls_free(servers[i]);
		server = (all - live()) / N;
		all = live();
		for (unsigned i = 0; i < N; i++)
			pst_tls_free(clients[i]);
		client = (all - live()) / N;
		printf("%s: %zu bytes a server session, %zu a client session\n",
			v == PST_TLS_1_2 ? "TLS 1.2" : "TLS 1.3", server, client);
		cr_expect_gt(server, 4096, "the measure is broken: %zu", server);
		cr_expect_lt(server, limit, "%zu", server);
		cr_expect_lt(client, limit + 12 * 1024, "%zu", client);
		pair_fini(&p);
	}
}
