/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a decision costs: pst_policy_rcpt (route, rule, map, lists, both legs) and
 * pst_policy_host, with as many rules as map entries. Usage: policy_lookup [--csv] [questions]
 *
 *   exact    the recipient's domain has a rule and an entry of its own
 *   parent   one of its parents has
 *   none     no rule matches: the default
 *   hostile  names of 126 labels, as a stranger may send them, and no rule for them
 *   nested   the operator's own worst case: patterns nested 44 deep on either side, each pair of
 *            them a rule (as far as there are rules), and names below all of them
 *
 * Questions come in a scattered order, so a large table pays its cache misses. Cycles are of
 * the time stamp counter. The tables of `nested` replace the last rules of the others.
 */
#include <malloc.h>
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

enum form { EXACT, PARENT, NONE, HOSTILE, NESTED, FORMS };
static const char *const form_names[FORMS] = {"exact", "parent", "none", "hostile", "nested"};

#define DEEP 44

/* ---- the tables ---- */

struct tables {
	unsigned n;
	struct pst_policy_rule *rules;
	struct pst_policy_entry *entries;
	char (*from)[128], (*to)[128], (*id)[12], (*key)[48];
};

static void *
some(size_t n, size_t size)
{
	void *p = calloc(n, size);

	if (p == NULL)
		exit(1);
	return p;
}

static void
nested(char *out, unsigned depth)
{
	out[0] = '*';
	for (unsigned k = 0; k < depth; k++) {
		out[1 + 2 * k] = '.';
		out[2 + 2 * k] = 'a';
	}
	out[1 + 2 * depth] = 0;
}

static void
fill_rule(struct tables *t, unsigned i)
{
	static const enum pst_sender_policy senders[] = {PST_SENDER_UNSET, PST_SENDER_OPTIONAL};
	bool own = i % 2 == 0;

	snprintf(t->id[i], sizeof(t->id[i]), "r%u", i);
	snprintf(t->from[i], sizeof(t->from[i]), i % 4 < 2 ? "*" : "*.customer%u.example", i);
	snprintf(t->to[i], sizeof(t->to[i]), own ? "host%u.example%u.net" : "*.sub%u.example.org",
		i, i % 977);
	snprintf(t->key[i], sizeof(t->key[i]), own ? "host%u.example%u.net" : ".sub%u.example.org",
		i, i % 977);
	t->rules[i] = (struct pst_policy_rule){.id = t->id[i],
		.from = t->from[i],
		.to = t->to[i],
		.sender = senders[i / 4 % 2],
		.recipient = PST_RECIPIENT_REQUIRED,
		.enabled = true};
	t->entries[i] = (struct pst_policy_entry){
		.destination = t->key[i], .level = own ? PST_LEVEL_SECURE : PST_LEVEL_ENCRYPT};
}

/*
 * Each pattern has a low rule with a stranger, so that none can be left out, and the pairs of
 * them are the last rules, the most special ones behind.
 */
static void
fill_nested(struct tables *t)
{
	unsigned i = t->n;

	for (unsigned k = 1; k <= DEEP && 2 * k < t->n; k++) {
		nested(t->from[2 * k - 2], k);
		snprintf(t->to[2 * k - 2], sizeof(t->to[0]), "other.example");
		snprintf(t->from[2 * k - 1], sizeof(t->from[0]), "other.example");
		nested(t->to[2 * k - 1], k);
	}
	for (unsigned f = DEEP; f > 0; f--)
		for (unsigned r = DEEP; r > 0 && i > 2 * DEEP; r--) {
			i--;
			nested(t->from[i], f);
			nested(t->to[i], r);
		}
}

static struct pst_policy *
build(struct tables *t, double *ms, double *bytes)
{
	static const struct pst_policy_route route[] = {{"*", 0}};
	static const struct pst_policy_next_hop hop[] = {{.name = "mx", .mx = true}};
	static const char *const never[] = {"192.0.2.0/24", "*.legacy.example", "mx.old.example"};
	struct pst_policy_conf c = {.nroutes = 1,
		.routes = route,
		.nnext_hops = 1,
		.next_hops = hop,
		.nrules = t->n,
		.rules = t->rules,
		.nentries = t->n,
		.entries = t->entries,
		.never = {PST_COUNT(never), never}};
	size_t before = mallinfo2().uordblks + mallinfo2().hblkhd;
	double start = now_ns();
	struct pst_policy *p = pst_policy_new(&c, NULL, NULL);

	if (p == NULL)
		exit(1);
	*ms = (now_ns() - start) / 1e6;
	*bytes = (double)(mallinfo2().uordblks + mallinfo2().hblkhd - before) / t->n;
	return p;
}

static struct tables
tables_new(unsigned n)
{
	struct tables t = {.n = n,
		.rules = some(n, sizeof(*t.rules)),
		.entries = some(n, sizeof(*t.entries)),
		.from = some(n, sizeof(*t.from)),
		.to = some(n, sizeof(*t.to)),
		.id = some(n, sizeof(*t.id)),
		.key = some(n, sizeof(*t.key))};

	for (unsigned i = 0; i < n; i++)
		fill_rule(&t, i);
	return t;
}

static void
tables_free(struct tables *t)
{
	free(t->rules);
	free(t->entries);
	free(t->from);
	free(t->to);
	free(t->id);
	free(t->key);
}

/* ---- the questions ---- */

