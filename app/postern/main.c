/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * postern: the gateway.
 *
 *   postern -c FILE      run
 *   postern -t -c FILE   check the configuration; every fault and warning by JSON pointer
 *   postern -V           versions
 *
 * --model NAME stands for the configuration's `model`, also in what is read or pushed later.
 *
 * Exit: 0 fine, 1 the configuration or the start failed, 2 usage.
 *
 * The main thread starts everything, then waits for signals: SIGTERM and SIGINT
 * drain and stop (a second one stops at once), SIGHUP reopens the log and reads the
 * configuration again. The control socket's `stop` comes as a signal, too. Once a second
 * it tells the service manager how things are (notify.h).
 */
#include "crypto.h"
#include "eal.h"
#include "notify.h"

#include <pst_control.h>
#include <pst_crypto.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <openssl/crypto.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_version.h>

enum { EXIT_FINE, EXIT_FAILED, EXIT_USAGE };

struct app {
	struct pst_config *cfg;
	struct pst_fabric *fabric;
	struct pst_ossl_named *named;
	struct pst_engine *engine;
	struct pst_logger *logger;
	struct pst_log *log;
	struct pst_relay *relay;
	struct pst_control *control;
	_Atomic bool asked; /* to stop, over the socket */
	_Atomic bool cut;   /* to stop at once */
	bool reloading;
	struct notify notify;
};

static int
usage(FILE *to)
{
	fprintf(to, "usage: postern [-t] [--model NAME] -c FILE\n"
		    "       postern -V\n"
		    "  -c FILE  the configuration (JSON)\n"
		    "  -t       check it and exit\n"
		    "  --model  what this gateway is, whatever the configuration says\n"
		    "  -V       print versions and exit\n");
	return to == stderr ? EXIT_USAGE : EXIT_FINE;
}

static int
versions(void)
{
	printf("postern %s\n%s\n%s\ncrypto drivers:", PST_VERSION, OpenSSL_version(OPENSSL_VERSION),
		rte_version());
	for (const struct pst_cryptodrv *const *d = pst_cryptodrvs; *d != NULL; d++)
		printf(" %s", (*d)->name);
	putchar('\n');
	return EXIT_FINE;
}

static void
report_fault(void *arg, const char *pointer, const char *text)
{
	pst_config_report_add(arg, pointer, "%s", text);
}

/* What only the drivers know. */
static void
check_drivers(const struct pst_config *cfg, struct pst_config_report *report)
{
	eal_check(&cfg->dataplane, report);
	crypto_check(cfg, report);
}

/* Everything that can be known to be wrong without starting. NULL: reported. */
static struct pst_config *
load(const char *path)
{
	struct pst_config_report report = {0};
	struct pst_config *cfg = pst_config_load(path, &report);

	if (cfg != NULL) {
		check_drivers(cfg, &report);
		(void)pst_relay_check(cfg, report_fault, &report);
	}
	if (report.n > 0) {
		pst_config_free(cfg);
		cfg = NULL;
	} else {
		pst_config_lint(cfg, &report);
	}
	pst_config_report_print(&report, path, stderr);
	pst_config_report_fini(&report);
	return cfg;
}

/* ---- start ---- */

static struct pst_relay *worker_relay; /* what the workers are launched with */

static int
worker_main(void *arg)
{
	return pst_shard_run(worker_relay, (unsigned)(uintptr_t)arg);
}

static bool
start_workers(struct app *a, char *err, size_t errlen)
{
	unsigned n = a->cfg->dataplane.workers;

	worker_relay = a->relay;
	for (unsigned w = 0; w < n; w++) {
		if (rte_eal_remote_launch(worker_main, (void *)(uintptr_t)w, eal_worker_lcore(w)) !=
			0) {
			snprintf(err, errlen, "worker %u did not start", w);
			return false;
		}
	}
	while (pst_relay_running(a->relay) < n) {
		if (pst_relay_failed(a->relay)) {
			snprintf(err, errlen, "a worker did not start: see the log");
			return false;
		}
		usleep(1000);
	}
	return true;
}

