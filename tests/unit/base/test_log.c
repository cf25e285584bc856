/* SPDX-License-Identifier: BSD-3-Clause */
#include <criterion/criterion.h>
#include <pst_log.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char path[64];

static struct pst_logger *
logger(enum pst_log_format format, enum pst_log_level level, unsigned records)
{
	char err[256];
	struct pst_logger *lg;

	if (path[0] == 0) {
		snprintf(path, sizeof(path), "/tmp/pst-log-XXXXXX");
		close(mkstemp(path));
	}
	lg = pst_logger_new(
		&(struct pst_log_conf){
			.file = path, .format = format, .level = level, .lane_records = records},
		err, sizeof(err));
	cr_assert_not_null(lg, "%s", err);
	return lg;
}

/* What the file holds; the file is then gone. */
static char *
result(void)
{
	FILE *f = fopen(path, "r");
	char *text = calloc(1, 4 << 20);

	cr_assert_not_null(f);
	cr_assert_lt(fread(text, 1, (4 << 20) - 1, f), (4u << 20) - 1);
	fclose(f);
	unlink(path);
	path[0] = 0;
	return text;
}

static unsigned
count(const char *text, const char *what)
{
	unsigned n = 0;

	for (const char *p = text; (p = strstr(p, what)) != NULL; p++)
		n++;
	return n;
}

struct form {
	const char *in;
	size_t n;
	const char *text, *addr, *json; /* what stands behind key= and "key": */
};

#define B(s) s, sizeof(s) - 1

static const struct form forms[] = {
	{B("plain"), "plain", "<plain>", "\"plain\""},
	{B(""), "\"\"", "<>", "\"\""},
	{B("a@b.example"), "a@b.example", "<a@b.example>", "\"a@b.example\""},
	{B("two words"), "\"two words\"", "\"<two words>\"", "\"two words\""},
	{B("a=b"), "a=b", "<a=b>", "\"a=b\""},
	{B("a,b"), "\"a,b\"", "\"<a,b>\"", "\"a,b\""},
	{B("a>b"), "a>b", "\"<a>b>\"", "\"a>b\""},
	{B("q\"q"), "\"q\\\"q\"", "\"<q\\\"q>\"", "\"q\\\"q\""},
	{B("b\\b"), "\"b\\\\b\"", "\"<b\\\\b>\"", "\"b\\\\b\""},
	{B("a\r\nb"), "\"a\\r\\nb\"", "\"<a\\r\\nb>\"", "\"a\\r\\nb\""},
	{B("\t"), "\"\\t\"", "\"<\\t>\"", "\"\\t\""},
	{B("\x1b[2J"), "\"\\u001b[2J\"", "\"<\\u001b[2J>\"", "\"\\u001b[2J\""},
	{B("\0x"), "\"\\u0000x\"", "\"<\\u0000x>\"", "\"\\u0000x\""},
	{B("\x7f"), "\"\\u007f\"", "\"<\\u007f>\"", "\"\\u007f\""},
	{B("\xc3\xa4"), "\"\xc3\xa4\"", "\"<\xc3\xa4>\"", "\"\xc3\xa4\""},
	{B("\xc2\x9b"), "\"\\u009b\"", "\"<\\u009b>\"", "\"\\u009b\""},
	{B("\xe2\x80\xae"), "\"\\u202e\"", "\"<\\u202e>\"", "\"\\u202e\""},
	{B("\xf0\x9f\x98\x80"), "\"\xf0\x9f\x98\x80\"", "\"<\xf0\x9f\x98\x80>\"",
		"\"\xf0\x9f\x98\x80\""},
	{B("\xf3\xa0\x80\x81"), "\"\\udb40\\udc01\"", "\"<\\udb40\\udc01>\"", "\"\\udb40\\udc01\""},
	{B("\xff"), "\"\\xff\"", "\"<\\xff>\"", "\"\\ufffd\""},
	{B("\xc0\xaf"), "\"\\xc0\\xaf\"", "\"<\\xc0\\xaf>\"", "\"\\ufffd\\ufffd\""},
	{B("\xed\xa0\x80"), "\"\\xed\\xa0\\x80\"", "\"<\\xed\\xa0\\x80>\"",
		"\"\\ufffd\\ufffd\\ufffd\""},
	{B("\xe2\x82"), "\"\\xe2\\x82\"", "\"<\\xe2\\x82>\"", "\"\\ufffd\\ufffd\""},
	{B("\xf4\x90\x80\x80"), "\"\\xf4\\x90\\x80\\x80\"", "\"<\\xf4\\x90\\x80\\x80>\"",
		"\"\\ufffd\\ufffd\\ufffd\\ufffd\""},
};

