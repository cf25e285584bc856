/* SPDX-License-Identifier: BSD-3-Clause */
#include <criterion/criterion.h>
#include <pst_smtp_client.h>

struct fix {
	struct pst_smtp_client c;
	struct pst_buf out;
	struct pst_smtp_client_event ev;
	const char *why;
	size_t used;
};

static void
init(struct fix *f)
{
	memset(f, 0, sizeof(*f));
	pst_smtp_client_init(&f->c);
	pst_buf_init(&f->out, 8192);
}

static void
fini(struct fix *f)
{
	pst_smtp_client_fini(&f->c);
	pst_buf_fini(&f->out);
}

static enum pst_rc
next_n(struct fix *f, const char *in, size_t n)
{
	return pst_smtp_client_next(&f->c, (const uint8_t *)in, n, &f->used, &f->ev, &f->why);
}

static enum pst_rc
next(struct fix *f, const char *in)
{
	return next_n(f, in, strlen(in));
}

static void
said(struct fix *f, const char *want)
{
	struct pst_span got = pst_buf_span(&f->out);
	cr_assert(pst_span_eq(got, pst_span_str(want)), "%.*s", PST_SPAN_FMT(got));
	pst_buf_consume(&f->out, got.n);
}

static void
ready(struct fix *f, const char *ehlo)
{
	init(f);
	cr_assert_eq(next(f, "220 x\r\n"), PST_OK);
	cr_assert_eq(pst_smtp_client_ehlo(&f->c, &f->out, "gw.example"), PST_OK);
	said(f, "EHLO gw.example\r\n");
	cr_assert_eq(next(f, ehlo), PST_OK);
	cr_assert_eq(f->used, strlen(ehlo));
}

Test(client, replies_are_read_or_refused)
{
	static const struct {
		const char *in;
		enum pst_rc rc;
		unsigned code;
		uint8_t enh[3];
		const char *text;
	} rows[] = {
		{"220 hello\r\n", PST_OK, 220, {0}, "hello"},
		{"220\r\n", PST_OK, 220, {0}, ""},
		{"220 \r\n", PST_OK, 220, {0}, ""},
		{"220 2.1.0 fine\r\n", PST_OK, 220, {2, 1, 0}, "fine"},
		{"220 2.1.0\r\n", PST_OK, 220, {2, 1, 0}, ""},
		{"554 5.7.999 no\r\n", PST_OK, 554, {5, 7, 255}, "no"},
		{"554 4.7.1 no\r\n", PST_OK, 554, {0}, "4.7.1 no"},
		{"554 5.7.1234 no\r\n", PST_OK, 554, {0}, "5.7.1234 no"},
		{"554 5.7.1x\r\n", PST_OK, 554, {0}, "5.7.1x"},
		{"554 5.7 no\r\n", PST_OK, 554, {0}, "5.7 no"},
		{"554 .7.1 no\r\n", PST_OK, 554, {0}, ".7.1 no"},
		{"421 4.3.2 bye\r\n", PST_OK, 421, {4, 3, 2}, "bye"},
		{"220-a\r\n220-b\r\n220 c\r\n", PST_OK, 220, {0}, "c"},
		{"220-\r\n220\r\n", PST_OK, 220, {0}, ""},
		{"220 a\x01\tb\x7f\r\n", PST_OK, 220, {0}, "a??b?"},
		{"220 a\rb\r\n", PST_OK, 220, {0}, "a?b"},
		{"220 \xc3\xa4 \xc3\r\n", PST_OK, 220, {0}, "\xc3\xa4 ?"},
		{"220 \xc0\x80\r\n", PST_OK, 220, {0}, "??"},
		{"220 \xc3\xa4\r\n", PST_OK, 220, {0}, "\xc3\xa4"},
		{"", PST_AGAIN, 0, {0}, NULL},
		{"22", PST_AGAIN, 0, {0}, NULL},
		{"220 hello\r", PST_AGAIN, 0, {0}, NULL},
		{"220-a\r\n", PST_AGAIN, 0, {0}, NULL},
		{"220 hello\n", PST_PEER, 0, {0}, NULL},
		{"220 a\nb\r\n", PST_PEER, 0, {0}, NULL},
		{"220-a\r\n221 b\r\n", PST_PEER, 0, {0}, NULL},
		{"220-a\r\n220b\r\n", PST_PEER, 0, {0}, NULL},
		{"\r\n", PST_PEER, 0, {0}, NULL},
		{"22\r\n", PST_PEER, 0, {0}, NULL},
		{"2200 x\r\n", PST_PEER, 0, {0}, NULL},
		{"120 x\r\n", PST_PEER, 0, {0}, NULL},
		{"620 x\r\n", PST_PEER, 0, {0}, NULL},
		{"260 x\r\n", PST_PEER, 0, {0}, NULL},
		{"22a x\r\n", PST_PEER, 0, {0}, NULL},
		{"354 x\r\n", PST_PEER, 0, {0}, NULL},
		{"SSH-2.0-x\r\n", PST_PEER, 0, {0}, NULL},
	};
	for (unsigned i = 0; i < PST_COUNT(rows); i++) {
		struct fix f;
		init(&f);
		enum pst_rc rc = next(&f, rows[i].in);
		cr_assert_eq(rc, rows[i].rc, "%s: %s", rows[i].in, pst_rc_name(rc));
		cr_assert_eq(f.why != NULL, rc == PST_PEER, "%s", rows[i].in);
		if (rc == PST_OK) {
			cr_assert_eq(f.used, strlen(rows[i].in));
			cr_assert_eq(f.ev.cmd, PST_SMTP_CMD_GREETING);
			cr_assert_eq(f.ev.reply.code, rows[i].code);
			cr_assert_arr_eq(f.ev.reply.enh, rows[i].enh, 3, "%s", rows[i].in);
			cr_assert(pst_span_eq(f.ev.reply.text, pst_span_str(rows[i].text)), "%s",
				rows[i].in);
		}
		fini(&f);
	}
}

