/* SPDX-License-Identifier: BSD-3-Clause */
/* A relay, a fabric and a log with made-up numbers, for control to report on. */
#ifndef TEST_CONTROL_FAKE_H
#define TEST_CONTROL_FAKE_H

#include <pst_control.h>

/* Worker w has sessions = 10 * (w + 1), relay.body_bytes = 1000 + w, tcp.in_segs = 7, all else 0.
 */
extern unsigned fake_nworkers;
extern char fake_log[512]; /* the last line */

/* Deps whose socket is `socket`; no group, so that it needs no privileges. */
struct pst_control_deps fake_deps(const char *socket);

#endif
