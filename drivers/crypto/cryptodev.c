/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Accelerators by DPDK's asymmetric crypto API: Intel QAT, Marvell and others; in tests the
 * software device crypto_openssl. What a device can do, its capabilities say.
 *
 *   {"driver": "cryptodev", "options": {"device": "0000:3d:01.0", "keys": "64"}}
 *
 * A device has a queue pair for each lane. Operations, keys and results travel in memory of the
 * device's own slots, never in a struct pst_op: that memory is DPDK's, where a card can
 * reach it, and what a device writes late hits nobody.
 *
 * RSA goes raw: padding is ours. A key is used by its five numbers (QT) where there are such
 * and the device takes them, else by its exponent. Every lane has a session of its own for each
 * key, because software devices keep scratch memory in it.
 *
 * ECDSA: the secret number of each signature is drawn here, since devices of 22.11 want it
 * given. It has been compiled and its refusals tested; not run on hardware, as the software
 * device has no elliptic curves.
 *
 * crypto_openssl loads the legacy provider into the default library context of the process and
 * leaves errors in the thread's queue. The first concerns nobody here, the second is undone.
 */
#include "cryptodev.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/obj_mac.h>
#include <rte_errno.h>
#include <rte_mempool.h>

#define DESC_MIN 128u
#define DESC_MAX 4096u

/* ---- options ---- */

static bool
is_pci(const char *device)
{
	size_t n = strspn(device, "0123456789abcdefABCDEF:.");

	return device[n] == '\0' && strchr(device, ':') != NULL && strchr(device, '.') != NULL;
}

/* A letter first; nothing that EAL would take for another argument. */
static bool
is_vdev(const char *device)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyz0123456789_";

	return strncmp(device, "crypto_", 7) == 0 && device[strspn(device, plain)] == '\0' &&
	       strlen(device) < RTE_CRYPTODEV_NAME_MAX_LEN;
}

static enum pst_rc
read_options(const struct pst_cryptodrv_conf *conf, const char **device, uint64_t *keys, char *err,
	size_t errlen)
{
	static const char *const known[] = {"device", "keys", NULL};

	*keys = 256;
	if (cryptodrv_check_opts(conf, known, err, errlen) != PST_OK)
		return PST_INVAL;
	*device = cryptodrv_opt(conf, "device");
	if (*device == NULL)
		return cryptodrv_invalid(conf, err, errlen, "needs option \"device\"");
	if (!is_pci(*device) && !is_vdev(*device))
		return cryptodrv_invalid(conf, err, errlen,
			"option \"device\" is a PCI address or a name like crypto_openssl0, not "
			"\"%s\"",
			*device);
	return cryptodrv_opt_number(conf, "keys", 1, 65536, keys, err, errlen);
}

static enum pst_rc
cryptodev_check(const struct pst_cryptodrv_conf *conf, char *err, size_t errlen)
{
	const char *device;
	uint64_t keys;

	return read_options(conf, &device, &keys, err, errlen);
}

static enum pst_rc
cryptodev_eal_args(const struct pst_cryptodrv_conf *conf, char flag[16], char *arg, size_t len)
{
	const char *device = cryptodrv_opt(conf, "device");
	int n;

	if (device == NULL)
		return PST_INVAL;
	if (is_pci(device)) {
		snprintf(flag, 16, "-a");
		n = snprintf(arg, len, "%s", device);
	} else {
		snprintf(flag, 16, "--vdev");
		n = snprintf(arg, len, "%s,max_nb_queue_pairs=%u", device, conf->nlanes);
	}
	return n > 0 && (size_t)n < len ? PST_OK : PST_INVAL;
}

/* ---- the device ---- */

/* A card's cryptodevs are named after its address: 0000:3d:01.0_qat_asym. */
static bool
is_named(const char *name, const char *device)
{
	size_t n = strlen(device);
	bool pci = is_pci(device);

	if (pci && strchr(device, ':') == strrchr(device, ':') && strncmp(name, "0000:", 5) == 0)
		name += 5;
	return strncasecmp(name, device, n) == 0 && (name[n] == '\0' || (pci && name[n] == '_'));
}

