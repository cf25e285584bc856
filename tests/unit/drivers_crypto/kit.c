/* SPDX-License-Identifier: BSD-3-Clause */
#include "kit.h"

#include <pst_test.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/rand.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATIENCE_NS (60 * PST_NS_PER_SEC)

void
kit_eal(void)
{
	static const char *const more[] = {"--vdev", "crypto_openssl0", NULL};
	char lcores[32];
	cpu_set_t may;
	unsigned other = 0;

	/* The second one on another CPU if there is one, so that they do run at once. */
	if (sched_getaffinity(0, sizeof(may), &may) == 0 && CPU_ISSET(1, &may))
		other = 1;
	snprintf(lcores, sizeof(lcores), "0@0,1@0,2@%u", other);
	pst_test_eal_with(lcores, more);
}

/* ---- back-ends ---- */

const struct pst_cryptodrv *
rig_driver(const char *name)
{
	for (const struct pst_cryptodrv *const *d = pst_cryptodrvs; *d != NULL; d++)
		if (strcmp((*d)->name, name) == 0)
			return *d;
	cr_assert_fail("no driver %s", name);
	return NULL;
}

static void
count_wake(void *arg, unsigned lane)
{
	struct rig *r = arg;

	atomic_fetch_add(&r->wakes[lane], 1);
}

static void
parse_opts(struct rig *r, const char *opts)
{
	char *text = r->opts = opts == NULL ? NULL : strdup(opts), *save = NULL;

	for (char *w = text == NULL ? NULL : strtok_r(text, " ", &save); w != NULL;
		w = strtok_r(NULL, " ", &save)) {
		char *eq = strchr(w, '=');

		*eq = '\0';
		r->conf.opts[r->conf.nopts++] = (struct pst_cryptodrv_opt){w, eq + 1};
	}
}

static struct rig *
open_one(const char *name, struct rig *inner, unsigned depth, bool adaptive, const char *opts)
{
	static const unsigned lcores[] = {1, 2};
	static unsigned index;
	struct rig *r = calloc(1, sizeof(*r));
	struct pst_cryptodrv_env env = {.arg = r, .wake = count_wake, .adaptive_idle = adaptive};
	char err[256] = "";

	r->drv = rig_driver(name);
	r->inner = inner;
	r->conf = (struct pst_cryptodrv_conf){.name = name,
		.index = index++ % 8,
		.nlanes = KIT_LANES,
		.depth = depth,
		.nlcores = r->drv->needs_lcores ? 2 : 0,
		.lcores = lcores};
	if (inner != NULL) {
		r->conf.inner_drv = inner->drv;
		r->conf.inner = inner->b;
	}
	parse_opts(r,
		strcmp(name, "cryptodev") == 0 && opts == NULL ? "device=crypto_openssl0" : opts);
	cr_assert_eq(r->drv->check(&r->conf, err, sizeof(err)), PST_OK, "%s", err);
	r->b = r->drv->open(&r->conf, &env, err, sizeof(err));
	cr_assert_not_null(r->b, "%s", err);
	return r;
}

struct rig *
rig_open(const char *what, unsigned depth, bool adaptive, const char *opts)
{
	const char *around = strstr(what, " around ");
	struct rig *inner = NULL;
	char name[32];

	if (around == NULL)
		return open_one(what, NULL, depth, adaptive, opts);
	inner = open_one(around + 8, NULL, depth, adaptive, NULL);
	snprintf(name, sizeof(name), "%.*s", (int)(around - what), what);
	return open_one(name, inner, depth, adaptive, opts);
}

void
rig_close(struct rig *r)
{
	r->drv->close(r->b);
	if (r->inner != NULL)
		rig_close(r->inner);
	free(r->opts);
	free(r);
}

/* ---- keys ---- */

static void
number(EVP_PKEY *pkey, const char *param, size_t len, struct pst_op_number *out)
{
	BIGNUM *bn = NULL;
	int n;

	cr_assert_eq(EVP_PKEY_get_bn_param(pkey, param, &bn), 1, "%s", param);
	n = len == 0 ? BN_num_bytes(bn) : (int)len;
	cr_assert_eq(BN_bn2binpad(bn, out->b, n), n, "%s", param);
	out->len = (uint16_t)n;
	BN_clear_free(bn);
}

