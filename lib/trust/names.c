/* SPDX-License-Identifier: BSD-3-Clause */
#include <pst_names.h>

/* Insertion by priority keeps equals in their configured order; n is at most 16. */
enum pst_rc
pst_names_resolve(const struct pst_names_host *hosts, unsigned n, struct pst_names_answer *out)
{
	uint16_t prio[PST_NAMES_MAX];

	out->n = 0;
	for (unsigned i = 0; i < n && out->n < PST_NAMES_MAX; i++) {
		unsigned at = out->n;

		if (!hosts[i].has_addr)
			continue;
		for (; at > 0 && prio[at - 1] > hosts[i].priority; at--) {
			prio[at] = prio[at - 1];
			out->e[at] = out->e[at - 1];
		}
		prio[at] = hosts[i].priority;
		out->e[at].at = (struct pst_endpoint){.ip = hosts[i].addr, .port = hosts[i].port};
		out->e[at].name = hosts[i].name;
		out->n++;
	}
	return PST_OK;
}
