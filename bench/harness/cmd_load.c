/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * postern-bench load: SMTP sessions against a server, over kernel sockets.
 * postern-bench wire: the same over a port of our own stack.
 *
 * Closed loop (so many sessions at a time) says what the server can carry; open loop (so
 * many a second, whether it keeps up or not) says how long a client waits at that rate. The
 * result is a document as in result.h, on standard output or in a file.
 *
 * --hold opens its sessions and leaves them open, says so in one line on standard output,
 * and ends them when its standard input ends: whoever started it looks at the server's
 * memory in between.
 */
#include "bench.h"
#include "gateway.h"
#include "load.h"
#include "load_args.h"
#include "result.h"
#include "sweep.h"

#include <inttypes.h>
#include <math.h>
#include <poll.h>
#include <pst_crypto.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define TURN_NS     (50 * PST_NS_PER_MS) /* the longest sleep */
#define PROGRESS_NS (200 * PST_NS_PER_MS)
#define MORE_MIN    1.03 /* --capacity: twice the sessions that bring less are the last */
#define STEPS_MAX   12

enum {
	M_SESSIONS,
	M_HANDSHAKES,
	M_MESSAGES,
	M_MB,
	M_OFFERED,
	M_FAILURES,
	M_OWN_CPU,
	M_BUSY,
	M_CPU,
	M_IDLE
};
static const char *const metrics[] = {"sessions_per_s", "handshakes_per_s", "messages_per_s",
	"mb_per_s", "offered_per_s", "failures", "generator_cpu_us", "gateway_busy_us",
	"gateway_cpu_us", "idle_bytes", NULL};

struct run {
	const struct load_args *a;
	struct pst_crypto *crypto;
	struct pst_tls_ctx *ctx;
	struct pst_tls_cache *cache;
	struct gen_transport *t;
	struct load *load;
	struct gen_client_conf client;
	struct gen_figures fig; /* of the repetition that runs */
	struct gen_figures sum; /* of those that count */
	unsigned unfinished;
	uint64_t began, ended; /* ns: the first session and the last */
	uint64_t first;
	double idle_bytes;
	char err[256];
};

static volatile sig_atomic_t interrupted;

static void
on_signal(int sig)
{
	interrupted = sig;
}

/* ---- up and down ---- */

static bool
start_tls(struct run *r)
{
	struct pst_tls_conf conf = {.side = PST_TLS_CLIENT, .verify = PST_TLS_VERIFY_OFF};

	if (r->a->tls == GEN_TLS_NONE)
		return true;
	r->crypto = pst_crypto_new(r->err, sizeof(r->err));
	if (r->crypto == NULL)
		return false;
	r->ctx = pst_tls_ctx_new(r->crypto, &conf, r->err, sizeof(r->err));
	if (r->ctx == NULL)
		return false;
	if (r->a->resume)
		r->cache = pst_tls_cache_new(r->a->concurrency);
	return true;
}

static bool
start(struct run *r)
{
	const struct load_args *a = r->a;
	struct gen_epoll_conf conf = {.linger = true};
	size_t len;

	snprintf(r->err, sizeof(r->err), "no memory");
	if (!start_tls(r))
		return false;
	r->client = (struct gen_client_conf){.tls = a->tls,
		.ctx = r->ctx,
		.cache = r->cache,
		.helo = "bench.example",
		.from = a->from,
		.to = a->rcpt,
		.messages = a->messages,
		.pipelining = a->pipelining,
		.hold = a->hold,
		.body = gen_message(a->size, a->from, a->rcpt, &len)};
	r->client.body_len = len;
	if (r->client.body == NULL)
		return false;
	r->t = a->port != NULL
		       ? wire_port_start(a->port, a->concurrency + 1024, r->err, sizeof(r->err))
		       : gen_epoll_new(&conf, pst_now_ns(), r->err, sizeof(r->err));
	r->load = r->t != NULL ? load_new(r->t) : NULL;
	return r->load != NULL;
}

static void
stop(struct run *r)
{
	load_free(r->load);
	if (r->t != NULL)
		r->t->ops->free(r->t);
	free((uint8_t *)r->client.body);
	if (r->cache != NULL)
		pst_tls_cache_free(r->cache);
	if (r->ctx != NULL)
		pst_tls_ctx_put(r->ctx);
	pst_crypto_free(r->crypto);
	if (r->a->port != NULL)
		wire_port_stop(r->a->port);
}

