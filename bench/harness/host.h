/* SPDX-License-Identifier: BSD-3-Clause */
/* The machine: what it is, and how much others use it. */
#ifndef HOST_H
#define HOST_H

#include <jansson.h>
#include <pst_base.h>
#include <sys/types.h>

void host_time(char text[32]); /* now, UTC, ISO 8601 */
json_t *host_json(const char *driver);
/*
 * A fixed piece of arithmetic on the caller's core: ns, the best of three. What it takes
 * longer than at its best says how slow the core is right now.
 */
uint64_t host_spin_ns(void);
/* Involuntary context switches of a thread of ours so far; 0 if unknown. */
uint64_t host_preempted(pid_t tid);

#endif
