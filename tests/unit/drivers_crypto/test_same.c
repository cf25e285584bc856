/* SPDX-License-Identifier: BSD-3-Clause */
/* Every back-end gives OpenSSL's answers: random inputs, edges, batches, bad ones among good. */
#include "kit.h"

#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <string.h>

TestSuite(same, .init = kit_eal, .timeout = 300);

static const char *const cpus[] = {"sync", "lcore", "fault around sync", "fault around lcore"};
static const char *const all[] = {"sync", "lcore", "cryptodev", "fault around sync",
	"fault around lcore", "fault around cryptodev"};

static bool
do_rsa(struct rig *r, struct key *k, const uint8_t *in)
{
	struct pst_op *op = op_new(k, in, k->nums.n.len);
	bool ok;

	run_all(r, 0, &op, 1, &ok);
	if (ok)
		cr_expect(is_right(k, op), "%s", r->drv->name);
	op_free(op);
	return ok;
}

/* n plus so much; the modulus' length. */
static void
near_n(const struct key *k, int plus, uint8_t *out)
{
	BIGNUM *n = BN_bin2bn(k->nums.n.b, k->nums.n.len, NULL);

	cr_assert_eq(
		plus < 0 ? BN_sub_word(n, (BN_ULONG)-plus) : BN_add_word(n, (BN_ULONG)plus), 1);
	cr_assert_eq(BN_bn2binpad(n, out, k->nums.n.len), k->nums.n.len);
	BN_free(n);
}

static void
rsa_edges(const char *what, struct key *k)
{
	struct rig *r = rig_open(what, KIT_DEPTH, true, NULL);
	uint8_t in[PST_OP_BYTES] = {0}, m[PST_OP_BYTES];
	unsigned n = k->nums.n.len;

	cr_assert(r->drv->can(
		r->b, PST_OP_RSA_SIGN, PST_FORM_RSA_PRIV, PST_GROUP_NONE, k->nums.bits));
	cr_assert(key_add(r, k));
	cr_assert(key_add(r, k), "a key that is there");
	cr_expect(do_rsa(r, k, in), "0");
	in[n - 1] = 1;
	cr_expect(do_rsa(r, k, in), "1");
	near_n(k, -1, in);
	cr_expect(do_rsa(r, k, in), "n - 1");
	near_n(k, 0, in);
	cr_expect_not(do_rsa(r, k, in), "n");
	near_n(k, 1, in);
	cr_expect_not(do_rsa(r, k, in), "n + 1");
	memset(in, 0xff, n);
	cr_expect_not(do_rsa(r, k, in), "all ones");
	/* Leading zeros of the input, and of the result. */
	for (unsigned zeros = 0; zeros < 4; zeros++) {
		random_below(k, zeros, m);
		cr_expect(do_rsa(r, k, m), "%u leading zeros", zeros);
		input_for(k, m, in);
		cr_expect(do_rsa(r, k, in), "a result with %u leading zeros", zeros);
	}
	random_below(k, n - 2, m);
	input_for(k, m, in);
	cr_expect(do_rsa(r, k, in), "a result of two bytes");
	for (unsigned i = 0; i < 8; i++) {
		random_below(k, 0, in);
		cr_expect(do_rsa(r, k, in), "random");
	}
	cr_expect_eq(ERR_peek_error(), 0, "errors stay in no queue");
	key_del(r, k);
	rig_close(r);
}

Test(same, rsa_of_2048_bits_at_its_edges)
{
	struct key *k = key_new("rsa2048");

	for (unsigned i = 0; i < PST_COUNT(all); i++)
		rsa_edges(all[i], k);
	key_free(k);
}

Test(same, rsa_of_3072_bits_at_its_edges)
{
	struct key *k = key_new("rsa3072");

	for (unsigned i = 0; i < 3; i++)
		rsa_edges(all[i], k);
	key_free(k);
}

Test(same, rsa_of_4096_bits_at_its_edges)
{
	struct key *k = key_new("rsa4096");

	for (unsigned i = 0; i < 3; i++)
		rsa_edges(all[i], k);
	key_free(k);
}

