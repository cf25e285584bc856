/* SPDX-License-Identifier: BSD-3-Clause */
#include "dnsname.h"

#include <stdio.h>

#define LABEL_MAX 63  /* RFC 1035 2.3.4 */
#define WIRE_MAX  255 /* RFC 1035 2.3.4: length bytes and the root's included */

/* The lower-case character, or 0: not one of a name. */
static char
plain(uint8_t c)
{
	if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_')
		return (char)c;
	return c >= 'A' && c <= 'Z' ? (char)(c + 'a' - 'A') : 0;
}

bool
dnsname_from_text(struct pst_span text, char out[PST_NAME_MAX])
{
	char name[PST_NAME_MAX];
	size_t n = text.n, label = 0;

	if (n > 0 && text.p[n - 1] == '.')
		n--;
	if (n == 0 || n >= PST_NAME_MAX)
		return false;
	for (size_t i = 0; i < n; i++) {
		bool dot = text.p[i] == '.';

		name[i] = dot ? '.' : plain(text.p[i]);
		if (name[i] == 0 || (dot && label == 0) || (!dot && label == LABEL_MAX))
			return false;
		label = dot ? 0 : label + 1;
	}
	if (label == 0)
		return false;
	name[n] = 0;
	memcpy(out, name, n + 1);
	return true;
}

bool
dnsname_from_wire(const uint8_t *p, size_t n, char out[PST_NAME_MAX])
{
	char name[PST_NAME_MAX];
	size_t at = 0, len = 0;

	if (n == 0 || n > WIRE_MAX)
		return false;
	while (p[at] != 0) {
		size_t label = p[at++];

		/* Nothing follows the name, and 0xc0 is a pointer, which RDATA has no more. */
		if (label > LABEL_MAX || label >= n - at)
			return false;
		if (len > 0)
			name[len++] = '.';
		for (size_t i = 0; i < label; i++, len++) {
			name[len] = plain(p[at + i]);
			if (name[len] == 0)
				return false;
		}
		at += label;
	}
	if (at != n - 1)
		return false;
	name[len] = 0;
	memcpy(out, name, len + 1);
	return true;
}

void
dnsname_reverse(const struct pst_ip *ip, char out[PST_NAME_MAX])
{
	static const char hex[] = "0123456789abcdef";

	if (pst_ip_is4(ip)) {
		snprintf(out, PST_NAME_MAX, "%u.%u.%u.%u.in-addr.arpa", ip->b[15], ip->b[14],
			ip->b[13], ip->b[12]);
		return;
	}
	for (unsigned i = 0; i < 16; i++) {
		uint8_t b = ip->b[15 - i];

		out[4 * i] = hex[b & 15];
		out[4 * i + 1] = '.';
		out[4 * i + 2] = hex[b >> 4];
		out[4 * i + 3] = '.';
	}
	memcpy(out + 64, "ip6.arpa", sizeof("ip6.arpa"));
}
