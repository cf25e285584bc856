/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What DNS says, any of it: names as wire and as text, and chains fed with replies of any
 * outcome, size and content. What comes out is clean, bounded, fair and in order, whatever the
 * replies; the same replies make the same answer; shuffling loses nothing.
 *
 * Input: byte 0 the kind and whether time runs out, byte 1 the seed of the shuffle, then one
 * reply after another: outcome, TTL, number of records, and each record as length and bytes.
 * The records of a look-up begin with what fits its type, so that luck is not needed.
 */
#include "chain.h"
#include "dnsname.h"

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

struct input {
	const uint8_t *p;
	size_t n;
};

static uint8_t
byte(struct input *in)
{
	if (in->n == 0)
		return 0;
	in->n--;
	return *in->p++;
}

/* Lower-case letters, digits, hyphens, underscores and single dots between them; 1 to 253. */
static void
check_name(const char *s)
{
	size_t n = strlen(s), label = 0;

	CHECK(n > 0 && n < PST_NAME_MAX);
	for (size_t i = 0; i <= n; i++) {
		char c = s[i];

		if (c == '.' || c == 0) {
			CHECK(label > 0 && label <= 63);
			label = 0;
			continue;
		}
		CHECK((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_');
		label++;
	}
}

static void
names(struct pst_span in)
{
	char a[PST_NAME_MAX], b[PST_NAME_MAX];

	if (dnsname_from_text(in, a)) {
		check_name(a);
		CHECK(dnsname_from_text(pst_span_str(a), b) && strcmp(a, b) == 0);
	}
	if (dnsname_from_wire(in.p, in.n, a) && a[0] != 0) {
		check_name(a);
		CHECK(strlen(a) == in.n - 2);
		CHECK(dnsname_from_text(pst_span_str(a), b) && strcmp(a, b) == 0);
	}
}

/* ---- replies ---- */

#define RECORDS 40

struct reply {
	struct dns_reply r;
	char *data[RECORDS + 1];
	int len[RECORDS];
};

/* A record of its own size in memory, so that reading past it shows. */
static void
record(struct input *in, struct reply *out, uint16_t type)
{
	static const char host[] = "\2mx\7example";
	uint8_t how = byte(in);
	size_t n = how & 31;
	uint8_t rdata[320];
	size_t len = 0;

	if (type == DNS_MX) {
		rdata[len++] = byte(in);
		rdata[len++] = byte(in);
	}
	/* Half of them well formed: a host of few, or the address that fits. */
	if (how & 128 && (type == DNS_MX || type == DNS_PTR)) {
		memcpy(rdata + len, host, sizeof(host));
		rdata[len + 1] = (uint8_t)('a' + how % 20);
		len += sizeof(host);
	} else {
		if (how & 128)
			n = type == DNS_A ? 4 : 16;
		for (size_t i = 0; i < n; i++)
			rdata[len++] = byte(in);
	}
	out->data[out->r.n] = malloc(len);
	CHECK(out->data[out->r.n] != NULL || len == 0);
	if (len > 0)
		memcpy(out->data[out->r.n], rdata, len);
	out->len[out->r.n++] = (int)len;
}

static void
reply(struct input *in, uint16_t type, struct reply *out)
{
	uint8_t how = byte(in);
	unsigned n;

	memset(out, 0, sizeof(*out));
	out->r.outcome = DNS_DATA + how % 4;
	out->r.secure = how & 64;
	out->r.why = "SERVFAIL";
	out->r.ttl = byte(in) * 0x01010101u;
	out->r.data = out->data;
	out->r.len = out->len;
	n = out->r.outcome == DNS_DATA ? byte(in) % (RECORDS + 1) : 0;
	for (unsigned i = 0; i < n; i++)
		record(in, out, type);
}

static void
reply_free(struct reply *r)
{
	for (unsigned i = 0; i < r->r.n; i++)
		free(r->data[i]);
}

/* ---- answers ---- */

static const struct chain_ttls ttls = {.max = 86400, .negative = 300, .failure = 5};

static struct pst_names_answer *
play(const struct names_key *key, struct input in, bool hurry, uint32_t *ttl)
{
	struct pst_names_answer *a;
	struct chain_lookup l;
	struct reply r;
	struct chain c;
	unsigned lookups = 0;

	chain_start(&c, key);
	while (chain_next(&c, &l)) {
		CHECK(++lookups <= 1 + 2 * CHAIN_HOSTS);
		check_name(l.name);
		if (hurry && in.n == 0)
			break;
		reply(&in, l.type, &r);
		chain_feed(&c, l.slot, &r.r);
		reply_free(&r);
	}
	CHECK(hurry || chain_done(&c));
	a = chain_answer(&c, &ttls, ttl);
	CHECK(a != NULL);
	chain_fini(&c);
	return a;
}

static void
check_answer(const struct pst_names_answer *a, const struct names_key *key, uint32_t ttl)
{
	CHECK((a->status == PST_NAMES_FOUND) == (a->n > 0) && a->n <= PST_NAMES_MAX);
	CHECK((a->n == 0) == (a->why[0] != 0));
	CHECK(a->status != PST_NAMES_NULL_MX || key->kind == PST_NAMES_MX);
	CHECK(ttl >= 1 && ttl <= ttls.max);
	CHECK(a->status != PST_NAMES_TEMPORARY || (ttl == ttls.failure && !a->secure));
	CHECK((a->status != PST_NAMES_NONE && a->status != PST_NAMES_NULL_MX) ||
		ttl <= ttls.negative);
	for (unsigned i = 0; i < a->n; i++) {
		const struct pst_names_host *e = &a->e[i];

		check_name(e->name);
		CHECK(!pst_ip_is_any(&e->ip) && !pst_ip_is_multicast(&e->ip));
		CHECK(i == 0 || a->e[i - 1].preference <= e->preference);
		if (key->kind == PST_NAMES_HOST)
			CHECK(strcmp(e->name, key->text) == 0);
		if (key->kind == PST_NAMES_CLIENT) {
			char ip[PST_IP_STRLEN];

			CHECK(strcmp(pst_ip_str(&e->ip, ip), key->text) == 0);
		}
		for (unsigned k = 0; k < i; k++) {
			bool host = strcmp(a->e[k].name, e->name) == 0;

			CHECK(!host || !pst_ip_eq(&a->e[k].ip, &e->ip));
			/* A host's addresses are together. */
			CHECK(!host || strcmp(a->e[i - 1].name, e->name) == 0);
		}
	}
}

/* The same entries, in an order that is allowed. */
static void
check_shuffle(
	const struct pst_names_answer *a, const struct names_key *key, uint32_t ttl, uint64_t seed)
{
	struct pst_names_answer *b = pst_names_copy(a);
	bool used[PST_NAMES_MAX] = {0};

	CHECK(b != NULL);
	pst_names_shuffle(b, seed);
	check_answer(b, key, ttl);
	for (unsigned i = 0; i < a->n; i++) {
		unsigned k = 0;

		while (k < a->n && (used[k] || memcmp(&a->e[k], &b->e[i], sizeof(a->e[0])) != 0))
			k++;
		CHECK(k < a->n);
		used[k] = true;
	}
	free(b);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const keys[] = {
		"host.example", "domain.example", "192.0.2.7", "2001:db8::7"};
	struct pst_names_answer *a, *b;
	uint32_t ttl = 0, ttl2 = 0;
	struct names_key key;
	struct input in = {data, size};
	uint8_t how, seed;

	if (size < 2 || size > 8192)
		return 0;
	names(pst_span(data, size));
	if (names_key_make(&key, data[0] % 3, pst_span(data + 1, size - 1)) &&
		key.kind != PST_NAMES_CLIENT)
		check_name(key.text);
	how = byte(&in);
	seed = byte(&in);
	CHECK(names_key_make(
		&key, (enum pst_names_kind)PST_MIN(how % 4, 2), pst_span_str(keys[how % 4])));
	a = play(&key, in, how & 128, &ttl);
	b = play(&key, in, how & 128, &ttl2);
	check_answer(a, &key, ttl);
	CHECK(ttl == ttl2 && a->n == b->n && a->status == b->status &&
		memcmp(a->e, b->e, a->n * sizeof(a->e[0])) == 0);
	check_shuffle(a, &key, ttl, seed);
	free(a);
	free(b);
	return 0;
}
