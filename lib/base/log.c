/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The log's lanes and its writer thread.
 *
 * A lane is a single-producer, single-consumer ring. Its producer writes a record
 * and then stores `tail` (release); the writer loads `tail` (acquire), prints, and
 * stores `head_seq` (release), which the producer loads (acquire) before it uses
 * the record again. Nothing else is shared, so a worker never waits for the disk.
 *
 * Rings come from calloc: a page costs memory only when a record was written
 * into it, at most 8 MiB for a lane of 4096.
 *
 * The writer sleeps at most 20 ms; only stop, reopen and a new output wake it early. If the
 * file cannot be written, lines are lost and counted, and the log goes on.
 */
#include "log_int.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define DEFAULT_RECORDS 4096
#define MAX_RECORDS     (1u << 20)
#define NAP_MS          20
#define BATCH           (64 * 1024)

struct pst_logger {
	char *file; /* the writer's; NULL: standard error */
	int fd;
	enum pst_log_format format; /* of the writer's own lines */
	uint8_t epoch;              /* of the writer's output */
	uint32_t records;
	_Atomic(struct pst_log *) lanes; /* newest first; lanes never go away */
	_Atomic uint64_t unwritten;      /* lines that the file refused */

	pthread_t thread;
	pthread_mutex_t lock; /* these, and adding lanes: never taken by a producer */
	pthread_cond_t wake;
	int level;
	bool stop, reopen, move;
	enum pst_log_format lane_format; /* of lines to come, and the output they are for */
	uint8_t lane_epoch;
	char *next_file; /* move: where to */
	int next_fd;

	pthread_mutex_t tap_lock; /* held while tap runs */
	pst_log_tap *_Atomic tap;
	void *tap_arg;

	/* the writer's own */
	uint64_t unwritten_reported;
	time_t second; /* of stamp */
	char stamp[24];
	size_t len, lines; /* in batch */
	char batch[BATCH];
};

struct pst_log_rec *
pst_log_reserve(struct pst_log *l)
{
	uint32_t tail = atomic_load_explicit(&l->tail, memory_order_relaxed); /* ours */

	if (tail - atomic_load_explicit(&l->head_seq, memory_order_acquire) > l->mask) {
		uint64_t n = atomic_load_explicit(&l->dropped, memory_order_relaxed);

		atomic_store_explicit(&l->dropped, n + 1, memory_order_relaxed);
		return NULL;
	}
	return &l->ring[tail & l->mask];
}

void
pst_log_publish(struct pst_log *l)
{
	uint32_t tail = atomic_load_explicit(&l->tail, memory_order_relaxed);

	atomic_store_explicit(&l->tail, tail + 1, memory_order_release);
}

static void
write_batch(struct pst_logger *lg)
{
	size_t at = 0;

	while (at < lg->len) {
		ssize_t n = write(lg->fd, lg->batch + at, lg->len - at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			atomic_fetch_add_explicit(&lg->unwritten, lg->lines, memory_order_relaxed);
			break;
		}
		at += (size_t)n;
	}
	lg->len = lg->lines = 0;
}

/* "2026-11-21T21:45:36", made anew once a second. */
static const char *
stamp(struct pst_logger *lg, time_t second)
{
	struct tm tm;

	if (second != lg->second || lg->stamp[0] == 0) {
		gmtime_r(&second, &tm);
		strftime(lg->stamp, sizeof(lg->stamp), "%Y-%m-%dT%H:%M:%S", &tm);
		lg->second = second;
	}
	return lg->stamp;
}

static void
show(struct pst_logger *lg, struct pst_span line)
{
	pst_log_tap *tap;

	if (atomic_load_explicit(&lg->tap, memory_order_relaxed) == NULL)
		return; /* without the lock: nobody looks, as nearly always */
	pthread_mutex_lock(&lg->tap_lock);
	tap = atomic_load_explicit(&lg->tap, memory_order_relaxed);
	if (tap != NULL)
		tap(lg->tap_arg, line);
	pthread_mutex_unlock(&lg->tap_lock);
}

static const char *const level_names[] = {"error", "warn", "info", "debug"};

