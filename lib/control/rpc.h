/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * JSON-RPC 2.0, one object a line, no batches: a line in, a line out. Knows
 * neither sockets nor threads.
 */
#ifndef PST_CONTROL_RPC_H
#define PST_CONTROL_RPC_H

#include <pst_control.h>

#include <jansson.h>

#define PST_RPC_LINE_MAX (1u << 20) /* bytes of a request, newline included */

enum pst_rpc_code { /* JSON-RPC 2.0 section 5.1; ours from -32000 downwards */
	PST_RPC_PARSE = -32700,
	PST_RPC_INVALID = -32600,
	PST_RPC_NO_METHOD = -32601,
	PST_RPC_PARAMS = -32602,
	PST_RPC_INTERNAL = -32603,
	PST_RPC_BUSY = -32000, /* too many clients */
};

/* A method sets `result`, or `code` and perhaps `data`. References are the caller's then. */
struct pst_rpc_call {
	const struct pst_control_deps *deps;
	const json_t *params; /* object; NULL: none given */
	json_t *result;
	int code; /* 0: result counts */
	json_t *data;
};

struct pst_rpc_method {
	const char *name;
	void (*call)(struct pst_rpc_call *c);
	const char *help;          /* one line, no full stop */
	const char *const *params; /* names that may be given; NULL ends; NULL: none */
};
extern const struct pst_rpc_method pst_rpc_methods[]; /* methods.c; NULL name ends */

/* The answer to a line, newline included, to be freed; NULL: none is due (notification). */
char *pst_rpc_answer(const struct pst_control_deps *deps, const char *line, size_t len);
/* An error that answers no request in particular (id null); data may be NULL, and is taken over. */
char *pst_rpc_error(enum pst_rpc_code code, json_t *data);

#endif
