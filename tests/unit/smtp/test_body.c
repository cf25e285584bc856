/* SPDX-License-Identifier: BSD-3-Clause */
/* DATA and BDAT: what is the message, where does it end, and what if it is wrong. */
#include "drive.h"

#include <criterion/criterion.h>
#include <pst_smtp_ref.h>

#include <stdio.h>
#include <stdlib.h>

#define EHLO     "EHLO client.example\r\n"
#define ENVELOPE "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n"

static void
begin(struct drive *d, uint8_t bare)
{
	drive_init(d);
	d->conf.bare_newline = bare;
	drive_greet(d);
	drive_str(d, EHLO);
}

static void
begin_data(struct drive *d, uint8_t bare)
{
	begin(d, bare);
	drive_str(d, ENVELOPE "DATA\r\n");
	drive_str(d, "");
}

static struct pst_span
body(const struct drive *d)
{
	return pst_buf_span(&d->body);
}

/* Features T4: what other servers took for the end of a message. */
static const struct {
	const char *p;
	size_t n;
	bool bare;
} smuggles[] = {
	{"\n.\n", 3, true},
	{"\n.\r", 3, true},
	{"\r.\n", 3, true},
	{"\r.\r", 3, true},
	{"\n.\r\n", 4, true},
	{"\r.\r\n", 4, true},
	{"\r\n\0.\r\n", 6, false},
	{"\r\n.\r\r\n", 6, true},
	{"\r\r\n.\r\r\n", 7, true},
	{"\r\n.\n", 4, true},
	{"\r\n.\r", 4, true},
};

static size_t
smuggling_message(char *to, unsigned which)
{
	char *p = to;
	p += sprintf(p, "Subject: x\r\n\r\nbefore");
	memcpy(p, smuggles[which].p, smuggles[which].n);
	p += smuggles[which].n;
	p += sprintf(
		p, "MAIL FROM:<evil@x>\r\nRCPT TO:<victim@x>\r\nDATA\r\nevil\r\n.\r\nNOOP\r\n");
	return (size_t)(p - to);
}

static void
check_smuggle(unsigned which, uint8_t bare, size_t cut, bool bytewise)
{
	char m[256];
	uint8_t plain[512];
	struct drive d;
	size_t n = smuggling_message(m, which);
	struct pst_smtp_ref ref = pst_smtp_ref_data((const uint8_t *)m, n, plain);
	bool rejected = smuggles[which].bare && bare == PST_SMTP_BARE_REJECT;

	begin_data(&d, bare);
	if (bytewise) {
		for (size_t i = 0; i < n; i++)
			drive_feed(&d, m + i, 1);
	} else {
		drive_feed(&d, m, cut);
		drive_feed(&d, m + cut, n - cut);
	}
	cr_assert_null(strstr(drive_log(&d), "MAIL evil"), "smuggled by %u cut at %zu", which, cut);
	if (rejected) {
		cr_assert_str_eq(drive_out(&d), "550 5.6.0 bare CR or LF in the message\r\n");
		cr_assert_str_eq(
			drive_log(&d), "BAD 550 5.6.0 bare CR or LF in the message\nCLOSE\n");
	} else {
		cr_assert_str_eq(drive_out(&d), "250 answer\r\n250 2.0.0 ok\r\n");
		cr_assert(pst_span_eq(body(&d), pst_span(plain, ref.n)));
	}
	drive_fini(&d);
}

/* T4: each sequence in two segments cut at every place, and byte by byte. */
Test(body, smuggled_ends_end_nothing_in_data)
{
	char m[256];
	for (unsigned i = 0; i < PST_COUNT(smuggles); i++)
		for (uint8_t bare = 0; bare < 2; bare++) {
			size_t n = smuggling_message(m, i);
			for (size_t cut = 0; cut <= n; cut++)
				check_smuggle(i, bare, cut, false);
			check_smuggle(i, bare, 0, true);
		}
}

