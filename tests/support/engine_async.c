/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An OpenSSL engine, as a shared object, whose RSA and ECDSA private operations pause. What
 * they compute is OpenSSL's own.
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "pausing.h"
#include <openssl/ec.h>
#include <openssl/engine.h>
#include <openssl/err.h>
#include <openssl/rsa.h>
#include <stdlib.h>

enum {
	CMD_MODE = ENGINE_CMD_BASE,
	CMD_DELAY,
	CMD_FAIL,
	CMD_POLL,
	CMD_EXTERNAL,
	CMD_RELEASE,
	CMD_BROKEN
};

static const ENGINE_CMD_DEFN commands[] = {
	{CMD_MODE, "MODE", "thread, poll, silent or twice", ENGINE_CMD_FLAG_STRING},
	{CMD_DELAY, "DELAY_US", "microseconds", ENGINE_CMD_FLAG_NUMERIC},
	{CMD_FAIL, "FAIL", "each so-manieth operation fails", ENGINE_CMD_FLAG_NUMERIC},
	{CMD_POLL, "POLL", "answers", ENGINE_CMD_FLAG_NO_INPUT},
	{CMD_EXTERNAL, "ENABLE_EXTERNAL_POLLING", "before it starts", ENGINE_CMD_FLAG_NO_INPUT},
	{CMD_RELEASE, "RELEASE", "answers what is held", ENGINE_CMD_FLAG_NO_INPUT},
	{CMD_BROKEN, "BROKEN", "it will not start", ENGINE_CMD_FLAG_NO_INPUT},
	{0, NULL, NULL, 0},
};

static RSA_METHOD *rsa;
static EC_KEY_METHOD *ec;
static bool started, broken;
static int (*ec_sign)(int, const unsigned char *, int, unsigned char *, unsigned *, const BIGNUM *,
	const BIGNUM *, EC_KEY *);

static int
priv_enc(int n, const unsigned char *from, unsigned char *to, RSA *key, int padding)
{
	return pausing_wait()
		       ? RSA_meth_get_priv_enc(RSA_PKCS1_OpenSSL())(n, from, to, key, padding)
		       : -1;
}

static int
priv_dec(int n, const unsigned char *from, unsigned char *to, RSA *key, int padding)
{
	return pausing_wait()
		       ? RSA_meth_get_priv_dec(RSA_PKCS1_OpenSSL())(n, from, to, key, padding)
		       : -1;
}

static int
sign(int type, const unsigned char *md, int n, unsigned char *sig, unsigned *len,
	const BIGNUM *kinv, const BIGNUM *r, EC_KEY *key)
{
	if (sig == NULL)
		return ec_sign(type, md, n, sig, len, kinv, r, key);
	return pausing_wait() ? ec_sign(type, md, n, sig, len, kinv, r, key) : 0;
}

static int
init(ENGINE *e)
{
	started = true;
	return !broken && pausing_start();
}

static int
finish(ENGINE *e)
{
	pausing_stop();
	return 1;
}

static int
control(ENGINE *e, int cmd, long i, void *p, void (*f)(void))
{
	switch (cmd) {
	case CMD_MODE:
		return pausing_set_mode(p);
	case CMD_DELAY:
		pausing_set_delay((unsigned)i);
		return 1;
	case CMD_FAIL:
		pausing_set_fail((unsigned)i);
		return 1;
	case CMD_POLL:
		pausing_poll();
		return 1;
	case CMD_EXTERNAL:
		return !started;
	case CMD_RELEASE:
		pausing_release();
		return 1;
	case CMD_BROKEN:
		broken = true;
		return 1;
	}
	return 0;
}

static int
destroy(ENGINE *e)
{
	RSA_meth_free(rsa);
	EC_KEY_METHOD_free(ec);
	return 1;
}

static int
bind(ENGINE *e, const char *id)
{
	int (*setup)(EC_KEY *, BN_CTX *, BIGNUM **, BIGNUM **);
	ECDSA_SIG *(*sig)(const unsigned char *, int, const BIGNUM *, const BIGNUM *, EC_KEY *);

	rsa = RSA_meth_dup(RSA_PKCS1_OpenSSL());
	ec = EC_KEY_METHOD_new(EC_KEY_OpenSSL());
	if (rsa == NULL || ec == NULL)
		return 0;
	EC_KEY_METHOD_get_sign(ec, &ec_sign, &setup, &sig);
	EC_KEY_METHOD_set_sign(ec, sign, setup, sig);
	return RSA_meth_set_priv_enc(rsa, priv_enc) && RSA_meth_set_priv_dec(rsa, priv_dec) &&
	       ENGINE_set_id(e, "pst-async") && ENGINE_set_name(e, "pauses in signatures") &&
	       ENGINE_set_RSA(e, rsa) && ENGINE_set_EC(e, ec) &&
	       ENGINE_set_init_function(e, init) && ENGINE_set_finish_function(e, finish) &&
	       ENGINE_set_destroy_function(e, destroy) && ENGINE_set_ctrl_function(e, control) &&
	       ENGINE_set_cmd_defns(e, commands);
}

IMPLEMENT_DYNAMIC_CHECK_FN()
IMPLEMENT_DYNAMIC_BIND_FN(bind)
