/* SPDX-License-Identifier: BSD-3-Clause */
#include "drive.h"

#include <criterion/criterion.h>
#include <stdio.h>

void
drive_init(struct drive *d)
{
	*d = (struct drive){
		.conf = {.hostname = "gw.example",
			.keywords = ALL_KEYWORDS,
			.max_size = 1000000,
			.max_rcpts = 100,
			.max_errors = 20,
			.max_received = 50,
			.loop_token = "by gw.example (Postern)"},
		.mail_code = 250,
		.data_code = 354,
		.end_code = 250,
	};
	pst_smtp_server_init(&d->s, &d->conf);
	pst_buf_init(&d->in, 1u << 24);
	pst_buf_init(&d->out, 1u << 20);
	pst_buf_init(&d->log, 1u << 24);
	pst_buf_init(&d->body, 1u << 24);
}

void
drive_greet(struct drive *d)
{
	cr_assert_eq(pst_smtp_server_greet(&d->s, &d->out), PST_OK);
}

void
drive_fini(struct drive *d)
{
	pst_smtp_server_fini(&d->s);
	pst_buf_fini(&d->in);
	pst_buf_fini(&d->out);
	pst_buf_fini(&d->log);
	pst_buf_fini(&d->body);
}

static void
note(struct drive *d, const char *what, struct pst_span s)
{
	if (d->in_body)
		pst_buf_append_str(&d->log, "\n");
	d->in_body = false;
	cr_assert_eq(pst_buf_printf(&d->log, "%s%.*s\n", what, PST_SPAN_FMT(s)), PST_OK);
}

static void
answer(struct drive *d, unsigned code)
{
	enum pst_rc rc = PST_OK;
	if (code != 0)
		rc = pst_smtp_server_reply(&d->s, &d->out, code, NULL, "answer");
	cr_assert_eq(rc, PST_OK, "%s", pst_rc_name(rc));
}

/* Recipients whose address begins with "no" are refused. */
static void
on_rcpt(struct drive *d, const struct pst_smtp_rcpt *r)
{
	bool no = r->to.addr.n >= 2 && memcmp(r->to.addr.p, "no", 2) == 0;
	note(d, "RCPT ", r->to.addr);
	if (d->defer_rcpt)
		d->owed_code[d->owed++] = no ? '5' : '2';
	else
		answer(d, no ? 550 : 250);
}

static void
on_body(struct drive *d, struct pst_span body)
{
	cr_assert_gt(body.n, 0);
	if (!d->in_body)
		pst_buf_append_str(&d->log, "BODY ");
	d->in_body = true;
	pst_buf_append(&d->log, body.p, body.n);
	cr_assert_eq(pst_buf_append(&d->body, body.p, body.n), PST_OK);
	if (d->fail_after != 0 && pst_buf_len(&d->body) - d->body_from >= d->fail_after)
		pst_smtp_server_body_fail(&d->s, 451, "4.4.2", "next hop lost");
}

static void
begin_message(struct drive *d)
{
	if (d->s.bdat)
		return;
	d->body_from = pst_buf_len(&d->body);
	d->log_from = pst_buf_len(&d->log);
}

static void
body_bad(struct drive *d, const struct pst_smtp_server_event *ev)
{
	char what[64];
	pst_buf_truncate(&d->body, d->body_from);
	pst_buf_truncate(&d->log, d->log_from);
	d->in_body = false;
	snprintf(what, sizeof(what), "BAD %u %u.%u.%u ", ev->bad.code, ev->bad.enh[0],
		ev->bad.enh[1], ev->bad.enh[2]);
	note(d, what, ev->bad.text);
}