/* Frames a record: at most LOG_FRAME bytes around its text. */
static void
add_line(struct pst_logger *lg, const char *lane, const struct pst_log_rec *r)
{
	const char *when = stamp(lg, (time_t)(r->wall_ns / PST_NS_PER_SEC));
	unsigned us = (unsigned)(r->wall_ns % PST_NS_PER_SEC / 1000);
	const char *level = level_names[PST_MIN(r->level, 3)];
	int n;

	if (BATCH - lg->len < PST_LOG_LINE_MAX)
		write_batch(lg);
	if (r->format == PST_LOG_JSON)
		n = snprintf(lg->batch + lg->len, BATCH - lg->len,
			"{\"time\":\"%s.%06uZ\",\"lane\":\"%s\",\"level\":\"%s\",%.*s%s}\n", when,
			us, lane, level, (int)r->len, r->text, r->cut ? ",\"cut\":true" : "");
	else
		n = snprintf(lg->batch + lg->len, BATCH - lg->len,
			"%s.%06uZ postern[%s]: %s%s%.*s%s\n", when, us, lane,
			r->level == PST_LOG_INFO ? "" : level, r->level == PST_LOG_INFO ? "" : ": ",
			(int)r->len, r->text, r->cut ? " cut=1" : "");
	if (n > 0) {
		show(lg, pst_span(lg->batch + lg->len, (size_t)n - 1));
		lg->len += (size_t)n;
	}
	lg->lines++;
}

/* A line of the writer's own. */
static void
say(struct pst_logger *lg, const char *lane, const char *what, uint64_t n)
{
	struct pst_log_rec r = {.level = PST_LOG_WARN, .format = (uint8_t)lg->format};
	struct timespec ts;
	int len;

	clock_gettime(CLOCK_REALTIME, &ts);
	r.wall_ns = (uint64_t)ts.tv_sec * PST_NS_PER_SEC + (uint64_t)ts.tv_nsec;
	len = snprintf(r.text, sizeof(r.text),
		lg->format == PST_LOG_JSON ? "\"id\":\"log\",\"msg\":\"%s\",\"n\":%llu"
					   : "log: %s n=%llu",
		what, (unsigned long long)n);
	r.len = (uint16_t)len;
	add_line(lg, lane, &r);
}

static unsigned
drain_lane(struct pst_logger *lg, struct pst_log *l)
{
	uint32_t head = atomic_load_explicit(&l->head_seq, memory_order_relaxed); /* ours */
	uint32_t tail = atomic_load_explicit(&l->tail, memory_order_acquire);
	const struct pst_log_rec *r;
	unsigned n = 0;
	uint64_t dropped;

	for (; head != tail; head++, n++) {
		r = &l->ring[head & l->mask];
		if ((int8_t)(r->epoch - lg->epoch) > 0)
			break; /* for the output to come: the order to move is under way */
		add_line(lg, l->name, r);
		atomic_store_explicit(&l->head_seq, head + 1, memory_order_release);
	}
	dropped = atomic_load_explicit(&l->dropped, memory_order_relaxed);
	if (dropped != l->reported)
		say(lg, l->name, "lines lost", dropped - l->reported);
	l->reported = dropped;
	return n;
}

static unsigned
drain(struct pst_logger *lg)
{
	uint64_t unwritten = atomic_load_explicit(&lg->unwritten, memory_order_relaxed);
	unsigned n = 0;

	if (unwritten != lg->unwritten_reported)
		say(lg, "log", "lines not written", unwritten - lg->unwritten_reported);
	for (struct pst_log *l = atomic_load_explicit(&lg->lanes, memory_order_acquire); l != NULL;
		l = l->next)
		n += drain_lane(lg, l);
	if (lg->len > 0) {
		write_batch(lg);
		/* Told, unless the line that tells was itself refused. */
		if (atomic_load_explicit(&lg->unwritten, memory_order_relaxed) == unwritten)
			lg->unwritten_reported = unwritten;
	}
	return n;
}

static int
open_file(const char *file)
{
	if (file == NULL)
		return STDERR_FILENO;
	return open(file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0640);
}

static void
reopen_file(struct pst_logger *lg)
{
	int fd;

	if (lg->file == NULL)
		return;
	fd = open_file(lg->file);
	if (fd < 0) {
		say(lg, "log", "cannot reopen the file, going on with the old one; errno",
			(uint64_t)errno);
		return;
	}
	close(lg->fd);
	lg->fd = fd;
}

/* Takes the place that set_output prepared. */
static void
move_output(struct pst_logger *lg)
{
	pthread_mutex_lock(&lg->lock);
	if (lg->file != NULL)
		close(lg->fd);
	free(lg->file);
	lg->file = lg->next_file;
	lg->fd = lg->next_fd;
	lg->format = lg->lane_format;
	lg->epoch = lg->lane_epoch;
	lg->next_file = NULL;
	lg->move = false;
	pthread_mutex_unlock(&lg->lock);
}