static enum pst_rc
find_device(struct pst_backend *b, const char *device, char *err, size_t errlen)
{
	char names[128] = "";
	size_t at = 0;

	for (unsigned i = 0; i < RTE_CRYPTO_MAX_DEVS; i++) {
		const char *name = rte_cryptodev_is_valid_dev((uint8_t)i)
					   ? rte_cryptodev_name_get((uint8_t)i)
					   : NULL;
		struct rte_cryptodev_info info;

		if (name == NULL)
			continue;
		if (at < sizeof(names))
			at += (size_t)snprintf(
				names + at, sizeof(names) - at, "%s%s", at > 0 ? ", " : "", name);
		rte_cryptodev_info_get((uint8_t)i, &info);
		if (!is_named(name, device) ||
			(info.feature_flags & RTE_CRYPTODEV_FF_ASYMMETRIC_CRYPTO) == 0)
			continue;
		b->dev = (uint8_t)i;
		b->features = info.feature_flags;
		if (info.max_nb_queue_pairs == 0 || info.max_nb_queue_pairs >= b->conf.nlanes)
			return PST_OK;
		return cryptodrv_invalid(&b->conf, err, errlen,
			"device %s has %u queue pairs and %u workers want one each", name,
			info.max_nb_queue_pairs, b->conf.nlanes);
	}
	return cryptodrv_invalid(&b->conf, err, errlen,
		"no device \"%s\" for asymmetric operations; there is: %s", device,
		at > 0 ? names : "none");
}

static const struct rte_cryptodev_asymmetric_xform_capability *
capability(const struct pst_backend *b, enum rte_crypto_asym_xform_type type)
{
	struct rte_cryptodev_asym_capability_idx idx = {.type = type};

	return rte_cryptodev_asym_capability_get(b->dev, &idx);
}

static bool
has_op(const struct rte_cryptodev_asymmetric_xform_capability *c, enum rte_crypto_asym_op_type op)
{
	return rte_cryptodev_asym_xform_capability_check_optype(c, op) == 1;
}

static bool
cryptodev_can(const struct pst_backend *b, enum pst_op_kind kind, enum pst_op_form form,
	enum pst_op_group group, unsigned bits)
{
	const struct rte_cryptodev_asymmetric_xform_capability *c;

	switch (form) {
	case PST_FORM_CALL:
		return false;
	case PST_FORM_RSA_PRIV:
		c = capability(b, RTE_CRYPTO_ASYM_XFORM_RSA);
		return c != NULL &&
		       (has_op(c, RTE_CRYPTO_ASYM_OP_SIGN) ||
			       has_op(c, RTE_CRYPTO_ASYM_OP_DECRYPT)) &&
		       bits >= 512 && bits <= PST_OP_BYTES * 8 &&
		       rte_cryptodev_asym_xform_capability_check_modlen(
			       c, (uint16_t)((bits + 7) / 8)) == 0;
	case PST_FORM_ECDSA_SIGN:
		c = capability(b, RTE_CRYPTO_ASYM_XFORM_ECDSA);
		return c != NULL && has_op(c, RTE_CRYPTO_ASYM_OP_SIGN) &&
		       cryptodrv_order_bytes(group) != 0;
	}
	return false;
}

/* ---- open and close ---- */

static void
lane_close(struct lane *l)
{
	rte_mempool_free(l->pool);
	free(l->spare);
	free(l->refused);
	BN_clear_free(l->k);
	BN_CTX_free(l->bn);
	soft_put(l->soft);
}

static void
cryptodev_close(struct pst_backend *b)
{
	if (b->started) {
		rte_cryptodev_stop(b->dev); /* it touches no operation from here on */
		rte_cryptodev_close(b->dev);
	}
	for (unsigned i = 0; b->lanes != NULL && i < b->conf.nlanes; i++)
		lane_close(&b->lanes[i]);
	rte_mempool_free(b->sessions);
	BN_free(b->order[0]);
	BN_free(b->order[1]);
	free(b->lanes);
	free(b);
}

static BIGNUM *
order_of(int nid)
{
	EC_GROUP *g = EC_GROUP_new_by_curve_name(nid);
	BIGNUM *n = g != NULL ? BN_dup(EC_GROUP_get0_order(g)) : NULL;

	EC_GROUP_free(g);
	return n;
}

