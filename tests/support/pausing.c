/* SPDX-License-Identifier: BSD-3-Clause */
#include "pausing.h"
#include <openssl/async.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* One paused job. Whoever answers takes what it needs before it says done. */
struct pause {
	struct pause *next;
	atomic_bool done;
	ASYNC_callback_fn cb;
	void *arg;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct pause *waiting, **tail = &waiting;
static enum pausing_mode mode;
static unsigned delay_us = 200, fail_every;
static _Atomic unsigned operations;
static atomic_bool stopping;
static pthread_t thread;

static void
nap(unsigned us)
{
	nanosleep(
		&(struct timespec){.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000L}, NULL);
}

static struct pause *
take_all(void)
{
	struct pause *p;

	pthread_mutex_lock(&lock);
	p = waiting;
	waiting = NULL;
	tail = &waiting;
	pthread_mutex_unlock(&lock);
	return p;
}

static void
answer(struct pause *p)
{
	while (p != NULL) {
		struct pause *next = p->next;
		ASYNC_callback_fn cb = p->cb;
		void *arg = p->arg;

		atomic_store(&p->done, true); /* from here on it is the job's again */
		(void)cb(arg);
		p = next;
	}
}

/* The same numbers again, while their connections are there: as an engine that stutters. */
static void
stutter(struct pause *p)
{
	for (; p != NULL; p = p->next) {
		(void)p->cb(p->arg);
		(void)p->cb(p->arg);
	}
}

static void *
run(void *none)
{
	while (!atomic_load(&stopping)) {
		struct pause *p;

		nap(delay_us);
		if (mode != PAUSING_THREAD && mode != PAUSING_TWICE)
			continue;
		p = take_all();
		if (mode == PAUSING_TWICE)
			stutter(p);
		answer(p);
	}
	return NULL;
}

bool
pausing_start(void)
{
	atomic_store(&stopping, false);
	return pthread_create(&thread, NULL, run, NULL) == 0;
}

void
pausing_stop(void)
{
	atomic_store(&stopping, true);
	pthread_join(thread, NULL);
}

bool
pausing_set_mode(const char *name)
{
	static const char *const names[] = {"thread", "poll", "silent", "twice"};

	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(name, names[i]) == 0) {
			mode = (enum pausing_mode)i;
			return true;
		}
	return false;
}

void
pausing_set_delay(unsigned us)
{
	delay_us = us;
}

void
pausing_set_fail(unsigned every)
{
	fail_every = every;
}

bool
pausing_wait(void)
{
	ASYNC_JOB *job = ASYNC_get_current_job();
	struct pause *p;
	bool ok;

	if (job == NULL)
		return true;
	ok = fail_every == 0 || atomic_fetch_add(&operations, 1) % fail_every != 0;
	p = calloc(1, sizeof(*p));
	if (p == NULL ||
		ASYNC_WAIT_CTX_get_callback(ASYNC_get_wait_ctx(job), &p->cb, &p->arg) != 1 ||
		p->cb == NULL) {
		free(p);
		return false;
	}
	pthread_mutex_lock(&lock);
	*tail = p;
	tail = &p->next;
	pthread_mutex_unlock(&lock);
	do
		(void)ASYNC_pause_job();
	while (!atomic_load(&p->done));
	free(p);
	return ok;
}

void
pausing_poll(void)
{
	if (mode == PAUSING_POLL)
		answer(take_all());
}

void
pausing_release(void)
{
	answer(take_all());
}
