/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cryptodev on a device that does what the API allows and crypto_openssl does not: elliptic
 * curves, results without their leading zeros, completions later and in another order, failures
 * on the way back. The model stands where the device's functions would; it works with what it
 * is given in the operation alone, so a parameter that is wrong gives a wrong signature.
 */
#include "kit.h"

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/obj_mac.h>
#include <openssl/rand.h>
#include <rte_cryptodev.h>
#include <stdlib.h>
#include <string.h>

#define QUEUE 64

static struct {
	bool on, no_qt, only_decrypt;
	unsigned room;       /* of the queue; 0: QUEUE */
	unsigned fail_every; /* completions with an error */
	struct rte_crypto_op *queue[QUEUE];
	unsigned n, done, sessions;
} model;

struct session {
	struct rte_crypto_asym_xform x;
	uint8_t bytes[8][PST_OP_BYTES]; /* a copy: ours goes when the session is made */
	unsigned used;
};

/* ---- instead of the library's ---- */

const struct rte_cryptodev_asymmetric_xform_capability *__real_rte_cryptodev_asym_capability_get(
	uint8_t dev_id, const struct rte_cryptodev_asym_capability_idx *idx);
const struct rte_cryptodev_asymmetric_xform_capability *__wrap_rte_cryptodev_asym_capability_get(
	uint8_t dev_id, const struct rte_cryptodev_asym_capability_idx *idx);
int __real_rte_cryptodev_asym_session_create(uint8_t dev_id, struct rte_crypto_asym_xform *xforms,
	struct rte_mempool *mp, void **session);
int __wrap_rte_cryptodev_asym_session_create(uint8_t dev_id, struct rte_crypto_asym_xform *xforms,
	struct rte_mempool *mp, void **session);
int __real_rte_cryptodev_asym_session_free(uint8_t dev_id, void *sess);
int __wrap_rte_cryptodev_asym_session_free(uint8_t dev_id, void *sess);
void __real_rte_cryptodev_info_get(uint8_t dev_id, struct rte_cryptodev_info *info);
void __wrap_rte_cryptodev_info_get(uint8_t dev_id, struct rte_cryptodev_info *info);

const struct rte_cryptodev_asymmetric_xform_capability *
__wrap_rte_cryptodev_asym_capability_get(
	uint8_t dev_id, const struct rte_cryptodev_asym_capability_idx *idx)
{
	static struct rte_cryptodev_asymmetric_xform_capability ec = {
		.xform_type = RTE_CRYPTO_ASYM_XFORM_ECDSA,
		.op_types = 1u << RTE_CRYPTO_ASYM_OP_SIGN};
	static struct rte_cryptodev_asymmetric_xform_capability rsa = {
		.xform_type = RTE_CRYPTO_ASYM_XFORM_RSA, .modlen = {64, 512, 64}};

	if (!model.on)
		return __real_rte_cryptodev_asym_capability_get(dev_id, idx);
	rsa.op_types = 1u << RTE_CRYPTO_ASYM_OP_DECRYPT |
		       (model.only_decrypt ? 0u : 1u << RTE_CRYPTO_ASYM_OP_SIGN);
	return idx->type == RTE_CRYPTO_ASYM_XFORM_RSA
		       ? &rsa
		       : (idx->type == RTE_CRYPTO_ASYM_XFORM_ECDSA ? &ec : NULL);
}

void
__wrap_rte_cryptodev_info_get(uint8_t dev_id, struct rte_cryptodev_info *info)
{
	__real_rte_cryptodev_info_get(dev_id, info);
	if (model.on && model.no_qt)
		info->feature_flags &= ~RTE_CRYPTODEV_FF_RSA_PRIV_OP_KEY_QT;
}

static void
keep(struct session *s, rte_crypto_param *p)
{
	cr_assert(p->data != NULL && p->length > 0 && p->length <= PST_OP_BYTES);
	memcpy(s->bytes[s->used], p->data, p->length);
	p->data = s->bytes[s->used++];
}

