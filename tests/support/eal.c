/* SPDX-License-Identifier: BSD-3-Clause */
#include <pst_test.h>

#include <stdio.h>
#include <stdlib.h>
#include <rte_eal.h>
#include <rte_log.h>

#define ARGS_MAX 32

void
pst_test_eal(void)
{
	pst_test_eal_with(NULL, NULL);
}

void
pst_test_eal_with(const char *lcores, const char *const *more)
{
	static int started;
	/* EAL keeps and permutes argv, so the strings are static and writable. */
	static char args[ARGS_MAX][96] = {"test", "--no-huge", "--no-pci", "--no-shconf",
		"--no-telemetry", "-m", "512", "--iova-mode", "va", "--log-level", "*:error",
		"--lcores"};
	static char *argv[ARGS_MAX + 1];
	int argc = 12;

	if (started)
		return;
	snprintf(args[argc++], sizeof(args[0]), "%s", lcores != NULL ? lcores : "0");
	for (; more != NULL && *more != NULL && argc < ARGS_MAX; more++)
		snprintf(args[argc++], sizeof(args[0]), "%s", *more);
	for (int i = 0; i < argc; i++)
		argv[i] = args[i];
	if (rte_eal_init(argc, argv) < 0) {
		fprintf(stderr, "EAL did not start\n");
		abort();
	}
	started = 1;
}