/* ---- the run ---- */

static void
progress(const struct run *r, uint64_t now)
{
	static uint64_t next;
	double s = (double)(now - r->began) / 1e9;

	if (now < next || !isatty(STDERR_FILENO))
		return;
	next = now + PROGRESS_NS;
	fprintf(stderr, "\r%5.1f s  %8" PRIu64 " sessions  %6.0f/s  %u open  %" PRIu64 " failed ",
		s, r->fig.done, s > 0 ? (double)r->fig.done / s : 0, load_open(r->load),
		r->fig.failed);
}

static void
turn(struct run *r)
{
	uint64_t now = pst_now_ns();

	if (!load_turn(r->load, now))
		load_idle(r->load, now, TURN_NS);
	progress(r, now);
}

static bool
input_ended(void)
{
	struct pollfd p = {.fd = STDIN_FILENO, .events = POLLIN};
	char c;

	return poll(&p, 1, 0) > 0 && read(STDIN_FILENO, &c, 1) <= 0;
}

/* What each of the sessions that are held costs the gateway, if that can be asked. */
static void
weigh(struct run *r, const struct gateway_reading *before)
{
	struct gateway_reading now;

	if (r->a->metrics == NULL || r->fig.held == 0)
		return;
	if (gateway_read(r->a->metrics, &now, r->err, sizeof(r->err)))
		r->idle_bytes = (now.tls_bytes - before->tls_bytes) / (double)r->fig.held +
				now.record_bytes;
	else
		fprintf(stderr, "postern-bench %s: %s\n", r->a->command, r->err);
}

/* All that were to be held are, or have failed; then until standard input ends. */
static void
hold(struct run *r, const struct gateway_reading *before)
{
	while (!interrupted && r->fig.held + r->fig.failed + r->fig.done < r->a->sessions)
		turn(r);
	weigh(r, before);
	printf("{\"held\": %" PRIu64 ", \"failed\": %" PRIu64 "}\n", r->fig.held, r->fig.failed);
	fflush(stdout);
	while (!interrupted && !input_ended())
		turn(r);
	load_stop(r->load);
	load_release(r->load);
}

/* Sessions as planned, `concurrency` at a time, to the end of the last. */
static bool
play(struct run *r, unsigned concurrency, const struct gateway_reading *before)
{
	const struct load_args *a = r->a;
	struct load_plan plan = {.client = &r->client,
		.to = a->to,
		.concurrency = concurrency,
		.total = a->sessions,
		.rate = a->rate,
		.poisson = !a->even,
		.seed = 1};
	uint64_t until, late;

	r->began = pst_now_ns();
	if (load_begin(r->load, &plan, &r->fig, r->began) != PST_OK)
		return false;
	until = r->began + (uint64_t)(a->seconds * 1e9);
	if (a->hold)
		hold(r, before);
	while (!a->hold && !interrupted && !load_over(r->load) &&
		(a->sessions != 0 || pst_now_ns() < until))
		turn(r);
	load_stop(r->load);
	late = pst_now_ns() + (uint64_t)(a->grace * 1e9);
	while (!load_over(r->load) && pst_now_ns() < late)
		turn(r);
	r->ended = pst_now_ns();
	r->unfinished = load_open(r->load);
	return true;
}

/* ---- repetitions ---- */

