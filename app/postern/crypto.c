/* SPDX-License-Identifier: BSD-3-Clause */
/* See crypto.h. */
#include "crypto.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <rte_config.h>

/* ---- drivers ---- */

static const struct pst_cryptodrv *
find_driver(const char *name)
{
	for (const struct pst_cryptodrv *const *d = pst_cryptodrvs; *d != NULL; d++)
		if (strcmp((*d)->name, name) == 0)
			return *d;
	return NULL;
}

static void
list_drivers(char *buf, size_t size)
{
	size_t n = 0;

	for (const struct pst_cryptodrv *const *d = pst_cryptodrvs; *d != NULL && n < size; d++)
		n += (size_t)snprintf(buf + n, size - n, "%s%s", n > 0 ? ", " : "", (*d)->name);
}

/* Threads of its own: as many as were asked for, else one if the driver needs any. */
static unsigned
lcores_of(const struct pst_config_crypto_backend *b)
{
	const struct pst_cryptodrv *drv = find_driver(b->driver);

	return b->lcores == 0 && drv != NULL && drv->needs_lcores ? 1 : b->lcores;
}

static void
describe(const struct pst_config *cfg, unsigned i, struct pst_cryptodrv_conf *conf)
{
	const struct pst_config_crypto_backend *b = &cfg->crypto.backends[i];

	*conf = (struct pst_cryptodrv_conf){.name = b->name,
		.index = i,
		.nlanes = cfg->dataplane.workers,
		.depth = b->depth,
		.nlcores = lcores_of(b)};
	for (; conf->nopts < b->noptions && conf->nopts < PST_CRYPTODRV_OPTS; conf->nopts++)
		conf->opts[conf->nopts] = (struct pst_cryptodrv_opt){
			b->options[conf->nopts].key, b->options[conf->nopts].value};
}

/* ---- by name ---- */

static void
describe_named(const struct pst_config_crypto_named *named, struct pst_ossl_named_conf *conf)
{
	*conf = (struct pst_ossl_named_conf){
		.engine = named->engine, .provider = named->provider, .path = named->path};
	for (unsigned i = 0; i < named->nsettings && i < PST_CRYPTODRV_OPTS; i++)
		conf->settings[conf->nsettings++] = (struct pst_cryptodrv_opt){
			named->settings[i].key, named->settings[i].value};
}

static bool
is_named(const struct pst_config *cfg)
{
	return cfg->crypto.named.engine != NULL || cfg->crypto.named.provider != NULL;
}

static void
check_named(const struct pst_config *cfg, struct pst_config_report *report)
{
	struct pst_ossl_named_conf conf;
	char err[256] = "";

	describe_named(&cfg->crypto.named, &conf);
	if (is_named(cfg) && pst_ossl_named_check(&conf, err, sizeof(err)) != PST_OK)
		pst_config_report_add(report, "/crypto/named", "%s", err);
}

enum pst_rc
crypto_named_open(
	const struct pst_config *cfg, struct pst_ossl_named **out, char *err, size_t errlen)
{
	struct pst_ossl_named_conf conf;

	*out = NULL;
	if (!is_named(cfg))
		return PST_OK;
	describe_named(&cfg->crypto.named, &conf);
	*out = pst_ossl_named_open(&conf, err, errlen);
	return *out != NULL ? PST_OK : PST_INVAL;
}

/* ---- checks ---- */

static void
unknown_driver(struct pst_config_report *report, const char *at, const char *name)
{
	char list[256] = "";

	list_drivers(list, sizeof(list));
	pst_config_report_add(
		report, at, "there is no crypto driver \"%s\"; known are: %s", name, list);
}

static void
check_backend(const struct pst_config *cfg, unsigned i, struct pst_config_report *report)
{
	const struct pst_config_crypto_backend *b = &cfg->crypto.backends[i];
	const struct pst_cryptodrv *drv = find_driver(b->driver);
	struct pst_cryptodrv_conf conf;
	char at[160], err[256] = "";

	if (drv == NULL) {
		snprintf(at, sizeof(at), "/crypto/backends/%s/driver", b->name);
		unknown_driver(report, at, b->driver);
		return;
	}
	if (!drv->needs_lcores && (b->lcores > 0 || b->ncores > 0)) {
		snprintf(at, sizeof(at), "/crypto/backends/%s/%s", b->name,
			b->ncores > 0 ? "cores" : "lcores");
		pst_config_report_add(
			report, at, "driver \"%s\" has no threads of its own", drv->name);
	}
	snprintf(at, sizeof(at), "/crypto/backends/%s/around", b->name);
	if (drv->wraps && b->around == NULL)
		pst_config_report_add(
			report, at, "missing: driver \"%s\" wraps another back-end", drv->name);
	else if (!drv->wraps && b->around != NULL)
		pst_config_report_add(report, at, "driver \"%s\" wraps nothing", drv->name);
	describe(cfg, i, &conf);
	snprintf(at, sizeof(at), "/crypto/backends/%s", b->name);
	if (drv->check(&conf, err, sizeof(err)) != PST_OK)
		pst_config_report_add(report, at, "%s", err);
}

