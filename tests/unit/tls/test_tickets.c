/* SPDX-License-Identifier: BSD-3-Clause */
/* Ticket keys: the ring on a clock of the test's own, key files, and what tickets under them do. */
#include <criterion/criterion.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include "pair.h"
#include "ring.h"
#include "tls_int.h"

#define HOUR 3600

static const struct pst_tickets_conf hourly = {.rotate = HOUR, .lifetime = 2 * HOUR};

static struct pst_tickets *
made(const struct pst_tickets_conf *conf, int64_t now)
{
	struct pst_tickets *t = pst_tickets_new(conf, now);

	cr_assert_not_null(t);
	return t;
}

/* The bytes of a set's key, to look for later. */
static struct pst_ticket_key
key_at(const struct pst_tickets *t, unsigned i)
{
	cr_assert_lt(i, pst_tickets_set(t)->n);
	return pst_tickets_set(t)->keys[i];
}

static bool
same_key(const struct pst_ticket_key *a, const struct pst_ticket_key *b)
{
	return memcmp(a->name, b->name, sizeof(a->name)) == 0 &&
	       memcmp(a->aes, b->aes, sizeof(a->aes)) == 0 &&
	       memcmp(a->mac, b->mac, sizeof(a->mac)) == 0;
}

/* Where in the published set; -1: not there. */
static int
place_of(const struct pst_tickets *t, const struct pst_ticket_key *k)
{
	for (unsigned i = 0; i < pst_tickets_set(t)->n; i++)
		if (same_key(&pst_tickets_set(t)->keys[i], k))
			return (int)i;
	return -1;
}

/* Anywhere in the ring's memory, published or not. */
static bool
remains(const struct pst_tickets *t, const struct pst_ticket_key *k)
{
	return t != NULL && (memmem(t, sizeof(*t), k->aes, sizeof(k->aes)) != NULL ||
				    memmem(t, sizeof(*t), k->mac, sizeof(k->mac)) != NULL);
}

static enum pst_rc
turn(struct pst_tickets *t, int64_t now)
{
	enum pst_rc rc = pst_tickets_turn(t, now);

	if (rc == PST_OK)
		pst_tickets_retire(t);
	return rc;
}

static enum pst_rc
configure(struct pst_tickets *t, const struct pst_tickets_conf *conf, int64_t now)
{
	enum pst_rc rc = pst_tickets_configure(t, conf, now);

	if (rc == PST_OK)
		pst_tickets_retire(t);
	return rc;
}

/* ---- the ring ---- */

Test(tickets, a_key_encrypts_for_its_time_then_decrypts_for_a_lifetime_and_is_wiped)
{
	struct pst_tickets *t = made(&hourly, 1000);
	struct pst_ticket_key first = key_at(t, 0), second = key_at(t, 1);

	cr_expect_not(same_key(&first, &second));
	cr_expect_eq(turn(t, 1000 + HOUR - 1), PST_AGAIN);
	cr_expect_eq(place_of(t, &first), 0);
	cr_expect_eq(turn(t, 1000 + HOUR), PST_OK);
	cr_expect_eq(place_of(t, &second), 0, "the next key is the one that was announced");
	cr_expect_eq(place_of(t, &first), 2);
	cr_expect_eq(key_at(t, 2).kind, PST_TICKET_OLD);
	for (int64_t now = 1000 + HOUR; now < 1000 + 3 * HOUR; now += 60) {
		turn(t, now);
		cr_expect_geq(place_of(t, &first), 2, "gone too early: %ld", (long)now);
	}
	cr_expect_eq(turn(t, 1000 + 3 * HOUR), PST_OK);
	cr_expect_eq(place_of(t, &first), -1);
	cr_expect_not(remains(t, &first), "a dropped key was not wiped");
	cr_expect(remains(t, &second));
	pst_tickets_free(t);
}

