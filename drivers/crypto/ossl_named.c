/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Loads an OpenSSL engine or provider by name and makes it the process's default.
 *
 * An engine (not in OpenSSL 4.0, which says so here) is found by its id or loaded from its
 * shared object. Control commands of the operator's come first, and if it can be polled, so
 * does ENABLE_EXTERNAL_POLLING: both must precede its start. It gets the methods of private
 * keys and key exchanges. Ciphers, digests and random numbers stay with OpenSSL: a handshake
 * may pause, a record must not.
 *
 * A provider is loaded into the default library context in front of OpenSSL's default
 * provider, by a configuration made here, since that alone can hand it parameters in every
 * version of OpenSSL; what it does not have comes from the default provider.
 */
#define OPENSSL_SUPPRESS_DEPRECATED /* engines, where there still are any */
#include "cryptodrv_impl.h"
#include <pst_ossl_named.h>

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/conf.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/provider.h>
#ifndef OPENSSL_NO_ENGINE
#include <openssl/engine.h>
#endif

struct pst_ossl_named {
	struct pst_named named;
	char name[128];
#ifndef OPENSSL_NO_ENGINE
	ENGINE *engine;
#endif
};

/* "engine x: what: OpenSSL's reason"; NULL, for a return. */
static void *fault(const struct pst_ossl_named *n, char *err, size_t errlen, const char *what, ...)
	PST_PRINTF(4, 5);
static void *
fault(const struct pst_ossl_named *n, char *err, size_t errlen, const char *what, ...)
{
	unsigned long e = ERR_peek_error();
	const char *reason = e != 0 ? ERR_reason_error_string(e) : NULL;
	char text[256];
	va_list ap;

	va_start(ap, what);
	vsnprintf(text, sizeof(text), what, ap);
	va_end(ap);
	snprintf(err, errlen, "%s: %s%s%s", n->name, text, reason != NULL ? ": " : "",
		reason != NULL ? reason : "");
	ERR_clear_error();
	return NULL;
}

/* What a line of OpenSSL's configuration may say without being read as something else. */
static bool
plain(const char *s)
{
	for (; *s != 0; s++)
		if (!isalnum((unsigned char)*s) && strchr("_-./:,+@%=", *s) == NULL)
			return false;
	return true;
}

enum pst_rc
pst_ossl_named_check(const struct pst_ossl_named_conf *conf, char *err, size_t errlen)
{
	if ((conf->engine == NULL) == (conf->provider == NULL)) {
		snprintf(err, errlen, "one of an engine and a provider");
		return PST_INVAL;
	}
#ifdef OPENSSL_NO_ENGINE
	if (conf->engine != NULL) {
		snprintf(err, errlen, "engine %s: %s has no engines; name a provider", conf->engine,
			OPENSSL_VERSION_TEXT);
		return PST_INVAL;
	}
#endif
	if (conf->provider == NULL)
		return PST_OK;
	if (!plain(conf->provider) || (conf->path != NULL && !plain(conf->path))) {
		snprintf(err, errlen,
			"provider %s: in its name and path letters, digits and _-./:,+@%%= only",
			conf->provider);
		return PST_INVAL;
	}
	for (unsigned i = 0; i < conf->nsettings; i++)
		if (!plain(conf->settings[i].key) || !plain(conf->settings[i].value)) {
			snprintf(err, errlen,
				"provider %s: setting %s: letters, digits and _-./:,+@%%= only",
				conf->provider, conf->settings[i].key);
			return PST_INVAL;
		}
	return PST_OK;
}

/* ---- engines ---- */

#ifndef OPENSSL_NO_ENGINE

#define METHODS (ENGINE_METHOD_RSA | ENGINE_METHOD_EC | ENGINE_METHOD_PKEY_METHS)

static bool
has_command(ENGINE *e, const char *name)
{
	return ENGINE_ctrl(e, ENGINE_CTRL_GET_CMD_FROM_NAME, 0, (void *)(uintptr_t)name, NULL) > 0;
}

static void
poll_engine(void *arg)
{
	int status = 0;

	if (ENGINE_ctrl_cmd(arg, "POLL", 0, &status, NULL, 1) != 1)
		ERR_clear_error(); /* it has nothing yet, or will say so in the operation */
}

static ENGINE *
load_object(const char *id, const char *path)
{
	ENGINE *e = ENGINE_by_id("dynamic");

	if (e != NULL && ENGINE_ctrl_cmd_string(e, "SO_PATH", path, 0) == 1 &&
		ENGINE_ctrl_cmd_string(e, "ID", id, 0) == 1 &&
		ENGINE_ctrl_cmd_string(e, "LOAD", NULL, 0) == 1)
		return e;
	ENGINE_free(e);
	return NULL;
}

