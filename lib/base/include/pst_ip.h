/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An IPv4 or IPv6 address in one shape: 16 bytes, IPv4 as ::ffff:a.b.c.d
 * (RFC 4291 2.5.5.2), so that equality and hashing need no branch.
 * Network byte order throughout; ports are host order.
 */
#ifndef PST_IP_H
#define PST_IP_H

#include <pst_base.h>
#include <string.h>

struct pst_ip {
	uint8_t b[16];
};

struct pst_endpoint {
	struct pst_ip ip;
	uint16_t port; /* host order */
};

struct pst_prefix {
	struct pst_ip ip;
	uint8_t len; /* bits of the family's own length: 0..32 or 0..128 */
};

#define PST_IP_STRLEN       46 /* INET6_ADDRSTRLEN */
#define PST_ENDPOINT_STRLEN 56 /* "[v6]:65535" */

static inline bool
pst_ip_is4(const struct pst_ip *a)
{
	static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
	return memcmp(a->b, mapped, 12) == 0;
}

static inline bool
pst_ip_eq(const struct pst_ip *a, const struct pst_ip *b)
{
	return memcmp(a->b, b->b, 16) == 0;
}

/* The four bytes of an IPv4 address, network order in memory. */
static inline uint32_t
pst_ip_v4(const struct pst_ip *a)
{
	uint32_t v;
	memcpy(&v, a->b + 12, 4);
	return v;
}

struct pst_ip pst_ip_from4(uint32_t be); /* network order, as in the header */
struct pst_ip pst_ip_from6(const uint8_t b[16]);
bool pst_ip_is_any(const struct pst_ip *a); /* 0.0.0.0 or :: */
bool pst_ip_is_multicast(const struct pst_ip *a);
bool pst_ip_is_linklocal(const struct pst_ip *a); /* fe80::/10 or 169.254/16 */
bool pst_prefix_has(const struct pst_prefix *p, const struct pst_ip *a);

/* Text to address: PST_INVAL and an untouched *out on anything but a whole literal. */
enum pst_rc pst_ip_parse(const char *s, struct pst_ip *out);
enum pst_rc pst_prefix_parse(const char *s, struct pst_prefix *out); /* "a/len"; host bits kept */

/* Writes and returns buf (RFC 5952 text). */
const char *pst_ip_str(const struct pst_ip *a, char buf[PST_IP_STRLEN]);
const char *pst_endpoint_str(const struct pst_endpoint *e, char buf[PST_ENDPOINT_STRLEN]);

#endif
