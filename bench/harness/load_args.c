/* SPDX-License-Identifier: BSD-3-Clause */
#include "load_args.h"
#include "kernel.h"
#include "result.h"

#include <getopt.h>
#include <stdio.h>

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
	{"repetitions", required_argument, NULL, 'N'},
	{"warmup", required_argument, NULL, 'W'},
	{"capacity", no_argument, NULL, 'C'},
	{"metrics", required_argument, NULL, 'M'},
	WIRE_OPTIONS,
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

static const char usage[] =
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
	"  --repetitions N    of all that, medians are shown; default 1\n"
	"  --warmup N         repetitions before them that do not count, default 0\n"
	"  --capacity         twice the concurrency again and again, until that brings nothing\n"
	"  --sweep NAME=V,... the whole run once for each value of another option\n"
	"  --metrics URL      the gateway's, for its CPU time and the size of idle sessions:\n"
	"                     http://127.0.0.1:9464/metrics\n"
	"  --json FILE        the result, default standard output\n";

static bool
bad(const struct load_args *a, const char *option, const char *value)
{
	fprintf(stderr, "postern-bench %s: --%s: '%s' makes no sense\n", a->command, option, value);
	return false;
}

static bool
take_number(struct load_args *a, int opt, const char *name)
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
	case 'N':
		ok = kernel_number(optarg, 1, RESULT_RUNS, &v);
		a->repetitions = (unsigned)v;
		break;
	case 'W':
		ok = kernel_number(optarg, 0, 100, &v);
		a->warmup = (unsigned)v;
		break;
	default:
		ok = kernel_number(optarg, 0, 3600, &v);
		a->grace = v;
		break;
	}
	return ok || bad(a, name, optarg);
}

static bool
take_option(struct load_args *a, int opt, const char *name)
{
	if (opt >= WIRE_OPT_DEVICE && a->port == NULL) {
		fprintf(stderr, "postern-bench %s: --%s belongs to wire\n", a->command, name);
		return false;
	}
	if (opt >= WIRE_OPT_DEVICE)
		return wire_port_option(a->port, opt, optarg) || bad(a, name, optarg);
	switch (opt) {
	case 't':
		a->has_to = kernel_endpoint(optarg, &a->to);
		return a->has_to || bad(a, name, optarg);
	case 'T':
		return kernel_tls(optarg, &a->tls) || bad(a, name, optarg);
	case 'e':
		return a->even = true;
	case 'H':
		return a->hold = true;
	case 'R':
		return a->resume = true;
	case 'p':
		return a->pipelining = true;
	case 'C':
		return a->capacity = true;
	case 'M':
		a->metrics = optarg;
		return true;
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

static int
say_usage(const struct load_args *a)
{
	printf("usage: postern-bench %s --to ADDRESS:PORT [options]\n%s%s", a->command,
		a->port != NULL ? WIRE_USAGE : "", usage);
	return 0;
}

/* What only all options together can tell. */
static const char *
contradiction(struct load_args *a, char *err, size_t errlen)
{
	if (!a->has_to)
		return "--to says where";
	if (a->hold && (a->sessions == 0 || a->rate > 0 || a->repetitions > 1))
		return "--hold needs --sessions, and no --rate or --repetitions";
	if (a->capacity && (a->hold || a->rate > 0))
		return "--capacity goes with neither --hold nor --rate";
	if (a->port != NULL && !wire_port_check(a->port, err, errlen))
		return err;
	return NULL;
}

int
load_args_parse(struct load_args *a, int argc, char **argv)
{
	const char *why;
	char err[256];
	int opt, index = 0;

	optind = 1;
	while ((opt = getopt_long(argc, argv, "", options, &index)) != -1) {
		if (opt == 'h')
			return say_usage(a);
		if (opt == '?' || !take_option(a, opt, options[index].name))
			return 2;
	}
	why = optind < argc ? "there are only options" : contradiction(a, err, sizeof(err));
	if (why != NULL) {
		fprintf(stderr, "postern-bench %s: %s\n", a->command, why);
		return 2;
	}
	if (a->hold)
		a->concurrency = (unsigned)a->sessions;
	return -1;
}