int
__wrap_rte_cryptodev_asym_session_create(
	uint8_t dev_id, struct rte_crypto_asym_xform *x, struct rte_mempool *mp, void **session)
{
	struct session *s;

	if (!model.on)
		return __real_rte_cryptodev_asym_session_create(dev_id, x, mp, session);
	s = calloc(1, sizeof(*s));
	s->x = *x;
	if (x->xform_type == RTE_CRYPTO_ASYM_XFORM_RSA) {
		keep(s, &s->x.rsa.n);
		keep(s, &s->x.rsa.e);
		cr_expect_eq(x->rsa.key_type == RTE_RSA_KEY_TYPE_EXP, model.no_qt);
		if (x->rsa.key_type == RTE_RSA_KEY_TYPE_EXP) {
			keep(s, &s->x.rsa.d);
		} else {
			keep(s, &s->x.rsa.qt.p);
			keep(s, &s->x.rsa.qt.q);
			keep(s, &s->x.rsa.qt.dP);
			keep(s, &s->x.rsa.qt.dQ);
			keep(s, &s->x.rsa.qt.qInv);
		}
	}
	model.sessions++;
	*session = s;
	return 0;
}

int
__wrap_rte_cryptodev_asym_session_free(uint8_t dev_id, void *sess)
{
	if (!model.on)
		return __real_rte_cryptodev_asym_session_free(dev_id, sess);
	model.sessions--;
	free(sess);
	return 0;
}

/* ---- the arithmetic ---- */

static BIGNUM *
number(const rte_crypto_param *p)
{
	return BN_bin2bn(p->data, (int)p->length, NULL);
}

/* As short as it goes. */
static void
answer(rte_crypto_param *out, const BIGNUM *v)
{
	out->length = (size_t)BN_bn2bin(v, out->data);
	if (out->length == 0)
		out->data[out->length++] = 0;
}

static void
do_rsa(const struct session *s, struct rte_crypto_rsa_op_param *op)
{
	const struct rte_crypto_rsa_xform *x = &s->x.rsa;
	rte_crypto_param *in = model.only_decrypt ? &op->cipher : &op->message;
	rte_crypto_param *out = model.only_decrypt ? &op->message : &op->sign;
	BIGNUM *c = number(in), *n = number(&x->n), *r = BN_new();
	BN_CTX *ctx = BN_CTX_new();

	cr_expect_eq(op->op_type,
		model.only_decrypt ? RTE_CRYPTO_ASYM_OP_DECRYPT : RTE_CRYPTO_ASYM_OP_SIGN);
	cr_expect_eq(op->padding.type, RTE_CRYPTO_RSA_PADDING_NONE);
	cr_expect(in->length == x->n.length && BN_cmp(c, n) < 0);
	if (x->key_type == RTE_RSA_KEY_TYPE_EXP) {
		BIGNUM *d = number(&x->d);

		BN_mod_exp(r, c, d, n, ctx);
		BN_free(d);
	} else {
		BIGNUM *p = number(&x->qt.p), *q = number(&x->qt.q), *m1 = BN_new();
		BIGNUM *dp = number(&x->qt.dP), *dq = number(&x->qt.dQ), *m2 = BN_new();
		BIGNUM *qinv = number(&x->qt.qInv);

		BN_mod_exp(m1, c, dp, p, ctx);
		BN_mod_exp(m2, c, dq, q, ctx);
		BN_mod_sub(m1, m1, m2, p, ctx);
		BN_mod_mul(m1, m1, qinv, p, ctx);
		BN_mul(r, m1, q, ctx);
		BN_add(r, r, m2);
		BN_free(p);
		BN_free(q);
		BN_free(dp);
		BN_free(dq);
		BN_free(qinv);
		BN_free(m1);
		BN_free(m2);
	}
	answer(out, r);
	BN_CTX_free(ctx);
	BN_free(c);
	BN_free(n);
	BN_free(r);
}

/* FIPS 186-4, 6.4, with the k that is in the operation. */
static void
do_ecdsa(const struct session *s, struct rte_crypto_ecdsa_op_param *op)
{
	bool p256 = s->x.ec.curve_id == RTE_CRYPTO_EC_GROUP_SECP256R1;
	EC_GROUP *g = EC_GROUP_new_by_curve_name(p256 ? NID_X9_62_prime256v1 : NID_secp384r1);
	const BIGNUM *order = EC_GROUP_get0_order(g);
	size_t n = p256 ? 32 : 48;
	BN_CTX *ctx = BN_CTX_new();
	EC_POINT *point = EC_POINT_new(g);
	BIGNUM *k = number(&op->k), *d = number(&op->pkey), *z = number(&op->message);
	BIGNUM *r = BN_new(), *sig = BN_new();

	cr_expect(p256 || s->x.ec.curve_id == RTE_CRYPTO_EC_GROUP_SECP384R1);
	cr_expect(op->k.length == n && op->pkey.length == n && op->message.length <= n);
	cr_expect(!BN_is_zero(k) && BN_cmp(k, order) < 0);
	EC_POINT_mul(g, point, k, NULL, NULL, ctx);
	EC_POINT_get_affine_coordinates(g, point, r, NULL, ctx);
	BN_nnmod(r, r, order, ctx);
	BN_mod_mul(sig, r, d, order, ctx);
	BN_mod_add(sig, sig, z, order, ctx);
	BN_mod_inverse(k, k, order, ctx);
	BN_mod_mul(sig, sig, k, order, ctx);
	answer(&op->r, r);
	answer(&op->s, sig);
	BN_free(k);
	BN_free(d);
	BN_free(z);
	BN_free(r);
	BN_free(sig);
	EC_POINT_free(point);
	EC_GROUP_free(g);
	BN_CTX_free(ctx);
}

