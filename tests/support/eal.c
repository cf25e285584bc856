/* SPDX-License-Identifier: BSD-3-Clause */
#include <pst_test.h>

#include <stdio.h>
#include <stdlib.h>
#include <rte_eal.h>
#include <rte_log.h>

void
pst_test_eal(void)
{
	static int started;
	/* EAL keeps and permutes argv, so the strings are static and writable. */
	static char args[][24] = {"test", "--no-huge", "--no-pci", "--no-shconf", "--no-telemetry",
		"-m", "512", "--lcores", "0", "--iova-mode", "va", "--log-level", "*:error"};
	static char *argv[sizeof(args) / sizeof(args[0]) + 1];

	if (started)
		return;
	for (size_t i = 0; i < sizeof(args) / sizeof(args[0]); i++)
		argv[i] = args[i];
	if (rte_eal_init(sizeof(args) / sizeof(args[0]), argv) < 0) {
		fprintf(stderr, "EAL did not start\n");
		abort();
	}
	started = 1;
}
