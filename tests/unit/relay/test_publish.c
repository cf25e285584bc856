/* SPDX-License-Identifier: BSD-3-Clause */
/* Live configuration: what a publication changes, and what it must not touch. */
#include "site.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct site s;
static unsigned released, faults;
static const void *released_cfg;
static char fault_at[256];

static void
on_release(void *arg, const struct pst_config *cfg)
{
	released++;
	released_cfg = cfg;
}

static void
on_fault(void *arg, const char *pointer, const char *text)
{
	faults++;
	snprintf(fault_at, sizeof(fault_at), "%s", pointer);
}

static void
setup(void)
{
	site_init(&s);
	released = faults = 0;
}

/* The next generation: a shallow copy that a test changes before it publishes. */
static struct pst_config next;
static struct pst_config_listener next_listener[2];
static struct pst_config_next_hop next_hops[2];

static void
prepare(void)
{
	next = s.cfg;
	next_listener[0] = s.listener;
	next_hops[0] = s.hops[0];
	next_hops[1] = s.hops[1];
	next.listeners = next_listener;
	next.next_hops = next_hops;
}

static enum pst_rc
publish(struct pst_publish_result *out)
{
	enum pst_rc rc = pst_relay_publish(s.relay, &next, on_fault, NULL, out);

	site_run(&s, 1);
	return rc;
}

Test(publish, a_session_keeps_the_generation_it_began_under, .init = setup)
{
	struct pst_publish_result out;
	struct peer *old, *new;

	site_start(&s);
	pst_relay_set_release(s.relay, on_release, NULL);
	old = site_client(&s);
	prepare();
	next_listener[0].hostname = "new.example";
	cr_assert_eq(publish(&out), PST_OK);
	cr_assert_eq(out.generation, 2);
	cr_assert_eq(pst_relay_generation(s.relay), 2);
	new = site_connect(&s);
	peer_expect(new, "220 new.example", 5000);
	peer_send(old, "EHLO x\r\n");
	peer_expect(old, "250-gw.example", 5000);
	cr_assert_eq(pst_relay_reclaim(s.relay), 1);
	cr_assert_eq(released, 0);
	peer_send(old, "QUIT\r\n");
	cr_assert(peer_ends(old, 5000));
	cr_assert_eq(pst_relay_reclaim(s.relay), 0);
	cr_assert_eq(released, 1);
	cr_assert_eq(released_cfg, &s.cfg);
	site_fini(&s);
	cr_assert_eq(released, 2);
}

Test(publish, a_bad_one_changes_nothing_and_says_where, .init = setup)
{
	struct peer *c;

	site_start(&s);
	c = site_client(&s);
	prepare();
	next_listener[0].hostname = "new.example";
	next_hops[1].tls = PST_CONFIG_TLS_STARTTLS;
	next_hops[1].ciphers = "ECDHE+AESGCM";
	next_hops[1].ca_file = "/nonexistent/ca.pem";
	cr_assert_eq(publish(NULL), PST_INVAL);
	cr_assert_eq(faults, 1);
	cr_assert_str_eq(fault_at, "/next_hops/two/ca_file");
	cr_assert_eq(pst_relay_generation(s.relay), 1);
	cr_assert_eq(pst_relay_reclaim(s.relay), 0);
	peer_send(c, "EHLO x\r\n");
	peer_expect(c, "250-gw.example", 5000);
	peer_expect(site_connect(&s), "220 gw.example", 5000);
	site_fini(&s);
}

/* One mail through SITE_HOP_A, whose connection then lies in the pool. */
static struct peer *
fill_pool(struct peer *c)
{
	struct peer *h;

	client_envelope(c, "b@one.example");
	h = hop_serve(&s, SITE_HOP_A);
	peer_expect(h, "RCPT", 5000);
	peer_send(h, "250 ok\r\n250 ok\r\n");
	peer_expect(c, "250 2.1.5", 5000);
	peer_send(c, "DATA\r\n");
	peer_expect(h, "DATA\r\n", 5000);
	peer_send(h, "354 go\r\n");
	peer_expect(c, "354", 5000);
	peer_send(c, "x\r\n.\r\n");
	peer_expect(h, "\r\n.\r\n", 5000);
	return h;
}

