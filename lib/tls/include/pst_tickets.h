/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The keys of session tickets: one ring for all workers and all generations of the
 * configuration, so that a client resumes with any worker and after a reload.
 *
 * Own keys: one encrypts for `rotate` seconds; after that it still decrypts for
 * `lifetime`, as long as a ticket made in its last second may live; then it is wiped.
 * The next one is in the ring beforehand, so that a worker that does not see the
 * change yet knows the tickets of one that does. A restart begins with new keys:
 * tickets of before cost a full handshake. Keys of a file (several gateways behind
 * one name, restarts) do not rotate: the first encrypts, all decrypt, and what is
 * taken out of the file is gone with the next reload.
 *
 * Thread: everything but the look-up of lib/tls itself belongs to one thread, which
 * owns the clock: `now` is seconds of any clock that does not go back. Publication is
 * RCU's: pst_tickets_configure and pst_tickets_turn say PST_OK when they have
 * published another set; the caller then waits until each worker has been outside of
 * lib/tls once, and calls pst_tickets_retire, which wipes the set of before. Until that is
 * done no other may be published.
 */
#ifndef PST_TICKETS_H
#define PST_TICKETS_H

#include <pst_base.h>

#define PST_TICKETS_KEY_LEN   80 /* name 16, AES-256 32, HMAC-SHA-256 32 */
#define PST_TICKETS_FILE_KEYS 16
#define PST_TICKETS_PER_LIFE  30 /* `lifetime` is at most so many times `rotate` */

struct pst_tickets;

/* Keys read from a file; wipe when done. */
struct pst_tickets_keys {
	unsigned n;
	uint8_t key[PST_TICKETS_FILE_KEYS][PST_TICKETS_KEY_LEN];
};

/*
 * Reads a file of lines with 160 hexadecimal digits each (blank lines and lines that begin
 * with '#' aside). It must be regular, of this user or root, and closed to group and others
 * (0600). PST_INVAL: err names file, line and cause; nothing of a key.
 */
enum pst_rc pst_tickets_read(
	const char *file, struct pst_tickets_keys *out, char *err, size_t errlen);
void pst_tickets_wipe(struct pst_tickets_keys *keys);

struct pst_tickets_conf {
	uint32_t rotate, lifetime;           /* s; lifetime <= PST_TICKETS_PER_LIFE * rotate */
	const struct pst_tickets_keys *keys; /* instead of own ones; copied; NULL: own */
};

/* NULL: no memory, or no random bytes. */
struct pst_tickets *pst_tickets_new(const struct pst_tickets_conf *conf, int64_t now);
/* After every TLS context that has it. Wipes. NULL is fine. */
void pst_tickets_free(struct pst_tickets *t);

/*
 * From now on like this. Own keys live on under another schedule (a shorter lifetime shortens
 * theirs) and, when a file takes over, to decrypt. PST_OK: published; PST_AGAIN: no key
 * changed, nothing to retire; PST_NOMEM: no random bytes, and nothing changed.
 */
enum pst_rc pst_tickets_configure(
	struct pst_tickets *t, const struct pst_tickets_conf *conf, int64_t now);
/* What is due by the schedule. PST_OK, PST_AGAIN, PST_NOMEM as above. */
enum pst_rc pst_tickets_turn(struct pst_tickets *t, int64_t now);
/* Wipes what was published before. */
void pst_tickets_retire(struct pst_tickets *t);
/* Keys that decrypt now. */
unsigned pst_tickets_count(const struct pst_tickets *t);

#endif