static double
own_cpu_us(void)
{
	struct rusage u;

	if (getrusage(RUSAGE_SELF, &u) != 0)
		return 0;
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e6 +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

static double
units_of(const struct run *r, const struct gen_figures *g)
{
	return (double)(r->a->messages > 0 ? g->messages : g->full + g->resumed);
}

static void
fill(const struct run *r, struct result_run *out, double own_us,
	const struct gateway_reading *before, const struct gateway_reading *after)
{
	const struct gen_figures *g = &r->fig;
	double s = (double)(r->ended - r->began) / 1e9, units = units_of(r, g), *m = out->metric;
	bool asked = after->cpu_s > 0 && units > 0;

	m[M_SESSIONS] = (double)g->done / s;
	m[M_HANDSHAKES] = (double)(g->full + g->resumed) / s;
	m[M_MESSAGES] = (double)g->messages / s;
	m[M_MB] = (double)g->bytes / s / 1e6;
	m[M_OFFERED] = r->a->rate;
	m[M_FAILURES] = (double)g->failed;
	m[M_OWN_CPU] = own_us;
	m[M_BUSY] = asked ? (after->busy_s - before->busy_s) * 1e6 / units : NAN;
	m[M_CPU] = asked ? (after->cpu_s - before->cpu_s) * 1e6 / units : NAN;
	m[M_IDLE] = r->idle_bytes > 0 ? r->idle_bytes : NAN;
	out->counted = true;
}

static void
add_up(struct gen_figures *sum, const struct gen_figures *g)
{
	sum->begun += g->begun;
	sum->done += g->done;
	sum->failed += g->failed;
	sum->full += g->full;
	sum->resumed += g->resumed;
	sum->messages += g->messages;
	sum->refused += g->refused;
	sum->bytes += g->bytes;
	if (g->why[0] != '\0')
		memcpy(sum->why, g->why, sizeof(sum->why));
}

/* Once; what it was goes into res, unless that is a warm-up. */
static bool
repeat(struct run *r, unsigned concurrency, struct result *res, bool counts)
{
	struct gateway_reading before = {0}, after = {0};
	const char *url = r->a->metrics;
	double own = own_cpu_us();

	r->fig = (struct gen_figures){0};
	if (counts) {
		r->fig.connect = res->latency[RESULT_CONNECT];
		r->fig.handshake = res->latency[RESULT_HANDSHAKE];
		r->fig.message = res->latency[RESULT_MESSAGE];
		r->fig.session = res->latency[RESULT_SESSION];
	}
	if (url != NULL && !gateway_read(url, &before, r->err, sizeof(r->err)))
		return false;
	if (!play(r, concurrency, &before))
		return false;
	if (url != NULL && !gateway_read(url, &after, r->err, sizeof(r->err)))
		return false;
	if (!counts || res->nruns == RESULT_RUNS)
		return true;
	fill(r, &res->runs[res->nruns++], own_cpu_us() - own, &before, &after);
	add_up(&r->sum, &r->fig);
	return true;
}

static bool
measure(struct run *r, unsigned concurrency, struct result *res)
{
	const struct load_args *a = r->a;
	bool ok = result_init(res, false, true);

	snprintf(res->name, sizeof(res->name), "%s", a->command);
	snprintf(res->title, sizeof(res->title), "%s",
		a->messages > 0 ? "sessions with messages" : "sessions without a message");
	res->unit = a->messages > 0 ? "message" : "handshake";
	res->metrics = metrics;
	r->sum = (struct gen_figures){0};
	for (unsigned i = 0; ok && !interrupted && i < a->warmup + a->repetitions; i++)
		ok = repeat(r, concurrency, res, i >= a->warmup);
	res->units = (uint64_t)units_of(r, &r->sum);
	if (isatty(STDERR_FILENO))
		fputc('\n', stderr);
	return ok;
}

/* ---- the result ---- */

static void
add_params(const struct load_args *a, json_t *doc)
{
	static const char *const tls[] = {"none", "starttls", "implicit"};

	result_param(doc, "repetitions", json_integer(a->repetitions));
	result_param(doc, "tls", json_string(tls[a->tls]));
	result_param(doc, "messages", json_integer(a->messages));
	result_param(doc, "size", json_integer((json_int_t)a->size));
	result_param(doc, "concurrency", json_integer(a->concurrency));
	result_param(doc, "rate", json_real(a->rate));
	result_param(doc, "schedule",
		json_string(a->rate == 0 ? "closed"
			    : a->even    ? "even"
					 : "poisson"));
	result_param(doc, "resume", json_boolean(a->resume));
	result_param(doc, "pipelining", json_boolean(a->pipelining));
}

static json_t *
counts_of(const struct run *r)
{
	const struct gen_figures *g = &r->sum;

	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "begun",
		(json_int_t)g->begun, "done", (json_int_t)g->done, "failed", (json_int_t)g->failed,
		"full", (json_int_t)g->full, "resumed", (json_int_t)g->resumed, "messages",
		(json_int_t)g->messages, "refused", (json_int_t)g->refused, "bytes",
		(json_int_t)g->bytes, "unfinished", (json_int_t)r->unfinished);
}

