/* SPDX-License-Identifier: BSD-3-Clause */
/* Every command in every order that matters, as tables of lines and replies. */
#include "drive.h"

#include <criterion/criterion.h>
#include <stdio.h>

#define EHLO "EHLO client.example\r\n"
#define MAIL "MAIL FROM:<a@b>\r\n"
#define RCPT "RCPT TO:<c@d>\r\n"

/* Sends the lines one by one, as a client that waits would. */
static void
send_lines(struct drive *d, const char *lines)
{
	while (*lines != '\0') {
		const char *end = strstr(lines, "\r\n") + 2;
		drive_feed(d, lines, (size_t)(end - lines));
		lines = end;
	}
}

static void
expect(const char *before, bool tls, const char *line, const char *want)
{
	struct drive d;
	drive_init(&d);
	if (tls)
		pst_smtp_server_tls(&d.s);
	drive_greet(&d);
	send_lines(&d, before);
	drive_str(&d, line);
	const char *got = drive_out(&d);
	cr_assert_eq(
		strncmp(got, want, strlen(want)), 0, "%s%s -> %s, not %s", before, line, got, want);
	/* One line, or a multi-line one with nothing behind it. */
	const char *last = got;
	for (const char *p = got; (p = strstr(p, "\r\n")) != NULL && p[2] != '\0';)
		last = p += 2;
	cr_assert(last[0] == '\0' || last[3] == ' ' || last[3] == '\r', "%s", got);
	drive_fini(&d);
}

