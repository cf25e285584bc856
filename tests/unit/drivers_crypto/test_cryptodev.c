/* SPDX-License-Identifier: BSD-3-Clause */
/* The DPDK devices: what is asked of them, and what they refuse. RSA itself is in test_same.c. */
#include "kit.h"

#include <openssl/err.h>
#include <pthread.h>
#include <string.h>

TestSuite(cryptodev, .init = kit_eal, .timeout = 300);

Test(cryptodev, can_is_what_the_device_says)
{
	struct rig *r = rig_open("cryptodev", KIT_DEPTH, true, NULL);
	static const struct {
		enum pst_op_kind kind;
		enum pst_op_form form;
		enum pst_op_group group;
		unsigned bits;
		bool can;
	} cases[] = {
		{PST_OP_RSA_SIGN, PST_FORM_RSA_PRIV, PST_GROUP_NONE, 2048, true},
		{PST_OP_RSA_DECRYPT, PST_FORM_RSA_PRIV, PST_GROUP_NONE, 4096, true},
		{PST_OP_RSA_SIGN, PST_FORM_RSA_PRIV, PST_GROUP_NONE, 8192, false},
		/* crypto_openssl has no elliptic curves in DPDK 22.11. */
		{PST_OP_ECDSA_SIGN, PST_FORM_ECDSA_SIGN, PST_GROUP_P256, 256, false},
		{PST_OP_DERIVE, PST_FORM_CALL, PST_GROUP_P256, 256, false},
		{PST_OP_RSA_SIGN, PST_FORM_CALL, PST_GROUP_NONE, 2048, false},
	};

	for (unsigned i = 0; i < PST_COUNT(cases); i++)
		cr_expect_eq(r->drv->can(r->b, cases[i].kind, cases[i].form, cases[i].group,
				     cases[i].bits),
			cases[i].can, "%u", i);
	rig_close(r);
}

Test(cryptodev, an_elliptic_key_is_refused_and_its_operations_fail)
{
	struct rig *r = rig_open("cryptodev", KIT_DEPTH, true, NULL);
	struct key *k = key_new("p256");
	uint8_t in[32] = {1};
	struct pst_op *ops[2] = {op_new(k, in, 32), op_call(NULL, NULL)};
	bool ok[2] = {true, true};

	cr_expect_not(key_add(r, k));
	run_all(r, 0, ops, 2, ok);
	cr_expect(!ok[0] && !ok[1]);
	op_free(ops[0]);
	op_free(ops[1]);
	key_free(k);
	rig_close(r);
}

/*
 * The device refuses what is above the modulus that it knows; here the test tells our check
 * of another one. What stands behind it in the burst must get through.
 */
Test(cryptodev, an_operation_that_the_device_refuses_stands_in_nobodys_way)
{
	struct rig *r = rig_open("cryptodev", KIT_DEPTH, true, NULL);
	struct key *k = key_new("rsa1024"), *lied = key_new("rsa1024");
	struct pst_op *ops[64];
	uint8_t in[PST_OP_BYTES];
	bool ok[64];

	cr_assert(key_add(r, k) && key_add(r, lied));
	memset(lied->nums.n.b, 0xff, lied->nums.n.len);
	for (unsigned i = 0; i < 64; i++) {
		random_below(k, 0, in);
		if (i % 3 == 1)
			memset(in, 0xff, 127);
		in[127] &= 0x7f;
		ops[i] = op_new(i % 3 == 1 ? lied : k, in, 128);
	}
	run_all(r, 3, ops, 64, ok);
	for (unsigned i = 0; i < 64; i++) {
		cr_expect_eq(ok[i], i % 3 != 1, "%u", i);
		if (ok[i])
			cr_expect(is_right(k, ops[i]));
		op_free(ops[i]);
	}
	cr_expect_eq(ERR_peek_error(), 0, "what the device left in the queue is gone");
	key_del(r, k);
	key_del(r, lied);
	key_free(k);
	key_free(lied);
	rig_close(r);
}

