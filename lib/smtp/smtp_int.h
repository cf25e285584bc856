/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of lib/smtp share and nobody else sees. */
#ifndef PST_SMTP_INT_H
#define PST_SMTP_INT_H

#include <pst_smtp.h>
#include <pst_smtp_server.h>

/* A local answer: what to say to a command that may not be. Static text throughout. */
struct smtp_no {
	uint16_t code;
	const char *enh;
	const char *text;
};

/* line.c: characters and lines. */
bool pst_smtp_is_alnum(uint8_t c);
/* Length of the well-formed UTF-8 sequence at p (RFC 3629), 0 if there is none. */
size_t pst_smtp_utf8_len(const uint8_t *p, size_t n);
/* Offset of the first CRLF, or n. A lone CR or LF is no end (RFC 5321 2.3.8). */
size_t pst_smtp_line_end(const uint8_t *p, size_t n);
/* No control byte, DEL, CR, LF or NUL. 8-bit bytes pass. */
bool pst_smtp_line_clean(struct pst_span line);
bool pst_smtp_span_8bit(struct pst_span s);
struct pst_span pst_smtp_span_trim(struct pst_span s); /* spaces of both ends */
struct pst_span pst_smtp_span_from(struct pst_span s, size_t at);

/* param.c: the ESMTP parameters behind a path. `offered`: keyword bits. */
bool pst_smtp_mail_params(
	struct pst_span args, uint32_t offered, struct pst_smtp_mail *m, struct smtp_no *no);
bool pst_smtp_rcpt_params(struct pst_span args, uint32_t offered, bool utf8,
	struct pst_smtp_rcpt *r, struct smtp_no *no);
/* Strict decimal: digits only, no sign, no overflow. */
bool pst_smtp_decimal(struct pst_span s, uint64_t *v);

/* reply.c */
enum pst_rc pst_smtp_reply_put_span(
	struct pst_buf *out, unsigned code, const char *enh, struct pst_span text, bool eight_bit);
#define PST_SMTP_ENH_TEXT 12
/* "5.1.1", or NULL when r has none. */
const char *pst_smtp_enh_text(const struct pst_smtp_reply *r, char buf[PST_SMTP_ENH_TEXT]);
/* Reads "2.1.0" followed by a space or the end; class must be that of the code. Returns bytes. */
size_t pst_smtp_enh_parse(struct pst_span text, unsigned code, uint8_t enh[3]);

/* server.c: states are named for what they await. */
enum smtp_state {
	AWAIT_GREET,
	AWAIT_COMMAND,
	AWAIT_MAIL_ANSWER,
	AWAIT_DATA_ANSWER,
	AWAIT_BDAT_ANSWER,
	AWAIT_DATA,  /* message octets up to CRLF.CRLF */
	AWAIT_CHUNK, /* message octets of a BDAT chunk */
	AWAIT_END_ANSWER,
	AWAIT_TLS,
	AWAIT_CLOSE, /* SEV_CLOSE is still to be handed out */
	AWAIT_NOTHING,
};

/* What one step of the engine came to. */
enum smtp_step {
	STEP_ON,    /* something was done; go on */
	STEP_EVENT, /* *ev is filled */
	STEP_WAIT,  /* for bytes or an answer */
	STEP_FULL,  /* out has no room; nothing changed */
};

void pst_smtp_server_enter(struct pst_smtp_server *s, enum smtp_state to);
void pst_smtp_server_transaction_over(struct pst_smtp_server *s);
/* A reply of the engine's own. PST_NOMEM: nothing was written or changed. */
enum pst_rc pst_smtp_server_say(struct pst_smtp_server *s, struct pst_buf *out, unsigned code,
	const char *enh, const char *text);
/* The same for a refusal: 5xx counts as an error, one too many is answered 421. */
enum smtp_step pst_smtp_server_refuse(
	struct pst_smtp_server *s, struct pst_buf *out, const struct smtp_no *no);
/* Says no and hands out SEV_CLOSE. */
enum smtp_step pst_smtp_server_refuse_and_close(struct pst_smtp_server *s, struct pst_buf *out,
	const struct smtp_no *no, struct pst_smtp_server_event *ev);

/* command.c */
enum smtp_step pst_smtp_server_command(struct pst_smtp_server *s, const uint8_t *in, size_t n,
	size_t *used, struct pst_buf *out, struct pst_smtp_server_event *ev);

/* body.c */
void pst_smtp_body_begin(struct pst_smtp_server *s);
/* Would `more` octets on top of `have` break SIZE? */
bool pst_smtp_body_exceeds(const struct pst_smtp_server *s, uint64_t have, uint64_t more);
enum smtp_step pst_smtp_server_body(struct pst_smtp_server *s, const uint8_t *in, size_t n,
	size_t *used, struct pst_buf *out, struct pst_smtp_server_event *ev);
/* Swallow from here on, owe this answer, tell the caller with SEV_BODY_BAD. */
enum smtp_step pst_smtp_body_bad(
	struct pst_smtp_server *s, const struct smtp_no *no, struct pst_smtp_server_event *ev);

/* header.c: looks at decoded message bytes until the header ends. NULL: nothing wrong. */
void pst_smtp_header_begin(struct pst_smtp_server *s);
const struct smtp_no *pst_smtp_header_scan(struct pst_smtp_server *s, struct pst_span bytes);

#endif
