/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Drives a server engine as a relay would: keeps what is not used, answers events,
 * writes down what happened. The log has one line an event; adjacent BODY events are
 * one, and the body of a message that turned bad is forgotten, so that the log does
 * not depend on how the input was cut.
 */
#ifndef SMTP_DRIVE_H
#define SMTP_DRIVE_H

#include <pst_smtp_server.h>

struct drive {
	struct pst_smtp_server_conf conf;
	struct pst_smtp_server s;
	struct pst_buf in, out, log, body;                  /* body: of all messages together */
	size_t body_from, log_from;                         /* where the current message began */
	unsigned mail_code, data_code, end_code, bdat_code; /* answers; 0: none */
	bool defer_rcpt;                      /* answer RCPTs only when the engine waits */
	unsigned fail_after;                  /* body_fail after so many BODY bytes; 0: never */
	unsigned owed;                        /* RCPTs to be answered when it waits */
	char owed_code[PST_SMTP_PENDING_MAX]; /* '2' or '5' each */
	bool in_body, surplus;                /* surplus: bytes behind STARTTLS */
	bool closed;
};

#define ALL_KEYWORDS                                                                               \
	(PST_SMTP_PIPELINING | PST_SMTP_SIZE | PST_SMTP_8BITMIME | PST_SMTP_STARTTLS |             \
		PST_SMTP_ENHANCEDSTATUSCODES | PST_SMTP_SMTPUTF8 | PST_SMTP_DSN |                  \
		PST_SMTP_CHUNKING)

void drive_init(struct drive *d);
void drive_greet(struct drive *d);
void drive_fini(struct drive *d);
void drive_feed(struct drive *d, const void *p, size_t n);
void drive_str(struct drive *d, const char *s); /* feeds, drops what was logged and said before */
/* What was said and logged since the last drive_str; NUL-terminated until the next call. */
const char *drive_out(struct drive *d);
const char *drive_log(struct drive *d);

#endif
