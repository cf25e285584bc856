/* SPDX-License-Identifier: BSD-3-Clause */
/* What log.c (lanes and the writer) and log_line.c (fields and escapes) share. */
#ifndef PST_LOG_INT_H
#define PST_LOG_INT_H

#include <pst_log.h>
#include <stdatomic.h>

/* Of a line: the writer's part (time, lane, level, end) and the producer's. */
#define LOG_FRAME 128
#define LOG_TEXT  (PST_LOG_LINE_MAX - LOG_FRAME)
#define LOG_NAME  16

/* Which output a line is for, counted, and in what format. */
#define LOG_FORM(epoch, format) ((unsigned)(uint8_t)(epoch) << 8 | (unsigned)(format))

struct pst_log_rec {
	uint64_t wall_ns;     /* since the epoch */
	const char *last_key; /* of the field written last; a literal of the caller's */
	uint16_t last_value;  /* where its value begins in text */
	uint16_t len;
	uint8_t level;
	uint8_t format; /* pst_log_format the text is in */
	uint8_t epoch;  /* of the output it was written for */
	bool list;      /* the last value is a JSON array */
	bool cut;       /* something did not fit */
	char text[LOG_TEXT];
};

struct pst_log {
	struct pst_log_head head;
	unsigned form; /* LOG_FORM of the next line; any thread writes it: atomic, relaxed */
	char name[LOG_NAME];
	struct pst_log *next;
	struct pst_log_rec *ring;
	uint32_t mask;
	uint64_t reported; /* writer: of `dropped`, what the file already tells */
	/* The producer's line: partner of each load is the store in the other's function. */
	_Alignas(64) _Atomic uint32_t tail;
	_Atomic uint64_t dropped;
	_Alignas(64) _Atomic uint32_t head_seq; /* the writer's line */
};

/* log.c: the record to fill, NULL when the ring is full (counted). Publish makes it visible. */
struct pst_log_rec *pst_log_reserve(struct pst_log *l);
void pst_log_publish(struct pst_log *l);

#endif