struct key *
key_new(const char *kind)
{
	struct key *k = calloc(1, sizeof(*k));
	struct pst_op_key *m = &k->nums;

	if (strncmp(kind, "rsa", 3) == 0) {
		k->pkey = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)atoi(kind + 3));
		cr_assert_not_null(k->pkey);
		m->form = PST_FORM_RSA_PRIV;
		m->bits = (uint16_t)EVP_PKEY_get_bits(k->pkey);
		number(k->pkey, OSSL_PKEY_PARAM_RSA_N, m->bits / 8, &m->n);
		number(k->pkey, OSSL_PKEY_PARAM_RSA_E, 0, &m->e);
		number(k->pkey, OSSL_PKEY_PARAM_RSA_D, m->bits / 8, &m->d);
		number(k->pkey, OSSL_PKEY_PARAM_RSA_FACTOR1, m->bits / 16, &m->p);
		number(k->pkey, OSSL_PKEY_PARAM_RSA_FACTOR2, m->bits / 16, &m->q);
		number(k->pkey, OSSL_PKEY_PARAM_RSA_EXPONENT1, m->bits / 16, &m->dp);
		number(k->pkey, OSSL_PKEY_PARAM_RSA_EXPONENT2, m->bits / 16, &m->dq);
		number(k->pkey, OSSL_PKEY_PARAM_RSA_COEFFICIENT1, m->bits / 16, &m->qinv);
		return k;
	}
	bool p256 = strcmp(kind, "p256") == 0;
	k->pkey = EVP_PKEY_Q_keygen(NULL, NULL, "EC", p256 ? "P-256" : "P-384");
	cr_assert_not_null(k->pkey);
	m->form = PST_FORM_ECDSA_SIGN;
	m->group = p256 ? PST_GROUP_P256 : PST_GROUP_P384;
	m->bits = p256 ? 256 : 384;
	number(k->pkey, OSSL_PKEY_PARAM_PRIV_KEY, m->bits / 8, &m->d);
	number(k->pkey, OSSL_PKEY_PARAM_EC_PUB_X, m->bits / 8, &m->x);
	number(k->pkey, OSSL_PKEY_PARAM_EC_PUB_Y, m->bits / 8, &m->y);
	return k;
}

void
key_free(struct key *k)
{
	EVP_PKEY_free(k->pkey);
	free(k);
}

/* Of LeakSanitizer, where there is one. */
__attribute__((weak)) void __lsan_disable(void);
__attribute__((weak)) void __lsan_enable(void);

/* crypto_openssl of 22.11 never frees the key of a session: not ours to report. */
bool
key_add(struct rig *r, struct key *k)
{
	bool leaks = strcmp(r->drv->name, "cryptodev") == 0 ||
		     (r->inner != NULL && strcmp(r->inner->drv->name, "cryptodev") == 0);
	bool ok;

	if (leaks && __lsan_disable != NULL)
		__lsan_disable();
	ok = r->drv->key_add(r->b, &k->nums);
	if (leaks && __lsan_enable != NULL)
		__lsan_enable();
	return ok;
}

void
key_del(struct rig *r, struct key *k)
{
	r->drv->key_del(r->b, &k->nums);
	cr_expect_null(k->nums.priv[r->conf.index]);
	if (r->inner != NULL)
		key_del(r->inner, k);
}

/* ---- operations ---- */

struct pst_op *
op_new(struct key *k, const void *in, size_t n)
{
	static _Atomic uint32_t gen = 1;
	struct pst_op *op = calloc(1, sizeof(*op));

	op->gen = atomic_fetch_add(&gen, 1);
	atomic_store(&op->state, PST_OP_QUEUED);
	op->deadline_ns = pst_now_ns() + 5 * PST_NS_PER_MS;
	op->key = k != NULL ? &k->nums : NULL;
	op->form = k != NULL ? (uint8_t)k->nums.form : PST_FORM_CALL;
	op->kind = op->form == PST_FORM_ECDSA_SIGN ? PST_OP_ECDSA_SIGN : PST_OP_RSA_SIGN;
	op->group = k != NULL ? (uint8_t)k->nums.group : PST_GROUP_NONE;
	op->bits = k != NULL ? k->nums.bits : 0;
	op->in_len = (uint16_t)n;
	if (n > 0)
		memcpy(op->in, in, n);
	memset(op->out, 0xee, sizeof(op->out));
	return op;
}

struct pst_op *
op_call(int (*call)(void *), void *arg)
{
	struct pst_op *op = op_new(NULL, NULL, 0);

	op->call = call;
	op->arg = arg;
	return op;
}

void
op_free(struct pst_op *op)
{
	free(op);
}

void
random_below(const struct key *k, unsigned zeros, uint8_t *out)
{
	BIGNUM *n = BN_bin2bn(k->nums.n.b, k->nums.n.len, NULL), *v = BN_new();

	cr_assert_eq(BN_rshift(n, n, (int)zeros * 8), 1);
	cr_assert_eq(BN_rand_range(v, n), 1);
	cr_assert_eq(BN_bn2binpad(v, out, k->nums.n.len), k->nums.n.len);
	BN_free(n);
	BN_free(v);
}

