/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * postern-bench load: SMTP sessions against a server, over kernel sockets.
 *
 * Closed loop (so many sessions at a time) says what the server can carry; open loop (so
 * many a second, whether it keeps up or not) says how long a client waits at that rate. The
 * result is a document as in result.h, on standard output or in a file.
 *
 * --hold opens its sessions and leaves them open, says so in one line on standard output,
 * and ends them when its standard input ends: whoever started it looks at the server's
 * memory in between.
 */
#include "kernel.h"
#include "load.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define TURN_NS     (50 * PST_NS_PER_MS) /* the longest sleep */
#define PROGRESS_NS (200 * PST_NS_PER_MS)

struct args {
	struct pst_endpoint to;
	bool has_to;
	enum gen_tls tls;
	unsigned messages, concurrency;
	uint64_t sessions;
	size_t size;
	double rate, seconds, grace;
	bool even, hold, resume, pipelining;
	const char *from, *rcpt, *json;
};

struct run {
	const struct args *a;
	struct pst_crypto *crypto;
	struct pst_tls_ctx *ctx;
	struct pst_tls_cache *cache;
	struct gen_transport *t;
	struct load *load;
	struct gen_client_conf client;
	struct gen_figures fig;
	uint64_t began, ended; /* ns: the first session and the last */
	char err[256];
};

static volatile sig_atomic_t interrupted;

static void
on_signal(int sig)
{
	interrupted = sig;
}

/* ---- options ---- */