Test(cryptodev, errors_of_others_stay_in_the_queue)
{
	struct rig *r = rig_open("cryptodev", KIT_DEPTH, true, NULL);
	struct key *k = key_new("rsa1024");
	uint8_t in[PST_OP_BYTES] = {0};
	struct pst_op *op;
	bool ok;

	cr_assert(key_add(r, k));
	memset(k->nums.n.b, 0xff, k->nums.n.len);
	memset(in, 0xfe, 128);
	op = op_new(k, in, 128);
	ERR_raise(ERR_LIB_SSL, 77);
	run_all(r, 0, &op, 1, &ok);
	cr_expect_not(ok);
	cr_expect_eq(ERR_GET_REASON(ERR_get_error()), 77);
	cr_expect_eq(ERR_get_error(), 0);
	op_free(op);
	key_del(r, k);
	key_free(k);
	rig_close(r);
}

/* More than the device takes: room is less than the depth that was asked for. */
Test(cryptodev, a_full_device_is_back_pressure)
{
	struct rig *r = rig_open("cryptodev", 20, true, NULL);
	struct key *k = key_new("rsa1024");
	struct pst_op *ops[32];
	struct pst_op_done done[32];
	struct pst_cryptodrv_stats s;
	uint8_t in[PST_OP_BYTES] = {0};

	cr_assert(key_add(r, k));
	for (unsigned i = 0; i < 32; i++)
		ops[i] = op_new(i % 4 == 0 ? NULL : k, in, 128); /* some are none for it */
	cr_expect_eq(r->drv->submit(r->b, 0, ops, 32), 20);
	cr_expect_eq(r->drv->submit(r->b, 0, ops + 20, 12), 0);
	r->drv->stats(r->b, &s);
	cr_expect_eq(s.out, 20);
	cr_expect_eq(r->drv->reap(r->b, 0, done, 7), 7);
	cr_expect_eq(r->drv->submit(r->b, 0, ops + 20, 12), 7);
	for (unsigned got = 0, n; got < 20; got += n) {
		n = r->drv->reap(r->b, 0, done, 32);
		cr_assert_neq(n, 0);
	}
	r->drv->stats(r->b, &s);
	cr_expect(s.out == 0 && s.ops == 27);
	for (unsigned i = 0; i < 32; i++)
		op_free(ops[i]);
	key_del(r, k);
	key_free(k);
	rig_close(r);
}

Test(cryptodev, it_closes_with_work_inside_and_opens_again)
{
	for (unsigned round = 0; round < 3; round++) {
		struct rig *r = rig_open("cryptodev", KIT_DEPTH, true, NULL);
		struct key *k = key_new("rsa1024");
		struct pst_op *ops[8];
		uint8_t in[PST_OP_BYTES] = {0};

		cr_assert(key_add(r, k));
		for (unsigned i = 0; i < 8; i++)
			ops[i] = op_new(k, in, 128);
		submit_all(r, 1, ops, 8);
		key_del(r, k);
		rig_close(r);
		for (unsigned i = 0; i < 8; i++) {
			cr_expect_eq(ops[i]->out[0], 0xee);
			op_free(ops[i]);
		}
		key_free(k);
	}
}

Test(cryptodev, keys_are_bounded_and_give_their_room_back)
{
	struct rig *r = rig_open("cryptodev", 8, true, "device=crypto_openssl0 keys=2");
	struct key *k[3];

	for (unsigned i = 0; i < 3; i++)
		k[i] = key_new("rsa1024");
	for (unsigned round = 0; round < 3; round++) {
		cr_expect(key_add(r, k[0]) && key_add(r, k[1]));
		cr_expect_not(key_add(r, k[2]));
		key_del(r, k[0]);
		cr_expect(key_add(r, k[2]));
		key_del(r, k[1]);
		key_del(r, k[2]);
	}
	for (unsigned i = 0; i < 3; i++)
		key_free(k[i]);
	rig_close(r);
}

struct worker {
	struct rig *r;
	struct key *k;
	unsigned lane, good;
};

static void *
worker_main(void *arg)
{
	struct worker *w = arg;

	for (unsigned round = 0; round < 20; round++) {
		struct pst_op *ops[16];
		uint8_t in[PST_OP_BYTES];
		bool ok[16];

		for (unsigned i = 0; i < 16; i++) {
			random_below(w->k, 0, in);
			ops[i] = op_new(w->k, in, 128);
		}
		run_all(w->r, w->lane, ops, 16, ok);
		for (unsigned i = 0; i < 16; i++) {
			w->good += ok[i] && is_right(w->k, ops[i]);
			op_free(ops[i]);
		}
	}
	return NULL;
}

