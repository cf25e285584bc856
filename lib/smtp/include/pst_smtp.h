/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The SMTP words both sides share (RFC 5321): paths, parameters, replies and
 * the dot transparency of DATA. Pure: bytes in, bytes out; no clock, no socket.
 */
#ifndef PST_SMTP_H
#define PST_SMTP_H

#include <pst_base.h>
#include <pst_buf.h>
#include <pst_span.h>

/* EHLO keywords Postern may speak; unknown ones are dropped, never relayed. */
enum pst_smtp_keyword {
	PST_SMTP_PIPELINING = 1u << 0,          /* RFC 2920 */
	PST_SMTP_SIZE = 1u << 1,                /* RFC 1870 */
	PST_SMTP_8BITMIME = 1u << 2,            /* RFC 6152 */
	PST_SMTP_ENHANCEDSTATUSCODES = 1u << 3, /* RFC 2034 */
	PST_SMTP_STARTTLS = 1u << 4,            /* RFC 3207 */
	PST_SMTP_SMTPUTF8 = 1u << 5,            /* RFC 6531 */
	PST_SMTP_DSN = 1u << 6,                 /* RFC 3461 */
	PST_SMTP_CHUNKING = 1u << 7,            /* RFC 3030 */
};
const char *pst_smtp_keyword_name(enum pst_smtp_keyword k); /* "PIPELINING" */

/* A reverse or forward path, without source route. Spans point into the caller's bytes. */
struct pst_smtp_path {
	struct pst_span addr;   /* between the angle brackets, source route removed; n 0: <> */
	struct pst_span local;  /* local part as written, quotes kept */
	struct pst_span domain; /* after the last unquoted @; n 0: none (postmaster, <>); literals
				   keep [] */
};

enum pst_smtp_body { PST_SMTP_BODY_NONE, PST_SMTP_BODY_7BIT, PST_SMTP_BODY_8BITMIME };
enum pst_smtp_ret { PST_SMTP_RET_NONE, PST_SMTP_RET_FULL, PST_SMTP_RET_HDRS };

struct pst_smtp_mail {
	struct pst_smtp_path from;
	bool has_size;
	uint64_t size;
	uint8_t body; /* pst_smtp_body */
	uint8_t ret;  /* pst_smtp_ret */
	bool smtputf8;
	struct pst_span envid; /* xtext as received; n 0: absent */
};

#define PST_SMTP_NOTIFY_NEVER   1u
#define PST_SMTP_NOTIFY_SUCCESS 2u
#define PST_SMTP_NOTIFY_FAILURE 4u
#define PST_SMTP_NOTIFY_DELAY   8u

struct pst_smtp_rcpt {
	struct pst_smtp_path to;
	uint8_t notify;        /* bits; 0: absent */
	struct pst_span orcpt; /* "addr-type;xtext" as received; n 0: absent */
};

/* A reply's meaning. `text` has no CR, LF or control bytes. */
struct pst_smtp_reply {
	uint16_t code;  /* 200..559 */
	uint8_t enh[3]; /* class.subject.detail (RFC 3463) clipped to 255; class 0: none */
	struct pst_span
		text; /* after code and enhanced code; of the last line (EHLO: see client) */
};

/*
 * "250 2.1.0 text\r\n"; a '\n' in text makes a multi-line reply. enh NULL: none. Whole or
 * not at all (PST_NOMEM). Lines are clipped to 512 bytes (RFC 5321 4.5.3.1.5).
 */
enum pst_rc pst_smtp_reply_put(
	struct pst_buf *out, unsigned code, const char *enh, const char *text);
/* The same from a struct (control bytes in text become '?'). */
enum pst_rc pst_smtp_reply_put_reply(struct pst_buf *out, const struct pst_smtp_reply *r);

/*
 * One argument of MAIL FROM:/RCPT TO:, from after the colon; *used ends behind the '>'.
 * allow_null: a reverse path (<> is good, <postmaster> is not). PST_INVAL: 501 with *why.
 */
enum pst_rc pst_smtp_path_parse(struct pst_span arg, bool utf8, bool allow_null,
	struct pst_smtp_path *out, size_t *used, const char **why);

/*
 * Dot transparency outbound (RFC 5321 4.5.2). Feed message bytes with CRLF line
 * ends; zero-initialised state is "at the start of a line".
 */
struct pst_smtp_dot {
	uint8_t st; /* private */
};
/* Copies from in to out, doubling dots at line starts, while both last. Returns bytes written. */
size_t pst_smtp_dot_encode(struct pst_smtp_dot *d, const uint8_t *in, size_t n, size_t *in_used,
	uint8_t *out, size_t cap);
#define PST_SMTP_DOT_END_MAX 5
/* "\r\n.\r\n", or ".\r\n" when the message ended in CRLF (or is empty). Returns bytes written. */
size_t pst_smtp_dot_end(struct pst_smtp_dot *d, uint8_t out[PST_SMTP_DOT_END_MAX]);

#endif