static const struct option options[] = {
	{"to", required_argument, NULL, 't'},
	{"tls", required_argument, NULL, 'T'},
	{"messages", required_argument, NULL, 'm'},
	{"size", required_argument, NULL, 'z'},
	{"concurrency", required_argument, NULL, 'c'},
	{"rate", required_argument, NULL, 'r'},
	{"even", no_argument, NULL, 'e'},
	{"seconds", required_argument, NULL, 's'},
	{"sessions", required_argument, NULL, 'n'},
	{"grace", required_argument, NULL, 'g'},
	{"hold", no_argument, NULL, 'H'},
	{"resume", no_argument, NULL, 'R'},
	{"pipelining", no_argument, NULL, 'p'},
	{"sender", required_argument, NULL, 'F'},
	{"recipient", required_argument, NULL, 'O'},
	{"json", required_argument, NULL, 'j'},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

static const char usage[] =
	"usage: postern-bench load --to ADDRESS:PORT [options]\n"
	"  --tls starttls|implicit|none   default starttls; certificates are not verified\n"
	"  --messages N       of one session, default 1; 0: handshake, EHLO, QUIT\n"
	"  --size BYTES       of one message, default 4096\n"
	"  --concurrency N    sessions at a time, default 16\n"
	"  --rate R           sessions a second, begun whether the server keeps up or not;\n"
	"                     default 0: the next one when one has ended\n"
	"  --even             with --rate: all intervals the same, not a Poisson process\n"
	"  --seconds S        begin sessions for so long, default 10\n"
	"  --sessions N       begin so many instead\n"
	"  --grace S          what is open then may still end for so long, default 30\n"
	"  --hold             open --sessions N, leave them open until standard input ends\n"
	"  --resume           resume TLS sessions; each of --concurrency has its own\n"
	"  --pipelining       MAIL, RCPT and DATA at once where the server offers it\n"
	"  --sender, --recipient ADDRESS\n"
	"  --json FILE        the result, default standard output\n";

static bool
bad(const char *option, const char *value)
{
	fprintf(stderr, "postern-bench load: --%s: '%s' makes no sense\n", option, value);
	return false;
}

static bool
take_number(struct args *a, int opt, const char *name)
{
	double v = 0;
	bool ok;

	switch (opt) {
	case 'm':
		ok = kernel_number(optarg, 0, 1e6, &v);
		a->messages = (unsigned)v;
		break;
	case 'z':
		ok = kernel_number(optarg, 256, 1e9, &v);
		a->size = (size_t)v;
		break;
	case 'c':
		ok = kernel_number(optarg, 1, 1e6, &v);
		a->concurrency = (unsigned)v;
		break;
	case 'r':
		ok = kernel_number(optarg, 0, 1e7, &v);
		a->rate = v;
		break;
	case 's':
		ok = kernel_number(optarg, 0.01, 86400, &v);
		a->seconds = v;
		break;
	case 'n':
		ok = kernel_number(optarg, 1, 1e12, &v);
		a->sessions = (uint64_t)v;
		break;
	default:
		ok = kernel_number(optarg, 0, 3600, &v);
		a->grace = v;
		break;
	}
	return ok || bad(name, optarg);
}

static bool
take_option(struct args *a, int opt, const char *name)
{
	switch (opt) {
	case 't':
		a->has_to = kernel_endpoint(optarg, &a->to);
		return a->has_to || bad(name, optarg);
	case 'T':
		return kernel_tls(optarg, &a->tls) || bad(name, optarg);
	case 'e':
		return a->even = true;
	case 'H':
		return a->hold = true;
	case 'R':
		return a->resume = true;
	case 'p':
		return a->pipelining = true;
	case 'F':
		a->from = optarg;
		return true;
	case 'O':
		a->rcpt = optarg;
		return true;
	case 'j':
		a->json = optarg;
		return true;
	default:
		return take_number(a, opt, name);
	}
}

/* The exit status, or -1: go on. */
static int
parse(struct args *a, int argc, char **argv)
{
	int opt, index = 0;

	optind = 1;
	while ((opt = getopt_long(argc, argv, "", options, &index)) != -1) {
		if (opt == 'h') {
			fputs(usage, stdout);
			return 0;
		}
		if (opt == '?' || !take_option(a, opt, options[index].name))
			return 2;
	}
	if (optind < argc || !a->has_to) {
		fprintf(stderr, "postern-bench load: %s\n",
			optind < argc ? "there are only options" : "--to says where");
		return 2;
	}
	if (a->hold && (a->sessions == 0 || a->rate > 0)) {
		fprintf(stderr, "postern-bench load: --hold needs --sessions and no --rate\n");
		return 2;
	}
	return -1;
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
start_figures(struct gen_figures *f)
{
	f->connect = pst_hist_new();
	f->handshake = pst_hist_new();
	f->message = pst_hist_new();
	f->session = pst_hist_new();
	return f->connect != NULL && f->handshake != NULL && f->message != NULL &&
	       f->session != NULL;
}

static bool
start(struct run *r)
{
	const struct args *a = r->a;
	struct gen_epoll_conf conf = {.linger = true};
	size_t len;

	snprintf(r->err, sizeof(r->err), "no memory");
	if (!start_tls(r) || !start_figures(&r->fig))
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
	r->t = gen_epoll_new(&conf, pst_now_ns(), r->err, sizeof(r->err));
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
	pst_hist_free(r->fig.connect);
	pst_hist_free(r->fig.handshake);
	pst_hist_free(r->fig.message);
	pst_hist_free(r->fig.session);
	if (r->cache != NULL)
		pst_tls_cache_free(r->cache);
	if (r->ctx != NULL)
		pst_tls_ctx_put(r->ctx);
	pst_crypto_free(r->crypto);
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

/* All that were to be held are, or have failed; then until standard input ends. */
static void
hold(struct run *r)
{
	while (!interrupted && r->fig.held + r->fig.failed + r->fig.done < r->a->sessions)
		turn(r);
	printf("{\"held\": %" PRIu64 ", \"failed\": %" PRIu64 "}\n", r->fig.held, r->fig.failed);
	fflush(stdout);
	while (!interrupted && !input_ended())
		turn(r);
	load_stop(r->load);
	load_release(r->load);
}

static bool
run(struct run *r)
{
	const struct args *a = r->a;
	struct load_plan plan = {.client = &r->client,
		.to = a->to,
		.concurrency = a->concurrency,
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
		hold(r);
	while (!a->hold && !interrupted && !load_over(r->load) &&
		(a->sessions != 0 || pst_now_ns() < until))
		turn(r);
	load_stop(r->load);
	late = pst_now_ns() + (uint64_t)(a->grace * 1e9);
	while (!load_over(r->load) && pst_now_ns() < late)
		turn(r);
	r->ended = pst_now_ns();
	if (isatty(STDERR_FILENO))
		fputc('\n', stderr);
	return true;
}

/* ---- the result ---- */

static void
put_params(const struct args *a, FILE *f)
{
	static const char *const tls[] = {"none", "starttls", "implicit"};

	fprintf(f,
		"\"params\": {\"tls\": \"%s\", \"messages\": %u, \"size\": %zu, \"concurrency\": "
		"%u, \"rate\": %.9g, \"schedule\": \"%s\", \"resume\": %s, \"pipelining\": %s}",
		tls[a->tls], a->messages, a->size, a->concurrency, a->rate,
		a->rate == 0 ? "closed"
		: a->even    ? "even"
			     : "poisson",
		a->resume ? "true" : "false", a->pipelining ? "true" : "false");
}

static void
put_metrics(const struct run *r, FILE *f)
{
	const struct gen_figures *g = &r->fig;
	double s = (double)(r->ended - r->began) / 1e9;
	struct rusage u;
	double cpu = 0;

	if (getrusage(RUSAGE_SELF, &u) == 0)
		cpu = (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e6 +
		      (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
	fprintf(f,
		"\"metrics\": {\"sessions_per_s\": %.6g, \"handshakes_per_s\": %.6g, "
		"\"messages_per_s\": %.6g, \"mb_per_s\": %.6g, \"offered_per_s\": %.6g, "
		"\"generator_cpu_us\": %.0f}",
		(double)g->done / s, (double)(g->full + g->resumed) / s, (double)g->messages / s,
		(double)g->bytes / s / 1e6, r->a->rate, cpu);
	fprintf(f,
		", \"counts\": {\"begun\": %" PRIu64 ", \"done\": %" PRIu64 ", \"failed\": %" PRIu64
		", \"full\": %" PRIu64 ", \"resumed\": %" PRIu64 ", \"messages\": %" PRIu64
		", \"refused\": %" PRIu64 ", \"bytes\": %" PRIu64 ", \"unfinished\": %u}",
		g->begun, g->done, g->failed, g->full, g->resumed, g->messages, g->refused,
		g->bytes, load_open(r->load));
}

static void
put_latency(const struct gen_figures *g, FILE *f)
{
	const struct {
		const char *name;
		const struct pst_hist *h;
	} all[] = {{"connect", g->connect}, {"handshake", g->handshake}, {"message", g->message},
		{"session", g->session}};
	const char *sep = "";

	fputs(", \"latency\": {", f);
	for (unsigned i = 0; i < PST_COUNT(all); i++) {
		if (all[i].h->n == 0)
			continue;
		fprintf(f, "%s\"%s\": ", sep, all[i].name);
		pst_hist_json(all[i].h, f);
		sep = ", ";
	}
	fputc('}', f);
}

/* A failure's text comes from the server. */
static void
put_text(const char *s, FILE *f)
{
	fputc('"', f);
	for (; *s != '\0'; s++)
		if ((unsigned char)*s < 0x20 || (unsigned char)*s >= 0x7f)
			fprintf(f, "\\u%04x", (unsigned char)*s);
		else
			fprintf(f, *s == '"' || *s == '\\' ? "\\%c" : "%c", *s);
	fputc('"', f);
}

static bool
put_result(const struct run *r)
{
	FILE *f = r->a->json != NULL ? fopen(r->a->json, "w") : stdout;
	char started[32];
	time_t at = time(NULL) - (time_t)((r->ended - r->began) / PST_NS_PER_SEC);
	bool ok;

	if (f == NULL) {
		fprintf(stderr, "postern-bench load: %s: %s\n", r->a->json, strerror(errno));
		return false;
	}
	strftime(started, sizeof(started), "%Y-%m-%dT%H:%M:%SZ", gmtime(&at));
	fprintf(f,
		"{\"schema\": \"postern-bench/1\", \"mode\": \"load\", \"version\": \"%s\", "
		"\"started\": \"%s\", \"seconds\": %.6g, ",
		PST_VERSION, started, (double)(r->ended - r->began) / 1e9);
	put_params(r->a, f);
	fprintf(f,
		", \"results\": [{\"case\": \"load\", \"unit\": \"%s\", \"units\": %" PRIu64 ", ",
		r->a->messages > 0 ? "message" : "handshake",
		r->a->messages > 0 ? r->fig.messages : r->fig.full + r->fig.resumed);
	put_metrics(r, f);
	put_latency(&r->fig, f);
	fputs(", \"last_failure\": ", f);
	put_text(r->fig.why, f);
	fputs("}]}\n", f);
	ok = !ferror(f);
	if (f != stdout)
		ok = fclose(f) == 0 && ok;
	else
		fflush(f);
	return ok;
}

int
cmd_load(int argc, char **argv)
{
	struct args a = {.tls = GEN_TLS_STARTTLS,
		.messages = 1,
		.size = 4096,
		.concurrency = 16,
		.seconds = 10,
		.grace = 30,
		.from = "bench@client.example",
		.rcpt = "bench@example.org"};
	struct run *r = calloc(1, sizeof(*r));
	int rc = parse(&a, argc, argv);

	if (rc >= 0 || r == NULL) {
		free(r);
		return rc >= 0 ? rc : 1;
	}
	if (a.hold)
		a.concurrency = (unsigned)a.sessions;
	r->a = &a;
	signal(SIGINT, on_signal);
	signal(SIGTERM, on_signal);
	signal(SIGPIPE, SIG_IGN);
	if (!start(r))
		fprintf(stderr, "postern-bench load: %s\n", r->err);
	else if (run(r) && put_result(r))
		rc = r->fig.done > 0 || r->fig.messages > 0 ? 0 : 1;
	if (rc == 1 && r->fig.why[0] != '\0')
		fprintf(stderr, "postern-bench load: no session ended well; the last: %s\n",
			r->fig.why);
	stop(r);
	free(r);
	return rc < 0 ? 1 : rc;
}