/* The process's mask as it was before EAL pinned the thread that asks. */
static const cpu_set_t *
usable_cores(void)
{
	static cpu_set_t set;
	static bool known;

	if (!known)
		known = sched_getaffinity(0, sizeof(set), &set) == 0;
	return &set;
}

static void
check_cores(const struct pst_config_crypto_backend *b, struct pst_config_report *report)
{
	char at[160];

	for (unsigned k = 0; k < b->ncores; k++) {
		snprintf(at, sizeof(at), "/crypto/backends/%s/cores/%u", b->name, k);
		if (b->cores[k] >= CPU_SETSIZE || !CPU_ISSET(b->cores[k], usable_cores()))
			pst_config_report_add(
				report, at, "core %u is not there or not ours to use", b->cores[k]);
	}
}

/* A driver that nobody has is forbidden or required for nothing: a slip of the pen. */
static void
check_model(const struct pst_config_model *m, struct pst_config_report *report)
{
	char at[160];

	for (unsigned i = 0; i < m->ncrypto_forbid; i++) {
		snprintf(at, sizeof(at), "/models/%s/crypto_forbid/%u", m->name, i);
		if (strcmp(m->crypto_forbid[i], "named") != 0 &&
			find_driver(m->crypto_forbid[i]) == NULL)
			unknown_driver(report, at, m->crypto_forbid[i]);
	}
	snprintf(at, sizeof(at), "/models/%s/crypto_require", m->name);
	if (m->crypto_require != NULL && strcmp(m->crypto_require, "named") != 0 &&
		find_driver(m->crypto_require) == NULL)
		unknown_driver(report, at, m->crypto_require);
}

void
crypto_check(const struct pst_config *cfg, struct pst_config_report *report)
{
	for (unsigned i = 0; i < cfg->nmodels; i++)
		check_model(&cfg->models[i], report);
	for (unsigned i = 0; i < cfg->crypto.nbackends; i++) {
		check_backend(cfg, i, report);
		check_cores(&cfg->crypto.backends[i], report);
	}
	if (cfg->crypto.named.engine != NULL || cfg->crypto.named.provider != NULL)
		pst_config_report_add(report, "/crypto/named", "not yet available in this version");
	/* The main one, the workers', these. */
	check_named(cfg, report);
	if (1 + cfg->dataplane.workers + crypto_lcores(cfg) > RTE_MAX_LCORE)
		pst_config_report_add(report, "/crypto/backends",
			"%u lcores, the workers and the main thread are more than %u",
			crypto_lcores(cfg), RTE_MAX_LCORE);
}

/* ---- EAL ---- */

unsigned
crypto_lcores(const struct pst_config *cfg)
{
	unsigned n = 0;

	for (unsigned i = 0; i < cfg->crypto.nbackends; i++)
		n += lcores_of(&cfg->crypto.backends[i]);
	return n;
}

int
crypto_core(const struct pst_config *cfg, unsigned i)
{
	const struct pst_config_crypto_backend *b = cfg->crypto.backends;

	for (; i >= lcores_of(b); b++)
		i -= lcores_of(b);
	return i < b->ncores ? (int)b->cores[i] : -1;
}

enum pst_rc
crypto_eal_arg(const struct pst_config *cfg, unsigned backend, char flag[16], char *arg, size_t len)
{
	const struct pst_cryptodrv *drv = find_driver(cfg->crypto.backends[backend].driver);
	struct pst_cryptodrv_conf conf;

	if (drv->eal_args == NULL)
		return PST_AGAIN;
	describe(cfg, backend, &conf);
	return drv->eal_args(&conf, flag, arg, len);
}

/* ---- the engine ---- */

static void
wake(void *fabric, unsigned lane)
{
	pst_fabric_wake(fabric, lane);
}

struct pst_engine *
crypto_engine_new(const struct pst_config *cfg, struct pst_fabric *fabric, unsigned first,
	bool adaptive_idle, const struct pst_ossl_named *named, char *err, size_t errlen)
{
	static unsigned lcores[RTE_MAX_LCORE]; /* back-ends keep pointers into it */
	const struct pst_config_crypto *c = &cfg->crypto;
	struct pst_engine_conf conf = {.nlanes = cfg->dataplane.workers,
		.ops = c->ops,
		.jobs = c->jobs,
		.nbackends = c->nbackends,
		.tuning = c->tuning,
		.named = named != NULL ? pst_ossl_named_get(named) : NULL,
		.env = {.arg = fabric, .wake = wake, .adaptive_idle = adaptive_idle}};
	unsigned n = 0;

	for (unsigned i = 0; i < c->nbackends; i++) {
		struct pst_engine_backend *b = &conf.backends[i];

		describe(cfg, i, &b->conf);
		b->drv = find_driver(c->backends[i].driver);
		b->around = c->backends[i].around;
		b->conf.lcores = &lcores[n];
		for (unsigned k = 0; k < b->conf.nlcores; k++, n++)
			lcores[n] = first + n;
	}
	return pst_engine_new(&conf, err, errlen);
}