Test(command, each_is_answered_by_its_rule)
{
	static const struct {
		const char *before, *line, *reply;
		bool tls;
	} rows[] = {
		/* RFC 5321 4.1.1.1 */
		{"", EHLO, "250-gw.example\r\n", false},
		{"", "ehlo x\r\n", "250-gw.example\r\n", false},
		{"", "EHLO  x  \r\n", "250-gw.example\r\n", false},
		{"", "EHLO\r\n", "501 5.5.4 ", false},
		{"", "EHLO \r\n", "501 5.5.4 ", false},
		{"", "HELO x\r\n", "250 gw.example\r\n", false},
		{"", "HELO\r\n", "501 5.5.4 ", false},
		{EHLO MAIL RCPT, EHLO, "250-gw.example\r\n", false},
		/* order, 4.1.4 */
		{"", MAIL, "503 5.5.1 ", false},
		{"", RCPT, "503 5.5.1 ", false},
		{"", "DATA\r\n", "503 5.5.1 ", false},
		{EHLO, RCPT, "503 5.5.1 ", false},
		{EHLO, "DATA\r\n", "503 5.5.1 ", false},
		{EHLO, MAIL, "250 answer", false},
		{EHLO MAIL, MAIL, "503 5.5.1 nested", false},
		{EHLO MAIL, "DATA\r\n", "503 5.5.1 need RCPT", false},
		{EHLO MAIL "RCPT TO:<no@d>\r\n", "DATA\r\n", "554 5.5.1 no valid recipients",
			false},
		{EHLO MAIL "RCPT TO:<no@d>\r\n" RCPT, "DATA\r\n", "354 ", false},
		{EHLO MAIL RCPT, "DATA x\r\n", "501 5.5.4 ", false},
		{EHLO MAIL RCPT "RSET\r\n", RCPT, "503 5.5.1 ", false},
		{EHLO MAIL RCPT "RSET\r\n", MAIL, "250 ", false},
		{EHLO MAIL RCPT EHLO, RCPT, "503 5.5.1 ", false},
		/* the small ones */
		{"", "NOOP\r\n", "250 2.0.0 ", false},
		{"", "NOOP whatever\r\n", "250 2.0.0 ", false},
		{"", "RSET\r\n", "250 2.0.0 ", false},
		{"", "RSET x\r\n", "501 5.5.4 ", false},
		{"", "VRFY a\r\n", "252 2.", false},
		{"", "VRFY\r\n", "501 5.5.4 ", false},
		{"", "EXPN l\r\n", "502 5.5.1 ", false},
		{"", "HELP\r\n", "214 2.0.0 ", false},
		{"", "QUIT\r\n", "221 2.0.0 ", false},
		{"", "QUIT now\r\n", "501 5.5.4 ", false},
		{"", "quit \r\n", "221 2.0.0 ", false},
		{"", "AUTH PLAIN AGEAYg==\r\n", "538 5.7.11 ", false},
		{"", "AUTH PLAIN AGEAYg==\r\n", "502 5.5.1 ", true},
		{"", "XCLIENT ADDR=1\r\n", "500 5.5.2 ", false},
		{"", "TURN\r\n", "500 5.5.2 ", false},
		{"", "MAILFROM:<a@b>\r\n", "500 5.5.2 ", false},
		{"", "\r\n", "500 5.5.2 ", false},
		{"", " NOOP\r\n", "500 5.5.2 ", false},
		{"", "NO\tOP\r\n", "500 5.5.2 ", false},
		/* T6: control bytes in a command, 500; behind one that is known, 501 */
		{"", "NOOP a\nNOOP\r\n", "501 5.5.4 ", false},
		{"", "NOOP a\rb\r\n", "501 5.5.4 ", false},
		{"", "NOOP\r\r\n", "500 5.5.2 ", false},
		{"", "NOOP \x7f\r\n", "501 5.5.4 ", false},
		{"", "EHLO a\rb\r\n", "501 5.5.4 ", false},
		{"", "HELO a\x01\r\n", "501 5.5.4 ", false},
		{"", "AUTH LOGIN \n\r\n", "501 5.5.4 ", false},
		{EHLO, "MAIL FROM:<a@b\nRCPT TO:<x@y>>\r\n", "501 5.5.4 ", false},
		{EHLO, "MAIL FROM:<\"a\rb\"@b>\r\n", "501 5.5.4 ", false},
		{EHLO, "MAIL FROM:<a@b> ENVID=x\tX=1\r\n", "501 5.5.4 ", false},
		{EHLO MAIL, "RCPT TO:<c@d\x0b>\r\n", "501 5.5.4 ", false},
		{EHLO MAIL, "RCPT TO:<c@d> ORCPT=rfc822;\x7f\r\n", "501 5.5.4 ", false},
		{"", "\xe9\xe9\r\n", "500 5.5.2 ", false},
		/* RFC 3207 */
		{"", "STARTTLS\r\n", "220 2.0.0 ", false},
		{"", "STARTTLS now\r\n", "501 5.5.4 ", false},
		{"", "STARTTLS\r\n", "503 5.5.1 ", true},
		/* MAIL's argument */
		{EHLO, "MAIL\r\n", "501 5.5.4 ", false},
		{EHLO, "MAIL FROM\r\n", "501 5.5.4 ", false},
		{EHLO, "MAIL TO:<a@b>\r\n", "501 5.5.4 ", false},
		{EHLO, "MAIL FROM:a@b\r\n", "501 5.1.7 ", false},
		{EHLO, "MAIL FROM:<a>\r\n", "501 5.1.7 ", false},
		{EHLO, "mail from:<a@b>\r\n", "250 ", false},
		{EHLO, "MAIL FROM: <a@b>\r\n", "250 ", false},
		{EHLO, "MAIL FROM:<>\r\n", "250 ", false},
		{EHLO, "MAIL FROM:<a@b>x\r\n", "501 5.5.4 ", false},
		{EHLO, "MAIL FROM:<a@b>SIZE=1\r\n", "501 5.5.4 ", false},
		{EHLO MAIL, "RCPT TO:<>\r\n", "501 5.1.3 ", false},
		{EHLO MAIL, "RCPT TO:<postmaster>\r\n", "250 ", false},
		{EHLO MAIL, "RCPT FROM:<a@b>\r\n", "501 5.5.4 ", false},
		/* parameters */
		{EHLO, "MAIL FROM:<a@b> SIZE=1000000\r\n", "250 ", false},
		{EHLO, "MAIL FROM:<a@b> SIZE=1000001\r\n", "552 5.3.4 ", false},
		{EHLO, "MAIL FROM:<a@b> SIZE=99999999999999999999\r\n", "552 5.3.4 ", false},
		{EHLO, "MAIL FROM:<a@b> SIZE=100000000000000000000\r\n", "501 5.5.4 ", false},
		{EHLO, "MAIL FROM:<a@b> SIZE=\r\n", "501 5.5.4 ", false},
		{EHLO, "MAIL FROM:<a@b> SIZE\r\n", "501 5.5.4 ", false},
		{EHLO, "MAIL FROM:<a@b> SIZE=-1\r\n", "501 5.5.4 ", false},
		{EHLO, "MAIL FROM:<a@b> SIZE=0x10\r\n", "501 5.5.4 ", false},
		{EHLO, "MAIL FROM:<a@b> SIZE=1 SIZE=1\r\n", "501 5.5.4 ", false},
		{EHLO, "MAIL FROM:<a@b>  BODY=8bitmime  size=5 \r\n", "250 ", false},
		{EHLO, "MAIL FROM:<a@b> BODY=7BIT\r\n", "250 ", false},
		{EHLO, "MAIL FROM:<a@b> BODY=BINARYMIME\r\n", "501 5.5.4 ", false},
		{EHLO, "MAIL FROM:<a@b> BODY\r\n", "501 5.5.4 ", false},
		{EHLO, "MAIL FROM:<a@b> RET=FULL ENVID=a+2Bb\r\n", "250 ", false},
		{EHLO, "MAIL FROM:<a@b> RET=SOME\r\n", "501 5.5.4 ", false},
		{EHLO, "MAIL FROM:<a@b> ENVID=a+2bb\r\n", "501 5.5.4 ", false},
		{EHLO, "MAIL FROM:<a@b> ENVID=a+2\r\n", "501 5.5.4 ", false},
		{EHLO, "MAIL FROM:<a@b> ENVID=a=b\r\n", "501 5.5.4 ", false},
		{EHLO, "MAIL FROM:<a@b> ENVID=\r\n", "501 5.5.4 ", false},
		{EHLO, "MAIL FROM:<a@b> SMTPUTF8\r\n", "250 ", false},
		{EHLO, "MAIL FROM:<a@b> SMTPUTF8=1\r\n", "501 5.5.4 ", false},
		{EHLO, "MAIL FROM:<\xc3\xa4@b> SMTPUTF8\r\n", "250 ", false},
		{EHLO, "MAIL FROM:<\xc3\xa4@b>\r\n", "553 5.6.7 ", false},
		{EHLO, "MAIL FROM:<\xc3@b> SMTPUTF8\r\n", "501 5.1.7 ", false},
		{EHLO, "MAIL FROM:<a@b> AUTH=<>\r\n", "555 5.5.4 ", false},
		{EHLO, "MAIL FROM:<a@b> NOTIFY=NEVER\r\n", "555 5.5.4 ", false},
		{EHLO, "MAIL FROM:<a@b> X\r\n", "555 5.5.4 ", false},
		{EHLO, "MAIL FROM:<a@b> =\r\n", "555 5.5.4 ", false},
		{"HELO x\r\n", "MAIL FROM:<a@b> SIZE=1\r\n", "555 5.5.4 ", false},
		{EHLO MAIL, "RCPT TO:<c@d> NOTIFY=NEVER\r\n", "250 ", false},
		{EHLO MAIL, "RCPT TO:<c@d> NOTIFY=success,delay,FAILURE\r\n", "250 ", false},
		{EHLO MAIL, "RCPT TO:<c@d> NOTIFY=NEVER,DELAY\r\n", "501 5.5.4 ", false},
		{EHLO MAIL, "RCPT TO:<c@d> NOTIFY=DELAY,NEVER\r\n", "501 5.5.4 ", false},
		{EHLO MAIL, "RCPT TO:<c@d> NOTIFY=DELAY,\r\n", "501 5.5.4 ", false},
		{EHLO MAIL, "RCPT TO:<c@d> NOTIFY=\r\n", "501 5.5.4 ", false},
		{EHLO MAIL, "RCPT TO:<c@d> NOTIFY\r\n", "501 5.5.4 ", false},
		{EHLO MAIL, "RCPT TO:<c@d> ORCPT=rfc822;c+40d\r\n", "250 ", false},
		{EHLO MAIL, "RCPT TO:<c@d> ORCPT=rfc822;\r\n", "501 5.5.4 ", false},
		{EHLO MAIL, "RCPT TO:<c@d> ORCPT=;c\r\n", "501 5.5.4 ", false},
		{EHLO MAIL, "RCPT TO:<c@d> ORCPT=c\r\n", "501 5.5.4 ", false},
		{EHLO MAIL, "RCPT TO:<c@d> ORCPT=rf c;c\r\n", "501 5.5.4 ", false},
		{EHLO MAIL, "RCPT TO:<c@d> ORCPT=utf-8;\xc3\xa4\r\n", "501 5.5.4 ", false},
		{EHLO "MAIL FROM:<a@b> SMTPUTF8\r\n", "RCPT TO:<c@d> ORCPT=utf-8;\xc3\xa4\r\n",
			"250 ", false},
		{EHLO "MAIL FROM:<a@b> SMTPUTF8\r\n", "RCPT TO:<c@d> ORCPT=rfc822;\xc3\xa4\r\n",
			"501 5.5.4 ", false},
		{EHLO "MAIL FROM:<a@b> SMTPUTF8\r\n", "RCPT TO:<\xc3\xa4@d>\r\n", "250 ", false},
		{EHLO MAIL, "RCPT TO:<\xc3\xa4@d>\r\n", "553 5.6.7 ", false},
		{EHLO MAIL, "RCPT TO:<c@d> SIZE=1\r\n", "555 5.5.4 ", false},
	};
	for (unsigned i = 0; i < PST_COUNT(rows); i++)
		expect(rows[i].before, rows[i].tls, rows[i].line, rows[i].reply);
}

