/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Domains as they are compared: ASCII without case, no trailing dot, U-labels (RFC 6531)
 * as their A-labels by libidn2 (RFC 5891 lookup with UTS 46's mapping, so case and
 * normalisation do not matter). What libidn2 refuses compares as the bytes it is: it
 * matches nothing but itself and "*".
 */
#include "policy_int.h"
#include <idn2.h>

/* ---- eight bytes at a time ---- */

#define ONES  0x0101010101010101ull
#define HIGHS 0x8080808080808080ull

static uint64_t
load8(const char *s)
{
	uint64_t w;

	memcpy(&w, s, sizeof(w));
	return w;
}

/* The high bit of each byte that is 'A' to 'Z'. Sums of seven bits do not reach a neighbour. */
static uint64_t
capitals(uint64_t w)
{
	uint64_t low = w & ~HIGHS;
	uint64_t from_a = low + (0x80 - 'A') * ONES, beyond_z = low + (0x7f - 'Z') * ONES;

	return (from_a ^ beyond_z) & ~w & HIGHS;
}

/* The high bit of each byte that is a dot. */
static uint64_t
dots_of(uint64_t w)
{
	uint64_t x = w ^ '.' * ONES;

	return ~(((x & ~HIGHS) + ~HIGHS) | x) & HIGHS;
}

/* Lower case, in place. Not 0: there is a byte above ASCII. */
static uint64_t
fold_ascii(struct policy_domain *d)
{
	uint64_t all = 0;

	for (unsigned i = 0; i < d->n; i += 8) {
		uint64_t w = load8(d->s + i);

		all |= w;
		w |= capitals(w) >> 2; /* 0x80 to 0x20 */
		memcpy(d->s + i, &w, sizeof(w));
	}
	return all & HIGHS;
}

static void
set_text(struct policy_domain *d, const void *s, size_t n)
{
	memcpy(d->s, s, n);
	memset(d->s + n, 0, 9);
	d->n = (unsigned)n;
}

/* RFC 5321 4.1.3: "[192.0.2.1]" or "[IPv6:2001:db8::1]", in any spelling of the address. */
static void
fold_literal(struct policy_domain *d)
{
	char text[PST_IP_STRLEN + 8];
	struct pst_ip ip;
	const char *inner = d->s + 1;
	size_t n = d->n - 2;

	if (n >= sizeof(text))
		return;
	memcpy(text, inner, n);
	text[n] = 0;
	inner = strncmp(text, "ipv6:", 5) == 0 ? text + 5 : text;
	if (pst_ip_parse(inner, &ip) != PST_OK)
		return;
	pst_ip_str(&ip, text + 1);
	text[0] = '[';
	n = strlen(text);
	text[n++] = ']';
	set_text(d, text, n);
	d->literal = true;
}

static bool
is_plain_name(const char *s)
{
	for (; *s != 0; s++)
		if (!(*s >= 'a' && *s <= 'z') && !(*s >= '0' && *s <= '9') && *s != '-' &&
			*s != '_' && *s != '.')
			return false;
	return true;
}

/*
 * To A-labels; as it was if that cannot be. What the mapping made of full-width forms is
 * looked at again: an asterisk or bracket from there is no operator's word.
 */
static void
fold_unicode(struct policy_domain *d)
{
	char *ascii = NULL;
	size_t n;

	if (strlen(d->s) != d->n ||
		idn2_to_ascii_8z(d->s, &ascii, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL) != IDN2_OK)
		return;
	n = strlen(ascii);
	if (n > 0 && ascii[n - 1] == '.')
		ascii[--n] = 0;
	if (n > 0 && n <= POLICY_DOMAIN_MAX && is_plain_name(ascii))
		set_text(d, ascii, n);
	idn2_free(ascii);
}

bool
policy_domain_fold(struct policy_domain *d, struct pst_span in)
{
	uint64_t above;

	d->literal = false;
	d->n = 0;
	if (in.n > 0 && in.p[in.n - 1] == '.')
		in.n--;
	if (in.n > POLICY_DOMAIN_MAX)
		return false;
	set_text(d, in.p != NULL ? (const void *)in.p : "", in.n);
	above = fold_ascii(d);
	if (d->n > 2 && d->s[0] == '[' && d->s[d->n - 1] == ']')
		fold_literal(d);
	else if (above != 0)
		fold_unicode(d);
	return true;
}

bool
pst_policy_domain(struct pst_span in, char out[PST_DOMAIN_TEXT])
{
	struct policy_domain d;

	_Static_assert(PST_DOMAIN_TEXT == POLICY_DOMAIN_MAX + 1, "one text for all domains");
	out[0] = 0;
	if (!policy_domain_fold(&d, in) || memchr(d.s, 0, d.n) != NULL)
		return false;
	memcpy(out, d.s, d.n + 1);
	return true;
}