static void
on_event(struct drive *d, const struct pst_smtp_server_event *ev, bool surplus)
{
	char what[64];
	switch (ev->type) {
	case PST_SMTP_SEV_HELO:
		note(d, "HELO ", ev->helo);
		break;
	case PST_SMTP_SEV_STARTTLS:
		note(d, "STARTTLS", pst_span(NULL, 0));
		d->surplus = surplus;
		break;
	case PST_SMTP_SEV_MAIL:
		note(d, "MAIL ", ev->mail.from.addr);
		answer(d, d->mail_code);
		break;
	case PST_SMTP_SEV_RCPT:
		on_rcpt(d, &ev->rcpt);
		break;
	case PST_SMTP_SEV_DATA:
		note(d, "DATA", pst_span(NULL, 0));
		begin_message(d);
		answer(d, d->data_code);
		break;
	case PST_SMTP_SEV_BDAT:
		begin_message(d);
		snprintf(what, sizeof(what), "BDAT %llu%s", (unsigned long long)ev->chunk_size,
			ev->last ? " last" : "");
		if (d->in_body)
			pst_buf_append_str(&d->log, "\n");
		d->in_body = false;
		note(d, what, pst_span(NULL, 0));
		if (d->bdat_code != 0)
			answer(d, d->bdat_code);
		else
			pst_smtp_server_chunk(&d->s);
		break;
	case PST_SMTP_SEV_BODY:
		on_body(d, ev->body);
		break;
	case PST_SMTP_SEV_CHUNK_END:
		note(d, "CHUNK_END", pst_span(NULL, 0));
		break;
	case PST_SMTP_SEV_BODY_END:
		note(d, "END", pst_span(NULL, 0));
		answer(d, d->end_code);
		break;
	case PST_SMTP_SEV_BODY_BAD:
		body_bad(d, ev);
		break;
	case PST_SMTP_SEV_RSET:
		note(d, "RSET", pst_span(NULL, 0));
		break;
	case PST_SMTP_SEV_QUIT:
		note(d, "QUIT", pst_span(NULL, 0));
		d->closed = true;
		break;
	case PST_SMTP_SEV_CLOSE:
		note(d, "CLOSE", pst_span(NULL, 0));
		d->closed = true;
		break;
	}
}

static bool
answer_owed(struct drive *d)
{
	unsigned n = d->owed;
	d->owed = 0;
	for (unsigned i = 0; i < n; i++)
		answer(d, d->owed_code[i] == '2' ? 250 : 550);
	return n != 0;
}

void
drive_feed(struct drive *d, const void *p, size_t n)
{
	cr_assert_eq(pst_buf_append(&d->in, p, n), PST_OK);
	for (;;) {
		struct pst_smtp_server_event ev;
		struct pst_span in = pst_buf_span(&d->in);
		size_t used;
		enum pst_rc rc = pst_smtp_server_next(&d->s, in.p, in.n, &used, &d->out, &ev);
		cr_assert_leq(used, in.n);
		if (rc == PST_OK)
			on_event(d, &ev, used < in.n);
		pst_buf_consume(&d->in, used);
		if (rc == PST_OK)
			continue;
		cr_assert_eq(rc, PST_AGAIN, "%s", pst_rc_name(rc));
		cr_assert(!pst_smtp_server_ready(&d->s));
		if (!answer_owed(d))
			return;
	}
}

void
drive_str(struct drive *d, const char *s)
{
	pst_buf_consume(&d->out, pst_buf_len(&d->out));
	pst_buf_consume(&d->log, pst_buf_len(&d->log));
	d->log_from = 0;
	drive_feed(d, s, strlen(s));
}

static const char *
text(struct pst_buf *b)
{
	static char copy[2][1u << 16];
	static unsigned turn;
	char *to = copy[turn++ % 2];
	size_t n = PST_MIN(pst_buf_len(b), sizeof(copy[0]) - 1);
	if (n != 0)
		memcpy(to, pst_buf_span(b).p, n);
	to[n] = '\0';
	return to;
}

const char *
drive_out(struct drive *d)
{
	return text(&d->out);
}

const char *
drive_log(struct drive *d)
{
	return text(&d->log);
}