Test(log, escapes_what_a_terminal_or_a_parser_must_not_see)
{
	for (int format = PST_LOG_TEXT; format <= PST_LOG_JSON; format++) {
		struct pst_logger *lg = logger(format, PST_LOG_INFO, 0);
		struct pst_log *l = pst_log_lane(lg, "w0");
		char want[256], *text;

		for (unsigned i = 0; i < PST_COUNT(forms); i++) {
			struct pst_log_line ln = pst_log_begin(l, PST_LOG_INFO, "id");

			pst_log_u64(&ln, "i", i);
			pst_log_span(&ln, "v", pst_span(forms[i].in, forms[i].n));
			pst_log_addr(&ln, "a", pst_span(forms[i].in, forms[i].n));
			pst_log_end(&ln);
		}
		pst_logger_free(lg);
		text = result();
		for (unsigned i = 0; i < PST_COUNT(forms); i++) {
			if (format == PST_LOG_JSON)
				snprintf(want, sizeof(want),
					"\"i\":%u,\"v\":%s,\"a\":\"<%.*s>\"}\n", i, forms[i].json,
					(int)strlen(forms[i].json) - 2, forms[i].json + 1);
			else
				snprintf(want, sizeof(want), "i=%u v=%s a=%s\n", i, forms[i].text,
					forms[i].addr);
			cr_expect(strstr(text, want) != NULL, "%u wants %s", i, want);
		}
		cr_expect_eq(count(text, "\n"), PST_COUNT(forms));
		free(text);
	}
}

Test(log, a_line_has_its_time_lane_and_level)
{
	struct pst_logger *lg = logger(PST_LOG_TEXT, PST_LOG_DEBUG, 0);
	struct pst_log *l = pst_log_lane(lg, "w 7\n");
	char *text, *line;
	unsigned year, us, used = 0;

	for (int level = PST_LOG_ERROR; level <= PST_LOG_DEBUG; level++)
		pst_logf(l, level, "tls", "level %d", level);
	pst_logger_free(lg);
	text = result();
	cr_assert_eq(sscanf(text, "%4u-%*2u-%*2uT%*2u:%*2u:%*2u.%6uZ%n", &year, &us, &used), 2);
	cr_expect_eq(used, 27);
	line = text + used;
	cr_expect(strncmp(line, " postern[w_7_]: error: tls: level 0\n", 36) == 0, "%s", line);
	cr_expect_not_null(strstr(text, " postern[w_7_]: warn: tls: level 1\n"));
	cr_expect_not_null(strstr(text, " postern[w_7_]: tls: level 2\n"));
	cr_expect_not_null(strstr(text, " postern[w_7_]: debug: tls: level 3\n"));
	free(text);
}