const char *
policy_pattern_fold(struct policy_domain *d, const char *text)
{
	bool parents = strncmp(text, "*.", 2) == 0;
	const char *why;

	if (!policy_domain_fold(d, pst_span_str(text + 2 * parents)))
		return "longer than 255 bytes";
	why = parents && d->literal ? "an address has no subdomains" : policy_domain_fault(d);
	if (why == NULL && d->n + parents > POLICY_DOMAIN_MAX)
		why = "longer than 255 bytes";
	if (why != NULL || !parents)
		return why;
	memmove(d->s + 1, d->s, d->n + 8);
	d->s[0] = '.';
	d->n++;
	return NULL;
}

/* ---- hashes ---- */

/*
 * A name is hashed in one go. A parent as a table has it, ".example.com", is hashed label by
 * label from the last one, so that one pass gives the hash of every parent on the way.
 */
#define HASH_INIT 0x9e3779b97f4a7c15ull
#define HASH_STEP 0xbf58476d1ce4e5b9ull
#define HASH_DOT  0x94d049bb133111ebull

static uint64_t
hash_bytes(uint64_t h, const char *s, unsigned n)
{
	for (; n > 8; n -= 8, s += 8) {
		h = (h ^ load8(s)) * HASH_STEP;
		h ^= h >> 32;
	}
	if (n > 0)
		h ^= load8(s) & (~0ull >> (64 - 8 * n));
	h *= HASH_STEP;
	return h ^ (h >> 32);
}

static uint32_t
hash_end(uint64_t h)
{
	return (uint32_t)(h * HASH_INIT >> 32);
}

uint64_t
policy_hash_bytes(const char *s, size_t n)
{
	uint64_t h = HASH_INIT;

	for (size_t i = 0; i < n; i++)
		h = (h ^ (uint8_t)s[i]) * HASH_STEP;
	return h ^ (h >> 32);
}

/* The parents of up to `labels` labels, the shortest first. Returns the state after them. */
static uint64_t
hash_parents(struct policy_query *q, unsigned labels, unsigned *end)
{
	uint64_t h = HASH_INIT;

	*end = q->d.n;
	for (unsigned i = (q->d.n + 7) / 8; i > 0 && q->dots < labels; i--) {
		uint64_t m = dots_of(load8(q->d.s + 8 * (i - 1)));

		while (m != 0 && q->dots < labels) {
			unsigned bit = 63 - (unsigned)__builtin_clzll(m);
			unsigned dot = 8 * (i - 1) + bit / 8;

			m ^= 1ull << bit;
			if (dot == 0)
				break;
			h = hash_bytes(h, q->d.s + dot + 1, *end - dot - 1);
			*end = dot;
			q->dot[q->dots] = (uint8_t)dot;
			q->at_dot[q->dots++] = hash_end(h ^ HASH_DOT);
		}
	}
	return h;
}

static void
hash_query(struct policy_query *q, unsigned labels)
{
	unsigned end;
	uint64_t h;

	q->dots = 0;
	if (q->d.literal)
		labels = 0;
	h = hash_parents(q, labels, &end);
	if (q->d.s[0] == '.') /* a parent itself: its hash is that of its labels */
		q->hash = hash_end(hash_bytes(h, q->d.s + 1, end - 1) ^ HASH_DOT);
	else
		q->hash = hash_end(hash_bytes(HASH_INIT, q->d.s, q->d.n));
}

void
policy_query_hash(struct policy_query *q)
{
	hash_query(q, POLICY_LABELS);
}

void
policy_query_key(struct policy_query *q, const char *s, unsigned n)
{
	set_text(&q->d, s, n);
	q->d.literal = s[0] == '[';
	policy_query_hash(q);
}

bool
policy_query_set(struct policy_query *q, struct pst_span domain, unsigned labels)
{
	/* A leading dot would be taken for a pattern. */
	if (domain.n == 0 || !policy_domain_fold(&q->d, domain) || q->d.n == 0 || q->d.s[0] == '.')
		return false;
	hash_query(q, labels);
	return true;
}

static const char *
label_fault(const char *p, size_t n)
{
	if (n == 0)
		return "an empty label";
	if (n > POLICY_LABEL_MAX)
		return "a label of more than 63 bytes";
	for (size_t i = 0; i < n; i++) {
		uint8_t b = (uint8_t)p[i];

		if (!(b >= 'a' && b <= 'z') && !(b >= '0' && b <= '9') && b != '-' && b != '_' &&
			b < 0x80)
			return b == '*' ? "\"*\" may stand alone or as the whole first label"
					: "a byte that no domain has";
	}
	return NULL;
}

const char *
policy_domain_fault(const struct policy_domain *d)
{
	if (d->literal)
		return NULL;
	if (d->n > 0 && d->s[0] == '[')
		return "not an address";
	for (const char *p = d->s;;) {
		size_t n = strcspn(p, ".");
		const char *why =
			strlen(d->s) != d->n ? "a byte that no domain has" : label_fault(p, n);

		if (why != NULL)
			return why;
		if (p[n] == 0)
			return NULL;
		p += n + 1;
	}
}
