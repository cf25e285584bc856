/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One OSSL_LIB_CTX per worker. The process's default library context stays
 * unused: DPDK's OpenSSL driver and other libraries may load what they like there.
 *
 * A second one behind it has the default provider, to which ours (provider.c) delegates.
 *
 * openssl.cnf is not read: its [system_default] would otherwise reach into every
 * SSL_CTX of the process, and a profile would mean something else on each machine.
 */
#include "engine_int.h"
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>

struct pst_crypto *
pst_crypto_new(char *err, size_t errlen)
{
	struct pst_crypto *c = calloc(1, sizeof(*c));
	char why[256];

	/* Whoever initialises first decides; a fault of it shows in the calls that follow. */
	(void)OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
	ERR_clear_error();
	if (c == NULL || (c->inner = OSSL_LIB_CTX_new()) == NULL ||
		(c->inner_default = OSSL_PROVIDER_load(c->inner, "default")) == NULL ||
		(c->lib = OSSL_LIB_CTX_new()) == NULL || !pst_provider_load(c)) {
		pst_crypto_errors(why, sizeof(why));
		snprintf(err, errlen, "OpenSSL library context: %s", why);
		pst_crypto_free(c);
		return NULL;
	}
	return c;
}

struct pst_crypto *
pst_crypto_new_named(const struct pst_named *named, char *err, size_t errlen)
{
	struct pst_crypto *c = calloc(1, sizeof(*c));

	if (c == NULL)
		snprintf(err, errlen, "out of memory");
	else
		c->lib = named->lib;
	return c;
}

void
pst_crypto_free(struct pst_crypto *c)
{
	if (c == NULL)
		return;
	pst_trust_free_all(c);
	if (c->provider != NULL)
		OSSL_PROVIDER_unload(c->provider);
	if (c->inner != NULL) /* else c->lib is somebody else's */
		OSSL_LIB_CTX_free(c->lib);
	pst_provider_forget(c);
	if (c->inner_default != NULL)
		OSSL_PROVIDER_unload(c->inner_default);
	OSSL_LIB_CTX_free(c->inner);
	free(c);
}

void
pst_crypto_set_engine(struct pst_crypto *c, struct pst_engine *e)
{
	c->engine = e;
}

OSSL_LIB_CTX *
pst_crypto_libctx(struct pst_crypto *c)
{
	return c->lib;
}

/*
 * Reasons only, outermost first, without OpenSSL's numbers: "wrong tag; nested
 * asn1 error". Texts that OpenSSL attaches may quote a file or a peer, so every
 * byte outside printable ASCII becomes '?'.
 */
void
pst_crypto_errors(char *buf, size_t len)
{
	const char *data;
	unsigned long e;
	size_t at = 0;
	int flags;

	if (len == 0)
		return;
	buf[0] = 0;
	while ((e = ERR_get_error_all(NULL, NULL, NULL, &data, &flags)) != 0) {
		const char *reason = ERR_reason_error_string(e);
		const char *extra = (flags & ERR_TXT_STRING) != 0 && data[0] != 0 ? data : NULL;

		if (at >= len - 1)
			continue;
		at += (size_t)snprintf(buf + at, len - at, "%s%s%s%s", at != 0 ? "; " : "",
			reason != NULL ? reason : "unknown error", extra != NULL ? ": " : "",
			extra != NULL ? extra : "");
	}
	if (buf[0] == 0)
		snprintf(buf, len, "no cause given");
	for (char *p = buf; *p != 0; p++)
		if (*p < ' ' || *p > '~')
			*p = '?';
}
