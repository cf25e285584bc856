/* SPDX-License-Identifier: BSD-3-Clause */
/* What a gateway says of itself while it is under load: its metrics, over HTTP. */
#ifndef GATEWAY_H
#define GATEWAY_H

#include <pst_base.h>

struct gateway_reading {
	double busy_s, cpu_s; /* of all workers */
	double tls_bytes;     /* OpenSSL's heap */
	double record_bytes;  /* of a session's record and its TCP connection's */
	double sessions, connections;
};

/* Asks "http://A.B.C.D:PORT/metrics" and waits for the answer, at most two seconds. */
bool gateway_read(const char *url, struct gateway_reading *out, char *err, size_t errlen);
/* The same from the text: for tests. */
void gateway_parse(const char *text, struct gateway_reading *out);

#endif
