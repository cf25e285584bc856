/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The two commands that need no stack of ours: a load over kernel sockets against any mail
 * server, and a next hop behind it. Engines, schedules and figures are those of the other
 * modes; only the transport differs.
 *
 *   postern-bench load --to 192.0.2.1:25 --seconds 10 --concurrency 32
 *   postern-bench sink --kernel --at 192.0.2.20:25/starttls --cert mail.pem
 *
 * Both return the exit status: 0; 1 when something went wrong while running; 2 for options
 * that make no sense, after a line that says which.
 */
#ifndef KERNEL_H
#define KERNEL_H

#include "client.h"

#include <pst_ip.h>

#include <stdio.h>

int cmd_load(int argc, char **argv);
int cmd_sink(int argc, char **argv);

/* "ADDR:PORT" or "[v6]:PORT" -> an endpoint; false for anything else. */
bool kernel_endpoint(const char *text, struct pst_endpoint *out);
/* "starttls", "implicit", "none". */
bool kernel_tls(const char *text, enum gen_tls *out);
/* A decimal number within the bounds, nothing behind it. */
bool kernel_number(const char *text, double min, double max, double *out);

#endif
