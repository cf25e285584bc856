/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * postern-bench ring: what the gateway's worker spends on a handshake, a message, a megabyte.
 *
 * Repetitions of the cases are interleaved, so that a slow minute of the machine meets all of
 * them; the first round warms up and does not count. What was disturbed is repeated, up to
 * as many times again.
 */
#include "bench.h"
#include "progress.h"
#include "ring_case.h"
#include "sweep.h"

#include <getopt.h>
#include <pst_crypto.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CASES_MAX     64
#define QUICK_SECONDS 90 /* --quick: then nothing is repeated any more */

struct options {
	struct ring_conf site;
	const char *json;
	const char *pattern;
	unsigned repetitions;
	double scale; /* of the sessions of a repetition */
	bool quick, quiet;
	/* Instead of what the cases have; 0: that. */
	unsigned concurrency, messages, sessions;
	size_t size;
};

static int
usage(FILE *to)
{
	fprintf(to, "usage: postern-bench ring [options]\n"
		    "  --quick          fewer repetitions: under two minutes\n"
		    "  --case REGEX     only cases whose name matches\n"
		    "  --list           names of the cases\n"
		    "  --repetitions N  of each case that count (default 7)\n"
		    "  --scale F        F times the sessions of each repetition\n"
		    "  --json FILE      write the results there (-: standard output)\n"
		    "  --set FILE       JSON merged over the gateway's configuration\n"
		    "  --lcores L,W...  core of the load, then of the gateway's workers\n"
		    "  --workers N      of the gateway (default 1)\n"
		    "  --poll           the gateway's workers never sleep\n"
		    "  --sink-key KIND  key of the next hop: p256, rsa2048, ... (default p256)\n"
		    "  --memory MB      for packets (default 1024)\n"
		    "  --size BYTES, --messages N, --concurrency N, --sessions N\n"
		    "                   instead of what the cases have\n"
		    "  --rules N        that no mail matches, in front of the policy (default 0)\n"
		    "  --sweep NAME=V,V the whole run once for each value of another option\n"
		    "  --silent         no table\n");
	return to == stderr ? 2 : 0;
}

static const struct option longer[] = {{"quick", no_argument, NULL, 'q'},
	{"case", required_argument, NULL, 'c'}, {"list", no_argument, NULL, 'l'},
	{"repetitions", required_argument, NULL, 'r'}, {"scale", required_argument, NULL, 'x'},
	{"json", required_argument, NULL, 'j'}, {"set", required_argument, NULL, 's'},
	{"lcores", required_argument, NULL, 'L'}, {"workers", required_argument, NULL, 'w'},
	{"poll", no_argument, NULL, 'p'}, {"sink-key", required_argument, NULL, 'k'},
	{"memory", required_argument, NULL, 'm'}, {"size", required_argument, NULL, 'z'},
	{"messages", required_argument, NULL, 'M'}, {"concurrency", required_argument, NULL, 'C'},
	{"sessions", required_argument, NULL, 'n'}, {"rules", required_argument, NULL, 'R'},
	{"silent", no_argument, NULL, 'S'}, {"help", no_argument, NULL, 'h'}, {NULL}};

static int
list_cases(void)
{
	for (const struct ring_case *c = ring_cases; c->name != NULL; c++)
		printf("%-28s %s\n", c->name, c->title);
	return 0;
}

/* -1: go on; else the exit status. */
static int
parse(int argc, char **argv, struct options *o)
{
	int opt;

	while ((opt = getopt_long(argc, argv, "h", longer, NULL)) != -1) {
		switch (opt) {
		case 'q':
			o->quick = true;
			o->repetitions = 3;
			o->scale = 0.5;
			break;
		case 'c':
			o->pattern = optarg;
			break;
		case 'l':
			return list_cases();
		case 'r':
			o->repetitions = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 'x':
			o->scale = strtod(optarg, NULL);
			break;
		case 'j':
			o->json = optarg;
			break;
		case 's':
			o->site.set = optarg;
			break;
		case 'L':
			o->site.lcores = optarg;
			break;
		case 'w':
			o->site.workers = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 'p':
			o->site.poll = true;
			break;
		case 'k':
			o->site.sink_key = optarg;
			break;
		case 'm':
			o->site.memory_mb = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 'S':
			o->quiet = true;
			break;
		case 'z':
			o->size = strtoull(optarg, NULL, 10);
			break;
		case 'M':
			o->messages = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 'C':
			o->concurrency = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 'n':
			o->sessions = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 'R':
			o->site.rules = (unsigned)strtoul(optarg, NULL, 10);
			break;
		default:
			return usage(opt == 'h' ? stdout : stderr);
		}
	}
	if (optind != argc || o->repetitions == 0 || o->repetitions > RESULT_RUNS / 2 ||
		!(o->scale > 0) || o->site.workers == 0 || o->site.workers > RING_WORKERS)
		return usage(stderr);
	return -1;
}

/* ---- the run ---- */

struct run {
	const struct options *o;
	struct ring_site site;
	struct ring_case cases[CASES_MAX]; /* as they are run */
	struct result results[CASES_MAX];
	unsigned n;
	struct progress progress;
	uint64_t began; /* ns */
	char err[512];
};

static struct ring_case
adapted(const struct options *o, const struct ring_case *c)
{
	struct ring_case k = *c;

	if (o->concurrency != 0)
		k.concurrency = o->concurrency;
	if (o->sessions != 0)
		k.sessions = o->sessions;
	if (k.messages > 0 && o->messages != 0)
		k.messages = o->messages;
	if (k.messages > 0 && o->size != 0)
		k.size = o->size;
	return k;
}

