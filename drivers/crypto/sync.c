/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The thread that asks is the thread that works: submit runs each operation, reap hands it
 * back. The engine runs what is routed here inside the handshake; the other use is as the
 * reference in tests, and as what `fault` wraps. With the option typed=1 it takes typed
 * operations alone, as a device does.
 */
#include "soft.h"

#include <stdlib.h>
#include <string.h>

struct lane {
	_Alignas(CACHE_LINE) struct soft *soft;
	struct pst_op_done *done; /* a ring of depth */
	unsigned head, n;
	uint64_t ops, failed;
};

struct pst_backend {
	struct pst_cryptodrv_conf conf;
	struct soft **soft; /* of all lanes, as soft_key_new wants it */
	struct lane *lanes;
	bool typed; /* alone */
};

static bool
is_typed(const struct pst_cryptodrv_conf *conf)
{
	const char *v = cryptodrv_opt(conf, "typed");

	return v != NULL && strcmp(v, "1") == 0;
}

static enum pst_rc
sync_check(const struct pst_cryptodrv_conf *conf, char *err, size_t errlen)
{
	static const char *const known[] = {"typed", NULL};

	return cryptodrv_check_opts(conf, known, err, errlen);
}

static void
sync_close(struct pst_backend *b)
{
	for (unsigned i = 0; b->lanes != NULL && i < b->conf.nlanes; i++) {
		soft_put(b->lanes[i].soft);
		free(b->lanes[i].done);
	}
	free(b->soft);
	free(b->lanes);
	free(b);
}

static bool
lane_open(struct pst_backend *b, unsigned i)
{
	struct lane *l = &b->lanes[i];

	l->done = calloc(b->conf.depth, sizeof(*l->done));
	l->soft = b->soft[i] = soft_get();
	return l->done != NULL && l->soft != NULL;
}

static struct pst_backend *
sync_open(const struct pst_cryptodrv_conf *conf, const struct pst_cryptodrv_env *env, char *err,
	size_t errlen)
{
	struct pst_backend *b = calloc(1, sizeof(*b));
	bool ok = false;

	if (b != NULL) {
		b->conf = *conf;
		b->typed = is_typed(conf);
		b->soft = calloc(conf->nlanes, sizeof(*b->soft));
		b->lanes = cryptodrv_zalloc(conf->nlanes * sizeof(*b->lanes));
		ok = b->soft != NULL && b->lanes != NULL;
		for (unsigned i = 0; ok && i < conf->nlanes; i++)
			ok = lane_open(b, i);
	}
	if (!ok) {
		cryptodrv_invalid(conf, err, errlen, "no memory or no OpenSSL default provider");
		if (b != NULL)
			sync_close(b);
		return NULL;
	}
	return b;
}

static bool
sync_can(const struct pst_backend *b, enum pst_op_kind kind, enum pst_op_form form,
	enum pst_op_group group, unsigned bits)
{
	return !(b->typed && form == PST_FORM_CALL) && soft_can(form, group, bits);
}

static bool
sync_key_add(struct pst_backend *b, struct pst_op_key *key)
{
	if (key->priv[b->conf.index] == NULL)
		key->priv[b->conf.index] = soft_key_new(key, b->soft, b->conf.nlanes);
	return key->priv[b->conf.index] != NULL;
}

static void
sync_key_del(struct pst_backend *b, struct pst_op_key *key)
{
	soft_key_free(key->priv[b->conf.index]);
	key->priv[b->conf.index] = NULL;
}

static unsigned
sync_submit(struct pst_backend *b, unsigned lane, struct pst_op **ops, unsigned n)
{
	struct lane *l = &b->lanes[lane];
	unsigned i;

	for (i = 0; i < n && l->n < b->conf.depth; i++) {
		struct pst_op *op = ops[i];
		bool ok = soft_run(op, b->conf.index, lane);

		l->done[(l->head + l->n++) % b->conf.depth] =
			(struct pst_op_done){.op = op, .gen = op->gen, .ok = ok};
		l->ops++;
		l->failed += !ok;
	}
	return i;
}

static unsigned
sync_reap(struct pst_backend *b, unsigned lane, struct pst_op_done *done, unsigned n)
{
	struct lane *l = &b->lanes[lane];
	unsigned i;

	for (i = 0; i < n && l->n > 0; i++, l->n--) {
		done[i] = l->done[l->head];
		l->head = (l->head + 1) % b->conf.depth;
	}
	return i;
}

static void
sync_stats(const struct pst_backend *b, struct pst_cryptodrv_stats *out)
{
	*out = (struct pst_cryptodrv_stats){0};
	for (unsigned i = 0; i < b->conf.nlanes; i++) {
		out->ops += b->lanes[i].ops;
		out->failed += b->lanes[i].failed;
		out->out += b->lanes[i].n;
	}
}

const struct pst_cryptodrv cryptodrv_sync = {
	.name = "sync",
	.options = "typed",
	.inline_ = true,
	.check = sync_check,
	.open = sync_open,
	.can = sync_can,
	.key_add = sync_key_add,
	.key_del = sync_key_del,
	.submit = sync_submit,
	.reap = sync_reap,
	.stats = sync_stats,
	.close = sync_close,
};
