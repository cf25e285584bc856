/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The server side of an SMTP session: parses what a client sends, enforces the
 * order of commands, answers what needs no decision, and asks for the rest.
 *
 *   while (pst_smtp_server_next(s, in, n, &used, &out, &ev) == PST_OK) { consume; act on ev; }
 *
 * Every event that says so is answered by exactly one pst_smtp_server_reply (or
 * _reply_put of an upstream reply); replies leave in the order of the commands.
 * After an RCPT event further RCPTs of a pipeline are handed out before the first
 * is answered; anything else waits until none is pending (next returns PST_AGAIN
 * and uses nothing). Replies are appended to the caller's buffer, so all that one
 * turn produces can leave in one write.
 *
 * Body bytes are handed out decoded (dots removed) as spans into the caller's
 * input (or to a few constant bytes), valid until the next call. Only CRLF.CRLF
 * ends DATA. A partial command line is the caller's to keep: `used` never covers it
 * (at most PST_SMTP_LINE_MAX bytes; longer lines are discarded by the engine up to
 * their CRLF and answered 500 5.5.2). In a body up to two bytes ("\r", ".", ".\r")
 * stay unused until the byte behind them is known.
 *
 * A transaction ends, and the next MAIL is welcome, when MAIL, DATA or BDAT is
 * refused by the caller, when the message is answered (whatever the code), after
 * SEV_RSET, and after SEV_BODY_BAD or _body_fail. A refused RCPT ends nothing.
 * After a failed chunk the BDATs that follow are swallowed and answered 503 5.5.1
 * (RFC 3030) because no transaction is left.
 *
 * SEV_CLOSE and SEV_QUIT are the last events; they may come while MAIL, RCPT, DATA
 * or the message is still unanswered (input before 354, a 421 of the caller's):
 * answer nothing after them. What the client sends later is used up unseen.
 *
 * Illegal pipelining (features T7): bytes behind EHLO, HELO or DATA, or before the
 * greeting, are 554 5.5.0 and SEV_CLOSE. Behind STARTTLS it is the caller who
 * judges: *used < n at SEV_STARTTLS. The engine never parses those bytes: next
 * returns PST_AGAIN and uses nothing until pst_smtp_server_tls.
 *
 * Never blocks, never allocates on its own account besides the envelope's HELO
 * name; tolerates any bytes. Never quotes a client's bytes back to it.
 */
#ifndef PST_SMTP_SERVER_H
#define PST_SMTP_SERVER_H

#include <pst_smtp.h>

#define PST_SMTP_LINE_MAX    2048 /* command line with its CRLF: 512 + extensions */
#define PST_SMTP_PENDING_MAX 48   /* RCPT events open at a time: fits a client's queue */
#define PST_SMTP_JUNK_MAX    100  /* NOOP, RSET, EHLO... without a message; then 421 */

/*
 * A CR or LF of a message that is not part of CRLF. Reject: 550 5.6.0 at the end of
 * the message, then SEV_CLOSE. Normalise: LF becomes CRLF, CRs become spaces; neither
 * makes a following dot special.
 */
enum pst_smtp_bare_newline { PST_SMTP_BARE_REJECT, PST_SMTP_BARE_NORMALIZE };

/*
 * Shared. Between calls max_size may change, and counts from the next command on; so may
 * keywords, which count from the next EHLO on.
 */
struct pst_smtp_server_conf {
	const char *hostname; /* in the banner, EHLO and Received */
	uint32_t keywords;    /* pst_smtp_keyword bits to advertise (STARTTLS: while plain) */
	uint64_t max_size;    /* SIZE; 0: no limit */
	unsigned max_rcpts;   /* per transaction; beyond: 452 4.5.3; 0: no limit */
	unsigned max_errors; /* 5xx answers of the engine's own before 421 and close; 0: no limit */
	unsigned max_received;  /* Received fields before 554 5.4.6; 0: no limit */
	const char *loop_token; /* text in our own Received fields; twice: 554 5.4.6; NULL: off */
	uint8_t bare_newline;   /* pst_smtp_bare_newline */
};

enum pst_smtp_server_ev {
	PST_SMTP_SEV_HELO,     /* information; answered by the engine. ev.helo */
	PST_SMTP_SEV_STARTTLS, /* engine wrote 220; send it, then start TLS: see pst_smtp_server_tls
				*/
	PST_SMTP_SEV_MAIL,     /* ev.mail; answer it */
	PST_SMTP_SEV_RCPT,     /* ev.rcpt; answer it */
	PST_SMTP_SEV_DATA,     /* at least one recipient stands; answer 354 or an error */
	PST_SMTP_SEV_BDAT, /* a chunk begins (ev.chunk_size, ev.last): pst_smtp_server_chunk, or an
			      error reply */
	PST_SMTP_SEV_BODY, /* ev.body: message bytes, never empty */
	PST_SMTP_SEV_CHUNK_END, /* a chunk that is not the last ended; engine wrote its 250 */
	PST_SMTP_SEV_BODY_END,  /* the message ended; answer it */
	PST_SMTP_SEV_BODY_BAD,  /* the message must not go on (size, bare newline, loop): drop the
				   next hop  before its dot. The engine swallows the rest and answers
				   itself.  ev.bad names the cause */
	PST_SMTP_SEV_RSET,  /* transaction over (RSET, EHLO, HELO in the middle); answered by the
			       engine */
	PST_SMTP_SEV_QUIT,  /* engine wrote 221; flush, then close */
	PST_SMTP_SEV_CLOSE, /* engine wrote 421 or 554 (too many errors, not SMTP); flush, then
			       close */
};

struct pst_smtp_server_event {
	enum pst_smtp_server_ev type;
	struct pst_span helo;
	struct pst_smtp_mail mail;
	struct pst_smtp_rcpt rcpt;
	uint64_t chunk_size;
	bool last;
	struct pst_span body;
	struct pst_smtp_reply bad; /* what the client is going to be told */
};

struct pst_smtp_server {
	const struct pst_smtp_server_conf *conf;
	char *helo;          /* heap; letters, digits and "._-:[]", the rest '?'; at most 255 bytes;
				NULL before EHLO or HELO and after STARTTLS */
	uint64_t body_bytes; /* decoded bytes of the current message */
	uint64_t chunk_size, chunk_left;
	uint64_t declared_size; /* MAIL's SIZE=; 0: none */
	uint32_t offered;       /* keywords of our EHLO: they hold, though conf may shrink later */
	uint32_t rcpts_ok;      /* accepted in this transaction */
	uint32_t rcpts_seen;
	uint16_t pending; /* RCPTs handed out and not answered */
	uint16_t errors;
	uint16_t received; /* fields counted in this header */
	uint16_t junk;
	bool tls, esmtp, smtputf8;
	bool starttls_off; /* caller's: not advertised and 502, whatever conf says (no certificate)
			    */
	bool tls_first; /* caller's: before TLS only EHLO, HELO, NOOP, RSET, STARTTLS and QUIT are
			   served, all else is 530 5.7.0 (RFC 3207 section 4); may change between
			   calls, best before the greeting */
	uint8_t state;  /* private from here on */
	uint8_t body_st;
	uint8_t hdr_st, hdr_name,
		hdr_token;              /* header scan: state, bytes of name and token matched */
	uint8_t loops;                  /* Received fields with the token */
	bool hdr_received, hdr_counted; /* inside a Received field; its token is counted */
	bool mail_seen, bdat, last_chunk, skip_line;
	bool swallow;       /* what is left of the body goes nowhere */
	bool close_after;   /* the owed reply is the last */
	uint16_t fail_code; /* reply owed at the end of a swallowed body; 0: given already */
	char fail_enh[8];
	const char *fail_text; /* static text */
};

void pst_smtp_server_init(struct pst_smtp_server *s, const struct pst_smtp_server_conf *conf);
void pst_smtp_server_fini(struct pst_smtp_server *s);

/*
 * The greeting. A caller that has input before it greets calls _next instead: the
 * client is an early talker, and gets 554 and SEV_CLOSE.
 */
enum pst_rc pst_smtp_server_greet(struct pst_smtp_server *s, struct pst_buf *out);

/*
 * The next event. PST_OK: *ev filled, `*used` bytes of in are done with (spans in
 * *ev point into them: consume after acting). PST_AGAIN: more bytes, or an
 * answer, needed; *used may still be > 0 and out may have grown. PST_NOMEM: out
 * is full: consume, flush and call again.
 */
enum pst_rc pst_smtp_server_next(struct pst_smtp_server *s, const uint8_t *in, size_t n,
	size_t *used, struct pst_buf *out, struct pst_smtp_server_event *ev);

/*
 * Answers the oldest open event. enh: "2.1.0" or NULL. Code decides the state change.
 * 421 may be said at any time, also unasked; SEV_CLOSE follows. A refused BDAT is
 * answered here and now; its octets are then swallowed in silence. PST_NOMEM: out is
 * full, nothing changed. PST_BUG: no such answer is open.
 */
enum pst_rc pst_smtp_server_reply(struct pst_smtp_server *s, struct pst_buf *out, unsigned code,
	const char *enh, const char *text);
enum pst_rc pst_smtp_server_reply_put(
	struct pst_smtp_server *s, struct pst_buf *out, const struct pst_smtp_reply *r);
/* Lets the chunk of the last BDAT event flow (SEV_BODY events follow). */
void pst_smtp_server_chunk(struct pst_smtp_server *s);
/*
 * The next hop failed inside the body (from the answer to DATA, or the first BDAT
 * event, until the message is answered): swallow what is left of the message, then answer with this
 * (static text). No further BODY events; BODY_END does not come, the engine is back
 * at commands after the answer. Between two chunks the answer waits for the next BDAT.
 */
void pst_smtp_server_body_fail(
	struct pst_smtp_server *s, unsigned code, const char *enh, const char *text);
/*
 * Something can be done without input (an empty chunk ends, an owed answer, SEV_CLOSE):
 * call _next even if there is none. Ask after _chunk, _body_fail and a 421.
 */
bool pst_smtp_server_ready(const struct pst_smtp_server *s);
/* Message octets are awaited: DATA's, or a chunk's (not between chunks). */
bool pst_smtp_server_in_body(const struct pst_smtp_server *s);
/* No transaction and nothing pending: a good moment for 421 (drain). */
bool pst_smtp_server_idle(const struct pst_smtp_server *s);

/*
 * TLS is up: forgets everything the client said before (RFC 3207 4.2). Drop plaintext
 * leftovers first. Implicit TLS: call it before _greet.
 */
void pst_smtp_server_tls(struct pst_smtp_server *s);

/* "ESMTPS" etc. for Received (RFC 3848, 6531). */
const char *pst_smtp_server_with(const struct pst_smtp_server *s);

#endif
