/* SPDX-License-Identifier: BSD-3-Clause */
/* The names of net's counters, for reports. */
#include "net_impl.h"

#define DESC(name, help) PST_COUNTER_DESC(pst_net_counters, name, help)

const struct pst_counter_desc pst_net_counter_descs[] = {PST_NET_COUNTERS(DESC){NULL, NULL, 0}};