Test(log, numbers_and_lists_have_their_form)
{
	static const char *const want[] = {
		"S.1: n=18446744073709551615 s=0.007 to=<a>,<b>,<c> t=12.345 x=\"\" y=\"\"\n",
		"\"id\":\"S.1\",\"n\":18446744073709551615,\"s\":0.007,\"to\":[\"<a>\",\"<b>\",\"<"
		"c>\"],"
		"\"t\":12.345,\"x\":\"\",\"y\":\"\"}\n",
	};

	for (int format = PST_LOG_TEXT; format <= PST_LOG_JSON; format++) {
		struct pst_logger *lg = logger(format, PST_LOG_INFO, 0);
		struct pst_log_line ln = pst_log_begin(pst_log_lane(lg, "w0"), PST_LOG_INFO, "S.1");
		char *text;

		pst_log_u64(&ln, "n", UINT64_MAX);
		pst_log_milli(&ln, "s", 7);
		for (char c = 'a'; c <= 'c'; c++)
			pst_log_addr(&ln, "to", pst_span(&c, 1));
		pst_log_milli(&ln, "t", 12345);
		pst_log_str(&ln, "x", "");
		pst_log_str(&ln, "y", NULL);
		pst_log_end(&ln);
		pst_log_end(&ln);
		pst_logger_free(lg);
		text = result();
		cr_expect_not_null(strstr(text, want[format]), "%s", text);
		cr_expect_eq(count(text, "\n"), 1);
		free(text);
	}
}

/* RFC 5321 4.5.3.1.3: a path has at most 256 octets; peers do not all know that. */
Test(log, long_values_are_cut_and_never_push_out_what_comes_behind)
{
	static char big[5000];

	memset(big, '\1', sizeof(big)); /* six bytes each when escaped */
	for (int format = PST_LOG_TEXT; format <= PST_LOG_JSON; format++) {
		struct pst_logger *lg = logger(format, PST_LOG_INFO, 0);
		struct pst_log *l = pst_log_lane(lg, "fifteen-long-na");
		struct pst_log_line ln = pst_log_begin(l, PST_LOG_ERROR, "S.1");
		char *text;

		pst_log_addr(&ln, "from", pst_span(big, sizeof(big)));
		for (unsigned i = 0; i < 6; i++)
			pst_log_addr(&ln, "to", pst_span(big, sizeof(big)));
		pst_log_span(&ln, "reply", pst_span(big, sizeof(big)));
		pst_log_str(&ln, "status", "deferred");
		pst_log_end(&ln);
		ln = pst_log_begin(l, PST_LOG_ERROR, "S.2");
		for (unsigned i = 0; i < 3000; i++)
			pst_log_u64(&ln, i % 2 ? "a" : "b", i);
		pst_log_end(&ln);
		pst_logf(l, PST_LOG_ERROR, "S.3", "%.4000s", big);
		pst_logger_free(lg);
		text = result();
		cr_expect_eq(count(text, "\n"), 3);
		cr_expect_eq(count(text, "\1"), 0);
		cr_expect_not_null(
			strstr(text, format == PST_LOG_TEXT ? " status=deferred\n"
							    : ",\"status\":\"deferred\"}\n"));
		cr_expect_not_null(
			strstr(text, format == PST_LOG_TEXT ? " cut=1\n" : ",\"cut\":true}\n"));
		for (const char *p = text; *p != 0;) {
			size_t n = strcspn(p, "\n") + 1;

			cr_expect_leq(n, PST_LOG_LINE_MAX);
			p += n;
		}
		free(text);
	}
}

Test(log, levels_above_the_limit_are_not_formatted_and_the_limit_moves_live)
{
	struct pst_logger *lg = logger(PST_LOG_TEXT, PST_LOG_WARN, 0);
	struct pst_log *l = pst_log_lane(lg, "w0");
	char *text;

	cr_expect_not(pst_log_wanted(l, PST_LOG_INFO));
	pst_logf(l, PST_LOG_INFO, "x", "quiet");
	pst_logf(l, PST_LOG_WARN, "x", "first");
	pst_logger_set_level(lg, PST_LOG_DEBUG);
	cr_expect(pst_log_wanted(l, PST_LOG_DEBUG));
	pst_logf(l, PST_LOG_DEBUG, "x", "second");
	pst_logf(pst_log_lane(lg, "w1"), PST_LOG_DEBUG, "x", "third");
	pst_logger_set_level(lg, PST_LOG_ERROR);
	pst_logf(l, PST_LOG_WARN, "x", "quiet");
	pst_logger_free(lg);
	text = result();
	cr_expect_eq(count(text, "quiet"), 0);
	cr_expect_eq(count(text, "first") + count(text, "second") + count(text, "third"), 3);
	free(text);
}

