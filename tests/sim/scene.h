/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of scenes share. */
#ifndef SCENE_H
#define SCENE_H

#include "sim.h"

#define PORT 25
#define SEC  PST_NS_PER_SEC
#define MS   PST_NS_PER_MS

const char *scene_end(struct sim *s); /* frees s */

/* crowd.c: many connections */
const char *scene_churn(uint64_t seed, bool v6);
const char *scene_overload(uint64_t seed, bool v6);
/* forgery.c */
const char *scene_forgery(uint64_t seed, bool v6);

#endif
