/* SPDX-License-Identifier: BSD-3-Clause */
/* metrics_sample [--openmetrics]: the text of sample.c's numbers. */
#include "sample.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int
main(int argc, char **argv)
{
	bool open = argc == 2 && strcmp(argv[1], "--openmetrics") == 0;
	size_t len = 0;
	char *text = pst_metrics_text(
		sample(), open ? PST_METRICS_OPENMETRICS : PST_METRICS_CLASSIC, &len);
	int rc = text == NULL || fwrite(text, 1, len, stdout) != len || fflush(stdout) != 0;

	free(text);
	return rc;
}
