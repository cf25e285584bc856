/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Session tickets where the columns meet: who gets them, which keys they are under after a
 * publication and a turn of the clock, what is counted; and that a flood inside TLS is counted by
 * its cause and ends the session.
 */
#include "site.h"

#include <criterion/criterion.h>
#include <pki.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static struct site s;
static struct pst_tls_cache *cache; /* the client's memory */

static void
starttls(void)
{
	site_init(&s);
	site_tls(&s, PST_CONFIG_TLS_STARTTLS);
	s.cfg.ticket_keys = (struct pst_config_ticket_keys){.rotate_s = 3600, .lifetime_s = 7200};
	cache = pst_tls_cache_new(16);
}

static void
end(void)
{
	site_fini(&s);
	pst_tls_cache_free(cache);
}

/* One visit of a client that comes back with what it has; did it resume? */
static bool
visit(void)
{
	uint64_t before = s.sh->c.client_resumed;
	struct peer *c = site_client(&s);

	peer_send(c, "EHLO x\r\n");
	peer_expect(c, "STARTTLS\r\n", 5000);
	peer_send(c, "STARTTLS\r\n");
	peer_expect(c, "220 2.0.0 ", 5000);
	peer_expect(c, "\r\n", 0);
	peer_tls(c, s.far_client);
	pst_tls_use_cache(c->tls, cache, pst_span_str("gw"));
	cr_assert(peer_tls_up(c, 5000));
	peer_send(c, "EHLO x\r\n");
	peer_expect(c, "250 ", 5000);
	peer_send(c, "QUIT\r\n");
	peer_expect(c, "221 ", 5000);
	peer_close(c);
	site_run(&s, 100);
	return s.sh->c.client_resumed > before;
}

static void
no_fault(void *arg, const char *pointer, const char *text)
{
	cr_assert_fail("%s: %s", pointer, text);
}

/* The same configuration again, or what became of it. */
static void
publish(struct pst_config *cfg)
{
	cr_assert_eq(pst_relay_publish(s.relay, cfg, no_fault, NULL, NULL), PST_OK);
	site_run(&s, 10);
}

static void
rotate(uint64_t hours)
{
	pst_relay_rotate(s.relay, pst_now_ns() + hours * 3600 * PST_NS_PER_SEC);
}

Test(tickets, they_survive_publications_and_are_renewed_when_the_key_is_old, .init = starttls,
	.fini = end)
{
	static struct pst_config other; /* outlives the relay */

	site_start(&s);
	cr_expect_not(visit());
	cr_expect_eq(s.sh->c.tickets_issued, 1);
	cr_expect(visit());
	other = s.cfg;
	publish(&other);
	cr_expect(visit());
	cr_expect_eq(s.sh->c.tickets_old_key, 0);
	rotate(1);
	cr_expect(visit());
	cr_expect_eq(s.sh->c.tickets_old_key, 1);
	cr_expect(visit());
	cr_expect_eq(s.sh->c.tickets_old_key, 1, "the ticket was renewed");
	rotate(2);
	rotate(3);
	rotate(4);
	cr_expect_not(visit());
	cr_expect_eq(s.sh->c.tickets_unknown_key, 1);
	cr_expect(visit());
	publish(&s.cfg);
}

Test(tickets, the_listener_outranks_the_profile, .init = starttls, .fini = end)
{
	s.listener.has_tickets = true;
	s.listener.tickets = 0;
	site_start(&s);
	cr_expect_not(visit());
	cr_expect_not(visit());
	cr_expect_eq(s.sh->c.tickets_issued, 0);
}

Test(tickets, a_listener_may_send_them_where_the_profile_does_not, .init = starttls, .fini = end)
{
	s.profile.tickets = 0;
	s.listener.has_tickets = true;
	s.listener.tickets = 2;
	site_start(&s);
	cr_expect_not(visit());
	cr_expect_eq(s.sh->c.tickets_issued, 2);
	cr_expect(visit());
}

/* Who is excepted from now on has a ticket from before: it is not taken. */
Test(tickets, an_excepted_client_gets_none_and_is_not_resumed, .init = starttls, .fini = end)
{
	static struct pst_config_tls_profile excepting;
	struct pst_prefix *except = excepting.tickets_except;
	static struct pst_config other; /* outlives the relay */

	site_start(&s);
	cr_expect_not(visit());
	excepting = s.profile;
	cr_assert_eq(pst_prefix_parse("203.0.113.0/24", &except[0]), PST_OK);
	cr_assert_eq(pst_prefix_parse("0.0.0.0/0", &except[1]), PST_OK);
	excepting.ntickets_except = 1;
	other = s.cfg;
	other.profiles = &excepting;
	publish(&other);
	cr_expect(visit(), "it is somebody else who is excepted");
	excepting.ntickets_except = 2;
	publish(&other);
	cr_expect_not(visit());
	cr_expect_eq(s.sh->c.tickets_issued, 2);
	publish(&s.cfg);
}

static char told[512];

static void
tell(void *arg, const char *pointer, const char *text)
{
	snprintf(told, sizeof(told), "%s %s", pointer, text);
}

Test(tickets, a_bad_key_file_is_refused_by_name_and_changes_nothing, .init = starttls, .fini = end)
{
	const char *path = pki_path("tickets.key");
	static struct pst_config other; /* outlives the relay */
	FILE *f = fopen(path, "w");

	cr_assert(f != NULL && fputs("secret\n", f) >= 0 && fclose(f) == 0);
	site_start(&s);
	cr_expect_not(visit());
	other = s.cfg;
	other.ticket_keys.file = path;
	for (unsigned i = 0; i < 2; i++) {
		chmod(path, i == 0 ? 0644 : 0600);
		cr_expect_eq(pst_relay_publish(s.relay, &other, tell, NULL, NULL), PST_INVAL);
		cr_expect(strncmp(told, "/ticket_keys/file ", 18) == 0 && strstr(told, path) &&
				  strstr(told, i == 0 ? "mode 0644" : "line 1 ") &&
				  !strstr(told, "secret"),
			"%s", told);
		cr_expect_eq(pst_relay_check(&other, tell, NULL), 1);
	}
	cr_expect(visit());
}

/* A client of ours that says each octet in a record of its own, and nothing else. */
Test(tickets, a_flood_of_records_is_counted_by_its_cause, .init = starttls, .fini = end)
{
	struct peer *c;
	char *log;

	site_start(&s);
	c = site_client(&s);
	peer_send(c, "EHLO x\r\n");
	peer_expect(c, "STARTTLS\r\n", 5000);
	peer_send(c, "STARTTLS\r\n");
	peer_expect(c, "220 2.0.0 ", 5000);
	peer_expect(c, "\r\n", 0);
	peer_tls(c, s.far_client);
	cr_assert(peer_tls_up(c, 5000));
	for (unsigned i = 0; i < 5000 && !c->eof && !c->error; i++) {
		peer_send(c, i % 500 == 499 ? "\n" : "x");
		if (i % 100 == 99)
			site_run(&s, 1);
	}
	cr_expect(peer_ends(c, 5000));
	cr_expect_eq(s.sh->labels.tls_floods[PST_LEG_CLIENT][PST_TLS_FLOOD_RECORDS], 1);
	log = site_log(&s);
	cr_expect(
		strstr(log, "reason=\"TLS flood\" tls_flood=records tls_error=\"too little data in "
			    "too many records (sent alert: record overflow)\"") != NULL,
		"%s", log);
	free(log);
}
