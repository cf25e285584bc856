/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A look at the header while it streams by: counts Received fields and those that
 * carry our own token (features T20; RFC 5321 6.3 asks for a count of at least 100
 * or another loop detection). Stops for good at the first empty line.
 *
 * Fed with decoded bytes in any pieces. The token is found across folds: CR and LF
 * inside a field are skipped over, as unfolding does (RFC 5322 2.2.3).
 */
#include "smtp_int.h"

enum {
	LINE_START,
	LINE_START_CR, /* CR at the start of a line: the empty line, if LF follows */
	FIELD_NAME,    /* as far as it is "Received" */
	FIELD_REST,
	HEADER_OVER,
};

static const char received[] = "received";
#define NAME_LEN (sizeof(received) - 1)

void
pst_smtp_header_begin(struct pst_smtp_server *s)
{
	s->hdr_st = LINE_START;
	s->hdr_name = s->hdr_token = s->loops = 0;
	s->hdr_received = s->hdr_counted = false;
	s->received = 0;
}

/*
 * Streaming substring search, Knuth-Morris-Pratt with the failure link computed when
 * needed: the text behind us is the token's own beginning, so nothing is stored.
 */
static uint8_t
token_step(const char *token, size_t len, uint8_t have, uint8_t c)
{
	for (size_t keep = have;; keep--) {
		/* Is the token's first `keep` bytes a suffix of what we have, and c its next? */
		if (memcmp(token, token + have - keep, keep) == 0 && (uint8_t)token[keep] == c)
			return (uint8_t)PST_MIN(keep + 1, len);
		if (keep == 0)
			return 0;
	}
}

static void
look_for_token(struct pst_smtp_server *s, uint8_t c)
{
	const char *token = s->conf->loop_token;
	size_t len = token == NULL ? 0 : strnlen(token, UINT8_MAX);
	if (len == 0 || !s->hdr_received || s->hdr_counted || c == '\r' || c == '\n')
		return;
	s->hdr_token = token_step(token, len, s->hdr_token, c);
	if (s->hdr_token == len) {
		s->hdr_counted = true;
		s->loops++;
	}
}

static void
field_name(struct pst_smtp_server *s, uint8_t c)
{
	if (s->hdr_name < NAME_LEN && (c | 0x20) == received[s->hdr_name]) {
		s->hdr_name++;
		return;
	}
	if (s->hdr_name == NAME_LEN && (c == ' ' || c == '\t'))
		return; /* obsolete syntax lets white space stand before the colon */
	s->hdr_st = FIELD_REST;
	if (s->hdr_name == NAME_LEN && c == ':') {
		s->hdr_received = true;
		s->received++;
	}
}

static void
line_start(struct pst_smtp_server *s, uint8_t c)
{
	if (c == '\r') {
		s->hdr_st = LINE_START_CR;
		return;
	}
	if (c == ' ' || c == '\t') {
		s->hdr_st = FIELD_REST;
		look_for_token(s, c);
		return;
	}
	s->hdr_received = s->hdr_counted = false;
	s->hdr_name = s->hdr_token = 0;
	s->hdr_st = FIELD_NAME;
	field_name(s, c);
}

static void
scan_byte(struct pst_smtp_server *s, uint8_t c)
{
	switch (s->hdr_st) {
	case LINE_START_CR:
		if (c == '\n') {
			s->hdr_st = HEADER_OVER;
			return;
		}
		/* fallthrough */
	case LINE_START:
		line_start(s, c);
		break;
	case FIELD_NAME:
		field_name(s, c);
		break;
	default:
		look_for_token(s, c);
		break;
	}
	if (c == '\n')
		s->hdr_st = LINE_START;
}

/* Lines of other fields go by at the speed of memchr. */
static size_t
skip_rest(const struct pst_smtp_server *s, struct pst_span bytes)
{
	if (s->hdr_st != FIELD_REST || (s->hdr_received && s->conf->loop_token != NULL))
		return 0;
	const uint8_t *nl = memchr(bytes.p, '\n', bytes.n);
	return nl == NULL ? bytes.n : (size_t)(nl - bytes.p);
}

const struct smtp_no *
pst_smtp_header_scan(struct pst_smtp_server *s, struct pst_span bytes)
{
	static const struct smtp_no hops = {554, "5.4.6", "too many hops"};
	static const struct smtp_no loop = {554, "5.4.6", "mail loops back to me"};
	while (bytes.n > 0 && s->hdr_st != HEADER_OVER) {
		size_t skip = skip_rest(s, bytes);
		if (skip == 0) {
			scan_byte(s, bytes.p[0]);
			skip = 1;
		}
		bytes = pst_smtp_span_from(bytes, skip);
		if (s->conf->max_received != 0 && s->received > s->conf->max_received)
			return &hops;
		if (s->loops >= 2)
			return &loop;
	}
	return NULL;
}
