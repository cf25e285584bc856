/* SPDX-License-Identifier: BSD-3-Clause */
/* What unit tests share: an EAL without NIC, hugepages or privileges. */
#ifndef PST_TEST_H
#define PST_TEST_H

/* Starts EAL in this process once (about 0.2 s). Aborts the test on failure. Use as .init. */
void pst_test_eal(void);
/*
 * The same with lcores and devices: `lcores` as EAL takes it ("0@0,1@0"), NULL: the main one;
 * `more` are further arguments, NULL ends them, NULL: none. For the first call in a process.
 */
void pst_test_eal_with(const char *lcores, const char *const *more);

#endif
