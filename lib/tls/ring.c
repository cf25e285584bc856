/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The ring of ticket keys; see pst_tickets.h. Two sets of which one is published and the other
 * is blank: a change copies the published one into the blank one, works on the copy, and swaps.
 * So there is nothing to allocate, a set is never changed while a worker may read it, and no
 * copy of a key outlives its set.
 *
 * In a set the key that encrypts stands first. With own keys the next one follows, then those
 * of before, youngest first; with a file its other keys follow in their order, then own ones
 * of before. When there is no room for all, the oldest go: that costs full handshakes only.
 */
#include "ring.h"
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* Does one of our own encrypt, and not a file's? */
static bool
is_own(const struct pst_ticket_set *s)
{
	return s->n > 0 && s->keys[0].kind == PST_TICKET_CURRENT;
}

static struct pst_ticket_set *
blank(struct pst_tickets *t)
{
	return pst_tickets_set(t) == &t->sets[0] ? &t->sets[1] : &t->sets[0];
}

static bool
make_key(struct pst_ticket_key *k, enum pst_ticket_kind kind)
{
	uint8_t raw[PST_TICKETS_KEY_LEN];
	bool ok = getrandom(raw, sizeof(raw), 0) == sizeof(raw);

	if (ok)
		pst_ticket_key_set(k, raw, kind);
	OPENSSL_cleanse(raw, sizeof(raw));
	return ok;
}

void
pst_ticket_key_set(
	struct pst_ticket_key *k, const uint8_t raw[PST_TICKETS_KEY_LEN], enum pst_ticket_kind kind)
{
	*k = (struct pst_ticket_key){.kind = kind};
	memcpy(k->name, raw, sizeof(k->name));
	memcpy(k->aes, raw + sizeof(k->name), sizeof(k->aes));
	memcpy(k->mac, raw + sizeof(k->name) + sizeof(k->aes), sizeof(k->mac));
}

static void
append(struct pst_ticket_set *s, const struct pst_ticket_key *k)
{
	if (s->n < PST_TICKET_SET_MAX)
		s->keys[s->n++] = *k;
}

/* Those of before that are still good. */
static void
append_old(struct pst_ticket_set *to, const struct pst_ticket_set *from, int64_t now, int64_t until)
{
	for (unsigned i = 0; i < from->n; i++) {
		struct pst_ticket_key k = from->keys[i];

		if (k.kind == PST_TICKET_OLD && k.until > now) {
			k.until = PST_MIN(k.until, until);
			append(to, &k);
		}
		OPENSSL_cleanse(&k, sizeof(k));
	}
}

/* The own key that encrypted till now: it decrypts for a ticket's life. */
static void
append_retired(struct pst_ticket_set *to, const struct pst_ticket_set *from, int64_t until)
{
	struct pst_ticket_key k;

	if (!is_own(from))
		return;
	k = from->keys[0];
	k.kind = PST_TICKET_OLD;
	k.until = until;
	append(to, &k);
	OPENSSL_cleanse(&k, sizeof(k));
}

static const struct pst_ticket_key *
next_key(const struct pst_ticket_set *s)
{
	return s->n > 1 && s->keys[1].kind == PST_TICKET_NEXT ? &s->keys[1] : NULL;
}

/* to: the next key of `from` encrypts (a new one if it has none), and there is another next. */
static bool
begin_own(struct pst_ticket_set *to, const struct pst_ticket_set *from)
{
	const struct pst_ticket_key *next = next_key(from);

	to->n = 2;
	if (next != NULL) {
		to->keys[0] = *next;
		to->keys[0].kind = PST_TICKET_CURRENT;
	} else if (!make_key(&to->keys[0], PST_TICKET_CURRENT)) {
		return false;
	}
	return make_key(&to->keys[1], PST_TICKET_NEXT);
}

static void
begin_file(struct pst_ticket_set *to, const struct pst_tickets_keys *keys)
{
	for (unsigned i = 0; i < keys->n; i++)
		pst_ticket_key_set(&to->keys[to->n++], keys->key[i],
			i == 0 ? PST_TICKET_FILE_FIRST : PST_TICKET_FILE_OTHER);
}

/* Members only: what lies behind a set's keys is no difference. */
static bool
same(const struct pst_ticket_set *a, const struct pst_ticket_set *b)
{
	return a->n == b->n && memcmp(a->keys, b->keys, a->n * sizeof(a->keys[0])) == 0;
}

static enum pst_rc
publish(struct pst_tickets *t, struct pst_ticket_set *to)
{
	if (same(to, pst_tickets_set(t))) {
		OPENSSL_cleanse(to, sizeof(*to));
		return PST_AGAIN;
	}
	/* Pairs with the acquire in pst_tickets_set. */
	atomic_store_explicit(&t->live, to, memory_order_release);
	return PST_OK;
}

static enum pst_rc
give_up(struct pst_ticket_set *to)
{
	OPENSSL_cleanse(to, sizeof(*to));
	return PST_NOMEM;
}

enum pst_rc
pst_tickets_turn(struct pst_tickets *t, int64_t now)
{
	const struct pst_ticket_set *from = pst_tickets_set(t);
	struct pst_ticket_set *to = blank(t);

	if (is_own(from) && now - t->since >= t->rotate) {
		if (!begin_own(to, from))
			return give_up(to);
		t->since = now;
		append_retired(to, from, now + t->lifetime);
	} else {
		for (unsigned i = 0; i < from->n; i++)
			if (from->keys[i].kind != PST_TICKET_OLD)
				append(to, &from->keys[i]);
	}
	append_old(to, from, now, INT64_MAX);
	return publish(t, to);
}

/* The keys that encrypt, now or next, as they are. */
static void
keep_own(struct pst_ticket_set *to, const struct pst_ticket_set *from)
{
	append(to, &from->keys[0]);
	append(to, &from->keys[1]);
}

enum pst_rc
pst_tickets_configure(struct pst_tickets *t, const struct pst_tickets_conf *conf, int64_t now)
{
	const struct pst_ticket_set *from = pst_tickets_set(t);
	struct pst_ticket_set *to = blank(t);

	if (conf->keys != NULL) {
		begin_file(to, conf->keys);
		append_retired(to, from, now + conf->lifetime);
	} else if (is_own(from)) {
		keep_own(to, from);
	} else {
		if (!begin_own(to, from))
			return give_up(to);
		t->since = now;
	}
	append_old(to, from, now, now + conf->lifetime);
	t->rotate = conf->rotate;
	t->lifetime = conf->lifetime;
	return publish(t, to);
}

void
pst_tickets_retire(struct pst_tickets *t)
{
	OPENSSL_cleanse(blank(t), sizeof(t->sets[0]));
}

struct pst_tickets *
pst_tickets_new(const struct pst_tickets_conf *conf, int64_t now)
{
	struct pst_tickets *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return NULL;
	atomic_init(&t->live, &t->sets[0]);
	if (pst_tickets_configure(t, conf, now) == PST_OK)
		return t;
	pst_tickets_free(t);
	return NULL;
}

void
pst_tickets_free(struct pst_tickets *t)
{
	if (t == NULL)
		return;
	OPENSSL_cleanse(t, sizeof(*t));
	free(t);
}

unsigned
pst_tickets_count(const struct pst_tickets *t)
{
	return pst_tickets_set(t)->n;
}
