/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Checks of crypto: its names, and what the model says about drivers. Turns the order of
 * back-ends into what the engine takes. See config_check.c.
 */
#include "config_keys.h"

/* ---- back-ends ---- */

void
pst_check_crypto_backend(struct pst_config_walk *w, const json_t *obj, void *at)
{
	struct pst_config_crypto_backend *b = at;

	if (pst_same_text(b->name, PST_CRYPTO_SYNC))
		pst_config_fault(w, NULL,
			"\"" PST_CRYPTO_SYNC "\" is the worker itself; choose another name");
	if (!pst_said(obj, "lcores"))
		b->lcores = b->ncores;
	else if (b->ncores != 0 && b->lcores > b->ncores && !pst_config_faulty(w, w->pointer))
		pst_config_fault(
			w, "cores", "%u cores are too few for %u lcores", b->ncores, b->lcores);
}

static int
find_backend(const struct pst_config_crypto *c, const char *name)
{
	for (unsigned i = 0; i < c->nbackends; i++)
		if (pst_same_text(c->backends[i].name, name))
			return (int)i;
	return -1;
}

/* The back-end that wraps this one, and has it for itself; NULL: none. */
static const struct pst_config_crypto_backend *
wrapper(const struct pst_config_crypto *c, unsigned backend)
{
	for (unsigned i = 0; i < c->nbackends; i++)
		if (pst_same_text(c->backends[i].around, c->backends[backend].name))
			return &c->backends[i];
	return NULL;
}

/* A wrapper is opened behind what it wraps. */
static void
check_around(struct pst_config_walk *w, const struct pst_config_crypto *c, unsigned i)
{
	const char *name = c->backends[i].around;
	int inner = find_backend(c, name);

	if (name == NULL)
		return;
	if (inner < 0)
		pst_config_fault(w, "around", "there is no crypto back-end \"%s\"", name);
	else if ((unsigned)inner == i)
		pst_config_fault(w, "around", "is the back-end itself");
	else if ((unsigned)inner > i)
		pst_config_fault(
			w, "around", "back-end \"%s\" stands below this one; put it above", name);
	else if (wrapper(c, (unsigned)inner) != &c->backends[i])
		pst_config_fault(w, "around", "back-end \"%s\" is wrapped already", name);
}

static void
check_cores(struct pst_config_walk *w, const struct pst_config_crypto *c, unsigned i)
{
	const struct pst_config_crypto_backend *b = &c->backends[i];
	size_t was = pst_config_enter(w, "cores");

	for (unsigned k = 1; k < b->ncores; k++) {
		size_t list = pst_config_enter_index(w, k);
		for (unsigned j = 0; j < k; j++)
			if (b->cores[j] == b->cores[k] && !pst_config_faulty(w, w->pointer))
				pst_config_fault(w, NULL, "core %u is there already", b->cores[k]);
		pst_config_leave(w, list);
	}
	pst_config_leave(w, was);
}

void
pst_check_crypto(struct pst_config_walk *w, const json_t *obj, void *at)
{
	struct pst_config_crypto *c = at;
	const struct pst_config_crypto_named *named = &c->named;
	size_t was = pst_config_enter(w, "backends"), one;

	(void)obj;
	for (unsigned i = 0; i < c->nbackends; i++) {
		one = pst_config_enter(w, c->backends[i].name != NULL ? c->backends[i].name : "");
		check_around(w, c, i);
		check_cores(w, c, i);
		pst_config_leave(w, one);
	}
	if (c->nbackends > PST_ENGINE_BACKENDS)
		pst_config_fault(w, NULL, "holds at most %u", PST_ENGINE_BACKENDS);
	pst_config_leave(w, was);
	c->tuning.deadline_us = c->deadline_ms * 1000;
	if (json_object_get(obj, "named") == NULL || pst_config_faulty(w, "/crypto/named"))
		return;
	if ((named->engine == NULL) == (named->provider == NULL))
		pst_config_fault(w, "named", "needs one of \"engine\" and \"provider\"");
	if (c->nbackends > 0)
		pst_config_fault(w, "named",
			"takes the place of back-ends: there are either these or those");
}

/* ---- operations ---- */

static bool
named_before(const struct pst_config_crypto_order *order, unsigned i)
{
	for (unsigned j = 0; j < i; j++)
		if (pst_same_text(order->names[j], order->names[i]))
			return true;
	return false;
}

