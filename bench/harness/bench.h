/* SPDX-License-Identifier: BSD-3-Clause */
/* The commands of postern-bench. Each returns the exit status: 0, 1 it failed, 2 usage. */
#ifndef BENCH_H
#define BENCH_H

int ring_main(int argc, char **argv);
int load_main(int argc, char **argv);
int wire_main(int argc, char **argv);
int sink_main(int argc, char **argv);

#endif