void
input_for(const struct key *k, const uint8_t *m, uint8_t *in)
{
	const struct pst_op_key *nums = &k->nums;
	BIGNUM *n = BN_bin2bn(nums->n.b, nums->n.len, NULL);
	BIGNUM *e = BN_bin2bn(nums->e.b, nums->e.len, NULL);
	BIGNUM *v = BN_bin2bn(m, nums->n.len, NULL);
	BN_CTX *ctx = BN_CTX_new();

	cr_assert_eq(BN_mod_exp(v, v, e, n, ctx), 1);
	cr_assert_eq(BN_bn2binpad(v, in, nums->n.len), nums->n.len);
	BN_CTX_free(ctx);
	BN_free(n);
	BN_free(e);
	BN_free(v);
}

static bool
rsa_is_right(const struct key *k, const struct pst_op *op)
{
	const struct pst_op_key *m = &k->nums;
	BIGNUM *n = BN_bin2bn(m->n.b, m->n.len, NULL), *d = BN_bin2bn(m->d.b, m->d.len, NULL);
	BIGNUM *v = BN_bin2bn(op->in, op->in_len, NULL), *want = BN_new();
	BN_CTX *ctx = BN_CTX_new();
	uint8_t bytes[PST_OP_BYTES];

	cr_assert_eq(BN_mod_exp(want, v, d, n, ctx), 1);
	cr_assert_eq(BN_bn2binpad(want, bytes, m->n.len), m->n.len);
	BN_CTX_free(ctx);
	BN_free(n);
	BN_free(d);
	BN_free(v);
	BN_free(want);
	return op->out_len == m->n.len && memcmp(op->out, bytes, m->n.len) == 0;
}

static bool
ecdsa_is_right(const struct key *k, const struct pst_op *op)
{
	int n = k->nums.bits / 8;
	ECDSA_SIG *sig = ECDSA_SIG_new();
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(k->pkey, NULL);
	uint8_t *der = NULL;
	int der_len;
	bool ok;

	cr_assert_eq(
		ECDSA_SIG_set0(sig, BN_bin2bn(op->out, n, NULL), BN_bin2bn(op->out + n, n, NULL)),
		1);
	der_len = i2d_ECDSA_SIG(sig, &der);
	cr_assert(der_len > 0 && EVP_PKEY_verify_init(ctx) == 1);
	ok = op->out_len == 2 * n &&
	     EVP_PKEY_verify(ctx, der, (size_t)der_len, op->in, op->in_len) == 1;
	OPENSSL_free(der);
	ECDSA_SIG_free(sig);
	EVP_PKEY_CTX_free(ctx);
	return ok;
}

bool
is_right(const struct key *k, const struct pst_op *op)
{
	return op->form == PST_FORM_RSA_PRIV ? rsa_is_right(k, op) : ecdsa_is_right(k, op);
}

void
submit_all(struct rig *r, unsigned lane, struct pst_op **ops, unsigned n)
{
	uint64_t until = pst_now_ns() + PATIENCE_NS;

	for (unsigned at = 0; at < n;) {
		at += r->drv->submit(r->b, lane, ops + at, n - at);
		cr_assert(at <= n && pst_now_ns() < until);
	}
	if (r->drv->flush != NULL)
		r->drv->flush(r->b, lane);
}

void
run_all(struct rig *r, unsigned lane, struct pst_op **ops, unsigned n, bool *ok)
{
	uint64_t until = pst_now_ns() + PATIENCE_NS;
	unsigned char seen[1024] = {0};
	struct pst_op_done done[16];
	unsigned given = 0, back = 0;

	cr_assert(n <= sizeof(seen));
	while (back < n) {
		if (given < n)
			given += r->drv->submit(r->b, lane, ops + given, n - given);
		if (r->drv->flush != NULL)
			r->drv->flush(r->b, lane);
		unsigned got = r->drv->reap(r->b, lane, done, PST_COUNT(done));
		for (unsigned i = 0; i < got; i++) {
			unsigned k = 0;

			while (k < n && ops[k] != done[i].op)
				k++;
			cr_assert(k < n, "a stranger came back");
			cr_assert_eq(seen[k]++, 0, "%u came back twice", k);
			cr_expect_eq(done[i].gen, ops[k]->gen);
			ok[k] = done[i].ok;
		}
		back += got;
		cr_assert(pst_now_ns() < until, "%u of %u came back", back, n);
		if (got == 0)
			sched_yield();
	}
	cr_expect_eq(r->drv->reap(r->b, lane, done, PST_COUNT(done)), 0);
}
