/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A file of ticket keys: one key a line, in hexadecimal, as `openssl rand -hex 80` writes it.
 * Texts of faults name the line and never show what stands in it.
 */
#include "ring.h"
#include <pst_crypto.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>

#define DIGITS (2 * PST_TICKETS_KEY_LEN)

static int
digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool
decode(const char *p, size_t n, uint8_t raw[PST_TICKETS_KEY_LEN])
{
	if (n != DIGITS)
		return false;
	for (size_t i = 0; i < PST_TICKETS_KEY_LEN; i++) {
		int hi = digit(p[2 * i]), lo = digit(p[2 * i + 1]);

		if (hi < 0 || lo < 0)
			return false;
		raw[i] = (uint8_t)(hi << 4 | lo);
	}
	return true;
}

/* Sixteen times the same octet is nobody's random key, but may well be somebody's example. */
static bool
is_plain(const uint8_t *p, size_t n)
{
	for (size_t i = 1; i < n; i++)
		if (p[i] != p[0])
			return false;
	return true;
}

/* What is wrong with key number n of k, or NULL. */
static const char *
fault_of(const struct pst_tickets_keys *k, unsigned n)
{
	const uint8_t *raw = k->key[n];

	if (is_plain(raw + 16, 32) || is_plain(raw + 48, 32))
		return "is not random";
	for (unsigned i = 0; i < n; i++)
		if (CRYPTO_memcmp(k->key[i], raw, 16) == 0)
			return "has the name (the first 32 digits) of an earlier one";
	return NULL;
}

static const char *
add_line(struct pst_tickets_keys *k, const char *p, size_t n)
{
	const char *fault;

	if (n > 0 && p[n - 1] == '\r')
		n--;
	if (n == 0 || p[0] == '#')
		return NULL;
	if (k->n == PST_TICKETS_FILE_KEYS)
		return "is one more than the 16 keys that a file may have";
	if (!decode(p, n, k->key[k->n]))
		return "is not a key of 160 hexadecimal digits (openssl rand -hex 80)";
	fault = fault_of(k, k->n);
	if (fault == NULL)
		k->n++;
	return fault;
}

static enum pst_rc
parse(const char *file, const struct pst_secret *s, struct pst_tickets_keys *out, char *err,
	size_t errlen)
{
	const char *p = (const char *)s->p, *end = p + s->n;

	for (unsigned line = 1; p < end; line++) {
		const char *nl = memchr(p, '\n', (size_t)(end - p));
		size_t n = (size_t)((nl != NULL ? nl : end) - p);
		const char *fault = add_line(out, p, n);

		if (fault != NULL) {
			snprintf(err, errlen, "%s: line %u %s", file, line, fault);
			return PST_INVAL;
		}
		p += n + 1;
	}
	if (out->n > 0)
		return PST_OK;
	snprintf(err, errlen, "%s: there is no key in it", file);
	return PST_INVAL;
}

enum pst_rc
pst_tickets_read(const char *file, struct pst_tickets_keys *out, char *err, size_t errlen)
{
	struct pst_secret s;
	enum pst_rc rc = pst_secret_load(file, &s, err, errlen);

	out->n = 0;
	if (rc != PST_OK)
		return rc;
	rc = parse(file, &s, out, err, errlen);
	pst_secret_free(&s);
	if (rc != PST_OK)
		pst_tickets_wipe(out);
	return rc;
}

void
pst_tickets_wipe(struct pst_tickets_keys *keys)
{
	OPENSSL_cleanse(keys, sizeof(*keys));
}
