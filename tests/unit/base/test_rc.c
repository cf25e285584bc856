/* SPDX-License-Identifier: BSD-3-Clause */
#include <criterion/criterion.h>
#include <pst_base.h>

Test(rc, every_result_has_a_name)
{
	for (int rc = PST_UNREACH; rc <= PST_OK; rc++)
		cr_assert_str_neq(pst_rc_name((enum pst_rc)rc), "unknown");
	cr_assert_str_eq(pst_rc_name((enum pst_rc)1), "unknown");
}
