/* SPDX-License-Identifier: BSD-3-Clause */
/* What unit tests share: an EAL without NIC, hugepages or privileges. */
#ifndef PST_TEST_H
#define PST_TEST_H

/* Starts EAL in this process once (about 0.2 s). Aborts the test on failure. Use as .init. */
void pst_test_eal(void);

#endif