Test(log, no_lane_discards)
{
	struct pst_log_line ln = pst_log_begin(NULL, PST_LOG_ERROR, "x");

	cr_expect_not(pst_log_wanted(NULL, PST_LOG_ERROR));
	pst_log_str(&ln, "a", "b");
	pst_log_u64(&ln, "a", 1);
	pst_log_end(&ln);
	pst_logf(NULL, PST_LOG_ERROR, "x", "y");
	cr_expect_null(pst_log_lane(NULL, "w0"));
}

/* Faster than any writer: what is lost is counted, told, and nothing else is missing. */
Test(log, an_overflow_is_counted_and_told)
{
	for (int format = PST_LOG_TEXT; format <= PST_LOG_JSON; format++) {
		struct pst_logger *lg = logger(format, PST_LOG_INFO, 4);
		struct pst_log *l = pst_log_lane(lg, "w0");
		uint64_t told = 0, dropped;
		unsigned printed;
		char *text;

		for (unsigned i = 0; i < 20000; i++)
			pst_logf(l, PST_LOG_INFO, "burst", "line-%u.", i);
		dropped = pst_logger_dropped(lg);
		cr_expect_gt(dropped, 0);
		pst_logger_free(lg);
		text = result();
		printed = count(text, "line-");
		cr_expect_eq(printed + dropped, 20000, "%u printed, %lu dropped", printed, dropped);
		for (const char *p = text; (p = strstr(p, "lines lost")) != NULL; p++) {
			p = strpbrk(p, "=:");
			told += strtoull(p + 1, NULL, 10);
		}
		cr_expect_eq(told, dropped, "%lu told, %lu dropped", told, dropped);
		free(text);
	}
}

struct producer {
	struct pst_log *lane;
	unsigned n;
};

static void *
produce(void *arg)
{
	struct producer *p = arg;

	for (unsigned i = 0; i < p->n; i++) {
		struct pst_log_line ln = pst_log_begin(p->lane, PST_LOG_INFO, "p");

		pst_log_u64(&ln, "seq", i);
		pst_log_str(&ln, "s", "x");
		pst_log_end(&ln);
		if (i % 500 == 499)
			usleep(1000);
	}
	return NULL;
}

