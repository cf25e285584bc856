/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * RFC 9293 3.10 as a table: each event in each state, over IPv4 and IPv6. A cell
 * is two letters: what the stack sends, and where it is then.
 *
 *   sent   - nothing   A  ACK   F  FIN   R  RST   S  SYN,ACK   * not looked at
 *   then   . as before   C closed   s SYN-SENT   r SYN-RECEIVED   E established
 *          1 2 FIN-WAIT   W CLOSE-WAIT   c CLOSING   l LAST-ACK   T TIME-WAIT
 *          o let go by the application, still alive
 *
 * A blank cell cannot happen. Window and sequence numbers are the peer's next
 * unless the event says otherwise.
 */
#include "world.h"

#include <string.h>

enum row {
	NONE,
	LISTEN,
	SYN_SENT,
	SYN_RCVD_ACTIVE,
	SYN_RCVD_PASSIVE,
	ESTABLISHED,
	FIN_WAIT_1,
	FIN_WAIT_2,
	CLOSE_WAIT,
	CLOSING,
	LAST_ACK,
	TIME_WAIT_HELD,
	TIME_WAIT_RECORD,
	ROWS
};

static const char *const row_names[ROWS] = {"no listener", "LISTEN", "SYN-SENT",
	"SYN-RECEIVED (active)", "SYN-RECEIVED (passive)", "ESTABLISHED", "FIN-WAIT-1",
	"FIN-WAIT-2", "CLOSE-WAIT", "CLOSING", "LAST-ACK", "TIME-WAIT (held)",
	"TIME-WAIT (record)"};

enum { BEYOND = 300000 }; /* outside any window offered here */

static void
ev_rst(struct world *w)
{
	put(w, RST, w->snd, 0, 0);
}
static void
ev_rst_ack(struct world *w)
{
	put(w, RST | ACK, w->snd, w->rcv, 0);
}
static void
ev_rst_window(struct world *w)
{
	put(w, RST, w->snd + 10, 0, 0);
}
static void
ev_rst_outside(struct world *w)
{
	put(w, RST, w->snd + BEYOND, 0, 0);
}
static void
ev_rst_old(struct world *w)
{
	put(w, RST, w->snd - 1, 0, 0);
}
static void
ev_syn(struct world *w)
{
	put(w, SYN, w->snd, 0, 0);
}
static void
ev_syn_newer(struct world *w)
{
	put(w, SYN, w->snd + 1000, 0, 0);
}
static void
ev_syn_ack(struct world *w)
{
	put(w, SYN | ACK, w->snd, w->rcv, 0);
}
static void
ev_ack(struct world *w)
{
	put(w, ACK, w->snd, w->rcv, 0);
}
static void
ev_ack_far(struct world *w)
{
	put(w, ACK, w->snd, w->rcv + 1000, 0);
}
static void
ev_ack_old_seq(struct world *w)
{
	put(w, ACK, w->snd - 1, w->rcv, 0);
}
static void
ev_no_ack(struct world *w)
{
	put(w, PSH, w->snd, 0, 10);
}
static void
ev_data(struct world *w)
{
	put(w, ACK, w->snd, w->rcv, 10);
}
static void
ev_data_ahead(struct world *w)
{
	put(w, ACK, w->snd + 100, w->rcv, 10);
}
static void
ev_data_outside(struct world *w)
{
	put(w, ACK, w->snd + BEYOND, w->rcv, 10);
}
static void
ev_data_old(struct world *w)
{
	put(w, ACK, w->snd - 10, w->rcv, 10);
}
static void
ev_fin(struct world *w)
{
	put(w, FIN | ACK, w->snd, w->rcv, 0);
}
static void
ev_fin_no_news(struct world *w)
{
	put(w, FIN | ACK, w->snd, w->rcv - 1, 0);
}

static void
ev_malformed(struct world *w)
{
	uint8_t h[20] = {(uint8_t)(w->their_port >> 8), (uint8_t)w->their_port,
		(uint8_t)(w->our_port >> 8), (uint8_t)w->our_port, [12] = 0x40, [13] = RST};

	put_raw(w, h, sizeof(h));
	turn(w);
}

static void
ev_close(struct world *w)
{
	pst_tcp_close(w->c);
	w->c = NULL;
	turn(w);
}

static void
ev_abort(struct world *w)
{
	pst_tcp_abort(w->c);
	w->c = NULL;
	turn(w);
}

static void
ev_shutdown(struct world *w)
{
	pst_tcp_shutdown(w->c);
	turn(w);
}

