/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A snapshot: a configuration compiled for use. Built and freed on the main
 * thread; between that, read-only, but for the TLS contexts, each of which only
 * its worker touches.
 */
#include "relay.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- route classes ---- */

static void
key_field(FILE *f, const char *name, const char *value)
{
	fprintf(f, "%s=%zu:%s;", name, value != NULL ? strlen(value) : 0,
		value != NULL ? value : "");
}

/* Everything that makes two connections differ; lengths keep the fields apart. */
static char *
class_key(const struct pst_config_next_hop *c)
{
	char *text = NULL, ip[PST_IP_STRLEN];
	size_t n = 0;
	FILE *f = open_memstream(&text, &n);

	if (f == NULL)
		return NULL;
	for (unsigned i = 0; i < c->nhosts; i++) {
		key_field(f, "host", c->hosts[i].name);
		fprintf(f, "at=%s,%u,%u;", pst_ip_str(&c->hosts[i].address, ip), c->hosts[i].port,
			c->hosts[i].priority);
	}
	fprintf(f, "tls=%d,%d,%d,%u,%u;", c->tls, c->tls_required, c->verify, c->profile_min,
		c->profile_max);
	key_field(f, "ca", c->ca_file);
	key_field(f, "name", c->verify_name);
	key_field(f, "helo", c->helo);
	key_field(f, "ciphers", c->ciphers);
	key_field(f, "suites", c->ciphersuites);
	key_field(f, "groups", c->groups);
	fclose(f);
	return text;
}

static enum pst_rc
class_init(struct route_class *rc, const struct pst_config_next_hop *c)
{
	rc->hop = c;
	rc->key = class_key(c);
	rc->hosts = calloc(c->nhosts, sizeof(*rc->hosts));
	if (rc->key == NULL || rc->hosts == NULL)
		return PST_NOMEM;
	for (unsigned i = 0; i < c->nhosts; i++)
		rc->hosts[i] = (struct pst_names_host){
			.name = c->hosts[i].name,
			.has_addr = true,
			.addr = c->hosts[i].address,
			.port = c->hosts[i].port,
			.priority = c->hosts[i].priority,
		};
	return PST_OK;
}

/* ---- TLS ---- */

/* A profile's contexts are made here for the check and for every worker alike. */
struct tls_maker {
	const struct pst_config *cfg;
	struct pst_crypto *crypto;
	const uint8_t *ticket_key;
	char err[512];     /* of the last failure */
	char pointer[256]; /* where */
};

static void
maker_fault(struct tls_maker *mk, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(mk->pointer, sizeof(mk->pointer), fmt, ap);
	va_end(ap);
}

static enum pst_rc
load_cert(struct tls_maker *mk, unsigned index, struct pst_cert **out)
{
	const struct pst_config_certificate *c = &mk->cfg->certificates[index];
	enum pst_rc rc = pst_cert_load(mk->crypto, c->chain, c->key, out, mk->err, sizeof(mk->err));

	if (rc != PST_OK)
		maker_fault(mk, "/certificates/%s", c->name);
	return rc;
}

static struct pst_tls_ctx *
listener_ctx(struct tls_maker *mk, unsigned profile)
{
	const struct pst_config_tls_profile *p = &mk->cfg->profiles[profile];
	struct pst_tls_conf conf = {
		.side = PST_TLS_SERVER,
		.min_version = p->min_version,
		.max_version = p->max_version,
		.ciphers = p->ciphers,
		.ciphersuites = p->ciphersuites,
		.groups = p->groups,
		.tickets = p->tickets,
		.ticket_key = mk->ticket_key,
		.alpn_smtp = true,
		.session_id_context = p->name,
	};
	struct pst_tls_ctx *ctx = NULL;

	for (; conf.ncerts < p->ncertificates && conf.ncerts < PST_TLS_MAX_CERTS; conf.ncerts++) {
		if (load_cert(mk, p->certificates[conf.ncerts], &conf.certs[conf.ncerts]) != PST_OK)
			goto out;
	}
	ctx = pst_tls_ctx_new(mk->crypto, &conf, mk->err, sizeof(mk->err));
	if (ctx == NULL)
		maker_fault(mk, "/tls_profiles/%s", p->name);
out:
	for (unsigned i = 0; i < conf.ncerts; i++)
		pst_cert_free(conf.certs[i]);
	return ctx;
}

