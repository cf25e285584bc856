/* SPDX-License-Identifier: BSD-3-Clause */
/* S1: a certificate out of its dates is none to begin with, and none to go on promising. */
#include "site.h"

#include <criterion/criterion.h>
#include <pki.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct site s;
static char said[512];

static void
setup(void)
{
	site_init(&s);
	site_tls(&s, PST_CONFIG_TLS_STARTTLS);
}

static void
rewrite(int from_days, int to_days)
{
	EVP_PKEY *key = pki_key("p256");
	X509 *x = pki_cert(&(struct pki_spec){
		.cn = "gw.example", .key = key, .from_days = from_days, .to_days = to_days});

	pki_write(&(struct pki_file){.path = s.certificate.chain, .certs = {x}, .key = key});
	X509_free(x);
	EVP_PKEY_free(key);
}

static void
report(void *arg, const char *pointer, const char *text)
{
	size_t n = strlen(said);

	(void)arg;
	snprintf(said + n, sizeof(said) - n, "%s: %s\n", pointer, text);
}

Test(expired, a_certificate_out_of_its_dates_is_a_fault_at_the_check, .init = setup)
{
	static const struct {
		int from, to;
		const char *says;
	} cases[] = {{-3, -1, "has expired"}, {1, 3, "not yet valid"}, {-1, 1, NULL}};

	for (unsigned i = 0; i < PST_COUNT(cases); i++) {
		said[0] = '\0';
		rewrite(cases[i].from, cases[i].to);
		cr_expect_eq(
			pst_relay_check(&s.cfg, report, NULL), cases[i].says != NULL, "%s", said);
		if (cases[i].says == NULL)
			continue;
		cr_expect(strstr(said, "/certificates/site: ") != NULL, "%s", said);
		cr_expect(strstr(said, cases[i].says) != NULL, "%s", said);
	}
	site_start(&s);
	site_fini(&s);
}

static bool
offered(void)
{
	struct peer *c = site_client(&s);
	bool yes;

	peer_send(c, "EHLO c.example\r\n");
	yes = peer_hears(c, "STARTTLS\r\n", 1000);
	peer_send(c, yes ? "NOOP\r\n" : "STARTTLS\r\n");
	peer_expect(c, yes ? "250 2.0.0" : "502 5.5.1", 5000);
	peer_close(c);
	site_run(&s, 10);
	return yes;
}

static bool
foretold(void)
{
	static struct pst_explain e;
	struct pst_explain_query q = {.from = "a@client.example", .to = "b@one.example"};
	char err[200] = "";

	cr_assert_eq(pst_relay_explain(s.relay, &q, &e, err, sizeof(err)), PST_OK, "%s", err);
	return e.starttls_offered;
}

static unsigned
told(void)
{
	char *log = site_log(&s);
	unsigned n = 0;

	for (const char *p = log; (p = strstr(p, "event=certificate-expired")) != NULL; p++)
		n++;
	free(log);
	return n;
}

Test(expired, starttls_is_no_longer_offered_once_the_last_certificate_has_ended, .init = setup)
{
	struct tls_part *part;

	site_start(&s);
	part = s.sh->snap->listeners[0];
	cr_assert(part->not_after > 0);
	cr_expect(offered() && foretold());
	cr_expect_eq(s.sh->c.certificate_expired, 0);
	part->not_after = 1; /* long ago */
	for (unsigned i = 1; i <= 3; i++) {
		cr_expect(!offered() && !foretold());
		cr_expect_eq(s.sh->c.certificate_expired, i);
		cr_expect_eq(told(), 1, "once, not for each client");
	}
	site_run(&s, 3600000);
	cr_expect(!offered());
	cr_expect_eq(told(), 2, "after an hour again");
	site_fini(&s);
}

Test(expired, who_may_have_to_encrypt_is_invited_all_the_same, .init = setup)
{
	s.cfg.policy.default_sender = PST_SENDER_REQUIRED;
	site_start(&s);
	s.sh->snap->listeners[0]->not_after = 1;
	cr_expect(offered() && foretold());
	cr_expect_eq(s.sh->c.certificate_expired, 1, "and it is told");
	site_fini(&s);
}