static bool
set_up(struct pst_ossl_named *n, const struct pst_ossl_named_conf *conf, char *err, size_t errlen)
{
	bool polls = has_command(n->engine, "POLL");

	for (unsigned i = 0; i < conf->nsettings; i++) {
		const struct pst_cryptodrv_opt *s = &conf->settings[i];

		if (!has_command(n->engine, s->key))
			return fault(n, err, errlen, "it has no setting %s", s->key);
		if (ENGINE_ctrl_cmd_string(n->engine, s->key, s->value, 0) != 1)
			return fault(
				n, err, errlen, "setting %s: it refused \"%s\"", s->key, s->value);
	}
	if (polls && has_command(n->engine, "ENABLE_EXTERNAL_POLLING") &&
		ENGINE_ctrl_cmd_string(n->engine, "ENABLE_EXTERNAL_POLLING", NULL, 0) != 1)
		return fault(n, err, errlen, "it refused external polling");
	if (ENGINE_init(n->engine) != 1)
		return fault(n, err, errlen, "it did not start");
	if (ENGINE_set_default(n->engine, METHODS) != 1) {
		ENGINE_finish(n->engine);
		return fault(n, err, errlen, "it is not fit to be the default");
	}
	n->named.poll = polls ? poll_engine : NULL;
	n->named.arg = n->engine;
	return true;
}

static bool
open_engine(
	struct pst_ossl_named *n, const struct pst_ossl_named_conf *conf, char *err, size_t errlen)
{
	ENGINE_load_dynamic();
	n->engine = conf->path != NULL ? load_object(conf->engine, conf->path)
				       : ENGINE_by_id(conf->engine);
	if (n->engine == NULL)
		return fault(n, err, errlen, "cannot be loaded%s%s",
			conf->path != NULL ? " from " : "", conf->path != NULL ? conf->path : "");
	if (set_up(n, conf, err, errlen))
		return true;
	ENGINE_free(n->engine);
	n->engine = NULL;
	return false;
}

static void
close_engine(struct pst_ossl_named *n)
{
	if (n->engine == NULL)
		return;
	ENGINE_unregister_RSA(n->engine);
	ENGINE_unregister_EC(n->engine);
	ENGINE_unregister_pkey_meths(n->engine);
	ENGINE_finish(n->engine);
	ENGINE_free(n->engine);
}

#else

/* pst_ossl_named_check has said that there are none. */
static bool
open_engine(
	struct pst_ossl_named *n, const struct pst_ossl_named_conf *conf, char *err, size_t errlen)
{
	return fault(n, err, errlen, "not available");
}

static void
close_engine(struct pst_ossl_named *n)
{
}

#endif

/* ---- providers ---- */

/* The configuration, as openssl.cnf would have it. */
static BIO *
write_conf(const struct pst_ossl_named_conf *conf)
{
	BIO *b = BIO_new(BIO_s_mem());

	if (b == NULL)
		return NULL;
	BIO_printf(b,
		"openssl_conf = all\n[all]\nproviders = list\n[list]\ndefault = usual\n"
		"%s = named\n[usual]\nactivate = 1\n[named]\nidentity = %s\nactivate = 1\n",
		conf->provider, conf->provider);
	if (conf->path != NULL)
		BIO_printf(b, "module = %s\n", conf->path);
	for (unsigned i = 0; i < conf->nsettings; i++)
		BIO_printf(b, "%s = %s\n", conf->settings[i].key, conf->settings[i].value);
	return b;
}

static bool
load_conf(BIO *b)
{
	CONF *c = NCONF_new_ex(NULL, NULL);
	bool ok = b != NULL && c != NULL && NCONF_load_bio(c, b, NULL) > 0 &&
		  CONF_modules_load(c, NULL, 0) > 0;

	NCONF_free(c);
	BIO_free(b);
	return ok;
}

static bool
open_provider(
	struct pst_ossl_named *n, const struct pst_ossl_named_conf *conf, char *err, size_t errlen)
{
	char query[96];

	OPENSSL_load_builtin_modules();
	if (!load_conf(write_conf(conf)) || OSSL_PROVIDER_available(NULL, conf->provider) != 1)
		return fault(n, err, errlen, "cannot be loaded%s%s",
			conf->path != NULL ? " from " : "", conf->path != NULL ? conf->path : "");
	snprintf(query, sizeof(query), "?provider=%s", conf->provider);
	if (EVP_set_default_properties(NULL, query) != 1)
		return fault(n, err, errlen, "cannot be preferred");
	return true;
}

/* ---- life ---- */

struct pst_ossl_named *
pst_ossl_named_open(const struct pst_ossl_named_conf *conf, char *err, size_t errlen)
{
	struct pst_ossl_named *n;

	if (pst_ossl_named_check(conf, err, errlen) != PST_OK)
		return NULL;
	n = calloc(1, sizeof(*n));
	if (n == NULL) {
		snprintf(err, errlen, "out of memory");
		return NULL;
	}
	snprintf(n->name, sizeof(n->name), "%s %s", conf->engine != NULL ? "engine" : "provider",
		conf->engine != NULL ? conf->engine : conf->provider);
	n->named.name = n->name;
	(void)OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
	ERR_clear_error();
	if (conf->engine != NULL ? open_engine(n, conf, err, errlen)
				 : open_provider(n, conf, err, errlen))
		return n;
	free(n);
	return NULL;
}

const struct pst_named *
pst_ossl_named_get(const struct pst_ossl_named *n)
{
	return &n->named;
}

/* A provider stays: OpenSSL's configuration holds it until the process ends. */
void
pst_ossl_named_close(struct pst_ossl_named *n)
{
	if (n == NULL)
		return;
	close_engine(n);
	free(n);
}
