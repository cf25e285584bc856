/* SPDX-License-Identifier: BSD-3-Clause */
#include "kernel.h"

#include <stdlib.h>
#include <string.h>

bool
kernel_number(const char *text, double min, double max, double *out)
{
	char *end;
	double v = strtod(text, &end);

	if (end == text || *end != '\0' || !(v >= min && v <= max))
		return false;
	*out = v;
	return true;
}

bool
kernel_tls(const char *text, enum gen_tls *out)
{
	static const struct {
		const char *name;
		enum gen_tls tls;
	} all[] = {{"none", GEN_TLS_NONE}, {"starttls", GEN_TLS_STARTTLS},
		{"implicit", GEN_TLS_IMPLICIT}};

	for (unsigned i = 0; i < PST_COUNT(all); i++)
		if (strcmp(text, all[i].name) == 0) {
			*out = all[i].tls;
			return true;
		}
	return false;
}

bool
kernel_endpoint(const char *text, struct pst_endpoint *out)
{
	const char *colon = strrchr(text, ':');
	char addr[PST_IP_STRLEN + 2];
	size_t n = colon != NULL ? (size_t)(colon - text) : 0;
	double port;

	if (n == 0 || n >= sizeof(addr) || !kernel_number(colon + 1, 1, 65535, &port) ||
		port != (double)(uint16_t)port)
		return false;
	memcpy(addr, text, n);
	addr[n] = '\0';
	out->port = (uint16_t)port;
	if (addr[0] == '[' && addr[n - 1] == ']') {
		addr[n - 1] = '\0';
		return pst_ip_parse(addr + 1, &out->ip) == PST_OK;
	}
	/* Without brackets an IPv6 address's last group would be the port. */
	return strchr(addr, ':') == NULL && pst_ip_parse(addr, &out->ip) == PST_OK;
}