/* T4, T5. The same octets by count: two chunks cut anywhere, arriving cut anywhere. */
Test(body, smuggled_ends_mean_themselves_in_bdat)
{
	for (unsigned i = 0; i < PST_COUNT(smuggles); i++) {
		for (size_t border = 0; border <= smuggles[i].n; border++) {
			char wire[256];
			size_t n = (size_t)sprintf(wire, "BDAT %zu\r\n", border);
			memcpy(wire + n, smuggles[i].p, border);
			n += border;
			n += (size_t)sprintf(wire + n, "BDAT %zu LAST\r\n", smuggles[i].n - border);
			memcpy(wire + n, smuggles[i].p + border, smuggles[i].n - border);
			n += smuggles[i].n - border;
			memcpy(wire + n, "NOOP\r\n", 6);
			n += 6;
			for (size_t cut = 0; cut <= n; cut++) {
				struct drive d;
				begin(&d, PST_SMTP_BARE_REJECT);
				drive_str(&d, ENVELOPE);
				drive_str(&d, "");
				drive_feed(&d, wire, cut);
				drive_feed(&d, wire + cut, n - cut);
				bool bare = strstr(drive_log(&d), "BAD 550 5.6.0") != NULL;
				cr_assert_eq(bare, smuggles[i].bare, "%u at %zu", i, border);
				cr_assert_eq(d.closed, bare);
				if (!bare)
					cr_assert(pst_span_eq(
						body(&d), pst_span(smuggles[i].p, smuggles[i].n)));
				drive_fini(&d);
			}
		}
	}
}

Test(body, dots_are_removed_and_lines_kept)
{
	static const struct {
		const char *in, *out;
	} rows[] = {
		{".\r\n", ""},
		{"a\r\n.\r\n", "a\r\n"},
		{"..\r\n.\r\n", ".\r\n"},
		{".a\r\n..b\r\n...\r\n.\r\n", "a\r\n.b\r\n..\r\n"},
		{"\r\n\r\n.\r\n", "\r\n\r\n"},
		{"a.\r\n.b.\r\n.\r\n", "a.\r\nb.\r\n"},
	};
	for (unsigned i = 0; i < PST_COUNT(rows); i++) {
		struct drive d;
		begin_data(&d, PST_SMTP_BARE_REJECT);
		drive_str(&d, rows[i].in);
		cr_assert(pst_span_eq(body(&d), pst_span_str(rows[i].out)), "%s", rows[i].in);
		cr_assert_str_eq(drive_out(&d), "250 answer\r\n");
		cr_assert_eq(d.s.body_bytes, strlen(rows[i].out));
		drive_fini(&d);
	}
}

static size_t
random_body(uint8_t *m, size_t max, unsigned *rnd)
{
	size_t n = (size_t)rand_r(rnd) % max;
	for (size_t i = 0; i < n; i++)
		m[i] = (uint8_t) "\r\n\r\n..a"[rand_r(rnd) % 7];
	/* Long quiet stretches for the vector loop, with its edges at every offset. */
	if (n > 40 && rand_r(rnd) % 2)
		memset(m + rand_r(rnd) % 8, 'b', (size_t)rand_r(rnd) % 33);
	memcpy(m + n, "\r\n.\r\n", 5);
	return n + 5;
}

Test(body, random_bytes_decode_as_the_plain_reference_does)
{
	for (unsigned seed = 1; seed < 4000; seed++) {
		uint8_t m[100], want[200];
		unsigned rnd = seed;
		struct drive d;
		size_t n = random_body(m, 80, &rnd);
		uint8_t bare = seed % 2;
		struct pst_smtp_ref ref = pst_smtp_ref_data(m, n, want);
		cr_assert(ref.ended);
		begin_data(&d, bare);
		for (size_t i = 0, take; i < ref.used; i += take) {
			take = PST_MIN(1 + (size_t)rand_r(&rnd) % 20, ref.used - i);
			drive_feed(&d, m + i, take);
		}
		if (ref.bare && bare == PST_SMTP_BARE_REJECT)
			cr_assert(d.closed, "seed %u", seed);
		else
			cr_assert(pst_span_eq(body(&d), pst_span(want, ref.n)), "seed %u", seed);
		cr_assert_eq(pst_buf_len(&d.in), 0);
		drive_fini(&d);
	}
}

