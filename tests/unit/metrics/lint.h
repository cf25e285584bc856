/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A strict reader of what pst_metrics_text writes, by the OpenMetrics 1.0 text
 * (or, with openmetrics false, by the rules of the format 0.0.4). Stricter than
 * either: HELP, then TYPE, then samples, no timestamps, no exemplars.
 */
#ifndef TEST_METRICS_LINT_H
#define TEST_METRICS_LINT_H

#include <stdbool.h>
#include <stddef.h>

/* NULL: nothing wrong. Else "LINE: what", in a static buffer. *series: how many samples. */
const char *lint(const char *text, size_t len, bool openmetrics, unsigned *series);

#endif
