/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Domains as they are compared: ASCII without case, no trailing dot. Bytes above
 * ASCII (RFC 6531 U-labels) compare as they are: give both forms of such a domain
 * if its mail arrives in both.
 */
#include "policy_int.h"

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

bool
policy_domain_fold(struct policy_domain *d, struct pst_span in)
{
	d->literal = false;
	d->n = 0;
	if (in.n > 0 && in.p[in.n - 1] == '.')
		in.n--;
	if (in.n > POLICY_DOMAIN_MAX)
		return false;
	for (size_t i = 0; i < in.n; i++)
		d->s[i] = fold_byte(in.p[i]);
	d->n = (unsigned)in.n;
	d->s[d->n] = 0;
	if (d->n > 2 && d->s[0] == '[' && d->s[d->n - 1] == ']')
		fold_literal(d);
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
