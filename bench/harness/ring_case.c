/* SPDX-License-Identifier: BSD-3-Clause */
#include "ring_case.h"
#include "host.h"

#include <math.h>
#include <pst_crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CASE_SECONDS 120 /* a repetition that takes longer hangs */
#define QUIET_TURNS  200 /* empty turns of ours before the first sleep */
#define QUIET_NS     100000ull
#define SETTLE_MS    5    /* for last FINs */
#define STOLEN_MAX   0.03 /* of the worker's busy time, before a repetition is disturbed */
#define SPIN_MAX     1.10 /* of the core's best */

#define KB 1024

const struct ring_case ring_cases[] = {
	{"handshake/full/p256", "STARTTLS, full handshake, TLS 1.3, ECDSA P-256", RING_PER_SESSION,
		RING_P256, 0, false, 0, 0, 400, 16},
	{"handshake/full/rsa2048", "STARTTLS, full handshake, TLS 1.3, RSA-2048", RING_PER_SESSION,
		RING_RSA2048, 0, false, 0, 0, 300, 16},
	{"handshake/full/rsa3072", "STARTTLS, full handshake, TLS 1.3, RSA-3072", RING_PER_SESSION,
		RING_RSA3072, 0, false, 0, 0, 150, 16},
	{"handshake/full/rsa4096", "STARTTLS, full handshake, TLS 1.3, RSA-4096", RING_PER_SESSION,
		RING_RSA4096, 0, false, 0, 0, 80, 16},
	{"handshake/full/p256-ticket", "as full/p256, and one ticket is sent", RING_PER_SESSION,
		RING_P256_TICKETS, 0, false, 0, 0, 400, 16},
	{"handshake/resumed/p256", "STARTTLS, resumed by ticket, TLS 1.3, one new ticket",
		RING_PER_SESSION, RING_P256_TICKETS, 0, true, 0, 0, 400, 16},
	{"handshake/none", "the same session without STARTTLS", RING_PER_SESSION, RING_PLAIN, 0,
		false, 0, 0, 800, 16},
	{"message/4k/1/full", "4 KiB, 1 a connection, TLS on both legs, full handshakes",
		RING_PER_MESSAGE, RING_P256, RING_HOP_FULL, false, 1, 4 * KB, 300, 8},
	{"message/4k/1/resumed", "4 KiB, 1 a connection, next hop resumed", RING_PER_MESSAGE,
		RING_P256, RING_HOP_RESUMED, false, 1, 4 * KB, 300, 8},
	{"message/4k/1/reused", "4 KiB, 1 a connection, next hop reused", RING_PER_MESSAGE,
		RING_P256, RING_HOP_REUSED, false, 1, 4 * KB, 300, 8},
	{"message/4k/1/resumed-reused", "4 KiB, 1 a connection, client resumed, next hop reused",
		RING_PER_MESSAGE, RING_P256_TICKETS, RING_HOP_REUSED, true, 1, 4 * KB, 300, 8},
	{"message/4k/10/full", "4 KiB, 10 a connection, TLS on both legs, next hop anew each time",
		RING_PER_MESSAGE, RING_P256, RING_HOP_FULL, false, 10, 4 * KB, 40, 8},
	{"message/4k/10/resumed", "4 KiB, 10 a connection, next hop resumed each time",
		RING_PER_MESSAGE, RING_P256, RING_HOP_RESUMED, false, 10, 4 * KB, 60, 8},
	{"message/4k/10/reused", "4 KiB, 10 a connection, next hop reused", RING_PER_MESSAGE,
		RING_P256, RING_HOP_REUSED, false, 10, 4 * KB, 100, 8},
	{"message/4k/10/clear", "4 KiB, 10 a connection, no TLS at all", RING_PER_MESSAGE,
		RING_PLAIN, RING_HOP_CLEAR, false, 10, 4 * KB, 150, 8},
	{"bulk/10m/reused", "10 MiB messages, TLS on both legs", RING_PER_MB, RING_P256,
		RING_HOP_REUSED, false, 1, 10 * KB *KB, 12, 4},
	{"bulk/10m/clear", "10 MiB messages, no TLS at all", RING_PER_MB, RING_PLAIN,
		RING_HOP_CLEAR, false, 1, 10 * KB *KB, 24, 4},
	{"idle/p256", "sessions that are up behind STARTTLS and silent", RING_PER_IDLE, RING_P256,
		0, false, 0, 0, 1000, 1000},
	{"idle/plain", "sessions that are up in clear and silent", RING_PER_IDLE, RING_PLAIN, 0,
		false, 0, 0, 1000, 1000},
	{NULL}};