static bool
choose(struct run *u)
{
	const char *pattern = u->o->pattern != NULL ? u->o->pattern : "";
	regex_t re;

	if (regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB) != 0) {
		snprintf(u->err, sizeof(u->err), "--case %s: not a regular expression", pattern);
		return false;
	}
	for (const struct ring_case *c = ring_cases; c->name != NULL && u->n < CASES_MAX; c++) {
		struct result *r = &u->results[u->n];

		if (regexec(&re, c->name, 0, NULL, 0) != 0)
			continue;
		if (!result_init(r, c->unit != RING_PER_IDLE, c->unit != RING_PER_IDLE))
			break;
		snprintf(r->name, sizeof(r->name), "%s", c->name);
		snprintf(r->title, sizeof(r->title), "%s", c->title);
		r->unit = ring_unit_name(c->unit);
		r->layers = c->unit != RING_PER_IDLE;
		r->metrics = r->layers ? ring_metrics : ring_idle_metrics;
		u->cases[u->n++] = adapted(u->o, c);
	}
	regfree(&re);
	if (u->n == 0)
		snprintf(u->err, sizeof(u->err), "--case %s: no such case", pattern);
	return u->n > 0;
}

/* Certificates are made for what is run: an RSA-4096 key takes its time. */
static void
needed(struct run *u)
{
	for (unsigned i = 0; i < u->n; i++)
		u->site.conf.listeners |= 1u << u->cases[i].listener;
}

static unsigned
sessions(const struct run *u, unsigned i)
{
	double n = (double)u->cases[i].sessions * u->o->scale;

	return n < 2 ? 2 : (unsigned)n;
}

static bool
repeat(struct run *u, unsigned i, bool record)
{
	struct result *r = &u->results[i];
	struct result_run run;
	char why[400];

	const struct ring_case *c = &u->cases[i];

	r->units = sessions(u, i) * PST_MAX(c->messages, 1u);
	if (!ring_measure(&u->site, c, sessions(u, i), r, record, &run, why, sizeof(why))) {
		snprintf(u->err, sizeof(u->err), "%s: %s", c->name, why);
		return false;
	}
	if (record)
		r->runs[r->nruns++] = run;
	progress_step(&u->progress, c->name);
	return true;
}

/* Is there time left for repeating what was disturbed? */
static bool
may_repeat(const struct run *u)
{
	return !u->o->quick || pst_now_ns() - u->began < QUICK_SECONDS * PST_NS_PER_SEC;
}

static bool
measure_all(struct run *u)
{
	unsigned want = u->o->repetitions;

	progress_begin(&u->progress, u->n * (want + 1), !u->o->quiet);
	for (unsigned k = 0; k <= want; k++) {
		for (unsigned i = 0; i < u->n; i++) {
			if (!repeat(u, i, k > 0))
				return false;
		}
	}
	for (unsigned k = 0; k < want; k++) {
		for (unsigned i = 0; i < u->n; i++) {
			if (u->results[i].nruns >= RESULT_RUNS ||
				result_quiet(&u->results[i], want) || !may_repeat(u))
				continue;
			progress_more(&u->progress, 1);
			u->results[i].repeated++;
			if (!repeat(u, i, true))
				return false;
		}
	}
	for (unsigned i = 0; i < u->n; i++)
		(void)result_judge(&u->results[i], want);
	progress_end(&u->progress);
	return true;
}

static void
params(const struct run *u, json_t *doc)
{
	const struct options *o = u->o;

	result_param(doc, "repetitions", json_integer(o->repetitions));
	result_param(doc, "scale", json_real(o->scale));
	result_param(doc, "rules", json_integer(o->site.rules));
	result_param(doc, "workers", json_integer(u->site.conf.workers));
	result_param(doc, "idle", json_string(o->site.poll ? "busy" : "adaptive"));
	result_param(
		doc, "lcores", json_string(o->site.lcores != NULL ? o->site.lcores : "chosen"));
	result_param(doc, "set", o->site.set != NULL ? json_string(o->site.set) : json_null());
	result_param(
		doc, "sink_key", json_string(o->site.sink_key != NULL ? o->site.sink_key : "p256"));
}

static bool
report(struct run *u, int argc, char **argv, double seconds)
{
	json_t *doc = result_document("ring", argc, argv, "net_ring");
	unsigned want = u->o->repetitions;
	bool ok;

	params(u, doc);
	for (unsigned i = 0; i < u->n; i++) {
		result_add(doc, &u->results[i], want);
		if (!u->o->quiet)
			result_print(&u->results[i], want);
	}
	ok = result_write(doc, u->o->json, seconds, u->err, sizeof(u->err));
	json_decref(doc);
	return ok;
}

int
ring_main(int argc, char **argv)
{
	struct options o = {.site.workers = 1, .repetitions = 7, .scale = 1};
	static struct run u;
	uint64_t t0 = pst_now_ns();
	bool ok;
	int code;

	if (sweep_wanted(argc, argv))
		return sweep_main(argc, argv);
	code = parse(argc, argv, &o);
	if (code >= 0)
		return code;
	(void)pst_crypto_count_memory(); /* before anything else touches OpenSSL */
	u.o = &o;
	u.began = t0;
	u.site.conf = o.site;
	ok = choose(&u);
	needed(&u);
	ok = ok && ring_site_start(&u.site, u.err, sizeof(u.err)) == PST_OK && measure_all(&u) &&
	     report(&u, argc, argv, (double)(pst_now_ns() - t0) / 1e9);
	if (!ok)
		fprintf(stderr, "postern-bench: %s\n", u.err);
	for (unsigned i = 0; i < u.n; i++)
		result_fini(&u.results[i]);
	ring_site_stop(&u.site);
	return ok ? 0 : 1;
}