Test(command, ehlo_offers_what_is_configured_and_starttls_only_in_clear)
{
	struct drive d;
	drive_init(&d);
	drive_greet(&d);
	cr_assert_str_eq(drive_out(&d), "220 gw.example ESMTP Postern\r\n");
	drive_str(&d, EHLO);
	cr_assert_str_eq(drive_out(&d),
		"250-gw.example\r\n250-PIPELINING\r\n250-SIZE 1000000\r\n250-8BITMIME\r\n"
		"250-ENHANCEDSTATUSCODES\r\n250-STARTTLS\r\n250-SMTPUTF8\r\n250-DSN\r\n"
		"250 CHUNKING\r\n");
	cr_assert_str_eq(drive_log(&d), "HELO client.example\n");
	d.s.starttls_off = true;
	drive_str(&d, EHLO);
	cr_assert_null(strstr(drive_out(&d), "STARTTLS"));
	drive_str(&d, "STARTTLS\r\n");
	cr_assert_eq(strncmp(drive_out(&d), "502 5.5.1 ", 10), 0);
	d.s.starttls_off = false;
	drive_str(&d, "STARTTLS\r\n");
	pst_smtp_server_tls(&d.s);
	d.conf.keywords = PST_SMTP_STARTTLS | PST_SMTP_SIZE;
	d.conf.max_size = 0;
	drive_str(&d, EHLO);
	cr_assert_str_eq(drive_out(&d), "250-gw.example\r\n250 SIZE\r\n");
	drive_fini(&d);
}

