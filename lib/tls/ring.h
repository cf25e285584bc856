/* SPDX-License-Identifier: BSD-3-Clause */
/* The ring of ticket keys from inside: what ticket.c looks up, ring.c changes, keyfile.c reads. */
#ifndef PST_TLS_RING_H
#define PST_TLS_RING_H

#include <pst_tickets.h>
#include <stdatomic.h>

/* A set: current, next, all of a lifetime, and as many of a longer one before the last reload. */
#define PST_TICKET_SET_MAX (2 * PST_TICKETS_PER_LIFE)

enum pst_ticket_kind {
	PST_TICKET_CURRENT,    /* encrypts */
	PST_TICKET_NEXT,       /* will; a worker that knows more may encrypt with it already */
	PST_TICKET_OLD,        /* decrypts until `until` */
	PST_TICKET_FILE_FIRST, /* a file's: encrypts */
	PST_TICKET_FILE_OTHER, /* decrypts */
};

struct pst_ticket_key {
	uint8_t name[16];
	uint8_t aes[32], mac[32];
	int64_t until;
	uint64_t kind; /* of that size, so that keys compare as bytes */
};

struct pst_ticket_set {
	unsigned n;
	struct pst_ticket_key keys[PST_TICKET_SET_MAX];
};

struct pst_tickets {
	struct pst_ticket_set *_Atomic live; /* one of sets; the other is blank or to be retired */
	struct pst_ticket_set sets[2];
	int64_t since; /* when the current own key began */
	uint32_t rotate, lifetime;
};

_Static_assert(sizeof(((struct pst_ticket_key *)0)->name) +
			       sizeof(((struct pst_ticket_key *)0)->aes) +
			       sizeof(((struct pst_ticket_key *)0)->mac) ==
		       PST_TICKETS_KEY_LEN,
	"a key is its three parts");
_Static_assert(PST_TICKETS_FILE_KEYS + 1 < PST_TICKET_SET_MAX, "a set holds a file's keys");

/* Any thread, until its next quiescent state. */
static inline const struct pst_ticket_set *
pst_tickets_set(const struct pst_tickets *t)
{
	/* Pairs with the release in publish. */
	return atomic_load_explicit(
		&((struct pst_tickets *)(uintptr_t)t)->live, memory_order_acquire);
}

void pst_ticket_key_set(struct pst_ticket_key *k, const uint8_t raw[PST_TICKETS_KEY_LEN],
	enum pst_ticket_kind kind);

#endif
