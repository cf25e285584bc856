/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Names as DNS carries them and as text. Everything here is pure.
 *
 * A name that is not letters, digits, hyphens, underscores and dots does not become text:
 * CR, LF, NUL, blanks and what else a zone may hold never reach a log line or a command.
 */
#ifndef DNSNAME_H
#define DNSNAME_H

#include "pst_names.h"

/* Lower case, one trailing dot taken off. False: no such name; out is untouched then. */
bool dnsname_from_text(struct pst_span text, char out[PST_NAME_MAX]);
/* RDATA's name, uncompressed; all n bytes must be it. The root is "". */
bool dnsname_from_wire(const uint8_t *p, size_t n, char out[PST_NAME_MAX]);
/* RFC 1035 3.5, RFC 3596 2.5: in-addr.arpa, ip6.arpa. */
void dnsname_reverse(const struct pst_ip *ip, char out[PST_NAME_MAX]);

#endif
