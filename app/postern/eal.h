/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From the configuration to a started EAL and a fabric: cores, memory, devices, and what
 * crypto back-ends (crypto.h) want of EAL. Operators never write EAL options. Main thread, once.
 */
#ifndef EAL_H
#define EAL_H

#include <pst_control.h>

/*
 * What the drivers say of the ports, without touching the system: for -t.
 * Adds faults to report.
 */
void eal_check(const struct pst_config_dataplane *dp, struct pst_config_report *report);

/* Prepares devices, starts EAL, makes the fabric. NULL and a text on error. */
struct pst_fabric *eal_start(const struct pst_config *cfg, char *err, size_t errlen);
void eal_stop(struct pst_fabric *f);

/* The lcore id that runs worker w. Those of crypto back-ends follow the last worker's. */
unsigned eal_worker_lcore(unsigned w);
/* Resolves "auto": adaptive where every port is virtual. */
bool eal_adaptive_idle(const struct pst_config_dataplane *dp);

#endif
