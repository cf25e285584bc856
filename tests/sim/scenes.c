/* SPDX-License-Identifier: BSD-3-Clause */
#include "sim.h"

const struct scene scenes[] = {{NULL, NULL}};
