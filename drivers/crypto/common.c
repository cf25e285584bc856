/* SPDX-License-Identifier: BSD-3-Clause */
/* The table of back-ends, and what they have in common. */
#include "cryptodrv_impl.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct pst_cryptodrv *const pst_cryptodrvs[] = {
	&cryptodrv_sync, &cryptodrv_lcore, &cryptodrv_cryptodev, &cryptodrv_fault, NULL};

void *
cryptodrv_zalloc(size_t bytes)
{
	size_t n = (bytes + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
	void *p = aligned_alloc(CACHE_LINE, n);

	if (p != NULL)
		memset(p, 0, n);
	return p;
}

enum pst_rc
cryptodrv_invalid(
	const struct pst_cryptodrv_conf *conf, char *err, size_t errlen, const char *fmt, ...)
{
	va_list ap;
	int at = snprintf(err, errlen, "back-end %s: ", conf->name);

	if (at >= 0 && (size_t)at < errlen) {
		va_start(ap, fmt);
		vsnprintf(err + at, errlen - (size_t)at, fmt, ap);
		va_end(ap);
	}
	return PST_INVAL;
}

/* ---- options ---- */

static bool
is_known(const char *const *known, const char *key)
{
	for (; *known != NULL; known++)
		if (strcmp(*known, key) == 0)
			return true;
	return strcmp(key, "around") == 0;
}

enum pst_rc
cryptodrv_check_opts(
	const struct pst_cryptodrv_conf *conf, const char *const *known, char *err, size_t errlen)
{
	for (unsigned i = 0; i < conf->nopts; i++) {
		const char *key = conf->opts[i].key;

		if (!is_known(known, key))
			return cryptodrv_invalid(
				conf, err, errlen, "the driver has no option \"%s\"", key);
		for (unsigned k = 0; k < i; k++)
			if (strcmp(conf->opts[k].key, key) == 0)
				return cryptodrv_invalid(
					conf, err, errlen, "option \"%s\" is given twice", key);
	}
	return PST_OK;
}

const char *
cryptodrv_opt(const struct pst_cryptodrv_conf *conf, const char *key)
{
	for (unsigned i = 0; i < conf->nopts; i++)
		if (strcmp(conf->opts[i].key, key) == 0)
			return conf->opts[i].value;
	return NULL;
}

enum pst_rc
cryptodrv_opt_number(const struct pst_cryptodrv_conf *conf, const char *key, uint64_t min,
	uint64_t max, uint64_t *out, char *err, size_t errlen)
{
	const char *s = cryptodrv_opt(conf, key);
	uint64_t v = 0;

	if (s == NULL)
		return PST_OK;
	size_t digits = strspn(s, "0123456789");
	bool good = digits > 0 && digits <= 18 && s[digits] == '\0';
	for (size_t i = 0; good && i < digits; i++)
		v = v * 10 + (uint64_t)(s[i] - '0');
	if (!good || v < min || v > max)
		return cryptodrv_invalid(conf, err, errlen,
			"option \"%s\" is a number of %llu to %llu, not \"%s\"", key,
			(unsigned long long)min, (unsigned long long)max, s);
	*out = v;
	return PST_OK;
}

/* ---- lengths ---- */

unsigned
cryptodrv_order_bytes(enum pst_op_group group)
{
	return group == PST_GROUP_P256 ? 32 : (group == PST_GROUP_P384 ? 48 : 0);
}

bool
cryptodrv_op_fits(const struct pst_op *op)
{
	const struct pst_op_key *key = op->key;

	if (key == NULL || key->form != op->form || op->in_len == 0 || op->in_len > PST_OP_BYTES)
		return false;
	if (op->form == PST_FORM_RSA_PRIV)
		return op->in_len == key->n.len;
	return op->form == PST_FORM_ECDSA_SIGN && cryptodrv_order_bytes(key->group) != 0;
}