Test(command, what_ehlo_offered_holds_until_the_next_one)
{
	struct drive d;
	drive_init(&d);
	drive_greet(&d);
	drive_str(&d, EHLO);
	d.conf.keywords = 0;
	drive_str(&d, "MAIL FROM:<a@b> SIZE=1 BODY=8BITMIME SMTPUTF8 RET=FULL\r\n");
	cr_assert_str_eq(drive_out(&d), "250 answer\r\n");
	drive_str(&d, RCPT "BDAT 1 LAST\r\nx");
	cr_assert_str_eq(drive_out(&d), "250 answer\r\n250 answer\r\n");
	drive_str(&d, EHLO);
	drive_str(&d, "MAIL FROM:<a@b> SIZE=1\r\n");
	cr_assert_eq(strncmp(drive_out(&d), "555 5.5.4 ", 10), 0);
	drive_fini(&d);
}

/* T1, T3: RFC 3207 4.2 */
Test(command, nothing_said_before_starttls_is_known_after_it)
{
	struct drive d;
	drive_init(&d);
	drive_greet(&d);
	drive_str(&d, EHLO);
	drive_str(&d, "MAIL FROM:<a@b> SMTPUTF8\r\n");
	drive_str(&d, RCPT);
	cr_assert_str_eq(pst_smtp_server_with(&d.s), "UTF8SMTP");
	drive_str(&d, "STARTTLS\r\n");
	cr_assert_str_eq(drive_log(&d), "RSET\nSTARTTLS\n");
	cr_assert(!d.surplus);
	pst_smtp_server_tls(&d.s);
	cr_assert_null(d.s.helo);
	cr_assert_str_eq(pst_smtp_server_with(&d.s), "SMTP");
	drive_str(&d, RCPT);
	cr_assert_eq(strncmp(drive_out(&d), "503 5.5.1 ", 10), 0);
	drive_str(&d, MAIL);
	cr_assert_eq(strncmp(drive_out(&d), "503 5.5.1 ", 10), 0);
	drive_str(&d, EHLO);
	cr_assert_str_eq(pst_smtp_server_with(&d.s), "ESMTPS");
	drive_str(&d, "MAIL FROM:<a@b> SMTPUTF8\r\n");
	cr_assert_str_eq(pst_smtp_server_with(&d.s), "UTF8SMTPS");
	drive_fini(&d);
}

/* T1, the engine's part: cut at every place, what is behind STARTTLS stays unread. */
Test(command, bytes_behind_starttls_are_never_parsed)
{
	static const char lines[] = "STARTTLS\r\nNOOP\r\nMAIL FROM:<evil@b>\r\n";
	for (size_t cut = 1; cut < sizeof(lines) - 1; cut++) {
		struct drive d;
		drive_init(&d);
		drive_greet(&d);
		drive_str(&d, EHLO);
		drive_str(&d, "");
		drive_feed(&d, lines, cut);
		drive_feed(&d, lines + cut, sizeof(lines) - 1 - cut);
		cr_assert_str_eq(drive_log(&d), "STARTTLS\n");
		cr_assert_str_eq(drive_out(&d), "220 2.0.0 ready to start TLS\r\n");
		cr_assert_eq(pst_buf_len(&d.in), sizeof(lines) - 1 - strlen("STARTTLS\r\n"));
		cr_assert_eq(d.surplus, cut != strlen("STARTTLS\r\n"));
		drive_fini(&d);
	}
}

