/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A client that says what no OpenSSL would: records of any type and content under the keys of a
 * session that a real client has opened. AES-128-GCM, both versions.
 */
#ifndef PST_TEST_FORGE_H
#define PST_TEST_FORGE_H

#include "pair.h"
#include <openssl/evp.h>

struct forge {
	struct pair *p;
	bool tls13;
	uint64_t seq;
	EVP_CIPHER_CTX *gcm;
	uint8_t iv[12];
};

/* Opens a session of that version; the pair's client must not write from now on. */
void forge_begin(struct forge *f, struct pair *p, uint16_t version);
void forge_end(struct forge *f);
/* One record onto the wire to the server. */
void forge_record(struct forge *f, uint8_t type, const void *data, size_t n);

#endif