/* On the control thread: the main thread waits for signals only. */
static void
stop_asked(void *arg, bool now)
{
	struct app *a = arg;

	a->cut = a->cut || now;
	if (!a->asked || now)
		kill(getpid(), SIGTERM);
	a->asked = true;
}

static bool
start(struct app *a, char *err, size_t errlen)
{
	struct pst_log_conf log = {
		.file = a->cfg->log.file, .format = a->cfg->log.format, .level = a->cfg->log.level};
	struct pst_relay_deps deps = {.nworkers = a->cfg->dataplane.workers,
		.adaptive_idle = eal_adaptive_idle(&a->cfg->dataplane)};
	struct pst_control_deps ctl = {.config = a->cfg,
		.started_ns = pst_now_ns(),
		.check = check_drivers,
		.crypto_library = OpenSSL_version(OPENSSL_VERSION),
		.stop = stop_asked,
		.stop_arg = a};

	a->fabric = eal_start(a->cfg, err, errlen);
	if (a->fabric == NULL)
		return false;
	if (crypto_named_open(a->cfg, &a->named, err, errlen) != PST_OK)
		return false;
	a->engine = crypto_engine_new(a->cfg, a->fabric, eal_worker_lcore(deps.nworkers),
		deps.adaptive_idle, a->named, err, errlen);
	if (a->engine == NULL)
		return false;
	a->logger = pst_logger_new(&log, err, errlen);
	if (a->logger == NULL)
		return false;
	a->log = pst_log_lane(a->logger, "main");
	deps.fabric = a->fabric;
	deps.logger = a->logger;
	deps.engine = a->engine;
	a->relay = pst_relay_new(a->cfg, &deps, err, errlen);
	if (a->relay == NULL || !start_workers(a, err, errlen))
		return false;
	ctl.relay = a->relay;
	ctl.fabric = a->fabric;
	ctl.engine = a->engine;
	ctl.logger = a->logger;
	a->control = pst_control_new(&ctl, err, errlen);
	return a->control != NULL;
}

/* Not of all lcores: those of crypto back-ends end with the engine. */
static void
wait_workers(const struct app *a)
{
	for (unsigned w = 0; w < a->cfg->dataplane.workers; w++)
		(void)rte_eal_wait_lcore(eal_worker_lcore(w));
}

static void
stop(struct app *a)
{
	if (a->control != NULL)
		pst_control_free(a->control);
	if (a->relay != NULL) {
		pst_relay_stop(a->relay);
		wait_workers(a);
	}
	if (a->engine != NULL)
		pst_engine_stop(a->engine);
	if (a->relay != NULL)
		pst_relay_free(a->relay);
	if (a->engine != NULL)
		pst_engine_free(a->engine);
	pst_ossl_named_close(a->named);
	if (a->logger != NULL)
		pst_logger_free(a->logger);
	if (a->fabric != NULL)
		eal_stop(a->fabric);
	pst_config_free(a->cfg);
}

/* ---- signals ---- */

static void
signals_block(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGHUP);
	/* Before any thread is made, so that none but the main one ever sees them. */
	pthread_sigmask(SIG_BLOCK, set, NULL);
	signal(SIGPIPE, SIG_IGN);
}

static int
wait_signal(const sigset_t *set, unsigned ms)
{
	struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
	int sig = sigtimedwait(set, NULL, &t);

	return sig > 0 ? sig : 0;
}

/* ---- the service manager ---- */

static void
count_turns(const struct app *a, uint64_t loops[PST_NET_MAX_WORKERS])
{
	struct pst_worker_stats stats;

	for (unsigned w = 0; w < a->cfg->dataplane.workers; w++) {
		pst_relay_stats(a->relay, w, &stats);
		loops[w] = stats.loops;
	}
}