Test(tickets, between_publication_and_retirement_the_set_of_before_is_whole)
{
	struct pst_tickets *t = made(&hourly, 0);
	const struct pst_ticket_set *seen = pst_tickets_set(t);
	struct pst_ticket_set was = *seen;

	cr_assert_eq(pst_tickets_turn(t, HOUR), PST_OK);
	cr_expect_neq(pst_tickets_set(t), seen);
	cr_expect_eq(memcmp(seen, &was, sizeof(was)), 0);
	pst_tickets_retire(t);
	cr_expect_eq(seen->n, 0);
	pst_tickets_free(t);
}

Test(tickets, a_clock_that_was_not_looked_at_for_days_costs_one_change)
{
	struct pst_tickets *t = made(&hourly, 0);
	struct pst_ticket_key first = key_at(t, 0);

	/* It encrypted till now, so its tickets are good from now on. */
	cr_expect_eq(turn(t, 50 * HOUR), PST_OK);
	cr_expect_eq(place_of(t, &first), 2);
	cr_expect_eq(turn(t, 50 * HOUR + 1), PST_AGAIN);
	cr_expect_eq(turn(t, 52 * HOUR), PST_OK);
	cr_expect_eq(place_of(t, &first), -1);
	pst_tickets_free(t);
}

Test(tickets, all_keys_of_a_lifetime_have_a_place)
{
	struct pst_tickets_conf c = {.rotate = 60, .lifetime = 60 * PST_TICKETS_PER_LIFE};
	struct pst_tickets *t = made(&c, 0);
	struct pst_ticket_key keys[200];

	for (unsigned i = 0; i < PST_COUNT(keys); i++) {
		keys[i] = key_at(t, 0);
		for (unsigned k = i - PST_MIN(i, (unsigned)PST_TICKETS_PER_LIFE); k < i; k++)
			cr_expect_geq(place_of(t, &keys[k]), i == k ? 0 : 2, "%u at %u", k, i);
		turn(t, 60 * (i + 1));
	}
	cr_expect_eq(pst_tickets_count(t), PST_TICKETS_PER_LIFE + 2);
	pst_tickets_free(t);
}

Test(tickets, another_schedule_counts_at_once_and_costs_no_key)
{
	struct pst_tickets *t = made(&hourly, 0);
	struct pst_tickets_conf c = hourly;
	struct pst_ticket_key first = key_at(t, 0), second = key_at(t, 1);

	cr_expect_eq(configure(t, &c, 10), PST_AGAIN, "nothing changed");
	c.rotate = 2 * HOUR;
	cr_expect_eq(configure(t, &c, 20), PST_AGAIN);
	cr_expect_eq(turn(t, HOUR), PST_AGAIN, "the key that runs has more time now");
	c.rotate = 600;
	cr_expect_eq(configure(t, &c, HOUR), PST_AGAIN);
	cr_expect_eq(turn(t, HOUR), PST_OK, "and now less");
	cr_expect_eq(place_of(t, &second), 0);
	cr_expect_eq(place_of(t, &first), 2);
	cr_expect_eq(key_at(t, 2).until, 3 * HOUR);
	/* A shorter life of tickets is meant for those that are out, too. */
	c.lifetime = 300;
	cr_expect_eq(configure(t, &c, HOUR + 10), PST_OK);
	cr_expect_eq(key_at(t, 2).until, HOUR + 310);
	cr_expect_eq(turn(t, HOUR + 310), PST_OK);
	cr_expect_eq(place_of(t, &first), -1);
	cr_expect_not(remains(t, &first));
	/* A longer one cannot bring back what was promised to go. */
	cr_expect_eq(turn(t, HOUR + 600), PST_OK);
	c.lifetime = 9000;
	cr_expect_eq(configure(t, &c, HOUR + 601), PST_AGAIN);
	cr_expect_eq(key_at(t, 2).until, HOUR + 900);
	pst_tickets_free(t);
}

static struct pst_tickets_keys
file_keys(const char *letters)
{
	struct pst_tickets_keys k = {.n = (unsigned)strlen(letters)};

	for (unsigned i = 0; i < k.n; i++)
		for (unsigned b = 0; b < PST_TICKETS_KEY_LEN; b++)
			k.key[i][b] = (uint8_t)(letters[i] * (b + 3) + b / 8);
	return k;
}

