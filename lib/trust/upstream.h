/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * libunbound: the only file that knows it. One context has the servers and TTLs of one
 * configuration, which cannot change once it was used; others are another context.
 *
 * libunbound resolves on a thread of its own, started by the first look-up from the thread that
 * makes it, whose signal mask and cores it inherits. It has no time-out for a look-up: one that
 * nobody waits for any more ends when libunbound gives up.
 *
 * All but new and free: one thread. new and free may be called on any, also before and after.
 */
#ifndef UPSTREAM_H
#define UPSTREAM_H

#include "chain.h"

struct upstream;

/* Of the configuration, the defaults filled in. */
static inline uint32_t
names_max_ttl(const struct pst_names_conf *conf)
{
	return conf->max_ttl_s != 0 ? conf->max_ttl_s : 86400;
}

static inline uint32_t
names_negative_ttl(const struct pst_names_conf *conf)
{
	return conf->negative_ttl_s != 0 ? conf->negative_ttl_s : 300;
}

struct upstream *upstream_new(const struct pst_names_conf *conf, char *err, size_t errlen);
/* Look-ups under way are forgotten: their replies never come. */
void upstream_free(struct upstream *u);

/* Readable when replies are there. */
int upstream_fd(struct upstream *u);
/* Calls the `reply` of each job that has one by now. */
void upstream_process(struct upstream *u);

/* A look-up under way: the caller's memory, part of what it knows about it. */
struct upstream_job {
	void (*reply)(struct upstream_job *job, const struct dns_reply *r);
};
/* job->reply comes out of upstream_process, once. Not PST_OK: it never comes. */
enum pst_rc upstream_ask(
	struct upstream *u, const char *name, uint16_t type, struct upstream_job *job);

#endif