/* ---- the queue pair ---- */

static uint16_t
model_enqueue(void *qp, struct rte_crypto_op **ops, uint16_t n)
{
	unsigned room = model.room == 0 ? QUEUE : model.room;
	uint16_t i;

	for (i = 0; i < n && model.n < room; i++) {
		cr_expect_eq(ops[i]->type, RTE_CRYPTO_OP_TYPE_ASYMMETRIC);
		cr_expect_eq(ops[i]->sess_type, RTE_CRYPTO_OP_WITH_SESSION);
		model.queue[model.n++] = ops[i];
	}
	return i;
}

/* The last one first, three at a time. */
static uint16_t
model_dequeue(void *qp, struct rte_crypto_op **ops, uint16_t n)
{
	uint16_t i;

	for (i = 0; i < n && i < 3 && model.n > 0; i++) {
		struct rte_crypto_op *op = model.queue[--model.n];
		const struct session *s = (const struct session *)op->asym->session;

		if (model.fail_every != 0 && ++model.done % model.fail_every == 0) {
			op->status = RTE_CRYPTO_OP_STATUS_ERROR;
		} else {
			if (s->x.xform_type == RTE_CRYPTO_ASYM_XFORM_RSA)
				do_rsa(s, &op->asym->rsa);
			else
				do_ecdsa(s, &op->asym->ecdsa);
			op->status = RTE_CRYPTO_OP_STATUS_SUCCESS;
		}
		ops[i] = op;
	}
	return i;
}

static struct rig *
model_open(void)
{
	struct rig *r;
	int dev = rte_cryptodev_get_dev_id("crypto_openssl0");

	cr_assert_geq(dev, 0);
	model.on = true;
	r = rig_open("cryptodev", KIT_DEPTH, true, NULL);
	rte_crypto_fp_ops[dev].enqueue_burst = model_enqueue;
	rte_crypto_fp_ops[dev].dequeue_burst = model_dequeue;
	return r;
}

TestSuite(model, .init = kit_eal, .timeout = 300);

static unsigned
sign(struct rig *r, struct key *k, unsigned n, unsigned digest)
{
	struct pst_op *ops[64];
	uint8_t in[PST_OP_BYTES], result[PST_OP_BYTES];
	unsigned short_ones = 0;
	bool ok[64];

	for (unsigned i = 0; i < n; i++) {
		if (k->nums.form == PST_FORM_RSA_PRIV) {
			random_below(k, i % 2, result);
			input_for(k, result, in);
		} else {
			RAND_bytes(in, (int)digest);
		}
		ops[i] = op_new(k, in, digest);
	}
	run_all(r, 0, ops, n, ok);
	for (unsigned i = 0; i < n; i++) {
		cr_expect(ok[i] && is_right(k, ops[i]), "%u", i);
		short_ones += ops[i]->out[0] == 0 || ops[i]->out[k->nums.bits / 8] == 0;
		op_free(ops[i]);
	}
	return short_ones;
}

Test(model, ecdsa_has_all_that_a_device_needs)
{
	static const char *const kinds[] = {"p256", "p384"};
	struct rig *r = model_open();
	unsigned short_ones = 0;

	for (unsigned i = 0; i < 2; i++) {
		struct key *k = key_new(kinds[i]);
		unsigned order = k->nums.bits / 8;

		cr_assert(r->drv->can(
			r->b, PST_OP_ECDSA_SIGN, PST_FORM_ECDSA_SIGN, k->nums.group, k->nums.bits));
		cr_assert(key_add(r, k));
		cr_expect_eq(model.sessions, KIT_LANES);
		/* Numbers with leading zeros come one in 128. */
		for (unsigned round = 0; round < 16; round++)
			short_ones += sign(r, k, 64, order);
		for (unsigned n = 1; n <= 64; n += 9)
			sign(r, k, 2, n);
		key_del(r, k);
		cr_expect_eq(model.sessions, 0);
		key_free(k);
	}
	cr_expect_gt(short_ones, 0);
	rig_close(r);
}