/* The order as indices, up to "sync", which can do anything. Returns how many. */
static unsigned
resolve(struct pst_config_walk *w, const struct pst_config_crypto *c,
	const struct pst_config_crypto_order *order, const char *key,
	uint8_t routes[PST_ENGINE_BACKENDS])
{
	size_t was = pst_config_enter(w, key);
	bool quiet = pst_config_faulty(w, w->pointer), ended = false;
	unsigned n = 0;

	for (unsigned i = 0; i < order->n && !quiet; i++) {
		size_t list = pst_config_enter_index(w, i);
		int b = find_backend(c, order->names[i]);

		ended |= strcmp(order->names[i], PST_CRYPTO_SYNC) == 0;
		if (named_before(order, i))
			pst_config_fault(w, NULL, "\"%s\" is there already", order->names[i]);
		else if (b < 0 && strcmp(order->names[i], PST_CRYPTO_SYNC) != 0)
			pst_config_fault(
				w, NULL, "there is no crypto back-end \"%s\"", order->names[i]);
		else if (b >= 0 && wrapper(c, (unsigned)b) != NULL)
			pst_config_fault(w, NULL, "back-end \"%s\" is wrapped by \"%s\": name that",
				order->names[i], wrapper(c, (unsigned)b)->name);
		else if (!ended && b < PST_ENGINE_BACKENDS)
			routes[n++] = (uint8_t)b;
		pst_config_leave(w, list);
	}
	pst_config_leave(w, was);
	return n;
}

/* Whoever configures back-ends and says no more means them to be used. */
static unsigned
all_backends(const struct pst_config_crypto *c, uint8_t routes[PST_ENGINE_BACKENDS])
{
	unsigned n = 0;

	for (unsigned i = 0; i < c->nbackends && i < PST_ENGINE_BACKENDS; i++)
		if (wrapper(c, i) == NULL)
			routes[n++] = (uint8_t)i;
	return n;
}

void
pst_check_operations(struct pst_config_walk *w, const json_t *obj, void *at)
{
	struct pst_config_crypto *c = at;
	struct pst_engine_tuning *t = &c->tuning;
	uint8_t usual[PST_ENGINE_BACKENDS];
	unsigned n = pst_said(obj, "default") ? resolve(w, c, &c->usual, "default", usual)
					      : all_backends(c, usual);

	for (unsigned k = 0; k < PST_OP_KINDS; k++) {
		const char *name = pst_operation_keys[1 + k].name;

		if (pst_said(obj, name)) {
			t->nroutes[k] = resolve(w, c, &c->order[k], name, t->routes[k]);
			continue;
		}
		t->nroutes[k] = n;
		memcpy(t->routes[k], usual, n);
	}
}

/* ---- the model ---- */

#define NAMED "named" /* among drivers: the OpenSSL engine or provider */

static bool
is_forbidden(const struct pst_config_model *m, const char *driver)
{
	for (unsigned i = 0; i < m->ncrypto_forbid; i++)
		if (pst_same_text(m->crypto_forbid[i], driver))
			return true;
	return false;
}

static bool
is_named(const struct pst_config_crypto *c)
{
	return c->named.engine != NULL || c->named.provider != NULL;
}

/* Does it, or what it wraps, have this driver? */
static bool
has_driver(const struct pst_config_crypto *c, int backend, const char *driver)
{
	for (; backend >= 0; backend = find_backend(c, c->backends[backend].around))
		if (pst_same_text(c->backends[backend].driver, driver))
			return true;
	return false;
}

/* Some operation goes there, at least if what is before it cannot do it. */
static bool
uses_driver(const struct pst_config_crypto *c, const char *driver)
{
	const struct pst_engine_tuning *t = &c->tuning;

	for (unsigned k = 0; k < PST_OP_KINDS; k++)
		for (unsigned i = 0; i < t->nroutes[k]; i++)
			if (has_driver(c, t->routes[k][i], driver))
				return true;
	return strcmp(driver, NAMED) == 0 && is_named(c);
}

static void
gate_forbidden(
	struct pst_config_walk *w, const struct pst_config *c, const struct pst_config_model *m)
{
	size_t was = pst_config_enter(w, "backends");

	for (unsigned i = 0; i < c->crypto.nbackends; i++) {
		const struct pst_config_crypto_backend *b = &c->crypto.backends[i];
		size_t one = pst_config_enter(w, b->name != NULL ? b->name : "");

		if (is_forbidden(m, b->driver))
			pst_config_fault(w, "driver", "model %s forbids crypto driver \"%s\"",
				c->model, b->driver);
		pst_config_leave(w, one);
	}
	pst_config_leave(w, was);
	if (is_forbidden(m, NAMED) && is_named(&c->crypto))
		pst_config_fault(
			w, "named", "model %s forbids an OpenSSL engine or provider", c->model);
}

void
pst_gate_crypto(
	struct pst_config_walk *w, const struct pst_config *c, const struct pst_config_model *m)
{
	size_t was;

	if (pst_config_faulty(w, "/crypto"))
		return;
	was = pst_config_enter(w, "crypto");
	gate_forbidden(w, c, m);
	if (m->crypto_require != NULL && !uses_driver(&c->crypto, m->crypto_require))
		pst_config_fault(w, NULL,
			"model %s requires crypto driver \"%s\", and no operation goes to a "
			"back-end of it",
			c->model, m->crypto_require);
	pst_config_leave(w, was);
}