static void
many_labels(char out[256], char label)
{
	for (unsigned k = 0; k < 251; k++)
		out[k] = k % 2 ? '.' : label;
	out[251] = 0;
}

static void
name_of(enum form form, unsigned i, char from[256], char to[256])
{
	switch (form) {
	case EXACT:
		i &= ~1u;
		snprintf(from, 256, "news.customer%u.example", i | 2u);
		snprintf(to, 256, "Host%u.Example%u.net", i, i % 977);
		break;
	case PARENT:
		i |= 1u;
		snprintf(from, 256, "a.b.customer%u.example", i | 2u);
		snprintf(to, 256, "mx%u.a.sub%u.example.org", i % 13, i);
		break;
	case NONE:
		snprintf(from, 256, "sender%u.test", i);
		snprintf(to, 256, "unknown%u.test", i);
		break;
	default:
		many_labels(from, form == NESTED ? 'a' : (char)('b' + i % 20));
		many_labels(to, form == NESTED ? 'a' : (char)('b' + i % 20));
		if (form == HOSTILE) {
			from[2 * (i % 100)] = 'z';
			to[2 * (i % 90)] = 'y';
		}
		break;
	}
}

/* Names lie one behind the other, as bytes that have just come in: they cost no cache misses. */
#define ASKED 65536
static char names[ASKED * 512];
static struct pst_span senders[ASKED], recipients[ASKED];

static struct pst_span
keep(char **at, const char *s)
{
	size_t n = strlen(s);

	memcpy(*at, s, n);
	*at += n;
	return pst_span(*at - n, n);
}

static void
fill_questions(enum form form, unsigned n)
{
	char from[256], to[256], *at = names;

	for (unsigned i = 0; i < ASKED; i++) {
		name_of(form, (unsigned)((uint64_t)i * 2654435761u % n), from, to);
		senders[i] = keep(&at, from);
		recipients[i] = keep(&at, to);
	}
}

static unsigned
ask(const struct pst_policy *p, unsigned i)
{
	struct pst_facts f = {.client_tls = true,
		.sender_known = true,
		.sender_domain = senders[i],
		.recipient_domain = recipients[i]};
	struct pst_host_facts h = {.domain = f.recipient_domain,
		.name = pst_span_str("mx1.provider.example"),
		.port = 25};
	struct pst_verdict v;
	struct pst_demand d;

	pst_policy_rcpt(p, &f, &v, NULL);
	h.next_hop = v.next_hop;
	pst_policy_host(p, &v.want, &h, &d, NULL);
	return (v.rule >= 0) + (d.level > PST_LEVEL_SECURE);
}

struct cost {
	double ns, cycles, found;
};

#define BATCH 256

static int
by_ns(const void *a, const void *b)
{
	const struct cost *x = a, *y = b;

	return (x->ns > y->ns) - (x->ns < y->ns);
}

/* The median of many batches in a row: the machine has other work too. */
static struct cost
run(const struct pst_policy *p, unsigned n, enum form form, unsigned questions)
{
	unsigned batches = questions / BATCH + 1;
	struct cost *c = some(batches, sizeof(*c)), median;
	unsigned hits = 0, i = 0;

	fill_questions(form, n);
	for (unsigned k = 0; k < batches; k++) {
		double t = now_ns();
		uint64_t cyc = cycles();

		for (unsigned q = 0; q < BATCH; q++, i++)
			hits += ask(p, i % ASKED);
		c[k].cycles = (double)(cycles() - cyc) / BATCH;
		c[k].ns = (now_ns() - t) / BATCH;
	}
	qsort(c, batches, sizeof(*c), by_ns);
	median = c[batches / 2];
	median.found = 100.0 * hits / i;
	free(c);
	return median;
}

static void
tell(bool csv, unsigned n, enum form form, const struct cost *c, double ms, double bytes)
{
	if (csv)
		printf("%u,%s,%.0f,%.0f,%.0f,%.2f,%.0f\n", n, form_names[form], c->ns, c->cycles,
			c->found, ms, bytes);
	else
		printf("%7u rules, %-8s %7.0f ns %7.0f cycles, %3.0f %% by a rule; compiled in "
		       "%.2f ms, %.0f bytes a rule and entry\n",
			n, form_names[form], c->ns, c->cycles, c->found, ms, bytes);
}

int
main(int argc, char **argv)
{
	static const unsigned sizes[] = {10, 1000, 100000};
	bool csv = argc > 1 && strcmp(argv[1], "--csv") == 0;
	unsigned questions = argc > 1 + csv ? (unsigned)atoi(argv[1 + csv]) : 200000;

	if (csv)
		puts("rules,form,ns,cycles,found_percent,compile_ms,bytes_per_rule");
	for (unsigned s = 0; s < PST_COUNT(sizes) && questions > 0; s++) {
		struct tables t = tables_new(sizes[s]);
		double ms, bytes;
		struct pst_policy *p = build(&t, &ms, &bytes);

		for (unsigned form = EXACT; form <= NESTED; form++) {
			struct cost c;

			if (form == NESTED) {
				pst_policy_free(p);
				fill_nested(&t);
				p = build(&t, &ms, &bytes);
			}
			c = run(p, sizes[s], (enum form)form,
				form < NESTED ? questions : questions / 50 + 1);
			tell(csv, sizes[s], (enum form)form, &c, ms, bytes);
		}
		pst_policy_free(p);
		tables_free(&t);
	}
	return 0;
}
