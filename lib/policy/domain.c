/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Domains as they are compared: ASCII without case, no trailing dot, U-labels (RFC 6531)
 * as their A-labels by libidn2 (RFC 5891 lookup with UTS 46's mapping, so case and
 * normalisation do not matter). What libidn2 refuses compares as the bytes it is: it
 * matches nothing but itself and "*".
 */
#include "policy_int.h"
#include <idn2.h>

static char
fold_byte(uint8_t b)
{
	return (char)(b >= 'A' && b <= 'Z' ? b + ('a' - 'A') : b);
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
	d->s[0] = '[';
	pst_ip_str(&ip, d->s + 1);
	d->n = (unsigned)strlen(d->s);
	d->s[d->n++] = ']';
	d->s[d->n] = 0;
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
	if (n > 0 && n <= POLICY_DOMAIN_MAX && is_plain_name(ascii)) {
		memcpy(d->s, ascii, n + 1);
		d->n = (unsigned)n;
	}
	idn2_free(ascii);
}

bool
policy_domain_fold(struct policy_domain *d, struct pst_span in)
{
	uint8_t all = 0;

	d->literal = false;
	d->n = 0;
	if (in.n > 0 && in.p[in.n - 1] == '.')
		in.n--;
	if (in.n > POLICY_DOMAIN_MAX)
		return false;
	for (size_t i = 0; i < in.n; i++) {
		d->s[i] = fold_byte(in.p[i]);
		all |= in.p[i];
	}
	d->n = (unsigned)in.n;
	d->s[d->n] = 0;
	if (d->n > 2 && d->s[0] == '[' && d->s[d->n - 1] == ']')
		fold_literal(d);
	else if (all >= 0x80)
		fold_unicode(d);
	return true;
}

bool
pst_policy_domain(struct pst_span in, char out[PST_DOMAIN_TEXT])
{
	struct policy_domain d;

	_Static_assert(PST_DOMAIN_TEXT == sizeof(d.s), "one text for all domains");
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
	memmove(d->s + 1, d->s, d->n + 1);
	d->s[0] = '.';
	d->n++;
	return NULL;
}

void
policy_query_hash(struct policy_query *q)
{
	uint64_t h = POLICY_HASH_INIT;

	q->dots = 0;
	for (unsigned i = q->d.n; i > 0; i--) {
		h = policy_hash_step(h, q->d.s[i - 1]);
		if (q->d.s[i - 1] == '.' && i > 1 && q->dots < POLICY_LABELS) {
			q->dot[q->dots] = (uint8_t)(i - 1);
			q->at_dot[q->dots++] = policy_hash_end(h);
		}
	}
	q->hash = policy_hash_end(h);
	if (q->d.literal)
		q->dots = 0;
}

bool
policy_query_set(struct policy_query *q, struct pst_span domain)
{
	/* A leading dot would be taken for a pattern. */
	if (domain.n == 0 || !policy_domain_fold(&q->d, domain) || q->d.n == 0 || q->d.s[0] == '.')
		return false;
	policy_query_hash(q);
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
