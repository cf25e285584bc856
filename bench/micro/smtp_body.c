/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a message byte costs in lib/smtp: decoding DATA and BDAT into spans, and
 * dot-stuffing them for the next hop. Prints cycles (TSC) a byte for
 * kinds of text; the best of several rounds, in one thread.
 *
 *   smtp_body [input-piece-size]
 */
#include <pst_smtp_server.h>

#include <stdio.h>
#include <stdlib.h>

#if defined(__x86_64__)
#include <x86intrin.h>
#define ticks() __rdtsc()
#define UNIT    "TSC cycles"
#else
#define ticks() pst_now_ns()
#define UNIT    "ns"
#endif

#define TEXT   (1u << 20)
#define ROUNDS 40

static const struct pst_smtp_server_conf conf = {
	.hostname = "gw",
	.keywords = PST_SMTP_CHUNKING,
	.max_received = 50,
	.loop_token = "by gw (Postern)",
};

/* Lines of `width` bytes with CRLF; every `dots`th begins with a dot (0: none). */
static void
make_text(uint8_t *t, unsigned width, unsigned dots)
{
	memcpy(t, "Subject: x\r\n\r\n", 14);
	for (unsigned i = 14, line = 0; i < TEXT; line++) {
		unsigned begin = i;
		while (i < TEXT - 2 && i - begin < width) {
			t[i] = (uint8_t)('a' + i % 26);
			i++;
		}
		if (dots != 0 && line % dots == 0 && i - begin >= 2)
			t[begin] = t[begin + 1] = '.';
		t[i++] = '\r';
		t[i++] = '\n';
		if (i > TEXT - 2)
			break;
	}
	t[TEXT - 2] = '\r';
	t[TEXT - 1] = '\n';
}

static void
say(struct pst_smtp_server *s, struct pst_buf *out, const char *line)
{
	struct pst_smtp_server_event ev;
	size_t used;
	if (pst_smtp_server_next(s, (const uint8_t *)line, strlen(line), &used, out, &ev) != PST_OK)
		exit(1);
	if (ev.type == PST_SMTP_SEV_DATA)
		pst_smtp_server_reply(s, out, 354, NULL, "");
	else if (ev.type == PST_SMTP_SEV_BDAT)
		pst_smtp_server_chunk(s);
	else if (ev.type != PST_SMTP_SEV_HELO)
		pst_smtp_server_reply(s, out, 250, NULL, "");
}

static uint64_t
decode(const uint8_t *t, size_t piece, bool bdat, unsigned *events)
{
	char line[64];
	struct pst_smtp_server s;
	struct pst_smtp_server_event ev;
	struct pst_buf out;
	pst_buf_init(&out, 1u << 16);
	pst_smtp_server_init(&s, &conf);
	pst_smtp_server_greet(&s, &out);
	say(&s, &out, "EHLO x\r\n");
	say(&s, &out, "MAIL FROM:<a@b>\r\n");
	say(&s, &out, "RCPT TO:<a@b>\r\n");
	snprintf(line, sizeof(line), bdat ? "BDAT %u LAST\r\n" : "DATA\r\n", TEXT);
	say(&s, &out, line);
	*events = 0;
	uint64_t start = ticks();
	for (size_t from = 0, to = 0; to < TEXT;) {
		size_t used;
		to = PST_MIN(to + piece, (size_t)TEXT);
		while (pst_smtp_server_next(&s, t + from, to - from, &used, &out, &ev) == PST_OK) {
			from += used;
			++*events;
			if (ev.type != PST_SMTP_SEV_BODY)
				break;
		}
		from += ev.type == PST_SMTP_SEV_BODY ? 0 : used;
	}
	uint64_t spent = ticks() - start;
	pst_smtp_server_fini(&s);
	pst_buf_fini(&out);
	return spent;
}

static uint64_t
encode(const uint8_t *t, size_t piece, uint8_t *to)
{
	struct pst_smtp_dot d = {0};
	uint64_t start = ticks();
	for (size_t from = 0; from < TEXT;) {
		size_t used;
		pst_smtp_dot_encode(
			&d, t + from, PST_MIN(piece, TEXT - from), &used, to, 2 * piece);
		from += used;
	}
	return ticks() - start;
}

int
main(int argc, char **argv)
{
	static const struct {
		const char *name;
		unsigned width, dots;
	} kinds[] = {
		{"base64, 76 columns", 76, 0},
		{"text, 40 columns", 40, 0},
		{"text, a dot in 20 lines", 60, 20},
		{"lines of 998", 998, 0},
		{"all lines dotted", 60, 1},
		{"empty lines", 0, 0},
	};
	size_t piece = argc > 1 ? strtoul(argv[1], NULL, 10) : 16384;
	uint8_t *t = malloc(TEXT), *to = malloc(2 * piece + 16);
	if (t == NULL || to == NULL || piece == 0)
		return 1;
	printf(UNIT " a byte, pieces of %zu\n%-26s %8s %8s %8s\n", piece, "", "DATA", "BDAT",
		"stuff");
	for (unsigned k = 0; k < PST_COUNT(kinds); k++) {
		uint64_t best[3] = {UINT64_MAX, UINT64_MAX, UINT64_MAX};
		unsigned events;
		make_text(t, kinds[k].width, kinds[k].dots);
		for (unsigned r = 0; r < ROUNDS; r++) {
			uint64_t spent[3] = {decode(t, piece, false, &events),
				decode(t, piece, true, &events), encode(t, piece, to)};
			for (unsigned i = 0; i < 3; i++)
				best[i] = PST_MIN(best[i], spent[i]);
		}
		printf("%-26s %8.3f %8.3f %8.3f\n", kinds[k].name, (double)best[0] / TEXT,
			(double)best[1] / TEXT, (double)best[2] / TEXT);
	}
	free(t);
	free(to);
	return 0;
}
