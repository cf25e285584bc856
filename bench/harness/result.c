/* SPDX-License-Identifier: BSD-3-Clause */
#include "result.h"
#include "host.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define QUIET_SPREAD 0.15 /* differences below mean nothing on a shared machine */

bool
result_init(struct result *r, bool turns, bool latency)
{
	bool ok = true;

	*r = (struct result){0};
	if (turns)
		ok = (r->turns = pst_hist_new()) != NULL;
	for (unsigned i = 0; ok && latency && i < RESULT_LATENCIES; i++)
		ok = (r->latency[i] = pst_hist_new()) != NULL;
	if (!ok)
		result_fini(r);
	return ok;
}

void
result_fini(struct result *r)
{
	pst_hist_free(r->turns);
	for (unsigned i = 0; i < RESULT_LATENCIES; i++)
		pst_hist_free(r->latency[i]);
	*r = (struct result){0};
}

/* ---- what counts ---- */

bool
result_judge(struct result *r, unsigned want)
{
	unsigned good = 0;
	bool enough;

	for (unsigned i = 0; i < r->nruns; i++)
		good += !r->runs[i].disturbed;
	enough = good * 2 > want;
	for (unsigned i = 0; i < r->nruns; i++)
		r->runs[i].counted = !enough || !r->runs[i].disturbed;
	return enough;
}

static int
by_value(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static struct result_summary
summary(double *v, unsigned n)
{
	struct result_summary s = {.n = n};

	if (n == 0)
		return s;
	qsort(v, n, sizeof(*v), by_value);
	s.min = v[0];
	s.max = v[n - 1];
	s.median = (v[(n - 1) / 2] + v[n / 2]) / 2;
	return s;
}

struct result_summary
result_metric(const struct result *r, unsigned metric)
{
	double v[RESULT_RUNS];
	unsigned n = 0;

	for (unsigned i = 0; i < r->nruns; i++) {
		if (r->runs[i].counted && !isnan(r->runs[i].metric[metric]))
			v[n++] = r->runs[i].metric[metric];
	}
	return summary(v, n);
}

struct result_summary
result_layer(const struct result *r, unsigned layer)
{
	double v[RESULT_RUNS];
	unsigned n = 0;

	for (unsigned i = 0; i < r->nruns; i++) {
		if (r->runs[i].counted)
			v[n++] = r->runs[i].layer[layer];
	}
	return summary(v, n);
}

double
result_spread(const struct result *r)
{
	struct result_summary s = result_metric(r, 0);

	return s.n > 0 && s.median > 0 ? (s.max - s.min) / s.median : 0;
}

static unsigned
disturbed(const struct result *r)
{
	unsigned n = 0;

	for (unsigned i = 0; i < r->nruns; i++)
		n += r->runs[i].disturbed;
	return n;
}

bool
result_quiet(const struct result *r, unsigned want)
{
	return (r->nruns - disturbed(r)) * 2 > want && result_spread(r) <= QUIET_SPREAD;
}

/* ---- JSON ---- */

/* Six significant digits: more would be noise. */
static json_t *
figure(double v)
{
	char text[32];

	if (isnan(v) || isinf(v))
		return json_null();
	snprintf(text, sizeof(text), "%.6g", v);
	return json_real(strtod(text, NULL));
}

json_t *
result_document(const char *mode, int argc, char *const *argv, const char *driver)
{
	char now[32];
	json_t *doc, *command = json_array();

	for (int i = 0; i < argc; i++)
		json_array_append_new(command, json_string(argv[i]));
	host_time(now);
	doc = json_pack("{s:s, s:s, s:s, s:s, s:o, s:o, s:{}, s:[]}", "schema", "postern-bench/1",
		"mode", mode, "version", PST_VERSION, "started", now, "command", command, "host",
		host_json(driver), "params", "results");
	return doc;
}

void
result_param(json_t *doc, const char *name, json_t *value)
{
	json_object_set_new(json_object_get(doc, "params"), name, value);
}

static json_t *
metrics_json(const struct result *r)
{
	json_t *all = json_object();

	for (unsigned i = 0; r->metrics[i] != NULL; i++) {
		struct result_summary s = result_metric(r, i);

		if (s.n > 0)
			json_object_set_new(all, r->metrics[i],
				json_pack("{s:o, s:o, s:o}", "median", figure(s.median), "min",
					figure(s.min), "max", figure(s.max)));
	}
	return all;
}

static json_t *
layers_json(const struct result *r)
{
	json_t *all = json_object();

	for (unsigned i = PST_LAYER_RELAY; i < PST_LAYERS; i++) {
		double cycles = result_layer(r, i).median;

		json_object_set_new(all, pst_layer_names[i],
			json_pack("{s:o, s:o}", "cycles", figure(cycles), "us",
				figure(cycles * 1e6 / (double)pst_tsc_hz())));
	}
	return all;
}

static json_t *
hist_json(const struct pst_hist *h)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);
	json_t *o = NULL;

	if (f == NULL)
		return json_null();
	if (pst_hist_json(h, f) && fclose(f) == 0)
		o = json_loadb(text, len, 0, NULL);
	free(text);
	return o != NULL ? o : json_null();
}