/* P6: RFC 3207 section 4, "to every command other than NOOP, EHLO, STARTTLS, or QUIT". */
Test(command, where_tls_comes_first_all_but_the_way_to_it_is_530)
{
	static const char no[] = "530 5.7.0 Must issue a STARTTLS command first\r\n";
	static const struct {
		const char *line, *reply; /* NULL: no */
	} rows[] = {
		{EHLO, "250-gw.example\r\n"},
		{"HELO x\r\n", "250 gw.example\r\n"},
		{"NOOP\r\n", "250 2.0.0 ok\r\n"},
		{"RSET\r\n", "250 2.0.0 ok\r\n"},
		{"QUIT\r\n", "221 2.0.0 bye\r\n"},
		{"STARTTLS\r\n", "220 2.0.0 ready to start TLS\r\n"},
		{"STARTTLS x\r\n", "501 5.5.4 "},
		{MAIL, NULL},
		{"MAIL FROM:<broken\r\n", NULL},
		{RCPT, NULL},
		{"DATA\r\n", NULL},
		{"DATA x\r\n", NULL},
		{"VRFY a\r\n", NULL},
		{"EXPN a\r\n", NULL},
		{"HELP\r\n", NULL},
		{"AUTH PLAIN AGEAYg==\r\n", NULL},
		{"ETRN a\r\n", NULL},
		{"XCLIENT ADDR=1\r\n", NULL},
		{"\r\n", NULL},
		{"\xff\r\n", NULL},
		{"NOOP a\nb\r\n", "501 5.5.4 "},
		{"MAIL FROM:<a\n@b>\r\n", NULL},
		{"\x01\r\n", NULL},
		{"BDAT 0\r\n", NULL},
		{"BDAT 6 LAST\r\nQUIT\r\n", NULL},
		/* what ends a session still does */
		{"BDAT x\r\n", "501 5.5.4 bad chunk size\r\n"},
		{"DATA\r\n.\r\n", "554 5.5.0 you must wait"},
		{"GET / HTTP/1.1\r\n", "554 5.5.0 this is not SMTP\r\n"},
	};
	for (unsigned i = 0; i < PST_COUNT(rows); i++) {
		const char *want = rows[i].reply == NULL ? no : rows[i].reply;
		struct drive d;
		drive_init(&d);
		d.s.tls_first = true;
		drive_greet(&d);
		drive_str(&d, EHLO);
		cr_assert_not_null(strstr(drive_out(&d), "STARTTLS"));
		drive_str(&d, rows[i].line);
		cr_assert_eq(strncmp(drive_out(&d), want, strlen(want)), 0, "%s -> %s",
			rows[i].line, drive_out(&d));
		if (rows[i].reply != NULL) {
			drive_fini(&d);
			continue;
		}
		cr_assert_str_eq(drive_out(&d), no);
		cr_assert_str_eq(drive_log(&d), "", "nothing for the caller to do");
		drive_str(&d, "STARTTLS\r\n");
		pst_smtp_server_tls(&d.s);
		send_lines(&d, EHLO MAIL RCPT);
		drive_str(&d, "VRFY a\r\nDATA\r\n");
		cr_assert_str_eq(
			drive_out(&d), "252 2.0.0 send some mail, I will try\r\n354 answer\r\n");
		drive_fini(&d);
	}
}

Test(command, refusals_for_want_of_tls_are_errors_and_bounded)
{
	struct drive d;
	drive_init(&d);
	d.conf.max_errors = 3;
	d.s.tls_first = true;
	drive_greet(&d);
	drive_str(&d, "BDAT 0\r\nMAIL\r\nx\r\nBDAT 6\r\nNOOP\r\n");
	cr_assert_not_null(strstr(drive_out(&d), "421 4.7.0 too many errors\r\n"));
	cr_assert(d.closed);
	drive_fini(&d);
}

/* T1 */
Test(command, starttls_with_a_bare_newline_is_no_starttls)
{
	expect("", false, "STARTTLS\nNOOP\r\n", "500 5.5.2 ");
}

Test(command, pipelined_recipients_are_handed_out_before_the_first_answer)
{
	struct drive d;
	drive_init(&d);
	drive_greet(&d);
	drive_str(&d, EHLO);
	drive_str(&d, MAIL);
	d.defer_rcpt = true;
	drive_str(
		&d, "RCPT TO:<no@1>\r\nRCPT TO:<b@2>\r\nRCPT TO:<bad\r\nRCPT TO:<c@3>\r\nDATA\r\n");
	cr_assert_str_eq(drive_log(&d), "RCPT no@1\nRCPT b@2\nRCPT c@3\nDATA\n");
	/* Replies in the order of the commands (RFC 2920 3.2), the local 501 in its place. */
	cr_assert_str_eq(drive_out(&d), "550 answer\r\n250 answer\r\n501 5.1.3 "
					"address without domain\r\n250 answer\r\n354 answer\r\n");
	drive_fini(&d);
}

