/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * posternctl: asks a running gateway over its control socket, prints the answer.
 *
 *   posternctl [options] VERB [argument ...]     see the table of verbs
 *
 * Exit codes: 0 answered, 1 the gateway answered with an error, 2 usage, 3 no
 * gateway there or no answer in time, 4 the configuration was refused, 5 another
 * generation runs than --if-generation, 6 no such session, generation, rule or
 * other thing, 7 it is predefined and has to be cloned, 8 its name is taken or it
 * is in use.
 */
#include <getopt.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "ctl.h"

#define DEFAULT_SOCKET "/run/postern/control.sock"

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
verb_crypto(const struct ctl *c, char **arg, int n)
{
	(void)arg, (void)n;
	return ctl_call(c, "crypto.show", NULL, print_crypto);
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
	{"crypto", "", 0, 0, verb_crypto,
		"the crypto engine: back-ends, who does which operations, pools"},
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
	{"rule list", "", 0, 0, verb_rule_list, "the encryption rules, in order"},
	{"rule add", "FROM TO SENDER RECIPIENT", 4, 4, verb_rule_add,
		"a new rule, at the end or --at N, --before ID, --after ID; --id ID"},
	{"rule move", "ID up|down|first|last|N", 2, 2, verb_rule_move, "to another place"},
	{"rule enable", "ID", 1, 1, verb_rule_enable, "it counts again"},
	{"rule disable", "ID", 1, 1, verb_rule_disable, "it keeps its place and does not count"},
	{"rule remove", "ID", 1, 1, verb_rule_remove, "it goes"},
	{"profile list", "", 0, 0, verb_profile_list, "TLS profiles and who uses them"},
	{"profile show", "NAME", 1, 1, verb_profile_show, "one TLS profile"},
	{"profile set", "NAME KEY=VALUE ...", 2, 64, verb_profile_set,
		"changes keys; KEY=null takes one away"},
	{"profile clone", "A B [KEY=VALUE ...]", 2, 64, verb_profile_clone, "B: a copy of A"},
	{"profile remove", "NAME", 1, 1, verb_profile_remove, "it goes, if nothing uses it"},
	{"action list", "", 0, 0, verb_action_list, "actions and how they treat TLS"},
	{"action show", "NAME", 1, 1, verb_action_show,
		"one action, its listeners and their TLS support"},
	{"action set", "NAME KEY=VALUE ...", 2, 64, verb_action_set,
		"changes keys; KEY=null takes one away"},
	{"action clone", "A B [KEY=VALUE ...]", 2, 64, verb_action_clone, "B: a copy of A"},
	{"action remove", "NAME", 1, 1, verb_action_remove, "it goes, if nothing uses it"},
	{"list show", "", 0, 0, verb_list_show, "the STARTTLS lists"},
	{"list add", "never|required ENTRY", 2, 2, verb_list_add,
		"an address, network, host or domain"},
	{"list remove", "never|required ENTRY", 2, 2, verb_list_remove, "the same, off it"},
	{"policy import", "FILE", 1, 1, verb_policy_import,
		"a Postfix tls_policy table into the map; --dry-run"},
	{"policy show", "DESTINATION", 1, 1, verb_policy_show, "what the map says, as postmap -q"},
	{"broken-tls list", "", 0, 0, verb_broken_list, "hosts with which TLS failed lately"},
	{"broken-tls flush", "", 0, 0, verb_broken_flush, "forgets them"},
	{"explain", "--from A --to B", 0, 0, verb_explain,
		"who decides what, and what is answered (--client, --listener, --tls, --live)"},
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
		char left[64];

		if (v->help == NULL)
			continue;
		snprintf(left, sizeof(left), "%s %s", v->words, v->arguments);
		fprintf(to, "  %-35s %s\n", left, v->help);
	}
	fputs("\n  -s, --socket SOCKET     default " DEFAULT_SOCKET "\n"
	      "      --json              print the answer as JSON\n"
	      "      --all               stats, crypto: counters that are zero too\n"
	      "      --per-worker        stats, crypto: each worker by itself\n"
	      "      --interval SECONDS  top: between two pictures (1)\n"
	      "      --if-generation N   what changes: only if that generation runs\n"
	      "      --note TEXT         what changes: for the history\n"
	      "      --dry-run           policy import: only say what would change\n"
	      "      --id ID             rule add: its id; by default the smallest free number\n"
	      "      --at N              rule add: its position\n"
	      "      --before ID         rule add: in front of that rule\n"
	      "      --after ID          rule add: behind that rule\n"
	      "      --from ADDRESS      explain: the sender; <> is the null sender\n"
	      "      --to ADDRESS        explain: the recipient\n"
	      "      --client ADDRESS    explain: the client's address\n"
	      "      --listener NAME     explain: where it comes to\n"
	      "      --tls               explain: the client has TLS up\n"
	      "      --plain             explain: it has not (the default)\n"
	      "      --live              explain: try the next hop\n"
	      "      --now               stop: cut what runs\n"
	      "  -V, --version           print the version and exit\n"
	      "\nexit codes: 0 answered, 1 error from the gateway, 2 usage, 3 cannot connect,\n"
	      "4 configuration refused, 5 another generation runs, 6 no such thing,\n"
	      "7 predefined: clone it, 8 name taken, or in use\n",
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

enum {
	OPT_JSON = 256,
	OPT_ALL,
	OPT_PER_WORKER,
	OPT_INTERVAL,
	OPT_GENERATION,
	OPT_NOTE,
	OPT_NOW,
	OPT_TLS,
	OPT_PLAIN,
	OPT_LIVE,
	OPT_DRY_RUN,
	OPT_TEXT /* and one more for each row of texts[] */
};

/* Options whose argument is kept as it is. */
static const size_t texts[] = {offsetof(struct ctl, id), offsetof(struct ctl, at),
	offsetof(struct ctl, before), offsetof(struct ctl, after), offsetof(struct ctl, from),
	offsetof(struct ctl, to), offsetof(struct ctl, client), offsetof(struct ctl, listener)};
#define TEXT(name, row)                                                                            \
	{                                                                                          \
		name, required_argument, NULL, OPT_TEXT + (row)                                    \
	}

static const struct option longs[] = {{"socket", required_argument, NULL, 's'},
	{"json", no_argument, NULL, OPT_JSON}, {"all", no_argument, NULL, OPT_ALL},
	{"per-worker", no_argument, NULL, OPT_PER_WORKER},
	{"interval", required_argument, NULL, OPT_INTERVAL},
	{"if-generation", required_argument, NULL, OPT_GENERATION},
	{"note", required_argument, NULL, OPT_NOTE}, {"now", no_argument, NULL, OPT_NOW},
	{"tls", no_argument, NULL, OPT_TLS}, {"plain", no_argument, NULL, OPT_PLAIN},
	{"live", no_argument, NULL, OPT_LIVE}, {"dry-run", no_argument, NULL, OPT_DRY_RUN},
	TEXT("id", 0), TEXT("at", 1), TEXT("before", 2), TEXT("after", 3), TEXT("from", 4),
	TEXT("to", 5), TEXT("client", 6), TEXT("listener", 7), {"follow", no_argument, NULL, 'f'},
	{"help", no_argument, NULL, 'h'}, {"version", no_argument, NULL, 'V'}, {NULL, 0, NULL, 0}};

/* false: it is another kind of option. */
static bool
take_text(struct ctl *c, int o)
{
	size_t row = (size_t)o - OPT_TEXT;

	if (o < OPT_TEXT || row >= sizeof(texts) / sizeof(*texts))
		return false;
	*(const char **)((char *)c + texts[row]) = optarg;
	return true;
}

/* -1: go on; else the exit code. */
static int
take_option(struct ctl *c, int o, bool *follow)
{
	if (take_text(c, o))
		return -1;
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
	case OPT_TLS:
		c->tls = true;
		break;
	case OPT_PLAIN:
		c->plain = true;
		break;
	case OPT_LIVE:
		c->live = true;
		break;
	case OPT_DRY_RUN:
		c->dry_run = true;
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
