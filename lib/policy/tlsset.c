/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * protocols=, ciphers= and exclude= of map entries as sets that a TLS context can be
 * built of. Equal settings share a set.
 *
 * Protocols are Postfix's: ">=TLSv1.2", "<=TLSv1.2", "TLSv1.2:TLSv1.3", "!TLSv1.3",
 * between them blanks, commas or colons. What an exclusion leaves begins at TLS 1.2: only a
 * floor or a name asks for less, so "!SSLv2:!SSLv3" does not let old versions in. The
 * result must be one range.
 */
#include "policy_int.h"
#include <stdio.h>
#include <stdlib.h>

#define TLS_1_0 0x0301
#define TLS_1_2 0x0303
#define TLS_1_3 0x0304

struct range {
	bool floor, named, cut_low, cut_high;
	unsigned low, high;            /* from floor and ceiling */
	unsigned named_bits, excluded; /* bit v - TLS_1_0 */
};

static const struct {
	const char *name;
	unsigned version; /* 0: older than anything OpenSSL has */
} versions[] = {{"SSLv2", 0}, {"SSLv3", 0}, {"TLSv1", 0x0301}, {"TLSv1.0", 0x0301},
	{"TLSv1.1", 0x0302}, {"TLSv1.2", 0x0303}, {"TLSv1.3", 0x0304}};

static const char *
one_protocol(struct pst_span tok, struct range *r)
{
	char op = 0;
	unsigned v = UINT32_MAX;

	if (tok.p[0] == '!') {
		op = '!';
		tok = pst_span(tok.p + 1, tok.n - 1);
	} else if (tok.n > 2 && (tok.p[0] == '>' || tok.p[0] == '<') && tok.p[1] == '=') {
		op = (char)tok.p[0];
		tok = pst_span(tok.p + 2, tok.n - 2);
	}
	for (unsigned i = 0; i < PST_COUNT(versions); i++)
		if (pst_span_ieq_str(tok, versions[i].name))
			v = versions[i].version;
	if (v == UINT32_MAX)
		return "not a protocol: SSLv2, SSLv3, TLSv1, TLSv1.1, TLSv1.2, TLSv1.3";
	if (op == '!') {
		r->excluded |= v != 0 ? 1u << (v - TLS_1_0) : 0;
		return NULL;
	}
	if (v == 0)
		return "unsupported_by_crypto_library: SSL versions before TLS 1.0";
	if (op == '>') {
		r->floor = true;
		r->low = PST_MAX(r->low, v);
	} else if (op == '<') {
		r->high = PST_MIN(r->high, v);
		r->cut_high = true;
	} else {
		r->named = true;
		r->named_bits |= 1u << (v - TLS_1_0);
	}
	return NULL;
}

static const char *
range_result(const struct range *r, struct pst_policy_tls *t)
{
	unsigned low = r->floor || r->named ? r->low : PST_MAX(r->low, (unsigned)TLS_1_2);
	unsigned bits = 0, first, last;

	for (unsigned v = low; v <= r->high; v++)
		bits |= 1u << (v - TLS_1_0);
	if (r->named)
		bits &= r->named_bits;
	bits &= ~r->excluded;
	if (bits == 0)
		return "no protocol is left (those before TLSv1.2 must be named or have a floor)";
	first = (unsigned)__builtin_ctz(bits);
	last = 31 - (unsigned)__builtin_clz(bits);
	if (bits >> first != (1u << (last - first + 1)) - 1)
		return "the protocols leave a gap";
	first += TLS_1_0;
	last += TLS_1_0;
	if (r->floor || r->named || first > TLS_1_2)
		t->min_version = (uint16_t)first;
	if (r->cut_high || r->named || last < TLS_1_3)
		t->max_version = (uint16_t)last;
	return NULL;
}

static bool
next_token(const char **s, struct pst_span *tok)
{
	*s += strspn(*s, " \t\r\n,:");
	*tok = pst_span(*s, strcspn(*s, " \t\r\n,:"));
	*s += tok->n;
	return tok->n > 0;
}

static const char *
parse_protocols(const char *s, struct pst_policy_tls *t)
{
	struct range r = {.low = TLS_1_0, .high = TLS_1_3};
	struct pst_span tok;
	const char *why;
	unsigned n = 0;

	for (; next_token(&s, &tok); n++)
		if ((why = one_protocol(tok, &r)) != NULL)
			return why;
	return n == 0 ? "no protocol named" : range_result(&r, t);
}