Test(publish, a_pooled_connection_outlives_one_that_does_not_change_its_class, .init = setup)
{
	struct peer *c, *h;

	site_start(&s);
	c = site_client(&s);
	h = fill_pool(c);
	peer_send(h, "250 ok\r\n");
	peer_expect(c, "250 2.0.0", 5000);
	prepare();
	next_listener[0].hostname = "new.example";
	cr_assert_eq(publish(NULL), PST_OK);
	cr_assert_eq(s.sh->npool, 1);
	peer_send(c, "MAIL FROM:<a@x>\r\nRCPT TO:<b@one.example>\r\n");
	peer_expect(h, "RSET\r\nMAIL", 5000);
	site_fini(&s);
}

Test(publish, a_pooled_connection_ends_when_its_class_changes, .init = setup)
{
	struct peer *c, *h;

	site_start(&s);
	c = site_client(&s);
	h = fill_pool(c);
	peer_send(h, "250 ok\r\n");
	peer_expect(c, "250 2.0.0", 5000);
	prepare();
	next_hops[0].nhosts = 1;
	cr_assert_eq(publish(NULL), PST_OK);
	cr_assert_eq(s.sh->npool, 0);
	cr_assert(peer_ends(h, 5000));
	site_fini(&s);
}

Test(publish, a_connection_in_use_meanwhile_does_not_pool_into_the_wrong_class, .init = setup)
{
	struct peer *c, *h;

	site_start(&s);
	c = site_client(&s);
	h = fill_pool(c);
	prepare();
	next_hops[0].helo = "other.example";
	cr_assert_eq(publish(NULL), PST_OK);
	peer_send(h, "250 ok\r\n");
	peer_expect(c, "250 2.0.0", 5000);
	cr_assert_eq(s.sh->npool, 0);
	cr_assert(peer_ends(h, 5000));
	site_fini(&s);
}

Test(publish, listeners_come_and_go_and_those_that_stay_never_close, .init = setup)
{
	struct pst_endpoint gw = {.port = 2025};
	struct pst_tcp_conn *conn;
	struct peer *p;

	site_start(&s);
	prepare();
	next_listener[1] = s.listener;
	next_listener[1].name = "second";
	next_listener[1].at.port = 2025;
	next.nlisteners = 2;
	cr_assert_eq(publish(NULL), PST_OK);
	cr_assert_eq(pst_ip_parse("192.0.2.1", &gw.ip), PST_OK);
	cr_assert_eq(pst_tcp_connect(s.far_tcp, NULL, &gw, NULL, s.now, &conn), PST_OK);
	p = site_adopt(&s, conn);
	peer_expect(p, "220 ", 5000);
	peer_send(p, "QUIT\r\n");
	cr_assert(peer_ends(p, 5000));
	cr_assert_eq(pst_relay_publish(s.relay, &s.cfg, on_fault, NULL, NULL), PST_OK);
	site_run(&s, 1);
	cr_assert_eq(pst_tcp_connect(s.far_tcp, NULL, &gw, NULL, s.now, &conn), PST_OK);
	p = site_adopt(&s, conn);
	cr_assert(peer_ends(p, 5000));
	cr_assert(p->error, "a closed port answers RST");
	site_client(&s);
	site_fini(&s);
}

Test(publish, a_new_route_counts_for_the_next_session_only, .init = setup)
{
	static struct pst_config_route routes[2];
	struct peer *old, *new;

	site_start(&s);
	old = site_client(&s);
	prepare();
	memcpy(routes, s.routes, sizeof(routes));
	routes[0].domain = "moved.example";
	next.routes = routes;
	cr_assert_eq(publish(NULL), PST_OK);
	new = site_client(&s);
	client_envelope(new, "b@one.example");
	peer_expect(new, "550 5.7.1", 5000);
	client_envelope(old, "b@one.example");
	cr_assert_not_null(site_accept(&s, SITE_HOP_A, 5000));
	site_fini(&s);
}

