/* SPDX-License-Identifier: BSD-3-Clause */
/* Addresses and prefixes: classification and text. See pst_ip.h. */
#include <pst_ip.h>
#include <arpa/inet.h>
#include <stdio.h>

static const struct pst_ip any6;
static const uint8_t mapped_any[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0};

struct pst_ip
pst_ip_from4(uint32_t be)
{
	struct pst_ip a;
	memcpy(a.b, mapped_any, 12);
	memcpy(a.b + 12, &be, 4);
	return a;
}

struct pst_ip
pst_ip_from6(const uint8_t b[16])
{
	struct pst_ip a;
	memcpy(a.b, b, 16);
	return a;
}

bool
pst_ip_is_any(const struct pst_ip *a)
{
	return pst_ip_eq(a, &any6) || memcmp(a->b, mapped_any, 16) == 0;
}

bool
pst_ip_is_multicast(const struct pst_ip *a)
{
	return pst_ip_is4(a) ? (a->b[12] & 0xf0) == 0xe0 : a->b[0] == 0xff;
}

bool
pst_ip_is_linklocal(const struct pst_ip *a)
{
	if (pst_ip_is4(a))
		return a->b[12] == 169 && a->b[13] == 254;
	return a->b[0] == 0xfe && (a->b[1] & 0xc0) == 0x80;
}

bool
pst_prefix_has(const struct pst_prefix *p, const struct pst_ip *a)
{
	bool is4 = pst_ip_is4(&p->ip);
	if (is4 != pst_ip_is4(a))
		return false;
	unsigned bits = is4 ? 96u + p->len : p->len;
	if (bits > 128)
		return false;
	unsigned whole = bits / 8, rest = bits % 8;
	if (memcmp(p->ip.b, a->b, whole) != 0)
		return false;
	return rest == 0 || ((p->ip.b[whole] ^ a->b[whole]) & (0xff00u >> rest) & 0xff) == 0;
}

enum pst_rc
pst_ip_parse(const char *s, struct pst_ip *out)
{
	uint8_t b[16];
	uint32_t v4;

	if (s == NULL)
		return PST_INVAL;
	if (inet_pton(AF_INET, s, &v4) == 1)
		*out = pst_ip_from4(v4);
	else if (inet_pton(AF_INET6, s, b) == 1)
		*out = pst_ip_from6(b);
	else
		return PST_INVAL;
	return PST_OK;
}

/* 1 to 3 digits without a leading zero; -1 on anything else. */
static int
prefix_len(const char *s)
{
	int v = 0;
	if (s[0] == '\0' || (s[0] == '0' && s[1] != '\0'))
		return -1;
	for (unsigned i = 0; s[i] != '\0'; i++) {
		if (i == 3 || s[i] < '0' || s[i] > '9')
			return -1;
		v = v * 10 + (s[i] - '0');
	}
	return v;
}

enum pst_rc
pst_prefix_parse(const char *s, struct pst_prefix *out)
{
	char text[PST_IP_STRLEN];
	struct pst_ip ip;
	const char *slash = s == NULL ? NULL : strchr(s, '/');

	if (slash == NULL || (size_t)(slash - s) >= sizeof(text))
		return PST_INVAL;
	memcpy(text, s, (size_t)(slash - s));
	text[slash - s] = '\0';
	if (pst_ip_parse(text, &ip) != PST_OK)
		return PST_INVAL;
	bool is4 = pst_ip_is4(&ip);
	/* "::ffff:192.0.2.1/120" would leave open which family the length counts in. */
	if (is4 && strchr(text, ':') != NULL)
		return PST_INVAL;
	int len = prefix_len(slash + 1);
	if (len < 0 || len > (is4 ? 32 : 128))
		return PST_INVAL;
	*out = (struct pst_prefix){.ip = ip, .len = (uint8_t)len};
	return PST_OK;
}

const char *
pst_ip_str(const struct pst_ip *a, char buf[PST_IP_STRLEN])
{
	if (pst_ip_is4(a))
		inet_ntop(AF_INET, a->b + 12, buf, PST_IP_STRLEN);
	else
		inet_ntop(AF_INET6, a->b, buf, PST_IP_STRLEN);
	return buf;
}

const char *
pst_endpoint_str(const struct pst_endpoint *e, char buf[PST_ENDPOINT_STRLEN])
{
	char ip[PST_IP_STRLEN];
	const char *fmt = pst_ip_is4(&e->ip) ? "%s:%u" : "[%s]:%u";
	snprintf(buf, PST_ENDPOINT_STRLEN, fmt, pst_ip_str(&e->ip, ip), e->port);
	return buf;
}