static struct pst_ticket_key
file_key(char letter)
{
	struct pst_tickets_keys k = file_keys((char[]){letter, '\0'});
	struct pst_ticket_key key;

	pst_ticket_key_set(&key, k.key[0], PST_TICKET_FILE_FIRST);
	return key;
}

Test(tickets, keys_of_a_file_take_over_and_own_ones_live_out)
{
	struct pst_tickets *t = made(&hourly, 0);
	struct pst_ticket_key own = key_at(t, 0), a = file_key('a'), b = file_key('b'),
			      c = file_key('c');
	struct pst_tickets_keys ab = file_keys("ab"), ca = file_keys("ca");
	struct pst_tickets_conf conf = hourly;

	conf.keys = &ab;
	cr_expect_eq(configure(t, &conf, 100), PST_OK);
	cr_expect_eq(pst_tickets_count(t), 3);
	cr_expect(place_of(t, &a) == 0 && place_of(t, &b) == 1 && place_of(t, &own) == 2);
	cr_expect_eq(turn(t, 100 + HOUR), PST_AGAIN, "a file's keys do not rotate");
	cr_expect_eq(configure(t, &conf, 100 + HOUR), PST_AGAIN, "the same file again");
	cr_expect_eq(turn(t, 100 + 2 * HOUR), PST_OK);
	cr_expect_eq(place_of(t, &own), -1);
	/* The operator's list is the list. */
	conf.keys = &ca;
	cr_expect_eq(configure(t, &conf, 3 * HOUR), PST_OK);
	cr_expect(place_of(t, &c) == 0 && place_of(t, &a) == 1 && pst_tickets_count(t) == 2);
	cr_expect_not(remains(t, &b));
	/* Without a file: own keys, and nothing of the file's. */
	conf.keys = NULL;
	cr_expect_eq(configure(t, &conf, 4 * HOUR), PST_OK);
	cr_expect_eq(pst_tickets_count(t), 2);
	cr_expect_not(remains(t, &a));
	cr_expect_not(remains(t, &c));
	cr_expect_eq(turn(t, 5 * HOUR), PST_OK, "they rotate from then on");
	pst_tickets_free(t);
}

/* ---- files ---- */

#define KEY_A                                                                                      \
	"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b" \
	"2c2d2e2f303132333435363738393a3b3c3d3e3f404142434445464748494a4b4c4d4e4f"
#define KEY_B                                                                                      \
	"F00102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F202122232425262728292A2B" \
	"2C2D2E2F303132333435363738393A3B3C3D3E3F404142434445464748494A4B4C4D4E4F"
#define NAME   "00112233445566778899aabbccddeeff"
#define ZEROES "0000000000000000000000000000000000000000000000000000000000000000"
#define COUNT  "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

static const char *
write_file(const char *text, mode_t mode)
{
	const char *path = pki_path("tickets.key");
	FILE *f;

	unlink(path);
	f = fopen(path, "w");
	cr_assert(f != NULL && fputs(text, f) >= 0 && fclose(f) == 0);
	cr_assert_eq(chmod(path, mode), 0);
	return path;
}

struct key_file {
	const char *text;
	mode_t mode;
	unsigned n;        /* keys */
	const char *fault; /* in the text of the fault; NULL: none */
};

static const struct key_file files[] = {
	{KEY_A "\n", 0600, 1, NULL},
	{KEY_A "\n", 0400, 1, NULL},
	{"# of this week\n" KEY_A "\n\n" KEY_B "\n", 0600, 2, NULL},
	{KEY_A "\r\n" KEY_B, 0600, 2, NULL},
	{KEY_A "\n", 0640, 0, "open to others (mode 0640)"},
	{KEY_A "\n", 0604, 0, "open to others (mode 0604)"},
	{"", 0600, 0, "the file is empty"},
	{"# nothing yet\n", 0600, 0, "there is no key in it"},
	{KEY_A "0\n", 0600, 0, "line 1 is not a key"},
	{KEY_A "\n" KEY_B " \n", 0600, 0, "line 2 is not a key"},
	{"g" KEY_A "\n", 0600, 0, "line 1 is not a key"},
	{KEY_A "\n#\n" KEY_A "\n", 0600, 0, "line 3 has the name"},
	{NAME ZEROES COUNT "\n", 0600, 0, "line 1 is not random"},
	{NAME COUNT ZEROES "\n", 0600, 0, "line 1 is not random"},
};

