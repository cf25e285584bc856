/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sim [--seeds N] [--first S] [--bytes B] [--loss P] [--dup P] [--reorder P]
 *     [--corrupt P] [--delay MS] [--v6]       bulk transfers, one line a seed
 * sim --scene NAME|all [--seeds N] [--first S] the other scenarios, v4 and v6
 */
#include "sim.h"

#include <getopt.h>
#include <pst_test.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct options {
	unsigned seeds;
	uint64_t first;
	const char *scene;
	struct bulk_conf bulk;
};

static unsigned passed, failed;

static double
seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void
count(const char *fault)
{
	if (fault == NULL)
		passed++;
	else
		failed++;
}

static void
run_bulk(const struct options *o)
{
	for (uint64_t seed = o->first; seed < o->first + o->seeds; seed++) {
		struct bulk_conf conf = o->bulk;
		struct bulk_result r;
		double cpu = seconds();
		const char *fault;

		conf.sim.seed = seed;
		fault = bulk_run(&conf, &r);
		printf("seed %lu: %s  virtual %.1f s, %lu frames, %lu retransmitted, %lu timeouts, "
		       "%lu fast, %.2f s of processor\n",
			seed, fault ? fault : "ok", r.virtual_s - 1000, r.frames, r.retransmits,
			r.timeouts, r.fast, seconds() - cpu);
		fflush(stdout);
		count(fault);
	}
}

static void
run_scenes(const struct options *o)
{
	for (const struct scene *sc = scenes; sc->name != NULL; sc++) {
		if (strcmp(o->scene, "all") != 0 && strcmp(o->scene, sc->name) != 0)
			continue;
		for (uint64_t seed = o->first; seed < o->first + o->seeds; seed++)
			for (int v6 = 0; v6 < 2; v6++) {
				double cpu = seconds();
				const char *fault = sc->run(seed, v6);

				printf("%s seed %lu %s: %s  %.2f s of processor\n", sc->name, seed,
					v6 ? "v6" : "v4", fault ? fault : "ok", seconds() - cpu);
				fflush(stdout);
				count(fault);
			}
	}
}

static void
parse(struct options *o, int argc, char **argv)
{
	static const struct option names[] = {{"seeds", 1, NULL, 'n'}, {"first", 1, NULL, 'f'},
		{"bytes", 1, NULL, 'b'}, {"loss", 1, NULL, 'l'}, {"dup", 1, NULL, 'd'},
		{"reorder", 1, NULL, 'r'}, {"corrupt", 1, NULL, 'c'}, {"delay", 1, NULL, 'm'},
		{"v6", 0, NULL, '6'}, {"scene", 1, NULL, 's'}, {NULL, 0, NULL, 0}};
	struct wire_conf *w = &o->bulk.sim.wire;
	int k;

	while ((k = getopt_long(argc, argv, "", names, NULL)) != -1)
		switch (k) {
		case 'n':
			o->seeds = (unsigned)atoi(optarg);
			break;
		case 'f':
			o->first = strtoull(optarg, NULL, 10);
			break;
		case 'b':
			o->bulk.bytes = (uint64_t)strtod(optarg, NULL);
			break;
		case 'l':
			w->loss = atof(optarg);
			break;
		case 'd':
			w->dup = atof(optarg);
			break;
		case 'r':
			w->reorder = atof(optarg);
			break;
		case 'c':
			w->corrupt = atof(optarg);
			break;
		case 'm':
			w->delay = (uint64_t)(atof(optarg) * 1e6);
			break;
		case '6':
			o->bulk.sim.v6 = true;
			break;
		case 's':
			o->scene = optarg;
			break;
		default:
			exit(2);
		}
}

int
main(int argc, char **argv)
{
	struct options o = {.seeds = 1,
		.first = 1,
		.bulk.bytes = 10000000,
		.bulk.sim.wire = {.delay = 10 * PST_NS_PER_MS}};

	parse(&o, argc, argv);
	for (int i = 0; i < 2; i++)
		/* Ten losses in a row must not end a connection: the wire is meant to be bad. */
		o.bulk.sim.tcp[i].user_timeout_ms = 900000;
	pst_test_eal();
	if (o.scene != NULL)
		run_scenes(&o);
	else
		run_bulk(&o);
	printf("%u passed, %u failed\n", passed, failed);
	return failed != 0 || passed == 0;
}