static void
ev_two_minutes(struct world *w)
{
	pass_ms(w, 130000);
}

static const struct {
	const char *name;
	void (*fire)(struct world *w);
	const char *cell[ROWS];
} table[] = {
	/*                         none  LIST  SSNT  RCVa  RCVp  ESTB  FW1   FW2   CWT   CLSG  LACK
	   TWh   TWr */
	{"RST", ev_rst,
		{"-.", "-.", "-.", "-C", "-C", "-C", "-C", "-C", "-C", "-C", "-C", "-C", "-."}},
	{"RST,ACK", ev_rst_ack,
		{"-.", "-.", "-C", "-C", "-C", "-C", "-C", "-C", "-C", "-C", "-C", "-C", "-."}},
	{"RST in window", ev_rst_window,
		{"-.", "-.", "-.", "A.", "A.", "A.", "A.", "A.", "A.", "A.", "A.", "A.", "-."}},
	{"RST outside", ev_rst_outside,
		{"-.", "-.", "-.", "-.", "-.", "-.", "-.", "-.", "-.", "-.", "-.", "-.", "-."}},
	{"RST old", ev_rst_old,
		{"-.", "-.", "-.", "-.", "-.", "-.", "-.", "-.", "-.", "-.", "-.", "-.", "-."}},
	{"SYN", ev_syn,
		{"R.", "Sr", "Sr", "A.", "A.", "A.", "A.", "A.", "A.", "A.", "A.", "A.", "A."}},
	{"SYN newer", ev_syn_newer,
		{"R.", "Sr", "Sr", "A.", "A.", "A.", "A.", "A.", "A.", "A.", "A.", "A.", "Sr"}},
	{"SYN,ACK", ev_syn_ack,
		{"R.", "R.", "AE", "A.", "A.", "A.", "A.", "A.", "A.", "A.", "A.", "A.", "A."}},
	{"ACK of all", ev_ack,
		{"R.", "R.", "-.", "-E", "-E", "-.", "-2", "-.", "-.", "-T", "-C", "-.", "-."}},
	{"ACK of the unsent", ev_ack_far,
		{"R.", "R.", "R.", "R.", "R.", "A.", "A.", "A.", "A.", "A.", "A.", "A.", "A."}},
	{"ACK with old SEQ", ev_ack_old_seq,
		{"R.", "R.", "-.", "A.", "A.", "A.", "A.", "A.", "A.", "A.", "A.", "A.", "A."}},
	{"data without ACK", ev_no_ack,
		{"R.", "-.", "-.", "-.", "-.", "-.", "-.", "-.", "-.", "-.", "-.", "-.", "-."}},
	{"data", ev_data,
		{"R.", "R.", "-.", "AE", "AE", "A.", "A2", "A.", "-.", "-T", "-C", "-.", "A."}},
	{"data ahead", ev_data_ahead,
		{"R.", "R.", "-.", "AE", "AE", "A.", "A2", "A.", "-.", "-T", "-C", "-.", "A."}},
	{"data outside", ev_data_outside,
		{"R.", "R.", "-.", "A.", "A.", "A.", "A.", "A.", "A.", "A.", "A.", "A.", "A."}},
	{"data seen before", ev_data_old,
		{"R.", "R.", "-.", "AE", "A.", "A.", "A2", "A.", "A.", "AT", "-C", "A.", "A."}},
	{"FIN,ACK", ev_fin,
		{"R.", "R.", "-.", "AW", "AW", "AW", "AT", "AT", "-.", "-T", "-C", "-.", "A."}},
	{"FIN, ACK of less", ev_fin_no_news,
		{"R.", "R.", "R.", "R.", "R.", "AW", "Ac", "AT", "-.", "-.", "-.", "-.", "A."}},
	{"malformed", ev_malformed,
		{"-.", "-.", "-.", "-.", "-.", "-.", "-.", "-.", "-.", "-.", "-.", "-.", "-."}},
	{"CLOSE", ev_close,
		{"  ", "  ", "-C", "-o", "  ", "Fo", "-o", "-o", "Fo", "-o", "-o", "-.", "  "}},
	{"ABORT", ev_abort,
		{"  ", "  ", "-C", "RC", "  ", "RC", "RC", "RC", "RC", "RC", "RC", "-C", "  "}},
	{"half-close", ev_shutdown,
		{"  ", "  ", "-.", "-.", "  ", "F1", "-.", "-.", "Fl", "-.", "-.", "-.", "  "}},
	{"130 s", ev_two_minutes,
		{"-.", "-.", "*C", "*C", "*C", "-.", "*C", "-.", "-.", "*C", "*C", "-C", "-C"}},
};