/* The last failure's text comes from the server: what is no UTF-8 is not shown. */
static json_t *
failure_of(const struct gen_figures *g)
{
	json_t *s = json_string(g->why);

	return s != NULL ? s : json_string("(not UTF-8)");
}

static void
add_result(struct run *r, json_t *doc, const struct result *res)
{
	json_t *all = json_object_get(doc, "results"), *o;

	result_add(doc, res, r->a->repetitions);
	o = json_array_get(all, json_array_size(all) - 1);
	json_object_set_new(o, "counts", counts_of(r));
	json_object_set_new(o, "last_failure", failure_of(&r->sum));
}

/* Twice the sessions at a time for as long as that brings more of them a second. */
static bool
climb(struct run *r, json_t *doc)
{
	unsigned concurrency = r->a->concurrency;
	double best = 0, rate = 0;
	bool ok = true, more = true;

	for (unsigned i = 0; ok && more && i < STEPS_MAX && !interrupted; i++, concurrency *= 2) {
		struct result res;

		ok = measure(r, concurrency, &res);
		res.point.name = "concurrency";
		res.point.unit = "sessions";
		res.point.value = concurrency;
		rate = result_metric(&res, M_SESSIONS).median;
		more = rate > best * MORE_MIN;
		best = PST_MAX(best, rate);
		if (ok)
			add_result(r, doc, &res);
		result_fini(&res);
	}
	result_param(doc, "capacity_sessions_per_s", json_real(best));
	return ok;
}

static bool
once(struct run *r, json_t *doc)
{
	struct result res;
	bool ok = measure(r, r->a->concurrency, &res);

	if (ok)
		add_result(r, doc, &res);
	result_fini(&res);
	return ok;
}

static bool
run(struct run *r, int argc, char **argv)
{
	const struct load_args *a = r->a;
	const char *driver = a->port != NULL ? a->port->port.device : "kernel sockets";
	json_t *doc = result_document(a->command, argc, argv, driver);
	bool ok;

	r->first = pst_now_ns();
	add_params(a, doc);
	ok = a->capacity ? climb(r, doc) : once(r, doc);
	if (ok)
		ok = result_write(doc, a->json != NULL ? a->json : "-",
			(double)(pst_now_ns() - r->first) / 1e9, r->err, sizeof(r->err));
	json_decref(doc);
	return ok;
}

static int
command(struct load_args *a, int argc, char **argv)
{
	struct run *r;
	int rc = load_args_parse(a, argc, argv);

	if (rc >= 0)
		return rc;
	r = calloc(1, sizeof(*r));
	if (r == NULL)
		return 1;
	r->a = a;
	signal(SIGINT, on_signal);
	signal(SIGTERM, on_signal);
	rc = 1;
	if (!start(r) || !run(r, argc, argv))
		fprintf(stderr, "postern-bench %s: %s\n", a->command, r->err);
	else if (r->sum.done > 0 || r->sum.messages > 0)
		rc = 0;
	else
		fprintf(stderr, "postern-bench %s: no session ended well; the last: %s\n",
			a->command, r->sum.why);
	stop(r);
	free(r);
	return rc;
}

#define DEFAULTS                                                                                   \
	.tls = GEN_TLS_STARTTLS, .messages = 1, .size = 4096, .concurrency = 16, .repetitions = 1, \
	.seconds = 10, .grace = 30, .from = "bench@client.example", .rcpt = "bench@example.org"

int
load_main(int argc, char **argv)
{
	struct load_args a = {.command = "load", DEFAULTS};

	if (sweep_wanted(argc, argv))
		return sweep_main(argc, argv);
	return command(&a, argc, argv);
}

int
wire_main(int argc, char **argv)
{
	static struct wire_port port;
	struct load_args a = {.command = "wire", .port = &port, DEFAULTS};

	if (sweep_wanted(argc, argv))
		return sweep_main(argc, argv);
	wire_port_init(&port);
	return command(&a, argc, argv);
}
