/* SPDX-License-Identifier: BSD-3-Clause */
/* The arithmetic of stances, for both legs. See pst_policy.h for its rules. */
#ifndef PST_POLICY_ASK_H
#define PST_POLICY_ASK_H

#include "policy_int.h"

/* A leg while its sources speak, and who listens for explain. */
struct policy_leg {
	struct pst_want want;
	const char *name;
	bool always_tls; /* TLS from the first byte: an exemption asks nothing */
	struct pst_policy_trace *trace;
};

/* Adds one line to the trace, if there is one: its text is made only then. */
#define policy_leg_tell(leg, source, stance, ...)                                                  \
	do {                                                                                       \
		if ((leg)->trace != NULL)                                                          \
			policy_trace((leg)->trace, (leg)->name, source, stance, __VA_ARGS__);      \
	} while (0)

/* A source takes the stance that the level means: NONE exempts, MAY is optional, the rest demand.
 */
const char *policy_leg_speak(struct policy_leg *leg, enum pst_level level);
void policy_leg_lists(
	struct policy_leg *leg, unsigned listed, const char *what, struct pst_span who);
bool policy_leg_silent(const struct policy_leg *leg);
enum pst_level policy_leg_level(const struct policy_leg *leg, bool *conflict);
const char *policy_leg_result(const struct policy_leg *leg, bool conflict);

#endif
