/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A series: the command once for each value of one of its options, each in a process of its
 * own, so that nothing of one point is left for the next; one document in the end.
 *
 *   postern-bench ring --case bulk --sweep size=4096,65536,1048576 --json FILE
 */
#ifndef SWEEP_H
#define SWEEP_H

#include <stdbool.h>

/* Is --sweep among the arguments? argv[0] is the command. */
bool sweep_wanted(int argc, char **argv);
/* Runs it. The exit status: 0, 1 a point failed, 2 usage. */
int sweep_main(int argc, char **argv);

#endif
