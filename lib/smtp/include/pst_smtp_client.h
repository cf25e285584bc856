/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The client side of an SMTP session: writes commands, matches replies to them.
 *
 * Commands append to the caller's buffer and enter a queue of what is
 * outstanding; pst_smtp_client_next hands out one whole (possibly multi-line)
 * reply at a time with the command it answers. A reply that nothing asked for is
 * PST_PEER, also if it lay in the input before something was asked: give _next all that
 * there is. Everything is re-serialised from parsed values: no byte of a client's
 * command line is copied into ours.
 */
#ifndef PST_SMTP_CLIENT_H
#define PST_SMTP_CLIENT_H

#include <pst_smtp.h>

#define PST_SMTP_REPLY_LINE_MAX  1024 /* longer lines: PST_PEER */
#define PST_SMTP_REPLY_LINES_MAX 128
#define PST_SMTP_CLIENT_QUEUE    64 /* outstanding commands at most: then PST_AGAIN */

enum pst_smtp_cmd {
	PST_SMTP_CMD_GREETING, /* outstanding from the start */
	PST_SMTP_CMD_EHLO,
	PST_SMTP_CMD_HELO,
	PST_SMTP_CMD_STARTTLS,
	PST_SMTP_CMD_MAIL,
	PST_SMTP_CMD_RCPT,
	PST_SMTP_CMD_DATA,
	PST_SMTP_CMD_DOT, /* the verdict on the message */
	PST_SMTP_CMD_RSET,
	PST_SMTP_CMD_NOOP,
	PST_SMTP_CMD_QUIT,
};
const char *pst_smtp_cmd_name(enum pst_smtp_cmd c);

struct pst_smtp_client {
	uint8_t queue[PST_SMTP_CLIENT_QUEUE];
	uint8_t head, count;
	uint8_t lines;     /* of the reply being read */
	bool esmtp;        /* EHLO was accepted */
	bool early;        /* private: what is in the input came before it was asked for */
	uint16_t code;     /* of the reply being read */
	uint32_t keywords; /* what the server offers; 0 until EHLO */
	uint64_t max_size; /* its SIZE; 0: none given */
	char *scratch;     /* private: heap, only after a reply that had to be cleaned */
};

void pst_smtp_client_init(struct pst_smtp_client *c);
void pst_smtp_client_fini(struct pst_smtp_client *c); /* frees; safe to repeat */
/* TLS is up, or the connection is taken from the pool: forget EHLO (RFC 3207 4.2). */
void pst_smtp_client_forget(struct pst_smtp_client *c);

struct pst_smtp_client_event {
	enum pst_smtp_cmd cmd;
	struct pst_smtp_reply reply; /* of the last line; text valid until the next call */
};

/*
 * PST_OK: one reply, *used bytes. PST_AGAIN: more bytes needed (*used may cover
 * finished lines of a multi-line reply). PST_PEER: not SMTP, unasked, or a class the
 * command cannot have (3xx is DATA's alone); *why. PST_EOF: an unasked 421, the
 * server leaves; *why. After STARTTLS's 220 the caller checks that no input is left
 * over. Control bytes and broken UTF-8 in the text are '?'.
 */
enum pst_rc pst_smtp_client_next(struct pst_smtp_client *c, const uint8_t *in, size_t n,
	size_t *used, struct pst_smtp_client_event *ev, const char **why);

/* Commands. PST_AGAIN: queue full. PST_NOMEM: buffer full. PST_INVAL: control bytes in a value. */
enum pst_rc pst_smtp_client_ehlo(struct pst_smtp_client *c, struct pst_buf *out, const char *name);
enum pst_rc pst_smtp_client_helo(struct pst_smtp_client *c, struct pst_buf *out, const char *name);
enum pst_rc pst_smtp_client_starttls(struct pst_smtp_client *c, struct pst_buf *out);
/* Parameters the server does not offer are left out where that is harmless (SIZE, DSN). */
enum pst_rc pst_smtp_client_mail(
	struct pst_smtp_client *c, struct pst_buf *out, const struct pst_smtp_mail *m);
enum pst_rc pst_smtp_client_rcpt(
	struct pst_smtp_client *c, struct pst_buf *out, const struct pst_smtp_rcpt *r);
enum pst_rc pst_smtp_client_data(struct pst_smtp_client *c, struct pst_buf *out);
/* The dot itself is written by the caller with pst_smtp_dot_end; this queues its verdict. */
enum pst_rc pst_smtp_client_dot(struct pst_smtp_client *c);
enum pst_rc pst_smtp_client_rset(struct pst_smtp_client *c, struct pst_buf *out);
enum pst_rc pst_smtp_client_noop(struct pst_smtp_client *c, struct pst_buf *out);
enum pst_rc pst_smtp_client_quit(struct pst_smtp_client *c, struct pst_buf *out);

static inline unsigned
pst_smtp_client_outstanding(const struct pst_smtp_client *c)
{
	return c->count;
}

/* What m needs and the server lacks: 0, or the keyword bit (8BITMIME, SMTPUTF8). */
uint32_t pst_smtp_client_lacks(const struct pst_smtp_client *c, const struct pst_smtp_mail *m);

#endif