enum {
	M_BUSY,
	M_CYCLES,
	M_CPU,
	M_TURN_CPU,
	M_EMPTY,
	M_SLEEP,
	M_AGREE,
	M_RATE,
	M_TURNS,
	M_RESUMED,
	M_HOP_HANDSHAKES,
	M_HOP_RESUMED,
	M_STOLEN,
	M_OTHER
};
const char *const ring_metrics[] = {"busy_us", "busy_cycles", "cpu_us", "turn_cpu_us", "empty_us",
	"sleep_us", "agreement", "rate_per_s", "turns", "resumed", "hop_handshakes", "hop_resumed",
	"stolen_us", "other_cpu_us", NULL};

enum { I_BYTES, I_TLS, I_RECORDS, I_MBUFS };
const char *const ring_idle_metrics[] = {
	"idle_bytes", "idle_tls_bytes", "idle_record_bytes", "idle_mbufs", NULL};

const char *
ring_unit_name(enum ring_unit u)
{
	static const char *const names[] = {"session", "message", "MB", "idle session"};

	return names[u];
}

/* ---- what is read before and after ---- */

struct reading {
	struct pst_cycles cycles;     /* summed over workers */
	struct pst_worker_time time;  /* likewise */
	uint64_t process_ns, load_ns; /* CPU time of all threads, and of this one */
	uint64_t full, resumed, tls, mbufs, conns, preempted, hop_full, hop_resumed;
};

static void
add_worker(struct ring_site *s, unsigned i, struct reading *out)
{
	const struct pst_cycles *c = &s->workers[i].cycles;
	struct pst_worker_stats st;

	for (unsigned l = 0; l < PST_LAYERS; l++)
		out->cycles.total[l] += c->total[l];
	out->cycles.turns += c->turns;
	out->cycles.busy_cpu_ns += c->busy_cpu_ns;
	out->cycles.stolen += c->stolen;
	out->cycles.empty_cpu_ns += c->empty_cpu_ns;
	out->cycles.sleep_cpu_ns += c->sleep_cpu_ns;
	pst_relay_stats(s->relay, i, &st);
	out->time.busy += st.time.busy;
	out->time.empty += st.time.empty;
	out->time.sleep_cpu_ns += st.time.sleep_cpu_ns;
	out->time.cpu_ns += st.time.cpu_ns;
	out->mbufs += st.mbufs_in_use;
	out->conns += st.usage.conns;
	out->hop_full += st.relay.nexthop_handshakes;
	out->hop_resumed += st.relay.nexthop_resumed;
	out->preempted += host_preempted(s->workers[i].tid);
}

static uint64_t
cpu_ns(clockid_t clock)
{
	struct timespec t;

	if (clock_gettime(clock, &t) != 0)
		return 0;
	return (uint64_t)t.tv_sec * PST_NS_PER_SEC + (uint64_t)t.tv_nsec;
}

static void
read_all(struct ring_site *s, struct reading *out)
{
	*out = (struct reading){0};
	for (unsigned i = 0; i < s->conf.workers; i++)
		add_worker(s, i, out);
	out->process_ns = cpu_ns(CLOCK_PROCESS_CPUTIME_ID);
	out->load_ns = cpu_ns(CLOCK_THREAD_CPUTIME_ID);
	/* What OpenSSL holds and this thread did not ask for is the gateway's. */
	out->tls = (uint64_t)((int64_t)pst_crypto_live_bytes() - pst_crypto_live_bytes_here());
}

/* ---- one repetition ---- */

static bool
drive(struct ring_site *s, bool (*over)(struct ring_site *s, const void *arg), const void *arg)
{
	uint64_t now = pst_now_ns(), until = now + CASE_SECONDS * PST_NS_PER_SEC;
	unsigned empty = 0;

	while (!over(s, arg)) {
		now = pst_now_ns();
		if (now > until)
			return false;
		if (load_turn(s->load, now))
			empty = 0;
		else if (++empty > QUIET_TURNS)
			load_idle(s->load, now, QUIET_NS);
	}
	return true;
}

static bool
all_over(struct ring_site *s, const void *arg)
{
	return load_over(s->load) && pst_relay_live(s->relay) == 0;
}

static bool
time_is_up(struct ring_site *s, const void *arg)
{
	return pst_now_ns() >= *(const uint64_t *)arg;
}

static void
settle(struct ring_site *s, unsigned ms)
{
	uint64_t until = pst_now_ns() + ms * PST_NS_PER_MS;

	(void)drive(s, time_is_up, &until);
}

