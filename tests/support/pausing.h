/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the test engine and the test provider do in the middle of a signature: pause the
 * job that runs, to be answered by a thread of their own, by a poll, or never.
 */
#ifndef PAUSING_H
#define PAUSING_H

#include <stdbool.h>

enum pausing_mode {
	PAUSING_THREAD, /* answered by a thread, after the delay */
	PAUSING_POLL,   /* by pausing_poll */
	PAUSING_SILENT, /* by pausing_release alone */
	PAUSING_TWICE,  /* by a thread; each callback is made again later */
};

bool pausing_start(void);
void pausing_stop(void);
bool pausing_set_mode(const char *name); /* "thread", "poll", "silent", "twice" */
void pausing_set_delay(unsigned us);
void pausing_set_fail(unsigned every); /* each so-manieth operation fails; 0: none */
/* False: fail the operation. Without a job it does nothing. */
bool pausing_wait(void);
void pausing_poll(void);
void pausing_release(void);

#endif