/* A software device keeps scratch memory in its sessions: one shared by lanes would be torn. */
Test(cryptodev, lanes_with_one_key_on_threads_of_their_own)
{
	struct rig *r = rig_open("cryptodev", 16, true, NULL);
	struct key *k = key_new("rsa1024");
	struct worker w[KIT_LANES];
	pthread_t t[KIT_LANES];

	cr_assert(key_add(r, k));
	for (unsigned i = 0; i < KIT_LANES; i++) {
		w[i] = (struct worker){.r = r, .k = k, .lane = i};
		cr_assert_eq(pthread_create(&t[i], NULL, worker_main, &w[i]), 0);
	}
	for (unsigned i = 0; i < KIT_LANES; i++) {
		pthread_join(t[i], NULL);
		cr_expect_eq(w[i].good, 320);
	}
	key_del(r, k);
	key_free(k);
	rig_close(r);
}

/* ---- options ---- */

Test(cryptodev, eal_learns_of_the_device)
{
	static const struct {
		const char *device, *flag, *arg;
	} cases[] = {
		{"crypto_openssl0", "--vdev", "crypto_openssl0,max_nb_queue_pairs=6"},
		{"0000:3d:01.0", "-a", "0000:3d:01.0"},
		{"3d:01.7", "-a", "3d:01.7"},
	};
	const struct pst_cryptodrv *drv = rig_driver("cryptodev");

	for (unsigned i = 0; i < PST_COUNT(cases); i++) {
		struct pst_cryptodrv_conf conf = {.name = "q",
			.nlanes = 6,
			.nopts = 1,
			.opts = {{"device", cases[i].device}}};
		char flag[16], arg[64], err[128];

		cr_expect_eq(drv->check(&conf, err, sizeof(err)), PST_OK);
		cr_expect_eq(drv->eal_args(&conf, flag, arg, sizeof(arg)), PST_OK);
		cr_expect_str_eq(flag, cases[i].flag);
		cr_expect_str_eq(arg, cases[i].arg);
		cr_expect_eq(drv->eal_args(&conf, flag, arg, 6), PST_INVAL, "too short");
	}
}

static void
expect_refused(const char *opts[][2], unsigned nopts, unsigned nlanes, const char *text)
{
	const struct pst_cryptodrv *drv = rig_driver("cryptodev");
	struct pst_cryptodrv_conf conf = {
		.name = "q", .nlanes = nlanes, .depth = 8, .nopts = nopts};
	struct pst_cryptodrv_env env = {0};
	char err[256] = "";

	for (unsigned i = 0; i < nopts; i++)
		conf.opts[i] = (struct pst_cryptodrv_opt){opts[i][0], opts[i][1]};
	if (drv->check(&conf, err, sizeof(err)) == PST_OK)
		cr_expect_null(drv->open(&conf, &env, err, sizeof(err)));
	cr_expect(strncmp(err, "back-end q: ", 12) == 0 && strstr(err, text) != NULL,
		"\"%s\" has no \"%s\"", err, text);
}

#define REFUSED(lanes, text, ...)                                                                  \
	do {                                                                                       \
		const char *opts[][2] = {__VA_ARGS__};                                             \
		expect_refused(opts, PST_COUNT(opts), lanes, text);                                \
	} while (0)

Test(cryptodev, what_cannot_be_opened_says_why)
{
	expect_refused(NULL, 0, 1, "needs option \"device\"");
	REFUSED(1, "no option \"queues\"", {"device", "crypto_openssl0"}, {"queues", "2"});
	REFUSED(1, "\"keys\" is a number of 1 to 65536", {"device", "crypto_openssl0"},
		{"keys", "0"});
	REFUSED(1, "not \"crypto_openssl0,foo=1\"", {"device", "crypto_openssl0,foo=1"});
	REFUSED(1, "not \"net_tap0\"", {"device", "net_tap0"});
	REFUSED(1, "not \"\"", {"device", ""});
	REFUSED(1,
		"no device \"0000:3d:01.0\" for asymmetric operations; there is: crypto_openssl0",
		{"device", "0000:3d:01.0"});
	REFUSED(1, "no device \"crypto_openssl\"", {"device", "crypto_openssl"});
	REFUSED(9, "crypto_openssl0 has 8 queue pairs and 9 workers",
		{"device", "crypto_openssl0"});
	/* Nothing of it is left behind. */
	rig_close(rig_open("cryptodev", KIT_DEPTH, true, NULL));
}
