/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rules, map lines, list entries, routes and questions as text, a line each:
 *
 *   r FROM TO SENDER RECIPIENT [off]     m a line of a Postfix tls_policy table
 *   n, y an entry of the list never, required     d DOMAIN HOP (0..3)
 *   ? FROM TO HOST ADDRESS PORT
 *
 * What compiles answers every question, with and without a trace alike; the rule that decides is
 * the first of those that would decide alone; canonical forms are their own canonical form.
 */
#include <pst_policy.h>

#include <stdio.h>
#include <stdlib.h>

#define CHECK(x)                                                                                   \
	do {                                                                                       \
		if (!(x)) {                                                                        \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #x);                    \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MAX   24
#define WORDS 6

struct world {
	struct pst_policy_rule rules[MAX];
	struct pst_policy_entry entries[MAX];
	const char *match[MAX][PST_MATCH_MAX];
	struct pst_policy_route routes[MAX];
	const char *never[MAX], *required[MAX];
	struct {
		struct pst_span from, to, host;
		struct pst_ip ip;
		uint16_t port;
	} asked[MAX];
	unsigned nasked;
	char ids[MAX][4];
	char *kept[MAX * 40];
	unsigned nkept;
	struct pst_policy_conf c;
};

/* Memory of exactly that length, so that a read beyond it shows. */
static char *
keep(struct world *w, struct pst_span s)
{
	char *out = malloc(s.n + 1);

	CHECK(out != NULL && w->nkept < MAX * 40);
	if (s.n > 0)
		memcpy(out, s.p, s.n);
	out[s.n] = 0;
	return w->kept[w->nkept++] = out;
}

static unsigned
words_of(struct pst_span s, struct pst_span out[WORDS])
{
	unsigned n = 0;
	size_t i = 0;

	while (n < WORDS) {
		size_t a;

		while (i < s.n && s.p[i] == ' ')
			i++;
		for (a = i; i < s.n && s.p[i] != ' ';)
			i++;
		if (a == i)
			break;
		out[n++] = pst_span(s.p + a, i - a);
	}
	return n;
}

static void
check_domain(struct pst_span s)
{
	char once[PST_DOMAIN_TEXT], twice[PST_DOMAIN_TEXT];

	if (!pst_policy_domain(s, once))
		return;
	if (once[0] != 0 && once[strlen(once) - 1] == '.')
		return; /* "a..": each time one dot less */
	CHECK(pst_policy_domain(pst_span_str(once), twice));
	/* An address in brackets loses its "IPv6:", all else stays. */
	CHECK(strcmp(once, twice) == 0);
}

static void
check_rule(const struct pst_policy_rule *r)
{
	char line[1200], again[1200], from[600], to[600];
	struct pst_policy_rule canonical = *r;
	const char *why = NULL;
	int n = pst_rule_format(r, line, sizeof(line), &why);

	CHECK((n < 0) == (why != NULL));
	if (n < 0)
		return;
	CHECK((size_t)n == strlen(line));
	CHECK(sscanf(line, "%599s %599s", from, to) == 2);
	canonical.from = from;
	canonical.to = to;
	CHECK(pst_rule_format(&canonical, again, sizeof(again), &why) == n);
	CHECK(strcmp(line, again) == 0);
}

static void
take_rule(struct world *w, struct pst_span s)
{
	struct pst_span word[WORDS];
	unsigned n = words_of(s, word), i = w->c.nrules;
	struct pst_policy_rule *r = &w->rules[i];

	if (n < 4 || i == MAX)
		return;
	snprintf(w->ids[i], sizeof(w->ids[i]), "%u", i % 100);
	*r = (struct pst_policy_rule){.id = w->ids[i],
		.from = keep(w, word[0]),
		.to = keep(w, word[1]),
		.enabled = n < 5};
	(void)pst_sender_parse(word[2], &r->sender);
	(void)pst_recipient_parse(word[3], &r->recipient);
	check_rule(r);
	w->c.nrules++;
}

static bool
inside(struct pst_span in, struct pst_span of)
{
	return in.n == 0 || (in.p >= of.p && in.p + in.n <= of.p + of.n);
}

static const char *
text_or_null(struct world *w, struct pst_span s)
{
	return s.n > 0 ? keep(w, s) : NULL;
}

static void
take_line(struct world *w, struct pst_span s)
{
	struct pst_policy_line l;
	struct pst_span at;
	const char *why = NULL;
	enum pst_rc rc = pst_policy_line_parse(s, &l, &why, &at);
	unsigned i = w->c.nentries;

	CHECK(rc == PST_OK || rc == PST_EOF || rc == PST_INVAL);
	CHECK((rc == PST_INVAL) == (why != NULL) && inside(at, s));
	if (rc != PST_OK || i == MAX)
		return;
	CHECK(l.destination.n > 0 && inside(l.destination, s) && l.level != PST_LEVEL_UNSET);
	CHECK(inside(l.protocols, s) && inside(l.ciphers, s) && inside(l.exclude, s) &&
		inside(l.servername, s) && l.nmatch <= PST_MATCH_MAX);
	for (unsigned k = 0; k < l.nmatch; k++) {
		CHECK(l.matches[k].n > 0 && inside(l.matches[k], s));
		w->match[i][k] = keep(w, l.matches[k]);
	}
	w->entries[i] = (struct pst_policy_entry){.destination = keep(w, l.destination),
		.level = l.level,
		.nmatch = l.nmatch,
		.match = w->match[i],
		.protocols = text_or_null(w, l.protocols),
		.ciphers = text_or_null(w, l.ciphers),
		.exclude = text_or_null(w, l.exclude),
		.servername = text_or_null(w, l.servername)};
	w->c.nentries++;
}

static void
take_question(struct world *w, struct pst_span s)
{
	struct pst_span word[WORDS];
	unsigned n = words_of(s, word);

	if (n < 5 || w->nasked == MAX)
		return;
	if (pst_ip_parse(keep(w, word[3]), &w->asked[w->nasked].ip) != PST_OK)
		return;
	for (unsigned i = 0; i < 3; i++) /* "-" is no name */
		word[i] = word[i].n == 1 && word[i].p[0] == '-' ? pst_span(NULL, 0) : word[i];
	w->asked[w->nasked].from = word[0];
	w->asked[w->nasked].to = word[1];
	w->asked[w->nasked].host = word[2];
	w->asked[w->nasked].port = (uint16_t)atoi(keep(w, word[4]));
	w->nasked++;
}

static void
take(struct world *w, struct pst_span line)
{
	struct pst_span rest, word[WORDS];

	if (line.n < 2)
		return;
	rest = pst_span(line.p + 2, line.n - 2);
	if (line.p[0] == 'r')
		take_rule(w, rest);
	else if (line.p[0] == 'm')
		take_line(w, rest);
	else if (line.p[0] == '?')
		take_question(w, rest);
	else if (line.p[0] == 'n' && w->c.never.n < MAX)
		w->never[w->c.never.n++] = keep(w, rest);
	else if (line.p[0] == 'y' && w->c.required.n < MAX)
		w->required[w->c.required.n++] = keep(w, rest);
	else if (line.p[0] == 'd' && w->c.nroutes < MAX && words_of(rest, word) == 2)
		w->routes[w->c.nroutes++] = (struct pst_policy_route){
			.domain = keep(w, word[0]), .next_hop = word[1].p[0] % 4u};
	check_domain(rest);
}

/* ---- asking ---- */

static void
check_demand(const struct pst_demand *d)
{
	CHECK(d->level > PST_LEVEL_UNSET && d->level < PST_LEVELS);
	CHECK(d->nnames <= PST_MATCH_MAX && d->nfingerprints <= PST_MATCH_MAX);
	CHECK((d->nnames > 0) == (d->level >= PST_LEVEL_VERIFY));
	CHECK((d->nfingerprints > 0) == (d->level == PST_LEVEL_FINGERPRINT));
	for (unsigned i = 0; i < d->nnames; i++)
		CHECK(d->names[i].name.n > 0);
}

static int
ask(const struct pst_policy *p, const struct world *w, unsigned i, bool tls)
{
	struct pst_facts f = {.client = w->asked[i].ip,
		.client_tls = tls,
		.sender_domain = w->asked[i].from,
		.recipient_domain = w->asked[i].to};
	struct pst_host_facts h = {.name = w->asked[i].host,
		.domain = w->asked[i].to,
		.ip = w->asked[i].ip,
		.port = w->asked[i].port};
	struct pst_policy_trace trace = {0};
	struct pst_verdict v, told;
	struct pst_demand d, again;

	f.client_listed = pst_policy_client(p, &f.client, w->asked[i].host);
	pst_policy_mail(p, &f, &v, NULL);
	CHECK(v.kind == PST_VERDICT_ROUTE || (v.code == 530 && !tls));
	pst_policy_rcpt(p, &f, &v, NULL);
	pst_policy_rcpt(p, &f, &told, &trace);
	CHECK(pst_verdict_same(&v, &told) && v.code == told.code && v.rule == told.rule);
	CHECK((v.kind == PST_VERDICT_REFUSE) == (v.code != 0));
	if (v.code == 550)
		return v.rule;
	h.next_hop = v.next_hop;
	pst_policy_host(p, &v.want, &h, &d, NULL);
	pst_policy_host(p, &v.want, &h, &again, &trace);
	CHECK(d.level == again.level && d.conflict == again.conflict && d.tls == again.tls);
	CHECK(d.tls < pst_policy_ntls(p) && trace.n <= PST_TRACE_MAX);
	check_demand(&d);
	return v.rule;
}

/* Alone, without map and lists that might be the fault of others. */
static bool
matches_alone(const struct world *w, unsigned rule, unsigned question)
{
	struct pst_policy_conf c = {.nroutes = w->c.nroutes,
		.routes = w->routes,
		.nnext_hops = w->c.nnext_hops,
		.next_hops = w->c.next_hops,
		.nrules = 1,
		.rules = &w->rules[rule]};
	struct pst_policy *p = pst_policy_new(&c, NULL, NULL);
	int found;

	CHECK(p != NULL);
	found = ask(p, w, question, true);
	pst_policy_free(p);
	return found == 0;
}

static void
check_order(const struct pst_policy *p, const struct world *w, unsigned question)
{
	int found = ask(p, w, question, true), first = -1;

	CHECK(ask(p, w, question, false) == found);
	for (unsigned i = 0; i < w->c.nrules && first < 0; i++)
		if (matches_alone(w, i, question))
			first = (int)i;
	CHECK(found == first);
}

static void
count_fault(void *arg, enum pst_policy_section section, unsigned index, const char *member,
	const char *text)
{
	CHECK(member != NULL && text[0] != 0);
	++*(unsigned *)arg;
}

static void
judge(struct world *w, uint8_t bits)
{
	static const char *const match[] = {"hostname", ".example"};
	const struct pst_policy_next_hop hops[] = {{.name = "mx", .mx = true},
		{.name = "hosts", .level = PST_LEVEL_VERIFY, .nmatch = 2, .match = match},
		{.name = "implicit", .implicit = true},
		{.name = "plain", .no_tls = true, .mx = true, .mx_domain = "mx.example"}};
	unsigned faults = 0, warnings = 0;
	struct pst_policy *p;

	w->c.nnext_hops = 4;
	w->c.next_hops = hops;
	w->c.rules = w->rules;
	w->c.entries = w->entries;
	w->c.routes = w->routes;
	w->c.never.entries = w->never;
	w->c.required.entries = w->required;
	w->c.tls_before_mail = bits & 1;
	w->c.default_sender = (enum pst_sender_policy)(bits >> 1 & 3);
	w->c.outbound = (enum pst_level)(bits >> 3 & 3);
	p = pst_policy_new(&w->c, count_fault, &faults);
	CHECK((p == NULL) == (faults > 0));
	if (p == NULL)
		return;
	CHECK(pst_policy_lint(p, count_fault, &warnings) == warnings);
	for (unsigned i = 0; i < w->nasked; i++)
		check_order(p, w, i);
	pst_policy_free(p);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct world *w;
	size_t at = 1;

	if (size < 2 || size > 4096)
		return 0;
	CHECK((w = calloc(1, sizeof(*w))) != NULL);
	while (at < size && w->nkept < MAX * 39 - 40) {
		const uint8_t *end = memchr(data + at, '\n', size - at);
		size_t n = end != NULL ? (size_t)(end - data) - at : size - at;

		take(w, pst_span(data + at, n));
		at += n + 1;
	}
	judge(w, data[0]);
	for (unsigned i = 0; i < w->nkept; i++)
		free(w->kept[i]);
	free(w);
	return 0;
}