static bool
lane_open(struct pst_backend *b, unsigned i)
{
	struct lane *l = &b->lanes[i];
	char name[RTE_MEMPOOL_NAMESIZE];

	snprintf(name, sizeof(name), "pst_crypto%u_%u", b->conf.index, i);
	l->pool = rte_crypto_op_pool_create(
		name, RTE_CRYPTO_OP_TYPE_ASYMMETRIC, b->room, 0, CRYPTODEV_SLOT, SOCKET_ID_ANY);
	l->spare = calloc(b->room, sizeof(*l->spare));
	l->refused = calloc(b->room, sizeof(*l->refused));
	l->soft = soft_get();
	if (l->pool == NULL || l->spare == NULL || l->refused == NULL || l->soft == NULL)
		return false;
	l->bn = BN_CTX_secure_new_ex(soft_libctx(l->soft));
	l->k = BN_secure_new();
	if (l->bn == NULL || l->k == NULL ||
		rte_crypto_op_bulk_alloc(l->pool, RTE_CRYPTO_OP_TYPE_ASYMMETRIC, l->spare,
			(uint16_t)b->room) != b->room)
		return false;
	l->nspare = b->room;
	return true;
}

static bool
memory_open(struct pst_backend *b, unsigned keys)
{
	char name[RTE_MEMPOOL_NAMESIZE];

	snprintf(name, sizeof(name), "pst_crypto%u_keys", b->conf.index);
	b->sessions = rte_cryptodev_asym_session_pool_create(
		name, keys * b->conf.nlanes, 0, 0, SOCKET_ID_ANY);
	b->order[0] = order_of(NID_X9_62_prime256v1);
	b->order[1] = order_of(NID_secp384r1);
	b->lanes = cryptodrv_zalloc(b->conf.nlanes * sizeof(*b->lanes));
	if (b->sessions == NULL || b->order[0] == NULL || b->order[1] == NULL || b->lanes == NULL)
		return false;
	for (unsigned i = 0; i < b->conf.nlanes; i++)
		if (!lane_open(b, i))
			return false;
	return true;
}

static enum pst_rc
start_device(struct pst_backend *b, unsigned descriptors, char *err, size_t errlen)
{
	struct rte_cryptodev_config conf = {.socket_id = rte_cryptodev_socket_id(b->dev),
		.nb_queue_pairs = (uint16_t)b->conf.nlanes,
		.ff_disable = RTE_CRYPTODEV_FF_SYMMETRIC_CRYPTO | RTE_CRYPTODEV_FF_SECURITY};
	struct rte_cryptodev_qp_conf qp = {.nb_descriptors = descriptors};
	int rc = rte_cryptodev_configure(b->dev, &conf);

	for (unsigned i = 0; rc == 0 && i < b->conf.nlanes; i++)
		rc = rte_cryptodev_queue_pair_setup(b->dev, (uint16_t)i, &qp, conf.socket_id);
	if (rc == 0)
		rc = rte_cryptodev_start(b->dev);
	if (rc != 0)
		return cryptodrv_invalid(&b->conf, err, errlen,
			"device %s with %u queue pairs of %u: %s", rte_cryptodev_name_get(b->dev),
			b->conf.nlanes, descriptors, rte_strerror(rc < 0 ? -rc : rc));
	b->started = true;
	return PST_OK;
}

static enum pst_rc
open_device(struct pst_backend *b, char *err, size_t errlen)
{
	const struct rte_cryptodev_asymmetric_xform_capability *rsa;
	unsigned descriptors = rte_align32pow2(b->conf.depth + 1);
	const char *device;
	uint64_t keys;

	if (read_options(&b->conf, &device, &keys, err, errlen) != PST_OK ||
		find_device(b, device, err, errlen) != PST_OK)
		return PST_INVAL;
	descriptors = PST_MIN(PST_MAX(descriptors, DESC_MIN), DESC_MAX);
	b->room = PST_MIN(b->conf.depth, descriptors - 1); /* software rings keep one free */
	rsa = capability(b, RTE_CRYPTO_ASYM_XFORM_RSA);
	b->rsa_op = rsa != NULL && has_op(rsa, RTE_CRYPTO_ASYM_OP_SIGN)
			    ? RTE_CRYPTO_ASYM_OP_SIGN
			    : RTE_CRYPTO_ASYM_OP_DECRYPT;
	if (!memory_open(b, (unsigned)keys)) {
		ERR_clear_error();
		return cryptodrv_invalid(&b->conf, err, errlen,
			"no memory for %u operations of each of %u workers and %u keys", b->room,
			b->conf.nlanes, (unsigned)keys);
	}
	return start_device(b, descriptors, err, errlen);
}

static struct pst_backend *
cryptodev_open(const struct pst_cryptodrv_conf *conf, const struct pst_cryptodrv_env *env,
	char *err, size_t errlen)
{
	struct pst_backend *b = calloc(1, sizeof(*b));

	if (b == NULL) {
		cryptodrv_invalid(conf, err, errlen, "no memory");
		return NULL;
	}
	b->conf = *conf;
	if (open_device(b, err, errlen) != PST_OK) {
		cryptodev_close(b);
		return NULL;
	}
	return b;
}