/* ---- ciphers ---- */

#define HIGH_LIST "ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+HIGH:HIGH"

static const struct {
	const char *grade, *list;
} grades[] = {
	{"high", HIGH_LIST}, {"medium", HIGH_LIST ":MEDIUM"}, {"low", HIGH_LIST ":MEDIUM:LOW"}};

static const char *
parse_grade(const char *grade, const char **list)
{
	if (grade != NULL)
		*list = NULL;
	for (unsigned i = 0; grade != NULL && i < PST_COUNT(grades); i++)
		if (strcasecmp(grade, grades[i].grade) == 0)
			*list = grades[i].list;
	return *list == NULL ? "not a grade: high, medium, low" : NULL;
}

static bool
is_cipher_word(struct pst_span w)
{
	for (size_t i = 0; i < w.n; i++) {
		uint8_t b = w.p[i];

		if (!(b >= 'a' && b <= 'z') && !(b >= 'A' && b <= 'Z') && !(b >= '0' && b <= '9') &&
			b != '-' && b != '_' && (b != '+' || i == 0))
			return false;
	}
	return w.p[0] != '-';
}

/* The grade's list and "!WORD" for each exclusion. NULL: *why. */
static char *
cipher_list(const char *list, const char *exclude, const char **why)
{
	size_t room = strlen(list) + (exclude != NULL ? 2 * strlen(exclude) : 0) + 16, n;
	char *out = malloc(room);
	struct pst_span w;

	if (out == NULL) {
		*why = "out of memory";
		return NULL;
	}
	n = (size_t)snprintf(out, room, "%s", list);
	while (exclude != NULL && next_token(&exclude, &w)) {
		if (!is_cipher_word(w)) {
			*why = "not the name of a cipher or of a kind of cipher";
			free(out);
			return NULL;
		}
		n += (size_t)snprintf(out + n, room - n, ":!%.*s", PST_SPAN_FMT(w));
	}
	return out;
}

/* ---- sets ---- */

static bool
same(const struct pst_policy_tls *a, const struct pst_policy_tls *b)
{
	if (a->min_version != b->min_version || a->max_version != b->max_version)
		return false;
	if (a->ciphers == NULL || b->ciphers == NULL)
		return a->ciphers == b->ciphers;
	return strcmp(a->ciphers, b->ciphers) == 0;
}

static int
find_set(struct policy_compile *c, unsigned index, struct pst_policy_tls *t)
{
	struct policy_map *m = &c->p->map;

	for (unsigned i = 0; i < m->ntls; i++)
		if (same(&m->tls[i], t)) {
			free((char *)(uintptr_t)t->ciphers);
			return (int)i;
		}
	if (m->ntls == PST_TLS_SETS_MAX) {
		policy_fault(c, PST_POLICY_ENTRIES, index, "protocols",
			"more than %d different TLS settings in the map", PST_TLS_SETS_MAX - 1);
		free((char *)(uintptr_t)t->ciphers);
		return -1;
	}
	m->tls[m->ntls] = *t;
	return (int)m->ntls++;
}

int
policy_tls_compile(struct policy_compile *c, unsigned index, const struct pst_policy_entry *e)
{
	struct pst_policy_tls t = {0};
	const char *why, *list = HIGH_LIST, *member = "protocols";

	why = e->protocols != NULL ? parse_protocols(e->protocols, &t) : NULL;
	if (why == NULL && e->ciphers != NULL) {
		member = "ciphers";
		why = parse_grade(e->ciphers, &list);
	}
	if (why == NULL && (e->ciphers != NULL || e->exclude != NULL)) {
		if (e->exclude != NULL)
			member = "exclude";
		t.ciphers = cipher_list(list, e->exclude, &why);
	}
	if (why != NULL) {
		policy_fault(c, PST_POLICY_ENTRIES, index, member, "%s", why);
		return -1;
	}
	return find_set(c, index, &t);
}

void
policy_tls_fini(struct policy_map *m)
{
	for (unsigned i = 0; i < m->ntls; i++)
		free((char *)(uintptr_t)m->tls[i].ciphers);
}

unsigned
pst_policy_ntls(const struct pst_policy *p)
{
	return p->map.ntls;
}

const struct pst_policy_tls *
pst_policy_tls(const struct pst_policy *p, unsigned set)
{
	return &p->map.tls[set < p->map.ntls ? set : 0];
}