Test(body, a_message_over_size_is_swallowed_and_the_session_goes_on)
{
	for (unsigned size = 0; size < 24; size++) {
		struct drive d;
		char m[64];
		drive_init(&d);
		d.conf.max_size = 12;
		drive_greet(&d);
		drive_str(&d, EHLO);
		drive_str(&d, ENVELOPE "DATA\r\n");
		snprintf(m, sizeof(m), "%.*s\r\n.\r\n", (int)size, "abcdefghijklmnopqrstuvwxyz");
		drive_str(&d, m);
		bool fits = size + 2 <= 12;
		cr_assert_str_eq(
			drive_out(&d), fits ? "250 answer\r\n" : "552 5.3.4 message too big\r\n");
		drive_str(&d, ENVELOPE "RSET\r\n");
		cr_assert(!d.closed);
		cr_assert_eq(strncmp(drive_out(&d), "250 ", 4), 0);
		drive_fini(&d);
	}
}

Test(body, size_that_shrinks_under_a_message_does_not_wrap)
{
	struct drive d;
	begin_data(&d, PST_SMTP_BARE_REJECT);
	drive_str(&d, "0123456789\r\n");
	d.conf.max_size = 5;
	drive_str(&d, "x\r\n.\r\n");
	cr_assert_str_eq(drive_out(&d), "552 5.3.4 message too big\r\n");
	drive_fini(&d);
}

Test(body, chunks_are_counted_not_looked_at)
{
	static const struct {
		const char *wire, *out, *body;
	} rows[] = {
		{"BDAT 3 LAST\r\nabc", "250 answer\r\n", "abc"},
		{"bdat 3 last\r\nabc", "250 answer\r\n", "abc"},
		{"BDAT 0 LAST\r\n", "250 answer\r\n", ""},
		{"BDAT 2\r\nabBDAT 0\r\nBDAT 1 LAST\r\nc",
			"250 2.0.0 2 octets received\r\n250 2.0.0 0 octets received\r\n250 "
			"answer\r\n",
			"abc"},
		{"BDAT 0000000000000000000000003 LAST\r\nabc", "250 answer\r\n", "abc"},
		{"BDAT 5\r\n.\r\n.\rBDAT 1\r\n\nBDAT 3 LAST\r\n.\r\nNOOP\r\n",
			"250 2.0.0 5 octets received\r\n250 2.0.0 1 octets received\r\n250 "
			"answer\r\n"
			"250 2.0.0 ok\r\n",
			".\r\n.\r\n.\r\n"},
		/* between chunks other commands may come, but none that builds the envelope */
		{"BDAT 2\r\nabNOOP\r\nRCPT TO:<x@y>\r\nDATA\r\n",
			"250 2.0.0 2 octets received\r\n250 2.0.0 ok\r\n503 5.5.1 not between "
			"chunks\r\n"
			"503 5.5.1 not between chunks\r\n",
			"ab"},
		{"BDAT 2\r\nabRSET\r\nBDAT 2 LAST\r\ncdNOOP\r\n",
			"250 2.0.0 2 octets received\r\n250 2.0.0 ok\r\n503 5.5.1 need MAIL "
			"first\r\n"
			"250 2.0.0 ok\r\n",
			"ab"},
	};
	for (unsigned i = 0; i < PST_COUNT(rows); i++) {
		struct drive d;
		begin(&d, PST_SMTP_BARE_REJECT);
		drive_str(&d, ENVELOPE);
		drive_str(&d, rows[i].wire);
		cr_assert_str_eq(drive_out(&d), rows[i].out, "%s", drive_out(&d));
		cr_assert(pst_span_eq(body(&d), pst_span_str(rows[i].body)), "%s", rows[i].wire);
		drive_fini(&d);
	}
}

/* T5. A size that cannot be read leaves no place where the next command begins. */
Test(body, a_chunk_size_that_cannot_be_read_ends_the_session)
{
	static const char *const args[] = {"", " ", " -1", " +1", " 0x10", " 1e3", " 1.0", " a",
		" 9223372036854775808", " 18446744073709551616", " 99999999999999999999 LAST",
		" 3 FIRST", " 3 LAST x", " 3LAST", " LAST", " 3,", " LAST 3", "\t3", " 3\t", "\r",
		"\n 3", "-3", ":3", " 3 LAST\x01", " \x7f"};
	for (unsigned i = 0; i < PST_COUNT(args); i++) {
		char line[96];
		struct drive d;
		begin(&d, PST_SMTP_BARE_REJECT);
		drive_str(&d, ENVELOPE);
		snprintf(line, sizeof(line), "BDAT%s\r\nNOOP\r\n", args[i]);
		drive_str(&d, line);
		cr_assert_str_eq(drive_out(&d), "501 5.5.4 bad chunk size\r\n", "%s", args[i]);
		cr_assert_str_eq(drive_log(&d), "CLOSE\n");
		drive_fini(&d);
	}
}