Test(command, while_recipients_are_pending_everything_else_waits_unused)
{
	static const char *const lines[] = {"NOOP\r\n", "RSET\r\n", "QUIT\r\n", "DATA\r\n",
		"BDAT 3 LAST\r\nabc", "EHLO x\r\n", "GET / HTTP/1.1\r\n", "RCPT TO:<bad\r\n",
		"junk\r\n", "\x01\r\n", "STARTTLS\r\n"};
	for (unsigned i = 0; i < PST_COUNT(lines); i++) {
		struct pst_smtp_server_event ev;
		struct drive d;
		size_t used;
		drive_init(&d);
		drive_greet(&d);
		drive_str(&d, EHLO);
		drive_str(&d, MAIL);
		drive_str(&d, "");
		const uint8_t *rcpt = (const uint8_t *)RCPT;
		cr_assert_eq(
			pst_smtp_server_next(&d.s, rcpt, strlen(RCPT), &used, &d.out, &ev), PST_OK);
		cr_assert_eq(d.s.pending, 1);
		cr_assert_eq(pst_smtp_server_next(&d.s, (const uint8_t *)lines[i], strlen(lines[i]),
				     &used, &d.out, &ev),
			PST_AGAIN);
		cr_assert_eq(used, 0, "%s", lines[i]);
		cr_assert_eq(pst_buf_len(&d.out), 0, "%s", lines[i]);
		drive_fini(&d);
	}
}

Test(command, pending_recipients_are_bounded)
{
	struct pst_smtp_server_event ev;
	struct drive d;
	size_t used;
	drive_init(&d);
	drive_greet(&d);
	drive_str(&d, EHLO);
	drive_str(&d, MAIL);
	for (unsigned i = 0; i <= PST_SMTP_PENDING_MAX; i++) {
		enum pst_rc rc = pst_smtp_server_next(
			&d.s, (const uint8_t *)RCPT, strlen(RCPT), &used, &d.out, &ev);
		cr_assert_eq(rc, i < PST_SMTP_PENDING_MAX ? PST_OK : PST_AGAIN);
	}
	cr_assert_eq(used, 0);
	drive_fini(&d);
}

Test(command, recipients_beyond_the_limit_get_452_and_the_rest_stands)
{
	struct drive d;
	drive_init(&d);
	d.conf.max_rcpts = 2;
	d.defer_rcpt = true;
	drive_greet(&d);
	drive_str(&d, EHLO);
	drive_str(&d, MAIL RCPT "RCPT TO:<no@d>\r\n" RCPT RCPT "DATA\r\n");
	cr_assert_str_eq(drive_out(&d), "250 answer\r\n250 answer\r\n550 answer\r\n250 answer\r\n"
					"452 4.5.3 too many recipients\r\n354 answer\r\n");
	cr_assert_eq(d.s.rcpts_ok, 2);
	drive_fini(&d);
}

Test(command, too_many_errors_end_the_session)
{
	struct drive d;
	drive_init(&d);
	d.conf.max_errors = 2;
	drive_greet(&d);
	drive_str(&d, "x\r\nNOOP\r\ny\r\nNOOP\r\nz\r\nNOOP\r\n");
	cr_assert_str_eq(drive_out(&d), "500 5.5.2 command not recognized\r\n250 2.0.0 ok\r\n"
					"500 5.5.2 command not recognized\r\n250 2.0.0 ok\r\n421 "
					"4.7.0 too many errors\r\n");
	cr_assert_str_eq(drive_log(&d), "CLOSE\n");
	cr_assert_eq(pst_buf_len(&d.in), 0, "later input is used up");
	drive_fini(&d);
}

Test(command, commands_that_move_no_mail_are_bounded)
{
	struct drive d;
	drive_init(&d);
	drive_greet(&d);
	for (unsigned i = 0; i < PST_SMTP_JUNK_MAX; i++)
		drive_str(&d, "NOOP\r\n");
	cr_assert(!d.closed);
	drive_str(&d, "RSET\r\n");
	cr_assert_eq(strncmp(drive_out(&d), "421 4.7.0 ", 10), 0);
	cr_assert(d.closed);
	drive_fini(&d);
}

Test(command, a_message_that_went_makes_room_for_more_of_them)
{
	struct drive d;
	drive_init(&d);
	drive_greet(&d);
	drive_str(&d, EHLO);
	for (unsigned i = 0; i < 3 * PST_SMTP_JUNK_MAX; i++) {
		drive_str(&d, "NOOP\r\n");
		cr_assert_str_eq(drive_out(&d), "250 2.0.0 ok\r\n");
		if (i % 50 == 0)
			send_lines(&d, MAIL RCPT "DATA\r\nx\r\n.\r\n");
	}
	drive_fini(&d);
}

/* T6, the NUL that no C string can hold. */
Test(command, a_nul_in_a_command_is_refused_wherever_it_stands)
{
	static const char *const lines[] = {EHLO, "HELO x\r\n", "NOOP x\r\n", MAIL, RCPT,
		"STARTTLS\r\n", "QUIT\r\n", "DATA\r\n", "RSET\r\n"};
	for (unsigned i = 0; i < PST_COUNT(lines); i++)
		for (size_t at = 0; at + 2 < strlen(lines[i]) + 1; at++) {
			char line[64];
			struct drive d;
			size_t n = strlen(lines[i]);
			memcpy(line, lines[i], at);
			line[at] = '\0';
			memcpy(line + at + 1, lines[i] + at, n - at);
			drive_init(&d);
			drive_greet(&d);
			send_lines(&d, EHLO);
			drive_str(&d, "");
			drive_feed(&d, line, n + 1);
			bool known = strncmp(drive_out(&d), "501 5.5.4 control", 17) == 0;
			bool unknown = strncmp(drive_out(&d), "500 5.5.2 control", 17) == 0;
			cr_assert(known || unknown, "%s at %zu: %s", lines[i], at, drive_out(&d));
			cr_assert_str_eq(drive_log(&d), "");
			drive_fini(&d);
		}
}

