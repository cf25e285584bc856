/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * postern-bench: what will this box carry?
 *
 *   postern-bench ring   client, gateway and next hop in one process, by layer
 *   postern-bench load   sessions against any server, over kernel sockets
 *   postern-bench wire   the same over a port of our own stack
 *   postern-bench sink   a next hop that takes everything, over either
 *
 * Exit: 0 fine, 1 it failed, 2 usage.
 */
#include "bench.h"

#include <pst_base.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

static const struct {
	const char *name, *help;
	int (*run)(int argc, char **argv);
} commands[] = {
	{"ring", "client, gateway and next hop in one process: cycles by layer", ring_main},
	{"load", "sessions against any mail server, over kernel sockets", load_main},
	{"wire", "sessions against a gateway, over a port of our own stack", wire_main},
	{"sink", "a next hop that takes everything, over either", sink_main},
};

static int
usage(FILE *to)
{
	fprintf(to, "usage: postern-bench COMMAND [options]; COMMAND --help says more\n");
	for (unsigned i = 0; i < PST_COUNT(commands); i++)
		fprintf(to, "  %-6s %s\n", commands[i].name, commands[i].help);
	return to == stderr ? 2 : 0;
}

int
main(int argc, char **argv)
{
	signal(SIGPIPE, SIG_IGN);
	if (argc > 1 && (strcmp(argv[1], "-V") == 0 || strcmp(argv[1], "--version") == 0)) {
		printf("postern-bench %s\n", PST_VERSION);
		return 0;
	}
	if (argc < 2 || argv[1][0] == '-')
		return usage(argc < 2 ? stderr : stdout);
	for (unsigned i = 0; i < PST_COUNT(commands); i++) {
		if (strcmp(argv[1], commands[i].name) == 0)
			return commands[i].run(argc - 1, argv + 1);
	}
	fprintf(stderr, "postern-bench: no command \"%s\"\n", argv[1]);
	return usage(stderr);
}