/* ---- into each state ---- */

static void
peer_fin(struct world *w, uint32_t ack)
{
	uint32_t rcv = w->rcv;

	w->rcv = ack;
	put_next(w, FIN | ACK, 0);
	w->rcv = rcv;
}

static void
our_fin(struct world *w)
{
	pst_tcp_shutdown(w->c);
	turn(w);
	w->rcv++;
}

static void
enter(struct world *w, enum row row)
{
	switch (row) {
	case NONE:
		break;
	case LISTEN:
		listen_here(w);
		break;
	case SYN_SENT:
		connect_only(w);
		break;
	case SYN_RCVD_ACTIVE:
		connect_only(w);
		put_next(w, SYN, 0);
		break;
	case SYN_RCVD_PASSIVE:
		listen_here(w);
		put_next(w, SYN, 0);
		w->rcv = w->out[0].seq + 1;
		break;
	default:
		open_passive(w);
	}
	if (row == FIN_WAIT_1 || row == FIN_WAIT_2 || row >= CLOSING)
		if (row != LAST_ACK)
			our_fin(w);
	if (row == FIN_WAIT_2 || row >= TIME_WAIT_HELD)
		put(w, ACK, w->snd, w->rcv, 0);
	if (row == CLOSE_WAIT || row == LAST_ACK || row >= TIME_WAIT_HELD)
		peer_fin(w, w->rcv);
	if (row == CLOSING)
		peer_fin(w, w->rcv - 1);
	if (row == LAST_ACK)
		our_fin(w);
	if (row == TIME_WAIT_RECORD) {
		pst_tcp_close(w->c);
		w->c = NULL;
	}
	drop_out(w);
}

static char
where(struct world *w)
{
	static const struct {
		const char *name;
		char letter;
	} names[] = {{"CLOSED", 'C'}, {"SYN-SENT", 's'}, {"SYN-RECEIVED", 'r'},
		{"ESTABLISHED", 'E'}, {"FIN-WAIT-1", '1'}, {"FIN-WAIT-2", '2'}, {"CLOSE-WAIT", 'W'},
		{"CLOSING", 'c'}, {"LAST-ACK", 'l'}, {"TIME-WAIT", 'T'}};
	struct pst_tcp_usage u = usage(w);

	if (w->c == NULL)
		return u.half_open ? 'r' : u.time_wait ? 'T' : u.conns ? 'o' : 'C';
	for (size_t i = 0; i < PST_COUNT(names); i++)
		if (strcmp(state_of(w), names[i].name) == 0)
			return names[i].letter;
	return '?';
}

static char
sent(struct world *w)
{
	uint8_t f;

	if (w->nout == 0)
		return '-';
	if (w->nout > 1)
		return '+';
	f = w->out[0].flags;
	return f & RST                            ? 'R'
	       : (f & (SYN | ACK)) == (SYN | ACK) ? 'S'
	       : f & SYN                          ? 's'
	       : f & FIN                          ? 'F'
						  : 'A';
}

static unsigned
check_cell(size_t e, enum row row, const struct world_conf *conf)
{
	const char *want = table[e].cell[row];
	struct world *w;
	char got[3] = {0}, before;
	uint64_t dropped;

	if (want[0] == ' ')
		return 0;
	w = world_new(conf);
	enter(w, row);
	before = where(w);
	dropped = drops(w);
	table[e].fire(w);
	got[0] = want[0] == '*' ? '*' : sent(w);
	got[1] = where(w) == before ? '.' : where(w);
	cr_expect_str_eq(got, want, "%s in %s (%s): got %s, want %s", table[e].name, row_names[row],
		conf->v6 ? "v6" : "v4", got, want);
	cr_expect_leq(drops(w) - dropped, 1, "%s in %s: dropped once, counted %lu times",
		table[e].name, row_names[row], drops(w) - dropped);
	world_free(w);
	return 1;
}

static void
check_table(bool v6, bool ts)
{
	/* TIME-WAIT must outlast nothing else here; user timeouts are two minutes. */
	struct world_conf conf = {.v6 = v6,
		.ts = ts,
		.wscale = ts ? 1 : 0,
		.ndata = 255,
		.nhead = 511,
		.tcp = {.max_conns = 64, .max_half_open = 64, .max_time_wait = 64}};
	unsigned cells = 0;

	for (size_t e = 0; e < PST_COUNT(table); e++)
		for (enum row row = 0; row < ROWS; row++)
			cells += check_cell(e, row, &conf);
	cr_expect_geq(cells, 270);
}

