/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Logging that never blocks a worker.
 *
 * Each producing thread opens a `pst_log` lane: a bounded single-producer,
 * single-consumer ring of fixed-size records. `pst_log_write` formats into the
 * next free record and returns; when the ring is full the line is dropped and
 * counted, and the writer thread prints how many were lost when room is back.
 * One writer thread drains all lanes to a file, standard error or a descriptor,
 * waking at least every 20 ms. SIGHUP handling (reopen) is the caller's.
 *
 * Every value is escaped, so that control bytes, terminal sequences and line ends
 * that came from the network never reach the file (docs/log.md has the rules).
 * A value has at most 512 bytes, and at most a quarter of what is left of its
 * line unless it is short: a long address cannot push the fields behind it out.
 */
#ifndef PST_LOG_H
#define PST_LOG_H

#include <pst_base.h>
#include <pst_span.h>

enum pst_log_level { PST_LOG_ERROR, PST_LOG_WARN, PST_LOG_INFO, PST_LOG_DEBUG };
enum pst_log_format { PST_LOG_TEXT, PST_LOG_JSON };

#define PST_LOG_LINE_MAX 2048 /* bytes of one line, newline included */

struct pst_logger; /* the writer: one per process */
struct pst_log;    /* a lane: one per producing thread */

struct pst_log_conf {
	const char *file; /* path; NULL or "-": standard error */
	enum pst_log_format format;
	enum pst_log_level level; /* lines above it are not formatted at all */
	unsigned lane_records;    /* ring size, a power of two; 0: 4096 */
};

/* Opens the file, then starts the thread. On error NULL and a text in err. */
struct pst_logger *pst_logger_new(const struct pst_log_conf *conf, char *err, size_t errlen);
/* Drains every lane, stops the thread, closes the file. Lanes are freed with it. */
void pst_logger_free(struct pst_logger *lg);
void pst_logger_reopen(struct pst_logger *lg); /* any thread; logrotate's other half */
void pst_logger_set_level(struct pst_logger *lg, enum pst_log_level level); /* any thread */
/*
 * Goes on in another file and format; any thread. file as in pst_log_conf. Lines that
 * were logged before still go to the old one. PST_INVAL and a text in err when the
 * file cannot be opened: nothing changed then.
 */
enum pst_rc pst_logger_set_output(struct pst_logger *lg, const char *file,
	enum pst_log_format format, char *err, size_t errlen);
/*
 * Shows each line to fn as well, as it goes to the file but without the newline. fn runs
 * on the writer thread, must not block, and must not call the logger. fn NULL: no more;
 * when this returns the old fn is not running and will not be called. Any thread.
 */
typedef void pst_log_tap(void *arg, struct pst_span line);
void pst_logger_tap(struct pst_logger *lg, pst_log_tap *fn, void *arg);
uint64_t pst_logger_dropped(const struct pst_logger *lg); /* lines lost, all lanes */

/* `name` goes into each line of text ("w0", "main"). Owner thread: the caller's, later. */
struct pst_log *pst_log_lane(struct pst_logger *lg, const char *name);

static inline bool pst_log_wanted(const struct pst_log *l, enum pst_log_level level);

/*
 * One line, stamped with wall-clock time and the lane's name: an id ("SID.1" or a module's
 * name) and key=value fields. A NULL lane discards. A lane has one line at a time:
 * end it before the next begins. The same key several times in a row makes a list.
 */
struct pst_log_line {
	struct pst_log *lane;
	void *rec; /* NULL: not wanted or dropped; the field writers then do nothing */
};
struct pst_log_line pst_log_begin(struct pst_log *l, enum pst_log_level level, const char *id);
void pst_log_str(struct pst_log_line *ln, const char *key, const char *value);
void pst_log_span(struct pst_log_line *ln, const char *key, struct pst_span value); /* escaped */
void pst_log_addr(struct pst_log_line *ln, const char *key, struct pst_span value); /* <value> */
void pst_log_u64(struct pst_log_line *ln, const char *key, uint64_t value);
/* Fixed point: value/1000 with three digits, e.g. seconds from ms. */
void pst_log_milli(struct pst_log_line *ln, const char *key, uint64_t value);
void pst_log_end(struct pst_log_line *ln);

/* A free-text line ("msg" field in JSON). */
void pst_logf(struct pst_log *l, enum pst_log_level level, const char *id, const char *fmt, ...)
	PST_PRINTF(4, 5);

struct pst_log_head { /* first member of struct pst_log, so that _wanted can inline */
	int level;    /* any thread writes it: atomic, relaxed */
};
static inline bool
pst_log_wanted(const struct pst_log *l, enum pst_log_level level)
{
	return l != NULL && (int)level <= __atomic_load_n(&((const struct pst_log_head *)l)->level,
						  __ATOMIC_RELAXED);
}

#endif