Test(tickets, a_key_file_is_read_line_by_line_and_its_faults_are_named_not_shown)
{
	for (unsigned i = 0; i < PST_COUNT(files); i++) {
		const char *path = write_file(files[i].text, files[i].mode);
		struct pst_tickets_keys k = {0};
		char err[512] = "";
		enum pst_rc rc = pst_tickets_read(path, &k, err, sizeof(err));

		cr_expect_eq(rc, files[i].fault != NULL ? PST_INVAL : PST_OK, "%u: %s", i, err);
		cr_expect_eq(k.n, files[i].n, "%u: %u", i, k.n);
		if (files[i].fault == NULL)
			continue;
		cr_expect(strstr(err, files[i].fault) != NULL && strstr(err, path) != NULL,
			"%u: %s", i, err);
		cr_expect(strstr(err, "0c0d0e0f") == NULL, "%s", err);
		cr_expect_eq(k.key[0][20], 0, "%u: a key of a bad file is left", i);
	}
}

Test(tickets, a_key_file_has_16_keys_at_most)
{
	char text[17 * (2 * PST_TICKETS_KEY_LEN + 1) + 1] = "";
	struct pst_tickets_keys k;
	char err[512] = "";

	for (unsigned i = 0; i < 17; i++)
		sprintf(text + strlen(text), "%02x%s\n", i + 1, &KEY_A[2]);
	cr_expect_eq(pst_tickets_read(write_file(text, 0600), &k, err, sizeof(err)), PST_INVAL);
	cr_expect(strstr(err, "line 17 is one more than the 16 keys") != NULL, "%s", err);
	text[16 * (2 * PST_TICKETS_KEY_LEN + 1)] = '\0';
	cr_expect_eq(pst_tickets_read(write_file(text, 0600), &k, err, sizeof(err)), PST_OK);
	cr_expect_eq(k.n, 16);
	cr_expect(k.key[0][0] == 1 && k.key[15][0] == 16 && k.key[15][79] == 0x4f);
}

Test(tickets, what_is_no_plain_file_is_no_key_file)
{
	struct pst_tickets_keys k;
	char err[512] = "";

	cr_expect_eq(pst_tickets_read("/dev/zero", &k, err, sizeof(err)), PST_INVAL);
	cr_expect(strstr(err, "not a regular file") != NULL, "%s", err);
	cr_expect_eq(pst_tickets_read("/nonexistent/key", &k, err, sizeof(err)), PST_INVAL);
	cr_expect(strstr(err, "/nonexistent/key: cannot open") != NULL, "%s", err);
}

/* ---- tickets ---- */

static void
setup(struct pair *p, uint16_t version, const struct pst_tickets *keys, unsigned tickets)
{
	pair_init(p);
	p->sconf.tickets = tickets;
	p->sconf.ticket_keys = keys;
	p->sconf.max_version = version;
	p->cconf.verify = PST_TLS_VERIFY_OFF;
	pair_contexts(p);
}

