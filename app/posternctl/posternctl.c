/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * posternctl: asks a running gateway over its control socket, prints the answer.
 *
 *   posternctl [options] VERB [argument ...]     see the table of verbs
 *
 * Exit codes: 0 answered, 1 the gateway answered with an error, 2 usage, 3 no
 * gateway there or no answer in time, 4 the configuration was refused, 5 another
 * generation runs than --if-generation, 6 no such session or generation.
 */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "ctl.h"

#define DEFAULT_SOCKET "/run/postern/control.sock"
#define CONFIG_SECONDS 120 /* for an answer to config.*; others have 10 */

/* ---- asking ---- */

enum exit_code
ctl_error(const json_t *error)
{
	switch (json_integer_value(json_object_get(error, "code"))) {
	case -32001:
		return EXIT_GENERATION;
	case -32002:
	case -32003:
		return EXIT_REFUSED;
	case -32004:
		return EXIT_NOT_FOUND;
	default:
		return EXIT_ERROR;
	}
}

void
ctl_print_error(const json_t *error)
{
	const json_t *data = json_object_get(error, "data");
	const char *message = json_string_value(json_object_get(error, "message"));
	const char *reason = json_string_value(json_object_get(data, "reason"));

	fprintf(stderr, "posternctl: the gateway says: %s (%lld)%s%s\n",
		message != NULL ? message : "error",
		(long long)json_integer_value(json_object_get(error, "code")),
		reason != NULL ? ": " : "", reason != NULL ? reason : "");
}

void
ctl_print_json(const json_t *v)
{
	json_dumpf(v, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(15));
	putchar('\n');
}

enum exit_code
ctl_ask(const struct ctl *c, const char *method, json_t *params, json_t **result, json_t **error)
{
	json_t *answer = NULL;
	struct wire w;

	*result = *error = NULL;
	if (!wire_open(&w, c->socket)) {
		json_decref(params);
		return EXIT_CONNECT;
	}
	/* A document of a million routes takes its time. */
	if (strncmp(method, "config.", 7) == 0)
		wire_patience(&w, CONFIG_SECONDS);
	if (wire_send(&w, c->socket, method, params))
		answer = wire_receive(&w, c->socket);
	wire_close(&w);
	if (answer == NULL)
		return EXIT_CONNECT;
	*result = json_incref(json_object_get(answer, "result"));
	*error = json_incref(json_object_get(answer, "error"));
	json_decref(answer);
	return *result != NULL ? EXIT_OK : ctl_error(*error);
}

enum exit_code
ctl_call(const struct ctl *c, const char *method, json_t *params, printer *print)
{
	json_t *result, *error;
	enum exit_code code = ctl_ask(c, method, params, &result, &error);

	if (error != NULL)
		ctl_print_error(error);
	else if (result != NULL && c->json)
		ctl_print_json(result);
	else if (result != NULL)
		print(stdout, result, &c->print);
	json_decref(result);
	json_decref(error);
	return code;
}

/* ---- verbs ---- */

static enum exit_code
verb_status(const struct ctl *c, char **arg, int n)
{
	(void)arg, (void)n;
	return ctl_call(c, "status", NULL, print_status);
}

static enum exit_code
verb_stats(const struct ctl *c, char **arg, int n)
{
	(void)arg, (void)n;
	return ctl_call(c, "stats", NULL, print_stats);
}

static enum exit_code
verb_help(const struct ctl *c, char **arg, int n)
{
	(void)arg, (void)n;
	return ctl_call(c, "help", NULL, print_help);
}

static const struct verb {
	const char *words; /* separated by blanks; of two that fit the longer stands first */
	const char *arguments;
	int least, most;
	verb_run *run;
	const char *help;
} verbs[] = {
	{"status", "", 0, 0, verb_status,
		"what runs: versions, ports, listeners, workers, sessions"},
	{"stats", "", 0, 0, verb_stats, "counters that are not zero; --all: every one"},
	{"top", "", 0, 0, verb_top, "rates and load as a live screen; q quits"},
	{"log follow", "", 0, 0, verb_log_follow, "the log's lines as they come (also: log -f)"},
	{"log level", "[LEVEL]", 0, 1, verb_log_level,
		"how much is logged, until a push changes it"},
	{"sessions", "", 0, 0, verb_sessions, "client sessions now"},
	{"session show", "ID", 1, 1, verb_session_show, "one session (also: session ID)"},
	{"session kill", "ID", 1, 1, verb_session_kill,
		"ends one session with 421 (also: kill ID)"},
	{"session", NULL, 1, 1, verb_session_show, NULL},
	{"kill", NULL, 1, 1, verb_session_kill, NULL},
	{"config show", "", 0, 0, verb_config_show, "the running configuration"},
	{"config check", "FILE", 1, 1, verb_config_check, "judges a file, as postern -t does"},
	{"config push", "FILE", 1, 1, verb_config_push,
		"runs a file's configuration; - is standard input"},
	{"config diff", "[FROM [TO]]", 0, 2, verb_config_diff, "what differs between generations"},
	{"config history", "", 0, 0, verb_config_history, "the configurations that ran"},
	{"config rollback", "[TO]", 0, 1, verb_config_rollback,
		"runs an earlier one; by default that before the last change"},
	{"config save", "", 0, 0, verb_config_save, "writes the running configuration to its file"},
	{"config reload", "", 0, 0, verb_config_reload,
		"reads the file, certificates and keys again"},
	{"drain", "", 0, 0, verb_drain, "no new sessions; running ones complete"},
	{"undrain", "", 0, 0, verb_undrain, "new sessions again"},
	{"stop", "", 0, 0, verb_stop, "drains, then ends; --now: ends at once"},
	{"help", "", 0, 0, verb_help, "the methods the gateway knows"},
	{NULL, NULL, 0, 0, NULL, NULL},
};

