/* SPDX-License-Identifier: BSD-3-Clause */
/* Two workers, two certificates, and a different number everywhere. */
#ifndef TEST_METRICS_SAMPLE_H
#define TEST_METRICS_SAMPLE_H

#include <metrics_int.h>

#define SAMPLE_WORKERS 2

/* Static data: the next call overwrites it. */
const struct pst_metrics_input *sample(void);
/* The same to be changed. */
struct pst_worker_stats *sample_workers(void);
struct pst_metrics_input *sample_input(void);

#endif
