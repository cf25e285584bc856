/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The JSON-RPC 2.0 envelope. Every fault is answered with the code of section 5.1
 * and, in "data", what exactly was wrong. A request without "id" is a notification
 * and gets no answer, not even an error (section 4.1).
 */
#include "rpc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config_scan.h"
#include "plane.h"
#include "save.h"

static const char *
message(int code)
{
	switch (code) {
	case PST_RPC_PARSE:
		return "Parse error";
	case PST_RPC_INVALID:
		return "Invalid Request";
	case PST_RPC_NO_METHOD:
		return "Method not found";
	case PST_RPC_PARAMS:
		return "Invalid params";
	case PST_RPC_BUSY:
		return "Too many clients";
	case PST_RPC_GENERATION:
		return "Another generation runs";
	case PST_RPC_CONFIG:
		return "Invalid configuration";
	case PST_RPC_RESTART:
		return "Restart required";
	case PST_RPC_NOT_FOUND:
		return "Not found";
	case PST_RPC_CLONE:
		return "Clone required";
	case PST_RPC_CONFLICT:
		return "Conflict";
	case PST_RPC_FAILED:
		return "Failed";
	default:
		return "Internal error";
	}
}

json_t *
pst_rpc_reason(const char *fmt, va_list ap)
{
	char *text = NULL;
	json_t *data;

	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	data = json_pack("{s:s}", "reason", text != NULL ? text : "out of memory");
	if (data == NULL) /* it quotes what is not UTF-8 */
		data = json_pack("{s:s}", "reason", "is not UTF-8");
	free(text);
	return data;
}

static json_t *
reason(const char *text)
{
	return json_pack("{s:s}", "reason", text);
}

/* Takes over response. NULL when memory is short: the client then waits in vain. */
static char *
dump_line(json_t *response)
{
	char *text = response != NULL ? json_dumps(response, JSON_COMPACT | PST_JSON_REALS) : NULL,
	     *line;
	size_t n = text != NULL ? strlen(text) : 0;

	json_decref(response);
	line = text != NULL ? realloc(text, n + 2) : NULL;
	if (line == NULL) {
		free(text);
		return NULL;
	}
	memcpy(line + n, "\n", 2);
	return line;
}

/* Takes over data; id is borrowed, NULL means null. */
static char *
error_line(const json_t *id, int code, json_t *data)
{
	json_t *error = json_pack("{s:i, s:s}", "code", code, "message", message(code));

	if (error != NULL && data != NULL)
		json_object_set(error, "data", data);
	json_decref(data);
	return dump_line(json_pack("{s:s, s:o, s:o?}", "jsonrpc", "2.0", "error", error, "id",
		json_copy((json_t *)id)));
}

char *
pst_rpc_error(enum pst_rpc_code code, json_t *data)
{
	return error_line(json_null(), code, data);
}

char *
pst_rpc_notify(const char *method, json_t *params)
{
	return dump_line(
		json_pack("{s:s, s:s, s:o}", "jsonrpc", "2.0", "method", method, "params", params));
}

/* The parser quotes what it met, which need not be UTF-8. */
static json_t *
parse_reason(json_error_t *e)
{
	for (char *p = e->text; *p != '\0'; p++)
		if (*p < 0x20 || *p > 0x7e)
			*p = '?';
	return json_pack("{s:s, s:i}", "reason", e->text, "column", e->column);
}

/* ---- the request ---- */

static const struct pst_rpc_method *
find_method(const char *name)
{
	for (const struct pst_rpc_method *m = pst_rpc_methods; m->name != NULL; m++)
		if (strcmp(m->name, name) == 0)
			return m;
	return NULL;
}

static json_t *
known_methods(void)
{
	json_t *list = json_array();

	for (const struct pst_rpc_method *m = pst_rpc_methods; m->name != NULL; m++)
		json_array_append_new(list, json_string(m->name));
	return json_pack("{s:s, s:o}", "reason", "no such method", "methods", list);
}