static struct pst_tls_ctx *
hop_ctx(struct tls_maker *mk, const struct pst_config_next_hop *c)
{
	struct pst_tls_conf conf = {
		.side = PST_TLS_CLIENT,
		.min_version = (uint16_t)c->profile_min,
		.max_version = (uint16_t)c->profile_max,
		.ciphers = c->ciphers,
		.ciphersuites = c->ciphersuites,
		.groups = c->groups,
		.verify = c->verify ? PST_TLS_VERIFY_NAME : PST_TLS_VERIFY_OFF,
		.ca_file = c->ca_file,
	};
	struct pst_tls_ctx *ctx = pst_tls_ctx_new(mk->crypto, &conf, mk->err, sizeof(mk->err));

	if (ctx == NULL)
		maker_fault(mk, "/next_hops/%s", c->name);
	return ctx;
}

/* -1: this listener has no TLS. */
static int
listener_profile(const struct pst_config *cfg, const struct pst_config_listener *ln)
{
	const struct pst_config_action *a = &cfg->actions[ln->action];

	if (ln->tls == PST_CONFIG_TLS_NONE || !a->inspect)
		return -1;
	return ln->tls == PST_CONFIG_TLS_IMPLICIT ? a->implicit_profile : a->starttls_profile;
}

static enum pst_rc
worker_tls_init(struct worker_tls *w, struct tls_maker *mk)
{
	const struct pst_config *cfg = mk->cfg;

	mk->crypto = w->crypto = pst_crypto_new(mk->err, sizeof(mk->err));
	w->listener = calloc(cfg->nlisteners + 1, sizeof(*w->listener));
	w->hop = calloc(cfg->nnext_hops + 1, sizeof(*w->hop));
	if (w->crypto == NULL || w->listener == NULL || w->hop == NULL)
		return PST_NOMEM;
	for (unsigned i = 0; i < cfg->nlisteners; i++) {
		int p = listener_profile(cfg, &cfg->listeners[i]);

		if (p >= 0 && (w->listener[i] = listener_ctx(mk, (unsigned)p)) == NULL)
			return PST_INVAL;
	}
	for (unsigned i = 0; i < cfg->nnext_hops; i++) {
		if (cfg->next_hops[i].tls == PST_CONFIG_TLS_NONE)
			continue;
		if ((w->hop[i] = hop_ctx(mk, &cfg->next_hops[i])) == NULL)
			return PST_INVAL;
	}
	return PST_OK;
}

static void
worker_tls_fini(struct worker_tls *w, const struct pst_config *cfg)
{
	for (unsigned i = 0; w->listener != NULL && i < cfg->nlisteners; i++) {
		if (w->listener[i] != NULL)
			pst_tls_ctx_put(w->listener[i]);
	}
	for (unsigned i = 0; w->hop != NULL && i < cfg->nnext_hops; i++) {
		if (w->hop[i] != NULL)
			pst_tls_ctx_put(w->hop[i]);
	}
	free(w->listener);
	free(w->hop);
	if (w->crypto != NULL)
		pst_crypto_free(w->crypto);
}

static struct pst_policy *
compile_policy(const struct pst_config *cfg, char *err, size_t errlen)
{
	struct pst_policy_route *routes = calloc(cfg->nroutes + 1, sizeof(*routes));
	struct pst_policy *p;

	if (routes == NULL)
		return NULL;
	for (unsigned i = 0; i < cfg->nroutes; i++)
		routes[i] = (struct pst_policy_route){
			.domain = cfg->routes[i].domain, .next_hop = cfg->routes[i].next_hop};
	p = pst_policy_new(routes, cfg->nroutes, err, errlen);
	free(routes);
	return p;
}