Test(same, rsa_without_the_factors_is_the_same)
{
	for (unsigned i = 0; i < 3; i++) {
		struct rig *r = rig_open(all[i], KIT_DEPTH, true, NULL);
		struct key *k = key_new("rsa2048");
		uint8_t in[PST_OP_BYTES];

		k->nums.p.len = 0;
		cr_assert(key_add(r, k));
		random_below(k, 0, in);
		cr_expect(do_rsa(r, k, in));
		key_del(r, k);
		key_free(k);
		rig_close(r);
	}
}

Test(same, a_length_that_is_not_the_modulus_is_a_failure)
{
	for (unsigned i = 0; i < PST_COUNT(all); i++) {
		struct rig *r = rig_open(all[i], KIT_DEPTH, true, NULL);
		struct key *k = key_new("rsa2048");
		static const uint16_t lens[] = {0, 1, 255, 257, 512};
		uint8_t in[PST_OP_BYTES] = {0};

		cr_assert(key_add(r, k));
		for (unsigned n = 0; n < PST_COUNT(lens); n++) {
			struct pst_op *op = op_new(k, in, lens[n]);
			bool ok = true;

			run_all(r, 0, &op, 1, &ok);
			cr_expect_not(ok, "%u bytes", lens[n]);
			op_free(op);
		}
		key_del(r, k);
		key_free(k);
		rig_close(r);
	}
}

/* ---- ECDSA ---- */

static void
ecdsa_edges(const char *what, const char *kind)
{
	struct rig *r = rig_open(what, KIT_DEPTH, true, NULL);
	struct key *k = key_new(kind);
	unsigned order = k->nums.bits / 8;
	uint8_t first[PST_OP_BYTES] = {0};
	uint8_t digest[64];

	cr_assert(r->drv->can(
		r->b, PST_OP_ECDSA_SIGN, PST_FORM_ECDSA_SIGN, k->nums.group, k->nums.bits));
	cr_assert(key_add(r, k));
	/* All zero, all one, random; shorter than the order, as long, longer. */
	for (unsigned c = 0; c < 3; c++) {
		for (unsigned n = 1; n <= 64; n += n == 1 ? 19 : 4) {
			struct pst_op *op;
			bool ok = false;

			memset(digest, c == 0 ? 0 : 0xff, sizeof(digest));
			if (c == 2)
				RAND_bytes(digest, sizeof(digest));
			op = op_new(k, digest, n);
			run_all(r, 0, &op, 1, &ok);
			cr_expect(ok && is_right(k, op), "%s: %u bytes", what, n);
			cr_expect(memcmp(op->out, first, order) != 0, "the nonce is new");
			memcpy(first, op->out, order);
			op_free(op);
		}
	}
	key_del(r, k);
	key_free(k);
	rig_close(r);
}

Test(same, ecdsa_signatures_verify)
{
	for (unsigned i = 0; i < PST_COUNT(cpus); i++) {
		ecdsa_edges(cpus[i], "p256");
		ecdsa_edges(cpus[i], "p384");
	}
}

/* ---- batches ---- */

/* Every fourth is bad, at another place each time. */
static void
one_batch(struct rig *r, struct key *k, unsigned n, unsigned lane)
{
	struct pst_op *ops[64];
	bool ok[64];

	for (unsigned i = 0; i < n; i++) {
		uint8_t in[PST_OP_BYTES];

		random_below(k, i % 3, in);
		if (i % 4 == n % 4)
			memset(in, 0xff, k->nums.n.len);
		ops[i] = op_new(k, in, k->nums.n.len);
	}
	run_all(r, lane, ops, n, ok);
	for (unsigned i = 0; i < n; i++) {
		cr_expect_eq(ok[i], i % 4 != n % 4, "%u of %u", i, n);
		if (ok[i])
			cr_expect(is_right(k, ops[i]));
		op_free(ops[i]);
	}
}

Test(same, every_batch_size_with_bad_ones_among_good_ones)
{
	for (unsigned i = 0; i < PST_COUNT(all); i++) {
		/* Small ones, so that all sizes are quick. */
		struct rig *r = rig_open(all[i], KIT_DEPTH, true, NULL);
		struct key *k = key_new("rsa512");

		cr_assert(key_add(r, k));
		for (unsigned n = 1; n <= 64; n++)
			one_batch(r, k, n, n % KIT_LANES);
		key_del(r, k);
		key_free(k);
		rig_close(r);
	}
}