Test(client, unasked_replies_are_faults_and_an_unasked_421_is_the_end)
{
	struct fix f;
	ready(&f, "250 x\r\n");
	cr_assert_eq(next(&f, "250 again\r\n"), PST_PEER);
	fini(&f);
	ready(&f, "250 x\r\n");
	cr_assert_eq(next(&f, "421 4.4.2 timeout\r\n"), PST_EOF);
	cr_assert_not_null(f.why);
	fini(&f);
}

Test(client, lines_and_numbers_of_lines_are_bounded)
{
	char line[1100];
	struct fix f;
	for (size_t len = 1020; len < 1030; len++) {
		init(&f);
		memset(line, 'x', sizeof(line));
		memcpy(line, "220 ", 4);
		memcpy(line + len - 2, "\r\n", 2);
		cr_assert_eq(
			next_n(&f, line, len), len <= PST_SMTP_REPLY_LINE_MAX ? PST_OK : PST_PEER);
		cr_assert_eq(next_n(&f, line, 0), PST_AGAIN);
		fini(&f);
	}
	init(&f);
	cr_assert_eq(next_n(&f, line, PST_SMTP_REPLY_LINE_MAX - 1), PST_AGAIN);
	cr_assert_eq(next_n(&f, line, PST_SMTP_REPLY_LINE_MAX), PST_PEER);
	fini(&f);
	init(&f);
	for (unsigned i = 0; i < PST_SMTP_REPLY_LINES_MAX; i++)
		cr_assert_eq(next(&f, "220-x\r\n"), PST_AGAIN);
	cr_assert_eq(next(&f, "220-x\r\n"), PST_PEER);
	fini(&f);
}

Test(client, keywords_are_read_in_any_case_and_unknown_ones_skipped)
{
	struct fix f;
	ready(&f, "250-mx SIZE 5\r\n250-pipelining\r\n250-SIZE 1000\r\n250-XCLIENT NAME\r\n"
		  "250-8BITMIMEX\r\n250-\r\n250-AUTH=LOGIN\r\n250 STARTTLS  \r\n");
	cr_assert(f.c.esmtp);
	cr_assert_eq(f.c.keywords, PST_SMTP_PIPELINING | PST_SMTP_SIZE | PST_SMTP_STARTTLS);
	cr_assert_eq(f.c.max_size, 1000);
	pst_smtp_client_forget(&f.c);
	cr_assert_eq(f.c.keywords, 0);
	cr_assert_eq(f.c.max_size, 0);
	cr_assert(!f.c.esmtp);
	fini(&f);
	ready(&f, "250-mx\r\n250-SIZE\r\n250 DSN\r\n");
	cr_assert_eq(f.c.keywords, PST_SMTP_SIZE | PST_SMTP_DSN);
	cr_assert_eq(f.c.max_size, 0);
	/* A second EHLO, refused: nothing of the first is left. */
	pst_smtp_client_ehlo(&f.c, &f.out, "x");
	cr_assert_eq(next(&f, "550-no\r\n550 DSN\r\n"), PST_OK);
	cr_assert_eq(f.c.keywords, 0);
	cr_assert(!f.c.esmtp);
	fini(&f);
}