Test(states, every_event_in_every_state_v4)
{
	check_table(false, false);
}

Test(states, every_event_in_every_state_v6)
{
	check_table(true, false);
}

/* What cells cannot say. */

Test(states, rst_in_established_is_reported_as_a_reset)
{
	struct world *w = world_new(&(struct world_conf){0});

	open_passive(w);
	put(w, RST, w->snd, 0, 0);
	cr_assert(w->events & PST_TCP_EV_ERROR);
	cr_assert_eq(pst_tcp_error(w->c), PST_TCP_ERR_RESET);
	cr_assert_eq(counters(w)->estab_resets, 1);
	pst_tcp_close(w->c);
	cr_assert_eq(usage(w).conns, 0);
	world_free(w);
}

Test(states, challenge_ack_carries_the_numbers_of_the_connection)
{
	struct world *w = world_new(&(struct world_conf){0});

	open_passive(w);
	put(w, RST, w->snd + 77, 0, 0);
	cr_assert_eq(w->out[0].flags, ACK);
	cr_assert_eq(w->out[0].seq, w->rcv);
	cr_assert_eq(w->out[0].ack, w->snd);
	cr_assert_eq(counters(w)->challenge_acks, 1);
	world_free(w);
}

Test(states, challenge_acks_are_limited_in_each_second)
{
	struct world *w = world_new(&(struct world_conf){0});
	unsigned first = 0, next = 0;

	open_passive(w);
	for (int i = 0; i < 3000; i++) {
		put(w, SYN, w->snd + 5, 0, 0);
		first += w->nout;
		w->nout = 0;
	}
	cr_assert(first >= 500 && first < 1000, "%u", first);
	pass_ms(w, 1001);
	for (int i = 0; i < 3000; i++) {
		put(w, SYN, w->snd + 5, 0, 0);
		next += w->nout;
		w->nout = 0;
	}
	cr_assert(next >= 500 && next < 1000, "%u", next);
	cr_assert_neq(first, next, "the allowance can be measured from outside");
	world_free(w);
}

Test(states, data_after_close_is_answered_with_rst)
{
	struct world *w = world_new(&(struct world_conf){0});

	open_passive(w);
	pst_tcp_close(w->c);
	w->c = NULL;
	turn(w);
	w->rcv++;
	put(w, ACK, w->snd, w->rcv, 0);
	w->nout = 0;
	put_next(w, ACK, 10);
	cr_assert_eq(w->nout, 1);
	cr_assert(w->out[0].flags & RST);
	cr_assert_eq(counters(w)->drop_closed, 1);
	cr_assert_eq(usage(w).conns, 0);
	world_free(w);
}

Test(states, fin_wait_2_after_close_ends_by_itself)
{
	struct world *w = world_new(&(struct world_conf){0});

	open_passive(w);
	pst_tcp_close(w->c);
	w->c = NULL;
	turn(w);
	w->rcv++;
	put(w, ACK, w->snd, w->rcv, 0);
	pass_ms(w, 59000);
	cr_assert_eq(usage(w).conns, 1);
	pass_ms(w, 2000);
	cr_assert_eq(usage(w).conns, 0);
	world_free(w);
}

Test(states, retransmitted_fin_restarts_time_wait)
{
	struct world *w = world_new(&(struct world_conf){0});

	enter(w, TIME_WAIT_RECORD);
	pass_ms(w, 40000);
	put(w, FIN | ACK, w->snd - 1, w->rcv, 0);
	cr_assert_eq(sent(w), 'A');
	pass_ms(w, 40000);
	cr_assert_eq(usage(w).time_wait, 1);
	pass_ms(w, 20001);
	cr_assert_eq(usage(w).time_wait, 0);
	world_free(w);
}

Test(states, new_incarnation_starts_above_the_old_numbers)
{
	struct world *w = world_new(&(struct world_conf){0});
	uint32_t old;

	enter(w, TIME_WAIT_RECORD);
	old = w->rcv;
	put(w, SYN, w->snd + 1, 0, 0);
	cr_assert_eq(sent(w), 'S');
	cr_assert_gt((int32_t)(w->out[0].seq - old), 65535);
	world_free(w);
}