static void
add_ms(struct timespec *ts, unsigned ms)
{
	ts->tv_nsec += (long)ms * 1000000;
	if (ts->tv_nsec >= 1000000000) {
		ts->tv_nsec -= 1000000000;
		ts->tv_sec++;
	}
}

struct orders {
	bool stop, reopen, move;
};

/* Sleeps until told, or for the nap. */
static struct orders
nap(struct pst_logger *lg, unsigned ms)
{
	struct timespec until;
	struct orders o;

	clock_gettime(CLOCK_MONOTONIC, &until);
	add_ms(&until, ms);
	pthread_mutex_lock(&lg->lock);
	while (!lg->stop && !lg->reopen && !lg->move &&
		pthread_cond_timedwait(&lg->wake, &lg->lock, &until) != ETIMEDOUT)
		;
	o = (struct orders){lg->stop, lg->reopen, lg->move};
	lg->reopen = false;
	pthread_mutex_unlock(&lg->lock);
	return o;
}

/* The last drain comes after `stop` was seen: what producers wrote before it is printed. */
static void *
writer(void *arg)
{
	struct pst_logger *lg = arg;
	struct orders o = {0};

	while (!o.stop) {
		unsigned n = drain(lg);

		o = nap(lg, n >= lg->records / 8 ? 1 : NAP_MS);
		if (o.reopen || o.move)
			drain(lg); /* what was logged before the order belongs to the old file */
		if (o.move)
			move_output(lg);
		else if (o.reopen)
			reopen_file(lg);
	}
	drain(lg);
	drain(lg); /* the news of a loss in the last */
	return NULL;
}

/* Signals are the main thread's; a closed pipe is an error of write, not the end of the process. */
static int
start_thread(struct pst_logger *lg)
{
	sigset_t all, old;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(&lg->thread, NULL, writer, lg);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (rc == 0)
		pthread_setname_np(lg->thread, "pst-log");
	return rc;
}

static void
init_sync(struct pst_logger *lg)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&lg->wake, &attr);
	pthread_condattr_destroy(&attr);
	pthread_mutex_init(&lg->lock, NULL);
	pthread_mutex_init(&lg->tap_lock, NULL);
}

/* A place that was prepared and never taken. */
static void
drop_next(struct pst_logger *lg)
{
	if (lg->next_file != NULL)
		close(lg->next_fd);
	free(lg->next_file);
	lg->next_file = NULL;
}

static void
release(struct pst_logger *lg)
{
	struct pst_log *l = atomic_load_explicit(&lg->lanes, memory_order_relaxed);

	while (l != NULL) {
		struct pst_log *next = l->next;

		free(l->ring);
		free(l);
		l = next;
	}
	if (lg->file != NULL && lg->fd >= 0)
		close(lg->fd);
	pthread_cond_destroy(&lg->wake);
	pthread_mutex_destroy(&lg->lock);
	pthread_mutex_destroy(&lg->tap_lock);
	drop_next(lg);
	free(lg->file);
	free(lg);
}

/* Opens what a configuration names; *copy is NULL for standard error. */
static bool
prepare(const char *file, char **copy, int *fd, char *err, size_t errlen)
{
	bool named = file != NULL && strcmp(file, "-") != 0;

	*copy = named ? strdup(file) : NULL;
	*fd = named && *copy == NULL ? -1 : open_file(*copy);
	if (*fd >= 0)
		return true;
	snprintf(err, errlen, "%s: cannot open: %s", file, strerror(errno));
	free(*copy);
	*copy = NULL;
	return false;
}

struct pst_logger *
pst_logger_new(const struct pst_log_conf *conf, char *err, size_t errlen)
{
	struct pst_logger *lg = calloc(1, sizeof(*lg));
	uint32_t records = conf->lane_records != 0 ? conf->lane_records : DEFAULT_RECORDS;
	int rc;

	if (lg == NULL) {
		snprintf(err, errlen, "log: out of memory");
		return NULL;
	}
	init_sync(lg);
	lg->fd = STDERR_FILENO;
	lg->format = lg->lane_format = conf->format;
	lg->level = (int)conf->level;
	lg->records = records;
	if ((records & (records - 1)) != 0 || records > MAX_RECORDS) {
		snprintf(err, errlen, "log: lane_records %u: not a power of two up to %u", records,
			MAX_RECORDS);
		goto fail;
	}
	if (!prepare(conf->file, &lg->file, &lg->fd, err, errlen))
		goto fail;
	rc = start_thread(lg);
	if (rc == 0)
		return lg;
	snprintf(err, errlen, "log: cannot start its thread: %s", strerror(rc));
fail:
	release(lg);
	return NULL;
}