Test(log, lanes_keep_their_order_and_do_not_mix)
{
	struct pst_logger *lg = logger(PST_LOG_TEXT, PST_LOG_INFO, 8192);
	struct producer p[4];
	pthread_t t[4];
	unsigned next[4] = {0}, lane, seq;
	char *text;

	for (unsigned i = 0; i < 4; i++) {
		char name[8];

		snprintf(name, sizeof(name), "w%u", i);
		p[i] = (struct producer){.lane = pst_log_lane(lg, name), .n = 5000};
		pthread_create(&t[i], NULL, produce, &p[i]);
	}
	for (unsigned i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	cr_expect_eq(pst_logger_dropped(lg), 0);
	pst_logger_free(lg);
	text = result();
	for (char *line = text; *line != 0; line = strchr(line, '\n') + 1) {
		cr_assert_eq(sscanf(line + 27, " postern[w%u]: p: seq=%u s=x", &lane, &seq), 2,
			"%.80s", line);
		cr_assert_eq(seq, next[lane]++);
	}
	for (unsigned i = 0; i < 4; i++)
		cr_expect_eq(next[i], 5000);
	free(text);
}

static bool
wait_for(const char *file)
{
	struct stat st;

	for (unsigned i = 0; i < 5000 && (stat(file, &st) != 0 || st.st_size == 0); i++)
		usleep(1000);
	return stat(file, &st) == 0 && st.st_size > 0;
}

Test(log, reopen_follows_a_rename_and_loses_nothing)
{
	struct pst_logger *lg = logger(PST_LOG_TEXT, PST_LOG_INFO, 0);
	struct pst_log *l = pst_log_lane(lg, "w0");
	char old[80], buf[256], *text;
	struct stat st;
	FILE *f;

	snprintf(old, sizeof(old), "%s.1", path);
	pst_logf(l, PST_LOG_INFO, "x", "before");
	cr_assert(wait_for(path));
	rename(path, old);
	pst_logger_reopen(lg);
	for (unsigned i = 0; i < 5000 && stat(path, &st) != 0; i++)
		usleep(1000);
	pst_logf(l, PST_LOG_INFO, "x", "after");
	pst_logger_free(lg);
	f = fopen(old, "r");
	cr_assert(f != NULL && fgets(buf, sizeof(buf), f) != NULL);
	fclose(f);
	unlink(old);
	cr_expect_not_null(strstr(buf, "before"));
	text = result();
	cr_expect_not_null(strstr(text, "after"));
	cr_expect_null(strstr(text, "before"));
	free(text);
}

Test(log, a_full_disk_loses_lines_but_not_the_process)
{
	char err[256];
	struct pst_logger *lg =
		pst_logger_new(&(struct pst_log_conf){.file = "/dev/full", .level = PST_LOG_INFO},
			err, sizeof(err));
	struct pst_log *l;

	cr_assert_not_null(lg, "%s", err);
	l = pst_log_lane(lg, "w0");
	for (unsigned i = 0; i < 5; i++)
		pst_logf(l, PST_LOG_INFO, "x", "y");
	for (unsigned i = 0; i < 5000 && pst_logger_dropped(lg) < 5; i++)
		usleep(1000);
	cr_expect_geq(pst_logger_dropped(lg), 5);
	pst_logger_free(lg);
}

Test(log, a_file_that_cannot_be_opened_and_a_silly_ring_are_errors_with_a_cause)
{
	char err[256];

	cr_expect_null(pst_logger_new(
		&(struct pst_log_conf){.file = "/nonexistent/log"}, err, sizeof(err)));
	cr_expect_str_eq(err, "/nonexistent/log: cannot open: No such file or directory");
	cr_expect_null(
		pst_logger_new(&(struct pst_log_conf){.lane_records = 1000}, err, sizeof(err)));
	cr_expect_str_eq(err, "log: lane_records 1000: not a power of two up to 1048576");
}

/* ---- a new output, and looking on ---- */

static char *
text_of(const char *file)
{
	strcpy(path, file);
	return result();
}

Test(log, goes_on_in_another_file_and_form_without_losing_a_line)
{
	struct pst_logger *lg = logger(PST_LOG_TEXT, PST_LOG_INFO, 1024);
	struct pst_log *l = pst_log_lane(lg, "w0");
	char first[64], second[80], err[256], *old, *new;

	strcpy(first, path);
	snprintf(second, sizeof(second), "%s.new", first);
	for (int i = 0; i < 500; i++)
		pst_logf(l, PST_LOG_INFO, "x", "before %d", i);
	cr_assert_eq(pst_logger_set_output(lg, second, PST_LOG_JSON, err, sizeof(err)), PST_OK);
	for (int i = 0; i < 500; i++)
		pst_logf(l, PST_LOG_INFO, "x", "after %d", i);
	pst_logf(pst_log_lane(lg, "late"), PST_LOG_INFO, "x", "new lane");
	pst_logger_free(lg);
	old = text_of(first);
	new = text_of(second);
	cr_expect_eq(count(old, " x: before ") + count(new, " x: before "), 500);
	cr_expect_geq(count(old, " x: before "), 500, "what was logged before stays behind");
	cr_expect_eq(count(new, "\"msg\":\"after "), 500);
	cr_expect_eq(count(new, "\"lane\":\"late\""), 1, "lanes to come speak the new form");
	cr_expect_eq(count(old, "after"), 0);
	free(old);
	free(new);
}

Test(log, an_output_that_cannot_be_opened_changes_nothing)
{
	struct pst_logger *lg = logger(PST_LOG_TEXT, PST_LOG_INFO, 16);
	struct pst_log *l = pst_log_lane(lg, "w0");
	char err[256] = "", *text;

	cr_expect_eq(pst_logger_set_output(lg, "/nonexistent/x", PST_LOG_JSON, err, sizeof(err)),
		PST_INVAL);
	cr_expect_not_null(strstr(err, "/nonexistent/x: cannot open: No such"), "%s", err);
	pst_logf(l, PST_LOG_INFO, "x", "still here");
	pst_logger_free(lg);
	text = result();
	cr_expect_eq(count(text, " x: still here\n"), 1, "%s", text);
	free(text);
}

Test(log, of_two_changes_at_once_the_last_counts)
{
	struct pst_logger *lg = logger(PST_LOG_TEXT, PST_LOG_INFO, 16);
	struct pst_log *l = pst_log_lane(lg, "w0");
	char first[64], other[80], err[256], *text;

	strcpy(first, path);
	snprintf(other, sizeof(other), "%s.b", first);
	for (int i = 0; i < 20; i++) {
		pst_logger_set_output(lg, other, PST_LOG_JSON, err, sizeof(err));
		pst_logger_set_output(lg, first, PST_LOG_TEXT, err, sizeof(err));
	}
	pst_logf(l, PST_LOG_INFO, "x", "the end");
	pst_logger_free(lg);
	unlink(other);
	text = text_of(first);
	cr_expect_eq(count(text, " x: the end\n"), 1, "%s", text);
	free(text);
}

struct seen {
	char text[65536];
	size_t n;
};

static void
look(void *arg, struct pst_span line)
{
	struct seen *s = arg;

	cr_assert_lt(s->n + line.n + 1, sizeof(s->text));
	memcpy(s->text + s->n, line.p, line.n);
	s->n += line.n;
	s->text[s->n++] = '\n';
}

Test(log, a_tap_sees_each_line_as_the_file_does)
{
	struct pst_logger *lg = logger(PST_LOG_TEXT, PST_LOG_INFO, 1024);
	struct pst_log *l = pst_log_lane(lg, "w0");
	static struct seen seen;
	char *text;

	pst_logger_tap(lg, look, &seen);
	for (int i = 0; i < 100; i++)
		pst_logf(l, PST_LOG_INFO, "x", "line %d", i);
	pst_logger_free(lg);
	text = result();
	cr_expect_str_eq(text, seen.text);
	cr_expect_eq(count(text, "\n"), 100);
	free(text);
}

/* The tap's memory may go as soon as it was taken off: here it is unmapped by the allocator. */
Test(log, a_tap_is_not_called_any_more_once_it_is_off)
{
	struct pst_logger *lg = logger(PST_LOG_TEXT, PST_LOG_INFO, 1024);
	struct pst_log *l = pst_log_lane(lg, "w0");

	for (int i = 0; i < 200; i++) {
		struct seen *s = calloc(1, sizeof(*s));
		pst_logger_tap(lg, look, s);
		pst_logf(l, PST_LOG_INFO, "x", "line %d", i);
		if (i % 50 == 0)
			usleep(25000);
		pst_logger_tap(lg, NULL, NULL);
		memset(s, 0xff, sizeof(*s));
		free(s);
	}
	pst_logger_free(lg);
	free(result());
}
