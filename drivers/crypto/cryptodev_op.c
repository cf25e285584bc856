/* SPDX-License-Identifier: BSD-3-Clause */
/* Operations of the back-end `cryptodev`: into the device's slots, and results out of them. */
#include "cryptodev.h"

#include <string.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <rte_mempool.h>

#define BURST   32u
#define SLOT_AT (sizeof(struct rte_crypto_op) + sizeof(struct rte_crypto_asym_op))

static struct slot *
slot_of(struct rte_crypto_op *cop)
{
	return (struct slot *)((uint8_t *)cop + SLOT_AT);
}

static rte_crypto_param
at_slot(struct rte_crypto_op *cop, uint8_t *p, size_t n)
{
	return (rte_crypto_param){.data = p,
		.length = n,
		.iova = rte_mempool_virt2iova(cop) + (rte_iova_t)(p - (uint8_t *)cop)};
}

static void
fill_rsa(struct pst_backend *b, struct rte_crypto_op *cop, struct slot *s, const struct pst_op *op)
{
	struct rte_crypto_rsa_op_param *p = &cop->asym->rsa;
	rte_crypto_param in = at_slot(cop, s->in, op->in_len);
	rte_crypto_param out = at_slot(cop, s->out, op->in_len);

	*p = (struct rte_crypto_rsa_op_param){
		.op_type = b->rsa_op, .padding.type = RTE_CRYPTO_RSA_PADDING_NONE};
	memcpy(s->in, op->in, op->in_len);
	if (b->rsa_op == RTE_CRYPTO_ASYM_OP_SIGN) {
		p->message = in;
		p->sign = out;
	} else {
		p->cipher = in;
		p->message = out;
	}
}

/* Uniform in 1 to order - 1, from a generator of this thread: repeat one and the key is known. */
static bool
draw_nonce(struct pst_backend *b, struct lane *l, struct slot *s, unsigned n)
{
	const BIGNUM *order = b->order[n == 32 ? 0 : 1];
	bool ok;

	do
		ok = BN_priv_rand_range_ex(l->k, order, 0, l->bn) == 1;
	while (ok && BN_is_zero(l->k));
	ok = ok && BN_bn2binpad(l->k, s->nonce, (int)n) == (int)n;
	BN_clear(l->k);
	return ok;
}

static bool
fill_ecdsa(struct pst_backend *b, struct lane *l, struct rte_crypto_op *cop, struct slot *s,
	const struct pst_op *op)
{
	struct rte_crypto_ecdsa_op_param *p = &cop->asym->ecdsa;
	unsigned n = cryptodrv_order_bytes(op->key->group);
	unsigned digest = PST_MIN(op->in_len, n); /* FIPS 186-4, 6.4: the leftmost bits */

	if (op->key->d.len > n || !draw_nonce(b, l, s, n))
		return false;
	memset(s->secret, 0, n);
	memcpy(s->secret + n - op->key->d.len, op->key->d.b, op->key->d.len);
	memcpy(s->in, op->in, digest);
	*p = (struct rte_crypto_ecdsa_op_param){.op_type = RTE_CRYPTO_ASYM_OP_SIGN,
		.pkey = at_slot(cop, s->secret, n),
		.message = at_slot(cop, s->in, digest),
		.k = at_slot(cop, s->nonce, n),
		.r = at_slot(cop, s->out, n),
		.s = at_slot(cop, s->out + n, n)};
	return true;
}

/*
 * False: it is none for the device. Devices differ in what they do with a number above the
 * modulus, so none sees one.
 */
static bool
fill(struct pst_backend *b, unsigned lane, struct rte_crypto_op *cop, struct pst_op *op)
{
	struct slot *s = slot_of(cop);
	const struct dev_key *k;

	if (op->form == PST_FORM_CALL || !cryptodrv_op_fits(op) ||
		atomic_load_explicit(&op->state, memory_order_relaxed) == PST_OP_CANCELLED)
		return false;
	k = op->key->priv[b->conf.index];
	if (k == NULL)
		return false;
	if (op->form == PST_FORM_RSA_PRIV && memcmp(op->in, op->key->n.b, op->in_len) >= 0)
		return false;
	__rte_crypto_op_reset(cop, RTE_CRYPTO_OP_TYPE_ASYMMETRIC);
	cop->sess_type = RTE_CRYPTO_OP_WITH_SESSION;
	s->op = op;
	s->gen = op->gen;
	if (op->form == PST_FORM_RSA_PRIV)
		fill_rsa(b, cop, s, op);
	else if (!fill_ecdsa(b, &b->lanes[lane], cop, s, op))
		return false;
	cop->asym->session = k->session[lane];
	return true;
}

