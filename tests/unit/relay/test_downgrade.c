/* SPDX-License-Identifier: BSD-3-Clause */
/* Mail that leaves in clear although TLS was preferred is counted by why; what is refused for want
 * of TLS has one word in log and metrics. */
#include "site.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct site s;
static struct pst_config_rule rule;

static void
setup(void)
{
	site_init(&s);
	site_tls(&s, PST_CONFIG_TLS_STARTTLS);
	s.hops[0].nhosts = 1;
	s.hops[0].level = PST_LEVEL_UNSET;
	s.hops[0].reuse = PST_REUSE_OFF;
	rule = (struct pst_config_rule){
		.id = "r", .from = "*", .to = "one.example", .enabled = true};
	s.cfg.policy.nrules = 1;
	s.cfg.policy.rules = &rule;
	s.cfg.policy.broken_tls =
		(struct pst_config_broken_tls){.enabled = true, .ttl_ms = 3600000, .entries = 16};
}

static struct peer *
begin(void)
{
	struct peer *c = site_client(&s);

	client_envelope(c, "b@one.example");
	return c;
}

static struct peer *
hop(bool offers)
{
	struct peer *h = site_accept(&s, SITE_HOP_A, 1000);

	cr_assert_not_null(h);
	peer_send(h, "220 hop ESMTP\r\n");
	peer_expect(h, "EHLO gw.example\r\n", 5000);
	peer_send(h, offers ? "250-hop\r\n250-PIPELINING\r\n250 STARTTLS\r\n"
			    : "250-hop\r\n250 PIPELINING\r\n");
	return h;
}

/* A handshake that fails. */
static void
break_it(struct peer *h)
{
	peer_expect(h, "STARTTLS\r\n", 5000);
	peer_send(h, "220 go\r\n");
	site_run(&s, 50); /* the ClientHello comes: what is sent now is no injection */
	peer_send(h, "this is no ServerHello\r\n");
}

static void
take(struct peer *h, struct peer *c)
{
	peer_expect(h, "RCPT TO:<b@one.example>\r\n", 5000);
	peer_send(h, "250 ok\r\n250 ok\r\n");
	peer_expect(c, "250 2.1.5", 5000);
	peer_send(c, "DATA\r\n");
	peer_expect(h, "DATA\r\n", 5000);
	peer_send(h, "354 go\r\n");
	peer_expect(c, "354 ", 5000);
	peer_send(c, "Subject: x\r\n\r\nx\r\n.\r\n");
	peer_expect(h, "\r\n.\r\n", 5000);
	peer_send(h, "250 done\r\n");
	peer_expect(c, "250 2.0.0", 5000);
	peer_close(c);
	site_run(&s, 100);
}

static void
expect_downgrades(uint64_t not_offered, uint64_t failed)
{
	const uint64_t *n = s.sh->labels.downgrades;

	cr_expect_eq(n[PST_DOWNGRADE_NO_TLS], not_offered);
	cr_expect_eq(n[PST_DOWNGRADE_BROKEN], failed);
}

Test(downgrade, is_counted_by_why_and_only_where_tls_was_preferred, .init = setup)
{
	struct peer *c, *h;

	rule.recipient = PST_RECIPIENT_PREFERRED;
	site_start(&s);
	c = begin();
	take(hop(false), c);
	expect_downgrades(1, 0);
	c = begin();
	h = hop(true);
	break_it(h);
	take(hop(true), c); /* again, in clear */
	expect_downgrades(1, 1);
	c = begin();
	take(hop(true), c); /* remembered */
	expect_downgrades(1, 2);
	cr_expect_eq(s.sh->labels.plaintext_transactions[PST_LEG_NEXTHOP], 3);
	site_fini(&s);

	setup();
	rule.recipient = PST_RECIPIENT_NONE;
	site_start(&s);
	c = begin();
	take(hop(true), c);
	expect_downgrades(0, 0);
	cr_expect_eq(s.sh->labels.plaintext_transactions[PST_LEG_NEXTHOP], 1);
	site_fini(&s);
}

static void
expect_reason(const char *word)
{
	char *log = site_log(&s), want[64];

	snprintf(want, sizeof(want), "stage=rcpt nexthop=one reason=%s code=451", word);
	cr_expect(strstr(log, want) != NULL, "no %s in\n%s", want, log);
	free(log);
}

Test(downgrade, a_refusal_instead_of_one_has_its_word_in_log_and_metrics, .init = setup)
{
	struct peer *c;

	rule.recipient = PST_RECIPIENT_REQUIRED;
	site_start(&s);
	c = begin();
	(void)hop(false);
	peer_expect(c, "451 4.7.4", 5000);
	expect_reason("tls_not_offered");
	c = begin();
	break_it(hop(true));
	peer_expect(c, "451 4.7.5", 5000);
	expect_reason("tls_failed");
	cr_expect_eq(s.sh->labels.policy_refusals[PST_REFUSED_NO_TLS], 1);
	cr_expect_eq(s.sh->labels.policy_refusals[PST_REFUSED_TLS], 1);
	expect_downgrades(0, 0);
	site_fini(&s);
}