void
pst_logger_free(struct pst_logger *lg)
{
	if (lg == NULL)
		return;
	pthread_mutex_lock(&lg->lock);
	lg->stop = true;
	pthread_cond_signal(&lg->wake);
	pthread_mutex_unlock(&lg->lock);
	pthread_join(lg->thread, NULL);
	release(lg);
}

void
pst_logger_reopen(struct pst_logger *lg)
{
	pthread_mutex_lock(&lg->lock);
	lg->reopen = true;
	pthread_cond_signal(&lg->wake);
	pthread_mutex_unlock(&lg->lock);
}

void
pst_logger_set_level(struct pst_logger *lg, enum pst_log_level level)
{
	pthread_mutex_lock(&lg->lock);
	lg->level = (int)level;
	for (struct pst_log *l = atomic_load_explicit(&lg->lanes, memory_order_relaxed); l != NULL;
		l = l->next)
		__atomic_store_n(&l->head.level, (int)level, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&lg->lock);
}

/* Lines already in a lane keep their format: it stands in the record. */
static void
set_lane_format(struct pst_logger *lg, enum pst_log_format format)
{
	lg->lane_format = format;
	lg->lane_epoch++;
	for (struct pst_log *l = atomic_load_explicit(&lg->lanes, memory_order_relaxed); l != NULL;
		l = l->next)
		__atomic_store_n(&l->form, LOG_FORM(lg->lane_epoch, format), __ATOMIC_RELAXED);
}

enum pst_rc
pst_logger_set_output(struct pst_logger *lg, const char *file, enum pst_log_format format,
	char *err, size_t errlen)
{
	char *copy;
	int fd;

	if (!prepare(file, &copy, &fd, err, errlen))
		return PST_INVAL;
	pthread_mutex_lock(&lg->lock);
	drop_next(lg); /* the writer did not come round since the last change */
	lg->next_file = copy;
	lg->next_fd = fd;
	lg->move = true;
	set_lane_format(lg, format);
	pthread_cond_signal(&lg->wake);
	pthread_mutex_unlock(&lg->lock);
	return PST_OK;
}

void
pst_logger_tap(struct pst_logger *lg, pst_log_tap *fn, void *arg)
{
	pthread_mutex_lock(&lg->tap_lock);
	lg->tap_arg = arg;
	atomic_store_explicit(&lg->tap, fn, memory_order_relaxed);
	pthread_mutex_unlock(&lg->tap_lock);
}

uint64_t
pst_logger_dropped(const struct pst_logger *lg)
{
	uint64_t n = atomic_load_explicit(&lg->unwritten, memory_order_relaxed);

	for (struct pst_log *l = atomic_load_explicit(&lg->lanes, memory_order_acquire); l != NULL;
		l = l->next)
		n += atomic_load_explicit(&l->dropped, memory_order_relaxed);
	return n;
}

/* Lane names are ours, but they stand in a quoted place: anything odd becomes '_'. */
static void
copy_name(char to[LOG_NAME], const char *from)
{
	snprintf(to, LOG_NAME, "%s", from);
	for (char *p = to; *p != 0; p++)
		if (*p <= ' ' || *p >= 0x7f || *p == '"' || *p == '\\')
			*p = '_';
}

struct pst_log *
pst_log_lane(struct pst_logger *lg, const char *name)
{
	struct pst_log *l;

	if (lg == NULL || (l = aligned_alloc(64, sizeof(*l))) == NULL)
		return NULL;
	memset(l, 0, sizeof(*l));
	l->ring = calloc(lg->records, sizeof(l->ring[0]));
	if (l->ring == NULL) {
		free(l);
		return NULL;
	}
	copy_name(l->name, name);
	l->mask = lg->records - 1;
	pthread_mutex_lock(&lg->lock);
	l->form = LOG_FORM(lg->lane_epoch, lg->lane_format);
	l->head.level = lg->level;
	l->next = atomic_load_explicit(&lg->lanes, memory_order_relaxed);
	atomic_store_explicit(&lg->lanes, l, memory_order_release);
	pthread_mutex_unlock(&lg->lock);
	return l;
}