/* T5, T11: a size behind more zeros than a line may hold is no size either. */
Test(body, a_chunk_size_in_an_oversized_line_ends_the_session)
{
	for (size_t zeros = 2030; zeros < 2060; zeros++) {
		char line[2200];
		struct drive d;
		size_t n = (size_t)sprintf(line, "BDAT %0*d LAST\r\nNOOP\r\n", (int)zeros, 6);
		begin(&d, PST_SMTP_BARE_REJECT);
		drive_str(&d, ENVELOPE);
		drive_str(&d, "");
		drive_feed(&d, line, n);
		bool fits = n - 6 <= PST_SMTP_LINE_MAX;
		cr_assert_str_eq(
			drive_out(&d), fits ? "250 answer\r\n" : "501 5.5.4 bad chunk size\r\n");
		cr_assert_eq(d.closed, !fits);
		drive_fini(&d);
	}
}

/* T5 */
Test(body, octets_of_a_refused_chunk_are_taken_off_the_stream)
{
	static const struct {
		const char *before, *wire, *out, *log;
	} rows[] = {
		{"", "BDAT 6\r\nNOOP\r\nNOOP\r\n", "503 5.5.1 need MAIL first\r\n250 2.0.0 ok\r\n",
			""},
		{"", "BDAT 0\r\nNOOP\r\n", "503 5.5.1 need MAIL first\r\n250 2.0.0 ok\r\n", ""},
		{"MAIL FROM:<a@b>\r\n", "BDAT 6 LAST\r\nNOOP\r\nNOOP\r\n",
			"503 5.5.1 need RCPT first\r\n250 2.0.0 ok\r\n",
			"BAD 503 5.5.1 need RCPT first\n"},
		{"MAIL FROM:<a@b>\r\nRCPT TO:<no@d>\r\n",
			"BDAT 6\r\nNOOP\r\nBDAT 6 LAST\r\nQUIT\r\nMAIL FROM:<a@b>\r\n",
			"554 5.5.1 no valid recipients\r\n503 5.5.1 need MAIL first\r\n250 "
			"answer\r\n",
			"BAD 554 5.5.1 no valid recipients\nMAIL a@b\n"},
		{ENVELOPE, "BDAT 1000001\r\n", "", "BAD 552 5.3.4 message too big\n"},
		{ENVELOPE, "BDAT 9223372036854775807 LAST\r\nx", "",
			"BAD 552 5.3.4 message too big\n"},
	};
	for (unsigned i = 0; i < PST_COUNT(rows); i++) {
		struct drive d;
		begin(&d, PST_SMTP_BARE_REJECT);
		drive_str(&d, rows[i].before);
		drive_str(&d, rows[i].wire);
		cr_assert_str_eq(drive_out(&d), rows[i].out, "%s", drive_out(&d));
		cr_assert_str_eq(drive_log(&d), rows[i].log, "%s", drive_log(&d));
		drive_fini(&d);
	}
}

/* T5 */
Test(body, chunks_together_may_not_pass_the_size)
{
	struct drive d;
	begin(&d, PST_SMTP_BARE_REJECT);
	d.conf.max_size = 10;
	drive_str(&d, ENVELOPE);
	drive_str(&d, "BDAT 6\r\nabcdefBDAT 5 LAST\r\nNOOP1NOOP\r\nBDAT 1 LAST\r\nxNOOP\r\n");
	cr_assert_str_eq(drive_out(&d),
		"250 2.0.0 6 octets received\r\n552 5.3.4 message too big\r\n250 2.0.0 ok\r\n"
		"503 5.5.1 need MAIL first\r\n250 2.0.0 ok\r\n");
	cr_assert_not_null(strstr(drive_log(&d), "BAD 552"));
	drive_fini(&d);
}

