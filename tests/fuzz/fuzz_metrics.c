/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Metrics: any bytes as an Accept field, and as names in labels. OpenMetrics is chosen
 * only by who names it, and whatever stands in a label, the text passes the strict reader.
 */
#include <lint.h>
#include <metrics_int.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
names(const char *text)
{
	struct pst_metrics_cert certs[2] = {{.not_after = 1}, {.name = "other", .not_after = 2}};
	struct pst_metrics_input in = {
		.version = text, .crypto_library = text, .dpdk = "", .certs = certs, .ncerts = 2};
	unsigned series = 0;
	size_t len = 0;
	char *out;

	strncpy(certs[0].name, text, sizeof(certs[0].name) - 1);
	if (strcmp(certs[0].name, "other") == 0)
		return;
	out = pst_metrics_text(&in, PST_METRICS_OPENMETRICS, &len);
	if (out == NULL || strlen(out) != len || lint(out, len, true, &series) != NULL)
		abort();
	free(out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);

	if (text == NULL)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	if (pst_metrics_negotiate(text) == PST_METRICS_OPENMETRICS &&
		strcasestr(text, "application/openmetrics-text") == NULL)
		abort();
	if (size % 16 == 0) /* the text costs a hundred times as much as the choice */
		names(text);
	free(text);
	return 0;
}
