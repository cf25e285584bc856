/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The log's lines on their way to followers: a bounded byte ring from the log's
 * writer thread to the control thread, and an eventfd that wakes the latter.
 *
 * Nobody waits for anybody: a line that finds no room is dropped and counted. The
 * ring exists, and the log is tapped, only while somebody follows.
 */
#ifndef PST_CONTROL_FEED_H
#define PST_CONTROL_FEED_H

#include <pst_log.h>
#include <stdatomic.h>

#define PST_FEED_BYTES (1u << 20) /* a power of two */

struct pst_feed {
	int wake;      /* eventfd: lines came; also for other news to the control thread */
	uint8_t *ring; /* NULL: nobody follows */
	/* Each is written by one side: tail and lost by the log's writer, head by control. */
	_Atomic uint32_t head, tail;
	_Atomic uint64_t lost;
	uint64_t told; /* control: of `lost`, what followers know */
};

bool pst_feed_open(struct pst_feed *f, char *err, size_t errlen);
void pst_feed_close(struct pst_feed *f, struct pst_logger *lg);

/* Taps the log, or stops; may be called again. false: no memory. */
bool pst_feed_follow(struct pst_feed *f, struct pst_logger *lg, bool on);
/* The next line (without newline) into buf; its length, 0: none is there. */
size_t pst_feed_next(struct pst_feed *f, char buf[PST_LOG_LINE_MAX]);
/* Lines dropped since the last call. */
uint64_t pst_feed_lost(struct pst_feed *f);

/* Wakes the control thread: any thread, also from a signal handler. */
void pst_feed_wake(struct pst_feed *f);
/* What woke it is taken note of. */
void pst_feed_awake(struct pst_feed *f);

/* The log's side; for tests. */
void pst_feed_put(void *feed, struct pst_span line);

#endif