static void
tell_manager(struct app *a)
{
	uint64_t loops[PST_NET_MAX_WORKERS] = {0};
	char status[80];

	count_turns(a, loops);
	snprintf(status, sizeof(status), "%s%u sessions, generation %" PRIu64,
		pst_relay_draining(a->relay) ? "draining, " : "", pst_relay_live(a->relay),
		pst_relay_generation(a->relay));
	notify_tick(&a->notify, loops, pst_now_ns(), status);
}

static void
tell_ready(struct app *a)
{
	uint64_t loops[PST_NET_MAX_WORKERS] = {0};

	count_turns(a, loops);
	notify_init(&a->notify, a->cfg->dataplane.workers, loops, pst_now_ns());
	notify_ready("ready");
}

static void
drain(struct app *a, const sigset_t *set)
{
	uint64_t until = pst_now_ns() + pst_relay_drain_ms(a->relay) * PST_NS_PER_MS;

	pst_logf(a->log, PST_LOG_INFO, "main", "draining: %u sessions", pst_relay_live(a->relay));
	notify_stopping("draining");
	pst_control_stopping(a->control);
	pst_relay_drain(a->relay);
	while (!a->cut && !pst_relay_drained(a->relay) && pst_now_ns() < until) {
		int sig = wait_signal(set, 50);

		tell_manager(a);
		if (sig == SIGTERM || sig == SIGINT)
			break;
	}
	pst_logf(a->log, PST_LOG_INFO, "main", "stopping: %u sessions are cut",
		pst_relay_live(a->relay));
}

/* A reload runs on the control thread; the service manager hears when it is over. */
static void
watch_reload(struct app *a)
{
	if (!a->reloading || pst_control_reloading(a->control))
		return;
	a->reloading = false;
	notify_ready("ready");
}

static void
hang_up(struct app *a)
{
	notify_reloading();
	pst_logger_reopen(a->logger);
	pst_control_reload(a->control);
	a->reloading = true;
}

static void
run(struct app *a, const sigset_t *set)
{
	pst_logf(a->log, PST_LOG_INFO, "main",
		"postern %s is ready: %u workers, %u ports, %u listeners", PST_VERSION,
		a->cfg->dataplane.workers, a->cfg->dataplane.nports, a->cfg->nlisteners);
	tell_ready(a);
	for (;;) {
		int sig = wait_signal(set, a->reloading ? 50 : 1000);

		tell_manager(a);
		watch_reload(a);
		if (sig == SIGHUP)
			hang_up(a);
		else if (sig != 0)
			break;
	}
	drain(a, set);
}

int
main(int argc, char **argv)
{
	static const struct option longer[] = {{"model", required_argument, NULL, 'm'}, {NULL}};
	struct app a = {0};
	const char *path = NULL;
	char err[512] = "";
	bool test = false;
	sigset_t set;
	int opt, code = EXIT_FINE;

	(void)pst_crypto_count_memory(); /* first of all: later OpenSSL refuses */
	while ((opt = getopt_long(argc, argv, "c:thV", longer, NULL)) != -1) {
		if (opt == 'c')
			path = optarg;
		else if (opt == 't')
			test = true;
		else if (opt == 'm')
			pst_config_force_model(optarg);
		else if (opt == 'V')
			return versions();
		else
			return usage(opt == 'h' ? stdout : stderr);
	}
	if (path == NULL || optind != argc)
		return usage(stderr);
	a.cfg = load(path);
	if (a.cfg == NULL)
		return EXIT_FAILED;
	if (test) {
		printf("%s: the configuration is valid\n", path);
		pst_config_free(a.cfg);
		return EXIT_FINE;
	}
	signals_block(&set);
	if (start(&a, err, sizeof(err))) {
		run(&a, &set);
	} else {
		fprintf(stderr, "postern: %s\n", err);
		code = EXIT_FAILED;
	}
	stop(&a);
	return code;
}