static bool
good(const struct ring_case *c, const struct gen_figures *f, uint64_t sessions, char *err,
	size_t errlen)
{
	uint64_t handshakes = c->listener == RING_PLAIN ? 0 : sessions;

	if (f->failed > 0)
		snprintf(err, errlen, "%lu sessions failed: %s", (unsigned long)f->failed, f->why);
	else if (f->refused > 0 || f->messages != sessions * c->messages)
		snprintf(err, errlen, "%lu of %lu messages were taken", (unsigned long)f->messages,
			(unsigned long)(sessions * c->messages));
	else if (f->full + f->resumed != handshakes)
		snprintf(err, errlen, "%lu handshakes, not %lu",
			(unsigned long)(f->full + f->resumed), (unsigned long)handshakes);
	else
		return true;
	return false;
}

static double
units(const struct ring_case *c, unsigned sessions, size_t wire)
{
	switch (c->unit) {
	case RING_PER_MESSAGE:
		return (double)sessions * c->messages;
	case RING_PER_MB:
		return (double)sessions * c->messages * (double)wire / 1e6;
	default:
		return sessions;
	}
}

/* Disturbed: others had the worker's core, or this one is slower than it was at its best. */
static void
judge_run(struct result_run *run, double stolen, double busy, uint64_t preempted, uint64_t spin)
{
	static uint64_t best = UINT64_MAX;

	best = PST_MIN(best, spin);
	if (busy > 0 && stolen / busy > STOLEN_MAX)
		snprintf(run->why, sizeof(run->why),
			"others took %.0f %% of the worker's time (%lu switches)",
			100 * stolen / busy, (unsigned long)preempted);
	else if ((double)spin > SPIN_MAX * (double)best)
		snprintf(run->why, sizeof(run->why), "the core was %.0f %% slower than at its best",
			100 * ((double)spin / (double)best - 1));
	run->disturbed = run->why[0] != '\0';
}

static void
fill(struct result_run *run, const struct reading *a, const struct reading *b,
	const struct gen_figures *f, double n, double seconds)
{
	double hz = (double)pst_tsc_hz(), busy = 0, empty, cpu, asleep, counted;
	double *m = run->metric;

	for (unsigned l = PST_LAYER_RELAY; l < PST_LAYERS; l++) {
		double d = (double)(b->cycles.total[l] - a->cycles.total[l]);

		run->layer[l] = d / n;
		busy += d;
	}
	cpu = (double)(b->time.cpu_ns - a->time.cpu_ns) / 1e3;
	empty = (double)(b->cycles.empty_cpu_ns - a->cycles.empty_cpu_ns) / 1e3;
	asleep = (double)(b->cycles.sleep_cpu_ns - a->cycles.sleep_cpu_ns) / 1e3;
	m[M_BUSY] = busy * 1e6 / hz / n;
	m[M_CYCLES] = busy / n;
	m[M_CPU] = cpu / n;
	m[M_TURN_CPU] = (double)(b->cycles.busy_cpu_ns - a->cycles.busy_cpu_ns) / 1e3 / n;
	m[M_EMPTY] = empty / n;
	m[M_SLEEP] = asleep / n;
	/* What every gateway counts by itself, without the marks, against the system's figure. */
	counted = (double)(b->time.busy - a->time.busy) -
		  (double)(b->cycles.stolen - a->cycles.stolen);
	m[M_AGREE] = (counted * 1e6 / hz + empty +
			     (double)(b->time.sleep_cpu_ns - a->time.sleep_cpu_ns) / 1e3) /
		     cpu;
	m[M_RATE] = n / seconds;
	m[M_TURNS] = (double)(b->cycles.turns - a->cycles.turns) / n;
	m[M_RESUMED] = (double)f->resumed / (double)PST_MAX(f->resumed + f->full, 1ul);
	m[M_HOP_HANDSHAKES] = (double)(b->hop_full - a->hop_full) / n;
	m[M_HOP_RESUMED] = (double)(b->hop_resumed - a->hop_resumed) / n;
	m[M_STOLEN] = (double)(b->cycles.stolen - a->cycles.stolen) * 1e6 / hz / n;
	/* Crypto lcores, the log's writer: whatever is neither the load nor a worker. */
	m[M_OTHER] = ((double)(b->process_ns - a->process_ns) / 1e3 -
			     (double)(b->load_ns - a->load_ns) / 1e3 - cpu) /
		     n;
}

/* Records of ours besides what OpenSSL holds. */
static void
fill_idle(struct ring_site *s, struct result_run *run, const struct reading *a,
	const struct reading *b, double n)
{
	struct pst_relay_memory mem;
	struct pst_worker_stats st;

	pst_relay_memory(s->relay, &mem);
	pst_relay_stats(s->relay, 0, &st);
	run->metric[I_TLS] = ((double)b->tls - (double)a->tls) / n;
	run->metric[I_RECORDS] = (double)(mem.session_bytes + st.usage.tcb_bytes);
	run->metric[I_BYTES] = run->metric[I_TLS] + run->metric[I_RECORDS];
	run->metric[I_MBUFS] = ((double)b->mbufs - (double)a->mbufs) / n;
}