Test(body, bdat_that_is_not_offered_is_swallowed_too)
{
	struct drive d;
	begin(&d, PST_SMTP_BARE_REJECT);
	d.conf.keywords &= ~(uint32_t)PST_SMTP_CHUNKING;
	drive_str(&d, EHLO);
	drive_str(&d, "BDAT 6 LAST\r\nQUIT\r\nNOOP\r\n");
	cr_assert_str_eq(drive_out(&d), "502 5.5.1 BDAT not available\r\n250 2.0.0 ok\r\n");
	drive_fini(&d);
}

Test(body, refused_chunks_count_as_errors)
{
	struct drive d;
	begin(&d, PST_SMTP_BARE_REJECT);
	d.conf.max_errors = 3;
	drive_str(&d, "BDAT 0\r\nBDAT 0\r\nBDAT 0\r\nBDAT 0\r\nBDAT 0\r\n");
	cr_assert_not_null(strstr(drive_out(&d), "421 4.7.0 "));
	cr_assert_str_eq(drive_log(&d), "CLOSE\n");
	drive_fini(&d);
}

Test(body, a_cr_at_the_very_end_is_bare)
{
	struct drive d;
	begin(&d, PST_SMTP_BARE_REJECT);
	drive_str(&d, ENVELOPE "BDAT 2\r\na\rBDAT 0 LAST\r\nNOOP\r\n");
	cr_assert_not_null(strstr(drive_log(&d), "BAD 550 5.6.0"));
	cr_assert(d.closed);
	drive_fini(&d);
	begin(&d, PST_SMTP_BARE_NORMALIZE);
	drive_str(&d, ENVELOPE "BDAT 2\r\na\rBDAT 0 LAST\r\nNOOP\r\n");
	cr_assert(pst_span_eq(body(&d), pst_span_str("a ")));
	cr_assert(!d.closed);
	drive_fini(&d);
}

Test(body, a_chunk_that_ends_in_cr_is_answered_without_a_byte_behind_it)
{
	struct drive d;
	begin(&d, PST_SMTP_BARE_REJECT);
	drive_str(&d, ENVELOPE);
	drive_str(&d, "BDAT 2\r\na\r");
	cr_assert_str_eq(drive_out(&d), "250 2.0.0 2 octets received\r\n");
	drive_str(&d, "BDAT 1 LAST\r\n\n");
	cr_assert_str_eq(drive_out(&d), "250 answer\r\n");
	cr_assert(pst_span_eq(body(&d), pst_span_str("a\r\n")));
	drive_fini(&d);
}

Test(body, a_failure_with_421_closes_behind_the_message)
{
	struct drive d;
	begin_data(&d, PST_SMTP_BARE_REJECT);
	pst_smtp_server_body_fail(&d.s, 421, "4.3.2", "drain");
	drive_str(&d, "x\r\n.\r\nNOOP\r\n");
	cr_assert_str_eq(drive_out(&d), "421 4.3.2 drain\r\n");
	cr_assert_str_eq(drive_log(&d), "CLOSE\n");
	drive_fini(&d);
}

Test(body, a_refused_bdat_is_answered_at_once_and_its_octets_go_nowhere)
{
	struct drive d;
	begin(&d, PST_SMTP_BARE_REJECT);
	d.bdat_code = 451;
	drive_str(&d, ENVELOPE "BDAT 6\r\nQUIT\r\nBDAT 6 LAST\r\nQUIT\r\nNOOP\r\n");
	cr_assert_str_eq(drive_out(&d), "250 answer\r\n250 answer\r\n451 answer\r\n"
					"503 5.5.1 need MAIL first\r\n250 2.0.0 ok\r\n");
	cr_assert_eq(pst_buf_len(&d.body), 0);
	drive_fini(&d);
}

