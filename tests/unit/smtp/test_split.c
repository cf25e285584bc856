/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * However the input is cut, events and replies are the same. Sessions are given in
 * groups: what a client may send before it waits. Each is run uncut, cut in two at
 * every place of every group, and byte by byte.
 */
#include "drive.h"

#include <criterion/criterion.h>
#include <stdlib.h>

struct group {
	const char *p;
	size_t n;
};
#define G(s)                                                                                       \
	{                                                                                          \
		s, sizeof(s) - 1                                                                   \
	}

static const struct group sessions[][8] = {
	{G("EHLO c\r\n"),
		G("MAIL FROM:<a@b> SIZE=10\r\nRCPT TO:<c@d>\r\nRCPT TO:<no@d>\r\nDATA\r\n"),
		G("Subject: x\r\n\r\n..dot\r\n.\r\nMAIL FROM:<>\r\nRCPT TO:<e@f>\r\nDATA\r\n"),
		G("\r\n.\r\nQUIT\r\nNOOP\r\n")},
	{G("EHLO c\r\n"),
		G("MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nBDAT 7\r\nab\r\n.\r\nBDAT 4 LAST\r\n\n.\r\n"
		  "RSET\r\nNOOP\r\nVRFY x\r\nHELP\r\nEXPN x\r\nx\r\nQUIT\r\n")},
	{G("EHLO c\r\n"), G("MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nBDAT 5\r\na\r\nb\rBDAT "
			    "3\r\n\n\r\nBDAT 4\r\na\nbc"
			    "BDAT 5 LAST\r\nNOOP\nNOOP\r\n")},
	{G("HELO c\r\n"),
		G("NOOP\nx\r\nNOOP\rx\r\nNO\0OP\r\nMAIL FROM:<a@b>\r\nRCPT TO:<\r\nDATAx\r\n"
		  "RCPT TO:<c@d>\r\nDATA\r\n"),
		G("a\r\nb\nc\r\n.\n.\r\n.\r\nNOOP\r\n")},
	{G("EHLO c\r\n"), G("BDAT 3\r\nabcBDAT 0 LAST\r\nMAIL FROM:<a@b>\r\nRCPT TO:<no@b>\r\n"
			    "BDAT 2 LAST\r\n\r\nBDAT 1\r\nxMAIL FROM:<a@b>\r\nBDAT x\r\nNOOP\r\n")},
	{G("EHLO c\r\n"), G("MAIL FROM:<a@b>\r\nEHLO again\r\n"),
		G("MAIL FROM:<a@b>\r\nSTARTTLS\r\n")},
	{G("GET / HTTP/1.1\r\nHost: x\r\n\r\n")},
};

static void
run(const struct group *g, unsigned groups, unsigned cut_group, size_t cut, bool bytewise,
	bool defer, struct drive *d)
{
	drive_init(d);
	d->defer_rcpt = defer;
	d->conf.bare_newline = defer; /* both ways */
	drive_greet(d);
	for (unsigned i = 0; i < groups; i++) {
		size_t at = i == cut_group ? cut : g[i].n;
		for (size_t k = 0; bytewise && k < g[i].n; k++)
			drive_feed(d, g[i].p + k, 1);
		if (bytewise)
			continue;
		drive_feed(d, g[i].p, at);
		if (at < g[i].n)
			drive_feed(d, g[i].p + at, g[i].n - at);
	}
}

static void
same(struct drive *a, struct drive *b, unsigned session, unsigned group, size_t cut)
{
	cr_assert_str_eq(drive_out(a), drive_out(b), "session %u group %u cut %zu:\n%s--\n%s",
		session, group, cut, drive_out(a), drive_out(b));
	cr_assert_str_eq(drive_log(a), drive_log(b), "session %u group %u cut %zu:\n%s--\n%s",
		session, group, cut, drive_log(a), drive_log(b));
	cr_assert(pst_span_eq(pst_buf_span(&a->body), pst_buf_span(&b->body)));
	drive_fini(b);
}

Test(split, no_cut_of_the_input_changes_events_or_replies)
{
	for (unsigned s = 0; s < 2 * PST_COUNT(sessions); s++) {
		const struct group *g = sessions[s / 2];
		bool defer = s % 2;
		struct drive whole, cut;
		unsigned groups = 0;
		while (groups < PST_COUNT(sessions[0]) && g[groups].p != NULL)
			groups++;
		run(g, groups, groups, 0, false, defer, &whole);
		cr_assert_gt(pst_buf_len(&whole.out), 0);
		for (unsigned i = 0; i < groups; i++)
			for (size_t at = 1; at < g[i].n; at++) {
				run(g, groups, i, at, false, defer, &cut);
				same(&whole, &cut, s, i, at);
			}
		run(g, groups, 0, 0, true, defer, &cut);
		same(&whole, &cut, s, 99, 0);
		drive_fini(&whole);
	}
}
