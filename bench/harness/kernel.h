/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the two commands over kernel sockets share, load and sink: reading their options.
 * Engines, schedules and figures are those of the other modes; only the transport differs.
 */
#ifndef KERNEL_H
#define KERNEL_H

#include "client.h"

#include <pst_ip.h>

/* "ADDR:PORT" or "[v6]:PORT" -> an endpoint; false for anything else. */
bool kernel_endpoint(const char *text, struct pst_endpoint *out);
/* "starttls", "implicit", "none". */
bool kernel_tls(const char *text, enum gen_tls *out);
/* A decimal number within the bounds, nothing behind it. */
bool kernel_number(const char *text, double min, double max, double *out);

#endif