/* Sign or decrypt, five numbers or the exponent: what the device has. */
Test(model, rsa_goes_the_way_that_the_device_has)
{
	for (unsigned way = 0; way < 4; way++) {
		struct key *k = key_new("rsa1024");
		struct rig *r;

		model.only_decrypt = way & 1;
		model.no_qt = (way & 2) != 0;
		r = model_open();
		cr_expect(r->drv->can(
			r->b, PST_OP_RSA_SIGN, PST_FORM_RSA_PRIV, PST_GROUP_NONE, 2048));
		cr_expect_not(
			r->drv->can(r->b, PST_OP_RSA_SIGN, PST_FORM_RSA_PRIV, PST_GROUP_NONE, 2056),
			"no multiple of 64 bytes");
		cr_assert(key_add(r, k));
		cr_expect_gt(sign(r, k, 64, 128), 20, "leading zeros");
		key_del(r, k);
		key_free(k);
		rig_close(r);
	}
}

Test(model, small_queues_and_failures_on_the_way_back)
{
	struct rig *r = model_open();
	struct key *k = key_new("p256");
	struct pst_op *ops[64];
	struct pst_cryptodrv_stats s;
	unsigned failed = 0;
	uint8_t in[32];
	bool ok[64];

	model.room = 5;
	model.fail_every = 4;
	cr_assert(key_add(r, k));
	for (unsigned i = 0; i < 64; i++) {
		RAND_bytes(in, 32);
		ops[i] = op_new(k, in, 32);
	}
	run_all(r, 0, ops, 64, ok);
	for (unsigned i = 0; i < 64; i++) {
		failed += !ok[i];
		cr_expect(ok[i] ? is_right(k, ops[i]) : ops[i]->out[0] == 0xee);
		op_free(ops[i]);
	}
	cr_expect_eq(failed, 16);
	r->drv->stats(r->b, &s);
	cr_expect(s.ops == 64 && s.failed == 16 && s.out == 0);
	key_del(r, k);
	key_free(k);
	rig_close(r);
}

/* No secret stays where the device could still read it. */
Test(model, slots_are_wiped_when_the_operation_is_done)
{
	struct rig *r = model_open();
	struct key *k = key_new("p384");
	struct pst_op_done done[4];
	struct rte_crypto_op *cop;
	uint8_t in[48];
	struct pst_op *op;
	const uint8_t *secret, *nonce, *out;
	static const uint8_t zero[48];

	cr_assert(key_add(r, k));
	RAND_bytes(in, 48);
	op = op_new(k, in, 48);
	submit_all(r, 0, &op, 1);
	cop = model.queue[0];
	secret = cop->asym->ecdsa.pkey.data;
	nonce = cop->asym->ecdsa.k.data;
	out = cop->asym->ecdsa.r.data;
	cr_expect_eq(memcmp(secret, k->nums.d.b, 48), 0);
	cr_expect_neq(memcmp(nonce, zero, 48), 0);
	cr_expect_eq(r->drv->reap(r->b, 0, done, 4), 1);
	cr_expect(done[0].ok && is_right(k, op));
	cr_expect_eq(memcmp(secret, zero, 48), 0);
	cr_expect_eq(memcmp(nonce, zero, 48), 0);
	cr_expect_eq(memcmp(out, zero, 48), 0);
	op_free(op);
	key_del(r, k);
	key_free(k);
	rig_close(r);
}

/* Software devices keep scratch memory in them, and lanes are threads. */
Test(model, each_lane_has_a_session_of_its_own)
{
	struct rig *r = model_open();
	struct key *k = key_new("p256");
	struct pst_op *ops[KIT_LANES];
	struct rte_crypto_op *cops[KIT_LANES];
	struct pst_op_done done[4];
	uint8_t in[32] = {1};

	cr_assert(key_add(r, k));
	for (unsigned i = 0; i < KIT_LANES; i++) {
		ops[i] = op_new(k, in, 32);
		submit_all(r, i, &ops[i], 1);
		for (unsigned n = 0; n < i; n++)
			cr_expect_neq(cops[n]->asym->session, model.queue[i]->asym->session);
		cops[i] = model.queue[i];
	}
	for (unsigned i = 0; i < KIT_LANES; i++) { /* the model has one queue for all */
		model.n = 1;
		model.queue[0] = cops[i];
		cr_expect_eq(r->drv->reap(r->b, i, done, 4), 1);
		op_free(ops[i]);
	}
	key_del(r, k);
	key_free(k);
	rig_close(r);
}
