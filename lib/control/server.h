/* SPDX-License-Identifier: BSD-3-Clause */
/* The control socket without its thread: what tests turn by hand, on a clock of their own. */
#ifndef PST_CONTROL_SERVER_H
#define PST_CONTROL_SERVER_H

#include <pst_control.h>

#define PST_CONTROL_CLIENTS 64
#define PST_CONTROL_BACKLOG 128
#define PST_CONTROL_IDLE_NS (300 * PST_NS_PER_SEC)

struct pst_control *pst_control_open(const struct pst_control_deps *deps, char *err, size_t errlen);
void pst_control_close(struct pst_control *c);

/* A turn: waits at most timeout_ms (-1: as long as need be) for something to do, and does it. */
void pst_control_wait(struct pst_control *c, int timeout_ms);
void pst_control_serve(struct pst_control *c, uint64_t now);
unsigned pst_control_nclients(const struct pst_control *c);
struct pst_plane;
struct pst_plane *pst_control_plane(struct pst_control *c);

#endif