/* Section 4: what makes an object a request. NULL: nothing is wrong. */
static const char *
envelope_fault(const json_t *req)
{
	const json_t *version = json_object_get(req, "jsonrpc");
	const json_t *id = json_object_get(req, "id"), *params = json_object_get(req, "params");
	const char *key;
	json_t *v;

	if (json_is_array(req))
		return "no batches here: one object a line";
	if (!json_is_object(req))
		return "not an object";
	if (!json_is_string(version) || strcmp(json_string_value(version), "2.0") != 0)
		return "\"jsonrpc\" must be \"2.0\"";
	if (!json_is_string(json_object_get(req, "method")))
		return "\"method\" must be a string";
	if (id != NULL && !json_is_string(id) && !json_is_number(id) && !json_is_null(id))
		return "\"id\" must be a string, a number or null";
	if (params != NULL && !json_is_object(params) && !json_is_array(params))
		return "\"params\" must be an object or an array";
	json_object_foreach((json_t *)req, key, v)
	{
		if (strcmp(key, "jsonrpc") != 0 && strcmp(key, "method") != 0 &&
			strcmp(key, "id") != 0 && strcmp(key, "params") != 0)
			return "has a member that is none of jsonrpc, method, params, id";
	}
	return NULL;
}

static bool
known_param(const struct pst_rpc_method *m, const char *name)
{
	for (const char *const *p = m->params; p != NULL && *p != NULL; p++)
		if (strcmp(*p, name) == 0)
			return true;
	return false;
}

/* Our methods take parameters by name only. NULL: nothing is wrong. */
static json_t *
params_fault(const struct pst_rpc_method *m, const json_t *params)
{
	const char *key;
	json_t *v;

	if (json_is_array(params) && json_array_size(params) > 0)
		return reason("parameters are given by name");
	json_object_foreach((json_t *)params, key, v)
	{
		if (!known_param(m, key))
			return json_pack(
				"{s:s, s:s}", "reason", "no such parameter", "parameter", key);
	}
	return NULL;
}

/* Who changed what, whatever came of it. */
static void
audit(const struct pst_rpc_method *m, const struct pst_rpc_call *c)
{
	const struct pst_peer *by = &c->caller->peer;
	struct pst_log_line ln = pst_log_begin(c->plane->log, PST_LOG_INFO, "audit");

	pst_log_str(&ln, "method", m->name);
	pst_log_u64(&ln, "uid", by->uid);
	pst_log_u64(&ln, "gid", by->gid);
	pst_log_u64(&ln, "pid", (uint64_t)by->pid);
	if (c->target != NULL)
		pst_log_str(&ln, "target", c->target);
	pst_log_str(&ln, "outcome", c->code == 0 ? "ok" : message(c->code));
	pst_log_u64(&ln, "generation", pst_plane_generation(c->plane));
	pst_log_end(&ln);
}

static char *
call_method(struct pst_plane *plane, struct pst_caller *caller, const struct pst_rpc_method *m,
	const json_t *req)
{
	const json_t *params = json_object_get(req, "params"), *id = json_object_get(req, "id");
	struct pst_rpc_call call = {
		.plane = plane, .caller = caller, .params = params, .method = m};

	call.data = params_fault(m, params);
	if (call.data != NULL)
		call.code = PST_RPC_PARAMS;
	else
		m->call(&call);
	if (call.code == 0 && call.result == NULL)
		call.code = PST_RPC_INTERNAL;
	if (m->changes)
		audit(m, &call);
	if (call.code != 0) {
		json_decref(call.result);
		return error_line(id, call.code, call.data);
	}
	json_decref(call.data);
	return dump_line(json_pack("{s:s, s:o, s:o?}", "jsonrpc", "2.0", "result", call.result,
		"id", json_copy((json_t *)id)));
}

static char *
answer_request(struct pst_plane *plane, struct pst_caller *caller, const json_t *req)
{
	const char *fault = envelope_fault(req);
	const struct pst_rpc_method *m;

	/* "null if there was an error in detecting the id in the Request object" */
	if (fault != NULL)
		return pst_rpc_error(PST_RPC_INVALID, reason(fault));
	m = find_method(json_string_value(json_object_get(req, "method")));
	if (m == NULL)
		return error_line(json_object_get(req, "id"), PST_RPC_NO_METHOD, known_methods());
	return call_method(plane, caller, m, req);
}

char *
pst_rpc_answer(struct pst_plane *plane, struct pst_caller *caller, const char *line, size_t len)
{
	char pointer[256], *answer;
	json_error_t e;
	json_t *req;

	if (!pst_config_scan(line, len, pointer, sizeof(pointer)))
		return pst_rpc_error(PST_RPC_INVALID, reason("nested too deep"));
	req = json_loadb(line, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &e);
	if (req == NULL)
		return pst_rpc_error(PST_RPC_PARSE, parse_reason(&e));
	answer = answer_request(plane, caller, req);
	if (json_is_object(req) && json_object_get(req, "id") == NULL &&
		envelope_fault(req) == NULL) {
		free(answer);
		answer = NULL;
	}
	json_decref(req);
	return answer;
}
