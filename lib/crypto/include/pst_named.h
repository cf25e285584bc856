/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An OpenSSL engine or provider by name (qatengine, qatprovider) in place of our provider
 * and its back-ends. It pauses handshakes by itself and says through OpenSSL's async
 * callback when one can go on; there is nothing here that could redo what it does, so its
 * operations have no deadline and no fallback.
 *
 * It lives in OpenSSL's default library context, which all workers then share: their
 * contexts of their own, and the narrow provider, are lost.
 *
 * How an answer finds its handshake: the callback gets a number, made of the lane, a slot of
 * it and the slot's generation. It may come from any thread, late, twice, or never; the
 * number is looked at without touching the connection, and a generation that is gone by is
 * dropped. An OpenSSL connection lives on until its operation was answered, because
 * OpenSSL's own half of the callback reads it.
 */
#ifndef PST_NAMED_H
#define PST_NAMED_H

#include <pst_base.h>
#include <openssl/types.h>

/* What the driver opened. */
struct pst_named {
	const char *name;  /* "engine qatengine", for messages */
	OSSL_LIB_CTX *lib; /* where its algorithms are; NULL: the default one */
	/* Once in a turn of each worker that has a handshake paused; NULL: it has threads. */
	void (*poll)(void *arg);
	void *arg;
};

struct pst_waiter;

/*
 * Before the first call of a handshake whose lane has a named engine: a number for OpenSSL's
 * async callback, which hands it to pst_named_answered. 0: nobody is named, or there are too
 * many handshakes: then do not ask for jobs.
 */
uint64_t pst_named_begin(struct pst_waiter *w);
/* The handshake is over, paused no more. Does nothing without a begin. */
void pst_named_end(struct pst_waiter *w);
/* Any thread, cheap, takes no lock. A number that is none any more is ignored. */
void pst_named_answered(uint64_t number);
/* A TLS call said that it waits for an operation which is not ours; false: w has no number. */
bool pst_named_paused(struct pst_waiter *w);

#endif