Test(command, envid_and_orcpt_are_bounded)
{
	for (int n = 99; n <= 101; n++) {
		char line[700];
		snprintf(line, sizeof(line), "MAIL FROM:<a@b> ENVID=%0*d\r\n", n, 0);
		expect(EHLO, false, line, n <= 100 ? "250 " : "501 5.5.4 ");
		snprintf(line, sizeof(line), "RCPT TO:<a@b> ORCPT=rfc822;%0*d\r\n", n + 393, 0);
		expect(EHLO MAIL, false, line, n <= 100 ? "250 " : "501 5.5.4 ");
	}
}

/* T8 */
Test(command, another_protocol_is_shown_the_door)
{
	static const char *const lines[] = {"GET / HTTP/1.1\r\n", "post /x HTTP/1.0\r\n",
		"CONNECT a:25 HTTP/1.1\r\n", "PUT / HTTP/1.1\r\n", "Host: gw.example\r\n",
		"User-Agent: x\r\n", "X:\r\n", "PRI * HTTP/2.0\r\n", "\x16\x03\x01\x02"};
	for (unsigned i = 0; i < PST_COUNT(lines); i++) {
		struct drive d;
		drive_init(&d);
		drive_greet(&d);
		drive_str(&d, lines[i]);
		drive_feed(&d, "\r\nEHLO x\r\n", 10);
		cr_assert_str_eq(drive_log(&d), "CLOSE\n", "%s", lines[i]);
		cr_assert_str_eq(drive_out(&d), "554 5.5.0 this is not SMTP\r\n");
		drive_fini(&d);
	}
}

/* T7 */
Test(command, early_talkers_and_illegal_pipelining_end_the_session)
{
	static const struct {
		const char *before, *lines;
	} rows[] = {
		{"", EHLO "NOOP\r\n"},
		{"", "HELO x\r\nM"},
		{EHLO MAIL RCPT, "DATA\r\n."},
		{EHLO MAIL RCPT, "DATA\r\nSubject: x\r\n\r\n.\r\n"},
		{EHLO MAIL, "DATA\r\nx\r\n.\r\n"},
	};
	for (unsigned i = 0; i < PST_COUNT(rows); i++) {
		struct drive d;
		drive_init(&d);
		drive_greet(&d);
		send_lines(&d, rows[i].before);
		drive_str(&d, rows[i].lines);
		cr_assert_str_eq(drive_log(&d), "CLOSE\n", "%s", rows[i].lines);
		cr_assert_str_eq(drive_out(&d), "554 5.5.0 you must wait for my reply\r\n");
		cr_assert_eq(pst_buf_len(&d.in), 0);
		drive_fini(&d);
	}
	struct drive d;
	drive_init(&d);
	drive_str(&d, "");
	cr_assert_str_eq(drive_log(&d), "");
	drive_str(&d, EHLO);
	cr_assert_str_eq(drive_log(&d), "CLOSE\n");
	drive_fini(&d);
}

/* T7 */
Test(command, input_that_comes_while_354_is_not_given_yet_ends_the_session)
{
	struct drive d;
	drive_init(&d);
	d.data_code = 0;
	drive_greet(&d);
	send_lines(&d, EHLO MAIL RCPT "DATA\r\n");
	drive_str(&d, "x");
	cr_assert_str_eq(drive_log(&d), "CLOSE\n");
	cr_assert_eq(pst_smtp_server_reply(&d.s, &d.out, 354, NULL, ""), PST_BUG);
	drive_fini(&d);
}

/* T11 */
Test(command, an_oversized_line_is_discarded_whole)
{
	/* What stands behind 2048 bytes of it is never taken for a command. */
	for (size_t len = 2040; len < 2060; len++) {
		for (size_t cut = len - 3; cut <= len + 3; cut++) {
			char line[2200];
			struct drive d;
			memset(line, 'x', len);
			memcpy(line, "NOOP ", 5);
			memcpy(line + len - 6, "\rQUIT\n", 6);
			memcpy(line + len, "\r\nNOOP\r\n", 9);
			drive_init(&d);
			drive_greet(&d);
			drive_str(&d, "");
			drive_feed(&d, line, cut);
			drive_feed(&d, line + cut, len + 8 - cut);
			bool fits = len + 2 <= PST_SMTP_LINE_MAX;
			cr_assert_str_eq(drive_out(&d),
				fits ? "501 5.5.4 control character in parameters\r\n250 2.0.0 "
				       "ok\r\n"
				     : "500 5.5.2 line too long\r\n250 2.0.0 ok\r\n");
			drive_fini(&d);
		}
	}
}

