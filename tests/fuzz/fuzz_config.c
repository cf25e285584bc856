/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Any bytes as a configuration: no crash, no leak, and one of two outcomes, a
 * configuration and no fault, or no configuration and a fault. What is accepted is also
 * linted, which compiles its policy.
 */
#include <pst_control.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pst_config_report report = {0};
	struct pst_config *c = pst_config_parse((const char *)data, size, "/etc/p.json", &report);

	if ((c != NULL) != (report.n == 0))
		abort();
	if (c != NULL)
		pst_config_lint(c, &report);
	if (c != NULL && report.n != 0)
		abort();
	pst_config_report_fini(&report);
	pst_config_free(c);
	return 0;
}
