/* SPDX-License-Identifier: BSD-3-Clause */
#include "policy_test.h"

void
policy_note_fault(void *arg, enum pst_policy_section section, unsigned index, const char *member,
	const char *text)
{
	static const char *const sections[] = {
		"routes", "rules", "map", "next_hops", "never", "required", "whole"};
	struct policy_faults *f = arg;
	size_t at = strlen(f->text);

	f->n++;
	snprintf(f->text + at, sizeof(f->text) - at, "/%s/%u%s%s: %s\n", sections[section], index,
		member[0] != 0 ? "/" : "", member, text);
}

struct pst_policy *
policy_try(const struct pst_policy_conf *conf, struct policy_faults *faults)
{
	struct pst_policy *p;

	*faults = (struct policy_faults){0};
	p = pst_policy_new(conf, policy_note_fault, faults);
	cr_assert((p == NULL) == (faults->n > 0), "%s", faults->text);
	return p;
}

struct pst_policy *
policy_must(const struct pst_policy_conf *conf)
{
	struct policy_faults faults;
	struct pst_policy *p = policy_try(conf, &faults);

	cr_assert_not_null(p, "%s", faults.text);
	return p;
}

void
policy_expect_fault(const struct pst_policy_conf *conf, const char *text)
{
	struct policy_faults faults;
	struct pst_policy *p = policy_try(conf, &faults);

	cr_expect_null(p, "not refused: %s", text);
	cr_expect_str_eq(faults.text, text, "got: %swant: %s", faults.text, text);
	pst_policy_free(p);
}