/* Tries every part by itself, so that one fault does not hide another. */
unsigned
snapshot_check(const struct pst_config *cfg, pst_relay_report_fn *report, void *arg)
{
	struct tls_maker mk = {.cfg = cfg};
	struct pst_policy *policy;
	unsigned faults = 0;

	mk.crypto = pst_crypto_new(mk.err, sizeof(mk.err));
	if (mk.crypto == NULL) {
		report(arg, "", mk.err);
		return 1;
	}
	for (unsigned i = 0; i < cfg->ncertificates; i++) {
		struct pst_cert *cert = NULL;

		mk.err[0] = '\0';
		if (load_cert(&mk, i, &cert) == PST_OK)
			pst_cert_free(cert);
		else
			report(arg, mk.pointer, mk.err), faults++;
	}
	for (unsigned i = 0; faults == 0 && i < cfg->nprofiles; i++) {
		struct pst_tls_ctx *ctx = listener_ctx(&mk, i);

		if (ctx != NULL)
			pst_tls_ctx_put(ctx);
		else
			report(arg, mk.pointer, mk.err), faults++;
	}
	for (unsigned i = 0; i < cfg->nnext_hops; i++) {
		struct pst_tls_ctx *ctx;

		if (cfg->next_hops[i].tls == PST_CONFIG_TLS_NONE)
			continue;
		ctx = hop_ctx(&mk, &cfg->next_hops[i]);
		if (ctx != NULL)
			pst_tls_ctx_put(ctx);
		else
			report(arg, mk.pointer, mk.err), faults++;
	}
	pst_crypto_free(mk.crypto);
	policy = compile_policy(cfg, mk.err, sizeof(mk.err));
	if (policy != NULL)
		pst_policy_free(policy);
	else
		report(arg, "/routes", mk.err), faults++;
	return faults;
}

/* ---- the whole ---- */

struct snapshot *
snapshot_new(const struct pst_config *cfg, unsigned nworkers, const uint8_t ticket_key[80],
	char *err, size_t errlen)
{
	struct tls_maker mk = {.cfg = cfg, .ticket_key = ticket_key};
	struct snapshot *sn = calloc(1, sizeof(*sn));

	snprintf(err, errlen, "out of memory");
	if (sn == NULL)
		return NULL;
	sn->cfg = cfg;
	sn->nworkers = nworkers;
	sn->classes = calloc(cfg->nnext_hops + 1, sizeof(*sn->classes));
	sn->tls = calloc(nworkers, sizeof(*sn->tls));
	if (sn->classes == NULL || sn->tls == NULL)
		goto fail;
	sn->policy = compile_policy(cfg, err, errlen);
	if (sn->policy == NULL)
		goto fail;
	for (unsigned i = 0; i < cfg->nnext_hops; i++) {
		if (class_init(&sn->classes[i], &cfg->next_hops[i]) != PST_OK)
			goto fail;
	}
	for (unsigned w = 0; w < nworkers; w++) {
		if (worker_tls_init(&sn->tls[w], &mk) != PST_OK) {
			snprintf(err, errlen, "%s: %s", mk.pointer, mk.err);
			goto fail;
		}
	}
	return sn;
fail:
	snapshot_free(sn);
	return NULL;
}

void
snapshot_free(struct snapshot *sn)
{
	if (sn == NULL)
		return;
	for (unsigned w = 0; sn->tls != NULL && w < sn->nworkers; w++)
		worker_tls_fini(&sn->tls[w], sn->cfg);
	for (unsigned i = 0; sn->classes != NULL && i < sn->cfg->nnext_hops; i++) {
		free(sn->classes[i].key);
		free(sn->classes[i].hosts);
	}
	if (sn->policy != NULL)
		pst_policy_free(sn->policy);
	free(sn->classes);
	free(sn->tls);
	free(sn);
}