/* The class key has the trust anchor's content: what differs only behind odd bytes differs. */
Test(publish, every_byte_of_a_file_is_content, .init = setup)
{
	static const char *const texts[] = {"x\xff"
					    "a",
		"x\xff"
		"b",
		"x"};
	char path[64], *keys[3];

	site_start(&s);
	snprintf(path, sizeof(path), "/tmp/pst-content-%d", (int)getpid());
	for (unsigned i = 0; i < 3; i++) {
		FILE *f = fopen(path, "w");

		fputs(texts[i], f);
		fclose(f);
		s.hops[0].ca_file = path;
		keys[i] = tls_hop_key(&(struct hop_tls){.hop = &s.hops[0]});
	}
	s.hops[0].ca_file = NULL;
	cr_assert_str_neq(keys[0], keys[1]);
	cr_assert_str_neq(keys[0], keys[2]);
	for (unsigned i = 0; i < 3; i++)
		free(keys[i]);
	unlink(path);
	site_fini(&s);
}

Test(publish, a_thousand_in_turn_good_and_bad_leave_nothing_behind, .init = setup)
{
	struct peer *c;

	site_start(&s);
	pst_relay_set_release(s.relay, on_release, NULL);
	c = site_client(&s);
	for (int i = 0; i < 1000; i++) {
		prepare();
		next_listener[0].hostname = i % 2 ? "a.example" : "b.example";
		if (i % 3 == 2) {
			next_hops[0].tls = PST_CONFIG_TLS_IMPLICIT;
			next_hops[0].ciphers = "NO-SUCH-CIPHER";
		}
		cr_assert_eq(publish(NULL), i % 3 == 2 ? PST_INVAL : PST_OK);
		cr_assert_leq(pst_relay_reclaim(s.relay), 1);
	}
	cr_assert_eq(s.relay->parts.policies.tqh_first->refs, 2); /* one policy, two generations */
	peer_send(c, "EHLO x\r\n");
	peer_expect(c, "250-gw.example", 5000);
	peer_send(c, "QUIT\r\n");
	cr_assert(peer_ends(c, 5000));
	cr_assert_eq(pst_relay_reclaim(s.relay), 0);
	cr_assert_eq(released, 667);
	site_fini(&s);
}

Test(publish, one_that_stands_where_a_freed_one_stood_is_adopted, .init = setup)
{
	site_start(&s);
	prepare();
	next_listener[0].hostname = "new.example";
	next_listener[0].at.port = 2025;
	cr_assert_eq(pst_relay_publish(s.relay, &next, on_fault, NULL, NULL), PST_OK);
	/* As if two were published in one sleep of the worker's, and malloc gave the first's place.
	 */
	s.sh->snap = s.relay->snap;
	site_run(&s, 1);
	cr_assert_eq(s.sh->generation, 2);
	cr_assert_eq(TAILQ_FIRST(&s.sh->bound)->index, -1);
	cr_assert_eq(TAILQ_NEXT(TAILQ_FIRST(&s.sh->bound), link)->index, 0);
	site_fini(&s);
}

Test(publish, an_undrain_looks_at_nothing_that_was_reclaimed, .init = setup)
{
	site_start(&s);
	pst_relay_set_release(s.relay, on_release, NULL);
	shard_drain(s.sh);
	prepare();
	next_listener[0].hostname = "new.example";
	cr_assert_eq(pst_relay_publish(s.relay, &next, on_fault, NULL, NULL), PST_OK);
	cr_assert_eq(pst_relay_reclaim(s.relay), 0);
	cr_assert_eq(released, 1);
	shard_undrain(s.sh); /* between two turns: the shard has not seen the new one yet */
	peer_expect(site_connect(&s), "220 new.example", 5000);
	site_fini(&s);
}