/* The slot is free again, and nothing in it is secret. */
static void
put_slot(struct lane *l, struct rte_crypto_op *cop)
{
	struct slot *s = slot_of(cop);

	OPENSSL_cleanse(s, sizeof(*s));
	l->spare[l->nspare++] = cop;
}

static void
refuse(struct lane *l, struct pst_op *op)
{
	l->refused[l->nrefused++] = (struct pst_op_done){.op = op, .gen = op->gen, .ok = false};
	l->out++;
}

/*
 * How many of n the device has, or has refused. An operation that crypto_openssl cannot do is
 * not taken, like one for which there is no room, and would stand in the way for ever; but
 * its status tells.
 */
static unsigned
enqueue(struct pst_backend *b, unsigned lane, struct rte_crypto_op **cops, unsigned n)
{
	struct lane *l = &b->lanes[lane];
	unsigned at = 0;

	while (at < n) {
		unsigned took = rte_cryptodev_enqueue_burst(
			b->dev, (uint16_t)lane, cops + at, (uint16_t)(n - at));

		l->out += took;
		at += took;
		if (at == n || cops[at]->status == RTE_CRYPTO_OP_STATUS_NOT_PROCESSED)
			break;
		refuse(l, slot_of(cops[at])->op);
		put_slot(l, cops[at++]);
	}
	for (unsigned i = at; i < n; i++)
		put_slot(l, cops[i]);
	return at;
}

unsigned
cryptodev_submit(struct pst_backend *b, unsigned lane, struct pst_op **ops, unsigned n)
{
	struct lane *l = &b->lanes[lane];
	struct rte_crypto_op *cops[BURST];
	unsigned taken = 0;

	ERR_set_mark();
	while (taken < n && l->out < b->room) {
		unsigned want = PST_MIN(PST_MIN(n - taken, BURST), b->room - l->out), k = 0, got;

		while (k < want) {
			cops[k] = l->spare[--l->nspare];
			if (!fill(b, lane, cops[k], ops[taken + k]))
				break;
			k++;
		}
		if (k < want)
			put_slot(l, cops[k]);
		got = enqueue(b, lane, cops, k);
		taken += got;
		if (got < k)
			break;
		if (k < want)
			refuse(l, ops[taken++]);
	}
	ERR_pop_to_mark();
	return taken;
}

/* A device may leave leading zeros out. */
static bool
widen(uint8_t *p, size_t got, size_t n)
{
	if (got == 0 || got > n)
		return false;
	memmove(p + n - got, p, got);
	memset(p, 0, n - got);
	return true;
}

static bool
take_result(const struct pst_backend *b, struct rte_crypto_op *cop, struct slot *s)
{
	struct pst_op *op = s->op;
	const struct rte_crypto_rsa_op_param *rsa = &cop->asym->rsa;
	const struct rte_crypto_ecdsa_op_param *ec = &cop->asym->ecdsa;
	size_t n;

	if (cop->status != RTE_CRYPTO_OP_STATUS_SUCCESS)
		return false;
	if (op->form == PST_FORM_RSA_PRIV) {
		n = op->key->n.len;
		if (!widen(s->out,
			    b->rsa_op == RTE_CRYPTO_ASYM_OP_SIGN ? rsa->sign.length
								 : rsa->message.length,
			    n))
			return false;
	} else {
		n = cryptodrv_order_bytes(op->key->group);
		if (!widen(s->out, ec->r.length, n) || !widen(s->out + n, ec->s.length, n))
			return false;
		n *= 2;
	}
	memcpy(op->out, s->out, n);
	op->out_len = (uint16_t)n;
	return true;
}

static void
count(struct lane *l, bool ok)
{
	l->ops++;
	l->failed += !ok;
	l->out--;
}

unsigned
cryptodev_reap(struct pst_backend *b, unsigned lane, struct pst_op_done *done, unsigned n)
{
	struct lane *l = &b->lanes[lane];
	struct rte_crypto_op *cops[BURST];
	unsigned got = 0, k;

	for (; got < n && l->nrefused > 0; got++) {
		done[got] = l->refused[--l->nrefused];
		done[got].op->error = 0;
		count(l, false);
	}
	if (got == n || l->out == 0)
		return got;
	ERR_set_mark();
	k = rte_cryptodev_dequeue_burst(
		b->dev, (uint16_t)lane, cops, (uint16_t)PST_MIN(n - got, BURST));
	ERR_pop_to_mark();
	for (unsigned i = 0; i < k; i++) {
		struct slot *s = slot_of(cops[i]);
		bool ok = take_result(b, cops[i], s);

		s->op->error = 0;
		done[got++] = (struct pst_op_done){.op = s->op, .gen = s->gen, .ok = ok};
		put_slot(l, cops[i]);
		count(l, ok);
	}
	return got;
}
