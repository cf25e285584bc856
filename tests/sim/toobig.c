/* SPDX-License-Identifier: BSD-3-Clause */
/* "Packet too big" as a router on the way would send it (RFC 1191, RFC 4443 3.2). */
#include "sim.h"

#include <rte_ip.h>

#define ETH   14
#define QUOTE 60 /* bytes of the packet that are sent back */

static void
put16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static uint16_t
answer4(const uint8_t *ip, uint16_t mtu, uint8_t *out)
{
	uint8_t *o = out + 20;
	uint16_t sum;

	memset(out, 0, 28);
	out[0] = 0x45;
	put16(out + 2, 28 + QUOTE);
	out[8] = 64;
	out[9] = 1;
	memcpy(out + 12, ip + 16, 4);
	memcpy(out + 16, ip + 12, 4);
	sum = (uint16_t)~rte_raw_cksum(out, 20);
	memcpy(out + 10, &sum, 2);
	o[0] = 3;
	o[1] = 4;
	put16(o + 6, mtu);
	memcpy(o + 8, ip, QUOTE);
	sum = (uint16_t)~rte_raw_cksum(o, 8 + QUOTE);
	memcpy(o + 2, &sum, 2);
	return 28 + QUOTE;
}

static uint16_t
answer6(const uint8_t *ip, uint16_t mtu, uint8_t *out)
{
	struct rte_ipv6_hdr *h = (struct rte_ipv6_hdr *)out;
	uint8_t *o = out + 40;
	uint16_t sum;

	memset(out, 0, 48);
	out[0] = 0x60;
	put16(out + 4, 8 + QUOTE);
	out[6] = 58;
	out[7] = 64;
	memcpy(out + 8, ip + 24, 16);
	memcpy(out + 24, ip + 8, 16);
	o[0] = 2;
	put16(o + 6, mtu);
	memcpy(o + 8, ip, QUOTE);
	sum = rte_ipv6_udptcp_cksum(h, o);
	memcpy(o + 2, &sum, 2);
	return 48 + QUOTE;
}

uint16_t
too_big(const uint8_t *frame, uint16_t len, uint16_t mtu, uint8_t *out)
{
	const uint8_t *ip = frame + ETH;
	bool v6 = (ip[0] >> 4) == 6;

	if (len < ETH + QUOTE)
		return 0;
	memcpy(out, frame + 6, 6);
	memcpy(out + 6, frame, 6);
	memcpy(out + 12, frame + 12, 2);
	return (uint16_t)(ETH + (v6 ? answer6(ip, mtu, out + ETH) : answer4(ip, mtu, out + ETH)));
}
