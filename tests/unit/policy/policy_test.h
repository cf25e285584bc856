/* SPDX-License-Identifier: BSD-3-Clause */
/* What the tests of lib/policy share: compiling with the faults as text, asking. */
#ifndef POLICY_TEST_H
#define POLICY_TEST_H

#include <criterion/criterion.h>
#include <pst_policy.h>
#include <stdio.h>

/* "/rules/3/from: text\n", one after another, clipped. */
struct policy_faults {
	unsigned n;
	char text[4096];
};

pst_policy_report_fn policy_note_fault;
/* NULL and faults, or a policy and none. */
struct pst_policy *policy_try(const struct pst_policy_conf *conf, struct policy_faults *faults);
struct pst_policy *policy_must(const struct pst_policy_conf *conf);
/* policy_must of a configuration of one fault; its text. */
void policy_expect_fault(const struct pst_policy_conf *conf, const char *text);

#endif