Test(client, a_reply_cut_anywhere_is_the_same_reply)
{
	static const char in[] = "250-mx\r\n250-SIZE 77\r\n250-DSN\r\n250 2.0.0 PIPELINING\r\n";
	for (size_t cut = 0; cut < sizeof(in) - 1; cut++) {
		struct fix f;
		init(&f);
		cr_assert_eq(next(&f, "220 x\r\n"), PST_OK);
		pst_smtp_client_ehlo(&f.c, &f.out, "x");
		cr_assert_eq(next_n(&f, in, cut), PST_AGAIN);
		size_t used = f.used;
		cr_assert_leq(used, cut);
		cr_assert_eq(next_n(&f, in + used, sizeof(in) - 1 - used), PST_OK);
		cr_assert_eq(f.ev.reply.code, 250);
		cr_assert_eq(f.c.max_size, 77);
		cr_assert_eq(f.c.keywords & PST_SMTP_DSN, PST_SMTP_DSN);
		fini(&f);
	}
}

Test(client, replies_match_commands_in_order)
{
	struct pst_smtp_mail m = {.from.addr = pst_span_str("a@b")};
	struct pst_smtp_rcpt r = {.to.addr = pst_span_str("c@d")};
	static const char in[] = "250 a\r\n550 b\r\n250-c\r\n250 c\r\n354 d\r\n";
	static const enum pst_smtp_cmd cmds[] = {
		PST_SMTP_CMD_MAIL, PST_SMTP_CMD_RCPT, PST_SMTP_CMD_RCPT, PST_SMTP_CMD_DATA};
	static const unsigned codes[] = {250, 550, 250, 354};
	struct fix f;
	ready(&f, "250 x\r\n");
	pst_smtp_client_mail(&f.c, &f.out, &m);
	pst_smtp_client_rcpt(&f.c, &f.out, &r);
	pst_smtp_client_rcpt(&f.c, &f.out, &r);
	pst_smtp_client_data(&f.c, &f.out);
	said(&f, "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nRCPT TO:<c@d>\r\nDATA\r\n");
	cr_assert_eq(pst_smtp_client_outstanding(&f.c), 4);
	size_t at = 0;
	for (unsigned i = 0; i < 4; i++) {
		cr_assert_eq(next(&f, in + at), PST_OK);
		cr_assert_eq(f.ev.cmd, cmds[i]);
		cr_assert_eq(f.ev.reply.code, codes[i]);
		at += f.used;
	}
	cr_assert_eq(pst_smtp_client_dot(&f.c), PST_OK);
	cr_assert_eq(next(&f, "354 what\r\n"), PST_PEER);
	fini(&f);
}

/* T2: bytes that came in one read with the reply before them answer nothing. */
Test(client, a_reply_that_is_there_before_its_command_is_none)
{
	static const struct {
		const char *in;
		enum pst_rc rc;
	} rows[] = {
		{"250 ok\r\n250 forged\r\n", PST_PEER},
		{"250 ok\r\n550 forged\r\n", PST_PEER},
		{"250 ok\r\n250-forged\r\n250 and long\r\n", PST_PEER},
		{"250 ok\r\n421 going\r\n", PST_EOF},
		{"250 ok\r\nrubbish\r\n", PST_PEER},
		{"250 ok\r\n2", PST_AGAIN},
	};
	struct pst_smtp_mail m = {.from.addr = pst_span_str("a@b")};
	for (unsigned i = 0; i < PST_COUNT(rows); i++) {
		struct fix f;
		ready(&f, "250 x\r\n");
		pst_smtp_client_rset(&f.c, &f.out);
		cr_assert_eq(next(&f, rows[i].in), PST_OK);
		size_t used = f.used;
		cr_assert_eq(used, strlen("250 ok\r\n"));
		pst_smtp_client_mail(&f.c, &f.out, &m);
		cr_assert_eq(next(&f, rows[i].in + used), rows[i].rc, "%s", rows[i].in);
		if (rows[i].rc == PST_AGAIN)
			cr_assert_eq(next(&f, "250 forged\r\n"), PST_PEER);
		fini(&f);
	}
}

Test(client, data_is_answered_by_354_or_a_refusal_and_nothing_else)
{
	static const struct {
		const char *in;
		enum pst_rc rc;
	} rows[] = {{"354 go\r\n", PST_OK}, {"451 no\r\n", PST_OK}, {"554 no\r\n", PST_OK},
		{"250 ok\r\n", PST_PEER}};
	for (unsigned i = 0; i < PST_COUNT(rows); i++) {
		struct fix f;
		ready(&f, "250 x\r\n");
		pst_smtp_client_data(&f.c, &f.out);
		cr_assert_eq(next(&f, rows[i].in), rows[i].rc, "%s", rows[i].in);
		fini(&f);
	}
}