Test(body, a_failing_next_hop_swallows_the_rest_and_answers_at_the_end)
{
	static const struct {
		const char *wire, *out;
	} rows[] = {
		{"DATA\r\n|ab\r\ncd\r\nef\r\n.\r\nNOOP\r\n",
			"451 4.4.2 next hop lost\r\n250 2.0.0 ok\r\n"},
		{"BDAT 8 LAST\r\nab\r\n|QUITNOOP\r\n",
			"451 4.4.2 next hop lost\r\n250 2.0.0 ok\r\n"},
		{"BDAT 4\r\nab\r\nBDAT 4 LAST\r\nQUITNOOP\r\n",
			"451 4.4.2 next hop lost\r\n503 5.5.1 need MAIL first\r\n250 2.0.0 ok\r\n"},
	};
	for (unsigned i = 0; i < PST_COUNT(rows); i++) {
		struct drive d;
		begin(&d, PST_SMTP_BARE_REJECT);
		drive_str(&d, ENVELOPE);
		d.fail_after = 4;
		const char *bar = strchr(rows[i].wire, '|');
		drive_str(&d, "");
		if (bar != NULL) {
			drive_feed(&d, rows[i].wire, (size_t)(bar - rows[i].wire));
			pst_buf_consume(&d.out, i == 0 ? pst_buf_len(&d.out) : 0);
			drive_feed(&d, bar + 1, strlen(bar + 1));
		} else {
			drive_str(&d, rows[i].wire);
		}
		cr_assert_str_eq(drive_out(&d), rows[i].out, "%s", drive_out(&d));
		cr_assert_null(strstr(drive_log(&d), "END\n"));
		drive_fini(&d);
	}
}

Test(body, a_next_hop_that_fails_between_chunks_answers_the_next_one)
{
	struct drive d;
	begin(&d, PST_SMTP_BARE_REJECT);
	drive_str(&d, ENVELOPE "BDAT 2\r\nab");
	pst_smtp_server_body_fail(&d.s, 451, "4.4.2", "next hop lost");
	drive_str(&d, "NOOP\r\nBDAT 4\r\nQUITBDAT 4\r\nQUITNOOP\r\n");
	cr_assert_str_eq(drive_out(&d), "250 2.0.0 ok\r\n451 4.4.2 next hop lost\r\n"
					"503 5.5.1 need MAIL first\r\n250 2.0.0 ok\r\n");
	cr_assert_str_eq(drive_log(&d), "");
	drive_fini(&d);
}

Test(body, a_failure_after_the_last_octet_is_owed_without_input)
{
	struct drive d;
	begin(&d, PST_SMTP_BARE_REJECT);
	d.end_code = 0;
	drive_str(&d, ENVELOPE "BDAT 2 LAST\r\nab");
	pst_smtp_server_body_fail(&d.s, 451, "4.4.2", "next hop lost");
	cr_assert(pst_smtp_server_ready(&d.s));
	drive_str(&d, "");
	cr_assert_str_eq(drive_out(&d), "451 4.4.2 next hop lost\r\n");
	cr_assert(pst_smtp_server_idle(&d.s));
	drive_fini(&d);
}

Test(body, the_end_waits_for_its_answer_and_pipelined_commands_behind_it)
{
	struct drive d;
	begin_data(&d, PST_SMTP_BARE_REJECT);
	d.end_code = 0;
	drive_str(&d, "x\r\n.\r\nMAIL FROM:<b@c>\r\n");
	cr_assert_str_eq(drive_log(&d), "BODY x\r\n\nEND\n");
	cr_assert_eq(pst_smtp_server_reply(&d.s, &d.out, 250, "2.0.0", "sent"), PST_OK);
	drive_str(&d, "");
	cr_assert_str_eq(drive_log(&d), "MAIL b@c\n");
	drive_fini(&d);
}

Test(body, runs_are_as_long_as_the_input_allows)
{
	struct pst_smtp_server_event ev;
	struct drive d;
	size_t used;
	static const char text[] = "one\r\ntwo\r\nthree\r\n\r\nfour .\r\n..five\r\nsix";
	begin_data(&d, PST_SMTP_BARE_REJECT);
	const uint8_t *in = (const uint8_t *)text;
	cr_assert_eq(pst_smtp_server_next(&d.s, in, sizeof(text) - 1, &used, &d.out, &ev), PST_OK);
	cr_assert_eq(text + used, strstr(text, "..five"));
	cr_assert_eq(ev.body.p, in, "no copy");
	drive_fini(&d);
}