static int
usage(FILE *to)
{
	fputs("usage: posternctl [options] VERB [argument ...]\n\n", to);
	for (const struct verb *v = verbs; v->words != NULL; v++) {
		char left[48];

		if (v->help == NULL)
			continue;
		snprintf(left, sizeof(left), "%s %s", v->words, v->arguments);
		fprintf(to, "  %-24s %s\n", left, v->help);
	}
	fputs("\n  -s, --socket SOCKET     default " DEFAULT_SOCKET "\n"
	      "      --json              print the answer as JSON\n"
	      "      --all               stats: counters that are zero too\n"
	      "      --per-worker        stats: a column for each worker\n"
	      "      --interval SECONDS  top: between two pictures (1)\n"
	      "      --if-generation N   config: only if that generation runs\n"
	      "      --note TEXT         config push: for the history\n"
	      "      --now               stop: cut what runs\n"
	      "  -V, --version           print the version and exit\n"
	      "\nexit codes: 0 answered, 1 error from the gateway, 2 usage, 3 cannot connect,\n"
	      "4 configuration refused, 5 another generation runs, 6 no such session or "
	      "generation\n",
		to);
	return EXIT_USAGE;
}

/* How many of the arguments are the verb's words; 0: it is another verb. */
static int
words_match(const char *words, char **arg, int n)
{
	int used = 0;

	while (used < n) {
		size_t len = strcspn(words, " ");

		if (strlen(arg[used]) != len || strncmp(arg[used], words, len) != 0)
			return 0;
		used++;
		words += len;
		if (*words == '\0')
			return used;
		words++;
	}
	return 0;
}

static int
dispatch(const struct ctl *c, char **arg, int n)
{
	for (const struct verb *v = verbs; v->words != NULL; v++) {
		int used = words_match(v->words, arg, n);

		if (used == 0)
			continue;
		if (n - used < v->least || n - used > v->most)
			return usage(stderr);
		return v->run(c, arg + used, n - used);
	}
	return usage(stderr);
}

/* ---- options ---- */

enum { OPT_JSON = 256, OPT_ALL, OPT_PER_WORKER, OPT_INTERVAL, OPT_GENERATION, OPT_NOTE, OPT_NOW };

static const struct option longs[] = {{"socket", required_argument, NULL, 's'},
	{"json", no_argument, NULL, OPT_JSON}, {"all", no_argument, NULL, OPT_ALL},
	{"per-worker", no_argument, NULL, OPT_PER_WORKER},
	{"interval", required_argument, NULL, OPT_INTERVAL},
	{"if-generation", required_argument, NULL, OPT_GENERATION},
	{"note", required_argument, NULL, OPT_NOTE}, {"now", no_argument, NULL, OPT_NOW},
	{"follow", no_argument, NULL, 'f'}, {"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, 'V'}, {NULL, 0, NULL, 0}};

/* -1: go on; else the exit code. */
static int
take_option(struct ctl *c, int o, bool *follow)
{
	switch (o) {
	case 's':
		c->socket = optarg;
		break;
	case 'f':
		*follow = true;
		break;
	case OPT_JSON:
		c->json = true;
		break;
	case OPT_ALL:
		c->print.all = true;
		break;
	case OPT_PER_WORKER:
		c->print.per_worker = true;
		break;
	case OPT_INTERVAL:
		c->interval = strtod(optarg, NULL);
		return c->interval >= 0.1 && c->interval <= 3600 ? -1 : usage(stderr);
	case OPT_GENERATION:
		c->if_generation = optarg;
		break;
	case OPT_NOTE:
		c->note = optarg;
		break;
	case OPT_NOW:
		c->now = true;
		break;
	case 'h':
		usage(stdout);
		return EXIT_OK;
	case 'V':
		puts("posternctl " PST_VERSION);
		return EXIT_OK;
	default:
		return usage(stderr);
	}
	return -1;
}

int
main(int argc, char **argv)
{
	static char word[] = "log", second[] = "follow";
	static char *follow_log[] = {word, second};
	struct ctl c = {.socket = DEFAULT_SOCKET, .interval = 1};
	bool follow = false;
	int o, code;

	while ((o = getopt_long(argc, argv, "s:fhV", longs, NULL)) != -1) {
		code = take_option(&c, o, &follow);
		if (code >= 0)
			return code;
	}
	if (follow && argc - optind == 1 && strcmp(argv[optind], "log") == 0)
		return dispatch(&c, follow_log, 2);
	if (follow)
		return usage(stderr);
	return dispatch(&c, argv + optind, argc - optind);
}
