/* SPDX-License-Identifier: BSD-3-Clause */
/* See notify.h. */
#include "notify.h"

#include <inttypes.h>
#include <string.h>
#include <systemd/sd-daemon.h>

#define STATUS_NS (10 * PST_NS_PER_SEC)

void
notify_init(struct notify *n, unsigned nworkers, const uint64_t *loops, uint64_t now)
{
	uint64_t usec = 0;

	memset(n, 0, sizeof(*n));
	/* sd_watchdog_enabled(3): "notify ... every half of the time returned here". */
	if (sd_watchdog_enabled(0, &usec) > 0)
		n->every_ns = usec * 1000 / 2;
	n->nworkers = PST_MIN(nworkers, (unsigned)PST_NET_MAX_WORKERS);
	memcpy(n->loops, loops, n->nworkers * sizeof(*loops));
	n->judged_ns = n->status_ns = now;
}

bool
notify_watchdog(struct notify *n, const uint64_t *loops, uint64_t now)
{
	if (n->every_ns == 0 || now - n->judged_ns < n->every_ns / 2)
		return false;
	n->judged_ns = now;
	for (unsigned w = 0; w < n->nworkers; w++)
		if (loops[w] == n->loops[w])
			return false;
	memcpy(n->loops, loops, n->nworkers * sizeof(*loops));
	return true;
}

void
notify_tick(struct notify *n, const uint64_t *loops, uint64_t now, const char *status)
{
	/* A message that cannot be sent is a watchdog not fed: the manager will see. */
	if (notify_watchdog(n, loops, now))
		(void)sd_notify(0, "WATCHDOG=1");
	if (now - n->status_ns >= STATUS_NS) {
		n->status_ns = now;
		(void)sd_notifyf(0, "STATUS=%s", status);
	}
}

void
notify_ready(const char *status)
{
	(void)sd_notifyf(0, "READY=1\nSTATUS=%s", status);
}

void
notify_reloading(void)
{
	/* The time is what Type=notify-reload (systemd 253) matches its request by. */
	(void)sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, pst_now_ns() / 1000);
}

void
notify_stopping(const char *status)
{
	(void)sd_notifyf(0, "STOPPING=1\nSTATUS=%s", status);
}