struct job { /* one repetition's own things */
	struct gen_client_conf client;
	struct gen_figures fig;
	struct load_plan plan;
	uint8_t *body;
};

static bool
all_held(struct ring_site *s, const void *arg)
{
	const struct job *j = arg;

	return j->fig.failed > 0 || j->fig.held == j->plan.total;
}

static bool
prepare(struct ring_site *s, const struct ring_case *c, unsigned sessions, struct result *r,
	bool record, struct job *j)
{
	bool tls = c->listener != RING_PLAIN;

	*j = (struct job){.client = {.tls = tls ? GEN_TLS_STARTTLS : GEN_TLS_NONE,
				  .ctx = tls ? s->client : NULL,
				  .cache = c->resume ? s->cache : NULL,
				  .helo = "client.example",
				  .from = "from@client.example",
				  .to = ring_recipient(c->hop),
				  .messages = c->messages,
				  .hold = c->unit == RING_PER_IDLE}};
	if (record) {
		j->fig.session = r->latency[RESULT_SESSION];
		j->fig.connect = r->latency[RESULT_CONNECT];
		j->fig.handshake = r->latency[RESULT_HANDSHAKE];
		j->fig.message = r->latency[RESULT_MESSAGE];
	}
	if (c->messages > 0) {
		j->body = gen_message(c->size, j->client.from, j->client.to, &j->client.body_len);
		j->client.body = j->body;
	}
	j->plan = (struct load_plan){.client = &j->client,
		.to = ring_gateway(c->listener),
		.concurrency = PST_MIN(c->concurrency, sessions),
		.total = sessions};
	return c->messages == 0 || j->body != NULL;
}

static void
watch_turns(struct ring_site *s, bool on)
{
	for (unsigned i = 0; i < s->conf.workers; i++)
		atomic_store(&s->workers[i].on, on);
}

/* The workers' histograms, taken over and emptied; nobody records now. */
static void
take_turns(struct ring_site *s, struct result *r)
{
	for (unsigned i = 0; i < s->conf.workers; i++) {
		if (r->turns != NULL)
			pst_hist_merge(r->turns, s->workers[i].turns);
		pst_hist_reset(s->workers[i].turns);
	}
}

static bool
go(struct ring_site *s, const struct ring_case *c, unsigned sessions, struct job *j,
	struct result_run *run, char *err, size_t errlen)
{
	struct reading before, after;
	bool done = false;
	uint64_t t0;

	read_all(s, &before);
	t0 = pst_now_ns();
	snprintf(err, errlen, "no memory");
	if (load_begin(s->load, &j->plan, &j->fig, t0) != PST_OK)
		return false;
	if (c->unit == RING_PER_IDLE) {
		done = drive(s, all_held, j);
		settle(s, SETTLE_MS);
		read_all(s, &after);
		fill_idle(s, run, &before, &after, sessions);
		load_release(s->load);
		done &= drive(s, all_over, NULL);
	} else {
		done = drive(s, all_over, NULL);
		read_all(s, &after);
		fill(run, &before, &after, &j->fig, units(c, sessions, j->client.body_len),
			(double)(pst_now_ns() - t0) / 1e9);
		judge_run(run, (double)(after.cycles.stolen - before.cycles.stolen),
			run->metric[M_CYCLES] * units(c, sessions, j->client.body_len),
			after.preempted - before.preempted, host_spin_ns());
	}
	snprintf(err, errlen, "it did not end within %u s: %lu sessions of %u, %s", CASE_SECONDS,
		(unsigned long)j->fig.done, sessions, j->fig.why);
	return done && good(c, &j->fig, sessions, err, errlen);
}

bool
ring_measure(struct ring_site *s, const struct ring_case *c, unsigned sessions, struct result *r,
	bool record, struct result_run *run, char *err, size_t errlen)
{
	struct job j;
	bool ok;

	*run = (struct result_run){0};
	if (!prepare(s, c, sessions, r, record, &j)) {
		snprintf(err, errlen, "no memory");
		return false;
	}
	settle(s, SETTLE_MS);
	watch_turns(s, record);
	ok = go(s, c, sessions, &j, run, err, errlen);
	watch_turns(s, false);
	settle(s, SETTLE_MS);
	take_turns(s, r);
	free(j.body);
	return ok;
}
