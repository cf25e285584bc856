/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * JSON-RPC 2.0, one object a line, no batches: a line in, a line out. Knows
 * neither sockets nor threads.
 */
#ifndef PST_CONTROL_RPC_H
#define PST_CONTROL_RPC_H

#include <pst_control.h>

#include <jansson.h>
#include <stdarg.h>

#include "history.h"

/* Bytes of a request, newline included: a whole configuration may be one. */
#define PST_RPC_LINE_MAX (17u << 20)

enum pst_rpc_code { /* JSON-RPC 2.0 section 5.1; ours from -32000 downwards */
	PST_RPC_PARSE = -32700,
	PST_RPC_INVALID = -32600,
	PST_RPC_NO_METHOD = -32601,
	PST_RPC_PARAMS = -32602,
	PST_RPC_INTERNAL = -32603,
	PST_RPC_BUSY = -32000,       /* too many clients, or too many large lines at a time */
	PST_RPC_GENERATION = -32001, /* if_generation is not what runs */
	PST_RPC_CONFIG = -32002,     /* data.faults: pointer and text of each */
	PST_RPC_RESTART = -32003,    /* restart_required; data.faults: what cannot change live */
	PST_RPC_NOT_FOUND = -32004,  /* no such session, generation, rule, ... */
	PST_RPC_FAILED = -32005,     /* the system refused: data.reason */
	PST_RPC_CLONE = -32006,      /* clone_required: predefined, cannot be changed */
	PST_RPC_CONFLICT = -32007,   /* that name is taken, or what it names is in use */
};

struct pst_plane;
struct pst_follower;

struct pst_caller { /* one client of the socket */
	struct pst_peer peer;
	struct pst_follower *follower; /* follow.h; NULL: cannot follow */
};

/* A method sets `result`, or `code` and perhaps `data`. References are the caller's then. */
struct pst_rpc_call {
	struct pst_plane *plane;
	struct pst_caller *caller;
	const json_t *params; /* object; NULL: none given */
	json_t *result;
	int code; /* 0: result counts */
	json_t *data;
	const char *target; /* what it was about, for the audit line; params or result keep it */
	const struct pst_rpc_method *method;
};

struct pst_edit;

struct pst_rpc_method {
	const char *name;
	void (*call)(struct pst_rpc_call *c);
	const char *help;                 /* one line, no full stop */
	const char *const *params;        /* names that may be given; NULL ends; NULL: none */
	bool changes;                     /* who called it is logged */
	void (*edit)(struct pst_edit *e); /* of pst_method_edit */
};
extern const struct pst_rpc_method pst_rpc_methods[]; /* methods.c; NULL name ends */

/* The answer to a line, newline included, to be freed; NULL: none is due (notification). */
char *pst_rpc_answer(
	struct pst_plane *plane, struct pst_caller *caller, const char *line, size_t len);
/* A notification of ours as a line, to be freed; takes over params. NULL: no memory. */
char *pst_rpc_notify(const char *method, json_t *params);
/* The `data` of an error: {"reason": text}. NULL: no memory. */
json_t *pst_rpc_reason(const char *fmt, va_list ap);
/* An error that answers no request in particular (id null); data may be NULL, and is taken over. */
char *pst_rpc_error(enum pst_rpc_code code, json_t *data);

#endif
