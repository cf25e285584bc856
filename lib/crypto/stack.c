/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * AddressSanitizer and the stacks of jobs. It keeps the bounds of the stack that a thread runs
 * on, and takes OpenSSL's jumps from one to another for the end of all frames between the two.
 * OpenSSL cannot tell it, so who arrives does: on a job's stack the first of our functions
 * that OpenSSL calls there, on the thread's own what stands behind the TLS call.
 *
 * Nothing of it is in a build without the sanitizer.
 */
#include "engine_int.h"

#if PST_ASAN
#include <openssl/async.h>
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>

/* The thread's own stack, while it is on a job's. */
static _Thread_local struct {
	const void *bottom;
	size_t size;
	bool away;
} own;

void
pst_waiter_stack(void)
{
	void *fake, *bottom = NULL;
	char name[16];
	size_t size = 0;

	if (own.away || ASYNC_get_current_job() == NULL)
		return;
	/* A job's stack is a block of the heap. */
	__asan_locate_address(__builtin_frame_address(0), name, sizeof(name), &bottom, &size);
	if (size == 0)
		return;
	__sanitizer_start_switch_fiber(&fake, bottom, size);
	__sanitizer_finish_switch_fiber(fake, &own.bottom, &own.size);
	own.away = true;
}

void
pst_waiter_own_stack(void)
{
	void *fake;

	if (!own.away)
		return;
	__sanitizer_start_switch_fiber(&fake, own.bottom, own.size);
	__sanitizer_finish_switch_fiber(fake, NULL, NULL);
	own.away = false;
}

#else

void
pst_waiter_stack(void)
{
}

void
pst_waiter_own_stack(void)
{
}
#endif