/* A handshake that offers `kept` (or nothing); what the client then has to offer. */
static SSL_SESSION *
visit(struct pair *p, SSL_SESSION *kept, int tickets, bool *resumed, struct pst_tls_ticket_use *use)
{
	SSL_SESSION *copy = kept != NULL ? SSL_SESSION_dup(kept) : NULL;
	char buf[4];

	pair_sessions(p);
	if (tickets >= 0)
		cr_assert_eq(pst_tls_set_tickets(p->server.tls, (unsigned)tickets), PST_OK);
	if (copy != NULL)
		SSL_set_session(p->client.tls->ssl, copy);
	cr_assert(pair_handshake(p), "%s", pst_tls_error(p->server.tls));
	end_drain(&p->client, buf, sizeof(buf));
	SSL_SESSION_free(copy);
	*resumed = SSL_session_reused(p->server.tls->ssl) == 1;
	cr_expect_eq(SSL_session_reused(p->client.tls->ssl), *resumed);
	pst_tls_ticket_use(p->server.tls, use);
	return SSL_SESSION_dup(SSL_get_session(p->client.tls->ssl));
}

static bool
same_ticket(const SSL_SESSION *a, const SSL_SESSION *b)
{
	const unsigned char *x, *y;
	size_t n, m;

	SSL_SESSION_get0_ticket(a, &x, &n);
	SSL_SESSION_get0_ticket(b, &y, &m);
	return n == m && memcmp(x, y, n) == 0;
}

Test(tickets, a_ticket_under_an_older_key_is_taken_and_renewed)
{
	for (unsigned v = PST_TLS_1_2; v <= PST_TLS_1_3; v++) {
		struct pst_tickets *t = made(&hourly, 0);
		struct pst_tls_ticket_use use;
		SSL_SESSION *first, *second, *third;
		bool resumed;
		struct pair p;

		setup(&p, (uint16_t)v, t, 1);
		first = visit(&p, NULL, -1, &resumed, &use);
		cr_expect(!resumed && use.issued == 1 && !use.old_key && !use.unknown_key);
		cr_expect_eq(SSL_SESSION_get_ticket_lifetime_hint(first), 3600);
		cr_expect_eq(SSL_SESSION_get_max_early_data(first), 0);
		/* Under the key that encrypts TLS 1.2 keeps its ticket; TLS 1.3 always has another.
		 */
		second = visit(&p, first, -1, &resumed, &use);
		cr_expect(resumed && !use.old_key, "%#x", v);
		cr_expect_eq(use.issued, v == PST_TLS_1_3, "%#x: %u", v, use.issued);
		turn(t, HOUR);
		third = visit(&p, first, -1, &resumed, &use);
		cr_expect(resumed && use.old_key && use.issued == 1, "%#x: %d %d %u", v, resumed,
			use.old_key, use.issued);
		cr_expect_not(same_ticket(first, third), "%#x", v);
		/* The first key is gone, the renewed ticket is not. */
		turn(t, 2 * HOUR);
		turn(t, 3 * HOUR);
		SSL_SESSION_free(second);
		second = visit(&p, first, -1, &resumed, &use);
		cr_expect(!resumed && use.unknown_key && !use.old_key && use.issued == 1);
		SSL_SESSION_free(second);
		second = visit(&p, third, -1, &resumed, &use);
		cr_expect(resumed && use.old_key && !use.unknown_key, "%#x", v);
		SSL_SESSION_free(first);
		SSL_SESSION_free(second);
		SSL_SESSION_free(third);
		pair_fini(&p);
		pst_tickets_free(t);
	}
}

/* Two workers: contexts of their own, in library contexts of their own; one ring. */
Test(tickets, a_ticket_of_one_worker_is_taken_by_another_that_sees_the_change_later)
{
	for (unsigned v = PST_TLS_1_2; v <= PST_TLS_1_3; v++) {
		struct pst_tickets *t = made(&hourly, 0);
		struct pst_tickets *late = malloc(sizeof(*late));
		struct pst_tls_ticket_use use;
		SSL_SESSION *kept, *more;
		struct pair one, two;
		bool resumed;

		/* The ring as somebody sees it who has not looked since. */
		*late = *t;
		atomic_init(&late->live, &late->sets[pst_tickets_set(t) - t->sets]);
		turn(t, HOUR);
		setup(&one, (uint16_t)v, t, 1);
		setup(&two, (uint16_t)v, late, 1);
		kept = visit(&one, NULL, -1, &resumed, &use);
		more = visit(&two, kept, -1, &resumed, &use);
		cr_expect(resumed && !use.old_key && !use.unknown_key, "%#x", v);
		SSL_SESSION_free(kept);
		kept = visit(&one, more, -1, &resumed, &use);
		cr_expect(resumed, "%#x", v);
		/* TLS 1.2 still has the ticket of the new key. */
		cr_expect_eq(use.old_key, v == PST_TLS_1_3, "%#x", v);
		SSL_SESSION_free(kept);
		SSL_SESSION_free(more);
		pair_fini(&one);
		pair_fini(&two);
		pst_tickets_free(t);
		pst_tickets_free(late);
	}
}