Test(command, helo_name_is_kept_printable_and_short)
{
	char line[600];
	struct drive d;
	drive_init(&d);
	drive_greet(&d);
	drive_str(&d, "EHLO a(b)\"<c>;\\\xc3\xa4 [x]\r\n");
	cr_assert_str_eq(d.s.helo, "a?b???c?????");
	drive_str(&d, "EHLO [IPv6:2001:db8::1]\r\n");
	cr_assert_str_eq(d.s.helo, "[IPv6:2001:db8::1]");
	memset(line, 'h', sizeof(line));
	memcpy(line, "HELO ", 5);
	memcpy(line + 580, "\r\n", 3);
	drive_str(&d, line);
	cr_assert_eq(strlen(d.s.helo), 255);
	drive_fini(&d);
}

Test(command, no_byte_of_the_client_comes_back_to_it)
{
	static const char *const lines[] = {"ZZTOP\r\n", "MAIL FROM:<ZZTOP>\r\n", "EHLO ZZTOP\r\n",
		"MAIL FROM:<a@b> ZZTOP=1\r\n", "VRFY ZZTOP\r\n", "BDAT ZZTOP\r\n"};
	for (unsigned i = 0; i < PST_COUNT(lines); i++) {
		struct drive d;
		drive_init(&d);
		drive_greet(&d);
		drive_feed(&d, EHLO, strlen(EHLO));
		drive_feed(&d, lines[i], strlen(lines[i]));
		cr_assert_null(strstr(drive_out(&d), "ZZTOP"));
		drive_fini(&d);
	}
}

Test(command, a_full_output_changes_nothing_and_the_command_comes_again)
{
	static const char *const lines[] = {"NOOP\r\n", "EHLO x\r\n", "RSET\r\n", "QUIT\r\n",
		"STARTTLS\r\n", "junk\r\n", "GET /\r\n", "BDAT x\r\n", "BDAT 0\r\n", "HELO x\r\n"};
	for (unsigned i = 0; i < PST_COUNT(lines); i++) {
		struct pst_smtp_server_event ev;
		struct pst_buf tiny;
		struct drive d;
		size_t used;
		size_t n = strlen(lines[i]);
		drive_init(&d);
		drive_greet(&d);
		pst_buf_init(&tiny, 5);
		cr_assert_eq(
			pst_smtp_server_next(&d.s, (const uint8_t *)lines[i], n, &used, &tiny, &ev),
			PST_NOMEM, "%s", lines[i]);
		cr_assert_leq(used, n);
		drive_str(&d, lines[i] + used);
		cr_assert_gt(strlen(drive_out(&d)), 5);
		cr_assert_eq(pst_buf_len(&d.in), 0);
		pst_buf_fini(&tiny);
		drive_fini(&d);
	}
}

Test(command, answers_without_a_question_are_our_bug)
{
	struct drive d;
	drive_init(&d);
	drive_greet(&d);
	cr_assert_eq(pst_smtp_server_reply(&d.s, &d.out, 250, NULL, ""), PST_BUG);
	d.mail_code = 0;
	drive_feed(&d, EHLO, strlen(EHLO));
	drive_feed(&d, MAIL, strlen(MAIL));
	cr_assert_eq(pst_smtp_server_reply(&d.s, &d.out, 354, NULL, ""), PST_BUG);
	cr_assert_eq(pst_smtp_server_reply(&d.s, &d.out, 451, "4.7.1", "later"), PST_OK);
	drive_str(&d, RCPT);
	cr_assert_eq(strncmp(drive_out(&d), "503 ", 4), 0);
	cr_assert(pst_smtp_server_idle(&d.s));
	cr_assert_eq(pst_smtp_server_reply(&d.s, &d.out, 421, "4.3.2", "drain"), PST_OK);
	cr_assert(pst_smtp_server_ready(&d.s));
	drive_str(&d, "");
	cr_assert_str_eq(drive_log(&d), "CLOSE\n");
	drive_fini(&d);
}

Test(command, utf8_in_an_answer_needs_smtputf8)
{
	struct pst_smtp_reply r = {.code = 550, .text = pst_span_str("n\xc3\xb6")};
	for (int utf8 = 0; utf8 < 2; utf8++) {
		struct drive d;
		drive_init(&d);
		d.mail_code = 0;
		drive_greet(&d);
		drive_feed(&d, EHLO, strlen(EHLO));
		drive_str(&d, utf8 ? "MAIL FROM:<a@b> SMTPUTF8\r\n" : MAIL);
		cr_assert_eq(pst_smtp_server_reply_put(&d.s, &d.out, &r), PST_OK);
		cr_assert_str_eq(drive_out(&d), utf8 ? "550 n\xc3\xb6\r\n" : "550 n??\r\n");
		drive_fini(&d);
	}
}
