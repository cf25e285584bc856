/* SPDX-License-Identifier: BSD-3-Clause */
/* The crypto engine as text: settings, back-ends, operations, pools. */
#include <string.h>

#include "print.h"

static double
real(const json_t *obj, const char *key)
{
	return json_number_value(json_object_get(obj, key));
}

static void
print_settings(FILE *to, const json_t *s)
{
	const char *named = json_object_get(s, "engine") != NULL ? "engine" : "provider";

	if (json_object_get(s, named) != NULL) {
		fprintf(to, "OpenSSL %s ", named);
		put_clean(to, text_of(s, named));
		fputc('\n', to);
		return;
	}
	fprintf(to, "deadline %g ms, breaker opens after %lld, probes every %g s",
		real(s, "deadline") * 1000, number_of(s, "breaker_after"), real(s, "probe"));
	if (number_of(s, "min_rsa_bits") > 0)
		fprintf(to, ", RSA from %lld bits", number_of(s, "min_rsa_bits"));
	fputc('\n', to);
}

/* ---- back-ends ---- */

/* The element of that name. */
static const json_t *
find(const json_t *list, const char *name)
{
	const json_t *item;
	size_t i;

	json_array_foreach(list, i, item)
	{
		if (strcmp(text_of(item, "name"), name) == 0)
			return item;
	}
	return NULL;
}

static void
print_backend(FILE *to, const json_t *share, const json_t *own)
{
	fprintf(to, "%-16s  ", text_of(share, "name"));
	if (own != NULL)
		fprintf(to, "%-12s  ", text_of(own, "driver"));
	fprintf(to, "%-7s  %6lld  %10lld  %8lld  %8lld", text_of(share, "breaker"),
		number_of(share, "out"), number_of(share, "completed"), number_of(share, "failed"),
		number_of(share, "timeouts"));
	if (own != NULL)
		fprintf(to, "  %8.2f", real(own, "cpu"));
	if (own != NULL && json_object_get(own, "around") != NULL)
		fprintf(to, "  around %s, %lld spoiled", text_of(own, "around"),
			number_of(own, "injected"));
	fputc('\n', to);
}

/* own: what back-ends count themselves, for all workers; NULL: these are one worker's. */
static void
print_backends(FILE *to, const json_t *shares, const json_t *own)
{
	const json_t *share;
	size_t i;

	if (json_array_size(shares) == 0)
		return;
	fprintf(to, "\nback-end          %sbreaker     out   completed    failed  timeouts%s\n",
		own != NULL ? "driver        " : "", own != NULL ? "     cpu s" : "");
	json_array_foreach(shares, i, share)
		print_backend(to, share, own != NULL ? find(own, text_of(share, "name")) : NULL);
}

/* ---- operations ---- */

static void
print_order(FILE *to, const json_t *order)
{
	const json_t *name;
	size_t i;

	json_array_foreach(order, i, name)
	{
		fputs(i > 0 ? ", " : "  ", to);
		put_clean(to, json_is_string(name) ? json_string_value(name) : "?");
	}
}

static void
print_operations(FILE *to, const json_t *list, const json_t *orders)
{
	const json_t *op;
	size_t i;

	fprintf(to, "\noperation         asked   offloaded  mean wait%s\n",
		orders != NULL ? "  order" : "");
	json_array_foreach(list, i, op)
	{
		fprintf(to, "%-11s  %10lld  %10lld  ", text_of(op, "kind"), number_of(op, "asked"),
			number_of(op, "offloaded"));
		if (json_is_null(json_object_get(op, "mean_wait")))
			fputs("        -", to);
		else
			fprintf(to, "%6.0f us", real(op, "mean_wait") * 1e6);
		print_order(to, json_object_get(orders, text_of(op, "kind")));
		fputc('\n', to);
	}
}

/* ---- pools, counters ---- */

static void
print_pools(FILE *to, const json_t *pools)
{
	const json_t *ops = json_object_get(pools, "ops"), *jobs = json_object_get(pools, "jobs");

	fprintf(to, "\noperations  %lld, %lld free, %lld quarantined\n", number_of(ops, "total"),
		number_of(ops, "free"), number_of(ops, "quarantined"));
	fprintf(to, "jobs        %lld at most, %lld in use, %lld handshakes wait for one\n",
		number_of(jobs, "max"), number_of(jobs, "in_use"), number_of(jobs, "waiting"));
}

static void
print_counters(FILE *to, const json_t *counters, bool all)
{
	const char *name;
	json_t *c;
	bool any = false;

	json_object_foreach((json_t *)counters, name, c)
	{
		if (!all && number_of(c, "total") == 0)
			continue;
		fprintf(to, "%s%-14s  %12lld  %s\n", any ? "" : "\n", name, number_of(c, "total"),
			text_of(c, "help"));
		any = true;
	}
}

void
print_crypto(FILE *to, const json_t *r, const struct print_options *opt)
{
	const json_t *settings = json_object_get(r, "settings"), *total, *w;
	size_t i;

	total = json_object_get(r, "total");
	print_settings(to, settings);
	print_backends(to, json_object_get(total, "backends"), json_object_get(r, "backends"));
	print_operations(
		to, json_object_get(total, "operations"), json_object_get(settings, "operations"));
	print_pools(to, json_object_get(total, "pools"));
	print_counters(to, json_object_get(r, "counters"), opt->all);
	if (!opt->per_worker)
		return;
	json_array_foreach(json_object_get(r, "workers"), i, w)
	{
		fprintf(to, "\nworker %lld\n", number_of(w, "worker"));
		print_backends(to, json_object_get(w, "backends"), NULL);
		print_operations(to, json_object_get(w, "operations"), NULL);
		print_pools(to, json_object_get(w, "pools"));
	}
}