Test(tickets, another_gateway_with_the_same_file_takes_them)
{
	struct pst_tickets_keys a = file_keys("a"), ba = file_keys("ba"), b = file_keys("b");
	struct pst_tickets_conf conf = hourly;

	for (unsigned v = PST_TLS_1_2; v <= PST_TLS_1_3; v++) {
		const struct pst_tickets_keys *theirs[] = {&a, &ba, &b};

		for (unsigned i = 0; i < PST_COUNT(theirs); i++) {
			struct pst_tickets *here, *there;
			struct pst_tls_ticket_use use;
			struct pair one, two;
			SSL_SESSION *kept;
			bool resumed;

			conf.keys = &a;
			here = made(&conf, 0);
			conf.keys = theirs[i];
			there = made(&conf, 0);
			setup(&one, (uint16_t)v, here, 1);
			setup(&two, (uint16_t)v, there, 1);
			kept = visit(&one, NULL, -1, &resumed, &use);
			SSL_SESSION_free(visit(&two, kept, -1, &resumed, &use));
			cr_expect_eq(resumed, i < 2, "%#x %u", v, i);
			cr_expect_eq(use.old_key, i == 1);
			cr_expect_eq(use.unknown_key, i == 2);
			SSL_SESSION_free(kept);
			pair_fini(&one);
			pair_fini(&two);
			pst_tickets_free(here);
			pst_tickets_free(there);
		}
	}
}

Test(tickets, a_connection_may_have_more_or_fewer_than_its_profile)
{
	for (unsigned v = PST_TLS_1_2; v <= PST_TLS_1_3; v++) {
		struct pst_tickets *t = made(&hourly, 0);
		struct pst_tls_ticket_use use;
		SSL_SESSION *kept;
		struct pair p;
		bool resumed;

		setup(&p, (uint16_t)v, t, 1);
		kept = visit(&p, NULL, -1, &resumed, &use);
		/* Who gets none is not let in by one that it has, either. */
		SSL_SESSION_free(visit(&p, kept, 0, &resumed, &use));
		cr_expect(!resumed && use.issued == 0, "%#x: %d %u", v, resumed, use.issued);
		SSL_SESSION_free(visit(&p, kept, -1, &resumed, &use));
		cr_expect(resumed, "the ticket is still good elsewhere");
		SSL_SESSION_free(kept);
		pair_fini(&p);

		setup(&p, (uint16_t)v, t, 0);
		kept = visit(&p, NULL, 2, &resumed, &use);
		cr_expect_eq(use.issued, v == PST_TLS_1_3 ? 2 : 1, "%#x: %u", v, use.issued);
		SSL_SESSION_free(visit(&p, kept, -1, &resumed, &use));
		cr_expect(!resumed && use.issued == 0);
		SSL_SESSION_free(visit(&p, kept, 2, &resumed, &use));
		cr_expect(resumed);
		cr_expect_eq(pst_tls_set_tickets(p.server.tls, 1), PST_INVAL, "too late");
		pair_sessions(&p);
		cr_expect_eq(pst_tls_set_tickets(p.server.tls, 3), PST_INVAL);
		cr_expect_eq(pst_tls_set_tickets(p.client.tls, 1), PST_INVAL);
		SSL_SESSION_free(kept);
		pair_fini(&p);
		pst_tickets_free(t);
	}
}