Test(client, parameters_go_only_to_servers_that_offer_them)
{
	struct pst_smtp_mail m = {.from.addr = pst_span_str("a@b"),
		.has_size = true,
		.size = 12,
		.body = PST_SMTP_BODY_8BITMIME,
		.ret = PST_SMTP_RET_HDRS,
		.smtputf8 = true,
		.envid = pst_span_str("id+20x")};
	struct pst_smtp_rcpt r = {.to.addr = pst_span_str("c@d"),
		.notify = PST_SMTP_NOTIFY_SUCCESS | PST_SMTP_NOTIFY_DELAY,
		.orcpt = pst_span_str("rfc822;c+40d")};
	struct fix f;
	ready(&f, "250-x\r\n250-SIZE\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 DSN\r\n");
	pst_smtp_client_mail(&f.c, &f.out, &m);
	said(&f, "MAIL FROM:<a@b> SIZE=12 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=id+20x\r\n");
	pst_smtp_client_rcpt(&f.c, &f.out, &r);
	said(&f, "RCPT TO:<c@d> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;c+40d\r\n");
	cr_assert_eq(pst_smtp_client_lacks(&f.c, &m), 0);
	fini(&f);
	ready(&f, "250 x\r\n");
	cr_assert_eq(pst_smtp_client_lacks(&f.c, &m), PST_SMTP_SMTPUTF8);
	m.smtputf8 = false;
	cr_assert_eq(pst_smtp_client_lacks(&f.c, &m), PST_SMTP_8BITMIME);
	pst_smtp_client_mail(&f.c, &f.out, &m);
	said(&f, "MAIL FROM:<a@b>\r\n");
	pst_smtp_client_rcpt(&f.c, &f.out, &r);
	said(&f, "RCPT TO:<c@d>\r\n");
	m = (struct pst_smtp_mail){0};
	cr_assert_eq(pst_smtp_client_lacks(&f.c, &m), 0);
	pst_smtp_client_mail(&f.c, &f.out, &m);
	said(&f, "MAIL FROM:<>\r\n");
	fini(&f);
}

Test(client, control_bytes_never_reach_the_wire)
{
	static const struct {
		const char *p;
		size_t n;
	} bad[] = {{"a\r\nDATA\r\n@b", 12}, {"a\n@b", 4}, {"a\r@b", 4}, {"a\0@b", 4}, {"\x7f", 1}};
	for (unsigned i = 0; i < PST_COUNT(bad); i++) {
		struct pst_span s = pst_span(bad[i].p, bad[i].n);
		struct pst_smtp_mail from = {.from.addr = s}, envid = {.envid = s};
		struct pst_smtp_rcpt to = {.to.addr = s}, orcpt = {.orcpt = s};
		struct fix f;
		ready(&f, "250-x\r\n250 DSN\r\n");
		cr_assert_eq(pst_smtp_client_mail(&f.c, &f.out, &from), PST_INVAL);
		cr_assert_eq(pst_smtp_client_mail(&f.c, &f.out, &envid), PST_INVAL);
		cr_assert_eq(pst_smtp_client_rcpt(&f.c, &f.out, &to), PST_INVAL);
		cr_assert_eq(pst_smtp_client_rcpt(&f.c, &f.out, &orcpt), PST_INVAL);
		cr_assert_eq(pst_smtp_client_ehlo(&f.c, &f.out, "a\r\nb"), PST_INVAL);
		cr_assert_eq(pst_smtp_client_outstanding(&f.c), 0);
		said(&f, "");
		fini(&f);
	}
}

Test(client, a_full_queue_or_buffer_changes_nothing)
{
	struct fix f;
	ready(&f, "250 x\r\n");
	for (unsigned i = 0; i < PST_SMTP_CLIENT_QUEUE; i++)
		cr_assert_eq(pst_smtp_client_noop(&f.c, &f.out), PST_OK);
	size_t len = pst_buf_len(&f.out);
	cr_assert_eq(pst_smtp_client_rset(&f.c, &f.out), PST_AGAIN);
	cr_assert_eq(pst_smtp_client_dot(&f.c), PST_AGAIN);
	cr_assert_eq(pst_buf_len(&f.out), len);
	fini(&f);
	ready(&f, "250 x\r\n");
	f.out.limit = 5;
	cr_assert_eq(pst_smtp_client_quit(&f.c, &f.out), PST_NOMEM);
	cr_assert_eq(pst_smtp_client_outstanding(&f.c), 0);
	f.out.limit = 6;
	cr_assert_eq(pst_smtp_client_quit(&f.c, &f.out), PST_OK);
	said(&f, "QUIT\r\n");
	fini(&f);
}

Test(client, is_small)
{
	cr_assert_lt(sizeof(struct pst_smtp_client), 200);
}
