/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Answers: put together from a chain, copied, shuffled.
 *
 * Sixteen addresses at most, and fair: every host gets its first address before any gets a
 * second, by preference among hosts; of one host A and AAAA take turns, A first. The answer
 * lists hosts by preference, each with its addresses together.
 */
#include "chain.h"

#include <stdio.h>
#include <stdlib.h>

struct pst_names_answer *
answer_new(enum pst_names_status status, const char *why)
{
	struct pst_names_answer *a = calloc(1, sizeof(*a));

	if (a != NULL) {
		a->status = status;
		snprintf(a->why, sizeof(a->why), "%s", why);
	}
	return a;
}

static unsigned
host_total(const struct chain_host *h)
{
	return h->family[0].n + h->family[1].n;
}

/* The i-th address of a host: families in turn, then what the longer one has left. */
static const struct pst_ip *
host_address(const struct chain_host *h, unsigned i)
{
	unsigned n4 = h->family[0].n, n6 = h->family[1].n, both = PST_MIN(n4, n6);

	if (i < 2 * both)
		return &h->family[i % 2].ip[i / 2];
	return n4 > n6 ? &h->family[0].ip[i - both] : &h->family[1].ip[i - both];
}

/* How many each host may give; returns the sum. */
static unsigned
share_out(const struct chain *c, unsigned share[CHAIN_HOSTS])
{
	unsigned sum = 0, before;

	memset(share, 0, CHAIN_HOSTS * sizeof(*share));
	do {
		before = sum;
		for (unsigned i = 0; i < c->nhosts && sum < PST_NAMES_MAX; i++) {
			if (share[i] < host_total(&c->hosts[i])) {
				share[i]++;
				sum++;
			}
		}
	} while (sum > before);
	return sum;
}

static struct pst_names_answer *
answer_found(const struct chain *c, const unsigned share[CHAIN_HOSTS], unsigned sum)
{
	struct pst_names_answer *a = calloc(1, sizeof(*a) + sum * sizeof(a->e[0]));

	if (a == NULL)
		return NULL;
	a->status = PST_NAMES_FOUND;
	for (unsigned i = 0; i < c->nhosts; i++) {
		for (unsigned k = 0; k < share[i]; k++) {
			struct pst_names_host *e = &a->e[a->n++];

			e->ip = *host_address(&c->hosts[i], k);
			e->preference = c->hosts[i].preference;
			memcpy(e->name, c->hosts[i].name, strlen(c->hosts[i].name));
		}
	}
	return a;
}

/* Look-ups that failed or have no reply; c->why says what of the latter kind is unsaid. */
static unsigned
failures(struct chain *c)
{
	unsigned n = 0;

	for (unsigned i = 0; i < c->nhosts; i++) {
		for (unsigned k = 0; k < 2; k++) {
			n += c->hosts[i].family[k].outcome == DNS_FAILED ||
			     c->hosts[i].family[k].outcome == DNS_WAITING;
		}
	}
	return n + (c->head == DNS_WAITING && !c->settled);
}

/* Nobody has an address, and that is certain. */
static const char *
why_none(const struct chain *c)
{
	if (c->key.kind == PST_NAMES_CLIENT)
		return "not confirmed";
	if (c->nhosts == 1 && c->head != DNS_DATA &&
		(c->hosts[0].family[0].outcome == DNS_NXDOMAIN ||
			c->hosts[0].family[1].outcome == DNS_NXDOMAIN))
		return "NXDOMAIN";
	return "no address";
}

static uint32_t
keep_for(const struct chain *c, const struct chain_ttls *t, enum pst_names_status status, bool part)
{
	uint32_t ttl = PST_MIN(c->ttl, t->max);

	if (status == PST_NAMES_TEMPORARY)
		ttl = t->failure;
	else if (status != PST_NAMES_FOUND)
		ttl = PST_MIN(ttl, t->negative);
	/* A host that could not be asked for is asked for again soon. */
	else if (part)
		ttl = PST_MIN(ttl, t->failure);
	return PST_MAX(ttl, 1u);
}

struct pst_names_answer *
chain_answer(struct chain *c, const struct chain_ttls *ttls, uint32_t *ttl)
{
	unsigned share[CHAIN_HOSTS], failed = c->settled ? 0 : failures(c);
	unsigned sum = c->settled ? 0 : share_out(c, share);
	struct pst_names_answer *a;

	if (c->settled)
		a = answer_new(c->status, c->why);
	else if (sum > 0)
		a = answer_found(c, share, sum);
	else if (failed > 0)
		a = answer_new(PST_NAMES_TEMPORARY, c->why[0] != 0 ? c->why : "timed out");
	else
		a = answer_new(PST_NAMES_NONE, why_none(c));
	if (a == NULL)
		return NULL;
	a->secure = c->secure && failed == 0 && a->status != PST_NAMES_TEMPORARY;
	*ttl = keep_for(c, ttls, a->status, failed > 0);
	return a;
}

/* ---- for who receives them ---- */

struct pst_names_answer *
pst_names_copy(const struct pst_names_answer *a)
{
	size_t n = sizeof(*a) + a->n * sizeof(a->e[0]);
	struct pst_names_answer *copy = malloc(n);

	if (copy != NULL)
		memcpy(copy, a, n);
	return copy;
}

/* SplitMix64 (Steele, Lea, Flood 2014): the seed may be anything. */
static uint64_t
mix(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15ull);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

/* Where the run ends that begins at i: of one host, or of one preference. */
static unsigned
run_end(const struct pst_names_answer *a, unsigned i, bool host)
{
	unsigned end = i + 1;

	while (end < a->n && a->e[end].preference == a->e[i].preference &&
		(!host || strcmp(a->e[end].name, a->e[i].name) == 0))
		end++;
	return end;
}

void
pst_names_shuffle(struct pst_names_answer *a, uint64_t seed)
{
	struct pst_names_host old[PST_NAMES_MAX];
	unsigned first[PST_NAMES_MAX], out = 0, n = PST_MIN(a->n, (unsigned)PST_NAMES_MAX);

	memcpy(old, a->e, n * sizeof(old[0]));
	for (unsigned i = 0, end; i < n; i = end) {
		unsigned hosts = 0;

		end = run_end(a, i, false);
		for (unsigned k = i; k < end; k = run_end(a, k, true))
			first[hosts++] = k;
		for (unsigned k = hosts; k > 1; k--) {
			unsigned pick = (unsigned)(mix(&seed) % k), was = first[k - 1];

			first[k - 1] = first[pick];
			first[pick] = was;
		}
		/* Writing stays inside [i, end), whose runs were all measured above. */
		for (unsigned k = 0; k < hosts; k++)
			first[k] |= (run_end(a, first[k], true) - first[k]) << 8;
		for (unsigned k = 0; k < hosts; k++) {
			memcpy(&a->e[out], &old[first[k] & 255], (first[k] >> 8) * sizeof(old[0]));
			out += first[k] >> 8;
		}
	}
}