/* ---- keys ---- */

static rte_crypto_uint
param(const struct pst_op_number *n)
{
	return (rte_crypto_uint){.data = (uint8_t *)n->b, .length = n->len};
}

/* False: the device takes neither form of the key. Devices copy what they keep. */
static bool
rsa_xform(
	const struct pst_backend *b, const struct pst_op_key *key, struct rte_crypto_asym_xform *x)
{
	*x = (struct rte_crypto_asym_xform){.xform_type = RTE_CRYPTO_ASYM_XFORM_RSA};
	x->rsa.n = param(&key->n);
	x->rsa.e = param(&key->e);
	if (key->p.len > 0 && (b->features & RTE_CRYPTODEV_FF_RSA_PRIV_OP_KEY_QT) != 0) {
		x->rsa.key_type = RTE_RSA_KEY_TYPE_QT;
		x->rsa.qt.p = param(&key->p);
		x->rsa.qt.q = param(&key->q);
		x->rsa.qt.dP = param(&key->dp);
		x->rsa.qt.dQ = param(&key->dq);
		x->rsa.qt.qInv = param(&key->qinv);
		return true;
	}
	x->rsa.key_type = RTE_RSA_KEY_TYPE_EXP;
	x->rsa.d = param(&key->d);
	return (b->features & RTE_CRYPTODEV_FF_RSA_PRIV_OP_KEY_EXP) != 0;
}

static void
dev_key_free(const struct pst_backend *b, struct dev_key *k)
{
	for (unsigned i = 0; i < k->n; i++)
		rte_cryptodev_asym_session_free(b->dev, k->session[i]);
	free(k);
}

static struct dev_key *
dev_key_new(struct pst_backend *b, const struct pst_op_key *key)
{
	struct rte_crypto_asym_xform x = {.xform_type = RTE_CRYPTO_ASYM_XFORM_ECDSA};
	struct dev_key *k = calloc(1, sizeof(*k) + b->conf.nlanes * sizeof(k->session[0]));

	x.ec.curve_id = key->group == PST_GROUP_P256 ? RTE_CRYPTO_EC_GROUP_SECP256R1
						     : RTE_CRYPTO_EC_GROUP_SECP384R1;
	if (k == NULL || (key->form == PST_FORM_RSA_PRIV && !rsa_xform(b, key, &x))) {
		free(k);
		return NULL;
	}
	ERR_set_mark();
	while (k->n < b->conf.nlanes &&
		rte_cryptodev_asym_session_create(b->dev, &x, b->sessions, &k->session[k->n]) == 0)
		k->n++;
	ERR_pop_to_mark();
	if (k->n < b->conf.nlanes) {
		dev_key_free(b, k);
		return NULL;
	}
	return k;
}

static bool
cryptodev_key_add(struct pst_backend *b, struct pst_op_key *key)
{
	void **priv = &key->priv[b->conf.index];

	if (*priv == NULL && cryptodev_can(b, PST_OP_RSA_SIGN, key->form, key->group, key->bits))
		*priv = dev_key_new(b, key);
	return *priv != NULL;
}

static void
cryptodev_key_del(struct pst_backend *b, struct pst_op_key *key)
{
	if (key->priv[b->conf.index] != NULL)
		dev_key_free(b, key->priv[b->conf.index]);
	key->priv[b->conf.index] = NULL;
}

static void
cryptodev_stats(const struct pst_backend *b, struct pst_cryptodrv_stats *out)
{
	*out = (struct pst_cryptodrv_stats){0};
	for (unsigned i = 0; i < b->conf.nlanes; i++) {
		out->ops += b->lanes[i].ops;
		out->failed += b->lanes[i].failed;
		out->out += b->lanes[i].out;
	}
}

const struct pst_cryptodrv cryptodrv_cryptodev = {
	.name = "cryptodev",
	.options = "device, keys",
	.check = cryptodev_check,
	.eal_args = cryptodev_eal_args,
	.open = cryptodev_open,
	.can = cryptodev_can,
	.key_add = cryptodev_key_add,
	.key_del = cryptodev_key_del,
	.submit = cryptodev_submit,
	.reap = cryptodev_reap,
	.stats = cryptodev_stats,
	.close = cryptodev_close,
};
