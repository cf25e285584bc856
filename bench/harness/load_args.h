/* SPDX-License-Identifier: BSD-3-Clause */
/* What the commands load (kernel sockets) and wire (our own stack) can be told. */
#ifndef LOAD_ARGS_H
#define LOAD_ARGS_H

#include "client.h"
#include "wire_port.h"

struct load_args {
	const char *command; /* "load", "wire" */
	struct pst_endpoint to;
	bool has_to;
	enum gen_tls tls;
	unsigned messages, concurrency, repetitions, warmup;
	uint64_t sessions;
	size_t size;
	double rate, seconds, grace;
	bool even, hold, resume, pipelining, capacity;
	const char *from, *rcpt, *json;
	const char *metrics;    /* URL of the gateway's; NULL: not asked */
	struct wire_port *port; /* NULL: kernel sockets */
};

/* Fills in defaults, then what was said. The exit status, or -1: go on. */
int load_args_parse(struct load_args *a, int argc, char **argv);

#endif