/* A key of another form, no key, a key that was not added: failures, and nothing else. */
Test(same, an_operation_without_its_key_is_a_failure)
{
	for (unsigned i = 0; i < PST_COUNT(cpus); i++) {
		struct rig *r = rig_open(cpus[i], KIT_DEPTH, true, NULL);
		struct key *k = key_new("rsa2048"), *ec = key_new("p256"), *other = key_new("p256");
		uint8_t in[PST_OP_BYTES] = {0};
		struct pst_op *ops[4];
		bool ok[4];

		cr_assert(key_add(r, k) && key_add(r, ec));
		ops[0] = op_new(k, in, 256);
		ops[1] = op_new(other, in, 32);
		ops[2] = op_new(ec, in, 32);
		ops[2]->form = PST_FORM_RSA_PRIV;
		ops[3] = op_new(k, in, 256);
		ops[3]->key = NULL;
		run_all(r, 1, ops, 4, ok);
		cr_expect(ok[0] && !ok[1] && !ok[2] && !ok[3]);
		for (unsigned n = 0; n < 4; n++)
			op_free(ops[n]);
		key_del(r, k);
		key_del(r, ec);
		key_free(k);
		key_free(ec);
		key_free(other);
		rig_close(r);
	}
}

Test(same, numbers_that_are_no_key_are_refused)
{
	for (unsigned i = 0; i < PST_COUNT(cpus); i++) {
		struct rig *r = rig_open(cpus[i], KIT_DEPTH, true, NULL);
		struct key *ec = key_new("p256"), *rsa = key_new("rsa2048");

		ec->nums.y.b[31] ^= 1; /* not on the curve */
		cr_expect_not(key_add(r, ec));
		ec->nums.y.len = 31;
		cr_expect_not(key_add(r, ec));
		rsa->nums.bits = 8192;
		cr_expect_not(key_add(r, rsa));
		cr_expect_null(ec->nums.priv[r->conf.index]);
		cr_expect_eq(ERR_peek_error(), 0);
		key_free(ec);
		key_free(rsa);
		rig_close(r);
	}
}

/* ---- lanes on threads of their own ---- */

struct worker {
	struct rig *r;
	struct key *rsa, *ec;
	unsigned lane;
	unsigned good;
};

static void *
worker_main(void *arg)
{
	struct worker *w = arg;

	for (unsigned round = 0; round < 8; round++) {
		struct pst_op *ops[32];
		uint8_t in[PST_OP_BYTES];
		bool ok[32];

		for (unsigned i = 0; i < 32; i++) {
			random_below(w->rsa, 0, in);
			ops[i] = i % 2 == 0 ? op_new(w->rsa, in, w->rsa->nums.n.len)
					    : op_new(w->ec, in, 32);
		}
		run_all(w->r, w->lane, ops, 32, ok);
		for (unsigned i = 0; i < 32; i++) {
			w->good += ok[i] && is_right(i % 2 == 0 ? w->rsa : w->ec, ops[i]);
			op_free(ops[i]);
		}
	}
	return NULL;
}

Test(same, lanes_on_threads_of_their_own_do_not_disturb_each_other)
{
	for (unsigned i = 0; i < PST_COUNT(cpus); i++) {
		struct rig *r = rig_open(cpus[i], 8, true, NULL);
		struct key *rsa = key_new("rsa1024"), *ec = key_new("p256");
		struct worker w[KIT_LANES];
		struct pst_cryptodrv_stats s;
		pthread_t t[KIT_LANES];

		cr_assert(key_add(r, rsa) && key_add(r, ec));
		for (unsigned n = 0; n < KIT_LANES; n++) {
			w[n] = (struct worker){.r = r, .rsa = rsa, .ec = ec, .lane = n};
			cr_assert_eq(pthread_create(&t[n], NULL, worker_main, &w[n]), 0);
		}
		for (unsigned n = 0; n < KIT_LANES; n++) {
			pthread_join(t[n], NULL);
			cr_expect_eq(w[n].good, 256, "%s", cpus[i]);
		}
		r->drv->stats(r->b, &s);
		cr_expect_eq(s.ops, 256 * KIT_LANES);
		cr_expect(s.failed == 0 && s.out == 0);
		key_del(r, rsa);
		key_del(r, ec);
		key_free(rsa);
		key_free(ec);
		rig_close(r);
	}
}
