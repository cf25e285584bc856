/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Route lookups in tables of several sizes. Usage: policy_lookup [lookups]
 *
 * Domains are asked in a scattered order, so a large table pays its cache misses.
 * Cycles are of the time stamp counter.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <pst_policy.h>
#if defined(__x86_64__)
#include <x86intrin.h>
#define cycles() __rdtsc()
#else
#define cycles() 0ull
#endif

static double
now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

enum form { EXACT, PARENT, ANY, HOSTILE };

static void
name_of(enum form form, unsigned i, char out[256])
{
	switch (form) {
	case EXACT:
		snprintf(out, 256, "Host%u.Example%u.net", i, i % 977);
		break;
	case PARENT:
		snprintf(out, 256, "mx%u.a.sub%u.example.org", i % 13, i);
		break;
	case ANY:
		snprintf(out, 256, "unknown%u.test", i);
		break;
	case HOSTILE: /* as many labels as a domain can have */
		for (unsigned k = 0; k < 252; k++)
			out[k] = k % 2 ? '.' : (char)('a' + (i + k) % 26);
		out[252] = 0;
		break;
	}
}

static struct pst_policy *
table(unsigned n)
{
	struct pst_policy_route *r = calloc(n + 1, sizeof(*r));
	char err[256], (*names)[64] = calloc(n + 1, sizeof(*names));
	struct pst_policy *p;

	if (r == NULL || names == NULL)
		exit(1);
	for (unsigned i = 0; i < n; i++) {
		if (i % 2 == 0)
			snprintf(names[i], sizeof(names[i]), "host%u.example%u.net", i, i % 977);
		else
			snprintf(names[i], sizeof(names[i]), "*.sub%u.example.org", i);
		r[i] = (struct pst_policy_route){names[i], i};
	}
	r[n] = (struct pst_policy_route){"*", n};
	p = pst_policy_new(r, n + 1, err, sizeof(err));
	if (p == NULL) {
		fprintf(stderr, "policy_lookup: %s\n", err);
		exit(1);
	}
	free(r);
	free(names);
	return p;
}

#define ASKED 65536

static void
run(const struct pst_policy *p, unsigned n, enum form form, unsigned lookups)
{
	static char names[ASKED][256];
	static size_t len[ASKED];
	static const char *const what[] = {"exact", "parent", "any", "126 labels"};
	unsigned hits = 0;
	uint64_t c;
	double t;

	for (unsigned i = 0; i < ASKED; i++) {
		unsigned which = (unsigned)((uint64_t)i * 2654435761u % n);

		name_of(form, form == EXACT ? which & ~1u : which | 1u, names[i]);
		len[i] = strlen(names[i]);
	}
	t = now_ns();
	c = cycles();
	for (unsigned i = 0; i < lookups; i++) {
		struct pst_facts f = {
			.recipient_domain = pst_span(names[i % ASKED], len[i % ASKED])};
		struct pst_verdict v;

		pst_policy_eval(p, &f, &v);
		hits += v.next_hop != n;
	}
	c = cycles() - c;
	t = now_ns() - t;
	printf("%7u routes, %-10s: %5.0f cycles, %4.0f ns, %3.0f %% found\n", n, what[form],
		(double)c / lookups, t / lookups, 100.0 * hits / lookups);
}

int
main(int argc, char **argv)
{
	unsigned lookups = argc > 1 ? (unsigned)atoi(argv[1]) : 1000000;
	static const unsigned sizes[] = {10, 1000, 100000};

	for (unsigned i = 0; i < PST_COUNT(sizes) && lookups > 0; i++) {
		double t = now_ns();
		struct pst_policy *p = table(sizes[i]);

		printf("%7u routes compiled in %.1f ms\n", sizes[i], (now_ns() - t) / 1e6);
		for (int form = EXACT; form <= HOSTILE; form++)
			run(p, sizes[i], form, lookups);
		pst_policy_free(p);
	}
	return 0;
}