static json_t *
latency_json(const struct result *r)
{
	static const char *const names[RESULT_LATENCIES] = {
		"session", "connect", "handshake", "message"};
	json_t *all = json_object();

	for (unsigned i = 0; i < RESULT_LATENCIES; i++) {
		if (r->latency[i] != NULL && r->latency[i]->n > 0)
			json_object_set_new(all, names[i], hist_json(r->latency[i]));
	}
	return all;
}

static json_t *
run_json(const struct result *r, const struct result_run *run)
{
	json_t *metrics = json_object(), *layers = json_object(), *o;

	for (unsigned i = 0; r->metrics[i] != NULL; i++)
		json_object_set_new(metrics, r->metrics[i], figure(run->metric[i]));
	for (unsigned i = PST_LAYER_RELAY; r->layers && i < PST_LAYERS; i++)
		json_object_set_new(layers, pst_layer_names[i], figure(run->layer[i]));
	o = json_pack("{s:o, s:o, s:b, s:s, s:b}", "metrics", metrics, "layers", layers,
		"disturbed", run->disturbed, "why", run->why, "counted", run->counted);
	return o;
}

void
result_add(json_t *doc, const struct result *r, unsigned want)
{
	json_t *runs = json_array(), *o;

	for (unsigned i = 0; i < r->nruns; i++)
		json_array_append_new(runs, run_json(r, &r->runs[i]));
	o = json_pack("{s:s, s:s, s:s, s:I, s:o, s:o, s:o, s:{s:o, s:i, s:i, s:b}}", "case",
		r->name, "title", r->title, "unit", r->unit, "units", (json_int_t)r->units,
		"metrics", metrics_json(r), "latency", latency_json(r), "runs", runs, "noise",
		"spread", figure(result_spread(r)), "disturbed", (int)disturbed(r), "repeated",
		(int)r->repeated, "quiet", result_quiet(r, want));
	if (r->layers)
		json_object_set_new(o, "layers", layers_json(r));
	if (r->turns != NULL && r->turns->n > 0)
		json_object_set_new(o, "turns", hist_json(r->turns));
	if (r->point.name != NULL)
		json_object_set_new(o, "point",
			json_pack("{s:s, s:o, s:s}", "name", r->point.name, "value",
				figure(r->point.value), "unit", r->point.unit));
	json_array_append_new(json_object_get(doc, "results"), o);
}

static void
add_noise(json_t *doc)
{
	json_t *r, *all = json_object_get(doc, "results");
	size_t i, loud = 0, n = json_array_size(all);
	char text[160] = "";

	json_array_foreach(all, i, r) loud +=
		json_is_false(json_object_get(json_object_get(r, "noise"), "quiet"));
	if (loud > 0)
		snprintf(text, sizeof(text),
			"%zu of %zu cases were disturbed or spread by more than %.0f %%: "
			"smaller differences mean nothing",
			loud, n, QUIET_SPREAD * 100);
	json_object_set_new(
		doc, "noise", json_pack("{s:b, s:s}", "quiet", loud == 0, "text", text));
}

bool
result_write(json_t *doc, const char *path, double seconds, char *err, size_t errlen)
{
	json_object_set_new(doc, "seconds", figure(seconds));
	add_noise(doc);
	if (path == NULL)
		return true;
	if (strcmp(path, "-") == 0 ? json_dumpf(doc, stdout, JSON_INDENT(1)) == 0
				   : json_dump_file(doc, path, JSON_INDENT(1)) == 0)
		return true;
	snprintf(err, errlen, "%s: cannot be written", path);
	return false;
}

/* ---- for people ---- */

static void
print_metrics(const struct result *r)
{
	for (unsigned i = 0; r->metrics[i] != NULL; i++) {
		struct result_summary s = result_metric(r, i);

		if (s.n > 0)
			printf("  %-18s %12.6g  (%.6g .. %.6g)\n", r->metrics[i], s.median, s.min,
				s.max);
	}
}

static void
print_hist(const char *name, const struct pst_hist *h)
{
	if (h == NULL || h->n == 0)
		return;
	printf("  %-18s p50 %.1f  p99 %.1f  p99.9 %.1f  max %.1f us  (%lu)\n", name,
		(double)pst_hist_percentile(h, 50) / 1e3, (double)pst_hist_percentile(h, 99) / 1e3,
		(double)pst_hist_percentile(h, 99.9) / 1e3, (double)h->max / 1e3,
		(unsigned long)h->n);
}

static void
print_layers(const struct result *r)
{
	printf("  %-18s", "us by layer");
	for (unsigned i = PST_LAYER_RELAY; i < PST_LAYERS; i++)
		printf(" %s %.1f", pst_layer_names[i],
			result_layer(r, i).median * 1e6 / (double)pst_tsc_hz());
	printf("\n");
}

void
result_print(const struct result *r, unsigned want)
{
	printf("%s: %s", r->name, r->title);
	if (r->point.name != NULL)
		printf(", %s %g %s", r->point.name, r->point.value, r->point.unit);
	printf("; per %s, %u repetitions%s\n", r->unit, r->nruns,
		result_quiet(r, want) ? "" : ", NOISY");
	print_metrics(r);
	if (r->layers)
		print_layers(r);
	print_hist("turns", r->turns);
	print_hist("session", r->latency[RESULT_SESSION]);
	print_hist("handshake", r->latency[RESULT_HANDSHAKE]);
	print_hist("message", r->latency[RESULT_MESSAGE]);
}
