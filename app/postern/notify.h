/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the service manager is told (sd_notify(3)): ready, reloading, stopping, a
 * line of status, and the watchdog's food. Without NOTIFY_SOCKET in the
 * environment nothing is said. Main thread only.
 *
 * The watchdog is fed only while every worker's loop turns: a worker that hangs
 * hangs its sessions, and nobody but the service manager can help it then. One
 * that sleeps because there is nothing to do wakes often enough to count.
 */
#ifndef NOTIFY_H
#define NOTIFY_H

#include <pst_base.h>
#include <pst_net.h>

struct notify {
	uint64_t every_ns;  /* between two feedings; 0: no watchdog */
	uint64_t judged_ns; /* when the workers were last looked at */
	unsigned nworkers;
	uint64_t loops[PST_NET_MAX_WORKERS]; /* at the last feeding */
	uint64_t status_ns;
};

/* Reads WATCHDOG_USEC. `loops`: each worker's turns now. */
void notify_init(struct notify *n, unsigned nworkers, const uint64_t *loops, uint64_t now);
/*
 * Whether the watchdog is to be fed now: it is time, and every counter has moved
 * since it was last fed. Pure but for its own state.
 */
bool notify_watchdog(struct notify *n, const uint64_t *loops, uint64_t now);

/*
 * Call at least four times in WatchdogSec, a turn of the main loop. Feeds the
 * watchdog if it may; every 10 s says `status`, which is one line.
 */
void notify_tick(struct notify *n, const uint64_t *loops, uint64_t now, const char *status);

void notify_ready(const char *status);
void notify_reloading(void); /* then notify_ready, whatever became of it */
void notify_stopping(const char *status);

#endif
